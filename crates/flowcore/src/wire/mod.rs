//! From a frame's bytes to an event: link, VLAN, MPLS, IP, tunnels, transport.
//!
//! [`decode`] walks the headers of one frame and fills a [`FlowEvent`]; what a plain frame does not have (tags, labels,
//! tunnels, quoted packets) goes into [`Layers`]. Every length is checked once, nothing panics on any input, and a
//! frame that is cut or contradicts itself is still counted at the last layer that could be read.

mod cursor;
mod ip;
mod link;
mod plain;
mod shim;
mod transport;
mod tunnel;
mod wlan;

use crate::addr::Addr;
use crate::event::{FlowEvent, Layer, Notes};
use crate::key::FlowKey;
use cursor::{Span, Walk};

pub use link::knows;

/// A link type, as numbered in capture files (the LINKTYPE_ registry of tcpdump.org).
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LinkType(pub u16);

/// How far decoding goes.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct DecodeOptions {
    /// Open tunnels, so that the key is that of the innermost headers. Otherwise the outermost IP header's.
    pub decapsulate: bool,
    /// Note [`Headers`] of every frame, plain ones too. For filters that ask for them; the fast path has no time for it.
    pub headers: bool,
}

impl Default for DecodeOptions {
    fn default() -> Self {
        Self { decapsulate: true, headers: false }
    }
}

/// How many VLAN tags, labels or tunnels are kept of one frame; more are walked but only counted.
pub const KEPT: usize = 4;

/// What stood around and before the innermost headers of one frame. Absent for plain frames, unless
/// [`DecodeOptions::headers`] asks for more.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Layers {
    /// VLAN identifiers, outermost first.
    pub vlans: Stack<u16>,
    /// MPLS labels, outermost first.
    pub mpls: Stack<u32>,
    /// Tunnels opened, outermost first.
    pub tunnels: Stack<Tunnel>,
    /// PPPoE session id.
    pub pppoe_session: Option<u16>,
    /// The flow whose packet an ICMP error quotes, oriented as that packet was sent.
    pub quoted: Option<FlowKey>,
    /// Header fields that few ask for; all absent unless [`DecodeOptions::headers`] is set.
    pub headers: Headers,
}

/// Header fields that events do not carry.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
pub struct Headers {
    /// Who sent the frame on its link: the outermost Ethernet source, the source address of an 802.11 frame.
    pub link_src: Option<[u8; 6]>,
    /// Whom the frame is for on its link.
    pub link_dst: Option<[u8; 6]>,
    /// Time to live or hop limit of the innermost IP header.
    pub ttl: Option<u8>,
    /// Type of service or traffic class of the innermost IP header: DSCP in the upper six bits, ECN in the lower two.
    pub tos: Option<u8>,
}

/// The first [`KEPT`] of a frame's repeated headers, and how many there were.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
pub struct Stack<T> {
    kept: [T; KEPT],
    count: u8,
}

impl<T: Copy> Stack<T> {
    /// Adds one behind the others.
    pub fn push(&mut self, item: T) {
        if let Some(slot) = self.kept.get_mut(usize::from(self.count)) {
            *slot = item;
        }
        self.count = self.count.saturating_add(1);
    }

    /// Those kept, outermost first.
    pub fn as_slice(&self) -> &[T] {
        self.kept.get(..usize::from(self.count)).unwrap_or(&self.kept)
    }

    /// How many there were, those not kept included.
    pub fn count(&self) -> usize {
        usize::from(self.count)
    }

    /// Whether there were none.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }
}

/// A tunnel's outer headers.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
pub struct Tunnel {
    /// What kind.
    pub kind: TunnelKind,
    /// VNI (VXLAN, Geneve), key (GRE), TEID (GTP-U), session (ERSPAN); `None` where the kind has none.
    pub id: Option<u32>,
    /// Outer source address.
    pub src: Addr,
    /// Outer destination address.
    pub dst: Addr,
    /// Outer ports, 0 where the outer protocol has none.
    pub ports: (u16, u16),
}

/// Kinds of tunnel.
#[allow(missing_docs, reason = "the names are the protocols'")]
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum TunnelKind {
    #[default]
    IpInIp,
    Gre,
    Erspan,
    Vxlan,
    Geneve,
    GtpU,
    Teredo,
    Ayiya,
}

impl TunnelKind {
    /// A stable lower-case name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::IpInIp => "ipip",
            Self::Gre => "gre",
            Self::Erspan => "erspan",
            Self::Vxlan => "vxlan",
            Self::Geneve => "geneve",
            Self::GtpU => "gtpu",
            Self::Teredo => "teredo",
            Self::Ayiya => "ayiya",
        }
    }
}

/// Decodes `frame` of link type `link` into `event`: key, byte counts, detail, notes, stop layer, ethertype, and
/// `interface` where the frame itself names one (SLL2: the low 16 bits of the interface index).
///
/// `wire_len` is the frame's length on the wire, at least `frame.len()` (taken for it if less). The caller hands in an
/// event as [`FlowEvent::default`] makes it and empty layers, and sets time, packets, bytes and frame reference.
/// Returns `true` if something was written into `layers`.
///
/// Lengths are those that headers claim, captured or not. A claim beyond the wire is not believed: the wire's length
/// is taken and the frame is [malformed](crate::event::Notes::MALFORMED); so are frames of files whose writer cut them
/// and forgot their length. A frame that is merely cut by the snap length is not.
pub fn decode(
    link: LinkType,
    frame: &[u8],
    wire_len: u32,
    options: DecodeOptions,
    event: &mut FlowEvent,
    layers: &mut Layers,
) -> bool {
    match plain::decode(link, frame, wire_len, options, event, layers) {
        Some(wrote) => wrote,
        None => walk(link, frame, wire_len, options, event, layers),
    }
}

/// What [`decode_here`] found.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Found {
    /// A plain frame: the event has a key, nothing stopped its reading, no layers were written.
    Plain,
    /// Any other.
    Other {
        /// Something was written into the layers.
        layers: bool,
    },
}

/// The same as [`decode`], for the place where frames are found: plain Ethernet frames are read in line there. Says what
/// the caller need not look at again.
#[inline(always)]
pub fn decode_here(
    link: LinkType,
    frame: &[u8],
    wire_len: u32,
    options: DecodeOptions,
    event: &mut FlowEvent,
    layers: &mut Layers,
) -> Found {
    let may_be_plain = link == LinkType::ETHERNET && !options.headers;
    if may_be_plain && plain::ethernet(frame, wire_len, options, event) && event.stopped == Layer::None {
        return Found::Plain;
    }
    decode_other(link, frame, wire_len, options, event, layers)
}

#[inline(never)]
fn decode_other(
    link: LinkType,
    frame: &[u8],
    wire_len: u32,
    options: DecodeOptions,
    event: &mut FlowEvent,
    layers: &mut Layers,
) -> Found {
    let done = event.stopped != Layer::None;
    Found::Other { layers: !done && decode(link, frame, wire_len, options, event, layers) }
}

/// The general walk, for whatever the fast path left.
#[cold]
#[inline(never)]
fn walk(
    link: LinkType,
    frame: &[u8],
    wire_len: u32,
    options: DecodeOptions,
    event: &mut FlowEvent,
    layers: &mut Layers,
) -> bool {
    let span = Span::new(frame, wire_len);
    if frame.len() < span.wire as usize {
        event.notes |= Notes::CUT;
    }
    let mut walk = Walk::new(options, event, layers);
    link::link(&mut walk, link, span);
    walk.wrote
}
