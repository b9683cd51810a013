//! The flow table: one id per flow, one hash per event.
//!
//! [`Flows::assign`] gives every event its flow's id and direction, opens flows, and ends them by event time. What it
//! does with an event depends on the events before it only, never on how they were cut into batches.

mod duplicates;
mod fragments;
mod index;
mod origin;
mod services;
mod slots;
mod wheel;

use std::collections::VecDeque;
use std::hash::BuildHasher;

use foldhash::fast::RandomState;

use crate::allow::{RuleId, Verdict};
use crate::event::{Detail, EndReason, FlowEvent, Marks, Notes, Opened, SocketRef, TcpFlags, TcpSegment};
use crate::key::{Direction, FlowKey, Protocol};
use crate::ledger::Ledger;
use crate::record::{Evidence, FlowRecord};
use crate::time::{NANOS_PER_SECOND, Nanos, Timestamp};
use duplicates::Duplicates;
use fragments::Fragments;
use index::Index;
use origin::Origin;
use wheel::{Visit, Wheel};

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

/// From this many flows on, cells and entries are prefetched a stride ahead; below, the table fits the caches and
/// prefetching only costs (about 5 ns an event at 10³ flows).
const PREFETCH_FROM: usize = 16 * 1024;

/// Flows looked at with every [`STRIDE`]th event while some of a second's are left: two for each event, which opens one
/// at most, so they do not pile up. Many at a time, so that their cache misses overlap.
const VISITS: usize = 2 * STRIDE;

/// How far ahead among the ids that were freed the next one to give out is prefetched.
const FREED_AHEAD: usize = 4;

/// Events hashed and prefetched ahead of their look-up.
const STRIDE: usize = 32;

/// How long flows live without events, and how many there may be.
///
/// The idle times are Zeek's, with three differences: they count from the latest packet rather than from the first
/// (so that a SYN repeated after 1 and 3 s stays one attempt), an attempt is waited for 30 s instead of 5 (4.4BSD repeats a
/// SYN after 6 s, and again after 24), and a half-closed connection keeps the TCP idle time (its open direction may still
/// carry data).
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Flows held at once; events that find no room are delivered without an id and counted as untracked.
    pub flows: usize,
    /// TCP connections in the middle of things.
    pub tcp: Nanos,
    /// TCP connections of which only one side has been seen to send, with a SYN. One that repeats its SYN waits as much
    /// longer as its timer does (RFC 6298 section 5.5), at most [`tcp`](Self::tcp).
    pub tcp_attempt: Nanos,
    /// TCP connections closed by both sides.
    pub tcp_close: Nanos,
    /// TCP connections that were reset.
    pub tcp_reset: Nanos,
    /// UDP and UDP-Lite.
    pub udp: Nanos,
    /// ICMP and ICMPv6.
    pub icmp: Nanos,
    /// Everything else.
    pub other: Nanos,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            flows: 4 << 20,
            tcp: Nanos::from_secs(300),
            tcp_attempt: Nanos::from_secs(30),
            tcp_close: Nanos::from_secs(5),
            tcp_reset: Nanos::from_secs(5),
            udp: Nanos::from_secs(60),
            icmp: Nanos::from_secs(60),
            other: Nanos::from_secs(60),
        }
    }
}

/// What the table keeps of a flow: one cache line, touched by every event.
#[derive(Copy, Clone, Debug)]
#[repr(C, align(64))]
struct Entry {
    /// See [`FlowKey::words`].
    words: [u64; 5],
    /// Time of the latest event.
    last: Timestamp,
    /// The originator's initial sequence number if `State::ISN`; the sequence number of its first segment otherwise.
    /// Of an entry that waits to be used again: the id that waits behind it.
    isn: u32,
    tag: u32,
    /// Tells this flow from earlier ones with the same id. 0 = never used.
    generation: u32,
    state: State,
}

const _: () = assert!(size_of::<Entry>() == 64);

impl Default for Entry {
    fn default() -> Self {
        Self { words: [0; 5], last: Timestamp::EPOCH, isn: 0, tag: 0, generation: 0, state: State::empty() }
    }
}

