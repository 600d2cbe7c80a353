//! Decodes a certificate from the value of a header, strictly.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::crypto::sha256;
use crate::token::Thumbprint;

/// Maximum length of a certificate in DER, in bytes.
const MAX_DER: usize = 16 * 1024;

/// Maximum length of the value of a header, in bytes. It allows a certificate of the maximum length with the
/// usual percent escapes, or with certificates of its issuers after it.
pub(super) const MAX_VALUE: usize = 64 * 1024;

const BEGIN: &[u8] = b"-----BEGIN CERTIFICATE-----";
const END: &[u8] = b"-----END CERTIFICATE-----";

/// Why a value is malformed, as a fixed text.
pub(super) type Problem = &'static str;

/// The certificates that a value may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Count {
    One,
    /// The client's certificate, and then those of its issuers.
    LeafFirst,
}

/// One byte sequence of a structured field: `:base64:` (RFC 9440 §2.2, RFC 8941 §3.3.5), without
/// parameters.
pub(super) fn byte_sequence(value: &[u8]) -> Result<Thumbprint, Problem> {
    let inner = value.strip_prefix(b":").and_then(|rest| rest.strip_suffix(b":"));
    base64_der(inner.ok_or("it is not one byte sequence between colons")?)
}

/// Base64 of the DER encoding.
pub(super) fn base64_der(value: &[u8]) -> Result<Thumbprint, Problem> {
    thumbprint(&octets(value)?)
}

/// PEM text with percent escapes. A `+` stands for itself, not for a space.
pub(super) fn escaped_pem(value: &[u8], count: Count) -> Result<Thumbprint, Problem> {
    let text = without_escapes(value)?;
    let mut rest = text.trim_ascii();
    let mut leaf = None;
    while !rest.is_empty() {
        if leaf.is_some() && count == Count::One {
            return Err("it has more than one certificate");
        }
        let inner = rest.strip_prefix(BEGIN).ok_or("it is not the PEM text of a certificate")?;
        let end = inner.windows(END.len()).position(|window| window == END);
        let (lines, behind) =
            end.and_then(|end| inner.split_at_checked(end)).ok_or("its PEM text has no end")?;
        let lines: Vec<u8> =
            lines.iter().copied().filter(|byte| !matches!(byte, b'\r' | b'\n')).collect();
        let own = base64_der(&lines)?;
        leaf = leaf.or(Some(own));
        rest = behind.strip_prefix(END).unwrap_or_default().trim_ascii();
    }
    leaf.ok_or("it has no certificate")
}

/// The base64 text of PEM without its first and last lines, with or without percent escapes. Commas separate
/// the certificates. The client's own certificate is first.
pub(super) fn bare_pem(value: &[u8]) -> Result<Thumbprint, Problem> {
    let text = without_escapes(value)?;
    let mut leaf = None;
    for part in text.split(|byte| *byte == b',') {
        let own = base64_der(part)?;
        leaf = leaf.or(Some(own));
    }
    leaf.ok_or("it has no certificate")
}

/// The SHA-256 hash of a certificate as 64 hexadecimal digits.
pub(super) fn hex(value: &[u8]) -> Option<Thumbprint> {
    let mut hash = [0; 32];
    if value.len() != 64 {
        return None;
    }
    for (octet, pair) in hash.iter_mut().zip(value.chunks_exact(2)) {
        let [high, low] = pair else { return None };
        *octet = digit(*high)? << 4 | digit(*low)?;
    }
    Some(Thumbprint::new(hash))
}

/// Decodes base64. Padding is required. White space and non-zero unused bits are refused.
fn octets(text: &[u8]) -> Result<Vec<u8>, Problem> {
    if text.len() > MAX_DER.div_ceil(3) * 4 {
        return Err("the certificate is larger than 16 KiB");
    }
    STANDARD.decode(text).map_err(|_| "it is not base64 with padding")
}

fn without_escapes(value: &[u8]) -> Result<Vec<u8>, Problem> {
    let mut text = Vec::with_capacity(value.len());
    let mut rest = value;
    loop {
        rest = match rest {
            [] => return Ok(text),
            [b'%', high, low, rest @ ..] => {
                let octet = digit(*high).zip(digit(*low)).map(|(high, low)| high << 4 | low);
                text.push(octet.ok_or("it has a malformed percent escape")?);
                rest
            }
            [b'%', ..] => return Err("it has a malformed percent escape"),
            [byte @ b'!'..=b'~', rest @ ..] => {
                text.push(*byte);
                rest
            }
            _ => return Err("it has a character that is not escaped"),
        };
    }
}

fn digit(byte: u8) -> Option<u8> {
    char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}

/// Checks the outer structure of the certificate (RFC 5280 §4.1), so that no other data is hashed as a
/// certificate.
fn thumbprint(der: &[u8]) -> Result<Thumbprint, Problem> {
    if der.len() > MAX_DER {
        return Err("the certificate is larger than 16 KiB");
    }
    match is_certificate(der) {
        Some(true) => Ok(Thumbprint::new(sha256(der))),
        _ => Err("it is not the DER encoding of one certificate"),
    }
}

/// Whether the octets are exactly one SEQUENCE that contains two SEQUENCEs and a BIT STRING.
fn is_certificate(der: &[u8]) -> Option<bool> {
    const SEQUENCE: u8 = 0x30;
    const BIT_STRING: u8 = 0x03;
    let (body, behind) = element(der, SEQUENCE)?;
    let (_, rest) = element(body, SEQUENCE)?;
    let (_, rest) = element(rest, SEQUENCE)?;
    let (_, end) = element(rest, BIT_STRING)?;
    Some(behind.is_empty() && end.is_empty())
}

/// The content of an element with this tag, and the octets after the element. The length must have its
/// shortest form.
fn element(der: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    let (length, rest) = match der {
        [own, ..] if *own != tag => return None,
        [_, length @ 0..=0x7f, rest @ ..] => (usize::from(*length), rest),
        [_, 0x81, length @ 0x80..=0xff, rest @ ..] => (usize::from(*length), rest),
        [_, 0x82, high @ 1..=0xff, low, rest @ ..] => {
            (usize::from(*high) << 8 | usize::from(*low), rest)
        }
        _ => return None,
    };
    rest.split_at_checked(length)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_element_has_its_exact_length() {
        for (der, expected) in [
            (&[0x30, 0][..], Some((0, 0))),
            (&[0x30, 1, 9, 8], Some((1, 1))),
            (&[0x31, 0], None),
            (&[0x30], None),
            (&[], None),
            (&[0x30, 2, 0], None),
            // Not the shortest form, or of no definite length.
            (&[0x30, 0x81, 1, 0], None),
            (&[0x30, 0x82, 0, 1, 0], None),
            (&[0x30, 0x80, 0, 0], None),
            (&[0x30, 0x83, 0, 0, 1, 0], None),
        ] {
            let found = element(der, 0x30).map(|(own, behind)| (own.len(), behind.len()));
            assert_eq!(found, expected, "{der:?}");
        }
    }
}
