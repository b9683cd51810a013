//! `flow conns` as a program: small captures made here go in, text comes out.
#![allow(clippy::unwrap_used, reason = "a test whose preparation fails has failed")]

mod interrupts;

use std::io::Write;
use std::path::PathBuf;
use std::process::{Command as Process, Stdio};

use assert_cmd::Command;
use predicates::prelude::*;
use predicates::str::{contains, is_empty};
use tempfile::TempDir;

use interrupts::{listening, outcome};

/// TCP control bits.
const FIN: u8 = 1;
const SYN: u8 = 2;
const PSH: u8 = 8;
const ACK: u8 = 16;

/// 2026-11-21T01:59:43Z.
const START: u32 = 1_795_226_383;

/// Builds a classic pcap file (microseconds, little-endian, Ethernet) packet by packet.
struct Capture {
    bytes: Vec<u8>,
}

impl Capture {
    fn new() -> Self {
        let mut bytes = Vec::new();
        for word in [0xa1b2_c3d4, 4 << 16 | 2, 0, 0, 65_535, 1] {
            bytes.extend_from_slice(&u32::to_le_bytes(word));
        }
        Self { bytes }
    }

    /// One frame, `micros` after [`START`].
    fn frame(&mut self, micros: u32, frame: &[u8]) {
        for word in [START + micros / 1_000_000, micros % 1_000_000, frame.len() as u32, frame.len() as u32] {
            self.bytes.extend_from_slice(&word.to_le_bytes());
        }
        self.bytes.extend_from_slice(frame);
    }

    fn ip(&mut self, micros: u32, protocol: u8, ends: [[u8; 4]; 2], transport: &[u8]) {
        let mut frame = vec![2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0];
        frame.extend_from_slice(&[0x45, 0]);
        frame.extend_from_slice(&(20 + transport.len() as u16).to_be_bytes());
        frame.extend_from_slice(&[0, 1, 0, 0, 64, protocol, 0, 0]);
        frame.extend_from_slice(&ends[0]);
        frame.extend_from_slice(&ends[1]);
        frame.extend_from_slice(transport);
        self.frame(micros, &frame);
    }

    fn tcp(&mut self, micros: u32, from_client: bool, flags: u8, [seq, ack]: [u32; 2], payload: &[u8]) {
        let (client, server) = ([10, 0, 0, 1], [10, 0, 0, 2]);
        let (ends, ports) =
            if from_client { ([client, server], [40_000u16, 80]) } else { ([server, client], [80, 40_000]) };
        let mut segment = Vec::new();
        segment.extend_from_slice(&ports[0].to_be_bytes());
        segment.extend_from_slice(&ports[1].to_be_bytes());
        segment.extend_from_slice(&seq.to_be_bytes());
        segment.extend_from_slice(&ack.to_be_bytes());
        segment.extend_from_slice(&[0x50, flags, 0xff, 0xff, 0, 0, 0, 0]);
        segment.extend_from_slice(payload);
        self.ip(micros, 6, ends, &segment);
    }

    fn udp(&mut self, micros: u32, source: [u8; 4], port: u16, payload: &[u8]) {
        let mut datagram = Vec::new();
        for word in [port, 53, 8 + payload.len() as u16, 0] {
            datagram.extend_from_slice(&word.to_be_bytes());
        }
        datagram.extend_from_slice(payload);
        self.ip(micros, 17, [source, [10, 0, 0, 2]], &datagram);
    }

    /// A whole web request: handshake, 10 bytes there, 100 bytes back, closed by both; then two questions without
    /// answers.
    fn web() -> Self {
        let mut capture = Self::new();
        capture.tcp(0, true, SYN, [100, 0], b"");
        capture.tcp(1_000, false, SYN | ACK, [500, 101], b"");
        capture.tcp(1_500, true, ACK, [101, 501], b"");
        capture.tcp(2_000, true, PSH | ACK, [101, 501], b"GET / HTTP");
        capture.tcp(3_000, false, PSH | ACK, [501, 111], &[b'x'; 100]);
        capture.tcp(4_000, false, FIN | ACK, [601, 111], b"");
        capture.tcp(4_500, true, FIN | ACK, [111, 602], b"");
        capture.tcp(5_000, false, ACK, [602, 112], b"");
        capture.udp(10_000, [10, 0, 0, 3], 5_000, &[0; 30]);
        capture.udp(20_000, [10, 0, 0, 4], 5_001, &[0; 400]);
        capture
    }

