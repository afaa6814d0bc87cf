"""Instructions in user space for one request, counted by callgrind: what is left of the CPU time when the kernel's part is taken away.

Two runs differ only in the number of requests, so starting, signing in and ending cancel out.
"""

import re

from . import load, servers, tokens
from .processes import Unexpected
from .signin import Browser
from .table import heading, table

_FEW, _MANY = 200, 2200


def measure(world, clients):
    heading(f"Instructions in user space for one request: callgrind, one connection, {_MANY} requests against {_FEW}")
    client, key = clients["doorward"], servers.new_key()
    # The cookie alone proves who is calling, so it may come from a gateway with the same key at the same origin.
    browser = Browser()
    with servers.doorward(world, client, key=key).ready():
        browser.sign_in(f"{client.url}{servers.FOR_USER}", servers.USER)
    cookie = browser.credential(client.url)
    token = tokens.credential(tokens.issued(world, client.url))

    def nginx(wrapper, **more):
        return servers.nginx(world, single_process=True, wrapper=wrapper, **more)

    def doorward(wrapper, env):
        return servers.doorward(world, client, key=key, wrapper=wrapper, env=env)

    both = {**servers.QUIET, **servers.BOTH}
    counted = {
        "nginx plain": _count(world, nginx, servers.FOR_ANYBODY, cookie),
        "Doorward": _count(world, lambda wrapper: doorward(wrapper, servers.QUIET), servers.FOR_USER, cookie),
        "Doorward, both count, cookie": _count(world, lambda wrapper: doorward(wrapper, both), servers.FOR_USER, cookie),
        "Doorward, both count, token seen before": _count(world, lambda wrapper: doorward(wrapper, both), servers.FOR_USER, token),
        "nginx plain, access log": _count(
            world, lambda wrapper: nginx(wrapper, access_log=world.file("nginx.access")), servers.FOR_ANYBODY, cookie
        ),
        "Doorward, access log": _count(world, lambda wrapper: doorward(wrapper, None), servers.FOR_USER, cookie),
    }
    table(
        ["proxy", "instructions", "ratio"],
        [[name, f"{count:,.0f}", f"{count / counted['nginx plain']:.2f}"] for name, count in counted.items()],
    )
    print("A token is hashed to find it. Valgrind has no SHA extensions: where the processor has them, most of what a token costs more is not there.")


def _count(world, server, path, credential):
    few, many = (_run(world, server, path, credential, requests) for requests in (_FEW, _MANY))
    return (many - few) / (_MANY - _FEW)


def _run(world, server, path, credential, requests):
    profile = world.file("callgrind.out")
    program = server(["valgrind", "--tool=callgrind", f"--callgrind-out-file={profile}"])
    with program.ready(seconds=60):
        connection = load.Connection(program.port, path, credential)
        for _ in range(requests):
            if connection.ask() != servers.BODY:
                raise Unexpected(f"{program.name}: not the application's answer")
        connection.close()
        program.stop(seconds=60)
    collected = re.search(r"Collected : (\d+)", program.last_words())
    if not collected:
        raise Unexpected(f"{program.name} under callgrind: {program.last_words()}")
    return int(collected[1])
