//! What a connection's segments tell beside its state: round trips, repetitions, windows, requests and responses.

mod facts;

use flowcore::event::{EndReason, Notes, TcpOptions};
use flowcore::{Direction, FlowEvent, Nanos, TcpFlags, TcpSegment, Timestamp, prefetch};

use super::opening::{Step, Steps};
use super::retransmit::{self, Again, COPY, Late, Latecomer, Order, Recovery, Repetition, SHORTEST_TIMER};
use super::rtt::{Ring, Sent, echoes_later};
use super::trouble::{Earlier, Hole, Latest, Repeat, Trouble};
use super::turns::{Conversation, Piece, Speaker};
use super::{Course, Endpoint, NEVER, Outcome, Retransmission, RttMethod, RttSample, State, Tcp, Witness};

/// What an ordinary segment must be looked at for; the bits of the first direction, those of the second are one above.
mod watch {
    /// Several segments of this direction are timed.
    pub const RING: u8 = 1;
    /// ACKs of this direction's data may tell no round trip.
    pub const RECOVERY: u8 = 4;
    /// There were duplicate ACKs of this direction's data.
    pub const ASKED: u8 = 16;
    /// This direction's receive window is zero.
    pub const ZERO: u8 = 64;
}

/// One connection's course, beside its [`Tcp`]: follows the same segments, and says what they show as they show it.
///
/// Ordinary segments touch the first cache line, those that acknowledge something a second, those that begin a message
/// a third.
#[derive(Clone, Debug, Default)]
#[repr(C, align(64))]
pub struct Dynamics {
    /// Indexed by [`Direction`], as everything in pairs.
    sent: [Sent; 2],
    trouble: Option<Box<Trouble>>,
    rings: Option<Box<[Ring; 2]>>,
    speaker: Speaker,
    /// Bits of [`watch`].
    watch: u8,
    seen: Seen,
    interfaces: [u16; 2],
    shortest: [Shortest; 2],
    /// ACKs of this direction's data that told no round trip.
    ambiguous: [u32; 2],
    talk: Conversation,
    steps: Steps,
    outcome: Outcome,
}

/// The shortest round trip of one direction's data, in nanoseconds less than which none was; 0 = none was measured.
#[derive(Copy, Clone, Debug, Default)]
struct Shortest(u32);

impl Shortest {
    /// Longer ones than 4.29 s count as that, shorter ones than 1 ns as that.
    #[inline]
    fn take(&mut self, rtt: Nanos) {
        let nanos = u32::try_from(rtt.get()).unwrap_or(u32::MAX).max(1);
        // None, taken for one less, is the largest.
        self.0 = self.0.wrapping_sub(1).min(nanos - 1) + 1;
    }

    fn nanos(self) -> Option<i64> {
        (self.0 > 0).then_some(i64::from(self.0))
    }
}

bitflags::bitflags! {
    /// What has happened once.
    #[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
    struct Seen: u16 {
        const SOMETHING = 1;
        const CLOSING = 2;
        /// The responder closed first.
        const CLOSED_BY_RESPONDER = 4;
        const RESET = 8;
        const RESET_BY_RESPONDER = 16;
        /// The first RST had no ACK.
        const BARE_RESET = 32;
        /// New payload came from the one side after the other's FIN was acknowledged.
        const HALF_CLOSED = 64;
        /// A SYN of the originator, or a SYN-ACK: what every message asks, and [`Steps`] lie farther away.
        const OPENING = 128;
        /// A SYN of the responder, with ACK or without.
        const OTHER_OPENING = 256;
    }
}

const _: () = assert!(size_of::<Dynamics>() <= 192);
const _: () = assert!(std::mem::offset_of!(Dynamics, ambiguous) == 64);

/// What was known before the segment at hand.
struct Before {
    ends: [Endpoint; 2],
    established: bool,
    missed: [u64; 2],
    /// Bytes of its payload that had not been seen.
    fresh: i64,
}

impl Dynamics {
    /// Bytes of state for one connection, beside what only connections in trouble have.
    pub const fn bytes_per_connection() -> usize {
        size_of::<Self>()
    }

    /// Asks the processor to bring closer what segments touch.
    #[inline]
    pub fn prefetch(&self) {
        prefetch(&self.sent);
        prefetch(&self.talk);
    }

    /// Takes in one segment, and hands it to `tcp`.
    #[inline]
    pub fn observe<W: Witness>(&mut self, tcp: &mut Tcp, event: &FlowEvent, segment: &TcpSegment, witness: &mut W) {
        match tcp.continues(segment, event.payload_bytes, event.direction, event.time) {
            Some(newly) => self.ordinary(tcp, newly, event, segment, witness),
            None => self.particular(tcp, event, segment, witness),
        }
    }

