//! How segments move the two ends, and what the ends amount to.

use flowcore::{Direction, TcpFlags};

use super::{Endpoint, History, State};

/// Zeek's connection states (`conn_state` of its connection log).
#[derive(Copy, Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ConnState {
    /// Attempt, no reply.
    S0,
    /// Established, not ended.
    S1,
    /// Normal open and close.
    SF,
    /// Rejected.
    REJ,
    /// Established, originator closed.
    S2,
    /// Established, responder closed.
    S3,
    /// Originator reset.
    RSTO,
    /// Responder reset.
    RSTR,
    /// SYN then RST by the originator, no reply.
    RSTOS0,
    /// SYN-ACK then RST by the responder, no SYN.
    RSTRH,
    /// SYN then FIN by the originator, no reply.
    SH,
    /// SYN-ACK then FIN by the responder, no SYN.
    SHR,
    /// Midstream, or none of the others.
    OTH,
}

impl ConnState {
    /// Zeek's code.
    pub const fn name(self) -> &'static str {
        match self {
            Self::S0 => "S0",
            Self::S1 => "S1",
            Self::SF => "SF",
            Self::REJ => "REJ",
            Self::S2 => "S2",
            Self::S3 => "S3",
            Self::RSTO => "RSTO",
            Self::RSTR => "RSTR",
            Self::RSTOS0 => "RSTOS0",
            Self::RSTRH => "RSTRH",
            Self::SH => "SH",
            Self::SHR => "SHR",
            Self::OTH => "OTH",
        }
    }

    /// Both ends closed it, or one reset it.
    pub const fn is_closed(self) -> bool {
        matches!(self, Self::SF | Self::REJ | Self::RSTO | Self::RSTR | Self::RSTOS0 | Self::RSTRH)
    }
}

/// The state of a TCP connection: a pure function of its ends, of whether they have `sent_nothing`, and of its history.
pub fn conn_state([originator, responder]: &[Endpoint; 2], sent_nothing: bool, history: &History) -> ConnState {
    let (orig, resp) = (originator.state(), responder.state());
    let absent = |state| matches!(state, State::Inactive | State::Partial);
    match (orig, resp) {
        (State::SynSent | State::SynAckSent, State::Reset) => ConnState::REJ,
        (State::Reset, State::Reset) if sent_nothing => ConnState::REJ,
        (_, State::Reset) if absent(orig) => ConnState::RSTRH,
        (_, State::Reset) => ConnState::RSTR,
        (State::Reset, _) if absent(resp) => {
            if is_bare_reset(history.as_str()) {
                ConnState::RSTOS0
            } else {
                ConnState::OTH
            }
        }
        (State::Reset, _) => ConnState::RSTO,
        (State::Closed, State::Closed) => ConnState::SF,
        (State::Closed, _) => {
            if absent(resp) {
                ConnState::SH
            } else {
                ConnState::S2
            }
        }
        (_, State::Closed) => {
            if absent(orig) {
                ConnState::SHR
            } else {
                ConnState::S3
            }
        }
        (State::SynSent, State::Inactive) => ConnState::S0,
        (State::Established, State::Established) => ConnState::S1,
        _ => ConnState::OTH,
    }
}

/// Whether the originator sent a SYN, then a RST, and nothing that counts between.
fn is_bare_reset(history: &str) -> bool {
    let history = history.strip_prefix('^').unwrap_or(history);
    let Some(rest) = history.strip_prefix('S') else { return false };
    rest.find('R').is_some_and(|reset| !rest[..reset].contains(['H', 'A', 'F', 'G', 'I', 'Q']))
}

/// The state of a UDP flow, by which directions have sent.
pub fn udp_state(originator: bool, responder: bool) -> ConnState {
    match (originator, responder) {
        (true, true) => ConnState::SF,
        (true, false) => ConnState::S0,
        (false, true) => ConnState::SHR,
        (false, false) => ConnState::OTH,
    }
}

