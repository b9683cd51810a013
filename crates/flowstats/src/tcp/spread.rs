//! Durations in little room: count, sum and extremes exactly, quantiles to 0.4 %.

use flowcore::{Nanos, prefetch};

/// Codes held in place, so that [`Durations`] are a cache line.
const FEW: usize = 11;

/// Codes held in a box before they are counted.
const MANY: usize = 11 * FEW;

/// At most this many different codes, sixteen powers of two; beyond, neighbours are joined.
const MOST: usize = 2048;

/// Bits of a code behind the leading one: steps of 1/128, told by their middle, are at most 1/256 off.
const MANTISSA: u32 = 7;

/// Codes as they came, sorted into the counted ones only when there is no room for more.
///
/// Why not at once: on connections of some dozen packets a search for each cost 300 ns a packet (mispredicted branches,
/// and a box out of the cache), a box without a search 150 ns.
#[derive(Clone, Debug)]
struct Many {
    len: u16,
    codes: [u16; MANY],
    /// Sorted by code, none twice.
    counted: Vec<(u16, u32)>,
}

/// The step of a logarithmic scale, linear within each power of two, that a duration falls into.
#[inline]
fn code(nanos: i64) -> u16 {
    let value = nanos as u64;
    if value < 1 << MANTISSA {
        return value as u16;
    }
    let shift = value.ilog2() - MANTISSA;
    ((shift + 1) << MANTISSA) as u16 + ((value >> shift) as u16 & ((1 << MANTISSA) - 1))
}

/// The middle of a step.
fn middle(code: u16) -> i64 {
    let (power, rest) = (u32::from(code) >> MANTISSA, i64::from(code) & ((1 << MANTISSA) - 1));
    if power == 0 {
        return rest;
    }
    let shift = power - 1;
    (((1 << MANTISSA) | rest) << shift) + ((1i64 << shift) >> 1)
}

impl Many {
    /// Takes in what had no more room in place.
    fn add(&mut self, codes: [u16; FEW]) {
        if usize::from(self.len) == MANY {
            self.counted = merged(&self.counted, &mut self.codes);
            self.len = 0;
        }
        let from = usize::from(self.len);
        self.codes[from..from + FEW].copy_from_slice(&codes);
        self.len += FEW as u16;
    }
}