    /// A segment next in order, which acknowledges `newly` more bytes, all of them seen.
    #[inline]
    fn ordinary<W: Witness>(
        &mut self,
        tcp: &Tcp,
        newly: i64,
        event: &FlowEvent,
        segment: &TcpSegment,
        witness: &mut W,
    ) {
        let marked = segment.flags.intersects(TcpFlags::ECE | TcpFlags::CWR) || event.notes.contains(Notes::CONGESTED);
        // What a SACK block reports twice may concern what was settled long ago.
        if self.watch != 0 || marked || segment.duplicate != 0 {
            return self.watchful(tcp, newly, event, segment, witness);
        }
        if newly > 0 {
            let of = event.direction.opposite();
            let end = &tcp.ends()[of.index()];
            if end.acked() == end.last() {
                let Sent { time, stamp, .. } = self.sent[of.index()];
                self.sample(of, time, stamp, event, segment, witness);
            } else {
                self.start_ring(of);
            }
        } else if event.payload_bytes == 0 {
            return self.watchful(tcp, newly, event, segment, witness);
        }
        self.payload(event, segment, segment.seq, witness);
        self.note_newest(event, segment);
        self.note_sent(event, segment);
    }

    /// The same when something is to be watched for.
    #[inline(never)]
    fn watchful<W: Witness>(
        &mut self,
        tcp: &Tcp,
        newly: i64,
        event: &FlowEvent,
        segment: &TcpSegment,
        witness: &mut W,
    ) {
        let by = event.direction;
        let of = by.opposite();
        self.note_congestion(event, segment);
        if newly > 0 {
            let end = &tcp.ends()[of.index()];
            self.acknowledged(of, end.acked() - newly, end, event, segment, witness);
        } else if event.payload_bytes == 0 && self.is_copy(event, witness) {
            return;
        } else if event.payload_bytes == 0 {
            self.acknowledged_again(&tcp.ends()[of.index()], event, segment);
        }
        self.note_report(tcp, event, segment, witness);
        self.note_window(event, segment);
        if event.payload_bytes == 1 && self.watches(watch::ZERO, of) {
            self.note_retransmission(Retransmission::WindowProbe, 0, event, witness);
        }
        self.payload(event, segment, segment.seq, witness);
        self.note_newest(event, segment);
        if event.payload_bytes > 0 && self.watches(watch::RING, by) {
            self.time_segment(by, segment.seq.wrapping_add(event.payload_bytes), event, segment);
        }
        self.note_sent(event, segment);
    }

    /// Any other segment.
    #[inline(never)]
    fn particular<W: Witness>(&mut self, tcp: &mut Tcp, event: &FlowEvent, segment: &TcpSegment, witness: &mut W) {
        let flags = segment.flags;
        let by = event.direction;
        let of = by.opposite();
        let payload = if flags.contains(TcpFlags::RST) { 0 } else { event.payload_bytes };
        let begin = segment.seq.wrapping_add(u32::from(flags.contains(TcpFlags::SYN)));
        let before = Before {
            ends: *tcp.ends(),
            established: tcp.handshake_times().ack.is_some(),
            missed: tcp.missed_bytes(),
            fresh: tcp.unseen(by, segment, payload),
        };
        let first = !self.seen.contains(Seen::SOMETHING);
        self.seen |= Seen::SOMETHING;
        tcp.general(segment, event.payload_bytes, by, event.time);
        if first && !flags.contains(TcpFlags::SYN) {
            witness.midstream(event.time);
        }
        self.note_validity(event, flags, witness);
        self.note_congestion(event, segment);
        if flags.contains(TcpFlags::SYN) && !flags.intersects(TcpFlags::FIN | TcpFlags::RST) {
            self.note_syn(&before, tcp, event, segment, witness);
        }
        self.note_established(&before, tcp, event, segment, witness);
        let missed = tcp.missed_bytes()[of.index()] - before.missed[of.index()];
        if missed > 0 {
            self.note_missed(of, missed, &before, tcp, event, segment, witness);
        }
        let end = &tcp.ends()[of.index()];
        if flags.contains(TcpFlags::ACK) && !flags.contains(TcpFlags::RST) {
            let acked = before.ends[of.index()].acked();
            let control = flags.intersects(TcpFlags::SYN | TcpFlags::FIN);
            if end.acked() > acked {
                if end.acked() > before.ends[of.index()].last() {
                    self.blur(of, end.acked());
                }
                self.acknowledged(of, acked, end, event, segment, witness);
            } else if payload == 0 && !control && segment.seq == tcp.ends()[by.index()].next_seq() {
                if self.is_copy(event, witness) {
                    return;
                }
                self.acknowledged_again(end, event, segment);
            }
            self.note_report(tcp, event, segment, witness);
        }
        if !self.place(&before, tcp, payload, event, segment, witness) {
            return;
        }
        self.note_window(event, segment);
        if before.fresh > 0 && payload > 0 {
            let closer = &before.ends[of.index()];
            if closer.state() == State::Closed && closer.acked() == closer.last() {
                self.seen |= Seen::HALF_CLOSED;
            }
            self.payload(event, segment, begin, witness);
        }
        self.note_end(&before, event, flags, witness);
        let was = &before.ends[by.index()];
        let control = flags.intersects(TcpFlags::SYN | TcpFlags::FIN | TcpFlags::RST);
        // An ordinary segment is not asked for its number.
        let unusual = control || !before.established || segment.seq != was.next_seq();
        let id = if unusual { self.judge_number(by, event.datagram_id as u16) } else { event.datagram_id as u16 };
        self.note_sent(event, segment);
        self.sent[by.index()].id = id;
    }

