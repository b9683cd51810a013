//! What a connection's segments tell beside its state: round trips, repetitions, windows, requests and responses.

mod acknowledgments;
mod facts;
mod handshake;
mod placement;
mod textbook;

use flowcore::event::{EndReason, Notes};
use flowcore::{Direction, FlowEvent, Nanos, TcpFlags, TcpSegment, Timestamp};

use super::acceptance::Verdict;
use super::opening::Steps;
use super::retransmit;
use super::rtt::{Ring, Sent};
use super::trouble::{Side, Trouble};
use super::turns::{Conversation, Piece, Speaker};
use super::{Course, Endpoint, NEVER, Outcome, Retransmission, State, Tcp, Witness};
use placement::Placed;

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
    /// What has happened once; [`HOLES`](Self::HOLES) and [`PAUSED`](Self::PAUSED) as long as they hold.
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
        /// Something was jumped over, and may not have come yet: [`Trouble`] lies farther away.
        const HOLES = 512;
        /// Options of a segment were cut by the snap length.
        const CUT = 1024;
        /// The newest of the responder may be its farewell: short, and long after the rest of its response, or behind
        /// the originator's.
        const PAUSED = 2048;
    }
}

const _: () = assert!(size_of::<Dynamics>() <= 192);
const _: () = assert!(std::mem::offset_of!(Dynamics, ambiguous) == 64);

/// For so long a server waits for another request, at least, before it says farewell. Shorter pauses are mostly the
/// network's: of what was lost and sent again.
const PAUSE: Nanos = Nanos::from_secs(1);

/// What was known before the segment at hand.
struct Before {
    ends: [Endpoint; 2],
    established: bool,
    /// Positions, and of them surely bytes.
    missed: [u64; 2],
    missed_bytes: [u64; 2],
    /// Nothing was seen behind the latest that was missed.
    end_missed: [bool; 2],
    /// Bytes of its payload that had not been seen.
    fresh: i64,
    /// Its sender has sent a RST that stands beyond what was seen.
    reset_beyond: bool,
}

impl Before {
    /// Of a segment with `payload`, where nothing is missing and nobody has reset.
    #[inline]
    fn untroubled(tcp: &Tcp, payload: u32) -> Self {
        Self {
            ends: *tcp.ends(),
            established: tcp.ack != NEVER,
            missed: [0; 2],
            missed_bytes: [0; 2],
            end_missed: [false; 2],
            fresh: i64::from(payload),
            reset_beyond: false,
        }
    }

    /// Whether a segment of the same sender was seen that acknowledges more: this one was overtaken by it, and its
    /// window is an old one. RFC 9293 section 3.10.7.4 asks for the sequence number first; Linux heeds what
    /// acknowledges more whatever its number (`tcp_may_update_window`), and so do we.
    fn has_newer_ack(&self, by: Direction, segment: &TcpSegment) -> bool {
        let peer = &self.ends[by.opposite().index()];
        let acknowledges = segment.flags & (TcpFlags::SYN | TcpFlags::ACK) == TcpFlags::ACK;
        // Before the first of its bytes was acknowledged there is nothing that could be newer.
        acknowledges && peer.acked() > 0 && peer.position(segment.ack) < peer.acked()
    }
}

impl Dynamics {
    /// Bytes of state for one connection, beside what only connections in trouble have.
    pub const fn bytes_per_connection() -> usize {
        size_of::<Self>()
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
        if event.payload_bytes > 0 {
            self.note_pause(event.payload_bytes.into(), event);
        }
        self.payload(tcp, event, segment, segment.seq, witness);
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
        self.note_options(segment);
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
        // Next in order, so that nothing but its acknowledgment can be older than another's.
        let overtaken = newly == 0 && segment.ack != tcp.ends()[of.index()].acked_seq();
        self.note_window(tcp, event, segment, overtaken);
        if self.watches(watch::ZERO, of) {
            match event.payload_bytes {
                0 => {}
                1 => self.note_retransmission(Retransmission::WindowProbe, 0, event, witness),
                _ => self.open_unseen(of, event.time),
            }
        }
        if event.payload_bytes > 0 {
            self.note_pause(event.payload_bytes.into(), event);
        }
        self.payload(tcp, event, segment, segment.seq, witness);
        self.note_newest(event, segment);
        if event.payload_bytes > 0 && self.watches(watch::RING, by) {
            self.time_segment(by, segment.seq.wrapping_add(event.payload_bytes), event, segment);
        }
        self.note_sent(event, segment);
    }

