//! The example of RFC 9449 §7.1, and what is cached of it.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::crypto::AlgorithmSet;
use crate::error::Error;
use crate::sender::dpop::proof::{About, ProofHeader, header_memo, verify};
use crate::token::Thumbprint;
use crate::token::memo::Memo;

const TOKEN: &[u8] = b"Kz~8mXK1EalYznwH-LC-1fBAo.4Ljp~zsPE_NeO.gxU";
const PROOF: &str = "eyJ0eXAiOiJkcG9wK2p3dCIsImFsZyI6IkVTMjU2IiwiandrIjp7Imt0eSI6IkVDIiwieCI6Imw4dEZyaHgtMzR0VjNoUklDUkRZOXpDa0RscEJoRjQyVVFVZldWQVdCRnMiLCJ5IjoiOVZFNGpmX09rX282NHpiVFRsY3VOSmFqSG10NnY5VERWclUwQ2R2R1JEQSIsImNydiI6IlAtMjU2In19.eyJqdGkiOiJlMWozVl9iS2ljOC1MQUVCIiwiaHRtIjoiR0VUIiwiaHR1IjoiaHR0cHM6Ly9yZXNvdXJjZS5leGFtcGxlLm9yZy9wcm90ZWN0ZWRyZXNvdXJjZSIsImlhdCI6MTU2MjI2MjYxOCwiYXRoIjoiZlVIeU8ycjJaM0RaNTNFc05yV0JiMHhXWG9hTnk1OUlpS0NBcWtzbVFFbyJ9.2oW9RP35yRqzhrtNP86L-Ey71EOptxRimPPToA1plemAgR6pxHF8y6-yqyVnmcw6Fy1dqd-jfxSYoMxhAJpLjA";
const KEY: &str = "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I";
const URL: &str = "https://resource.example.org/protectedresource";

fn thumbprint(text: &str) -> Thumbprint {
    Thumbprint::new(URL_SAFE_NO_PAD.decode(text).unwrap().try_into().unwrap())
}

fn good<'a>(known: &'a Memo<ProofHeader>, key: &'a Thumbprint) -> About<'a> {
    About {
        algorithms: AlgorithmSet::DEFAULT,
        known,
        method: "GET",
        target: URL,
        is_root: false,
        token: TOKEN,
        key,
    }
}

fn is_cached(known: &Memo<ProofHeader>) -> bool {
    known.find(PROOF.split('.').next().unwrap().as_bytes()).is_some()
}

#[test]
fn the_proof_of_the_rfc_verifies_and_nothing_like_it() {
    let (key, other_key) = (thumbprint(KEY), Thumbprint::new([7; 32]));
    let known = header_memo();
    let good = good(&known, &key);
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
fn only_the_headers_of_accepted_proofs_are_cached() {
    let (key, other_key) = (thumbprint(KEY), Thumbprint::new([7; 32]));
    let known = header_memo();
    let good = good(&known, &key);
    let forged = PROOF.replace(".2oW9", ".3oW9");
    for (name, proof, about) in [
        ("another signature", &*forged, good),
        ("another method", PROOF, About { method: "POST", ..good }),
        ("another URL", PROOF, About { target: "https://resource.example.org/other", ..good }),
        ("another token", PROOF, About { token: b"x", ..good }),
        ("another algorithm", PROOF, About { algorithms: AlgorithmSet::EMPTY, ..good }),
        ("another key", PROOF, About { key: &other_key, ..good }),
    ] {
        verify(proof.as_bytes(), &about).unwrap_err();
        assert!(!is_cached(&known), "{name}");
    }
    verify(PROOF.as_bytes(), &good).unwrap();
    assert!(is_cached(&known));
    // A proof with a cached header is the same proof.
    let id = verify(PROOF.as_bytes(), &good).unwrap().id;
    assert_eq!(id, verify(PROOF.as_bytes(), &About { known: &header_memo(), ..good }).unwrap().id);
}

#[test]
fn the_cache_shows_nothing_of_a_proof() {
    let (key, known) = (thumbprint(KEY), header_memo());
    verify(PROOF.as_bytes(), &good(&known, &key)).unwrap();
    assert_eq!(format!("{known:?}"), "Memo { slots: 1024, .. }");
}
