//! Reverse names from name servers that answer well, badly, late or not at all.
//!
//! The servers are threads here that write their answers byte by byte (RFC 1035 section 4), and once dnsmasq.
#![allow(clippy::unwrap_used, reason = "a test whose preparation fails has failed")]

use std::collections::HashMap;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use flowcore::{Addr, Lookup, Resolver};
use flowresolve::Dns;
use flowresolve::cached::{Lifetimes, Options as Bounds};
use flowresolve::dns::Options;

/// Longer than anything here takes, so that a hanging test ends.
const LONG: Duration = Duration::from_secs(60);

/// What a server does when asked for a name.
#[derive(Clone)]
enum Reply {
    /// These records, in order: owner ("" = as asked), type, seconds, data.
    Records(Vec<(&'static str, u16, u32, Vec<u8>)>),
    /// There is no such name; the zone's SOA record says for how long.
    Unknown { seconds: u32, minimum: u32 },
    /// This response code.
    Code(u8),
    /// Not a word.
    Silence,
    /// These bytes first, then as the other.
    After(Vec<Vec<u8>>, Box<Reply>),
    /// An answer for somebody else first (another number, another question), then as the other.
    AfterForeign(Box<Reply>),
    /// "Too long for a datagram"; the other over TCP.
    Truncated(Box<Reply>),
}

const A: u16 = 1;
const CNAME: u16 = 5;
const PTR: u16 = 12;

/// A name on the wire.
fn wire(name: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    for label in name.split('.').filter(|label| !label.is_empty()) {
        bytes.push(label.len() as u8);
        bytes.extend_from_slice(label.as_bytes());
    }
    bytes.push(0);
    bytes
}

fn ptr(name: &str, seconds: u32) -> Reply {
    Reply::Records(vec![("", PTR, seconds, wire(name))])
}

/// A name server on a port of the loopback interface.
struct Server {
    address: SocketAddr,
    replies: Arc<Mutex<HashMap<String, Reply>>>,
    asked: Arc<AtomicUsize>,
}

impl Server {
    fn start(replies: &[(&str, Reply)]) -> Self {
        let replies = replies.iter().map(|(name, reply)| ((*name).to_owned(), reply.clone())).collect();
        let replies: Arc<Mutex<HashMap<String, Reply>>> = Arc::new(Mutex::new(replies));
        let asked = Arc::new(AtomicUsize::new(0));
        // The same port for both; another program may have the second one.
        let (socket, listener) = loop {
            let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
            if let Ok(listener) = TcpListener::bind(socket.local_addr().unwrap()) {
                break (socket, listener);
            }
        };
        let address = socket.local_addr().unwrap();
        let (table, count) = (Arc::clone(&replies), Arc::clone(&asked));
        std::thread::spawn(move || {
            let mut buffer = [0; 512];
            while let Ok((length, from)) = socket.recv_from(&mut buffer) {
                count.fetch_add(1, Ordering::SeqCst);
                for message in answers(&buffer[..length], &table.lock().unwrap(), false) {
                    socket.send_to(&message, from).unwrap();
                }
            }
        });
        let table = Arc::clone(&replies);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let mut length = [0; 2];
                stream.read_exact(&mut length).unwrap();
                let mut question = vec![0; usize::from(u16::from_be_bytes(length))];
                stream.read_exact(&mut question).unwrap();
                for message in answers(&question, &table.lock().unwrap(), true) {
                    // In pieces, as streams come.
                    let mut framed = (message.len() as u16).to_be_bytes().to_vec();
                    framed.extend_from_slice(&message);
                    framed.chunks(7).for_each(|piece| stream.write_all(piece).unwrap());
                }
            }
        });
        Self { address, replies, asked }
    }

    fn set(&self, name: &str, reply: Reply) {
        self.replies.lock().unwrap().insert(name.to_owned(), reply);
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }

    fn names(&self) -> Dns {
        Dns::with(options(&[self.address]), Bounds::default())
    }
}

fn options(servers: &[SocketAddr]) -> Options {
    // Long enough for a busy machine, short enough to wait for a silent server.
    Options { servers: servers.to_vec(), attempt: Duration::from_millis(300), attempts: 1, ..Options::default() }
}

