//! The Wycheproof vectors, run through this crate's own JWS, JWK and signature code.
//!
//! If the verdict on a vector differs from the published one, the vector is listed in
//! `wycheproof_exceptions.txt` with the reason. The test fails if an unlisted vector differs, and
//! also if a listed vector no longer differs. The test also checks how many vectors each set has
//! and how many are accepted, so that a set that is read incorrectly does not pass with too few
//! vectors.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use wycheproof::TestResult;
use wycheproof_ng_core::TestResult as JoseResult;
use wycheproof_ng_kdf_jose::json_web;

use crate::crypto::{Algorithm, AlgorithmSet, VerificationKey};
use crate::error::Error;
use crate::keys::KeySet;
use crate::token::header::Header;
use crate::token::jwt::{CompactJws, decode};

const EXCEPTIONS: &str = include_str!("wycheproof_exceptions.txt");

fn all() -> AlgorithmSet {
    Algorithm::ALL.iter().copied().collect()
}

/// Every set that is read here. An exception for any other set would never be checked.
const SETS: [&str; 18] = [
    "json_web_signature",
    "json_web_key",
    "json_web_crypto",
    "json_web_encryption",
    "ecdsa_p256",
    "ecdsa_p384",
    "ecdsa_p521",
    "ed25519",
    "rsa_2048_sha256",
    "rsa_3072_sha384",
    "rsa_4096_sha512",
    "rsa_8192_sha256",
    "pss_2048_sha256_32",
    "pss_2048_sha384_48",
    "pss_4096_sha512_64",
    "ml_dsa_44",
    "ml_dsa_65",
    "ml_dsa_87",
];

/// One line of the exceptions: the set, the number of the vector, and whether it is accepted here.
fn exceptions() -> impl Iterator<Item = (&'static str, usize, bool)> {
    let lines = EXCEPTIONS.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines.map(|line| {
        let words: Vec<_> = line.splitn(4, ' ').collect();
        let [set, id, verdict, reason] = words[..] else { panic!("not four words: {line}") };
        assert!(reason.len() > 10, "no reason: {line}");
        assert!(SETS.contains(&set), "no such set: {line}");
        let accepted = match verdict {
            "accept" => true,
            "refuse" => false,
            _ => panic!("no verdict: {line}"),
        };
        (set, id.parse().unwrap(), accepted)
    })
}

/// Compares each verdict with the published one and with the exceptions.
struct Judge {
    set: String,
    exceptions: BTreeMap<usize, bool>,
    problems: Vec<String>,
    seen: usize,
    accepted: usize,
}

impl Judge {
    fn new(set: &str) -> Self {
        assert!(SETS.contains(&set), "{set} is missing from the list of sets");
        let mut own = BTreeMap::new();
        for (_, id, accepted) in exceptions().filter(|(name, ..)| *name == set) {
            assert_eq!(own.insert(id, accepted), None, "{set} {id} is excepted twice");
        }
        let set = set.to_owned();
        Self { set, exceptions: own, problems: Vec::new(), seen: 0, accepted: 0 }
    }

    /// `valid` is `None` if the publisher leaves the verdict to the implementation.
    fn see(&mut self, id: usize, comment: &str, valid: Option<bool>, accepted: bool) {
        self.seen += 1;
        self.accepted += usize::from(accepted);
        let set = &self.set;
        match self.exceptions.remove(&id) {
            None if valid.is_none_or(|valid| valid == accepted) => {}
            Some(expected) if expected == accepted && valid != Some(accepted) => {}
            Some(_) if valid == Some(accepted) => {
                self.problems.push(format!("{set} {id}: no exception any more ({comment})"));
            }
            _ => self.problems.push(format!("{set} {id}: accepted {accepted} ({comment})")),
        }
    }

    /// The numbers are those of the published sets. A later edition may have more vectors.
    fn finish(self, seen: usize, accepted: usize) {
        let set = &self.set;
        assert!(self.problems.is_empty(), "{:#?}", self.problems);
        assert!(self.exceptions.is_empty(), "exceptions without a vector: {:?}", self.exceptions);
        assert!(self.seen >= seen, "{set}: only {} vectors", self.seen);
        assert!(self.accepted >= accepted, "{set}: only {} accepted", self.accepted);
    }
}

fn verdict(result: TestResult) -> Option<bool> {
    match result {
        TestResult::Valid => Some(true),
        TestResult::Invalid => Some(false),
        TestResult::Acceptable => None,
    }
}

