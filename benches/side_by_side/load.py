"""Load: wrk for many connections, a socket of our own where every request has to be counted."""

import re
import socket
import subprocess
from dataclasses import dataclass

from .processes import Unexpected

CONNECTIONS = 64


@dataclass(frozen=True)
class Load:
    """What wrk did."""

    requests: int
    per_second: float


def wrk(url, seconds, credential):
    """`seconds` of requests on all connections, each with the header field `credential`. Every answer has to be good."""
    command = ["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{seconds}s", "-H", credential, url]
    done = subprocess.run(command, capture_output=True, text=True, timeout=seconds + 30, check=False)
    said = done.stdout + done.stderr
    count, rate = re.search(r"(\d+) requests in", said), re.search(r"Requests/sec:\s+([\d.]+)", said)
    if not count or not rate or "Non-2xx" in said or "Socket errors" in said:
        raise Unexpected(f"{url} under load: {said.strip()}")
    return Load(int(count[1]), float(rate[1]))


class Connection:
    """A keep-alive connection that asks one thing again and again, and then may stay open and say nothing."""

    def __init__(self, port, path, credential):
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=60)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._request = f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n{credential}\r\n\r\n".encode()

    def ask(self, status=200):
        """One request and its whole answer, which has to have this `status`: the body."""
        self._socket.sendall(self._request)
        got = b""
        while b"\r\n\r\n" not in got:
            got += self._more(got)
        head, _, body = got.partition(b"\r\n\r\n")
        length = re.search(rb"(?i)\r\ncontent-length: *(\d+)", head)
        if not head.startswith(f"HTTP/1.1 {status} ".encode()) or not length:
            raise Unexpected(f"answer: {head.decode(errors='replace')}")
        while len(body) < int(length[1]):
            body += self._more(body)
        return body

    def is_open(self):
        """Whether the other side still holds the connection, having said nothing more."""
        self._socket.setblocking(False)
        try:
            return self._socket.recv(1, socket.MSG_PEEK) != b""
        except BlockingIOError:
            return True
        except OSError:
            return False

    def close(self):
        self._socket.close()

    def _more(self, got):
        more = self._socket.recv(65536)
        if not more:
            raise Unexpected(f"the connection was closed after {len(got)} bytes of an answer")
        return more
