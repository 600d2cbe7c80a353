//! FAPI 2.0 Security Profile, the part of the resource server: `Builder::fapi2`.

use std::time::Duration;

use serde_json::{Value, json};
use tower_resource_server::builder::Revocation;
use tower_resource_server::clock::TestClock;
use tower_resource_server::introspection::{ClientAuth, Introspection};
use tower_resource_server::keys::Algorithm;
use tower_resource_server::sender::{ClientCertificate, Dpop, DpopUse, Nonces, Replay};
use tower_resource_server::test_issuer::{ProofBuilder, TestIssuer, TestProver};
use tower_resource_server::{ConfigError, Error, Issuer, Profile, ResourceServer, danger, scope};

use crate::rfc8705::{another, certificate};
use crate::rfc9449::{URL, as_bearer, request, with};
use crate::support::*;

const INVALID: &str = "invalid_dpop_proof";

/// An issuer that is asked about each token, a server with the preset, and a client with a key.
struct Fapi {
    issuer: TestIssuer,
    clock: TestClock,
    server: ResourceServer,
    client: TestProver,
}

fn introspection() -> Introspection {
    Introspection::new(ClientAuth::client_secret_basic("notes-api", "s3cr3t"))
}

fn proofs() -> Dpop {
    Dpop::optional(AUDIENCE, Replay::in_process())
}

impl Fapi {
    async fn new() -> Self {
        Self::with(Algorithm::ES256, proofs()).await
    }

    async fn with(algorithm: Algorithm, dpop: Dpop) -> Self {
        let clock = TestClock::starting_now();
        let builder = TestIssuer::builder().algorithm(algorithm).clock(clock.clone());
        let issuer = builder.start().await.unwrap();
        let trusted = Issuer::new(issuer.url()).introspection(introspection().also_for_jwts());
        let builder = builder_of(trusted).clock(clock.clone()).dpop(dpop);
        let server = builder.fapi2(Revocation::Introspection).build().unwrap();
        let client = TestProver::generate(Algorithm::ES256).clock(clock.clone());
        Self { issuer, clock, server, client }
    }

    fn bound(&self) -> String {
        self.issuer.token().bound_to_key(&self.client).scope("a").sign()
    }

    fn proof<'a>(&'a self, token: &str) -> ProofBuilder<'a> {
        self.client.proof("GET", URL).token(token)
    }
}

fn builder_of(
    issuer: Issuer,
) -> tower_resource_server::builder::Builder<tower_resource_server::builder::Ready> {
    builder(issuer).allow_http_loopback()
}

/// A request under `Bearer` through a TLS connection with this certificate.
fn connected(token: &str, der: &[u8]) -> http::Request<Body> {
    let mut request = as_bearer(token, &[]);
    request.extensions_mut().insert(ClientCertificate::from_der(der));
    request
}

#[tokio::test]
async fn fapi2_5_3_4_1_header_tokens_pass_under_bearer_and_dpop() {
    let fapi = Fapi::new().await;
    let api = api(fapi.server.layer());
    let own = certificate();
    let of_certificate = || fapi.issuer.token().bound_to_certificate(&own);
    let of_key = || fapi.issuer.token().bound_to_key(&fapi.client);
    for (name, token) in [("a JWT", of_certificate().sign()), ("opaque", of_certificate().opaque())]
    {
        api.send(connected(&token, &own)).await.assert_ok(name);
        api.send(connected(&token, &another())).await.assert_invalid_token(name);
        api.send(as_bearer(&token, &[])).await.assert_invalid_token(name);
    }
    for (name, token) in [("a JWT", of_key().sign()), ("opaque", of_key().opaque())] {
        let proof = fapi.proof(&token).sign();
        api.send(as_bearer(&token, &[&proof])).await.assert_invalid_token(name);
        api.send(request(&token, &[])).await.assert_dpop(name, INVALID);
        api.send(request(&token, &[&proof])).await.assert_ok(name);
    }
}

