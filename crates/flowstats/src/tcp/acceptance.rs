//! Whether a segment can be one of the connection at all, by where it stands and by what it acknowledges.
//!
//! A receiver drops what lies outside its window or acknowledges what it never sent (RFC 9293 section 3.10.7.4, RFC 5961
//! sections 3 to 5), and so must whoever watches. But the capture may have missed what lies between: then the numbers
//! have really moved on, and whatever comes next stands there too. So such a segment is held until another one bears it
//! out; if none does, it was none of this connection.

use flowcore::event::{Notes, TcpOptions};
use flowcore::{Direction, FlowEvent, TcpFlags, TcpSegment, Timestamp};

use super::retransmit::COPY;
use super::{Bearing, Endpoint, Letter, NEVER, State, Tcp};

/// How far numbers may lead where a window is not known.
const UNKNOWN_WINDOW: i64 = 1 << 20;

/// Two numbers of one gap are at least so near each other, however small the windows: there may be a gap between them too.
const NEAR: i64 = 1 << 16;

/// No stream goes on faster, in bits per nanosecond: 100 Gbit/s.
const FASTEST: i64 = 100;

/// What becomes of a segment.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It is one of the connection.
    Take,
    /// It is, and shows that this end, met midway, began with a probe.
    BehindProbe(Direction),
    /// It may be none: it waits until one of the same numbers comes.
    Hold,
    /// It bears out the one that waits, which comes first.
    Release,
}

/// A segment that waits.
#[derive(Clone, Debug)]
pub(super) struct Held {
    pub segment: TcpSegment,
    pub time: Timestamp,
    pub payload: u32,
    pub direction: Direction,
    datagram_id: u32,
    interface: u16,
    notes: Notes,
    /// Its sequence number, and its acknowledgment, lead away.
    leads: [bool; 2],
    /// It stands behind a FIN.
    behind_fin: bool,
    /// It is of an earlier connection: see [`Tcp::is_of_earlier`].
    earlier: bool,
    /// Where such segments begin that it follows without a gap, itself included.
    run: u32,
    /// How far the connection had come: see [`Tcp::progress`].
    progress: [i64; 2],
}

impl Held {
    /// As the event that it came with, as far as following a connection asks.
    pub(super) fn event(&self) -> FlowEvent {
        FlowEvent {
            time: self.time,
            packets: 1,
            payload_bytes: self.payload,
            datagram_id: self.datagram_id,
            interface: self.interface,
            direction: self.direction,
            notes: self.notes,
            ..FlowEvent::default()
        }
    }

    /// The number that it says the stream of `of` has come to, if it leads away.
    fn claim(&self, of: Direction) -> Option<u32> {
        let own = of == self.direction;
        let number = if own { self.segment.seq.wrapping_add(self.payload) } else { self.segment.ack };
        self.leads[usize::from(!own)].then_some(number)
    }

    /// Which streams have gone on by more than half of all sequence numbers: of both the SYN was seen, and it stands
    /// before the beginning of its own, or acknowledges what stands before that of the other. What it says of the other is
    /// plausible, or leads there just so; both have only where the other end, `by`, bore it out: old segments of one sender
    /// look alike.
    fn has_gone_round(&self, ends: &[Endpoint; 2], by: Direction) -> [bool; 2] {
        let (this, other) = (self.direction.index(), self.direction.opposite().index());
        let (end, peer) = (&ends[this], &ends[other]);
        let heard = self.segment.flags & (TcpFlags::ACK | TcpFlags::SYN | TcpFlags::RST) == TcpFlags::ACK;
        let (seq, ack) = (end.position(self.segment.seq), peer.position(self.segment.ack));
        let own = self.leads[0] && seq < 0 && end.is_open();
        let others = self.leads[1] && ack < 0 && peer.is_open();
        let told = (own || !self.leads[0])
            && (others || (!self.leads[1] && ack > 0))
            && !(own && others && by == self.direction);
        let mut round = [false; 2];
        if heard && end.has_syn() && peer.has_syn() && told {
            (round[this], round[other]) = (own, others);
        }
        round
    }

    /// Whether it is a SYN, with ACK or without.
    pub(super) fn begins(&self) -> bool {
        self.segment.flags.contains(TcpFlags::SYN)
    }

