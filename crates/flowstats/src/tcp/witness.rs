//! What following a connection brings to light, told as it happens.

use flowcore::{Direction, Nanos, Timestamp};

/// How a round-trip time was measured.
#[derive(Copy, Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RttMethod {
    /// From a SYN to its SYN-ACK, or from a SYN-ACK to its ACK, neither of them sent twice.
    Handshake,
    /// From data to the ACK of exactly that data, under Karn's rule (RFC 6298 section 3).
    Acknowledgment,
    /// The same where the ACK came with data: an application may have taken its time to send that.
    Piggyback,
    /// From data that was sent twice to its ACK, which echoes the timestamp of one copy (RFC 7323 section 4.3).
    Timestamp,
}

/// One round trip between the capture point and the end that acknowledged.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct RttSample {
    /// When the acknowledgment was seen.
    pub time: Timestamp,
    /// How long after what it acknowledges.
    pub rtt: Nanos,
    /// Whose data it acknowledges: of [`Direction::Forward`], the responder answered, and the path measured lies
    /// between the capture point and the responder.
    pub of: Direction,
    /// How it was measured.
    pub method: RttMethod,
}

/// Kinds of segments that were sent again, or again and on purpose.
#[derive(Copy, Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Retransmission {
    /// A timer ran out (RFC 6298 section 5; tail loss probes, RFC 8985 section 7, too).
    Timeout = 0,
    /// Duplicate acknowledgments asked for it (RFC 5681 section 3.2, RFC 6675, RFC 8985 section 6).
    Fast = 1,
    /// The receiver had it already: acknowledged before it was sent again, or reported as a duplicate (RFC 2883).
    Spurious = 2,
    /// One below the next byte, of a connection with nothing outstanding (RFC 9293 section 3.8.4).
    KeepAlive = 3,
    /// Asks whether a window is still zero (RFC 9293 section 3.8.6.1).
    WindowProbe = 4,
    /// A SYN.
    Syn = 5,
    /// A SYN-ACK.
    SynAck = 6,
}

impl Retransmission {
    /// How many kinds there are; the length of arrays indexed by `Retransmission as usize`.
    pub const COUNT: usize = 7;

    /// Whether it says that data was lost, or believed to be: not a probe, not a handshake.
    pub const fn is_of_data(self) -> bool {
        matches!(self, Self::Timeout | Self::Fast | Self::Spurious)
    }
}

/// A request and its response, told when the response is known to be complete. A time is `None` if bytes were missed
/// on the way to it: then it proves nothing. Both are where request and response are most likely the two ends'
/// farewells ([`Turns::farewell`](super::Turns::farewell)).
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct Turn {
    /// The first byte of the request.
    pub request: Option<Timestamp>,
    /// From there to the first byte of the response.
    pub first_byte: Option<Nanos>,
    /// From there to the last byte of the response. `None` too if what came last is most likely no part of it: short,
    /// long behind the rest, and closed or reset at once behind, as TLS's closing alert is.
    pub last_byte: Option<Nanos>,
    /// One side sent before it had heard all of the other (pipelining, full duplex): there may have been more than one
    /// request, and the last byte may be of another response.
    pub overlapped: bool,
    /// Request and response are most likely the two ends' farewells.
    pub farewell: bool,
}

/// How the opening of a connection came out.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Outcome {
    /// No SYN was seen: it began before the capture, or the capture missed it.
    #[default]
    Midstream = 0,
    /// The handshake is complete.
    Established = 1,
    /// The responder answered the SYN with a RST.
    Refused = 2,
    /// A RST after the SYN-ACK but before the handshake was complete, or by the one who sent the SYN.
    Reset = 3,
    /// Nothing or not enough came for as long as an attempt may be idle.
    TimedOut = 4,
    /// Nothing had come when the input ended.
    Unanswered = 5,
    /// A SYN-ACK came, and no ACK of it before the input ended.
    HalfOpen = 6,
}

impl Outcome {
    /// A stable lower-case name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Midstream => "midstream",
            Self::Established => "ok",
            Self::Refused => "refused",
            Self::Reset => "reset",
            Self::TimedOut => "timed_out",
            Self::Unanswered => "unanswered",
            Self::HalfOpen => "half_open",
        }
    }
}

