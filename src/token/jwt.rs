//! Step 2 of a request: parses a compact JWS into an [`UnverifiedJwt`]. Only the verification of the signature can turn
//! it into a [`VerifiedJwt`].
//!
//! This module checks only the form (RFC 7515 §5.2, RFC 7519 §7.2): size, three parts, canonical base64url, one JSON
//! object each in header and claims, `alg`, `typ`, `kid`, `crit`. Keys, times and configuration are checked elsewhere.
//! The value that is parsed here, before the signature check, is the same value that is validated after it.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use memchr::memchr_iter;

use crate::error::Error;
use crate::token::header::{Header, malformed};
use crate::token::json::{self, Fault, Object};
use crate::token::memo::{Memo, Seen};

/// Maximum length of a token in bytes. Real tokens have 0.5 to 8 KiB. HTTP servers accept up to 16 KiB for all headers
/// together.
pub(crate) const MAX_TOKEN: usize = 16 * 1024;

/// A well-formed JWT whose signature was not verified. `H` is the type of its header, because the header of a proof has
/// more members than the header of a token.
pub(crate) struct UnverifiedJwt<'a, H = Header> {
    pub(crate) header: Seen<H>,
    pub(crate) claims: Object<'a>,
    /// The length of the claims' text, which is at the start of the buffer.
    length: usize,
    header_text: &'a [u8],
    signing_input: &'a [u8],
    signature: &'a [u8],
}

/// A JWT whose signature was verified with a key of its issuer. The signature of a proof was verified with the key in
/// the header of the proof.
pub(crate) struct VerifiedJwt<'a, H = Header> {
    pub(crate) claims: Object<'a>,
    length: usize,
    pub(crate) header: Seen<H>,
    header_text: &'a [u8],
    signature: &'a [u8],
}

/// A JWT of which only the header was parsed.
pub(crate) struct JwtHead<'a, H = Header> {
    pub(crate) header: Seen<H>,
    jws: CompactJws<'a>,
}

impl<'a> JwtHead<'a> {
    /// Parses the header of a token. The text must be ASCII without spaces (token68). `known` is
    /// the cache of parsed headers.
    pub(crate) fn parse(token: &'a [u8], known: Option<&Memo<Header>>) -> Result<Self, Error> {
        Self::parse_with(MAX_TOKEN, token, known, |header, _| Ok(header))
    }
}

