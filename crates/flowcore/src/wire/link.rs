//! Link headers, by the link types of capture files.

use super::cursor::{Span, Walk};
use super::{LinkType, ip, shim, wlan};
use crate::event::Layer;

#[allow(missing_docs, reason = "the names are those of the registry")]
impl LinkType {
    pub const NULL: Self = Self(0);
    pub const ETHERNET: Self = Self(1);
    pub const TOKEN_RING: Self = Self(6);
    pub const ARCNET: Self = Self(7);
    pub const SLIP: Self = Self(8);
    pub const PPP: Self = Self(9);
    pub const FDDI: Self = Self(10);
    pub const PPP_HDLC: Self = Self(50);
    pub const PPP_ETHER: Self = Self(51);
    pub const ATM_RFC1483: Self = Self(100);
    pub const RAW: Self = Self(101);
    pub const C_HDLC: Self = Self(104);
    pub const IEEE802_11: Self = Self(105);
    pub const FRAME_RELAY: Self = Self(107);
    pub const LOOP: Self = Self(108);
    pub const ENC: Self = Self(109);
    pub const LINUX_SLL: Self = Self(113);
    pub const PRISM: Self = Self(119);
    pub const IP_OVER_FC: Self = Self(122);
    pub const RADIOTAP: Self = Self(127);
    pub const AVS: Self = Self(163);
    pub const PPP_PPPD: Self = Self(166);
    pub const PPI: Self = Self(192);
    pub const PPP_WITH_DIR: Self = Self(204);
    pub const C_HDLC_WITH_DIR: Self = Self(205);
    pub const FRAME_RELAY_WITH_DIR: Self = Self(206);
    pub const MPLS: Self = Self(219);
    pub const IPV4: Self = Self(228);
    pub const IPV6: Self = Self(229);
    pub const NFLOG: Self = Self(239);
    pub const NETLINK: Self = Self(253);
    pub const PKTAP: Self = Self(258);
    pub const LINUX_SLL2: Self = Self(276);
}

/// Whether [`decode`](super::decode) knows the link type's headers.
pub fn knows(link: LinkType) -> bool {
    matches!(
        link.0,
        0 | 1 | 6..=10 | 12 | 14 | 50 | 51 | 100 | 101 | 104 | 105 | 107..=109 | 113 | 119 | 122 | 127 | 163 | 166
            | 192 | 204..=206 | 219 | 228 | 229 | 239 | 253 | 258 | 276
    )
}

/// Walks a frame from its link header on.
pub(super) fn link(walk: &mut Walk<'_>, link: LinkType, span: Span<'_>) {
    if !walk.enter(Layer::Link) {
        return;
    }
    match link {
        LinkType::ETHERNET => ethernet(walk, span),
        LinkType::NULL | LinkType::LOOP => null(walk, span),
        // 12 and 14 are what raw IP was called in files of some BSDs.
        LinkType::RAW | LinkType(12 | 14) => ip::by_version(walk, span),
        LinkType::IPV4 => ip::v4(walk, span),
        LinkType::IPV6 => ip::v6(walk, span),
        LinkType::LINUX_SLL => sll(walk, span),
        LinkType::LINUX_SLL2 => sll2(walk, span),
        LinkType::PPP => shim::ppp(walk, span),
        LinkType::PPP_HDLC => ppp_or_hdlc(walk, span),
        LinkType::C_HDLC => hdlc(walk, span),
        LinkType::PPP_WITH_DIR => shim::ppp(walk, span.skip(1)),
        LinkType::C_HDLC_WITH_DIR => hdlc(walk, span.skip(1)),
        LinkType::FRAME_RELAY_WITH_DIR => frame_relay(walk, span.skip(1)),
        // Address and control bytes, the first one replaced by the direction.
        LinkType::PPP_PPPD => shim::ppp(walk, if span.u8(1) == Some(3) { span.skip(2) } else { span }),
        LinkType::PPP_ETHER => shim::pppoe(walk, span),
        LinkType::MPLS => shim::ethertype(walk, 0x8847, span),
        LinkType::IEEE802_11 => wlan::ieee802_11(walk, span, false),
        LinkType::RADIOTAP => wlan::radiotap(walk, span),
        LinkType::PRISM => wlan::prism(walk, span),
        LinkType::AVS => wlan::avs(walk, span),
        LinkType::PPI => ppi(walk, span),
        LinkType::TOKEN_RING => token_ring(walk, span),
        LinkType::FDDI => {
            walk.link_addresses(span.array(7), span.array(1));
            behind(walk, span, 13, shim::llc);
        }
        LinkType::IP_OVER_FC => {
            walk.link_addresses(span.array(10), span.array(2));
            behind(walk, span, 16, shim::llc);
        }
        LinkType::ATM_RFC1483 => shim::llc(walk, span),
        LinkType::ARCNET => arcnet(walk, span),
        LinkType::FRAME_RELAY => frame_relay(walk, span),
        LinkType::SLIP => behind(walk, span, 16, ip::by_version),
        LinkType::ENC => behind(walk, span, 12, ip::by_version),
        LinkType::NFLOG => nflog(walk, span),
        // Messages to and from the kernel: no headers that make a flow.
        LinkType::NETLINK => {
            walk.need(span, 16, Layer::Link);
        }
        LinkType::PKTAP => pktap(walk, span),
        // Not known: nobody may guess, and nothing is wrong with the frame.
        _ => walk.leave(Layer::Link),
    }
}

