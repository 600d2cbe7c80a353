//! Signed metadata (RFC 9728 §2.2).

use std::error::Error;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value};

use crate::server::metadata::members::sorted;
use crate::token::json;

/// A function that signs the claims, as JSON text, and returns a compact JWS.
pub(super) type Signer = Box<dyn FnOnce(&str) -> Result<String, Box<dyn Error>> + Send>;

/// Signs the members and the claim `iss`, which names the party that attests to them.
///
/// # Errors
/// The problem, as a sentence.
pub(super) fn signed(
    members: &Map<String, Value>,
    iss: &str,
    sign: Signer,
) -> Result<String, String> {
    let mut claims = members.clone();
    claims.insert("iss".to_owned(), iss.into());
    let text = sorted(&claims);
    let jws = sign(&text).map_err(|error| {
        format!("signed_metadata: the signer failed: {}", error.to_string().escape_debug())
    })?;
    match check(&jws, &text, &claims) {
        Ok(()) => Ok(jws),
        Err(problem) => Err(format!("signed_metadata: {problem}")),
    }
}

/// Checks what a client would read. The signature cannot be checked here, because only the signer knows
/// the key.
fn check(jws: &str, text: &str, claims: &Map<String, Value>) -> Result<(), &'static str> {
    const NOT_A_JWS: &str = "the signer returned no compact JWS (RFC 7515 section 7.1)";
    let parts: Vec<_> = jws.split('.').map(|part| URL_SAFE_NO_PAD.decode(part)).collect();
    let [Ok(header), Ok(payload), Ok(signature)] = parts.as_slice() else { return Err(NOT_A_JWS) };
    let header = json::parse(header).map_err(|_| NOT_A_JWS)?;
    match header.get("alg").and_then(json::Value::as_str) {
        None => return Err(NOT_A_JWS),
        Some(alg) if alg.eq_ignore_ascii_case("none") || signature.is_empty() => {
            return Err("the JWS has no signature");
        }
        Some(_) => {}
    }
    // An extension may change how the payload is read (RFC 7797).
    if header.contains("crit") {
        return Err("the header of the JWS has `crit`");
    }
    // A signer may write the claims in another order.
    let reads_the_same = || {
        let payload = json::parse(payload).ok()?;
        Some(payload.to::<Map<String, Value>>().ok()? == *claims)
    };
    if payload == text.as_bytes() || reads_the_same() == Some(true) {
        return Ok(());
    }
    Err("the payload of the JWS is not the claims that the signer got")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn jws(header: &str, payload: &str, signature: &str) -> String {
        [header, payload, signature].map(|part| URL_SAFE_NO_PAD.encode(part)).join(".")
    }

    #[test]
    fn what_a_signer_returns() {
        let mut members = Map::new();
        members.insert("resource".to_owned(), "https://h".into());
        let es256 = r#"{"alg":"ES256"}"#;
        let claims = r#"{"iss":"https://h","resource":"https://h"}"#;
        let other_order = r#"{"resource":"https://h", "iss":"https://h"}"#;
        for (name, result, good) in [
            ("the claims", jws(es256, claims, "s"), true),
            ("another order", jws(es256, other_order, "s"), true),
            ("another type", jws(r#"{"typ":"x","alg":"EdDSA"}"#, claims, "s"), true),
            ("other claims", jws(es256, r#"{"iss":"https://h"}"#, "s"), false),
            (
                "a member more",
                jws(es256, r#"{"iss":"https://h","resource":"https://h","x":1}"#, "s"),
                false,
            ),
            (
                "a member twice",
                jws(es256, r#"{"iss":"https://h","resource":"x","resource":"https://h"}"#, "s"),
                false,
            ),
            ("no signature", jws(es256, claims, ""), false),
            ("alg none", jws(r#"{"alg":"None"}"#, claims, "s"), false),
            ("no alg", jws("{}", claims, "s"), false),
            ("alg twice", jws(r#"{"alg":"ES256","alg":"ES256"}"#, claims, "s"), false),
            ("crit", jws(r#"{"alg":"ES256","b64":false,"crit":["b64"]}"#, claims, "s"), false),
            ("no JSON", jws("x", claims, "s"), false),
            ("two parts", jws(es256, claims, "s").rsplit_once('.').unwrap().0.to_owned(), false),
            ("four parts", jws(es256, claims, "s") + ".cw", false),
            ("padding", jws(es256, claims, "s") + "==", false),
            ("the claims alone", claims.to_owned(), false),
            ("empty", String::new(), false),
        ] {
            let expected = result.clone();
            let sign: Signer = Box::new(move |text| {
                assert_eq!(text, claims, "sorted names");
                Ok(result)
            });
            let found = signed(&members, "https://h", sign);
            assert_eq!(found.is_ok(), good, "{name}: {found:?}");
            assert!(!good || found.as_ref() == Ok(&expected), "{name}");
        }
        let failing: Signer = Box::new(|_| Err("no\nkey".into()));
        let problem = signed(&members, "https://h", failing).unwrap_err();
        assert_eq!(problem, r"signed_metadata: the signer failed: no\nkey");
    }
}
