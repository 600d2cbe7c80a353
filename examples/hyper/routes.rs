//! The routes: what each route requires, and the function that answers. The test `routes` of this crate
//! sends hostile requests to this file.

use std::convert::Infallible;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use tower_resource_server::policy::Routes;
use tower_resource_server::{AccessToken, Claims, scope};

/// The requirement of each route. The layer refuses a request to any other route.
pub fn requirements() -> Routes {
    Routes::for_raw_paths()
        .get("/", scope("notes:read"))
        .get("/notes/{id}", scope("notes:read"))
        .delete("/notes/{id}", scope("notes:write"))
}

/// Answers a request that the layer has accepted.
pub async fn answer<B>(request: Request<B>) -> Result<Response<Full<Bytes>>, Infallible> {
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

fn hello<B>(request: &Request<B>) -> String {
    match AccessToken::<Claims>::from_extensions(request.extensions()) {
        Some(token) => format!("hello, {}\n", token.subject().unwrap_or("client")),
        None => "no layer around this service\n".to_owned(),
    }
}