#[tokio::test]
async fn fapi2_5_3_4_2_no_other_place_carries_a_token() {
    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    use tower::ServiceBuilder;

    let fapi = Fapi::new().await;
    let own = certificate();
    let layers = ServiceBuilder::new()
        .layer(fapi.server.form_token_layer(10_000))
        .layer(fapi.server.layer());
    let api = api(layers.into_inner());
    let token = fapi.issuer.token().bound_to_certificate(&own).sign();
    let query = http::Request::get(format!("{URL}?access_token={token}"));
    let form = http::Request::post(URL).header("content-type", "application/x-www-form-urlencoded");
    let name = "base64url.bearer.authorization.api.example.com";
    let protocol = format!("{name}.{}", URL_SAFE_NO_PAD.encode(&token));
    let handshake = get().header("upgrade", "websocket");
    for (name, request) in [
        ("query", query.body(Body::default()).unwrap()),
        ("form", form.body(Body::from(format!("access_token={token}"))).unwrap()),
        (
            "subprotocol",
            handshake
                .header("sec-websocket-protocol", format!("chat, {protocol}"))
                .body(Body::default())
                .unwrap(),
        ),
    ] {
        let mut request = request;
        request.extensions_mut().insert(ClientCertificate::from_der(&own));
        api.send(request.clone()).await.assert_invited(name);
        // The same request with the token in its field.
        let request = with(request, "authorization", &format!("Bearer {token}"));
        api.send(request).await.assert_ok(name);
    }
    let trusted = || Issuer::new(fapi.issuer.url()).introspection(introspection().also_for_jwts());
    let preset = || builder_of(trusted()).fapi2(Revocation::Introspection);
    assert!(preset().build().is_ok());
    for (name, built) in [
        ("query", preset().query_token().build()),
        ("subprotocol", preset().websocket_token("api.example.com").build()),
        ("before it", builder_of(trusted()).query_token().fapi2(Revocation::Introspection).build()),
    ] {
        let error = built.map(drop).unwrap_err();
        assert_eq!(error.problems().len(), 1, "{name}: {error}");
        assert!(error.problems()[0].starts_with("fapi2: a token may only come in"), "{name}");
    }
}

#[tokio::test]
async fn fapi2_5_3_4_3_validity_and_revocation_are_checked() {
    let fapi = Fapi::new().await;
    let api = api(fapi.server.layer());
    let token = fapi.bound();
    api.send(request(&token, &[&fapi.proof(&token).sign()])).await.assert_ok("active");
    fapi.issuer.revoke(&token);
    fapi.clock.advance(Duration::from_secs(120));
    let reply = api.send(request(&token, &[&fapi.proof(&token).sign()])).await;
    reply.assert_dpop("revoked", "invalid_token");
    assert_eq!(reply.error, Some(Error::Inactive));
    let of = || fapi.issuer.token().bound_to_key(&fapi.client);
    let forger = TestIssuer::in_process(fapi.issuer.url());
    let forged = forger.token().bound_to_key(&fapi.client);
    for (name, token) in [
        ("expired", of().expires_in(-600).sign()),
        ("for another API", of().audience("https://other.example.com").sign()),
        ("of another issuer", of().claim("iss", "https://other.example.com").sign()),
        ("forged", forged.sign()),
        ("typ", of().header("typ", "JWT").sign()),
    ] {
        let proof = fapi.proof(&token).sign();
        api.send(request(&token, &[&proof])).await.assert_dpop(name, "invalid_token");
    }
}

