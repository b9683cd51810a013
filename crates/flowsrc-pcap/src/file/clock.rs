//! From a pcapng timestamp to nanoseconds: `if_tsresol` and `if_tsoffset`.

use super::times::NONE_YET;

/// Nanoseconds in one second, wide enough for every product here.
const SECOND: i128 = 1_000_000_000;

/// What [`Clock::nanos`] gives for a time outside the years 1677 to 2262.
pub(super) const BEYOND: i64 = i64::MIN;

/// How one interface counts time.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(super) struct Clock {
    /// Counts below this are read with one multiplication that cannot overflow; 0 where that never holds.
    plain_below: u64,
    nanos_per_tick: u64,
    offset_nanos: i64,
    /// `if_tsresol` as written: the high bit says power of two.
    resolution: u8,
    offset_seconds: i64,
}

impl Clock {
    /// Microseconds since the epoch: what an interface without options means.
    pub(super) const MICROSECONDS: u8 = 6;

    /// The clock of an interface with these two options.
    pub(super) fn new(resolution: u8, offset_seconds: i64) -> Self {
        let mut clock = Self { plain_below: 0, nanos_per_tick: 0, offset_nanos: 0, resolution, offset_seconds };
        // 2^62 ns for the count and as much for the offset: their sum cannot overflow.
        let half = 1_i64 << 62;
        if let (0..=9, Some(offset_nanos)) = (resolution, offset_seconds.checked_mul(SECOND as i64))
            && (-half..half).contains(&offset_nanos)
        {
            clock.nanos_per_tick = 10_u64.pow(9 - u32::from(resolution));
            clock.plain_below = half as u64 / clock.nanos_per_tick;
            clock.offset_nanos = offset_nanos;
        }
        clock
    }

    /// Nanoseconds since the epoch of a 64-bit count, or [`BEYOND`].
    #[inline]
    pub(super) fn nanos(&self, ticks: u64) -> i64 {
        if ticks < self.plain_below {
            (ticks * self.nanos_per_tick) as i64 + self.offset_nanos
        } else {
            self.exact(ticks)
        }
    }

    /// The same in wide integers, rounded down.
    ///
    /// A count that would lie beyond the year 2262 is taken as negative if its top bit is set: that is what a writer's
    /// clock from before 1970 leaves in the file, and it keeps the packets' distances.
    #[inline(never)]
    fn exact(&self, ticks: u64) -> i64 {
        let unsigned = self.scale(i128::from(ticks));
        let nanos = match i64::try_from(unsigned) {
            Err(_) if ticks >> 63 == 1 => self.scale(i128::from(ticks as i64)),
            _ => unsigned,
        };
        i64::try_from(nanos).ok().filter(|&nanos| nanos > NONE_YET).unwrap_or(BEYOND)
    }

    fn scale(&self, ticks: i128) -> i128 {
        let exponent = u32::from(self.resolution & 0x7f);
        // 64 bits of count times 2^30 leave 33 bits to spare.
        let product = ticks * SECOND;
        let nanos = if self.resolution & 0x80 != 0 {
            product >> exponent
        } else {
            // 10^29 is above every product: the whole count is less than a nanosecond.
            10_i128.checked_pow(exponent).map_or(if product < 0 { -1 } else { 0 }, |units| product.div_euclid(units))
        };
        nanos + i128::from(self.offset_seconds) * SECOND
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimal_resolutions_up_to_a_nanosecond_are_multiplied() {
        assert_eq!(Clock::new(6, 0).nanos(1_340_954_905_298_858), 1_340_954_905_298_858_000);
        assert_eq!(Clock::new(9, 0).nanos(7), 7);
        assert_eq!(Clock::new(0, 0).nanos(3), 3_000_000_000);
        assert_eq!(Clock::new(3, 10).nanos(1), 10_001_000_000);
    }

    #[test]
    fn finer_than_a_nanosecond_rounds_down() {
        assert_eq!(Clock::new(12, 0).nanos(1_999), 1);
        assert_eq!(Clock::new(10, -1).nanos(10_000_000_019), 1);
        assert_eq!(Clock::new(127, 0).nanos(u64::MAX), 0);
        // 2^63 attoseconds are 9.2 s: the top bit alone makes no count negative.
        assert_eq!(Clock::new(18, 0).nanos(1 << 63), 9_223_372_036);
    }

    #[test]
    fn powers_of_two_are_shifted() {
        assert_eq!(Clock::new(0x80 | 20, 0).nanos((5 << 20) + (1 << 19)), 5_500_000_000);
        assert_eq!(Clock::new(0x80 | 32, 0).nanos((1 << 32) + 1), 1_000_000_000);
        assert_eq!(Clock::new(0x80 | 127, 0).nanos(u64::MAX), 0);
        assert_eq!(Clock::new(0x80, 2).nanos(1), 3_000_000_000);
    }

    #[test]
    fn the_fast_way_agrees_with_the_exact_one_at_its_edge() {
        for (resolution, offset) in [(6, 0), (9, -5), (0, 100), (3, 4_611_686_017)] {
            let clock = Clock::new(resolution, offset);
            for ticks in [0, 1, clock.plain_below - 1, clock.plain_below, clock.plain_below + 1] {
                assert_eq!(clock.nanos(ticks), clock.exact(ticks), "10^-{resolution} + {offset} s, {ticks}");
            }
        }
    }

    #[test]
    fn counts_from_before_1970_keep_their_distance() {
        assert_eq!(Clock::new(6, 0).nanos((-505_425_290_i64) as u64), -505_425_290_000);
        assert_eq!(Clock::new(6, 0).nanos(u64::MAX), -1_000);
    }

    #[test]
    fn what_cannot_be_said_is_no_time() {
        assert_eq!(Clock::new(0, 0).nanos(1 << 40), BEYOND);
        assert_eq!(Clock::new(6, i64::MAX).nanos(0), BEYOND);
        assert_eq!(Clock::new(6, i64::MIN).nanos(0), BEYOND);
        assert_eq!(Clock::new(0, 0).nanos(9_223_372_036), 9_223_372_036_000_000_000);
        assert_eq!(Clock::new(0, 0).nanos(9_223_372_037), BEYOND);
    }
}
