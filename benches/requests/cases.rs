//! What is measured.

#[cfg(feature = "dpop")]
#[path = "dpop.rs"]
mod dpop;
#[path = "introspected.rs"]
pub mod introspected;

use std::convert::Infallible;
use std::future::{Future, Ready, ready};
use std::hint::black_box;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use aws_lc_rs::signature::{self, ParsedPublicKey, VerificationAlgorithm};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use serde::Deserialize;
use tower::{Layer, Service, service_fn};
use tower_resource_server::clock::TestClock;
use tower_resource_server::issuer::SourceError;
use tower_resource_server::keys::{Algorithm, FetchedKeys, KeySource};
use tower_resource_server::test_issuer::{TestIssuer, TokenBuilder};
use tower_resource_server::{Issuer, ResourceServer, scope};

pub type Body = Full<Bytes>;
/// Makes the calls and returns the last answer.
pub type Batch = Box<dyn FnOnce() -> Option<Response<Body>>>;

/// One line of the table.
pub struct Case {
    pub name: &'static str,
    /// The case that it is compared with.
    pub base: Base,
    /// Builds so many requests, and says how to send them.
    pub prepare: Box<dyn FnMut(usize) -> Batch>,
}

/// What a case is compared with.
#[derive(Clone, Copy)]
pub enum Base {
    None,
    /// The bare verification of the same signature, by its name.
    Signature(&'static str),
    /// The bare service, by its name.
    Service(&'static str),
}

/// A claims type as small as an API can do with.
#[derive(Deserialize)]
struct Small {
    #[allow(dead_code, reason = "read by nobody, made by everybody")]
    tenant: String,
}

pub fn all() -> Vec<Case> {
    let mut cases = Vec::new();
    for family in [RS256, ES256, ED25519] {
        family.add_to(&mut cases);
    }
    add_refusals(&mut cases);
    introspected::add_to(&mut cases);
    #[cfg(feature = "dpop")]
    dpop::add_to(&mut cases);
    cases
}

struct Family {
    algorithm: Algorithm,
    verification: &'static dyn VerificationAlgorithm,
    names: [&'static str; 5],
    jsonwebtoken: jsonwebtoken::Algorithm,
}

const RS256: Family = Family {
    algorithm: Algorithm::RS256,
    verification: &signature::RSA_PKCS1_2048_8192_SHA256,
    names: [
        "RS256 bare aws-lc-rs, prepared key",
        "RS256 jsonwebtoken::decode, small claims",
        "RS256 layer, small claims",
        "RS256 layer, default claims",
        "RS256 layer, bad signature",
    ],
    jsonwebtoken: jsonwebtoken::Algorithm::RS256,
};

const ES256: Family = Family {
    algorithm: Algorithm::ES256,
    verification: &signature::ECDSA_P256_SHA256_FIXED,
    names: [
        "ES256 bare aws-lc-rs, prepared key",
        "ES256 jsonwebtoken::decode, small claims",
        "ES256 layer, small claims",
        "ES256 layer, default claims",
        "ES256 layer, bad signature",
    ],
    jsonwebtoken: jsonwebtoken::Algorithm::ES256,
};

const ED25519: Family = Family {
    algorithm: Algorithm::Ed25519,
    verification: &signature::ED25519,
    names: [
        "Ed25519 bare aws-lc-rs, prepared key",
        "Ed25519 jsonwebtoken::decode, small claims",
        "Ed25519 layer, small claims",
        "Ed25519 layer, default claims",
        "Ed25519 layer, bad signature",
    ],
    jsonwebtoken: jsonwebtoken::Algorithm::EdDSA,
};

impl Family {
    fn add_to(&self, cases: &mut Vec<Case>) {
        let issuer = TestIssuer::builder().algorithm(self.algorithm).in_process(ISSUER);
        let token = token(&issuer);
        let name = |at: usize| self.names[at];
        let base = Base::Signature(name(0));

        let key = Arc::new(self.prepared_key(&issuer));
        let (input, signature) = token.rsplit_once('.').unwrap();
        let (input, signature) = (input.to_owned(), URL_SAFE_NO_PAD.decode(signature).unwrap());
        cases.push(repeated(name(0), Base::None, move || {
            key.verify_sig(input.as_bytes(), &signature).unwrap();
        }));

        let (key, validation) = self.jsonwebtoken(&issuer);
        let text = token.clone();
        cases.push(repeated(name(1), base, move || {
            black_box(jsonwebtoken::decode::<Small>(&text, &key, &validation).unwrap());
        }));

        let small = server(&issuer, |builder| builder.claims::<Small>().build().unwrap());
        warm(&small, &token);
        cases.push(sent(name(2), base, small.layer().layer(service()), bearer(&token), 200));

        let default = server(&issuer, |builder| builder.build().unwrap());
        warm(&default, &token);
        let layer = default.layer();
        cases.push(sent(name(3), base, layer.layer(service()), bearer(&token), 200));

        // Another token's signature: well-formed, and wrong.
        let other = self::token(&issuer);
        let forged =
            format!("{}.{}", token.rsplit_once('.').unwrap().0, other.rsplit_once('.').unwrap().1);
        cases.push(sent(name(4), base, layer.layer(service()), bearer(&forged), 401));
    }

    fn prepared_key(&self, issuer: &TestIssuer) -> ParsedPublicKey {
        let pem = issuer.public_key_pem().unwrap();
        let der: String = pem.lines().filter(|line| !line.starts_with('-')).collect();
        let der = STANDARD.decode(der).unwrap();
        ParsedPublicKey::new(self.verification, der).unwrap()
    }

    fn jsonwebtoken(
        &self,
        issuer: &TestIssuer,
    ) -> (jsonwebtoken::DecodingKey, jsonwebtoken::Validation) {
        let pem = issuer.public_key_pem().unwrap();
        let key = match self.algorithm {
            Algorithm::RS256 => jsonwebtoken::DecodingKey::from_rsa_pem(pem.as_bytes()),
            Algorithm::ES256 => jsonwebtoken::DecodingKey::from_ec_pem(pem.as_bytes()),
            _ => jsonwebtoken::DecodingKey::from_ed_pem(pem.as_bytes()),
        };
        let mut validation = jsonwebtoken::Validation::new(self.jsonwebtoken);
        validation.set_audience(&[AUDIENCE]);
        validation.set_issuer(&[ISSUER]);
        validation.validate_nbf = true;
        (key.unwrap(), validation)
    }
}

fn add_refusals(cases: &mut Vec<Case>) {
    let issuer = TestIssuer::in_process(ISSUER);
    // A clock that stands still keeps the budget for unknown kids spent.
    let clock = TestClock::starting_now();
    let server = server(&issuer, |builder| builder.clock(clock).build().unwrap());
    let token = token(&issuer);
    warm(&server, &token);
    let forged = issuer.token().header("kid", "forged").sign();
    for _ in 0..4 {
        runtime().block_on(call(&mut server.layer().layer(service()), bearer(&forged)));
    }
    let layer = server.layer();
    let scoped = server.protect(scope("notes:admin"));
    let old = issuer.token().expires_in(-600).sign();
    let request = |build: Build, status| (layer.layer(service()), build, status);

    cases.push(sent(BARE, Base::None, service(), bearer(&token), 200));
    let base = Base::Service(BARE);
    for (name, (service, build, status)) in [
        ("refused: no token", request(Box::new(plain), 401)),
        ("refused: another scheme", request(authorization("Basic eA=="), 401)),
        ("refused: malformed credentials", request(authorization("Bearer a b"), 400)),
        ("refused: garbage", request(bearer("garbage"), 401)),
        ("refused: unknown kid, budget spent", request(bearer(&forged), 401)),
    ] {
        cases.push(sent(name, base, service, build, status));
    }
    cases.push(sent("refused: expired", base, layer.layer(service()), bearer(&old), 401));
    cases.push(sent("refused: scope", base, scoped.layer(service()), bearer(&token), 403));
}

const BARE: &str = "bare service";
pub const ISSUER: &str = "https://as.example.com";
pub const AUDIENCE: &str = "https://api.example.com";

/// Ed25519 goes by its older name, the one that `jsonwebtoken` knows.
fn token(issuer: &TestIssuer) -> String {
    let mut token = describe(issuer);
    if issuer.jwks().contains("Ed25519") {
        token = token.header("alg", "EdDSA");
    }
    token.sign()
}

/// Twelve claims, as servers send them.
pub fn describe(issuer: &TestIssuer) -> TokenBuilder<'_> {
    issuer
        .token()
        .subject("248289761001")
        .scope("openid profile notes:read notes:write")
        .claim("nbf", 1_700_000_000)
        .claim("auth_time", 1_700_000_000)
        .claim("acr", "urn:mace:incommon:iap:silver")
        .claim("tenant", "7d8c4f5e-0b1a-4a6e-9b1d-2f3c4d5e6f70")
}

/// A server whose keys come through the engine, as those of a remote issuer do.
fn server<T>(
    issuer: &TestIssuer,
    build: impl FnOnce(
        tower_resource_server::builder::Builder<tower_resource_server::builder::Ready>,
    ) -> T,
) -> T {
    let keys = InProcess(issuer.clone());
    let issuer = Issuer::new(issuer.url()).key_source(keys);
    build(ResourceServer::builder().issuer(issuer).audience(AUDIENCE))
}

struct InProcess(TestIssuer);

impl KeySource for InProcess {
    async fn fetch(&self) -> Result<FetchedKeys, SourceError> {
        Ok(FetchedKeys::new(self.0.jwks()))
    }
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

/// Has the keys fetched.
fn warm<C: Send + Sync + 'static>(server: &ResourceServer<C>, token: &str) {
    let status = runtime().block_on(call(&mut server.layer().layer(service()), bearer(token)));
    assert_eq!(status, 200);
}

async fn call<S>(service: &mut S, mut build: Build) -> u16
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible>,
{
    service.call(build()).await.unwrap().status().as_u16()
}

pub type Build = Box<dyn FnMut() -> Request<Body>>;

fn plain() -> Request<Body> {
    let request = Request::get("https://api.example.com/notes/1").header("host", "api.example.com");
    let request = request.header("accept", "application/json").header("user-agent", "bench/1");
    request.body(Body::default()).unwrap()
}

fn authorization(value: &str) -> Build {
    let value = http::HeaderValue::from_str(value).unwrap();
    Box::new(move || {
        let mut request = plain();
        request.headers_mut().insert(http::header::AUTHORIZATION, value.clone());
        request
    })
}

pub fn bearer(token: &str) -> Build {
    authorization(&format!("Bearer {token}"))
}

/// The service that is protected. It does nothing.
pub fn service() -> impl Service<
    Request<Body>,
    Response = Response<Body>,
    Error = Infallible,
    Future = Ready<Result<Response<Body>, Infallible>>,
> + Clone {
    service_fn(|request: Request<Body>| {
        black_box(&request);
        ready(Ok(Response::new(Body::default())))
    })
}

/// A case that sends a request to a service and has the answer at the first poll.
fn sent<S>(name: &'static str, base: Base, service: S, mut build: Build, status: u16) -> Case
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible> + Clone + 'static,
{
    let prepare =
        move |calls: usize| -> Batch { send(name, service.clone(), &mut build, calls, status) };
    Case { name, base, prepare: Box::new(prepare) }
}

/// Builds requests, to be sent to a service one after the other.
fn send<S>(
    name: &'static str,
    mut service: S,
    build: &mut Build,
    calls: usize,
    status: u16,
) -> Batch
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible> + 'static,
{
    let requests: Vec<_> = (0..calls).map(|_| build()).collect();
    Box::new(move || {
        let mut context = Context::from_waker(Waker::noop());
        let mut last = None;
        for request in requests {
            let response = pin!(service.call(request)).poll(&mut context);
            let Poll::Ready(Ok(response)) = response else {
                panic!("{name} waits");
            };
            assert_eq!(response.status().as_u16(), status, "{name}");
            last = Some(black_box(response));
        }
        last
    })
}

/// A case without a request.
fn repeated(name: &'static str, base: Base, work: impl Fn() + 'static) -> Case {
    let work = Arc::new(work);
    let prepare = move |calls: usize| -> Batch {
        let work = Arc::clone(&work);
        Box::new(move || {
            for _ in 0..calls {
                work();
            }
            None
        })
    };
    Case { name, base, prepare: Box::new(prepare) }
}
