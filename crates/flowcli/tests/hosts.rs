//! `flow hosts` as a program: small captures made here go in, text comes out.
#![allow(clippy::unwrap_used, reason = "a test whose preparation fails has failed")]
#![allow(dead_code, reason = "the packets are made by what the analyzer's own tests use, and not all of it is used")]

#[path = "../../flowstats/tests/hosts/packets.rs"]
mod packets;
#[path = "../../flowstats/tests/hosts/tape.rs"]
mod tape;

use std::path::{Path, PathBuf};

use assert_cmd::Command;
use packets::{Link, Packet, capture};
use predicates::prelude::*;
use predicates::str::{contains, is_empty};
use tape::Tape;
use tempfile::TempDir;

fn save(folder: &TempDir, name: &str, packets: &[Packet]) -> PathBuf {
    let path = folder.path().join(name);
    std::fs::write(&path, capture(packets, Link::Ethernet)).unwrap();
    path
}

fn flow() -> Command {
    let mut command = Command::cargo_bin("flow").unwrap();
    for variable in ["NO_COLOR", "CLICOLOR", "CLICOLOR_FORCE", "FORCE_COLOR", "COLUMNS"] {
        command.env_remove(variable);
    }
    command.arg("hosts");
    command
}

fn printed(command: &mut Command) -> String {
    String::from_utf8(command.output().unwrap().stdout).unwrap()
}

fn read(path: &Path, arguments: &[&str]) -> String {
    printed(flow().arg("-r").arg(path).args(arguments))
}

/// One remote that answers after 10 ms and 30 ms, and one that refuses.
fn two() -> Vec<Packet> {
    let good = Tape::opened()
        .c(1020.0, "P.", 1, 1, 100)
        .s(1030.0, "P.", 1, 101, 200)
        .c(1100.0, "P.", 101, 201, 100)
        .s(1130.0, "P.", 201, 201, 200)
        .c(1200.0, "F.", 201, 401, 0)
        .s(1201.0, "F.", 401, 202, 0)
        .c(6000.0, ".", 202, 402, 0);
    let refused =
        Tape::between(("10.0.0.1", 41_000), ("10.0.0.9", 443)).c(1000.0, "S", 0, 0, 0).s(1002.0, "R.", 0, 1, 0);
    let mut packets = good.packets;
    packets.extend(refused.packets);
    packets.sort_by_key(|packet| packet.nanos);
    packets
}

#[test]
fn a_table_has_a_row_per_remote_a_total_and_the_trust_line() {
    let folder = tempfile::tempdir().unwrap();
    let path = save(&folder, "two.pcap", &two());
    flow().arg("-r").arg(path).assert().success().stderr(is_empty()).stdout(
        "\
HOST      SYN  SYN[1/s]  SYN/ACK[%]  EST[%]  RST  RST[%]  FIN_O  FIN_I  EST[1/s]  QOS    LAT[s]  OUT  IN    RTT[s]  ERR  RETRANS
10.0.0.2    1     0.200       100.0   100.0    0     0.0      1      0     0.200    2  0.010100    2   2  0.030000    0        0
10.0.0.9    1     0.200         0.0     0.0    1   100.0      0      0     0.000    -         -    0   0         -    0        0
(total)     2     0.400        50.0    50.0    1    50.0      1      0     0.200    2  0.010100    2   2  0.030000    0        0
trust: 12 packets seen = 12 delivered + 0 filtered + 0 lost; losses before the capture unknown; input complete
",
    );
}

#[test]
fn the_classic_layout_is_trtops() {
    let folder = tempfile::tempdir().unwrap();
    let path = save(&folder, "two.pcap", &two());
    let text = read(&path, &["--classic"]);
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines[0], "TCP Remote TOP - analyzer: hosts");
    // 18 cells of equal width, text at 2 + cell × n; nine columns a cell where no terminal says more.
    let cell = 9;
    let at = |line: usize, text: &str| lines[line].find(text).map(|place| (place - 2) / cell);
    assert_eq!([at(1, "Connections"), at(1, "Transport"), at(1, "Pcap")], [Some(2), Some(14), Some(17)]);
    let titles = ["Syn(/s)", "Est(%)", "Rst(%)", "Fin_I(%)", "Est Rate", "QoS", "Lat", "Out", "In ", "Rtt", "Err"];
    let cells = [2, 6, 8, 10, 11, 12, 13, 14, 15, 16, 17];
    assert_eq!(titles.map(|title| at(2, title)), cells.map(Some));
    // Upwards by established connections a second, then the total of three columns.
    let words = |line: usize| lines[line].split_whitespace().collect::<Vec<_>>();
    let refused = [
        "10.0.0.9", "1", "(0.20)", "0", "(0%)", "0", "(0%)", "1", "(100%)", "0", "(0%)", "0", "(0%)", "0.00", "*", "-",
    ];
    assert_eq!(words(3)[..16], refused);
    assert_eq!(words(4)[13..], ["0.20", "2", "10.10", "2", "2", "30.00", "0"]);
    assert_eq!(words(5), ["Totals:", "2", "(0.40)", "1", "(0.20)", "1"]);
}

