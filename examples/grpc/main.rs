//! A gRPC service with tonic: one table has the requirement of each method, and a handler checks the owner of
//! a note. A refusal is a gRPC status. `cargo run --example grpc`, then run the lines that the program prints.
//!
//! With `--outage`, the authorization server does not respond, and calls get `UNAVAILABLE`.

mod call;
mod notes;
mod proto;

use std::error::Error;

use tokio::net::TcpListener;
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;
use tower_resource_server::policy::{Requirement, Routes};
use tower_resource_server::test_issuer::TestIssuer;
use tower_resource_server::{ResourceServer, scope};

use notes::MyNotes;
use proto::NotesServer;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.split_first() {
        Some((command, rest)) if command == "call" => call::call(rest).await,
        _ => serve(arguments.iter().any(|argument| argument == "--outage")).await,
    }
}

async fn serve(outage: bool) -> Result<(), Box<dyn Error>> {
    tracing_subscriber::fmt().with_env_filter("tower_resource_server=info").init();

    // The authorization server. In production, it is Keycloak, Entra ID, Auth0, ...
    let issuer = TestIssuer::start().await?;
    if outage {
        issuer.stop();
    }

    let api = ResourceServer::builder()
        .issuer(issuer.url())
        .audience("https://api.example.com")
        .allow_http_loopback() // because the issuer of this example uses http on this machine
        .build()?;

    // The path of a call is `/package.Service/Method`. A method that is not in the table is refused.
    let methods = Routes::for_raw_paths()
        .post("/notes.v1.Notes/Get", scope("notes:read"))
        .post("/notes.v1.Notes/List", scope("notes:read"))
        .post("/notes.v1.Notes/Import", scope("notes:write"))
        .post("/notes.v1.Notes/Delete", Requirement::from(scope("notes:admin")).hidden());

    let listener = match TcpListener::bind("127.0.0.1:50051").await {
        Ok(listener) => listener,
        Err(_) => TcpListener::bind("127.0.0.1:0").await?,
    };
    print_commands(&issuer, &format!("http://{}", listener.local_addr()?));
    Server::builder()
        .layer(api.protect_routes(methods).grpc())
        .add_service(NotesServer::new(MyNotes))
        .serve_with_incoming(TcpIncoming::from(listener))
        .await?;
    Ok(())
}

fn print_commands(issuer: &TestIssuer, url: &str) {
    println!("The service listens on {url}, its issuer on {}.\n", issuer.url());
    let token = |scope: &str| issuer.token().subject("alice").scope(scope).expires_in(3600);
    println!("reader={}", token("notes:read").sign());
    println!("writer={}", token("notes:write").sign());
    println!("admin={}", token("notes:admin").sign());
    println!("foreign={}\n", token("notes:read").audience("https://other.example.com").sign());

    let command = |what: &str, rest: &str| {
        println!("# {what}");
        println!("cargo run -q --example grpc -- call {url} {rest}\n");
    };
    command("Ok: a note", r#"get 1 "$reader""#);
    command("Unauthenticated: no token", "get 1");
    command("Unauthenticated: a token for another API", r#"get 1 "$foreign""#);
    command("PermissionDenied: a note of another user", r#"get 2 "$reader""#);
    command("Ok: a stream from the server", r#"list "$reader""#);
    command("PermissionDenied: the scope is missing", r#"list "$writer""#);
    command("Ok: a stream to the server", r#"import "$writer""#);
    command("PermissionDenied: the scope is missing", r#"import "$reader""#);
    command("Ok: a hidden method", r#"delete 1 "$admin""#);
    command("NotFound: a hidden method", r#"delete 1 "$reader""#);
    println!("Below is the service's log: it tells why each refused call was refused.");
}
