//! Between link and network: VLAN tags, MPLS labels, PPPoE, LLC and SNAP, provider backbone bridges, MACsec.

use super::cursor::{Span, Walk};
use super::ip;
use super::link;
use crate::event::{Layer, Notes};

pub(super) const IPV4: u16 = 0x0800;
pub(super) const IPV6: u16 = 0x86dd;
const ARP: u16 = 0x0806;
const MPLS: u16 = 0x8847;
const MPLS_UPSTREAM: u16 = 0x8848;
const PPPOE_SESSION: u16 = 0x8864;
/// Ethernet within GRE, Geneve, …
pub(super) const TRANSPARENT_ETHERNET: u16 = 0x6558;
/// IEEE 802.3: what is below this is a length, and LLC follows.
pub(super) const SMALLEST_ETHERTYPE: u16 = 0x600;

/// What the numbers of IEEE's ethertype registry say comes next.
pub(super) fn ethertype(walk: &mut Walk<'_>, ethertype: u16, span: Span<'_>) {
    if !walk.enter(Layer::Shim) {
        return;
    }
    walk.event.ethertype = ethertype;
    match ethertype {
        IPV4 => ip::v4(walk, span),
        IPV6 => ip::v6(walk, span),
        _ if is_tag(ethertype) => vlan(walk, span),
        MPLS | MPLS_UPSTREAM => mpls(walk, span),
        PPPOE_SESSION => pppoe(walk, span),
        0x880b => ppp(walk, span),
        // LLC in frames too long for IEEE 802.3's length.
        0x8870 => llc(walk, span),
        TRANSPARENT_ETHERNET => link::ethernet(walk, span),
        0x88e7 => backbone(walk, span),
        0x88e5 => macsec(walk, span),
        _ => {}
    }
}

/// Whether a VLAN tag follows: 802.1Q, 802.1ad, and two that were in use before 802.1ad.
fn is_tag(ethertype: u16) -> bool {
    matches!(ethertype, 0x8100 | 0x88a8 | 0x9100 | 0x9200)
}

/// An ethertype, or the length of an LLC frame.
pub(super) fn type_or_length(walk: &mut Walk<'_>, value: u16, span: Span<'_>) {
    if value >= SMALLEST_ETHERTYPE {
        ethertype(walk, value, span);
    } else {
        walk.event.ethertype = 0;
        // 1501 to 1535 are neither (IEEE 802.3 section 3.2.6).
        if value <= 1500 {
            if u32::from(value) > span.wire && !span.is_part() {
                walk.note(Notes::MALFORMED);
                walk.stop(Layer::Link, true);
            }
            llc(walk, span.clip(u32::from(value)));
        }
    }
}

fn vlan(walk: &mut Walk<'_>, span: Span<'_>) {
    let (Some(control), Some(next)) = (span.u16(0), span.u16(2)) else {
        walk.need(span, 4, Layer::Shim);
        return;
    };
    walk.layers.vlans.push(control & 0xfff);
    walk.wrote = true;
    type_or_length(walk, next, span.skip(4));
}

/// IEEE 802.2 logical link control, with or without SNAP.
pub(super) fn llc(walk: &mut Walk<'_>, span: Span<'_>) {
    if !walk.enter(Layer::Shim) {
        return;
    }
    let Some([dsap, ssap, control]) = span.array(0) else {
        walk.need(span, 3, Layer::Shim);
        return;
    };
    match (dsap, ssap, control) {
        (0xaa, 0xaa, 3) => {
            let (Some([a, b, c]), Some(protocol)) = (span.array(3), span.u16(6)) else {
                walk.need(span, 8, Layer::Shim);
                return;
            };
            snap(walk, [a, b, c], protocol, span.skip(8));
        }
        (6, 6, 3) => ip::v4(walk, span.skip(3)),
        _ => {}
    }
}

