//! State of some flows only, each at a place of its own.

use flowcore::flows::Slots;
use flowcore::{FlowId, prefetch_whole};

/// How many places ahead a vacant one is asked for. Why: where thousands end at once, those that ended first are in the
/// caches no more.
const SOON: usize = 4;

/// Where a [`Slab`] keeps one state; by default nowhere.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(crate) struct Place(FlowId);

impl Default for Place {
    fn default() -> Self {
        Self(FlowId::NONE)
    }
}

/// States without gaps between them, where [`Slots`] have room for every flow. Why: of a capture's flows half may be of
/// another protocol; over 1.3 million flows `hosts` and the course of connections take 100 MB less with this.
#[derive(Debug)]
pub(crate) struct Slab<T> {
    slots: Slots<T>,
    /// Places to give again, the latest last: what is there is the likeliest to be in the caches still.
    vacant: Vec<Place>,
    taken: usize,
}

impl<T> Default for Slab<T> {
    fn default() -> Self {
        Self { slots: Slots::default(), vacant: Vec::new(), taken: 0 }
    }
}

impl<T: Default> Slab<T> {
    /// A place for a state that begins from nothing.
    #[inline(never)]
    pub(crate) fn begin(&mut self) -> Place {
        let place = self.vacant.pop().unwrap_or(Place(FlowId(self.taken as u32)));
        self.taken += 1;
        if let Some(soon) = self.vacant.iter().nth_back(SOON - 1).and_then(|&place| self.get(place)) {
            prefetch_whole(soon);
        }
        place
    }

    /// The state at `place`; at a place of its own that begins from nothing if that is none.
    #[inline]
    pub(crate) fn entry_or_begin(&mut self, place: &mut Place) -> &mut T {
        if self.slots.get(place.0).is_none() {
            *place = self.begin();
        }
        self.entry(*place)
    }

    /// How many places are given.
    pub(crate) fn len(&self) -> usize {
        self.taken
    }

    /// The state at a place that was given and not given back: any other has none to find.
    #[inline]
    pub(crate) fn entry(&mut self, place: Place) -> &mut T {
        self.slots.entry(place.0)
    }

    /// The state at a place, if there is any.
    #[inline]
    pub(crate) fn get(&self, place: Place) -> Option<&T> {
        self.slots.get(place.0)
    }

    /// Ends the state at a place that was given: what it held is dropped, and the place may be given again.
    pub(crate) fn end(&mut self, place: Place) {
        *self.entry(place) = T::default();
        self.vacant.push(place);
        self.taken -= 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_are_no_more_states_than_were_kept_at_once() {
        let mut slab = Slab::<u64>::default();
        let mut places: Vec<Place> = (0..1000).map(|_| slab.begin()).collect();
        for (place, state) in places.iter().zip(1..) {
            *slab.entry(*place) = state;
        }
        // Others come where some went, and begin from nothing.
        for round in 0..10 {
            for place in places.split_off(500) {
                slab.end(place);
            }
            for _ in 0..500 {
                let place = slab.begin();
                assert_eq!(std::mem::replace(slab.entry(place), 7), 0, "round {round}");
                places.push(place);
            }
        }
        assert!(places.iter().zip(1..=500).all(|(place, state)| slab.get(*place) == Some(&state)));
        assert_eq!(slab.slots.as_slice().iter().filter(|&&state| state > 0).count(), 1000);
        assert_eq!((slab.slots.as_slice().len(), slab.get(Place::default())), (1024, None));
    }
    #[test]
    fn a_state_begins_once_until_it_ends() {
        let mut slab = Slab::<u64>::default();
        let (mut one, mut other) = (Place::default(), Place::default());
        *slab.entry_or_begin(&mut one) = 7;
        *slab.entry_or_begin(&mut other) += 1;
        assert_eq!((*slab.entry_or_begin(&mut one), *slab.entry_or_begin(&mut other), slab.len()), (7, 1, 2));
        slab.end(one);
        let mut next = Place::default();
        assert_eq!((*slab.entry_or_begin(&mut next), next, slab.len()), (0, one, 2));
    }
}
