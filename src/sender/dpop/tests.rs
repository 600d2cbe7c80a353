//! The example of RFC 9449 §7.1, and what is cached of it.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::crypto::{Algorithm, AlgorithmSet};
use crate::error::Error;
use crate::sender::dpop::header::ProofHeaders;
use crate::sender::dpop::proof::{About, verify};
use crate::test_issuer::TestProver;
use crate::token::Thumbprint;

const TOKEN: &[u8] = b"Kz~8mXK1EalYznwH-LC-1fBAo.4Ljp~zsPE_NeO.gxU";
const PROOF: &str = "eyJ0eXAiOiJkcG9wK2p3dCIsImFsZyI6IkVTMjU2IiwiandrIjp7Imt0eSI6IkVDIiwieCI6Imw4dEZyaHgtMzR0VjNoUklDUkRZOXpDa0RscEJoRjQyVVFVZldWQVdCRnMiLCJ5IjoiOVZFNGpmX09rX282NHpiVFRsY3VOSmFqSG10NnY5VERWclUwQ2R2R1JEQSIsImNydiI6IlAtMjU2In19.eyJqdGkiOiJlMWozVl9iS2ljOC1MQUVCIiwiaHRtIjoiR0VUIiwiaHR1IjoiaHR0cHM6Ly9yZXNvdXJjZS5leGFtcGxlLm9yZy9wcm90ZWN0ZWRyZXNvdXJjZSIsImlhdCI6MTU2MjI2MjYxOCwiYXRoIjoiZlVIeU8ycjJaM0RaNTNFc05yV0JiMHhXWG9hTnk1OUlpS0NBcWtzbVFFbyJ9.2oW9RP35yRqzhrtNP86L-Ey71EOptxRimPPToA1plemAgR6pxHF8y6-yqyVnmcw6Fy1dqd-jfxSYoMxhAJpLjA";
const KEY: &str = "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I";
const URL: &str = "https://resource.example.org/protectedresource";

fn thumbprint(text: &str) -> Thumbprint {
    Thumbprint::new(URL_SAFE_NO_PAD.decode(text).unwrap().try_into().unwrap())
}

fn headers() -> ProofHeaders {
    ProofHeaders::new(AlgorithmSet::DEFAULT)
}

fn good(key: &Thumbprint) -> About<'_> {
    About { method: "GET", target: URL, is_root: false, token: TOKEN, key }
}

#[test]
fn the_proof_of_the_rfc_verifies_and_nothing_like_it() {
    let (key, other_key) = (thumbprint(KEY), Thumbprint::new([7; 32]));
    let (headers, good) = (headers(), good(&key));
    let verify = |proof: &[u8], about: &About<'_>| verify(proof, &headers, about);
    let proof = verify(PROOF.as_bytes(), &good).unwrap();
    assert_eq!((proof.iat, proof.nonce.as_deref()), (1_562_262_618.0, None));
    assert_eq!(proof.id, verify(PROOF.as_bytes(), &good).unwrap().id);
    for (name, about) in [
        ("another method", About { method: "POST", ..good }),
        ("the method in lower case", About { method: "get", ..good }),
        ("another URL", About { target: "https://resource.example.org/other", ..good }),
        ("another token", About { token: b"Kz~8mXK1EalYznwH-LC-1fBAo.4Ljp~zsPE_NeO.gxV", ..good }),
        ("another key", About { key: &other_key, ..good }),
    ] {
        let error = verify(PROOF.as_bytes(), &about).unwrap_err();
        assert_eq!(error == Error::ForeignProofKey, name == "another key", "{name}: {error}");
    }
    for at in 0..PROOF.len() {
        let mut changed = PROOF.as_bytes().to_vec();
        changed[at] = if changed[at] == b'A' { b'B' } else { b'A' };
        assert!(verify(&changed, &good).is_err(), "octet {at}");
    }
}

#[test]
fn only_the_headers_of_verified_proofs_are_cached() {
    let (key, other_key) = (thumbprint(KEY), Thumbprint::new([7; 32]));
    let (headers, good) = (headers(), good(&key));
    let forged = PROOF.replace(".2oW9", ".3oW9");
    for (name, proof, about) in [
        ("another signature", &*forged, good),
        ("another method", PROOF, About { method: "POST", ..good }),
        ("another URL", PROOF, About { target: "https://resource.example.org/other", ..good }),
        ("another token", PROOF, About { token: b"x", ..good }),
        ("another key", PROOF, About { key: &other_key, ..good }),
    ] {
        verify(proof.as_bytes(), &headers, &about).unwrap_err();
        assert!(!headers.has(PROOF), "{name}");
    }
    let id = verify(PROOF.as_bytes(), &headers, &good).unwrap().id;
    assert!(headers.has(PROOF));
    assert_eq!(id, verify(PROOF.as_bytes(), &headers, &good).unwrap().id, "with the cached header");
    // A cached header changes nothing for the next proof.
    verify(forged.as_bytes(), &headers, &good).unwrap_err();
    let foreign = verify(PROOF.as_bytes(), &headers, &About { key: &other_key, ..good });
    assert_eq!(foreign.unwrap_err(), Error::ForeignProofKey);
}

