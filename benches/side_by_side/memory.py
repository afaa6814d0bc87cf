"""Resident memory for one idle connection: 5,000 callers who asked once and keep their connection open."""

import time

from . import load, servers
from .processes import Unexpected, resident
from .signin import Browser
from .table import heading, table, target

_CONNECTIONS = 5000
# A connection is idle once it has been so for a while; programs may use that while to give back what they do not need.
_IDLE_SECONDS = 10


def measure(world, clients):
    heading(f"Memory for each of {_CONNECTIONS:,} idle keep-alive connections, after one request on each")
    client, browser = clients["doorward"], Browser()
    rows = []
    with servers.doorward(world, client, key=servers.new_key()).ready() as doorward:
        browser.sign_in(f"{client.url}{servers.FOR_USER}", servers.USER)
        session = browser.credential(client.url)
        rows.append(("Doorward", *_grown(doorward, servers.FOR_USER, session)))
    with servers.nginx(world, connections=2 * _CONNECTIONS).ready() as nginx:
        rows.append(("nginx plain", *_grown(nginx, servers.FOR_ANYBODY, session)))
    with servers.apache(world).ready() as apache:
        rows.append(("Apache plain", *_grown(apache, servers.FOR_ANYBODY, session)))
    with servers.mod_auth_openidc(world, clients["shm"], client_cookie=False).ready() as peer:
        url = f"{clients['shm'].url}{servers.FOR_USER}"
        browser.sign_in(url, servers.USER)
        rows.append((f"Apache + {peer.name}", *_grown(peer, servers.FOR_USER, browser.credential(url))))
    table(
        ["proxy", "MiB before", "MiB after", "KiB each"],
        [[name, f"{before / 2**20:.1f}", f"{after / 2**20:.1f}", f"{each:.1f}"] for name, before, after, each in rows],
    )
    target("Doorward", rows[0][3], 10, unit="KiB")


def _grown(program, path, credential):
    """Bytes before and after, and KiB for each connection."""
    # what is set up once, by the first requests, belongs to nobody's connection
    for _ in range(100):
        connection = load.Connection(program.port, path, credential)
        connection.ask()
        connection.close()
    before = _settled(program)
    connections = []
    for _ in range(_CONNECTIONS):
        connection = load.Connection(program.port, path, credential)
        connection.ask()
        connections.append(connection)
    after = _settled(program)
    closed = sum(not connection.is_open() for connection in connections)
    for connection in connections:
        connection.close()
    if closed:
        raise Unexpected(f"{program.name} closed {closed} of {_CONNECTIONS} idle connections")
    return before, after, (after - before) / 1024 / _CONNECTIONS


def _settled(program):
    time.sleep(_IDLE_SECONDS)
    return resident(program.pid)
