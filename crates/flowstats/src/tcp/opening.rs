//! How a connection was opened: the handshake's steps, their repetitions and what was agreed.

use flowcore::event::TcpOptions;
use flowcore::{Direction, FlowEvent, Nanos, TcpFlags, TcpSegment, Timestamp};

use super::{Handshake, HandshakeDoubts, NEVER, Outcome, time};

/// Who sent what to open a connection.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Shape {
    /// SYN, SYN-ACK, ACK, as far as it came.
    #[default]
    ThreeWay,
    /// Both sent a SYN before they had the other's, and a SYN-ACK for it (RFC 9293 section 3.5, figure 7).
    Simultaneous,
    /// The responder answered the SYN with a SYN of its own, and the originator sent the SYN-ACK.
    Split,
}

impl Shape {
    /// A stable lower-case name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::ThreeWay => "three_way",
            Self::Simultaneous => "simultaneous",
            Self::Split => "split",
        }
    }
}

/// What became of explicit congestion notification (RFC 3168 section 6.1.1).
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Ecn {
    /// The SYN did not offer it.
    #[default]
    No,
    /// Offered, and not accepted, as far as was seen.
    Offered,
    /// Agreed on.
    Agreed,
    /// Agreed on in its accurate form (RFC 9768 section 3.1).
    Accurate,
}

impl Ecn {
    /// A stable lower-case name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::No => "no",
            Self::Offered => "offered",
            Self::Agreed => "agreed",
            Self::Accurate => "accurate",
        }
    }
}

/// What became of TCP Fast Open (RFC 7413).
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FastOpen {
    /// Neither asked for nor used.
    #[default]
    No,
    /// The SYN asked for a cookie, or brought one without data.
    Asked,
    /// The SYN brought data, which the SYN-ACK did not acknowledge, as far as was seen.
    Tried,
    /// The SYN brought data, and the SYN-ACK acknowledged it.
    Used,
    /// The options of the SYN were cut before they could tell.
    Unknown,
}

impl FastOpen {
    /// A stable lower-case name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::No => "no",
            Self::Asked => "asked",
            Self::Tried => "tried",
            Self::Used => "used",
            Self::Unknown => "unknown",
        }
    }
}

/// How a connection was opened. Times are those of the capture point.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Opening {
    /// How it came out, so far.
    pub outcome: Outcome,
    /// Who sent what.
    pub shape: Shape,
    /// The originator's first SYN.
    pub first_syn: Option<Timestamp>,
    /// Its latest SYN before the SYN-ACK.
    pub last_syn: Option<Timestamp>,
    /// The first SYN-ACK; none if it was captured behind its ACK.
    pub syn_ack: Option<Timestamp>,
    /// The latest SYN-ACK before the ACK.
    pub last_syn_ack: Option<Timestamp>,
    /// The ACK of the SYN-ACK.
    pub ack: Option<Timestamp>,
    /// What makes these times ambiguous.
    pub doubts: HandshakeDoubts,
    /// SYNs beyond the first, of the originator.
    pub repeated_syns: u32,
    /// SYN-ACKs beyond the first.
    pub repeated_syn_acks: u32,
    /// Explicit congestion notification.
    pub ecn: Ecn,
    /// TCP Fast Open.
    pub fast_open: FastOpen,
}

impl Opening {
    /// From the first SYN to the ACK of the SYN-ACK: what the connection's user waited, repetitions included.
    pub fn connect(&self) -> Option<Nanos> {
        // A SYN that the capture has behind its SYN-ACK was sent before it: when, is not known.
        let is_known = self.syn_ack.is_none_or(|syn_ack| self.first_syn.is_some_and(|syn| syn <= syn_ack));
        between(self.first_syn, self.ack).filter(|_| is_known)
    }

    /// From the latest SYN before it to the first SYN-ACK. With one SYN this is the responder's round trip; with several it
    /// is no more than a lower bound of it, [`connect`](Self::connect) an upper.
    pub fn syn_rtt(&self) -> Option<Nanos> {
        between(self.last_syn, self.syn_ack)
    }

