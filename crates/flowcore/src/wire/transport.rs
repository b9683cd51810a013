//! TCP, UDP, UDP-Lite, SCTP, DCCP, ICMP and ICMPv6 headers.

use super::cursor::{Span, Walk};
use super::{ip, tunnel};
use crate::event::{Detail, IcmpHeader, Layer, Notes, TcpFlags, TcpOptions, TcpSegment, UdpHeader};
use crate::key::{FlowKey, Protocol, icmp_counterpart, icmp6_counterpart};

/// What is wanted of a kind of TCP option.
#[derive(Copy, Clone)]
struct Kind {
    /// Empty: nothing.
    option: TcpOptions,
    /// Its whole length; 0 = any.
    length: u8,
    /// Which bits of the byte behind it are its length: none of one that is a byte alone.
    said: u8,
    /// Its length if none is said.
    alone: u8,
}

/// By number; those not in it are of no concern.
const KINDS: [Kind; 35] = {
    let mut kinds = [OTHER; 35];
    kinds[1] = Kind { said: 0, alone: 1, ..OTHER };
    kinds[2] = Kind { option: TcpOptions::MSS, length: 4, ..OTHER };
    kinds[3] = Kind { option: TcpOptions::WINDOW_SCALE, length: 3, ..OTHER };
    kinds[4] = Kind { option: TcpOptions::SACK_PERMITTED, length: 2, ..OTHER };
    kinds[5] = Kind { option: TcpOptions::SACK, ..OTHER };
    kinds[8] = Kind { option: TcpOptions::TIMESTAMP, length: 10, ..OTHER };
    kinds[30] = Kind { option: TcpOptions::MPTCP, ..OTHER };
    kinds[34] = Kind { option: TcpOptions::FAST_OPEN, ..OTHER };
    kinds
};

/// An option that says its length, and nothing that is wanted.
const OTHER: Kind = Kind { option: TcpOptions::empty(), length: 0, said: 0xff, alone: 0 };

/// Reads TCP options (RFC 9293 section 3.2); what is cut or contradicts itself sets `INCOMPLETE`.
///
/// First where the options are, then what they say. Why not one `match` that does both: which kind comes next no
/// predictor guesses, and a jump to each took 6 wrong guesses a SYN (cachegrind's model); this takes 2.
pub(super) fn options(bytes: &[u8], header: &mut TcpSegment) {
    if let Ok(bytes) = bytes.try_into()
        && usual_syn(bytes, header)
    {
        return;
    }
    // By the bit of their option; what is not wanted goes to the last.
    let mut places = [0; 9];
    let mut found = TcpOptions::empty();
    let mut at = 0;
    while let Some(&number) = bytes.get(at)
        && number != 0
    {
        let kind = KINDS.get(usize::from(number)).unwrap_or(&OTHER);
        let length = bytes.get(at + 1).map_or(0, |length| length & kind.said) | kind.alone;
        if length <= kind.said & 1 || at + usize::from(length) > bytes.len() {
            found |= TcpOptions::INCOMPLETE;
            break;
        }
        let option = if kind.length == 0 || kind.length == length { kind.option } else { TcpOptions::INCOMPLETE };
        found |= option;
        places[option.bits().trailing_zeros() as usize] = at + 2;
        at += usize::from(length);
    }
    let place = |option: TcpOptions| places[option.bits().trailing_zeros() as usize];
    let number = |at: usize| bytes.get(at..at + 4)?.first_chunk().map(|number| u32::from_be_bytes(*number));
    if found.contains(TcpOptions::MSS)
        && let Some(&[a, b]) = bytes.get(place(TcpOptions::MSS)..).and_then(<[u8]>::first_chunk)
    {
        header.mss = u16::from_be_bytes([a, b]);
    }
    if found.contains(TcpOptions::WINDOW_SCALE)
        && let Some(&shift) = bytes.get(place(TcpOptions::WINDOW_SCALE))
    {
        header.window_scale = shift;
    }
    if found.contains(TcpOptions::TIMESTAMP) {
        let at = place(TcpOptions::TIMESTAMP);
        header.timestamp = number(at).zip(number(at + 4)).unwrap_or_default();
    }
    if found.contains(TcpOptions::SACK) {
        let at = place(TcpOptions::SACK);
        let end = at - 2 + usize::from(bytes[at - 1]);
        header.duplicate = duplicate(&bytes[at..end], header.ack);
    }
    header.options |= found;
}

/// Reads the options that Linux and its kin put into every SYN and SYN-ACK: maximum segment size, SACK permitted,
/// timestamps, window scale, twenty bytes in all. `false`, with nothing written, if they are others.
#[inline]
fn usual_syn(bytes: &[u8; 20], header: &mut TcpSegment) -> bool {
    let [2, 4, m0, m1, 4, 2, 8, 10, a, b, c, d, e, f, g, h, 1, 3, 3, shift] = *bytes else { return false };
    header.mss = u16::from_be_bytes([m0, m1]);
    header.timestamp = (u32::from_be_bytes([a, b, c, d]), u32::from_be_bytes([e, f, g, h]));
    header.window_scale = shift;
    header.options |= TcpOptions::MSS | TcpOptions::SACK_PERMITTED | TcpOptions::TIMESTAMP | TcpOptions::WINDOW_SCALE;
    true
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
    if data_offset < 20 || (data_offset > span.wire && !span.is_part()) {
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
        || (claimed > span.wire && !span.is_part())
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
    if header < 12 || (header > span.wire && !span.is_part()) {
        walk.stop(Layer::Transport, true);
    } else {
        walk.event.payload_bytes = span.wire.saturating_sub(header);
        // The header goes on in the next fragment.
        walk.note(Notes::when(header > span.wire, Notes::APART));
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

    /// Option by option, as the RFC tells it.
    fn one_by_one(mut bytes: &[u8], header: &mut TcpSegment) {
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

    #[test]
    fn options_are_what_they_are_one_by_one() {
        let good: [&[u8]; 9] = [
            &[1],
            &[2, 4, 5, 0xb4],
            &[3, 3, 7],
            &[4, 2],
            &[5, 10, 0, 0, 11, 184, 0, 0, 13, 172],
            &[8, 10, 0, 0, 0, 7, 0, 0, 0, 9],
            &[30, 4, 1, 2],
            &[34, 2],
            &[253, 5, 1, 2, 3],
        ];
        let mut state = 0x1234_5678_9abc_def1_u64;
        let mut next = |below: usize| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) as usize % below
        };
        let mut clean = 0;
        for _ in 0..200_000 {
            let mut bytes: Vec<u8> = match next(8) {
                0 => [good[1], good[3], good[5], good[0], good[2]].concat(),
                _ => (0..next(7)).flat_map(|_| good[next(good.len())]).copied().collect(),
            };
            for _ in 0..next(3) {
                // Any byte at a value that means something, or cut.
                let at = next(bytes.len() + 1);
                let byte = next(36) as u8;
                bytes.iter_mut().skip(at).take(1).for_each(|old| *old = byte);
                bytes.truncate(if next(4) == 0 { at } else { bytes.len() });
            }
            let begun = TcpSegment { ack: 4000, ..TcpSegment::default() };
            let (mut ours, mut plain) = (begun, begun);
            options(&bytes, &mut ours);
            one_by_one(&bytes, &mut plain);
            assert_eq!(ours, plain, "{bytes:02x?}");
            clean += usize::from(!ours.options.is_empty() && !ours.options.contains(TcpOptions::INCOMPLETE));
        }
        assert!(clean > 50_000, "few were as they should be: {clean}");
    }

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
