//! Filters on the command line: which packets and connections remain, and what is said of mistakes.
#![allow(clippy::unwrap_used, reason = "a test whose preparation fails has failed")]

use std::fs;

use assert_cmd::Command;
use predicates::prelude::*;
use predicates::str::{contains, is_empty, starts_with};

const WEB: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../captures/web.pcapng.zst");

fn flow(arguments: &[&str]) -> Command {
    let mut command = Command::cargo_bin("flow").unwrap();
    for variable in ["NO_COLOR", "CLICOLOR", "CLICOLOR_FORCE", "FORCE_COLOR", "COLUMNS"] {
        command.env_remove(variable);
    }
    command.args(arguments);
    command
}

/// Packets and bytes that `flow count` gives.
fn count(filter: &[&str]) -> (u64, u64) {
    let output = flow(&["count", "-o", "csv", "--no-header", "--no-trailer", "-r", WEB]).args(filter).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    let mut cells = text.trim().split(',').map(|cell| cell.parse().unwrap());
    (cells.next().unwrap(), cells.next().unwrap())
}

/// Counts of `tcpdump --count` and bytes of `tshark -z io,stat` over the same file.
#[test]
fn counts_are_those_of_tcpdump_and_tshark() {
    assert_eq!(count(&[]), (176, 147_595));
    assert_eq!(count(&["tcp", "and", "port", "80"]), (127, 128_947));
    assert_eq!(count(&["udp"]), (4, 396));
    assert_eq!(count(&["ip6 and tcp"]), (55, 81_198));
    assert_eq!(count(&["syn and not ack"]), (15, 1170));
}

/// When each packet of a classic capture with microseconds was captured, in nanoseconds.
fn times(file: &str) -> Vec<i64> {
    let bytes = fs::read(file).unwrap();
    let number = |at: usize| i64::from(u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap()));
    assert_eq!(number(0), 0xa1b2_c3d4);
    let (mut times, mut at) = (Vec::new(), 24);
    while at < bytes.len() {
        times.push(number(at) * 1_000_000_000 + number(at + 4) * 1_000);
        at += 16 + number(at + 8) as usize;
    }
    times
}

#[test]
fn a_window_of_time_counts_the_packets_in_it() {
    const DNS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../captures/dns.pcap");
    // By `date -u -d @1795239808`.
    const SECOND: (&str, i64) = ("2026-11-21T05:43:28", 1_795_239_808_000_000_000);
    let times = times(DNS);
    let packets = |filter: &str| {
        let output = flow(&["count", "-o", "csv", "--no-header", "--no-trailer", "-r", DNS, filter]).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap().split(',').next().unwrap().parse::<usize>().unwrap()
    };
    let among = |low: i64, high: i64| times.iter().filter(|time| (low..high).contains(time)).count();
    assert_eq!((times.len(), packets("time 2026-11-21")), (60, 60));
    let mut seen = 0;
    for tenths in 7..10_i64 {
        let low = SECOND.1 + tenths * 100_000_000;
        let expected = among(low, low + 100_000_000);
        assert_eq!(packets(&format!("time {}.{tenths}", SECOND.0)), expected);
        assert_eq!(packets(&format!("time >= {low}ns and time < {}ns", low + 100_000_000)), expected);
        seen += expected;
    }
    assert!(seen > 20 && seen < 60 && seen == packets(&format!("time {}", SECOND.0)), "{seen}");
    for &time in &times {
        assert_eq!(packets(&format!("time <= {time}ns")), among(0, time + 1));
        assert_eq!(packets(&format!("time > {time}ns")), among(time + 1, i64::MAX));
    }
}

