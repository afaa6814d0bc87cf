"""Who is compared: the same upstream behind nginx, Apache, Apache with mod_auth_openidc, and Doorward, each with one worker."""

import base64
import os
import secrets
from dataclasses import dataclass, field
from pathlib import Path

from .machine import pinned
from .processes import Program, free_port

# A person without groups, and what the upstream is told of them.
USER = "alice@example.com"
# Answered by the upstream to anybody, and to nobody but USER (403): every answer that wrk counts as good proves the header.
FOR_ANYBODY, FOR_USER, SEEN = "/for-anybody", "/for-the-user", "/seen"
BODY = b"x" * 1024

# How Doorward is told to work with one thread.
ONE_THREAD = {"DOORWARD_THREADS": "1"}
QUIET = {"DOORWARD_LOG__FILTER": "info,access=off"}
# Where cookies and tokens count.
BOTH = {"DOORWARD_CREDENTIALS": "both"}

_MODULES = Path("/usr/lib/apache2/modules")


@dataclass
class World:
    """What the servers have in common."""

    folder: Path
    upstream: int = 0
    issuer: str = ""
    clients: list = field(default_factory=list)
    program_secret: str = field(default_factory=lambda: secrets.token_hex(16))
    # Clients are registered before the provider starts, so every gateway's port is chosen before it.
    _count: int = 0

    def file(self, name):
        self._count += 1
        return self.folder / f"{self._count:02}-{name}"

    def client(self, redirect_path, **more):
        """A client of the provider at a port of its own, with `more` about its registration."""
        port = free_port()
        client = {
            "client_id": f"client-{port}",
            "client_secret": secrets.token_hex(16),
            "redirect_uris": [f"http://127.0.0.1:{port}{redirect_path}"],
            **more,
        }
        self.clients.append(client)
        return Client(port, client["client_id"], client["client_secret"], client["redirect_uris"][0])

    def add_program(self):
        """A client that gets tokens for itself. It is called what the person is called, so that the application is told the same."""
        self.clients.append(
            {
                "client_id": USER,
                "client_secret": self.program_secret,
                "token_endpoint_auth_method": "client_secret_post",
                "grant_types": ["client_credentials"],
                "response_types": [],
                "redirect_uris": [],
            }
        )


@dataclass(frozen=True)
class Client:
    """A gateway's registration at the provider."""

    port: int
    id: str
    secret: str
    redirect_uri: str

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}"


# --- upstream --------------------------------------------------------------------------------------------------------------------


def upstream(world):
    """An application that answers 1 KB, and to FOR_USER only when it was told who is calling."""
    world.upstream = free_port()
    config = _nginx_config(
        world,
        world.upstream,
        f"""
        default_type text/plain;
        location = {FOR_ANYBODY} {{ return 200 "{BODY.decode()}"; }}
        location = {FOR_USER} {{ if ($http_x_user != "{USER}") {{ return 403; }} return 200 "{BODY.decode()}"; }}
        location = {SEEN} {{ return 200 "$http_x_user"; }}
        location / {{ return 404; }}""",
    )
    return Program("upstream", ["nginx", "-c", config], world.upstream, log=world.file("upstream.log")).ready()


# --- nginx -----------------------------------------------------------------------------------------------------------------------


def nginx(world, *, access_log=None, connections=1024, single_process=False, wrapper=()):
    """A reverse proxy and nothing else: the least that a gateway could cost."""
    port = free_port()
    config = _nginx_config(
        world,
        port,
        """
        location / {
            proxy_pass http://application;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_set_header Host $host;
        }""",
        access_log=access_log,
        connections=connections,
        single_process=single_process,
        blocks=f"""
    upstream application {{
        server 127.0.0.1:{world.upstream};
        keepalive 128;
        keepalive_requests 1000000000;
        keepalive_timeout 1h;
    }}""",
    )
    return Program("nginx", pinned([*wrapper, "nginx", "-c", config]), port, log=world.file("nginx.log"))


def _nginx_config(world, port, server, *, access_log=None, connections=1024, single_process=False, blocks=""):
    config = world.file("nginx.conf")
    log = f"access_log {access_log} combined;" if access_log else "access_log off;"
    own = world.file("nginx")
    config.write_text(
        f"""
daemon off;
master_process {"off" if single_process else "on"};
worker_processes 1;
pid {own}.pid;
error_log {own}.errors;
events {{ worker_connections {connections}; }}
http {{
    {log}
    keepalive_timeout 1h;
    keepalive_requests 1000000000;
    client_body_temp_path {own}.body;
    proxy_temp_path {own}.proxy;
    fastcgi_temp_path {own}.fastcgi;
    scgi_temp_path {own}.scgi;
    uwsgi_temp_path {own}.uwsgi;
    {blocks}
    server {{
        listen 127.0.0.1:{port};
        {server}
    }}
}}
""",
        encoding="utf8",
    )
    return str(config)


