//! TCP connections as two endpoint machines and pure functions of them.
//!
//! [`Tcp`] takes segments; [`State`] of both ends and the [`History`] give Zeek's connection state
//! ([`conn_state`]). Sequence numbers are compared serially (RFC 1982) and never panic.

mod acceptance;
mod course;
mod dynamics;
mod endpoint;
mod figures;
mod gaps;
mod history;
mod missing;
mod opening;
pub mod retransmit;
mod rtt;
mod spans;
mod spread;
mod state;
mod textbook;
mod trouble;
mod turns;
mod witness;

use flowcore::event::TcpOptions;
use flowcore::{Direction, FlowEvent, TcpFlags, TcpSegment, Timestamp};

pub use course::{Course, SideFacts};
pub use dynamics::{Dynamics, Followed};
pub use endpoint::{Endpoint, State};
pub use figures::Figures;
pub use gaps::Gaps;
pub use history::{History, Letter};
pub use opening::{Ecn, FastOpen, Opening, Shape};
pub(crate) use spans::{Keeper, Pages, Spans};
pub use spread::Durations;
pub use state::{ConnState, conn_state, udp_state};
pub use turns::Turns;
pub use witness::{Nobody, Outcome, Retransmission, RttMethod, RttSample, Turn, Witness};

use acceptance::{Held, Verdict};
use history::Rare;

/// Bits of a TCP conversation's completeness, as Wireshark numbers them (`tcp.completeness`).
pub mod completeness {
    /// A SYN without ACK.
    pub const SYN: u8 = 1;
    /// A SYN with ACK.
    pub const SYN_ACK: u8 = 2;
    /// An ACK without SYN.
    pub const ACK: u8 = 4;
    /// Payload.
    pub const DATA: u8 = 8;
    /// A FIN.
    pub const FIN: u8 = 16;
    /// A RST.
    pub const RST: u8 = 32;
}

/// When the three steps of the handshake were seen, at the capture point.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Handshake {
    /// The latest SYN before the SYN-ACK: the one that was answered.
    pub syn: Option<Timestamp>,
    /// The first SYN-ACK that acknowledges it.
    pub syn_ack: Option<Timestamp>,
    /// The first ACK of that SYN-ACK from the originator, with or without data; it may acknowledge the responder's
    /// first payload too.
    pub ack: Option<Timestamp>,
    /// Why their distances are not what they seem.
    pub doubts: HandshakeDoubts,
}

bitflags::bitflags! {
    /// What makes the times of a handshake ambiguous.
    #[derive(Copy, Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
    pub struct HandshakeDoubts: u8 {
        /// There were several SYNs, and the SYN-ACK may answer any, or it answers one that was not captured: times since the
        /// latest are lower bounds.
        const SYN_REPEATED = 1;
        /// The same of SYN-ACKs and the ACK.
        const SYN_ACK_REPEATED = 2;
        /// The ACK brought data, or acknowledged more than the SYN-ACK, or there was something before it that was not
        /// captured: it may not be the first, and times until then may contain what the application waited for.
        const LATE_ACK = 4;
    }
}

impl HandshakeDoubts {
    /// A stable lower-case word for each combination; repetitions of either kind are `repeated`.
    pub const fn name(self) -> &'static str {
        let repeated = self.intersects(Self::SYN_REPEATED.union(Self::SYN_ACK_REPEATED));
        match (repeated, self.contains(Self::LATE_ACK)) {
            (false, false) => "exact",
            (true, false) => "repeated",
            (false, true) => "late_ack",
            (true, true) => "repeated,late_ack",
        }
    }
}

bitflags::bitflags! {
    #[derive(Copy, Clone, Debug, PartialEq, Eq)]
    struct Bearing: u8 {
        const USUAL = 1;
        /// The bits of [`HandshakeDoubts`], one above.
        const SYN_REPEATED = HandshakeDoubts::SYN_REPEATED.bits() << 1;
        const SYN_ACK_REPEATED = HandshakeDoubts::SYN_ACK_REPEATED.bits() << 1;
        const LATE_ACK = HandshakeDoubts::LATE_ACK.bits() << 1;
    }
}

/// No time yet, in the compact form below.
const NEVER: i64 = i64::MIN;

/// A time in the compact form.
fn time(nanos: i64) -> Option<Timestamp> {
    (nanos != NEVER).then(|| Timestamp::from_nanos(nanos))
}

