//! Distributions of whole numbers (nanoseconds, bytes, requests) in little memory: log-linear, mergeable, with a stated
//! error.
//!
//! Values below 256 are kept exactly; above, every power of two is cut into 128 equal buckets. What a histogram says of
//! a value is off by at most [`Histogram::RELATIVE_ERROR`] of it, whatever its magnitude. The layout is that of an
//! HdrHistogram of two significant digits, so the exchange format ([`Histogram::encode`]) loses nothing.
//!
//! Few values are kept one by one; from some dozens on, as a dense window over the octaves in use. So a histogram costs
//! nothing while it is empty, tens of bytes for a handful of values, 256 bytes for each octave in use, and less than 16
//! KiB for all of them; counts beyond 16 bits take a few bytes more.

mod buckets;
mod counts;
mod exchange;

use std::fmt;

pub(crate) use buckets::bucket;
use buckets::{CODE_OF_FIRST, CODED, bounds, code};
use counts::Counts;

pub use exchange::DecodeError;

/// How often values occurred, by magnitude.
///
/// Merging two gives what recording the values of both would have given; the order never matters.
///
/// ```
/// use flowstats::Histogram;
///
/// let mut latency = Histogram::new();
/// for milliseconds in 1..=20 {
///     latency.record(milliseconds * 1_000_000);
/// }
/// let p95 = latency.quantile(0.95).expect("there are values");
/// assert!(p95.abs_diff(19_000_000) as f64 <= 19e6 * Histogram::RELATIVE_ERROR);
/// assert_eq!(Histogram::new().quantile(0.95), None);
/// ```
#[derive(Clone)]
#[repr(align(64))]
pub struct Histogram {
    counts: Counts,
    /// So many whole numbers from `usual` on change neither end, and have a [`code`]: that a value is one of them is the
    /// only question to ask before it is counted.
    ///
    /// `usual` is the smallest value, or the first that has a code if there is a smaller one. Beyond all numbers if
    /// there are no values.
    usual: u64,
    reach: u64,
    /// The largest value, 0 if there is none.
    greatest: u64,
}

const _: () = assert!(size_of::<Histogram>() == 64);

impl Default for Histogram {
    fn default() -> Self {
        Self::new()
    }
}

impl Histogram {
    /// By how much a reported value may be off, as a part of the true one: 1/256, 0.39 %.
    pub const RELATIVE_ERROR: f64 = 1.0 / 256.0;

    /// Without values. Takes no memory on the heap.
    pub const fn new() -> Self {
        Self { counts: Counts::EMPTY, usual: u64::MAX, reach: 0, greatest: 0 }
    }

    /// Takes in one value. Those below 128 and from 2⁵³ on take a longer way.
    #[inline]
    pub fn record(&mut self, value: u64) {
        // Nearly always true: one comparison and no store. Values below the smallest wrap to large ones.
        if value.wrapping_sub(self.usual) < self.reach {
            self.counts.add_one(code(value));
        } else {
            self.record_unusual(value);
        }
    }

    #[inline(never)]
    fn record_unusual(&mut self, value: u64) {
        self.stretch(value, value);
        self.counts.add_one(bucket(value) + CODE_OF_FIRST);
    }

    /// Asks the processor to bring the place of `value` closer: for who records into very many histograms.
    #[inline]
    pub fn prefetch(&self, value: u64) {
        self.counts.prefetch(bucket(value));
    }

    /// Takes in `times` equal values.
    pub fn record_many(&mut self, value: u64, times: u64) {
        if times == 0 {
            return;
        }
        self.stretch(value, value);
        self.counts.add(bucket(value), times);
    }

    /// Takes in all values of another histogram.
    pub fn merge(&mut self, other: &Self) {
        let Self { counts, usual, reach: _, greatest } = other;
        if !counts.is_empty() {
            self.stretch(*usual, *greatest);
            self.counts.merge(counts);
        }
    }

    /// Takes in what is known by buckets, with the smallest and the largest value of all.
    pub(crate) fn record_buckets(&mut self, ends: [u64; 2], buckets: impl Iterator<Item = (usize, u64)>) {
        let [least, greatest] = ends;
        self.stretch(least, greatest);
        buckets.for_each(|(bucket, times)| self.counts.add(bucket, times));
    }

    /// Moves the ends apart for further values.
    fn stretch(&mut self, least: u64, greatest: u64) {
        self.usual = self.usual.min(least.max(CODED.start));
        self.greatest = self.greatest.max(greatest);
        self.reach = (self.greatest.min(CODED.end - 1) + 1).saturating_sub(self.usual);
    }

    /// Beyond all values if there is none.
    fn least(&self) -> u64 {
        if self.usual > CODED.start {
            return self.usual;
        }
        // Down there buckets are values.
        self.counts.first().map_or(self.usual, |bucket| bounds(bucket).0)
    }

