//! Tunnels: IP in IP, GRE, ERSPAN, VXLAN, Geneve, GTP-U, Teredo, AYIYA.
//!
//! A UDP port alone proves nothing, so the tunnels over UDP are opened only if their header is well formed and what
//! follows looks like what it names; otherwise the datagram stays plain UDP.

use super::cursor::{Rest, Span, Walk};
use super::shim::{self, IPV4, IPV6, TRANSPARENT_ETHERNET};
use super::{Tunnel, TunnelKind, ip, link};
use crate::event::{Layer, Notes};
use crate::key::Protocol;

const TEREDO: u16 = 3544;
const GTP_U: u16 = 2152;
const VXLAN: u16 = 4789;
/// Linux's default until the port was assigned.
const VXLAN_LINUX: u16 = 8472;
const VXLAN_GPE: u16 = 4790;
const AYIYA: u16 = 5072;
const GENEVE: u16 = 6081;

/// Whether a UDP datagram between these ports might be a tunnel's.
#[inline]
pub(super) fn is_udp_tunnel(src_port: u16, dst_port: u16) -> bool {
    is_tunnel_port(dst_port) || (matches!(src_port, TEREDO | GTP_U | AYIYA))
}

#[inline]
fn is_tunnel_port(port: u16) -> bool {
    matches!(port, TEREDO | GTP_U | VXLAN | VXLAN_LINUX | VXLAN_GPE | AYIYA | GENEVE)
}

/// Notes a tunnel whose outer headers are in the event.
fn open(walk: &mut Walk<'_>, kind: TunnelKind, id: Option<u32>) {
    let key = walk.event.key;
    walk.layers.tunnels.push(Tunnel { kind, id, src: key.src, dst: key.dst, ports: (key.src_port, key.dst_port) });
    walk.wrote = true;
    walk.inside = true;
    walk.note(Notes::TUNNELLED);
}

pub(super) fn ip_in_ip(walk: &mut Walk<'_>, protocol: Protocol, span: Span<'_>) {
    if !walk.options.decapsulate {
        return;
    }
    let version = if protocol == Protocol::IPV6 { 6 } else { 4 };
    match span.nibble() {
        Some(nibble) if nibble == version => {
            open(walk, TunnelKind::IpInIp, None);
            if version == 4 { ip::v4(walk, span) } else { ip::v6(walk, span) }
        }
        Some(_) => walk.stop(Layer::Tunnel, true),
        None => {
            walk.need(span, 1, Layer::Tunnel);
        }
    }
}

/// GRE version 0 (RFC 2784, 2890; routing of RFC 1701) and 1 (PPTP, RFC 2637).
pub(super) fn gre(walk: &mut Walk<'_>, span: Span<'_>) {
    if !walk.options.decapsulate {
        return;
    }
    let (Some(flags), Some(protocol)) = (span.u16(0), span.u16(2)) else {
        walk.need(span, 4, Layer::Tunnel);
        return;
    };
    const CHECKSUM: u16 = 0x8000;
    const ROUTING: u16 = 0x4000;
    const KEY: u16 = 0x2000;
    const SEQUENCE: u16 = 0x1000;
    const ACKNOWLEDGMENT: u16 = 0x0080;
    let version = flags & 7;
    let mut at = 4;
    if flags & (CHECKSUM | ROUTING) != 0 && version == 0 {
        at += 4;
    }
    let key_at = at;
    if flags & KEY != 0 {
        at += 4;
    }
    if flags & SEQUENCE != 0 {
        at += 4;
    }
    if version == 1 && flags & ACKNOWLEDGMENT != 0 {
        at += 4;
    }
    if version > 1 || (version == 1 && protocol != 0x880b) {
        walk.stop(Layer::Tunnel, true);
        return;
    }
    if !walk.need(span, at, Layer::Tunnel) {
        return;
    }
    let mut rest = span.skip(at);
    if flags & ROUTING != 0 && version == 0 {
        // Source route entries: address family, offset, length; the last has family and length zero.
        loop {
            let (Some(family), Some(length)) = (rest.u16(0), rest.u8(3)) else {
                walk.need(rest, 4, Layer::Tunnel);
                return;
            };
            if !walk.enter(Layer::Tunnel) || !walk.need(rest, 4 + usize::from(length), Layer::Tunnel) {
                return;
            }
            rest = rest.skip(4 + usize::from(length));
            if family == 0 && length == 0 {
                break;
            }
        }
    }
    let key = if flags & KEY != 0 { span.u32(key_at) } else { None };
    if version == 1 {
        // The key's upper half is the payload's length, 0 for a bare acknowledgment.
        let payload = key.map_or(0, |key| key >> 16);
        if flags & SEQUENCE != 0 && payload != 0 {
            open(walk, TunnelKind::Gre, key.map(|key| key & 0xffff));
            shim::ppp(walk, rest.clip(payload));
        }
        return;
    }
    match protocol {
        0x88be => erspan(walk, flags & SEQUENCE != 0, rest),
        0x22eb => erspan3(walk, rest),
        // WCCP: version 2 has a redirect header of four bytes, version 1 none.
        0x883e => {
            let rest = if rest.nibble() == Some(4) && ip::plausible(rest) { rest } else { rest.skip(4) };
            if rest.nibble() == Some(4) {
                open(walk, TunnelKind::Gre, key);
                ip::v4(walk, rest);
            }
        }
        0 => {}
        _ if rest.wire == 0 => {}
        _ => {
            open(walk, TunnelKind::Gre, key);
            shim::ethertype(walk, protocol, rest);
        }
    }
}

