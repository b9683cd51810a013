//! Where a segment stands in its stream: next, beyond a hole, late, or sent again.

use flowcore::event::TcpOptions;
use flowcore::{Direction, FlowEvent, Nanos, TcpFlags, TcpSegment, Timestamp};

use super::{Before, Dynamics, Seen, is_fin, since, watch};
use crate::tcp::retransmit::{self, Again, Late, Latecomer, Order, Recovery, Repetition, SHORTEST_TIMER};
use crate::tcp::rtt::{Sent, echoes_later};
use crate::tcp::trouble::{Earlier, Hole, Latest, Repeat};
use crate::tcp::{Endpoint, NEVER, Retransmission, Tcp, Witness};

/// What a segment was among those of its sender.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(super) enum Placed {
    /// The next, or sent once more: nothing newer was sent before it.
    Sent,
    /// Overtaken by a newer one, as its sender's numbers or clock say.
    Late,
    /// One that was seen already, which counts for nothing more.
    Again,
}

impl Placed {
    /// What came late by a guess may as well have been sent just so.
    fn late(order: Order) -> Self {
        if order == Order::Before { Self::Late } else { Self::Sent }
    }
}

impl Dynamics {
    #[allow(clippy::too_many_arguments, reason = "all of what was found out about one segment")]
    pub(super) fn note_missed<W: Witness>(
        &mut self,
        of: Direction,
        before: &Before,
        tcp: &Tcp,
        event: &FlowEvent,
        segment: &TcpSegment,
        witness: &mut W,
    ) {
        let was_answered = self.was_answered(of);
        self.trouble.get_or_insert_default().sides[of.index()].miss(tcp.ends()[of.index()].acked(), event.time);
        let answered = self.sent[1].time;
        self.tear_by_holes(Timestamp::MAX);
        let sender = &before.ends[event.direction.index()];
        if sender.position(segment.seq) > sender.last() {
            self.talk.tear();
        }
        let (positions, bytes) = (tcp.missed_positions()[of.index()], tcp.missed_bytes()[of.index()]);
        let surely = bytes.saturating_sub(before.missed_bytes[of.index()]);
        let doubted = positions.saturating_sub(bytes);
        let was_doubted = self.talk.take_doubt(of);
        if was_doubted {
            // It was no FIN.
            witness.found(of, 0, 0);
        }
        let only_doubted = positions.saturating_sub(before.missed[of.index()]) <= doubted;
        let by_itself = was_doubted && !self.talk.lost_within_request(of);
        if by_itself && was_answered {
            self.talk.missed_before_answer(event.time, witness);
        }
        // Bytes below others of the request that is answered: they are of that, or of one before it.
        let within = before.ends[of.index()].last() >= tcp.ends()[of.index()].acked() && !tcp.end_missed()[of.index()];
        if within && !only_doubted && of == Direction::Forward && self.talk.is_answered(self.speaker) {
            self.talk.tear();
        } else if !only_doubted || (by_itself && !was_answered) {
            self.speaker = self.talk.missed(self.speaker, of, answered, segment.ack, event.time, witness);
        }
        if was_doubted || !only_doubted {
            self.tell_missing(of, surely, event.time, witness);
        } else if surely > 0 {
            witness.missing_too(of, surely);
        }
        if only_doubted {
            // What is missing now may have been a FIN.
            witness.missing(of, 0, event.time);
            self.talk.lose(self.speaker, of);
        }
    }

    /// The last that is missing of `by` was no FIN, as its stream goes on behind it.
    pub(super) fn note_no_fin<W: Witness>(&mut self, by: Direction, bytes: u64, event: &FlowEvent, witness: &mut W) {
        if !self.talk.take_doubt(by) {
            return witness.missing_too(by, bytes);
        }
        witness.found(by, 0, 0);
        self.tell_missing(by, bytes, event.time, witness);
        if self.was_answered(by) && !self.talk.lost_within_request(by) {
            self.talk.missed_before_answer(event.time, witness);
        }
    }

    /// So many bytes of `of` are missing; 0: a byte or a FIN.
    fn tell_missing<W: Witness>(&mut self, of: Direction, bytes: u64, now: Timestamp, witness: &mut W) {
        let gaps = &mut self.trouble.get_or_insert_default().sides[of.index()].gaps;
        *gaps = gaps.saturating_add(u32::from(bytes > 0));
        witness.missing(of, bytes, now);
    }

