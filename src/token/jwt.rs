//! Step 2 of the walk: a compact JWS becomes an [`UnverifiedJwt`], and only its key can make that a
//! [`VerifiedJwt`].
//!
//! Decides the form alone (RFC 7515 §5.2, RFC 7519 §7.2): size, three parts, canonical base64url,
//! one JSON object each in header and claims, `alg`, `typ`, `kid`, `crit`. Keys, time and
//! configuration are no concern of this file. What is read here before the signature is the very
//! value that is validated after it.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use memchr::memchr_iter;

use crate::crypto::Algorithm;
use crate::error::Error;
use crate::token::header::{Header, HeaderMemo, Remembrance, SeenHeader};
use crate::token::json::{self, Object};

/// Bytes of a token. Real ones have 0.5 to 8 KiB; servers put up to 16 KiB into all headers.
pub(crate) const MAX_TOKEN: usize = 16 * 1024;

/// A well-formed JWT that nobody vouches for.
pub(crate) struct UnverifiedJwt<'a> {
    pub(crate) header: SeenHeader<'a>,
    pub(crate) claims: Object<'a>,
    header_text: &'a [u8],
    signing_input: &'a [u8],
    signature: &'a [u8],
}

/// A JWT whose signature verified with a key of its issuer.
pub(crate) struct VerifiedJwt<'a> {
    pub(crate) claims: Object<'a>,
    header: SeenHeader<'a>,
    header_text: &'a [u8],
}

/// A JWT of which only the header was read.
pub(crate) struct JwtHead<'a> {
    pub(crate) header: SeenHeader<'a>,
    jws: CompactJws<'a>,
}

impl<'a> JwtHead<'a> {
    /// Reads a token's header. The text is known to be ASCII without spaces (token68); `known` are
    /// headers read before.
    pub(crate) fn parse(token: &'a [u8], known: &'a Remembrance) -> Result<Self, Error> {
        Self::parse_up_to(MAX_TOKEN, token, known)
    }

    fn parse_up_to(limit: usize, token: &'a [u8], known: &'a Remembrance) -> Result<Self, Error> {
        if token.len() > limit {
            return Err(Error::TokenTooLarge { size: token.len(), limit });
        }
        let jws = CompactJws::split(token)?;
        let header = match SeenHeader::known(jws.header, known) {
            Some(header) => header,
            None => SeenHeader::Read(Header::parse(&decode(jws.header)?)?),
        };
        Ok(Self { header, jws })
    }

    /// Reads the rest. `decoded` is room for what the reading borrows from.
    pub(crate) fn open(self, decoded: &'a mut Vec<u8>) -> Result<UnverifiedJwt<'a>, Error> {
        let Self { header, jws } = self;
        // One buffer for two parts: each decodes to less than its own length.
        decoded.resize(jws.payload.len() + jws.signature.len(), 0);
        let (payload, signature) = decoded.split_at_mut(jws.payload.len());
        let payload = decode_into(jws.payload, payload)?;
        let signature = decode_into(jws.signature, signature)?;
        let claims = json::parse(payload)
            .map_err(|_| malformed("the claims are not one strict JSON object"))?;
        let (header_text, signing_input) = (jws.header, jws.signing_input);
        Ok(UnverifiedJwt { header, claims, header_text, signing_input, signature })
    }
}

impl<'a> UnverifiedJwt<'a> {
    /// Reads a JWT that is no access token, in one go, with room for `limit` bytes.
    #[cfg(any(feature = "remote", test))]
    pub(crate) fn parse_up_to(
        limit: usize,
        jwt: &'a [u8],
        decoded: &'a mut Vec<u8>,
        known: &'a Remembrance,
    ) -> Result<Self, Error> {
        JwtHead::parse_up_to(limit, jwt, known)?.open(decoded)
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
        let Self { claims, header, header_text, .. } = self;
        Ok(VerifiedJwt { claims, header, header_text })
    }
}

impl<'a> VerifiedJwt<'a> {
    /// Keeps the header for the next token that has the same, and hands out the claims.
    pub(crate) fn remember(self, memo: &HeaderMemo) -> Object<'a> {
        memo.remember(self.header_text, self.header);
        self.claims
    }
}

