//! The example of RFC 9449 §7.1.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::crypto::AlgorithmSet;
use crate::error::Error;
use crate::sender::dpop::proof::{About, verify};
use crate::token::Thumbprint;

const TOKEN: &[u8] = b"Kz~8mXK1EalYznwH-LC-1fBAo.4Ljp~zsPE_NeO.gxU";
const PROOF: &str = "eyJ0eXAiOiJkcG9wK2p3dCIsImFsZyI6IkVTMjU2IiwiandrIjp7Imt0eSI6IkVDIiwieCI6Imw4dEZyaHgtMzR0VjNoUklDUkRZOXpDa0RscEJoRjQyVVFVZldWQVdCRnMiLCJ5IjoiOVZFNGpmX09rX282NHpiVFRsY3VOSmFqSG10NnY5VERWclUwQ2R2R1JEQSIsImNydiI6IlAtMjU2In19.eyJqdGkiOiJlMWozVl9iS2ljOC1MQUVCIiwiaHRtIjoiR0VUIiwiaHR1IjoiaHR0cHM6Ly9yZXNvdXJjZS5leGFtcGxlLm9yZy9wcm90ZWN0ZWRyZXNvdXJjZSIsImlhdCI6MTU2MjI2MjYxOCwiYXRoIjoiZlVIeU8ycjJaM0RaNTNFc05yV0JiMHhXWG9hTnk1OUlpS0NBcWtzbVFFbyJ9.2oW9RP35yRqzhrtNP86L-Ey71EOptxRimPPToA1plemAgR6pxHF8y6-yqyVnmcw6Fy1dqd-jfxSYoMxhAJpLjA";
const KEY: &str = "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I";
const URL: &str = "https://resource.example.org/protectedresource";

#[test]
fn the_proof_of_the_rfc_verifies_and_nothing_like_it() {
    let thumbprint =
        |text: &str| Thumbprint::new(URL_SAFE_NO_PAD.decode(text).unwrap().try_into().unwrap());
    let (key, other_key) = (thumbprint(KEY), Thumbprint::new([7; 32]));
    let good = About {
        algorithms: AlgorithmSet::DEFAULT,
        method: "GET",
        target: URL,
        is_root: false,
        token: TOKEN,
        key: &key,
    };
    let proof = verify(PROOF.as_bytes(), &good).unwrap();
    assert_eq!((proof.iat, proof.nonce.as_deref()), (1_562_262_618.0, None));
    assert_eq!(proof.id, verify(PROOF.as_bytes(), &good).unwrap().id);
    for (name, about) in [
        ("another method", About { method: "POST", ..good }),
        ("the method in lower case", About { method: "get", ..good }),
        ("another URL", About { target: "https://resource.example.org/other", ..good }),
        ("another token", About { token: b"Kz~8mXK1EalYznwH-LC-1fBAo.4Ljp~zsPE_NeO.gxV", ..good }),
        ("another algorithm", About { algorithms: AlgorithmSet::EMPTY, ..good }),
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