    /// So many bytes that were missing by `by` were captured after all, all of them if `left` is 0.
    pub(super) fn tell_found<W: Witness>(&mut self, by: Direction, bytes: u64, left: u64, witness: &mut W) {
        let gaps = self.trouble.as_mut().map(|trouble| &mut trouble.sides[by.index()].gaps);
        let gaps = gaps.filter(|_| left == 0).map_or(0, std::mem::take);
        witness.found(by, bytes, gaps);
    }

    /// Whether the responder has spoken since what the originator sent was missed last.
    fn was_answered(&self, of: Direction) -> bool {
        let missed = self.trouble.as_ref().map_or(NEVER, |trouble| trouble.sides[of.index()].missed_time);
        of == Direction::Forward && self.speaker.is(Direction::Reverse) && self.sent[1].time >= missed
    }

    /// The capture has missed more than half of all sequence numbers of a stream before a segment, where it had `missed`
    /// bytes before.
    pub(super) fn note_leap<W: Witness>(
        &mut self,
        of: Direction,
        missed: [u64; 2],
        tcp: &Tcp,
        event: &FlowEvent,
        segment: &TcpSegment,
        witness: &mut W,
    ) {
        let number = if of == event.direction { segment.seq } else { segment.ack };
        let end = &tcp.ends()[of.index()];
        self.tear_by_holes(Timestamp::MAX);
        let answered = self.sent[1].time;
        self.restart(of, end.last());
        self.trouble.get_or_insert_default().sides[of.index()].miss(end.acked(), event.time);
        let bytes = tcp.missed_bytes()[of.index()].saturating_sub(missed[of.index()]);
        self.tell_missing(of, bytes, event.time, witness);
        self.speaker = self.talk.missed(self.speaker, of, answered, number, event.time, witness);
        if self.speaker.is(of) {
            self.talk.go_on_at(number);
        }
    }