    fn save(&self, folder: &TempDir, name: &str) -> PathBuf {
        let path = folder.path().join(name);
        std::fs::write(&path, &self.bytes).unwrap();
        path
    }
}

fn flow() -> Command {
    command_of("conns")
}

fn command_of(name: &str) -> Command {
    let mut command = Command::cargo_bin("flow").unwrap();
    for variable in ["NO_COLOR", "CLICOLOR", "CLICOLOR_FORCE", "FORCE_COLOR", "COLUMNS"] {
        command.env_remove(variable);
    }
    command.arg(name);
    command
}

fn printed(command: &mut Command) -> String {
    String::from_utf8(command.output().unwrap().stdout).unwrap()
}

const SHORT: &str = "src_ip,src_port,dst_ip,dst_port,transport,state,history,fwd_packets,rev_packets,duration_ns";

#[test]
fn a_table_has_rows_in_the_order_of_their_starts_and_ends_with_the_trust_line() {
    let folder = tempfile::tempdir().unwrap();
    let path = Capture::web().save(&folder, "web.pcap");
    flow().arg("-r").arg(path).args(["--columns", SHORT]).assert().success().stderr(is_empty()).stdout(
        "\
SRC       SPORT  DST       DPORT  PROTO  STATE  HISTORY   PKTS>  PKTS<  DURATION[s]
10.0.0.1  40000  10.0.0.2     80  tcp    SF     ShADdfFa      4      4     0.005000
10.0.0.3   5000  10.0.0.2     53  udp    S0     D             1      0     0.000000
10.0.0.4   5001  10.0.0.2     53  udp    S0     D             1      0     0.000000
trust: 10 packets seen = 10 delivered + 0 filtered + 0 lost; losses before the capture unknown; input complete
",
    );
}