    /// Looks whether `by` counts its identifications; which is that of its latest segment, `id` or one before.
    fn judge_number(&mut self, by: Direction, id: u16) -> u16 {
        let latest = self.sent[by.index()].id;
        let age = id.wrapping_sub(latest) as i16;
        if id == 0 || latest == 0 {
            return id;
        }
        if retransmit::is_earlier(age) {
            return latest;
        }
        self.steps.note_counting(by, retransmit::is_next(age));
        id
    }

    #[inline]
    fn watches(&self, what: u8, direction: Direction) -> bool {
        self.watch & what << direction.index() != 0
    }

    #[inline]
    fn set_watch(&mut self, what: u8, direction: Direction, on: bool) {
        let bit = what << direction.index();
        self.watch = if on { self.watch | bit } else { self.watch & !bit };
    }

    /// What every segment leaves behind.
    #[inline]
    fn note_sent(&mut self, event: &FlowEvent, segment: &TcpSegment) {
        let sent = &mut self.sent[event.direction.index()];
        sent.id = event.datagram_id as u16;
        sent.window = segment.window;
        self.interfaces[event.direction.index()] = event.interface;
    }

    /// What the newest payload leaves behind.
    #[inline]
    fn note_newest(&mut self, event: &FlowEvent, segment: &TcpSegment) {
        if event.payload_bytes > 0 {
            if self.watches(watch::RECOVERY, event.direction)
                && let Some(trouble) = &mut self.trouble
            {
                trouble.sides[event.direction.index()].share(segment.timestamp.0);
            }
            self.sent[event.direction.index()].stamp = segment.timestamp.0;
        }
    }

    /// New payload, of which the first byte has the sequence number `begin`.
    #[inline]
    fn payload<W: Witness>(&mut self, event: &FlowEvent, segment: &TcpSegment, begin: u32, witness: &mut W) {
        if event.payload_bytes == 0 {
            return;
        }
        if !self.speaker.is(event.direction) {
            if event.direction == Direction::Forward {
                self.tear_by_holes(event.time);
            }
            let answered = self.sent[1].time;
            let whole = self.seen.contains(Seen::OPENING);
            let piece = Piece { segment, begin, time: event.time, answered, whole };
            self.speaker = self.talk.turn(self.speaker, event.direction, piece, witness);
        }
        self.sent[event.direction.index()].time = event.time.as_nanos();
    }

    /// Where something was jumped over, a turn that ends now is not known whole.
    ///
    /// The hole that begins `now` is of the next.
    fn tear_by_holes(&mut self, now: Timestamp) {
        let Some(trouble) = &mut self.trouble else { return };
        if trouble.sides.iter_mut().any(|side| side.holes.iter_mut().any(|hole| hole.time != now)) {
            self.talk.tear();
        }
    }

    /// The response is complete with a FIN, unless some of it may still come.
    fn complete_turn<W: Witness>(&mut self, witness: &mut W) {
        if self.trouble.as_ref().is_none_or(|trouble| trouble.sides[1].holes.is_empty()) {
            self.talk.complete(self.speaker, self.sent[1].time, witness);
        }
    }

    /// An ACK of exactly the bytes that were sent at `sent` with `stamp`.
    #[inline]
    fn sample<W: Witness>(
        &mut self,
        of: Direction,
        sent: i64,
        stamp: u32,
        event: &FlowEvent,
        segment: &TcpSegment,
        witness: &mut W,
    ) {
        let rtt = event.time.as_nanos().wrapping_sub(sent);
        if sent == NEVER || rtt < 0 || echoes_later(segment.timestamp.1, stamp) {
            return self.note_ambiguous(of, event.time, witness);
        }
        let method = if event.payload_bytes > 0 { RttMethod::Piggyback } else { RttMethod::Acknowledgment };
        self.take(of, Nanos::new(rtt), method, event.time, witness);
    }

    #[inline]
    fn take<W: Witness>(&mut self, of: Direction, rtt: Nanos, method: RttMethod, time: Timestamp, witness: &mut W) {
        self.shortest[of.index()].take(rtt);
        witness.rtt(RttSample { time, rtt, of, method });
    }

    #[cold]
    fn note_ambiguous<W: Witness>(&mut self, of: Direction, time: Timestamp, witness: &mut W) {
        self.ambiguous[of.index()] = self.ambiguous[of.index()].saturating_add(1);
        witness.ambiguous(of, time);
    }

    #[cold]
    fn start_ring(&mut self, of: Direction) {
        self.rings.get_or_insert_default()[of.index()].clear();
        self.set_watch(watch::RING, of, true);
    }

