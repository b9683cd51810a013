//! `inet_diag` programs: by the kernel's rules written again here, and by the kernel itself over sockets in a network
//! namespace of the test's own (root; elsewhere it says that it was skipped).
#![allow(clippy::unwrap_used, reason = "a test")]

mod namespace;
#[allow(dead_code, reason = "each test takes its part")]
mod random;

use std::collections::BTreeSet;
use std::io::Read;
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::process::Command;
use std::sync::Arc;

use flowcore::resolve::Numeric;
use flowcore::select::KernelForm;
use flowcore::{Addr, FlowEvent, FlowKey, Frames, Protocol, Resolver, Select};
use flowfilter::ast::Expr;
use flowfilter::field::Pair;
use flowfilter::kernel::inet_diag::program;
use flowfilter::{Field, Filter, Predicate};
use namespace::in_a_namespace;
use random::{PORTS, Random, addrs, expr_of, test_of};
use socket2::{Domain, Socket, Type};

const INET: u8 = 2;
const INET6: u8 = 10;

/// What the kernel knows of a socket.
#[derive(Copy, Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Entry {
    family: u8,
    ports: [u16; 2],
    addrs: [Addr; 2],
}

impl Entry {
    /// What it sends (0) or receives (1).
    fn event(&self, way: usize, protocol: Protocol) -> FlowEvent {
        let key = FlowKey {
            src: self.addrs[way],
            dst: self.addrs[1 - way],
            src_port: self.ports[way],
            dst_port: self.ports[1 - way],
            protocol,
            ..FlowKey::NONE
        };
        FlowEvent { key, ..FlowEvent::default() }
    }
}

fn half(bytes: &[u8]) -> u16 {
    u16::from_ne_bytes([bytes[0], bytes[1]])
}

/// `inet_diag_bc_run` of Linux 6.18.
fn run(program: &[u8], entry: &Entry) -> bool {
    let (mut at, mut left) = (0, program.len() as i64);
    while left > 0 {
        let operation = &program[at..];
        let (yes, no) = (operation[1], half(&operation[2..]));
        let second = || half(&operation[6..]);
        let holds = match operation[0] {
            1 => false,
            2 => entry.ports[0] >= second(),
            3 => entry.ports[0] <= second(),
            4 => entry.ports[1] >= second(),
            5 => entry.ports[1] <= second(),
            code @ (7 | 8) => host(&operation[4..], entry, usize::from(code - 7)),
            other => panic!("operation {other} is not expected"),
        };
        let step = if holds { usize::from(yes) } else { usize::from(no) };
        at += step;
        left -= step as i64;
    }
    left == 0
}

fn host(condition: &[u8], entry: &Entry, end: usize) -> bool {
    let (family, bits) = (condition[0], usize::from(condition[1]));
    let port = i32::from_ne_bytes(condition[4..8].try_into().unwrap());
    if port != -1 && port != i32::from(entry.ports[end]) {
        return false;
    }
    let octets = entry.addrs[end].octets();
    let own = if entry.family == INET { &octets[12..] } else { &octets[..] };
    let same =
        |own: &[u8], wanted: &[u8]| (0..bits).all(|bit| (own[bit / 8] ^ wanted[bit / 8]) << (bit % 8) & 0x80 == 0);
    if family != 0 && family != entry.family {
        let mapped = octets[..12] == [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff];
        return entry.family == INET6 && family == INET && mapped && same(&octets[12..], &condition[8..]);
    }
    bits == 0 || same(own, &condition[8..])
}

