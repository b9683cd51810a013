//! Odd inputs: fragments, packets without a time, link types without flows, one file by several names, many files.

#![allow(clippy::unwrap_used, reason = "a test says what it expects")]

use std::path::Path;

use assert_cmd::Command;
use serde_json::Value;

fn flow() -> Command {
    Command::cargo_bin("flow").unwrap()
}

/// A classic capture of `link` with one packet a millisecond.
fn capture(link: u32, packets: &[Vec<u8>]) -> Vec<u8> {
    let mut out = Vec::new();
    for word in [0xa1b2_c3d4, 0x0004_0002, 0, 0, 262_144, link] {
        out.extend(u32::to_le_bytes(word));
    }
    for (number, packet) in (0_u32..).zip(packets) {
        let length = packet.len() as u32;
        for word in [1_700_000_000, number * 1000, length, length] {
            out.extend(u32::to_le_bytes(word));
        }
        out.extend(packet);
    }
    out
}

/// A raw IPv4 packet; `offset` in bytes.
fn ip((src, dst): ([u8; 4], [u8; 4]), protocol: u8, id: u16, (offset, more): (u16, bool), payload: &[u8]) -> Vec<u8> {
    let flags = (u16::from(more) << 13) | (offset / 8);
    let total = 20 + payload.len() as u16;
    let mut out = vec![0x45, 0];
    out.extend([total, id, flags].iter().flat_map(|word| word.to_be_bytes()));
    out.extend([64, protocol, 0, 0]);
    out.extend(src.iter().chain(&dst));
    out.extend(payload);
    out
}

const CLIENT: [u8; 4] = [10, 0, 0, 1];
const SERVER: [u8; 4] = [192, 0, 2, 9];

#[test]
fn payload_that_is_not_looked_for_is_missing() {
    let ends = (CLIENT, SERVER);
    let packets =
        [ip(ends, 50, 1, (0, false), &[7; 100]), ip(ends, 17, 2, (0, false), &[0, 53, 0, 53, 0, 12, 0, 0, 1, 2, 3, 4])];
    let found = rows("conns", &capture(RAW, &packets), "transport,fwd_payload_bytes,rev_payload_bytes");
    assert_eq!((&found[0]["transport"], &found[0]["fwd_payload_bytes"]), (&"esp".into(), &Value::Null));
    assert_eq!((&found[1]["transport"], &found[1]["fwd_payload_bytes"]), (&"udp".into(), &4.into()));
}

/// A segment of `bytes` payload without options.
fn segment(from_client: bool, flags: u8, seq: u32, ack: u32, bytes: usize) -> Vec<u8> {
    let ports: [u16; 2] = if from_client { [40_000, 80] } else { [80, 40_000] };
    let mut out: Vec<u8> = ports.iter().flat_map(|port| port.to_be_bytes()).collect();
    out.extend(seq.to_be_bytes().into_iter().chain(ack.to_be_bytes()));
    out.extend([0x50, flags, 0xff, 0xff, 0, 0, 0, 0]);
    out.resize(20 + bytes, b'x');
    out
}

fn whole(from_client: bool, flags: u8, seq: u32, ack: u32, bytes: usize) -> Vec<u8> {
    let ends = if from_client { (CLIENT, SERVER) } else { (SERVER, CLIENT) };
    ip(ends, 6, 1, (0, false), &segment(from_client, flags, seq, ack, bytes))
}

/// The rows that a command prints of a capture in memory, with these columns.
fn rows(command: &str, bytes: &[u8], columns: &str) -> Vec<Value> {
    let output = flow()
        .args([command, "-r", "-", "-o", "jsonl", "--columns", columns])
        .write_stdin(bytes.to_vec())
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let lines = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    lines.filter(|line| line["type"] == "conn" || line["type"] == "host").collect()
}

const RAW: u32 = 101;

