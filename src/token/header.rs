//! The JOSE header: the members that matter for a decision (RFC 7515 §4.1), and a cache of the
//! headers that an issuer repeats.

use std::ops::Deref;
use std::sync::Arc;

use arc_swap::{ArcSwap, Guard};

use crate::crypto::{Algorithm, EDDSA};
use crate::error::Error;
use crate::token::Excerpt;
use crate::token::json::{self, Fault, Object, Value};

/// Maximum length of a `kid` in bytes. Real ones have 10 to 90.
const MAX_KID: usize = 1024;

/// Characters of a thumbprint. A SHA-256 has 43; WSO2 encodes its hexadecimal form, which has 86.
const MAX_THUMBPRINT: usize = 128;

/// What a JOSE header says.
#[derive(Debug)]
pub(crate) struct Header {
    pub(crate) algorithm: Algorithm,
    /// Whether the header has `EdDSA`, the older name of Ed25519.
    pub(crate) legacy_name: bool,
    pub(crate) typ: Option<Box<str>>,
    pub(crate) kid: Option<Box<str>>,
    /// The thumbprints of the key's certificate, of a header without a `kid`.
    thumbprints: Thumbprints,
}

/// How a header identifies its key (RFC 7515 §4.1.4, §4.1.7, §4.1.8). It only selects keys of the
/// issuer's trusted set. The `kid` is used. If there is none, a certificate's thumbprint is used.
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

/// The thumbprint of a certificate, without padding and in the URL-safe alphabet. Servers use both
/// alphabets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Thumbprint {
    /// `x5t`
    Sha1(Box<str>),
    /// `x5t#S256`
    Sha256(Box<str>),
}

/// Those of one certificate by either hash: a server may write both in a token and one in its set.
pub(crate) type Thumbprints = [Option<Thumbprint>; 2];

impl Thumbprint {
    /// Those of a header or a key; a member of another type, of no characters or of
    /// more than any hash has is none.
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

    pub(crate) fn parse(bytes: &[u8]) -> Result<Self, Error> {
        Self::of(&Self::members(bytes)?)
    }

