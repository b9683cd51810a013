//! TCP, UDP, UDP-Lite, SCTP, DCCP, ICMP and ICMPv6 headers.

use super::cursor::{Span, Walk};
use super::{ip, tunnel};
use crate::event::{Detail, IcmpHeader, Layer, Notes, TcpFlags, TcpOptions, TcpSegment, UdpHeader};
use crate::key::{FlowKey, Protocol, icmp_counterpart, icmp6_counterpart};

/// Reads TCP options (RFC 9293 section 3.2); what is cut or contradicts itself sets `INCOMPLETE`.
pub(super) fn options(mut bytes: &[u8], header: &mut TcpSegment) {
    while let Some((&kind, rest)) = bytes.split_first() {
        match kind {
            0 => return,
            1 => {
                bytes = rest;
                continue;
            }
            _ => {}
        }
        let body = rest.split_first().and_then(|(&length, _)| bytes.get(2..usize::from(length)));
        let Some(body) = body else {
            header.options |= TcpOptions::INCOMPLETE;
            return;
        };
        bytes = &bytes[body.len() + 2..];
        header.options |= match (kind, body) {
            (2, &[a, b]) => {
                header.mss = u16::from_be_bytes([a, b]);
                TcpOptions::MSS
            }
            (3, &[shift]) => {
                header.window_scale = shift;
                TcpOptions::WINDOW_SCALE
            }
            (4, []) => TcpOptions::SACK_PERMITTED,
            (5, blocks) => {
                header.duplicate = duplicate(blocks, header.ack);
                TcpOptions::SACK
            }
            (8, &[a, b, c, d, e, f, g, h]) => {
                header.timestamp = (u32::from_be_bytes([a, b, c, d]), u32::from_be_bytes([e, f, g, h]));
                TcpOptions::TIMESTAMP
            }
            (30, _) => TcpOptions::MPTCP,
            (34, _) => TcpOptions::FAST_OPEN,
            (2 | 3 | 4 | 8, _) => TcpOptions::INCOMPLETE,
            _ => TcpOptions::empty(),
        };
    }
}

/// Where the duplicate begins that the first SACK block reports, relative to `ack`; 0 if it reports none.
///
/// RFC 2883 section 4: the first block lies below the cumulative acknowledgment, or within the second block.
fn duplicate(blocks: &[u8], ack: u32) -> i32 {
    let edges = |block: usize| {
        let edge = |at| blocks.get(at..at + 4)?.first_chunk().map(|edge| u32::from_be_bytes(*edge));
        Some((edge(block * 8)?.wrapping_sub(ack) as i32, edge(block * 8 + 4)?.wrapping_sub(ack) as i32))
    };
    match (edges(0), edges(1)) {
        (Some((left, right)), _) if left < 0 && left < right => left,
        (Some((left, right)), Some((from, to))) if from <= left && left < right && right <= to => left,
        _ => 0,
    }
}

/// Whether [`transport`] finds the payload of `protocol`.
pub(super) fn has_payload(protocol: Protocol) -> bool {
    matches!(
        protocol,
        Protocol::TCP
            | Protocol::UDP
            | Protocol::UDP_LITE
            | Protocol::SCTP
            | Protocol::DCCP
            | Protocol::ICMP
            | Protocol::ICMPV6
    )
}

/// Reads the transport header of `protocol`; addresses and protocol are in the event's key already.
pub(super) fn transport(walk: &mut Walk<'_>, protocol: Protocol, span: Span<'_>) {
    match protocol {
        Protocol::TCP => tcp(walk, span),
        Protocol::UDP | Protocol::UDP_LITE => udp(walk, protocol, span),
        Protocol::SCTP => sctp(walk, span),
        Protocol::DCCP => dccp(walk, span),
        Protocol::ICMP | Protocol::ICMPV6 => icmp(walk, protocol, span),
        Protocol::ESP => walk.note(Notes::ENCRYPTED),
        Protocol::IPIP | Protocol::IPV6 => tunnel::ip_in_ip(walk, protocol, span),
        Protocol::GRE => tunnel::gre(walk, span),
        _ => {}
    }
}

/// The two ports that most transports begin with.
fn ports(walk: &mut Walk<'_>, span: Span<'_>) -> bool {
    let (Some(src), Some(dst)) = (span.u16(0), span.u16(2)) else {
        return walk.need(span, 4, Layer::Transport);
    };
    walk.event.key.src_port = src;
    walk.event.key.dst_port = dst;
    true
}

fn tcp(walk: &mut Walk<'_>, span: Span<'_>) {
    if !ports(walk, span) {
        return;
    }
    // Whatever the snap length left is read, field by field; a header view would refuse all of it.
    let whole = walk.need(span, 20, Layer::Transport);
    let (Some(seq), Some(ack), Some(flags)) = (span.u32(4), span.u32(8), span.u16(12)) else { return };
    let mut header = TcpSegment {
        seq,
        ack,
        flags: TcpFlags::from_bits_truncate(flags & 0xfff),
        window: span.u16(14).unwrap_or(0),
        ..TcpSegment::default()
    };
    if !whole {
        header.options |= TcpOptions::INCOMPLETE;
    }
    let data_offset = u32::from(flags >> 12) * 4;
    if data_offset < 20 || (data_offset > span.wire && !span.fragment) {
        walk.stop(Layer::Transport, true);
    } else {
        walk.event.payload_bytes = span.wire.saturating_sub(data_offset);
        if whole {
            let cut = span.bytes.len() < data_offset as usize;
            options(span.clip(data_offset).skip(20).bytes, &mut header);
            if cut {
                header.options |= TcpOptions::INCOMPLETE;
                walk.stop(Layer::Transport, false);
            } else if header.options.contains(TcpOptions::INCOMPLETE) {
                walk.stop(Layer::Transport, true);
            }
        }
    }
    if !whole {
        header.options |= TcpOptions::INCOMPLETE;
    }
    walk.event.detail = Detail::Tcp(header);
}

