//! Introspection over real sockets: what is asked, what is made of the answer, for how long, and
//! what an outage does. Ages are driven by a test clock.

#![cfg(feature = "http-client")]

#[cfg(feature = "redis")]
#[path = "../support/redis.rs"]
mod server;
#[path = "../support/mod.rs"]
mod support;
#[path = "../support/tls.rs"]
mod tls;

mod answers;
mod fair;
mod load;
mod newest;
mod now;
mod odd;
mod outage;
#[cfg(feature = "redis")]
mod redis;
mod rfc7662;
mod rfc9701;
mod runtimes;
mod settings;
mod shared;
mod ways;

use std::time::Duration;

use tower_resource_server::clock::TestClock;
use tower_resource_server::introspection::{ClientAuth, Introspection};
use tower_resource_server::test_issuer::{Endpoint, Fault, TestIssuer};
use tower_resource_server::{Issuer, ResourceServer};

use support::*;

/// The credentials of most tests.
pub(crate) fn secret() -> ClientAuth {
    ClientAuth::client_secret_basic("notes-api", "s3cr3t")
}

#[derive(Debug)]
pub(crate) struct World {
    pub(crate) clock: TestClock,
    pub(crate) issuer: TestIssuer,
    pub(crate) server: ResourceServer,
}

impl World {
    /// An issuer that introspects opaque tokens, its endpoint found by its metadata.
    pub(crate) async fn new() -> Self {
        Self::with(|introspection| introspection).await
    }

    pub(crate) async fn with(settings: impl Fn(Introspection) -> Introspection) -> Self {
        let (clock, issuer) = start().await;
        let trusted =
            Issuer::new(issuer.url()).introspection(settings(Introspection::new(secret())));
        let server = serve(trusted, &clock);
        Self { clock, issuer, server }
    }

    pub(crate) async fn bearer(&self, token: &str) -> Reply {
        api(self.server.layer()).bearer(token).await
    }

    /// Lets time pass. Tokens minted for these tests live for 300 s.
    pub(crate) fn pass(&self, seconds: u64) {
        self.clock.advance(Duration::from_secs(seconds));
    }

    pub(crate) fn misbehave(&self, fault: Fault) {
        self.issuer.set_fault(Endpoint::Introspection, fault);
    }

    /// Lets the issuer answer with `members` and what an answer needs besides to be accepted.
    pub(crate) fn says(&self, members: serde_json::Value) {
        let mut answer = serde_json::json!({ "active": true, "aud": AUDIENCE, "sub": "alice" });
        for (name, value) in members.as_object().unwrap() {
            answer[name] = value.clone();
        }
        answer.as_object_mut().unwrap().retain(|_, value| !value.is_null());
        self.misbehave(Fault::Body(answer.to_string()));
    }

    pub(crate) fn calls(&self) -> u32 {
        self.issuer.counts().introspection
    }
}

pub(crate) async fn start() -> (TestClock, TestIssuer) {
    let clock = TestClock::starting_now();
    let issuer = TestIssuer::builder().clock(clock.clone()).start().await.unwrap();
    (clock, issuer)
}

pub(crate) fn serve(issuer: Issuer, clock: &TestClock) -> ResourceServer {
    builder(issuer).allow_http_loopback().clock(clock.clone()).build().unwrap()
}
