//! The layer without axum: any `tower::Service` over HTTP will do, here on bare hyper. One table has the
//! requirement of each route.
//!
//! `cargo run --example hyper -- https://as.example.com https://api.example.com`

use std::convert::Infallible;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use hyper_util::service::TowerToHyperService;
use tower::{Layer as _, service_fn};
use tower_resource_server::policy::Routes;
use tower_resource_server::refusal::ProblemJson;
use tower_resource_server::{AccessToken, Claims, ResourceServer, scope};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    tracing_subscriber::fmt().with_env_filter("tower_resource_server=info").init();
    let mut arguments = std::env::args().skip(1);
    let (Some(issuer), Some(audience)) = (arguments.next(), arguments.next()) else {
        return Err("usage: hyper ISSUER AUDIENCE".into());
    };

    let api = ResourceServer::builder()
        .issuer(issuer)
        .audience(audience)
        .refusal_body(ProblemJson)
        .build()?;
    let routes = Routes::for_raw_paths()
        .get("/", scope("notes:read"))
        .get("/notes/{id}", scope("notes:read"))
        .delete("/notes/{id}", scope("notes:write"));
    let service = api.protect_routes(routes).layer(service_fn(answer));

    let listener = tokio::net::TcpListener::bind("127.0.0.1:3000").await?;
    println!("http://{}/", listener.local_addr()?);
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

async fn answer(request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let segments: Vec<&str> = request.uri().path().split('/').skip(1).collect();
    let text = match (request.method().as_str(), segments.as_slice()) {
        ("GET" | "HEAD", [""]) => hello(&request),
        ("GET" | "HEAD", ["notes", id]) => format!("note {id}\n"),
        ("DELETE", ["notes", id]) => format!("note {id} is deleted\n"),
        // The table does not list this route, so the layer has refused the request.
        _ => "no such route\n".to_owned(),
    };
    Ok(Response::new(Full::new(Bytes::from(text))))
}

fn hello(request: &Request<Incoming>) -> String {
    match AccessToken::<Claims>::from_extensions(request.extensions()) {
        Some(token) => format!("hello, {}\n", token.subject().unwrap_or("client")),
        None => "no layer around this service\n".to_owned(),
    }
}
