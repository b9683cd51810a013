//! Packets for tests: written by hand, or read from what tcpdump prints, and made into a capture file.

use std::collections::HashMap;
use std::net::IpAddr;

/// One TCP segment.
#[derive(Clone, Debug)]
pub struct Packet {
    pub nanos: u64,
    pub src: (IpAddr, u16),
    pub dst: (IpAddr, u16),
    pub flags: u8,
    pub seq: u32,
    pub ack: u32,
    pub window: u16,
    pub timestamp: Option<(u32, u32)>,
    pub length: u32,
}

/// The link layer of a capture file.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Link {
    Ethernet,
    /// What `tcpdump -i any` writes today.
    LinuxCookedV2,
}

/// Control bits as tcpdump writes them.
pub fn flags(letters: &str) -> u8 {
    let bit = |letter| match letter {
        'F' => 1,
        'S' => 2,
        'R' => 4,
        'P' => 8,
        '.' => 16,
        'U' => 32,
        'E' => 64,
        'W' => 128,
        other => panic!("no flag {other}"),
    };
    letters.chars().map(bit).sum()
}

/// Reads lines as `tcpdump -n -S -tt` prints TCP over IPv4 and IPv6. In a line without `win` the window is 512. Where
/// tcpdump leaves out the sequence number, in segments that carry nothing, it is the sender's next, as the sender or the
/// other end has shown it.
pub fn parse(text: &str) -> Vec<Packet> {
    let mut next = HashMap::new();
    let mut packets: Vec<Packet> = text.lines().filter(|line| !line.trim().is_empty()).map(line).collect();
    for packet in &mut packets {
        if packet.seq == 0 {
            packet.seq = next.get(&(packet.src, packet.dst)).copied().unwrap_or(0);
        }
        let end = packet.seq.wrapping_add(packet.length + u32::from(packet.flags & 3 != 0));
        next.insert((packet.src, packet.dst), end);
        if packet.flags & 16 != 0 {
            next.entry((packet.dst, packet.src)).or_insert(packet.ack);
        }
    }
    packets
}

fn line(text: &str) -> Packet {
    let words: Vec<&str> = text.split_whitespace().map(|word| word.trim_end_matches([',', ':', ']'])).collect();
    let after = |name: &str| words.iter().position(|word| *word == name).map(|place| words[place + 1]);
    let end = |word: &str| {
        let (addr, port) = word.rsplit_once('.').unwrap_or_else(|| panic!("no port in {word}"));
        (addr.parse().unwrap(), port.parse().unwrap())
    };
    let (seconds, micros) = words[0].split_once('.').unwrap();
    let seconds: u64 = seconds.parse().unwrap();
    let nanos: u64 = format!("{micros:0<9}").parse().unwrap();
    let letters = after("Flags").unwrap().trim_start_matches('[');
    let seq = after("seq").map_or(0, |range| range.split(':').next().unwrap().parse().unwrap());
    let timestamp = text.split_once("TS val ").map(|(_, rest)| {
        let mut numbers = rest.split([' ', ',', ']']);
        (numbers.next().unwrap().parse().unwrap(), numbers.nth(1).unwrap().parse().unwrap())
    });
    // Printed with the protocol behind it where tcpdump knows one: `length 91: HTTP`.
    let length = after("length").unwrap().trim_end_matches(':').parse().unwrap();
    Packet {
        nanos: seconds * 1_000_000_000 + nanos,
        src: end(words[2]),
        dst: end(words[4]),
        flags: flags(if letters == "none" { "" } else { letters }),
        seq,
        ack: after("ack").map_or(0, |ack| ack.parse().unwrap()),
        window: after("win").map_or(512, |window| window.parse().unwrap()),
        timestamp,
        length,
    }
}

/// A capture file with nanoseconds of these packets, whole.
pub fn capture(packets: &[Packet], link: Link) -> Vec<u8> {
    let number = if link == Link::Ethernet { 1 } else { 276 };
    let mut file = Vec::new();
    for word in [0xa1b2_3c4du32, 4 << 16 | 2, 0, 0, 262_144, number] {
        file.extend(word.to_le_bytes());
    }
    for (index, packet) in packets.iter().enumerate() {
        let frame = frame(packet, link, index as u16 + 1);
        let (seconds, nanos) = ((packet.nanos / 1_000_000_000) as u32, (packet.nanos % 1_000_000_000) as u32);
        for word in [seconds, nanos, frame.len() as u32, frame.len() as u32] {
            file.extend(word.to_le_bytes());
        }
        file.extend(frame);
    }
    file
}

fn frame(packet: &Packet, link: Link, number: u16) -> Vec<u8> {
    let v6 = packet.src.0.is_ipv6();
    let ethertype: u16 = if v6 { 0x86dd } else { 0x0800 };
    let mut frame = Vec::new();
    match link {
        Link::Ethernet => {
            frame.extend([2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2]);
            frame.extend(ethertype.to_be_bytes());
        }
        Link::LinuxCookedV2 => {
            frame.extend(ethertype.to_be_bytes());
            frame.extend([0, 0, 0, 0, 0, 1, 0, 1, 4, 6, 2, 0, 0, 0, 0, 1, 0, 0]);
        }
    }
    let segment = segment(packet);
    match (packet.src.0, packet.dst.0) {
        (IpAddr::V4(src), IpAddr::V4(dst)) => {
            frame.extend([0x45, 0]);
            frame.extend((20 + segment.len() as u16).to_be_bytes());
            frame.extend(number.to_be_bytes());
            frame.extend([0x40, 0, 64, 6, 0, 0]);
            frame.extend(src.octets());
            frame.extend(dst.octets());
        }
        (IpAddr::V6(src), IpAddr::V6(dst)) => {
            frame.extend([0x60, 0, 0, 0]);
            frame.extend((segment.len() as u16).to_be_bytes());
            frame.extend([6, 64]);
            frame.extend(src.octets());
            frame.extend(dst.octets());
        }
        ends => panic!("{ends:?} are of two families"),
    }
    frame.extend(segment);
    frame
}

fn segment(packet: &Packet) -> Vec<u8> {
    let mut segment = Vec::new();
    segment.extend(packet.src.1.to_be_bytes());
    segment.extend(packet.dst.1.to_be_bytes());
    segment.extend(packet.seq.to_be_bytes());
    segment.extend(packet.ack.to_be_bytes());
    segment.extend([if packet.timestamp.is_some() { 0x80 } else { 0x50 }, packet.flags]);
    segment.extend(packet.window.to_be_bytes());
    segment.extend([0; 4]);
    if let Some((value, echo)) = packet.timestamp {
        segment.extend([1, 1, 8, 10]);
        segment.extend(value.to_be_bytes());
        segment.extend(echo.to_be_bytes());
    }
    segment.resize(segment.len() + packet.length as usize, b'x');
    segment
}