/// One TCP connection. The first 64 bytes are all that ordinary segments touch.
#[derive(Clone, Debug)]
#[repr(C)]
pub struct Tcp {
    ends: [Endpoint; 2],
    /// Time of the latest segment before both ends had closed.
    active: i64,
    flags: [TcpFlags; 2],
    completeness: u8,
    /// Nothing stands against [`continues`](Self::continues): the handshake is over or was never seen, and there is no
    /// open gap. Kept by [`accept`](Self::accept) and the short way.
    ///
    /// Beside it the doubts of the handshake, in the same byte.
    bearing: Bearing,
    /// The upper halves of all windows of each direction, together.
    widest: [u8; 2],
    history: History,
    /// Nanoseconds since the epoch or [`NEVER`]; see [`Handshake`].
    syn: i64,
    syn_ack: i64,
    ack: i64,
    /// What only some connections have.
    rare: Option<Box<Unusual>>,
}

const _: () = assert!(std::mem::offset_of!(Tcp, history) == 64);

/// What only connections with gaps, retransmissions, zero windows or resets have.
#[derive(Clone, Debug, Default)]
struct Unusual {
    gaps: [Gaps; 2],
    counts: [Rare; 2],
    /// The sequence number of each end's latest RST.
    rst_seq: [Option<u32>; 2],
    /// The highest position at which each end has sent a RST, unless it went on below. 0 = none.
    reset_at: [i64; 2],
    /// The highest position of each end's stream that a RST of its peer acknowledges. 0 = none.
    reset_acked: [i64; 2],
    /// The latest that each end has sent is a RST.
    silent: [bool; 2],
    /// Each end has sent payload or a FIN before what it was met with, whose SYN was not seen by then.
    below: [bool; 2],
    /// A port has connected to itself: what one direction acknowledges is its own.
    own: bool,
    /// What was seen first was another connection's: this one has no beginning.
    begun_anew: bool,
    /// What may be no segment of this connection.
    held: Option<Held>,
    /// Positions up to which a stream was neither seen nor jumped over by payload; the last of them may be a FIN's. 0 = none.
    tails: [i64; 2],
    /// When something of each end was last acknowledged that had not been seen; meaningless before.
    missed_at: [i64; 2],
    /// Some of that came so long after its ACK that it was sent again: what was sent first was not captured.
    missed_first: bool,
}

impl Unusual {
    /// One end's numbers begin anew.
    fn restart(&mut self, side: usize) {
        self.gaps[side].restart();
        self.tails[side] = 0;
        self.reset_at[side] = 0;
        self.reset_acked[side] = 0;
        self.silent[side] = false;
        self.below[side] = false;
    }
}

impl Default for Tcp {
    fn default() -> Self {
        Self {
            ends: [Endpoint::default(); 2],
            active: NEVER,
            flags: [TcpFlags::empty(); 2],
            completeness: 0,
            bearing: Bearing::USUAL,
            widest: [0; 2],
            history: History::default(),
            syn: NEVER,
            syn_ack: NEVER,
            ack: NEVER,
            rare: None,
        }
    }
}

impl Tcp {
    /// The most bytes that what only some connections have takes.
    const MOST_BYTES_BESIDE: usize = size_of::<Unusual>() + 2 * Gaps::MOST_BYTES + History::MOST_BYTES;

    /// Bytes that what only some connections have takes.
    fn bytes_beside(&self) -> usize {
        let lists = |rare: &Unusual| size_of::<Unusual>() + rare.gaps.iter().map(Gaps::list_bytes).sum::<usize>();
        self.history.list_bytes() + self.rare.as_deref().map_or(0, lists)
    }

    /// Says that the originator was found by a heuristic, so that the first packet seen was turned round.
    pub fn flip(&mut self) {
        self.history.push(b'^');
    }

    /// Takes in one segment with `payload` bytes, sent in `direction` at `time`.
    #[inline]
    pub fn observe(&mut self, segment: &TcpSegment, payload: u32, direction: Direction, time: Timestamp) {
        if self.continues(segment, payload, direction, time).is_none() {
            self.particular(segment, payload, direction, time);
        }
    }

