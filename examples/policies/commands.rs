//! The lines that the example prints.

use std::time::SystemTime;

use serde_json::json;
use tower_resource_server::test_issuer::{TestIssuer, TokenBuilder};

/// Prints a heading and a command for each case.
pub fn print(issuer: &TestIssuer, base: &str) {
    println!("The API listens on {base}, its issuer on {}.\n", issuer.url());
    let token =
        |subject: &str, scope: &str| issuer.token().subject(subject).scope(scope).expires_in(3600);
    let with_role = |role: &str| token("erin", "other").claim("roles", json!([role]));
    let logged_in = |seconds_ago: u64| {
        let epoch = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        token("alice", "notes").claim("auth_time", epoch.as_secs().saturating_sub(seconds_ago))
    };
    let of_tenant = |tenant: &str| token("alice", "notes:read").claim("tenant", tenant);
    let show = |heading: &str, token: Option<TokenBuilder<'_>>, request: &str| {
        let authorization =
            token.map(|token| format!("-H 'Authorization: Bearer {}' ", token.sign()));
        let (method, path) = request.split_once(' ').unwrap_or(("GET", request));
        let method = if method == "GET" { String::new() } else { format!("-X {method} ") };
        println!(
            "# {heading}\ncurl -i {}{method}{base}{path}\n",
            authorization.unwrap_or_default()
        );
    };

    println!("-- Scopes and roles\n");
    show("401: no token; the challenge names the scope", None, "/notes");
    show("200: the scope is enough", Some(token("alice", "notes:read")), "/notes");
    show("200: the role is enough, too", Some(with_role("auditor")), "/notes");
    show("403 insufficient_scope: neither", Some(with_role("guest")), "/notes");
    show("200: the role editor", Some(with_role("editor")), "POST /notes/1/publish");
    show(
        "403: another role; no scope would help, so the challenge names none",
        Some(with_role("auditor")),
        "POST /notes/1/publish",
    );

    println!("-- The owner of a note, whom only the handler knows\n");
    show(
        "403 insufficient_scope: the layer is first",
        Some(token("alice", "notes:read")),
        "PUT /notes/1",
    );
    show(
        "200: the owner; `notes` implies both scopes",
        Some(token("alice", "notes")),
        "PUT /notes/1",
    );
    show("403: the scopes, but not the owner", Some(token("bob", "notes")), "PUT /notes/1");
    show("404: no such note", Some(token("alice", "notes")), "PUT /notes/9");

    println!("-- Step-up (RFC 9470)\n");
    show(
        "401 insufficient_user_authentication: no second factor",
        Some(logged_in(60)),
        "DELETE /notes/1",
    );
    show(
        "401 insufficient_user_authentication: a login two hours ago",
        Some(logged_in(7200).claim("acr", "mfa")),
        "DELETE /notes/1",
    );
    show("200: both", Some(logged_in(0).claim("acr", "mfa")), "DELETE /notes/1");

    println!("-- A claim, and the tenant in the path\n");
    show("200: the tenant that may export", Some(of_tenant("acme")), "/export");
    show("403: another tenant", Some(of_tenant("globex")), "/export");
    show("403: no tenant", Some(token("alice", "notes:read")), "/export");
    show("200: the token's own tenant", Some(of_tenant("globex")), "/tenants/globex/notes");
    show("403: another tenant in the path", Some(of_tenant("globex")), "/tenants/acme/notes");
    show(
        "403: the tenant is named `%61cme`, which axum decodes to `acme`",
        Some(of_tenant("%61cme")),
        "/tenants/%61cme/notes",
    );

    println!("-- A policy service\n");
    show("200: it agrees", Some(token("alice", "notes")), "POST /notes/1/share");
    show("403: it refuses", Some(token("alice", "notes")), "POST /notes/2/share");
    show("503: it is down", Some(token("alice", "notes")), "POST /notes/3/share");

    println!("-- The API's own users\n");
    show("200: a user", Some(token("alice", "other")), "/me");
    show("403: suspended", Some(token("bob", "other")), "/me");
    show("503: the database is down", Some(token("carol", "other")), "/me");

    println!("-- Hidden resources\n");
    show("200: for editors", Some(with_role("editor")), "/drafts");
    show("404: for others", Some(token("alice", "notes")), "/drafts");
    show(
        "404: a path that does not exist; the same answer",
        Some(token("alice", "notes")),
        "/nowhere",
    );

    println!("-- The document\n");
    show("200: open to everyone", None, "/openapi.json");
    println!("Below is the API's log: it tells why each refused request was refused.");
}