    /// Whether it is a SYN-ACK beside another, and a segment of its peer acknowledges this one.
    fn is_chosen(&self, segment: &TcpSegment, by: Direction) -> bool {
        let answers = self.segment.flags & (TcpFlags::SYN | TcpFlags::RST) == TcpFlags::SYN && !self.leads[1];
        let acknowledges = segment.flags & (TcpFlags::ACK | TcpFlags::SYN | TcpFlags::RST) == TcpFlags::ACK;
        answers
            && acknowledges
            && by != self.direction
            && segment.ack == self.segment.seq.wrapping_add(1).wrapping_add(self.payload)
    }

    /// The stream of `of` begins so much earlier than was thought.
    pub(super) fn shift(&mut self, of: Direction, by: i64) {
        self.progress[of.index()] += by;
    }

    /// Bytes of the stream of `of` that it brings.
    fn length(&self, of: Direction) -> u32 {
        if of == self.direction { self.payload } else { 0 }
    }
}

impl Tcp {
    /// Whether a segment is one of the connection, may be none, or bears out the one that waits.
    #[inline]
    pub(super) fn judge(&self, segment: &TcpSegment, payload: u32, by: Direction, time: Timestamp) -> Verdict {
        let waits = self.rare.as_ref().is_some_and(|rare| rare.held.is_some());
        if !waits && self.is_next(segment, payload, by) {
            Verdict::Take
        } else {
            self.weigh(segment, payload, by, time)
        }
    }

    /// Whether it stands where its stream goes on and acknowledges nothing that was not seen, or is the first of its end:
    /// most segments, and nothing to weigh.
    #[inline]
    fn is_next(&self, segment: &TcpSegment, payload: u32, by: Direction) -> bool {
        let (end, peer) = (&self.ends[by.index()], &self.ends[by.opposite().index()]);
        // One question: no predictor guesses its parts.
        let ahead = segment.ack.wrapping_sub(peer.next_seq()) as i32;
        let heard = !segment.flags.contains(TcpFlags::ACK) | ((ahead <= 0) & !peer.precedes_syn(segment.ack, end));
        let next = (segment.seq == end.next_seq()) & !segment.flags.contains(TcpFlags::SYN);
        let answers = segment.flags.contains(TcpFlags::ACK) & segment.flags.intersects(TcpFlags::BOUNDARY);
        let begins = end.state() == State::Inactive;
        let text_behind_fin = (payload > 0) & (end.state() == State::Closed);
        heard & ((begins & !answers) | (!begins & next)) & !text_behind_fin
    }

    #[inline(never)]
    fn weigh(&self, segment: &TcpSegment, payload: u32, by: Direction, time: Timestamp) -> Verdict {
        let leads = self.leads_away(segment, payload, by, time);
        let held = self.rare.as_ref().and_then(|rare| rare.held.as_ref());
        match held {
            None if leads == [false; 2] => self.behind_probe(segment, by).map_or(Verdict::Take, Verdict::BehindProbe),
            None => Verdict::Hold,
            Some(held) if leads == [false; 2] => {
                if self.passes(held, segment, by) || held.is_chosen(segment, by) {
                    Verdict::Release
                } else {
                    Verdict::Take
                }
            }
            Some(held) => {
                if self.bears_out(held, leads, segment, payload, by, time) {
                    Verdict::Release
                } else {
                    Verdict::Hold
                }
            }
        }
    }

    /// Whose first segment, met midway, was a probe, since this one stands one byte behind it or acknowledges that byte.
    fn behind_probe(&self, segment: &TcpSegment, by: Direction) -> Option<Direction> {
        let flags = segment.flags;
        let begins = |of: Direction, number: u32| {
            let end = &self.ends[of.index()];
            end.may_have_begun_with_probe() && number == end.next_seq().wrapping_add(1)
        };
        if !flags.contains(TcpFlags::SYN) && begins(by, segment.seq) {
            return Some(by);
        }
        let acknowledges = flags.contains(TcpFlags::ACK) && !flags.contains(TcpFlags::RST);
        (acknowledges && begins(by.opposite(), segment.ack)).then_some(by.opposite())
    }

