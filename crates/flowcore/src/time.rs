//! Time as the data gives it: nanoseconds since the Unix epoch, and signed spans between two of them.

use std::fmt;
use std::iter::Sum;
use std::ops::{Add, AddAssign, Sub};
use std::time::{Duration, SystemTime};

/// Nanoseconds in one second.
pub const NANOS_PER_SECOND: i64 = 1_000_000_000;

/// A point in time: nanoseconds since the Unix epoch, UTC, without leap seconds.
///
/// Covers the years 1677 to 2262. Times outside saturate at the ends; nothing here panics.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(i64);

impl Timestamp {
    /// The earliest time that can be said.
    pub const MIN: Self = Self(i64::MIN);
    /// The latest time that can be said.
    pub const MAX: Self = Self(i64::MAX);
    /// 1970-01-01T00:00:00Z.
    pub const EPOCH: Self = Self(0);

    /// The time `nanos` nanoseconds after the epoch.
    pub const fn from_nanos(nanos: i64) -> Self {
        Self(nanos)
    }

    /// The time `seconds` and `nanos` after the epoch; saturates. `nanos` may exceed one second.
    pub const fn from_parts(seconds: i64, nanos: i64) -> Self {
        Self(seconds.saturating_mul(NANOS_PER_SECOND).saturating_add(nanos))
    }

    /// Nanoseconds since the epoch.
    pub const fn as_nanos(self) -> i64 {
        self.0
    }

    /// Whole seconds since the epoch (rounded down) and the nanoseconds above them, in `0..1_000_000_000`.
    pub const fn to_parts(self) -> (i64, u32) {
        (self.0.div_euclid(NANOS_PER_SECOND), self.0.rem_euclid(NANOS_PER_SECOND) as u32)
    }
}

/// A signed span of time in nanoseconds; differences of times go negative rather than panic.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Nanos(i64);

impl Nanos {
    /// No time at all.
    pub const ZERO: Self = Self(0);
    /// The longest span that can be said.
    pub const MAX: Self = Self(i64::MAX);

    /// A span of `nanos` nanoseconds.
    pub const fn new(nanos: i64) -> Self {
        Self(nanos)
    }

    /// A span of whole seconds; saturates.
    pub const fn from_secs(seconds: i64) -> Self {
        Self(seconds.saturating_mul(NANOS_PER_SECOND))
    }

    /// The span in nanoseconds.
    pub const fn get(self) -> i64 {
        self.0
    }

    /// The span in seconds, rounded to the nearest double.
    pub fn as_secs_f64(self) -> f64 {
        self.0 as f64 / NANOS_PER_SECOND as f64
    }
}

impl From<Duration> for Nanos {
    /// Saturates at [`Nanos::MAX`].
    fn from(span: Duration) -> Self {
        Self(i64::try_from(span.as_nanos()).unwrap_or(i64::MAX))
    }
}

impl TryFrom<Nanos> for Duration {
    type Error = std::num::TryFromIntError;
    /// Fails for negative spans, which a [`Duration`] cannot say.
    fn try_from(span: Nanos) -> Result<Self, Self::Error> {
        u64::try_from(span.0).map(Self::from_nanos)
    }
}

impl Add for Nanos {
    type Output = Self;
    fn add(self, more: Self) -> Self {
        Self(self.0.saturating_add(more.0))
    }
}

impl AddAssign for Nanos {
    fn add_assign(&mut self, more: Self) {
        *self = *self + more;
    }
}

impl Sub for Nanos {
    type Output = Self;
    fn sub(self, less: Self) -> Self {
        Self(self.0.saturating_sub(less.0))
    }
}

impl Sum for Nanos {
    /// Saturates at either end on the way, as [`Add`] does.
    fn sum<I: Iterator<Item = Self>>(spans: I) -> Self {
        spans.fold(Self::ZERO, Add::add)
    }
}

impl fmt::Display for Nanos {
    /// Seconds with nine decimals, without the unit.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Timestamp(self.0).fmt(f)
    }
}

impl From<SystemTime> for Timestamp {
    /// Saturates at [`Timestamp::MIN`] and [`Timestamp::MAX`].
    fn from(time: SystemTime) -> Self {
        match time.duration_since(SystemTime::UNIX_EPOCH) {
            Ok(after) => Self::EPOCH + Nanos::from(after),
            Err(before) => Self(i64::try_from(before.duration().as_nanos()).map_or(i64::MIN, |nanos| -nanos)),
        }
    }
}