/// The three parts of a compact JWS, as text (RFC 7515 §7.1).
pub(crate) struct CompactJws<'a> {
    pub(crate) header: &'a [u8],
    pub(crate) payload: &'a [u8],
    pub(crate) signature: &'a [u8],
    pub(crate) signing_input: &'a [u8],
}

impl<'a> CompactJws<'a> {
    /// Five parts are a JWE (RFC 7516 §9); any other number but three is no JWT.
    pub(crate) fn split(token: &'a [u8]) -> Result<Self, Error> {
        let mut dots = memchr_iter(b'.', token);
        let Some(first) = dots.next() else { return Err(Error::NotAJwt) };
        let Some(second) = dots.next() else { return Err(Error::NotAJwt) };
        match dots.take(3).count() {
            0 => {}
            2 => return Err(Error::EncryptedToken),
            _ => return Err(Error::NotAJwt),
        }
        // The dots were found in this very text.
        let (signing_input, signature) = token.split_at(second);
        let (header, payload) = signing_input.split_at(first);
        let [_, payload @ ..] = payload else { return Err(Error::NotAJwt) };
        let [_, signature @ ..] = signature else { return Err(Error::NotAJwt) };
        Ok(Self { header, payload, signature, signing_input })
    }
}

/// Whether a token has the three parts of a JWT; one that has not is opaque whatever is in it.
#[cfg(feature = "remote")]
pub(crate) fn has_three_parts(token: &[u8]) -> bool {
    CompactJws::split(token).is_ok()
}

/// Whether a token of three parts that does not parse is no JWT at all, rather than a bad one: its
/// first part is no JSON. Only its authorization server can read such a token.
#[cfg(feature = "remote")]
pub(crate) fn has_no_header(token: &[u8], error: &Error) -> bool {
    let Error::MalformedToken { .. } = error else { return false };
    let first = token.split(|byte| *byte == b'.').next().unwrap_or_default();
    !decode(first).is_ok_and(|header| json::parse(&header).is_ok())
}

/// Canonical base64url without padding (RFC 7515 §2): no other character, no spare bits.
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

pub(super) fn malformed(problem: &'static str) -> Error {
    Error::MalformedToken { problem }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `{"alg":"ES256"}`
    const HEADER: &str = "eyJhbGciOiJFUzI1NiJ9";

    fn parse(token: &[u8]) -> Result<(), Error> {
        let memo = HeaderMemo::default();
        UnverifiedJwt::parse_up_to(MAX_TOKEN, token, &mut Vec::new(), &memo.load()).map(drop)
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
    #[cfg(feature = "remote")]
    #[test]
    fn opaque_tokens_and_bad_jwts() {
        for (name, token, opaque) in [
            ("handle", "2YotnFZFEjr1zCsicMWpAA", true),
            ("handle with a dot", "ory_at_x.y", true),
            ("two dots", "v4.local.payload", true),
            ("encrypted", "a.b.c.d.e", true),
            ("first part no base64url", "e+0=.e30.AA", true),
            ("claims no JSON", "eyJhbGciOiJFUzI1NiJ9.AA.AA", false),
            // {"alg":"none"}
            ("none", "eyJhbGciOiJub25lIn0.e30.", false),
            ("no alg", "e30.e30.AA", false),
        ] {
            let error = parse(token.as_bytes()).unwrap_err();
            let token = token.as_bytes();
            let found = !has_three_parts(token) || has_no_header(token, &error);
            assert_eq!(found, opaque, "{name}");
        }
        let token = vec![b'A'; MAX_TOKEN + 1];
        assert!(!has_no_header(&token, &parse(&token).unwrap_err()));
    }
}
