//! Envoy's header `X-Forwarded-Client-Cert`.
//!
//! The value is a list. Each proxy that forwards a certificate appends one element. An element has pairs
//! `key=value`, separated by `;`. A value with `,`, `;` or `=` is in double quotes. Inside the quotes, a
//! backslash escapes the next character.

use crate::sender::decode::{Count, Problem, escaped_pem, hex};
use crate::token::Thumbprint;

/// The certificate of the client that connected to the first of `hops` proxies.
///
/// The list must have exactly one element for each proxy. An additional element would come from the client:
/// from the client's own header, or from a name in its certificate that contains a comma and is not quoted.
pub(super) fn certificate(value: &[u8], hops: usize) -> Result<Thumbprint, Problem> {
    let mut elements = Vec::new();
    let mut rest = Some(value);
    while let Some(text) = rest {
        if elements.len() == hops {
            return Err("it has more elements than there are trusted proxies");
        }
        let (element, behind) = Element::read(text)?;
        elements.push(element);
        rest = behind;
    }
    if elements.len() < hops {
        return Err("it has fewer elements than there are trusted proxies");
    }
    elements.first().ok_or("it has no element")?.thumbprint()
}

/// The values of an element that this module reads.
#[derive(Default)]
struct Element {
    hash: Option<Vec<u8>>,
    certificate: Option<Vec<u8>>,
}

/// What follows a value.
enum Behind<'a> {
    Pair(&'a [u8]),
    Element(&'a [u8]),
    Nothing,
}

impl Element {
    /// Reads one element. Also returns the text after it, if another element follows.
    fn read(text: &[u8]) -> Result<(Self, Option<&[u8]>), Problem> {
        let mut element = Self::default();
        let mut rest = text;
        loop {
            let at = rest.iter().position(|byte| *byte == b'=');
            let (key, value) = at
                .and_then(|at| Some((rest.get(..at)?, rest.get(at + 1..)?)))
                .ok_or("an element is not a list of `key=value`")?;
            let key = key.trim_ascii();
            if key.is_empty() || !key.iter().all(u8::is_ascii_alphabetic) {
                return Err("an element has a malformed key");
            }
            let (value, behind) = read_value(value)?;
            element.keep(key, value)?;
            match behind {
                Behind::Pair(next) => rest = next,
                Behind::Element(next) => return Ok((element, Some(next))),
                Behind::Nothing => return Ok((element, None)),
            }
        }
    }

    fn keep(&mut self, key: &[u8], value: Vec<u8>) -> Result<(), Problem> {
        let place = if key.eq_ignore_ascii_case(b"hash") {
            &mut self.hash
        } else if key.eq_ignore_ascii_case(b"cert") {
            &mut self.certificate
        } else {
            return Ok(());
        };
        match place.replace(value) {
            None => Ok(()),
            Some(_) => Err("an element has a key twice"),
        }
    }

    fn thumbprint(&self) -> Result<Thumbprint, Problem> {
        let hash = self.hash.as_deref().map(|text| hex(text).ok_or("its Hash is malformed"));
        let of_text = self.certificate.as_deref().map(|text| escaped_pem(text, Count::One));
        match (hash.transpose()?, of_text.transpose()?) {
            (Some(hash), Some(own)) if hash != own => Err("its Hash and its Cert disagree"),
            (Some(one), _) | (None, Some(one)) => Ok(one),
            (None, None) => Err("its element has neither Hash nor Cert"),
        }
    }
}

fn read_value(text: &[u8]) -> Result<(Vec<u8>, Behind<'_>), Problem> {
    let (value, rest) = match text {
        [b'"', rest @ ..] => read_quoted(rest)?,
        _ => {
            let end = text.iter().position(|byte| matches!(byte, b';' | b','));
            let (value, rest) =
                text.split_at_checked(end.unwrap_or(text.len())).unwrap_or_default();
            if value.contains(&b'"') {
                return Err("a value has a quote inside");
            }
            (value.trim_ascii_end().to_vec(), rest)
        }
    };
    let behind = match rest.trim_ascii_start() {
        [] => Behind::Nothing,
        [b';', rest @ ..] => Behind::Pair(rest),
        [b',', rest @ ..] => Behind::Element(rest),
        _ => return Err("there is text behind a quoted value"),
    };
    Ok((value, behind))
}

fn read_quoted(text: &[u8]) -> Result<(Vec<u8>, &[u8]), Problem> {
    let mut value = Vec::new();
    let mut rest = text;
    loop {
        rest = match rest {
            [b'"', rest @ ..] => return Ok((value, rest)),
            [b'\\', byte, rest @ ..] | [byte, rest @ ..] => {
                value.push(*byte);
                rest
            }
            [] => return Err("a quoted value has no end"),
        };
    }
}
