//! Random numbers.

use aws_lc_rs::rand;

/// A random number in `0.0..1.0`, for jitter: it spreads points in time. If the system has no
/// randomness, the result is 0.5. Then there is no jitter, but nothing else fails.
pub(crate) fn random_unit() -> f64 {
    let mut bytes = [0; 4];
    match rand::fill(&mut bytes) {
        Ok(()) => f64::from(u32::from_le_bytes(bytes)) / (f64::from(u32::MAX) + 1.0),
        Err(_) => 0.5,
    }
}

/// Unpredictable random octets. Returns `None` if the system has no randomness.
#[cfg(any(feature = "dpop", feature = "http-client"))]
pub(crate) fn random_octets<const N: usize>() -> Option<[u8; N]> {
    let mut octets = [0; N];
    rand::fill(&mut octets).ok()?;
    Some(octets)
}