/// `inet_diag_bc_audit` of Linux 6.18; what a program must be to be taken.
fn audited(program: &[u8]) -> bool {
    let starts = |at: usize| {
        let mut place = 0;
        while place < at && place < program.len() {
            let yes = usize::from(program[place + 1]);
            if yes < 4 || yes % 4 != 0 {
                return false;
            }
            place += yes;
        }
        place == at
    };
    let mut at = 0;
    while at < program.len() {
        let left = program.len() - at;
        let operation = &program[at..];
        let (yes, no) = (usize::from(operation[1]), usize::from(half(&operation[2..])));
        let least = match operation[0] {
            1 => 4,
            2..=5 => 8,
            7 | 8 => {
                let bytes = match operation.get(4) {
                    Some(0) => 0,
                    Some(2) => 4,
                    Some(10) => 16,
                    _ => return false,
                };
                if left < 12 + bytes || usize::from(operation[5]) > bytes * 8 {
                    return false;
                }
                12 + bytes
            }
            _ => return false,
        };
        if left < least || no < least || no > left + 4 || no % 4 != 0 || (no < left && !starts(at + no)) {
            return false;
        }
        if yes < least || yes > left + 4 || yes % 4 != 0 {
            return false;
        }
        at += yes;
    }
    at == program.len()
}

const ASKED: [Field; 8] = [
    Field::Version,
    Field::Proto,
    Field::SrcAddr,
    Field::DstAddr,
    Field::SrcPort,
    Field::DstPort,
    Field::Ttl,
    Field::Vlan,
];

/// A filter, half of them of fields that a program can ask alone.
fn filter(random: &mut Random) -> (Filter, bool) {
    let known = random.chance(2);
    let fields = &ASKED[..if known { 6 } else { 8 }];
    let pairs = [Pair::Addr, Pair::Port];
    let filter = Filter::from_expr(expr_of(random, 3, &|random| test_of(random, fields, &pairs)));
    // A list with a range, or a prefix around `::ffff:0:0/96`, may be more prefixes than a program asks for.
    let text = filter.to_string();
    let known = known && ![" ::/", "{::/", "-"].iter().any(|range| text.contains(range));
    (filter, known)
}

fn sockets(random: &mut Random) -> Entry {
    let addrs = addrs();
    let addrs = [random.one(&addrs), random.one(&addrs)];
    let v4 = addrs.iter().all(|addr| addr.is_v4());
    let family = if v4 && random.chance(2) { INET } else { INET6 };
    Entry { family, ports: [random.one(&PORTS), random.one(&PORTS)], addrs }
}

#[test]
fn programs_lose_no_socket_and_decide_what_they_know() {
    let mut random = Random(4);
    let names: Arc<dyn Resolver> = Arc::new(Numeric);
    let (mut made, mut decided, mut passed) = (0, 0, 0);
    for _ in 0..3_000 {
        let (filter, known) = filter(&mut random);
        let exact: Predicate<FlowEvent> = filter.bind(&names).unwrap();
        let of_tcp = program(filter.expr(), Some(Protocol::TCP));
        let of_any = exact.kernel(KernelForm::InetDiag);
        for bytes in [&of_tcp, &of_any].into_iter().flatten() {
            assert!(audited(bytes), "{filter}\n{bytes:?}");
            made += 1;
        }
        for _ in 0..64 {
            let entry = sockets(&mut random);
            let [out, back] = [0, 1].map(|way| exact.matches(&entry.event(way, Protocol::TCP), &Frames::EMPTY));
            let says = |program: &Option<Vec<u8>>| program.as_ref().is_none_or(|bytes| run(bytes, &entry));
            assert!(says(&of_any) || !out && !back, "{filter} loses {entry:?}");
            assert!(says(&of_tcp) || !out, "{filter} loses {entry:?}");
            if known && of_tcp.is_some() {
                assert_eq!(says(&of_tcp), out, "{filter} of {entry:?}");
                decided += 1;
                passed += u32::from(out);
            }
        }
    }
    assert!(made > 2_000 && decided > 50_000 && passed > decided / 5, "{made} {decided} {passed}");
}