/// The problem is for the log. Of two faults, the first one is reported.
#[test]
fn each_fault_of_a_header_has_its_name() {
    const JWK: &str = r#"{"kty":"EC","crv":"P-256","x":"l8tFrhx-34tV3hRICRDY9zCkDlpBhF42UQUfWVAWBFs","y":"9VE4jf_Ok_o64zbTTlcuNJajHmt6v9TDVrU0CdvGRDA"}"#;
    let key = thumbprint(KEY);
    let (_, rest) = PROOF.split_once('.').unwrap();
    let problem_of = |headers: &ProofHeaders, header: &str| {
        let proof = format!("{}.{rest}", URL_SAFE_NO_PAD.encode(header.replace("JWK", JWK)));
        match verify(proof.as_bytes(), headers, &good(&key)) {
            Err(Error::InvalidProof { problem }) => problem,
            other => panic!("{header}: {other:?}"),
        }
    };
    let signature = "its signature is not that of its key";
    for (header, problem) in [
        (r#"{"typ":"dpop+jwt","alg":"ES256","jwk":JWK} "#, signature),
        (r#"{"typ":"application/DPoP+JWT","alg":"ES256","jwk":JWK}"#, signature),
        (r#"{"typ":"JWT","alg":"ES256","jwk":JWK}"#, "`typ` is not `dpop+jwt`"),
        (r#"{"alg":"ES256","jwk":JWK}"#, "`typ` is not `dpop+jwt`"),
        (r#"{"typ":"JWT","alg":"HS256"}"#, "`typ` is not `dpop+jwt`"),
        (r#"{"typ":"dpop+jwt","alg":"HS256","jwk":JWK}"#, "`alg` is not accepted for proofs"),
        (r#"{"typ":"dpop+jwt","alg":"none","jwk":JWK}"#, "`alg` is not accepted for proofs"),
        (r#"{"typ":"dpop+jwt","alg":"HS256"}"#, "`alg` is not accepted for proofs"),
        (r#"{"typ":"dpop+jwt","alg":"ES256"}"#, "`jwk` is missing or not an object"),
        (r#"{"typ":"dpop+jwt","alg":"ES256","jwk":[JWK]}"#, "`jwk` is missing or not an object"),
        (r#"{"typ":"dpop+jwt","alg":"ES256","jwk":{}}"#, "a member of `jwk` is missing"),
        (
            r#"{"typ":"dpop+jwt","alg":"ES256","jwk":{"kty":"EC","d":1}}"#,
            "`jwk` has members of a private key",
        ),
        (r#"{"typ":"JWT","alg":"ES256","jwk":JWK,"crit":[]}"#, "the header has `crit` or `b64`"),
        (r#"{"typ":"JWT"}"#, "`alg` is missing or not a string"),
        ("{", "the header is not one strict JSON object"),
    ] {
        assert_eq!(problem_of(&headers(), header), problem, "{header}");
    }
    let other = ProofHeaders::new(AlgorithmSet::EMPTY.with(Algorithm::ES384));
    let good = r#"{"typ":"dpop+jwt","alg":"ES256","jwk":JWK}"#;
    assert_eq!(problem_of(&other, good), "`alg` is not accepted for proofs");
}

/// Clients that are gone leave their headers in the cache.
#[test]
fn a_new_client_finds_room_in_a_full_cache() {
    let target = "https://api.example.com/";
    let proof = |client: &TestProver| client.proof("GET", target).token("a").sign();
    let headers = headers();
    let accept = |client: &TestProver, proof: &str| {
        let key = thumbprint(&client.thumbprint());
        let about = About { method: "GET", target, is_root: false, token: b"a", key: &key };
        verify(proof.as_bytes(), &headers, &about).unwrap();
        headers.has(proof)
    };
    for _ in 0..4096 {
        let client = TestProver::generate(Algorithm::Ed25519);
        accept(&client, &proof(&client));
    }
    // 1 in 16 of its requests finds room for it, so 500 in vain have a chance of 1 in 10^14.
    let client = TestProver::generate(Algorithm::Ed25519);
    assert!((0..500).any(|_| accept(&client, &proof(&client))));
}

#[test]
fn the_cache_shows_nothing_of_a_proof() {
    let (key, headers) = (thumbprint(KEY), headers());
    verify(PROOF.as_bytes(), &headers, &good(&key)).unwrap();
    let shown = format!("{headers:?}");
    assert!(shown.ends_with("memo: Memo { slots: 1024, .. } }"), "{shown}");
}
