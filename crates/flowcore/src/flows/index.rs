//! From a hash to a flow id: buckets of a cache line each.

use super::FlowId;
use crate::lanes::equal;
use crate::large_pages::Room;
use crate::prefetch::prefetch;

/// Ids in a bucket.
const LANES: usize = 7;

/// Where a [`Bucket`] keeps what is no id.
const LAST: usize = LANES;

/// In every tag: so that it is neither free nor what stands in the last lane.
const TAG: u32 = 1 << 31;

/// Smallest number of buckets.
const SMALLEST: usize = 128;

/// Seven tags and their ids. Why not cell after cell with linear probing: how far such a search goes depends on nothing
/// but the hash, so no predictor guesses its end. Here all tags of a bucket are compared at once, and the only branch
/// is taken where a bucket has run over.
#[derive(Debug, Default)]
#[repr(C, align(64))]
struct Bucket {
    /// 0 = free; the last counts the ids that found no room here and went on to the next bucket.
    tags: [u32; LANES + 1],
    /// Each one's id + 1; the last is always 0, the id before the first: [`FlowId::NONE`].
    ids: [u32; LANES + 1],
}

const _: () = assert!(size_of::<Bucket>() == 64);

impl Bucket {
    /// Which lanes have this tag.
    #[inline(always)]
    fn lanes_of(&self, tag: u32) -> Lanes {
        Lanes(equal(&self.tags, tag))
    }

    /// The id of the first of these lanes; none if there are none.
    #[inline(always)]
    fn id_in(&self, lanes: Lanes) -> FlowId {
        FlowId(self.ids[lanes.or_last()].wrapping_sub(1))
    }

    /// The first free lane; [`LAST`] if there is none.
    #[inline(always)]
    fn free(&self) -> usize {
        self.lanes_of(0).or_last()
    }

    #[inline(always)]
    fn passed(&mut self) -> &mut u32 {
        &mut self.tags[LAST]
    }

    #[inline(always)]
    fn has_run_over(&self) -> bool {
        self.tags[LAST] != 0
    }
}

/// A bit for each lane of a bucket.
#[derive(Copy, Clone)]
struct Lanes(u32);

impl Lanes {
    #[inline(always)]
    fn are_none(self) -> bool {
        self.0 == 0
    }

    /// The first, or the last lane of all if there are none.
    #[inline(always)]
    fn or_last(self) -> usize {
        (self.0 | 1 << LAST).trailing_zeros() as usize & LAST
    }

    /// Without the first.
    #[inline(always)]
    fn others(self) -> Self {
        Self(self.0 & self.0.wrapping_sub(1))
    }
}

/// Ids by tags, 31 bits of a hash each. Several ids may have the same tag.
#[derive(Debug)]
pub(super) struct Index {
    /// As many as a power of two.
    buckets: Room<Bucket>,
    used: usize,
}

impl Default for Index {
    fn default() -> Self {
        Self { buckets: empty(SMALLEST), used: 0 }
    }
}

impl Index {
    /// The bucket where a search begins, or goes on.
    #[inline(always)]
    fn bucket(&self, place: usize) -> &Bucket {
        let buckets = &*self.buckets;
        &buckets[place & buckets.len().wrapping_sub(1)]
    }

    #[inline(always)]
    fn bucket_mut(&mut self, place: usize) -> &mut Bucket {
        let buckets = &mut *self.buckets;
        let mask = buckets.len().wrapping_sub(1);
        &mut buckets[place & mask]
    }

    /// The first id whose tag is `tag` and that `same` accepts.
    #[inline]
    pub(super) fn find(&self, tag: u32, mut same: impl FnMut(FlowId) -> bool) -> Option<FlowId> {
        let mut place = tag as usize;
        // However ids came and went, no search goes round more than once.
        for _ in 0..self.buckets.len() {
            let bucket = self.bucket(place);
            let mut lanes = bucket.lanes_of(tag | TAG);
            while !lanes.are_none() {
                let id = bucket.id_in(lanes);
                if same(id) {
                    return Some(id);
                }
                lanes = lanes.others();
            }
            if !bucket.has_run_over() {
                break;
            }
            place = place.wrapping_add(1);
        }
        None
    }

    /// Asks for the bucket where a search for `tag` begins.
    #[inline]
    pub(super) fn prefetch(&self, tag: u32) {
        prefetch(self.bucket(tag as usize));
    }

    /// The first id whose tag is `tag`: nearly always the one, yet to be proven. [`FlowId::NONE`] if there is none.
    #[inline(always)]
    pub(super) fn likely(&self, tag: u32) -> FlowId {
        let bucket = self.bucket(tag as usize);
        let lanes = bucket.lanes_of(tag | TAG);
        if lanes.are_none() & bucket.has_run_over() {
            return self.further(tag);
        }
        bucket.id_in(lanes)
    }