    fn time_segment(&mut self, by: Direction, end: u32, event: &FlowEvent, segment: &TcpSegment) {
        if let Some(rings) = &mut self.rings {
            rings[by.index()].push(end, event.time, segment.timestamp.0);
        }
    }

    fn newest_repeat(&mut self, by: Direction) -> Option<&mut Repeat> {
        self.trouble.as_mut()?.sides[by.index()].repeats.iter_mut().next()
    }

    /// ACKs up to `position` of `of`'s data tell no round trip.
    fn blur(&mut self, of: Direction, position: i64) {
        let side = &mut self.trouble.get_or_insert_default().sides[of.index()];
        side.ambiguous_to = side.ambiguous_to.max(position);
        self.set_watch(watch::RECOVERY, of, true);
    }

    /// Everything up to `acked` of `of`'s data is acknowledged.
    fn settle(&mut self, of: Direction, acked: i64) {
        let Some(trouble) = &mut self.trouble else { return };
        let side = &mut trouble.sides[of.index()];
        if acked >= side.ambiguous_to {
            side.recovery = Recovery::None;
            self.set_watch(watch::RECOVERY, of, false);
        }
    }

    /// An ACK of more of `of`'s data, of which everything up to `from` was acknowledged before.
    fn acknowledged<W: Witness>(
        &mut self,
        of: Direction,
        from: i64,
        end: &Endpoint,
        event: &FlowEvent,
        segment: &TcpSegment,
        witness: &mut W,
    ) {
        if self.watches(watch::ASKED, of) {
            self.set_watch(watch::ASKED, of, false);
            if let Some(trouble) = &mut self.trouble {
                trouble.sides[of.index()].duplicate_acks = 0;
            }
        }
        let timed = match &mut self.rings {
            Some(rings) if self.watch & watch::RING << of.index() != 0 => rings[of.index()].acknowledge(segment.ack),
            _ => None,
        };
        let acked = end.acked();
        let opened = match of {
            Direction::Forward => self.seen.contains(Seen::OPENING),
            Direction::Reverse => self.seen.contains(Seen::OTHER_OPENING),
        };
        let answers_more = of == Direction::Reverse && from == 0 && self.is_ack_of_more(end);
        if from <= i64::from(!opened) && !(opened && answers_more) {
            // Acknowledged first is the SYN, or what may have been sent twice before the capture.
            if !opened && acked < end.last() {
                self.blur(of, end.last());
            }
            self.settle(of, acked);
            return;
        }
        if self.watches(watch::RECOVERY, of) {
            let blurred = self.trouble.as_ref().is_some_and(|trouble| from < trouble.sides[of.index()].ambiguous_to);
            if blurred {
                self.resolve(of, acked, event, segment, witness);
            }
            self.settle(of, acked);
            if blurred {
                return;
            }
        }
        if acked == end.last() {
            let Sent { time, stamp, .. } = self.sent[of.index()];
            self.sample(of, time, stamp, event, segment, witness);
        } else if let Some((time, stamp)) = timed {
            self.sample(of, time, stamp, event, segment, witness);
        } else if !self.watches(watch::RING, of) {
            self.start_ring(of);
        }
    }

    /// An ACK of data of which there may be two copies: the timestamp that it echoes may tell which one it answers
    /// (RFC 7323 section 4.3 rule C, RFC 3522 section 3.2).
    fn resolve<W: Witness>(
        &mut self,
        of: Direction,
        acked: i64,
        event: &FlowEvent,
        segment: &TcpSegment,
        witness: &mut W,
    ) {
        let Some(trouble) = &mut self.trouble else { return };
        let side = &mut trouble.sides[of.index()];
        let echo = segment.options.contains(TcpOptions::TIMESTAMP).then_some(segment.timestamp.1);
        let mut found = None;
        for repeat in side.repeats.iter_mut() {
            if repeat.to > acked || repeat.acknowledged {
                continue;
            }
            repeat.acknowledged = true;
            if found.is_some() || echo.is_none() || repeat.stamp.is_none() {
                continue;
            }
            if echo == repeat.stamp {
                found = (!repeat.shared).then_some(repeat.time.as_nanos());
            } else if let Some((first, stamp)) = repeat.first
                && echo == Some(stamp)
            {
                found = Some(first);
                if repeat.kind.is_of_data() && repeat.kind != Retransmission::Spurious {
                    take_back(&mut side.retransmissions, repeat, of, event.time, witness);
                }
            }
        }
        let rtt = found.map(|sent| event.time.as_nanos().wrapping_sub(sent)).filter(|&rtt| rtt >= 0);
        match rtt {
            Some(rtt) => self.take(of, Nanos::new(rtt), RttMethod::Timestamp, event.time, witness),
            None => self.note_ambiguous(of, event.time, witness),
        }
    }