#[test]
fn json_lines_are_objects_of_the_type_they_say() {
    let folder = tempfile::tempdir().unwrap();
    let path = Capture::web().save(&folder, "web.pcap");
    let text = printed(flow().arg("-r").arg(path).args(["-o", "jsonl"]));
    let lines: Vec<serde_json::Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let kinds: Vec<&str> = lines.iter().map(|line| line["type"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["header", "conn", "conn", "conn", "trailer"]);
    let tcp = lines.iter().find(|line| line["transport"] == "tcp").unwrap();
    assert_eq!(tcp["start_ns"], 1_795_226_383_000_000_000u64);
    assert_eq!(tcp["duration_ns"], 5_000_000);
    assert_eq!(tcp["handshake_ns"], 1_500_000);
    assert_eq!(tcp["completeness"], 31);
    assert_eq!(tcp["rev_payload_bytes"], 100);
    assert_eq!(tcp["vlan"], serde_json::Value::Null);
    assert_eq!(tcp["quality"], "exact");
    let trust = &lines[4]["trust"];
    assert_eq!((trust["seen"].as_u64(), trust["complete"].as_bool()), (Some(10), Some(true)));
    assert_eq!(trust["lost"]["kernel"], serde_json::Value::Null);
    assert_eq!(lines[4]["rows"], 3);
}

#[test]
fn a_json_document_is_one_document() {
    let folder = tempfile::tempdir().unwrap();
    let path = Capture::web().save(&folder, "web.pcap");
    let text = printed(flow().arg("-r").arg(path).args(["-o", "json"]));
    let document: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(document["tables"][0]["rows"].as_array().unwrap().len(), 3);
    assert_eq!(document["tables"][0]["rows"][0]["state"], "SF");
    assert_eq!(document["trust"]["delivered"], 10);
}

#[test]
fn csv_is_read_back_by_a_csv_reader() {
    let folder = tempfile::tempdir().unwrap();
    let path = Capture::web().save(&folder, "web.pcap");
    for (format, separator) in [("csv", b','), ("tsv", b'\t')] {
        let text = printed(flow().arg("-r").arg(&path).args(["-o", format]));
        assert!(text.lines().last().unwrap().starts_with("# trust: seen=10 "));
        let mut reader =
            csv::ReaderBuilder::new().delimiter(separator).comment(Some(b'#')).from_reader(text.as_bytes());
        let names = reader.headers().unwrap().clone();
        assert_eq!(names.iter().next_back(), Some("quality"));
        let rows: Vec<csv::StringRecord> = reader.records().map(Result::unwrap).collect();
        let states: Vec<&str> =
            rows.iter().map(|row| &row[names.iter().position(|name| name == "state").unwrap()]).collect();
        assert_eq!(rows.len(), 3);
        assert!(states.contains(&"SF"));
    }
}

#[test]
fn plain_csv_has_neither_names_nor_comments_when_they_are_not_wanted() {
    let folder = tempfile::tempdir().unwrap();
    let path = Capture::web().save(&folder, "web.pcap");
    let text = printed(flow().arg("-r").arg(path).args([
        "-o",
        "csv",
        "--columns",
        "src_ip,fwd_packets",
        "--sort",
        "src_ip",
        "--no-header",
        "--no-trailer",
    ]));
    assert_eq!(text, "10.0.0.1,4,exact\n10.0.0.3,1,exact\n10.0.0.4,1,exact\n");
}

#[test]
fn zeek_rows_have_zeeks_columns() {
    let folder = tempfile::tempdir().unwrap();
    let path = Capture::web().save(&folder, "web.pcap");
    let text = printed(flow().arg("-r").arg(path).args(["-o", "zeek"]));
    let row = text.lines().find(|line| line.contains("\ttcp\t")).unwrap();
    assert_eq!(
        row,
        "1795226383.000000\t0\t10.0.0.1\t40000\t10.0.0.2\t80\ttcp\t-\t0.004500\t10\t100\tSF\t-\t-\t0\tShADdfFa\t\
         4\t170\t4\t260\t-\t6"
    );
    assert!(text.lines().last().unwrap().starts_with("#flow_trust\tseen=10 "));
}

#[test]
fn zeek_columns_have_zeeks_types() {
    let folder = tempfile::tempdir().unwrap();
    let path = Capture::web().save(&folder, "web.pcap");
    let text = printed(flow().arg("-r").arg(path).args(["-o", "zeek", "--columns", "all"]));
    let cells = |start: &str| -> Vec<&str> {
        text.lines().find_map(|line| line.strip_prefix(start)).unwrap().split('\t').skip(1).collect()
    };
    let (names, kinds) = (cells("#fields"), cells("#types"));
    assert_eq!(names.len(), kinds.len());
    let kind_of = |name: &str| kinds[names.iter().position(|other| *other == name).unwrap()];
    for (name, kind) in [
        ("flow_start", "time"),
        ("flow_rtt_p95", "interval"),
        ("flow_src_ip", "addr"),
        ("flow_dst_port", "port"),
        ("flow_requests", "count"),
        ("flow_rtt_samples", "count"),
        ("flow_fwd_packets", "count"),
        ("flow_community_id", "string"),
    ] {
        assert_eq!(kind_of(name), kind, "{name}");
    }
    for row in text.lines().filter(|line| !line.starts_with('#')) {
        for ((cell, kind), name) in row.split('\t').zip(&kinds).zip(&names) {
            let is_of_kind = match *kind {
                "count" => cell.parse::<u64>().is_ok(),
                "port" => cell.parse::<u16>().is_ok(),
                "time" | "interval" | "double" => cell.parse::<f64>().is_ok(),
                "addr" => cell.parse::<std::net::IpAddr>().is_ok(),
                _ => true,
            };
            assert!(is_of_kind || cell == "-", "{name} is a {kind}: {cell}");
        }
    }
}

#[test]
fn the_largest_come_first_with_top() {
    let folder = tempfile::tempdir().unwrap();
    let path = Capture::web().save(&folder, "web.pcap");
    let order = |more: &[&str]| -> Vec<String> {
        let text = printed(
            flow()
                .arg("-r")
                .arg(&path)
                .args(["-o", "csv", "--columns", "src_ip", "--no-header", "--no-trailer"])
                .args(more),
        );
        text.lines().map(|line| line.split(',').next().unwrap().to_owned()).collect()
    };
    assert_eq!(order(&["--top", "2"]), ["10.0.0.1", "10.0.0.4"]);
    assert_eq!(order(&["--top", "2", "--sort", "fwd_payload_bytes"]), ["10.0.0.4", "10.0.0.3"]);
    assert_eq!(order(&["--sort", "src_ip:desc"]), ["10.0.0.4", "10.0.0.3", "10.0.0.1"]);
    assert_eq!(order(&["--sort", "-src_ip"]), ["10.0.0.4", "10.0.0.3", "10.0.0.1"]);
    assert_eq!(order(&["--sort", "transport,-src_ip"]), ["10.0.0.1", "10.0.0.4", "10.0.0.3"]);
}

#[test]
fn rows_left_out_by_top_are_counted_in_every_format() {
    let folder = tempfile::tempdir().unwrap();
    let path = Capture::web().save(&folder, "web.pcap");
    for (format, words) in [
        ("table", "2 more rows not shown"),
        ("jsonl", "\"unreported_rows\":2"),
        ("json", "\"unreported_rows\":2"),
        ("csv", "unreported_rows=2"),
        ("zeek", "unreported_rows=2"),
    ] {
        let text = printed(flow().arg("-r").arg(&path).args(["--top", "1", "-o", format]));
        assert!(text.contains(words), "{format}: {text}");
    }
}

#[test]
fn times_have_the_form_that_was_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let path = Capture::web().save(&folder, "web.pcap");
    let times = |more: &[&str]| -> Vec<String> {
        let columns = ["--columns", "start_ns,src_ip", "--no-header", "--no-trailer"];
        let text = printed(flow().arg("-r").arg(&path).args(columns).args(more).env("TZ", "Asia/Kathmandu"));
        text.lines().map(|line| line.split_whitespace().next().unwrap().to_owned()).collect()
    };
    assert_eq!(times(&[])[1], "2026-11-21T01:59:43.010000Z");
    assert_eq!(times(&["--time", "local"])[1], "2026-11-21T07:44:43.010000+05:45");
    assert_eq!(times(&["-tttt"])[1], "2026-11-21T07:44:43.010000+05:45");
    assert_eq!(times(&["--time", "epoch"]), times(&["-tt"]));
    assert_eq!(times(&["-tt"])[2], "1795226383.020000");
    assert_eq!(times(&["--time", "relative"]), ["0.000000", "0.010000", "0.020000"]);
    assert_eq!(times(&["-ttttt"]), ["0.000000", "0.010000", "0.020000"]);
    assert_eq!(times(&["-ttt"]), ["0.000000", "0.010000", "0.010000"]);
    assert_eq!(times(&["-t"]), ["10.0.0.1", "10.0.0.3", "10.0.0.4"]);
}