/// Two remotes as in [`two`], and to the first a connection that was under way when the capture began.
fn two_and_one_under_way() -> Vec<Packet> {
    let mut packets = two();
    packets.extend(
        Tape::between(("10.0.0.1", 42_000), ("10.0.0.2", 80))
            .c(2000.0, "P.", 1, 1, 100)
            .s(2020.0, "P.", 1, 101, 200)
            .packets,
    );
    packets.sort_by_key(|packet| packet.nanos);
    packets
}

#[test]
fn what_is_made_of_lower_bounds_is_marked_too() {
    let folder = tempfile::tempdir().unwrap();
    let path = save(&folder, "two.pcap", &two_and_one_under_way());
    let columns = "host,syn,syn_rate,est_percent,fin_out,unanswered,lat_p95_ns,err";
    let text = read(&path, &["--columns", columns, "--no-trailer"]);
    let rows: Vec<Vec<&str>> = text.lines().map(|line| line.split_whitespace().collect()).collect();
    // A part of a hundred may be too small or too large, where SYNs are missing too; a rate only too small.
    assert_eq!(rows[1], ["10.0.0.2", "≥1", "≥0.200", "~100.0", "~1", "~0", "~0.010100", "≥0"]);
    assert_eq!(rows[2], ["10.0.0.9", "1", "0.200", "0.0", "0", "0", "-", "0"]);
    assert_eq!(rows[3][..4], ["(total)", "≥2", "≥0.400", "~50.0"]);
    // Machines are told once, for the rows whose quality is not exact.
    let text = read(&path, &["--columns", columns, "-o", "jsonl"]);
    let header: serde_json::Value = serde_json::from_str(text.lines().next().unwrap()).unwrap();
    let bounds: Vec<&str> =
        header["columns"].as_array().unwrap().iter().map(|column| column["bound"].as_str().unwrap()).collect();
    assert_eq!(bounds, ["exact", "at_least", "at_least", "about", "about", "about", "about", "at_least"]);
    // Of what was read until somebody had enough, neither the count nor the time is all.
    let text = read(&path, &["--columns", "host,syn_rate", "--no-trailer", "--count", "12"]);
    assert!(text.lines().nth(1).unwrap().split_whitespace().nth(1).unwrap().starts_with('~'), "{text}");
}

#[test]
fn the_classic_layout_says_in_its_trust_line_which_rows_are_not_exact() {
    let folder = tempfile::tempdir().unwrap();
    let path = save(&folder, "two.pcap", &two_and_one_under_way());
    let text = read(&path, &["--classic"]);
    let trust = text.lines().last().unwrap();
    let said = "1 of 2 rows of which counts and rates are lower bounds, percentages and percentiles near the truth: \
                10.0.0.2 (midstream); input complete";
    assert!(trust.ends_with(said), "{trust}");
    assert!(!text.lines().take(6).any(|line| line.contains(['≥', '~'])), "the layout is TRTOP's: {text}");
    // The row that is not was left out, and is in the totals.
    let text = read(&path, &["--classic", "--top", "1", "--sort", "-host"]);
    assert!(text.contains("totals of which counts and rates are lower bounds"), "{text}");
    let exact = save(&folder, "exact.pcap", &two());
    assert!(!read(&exact, &["--classic"]).contains("lower bounds"));
}

