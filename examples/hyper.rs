//! The layer without axum: any `tower::Service` over HTTP will do, here on bare hyper.
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
    let service = api.protect(scope("notes:read")).layer(service_fn(hello));

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

async fn hello(request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let text = match AccessToken::<Claims>::from_extensions(request.extensions()) {
        Some(token) => format!("hello, {}\n", token.subject().unwrap_or("client")),
        None => "no layer around this service\n".to_owned(),
    };
    Ok(Response::new(Full::new(Bytes::from(text))))
}
