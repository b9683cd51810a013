//! A connection's course: what is known of it beside its state, when it is over or at any time before.

use flowcore::{Direction, Nanos};

use super::{Opening, Retransmission, Turns};

/// What one end of a connection did, and what became of its data.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct SideFacts {
    /// ACKs of this end's data that tell no round trip: there were two copies, or a hole below.
    pub ambiguous_rtts: u64,
    /// Segments sent again, indexed by [`Retransmission`].
    pub retransmissions: [u64; Retransmission::COUNT],
    /// Payload bytes of those that had been seen before, or that had been jumped over.
    pub retransmitted_bytes: u64,
    /// Segments overtaken by later ones.
    pub reordered: u64,
    /// Packets captured or delivered twice on one interface.
    pub duplicates: u64,
    /// Of what was sent again, overtaken or doubled, the segments of which time alone tells which: so many of the other
    /// counts' kinds may be wrong.
    pub guessed: u64,
    /// Duplicate ACKs of this end's data: the other end asked for a segment.
    pub duplicate_acks: u64,
    /// Segments by which this end said that its window is zero.
    pub zero_windows: u64,
    /// Time for which it was.
    pub zero_window_time: Nanos,
    /// What opened it once was not captured: the time is an upper bound.
    pub zero_window_unseen: bool,
    /// It was zero still at the last packet: unless the connection ended then, the time is a lower bound.
    pub zero_window_shut: bool,
    /// Bytes of this end that were acknowledged but never seen.
    pub missing_bytes: u64,
    /// Packets of this end that the network marked for congestion (RFC 3168).
    pub congested: u64,
    /// Segments of this end that echo such marks.
    pub echoed: u64,
    /// Segments by which this end said that it sends less for it.
    pub reduced: u64,
}

impl SideFacts {
    /// Segments of one kind.
    pub fn sent_again(&self, kind: Retransmission) -> u64 {
        self.retransmissions[kind as usize]
    }

    /// Segments sent again because they were lost, or believed to be: timeouts, fast and spurious ones, SYNs and SYN-ACKs.
    /// Probes are not among them.
    pub fn all_sent_again(&self) -> u64 {
        use Retransmission::{Fast, Spurious, Syn, SynAck, Timeout};
        [Timeout, Fast, Spurious, Syn, SynAck].map(|kind| self.sent_again(kind)).iter().sum()
    }
}

/// What following a connection has found out, beside its state. The durations are with the [`Figures`](super::Figures).
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Course {
    /// How it was opened.
    pub opening: Opening,
    /// Indexed by [`Direction`].
    pub sides: [SideFacts; 2],
    /// Requests and responses.
    pub turns: Turns,
    /// Who sent the first FIN.
    pub closed_by: Option<Direction>,
    /// One end went on sending after it had acknowledged the other's FIN.
    pub half_closed: bool,
    /// Who sent the first RST before both had closed.
    pub reset_by: Option<Direction>,
    /// That RST had no ACK.
    pub bare_reset: bool,
    /// Segments with control bits that no connection has, or with numbers that nothing else of this one bears out.
    pub invalid: u32,
}
