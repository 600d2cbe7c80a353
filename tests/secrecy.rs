//! No token, and nothing of a person, in logs, answers and `Debug`: a binary of its own, since it
//! listens to everything that is logged.

#[path = "support/log.rs"]
mod log;
#[cfg(feature = "http-client")]
#[path = "support/scratch.rs"]
mod scratch;
#[path = "support/mod.rs"]
mod support;

use std::sync::OnceLock;

use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::{Method, Request};
use tower::ServiceBuilder;
use tower_resource_server::issuer::SourceError;
use tower_resource_server::keys::{Algorithm, FetchedKeys, KeySource};
use tower_resource_server::refusal::{ProblemJson, Refusal};
use tower_resource_server::test_issuer::{InjectLayer, TestIssuer, inject};
use tower_resource_server::{Claims, Error, Issuer, Profile, scope};

use log::Log;
#[cfg(feature = "http-client")]
use scratch::Scratch;
use support::*;

/// Everything that this process logs, at TRACE.
fn listen() -> &'static Log {
    static LOG: OnceLock<Log> = OnceLock::new();
    LOG.get_or_init(|| {
        let log = Log::default();
        let writer = log.clone();
        let subscriber = tracing_subscriber::fmt()
            .with_max_level(tracing_subscriber::filter::LevelFilter::TRACE)
            .with_writer(move || writer.clone())
            .finish();
        tracing::subscriber::set_global_default(subscriber).unwrap();
        log
    })
}

impl Log {
    fn text(&self) -> String {
        String::from_utf8_lossy(&self.0.lock().unwrap()).into_owned()
    }
}

/// What was seen of requests: everything but the answers of handlers.
#[derive(Default)]
struct Seen(String);

impl Seen {
    fn take(&mut self, reply: &Reply) {
        let Reply { headers, error, challenges, .. } = reply;
        self.0 += &format!("{headers:?} {error:?} {challenges:?}");
        if let Some(error) = error {
            self.0 += &error.to_string();
        }
        if !reply.ran {
            self.0 += &String::from_utf8_lossy(&reply.body);
        }
    }

    #[track_caller]
    fn assert_without(&self, tokens: &[String]) {
        for token in tokens {
            for part in token.split('.').filter(|part| part.len() > 8) {
                assert!(!self.0.contains(part), "a part of a token was seen: {part}");
            }
        }
    }
}

const SUBJECT: &str = "the-subject-is-personal";
const MAIL: &str = "personal@example.com";

#[tokio::test]
async fn id_6749_10_3_1_tokens_stay_out_of_logs_bodies_and_debug() {
    let log = listen();
    let issuer = issuer();
    let stranger = TestIssuer::in_process(ISSUER);
    let server = server(&issuer);
    let token = || issuer.token().subject(SUBJECT).claim("email", MAIL);
    let tokens = [
        token().scope("a").sign(),
        token().sign(),
        token().expires_in(-600).sign(),
        token().claim("nbf", 99_999_999_999_u64).sign(),
        token().claim("iat", 99_999_999_999_u64).sign(),
        token().audience("other").sign(),
        token().header("typ", "JWT").sign(),
        token().header("alg", "HS256").sign(),
        token().header("crit", "x").sign(),
        token().claim("iss", "https://other").sign(),
        token().header("kid", "other").sign(),
        token().without("jti").sign(),
        token().claim("jti", 7).sign(),
        token().claim("cnf", MAIL).sign(),
        stranger.token().subject(SUBJECT).sign(),
        "opaque-secret-handle".to_owned(),
        "five-secret-a.five-secret-b.five-secret-c.five-secret-d.five-secret-e".to_owned(),
        "a.b.c".repeat(10_000),
    ];
    let mut seen = Seen(format!("{server:?}"));
    let with_body = builder(trusting(&issuer)).refusal_body(ProblemJson).build().unwrap();
    let optional =
        ServiceBuilder::new().layer(server.optional_layer()).layer(server.require(scope("a")));
    let (plain, problem) = (api(server.protect(scope("a"))), api(with_body.protect(scope("a"))));
    let (optional, unlayered) = (api(optional), api(server.require(scope("a"))));
    for token in &tokens {
        seen.take(&plain.bearer(token).await);
        seen.take(&problem.bearer(token).await);
        seen.take(&optional.bearer(token).await);
        seen.take(&unlayered.bearer(token).await);
        seen.take(&plain.authorization(&format!("Bearer {token},")).await);
        seen.take(&plain.authorization(&format!("Basic {token}")).await);
        let twice = get().header(AUTHORIZATION, format!("Bearer {token}"));
        let twice = twice.header(AUTHORIZATION, format!("Bearer {token}"));
        seen.take(&plain.send(twice.body(Body::default()).unwrap()).await);
    }
    seen.0 += &log.text();
    assert!(seen.0.contains("expired: exp"), "the log has the facts");
    assert!(seen.0.contains("credentials given more than once"));
    seen.assert_without(&tokens);
    for secret in [SUBJECT, MAIL, "opaque-secret-handle", "five-secret"] {
        assert!(!seen.0.contains(secret), "{secret}");
    }
}