    /// Finds the segment's place in its stream.
    pub(super) fn place<W: Witness>(
        &mut self,
        before: &Before,
        tcp: &Tcp,
        payload: u32,
        event: &FlowEvent,
        segment: &TcpSegment,
        witness: &mut W,
    ) -> Placed {
        let flags = segment.flags;
        let by = event.direction;
        let was = &before.ends[by.index()];
        if flags.intersects(TcpFlags::SYN | TcpFlags::RST) || !was.is_placed() {
            let now = &tcp.ends()[by.index()];
            if was.has_begun() && now.start() != was.start() {
                self.restart(by, now.last());
                let earlier = i64::from(was.start().wrapping_sub(now.start()));
                if now.last() > earlier && tcp.open_within(by, 1, 1 + earlier) > 0 {
                    // What was met midway began before: that may come yet.
                    self.seen |= Seen::HOLES;
                    let hole = Hole { from: 1, to: 1 + earlier, time: event.time, ids: [0; 2], stamp: 0 };
                    self.trouble.get_or_insert_default().sides[by.index()].jump(hole);
                }
            }
            if payload > 0 && before.fresh > 0 {
                self.renew(event, segment);
            }
            return Placed::Sent;
        }
        let fin = flags.contains(TcpFlags::FIN);
        let length = i64::from(payload) + i64::from(fin);
        let from = was.position(segment.seq);
        let (to, last) = (from + length, was.last());
        // Of two clocks, an ACK that stands before its sender's FIN, which the capture has seen acknowledged already.
        let overtaken = from == last - 1 && before.end_missed[by.index()] && self.has_just_missed(by, event.time);
        if length == 0 && (from != last - 1 || overtaken) {
            if from > last && last > 0 {
                self.jump(was, from, event, segment);
            }
            return Placed::Sent;
        }
        if fin && was.has_finished() && to > last {
            // One more FIN, behind the first.
            self.note_invalid(by, event.time, witness);
            return Placed::Sent;
        }
        if from >= last {
            if from == last && payload > 0 && before.reset_beyond {
                // The RST overtook it, or nobody heeded the RST.
                self.note_guess(event, witness);
                self.note_reordering(event, witness);
            }
            if from > last && last > 0 {
                self.jump(was, from, event, segment);
                self.blur(by, tcp.ends()[by.index()].last());
            }
            if payload == 1 && self.watches(watch::ZERO, by.opposite()) {
                self.note_retransmission(Retransmission::WindowProbe, 0, event, witness);
            }
            self.share_stamp(event, segment);
            self.advance(before.fresh, fin, event, segment, witness);
            return Placed::Sent;
        }
        if fin && tcp.ends()[by.index()].last() < last {
            // Where it stands the stream ends; what was seen behind it was none of it.
            self.note_invalid(by, event.time, witness);
            self.trouble.get_or_insert_default().sides[by.index()].forget_holes();
            self.talk.tear();
            self.advance(before.fresh, fin, event, segment, witness);
            return Placed::Sent;
        }
        let round_trip = self.round_trip();
        let newest = self.sent[by.index()];
        let stamped = segment.options.contains(TcpOptions::TIMESTAMP);
        // Bytes below the newest that had not been seen.
        let filling = before.fresh - (from + i64::from(payload) - last).max(0);
        let fresh = to > last;
        let fills = filling > 0 || (fin && payload == 0 && self.is_in_hole(by, from, to));
        if fills {
            let late = self.late(from, to, round_trip, event, segment);
            // One byte may have been a probe's.
            if late.order() == Order::Unknown || (payload == 1 && to == last) {
                self.note_guess(event, witness);
            }
            let mut placed = Placed::Sent;
            match retransmit::classify_late(&late) {
                Late::Reordered => {
                    self.note_reordering(event, witness);
                    // Of an ACK that overtook it nothing was kept: it may be the newest that tells.
                    let stamp = &mut self.sent[by.index()].stamp;
                    *stamp = if echoes_later(segment.timestamp.0, *stamp) { segment.timestamp.0 } else { *stamp };
                    placed = if fresh { Placed::Sent } else { Placed::late(late.order()) };
                }
                Late::Sent(kind) => {
                    self.resend(kind, payload, (from, to), Earlier::Nothing, event, segment, witness);
                    self.note_recovery(by, kind, from, was);
                }
            }
            self.blur(by, tcp.ends()[by.index()].last());
            if fresh {
                self.advance(before.fresh, fin, event, segment, witness);
            }
            return placed;
        }
        let of = by.opposite();
        let found = before.missed[by.index()].saturating_sub(tcp.missed_positions()[by.index()]);
        let recovered = found > 0 && found == (to.min(last) - from) as u64;
        if recovered && before.end_missed[by.index()] && self.has_just_missed(by, event.time) {
            // Its ACK was captured first, and nothing behind it: it comes as sent.
            self.advance(before.fresh, fin, event, segment, witness);
            return Placed::Sent;
        }
        let recovered = recovered && !fresh;
        let zero_window = self.watches(watch::ZERO, of);
        let side = &mut self.trouble.get_or_insert_default().sides[by.index()];
        let repeated = side.repeats.iter_mut().next().map_or(NEVER, |repeat| repeat.time.as_nanos());
        let latest = newest.time.max(repeated).max(side.probe_time);
        // Nothing but a SYN may have been sent; of one that answers a SYN without acknowledging it no time is kept.
        let opened = || self.steps.answered(by).0.max(self.steps.answered(Direction::Forward).0);
        let sent_at = if newest.time == NEVER { opened() } else { newest.time };
        let same_id = event.datagram_id as u16 == newest.id && since(latest, event.time) < SHORTEST_TIMER;
        let seen = Repetition {
            payload,
            fin,
            below: last - from,
            newest: to == last,
            fresh,
            idle: was.acked() >= last,
            acknowledged: to <= was.acked(),
            zero_window,
            // Some stacks use a number again when they send again.
            id_age: (event.datagram_id != 0 && newest.id != 0)
                .then_some((event.datagram_id as u16).wrapping_sub(newest.id) as i16)
                .filter(|&age| age != 0 || same_id),
            counted: self.steps.counts(by),
            stamp_age: (stamped && newest.stamp != 0).then(|| segment.timestamp.0.wrapping_sub(newest.stamp) as i32),
            other_interface: event.interface != self.interfaces[by.index()],
            since_newest: since(sent_at, event.time),
            duplicate_acks: side.duplicate_acks,
            since_asked: side.since_asked((from, to), event.time),
            recovery: side.recovery,
            first: from <= was.acked(),
            since_repeat: since(side.repeated(from, to, stamped.then_some(segment.timestamp.0)), event.time),
            since_probe: since(side.probe_time, event.time),
            filled: side.repeats.iter_mut().any(|repeat| repeat.filled && repeat.from <= from && to <= repeat.to),
            round_trip,
        };
        // Behind a probe's byte comes the segment that it was taken from.
        let after_probe = fresh
            && last - from == 1
            && (zero_window || side.retransmissions[Retransmission::WindowProbe as usize] > 0);
        let verdict = retransmit::classify(&seen);
        let doubted = match verdict {
            // The byte may have been taken.
            _ if after_probe => was.acked() > from,
            // What came with a SYN and was not taken is sent again at once, without a timer.
            Again::Sent(_) if by == Direction::Forward && from == 1 && self.steps.has_refused_data() => true,
            Again::Overtaken if length == 0 => !seen.is_told() || seen.order() == Order::Unknown,
            // A message of one byte is sent again just so.
            Again::Sent(_) if payload == 1 && last - from == 1 => true,
            // An old ACK, of what was missed, looks like a probe.
            _ if length == 0 && before.missed[by.index()] > 0 && seen.order() == Order::Unknown => true,
            _ if length == 0 && before.end_missed[by.index()] => true,
            _ => !seen.is_told() || (recovered && seen.order() != Order::Before),
        };
        if doubted {
            self.note_guess(event, witness);
        }
        if recovered && seen.order() != Order::After {
            self.note_reordering(event, witness);
            return Placed::late(seen.order());
        }
        match verdict {
            _ if after_probe => {}
            Again::Duplicate => {
                self.note_duplicate(event, witness);
                // Of one sooner the round trip is right but for that time, and a capture may have every packet twice.
                if to > was.acked() && seen.since_newest >= retransmit::COPY && !seen.other_interface {
                    self.blur(by, tcp.ends()[by.index()].last());
                }
                return Placed::Again;
            }
            Again::Overtaken => {
                if length > 0 {
                    self.note_reordering(event, witness);
                }
                return Placed::Again;
            }
            Again::Sent(kind @ (Retransmission::KeepAlive | Retransmission::WindowProbe)) => {
                self.trouble.get_or_insert_default().sides[by.index()].probe_time = event.time.as_nanos();
                self.note_retransmission(kind, payload, event, witness);
                // A probe's byte that was not taken before is sent twice as any other.
                if length > 0 && to > was.acked() {
                    self.blur(by, tcp.ends()[by.index()].last());
                }
            }
            Again::Sent(_) if length == 0 => {}
            Again::Sent(kind) => {
                let old = (last - from).min(i64::from(payload)) as u32;
                let earlier = if to == last { Earlier::Newest(newest.time, newest.stamp) } else { Earlier::Once };
                self.resend(kind, old, (from, to), earlier, event, segment, witness);
                self.note_recovery(by, kind, from, was);
                if to > was.acked() {
                    self.blur(by, tcp.ends()[by.index()].last());
                } else if let Some(repeat) = self.newest_repeat(by) {
                    repeat.acknowledged = true;
                }
            }
        }
        if fresh {
            self.advance(before.fresh, fin, event, segment, witness);
        }
        Placed::Sent
    }

