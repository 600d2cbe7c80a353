//! Step 2 of the walk: a compact JWS becomes an [`UnverifiedJwt`], and only its key can make that a
//! [`VerifiedJwt`].
//!
//! Decides the form alone (RFC 7515 §5.2, RFC 7519 §7.2): size, three parts, canonical base64url,
//! one JSON object each in header and claims, `alg`, `typ`, `kid`, `crit`. Keys, time and
//! configuration are no concern of this file. What is read here before the signature is the very
//! value that is validated after it.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::crypto::Algorithm;
use crate::error::Error;
use crate::token::Excerpt;
use crate::token::json::{self, Object, Value};

/// Bytes of a token. Real ones have 0.5 to 8 KiB; servers put up to 16 KiB into all headers.
pub(crate) const MAX_TOKEN: usize = 16 * 1024;

/// Bytes of a `kid`. Real ones have 10 to 90.
pub(crate) const MAX_KID: usize = 1024;

/// Buffers that outlive the borrowed reading of a token.
#[derive(Default)]
pub(crate) struct Decoded {
    parts: Vec<u8>,
    header: usize,
    payload: usize,
}

/// A well-formed JWT that nobody vouches for.
pub(crate) struct UnverifiedJwt<'a> {
    pub(crate) header: Header<'a>,
    pub(crate) claims: Object<'a>,
    payload: &'a [u8],
    signing_input: &'a [u8],
    signature: &'a [u8],
}

/// A JWT whose signature verified with a key of its issuer.
pub(crate) struct VerifiedJwt<'a> {
    pub(crate) claims: Object<'a>,
    /// The text of the claims, for the API's own type.
    pub(crate) payload: &'a [u8],
}

impl<'a> UnverifiedJwt<'a> {
    /// Reads a token. The text is known to be ASCII without spaces (token68).
    pub(crate) fn parse(token: &'a [u8], decoded: &'a mut Decoded) -> Result<Self, Error> {
        Self::parse_up_to(token, MAX_TOKEN, decoded)
    }

    /// As [`parse`](Self::parse), with room for a JWT that is larger than a token.
    pub(crate) fn parse_up_to(
        token: &'a [u8],
        limit: usize,
        decoded: &'a mut Decoded,
    ) -> Result<Self, Error> {
        if token.len() > limit {
            return Err(Error::TokenTooLarge { size: token.len(), limit });
        }
        let jws = CompactJws::parse(token, decoded)?;
        let header = Header::parse(jws.header)?;
        let claims = json::parse(jws.payload)
            .map_err(|_| malformed("the claims are not one strict JSON object"))?;
        Ok(Self {
            header,
            claims,
            payload: jws.payload,
            signing_input: jws.signing_input,
            signature: jws.signature,
        })
    }

    /// The crypto boundary. `verify` is given the algorithm, the signing input and the signature.
    pub(crate) fn verify(
        self,
        verify: impl FnOnce(Algorithm, &[u8], &[u8]) -> bool,
    ) -> Result<VerifiedJwt<'a>, Error> {
        let algorithm = self.header.algorithm;
        if !verify(algorithm, self.signing_input, self.signature) {
            return Err(Error::BadSignature { algorithm });
        }
        Ok(VerifiedJwt { claims: self.claims, payload: self.payload })
    }
}

/// The three parts of a compact JWS, decoded (RFC 7515 §7.1).
pub(crate) struct CompactJws<'a> {
    pub(crate) header: &'a [u8],
    pub(crate) payload: &'a [u8],
    pub(crate) signature: &'a [u8],
    pub(crate) signing_input: &'a [u8],
}

impl<'a> CompactJws<'a> {
    #[allow(
        clippy::indexing_slicing,
        reason = "the dots were found in this text, and each part decodes to less than its length"
    )]
    pub(crate) fn parse(token: &'a [u8], decoded: &'a mut Decoded) -> Result<Self, Error> {
        let (first, second) = two_dots(token)?;
        let (header, payload, signature) =
            (&token[..first], &token[first + 1..second], &token[second + 1..]);
        // One buffer for all three: each part decodes to less than its own length.
        decoded.parts.resize(token.len(), 0);
        decoded.header = decode(header, &mut decoded.parts)?;
        decoded.payload = decoded.header + decode(payload, &mut decoded.parts[decoded.header..])?;
        let end = decoded.payload + decode(signature, &mut decoded.parts[decoded.payload..])?;
        Ok(Self {
            header: &decoded.parts[..decoded.header],
            payload: &decoded.parts[decoded.header..decoded.payload],
            signature: &decoded.parts[decoded.payload..end],
            signing_input: &token[..second],
        })
    }
}

/// Where the two dots are. Five parts are a JWE (RFC 7516 §9); any other number is no JWT.
fn two_dots(token: &[u8]) -> Result<(usize, usize), Error> {
    let mut dots = token.iter().enumerate().filter(|(_, byte)| **byte == b'.').map(|(at, _)| at);
    match (dots.next(), dots.next(), dots.next(), dots.next(), dots.next()) {
        (Some(first), Some(second), None, ..) => Ok((first, second)),
        (Some(_), Some(_), Some(_), Some(_), None) => Err(Error::EncryptedToken),
        _ => Err(Error::NotAJwt),
    }
}