/// Goes on behind a link header of fixed length that says nothing we need.
fn behind(walk: &mut Walk<'_>, span: Span<'_>, header: usize, next: fn(&mut Walk<'_>, Span<'_>)) {
    if walk.need(span, header, Layer::Link) {
        next(walk, span.skip(header));
    }
}

/// Ethernet II and IEEE 802.3, the frame check sequence being taken for a trailer.
pub(super) fn ethernet(walk: &mut Walk<'_>, span: Span<'_>) {
    walk.link_addresses(span.array(6), span.array(0));
    if walk.need(span, 14, Layer::Link) && walk.enter(Layer::Link) {
        shim::type_or_length(walk, span.u16(12).unwrap_or(0), span.skip(14));
    }
}

/// The address family of a BSD loopback, in the byte order of the host that captured (LOOP: network order).
fn null(walk: &mut Walk<'_>, span: Span<'_>) {
    let (Some(big), Some(little)) = (span.u32(0), span.u32_le(0)) else {
        walk.need(span, 4, Layer::Link);
        return;
    };
    let rest = span.skip(4);
    // The smaller one is in the right order. AF_INET6 is 10 in Linux, 24 in NetBSD, 28 in FreeBSD, 30 in Darwin.
    match big.min(little) {
        2 => ip::v4(walk, rest),
        10 | 24 | 28 | 30 => ip::v6(walk, rest),
        // No family is above 16 bits: some writers put a Cisco HDLC header here, which ends in an ethertype.
        _ => match span.u16(2) {
            Some(ethertype @ (shim::IPV4 | shim::IPV6)) if big.min(little) > 0xffff => {
                shim::ethertype(walk, ethertype, rest);
            }
            _ => {}
        },
    }
}

/// ARPHRD_ numbers of Linux's if_arp.h whose protocol field in a cooked header is not an ethertype.
const NETLINK: u16 = 824;
const IEEE80211_RADIOTAP: u16 = 803;

/// Whether a cooked header's protocol field is an ethertype for this hardware type (where it is not below 0x600).
#[inline]
pub(super) fn has_ethertype(hardware: u16) -> bool {
    !matches!(hardware, NETLINK | IEEE80211_RADIOTAP)
}

/// Linux cooked capture: its protocol field is an ethertype only for some hardware types.
fn cooked(walk: &mut Walk<'_>, hardware: u16, protocol: u16, span: Span<'_>) {
    match (hardware, protocol) {
        (NETLINK, _) => {}
        (IEEE80211_RADIOTAP, _) => wlan::radiotap(walk, span),
        // Others below are Linux's own numbers (ETH_P_* of if_ether.h) whose frames are not read.
        (_, 3) => ethernet(walk, span),
        (_, 4) => shim::llc(walk, span),
        (_, 7) => shim::ppp(walk, span),
        (_, 0..shim::SMALLEST_ETHERTYPE) => {}
        _ => shim::ethertype(walk, protocol, span),
    }
}