#[test]
fn connections_are_cut_by_a_window_or_selected_whole() {
    let conns = |filter: &str| {
        let columns = ["--columns", "start_ns,end_ns,fwd_packets,rev_packets", "--sort", "start_ns", "-o", "csv"];
        let output =
            flow(&["conns", "-r", WEB, "--no-header", "--no-trailer"]).args(columns).arg(filter).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let rows = String::from_utf8(output.stdout).unwrap();
        let rows: Vec<Vec<i64>> =
            rows.lines().map(|row| row.split(',').take(4).map(|cell| cell.parse().unwrap()).collect()).collect();
        (rows, String::from_utf8(output.stderr).unwrap())
    };
    let (all, _) = conns("all");
    // 05:43:18 UTC.
    let (low, high) = (1_795_239_798_000_000_000, 1_795_239_799_000_000_000);
    let lived: Vec<_> = all.iter().filter(|row| row[0] < high && row[1] >= low).cloned().collect();
    assert!(!lived.is_empty() && lived.len() < all.len());
    let (whole, said) = conns("start <= 2026-11-21T05:43:18 and end >= 2026-11-21T05:43:18");
    assert_eq!((whole, &*said), (lived, "flow: note: 1 of 15 connections selected\n"));
    let (cut, said) = conns("time 2026-11-21T05:43:18");
    assert!(!cut.is_empty() && cut.iter().all(|row| row[0] >= low && row[1] < high && row[2] + row[3] < 4), "{cut:?}");
    assert!(said.contains("only the packets that the filter selects are followed"), "{said}");
    assert!(said.contains("`flow conns` selects whole connections by `start` and `end`"), "{said}");
}

#[test]
fn words_a_text_and_a_file_say_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("web");
    fs::write(&file, "tcp # the web\n  and port 80\n").unwrap();
    let expected = count(&["tcp", "and", "port", "80"]);
    assert_eq!(count(&["tcp and port 80"]), expected);
    assert_eq!(count(&["-f", "tcp and port 80"]), expected);
    assert_eq!(count(&["-F", file.to_str().unwrap()]), expected);
    flow(&["count", "-r", WEB, "-f", "tcp", "udp"]).assert().code(2).stderr(contains("cannot be used with"));
}

#[test]
fn what_a_filter_takes_out_is_in_the_trust_line() {
    flow(&["count", "-r", WEB, "udp"])
        .assert()
        .success()
        .stdout(contains("trust: 176 packets seen = 4 delivered + 172 filtered + 0 lost"));
    flow(&["conns", "-r", WEB, "udp"])
        .assert()
        .success()
        .stdout(contains("trust: 176 packets seen = 4 delivered + 172 filtered + 0 lost"));
}

#[test]
fn connections_are_selected_by_what_became_of_them() {
    let rows = |filter: &str| {
        let output =
            flow(&["conns", "-q", "-o", "csv", "--no-header", "--no-trailer", "-r", WEB, filter]).output().unwrap();
        String::from_utf8(output.stdout).unwrap().lines().count()
    };
    assert_eq!(rows("all"), 15);
    assert_eq!(rows("state {REJ, S0}"), 2);
    assert_eq!(rows("duration > 3s"), 1);
    assert_eq!(rows("bytes > 50kB"), 1);
    assert_eq!(rows("packets <= 2 and not tcp"), 2);
    assert_eq!(rows("not state SF and tcp"), 3);
    // The SYN that nobody answered was sent four times.
    assert_eq!(rows("retrans > 2"), 1);
    assert_eq!(rows("tcp and retrans 0"), 11);
    flow(&["conns", "-r", WEB, "state S0"])
        .assert()
        .success()
        .stdout(contains("176 delivered + 0 filtered"))
        .stderr("flow: note: 1 of 15 connections selected\n");
}

#[test]
fn selected_connections_that_are_not_shown_are_selected_all_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let list = folder.path().join("servers");
    std::fs::write(&list, "*:80\n").unwrap();
    let unlisted = ["--whitelist", list.to_str().unwrap(), "--unlisted"];
    for (more, rows) in [(&["--top", "2"][..], 2), (&["--sort", "start_ns"], 12), (&unlisted, 4)] {
        let said = flow(&["conns", "-r", WEB, "tcp and packets > 0", "-o", "csv", "--no-header", "--no-trailer"])
            .args(more)
            .assert();
        let said = said.success().stderr("flow: note: 12 of 15 connections selected\n");
        assert_eq!(said.get_output().stdout.iter().filter(|&&byte| byte == b'\n').count(), rows, "{more:?}");
    }
}

