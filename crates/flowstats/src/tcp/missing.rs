//! What a capture lacks of a connection: bytes that were acknowledged and never seen, holes, beginnings and ends.

use flowcore::{Direction, TcpFlags, TcpSegment, Timestamp};

use super::{Gaps, Letter, Tcp, state};

impl Tcp {
    /// Of an end that was met midway the SYN is captured after all: what was seen keeps its place, and what lies between
    /// may come yet.
    pub(super) fn note_beginning(&mut self, segment: &TcpSegment, payload: u32, direction: Direction) {
        let end = &self.ends[direction.index()];
        let Some(by) = end.begins_before(segment.seq, segment.flags, payload) else { return };
        self.ends[direction.index()].begin_earlier(by);
        let side = direction.index();
        let rare = self.rare.get_or_insert_default();
        rare.gaps[side].shift(by);
        for position in [&mut rare.tails[side], &mut rare.reset_at[side], &mut rare.reset_acked[side]] {
            *position += if *position > 0 { by } else { 0 };
        }
        if let Some(held) = &mut rare.held {
            held.shift(direction, by);
        }
        // Where it was seen in another order nobody can tell how much of it.
        if !std::mem::take(&mut rare.below[side]) {
            rare.gaps[side].skip(1, 1 + by);
        }
        // The SYN's own place is no byte's.
        rare.gaps[side].fill(0, 1);
    }

    /// How many of the `payload` bytes of a segment were never seen before.
    pub(super) fn unseen(&self, direction: Direction, segment: &TcpSegment, payload: u32) -> i64 {
        let end = &self.ends[direction.index()];
        let syn = segment.flags.contains(TcpFlags::SYN);
        if payload == 0 || !end.is_placed() || (syn && segment.seq != end.start()) {
            return i64::from(payload);
        }
        let from = end.position(segment.seq.wrapping_add(u32::from(syn)));
        let to = from + i64::from(payload);
        (to - from.max(end.last())).max(0) + self.open_within(direction, from, to)
    }

    /// How many positions of `from..to` were jumped over, and not seen or acknowledged since.
    pub(super) fn open_within(&self, side: Direction, from: i64, to: i64) -> i64 {
        self.rare.as_ref().map_or(0, |rare| rare.gaps[side.index()].open_within(from, to))
    }

    /// Counts what `side`'s peer has acknowledged though it was never seen.
    #[inline]
    pub(super) fn note_gap(&mut self, side: Direction, plain: bool, now: Timestamp) {
        let end = &self.ends[side.index()];
        let (acked, last) = (end.acked(), end.last());
        let beyond = acked > last && end.is_placed();
        if !beyond && self.rare.is_none() {
            return;
        }
        let established = state::is_orderly(&self.ends);
        let rare = self.rare.get_or_insert_default();
        let gaps = &mut rare.gaps[side.index()];
        if beyond {
            gaps.skip(last, acked);
            rare.tails[side.index()] = acked;
            self.ends[side.index()].cover(acked);
        }
        if gaps.acknowledge(acked) {
            rare.missed_at[side.index()] = now.as_nanos();
            if established && plain {
                rare.counts[side.index()].gap(&mut self.history, side);
            }
        }
    }

    /// Whether the connection went on without a SYN of the responder: one was there, and was not captured.
    pub fn lacks_syn_ack(&self) -> bool {
        let has = |index: usize, letters: &[Letter]| {
            letters.iter().any(|letter| self.ends[index].letters & letter.bit() != 0)
        };
        let own = self.rare.as_ref().is_some_and(|rare| rare.own);
        has(0, &[Letter::Syn])
            && !own
            && !has(1, &[Letter::Syn])
            && (has(0, &[Letter::Ack, Letter::Data, Letter::Fin]) || has(1, &[Letter::Data, Letter::Fin]))
    }

    /// Whether bytes that were jumped over, or that a RST tells of, were neither seen later nor acknowledged: sent, as
    /// far as can be known, and lost on their way or by the capture.
    pub fn has_holes(&self) -> bool {
        self.rare.as_ref().is_some_and(|rare| !rare.gaps.iter().all(Gaps::are_closed))
            || [Direction::Forward, Direction::Reverse].into_iter().any(|side| self.reset_tells_of_more(side))
            || self.may_have_moved()
    }