    /// Whether a segment stands behind its sender's FIN, or brings payload in its place and behind it (a single byte in
    /// its place is a probe), which a receiver ignores (RFC 9293 section 3.10.7.4); or whether it acknowledges what stands
    /// behind the other's, where both have sent one.
    #[inline]
    fn is_behind_fin(&self, segment: &TcpSegment, payload: u32, by: Direction) -> bool {
        let (end, peer) = (&self.ends[by.index()], &self.ends[by.opposite().index()]);
        let flags = segment.flags;
        if !end.has_finished() || flags.intersects(TcpFlags::SYN | TcpFlags::RST) {
            return false;
        }
        let stands = payload > 0 || !flags.contains(TcpFlags::FIN);
        let acknowledges = flags.contains(TcpFlags::ACK) && peer.has_finished();
        (stands && end.position(segment.seq) + i64::from(payload) > end.last())
            || (acknowledges && peer.position(segment.ack) > peer.last())
    }

    /// Whether a segment shows that the bytes before those of `held` were there, though they were not seen.
    fn passes(&self, held: &Held, segment: &TcpSegment, by: Direction) -> bool {
        if self.is_reset() {
            return false;
        }
        if held.behind_fin {
            // The FIN was none, if its receiver goes on to acknowledge.
            let end = &self.ends[held.direction.index()];
            let begin = end.position(held.run);
            return by != held.direction
                && segment.flags & (TcpFlags::ACK | TcpFlags::RST) == TcpFlags::ACK
                && self.ends[by.index()].is_open()
                && end.position(segment.ack) > end.last().max(begin);
        }
        let beyond = |of: Direction, number: u32| {
            let end = &self.ends[of.index()];
            held.claim(of).is_some_and(|claim| {
                let (from, to) = (end.position(claim.wrapping_sub(held.length(of))), end.position(number));
                // It may have become the next meanwhile; then what shows its bytes shows it.
                (end.last() < from && from <= to)
                    || (end.last() == from && (from + 1..=to).contains(&end.position(claim)))
            })
        };
        beyond(by, segment.seq) || (segment.flags.contains(TcpFlags::ACK) && beyond(by.opposite(), segment.ack))
    }

    /// Whether its sequence number, and its acknowledgment, lead away from all that the windows allow.
    #[inline]
    fn leads_away(&self, segment: &TcpSegment, payload: u32, by: Direction, time: Timestamp) -> [bool; 2] {
        let flags = segment.flags;
        let (end, peer) = (&self.ends[by.index()], &self.ends[by.opposite().index()]);
        if flags.contains(TcpFlags::SYN) {
            // Another connection's, or nobody's (RFC 5961 section 4): the flow table knows what begins anew.
            let other = ((self.ack != NEVER && end.state() == State::Established) || end.has_finished())
                && segment.seq != end.start()
                && end.begins_before(segment.seq, flags, payload).is_none();
            if other || !flags.contains(TcpFlags::ACK) || self.ack != NEVER {
                return [other, other && flags.contains(TcpFlags::ACK)];
            }
            // An answer to no SYN that was sent (RFC 9293 section 3.10.7.3), or one beside another, which may be the true one.
            let asked = peer.state() == State::SynSent && peer.has_syn();
            let second = peer.has_syn() && end.has_syn() && segment.seq != end.start();
            // Or to one far from whatever was seen of its receiver, which was met midway.
            let unseen = peer.state() == State::Partial && peer.is_beyond(segment.ack, self.window(by));
            return [second, unseen || (asked && !peer.sent_behind_syn(segment.ack))];
        }
        if self.is_behind_fin(segment, payload, by) {
            return [true, false];
        }
        if flags.contains(TcpFlags::RST) && self.refuses(segment, by) {
            return [true, false];
        }
        // Whoever has sent a SYN heeds no RST that acknowledges anything else (RFC 9293 section 3.10.7.3).
        let refused = flags.contains(TcpFlags::RST | TcpFlags::ACK)
            && end.state() == State::Inactive
            && peer.state() == State::SynSent
            && peer.has_syn();
        if refused && !peer.sent_behind_syn(segment.ack) {
            return [false, true];
        }
        // A capture of control segments alone shows streams by their ends only.
        let blind = flags.intersects(TcpFlags::FIN | TcpFlags::RST) && !self.ends.iter().any(has_gone_on);
        let reached = |end: &Endpoint, number: u32, window: i64| {
            let seen = i64::from(number.wrapping_sub(end.start())) <= end.last();
            let ahead = i64::from(number.wrapping_sub(end.next_seq()));
            !end.has_syn() || seen || ahead <= window.max(NEAR) || self.had_time(ahead, time)
        };
        if blind {
            let acknowledges = flags & (TcpFlags::ACK | TcpFlags::RST) == TcpFlags::ACK;
            let seq = reached(end, segment.seq, self.window(by.opposite()));
            return [!seq, acknowledges && !reached(peer, segment.ack, self.window(by))];
        }
        let known = end.has_begun() && !end.is_reset();
        let seq = known && {
            let (at, window) = (end.position(segment.seq), self.window(by.opposite()));
            let lowest = if end.has_syn() { 0 } else { i64::MIN };
            // An old one that was overtaken may be of an earlier window.
            at > end.last().max(end.acked()) + window || at < (end.acked() - window.max(NEAR)).max(lowest)
        };
        let ack = flags.contains(TcpFlags::ACK)
            && !flags.contains(TcpFlags::RST)
            && peer.is_placed()
            && segment.ack != 0
            && {
                // It may be of data that the capture does not have, as much as its sender has room for.
                peer.position(segment.ack) > peer.last().max(peer.acked()) + self.window(by)
                    || peer.precedes_syn(segment.ack, end)
            };
        [seq, ack]
    }