/// The keys of a group: a JWK, a JWK set, or a secret. A secret can only be configured in code.
fn keys(group: &json_web::TestGroup) -> Option<KeySet> {
    let key = group.public_key.as_ref().or(group.private_key.as_ref())?;
    if key.get("kty") == Some(&json!("oct")) {
        let secret = URL_SAFE_NO_PAD.decode(key["k"].as_str()?).ok()?;
        let algorithm = Algorithm::from_name(key["alg"].as_str()?)?;
        return VerificationKey::secret(&secret, algorithm).ok().map(KeySet::single);
    }
    let set = if key.get("keys").is_some() { key.clone() } else { json!({ "keys": [key] }) };
    KeySet::parse(set.to_string().as_bytes(), all()).ok()
}

fn verify_jws(keys: Option<&KeySet>, jws: &Value) -> bool {
    let (Some(keys), Some(token)) = (keys, jws.as_str()) else {
        return false;
    };
    let judge = || -> Result<bool, Error> {
        let jws = CompactJws::split(token.as_bytes())?;
        let header = decode(jws.header)?;
        let header = Header::of(&Header::members(&header)?)?;
        let (_, signature) = (decode(jws.payload)?, decode(jws.signature)?);
        let candidates = keys.find(header.key(), header.algorithm, "");
        Ok(keys.verify(candidates, header.algorithm, jws.signing_input, &signature))
    };
    judge().unwrap_or(false)
}

fn jose(name: json_web::TestName, set: &str, seen: usize, accepted: usize) {
    let mut judge = Judge::new(set);
    let vectors = json_web::TestSet::load(name).unwrap();
    for group in &vectors.test_groups {
        let keys = keys(group);
        for test in &group.tests {
            // An encrypted token is always refused.
            let (jws, valid) = match (&test.jws, &test.jwe) {
                (Some(jws), _) => (jws, test.result == JoseResult::Valid),
                (None, Some(jwe)) => (jwe, false),
                (None, None) => panic!("vector {} has no token", test.tc_id),
            };
            let verified = verify_jws(keys.as_ref(), jws);
            judge.see(test.tc_id, &test.comment, Some(valid), verified);
        }
    }
    judge.finish(seen, accepted);
}

#[test]
fn json_web_signature() {
    jose(json_web::TestName::JsonWebSignature, "json_web_signature", 401, 42);
}

#[test]
fn json_web_key() {
    jose(json_web::TestName::JsonWebKey, "json_web_key", 26, 1);
}

#[test]
fn json_web_crypto() {
    jose(json_web::TestName::JsonWebCrypto, "json_web_crypto", 83, 3);
}

#[test]
fn json_web_encryption_is_always_refused() {
    jose(json_web::TestName::JsonWebEncryption, "json_web_encryption", 139, 0);
}

#[test]
fn ecdsa_p1363() {
    use wycheproof::ecdsa::{TestName, TestSet};
    for (name, set, curve, algorithm, counts) in [
        (TestName::EcdsaSecp256r1Sha256P1363, "ecdsa_p256", "P-256", Algorithm::ES256, (262, 173)),
        (TestName::EcdsaSecp384r1Sha384P1363, "ecdsa_p384", "P-384", Algorithm::ES384, (280, 193)),
        (TestName::EcdsaSecp521r1Sha512P1363, "ecdsa_p521", "P-521", Algorithm::ES512, (318, 231)),
    ] {
        let mut judge = Judge::new(set);
        for group in &TestSet::load(name).unwrap().test_groups {
            let point = group.key.key.as_slice();
            let (x, y) = point[1..].split_at((point.len() - 1) / 2);
            let key = VerificationKey::ec(curve, x, y, all()).unwrap();
            for test in &group.tests {
                let accepted = key.verify(algorithm, &test.msg, &test.sig);
                judge.see(test.tc_id, &test.comment, verdict(test.result), accepted);
            }
        }
        judge.finish(counts.0, counts.1);
    }
}

#[test]
fn ed25519() {
    use wycheproof::eddsa::{TestName, TestSet};
    let mut judge = Judge::new("ed25519");
    for group in &TestSet::load(TestName::Ed25519).unwrap().test_groups {
        let key = VerificationKey::ed25519(&group.key.pk, all()).unwrap();
        for test in &group.tests {
            let accepted = key.verify(Algorithm::Ed25519, &test.msg, &test.sig);
            judge.see(test.tc_id, &test.comment, verdict(test.result), accepted);
        }
    }
    judge.finish(151, 88);
}

fn trimmed(number: &[u8]) -> &[u8] {
    &number[number.iter().position(|octet| *octet != 0).unwrap_or(number.len())..]
}