    /// A SYN with another number begins the stream of `by` anew: what was known of the old one's positions is void.
    pub(super) fn restart(&mut self, by: Direction, last: i64) {
        self.sent[by.index()] = Sent::default();
        if let Some(rings) = &mut self.rings {
            rings[by.index()].clear();
        }
        let side = &mut self.trouble.get_or_insert_default().sides[by.index()];
        side.forget_holes();
        side.repeats = Latest::default();
        side.ambiguous_to = last;
        side.recover = 0;
        self.set_watch(watch::RECOVERY, by, true);
    }

    /// The segment begins behind what was to come next.
    pub(super) fn jump(&mut self, was: &Endpoint, from: i64, event: &FlowEvent, segment: &TcpSegment) {
        let hole = Hole {
            from: was.last(),
            to: from,
            time: event.time,
            ids: [self.sent[event.direction.index()].id, event.datagram_id as u16],
            stamp: segment.timestamp.0,
        };
        self.seen |= Seen::HOLES;
        self.trouble.get_or_insert_default().sides[event.direction.index()].jump(hole);
    }

    /// Whether the latest bytes of `by` that were missed were acknowledged so short a time ago that nobody has sent them
    /// again: queues of one interface, or two interfaces, are read one after the other.
    fn has_just_missed(&self, by: Direction, now: Timestamp) -> bool {
        let missed = self.trouble.as_ref().map_or(NEVER, |trouble| trouble.sides[by.index()].missed_time);
        since(missed, now) < retransmit::REORDERING
    }

