//! IPv4 with options, IPv6 with its extension chain, fragments, and lengths that offloading left out.

use pnet_packet::ipv4::Ipv4Packet;
use pnet_packet::ipv6::Ipv6Packet;

use super::cursor::{MAX_IP_HEADERS, Rest, Span, Walk};
use super::transport;
use crate::addr::Addr;
use crate::event::{Detail, FragmentPlace, Layer, Notes};
use crate::key::{FlowKey, Protocol};

/// Extension headers walked of one packet. RFC 8200 section 4.1 knows seven in order; attackers and test suites send
/// about a hundred.
const MAX_EXTENSIONS: usize = 128;

/// The largest packet but a jumbogram: an IPv6 header, and what its length may say.
const LARGEST: u32 = 40 + 0xffff;

/// IPv4 or IPv6, by the version nibble.
pub(super) fn by_version(walk: &mut Walk<'_>, span: Span<'_>) {
    match span.nibble() {
        Some(4) => v4(walk, span),
        Some(6) => v6(walk, span),
        Some(_) => walk.stop(Layer::Network, true),
        None => {
            walk.need(span, 1, Layer::Network);
        }
    }
}

/// Whether an IP header of this version stands here with a length that fits; for places where the type is a guess.
pub(super) fn plausible(span: Span<'_>) -> bool {
    match span.nibble() {
        Some(4) => {
            let header = u16::from(span.u8(0).unwrap_or(0) & 15) * 4;
            let fits = |total: u16| total >= header && (u32::from(total) <= span.wire || span.is_part());
            header >= 20 && span.u16(2).is_none_or(fits)
        }
        Some(6) => {
            let fits = |payload: u16| u32::from(payload) + 40 <= span.wire || span.is_part();
            span.wire >= 40 && span.u16(4).is_none_or(fits)
        }
        _ => false,
    }
}

/// Puts a new innermost IP header's facts into the event, in place of those of any outer one.
fn begin(walk: &mut Walk<'_>, ethertype: u16, (src, dst): (Addr, Addr), protocol: Protocol, congestion: u8) {
    walk.ip_headers += 1;
    // The rest of this packet may be in the later fragments of the outer one, whose flow is another.
    walk.event.notes |= Notes::when(walk.event.notes.contains(Notes::FRAGMENT), Notes::APART);
    // The two bits of explicit congestion notification (RFC 3168 section 5).
    walk.event.notes.set(Notes::CONGESTED, congestion & 3 == 3);
    walk.event.key = FlowKey { src, dst, protocol, ..FlowKey::NONE };
    walk.event.ethertype = ethertype;
    walk.event.detail = Detail::None;
    walk.event.payload_bytes = 0;
    walk.event.datagram_id = 0;
}

/// Whether one more IP header may be read.
fn allowed(walk: &mut Walk<'_>) -> bool {
    if walk.ip_headers >= MAX_IP_HEADERS {
        walk.leave(Layer::Tunnel);
        return false;
    }
    walk.enter(Layer::Network)
}

/// Gives `span` the `claimed` length. A claim beyond the wire is believed only where the rest is known to be elsewhere,
/// and else said.
fn limit<'a>(walk: &mut Walk<'_>, span: Span<'a>, claimed: u32) -> Span<'a> {
    let mut span = span;
    if claimed > span.wire {
        match span.rest {
            Rest::Nowhere => {
                walk.note(Notes::MALFORMED);
                walk.stop(Layer::Network, true);
            }
            Rest::Counted => {}
            Rest::Uncounted => span.wire = span.wire.max(claimed.min(LARGEST)),
        }
    } else if claimed < span.wire {
        walk.note(Notes::TRAILER);
    }
    let span = span.clip(claimed);
    walk.event.network_bytes = span.wire;
    span
}

