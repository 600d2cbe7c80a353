//! Checks that 32 octets are a point of edwards25519 (RFC 8032 §5.1.3, steps 1 to 3).
//!
//! At import, the cryptography library only checks the length of a key. It notices a bad point when
//! it verifies a signature. But an import must reject a key that can verify nothing. Otherwise,
//! such a key would count as a key of its issuer, and no token could be verified with it.
//!
//! The input is a public key, so the run time may depend on it.

/// A number modulo p = 2^255 - 19, below 2^256: four 64-bit digits, least significant first.
#[derive(Clone, Copy)]
struct Field([u64; 4]);

const P: [u64; 4] = [0xffff_ffff_ffff_ffed, u64::MAX, u64::MAX, 0x7fff_ffff_ffff_ffff];
const ONE: Field = Field([1, 0, 0, 0]);
const MINUS_ONE: Field = Field([0xffff_ffff_ffff_ffec, u64::MAX, u64::MAX, 0x7fff_ffff_ffff_ffff]);

/// The d of RFC 8032 §5.1.
const D: Field = Field([
    0x75eb_4dca_1359_78a3,
    0x0070_0a4d_4141_d8ab,
    0x8cc7_4079_7779_e898,
    0x5203_6cee_2b6f_fe73,
]);

/// Whether the encoded point is on the curve and its y is below p.
///
/// The sign of x is not checked. The sign can be invalid only if x is 0, and the two points with
/// this x have small order.
pub(super) fn is_point(encoded: &[u8; 32]) -> bool {
    let mut y = [0; 4];
    for (digit, octets) in y.iter_mut().zip(encoded.chunks_exact(8)) {
        *digit = octets.iter().rev().fold(0, |number, octet| number << 8 | u64::from(*octet));
    }
    y[3] &= u64::MAX >> 1;
    if !is_below_p(y) {
        return false;
    }
    // x² = (y² - 1) / (d·y² + 1). The quotient is a square if the product is a square, and d·y² + 1
    // is never 0.
    let y2 = Field(y).times(Field(y));
    let product = y2.plus(MINUS_ONE).times(D.times(y2).plus(ONE));
    product.is_square()
}

fn is_below_p(digits: [u64; 4]) -> bool {
    digits.iter().rev().lt(P.iter().rev())
}

#[allow(clippy::indexing_slicing, reason = "arrays of four and eight, indexed by constant ranges")]
impl Field {
    fn plus(self, other: Self) -> Self {
        let mut wide = [0; 8];
        let mut carry = 0;
        for (at, digit) in wide.iter_mut().enumerate().take(4) {
            carry += u128::from(self.0[at]) + u128::from(other.0[at]);
            *digit = carry as u64;
            carry >>= 64;
        }
        wide[4] = carry as u64;
        Self::reduced(wide)
    }

    fn times(self, other: Self) -> Self {
        let mut wide = [0; 8];
        for (i, a) in self.0.into_iter().enumerate() {
            let mut carry = 0;
            for (j, b) in other.0.into_iter().enumerate() {
                carry += u128::from(wide[i + j]) + u128::from(a) * u128::from(b);
                wide[i + j] = carry as u64;
                carry >>= 64;
            }
            wide[i + 4] = carry as u64;
        }
        Self::reduced(wide)
    }

    /// Reduces a number of eight digits to below 2^256. 2^256 is 38 modulo p.
    fn reduced(mut wide: [u64; 8]) -> Self {
        // 512 bits become 262 in the first round, 257 in the second, and 256 in the third.
        for _ in 0..3 {
            let mut carry = 0;
            for at in 0..4 {
                carry += u128::from(wide[at]) + 38 * u128::from(wide[at + 4]);
                wide[at] = carry as u64;
                carry >>= 64;
            }
            wide[4..].copy_from_slice(&[carry as u64, 0, 0, 0]);
        }
        Self([wide[0], wide[1], wide[2], wide[3]])
    }

    /// Euler's criterion: the power (p - 1) / 2 is 1 for a square and 0 for 0.
    fn is_square(self) -> bool {
        // (p - 1) / 2 = 2^254 - 10: all bits down to bit 4 are 1, then 0110.
        let mut power = ONE;
        for bit in (0..254).rev() {
            power = power.times(power);
            if bit >= 4 || bit == 1 || bit == 2 {
                power = power.times(self);
            }
        }
        let mut digits = power.0;
        while !is_below_p(digits) {
            // Subtract p: add 19 and clear bit 255. A number below 2^256 needs this at most twice.
            let mut carry = 19 + u128::from(digits[0]);
            for at in 0..4 {
                digits[at] = carry as u64;
                carry >>= 64;
                carry += digits.get(at + 1).map_or(0, |digit| u128::from(*digit));
            }
            digits[3] = digits[3].wrapping_sub(1 << 63);
        }
        digits == [0; 4] || digits == ONE.0
    }
}

#[cfg(test)]
mod tests {
    use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};

    use super::*;

    fn octets(digits: [u64; 4]) -> [u8; 32] {
        let mut octets = [0; 32];
        for (place, digit) in octets.chunks_exact_mut(8).zip(digits) {
            place.copy_from_slice(&digit.to_le_bytes());
        }
        octets
    }

    const NEAR_ZERO: [u64; 43] = [
        0, 1, 3, 4, 5, 6, 9, 10, 14, 15, 16, 18, 19, 21, 23, 24, 25, 26, 27, 28, 29, 30, 32, 33,
        35, 37, 39, 40, 42, 43, 44, 48, 51, 52, 54, 55, 56, 57, 58, 60, 61, 62, 63,
    ];
    /// Numbers that are added to 2^254.
    const MIDDLE: [u64; 19] =
        [1, 3, 4, 5, 6, 7, 13, 15, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 29];

    /// The numbers were computed with big integers in another language.
    #[test]
    fn small_numbers_near_zero_and_p() {
        let near_zero: Vec<u64> = (0..64).filter(|y| is_point(&octets([*y, 0, 0, 0]))).collect();
        assert_eq!(near_zero, NEAR_ZERO);
        let near_p: Vec<u64> =
            (1..64).filter(|k| is_point(&octets([P[0] - k, P[1], P[2], P[3]]))).collect();
        assert_eq!(near_p, NEAR_ZERO[1..], "(x, -y) is a point where (x, y) is");
        let middle: Vec<u64> = (0..32).filter(|k| is_point(&octets([*k, 0, 0, 1 << 62]))).collect();
        assert_eq!(middle, MIDDLE);
        let points = (2..1_002).filter(|y| is_point(&octets([*y, 0, 0, 0]))).count();
        assert_eq!(points, 515, "about half");
    }

    #[test]
    fn numbers_from_p_on_are_no_point() {
        // p + 1 and p + 3 would be the points with y = 1 and y = 3.
        for k in 0..19 {
            assert!(!is_point(&octets([P[0] + k, P[1], P[2], P[3]])), "p + {k}");
        }
    }

    #[test]
    fn every_public_key_is_a_point() {
        for n in 0..500_u64 {
            let mut seed = [0; 32];
            seed[..8].copy_from_slice(&n.to_le_bytes());
            let pair = Ed25519KeyPair::from_seed_unchecked(&seed).unwrap();
            let mut public: [u8; 32] = pair.public_key().as_ref().try_into().unwrap();
            assert!(is_point(&public), "{n}");
            public[31] ^= 0x80;
            assert!(is_point(&public), "{n}, with the other x");
        }
    }
}