#[test]
fn rsa_pkcs1() {
    use wycheproof::rsa_pkcs1_verify::{TestName, TestSet};
    for (name, set, algorithm, counts) in [
        (TestName::Rsa2048Sha256, "rsa_2048_sha256", Algorithm::RS256, (259, 9)),
        (TestName::Rsa3072Sha384, "rsa_3072_sha384", Algorithm::RS384, (259, 7)),
        (TestName::Rsa4096Sha512, "rsa_4096_sha512", Algorithm::RS512, (259, 7)),
        (TestName::Rsa8192Sha256, "rsa_8192_sha256", Algorithm::RS256, (258, 7)),
    ] {
        let mut judge = Judge::new(set);
        for group in &TestSet::load(name).unwrap().test_groups {
            let key = VerificationKey::rsa(trimmed(&group.key.n), trimmed(&group.key.e), all());
            for test in &group.tests {
                let accepted =
                    key.as_ref().is_ok_and(|key| key.verify(algorithm, &test.msg, &test.sig));
                judge.see(test.tc_id, &test.comment, verdict(test.result), accepted);
            }
        }
        judge.finish(counts.0, counts.1);
    }
}

#[test]
fn rsa_pss() {
    use wycheproof::rsa_pss_verify::{TestName, TestSet};
    for (name, set, algorithm, counts) in [
        (
            TestName::RsaPss2048Sha256Mgf1SaltLen32,
            "pss_2048_sha256_32",
            Algorithm::PS256,
            (108, 63),
        ),
        (
            TestName::RsaPss2048Sha384Mgf1SaltLen48,
            "pss_2048_sha384_48",
            Algorithm::PS384,
            (141, 95),
        ),
        (
            TestName::RsaPss4096Sha512Mgf1SaltLen64,
            "pss_4096_sha512_64",
            Algorithm::PS512,
            (179, 132),
        ),
    ] {
        let mut judge = Judge::new(set);
        for group in &TestSet::load(name).unwrap().test_groups {
            let key = VerificationKey::rsa(trimmed(&group.key.n), trimmed(&group.key.e), all());
            for test in &group.tests {
                let accepted =
                    key.as_ref().is_ok_and(|key| key.verify(algorithm, &test.msg, &test.sig));
                judge.see(test.tc_id, &test.comment, verdict(test.result), accepted);
            }
        }
        judge.finish(counts.0, counts.1);
    }
}

/// RFC 7518 §3.5: the salt is as long as the hash, and MGF1 uses the same hash. Signatures that
/// differ only in this are refused.
#[test]
fn rsa_pss_with_another_salt_or_mask_is_refused() {
    use wycheproof::rsa_pss_verify::{TestName, TestSet};
    let mut refused = 0;
    for (name, algorithm) in [
        (TestName::RsaPss2048Sha256Mgf1SaltLen0, Algorithm::PS256),
        (TestName::RsaPss2048Sha256Mgf1Sha1_20, Algorithm::PS256),
        (TestName::RsaPss4096Sha512Mgf1SaltLen32, Algorithm::PS512),
    ] {
        for group in &TestSet::load(name).unwrap().test_groups {
            let (n, e) = (trimmed(&group.key.n), trimmed(&group.key.e));
            let key = VerificationKey::rsa(n, e, all()).unwrap();
            for test in &group.tests {
                // The other vectors have the salt length of this algorithm.
                if test.result == TestResult::Valid {
                    let accepted = key.verify(algorithm, &test.msg, &test.sig);
                    assert!(!accepted, "{name:?} {}", test.tc_id);
                    refused += 1;
                }
            }
        }
    }
    assert!(refused > 100, "only {refused} of them were otherwise good");
}

#[test]
fn ml_dsa() {
    use wycheproof::mldsa_verify::{TestName, TestSet};
    for (name, set, algorithm, counts) in [
        (TestName::MlDsa44Verify, "ml_dsa_44", Algorithm::MlDsa44, (180, 75)),
        (TestName::MlDsa65Verify, "ml_dsa_65", Algorithm::MlDsa65, (210, 77)),
        (TestName::MlDsa87Verify, "ml_dsa_87", Algorithm::MlDsa87, (241, 69)),
    ] {
        let mut judge = Judge::new(set);
        for group in &TestSet::load(name).unwrap().test_groups {
            let key = VerificationKey::ml_dsa(algorithm, &group.pubkey, all());
            for test in &group.tests {
                // RFC 9964 §5: the context is empty, so a signature with another context is
                // invalid.
                let valid = match &test.ctx {
                    Some(context) if !context.is_empty() => Some(false),
                    _ => verdict(test.result),
                };
                let accepted =
                    key.as_ref().is_ok_and(|key| key.verify(algorithm, &test.msg, &test.sig));
                judge.see(test.tc_id, &test.comment, valid, accepted);
            }
        }
        judge.finish(counts.0, counts.1);
    }
}

#[test]
fn every_exception_is_of_a_set_that_is_read() {
    assert!(exceptions().count() > 10);
}
