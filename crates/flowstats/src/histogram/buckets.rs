//! Which values share a bucket.
//!
//! Octaves of [`PER_OCTAVE`] buckets: the first holds 0 to 127 one by one, and so does the second from 128 to 255; every
//! further one covers the next power of two with buckets twice as wide.

/// Binary logarithm of [`PER_OCTAVE`].
const BITS: u32 = 7;

/// Buckets per power of two.
pub(super) const PER_OCTAVE: usize = 1 << BITS;

/// Octaves that cover `u64`.
const OCTAVES: usize = (u64::BITS - BITS) as usize + 1;

/// How many buckets there are in all.
pub(super) const BUCKETS: usize = OCTAVES * PER_OCTAVE;

/// The values that have a [`code`]: below them buckets are not cut from octaves, above a whole number may have more
/// digits than double precision.
pub(super) const CODED: std::ops::Range<u64> = PER_OCTAVE as u64..1 << f64::MANTISSA_DIGITS;

/// By how much the code of a value is more than its bucket.
pub(super) const CODE_OF_FIRST: usize = (f64::MAX_EXP as usize - 1 + BITS as usize - 1) << BITS;

/// The bucket of a value within [`CODED`], [`CODE_OF_FIRST`] above.
///
/// A number in double precision begins with its binary logarithm and the bits behind the leading one, which is what is
/// wanted. Why not `leading_zeros`: without instructions that not every processor has, it took as long as all the rest
/// of a record.
#[inline(always)]
pub(super) fn code(value: u64) -> usize {
    ((value as i64 as f64).to_bits() >> (f64::MANTISSA_DIGITS - 1 - BITS)) as usize
}

/// The bucket of a value, below [`BUCKETS`].
#[inline]
pub(crate) fn bucket(value: u64) -> usize {
    if CODED.contains(&value) {
        code(value).wrapping_sub(CODE_OF_FIRST)
    } else {
        // Values below 128 count as if they were of the second octave's width, which is theirs too.
        let shift = (u64::BITS - 1 - BITS) - (value | PER_OCTAVE as u64).leading_zeros();
        ((shift as usize) << BITS) + (value >> shift) as usize
    }
}

/// The smallest and the largest value of a bucket.
pub(super) fn bounds(bucket: usize) -> (u64, u64) {
    let octave = bucket >> BITS;
    let shift = octave.saturating_sub(1);
    let low = ((bucket - (shift << BITS)) as u64) << shift;
    (low, low + ((1u64 << shift) - 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_touch_each_other_and_cover_everything() {
        let mut next = 0u64;
        for index in 0..BUCKETS {
            let (low, high) = bounds(index);
            assert_eq!(low, next, "bucket {index}");
            assert_eq!((bucket(low), bucket(high)), (index, index));
            next = high.wrapping_add(1);
        }
        assert_eq!(next, 0, "the last bucket ends with the largest value");
    }

    #[test]
    fn a_bucket_is_at_most_a_128th_of_its_values_wide() {
        for index in 0..BUCKETS {
            let (low, high) = bounds(index);
            assert!(high - low < (low / 128).max(1), "bucket {index}: {low}..={high}");
        }
    }
}
