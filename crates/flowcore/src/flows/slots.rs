//! Per-flow state by index: an analyzer's own column beside the flow table.

use super::FlowId;
use crate::large_pages::Room;
use crate::prefetch::prefetch;

/// Bytes of address space per chunk. Memory behind it is taken by the page, so that a large chunk costs nothing.
const CHUNK_BYTES: usize = 16 << 20;

/// The first chunk begins with about so many bytes: few flows take little memory.
const SMALL_BYTES: usize = 256 << 10;

/// Elements made at once.
const BLOCK: usize = 1024;

/// One `T` per flow id, without a second hash. Grows by blocks, and moves what it holds at most once, while it is
/// little.
///
/// Ids are reused after a flow's `End` event: whoever keeps state here resets it on [`Marks::BEGIN`](crate::Marks).
#[derive(Debug)]
pub struct Slots<T> {
    /// All but the last are full. Each has room for [`Self::CHUNK`] elements, the first at first for
    /// [`Self::SMALL`].
    chunks: Vec<Room<T>>,
}

impl<T> Default for Slots<T> {
    fn default() -> Self {
        Self { chunks: Vec::new() }
    }
}

impl<T> Slots<T> {
    /// Elements per chunk, a power of two and a multiple of [`BLOCK`].
    const CHUNK: usize = {
        let element = if size_of::<T>() == 0 { 1 } else { size_of::<T>() };
        let fitting = CHUNK_BYTES / element;
        if fitting < BLOCK { BLOCK } else { (fitting / 2 + 1).next_power_of_two() }
    };

    /// Elements that the first chunk has room for at first, a multiple of [`BLOCK`].
    const SMALL: usize = {
        let element = if size_of::<T>() == 0 { 1 } else { size_of::<T>() };
        (SMALL_BYTES / element).next_multiple_of(BLOCK)
    };

    #[inline]
    fn place(id: FlowId) -> (usize, usize) {
        (id.0 as usize / Self::CHUNK, id.0 as usize % Self::CHUNK)
    }
}

impl<T: Default> Slots<T> {
    /// No slots yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// The state of `id`, made if it was not there. `id` must not be [`FlowId::NONE`]: that has no slot and would
    /// make 2³² of them; a debug build says so.
    #[inline]
    pub fn entry(&mut self, id: FlowId) -> &mut T {
        debug_assert_ne!(id, FlowId::NONE, "events without a flow have no slot");
        let (chunk, place) = Self::place(id);
        if self.get(id).is_none() {
            return self.grow(chunk, place);
        }
        &mut self.chunks[chunk][place]
    }

    #[cold]
    #[inline(never)]
    fn grow(&mut self, chunk: usize, place: usize) -> &mut T {
        while self.chunks.len() <= chunk {
            self.fill_last(Self::CHUNK);
            self.chunks.push(Room::new(if self.chunks.is_empty() { Self::SMALL } else { Self::CHUNK }));
        }
        self.fill_last((place + 1).next_multiple_of(BLOCK));
        &mut self.chunks[chunk][place]
    }

    /// Makes elements until the last chunk has `len`.
    fn fill_last(&mut self, len: usize) {
        let Some(last) = self.chunks.last_mut() else { return };
        if len > last.capacity() {
            last.enlarge(Self::CHUNK);
        }
        last.fill_to(len, T::default);
    }

    /// The state of `id`, if its block was ever made.
    #[inline]
    pub fn get(&self, id: FlowId) -> Option<&T> {
        let (chunk, place) = Self::place(id);
        self.chunks.get(chunk)?.get(place)
    }

    /// The same, to change.
    #[inline]
    pub fn get_mut(&mut self, id: FlowId) -> Option<&mut T> {
        let (chunk, place) = Self::place(id);
        self.chunks.get_mut(chunk)?.get_mut(place)
    }

    /// Asks the processor to bring the state of `id` closer.
    #[inline]
    pub fn prefetch(&self, id: FlowId) {
        if let Some(slot) = self.get(id) {
            prefetch(slot);
        }
    }

    /// Bytes held.
    pub fn memory_bytes(&self) -> usize {
        self.chunks.iter().map(|chunk| chunk.len()).sum::<usize>() * size_of::<T>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_appear_as_they_are_asked_for() {
        let mut slots = Slots::<u32>::new();
        assert_eq!(slots.get(FlowId(5000)), None);
        *slots.entry(FlowId(5000)) = 7;
        assert_eq!(slots.get(FlowId(5000)), Some(&7));
        assert_eq!(slots.get(FlowId(0)), Some(&0));
    }

    #[test]
    fn nothing_moves_or_is_lost_from_one_chunk_to_the_next() {
        let mut slots = Slots::<[u64; 32]>::new();
        let last = 2 * Slots::<[u64; 32]>::CHUNK as u32 + 5;
        slots.entry(FlowId(3))[0] = 3;
        slots.entry(FlowId(5000))[0] = 5;
        let before: *const _ = slots.entry(FlowId(3));
        slots.entry(FlowId(last))[31] = 9;
        assert_eq!((slots.entry(FlowId(3))[0], slots.entry(FlowId(5000))[0]), (3, 5));
        assert!(std::ptr::eq(before, slots.entry(FlowId(3))), "it has moved when it was little, and never again");
        assert_eq!(slots.get(FlowId(last)).map(|slot| slot[31]), Some(9));
        assert_eq!(slots.get(FlowId(last / 2)), Some(&[0; 32]));
        assert_eq!(slots.memory_bytes() % (BLOCK * 256), 0);
    }
}
