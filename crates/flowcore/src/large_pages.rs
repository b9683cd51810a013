//! Arrays in large pages, and the call that asks the kernel for them.
//!
//! Why: every packet touches places that are far apart, and with pages of 4 KiB most of them miss the processor's
//! address translation too (on the machine of `benches/README.md` 35 to 100 ns each from 8 MiB on; with pages of 2 MiB
//! 1 to 20 ns). A prefetch waits for that translation, so prefetching alone does not hide it. Why not `Vec`: its memory
//! begins anywhere, and what lies before the first whole large page and behind the last stays in small ones.
#![allow(unsafe_code)]

use std::alloc::{Layout, alloc, dealloc, handle_alloc_error};
use std::mem::MaybeUninit;
use std::ops::{Deref, DerefMut};
use std::ptr::NonNull;

/// A large page of x86-64, and of others with pages of 4 KiB.
const LARGE_PAGE: usize = 2 << 20;

/// Room for so many elements and no more, which therefore never move; in large pages if it fills one at least.
#[derive(Debug)]
pub(crate) struct Room<T> {
    start: NonNull<T>,
    len: usize,
    capacity: usize,
}

// SAFETY: it owns its elements and nothing else, as `Vec` does.
unsafe impl<T: Send> Send for Room<T> {}
// SAFETY: as above.
unsafe impl<T: Sync> Sync for Room<T> {}

impl<T> Room<T> {
    /// No elements, and room for `capacity`.
    pub(crate) fn new(capacity: usize) -> Self {
        let layout = Self::layout(capacity);
        if layout.size() == 0 {
            return Self { start: NonNull::dangling(), len: 0, capacity };
        }
        // SAFETY: the layout's size is not 0.
        let memory = unsafe { alloc(layout) };
        let Some(start) = NonNull::new(memory.cast::<T>()) else { handle_alloc_error(layout) };
        if layout.align() >= LARGE_PAGE {
            // SAFETY: so many bytes were allocated there.
            prefer(unsafe { std::slice::from_raw_parts_mut(memory.cast::<MaybeUninit<u8>>(), layout.size()) });
        }
        Self { start, len: 0, capacity }
    }

    fn layout(capacity: usize) -> Layout {
        let plain = Layout::array::<T>(capacity).ok();
        let layout = plain.and_then(|plain| {
            let align = if plain.size() >= LARGE_PAGE { LARGE_PAGE } else { align_of::<T>() };
            plain.align_to(align).ok().map(|layout| if align == LARGE_PAGE { layout.pad_to_align() } else { layout })
        });
        // As for `Vec`: more than half of the address space.
        layout.unwrap_or_else(|| panic!("capacity overflow"))
    }

    /// How many elements there is room for.
    pub(crate) fn capacity(&self) -> usize {
        self.capacity
    }

    /// Makes elements until there are `len`, or as many as there is room for.
    pub(crate) fn fill_to(&mut self, len: usize, mut make: impl FnMut() -> T) {
        while self.len < len.min(self.capacity) {
            let made = make();
            // SAFETY: within what was allocated, and nothing is there yet.
            unsafe { self.start.add(self.len).write(made) };
            self.len += 1;
        }
    }

    /// Moves the elements to where there is room for `capacity`, or at least for all of them.
    pub(crate) fn enlarge(&mut self, capacity: usize) {
        let mut room = Self::new(capacity.max(self.len));
        // SAFETY: there is room for them, the two do not overlap, and nothing is left here to be dropped again.
        unsafe { self.start.copy_to_nonoverlapping(room.start, self.len) };
        room.len = std::mem::take(&mut self.len);
        *self = room;
    }
}

impl<T> Deref for Room<T> {
    type Target = [T];

    #[inline(always)]
    fn deref(&self) -> &[T] {
        // SAFETY: so many elements were written there.
        unsafe { std::slice::from_raw_parts(self.start.as_ptr(), self.len) }
    }
}

impl<T> DerefMut for Room<T> {
    #[inline(always)]
    fn deref_mut(&mut self) -> &mut [T] {
        // SAFETY: as above, and they are borrowed through `self` alone.
        unsafe { std::slice::from_raw_parts_mut(self.start.as_ptr(), self.len) }
    }
}

impl<T> Drop for Room<T> {
    fn drop(&mut self) {
        let layout = Self::layout(self.capacity);
        // SAFETY: each element is dropped once, and the memory given back as it was allocated.
        unsafe {
            std::ptr::drop_in_place(&raw mut **self);
            if layout.size() > 0 {
                dealloc(self.start.as_ptr().cast(), layout);
            }
        }
    }
}

/// Asks for large pages under memory that is not in use yet. Without effect on what the program computes, and on
/// kernels that do not give them on request (`/sys/kernel/mm/transparent_hugepage/enabled`: `never`).
fn prefer(memory: &mut [MaybeUninit<u8>]) {
    // The interpreter that looks for undefined behaviour does not know the call.
    #[cfg(all(target_os = "linux", not(miri)))]
    {
        use rustix::mm::{Advice, madvise};
        // SAFETY: the pages lie within memory that is borrowed for writing alone, and this advice changes no contents.
        // A refusal (no such pages here) leaves everything as it is.
        let _refused = unsafe { madvise(memory.as_mut_ptr().cast(), memory.len(), Advice::LinuxHugepage) };
    }
    #[cfg(not(all(target_os = "linux", not(miri))))]
    let _ = memory;
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::rc::Rc;

    #[test]
    fn what_is_put_in_is_there_small_and_large() {
        for capacity in [0, 1, 100, LARGE_PAGE / 8 - 1, LARGE_PAGE / 8, 3 * LARGE_PAGE / 8 + 5] {
            let mut words = Room::<u64>::new(capacity);
            let mut next = 0..;
            words.fill_to(capacity / 2, || next.next().unwrap_or(0));
            assert_eq!(words.len(), capacity / 2);
            words.fill_to(usize::MAX, || next.next().unwrap_or(0));
            assert_eq!(words.len(), capacity, "more than there is room for is not made");
            assert!(words.iter().zip(0..).all(|(&word, number)| word == number));
            if capacity * 8 >= LARGE_PAGE {
                assert_eq!(words.as_ptr() as usize % LARGE_PAGE, 0);
            }
            words.enlarge(2 * capacity);
            assert_eq!((words.len(), words.capacity()), (capacity, 2 * capacity));
            assert!(words.iter().zip(0..).all(|(&word, number)| word == number));
        }
    }

    #[test]
    fn elements_are_dropped_once_each() {
        let token = Rc::new(());
        let mut room = Room::new(10);
        room.fill_to(7, || Rc::clone(&token));
        assert_eq!(Rc::strong_count(&token), 8);
        room.enlarge(3);
        assert_eq!((room.len(), Rc::strong_count(&token)), (7, 8));
        drop(room);
        assert_eq!(Rc::strong_count(&token), 1);
    }

    #[test]
    fn elements_without_size_take_no_memory() {
        let mut room = Room::<()>::new(usize::MAX);
        room.fill_to(5, || ());
        assert_eq!(room.len(), 5);
    }
}
