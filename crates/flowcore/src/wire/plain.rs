//! The fast path: Ethernet with at most one VLAN tag, Linux cooked or raw IP; IPv4 or IPv6 without extras; TCP or UDP.
//!
//! Why by hand: on plain frames pnet_packet's views cost 1.6 times what these reads do (4.9 against 3.1 ns net of
//! the walk over the file; etherparse's lax slicing 26 ns), and they refuse a TCP header whose options were cut. What
//! is in any way particular is left to the general walk, untouched; a test holds that both agree on every frame that
//! this path takes.

use super::link::has_ethertype;
use super::transport::options;
use super::{DecodeOptions, Layers, LinkType, tunnel};
use crate::addr::Addr;
use crate::event::{Detail, FlowEvent, Layer, Notes, TcpFlags, TcpOptions, TcpSegment, UdpHeader};
use crate::key::{FlowKey, Protocol};

const TCP: u8 = Protocol::TCP.0;
const UDP: u8 = Protocol::UDP.0;

#[inline(always)]
fn be16<const N: usize>(bytes: &[u8; N], at: usize) -> u16 {
    u16::from_be_bytes([bytes[at], bytes[at + 1]])
}

#[inline(always)]
fn be32<const N: usize>(bytes: &[u8; N], at: usize) -> u32 {
    u32::from_be_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

/// Decodes a plain frame of any link type into an event and says whether `layers` was written; `None`, with nothing
/// written, for any other.
pub(super) fn decode(
    link: LinkType,
    frame: &[u8],
    wire_len: u32,
    options: DecodeOptions,
    event: &mut FlowEvent,
    layers: &mut Layers,
) -> Option<bool> {
    if options.headers {
        return None;
    }
    if link != LinkType::ETHERNET {
        return other_links(link, frame, wire_len, options, event).map(|()| false);
    }
    match frame.get(12..14)? {
        [0x81, 0] => tagged(frame, wire_len, options, event, layers).map(|()| true),
        _ => ethernet(frame, wire_len, options, event).then_some(false),
    }
}

/// Decodes a plain untagged Ethernet frame; `false`, with nothing written, for any other.
///
/// A function of its own that calls nothing: in line where frames are found, half of its instructions would move
/// registers out of the way.
#[inline(never)]
pub(super) fn ethernet(frame: &[u8], wire_len: u32, options: DecodeOptions, event: &mut FlowEvent) -> bool {
    let Some((head, packet)) = frame.split_first_chunk::<14>() else { return false };
    let Some(wire_bytes) = wire_len.checked_sub(14) else { return false };
    match u16::from_ne_bytes([head[12], head[13]]) {
        IPV4 => packet4(packet, wire_bytes, options, event).is_some(),
        IPV6 => ethernet6(packet, wire_bytes, options, event),
        _ => false,
    }
}

/// Ethertypes as the machine reads them.
const IPV4: u16 = 0x0800_u16.to_be();
const IPV6: u16 = 0x86dd_u16.to_be();

#[inline(never)]
fn ethernet6(packet: &[u8], wire_bytes: u32, options: DecodeOptions, event: &mut FlowEvent) -> bool {
    packet6(packet, wire_bytes, options, event).is_some()
}

/// Ethernet with one VLAN tag.
fn tagged(
    frame: &[u8],
    wire_len: u32,
    options: DecodeOptions,
    event: &mut FlowEvent,
    layers: &mut Layers,
) -> Option<()> {
    let (head, packet) = frame.split_first_chunk::<18>()?;
    let wire_bytes = wire_len.checked_sub(18)?;
    match be16(head, 16) {
        0x0800 => packet4(packet, wire_bytes, options, event)?,
        0x86dd => packet6(packet, wire_bytes, options, event)?,
        _ => return None,
    }
    layers.vlans.push(be16(head, 14) & 0xfff);
    Some(())
}

/// The link types of `tcpdump -i any` and of tunnel devices.
fn other_links(
    link: LinkType,
    frame: &[u8],
    wire_len: u32,
    options: DecodeOptions,
    event: &mut FlowEvent,
) -> Option<()> {
    let (ethertype, packet, hardware) = match link {
        LinkType::LINUX_SLL => {
            let (head, rest) = frame.split_first_chunk::<16>()?;
            (be16(head, 14), rest, be16(head, 2))
        }
        LinkType::LINUX_SLL2 => {
            let (head, rest) = frame.split_first_chunk::<20>()?;
            (be16(head, 0), rest, be16(head, 8))
        }
        LinkType::RAW => (if frame.first()? >> 4 == 4 { 0x0800 } else { 0x86dd }, frame, 0),
        _ => return None,
    };
    if !has_ethertype(hardware) {
        return None;
    }
    let wire_bytes = wire_len.checked_sub((frame.len() - packet.len()) as u32)?;
    match ethertype {
        0x0800 => packet4(packet, wire_bytes, options, event)?,
        0x86dd => packet6(packet, wire_bytes, options, event)?,
        _ => return None,
    }
    if link == LinkType::LINUX_SLL2 {
        event.interface = u16::from_be_bytes([frame[6], frame[7]]);
    }
    Some(())
}

/// What an IP header says. The two versions go separate ways to the end, each with its own copy of [`finish`]: merged
/// before, their sixteen-byte addresses were put together byte by byte (220 instructions a frame against 131).
struct Ip {
    src: Addr,
    dst: Addr,
    protocol: u8,
    ethertype: u16,
    header_bytes: u32,
    /// Header and payload, by the length field.
    network_bytes: u32,
    datagram_id: u32,
    notes: Notes,
}

/// What the two bits of explicit congestion notification say (RFC 3168 section 5).
fn congestion(bits: u8) -> Notes {
    Notes::when(bits & 3 == 3, Notes::CONGESTED)
}

#[inline(always)]
fn packet4(packet: &[u8], wire_bytes: u32, options: DecodeOptions, event: &mut FlowEvent) -> Option<()> {
    let (head, segment) = packet.split_first_chunk::<20>()?;
    // Version 4 without options; not a fragment (MF and offset zero).
    if head[0] != 0x45 || u16::from_ne_bytes([head[6], head[7]]) & NOT_FRAGMENT != 0 {
        return None;
    }
    let ip = Ip {
        src: Addr::v4([head[12], head[13], head[14], head[15]]),
        dst: Addr::v4([head[16], head[17], head[18], head[19]]),
        protocol: head[9],
        ethertype: 0x0800,
        header_bytes: 20,
        network_bytes: u32::from(be16(head, 2)),
        datagram_id: u32::from(be16(head, 4)),
        notes: congestion(head[1]),
    };
    finish(ip, segment, wire_bytes, options, event)
}

/// What must be zero in the flags and offset of a whole IPv4 datagram, as the machine reads it.
const NOT_FRAGMENT: u16 = u16::from_ne_bytes([0x3f, 0xff]);

#[inline(always)]
fn packet6(packet: &[u8], wire_bytes: u32, options: DecodeOptions, event: &mut FlowEvent) -> Option<()> {
    let (head, segment) = packet.split_first_chunk::<40>()?;
    let payload = be16(head, 4);
    if head[0] >> 4 != 6 || payload == 0 {
        return None;
    }
    let ip = Ip {
        src: Addr::v6(*head[8..].first_chunk()?),
        dst: Addr::v6(*head[24..].first_chunk()?),
        protocol: head[6],
        ethertype: 0x86dd,
        header_bytes: 40,
        network_bytes: u32::from(payload) + 40,
        datagram_id: 0,
        // The traffic class lies across the first two bytes.
        notes: congestion(head[1] >> 4),
    };
    finish(ip, segment, wire_bytes, options, event)
}

/// Checks the lengths, reads the transport header, and only then hands it on. `segment` is what was captured behind the
/// IP header, a trailer included; `wire_bytes` counts from the IP header.
#[inline(always)]
fn finish(ip: Ip, segment: &[u8], wire_bytes: u32, options: DecodeOptions, event: &mut FlowEvent) -> Option<()> {
    if ip.network_bytes > wire_bytes {
        return None;
    }
    let segment_bytes = ip.network_bytes.checked_sub(ip.header_bytes)?;
    let captured = segment.len() as u32 + ip.header_bytes;
    if captured > wire_bytes {
        // Not as the caller promised: for the general walk.
        return None;
    }
    if ip.protocol == TCP {
        let (tcp, behind) = segment.split_first_chunk::<20>()?;
        let data_offset = u32::from(tcp[12] >> 4) * 4;
        let payload_bytes = segment_bytes.checked_sub(data_offset)?;
        let option_bytes = behind.get(..(data_offset as usize).checked_sub(20)?)?;
        event.payload_bytes = payload_bytes;
        let stamps = lone_stamps(option_bytes);
        event.detail = Detail::Tcp(TcpSegment {
            seq: be32(tcp, 4),
            ack: be32(tcp, 8),
            timestamp: (be32(stamps, 4), be32(stamps, 8)),
            flags: TcpFlags::from_bits_truncate(be16(tcp, 12) & 0xfff),
            window: be16(tcp, 14),
            options: TcpOptions::from_bits_retain(stamps[2] << STAMPS_ABOVE_KIND),
            ..TcpSegment::default()
        });
        finish_event(&ip, tcp.first_chunk()?, wire_bytes, captured, event);
        if !option_bytes.is_empty() & (stamps[2] == 0) {
            other_options(option_bytes, event);
        }
        Some(())
    } else if ip.protocol == UDP {
        let udp = segment.first_chunk::<8>()?;
        let length = be16(udp, 4);
        if length < 8 || u32::from(length) > segment_bytes {
            return None;
        }
        if options.decapsulate && tunnel::is_udp_tunnel(be16(udp, 0), be16(udp, 2)) {
            return None;
        }
        event.payload_bytes = u32::from(length) - 8;
        event.detail = Detail::Udp(UdpHeader { length, checksum: be16(udp, 6) });
        finish_event(&ip, udp.first_chunk()?, wire_bytes, captured, event);
        Some(())
    } else {
        None
    }
}

/// Writes what both transports have.
#[inline(always)]
fn finish_event(ip: &Ip, ports: &[u8; 4], wire_bytes: u32, captured: u32, event: &mut FlowEvent) {
    event.key = FlowKey {
        src: ip.src,
        dst: ip.dst,
        src_port: be16(ports, 0),
        dst_port: be16(ports, 2),
        zone: 0,
        protocol: Protocol(ip.protocol),
        reserved: 0,
    };
    event.network_bytes = ip.network_bytes;
    event.datagram_id = ip.datagram_id;
    event.ethertype = ip.ethertype;
    event.notes |= ip.notes
        | Notes::when(wire_bytes > ip.network_bytes, Notes::TRAILER)
        | Notes::when(captured < wire_bytes, Notes::CUT);
}

/// The option bytes of nearly every segment of a live connection that has some: two no-operations and the timestamps;
/// twelve zeros for any others, and for none.
///
/// A choice between two places, so that no branch asks it of every segment: whether a connection has timestamps is
/// nothing that its neighbours in the capture tell, and a wrong guess costs more than the reading.
#[inline(always)]
fn lone_stamps(bytes: &[u8]) -> &[u8; 12] {
    const NONE: [u8; 12] = [0; 12];
    let at = bytes.first_chunk().unwrap_or(&NONE);
    if (bytes.len() == 12) & (be32(at, 0) == 0x0101_080a) { at } else { &NONE }
}

/// By how much the bit of timestamps among the options found lies above their kind: it comes from the bytes themselves,
/// for what comes from the condition makes a branch of the choice again.
const STAMPS_ABOVE_KIND: u32 = 1;
const _: () = assert!(8 << STAMPS_ABOVE_KIND == TcpOptions::TIMESTAMP.bits());

/// Reads the options into the segment that is in the event already: kept in registers until here, the segment would
/// cost the way without options.
#[cold]
#[inline(never)]
fn other_options(bytes: &[u8], event: &mut FlowEvent) {
    let Detail::Tcp(segment) = &mut event.detail else { return };
    options(bytes, segment);
    if segment.options.contains(TcpOptions::INCOMPLETE) {
        event.notes |= Notes::MALFORMED;
        event.stopped = Layer::Transport;
    }
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

    /// The same behind the other link headers of the fast path.
    fn relinked(ethernet: &[u8]) -> Vec<(LinkType, Vec<u8>)> {
        let (ethertype, packet) = (&ethernet[12..14], &ethernet[14..]);
        let sll = [&[0, 0, 0, 1, 0, 6, 1, 2, 3, 4, 5, 6, 0, 0], ethertype, packet].concat();
        let sll2 = [ethertype, &[0, 0, 0, 0, 1, 3, 0, 1, 0, 6, 1, 2, 3, 4, 5, 6, 0, 0], packet].concat();
        vec![
            (LinkType::LINUX_SLL, sll),
            (LinkType::LINUX_SLL2, sll2),
            (LinkType::RAW, packet.to_vec()),
            (LinkType::ETHERNET, ethernet.to_vec()),
        ]
    }

    fn both(link: LinkType, frame: &[u8], wire_len: u32) -> Option<FlowEvent> {
        let (mut fast, mut slow) = (FlowEvent::default(), FlowEvent::default());
        let (mut fast_layers, mut slow_layers) = (Layers::default(), Layers::default());
        let options = DecodeOptions::default();
        let taken = decode(link, frame, wire_len, options, &mut fast, &mut fast_layers);
        let wrote = walk(link, frame, wire_len, options, &mut slow, &mut slow_layers);
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
                let mut plain = vec![frame(tagged, v6, true, &[])];
                plain.extend([&[][..], stamps, syn].map(|options| frame(tagged, v6, false, options)));
                for frame in plain {
                    frames.extend(if tagged { vec![(LinkType::ETHERNET, frame)] } else { relinked(&frame) });
                }
            }
        }
        let mut state = 0x1234_5678_9abc_def1_u64;
        let mut taken = 0;
        for (link, frame) in &frames {
            let event = both(*link, frame, frame.len() as u32).expect("a plain frame");
            assert_eq!((event.key.src_port, event.key.dst_port, event.payload_bytes), (40000, 80, 5));
            assert_eq!(event.notes, Notes::TRAILER);
            for length in 0..frame.len() {
                both(*link, &frame[..length], frame.len() as u32);
                both(*link, &frame[..length], length as u32);
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
                taken += u32::from(both(*link, &damaged, damaged.len() as u32 + extra).is_some());
            }
        }
        assert!(taken > 100_000, "the fast path was hardly tried: {taken}");
    }
}
