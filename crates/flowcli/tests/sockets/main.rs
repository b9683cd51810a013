//! `flow sockets` in network namespaces of the test's own, and without privileges. Needs root; says so where it is missing.

mod holders;
mod kill;
mod nobody;
mod polls;

use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::thread::sleep;
use std::time::Duration;

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use serde_json::Value;

const FLOW: &str = env!("CARGO_BIN_EXE_flow");

/// A command that ends by itself in half a minute.
fn bounded(program: impl AsRef<std::ffi::OsStr>) -> Command {
    let mut command = Command::new("timeout");
    command.args(["--kill-after", "5", "30"]).arg(program).stdin(Stdio::null());
    command
}

fn succeeds(mut command: Command) -> bool {
    command.output().is_ok_and(|output| output.status.success())
}

fn ip(arguments: &str) -> bool {
    let mut command = bounded("ip");
    command.args(arguments.split(' '));
    succeeds(command)
}

fn flow(arguments: &[&str]) -> Output {
    bounded(FLOW).arg("sockets").args(arguments).output().expect("runs")
}

fn rows(output: &Output) -> Vec<Value> {
    let text = String::from_utf8_lossy(&output.stdout);
    let all = text.lines().map(|line| serde_json::from_str::<Value>(line).expect("JSON"));
    all.filter(|row| row["type"] == "socket").collect()
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// A namespace with loopback up; gone when this is.
struct Namespace(String);

impl Namespace {
    /// `None`, with the reason printed, where none can be made.
    fn new(purpose: &str) -> Option<Self> {
        let name = format!("flowcli-{purpose}-{}", std::process::id());
        if !ip(&format!("netns add {name}")) {
            let _ = writeln!(std::io::stderr(), "SKIPPED: network namespaces need root and `ip`");
            return None;
        }
        let namespace = Self(name);
        assert!(ip(&format!("-n {} link set lo up", namespace.0)));
        Some(namespace)
    }

    fn connection(&self) -> Connection {
        self.within(Connection::new)
    }

    /// What is done in the namespace.
    fn within<T: Send>(&self, act: impl FnOnce() -> T + Send) -> T {
        within(&Path::new("/run/netns").join(&self.0), act)
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        ip(&format!("netns del {}", self.0));
    }
}

/// What is done in the network namespace of a file, by a thread that enters it.
fn within<T: Send>(door: &Path, act: impl FnOnce() -> T + Send) -> T {
    let inside = || {
        let door = File::open(door).expect("a namespace");
        move_into_link_name_space(door.as_fd(), Some(LinkNameSpaceType::Network)).expect("entered");
        act()
    };
    std::thread::scope(|scope| scope.spawn(inside).join().expect("done"))
}

/// A listener and both ends of a connection to it.
struct Connection {
    port: String,
    _listener: TcpListener,
    client: TcpStream,
    server: TcpStream,
}

impl Connection {
    fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("bound");
        let client = TcpStream::connect(address).expect("connected");
        let (server, _) = listener.accept().expect("accepted");
        for end in [&client, &server] {
            end.set_read_timeout(Some(Duration::from_secs(10))).expect("set");
        }
        Self { port: address.port().to_string(), _listener: listener, client, server }
    }

    /// Whether what one end writes reaches the other.
    fn lives(&mut self) -> bool {
        let mut byte = [0];
        self.client.write_all(&[7]).is_ok() && self.server.read_exact(&mut byte).is_ok() && byte == [7]
    }
}

#[test]
fn of_a_connection_that_is_not_answered_nothing_is_long_ago() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let addr = listener.local_addr().expect("bound");
    // Room for one that waits: whoever comes then gets no answer.
    rustix::net::listen(&listener, 0).expect("a shorter queue");
    let waits = TcpStream::connect(addr).expect("in the queue");
    let asks = std::thread::spawn(move || TcpStream::connect_timeout(&addr, Duration::from_secs(20)).map(drop));
    let columns = "state,last_sent_ns,last_received_ns,last_ack_ns";
    let filter = format!("dst port {}", addr.port());
    let ask = || rows(&flow(&["-t", "--state", "established,syn_sent", "-o", "jsonl", "--columns", columns, &filter]));
    let of = |rows: &[Value], state: &str| rows.iter().find(|row| row["state"] == state).cloned();
    let rows = (0..200).map(|_| ask()).find(|rows| of(rows, "syn_sent").is_some()).expect("it asks");
    let (asking, established) =
        (of(&rows, "syn_sent").expect("found"), of(&rows, "established").expect("in the queue"));
    for column in columns.split(',').skip(1) {
        assert!(asking[column].is_null(), "{column}: {asking}");
        assert!(established[column].as_u64().is_some_and(|since| since < 60_000_000_000), "{column}: {established}");
    }
    // There is room again.
    drop((listener.accept().expect("waits"), waits));
    drop(listener);
    let _ = asks.join();
}