fn sll(walk: &mut Walk<'_>, span: Span<'_>) {
    if span.u16(4) == Some(6) {
        walk.link_addresses(span.array(6), None);
    }
    if walk.need(span, 16, Layer::Link) {
        cooked(walk, span.u16(2).unwrap_or(0), span.u16(14).unwrap_or(0), span.skip(16));
    }
}

/// The interface index goes into the event, its low 16 bits: there one capture holds several interfaces.
fn sll2(walk: &mut Walk<'_>, span: Span<'_>) {
    if span.u8(11) == Some(6) {
        walk.link_addresses(span.array(12), None);
    }
    if let (Some(low), true) = (span.u16(6), walk.need(span, 20, Layer::Link)) {
        walk.event.interface = low;
        cooked(walk, span.u16(8).unwrap_or(0), span.u16(0).unwrap_or(0), span.skip(20));
    } else {
        walk.need(span, 20, Layer::Link);
    }
}

/// PPP in HDLC-like framing, or Cisco HDLC, by the first byte (0x0f: unicast, 0x8f: broadcast).
fn ppp_or_hdlc(walk: &mut Walk<'_>, span: Span<'_>) {
    match span.u8(0) {
        Some(0x0f | 0x8f) => hdlc(walk, span),
        _ => shim::ppp(walk, span),
    }
}

fn hdlc(walk: &mut Walk<'_>, span: Span<'_>) {
    if walk.need(span, 4, Layer::Link) {
        match span.u16(2).unwrap_or(0) {
            // Below is Cisco's own (0x2000: CDP, 0x8035: keepalives share reverse ARP's number); 0xfefe: OSI.
            protocol @ shim::SMALLEST_ETHERTYPE.. if protocol != 0xfefe => {
                shim::ethertype(walk, protocol, span.skip(4));
            }
            _ => {}
        }
    }
}

/// Per-packet information: a header whose length and inner link type it names, little-endian.
fn ppi(walk: &mut Walk<'_>, span: Span<'_>) {
    let (Some(length), Some(inner)) = (span.u16_le(2), span.u32_le(4)) else {
        walk.need(span, 8, Layer::Link);
        return;
    };
    let header = usize::from(length);
    if header < 8 {
        walk.stop(Layer::Link, true);
    } else if walk.need(span, header, Layer::Link) {
        match u16::try_from(inner) {
            // Fields of type 2 (802.11 common) hold the flags; bit 0 says that the frame check sequence is there.
            Ok(105) => {
                let check = matches!((span.u16_le(8), span.u16_le(20)), (Some(2), Some(flags)) if flags & 1 != 0);
                let rest = span.skip(header);
                let rest = if check { rest.clip(rest.wire.saturating_sub(4)) } else { rest };
                wlan::ieee802_11(walk, rest, false);
            }
            Ok(inner) => link(walk, LinkType(inner), span.skip(header)),
            Err(_) => walk.leave(Layer::Link),
        }
    }
}

/// IEEE 802.5: access control, frame control, two addresses, an optional route, LLC.
fn token_ring(walk: &mut Walk<'_>, span: Span<'_>) {
    // The first bit of the source says that a route follows.
    let source = span.array(8).map(|[first, rest @ ..]: [u8; 6]| {
        let [b, c, d, e, f] = rest;
        [first & 0x7f, b, c, d, e, f]
    });
    walk.link_addresses(source, span.array(2));
    if !walk.need(span, 14, Layer::Link) {
        return;
    }
    let mut header = 14;
    if span.u8(8).is_some_and(|first| first & 0x80 != 0) {
        if !walk.need(span, 15, Layer::Link) {
            return;
        }
        header += usize::from(span.u8(14).unwrap_or(0) & 0x1f);
    }
    // Only LLC frames carry users' packets.
    if span.u8(1).is_some_and(|control| control & 0xc0 == 0x40) {
        behind(walk, span, header, shim::llc);
    }
}

