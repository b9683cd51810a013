//! Internet checksums, computed from a packet's bytes: tools that verify them leave packets out that we count.

use flowcore::Protocol;

use crate::capture::Packet;

/// Whether the packet's IPv4 header, TCP, UDP or ICMP checksum is wrong. `None` if it cannot be told: cut, a fragment,
/// or no checksum.
pub fn is_bad(packet: &Packet) -> Option<bool> {
    let (header, payload, pseudo) = innermost(packet)?;
    if header.first()? >> 4 == 4 && sum(header, 0) != 0xffff {
        return Some(true);
    }
    let protocol = packet.event.key.protocol;
    match protocol {
        Protocol::UDP if payload.get(6..8)? == [0, 0] => None,
        Protocol::TCP | Protocol::UDP | Protocol::ICMPV6 => Some(sum(payload, pseudo) != 0xffff),
        Protocol::ICMP => Some(sum(payload, 0) != 0xffff),
        _ => None,
    }
}

/// The innermost IP header with the event's addresses, its payload, and the sum of the pseudo header.
fn innermost(packet: &Packet) -> Option<(&[u8], &[u8], u32)> {
    let (key, frame) = (&packet.event.key, &packet.frame);
    let found = match (key.src.to_v4(), key.dst.to_v4()) {
        (Some(src), Some(dst)) => (0..frame.len().saturating_sub(19)).rev().find_map(|at| {
            let rest = &frame[at..];
            if rest[0] >> 4 != 4 || rest[12..16] != src || rest[16..20] != dst || rest[9] != key.protocol.0 {
                return None;
            }
            let (header, total) = (usize::from(rest[0] & 15) * 4, usize::from(u16::from_be_bytes([rest[2], rest[3]])));
            Some((rest.get(..header)?, rest.get(header..total)?))
        }),
        _ => (0..frame.len().saturating_sub(39)).rev().find_map(|at| {
            let rest = &frame[at..];
            if rest[0] >> 4 != 6
                || rest[8..24] != key.src.octets()[..]
                || rest[24..40] != key.dst.octets()[..]
                || rest[6] != key.protocol.0
            {
                return None;
            }
            let length = usize::from(u16::from_be_bytes([rest[4], rest[5]]));
            Some((rest.get(..40)?, rest.get(40..40 + length)?))
        }),
    };
    let (header, payload) = found?;
    let addresses = if header[0] >> 4 == 4 { &header[12..20] } else { &header[8..40] };
    let pseudo = fold(u32::from(sum(addresses, 0)) + u32::from(key.protocol.0) + payload.len() as u32);
    Some((header, payload, u32::from(pseudo)))
}

/// The one's complement sum (RFC 1071) of `bytes` and what is carried into it.
fn sum(bytes: &[u8], carried: u32) -> u16 {
    let mut total = carried;
    for pair in bytes.chunks(2) {
        total += u32::from(u16::from_be_bytes([pair[0], pair.get(1).copied().unwrap_or(0)]));
    }
    fold(total)
}

fn fold(mut total: u32) -> u16 {
    while total > 0xffff {
        total = (total & 0xffff) + (total >> 16);
    }
    total as u16
}