    /// How many values there are; saturates.
    pub fn count(&self) -> u64 {
        self.counts.total()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.counts.is_empty()
    }

    /// The smallest value, exactly; `None` if there is none.
    pub fn min(&self) -> Option<u64> {
        (!self.is_empty()).then(|| self.least())
    }

    /// The largest value, exactly.
    pub fn max(&self) -> Option<u64> {
        (!self.is_empty()).then_some(self.greatest)
    }

    /// The arithmetic mean, within [`RELATIVE_ERROR`](Self::RELATIVE_ERROR).
    ///
    /// Not kept beside the counts: a sum that every record changes would cost more than all the rest of it.
    pub fn mean(&self) -> Option<f64> {
        let said = self.representatives();
        let values = self.counts.iter().map(|(bucket, count)| (said(bucket) as f64, count as f64));
        let (sum, count) = values.fold((0.0, 0.0), |(sum, all), (value, count)| (sum + value * count, all + count));
        (count > 0.0).then(|| sum / count)
    }

    /// The value at `level` (0.95 for the 95th percentile), within [`RELATIVE_ERROR`](Self::RELATIVE_ERROR) and never
    /// outside what was recorded; `None` if there are no values. A level below 0, or that is no number, counts as 0,
    /// one above 1 as 1: 95 is not 0.95.
    ///
    /// The rule is TRTOP's: of `n` values in ascending order, the one at index `floor(level · n − 0.5)`, counted from 0
    /// and held within `0..n`; see [`index_of`]. So a single value is all its percentiles, of two the 95th percentile is
    /// the larger, of 20 the 19th smallest, of 171 the one at index 161. There is no interpolation: what is reported
    /// lies within the stated error of a value that occurred, and is exact if that is the smallest or the largest.
    pub fn quantile(&self, level: f64) -> Option<u64> {
        self.quantiles(&[level])[0]
    }

    /// Several [`quantile`](Self::quantile)s; `result[i]` belongs to `levels[i]`.
    pub fn quantiles(&self, levels: &[f64]) -> Vec<Option<u64>> {
        let total = self.counts.total();
        let in_order = self.counts.in_order();
        let said = self.representatives();
        let value = |index| match index {
            // The ends are known exactly.
            0 => self.least(),
            _ if index + 1 == total => self.greatest,
            _ => said(in_order(index)),
        };
        levels.iter().map(|&level| index_of(level, total).map(value)).collect()
    }

    /// Tells the value that is said of everything in a bucket that was hit: its middle, but nothing that lies beyond what
    /// was recorded.
    fn representatives(&self) -> impl Fn(usize) -> u64 + use<> {
        let (least, greatest) = (self.least(), self.greatest);
        move |bucket| {
            let (low, high) = bounds(bucket);
            (low + (high - low) / 2).clamp(least, greatest)
        }
    }

    /// The buckets that hold values, ascending: the smallest and the largest value each can hold, and how many it does.
    pub fn buckets(&self) -> impl Iterator<Item = (u64, u64, u64)> + '_ {
        self.counts.iter().map(|(bucket, count)| {
            let (low, high) = bounds(bucket);
            (low, high, count)
        })
    }

    /// Bytes held on the heap.
    pub fn memory_bytes(&self) -> usize {
        self.counts.memory_bytes()
    }
}

/// The index of the value that stands for a quantile among `count` values in ascending order:
/// `floor(level · count − 0.5)`, held within `0..count`. `None` if there are no values.
///
/// Computed exactly, of the level to twelve decimals: 0.29 is none of the binary fractions.
///
/// ```
/// use flowstats::histogram::index_of;
/// assert_eq!([1, 2, 20, 171].map(|count| index_of(0.95, count)), [Some(0), Some(1), Some(18), Some(161)]);
/// assert_eq!(index_of(0.29, 50), Some(14));
/// ```
pub fn index_of(level: f64, count: u64) -> Option<u64> {
    let last = count.checked_sub(1)?;
    const ONE: u128 = 1_000_000_000_000;
    // A negative number becomes 0 by the cast, and so does what is no number.
    let level = ((level * ONE as f64).round() as u128).min(ONE);
    let twice = (2 * level * u128::from(count)).saturating_sub(ONE);
    Some(u64::try_from(twice / (2 * ONE)).unwrap_or(last).min(last))
}

/// What it holds, not how it keeps it.
impl fmt::Debug for Histogram {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ends = (self.min(), self.max());
        f.debug_struct("Histogram").field("ends", &ends).field("buckets", &self.buckets().collect::<Vec<_>>()).finish()
    }
}

/// Two histograms are equal if they hold the same counts; how they keep them does not matter.
impl PartialEq for Histogram {
    fn eq(&self, other: &Self) -> bool {
        let ends = |of: &Self| (of.usual, of.greatest);
        ends(self) == ends(other) && self.counts.iter().eq(other.counts.iter())
    }
}

impl Eq for Histogram {}
