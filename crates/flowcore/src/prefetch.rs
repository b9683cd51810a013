//! An unsafe instruction: asking the processor to bring a cache line closer.
//!
//! Why: beyond 10⁵ flows the table is memory latency; hashing a stride of events first and prefetching their buckets and
//! entries halves the cost at 10⁶ uniform keys.
#![allow(unsafe_code)]

/// Asks for the cache line that holds `place`. Without effect on what the program computes.
#[inline(always)]
pub fn prefetch<T>(place: &T) {
    prefetch_at(std::ptr::from_ref(place).cast());
}

/// Asks for the cache line that holds `one`, or the `other`: by a choice of addresses rather than a branch, for
/// conditions that no predictor guesses.
#[inline(always)]
pub fn prefetch_either<A, B>(first: bool, one: &A, other: &B) {
    let (one, other) = (std::ptr::from_ref(one).cast(), std::ptr::from_ref(other).cast());
    prefetch_at(if first { one } else { other });
}

/// Asks for every cache line of `place`.
#[inline(always)]
pub fn prefetch_whole<T>(place: &T) {
    /// What x86-64 and most others have.
    const LINE: usize = 64;
    let start = std::ptr::from_ref(place).cast::<u8>();
    for offset in (0..size_of::<T>()).step_by(LINE) {
        prefetch_at(start.wrapping_add(offset));
    }
}

#[inline(always)]
fn prefetch_at(address: *const u8) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: a prefetch never faults, whatever the address, and changes no memory.
    unsafe {
        use core::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        _mm_prefetch::<_MM_HINT_T0>(address.cast());
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = address;
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_prefetch_changes_nothing() {
        let words = [7u64; 16];
        super::prefetch(&words[15]);
        super::prefetch_whole(&words);
        super::prefetch_either(true, &words[0], &words);
        assert_eq!(words, [7; 16]);
    }
}
