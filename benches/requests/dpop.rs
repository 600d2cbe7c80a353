//! A request whose token is bound to a key, with its proof.

use std::sync::Arc;

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::signature::{self, ParsedPublicKey};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::HeaderValue;
use serde_json::Value;
use tower::Layer;
use tower_resource_server::clock::TestClock;
use tower_resource_server::keys::Algorithm;
use tower_resource_server::sender::{Dpop, Nonces, Replay};
use tower_resource_server::test_issuer::{TestIssuer, TestProver};

use super::{
    AUDIENCE, Base, Batch, Body, Build, Case, ISSUER, describe, plain, repeated, sent, server,
    service,
};

const URL: &str = "https://api.example.com/notes/1";

const PARTS: &str = "DPoP: its parts, bare";

pub fn add_to(cases: &mut Vec<Case>) {
    let issuer = TestIssuer::in_process(ISSUER);
    // A clock that stands still: a nonce must not become too old while other cases run.
    let clock = TestClock::starting_now();
    let client = TestProver::generate(Algorithm::ES256).clock(clock.clone());
    let token = describe(&issuer).bound_to_key(&client).sign();
    add_parts(cases, &issuer, &client, &token);
    for (name, nonces) in [
        ("DPoP: layer, ES256 twice", Nonces::off()),
        ("DPoP: layer, with a nonce", Nonces::always()),
    ] {
        let dpop = Dpop::optional(AUDIENCE, Replay::in_process()).nonces(nonces);
        let server =
            server(&issuer, |builder| builder.dpop(dpop).clock(clock.clone()).build().unwrap());
        warm(&server, &client, &token);
        let build = fresh(&client, &token);
        cases.push(sent(name, Base::Signature(PARTS), server.layer().layer(service()), build, 200));
    }
    let dpop = Dpop::optional(AUDIENCE, Replay::in_process());
    let server =
        server(&issuer, |builder| builder.dpop(dpop).clock(clock.clone()).build().unwrap());
    warm(&server, &client, &token);
    let (name, build) = ("DPoP: layer, a new key each time", strangers(issuer, clock));
    cases.push(sent(name, Base::Signature(PARTS), server.layer().layer(service()), build, 200));
}

/// Requests of one client, with a fresh proof each.
fn fresh(client: &TestProver, token: &str) -> Build {
    let authorization: HeaderValue = format!("DPoP {token}").parse().unwrap();
    let mut proofs = proofs(client, token);
    Box::new(move || request(authorization.clone(), &proofs.next().unwrap()))
}

/// Requests of clients that the server has not seen before.
fn strangers(issuer: TestIssuer, clock: TestClock) -> Build {
    let mut made = made_ahead(move || {
        let client = TestProver::generate(Algorithm::ES256).clock(clock.clone());
        let token = describe(&issuer).bound_to_key(&client).sign();
        let proof = client.proof("GET", URL).token(&token).sign();
        (format!("DPoP {token}"), proof)
    });
    Box::new(move || {
        let (authorization, proof) = made.next().unwrap();
        request(authorization.parse().unwrap(), &proof)
    })
}

fn request(authorization: HeaderValue, proof: &str) -> http::Request<Body> {
    let mut request = plain();
    request.headers_mut().insert("authorization", authorization);
    request.headers_mut().insert("dpop", proof.parse().unwrap());
    request
}

fn proofs(client: &TestProver, token: &str) -> impl Iterator<Item = String> + use<> {
    let (client, token) = (client.clone(), token.to_owned());
    made_ahead(move || client.proof("GET", URL).token(&token).sign())
}

/// Fresh values, of which many are made at once. A client's work just before a batch, its signatures and their
/// garbage, makes a server's work in it slower, and belongs to another machine.
fn made_ahead<T>(make: impl Fn() -> T) -> impl Iterator<Item = T> {
    const AT_ONCE: usize = 2048;
    std::iter::repeat_with(move || (0..AT_ONCE).map(|_| make()).collect::<Vec<_>>()).flatten()
}

/// Has the keys fetched, and gets a nonce if one is needed.
fn warm(server: &tower_resource_server::ResourceServer, client: &TestProver, token: &str) {
    for _ in 0..2 {
        let (head, _) = fresh(client, token)().into_parts();
        if let Err(refusal) = super::runtime().block_on(server.authenticate(&head)) {
            let response: http::Response<Body> = refusal.into_response();
            assert!(client.remember_nonce(response.headers()), "{response:?}");
        }
    }
}

/// What a server does for a client that it has not seen: two signatures, the import of the proof's key, and three
/// hashes. For a client that comes again, the layer leaves out the import and one hash.
fn add_parts(cases: &mut Vec<Case>, issuer: &TestIssuer, client: &TestProver, token: &str) {
    let proof = client.proof("GET", URL).token(token).sign();
    let split = |jws: &str| {
        let (input, signature) = jws.rsplit_once('.').unwrap();
        (input.as_bytes().to_vec(), URL_SAFE_NO_PAD.decode(signature).unwrap())
    };
    let ((token_input, token_signature), (proof_input, proof_signature)) =
        (split(token), split(&proof));
    let jwks: Value = serde_json::from_str(&issuer.jwks()).unwrap();
    let point = |jwk: &Value| {
        let member = |name: &str| URL_SAFE_NO_PAD.decode(jwk[name].as_str().unwrap()).unwrap();
        [vec![4], member("x"), member("y")].concat()
    };
    let parse =
        |point: &[u8]| ParsedPublicKey::new(&signature::ECDSA_P256_SHA256_FIXED, point).unwrap();
    let issuer_key = Arc::new(parse(&point(&jwks["keys"][0])));
    let point = point(&client.jwk());
    let (one, two) = (Arc::clone(&issuer_key), Arc::new(parse(&point)));
    let (input, signature) = (proof_input.clone(), proof_signature.clone());
    cases.push(repeated("DPoP: part: one signature, prepared key", Base::None, move || {
        two.verify_sig(&input, &signature).unwrap();
    }));
    let own = point.clone();
    cases.push(repeated("DPoP: part: import of the key", Base::None, move || {
        std::hint::black_box(parse(&own));
    }));
    let text = token.to_owned();
    let hashes = move || {
        // `ath`, the thumbprint of the key, and the name of the proof.
        std::hint::black_box(digest(&SHA256, text.as_bytes()));
        std::hint::black_box(digest(&SHA256, &[7; 130]));
        std::hint::black_box(digest(&SHA256, &[7; 120]));
    };
    cases.push(repeated("DPoP: part: hashes", Base::None, hashes.clone()));
    // A fresh proof for each call, as the layer gets one: the time of a verification depends on the signature, and
    // the processor learns one that is repeated.
    let mut proofs = proofs(client, token);
    let whole = Arc::new(move |input: &[u8], signature: &[u8]| {
        one.verify_sig(&token_input, &token_signature).unwrap();
        parse(&point).verify_sig(input, signature).unwrap();
        hashes();
    });
    let prepare = move |calls: usize| -> Batch {
        let proofs: Vec<_> = proofs.by_ref().take(calls).map(|proof| split(&proof)).collect();
        let whole = Arc::clone(&whole);
        Box::new(move || {
            for (input, signature) in &proofs {
                whole(input, signature);
            }
            None
        })
    };
    cases.push(Case { name: PARTS, base: Base::None, prepare: Box::new(prepare) });
}
