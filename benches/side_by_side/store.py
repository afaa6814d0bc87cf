"""What a store costs: CPU time for one request with Redis configured beside one without, and how often Redis is asked.

What the entries of ended sessions cost in memory: `cargo bench --bench revocations`.
"""

import json
import socket
import time

from . import load, servers
from .processes import Unexpected
from .requests import Row, alternate, compare, ratio
from .signin import Browser
from .table import heading, table, target

# The sessions of the counting part are asked about this often, and used for so long.
INTERVAL, INTERVALS, PER_SECOND = 3, 4, 100
REFRESHING = {
    "DOORWARD_PROVIDERS__TEST__SCOPES": "openid,offline_access",
    "DOORWARD_PROVIDERS__TEST__AUTHORIZATION_PARAMETERS__PROMPT": "consent",
    "DOORWARD_SESSION__REVALIDATE": f"{INTERVAL}s",
}


def measure(world, clients, rounds, seconds):
    heading(f"Store: {rounds} rounds × {seconds} s, {load.CONNECTIONS} keep-alive connections, 1 KB body, with Redis as the session store and without")
    redis = servers.redis(world).ready()
    store = {"DOORWARD_SESSION__STORE": f"redis://127.0.0.1:{redis.port}"}
    key = servers.new_key()
    # the listener of each is that of its client
    alone = servers.doorward(world, clients["doorward"], key=key, env=servers.QUIET).ready()
    shared = servers.doorward(world, clients["doorward with log"], key=key, env={**servers.QUIET, **store}).ready()
    rows = [Row("memory", alone, clients["doorward"]), Row("Redis", shared, clients["doorward with log"])]
    alternate(rows, rounds, seconds)
    compare("store", rows, rows[0])
    target("a request with Redis configured to one without", ratio(rows[1], rows[0]), 1.05)
    _count(world, clients["refreshing"], redis, {**servers.QUIET, **store, **REFRESHING})
    redis.stop()


def _count(world, client, redis, env):
    """One session, used all the time and asked about every few seconds: what Redis was asked for it."""
    doorward = servers.doorward(world, client, key=servers.new_key(), env=env).ready()
    url, browser = f"{client.url}{servers.FOR_USER}", Browser()
    browser.sign_in(url, servers.USER)
    connection = load.Connection(client.port, servers.FOR_USER, browser.credential(url))
    if connection.ask() != servers.BODY:
        raise Unexpected("not the application's answer")
    before, requests = _calls(redis.port), 0
    end = time.monotonic() + INTERVAL * INTERVALS
    while time.monotonic() < end:
        connection.ask()
        requests += 1
        time.sleep(1 / PER_SECOND)
    asked = {name: count - before.get(name, 0) for name, count in _calls(redis.port).items()}
    doorward.stop()
    # what every replica asks, whoever is signed in
    log = sum(count for name, count in asked.items() if name in ("xrange", "xread"))
    session = {name: count for name, count in asked.items() if count and name not in ("xrange", "xread", "info", "command", "client")}
    total = sum(session.values())
    table(
        ["one session, refreshed", "requests", "intervals", "commands, in scripts too", "an interval", "for 1,000 requests", "the log, a second"],
        [["every 3 s", requests, INTERVALS, total, f"{total / INTERVALS:.1f}", f"{total / requests * 1000:.1f}", f"{log / INTERVAL / INTERVALS:.1f}"]],
    )
    print(json.dumps(dict(sorted(session.items()))))


def _calls(port):
    """How often each command was called, as Redis counts (`INFO commandstats`)."""
    with socket.create_connection(("127.0.0.1", port), timeout=10) as redis:
        redis.sendall(b"INFO commandstats\r\n")
        got = b""
        while not got.endswith(b"\r\n") or got.count(b"\r\n") < 2 or len(got) < int(got[1 : got.index(b"\r\n")]):
            more = redis.recv(65536)
            if not more:
                raise Unexpected("Redis hung up")
            got += more
    counts = {}
    for line in got.decode().splitlines():
        if line.startswith("cmdstat_"):
            name, _, facts = line.removeprefix("cmdstat_").partition(":calls=")
            counts[name.split("|")[0]] = counts.get(name.split("|")[0], 0) + int(facts.split(",")[0])
    return counts