#[test]
fn what_a_socket_does_not_tell_has_no_program() {
    let made = |text: &str| program(Filter::parse(text).unwrap().expr(), Some(Protocol::TCP));
    assert_eq!(made("all"), None);
    assert_eq!(made("tcp"), None);
    assert_eq!(made("ttl 5 or port 80"), None);
    assert_eq!(made("not port > 65535"), None);
    // All IPv6: not in the one prefix of IPv4, and no jump but the condition's.
    assert_eq!(made("src ::/0").map(|bytes| (bytes[..4].to_vec(), bytes.len())), Some((vec![7, 16, 20, 0], 20)));
    // Nothing of UDP is wanted: one jump behind the end.
    assert_eq!(made("udp"), Some([&[1, 4][..], &8_u16.to_ne_bytes()].concat()));
    // Port 80 at either end.
    let port = |code: u8, no: u16| [&[code, 8][..], &no.to_ne_bytes(), &[0, 0], &80_u16.to_ne_bytes()].concat();
    let jump = |no: u16| [&[1, 4][..], &no.to_ne_bytes()].concat();
    let expected = [port(2, 20), port(3, 12), jump(20), port(4, 20), port(5, 12)].concat();
    assert_eq!(made("port 80"), Some(expected));
}

#[test]
fn the_kernel_shows_the_sockets_that_the_filter_selects() {
    in_a_namespace("the_kernel_itself");
}

/// All TCP or UDP sockets of one family that the kernel shows under a program. Closing ones are not asked for.
fn dump(netlink: &Socket, family: u8, protocol: Protocol, program: Option<&[u8]>) -> Result<BTreeSet<Entry>, i32> {
    let mut request = vec![0; 16];
    request.extend([family, protocol.0, 0, 0]);
    // Established, half open, listening, and UDP's.
    request.extend((1_u32 << 1 | 1 << 2 | 1 << 3 | 1 << 7 | 1 << 10).to_ne_bytes());
    request.extend([0; 48]);
    if let Some(bytes) = program {
        request.extend((bytes.len() as u16 + 4).to_ne_bytes());
        request.extend(1_u16.to_ne_bytes());
        request.extend(bytes);
    }
    let length = (request.len() as u32).to_ne_bytes();
    request[..4].copy_from_slice(&length);
    // SOCK_DIAG_BY_FAMILY; NLM_F_REQUEST | NLM_F_DUMP.
    request[4..6].copy_from_slice(&20_u16.to_ne_bytes());
    request[6..8].copy_from_slice(&0x301_u16.to_ne_bytes());
    assert_eq!(netlink.send(&request).unwrap(), request.len());
    let mut found = BTreeSet::new();
    loop {
        let mut answer = vec![0; 1 << 17];
        let mut reader = netlink;
        let bytes = reader.read(&mut answer).unwrap();
        let mut rest = &answer[..bytes];
        while rest.len() >= 16 {
            let length = u32::from_ne_bytes(rest[..4].try_into().unwrap()) as usize;
            let (kind, body) = (half(&rest[4..]), &rest[16..length]);
            let code = || i32::from_ne_bytes(body[..4].try_into().unwrap());
            match kind {
                2 | 3 if code() == 0 => return Ok(found),
                2 | 3 => return Err(code()),
                _ => {
                    let port = |at: usize| u16::from_be_bytes([body[at], body[at + 1]]);
                    let addr = |at: usize| match body[0] {
                        INET => Addr::v4(body[at..at + 4].try_into().unwrap()),
                        _ => Addr::v6(body[at..at + 16].try_into().unwrap()),
                    };
                    found.insert(Entry { family: body[0], ports: [port(4), port(6)], addrs: [addr(8), addr(24)] });
                }
            }
            rest = &rest[length.next_multiple_of(4).min(rest.len())..];
        }
    }
}

