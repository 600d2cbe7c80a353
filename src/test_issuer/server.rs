//! The issuer over HTTP.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Weak};
use std::time::Duration;

use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, ETAG, IF_NONE_MATCH, LOCATION, RETRY_AFTER};
use http::{Method, Request, Response, StatusCode};
use http_body_util::channel::Channel;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde_json::json;
use tokio::net::{TcpListener, TcpSocket};
use tokio::task::{AbortHandle, JoinSet};

use super::fault::{Endpoint, Fault};
use super::{Documents, Shared, TOKEN_LIFETIME, TestIssuer, introspect, keys};

pub(crate) type Answer = Response<UnsyncBoxBody<Bytes, Infallible>>;

/// Bytes of a request's body.
const MAX_FORM: usize = 64 * 1024;

/// The task that serves, ended with this value.
pub(crate) struct ServerTask(AbortHandle);

impl Drop for ServerTask {
    fn drop(&mut self) {
        self.0.abort();
    }
}

pub(crate) async fn bind(address: SocketAddr) -> std::io::Result<TcpListener> {
    let socket = match address {
        SocketAddr::V4(_) => TcpSocket::new_v4()?,
        SocketAddr::V6(_) => TcpSocket::new_v6()?,
    };
    // So that a restarted issuer gets its port back while old connections linger.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(1024)
}

impl ServerTask {
    pub(crate) fn spawn(listener: TcpListener, issuer: Weak<Shared>) -> Self {
        Self(tokio::spawn(accept(listener, issuer)).abort_handle())
    }
}

async fn accept(listener: TcpListener, issuer: Weak<Shared>) {
    // Dropped with the task, and every connection with it.
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        let issuer = Weak::clone(&issuer);
        connections.spawn(async move {
            let service = service_fn(move |request| {
                let issuer = issuer.upgrade();
                async move {
                    match issuer {
                        Some(issuer) => Ok::<_, Infallible>(answer(issuer, request).await),
                        None => Ok(plain(StatusCode::SERVICE_UNAVAILABLE, "")),
                    }
                }
            });
            // A client that goes away is no concern of the issuer's.
            let _ = hyper::server::conn::http1::Builder::new()
                .serve_connection(TokioIo::new(stream), service)
                .await;
        });
        while connections.try_join_next().is_some() {}
    }
}

async fn answer(issuer: Arc<Shared>, request: Request<Incoming>) -> Answer {
    let endpoint = route(&issuer, request.method(), request.uri().path());
    {
        let mut state = issuer.state();
        state.requests.push(format!("{} {}", request.method(), request.uri()));
        match endpoint {
            None => state.counts.not_found += 1,
            Some(Endpoint::Metadata) => state.counts.metadata += 1,
            Some(Endpoint::Jwks) => state.counts.jwks += 1,
            Some(Endpoint::Token) => state.counts.token += 1,
            Some(Endpoint::Introspection) => state.counts.introspection += 1,
            Some(Endpoint::Revocation) => state.counts.revocation += 1,
        }
    }
    let Some(endpoint) = endpoint else {
        return plain(StatusCode::NOT_FOUND, "");
    };
    let fault = issuer.fault(endpoint);
    let good = match endpoint {
        Endpoint::Metadata => json_answer(issuer.metadata()),
        Endpoint::Jwks => jwks(&issuer, &request),
        Endpoint::Token => token(&issuer, request).await,
        Endpoint::Introspection | Endpoint::Revocation => {
            let (head, body) = request.into_parts();
            match form(body).await {
                Some(body) if endpoint == Endpoint::Introspection => {
                    introspect::introspection(&issuer, &head.headers, &body)
                }
                Some(body) => introspect::revocation(&issuer, &head.headers, &body),
                None => plain(StatusCode::PAYLOAD_TOO_LARGE, ""),
            }
        }
    };
    misbehave(fault, good).await
}

fn route(issuer: &Shared, method: &Method, path: &str) -> Option<Endpoint> {
    let documents = issuer.state().documents;
    let own = &issuer.path;
    let is = |expected: String| path == expected;
    if method == Method::POST {
        return [
            ("token", Endpoint::Token),
            ("introspect", Endpoint::Introspection),
            ("revoke", Endpoint::Revocation),
        ]
        .into_iter()
        .find_map(|(name, endpoint)| is(format!("{own}/{name}")).then_some(endpoint));
    }
    if is(format!("{own}/jwks")) {
        return Some(Endpoint::Jwks);
    }
    let oauth = is(format!("/.well-known/oauth-authorization-server{own}"));
    let open_id = is(format!("{own}/.well-known/openid-configuration"));
    let served = match documents {
        Documents::Both => oauth || open_id,
        Documents::OAuth => oauth,
        Documents::OpenId => open_id,
    };
    served.then_some(Endpoint::Metadata)
}

fn jwks(issuer: &Shared, request: &Request<Incoming>) -> Answer {
    let document = issuer.jwks();
    let etag = keys::etag(&document);
    let unchanged =
        request.headers().get(IF_NONE_MATCH).is_some_and(|known| known == etag.as_str());
    let mut answer =
        if unchanged { plain(StatusCode::NOT_MODIFIED, "") } else { json_answer(document) };
    if let Ok(etag) = etag.parse() {
        answer.headers_mut().insert(ETAG, etag);
    }
    if let Some(Ok(value)) = issuer.state().cache_control.as_ref().map(|value| value.parse()) {
        answer.headers_mut().insert(CACHE_CONTROL, value);
    }
    answer
}

