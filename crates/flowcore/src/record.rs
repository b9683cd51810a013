//! One flow's life, as the table knows it.

use crate::allow::Verdict;
use crate::event::EndReason;
use crate::flows::FlowId;
use crate::key::FlowKey;
use crate::time::Timestamp;

/// What the flow table knows of one flow.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct FlowRecord {
    /// Its id while it lives; may be given to another flow after its `End` event.
    pub id: FlowId,
    /// How many flows the table had opened before this one; never reused.
    pub serial: u64,
    /// Oriented: the originator is `src`.
    pub key: FlowKey,
    /// Time of the first event.
    pub start: Timestamp,
    /// Time of the latest event.
    pub last: Timestamp,
    /// How the originator was found.
    pub evidence: Evidence,
    /// The interface that showed the first packet.
    pub interface: u16,
    /// Why it ended; `None` while it lives.
    pub end: Option<EndReason>,
    /// What the pipeline's whitelist says of it; `None` without one.
    pub verdict: Option<Verdict>,
}

/// How the table found out which end is the originator.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Evidence {
    /// The first packet seen came from it; nothing better was known.
    #[default]
    FirstSeen = 0,
    /// The first packet seen came from a well-known service port to another port, so its sender is the responder.
    Ports = 1,
    /// A SYN-ACK was the first packet seen: its receiver is the originator.
    SynAck = 2,
    /// It sent a SYN.
    Syn = 3,
    /// The protocol says who asks (ICMP request and reply types).
    Request = 4,
    /// This host has a socket that listens on one end's port, which is the responder's; or knows that none does.
    Listener = 5,
}

impl Evidence {
    /// A stable lower-case name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::FirstSeen => "first_seen",
            Self::Ports => "ports",
            Self::SynAck => "syn_ack",
            Self::Syn => "syn",
            Self::Request => "request",
            Self::Listener => "listener",
        }
    }
}
