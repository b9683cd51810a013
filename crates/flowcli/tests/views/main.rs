//! `flow lat`, `flow vol` and `flow cpu` as programs, over connections of this process on the loopback interface: no
//! privilege is needed for these.
#![allow(clippy::unwrap_used, reason = "a test whose preparation fails has failed")]

mod reports;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Output, Stdio};

use serde_json::Value;

/// A connection of which both ends are here.
struct Pair {
    client: TcpStream,
    server: TcpStream,
}

impl Pair {
    fn new(address: &str) -> Self {
        let listener = TcpListener::bind(address).unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (server, _) = listener.accept().unwrap();
        let mut pair = Self { client, server };
        // So that both ends have measured a round trip.
        pair.carry(100);
        pair
    }

    /// Both directions, so many bytes each.
    fn carry(&mut self, bytes: usize) {
        let mut buffer = vec![0; bytes];
        self.client.write_all(&buffer).unwrap();
        self.server.read_exact(&mut buffer).unwrap();
        self.server.write_all(&buffer).unwrap();
        self.client.read_exact(&mut buffer).unwrap();
    }

    fn port(&self) -> u16 {
        self.client.local_addr().unwrap().port()
    }

    fn filter(&self) -> String {
        format!("port {}", self.port())
    }
}

fn flow(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_flow"));
    for variable in ["NO_COLOR", "CLICOLOR", "CLICOLOR_FORCE", "FORCE_COLOR", "COLUMNS"] {
        command.env_remove(variable);
    }
    command.args(arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).stdin(Stdio::null());
    command
}

fn run(arguments: &[&str]) -> Output {
    flow(arguments).output().unwrap()
}

