//! Classic BPF programs, run by an interpreter over every frame of the public captures: they never lose a frame that the
//! exact filter passes, and decide plain frames as it does. The kernel runs them too, and finds the same.
#![allow(clippy::unwrap_used, reason = "a test")]

#[path = "../../flowcore/tests/support/captures.rs"]
mod captures;
mod namespace;
#[allow(dead_code, reason = "each test takes its part")]
mod random;

use std::fs;
use std::io::{ErrorKind, Read, Write};
use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use flowcore::resolve::Numeric;
use flowcore::wire::{DecodeOptions, Layers, LinkType};
use flowcore::{FlowEvent, Frames, Layer, Notes, Resolver, Status};
use flowfilter::field::Pair;
use flowfilter::kernel::cbpf::{Instruction, program};
use flowfilter::{Field, Filter, Predicate};
use flowsrc_pcap::Reader;
use namespace::in_a_namespace;
use random::{Random, expr_of, test_of};
use socket2::{Domain, SockFilter, SockRef, Socket, Type};

/// What a program returns for a frame; a load beyond the frame ends it with 0 (as in Linux's `bpf_prog_run`).
fn run(program: &[Instruction], frame: &[u8]) -> u32 {
    let load = |at: usize, bytes: usize| -> Option<u32> {
        let bytes = frame.get(at..at + bytes)?;
        Some(bytes.iter().fold(0, |sum, &byte| sum << 8 | u32::from(byte)))
    };
    let (mut a, mut x, mut at) = (0_u32, 0_u32, 0);
    loop {
        let Instruction { code, jt, jf, k } = program[at];
        at += 1;
        let loaded = match code {
            0x20 => load(k as usize, 4),
            0x28 => load(k as usize, 2),
            0x30 => load(k as usize, 1),
            0x48 => load((x + k) as usize, 2),
            0x50 => load((x + k) as usize, 1),
            0x80 => Some(frame.len() as u32),
            0xb1 => load(k as usize, 1),
            _ => Some(a),
        };
        let Some(loaded) = loaded else { return 0 };
        match code {
            0x20 | 0x28 | 0x30 | 0x48 | 0x50 | 0x80 => a = loaded,
            0xb1 => x = (loaded & 15) * 4,
            0x54 => a &= k,
            0x1c => a = a.wrapping_sub(x),
            0x05 => at += k as usize,
            0x15 => at += usize::from(if a == k { jt } else { jf }),
            0x25 => at += usize::from(if a > k { jt } else { jf }),
            0x35 => at += usize::from(if a >= k { jt } else { jf }),
            0x2d => at += usize::from(if a > x { jt } else { jf }),
            0x06 => return k,
            other => panic!("no instruction {other:#x}"),
        }
    }
}

const FILTERS: [&str; 31] = [
    "tcp",
    "not tcp",
    "udp and port 53",
    "not port 53",
    "ip",
    "ip6",
    "not ip and not ip6",
    "icmp or icmp6",
    "icmptype 8 or icmptype 128",
    "syn and not ack",
    "flags S/SA or fin or rst",
    "not syn",
    "src 10.0.0.0/8",
    "not src 10.0.0.0/8",
    "addr 192.168.0.0/16 and dst != 192.168.1.1",
    "src fe80::/10 or dst ff02::/16",
    "not addr 2000::/3",
    "src {10.0.0.1, 10.0.0.9, 2001:db8::/32, 172.16.0.0/12}",
    "sport 1024:65535 and dport 0:1023",
    "port {80, 443, 8000:8100}",
    "port != 80",
    "not (port != 80)",
    "len > 1000",
    "len <= 64 and arp",
    "tcp and (port 80 or vlan 5)",
    "not (tcp and vlan)",
    "tcp or ttl 64",
    "sctp or proto 89",
    "tcp and dst 10.0.0.0/8 or udp and src 192.168.0.0/16",
    "ethertype 0x86dd or lldp",
    "none",
];

