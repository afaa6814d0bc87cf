"""The machine: which core is whose, how many files may be open, and what all of this ran on."""

import os
import resource
import subprocess

_CORES = sorted(os.sched_getaffinity(0))
# What is measured has a core for itself; upstream, load, provider and this program share the other.
MEASURED_CORE, OTHER_CORE = _CORES[0], _CORES[1]


def take_place():
    """Moves this program, and with it everything it starts and does not pin, to the other core; lets it open many files."""
    os.sched_setaffinity(0, {OTHER_CORE})
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def pinned(command):
    """`command`, for the measured core."""
    return ["taskset", "-c", str(MEASURED_CORE), *command]


def facts(binary):
    """One line for each thing that a reader needs to compare these figures with others."""
    yield "commit", _commit()
    yield "program", f"{_said([binary, '--version'])}, {os.path.getsize(binary) / 1e6:.1f} MB ({binary})"
    yield "machine", f"{len(_CORES)} × {_processor()}, Linux {os.uname().release}, load {os.getloadavg()[0]:.2f} at the beginning"
    yield "peers", ", ".join(_package(name) for name in ["nginx", "apache2", "libapache2-mod-auth-openidc"])
    yield "tools", ", ".join([_package("wrk"), _package("valgrind"), f"node {_said(['node', '--version'])}"])


def _commit():
    commit = _said(["git", "log", "-1", "--format=%h %s"])
    return commit + (" (and changes not committed)" if _said(["git", "status", "--porcelain", "--untracked-files=no"]) else "")


def _processor():
    with open("/proc/cpuinfo", encoding="utf8") as cpuinfo:
        return next((line.split(":", 1)[1].strip() for line in cpuinfo if line.startswith("model name")), os.uname().machine)


def _package(name):
    return f"{name.removeprefix('libapache2-')} {_said(['dpkg-query', '--showformat=${Version}', '--show', name]) or '(not from Debian)'}"


def _said(command):
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
    except OSError:
        return ""
    return next(iter(done.stdout.splitlines()), "").strip()
