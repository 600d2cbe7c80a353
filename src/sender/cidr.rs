//! Ranges of IP addresses (RFC 4632 §3.1, RFC 4291 §2.3).

use std::net::{IpAddr, Ipv4Addr};

/// A range of addresses of one version. Addresses are stored as numbers, so that a range has a first and a
/// last number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Cidr {
    is_v4: bool,
    first: u128,
    last: u128,
}

impl Cidr {
    /// Reads `192.0.2.0/24`, `2001:db8::/32`, or one address. An IPv6 range inside `::ffff:0:0/96`
    /// (IPv4-mapped addresses) is read as the IPv4 range.
    ///
    /// # Errors
    /// The problem, as a fixed text.
    pub(super) fn parse(text: &str) -> Result<Self, &'static str> {
        let (address, length) = match text.split_once('/') {
            Some((address, length)) => (address, Some(length)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().map_err(|_| "is not an IP address or a CIDR")?;
        let most = if address.is_ipv4() { 32 } else { 128 };
        let length = match length {
            None => most,
            Some(digits) => {
                let is_number = digits.bytes().all(|byte| byte.is_ascii_digit())
                    && (digits == "0" || !digits.starts_with('0'));
                let length = digits.parse::<u32>().ok().filter(|_| is_number);
                length.filter(|length| *length <= most).ok_or("has no valid prefix length")?
            }
        };
        let (is_v4, number) = number(address);
        // A range of IPv4-mapped addresses: the first 96 bits are those of `::ffff:0:0/96`.
        let (length, most) = match (is_v4, most) {
            (true, 128) if length >= 96 => (length - 96, 32),
            (true, 128) => return Err("covers IPv4 addresses in IPv6: write them as IPv4"),
            _ => (length, most),
        };
        let hosts = match most - length {
            128 => u128::MAX,
            bits => (1_u128 << bits) - 1,
        };
        if number & hosts != 0 {
            return Err("has bits behind its prefix");
        }
        Ok(Self { is_v4, first: number, last: number | hosts })
    }

    /// Whether the range contains the address. An IPv4-mapped IPv6 address counts as the IPv4 address.
    pub(super) fn contains(&self, address: IpAddr) -> bool {
        let (is_v4, number) = number(address);
        self.is_v4 == is_v4 && (self.first..=self.last).contains(&number)
    }
}

/// Whether the ranges together contain every address of one version.
pub(super) fn cover_everything(ranges: &[Cidr]) -> bool {
    [(true, u128::from(u32::MAX)), (false, u128::MAX)].into_iter().any(|(is_v4, last)| {
        let mut own: Vec<_> = ranges.iter().filter(|range| range.is_v4 == is_v4).collect();
        own.sort_unstable_by_key(|range| range.first);
        // The first address that is in none of the ranges so far.
        let mut next = Some(0_u128);
        for range in own {
            let Some(at) = next else { break };
            if range.first > at {
                return false;
            }
            next = range.last.checked_add(1).map(|after| after.max(at));
        }
        next.is_none_or(|next| next > last)
    })
}

fn number(address: IpAddr) -> (bool, u128) {
    let of_v4 = |address: Ipv4Addr| (true, u128::from(u32::from(address)));
    match address.to_canonical() {
        IpAddr::V4(address) => of_v4(address),
        IpAddr::V6(address) => (false, u128::from(address)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_has_its_addresses_and_no_other() {
        for (range, inside, outside) in [
            ("10.0.0.0/8", "10.255.255.255", "11.0.0.0"),
            ("10.0.0.0/8", "::ffff:10.1.2.3", "::10.1.2.3"),
            ("192.0.2.7", "192.0.2.7", "192.0.2.8"),
            ("192.0.2.6/31", "192.0.2.7", "192.0.2.8"),
            ("0.0.0.0/1", "127.0.0.1", "128.0.0.0"),
            ("2001:db8::/32", "2001:db8:ffff::1", "2001:db9::"),
            ("::1", "::1", "127.0.0.1"),
            ("::ffff:192.0.2.0/120", "192.0.2.1", "192.0.3.1"),
            ("fc00::/7", "fdff::", "fe00::"),
        ] {
            let range = Cidr::parse(range).unwrap();
            assert!(range.contains(inside.parse().unwrap()), "{range:?} {inside}");
            assert!(!range.contains(outside.parse().unwrap()), "{range:?} {outside}");
        }
        for text in [
            "",
            "/",
            "10.0.0.0/",
            "10.0.0.0/33",
            "10.0.0.0/-1",
            "10.0.0.0/+8",
            "10.0.0.0/08",
            "10.0.0.1/8",
            "10.0.0/8",
            "10.0.0.0/8/8",
            "010.0.0.0/8",
            "::/129",
            "::1/64",
            "fe80::1%eth0",
            "localhost",
            "*",
            " 10.0.0.0/8",
            "::ffff:0:0/95",
        ] {
            assert!(Cidr::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn everything_is_noticed_in_pieces_too() {
        for (ranges, expected) in [
            (&["0.0.0.0/0"][..], true),
            (&["::/0"], true),
            (&["10.0.0.0/8", "::/0"], true),
            (&["128.0.0.0/1", "0.0.0.0/1"], true),
            (&["0.0.0.0/1", "128.0.0.0/2", "192.0.0.0/2"], true),
            (&["::ffff:0:0/96"], true),
            (&["8000::/1", "::/1"], true),
            (&["0.0.0.0/1", "0.0.0.0/2", "128.0.0.0/2"], false),
            (&["128.0.0.0/1"], false),
            (&["10.0.0.0/8", "fc00::/7"], false),
        ] {
            let ranges: Vec<_> = ranges.iter().map(|text| Cidr::parse(text).unwrap()).collect();
            assert_eq!(cover_everything(&ranges), expected, "{ranges:?}");
        }
    }
}