pub(super) fn v4(walk: &mut Walk<'_>, span: Span<'_>) {
    if !allowed(walk) {
        return;
    }
    // Where nothing could be read behind it, the frame is still known to be IPv4.
    if walk.ip_headers == 0 {
        walk.event.ethertype = 0x0800;
    }
    if !walk.need(span, 20, Layer::Network) {
        return;
    }
    let Some(ip) = Ipv4Packet::new(span.bytes) else { return };
    let header = usize::from(ip.get_header_length()) * 4;
    if ip.get_version() != 4 || header < 20 {
        walk.stop(Layer::Network, true);
        return;
    }
    let protocol = Protocol(ip.get_next_level_protocol().0);
    let ends = (Addr::v4(ip.get_source().octets()), Addr::v4(ip.get_destination().octets()));
    begin(walk, 0x0800, ends, protocol, ip.get_ecn());
    walk.event.datagram_id = u32::from(ip.get_identification());
    if walk.options.headers {
        walk.layers.headers.ttl = span.u8(8);
        walk.layers.headers.tos = span.u8(1);
        walk.wrote = true;
    }
    let total = u32::from(ip.get_total_length());
    let mut span = if total == 0 {
        // A host's capture sees segments before the device fills this in (Linux: segmentation offload, BIG TCP).
        walk.note(Notes::OFFLOADED);
        walk.event.network_bytes = span.wire;
        span
    } else if (total as usize) < header {
        walk.event.network_bytes = total.min(span.wire);
        walk.stop(Layer::Network, true);
        return;
    } else {
        limit(walk, span, total)
    };
    let more = ip.get_flags() & 1 != 0;
    let offset = ip.get_fragment_offset();
    if !walk.need(span, header, Layer::Network) {
        return;
    }
    if offset != 0 {
        later_fragment(walk, protocol, span.skip(header), FragmentPlace { begin: offset << 3, last: !more });
        return;
    }
    if more {
        walk.note(Notes::FRAGMENT | Notes::when(header != 20, Notes::APART));
        span.rest = Rest::Counted;
    }
    upper(walk, protocol, span.skip(header));
}

pub(super) fn v6(walk: &mut Walk<'_>, span: Span<'_>) {
    if !allowed(walk) {
        return;
    }
    if walk.ip_headers == 0 {
        walk.event.ethertype = 0x86dd;
    }
    if !walk.need(span, 40, Layer::Network) {
        return;
    }
    let Some(ip) = Ipv6Packet::new(span.bytes) else { return };
    if ip.get_version() != 6 {
        walk.stop(Layer::Network, true);
        return;
    }
    let next = Protocol(ip.get_next_header().0);
    let ends = (Addr::v6(ip.get_source().octets()), Addr::v6(ip.get_destination().octets()));
    begin(walk, 0x86dd, ends, next, ip.get_traffic_class());
    if walk.options.headers {
        walk.layers.headers.ttl = span.u8(7);
        walk.layers.headers.tos = span.u16(0).map(|word| (word >> 4) as u8);
        walk.wrote = true;
    }
    let payload = u32::from(ip.get_payload_length());
    let span = if payload != 0 || next == Protocol::NO_NEXT {
        limit(walk, span, payload + 40)
    } else if let Some(jumbo) = jumbo_length(next, span.skip(40)) {
        // RFC 2675; Linux's BIG TCP writes the same option.
        limit(walk, span, jumbo.saturating_add(40))
    } else {
        if span.wire > 40 {
            walk.note(Notes::OFFLOADED);
        }
        walk.event.network_bytes = span.wire;
        span
    };
    upper(walk, next, span.skip(40));
}

/// The length in a hop-by-hop jumbo payload option (RFC 2675 section 2).
fn jumbo_length(next: Protocol, span: Span<'_>) -> Option<u32> {
    if next != Protocol::HOPOPT {
        return None;
    }
    let length = (usize::from(span.u8(1)?) + 1) * 8;
    let mut at = 2;
    while at < length {
        match span.u8(at)? {
            0 => at += 1,
            0xc2 if span.u8(at + 1)? == 4 => return span.u32(at + 2),
            _ => at += 2 + usize::from(span.u8(at + 1)?),
        }
    }
    None
}

