//! A set of durations in little room: count, sum and extremes exactly, quantiles to 0.4 %.

use flowcore::Nanos;

use crate::histogram::{Histogram, index_of};

/// So many codes are put in order without asking for memory.
const FEW: usize = 256;

/// At most this many different codes are counted, of all kinds; beyond, neighbours are joined.
const MOST: usize = 8192;

/// Bits of a code behind the leading one: steps of 1/128, told by their middle, are at most 1/256 off. A code is the
/// duration's [`bucket`](crate::histogram::bucket) in nanoseconds.
const MANTISSA: u32 = 7;

/// The middle of a step of the logarithmic scale, linear within each power of two, that codes are of.
fn middle(code: u16) -> i64 {
    let (power, rest) = (u32::from(code) >> MANTISSA, i64::from(code) & ((1 << MANTISSA) - 1));
    if power == 0 {
        return rest;
    }
    let shift = power - 1;
    (((1 << MANTISSA) | rest) << shift) + ((1i64 << shift) >> 1)
}

/// Counted codes and single ones, in order, at most [`MOST`] different ones.
#[inline(never)]
pub(super) fn merged(counted: &[(u16, u32)], codes: &mut [u16]) -> Vec<(u16, u32)> {
    codes.sort_unstable();
    let mut out: Vec<(u16, u32)> = Vec::with_capacity(counted.len() + codes.len());
    let mut add = |code, count| match out.last_mut() {
        Some(last) if last.0 == code => last.1 = last.1.saturating_add(count),
        _ => out.push((code, count)),
    };
    let mut old = counted.iter().copied().peekable();
    for &code in codes.iter() {
        while let Some((known, count)) = old.next_if(|&(known, _)| known <= code) {
            add(known, count);
        }
        add(code, 1);
    }
    old.for_each(|(code, count)| add(code, count));
    thin(&mut out);
    out
}

/// Joins neighbouring steps, wider and wider, until [`MOST`] are left.
fn thin(counted: &mut Vec<(u16, u32)>) {
    let mut width = 1;
    while counted.len() > MOST {
        counted.dedup_by(|next, last| {
            let joined = next.0 >> width == last.0 >> width;
            if joined {
                last.1 = last.1.saturating_add(next.1);
            }
            joined
        });
        width += 1;
    }
}

/// A set of durations: how many, their sum and extremes exactly, quantiles to 0.4 %. Those of many connections come
/// together in a [`Histogram`] ([`record_into`](Self::record_into)).
#[derive(Copy, Clone, Debug)]
pub struct Durations<'a> {
    sum: i64,
    /// Shortest and longest.
    ends: [i64; 2],
    count: u64,
    /// What tells kinds apart is in them too.
    codes: &'a [u16],
    /// In order.
    counted: &'a [(u16, u32)],
}

impl<'a> Durations<'a> {
    /// Of the codes of one kind.
    pub(super) fn new(sum: i64, ends: [i64; 2], codes: &'a [u16], counted: &'a [(u16, u32)]) -> Self {
        let counts = counted.iter().map(|&(_, count)| u64::from(count)).sum::<u64>();
        Self { sum, ends, count: codes.len() as u64 + counts, codes, counted }
    }

    /// The code with so many others below it.
    fn at(&self, rank: u64) -> u16 {
        let mut few = [0; FEW];
        let mut many = Vec::new();
        let codes = match few.get_mut(..self.codes.len()) {
            Some(codes) => codes,
            None => {
                many.resize(self.codes.len(), 0);
                &mut many[..]
            }
        };
        codes.copy_from_slice(self.codes);
        if self.counted.is_empty() {
            let last = codes.len().saturating_sub(1);
            return if codes.is_empty() { 0 } else { *codes.select_nth_unstable((rank as usize).min(last)).1 };
        }
        let counted = merged(self.counted, codes);
        let mut below = 0;
        let found = counted.iter().find(|&&(_, count)| {
            below += u64::from(count);
            below > rank
        });
        found.or(counted.last()).map_or(0, |&(code, _)| code)
    }

    /// How many.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// The shortest; `None` if there are none, as everywhere below.
    pub fn min(&self) -> Option<Nanos> {
        (self.count > 0).then(|| Nanos::new(self.ends[0]))
    }

    /// Their mean, rounded towards zero.
    pub fn mean(&self) -> Option<Nanos> {
        (self.count > 0).then(|| Nanos::new(self.sum / self.count as i64))
    }

    /// The longest.
    pub fn max(&self) -> Option<Nanos> {
        (self.count > 0).then(|| Nanos::new(self.ends[1]))
    }

