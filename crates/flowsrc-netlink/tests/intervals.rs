//! What happens between the first poll and the last: connections that nobody sees, namespaces that come and go. Needs root;
//! says so where it is missing.

mod support;

use std::io::Read;
use std::net::{TcpListener, TcpStream};
use std::time::Duration;

use flowcore::{Collector, Limit, SocketSample, Status};
use flowsrc_netlink::{Kinds, Netns, Options, Sockets};
use support::Namespace;

/// Connections that their clients reset: as the kernel leaves these, their ends are not known when their notices come.
fn reset(count: usize) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    for _ in 0..count {
        let client = TcpStream::connect(listener.local_addr().expect("bound")).expect("connected");
        let (mut server, _) = listener.accept().expect("accepted");
        server.set_read_timeout(Some(Duration::from_secs(20))).expect("set");
        rustix::net::sockopt::set_socket_linger(&client, Some(Duration::ZERO)).expect("set");
        drop(client);
        assert!(server.read(&mut [0]).is_err(), "reset");
    }
}

/// The samples of the next poll.
fn poll(source: &mut Sockets) -> Vec<SocketSample> {
    let (mut events, mut samples) = (Vec::new(), Vec::new());
    let polls = source.finished_polls();
    loop {
        let filled = source.fill(&mut events, Limit::default()).expect("a poll");
        samples.extend(events.drain(..).filter_map(|event| filled.frames.socket(&event).copied()));
        if filled.status == Status::End || source.finished_polls() > polls {
            return samples;
        }
    }
}

#[test]
fn what_was_missed_in_the_only_interval_is_told() {
    let Some(namespace) = Namespace::new("only") else { return };
    let every = Some(Duration::from_millis(300));
    let options = Options { kinds: Kinds::TCP, every, polls: Some(2), notices: true, ..namespace.options() };
    let mut source = Sockets::open(options).expect("sock_diag");
    poll(&mut source);
    namespace.spawn(|| reset(5)).join().expect("done");
    poll(&mut source);
    assert_eq!(source.ledger().expect("counted").sockets.expect("sockets").missed, Some(5));
}

#[test]
fn a_run_that_is_concluded_looks_once_more_and_ends() {
    let Some(namespace) = Namespace::new("concluded") else { return };
    let options = Options { kinds: Kinds::TCP, every: Some(Duration::from_secs(3600)), ..namespace.options() };
    let mut source = Sockets::open(options).expect("sock_diag");
    poll(&mut source);
    let first = source.answered();
    source.conclude();
    poll(&mut source);
    assert_eq!(source.finished_polls(), 2);
    assert!(source.answered() > first, "that of the latest poll");
    let filled = source.fill(&mut Vec::new(), Limit::default()).expect("nothing");
    assert_eq!(filled.status, Status::End);
}

#[test]
fn a_namespace_that_is_made_later_is_looked_into_and_one_that_goes_is_let_go() {
    let Some(_first) = Namespace::new("before") else { return };
    let every = Some(Duration::from_millis(100));
    let mut source = Sockets::open(Options { kinds: Kinds::TCP, every, netns: Netns::All, ..Options::default() })
        .expect("sock_diag");
    poll(&mut source);
    let Some(later) = Namespace::new("later") else { return };
    let connected = later.spawn(|| {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        (TcpStream::connect(listener.local_addr().expect("bound")).expect("connected"), listener)
    });
    let (client, listener) = connected.join().expect("done");
    let port = client.local_addr().expect("connected").port();
    let found = poll(&mut source).into_iter().find(|sample| sample.local_port == port).expect("in the next poll");
    let place = source.namespaces().nth(usize::from(found.netns)).expect("it has an index").clone();
    assert_eq!(place.name, later.name);
    drop((client, listener, later));
    let before = source.namespaces().count();
    for _ in 0..3 {
        poll(&mut source);
    }
    assert!(source.namespaces().count() >= before, "indices stay what they are");
    assert_eq!(source.interface_name(found.netns, 1), None, "nothing of it is open");
}
