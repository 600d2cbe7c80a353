//! The issuer's HTTP server.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, PoisonError, Weak};

use bytes::Bytes;
use http::header::{CACHE_CONTROL, ETAG, IF_NONE_MATCH};
use http::{Method, Request, StatusCode};
use http_body_util::{BodyExt as _, Limited};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde_json::json;
use tokio::net::{TcpListener, TcpSocket};
use tokio::task::JoinSet;

use super::answer::{Answer, error, json_answer, misbehave, plain};
use super::fault::Endpoint;
use super::issuer::TestIssuer;
use super::state::{Documents, ServerTask, Shared, TOKEN_LIFETIME};
use super::{introspect, keys};

/// The maximum length of a request's body in bytes.
const MAX_FORM: usize = 64 * 1024;

pub(crate) async fn bind(address: SocketAddr) -> std::io::Result<TcpListener> {
    let socket = match address {
        SocketAddr::V4(_) => TcpSocket::new_v4()?,
        SocketAddr::V6(_) => TcpSocket::new_v6()?,
    };
    // A restarted issuer can use its port again while old connections are still closing.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(1024)
}

impl Shared {
    /// Starts the HTTP server. It runs until `stop` is called or the issuer is dropped.
    pub(super) fn serve(self: &Arc<Self>, listener: tokio::net::TcpListener) {
        let task = ServerTask(tokio::spawn(accept(listener, Arc::downgrade(self))).abort_handle());
        *self.server.lock().unwrap_or_else(PoisonError::into_inner) = Some(task);
    }
}

async fn accept(listener: TcpListener, issuer: Weak<Shared>) {
    // When this task ends, `connections` is dropped, which closes every connection.
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
            // If the client disconnects, the issuer has nothing to do.
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

/// The client credentials grant (RFC 6749 §4.4). Any client is accepted, because this server is for
/// tests.
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
    let issuer = TestIssuer::of(issuer);
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