/// The protocol behind a SNAP header belongs to its organisation.
pub(super) fn snap(walk: &mut Walk<'_>, organisation: [u8; 3], protocol: u16, span: Span<'_>) {
    match (organisation, protocol) {
        // RFC 1042, and IEEE 802.1H's bridge tunnel.
        ([0, 0, 0] | [0, 0, 0xf8], _) if protocol >= SMALLEST_ETHERTYPE => ethertype(walk, protocol, span),
        // Bridged Ethernet, with and without the frame check sequence (RFC 2684, RFC 2427).
        ([0, 0x80, 0xc2], 1 | 7) => link::ethernet(walk, span),
        _ => {}
    }
}

fn mpls(walk: &mut Walk<'_>, span: Span<'_>) {
    let mut span = span;
    let mut last;
    loop {
        let Some(entry) = span.u32(0) else {
            walk.need(span, 4, Layer::Shim);
            return;
        };
        if !walk.enter(Layer::Shim) {
            return;
        }
        last = entry >> 12;
        walk.layers.mpls.push(last);
        walk.wrote = true;
        span = span.skip(4);
        if entry & 0x100 != 0 {
            break;
        }
    }
    if span.wire == 0 {
        walk.stop(Layer::Shim, true);
        return;
    }
    // The label says what follows only to those who set it up (RFC 3032 section 2.2): the bytes must tell.
    match span.nibble() {
        None => walk.stop(Layer::Shim, false),
        Some(4) if last == 0 || ip::plausible(span) => ip::v4(walk, span),
        Some(6) if last == 2 || ip::plausible(span) => ip::v6(walk, span),
        nibble if let Some(frame) = pseudowire(span, nibble == Some(0)) => link::ethernet(walk, frame),
        Some(4) => ip::v4(walk, span),
        Some(6) => ip::v6(walk, span),
        // Too few bytes were captured to tell: a control word and an Ethernet header are 18.
        _ if span.bytes.len() < 18 && span.bytes.len() < span.wire as usize => walk.stop(Layer::Shim, false),
        // An associated channel (RFC 5586) is no user's packet, and what looks like nothing stays unread.
        _ => {}
    }
}

/// The Ethernet frame of a pseudowire (RFC 4448), with or without a control word (RFC 4385) before it. Both may look like
/// one, since the first half byte of a control word is 0, as that of most addresses is: the better evidence counts, and of
/// two that are as good a control word of zeros.
fn pseudowire(span: Span<'_>, may_be_controlled: bool) -> Option<Span<'_>> {
    let behind = span.skip(4);
    let looks = [looks_like_ethernet(span), if may_be_controlled { looks_like_ethernet(behind) } else { Looks::Not }];
    let is_zero = match looks {
        // The reserved bits; a sequence number may stand behind them.
        [Looks::Length, _] => span.u16(0) == Some(0),
        _ => span.u32(0) == Some(0),
    };
    match looks {
        [Looks::Not, Looks::Not] => None,
        [without, with] if without < with || (without == with && is_zero) => Some(behind),
        _ => Some(span),
    }
}

/// How much the beginning of some bytes looks like Ethernet's header.
#[derive(Copy, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Looks {
    Not,
    /// There is a known type, which what follows is not of.
    Type,
    /// There is IEEE 802.3's length, and it fits.
    Length,
    /// There is a known type, and what follows may be of it.
    Frame,
}

fn looks_like_ethernet(span: Span<'_>) -> Looks {
    const HARDWARE_ETHERNET: u16 = 1;
    let inside = span.skip(14);
    let follows = match span.u16(12) {
        Some(IPV4) => inside.nibble().is_none_or(|nibble| nibble == 4 && ip::plausible(inside)),
        Some(IPV6) => inside.nibble().is_none_or(|nibble| nibble == 6 && ip::plausible(inside)),
        Some(ARP) => inside.u16(0).is_none_or(|hardware| hardware == HARDWARE_ETHERNET),
        Some(tag) if is_tag(tag) => inside.u16(2).is_none_or(|next| has_known_type(span.skip(4)) || next <= 1500),
        _ => true,
    };
    if has_known_type(span) {
        if follows { Looks::Frame } else { Looks::Type }
    } else if has_fitting_length(span) {
        Looks::Length
    } else {
        Looks::Not
    }
}