#[test]
fn percentiles_are_those_asked_for_and_columns_are_named_after_them() {
    let folder = tempfile::tempdir().unwrap();
    let path = save(&folder, "two.pcap", &two());
    let columns = "host,rtt_p50_ns,rtt_p99_9_ns,lat_p50_ns";
    let text = read(&path, &["--percentiles", "50,99.9", "--columns", columns, "-o", "csv", "--no-trailer"]);
    assert_eq!(
        text,
        "host,rtt_p50_ns,rtt_p99_9_ns,lat_p50_ns,quality\n\
         10.0.0.2,10000000,30000000,10100000,exact\n\
         10.0.0.9,,,,exact\n\
         (total),10000000,30000000,10100000,exact\n"
    );
    flow().args(["-r", "x", "--percentiles", "101"]).assert().code(2).stderr(contains("between 0 and 100"));
}

#[test]
fn json_lines_say_which_rows_are_hosts_and_that_unknown_is_null() {
    let folder = tempfile::tempdir().unwrap();
    let path = save(&folder, "two.pcap", &two());
    let text = read(&path, &["-o", "jsonl"]);
    let lines: Vec<serde_json::Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let kinds: Vec<&str> = lines.iter().filter_map(|line| line["kind"].as_str()).collect();
    assert_eq!(kinds, ["host", "host", "total"]);
    let refused = lines.iter().find(|line| line["host"] == "10.0.0.9").unwrap();
    assert_eq!(
        (refused["syn"].as_u64(), refused["refused"].as_u64(), refused["est"].as_u64()),
        (Some(1), Some(1), Some(0))
    );
    assert!(refused["lat_p95_ns"].is_null() && refused["rtt_p95_ns"].is_null() && refused["qos_p95"].is_null());
    assert_eq!(lines.last().unwrap()["trust"]["seen"], 12);
}

#[test]
fn rows_are_ordered_by_any_column() {
    let folder = tempfile::tempdir().unwrap();
    let path = save(&folder, "two.pcap", &two());
    let first = |sort: &str| {
        let text = read(&path, &["--sort", sort, "--no-header", "--no-total"]);
        text.split_whitespace().next().unwrap().to_owned()
    };
    assert_eq!(first("rst"), "10.0.0.9");
    assert_eq!(first("rst:asc"), "10.0.0.2");
    assert_eq!(first("host"), "10.0.0.2");
    assert_eq!(first("-host"), "10.0.0.9");
    assert_eq!(first("rtt_p95_ns"), "10.0.0.2");
    assert_eq!(first("rtt_p95_ns:asc"), "10.0.0.2", "unknown comes last in either direction");
    flow().arg("-r").arg(&path).args(["--sort", "latency"]).assert().code(2).stderr(contains("no column `latency`"));
}

#[test]
fn what_is_beyond_a_threshold_is_red_where_there_are_colours() {
    let folder = tempfile::tempdir().unwrap();
    let path = save(&folder, "two.pcap", &two());
    let red = |arguments: &[&str]| -> Vec<String> {
        let text = read(&path, arguments);
        let marked = text.split("\x1b[41;37m").skip(1);
        marked.map(|rest| rest.split('\x1b').next().unwrap().to_owned()).collect()
    };
    assert!(red(&[]).is_empty(), "not into a pipe");
    assert_eq!(red(&["--color", "always", "--no-total"]), ["0.0", "0.0", "100.0"]);
    let more =
        ["--color", "always", "--no-total", "--highlight", "lat=10ms,rtt=30ms,qos=3,est=off,rst=off,syn_ack=off"];
    assert_eq!(red(&more), ["2", "0.010100"], "a time that is just reached is not beyond");
    assert_eq!(red(&["--color", "always", "--classic"]), ["0 (0%)", "0 (0%)", "1 (100%)"]);
}

#[test]
fn the_servers_side_has_the_clients_as_rows() {
    let folder = tempfile::tempdir().unwrap();
    let path = save(&folder, "two.pcap", &two());
    let text =
        read(&path, &["--incoming", "--columns", "host,syn,fin_out,fin_in,out,in", "--no-header", "--no-trailer"]);
    assert_eq!(
        text.lines().next().unwrap().split_whitespace().collect::<Vec<_>>(),
        ["10.0.0.1", "2", "0", "1", "2", "2"]
    );
}

#[test]
fn remotes_beyond_the_most_rows_are_counted_together() {
    let folder = tempfile::tempdir().unwrap();
    let path = save(&folder, "two.pcap", &two());
    let text = read(&path, &["--max-hosts", "1", "--columns", "host,syn", "--no-header", "--no-trailer"]);
    let rows: Vec<Vec<&str>> = text.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(rows[1..], [["(others)", "1"], ["(total)", "2"]]);
}

