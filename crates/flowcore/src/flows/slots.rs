//! Per-flow state by index: an analyzer's own column beside the flow table.

use super::FlowId;
use crate::large_pages::Room;
use crate::prefetch::prefetch;

/// There is room for so many bytes at first: few flows take little memory.
const SMALL_BYTES: usize = 256 << 10;

/// Then for so many, and for twice as many each time it does not suffice. It is address space: memory behind it is taken
/// by the page, if the kernel may promise more than it has (`vm.overcommit_memory` other than 2).
const LARGE_BYTES: usize = 16 << 20;

/// Elements made at once.
const BLOCK: usize = 1024;

/// One `T` per flow id, without a second hash. Grows by blocks.
///
/// Ids are reused after a flow's `End` event: whoever keeps state here resets it on [`Marks::BEGIN`](crate::Marks).
#[derive(Debug)]
pub struct Slots<T> {
    room: Room<T>,
}

impl<T> Default for Slots<T> {
    fn default() -> Self {
        Self { room: Room::new(0) }
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
        let place = id.0 as usize;
        if place < self.room.len() {
            return &mut self.room[place];
        }
        self.grow(place)
    }

    /// Makes elements up to that of a place, and more.
    #[cold]
    #[inline(never)]
    fn grow(&mut self, place: usize) -> &mut T {
        let len = (place + 1).next_multiple_of(BLOCK);
        if len > self.room.capacity() {
            let elements = |bytes: usize| bytes / size_of::<T>().max(1);
            let small = elements(SMALL_BYTES).next_multiple_of(BLOCK);
            let more = elements(LARGE_BYTES).max(2 * self.room.capacity()).max(len);
            self.room.enlarge(if len <= small { small } else { more });
        }
        self.room.fill_to(len, T::default);
        &mut self.room[place]
    }

    /// The state of `id`, if its block was ever made.
    #[inline]
    pub fn get(&self, id: FlowId) -> Option<&T> {
        self.room.get(id.0 as usize)
    }

    /// The same, to change.
    #[inline]
    pub fn get_mut(&mut self, id: FlowId) -> Option<&mut T> {
        self.room.get_mut(id.0 as usize)
    }

    /// Asks the processor to bring the state of `id` closer.
    #[inline]
    pub fn prefetch(&self, id: FlowId) {
        if let Some(slot) = self.get(id) {
            prefetch(slot);
        }
    }

    /// All states that were made, by id: more than were asked for, since they are made by the block.
    pub fn as_slice(&self) -> &[T] {
        &self.room
    }

    /// Bytes held.
    pub fn memory_bytes(&self) -> usize {
        self.room.len() * size_of::<T>()
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
    fn nothing_is_lost_however_many_there_are() {
        let mut slots = Slots::<[u64; 32]>::new();
        let last = 3 * (LARGE_BYTES / 256) as u32 + 5;
        let places = [3, 1023, 1024, 5000, last / 3, last / 2, last];
        for (place, number) in places.into_iter().zip(1..) {
            slots.entry(FlowId(place))[31] = number;
        }
        let kept = places.map(|place| slots.get(FlowId(place)).map_or(0, |slot| slot[31]));
        assert_eq!(kept, [1, 2, 3, 4, 5, 6, 7]);
        assert_eq!(slots.get(FlowId(last - 1)), Some(&[0; 32]));
        assert_eq!(slots.memory_bytes(), (last as usize + 1).next_multiple_of(BLOCK) * 256);
    }

    #[test]
    fn slots_without_size_are_slots_too() {
        let mut slots = Slots::<()>::new();
        slots.entry(FlowId(300_000));
        assert_eq!((slots.get(FlowId(7)), slots.memory_bytes()), (Some(&()), 0));
    }
}