fn answers(question: &[u8], replies: &HashMap<String, Reply>, by_stream: bool) -> Vec<Vec<u8>> {
    let mut name = String::new();
    let mut place = 12;
    while question[place] != 0 {
        let length = usize::from(question[place]);
        name.push_str(std::str::from_utf8(&question[place + 1..place + 1 + length]).unwrap());
        name.push('.');
        place += 1 + length;
    }
    let name = name.trim_end_matches('.');
    // Names are equal in either case.
    match replies.get(&name.to_ascii_lowercase()) {
        Some(reply) => written(question, reply, by_stream),
        None => written(question, &Reply::Unknown { seconds: 60, minimum: 60 }, by_stream),
    }
}

fn written(question: &[u8], reply: &Reply, by_stream: bool) -> Vec<Vec<u8>> {
    let head = |flags: [u8; 2], answers: u8, authorities: u8| {
        let mut message = question.to_vec();
        message[2..4].copy_from_slice(&flags);
        message[6..12].copy_from_slice(&[0, answers, 0, authorities, 0, 0]);
        message
    };
    let record = |message: &mut Vec<u8>, owner: &str, kind: u16, seconds: u32, data: &[u8]| {
        if owner.is_empty() {
            message.extend_from_slice(&[0xc0, 12])
        } else {
            message.extend_from_slice(&wire(owner))
        }
        message.extend_from_slice(&kind.to_be_bytes());
        message.extend_from_slice(&[0, 1]);
        message.extend_from_slice(&seconds.to_be_bytes());
        message.extend_from_slice(&(data.len() as u16).to_be_bytes());
        message.extend_from_slice(data);
    };
    match reply {
        Reply::Records(records) => {
            let mut message = head([0x81, 0x80], records.len() as u8, 0);
            records.iter().for_each(|(owner, kind, seconds, data)| record(&mut message, owner, *kind, *seconds, data));
            vec![message]
        }
        Reply::Unknown { seconds, minimum } => {
            let mut message = head([0x81, 0x83], 0, 1);
            let mut soa = [wire("ns.example"), wire("admin.example")].concat();
            for number in [1, 2, 3, 4, *minimum] {
                soa.extend_from_slice(&u32::to_be_bytes(number));
            }
            record(&mut message, "example", 6, *seconds, &soa);
            vec![message]
        }
        Reply::Code(code) => vec![head([0x81, 0x80 | code], 0, 0)],
        Reply::Silence => Vec::new(),
        Reply::After(first, then) => {
            let mut messages = first.clone();
            messages.extend(written(question, then, by_stream));
            messages
        }
        Reply::AfterForeign(then) => {
            let mut number = written(question, &ptr("impostor.example", 60), by_stream).remove(0);
            number[0] ^= 1;
            let mut name = written(question, &ptr("impostor.example", 60), by_stream).remove(0);
            name[13] ^= 1;
            let mut messages = vec![number, name];
            messages.extend(written(question, then, by_stream));
            messages
        }
        Reply::Truncated(_) if !by_stream => vec![head([0x83, 0x80], 0, 0)],
        Reply::Truncated(then) => written(question, then, by_stream),
    }
}

fn addr(text: &str) -> Addr {
    text.parse().unwrap()
}

/// What a name is once somebody has waited for it; `None`: there is none.
fn settled(names: &Dns, address: &str) -> Option<String> {
    names.name(addr(address), 0);
    names.settle(LONG);
    match names.name(addr(address), 0) {
        Lookup::Known(name) => Some(name.to_string()),
        Lookup::Absent | Lookup::Failed => None,
        Lookup::Pending => panic!("{address} is still pending"),
    }
}

const SEVEN: &str = "7.2.0.192.in-addr.arpa";
const V6: &str = "1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa";

#[test]
fn addresses_of_both_families_have_names() {
    let server = Server::start(&[(SEVEN, ptr("web.example", 60)), (V6, ptr("six.example", 60))]);
    let names = server.names();
    assert_eq!(names.name(addr("192.0.2.7"), 0), Lookup::Pending);
    assert_eq!(settled(&names, "192.0.2.7").as_deref(), Some("web.example"));
    assert_eq!(settled(&names, "2001:db8::1").as_deref(), Some("six.example"));
    assert_eq!(settled(&names, "192.0.2.8"), None);
    assert_eq!(server.asked(), 3);
}

