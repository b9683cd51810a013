//! Sets of numbers: what a test's values come to, whatever the way they were written.

use flowcore::{Addr, Prefix};

/// A set of numbers as inclusive ranges: sorted, disjoint, never touching.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ranges(Vec<(u128, u128)>);

/// `::ffff:0:0/96`, where IPv4 addresses are.
const V4: (u128, u128) = (0xffff_0000_0000, 0xffff_ffff_ffff);

impl Ranges {
    /// The set of these ranges, in any order, overlapping or not; those that end before they begin are empty.
    pub fn new(ranges: impl IntoIterator<Item = (u128, u128)>) -> Self {
        let mut ranges: Vec<_> = ranges.into_iter().filter(|(low, high)| low <= high).collect();
        ranges.sort_unstable();
        let mut merged: Vec<(u128, u128)> = Vec::with_capacity(ranges.len());
        for (low, high) in ranges {
            match merged.last_mut() {
                Some(last) if low <= last.1.saturating_add(1) => last.1 = last.1.max(high),
                _ => merged.push((low, high)),
            }
        }
        Self(merged)
    }

    /// One number.
    pub fn one(number: u128) -> Self {
        Self(vec![(number, number)])
    }

    /// The addresses of a prefix. IPv4 never lies in a prefix written as IPv6.
    pub fn prefix(prefix: Prefix) -> Self {
        let low = number(prefix.network());
        let bits = if prefix.network().is_v4() { prefix.bits() + 96 } else { prefix.bits() };
        Self::addresses(prefix.network(), address(low | u128::MAX.checked_shr(u32::from(bits)).unwrap_or(0)))
    }

    /// The addresses of `low`'s version from `low` to `high`.
    pub fn addresses(low: Addr, high: Addr) -> Self {
        let (first, last) = (number(low), number(high));
        if low.is_v4() || last < V4.0 || first > V4.1 {
            Self::new([(first, last)])
        } else {
            Self::new([(first, V4.0 - 1), (V4.1 + 1, last)])
        }
    }

    /// The ranges in order.
    pub fn as_slice(&self) -> &[(u128, u128)] {
        &self.0
    }

    /// Whether no number is in it.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether `number` is in it.
    pub fn contains(&self, number: u128) -> bool {
        let after = self.0.partition_point(|&(low, _)| low <= number);
        after.checked_sub(1).and_then(|at| self.0.get(at)).is_some_and(|&(_, high)| number <= high)
    }

    /// What is in either.
    #[must_use]
    pub fn union(&self, other: &Self) -> Self {
        Self::new(self.0.iter().chain(&other.0).copied())
    }

    /// What is in both.
    #[must_use]
    pub fn intersection(&self, other: &Self) -> Self {
        let mut common = Vec::new();
        let (mut left, mut right) = (self.0.iter().peekable(), other.0.iter().peekable());
        while let (Some(&&(a, b)), Some(&&(c, d))) = (left.peek(), right.peek()) {
            let (low, high) = (a.max(c), b.min(d));
            if low <= high {
                common.push((low, high));
            }
            if b < d {
                left.next()
            } else {
                right.next()
            };
        }
        Self(common)
    }

    /// The numbers from 0 to `max` that are not in it.
    #[must_use]
    pub fn complement(&self, max: u128) -> Self {
        let mut rest = Vec::with_capacity(self.0.len() + 1);
        let mut next = Some(0);
        for &(low, high) in &self.0 {
            if let Some(from) = next
                && from < low
            {
                rest.push((from, (low - 1).min(max)));
            }
            next = high.checked_add(1);
        }
        if let Some(from) = next
            && from <= max
        {
            rest.push((from, max));
        }
        Self(rest)
    }

    /// What is in this one but not in `other`.
    #[must_use]
    pub fn difference(&self, other: &Self) -> Self {
        self.intersection(&other.complement(u128::MAX))
    }

