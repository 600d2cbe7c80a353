//! Digests.

#[cfg(any(feature = "dpop", feature = "mtls"))]
use aws_lc_rs::constant_time;
use aws_lc_rs::digest;

/// SHA-256.
pub(crate) fn sha256(text: &[u8]) -> [u8; 32] {
    let mut octets = [0; 32];
    octets.copy_from_slice(digest::digest(&digest::SHA256, text).as_ref());
    octets
}

/// SHA-256 of one text that is given in pieces.
#[cfg(feature = "dpop")]
pub(crate) fn sha256_of_text(pieces: &[&str]) -> [u8; 32] {
    let mut context = digest::Context::new(&digest::SHA256);
    pieces.iter().for_each(|piece| context.update(piece.as_bytes()));
    let mut octets = [0; 32];
    octets.copy_from_slice(context.finish().as_ref());
    octets
}

/// SHA-256 of several parts. Each part is hashed with its length, so that no two lists of parts produce the
/// same input.
#[cfg(feature = "dpop")]
pub(crate) fn sha256_of(parts: &[&[u8]]) -> [u8; 32] {
    let mut context = digest::Context::new(&digest::SHA256);
    for part in parts {
        context.update(&(part.len() as u64).to_be_bytes());
        context.update(part);
    }
    let mut octets = [0; 32];
    octets.copy_from_slice(context.finish().as_ref());
    octets
}

/// Whether two texts are equal. The time tells their lengths, and nothing else.
#[cfg(any(feature = "dpop", feature = "mtls"))]
pub(crate) fn are_equal(one: &[u8], other: &[u8]) -> bool {
    constant_time::verify_slices_are_equal(one, other).is_ok()
}