#[test]
fn the_payload_of_every_fragment_counts() {
    let mut datagram = [5000_u16, 53, 3008, 0].iter().flat_map(|word| word.to_be_bytes()).collect::<Vec<u8>>();
    datagram.resize(3008, b'y');
    let pieces: Vec<Vec<u8>> = [0_usize, 1480, 2960]
        .iter()
        .map(|&at| {
            let end = (at + 1480).min(datagram.len());
            ip((CLIENT, SERVER), 17, 7, (at as u16, end < datagram.len()), &datagram[at..end])
        })
        .collect();
    let found = rows("conns", &capture(RAW, &pieces), "dst_port,fwd_packets,fwd_payload_bytes");
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!((&found[0]["fwd_payload_bytes"], &found[0]["quality"]), (&3000.into(), &"exact".into()));

    // The last one first: it has no ports, and both rows say so.
    let turned: Vec<Vec<u8>> = pieces.iter().rev().cloned().collect();
    let found = rows("conns", &capture(RAW, &turned), "dst_port,fwd_packets,fwd_payload_bytes");
    let bytes: u64 = found.iter().map(|row| row["fwd_payload_bytes"].as_u64().unwrap()).sum();
    assert_eq!((found.len(), bytes), (2, 3000), "{found:?}");
    assert!(found.iter().all(|row| row["quality"].to_string().contains("fragments")), "{found:?}");
}

#[test]
fn a_filter_of_ports_selects_every_fragment_of_a_connection() {
    let mut datagram = [5000_u16, 53, 3008, 0].iter().flat_map(|word| word.to_be_bytes()).collect::<Vec<u8>>();
    datagram.resize(3008, b'y');
    let piece = |at: usize| {
        let end = (at + 1480).min(datagram.len());
        ip((CLIENT, SERVER), 17, 7, (at as u16, end < datagram.len()), &datagram[at..end])
    };
    let folder = tempfile::tempdir().unwrap();
    let run = |command: &str, packets: &[Vec<u8>], filter: &str, columns: &[&str]| -> String {
        let file = folder.path().join("fragments.pcap");
        std::fs::write(&file, capture(RAW, packets)).unwrap();
        let mut flow = flow();
        flow.args([command, "-q", "-H", "--no-trailer", "-o", "csv", "-r"]).arg(&file).args(columns).arg(filter);
        String::from_utf8(flow.output().unwrap().stdout).unwrap()
    };
    let ordered = [piece(0), piece(1480), piece(2960)];
    // Three headers of 20 bytes.
    let conns =
        |packets: &[Vec<u8>], filter| run("conns", packets, filter, &["--columns=dst_port,fwd_packets,fwd_wire_bytes"]);
    for filter in ["all", "udp port 53", "port 53 and addr 192.0.2.9", "packets > 0 and port 53"] {
        assert_eq!(conns(&ordered, filter), "53,3,3068,exact\n", "{filter}");
    }
    assert_eq!(conns(&ordered, "not port 53"), "");
    // The last one first: of it nobody knows the port yet, and the row of the others says so.
    assert_eq!(conns(&[piece(2960), piece(0), piece(1480)], "udp port 53"), "53,2,3000,fragments\n");
    // Single packets have what stands in them, though the table of flows is asked for the direction.
    for filter in ["udp port 53", "udp port 53 and direction forward"] {
        assert_eq!(run("count", &ordered, filter, &[]), "1,1500,exact\n", "{filter}");
    }
}

#[test]
fn a_segment_in_fragments_leaves_no_gap() {
    const ACK: u8 = 16;
    let large = segment(true, ACK | 8 | 1, 1001, 5001, 2000);
    let packets = [
        whole(true, 2, 1000, 0, 0),
        whole(false, 18, 5000, 1001, 0),
        whole(true, ACK, 1001, 5001, 0),
        ip((CLIENT, SERVER), 6, 99, (0, true), &large[..1480]),
        ip((CLIENT, SERVER), 6, 99, (1480, false), &large[1480..]),
        whole(false, ACK | 1, 5001, 3002, 0),
        whole(true, ACK, 3002, 5002, 0),
    ];
    let found = rows("conns", &capture(RAW, &packets), "state,history,fwd_payload_bytes,missing_bytes,retrans_bytes");
    assert_eq!(found.len(), 1, "{found:?}");
    let row = &found[0];
    assert_eq!((&row["state"], &row["history"]), (&"SF".into(), &"ShADFf".into()), "{row}");
    assert_eq!((&row["fwd_payload_bytes"], &row["missing_bytes"]), (&2000.into(), &0.into()), "{row}");
    assert_eq!((&row["retrans_bytes"], &row["quality"]), (&0.into(), &"exact".into()), "{row}");
}

