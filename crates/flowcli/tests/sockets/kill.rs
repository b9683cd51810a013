//! `flow sockets --kill`.

use crate::{Namespace, flow, rows, said};
use std::io::Write;

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
        let _ = writeln!(std::io::stderr(), "SKIPPED: this kernel cannot close sockets of others");
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
fn kill_without_a_filter_is_refused() {
    let refused = flow(&["-t", "--kill", "--yes"]);
    assert_eq!(refused.status.code(), Some(2), "{}", said(&refused));
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
fn a_bound_socket_is_not_told_to_be_gone_when_it_cannot_be_closed() {
    let Some(namespace) = Namespace::new("bound") else { return };
    let _socket = namespace.within(|| {
        let socket = rustix::net::socket(rustix::net::AddressFamily::INET, rustix::net::SocketType::STREAM, None);
        let socket = socket.expect("a socket");
        let address = std::net::SocketAddrV4::new(std::net::Ipv4Addr::LOCALHOST, 5_555);
        rustix::net::bind(&socket, &address).expect("bound");
        socket
    });
    let output = flow(&["--netns", &namespace.0, "-ta", "-K", "--yes", "src port 5555"]);
    let told = said(&output);
    assert!(!output.status.success() && told.contains("bound") && !told.contains("gone"), "{told}");
}
