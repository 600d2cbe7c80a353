"""Sets up the Glewlwyd that tests/interop/servers starts, as its administrator would.

    setup.py database FILE SQL      makes a database from what the package brings
    setup.py server URL KEY CERT    an OpenID Connect plugin, scopes and clients, at a running server
"""

import http.cookiejar
import json
import os
import sqlite3
import sys
import urllib.request

MINE, OTHER = "https://api.example.com", "https://other.example.com"


def database(file, sql):
    with open(sql) as script:
        connection = sqlite3.connect(file)
        connection.executescript(script.read())
        connection.commit()


def server(url, key, cert):
    cookies = urllib.request.HTTPCookieProcessor(http.cookiejar.CookieJar())
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), cookies)

    def post(path, body):
        request = urllib.request.Request(
            f"{url}/api/{path}", json.dumps(body).encode(), {"Content-Type": "application/json"}
        )
        try:
            opener.open(request).read()
        except urllib.error.HTTPError as error:
            sys.exit(f"{path}: {error.code} {error.read().decode()}")

    # What the package's database begins with.
    post("auth/", {"username": "admin", "password": "password"})
    for scope in ["read", "write"]:
        post("scope/", {"name": scope, "display_name": scope, "password_required": False})
    resources = {scope: [MINE, OTHER] for scope in ["read", "write"]}
    for name, seconds in [("oidc", 600), ("short", 1)]:
        with open(key) as private, open(cert) as public:
            parameters = {
                "iss": f"{url}/api/{name}",
                "jwt-type": "rsa",
                "jwt-key-size": "256",
                "key": private.read(),
                "cert": public.read(),
                "jwks-show": True,
                "access-token-duration": seconds,
                "refresh-token-duration": 600,
                "code-duration": 60,
                "refresh-token-rolling": True,
                "allow-non-oidc": True,
                "auth-type-client-enabled": True,
                "introspection-revocation-allowed": True,
                "introspection-revocation-allow-target-client": True,
                "resource-allowed": True,
                "resource-scope": resources,
                "resource-client-property": "",
                "resource-scope-and-client-property": False,
            }
        module = {"module": "oidc", "name": name, "display_name": name, "enabled": True}
        post("mod/plugin/", {**module, "parameters": parameters})
    for client_id, secret in [("app", "app-secret"), ("encoded", os.environ["API_CLIENT_SECRET"])]:
        post(
            "client/",
            {
                "client_id": client_id,
                "name": client_id,
                "password": secret,
                "confidential": True,
                "enabled": True,
                "authorization_type": ["client_credentials"],
                "scope": ["read", "write"],
                "redirect_uri": [],
                "token_endpoint_auth_method": ["client_secret_basic"],
            },
        )


{"database": database, "server": server}[sys.argv[1]](*sys.argv[2:])
