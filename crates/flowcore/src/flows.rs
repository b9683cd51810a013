//! The flow table: one id per flow, one hash per event.
//!
//! [`Flows::assign`] gives every event its flow's id and direction, opens flows, and ends them by event time. What it
//! does with an event depends on the events before it only, never on how they were cut into batches.

mod duplicates;
mod ending;
mod entry;
mod fragments;
mod index;
mod limits;
mod origin;
mod places;
mod services;
mod slots;
mod verdict;
mod wheel;

use std::collections::VecDeque;
use std::fmt;

use crate::allow::Verdict;
use crate::event::{Detail, FlowEvent, Marks, Notes, TcpFlags};
use crate::ledger::Ledger;
use crate::record::{Evidence, FlowRecord};
use crate::time::{NANOS_PER_SECOND, Nanos, Timestamp};
use duplicates::Duplicates;
use entry::{Entry, State, direction_in, goes_on, note, should_end};
use fragments::Fragments;
use index::Index;
use limits::idle_time;
use origin::{Origin, originator};
use places::{KeyHasher, NOBODY, Place, same};
use verdict::KeptVerdict;
use wheel::{Visit, Wheel};

pub use limits::Limits;
pub use services::is_service;
pub use slots::Slots;

/// A flow's index in the table and in every [`Slots`]. May be given to another flow after the flow's `End` event.
#[derive(Copy, Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FlowId(pub u32);

impl FlowId {
    /// No flow.
    pub const NONE: Self = Self(u32::MAX);

    /// Whether there is a flow.
    #[inline]
    pub fn is_some(self) -> bool {
        self != Self::NONE
    }
}

/// The most events that may go through the table in one step; ids freed within a step are not given out in it.
pub const STEP: usize = 4096;

/// From this many flows on, buckets and entries are prefetched a stride ahead; below, the table fits the caches and
/// prefetching only costs (about 5 ns an event at 10³ flows). With 14 thousand it saves a tenth of the table's time.
const PREFETCH_FROM: usize = 4 * 1024;

/// Flows looked at with every [`STRIDE`]th event while some of a second's are left: two for each event, which opens one
/// at most, so they do not pile up. Many at a time, so that their cache misses overlap.
const VISITS: usize = 2 * STRIDE;

/// How far ahead among the ids that were freed the next one to give out is prefetched.
const FREED_AHEAD: usize = 4;

/// An id that may be given out within so many events is asked for rather than those that may be already.
const SOON: u64 = 64;

/// Events hashed and prefetched ahead of their look-up.
const STRIDE: usize = 32;

/// Seconds of event time.
#[derive(Copy, Clone, Debug)]
pub(crate) struct Clock {
    /// The end of the current second, in nanoseconds after `horizon`; 0 before the first event.
    second_ends: u64,
    /// Earlier events mean that time was set back. Smaller steps back are late packets; see [`Wheel::advance`].
    horizon: Timestamp,
}

impl Default for Clock {
    fn default() -> Self {
        Self { second_ends: 0, horizon: Timestamp::MIN }
    }
}

impl Clock {
    /// Whether an event of this time begins another second, which then is the current one.
    #[inline(always)]
    pub(crate) fn begins_second(&mut self, time: Timestamp) -> bool {
        // Within the current second or a little before it, in one comparison: what lies outside comes out larger.
        let since = time.as_nanos().wrapping_sub(self.horizon.as_nanos()) as u64;
        let begins = since >= self.second_ends;
        if begins {
            self.set(time);
        }
        begins
    }

    #[cold]
    fn set(&mut self, time: Timestamp) {
        let second = time.as_nanos().div_euclid(NANOS_PER_SECOND);
        let next = Timestamp::from_parts(second.saturating_add(1), 0);
        self.horizon = Timestamp::from_parts(second, 0) - Nanos::from_secs(600);
        self.second_ends = next.as_nanos().wrapping_sub(self.horizon.as_nanos()) as u64;
    }
}

/// An event that was taken out, but moves the clock.
#[derive(Copy, Clone, Debug)]
pub(crate) struct Tick {
    /// How many of the events that are left come before it.
    pub(crate) before: usize,
    pub(crate) time: Timestamp,
}