bitflags::bitflags! {
    /// What the table has to remember of a flow, TCP's ends included.
    #[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
    struct State: u32 {
        /// In use.
        const LIVE = 1;
        /// The originator is the second end of the words.
        const SWAPPED = 1 << 1;
        /// The originator's initial sequence number is known.
        const ISN = 1 << 2;
        /// Both have sent, or the originator something other than a SYN: not a mere attempt.
        const UNDERWAY = 1 << 3;
        const ORIGINATOR_FIN = 1 << 4;
        const RESPONDER_FIN = 1 << 5;
        const RESET = 1 << 6;
        const RESET_BY_RESPONDER = 1 << 7;
    }
}

impl Entry {
    /// Oriented: the originator is `src`.
    fn key(&self) -> FlowKey {
        let key = FlowKey::from_words(self.words);
        if self.state.contains(State::SWAPPED) { key.reversed() } else { key }
    }

    #[inline]
    fn protocol(&self) -> Protocol {
        Protocol((self.words[4] >> 48) as u8)
    }
}

impl State {
    #[inline]
    fn is_closed(self) -> bool {
        self.contains(Self::ORIGINATOR_FIN | Self::RESPONDER_FIN) || self.contains(Self::RESET)
    }

    fn fin(side: Direction) -> Self {
        match side {
            Direction::Forward => Self::ORIGINATOR_FIN,
            Direction::Reverse => Self::RESPONDER_FIN,
        }
    }
}

/// A [`Verdict`] that was given or not, in four bytes: rule ids are kept below [`RuleId::LIMIT`].
#[derive(Copy, Clone, Debug)]
struct KeptVerdict(u32);

impl KeptVerdict {
    const NONE: Self = Self(u32::MAX);
    const UNDECIDED: Self = Self(u32::MAX - 1);
    const UNLISTED: Self = Self(u32::MAX - 2);
}

impl Default for KeptVerdict {
    fn default() -> Self {
        Self::NONE
    }
}

impl From<Verdict> for KeptVerdict {
    fn from(verdict: Verdict) -> Self {
        match verdict {
            Verdict::Allowed(rule) => Self(rule.0.min(RuleId::LIMIT - 1)),
            Verdict::Unlisted => Self::UNLISTED,
            Verdict::Undecided => Self::UNDECIDED,
        }
    }
}

impl From<KeptVerdict> for Option<Verdict> {
    fn from(kept: KeptVerdict) -> Self {
        match kept.0 {
            rule if rule < RuleId::LIMIT => Some(Verdict::Allowed(RuleId(rule))),
            code if code == KeptVerdict::UNLISTED.0 => Some(Verdict::Unlisted),
            code if code == KeptVerdict::UNDECIDED.0 => Some(Verdict::Undecided),
            _ => None,
        }
    }
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
    /// The first of the ids to give out again, the latest first: what is kept of them is still in the caches. Each
    /// one's entry knows the one behind it; see [`Entry::isn`].
    free: FlowId,
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
    /// The end of the current second, in nanoseconds after `horizon`; 0 before the first event.
    second_ends: u64,
    /// Earlier events mean that time was set back.
    horizon: Timestamp,
    fragments: Fragments,
    /// Only for sources that may show a packet on several interfaces.
    duplicates: Option<Duplicates>,
    /// Flows to look at in this second, and how many of them have been.
    visits: Vec<Visit>,
    visited: usize,
    ended: Vec<FlowEvent>,
    /// What [`close`](Self::close) has yet to end, youngest first: age above id; see [`living`](Self::living).
    closing: Vec<u64>,
}

/// An event's place in the table, computed a stride ahead.
#[derive(Copy, Clone)]
struct Place {
    words: [u64; 5],
    /// Of the words; see [`Index`].
    tag: u32,
    /// What the index said before the stride; flows may have begun and ended since.
    likely: FlowId,
    /// The event goes against the order of the words.
    swapped: bool,
}

impl Default for Place {
    fn default() -> Self {
        Self { words: [0; 5], tag: 0, likely: FlowId::NONE, swapped: false }
    }
}

