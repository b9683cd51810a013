//! Where the events of a stride belong, found out ahead.

use std::hash::BuildHasher;

use foldhash::fast::RandomState;

use super::FlowId;
use crate::event::{FlowEvent, Notes};

/// An event's place in the table, computed a stride ahead.
#[derive(Copy, Clone)]
pub(super) struct Place {
    pub(super) words: [u64; 5],
    /// Of the words; see [`Index`].
    pub(super) tag: u32,
    /// What the index said before the stride; flows may have begun and ended since.
    pub(super) likely: FlowId,
    /// The event goes against the order of the words.
    pub(super) swapped: bool,
}

impl Default for Place {
    fn default() -> Self {
        Self { words: [0; 5], tag: 0, likely: FlowId::NONE, swapped: false }
    }
}

/// Hashes keys, differently in each process: nobody outside can choose keys that collide.
#[derive(Debug)]
pub(super) struct KeyHasher {
    seeds: [u64; 5],
}

impl Default for KeyHasher {
    fn default() -> Self {
        let state = RandomState::default();
        Self { seeds: std::array::from_fn(|place| state.hash_one(place)) }
    }
}

impl KeyHasher {
    /// Five words in three folded multiplications, two of which do not wait for each other: foldhash's own chain over
    /// the words waits for each.
    #[inline(always)]
    fn hash(&self, [a, b, c, d, e]: &[u64; 5]) -> u64 {
        #[inline(always)]
        fn fold(a: u64, b: u64) -> u64 {
            let product = u128::from(a) * u128::from(b);
            product as u64 ^ (product >> 64) as u64
        }
        let [s, t, u, v, w] = &self.seeds;
        fold(fold(a ^ s, b ^ t) ^ e, fold(c ^ u, d ^ v) ^ w)
    }

    /// The places of a stride's events; whether there are fragments among them, whose ports are yet to be found.
    #[inline(never)]
    pub(super) fn places(&self, stride: &[FlowEvent], places: &mut [Place]) -> bool {
        let mut notes = Notes::empty();
        for (event, place) in stride.iter().zip(places) {
            notes |= event.notes;
            let (words, swapped) = event.key.words();
            let tag = self.hash(&words) as u32;
            *place = Place { words, tag, likely: FlowId::NONE, swapped };
        }
        notes.contains(Notes::FRAGMENT)
    }
}

/// The words of [`FlowKey::NONE`].
pub(super) const NOBODY: [u64; 5] = [0; 5];

/// Whether two keys are equal. Why not `==`: on five words that is a call to `memcmp`, 28 instructions against 10.
#[inline]
pub(super) fn same(a: &[u64; 5], b: &[u64; 5]) -> bool {
    (a[0] ^ b[0]) | (a[1] ^ b[1]) | (a[2] ^ b[2]) | (a[3] ^ b[3]) | (a[4] ^ b[4]) == 0
}
