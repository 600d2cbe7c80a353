//! The thumbprint of a JSON Web Key (RFC 7638).

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::crypto::sha256;
use crate::token::json::{self, Value};

/// The SHA-256 thumbprint of a JWK (RFC 7638 §3) in base64url. The thumbprint depends only on the
/// key itself, not on members such as `kid`. Returns `None` if `jwk` is not a JSON object, if its
/// `kty` is not RSA, EC, OKP, oct or AKP, or if a required member is missing.
///
/// ```
/// use tower_resource_server::keys::jwk_thumbprint;
///
/// // RFC 8037 A.3.
/// let jwk = r#"{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#;
/// assert_eq!(jwk_thumbprint(jwk).as_deref(), Some("kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"));
/// assert_eq!(jwk_thumbprint("{}"), None);
/// ```
pub fn jwk_thumbprint(jwk: &str) -> Option<String> {
    let jwk = json::parse(jwk.as_bytes()).ok()?;
    // RFC 7638 §3.2, RFC 8037 §2, RFC 9964 §6: required members, sorted by name.
    let names: &[&str] = match jwk.get("kty").and_then(Value::as_str)? {
        "RSA" => &["e", "kty", "n"],
        "EC" => &["crv", "kty", "x", "y"],
        "OKP" => &["crv", "kty", "x"],
        "oct" => &["k", "kty"],
        "AKP" => &["alg", "kty", "pub"],
        _ => return None,
    };
    let mut canonical = String::from("{");
    for (index, name) in names.iter().enumerate() {
        let value = jwk.get(name).and_then(Value::as_str)?;
        if index > 0 {
            canonical.push(',');
        }
        canonical.push_str(&format!("\"{name}\":{}", serde_json::to_string(value).ok()?));
    }
    canonical.push('}');
    Some(URL_SAFE_NO_PAD.encode(sha256(canonical.as_bytes())))
}