    /// Whether all of it is in `other`.
    pub fn is_subset(&self, other: &Self) -> bool {
        self.0.iter().all(|&(low, high)| {
            let after = other.0.partition_point(|&(first, _)| first <= low);
            after.checked_sub(1).and_then(|at| other.0.get(at)).is_some_and(|&(_, last)| high <= last)
        })
    }
}

/// An address as a number.
pub fn number(addr: Addr) -> u128 {
    u128::from_be_bytes(*addr.octets())
}

/// The address of a number.
pub fn address(number: u128) -> Addr {
    Addr::v6(number.to_be_bytes())
}

/// The fewest prefixes that together are `low..=high`; a range that crosses the edge of IPv4 is cut there.
pub fn prefixes(low: u128, high: u128) -> Vec<Prefix> {
    let mut found = Vec::new();
    let mut next = Some(low);
    while let Some(from) = next.filter(|&from| from <= high) {
        let edge = if from < V4.0 {
            high.min(V4.0 - 1)
        } else if from <= V4.1 {
            high.min(V4.1)
        } else {
            high
        };
        // As many low bits as `from` leaves free and the end allows.
        let mut free = from.trailing_zeros().min(128);
        let last = |free: u32| from | u128::MAX.checked_shr(128 - free).unwrap_or(0);
        while free > 0 && last(free) > edge {
            free -= 1;
        }
        let addr = address(from);
        let mut bits = 128 - free;
        if addr.is_v4() {
            bits = bits.saturating_sub(96);
        }
        found.extend(u8::try_from(bits).ok().and_then(|bits| Prefix::new(addr, bits)));
        next = last(free).checked_add(1);
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn ranges() -> impl Strategy<Value = Ranges> {
        proptest::collection::vec((0..40u128, 0..8u128), 0..5)
            .prop_map(|all| Ranges::new(all.into_iter().map(|(low, more)| (low, low + more))))
    }

    proptest! {
        #[test]
        fn set_operations_agree_with_asking_every_number(a in ranges(), b in ranges()) {
            for n in 0..60u128 {
                prop_assert_eq!(a.union(&b).contains(n), a.contains(n) || b.contains(n));
                prop_assert_eq!(a.intersection(&b).contains(n), a.contains(n) && b.contains(n));
                prop_assert_eq!(a.difference(&b).contains(n), a.contains(n) && !b.contains(n));
                prop_assert_eq!(a.complement(50).contains(n), !a.contains(n) && n <= 50);
            }
            prop_assert_eq!(a.is_subset(&b), a.difference(&b).is_empty());
            prop_assert_eq!(a.complement(u128::MAX).complement(u128::MAX), a.clone());
            prop_assert!(a.intersection(&b).is_subset(&a));
        }

        #[test]
        fn a_range_is_its_prefixes(low in any::<u32>(), more in 0..5000u32, v6 in any::<bool>()) {
            let base = if v6 { 0x2001_0db8_u128 << 96 } else { V4.0 };
            let (low, high) = (base + u128::from(low), base + u128::from(low.saturating_add(more)));
            let all = prefixes(low, high);
            let back = all.iter().fold(Ranges::default(), |sum, &prefix| sum.union(&Ranges::prefix(prefix)));
            prop_assert_eq!(back, Ranges::new([(low, high)]));
        }
    }

    #[test]
    fn ipv4_does_not_lie_in_an_ipv6_prefix() {
        let all6 = Ranges::prefix(Prefix::new("::".parse().unwrap(), 0).unwrap());
        assert!(!all6.contains(number("10.0.0.1".parse().unwrap())));
        assert!(all6.contains(number("::1".parse().unwrap())));
        assert!(all6.contains(u128::MAX));
        let all4 = Ranges::prefix(Prefix::new("0.0.0.0".parse().unwrap(), 0).unwrap());
        assert_eq!(all4.as_slice(), [V4]);
        // One for each bit that is set in the first IPv4 address, mapped.
        assert_eq!(prefixes(0, V4.0 - 1).len(), 16);
        assert_eq!(prefixes(V4.0, V4.1), [Prefix::new("0.0.0.0".parse().unwrap(), 0).unwrap()]);
    }
}
