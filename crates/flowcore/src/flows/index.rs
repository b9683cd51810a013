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
/// but the hash, so no predictor guesses its end. Here all tags of a bucket are compared at once, and the only branch is
/// taken where a bucket has run over.
#[derive(Copy, Clone, Debug, Default)]
#[repr(C, align(64))]
struct Bucket {
    /// 0 = free; the last is how many ids whose home is here, or who came past, found no room before the next bucket.
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
        // At three quarters one bucket in seven runs over.
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
                }
            }
            prop_assert_eq!(index.used, map.len());
            let kept = index.buckets.iter().flat_map(|bucket| &bucket.ids[..LANES]).filter(|&&id| id != 0);
            prop_assert_eq!(kept.count(), map.len());
            if map.is_empty() {
                prop_assert!(index.buckets.iter().all(|bucket| !bucket.has_run_over()));
            }
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