    /// Any other segment, the short way if it can.
    #[inline(never)]
    fn particular<W: Witness>(&mut self, tcp: &mut Tcp, event: &FlowEvent, segment: &TcpSegment, witness: &mut W) {
        if !self.by_the_book(tcp, event, segment, witness) {
            self.general(tcp, event, segment, witness);
        }
    }

    /// Any segment; those that cannot be of this connection wait for one that bears them out.
    #[inline(never)]
    fn general<W: Witness>(&mut self, tcp: &mut Tcp, event: &FlowEvent, segment: &TcpSegment, witness: &mut W) {
        match tcp.judge(segment, event.payload_bytes, event.direction, event.time) {
            Verdict::Take => self.accept(tcp, event, segment, witness),
            Verdict::BehindProbe(of) => {
                tcp.ends[of.index()].begin_behind_probe();
                self.note_first_probe(of, event, segment, witness);
                self.accept(tcp, event, segment, witness);
            }
            Verdict::Hold => {
                if let Some(stray) = tcp.hold(segment, event) {
                    self.note_invalid(stray.direction, stray.time, witness);
                }
            }
            Verdict::Release => {
                if let Some(held) = tcp.release_borne_out() {
                    let missed = tcp.missed_bytes();
                    if tcp.begin_anew(&held) {
                        self.steps.forget_syn();
                    } else {
                        let leapt = tcp.leap(&held, event.direction);
                        // What it acknowledges was there before it.
                        let sides = [held.direction.opposite(), held.direction];
                        for of in sides.into_iter().filter(|of| leapt[of.index()]) {
                            self.note_leap(of, missed, tcp, &held.event(), &held.segment, witness);
                        }
                    }
                    self.accept(tcp, &held.event(), &held.segment, witness);
                }
                self.accept(tcp, event, segment, witness);
            }
        }
    }