#[test]
fn rows_beyond_the_first_are_counted_and_what_has_no_row_of_its_own_stays() {
    let folder = tempfile::tempdir().unwrap();
    let path = save(&folder, "two.pcap", &two_and_one_under_way());
    let columns = ["--columns", "host,connections", "--no-header"];
    let shown = |more: &[&str]| read(&path, &[&columns[..], more].concat());
    let names = |text: &str| -> Vec<String> {
        let rows = text.lines().filter(|line| !line.starts_with("trust:"));
        rows.map(|line| line.split_whitespace().next().unwrap().to_owned()).collect()
    };
    let first = shown(&["--top", "1"]);
    assert_eq!(names(&first), ["10.0.0.2", "(total)"]);
    assert!(first.contains("1 more row"), "{first}");
    assert_eq!(names(&shown(&["--top", "1", "--max-hosts", "1"])), ["10.0.0.2", "(others)", "(total)"]);
    let lines = read(&path, &["--top", "1", "-o", "jsonl"]);
    assert!(lines.contains("\"unreported_rows\":1"), "{lines}");
    // Upwards, so the greatest are the last.
    let classic = read(&path, &["--classic", "--top", "1"]);
    assert!(classic.contains("10.0.0.2") && !classic.contains("10.0.0.9"), "{classic}");
}

/// What `--resolve` is told for both remotes to have one name.
fn one_name(folder: &TempDir) -> String {
    let names = folder.path().join("names");
    std::fs::write(&names, "10.0.0.2 farm\n10.0.0.9 farm\n").unwrap();
    format!("hosts:{}", names.display())
}

#[test]
fn an_address_is_an_address_whatever_its_row_is_called() {
    let folder = tempfile::tempdir().unwrap();
    let path = save(&folder, "two.pcap", &two());
    let resolve = one_name(&folder);
    let text =
        read(&path, &["--resolve", &resolve, "--by-port", "--columns", "host,addr", "--no-header", "--no-total"]);
    let rows: Vec<Vec<&str>> = text.lines().take(2).map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(rows, [["farm:443", "10.0.0.9"], ["farm:80", "10.0.0.2"]]);
}

/// Several hundred rows alike, some with names: an order of some pairs alone made the sort give up.
#[test]
fn names_stand_before_addresses() {
    let folder = tempfile::tempdir().unwrap();
    let remote = |number: u16| format!("10.{}.{}.1", number % 7, number);
    let attempt = |number: u16| {
        let mut one = Tape::between(("10.9.0.1", 40_000), ("10.0.0.2", 80)).c(1000.0, "S", 0, 0, 0).packets;
        one[0].dst.0 = remote(number).parse().unwrap();
        one
    };
    let packets: Vec<Packet> = (0..250).flat_map(attempt).collect();
    let path = save(&folder, "alike.pcap", &packets);
    let names = folder.path().join("names");
    let named: String =
        (0..250).step_by(3).map(|number| format!("{} n{:03}\n", remote(number), 999 - number)).collect();
    std::fs::write(&names, named).unwrap();
    let resolve = format!("hosts:{}", names.display());
    let text = read(&path, &["--resolve", &resolve, "--columns", "host", "--no-header", "--no-total", "--no-trailer"]);
    let rows: Vec<&str> = text.split_whitespace().collect();
    let (names, addresses) = rows.split_at(84);
    assert!(names.is_sorted() && names.iter().all(|name| name.starts_with('n')), "{names:?}");
    assert!(addresses.len() == 166 && addresses.iter().all(|name| name.starts_with("10.")), "{addresses:?}");
}

#[test]
fn a_name_is_the_key_of_a_row_and_a_whitelist_says_who_has_one() {
    let folder = tempfile::tempdir().unwrap();
    let path = save(&folder, "two.pcap", &two());
    let plain = ["--columns", "host,remotes,syn", "--no-header", "--no-trailer"];
    let rows = |more: &[&str]| -> Vec<String> {
        let text = read(&path, &[&plain[..], more].concat());
        text.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect()
    };
    assert_eq!(rows(&["--resolve", &one_name(&folder)]), ["farm 2 2", "(total) 2 2"]);
    let list = folder.path().join("list");
    std::fs::write(&list, "10.0.0.2:80\n").unwrap();
    let list = list.display().to_string();
    assert_eq!(rows(&["--whitelist", &list]), ["10.0.0.2 1 1", "(unlisted) - 1", "(total) - 2"]);
    assert_eq!(rows(&["--whitelist", &list, "--unlisted"]), ["10.0.0.9 1 1", "(allowed) - 1", "(total) - 2"]);
    // Of all that is allowed nobody is left to find.
    let mut unlisted = flow();
    unlisted.arg("-r").arg(&path).args(["--whitelist", &list, "--unlisted", "--fail-empty"]);
    unlisted.assert().success();
    std::fs::write(&list, "10.0.0.2, 10.0.0.9\n").unwrap();
    unlisted.assert().code(6).stdout(contains("(allowed)"));
}

