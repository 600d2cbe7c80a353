//! Authorization in one API with its own issuer: scopes, roles, claims, a recent login, the tenant in
//! the path, the owner of a note, the API's own users, and the OpenAPI document.
//!
//! `cargo run --example policies`, then run the lines that the program prints.

mod commands;
mod handlers;
mod openapi;

use std::time::Duration;

use axum::routing::{get, post, put};
use axum::{Json, Router};
use http::Method;
use http::request::Parts;
use tokio::net::TcpListener;
use tower_resource_server::policy::{
    Claim, LookupError, Requirement, Routes, acr, all_of, any_of, authenticated, claim, max_age,
    role,
};
use tower_resource_server::test_issuer::TestIssuer;
use tower_resource_server::{AccessToken, ConfigError, ResourceServer, scope};

use handlers::{User, delete, drafts, edit, export, list, list_of_tenant, me, publish, share};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    tracing_subscriber::fmt().with_env_filter("tower_resource_server=info").init();

    // The authorization server. In production, it is Keycloak, Entra ID, Auth0, ...
    let issuer = TestIssuer::start().await?;

    let api = ResourceServer::builder()
        .issuer(issuer.url())
        .audience("https://api.example.com")
        // A token with the scope `notes` also has the other two scopes. Without this line, it has only `notes`.
        .scope_implies("notes", ["notes:read", "notes:write"])
        .allow_http_loopback() // because the issuer of this example uses http on this machine
        .build()?;

    // The checks, the challenges and the document come from one table, so they always agree.
    let table = requirements();
    let document = openapi::document(&api, &table)?;
    let routes =
        table.into_iter().fold(Routes::for_axum(), |routes, (method, path, requirement)| {
            routes.route(method, path, requirement)
        });
    // Only editors can see that there are drafts. For others, `/drafts` does not exist: the document does not
    // list it, and the response is 404, as for every unknown path.
    let routes = routes.get("/drafts", Requirement::from(role("editor")).hidden()).hide_unlisted();

    let app = Router::new()
        .route("/notes", get(list))
        .route("/notes/{id}", put(edit).delete(delete))
        .route("/notes/{id}/publish", post(publish))
        .route("/notes/{id}/share", post(share))
        .route("/export", get(export))
        .route("/drafts", get(drafts))
        // These two routes require more than the table says: see `own_tenant` and `load_user`.
        .route(
            "/tenants/{tenant}/notes",
            get(list_of_tenant).route_layer(api.require_with(own_tenant)),
        )
        .route("/me", get(me).route_layer(api.load_user(load_user)))
        // A request to a route above that is not in the table is refused, so no route is open by mistake.
        .layer(api.protect_routes(routes))
        // This route comes after the layer, so everyone can read the document.
        .route("/openapi.json", get(|| async { Json(document) }));

    let listener = match TcpListener::bind("127.0.0.1:3000").await {
        Ok(listener) => listener,
        Err(_) => TcpListener::bind("127.0.0.1:0").await?,
    };
    commands::print(&issuer, &format!("http://{}", listener.local_addr()?));
    axum::serve(listener, app).await?;
    Ok(())
}

type Row = (Method, &'static str, Requirement);

/// The requirement of each route.
fn requirements() -> Vec<Row> {
    let read = scope("notes:read");
    let write = all_of(["notes:read", "notes:write"]);
    vec![
        (Method::GET, "/notes", any_of([read.clone(), role("auditor")]).into()),
        // The handler also requires that the user is the owner of the note.
        (Method::PUT, "/notes/{id}", write.clone().into()),
        // Step-up authentication: a second factor, and a login in the last hour. Otherwise, the client gets 401
        // and sends the user to the login page.
        (
            Method::DELETE,
            "/notes/{id}",
            all_of([write.clone(), acr(["mfa"]), max_age(Duration::from_secs(3600))]).into(),
        ),
        (Method::POST, "/notes/{id}/publish", role("editor").into()),
        (Method::POST, "/notes/{id}/share", write.and_check_async(may_share)),
        (Method::GET, "/export", all_of([read.clone(), claim("tenant").equals("acme")]).into()),
        (Method::GET, "/tenants/{tenant}/notes", read.into()),
        (Method::GET, "/me", authenticated().into()),
    ]
}

/// A rule for each request: the tenant in the path is the tenant of the token.
///
/// The rule reads text from the client, so it uses only the `try_` forms: they return an error (403),
/// where `claim(..)` and `scope(..)` would panic.
fn own_tenant(parts: &Parts, _: &AccessToken) -> Result<Requirement, ConfigError> {
    // This is the path as the client wrote it. axum decodes `%61` for the handler, but this rule does not decode
    // it. So the rule refuses `%`. Otherwise the rule and the handler could see two different tenants.
    let tenant = parts.uri.path().split('/').nth(2).filter(|tenant| !tenant.contains('%'));
    // If `tenant` is `None`, `one_of` has no values and refuses every token.
    Ok(Claim::try_named("tenant")?.one_of(tenant).into())
}

/// Asks a policy service. This check runs only if the scopes are sufficient.
fn may_share(
    parts: &Parts,
    token: &AccessToken,
) -> impl Future<Output = Result<(), LookupError>> + Send + use<> {
    // The future lives longer than the request's head, so the future owns its data. This check must see the
    // same id as the handler. An id that the handler would decode first (`%31`) is not a number here.
    let note: Option<u32> = parts.uri.path().split('/').nth(2).and_then(|id| id.parse().ok());
    let user = token.subject().map(str::to_owned);
    async move {
        match (user.as_deref(), note) {
            (Some("alice"), Some(1)) => Ok(()),
            (_, Some(3)) => Err(LookupError::unavailable("the policy service does not answer")),
            _ => Err(LookupError::refused("the policy service says no")),
        }
    }
}

/// Finds the API's own user for a token. In production, this is a database query by `token.principal()`. The
/// user is cached for a minute.
async fn load_user(token: AccessToken) -> Result<User, LookupError> {
    match token.subject() {
        Some("alice") => Ok(User { name: "Alice", notes_left: 17 }),
        Some("bob") => Err(LookupError::refused("the user is suspended")),
        Some("carol") => Err(LookupError::unavailable("the database is down")),
        _ => Err(LookupError::refused("there is no such user")),
    }
}
