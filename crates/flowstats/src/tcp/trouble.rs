//! What only connections in trouble have: holes, repetitions, recoveries, zero windows.

use flowcore::{Nanos, Timestamp};

use super::retransmit::Recovery;
use super::{NEVER, Retransmission, SideFacts};

/// The newest entries of a list that must not grow; the oldest makes room.
#[derive(Clone, Debug)]
pub(super) struct Latest<T, const N: usize> {
    entries: Vec<T>,
}

impl<T, const N: usize> Default for Latest<T, N> {
    fn default() -> Self {
        Self { entries: Vec::new() }
    }
}

impl<T, const N: usize> Latest<T, N> {
    /// The most bytes that the list takes.
    const MOST_BYTES: usize = N.next_power_of_two() * size_of::<T>();

    /// Bytes that the list takes.
    fn list_bytes(&self) -> usize {
        self.entries.capacity() * size_of::<T>()
    }

    /// Adds the newest; whether that let go of the oldest.
    pub(super) fn push(&mut self, entry: T) -> bool {
        let full = self.entries.len() == N;
        if full {
            self.entries.remove(0);
        }
        self.entries.push(entry);
        full
    }

    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Newest first.
    pub(super) fn iter(&self) -> impl Iterator<Item = &T> {
        self.entries.iter().rev()
    }

    /// Newest first.
    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut T> {
        self.entries.iter_mut().rev()
    }

    pub(super) fn retain(&mut self, keep: impl FnMut(&mut T) -> bool) {
        self.entries.retain_mut(keep);
    }
}

/// A stretch of a stream that was jumped over.
#[derive(Copy, Clone, Debug)]
pub(super) struct Hole {
    /// Positions of its first byte and one beyond its last.
    pub from: i64,
    pub to: i64,
    /// When the segment that jumped was seen.
    pub time: Timestamp,
    /// IPv4 identifications of the segment before the jump and of the one that jumped; 0 without.
    pub ids: [u16; 2],
    /// Timestamp option of the segment that jumped; 0 without.
    pub stamp: u32,
}

/// What had been seen of a segment's bytes.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(super) enum Earlier {
    /// Nothing: they had been jumped over.
    Nothing,
    /// They themselves.
    Once,
    /// They were the newest, at this time and with this timestamp option.
    Newest(i64, u32),
}

/// A segment that was sent again.
#[derive(Copy, Clone, Debug)]
pub(super) struct Repeat {
    /// Positions of its first byte and one beyond its last.
    pub from: i64,
    pub to: i64,
    pub time: Timestamp,
    /// Its timestamp option.
    pub stamp: Option<u32>,
    /// Another segment had the same, or it was echoed before: an echo does not tell that it answers this copy.
    pub shared: bool,
    /// When the first copy was seen and its timestamp option, if it was the newest segment then.
    pub first: Option<(i64, u32)>,
    pub kind: Retransmission,
    /// Its bytes had not been seen before.
    pub filled: bool,
    /// An ACK of it was seen.
    pub acknowledged: bool,
    /// The receiver has reported a copy of it as a duplicate.
    pub reported: bool,
}

/// So many open holes of a stream are told apart, as many as [`Gaps`](super::Gaps) tells apart.
const MOST_HOLES: usize = 32;

/// The trouble of one direction's data.
#[derive(Clone, Debug)]
pub(super) struct Side {
    /// Position up to which an ACK tells no round trip: something below was sent again, or a hole was there.
    pub ambiguous_to: i64,
    /// Duplicate ACKs since the last that acknowledged more.
    pub duplicate_acks: u32,
    /// When the latest of them came, or within a recovery that such began one that acknowledged a part.
    pub asked_time: i64,
    /// Up to where the latest recovery that such began goes: the newest byte then (RFC 6582's `recover`).
    pub recover: i64,
    /// Duplicate ACKs in all.
    pub all_duplicate_acks: u32,
    /// What was sent again below `ambiguous_to`, and why.
    pub recovery: Recovery,
    holes: Latest<Hole, MOST_HOLES>,
    /// A hole was let go of: whether it was filled nobody knows.
    lost_hole: bool,
    /// When bytes were last acknowledged that had not been seen.
    pub missed_time: i64,
    /// Gaps that the witness was told since no byte was missing.
    pub gaps: u32,
    pub repeats: Latest<Repeat, 8>,
    /// When this end's latest probe was seen.
    pub probe_time: i64,
    /// When this end's latest SYN was seen, if there were several.
    pub syn_time: i64,
    pub retransmissions: [u32; Retransmission::COUNT],
    pub retransmitted_bytes: u64,
    pub reordered: u32,
    pub duplicates: u32,
    /// Verdicts on repeated and late segments that rest on time alone.
    pub guessed: u32,
    pub zero_windows: u32,
    /// When this end's window became zero; [`NEVER`] while it is open.
    pub zero_since: i64,
    /// When a segment said so that the other end heeds: an older one than the newest changes no window (RFC 9293 section
    /// 3.10.7.4); [`NEVER`] if none did.
    pub zero_told: i64,
    pub zero_time: i64,
    /// What ended a zero window was not captured.
    pub zero_unseen: bool,
    /// Timestamp option of the segment that last shut or opened this end's window, 0 without; and when it was seen.
    pub window_stamp: u32,
    pub window_time: i64,
    /// Packets marked by the network, segments that echo marks, and segments that say the window was reduced.
    pub congested: u32,
    pub echoed: u32,
    pub reduced: u32,
}