/// ARCNET (RFC 1201): source, destination, protocol, and a fragment header of at least two more bytes.
fn arcnet(walk: &mut Walk<'_>, span: Span<'_>) {
    if !walk.need(span, 3, Layer::Link) {
        return;
    }
    match span.u8(2) {
        Some(240) => ip::v4(walk, span.skip(3)),
        Some(212) => behind(walk, span, 6, ip::v4),
        Some(196) => behind(walk, span, 6, ip::v6),
        _ => {}
    }
}

/// Frame Relay: multiprotocol encapsulation (RFC 2427), or Cisco's with an ethertype behind the address.
fn frame_relay(walk: &mut Walk<'_>, span: Span<'_>) {
    // The lowest bit of an address byte marks the last one; two to four bytes are possible.
    let Some(last) = (1..4).find(|&at| span.u8(at).is_some_and(|byte| byte & 1 == 1)) else {
        let whole = walk.need(span, 4, Layer::Link);
        if whole {
            walk.stop(Layer::Link, true);
        }
        return;
    };
    let rest = span.skip(last + 1);
    if !walk.need(rest, 2, Layer::Link) {
        return;
    }
    let (Some(control), Some(word)) = (rest.u8(0), rest.u16(0)) else { return };
    if control != 3 {
        if word >= shim::SMALLEST_ETHERTYPE {
            shim::ethertype(walk, word, rest.skip(2));
        }
        return;
    }
    let rest = if rest.u8(1) == Some(0) { rest.skip(2) } else { rest.skip(1) };
    match rest.u8(0) {
        Some(0xcc) => ip::v4(walk, rest.skip(1)),
        Some(0x8e) => ip::v6(walk, rest.skip(1)),
        Some(0x80) => {
            let (Some(organisation), Some(protocol)) = (rest.array(1), rest.u16(4)) else {
                walk.need(rest, 6, Layer::Link);
                return;
            };
            shim::snap(walk, organisation, protocol, rest.skip(6));
        }
        _ => {}
    }
}

/// Netfilter's log: attributes of which one is the packet.
fn nflog(walk: &mut Walk<'_>, span: Span<'_>) {
    if !walk.need(span, 4, Layer::Link) {
        return;
    }
    const PAYLOAD: u16 = 9;
    let mut rest = span.skip(4);
    // A message has at most 25 kinds of attributes.
    for _ in 0..32 {
        if rest.wire == 0 {
            return;
        }
        // In the byte order of the host that captured: nearly always little-endian.
        let (Some(length), Some(kind)) = (rest.u16_le(0), rest.u16_le(2)) else {
            walk.need(rest, 4, Layer::Link);
            return;
        };
        let swapped = length > 0xff && u32::from(length) > rest.wire;
        let (length, kind) = if swapped { (length.swap_bytes(), kind.swap_bytes()) } else { (length, kind) };
        if length < 4 {
            walk.stop(Layer::Link, true);
            return;
        }
        if kind & 0x7fff == PAYLOAD {
            let payload = rest.skip(4);
            if u32::from(length) > rest.wire {
                walk.stop(Layer::Link, true);
            }
            ip::by_version(walk, payload.clip(u32::from(length) - 4));
            return;
        }
        rest = rest.skip(usize::from(length).next_multiple_of(4));
    }
}

/// Darwin's metadata header: its length, a record type, and the inner link type, little-endian.
fn pktap(walk: &mut Walk<'_>, span: Span<'_>) {
    let (Some(length), Some(kind), Some(inner)) = (span.u32_le(0), span.u32_le(4), span.u32_le(8)) else {
        walk.need(span, 12, Layer::Link);
        return;
    };
    if length < 12 {
        walk.stop(Layer::Link, true);
    } else if walk.need(span, length as usize, Layer::Link) {
        match u16::try_from(inner) {
            Ok(inner) if kind == 1 => link(walk, LinkType(inner), span.skip(length as usize)),
            _ => walk.leave(Layer::Link),
        }
    }
}