    /// An ACK without payload of nothing more.
    fn acknowledged_again(&mut self, end: &Endpoint, event: &FlowEvent, segment: &TcpSegment) {
        let of = event.direction.opposite();
        if let (Some(trouble), true) = (&mut self.trouble, segment.options.contains(TcpOptions::TIMESTAMP)) {
            trouble.sides[of.index()].echo(segment.timestamp.1);
        }
        // RFC 5681 section 2; with SACK the window may change (RFC 6675 section 2).
        let same_window = segment.window == self.sent[event.direction.index()].window;
        if end.acked() >= end.last()
            || segment.ack != end.acked_seq()
            // The answer to a probe: it asks for nothing.
            || segment.window == 0
            || !(same_window || segment.options.contains(TcpOptions::SACK))
        {
            return;
        }
        let side = &mut self.trouble.get_or_insert_default().sides[of.index()];
        side.duplicate_acks = side.duplicate_acks.saturating_add(1);
        side.all_duplicate_acks = side.all_duplicate_acks.saturating_add(1);
        side.duplicate_ack_time = event.time.as_nanos();
        self.set_watch(watch::ASKED, of, true);
    }

    /// A duplicate that the receiver reports (RFC 2883): if it was sent again, that was spurious.
    fn note_report<W: Witness>(&mut self, tcp: &Tcp, event: &FlowEvent, segment: &TcpSegment, witness: &mut W) {
        if segment.duplicate == 0 || !segment.options.contains(TcpOptions::SACK) {
            return;
        }
        let of = event.direction.opposite();
        let position = tcp.ends()[of.index()].position(segment.ack.wrapping_add(segment.duplicate as u32));
        let Some(trouble) = &mut self.trouble else { return };
        let side = &mut trouble.sides[of.index()];
        let told = side.repeats.iter_mut().find(|repeat| {
            (repeat.from..repeat.to).contains(&position)
                && repeat.kind.is_of_data()
                && repeat.kind != Retransmission::Spurious
        });
        if let Some(repeat) = told {
            take_back(&mut side.retransmissions, repeat, of, event.time, witness);
        }
    }

    /// Whether the IPv4 identification says that this is its sender's latest packet once more.
    fn is_copy<W: Witness>(&mut self, event: &FlowEvent, witness: &mut W) -> bool {
        let id = event.datagram_id as u16;
        let copy = id != 0 && id == self.sent[event.direction.index()].id;
        if copy {
            self.note_duplicate(event, witness);
        }
        copy
    }

    fn note_duplicate<W: Witness>(&mut self, event: &FlowEvent, witness: &mut W) {
        let side = &mut self.trouble.get_or_insert_default().sides[event.direction.index()];
        side.duplicates = side.duplicates.saturating_add(1);
        witness.duplicate(event.direction, event.time);
    }

    fn note_guess<W: Witness>(&mut self, event: &FlowEvent, witness: &mut W) {
        let side = &mut self.trouble.get_or_insert_default().sides[event.direction.index()];
        side.guessed = side.guessed.saturating_add(1);
        witness.guessed(event.direction, event.time);
    }

    fn note_reordering<W: Witness>(&mut self, event: &FlowEvent, witness: &mut W) {
        let side = &mut self.trouble.get_or_insert_default().sides[event.direction.index()];
        side.reordered = side.reordered.saturating_add(1);
        witness.reordering(event.direction, event.time);
    }

    fn note_syn<W: Witness>(
        &mut self,
        before: &Before,
        tcp: &Tcp,
        event: &FlowEvent,
        segment: &TcpSegment,
        witness: &mut W,
    ) {
        if self.outcome == Outcome::Midstream {
            self.outcome = Outcome::Unanswered;
        }
        let by = event.direction;
        let ack = segment.flags.contains(TcpFlags::ACK);
        let (latest, stamp, _) = self.steps.answered(by);
        let soon = latest != NEVER && (0..COPY.get()).contains(&event.time.as_nanos().wrapping_sub(latest));
        let same_stamp = stamp == segment.timestamp.0;
        // A SYN-ACK has the number of the SYN that its sender crossed it with, and is no copy of that.
        let copied = self.steps.has_sent(by, ack)
            && before.ends[by.index()].is_placed()
            && segment.seq == before.ends[by.index()].start()
            && if event.datagram_id == 0 {
                soon && same_stamp
            } else {
                event.datagram_id as u16 == self.sent[by.index()].id
                    && since(latest, event.time) < retransmit::SHORTEST_TIMER
            };
        if copied {
            if event.datagram_id == 0 {
                self.steps.note_twin(by);
                self.note_guess(event, witness);
            }
            return self.note_duplicate(event, witness);
        }
        let step = self.steps.syn(event, segment, before.established);
        // The timer of a SYN is longer (RFC 6298 section 2.1); of crossed steps no times are kept.
        let close = latest == NEVER || ack == (by == Direction::Forward) || since(latest, event.time) < SHORTEST_TIMER;
        if step == Step::Again && close {
            self.note_guess(event, witness);
        }
        self.seen.set(Seen::OPENING, self.steps.has_syn() || self.steps.has_syn_ack());
        self.seen.set(Seen::OTHER_OPENING, self.steps.has_other_syn());
        match (step, by, ack) {
            (Step::First, Direction::Forward, false) => witness.syn(event.time),
            (Step::First, Direction::Reverse, true) => {
                witness.syn_ack(event.time);
                // More than the SYN is acknowledged: its data was taken.
                if tcp.ends()[0].acked() > 1 && self.steps.has_syn() {
                    self.steps.accept_data();
                }
                self.handshake_sample(Direction::Forward, event, segment, witness);
            }
            (Step::First, _, _) => {}
            (Step::Again, _, false) => self.note_retransmission(Retransmission::Syn, 0, event, witness),
            (Step::Again, _, true) => self.note_retransmission(Retransmission::SynAck, 0, event, witness),
        }
    }