#[test]
fn groups_and_everybody_are_not_asked_for() {
    let server = Server::start(&[]);
    let names = server.names();
    for address in ["224.0.0.1", "ff02::1", "0.0.0.0", "::", "255.255.255.255"] {
        assert_eq!(names.name(addr(address), 0), Lookup::Absent);
    }
    names.settle(LONG);
    assert_eq!(server.asked(), 0);
}

#[test]
fn of_several_names_the_alphabetically_first_is_given() {
    let both = |names: [&str; 2]| Reply::Records(names.map(|name| ("", PTR, 60, wire(name))).to_vec());
    for order in [["b.example", "a.example"], ["a.example", "b.example"]] {
        let server = Server::start(&[(SEVEN, both(order))]);
        assert_eq!(settled(&server.names(), "192.0.2.7").as_deref(), Some("a.example"));
    }
}

#[test]
fn an_alias_of_a_classless_zone_is_followed() {
    // RFC 2317: 7.2.0.192.in-addr.arpa is an alias for 7.0/26.2.0.192.in-addr.arpa.
    let alias = "7.0/26.2.0.192.in-addr.arpa";
    let records = vec![("", CNAME, 60, wire(alias)), (alias, PTR, 60, wire("web.example"))];
    let server = Server::start(&[(SEVEN, Reply::Records(records))]);
    assert_eq!(settled(&server.names(), "192.0.2.7").as_deref(), Some("web.example"));
    let stray = vec![("other.example", PTR, 60, wire("web.example"))];
    server.set("8.2.0.192.in-addr.arpa", Reply::Records(stray));
    assert_eq!(settled(&server.names(), "192.0.2.8"), None);
}

#[test]
fn a_truncated_answer_is_asked_for_again_over_tcp() {
    let server = Server::start(&[(SEVEN, Reply::Truncated(Box::new(ptr("long.example", 60))))]);
    assert_eq!(settled(&server.names(), "192.0.2.7").as_deref(), Some("long.example"));
}

#[test]
fn garbage_and_answers_to_others_are_passed_over() {
    let garbage = vec![vec![], vec![0], vec![0xff; 12], vec![0xc0; 600]];
    let server = Server::start(&[
        (SEVEN, Reply::After(garbage, Box::new(ptr("web.example", 60)))),
        ("8.2.0.192.in-addr.arpa", Reply::AfterForeign(Box::new(ptr("eight.example", 60)))),
        // Says there is a record, but there is none; a name that points to itself.
        ("9.2.0.192.in-addr.arpa", Reply::Records(vec![("", PTR, 60, vec![0xc0, 52])])),
    ]);
    let names = server.names();
    assert_eq!(settled(&names, "192.0.2.7").as_deref(), Some("web.example"));
    assert_eq!(settled(&names, "192.0.2.8").as_deref(), Some("eight.example"));
    assert_eq!(settled(&names, "192.0.2.9"), None);
    assert_eq!((names.counts().named, names.counts().failed), (2, 1));
}

#[test]
fn a_server_that_cannot_tell_or_does_not_speak_is_passed_over() {
    let good = Server::start(&[(SEVEN, ptr("web.example", 60))]);
    for bad in [Reply::Silence, Reply::Code(2), Reply::Code(5)] {
        let bad = Server::start(&[(SEVEN, bad)]);
        let names = Dns::new(options(&[bad.address, good.address]));
        assert_eq!(settled(&names, "192.0.2.7").as_deref(), Some("web.example"));
    }
    // Nobody listens at the first one.
    let closed = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    assert_eq!(settled(&Dns::new(options(&[closed, good.address])), "192.0.2.7").as_deref(), Some("web.example"));
}

#[test]
fn a_lookup_ends_at_its_limit_and_settling_before() {
    let server = Server::start(&[(SEVEN, Reply::Silence)]);
    let options =
        Options { attempt: LONG, attempts: 9, limit: Duration::from_millis(400), ..options(&[server.address]) };
    let names = Dns::new(options);
    assert_eq!(names.name(addr("192.0.2.7"), 0), Lookup::Pending);
    names.settle(Duration::from_millis(1));
    assert_eq!(names.name(addr("192.0.2.7"), 0), Lookup::Pending);
    let start = Instant::now();
    assert_eq!(settled(&names, "192.0.2.7"), None);
    assert!(start.elapsed() < LONG / 2);
    assert_eq!((names.counts().failed, server.asked()), (1, 1));
}