impl From<Timestamp> for SystemTime {
    fn from(time: Timestamp) -> Self {
        let distance = Duration::from_nanos(time.0.unsigned_abs());
        if time.0 < 0 { Self::UNIX_EPOCH - distance } else { Self::UNIX_EPOCH + distance }
    }
}

impl Add<Duration> for Timestamp {
    type Output = Self;
    fn add(self, span: Duration) -> Self {
        self + Nanos::from(span)
    }
}

impl Sub<Duration> for Timestamp {
    type Output = Self;
    fn sub(self, span: Duration) -> Self {
        self - Nanos::from(span)
    }
}

impl Sub for Timestamp {
    type Output = Nanos;
    fn sub(self, earlier: Self) -> Nanos {
        Nanos(self.0.saturating_sub(earlier.0))
    }
}

impl Add<Nanos> for Timestamp {
    type Output = Self;
    fn add(self, span: Nanos) -> Self {
        Self(self.0.saturating_add(span.0))
    }
}

impl Sub<Nanos> for Timestamp {
    type Output = Self;
    fn sub(self, span: Nanos) -> Self {
        Self(self.0.saturating_sub(span.0))
    }
}

impl fmt::Display for Timestamp {
    /// Seconds since the epoch with nine decimals; calendar forms belong to reporters.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (seconds, nanos) = if self.0 < 0 {
            let magnitude = self.0.unsigned_abs();
            f.write_str("-")?;
            (magnitude / NANOS_PER_SECOND as u64, magnitude % NANOS_PER_SECOND as u64)
        } else {
            (self.0 as u64 / NANOS_PER_SECOND as u64, self.0 as u64 % NANOS_PER_SECOND as u64)
        };
        write!(f, "{seconds}.{nanos:09}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_difference_may_be_negative() {
        assert_eq!(Timestamp::from_nanos(5) - Timestamp::from_nanos(7), Nanos::new(-2));
    }

    #[test]
    fn the_ends_saturate() {
        assert_eq!(Timestamp::MAX + Nanos::new(1), Timestamp::MAX);
        assert_eq!(Timestamp::MIN - Timestamp::MAX, Nanos::new(i64::MIN));
        assert_eq!(Timestamp::from_parts(i64::MAX, 0), Timestamp::MAX);
    }

    #[test]
    fn parts_before_the_epoch_round_down() {
        assert_eq!(Timestamp::from_nanos(-1).to_parts(), (-1, 999_999_999));
        assert_eq!(Timestamp::from_nanos(-1).to_string(), "-0.000000001");
        assert_eq!(Timestamp::MIN.to_string(), "-9223372036.854775808");
    }

    #[test]
    fn spans_add_up_and_read_as_seconds() {
        let spans = [Nanos::from_secs(1), Nanos::new(-500_000_000), Nanos::new(7)];
        assert_eq!(spans.into_iter().sum::<Nanos>(), Nanos::new(500_000_007));
        assert_eq!(spans[1].to_string(), "-0.500000000");
        assert_eq!(Nanos::MAX + spans[0] - spans[0], Nanos::new(i64::MAX - 1_000_000_000), "the ends saturate");
    }

    #[test]
    fn times_and_spans_are_those_of_the_standard_library() {
        assert_eq!(Duration::try_from(Nanos::from_secs(2)), Ok(Duration::from_secs(2)));
        assert!(Duration::try_from(Nanos::new(-1)).is_err());
        assert_eq!(
            Timestamp::EPOCH + Duration::from_millis(3) - Duration::from_millis(1),
            Timestamp::from_nanos(2_000_000)
        );
        let before = SystemTime::UNIX_EPOCH - Duration::from_nanos(100);
        assert_eq!(Timestamp::from(before), Timestamp::from_nanos(-100));
        for time in [before, SystemTime::UNIX_EPOCH + Duration::from_secs(1_795_226_383)] {
            assert_eq!(SystemTime::from(Timestamp::from(time)), time);
        }
        let centuries = Duration::from_secs(300 * 31_557_600);
        assert_eq!(Timestamp::from(SystemTime::UNIX_EPOCH - centuries), Timestamp::MIN);
        assert_eq!(Timestamp::from(SystemTime::UNIX_EPOCH + centuries), Timestamp::MAX);
    }
}