    /// A step of the handshake was answered.
    fn handshake_sample<W: Witness>(
        &mut self,
        of: Direction,
        event: &FlowEvent,
        segment: &TcpSegment,
        witness: &mut W,
    ) {
        let (sent, stamp, only) = self.steps.answered(of);
        if sent == NEVER {
            return;
        }
        let rtt = event.time.as_nanos().wrapping_sub(sent);
        let echo = segment.options.contains(TcpOptions::TIMESTAMP).then_some(segment.timestamp.1);
        // Linux stamps SYNs with milliseconds: those of two copies differ.
        let told = only || echo.is_some_and(|echo| echo != 0 && echo == stamp);
        if rtt < 0
            || !(told && self.steps.is_told(of))
            || self.steps.is_crossed()
            || echo.is_some_and(|echo| echoes_later(echo, stamp))
        {
            return self.note_ambiguous(of, event.time, witness);
        }
        let method = if only { RttMethod::Handshake } else { RttMethod::Timestamp };
        self.take(of, Nanos::new(rtt), method, event.time, witness);
    }

    /// Whether the ACK of the SYN-ACK was brought about by payload that the responder sent behind it.
    fn is_ack_of_more(&self, responder: &Endpoint) -> bool {
        let (syn_ack, ..) = self.steps.answered(Direction::Reverse);
        responder.acked() > 1 && self.sent[1].time > syn_ack
    }

    /// The end of the handshake, however it came about.
    fn note_established<W: Witness>(
        &mut self,
        before: &Before,
        tcp: &Tcp,
        event: &FlowEvent,
        segment: &TcpSegment,
        witness: &mut W,
    ) {
        let flags = segment.flags;
        if !matches!(self.outcome, Outcome::Unanswered) {
            return;
        }
        if flags.contains(TcpFlags::RST) {
            let refused = event.direction == Direction::Reverse && !self.steps.has_syn_ack();
            self.outcome = if refused { Outcome::Refused } else { Outcome::Reset };
            return;
        }
        let ack = !before.established && tcp.handshake_times().ack.is_some();
        let [originator, responder] = tcp.ends();
        let crossed = self.steps.is_crossed() && originator.acked() > 0 && responder.acked() > 0;
        // The SYN-ACK was not seen, but the responder goes on.
        let goes_on = !self.steps.has_syn_ack()
            && event.direction == Direction::Reverse
            && !flags.contains(TcpFlags::SYN)
            && (originator.acked() > 1 || (originator.acked() > 0 && event.payload_bytes > 0));
        // Its times are not known, but a FIN that acknowledges the SYN-ACK says that it was there.
        let closes = flags.contains(TcpFlags::FIN)
            && event.direction == Direction::Forward
            && self.steps.has_syn_ack()
            && responder.acked() > 0;
        if ack || crossed || goes_on || closes {
            self.outcome = Outcome::Established;
            if ack && !self.is_ack_of_more(responder) {
                self.handshake_sample(Direction::Reverse, event, segment, witness);
            }
            witness.established(&self.opening(tcp), event.time);
        }
    }

    #[allow(clippy::too_many_arguments, reason = "all of what was found out about one segment")]
    fn note_missed<W: Witness>(
        &mut self,
        of: Direction,
        bytes: u64,
        before: &Before,
        tcp: &Tcp,
        event: &FlowEvent,
        segment: &TcpSegment,
        witness: &mut W,
    ) {
        let seen = before.ends[of.index()].last();
        let acked = tcp.ends()[of.index()].acked();
        self.trouble.get_or_insert_default().sides[of.index()].miss(seen, acked);
        let answered = self.sent[1].time;
        self.tear_by_holes(Timestamp::MAX);
        let sender = &before.ends[event.direction.index()];
        if sender.position(segment.seq) > sender.last() {
            self.talk.tear();
        }
        if bytes == 1 && acked == seen + 1 {
            // It may have been a FIN.
            self.talk.tear();
            return witness.missing(of, bytes, event.time);
        }
        self.speaker = self.talk.missed(self.speaker, of, answered, segment.ack, event.time, witness);
        witness.missing(of, bytes, event.time);
    }

