//! `flow sockets --every`: what comes, changes and ends between polls.

use std::io::{BufRead, BufReader, Read};
use std::net::{TcpListener, UdpSocket};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::Value;

use crate::{Connection, Ended, FLOW, Namespace, bounded, flow, rows, said};

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

/// A name server that counts who asks, and says that there is no name if it `answers` at all.
fn name_server(answers: bool) -> (String, Arc<AtomicUsize>) {
    let socket = UdpSocket::bind("127.0.0.1:0").expect("bound");
    let address = socket.local_addr().expect("bound").to_string();
    let asked = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&asked);
    std::thread::spawn(move || {
        let mut buffer = [0; 512];
        while let Ok((length, from)) = socket.recv_from(&mut buffer) {
            count.fetch_add(1, Ordering::SeqCst);
            buffer[2..4].copy_from_slice(&[0x81, 0x83]);
            if answers {
                socket.send_to(&buffer[..length], from).expect("sent");
            }
        }
    });
    (format!("dns:{address}"), asked)
}

#[test]
fn names_are_looked_up_once_for_all_polls_and_hold_none_of_them_up() {
    let connection = Connection::new();
    let filter = format!("port {}", connection.port);
    let polls = |dns: &str| {
        let watched = ["-t", "-o", "jsonl", "--every", "200ms", "-c", "3", "--resolve-wait", "2s", "--resolve", dns];
        let output = flow(&[&watched[..], &[&filter]].concat());
        assert!(output.status.success(), "{}", said(&output));
        rows(&output).iter().map(|row| row["time_ns"].as_u64().expect("a time")).collect::<Vec<_>>()
    };
    let (dns, asked) = name_server(true);
    assert_eq!(polls(&dns).len(), 6);
    // Both ends have one address.
    assert_eq!(asked.load(Ordering::SeqCst), 1);
    let (silent, _) = name_server(false);
    let times = polls(&silent);
    assert_eq!(times.len(), 6);
    assert!(times[5] - times[0] < 3_500_000_000, "two waits would be four seconds: {times:?}");
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
