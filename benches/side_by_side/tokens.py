"""CPU time for one request with a token that has been seen before, beside one with a session cookie, at the same process.

What a token costs that nobody has seen, or that nobody signed: `cargo bench --bench tokens`.
"""

import json
from dataclasses import dataclass
from urllib.parse import urlencode
from urllib.request import urlopen

from . import load, servers
from .requests import Row, alternate, compare, ratio
from .table import heading, target


@dataclass
class TokenRow(Row):
    """A row whose requests carry a token instead."""

    token: str = ""

    def credential(self):
        return credential(self.token)

    def check(self):
        super().check()
        load.Connection(self.program.port, self.path, credential(f"{self.token}x")).ask(status=401)


def measure(world, clients, rounds, seconds):
    heading(f"Tokens: {rounds} rounds × {seconds} s, {load.CONNECTIONS} keep-alive connections, 1 KB body, one process where both count")
    client = clients["doorward"]
    doorward = servers.doorward(world, client, key=servers.new_key(), env={**servers.QUIET, **servers.BOTH}).ready()
    cookie = Row("session cookie", doorward, client)
    token = TokenRow("token seen before", doorward, client, token=issued(world, client.url))
    alternate([cookie, token], rounds, seconds)
    compare("credential", [cookie, token], cookie)
    print(f"The token is a JWT (RS256) of {len(token.token)} bytes; header fields of a cookie and of a token differ in length, and so does what is read.")
    target("a token seen before to a session cookie", ratio(token, cookie), 1.25)


def issued(world, resource):
    """A JWT for `resource` (RFC 8707), as the provider gives it to a program that acts for itself."""
    form = {"grant_type": "client_credentials", "client_id": servers.USER, "client_secret": world.program_secret, "resource": resource}
    with urlopen(f"{world.issuer}/token", urlencode(form).encode(), timeout=20) as answer:
        return json.load(answer)["access_token"]


def credential(token):
    """The header field that carries `token`."""
    return f"Authorization: Bearer {token}"