    /// Whether a stream can have gone on by so many bytes since the latest segment was seen. A clock that stands or goes
    /// back does not tell.
    fn had_time(&self, bytes: i64, now: Timestamp) -> bool {
        let nanos = now.as_nanos().saturating_sub(self.active);
        nanos <= 0 || bytes * 8 <= nanos.saturating_mul(FASTEST)
    }

    /// Whether a segment that waits stands before the beginning of its stream, or acknowledges what stands before that of
    /// the other, and no stream can have gone round all numbers since: it is of an earlier connection.
    fn is_of_earlier(&self, held: &Held) -> bool {
        let (end, peer) = (&self.ends[held.direction.index()], &self.ends[held.direction.opposite().index()]);
        let before = |end: &Endpoint, number: u32| end.has_syn() && end.position(number) < 1;
        let stands = held.leads[0] && before(end, held.segment.seq);
        let acknowledges = held.leads[1] && before(peer, held.segment.ack);
        (stands || acknowledges) && !held.begins() && !self.had_time(1 << 32, held.time)
    }

    /// Whether a RST answers a SYN-ACK that waits, or the ACK with which somebody answered a SYN who knows the ports from
    /// before (RFC 9293 section 3.5.1, figure 9; also behind its SYN-ACK, section 3.10.7.4), and nothing else: it has the
    /// number that this acknowledged.
    fn refuses(&self, segment: &TcpSegment, by: Direction) -> bool {
        let held = self.rare.as_ref().and_then(|rare| rare.held.as_ref());
        held.is_some_and(|held| {
            let flags = held.segment.flags;
            let end = &self.ends[by.index()];
            let opens = end.has_syn() && self.ack == NEVER && !has_gone_on(end);
            let asked = end.state() == State::SynSent || opens;
            flags & (TcpFlags::ACK | TcpFlags::RST) == TcpFlags::ACK
                && (flags.contains(TcpFlags::SYN) || asked)
                && held.direction != by
                && held.leads[1]
                && held.segment.ack == segment.seq
        })
    }

    /// The most that the one who sends in `direction` has been seen to have room for, in bytes; up to twice that, since only
    /// the highest bits are kept.
    fn window(&self, direction: Direction) -> i64 {
        match self.ends[direction.index()].scale() {
            Some(scale) => (i64::from(self.widest[direction.index()]) << 8 | 0xff) << scale,
            None => UNKNOWN_WINDOW,
        }
    }

    /// Whether the latest of an end was a RST: whoever sends anything else has not sent it, or it was not heeded.
    fn is_reset(&self) -> bool {
        self.rare.as_ref().is_some_and(|rare| rare.silent.contains(&true))
    }