#[test]
fn fapi2_5_3_4_3_a_server_that_notices_no_revocation_is_a_build_error() {
    let issuer = || Issuer::new("https://as.example.com");
    let asked = || issuer().introspection(introspection().also_for_jwts());
    let build = |issuer: Issuer| builder(issuer).fapi2(Revocation::Introspection).build().map(drop);
    let at_jwt = Profile::rfc9068();
    let any_typ = Profile::jwt();
    for (name, issuer, problem) in [
        ("also for JWTs", asked(), None),
        ("only", issuer().introspection(introspection().only()), None),
        ("no introspection", issuer(), Some("fapi2: revocation is not checked")),
        (
            "stale answers",
            issuer().introspection(danger::accept_stale_answers(
                introspection().also_for_jwts(),
                Duration::from_secs(60),
            )),
            Some("fapi2: revocation is not checked"),
        ),
        (
            "for opaque tokens alone",
            issuer().introspection(introspection()),
            Some("fapi2: revocation is not checked"),
        ),
        ("RFC 9068", asked().profile(at_jwt), None),
        ("another typ", asked().profile(any_typ), Some("fapi2: the profile accepts")),
        ("RS256", asked().algorithms([Algorithm::RS256]), Some("fapi2: algorithm RS256")),
        ("ES384", asked().algorithms([Algorithm::ES384]), Some("fapi2: algorithm ES384")),
        (
            "one of two",
            asked().algorithms([Algorithm::ES256, Algorithm::PS512]),
            Some("fapi2: algorithm PS512"),
        ),
        (
            "all three",
            asked().algorithms([Algorithm::PS256, Algorithm::ES256, Algorithm::Ed25519]),
            None,
        ),
        (
            "required proofs without the setting",
            asked().dpop(DpopUse::Required),
            Some("dpop: is required"),
        ),
    ] {
        match (build(issuer), problem) {
            (Ok(()), None) => {}
            (Err(error), Some(problem)) => {
                assert_eq!(error.problems().len(), 1, "{name}: {error}");
                assert!(error.problems()[0].contains(problem), "{name}: {error}");
            }
            (found, _) => panic!("{name}: {found:?}"),
        }
    }
    let of_proofs = |algorithms: &[Algorithm]| -> Result<(), ConfigError> {
        let dpop = proofs().algorithms(algorithms.iter().copied());
        builder(asked()).dpop(dpop).fapi2(Revocation::Introspection).build().map(drop)
    };
    assert!(of_proofs(&[Algorithm::PS256, Algorithm::ES256, Algorithm::Ed25519]).is_ok());
    for algorithm in [Algorithm::RS256, Algorithm::ES384, Algorithm::ES512] {
        let error = of_proofs(&[Algorithm::ES256, algorithm]).unwrap_err();
        let expected = format!("fapi2: algorithm {algorithm} is not allowed for proofs");
        assert_eq!(error.problems(), [expected]);
    }
    // A reload keeps the preset.
    let server = builder(asked()).fapi2(Revocation::Introspection).build().unwrap();
    assert!(server.reload([asked()], [AUDIENCE]).is_ok());
    assert!(server.reload([issuer()], [AUDIENCE]).is_err());
}

#[tokio::test]
async fn fapi2_5_3_4_4_too_little_scope_is_an_error_of_rfc_6750() {
    let fapi = Fapi::new().await;
    let api = api(fapi.server.protect(scope("a")));
    let of = |scope| fapi.issuer.token().bound_to_key(&fapi.client).scope(scope).sign();
    for (own, good) in [("a", true), ("b", false)] {
        let token = of(own);
        let reply = api.send(request(&token, &[&fapi.proof(&token).sign()])).await;
        match good {
            true => reply.assert_ok(own),
            false => reply.assert_insufficient_scope(own, "a"),
        }
    }
}

#[tokio::test]
async fn fapi2_5_3_4_5_a_token_that_is_not_bound_is_refused() {
    let fapi = Fapi::new().await;
    let api = api(fapi.server.layer());
    let unbound = || fapi.issuer.token().scope("a");
    for (name, token) in [("a JWT", unbound().sign()), ("opaque", unbound().opaque())] {
        let reply = api.bearer(&token).await;
        reply.assert_invalid_token(name);
        assert_eq!(reply.error, Some(Error::SenderNotConstrained), "{name}");
        let proof = fapi.proof(&token).sign();
        api.send(request(&token, &[&proof])).await.assert_dpop(name, "invalid_token");
        api.send(connected(&token, &certificate())).await.assert_invalid_token(name);
    }
    let bound = fapi.bound();
    api.send(request(&bound, &[&fapi.proof(&bound).sign()])).await.assert_ok("bound");
}

