//! How flows end: by time, and with the input.

use super::entry::State;
use super::limits::idle_time;
use super::{FlowId, Flows, VISITS, start_of};
use crate::event::{Detail, EndReason, FlowEvent};
use crate::time::{NANOS_PER_SECOND, Timestamp};

impl Flows {
    /// Event time has moved to another second, forward or far back: ends what has been idle too long.
    #[cold]
    pub(super) fn tick(&mut self, time: Timestamp) {
        self.now = time;
        let second = time.as_nanos().div_euclid(NANOS_PER_SECOND);
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
    pub(super) fn visit(&mut self, most: usize) {
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
            let deadline = entry.last + idle_time(&self.limits, entry, || start_of(&self.origins, id, entry));
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

    /// Ends a flow. Its id is to be given back, or noted in `freed`.
    pub(super) fn end(&mut self, id: FlowId, reason: EndReason, time: Timestamp) {
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
                    self.free.push(id);
                }
            }
        }
        if events.is_empty() {
            std::mem::swap(events, &mut self.ended);
        } else {
            events.append(&mut self.ended);
        }
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
