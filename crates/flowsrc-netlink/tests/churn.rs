//! Connections that come and go between two polls. Needs root; says so where it is missing.

mod support;

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::time::Duration;

use flowcore::{Collector, Detail, FlowEvent, Ledger, Limit, Marks, SocketSample, Status};
use flowsrc_netlink::{Kinds, Options, Sockets};
use support::Namespace;

const CONNECTIONS: u64 = 20_000;
/// What a client sends, and what it gets.
const REQUEST: &[u8] = b"twelve bytes";
const ANSWER: [u8; 100] = [7; 100];
/// For what the other end is to send.
const PATIENCE: Duration = Duration::from_secs(20);

/// Connections one after the other, each closed by its client first.
fn churn(count: u64) {
    let server = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = server.local_addr().expect("its own");
    let answering = std::thread::spawn(move || {
        for _ in 0..count {
            let (mut peer, _) = server.accept().expect("a connection");
            peer.set_read_timeout(Some(PATIENCE)).expect("set");
            let mut request = [0; REQUEST.len()];
            peer.read_exact(&mut request).expect("a request");
            peer.write_all(&ANSWER).expect("answered");
            // Until the client has closed.
            let _ = peer.read(&mut request);
        }
    });
    for _ in 0..count {
        let mut client = TcpStream::connect(address).expect("connected");
        client.set_read_timeout(Some(PATIENCE)).expect("set");
        client.write_all(REQUEST).expect("asked");
        let mut answer = ANSWER;
        client.read_exact(&mut answer).expect("an answer");
        client.shutdown(Shutdown::Write).expect("closed");
    }
    answering.join().expect("the server ends well");
}

/// What came of it: the ledger, the connections of which a last sample came, and sums over all events that count.
#[derive(Default)]
struct Outcome {
    ledger: Ledger,
    ended: u64,
    packets: u64,
    bytes: u64,
    mirrored: u64,
}

impl Outcome {
    fn add(&mut self, event: &FlowEvent, sample: Option<&SocketSample>) {
        if let (Detail::Socket(socket), Some(sample)) = (event.detail, sample) {
            self.ended += u64::from(socket.last && sample.remote_port != 0);
        }
        if event.marks.contains(Marks::DUPLICATE) {
            self.mirrored += u64::from(event.packets);
        } else {
            self.packets += u64::from(event.packets);
            self.bytes += event.bytes;
        }
    }
}

/// Polls before, lets connections come and go, polls after.
fn watch(namespace: &Namespace, notices: bool) -> Outcome {
    let options =
        Options { kinds: Kinds::TCP, every: Some(Duration::from_millis(300)), notices, ..namespace.options() };
    let mut source = Sockets::open(options).expect("sock_diag");
    let mut outcome = Outcome::default();
    let mut events = Vec::new();
    let mut fill = |source: &mut Sockets, outcome: &mut Outcome| {
        let filled =
            source.fill(&mut events, Limit { wait: Duration::from_millis(20), ..Limit::default() }).expect("filled");
        events.iter().for_each(|event| outcome.add(event, filled.frames.socket(event)));
        events.clear();
        filled.status
    };
    // The first poll: what was before does not count.
    while source.finished_polls() == 0 {
        fill(&mut source, &mut outcome);
    }
    let traffic = namespace.spawn(|| churn(CONNECTIONS));
    while !traffic.is_finished() {
        fill(&mut source, &mut outcome);
    }
    traffic.join().expect("traffic");
    let last = source.finished_polls() + 2;
    while source.finished_polls() < last || fill(&mut source, &mut outcome) == Status::More {
        fill(&mut source, &mut outcome);
    }
    outcome.ledger = source.ledger().expect("counted");
    outcome
}

#[test]
fn every_short_connection_is_counted_with_notices_and_admitted_without() {
    let Some(namespace) = Namespace::new("churn") else { return };
    let with = watch(&namespace, true);
    let sockets = with.ledger.sockets.clone().expect("a socket source");
    eprintln!(
        "with notices: {} ends, {} packets, {} bytes, mirrored {}, {sockets:?}",
        with.ended, with.packets, with.bytes, with.mirrored
    );
    assert_eq!((sockets.overruns, sockets.missed), (0, Some(0)));
    // Both ends are sockets of the namespace, and every connection is counted at one of them.
    assert_eq!(with.ended, 2 * CONNECTIONS);
    assert_eq!(with.bytes, CONNECTIONS * (REQUEST.len() + ANSWER.len()) as u64 + fins(&with));
    assert_eq!(with.ledger.delivered(), with.packets + with.mirrored);

    let without = watch(&namespace, false);
    let sockets = without.ledger.sockets.expect("a socket source");
    eprintln!("without: {} packets, {sockets:?}", without.packets);
    let missed = sockets.missed.expect("the kernel counts");
    let seen = 2 * CONNECTIONS - missed;
    assert!(missed > CONNECTIONS, "short connections were seen by polls: {seen}");
    assert!(without.packets < with.packets / 2);
}

/// A FIN counts as a byte received, so one for each connection's counted end that received one.
#[test]
fn polls_that_are_late_are_still_told_apart() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("bound");
    let _client = TcpStream::connect(listener.local_addr().expect("bound")).expect("connected");
    // The next poll is due before one has ended.
    let every = Some(Duration::from_nanos(1));
    let options = Options { kinds: Kinds::TCP, every, polls: Some(5), notices: false, ..Options::default() };
    let mut source = Sockets::open(options).expect("sock_diag");
    let (mut events, mut finished) = (Vec::new(), 0);
    loop {
        events.clear();
        let filled = source.fill(&mut events, Limit::default()).expect("filled");
        let sockets: Vec<_> = events.iter().filter_map(|event| filled.frames.socket(event)).collect();
        assert!(sockets.iter().all(|socket| socket.time == sockets[0].time), "events of two polls");
        let status = filled.status;
        assert!(source.finished_polls() <= finished + 1, "two polls ended at once");
        finished = source.finished_polls();
        if status == Status::End {
            break;
        }
    }
    assert_eq!(finished, 5);
}

fn fins(outcome: &Outcome) -> u64 {
    outcome.bytes.saturating_sub(CONNECTIONS * (REQUEST.len() + ANSWER.len()) as u64).min(CONNECTIONS)
}
