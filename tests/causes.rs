//! The log line of every cause: what the crate knows is in it, in fixed words, with the setting that
//! helps, and no secret, token or person is. A binary of its own, since it listens to everything that is
//! logged.

#![cfg(feature = "http-client")]

#[path = "support/log.rs"]
mod log;
#[path = "support/mod.rs"]
mod support;
#[path = "support/tls.rs"]
mod tls;

use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use serde_json::{Value, json};
use tower_resource_server::builder::{Builder, Ready};
use tower_resource_server::introspection::{AnswerStore, ClientAuth, Introspection, SharedCache};
use tower_resource_server::issuer::{AnswerProfile, IssuerResolver, SourceError};
use tower_resource_server::keys::{Algorithm, FetchedKeys, KeySource};
use tower_resource_server::policy::any_of;
use tower_resource_server::test_issuer::{Endpoint, Fault, TestIssuer};
use tower_resource_server::{Issuer, Profile, ResourceServer, providers, scope};

use log::Log;
use support::*;
use tls::{Authority, Tls};

const SECRET: &str = "the-secret-of-the-api";
const PERSON: &str = "person-of-the-token";

/// Everything that this process logs, at DEBUG and above, for one test at a time.
struct Listening {
    log: Log,
    _alone: MutexGuard<'static, ()>,
}

fn listen() -> Listening {
    static LOG: OnceLock<Log> = OnceLock::new();
    static ALONE: Mutex<()> = Mutex::new(());
    let alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let log = LOG.get_or_init(|| {
        let log = Log::default();
        let writer = log.clone();
        let only = "tower_resource_server=debug".parse::<tracing_subscriber::filter::Targets>();
        use tracing_subscriber::layer::SubscriberExt as _;
        let lines = tracing_subscriber::fmt::layer()
            .with_ansi(false)
            .without_time()
            .with_writer(move || writer.clone());
        let subscriber = tracing_subscriber::registry().with(lines).with(only.unwrap());
        tracing::subscriber::set_global_default(subscriber).unwrap();
        log
    });
    log.0.lock().unwrap().clear();
    Listening { log: log.clone(), _alone: alone }
}

impl Listening {
    /// What was logged since the last time, line by line.
    fn lines(&self) -> Vec<String> {
        let text = std::mem::take(&mut *self.log.0.lock().unwrap());
        String::from_utf8(text).unwrap().lines().map(str::to_owned).collect()
    }

    /// Lines of this level and above which have `text`.
    fn told(&self) -> Vec<String> {
        let told = |line: &String| !line.trim_start().starts_with("DEBUG");
        self.lines().into_iter().filter(told).collect()
    }
}

/// Some line has all of these texts, and no line has what none may have.
#[track_caller]
fn assert_told(name: &str, lines: &[String], texts: &[&str], token: &str) {
    let has_all = |line: &String| texts.iter().all(|text| line.contains(text));
    assert!(lines.iter().any(has_all), "{name}: {texts:?} is not in {lines:#?}");
    for line in lines {
        for secret in [SECRET, PERSON].into_iter().chain(token.split('.').filter(|p| p.len() > 8)) {
            assert!(!line.contains(secret), "{name}: {line}");
        }
        for nested in ["`kid `", "``", "\\'", "\\\""] {
            assert!(!line.contains(nested), "{name}: {line}");
        }
    }
}

fn from_url(uri: &str) -> Builder<Ready> {
    builder(Issuer::new(ISSUER).jwks_uri(uri)).allow_http_loopback()
}

