//! Reports made again and again: of what, how many, and what they leave out.

use super::*;

#[test]
fn with_every_a_program_reads_one_table_whose_reports_each_end_with_their_account() {
    let pair = Pair::new("127.0.0.1:0");
    for command in
        [&["sockets", "-t"] as &[&str], &["sockets", "-ts"], &["lat"], &["vol"], &["cpu", "--period", "20ms"]]
    {
        let arguments = ["--every", "200ms", "-o", "jsonl", &pair.filter()];
        let mut child = flow(&[command, &arguments].concat()).spawn().unwrap();
        let mut lines = Vec::new();
        for line in BufReader::new(child.stdout.take().unwrap()).lines() {
            let line: Value = serde_json::from_str(&line.unwrap()).unwrap();
            lines.push(line);
            if lines.iter().filter(|line| line["type"] == "trailer").count() == 3 {
                break;
            }
        }
        interrupt(&child);
        child.wait().unwrap();
        let (header, reports) = lines.split_first().unwrap();
        assert_eq!(header["type"], "header", "{command:?}");
        let mut times = Vec::new();
        for report in reports.split_inclusive(|line| line["type"] == "trailer") {
            let (trailer, rows) = report.split_last().unwrap();
            assert_eq!(trailer["rows"], rows.len(), "{command:?}");
            assert!(trailer["trust"]["sockets"]["seen"].as_u64() > Some(0), "{command:?}: {trailer}");
            assert!(!rows.is_empty(), "{command:?}");
            let time = rows[0]["time_ns"].as_i64().unwrap();
            assert!(rows.iter().all(|row| row["type"] != "header" && row["time_ns"] == time), "{command:?}: {rows:?}");
            times.push(time);
        }
        assert!(times.len() == 3 && times.is_sorted_by(|a, b| a < b), "{command:?}: {times:?}");
    }
}

#[test]
fn so_many_reports_are_made_and_no_more() {
    let pair = Pair::new("127.0.0.1:0");
    for command in ["lat", "vol", "cpu"] {
        let period: &[&str] = if command == "cpu" { &["--period", "20ms"] } else { &[] };
        let output = run(&[&[command, "--every", "60ms", "-c", "2", "-o", "jsonl", &pair.filter()], period].concat());
        assert!(output.status.success(), "{command}: {}", complaints(&output));
        let text_of_all = text(&output);
        let reports: Vec<&str> = text_of_all.lines().filter(|line| line.contains("\"type\":\"trailer\"")).collect();
        let is_last = |report: &&str| report.contains("\"complete\":true");
        assert_eq!(reports.iter().map(is_last).collect::<Vec<_>>(), [false, true], "{command}: {text_of_all}");
        let help = text(&run(&[command, "-h"])).replace('\n', " ");
        assert!(help.split("--count <N>").nth(1).is_some_and(|help| help.contains("N reports")), "{command}: {help}");
        let output = run(&[command, "-c", "2"]);
        assert!(output.status.code() == Some(2) && complaints(&output).contains("--every"), "{}", complaints(&output));
    }
}

#[test]
fn a_filter_asks_for_processes_in_every_view() {
    let pair = Pair::new("127.0.0.1:0");
    let pid = std::process::id();
    let name = std::fs::read_to_string("/proc/self/comm").unwrap();
    let view = |command: &[&str], filter: &str| {
        let asked = format!("{} and {filter}", pair.filter());
        let output = run(&[command, &["-o", "jsonl", "-f", &asked]].concat());
        assert!(output.status.success(), "{asked}: {}", complaints(&output));
        rows(&text(&output)).len()
    };
    for command in [&["lat"][..], &["vol", "-i", "50ms"]] {
        for filter in [format!("pid {pid}"), format!("(process \"{}\" or pid 1)", name.trim()), "not pid 1".to_owned()]
        {
            assert_eq!(view(command, &filter), 2, "{command:?} {filter}");
        }
        for filter in ["pid 1", "process nobody-is-called-so", "cgroup /nowhere", "rtt = 0"] {
            assert_eq!(view(command, filter), 0, "{command:?} {filter}");
        }
        assert_eq!(view(command, "rtt > 0 and bytes > 0 and state established"), 2);
    }
    let table = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(table.path(), "127.0.0.0\t8\t64500\n").unwrap();
    let asn = ["lat", "--asn", table.path().to_str().unwrap()];
    assert_eq!(view(&asn, "src asn 64500 and dst asn 64500"), 2);
    assert_eq!(view(&asn, "addr asn 64501"), 0);
}

