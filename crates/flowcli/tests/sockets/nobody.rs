//! What a user without privileges is given and told.

use std::fs;
use std::io::Write;
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Output};

use serde_json::Value;

use crate::holders::{COLUMNS, holders};
use crate::{Connection, FLOW, Namespace, bounded, flow, rows, said};

/// The program where everybody may run it, and a way to run it as nobody.
pub struct Nobody(tempfile::TempDir);

impl Nobody {
    pub fn new() -> Option<Self> {
        let place = tempfile::tempdir().expect("a directory");
        fs::set_permissions(place.path(), fs::Permissions::from_mode(0o755)).expect("opened");
        let program = place.path().join("flow");
        if fs::hard_link(FLOW, &program).is_err() {
            fs::copy(FLOW, &program).expect("copied");
        }
        let nobody = Self(place);
        if !nobody.command("--version").output().is_ok_and(|output| output.status.success()) {
            let _ = writeln!(std::io::stderr(), "SKIPPED: to become nobody needs root and setpriv");
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

    pub fn flow(&self, arguments: &[&str]) -> Output {
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
fn nobody_is_told_of_sockets_that_a_filter_by_process_could_not_decide() {
    let Some(nobody) = Nobody::new() else { return };
    let connection = Connection::new();
    let told = said(&nobody.flow(&["-t", &format!("process nginx and port {}", connection.port)]));
    assert!(told.contains("could not be decided for 2 sockets"), "{told}");
    let filter = format!("process nginx and port {}", connection.port);
    let told = said(&nobody.command("vol").args(["-i", "50ms", &filter]).output().expect("runs"));
    assert!(told.contains("could not be decided for 2 sockets"), "of the latest poll: {told}");
    let told = said(&nobody.flow(&["-t", &format!("port {}", connection.port)]));
    assert!(!told.contains("decided"), "{told}");
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