/// A child that is ended with the test.
struct Ended(Child);

impl Drop for Ended {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn all_namespaces_are_those_with_a_name_and_those_with_a_process() {
    let Some(named) = Namespace::new("all") else { return };
    let child = Command::new("unshare")
        .args(["--net", "--", "sh", "-c", "ip link set lo up && exec sleep 60"])
        .stdin(Stdio::null())
        .spawn();
    let Ok(child) = child else {
        let _ = writeln!(std::io::stderr(), "SKIPPED: needs unshare");
        return;
    };
    let child = Ended(child);
    let door = PathBuf::from(format!("/proc/{}/ns/net", child.0.id()));
    let name = PathBuf::from(format!("/proc/{}/comm", child.0.id()));
    let inode = |path: &Path| fs::metadata(path).map_or(0, |meta| meta.ino());
    let own = inode(Path::new("/proc/self/ns/net"));
    for _ in 0..200 {
        // By then its loopback is up.
        if fs::read_to_string(&name).is_ok_and(|text| text == "sleep\n") {
            break;
        }
        sleep(Duration::from_millis(25));
    }
    let connections = [named.connection(), within(&door, Connection::new), Connection::new()];
    let unnamed = format!("net:[{}]", inode(&door));
    assert_ne!(inode(&door), own);

