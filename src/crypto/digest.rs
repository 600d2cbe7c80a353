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

/// SHA-256 of several parts. Each part is hashed with its length, so that no two lists of parts produce the
/// same input.
#[cfg(feature = "dpop")]
pub(crate) fn sha256_of(parts: &[&[u8]]) -> [u8; 32] {
    // One digest over a single buffer costs less than a digest that is updated in steps.
    let length: usize = parts.iter().map(|part| size_of::<u64>() + part.len()).sum();
    let mut text = Vec::with_capacity(length);
    for part in parts {
        text.extend_from_slice(&(part.len() as u64).to_be_bytes());
        text.extend_from_slice(part);
    }
    sha256(&text)
}

/// Whether two texts are equal. The run time depends only on the lengths of the texts.
#[cfg(any(feature = "dpop", feature = "mtls"))]
pub(crate) fn are_equal(one: &[u8], other: &[u8]) -> bool {
    constant_time::verify_slices_are_equal(one, other).is_ok()
}