impl<'a, H> JwtHead<'a, H> {
    /// Parses the header of a JWT of at most `limit` bytes. `known` is the cache of parsed headers. `read` checks a
    /// header that is not in the cache. It gets all members of the header.
    pub(crate) fn parse_with(
        limit: usize,
        jwt: &'a [u8],
        known: Option<&Memo<H>>,
        read: impl FnOnce(Header, &Object<'_>) -> Result<H, Error>,
    ) -> Result<Self, Error> {
        if jwt.len() > limit {
            return Err(Error::TokenTooLarge { size: jwt.len(), limit });
        }
        let jws = CompactJws::split(jwt)?;
        if let Some(header) = known.and_then(|known| known.find(jws.header)) {
            return Ok(Self { header, jws });
        }
        let decoded = decode(jws.header)?;
        let members = Header::members(&decoded)?;
        let header = read(Header::of(&members)?, &members)?;
        Ok(Self { header: Seen::Read(header), jws })
    }

    /// Parses the rest. `decoded` is the buffer that the result borrows from.
    pub(crate) fn open(self, decoded: &'a mut Vec<u8>) -> Result<UnverifiedJwt<'a, H>, Error> {
        let Self { header, jws } = self;
        // One buffer is enough for payload and signature: a part gets shorter when it is decoded.
        decoded.resize(jws.payload.len() + jws.signature.len(), 0);
        let (payload, signature) = decoded.split_at_mut(jws.payload.len());
        let payload = decode_into(jws.payload, payload)?;
        let signature = decode_into(jws.signature, signature)?;
        let claims = parse_claims(payload)?;
        let (header_text, signing_input) = (jws.header, jws.signing_input);
        let length = payload.len();
        Ok(UnverifiedJwt { header, claims, length, header_text, signing_input, signature })
    }
}

impl<'a> UnverifiedJwt<'a> {
    /// Parses a JWT that is not an access token, with a limit of `limit` bytes.
    #[cfg(any(feature = "http-client", test))]
    pub(crate) fn parse_up_to(
        limit: usize,
        jwt: &'a [u8],
        decoded: &'a mut Vec<u8>,
    ) -> Result<Self, Error> {
        JwtHead::parse_with(limit, jwt, None, |header, _| Ok(header))?.open(decoded)
    }
}

impl<'a, H> UnverifiedJwt<'a, H> {
    /// The boundary to cryptography. `verify` receives the header, the signing input and the
    /// signature. Returns `None` if the signature is wrong.
    pub(crate) fn verify(
        self,
        verify: impl FnOnce(&H, &[u8], &[u8]) -> bool,
    ) -> Option<VerifiedJwt<'a, H>> {
        if !verify(&self.header, self.signing_input, self.signature) {
            return None;
        }
        let Self { claims, length, header, header_text, signature, .. } = self;
        Some(VerifiedJwt { claims, length, header, header_text, signature })
    }
}

impl<'a, H> VerifiedJwt<'a, H> {
    /// Stores the header for later JWTs with the same header. Returns the claims, and the length of
    /// their text in the buffer.
    pub(crate) fn remember(self, memo: &Memo<H>) -> (Object<'a>, usize) {
        memo.remember(self.header_text, self.header, self.signature);
        (self.claims, self.length)
    }
}

/// The three parts of a compact JWS as text (RFC 7515 §7.1).
pub(crate) struct CompactJws<'a> {
    pub(crate) header: &'a [u8],
    pub(crate) payload: &'a [u8],
    pub(crate) signature: &'a [u8],
    pub(crate) signing_input: &'a [u8],
}

impl<'a> CompactJws<'a> {
    /// Five parts are a JWE (RFC 7516 §9). Any other number except three is not a JWT.
    pub(crate) fn split(token: &'a [u8]) -> Result<Self, Error> {
        let mut dots = memchr_iter(b'.', token);
        let Some(first) = dots.next() else { return Err(Error::NotAJwt) };
        let Some(second) = dots.next() else { return Err(Error::NotAJwt) };
        match dots.take(3).count() {
            0 => {}
            2 => return Err(Error::EncryptedToken),
            _ => return Err(Error::NotAJwt),
        }
        // This cannot panic: the positions of the dots come from this text.
        let (signing_input, signature) = token.split_at(second);
        let (header, payload) = signing_input.split_at(first);
        let [_, payload @ ..] = payload else { return Err(Error::NotAJwt) };
        let [_, signature @ ..] = signature else { return Err(Error::NotAJwt) };
        Ok(Self { header, payload, signature, signing_input })
    }
}

fn parse_claims(payload: &[u8]) -> Result<Object<'_>, Error> {
    json::parse(payload).map_err(|fault| {
        malformed(match fault {
            Fault::Depth => "the claims are nested deeper than 32",
            Fault::Duplicate => "an object in the claims has two members of one name",
            Fault::Surrogate => "a text in the claims has half of a surrogate pair",
            Fault::Form => "the claims are not one strict JSON object",
        })
    })
}

/// The claims of a JWT whose header is not read. `decoded` is the buffer that the result borrows from.
#[cfg(feature = "http-client")]
pub(crate) fn claims_of<'a>(jwt: &[u8], decoded: &'a mut Vec<u8>) -> Result<Object<'a>, Error> {
    *decoded = decode(CompactJws::split(jwt)?.payload)?;
    parse_claims(decoded)
}