    /// The ordinary segment of an open connection: next in order, acknowledging what was seen; how many more bytes it
    /// acknowledges. `None`, with nothing changed, for any other.
    ///
    /// Why: nine in ten segments are like this, and the general way takes four times as many instructions; a property
    /// test holds that both come to the same.
    #[inline(always)]
    fn continues(&mut self, segment: &TcpSegment, payload: u32, direction: Direction, time: Timestamp) -> Option<i64> {
        const CONTROL: TcpFlags = TcpFlags::BOUNDARY.union(TcpFlags::ACK);
        if segment.flags & CONTROL != TcpFlags::ACK || segment.window == 0 || !self.bearing.contains(Bearing::USUAL) {
            return None;
        }
        let (this, other) = (direction.index(), direction.opposite().index());
        if !self.ends[this].goes_on(segment.seq) {
            return None;
        }
        let newly = self.ends[other].newly_acknowledged(segment.ack)?;
        let letter = Letter::ordinary(payload);
        if !self.ends[this].has(letter) {
            // The letters lie in another cache line.
            self.history.once(letter, &mut self.ends[this], direction);
        }
        self.ends[this].append(payload);
        self.ends[other].acknowledge_next(newly);
        self.flags[this] |= segment.flags;
        self.widest[this] |= (segment.window >> 8) as u8;
        self.completeness |= completeness::ACK | if payload > 0 { completeness::DATA } else { 0 };
        self.active = time.as_nanos();
        Some(newly)
    }

    /// Not in line: an ordinary segment comes past.
    #[inline(never)]
    fn particular(&mut self, segment: &TcpSegment, payload: u32, direction: Direction, time: Timestamp) {
        if !self.textbook(segment, payload, direction, time) {
            self.general(segment, payload, direction, time);
        }
    }

    /// Any segment; those that cannot be of this connection wait for one that bears them out.
    #[inline(never)]
    fn general(&mut self, segment: &TcpSegment, payload: u32, direction: Direction, time: Timestamp) {
        match self.judge(segment, payload, direction, time) {
            Verdict::Take => self.accept(segment, payload, direction, time),
            Verdict::BehindProbe(of) => {
                self.ends[of.index()].begin_behind_probe();
                self.accept(segment, payload, direction, time);
            }
            Verdict::Hold => {
                self.hold(segment, &FlowEvent { time, payload_bytes: payload, direction, ..FlowEvent::default() });
            }
            Verdict::Release => {
                if let Some(held) = self.release_borne_out() {
                    if !self.begin_anew(&held) {
                        self.leap(&held, direction);
                    }
                    self.accept(&held.segment, held.payload, held.direction, held.time);
                }
                self.accept(segment, payload, direction, time);
            }
        }
    }

    /// Takes in a segment of this connection, the short way if it can.
    #[inline]
    fn take_in(&mut self, segment: &TcpSegment, payload: u32, direction: Direction, time: Timestamp) {
        if !self.textbook(segment, payload, direction, time) {
            self.accept(segment, payload, direction, time);
        }
    }