#[test]
fn programs_never_lose_a_frame_and_decide_plain_ones() {
    let mut files: Vec<PathBuf> = vec![PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../captures/web.pcapng.zst")];
    if let Some(folder) = captures::captures("MANIFEST.tsv") {
        let manifest = fs::read_to_string(folder.join("MANIFEST.tsv")).unwrap();
        let named = manifest.lines().map(|line| folder.join(line.split('\t').next().unwrap()));
        files.extend(named.filter(|path| path.is_file()));
    }
    let names: Arc<dyn Resolver> = Arc::new(Numeric);
    let filters: Vec<(Filter, Predicate<FlowEvent>)> = FILTERS
        .iter()
        .map(|text| Filter::parse(text).unwrap())
        .map(|filter| (filter.clone(), filter.bind(&names).unwrap()))
        .collect();
    let links = [LinkType::ETHERNET, LinkType::LINUX_SLL, LinkType::RAW];
    let programs: Vec<Vec<_>> =
        links.iter().map(|&link| filters.iter().map(|(filter, _)| program(filter.expr(), link)).collect()).collect();
    let options = DecodeOptions { headers: true, ..DecodeOptions::default() };
    let (mut decided, mut passed) = (0_u64, 0_u64);
    for path in files {
        let Ok(mut reader) = Reader::open(&path) else { continue };
        let mut packets = Vec::new();
        loop {
            let Ok(status) = reader.read_batch(512, &mut packets) else { break };
            for packet in packets.drain(..) {
                let frame = packet.bytes(reader.window());
                let Some(link) = links.iter().position(|&link| link == packet.link) else { continue };
                if frame.len() != packet.wire as usize {
                    continue;
                }
                let mut layers = [Layers::default()];
                let mut event =
                    FlowEvent { bytes: u64::from(packet.wire), packets: 1, layers: 1, ..FlowEvent::default() };
                flowcore::wire::decode(packet.link, frame, packet.wire, options, &mut event, &mut layers[0]);
                let headers = std::mem::take(&mut layers[0].headers);
                let is_plain = layers[0] == Layers::default()
                    && event.stopped == Layer::None
                    && !event.notes.intersects(Notes::FRAGMENT | Notes::OFFLOADED)
                    && matches!(event.key.protocol.0, 6 | 17)
                    // Nothing between: the IP header itself names the protocol.
                    && frame.get([14, 16, 0][link] + if event.ethertype == 0x86dd { 6 } else { 9 })
                        == Some(&event.key.protocol.0);
                layers[0].headers = headers;
                let frames = Frames::new(&[], &layers);
                for ((filter, exact), program) in filters.iter().zip(&programs[link]) {
                    let Some(program) = program else { continue };
                    let (exact, kernel) = (exact.matches(&event, &frames), run(program, frame) != 0);
                    assert!(kernel || !exact, "{}: the program of `{filter}` loses {event:?}", path.display());
                    let is_known = !filter.fields().contains(flowfilter::Field::Vlan)
                        && !filter.fields().contains(flowfilter::Field::Ttl);
                    if is_plain && is_known {
                        let tunnel = [2152, 3544, 4789, 4790, 5072, 6081, 8472];
                        let maybe = event.key.protocol.0 == 17
                            && (tunnel.contains(&event.key.src_port) || tunnel.contains(&event.key.dst_port));
                        assert!(
                            kernel == exact || maybe,
                            "{}: `{filter}` is not decided for {event:?}",
                            path.display()
                        );
                        decided += 1;
                    }
                    passed += u64::from(kernel);
                }
            }
            if status == Status::End {
                break;
            }
        }
    }
    assert!(decided > 1_000 && passed > 100, "{decided} {passed}");
}

#[test]
fn what_a_kernel_cannot_help_with_has_no_program() {
    let made = |text: &str, link| program(Filter::parse(text).unwrap().expr(), link);
    assert_eq!(made("vlan 5", LinkType::ETHERNET), None);
    assert_eq!(made("tcp or vlan 5", LinkType::ETHERNET), None);
    assert_eq!(made("all", LinkType::ETHERNET), None);
    assert_eq!(made("tcp", LinkType::IEEE802_11), None);
    assert!(made("tcp and vlan 5", LinkType::ETHERNET).is_some());
}

/// A program as the sockets take it.
fn attached(program: &[Instruction]) -> Vec<SockFilter> {
    program.iter().map(|one| SockFilter::new(one.code, one.jt, one.jf, one.k)).collect()
}

/// Frames of a capture, each also with some of its bytes changed and cut.
fn frames(random: &mut Random) -> Vec<Vec<u8>> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../captures/web.pcapng.zst");
    let mut reader = Reader::open(&path).unwrap();
    let (mut packets, mut frames) = (Vec::new(), Vec::new());
    while reader.read_batch(512, &mut packets).unwrap() != Status::End {
        for packet in packets.drain(..) {
            let frame = packet.bytes(reader.window()).to_vec();
            for _ in 0..3 {
                frames.push(changed(random, frame.clone()));
            }
            frames.push(frame);
        }
    }
    frames
}

fn changed(random: &mut Random, mut frame: Vec<u8>) -> Vec<u8> {
    for _ in 0..1 + random.below(3) {
        let at = random.below(frame.len().min(80));
        frame[at] = random.one(&[0, 1, 4, 6, 17, 0x40, 0x45, 0x46, 0x60, 0x80, 58, 80, 0xff]);
    }
    if random.chance(3) {
        frame.truncate(1 + random.below(frame.len()));
    }
    frame
}