#[test]
fn a_cut_file_gives_what_can_be_read_and_says_where_it_broke() {
    let folder = tempfile::tempdir().unwrap();
    let mut capture = Capture::web();
    capture.bytes.truncate(capture.bytes.len() - 5);
    let path = capture.save(&folder, "cut.pcap");
    flow()
        .arg("-r")
        .arg(path)
        .args(["--columns", SHORT])
        .assert()
        .code(3)
        .stdout(contains("ShADdfFa").and(contains("input incomplete: ")).and(contains("10.0.0.4").not()))
        .stderr(contains("cut.pcap").and(contains("packet 10")));
}

/// What `flow` shows on a terminal that both of its outputs go to.
fn on_a_terminal(arguments: &[&std::ffi::OsStr]) -> String {
    use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
    use std::io::Read;
    let terminal = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
    grantpt(&terminal).unwrap();
    unlockpt(&terminal).unwrap();
    let name = ptsname(&terminal, Vec::new()).unwrap().into_string().unwrap();
    let side = std::fs::OpenOptions::new().read(true).write(true).open(name).unwrap();
    let mut child = Process::new(assert_cmd::cargo::cargo_bin("flow"))
        .arg("conns")
        .args(arguments)
        .stdout(side.try_clone().unwrap())
        .stderr(side)
        .spawn()
        .unwrap();
    let mut shown = Vec::new();
    // Reading fails once the other side is closed by all.
    let _ = std::fs::File::from(terminal).read_to_end(&mut shown);
    child.wait().unwrap();
    String::from_utf8(shown).unwrap()
}