/// Hears what following a connection brings to light, at the moment it does. Every method does nothing unless it is
/// written; calls are monomorphic, and rare but for [`rtt`](Self::rtt).
///
/// Directions are those of the flow: [`Direction::Forward`] is the originator's.
#[allow(unused_variables, reason = "the names are the documentation")]
pub trait Witness {
    /// The first segment was no SYN and no SYN-ACK.
    #[inline]
    fn midstream(&mut self, time: Timestamp) {}

    /// The connection's first SYN without ACK. A simultaneous open has one.
    #[inline]
    fn syn(&mut self, time: Timestamp) {}

    /// Its first SYN-ACK.
    #[inline]
    fn syn_ack(&mut self, time: Timestamp) {}

    /// The handshake is complete; its times are in [`Dynamics::opening`](super::Dynamics::opening). Once more with
    /// them where its ACK comes behind what showed that it was: of SYNs that crossed, say.
    #[inline]
    fn established(&mut self, opening: &super::Opening, time: Timestamp) {}

    /// A round trip.
    #[inline]
    fn rtt(&mut self, sample: RttSample) {}

    /// An acknowledgment of `of`'s data that gives no round trip, since it may have been for either of two copies.
    #[inline]
    fn ambiguous(&mut self, of: Direction, time: Timestamp) {}

    /// The first byte of a request.
    #[inline]
    fn request(&mut self, time: Timestamp) {}

    /// A response is complete: the next request began, or the connection ended.
    #[inline]
    fn response(&mut self, turn: Turn) {}

    /// A segment was sent again by `by`, with `bytes` of payload seen before.
    #[inline]
    fn retransmission(&mut self, kind: Retransmission, by: Direction, bytes: u32, time: Timestamp) {}

    /// An earlier retransmission by `by`, told as `kind`, turned out to have been spurious.
    #[inline]
    fn needless(&mut self, kind: Retransmission, by: Direction, time: Timestamp) {}

    /// A segment of `by` came later than one sent after it.
    #[inline]
    fn reordering(&mut self, by: Direction, time: Timestamp) {}

    /// A packet of `by` was captured twice, or doubled by the network.
    #[inline]
    fn duplicate(&mut self, by: Direction, time: Timestamp) {}

    /// Of a segment of `by` time alone tells whether it was sent again, overtaken or doubled; said before which.
    #[inline]
    fn guessed(&mut self, by: Direction, time: Timestamp) {}

    /// The last request was none that wants an answer: whoever sent it closed behind it, as TLS does with an alert. Told at
    /// the end.
    #[inline]
    fn farewell(&mut self) {}

    /// So many bytes that `by` sent were acknowledged but never seen; 0: a byte or a FIN, nobody can tell.
    #[inline]
    fn missing(&mut self, by: Direction, bytes: u64, time: Timestamp) {}

    /// So many bytes more were missing of the latest gap: they could have been a FIN.
    #[inline]
    fn missing_too(&mut self, by: Direction, bytes: u64) {}

    /// So many of the bytes that were missing by `by` were captured after all, and so many gaps that were told were none:
    /// all of them once no byte is missing any more, before that 0. 0 bytes: what was a byte or a FIN is known now.
    #[inline]
    fn found(&mut self, by: Direction, bytes: u64, gaps: u32) {}

    /// Bytes or a FIN that `by` had sent before were not captured: what was found was sent again.
    #[inline]
    fn missed_first(&mut self, by: Direction, time: Timestamp) {}

    /// A segment that no connection has: several of SYN, FIN and RST, no ACK without SYN or RST, or numbers far outside the
    /// windows or behind a FIN, which nothing else bore out. Of the latter it is told when that is known; of what was seen
    /// behind a FIN before that came, once.
    #[inline]
    fn invalid(&mut self, by: Direction, time: Timestamp) {}

    /// The first FIN: `by` closed first.
    #[inline]
    fn closing(&mut self, by: Direction, time: Timestamp) {}

    /// The first RST; once more if that was a refusal that a SYN-ACK took back.
    #[inline]
    fn reset(&mut self, by: Direction, time: Timestamp) {}

    /// The connection is over, with so many responses.
    #[inline]
    fn finished(&mut self, outcome: Outcome, responses: u32) {}
}

/// Hears nothing.
#[derive(Copy, Clone, Debug, Default)]
pub struct Nobody;

impl Witness for Nobody {}