/// A filter selects by what the columns of the same name show.
#[test]
fn round_trips_and_handshakes_are_those_of_the_columns() {
    let table = |filter: &str| {
        let columns = ["--columns", "rtt_min,handshake_ns", "-o", "csv", "--no-header", "--no-trailer", "-q"];
        let output = flow(&["conns", "-r", WEB]).args(columns).arg(filter).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect::<Vec<_>>()
    };
    let all = table("all");
    for (column, field) in ["rtt", "handshake"].into_iter().enumerate() {
        let cell = |row: &String| row.split(',').nth(column).unwrap().parse::<u64>().ok();
        let mut known: Vec<u64> = all.iter().filter_map(cell).collect();
        known.sort_unstable();
        let middle = known[known.len() / 2];
        let expected: Vec<_> = all.iter().filter(|row| cell(row).is_some_and(|span| span >= middle)).cloned().collect();
        assert!(expected.len() < known.len() && !expected.is_empty(), "{known:?}");
        assert_eq!(table(&format!("{field} >= {middle}ns")), expected);
    }
}

#[test]
fn a_count_is_no_log_of_zeeks() {
    flow(&["count", "-r", WEB, "-o", "zeek"])
        .assert()
        .code(2)
        .stdout(is_empty())
        .stderr(contains("`flow conns -o zeek` has them"));
    flow(&["count", "--help"]).assert().success().stdout(contains("tsv").and(contains("zeek").not()));
}

#[test]
fn link_addresses_and_ttl_are_read_when_a_filter_asks() {
    assert_eq!(count(&["ttl 64 or ttl != 64"]).0 + count(&["not ip and not ip6"]).0, 176);
    assert!(count(&["ether ff:ff:ff:ff:ff:ff or not ether ff:ff:ff:ff:ff:ff"]).0 == 176);
}

#[test]
fn a_wrong_filter_is_shown_with_its_place_and_ends_with_2() {
    flow(&["count", "-r", WEB, "tcp", "and", "dprot", "80"]).assert().code(2).stdout(is_empty()).stderr(
        "error: `dprot` is no word of the filter language\n --> filter:1:9\n  |\n1 | tcp and dprot 80\n  |         ^^^^^ unknown\n  |\n  = help: did you mean `dport`?\n",
    );
    flow(&["conns", "-r", "/nonexistent/a.pcap", "tcp and"])
        .assert()
        .code(2)
        .stderr(starts_with("error: nothing stands behind `and`"));
}

#[test]
fn a_filters_file_and_line_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("web");
    fs::write(&file, "tcp\nand prot 80\n").unwrap();
    let place = format!(" --> {}:2:5\n", file.display());
    flow(&["count", "-r", WEB, "-F", file.to_str().unwrap()]).assert().code(2).stderr(contains(place));
    flow(&["count", "-r", WEB, "-F", "/nonexistent/f"])
        .assert()
        .code(1)
        .stderr("flow: /nonexistent/f: there is no such file\n");
}

#[test]
fn lists_are_read_from_files() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("ports"), "80 # web\n443\n").unwrap();
    let list = format!("port in @{}", folder.path().join("ports").display());
    assert_eq!(count(&[&list]), count(&["port {80, 443}"]));
    flow(&["count", "-r", WEB, "port in @/nonexistent/ports"])
        .assert()
        .code(2)
        .stderr(contains("the list `/nonexistent/ports` cannot be read: there is no such file"));
    fs::write(folder.path().join("hosts"), "192.0.2.1\n10.0.0.1/8, 10.0.0.2/8\n").unwrap();
    let list = format!("src in @{}", folder.path().join("hosts").display());
    let note = predicates::str::contains("the host's bits of 10.0.0.").count(1);
    flow(&["count", "-r", WEB, &list]).assert().stderr(contains("line 2 of the list").and(note));
}

#[test]
fn another_reading_is_warned_of_and_to_be_had() {
    flow(&["count", "-r", WEB, "udp or tcp and port 53"])
        .assert()
        .success()
        .stderr(contains("`and` binds tighter than `or` here").and(contains("(udp or tcp) and port 53")));
    let como = ["--filter-compat", "como", "udp or tcp and port 80"];
    assert_eq!(count(&como), count(&["(udp or tcp) and port 80"]));
    flow(&["count", "-r", WEB]).args(como).assert().success().stderr(is_empty());
}

#[test]
fn what_a_capture_cannot_answer_is_refused() {
    for (filter, words) in [
        ("src asn 5", "AS numbers need a table of networks"),
        ("process nginx", "does not say which process"),
        ("input 3", "packets have no `input`"),
        ("syn and duration > 5s", "`duration` is asked of whole connections, `flags` of single packets"),
        ("uid 0", "packets have no `uid`"),
        ("state established", "connections have no state of a kernel socket"),
        ("state established", "`state {S1, S2, S3}` were established"),
        ("time 2026-11-21 and state S0", "`start` and `end` are a connection's"),
        ("state established and ttl 5", "packets have no state of a kernel socket"),
    ] {
        flow(&["conns", "-r", WEB, filter]).assert().code(2).stdout(is_empty()).stderr(contains(words));
    }
}

