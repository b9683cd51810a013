//! Two other parsers, etherparse (lax) and pnet_packet, asked about the same plain frames.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout, reason = "a test")]

mod support;

use std::path::Path;

use etherparse::{LaxNetSlice, LaxSlicedPacket, TransportSlice};
use flowcore::wire::{self, DecodeOptions, Layers, LinkType};
use flowcore::{Addr, Detail, FlowEvent, Notes, Protocol};
use pnet_packet::Packet;
use pnet_packet::ethernet::{EtherTypes, EthernetPacket};
use pnet_packet::ip::IpNextHeaderProtocols;
use pnet_packet::ipv4::Ipv4Packet;
use pnet_packet::ipv6::Ipv6Packet;
use pnet_packet::tcp::TcpPacket;
use pnet_packet::udp::UdpPacket;

fn decode(frame: &[u8], wire_len: u32) -> FlowEvent {
    let (mut event, mut layers) = (FlowEvent::default(), Layers::default());
    // Neither oracle opens tunnels.
    let options = DecodeOptions { decapsulate: false, ..DecodeOptions::default() };
    wire::decode(LinkType::ETHERNET, frame, wire_len, options, &mut event, &mut layers);
    event
}

/// Ends, protocol, ports, and of TCP the sequence numbers, flags and window.
type Facts = (Addr, Addr, u8, u16, u16, Option<(u32, u32, u16, u16)>);

fn ours(event: &FlowEvent) -> Facts {
    let key = event.key;
    let tcp = match event.detail {
        Detail::Tcp(tcp) => Some((tcp.seq, tcp.ack, tcp.flags.bits() & 0x1ff, tcp.window)),
        _ => None,
    };
    (key.src, key.dst, key.protocol.0, key.src_port, key.dst_port, tcp)
}

fn by_etherparse(frame: &[u8]) -> Option<Facts> {
    let packet = LaxSlicedPacket::from_ethernet(frame).ok()?;
    let (src, dst): (Addr, Addr) = match packet.net? {
        LaxNetSlice::Ipv4(ip) => {
            let header = ip.header();
            (Addr::v4(header.source()), Addr::v4(header.destination()))
        }
        LaxNetSlice::Ipv6(ip) => (Addr::v6(ip.header().source()), Addr::v6(ip.header().destination())),
        LaxNetSlice::Arp(_) => return None,
    };
    match packet.transport? {
        TransportSlice::Tcp(tcp) => {
            let bits =
                [tcp.fin(), tcp.syn(), tcp.rst(), tcp.psh(), tcp.ack(), tcp.urg(), tcp.ece(), tcp.cwr(), tcp.ns()];
            let flags = bits.iter().enumerate().map(|(at, &bit)| u16::from(bit) << at).sum();
            let facts = (tcp.sequence_number(), tcp.acknowledgment_number(), flags, tcp.window_size());
            Some((src, dst, 6, tcp.source_port(), tcp.destination_port(), Some(facts)))
        }
        TransportSlice::Udp(udp) => Some((src, dst, 17, udp.source_port(), udp.destination_port(), None)),
        _ => None,
    }
}

fn by_pnet(frame: &[u8]) -> Option<Facts> {
    let ethernet = EthernetPacket::new(frame)?;
    let (src, dst, protocol, payload) = match ethernet.get_ethertype() {
        EtherTypes::Ipv4 => {
            let ip = Ipv4Packet::new(ethernet.payload())?;
            if ip.get_fragment_offset() != 0 {
                return None;
            }
            let ends = (Addr::v4(ip.get_source().octets()), Addr::v4(ip.get_destination().octets()));
            (ends.0, ends.1, ip.get_next_level_protocol(), ip.payload().to_vec())
        }
        EtherTypes::Ipv6 => {
            let ip = Ipv6Packet::new(ethernet.payload())?;
            let ends = (Addr::v6(ip.get_source().octets()), Addr::v6(ip.get_destination().octets()));
            (ends.0, ends.1, ip.get_next_header(), ip.payload().to_vec())
        }
        _ => return None,
    };
    match protocol {
        IpNextHeaderProtocols::Tcp => {
            let tcp = TcpPacket::new(&payload)?;
            let facts = (tcp.get_sequence(), tcp.get_acknowledgement(), u16::from(tcp.get_flags()), tcp.get_window());
            Some((src, dst, 6, tcp.get_source(), tcp.get_destination(), Some(facts)))
        }
        IpNextHeaderProtocols::Udp => {
            let udp = UdpPacket::new(&payload)?;
            Some((src, dst, 17, udp.get_source(), udp.get_destination(), None))
        }
        _ => None,
    }
}

/// pnet has eight flag bits only.
fn without_ninth(facts: Facts) -> Facts {
    let tcp = facts.5.map(|(seq, ack, flags, window)| (seq, ack, flags & 0xff, window));
    (facts.0, facts.1, facts.2, facts.3, facts.4, tcp)
}

/// Compares one frame and counts the opinions that there were.
fn check(frame: &[u8], wire_len: u32, counts: &mut [u32; 2], name: &str) {
    let event = decode(frame, wire_len);
    // Where we found a fault the others may believe something else; MPLS, PPPoE and LLC they do not follow.
    if event.notes.intersects(Notes::MALFORMED) || !matches!(event.key.protocol, Protocol::TCP | Protocol::UDP) {
        return;
    }
    if let Some(theirs) = by_etherparse(frame) {
        assert_eq!(ours(&event), theirs, "etherparse on {name}");
        counts[0] += 1;
    }
    if let Some(theirs) = by_pnet(frame) {
        assert_eq!(without_ninth(ours(&event)), theirs, "pnet_packet on {name}");
        counts[1] += 1;
    }
}

#[test]
fn handwritten_frames_read_as_the_two_other_parsers_read_them_also_when_damaged() {
    let mut counts = [0; 2];
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    for (name, link, frame) in support::frames::every_kind() {
        if link != 1 {
            continue;
        }
        check(&frame, frame.len() as u32, &mut counts, name);
        // Only behind the lengths: what is done about a wrong length is each parser's own choice.
        for _ in 0..2_000 {
            let mut damaged = frame.clone();
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let at = 26 + (state >> 33) as usize % (damaged.len() - 26);
            damaged[at] = (state >> 24) as u8;
            check(&damaged, damaged.len() as u32, &mut counts, name);
        }
    }
    println!("opinions of etherparse and pnet_packet: {counts:?}");
    assert!(counts[0] > 20_000 && counts[1] > 20_000, "{counts:?}");
}

fn files(dir: &Path, found: &mut Vec<std::path::PathBuf>) {
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() && !path.ends_with("truth") {
            files(&path, found);
        } else if path.is_file() {
            found.push(path);
        }
    }
}

#[test]
fn every_ethernet_frame_of_the_captures_reads_as_the_two_other_parsers_read_it() {
    let Some(root) = support::captures() else { return };
    let (mut paths, mut counts) = (Vec::new(), [0; 2]);
    files(&root, &mut paths);
    for path in paths {
        for (at, record) in support::records(&std::fs::read(&path).unwrap()).iter().enumerate() {
            if record.link == Some(LinkType::ETHERNET) {
                check(&record.frame, record.wire_len, &mut counts, &format!("{}:{}", path.display(), at + 1));
            }
        }
    }
    println!("opinions of etherparse and pnet_packet: {counts:?}");
    assert!(counts[0] > 30_000 && counts[1] > 30_000, "{counts:?}");
}
