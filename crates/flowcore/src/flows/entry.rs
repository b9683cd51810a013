//! What the table keeps of a flow, and what an event does to it.

use super::limits::{Limits, idle_time};
use super::places::Place;
use crate::event::{Detail, EndReason, FlowEvent, SocketRef, TcpFlags, TcpSegment};
use crate::key::{Direction, FlowKey, Protocol};
use crate::time::{Nanos, Timestamp};

/// What the table keeps of a flow: one cache line, touched by every event.
#[derive(Copy, Clone, Debug)]
#[repr(C, align(64))]
pub(super) struct Entry {
    /// See [`FlowKey::words`].
    pub(super) words: [u64; 5],
    /// Time of the latest event.
    pub(super) last: Timestamp,
    /// The originator's initial sequence number if `State::SYN`, that or more if `State::ISN`; otherwise the sequence
    /// number of its first segment.
    pub(super) isn: u32,
    pub(super) tag: u32,
    /// Tells this flow from earlier ones with the same id. 0 = never used.
    pub(super) generation: u32,
    pub(super) state: State,
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
    pub(super) struct State: u32 {
        /// In use.
        const LIVE = 1;
        /// The originator is the second end of the words.
        const SWAPPED = 1 << 1;
        /// The originator's initial sequence number is known, if only from what a SYN-ACK acknowledges: the SYN may
        /// have brought data as well.
        const ISN = 1 << 2;
        /// Both have sent, or the originator something other than a SYN: not a mere attempt.
        const UNDERWAY = 1 << 3;
        const ORIGINATOR_FIN = 1 << 4;
        /// One above the originator's.
        const RESPONDER_FIN = 1 << 5;
        const RESET = 1 << 6;
        const RESET_BY_RESPONDER = 1 << 7;
        /// The originator's SYN was seen.
        const SYN = 1 << 8;
        /// Of a flow met in the middle, the upper half of the first sequence number of the responder that is known.
        const RESPONDER = 0xffff << RESPONDER_AT;
    }
}

const RESPONDER_AT: u32 = 16;

impl Entry {
    /// Oriented: the originator is `src`.
    pub(super) fn key(&self) -> FlowKey {
        FlowKey::from_words(self.words, self.state.contains(State::SWAPPED))
    }

    #[inline]
    pub(super) fn protocol(&self) -> Protocol {
        Protocol((self.words[4] >> 48) as u8)
    }

    /// Keeps where the responder stood when the flow was met in the middle, by the `number` of its next byte.
    pub(super) fn keep_responder(&mut self, number: u32) {
        self.state |= State::from_bits_retain(number >> 16 << RESPONDER_AT);
    }

    /// Whether a SYN of the responder with the number `seq` may be that of the connection that was met in the middle: it
    /// stands a little before the first number that is known.
    fn is_late_syn_of_responder(&self, seq: u32) -> bool {
        let first = (self.state.bits() >> RESPONDER_AT) as u16;
        first.wrapping_sub((seq >> 16) as u16) <= (LATE_SYN >> 16) as u16
    }
}

impl State {
    #[inline]
    pub(super) fn is_closed(self) -> bool {
        self.contains(Self::ORIGINATOR_FIN | Self::RESPONDER_FIN) | self.contains(Self::RESET)
    }

    pub(super) fn fin(side: Direction) -> Self {
        // Neighbours.
        Self::from_bits_retain(Self::ORIGINATOR_FIN.bits() << side.index())
    }

    /// `state` if it `holds`, as [`Notes::when`](crate::event::Notes::when).
    #[inline]
    fn when(holds: bool, state: Self) -> Self {
        Self::from_bits_retain(state.bits() & u32::from(holds).wrapping_neg())
    }
}

/// The flow's direction of an event that goes against the words' order if `swapped`.
#[inline]
pub(super) fn direction_in(state: State, swapped: bool) -> Direction {
    if state.contains(State::SWAPPED) == swapped { Direction::Forward } else { Direction::Reverse }
}

/// Whether this event, the usual one, only moves its flow's time on: that lives, it comes after a gap within every limit and no
/// control bit of it begins or ends anything. A TCP connection is then no mere attempt any more.
#[inline]
pub(super) fn goes_on(entry: &Entry, event: &FlowEvent, shortest: Nanos) -> bool {
    // A step back comes out huge.
    let gap = event.time.as_nanos().wrapping_sub(entry.last.as_nanos()) as u64;
    let control = match &event.detail {
        Detail::Tcp(tcp) => tcp.flags.intersects(TcpFlags::BOUNDARY),
        Detail::Socket(socket) => socket.first | socket.last,
        _ => false,
    };
    // Of one that was reset it is asked by whom.
    let open = entry.state.bits() & (State::LIVE | State::RESET).bits() == State::LIVE.bits();
    open & (gap <= shortest.get() as u64) & !control
}

