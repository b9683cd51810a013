//! Durations in little room: count, sum and extremes exactly, quantiles to 0.4 %.

use flowcore::Nanos;

/// Codes held in place.
const FEW: usize = 7;

/// At most this many different codes; a new one is then taken for its nearest neighbour.
const MOST: usize = 512;

/// Bits of a code behind the leading one: steps of 1/128, told by their middle, are at most 1/256 off.
const MANTISSA: u32 = 7;

/// Where durations lie, to 0.4 %: the codes themselves while they are few, then how often each occurred.
#[derive(Clone, Debug)]
enum Sketch {
    Few { len: u8, codes: [u16; FEW] },
    Many(Box<Vec<(u16, u32)>>),
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

    #[inline(never)]
    fn count(&mut self, code: u16) {
        if let Self::Few { codes, .. } = self {
            let mut counted: Vec<(u16, u32)> = Vec::with_capacity(2 * FEW);
            for &code in codes.iter() {
                add_to(&mut counted, code);
            }
            *self = Self::Many(Box::new(counted));
        }
        if let Self::Many(counted) = self {
            add_to(counted, code);
        }
    }

    /// The duration with `rank` others below it.
    fn at(&self, rank: u64) -> i64 {
        match self {
            Self::Few { len, codes } => {
                let mut sorted = *codes;
                let sorted = &mut sorted[..usize::from(*len)];
                sorted.sort_unstable();
                sorted.get(rank as usize).or(sorted.last()).copied().map_or(0, middle)
            }
            Self::Many(counted) => {
                let mut below = 0;
                let found = counted.iter().find(|&&(_, count)| {
                    below += u64::from(count);
                    below > rank
                });
                found.or(counted.last()).map_or(0, |&(code, _)| middle(code))
            }
        }
    }
}

fn add_to(counted: &mut Vec<(u16, u32)>, code: u16) {
    let place = match counted.binary_search_by_key(&code, |&(code, _)| code) {
        Ok(place) => place,
        Err(place) if counted.len() < MOST => {
            counted.insert(place, (code, 0));
            place
        }
        Err(place) => place.min(counted.len() - 1),
    };
    counted[place].1 = counted[place].1.saturating_add(1);
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
        (self.count > 0).then(|| Durations {
            count: u64::from(self.count),
            min: Nanos::new(self.min),
            mean: Nanos::new(self.sum / i64::from(self.count)),
            max: Nanos::new(self.max),
            p50: self.quantile(0.50),
            p95: self.quantile(0.95),
        })
    }

    /// The duration at floor(`level` n - 1/2) of the n in order, never beyond the extremes.
    fn quantile(&self, level: f64) -> Nanos {
        let rank = (level * f64::from(self.count) - 0.5).max(0.0) as u64;
        match rank {
            0 => Nanos::new(self.min),
            rank if rank + 1 >= u64::from(self.count) => Nanos::new(self.max),
            rank => Nanos::new(self.sketch.at(rank).clamp(self.min, self.max)),
        }
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
        let Sketch::Many(counted) = &spread.sketch else { panic!("few") };
        assert_eq!(counted.len(), MOST);
        assert_eq!(counted.iter().map(|&(_, count)| u64::from(count)).sum::<u64>(), 100_000);
    }
}