# --- Apache ----------------------------------------------------------------------------------------------------------------------


def apache(world):
    """A reverse proxy in one process. It closes idle connections when all threads are busy, so there are twice as many as the load has."""
    port = free_port()
    return _apache(world, "Apache", port, f"ProxyPass / http://127.0.0.1:{world.upstream}/")


def mod_auth_openidc(world, client, *, client_cookie, scopes="openid"):
    """The certified peer. Only what was asked for differs from its defaults: where sessions live, and one header with the user."""
    directives = f"""
LoadModule auth_openidc_module {_MODULES}/mod_auth_openidc.so
OIDCProviderMetadataURL {world.issuer}/.well-known/openid-configuration
OIDCClientID {client.id}
OIDCClientSecret {client.secret}
OIDCRedirectURI {client.redirect_uri}
OIDCCryptoPassphrase {secrets.token_hex(16)}
OIDCPKCEMethod S256
OIDCScope "{scopes}"
OIDCRemoteUserClaim sub
OIDCAuthNHeader X-User
OIDCPassClaimsAs none
OIDCSessionInactivityTimeout 3600
OIDCSessionType {"client-cookie" if client_cookie else "server-cache"}
OIDCCacheType shm
<Location />
    AuthType openid-connect
    Require valid-user
    ProxyPass http://127.0.0.1:{world.upstream}/
</Location>
"""
    name = f"mod_auth_openidc, {'client cookie' if client_cookie else 'shared memory'}"
    return _apache(world, name, client.port, directives)


def _apache(world, name, port, directives):
    config, own = world.file("apache.conf"), world.file("apache")
    own.mkdir()
    modules = ["mpm_event", "authn_core", "authz_core", "authz_user", "proxy", "proxy_http"]
    load = "\n".join(f"LoadModule {module}_module {_MODULES}/mod_{module}.so" for module in modules)
    user = "User www-data\nGroup www-data" if os.geteuid() == 0 else ""
    config.write_text(
        f"""
{load}
ServerName 127.0.0.1
ServerRoot {own}
DefaultRuntimeDir {own}
PidFile {own}/pid
ErrorLog {own}/errors
{user}
Listen 127.0.0.1:{port}
StartServers 1
ServerLimit 1
ThreadLimit 128
ThreadsPerChild 128
MaxRequestWorkers 128
MinSpareThreads 1
MaxSpareThreads 128
AsyncRequestWorkerFactor 200
KeepAlive On
KeepAliveTimeout 3600
MaxKeepAliveRequests 0
{directives}
""",
        encoding="utf8",
    )
    return Program(name, pinned(["apache2", "-f", str(config), "-DFOREGROUND"]), port, log=world.file("apache.log"))


# --- Redis -----------------------------------------------------------------------------------------------------------------------


def redis(world):
    """A session store that keeps nothing on disk."""
    port, folder = free_port(), world.file("redis")
    folder.mkdir()
    command = ["redis-server", "--port", str(port), "--bind", "127.0.0.1", "--dir", str(folder), "--save", "", "--appendonly", "no"]
    return Program("Redis", command, port, log=world.file("redis.log"))


# --- Doorward --------------------------------------------------------------------------------------------------------------------


def new_key():
    """What `doorward key` prints: 32 bytes, base64url."""
    return base64.urlsafe_b64encode(secrets.token_bytes(32)).rstrip(b"=").decode()


def doorward(world, client, *, key, issuer=None, env=None, wrapper=()):
    """The gateway as it is shipped: environment alone."""
    settings = {
        "PATH": os.environ["PATH"],
        "DOORWARD_PUBLIC_URL": client.url,
        "DOORWARD_LISTEN": f"127.0.0.1:{client.port}",
        "DOORWARD_ADMIN__LISTEN": f"127.0.0.1:{free_port()}",
        "DOORWARD_UPSTREAM": f"http://127.0.0.1:{world.upstream}",
        "DOORWARD_PROVIDERS__TEST__ISSUER": issuer or world.issuer,
        "DOORWARD_PROVIDERS__TEST__CLIENT_ID": client.id,
        "DOORWARD_PROVIDERS__TEST__CLIENT_SECRET": client.secret,
        "DOORWARD_PROVIDERS__TEST__USER_CLAIM": "sub",
        "DOORWARD_SESSION__KEY": key,
        **ONE_THREAD,
        **(env or {}),
    }
    command = pinned([*wrapper, os.environ["BIN"], "serve"])
    return Program("Doorward", command, client.port, log=world.file("doorward.log"), env=settings)