    #[cold]
    #[inline(never)]
    fn further(&self, tag: u32) -> FlowId {
        self.find(tag, |_| true).unwrap_or(FlowId::NONE)
    }

    /// Adds an id that is not there.
    pub(super) fn insert(&mut self, tag: u32, id: FlowId) {
        // At three quarters one bucket in four has run over, at a half one in thirty.
        if self.used * 4 >= self.buckets.len() * LANES * 3 {
            self.grow();
        }
        self.used += 1;
        self.place(tag | TAG, id.0 + 1);
    }

    #[inline(always)]
    fn place(&mut self, tag: u32, id: u32) {
        let mut place = tag as usize;
        loop {
            let bucket = self.bucket_mut(place);
            let free = bucket.free();
            if free != LAST {
                bucket.tags[free] = tag;
                bucket.ids[free] = id;
                return;
            }
            *bucket.passed() += 1;
            place = place.wrapping_add(1);
        }
    }

    #[cold]
    #[inline(never)]
    fn grow(&mut self) {
        let doubled = empty(2 * self.buckets.len());
        let old = std::mem::replace(&mut self.buckets, doubled);
        for bucket in old.iter() {
            for (&tag, &id) in bucket.tags.iter().zip(&bucket.ids) {
                if id != 0 {
                    self.place(tag, id);
                }
            }
        }
    }

    /// Takes out an id; nothing happens if it is not there.
    pub(super) fn remove(&mut self, tag: u32, id: FlowId) {
        let mut place = tag as usize;
        for further in 0..self.buckets.len() {
            let bucket = self.bucket_mut(place);
            let mut lanes = bucket.lanes_of(tag | TAG);
            while !lanes.are_none() && bucket.id_in(lanes) != id {
                lanes = lanes.others();
            }
            if !lanes.are_none() {
                let lane = lanes.or_last();
                bucket.tags[lane] = 0;
                bucket.ids[lane] = 0;
                self.used -= 1;
                // Those that it came past need not be looked beyond for its sake any more.
                for before in 1..=further {
                    *self.bucket_mut(place.wrapping_sub(before)).passed() -= 1;
                }
                return;
            }
            if !bucket.has_run_over() {
                return;
            }
            place = place.wrapping_add(1);
        }
    }

    /// Bytes held.
    pub(super) fn memory_bytes(&self) -> usize {
        self.buckets.len() * size_of::<Bucket>()
    }
}

fn empty(buckets: usize) -> Room<Bucket> {
    let mut room = Room::new(buckets);
    room.fill_to(buckets, Bucket::default);
    room
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
                    prop_assert_eq!(Some(index.likely(tag)), index.find(tag, |_| true));
                }
            }
            is_sound(&index, &map);
        }

        #[test]
        fn it_stays_sound_while_it_grows_and_shrinks(steps in prop::collection::vec((0u32..3, 0u32..3000), 0..4000)) {
            // Homes lie close together, so that most buckets run over.
            let mut index = Index::default();
            let mut map = HashMap::new();
            let tag_of = |n: u32| n % 61 + ((n % 5) << 28);
            for (what, n) in steps {
                let tag = tag_of(n);
                if what > 0 && !map.contains_key(&n) {
                    index.insert(tag, FlowId(n));
                    map.insert(n, tag);
                } else if what == 0 {
                    // Also of ids that are not there.
                    index.remove(tag, FlowId(n));
                    map.remove(&n);
                }
            }
            for n in 0..3000 {
                prop_assert_eq!(index.find(tag_of(n), |id| id.0 == n).is_some(), map.contains_key(&n));
            }
            is_sound(&index, &map);
        }
    }

    /// Whether it keeps what the map does, and every bucket counts those that came past.
    fn is_sound(index: &Index, map: &HashMap<u32, u32>) {
        let mut passed = vec![0; index.buckets.len()];
        let mut kept = 0;
        for (place, bucket) in index.buckets.iter().enumerate() {
            for (&tag, &id) in bucket.tags.iter().zip(&bucket.ids).filter(|&(_, &id)| id != 0) {
                assert_eq!(map.get(&(id - 1)).map(|tag| tag | TAG), Some(tag));
                kept += 1;
                let mut home = tag as usize % passed.len();
                while home != place {
                    passed[home] += 1;
                    home = (home + 1) % passed.len();
                }
            }
        }
        assert_eq!((index.used, kept), (map.len(), map.len()));
        assert!(index.buckets.iter().zip(&passed).all(|(bucket, passed)| bucket.tags[LAST] == *passed));
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