fn text(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn complaints(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// The rows of JSON Lines.
fn rows(text: &str) -> Vec<Value> {
    let lines = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    lines.filter(|line| !["header", "trailer"].contains(&line["type"].as_str().unwrap())).collect()
}

fn of_port(rows: &[Value], port: u16) -> &Value {
    rows.iter().find(|row| row["local_port"] == port).unwrap()
}

/// Waits for one line with `words` in it.
fn wait_for(child: &mut Child, words: &str) -> BufReader<std::process::ChildStdout> {
    let mut lines = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    while !line.contains(words) {
        line.clear();
        assert_ne!(lines.read_line(&mut line).unwrap(), 0, "ended before it said {words}");
    }
    lines
}

fn interrupt(child: &Child) {
    let status = Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    assert!(status.success());
}

#[test]
fn both_ends_of_a_connection_have_a_round_trip() {
    for address in ["127.0.0.1:0", "[::1]:0"] {
        let pair = Pair::new(address);
        let output = run(&["lat", "-o", "jsonl", &pair.filter()]);
        assert!(output.status.success(), "{}", complaints(&output));
        let rows = rows(&text(&output));
        assert_eq!(rows.len(), 2, "{rows:?}");
        let client = of_port(&rows, pair.port());
        assert_eq!(client["remote_port"], pair.server.local_addr().unwrap().port());
        assert_eq!((&client["state"], &client["method"]), (&"established".into(), &"socket".into()));
        assert!(client["rtt_ns"].as_u64().unwrap() > 0);
        assert!(client["min_rtt_ns"].as_u64().unwrap() <= client["rtt_ns"].as_u64().unwrap());
        assert_eq!(client["pid"], std::process::id());
    }
}

#[test]
fn the_classic_layout_is_fleutans() {
    let pair = Pair::new("127.0.0.1:0");
    let classic = text(&run(&["lat", "--classic", &pair.filter()]));
    let lines: Vec<&str> = classic.lines().collect();
    assert_eq!(lines[..3], ["**TCP FLOWS: (NUM 2)", "*latency distribution [rtt-range]", ""]);
    assert!(lines[3].len() >= 100 && lines[3].bytes().all(|byte| byte == b'#'));
    assert_eq!(lines[14..18], ["", "---", "*latency per flow in rtt(ms)", ""]);
    let server = pair.server.local_addr().unwrap().port();
    let label = format!("{:>20}#{:<6}{:>20}#{server:<6}", "127.0.0.1", pair.port(), "127.0.0.1");
    assert!(lines.iter().any(|line| line.ends_with(&label)), "{classic}");
    assert_eq!(lines[lines.len() - 2..], ["", "---"]);
    let coloured = text(&run(&["lat", "--classic", "--color", "always", "-t", "0.000001,1000,2000", &pair.filter()]));
    assert!(coloured.contains("\u{1b}[0;33m"), "above the first threshold: {coloured}");
}

#[test]
fn groups_have_titles_and_a_process_is_called_by_its_command() {
    let pair = Pair::new("127.0.0.1:0");
    let peers = text(&run(&["lat", "-g", "peer", &pair.filter()]));
    assert!(peers.contains("\ndst>>127.0.0.1\n"), "{peers}");
    let processes = text(&run(&["lat", "-g", "proc", &pair.filter()]));
    assert!(processes.contains(&format!("({})\n", std::process::id())), "{processes}");
}

/// Runs a program called `name` that holds what was a client's socket here, and ends it.
fn with_holder(pair: Pair, name: &str, look: impl FnOnce(u32)) {
    use std::os::unix::process::CommandExt;
    let Pair { client, server } = pair;
    let socket = std::os::fd::OwnedFd::from(client);
    let mut holder = Command::new("sleep").arg0(name).arg("60").stdin(socket).spawn().unwrap();
    look(holder.id());
    holder.kill().unwrap();
    holder.wait().unwrap();
    drop(server);
}

#[test]
fn bug_3_a_process_may_be_called_like_a_protocol() {
    let pair = Pair::new("127.0.0.1:0");
    let filter = format!("src port {}", pair.port());
    with_holder(pair, "tcp udp) raw 0 dccp", |pid| {
        let shown = text(&run(&["lat", "-g", "proc", &filter]));
        assert!(shown.contains(&format!("\nproc>>tcp udp) raw 0 dccp 60 ({pid})\n")), "{shown}");
        assert!(shown.contains("1 TCP connection"), "{shown}");
    });
}

#[test]
fn bug_5_a_name_with_a_hyphen_is_a_name() {
    let pair = Pair::new("127.0.0.1:0");
    let filter = format!("src port {}", pair.port());
    with_holder(pair, "edge-7-a", |pid| {
        let rows = rows(&text(&run(&["vol", "-i", "100ms", "-o", "jsonl", &filter])));
        assert_eq!((&rows[0]["process"], &rows[0]["pid"]), (&"edge-7-a 60".into(), &pid.into()));
    });
}

#[test]
fn bug_6_there_are_as_many_groups_as_peers() {
    for count in [1, 3, 4, 5, 7] {
        let pairs: Vec<Pair> = (0..count).map(|number| Pair::new(&format!("127.0.0.{}:0", 2 + number))).collect();
        let ports = pairs.iter().map(|pair| format!("src port {}", pair.port()));
        let filter = ports.collect::<Vec<_>>().join(" or ");
        let shown = text(&run(&["lat", "-g", "peer", &filter]));
        let titles: Vec<&str> = shown.lines().filter_map(|line| line.strip_prefix("dst>>")).collect();
        let expected: Vec<String> = (0..count).map(|number| format!("127.0.0.{}", 2 + number)).collect();
        assert_eq!(titles, expected);
        let labels: Vec<String> = pairs.iter().map(|pair| format!(":{}", pair.port())).collect();
        let at = |text: &str| shown.find(text).unwrap_or_else(|| panic!("no {text} in {shown}"));
        for (title, label) in titles.iter().zip(labels) {
            assert!(at(&format!("dst>>{title}\n")) < at(&label), "each below its own title: {shown}");
        }
    }
}

/// How many sockets of NETLINK_SOCK_DIAG have this number, which is that of the first a process opens.
fn open_channels(pid: u32) -> usize {
    let table = std::fs::read_to_string("/proc/net/netlink").unwrap();
    let words = table.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    words.filter(|words| words[1] == "4" && words[2] == pid.to_string()).count()
}

#[test]
fn bug_11_nothing_stays_behind_and_what_was_missed_is_told() {
    let pair = Pair::new("127.0.0.1:0");
    let mut child = flow(&["lat", "--every", "1h", "-o", "jsonl", &pair.filter()]).spawn().unwrap();
    let pid = child.id();
    let mut lines = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    while !line.contains("\"trailer\"") {
        line.clear();
        assert_ne!(lines.read_line(&mut line).unwrap(), 0);
    }
    assert_eq!(open_channels(pid), 1);
    let trust = &serde_json::from_str::<Value>(&line).unwrap()["trust"]["sockets"];
    for counted in ["polls", "seen", "filtered", "missed", "overruns", "interrupted"] {
        assert!(trust.get(counted).is_some(), "{counted}: {line}");
    }
    interrupt(&child);
    child.wait().unwrap();
    assert_eq!(open_channels(pid), 0);
}

#[test]
fn volume_counts_what_came_in_the_interval_to_the_byte() {
    let mut pair = Pair::new("127.0.0.1:0");
    let filter = pair.filter();
    let mut child = flow(&["vol", "--every", "300ms", "-o", "jsonl", &filter]).spawn().unwrap();
    // The first report is there: what comes now is in one of the next.
    let mut lines = wait_for(&mut child, "\"type\":\"trailer\"");
    pair.carry(12_345);
    std::thread::sleep(std::time::Duration::from_millis(700));
    interrupt(&child);
    let mut rest = String::new();
    lines.read_to_string(&mut rest).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(130));
    let rows = rows(&rest);
    let sum = |port: u16, column: &str| -> u64 {
        rows.iter().filter(|row| row["local_port"] == port).map(|row| row[column].as_u64().unwrap()).sum()
    };
    let server = pair.server.local_addr().unwrap().port();
    for port in [pair.port(), server] {
        assert_eq!((sum(port, "bytes_out"), sum(port, "bytes_in")), (12_345, 12_345), "{rest}");
    }
    assert_eq!(sum(server, "segments_out"), sum(pair.port(), "segments_in"));
    let last = &rows[rows.len() - 1];
    assert_eq!(last["bdp_bytes"], last["cwnd"].as_u64().unwrap() * last["mss"].as_u64().unwrap());
    assert!(rest.trim_end().ends_with('}') && rest.contains("\"complete\":true"), "the final report");
}

#[test]
fn a_process_has_ten_samples_of_a_second_however_many_connections_it_has() {
    let pairs = [Pair::new("127.0.0.1:0"), Pair::new("127.0.0.1:0")];
    let filter = format!("port {} or port {}", pairs[0].port(), pairs[1].port());
    let output = run(&["cpu", "-i", "1", "-o", "jsonl", &filter]);
    let rows = rows(&text(&output));
    let own: Vec<&Value> = rows.iter().filter(|row| row["pid"] == std::process::id()).collect();
    let samples: f64 = own.iter().map(|row| row["samples"].as_f64().unwrap()).sum();
    // A round may be late on a machine under load, none is doubled.
    assert!((8.0..=10.000_1).contains(&samples), "{rows:?}");
    assert_eq!(own[0]["connections"], 4);
}

#[test]
fn bug_4_loads_by_cpu_are_nothing_but_charts() {
    let pair = Pair::new("127.0.0.1:0");
    let output = run(&["cpu", "--general", "--classic", "-i", "300ms", &pair.filter()]);
    let text = text(&output);
    let titles: Vec<&str> = text.lines().filter(|line| line.starts_with("#>")).collect();
    assert_eq!(titles, ["#>segs_in", "#>segs_out", "#>ebwp", "#>RX_bytes", "#>TX_bytes"]);
    assert!(!text.contains(['{', '[']), "no traces of debugging: {text}");
}

#[test]
fn an_interrupted_run_prints_its_final_report() {
    let pair = Pair::new("127.0.0.1:0");
    let mut child = flow(&["lat", "--every", "1h", &pair.filter()]).spawn().unwrap();
    let mut lines = wait_for(&mut child, "trust:");
    interrupt(&child);
    let mut rest = String::new();
    lines.read_to_string(&mut rest).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(130));
    assert!(rest.contains("2 TCP connections") && rest.contains("trust:"), "{rest}");
    assert!(rest.contains("in 2 polls"), "the last look counts: {rest}");
}