/// Counted codes and single ones, in order, at most [`MOST`] different ones.
#[inline(never)]
fn merged(counted: &[(u16, u32)], codes: &mut [u16]) -> Vec<(u16, u32)> {
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

/// A set of durations: how many, their sum and extremes exactly, quantiles to 0.4 %.
#[derive(Clone, Debug, Default)]
#[repr(C, align(64))]
pub struct Durations {
    sum: i64,
    min: i64,
    max: i64,
    many: Option<Box<Many>>,
    count: u32,
    /// In 0..=FEW.
    len: u16,
    codes: [u16; FEW],
}

const _: () = assert!(size_of::<Durations>() == 64);

impl Durations {
    /// Takes in one duration, which is not negative.
    #[inline]
    pub(super) fn add(&mut self, duration: Nanos) {
        let nanos = duration.get();
        (self.min, self.max) =
            if self.count == 0 { (nanos, nanos) } else { (self.min.min(nanos), self.max.max(nanos)) };
        self.count = self.count.saturating_add(1);
        self.sum = self.sum.saturating_add(nanos);
        if usize::from(self.len) == FEW {
            self.make_room();
        }
        self.codes[usize::from(self.len) % FEW] = code(nanos);
        self.len += 1;
    }

    #[inline(never)]
    fn make_room(&mut self) {
        let many = self.many.get_or_insert_with(|| Box::new(Many { len: 0, codes: [0; MANY], counted: Vec::new() }));
        many.add(self.codes);
        self.len = 0;
    }

    /// The code with so many others below it.
    fn at(&self, rank: u64) -> u16 {
        let mut codes = [0; MANY + FEW];
        let (boxed, counted) = match self.many.as_deref() {
            Some(many) => (&many.codes[..usize::from(many.len)], &many.counted[..]),
            None => (&[][..], &[][..]),
        };
        let len = boxed.len() + usize::from(self.len);
        codes[..boxed.len()].copy_from_slice(boxed);
        codes[boxed.len()..len].copy_from_slice(&self.codes[..usize::from(self.len)]);
        let codes = &mut codes[..len];
        if counted.is_empty() {
            let last = codes.len().saturating_sub(1);
            return if codes.is_empty() { 0 } else { *codes.select_nth_unstable((rank as usize).min(last)).1 };
        }
        let counted = merged(counted, codes);
        let mut below = 0;
        let found = counted.iter().find(|&&(_, count)| {
            below += u64::from(count);
            below > rank
        });
        found.or(counted.last()).map_or(0, |&(code, _)| code)
    }

    /// How many.
    pub fn count(&self) -> u64 {
        u64::from(self.count)
    }

    /// The shortest; `None` if there are none, as everywhere below.
    pub fn min(&self) -> Option<Nanos> {
        (self.count > 0).then(|| Nanos::new(self.min))
    }

    /// Their mean, rounded towards zero.
    pub fn mean(&self) -> Option<Nanos> {
        (self.count > 0).then(|| Nanos::new(self.sum / i64::from(self.count)))
    }

    /// The longest.
    pub fn max(&self) -> Option<Nanos> {
        (self.count > 0).then(|| Nanos::new(self.max))
    }

    /// The duration at floor(`level` n - 1/2) of the n in order, to 0.4 %; never beyond the extremes, which are exact.
    pub fn quantile(&self, level: f64) -> Option<Nanos> {
        let rank = (level * f64::from(self.count) - 0.5).max(0.0) as u64;
        if self.count == 0 {
            return None;
        }
        Some(Nanos::new(match rank {
            0 => self.min,
            rank if rank + 1 >= u64::from(self.count) => self.max,
            rank => middle(self.at(rank)).clamp(self.min, self.max),
        }))
    }

    /// Asks the processor to bring it closer.
    #[inline]
    pub(super) fn prefetch(&self) {
        prefetch(self);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_is_told_to_one_part_in_256() {
        for value in (0..63).flat_map(|power| [0, 1, 7, 100].map(|more| (1i64 << power) + (1 << power) / 128 * more)) {
            let told = middle(code(value));
            assert!((told - value).abs() <= value / 256, "{value} told as {told}");
        }
        assert!(
            (0..i64::MAX / 3 * 2).step_by(1 << 57).zip((0..i64::MAX).step_by(1 << 57)).all(|(a, b)| code(a) <= code(b))
        );
    }

    #[test]
    fn quantiles_are_those_of_the_sorted_values() {
        for n in [1usize, 2, 7, 8, 20, 171, 5000] {
            let mut spread = Durations::default();
            let values: Vec<i64> = (0..n as i64).map(|at| 1_000 + (at * 7919 % n as i64) * 12_345).collect();
            values.iter().for_each(|&value| spread.add(Nanos::new(value)));
            let mut sorted = values;
            sorted.sort_unstable();
            let p95 = spread.quantile(0.95).unwrap().get();
            // As predecessors count: the 19th of 20, the 162nd of 171.
            let expected = sorted[((0.95 * n as f64 - 0.5).max(0.0)) as usize];
            assert!((p95 - expected).abs() <= expected / 250, "{n}: {p95} for {expected}");
            let ends = [spread.min(), spread.max()].map(|end| end.unwrap().get());
            assert_eq!(ends, [sorted[0], sorted[n - 1]]);
            assert_eq!(spread.count(), n as u64);
        }
        assert_eq!(Durations::default().quantile(0.5), None);
    }

    #[test]
    fn one_or_two_durations_are_told_exactly() {
        let mut spread = Durations::default();
        spread.add(Nanos::new(11_680_123));
        assert_eq!(spread.quantile(0.95).unwrap(), Nanos::new(11_680_123));
        spread.add(Nanos::new(14_362_321));
        assert_eq!(spread.quantile(0.95).unwrap(), Nanos::new(14_362_321));
    }

    #[test]
    fn the_room_is_bounded() {
        let mut spread = Durations::default();
        (0..100_000i64).for_each(|value| spread.add(Nanos::new(value * value * 1000)));
        let many = spread.many.as_ref().unwrap();
        assert!(many.counted.len() <= MOST);
        let counted: u64 = many.counted.iter().map(|&(_, count)| u64::from(count)).sum();
        assert_eq!(counted + u64::from(many.len) + u64::from(spread.len), 100_000);
    }
}