/// Whether a token is a JWT, well-formed or not: it has three parts, and a lenient decoder finds the start of a JSON
/// object in the first part. Such a token is parsed as a JWT or refused. It is not sent to introspection as an opaque
/// token. Otherwise, this server would not check the type and the algorithm of the token, and would trust an answer
/// about a token that the authorization server may read differently.
///
/// Every other token is opaque. This includes tokens with five parts: some servers encrypt tokens
/// that only they read.
#[cfg(feature = "http-client")]
pub(crate) fn is_jwt(token: &[u8]) -> bool {
    CompactJws::split(token).is_ok_and(|jws| begins_an_object(jws.header))
}

/// Whether the leniently decoded text begins with `{`, white space, and then `"` or `}`. Accepts
/// both base64 alphabets, padding, and spare bits. A byte order mark and white space are allowed
/// before the `{`.
#[cfg(feature = "http-client")]
fn begins_an_object(text: &[u8]) -> bool {
    let (mut bits, mut held) = (0_u32, 0_u32);
    let mut is_open = false;
    for character in text {
        let Some(six) = six_bits(*character) else {
            match character {
                b'=' => continue,
                _ => return false,
            }
        };
        bits = bits << 6 | six;
        held += 6;
        if held < 8 {
            continue;
        }
        held -= 8;
        let octet = (bits >> held) as u8;
        match octet {
            // 0x0b and 0x0c are not white space in JSON (RFC 8259 §2), but many parsers skip them.
            b' ' | b'\t' | b'\n' | b'\r' | 0x0b | 0x0c => {}
            // The octets of a byte order mark in UTF-8.
            0xef | 0xbb | 0xbf if !is_open => {}
            b'{' if !is_open => is_open = true,
            b'"' | b'}' => return is_open,
            _ => return false,
        }
    }
    false
}

#[cfg(feature = "http-client")]
fn six_bits(character: u8) -> Option<u32> {
    let six = match character {
        b'A'..=b'Z' => character - b'A',
        b'a'..=b'z' => character - b'a' + 26,
        b'0'..=b'9' => character - b'0' + 52,
        b'-' | b'+' => 62,
        b'_' | b'/' => 63,
        _ => return None,
    };
    Some(six.into())
}

/// Decodes canonical base64url without padding (RFC 7515 §2): no other characters and no spare
/// bits.
pub(crate) fn decode(text: &[u8]) -> Result<Vec<u8>, Error> {
    URL_SAFE_NO_PAD.decode(text).map_err(|_| not_base64url())
}

fn decode_into<'a>(text: &[u8], into: &'a mut [u8]) -> Result<&'a [u8], Error> {
    let length = URL_SAFE_NO_PAD.decode_slice(text, into).map_err(|_| not_base64url())?;
    into.get(..length).ok_or_else(not_base64url)
}

