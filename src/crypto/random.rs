//! Random numbers.

use aws_lc_rs::rand;

/// A number from 0 up to 1, to spread points in time. Should the system have no randomness, it is
/// 1/2: spread then is lost, and nothing else.
pub(crate) fn random_unit() -> f64 {
    let mut bytes = [0; 4];
    match rand::fill(&mut bytes) {
        Ok(()) => f64::from(u32::from_le_bytes(bytes)) / (f64::from(u32::MAX) + 1.0),
        Err(_) => 0.5,
    }
}

/// Random octets that nobody can guess; `None` should the system have no randomness.
#[cfg(feature = "remote")]
pub(crate) fn random_octets<const N: usize>() -> Option<[u8; N]> {
    let mut octets = [0; N];
    rand::fill(&mut octets).ok()?;
    Some(octets)
}