    /// Whether a RST of `side` stands behind what it was seen to send, or one of its peer acknowledges more than that.
    pub(super) fn reset_tells_of_more(&self, side: Direction) -> bool {
        let acked = self.rare.as_ref().map_or(0, |rare| rare.reset_acked[side.index()]);
        self.unseen_before_reset(side).is_some() || self.ends[side.index()].bytes_before(acked).is_some()
    }

    /// Bytes that were acknowledged but never seen, by the direction that sent them: a lower bound, since the last position
    /// of a stream may be that of a FIN.
    pub fn missed_bytes(&self) -> [u64; 2] {
        let missed = self.missed_positions();
        [Direction::Forward, Direction::Reverse].map(|side| {
            let end = &self.ends[side.index()];
            let unsure = self.may_end_unseen(side) && end.last() <= end.acked().max(self.tail(side) - 1);
            missed[side.index()].saturating_sub(u64::from(unsure))
        })
    }

    /// Whether nothing was seen behind the latest that each end's peer has acknowledged unseen.
    pub(super) fn end_missed(&self) -> [bool; 2] {
        self.rare
            .as_ref()
            .map_or([false; 2], |rare| [0, 1].map(|side| rare.gaps[side].end_missed(self.ends[side].last())))
    }

    /// The same with FINs.
    pub(super) fn missed_positions(&self) -> [u64; 2] {
        self.rare.as_ref().map_or([0; 2], |rare| [rare.gaps[0].missed(), rare.gaps[1].missed()])
    }

    /// Whether of the last position of a stream only an ACK tells, or what stands behind it: it may be a FIN's.
    pub(super) fn may_end_unseen(&self, side: Direction) -> bool {
        let tail = self.tail(side);
        // Beyond what was seen only where a SYN that was captured late has set the stream back.
        tail > 0 && tail >= self.ends[side.index()].last() && self.unseen_before_reset(side).is_none()
    }

    /// The position up to which a stream was neither seen nor jumped over by payload; 0 = none.
    fn tail(&self, side: Direction) -> i64 {
        self.rare.as_ref().map_or(0, |rare| rare.tails[side.index()])
    }

    /// How many positions a RST of this end tells of that stand before it and were not seen, if any; the last may be a
    /// FIN's.
    pub(super) fn unseen_before_reset(&self, side: Direction) -> Option<u64> {
        let (reset_at, end) = (self.rare.as_ref()?.reset_at[side.index()], &self.ends[side.index()]);
        // Behind a FIN nothing was sent, whatever number a RST has.
        if end.has_finished() { None } else { end.bytes_before(reset_at) }
    }

    /// Whether something was acknowledged that was not seen before: bytes, a FIN, or a SYN; even if it was seen later,
    /// but so late that it must have been sent again.
    pub fn has_gaps(&self) -> bool {
        let known = self.rare.as_ref().is_some_and(|rare| rare.begun_anew || rare.missed_first);
        self.missed_positions() != [0; 2] || self.lacks_syn_ack() || known
    }

    /// Whether something that was acknowledged came so long after its ACK that it was sent again: what was sent first
    /// was not captured.
    pub(super) fn has_missed_first(&self) -> bool {
        self.rare.as_ref().is_some_and(|rare| rare.missed_first)
    }

    /// Payload bytes by sequence numbers, sent or acknowledged; indexed by [`Direction`].
    pub fn stream_bytes(&self) -> [u64; 2] {
        [Direction::Forward, Direction::Reverse].map(|side| {
            let end = &self.ends[side.index()];
            // One beyond what was seen is not among the bytes.
            let unseen_fin = self.may_end_unseen(side) && self.tail(side) == end.last() && !end.has_counted_fin();
            // The last of those may be a FIN's too.
            let before_reset = self.unseen_before_reset(side).unwrap_or(0);
            let before_reset = before_reset.saturating_sub(u64::from(!end.has_counted_fin()));
            end.stream_bytes().saturating_sub(u64::from(unseen_fin)) + before_reset
        })
    }
}