    /// From the latest SYN-ACK before it to its ACK: the originator's round trip, a lower bound with several SYN-ACKs.
    pub fn ack_rtt(&self) -> Option<Nanos> {
        between(self.last_syn_ack, self.ack)
    }

    /// From the answered SYN to the ACK of the SYN-ACK.
    pub fn rtt(&self) -> Option<Nanos> {
        between(self.last_syn, self.ack)
    }

    /// Whether nothing was sent twice, so that each step answers the only one before it.
    pub fn is_exact(&self) -> bool {
        self.repeated_syns == 0 && self.repeated_syn_acks == 0
    }
}

/// A span that a clock which stepped back does not tell.
fn between(from: Option<Timestamp>, to: Option<Timestamp>) -> Option<Nanos> {
    from.zip(to).map(|(from, to)| to - from).filter(|&span| span >= Nanos::ZERO)
}

bitflags::bitflags! {
    #[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
    struct Seen: u16 {
        const ECN_OFFERED = 1;
        const ECN_AGREED = 2;
        const ECN_ACCURATE = 4;
        const COOKIE = 8;
        const SYN_DATA = 16;
        const SYN_DATA_ACKED = 32;
        /// A SYN without ACK of the responder.
        const OTHER_SYN = 64;
        /// A SYN-ACK of the originator.
        const OTHER_SYN_ACK = 128;
        const ACCURATE_OFFERED = 256;
        /// Two SYNs, or two SYN-ACKs, that nothing tells apart: what was answered is not known.
        const TWIN_SYNS = 512;
        const TWIN_SYN_ACKS = 1024;
        /// IPv4 identifications are counted upwards, as far as was seen.
        const COUNTS = 2048;
        const OTHER_COUNTS = 4096;
        /// The SYN-ACK acknowledged less than what the originator was seen to send before its SYN was captured.
        const REFUSED_EARLY = 8192;
        /// Options of a SYN were cut.
        const CUT = 16384;
    }
}

/// The same while it happens: 48 bytes.
#[derive(Clone, Debug)]
pub(super) struct Steps {
    first_syn: i64,
    last_syn: i64,
    syn_ack: i64,
    last_syn_ack: i64,
    /// Timestamp options of the latest SYN and SYN-ACK.
    stamps: [u32; 2],
    syns: u16,
    syn_acks: u16,
    seen: Seen,
}

impl Default for Steps {
    fn default() -> Self {
        Self {
            first_syn: NEVER,
            last_syn: NEVER,
            syn_ack: NEVER,
            last_syn_ack: NEVER,
            stamps: [0; 2],
            syns: 0,
            syn_acks: 0,
            seen: Seen::empty(),
        }
    }
}

/// What one SYN or SYN-ACK was.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// The first of its kind.
    First,
    /// One more.
    Again,
}