    /// Finds the segment's place in its stream; `false` if it was a copy, which counts for nothing more.
    fn place<W: Witness>(
        &mut self,
        before: &Before,
        tcp: &Tcp,
        payload: u32,
        event: &FlowEvent,
        segment: &TcpSegment,
        witness: &mut W,
    ) -> bool {
        let flags = segment.flags;
        let by = event.direction;
        let was = &before.ends[by.index()];
        if flags.intersects(TcpFlags::SYN | TcpFlags::RST) || !was.is_placed() {
            let now = &tcp.ends()[by.index()];
            if was.has_begun() && now.start() != was.start() {
                self.restart(by, now.last());
            }
            if payload > 0 && before.fresh > 0 {
                self.renew(event, segment);
            }
            return true;
        }
        let fin = flags.contains(TcpFlags::FIN);
        let length = i64::from(payload) + i64::from(fin);
        let from = was.position(segment.seq);
        let (to, last) = (from + length, was.last());
        if length == 0 && from != last - 1 {
            return true;
        }
        if from >= last {
            if from > last && last > 0 {
                self.jump(was, from, event, segment);
                self.blur(by, tcp.ends()[by.index()].last());
            }
            if payload == 1 && self.watches(watch::ZERO, by.opposite()) {
                self.note_retransmission(Retransmission::WindowProbe, 0, event, witness);
            }
            self.advance(fin, event, segment, witness);
            return true;
        }
        let round_trip = self.round_trip();
        let newest = self.sent[by.index()];
        let stamped = segment.options.contains(TcpOptions::TIMESTAMP);
        // Bytes below the newest that had not been seen.
        let filling = before.fresh - (from + i64::from(payload) - last).max(0);
        let fresh = to > last;
        if filling > 0 {
            let late = self.late(from, to, round_trip, event, segment);
            if late.order() == Order::Unknown {
                self.note_guess(event, witness);
            }
            match retransmit::classify_late(&late) {
                Late::Reordered => self.note_reordering(event, witness),
                Late::Sent(kind) => {
                    self.resend(kind, payload, (from, to), Earlier::Nothing, event, segment, witness);
                    self.note_recovery(by, kind, from <= was.acked());
                }
            }
            self.blur(by, tcp.ends()[by.index()].last());
            if fresh {
                self.advance(fin, event, segment, witness);
            }
            return true;
        }
        let of = by.opposite();
        let zero_window = self.watches(watch::ZERO, of);
        let side = &mut self.trouble.get_or_insert_default().sides[by.index()];
        let latest =
            side.repeats.iter_mut().next().map_or(newest.time, |repeat| repeat.time.as_nanos().max(newest.time));
        let same_id = event.datagram_id as u16 == newest.id && since(latest, event.time) < retransmit::SHORTEST_TIMER;
        let recovered = !fresh && length > 0 && side.recover(from, to);
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
            since_newest: since(newest.time, event.time),
            duplicate_acks: side.duplicate_acks,
            since_duplicate_ack: side.since_duplicate_ack(event.time),
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
            Again::Overtaken if length == 0 => !seen.is_told() || seen.order() == Order::Unknown,
            // A message of one byte is sent again just so.
            Again::Sent(_) if payload == 1 && last - from == 1 => true,
            // An old ACK, of what was missed, looks like a probe.
            _ if length == 0 && seen.order() == Order::Unknown && before.missed[by.index()] > 0 => true,
            _ => !seen.is_told() || (recovered && seen.order() != Order::Before),
        };
        if doubted {
            self.note_guess(event, witness);
        }
        if recovered && seen.order() != Order::After {
            self.note_reordering(event, witness);
            return true;
        }
        match verdict {
            _ if after_probe => {}
            Again::Duplicate => {
                self.note_duplicate(event, witness);
                return false;
            }
            Again::Overtaken => {
                if length > 0 {
                    self.note_reordering(event, witness);
                }
                return false;
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
                self.note_recovery(by, kind, from <= was.acked());
                if to > was.acked() {
                    self.blur(by, tcp.ends()[by.index()].last());
                } else if let Some(repeat) = self.newest_repeat(by) {
                    repeat.acknowledged = true;
                }
            }
        }
        if fresh {
            self.advance(fin, event, segment, witness);
        }
        true
    }

    /// A SYN with another number begins the stream of `by` anew: what was known of the old one's positions is void.
    fn restart(&mut self, by: Direction, last: i64) {
        self.sent[by.index()] = Sent::default();
        if let Some(rings) = &mut self.rings {
            rings[by.index()].clear();
        }
        let side = &mut self.trouble.get_or_insert_default().sides[by.index()];
        side.holes = Latest::default();
        side.missed = Latest::default();
        side.repeats = Latest::default();
        side.ambiguous_to = last;
        self.set_watch(watch::RECOVERY, by, true);
    }

    /// The segment begins behind what was to come next.
    fn jump(&mut self, was: &Endpoint, from: i64, event: &FlowEvent, segment: &TcpSegment) {
        let hole = Hole {
            from: was.last(),
            to: from,
            time: event.time,
            ids: [self.sent[event.direction.index()].id, event.datagram_id as u16],
            stamp: segment.timestamp.0,
        };
        self.trouble.get_or_insert_default().sides[event.direction.index()].holes.push(hole);
    }

    /// What is known of a segment that fills a hole.
    fn late(
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
            since_duplicate_ack: side.since_duplicate_ack(event.time),
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
    fn resend<W: Witness>(
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
        });
    }

    fn note_recovery(&mut self, by: Direction, kind: Retransmission, first: bool) {
        let recovery = &mut self.trouble.get_or_insert_default().sides[by.index()].recovery;
        *recovery = recovery.after(kind, first);
    }

    /// The stream goes on.
    fn advance<W: Witness>(&mut self, fin: bool, event: &FlowEvent, segment: &TcpSegment, witness: &mut W) {
        let by = event.direction;
        if fin && by == Direction::Reverse && event.payload_bytes == 0 {
            // Before its time takes the place of that of the response's last byte.
            self.complete_turn(witness);
        }
        self.renew(event, segment);
        if self.watches(watch::RING, by) {
            let end = segment.seq.wrapping_add(event.payload_bytes).wrapping_add(u32::from(fin));
            self.time_segment(by, end, event, segment);
        }
    }

    fn renew(&mut self, event: &FlowEvent, segment: &TcpSegment) {
        let sent = &mut self.sent[event.direction.index()];
        sent.time = event.time.as_nanos();
        sent.stamp = segment.timestamp.0;
    }

    fn note_end<W: Witness>(&mut self, before: &Before, event: &FlowEvent, flags: TcpFlags, witness: &mut W) {
        let by_responder = event.direction == Direction::Reverse;
        if flags.contains(TcpFlags::FIN) {
            if by_responder {
                self.complete_turn(witness);
            }
            if !self.seen.contains(Seen::CLOSING) {
                self.seen |= Seen::CLOSING;
                self.seen.set(Seen::CLOSED_BY_RESPONDER, by_responder);
                witness.closing(event.direction, event.time);
            }
        }
        // After both have closed a RST changes nothing: it answers what came late.
        let closed = before.ends.iter().all(|end| end.state() == State::Closed);
        if flags.contains(TcpFlags::RST) && !closed && !self.seen.contains(Seen::RESET) {
            self.seen |= Seen::RESET;
            self.seen.set(Seen::RESET_BY_RESPONDER, by_responder);
            self.seen.set(Seen::BARE_RESET, !flags.contains(TcpFlags::ACK));
            witness.reset(event.direction, event.time);
        }
    }

    /// The connection is over, for `reason`: tells what was still under way.
    pub fn finish<W: Witness>(&mut self, reason: EndReason, witness: &mut W) {
        self.tear_by_holes(Timestamp::MAX);
        self.talk.complete(self.speaker, self.sent[1].time, witness);
        if self.outcome == Outcome::Unanswered && reason == EndReason::Idle {
            self.outcome = Outcome::TimedOut;
        }
        let closes = (self.seen.contains(Seen::CLOSING) && !self.seen.contains(Seen::CLOSED_BY_RESPONDER))
            || self.seen.contains(Seen::HALF_CLOSED)
            || (self.seen.contains(Seen::RESET) && !self.seen.contains(Seen::RESET_BY_RESPONDER));
        if closes && self.talk.close_behind(self.speaker) {
            witness.farewell();
        }
        witness.finished(self.told_outcome(), self.talk.responses());
    }

    fn told_outcome(&self) -> Outcome {
        match self.outcome {
            Outcome::Unanswered if self.steps.has_syn_ack() => Outcome::HalfOpen,
            outcome => outcome,
        }
    }
}

