//! One observation of one flow: the value that goes from every source to every analyzer.

use bitflags::bitflags;

use crate::flows::FlowId;
use crate::key::{Direction, FlowKey};
use crate::time::Timestamp;

/// One observation of one flow. `packets` and `bytes` are increments: analyzers sum them, whatever the source.
///
/// 128 bytes, `Copy`, without a lifetime: a batch is a plain vector that can cross threads, be recorded and replayed.
#[derive(Copy, Clone, Debug, PartialEq)]
pub struct FlowEvent {
    /// When, as the source's data says.
    pub time: Timestamp,
    /// Whose, oriented as seen here: `src` sent it. [`FlowKey::NONE`] for frames without a flow (ARP, LLDP, …).
    pub key: FlowKey,
    /// Bytes on the wire, link layer included, as the source saw them: not the captured length. Offloads merge
    /// segments before a host's capture sees them, so this may exceed the path's MTU.
    pub bytes: u64,
    /// Packets as the source saw them.
    pub packets: u32,
    /// The flow, once the table has seen the event; [`FlowId::NONE`] before, and for events without a flow.
    pub flow: FlowId,
    /// Where the frame is in the batch's frames; empty if it was not kept.
    pub frame: FrameRef,
    /// Bytes of the innermost network layer (IP header and payload), by its own length field. 0 without one.
    pub network_bytes: u32,
    /// Bytes of the transport payload by the headers' length fields, captured or not. 0 without a transport header
    /// that could be read; a later fragment of a protocol that is read here has what it carries.
    pub payload_bytes: u32,
    /// IPv4 identification, or that of an IPv6 fragment header; 0 where there is none.
    pub datagram_id: u32,
    /// What only some events have.
    pub detail: Detail,
    /// Facts settled once per flow and travelling as bits.
    pub marks: Marks,
    /// What is wrong or particular with this frame.
    pub notes: Notes,
    /// Innermost ethertype (0x0800 and 0x86dd where there is an IP header, whatever the link type); 0 if unknown.
    pub ethertype: u16,
    /// Index of the capture interface, in the source's own numbering.
    pub interface: u16,
    /// One above the index of this frame's [`Layers`](crate::wire::Layers) in the batch; 0 = plain, it has none.
    pub layers: u16,
    /// Relative to the flow's originator; [`Direction::Forward`] before the table has seen the event.
    pub direction: Direction,
    /// The layer at which reading stopped early; [`Layer::None`] if it did not.
    pub stopped: Layer,
}

const _: () = assert!(size_of::<FlowEvent>() <= 128);

impl Default for FlowEvent {
    fn default() -> Self {
        Self {
            time: Timestamp::EPOCH,
            key: FlowKey::NONE,
            bytes: 0,
            packets: 0,
            flow: FlowId::NONE,
            frame: FrameRef::default(),
            network_bytes: 0,
            payload_bytes: 0,
            datagram_id: 0,
            detail: Detail::None,
            marks: Marks::empty(),
            notes: Notes::empty(),
            ethertype: 0,
            interface: 0,
            layers: 0,
            direction: Direction::Forward,
            stopped: Layer::None,
        }
    }
}

/// A frame's place within its batch's frames, in bytes.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
pub struct FrameRef {
    /// First byte.
    pub offset: u32,
    /// Captured length; 0 = not kept.
    pub len: u32,
}

/// What only some events have.
#[derive(Copy, Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub enum Detail {
    /// Nothing more.
    #[default]
    None,
    /// A TCP segment whose header could be read at least up to its flags.
    Tcp(TcpSegment),
    /// A UDP or UDP-Lite datagram's header.
    Udp(UdpHeader),
    /// An ICMP or ICMPv6 message.
    Icmp(IcmpHeader),
    /// A kernel socket was polled, or was destroyed; its sample is in the batch's side column
    /// ([`Frames::socket`](crate::batch::Frames::socket)).
    Socket(SocketRef),
    /// A later fragment, which has no transport header. The table makes a segment of those of a [`Tcp`](Self::Tcp) one.
    Fragment(FragmentPlace),
    /// The flow has ended; appended by the table, `packets` and `bytes` are 0. The id may be given to another flow later.
    End(EndReason),
}