impl Steps {
    /// Takes in a segment with SYN; `done`: the handshake was complete before; `late`: it is a SYN-ACK that was
    /// acknowledged before.
    pub(super) fn syn(&mut self, event: &FlowEvent, segment: &TcpSegment, done: bool, late: bool) -> Step {
        let nanos = event.time.as_nanos();
        let stamp = if segment.options.contains(TcpOptions::TIMESTAMP) { segment.timestamp.0 } else { 0 };
        let ack = segment.flags.contains(TcpFlags::ACK);
        match (event.direction, ack) {
            (Direction::Forward, false) => {
                if segment.flags.contains(TcpFlags::ECE | TcpFlags::CWR) {
                    self.seen |= Seen::ECN_OFFERED;
                    self.seen.set(Seen::ACCURATE_OFFERED, segment.flags.contains(TcpFlags::AE));
                }
                if segment.options.contains(TcpOptions::FAST_OPEN) {
                    self.seen |= Seen::COOKIE;
                }
                if segment.options.contains(TcpOptions::INCOMPLETE) {
                    self.seen |= Seen::CUT;
                }
                if event.payload_bytes > 0 {
                    self.seen |= Seen::SYN_DATA;
                }
                self.syns = self.syns.saturating_add(1);
                // Delivered late: its time decides, not its turn.
                self.first_syn = if self.first_syn == NEVER { nanos } else { self.first_syn.min(nanos) };
                if !done && (self.syn_ack == NEVER || nanos <= self.syn_ack) {
                    self.last_syn = self.last_syn.max(nanos);
                    self.note_stamp(Direction::Forward, self.syns > 1, stamp);
                }
                if self.syns == 1 { Step::First } else { Step::Again }
            }
            (Direction::Reverse, true) => {
                self.syn_acks = self.syn_acks.saturating_add(1);
                if !done && !late {
                    self.last_syn_ack = self.last_syn_ack.max(nanos);
                    self.note_stamp(Direction::Reverse, self.syn_acks > 1, stamp);
                }
                let echo = segment.flags & (TcpFlags::ECE | TcpFlags::CWR | TcpFlags::AE);
                if self.seen.contains(Seen::ECN_OFFERED) {
                    if echo == TcpFlags::ECE {
                        self.seen |= Seen::ECN_AGREED;
                    } else if self.seen.contains(Seen::ACCURATE_OFFERED) && !echo.is_empty() {
                        self.seen |= Seen::ECN_ACCURATE;
                    }
                }
                if self.syn_ack == NEVER && !late {
                    self.syn_ack = nanos;
                }
                if self.syn_acks == 1 { Step::First } else { Step::Again }
            }
            (Direction::Reverse, false) => {
                let step = if self.seen.contains(Seen::OTHER_SYN) { Step::Again } else { Step::First };
                self.seen |= Seen::OTHER_SYN;
                step
            }
            (Direction::Forward, true) => {
                let step = if self.seen.contains(Seen::OTHER_SYN_ACK) { Step::Again } else { Step::First };
                self.seen |= Seen::OTHER_SYN_ACK;
                step
            }
        }
    }

    /// The timestamp option of one more step of `by`: only what has a later one than all before it is told from them.
    fn note_stamp(&mut self, by: Direction, again: bool, stamp: u32) {
        let latest = &mut self.stamps[by.index()];
        if again && stamp.wrapping_sub(*latest) as i32 <= 0 {
            self.note_twin(by);
        } else {
            *latest = stamp;
        }
    }

    /// The SYN-ACK answers another SYN than the one that was seen: when that was sent is not known.
    pub(super) fn forget_syn(&mut self) {
        (self.first_syn, self.last_syn) = (NEVER, NEVER);
    }

    /// The SYN-ACK acknowledged the SYN's data.
    pub(super) fn accept_data(&mut self) {
        self.seen |= Seen::SYN_DATA_ACKED;
    }

    /// The SYN-ACK, captured before the SYN, acknowledged none of its data.
    pub(super) fn refuse_early(&mut self) {
        self.seen |= Seen::REFUSED_EARLY;
    }

    pub(super) fn has_refused_early(&self) -> bool {
        self.seen.contains(Seen::REFUSED_EARLY)
    }

    /// Whether the SYN brought data that the SYN-ACK did not acknowledge, as far as was seen.
    pub(super) fn has_refused_data(&self) -> bool {
        self.seen & (Seen::SYN_DATA | Seen::SYN_DATA_ACKED) == Seen::SYN_DATA
    }

    /// Whether a SYN of the originator was seen.
    pub(super) fn has_syn(&self) -> bool {
        self.syns > 0
    }

    /// Whether a SYN-ACK of the responder was seen.
    pub(super) fn has_syn_ack(&self) -> bool {
        self.syn_acks > 0
    }

    /// Whether a SYN of the responder was seen, with ACK or without.
    pub(super) fn has_other_syn(&self) -> bool {
        self.has_syn_ack() || self.is_crossed()
    }

