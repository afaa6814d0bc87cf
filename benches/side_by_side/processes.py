"""Programs: starting them, knowing when they listen, what they used, and ending exactly those."""

import os
import socket
import subprocess
import time
from dataclasses import dataclass

_TICKS = os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")
_running = []


class Unexpected(Exception):
    """A program did what makes its figures worthless."""


def free_port():
    """A TCP port on loopback that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Program:
    """A running program and everything it started."""

    def __init__(self, name, command, port, *, log, env=None, stdin=None):
        self.name, self.port, self.log = name, port, log
        # appending, so that the file can be emptied while the program writes
        with open(log, "ab") as out:
            self.child = subprocess.Popen(command, env=env, stdin=stdin or subprocess.DEVNULL, stdout=out, stderr=out)
        _running.append(self)

    @property
    def pid(self):
        return self.child.pid

    def ready(self, seconds=20, pause=0.05):
        """Waits until somebody can connect. `pause` between two tries is also how exactly the time is known."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if self.child.poll() is not None:
                raise Unexpected(f"{self.name} ended at once: {self.last_words()}")
            try:
                socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
                return self
            except OSError:
                time.sleep(pause)
        raise Unexpected(f"{self.name} did not listen after {seconds} s: {self.last_words()}")

    def stop(self, seconds=20):
        """Asks it to end and waits. A program that does not is killed: its figures are taken by then."""
        if self in _running:
            _running.remove(self)
        if self.child.poll() is not None:
            return
        started = _tree(self.pid)
        self.child.terminate()
        try:
            self.child.wait(seconds)
        except subprocess.TimeoutExpired:
            for pid in started:
                _kill(pid)
            self.child.wait()

    def last_words(self):
        with open(self.log, encoding="utf8", errors="replace") as log:
            return log.read()[-2000:].strip() or "(it said nothing)"

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()


def stop_all():
    """Whatever way the benchmark ends, what it started ends with it."""
    while _running:
        _running[-1].stop(seconds=5)


@dataclass(frozen=True)
class Cpu:
    """Seconds of CPU time."""

    user: float
    system: float

    @property
    def total(self):
        return self.user + self.system

    def __sub__(self, before):
        return Cpu(self.user - before.user, self.system - before.system)


def cpu(pid):
    """What `pid`, its threads and its children have used so far, those that ended included."""
    user = system = 0
    for each in _tree(pid):
        fields = _stat(each)
        if fields:
            user += int(fields[11]) + int(fields[13])
            system += int(fields[12]) + int(fields[14])
    return Cpu(user / _TICKS, system / _TICKS)


def resident(pid):
    """Bytes of memory of `pid` and its children that are in RAM now."""
    return sum(int(fields[21]) for each in _tree(pid) if (fields := _stat(each))) * _PAGE


def _tree(pid):
    """`pid` and everything that descends from it."""
    children = {}
    for entry in os.listdir("/proc"):
        if entry.isdigit() and (fields := _stat(int(entry))):
            children.setdefault(int(fields[1]), []).append(int(entry))
    found, waiting = [], [pid]
    while waiting:
        each = waiting.pop()
        found.append(each)
        waiting += children.get(each, [])
    return found


def _stat(pid):
    """The fields of proc_pid_stat(5) from the third on: the second is a name in brackets that may hold spaces."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf8", errors="replace") as stat:
            return stat.read().rpartition(")")[2].split()
    except OSError:
        return None


def _kill(pid):
    try:
        os.kill(pid, 9)
    except ProcessLookupError:
        pass
