"""django-oauth-toolkit as an authorization server on a free port of this machine: opaque tokens, and
introspection. Prints its issuer.

    server.py FOLDER

The database goes into FOLDER.
"""

import os
import sys
from socketserver import ThreadingMixIn
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

import django
from django.conf import settings
from django.core.management import call_command
from django.core.wsgi import get_wsgi_application
from django.urls import include, path

settings.configure(
    SECRET_KEY="of this run alone",
    ALLOWED_HOSTS=["127.0.0.1"],
    DATABASES={
        "default": {
            "ENGINE": "django.db.backends.sqlite3",
            "NAME": os.path.join(sys.argv[1], "django.sqlite"),
        }
    },
    INSTALLED_APPS=[
        "django.contrib.auth",
        "django.contrib.contenttypes",
        "oauth2_provider",
    ],
    DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
    ROOT_URLCONF=__name__,
    USE_TZ=True,
    OAUTH2_PROVIDER={
        # The right to introspect is a scope of the client that asks.
        "SCOPES": {"read": "", "write": "", "short": "", "introspection": ""},
        "DEFAULT_SCOPES": ["read"],
        "EXTRA_SERVER_KWARGS": {
            "token_expires_in": lambda request: 1 if "short" in request.scopes else 600
        },
    },
)
django.setup()

from oauth2_provider import urls as oauth2_urls  # noqa: E402
from oauth2_provider.models import get_application_model  # noqa: E402

urlpatterns = [path("", include(oauth2_urls))]


class Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True


class Handler(WSGIRequestHandler):
    def log_message(self, *args):
        pass


call_command("migrate", verbosity=0)
Application = get_application_model()
for name, secret in [("app", "app-secret"), ("api", os.environ["API_CLIENT_SECRET"])]:
    Application.objects.create(
        client_id=name,
        client_secret=secret,
        client_type=Application.CLIENT_CONFIDENTIAL,
        authorization_grant_type=Application.GRANT_CLIENT_CREDENTIALS,
    )
server = make_server("127.0.0.1", 0, get_wsgi_application(), Server, Handler)
print(f"issuer http://127.0.0.1:{server.server_port}", flush=True)
server.serve_forever()