/// Seconds by which the clock of `Shifted` tests is ahead.
static AHEAD: AtomicU64 = AtomicU64::new(0);

fn shifted() -> Instant {
    Instant::now() + Duration::from_secs(AHEAD.load(Ordering::SeqCst))
}

#[test]
fn names_hold_as_long_as_their_records_say() {
    let server = Server::start(&[
        (SEVEN, ptr("old.example", 1000)),
        ("8.2.0.192.in-addr.arpa", Reply::Unknown { seconds: 5000, minimum: 500 }),
    ]);
    let lifetimes = Lifetimes { shortest: Duration::ZERO, ..Lifetimes::default() };
    let names = Dns::with(options(&[server.address]), Bounds { clock: shifted, lifetimes, ..Bounds::default() });
    assert_eq!(settled(&names, "192.0.2.7").as_deref(), Some("old.example"));
    assert_eq!(settled(&names, "192.0.2.8"), None);
    server.set(SEVEN, ptr("new.example", 1000));
    server.set("8.2.0.192.in-addr.arpa", ptr("eight.example", 1000));

    AHEAD.store(400, Ordering::SeqCst);
    assert_eq!(settled(&names, "192.0.2.7").as_deref(), Some("old.example"));
    assert_eq!(settled(&names, "192.0.2.8"), None);
    assert_eq!(server.asked(), 2);

    // RFC 2308: the smaller of the two, 500 s.
    AHEAD.store(600, Ordering::SeqCst);
    assert_eq!(settled(&names, "192.0.2.8").as_deref(), Some("eight.example"));
    assert_eq!(settled(&names, "192.0.2.7").as_deref(), Some("old.example"));
    assert_eq!(server.asked(), 3);

    AHEAD.store(1100, Ordering::SeqCst);
    assert_eq!(names.name(addr("192.0.2.7"), 0), Lookup::Known("old.example".into()));
    assert_eq!(settled(&names, "192.0.2.7").as_deref(), Some("new.example"));
    assert_eq!(server.asked(), 4);
}

#[test]
fn a_name_that_does_not_lead_back_is_not_given_if_that_is_asked_for() {
    let server = Server::start(&[
        (SEVEN, ptr("web.example", 60)),
        ("web.example", Reply::Records(vec![("", A, 60, vec![192, 0, 2, 9]), ("", A, 60, vec![192, 0, 2, 7])])),
        ("8.2.0.192.in-addr.arpa", ptr("bank.example", 60)),
        ("bank.example", Reply::Records(vec![("", A, 60, vec![192, 0, 2, 1])])),
    ]);
    let names = Dns::new(Options { confirm: true, ..options(&[server.address]) });
    assert_eq!(settled(&names, "192.0.2.7").as_deref(), Some("web.example"));
    assert_eq!(settled(&names, "192.0.2.8"), None);
    assert_eq!(settled(&server.names(), "192.0.2.8").as_deref(), Some("bank.example"));
}

#[test]
fn an_answer_that_no_host_can_be_called_is_no_name() {
    let server = Server::start(&[]);
    let odd =
        ["10.9.9.9", "10.9.9.999", "167774473", "0x7f.1", "(total)", "-n.example", "a b", "a\x1b[31mb", "b\u{fc}cher"];
    for (place, name) in odd.iter().enumerate() {
        server.set(&format!("{place}.2.0.192.in-addr.arpa"), ptr(name, 60));
    }
    let dotted = vec![("", PTR, 60, b"\x0810.9.9.9\x00".to_vec())];
    server.set("20.2.0.192.in-addr.arpa", Reply::Records(dotted));
    // One of two is a name.
    let both = vec![("", PTR, 60, wire("10.9.9.9")), ("", PTR, 60, wire("web_1.example"))];
    server.set("21.2.0.192.in-addr.arpa", Reply::Records(both));
    let names = server.names();
    for (place, name) in odd.iter().enumerate() {
        assert_eq!(settled(&names, &format!("192.0.2.{place}")), None, "{name:?}");
    }
    assert_eq!(settled(&names, "192.0.2.20"), None);
    assert_eq!(settled(&names, "192.0.2.21").as_deref(), Some("web_1.example"));
    // That is an answer: nothing failed, and nobody is asked again.
    assert_eq!((names.counts().failed, server.asked()), (0, odd.len() + 2));
}