#[test]
fn the_kernel_runs_programs_as_the_interpreter_does() {
    let mut random = Random(3);
    let names: Arc<dyn Resolver> = Arc::new(Numeric);
    let fields = [
        Field::Version,
        Field::Proto,
        Field::SrcAddr,
        Field::DstAddr,
        Field::SrcPort,
        Field::DstPort,
        Field::IcmpType,
        Field::IcmpCode,
        Field::TcpFlags,
        Field::Length,
        Field::Ethertype,
        Field::Ttl,
        Field::Vlan,
    ];
    let frames = frames(&mut random);
    let (ours, kernels) = UnixDatagram::pair().unwrap();
    kernels.set_nonblocking(true).unwrap();
    let (mut made, mut passed, mut dropped) = (0, 0, 0);
    for _ in 0..400 {
        let test = |random: &mut Random| test_of(random, &fields, &[Pair::Addr, Pair::Port]);
        let filter = Filter::from_expr(expr_of(&mut random, 3, &test));
        let exact: Predicate<FlowEvent> = filter.bind(&names).unwrap();
        let Some(program) = program(filter.expr(), LinkType::ETHERNET) else { continue };
        SockRef::from(&kernels).attach_filter(&attached(&program)).unwrap_or_else(|why| panic!("{filter}: {why}"));
        made += 1;
        for _ in 0..200 {
            let frame = &frames[random.below(frames.len())];
            assert_eq!(ours.send(frame).unwrap(), frame.len());
            let passes = match kernels.recv(&mut [0; 1]) {
                Ok(_) => true,
                Err(why) if why.kind() == ErrorKind::WouldBlock => false,
                Err(why) => panic!("{why}"),
            };
            assert_eq!(passes, run(&program, frame) != 0, "{filter}\n{frame:02x?}");
            let wire = frame.len() as u32;
            let mut layers = [Layers::default()];
            let mut event = FlowEvent { bytes: u64::from(wire), packets: 1, layers: 1, ..FlowEvent::default() };
            let options = DecodeOptions { headers: true, ..DecodeOptions::default() };
            flowcore::wire::decode(LinkType::ETHERNET, frame, wire, options, &mut event, &mut layers[0]);
            assert!(
                passes || !exact.matches(&event, &Frames::new(&[], &layers)),
                "{filter} loses {event:?}\n{frame:02x?}"
            );
            passed += u32::from(passes);
            dropped += u32::from(!passes);
        }
    }
    assert!(made > 200 && passed > 10_000 && dropped > 5_000, "{made} {passed} {dropped}");
}

#[test]
fn a_tag_that_the_kernel_takes_out_changes_no_answer() {
    in_a_namespace("a_packet_socket_sees_tagged_frames");
}

#[test]
#[ignore = "run by the test above, in a namespace"]
fn a_packet_socket_sees_tagged_frames() {
    assert!(Command::new("ip").args(["link", "set", "lo", "up"]).status().unwrap().success());
    // UDP from 10.0.0.1:1024 to 10.0.0.2:53 with eight bytes, behind tag 5.
    let udp = "020000000001020000000002 08004500002400004000401100000a0000010a000002 0400003500100000 0000000000000000";
    let plain = udp.replace(' ', "");
    let tagged = format!("{}81000005{}", &plain[..24], &plain[24..]);
    // No ethertype that a program knows: passes always.
    let last = format!("{}88b5{}", &plain[..24], "00".repeat(60));
    let bytes = |hex: &str| hex.len() / 2;
    let everything = Some(socket2::Protocol::from(i32::from(3_u16.to_be())));
    for (filter, expected) in [
        // Once as it is sent, the tag in its bytes; once as it arrives, without.
        ("udp and dport 53", vec![bytes(&tagged), bytes(&plain)]),
        ("vlan 5 and src 10.0.0.1", vec![bytes(&tagged), bytes(&plain)]),
        ("not vlan and src 10.0.0.1", vec![bytes(&tagged), bytes(&plain)]),
        // What cannot be walked passes and is left to the exact filter; what is plain is decided.
        ("udp and dport 80", vec![bytes(&tagged)]),
        ("tcp and vlan 5", vec![bytes(&tagged)]),
    ] {
        let program = program(Filter::parse(filter).unwrap().expr(), LinkType::ETHERNET).unwrap();
        let socket = Socket::new(Domain::PACKET, Type::RAW, everything).unwrap();
        socket.attach_filter(&attached(&program)).unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        let script = "import socket, sys\ns = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)\ns.bind(('lo', 0))\nfor line in sys.stdin: s.send(bytes.fromhex(line))";
        let mut sender = Command::new("python3").args(["-c", script]).stdin(Stdio::piped()).spawn().unwrap();
        sender.stdin.take().unwrap().write_all(format!("{tagged}\n{last}\n").as_bytes()).unwrap();
        assert!(sender.wait().unwrap().success());
        let (mut found, mut ends) = (Vec::new(), 0);
        while ends < 2 {
            let mut frame = [0; 2048];
            let length = (&socket).read(&mut frame).unwrap();
            match frame[12..14] {
                [0x88, 0xb5] => ends += 1,
                [0x08, 0x00] | [0x81, 0x00] => found.push(length),
                _ => {}
            }
        }
        assert_eq!(found, expected, "{filter}");
    }
}
