//! The JOSE header: the members that matter for a decision (RFC 7515 §4.1).

use crate::crypto::{Algorithm, EDDSA};
use crate::error::Error;
use crate::token::Excerpt;
use crate::token::json::{self, Fault, Object, Value};
use crate::token::memo::Memo;

/// Maximum length of a `kid` in bytes. A real `kid` has 10 to 90 bytes.
const MAX_KID: usize = 1024;

/// Maximum number of characters of a thumbprint. The base64url of a SHA-256 hash has 43 characters. WSO2
/// encodes the hexadecimal form of the hash, so it writes 86 characters.
const MAX_THUMBPRINT: usize = 128;

/// What a JOSE header says.
#[derive(Debug)]
pub(crate) struct Header {
    pub(crate) algorithm: Algorithm,
    /// Whether the header has `EdDSA`, the older name of Ed25519.
    pub(crate) legacy_name: bool,
    pub(crate) typ: Option<Box<str>>,
    pub(crate) kid: Option<Box<str>>,
    /// The thumbprints of the key's certificate. Read only from a header without a `kid`.
    thumbprints: Thumbprints,
}

/// How a header identifies its key (RFC 7515 §4.1.4, §4.1.7, §4.1.8). A hint only selects among the issuer's
/// trusted keys. The `kid` is used. If there is no `kid`, the thumbprint of a certificate is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum KeyHint<'a> {
    Kid(&'a str),
    Certificate(&'a Thumbprints),
    Nothing,
}

impl<'a> KeyHint<'a> {
    pub(crate) fn new(kid: Option<&'a str>, thumbprints: &'a Thumbprints) -> Self {
        match (kid, thumbprints) {
            (Some(kid), _) => Self::Kid(kid),
            (None, [None, None]) => Self::Nothing,
            (None, thumbprints) => Self::Certificate(thumbprints),
        }
    }

    pub(crate) fn kid(self) -> Option<&'a str> {
        match self {
            Self::Kid(kid) => Some(kid),
            Self::Certificate(_) | Self::Nothing => None,
        }
    }

    pub(crate) fn thumbprints(self) -> Thumbprints {
        match self {
            Self::Certificate(thumbprints) => thumbprints.clone(),
            Self::Kid(_) | Self::Nothing => [None, None],
        }
    }
}

/// The thumbprint of a certificate, without padding and in the URL-safe alphabet. Servers use both base64
/// alphabets, so the text is converted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Thumbprint {
    /// `x5t`
    Sha1(Box<str>),
    /// `x5t#S256`
    Sha256(Box<str>),
}

/// The thumbprints of one certificate, by SHA-256 and by SHA-1: a server may write both in a token, but only
/// one in its key set.
pub(crate) type Thumbprints = [Option<Thumbprint>; 2];

impl Thumbprint {
    /// Reads the thumbprints of a header or a key. A member is ignored if it is not a string, if it is empty,
    /// or if it is longer than any thumbprint.
    pub(crate) fn read_all(members: &Object<'_>) -> Thumbprints {
        let text = |name: &str| {
            let text = members.get(name)?.as_str()?.trim_end_matches('=');
            let text = Some(text).filter(|text| (1..=MAX_THUMBPRINT).contains(&text.len()))?;
            Some(text.replace('+', "-").replace('/', "_").into_boxed_str())
        };
        [text("x5t#S256").map(Self::Sha256), text("x5t").map(Self::Sha1)]
    }

    /// Whether both use the same hash algorithm.
    pub(crate) fn is_like(&self, other: &Self) -> bool {
        matches!((self, other), (Self::Sha1(_), Self::Sha1(_)) | (Self::Sha256(_), Self::Sha256(_)))
    }
}

impl Header {
    /// How the header identifies its key.
    pub(crate) fn key(&self) -> KeyHint<'_> {
        KeyHint::new(self.kid.as_deref(), &self.thumbprints)
    }

    /// An empty cache of headers of tokens. Issuers seldom change their keys, so cached headers need to be
    /// replaced only seldom.
    pub(crate) fn memo() -> Memo<Self> {
        const REPLACE_ONE_IN: u64 = 1024;
        let nothing = Self {
            algorithm: Algorithm::ES256,
            legacy_name: false,
            typ: None,
            kid: None,
            thumbprints: [None, None],
        };
        Memo::new(REPLACE_ONE_IN, nothing)
    }

    /// The members of a header.
    pub(crate) fn members(bytes: &[u8]) -> Result<Object<'_>, Error> {
        json::parse(bytes).map_err(|fault| {
            malformed(match fault {
                Fault::Depth => "the header is nested deeper than 32",
                Fault::Duplicate => "an object in the header has two members of one name",
                Fault::Surrogate => "a text in the header has half of a surrogate pair",
                Fault::Form => "the header is not one strict JSON object",
            })
        })
    }

    /// Reads the members that matter.
    pub(crate) fn of(members: &Object<'_>) -> Result<Self, Error> {
        // RFC 7515 §4.1.11: this crate supports no extension that `crit` could name. So any `crit`
        // refuses the token, well-formed or not. RFC 7797 §7 forbids `b64` in a JWT.
        if members.contains("crit") || members.contains("b64") {
            return Err(malformed("the header has `crit` or `b64`"));
        }
        // RFC 7519 §5.2: `cty: JWT` marks a nested token. Only its outer layer would be verified.
        if members.get("cty").is_some_and(|cty| !cty.as_str().is_some_and(is_not_nested)) {
            return Err(malformed("`cty` marks a nested token"));
        }
        let Some(name) = members.get("alg").and_then(Value::as_str) else {
            return Err(malformed("`alg` is missing or not a string"));
        };
        let Some(algorithm) = Algorithm::from_name(name) else {
            return Err(Error::UnacceptedAlgorithm { found: Excerpt::of(name), known: false });
        };
        let typ = string_member(members, "typ", "`typ` is not a string")?;
        let kid = string_member(members, "kid", "`kid` is not a string")?;
        if kid.as_ref().is_some_and(|kid| kid.len() > MAX_KID) {
            return Err(malformed("`kid` is longer than 1 KiB"));
        }
        let thumbprints = match &kid {
            Some(_) => [None, None],
            None => Thumbprint::read_all(members),
        };
        Ok(Self { algorithm, legacy_name: name == EDDSA, typ, kid, thumbprints })
    }
}

fn string_member(
    members: &Object<'_>,
    name: &str,
    problem: &'static str,
) -> Result<Option<Box<str>>, Error> {
    match members.get(name) {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.as_ref().into())),
        Some(_) => Err(malformed(problem)),
    }
}

fn is_not_nested(cty: &str) -> bool {
    let subtype = media_type(cty);
    !subtype.eq_ignore_ascii_case("jwt") && !subtype.eq_ignore_ascii_case("jwe")
}

/// A media type without its `application/` prefix. RFC 7515 §4.1.9 lets a sender omit the prefix if
/// the rest contains no slash.
pub(crate) fn media_type(text: &str) -> &str {
    const PREFIX: &str = "application/";
    match text.get(..PREFIX.len()) {
        Some(prefix) if prefix.eq_ignore_ascii_case(PREFIX) => &text[PREFIX.len()..],
        _ => text,
    }
}

pub(super) fn malformed(problem: &'static str) -> Error {
    Error::MalformedToken { problem }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(json: &str) -> Result<String, Error> {
        let header = Header::of(&Header::members(json.as_bytes())?)?;
        Ok(header.algorithm.to_string())
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