/// Time since `then` in nanoseconds; beyond any other if there was none.
fn since(then: i64, now: Timestamp) -> Nanos {
    if then == NEVER { Nanos::new(i64::MAX) } else { now - Timestamp::from_nanos(then) }
}

/// A retransmission turned out to have been spurious.
fn take_back<W: Witness>(
    counts: &mut [u32; Retransmission::COUNT],
    repeat: &mut Repeat,
    by: Direction,
    time: Timestamp,
    witness: &mut W,
) {
    counts[repeat.kind as usize] = counts[repeat.kind as usize].saturating_sub(1);
    let spurious = &mut counts[Retransmission::Spurious as usize];
    *spurious = spurious.saturating_add(1);
    witness.needless(repeat.kind, by, time);
    repeat.kind = Retransmission::Spurious;
}

/// One connection followed in every respect.
#[derive(Clone, Debug, Default)]
pub struct Followed {
    /// State, history, handshake, missing bytes.
    pub tcp: Tcp,
    /// Everything else.
    pub dynamics: Dynamics,
}

impl Followed {
    /// Takes in one segment.
    #[inline]
    pub fn observe<W: Witness>(&mut self, event: &FlowEvent, segment: &TcpSegment, witness: &mut W) {
        self.dynamics.observe(&mut self.tcp, event, segment, witness);
    }

    /// The connection is over, for `reason`.
    pub fn finish<W: Witness>(&mut self, reason: EndReason, witness: &mut W) {
        self.dynamics.finish(reason, witness);
    }

    /// What was found out, as known now.
    pub fn course(&self) -> Course {
        self.dynamics.course(&self.tcp)
    }
}

#[cfg(test)]
mod tests;