/// The loader of users gets the token, and its failures are logged.
#[cfg(feature = "http-client")]
#[tokio::test]
async fn loaded_users_and_their_tokens_stay_out_of_logs_and_debug() {
    use tower_resource_server::AccessToken;
    use tower_resource_server::extract::LoadedUser;
    use tower_resource_server::policy::LookupError;

    let log = listen();
    let issuer = issuer();
    let server = server(&issuer);
    let load = server.load_user(|token: AccessToken| async move {
        match token.scope().as_str() {
            "refuse" => Err(LookupError::refused("marker-of-a-refusal")),
            "fail" => Err(LookupError::unavailable("marker-of-an-outage")),
            "panic" => panic!("of the test"),
            _ => Ok(MAIL.to_owned()),
        }
    });
    let mut seen = Seen(format!("{load:?}"));
    let (sender, receiver) = std::sync::mpsc::channel();
    let debug = tower::util::MapRequestLayer::new(move |request: Request<Body>| {
        let user = LoadedUser::<String>::from_extensions(request.extensions());
        sender.send(format!("{user:?}")).unwrap();
        request
    });
    let api = api(ServiceBuilder::new().layer(server.layer()).layer(load).layer(debug));
    let mut tokens = Vec::new();
    for (scope, status) in [("refuse", 403), ("fail", 503), ("panic", 503), ("pass", 200)] {
        let token = issuer.token().subject(SUBJECT).scope(scope).sign();
        let reply = api.bearer(&token).await;
        assert_eq!(reply.status, status, "{scope}");
        seen.take(&reply);
        tokens.push(token);
    }
    seen.0 += &receiver.try_iter().collect::<String>();
    assert!(seen.0.contains("Some(LoadedUser(..))"), "the handler had the user");
    seen.0 += &log.text();
    for marker in ["marker-of-a-refusal", "marker-of-an-outage", "the loader of users panicked"] {
        assert!(seen.0.contains(marker), "the log has the facts: {marker}");
    }
    seen.assert_without(&tokens);
    for secret in [SUBJECT, MAIL] {
        assert!(!seen.0.contains(secret), "{secret}");
    }
}

/// RFC 6750 §2.2 and §2.3: by these methods the token is in the body or in the URI, which services
/// further in log.
#[tokio::test]
async fn tokens_of_forms_and_queries_stay_out_of_logs_too() {
    let log = listen();
    let issuer = issuer();
    let server = builder(trusting(&issuer)).query_token().build().unwrap();
    let logging = tower::util::MapRequestLayer::new(|request: Request<Body>| {
        tracing::info!(uri = %request.uri(), "a service further in");
        request
    });
    let api = api(ServiceBuilder::new()
        .layer(server.form_token_layer(5_000))
        .layer(server.layer())
        .layer(logging));
    let good = issuer.token().subject(SUBJECT).sign();
    let bad = issuer.token().subject(SUBJECT).expires_in(-600).sign();
    let mut seen = Seen::default();
    let mut passed = 0;
    for token in [&good, &bad] {
        let one = format!("access_token={token}");
        for (query, body) in [
            (one.as_str(), ""),
            (&format!("marker-of-queries=1&{one}"), ""),
            (&format!("{one}&{one}"), ""),
            ("", one.as_str()),
            ("", &format!("{one}&{one}")),
            (&one, &one),
            ("", &format!("{one}&{}", "x".repeat(5_000))),
        ] {
            let request = Request::builder()
                .method(Method::POST)
                .uri(format!("https://api.example.com/notes?{query}"))
                .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
                .body(Body::from(body.to_owned()))
                .unwrap();
            let reply = api.send(request).await;
            passed += usize::from(reply.ran);
            seen.take(&reply);
        }
    }
    assert_eq!(passed, 3);
    seen.0 += &log.text();
    assert!(seen.0.contains("notes?marker-of-queries=1"), "the service further in was heard");
    seen.assert_without(&[good, bad]);
    assert!(!seen.0.contains(SUBJECT));
}