/// The trailers of JSON Lines.
fn trailers(text: &str) -> Vec<Value> {
    let lines = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    lines.filter(|line| line["type"] == "trailer").collect()
}

#[test]
fn what_was_to_end_by_itself_is_not_complete_when_it_is_interrupted() {
    let pair = Pair::new("127.0.0.1:0");
    let cases: [(&[&str], _, _); 9] = [
        (&["sockets", "-t", "--every", "300ms", "-c", "50"], 3, false),
        (&["sockets", "-ts", "--every", "300ms", "-c", "50"], 3, false),
        (&["lat", "--every", "300ms", "-c", "50"], 3, false),
        (&["vol", "--every", "300ms", "-c", "50"], 3, false),
        (&["cpu", "--every", "300ms", "-c", "50"], 3, false),
        (&["vol", "-i", "1h"], 3, false),
        (&["sockets", "-t", "--every", "1h"], 130, true),
        (&["sockets", "-ts", "--every", "1h"], 130, true),
        (&["vol", "--every", "300ms"], 130, true),
    ];
    for (command, code, complete) in cases {
        let child = flow(&[command, &["-o", "jsonl", &pair.filter()]].concat()).spawn().unwrap();
        std::thread::sleep(std::time::Duration::from_millis(1_000));
        interrupt(&child);
        let output = child.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(code), "{command:?}: {}", complaints(&output));
        let trailers = trailers(&text(&output));
        let last = &trailers[trailers.len() - 1];
        let fault = if complete { Value::Null } else { "interrupted by the user".into() };
        assert_eq!((&last["trust"]["complete"], &last["trust"]["fault"]), (&complete.into(), &fault), "{command:?}");
        // The last look counts, and has its rows.
        assert!(last["trust"]["sockets"]["polls"].as_u64() >= Some(2), "{command:?}: {last}");
        assert!(last["rows"].as_u64() > Some(0), "{command:?}: {last}");
    }
}