fn not_base64url() -> Error {
    malformed("a part is not canonical base64url")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `{"alg":"ES256"}`
    const HEADER: &str = "eyJhbGciOiJFUzI1NiJ9";

    fn parse(token: &[u8]) -> Result<(), Error> {
        UnverifiedJwt::parse_up_to(MAX_TOKEN, token, &mut Vec::new()).map(drop)
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
            assert_eq!(parse(token.as_bytes()).err(), Some(expected), "{name}");
        }
        assert_eq!(parse(format!("{HEADER}.e30.AA").as_bytes()), Ok(()));
    }

    #[test]
    fn size_on_both_sides_of_the_edge() {
        let token = vec![b'A'; MAX_TOKEN];
        assert_eq!(parse(&token), Err(Error::NotAJwt));
        let token = vec![b'A'; MAX_TOKEN + 1];
        assert!(matches!(parse(&token), Err(Error::TokenTooLarge { .. })));
    }

    #[cfg(feature = "http-client")]
    #[test]
    fn opaque_tokens_and_bad_jwts() {
        use base64::engine::general_purpose::{STANDARD, URL_SAFE};

        let jwt = |header: &[u8]| format!("{}.e30.AA", URL_SAFE_NO_PAD.encode(header));
        let deep = format!(r#"{{"alg":"ES256","a":{}{}}}"#, "[".repeat(40), "]".repeat(40));
        let long = format!(r#"{{"alg":"ES256","kid":"{}"}}"#, "k".repeat(1025));
        let padded = URL_SAFE.encode(br#"{"alg":"ES256"} "#);
        // The two alphabets differ only in the last two of their 64 characters.
        let text = "{\"a\":\"\u{ffff}\u{fffe}?>\"}";
        let other_alphabet = STANDARD.encode(text).replace('=', "");
        assert!(padded.ends_with('=') && other_alphabet.contains(['+', '/']));
        for (name, token, bad_jwt) in [
            ("handle", "2YotnFZFEjr1zCsicMWpAA".to_owned(), false),
            ("handle with a dot", "ory_at_x.y".to_owned(), false),
            ("two dots", "v4.local.payload".to_owned(), false),
            ("encrypted", "a.b.c.d.e".to_owned(), false),
            ("encrypted, a JOSE header", format!("{HEADER}.b.c.d.e"), false),
            ("two parts", format!("{HEADER}.e30"), false),
            ("four parts", format!("{HEADER}.e30.AA.AA"), false),
            ("first part no base64", "e~0.e30.AA".to_owned(), false),
            ("first part empty", ".e30.AA".to_owned(), false),
            ("first part of one character", "e.e30.AA".to_owned(), false),
            ("a brace alone", jwt(b"{"), false),
            ("a brace and white space", jwt(b"{ \n"), false),
            ("a brace and something", jwt(b"{a"), false),
            ("a brace and a byte order mark", jwt(b"{\xef\xbb\xbf\"a\":1}"), false),
            ("two braces", jwt(b"{{\"a\":1}"), false),
            ("an array", jwt(b"[{\"alg\":\"ES256\"}]"), false),
            ("a text", jwt(b"\"alg\""), false),
            ("random octets", jwt(&[0x7b, 0x80, 0x22, 0x7d]), false),
            ("claims no JSON", format!("{HEADER}.AA.AA"), true),
            ("none", jwt(br#"{"alg":"none"}"#), true),
            ("no alg", jwt(b"{}"), true),
            ("a member twice", jwt(br#"{"alg":"ES256","alg":"ES256"}"#), true),
            ("nested 40 deep", jwt(deep.as_bytes()), true),
            (
                "a reserved name",
                jwt(br#"{"alg":"ES256","$serde_json::private::RawValue":"1"}"#),
                true,
            ),
            ("a long kid", jwt(long.as_bytes()), true),
            ("cut off", jwt(br#"{"alg":"ES2"#), true),
            ("something behind", jwt(br#"{"alg":"ES256"}x"#), true),
            ("not UTF-8", jwt(b"{\"alg\":\"\xff\"}"), true),
            ("white space before", jwt(b" \t\r\n{\"alg\":\"none\"}"), true),
            ("other white space before", jwt(b"\x0c\x0b{\"alg\":\"none\"}"), true),
            ("a NUL before", jwt(b"\x00{\"alg\":\"none\"}"), false),
            ("white space inside", jwt(b"{ \n\t\"alg\":\"none\"}"), true),
            ("white space alone inside", jwt(b"{ }"), true),
            ("a byte order mark", jwt(b"\xef\xbb\xbf{\"alg\":\"ES256\"}"), true),
            ("mark and white space", jwt(b"\n\xef\xbb\xbf {\"alg\":\"ES256\"}"), true),
            ("padding", format!("{padded}.e30.AA"), true),
            ("spare bits", "e31.e30.AA".to_owned(), true),
            ("the other alphabet", format!("{other_alphabet}.e30.AA"), true),
            ("no base64 further on", "eyJ~.e30.AA".to_owned(), true),
        ] {
            parse(token.as_bytes()).unwrap_err();
            assert_eq!(is_jwt(token.as_bytes()), bad_jwt, "{name}");
        }
        assert!(is_jwt(format!("{HEADER}.e30.AA").as_bytes()), "a good one");
        assert!(is_jwt(format!("{HEADER}.e30.{}", "A".repeat(MAX_TOKEN)).as_bytes()), "a long one");
    }
}