/// A source of keys that fails in its own way at each call.
struct Failing;

impl KeySource for Failing {
    async fn fetch(&self) -> Result<FetchedKeys, SourceError> {
        Err(SourceError::new("the vault is sealed"))
    }
}

#[tokio::test]
async fn outages_and_claims_that_do_not_fit_tell_nothing_of_the_token() {
    #[derive(serde::Deserialize)]
    #[allow(dead_code, reason = "only read")]
    struct Mine {
        tenant: u32,
    }
    let log = listen();
    let issuer = issuer();
    let down = api(builder(Issuer::new(ISSUER).key_source(Failing)).build().unwrap().layer());
    let typed = builder(trusting(&issuer)).claims::<Mine>().build().unwrap();
    let typed = api(typed.layer());
    let token = issuer.token().subject(SUBJECT).claim("tenant", "tenant-is-personal").sign();
    let mut seen = Seen::default();
    let reply = down.bearer(&token).await;
    reply.assert_unavailable("no keys");
    seen.take(&reply);
    let reply = typed.bearer(&token).await;
    reply.assert_invalid_token("a tenant that is no number");
    seen.take(&reply);
    seen.0 += &log.text();
    assert!(seen.0.contains("the vault is sealed") && seen.0.contains("tenant has a wrong type"));
    seen.assert_without(&[token]);
    assert!(!seen.0.contains(SUBJECT) && !seen.0.contains("tenant-is-personal"));
}

/// `Debug` of everything public that holds a secret, a token, a key or claims.
#[tokio::test]
async fn debug_of_public_types_shows_no_secret() {
    const SECRET: &[u8] = b"0123456789-this-is-a-shared-secret";
    let hmac = TestIssuer::builder().algorithm(Algorithm::HS256).in_process(ISSUER);
    let own = hmac.secret().unwrap();
    let by_secret = Issuer::new(ISSUER).secret(SECRET, Algorithm::HS256);
    let by_own = Issuer::new(ISSUER).secret(own.clone(), Algorithm::HS256);
    let es256 = issuer();
    let pem = es256.public_key_pem().unwrap();
    let set: serde_json::Value = serde_json::from_str(&es256.jwks()).unwrap();
    let key = set["keys"][0]["x"].as_str().unwrap().to_owned();

    let server = builder(by_own.clone()).build().unwrap();
    let token = hmac.token().subject(SUBJECT).claim("email", MAIL);
    let token_debug = format!("{:?}", hmac.token().subject(SUBJECT).hmac_key(SECRET));
    let text = token.sign();
    let (parts, ()) = Request::get("/")
        .header(AUTHORIZATION, format!("Bearer {text}"))
        .body(())
        .unwrap()
        .into_parts();
    let passed = server.authenticate(&parts).await.unwrap();
    let refusal: Refusal = {
        let (mut parts, ()) = Request::get("/").body(()).unwrap().into_parts();
        let bad = format!("Bearer {}", hmac.token().subject(SUBJECT).expires_in(-600).sign());
        parts.headers.insert(AUTHORIZATION, bad.parse().unwrap());
        server.authenticate(&parts).await.unwrap_err()
    };
    let short = builder(Issuer::new(ISSUER).secret(&SECRET[..31], Algorithm::HS256)).build();
    let short = short.unwrap_err();
    let claims: Claims = (*passed.token).clone();
    let injected: InjectLayer =
        inject(&server, serde_json::json!({ "sub": SUBJECT, "email": MAIL }));
    let hello = tower::service_fn(async |_: Request<Body>| {
        Ok::<_, std::convert::Infallible>(http::Response::new(Body::default()))
    });
    let hello = tower::util::BoxCloneSyncService::new(hello);
    let service = tower::Layer::layer(&server.layer(), hello.clone());

    let shown = [
        format!("{by_secret:?} {by_own:?}"),
        format!("{:?}", Issuer::new(ISSUER).pem(pem.clone())),
        format!("{:?}", trusting(&es256)),
        format!("{:?}", builder(by_secret.clone())),
        format!("{server:?} {:?} {:?}", server.layer(), server.optional_layer()),
        format!("{:?} {:?}", server.require(scope("a")), server.form_token_layer(1)),
        format!("{service:?}"),
        format!("{passed:?} {:?} {claims:?}", passed.token),
        format!("{refusal:?} {:?} {}", refusal.error(), refusal.error()),
        format!("{short:?} {short}"),
        format!("{:?}", FetchedKeys::new(es256.jwks())),
        format!("{hmac:?} {es256:?} {token_debug}"),
        format!("{injected:?}"),
        format!("{:?} {:?}", Profile::jwt(), Error::BadSignature { algorithm: Algorithm::ES256 }),
    ]
    .join("\n");
    assert!(shown.contains(ISSUER) && shown.contains("Expired"), "something is shown: {shown}");

    let mut hidden = vec![
        SUBJECT.to_owned(),
        MAIL.to_owned(),
        String::from_utf8_lossy(SECRET).into_owned(),
        format!("{:?}", &SECRET[..8]).trim_matches(['[', ']']).to_owned(),
        format!("{:?}", &own[..8]).trim_matches(['[', ']']).to_owned(),
        format!("{:?}", &es256.jwks().as_bytes()[..12]).trim_matches(['[', ']']).to_owned(),
        format!("{:?}", &pem.as_bytes()[..12]).trim_matches(['[', ']']).to_owned(),
        key,
    ];
    hidden.extend(text.split('.').map(str::to_owned));
    for secret in hidden {
        assert!(!shown.contains(&secret), "{secret} in {shown}");
    }
}