/// Whether what stands where Ethernet has its type is one that is read here, or known to be no flow's.
pub(super) fn has_known_type(span: Span<'_>) -> bool {
    const DISCOVERY: u16 = 0x8863;
    const LLDP: u16 = 0x88cc;
    span.u16(12).is_some_and(|known| match known {
        IPV4 | IPV6 | ARP | MPLS | MPLS_UPSTREAM | PPPOE_SESSION | DISCOVERY | LLDP | 0x88e7 | 0x88e5 => true,
        other => is_tag(other),
    })
}

/// Whether it is IEEE 802.3's length, and fits.
fn has_fitting_length(span: Span<'_>) -> bool {
    span.wire >= 17
        && span.u16(12).is_some_and(|length| (3..=1500).contains(&length) && u32::from(length) + 14 <= span.wire)
}

/// A PPPoE session packet (RFC 2516 section 4).
pub(super) fn pppoe(walk: &mut Walk<'_>, span: Span<'_>) {
    if !walk.need(span, 6, Layer::Shim) {
        return;
    }
    let (Some(version_type), Some(code)) = (span.u8(0), span.u8(1)) else { return };
    let (Some(session), Some(length)) = (span.u16(2), span.u16(4)) else { return };
    if version_type != 0x11 {
        walk.stop(Layer::Shim, true);
        return;
    }
    walk.layers.pppoe_session = Some(session);
    walk.wrote = true;
    if code != 0 {
        return;
    }
    let payload = span.skip(6);
    if u32::from(length) > payload.wire && !span.is_part() {
        walk.note(Notes::MALFORMED);
        walk.stop(Layer::Shim, true);
    }
    ppp(walk, payload.clip(u32::from(length)));
}

/// PPP (RFC 1661), with or without the HDLC-like address and control bytes (RFC 1662).
pub(super) fn ppp(walk: &mut Walk<'_>, span: Span<'_>) {
    if !walk.enter(Layer::Shim) {
        return;
    }
    if span.u8(0) == Some(0xff) && !walk.need(span, 2, Layer::Shim) {
        return;
    }
    let span = if span.array(0) == Some([0xff, 3]) { span.skip(2) } else { span };
    let Some(first) = span.u8(0) else {
        walk.need(span, 1, Layer::Shim);
        return;
    };
    // The last byte of the number is odd, so an odd first byte is a number compressed to one byte.
    let (protocol, rest) = if first & 1 == 1 {
        (u16::from(first), span.skip(1))
    } else {
        let Some(number) = span.u16(0) else {
            walk.need(span, 2, Layer::Shim);
            return;
        };
        (number, span.skip(2))
    };
    match protocol {
        0x0021 => ip::v4(walk, rest),
        0x0057 => ip::v6(walk, rest),
        0x0281 | 0x0283 => mpls(walk, rest),
        0x0031 => link::ethernet(walk, rest),
        0x0053 => walk.note(Notes::ENCRYPTED),
        _ => {}
    }
}

/// IEEE 802.1ah: a service instance tag, then the customer's Ethernet frame.
fn backbone(walk: &mut Walk<'_>, span: Span<'_>) {
    if walk.need(span, 18, Layer::Shim) {
        link::ethernet(walk, span.skip(4));
    }
}

/// IEEE 802.1AE: readable only if integrity alone is protected.
fn macsec(walk: &mut Walk<'_>, span: Span<'_>) {
    let Some(control) = span.u8(0) else {
        walk.need(span, 1, Layer::Shim);
        return;
    };
    const VERSION: u8 = 0x80;
    const CHANNEL_PRESENT: u8 = 0x20;
    const ENCRYPTED: u8 = 0x08;
    const CHANGED: u8 = 0x04;
    if control & VERSION != 0 {
        walk.stop(Layer::Shim, true);
        return;
    }
    if control & (ENCRYPTED | CHANGED) != 0 {
        walk.note(Notes::ENCRYPTED);
        return;
    }
    let tag = if control & CHANNEL_PRESENT != 0 { 14 } else { 6 };
    let Some(next) = span.u16(tag) else {
        walk.need(span, tag + 2, Layer::Shim);
        return;
    };
    // The integrity check value, 16 bytes with the default cipher suite, follows the payload.
    let payload = span.skip(tag + 2);
    type_or_length(walk, next, payload.clip(payload.wire.saturating_sub(16)));
}