/// A pcapng capture of raw IP: packets with a time (in microseconds), or without.
fn sections(packets: &[(Option<u32>, Vec<u8>)]) -> Vec<u8> {
    let block = |kind: u32, body: &[u8]| {
        let padded = body.len().next_multiple_of(4);
        let total = (padded + 12) as u32;
        let mut out = [kind.to_le_bytes(), total.to_le_bytes()].concat();
        out.extend(body);
        out.resize(8 + padded, 0);
        out.extend(total.to_le_bytes());
        out
    };
    let words = |words: &[u32]| words.iter().flat_map(|word| word.to_le_bytes()).collect::<Vec<u8>>();
    let mut out = block(0x0a0d_0d0a, &words(&[0x1a2b_3c4d, 1, u32::MAX, u32::MAX]));
    out.extend(block(1, &words(&[RAW, 0])));
    for (time, packet) in packets {
        let length = packet.len() as u32;
        out.extend(match time {
            Some(time) => block(6, &[words(&[0, 0, *time, length, length]), packet.clone()].concat()),
            None => block(3, &[words(&[length]), packet.clone()].concat()),
        });
    }
    out
}

#[test]
fn a_row_with_a_packet_without_a_time_tells_no_times() {
    let handshake = |times: [Option<u32>; 3]| {
        let packets = [whole(true, 2, 1000, 0, 0), whole(false, 18, 5000, 1001, 0), whole(true, 16, 1001, 5001, 0)];
        sections(&times.into_iter().zip(packets).collect::<Vec<_>>())
    };
    const TIMES: &str = "start_ns,end_ns,duration_ns,handshake_ns,rtt_min,handshake_evidence";
    for times in [[None; 3], [Some(1_000_000), None, Some(3_000_000)]] {
        let found = rows("conns", &handshake(times), TIMES);
        assert_eq!(found.len(), 1);
        for column in TIMES.split(',') {
            assert!(found[0][column].is_null(), "{column}: {}", found[0]);
        }
        assert!(found[0]["quality"].to_string().contains("no_time"), "{}", found[0]);
        let found = rows("hosts", &handshake(times), "connections,handshake_p95_ns");
        assert!(found.iter().all(|row| row["quality"].to_string().contains("no_time")), "{found:?}");
    }
    let found = rows("conns", &handshake([Some(1_000_000), Some(2_000_000), Some(3_000_000)]), TIMES);
    assert_eq!((&found[0]["handshake_ns"], &found[0]["quality"]), (&2_000_000_000_u64.into(), &"exact".into()));
}

/// When the input begins and how far it goes, as a command tells of a capture in memory.
fn from_and_through(command: &str, bytes: &[u8]) -> [Value; 2] {
    let output = flow().args([command, "-r", "-", "-o", "json"]).write_stdin(bytes.to_vec()).output().unwrap();
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    [report["from_ns"].clone(), report["through_ns"].clone()]
}

#[test]
fn the_input_begins_with_the_earliest_packet_that_has_a_time() {
    let packet = || whole(true, 2, 1000, 0, 0);
    for times in [[Some(5_000_000), Some(3_000_000), Some(4_000_000)], [None, Some(3_000_000), Some(5_000_000)]] {
        let capture = sections(&times.map(|time| (time, packet())));
        for command in ["count", "conns", "hosts"] {
            let expected = [3_000_000_000_u64, 5_000_000_000].map(Value::from);
            assert_eq!(from_and_through(command, &capture), expected, "{command}, {times:?}");
        }
    }
    let untimed = sections(&[(None, packet()), (None, packet())]);
    for command in ["count", "conns", "hosts"] {
        assert_eq!(from_and_through(command, &untimed), [Value::Null, Value::Null], "{command}");
    }
}