/// Whether this event belongs to a new flow with the key of `entry`, which then has ended: why and when.
#[inline]
pub(super) fn should_end(
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
            let direction = direction_in(entry.state, place.swapped);
            is_reuse(entry, tcp, direction, event.time - entry.last).then_some((EndReason::EndOfFlow, entry.last))
        }
        // Another socket with the same ends, after the one before it was destroyed.
        Detail::Socket(SocketRef { first: true, last: false, .. }) => {
            entry.state.is_closed().then_some((EndReason::EndOfFlow, entry.last))
        }
        _ => None,
    }
}

/// Notes what an event does to the connection, as far as its expiry depends on it. Whether it ends something.
#[inline]
pub(super) fn note(entry: &mut Entry, event: &FlowEvent) -> bool {
    match &event.detail {
        Detail::Tcp(tcp) => {
            if is_beginning(entry.state, tcp.flags, event.direction) {
                entry.isn = tcp.seq;
                entry.state |= State::ISN | State::SYN;
            }
            note_tcp(entry, tcp.flags, event.direction)
        }
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

/// Whether a segment is the first SYN of its flow's originator, at whatever time it is captured.
#[inline]
fn is_beginning(state: State, flags: TcpFlags, direction: Direction) -> bool {
    let syn = flags & (TcpFlags::SYN | TcpFlags::ACK) == TcpFlags::SYN;
    syn & (direction == Direction::Forward) & !state.contains(State::SYN)
}

/// Notes what a segment does to the connection, as far as its expiry depends on it. Whether it ends something.
#[inline]
fn note_tcp(entry: &mut Entry, flags: TcpFlags, direction: Direction) -> bool {
    // Bits put together rather than asked one by one: no predictor guesses them.
    let reverse = direction == Direction::Reverse;
    let (syn, fin, rst) = (flags.contains(TcpFlags::SYN), flags.contains(TcpFlags::FIN), flags.contains(TcpFlags::RST));
    let state = entry.state;
    let by_responder = if rst { reverse } else { state.contains(State::RESET_BY_RESPONDER) };
    // Whoever goes on has not reset: somebody else did, or it was not heeded.
    let goes_on = !(rst | syn) & (reverse == by_responder);
    let reset = (rst | state.contains(State::RESET)) & !goes_on;
    entry.state = state.difference(State::RESET | State::RESET_BY_RESPONDER)
        | State::when(reverse | !syn, State::UNDERWAY)
        | State::when(fin, State::fin(direction))
        | State::when(reset, State::RESET)
        | State::when(by_responder, State::RESET_BY_RESPONDER);
    fin | rst
}

/// How far before a flow's first segment, or before what its SYN-ACK tells, its SYN may arrive late and still belong to
/// it.
const LATE_SYN: u32 = 1 << 16;

/// More than a SYN brings (RFC 7413): the most payload that a packet has.
const MOST_WITH_SYN: u32 = 1 << 16;

// Whatever a SYN brought, it is found behind its SYN-ACK.
const _: () = assert!(MOST_WITH_SYN <= LATE_SYN);

/// No capture has so old a SYN behind a later FIN: a SYN after so much silence is new.
const LONG_CLOSED: Nanos = Nanos::from_secs(1);

/// Whether a SYN begins a new connection between the same ports, `gap` after what was seen last.
///
/// A SYN that repeats the known initial number belongs to the flow, closed or not, and so does one a little below the
/// first number that was seen, if that was no SYN's. Another number from the originator is a new connection, as is any SYN
/// without ACK of the responder once the flow was closed, and then a SYN-ACK that answers another SYN, which was not
/// captured. A SYN from the responder of an open flow is a simultaneous open (RFC 9293 section 3.5) where the originator's
/// was seen, or answered; where the flow was met in the middle, nobody knows who its originator is, and the same holds for
/// either end. Some time after one of them has sent a FIN the flow counts as closed here: the other FIN was not captured.
fn is_reuse(entry: &Entry, tcp: &TcpSegment, direction: Direction, gap: Nanos) -> bool {
    let half_closed = entry.state.intersects(State::ORIGINATOR_FIN | State::RESPONDER_FIN);
    let over = entry.state.is_closed() || (half_closed && gap >= LONG_CLOSED);
    if tcp.flags.contains(TcpFlags::ACK) {
        // It acknowledges what the SYN brought too; what was seen first without a SYN stands near it on either side.
        let answered = if direction == Direction::Forward { tcp.seq } else { tcp.ack.wrapping_sub(1) };
        let ahead = answered.wrapping_sub(entry.isn);
        let known = entry.state.contains(State::ISN);
        let other = if known { ahead > MOST_WITH_SYN } else { ahead.min(ahead.wrapping_neg()) > LATE_SYN };
        return other && over;
    }
    match direction {
        Direction::Forward if entry.state.contains(State::SYN) => tcp.seq != entry.isn,
        Direction::Forward => entry.isn.wrapping_sub(tcp.seq) > LATE_SYN,
        Direction::Reverse if entry.state.contains(State::ISN) => over,
        Direction::Reverse => over || !entry.is_late_syn_of_responder(tcp.seq),
    }
}
