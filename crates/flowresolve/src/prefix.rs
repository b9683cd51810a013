//! Longest match: which of many prefixes holds an address.
//!
//! A [`Table`] is built once and only read from then on. Nested prefixes are cut into ranges that do not overlap, each
//! with the answer of the narrowest prefix over it, so that a look-up is one search in a sorted list; the first sixteen
//! bits of an address say in which part of it. IPv4 and IPv6 lie in the same list, as [`Addr`] has them.
//!
//! ```
//! use flowresolve::prefix::Builder;
//!
//! let mut builder = Builder::default();
//! builder.prefix("10.0.0.0".parse().unwrap(), 8, 1).unwrap();
//! builder.prefix("10.1.0.0".parse().unwrap(), 16, 2).unwrap();
//! let table = builder.build();
//! let (value, prefix) = table.get("10.1.2.3".parse().unwrap()).unwrap();
//! assert_eq!((value, prefix.to_string()), (2, "10.1.0.0/16".to_owned()));
//! assert_eq!(table.value("10.2.0.0".parse().unwrap()), Some(1));
//! assert_eq!(table.value("11.0.0.0".parse().unwrap()), None);
//! ```

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::mem::size_of;

use flowcore::{Addr, Prefix};

/// Says that there is no answer. No value is as large.
const NONE: u32 = u32::MAX;

/// In place of a prefix's length: it was a range.
const RANGE: u8 = u8::MAX;

/// The first IPv4 address as a number.
const FIRST_V4: u128 = 0xffff_0000_0000;

/// The last one.
const LAST_V4: u128 = 0xffff_ffff_ffff;

/// Collects prefixes and ranges for a [`Table`].
#[derive(Clone, Debug, Default)]
pub struct Builder {
    spans: Vec<Span>,
}

/// One prefix or range.
#[derive(Copy, Clone, Debug)]
struct Span {
    first: u128,
    last: u128,
    value: u32,
    /// How many were given before.
    order: u32,
    /// In `0..=128`, or [`RANGE`].
    bits: u8,
}

impl Builder {
    /// Adds the prefix of `bits` leading bits, as its family counts them, that holds `addr`. Of equal ones the first
    /// counts. `None`, and nothing is added, if the family has fewer bits.
    ///
    /// `value` must be below [`u32::MAX`], which is cut to one less.
    pub fn prefix(&mut self, addr: Addr, bits: u8, value: u32) -> Option<()> {
        let prefix = Prefix::new(addr, bits)?;
        let bits = if addr.is_v4() { bits + 96 } else { bits };
        let first = number(prefix.network());
        let last = first | u128::MAX.checked_shr(bits.into()).unwrap_or(0);
        self.push(first, last, value.min(NONE - 1), bits);
        Some(())
    }

    /// Adds all addresses from `first` to `last`. Of several that hold an address the narrowest answers, of
    /// equally wide ones the first. `None`, and nothing is added, if they are of two families or in the wrong order.
    pub fn range(&mut self, first: Addr, last: Addr, value: u32) -> Option<()> {
        if first.is_v4() != last.is_v4() || first > last {
            return None;
        }
        let (first, last) = (number(first), number(last));
        self.push(first, last, value.min(NONE - 1), RANGE);
        Some(())
    }

    fn push(&mut self, first: u128, last: u128, value: u32, bits: u8) {
        let order = u32::try_from(self.spans.len()).unwrap_or(u32::MAX);
        self.spans.push(Span { first, last, value, order, bits });
    }

    /// How many were added.
    pub fn len(&self) -> usize {
        self.spans.len()
    }

    /// Whether none was.
    pub fn is_empty(&self) -> bool {
        self.spans.is_empty()
    }

    /// The table of them all.
    pub fn build(mut self) -> Table {
        // No IPv6 prefix, however short, holds an IPv4 address.
        self.push(FIRST_V4, LAST_V4, NONE, RANGE);
        // Files come in order or nearly so, which this sort makes use of.
        self.spans.sort_by_key(|span| span.first);
        let mut ranges = Ranges::with_room(self.spans.len());
        // Those that hold `at`, and perhaps some that are over; the narrowest on top.
        let mut open: BinaryHeap<Reverse<(u128, u32, usize)>> = BinaryHeap::new();
        let mut coming = self.spans.iter().enumerate().peekable();
        let mut at = 0;
        loop {
            while let Some((place, span)) = coming.next_if(|(_, span)| span.first == at) {
                open.push(Reverse((span.last - span.first, span.order, place)));
            }
            while open.peek().is_some_and(|&Reverse((.., place))| self.spans[place].last < at) {
                open.pop();
            }
            let next = coming.peek().map(|(_, span)| span.first);
            let Some(&Reverse((.., place))) = open.peek() else {
                ranges.begin(at, NONE, RANGE);
                match next {
                    Some(next) => at = next,
                    None => break,
                }
                continue;
            };
            let Span { last, value, bits, .. } = self.spans[place];
            ranges.begin(at, value, bits);
            match (next, last.checked_add(1)) {
                (Some(next), _) if next <= last => at = next,
                (_, Some(behind)) => at = behind,
                (_, None) => break,
            }
        }
        ranges.index()
    }
}

