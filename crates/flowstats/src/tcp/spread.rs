//! Durations in little room: count, sum and extremes exactly, quantiles to 0.4 %.

use flowcore::Nanos;

/// Codes held in place.
const FEW: usize = 7;

/// Codes held before they are counted.
const MANY: usize = 115;

/// At most this many different codes, sixteen powers of two; beyond, neighbours are joined.
const MOST: usize = 2048;

/// Bits of a code behind the leading one: steps of 1/128, told by their middle, are at most 1/256 off.
const MANTISSA: u32 = 7;

/// Where durations lie, to 0.4 %.
#[derive(Clone, Debug)]
enum Sketch {
    Few { len: u8, codes: [u16; FEW] },
    Many(Box<Many>),
}

/// Codes as they came, sorted into the counted ones only when there is no room for more: a search for each would be
/// mispredicted most of the time (300 ns a packet on short connections, against 2).
#[derive(Clone, Debug)]
struct Many {
    len: u16,
    codes: [u16; MANY],
    /// Sorted by code, none twice.
    counted: Vec<(u16, u32)>,
}

const _: () = assert!(size_of::<Sketch>() == 16);

impl Default for Sketch {
    fn default() -> Self {
        Self::Few { len: 0, codes: [0; FEW] }
    }
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

impl Sketch {
    #[inline]
    fn add(&mut self, nanos: i64) {
        let code = code(nanos);
        if let Self::Few { len, codes } = self
            && let Some(place) = codes.get_mut(usize::from(*len))
        {
            *place = code;
            *len += 1;
            return;
        }
        self.count(code);
    }

    /// The same where there is no room in place.
    fn count(&mut self, code: u16) {
        match self {
            Self::Few { codes, .. } => {
                let mut many = Box::new(Many { len: 0, codes: [0; MANY], counted: Vec::new() });
                many.codes[..FEW].copy_from_slice(codes);
                many.codes[FEW] = code;
                many.len = FEW as u16 + 1;
                *self = Self::Many(many);
            }
            Self::Many(many) => many.add(code),
        }
    }

    /// The durations with so many others below them, ranks in order.
    fn at<const N: usize>(&self, ranks: [u64; N]) -> [i64; N] {
        match self {
            Self::Few { len, codes } => {
                let mut sorted = *codes;
                let sorted = &mut sorted[..usize::from(*len)];
                sorted.sort_unstable();
                ranks.map(|rank| sorted.get(rank as usize).or(sorted.last()).copied().map_or(0, middle))
            }
            Self::Many(many) => {
                let counted = merged(&many.counted, &mut { many.codes }[..usize::from(many.len)]);
                let mut steps = counted.iter();
                let (mut below, mut last) = (0, 0);
                ranks.map(|rank| {
                    while below <= rank
                        && let Some(&(code, count)) = steps.next()
                    {
                        below += u64::from(count);
                        last = code;
                    }
                    middle(last)
                })
            }
        }
    }
}

impl Many {
    #[inline]
    fn add(&mut self, code: u16) {
        if usize::from(self.len) == MANY {
            self.counted = merged(&self.counted, &mut self.codes);
            self.len = 0;
        }
        self.codes[usize::from(self.len)] = code;
        self.len += 1;
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

/// Durations as they come in.
#[derive(Clone, Debug, Default)]
pub(super) struct Spread {
    count: u32,
    sum: i64,
    min: i64,
    max: i64,
    sketch: Sketch,
}

impl Spread {
    /// Takes in one duration, which is not negative.
    #[inline]
    pub(super) fn add(&mut self, duration: Nanos) {
        let nanos = duration.get();
        (self.min, self.max) =
            if self.count == 0 { (nanos, nanos) } else { (self.min.min(nanos), self.max.max(nanos)) };
        self.count = self.count.saturating_add(1);
        self.sum = self.sum.saturating_add(nanos);
        self.sketch.add(nanos);
    }

    /// The shortest so far.
    pub(super) fn min(&self) -> Option<Nanos> {
        (self.count > 0).then(|| Nanos::new(self.min))
    }

    /// What is known of them; `None` if there were none.
    pub(super) fn durations(&self) -> Option<Durations> {
        if self.count == 0 {
            return None;
        }
        // At floor(level n - 1/2) of the n in order.
        let [middle, high] = [0.50, 0.95].map(|level| (level * f64::from(self.count) - 0.5).max(0.0) as u64);
        let [p50, p95] = self.sketch.at([middle, high]);
        let told = |rank: u64, nanos: i64| match rank {
            0 => Nanos::new(self.min),
            rank if rank + 1 >= u64::from(self.count) => Nanos::new(self.max),
            _ => Nanos::new(nanos.clamp(self.min, self.max)),
        };
        Some(Durations {
            count: u64::from(self.count),
            min: Nanos::new(self.min),
            mean: Nanos::new(self.sum / i64::from(self.count)),
            max: Nanos::new(self.max),
            p50: told(middle, p50),
            p95: told(high, p95),
        })
    }
}

/// What is known of a set of durations.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct Durations {
    /// How many.
    pub count: u64,
    /// The shortest, exactly.
    pub min: Nanos,
    /// Their mean, rounded towards zero.
    pub mean: Nanos,
    /// The longest, exactly.
    pub max: Nanos,
    /// The median, to 0.4 %.
    pub p50: Nanos,
    /// The 95th percentile, to 0.4 %.
    pub p95: Nanos,
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
            let mut spread = Spread::default();
            let values: Vec<i64> = (0..n as i64).map(|at| 1_000 + (at * 7919 % n as i64) * 12_345).collect();
            values.iter().for_each(|&value| spread.add(Nanos::new(value)));
            let mut sorted = values;
            sorted.sort_unstable();
            let durations = spread.durations().unwrap();
            // As predecessors count: the 19th of 20, the 162nd of 171.
            let expected = sorted[((0.95 * n as f64 - 0.5).max(0.0)) as usize];
            assert!((durations.p95.get() - expected).abs() <= expected / 250, "{n}: {durations:?} for {expected}");
            assert_eq!((durations.min.get(), durations.max.get()), (sorted[0], sorted[n - 1]));
            assert_eq!(durations.count, n as u64);
        }
        assert_eq!(Spread::default().durations(), None);
    }

    #[test]
    fn one_or_two_durations_are_told_exactly() {
        let mut spread = Spread::default();
        spread.add(Nanos::new(11_680_123));
        assert_eq!(spread.durations().unwrap().p95, Nanos::new(11_680_123));
        spread.add(Nanos::new(14_362_321));
        assert_eq!(spread.durations().unwrap().p95, Nanos::new(14_362_321));
    }

    #[test]
    fn the_room_is_bounded() {
        let mut spread = Spread::default();
        (0..100_000i64).for_each(|value| spread.add(Nanos::new(value * value * 1000)));
        let Sketch::Many(many) = &spread.sketch else { panic!("few") };
        assert!(many.counted.len() <= MOST);
        let counted: u64 = many.counted.iter().map(|&(_, count)| u64::from(count)).sum();
        assert_eq!(counted + u64::from(many.len), 100_000);
    }
}