/// Whether both ends are open or were when they closed: only then a gap says that the capture missed something.
pub(super) fn is_orderly(ends: &[Endpoint; 2]) -> bool {
    ends.iter().all(|end| {
        end.state() == State::Established
            || (end.state() == State::Closed && end.previous() == State::Established)
            || (end.state() == State::Reset && end.previous() == State::Closed)
    })
}

/// Moves the ends by one segment that went in `direction`.
#[inline]
pub(super) fn step(
    originator: &mut Endpoint,
    responder: &mut Endpoint,
    direction: Direction,
    flags: TcpFlags,
    payload: u32,
) {
    let from_originator = direction == Direction::Forward;
    let (end, peer) = if from_originator { (originator, responder) } else { (responder, originator) };
    match end.state() {
        State::Established | State::Partial => {
            if flags.intersects(TcpFlags::BOUNDARY) {
                in_stream(end, peer, flags);
            }
        }
        State::Inactive => first(end, peer, from_originator, flags, payload),
        State::SynSent | State::SynAckSent => {
            if flags.contains(TcpFlags::FIN) {
                end.become_state(State::Closed);
            }
            if flags.contains(TcpFlags::RST) {
                end.become_state(State::Reset);
            }
        }
        // After a FIN exchange by both, a RST changes nothing more.
        State::Closed => {
            if flags.contains(TcpFlags::RST) && peer.state() != State::Closed {
                end.become_state(State::Reset);
            }
        }
        State::Reset => {
            let answers = flags & (TcpFlags::BOUNDARY | TcpFlags::ACK) == TcpFlags::SYN | TcpFlags::ACK;
            if answers && !from_originator && end.previous() == State::Inactive && peer.state() == State::SynSent {
                // It has not refused after all: that RST had no ACK (RFC 9293 section 3.10.7.3), or the SYN was
                // sent again.
                peer.become_state(State::Established);
                end.become_state(State::Established);
            }
        }
    }
}

/// The first segment that an end sends.
fn first(end: &mut Endpoint, peer: &mut Endpoint, from_originator: bool, flags: TcpFlags, payload: u32) {
    let (syn, ack) = (flags.contains(TcpFlags::SYN), flags.contains(TcpFlags::ACK));
    if syn && from_originator {
        end.become_state(if ack { State::SynAckSent } else { State::SynSent });
    } else if syn {
        // An answer, or a simultaneous open: either way both are there.
        if peer.state() == State::SynSent {
            peer.become_state(State::Established);
        }
        end.become_state(State::Established);
    }
    if flags.contains(TcpFlags::FIN) {
        end.become_state(State::Closed);
    }
    if flags.contains(TcpFlags::RST) {
        end.become_state(State::Reset);
    }
    if end.state() != State::Inactive {
        return;
    }
    if !from_originator && payload == 0 && peer.state() == State::SynSent {
        // Some stacks acknowledge a SYN before they send their own: that is not a connection seen midway.
    } else if ack && peer.state() == State::Established {
        // The peer's SYN-ACK was seen: only the SYN is missing.
        end.become_state(State::Established);
    } else {
        end.become_state(State::Partial);
    }
}

/// A segment with SYN, FIN or RST of an end that is open or was met midway.
fn in_stream(end: &mut Endpoint, peer: &mut Endpoint, flags: TcpFlags) {
    let (fin, rst) = (flags.contains(TcpFlags::FIN), flags.contains(TcpFlags::RST));
    if flags.contains(TcpFlags::SYN)
        && end.state() == State::Partial
        && peer.state() == State::Inactive
        && !flags.contains(TcpFlags::ACK)
    {
        end.become_state(State::SynSent);
    }
    if fin && !rst {
        end.become_state(State::Closed);
        if peer.state() == State::Reset && peer.previous() == State::Closed {
            // The peer had sent FIN and then RST: a normal end after all.
            peer.become_state(State::Closed);
        }
    }
    if rst {
        end.become_state(State::Reset);
    }
}