/// The flow table.
pub struct Flows {
    limits: Limits,
    /// The shortest of the limits' idle times.
    shortest: Nanos,
    hasher: KeyHasher,
    index: Index,
    entries: Slots<Entry>,
    origins: Slots<Origin>,
    /// Empty without a whitelist.
    verdicts: Slots<KeptVerdict>,
    /// Ids never given out begin here.
    next: u32,
    /// The ids to give out again, the latest at the end: what is kept of them is still in the caches. Not linked through
    /// their entries: each would be waited for, where it may just as well be asked for ahead.
    free: Vec<FlowId>,
    /// Ids freed by one of the last [`STEP`] events, oldest first, each with that event's number. By events rather than
    /// by steps, so that ids do not depend on how events were cut into batches.
    freed: VecDeque<(FlowId, u64)>,
    /// Number of the latest event.
    event: u64,
    live: usize,
    serial: u64,
    wheel: Wheel,
    /// Time of the event that began the current second.
    now: Timestamp,
    clock: Clock,
    fragments: Fragments,
    /// The fragments of the step to come have been joined.
    joined: bool,
    /// Only for sources that may show a packet on several interfaces.
    duplicates: Option<Duplicates>,
    /// Flows to look at in this second, and how many of them have been.
    visits: Vec<Visit>,
    visited: usize,
    ended: Vec<FlowEvent>,
    /// What [`close`](Self::close) has yet to end, youngest first: age above id; see [`living`](Self::living).
    closing: Vec<u64>,
}

impl fmt::Debug for Flows {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Flows")
            .field("live", &self.live)
            .field("opened", &self.serial)
            .field("limits", &self.limits)
            .finish_non_exhaustive()
    }
}

impl Flows {
    /// An empty table. `several_interfaces`: watch for packets seen twice.
    pub fn new(limits: Limits, several_interfaces: bool) -> Self {
        Self {
            limits,
            shortest: limits.shortest(),
            hasher: KeyHasher::default(),
            index: Index::default(),
            entries: Slots::new(),
            origins: Slots::new(),
            verdicts: Slots::new(),
            next: 0,
            free: Vec::new(),
            freed: VecDeque::new(),
            event: 0,
            live: 0,
            serial: 0,
            wheel: Wheel::default(),
            now: Timestamp::MIN,
            clock: Clock::default(),
            fragments: Fragments::default(),
            joined: false,
            duplicates: several_interfaces.then(Duplicates::default),
            visits: Vec::new(),
            visited: 0,
            ended: Vec::new(),
            closing: Vec::new(),
        }
    }

    /// Flows that live now.
    pub fn len(&self) -> usize {
        self.live
    }

    /// Whether no flow lives.
    pub fn is_empty(&self) -> bool {
        self.live == 0
    }

    /// Flows opened so far.
    pub fn opened(&self) -> u64 {
        self.serial
    }

    /// Bytes held by the table.
    pub fn memory_bytes(&self) -> usize {
        let slots = self.entries.memory_bytes() + self.origins.memory_bytes() + self.verdicts.memory_bytes();
        self.index.memory_bytes() + slots
    }

    /// What is known of a flow, also of one that ended within the current batch. `None` for ids never given out.
    pub fn record(&self, id: FlowId) -> Option<FlowRecord> {
        let (entry, origin) = (self.entries.get(id)?, self.origins.get(id)?);
        if entry.generation == 0 {
            return None;
        }
        Some(FlowRecord {
            id,
            serial: self.serial.wrapping_sub(origin.age(self.serial)),
            key: entry.key(),
            start: origin.start,
            last: entry.last,
            evidence: origin.evidence(),
            interface: origin.interface(),
            end: origin.end(),
            verdict: self.verdicts.get(id).copied().unwrap_or_default().into(),
        })
    }

    /// How it is known which end began a flow: [`record`](Self::record)'s, alone.
    #[inline]
    pub fn evidence(&self, id: FlowId) -> Option<Evidence> {
        self.origins.get(id).map(Origin::evidence)
    }

    /// Keeps what a whitelist said of a flow; [`record`](Self::record) repeats it.
    pub(crate) fn keep_verdict(&mut self, id: FlowId, verdict: Verdict) {
        *self.verdicts.entry(id) = verdict.into();
    }

    /// The ids that were ever given out: those of living flows, of ended ones, and of ones that wait to be given again.
    pub(crate) fn ids(&self) -> impl Iterator<Item = FlowId> + use<> {
        (0..self.next).map(FlowId)
    }

    /// Gives every event its flow and direction, opens flows where there was none, and appends an `End` event for each
    /// flow that ended. Untracked and duplicate events are counted in `ledger`.
    ///
    /// At most [`STEP`] events a call; those beyond are left untouched (a debug build says so).
    pub fn assign(&mut self, events: &mut Vec<FlowEvent>, ledger: &mut Ledger) {
        self.assign_between(events, &[], ledger);
    }

    /// The same where events were taken out that move the clock, in the order of their places.
    pub(crate) fn assign_between(&mut self, events: &mut Vec<FlowEvent>, ticks: &[Tick], ledger: &mut Ledger) {
        debug_assert!(events.len() <= STEP, "the pipeline cuts longer batches");
        let mut rest = &mut events[..];
        let mut before = 0;
        for tick in ticks {
            let (now, later) = rest.split_at_mut(tick.before - before);
            (rest, before) = (later, tick.before);
            self.assign_all(now, ledger);
            if self.clock.begins_second(tick.time) {
                self.tick(tick.time);
            }
        }
        self.assign_all(rest, ledger);
        self.joined = false;
        events.append(&mut self.ended);
    }

