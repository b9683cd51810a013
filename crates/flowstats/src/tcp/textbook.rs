//! The segments that open and close nearly every connection, the short way.
//!
//! Why beside [`Tcp::accept`], which is right for every segment: at ten packets a connection half of all segments are
//! of these, and the dozens of questions that it asks of each have answers that no branch predictor guesses: 3 wrong
//! guesses and 280 instructions (cachegrind's model). A property test holds that both come to the same.

use flowcore::event::TcpOptions;
use flowcore::{Direction, TcpFlags, TcpSegment, Timestamp};

use super::{Bearing, Endpoint, Letter, NEVER, State, Tcp, completeness};

const SYN: u16 = TcpFlags::SYN.bits();
const FIN: u16 = TcpFlags::FIN.bits();
const ACK: u16 = TcpFlags::ACK.bits();
const SYN_ACK: u16 = SYN | ACK;
const FIN_ACK: u16 = FIN | ACK;

impl Tcp {
    /// Takes in the SYN, the SYN-ACK, the ACK of it, a FIN, or an ACK before or behind one, if it stands where it
    /// should and nothing unusual came before; `false`, with nothing changed, for any other.
    #[inline]
    pub(super) fn textbook(
        &mut self,
        segment: &TcpSegment,
        payload: u32,
        direction: Direction,
        time: Timestamp,
    ) -> bool {
        if self.rare.is_some() || segment.window == 0 || segment.options.contains(TcpOptions::INCOMPLETE) {
            return false;
        }
        let flags = segment.flags.bits();
        let done = match flags & (TcpFlags::BOUNDARY | TcpFlags::ACK).bits() {
            ACK => self.follows(segment, payload, direction, time),
            SYN_ACK if payload == 0 => self.answers(segment, direction, time),
            SYN if payload == 0 => self.opens(segment, direction, time),
            FIN_ACK => self.closes(segment, payload, direction, time),
            _ => false,
        };
        if done {
            self.flags[direction.index()] |= segment.flags;
            self.note_room(segment, direction);
        }
        done
    }

    /// The originator's SYN, before anything else.
    #[inline]
    fn opens(&mut self, segment: &TcpSegment, direction: Direction, time: Timestamp) -> bool {
        let fresh = !self.ends[0].is_placed() & !self.ends[1].is_placed() & (self.syn == NEVER);
        if direction != Direction::Forward || !fresh {
            return false;
        }
        self.syn = time.as_nanos();
        self.active = time.as_nanos();
        self.completeness |= completeness::SYN;
        let [originator, responder] = &mut self.ends;
        originator.begin_with_syn(segment.seq, State::SynSent);
        responder.expect_echo(segment.timestamp.0);
        self.history.once(Letter::Syn, originator, direction);
        true
    }

    /// The SYN-ACK of it.
    #[inline]
    fn answers(&mut self, segment: &TcpSegment, direction: Direction, time: Timestamp) -> bool {
        let [originator, responder] = &mut self.ends;
        let heard = segment.ack == originator.start().wrapping_add(1) && originator.awaits_answer();
        if direction != Direction::Reverse || !heard || responder.is_placed() || self.syn_ack != NEVER {
            return false;
        }
        self.syn_ack = time.as_nanos();
        self.active = time.as_nanos();
        self.completeness |= completeness::SYN_ACK;
        originator.acknowledge_next(1);
        originator.become_state(State::Established);
        if responder.echoes_another(segment) {
            self.bearing |= Bearing::SYN_REPEATED;
        }
        responder.begin_with_syn(segment.seq, State::Established);
        self.history.once(Letter::SynAck, responder, direction);
        self.bearing.remove(Bearing::USUAL);
        true
    }

    /// An ACK next in order, with data or none: the handshake's, or one after a FIN.
    #[inline]
    fn follows(&mut self, segment: &TcpSegment, payload: u32, direction: Direction, time: Timestamp) -> bool {
        let Some(newly) = self.newly(segment, direction) else { return false };
        let (this, other) = (direction.index(), direction.opposite().index());
        if payload > 0 && !self.ends[this].is_open() {
            return false;
        }
        let [originator, responder] = &self.ends;
        if self.ack == NEVER && self.syn_ack != NEVER {
            let third = direction == Direction::Forward
                && originator.state() == State::Established
                && responder.sent_behind_syn(segment.ack);
            if !third {
                return false;
            }
            self.note_third(segment, payload, time);
        }
        let closed = self.is_closed_by_both();
        self.active = if closed { self.active } else { time.as_nanos() };
        self.completeness |= completeness::ACK | if payload > 0 { completeness::DATA } else { 0 };
        self.history.once(Letter::ordinary(payload), &mut self.ends[this], direction);
        self.ends[this].append(payload);
        self.ends[other].acknowledge_next(newly);
        self.bearing |= Bearing::USUAL;
        true
    }

    /// A FIN next in order, with data or none.
    #[inline]
    fn closes(&mut self, segment: &TcpSegment, payload: u32, direction: Direction, time: Timestamp) -> bool {
        let Some(newly) = self.newly(segment, direction) else { return false };
        let (this, other) = (direction.index(), direction.opposite().index());
        let end = &mut self.ends[this];
        let waits = self.ack == NEVER && self.syn_ack != NEVER;
        if waits || end.state() != State::Established || end.has(Letter::Fin) {
            return false;
        }
        self.active = time.as_nanos();
        self.completeness |= completeness::ACK | completeness::FIN | if payload > 0 { completeness::DATA } else { 0 };
        self.history.once(Letter::Fin, end, direction);
        end.finish(payload);
        end.become_state(State::Closed);
        self.ends[other].acknowledge_next(newly);
        self.bearing |= Bearing::USUAL;
        true
    }

    /// How many more bytes a segment acknowledges, if it is the next of its stream, both ends are open or closed in
    /// order, and the peer has been seen to send those bytes, its SYN among them.
    #[inline]
    fn newly(&self, segment: &TcpSegment, direction: Direction) -> Option<i64> {
        let (end, peer) = (&self.ends[direction.index()], &self.ends[direction.opposite().index()]);
        let orderly = is_there(end) & is_there(peer);
        peer.more_acknowledged(segment.ack).filter(|_| orderly & (segment.seq == end.next_seq()))
    }
}

/// Whether it is open, or closed by a FIN.
#[inline]
fn is_there(end: &Endpoint) -> bool {
    // Neighbours, so one comparison.
    matches!(end.state(), State::Established | State::Closed)
}