#[test]
fn a_terminal_is_told_once_what_is_wrong() {
    let folder = tempfile::tempdir().unwrap();
    let mut capture = Capture::web();
    capture.bytes.truncate(capture.bytes.len() - 5);
    let path = capture.save(&folder, "cut.pcap");
    let times = |format: &str, more: &str| {
        let arguments = ["-r".as_ref(), path.as_os_str(), "-o".as_ref(), format.as_ref(), more.as_ref()];
        on_a_terminal(&arguments).matches("packet 10 at byte").count()
    };
    for format in ["table", "wide", "jsonl", "json", "csv", "tsv", "zeek"] {
        assert_eq!(times(format, "-q"), 1, "{format}");
        assert_eq!(times(format, "--no-trailer"), 1, "{format} without its trailer");
    }
}

#[test]
fn one_input_of_several_that_is_no_capture_costs_only_itself() {
    let folder = tempfile::tempdir().unwrap();
    let good = Capture::web().save(&folder, "web.pcap");
    let text = folder.path().join("notes.txt");
    std::fs::write(&text, "packets were seen at noon\n").unwrap();
    for (other, words) in [(text, "notes.txt: this is text"), (folder.path().join("no.pcap"), "there is no such file")]
    {
        flow()
            .args(["-r".as_ref(), good.as_os_str(), "-r".as_ref(), other.as_os_str()])
            .args(["--columns", SHORT])
            .assert()
            .code(3)
            .stdout(contains("ShADdfFa").and(contains("10 packets seen")).and(contains("input incomplete: ")))
            .stderr(contains(words).count(1));
    }
}

#[test]
fn an_empty_capture_is_complete_unless_rows_are_demanded() {
    let folder = tempfile::tempdir().unwrap();
    let path = Capture::new().save(&folder, "empty.pcap");
    flow().arg("-r").arg(&path).assert().success().stdout(contains("0 packets seen").and(contains("input complete")));
    flow().arg("-r").arg(&path).args(["-o", "json"]).assert().stdout(contains("\"through_ns\":null"));
    flow().arg("-r").arg(&path).arg("--fail-empty").assert().code(6);
}

#[test]
fn a_count_ends_early_and_the_trust_line_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let path = Capture::web().save(&folder, "web.pcap");
    flow()
        .arg("-r")
        .arg(&path)
        .args(["-c", "3"])
        .assert()
        .success()
        .stdout(contains("3 packets seen").and(contains("input not read to its end: stopped by --count")));
    // The connection goes on behind the third packet: what is counted of it is the least there was.
    let rows = printed(flow().arg("-r").arg(&path).args(["-c", "3", "-o", "csv", "--columns", "fwd_packets"]));
    assert!(rows.contains("\n2,stopped\n"), "{rows}");
    let rows = printed(flow().arg("-r").arg(&path).args(["-c", "3", "--columns", "fwd_packets"]));
    assert!(rows.contains("≥2"), "{rows}");
    flow().arg("-r").arg(&path).args(["-c", "10"]).assert().success().stdout(contains("10 packets seen"));
    // What a filter takes out was read as well.
    for command in ["conns", "hosts", "lat"] {
        let text = printed(Command::cargo_bin("flow").unwrap().args([command, "-c", "3", "dport 80", "-r"]).arg(&path));
        assert!(text.contains("1 filtered") && text.contains("stopped by --count"), "{text}");
        let mut enough = Command::cargo_bin("flow").unwrap();
        enough.args([command, "-c", "3", "-r"]).arg(&path).assert().code(0);
    }
}

#[test]
fn too_few_flows_leave_packets_untracked_and_said() {
    let folder = tempfile::tempdir().unwrap();
    let path = Capture::web().save(&folder, "web.pcap");
    let mut narrow = flow();
    narrow.arg("-r").arg(path).args(["--max-flows", "1"]);
    narrow.assert().success().stdout(contains("2 untracked"));
    // Which rows they belong to is not known.
    let rows = printed(narrow.args(["-o", "jsonl"]));
    assert_eq!(
        (rows.matches("\"quality\":\"untracked\"").count(), rows.matches("\"quality\":\"exact\"").count()),
        (1, 0)
    );
}