/// ERSPAN type I (no header of its own, GRE without sequence number) and II (8 bytes).
fn erspan(walk: &mut Walk<'_>, sequence: bool, span: Span<'_>) {
    if !sequence {
        open(walk, TunnelKind::Erspan, None);
        link::ethernet(walk, span);
    } else if let (Some(session), true) = (span.u16(2), walk.need(span, 8, Layer::Tunnel)) {
        open(walk, TunnelKind::Erspan, Some(u32::from(session & 0x3ff)));
        let mirrored = mirrored(walk, session, span.skip(8));
        link::ethernet(walk, mirrored);
    }
}

/// A mirrored frame; the bit T says that the mirror has cut it (draft-foschiano-erspan-03 section 4.2), as a capture's
/// snap length does.
fn mirrored<'a>(walk: &mut Walk<'_>, session: u16, span: Span<'a>) -> Span<'a> {
    const TRUNCATED: u16 = 0x0400;
    if session & TRUNCATED == 0 {
        return span;
    }
    walk.note(Notes::CUT);
    Span { rest: Rest::Uncounted, ..span }
}

/// ERSPAN type III: 12 bytes, and 8 more if the last bit says so.
fn erspan3(walk: &mut Walk<'_>, span: Span<'_>) {
    let (Some(session), Some(last)) = (span.u16(2), span.u8(11)) else {
        walk.need(span, 12, Layer::Tunnel);
        return;
    };
    let header = if last & 1 != 0 { 20 } else { 12 };
    if !walk.need(span, header, Layer::Tunnel) {
        return;
    }
    open(walk, TunnelKind::Erspan, Some(u32::from(session & 0x3ff)));
    let mirrored = mirrored(walk, session, span.skip(header));
    // The frame type: 0 is Ethernet, 2 a bare IP packet (draft-foschiano-erspan-03 section 4.3).
    match span.u16(10).map_or(0, |word| word >> 10 & 0x1f) {
        0 => link::ethernet(walk, mirrored),
        2 => ip::by_version(walk, mirrored),
        _ => {}
    }
}

/// Opens the tunnel in a UDP payload, if its ports and bytes say that it is one.
pub(super) fn udp(walk: &mut Walk<'_>, span: Span<'_>) {
    let (src, dst) = (walk.event.key.src_port, walk.event.key.dst_port);
    if !walk.options.decapsulate || !is_udp_tunnel(src, dst) {
        return;
    }
    // Each says whether the bytes are what the port promises; `None` if too few are here to tell.
    let opened = match if is_tunnel_port(dst) { dst } else { src } {
        VXLAN | VXLAN_LINUX => vxlan(walk, span),
        VXLAN_GPE => vxlan_gpe(walk, span),
        GENEVE => geneve(walk, span),
        GTP_U => gtp_u(walk, span),
        TEREDO => teredo(walk, span),
        AYIYA => ayiya(walk, span),
        _ => Some(false),
    };
    if opened.is_none() && span.bytes.len() < span.wire as usize {
        walk.stop(Layer::Tunnel, false);
    }
}

/// VXLAN (RFC 7348 section 5), group policy bits allowed.
fn vxlan(walk: &mut Walk<'_>, span: Span<'_>) -> Option<bool> {
    let flags = span.u8(0)?;
    let vni = span.u32(4)?;
    // Bit 3 says that the identifier counts, bit 7 that the group policy field does; the last byte is reserved. Where
    // a reserved bit is set, which a receiver ignores, what follows must tell more.
    let is_clean = flags & 0x7f == 0x08 && vni & 0xff == 0;
    if flags & 0x08 == 0 || span.wire < 22 || (!is_clean && !shim::has_known_type(span.skip(8))) {
        return Some(false);
    }
    open(walk, TunnelKind::Vxlan, Some(vni >> 8));
    link::ethernet(walk, span.skip(8));
    Some(true)
}