/// What goes to standard error.
fn said(command: &mut Command) -> String {
    String::from_utf8(command.output().unwrap().stderr).unwrap()
}

#[test]
fn link_types_that_are_not_read_are_named() {
    for (link, name) in [(249, "249 (USBPCAP)"), (253, "253 (NETLINK)"), (60_000, "60000 are")] {
        for command in ["conns", "hosts"] {
            let said = said(flow().args([command, "-r", "-"]).write_stdin(capture(link, &[vec![0; 64]])));
            assert!(said.contains(&format!("link type {name}")), "{command}: {said}");
        }
    }
    assert_eq!(said(flow().args(["conns", "-r", "-"]).write_stdin(capture(RAW, &[whole(true, 2, 1, 0, 0)]))), "");
}

fn write(folder: &Path, name: &str, bytes: &[u8]) {
    std::fs::write(folder.join(name), bytes).unwrap();
}

#[test]
fn a_file_is_read_once_by_whatever_names() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "a.pcap", &capture(RAW, &[whole(true, 2, 1000, 0, 0)]));
    std::os::unix::fs::symlink("a.pcap", folder.path().join("b.pcap")).unwrap();
    let mut twice = flow();
    twice.current_dir(&folder).args(["count", "-r", "a.pcap", "-r", "./a.pcap", "-r", "b.pcap"]);
    let output = twice.output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(said.matches("is named more than once, and read once").count(), 2, "{said}");
    assert!(String::from_utf8(output.stdout).unwrap().contains('1'));
}

#[test]
fn standard_input_is_read_once_by_whatever_names() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "a.pcap", &capture(RAW, &[whole(true, 2, 1000, 0, 0)]));
    let mut often = std::process::Command::new(env!("CARGO_BIN_EXE_flow"));
    often.args(["count", "-o", "csv", "--no-header", "-r", "-", "-r", "/dev/stdin", "-r", "/proc/self/fd/0"]);
    // The file that it is, too.
    often.arg("-r").arg(folder.path().join("a.pcap"));
    let output = often.stdin(std::fs::File::open(folder.path().join("a.pcap")).unwrap()).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(said.matches("standard input is named more than once, and read once").count(), 2, "{said}");
    assert_eq!(said.matches("is named more than once, and read once").count(), 3, "{said}");
    let counted = String::from_utf8(output.stdout).unwrap();
    assert!(counted.starts_with("1,40,"), "{counted}");
}

#[test]
fn control_characters_of_names_and_filters_do_not_reach_the_terminal() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "ev\u{1b}[31mil\nx.pcap", b"this is no capture file");
    for words in [&["conns", "-r", "ev\u{1b}[31mil\nx.pcap"][..], &["conns", "-r", "a", "\u{1b}[31mnonsense ="]] {
        let said = said(flow().current_dir(&folder).args(words));
        assert!(!said.contains('\u{1b}') && !said.is_empty(), "{said:?}");
    }
    let said = said(flow().current_dir(&folder).args(["conns", "-r", "ev\u{1b}[31mil\nx.pcap"]));
    assert!(said.contains("ev\\x1b[31mil\\x0ax.pcap") && said.lines().count() == 1, "{said:?}");
}