fn udp(walk: &mut Walk<'_>, protocol: Protocol, span: Span<'_>) {
    if !ports(walk, span) || !walk.need(span, 8, Layer::Transport) {
        return;
    }
    let (Some(length), Some(checksum)) = (span.u16(4), span.u16(6)) else { return };
    walk.event.detail = Detail::Udp(UdpHeader { length, checksum });
    // UDP-Lite has its checksum coverage there (RFC 3828), a jumbogram zero (RFC 2675).
    let claimed = if protocol == Protocol::UDP_LITE || length == 0 { span.wire } else { u32::from(length) };
    let contradicts = claimed < 8
        || (claimed > span.wire && !span.fragment)
        || (length == 0 && protocol == Protocol::UDP && span.wire <= 0xffff && !walk.offloaded());
    if contradicts {
        walk.stop(Layer::Transport, true);
    }
    walk.event.payload_bytes = claimed.min(span.wire).saturating_sub(8);
    if !contradicts && protocol == Protocol::UDP {
        tunnel::udp(walk, span.clip(claimed).skip(8));
    }
}

fn sctp(walk: &mut Walk<'_>, span: Span<'_>) {
    if ports(walk, span) {
        walk.need(span, 12, Layer::Transport);
        walk.event.payload_bytes = span.wire.saturating_sub(12);
    }
}

fn dccp(walk: &mut Walk<'_>, span: Span<'_>) {
    if !ports(walk, span) || !walk.need(span, 12, Layer::Transport) {
        return;
    }
    let header = u32::from(span.u8(4).unwrap_or(0)) * 4;
    if header < 12 || (header > span.wire && !span.fragment) {
        walk.stop(Layer::Transport, true);
    } else {
        walk.event.payload_bytes = span.wire.saturating_sub(header);
    }
}

/// The ports that stand for an ICMP message in a key.
fn icmp_ports(protocol: Protocol, kind: u8, code: u8) -> (u16, u16) {
    let kind = u16::from(kind);
    let answer = if protocol == Protocol::ICMP { icmp_counterpart(kind) } else { icmp6_counterpart(kind) };
    (kind, answer.unwrap_or(u16::from(code)))
}

fn icmp(walk: &mut Walk<'_>, protocol: Protocol, span: Span<'_>) {
    let (Some(kind), Some(code)) = (span.u8(0), span.u8(1)) else {
        walk.need(span, 2, Layer::Transport);
        return;
    };
    let (src_port, dst_port) = icmp_ports(protocol, kind, code);
    walk.event.key.src_port = src_port;
    walk.event.key.dst_port = dst_port;
    let (echo, error) = if protocol == Protocol::ICMP {
        // Echo, timestamp, information, address mask share the layout; errors quote (RFC 792).
        (matches!(kind, 0 | 8 | 13..=18), matches!(kind, 3 | 4 | 5 | 11 | 12))
    } else {
        (matches!(kind, 128 | 129), matches!(kind, 1..=4))
    };
    let (identifier, sequence) = if echo { (span.u16(4), span.u16(6)) } else { (None, None) };
    walk.event.detail = Detail::Icmp(IcmpHeader { kind, code, identifier, sequence });
    walk.event.payload_bytes = span.wire.saturating_sub(8);
    if (!walk.need(span, 8, Layer::Transport)) || !error {
        return;
    }
    if let Some(key) = quoted(span.skip(8)) {
        walk.layers.quoted = Some(key);
        walk.wrote = true;
        walk.note(Notes::QUOTES);
    }
}

/// The key of the packet that an ICMP error quotes, as far as it is there; `None` if its addresses are not.
///
/// Routers quote what they please (RFC 792: eight bytes behind the header; RFC 1812: more), so nothing here is an error.
fn quoted(span: Span<'_>) -> Option<FlowKey> {
    let quote = ip::quoted(span)?;
    let mut key = FlowKey { src: quote.src, dst: quote.dst, protocol: quote.protocol, ..FlowKey::NONE };
    let (first, second) = match quote.protocol {
        Protocol::ICMP | Protocol::ICMPV6 => {
            let [kind, code] = quote.payload.array(0).unwrap_or_default();
            if quote.payload.bytes.len() < 2 { (0, 0) } else { icmp_ports(quote.protocol, kind, code) }
        }
        protocol if protocol.has_ports() => match (quote.payload.u16(0), quote.payload.u16(2)) {
            (Some(src), Some(dst)) => (src, dst),
            _ => (0, 0),
        },
        _ => (0, 0),
    };
    key.src_port = first;
    key.dst_port = second;
    Some(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_sack_block_may_report_a_duplicate() {
        let read = |blocks: &[(u32, u32)]| {
            let mut option = vec![5, 2 + 8 * blocks.len() as u8];
            option.extend(blocks.iter().flat_map(|(left, right)| [left.to_be_bytes(), right.to_be_bytes()].concat()));
            let mut header = TcpSegment { ack: 4000, ..TcpSegment::default() };
            options(&option, &mut header);
            assert_eq!(header.options, TcpOptions::SACK);
            header.duplicate
        };
        // The examples of RFC 2883 sections 4.1 and 4.2, and an ordinary block.
        assert_eq!(read(&[(3000, 3500)]), -1000);
        assert_eq!(read(&[(5000, 5500), (4500, 6000)]), 1000);
        assert_eq!(read(&[(4500, 5000)]), 0);
        assert_eq!(read(&[(4500, 5000), (6000, 6500)]), 0);
        assert_eq!(read(&[]), 0);
    }
}