#[test]
fn a_filter_can_be_tried_alone() {
    flow(&["filter", "check", "tcp", "port", "80"]).assert().success().stdout("tcp and port 80\n");
    flow(&["filter", "normal", "port 80"]).assert().success().stdout("dport 80 or sport 80\n");
    flow(&["filter", "explain", "vlan 5 and duration > 1s"]).assert().success().stdout(
        contains("connections  yes")
            .and(contains("packets      no: they have no duration; what remains would pass: vlan 5")),
    );
    flow(&["filter", "explain", "tcp and vlan 5 and src 10.0.0.0/8"])
        .assert()
        .success()
        .stdout(contains("packet sockets tcp and src 10.0.0.0/8\n").and(contains("socket dumps   src 10.0.0.0/8\n")));
    // Who has what: a capture has no processes, and AS numbers need a table.
    flow(&["filter", "explain", "process ssh"]).assert().success().stdout(
        contains("packets      no: they have no process;")
            .and(contains("connections  no: they have no process;"))
            .and(contains("sockets      yes\n")),
    );
    flow(&["filter", "explain", "src asn 5 or state listen"]).assert().success().stdout(
        contains("sockets      yes, with --asn FILE\n")
            .and(contains("packets      no: they have no state of a kernel socket;")),
    );
    flow(&["filter", "explain", "tcp and time > 2026-11-20"]).assert().success().stdout(
        contains("normal form  tcp and time >= 2026-11-21\n")
            .and(contains("packets      yes\n"))
            .and(contains("connections  no: they have no time; what remains would pass: tcp\n"))
            .and(contains("packet sockets tcp\n")),
    );
    flow(&["filter", "explain", "vlan 5"]).assert().success().stdout(contains("packet sockets nothing"));
    flow(&["filter", "check"]).assert().code(2).stderr(contains("flow filter check 'tcp and port 443'"));
}

#[test]
fn a_filter_is_printed_as_sql() {
    flow(&["filter", "sql", "pid 1"]).assert().success().stdout("(\"pid\" IS NOT NULL AND \"pid\" = 1)\n");
    flow(&["filter", "sql", "--dialect", "spark", "pid 1"])
        .assert()
        .success()
        .stdout("(`pid` IS NOT NULL AND `pid` = 1)\n");
    flow(&["filter", "sql", "ttl 1"]).assert().code(2).stderr(contains("stored flows have no `ttl`"));
    flow(&["filter", "sql", "state listen"]).assert().code(2).stderr(contains("`flow sockets` selects by it"));
}

#[test]
fn a_count_says_why_it_is_only_a_lower_bound() {
    const DNS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../captures/dns.pcap");
    let folder = tempfile::tempdir().unwrap();
    let cut = folder.path().join("cut.pcap");
    fs::write(&cut, &fs::read(DNS).unwrap()[..2_990]).unwrap();
    for (file, more, code, quality) in [
        (DNS, &[][..], 0, "exact"),
        (DNS, &["-c", "3"][..], 0, "stopped"),
        (cut.to_str().unwrap(), &[][..], 3, "input_cut"),
    ] {
        let expected = format!("\"quality\":\"{quality}\"");
        flow(&["count", "-o", "jsonl", "-r", file]).args(more).assert().code(code).stdout(contains(expected));
    }
}

#[test]
fn a_filter_may_come_from_standard_input() {
    let mut command = flow(&["filter", "check", "-F", "-"]);
    command.write_stdin("tcp # the web\nand port 80\n").assert().success().stdout("tcp and port 80\n");
    let wrong = flow(&["filter", "check", "-F", "-"]).write_stdin("prot 6").assert().code(2);
    assert!(String::from_utf8_lossy(&wrong.get_output().stderr).contains("standard input:1:1"));
}

#[test]
fn the_normal_form_has_no_largest_number() {
    flow(&["filter", "normal", "len > 100"]).assert().success().stdout("len >= 101\n");
    flow(&["filter", "normal", "len 7 or len > 100"]).assert().success().stdout("len 7 or len >= 101\n");
}