impl Default for Side {
    fn default() -> Self {
        Self {
            ambiguous_to: i64::MIN,
            duplicate_acks: 0,
            asked_time: NEVER,
            recover: 0,
            all_duplicate_acks: 0,
            recovery: Recovery::None,
            holes: Latest::default(),
            lost_hole: false,
            missed_time: NEVER,
            gaps: 0,
            repeats: Latest::default(),
            probe_time: NEVER,
            syn_time: NEVER,
            retransmissions: [0; Retransmission::COUNT],
            retransmitted_bytes: 0,
            reordered: 0,
            duplicates: 0,
            guessed: 0,
            zero_windows: 0,
            zero_since: NEVER,
            zero_told: NEVER,
            zero_time: 0,
            zero_unseen: false,
            window_stamp: 0,
            window_time: NEVER,
            congested: 0,
            echoed: 0,
            reduced: 0,
        }
    }
}

impl Side {
    /// Puts what was counted into `facts`; a zero window that is still open is counted `until` then.
    pub(super) fn describe(&self, until: i64, facts: &mut SideFacts) {
        let open = if self.zero_since == NEVER { 0 } else { until.saturating_sub(self.zero_since).max(0) };
        facts.retransmissions = self.retransmissions.map(u64::from);
        facts.retransmitted_bytes = self.retransmitted_bytes;
        facts.reordered = u64::from(self.reordered);
        facts.duplicates = u64::from(self.duplicates);
        facts.guessed = u64::from(self.guessed);
        facts.duplicate_acks = u64::from(self.all_duplicate_acks);
        facts.zero_windows = u64::from(self.zero_windows);
        facts.zero_window_time = Nanos::new(self.zero_time.saturating_add(open));
        facts.zero_window_unseen = self.zero_unseen;
        facts.zero_window_shut = self.zero_since != NEVER;
        facts.congested = u64::from(self.congested);
        facts.echoed = u64::from(self.echoed);
        facts.reduced = u64::from(self.reduced);
    }

    /// Another segment was sent with this timestamp, or an ACK of nothing more echoed it: the next to echo it does not
    /// tell which segment arrived, or when. Whether any had it.
    pub(super) fn share(&mut self, stamp: u32) -> bool {
        let mut found = false;
        for repeat in self.repeats.iter_mut().filter(|repeat| repeat.stamp == Some(stamp)) {
            repeat.shared = true;
            found = true;
        }
        found
    }

    /// When just this was sent again before; [`NEVER`] if it was not.
    pub(super) fn repeated(&mut self, from: i64, to: i64, stamp: Option<u32>) -> i64 {
        let same = |repeat: &&mut Repeat| (repeat.from, repeat.to, repeat.stamp) == (from, to, stamp);
        self.repeats.iter_mut().find(same).map_or(NEVER, |repeat| repeat.time.as_nanos())
    }

    /// An ACK of nothing more echoed a timestamp.
    pub(super) fn echo(&mut self, stamp: u32) {
        self.share(stamp);
        for repeat in self.repeats.iter_mut() {
            repeat.first = repeat.first.filter(|(_, first)| *first != stamp);
        }
    }

    /// Time since the receiver last asked for something, unless `from..to` was sent since; beyond any other if it did not.
    pub(super) fn since_asked(&self, (from, to): (i64, i64), now: Timestamp) -> Nanos {
        let is_answer =
            |repeat: &Repeat| repeat.from <= from && to <= repeat.to && repeat.time.as_nanos() >= self.asked_time;
        let answered = self.duplicate_acks == 0 && self.repeats.iter().any(is_answer);
        if self.asked_time == NEVER || answered {
            Nanos::new(i64::MAX)
        } else {
            now - Timestamp::from_nanos(self.asked_time)
        }
    }