/// VXLAN with the generic protocol extension (draft-ietf-nvo3-vxlan-gpe).
fn vxlan_gpe(walk: &mut Walk<'_>, span: Span<'_>) -> Option<bool> {
    let flags = span.u8(0)?;
    let vni = span.u32(4)?;
    if flags & 0xf8 != 0x08 || vni & 0xff != 0 {
        return Some(false);
    }
    let next = if flags & 4 == 0 { 3 } else { span.u8(3)? };
    let inner = span.skip(8);
    let ethertype = match next {
        1 if inner.nibble()? == 4 => IPV4,
        2 if inner.nibble()? == 6 => IPV6,
        3 => TRANSPARENT_ETHERNET,
        5 => 0x8847,
        _ => return Some(false),
    };
    open(walk, TunnelKind::Vxlan, Some(vni >> 8));
    shim::ethertype(walk, ethertype, inner);
    Some(true)
}

/// Geneve (RFC 8926 section 3.4).
fn geneve(walk: &mut Walk<'_>, span: Span<'_>) -> Option<bool> {
    let [first, flags] = span.array(0)?;
    let protocol = span.u16(2)?;
    let vni = span.u32(4)?;
    let header = 8 + usize::from(first & 0x3f) * 4;
    if first >> 6 != 0 || span.wire as usize <= header {
        return Some(false);
    }
    let inner = span.skip(header);
    // A receiver ignores the reserved bits; where they are set, what follows must tell more.
    let is_clean = flags & 0x3f == 0 && vni & 0xff == 0;
    match protocol {
        IPV4 if inner.nibble() != Some(4) || !(is_clean || ip::plausible(inner)) => return Some(false),
        IPV6 if inner.nibble() != Some(6) || !(is_clean || ip::plausible(inner)) => return Some(false),
        TRANSPARENT_ETHERNET if !is_clean && !shim::has_known_type(inner) => return Some(false),
        IPV4 | IPV6 | TRANSPARENT_ETHERNET => {}
        0x8847 if is_clean => {}
        _ => return Some(false),
    }
    open(walk, TunnelKind::Geneve, Some(vni >> 8));
    shim::ethertype(walk, protocol, inner);
    Some(true)
}

/// GTP-U (3GPP TS 29.281 section 5): user data, with extension headers.
fn gtp_u(walk: &mut Walk<'_>, span: Span<'_>) -> Option<bool> {
    let [flags, kind] = span.array(0)?;
    let length = u32::from(span.u16(2)?);
    let teid = span.u32(4)?;
    // Version 1, protocol type GTP, message "G-PDU".
    if flags >> 4 != 3 || kind != 255 || (length + 8 > span.wire && !span.is_part()) {
        return Some(false);
    }
    let mut header = 8;
    if flags & 7 != 0 {
        let mut next = span.u8(11)?;
        header = 12;
        if flags & 4 == 0 {
            next = 0;
        }
        for _ in 0..8 {
            if next == 0 {
                break;
            }
            let units = usize::from(span.u8(header)?);
            if units == 0 {
                return Some(false);
            }
            header += units * 4;
            next = span.u8(header - 1)?;
        }
    }
    let inner = span.clip(length + 8).skip(header);
    inner.nibble()?;
    if !ip::plausible(inner) {
        return Some(false);
    }
    open(walk, TunnelKind::GtpU, Some(teid));
    ip::by_version(walk, inner);
    Some(true)
}

/// Teredo (RFC 4380 section 5.1.1): authentication and origin indications may precede the IPv6 packet.
fn teredo(walk: &mut Walk<'_>, span: Span<'_>) -> Option<bool> {
    let mut inner = span;
    if inner.array(0)? == [0, 1] {
        let [client, authentication] = inner.array::<2>(2)?;
        inner = inner.skip(13 + usize::from(client) + usize::from(authentication));
    }
    if inner.array(0)? == [0, 0] {
        inner = inner.skip(8);
    }
    if inner.nibble()? != 6 || !ip::plausible(inner) {
        return Some(false);
    }
    let src = inner.u32(8)?;
    let dst = inner.u32(24)?;
    // One end has Teredo's prefix 2001::/32; router discovery has link-local addresses.
    const PREFIX: u32 = 0x2001_0000;
    if src != PREFIX && dst != PREFIX && src >> 22 != 0xfe80_0000 >> 22 {
        return Some(false);
    }
    open(walk, TunnelKind::Teredo, None);
    ip::v6(walk, inner);
    Some(true)
}

/// AYIYA (draft-massar-v6ops-ayiya-02), forwarding an IPv6 packet.
fn ayiya(walk: &mut Walk<'_>, span: Span<'_>) -> Option<bool> {
    let [identity, signature, operation, next] = span.array(0)?;
    // The low half of the third byte: 1 is "forward".
    if operation & 15 != 1 || next != Protocol::IPV6.0 {
        return Some(false);
    }
    let inner = span.skip(8 + (1_usize << (identity >> 4)) + usize::from(signature >> 4) * 4);
    if inner.nibble()? != 6 || !ip::plausible(inner) {
        return Some(false);
    }
    open(walk, TunnelKind::Ayiya, None);
    ip::v6(walk, inner);
    Some(true)
}
