//! The JOSE header: the members of it that decide something (RFC 7515 §4.1), and a memo of those
//! that an issuer writes again and again.

use std::ops::Deref;
use std::sync::Arc;

use arc_swap::{ArcSwap, Guard};

use crate::crypto::{Algorithm, EDDSA};
use crate::error::Error;
use crate::token::Excerpt;
use crate::token::json::{self, Object, Value};
use crate::token::jwt::malformed;

/// Bytes of a `kid`. Real ones have 10 to 90.
const MAX_KID: usize = 1024;

/// What a JOSE header says.
#[derive(Debug)]
pub(crate) struct Header {
    pub(crate) algorithm: Algorithm,
    /// Whether the header says `EdDSA`, the older name of Ed25519.
    pub(crate) legacy_name: bool,
    pub(crate) typ: Option<Box<str>>,
    pub(crate) kid: Option<Box<str>>,
}

impl Header {
    pub(crate) fn parse(bytes: &[u8]) -> Result<Self, Error> {
        let members = json::parse(bytes)
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
        let typ = string_member(&members, "typ", "`typ` is not a string")?;
        let kid = string_member(&members, "kid", "`kid` is not a string")?;
        if kid.as_ref().is_some_and(|kid| kid.len() > MAX_KID) {
            return Err(malformed("`kid` is longer than 1 KiB"));
        }
        Ok(Self { algorithm, legacy_name: name == EDDSA, typ, kid })
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

/// A media type without its `application/`, which RFC 7515 §4.1.9 lets a sender leave out when no
/// other slash is in it.
pub(crate) fn media_type(text: &str) -> &str {
    const PREFIX: &str = "application/";
    match text.get(..PREFIX.len()) {
        Some(prefix) if prefix.eq_ignore_ascii_case(PREFIX) => &text[PREFIX.len()..],
        _ => text,
    }
}

/// Headers that are remembered. An issuer writes one for each of its keys.
const REMEMBERED: usize = 8;

/// The headers of tokens that verified, by their text in the token.
///
/// The same text has the same reading, so nothing is decided by the memo that reading would not
/// decide. Only what verified is remembered: no stranger can fill it.
#[derive(Debug, Default)]
pub(crate) struct HeaderMemo(ArcSwap<Vec<Arc<Remembered>>>);

/// A header's base64url text and its reading.
#[derive(Debug)]
pub(crate) struct Remembered {
    text: Box<[u8]>,
    header: Header,
}

/// What is remembered at one moment.
pub(crate) type Remembrance = Guard<Arc<Vec<Arc<Remembered>>>>;

impl HeaderMemo {
    pub(crate) fn load(&self) -> Remembrance {
        self.0.load()
    }

    /// Remembers a header that was read; the oldest of many goes.
    pub(crate) fn remember(&self, text: &[u8], header: SeenHeader<'_>) {
        let SeenHeader::Read(header) = header else {
            return;
        };
        let new = Arc::new(Remembered { text: text.into(), header });
        let known = self.0.load();
        let kept = known.len().saturating_sub(REMEMBERED - 1);
        // Of two requests at the same moment one is forgotten again, and remembered next time.
        let next = known.iter().skip(kept).chain([&new]).map(Arc::clone).collect();
        self.0.store(Arc::new(next));
    }
}

/// A header that was read, or remembered.
#[derive(Debug)]
pub(crate) enum SeenHeader<'a> {
    Read(Header),
    Known(&'a Header),
}

impl<'a> SeenHeader<'a> {
    /// The header of this text, if it is remembered.
    pub(crate) fn known(text: &[u8], memo: &'a [Arc<Remembered>]) -> Option<Self> {
        memo.iter().find(|known| *known.text == *text).map(|known| Self::Known(&known.header))
    }
}

impl Deref for SeenHeader<'_> {
    type Target = Header;

    fn deref(&self) -> &Header {
        match self {
            Self::Read(header) => header,
            Self::Known(header) => header,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_last_headers_are_remembered() {
        let memo = HeaderMemo::default();
        let read = || Header::parse(br#"{"alg":"ES256"}"#).unwrap();
        for text in 0..=REMEMBERED as u8 {
            memo.remember(&[text], SeenHeader::Read(read()));
        }
        let known = memo.load();
        assert_eq!(known.len(), REMEMBERED);
        assert!(SeenHeader::known(&[0], &known).is_none(), "the oldest");
        assert!(SeenHeader::known(&[1], &known).is_some());
        assert!(SeenHeader::known(&[1, 0], &known).is_none(), "another text");
        memo.remember(&[1], SeenHeader::Known(&read()));
        assert_eq!(memo.load().len(), REMEMBERED);
    }

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
