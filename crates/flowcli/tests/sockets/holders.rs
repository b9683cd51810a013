//! Who holds a socket.

use std::fs;
use std::io::Write;
use std::net::{TcpListener, TcpStream};
use std::os::fd::AsFd;
use std::process::{Command, Output};

use serde_json::Value;

use crate::nobody::Nobody;
use crate::{Ended, FLOW, Namespace, bounded, flow, rows, said};

/// A program that holds a listener as its standard input, until the test ends.
fn heir(program: &[&str], listener: &TcpListener) -> Ended {
    let copy = listener.as_fd().try_clone_to_owned().expect("a descriptor");
    Ended(Command::new(program[0]).args(&program[1..]).stdin(copy).spawn().expect("the program runs"))
}

pub const COLUMNS: &str = "pid,process,shared_with,process_evidence";

/// Who holds the one socket that a filter selects, from what was printed.
pub fn holders(output: &Output) -> Value {
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
        let _ = writeln!(std::io::stderr(), "SKIPPED: a /proc without others needs root and unshare");
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
fn a_connection_that_nobody_has_accepted_is_its_listeners() {
    let Some(namespace) = Namespace::new("waiting") else { return };
    let (_listener, _client, port) = namespace.within(|| {
        let listener = TcpListener::bind("[::]:0").expect("a port");
        let port = listener.local_addr().expect("bound").port();
        let client = TcpStream::connect(("127.0.0.1", port)).expect("connected");
        (listener, client, port)
    });
    let filter = format!("src port {port}");
    let output = flow(&["--netns", &namespace.0, "-t", "-o", "jsonl", "--columns", COLUMNS, &filter]);
    let holders = holders(&output);
    assert_eq!((&holders[0], &holders[3]), (&Value::from(std::process::id()), &Value::from("listener")), "{holders}");
}
