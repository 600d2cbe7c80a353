//! Detects keys of the faulty Infineon library (CVE-2017-15361, "ROCA"). The private part of such a
//! key can be computed from its public part.
//!
//! The library made primes of the form k·M + (65537^a mod M). M is a product of small primes. So
//! the modulus is a power of 65537 modulo each of these small primes. For a random modulus, the
//! probability of this property is below 2^-27.

/// The odd primes up to 167. M contains at least these for keys of 2048 bits or more.
const PRIMES: [u32; 38] = [
    3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37, 41, 43, 47, 53, 59, 61, 67, 71, 73, 79, 83, 89, 97,
    101, 103, 107, 109, 113, 127, 131, 137, 139, 149, 151, 157, 163, 167,
];

/// The number whose powers are the residues.
const GENERATOR: u32 = 65_537;

/// Whether a big-endian modulus has this property.
pub(crate) fn has_fingerprint(modulus: &[u8]) -> bool {
    PRIMES.iter().all(|prime| {
        let residue =
            modulus.iter().fold(0, |rest, octet| (rest * 256 + u32::from(*octet)) % prime);
        is_power(residue, *prime)
    })
}

/// Whether `residue` is a power of the generator modulo `prime`.
fn is_power(residue: u32, prime: u32) -> bool {
    let mut power = 1;
    loop {
        if power == residue {
            return true;
        }
        power = power * (GENERATOR % prime) % prime;
        if power == 1 {
            return false;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn powers_modulo_a_prime() {
        // 65537 mod 7 is 3 and generates every residue. Mod 17 it is 2, which has order 8. Mod 5 it
        // is 2.
        assert!((1..7).all(|residue| is_power(residue, 7)));
        let powers: Vec<u32> = (1..17).filter(|residue| is_power(*residue, 17)).collect();
        assert_eq!(powers, [1, 2, 4, 8, 9, 13, 15, 16]);
        assert!(!is_power(0, 5));
    }

    #[test]
    fn an_ordinary_modulus_has_no_fingerprint() {
        assert!(has_fingerprint(&[1]), "1 is a power of everything");
        assert!(!has_fingerprint(&[0xff; 256]));
    }
}