/// Client credentials (RFC 6749 §4.4), for any client: this is a server for tests.
async fn token(issuer: &Arc<Shared>, request: Request<Incoming>) -> Answer {
    let Some(body) = form(request.into_body()).await else {
        return plain(StatusCode::PAYLOAD_TOO_LARGE, "");
    };
    let parameter = |name: &str| {
        form_urlencoded::parse(&body)
            .find(|(own, _)| own == name)
            .map(|(_, text)| text.into_owned())
    };
    if parameter("grant_type").as_deref() != Some("client_credentials") {
        return error(StatusCode::BAD_REQUEST, "unsupported_grant_type");
    }
    let issuer = TestIssuer { shared: Arc::clone(issuer) };
    let client = parameter("client_id").unwrap_or_else(|| "app".to_owned());
    let mut token = issuer.token().subject(&client).claim("client_id", client.as_str());
    if let Some(resource) = parameter("resource") {
        token = token.audience(&resource);
    }
    if let Some(scope) = parameter("scope") {
        token = token.scope(&scope);
    }
    let lifetime = TOKEN_LIFETIME.as_secs();
    json_answer(
        json!({ "access_token": token.sign(), "token_type": "Bearer", "expires_in": lifetime })
            .to_string(),
    )
}

async fn form(body: Incoming) -> Option<Bytes> {
    let body = Limited::new(body, MAX_FORM).collect().await;
    body.map(http_body_util::Collected::to_bytes).ok()
}

async fn misbehave(fault: Fault, good: Answer) -> Answer {
    let half = |body: &Bytes| body.slice(..body.len() / 2);
    match fault {
        Fault::None => good,
        Fault::Slow(pause) => {
            tokio::time::sleep(pause).await;
            good
        }
        Fault::Hang => std::future::pending().await,
        Fault::Status(status) => {
            let mut answer = good;
            *answer.status_mut() = StatusCode::from_u16(status).unwrap_or_default();
            answer
        }
        Fault::Busy(seconds) => {
            let mut answer = plain(StatusCode::SERVICE_UNAVAILABLE, "");
            answer.headers_mut().insert(RETRY_AFTER, seconds.into());
            answer
        }
        Fault::Redirect(url) => {
            let mut answer = plain(StatusCode::FOUND, "");
            if let Ok(url) = url.parse() {
                answer.headers_mut().insert(LOCATION, url);
            }
            answer
        }
        Fault::Html => {
            let mut answer = plain(StatusCode::OK, "<!doctype html><title>Please wait</title>");
            answer.headers_mut().insert(CONTENT_TYPE, http::HeaderValue::from_static("text/html"));
            answer
        }
        Fault::Garbage => json_answer("\u{0}\u{1}garbage".to_owned()),
        Fault::Truncated => {
            let (parts, body) = good.into_parts();
            let Ok(body) = body.collect().await.map(http_body_util::Collected::to_bytes);
            Response::from_parts(parts, Full::new(half(&body)).boxed_unsync())
        }
        Fault::Trickle => {
            let (mut sender, body) = Channel::<Bytes, Infallible>::new(1);
            tokio::spawn(async move {
                while sender.send_data(Bytes::from_static(b" ")).await.is_ok() {
                    tokio::time::sleep(Duration::from_secs(1)).await;
                }
            });
            let (parts, _) = good.into_parts();
            Response::from_parts(parts, body.boxed_unsync())
        }
        Fault::Oversize(octets) => {
            json_answer(format!("{{\"keys\":[],\"pad\":\"{}\"}}", "x".repeat(octets)))
        }
        Fault::Body(body) => json_answer(body),
        Fault::Typed(content_type, body) => typed_answer(&content_type, body),
        Fault::Error(status, code) => {
            error(StatusCode::from_u16(status).unwrap_or_default(), &code)
        }
        Fault::ContentType(content_type) => {
            let mut answer = good;
            answer.headers_mut().remove(CONTENT_TYPE);
            if let (false, Ok(value)) = (content_type.is_empty(), content_type.parse()) {
                answer.headers_mut().insert(CONTENT_TYPE, value);
            }
            answer
        }
    }
}

pub(crate) fn json_answer(body: String) -> Answer {
    typed_answer("application/json", body)
}

pub(crate) fn typed_answer(content_type: &str, body: String) -> Answer {
    let mut answer = Response::new(Full::new(Bytes::from(body)).boxed_unsync());
    if let Ok(content_type) = content_type.parse() {
        answer.headers_mut().insert(CONTENT_TYPE, content_type);
    }
    answer
}

/// An error by RFC 6749 §5.2.
pub(crate) fn error(status: StatusCode, code: &str) -> Answer {
    let mut answer = json_answer(json!({ "error": code }).to_string());
    *answer.status_mut() = status;
    answer
}

pub(crate) fn plain(status: StatusCode, body: &'static str) -> Answer {
    let mut answer = Response::new(Full::new(Bytes::from_static(body.as_bytes())).boxed_unsync());
    *answer.status_mut() = status;
    answer
}
