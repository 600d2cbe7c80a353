//! The token in the `Authorization` field (RFC 6750 §2.1, RFC 9449 §7.1, RFC 9110 §11).

use http::HeaderMap;
use http::header::AUTHORIZATION;

use crate::challenge::is_tchar;
use crate::credentials::presentation::{Credentials, Placement};
use crate::credentials::token68::Token68;
use crate::error::Error;
use crate::scheme::Scheme;

/// The name of a scheme, case-insensitive.
type Name = (&'static [u8], Scheme);
const BEARER: Name = (b"Bearer", Scheme::Bearer);
const DPOP: Name = (b"DPoP", Scheme::Dpop);

/// The schemes that are read. `DPoP` is read only if the server accepts proofs.
fn schemes(accepts_dpop: bool) -> &'static [Name] {
    if accepts_dpop { &[BEARER, DPOP] } else { &[BEARER] }
}

pub(super) fn from_header(
    headers: &HeaderMap,
    accepts_dpop: bool,
) -> Result<Credentials<'_>, Error> {
    let mut lines = headers.get_all(AUTHORIZATION).iter();
    let Some(line) = lines.next() else {
        return Err(Error::MissingCredentials);
    };
    if lines.next().is_some() {
        return Err(Error::RepeatedCredentials);
    }
    let line = line.as_bytes();
    // A scheme is an HTTP token (RFC 9110 §11.1). It ends at the first character that is not
    // allowed in such a token.
    let schemes = schemes(accepts_dpop);
    let Some((rest, scheme)) = schemes.iter().find_map(|scheme| after(line, scheme)) else {
        return Err(another_scheme(line, schemes));
    };
    let token = rest.trim_ascii_start_spaces();
    if token.len() == rest.len() {
        let goes_on = rest.first().copied().is_some_and(is_tchar);
        return Err(if goes_on {
            another_scheme(line, schemes)
        } else {
            Error::MalformedCredentials
        });
    }
    let token = Token68::parse(token).ok_or(Error::MalformedCredentials)?;
    Ok(Credentials { token, scheme, placement: Placement::Header })
}

/// The rest of a line after the name of the scheme, if the line begins with this name.
#[inline]
fn after<'a>(line: &'a [u8], (name, scheme): &Name) -> Option<(&'a [u8], Scheme)> {
    let (own, rest) = line.split_at_checked(name.len())?;
    own.eq_ignore_ascii_case(name).then_some((rest, *scheme))
}

/// The scheme that a request with malformed credentials seems to use. The challenge is for this scheme.
#[cold]
pub(super) fn scheme_of(headers: &HeaderMap, accepts_dpop: bool) -> Scheme {
    let line = headers.get(AUTHORIZATION).map_or(&b""[..], |line| line.as_bytes());
    let found = schemes(accepts_dpop).iter().find_map(|scheme| after(line, scheme));
    found.map_or(Scheme::Bearer, |(_, scheme)| scheme)
}

/// Classifies a line that does not begin with one of our schemes. Over HTTP/2, the line may have white space around it,
/// although the sender must not send it (RFC 9113 §8.2.1). A proxy may have joined two lines with a comma (RFC 9110
/// §5.3). Another reader could find a token in such a line, so the request must not pass as anonymous.
#[inline]
fn another_scheme(line: &[u8], schemes: &[Name]) -> Error {
    let begins_with_a_scheme = line.first().is_some_and(u8::is_ascii_alphabetic);
    let hides_a_token = (!begins_with_a_scheme || has_comma(line)) && hides_a_token(line, schemes);
    if hides_a_token { Error::MalformedCredentials } else { Error::UnsupportedScheme }
}

/// Works in blocks, as the check of a token68 does.
#[inline]
fn has_comma(line: &[u8]) -> bool {
    let any = |block: &[u8]| block.iter().fold(false, |any, byte| any | (*byte == b','));
    let (blocks, short) = line.as_chunks::<8>();
    let last = line.last_chunk::<8>().map_or(short, |last| last);
    blocks.iter().fold(false, |found, block| found | any(block)) | any(last)
}

/// Whether any element of the comma-separated list begins with one of our schemes. Leading characters that cannot be
/// part of a scheme are skipped.
#[cold]
fn hides_a_token(line: &[u8], schemes: &[Name]) -> bool {
    line.split(|byte| *byte == b',').any(|element| {
        let begins_at = element.iter().position(|byte| is_tchar(*byte)).unwrap_or(element.len());
        let (_, element) = element.split_at(begins_at);
        schemes
            .iter()
            .filter_map(|scheme| after(element, scheme))
            .any(|(rest, _)| !rest.first().copied().is_some_and(is_tchar))
    })
}

trait TrimSpaces {
    fn trim_ascii_start_spaces(&self) -> &Self;
}