/// Sorted ranges over all addresses.
struct Ranges {
    starts: Vec<u128>,
    values: Vec<u32>,
    lengths: Vec<u8>,
}

impl Ranges {
    fn with_room(spans: usize) -> Self {
        // Nested prefixes are cut into more pieces than there are prefixes; seldom by more than a half.
        let room = spans + spans / 2;
        Self { starts: Vec::with_capacity(room), values: Vec::with_capacity(room), lengths: Vec::with_capacity(room) }
    }

    /// From `start` on the answer is this. Equal neighbours are one: the length says which prefix it was.
    fn begin(&mut self, start: u128, value: u32, bits: u8) {
        if self.values.last() == Some(&value) && (value == NONE || self.lengths.last() == Some(&bits)) {
            return;
        }
        self.starts.push(start);
        self.values.push(value);
        self.lengths.push(bits);
    }

    fn index(mut self) -> Table {
        self.starts.shrink_to_fit();
        self.values.shrink_to_fit();
        self.lengths.shrink_to_fit();
        Table {
            v4: index(&self.starts, FIRST_V4, V4_SHIFT),
            v6: index(&self.starts, 0, V6_SHIFT),
            starts: self.starts.into(),
            values: self.values.into(),
            lengths: self.lengths.into(),
        }
    }
}

/// Parts that an index has: as many as sixteen bits can say.
const PARTS: usize = 1 << 16;

/// Bits behind those that say in which part an address lies.
const V4_SHIFT: u32 = 16;
const V6_SHIFT: u32 = 112;

/// `index[i]` is the place of the range that holds the first address of part `i`; the last one is where to stop.
fn index(starts: &[u128], base: u128, shift: u32) -> Box<[u32]> {
    let mut places = Vec::with_capacity(PARTS + 1);
    let mut place = 0;
    for part in 0..PARTS as u128 {
        let first = base + (part << shift);
        while starts.get(place + 1).is_some_and(|&start| start <= first) {
            place += 1;
        }
        places.push(place);
    }
    let last = base + ((PARTS as u128 - 1) << shift) + ((1 << shift) - 1);
    places.push(starts.partition_point(|&start| start <= last) - 1);
    places.into_iter().map(|place| u32::try_from(place).unwrap_or(u32::MAX)).collect()
}

/// Finds the narrowest prefix or range that holds an address.
///
/// A million prefixes take 21 bytes for each of the ranges that they are cut into, some 1.2 million in the routing
/// tables of the Internet, and half a megabyte of index.
#[derive(Clone, Debug)]
pub struct Table {
    /// Sorted; the first is 0. Range `i` ends where `i + 1` begins.
    starts: Box<[u128]>,
    /// Those of the ranges; [`NONE`] where nothing is known.
    values: Box<[u32]>,
    /// Leading bits of the prefixes that the ranges are parts of, over the 16-byte form, or [`RANGE`].
    lengths: Box<[u8]>,
    v4: Box<[u32]>,
    v6: Box<[u32]>,
}

impl Table {
    /// The value of the narrowest prefix that holds `addr`.
    #[inline]
    pub fn value(&self, addr: Addr) -> Option<u32> {
        Some(self.values[self.place(number(addr))]).filter(|&value| value != NONE)
    }

    /// The same with the prefix: of what was given as a range, the largest part around `addr` that is one.
    pub fn get(&self, addr: Addr) -> Option<(u32, Prefix)> {
        let key = number(addr);
        let place = self.place(key);
        let value = self.values[place];
        if value == NONE {
            return None;
        }
        let bits = match self.lengths[place] {
            RANGE => 128 - self.room(key, place),
            bits => bits,
        };
        let bits = if addr.is_v4() { bits.saturating_sub(96) } else { bits };
        Some((value, Prefix::new(addr, bits)?))
    }

