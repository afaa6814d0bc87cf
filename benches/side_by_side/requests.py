"""CPU time for one authenticated request: of the proxy's own processes, while wrk keeps 64 connections busy from the other core."""

from dataclasses import dataclass, field
from statistics import median

from . import load, servers
from .processes import Unexpected, cpu
from .signin import Browser
from .table import heading, table, target


@dataclass
class Row:
    """One of those compared, and what its rounds gave."""

    name: str
    program: object
    # whose session the requests carry; the plain proxies get one too, so that everybody is sent the same bytes
    gateway: servers.Client
    path: str = servers.FOR_USER
    access_log: object = None
    user: list = field(default_factory=list)
    total: list = field(default_factory=list)
    per_second: list = field(default_factory=list)
    busy: list = field(default_factory=list)

    def credential(self):
        """A new session. Browsers take a renewed cookie, wrk never does: an ageing one would be renewed with every answer."""
        url, browser = f"{self.gateway.url}{servers.FOR_USER}", Browser()
        browser.sign_in(url, servers.USER)
        return browser.credential(url)

    def round(self, seconds):
        url, credential = f"http://127.0.0.1:{self.program.port}{self.path}", self.credential()
        load.wrk(url, 1, credential)
        before = cpu(self.program.pid)
        done = load.wrk(url, seconds, credential)
        used = cpu(self.program.pid) - before
        self.user.append(used.user / done.requests * 1e6)
        self.total.append(used.total / done.requests * 1e6)
        self.per_second.append(done.per_second)
        self.busy.append(used.total / (done.requests / done.per_second))
        if self.access_log:
            self._check_log(done.requests)

    def check(self):
        """Before anything is measured: the answer is the application's, and behind a gateway the application knows who called."""
        port, credential = self.program.port, self.credential()
        if load.Connection(port, self.path, credential).ask() != servers.BODY:
            raise Unexpected(f"{self.name}: not the application's answer")
        seen = load.Connection(port, servers.SEEN, credential).ask().decode()
        if seen != (servers.USER if self.path == servers.FOR_USER else ""):
            raise Unexpected(f"{self.name}: the application was told {seen!r}")
        if self.path == servers.FOR_USER:
            load.Connection(port, self.path, "Cookie: nobody=1").ask(status=401)

    def _check_log(self, requests):
        """Rows with an access log have written a line for each request; then the file makes room for the next round."""
        with open(self.access_log, "r+b") as log:
            lines = sum(chunk.count(b"\n") for chunk in iter(lambda: log.read(1 << 20), b""))
            if lines < requests:
                raise Unexpected(f"{self.name}: {lines} lines for {requests} requests in the access log")
            log.truncate(0)


def measure(world, clients, rounds, seconds):
    heading(f"Requests: {rounds} rounds × {seconds} s, {load.CONNECTIONS} keep-alive connections, 1 KB body, one worker on one core")
    rows = _rows(world, clients)
    alternate(rows, rounds, seconds)
    _print(rows)


def alternate(rows, rounds, seconds):
    """Looks at the answers, then measures in turns; the programs of the `rows` end with it."""
    for row in rows:
        row.check()
    for turn in range(rounds):
        # everybody has every place in the order once, or nearly
        for row in rows[turn % len(rows) :] + rows[: turn % len(rows)]:
            row.round(seconds)
    for row in rows:
        row.program.stop()


def compare(what, rows, to):
    """The figures of the `rows`, which are called `what`, and what they are as ratios `to` one of them."""
    table(
        [what, "CPU µs", "of it user", "least – most", "ratio", "user ratio", "requests/s", "ratio", "core busy"],
        [
            [
                row.name,
                f"{median(row.total):.1f}",
                f"{median(row.user):.1f}",
                f"{min(row.total):.1f} – {max(row.total):.1f}",
                f"{ratio(row, to):.2f}",
                f"{median(row.user) / median(to.user):.2f}",
                f"{median(row.per_second):.0f}",
                f"{median(row.per_second) / median(to.per_second):.2f}",
                f"{median(row.busy):.0%}",
            ]
            for row in rows
        ],
    )


def ratio(row, to):
    return median(row.total) / median(to.total)


def _rows(world, clients):
    key, nginx_log = servers.new_key(), world.file("nginx.access")
    doorward = servers.doorward(world, clients["doorward"], key=key, env=servers.QUIET)
    doorward_logging = servers.doorward(world, clients["doorward with log"], key=key)
    shm = servers.mod_auth_openidc(world, clients["shm"], client_cookie=False)
    cookie = servers.mod_auth_openidc(world, clients["cookie"], client_cookie=True)
    plain = {"gateway": clients["doorward"], "path": servers.FOR_ANYBODY}
    rows = [
        Row("nginx plain", servers.nginx(world), **plain),
        Row("Doorward", doorward, clients["doorward"]),
        Row("Apache plain", servers.apache(world), **plain),
        Row("Apache + mod_auth_openidc, shared memory", shm, clients["shm"]),
        Row("Apache + mod_auth_openidc, client cookie", cookie, clients["cookie"]),
        Row("nginx plain, access log", servers.nginx(world, access_log=nginx_log), access_log=nginx_log, **plain),
        Row("Doorward, access log", doorward_logging, clients["doorward with log"], access_log=doorward_logging.log),
    ]
    for row in rows:
        row.program.ready()
    return rows


def _print(rows):
    by_name = {row.name: row for row in rows}
    nginx = by_name["nginx plain"]
    compare("proxy", rows, nginx)
    ours, ours_logging = by_name["Doorward"], by_name["Doorward, access log"]
    shm = by_name["Apache + mod_auth_openidc, shared memory"]
    target("Doorward to nginx plain, both without access log", ratio(ours, nginx), 1.30)
    target("Doorward to nginx plain, both with access log", ratio(ours_logging, by_name["nginx plain, access log"]), 1.30)
    target("mod_auth_openidc (shared memory) to Doorward, both without access log", ratio(shm, ours), 6, at_least=True)
