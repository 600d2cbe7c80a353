//! The key in the header of a proof (`jwk`, RFC 9449 §4.2).
//!
//! The key is read strictly: each octet string has exactly one form, so a key has exactly one thumbprint.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::crypto::{Algorithm, AlgorithmSet, VerificationKey, sha256};
use crate::token::Thumbprint;
use crate::token::json::{Object, Value};

/// The members of private keys and of secrets (RFC 7518 §6.2.2, §6.3.2, §6.4.1, RFC 8037 §2, RFC 9964 §3).
const PRIVATE: [&str; 9] = ["d", "p", "q", "dp", "dq", "qi", "oth", "k", "priv"];

/// Reads a public key for one algorithm. Returns the key and its thumbprint (RFC 7638 §3).
///
/// # Errors
/// The problem, as a fixed text.
pub(super) fn read(
    jwk: &Object<'_>,
    algorithm: Algorithm,
) -> Result<(VerificationKey, Thumbprint), &'static str> {
    if PRIVATE.iter().any(|name| jwk.contains(name)) {
        return Err("`jwk` has members of a private key");
    }
    let only = AlgorithmSet::EMPTY.with(algorithm);
    let text = |name| jwk.get(name).and_then(Value::as_str).ok_or("a member of `jwk` is missing");
    // Each text in `canonical` is valid base64url, or is the name of a curve that `ec` checks. So none of them needs
    // an escape in JSON.
    let (key, thumbprint) = match text("kty")? {
        "EC" => {
            let (crv, x, y) = (text("crv")?, text("x")?, text("y")?);
            let (own_x, own_y) = (octets::<COORDINATE>(x)?, octets::<COORDINATE>(y)?);
            let key = VerificationKey::ec(crv, own_x.get(), own_y.get(), only);
            let canonical =
                [r#"{"crv":""#, crv, r#"","kty":"EC","x":""#, x, r#"","y":""#, y, r#""}"#];
            (key, sha256(canonical.concat().as_bytes()))
        }
        "RSA" => {
            let (n, e) = (text("n")?, text("e")?);
            let (own_n, own_e) = (octets::<MODULUS>(n)?, octets::<EXPONENT>(e)?);
            let key = VerificationKey::rsa(own_n.get(), own_e.get(), only);
            let canonical = [r#"{"e":""#, e, r#"","kty":"RSA","n":""#, n, r#""}"#];
            (key, sha256(canonical.concat().as_bytes()))
        }
        "OKP" => {
            let (crv, x) = (text("crv")?, text("x")?);
            if crv != "Ed25519" {
                return Err("the curve of `jwk` is not supported");
            }
            let key = VerificationKey::ed25519(octets::<COORDINATE>(x)?.get(), only);
            let canonical = [r#"{"crv":"Ed25519","kty":"OKP","x":""#, x, r#""}"#];
            (key, sha256(canonical.concat().as_bytes()))
        }
        _ => return Err("`kty` of `jwk` is not EC, RSA or OKP"),
    };
    Ok((key.map_err(|fault| fault.0)?, Thumbprint::new(thumbprint)))
}

/// The maximum lengths of members in octets: a coordinate of P-521, a modulus of 8192 bits, an exponent of 33
/// bits. The import checks the exact lengths.
const COORDINATE: usize = 66;
const MODULUS: usize = 1024;
const EXPONENT: usize = 5;

/// The octets of a member. They are on the stack, because each header that is not cached is read in this way.
struct Octets<const N: usize>([u8; N], usize);

impl<const N: usize> Octets<N> {
    fn get(&self) -> &[u8] {
        self.0.get(..self.1).unwrap_or_default()
    }
}

fn octets<const N: usize>(text: &str) -> Result<Octets<N>, &'static str> {
    let mut octets = [0; N];
    match URL_SAFE_NO_PAD.decode_slice(text, &mut octets) {
        Ok(length) => Ok(Octets(octets, length)),
        Err(_) => Err("a member of `jwk` is too long, or is not base64url"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::token::json;

    /// RFC 9449 §7.1, §6.1.
    #[test]
    fn the_key_of_the_rfc_has_its_thumbprint() {
        let jwk = r#"{"kty":"EC","x":"l8tFrhx-34tV3hRICRDY9zCkDlpBhF42UQUfWVAWBFs",
            "y":"9VE4jf_Ok_o64zbTTlcuNJajHmt6v9TDVrU0CdvGRDA","crv":"P-256"}"#;
        let (key, thumbprint) =
            read(&json::parse(jwk.as_bytes()).unwrap(), Algorithm::ES256).unwrap();
        assert!(key.fits(Algorithm::ES256));
        let text = URL_SAFE_NO_PAD.encode(thumbprint.octets());
        assert_eq!(text, "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I");
        assert_eq!(crate::keys::jwk_thumbprint(jwk), Some(text));
    }

    /// RFC 8037 appendix A.3.
    #[test]
    fn an_ed25519_key_has_its_thumbprint() {
        let jwk =
            r#"{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#;
        let jwk = json::parse(jwk.as_bytes()).unwrap();
        let (_, thumbprint) = read(&jwk, Algorithm::Ed25519).unwrap();
        let text = URL_SAFE_NO_PAD.encode(thumbprint.octets());
        assert_eq!(text, "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k");
    }

    #[test]
    fn a_key_has_one_form() {
        let x = "l8tFrhx-34tV3hRICRDY9zCkDlpBhF42UQUfWVAWBFs";
        let y = "9VE4jf_Ok_o64zbTTlcuNJajHmt6v9TDVrU0CdvGRDA";
        let ec = |crv: &str, x: &str, y: &str, more: &str| {
            let jwk = format!(r#"{{"kty":"EC","crv":"{crv}","x":"{x}","y":"{y}"{more}}}"#);
            read(&json::parse(jwk.as_bytes()).unwrap(), Algorithm::ES256).is_ok()
        };
        assert!(ec("P-256", x, y, ""));
        assert!(ec("P-256", x, y, r#","kid":"a","use":"sig","alg":"ES256","x5c":["x"]"#));
        for (name, other) in [
            ("padding", ec("P-256", &format!("{x}="), y, "")),
            ("spare bits", ec("P-256", "l8tFrhx-34tV3hRICRDY9zCkDlpBhF42UQUfWVAWBFt", y, "")),
            ("the other alphabet", ec("P-256", &x.replace('-', "+"), y, "")),
            (
                "a zero octet before it",
                ec("P-256", "AJfLRa4cft-LVd4USAkQ2PcwpA5aQYReNlEFH1lQFgRb", y, ""),
            ),
            ("another point", ec("P-256", y, x, "")),
            ("another curve", ec("P-384", x, y, "")),
            ("an unknown curve", ec("secp256k1", x, y, "")),
            ("a private key", ec("P-256", x, y, r#","d":"AA""#)),
            ("a private key that is null", ec("P-256", x, y, r#","d":null"#)),
        ] {
            assert!(!other, "{name}");
        }
        for jwk in [
            r#"{"kty":"oct","k":"AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow"}"#,
            r#"{"kty":"RSA","n":"AQAB","e":"AQAB"}"#,
            r#"{"kty":"OKP","crv":"X25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#,
            r#"{"kty":1}"#,
            "{}",
        ] {
            for algorithm in [Algorithm::ES256, Algorithm::RS256, Algorithm::Ed25519] {
                assert!(read(&json::parse(jwk.as_bytes()).unwrap(), algorithm).is_err(), "{jwk}");
            }
        }
    }
}