/// Which sample of the batch's side column belongs to an event, and what it means for the flow.
///
/// Of the two events of a poll this is on the one that the socket's own end sent: `key.src` is the local end.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
pub struct SocketRef {
    /// Index into the batch's samples.
    pub sample: u32,
    /// Who asked for the connection.
    pub opened: Opened,
    /// The socket was not there at the poll before: what its counters say was counted since it was made.
    pub first: bool,
    /// The socket was destroyed: this is the last of it.
    pub last: bool,
}

/// Where a later fragment belongs.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
pub struct FragmentPlace {
    /// Its first byte in the datagram, counted from behind the IP header (IPv6: the fragment header).
    pub begin: u16,
    /// It ends the datagram.
    pub last: bool,
}

/// Which end of a socket's connection asked for it.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Opened {
    /// Cannot be told.
    #[default]
    Unknown,
    /// This end: nothing listens on its port.
    Locally,
    /// The other end: a socket listens on the local port.
    Remotely,
}

/// The header of one TCP segment (RFC 9293 section 3.1) with the options that analysis uses.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
pub struct TcpSegment {
    /// Sequence number.
    pub seq: u32,
    /// Acknowledgment number; meaningful only with the ACK flag.
    pub ack: u32,
    /// Timestamp option: value and echo reply (RFC 7323), valid if [`TcpOptions::TIMESTAMP`] is set.
    pub timestamp: (u32, u32),
    /// Where the duplicate begins that the receiver reports with the first SACK block (RFC 2883 section 4), counted from
    /// `ack`; 0 = it reports none, since no such block can begin there.
    pub duplicate: i32,
    /// Window as sent, not scaled.
    pub window: u16,
    /// Maximum segment size option, valid if [`TcpOptions::MSS`] is set.
    pub mss: u16,
    /// Control bits.
    pub flags: TcpFlags,
    /// Which options were present and readable.
    pub options: TcpOptions,
    /// Window scale option, valid if [`TcpOptions::WINDOW_SCALE`] is set.
    pub window_scale: u8,
}

bitflags! {
    /// TCP control bits (RFC 9293 section 3.1; AE: RFC 9768), as numbered on the wire.
    #[derive(Copy, Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
    pub struct TcpFlags: u16 {
        /// Sender has finished.
        const FIN = 0x001;
        /// Synchronise sequence numbers.
        const SYN = 0x002;
        /// Reset.
        const RST = 0x004;
        /// Push.
        const PSH = 0x008;
        /// The acknowledgment number counts.
        const ACK = 0x010;
        /// The urgent pointer counts.
        const URG = 0x020;
        /// ECN echo.
        const ECE = 0x040;
        /// Congestion window reduced.
        const CWR = 0x080;
        /// Accurate ECN (formerly NS).
        const AE = 0x100;
        /// The three bits still reserved.
        const RESERVED = 0xe00;
    }

    /// Which TCP options were seen.
    #[derive(Copy, Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
    pub struct TcpOptions: u8 {
        /// Maximum segment size (kind 2).
        const MSS = 1;
        /// Window scale (kind 3).
        const WINDOW_SCALE = 2;
        /// SACK permitted (kind 4).
        const SACK_PERMITTED = 4;
        /// SACK blocks (kind 5).
        const SACK = 8;
        /// Timestamps (kind 8).
        const TIMESTAMP = 16;
        /// Fast Open cookie or request (kind 34).
        const FAST_OPEN = 32;
        /// Multipath TCP (kind 30).
        const MPTCP = 64;
        /// The options were cut by the snap length or malformed; the ones above are those before the fault.
        const INCOMPLETE = 128;
    }

    /// Facts settled once per flow and travelling as bits on its events.
    #[derive(Copy, Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
    pub struct Marks: u16 {
        /// This is the flow's first event.
        const BEGIN = 1;
        /// The whitelist allows the flow.
        const ALLOWED = 2;
        /// The whitelist cannot tell yet.
        const UNDECIDED = 4;
        /// The same packet was already seen on another interface: deliver, but do not count it again.
        const DUPLICATE = 8;
        /// Free for a filter's per-flow facts.
        const FILTER = 0xff00;
    }

    /// What is wrong or particular with one frame.
    #[derive(Copy, Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
    pub struct Notes: u16 {
        /// The capture holds fewer bytes than were on the wire.
        const CUT = 1;
        /// A header's fields contradict each other or the bytes; counted at the last layer that could be read.
        const MALFORMED = 2;
        /// An IP fragment, first or later.
        const FRAGMENT = 4;
        /// An IP fragment with an offset: no transport header here.
        const LATER_FRAGMENT = 8;
        /// IPv4 total length or IPv6 payload length was 0 because of segmentation offload; the frame's length was used.
        const OFFLOADED = 16;
        /// At least one tunnel was opened: outer headers are in the layers.
        const TUNNELLED = 32;
        /// An ICMP error that quotes another flow's packet; the quoted key is in the layers.
        const QUOTES = 64;
        /// Encrypted from here on (ESP, protected 802.11): the headers behind it cannot be seen.
        const ENCRYPTED = 128;
        /// Bytes follow the network layer's own length (Ethernet padding, trailers).
        const TRAILER = 256;
        /// The 802.11 header says "to the distribution system".
        const TO_DS = 512;
        /// The 802.11 header says "from the distribution system".
        const FROM_DS = 1024;
        /// Reading stopped because what comes next is of a kind that is not read here (an unknown link type).
        const UNKNOWN = 2048;
        /// The innermost IP header says "congestion experienced" (RFC 3168 section 5).
        const CONGESTED = 4096;
        /// A fragment that cannot be put together with the others of its datagram: they came before the first one, or
        /// without it (then they are in a flow without ports), the first one's IP header has options or extensions, or
        /// holds a tunnel. Also the first fragment of an 802.11 frame, whose later ones are in no flow.
        const APART = 8192;
        /// The source notes no time for this packet: the event has that of the latest one before it, or the epoch.
        const UNTIMED = 16384;
        /// The frame holds more packets than the one that was read (IEEE 802.11 A-MSDU).
        const AGGREGATED = 32768;
    }
}

