//! A second scheme on the same routes: clients send access tokens (`Authorization: Bearer ..`), which this
//! crate checks, and partners send API keys (`Authorization: ApiKey ..`).
//!
//! `cargo run --example api_key`, then run the lines that the program prints.

use std::sync::Arc;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::digest::{SHA256, digest};
use axum::extract::{FromRequestParts, State};
use axum::response::Result;
use axum::routing::get;
use axum::{Json, RequestPartsExt as _, Router};
use http::StatusCode;
use http::header::AUTHORIZATION;
use http::request::Parts;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tower_resource_server::policy::{Requirement, all_of};
use tower_resource_server::refusal::Refusal;
use tower_resource_server::test_issuer::TestIssuer;
use tower_resource_server::{AccessToken, ResourceServer, scope};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    tracing_subscriber::fmt().with_env_filter("tower_resource_server=info,api_key=info").init();

    // The authorization server. In production, it is Keycloak, Entra ID, Auth0, ...
    let issuer = TestIssuer::start().await?;

    let api = ResourceServer::builder()
        .issuer(issuer.url())
        .audience("https://api.example.com")
        // A 401 names both schemes, so that a client knows which schemes it can use.
        .other_challenge(r#"ApiKey realm="partners""#)
        .allow_http_loopback() // because the issuer of this example uses http on this machine
        .build()?;

    let shop = Shop {
        partners: vec![
            Partner { name: "acme", key_hash: sha256(ACME_KEY), may_edit: true },
            Partner { name: "globex", key_hash: sha256(GLOBEX_KEY), may_edit: false },
        ],
        read: scope("orders:read").into(),
        edit: all_of(["orders:read", "orders:write"]).into(),
    };
    let app = Router::new()
        .route("/orders", get(list).put(edit))
        // A request with another scheme, or without `Authorization`, passes as anonymous. So each handler
        // takes a `Caller`: a handler without a `Caller` is open to everyone. A request with a bad token or
        // with several `Authorization` lines is refused.
        .layer(api.optional_layer())
        .with_state(Arc::new(shop));

    let listener = match TcpListener::bind("127.0.0.1:3000").await {
        Ok(listener) => listener,
        Err(_) => TcpListener::bind("127.0.0.1:0").await?,
    };
    print_commands(&issuer, &format!("http://{}", listener.local_addr()?));
    axum::serve(listener, app).await?;
    Ok(())
}

// Keys for this example. A real key is random and has at least 128 bits. Give it to the partner, and store
// only its hash.
const ACME_KEY: &str = "hK3vT0bq8ZsW5cYd1mXr9A";
const GLOBEX_KEY: &str = "Pn7uE2fLx4JgQo6iRw0zCs";

struct Shop {
    partners: Vec<Partner>,
    read: Requirement,
    edit: Requirement,
}

#[derive(Clone)]
struct Partner {
    name: &'static str,
    key_hash: [u8; 32],
    may_edit: bool,
}

impl Shop {
    /// Finds the partner with this key.
    ///
    /// The comparison is in constant time. For hashes, this matters little, because a client can't choose the
    /// hash of its guess byte by byte. But it costs nothing.
    fn partner(&self, key: &str) -> Option<&Partner> {
        let hash = sha256(key);
        let is_same =
            |partner: &&Partner| verify_slices_are_equal(&partner.key_hash, &hash).is_ok();
        self.partners.iter().find(is_same)
    }
}

fn sha256(text: &str) -> [u8; 32] {
    let mut hash = [0; 32];
    hash.copy_from_slice(digest(&SHA256, text.as_bytes()).as_ref());
    hash
}

/// The caller of a request: a client or a partner, never both, because a request has one `Authorization` line.
enum Caller {
    Token(AccessToken),
    Partner(Partner),
}

