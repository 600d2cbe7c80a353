use super::*;

fn der(tag: u8, contents: &[u8]) -> Vec<u8> {
    let length = contents.len();
    let head = match length {
        0..0x80 => vec![tag, length as u8],
        0x80..0x100 => vec![tag, 0x81, length as u8],
        _ => vec![tag, 0x82, (length >> 8) as u8, length as u8],
    };
    [head, contents.to_vec()].concat()
}

fn spki(algorithm: &[u8], key: &[u8]) -> Vec<u8> {
    let bits = der(BIT_STRING, &[&[0], key].concat());
    der(SEQUENCE, &[der(SEQUENCE, algorithm), bits].concat())
}

fn rsa_key(n: &[u8], e: &[u8]) -> Vec<u8> {
    let integer = |number: &[u8]| match number.first() {
        Some(0x80..) => der(INTEGER, &[&[0], number].concat()),
        _ => der(INTEGER, number),
    };
    der(SEQUENCE, &[integer(n), integer(e)].concat())
}

fn fault(der: &[u8]) -> Option<&'static str> {
    key(der, AlgorithmSet::DEFAULT).err().map(|KeyFault(reason)| reason)
}

/// A modulus that is 1 modulo each prime of the fingerprint: their product, shifted, plus 1.
fn roca() -> Vec<u8> {
    let mut product = vec![1_u8];
    for prime in (3_u32..=167).step_by(2).filter(|n| (2..*n).all(|d| n % d != 0)) {
        let mut carry = 0;
        for octet in product.iter_mut().rev() {
            carry += u32::from(*octet) * prime;
            *octet = carry as u8;
            carry >>= 8;
        }
        if carry > 0 {
            product.insert(0, carry as u8);
        }
    }
    product.resize(259, 0);
    product.push(1);
    product
}

#[test]
fn an_rsa_key_meets_the_checks_of_its_jwk() {
    let (n, e) = (vec![0xff; 256], [1, 0, 1]);
    assert_eq!(fault(&spki(RSA, &rsa_key(&n, &e))), None);
    for (name, n, e) in [
        ("2040 bits", &n[1..], &e[..]),
        ("8200 bits", &[0xff; 1025], &e),
        ("exponent 1", &n, &[1]),
        ("exponent of 34 bits", &n, &[2, 0, 0, 0, 1]),
        ("CVE-2017-15361", &roca(), &e),
    ] {
        let of_jwk = VerificationKey::rsa(n, e, AlgorithmSet::DEFAULT).err();
        let of_spki = fault(&spki(RSA, &rsa_key(n, e)));
        assert!(of_spki.is_some(), "{name}");
        assert_eq!(of_spki, of_jwk.map(|KeyFault(reason)| reason), "{name}");
    }
}

#[test]
fn an_ed25519_key_meets_the_checks_of_its_jwk() {
    // RFC 8032 §7.1, test 1.
    let x = [
        0xd7, 0x5a, 0x98, 0x01, 0x82, 0xb1, 0x0a, 0xb7, 0xd5, 0x4b, 0xfe, 0xd3, 0xc9, 0x64, 0x07,
        0x3a, 0x0e, 0xe1, 0x72, 0xf3, 0xda, 0xa6, 0x23, 0x25, 0xaf, 0x02, 0x1a, 0x68, 0xf7, 0x07,
        0x51, 0x1a,
    ];
    assert_eq!(fault(&spki(ED25519, &x)), None);
    assert_eq!(fault(&spki(ED25519, &[0; 32])), Some("Ed25519 key is of small order"));
    assert_eq!(fault(&spki(ED25519, &x[1..])), Some("Ed25519 key has not 32 octets"));
    // The bare key without its algorithm identifier.
    for bare in [&x[..], &[0; 32]] {
        assert_eq!(fault(bare), Some(MALFORMED.0));
    }
}

#[test]
fn a_point_is_uncompressed_and_on_a_named_curve() {
    // RFC 7515 A.3.1.
    let point = [
        4, 127, 205, 206, 39, 112, 246, 196, 93, 65, 131, 203, 238, 111, 219, 75, 123, 88, 7, 51,
        53, 123, 233, 239, 19, 186, 207, 110, 60, 123, 209, 84, 69, 199, 241, 68, 205, 27, 189,
        155, 126, 135, 44, 223, 237, 185, 238, 185, 244, 179, 105, 93, 110, 169, 11, 36, 173, 138,
        70, 35, 40, 133, 136, 229, 173,
    ];
    assert_eq!(fault(&spki(P_256, &point)), None);
    assert!(fault(&spki(P_384, &point)).is_some(), "another curve's length");
    assert!(fault(&spki(P_256, &point[..64])).is_some(), "an octet less");
    let compressed = [&[3], &point[1..33]].concat();
    assert!(fault(&spki(P_256, &compressed)).is_some(), "compressed");
    let mut off = point;
    off[64] ^= 1;
    assert!(fault(&spki(P_256, &off)).is_some(), "not on the curve");
    let written_out = [&P_256[..9], &der(SEQUENCE, &[INTEGER, 1, 1])].concat();
    assert!(fault(&spki(&written_out, &point)).is_some(), "curve written out");
    assert_eq!(fault(&point), Some(MALFORMED.0), "the point alone");
}

#[test]
fn the_encoding_is_der() {
    let key = rsa_key(&[0xff; 256], &[1, 0, 1]);
    let good = spki(RSA, &key);
    assert_eq!(fault(&good), None);
    let long = [&[SEQUENCE, 0x83, 0], &good[2..]].concat();
    let cases: [(&str, &[u8]); 6] = [
        ("nothing", b""),
        ("PKCS #1", &key),
        ("more behind it", &[&good[..], &[0]].concat()),
        ("cut", &good[..good.len() - 1]),
        ("length of three octets", &long),
        ("unused bits", &{
            let mut odd = good.clone();
            let at = odd.len() - key.len() - 1;
            odd[at] = 1;
            odd
        }),
    ];
    for (name, text) in cases {
        assert_eq!(fault(text), Some(MALFORMED.0), "{name}");
    }
    assert!(fault(&spki(&RSA[..11], &key)).is_some(), "no NULL");
    let negative = der(SEQUENCE, &[der(INTEGER, &[0xff; 256]), der(INTEGER, &[3])].concat());
    assert_eq!(fault(&spki(RSA, &negative)), Some(MALFORMED.0), "negative modulus");
}