    /// Whether `by` sent a SYN, or with `ack` a SYN-ACK.
    pub(super) fn has_sent(&self, by: Direction, ack: bool) -> bool {
        match (by, ack) {
            (Direction::Forward, false) => self.has_syn(),
            (Direction::Reverse, true) => self.has_syn_ack(),
            (Direction::Reverse, false) => self.seen.contains(Seen::OTHER_SYN),
            (Direction::Forward, true) => self.seen.contains(Seen::OTHER_SYN_ACK),
        }
    }

    /// Whether both ends sent a SYN without ACK.
    pub(super) fn is_crossed(&self) -> bool {
        self.seen.contains(Seen::OTHER_SYN)
    }

    /// The step that a later one answers: its time, its timestamp option, and whether it was sent once only.
    pub(super) fn answered(&self, of: Direction) -> (i64, u32, bool) {
        match of {
            Direction::Forward => (self.last_syn, self.stamps[0], self.syns == 1),
            Direction::Reverse => (self.last_syn_ack, self.stamps[1], self.syn_acks == 1),
        }
    }

    /// The latest step of `by` was sent or delivered twice, and nothing tells which.
    pub(super) fn note_twin(&mut self, by: Direction) {
        self.seen |= match by {
            Direction::Forward => Seen::TWIN_SYNS,
            Direction::Reverse => Seen::TWIN_SYN_ACKS,
        };
    }

    /// Whether `by` gave its latest packets identifications near each other.
    pub(super) fn note_counting(&mut self, by: Direction, near: bool) {
        self.seen.set(if by == Direction::Forward { Seen::COUNTS } else { Seen::OTHER_COUNTS }, near);
    }

    /// Whether `by` counts its identifications upwards, as far as was seen.
    pub(super) fn counts(&self, by: Direction) -> bool {
        self.seen.contains(if by == Direction::Forward { Seen::COUNTS } else { Seen::OTHER_COUNTS })
    }

    /// Whether the step that is answered can be told from those of its kind before it, if there were any.
    pub(super) fn is_told(&self, of: Direction) -> bool {
        !self.seen.contains(match of {
            Direction::Forward => Seen::TWIN_SYNS,
            Direction::Reverse => Seen::TWIN_SYN_ACKS,
        })
    }

    /// As it is now.
    pub(super) fn opening(&self, outcome: Outcome, handshake: Handshake) -> Opening {
        let seen = self.seen;
        let shape = match (seen.contains(Seen::OTHER_SYN), self.syn_acks > 0) {
            (false, _) => Shape::ThreeWay,
            (true, true) => Shape::Simultaneous,
            (true, false) => Shape::Split,
        };
        let ecn = if seen.contains(Seen::ECN_ACCURATE) {
            Ecn::Accurate
        } else if seen.contains(Seen::ECN_AGREED) {
            Ecn::Agreed
        } else if seen.contains(Seen::ECN_OFFERED) {
            Ecn::Offered
        } else {
            Ecn::No
        };
        let fast_open = if seen.contains(Seen::SYN_DATA | Seen::SYN_DATA_ACKED) {
            FastOpen::Used
        } else if seen.contains(Seen::SYN_DATA) {
            FastOpen::Tried
        } else if seen.contains(Seen::COOKIE) {
            FastOpen::Asked
        } else if seen.contains(Seen::CUT) {
            FastOpen::Unknown
        } else {
            FastOpen::No
        };
        Opening {
            outcome,
            shape,
            first_syn: time(self.first_syn),
            // Any copy may be the one that was answered, which only a lower bound tells.
            last_syn: time(self.last_syn).map(|syn| handshake.syn.map_or(syn, |latest| latest.max(syn))),
            syn_ack: time(self.syn_ack),
            last_syn_ack: time(self.last_syn_ack),
            ack: handshake.ack,
            doubts: handshake.doubts,
            repeated_syns: u32::from(self.syns.saturating_sub(1)),
            repeated_syn_acks: u32::from(self.syn_acks.saturating_sub(1)),
            ecn,
            fast_open,
        }
    }
}
