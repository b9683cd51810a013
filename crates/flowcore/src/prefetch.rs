//! The one unsafe instruction of the crate: asking the processor to bring a cache line closer.
//!
//! Why: beyond 10⁵ flows the table is memory latency; hashing a stride of events first and prefetching their cells and
//! entries halves the cost at 10⁶ uniform keys.
#![allow(unsafe_code)]

/// Asks for the cache line that holds `place`. Without effect on what the program computes.
#[inline(always)]
pub fn prefetch<T>(place: &T) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: a prefetch never faults and changes no memory; the address comes from a live reference anyway.
    unsafe {
        use core::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        _mm_prefetch::<_MM_HINT_T0>(std::ptr::from_ref(place).cast());
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = place;
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_prefetch_changes_nothing() {
        let words = [7u64; 16];
        super::prefetch(&words[15]);
        assert_eq!(words, [7; 16]);
    }
}
