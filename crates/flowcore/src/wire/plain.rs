//! The fast path: Ethernet, at most one VLAN tag, IPv4 or IPv6 without extras, TCP or UDP.
//!
//! Why by hand: on plain frames pnet_packet's views cost 1.6 times what these reads do (4.9 against 3.1 ns net of
//! the walk over the file; etherparse's lax slicing 26 ns), and they refuse a TCP header whose options were cut. What
//! is in any way particular is left to the general walk, untouched; a test holds that both agree on every frame that
//! this path takes.

use super::transport::{TcpHeader, options};
use super::{DecodeOptions, Layers, LinkType, tunnel};
use crate::addr::Addr;
use crate::event::{Detail, FlowEvent, Notes, TcpOptions, UdpHeader};
use crate::key::{FlowKey, Protocol};

const TCP: u8 = Protocol::TCP.0;
const UDP: u8 = Protocol::UDP.0;

#[inline(always)]
fn be16(bytes: &[u8], at: usize) -> u16 {
    u16::from_be_bytes([bytes[at], bytes[at + 1]])
}

#[inline(always)]
fn be32(bytes: &[u8; 20], at: usize) -> u32 {
    u32::from_be_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

/// Takes back what [`decode`] may have written before it found that a frame is not plain.
pub(super) fn restore(event: &mut FlowEvent) {
    event.key = FlowKey::NONE;
    event.network_bytes = 0;
    event.datagram_id = 0;
    event.ethertype = 0;
    event.notes = Notes::empty();
}

/// A header with nothing but its options, on its own so that the usual header is never in memory; `None` if there is
/// something wrong with them.
#[inline(never)]
fn other_options(bytes: &[u8]) -> Option<TcpHeader> {
    let mut header = TcpHeader::default();
    options(bytes, &mut header);
    (!header.options.contains(TcpOptions::INCOMPLETE)).then_some(header)
}

/// Decodes a plain frame and says whether `layers` was written; `None` for any other, whose event is then to be
/// [restored](restore). What is read is written at once: kept until all is known to be plain, it would not fit the
/// registers.
#[inline]
pub(super) fn decode(
    link: LinkType,
    frame: &[u8],
    wire_len: u32,
    decode_options: DecodeOptions,
    event: &mut FlowEvent,
    layers: &mut Layers,
) -> Option<bool> {
    if link != LinkType::ETHERNET || (wire_len as usize) < frame.len() {
        return None;
    }
    let (head, mut rest) = frame.split_first_chunk::<14>()?;
    let mut ethertype = be16(head, 12);
    let mut vlan = None;
    if ethertype == 0x8100 {
        let (tag, behind) = rest.split_first_chunk::<4>()?;
        vlan = Some(be16(tag, 0) & 0xfff);
        ethertype = be16(tag, 2);
        rest = behind;
    }
    let wire_rest = wire_len - (frame.len() - rest.len()) as u32;

    let protocol;
    let network_bytes;
    let header_bytes;
    if ethertype == 0x0800 {
        let ip = rest.first_chunk::<20>()?;
        // Version 4 without options; not a fragment (MF and offset zero).
        if ip[0] != 0x45 || be16(ip, 6) & 0x3fff != 0 {
            return None;
        }
        network_bytes = u32::from(be16(ip, 2));
        header_bytes = 20;
        protocol = ip[9];
        event.datagram_id = u32::from(be16(ip, 4));
        event.key.src = Addr::v4([ip[12], ip[13], ip[14], ip[15]]);
        event.key.dst = Addr::v4([ip[16], ip[17], ip[18], ip[19]]);
    } else if ethertype == 0x86dd {
        let ip = rest.first_chunk::<40>()?;
        if ip[0] >> 4 != 6 || be16(ip, 4) == 0 {
            return None;
        }
        network_bytes = u32::from(be16(ip, 4)) + 40;
        header_bytes = 40;
        protocol = ip[6];
        event.key.src = Addr::v6(*ip[8..].first_chunk()?);
        event.key.dst = Addr::v6(*ip[24..].first_chunk()?);
    } else {
        return None;
    }
    if network_bytes > wire_rest {
        return None;
    }
    let captured = rest.len().min(network_bytes as usize);
    let segment = rest.get(header_bytes..captured)?;
    let segment_bytes = network_bytes - header_bytes as u32;
    event.key.protocol = Protocol(protocol);
    event.network_bytes = network_bytes;
    event.ethertype = ethertype;
    event.notes |= Notes::when(wire_rest > network_bytes, Notes::TRAILER)
        | Notes::when(frame.len() < wire_len as usize, Notes::CUT);

    if protocol == TCP {
        let tcp = segment.first_chunk::<20>()?;
        let data_offset = usize::from(tcp[12] >> 4) * 4;
        let option_bytes = segment.get(20..data_offset)?;
        event.key.src_port = be16(tcp, 0);
        event.key.dst_port = be16(tcp, 2);
        let header = match option_bytes {
            [] => TcpHeader::default(),
            // What nearly every segment of a live connection carries: two no-operations and the timestamps.
            [n0, n1, kind, length, v0, v1, v2, v3, e0, e1, e2, e3]
                if u32::from_be_bytes([*n0, *n1, *kind, *length]) == 0x0101_080a =>
            {
                TcpHeader {
                    options: TcpOptions::TIMESTAMP,
                    timestamp: (u32::from_be_bytes([*v0, *v1, *v2, *v3]), u32::from_be_bytes([*e0, *e1, *e2, *e3])),
                    ..TcpHeader::default()
                }
            }
            many => other_options(many)?,
        };
        event.payload_bytes = segment_bytes - data_offset as u32;
        let header =
            TcpHeader { seq: be32(tcp, 4), ack: be32(tcp, 8), flags: be16(tcp, 12), window: be16(tcp, 14), ..header };
        event.detail = Detail::Tcp(header.segment());
    } else if protocol == UDP {
        let udp = segment.first_chunk::<8>()?;
        let (src_port, dst_port) = (be16(udp, 0), be16(udp, 2));
        event.key.src_port = src_port;
        event.key.dst_port = dst_port;
        let length = be16(udp, 4);
        if length < 8 || u32::from(length) > segment_bytes {
            return None;
        }
        if decode_options.decapsulate && tunnel::is_udp_tunnel(src_port, dst_port) {
            return None;
        }
        event.payload_bytes = u32::from(length) - 8;
        event.detail = Detail::Udp(UdpHeader { length, checksum: be16(udp, 6) });
    } else {
        return None;
    }

    Some(match vlan {
        Some(id) => {
            layers.vlans.push(id);
            true
        }
        None => false,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::walk;

    /// Ethernet, a tag or none, IPv4 or IPv6, TCP with options or UDP, five bytes of payload, two of trailer.
    fn frame(tagged: bool, v6: bool, udp: bool, option_bytes: &[u8]) -> Vec<u8> {
        let mut segment = vec![0x9c, 0x40, 0, 80];
        if udp {
            segment.extend([0, 13, 0xab, 0xcd]);
        } else {
            segment.extend([0, 0, 0, 1, 0, 0, 0, 2, (5 + option_bytes.len() as u8 / 4) << 4, 0x18, 2, 0, 0, 0, 0, 0]);
            segment.extend(option_bytes);
        }
        segment.extend(b"hello");
        let protocol = if udp { 17 } else { 6 };
        let mut bytes = vec![2; 12];
        if tagged {
            bytes.extend([0x81, 0, 0x20, 7]);
        }
        let length = segment.len() as u8;
        if v6 {
            bytes.extend([0x86, 0xdd, 0x60, 0, 0, 0, 0, length, protocol, 64]);
            bytes.extend(1..=32);
        } else {
            bytes.extend([
                8,
                0,
                0x45,
                0,
                0,
                length + 20,
                0x12,
                0x34,
                0x40,
                0,
                64,
                protocol,
                0,
                0,
                10,
                0,
                0,
                1,
                10,
                0,
                0,
                2,
            ]);
        }
        bytes.extend(segment);
        bytes.extend([0, 0]);
        bytes
    }

    fn both(frame: &[u8], wire_len: u32) -> Option<FlowEvent> {
        let (mut fast, mut slow) = (FlowEvent::default(), FlowEvent::default());
        let (mut fast_layers, mut slow_layers) = (Layers::default(), Layers::default());
        let options = DecodeOptions::default();
        let taken = decode(LinkType::ETHERNET, frame, wire_len, options, &mut fast, &mut fast_layers);
        let wrote = walk(LinkType::ETHERNET, frame, wire_len, options, &mut slow, &mut slow_layers);
        match taken {
            Some(taken) => {
                assert_eq!((&fast, &fast_layers, taken), (&slow, &slow_layers, wrote), "{frame:02x?} of {wire_len}");
                Some(fast)
            }
            None => {
                assert_eq!((fast, fast_layers), Default::default(), "what is left is left untouched");
                None
            }
        }
    }

    #[test]
    fn plain_frames_are_taken_and_read_as_the_general_walk_reads_them() {
        let stamps: &[u8] = &[1, 1, 8, 10, 0, 0, 0, 7, 0, 0, 0, 9];
        let syn: &[u8] = &[2, 4, 5, 0xb4, 4, 2, 8, 10, 0, 0, 0, 7, 0, 0, 0, 9, 1, 3, 3, 7];
        let mut frames = Vec::new();
        for tagged in [false, true] {
            for v6 in [false, true] {
                frames.push(frame(tagged, v6, true, &[]));
                frames.extend([&[][..], stamps, syn].map(|options| frame(tagged, v6, false, options)));
            }
        }
        let mut state = 0x1234_5678_9abc_def1_u64;
        let mut taken = 0;
        for frame in &frames {
            let event = both(frame, frame.len() as u32).expect("a plain frame");
            assert_eq!((event.key.src_port, event.key.dst_port, event.payload_bytes), (40000, 80, 5));
            assert_eq!(event.notes, Notes::TRAILER);
            for length in 0..frame.len() {
                both(&frame[..length], frame.len() as u32);
                both(&frame[..length], length as u32);
            }
            // Any byte of the headers at any value, one or two at a time.
            for _ in 0..20_000 {
                let mut damaged = frame.clone();
                for _ in 0..2 {
                    state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                    let at = (state >> 33) as usize % damaged.len();
                    damaged[at] = (state >> 24) as u8;
                }
                let extra = (state >> 60) as u32 * 7;
                taken += u32::from(both(&damaged, damaged.len() as u32 + extra).is_some());
            }
        }
        assert!(taken > 100_000, "the fast path was hardly tried: {taken}");
    }
}