    /// The duration at floor(`level` n - 1/2) of the n in order, to 0.4 %; never beyond the extremes, which are exact.
    pub fn quantile(&self, level: f64) -> Option<Nanos> {
        let rank = index_of(level, self.count)?;
        let [least, most] = self.ends;
        Some(Nanos::new(match rank {
            0 => least,
            rank if rank + 1 >= self.count => most,
            rank => middle(self.at(rank) % Self::KIND).clamp(least, most),
        }))
    }

    /// Takes them into a distribution in nanoseconds, as recording each of them would: counts by bucket and the
    /// extremes are exactly those, so that nothing is added to [`Histogram::RELATIVE_ERROR`]. Only of connections that
    /// have shown more than 8,192 steps of that scale are neighbours joined, wider and wider.
    pub fn record_into(&self, distribution: &mut Histogram) {
        if self.count == 0 {
            return;
        }
        let single = self.codes.iter().map(|&code| (code, 1));
        let counted = self.counted.iter().map(|&(code, count)| (code, u64::from(count)));
        let buckets = single.chain(counted).map(|(code, count)| (usize::from(code % Self::KIND), count));
        // No duration is negative.
        distribution.record_buckets(self.ends.map(|end| end.max(0) as u64), buckets);
    }

    /// From here on the bits of a code tell its kind.
    const KIND: u16 = 1 << 13;
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::histogram::bucket;

    #[test]
    fn a_step_is_told_to_one_part_in_256() {
        let code = |value: i64| bucket(value as u64) as u16;
        for value in (0..63).flat_map(|power| [0, 1, 7, 100].map(|more| (1i64 << power) + (1 << power) / 128 * more)) {
            let told = middle(code(value));
            assert!((told - value).abs() <= value / 256, "{value} told as {told}");
            assert!(code(value) < Durations::KIND);
        }
    }

    fn spread(values: &[i64], mut quantile: impl FnMut(Durations<'_>)) {
        let codes: Vec<u16> = values.iter().map(|&value| bucket(value as u64) as u16).collect();
        let ends = [values.iter().min(), values.iter().max()].map(|end| end.copied().unwrap_or_default());
        quantile(Durations::new(values.iter().sum(), ends, &codes, &[]));
        // The same, counted for a part.
        let (single, counted) = codes.split_at(codes.len() / 2);
        quantile(Durations::new(values.iter().sum(), ends, single, &merged(&[], &mut counted.to_vec())));
    }

    #[test]
    fn quantiles_are_those_of_the_sorted_values() {
        for n in [1usize, 2, 7, 8, 20, 171, 5000] {
            let values: Vec<i64> = (0..n as i64).map(|at| 1_000 + (at * 7919 % n as i64) * 12_345).collect();
            let mut sorted = values.clone();
            sorted.sort_unstable();
            spread(&values, |spread| {
                let p95 = spread.quantile(0.95).unwrap().get();
                // As predecessors count: the 19th of 20, the 162nd of 171.
                let expected = sorted[((0.95 * n as f64 - 0.5).max(0.0)) as usize];
                assert!((p95 - expected).abs() <= expected / 250, "{n}: {p95} for {expected}");
                let ends = [spread.min(), spread.max()].map(|end| end.unwrap().get());
                assert_eq!(ends, [sorted[0], sorted[n - 1]]);
                assert_eq!(spread.count(), n as u64);
            });
        }
        spread(&[], |spread| assert_eq!((spread.quantile(0.5), spread.mean()), (None, None)));
    }

    #[test]
    fn one_or_two_durations_are_told_exactly() {
        spread(&[11_680_123], |spread| assert_eq!(spread.quantile(0.95).unwrap(), Nanos::new(11_680_123)));
        spread(&[11_680_123, 14_362_321], |spread| {
            assert_eq!(spread.quantile(0.95).unwrap(), Nanos::new(14_362_321));
            assert_eq!(spread.mean().unwrap(), Nanos::new(13_021_222));
        });
    }

    #[test]
    fn durations_of_several_connections_become_the_distribution_of_all_their_values() {
        let connections: [&[i64]; 4] = [&[5, 130, 131, 90_000_000, 1 << 41], &[], &[3], &[130, 90_100_000, 700]];
        let [mut merged, mut by_value] = [Histogram::new(), Histogram::new()];
        for values in connections {
            spread(values, |spread| {
                spread.record_into(&mut merged);
                values.iter().for_each(|&value| by_value.record(value as u64));
            });
        }
        assert_eq!(merged, by_value);
    }

    #[test]
    fn steps_that_are_joined_lose_no_count() {
        let mut codes: Vec<u16> = (0..MOST as u16 + 100).collect();
        let counted = merged(&[(5, 7)], &mut codes);
        assert!(counted.len() <= MOST);
        assert_eq!(counted.iter().map(|&(_, count)| count as usize).sum::<usize>(), codes.len() + 7);
    }
}