    let output = flow(&["--netns", "all", "-t", "-o", "jsonl"]);
    assert!(output.status.success(), "{}", said(&output));
    let own = format!("net:[{own}]");
    for (place, connection) in [&named.0, &unnamed, &own].into_iter().zip(&connections) {
        let port: u64 = connection.port.parse().expect("a number");
        let here = |row: &&Value| row["netns"] == **place && (row["local_port"] == port || row["remote_port"] == port);
        let rows = rows(&output);
        assert_eq!(rows.iter().filter(here).count(), 2, "{place} {port}: {rows:?}");
    }
    let one = flow(&["--netns", &child.0.id().to_string(), "-t", "-o", "jsonl"]);
    assert_eq!(rows(&one).len(), 2, "a process id is a way to its namespace: {}", said(&one));
}

#[test]
fn what_no_socket_can_answer_is_refused_with_both_names() {
    for (filter, field, remedy) in [
        ("syn", "`flags`", "packets of captures have it"),
        ("host 192.0.2.1 and ttl 3", "`ttl`", "packets of captures have it"),
        ("handshake > 1ms", "`handshake`", "`rtt` is its smoothed round-trip time"),
        ("exporter 192.0.2.1", "`exporter`", "only exported flow records have it"),
        ("state SF", "state of a connection", "of sockets `state established`"),
    ] {
        for command in ["sockets", "lat", "vol", "cpu"] {
            let output = bounded(FLOW).args([command, filter]).output().expect("runs");
            assert_eq!(output.status.code(), Some(2), "{command} {filter}");
            let told = said(&output);
            assert!(told.contains(&format!("sockets have no {field}")) && told.contains(remedy), "{told}");
        }
    }
    for command in ["lat", "vol", "cpu"] {
        let output = bounded(FLOW).args([command, "dev eth0"]).output().expect("runs");
        assert_eq!(output.status.code(), Some(2), "{command}");
        assert!(said(&output).contains("`flow sockets` selects by it"), "{}", said(&output));
    }
}

#[test]
fn a_filter_selects_sockets_by_what_the_kernel_counts() {
    let Some(namespace) = Namespace::new("counted") else { return };
    let mut connection = namespace.connection();
    assert!(connection.lives());
    let all = |more: &[&str]| flow(&[&["--netns", &namespace.0, "-o", "jsonl"], more].concat());
    let one = rows(&all(&["-te", &format!("src port {}", connection.port)])).remove(0);
    let (rtt, uid) = (one["rtt_ns"].as_u64().expect("timed"), one["uid"].as_u64().expect("owned"));
    let mut filters = vec![
        (format!("rtt = {rtt}ns and bytes = 1 and retrans = 0 and uid {uid}"), 1),
        (format!("rtt < {rtt}ns or bytes > 1 or retrans > 0 or uid != {uid} or packets = 0 or mark 7"), 0),
        ("not dev lo and mark 0".to_owned(), 1),
    ];
    if let Some(cgroup) = one["cgroup"].as_str() {
        filters.push((format!("cgroup \"{cgroup}\""), 1));
        filters.push((format!("cgroup != \"{cgroup}\""), 0));
    }
    for (filter, selected) in filters {
        let output = all(&["-t", &format!("src port {} and ({filter})", connection.port)]);
        assert_eq!(rows(&output).len(), selected, "{filter}: {one}");
    }
    // Connections and listener; of the former two ends.
    for (filter, selected) in [
        ("state {listen, ESTAB}", 3),
        ("state listen", 1),
        ("port 1 or state listen", 1),
        ("not state listening and tcp", 2),
        ("state established and bytes > 0 or state time-wait", 2),
    ] {
        assert_eq!(rows(&all(&[filter])).len(), selected, "{filter}");
    }
    assert!(rows(&all(&["-l", "tcp and state established"])).is_empty(), "only -l is asked for");
}

#[test]
fn what_sends_without_a_connection_is_unconnected_not_closed() {
    let socket = std::net::UdpSocket::bind("127.0.0.1:0").expect("a port");
    let filter = format!("src port {}", socket.local_addr().expect("bound").port());
    let shown = flow(&["-ua", "-o", "jsonl", &filter]);
    assert_eq!(rows(&shown)[0]["state"], "unconn", "{}", said(&shown));
    for state in ["unconn", "close"] {
        assert_eq!(rows(&flow(&["-u", "--state", state, "-o", "jsonl", &filter])).len(), 1, "{state}");
    }
}

#[test]
fn a_list_of_sockets_has_none_that_was_made_to_list_them() {
    let Some(namespace) = Namespace::new("own") else { return };
    let mut command = bounded("ip");
    command.args(["netns", "exec", &namespace.0, FLOW, "sockets", "-a", "-o", "jsonl"]);
    let output = command.output().expect("runs");
    assert!(output.status.success(), "{}", said(&output));
    assert_eq!(rows(&output), [] as [Value; 0], "a namespace of nobody's");
}

#[test]
fn an_output_that_takes_no_more_is_named() {
    for arguments in [
        &["--help"] as &[&str],
        &[],
        &["sockets", "--help"],
        &["sockets"],
        &["sockets", "-o", "jsonl"],
        &["lat"],
        &["lat", "--list-columns"],
    ] {
        let full = File::options().write(true).open("/dev/full").expect("/dev/full");
        let output = bounded(FLOW).args(arguments).stdout(full).output().expect("runs");
        assert_eq!(output.status.code(), Some(1), "{arguments:?}");
        assert!(said(&output).contains("standard output: No space left"), "{arguments:?}: {}", said(&output));
    }
}

#[test]
fn the_trust_of_sockets_speaks_of_no_packets() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("bound");
    let port = listener.local_addr().expect("bound").port();
    let output = flow(&["-tl", "-o", "jsonl", &format!("src port {port}")]);
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let trailer: Value = serde_json::from_str(text.lines().last().expect("a trailer")).expect("JSON");
    assert_eq!(trailer["trust"].get("seen"), None, "{text}");
    assert_eq!(trailer["trust"]["sockets"]["seen"], rows(&output).len(), "{text}");
    let output = flow(&["-tl", "-o", "csv", &format!("src port {port}")]);
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(text.contains("# trust: sockets.polls=1 sockets.seen=1 "), "{text}");
}

#[test]
fn what_is_selected_is_counted_alike_wherever_the_filter_runs() {
    let Some(namespace) = Namespace::new("alike") else { return };
    let connection = namespace.connection();
    let filter = format!("port {}", connection.port);
    // Local and packet sockets are never filtered by the kernel.
    for kinds in ["-ta", "-a"] {
        let output = flow(&["--netns", &namespace.0, kinds, "-o", "jsonl", &filter]);
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let trailer: Value = serde_json::from_str(text.lines().last().expect("a trailer")).expect("JSON");
        let sockets = &trailer["trust"]["sockets"];
        assert_eq!((&sockets["seen"], &sockets["filtered"]), (&Value::from(3), &Value::Null), "{kinds}: {text}");
    }
    let output = flow(&["--netns", &namespace.0, "-tl", &filter]);
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(text.contains("trust: 1 socket selected; what the filter leaves out is not counted"), "{text}");
}