#[test]
fn what_a_filter_selects_no_more_has_no_row() {
    for command in ["lat", "vol"] {
        let pair = Pair::new("127.0.0.1:0");
        let filter = format!("state established and {}", pair.filter());
        let mut child = flow(&[command, "--every", "200ms", "-o", "jsonl", &filter]).spawn().unwrap();
        let mut lines = wait_for(&mut child, "\"type\":\"trailer\"");
        drop(pair);
        std::thread::sleep(std::time::Duration::from_millis(900));
        interrupt(&child);
        let mut rest = String::new();
        lines.read_to_string(&mut rest).unwrap();
        child.wait().unwrap();
        assert_eq!(trailers(&rest).last().unwrap()["rows"], 0, "{command}: {rest}");
    }
}

#[test]
fn a_report_begins_when_the_looking_does() {
    let text = text(&run(&["vol", "-i", "50ms", "-o", "jsonl", "port 1"]));
    let trailer = &trailers(&text)[0];
    assert!(trailer["from_ns"].as_i64() < trailer["through_ns"].as_i64() && trailer["from_ns"].is_i64(), "{trailer}");
}

#[test]
fn rows_of_nothing_are_as_good_as_none() {
    for command in [&["lat", "--distribution"][..], &["cpu", "--general", "-i", "50ms", "--period", "10ms"]] {
        let output = run(&[command, &["--fail-empty", "port 1"]].concat());
        assert_eq!(output.status.code(), Some(6), "{command:?}");
    }
}

#[test]
fn who_holds_what_a_filter_by_process_selects_is_in_its_row() {
    let pid = std::process::id();
    // It waits to be accepted: nobody has a descriptor of it yet.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let _client = TcpStream::connect(("127.0.0.1", port)).unwrap();
    let filter = format!("pid {pid} and src port {port}");
    for command in [&["lat"][..], &["vol", "-i", "50ms"], &["sockets", "-t"]] {
        let rows = rows(&text(&run(&[command, &["-o", "jsonl", "--columns", "all", &filter]].concat())));
        assert_eq!(rows.iter().map(|row| row["pid"].clone()).collect::<Vec<_>>(), [Value::from(pid)], "{command:?}");
    }
    // It ends.
    let pair = Pair::new("127.0.0.1:0");
    let filter = format!("pid {pid} and {}", pair.filter());
    let mut child = flow(&["vol", "--every", "200ms", "-o", "jsonl", &filter]).spawn().unwrap();
    let mut lines = wait_for(&mut child, "\"type\":\"trailer\"");
    drop(pair);
    std::thread::sleep(std::time::Duration::from_millis(700));
    interrupt(&child);
    let mut rest = String::new();
    lines.read_to_string(&mut rest).unwrap();
    child.wait().unwrap();
    assert!(rows(&rest).iter().all(|row| row["pid"] == pid), "{rest}");
}