    /// Takes in a segment of this connection.
    fn accept(&mut self, segment: &TcpSegment, payload: u32, direction: Direction, time: Timestamp) {
        let flags = segment.flags;
        self.flags[direction.index()] |= flags;
        self.note_room(segment, direction);
        self.handshake(segment, payload, direction, time);
        self.note_completeness(flags, payload);
        self.note_beginning(segment, payload, direction);
        if !self.is_closed_by_both() {
            self.active = time.as_nanos();
        }

        let Self { ends: [originator, responder], history, rare, .. } = self;
        let (end, peer) = match direction {
            Direction::Forward => (&mut *originator, &mut *responder),
            Direction::Reverse => (&mut *responder, &mut *originator),
        };
        let control = flags & TcpFlags::BOUNDARY;
        // RST carries no stream data, whatever its length (RFC 9293 section 3.5.3 allows a text there).
        let sequence_space = if flags.contains(TcpFlags::RST) { 0 } else { u64::from(payload) }
            + u64::from(flags.contains(TcpFlags::SYN))
            + u64::from(flags.contains(TcpFlags::FIN));
        if end.begin(segment.seq, flags, sequence_space)
            && let Some(rare) = rare
        {
            rare.restart(direction.index());
        }
        let position = end.position(segment.seq);
        let other_reset = flags.contains(TcpFlags::RST) && {
            let last = &mut rare.get_or_insert_default().rst_seq[direction.index()];
            last.replace(segment.seq).is_some_and(|last| last != segment.seq)
        };
        write_history(history, end, direction, flags, payload, position, other_reset);
        // Of a header that was cut the window may be unknown rather than zero.
        if segment.window == 0
            && !segment.options.contains(TcpOptions::INCOMPLETE)
            && !flags.contains(TcpFlags::RST)
            && peer.state() != State::Closed
            && end.state() != State::Reset
        {
            rare.get_or_insert_default().counts[direction.index()].zero_window(history, direction);
        }
        // Nobody else acknowledges a SYN in its own direction and with its own number.
        let own = flags.contains(TcpFlags::SYN | TcpFlags::ACK) && end.answers_itself(segment) && !peer.is_placed();
        if own {
            rare.get_or_insert_default().own = true;
        }
        if flags.contains(TcpFlags::ACK) && !rare.as_ref().is_some_and(|rare| rare.own) {
            if !peer.is_placed() {
                peer.expect(segment.ack);
            } else if !flags.contains(TcpFlags::RST) {
                peer.acknowledge(segment.ack);
            }
        }
        let last = end.last();
        if end.goes_on_behind_reset(position, position + sequence_space as i64, flags)
            && let Some(rare) = &mut *rare
        {
            rare.reset_at[direction.index()] = 0;
        }
        if let Some(rare) = &mut *rare
            && !flags.contains(TcpFlags::SYN)
        {
            rare.silent[direction.index()] = false;
        }
        if flags.contains(TcpFlags::RST) {
            let rare = rare.get_or_insert_default();
            rare.silent[direction.index()] = true;
            let highest = &mut rare.reset_at[direction.index()];
            *highest = position.max(*highest);
            if flags.contains(TcpFlags::ACK) && peer.is_placed() {
                let highest = &mut rare.reset_acked[direction.opposite().index()];
                *highest = peer.position(segment.ack).max(*highest);
            }
        }
        let reset_at = rare.as_ref().map_or(0, |rare| rare.reset_at[direction.index()]);
        let overtaken = position > last && position + sequence_space as i64 <= reset_at && control.is_empty();
        let advanced = if overtaken {
            // Its RST, which stands behind it, was captured first.
            end.cover(position + sequence_space as i64);
            true
        } else {
            end.advance(position, sequence_space, flags, payload)
        };
        let data = if flags.contains(TcpFlags::SYN) { position + 1 } else { position };
        if data > last && last > 0 && end.last() >= data {
            // Whatever stands beyond the last byte seen tells of bytes before it: data, a bare ACK or a FIN.
            let rare = rare.get_or_insert_default();
            rare.gaps[direction.index()].skip(last, data);
            if payload == 0 && !flags.contains(TcpFlags::FIN) {
                rare.tails[direction.index()] = data;
            }
        }
        if (payload > 0 || flags.contains(TcpFlags::FIN)) && data < 1 && !end.has_syn() {
            rare.get_or_insert_default().below[direction.index()] = true;
        }
        if !flags.contains(TcpFlags::RST) {
            if let Some(rare) = rare {
                let missed = rare.gaps[direction.index()].missed();
                let fin = data + i64::from(payload);
                let to = fin + i64::from(flags.contains(TcpFlags::FIN));
                rare.gaps[direction.index()].fill(data, fin);
                let cut = to > fin && end.last() > to && end.acked() <= to && !end.is_reset();
                if cut && rare.gaps[direction.index()].begin_at(fin) {
                    // A stream that is there up to its FIN ends there: what stands behind it is nobody's.
                    rare.gaps[direction.index()].close();
                    rare.tails[direction.index()] = 0;
                    end.end_at(to);
                }
                rare.gaps[direction.index()].fill(fin, to);
                let late = time.as_nanos().saturating_sub(rare.missed_at[direction.index()]);
                let found = rare.gaps[direction.index()].missed() < missed;
                rare.missed_first |= found && late >= retransmit::SHORTEST_TIMER.get();
                let tail = &mut rare.tails[direction.index()];
                if (data..to).contains(&(*tail - 1)) {
                    *tail = 0;
                }
            }
            if payload > 0 && !advanced {
                rare.get_or_insert_default().counts[direction.index()].retransmission(history, direction);
            }
        }
        state::step(originator, responder, direction, flags, payload);
        if flags.contains(TcpFlags::ACK) && !flags.contains(TcpFlags::RST) {
            self.note_gap(direction.opposite(), control.is_empty(), time);
        }
        let smooth = self.rare.is_none() || self.is_smooth();
        self.bearing.set(Bearing::USUAL, (self.ack != NEVER || self.syn_ack == NEVER) && smooth);
    }