    /// `from..to` came after all; the hole it lay in, as it was before.
    pub(super) fn fill(&mut self, from: i64, to: i64) -> Option<Hole> {
        let mut found = None;
        let mut rest = None;
        self.holes.retain(|hole| {
            if to <= hole.from || hole.to <= from {
                return true;
            }
            found.get_or_insert(*hole);
            let (left, right) = ((hole.from, from), (to, hole.to));
            if left.0 < left.1 {
                if right.0 < right.1 {
                    rest = Some(Hole { from: right.0, to: right.1, ..*hole });
                }
                (hole.from, hole.to) = left;
            } else {
                (hole.from, hole.to) = right;
            }
            hole.from < hole.to
        });
        if let Some(rest) = rest {
            self.jump(rest);
        }
        found
    }

    /// The stream goes on behind a hole.
    pub(super) fn jump(&mut self, hole: Hole) {
        self.lost_hole |= self.holes.push(hole);
    }

    /// Whether there are holes, but those that began `now`.
    pub(super) fn has_holes(&self, now: Timestamp) -> bool {
        self.holes.iter().any(|hole| hole.time != now)
    }

    /// Whether nothing was jumped over that did not come since.
    pub(super) fn is_whole(&self) -> bool {
        !self.lost_hole && self.holes.is_empty()
    }

    /// Whether `from..to` lies in one hole.
    pub(super) fn is_in_hole(&self, from: i64, to: i64) -> bool {
        self.holes.iter().any(|hole| hole.from <= from && to <= hole.to)
    }

    /// What was jumped over is no part of the stream.
    pub(super) fn forget_holes(&mut self) {
        self.holes = Latest::default();
        self.lost_hole = false;
    }

    /// A turn has ended, and with it what a hole that was let go of stands against; whether there was one.
    pub(super) fn take_lost_hole(&mut self) -> bool {
        std::mem::take(&mut self.lost_hole)
    }

    /// Everything below `acked` was acknowledged: what was a hole was missed.
    pub(super) fn miss(&mut self, acked: i64, time: Timestamp) {
        self.missed_time = time.as_nanos();
        self.holes.retain(|hole| {
            hole.from = hole.from.max(acked);
            hole.from < hole.to
        });
    }
}

/// The trouble of both directions, and what was wrong with the connection itself.
#[derive(Clone, Debug, Default)]
pub(super) struct Trouble {
    pub sides: [Side; 2],
    /// Segments that no connection has; see [`Witness::invalid`](super::Witness::invalid).
    pub invalid: u32,
}

impl Trouble {
    /// The most bytes that it takes, lists included.
    pub(super) const MOST_BYTES: usize =
        size_of::<Self>() + 2 * (Latest::<Hole, MOST_HOLES>::MOST_BYTES + Latest::<Repeat, 8>::MOST_BYTES);

    /// Bytes that it takes, lists included.
    pub(super) fn bytes(&self) -> usize {
        let lists = |side: &Side| side.holes.list_bytes() + side.repeats.list_bytes();
        size_of::<Self>() + self.sides.iter().map(lists).sum::<usize>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hole(from: i64, to: i64) -> Hole {
        Hole { from, to, time: Timestamp::EPOCH, ids: [0; 2], stamp: 0 }
    }

    fn holes(side: &mut Side) -> Vec<(i64, i64)> {
        side.holes.iter_mut().map(|hole| (hole.from, hole.to)).collect()
    }

    #[test]
    fn a_hole_is_filled_from_its_ends_and_from_its_middle() {
        let mut side = Side::default();
        side.jump(hole(100, 500));
        assert_eq!(side.fill(500, 600).map(|hole| hole.from), None);
        assert_eq!(side.fill(200, 300).map(|hole| hole.to), Some(500));
        assert_eq!(holes(&mut side), [(300, 500), (100, 200)]);
        side.fill(100, 200);
        side.fill(450, 500);
        assert_eq!(holes(&mut side), [(300, 450)]);
    }

    #[test]
    fn what_is_acknowledged_is_no_hole_any_more() {
        let mut side = Side::default();
        side.jump(hole(100, 500));
        side.miss(300, Timestamp::EPOCH);
        assert_eq!(holes(&mut side), [(300, 500)]);
        side.miss(600, Timestamp::EPOCH);
        assert!(holes(&mut side).is_empty());
    }
}