/// Hashes keys, differently in each process: nobody outside can choose keys that collide.
#[derive(Debug)]
struct KeyHasher {
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
    fn places(&self, stride: &[FlowEvent], places: &mut [Place]) -> bool {
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
            free: FlowId::NONE,
            freed: VecDeque::new(),
            event: 0,
            live: 0,
            serial: 0,
            wheel: Wheel::default(),
            now: Timestamp::MIN,
            second_ends: 0,
            horizon: Timestamp::MIN,
            fragments: Fragments::default(),
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
        debug_assert!(events.len() <= STEP, "the pipeline cuts longer batches");
        // Three strides at once: one is hashed and its cells asked for, the cells of the one before are read and its
        // entries asked for, the one before that is assigned.
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
        events.append(&mut self.ended);
    }

    /// The places of a stride's events, and asks for their cells.
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
        for event in stride.iter_mut() {
            if event.notes.contains(Notes::FRAGMENT) && event.key.is_some() {
                self.fragments.join(event);
            }
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
        // Within the current second or a little before it, in one comparison: what lies outside comes out larger.
        let since = event.time.as_nanos().wrapping_sub(self.horizon.as_nanos()) as u64;
        if since >= self.second_ends {
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
        let found =
            self.index.find(place.tag, |id| entries.get(id).is_some_and(|entry| same(&entry.words, &place.words)));
        if self.duplicates.is_some() && self.is_duplicate(event, place, found, ledger) {
            return;
        }
        let mut current = None;
        if let Some(id) = found {
            let entry = self.entries.entry(id);
            let origins = &self.origins;
            let start = || origins.get(id).map_or(entry.last, |origin| origin.start);
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

    /// Moves event time to another second, forward or far back, and ends what has been idle too long.
    #[cold]
    fn tick(&mut self, time: Timestamp) {
        self.now = time;
        let second = time.as_nanos().div_euclid(NANOS_PER_SECOND);
        let next = Timestamp::from_parts(second.saturating_add(1), 0);
        // Smaller steps back are late packets; see [`Wheel::advance`].
        self.horizon = Timestamp::from_parts(second, 0) - Nanos::from_secs(600);
        self.second_ends = next.as_nanos().wrapping_sub(self.horizon.as_nanos()) as u64;
        while !self.visits.is_empty() {
            self.visit(VISITS);
        }
        self.wheel.advance(second, &mut self.visits);
        // Few flows end at once, however rare events are.
        self.visit(VISITS);
    }

    /// Looks at the next flows whose time may have come, at most `most`.
    ///
    /// A few with each event rather than all of a second at once: what is kept of a flow that ends is then still in the
    /// caches when the next flow takes its place.
    #[inline(never)]
    fn visit(&mut self, most: usize) {
        let (from, end) = (self.visited, self.visits.len().min(self.visited + most));
        if self.is_large() {
            let (now, later) = self.visits[from..].split_at(end - from);
            self.prefetch_ends(now.iter().map(|&(id, _)| id), later.iter().take(most).map(|&(id, _)| id));
        }
        for place in from..end {
            let (id, generation) = self.visits[place];
            let Some(entry) = self.entries.get(id) else { continue };
            if entry.generation != generation || !entry.state.contains(State::LIVE) {
                continue;
            }
            let origins = &self.origins;
            let start = || origins.get(id).map_or(entry.last, |origin| origin.start);
            let deadline = entry.last + idle_time(&self.limits, entry, start);
            if deadline <= self.now {
                let reason = if entry.state.is_closed() { EndReason::EndOfFlow } else { EndReason::Idle };
                self.end(id, reason, deadline);
                self.freed.push_back((id, self.event));
            } else {
                self.wheel.remind(deadline, (id, generation));
            }
        }
        self.visited = end;
        if end == self.visits.len() {
            self.visited = 0;
            self.visits.clear();
            if self.visits.capacity() > 4096 {
                self.visits = Vec::new();
            }
        }
    }

    /// Whether there are so many flows that what is kept of them is mostly not in the caches.
    #[inline]
    fn is_large(&self) -> bool {
        self.live >= PREFETCH_FROM
    }

    /// Asks for what the end of a flow touches: the entries of those that come `later`, and what else there is of those
    /// that may end `now`.
    fn prefetch_ends(&self, now: impl Iterator<Item = FlowId>, later: impl Iterator<Item = FlowId>) {
        later.for_each(|id| self.entries.prefetch(id));
        for id in now {
            if let Some(entry) = self.entries.get(id) {
                self.index.prefetch(entry.tag);
                self.origins.prefetch(id);
            }
        }
    }

    fn open(&mut self, event: &FlowEvent, place: &Place) -> Option<FlowId> {
        if self.live >= self.limits.flows {
            return None;
        }
        while let Some(&(id, freed)) = self.freed.front()
            && self.event - freed >= STEP as u64
        {
            self.freed.pop_front();
            self.give_back(id);
        }
        let id = if self.free.is_some() {
            let id = self.free;
            self.free = FlowId(self.entries.entry(id).isn);
            if self.is_large() {
                let soon = self.freed.get(FREED_AHEAD).map_or(self.free, |&(id, _)| id);
                self.entries.prefetch(soon);
                self.origins.prefetch(soon);
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

    /// Puts an id first among those to give out.
    fn give_back(&mut self, id: FlowId) {
        self.entries.entry(id).isn = self.free.0;
        self.free = id;
    }

    /// Ends a flow. Its id is to be given back, or noted in `freed`.
    fn end(&mut self, id: FlowId, reason: EndReason, time: Timestamp) {
        let entry = self.entries.entry(id);
        entry.state.remove(State::LIVE);
        let (tag, key) = (entry.tag, entry.key());
        self.index.remove(tag, id);
        self.origins.entry(id).set_end(reason);
        self.live -= 1;
        self.ended.push(FlowEvent { time, key, flow: id, detail: Detail::End(reason), ..FlowEvent::default() });
    }

    /// Ends up to `most` of the flows that still live, in the order of their beginnings, as the input has ended: appends
    /// their `End` events. Returns whether some are left; ask again.
    pub fn close(&mut self, most: usize, events: &mut Vec<FlowEvent>) -> bool {
        // Those whose time had come first.
        while !self.visits.is_empty() && self.ended.len() < most {
            self.visit(VISITS.min(most - self.ended.len()));
        }
        if self.closing.is_empty() && self.visits.is_empty() {
            // Nobody waits for deadlines any more, and memory is at its peak.
            self.wheel.forget();
            self.closing = self.living();
        }
        while self.ended.len() < most && !self.closing.is_empty() {
            let group = self.closing.len().saturating_sub(VISITS.min(most - self.ended.len()));
            if self.is_large() {
                let (later, now) = self.closing.split_at(group);
                let id = |&key: &u64| FlowId(key as u32);
                self.prefetch_ends(now.iter().map(id), later.iter().rev().take(VISITS).map(id));
            }
            for _ in group..self.closing.len() {
                let Some(id) = self.closing.pop().map(|key| FlowId(key as u32)) else { break };
                if let Some(entry) = self.entries.get(id)
                    && entry.state.contains(State::LIVE)
                {
                    let last = entry.last;
                    self.end(id, EndReason::Forced, last);
                    self.give_back(id);
                }
            }
        }
        events.append(&mut self.ended);
        self.live > 0
    }

    /// The flows that live, youngest first, each by its age in the upper half of a word and its id in the lower. Ids do
    /// not tell ages: which of the free ones a flow gets depends on when those before it were given back.
    fn living(&self) -> Vec<u64> {
        // Ages that need more than half a word are kept without their last bits, and looked up where they are equal.
        let left_out = (u64::BITS - self.serial.leading_zeros()).saturating_sub(32);
        let age = |id: FlowId| self.origins.get(id).map_or(0, |origin| origin.age(self.serial));
        let is_live = |id: FlowId| self.entries.get(id).is_some_and(|entry| entry.state.contains(State::LIVE));
        let mut living = Vec::with_capacity(self.live);
        let ids = (0..self.next).map(FlowId).filter(|&id| is_live(id));
        living.extend(ids.map(|id| age(id) >> left_out << 32 | u64::from(id.0)));
        if left_out == 0 {
            living.sort_unstable();
        } else {
            living.sort_unstable_by_key(|&key| (key >> 32, age(FlowId(key as u32))));
        }
        living
    }
}

/// The events of stride `number`; `None` if there is no such stride.
fn stride_of(events: &mut [FlowEvent], number: usize) -> Option<&mut [FlowEvent]> {
    events.chunks_mut(STRIDE).nth(number)
}

/// The words of [`FlowKey::NONE`].
const NOBODY: [u64; 5] = [0; 5];

/// Whether two keys are equal. Why not `==`: on five words that is a call to `memcmp`, 28 instructions against 10.
#[inline]
fn same(a: &[u64; 5], b: &[u64; 5]) -> bool {
    (a[0] ^ b[0]) | (a[1] ^ b[1]) | (a[2] ^ b[2]) | (a[3] ^ b[3]) | (a[4] ^ b[4]) == 0
}

/// The flow's direction of an event that goes against the words' order if `swapped`.
#[inline]
fn direction_in(state: State, swapped: bool) -> Direction {
    if state.contains(State::SWAPPED) == swapped { Direction::Forward } else { Direction::Reverse }
}

/// A SYN whose timer doubles comes again after no longer than all the time since the first and one interval more; this
/// many times that time is long enough.
const BACKOFF: i64 = 3;

/// How long the flow may be silent in its present state, having begun at `start`.
fn idle_time(limits: &Limits, entry: &Entry, start: impl FnOnce() -> Timestamp) -> Nanos {
    match entry.protocol() {
        Protocol::TCP if entry.state.contains(State::RESET) => limits.tcp_reset,
        Protocol::TCP if entry.state.is_closed() => limits.tcp_close,
        Protocol::TCP if entry.state.contains(State::UNDERWAY) => limits.tcp,
        Protocol::TCP => {
            let repeating = Nanos::new((entry.last - start()).get().saturating_mul(BACKOFF));
            limits.tcp_attempt.max(repeating.min(limits.tcp))
        }
        Protocol::UDP | Protocol::UDP_LITE => limits.udp,
        Protocol::ICMP | Protocol::ICMPV6 => limits.icmp,
        _ => limits.other,
    }
}

/// Whether this event, the usual one, only moves its flow's time on: that lives, it comes after a gap within every limit and no
/// control bit of it begins or ends anything. A TCP connection is then no mere attempt any more.
#[inline]
fn goes_on(entry: &Entry, event: &FlowEvent, shortest: Nanos) -> bool {
    // A step back comes out huge.
    let gap = event.time.as_nanos().wrapping_sub(entry.last.as_nanos()) as u64;
    let control = match &event.detail {
        Detail::Tcp(tcp) => tcp.flags.intersects(TcpFlags::SYN | TcpFlags::FIN | TcpFlags::RST),
        Detail::Socket(socket) => socket.first | socket.last,
        _ => false,
    };
    // Of one that was reset it is asked by whom.
    let open = entry.state.bits() & (State::LIVE | State::RESET).bits() == State::LIVE.bits();
    open & (gap <= shortest.get() as u64) & !control
}

/// Whether this event belongs to a new flow with the key of `entry`, which then has ended: why and when.
#[inline]
fn should_end(
    limits: &Limits,
    shortest: Nanos,
    entry: &Entry,
    event: &FlowEvent,
    place: &Place,
    start: impl FnOnce() -> Timestamp,
) -> Option<(EndReason, Timestamp)> {
    // Cheap first: no idle time is shorter than the gaps of ordinary traffic. A step back comes out huge, and is then
    // looked at properly.
    let gap = event.time.as_nanos().wrapping_sub(entry.last.as_nanos()) as u64;
    if gap > shortest.get() as u64 {
        let deadline = entry.last + idle_time(limits, entry, start);
        if event.time > deadline {
            let reason = if entry.state.is_closed() { EndReason::EndOfFlow } else { EndReason::Idle };
            return Some((reason, deadline));
        }
    }
    match &event.detail {
        Detail::Tcp(tcp) if tcp.flags.contains(TcpFlags::SYN) => {
            is_reuse(entry, tcp, direction_in(entry.state, place.swapped)).then_some((EndReason::EndOfFlow, entry.last))
        }
        // Another socket with the same ends, after the one before it was destroyed.
        Detail::Socket(SocketRef { first: true, last: false, .. }) => {
            entry.state.is_closed().then_some((EndReason::EndOfFlow, entry.last))
        }
        _ => None,
    }
}

impl Limits {
    /// The shortest of the idle times.
    fn shortest(&self) -> Nanos {
        let Self { flows: _, tcp, tcp_attempt, tcp_close, tcp_reset, udp, icmp, other } = *self;
        tcp.min(tcp_attempt).min(tcp_close).min(tcp_reset).min(udp).min(icmp).min(other)
    }
}

/// Whether a SYN-ACK ends something too: no handshake has that, only scanners.
fn is_nonsense(flags: TcpFlags) -> bool {
    flags.contains(TcpFlags::SYN | TcpFlags::ACK) && flags.intersects(TcpFlags::FIN | TcpFlags::RST)
}

/// Whether the sender of a flow's first event is the originator, and how that is known.
fn originator(event: &FlowEvent) -> (bool, Evidence) {
    let key = &event.key;
    match event.detail {
        Detail::Tcp(tcp) if tcp.flags.contains(TcpFlags::SYN) && !is_nonsense(tcp.flags) => {
            if tcp.flags.contains(TcpFlags::ACK) { (false, Evidence::SynAck) } else { (true, Evidence::Syn) }
        }
        Detail::Socket(SocketRef { opened: Opened::Locally, .. }) => (true, Evidence::Listener),
        Detail::Socket(SocketRef { opened: Opened::Remotely, .. }) => (false, Evidence::Listener),
        Detail::Icmp(_) => match (key.protocol, key.src_port) {
            (Protocol::ICMP, 8 | 13 | 15 | 17) | (Protocol::ICMPV6, 128) => (true, Evidence::Request),
            (Protocol::ICMP, 0 | 14 | 16 | 18) | (Protocol::ICMPV6, 129) => (false, Evidence::Request),
            _ => (true, Evidence::FirstSeen),
        },
        _ if is_service(key.src_port) && !is_service(key.dst_port) && key.protocol.has_ports() => {
            (false, Evidence::Ports)
        }
        _ => (true, Evidence::FirstSeen),
    }
}

/// Notes what an event does to the connection, as far as its expiry depends on it. Whether it ends something.
#[inline]
fn note(entry: &mut Entry, event: &FlowEvent) -> bool {
    match &event.detail {
        Detail::Tcp(tcp) => note_tcp(entry, tcp.flags, event.direction),
        Detail::Socket(socket) => {
            entry.state |= State::UNDERWAY;
            if socket.last {
                entry.state |= State::ORIGINATOR_FIN | State::RESPONDER_FIN;
            }
            socket.last
        }
        _ => false,
    }
}

/// Notes what a segment does to the connection, as far as its expiry depends on it. Whether it ends something.
#[inline]
fn note_tcp(entry: &mut Entry, flags: TcpFlags, direction: Direction) -> bool {
    if direction == Direction::Reverse || !flags.contains(TcpFlags::SYN) {
        entry.state |= State::UNDERWAY;
    }
    let ends = flags.intersects(TcpFlags::FIN | TcpFlags::RST);
    if ends {
        if flags.contains(TcpFlags::FIN) {
            entry.state |= State::fin(direction);
        }
        if flags.contains(TcpFlags::RST) {
            entry.state |= State::RESET;
            entry.state.set(State::RESET_BY_RESPONDER, direction == Direction::Reverse);
        }
    }
    let by = if entry.state.contains(State::RESET_BY_RESPONDER) { Direction::Reverse } else { Direction::Forward };
    if !flags.intersects(TcpFlags::RST | TcpFlags::SYN) && direction == by {
        // Whoever goes on has not reset: somebody else did, or it was not heeded.
        entry.state.remove(State::RESET);
    }
    ends
}

/// How far before a flow's first segment its SYN may arrive late and still belong to it.
const LATE_SYN: u32 = 1 << 16;

/// Whether a SYN begins a new connection between the same ports.
///
/// A SYN that repeats the known initial number belongs to the flow, closed or not. Another number from the originator
/// is a new connection, as is any SYN without ACK once the flow was closed. A SYN from the responder of an open flow
/// is a simultaneous open (RFC 9293 section 3.5).
fn is_reuse(entry: &Entry, tcp: &TcpSegment, direction: Direction) -> bool {
    if tcp.flags.contains(TcpFlags::ACK) {
        return false;
    }
    match direction {
        Direction::Forward if entry.state.contains(State::ISN) => tcp.seq != entry.isn,
        Direction::Forward => entry.isn.wrapping_sub(tcp.seq) > LATE_SYN,
        Direction::Reverse => entry.state.is_closed(),
    }
}

#[cfg(test)]
mod tests;