    /// Whether nothing is open or to come yet, nothing may have been a FIN, and no SYN-ACK waits for the ACK that bears
    /// it out.
    fn is_smooth(&self) -> bool {
        let settled = self.rare.as_ref().is_none_or(|rare| {
            let behind = rare.gaps.iter().zip(&self.ends).all(|(gaps, end)| gaps.are_behind(end.last()));
            behind && !rare.held.as_ref().is_some_and(Held::begins)
        });
        settled && [Direction::Forward, Direction::Reverse].iter().all(|side| !self.may_end_unseen(*side))
    }

    #[inline]
    fn handshake(&mut self, segment: &TcpSegment, payload: u32, direction: Direction, time: Timestamp) {
        if self.ack != NEVER {
            return;
        }
        // What ends something too is no step of it.
        let syn = segment.flags & TcpFlags::BOUNDARY == TcpFlags::SYN;
        let ack = segment.flags.contains(TcpFlags::ACK);
        match (direction, syn, ack) {
            // A SYN that is delivered behind its SYN-ACK was sent before it all the same.
            (Direction::Forward, true, false) if self.syn_ack == NEVER || time.as_nanos() <= self.syn_ack => {
                self.ends[1].expect_echo(segment.timestamp.0);
                if self.syn == NEVER {
                    self.syn = time.as_nanos();
                } else if !is_copy(time, self.syn) || segment.seq != self.ends[0].start() {
                    self.syn = self.syn.max(time.as_nanos());
                    self.bearing |= Bearing::SYN_REPEATED;
                }
            }
            (Direction::Reverse, true, true) if self.syn_ack == NEVER => {
                // One that answers another SYN says nothing of the time that this took, nor does one captured late.
                let [originator, responder] = &self.ends;
                if responder.echoes_another(segment) {
                    self.bearing |= Bearing::SYN_REPEATED;
                }
                let answers = !originator.has_syn() || originator.sent_behind_syn(segment.ack);
                if answers && !is_heard_already(&self.ends, segment) {
                    self.syn_ack = time.as_nanos();
                }
            }
            // Who goes on has heard an ACK; the next one may answer this.
            (Direction::Reverse, false, _) if self.syn_ack != NEVER => self.bearing |= Bearing::LATE_ACK,
            (Direction::Reverse, true, true) if !is_copy(time, self.syn_ack) => {
                self.bearing |= Bearing::SYN_ACK_REPEATED;
            }
            // It may acknowledge the responder's first payload too. A FIN comes when the application has done; what
            // comes behind it is later still.
            (Direction::Forward, false, true)
                if self.syn_ack != NEVER
                    && !segment.flags.intersects(TcpFlags::RST | TcpFlags::FIN)
                    && self.ends[0].state() != State::Closed
                    && self.ends[1].sent_behind_syn(segment.ack) =>
            {
                self.note_third(segment, payload, time);
            }
            _ => {}
        }
    }

    /// The handshake's ACK.
    #[inline]
    fn note_third(&mut self, segment: &TcpSegment, payload: u32, time: Timestamp) {
        self.ack = time.as_nanos();
        let [originator, responder] = &self.ends;
        // A SYN may bring data, which is accepted or not.
        let next = segment.seq == originator.start().wrapping_add(1) || segment.seq == originator.next_seq();
        let bare = payload == 0 && segment.ack == responder.start().wrapping_add(1) && next;
        if !bare {
            self.bearing |= Bearing::LATE_ACK;
        }
    }

    #[inline]
    fn note_completeness(&mut self, flags: TcpFlags, payload: u32) {
        use completeness as bit;
        let mut seen = 0;
        match (flags.contains(TcpFlags::SYN), flags.contains(TcpFlags::ACK)) {
            (true, false) => seen |= bit::SYN,
            (true, true) => seen |= bit::SYN_ACK,
            (false, true) => seen |= bit::ACK,
            (false, false) => {}
        }
        if payload > 0 {
            seen |= bit::DATA;
        }
        if flags.contains(TcpFlags::FIN) {
            seen |= bit::FIN;
        }
        if flags.contains(TcpFlags::RST) {
            seen |= bit::RST;
        }
        self.completeness |= seen;
    }