    fn is_in_hole(&mut self, by: Direction, from: i64, to: i64) -> bool {
        let Some(trouble) = &mut self.trouble else { return false };
        trouble.sides[by.index()].is_in_hole(from, to)
    }

    /// What is known of a segment that fills a hole.
    pub(super) fn late(
        &mut self,
        from: i64,
        to: i64,
        round_trip: Option<Nanos>,
        event: &FlowEvent,
        segment: &TcpSegment,
    ) -> Latecomer {
        let side = &mut self.trouble.get_or_insert_default().sides[event.direction.index()];
        let known = Latecomer {
            round_trip,
            duplicate_acks: side.duplicate_acks,
            since_asked: side.since_asked((from, to), event.time),
            recovery: side.recovery,
            since_jump: Nanos::new(i64::MAX),
            ..Latecomer::default()
        };
        let Some(hole) = side.fill(from, to) else { return known };
        let this = event.datagram_id as u16;
        let stamped = segment.options.contains(TcpOptions::TIMESTAMP) && hole.stamp != 0;
        Latecomer {
            ids: (this != 0 && !hole.ids.contains(&0)).then_some([hole.ids[0], hole.ids[1], this]),
            stamp_age: stamped.then(|| segment.timestamp.0.wrapping_sub(hole.stamp) as i32),
            since_jump: event.time - hole.time,
            ..known
        }
    }

    /// Data was sent again.
    #[allow(clippy::too_many_arguments, reason = "all of what was found out about one segment")]
    pub(super) fn resend<W: Witness>(
        &mut self,
        kind: Retransmission,
        bytes: u32,
        (from, to): (i64, i64),
        earlier: Earlier,
        event: &FlowEvent,
        segment: &TcpSegment,
        witness: &mut W,
    ) {
        self.note_retransmission(kind, bytes, event, witness);
        let newest = self.sent[event.direction.index()].stamp;
        let stamp = segment.timestamp.0;
        let side = &mut self.trouble.get_or_insert_default().sides[event.direction.index()];
        let stamped = segment.options.contains(TcpOptions::TIMESTAMP);
        let shared = side.share(stamp) || !echoes_later(stamp, newest);
        side.repeats.push(Repeat {
            from,
            to,
            time: event.time,
            stamp: stamped.then_some(stamp),
            shared,
            first: if let Earlier::Newest(time, stamp) = earlier { Some((time, stamp)) } else { None },
            kind,
            filled: earlier == Earlier::Nothing,
            acknowledged: false,
            reported: false,
        });
    }

    pub(super) fn newest_repeat(&mut self, by: Direction) -> Option<&mut Repeat> {
        self.trouble.as_mut()?.sides[by.index()].repeats.iter_mut().next()
    }

    /// What begins at `from` was sent again, its sender being known as it `was` before.
    pub(super) fn note_recovery(&mut self, by: Direction, kind: Retransmission, from: i64, was: &Endpoint) {
        let side = &mut self.trouble.get_or_insert_default().sides[by.index()];
        let before = side.recovery;
        side.recovery = before.after(kind, from <= was.acked());
        if side.recovery == Recovery::Fast && (before != Recovery::Fast || was.acked() >= side.recover) {
            side.recover = was.last();
        }
    }

    /// The stream goes on, with `fresh` bytes of payload that had not been seen.
    pub(super) fn advance<W: Witness>(
        &mut self,
        fresh: i64,
        fin: bool,
        event: &FlowEvent,
        segment: &TcpSegment,
        witness: &mut W,
    ) {
        let by = event.direction;
        if is_fin(segment.flags) && by == Direction::Reverse && fresh == 0 {
            // Before its time takes the place of that of the response's last byte.
            self.complete_turn(witness);
        }
        self.renew(event, segment);
        if self.watches(watch::RING, by) {
            let end = segment.seq.wrapping_add(event.payload_bytes).wrapping_add(u32::from(fin));
            self.time_segment(by, end, event, segment);
        }
    }

    pub(super) fn renew(&mut self, event: &FlowEvent, segment: &TcpSegment) {
        let sent = &mut self.sent[event.direction.index()];
        sent.time = event.time.as_nanos();
        sent.stamp = segment.timestamp.0;
    }
}
