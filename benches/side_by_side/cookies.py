"""Bytes of the session cookie, name and value together, after real sign-ins."""

from . import servers
from .processes import Unexpected
from .signin import Browser, NotSignedIn
from .table import heading, table, target

_LENGTHS, _GROUPS = (6, 32, 64), (0, 5, 200)
# Browsers get this prefix with an https origin; here it is http on loopback, where it is not allowed.
_HOST_PREFIX = len("__Host-")


def measure(world, clients):
    heading("Session cookie: bytes of name and value, by identifier and groups in the ID token (15 bytes a group)")
    scopes = {"DOORWARD_PROVIDERS__TEST__SCOPES": "openid,groups"}
    rows = {}
    with servers.doorward(world, clients["doorward"], key=servers.new_key(), env=scopes).ready():
        rows["Doorward, X-User"] = _sizes(clients["doorward"], "doorward", _HOST_PREFIX)
    groups = {**scopes, "DOORWARD_HEADERS__CLAIMS__X_GROUPS": "groups"}
    with servers.doorward(world, clients["doorward"], key=servers.new_key(), env=groups).ready():
        rows["Doorward, X-User and X-Groups"] = _sizes(clients["doorward"], "doorward", _HOST_PREFIX)
    for name, client_cookie in [("shm", False), ("cookie", True)]:
        peer = servers.mod_auth_openidc(world, clients[name], client_cookie=client_cookie, scopes="openid groups")
        with peer.ready():
            rows[peer.name] = _sizes(clients[name], "mod_auth_openidc_session", 0)
    table(
        ["identifier / groups", *(f"{length} B / {count}" for length in _LENGTHS for count in _GROUPS)],
        [[name, *(shown for _, shown in sizes.values())] for name, sizes in rows.items()],
    )
    print(f"Doorward's with the {_HOST_PREFIX} bytes of __Host-, which https origins add.")
    small = [size for (length, _), (size, _) in rows["Doorward, X-User"].items() if length <= 32 and size]
    every = [size for name, sizes in rows.items() if name.startswith("Doorward") for size, _ in sizes.values() if size]
    target("largest for an identifier of up to 32 bytes, no extra claims", max(small, default=0), 192, unit="bytes")
    target("largest of all", max(every, default=0), 1024, unit="bytes")


def _sizes(client, cookie, more):
    """For every length and number of groups: the bytes (`None` when there is no session) and how to show them."""
    sizes = {}
    for length in _LENGTHS:
        for count in _GROUPS:
            sizes[length, count] = _size(client, cookie, more, f"g{count}-{'a' * 64}"[:length])
    return sizes


def _size(client, cookie, more, user):
    browser, refusal = Browser(), None
    try:
        seen = browser.sign_in(f"{client.url}{servers.SEEN}", user)
    except NotSignedIn as page:
        refusal = page
    if not refusal and seen != user:
        raise Unexpected(f"the application was told {seen!r}, not {user!r}")
    found = browser.cookies(client.url, cookie)
    # a gateway's other cookies belong to signing in, not to the session
    found = {name: value for name, value in found.items() if name == cookie or name.startswith(f"{cookie}_")}
    size = sum(len(name) + len(value) + more for name, value in found.items())
    shown = f"{size:,}" + (f" in {len(found)}" if len(found) > 1 else "")
    if refusal:
        # some refuse to begin a session, others what they set themselves when the browser brings it back
        return None, f"{shown}, then {refusal.status}" if found else f"refused ({refusal.status})"
    return size, shown