/// The secrets of a URL: a user, a password, a query, a fragment.
const URL_SECRETS: [&str; 4] =
    ["hunter-user", "hunter-password", "hunter-query", "hunter-fragment"];

#[track_caller]
fn assert_no_url_secret(shown: &str) {
    for secret in URL_SECRETS {
        assert!(!shown.contains(secret), "{secret} in {shown}");
    }
}

/// URLs with each kind of secret, alone and together, and what may be seen of them.
fn secret_urls() -> Vec<(String, &'static str)> {
    let [user, password, query, fragment] = URL_SECRETS;
    vec![
        (format!("https://{user}:{password}@as.example.com:8443/t1"), "as.example.com:8443/t1"),
        (format!("https://{password}@as.example.com:8443/t1"), "as.example.com:8443/t1"),
        (format!("https://as.example.com:8443/t1?key={query}"), "as.example.com:8443/t1"),
        (format!("https://as.example.com:8443/t1#{fragment}"), "as.example.com:8443/t1"),
        (format!("https://as.example.com:8443/t1?a={query}@b"), "as.example.com:8443/t1"),
        (format!("https://as.example.com:8443/t1?a=b@{query}"), "as.example.com:8443/t1"),
        (
            format!("http://{user}:{password}@as.example.com/t1?{query}#{fragment}"),
            "as.example.com/t1",
        ),
        (format!("https://{user}:{password}/x@as.example.com/t1"), "https://.."),
        (format!("https://{user}:{password}?x@as.example.com/t1"), "https://.."),
        (format!("https://{user}/{password}@as.example.com/t1"), "https://.."),
        (format!("{user}:{password}@as.example.com/t1"), "as.example.com/t1"),
        (format!("https:{user}:{password}@as.example.com/t1"), "as.example.com/t1"),
    ]
}