#[test]
fn the_normal_form_lists_the_exceptions_where_they_are_few() {
    let normal = |filter: &str| {
        let output = flow(&["filter", "normal", filter]).output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    assert_eq!(normal("dst != 10.0.0.2 and dst 10.0.0.0/8"), "dst 10.0.0.0/8 and dst != 10.0.0.2\n");
    assert_eq!(normal("dst 10.0.0.0/8 and not dst 10.0.0.2 and tcp"), "dst 10.0.0.0/8 and dst != 10.0.0.2 and tcp\n");
    assert_eq!(normal("addr 10.0.0.1 and dst != 10.0.0.2"), "dst != 10.0.0.2 and (dst 10.0.0.1 or src 10.0.0.1)\n");
    assert_eq!(normal("src 10.0.0.0/30 and src != 10.0.0.0"), "src {10.0.0.1, 10.0.0.2/31}\n");
}

#[test]
fn a_file_named_twice_is_read_once_and_said() {
    let twice = flow(&["count", "-r", WEB, "-r", WEB]).assert().success();
    let said = String::from_utf8_lossy(&twice.get_output().stderr).into_owned();
    assert!(said.contains("is named more than once, and read once"), "{said}");
    let once = flow(&["count", "-r", WEB]).assert().success().stderr("");
    assert_eq!(once.get_output().stdout, twice.get_output().stdout);
}

#[test]
fn connections_of_some_packets_alone_are_said_to_be() {
    let said = |filter: &str| {
        let output = flow(&["conns", "-r", WEB, filter]).output().unwrap();
        String::from_utf8(output.stderr).unwrap()
    };
    for torn in ["syn", "src 192.0.2.2", "tcp and len > 100", "dport 80"] {
        assert!(said(torn).contains("only the packets that the filter selects are followed"), "{torn}");
        assert!(said(torn).contains("`addr` and `port` select both directions, whole connections"), "{torn}");
    }
    let hosts = flow(&["hosts", "-r", WEB, "src 192.0.2.2"]).output().unwrap();
    let said_of_hosts = String::from_utf8(hosts.stderr).unwrap();
    assert!(said_of_hosts.contains("only the packets that the filter selects are followed"), "{said_of_hosts}");
    for whole in ["tcp", "port 80 and addr 192.0.2.2", "not ip6", "state SF"] {
        assert!(!said(whole).contains("are followed"), "{whole}");
    }
}

#[test]
fn rows_that_a_filter_of_packets_may_have_halved_are_not_exact() {
    let qualities = |command: &str, filter: &str| -> Vec<String> {
        let output = flow(&[command, "-q", "-H", "--no-trailer", "-o", "csv", "-r", WEB, filter]).output().unwrap();
        let rows = String::from_utf8(output.stdout).unwrap();
        // Several reasons stand in quotes.
        rows.lines().map(|row| row.rsplit(',').next().unwrap().trim_end_matches('"').to_owned()).collect()
    };
    for (command, torn) in [
        ("conns", "syn"),
        ("conns", "udp and src 192.0.2.2"),
        ("conns", "dport 80"),
        ("conns", "port 80 and not syn"),
        ("hosts", "dport 80"),
        ("lat", "tcp and len > 100"),
    ] {
        let found = qualities(command, torn);
        assert!(!found.is_empty() && found.iter().all(|told| told == "filtered"), "{torn}: {found:?}");
    }
    for whole in ["port 80", "sport 80 or dport 80", "tcp and dport 80 and packets > 0"] {
        let found = qualities("conns", whole);
        assert!(!found.is_empty() && found.iter().all(|told| told == "exact"), "{whole}: {found:?}");
    }
    // In tables the numbers are marked.
    flow(&["conns", "-q", "-r", WEB, "-o", "wide", "udp and src 192.0.2.2"]).assert().success().stdout(contains("≥1"));
}

#[test]
fn two_letters_in_the_wrong_order_are_seen() {
    let output = flow(&["conns", "-r", WEB, "--tpo", "5"]).assert().code(2);
    let said = String::from_utf8_lossy(&output.get_output().stderr).into_owned();
    assert!(said.contains("'--top'") && !said.contains("--output"), "{said}");
}

#[test]
fn what_stands_around_a_filter_is_no_part_of_it() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    // Some editors begin a text with a byte order mark.
    flow(&["filter", "check", "-F", &file("bom", "\u{feff}tcp # why\r\nand port 80\r\n")])
        .assert()
        .success()
        .stdout("tcp and port 80\n");
    let ports = file("po rts", "\u{feff}80\r\n443\r\n");
    flow(&["filter", "check", &format!("port in @\"{ports}\"")]).assert().success();
    flow(&["filter", "check", "-F", &file("long", &"#".repeat(65_537))])
        .assert()
        .code(2)
        .stderr(contains("more than 65536 bytes").and(contains("src in @servers.txt")));
    flow(&["filter", "check", "-F", &file("full", &format!("tcp{}", " ".repeat(65_533)))]).assert().success();
    for command in ["count", "conns", "hosts", "lat"] {
        let both = flow(&[command, "-F", "-", "-r", "-"]).assert().code(2);
        both.stderr(contains("standard input cannot be both filter (-F) and capture (-r)"));
    }
    // A folder of that name says nothing, and there is no -r.
    std::fs::create_dir(folder.path().join("tcp")).unwrap();
    flow(&["filter", "check", "tcp", "udp"])
        .current_dir(folder.path())
        .assert()
        .code(2)
        .stderr(contains("an operator is missing").and(contains("did you mean").not()));
}