/// A pcapng file with one frame without a flow, and statistics that say how many packets its interface has dropped.
fn with_losses(dropped: u64) -> Vec<u8> {
    let block = |kind: u32, body: &[u8]| {
        let length = (body.len() as u32 + 12).to_le_bytes();
        [&kind.to_le_bytes()[..], &length, body, &length].concat()
    };
    let words = |words: &[u32]| words.iter().flat_map(|word| word.to_le_bytes()).collect::<Vec<u8>>();
    let section = block(0x0a0d_0d0a, &words(&[0x1a2b_3c4d, 1, u32::MAX, u32::MAX]));
    let interface = block(1, &words(&[1, 65_535]));
    let packet = block(6, &[words(&[0, 0, 0, 16, 16]), vec![0; 16]].concat());
    // isb_ifdrop.
    let statistics = block(5, &[words(&[0, 0, 0, 8 << 16 | 5]), dropped.to_le_bytes().to_vec(), vec![0; 4]].concat());
    [section, interface, packet, statistics].concat()
}

#[test]
fn more_loss_than_allowed_has_its_own_exit_code() {
    let folder = TempDir::new().unwrap();
    let file = |name: &str, bytes: &[u8]| {
        let path = folder.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        path
    };
    let lossy = file("lossy.pcapng", &with_losses(3));
    let code =
        |allowed: &str| flow().args(["--max-loss", allowed, "-r"]).arg(&lossy).assert().get_output().status.code();
    assert_eq!(["0", "2", "3", "74%", "75%"].map(code), [5, 5, 0, 5, 0].map(Some));
    flow().args(["--max-loss", "2", "-r"]).arg(&lossy).assert().stderr(contains("3 of 4 packets were lost"));
    // Damage has its code before loss, which is told all the same.
    let cut = file("cut.pcapng", &[with_losses(3), vec![5; 3]].concat());
    for command in ["conns", "hosts", "count"] {
        let said = command_of(command).args(["--max-loss", "2", "-r"]).arg(&cut).assert().code(3);
        said.stderr(contains("3 of 4 packets were lost, more than --max-loss allows").and(contains("cut.pcapng: ")));
    }
    let whole = file("whole.pcapng", &with_losses(0));
    flow().args(["--max-loss", "0", "-r"]).arg(&whole).assert().success().stderr(is_empty());
    // Unknown is not zero, and said.
    let silent = file("silent.pcap", &Capture::new().bytes);
    flow().args(["--max-loss", "0", "-r"]).arg(&silent).assert().success().stderr(contains("is not known"));
    flow().args(["-q", "--max-loss", "0", "-r"]).arg(&silent).assert().success().stderr(is_empty());
}

#[test]
fn idle_times_cut_flows_apart() {
    let folder = tempfile::tempdir().unwrap();
    let mut capture = Capture::new();
    capture.udp(0, [10, 0, 0, 3], 5_000, &[0; 30]);
    capture.udp(30_000_000, [10, 0, 0, 3], 5_000, &[0; 30]);
    let path = capture.save(&folder, "pause.pcap");
    let rows = |more: &[&str]| {
        printed(flow().arg("-r").arg(&path).args(["--no-header", "--no-trailer"]).args(more)).lines().count()
    };
    assert_eq!(rows(&[]), 1);
    assert_eq!(rows(&["--timeouts", "udp=10s"]), 2);
}

#[test]
fn standard_input_and_several_files_are_read_like_one() {
    let folder = tempfile::tempdir().unwrap();
    let whole = Capture::web();
    let path = whole.save(&folder, "web.pcap");
    let expected = printed(flow().arg("-r").arg(&path));
    assert_eq!(printed(flow().args(["-r", "-"]).write_stdin(whole.bytes.clone())), expected);

    // The first half of the packets in one file, the second half in another, named in the wrong order.
    let (mut first, mut second) = (Capture::new(), Capture::new());
    let half = 24 + 3 * (16 + 54);
    first.bytes.extend_from_slice(&whole.bytes[24..half]);
    second.bytes.extend_from_slice(&whole.bytes[half..]);
    let paths = [second.save(&folder, "b.pcap1"), first.save(&folder, "b.pcap0")];
    assert_eq!(printed(flow().arg("-r").arg(&paths[0]).arg("-r").arg(&paths[1])), expected);
    assert_eq!(printed(flow().arg("-r").arg(folder.path().join("b.*"))), expected);
}