#[test]
fn debug_and_configuration_errors_show_no_secret_of_a_url() {
    let jwks = issuer().jwks();
    for (url, clear) in secret_urls() {
        for (name, issuer) in [
            ("name", Issuer::new(&url).jwks(jwks.clone())),
            ("alias", Issuer::new(ISSUER).jwks(jwks.clone()).alias(&url)),
            ("audience", Issuer::new(ISSUER).jwks(jwks.clone()).audience(&url)),
            ("jwks_uri", Issuer::new(ISSUER).jwks_uri(&url)),
        ] {
            let shown = format!("{issuer:?}");
            assert_no_url_secret(&shown);
            assert!(shown.contains(clear), "{name}: {clear} is not in {shown}");
            let built = builder(issuer.clone());
            let shown = format!("{built:?}");
            assert_no_url_secret(&shown);
            assert!(shown.contains(clear), "{name}: {clear} is not in {shown}");
            let built = built.build();
            assert_no_url_secret(&format!("{built:?}"));
            match built {
                Err(error) => {
                    assert_no_url_secret(&error.to_string());
                    // Without the feature, the text is about that.
                    let is_shown = cfg!(feature = "http-client") || name != "jwks_uri";
                    assert!(
                        !is_shown || error.to_string().contains(clear),
                        "{name}: {clear} in {error}"
                    );
                }
                Ok(server) => {
                    let health = server.health();
                    assert_no_url_secret(&format!("{health:?} {server:?} {:?}", server.layer()));
                    assert!(format!("{server:?}").contains(clear), "{name}: {clear}");
                }
            }
        }
        let own = builder(Issuer::new(ISSUER).jwks(jwks.clone())).audience(&url).error_uri(&url);
        assert_no_url_secret(&format!("{own:?}"));
        assert_no_url_secret(&format!("{:?}", own.build()));
        for error in [
            tower_resource_server::providers::auth0(&url).unwrap_err(),
            tower_resource_server::providers::okta(&url)
                .err()
                .unwrap_or_else(|| builder(Issuer::new("")).build().unwrap_err()),
        ] {
            assert_no_url_secret(&format!("{error:?} {error}"));
        }
        let seed = serde_json::json!({
            "version": 1, "issuer": url, "fetched_at": 1, "freshness": 1, "document": "{}",
        });
        let seed =
            tower_resource_server::keys::KeySeed::from_json(seed.to_string().as_bytes()).unwrap();
        let shown = format!("{seed:?} {:?}", Issuer::new(ISSUER).seed(seed.clone()));
        assert_no_url_secret(&shown);
        assert!(shown.contains(clear), "{shown}");
    }
}

#[cfg(feature = "http-client")]
#[test]
fn what_asks_an_endpoint_shows_no_secret_of_its_url() {
    use tower_resource_server::introspection::{ClientAuth, Introspection};

    for (url, clear) in secret_urls() {
        let auth = || ClientAuth::client_secret_basic("notes-api", "s3cr3t-of-the-client");
        let introspection = Introspection::new(auth()).endpoint(&url).signed_answer_audience(&url);
        let issuer = Issuer::new(ISSUER).jwks(issuer().jwks()).introspection(introspection.clone());
        let built = builder(issuer.clone()).proxy(&url);
        let shown = format!("{introspection:?} {issuer:?} {built:?}");
        assert_no_url_secret(&shown);
        assert!(shown.contains(clear) && shown.contains("notes-api"), "{clear} is not in {shown}");
        assert!(!shown.contains("s3cr3t-of-the-client"));
        let built = built.build();
        let problem = built.as_ref().err().map(ToString::to_string).unwrap_or_default();
        assert_no_url_secret(&format!("{built:?} {problem}"));
    }
}

/// A key server and an endpoint that are known by a key in the query, while they answer and while they
/// don't.
#[cfg(feature = "http-client")]
#[tokio::test]
async fn logs_and_errors_show_no_query_of_a_url_that_is_fetched() {
    use tower_resource_server::introspection::{ClientAuth, Introspection};
    use tower_resource_server::test_issuer::{Endpoint, Fault};

    let log = listen();
    let issuer = TestIssuer::start().await.unwrap();
    let query = URL_SECRETS[2];
    let with_query = |url: String| format!("{url}?key={query}");
    let mut seen = Seen::default();
    for (fault, ok) in [(Fault::None, true), (Fault::Status(500), false), (Fault::Truncated, false)]
    {
        issuer.set_fault(Endpoint::Jwks, fault.clone());
        issuer.set_fault(Endpoint::Introspection, fault);
        let own = Introspection::new(ClientAuth::client_secret_basic("notes-api", "s3cr3t"))
            .endpoint(with_query(issuer.introspection_endpoint()));
        let trusted =
            Issuer::new(issuer.url()).jwks_uri(with_query(issuer.jwks_uri())).introspection(own);
        let server = builder(trusted).allow_http_loopback().build().unwrap();
        let api = api(server.layer());
        for token in [issuer.token().sign(), issuer.token().opaque()] {
            let reply = api.bearer(&token).await;
            if ok {
                reply.assert_ok("asked")
            } else {
                reply.assert_unavailable("down")
            }
            seen.take(&reply);
        }
        seen.0 += &format!("{server:?} {:?}", server.health());
    }
    seen.0 += &log.text();
    assert!(
        seen.0.contains("introspection failed") && seen.0.contains("keys could not be fetched")
    );
    assert_no_url_secret(&seen.0);
}