impl FromRequestParts<Arc<Shop>> for Caller {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, shop: &Arc<Shop>) -> Result<Self, Refusal> {
        // The layer has checked this token. It refuses requests with a bad token.
        if let Some(token) = parts.extract::<Option<AccessToken>>().await? {
            return Ok(Self::Token(token));
        }
        if let Some(key) = api_key(parts) {
            if let Some(partner) = shop.partner(key) {
                return Ok(Self::Partner(partner.clone()));
            }
            tracing::info!("request refused: no partner has this API key"); // never log the key
        }
        // Neither a token nor a key: the extractor of the token makes the 401, which names both schemes.
        parts.extract::<AccessToken>().await.map(Self::Token)
    }
}

/// The API key of a request. The key is in `Authorization`, not in its own header, so that the layer refuses a
/// request with both a key and a token.
fn api_key(parts: &Parts) -> Option<&str> {
    let (scheme, key) = parts.headers.get(AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("ApiKey").then_some(key) // RFC 9110, section 11.1
}

impl Caller {
    /// Each kind of caller has its own rule.
    #[allow(clippy::result_large_err, reason = "axum's own type for a refused request")]
    fn may(&self, requirement: &Requirement, partner_may: impl Fn(&Partner) -> bool) -> Result<()> {
        match self {
            // The response is the same as with `api.require(..)`.
            Self::Token(token) => Ok(token.require(requirement)?),
            Self::Partner(partner) if partner_may(partner) => Ok(()),
            Self::Partner(_) => Err(StatusCode::FORBIDDEN.into()),
        }
    }

    fn name(&self) -> &str {
        match self {
            Self::Token(token) => token.subject().unwrap_or("a client"),
            Self::Partner(partner) => partner.name,
        }
    }
}

async fn list(State(shop): State<Arc<Shop>>, caller: Caller) -> Result<Json<Value>> {
    caller.may(&shop.read, |_| true)?;
    Ok(Json(json!({ "orders": [1, 2], "caller": caller.name() })))
}

async fn edit(State(shop): State<Arc<Shop>>, caller: Caller) -> Result<Json<Value>> {
    caller.may(&shop.edit, |partner| partner.may_edit)?;
    Ok(Json(json!({ "edited": true, "caller": caller.name() })))
}

fn print_commands(issuer: &TestIssuer, base: &str) {
    let token = |scope: &str| issuer.token().scope(scope).expires_in(3600);
    let bearer = format!("Bearer {}", token("orders:read").sign());
    let writer = format!("Bearer {}", token("orders:read orders:write").sign());
    let expired = format!("Bearer {}", token("orders:read").expires_in(-3600).sign());
    let (acme, globex) = (format!("ApiKey {ACME_KEY}"), format!("ApiKey {GLOBEX_KEY}"));
    let show = |heading: &str, lines: &[&str], method: &str| {
        let lines: Vec<_> =
            lines.iter().map(|line| format!("-H 'Authorization: {line}' ")).collect();
        println!("# {heading}\ncurl -i {}{method}{base}/orders\n", lines.concat());
    };
    println!("The API listens on {base}, its issuer on {}.\n", issuer.url());
    show("200: a client with a token", &[&bearer], "");
    show("200: a partner with a key", &[&acme], "");
    show("401: no credentials; two challenges, one for each scheme", &[], "");
    show("401: an unknown key; the same", &["ApiKey unknown"], "");
    show("401 invalid_token: a bad token never passes as a partner", &[&expired], "");
    show("400 invalid_request: a token and a key", &[&bearer, &acme], "");
    show("400 invalid_request: the other way round", &[&acme, &bearer], "");
    show("400 invalid_request: both in one line", &[&format!("{acme}, {bearer}")], "");
    show("403 insufficient_scope: the token lacks a scope", &[&bearer], "-X PUT ");
    show("200: the token has both scopes", &[&writer], "-X PUT ");
    show("403: this partner may only read", &[&globex], "-X PUT ");
    show("200: this partner may edit", &[&acme], "-X PUT ");
    println!("Below is the API's log: it tells why each refused request was refused.");
}