#[tokio::test]
async fn fapi2_5_4_1_1_tokens_and_proofs_are_signed_with_ps256_es256_or_ed25519() {
    for (algorithm, good) in [
        (Algorithm::PS256, true),
        (Algorithm::ES256, true),
        (Algorithm::Ed25519, true),
        (Algorithm::RS256, false),
        (Algorithm::PS512, false),
        (Algorithm::ES384, false),
        (Algorithm::ES512, false),
    ] {
        let name = algorithm.name();
        let fapi = Fapi::with(algorithm, proofs()).await;
        let layer = api(fapi.server.layer());
        let token = fapi.bound();
        let reply = layer.send(request(&token, &[&fapi.proof(&token).sign()])).await;
        match good {
            true => reply.assert_ok(name),
            false => reply.assert_dpop(name, "invalid_token"),
        }
        // The same algorithm in a proof.
        let fapi = Fapi::new().await;
        let layer = api(fapi.server.layer());
        let client = TestProver::generate(algorithm).clock(fapi.clock.clone());
        let token = fapi.issuer.token().bound_to_key(&client).sign();
        let proof = || client.proof("GET", URL).token(&token);
        let reply = layer.send(request(&token, &[&proof().sign()])).await;
        match good {
            true => reply.assert_ok(name),
            false => reply.assert_dpop(name, INVALID),
        }
        let challenge = layer.anonymous().await.challenges.pop().unwrap();
        assert_eq!(challenge.param("algs"), Some("PS256 ES256 Ed25519 EdDSA"));
        if algorithm == Algorithm::Ed25519 {
            let old = proof().header("alg", "EdDSA").sign();
            layer.send(request(&token, &[&old])).await.assert_ok("EdDSA in a proof");
            let fapi = Fapi::with(algorithm, proofs()).await;
            let token =
                fapi.issuer.token().bound_to_key(&fapi.client).header("alg", "EdDSA").sign();
            let reply = api(fapi.server.layer());
            let reply = reply.send(request(&token, &[&fapi.proof(&token).sign()])).await;
            reply.assert_ok("EdDSA in a token");
        }
    }
    let fapi = Fapi::new().await;
    let api = api(fapi.server.layer());
    let unsigned = fapi.issuer.token().bound_to_key(&fapi.client).header("alg", "none").sign();
    let proof = fapi.proof(&unsigned).sign();
    api.send(request(&unsigned, &[&proof])).await.assert_dpop("none", "invalid_token");
}

