//! The token in the `Authorization` field (RFC 6750 §2.1, RFC 9110 §11).

use http::HeaderMap;
use http::header::AUTHORIZATION;

use crate::challenge::is_tchar;
use crate::credentials::presentation::{Credentials, Placement};
use crate::credentials::token68::Token68;
use crate::error::Error;

/// The scheme (RFC 6750 §2.1), case-insensitive.
const BEARER: &[u8] = b"Bearer";
pub(super) fn from_header(headers: &HeaderMap) -> Result<Credentials<'_>, Error> {
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
    let bearer = line.split_at_checked(BEARER.len());
    let Some((_, rest)) = bearer.filter(|(scheme, _)| scheme.eq_ignore_ascii_case(BEARER)) else {
        return Err(another_scheme(line));
    };
    let token = rest.trim_ascii_start_spaces();
    if token.len() == rest.len() {
        let goes_on = rest.first().copied().is_some_and(is_tchar);
        return Err(if goes_on { another_scheme(line) } else { Error::MalformedCredentials });
    }
    let token = Token68::parse(token).ok_or(Error::MalformedCredentials)?;
    Ok(Credentials { token, placement: Placement::Header })
}

/// Classifies a line that does not begin with the scheme `Bearer`. Over HTTP/2, the line may have
/// white space around it, although the sender must not send it (RFC 9113 §8.2.1). A proxy may have
/// joined two lines with a comma (RFC 9110 §5.3). Another reader could find a token in such a line,
/// so it must not pass as anonymous.
#[inline]
fn another_scheme(line: &[u8]) -> Error {
    let begins_with_a_scheme = line.first().is_some_and(u8::is_ascii_alphabetic);
    let hides_bearer = (!begins_with_a_scheme || has_comma(line)) && hides_bearer(line);
    if hides_bearer { Error::MalformedCredentials } else { Error::UnsupportedScheme }
}

/// Works in blocks, as for a token68.
#[inline]
fn has_comma(line: &[u8]) -> bool {
    let any = |block: &[u8]| block.iter().fold(false, |any, byte| any | (*byte == b','));
    let (blocks, short) = line.as_chunks::<8>();
    let last = line.last_chunk::<8>().map_or(short, |last| last);
    blocks.iter().fold(false, |found, block| found | any(block)) | any(last)
}

/// Whether any element of the list may be a Bearer token, after leading characters that cannot be
/// part of a scheme are skipped.
#[cold]
fn hides_bearer(line: &[u8]) -> bool {
    line.split(|byte| *byte == b',').any(|element| {
        let begins_at = element.iter().position(|byte| is_tchar(*byte)).unwrap_or(element.len());
        let (_, element) = element.split_at(begins_at);
        element.split_at_checked(BEARER.len()).is_some_and(|(scheme, rest)| {
            let goes_on = rest.first().copied().is_some_and(is_tchar);
            scheme.eq_ignore_ascii_case(BEARER) && !goes_on
        })
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
            let found = from_header(&headers).map(|found| found.token.text().into_owned());
            assert_eq!(found, expected.clone().map(str::to_owned), "{name}");
        }
    }
}
