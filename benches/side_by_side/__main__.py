"""Everything in order: the machine, the upstream, the provider, then each part that was asked for."""

import json
import os
import signal
import sys
import tempfile
import time
from pathlib import Path

from . import cookies, instructions, machine, memory, requests, servers, start, store, tokens
from .processes import Program, Unexpected, free_port, stop_all
from .signin import NotSignedIn


def main(parts):
    began = time.monotonic()
    rounds, seconds = int(os.environ.get("ROUNDS", "5")), int(os.environ.get("ROUND_SECONDS", "5"))
    machine.take_place()
    for name, fact in machine.facts(os.environ["BIN"]):
        print(f"{name:9} {fact}", flush=True)
    with tempfile.TemporaryDirectory(prefix="doorward-bench.") as folder:
        # Apache and nginx leave root's rights behind and still have to reach their files
        os.chmod(folder, 0o711)
        world = servers.World(Path(folder))
        clients = {
            "doorward": world.client("/_auth/callback/test"),
            "doorward with log": world.client("/_auth/callback/test"),
            "shm": world.client("/_openidc/callback"),
            "cookie": world.client("/_openidc/callback"),
            "refreshing": world.client("/_auth/callback/test", grant_types=["authorization_code", "refresh_token"]),
        }
        world.add_program()
        try:
            servers.upstream(world)
            _provider(world)
            run = {
                "start": lambda: start.measure(world, clients, 3 * rounds),
                "cookies": lambda: cookies.measure(world, clients),
                "memory": lambda: memory.measure(world, clients),
                "instructions": lambda: instructions.measure(world, clients),
                "requests": lambda: requests.measure(world, clients, rounds, seconds),
                "tokens": lambda: tokens.measure(world, clients, rounds, seconds),
                "store": lambda: store.measure(world, clients, rounds, seconds),
            }
            for part in parts:
                run[part]()
        except (Unexpected, NotSignedIn) as problem:
            sys.exit(f"benches/run: {problem}")
        finally:
            stop_all()
    print(f"\n{', '.join(parts)} in {time.monotonic() - began:.0f} s")


def _provider(world):
    """The certified provider of the end-to-end tests, which knows all clients."""
    port, clients = free_port(), world.file("clients.json")
    clients.write_text(json.dumps(world.clients), encoding="utf8")
    with open(clients, "rb") as stdin:
        provider = Program("provider", ["node", "benches/provider.mjs", str(port)], port, log=world.file("provider.log"), stdin=stdin)
    provider.ready()
    # its name, which is not its address: for a browser the gateways at 127.0.0.1 are other sites
    world.issuer = f"http://localhost:{port}"


def _end(number, _frame):
    sys.exit(128 + number)


signal.signal(signal.SIGTERM, _end)
signal.signal(signal.SIGINT, _end)
main(sys.argv[1:])