#[test]
fn colours_are_used_when_they_are_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let path = Capture::web().save(&folder, "web.pcap");
    let escape = "\x1b[";
    flow().arg("-r").arg(&path).assert().stdout(contains(escape).not());
    flow().arg("-r").arg(&path).args(["--color", "always"]).assert().stdout(contains(escape));
    flow().arg("-r").arg(&path).env("CLICOLOR_FORCE", "1").assert().stdout(contains(escape));
    flow().arg("-r").arg(&path).env("CLICOLOR_FORCE", "1").env("NO_COLOR", "1").assert().stdout(contains(escape).not());
}

#[test]
fn nobody_reading_is_no_failure() {
    let folder = tempfile::tempdir().unwrap();
    let mut capture = Capture::new();
    for port in 0..5_000 {
        capture.udp(u32::from(port), [10, 0, 0, 3], 1_000 + port, &[0; 30]);
    }
    let path = capture.save(&folder, "many.pcap");
    for format in ["table", "jsonl", "csv", "zeek"] {
        let mut child = Process::new(assert_cmd::cargo::cargo_bin("flow"))
            .args(["conns", "-o", format, "-r"])
            .arg(&path)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        drop(child.stdout.take());
        let output = child.wait_with_output().unwrap();
        assert_eq!((output.status.code(), output.stderr.as_slice()), (Some(0), &b""[..]), "{format}");
    }
}

#[test]
fn a_capture_is_not_written_to_while_it_is_read() {
    use std::io::{Seek, SeekFrom};
    let folder = tempfile::tempdir().unwrap();
    let path = Capture::web().save(&folder, "web.pcap");
    let before = std::fs::read(&path).unwrap();
    let link = folder.path().join("link");
    std::os::unix::fs::symlink(&path, &link).unwrap();
    for command in ["conns", "hosts", "count", "lat"] {
        for input in [link.to_str().unwrap(), "-"] {
            let mut open = std::fs::OpenOptions::new().read(true).append(true).open(&path).unwrap();
            open.seek(SeekFrom::Start(0)).unwrap();
            let output = Process::new(assert_cmd::cargo::cargo_bin("flow"))
                .args([command, "-o", "csv", "-r", input])
                .stdin(std::fs::File::open(&path).unwrap())
                .stdout(open)
                .output()
                .unwrap();
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            assert_eq!(output.status.code(), Some(2), "{command} {input}: {said}");
            assert!(said.contains(": input file is output file: send the output to another one"), "{said}");
            assert_eq!(std::fs::read(&path).unwrap(), before);
        }
    }
}

#[test]
fn a_full_disk_is_a_failure() {
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full");
    let Ok(full) = full else {
        let _ = writeln!(std::io::stderr(), "SKIPPED: there is no /dev/full");
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let path = Capture::web().save(&folder, "web.pcap");
    let output = Process::new(assert_cmd::cargo::cargo_bin("flow"))
        .args(["conns", "-r"])
        .arg(&path)
        .stdout(full)
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
        .wait_with_output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("No space left"));
}

#[test]
fn line_buffered_rows_have_their_header_before_there_is_any() {
    use std::io::{BufRead, BufReader, Write};
    for (format, begins) in [("csv", "src_ip,"), ("jsonl", "{\"type\":\"header\""), ("zeek", "#separator")] {
        let mut child = listening("-", &["-l", "-o", format]);
        let mut open = child.stdin.take().unwrap();
        // The file's head alone.
        open.write_all(&Capture::web().bytes[..24]).unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
        assert!(line.starts_with(begins), "{line}");
        drop(open);
        assert!(outcome(child).status.success());
    }
}

#[test]
fn both_directions_have_a_sum_that_rows_can_be_ordered_by() {
    let folder = tempfile::tempdir().unwrap();
    let path = Capture::web().save(&folder, "web.pcap");
    let text = printed(flow().arg("-r").arg(&path).args(["-o", "jsonl", "--sort", "packets,bytes"]));
    let rows: Vec<serde_json::Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let rows: Vec<_> = rows.iter().filter(|row| row["type"] == "conn").collect();
    for row in &rows {
        for name in ["packets", "wire_bytes"] {
            let side = |side: &str| row[format!("{side}_{name}")].as_u64().unwrap();
            assert_eq!(row[name].as_u64(), Some(side("fwd") + side("rev")), "{row}");
        }
    }
    assert_eq!(rows.iter().map(|row| row["packets"].as_u64().unwrap()).collect::<Vec<_>>(), [8, 1, 1]);
}
