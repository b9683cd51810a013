//! Time as the data gives it: nanoseconds since the Unix epoch, and signed spans between two of them.

use std::fmt;
use std::ops::{Add, Sub};

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

impl From<std::time::Duration> for Nanos {
    /// Saturates at [`Nanos::MAX`].
    fn from(span: std::time::Duration) -> Self {
        Self(i64::try_from(span.as_nanos()).unwrap_or(i64::MAX))
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
}