/// Walks extension headers, of which IPv4 knows only AH, then the transport header.
fn upper(walk: &mut Walk<'_>, protocol: Protocol, span: Span<'_>) {
    let (mut protocol, mut span) = (protocol, span);
    for _ in 0..MAX_EXTENSIONS {
        let length = match protocol {
            Protocol::HOPOPT | Protocol::ROUTING | Protocol::DESTINATION if walk.event.ethertype == 0x86dd => {
                if !walk.need(span, 2, Layer::Network) {
                    return;
                }
                apart_behind(walk, span);
                (usize::from(span.u8(1).unwrap_or(0)) + 1) * 8
            }
            Protocol::FRAGMENT if walk.event.ethertype == 0x86dd => {
                if !walk.need(span, 8, Layer::Network) {
                    return;
                }
                let field = span.u16(2).unwrap_or(0);
                walk.event.datagram_id = span.u32(4).unwrap_or(0);
                let place = FragmentPlace { begin: field & !7, last: field & 1 == 0 };
                if place.begin != 0 {
                    protocol = Protocol(span.u8(0).unwrap_or(0));
                    walk.event.key.protocol = protocol;
                    later_fragment(walk, protocol, span.skip(8), place);
                    return;
                }
                // Without "more" it is an atomic fragment (RFC 6946), which is a whole packet.
                if field & 1 != 0 {
                    let plain = span.wire + 40 == walk.event.network_bytes;
                    walk.note(Notes::FRAGMENT | Notes::when(!plain, Notes::APART));
                    span.rest = Rest::Counted;
                }
                8
            }
            Protocol::AH => {
                if !walk.need(span, 2, Layer::Network) {
                    return;
                }
                apart_behind(walk, span);
                (usize::from(span.u8(1).unwrap_or(0)) + 2) * 4
            }
            _ => {
                transport::transport(walk, protocol, span);
                return;
            }
        };
        if !walk.need(span, length, Layer::Network) {
            return;
        }
        protocol = Protocol(span.u8(0).unwrap_or(0));
        walk.event.key.protocol = protocol;
        span = span.skip(length);
    }
    walk.stop(Layer::Network, true);
}

/// An extension header within a first fragment: later ones name it, not the protocol behind it.
fn apart_behind(walk: &mut Walk<'_>, span: Span<'_>) {
    walk.note(Notes::when(walk.event.notes.contains(Notes::FRAGMENT) && span.is_part(), Notes::APART));
}

/// A fragment without a transport header, whose bytes `span` holds: all of them are payload of its datagram, if the first
/// fragment's header is one that is read here.
fn later_fragment(walk: &mut Walk<'_>, protocol: Protocol, span: Span<'_>, place: FragmentPlace) {
    walk.note(Notes::FRAGMENT | Notes::LATER_FRAGMENT);
    walk.event.detail = Detail::Fragment(place);
    if protocol.has_payload() || protocol.is_extension() {
        walk.event.payload_bytes = span.wire;
    }
}

/// An IP packet quoted in an ICMP error.
pub(super) struct Quote<'a> {
    pub src: Addr,
    pub dst: Addr,
    pub protocol: Protocol,
    /// Empty for later fragments and where the quote ends before it.
    pub payload: Span<'a>,
}

/// Reads the header of a quoted packet; lengths are not held against it, since a quote is cut by its nature.
pub(super) fn quoted(span: Span<'_>) -> Option<Quote<'_>> {
    match span.nibble()? {
        4 => {
            let ip = Ipv4Packet::new(span.bytes)?;
            let header = usize::from(ip.get_header_length()) * 4;
            if header < 20 {
                return None;
            }
            let later = ip.get_fragment_offset() != 0;
            Some(Quote {
                src: Addr::v4(ip.get_source().octets()),
                dst: Addr::v4(ip.get_destination().octets()),
                protocol: Protocol(ip.get_next_level_protocol().0),
                payload: if later { span.clip(0) } else { span.skip(header) },
            })
        }
        6 => {
            let ip = Ipv6Packet::new(span.bytes)?;
            let mut quote = Quote {
                src: Addr::v6(ip.get_source().octets()),
                dst: Addr::v6(ip.get_destination().octets()),
                protocol: Protocol(ip.get_next_header().0),
                payload: span.skip(40),
            };
            for _ in 0..MAX_EXTENSIONS {
                let rest = quote.payload;
                let length = match (quote.protocol, rest.u8(1)) {
                    (Protocol::FRAGMENT, Some(_)) => 8,
                    (Protocol::AH, Some(words)) => (usize::from(words) + 2) * 4,
                    (Protocol::HOPOPT | Protocol::ROUTING | Protocol::DESTINATION, Some(units)) => {
                        (usize::from(units) + 1) * 8
                    }
                    _ => break,
                };
                let later = quote.protocol == Protocol::FRAGMENT && rest.u16(2).is_none_or(|field| field >> 3 != 0);
                quote.protocol = Protocol(rest.u8(0)?);
                quote.payload = if later { rest.clip(0) } else { rest.skip(length) };
                if later {
                    break;
                }
            }
            Some(quote)
        }
        _ => None,
    }
}