#[tokio::test]
#[allow(clippy::await_holding_lock, reason = "one test at a time")]
async fn why_there_is_no_connection_is_told_with_the_setting_that_helps() {
    let log = listen();
    let issuer = TestIssuer::start().await.unwrap();
    let behind = issuer.address().unwrap();
    let own = Authority::new();
    let years = |years: i32| rcgen::date_time_ymd(2026 + years, 1, 1);
    let expired = own.certify_as("localhost", |params| {
        (params.not_before, params.not_after) = (years(-4), years(-2));
    });
    let ahead = own.certify_as("localhost", |params| {
        (params.not_before, params.not_after) = (years(40), years(41));
    });
    let good = Tls::start(&own, behind, None).await;
    let expired = Tls::start_as(expired, behind, None).await;
    let ahead = Tls::start_as(ahead, behind, None).await;
    let other = Tls::start_as(own.certify("other.example.com"), behind, None).await;
    let clients = Tls::start(&own, behind, Some(&Authority::new())).await;
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let token = TestIssuer::in_process(ISSUER).token().subject(PERSON).sign();
    for (name, url, texts) in [
        ("refused", format!("https://localhost:{free}/jwks?{SECRET}"), &["connection refused"][..]),
        (
            "an unknown name",
            "https://as.invalid/jwks".to_owned(),
            &["resolver does not know the host name", "(https://as.invalid/jwks)"],
        ),
        ("expired", expired.url("/jwks"), &["certificate has expired"]),
        ("ahead", ahead.url("/jwks"), &["certificate is not valid yet"]),
        ("for another host", other.url("/jwks"), &["for another host name"]),
        ("asks for a certificate", clients.url("/jwks"), &["ClientAuth::mutual_tls"]),
        ("no TLS", format!("https://localhost:{}/jwks", behind.port()), &["does not speak TLS"]),
    ] {
        let server = from_url(&url).root_certificates(own.pem()).build().unwrap();
        api(server.layer()).bearer(&token).await.assert_unavailable(name);
        let lines = log.told();
        for line in ["keys could not be fetched", "request refused: a dependency is unavailable"] {
            let texts: Vec<_> = texts.iter().copied().chain([line, "can't connect: "]).collect();
            assert_told(name, &lines, &texts, &token);
        }
    }
    let server = from_url(&good.url("/jwks")).build().unwrap();
    api(server.layer()).bearer(&token).await.assert_unavailable("untrusted");
    let texts = ["of no trusted authority", "Builder::root_certificates"];
    assert_told("untrusted", &log.told(), &texts, &token);
    // The neighbour: the same server, and its authority is trusted.
    let server = from_url(&good.url("/jwks")).root_certificates(own.pem()).build().unwrap();
    api(server.layer()).bearer(&token).await;
    assert_told("trusted", &log.told(), &["keys fetched"], &token);
}