    /// Whether it is under way, and nothing says that it is over.
    pub fn may_go_on(&self) -> bool {
        self.ends.iter().any(|end| matches!(end.state(), State::Established | State::Partial))
            && !self.ends.iter().any(Endpoint::is_reset)
    }

    fn is_closed_by_both(&self) -> bool {
        self.ends.iter().all(|end| matches!(end.state(), State::Closed | State::Reset))
    }

    /// Zeek's connection state.
    pub fn state(&self) -> ConnState {
        conn_state(&self.ends, self.stream_bytes() == [0; 2], &self.history)
    }

    /// Zeek's history letters.
    pub fn history(&self) -> &History {
        &self.history
    }

    /// [`completeness`] bits seen so far.
    pub fn completeness(&self) -> u8 {
        self.completeness
    }

    /// Control bits that each direction has sent, indexed by [`Direction`].
    pub fn flags(&self) -> [TcpFlags; 2] {
        self.flags
    }

    /// Both ends, originator first.
    pub fn ends(&self) -> &[Endpoint; 2] {
        &self.ends
    }

    /// When the handshake's steps were seen.
    pub fn handshake_times(&self) -> Handshake {
        Handshake {
            syn: time(self.syn),
            syn_ack: time(self.syn_ack),
            ack: time(self.ack),
            doubts: HandshakeDoubts::from_bits_truncate(self.bearing.bits() >> 1),
        }
    }

    /// Time of the latest segment before both ends had closed: Zeek's end of a connection.
    pub fn active_until(&self) -> Option<Timestamp> {
        (self.active != NEVER).then(|| Timestamp::from_nanos(self.active))
    }

    /// Whether the originator's SYN was seen, at the beginning or behind it.
    pub fn has_syn(&self) -> bool {
        self.completeness & completeness::SYN != 0 && self.ends[0].has_syn()
    }
}

/// Whether a step of the handshake is the one of `before` captured again: no timer is that short.
fn is_copy(time: Timestamp, before: i64) -> bool {
    time.as_nanos().wrapping_sub(before).unsigned_abs() < retransmit::COPY.get().unsigned_abs()
}

/// Whether a SYN-ACK comes behind what the originator has acknowledged it with, or behind what its sender went on with
/// (RFC 7413): the capture has it late, or it was sent again.
fn is_heard_already([originator, responder]: &[Endpoint; 2], segment: &TcpSegment) -> bool {
    let heard = originator.has(Letter::Ack) || originator.has(Letter::Data);
    let acknowledged = heard && responder.is_placed() && responder.acked() > 0 && segment.seq == responder.start();
    let went_on = !responder.has_syn() && responder.has(Letter::Data);
    acknowledged || (originator.has_syn() && originator.acked() > 0 && went_on)
}

/// Adds the letters that a segment earns by its control bits and payload.
#[inline]
fn write_history(
    history: &mut History,
    end: &mut Endpoint,
    direction: Direction,
    flags: TcpFlags,
    payload: u32,
    position: i64,
    other_reset: bool,
) {
    let control = flags & TcpFlags::BOUNDARY;
    if control.is_empty() {
        if payload > 0 {
            history.once(Letter::Data, end, direction);
        } else if flags.contains(TcpFlags::ACK) {
            history.once(Letter::Ack, end, direction);
        }
        return;
    }
    if control == TcpFlags::SYN {
        let letter = if flags.contains(TcpFlags::ACK) { Letter::SynAck } else { Letter::Syn };
        // A SYN with another number restarted the end's numbers: it is this end's SYN now.
        history.once(letter, end, direction);
    } else if control == TcpFlags::FIN {
        // A FIN stands behind the data of its segment.
        let finish = position + i64::from(payload) + 1;
        history.again_if(Letter::Fin, end, direction, finish != end.last());
    } else if control == TcpFlags::RST {
        history.again_if(Letter::Rst, end, direction, other_reset);
    } else if control.contains(TcpFlags::FIN | TcpFlags::RST) {
        history.once(Letter::Inconsistent, end, direction);
    } else {
        history.once(Letter::Several, end, direction);
    }
}

#[cfg(test)]
mod tests;