    /// How many trailing bits of `key` may be anything without leaving its range.
    fn room(&self, key: u128, place: usize) -> u8 {
        // A block that holds `key` but not the address before the range, nor the one behind it, has no room for the
        // first bit in which they differ.
        let differing = |outside: u128| (128 - (key ^ outside).leading_zeros()).saturating_sub(1) as u8;
        let before = self.starts[place].checked_sub(1).map_or(128, differing);
        let behind = self.starts.get(place + 1).map_or(128, |&start| differing(start));
        before.min(behind)
    }

    /// The range that holds `key`.
    #[inline]
    fn place(&self, key: u128) -> usize {
        let part = |base: u128, shift: u32| ((key - base) >> shift) as usize % PARTS;
        let (index, part) = if key & !(LAST_V4 - FIRST_V4) == FIRST_V4 {
            (&self.v4, part(FIRST_V4, V4_SHIFT))
        } else {
            (&self.v6, part(0, V6_SHIFT))
        };
        let (from, last) = (index[part] as usize, index[part + 1] as usize);
        from + self.starts[from + 1..=last].partition_point(|&start| start <= key)
    }

    /// The addresses whose value is `wanted`, from first to last of each range; in order, disjoint, never touching.
    pub fn addresses(&self, wanted: impl Fn(u32) -> bool) -> Vec<(Addr, Addr)> {
        let ends = self.starts.iter().skip(1).map(|start| start - 1).chain([u128::MAX]);
        let mut found: Vec<(u128, u128)> = Vec::new();
        for ((&first, last), &value) in self.starts.iter().zip(ends).zip(&self.values) {
            if value == NONE || !wanted(value) {
                continue;
            }
            match found.last_mut() {
                Some(before) if before.1 + 1 == first => before.1 = last,
                _ => found.push((first, last)),
            }
        }
        let addr = |number: u128| Addr::v6(number.to_be_bytes());
        found.into_iter().map(|(first, last)| (addr(first), addr(last))).collect()
    }

    /// How many ranges there are, those without an answer among them.
    pub fn ranges(&self) -> usize {
        self.starts.len()
    }

    /// Memory that it takes.
    pub fn memory_bytes(&self) -> usize {
        let range = size_of::<u128>() + size_of::<u32>() + size_of::<u8>();
        self.starts.len() * range + (self.v4.len() + self.v6.len()) * size_of::<u32>()
    }
}