/// What is not a secret of a URL still shows.
#[test]
fn debug_shows_urls_that_have_no_secret_as_they_are() {
    let keys = "https://keys.example.com:8443/@tenant/jwks.json";
    let issuer = Issuer::new(ISSUER).jwks_uri(keys).alias("urn:example:as").audience("api://notes");
    let shown = format!("{issuer:?} {:?}", builder(issuer.clone()));
    for text in [ISSUER, keys, "urn:example:as", "api://notes", AUDIENCE] {
        assert!(shown.contains(&format!("\"{text}\"")), "{text} is not in {shown}");
    }
}

/// The issuer and the audience of a token are text that anyone can write, and a log line each.
#[tokio::test]
async fn logs_and_errors_show_no_secret_of_a_url_in_a_token() {
    let log = listen();
    let issuer = issuer();
    let api = api(server(&issuer).layer());
    let mut seen = Seen::default();
    for (url, clear) in secret_urls() {
        for token in [
            issuer.token().claim("iss", url.clone()).sign(),
            issuer.token().audience(&url).sign(),
            issuer.token().claim("aud", vec![url.clone(), "other".to_owned()]).sign(),
        ] {
            let reply = api.bearer(&token).await;
            reply.assert_invalid_token(&url);
            assert!(reply.error.as_ref().unwrap().to_string().contains(clear), "{url}");
            seen.take(&reply);
        }
    }
    assert_no_url_secret(&seen.0);
    assert_no_url_secret(&log.text());
}

