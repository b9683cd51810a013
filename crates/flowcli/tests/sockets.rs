//! `flow sockets` in network namespaces of the test's own, and without privileges. Needs root; says so where it is missing.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::AsFd;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
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
            eprintln!("SKIPPED: network namespaces need root and `ip`");
            return None;
        }
        let namespace = Self(name);
        assert!(ip(&format!("-n {} link set lo up", namespace.0)));
        Some(namespace)
    }

    fn connection(&self) -> Connection {
        Connection::within(Path::new("/run/netns").join(&self.0))
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        ip(&format!("netns del {}", self.0));
    }
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

    /// One whose sockets belong to the namespace of this file.
    fn within(door: PathBuf) -> Self {
        let inside = move || {
            let door = File::open(door).expect("a namespace");
            move_into_link_name_space(door.as_fd(), Some(LinkNameSpaceType::Network)).expect("entered");
            Self::new()
        };
        std::thread::spawn(inside).join().expect("connected")
    }

    /// Whether what one end writes reaches the other.
    fn lives(&mut self) -> bool {
        let mut byte = [0];
        self.client.write_all(&[7]).is_ok() && self.server.read_exact(&mut byte).is_ok() && byte == [7]
    }
}

#[test]
fn kill_closes_what_the_filter_selects_and_only_with_yes() {
    let Some(namespace) = Namespace::new("kill") else { return };
    let (mut meant, mut other) = (namespace.connection(), namespace.connection());
    let filter = format!("src port {}", meant.port);
    let kill =
        |more: &[&str]| flow(&[&["--netns", &namespace.0, "-t", "-o", "jsonl", "--kill", &filter], more].concat());

    let shown = kill(&[]);
    assert!(shown.status.success(), "{}", said(&shown));
    assert_eq!(rows(&shown).len(), 1);
    assert!(rows(&shown)[0]["killed"].is_null());
    assert!(said(&shown).contains("nothing was closed: --yes closes these 1"), "{}", said(&shown));
    assert!(meant.lives() && other.lives());
    let some = kill(&["--yes", "--top", "1"]);
    assert_eq!(some.status.code(), Some(2), "{}", said(&some));
    assert!(meant.lives() && other.lives());

    let killed = kill(&["--yes"]);
    if said(&killed).contains("CONFIG_INET_DIAG_DESTROY") {
        eprintln!("SKIPPED: this kernel cannot close sockets of others");
        return;
    }
    assert!(killed.status.success(), "{}", said(&killed));
    assert_eq!(rows(&killed).len(), 1);
    assert_eq!(rows(&killed)[0]["killed"], true);
    assert!(!meant.lives());
    assert!(other.lives());
    assert!(rows(&kill(&["--yes"])).is_empty(), "it is closed");
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

#[test]
fn kill_without_a_filter_is_refused() {
    let refused = flow(&["-t", "--kill", "--yes"]);
    assert_eq!(refused.status.code(), Some(2), "{}", said(&refused));
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
        eprintln!("SKIPPED: needs unshare");
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
    let connections = [named.connection(), Connection::within(door.clone()), Connection::new()];
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

/// The program where everybody may run it, and a way to run it as nobody.
struct Nobody(tempfile::TempDir);

impl Nobody {
    fn new() -> Option<Self> {
        let place = tempfile::tempdir().expect("a directory");
        fs::set_permissions(place.path(), fs::Permissions::from_mode(0o755)).expect("opened");
        let program = place.path().join("flow");
        if fs::hard_link(FLOW, &program).is_err() {
            fs::copy(FLOW, &program).expect("copied");
        }
        let nobody = Self(place);
        if !nobody.command("--version").output().is_ok_and(|output| output.status.success()) {
            eprintln!("SKIPPED: to become nobody needs root and setpriv");
            return None;
        }
        Some(nobody)
    }

    fn command(&self, first: &str) -> Command {
        let mut command = bounded("setpriv");
        command.args(["--reuid", "65534", "--regid", "65534", "--clear-groups"]);
        command.arg(self.0.path().join("flow")).arg(first);
        command
    }

    fn flow(&self, arguments: &[&str]) -> Output {
        self.command("sockets").args(arguments).output().expect("runs")
    }
}

#[test]
fn nobody_is_given_what_is_permitted_and_told_in_one_line_what_is_not() {
    let Some(nobody) = Nobody::new() else { return };
    let mut connection = Connection::new();
    let filter = format!("port {}", connection.port);
    let arguments = ["-tae", "-o", "jsonl", &filter];
    let (as_root, as_nobody) = (flow(&arguments), nobody.flow(&arguments));
    assert!(as_nobody.status.success(), "{}", said(&as_nobody));
    // The listener and both ends; all but the mark is everybody's.
    let permitted = |output: &Output| {
        let mut rows = rows(output);
        rows.iter_mut().for_each(|row| row["mark"] = Value::Null);
        rows
    };
    assert_eq!(permitted(&as_nobody).len(), 3);
    assert_eq!(permitted(&as_nobody), permitted(&as_root));
    assert!(rows(&as_nobody).iter().all(|row| row["mark"].is_null()), "unknown is not 0");
    let told = said(&as_nobody);
    assert_eq!(told.lines().count(), 1, "{told}");
    assert!(told.contains("not permitted") && told.contains("CAP_NET_ADMIN"), "{told}");
    assert!(!said(&as_root).contains("CAP_NET_ADMIN"), "{}", said(&as_root));

    // Also if there is one more thing that he may not see.
    let told = said(&nobody.flow(&["-tap", &filter]));
    assert_eq!(told.lines().count(), 1, "{told}");
    assert!(["CAP_NET_ADMIN", "CAP_SYS_PTRACE", "run as root"].iter().all(|part| told.contains(part)), "{told}");

    let killed = nobody.flow(&["-t", "--kill", "--yes", &filter]);
    assert!(killed.status.code() == Some(4) && said(&killed).contains("CAP_NET_ADMIN"), "{}", said(&killed));
    assert!(connection.lives());
}

#[test]
fn nobody_is_not_told_that_who_waits_at_a_door_is_gone() {
    let Some(nobody) = Nobody::new() else { return };
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let addr = listener.local_addr().expect("bound");
    let _waits = TcpStream::connect(addr).expect("in the queue");
    let filter = format!("src port {} and dst port > 0", addr.port());
    let arguments = ["-tap", "-o", "jsonl", "--columns", COLUMNS, &filter];
    let evidence = |output: &Output| holders(output)[3].clone();
    assert_eq!(evidence(&flow(&arguments)), "listener");
    assert_eq!(evidence(&nobody.flow(&arguments)), "not permitted");
}

#[test]
fn nobody_asking_for_all_namespaces_is_given_his_own() {
    let Some(nobody) = Nobody::new() else { return };
    let Some(namespace) = Namespace::new("nobody") else { return };
    let connection = Connection::new();
    let filter = format!("src port {}", connection.port);
    let output = nobody.flow(&["--netns", "all", "-t", "-o", "jsonl", &filter]);
    assert!(output.status.success(), "{}", said(&output));
    assert_eq!(rows(&output).len(), 1, "{}", said(&output));
    let told = said(&output);
    assert_eq!(told.lines().count(), 1, "{told}");
    for part in ["CAP_NET_ADMIN", "CAP_SYS_PTRACE", "CAP_SYS_ADMIN", &namespace.0] {
        assert!(told.contains(part), "{part}: {told}");
    }
    // A program reads it too: TCP of a closed namespace at least, and of those that are not known.
    let refused = |arguments: &[&str]| {
        let output = nobody.flow(arguments);
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let trailer: Value = serde_json::from_str(text.lines().last().expect("a trailer")).expect("JSON");
        trailer["trust"]["sockets"]["refused"].as_u64().expect("a number")
    };
    assert!(refused(&["--netns", "all", "-t", "-o", "jsonl"]) >= 2);
    assert_eq!(refused(&["-t", "-o", "jsonl"]), 0, "his own is asked whole");
    for closed in [&namespace.0, "1"] {
        let output = nobody.flow(&["--netns", closed, "-t"]);
        assert_eq!(output.status.code(), Some(4), "a permission is missing: {}", said(&output));
        assert!(said(&output).contains("CAP_SYS_"), "{}", said(&output));
    }
}

/// A program that holds a listener as its standard input, until the test ends.
fn heir(program: &[&str], listener: &TcpListener) -> Ended {
    let copy = listener.as_fd().try_clone_to_owned().expect("a descriptor");
    Ended(Command::new(program[0]).args(&program[1..]).stdin(copy).spawn().expect("the program runs"))
}

const COLUMNS: &str = "pid,process,shared_with,process_evidence";

/// Who holds the one socket that a filter selects, from what was printed.
fn holders(output: &Output) -> Value {
    let rows = rows(output);
    assert_eq!(rows.len(), 1, "{}", said(output));
    let of = |name: &str| rows[0][name].clone();
    Value::Array(COLUMNS.split(',').map(of).collect())
}

#[test]
fn a_socket_has_the_name_of_its_holder_or_none() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let filter = format!("src port {}", listener.local_addr().expect("bound").port());
    let arguments = ["-tl", "-o", "jsonl", "--columns", COLUMNS, &filter];
    let first = heir(&["sleep", "60"], &listener);
    let second = heir(&["tail", "-f", "/dev/null"], &listener);
    // From here on nobody inherits it from the test.
    drop(listener);

    let shared = flow(&arguments);
    let other = format!("{}/tail", second.0.id());
    assert_eq!(holders(&shared), serde_json::json!([first.0.id(), "sleep", other, "shared"]));
    drop(second);
    let columns = "process_command,process_exe,process_threads,process_cgroup";
    let detailed = flow(&["-tl", "-o", "jsonl", "--columns", columns, &filter]);
    let row = rows(&detailed).remove(0);
    let link = |name: &str| fs::read_link(format!("/proc/{}/{name}", first.0.id())).expect("/proc");
    assert_eq!(row["process_command"], "sleep 60");
    assert_eq!(row["process_exe"], link("exe").to_str().expect("text"));
    assert_eq!(row["process_threads"], 1);
    let cgroup = fs::read_to_string(format!("/proc/{}/cgroup", first.0.id())).expect("/proc");
    assert!(row["process_cgroup"].as_str().is_none_or(|own| cgroup.contains(own)), "{row} {cgroup}");
    assert_eq!(holders(&flow(&arguments)), serde_json::json!([first.0.id(), "sleep", null, "exact"]));

    let mut contained = bounded("unshare");
    contained.args(["--pid", "--fork", "--mount-proc", FLOW, "sockets"]).args(arguments);
    let contained = contained.output().expect("runs");
    if said(&contained).starts_with("unshare") {
        eprintln!("SKIPPED: a /proc without others needs root and unshare");
    } else {
        assert_eq!(holders(&contained), serde_json::json!([null, null, null, "not permitted"]));
        assert!(said(&contained).contains("outside of this container"), "{}", said(&contained));
    }

    let Some(nobody) = Nobody::new() else { return };
    let forbidden = nobody.flow(&arguments);
    assert_eq!(holders(&forbidden), serde_json::json!([null, null, null, "not permitted"]));
    let notes = said(&forbidden);
    assert_eq!(notes.matches("CAP_SYS_PTRACE").count(), 1, "{notes}");
    assert!(!said(&flow(&arguments)).contains("CAP_SYS_PTRACE"));
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
fn a_filter_selects_sockets_by_who_holds_them() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("bound").port();
    let first = heir(&["sleep", "60"], &listener);
    let second = heir(&["tail", "-f", "/dev/null"], &listener);
    drop(listener);
    let select = |filter: &str| {
        let output = flow(&["-l", "-o", "jsonl", &format!("src port {port} and ({filter})")]);
        assert!(output.status.success(), "{filter}: {}", said(&output));
        rows(&output).len()
    };
    for (filter, selected) in [
        ("process sleep".to_owned(), 1),
        ("process {nginx, tail}".to_owned(), 1),
        ("process sleep and process tail".to_owned(), 1),
        ("process != sleep or not process tail".to_owned(), 0),
        ("process nginx or udp".to_owned(), 0),
        ("process nginx or tcp".to_owned(), 1),
        (format!("pid {}", first.0.id()), 1),
        (format!("pid {} and process tail", second.0.id()), 1),
        (format!("pid < {}", first.0.id().min(second.0.id())), 0),
    ] {
        assert_eq!(select(&filter), selected, "{filter}");
    }
    let counted = flow(&["-s", "-o", "csv", "--no-header", &format!("src port {port} and process tail")]);
    let text = String::from_utf8_lossy(&counted.stdout);
    assert_eq!(text.lines().filter(|line| !line.starts_with('#')).count(), 1, "{text}");
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
fn kill_spares_what_others_hold() {
    let Some(namespace) = Namespace::new("spare") else { return };
    let mut connection = namespace.connection();
    let filter = format!("src port {} and process nobody-has-this", connection.port);
    let output = flow(&["--netns", &namespace.0, "-t", "-o", "jsonl", "--kill", "--yes", &filter]);
    assert!(rows(&output).is_empty() && connection.lives(), "{}", said(&output));
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
fn every_poll_is_a_table_the_last_one_too() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("bound");
    let port = listener.local_addr().expect("bound").port().to_string();
    let output = flow(&["-tl", "--every", "100ms", "-c", "3", &format!("src port {port}")]);
    assert!(output.status.success(), "{}", said(&output));
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let count = |what: &dyn Fn(&str) -> bool| text.lines().filter(|line| what(line)).count();
    assert_eq!(count(&|line| line.split_whitespace().any(|word| word == port)), 3, "{text}");
    assert_eq!(count(&|line| line.contains("LPORT")), 3, "{text}");
    assert_eq!(count(&|line| line.starts_with("trust: ")), 1, "{text}");
    // Other tests of this file listen meanwhile.
    assert!(text.lines().last().is_some_and(|line| line.contains("3 sockets selected in 3 polls;")), "{text}");
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

/// `flow sockets --every` while something happens; its rows as they come.
struct Watching {
    child: Ended,
    lines: std::io::Lines<BufReader<std::process::ChildStdout>>,
}

impl Watching {
    fn new(arguments: &[&str]) -> Self {
        let mut command = bounded(FLOW);
        command.args(["sockets", "-o", "jsonl"]).args(arguments).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = Ended(command.spawn().expect("runs"));
        let lines = BufReader::new(child.0.stdout.take().expect("piped")).lines();
        Self { child, lines }
    }

    /// The next row that is meant.
    fn until(&mut self, is_meant: impl Fn(&Value) -> bool) -> Value {
        for line in self.lines.by_ref() {
            let row: Value = serde_json::from_str(&line.expect("text")).expect("JSON");
            if row["type"] == "socket" && is_meant(&row) {
                return row;
            }
        }
        panic!("it ended before: {:?}", self.child.0.wait())
    }
}

impl Drop for Watching {
    /// Asks `timeout` to end, which hands that on: killed, it would leave behind whom it watches.
    fn drop(&mut self) {
        let _ = Command::new("kill").arg(self.child.0.id().to_string()).status();
        let _ = self.child.0.wait();
    }
}

#[test]
fn a_connection_that_ended_has_the_process_that_held_it() {
    let Some(namespace) = Namespace::new("ended") else { return };
    let connection = namespace.connection();
    let port: u64 = connection.port.parse().expect("a number");
    let mut watching = Watching::new(&["--netns", &namespace.0, "-tp", "--every", "100ms"]);
    let is_client = |row: &Value| row["remote_port"] == port && row["ended"] == false;
    assert_eq!(watching.until(is_client)["pid"], std::process::id());
    drop(connection);
    let last = watching.until(|row| row["remote_port"] == port && row["ended"] == true);
    assert_eq!((&last["pid"], &last["state"] != "listen"), (&Value::from(std::process::id()), true), "{last}");
}

#[test]
fn a_connection_that_was_reset_ends_with_its_ports_also_behind_a_filter() {
    let Some(namespace) = Namespace::new("reset") else { return };
    let Connection { port, client, mut server, _listener } = namespace.connection();
    let filter = format!("dst port {port}");
    let mut watching = Watching::new(&["--netns", &namespace.0, "-t", "--every", "100ms", &filter]);
    let begun = watching.until(|row| row["ended"] == false);
    // So the close is a reset, and the kernel forgets where the connection went.
    rustix::net::sockopt::set_socket_linger(&client, Some(Duration::ZERO)).expect("set");
    drop(client);
    assert!(server.read(&mut [0]).is_err(), "reset");
    let last = watching.until(|row| row["ended"] == true);
    for same in ["cookie", "local_ip", "local_port", "remote_ip", "remote_port"] {
        assert_eq!(last[same], begun[same], "{same}: {last}");
    }
    // Its counters began again.
    assert!(last["sent_packets"].is_null() && last["segs_out"].is_null(), "unknown is not 0: {last}");
}

#[test]
fn only_what_ends_is_an_event() {
    let Some(namespace) = Namespace::new("events") else { return };
    let (going, _staying) = (namespace.connection(), namespace.connection());
    let port: u64 = going.port.parse().expect("a number");
    let mut watching = Watching::new(&["--netns", &namespace.0, "-E", "--every", "100ms"]);
    // It listens before it prints anything.
    let header = watching.lines.next().expect("a header").expect("text");
    assert!(header.contains("\"header\""), "{header}");
    drop(going);
    let first = watching.until(|_| true);
    assert_eq!(first["ended"], true, "{first}");
    assert!(first["remote_port"] == port || first["local_port"] == port, "{first}");
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
fn a_connection_that_nobody_has_accepted_is_its_listeners() {
    let Some(namespace) = Namespace::new("waiting") else { return };
    let door = Path::new("/run/netns").join(&namespace.0);
    let inside = move || {
        let door = File::open(door).expect("a namespace");
        move_into_link_name_space(door.as_fd(), Some(LinkNameSpaceType::Network)).expect("entered");
        let listener = TcpListener::bind("[::]:0").expect("a port");
        let port = listener.local_addr().expect("bound").port();
        let client = TcpStream::connect(("127.0.0.1", port)).expect("connected");
        (listener, client, port)
    };
    let (_listener, _client, port) = std::thread::spawn(inside).join().expect("connected");
    let filter = format!("src port {port}");
    let output = flow(&["--netns", &namespace.0, "-t", "-o", "jsonl", "--columns", COLUMNS, &filter]);
    let holders = holders(&output);
    assert_eq!((&holders[0], &holders[3]), (&Value::from(std::process::id()), &Value::from("listener")), "{holders}");
}

#[test]
fn what_does_not_count_and_what_has_no_poll_before_it_has_no_increments() {
    let Some(namespace) = Namespace::new("uncounted") else { return };
    let _connection = namespace.connection();
    let arguments =
        ["--netns", &namespace.0, "--every", "50ms", "-c", "3", "-o", "jsonl", "-t", "--state", "established"];
    let columns = ["--columns", "time_ns,kind,sent_packets,received_packets,sent_data_bytes,received_data_bytes,ended"];
    let output = rows(&flow(&[&arguments[..], &columns].concat()));
    let first = &output[0]["time_ns"];
    let (before, after): (Vec<_>, Vec<_>) = output.iter().partition(|row| &row["time_ns"] == first);
    assert_eq!((before.len(), after.len()), (2, 4), "{output:?}");
    for column in ["sent_packets", "received_packets", "sent_data_bytes", "received_data_bytes"] {
        assert!(before.iter().all(|row| row[column].is_null()), "{column}: {before:?}");
        assert!(after.iter().all(|row| row[column] == 0), "{column}: {after:?}");
    }
    assert!(output.iter().all(|row| row["ended"] == false));

    let socket = std::net::UdpSocket::bind("127.0.0.1:0").expect("bound");
    let filter = format!("src port {}", socket.local_addr().expect("bound").port());
    let output = rows(&flow(&["-ua", "--every", "50ms", "-c", "2", "-o", "jsonl", columns[0], columns[1], &filter]));
    assert_eq!(output.len(), 2);
    assert!(output.iter().all(|row| row["sent_packets"].is_null() && row["received_data_bytes"].is_null()));
}

#[test]
fn options_may_be_given_twice_as_with_ss() {
    let output = flow(&["-t", "-t", "-ta", "-tinm", "-o", "jsonl"]);
    assert!(output.status.success(), "{}", said(&output));
}

#[test]
fn a_bound_socket_is_not_told_to_be_gone_when_it_cannot_be_closed() {
    let Some(namespace) = Namespace::new("bound") else { return };
    let inside = || {
        let own = std::fs::File::open(format!("/run/netns/{}", namespace.0)).expect("a namespace");
        rustix::thread::move_into_link_name_space(own.as_fd(), None).expect("entered");
        let socket = rustix::net::socket(rustix::net::AddressFamily::INET, rustix::net::SocketType::STREAM, None);
        let socket = socket.expect("a socket");
        let address = std::net::SocketAddrV4::new(std::net::Ipv4Addr::LOCALHOST, 5_555);
        rustix::net::bind(&socket, &address).expect("bound");
        socket
    };
    let _socket = std::thread::scope(|scope| scope.spawn(inside).join().expect("bound"));
    let output = flow(&["--netns", &namespace.0, "-ta", "-K", "--yes", "src port 5555"]);
    let told = said(&output);
    assert!(!output.status.success() && told.contains("bound") && !told.contains("gone"), "{told}");
}

#[test]
fn a_summary_may_be_made_again_and_again() {
    let Some(namespace) = Namespace::new("summaries") else { return };
    let _connection = namespace.connection();
    let arguments = ["--netns", &namespace.0, "-st", "--every", "50ms", "-c", "3"];
    let output = flow(&[&arguments[..], &["-o", "jsonl"]].concat());
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let lines = text.lines().map(|line| serde_json::from_str::<Value>(line).expect("JSON"));
    let counts: Vec<_> = lines.filter(|row| row["state"] == "established").collect();
    let times: std::collections::BTreeSet<_> = counts.iter().map(|row| row["time_ns"].as_u64()).collect();
    assert!(counts.iter().all(|row| row["sockets"] == 2), "{text}");
    assert_eq!((counts.len(), times.len()), (3, 3), "{text}");
    let table = String::from_utf8_lossy(&flow(&arguments).stdout).into_owned();
    assert_eq!(table.lines().filter(|line| line.contains("SOCKETS")).count(), 3, "{table}");
    assert_eq!(table.matches("trust:").count(), 1, "{table}");
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