    /// Gives the fragments among the events of the step to come the ports of their datagrams, before some of these
    /// events are taken out: a first fragment tells of later ones though it is, and a filter of ports selects all.
    #[cold]
    #[inline(never)]
    pub(crate) fn join_ahead(&mut self, events: &mut [FlowEvent]) {
        events.iter_mut().filter(|event| is_fragment(event)).for_each(|event| self.fragments.join(event));
        self.joined = true;
    }

    /// The clock as it stands.
    pub(crate) fn clock(&self) -> Clock {
        self.clock
    }

    fn assign_all(&mut self, events: &mut [FlowEvent], ledger: &mut Ledger) {
        // Three strides at once: one is hashed and its buckets asked for, the buckets of the one before are read and
        // its entries asked for, the one before that is assigned.
        let mut places = [[Place::default(); STRIDE]; 3];
        let strides = events.len().div_ceil(STRIDE);
        for step in 0..strides + 2 {
            if let Some(stride) = stride_of(events, step) {
                self.hash(stride, &mut places[step % 3]);
            }
            if let Some(before) = step.checked_sub(1).filter(|&before| before < strides) {
                self.look_up(&mut places[before % 3]);
            }
            if let Some(stride) = step.checked_sub(2).and_then(|before| stride_of(events, before)) {
                self.assign_stride(stride, &places[(step - 2) % 3], ledger);
            }
        }
    }

    /// The places of a stride's events, and asks for their buckets.
    fn hash(&mut self, stride: &mut [FlowEvent], places: &mut [Place; STRIDE]) {
        if self.hasher.places(stride, places) {
            self.join_fragments(stride, places);
        }
        if self.is_large() {
            for place in places.iter() {
                self.index.prefetch(place.tag);
            }
        }
    }

    /// Gives fragments the ports of their datagrams.
    #[cold]
    #[inline(never)]
    fn join_fragments(&mut self, stride: &mut [FlowEvent], places: &mut [Place]) {
        for event in stride.iter_mut().filter(|event| is_fragment(event)) {
            if !self.joined {
                self.fragments.join(event);
            }
            fragments::hold_back_fin(event);
        }
        self.hasher.places(stride, places);
    }

    /// Finds out which flow each place most likely means, and asks for its entry.
    #[inline(never)]
    fn look_up(&self, places: &mut [Place]) {
        let far = self.is_large();
        for place in places {
            place.likely = self.index.likely(place.tag);
            if far {
                self.entries.prefetch(place.likely);
            }
        }
    }

    #[inline(never)]
    fn assign_stride(&mut self, stride: &mut [FlowEvent], places: &[Place], ledger: &mut Ledger) {
        for (event, place) in stride.iter_mut().zip(places) {
            self.assign_one(event, place, ledger);
        }
    }

    #[inline(always)]
    fn assign_one(&mut self, event: &mut FlowEvent, place: &Place, ledger: &mut Ledger) {
        self.event += 1;
        if self.clock.begins_second(event.time) {
            self.tick(event.time);
        }
        if self.event.is_multiple_of(STRIDE as u64) {
            self.visit(VISITS);
        }
        // Protocol and addresses; frames without a flow have none of them.
        if place.words[4] == 0 && same(&place.words, &NOBODY) {
            return;
        }
        if self.duplicates.is_none()
            && let Some(entry) = self.entries.get_mut(place.likely)
            && same(&entry.words, &place.words)
            && goes_on(entry, event, self.shortest)
        {
            entry.last = event.time;
            // Only TCP has mere attempts.
            entry.state |= State::UNDERWAY;
            event.flow = place.likely;
            event.direction = direction_in(entry.state, place.swapped);
            return;
        }
        self.assign_other(event, place, ledger);
    }