    /// The members of a header.
    pub(super) fn members(bytes: &[u8]) -> Result<Object<'_>, Error> {
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
    pub(super) fn of(members: &Object<'_>) -> Result<Self, Error> {
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

/// Number of slots for headers. An issuer has one header for each of its keys, and a server with a
/// hundred tenants has a few hundred. A slot is one pointer.
const SLOTS: usize = 1024;

/// If both slots of a verified header are taken, the header replaces one of them with a probability
/// of 1 in this number. So the headers of old keys are replaced over time, and headers that share a
/// slot do not replace each other at each request. Every thread reads the slots, and a write slows
/// them all down.
const REPLACE_ONE_IN: u16 = 1024;

/// A cache of the headers of verified tokens, by their text in the token.
///
/// The same text always has the same meaning, so the cache changes no decision. Only headers of
/// verified tokens are stored, so an attacker cannot fill the cache. A header has two adjacent
/// slots, chosen by a hash of its text. The size is fixed, so it does not grow with the number of
/// keys of an issuer.
#[derive(Debug)]
pub(crate) struct HeaderMemo(Box<[ArcSwap<Remembered>]>);

/// A header's base64url text and its parsed content.
#[derive(Debug)]
pub(crate) struct Remembered {
    text: Box<[u8]>,
    header: Header,
}

/// The text of an empty slot. No header has this text.
const NO_HEADER: &[u8] = b".";

impl Default for HeaderMemo {
    fn default() -> Self {
        let header = Header {
            algorithm: Algorithm::ES256,
            legacy_name: false,
            typ: None,
            kid: None,
            thumbprints: [None, None],
        };
        let nothing = Arc::new(Remembered { text: NO_HEADER.into(), header });
        Self((0..SLOTS).map(|_| ArcSwap::new(Arc::clone(&nothing))).collect())
    }
}

impl HeaderMemo {
    /// The cached header with this text, if there is one.
    pub(crate) fn find(&self, text: &[u8]) -> Option<SeenHeader> {
        let first = slot_of(text);
        let remembered = self.0.get(first)?.load();
        if *remembered.text == *text {
            return Some(SeenHeader::Known(remembered));
        }
        // The second slot is only used after the first, and slots are never emptied.
        if remembered.is_empty() {
            return None;
        }
        let remembered = self.0.get(first ^ 1)?.load();
        (*remembered.text == *text).then_some(SeenHeader::Known(remembered))
    }

    /// Stores a parsed header. `chance` must be as good as random.
    pub(crate) fn remember(&self, text: &[u8], header: SeenHeader, chance: u16) {
        let SeenHeader::Read(header) = header else {
            return;
        };
        let first = slot_of(text);
        let slots = [first, first ^ 1].map(|slot| self.0.get(slot));
        let free = slots.into_iter().flatten().find(|slot| slot.load().is_empty());
        let slot = match (free, slots) {
            (Some(free), _) => free,
            // The slot to replace is random too.
            (None, [Some(first), Some(second)]) if chance.is_multiple_of(REPLACE_ONE_IN) => {
                if (chance / REPLACE_ONE_IN).is_multiple_of(2) {
                    first
                } else {
                    second
                }
            }
            (None, _) => return,
        };
        // If two requests write at the same time, one header is lost. It is stored again later.
        slot.store(Arc::new(Remembered { text: text.into(), header }));
    }
}

impl Remembered {
    fn is_empty(&self) -> bool {
        *self.text == *NO_HEADER
    }
}

/// The first slot of a header. An attacker who finds texts with the same slot only slows down their
/// own tokens, because only headers that an issuer signed are stored.
fn slot_of(text: &[u8]) -> usize {
    /// An odd number whose bits look random: 2^64 divided by the golden ratio.
    const FACTOR: u64 = 0x9e37_79b9_7f4a_7c15;
    let mix = |hash: u64, word: u64| (hash.rotate_left(5) ^ word).wrapping_mul(FACTOR);
    let (words, _) = text.as_chunks::<8>();
    let hash =
        words.iter().fold(text.len() as u64, |hash, word| mix(hash, u64::from_le_bytes(*word)));
    // The last octets. Some of them may already be hashed.
    let last = text.last_chunk::<8>().map_or(0, |word| u64::from_le_bytes(*word));
    (mix(hash, last) >> (64 - SLOTS.ilog2())) as usize
}

/// A header that was parsed, or found in the cache.
#[derive(Debug)]
pub(crate) enum SeenHeader {
    Read(Header),
    Known(Guard<Arc<Remembered>>),
}

impl Deref for SeenHeader {
    type Target = Header;

    fn deref(&self) -> &Header {
        match self {
            Self::Read(header) => header,
            Self::Known(remembered) => &remembered.header,
        }
    }
}

pub(super) fn malformed(problem: &'static str) -> Error {
    Error::MalformedToken { problem }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read() -> SeenHeader {
        SeenHeader::Read(Header::parse(br#"{"alg":"ES256"}"#).unwrap())
    }

    fn is_known(memo: &HeaderMemo, text: &[u8]) -> bool {
        matches!(memo.find(text), Some(SeenHeader::Known(_)))
    }

    #[test]
    fn headers_are_found_by_their_whole_text() {
        let memo = HeaderMemo::default();
        for text in [&b""[..], b"a", b"abcdefgh", b"abcdefghi"] {
            assert!(!is_known(&memo, text), "{text:?} in an empty memo");
        }
        memo.remember(b"abcdefghi", read(), 1);
        assert!(is_known(&memo, b"abcdefghi"));
        for text in [&b""[..], b"abcdefgh", b"abcdefghj", b"Abcdefghi", b"abcdefghia"] {
            assert!(!is_known(&memo, text), "{text:?}");
        }
    }

    #[test]
    fn the_headers_of_many_keys_are_remembered_at_once() {
        let memo = HeaderMemo::default();
        let texts = |keys: usize| (0..keys).map(|key| format!("a header with the kid {key:03}"));
        for (keys, known) in [(1, 1), (8, 8), (9, 9), (50, 50), (300, 270)] {
            for text in texts(keys) {
                memo.remember(text.as_bytes(), read(), 1);
            }
            let found = texts(keys).filter(|text| is_known(&memo, text.as_bytes())).count();
            assert!(found >= known, "{found} of {keys}");
        }
    }

    #[test]
    fn a_header_whose_places_are_taken_pushes_others_out_seldom() {
        let memo = HeaderMemo::default();
        let first = slot_of(b"0");
        let mut texts = (0..).map(|number: u32| number.to_string().into_bytes());
        let mut alike = texts.by_ref().filter(|text| slot_of(text) | 1 == first | 1);
        let (one, two, three) =
            (alike.next().unwrap(), alike.next().unwrap(), alike.next().unwrap());
        memo.remember(&one, read(), 1);
        memo.remember(&two, read(), 1);
        for chance in [0, 1, 2, 512, 1023, 1024, 1025, 2047, 2048, 2049, 0xfbff, 0xfc00, u16::MAX] {
            let memo = HeaderMemo::default();
            memo.remember(&one, read(), 1);
            memo.remember(&two, read(), 1);
            memo.remember(&three, read(), chance);
            let replaces = chance.is_multiple_of(REPLACE_ONE_IN);
            assert_eq!(is_known(&memo, &three), replaces, "{chance}");
            assert_eq!(is_known(&memo, &one) && is_known(&memo, &two), !replaces, "{chance}");
        }
        let known = memo.find(&one).unwrap();
        memo.remember(&one, known, 0);
        assert!(is_known(&memo, &one) && is_known(&memo, &two), "what is known is not written");
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