#[test]
fn options_may_be_given_twice_as_with_ss() {
    let output = flow(&["-t", "-t", "-ta", "-tinm", "-o", "jsonl"]);
    assert!(output.status.success(), "{}", said(&output));
}

#[test]
fn what_users_of_ss_are_used_to_is_understood() {
    let Some(namespace) = Namespace::new("habits") else { return };
    let connection = namespace.connection();
    let [port, here] = [&connection.port, &namespace.0];
    let (listening, connected) = (format!("state listening sport = :{port}"), format!("dport = :{port}"));
    for (arguments, expected) in [
        (vec![&*listening], 1),
        (vec!["-t", &*connected], 1),
        (vec!["--state", "all", "-t"], 3),
        (vec!["state", "established", "state", "listen"], 3),
    ] {
        let output = flow(&[&["--netns", here, "-o", "jsonl"], &arguments[..]].concat());
        assert_eq!(rows(&output).len(), expected, "{arguments:?}: {}", said(&output));
    }
    let output = flow(&["--netns", here, "-tinmoep"]);
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success() && text.contains("RTT"), "{}", said(&output));
    assert!(said(&output).contains("`-tinmep --timers`"), "{}", said(&output));
    let text = String::from_utf8_lossy(&flow(&["--netns", here, "-tl"]).stdout).into_owned();
    assert!(text.contains("MAX-BACKLOG"), "{text}");
}

#[test]
fn ports_have_the_names_of_their_services() {
    let Connection { port, client, _listener, .. } = &Connection::new();
    let services = tempfile::NamedTempFile::new().expect("a file");
    fs::write(services.path(), format!("ours {port}/tcp\n")).expect("written");
    let resolve = format!("services:{}", services.path().display());
    let own = client.local_addr().expect("connected").port();
    let of_client = |more: &[&str]| flow(&[&["-t", "--resolve", &resolve, &format!("src port {own}")], more].concat());
    let output = of_client(&["-o", "jsonl"]);
    let row = rows(&output).remove(0);
    assert_eq!((&row["remote_service"], &row["remote_port"].to_string()), (&"ours".into(), port), "{row}");
    assert_eq!((&row["local_service"], &row["local_port"]), (&Value::Null, &own.into()), "{row}");
    let text = |output: Output| String::from_utf8_lossy(&output.stdout).into_owned();
    let table = text(of_client(&["--columns", "local_port,remote_port"]));
    assert!(table.lines().nth(1).is_some_and(|row| row.split_whitespace().eq([&*own.to_string(), "ours"])), "{table}");
    // A column of names brings the number back.
    let table = text(of_client(&["--columns", "remote_port,remote_service"]));
    assert!(table.lines().nth(1).is_some_and(|row| row.split_whitespace().eq([port, "ours"])), "{table}");
}

#[test]
fn a_mapped_address_is_not_a_plain_one() {
    let listener = TcpListener::bind("[::ffff:127.0.0.1]:0").expect("a port");
    let filter = format!("src port {}", listener.local_addr().expect("bound").port());
    let text = String::from_utf8_lossy(&flow(&["-tl", &filter]).stdout).into_owned();
    assert!(text.contains("::ffff:127.0.0.1"), "{text}");
    let row = rows(&flow(&["-tl", "-o", "jsonl", &filter])).remove(0);
    // By its address it belongs to the same flows; the family says what it is.
    assert_eq!((&row["local_ip"], &row["family"]), (&"127.0.0.1".into(), &"inet6".into()), "{row}");
}

#[test]
fn a_protocol_that_the_kernel_does_not_have_is_named() {
    let known = fs::read_to_string("/proc/net/protocols").unwrap_or_default();
    let told = said(&flow(&["-dS", "-a"]));
    for kind in ["SCTP", "DCCP"] {
        if !known.lines().any(|line| line.starts_with(kind)) {
            assert!(told.contains(&format!("this kernel has no {kind}")), "{kind}: {told}");
        }
    }
    assert_eq!(said(&flow(&["-a"])), "", "nobody asked for it");
}
