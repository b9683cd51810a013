//! One connection seen by three: the kernel's socket, our analysis of its packets captured beside it, and nginx.
//!
//! Needs root, iproute2, ethtool, nftables, tcpdump and nginx (Debian's nginx-light); says so where it is skipped.
#![allow(clippy::unwrap_used, reason = "a test whose preparation fails has failed")]
#![allow(clippy::print_stdout, reason = "the table is what the test is for")]

use std::io::Write;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

/// The first row of JSON Lines that is of the type.
fn row(path: &Path, kind: &str) -> Value {
    let text = std::fs::read_to_string(path).unwrap();
    let mut lines = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    lines.find(|line| line["type"] == kind).unwrap_or_else(|| panic!("no {kind} in {text}"))
}

/// What is missing here to run.
fn missing() -> Option<String> {
    let answers = |program: &&&str| {
        Command::new("sh")
            .args(["-c", &format!("command -v {program}")])
            .output()
            .is_ok_and(|output| !output.status.success())
    };
    let user = Command::new("id").arg("-u").output().ok()?;
    if user.stdout != b"0\n" {
        return Some("root".to_owned());
    }
    let programs: Vec<&str> =
        ["bash", "ip", "ethtool", "nft", "tcpdump", "nginx"].iter().filter(answers).copied().collect();
    if !programs.is_empty() {
        return Some(programs.join(", "));
    }
    let space = Command::new("unshare").args(["-n", "true"]).status().ok()?;
    (!space.success()).then(|| "network namespaces".to_owned())
}

#[test]
fn socket_packets_and_server_agree_about_one_connection() {
    if let Some(missing) = missing() {
        let _ = writeln!(
            std::io::stderr(),
            "SKIPPED: socket_packets_and_server_agree_about_one_connection needs {missing}"
        );
        return;
    }
    // Microseconds of a busy machine are not the path's: what the kernel took to look at a packet is in its own samples
    // only. Everything else must agree each time.
    assert!((0..3).any(|_| round_trips_agree()), "three times not: see the tables above");
}

/// Compares everything; tells whether the round trips agree.
fn round_trips_agree() -> bool {
    let folder = tempfile::tempdir().unwrap();
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/beside/run.sh");
    let output = Command::new("bash").arg(script).arg(env!("CARGO_BIN_EXE_flow")).arg(folder.path()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let at = |name: &str| folder.path().join(name);
    let (socket, lat, conn) = (row(&at("vol"), "volume"), row(&at("lat"), "latency"), row(&at("conns"), "conn"));
    let log = std::fs::read_to_string(at("access.log")).unwrap();
    let log: Vec<Vec<u64>> =
        log.lines().map(|line| line.split(' ').map(|number| number.parse().unwrap()).collect()).collect();
    let number = |row: &Value, column: &str| row[column].as_u64().unwrap_or_else(|| panic!("no {column} in {row}"));

    // The server is the responder. nginx's second line has the round-trip time after the download.
    // Its SYN-ACK was sent by what stood for the socket before there was one, and is not among the segments out.
    let micros = |nanos: u64| nanos / 1_000;
    let table = [
        ("bytes out", number(&socket, "bytes_out"), number(&conn, "rev_stream_bytes"), Some(log[0][2])),
        ("bytes in", number(&socket, "bytes_in"), number(&conn, "fwd_stream_bytes"), Some(log[0][3])),
        ("bytes sent", number(&socket, "bytes_sent"), number(&conn, "rev_payload_bytes"), None),
        ("segments out", number(&socket, "segments_out"), number(&conn, "rev_packets") - 1, None),
        ("segments in", number(&socket, "segments_in"), number(&conn, "fwd_packets"), None),
        ("retransmissions", number(&socket, "retrans"), number(&conn, "rev_retrans"), None),
        ("rtt, µs", micros(number(&socket, "rtt_ns")), micros(number(&lat, "rtt_ns")), Some(log[1][0])),
    ];
    println!("{:<16} {:>10} {:>10} {:>10}", "", "tcp_info", "packets", "nginx");
    for (name, socket, packets, nginx) in &table {
        let nginx = nginx.map_or("-".to_owned(), |nginx| nginx.to_string());
        println!("{name:<16} {socket:>10} {packets:>10} {nginx:>10}");
    }
    for (name, socket, packets, nginx) in &table[..6] {
        assert_eq!(socket, packets, "{name}");
        assert!(nginx.is_none_or(|nginx| nginx == *socket), "{name}: nginx has {nginx:?}, the socket {socket}");
    }
    assert!(table[5].1 > 0, "the router drops packets");
    let (_, socket, packets, nginx) = table[6];
    // The same kernel's, but up to three samples later (each moves it by an eighth): the second answer's own
    // acknowledgments come back before nginx writes its log.
    let same_kernel = nginx.is_some_and(|nginx| nginx.abs_diff(socket) <= socket / 3 + 50);
    // Smoothed over the same round trips, but for those that only one of the two may time (SACK, Karn's rule).
    same_kernel && socket.abs_diff(packets) <= socket.max(packets) / 2 + 200
}
