"""Canaille as an authorization server on a free port of this machine, with all that it knows in
memory: opaque tokens for clients, JWTs for users, and introspection of both. Prints its issuer.
"""

import datetime
import os
import socket
from socketserver import ThreadingMixIn
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from canaille import create_app
from canaille.app import models
from canaille.backends import Backend
from canaille.oidc.provider import authorization


class Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True


class Handler(WSGIRequestHandler):
    def log_message(self, *args):
        pass


# The server's name is part of its configuration, so the port is chosen first.
with socket.socket() as probe:
    probe.bind(("127.0.0.1", 0))
    port = probe.getsockname()[1]
app = create_app(
    config={
        "SECRET_KEY": "of this run alone",
        "SERVER_NAME": f"127.0.0.1:{port}",
        "PREFERRED_URL_SCHEME": "http",
        "CANAILLE": {"DATABASE": "memory"},
        "CANAILLE_OIDC": {},
    },
    init_backend=True,
)
authorization._token_generators["default"].expires_generator = lambda client, grant_type: (
    1 if client.client_id == "short" else 600
)
with app.app_context():
    now = datetime.datetime.now(datetime.timezone.utc)

    def client(name, secret, audience):
        made = models.Client(
            client_id=name,
            client_name=name,
            client_secret=secret,
            client_id_issued_at=now,
            token_endpoint_auth_method="client_secret_basic",
            grant_types=["client_credentials", "password"],
            scope=["read", "write"],
            redirect_uris=[],
            audience=audience,
        )
        Backend.instance.save(made)
        return made

    # The second has a secret with characters that a Basic credential has encoded (RFC 6749 §2.3.1).
    api = client("api", "api-secret", [])
    encoded = client("encoded", os.environ["API_CLIENT_SECRET"], [])
    other = client("other", "other-secret", [])
    # What a client gets is for the APIs of its audience. Who is not among them may not ask.
    client("app", "app-secret", [api, encoded])
    client("shared", "app-secret", [other, api])
    client("foreign", "app-secret", [other])
    client("short", "app-secret", [api])
    user = models.User(
        user_name="alice",
        family_name="Doe",
        formatted_name="Alice Doe",
        emails=["alice@example.com"],
    )
    Backend.instance.save(user)
    Backend.instance.set_user_password(user, "correct horse battery")

server = make_server("127.0.0.1", port, app, Server, Handler)
print(f"issuer http://127.0.0.1:{port}", flush=True)
server.serve_forever()
