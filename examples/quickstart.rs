//! A protected API and an authorization server for it, in one process: `cargo run --example
//! quickstart`, then run the lines that the program prints.

use axum::routing::{get, put};
use axum::{Json, Router};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tower_resource_server::policy::all_of;
use tower_resource_server::test_issuer::{TestIssuer, TokenBuilder};
use tower_resource_server::{AccessToken, ResourceServer, scope};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    tracing_subscriber::fmt().with_env_filter("tower_resource_server=info").init();

    // The authorization server. In production, it is Keycloak, Entra ID, Auth0, ...
    let issuer = TestIssuer::start().await?;

    let api = ResourceServer::builder()
        .issuer(issuer.url())
        .audience("https://api.example.com")
        .allow_http_loopback() // because the issuer of this example uses http on this machine
        .build()?;

    let app = Router::new()
        .route("/notes", get(list).route_layer(api.require(scope("notes:read"))))
        .route(
            "/notes/1",
            put(edit).route_layer(api.require(all_of(["notes:read", "notes:write"]))),
        )
        .layer(api.layer());

    let listener = match TcpListener::bind("127.0.0.1:3000").await {
        Ok(listener) => listener,
        Err(_) => TcpListener::bind("127.0.0.1:0").await?,
    };
    let base = format!("http://{}", listener.local_addr()?);
    print_commands(&issuer, &base);
    axum::serve(listener, app).await?;
    Ok(())
}

async fn list(token: AccessToken) -> Json<Value> {
    Json(json!({ "notes": ["buy milk"], "claims": token.claims() }))
}

async fn edit(token: AccessToken) -> Json<Value> {
    Json(json!({ "edited_by": token.subject() }))
}

fn print_commands(issuer: &TestIssuer, base: &str) {
    let reader = || issuer.token().scope("notes:read").expires_in(3600);
    let command = |what: &str, token: Option<TokenBuilder<'_>>, rest: &str| {
        println!("# {what}");
        match token {
            Some(token) => println!("curl -i -H 'Authorization: Bearer {}' {rest}\n", token.sign()),
            None => println!("curl -i {rest}\n"),
        }
    };
    let notes = format!("{base}/notes");
    println!("The API listens on {base}, its issuer on {}.\n", issuer.url());
    command("200, and the claims of the token", Some(reader()), &notes);
    command("401 without an error code: no credentials", None, &notes);
    command("401 invalid_token: expired an hour ago", Some(reader().expires_in(-3600)), &notes);
    command(
        "401 invalid_token: meant for another API",
        Some(reader().audience("https://other.example.com")),
        &notes,
    );
    command(
        "403 insufficient_scope: notes:write lacks",
        Some(reader()),
        &format!("-X PUT {notes}/1"),
    );
    println!(
        "# A token from the issuer's token endpoint, as a client would get one\n\
         curl -s -u app:any-secret -d 'grant_type=client_credentials&scope=notes:read' {}/token\n",
        issuer.url()
    );
    println!("Below is the API's log: it tells why each refused request was refused.");
}
