//! No token, and nothing of a person, in logs, answers and `Debug`: a binary of its own, since it
//! listens to everything that is logged.

#[path = "support/mod.rs"]
mod support;

use std::io;
use std::sync::{Arc, Mutex, OnceLock};

use tower_resource_server::scope;
use tower_resource_server::test_issuer::TestIssuer;

use support::*;

/// All that was logged by this binary.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl io::Write for Log {
    fn write(&mut self, text: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(text);
        Ok(text.len())
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Log {
    fn of_all() -> Self {
        static LOG: OnceLock<Log> = OnceLock::new();
        LOG.get_or_init(|| {
            let log = Self::default();
            let writer = log.clone();
            let subscriber = tracing_subscriber::fmt()
                .with_max_level(tracing_subscriber::filter::LevelFilter::TRACE)
                .with_writer(move || writer.clone())
                .finish();
            tracing::subscriber::set_global_default(subscriber).unwrap();
            log
        })
        .clone()
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.0.lock().unwrap()).into_owned()
    }
}

#[tokio::test]
async fn id_6749_10_3_1_tokens_stay_out_of_logs_bodies_and_debug() {
    let log = Log::of_all();
    let issuer = issuer();
    let stranger = TestIssuer::in_process(ISSUER);
    let server = server(&issuer);
    let api = api(server.protect(scope("a")));
    let secret_sub = "the-subject-is-personal";
    let tokens = [
        issuer.token().subject(secret_sub).scope("a").sign(),
        issuer.token().subject(secret_sub).sign(),
        issuer.token().subject(secret_sub).expires_in(-600).sign(),
        issuer.token().subject(secret_sub).audience("other").sign(),
        issuer.token().subject(secret_sub).header("typ", "JWT").sign(),
        issuer.token().subject(secret_sub).claim("iss", "https://other").sign(),
        issuer.token().subject(secret_sub).header("kid", "other").sign(),
        stranger.token().subject(secret_sub).sign(),
        "opaque-secret-handle".to_owned(),
        "a.b.c".repeat(10_000),
    ];
    let mut seen = String::new();
    for token in &tokens {
        let reply = api.bearer(token).await;
        seen +=
            &format!("{:?} {:?} {:?} {:?}", reply.headers, reply.error, server, reply.challenges);
        if !reply.ran {
            seen += &String::from_utf8_lossy(&reply.body);
        }
    }
    seen += &log.text();
    assert!(seen.contains("expired: exp"), "the log has the facts");
    for token in &tokens {
        for part in token.split('.').filter(|part| part.len() > 8) {
            assert!(!seen.contains(part), "a part of a token was seen");
        }
    }
    assert!(!seen.contains(secret_sub));
    assert!(!seen.contains("opaque-secret-handle"));
}

#[cfg(feature = "remote")]
#[tokio::test]
async fn id_7662_5_1_what_is_said_of_a_token_stays_out_of_logs_and_debug() {
    use tower_resource_server::test_issuer::{Endpoint, Fault};
    use tower_resource_server::{ClientAuth, Introspection, Issuer};

    let log = Log::of_all();
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
            let builder = builder(Issuer::discover(issuer.url()).introspection(introspection));
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
