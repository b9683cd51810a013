//! Per-flow state by index: an analyzer's own column beside the flow table.

use super::FlowId;
use crate::prefetch::prefetch;

/// Elements per chunk; a chunk is allocated whole, so that growing never moves what is there.
const CHUNK: usize = 1024;

/// One `T` per flow id, without a second hash. Grows by chunks, never moves or copies what it holds.
///
/// Ids are reused after a flow's `End` event: whoever keeps state here resets it on [`Marks::BEGIN`](crate::Marks).
#[derive(Debug)]
pub struct Slots<T> {
    chunks: Vec<Box<[T; CHUNK]>>,
}

impl<T> Default for Slots<T> {
    fn default() -> Self {
        Self { chunks: Vec::new() }
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
        let (chunk, place) = (id.0 as usize / CHUNK, id.0 as usize % CHUNK);
        if chunk >= self.chunks.len() {
            return &mut self.grow(chunk)[place];
        }
        &mut self.chunks[chunk][place]
    }

    #[cold]
    #[inline(never)]
    fn grow(&mut self, chunk: usize) -> &mut [T; CHUNK] {
        while self.chunks.len() <= chunk {
            let chunk: Vec<T> = (0..CHUNK).map(|_| T::default()).collect();
            let Ok(chunk) = chunk.into_boxed_slice().try_into() else { unreachable!("as many as were asked for") };
            self.chunks.push(chunk);
        }
        &mut self.chunks[chunk]
    }

    /// The state of `id`, if its chunk was ever made.
    #[inline]
    pub fn get(&self, id: FlowId) -> Option<&T> {
        self.chunks.get(id.0 as usize / CHUNK).map(|chunk| &chunk[id.0 as usize % CHUNK])
    }

    /// The same, to change.
    #[inline]
    pub fn get_mut(&mut self, id: FlowId) -> Option<&mut T> {
        self.chunks.get_mut(id.0 as usize / CHUNK).map(|chunk| &mut chunk[id.0 as usize % CHUNK])
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
        self.chunks.len() * CHUNK * size_of::<T>()
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
}
