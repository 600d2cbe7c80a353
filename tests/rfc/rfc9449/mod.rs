//! RFC 9449: tokens that are bound to a key of the client (DPoP).

mod challenge;
#[cfg(feature = "http-client")]
mod introspected;
mod layers;
mod nonce;
mod proof;
mod replay;
mod settings;
mod time;
mod token;
mod url;

use std::time::Duration;

use http::Request;
use tower_resource_server::ResourceServer;
use tower_resource_server::clock::{Clock as _, TestClock};
use tower_resource_server::keys::Algorithm;
use tower_resource_server::sender::{Dpop, Nonces, Replay};
use tower_resource_server::test_issuer::{ProofBuilder, TestIssuer, TestProver};

use crate::support::*;

/// The URL of every request here, unless a test names another.
pub const URL: &str = "https://api.example.com/notes";

/// An issuer, a client with a key, a token that is bound to it, and the clock of all.
pub struct World {
    pub issuer: TestIssuer,
    pub clock: TestClock,
    pub client: TestProver,
    pub token: String,
}

impl World {
    /// The clock begins at a full minute.
    pub fn new() -> Self {
        let now = TestClock::starting_now().wall().as_secs();
        let clock = TestClock::at(now - now % 60);
        let issuer = TestIssuer::builder().clock(clock.clone()).in_process(ISSUER);
        let client = TestProver::generate(Algorithm::ES256).clock(clock.clone());
        let token = issuer.token().bound_to_key(&client).expires_in(3_600).sign();
        Self { issuer, clock, client, token }
    }

    pub fn server(&self, dpop: Dpop) -> ResourceServer {
        let builder = builder(trusting(&self.issuer)).clock(self.clock.clone());
        builder.dpop(dpop).build().unwrap()
    }

    /// Another client with its own key, and the same clock.
    pub fn another(&self) -> TestProver {
        TestProver::generate(Algorithm::ES256).clock(self.clock.clone())
    }

    /// A good proof for a GET of [`URL`] with the token.
    pub fn proof(&self) -> ProofBuilder<'_> {
        self.client.proof("GET", URL).token(&self.token)
    }

    /// A request with the token and a new good proof.
    pub fn good(&self) -> Request<Body> {
        request(&self.token, &[&self.proof().sign()])
    }

    pub fn pass(&self, seconds: u64) {
        self.clock.advance(Duration::from_secs(seconds));
    }
}

pub fn optional() -> Dpop {
    Dpop::optional(AUDIENCE, Replay::in_process())
}

pub fn with_nonces() -> Dpop {
    optional().nonces(Nonces::always())
}

/// A GET of [`URL`] with this token under the scheme `DPoP`, and these lines of the field `DPoP`.
pub fn request(token: &str, proofs: &[&str]) -> Request<Body> {
    let mut request = get().header("authorization", format!("DPoP {token}"));
    for proof in proofs {
        request = request.header("dpop", *proof);
    }
    request.body(Body::default()).unwrap()
}

/// The same under the scheme `Bearer`.
pub fn as_bearer(token: &str, proofs: &[&str]) -> Request<Body> {
    let mut request = request(token, proofs);
    let value = format!("Bearer {token}").parse().unwrap();
    request.headers_mut().insert("authorization", value);
    request
}

/// Adds a field to a request.
pub fn with(mut request: Request<Body>, name: &'static str, value: &str) -> Request<Body> {
    request.headers_mut().append(name, value.parse().unwrap());
    request
}