#[test]
fn a_name_is_given_in_lower_case() {
    let both = vec![("", PTR, 60, wire("b.Example")), ("", PTR, 60, wire("A.EXAMPLE"))];
    let server = Server::start(&[(SEVEN, ptr("WEB.Example", 60)), ("8.2.0.192.in-addr.arpa", Reply::Records(both))]);
    let names = server.names();
    assert_eq!(settled(&names, "192.0.2.7").as_deref(), Some("web.example"));
    assert_eq!(settled(&names, "192.0.2.8").as_deref(), Some("a.example"));
}

#[test]
fn thousands_of_addresses_are_named_by_a_few_threads() {
    let server = Server::start(&[]);
    let addresses: Vec<Addr> = (0..2000u32).map(|n| Addr::v4([10, 0, (n >> 8) as u8, n as u8])).collect();
    for address in &addresses {
        let [a, b, c, d] = address.to_v4().unwrap();
        server.set(&format!("{d}.{c}.{b}.{a}.in-addr.arpa"), ptr(&format!("h{c}-{d}.example"), 60));
    }
    let names = server.names();
    addresses.iter().for_each(|&address| drop(names.name(address, 0)));
    names.settle(LONG);
    for &address in &addresses {
        let [.., c, d] = address.to_v4().unwrap();
        assert_eq!(names.name(address, 0), Lookup::Known(format!("h{c}-{d}.example").into()));
    }
    assert_eq!(server.asked(), 2000);
}

#[test]
fn a_name_server_of_daily_use_is_understood() {
    use std::process::{Command, Stdio};
    let port = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let child = Command::new("dnsmasq")
        .args(["--no-daemon", "--no-resolv", "--no-hosts", "--conf-file=/dev/null", "--bind-interfaces"])
        .args(["--listen-address=127.0.0.1", &format!("--port={port}"), "--local-ttl=77", "--pid-file="])
        .args(["--host-record=web.example,192.0.2.7,2001:db8::1", "--local=/2.0.192.in-addr.arpa/"])
        .args(["--ptr-record=9.2.0.192.in-addr.arpa,nine.example"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn();
    let Ok(mut child) = child else {
        let _ = writeln!(std::io::stderr(), "SKIPPED: dnsmasq is not installed");
        return;
    };
    let server = SocketAddr::from(([127, 0, 0, 1], port));
    // Until it listens, questions fail; a fresh resolver has no memory of that.
    let deadline = Instant::now() + Duration::from_secs(20);
    let names = loop {
        let names = Dns::new(Options { attempt: Duration::from_secs(2), confirm: false, ..options(&[server]) });
        if settled(&names, "192.0.2.7").is_some() || Instant::now() > deadline {
            break names;
        }
        if let Some(status) = child.try_wait().unwrap() {
            let _ = writeln!(std::io::stderr(), "SKIPPED: dnsmasq did not start ({status})");
            return;
        }
        std::thread::yield_now();
    };
    let confirmed = Dns::new(Options { attempt: Duration::from_secs(2), confirm: true, ..options(&[server]) });
    let found = [
        settled(&names, "192.0.2.7"),
        settled(&names, "2001:db8::1"),
        settled(&names, "192.0.2.8"),
        settled(&names, "192.0.2.9"),
        settled(&confirmed, "192.0.2.7"),
        settled(&confirmed, "2001:db8::1"),
        settled(&confirmed, "192.0.2.9"),
    ];
    child.kill().unwrap();
    child.wait().unwrap();
    let expected = [
        Some("web.example"),
        Some("web.example"),
        None,
        Some("nine.example"),
        Some("web.example"),
        Some("web.example"),
        None,
    ];
    assert_eq!(found.each_ref().map(Option::as_deref), expected);
}