impl TcpFlags {
    /// What begins or ends a connection: SYN, FIN and RST.
    pub const BOUNDARY: Self = Self::SYN.union(Self::FIN).union(Self::RST);
}

impl Notes {
    /// `note` if `holds`, else none: without a branch, which no predictor would guess on traffic that is now cut, now
    /// padded.
    #[inline]
    pub fn when(holds: bool, note: Self) -> Self {
        Self::from_bits_retain(note.bits() & u16::from(holds).wrapping_neg())
    }
}

/// A UDP header (RFC 768).
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
pub struct UdpHeader {
    /// Length field: header and payload.
    pub length: u16,
    /// Checksum as sent; 0 = none.
    pub checksum: u16,
}

/// The fixed part of an ICMP or ICMPv6 message.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
pub struct IcmpHeader {
    /// Type.
    pub kind: u8,
    /// Code.
    pub code: u8,
    /// Echo identifier; `None` for messages that have none, or cut before it.
    pub identifier: Option<u16>,
    /// Echo sequence number.
    pub sequence: Option<u16>,
}

/// Why a flow ended. The numbers are those of IPFIX flowEndReason (IE 136).
#[derive(Copy, Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
#[repr(u8)]
pub enum EndReason {
    /// Nothing was seen for the idle time.
    Idle = 1,
    /// The protocol's own end was seen (FIN both ways, RST), or the ports were reused for a new flow.
    EndOfFlow = 3,
    /// The input ended, or the user asked.
    Forced = 4,
}

impl EndReason {
    /// A stable lower-case name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Idle => "idle",
            Self::EndOfFlow => "end",
            Self::Forced => "forced",
        }
    }
}

/// A layer of a frame, said where reading stopped.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Layer {
    /// Reading did not stop early.
    #[default]
    None = 0,
    /// The link header itself (Ethernet, SLL, 802.11, …).
    Link = 1,
    /// VLAN tags, MPLS labels, PPPoE, LLC/SNAP: between link and network.
    Shim = 2,
    /// IPv4 or IPv6, extension headers included.
    Network = 3,
    /// TCP, UDP, SCTP, ICMP, …
    Transport = 4,
    /// A tunnel's header, or a layer inside the tunnel.
    Tunnel = 5,
}

impl Layer {
    /// How many layers there are; the length of arrays indexed by `Layer as usize`.
    pub const COUNT: usize = 6;
    /// The layers at which reading can stop, outermost first.
    pub const ALL: [Self; 5] = [Self::Link, Self::Shim, Self::Network, Self::Transport, Self::Tunnel];

    /// A stable lower-case name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Link => "link",
            Self::Shim => "shim",
            Self::Network => "network",
            Self::Transport => "transport",
            Self::Tunnel => "tunnel",
        }
    }
}