    /// Whether a segment that leads away itself shows that `held` was right.
    fn bears_out(
        &self,
        held: &Held,
        leads: [bool; 2],
        segment: &TcpSegment,
        payload: u32,
        by: Direction,
        time: Timestamp,
    ) -> bool {
        // One packet twice is not two; nor does whoever forges one RST forge no second.
        let same = (held.segment.seq, held.segment.ack, held.segment.flags, held.payload, held.direction)
            == (segment.seq, segment.ack, segment.flags, payload, by);
        let resets = held.segment.flags & segment.flags & (TcpFlags::RST | TcpFlags::SYN);
        // A SYN is sent again as it was, right or wrong; a RST says that what it answers was wrong.
        let refused = segment.flags.contains(TcpFlags::RST)
            && (held.segment.flags.contains(TcpFlags::SYN) || self.refuses(segment, by));
        // Nor do segments that no receiver takes, or that come when all is over: then the ports are used again.
        let ended = |of: Direction, leads: [bool; 2]| {
            (leads[0] && self.ends[of.index()].has_finished())
                || (leads[1] && self.ends[of.opposite().index()].has_finished())
        };
        // Nor does who answers other numbers of an end that is done.
        let peer = &self.ends[by.opposite().index()];
        let elsewhere = (peer.has_finished() || peer.is_reset())
            && segment.flags.contains(TcpFlags::ACK)
            && peer.is_beyond(segment.ack, self.window(by));
        let over = self.is_reset()
            || held.behind_fin
            || self.is_behind_fin(segment, payload, by)
            || ended(by, leads)
            || ended(held.direction, held.leads)
            || elsewhere
            || held.earlier;
        if !resets.is_empty() || refused || over || (same && time - held.time < COPY) {
            return false;
        }
        let near = |of: Direction, number: u32| {
            let claim = held.claim(of).map(|claim| i64::from(number.wrapping_sub(claim) as i32).abs());
            claim.is_some_and(|distance| distance <= self.window(of.opposite()).max(NEAR))
        };
        (leads[0] && near(by, segment.seq)) || (leads[1] && near(by.opposite(), segment.ack))
    }

    /// Keeps a segment of which [`judge`](Self::judge) said so; the one that waited before was none of this connection.
    pub(super) fn hold(&mut self, segment: &TcpSegment, event: &FlowEvent) -> Option<Held> {
        let behind_fin = self.is_behind_fin(segment, event.payload_bytes, event.direction);
        let before = self.rare.as_ref().and_then(|rare| rare.held.as_ref());
        let follows = |before: &&Held| {
            let end = before.segment.seq.wrapping_add(before.payload);
            behind_fin && before.behind_fin && before.direction == event.direction && end == segment.seq
        };
        let mut held = Held {
            run: before.filter(follows).map_or(segment.seq, |before| before.run),
            segment: *segment,
            time: event.time,
            payload: event.payload_bytes,
            direction: event.direction,
            datagram_id: event.datagram_id,
            interface: event.interface,
            notes: event.notes,
            leads: self.leads_away(segment, event.payload_bytes, event.direction, event.time),
            behind_fin,
            earlier: false,
            progress: self.progress(segment, event.direction),
        };
        // What comes meanwhile says nothing of the time that it had.
        held.earlier = self.is_of_earlier(&held);
        if held.begins() {
            // Whatever comes next may bear it out.
            self.bearing.remove(Bearing::USUAL);
        }
        self.rare.get_or_insert_default().held.replace(held)
    }

    /// The segment that waits; it does no longer.
    pub(super) fn release(&mut self) -> Option<Held> {
        self.rare.as_mut().and_then(|rare| rare.held.take())
    }

    /// The same of one that was borne out: a FIN that it stands behind was none.
    pub(super) fn release_borne_out(&mut self) -> Option<Held> {
        let held = self.release()?;
        if held.behind_fin
            && let Some(rare) = &mut self.rare
        {
            let end = &mut self.ends[held.direction.index()];
            end.take_fin_back();
            // What it follows was seen, and taken for invalid.
            rare.gaps[held.direction.index()].skip(end.last(), end.position(held.run));
            end.cover(end.position(held.segment.seq));
        }
        Some(held)
    }