/// Canonical base64url without padding (RFC 7515 §2): no other character, no spare bits.
fn decode(text: &[u8], into: &mut [u8]) -> Result<usize, Error> {
    URL_SAFE_NO_PAD
        .decode_slice(text, into)
        .map_err(|_| malformed("a part is not canonical base64url"))
}

/// The members of the JOSE header that decide something.
#[derive(Debug)]
pub(crate) struct Header<'a> {
    pub(crate) algorithm: Algorithm,
    /// Whether the header says `EdDSA`, the older name of Ed25519.
    pub(crate) legacy_name: bool,
    pub(crate) typ: Option<Value<'a>>,
    pub(crate) kid: Option<Value<'a>>,
}

impl<'a> Header<'a> {
    pub(crate) fn parse(bytes: &'a [u8]) -> Result<Self, Error> {
        let mut members = json::parse(bytes)
            .map_err(|_| malformed("the header is not one strict JSON object"))?;
        // RFC 7515 §4.1.11: nothing that could stand in `crit` is understood here, so its mere
        // presence, well-formed or not, refuses the token. RFC 7797 §7 forbids `b64` in a JWT.
        if members.contains("crit") || members.contains("b64") {
            return Err(malformed("the header has `crit` or `b64`"));
        }
        // RFC 7519 §5.2: `cty: JWT` is a nested token, of which only one layer would be verified.
        if members.get("cty").is_some_and(|cty| !cty.as_str().is_some_and(is_not_nested)) {
            return Err(malformed("`cty` says that a token is nested"));
        }
        let Some(name) = members.get("alg").and_then(Value::as_str) else {
            return Err(malformed("`alg` is missing or not a string"));
        };
        let Some(algorithm) = Algorithm::from_name(name) else {
            return Err(Error::UnacceptedAlgorithm { found: Excerpt::of(name), known: false });
        };
        let legacy_name = name == crate::crypto::EDDSA;
        let typ = string_member(&mut members, "typ", "`typ` is not a string")?;
        let kid = string_member(&mut members, "kid", "`kid` is not a string")?;
        if kid.as_ref().and_then(Value::as_str).is_some_and(|kid| kid.len() > MAX_KID) {
            return Err(malformed("`kid` is longer than 1 KiB"));
        }
        Ok(Self { algorithm, legacy_name, typ, kid })
    }

    pub(crate) fn kid(&self) -> Option<&str> {
        self.kid.as_ref().and_then(Value::as_str)
    }

    pub(crate) fn typ(&self) -> Option<&str> {
        self.typ.as_ref().and_then(Value::as_str)
    }
}

fn string_member<'a>(
    members: &mut Object<'a>,
    name: &str,
    problem: &'static str,
) -> Result<Option<Value<'a>>, Error> {
    match members.take(name) {
        None => Ok(None),
        Some(text @ Value::String(_)) => Ok(Some(text)),
        Some(_) => Err(malformed(problem)),
    }
}

fn is_not_nested(cty: &str) -> bool {
    let subtype = media_type(cty);
    !subtype.eq_ignore_ascii_case("jwt") && !subtype.eq_ignore_ascii_case("jwe")
}

/// Whether a token that does not parse is no JWT at all, rather than a bad one: it has not three
/// parts, or the first of them is no JSON. Only its authorization server can read such a token.
#[cfg(feature = "remote")]
pub(crate) fn is_opaque(token: &[u8], error: &Error) -> bool {
    match error {
        Error::NotAJwt | Error::EncryptedToken => true,
        Error::MalformedToken { .. } => {
            let first = token.split(|byte| *byte == b'.').next().unwrap_or_default();
            !URL_SAFE_NO_PAD.decode(first).is_ok_and(|header| json::parse(&header).is_ok())
        }
        _ => false,
    }
}

/// A media type without its `application/`, which RFC 7515 §4.1.9 lets a sender leave out when no
/// other slash is in it.
pub(crate) fn media_type(text: &str) -> &str {
    const PREFIX: &str = "application/";
    match text.get(..PREFIX.len()) {
        Some(prefix) if prefix.eq_ignore_ascii_case(PREFIX) => &text[PREFIX.len()..],
        _ => text,
    }
}