fn number(addr: Addr) -> u128 {
    u128::from_be_bytes(*addr.octets())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn addr(text: &str) -> Addr {
        text.parse().unwrap()
    }

    fn found(table: &Table, text: &str) -> Option<(u32, String)> {
        table.get(addr(text)).map(|(value, prefix)| (value, prefix.to_string()))
    }

    #[test]
    fn the_longest_match_answers_around_a_hole_and_behind_it() {
        let mut builder = Builder::default();
        for (text, bits, value) in [("10.0.0.0", 8, 1), ("10.128.0.0", 9, 2), ("10.128.7.0", 24, 3), ("0.0.0.0", 0, 4)]
        {
            builder.prefix(addr(text), bits, value).unwrap();
        }
        let table = builder.build();
        assert_eq!(found(&table, "10.127.255.255"), Some((1, "10.0.0.0/8".into())));
        assert_eq!(found(&table, "10.128.6.255"), Some((2, "10.128.0.0/9".into())));
        assert_eq!(found(&table, "10.128.7.0"), Some((3, "10.128.7.0/24".into())));
        assert_eq!(found(&table, "10.255.255.255"), Some((2, "10.128.0.0/9".into())));
        assert_eq!(found(&table, "255.255.255.255"), Some((4, "0.0.0.0/0".into())));
        assert_eq!(found(&table, "::1"), None);
    }

    #[test]
    fn of_equal_prefixes_the_first_counts() {
        let mut builder = Builder::default();
        for value in [7, 8] {
            builder.prefix(addr("192.0.2.0"), 24, value).unwrap();
        }
        assert_eq!(builder.build().value(addr("192.0.2.1")), Some(7));
    }

    #[test]
    fn an_ipv6_prefix_holds_no_ipv4_address() {
        let mut builder = Builder::default();
        builder.prefix(addr("::"), 0, 1).unwrap();
        let table = builder.build();
        assert_eq!(found(&table, "2001:db8::1"), Some((1, "::/0".into())));
        assert_eq!(found(&table, "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"), Some((1, "::/0".into())));
        assert_eq!(found(&table, "192.0.2.1"), None);
    }

    #[test]
    fn a_range_is_shown_as_the_largest_block_around_an_address() {
        let mut builder = Builder::default();
        builder.range(addr("1.1.1.2"), addr("1.1.1.255"), 1).unwrap();
        builder.range(addr("::"), addr("::7"), 2).unwrap();
        let table = builder.build();
        let block = |text| found(&table, text).map(|(_, block)| block);
        assert_eq!(block("1.1.1.3").as_deref(), Some("1.1.1.2/31"));
        assert_eq!(block("1.1.1.5").as_deref(), Some("1.1.1.4/30"));
        assert_eq!(block("1.1.1.200").as_deref(), Some("1.1.1.128/25"));
        assert_eq!(block("::5").as_deref(), Some("::/125"));
        assert_eq!(block("1.1.1.1"), None);
    }

    #[test]
    fn what_is_no_prefix_or_range_is_not_added() {
        let mut builder = Builder::default();
        assert_eq!(builder.prefix(addr("10.0.0.0"), 33, 1), None);
        assert_eq!(builder.range(addr("10.0.0.1"), addr("10.0.0.0"), 1), None);
        assert_eq!(builder.range(addr("10.0.0.1"), addr("::1"), 1), None);
        assert!(builder.is_empty());
    }

    /// Addresses near each other and near the ends, where prefixes meet.
    fn any_addr() -> impl Strategy<Value = Addr> {
        let low = prop_oneof![0..64u128, (0..64u128).prop_map(|low| u128::MAX - low), any::<u128>()];
        prop_oneof![
            (0..4u8, any::<bool>()).prop_map(|(low, high)| Addr::v4(if high {
                [255, 255, 255, 255 - low]
            } else {
                [10, 0, 0, low]
            })),
            any::<[u8; 4]>().prop_map(|bytes| Addr::v4(bytes.map(|byte| byte & 0x81))),
            low.prop_map(|low| Addr::v6(low.to_be_bytes())),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(400))]

        #[test]
        fn it_answers_as_looking_at_every_prefix_does(
            prefixes in proptest::collection::vec((any_addr(), 0..=128u8), 0..60),
            ranges in proptest::collection::vec((any_addr(), any_addr()), 0..20),
            asked in proptest::collection::vec(any_addr(), 0..60),
        ) {
            let mut builder = Builder::default();
            // Width, order, prefix or range.
            let mut all: Vec<(u128, u32, Addr, Addr, Option<Prefix>)> = Vec::new();
            for (order, &(addr, bits)) in (0u32..).zip(&prefixes) {
                let bits = if addr.is_v4() { bits % 33 } else { bits };
                let prefix = Prefix::new(addr, bits).unwrap();
                builder.prefix(addr, bits, order).unwrap();
                let hosts = if addr.is_v4() { 32 - bits } else { 128 - bits };
                let width = 1u128.checked_shl(hosts.into()).map_or(u128::MAX, |size| size - 1);
                all.push((width, order, prefix.network(), prefix.network(), Some(prefix)));
            }
            for (order, &(a, b)) in (1000u32..).zip(&ranges) {
                let (first, last) = (a.min(b), a.max(b));
                if builder.range(first, last, order).is_some() {
                    all.push((number(last) - number(first), order, first, last, None));
                }
            }
            let table = builder.build();
            let odd = table.addresses(|value| value % 2 == 1);
            let ends = all.iter().flat_map(|&(_, _, first, last, _)| [first, last]);
            for addr in asked.into_iter().chain(ends.collect::<Vec<_>>()) {
                let holds = |first: Addr, last: Addr, prefix: Option<Prefix>| match prefix {
                    Some(prefix) => prefix.contains(addr),
                    None => first <= addr && addr <= last && addr.is_v4() == first.is_v4(),
                };
                let naive = all.iter().filter(|&&(_, _, first, last, prefix)| holds(first, last, prefix)).min();
                prop_assert_eq!(table.value(addr), naive.map(|&(_, value, ..)| value), "{}", addr);
                let odd = odd.iter().any(|&(first, last)| first <= addr && addr <= last);
                prop_assert_eq!(odd, naive.is_some_and(|&(_, value, ..)| value % 2 == 1), "{}", addr);
                let shown = table.get(addr);
                prop_assert_eq!(shown.map(|(value, _)| value), table.value(addr));
                if let (Some((_, shown)), Some(&(.., prefix))) = (shown, naive) {
                    prop_assert!(shown.contains(addr));
                    prop_assert!(prefix.is_none_or(|prefix| prefix == shown), "{} in {}", addr, shown);
                }
            }
        }
    }
}
