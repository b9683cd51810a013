//! Unsafe instructions: comparing eight numbers with one at once.
//!
//! Why: from a comparison written as a loop the compiler makes 25 instructions that gather the results one by one,
//! where SSE2, which every x86-64 has, takes 9; each packet asks for it once or twice.
#![allow(unsafe_code)]

/// A bit for each of the numbers that equals `value`, the first the lowest.
#[inline(always)]
pub(crate) fn equal(numbers: &[u32; 8], value: u32) -> u32 {
    #[cfg(target_arch = "x86_64")]
    {
        use core::arch::x86_64::{
            __m128i, _mm_castsi128_ps, _mm_cmpeq_epi32, _mm_loadu_si128, _mm_movemask_ps, _mm_set1_epi32,
        };
        let (low, high) = (numbers[..4].as_ptr().cast::<__m128i>(), numbers[4..].as_ptr().cast::<__m128i>());
        // SAFETY: SSE2 belongs to x86-64; each load takes four numbers of the eight, from wherever they are.
        unsafe {
            let value = _mm_set1_epi32(value.cast_signed());
            let bits = |four| _mm_movemask_ps(_mm_castsi128_ps(_mm_cmpeq_epi32(four, value))).cast_unsigned();
            bits(_mm_loadu_si128(low)) | bits(_mm_loadu_si128(high)) << 4
        }
    }
    #[cfg(not(target_arch = "x86_64"))]
    one_by_one(numbers, value)
}

#[cfg(any(test, not(target_arch = "x86_64")))]
fn one_by_one(numbers: &[u32; 8], value: u32) -> u32 {
    numbers.iter().rev().fold(0, |bits, &number| bits << 1 | u32::from(number == value))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn all_at_once_is_one_by_one(numbers: [u32; 8], few in prop::array::uniform8(0u32..3), value in 0u32..3) {
            prop_assert_eq!(equal(&numbers, numbers[5]), one_by_one(&numbers, numbers[5]));
            prop_assert_eq!(equal(&few, value), one_by_one(&few, value));
        }
    }
}