fn malformed(problem: &'static str) -> Error {
    Error::MalformedToken { problem }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(json: &str) -> Result<String, Error> {
        Header::parse(json.as_bytes()).map(|header| header.algorithm.to_string())
    }

    #[test]
    fn headers() {
        let long_kid = format!(r#"{{"alg":"ES256","kid":"{}"}}"#, "k".repeat(MAX_KID + 1));
        let kid_at_the_limit = format!(r#"{{"alg":"ES256","kid":"{}"}}"#, "k".repeat(MAX_KID));
        for (name, json, good) in [
            ("least", r#"{"alg":"ES256"}"#, true),
            ("unknown member", r#"{"alg":"ES256","x":1}"#, true),
            ("older name", r#"{"alg":"EdDSA"}"#, true),
            ("kid at the limit", &kid_at_the_limit, true),
            ("content type that is no token", r#"{"alg":"ES256","cty":"json"}"#, true),
            ("no alg", r#"{"typ":"at+jwt"}"#, false),
            ("alg in lower case", r#"{"alg":"es256"}"#, false),
            ("none", r#"{"alg":"none"}"#, false),
            ("None", r#"{"alg":"NoNe"}"#, false),
            ("alg with a space", r#"{"alg":" ES256"}"#, false),
            ("alg as array", r#"{"alg":["ES256"]}"#, false),
            ("two algs", r#"{"alg":"ES256","alg":"none"}"#, false),
            ("kid null", r#"{"alg":"ES256","kid":null}"#, false),
            ("kid number", r#"{"alg":"ES256","kid":1}"#, false),
            ("long kid", &long_kid, false),
            ("typ number", r#"{"alg":"ES256","typ":1}"#, false),
            ("crit", r#"{"alg":"ES256","crit":["x"],"x":1}"#, false),
            ("crit empty", r#"{"alg":"ES256","crit":[]}"#, false),
            ("crit no array", r#"{"alg":"ES256","crit":null}"#, false),
            ("b64", r#"{"alg":"ES256","b64":true}"#, false),
            ("nested", r#"{"alg":"ES256","cty":"JWT"}"#, false),
            ("nested by media type", r#"{"alg":"ES256","cty":"Application/jwt"}"#, false),
            ("array", "[]", false),
        ] {
            assert_eq!(header(json).is_ok(), good, "{name}");
        }
    }

    #[test]
    fn parts() {
        for (name, token, expected) in [
            ("one", "e30", Error::NotAJwt),
            ("two", "e30.e30", Error::NotAJwt),
            ("four", "e30.e30.e30.e30", Error::NotAJwt),
            ("five", "a.b.c.d.e", Error::EncryptedToken),
            ("six", "a.b.c.d.e.f", Error::NotAJwt),
            ("padding", "e30=.e30.AA", malformed("a part is not canonical base64url")),
            ("other alphabet", "e3+/.e30.AA", malformed("a part is not canonical base64url")),
            ("spare bits", "e31.e30.AA", malformed("a part is not canonical base64url")),
        ] {
            let mut decoded = Decoded::default();
            let error = CompactJws::parse(token.as_bytes(), &mut decoded).err();
            assert_eq!(error, Some(expected), "{name}");
        }
        let mut decoded = Decoded::default();
        assert!(CompactJws::parse(b"e30.e30.AA", &mut decoded).is_ok());
    }

    #[test]
    fn size_on_both_sides_of_the_edge() {
        let token = vec![b'A'; MAX_TOKEN];
        let error = UnverifiedJwt::parse(&token, &mut Decoded::default()).err();
        assert_eq!(error, Some(Error::NotAJwt));
        let token = vec![b'A'; MAX_TOKEN + 1];
        let error = UnverifiedJwt::parse(&token, &mut Decoded::default()).err();
        assert!(matches!(error, Some(Error::TokenTooLarge { .. })));
    }

    #[cfg(feature = "remote")]
    #[test]
    fn opaque_tokens_and_bad_jwts() {
        for (name, token, opaque) in [
            ("handle", "2YotnFZFEjr1zCsicMWpAA", true),
            ("handle with a dot", "ory_at_x.y", true),
            ("two dots", "v4.local.payload", true),
            ("encrypted", "a.b.c.d.e", true),
            ("first part no base64url", "e+0=.e30.AA", true),
            // {"alg":"ES256"} and {"alg":"none"}
            ("claims no JSON", "eyJhbGciOiJFUzI1NiJ9.AA.AA", false),
            ("none", "eyJhbGciOiJub25lIn0.e30.", false),
            ("no alg", "e30.e30.AA", false),
        ] {
            let mut decoded = Decoded::default();
            let error = UnverifiedJwt::parse(token.as_bytes(), &mut decoded).err().unwrap();
            assert_eq!(is_opaque(token.as_bytes(), &error), opaque, "{name}");
        }
        let token = vec![b'A'; MAX_TOKEN + 1];
        let error = Error::TokenTooLarge { size: MAX_TOKEN + 1, limit: MAX_TOKEN };
        assert!(!is_opaque(&token, &error));
    }

    #[test]
    fn media_types_without_their_prefix() {
        for (text, expected) in [
            ("at+jwt", "at+jwt"),
            ("application/at+jwt", "at+jwt"),
            ("APPLICATION/at+JWT", "at+JWT"),
            ("application", "application"),
            ("text/at+jwt", "text/at+jwt"),
            ("applicatioé/x", "applicatioé/x"),
        ] {
            assert_eq!(media_type(text), expected);
        }
    }
}