#[cfg(feature = "http-client")]
#[tokio::test]
async fn id_7662_5_1_what_is_said_of_a_token_stays_out_of_logs_and_debug() {
    use tower_resource_server::introspection::{ClientAuth, Introspection};
    use tower_resource_server::test_issuer::{Endpoint, Fault};

    let log = listen();
    let issuer = TestIssuer::start().await.unwrap();
    let secret = "the-secret-of-the-api";
    let personal = "said-of-a-person";
    let mut seen = String::new();
    let mut tokens = Vec::new();
    for signed in [false, true] {
        for auth in [
            ClientAuth::client_secret_basic("notes-api", secret),
            ClientAuth::client_secret_post("notes-api", secret),
            ClientAuth::bearer_token(secret),
        ] {
            let introspection = Introspection::new(auth).signed_answer_audience("notes-api");
            let introspection =
                if signed { introspection.require_signed_answers() } else { introspection };
            let builder = builder(Issuer::new(issuer.url()).introspection(introspection));
            seen += &format!("{builder:?}");
            let server = builder.allow_http_loopback().build().unwrap();
            let api = api(server.layer());
            for fault in [
                Fault::None,
                Fault::Status(500),
                Fault::Truncated,
                Fault::Body(format!(r#"{{"active":true,"aud":"{personal}","sub":"{personal}"}}"#)),
                Fault::Body(format!(r#"{{"active":"{personal}"}}"#)),
                Fault::Error(400, personal.to_owned()),
                Fault::Error(401, personal.to_owned()),
            ] {
                issuer.set_fault(Endpoint::Introspection, fault);
                let token = issuer.token().subject(personal).claim("name", personal).opaque();
                let reply = api.bearer(&token).await;
                seen += &format!("{:?} {:?} {server:?}", reply.headers, reply.error);
                tokens.push(token);
            }
        }
    }
    seen += &log.text();
    assert!(seen.contains("introspection failed"), "the log has the facts");
    // `aud` is a fact that the log may have; see `Error::ForeignAudience`.
    let seen = seen.replace(&format!("aud is `{personal}`"), "");
    let seen = seen.replace(&format!("found: `{personal}`"), "");
    for text in tokens.iter().map(String::as_str).chain([secret, personal]) {
        assert!(!seen.contains(text), "{text} was seen");
    }
    for text in [secret, "notes-api"] {
        let encoded = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, text);
        assert!(!seen.contains(&encoded[..8]), "{text} was seen, encoded");
    }
}

#[cfg(feature = "http-client")]
#[tokio::test]
async fn the_token_for_a_key_server_stays_out_of_logs_and_debug() {
    use tower_resource_server::test_issuer::{Endpoint, Fault};

    let log = listen();
    let issuer = TestIssuer::start().await.unwrap();
    let secret = "shown-to-the-key-server";
    let folder = Scratch::new();
    let good = folder.write("token", secret);
    let bad = folder.write("bad", format!("{secret} {secret}"));
    let mut seen = String::new();
    for (file, fault, ok) in [
        (&good, Fault::None, true),
        (&good, Fault::Status(401), false),
        (&good, Fault::Redirect("/elsewhere".into()), false),
        (&bad, Fault::None, false),
    ] {
        issuer.set_fault(Endpoint::Jwks, fault);
        let trusted = Issuer::new(issuer.url()).jwks_uri(issuer.jwks_uri()).bearer_token_file(file);
        let builder = builder(trusted.clone()).allow_http_loopback();
        seen += &format!("{trusted:?} {builder:?}");
        let server = builder.build().unwrap();
        let reply = api(server.layer()).bearer(&issuer.token().sign()).await;
        seen += &format!("{:?} {:?} {server:?}", reply.headers, reply.error);
        if ok { reply.assert_ok("shown") } else { reply.assert_unavailable("not let in") }
    }
    seen += &log.text();
    assert!(seen.contains("it holds no token"), "the log has the facts");
    assert!(seen.contains("bearer_token_file"), "the path may be seen");
    assert!(!seen.contains(secret), "{seen}");
}

/// What may go by http to other machines is said when the server is built: once for each host, and once
/// more where a secret goes with it.
#[cfg(feature = "http-client")]
#[test]
fn http_is_loud_at_the_start() {
    use tower_resource_server::danger;
    use tower_resource_server::introspection::{ClientAuth, Introspection};

    fn hosts(trusted: Issuer) -> Issuer {
        danger::allow_http_hosts(trusted, ["keycloak", "b", "keycloak"])
    }
    fn asking() -> Introspection {
        Introspection::new(ClientAuth::client_secret_basic("notes-api", "s3cr3t-by-http"))
    }
    fn at(url: &str) -> Introspection {
        asking().endpoint(url)
    }
    type Dressed = fn(Issuer) -> Issuer;
    let log = listen();
    let rows: [(&str, Dressed, usize, usize); 7] = [
        ("no host", |own| own, 0, 0),
        ("two hosts", hosts, 2, 0),
        (
            "a token for the key server",
            |own| hosts(own).bearer_token_file("/token").jwks_uri("http://keycloak:8080/keys"),
            2,
            1,
        ),
        (
            "the same over https",
            |own| hosts(own).bearer_token_file("/token").jwks_uri("https://as.example.com/keys"),
            2,
            0,
        ),
        ("credentials", |own| hosts(own).introspection(at("http://b/introspect")), 2, 1),
        ("the same over https", |own| hosts(own).introspection(at("https://b/introspect")), 2, 0),
        ("an endpoint to be discovered", |own| hosts(own).introspection(asking()), 2, 1),
    ];
    for (row, (name, dressed, warned, secrets)) in rows.into_iter().enumerate() {
        let iss = format!("https://inside-{row}.example.com");
        let server = builder(dressed(Issuer::new(&iss))).build().unwrap();
        let lines = || -> Vec<String> {
            log.text().lines().filter(|line| line.contains(&iss)).map(str::to_owned).collect()
        };
        let count = |text: &str| lines().iter().filter(|line| line.contains(text)).count();
        assert_eq!(count("put in keys and sign tokens"), warned, "{name}: {:?}", lines());
        assert_eq!(count("a secret is sent without encryption"), secrets, "{name}: {:?}", lines());
        assert_eq!(count("WARN"), warned + secrets, "{name}: {:?}", lines());
        drop(server);
    }
    assert!(!log.text().contains("s3cr3t-by-http"));
}