    /// Whether `held`, which was borne out, shows that what was seen before was another connection's: it leads far away
    /// from a SYN that nobody has answered as a SYN-ACK, or in both directions from nothing but an ACK of one. Then the
    /// numbers begin with it, and nothing lies between.
    pub(super) fn begin_anew(&mut self, held: &Held) -> bool {
        let (this, other) = (held.direction.index(), held.direction.opposite().index());
        let [sender, peer] = [&self.ends[this], &self.ends[other]];
        let syn_ack = held.segment.flags & (TcpFlags::SYN | TcpFlags::ACK) == TcpFlags::SYN | TcpFlags::ACK;
        let answers =
            syn_ack && held.direction == Direction::Reverse && !sender.has_begun() && peer.has_brought_nothing();
        let goes_on = !syn_ack && held.leads[0] && sender.may_have_begun_with_probe() && !peer.has_begun();
        // A little ahead, it acknowledges what a SYN brought that was not captured.
        let far = held.leads[1] && !(1..=NEAR).contains(&peer.position(held.segment.ack));
        if !far || !(answers || goes_on) || self.missed_positions() != [0; 2] {
            return false;
        }
        if goes_on {
            self.ends[this].begin_midway(held.segment.seq);
        }
        self.ends[other].forget(held.segment.ack);
        self.widest[other] = 0;
        self.syn = NEVER;
        self.rare.get_or_insert_default().begun_anew = true;
        true
    }

    /// Takes over the numbers of a segment that was borne out, of the streams that have gone on by more than half of all
    /// numbers: what lies between was missed, but for what its peer may not have had. Whether each was such a one; `by`
    /// bore it out.
    pub(super) fn leap(&mut self, held: &Held, by: Direction) -> [bool; 2] {
        let round = held.has_gone_round(&self.ends, by);
        for of in [Direction::Forward, Direction::Reverse].into_iter().filter(|of| round[of.index()]) {
            let own = of == held.direction;
            let end = &self.ends[of.index()];
            let (last, number) = (end.last(), if own { held.segment.seq } else { held.segment.ack });
            let to = end.position(number) + (1 << 32);
            let acked = if own { to - self.window(of.opposite()) } else { to };
            let rare = self.rare.get_or_insert_default();
            rare.gaps[of.index()].skip(last, to);
            rare.gaps[of.index()].acknowledge(acked);
            // Of what was only acknowledged the last may have been a FIN.
            rare.tails[of.index()] = if own { 0 } else { to };
            self.ends[of.index()].leap(to, acked);
        }
        round
    }

    /// Whether a segment waits that was not borne out.
    pub(super) fn has_stray(&self) -> bool {
        self.rare.as_ref().is_some_and(|rare| rare.held.is_some())
    }

    /// How far each stream was seen to go; of the one that the sender of a RST receives, how far he has acknowledged it.
    fn progress(&self, segment: &TcpSegment, by: Direction) -> [i64; 2] {
        let mut progress = [self.ends[0].last(), self.ends[1].last()];
        if segment.flags.contains(TcpFlags::RST) {
            let of = by.opposite().index();
            progress[of] = self.ends[of].acked();
        }
        progress
    }

    /// Whether it may have been one of the connection all the same: whoever sent it was not seen to go on from where he was,
    /// or after a RST at all.
    pub(super) fn may_have_moved(&self) -> bool {
        let held = self.rare.as_ref().and_then(|rare| rare.held.as_ref());
        held.is_some_and(|held| {
            let resets = held.segment.flags.contains(TcpFlags::RST);
            let now = self.progress(&held.segment, held.direction);
            let went_on = [Direction::Forward, Direction::Reverse]
                .into_iter()
                .any(|of| (resets || held.claim(of).is_some()) && now[of.index()] > held.progress[of.index()]);
            !went_on && !held.behind_fin && !held.segment.flags.contains(TcpFlags::SYN)
        })
    }

    /// Notes how much room the sender of a segment says it has.
    #[inline]
    pub(super) fn note_room(&mut self, segment: &TcpSegment, by: Direction) {
        let mut window = segment.window;
        if segment.flags.contains(TcpFlags::SYN) {
            let end = &mut self.ends[by.index()];
            let told = segment.options.contains(TcpOptions::WINDOW_SCALE);
            // RFC 7323 section 2.3: at most 14.
            let scale = if told { segment.window_scale.min(14) } else { 0 };
            end.set_scale((!segment.options.contains(TcpOptions::INCOMPLETE)).then_some(scale));
            // That of a SYN is not scaled.
            window >>= scale;
        }
        self.widest[by.index()] |= (window >> 8) as u8;
    }
}

/// Whether anything of an end was captured that neither begins nor ends its stream.
fn has_gone_on(end: &Endpoint) -> bool {
    end.letters & (Letter::Ack.bit() | Letter::Data.bit()) != 0
}