    /// Takes in a segment of this connection.
    fn accept<W: Witness>(&mut self, tcp: &mut Tcp, event: &FlowEvent, segment: &TcpSegment, witness: &mut W) {
        let flags = segment.flags;
        let by = event.direction;
        let of = by.opposite();
        let payload = if flags.contains(TcpFlags::RST) { 0 } else { event.payload_bytes };
        let begin = segment.seq.wrapping_add(u32::from(flags.contains(TcpFlags::SYN)));
        let before = Before {
            ends: *tcp.ends(),
            established: tcp.handshake_times().ack.is_some(),
            missed: tcp.missed_positions(),
            missed_bytes: tcp.missed_bytes(),
            end_missed: tcp.end_missed(),
            fresh: tcp.unseen(by, segment, payload),
            reset_beyond: tcp.unseen_before_reset(by).is_some(),
        };
        let first = !self.seen.contains(Seen::SOMETHING);
        self.seen |= Seen::SOMETHING;
        self.note_options(segment);
        let missed_first = tcp.has_missed_first();
        tcp.take_in(segment, event.payload_bytes, by, event.time);
        if tcp.has_missed_first() && !missed_first {
            witness.missed_first(by, event.time);
        }
        if first && !flags.contains(TcpFlags::SYN) {
            witness.midstream(event.time);
        }
        self.note_validity(event, flags, witness);
        self.note_congestion(event, segment);
        if flags.contains(TcpFlags::SYN) && !flags.intersects(TcpFlags::FIN | TcpFlags::RST) {
            self.note_syn(&before, tcp, event, segment, witness);
        }
        self.note_established(&before, tcp, event, segment, witness);
        if tcp.missed_positions()[of.index()] > before.missed[of.index()] {
            self.note_missed(of, &before, tcp, event, segment, witness);
        }
        let (now, then) = (tcp.missed_bytes()[by.index()], before.missed_bytes[by.index()]);
        if now > then {
            // The last of a gap was no FIN: the stream goes on behind it.
            self.note_no_fin(by, now - then, event, witness);
        } else if before.missed[by.index()] > tcp.missed_positions()[by.index()] {
            let end_found = before.end_missed[by.index()] && !tcp.end_missed()[by.index()];
            if end_found && self.talk.take_doubt(by) {
                witness.found(by, 0, 0);
            }
            if then > now {
                self.tell_found(by, then - now, now, witness);
            }
        }
        let end = &tcp.ends()[of.index()];
        if flags & (TcpFlags::ACK | TcpFlags::RST) == TcpFlags::ACK {
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
        self.note_pause(before.fresh, event);
        if closes(flags) {
            self.note_parting(before.fresh, event);
        }
        let placed = self.place(&before, tcp, payload, event, segment, witness);
        if placed == Placed::Again {
            return;
        }
        let overtaken = placed == Placed::Late || before.has_newer_ack(by, segment);
        self.note_window(tcp, event, segment, overtaken);
        if before.fresh > 0 && payload > 1 && self.watches(watch::ZERO, of) {
            let end = &tcp.ends()[by.index()];
            // Beyond what the window had room for, and the byte of a probe.
            if end.position(begin) + i64::from(payload) > end.acked() + 1 {
                self.open_unseen(of, event.time);
            }
        }
        if before.fresh > 0 && payload > 0 {
            let closer = &before.ends[of.index()];
            if closer.state() == State::Closed && closer.acked() == closer.last() {
                self.seen |= Seen::HALF_CLOSED;
            }
            self.payload(tcp, event, segment, begin, witness);
        }
        self.note_end(&before, tcp, event, flags, witness);
        let was = &before.ends[by.index()];
        let control = flags.intersects(TcpFlags::BOUNDARY);
        let unusual = control || !before.established || segment.seq != was.next_seq();
        self.note_sent_with_number(unusual, event, segment);
    }

    /// What a segment leaves behind; an ordinary one is not asked for its number.
    #[inline]
    fn note_sent_with_number(&mut self, unusual: bool, event: &FlowEvent, segment: &TcpSegment) {
        let (by, id) = (event.direction, event.datagram_id as u16);
        let id = if unusual { self.judge_number(by, id) } else { id };
        self.note_sent(event, segment);
        self.sent[by.index()].id = id;
    }

    /// Looks whether `by` counts its identifications; which is that of its latest segment, `id` or one before.
    fn judge_number(&mut self, by: Direction, id: u16) -> u16 {
        let latest = self.sent[by.index()].id;
        let age = id.wrapping_sub(latest) as i16;
        if (id == 0) | (latest == 0) {
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
            self.share_stamp(event, segment);
            self.sent[event.direction.index()].stamp = segment.timestamp.0;
        }
    }

    /// Of what was sent again with the timestamp that the newest has, an echo does not tell.
    #[inline]
    fn share_stamp(&mut self, event: &FlowEvent, segment: &TcpSegment) {
        if self.watches(watch::RECOVERY, event.direction)
            && let Some(trouble) = &mut self.trouble
        {
            trouble.sides[event.direction.index()].share(segment.timestamp.0);
        }
    }

    /// New payload, of which the first byte has the sequence number `begin`. In line: called, it took the course of
    /// connections 1.03 times as long.
    #[inline(always)]
    fn payload<W: Witness>(&mut self, tcp: &Tcp, event: &FlowEvent, segment: &TcpSegment, begin: u32, witness: &mut W) {
        if event.payload_bytes == 0 {
            return;
        }
        if !self.speaker.is(event.direction) {
            if event.direction == Direction::Forward {
                self.tear_by_holes(event.time);
                // It answers an alert at once with its own, most likely (RFC 5246 section 7.2.1).
                if self.seen.contains(Seen::PAUSED) && self.is_at_once(event.time) {
                    self.talk.part_if_answered(event.payload_bytes);
                }
            }
            let answered = self.sent[1].time;
            let whole = self.seen.contains(Seen::OPENING);
            let unheard = tcp.ends()[event.direction.opposite().index()].has_payload_beyond(segment.ack);
            let piece = Piece { segment, begin, time: event.time, answered, whole, unheard };
            self.speaker = self.talk.turn(self.speaker, event.direction, piece, witness);
            let parts = self.speaker.is(Direction::Reverse) && self.talk.answer_farewell(event.payload_bytes);
            self.seen.set(Seen::PAUSED, parts);
            if parts && is_fin(segment.flags) {
                self.talk.part();
            }
        }
        self.sent[event.direction.index()].time = event.time.as_nanos();
    }

    /// Where something was jumped over, a turn that ends now is not known whole.
    ///
    /// The hole that begins `now` is of the next.
    fn tear_by_holes(&mut self, now: Timestamp) {
        if self.seen.contains(Seen::HOLES) {
            self.tear_by_open_holes(now);
        }
    }

    #[cold]
    #[inline(never)]
    fn tear_by_open_holes(&mut self, now: Timestamp) {
        let Some(trouble) = &mut self.trouble else { return };
        let [requests, responses] = &mut trouble.sides;
        // Of a request that was answered the beginning is all that counts.
        requests.take_lost_hole();
        if responses.take_lost_hole() | requests.has_holes(now) | responses.has_holes(now) {
            self.talk.tear();
        }
        self.seen.set(Seen::HOLES, !trouble.sides.iter().all(Side::is_whole));
    }

    /// The response is complete with a FIN, unless some of it may still come.
    fn complete_turn<W: Witness>(&mut self, witness: &mut W) {
        if self.trouble.as_ref().is_none_or(|trouble| trouble.sides[1].is_whole()) {
            self.talk.complete(self.speaker, self.sent[1].time, witness);
        }
    }

    /// `fresh` bytes, before their time takes the place of that of the payload before: whether they may be the
    /// responder's farewell.
    #[inline]
    fn note_pause(&mut self, fresh: i64, event: &FlowEvent) {
        // Where there was none before, or time steps back, it comes out huge, and is looked at properly then.
        let gap = event.time.as_nanos().wrapping_sub(self.sent[1].time) as u64;
        let paused = gap >= PAUSE.get() as u64;
        let goes_on = (event.direction == Direction::Reverse) & self.speaker.is(Direction::Reverse);
        // At once: of directions and speakers alone no predictor guesses the next.
        if (fresh > 0) & goes_on & (paused | self.seen.contains(Seen::PAUSED)) {
            self.note_possible_farewell(fresh, event.time);
        }
    }

    #[cold]
    #[inline(never)]
    fn note_possible_farewell(&mut self, fresh: i64, now: Timestamp) {
        let paused = since(self.sent[1].time, now) >= PAUSE.max(self.burst());
        let may_be = paused || self.seen.contains(Seen::PAUSED);
        self.seen.set(Seen::PAUSED, may_be && self.talk.part_if_short(paused, fresh));
    }

    /// Somebody closes or resets with a segment of `fresh` bytes, before its time takes the place of that of the
    /// payload before: at once behind what may be a farewell, it was one.
    fn note_parting(&mut self, fresh: i64, event: &FlowEvent) {
        if !self.seen.contains(Seen::PAUSED) {
            return;
        }
        let with_it = event.direction == Direction::Reverse && fresh > 0;
        if with_it || self.is_at_once(event.time) {
            self.talk.part();
        } else {
            self.seen.remove(Seen::PAUSED);
        }
    }

    /// Whether `now` is hardly later than the responder's newest.
    fn is_at_once(&self, now: Timestamp) -> bool {
        (Nanos::ZERO..=self.burst()).contains(&since(self.sent[1].time, now))
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

    fn note_end<W: Witness>(
        &mut self,
        before: &Before,
        tcp: &Tcp,
        event: &FlowEvent,
        flags: TcpFlags,
        witness: &mut W,
    ) {
        let by_responder = event.direction == Direction::Reverse;
        if !by_responder && closes(flags) && before.ends[0].is_open() {
            self.talk.close_behind(self.speaker, tcp.ends()[0].end_seq(), event.time, self.burst());
        }
        if is_fin(flags) {
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

    /// How far apart what is sent in one go may be: nobody waits for an answer in so short a time.
    fn burst(&self) -> Nanos {
        let round_trip = self.round_trip().map_or(0, Nanos::get);
        Nanos::new(round_trip.saturating_mul(2).max(retransmit::SHORTEST_TIMER.get()))
    }

    /// The connection is over, for `reason`: tells what was still under way.
    pub fn finish<W: Witness>(&mut self, tcp: &mut Tcp, reason: EndReason, witness: &mut W) {
        if let Some(stray) = tcp.release() {
            self.note_invalid(stray.direction, stray.time, witness);
        }
        self.tear_by_holes(Timestamp::MAX);
        if self.speaker.is(Direction::Reverse) && tcp.reset_tells_of_more(Direction::Reverse) {
            self.talk.tear();
        }
        self.talk.complete(self.speaker, self.sent[1].time, witness);
        if self.outcome == Outcome::Unanswered && reason == EndReason::Idle {
            self.outcome = Outcome::TimedOut;
        }
        if self.talk.is_farewell(self.speaker) {
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

/// Whether a segment closes its direction: without ACK a FIN is of no connection (RFC 9293 section 3.10.7.4).
fn is_fin(flags: TcpFlags) -> bool {
    flags.contains(TcpFlags::FIN | TcpFlags::ACK)
}

/// Whether a segment closes its direction, or resets.
fn closes(flags: TcpFlags) -> bool {
    is_fin(flags) || flags.contains(TcpFlags::RST)
}

/// Time since `then` in nanoseconds; beyond any other if there was none.
fn since(then: i64, now: Timestamp) -> Nanos {
    if then == NEVER { Nanos::new(i64::MAX) } else { now - Timestamp::from_nanos(then) }
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
    /// The most bytes of state that a connection can take, whatever its segments are.
    pub const MOST_BYTES: usize =
        size_of::<Self>() + Tcp::MOST_BYTES_BESIDE + Trouble::MOST_BYTES + size_of::<[Ring; 2]>();

    /// Bytes of state that the connection takes now: what every one has, and what only those in trouble have.
    pub fn bytes(&self) -> usize {
        let Dynamics { trouble, rings, .. } = &self.dynamics;
        size_of::<Self>()
            + self.tcp.bytes_beside()
            + trouble.as_deref().map_or(0, Trouble::bytes)
            + rings.as_deref().map_or(0, size_of_val)
    }

    /// Takes in one segment.
    #[inline]
    pub fn observe<W: Witness>(&mut self, event: &FlowEvent, segment: &TcpSegment, witness: &mut W) {
        self.dynamics.observe(&mut self.tcp, event, segment, witness);
    }

    /// The connection is over, for `reason`.
    pub fn finish<W: Witness>(&mut self, reason: EndReason, witness: &mut W) {
        self.dynamics.finish(&mut self.tcp, reason, witness);
    }

    /// What was found out, as known now.
    pub fn course(&self) -> Course {
        self.dynamics.course(&self.tcp)
    }
}

#[cfg(test)]
mod tests;