#[tokio::test]
#[allow(clippy::await_holding_lock, reason = "one test at a time")]
async fn why_keys_are_of_no_use_is_told() {
    struct Of(Result<String, &'static str>);
    impl KeySource for Of {
        async fn fetch(&self) -> Result<FetchedKeys, SourceError> {
            self.0.clone().map(FetchedKeys::new).map_err(SourceError::new)
        }
    }
    let log = listen();
    let issuer = TestIssuer::start().await.unwrap();
    let token = issuer.token().subject(PERSON).sign();
    let html = Fault::Body("<html></html>".to_owned());
    let redirect = Fault::Redirect(format!("https://login.example.com/start?{SECRET}"));
    for (name, discover, fault, texts) in [
        ("a status", false, Fault::Status(500), &["key set: status 500 (http://127.0.0.1"][..]),
        (
            "a redirect",
            false,
            redirect.clone(),
            &["a redirect to `https://login.example.com/start?..`", "none is followed", "/jwks)"],
        ),
        ("a redirect of metadata", true, redirect, &["`https://login.example.com/start?..`"]),
        ("a page", true, html, &["not a JSON object", "/.well-known/openid-configuration)"]),
    ] {
        for endpoint in [Endpoint::Jwks, Endpoint::Metadata] {
            let here = (endpoint == Endpoint::Metadata) == discover;
            issuer.set_fault(endpoint, if here { fault.clone() } else { Fault::None });
        }
        let trusted = Issuer::new(issuer.url());
        let trusted = if discover { trusted } else { trusted.jwks_uri(issuer.jwks_uri()) };
        let server = builder(trusted).allow_http_loopback().build().unwrap();
        api(server.layer()).bearer(&token).await.assert_unavailable(name);
        assert_told(name, &log.told(), texts, &token);
    }
    issuer.set_fault(Endpoint::Metadata, Fault::None);
    issuer.set_advertised_issuer(&format!("https://user:{SECRET}@other.example.com"));
    let server = builder(Issuer::new(issuer.url())).allow_http_loopback().build().unwrap();
    api(server.layer()).bearer(&token).await.assert_unavailable("another issuer");
    let texts = ["another `issuer`, `https://..@other.example.com`"];
    assert_told("another issuer", &log.told(), &texts, &token);

    let entry = |kid: &str, more: Value| {
        let mut key = json!({ "kid": kid, "kty": "RSA", "n": "AQAB", "e": "AQAB" });
        key.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        key
    };
    let bad = json!({ "keys": [
        entry("one", json!({ "use": "enc" })),
        entry("t\nwo", json!({ "alg": "RSA-OAEP" })),
        entry("three", json!({ "d": SECRET })),
        { "kty": "unheard" }, { "kty": "EC" }, { "kty": "EC" }, { "kty": "EC" },
    ]})
    .to_string();
    let reasons = [
        "no usable key: kid `one`: use is not sig",
        "kid `t\\nwo`: alg is one for encryption",
        "kid `three`: has private members",
        "without kid: kty is unknown",
        "and 2 more",
    ];
    let error = builder(Issuer::new(ISSUER).jwks(bad.clone())).build().unwrap_err().to_string();
    assert_told("static", std::slice::from_ref(&error), &reasons, &token);
    let token = TestIssuer::in_process(ISSUER).token().sign();
    for (name, source, texts) in [
        ("fetched", Of(Ok(bad)), &reasons[..]),
        ("none", Of(Ok(r#"{"keys":[]}"#.to_owned())), &["no usable key: the set is empty"]),
        (
            "code of the API's own",
            Of(Err("the vault is sealed\nerror forged")),
            &["the vault is sealed\\nerror forged"],
        ),
    ] {
        let server = builder(Issuer::new(ISSUER).key_source(source)).build().unwrap();
        api(server.layer()).bearer(&token).await.assert_unavailable(name);
        assert_told(name, &log.told(), texts, &token);
    }
}

#[tokio::test]
#[allow(clippy::await_holding_lock, reason = "one test at a time")]
async fn a_key_for_encryption_is_no_warning_and_another_bad_key_is() {
    let log = listen();
    let issuer = TestIssuer::start().await.unwrap();
    for (name, key, warned) in [
        ("use", json!({ "kty": "RSA", "use": "enc", "n": "AQAB", "e": "AQAB" }), false),
        ("alg", json!({ "kty": "RSA", "alg": "RSA-OAEP", "n": "AQAB", "e": "AQAB" }), false),
        (
            "key_ops",
            json!({ "kty": "RSA", "key_ops": ["wrapKey"], "n": "AQAB", "e": "AQAB" }),
            false,
        ),
        ("too short", json!({ "kty": "RSA", "use": "sig", "n": "AQAB", "e": "AQAB" }), true),
    ] {
        issuer.set_extra_jwks([key]);
        let trusted = Issuer::new(issuer.url()).jwks_uri(issuer.jwks_uri());
        let server = builder(trusted).allow_http_loopback().build().unwrap();
        api(server.layer()).bearer(&issuer.token().sign()).await.assert_ok(name);
        let lines = log.lines();
        let skipped = lines.iter().find(|line| line.contains("key skipped")).expect(name);
        assert_eq!(skipped.contains("WARN"), warned, "{name}: {skipped}");
    }
}

#[tokio::test]
#[allow(clippy::await_holding_lock, reason = "one test at a time")]
async fn why_a_token_is_refused_is_told_with_the_setting_that_helps() {
    let log = listen();
    let issuer = issuer();
    let jwt = || trusting(&issuer).profile(Profile::jwt());
    let token = || issuer.token().subject(PERSON);
    let plain = || token().header("typ", "JWT");
    let strict = || trusting(&issuer);
    for (name, trusted, token, texts) in [
        (
            "an issuer",
            strict().alias("urn:as"),
            token().claim("iss", "https://as.example.com/").sign(),
            &["iss `https://as.example.com/`", "trusted are `https://as.example.com urn:as`"][..],
        ),
        ("no aud", jwt(), plain().without("aud").sign(), &["`aud`", "Profile::audience_claim"]),
        ("no sub", strict(), token().without("sub").sign(), &["`sub` is missing", "Profile::jwt"]),
        ("no jti", strict(), token().without("jti").sign(), &["`jti` is missing", "Profile::jwt"]),
        (
            "scope",
            strict(),
            token().claim("scope", json!({ "a": 1 })).sign(),
            &["`scope` is malformed", "Profile::scope_array_claim"],
        ),
        ("a type", strict(), plain().sign(), &["typ is `JWT`", "Profile::jwt"]),
        (
            "another audience by a claim",
            jwt().profile(Profile::jwt().audience_claim("client_id")),
            plain().without("aud").claim("client_id", PERSON).sign(),
            &["`client_id` has none of the values", "audiences where `Profile::audience_claim`"],
        ),
    ] {
        let server = builder(trusted).build().unwrap();
        api(server.layer()).bearer(&token).await.assert_invalid_token(name);
        assert_told(name, &log.told(), texts, &token);
    }
    // The neighbour: the claim is ours.
    let by_claim = jwt().profile(Profile::jwt().audience_claim("client_id"));
    let token_for_us = plain().without("aud").claim("client_id", AUDIENCE).sign();
    let server = builder(by_claim).build().unwrap();
    api(server.layer()).bearer(&token_for_us).await.assert_ok("ours by a claim");
    let many = (0..9).fold(ResourceServer::builder().issuer(strict()), |builder, at| {
        builder.issuer(Issuer::new(format!("https://as{at}.example.com")).jwks(issuer.jwks()))
    });
    let stranger = token().claim("iss", "https://other.example.com").sign();
    let server = many.audience(AUDIENCE).build().unwrap();
    api(server.layer()).bearer(&stranger).await.assert_invalid_token("many");
    assert_told("many", &log.told(), &["https://as3.example.com and 5 more"], &stranger);

    let okta = || jwt().profile(Profile::jwt().scope_array_claim("scp"));
    for (name, trusted, token, texts, absent) in [
        (
            "another scope",
            strict(),
            token().scope("c d").sign(),
            &["which asks for `a`,", "the token has `c d`"][..],
            "is not read",
        ),
        ("no scope", strict(), token().sign(), &["which asks for `a`,", "has none"], "is not read"),
        (
            "scp",
            jwt(),
            plain().claim("scp", "a").sign(),
            &["has none", "`scp` is not read: see `Profile::scope_claim`"],
            "an array",
        ),
        (
            "scp, an array",
            jwt(),
            plain().claim("scp", json!(["a"])).sign(),
            &["has none", "an array", "`Profile::scope_array_claim`"],
            "Profile::scope_claim",
        ),
        (
            "scope where scp is read",
            okta(),
            plain().claim("scope", "a").sign(),
            &["`scope` is not read"],
            "an array",
        ),
        (
            "a line feed",
            strict(),
            token().scope("c\nforged").sign(),
            &["the token has `c\\nforged`"],
            "is not read",
        ),
    ] {
        let server = builder(trusted).build().unwrap();
        let both = any_of([scope("a"), scope("b")]);
        let reply = api(server.protect(both)).bearer(&token).await;
        reply.assert_insufficient_scope(name, "a");
        let lines = log.told();
        assert_told(name, &lines, texts, &token);
        assert!(!lines.iter().any(|line| line.contains(absent)), "{name}: {lines:?}");
    }
    // The neighbours: what is read covers the route.
    for (name, trusted, token) in [
        ("scope", strict(), token().scope("a").sign()),
        ("scp", okta(), plain().claim("scp", json!(["a"])).sign()),
    ] {
        let server = builder(trusted).build().unwrap();
        api(server.protect(scope("a"))).bearer(&token).await.assert_ok(name);
    }
}

#[tokio::test]
#[allow(clippy::await_holding_lock, reason = "one test at a time")]
async fn why_introspection_fails_is_told_in_one_line_a_request() {
    let log = listen();
    let issuer = TestIssuer::start().await.unwrap();
    let asking = |endpoint: &str| {
        let auth = ClientAuth::client_secret_basic("notes-api", SECRET);
        let introspection = Introspection::new(auth).endpoint(endpoint);
        let trusted = Issuer::new(issuer.url()).jwks(issuer.jwks()).introspection(introspection);
        builder(trusted).allow_http_loopback().build().unwrap()
    };
    let endpoint = issuer.introspection_endpoint();
    let echo = |token: &str| Fault::Redirect(format!("https://login.example.com/{token}"));
    let body = |text: &str| Fault::Body(text.to_owned());
    for (name, fault, texts) in [
        ("500", Fault::Status(500), &["status 500 (http://127.0.0.1", "/introspect)"][..]),
        ("403", Fault::Status(403), &["status 403", "may lack the right to ask"]),
        (
            "400",
            Fault::Error(400, "unauthorized_client".into()),
            &["with the code unauthorized_client"],
        ),
        ("a code that is none", Fault::Error(400, format!("{PERSON} 1")), &["status 400 (http"]),
        ("401", Fault::Error(401, "invalid_client".into()), &["invalid_client", "ClientAuth"]),
        ("a redirect", Fault::Redirect("https://login.example.com/".into()), &["`https://login."]),
        ("a redirect with the token", echo("{token}"), &["status 302, a redirect, and none"]),
        ("a page", body("<html>"), &["not one strict JSON object"]),
        ("active is text", body(r#"{"active":"true"}"#), &["`active` is not a JSON boolean"]),
    ] {
        let token = issuer.token().subject(PERSON).opaque();
        let fault = match fault {
            Fault::Redirect(to) => Fault::Redirect(to.replace("{token}", &token)),
            fault => fault,
        };
        issuer.set_fault(Endpoint::Introspection, fault);
        api(asking(&endpoint).layer()).bearer(&token).await.assert_unavailable(name);
        let lines = log.told();
        assert_told(name, &lines, texts, &token);
        assert_eq!(lines.len(), 1, "{name}: {lines:#?}");
        assert!(!lines[0].contains('…'), "{name}: {lines:?}");
    }
    // A short token is a token, too.
    issuer.set_fault(Endpoint::Introspection, echo("k7Qx2"));
    for (token, shown) in [("k7Qx2", false), ("another", true)] {
        api(asking(&endpoint).layer()).bearer(token).await.assert_unavailable(token);
        let lines = log.told();
        let target = lines.iter().any(|line| line.contains("login.example.com/k7Qx2"));
        assert_eq!(target, shown, "{token}: {lines:?}");
    }
    issuer.stop();
    let token = issuer.token().opaque();
    api(asking(&endpoint).layer()).bearer(&token).await.assert_unavailable("down");
    assert_told(
        "down",
        &log.told(),
        &["can't connect: connection refused", "/introspect)"],
        &token,
    );
}

/// What an API's own resolver says stays one line, and a short one; so with a store of shared answers.
#[tokio::test]
#[allow(clippy::await_holding_lock, reason = "one test at a time")]
async fn the_words_of_code_of_the_apis_own_are_escaped_and_cut() {
    struct Talking(String);

    impl IssuerResolver for Talking {
        fn allows(&self, _: &str) -> bool {
            true
        }

        async fn resolve(&self, _: &str) -> Result<Option<Issuer>, SourceError> {
            Err(SourceError::new(&self.0))
        }
    }

    impl AnswerStore for Talking {
        async fn get(&self, _: &str) -> Result<Option<Vec<u8>>, SourceError> {
            Err(SourceError::new(&self.0))
        }

        async fn put_if_newer(
            &self,
            _: &str,
            _: u64,
            _: Vec<u8>,
            _: Duration,
        ) -> Result<(), SourceError> {
            Ok(())
        }
    }

    let log = listen();
    let issuer = TestIssuer::start().await.unwrap();
    for (name, words, shown) in
        [("short", "is down".to_owned(), "is down"), ("long", "x".repeat(100_000), "xxx…")]
    {
        let resolving = ResourceServer::builder().issuer_resolver(Talking(words.clone()));
        let server = resolving.audience(AUDIENCE).build().unwrap();
        let token = TestIssuer::in_process("https://t1.example.com").token().sign();
        api(server.layer()).bearer(&token).await.assert_unavailable(name);
        let shared = SharedCache::new(Talking(words), [7; 32]).unwrap();
        let auth = ClientAuth::client_secret_basic("notes-api", SECRET);
        let asking = Introspection::new(auth).shared_cache(shared);
        let trusted = Issuer::new(issuer.url()).introspection(asking);
        let server = builder(trusted).allow_http_loopback().build().unwrap();
        api(server.layer()).bearer(&issuer.token().opaque()).await.assert_ok(name);
        let lines = log.told();
        for what in ["could not be resolved", "the shared cache fails"] {
            let line = lines.iter().find(|line| line.contains(what)).expect(what);
            assert!(line.contains(shown) && line.len() < 1_000, "{name}: {} bytes", line.len());
        }
    }
}

#[tokio::test]
#[allow(clippy::await_holding_lock, reason = "one test at a time")]
async fn an_inactive_token_has_its_usual_causes_and_many_of_them_one_warning() {
    let log = listen();
    for (name, ever_active, warnings) in [("none ever", false, 1), ("one was", true, 0)] {
        let issuer = TestIssuer::start().await.unwrap();
        let auth = ClientAuth::client_secret_basic("notes-api", SECRET);
        let trusted = Issuer::new(issuer.url()).introspection(Introspection::new(auth));
        let server = builder(trusted).allow_http_loopback().build().unwrap();
        let api = api(server.layer());
        if ever_active {
            api.bearer(&issuer.token().opaque()).await.assert_ok(name);
        }
        for at in 0..20 {
            api.bearer(&format!("stranger-{at}")).await.assert_invalid_token(name);
        }
        let lines = log.told();
        assert_told(name, &lines, &["not active", "was revoked", "may not ask"], "");
        let warned = lines.iter().filter(|line| line.contains("lack the right to ask"));
        assert_eq!(warned.count(), warnings, "{name}: {lines:#?}");
    }
    // A 400 about the token keeps its code.
    let issuer = TestIssuer::start().await.unwrap();
    let auth = ClientAuth::client_secret_basic("notes-api", SECRET);
    let trusted = Issuer::new(issuer.url()).introspection(Introspection::new(auth));
    let server = builder(trusted).allow_http_loopback().build().unwrap();
    issuer.set_fault(Endpoint::Introspection, Fault::Error(400, "invalid_token".into()));
    api(server.layer()).bearer("stranger-of-400").await.assert_invalid_token("400");
    let texts = ["status=400", "code=\"invalid_token\"", "refused a token"];
    assert_told("400", &log.told(), &texts, "stranger-of-400");
}

#[test]
fn every_problem_of_a_configuration_is_told_at_once() {
    let _alone = listen();
    let auth = ClientAuth::client_secret_basic("", "");
    let introspection = Introspection::new(auth).endpoint("http://as.example.com/introspect");
    let profile = Profile::jwt().scope_claim("").require_claim("").client_claim("");
    let bad = Issuer::new(ISSUER)
        .jwks("{}")
        .alias("")
        .audience("")
        .algorithms([Algorithm::HS256])
        .profile(profile)
        .introspection(introspection);
    let also = Issuer::new("https://as2.example.com").jwks("{}").audience("urn:own");
    let error = ResourceServer::builder()
        .issuer(bad)
        .issuer(also)
        .audience("urn:notes")
        .audience("urn:without-effect")
        .realm("not\nASCII")
        .challenge_param("a b", "c")
        .challenge_scope(["\""])
        .error_uri("/relative")
        .user_agent("not\nASCII")
        .build()
        .unwrap_err();
    for text in [
        "user_agent: ",
        "audience ``",
        "audience `urn:without-effect`: has no effect",
        "`https://as.example.com`: alias ``",
        "`https://as.example.com`: jwks: ",
        "algorithm HS256",
        "profile: scope_claim ``",
        "profile: client_claim ``",
        "profile: require_claim ``",
        "introspection: endpoint `http://as.example.com/introspect`",
        "introspection: client_id ``",
        "introspection: client_secret_basic: the secret must not be empty",
        "`https://as2.example.com`: jwks: ",
        "realm `not\\nASCII`",
        "challenge_param: ",
        "challenge_scope ",
        "error_uri ",
    ] {
        let found = error.problems().iter().filter(|problem| problem.contains(text)).count();
        assert_eq!(found, 1, "{text} in {:#?}", error.problems());
    }
    // The neighbours: nothing is wrong with these.
    let issuer = issuer();
    let own = || trusting(&issuer).audience("urn:own");
    for (name, builder) in [
        ("the first is the realm", ResourceServer::builder().issuer(own()).audience("urn:notes")),
        (
            "an issuer's own",
            ResourceServer::builder().issuer(own()).audience("urn:notes").audience("urn:own"),
        ),
    ] {
        assert!(builder.build().is_ok(), "{name}");
    }
}

#[track_caller]
fn assert_problems(builder: Builder<Ready>, texts: &[&str]) {
    let error = builder.build().unwrap_err();
    for text in texts {
        let found = error.problems().iter().filter(|problem| problem.contains(text)).count();
        assert_eq!(found, 1, "{text} in {:#?}", error.problems());
    }
}

#[test]
fn a_claim_without_a_name_is_a_problem_in_every_setting_of_a_profile() {
    let _alone = listen();
    let issuer = issuer();
    let answers = |name: &'static str| {
        AnswerProfile::rfc7662()
            .client_claim(name)
            .scope_claim(name)
            .client_if_present(name)
            .client_if_absent(name)
            .user_if_present(name)
            .user_if_value(name, "v")
    };
    let profile = |name: &'static str| {
        Profile::jwt()
            .access_if_value(name, "v")
            .client_if_present(name)
            .client_if_absent(name)
            .client_if_value(name, "v")
            .client_if_subject_ends(name)
            .user_if_present(name)
            .user_if_value(name, "v")
            .answers(answers(name))
    };
    let texts = [
        "profile: access_if_value ``",
        "profile: client_if_present ``",
        "profile: client_if_absent ``",
        "profile: client_if_value ``",
        "profile: client_if_subject_ends ``",
        "profile: user_if_present ``",
        "profile: user_if_value ``",
        "profile: answers: client_claim ``",
        "profile: answers: scope_claim ``",
        "profile: answers: client_if_present ``",
        "profile: answers: client_if_absent ``",
        "profile: answers: user_if_present ``",
        "profile: answers: user_if_value ``",
    ];
    assert_problems(builder(trusting(&issuer).profile(profile(""))), &texts);
    // The neighbour: the claims have a name.
    assert!(builder(trusting(&issuer).profile(profile("kind"))).build().is_ok());
}

#[test]
fn a_problem_of_an_issuer_hides_no_other() {
    let _alone = listen();
    let bad_uris = ["http://a.example.com/jwks", "http://b.example.com/jwks"];
    let texts = ["http://a.example.com/jwks", "http://b.example.com/jwks"];
    assert_problems(builder(Issuer::new(ISSUER).jwks_uris(bad_uris)), &texts);
    let good_uris = ["https://a.example.com/jwks", "https://b.example.com/jwks"];
    assert!(builder(Issuer::new(ISSUER).jwks_uris(good_uris)).build().is_ok());

    // Two issuers take opaque tokens, and one of them has bad keys.
    let jwks = issuer().jwks();
    let asking = |name: &str, jwks: &str, is_opaque: bool| {
        let auth = ClientAuth::client_secret_basic("notes-api", SECRET);
        let asking = Introspection::new(auth).endpoint("https://as.example.com/introspect");
        let asking = match is_opaque {
            true => asking,
            false => asking.also_for_jwts().not_for_opaque_tokens(),
        };
        Issuer::new(name).jwks(jwks).introspection(asking)
    };
    let two = |jwks: &str, is_opaque| {
        builder(asking(ISSUER, jwks, true)).issuer(asking(
            "https://as2.example.com",
            jwks,
            is_opaque,
        ))
    };
    assert_problems(two("{}", true), &["opaque tokens go to another issuer already"]);
    assert!(two(&jwks, false).build().is_ok());

    // A client that has neither an id nor a key.
    let client = |id: &str, pem: &str| {
        let auth = ClientAuth::private_key_jwt(id, Algorithm::ES256, pem);
        let asking = Introspection::new(auth).endpoint("https://as.example.com/introspect");
        builder(Issuer::new(ISSUER).jwks(jwks.clone()).introspection(asking))
    };
    assert_problems(client("", "no key"), &["client_id ``", "private_key_jwt: "]);
    // A parameter's name is escaped.
    let twice = |name: &str| {
        let auth = ClientAuth::client_secret_basic("notes-api", SECRET);
        let asking = Introspection::new(auth).endpoint("https://as.example.com/introspect");
        let asking = asking.form_parameter(name, "1").form_parameter("a\nb", "2");
        builder(Issuer::new(ISSUER).jwks(jwks.clone()).introspection(asking))
    };
    assert_problems(twice("a\nb"), &["form_parameter `a\\nb`: is set twice"]);
    assert!(twice("c").build().is_ok());
}

#[test]
fn an_audience_that_is_no_realm_names_both() {
    let _alone = listen();
    let issuer = issuer();
    let builder = || ResourceServer::builder().issuer(trusting(&issuer)).audience("urn:nötes");
    let error = builder().build().unwrap_err().to_string();
    assert!(error.contains("audience `urn:nötes`") && error.contains("`realm`"), "{error}");
    assert!(builder().realm("notes").build().is_ok());
}

/// Tokens are as the provider of the API's issuer writes them.
#[tokio::test]
#[allow(clippy::await_holding_lock, reason = "one test at a time")]
async fn tokens_for_a_server_are_dressed_as_its_provider_writes_them() {
    let _alone = listen();
    let test = |url: &str| TestIssuer::builder().algorithm(Algorithm::RS256).in_process(url);
    for (name, url, trusted) in [
        ("RFC 9068", ISSUER, Issuer::new(ISSUER)),
        ("Keycloak", "https://kc/realms/r", providers::keycloak("https://kc/realms/r")),
        (
            "Okta",
            "https://x.okta.com/oauth2/default",
            providers::okta("https://x.okta.com/oauth2/default").unwrap(),
        ),
        ("Auth0", "https://t.auth0.com/", providers::auth0("t.auth0.com").unwrap()),
    ] {
        let issuer = test(url);
        let trusted = trusted.jwks(issuer.jwks());
        let server =
            ResourceServer::builder().issuer(trusted).audience("urn:notes").build().unwrap();
        let token = issuer.token_for(&server).scope("notes:read notes:write").sign();
        let reply = api(server.protect(["notes:read", "notes:write"])).bearer(&token).await;
        reply.assert_ok(name);
        assert!(reply.json()["principal"].as_str().unwrap().contains("User"), "{name}");
        // The neighbours: less scope, and another API.
        let token = issuer.token_for(&server).scope("notes:read").sign();
        let reply = api(server.protect(["notes:read", "notes:write"])).bearer(&token).await;
        reply.assert_insufficient_scope(name, "notes:read notes:write");
        let token = issuer.token_for(&server).audience("urn:other").sign();
        api(server.layer()).bearer(&token).await.assert_invalid_token(name);
    }
}