#[test]
fn many_warnings_are_counted() {
    let text = vec!["(tcp or udp and port 80)"; 300].join(" or ");
    let output = flow(&["filter", "check", &text]).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(said.matches("warning: ").count(), 9, "{said}");
    assert!(said.contains("and 292 more"), "{said}");
}

#[test]
fn packets_have_the_direction_of_their_connections() {
    let output = flow(&["conns", "-r", WEB, "-o", "jsonl", "--columns", "fwd_packets,rev_packets"]).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let rows = text.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
    let (mut forward, mut reverse) = (0, 0);
    for row in rows.filter(|row| row["type"] == "conn") {
        forward += row["fwd_packets"].as_u64().unwrap();
        reverse += row["rev_packets"].as_u64().unwrap();
    }
    assert!(forward > 50 && reverse > 50, "{text}");
    let packets = |filter: &str| count(&["-r", WEB, filter]).0;
    assert_eq!((packets("direction forward"), packets("direction reverse")), (forward, reverse));
    assert_eq!(packets("direction forward or direction reverse"), forward + reverse);
}

#[test]
fn a_port_as_ss_writes_it_is_warned_of_where_it_is_a_range() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("filter");
    let ways = |filter: &str| {
        std::fs::write(&file, filter).unwrap();
        let file = file.to_str().unwrap().to_owned();
        [vec![filter.to_owned()], vec!["-f".to_owned(), filter.to_owned()], vec!["-F".to_owned(), file]]
    };
    let sockets = |more: &[&str], way: Vec<String>| {
        let mut command = flow(&["sockets", "-t"]);
        command.args(more).args(way);
        command.assert()
    };
    for filter in ["sport :9002", "tcp and ( dport :443 )", "not dport :443 # https", "state established dport :443"] {
        for way in ways(filter) {
            sockets(&[], way.clone()).success().stderr(contains("ss means port"));
            // Where the difference would close sockets, nobody guesses.
            sockets(&["--kill"], way).code(2).stderr(contains("ss means port"));
        }
    }
    let plain = [
        "sport = :9002",
        "# sport :9002\nstate established ( dport != :443 )",
        "sport 0:9002",
        "dport 443:",
        "dport {:443}",
        "process 'sport :9002'",
    ];
    for way in plain.into_iter().flat_map(ways) {
        sockets(&[], way).success().stderr(contains("ss means").not());
    }
    let views = |filter: &str| flow(&["vol", filter]).assert().success();
    views("sport :9002").stderr(contains("ss means port"));
    views("sport = :9002").stderr(contains("ss means").not());
    // A colon behind an operator is no port elsewhere.
    flow(&["filter", "check", "sport = :9002"]).assert().code(2).stderr(contains("write `sport 9002`"));
}

#[test]
fn places_behind_the_states_of_a_filter_are_those_in_its_text() {
    let wrong = flow(&["sockets", "-t", "state established sport 80x"]).assert().code(2);
    wrong.stderr(contains("filter:1:25"));
}
