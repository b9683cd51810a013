//! Open addressing on 32-bit tags: from a hash to a flow id in about one cache line.

use super::FlowId;
use crate::large_pages;
use crate::prefetch::prefetch;

/// Smallest number of cells.
const SMALLEST: usize = 1024;

/// From this many cells on they are grown at five eighths, below at a half: fewer probes, and fewer of them that no
/// predictor guesses, where memory does not matter. At three quarters a removal reads eight cells on the average, mostly
/// of two cache lines.
const LARGE: usize = 1 << 19;

/// Cells of `tag << 32 | id + 1`, 0 = empty; linear probing, backward-shift deletion.
#[derive(Debug)]
pub(super) struct Index {
    cells: Vec<u64>,
    /// `cells.len() - 1`; the length is a power of two.
    mask: usize,
    used: usize,
}

impl Default for Index {
    fn default() -> Self {
        Self { cells: vec![0; SMALLEST], mask: SMALLEST - 1, used: 0 }
    }
}

impl Index {
    /// The first id whose tag is `tag` and that `same` accepts.
    #[inline]
    pub(super) fn find(&self, tag: u32, mut same: impl FnMut(FlowId) -> bool) -> Option<FlowId> {
        let mut place = tag as usize & self.mask;
        loop {
            let cell = self.cells[place];
            if cell == 0 {
                return None;
            }
            if (cell >> 32) as u32 == tag {
                let id = FlowId((cell as u32) - 1);
                if same(id) {
                    return Some(id);
                }
            }
            place = (place + 1) & self.mask;
        }
    }

    /// Asks for the cell where a search for `tag` begins.
    #[inline]
    pub(super) fn prefetch(&self, tag: u32) {
        let cells = self.cells.as_slice();
        prefetch(&cells[tag as usize & cells.len().wrapping_sub(1)]);
    }

    /// The first id whose tag is `tag`: nearly always the one, yet to be proven. [`FlowId::NONE`] if there is none.
    #[inline]
    pub(super) fn likely(&self, tag: u32) -> FlowId {
        let cells = self.cells.as_slice();
        let mask = cells.len().wrapping_sub(1);
        let mut place = tag as usize & mask;
        // Two cells in one step, without asking which of them it is: no predictor would guess.
        let (first, second) = (cells[place], cells[(place + 1) & mask]);
        let other = u64::from((first >> 32) as u32 != tag).wrapping_neg();
        let cell = first ^ ((first ^ second) & other);
        if (cell >> 32) as u32 == tag && first != 0 {
            return FlowId((cell as u32).wrapping_sub(1));
        }
        loop {
            let cell = cells[place & mask];
            // An empty cell gives the id before 0, which is none.
            if (cell >> 32) as u32 == tag || cell == 0 {
                return FlowId((cell as u32).wrapping_sub(1));
            }
            place += 1;
        }
    }

    /// Adds an id that is not there.
    pub(super) fn insert(&mut self, tag: u32, id: FlowId) {
        let eighths = if self.cells.len() < LARGE { 4 } else { 5 };
        if (self.used + 1) * 8 > self.cells.len() * eighths {
            self.grow();
        }
        self.used += 1;
        self.place(u64::from(tag) << 32 | u64::from(id.0 + 1));
    }

    fn place(&mut self, cell: u64) {
        let mut place = (cell >> 32) as usize & self.mask;
        while self.cells[place] != 0 {
            place = (place + 1) & self.mask;
        }
        self.cells[place] = cell;
    }

    fn grow(&mut self) {
        let length = self.cells.len() * 2;
        let doubled = if length < LARGE {
            vec![0; length]
        } else {
            let mut large = Vec::with_capacity(length);
            large_pages::prefer(large.spare_capacity_mut());
            large.resize(length, 0);
            large
        };
        let old = std::mem::replace(&mut self.cells, doubled);
        self.mask = self.cells.len() - 1;
        for cell in old {
            if cell != 0 {
                self.place(cell);
            }
        }
    }

    /// Takes out an id; nothing happens if it is not there.
    pub(super) fn remove(&mut self, tag: u32, id: FlowId) {
        let cell = u64::from(tag) << 32 | u64::from(id.0 + 1);
        let mut hole = tag as usize & self.mask;
        loop {
            match self.cells[hole] {
                0 => return,
                found if found == cell => break,
                _ => hole = (hole + 1) & self.mask,
            }
        }
        self.used -= 1;
        // Move later cells of the same run back, so that no search stops at the hole before its target.
        let mut next = hole;
        loop {
            next = (next + 1) & self.mask;
            let moving = self.cells[next];
            if moving == 0 {
                break;
            }
            let home = (moving >> 32) as usize & self.mask;
            if (next.wrapping_sub(home) & self.mask) >= (next.wrapping_sub(hole) & self.mask) {
                self.cells[hole] = moving;
                hole = next;
            }
        }
        self.cells[hole] = 0;
    }

    /// Bytes held.
    pub(super) fn memory_bytes(&self) -> usize {
        self.cells.len() * size_of::<u64>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::HashMap;

    proptest! {
        #[test]
        fn it_agrees_with_a_map(steps in prop::collection::vec((any::<bool>(), 0u32..40), 0..600)) {
            // Few tags, so that runs collide and wrap.
            let mut index = Index::default();
            let mut map = HashMap::new();
            for (add, n) in steps {
                let tag = (n % 7).wrapping_mul(0x2000_0000).wrapping_sub(n % 3);
                if add && !map.contains_key(&n) {
                    index.insert(tag, FlowId(n));
                    map.insert(n, tag);
                } else if !add
                    && let Some(tag) = map.remove(&n) {
                        index.remove(tag, FlowId(n));
                    }
                for (&n, &tag) in &map {
                    prop_assert_eq!(index.find(tag, |id| id.0 == n), Some(FlowId(n)));
                }
            }
            prop_assert_eq!(index.used, map.len());
            prop_assert_eq!(index.cells.iter().filter(|&&cell| cell != 0).count(), map.len());
        }
    }

    #[test]
    fn it_grows_and_finds_everything_again() {
        let mut index = Index::default();
        for n in 0..10_000u32 {
            index.insert(n.wrapping_mul(0x9e37_79b9), FlowId(n));
        }
        for n in 0..10_000u32 {
            assert_eq!(index.find(n.wrapping_mul(0x9e37_79b9), |id| id.0 == n), Some(FlowId(n)));
        }
    }
}
