//! What a simulated TCP end is like.

use crate::segment::Time;

/// What an end is like.
#[derive(Clone, Debug)]
pub struct Manner {
    pub isn: u32,
    pub mss: u64,
    /// Receive buffer, bytes.
    pub buffer: u64,
    /// Window scale option.
    pub scale: u8,
    /// Congestion window, segments.
    pub congestion: u64,
    /// Segments that leave the end as one, for a network card to cut.
    pub offload: u64,
    pub timestamps: bool,
    /// Nanoseconds of one timestamp tick.
    pub tick: Time,
    pub sack: bool,
    pub ecn: bool,
    /// How long an acknowledgment may wait for a second segment; 0 = never.
    pub delayed_ack: Time,
    /// The retransmission timer is never shorter.
    pub least_timeout: Time,
    /// Quiet time before a keep-alive, and whether it carries the byte before.
    pub keep_alive: Option<(Time, bool)>,
    /// Zero-window probes carry the next byte (otherwise nothing, one position back).
    pub probe_byte: bool,
    /// The last data segment may carry the FIN.
    pub fin_with_data: bool,
    /// The application stops reading at so many bytes for so long.
    pub stall: Option<(u64, Time)>,
    pub listening: Listening,
    pub idents: Idents,
    /// Bytes on the SYN (TCP Fast Open).
    pub fast_open: u64,
}

/// How an end numbers its datagrams.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Idents {
    Counted,
    Random,
    /// Not at all: always 0.
    Zero,
}

/// How an end meets a SYN.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Listening {
    Accepts,
    /// Acknowledges first, then sends a SYN of its own.
    Splits,
    Refuses,
    Silent,
}