/// A process that runs all the time and holds one end of a connection.
fn spinner(pair: &Pair, seconds: &str) -> Child {
    use std::os::fd::AsFd;
    let end = pair.client.as_fd().try_clone_to_owned().unwrap();
    let mut command = Command::new("timeout");
    command.args([seconds, "sh", "-c", "while :; do :; done"]).stdin(end).stdout(Stdio::null());
    command.spawn().unwrap()
}

#[test]
fn samples_begin_with_the_interval_and_count_those_that_end_within_it() {
    let pair = Pair::new("127.0.0.1:0");
    // The second one ends within the interval.
    for (seconds, interval, least, most) in [("60", "2s", 15.0, 20.0), ("4", "6s", 4.0, 50.0)] {
        let mut child = spinner(&pair, seconds);
        std::thread::sleep(std::time::Duration::from_millis(300));
        let output = run(&["cpu", "-i", interval, "-o", "jsonl", &pair.filter()]);
        let _ = Command::new("kill").arg(child.id().to_string()).status();
        child.wait().unwrap();
        let rows = rows(&text(&output));
        let spins = |row: &&Value| row["process"].as_str().is_some_and(|line| line.contains("while :;"));
        let of_shell = |row: &&Value| row["process"].as_str().is_some_and(|line| line.starts_with("sh "));
        let samples: f64 = rows.iter().filter(spins).filter(of_shell).map(|row| row["samples"].as_f64().unwrap()).sum();
        assert!((least..=most).contains(&samples), "{seconds} of {interval}: {samples} in {rows:?}");
    }
}

#[test]
fn what_top_leaves_out_is_said_and_it_shows_the_slowest() {
    const REDIS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../captures/redis.pcap.gz");
    let rtts = |rows: &[Value]| rows.iter().map(|row| row["rtt_ns"].as_u64().unwrap()).collect::<Vec<_>>();
    let all = rows(&text(&run(&["lat", "-r", REDIS, "-o", "jsonl"])));
    let left_out = all.len() - 3;
    let mut slowest = rtts(&all);
    slowest.sort_unstable_by_key(|&rtt| std::cmp::Reverse(rtt));
    let top = text(&run(&["lat", "-r", REDIS, "-o", "jsonl", "--top", "3"]));
    assert_eq!(rtts(&rows(&top)), slowest[..3]);
    assert!(top.contains(&format!("\"unreported_rows\":{left_out}")), "{top}");
    let said = format!("; {left_out} more rows not shown; ");
    for more in [&[][..], &["-g", "peer"], &["-o", "wide"], &["--sort", "rtt_ns:asc"]] {
        let shown = text(&run(&[&["lat", "-r", REDIS, "--top", "3"], more].concat()));
        assert!(shown.contains(&said), "{more:?}: {shown}");
    }
    let bins = text(&run(&["lat", "-r", REDIS, "--distribution", "--top", "3", "-o", "csv"]));
    assert!(bins.contains(" unreported_rows=14 "), "2 counts, 5 percentiles and 10 bins without 3: {bins}");
    let pair = Pair::new("127.0.0.1:0");
    for more in [&[][..], &["-g", "peer"]] {
        let vol = text(&run(&[&["vol", "-i", "10ms", "--top", "1", &pair.filter()], more].concat()));
        assert!(vol.contains("; 1 more row not shown; "), "{more:?}: {vol}");
    }
}