    /// The same for events that may begin or end something.
    #[inline(never)]
    fn assign_other(&mut self, event: &mut FlowEvent, place: &Place, ledger: &mut Ledger) {
        let entries = &self.entries;
        // What was likely may have ended since; its words stay.
        let is_meant = |id| {
            entries.get(id).is_some_and(|entry| entry.state.contains(State::LIVE) && same(&entry.words, &place.words))
        };
        let found = if is_meant(place.likely) { Some(place.likely) } else { self.index.find(place.tag, is_meant) };
        if self.duplicates.is_some() && self.is_duplicate(event, place, found, ledger) {
            return;
        }
        let mut current = None;
        if let Some(id) = found {
            let entry = self.entries.entry(id);
            let start = || start_of(&self.origins, id, entry);
            match should_end(&self.limits, self.shortest, entry, event, place, start) {
                Some((reason, time)) => {
                    self.end(id, reason, time);
                    self.freed.push_back((id, self.event));
                }
                None => current = found,
            }
        }
        let id = match current {
            Some(id) => id,
            None => match self.open(event, place) {
                Some(id) => {
                    event.marks |= Marks::BEGIN;
                    id
                }
                None => {
                    ledger.untracked += u64::from(event.packets);
                    return;
                }
            },
        };
        let entry = self.entries.entry(id);
        entry.last = entry.last.max(event.time);
        event.flow = id;
        event.direction = direction_in(entry.state, place.swapped);
        if let Detail::Tcp(_) | Detail::Socket(_) = &event.detail {
            let was_closed = entry.state.is_closed();
            if note(entry, event) && !was_closed && entry.state.is_closed() {
                let visit = (id, entry.generation);
                let deadline = entry.last + idle_time(&self.limits, entry, || entry.last);
                self.wheel.remind(deadline, visit);
            }
        }
    }

    /// Recognises a packet already seen on another interface; gives it its flow all the same.
    #[inline(never)]
    fn is_duplicate(
        &mut self,
        event: &mut FlowEvent,
        place: &Place,
        found: Option<FlowId>,
        ledger: &mut Ledger,
    ) -> bool {
        let Some(duplicates) = &mut self.duplicates else { return false };
        if !duplicates.is_duplicate(event, &place.words) {
            return false;
        }
        event.marks |= Marks::DUPLICATE;
        ledger.duplicates += u64::from(event.packets);
        if let Some((id, entry)) = found.and_then(|id| Some((id, self.entries.get(id)?))) {
            event.flow = id;
            event.direction = direction_in(entry.state, place.swapped);
        }
        true
    }

    /// Whether there are so many flows that what is kept of them is mostly not in the caches.
    #[inline]
    fn is_large(&self) -> bool {
        self.live >= PREFETCH_FROM
    }

    fn open(&mut self, event: &FlowEvent, place: &Place) -> Option<FlowId> {
        if self.live >= self.limits.flows {
            return None;
        }
        while let Some(&(id, freed)) = self.freed.front()
            && self.event - freed >= STEP as u64
        {
            self.freed.pop_front();
            self.free.push(id);
        }
        let id = if let Some(id) = self.free.pop() {
            if self.is_large() {
                let due = |&&(_, freed): &&(_, u64)| self.event - freed + SOON >= STEP as u64;
                let freed = self.freed.get(FREED_AHEAD).filter(due).map(|&(id, _)| id);
                let free = || self.free.len().checked_sub(FREED_AHEAD + 1).map(|place| self.free[place]);
                if let Some(soon) = freed.or_else(free) {
                    self.entries.prefetch(soon);
                    self.origins.prefetch(soon);
                }
            }
            id
        } else {
            let id = FlowId(self.next);
            self.next = self.next.checked_add(1).filter(|&next| next != u32::MAX)?;
            id
        };
        let (by_sender, evidence) = originator(event);
        let mut state = State::LIVE;
        state.set(State::SWAPPED, place.swapped == by_sender);
        let tag = place.tag;
        let entry = self.entries.entry(id);
        let generation = entry.generation.wrapping_add(1).max(1);
        *entry = Entry { words: place.words, last: event.time, isn: 0, tag, generation, state };
        if let Detail::Tcp(tcp) = event.detail {
            // A SYN-ACK tells the originator's number as well as its own SYN would.
            let first = if by_sender { tcp.seq } else { tcp.ack.wrapping_sub(1) };
            entry.isn = first;
            if tcp.flags.contains(TcpFlags::SYN) {
                entry.state |= State::ISN;
            } else {
                entry.keep_responder(if by_sender { tcp.ack } else { tcp.seq });
            }
        }
        *self.origins.entry(id) = Origin::new(event.time, self.serial, event.interface, evidence);
        if let Some(verdict) = self.verdicts.get_mut(id) {
            *verdict = KeptVerdict::NONE;
        }
        self.serial += 1;
        self.live += 1;
        self.index.insert(tag, id);
        let deadline = event.time + idle_time(&self.limits, self.entries.entry(id), || event.time);
        self.wheel.remind(deadline, (id, generation));
        Some(id)
    }
}

fn is_fragment(event: &FlowEvent) -> bool {
    event.notes.contains(Notes::FRAGMENT) && event.key.is_some()
}

/// When a flow began.
fn start_of(origins: &Slots<Origin>, id: FlowId, entry: &Entry) -> Timestamp {
    origins.get(id).map_or(entry.last, |origin| origin.start)
}

/// The events of stride `number`; `None` if there is no such stride.
fn stride_of(events: &mut [FlowEvent], number: usize) -> Option<&mut [FlowEvent]> {
    events.chunks_mut(STRIDE).nth(number)
}

#[cfg(test)]
mod tests;
