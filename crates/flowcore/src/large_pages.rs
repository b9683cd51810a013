//! Arrays in large pages, and the calls that ask the kernel for them.
//!
//! Why: every packet touches places that are far apart, and with pages of 4 KiB most of them miss the processor's
//! address translation too (on the machine of `benches/README.md` 35 to 100 ns each from 8 MiB on; with pages of 2 MiB
//! 1 to 20 ns). A prefetch waits for that translation, so prefetching alone does not hide it. Why not `Vec`: its memory
//! begins anywhere, and what lies before the first whole large page and behind the last stays in small ones.
#![allow(unsafe_code)]

use std::alloc::{Layout, handle_alloc_error};
use std::ops::{Deref, DerefMut};
use std::ptr::NonNull;

/// A large page of x86-64, and of others with pages of 4 KiB.
const LARGE_PAGE: usize = 2 << 20;

/// Room for so many elements and no more; in large pages if it fills one at least.
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
        let start = if layout.size() == 0 { NonNull::dangling() } else { memory::take(layout).cast() };
        Self { start, len: 0, capacity }
    }

    fn layout(capacity: usize) -> Layout {
        const { assert!(align_of::<T>() < LARGE_PAGE, "a mapping begins where a large page may, and no farther") };
        let plain = Layout::array::<T>(capacity).ok();
        let layout = plain.and_then(|plain| {
            let align = if plain.size() >= LARGE_PAGE { LARGE_PAGE } else { align_of::<T>() };
            plain.align_to(align).ok().map(|layout| if is_large(layout) { layout.pad_to_align() } else { layout })
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

    /// Moves the elements to where there is room for `capacity`, or at least for all of them. Of large ones it is the
    /// pages that move, if the kernel can: nothing is copied, nor ever there twice. While they move there is address
    /// space for both.
    pub(crate) fn enlarge(&mut self, capacity: usize) {
        let capacity = capacity.max(self.len);
        let (old, new) = (Self::layout(self.capacity), Self::layout(capacity));
        if is_large(old) && new.size() >= old.size() {
            // SAFETY: it was taken with this layout, and is not looked at where it was any more.
            if let Some(start) = unsafe { memory::stretch(self.start.cast(), old, new) } {
                (self.start, self.capacity) = (start.cast(), capacity);
                return;
            }
        }
        let mut room = Self::new(capacity);
        // SAFETY: there is room for them, the two do not overlap, and nothing is left here to be dropped again.
        unsafe { self.start.copy_to_nonoverlapping(room.start, self.len) };
        room.len = std::mem::take(&mut self.len);
        *self = room;
    }
}

fn is_large(layout: Layout) -> bool {
    layout.align() >= LARGE_PAGE
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
        // SAFETY: each element is dropped once, and the memory given back as it was taken.
        unsafe {
            std::ptr::drop_in_place(&raw mut **self);
            if layout.size() > 0 {
                memory::give_back(self.start.cast(), layout);
            }
        }
    }
}

/// Memory by layouts: large ones are mapped, and asked for in large pages. That has no effect where kernels do not give
/// them on request (`/sys/kernel/mm/transparent_hugepage/enabled`: `never`).
#[cfg(all(target_os = "linux", not(miri)))]
mod memory {
    use std::alloc::{alloc, dealloc};
    use std::ptr::null_mut;

    use rustix::io::Result;
    use rustix::mm::{Advice, MapFlags, MremapFlags, ProtFlags, madvise, mmap_anonymous, mremap, mremap_fixed, munmap};

    use super::*;

    /// `layout` is not empty, and a large one is a multiple of its alignment.
    pub(super) fn take(layout: Layout) -> NonNull<u8> {
        let taken = if is_large(layout) {
            map(layout.size(), ProtFlags::READ | ProtFlags::WRITE).ok().inspect(|start| {
                // SAFETY: it was just mapped, and this advice changes no contents. A refusal (no such pages here) leaves
                // everything as it is.
                let _refused = unsafe { madvise(start.as_ptr().cast(), layout.size(), Advice::LinuxHugepage) };
            })
        } else {
            // SAFETY: the layout's size is not 0.
            NonNull::new(unsafe { alloc(layout) })
        };
        taken.unwrap_or_else(|| handle_alloc_error(layout))
    }

    /// # Safety
    /// `start` was taken with `layout` and is not used any more.
    pub(super) unsafe fn give_back(start: NonNull<u8>, layout: Layout) {
        if is_large(layout) {
            // SAFETY: as promised. If it fails, where the kernel can keep no more mappings apart, it only stays.
            let _stays = unsafe { munmap(start.as_ptr().cast(), layout.size()) };
        } else {
            // SAFETY: as promised.
            unsafe { dealloc(start.as_ptr(), layout) };
        }
    }

    /// What is at `start`, with more room behind it, elsewhere if need be; `None`, with nothing changed, if that cannot
    /// be.
    ///
    /// # Safety
    /// `start` was taken with the layout `old`, a large one, and is not used any more if it moved; `new` is not smaller.
    pub(super) unsafe fn stretch(start: NonNull<u8>, old: Layout, new: Layout) -> Option<NonNull<u8>> {
        let from = start.as_ptr().cast();
        let moved = match map(new.size(), ProtFlags::empty()) {
            // Where it goes to is chosen here: only to an address that is aligned as its own do large pages move whole.
            // SAFETY: both are whole mappings of these sizes that nobody else knows of. If it fails nobody knows whether
            // the second is still there, so it is not given back: address space without memory.
            Ok(to) => unsafe { mremap_fixed(from, old.size(), new.size(), MremapFlags::MAYMOVE, to.as_ptr().cast()) },
            // Address space is short: where it is, or wherever there is some, in small pages if need be.
            // SAFETY: a whole mapping of this size that nobody else knows of.
            Err(_) => unsafe { mremap(from, old.size(), new.size(), MremapFlags::MAYMOVE) },
        };
        NonNull::new(moved.ok()?.cast())
    }

    /// So many bytes that begin where a large page may.
    fn map(bytes: usize, protection: ProtFlags) -> Result<NonNull<u8>> {
        let whole = bytes.checked_add(LARGE_PAGE).ok_or(rustix::io::Errno::NOMEM)?;
        // SAFETY: a new mapping, wherever there is room.
        let start = unsafe { mmap_anonymous(null_mut(), whole, protection, MapFlags::PRIVATE) }?.cast::<u8>();
        let before = start.align_offset(LARGE_PAGE);
        let aligned = start.wrapping_add(before);
        for (place, surplus) in [(start, before), (aligned.wrapping_add(bytes), LARGE_PAGE - before)] {
            if surplus > 0 {
                // SAFETY: of the mapping just made, what is not wanted; nobody has it.
                let _stays = unsafe { munmap(place.cast(), surplus) };
            }
        }
        NonNull::new(aligned).ok_or(rustix::io::Errno::NOMEM)
    }
}

/// The same without such calls: the interpreter that looks for undefined behaviour does not know them.
#[cfg(not(all(target_os = "linux", not(miri))))]
mod memory {
    use std::alloc::{alloc, dealloc};

    use super::*;

    /// `layout` is not empty.
    pub(super) fn take(layout: Layout) -> NonNull<u8> {
        // SAFETY: the layout's size is not 0.
        NonNull::new(unsafe { alloc(layout) }).unwrap_or_else(|| handle_alloc_error(layout))
    }

    /// # Safety
    /// `start` was taken with `layout` and is not used any more.
    pub(super) unsafe fn give_back(start: NonNull<u8>, layout: Layout) {
        // SAFETY: as promised.
        unsafe { dealloc(start.as_ptr(), layout) };
    }

    /// # Safety
    /// None.
    pub(super) unsafe fn stretch(_: NonNull<u8>, _: Layout, _: Layout) -> Option<NonNull<u8>> {
        None
    }
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
            for more in [2 * capacity, 2 * capacity, 7 * capacity] {
                words.enlarge(more);
                assert_eq!((words.len(), words.capacity()), (capacity, more));
                assert!(words.iter().zip(0..).all(|(&word, number)| word == number));
                if more * 8 >= LARGE_PAGE {
                    assert_eq!(words.as_ptr() as usize % LARGE_PAGE, 0);
                }
            }
            let mut less = Room::<u64>::new(3 * capacity);
            let mut next_of_less = 0..;
            less.fill_to(capacity, || next_of_less.next().unwrap_or(0));
            less.enlarge(0);
            assert_eq!((&less[..], less.capacity()), (&words[..], capacity), "copied, where there is less room");
            words.fill_to(usize::MAX, || next.next().unwrap_or(0));
            words.enlarge(0);
            assert_eq!((words.len(), words.capacity()), (7 * capacity, 7 * capacity), "never less than there is");
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
