//! No token, and nothing of a person, in logs, answers and `Debug`: a binary of its own, since it
//! listens to everything that is logged.

#[path = "support/mod.rs"]
mod support;

use std::io;
use std::sync::{Arc, Mutex};

use tower_resource_server::scope;
use tower_resource_server::test_issuer::TestIssuer;

use support::*;

#[tokio::test]
async fn id_6749_10_3_1_tokens_stay_out_of_logs_bodies_and_debug() {
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
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing_subscriber::filter::LevelFilter::TRACE)
        .with_writer(move || writer.clone())
        .finish();
    tracing::subscriber::set_global_default(subscriber).unwrap();

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
    seen += &String::from_utf8_lossy(&log.0.lock().unwrap());
    assert!(seen.contains("expired: exp"), "the log has the facts");
    for token in &tokens {
        for part in token.split('.').filter(|part| part.len() > 8) {
            assert!(!seen.contains(part), "a part of a token was seen");
        }
    }
    assert!(!seen.contains(secret_sub));
    assert!(!seen.contains("opaque-secret-handle"));
}