#[test]
fn more_files_than_may_be_open_are_all_read() {
    let folder = tempfile::tempdir().unwrap();
    for number in 0..60 {
        write(folder.path(), &format!("{number:02}.pcap"), &capture(RAW, &[whole(true, 2, 1000, 0, 0)]));
    }
    let program = assert_cmd::cargo::cargo_bin("flow");
    let mut limited = Command::new("sh");
    limited.current_dir(&folder).args(["-c", "ulimit -n 32; exec \"$0\" count -r '*.pcap' 'tcp'"]).arg(program);
    let output = limited.output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success() && said.is_empty(), "{said}");
    assert!(String::from_utf8(output.stdout).unwrap().contains("60"));

    // Of those that overlap more than may be open are left out. Rows come while files are open: each SYN has its own.
    for number in 0..60 {
        let attempts = vec![whole(true, 2, 1000, 0, 0); 200];
        write(folder.path(), &format!("{number:02}.pcap"), &capture(RAW, &attempts));
    }
    for most in [10, 11, 14, 18, 22, 30] {
        let mut limited = Command::new("sh");
        let line = format!("ulimit -n {most}; exec \"$0\" conns -r '*.pcap' -o csv --timeouts tcp-attempt=1us");
        limited.current_dir(&folder).args(["-c", &line]).arg(assert_cmd::cargo::cargo_bin("flow"));
        let output = limited.output().unwrap();
        let (rows, said) = (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
        assert_eq!(output.status.code(), Some(3), "{most}: {said}");
        assert!(
            rows.lines().count() > 2 && rows.contains("# trust: seen=") && said.contains("`ulimit -n` allows more"),
            "{most}: {rows}{said}"
        );
    }

    // Where many cannot be read, some are named and the others counted.
    for number in 0..40 {
        write(folder.path(), &format!("x{number:02}.pcap"), b"this is no capture file");
    }
    let said = self::said(flow().current_dir(&folder).args(["conns", "-r", "*.pcap"]));
    assert!(said.contains("and 35 more inputs") && said.len() < 1000, "{said}");
}

#[test]
fn what_too_few_open_files_stand_in_the_way_of_is_named() {
    let capture = concat!(env!("CARGO_MANIFEST_DIR"), "/../../captures/dns.pcap");
    for (command, subject) in [
        (&["count", "-r", capture][..], "flow: signals cannot be listened for: "),
        (&["sockets"], "flow: signals cannot be listened for: "),
        (&["lat"], "flow: sock_diag: "),
    ] {
        let mut met = 0;
        // How many are open already is not known here.
        for most in 4..16 {
            let mut limited = Command::new("sh");
            limited.args(["-c", &format!("ulimit -n {most}; exec \"$0\" \"$@\"")]);
            let said = said(limited.arg(assert_cmd::cargo::cargo_bin("flow")).args(command));
            // Before it runs the loader opens files too.
            if said.contains("Too many open files") && said.starts_with("flow: ") {
                assert!(
                    said.ends_with(": Too many open files: `ulimit -n` allows more\n"),
                    "{most} {command:?}: {said}"
                );
                met += usize::from(said.starts_with(subject));
            }
        }
        assert!(met > 0, "{command:?}");
    }
}

#[test]
fn the_column_of_qualities_is_explained() {
    let said = said(flow().args(["conns", "-r", "x.pcap", "--columns", "state,quality"]));
    assert!(said.contains("every row has it"), "{said}");
}

/// A million connections and five, of one datagram each.
#[test]
fn rows_beyond_the_limit_of_sorted_output_are_told() {
    let mut many = capture(RAW, &[]);
    for number in 0..1_000_005_u32 {
        let [_, a, b, c] = number.to_be_bytes();
        let datagram = ip(([10, a, b, c], SERVER), 17, 1, (0, false), &[0, 99, 0, 53, 0, 8, 0, 0]);
        for word in [1_700_000_000 + number / 1000, number % 1000, 28, 28] {
            many.extend(u32::to_le_bytes(word));
        }
        many.extend(datagram);
    }
    let run = |more: &[&str]| {
        let plain = ["conns", "-q", "-r", "-", "-o", "csv", "--columns", "src_ip", "--no-trailer", "--no-header"];
        let output = flow().args(plain).args(more).write_stdin(many.clone()).output().unwrap();
        let rows = output.stdout.iter().filter(|&&byte| byte == b'\n').count();
        (rows, String::from_utf8(output.stderr).unwrap())
    };
    let (rows, said) = run(&["--sort", "start_ns"]);
    assert_eq!(rows, 1_000_000);
    assert!(said.starts_with("flow: 5 more rows are not shown: at most 1000000 are kept"), "{said}");
    assert_eq!(run(&["--sort", "start_ns", "--top", "1000"]), (1000, String::new()), "as many as were asked for");
    assert_eq!(run(&[]), (1_000_005, String::new()));
}
