//! Ranges of addresses that are every address together.

use std::net::IpAddr;

/// Returns true if the ranges together contain every IPv4 address or every IPv6 address.
///
/// Text that is no range counts for nothing. So do prefix lists, whose ranges are not in the call.
pub(super) fn cover_every_address<'a>(ranges: impl IntoIterator<Item = &'a str>) -> bool {
    let (mut v4, mut v6) = (Vec::new(), Vec::new());
    for range in ranges {
        match parse(range) {
            Some(Range { is_v6: false, first, last }) => v4.push((first, last)),
            Some(Range { is_v6: true, first, last }) => v6.push((first, last)),
            None => {}
        }
    }
    are_everything(v4, u128::from(u32::MAX)) || are_everything(v6, u128::MAX)
}

/// The first and the last address of a range.
struct Range {
    is_v6: bool,
    first: u128,
    last: u128,
}

/// Reads `ADDRESS/BITS`. Bits of the address beyond the prefix make no difference, as for EC2.
fn parse(range: &str) -> Option<Range> {
    let (address, bits) = range.split_once('/')?;
    let bits: u32 = bits.parse().ok()?;
    let (is_v6, address, width) = match address.parse().ok()? {
        IpAddr::V4(address) => (false, u128::from(address.to_bits()), 32),
        IpAddr::V6(address) => (true, address.to_bits(), 128),
    };
    if bits > width {
        return None;
    }
    // The addresses beyond the prefix: all of them for /0, where the shift by the width is undefined.
    let rest = u128::MAX.checked_shr(128 - width + bits).unwrap_or(0);
    let first = address & !rest;
    Some(Range { is_v6, first, last: first | rest })
}

/// Returns true if the ranges contain every number from 0 to `most`.
fn are_everything(mut ranges: Vec<(u128, u128)>, most: u128) -> bool {
    ranges.sort_unstable();
    let mut next = 0;
    for (first, last) in ranges {
        if first > next {
            return false;
        }
        if last >= most {
            return true;
        }
        next = next.max(last + 1);
    }
    false
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn ranges_are_every_address_alone_or_together() {
        for (ranges, expected) in [
            (&["0.0.0.0/0"][..], true),
            (&["::/0"], true),
            (&["10.1.2.3/0"], true),
            (&["128.0.0.0/1", "0.0.0.0/1"], true),
            (&["8000::/1", "::/1"], true),
            (&["0.0.0.0/1", "128.0.0.0/2", "192.0.0.0/3", "224.0.0.0/3", "10.0.0.0/8"], true),
            (&["0.0.0.0/1", "128.0.0.0/2", "192.0.0.0/3", "224.0.0.0/4"], false),
            (&["0.0.0.0/1", "8000::/1"], false),
            (&["0.0.0.0/1", "0.0.0.0/1"], false),
            (&["128.0.0.0/1"], false),
            (&[], false),
            (&["pl-1", "0.0.0.0", "0.0.0.0/33", "::/129", "x/0", "0.0.0.0/-1", "/0"], false),
        ] {
            assert_eq!(cover_every_address(ranges.iter().copied()), expected, "{ranges:?}");
        }
    }

    /// Splits a range into two, again and again, at the places that `choices` name.
    fn split(is_v6: bool, choices: &[prop::sample::Index]) -> Vec<(u128, u32)> {
        let width = if is_v6 { 128 } else { 32 };
        let mut ranges = vec![(0_u128, 0_u32)];
        for choice in choices {
            let at = choice.index(ranges.len());
            let (address, bits) = ranges[at];
            if bits < width {
                ranges[at] = (address, bits + 1);
                ranges.push((address | 1 << (width - bits - 1), bits + 1));
            }
        }
        ranges
    }

    fn print(is_v6: bool, (address, bits): (u128, u32)) -> String {
        if is_v6 {
            format!("{}/{bits}", std::net::Ipv6Addr::from_bits(address))
        } else {
            format!("{}/{bits}", std::net::Ipv4Addr::from_bits(u32::try_from(address).unwrap()))
        }
    }

    proptest! {
        #[test]
        fn any_split_is_everything_until_one_part_is_missing(
            is_v6: bool,
            choices in prop::collection::vec(any::<prop::sample::Index>(), 0..60),
            order in any::<prop::sample::Index>(),
        ) {
            let mut ranges: Vec<String> =
                split(is_v6, &choices).into_iter().map(|range| print(is_v6, range)).collect();
            let middle = order.index(ranges.len());
            ranges.rotate_left(middle);
            prop_assert!(cover_every_address(ranges.iter().map(String::as_str)));
            let missing = ranges.remove(order.index(ranges.len()));
            prop_assert!(!cover_every_address(ranges.iter().map(String::as_str)), "without {}", missing);
        }
    }
}