// ---- TRTOP's bugs that were the program's ---------------------------------------------------------------------------

/// Bug 6: with more remotes than lines on the screen the program died.
#[test]
fn bug_6_there_are_as_many_lines_as_remotes() {
    let folder = tempfile::tempdir().unwrap();
    let mut packets = Vec::new();
    for number in 0..300u16 {
        let mut one = Tape::between(("10.0.0.1", 30_000 + number), ("10.0.0.2", 80)).handshake().packets;
        for packet in &mut one {
            let remote = format!("10.2.{}.{}", number / 250, number % 250 + 1).parse().unwrap();
            if packet.dst.1 == 80 {
                packet.dst.0 = remote
            } else {
                packet.src.0 = remote
            }
            packet.nanos += u64::from(number) * 20_000_000;
        }
        packets.extend(one);
    }
    let path = save(&folder, "many.pcap", &packets);
    assert_eq!(read(&path, &["--classic"]).lines().count(), 3 + 300 + 1 + 1);
    assert_eq!(read(&path, &[]).lines().count(), 1 + 300 + 1 + 1);
}

/// Without a file it read one called `None`; a missing file was an endless wait.
#[test]
fn a_missing_file_name_is_said() {
    flow().assert().code(2).stderr(contains("nothing to read"));
    flow().args(["-r", "/no/such.pcap"]).assert().code(1).stderr(contains("/no/such.pcap"));
}

/// A file name went through a shell.
#[test]
fn a_file_may_have_any_name() {
    let folder = tempfile::tempdir().unwrap();
    let path = save(&folder, "a; touch harm $(touch harm).pcap", &two());
    flow().current_dir(folder.path()).arg("-r").arg(path).assert().success();
    assert!(!folder.path().join("harm").exists());
}

/// Bug 10 and 2.2: captures of `-i any` gave nothing at all.
#[test]
fn bug_10_a_capture_of_every_interface_has_rows() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("any.pcap");
    std::fs::write(&path, capture(&two(), Link::LinuxCookedV2)).unwrap();
    assert!(read(&path, &[]).contains("10.0.0.9"));
}

#[test]
fn trtops_option_for_a_file_is_understood_with_a_note() {
    let folder = tempfile::tempdir().unwrap();
    let path = save(&folder, "two.pcap", &two());
    flow().arg("-i").arg(&path).assert().success().stderr(contains("taken for a file")).stdout(contains("10.0.0.9"));
    flow().args(["-i", "eth99"]).assert().code(2).stderr(contains("interfaces cannot be read yet"));
}

#[test]
fn a_cut_file_gives_what_can_be_read_and_exit_code_3() {
    let folder = tempfile::tempdir().unwrap();
    let path = save(&folder, "cut.pcap", &two());
    let bytes = std::fs::read(&path).unwrap();
    std::fs::write(&path, &bytes[..bytes.len() - 5]).unwrap();
    flow().arg("-r").arg(&path).assert().code(3).stdout(contains("input incomplete").and(contains("≥1")));
    flow().arg("-r").arg(&path).args(["-o", "zeek"]).assert().code(2).stderr(contains("flow conns -o zeek"));
}

#[test]
fn the_classic_layout_goes_without_its_head_too() {
    let folder = tempfile::tempdir().unwrap();
    let path = save(&folder, "two.pcap", &two());
    let whole = read(&path, &["--classic"]);
    let rest = read(&path, &["--classic", "-H"]);
    assert!(whole.starts_with("TCP Remote TOP - analyzer: hosts\n") && whole.lines().count() == 7, "{whole}");
    assert_eq!(rest.lines().count(), 4, "two remotes, totals and the trust line: {rest}");
    assert!(!rest.contains("TCP Remote TOP") && !rest.contains("Host") && !rest.contains("Connections"), "{rest}");
}
