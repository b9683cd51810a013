//! Our own captures, against what tshark sees in them (`captures/TRUTH.tsv`).

#![allow(clippy::unwrap_used, reason = "a test says what it expects")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../captures")
}

/// One row of the truth.
struct Truth {
    file: String,
    packets: u64,
    wire_bytes: u64,
    tcp_streams: usize,
    udp_streams: usize,
    first_ns: i64,
    last_ns: i64,
}

fn truths() -> Vec<Truth> {
    let text = fs::read_to_string(folder().join("TRUTH.tsv")).expect("captures/make.sh wrote it");
    let nanos = |seconds: &str| seconds.replace('.', "").parse().expect("seconds with nine decimals");
    text.lines()
        .skip(1)
        .map(|line| match line.split('\t').collect::<Vec<_>>()[..] {
            [file, packets, bytes, tcp, udp, _interfaces, first, last] => Truth {
                file: file.to_owned(),
                packets: packets.parse().expect("a number"),
                wire_bytes: bytes.parse().expect("a number"),
                tcp_streams: tcp.parse().expect("a number"),
                udp_streams: udp.parse().expect("a number"),
                first_ns: nanos(first),
                last_ns: nanos(last),
            },
            _ => panic!("eight columns: {line}"),
        })
        .collect()
}

/// The rows and the trailer that `flow conns -o jsonl` prints.
fn conns(file: &str) -> (Vec<Value>, Value) {
    let output = Command::new(env!("CARGO_BIN_EXE_flow"))
        .args(["conns", "-o", "jsonl", "-r"])
        .arg(folder().join(file))
        .output()
        .expect("flow runs");
    assert!(output.status.success(), "{file}: {}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).expect("JSON is UTF-8");
    let mut lines: Vec<Value> =
        text.lines().map(|line| serde_json::from_str(line).expect("one object a line")).collect();
    let trailer = lines.pop().expect("a trailer");
    lines.retain(|line| line["type"] == "conn");
    (lines, trailer)
}

fn sum(rows: &[Value], columns: [&str; 2]) -> u64 {
    rows.iter().flat_map(|row| columns.map(|column| row[column].as_u64().expect("a count"))).sum()
}

#[test]
fn every_capture_has_a_truth() {
    let mut captures: Vec<String> = fs::read_dir(folder())
        .expect("the folder")
        .map(|entry| entry.expect("an entry").file_name().into_string().expect("UTF-8"))
        .filter(|name| name.contains(".pcap"))
        .collect();
    captures.sort();
    let mut known: Vec<String> = truths().into_iter().map(|truth| truth.file).collect();
    known.sort();
    assert_eq!(captures, known);
}

#[test]
fn every_packet_is_seen_and_counted_once() {
    for truth in truths() {
        let (rows, trailer) = conns(&truth.file);
        let trust = &trailer["trust"];
        let count = |name: &str| trust[name].as_u64().unwrap_or_else(|| panic!("{}: no {name}", truth.file));
        assert_eq!(count("delivered"), truth.packets, "{}", truth.file);
        let elsewhere = count("flowless") + count("duplicates") + count("untracked");
        assert_eq!(sum(&rows, ["fwd_packets", "rev_packets"]) + elsewhere, truth.packets, "{}", truth.file);
        if elsewhere == 0 {
            assert_eq!(sum(&rows, ["fwd_wire_bytes", "rev_wire_bytes"]), truth.wire_bytes, "{}", truth.file);
        }
    }
}

#[test]
fn connections_are_as_many_as_tshark_has_streams() {
    for truth in truths() {
        let (rows, _) = conns(&truth.file);
        let of = |transport: &str| rows.iter().filter(|row| row["transport"] == transport).count();
        assert_eq!((of("tcp"), of("udp")), (truth.tcp_streams, truth.udp_streams), "{}", truth.file);
    }
}

#[test]
fn the_first_and_the_last_packet_have_tsharks_times() {
    for truth in truths() {
        let (_, trailer) = conns(&truth.file);
        let times = [trailer["from_ns"].as_i64(), trailer["through_ns"].as_i64()];
        assert_eq!(times, [Some(truth.first_ns), Some(truth.last_ns)], "{}", truth.file);
    }
}

#[test]
fn packets_seen_on_both_ports_of_a_bridge_are_counted_once() {
    let (rows, trailer) = conns("mixed.pcapng");
    let tunnelled: Vec<_> = rows.iter().filter(|row| row["src_ip"] == "198.51.100.2").collect();
    assert_eq!(tunnelled.len(), 2, "a ping and a connection through the tunnel: {tunnelled:#?}");
    let stream = rows.iter().find(|row| row["transport"] == "udp" && row["dst_port"] == 9000).expect("the datagrams");
    // udp.py sends 20 and gets 20.
    assert_eq!((stream["fwd_packets"].as_u64(), stream["rev_packets"].as_u64()), (Some(20), Some(20)));
    assert_eq!(stream["duplicate_packets"], 40);
    assert!(trailer["trust"]["duplicates"].as_u64() > Some(100));
}

#[test]
fn the_ways_a_connection_fails_have_zeeks_names() {
    let (rows, _) = conns("failures.pcap.lz4");
    let states = |port: u64| -> Vec<&str> {
        rows.iter()
            .filter(|row| row["transport"] == "tcp" && row["dst_port"] == port)
            .map(|row| row["state"].as_str().expect("TCP has a state"))
            .collect()
    };
    for refused in [8080, 8081, 8082] {
        assert_eq!(states(refused), ["REJ", "REJ"]);
    }
    assert_eq!(states(81), ["S0", "S0"], "never answered");
    let mut served = states(80);
    served.sort_unstable();
    assert_eq!(served, ["RSTO", "RSTO", "SF"], "two aborted by the client, one half-closed and then closed");
}
