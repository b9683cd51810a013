//! The other unsafe call of the crate: asking the kernel for large pages under large arrays.
//!
//! Why: at 10⁶ flows every packet touches places that are far apart, and with pages of 4 KiB each of them misses the
//! processor's address translation too. A prefetch waits for that translation, so prefetching alone does not hide it.
#![allow(unsafe_code)]

use std::mem::MaybeUninit;

/// Asks for large pages under memory that is not in use yet. Without effect on what the program computes, and on
/// kernels that do not give them on request (`/sys/kernel/mm/transparent_hugepage/enabled`: `never`).
///
/// Only whole large pages within `memory` can become such; give it at least several times 2 MiB.
pub(crate) fn prefer<T>(memory: &mut [MaybeUninit<T>]) {
    #[cfg(target_os = "linux")]
    {
        use rustix::mm::{Advice, madvise};
        /// The kernel takes addresses of whole (small) pages only.
        const PAGE: usize = 4096;
        let range = memory.as_mut_ptr_range();
        let start = (range.start as usize).next_multiple_of(PAGE);
        let end = range.end as usize / PAGE * PAGE;
        if let Some(bytes) = end.checked_sub(start).filter(|&bytes| bytes > 0) {
            let start = range.start.cast::<u8>().wrapping_add(start - range.start as usize);
            // SAFETY: the pages lie within memory that is borrowed for writing alone, and this advice changes no
            // contents. A refusal (no such pages here) leaves everything as it is.
            let _refused = unsafe { madvise(start.cast(), bytes, Advice::LinuxHugepage) };
        }
    }
    #[cfg(not(target_os = "linux"))]
    let _ = memory;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn advice_changes_nothing_that_is_there() {
        let mut words: Vec<u64> = Vec::with_capacity(1 << 20);
        words.extend(0..1000);
        prefer(words.spare_capacity_mut());
        words.extend(1000..1 << 20);
        assert!(words.iter().zip(0..).all(|(&word, number)| word == number));
        assert_eq!(words.len(), 1 << 20);
    }

    #[test]
    fn memory_too_small_for_a_page_is_left_alone() {
        for length in [0, 1, 100, 513] {
            let mut bytes = Vec::<u8>::with_capacity(length);
            prefer(bytes.spare_capacity_mut());
            bytes.resize(length, 7);
            assert_eq!(bytes, vec![7u8; length]);
        }
    }
}