/// A change of a good proof.
type Change = fn(ProofBuilder<'_>) -> ProofBuilder<'_>;

/// The conditions that the conformance suites of FAPI 2.0 and of MCP (SEP-1932) have in common, or one of them
/// alone, for a resource server with DPoP.
#[tokio::test]
async fn fapi2_the_conditions_of_conformance_suites() {
    let fapi = Fapi::new().await;
    let api = api(fapi.server.layer());
    fapi.clock.advance(Duration::from_secs(100));
    let token = fapi.bound();
    let rows: &[(&str, Change, Option<&str>)] = &[
        ("a good proof", |p| p, None),
        ("no jti", |p| p.without("jti"), Some(INVALID)),
        ("no htm", |p| p.without("htm"), Some(INVALID)),
        ("no htu", |p| p.without("htu"), Some(INVALID)),
        ("no iat", |p| p.without("iat"), Some(INVALID)),
        ("no ath", |p| p.without("ath"), Some(INVALID)),
        ("no typ", |p| p.without_header("typ"), Some(INVALID)),
        ("no alg", |p| p.without_header("alg"), Some(INVALID)),
        ("no jwk", |p| p.without_header("jwk"), Some(INVALID)),
        ("another typ", |p| p.header("typ", "JWT"), Some(INVALID)),
        ("alg none", |p| p.header("alg", "none"), Some(INVALID)),
        ("alg HS256", |p| p.header("alg", "HS256"), Some(INVALID)),
        ("alg RS256", |p| p.header("alg", "RS256"), Some(INVALID)),
        ("another htm", |p| p.claim("htm", "POST"), Some(INVALID)),
        ("htm in lower case", |p| p.claim("htm", "get"), Some(INVALID)),
        ("another path", |p| p.claim("htu", "https://api.example.com/other"), Some(INVALID)),
        ("another host", |p| p.claim("htu", "https://other.example.com/notes"), Some(INVALID)),
        ("another scheme", |p| p.claim("htu", "http://api.example.com/notes"), Some(INVALID)),
        ("htu with a query", |p| p.claim("htu", "https://api.example.com/notes?x=1"), None),
        ("htu with a fragment", |p| p.claim("htu", "https://api.example.com/notes#x"), None),
        ("scheme in upper case", |p| p.claim("htu", "HTTPS://api.example.com/notes"), None),
        ("host in upper case", |p| p.claim("htu", "https://API.EXAMPLE.COM/notes"), None),
        ("the default port", |p| p.claim("htu", "https://api.example.com:443/notes"), None),
        ("iat 10 s ago", |p| p.made_in(-10), None),
        ("iat in 8 s", |p| p.made_in(8), None),
        ("iat 303 s ago", |p| p.made_in(-303), Some(INVALID)),
        ("iat in 303 s", |p| p.made_in(303), Some(INVALID)),
        ("another ath", |p| p.token("another"), Some(INVALID)),
        ("a nonce that nobody gave", |p| p.nonce("x"), None),
        ("extra members", |p| p.claim("x", json!({})).claim("exp", 1).header("kid", "x"), None),
    ];
    for (name, change, error) in rows {
        let uri = format!("{URL}?y=2");
        let mut request = request(&token, &[&change(fapi.proof(&token)).sign()]);
        *request.uri_mut() = uri.parse().unwrap();
        let reply = api.send(request).await;
        match error {
            None => reply.assert_ok(name),
            Some(error) => reply.assert_dpop(name, error),
        }
    }
    let good = || fapi.proof(&token).sign();
    let private = |value: Value| {
        let mut jwk = fapi.client.jwk();
        jwk["d"] = value;
        fapi.proof(&token).header("jwk", jwk).sign()
    };
    let other = TestProver::generate(Algorithm::ES256).clock(fapi.clock.clone());
    let foreign = other.proof("GET", URL).token(&token).sign();
    let forged = other.proof("GET", URL).token(&token).header("jwk", fapi.client.jwk()).sign();
    for (name, lines, error) in [
        ("two fields", vec![good(), good()], Some(INVALID)),
        ("two in one field", vec![format!("{}, {}", good(), good())], Some(INVALID)),
        ("no field", vec![], Some(INVALID)),
        ("an empty field", vec![String::new()], Some(INVALID)),
        ("not a JWT", vec!["proof".to_owned()], Some(INVALID)),
        ("a private key in jwk", vec![private(json!("AQAB"))], Some(INVALID)),
        ("another key", vec![foreign], Some("invalid_token")),
        ("signed by another key", vec![forged], Some(INVALID)),
        ("one field", vec![good()], None),
    ] {
        let lines: Vec<_> = lines.iter().map(String::as_str).collect();
        let reply = api.send(request(&token, &lines)).await;
        match error {
            None => reply.assert_ok(name),
            Some(error) => reply.assert_dpop(name, error),
        }
    }
    let proof = good();
    api.send(request(&token, &[&proof])).await.assert_ok("first use");
    api.send(request(&token, &[&proof])).await.assert_dpop("second use", INVALID);
    api.send(as_bearer(&token, &[])).await.assert_invalid_token("as Bearer");
    api.send(as_bearer(&token, &[&good()])).await.assert_invalid_token("as Bearer, with a proof");

    let nonces = Fapi::with(Algorithm::ES256, proofs().nonces(Nonces::always())).await;
    let api = self::api(nonces.server.layer());
    let token = nonces.bound();
    let wrong = nonces.proof(&token).nonce("wrong").sign();
    let reply = api.send(request(&token, &[&wrong])).await;
    reply.assert_dpop("a wrong nonce", "use_dpop_nonce");
    assert!(nonces.client.remember_nonce(&reply.headers));
    let right = nonces.proof(&token).sign();
    api.send(request(&token, &[&right])).await.assert_ok("the right nonce");
}