#[test]
fn fleutans_command_lines_are_understood_and_translated() {
    let pair = Pair::new("127.0.0.1:0");
    let output = run(&["flows", "--lat", "-g", "peer", &pair.filter()]);
    assert!(complaints(&output).contains("is `flow lat -g peer port"), "{}", complaints(&output));
    assert!(text(&output).contains("dst>>127.0.0.1"));
    let output = run(&["flows", "--qdisc"]);
    assert_eq!(output.status.code(), Some(2));
}

#[test]
fn bug_13_wrong_wishes_are_told_by_their_exit_codes() {
    for arguments in [
        &["lat", "--thresh", "fast"] as &[&str],
        &["lat", "--bins", "0"],
        &["lat", "-o", "zeek"],
        &["lat", "-o", "json", "--every", "1s"],
        &["lat", "--columns", "rttt"],
        &["lat", "syn"],
        &["lat", "--netns", ""],
        &["vol", "--netns", ""],
        &["cpu", "--netns", ""],
        &["lat", "-r", "/dev/null", "--every", "1s"],
        &["flows"],
    ] {
        let output = run(arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {}", complaints(&output));
        assert_eq!(text(&output), "");
    }
}

#[test]
fn what_would_have_no_effect_is_refused() {
    for (arguments, missing_or_other) in [
        (&["vol", "-i", "5s", "--every", "100ms"][..], "--every"),
        (&["cpu", "-i", "5s", "--every", "100ms"], "--every"),
        (&["lat", "--no-decap"], "--read"),
        (&["lat", "--timeouts", "tcp=5m"], "--read"),
        (&["lat", "--max-flows", "5"], "--read"),
    ] {
        // Were it accepted, the column would end it.
        let output = run(&[arguments, &["--columns", "nosuch"]].concat());
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert!(complaints(&output).contains(missing_or_other), "{arguments:?}: {}", complaints(&output));
    }
    for command in ["vol", "cpu"] {
        let output = run(&[command, "-i", "300ms", "-c", "3"]);
        assert_eq!(output.status.code(), Some(2), "{command}");
        assert!(complaints(&output).contains("-c counts reports"), "{command}: {}", complaints(&output));
    }
    let capture = concat!(env!("CARGO_MANIFEST_DIR"), "/../../captures/redis.pcap.gz");
    let output = run(&["lat", "-r", capture, "--no-decap", "--timeouts", "tcp=5m", "--max-flows", "1k", "--top", "1"]);
    assert!(output.status.success(), "{}", complaints(&output));
}

#[test]
fn columns_are_described_and_chosen() {
    for command in ["lat", "vol", "cpu"] {
        assert!(text(&run(&[command, "--list-columns"])).lines().count() > 6, "{command}");
    }
    let pair = Pair::new("127.0.0.1:0");
    let csv = text(&run(&["lat", "-o", "csv", "--columns", "local_port,rtt_ns", "--top", "1", &pair.filter()]));
    let lines: Vec<&str> = csv.lines().collect();
    assert_eq!(lines[0], "local_port,rtt_ns,quality");
    assert_eq!(lines.len(), 3, "a header, one row and the trust line: {csv}");
}

#[test]
fn a_capture_has_the_round_trips_that_its_connections_have() {
    let capture = concat!(env!("CARGO_MANIFEST_DIR"), "/../../captures/redis.pcap.gz");
    let lat = rows(&text(&run(&["lat", "-r", capture, "-o", "jsonl"])));
    let columns = "src_port,dst_port,rtt_min";
    let conns = rows(&text(&run(&["conns", "-r", capture, "-o", "jsonl", "--columns", columns, "tcp"])));
    assert!(lat.len() > 10 && lat.len() == conns.len(), "{} and {}", lat.len(), conns.len());
    for row in &lat {
        let ends = [row["local_port"].as_u64(), row["remote_port"].as_u64()];
        let is_same = |conn: &&Value| {
            let others = [conn["src_port"].as_u64(), conn["dst_port"].as_u64()];
            others == ends || others == [ends[1], ends[0]]
        };
        let conn = conns.iter().find(is_same).unwrap();
        assert_eq!(row["min_rtt_ns"], conn["rtt_min"], "{row}");
        assert_eq!(row["quality"], conn["quality"], "{row}");
    }
}

#[test]
fn round_trips_of_a_capture_say_how_far_they_can_be_trusted() {
    const LOSSY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../captures/lossy.pcap.zst");
    let told = |command: &str, more: &[&str]| {
        let output = run(&[&[command, "-r", LOSSY, "-o", "jsonl", "tcp"], more].concat());
        let mut told: Vec<String> =
            rows(&text(&output)).iter().map(|row| row["quality"].to_string()).filter(|told| told != "null").collect();
        told.sort();
        told
    };
    let columns = ["--columns", "src_ip,rtt_min"];
    assert_eq!(told("lat", &[]), told("conns", &columns));
    assert!(told("lat", &[]).iter().any(|told| told.contains("gap")));
    assert!(told("lat", &["-c", "60"]).iter().all(|told| told.contains("stopped")));
    assert!(text(&run(&["lat", "-r", LOSSY, "-o", "wide"])).contains("≥25"));
    let chart = text(&run(&["lat", "-r", LOSSY]));
    assert!(chart.contains("4 of 4 connections are near the truth, not exact: midstream, gap"), "{chart}");
    assert!(text(&run(&["lat", "-r", LOSSY, "--distribution", "-o", "csv"])).contains("gap"));
}

#[test]
fn sockets_that_a_filter_leaves_out_are_not_counted_as_selected() {
    let pair = Pair::new("127.0.0.1:0");
    let selected = |arguments: &[&str]| {
        let text = text(&run(&[arguments, &["-o", "jsonl"]].concat()));
        let trailer: Value = serde_json::from_str(text.lines().last().unwrap()).unwrap();
        (trailer["trust"]["sockets"]["seen"].clone(), trailer["trust"]["sockets"]["filtered"].clone())
    };
    let ours = pair.filter();
    let commands: [(&[&str], i64); 2] = [(&["lat"], 1), (&["vol", "-i", "100ms"], 2)];
    for (command, polls) in commands {
        let selected = |filter: &str| selected(&[command, &[filter]].concat());
        assert_eq!(selected(&ours), (Value::from(2 * polls), Value::Null), "{command:?}");
        for nobody in ["udp", "state listen", "process nobodys-name", "rtt > 100s"] {
            assert_eq!(selected(&format!("{ours} and {nobody}")).0, Value::from(0), "{command:?} {nobody}");
        }
    }
    assert_eq!(selected(&["sockets", "-t", "state", "established"]).1, Value::Null);
}

#[test]
fn what_all_round_trips_have_in_common_comes_in_every_format() {
    let pair = Pair::new("127.0.0.1:0");
    let filter = pair.filter();
    let output = run(&["lat", "--distribution", "--percentiles", "0,50,99,100", "--bins", "4", "-o", "jsonl", &filter]);
    let rows = rows(&text(&output));
    let of = |what: &str| rows.iter().filter(|row| row["what"] == what).collect::<Vec<_>>();
    assert_eq!(of("measured")[0]["flows"], 2, "{}", text(&output));
    let percents: Vec<_> = of("percentile").iter().map(|row| row["percent"].as_f64().unwrap()).collect();
    assert_eq!(percents, [0.0, 50.0, 99.0, 100.0]);
    let rtt = |place: usize| of("percentile")[place]["rtt_ns"].as_u64().unwrap();
    assert!(rtt(0) > 0 && rtt(0) <= rtt(3), "{}", text(&output));
    assert_eq!(of("bin").iter().map(|row| row["flows"].as_u64().unwrap()).sum::<u64>(), 2);
    let csv = text(&run(&["lat", "--distribution", "-o", "csv", &filter]));
    assert!(csv.starts_with("what,percent,rtt_ns,from_ns,to_ns,flows,quality\n"), "{csv}");
}

/// On a terminal of so many columns; `None` if none can be made.
fn on_terminal(columns: usize, arguments: &str) -> Option<String> {
    let program = env!("CARGO_BIN_EXE_flow");
    let line = format!("stty cols {columns}; {program} {arguments}");
    let mut command = Command::new("script");
    command.args(["-qec", &line, "/dev/null"]).env("TERM", "xterm").env("NO_COLOR", "1").env_remove("COLUMNS");
    let output = command.stdin(Stdio::null()).output().ok()?;
    Some(String::from_utf8_lossy(&output.stdout).replace('\r', ""))
}

#[test]
fn charts_and_tables_keep_to_a_narrow_terminal_and_say_what_did_not_fit() {
    let pair = Pair::new("[::1]:0");
    let filter = format!("'{}'", pair.filter());
    for view in ["lat", "cpu -i 200ms", "cpu --general -i 200ms", "vol -i 100ms"] {
        let Some(shown) = on_terminal(60, &format!("{view} {filter}")) else {
            let _ = writeln!(std::io::stderr(), "SKIPPED: needs script and stty");
            return;
        };
        let widest = shown.lines().map(|line| line.chars().count()).max();
        assert!(widest.is_some_and(|widest| widest <= 60), "{view}: {widest:?}\n{shown}");
        assert_eq!(shown.contains("too narrow for:"), view.starts_with("vol"), "{view}: {shown}");
    }
}

#[test]
fn on_a_narrow_terminal_what_was_asked_for_goes_last() {
    let captures = concat!(env!("CARGO_MANIFEST_DIR"), "/../../captures");
    for (columns, arguments, titles) in [
        (80, "conns -r {}/failures.pcap.lz4 --sort duration_ns --top 5", &["DURATION"][..]),
        (80, "conns -r {}/lossy.pcap.zst --columns +retrans,requests", &["RETRANS", "REQUESTS"]),
        (80, "hosts -r {}/web.pcapng.zst --by-port", &["PORT"]),
        (80, "hosts -r {}/web.pcapng.zst --by-port --columns +gaps,-qos_p95", &["PORT", "GAPS"]),
        (60, "hosts -r {}/web.pcapng.zst --percentiles 50,95,99", &["LATp50", "LATp95", "LATp99", "RTTp50"]),
        (60, "hosts -r {}/web.pcapng.zst", &["LAT", "RTT"]),
        (42, "hosts -r {}/web.pcapng.zst --percentiles 50,95,99", &["LATp50", "RTTp50"]),
    ] {
        let arguments = arguments.replace("{}", captures);
        let Some(shown) = on_terminal(columns, &arguments) else {
            let _ = writeln!(std::io::stderr(), "SKIPPED: needs script and stty");
            return;
        };
        let heading = shown.lines().next().unwrap_or_default();
        assert!(titles.iter().all(|title| heading.contains(title)), "{arguments}\n{shown}");
        assert!(shown.contains("too narrow for:"), "{arguments}\n{shown}");
        let widest = shown.lines().map(|line| line.chars().count()).max();
        assert!(widest.is_some_and(|widest| widest <= columns), "{arguments}: {widest:?}\n{shown}");
    }
}

#[test]
fn a_namespace_has_its_name_in_every_view() {
    let name = format!("flowcli-named-{}", std::process::id());
    let ip = |arguments: &str| {
        Command::new("ip").args(arguments.split(' ')).output().is_ok_and(|done| done.status.success())
    };
    if !ip(&format!("netns add {name}")) {
        let _ = writeln!(std::io::stderr(), "SKIPPED: network namespaces need root and `ip`");
        return;
    }
    ip(&format!("-n {name} link set lo up"));
    ip(&format!("-n {name} addr add fe80::1/64 dev lo"));
    let door = std::fs::File::open(format!("/run/netns/{name}")).unwrap();
    let inside = move || {
        let network = Some(rustix::thread::LinkNameSpaceType::Network);
        rustix::thread::move_into_link_name_space(std::os::fd::AsFd::as_fd(&door), network).unwrap();
        (Pair::new("127.0.0.1:0"), Pair::new("[fe80::1%1]:0"))
    };
    let (pair, scoped) = std::thread::spawn(inside).join().unwrap();
    let shown = ["lat", "vol -i 50ms"].map(|view| {
        let words: Vec<&str> = view.split(' ').chain(["--netns", "all", "-o", "jsonl"]).collect();
        rows(&text(&run(&words)))
    });
    let narrow = on_terminal(60, &format!("cpu -i 200ms --netns {name} 'port {}'", scoped.port()));
    ip(&format!("netns del {name}"));
    if let Some(narrow) = narrow {
        assert!(narrow.contains("tcp [fe80::1%lo]:"), "{narrow}");
    }
    for rows in shown {
        assert_eq!(of_port(&rows, pair.port())["netns"], *name, "{rows:?}");
    }
}