#[test]
#[ignore = "run by the test above, in a namespace"]
fn the_kernel_itself() {
    assert!(Command::new("ip").args(["link", "set", "lo", "up"]).status().unwrap().success());
    // 127/8 is all there; of IPv6 two more.
    for addr in ["2001:db8::1/128", "fe80::1/128", "10.0.0.1/32", "192.0.2.1/32"] {
        let _ = Command::new("ip").args(["addr", "add", addr, "dev", "lo", "nodad"]).status();
    }
    let mut held = Vec::new();
    let mut connections: Vec<TcpStream> = Vec::new();
    for addr in
        ["0.0.0.0:80", "10.0.0.1:443", "[::1]:53", "[2001:db8::1]:1024", "[::]:4789", "127.0.0.1:65535", "127.0.0.1:1"]
    {
        let addr: SocketAddr = addr.parse().unwrap();
        let listener = TcpListener::bind(addr).unwrap();
        let mut peers = vec![addr];
        if addr.ip().is_unspecified() {
            peers = vec![([127, 0, 0, 1], addr.port()).into(), ([192, 0, 2, 1], addr.port()).into()];
        }
        for peer in peers.into_iter().cycle().take(6) {
            let stream = TcpStream::connect(peer).unwrap();
            connections.push(listener.accept().unwrap().0);
            connections.push(stream);
        }
        held.push(listener);
    }
    let datagrams: Vec<UdpSocket> =
        [("0.0.0.0:53", "127.0.0.1:80"), ("[::]:1024", "[::1]:443"), ("10.0.0.1:1", "10.0.0.1:1024")]
            .map(|(own, peer)| {
                let socket = UdpSocket::bind(own).unwrap();
                socket.connect(peer).unwrap();
                socket
            })
            .into();
    let netlink = Socket::new(Domain::from(16), Type::RAW, Some(socket2::Protocol::from(4))).unwrap();
    let names: Arc<dyn Resolver> = Arc::new(Numeric);
    let (mut asked, mut shown) = (0, 0);
    for (family, protocol) in
        [(INET, Protocol::TCP), (INET6, Protocol::TCP), (INET, Protocol::UDP), (INET6, Protocol::UDP)]
    {
        let all = dump(&netlink, family, protocol, None).unwrap();
        assert!(!all.is_empty(), "{family} {protocol}");
        let mut random = Random(u64::from(family) + u64::from(protocol.0));
        for _ in 0..400 {
            let (filter, known) = filter(&mut random);
            let Some(bytes) = program(filter.expr(), Some(protocol)) else { continue };
            let exact: Predicate<FlowEvent> = filter.bind(&names).unwrap();
            let some = dump(&netlink, family, protocol, Some(&bytes))
                .unwrap_or_else(|code| panic!("the kernel refuses the program of {filter}: {code}\n{bytes:?}"));
            let by_rules: BTreeSet<Entry> = all.iter().copied().filter(|entry| run(&bytes, entry)).collect();
            assert_eq!(some, by_rules, "{filter}");
            for entry in &all {
                let passes = exact.matches(&entry.event(0, protocol), &Frames::EMPTY);
                assert!(some.contains(entry) || !passes, "{filter} loses {entry:?}");
                assert!(!known || passes == some.contains(entry), "{filter} of {entry:?}");
            }
            asked += 1;
            shown += some.len();
        }
    }
    assert!(asked > 400 && shown > asked, "{asked} {shown}");
    // Nothing in a program is taken that the audit would not.
    let refused = dump(&netlink, INET, Protocol::TCP, Some(&[1, 4, 12, 0]));
    assert_eq!(refused, Err(-22));
    let long =
        Expr::or((0..700_u32).map(|at| {
            Filter::parse(&format!("src 10.0.{}.{} and port {at}", at / 256, at % 256)).unwrap().expr().clone()
        }));
    let bytes = program(&long, Some(Protocol::TCP)).unwrap();
    assert!(bytes.len() > 32_768 && dump(&netlink, INET, Protocol::TCP, Some(&bytes)).unwrap().is_empty());
    drop((held, connections, datagrams));
}
