//! The layer without axum, here with hyper: it works with any `tower::Service` of HTTP requests.
//! One table has the requirement of each route.
//!
//! `cargo run --example hyper` starts an issuer, too, and prints requests to try. With a real authorization
//! server: `cargo run --example hyper -- https://as.example.com https://api.example.com`.

mod routes;

use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpListener;
use tower::{Layer as _, service_fn};
use tower_resource_server::ResourceServer;
use tower_resource_server::refusal::ProblemJson;
use tower_resource_server::test_issuer::TestIssuer;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    tracing_subscriber::fmt().with_env_filter("tower_resource_server=info").init();
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let issuer = TestIssuer::start().await?;
    let (builder, is_try_out) = match arguments.as_slice() {
        [url, audience] => (ResourceServer::builder().issuer(url).audience(audience), false),
        [] => {
            let builder = ResourceServer::builder().issuer(issuer.url());
            // The test issuer uses http on this machine.
            (builder.audience("https://api.example.com").allow_http_loopback(), true)
        }
        _ => return Err("usage: hyper [ISSUER AUDIENCE]".into()),
    };
    let api = builder.refusal_body(ProblemJson).build()?;
    let layer = api.protect_routes(routes::requirements());
    let service = layer.layer(service_fn(routes::answer));

    let listener = match TcpListener::bind("127.0.0.1:3000").await {
        Ok(listener) => listener,
        Err(_) => TcpListener::bind("127.0.0.1:0").await?,
    };
    println!("The API listens on http://{}/\n", listener.local_addr()?);
    if is_try_out {
        print_commands(&issuer, &format!("http://{}", listener.local_addr()?));
    }
    loop {
        let (stream, _) = listener.accept().await?;
        let service = TowerToHyperService::new(service.clone());
        tokio::spawn(async move {
            let server = auto::Builder::new(TokioExecutor::new());
            if let Err(error) = server.serve_connection(TokioIo::new(stream), service).await {
                eprintln!("connection: {error}");
            }
        });
    }
}

fn print_commands(issuer: &TestIssuer, base: &str) {
    let reader = issuer.token().subject("alice").scope("notes:read").expires_in(3600).sign();
    for (what, rest) in [
        ("200: the name of the user", "/"),
        ("200: a note", "/notes/7"),
        ("403 insufficient_scope: the scope notes:write is missing", "/notes/7 -X DELETE"),
        ("403: the table does not list this route", "/admin"),
        ("403: two readers could read this path differently", "/notes/..%2fadmin"),
    ] {
        println!(
            "# {what}\ncurl -i --path-as-is -H 'Authorization: Bearer {reader}' {base}{rest}\n"
        );
    }
    println!("# 401: no token\ncurl -i {base}/notes/7\n");
    println!("Below is the API's log: it tells why each refused request was refused.");
}