impl TrimSpaces for [u8] {
    /// Removes leading spaces (SP). RFC 9110 §11.4 allows no other separator here, not even a tab.
    fn trim_ascii_start_spaces(&self) -> &Self {
        let spaces = self.iter().take_while(|byte| **byte == b' ').count();
        self.get(spaces..).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn header(lines: &[&[u8]]) -> HeaderMap {
        lines.iter().map(|line| (AUTHORIZATION, HeaderValue::from_bytes(line).unwrap())).collect()
    }

    #[test]
    fn the_authorization_field() {
        type Lines = &'static [&'static [u8]];
        let cases: &[(&str, Lines, Result<&str, Error>)] = &[
            ("plain", &[b"Bearer abc.def-_~+/=="], Ok("abc.def-_~+/==")),
            ("lower case", &[b"bearer t"], Ok("t")),
            ("mixed case", &[b"bEaReR t"], Ok("t")),
            ("several spaces", &[b"Bearer   t"], Ok("t")),
            ("no line", &[], Err(Error::MissingCredentials)),
            ("two equal lines", &[b"Bearer t", b"Bearer t"], Err(Error::RepeatedCredentials)),
            ("two schemes", &[b"Basic eA==", b"Bearer t"], Err(Error::RepeatedCredentials)),
            ("one line, two", &[b"Bearer t, Bearer t"], Err(Error::MalformedCredentials)),
            ("basic", &[b"Basic eA=="], Err(Error::UnsupportedScheme)),
            ("glued", &[b"BearerT"], Err(Error::UnsupportedScheme)),
            ("empty", &[b""], Err(Error::UnsupportedScheme)),
            ("only blanks", &[b" \t "], Err(Error::UnsupportedScheme)),
            ("leading blank", &[b" Bearer t"], Err(Error::MalformedCredentials)),
            ("leading tab", &[b"\tbearer t"], Err(Error::MalformedCredentials)),
            ("blanks around", &[b" \t Bearer t \t"], Err(Error::MalformedCredentials)),
            ("leading blank, no token", &[b" Bearer"], Err(Error::MalformedCredentials)),
            ("leading blank, tab", &[b" Bearer\tt"], Err(Error::MalformedCredentials)),
            ("trailing blank", &[b"Bearer t "], Err(Error::MalformedCredentials)),
            ("trailing tab", &[b"Bearer t\t"], Err(Error::MalformedCredentials)),
            ("leading no-break space", &[b"\xc2\xa0Bearer t"], Err(Error::MalformedCredentials)),
            ("leading obs-text", &[b"\x85Bearer t"], Err(Error::MalformedCredentials)),
            ("obs-text behind", &[b"Bearer\xa0t"], Err(Error::MalformedCredentials)),
            ("leading quote", &[b"\"Bearer t\""], Err(Error::MalformedCredentials)),
            ("leading comma", &[b", Bearer t"], Err(Error::MalformedCredentials)),
            ("one line of two", &[b"Basic eA==, Bearer t"], Err(Error::MalformedCredentials)),
            ("of two, no blank", &[b"Basic eA==,bearer t"], Err(Error::MalformedCredentials)),
            ("leading blank, other", &[b" Basic eA=="], Err(Error::UnsupportedScheme)),
            ("leading blank, longer", &[b" Bearers t"], Err(Error::UnsupportedScheme)),
            ("other of a list", &[b"Digest a=\"b\", c=\"d\""], Err(Error::UnsupportedScheme)),
            ("Bearer inside", &[b"Digest realm=\"Bearer t\""], Err(Error::UnsupportedScheme)),
            ("no token", &[b"Bearer"], Err(Error::MalformedCredentials)),
            ("only spaces", &[b"Bearer   "], Err(Error::MalformedCredentials)),
            ("two words", &[b"Bearer a b"], Err(Error::MalformedCredentials)),
            ("comma", &[b"Bearer a,b"], Err(Error::MalformedCredentials)),
            ("quoted", &[b"Bearer \"a\""], Err(Error::MalformedCredentials)),
            ("tab", &[b"Bearer\ta"], Err(Error::MalformedCredentials)),
            ("tab after space", &[b"Bearer \ta"], Err(Error::MalformedCredentials)),
            ("only padding", &[b"Bearer ="], Err(Error::MalformedCredentials)),
            ("padding inside", &[b"Bearer a=b"], Err(Error::MalformedCredentials)),
            ("not ASCII", &[b"Bearer \xc3\xa9"], Err(Error::MalformedCredentials)),
            ("auth-param", &[b"Bearer token=abc"], Err(Error::MalformedCredentials)),
        ];
        for (name, lines, expected) in cases {
            let headers = header(lines);
            let found = from_header(&headers, false).map(|found| found.token.text().into_owned());
            assert_eq!(found, expected.clone().map(str::to_owned), "{name}");
        }
    }

    #[test]
    fn the_scheme_dpop_is_read_where_it_is_accepted() {
        type Lines = &'static [&'static [u8]];
        type Read = Result<(&'static str, Scheme), Error>;
        let malformed = || Err(Error::MalformedCredentials);
        let cases: &[(&str, Lines, Read)] = &[
            ("plain", &[b"DPoP abc.d"], Ok(("abc.d", Scheme::Dpop))),
            ("lower case", &[b"dpop t"], Ok(("t", Scheme::Dpop))),
            ("upper case, spaces", &[b"DPOP   t"], Ok(("t", Scheme::Dpop))),
            ("bearer", &[b"Bearer t"], Ok(("t", Scheme::Bearer))),
            ("no token", &[b"DPoP"], malformed()),
            ("a tab", &[b"DPoP\tt"], malformed()),
            ("a leading blank", &[b" DPoP t"], malformed()),
            ("two on one line", &[b"DPoP t, Bearer t"], malformed()),
            ("behind another scheme", &[b"Basic eA==, dpop t"], malformed()),
            ("glued", &[b"DPoPt"], Err(Error::UnsupportedScheme)),
            ("another scheme", &[b"DPoP2 t"], Err(Error::UnsupportedScheme)),
            ("both schemes", &[b"Bearer t", b"DPoP t"], Err(Error::RepeatedCredentials)),
        ];
        for (name, lines, expected) in cases {
            let headers = header(lines);
            let found = from_header(&headers, true);
            let found = found.map(|found| (found.token.text().into_owned(), found.scheme));
            let expected = expected.clone().map(|(token, scheme)| (token.to_owned(), scheme));
            assert_eq!(found, expected, "{name}");
        }
        let off = from_header(&header(&[b"DPoP t"]), false).map(|found| found.scheme);
        assert_eq!(off, Err(Error::UnsupportedScheme));
    }
}
