//! The program as somebody meets it who does not know it: help, mistakes, missing files, closed pipes.
#![allow(clippy::unwrap_used, reason = "a test whose preparation fails has failed")]

use std::io::{Read, Write};
use std::process::{Command as Process, Stdio};

use assert_cmd::Command;
use predicates::prelude::*;
use predicates::str::{contains, diff, is_empty, starts_with};

/// `flow` without anything in the environment that changes its output.
fn flow() -> Command {
    let mut command = Command::cargo_bin("flow").unwrap();
    for variable in ["NO_COLOR", "CLICOLOR", "CLICOLOR_FORCE", "FORCE_COLOR", "COLUMNS"] {
        command.env_remove(variable);
    }
    command
}

#[test]
fn without_arguments_it_says_what_it_can_do() {
    flow().assert().success().stdout(contains("Usage:").and(contains("flow conns -r capture"))).stderr(is_empty());
}

#[test]
fn without_times_a_column_must_be_left() {
    let run = |columns| flow().args(["conns", "-r", "../../captures/dns.pcap", "-t", "--columns", columns]).assert();
    run("start_ns").code(2).stderr(contains("-t takes out those with times"));
    run("start_ns,state").success().stdout(starts_with("STATE"));
}

#[test]
fn help_has_examples_and_exit_codes() {
    flow()
        .args(["conns", "--help"])
        .assert()
        .success()
        .stdout(contains("Examples:").and(contains("tcpdump -i any -w - tcp | flow conns -r - -o jsonl")))
        .stdout(contains("Exit codes:\n  0  done").and(contains("130, 143")));
}

#[test]
fn exit_codes_are_told_in_whole_lines() {
    let codes = |text: &str| text.split("Exit codes:\n").nth(1).unwrap().replace('\\', "");
    let printed = |words: &[&str]| String::from_utf8(flow().args(words).output().unwrap().stdout).unwrap();
    let help = codes(&printed(&["conns", "--help"]));
    assert!(
        help.contains("or one of several\n     could not be read: what was read is printed and marked\n"),
        "{help}"
    );
    assert!(help.lines().all(|line| line.len() <= 80) && help.lines().count() == 11, "{help}");
    assert!(codes(&printed(&["man", "conns"])).starts_with(help.trim_end()));
}

#[test]
fn the_help_of_the_whole_program_lists_the_exit_codes() {
    flow().arg("--help").assert().success().stdout(contains("Exit codes:\n  0  done").and(contains("130, 143")));
    flow().arg("-h").assert().success().stdout(contains("Exit codes:").not());
}

#[test]
fn a_file_without_its_option_is_answered_with_the_option() {
    let expected = "flow: files are named with -r: did you mean `-r capture.pcap`?\n";
    flow().args(["conns", "capture.pcap"]).assert().code(2).stdout(is_empty()).stderr(contains(expected));
    flow().args(["conns", "Cargo.toml", "--top", "3"]).assert().code(2).stderr(contains("`-r Cargo.toml`"));
    flow().args(["conns", "--nothing.of.this"]).assert().code(2).stderr(contains("named with -r").not());
}

#[test]
fn a_command_that_reads_no_captures_says_which_do() {
    let expected = "vol asks this host's kernel; captures are read by conns, hosts, count and lat\n";
    let said = flow().args(["vol", "-r", "x.pcap"]).assert().code(2).stdout(is_empty());
    said.stderr(contains(expected).and(contains("as a value").not()));
    flow().args(["cpu", "--read", "x.pcap"]).assert().code(2).stderr(contains("cpu asks this host's kernel"));
    flow().args(["conns", "--rea", "x.pcap"]).assert().code(2).stderr(contains("asks this host's kernel").not());
    flow().args(["conns", "--top", "99999999999999999999"]).assert().code(2).stderr(contains("is too large"));
    flow().args(["conns", "--top", "ten"]).assert().code(2).stderr(contains("is not a whole number"));
}

#[test]
fn an_option_of_another_program_is_answered_with_what_is_meant() {
    let interfaces = "flow: interfaces cannot be read yet; -r names a capture, as in `-r capture.pcap` or";
    let again = "flow: a capture is read once; lat, vol, cpu and sockets ask again with --every\n";
    let written = "flow: packets are not written; -o says in which form results are printed\n";
    let columns = "flow: what is shown --columns says; --list-columns shows what there is\n";
    for (words, expected) in [
        (&["conns", "-i", "eth0"][..], interfaces),
        (&["count", "-ni", "eth0"], interfaces),
        (&["hosts", "--interface", "eth0"], interfaces),
        (&["conns", "--every", "2s"], again),
        (&["hosts", "--every", "2s"], again),
        (&["count", "--every", "2s"], again),
        (
            &["lat", "-i", "5"],
            "flow: round trips are those of now, or with -r of a capture; --every TIME tells them again\n",
        ),
        (&["conns", "-w", "x.pcap"], written),
        (&["vol", "-w", "x.pcap"], written),
        (&["conns", "-e"], columns),
        (&["cpu", "-e"], columns),
        (&["sockets", "-r", "x.pcap"], "flow: sockets asks this host's kernel; captures are read by conns, hosts, "),
        (&["ss", "-r"], "and -r of ss is --resolve here\n"),
    ] {
        let said = flow().args(words).assert().code(2).stdout(is_empty());
        said.stderr(contains(expected).and(contains("as a value").not()));
    }
    // Nor is a filter's word ever meant.
    flow().args(["count", "-Z"]).assert().code(2).stderr(contains("'-Z'").and(contains("tip:").not()));
}

#[test]
fn help_of_help_is_help() {
    for (words, plain) in [
        (&["help", "--help"][..], &["help"][..]),
        (&["help", "-h"], &["help"]),
        (&["help", "conns", "--help"], &["help", "conns"]),
        (&["filter", "help", "--help"], &["filter", "help"]),
    ] {
        let expected = String::from_utf8(flow().args(plain).output().unwrap().stdout).unwrap();
        assert!(expected.contains("Usage:"), "{plain:?}");
        flow().args(words).assert().success().stdout(expected).stderr(is_empty());
    }
}

#[test]
fn times_without_a_unit_are_told_to_be_seconds() {
    flow()
        .args(["conns", "--help"])
        .assert()
        .stdout(contains("without one\n          seconds").or(contains("without one seconds")));
    flow().args(["hosts", "--help"]).assert().stdout(contains("Times without a unit"));
}

#[test]
fn a_header_can_be_given_back_to_choose_columns() {
    let capture = concat!(env!("CARGO_MANIFEST_DIR"), "/../../captures/dns.pcap");
    for command in ["conns", "hosts"] {
        let csv = [command, "-q", "-r", capture, "-o", "csv"];
        let whole = String::from_utf8(flow().args(csv).output().unwrap().stdout).unwrap();
        let header = whole.lines().next().unwrap();
        assert!(header.ends_with(",quality"), "{header}");
        flow().args(csv).args(["--columns", header]).assert().success().stdout(whole.clone());
    }
    let refused = flow().args(["conns", "-r", capture, "--columns", "src_ip,quality"]).assert().code(2);
    refused.stderr(contains("tables mark the numbers instead"));
}

#[test]
fn an_option_that_sockets_would_refuse_is_not_offered() {
    let (whitelist, unlisted) = ("--whitelist", "--unlisted");
    for option in [whitelist, unlisted] {
        flow().args(["conns", "--help"]).assert().success().stdout(contains(option));
        flow().args(["sockets", "--help"]).assert().success().stdout(contains(option).not());
    }
    for words in [&["sockets", whitelist, "servers"][..], &["ss", unlisted], &["ss", "--whitelist=servers", unlisted]] {
        let said = flow().args(words).assert().code(2).stdout(is_empty());
        said.stderr(contains("sockets are not compared with a whitelist; select them with a filter"));
    }
    let Some(found) = offered_by_bash(&["flow", "sockets", "--"]) else { return };
    assert!(found.contains(&"--resolve".to_owned()) && !found.iter().any(|word| word == whitelist), "{found:?}");
}

#[test]
fn column_names_are_left_out_by_a_letter_too() {
    for command in ["conns", "hosts", "count", "sockets", "lat", "vol", "cpu"] {
        flow().args([command, "--help"]).assert().success().stdout(contains("-H, --no-header"));
    }
    let capture = concat!(env!("CARGO_MANIFEST_DIR"), "/../../captures/dns.pcap");
    let csv = ["conns", "-r", capture, "-o", "csv"];
    flow().args(csv).assert().success().stdout(contains("start_ns"));
    flow().args(csv).arg("-H").assert().success().stdout(contains("start_ns").not().and(contains("192.0.2.2")));
}

#[test]
fn an_option_that_means_nothing_to_the_format_is_noted() {
    let capture = concat!(env!("CARGO_MANIFEST_DIR"), "/../../captures/dns.pcap");
    let files: [&[&str]; 3] = [&["conns", "-r", capture], &["hosts", "-r", capture], &["count", "-r", capture]];
    let kernel: [&[&str]; 4] = [&["sockets", "port 1"], &["lat"], &["vol", "-i", "10ms"], &["cpu", "-i", "100ms"]];
    for command in files.iter().chain(&kernel) {
        let with = |more: &[&str]| flow().args(*command).args(more).assert().success();
        for (more, note) in [
            (["-o", "csv", "--human"], "note: --human is for tables;"),
            (["-o", "jsonl", "-H"], "note: --no-header is for tables, csv and tsv;"),
            (["-o", "json", "--no-trailer"], "note: --no-trailer is not for jsonl and json;"),
            (["-o", "wide", "--json-safe-int"], "note: --json-safe-int is for jsonl and json\n"),
        ] {
            with(&more).stderr(contains(note));
            with(&[&more[..], &["-q"]].concat()).stderr(contains("note:").not());
        }
        for meant in [["-o", "wide", "--human"], ["-o", "tsv", "-H"], ["-o", "jsonl", "--json-safe-int"]] {
            with(&meant).stderr(contains("note: --").not());
        }
    }
}

#[test]
fn help_without_a_terminal_has_no_colours() {
    for arguments in [&[][..], &["--help"], &["conns", "-h"]] {
        flow().args(arguments).assert().success().stdout(contains('\x1b').not());
    }
}

#[test]
fn a_wrong_option_is_answered_with_the_nearest() {
    flow()
        .args(["conns", "--colums", "all"])
        .assert()
        .code(2)
        .stdout(is_empty())
        .stderr(contains("--colums").and(contains("'--columns'")));
}

#[test]
fn a_wrong_command_is_answered_with_the_nearest() {
    flow().arg("cons").assert().code(2).stderr(contains("'conns'"));
}

#[test]
fn a_wrong_format_is_answered_with_the_formats() {
    flow().args(["conns", "-o", "jsonlines"]).assert().code(2).stderr(contains("jsonl").and(contains("zeek")));
}

#[test]
fn no_input_is_answered_with_an_example() {
    flow().arg("conns").assert().code(2).stderr(contains("-r capture.pcap"));
}

#[test]
fn a_missing_file_is_named() {
    flow()
        .args(["conns", "-r", "/nonexistent/a.pcap"])
        .assert()
        .code(1)
        .stdout(is_empty())
        .stderr("flow: /nonexistent/a.pcap: there is no such file\n");
}

#[test]
fn a_pattern_without_files_is_said() {
    flow().args(["conns", "-r", "/nonexistent/*.pcap"]).assert().code(1).stderr(contains("no file matches"));
}

#[test]
fn a_directory_is_no_capture() {
    let folder = tempfile::tempdir().unwrap();
    flow().args(["conns", "-r"]).arg(folder.path()).assert().code(1).stderr(contains("directory"));
}

#[test]
fn a_forbidden_file_has_its_own_exit_code() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.pcap");
    std::fs::write(&path, "secret").unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o000)).unwrap();
    if std::fs::read(&path).is_ok() {
        let _ = writeln!(std::io::stderr(), "SKIPPED: permissions do not bind this user");
        return;
    }
    flow().args(["conns", "-r"]).arg(&path).assert().code(4).stderr(contains("ermission denied"));
}

#[test]
fn a_file_of_another_kind_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("notes.txt");
    std::fs::write(&path, "this is no capture, just a text that is long enough to be looked at").unwrap();
    flow().args(["conns", "-r"]).arg(&path).assert().code(1).stdout(is_empty()).stderr(contains("notes.txt"));
}

#[test]
fn a_wrong_column_is_said_before_anything_is_read() {
    for option in ["--columns", "--sort"] {
        flow()
            .args(["conns", "-r", "/nonexistent", option, "start_n"])
            .assert()
            .code(2)
            .stderr(contains("no column `start_n`; did you mean `start_ns`?"));
        flow()
            .args(["conns", "-r", "/nonexistent", option, "duraton"])
            .assert()
            .code(2)
            .stderr(contains("did you mean `duration_ns`?"));
    }
}

#[test]
fn columns_are_listed_with_their_meanings() {
    flow().args(["conns", "--list-columns"]).assert().success().stdout(contains("* start_ns").and(contains("(bytes)")));
}

#[test]
fn two_ways_to_ask_for_times_exclude_each_other() {
    flow().args(["conns", "-r", "x", "-tt", "--time", "utc"]).assert().code(2).stderr(contains("cannot be used with"));
}

#[test]
fn completions_exist_for_every_shell() {
    for (shell, sign) in [
        ("bash", "complete -F"),
        ("zsh", "#compdef flow"),
        ("fish", "complete -c flow"),
        ("elvish", "edit:completion"),
        ("powershell", "Register-ArgumentCompleter"),
    ] {
        flow().args(["completions", shell]).assert().success().stdout(contains(sign));
        flow().args(["--completions", shell]).assert().success().stdout(contains(sign));
    }
}

#[test]
fn manual_pages_are_roff() {
    flow().arg("--man").assert().success().stdout(contains(".TH flow 1"));
    flow().args(["man", "conns"]).assert().success().stdout(contains(".TH flow-conns 1").and(contains("max\\-loss")));
    // The synopsis has no stray spaces, as in `[-t ]...`.
    flow().args(["man", "conns"]).assert().success().stdout(contains(r"[\fB\-t\fR]...").and(contains(r" \fR]").not()));
    flow().args(["man", "nothing"]).assert().code(2).stderr(contains("commands are"));
}

#[test]
fn every_manual_page_that_another_names_can_be_printed() {
    let page = |words: &[&str]| {
        let output = flow().arg("man").args(words).output().unwrap();
        assert!(output.status.success(), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    let named = |text: &str| {
        let lines = text.lines().filter_map(|line| line.strip_suffix("(1)"));
        lines.map(|name| name.replace("flow\\-", "").replace('\\', "")).collect::<Vec<_>>()
    };
    let first = named(&page(&[]));
    let behind: Vec<String> = first.iter().flat_map(|name| named(&page(&[name]))).collect();
    assert_eq!(behind, ["filter-check", "filter-explain", "filter-normal", "filter-sql"]);
    for name in &behind {
        assert!(page(&[name]).contains(&format!(".TH flow-{name} 1")), "{name}");
    }
    let sql = page(&["filter", "sql"]);
    assert!(sql.contains("dialect") && sql == page(&["filter-sql"]), "{sql}");
    assert_eq!(page(&["help"]), page(&[]));
    assert_eq!(page(&["filter", "help"]), page(&["filter"]));
    let wrong = flow().args(["man", "filter-chek"]).assert().code(2);
    wrong.stderr(contains("no command `chek` of `flow filter`; commands are check, explain"));
    flow().args(["man", "conns", "x"]).assert().code(2).stderr(contains("no command `x` of `flow conns`; it has none"));
}

#[test]
fn the_version_is_printed() {
    flow().arg("--version").assert().success().stdout(starts_with("flow "));
}

#[test]
fn a_closed_pipe_is_no_failure() {
    // `bash -c 'flow completions zsh | true'` says nothing and leaves nothing behind.
    let program = assert_cmd::cargo::cargo_bin("flow");
    let mut child = Process::new(program)
        .args(["completions", "zsh"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let status = child.wait().unwrap();
    let mut said = String::new();
    child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    assert_eq!((status.code(), said.as_str()), (Some(0), ""));
}

#[test]
fn a_quiet_pipe_ends_with_the_first_interrupt() {
    use std::time::{Duration, Instant};
    let program = assert_cmd::cargo::cargo_bin("flow");
    let mut child = Process::new(program)
        .args(["conns", "-r", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut open = child.stdin.take().unwrap();
    open.flush().unwrap();
    // The handlers are there once the process sleeps in its read; its state tells without guessing a time.
    let state = format!("/proc/{}/status", child.id());
    let deadline = Instant::now() + Duration::from_secs(20);
    let catches_interrupts = |text: &str| {
        let caught = text.lines().find_map(|line| line.strip_prefix("SigCgt:"));
        caught.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).is_some_and(|mask| mask & 2 != 0)
    };
    loop {
        let text = std::fs::read_to_string(&state).unwrap();
        if catches_interrupts(&text) && text.contains("State:\tS") {
            break;
        }
        assert!(Instant::now() < deadline, "it never came to wait for input");
        std::thread::yield_now();
    }
    let sent = Process::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    assert!(sent.success());
    let output = child.wait_with_output().unwrap();
    drop(open);
    assert_eq!(output.status.code(), Some(130), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(output.stdout.is_empty());
}

#[test]
fn a_negative_number_is_answered_as_a_number() {
    for option in ["--top", "--count", "--max-flows"] {
        let assert = flow().args(["conns", "-r", "a.pcap", option, "-5"]).assert().code(2);
        assert.stderr(contains("`-5`").or(contains("'-5'")).and(contains("unexpected argument").not()));
    }
    flow().args(["hosts", "-r", "a.pcap", "--percentiles", "-5"]).assert().code(2).stderr(contains("0 and 100"));
}

#[test]
fn names_are_understood_by_either_rule() {
    let capture = concat!(env!("CARGO_MANIFEST_DIR"), "/../../captures/web.pcapng.zst");
    for (command, columns, names) in [
        ("conns", "rtt_p95_ns,handshake,missed_bytes", "rtt_p95,handshake_ns,missed_bytes"),
        ("hosts", "rtt_p95,missed_bytes", "rtt_p95_ns,missing_bytes"),
    ] {
        let first = columns.split(',').next().unwrap();
        flow()
            .args([command, "-r", capture, "-o", "csv", "--columns", columns, "--sort", first])
            .assert()
            .success()
            // The names that programs read do not change.
            .stdout(starts_with(format!("{names},quality\n")));
    }
}

#[test]
fn a_percentile_that_was_not_asked_for_is_answered_with_the_option() {
    for (command, column, hint) in [
        ("conns", "rtt_p99", "did you mean `rtt_p95`?"),
        ("conns", "response_p95_s", "did you mean `response_p95`?"),
        ("conns", "history_", "did you mean `history`?"),
        ("hosts", "lat_p99.9_ns", "it comes with --percentiles 99.9"),
        ("hosts", "LATENCY", "--list-columns shows all"),
        ("hosts", "gibberish", "--list-columns shows all"),
    ] {
        flow()
            .args([command, "-r", "a.pcap", "--columns", column])
            .assert()
            .code(2)
            .stderr(contains(format!("no column `{column}`; {hint}")));
    }
    let expected = "no column `rtt_p99_ns`; it comes with --percentiles 99";
    flow().args(["hosts", "-r", "a.pcap", "--sort", "rtt_p99_ns"]).assert().code(2).stderr(contains(expected));
    let other = flow().args(["hosts", "-r", "a.pcap", "--sort", "lat_p99_9_ns"]).assert().code(2);
    other.stderr(contains("--percentiles 99.9"));
}

/// What a script prints when a shell runs it with the completions of that shell, or `None` if there is no such shell.
fn completed(shell: &str, script: &str) -> Option<String> {
    let folder = tempfile::tempdir().unwrap();
    let completions = flow().args(["completions", shell]).output().unwrap().stdout;
    std::fs::write(folder.path().join("_flow"), completions).unwrap();
    let mut command = std::process::Command::new(shell);
    if shell == "bash" {
        command.args(["--norc", "--noprofile"]);
    }
    match command.arg("-c").arg(script).current_dir(folder.path()).output() {
        Ok(output) => {
            assert!(output.status.success(), "{shell}: {}", String::from_utf8_lossy(&output.stderr));
            Some(String::from_utf8(output.stdout).unwrap())
        }
        Err(_) => {
            let _ = writeln!(std::io::stderr(), "SKIPPED: {shell} is not installed");
            None
        }
    }
}

/// What bash offers for the last of these words.
fn offered_by_bash(words: &[&str]) -> Option<Vec<String>> {
    let last = words.len() - 1;
    let quoted: Vec<String> = words.iter().map(|word| format!("\"{word}\"")).collect();
    let (cur, prev) = (&quoted[last], &quoted[last - 1]);
    let script = format!(
        "source ./_flow; COMP_WORDS=({}); COMP_CWORD={last}; f=$(complete -p flow | sed 's/.*-F \\([^ ]*\\) .*/\\1/'); \
         $f flow {cur} {prev}; printf '%s\\n' \"${{COMPREPLY[@]}}\"",
        quoted.join(" ")
    );
    Some(completed("bash", &script)?.lines().map(str::to_owned).collect())
}

#[test]
fn bash_completes_the_words_of_filters() {
    let offered = |words: &[&str]| offered_by_bash(words);
    let Some(found) = offered(&["flow", "conns", "spo"]) else { return };
    assert_eq!(found, ["sport"]);
    // In quotes, behind other tests.
    assert_eq!(
        offered(&["flow", "conns", "-q", "tcp and not (outer.d"]).unwrap(),
        ["tcp and not (outer.dport", "tcp and not (outer.dst"]
    );
    assert_eq!(offered(&["flow", "sockets", "-t", "-f", "proc"]).unwrap(), ["process"]);
    assert_eq!(offered(&["flow", "ss", "retr"]).unwrap(), ["retrans"]);
    assert_eq!(offered(&["flow", "filter", "check", "handsh"]).unwrap(), ["handshake"]);
    // What a command would refuse is not offered: a capture's packets have no states, sockets no ethertypes.
    for (command, word, offers) in [
        ("conns", "state", "state"),
        ("count", "state", ""),
        ("hosts", "duration", ""),
        ("count", "process", ""),
        ("count", "arp", "arp"),
        ("sockets", "arp", ""),
        ("sockets", "dev", "dev"),
        ("vol", "dev", ""),
        ("vol", "state", "state"),
        ("lat", "vxlan", "vxlan"),
    ] {
        assert_eq!(offered(&["flow", command, "-q", word]).unwrap(), [offers], "{command} {word}");
    }
    // What is no filter is completed as before.
    assert_eq!(offered(&["flow", "conns", "-o", "json"]).unwrap(), ["jsonl", "json"]);
    assert_eq!(offered(&["flow", "filter", "che"]).unwrap(), ["check"]);
    assert_eq!(offered(&["flow", "man", "co"]).unwrap(), ["conns", "count", "completions"]);
    assert_eq!(offered(&["flow", "man", "filter-s"]).unwrap(), ["filter-sql"]);
    assert_eq!(offered(&["flow", "conns", "--filter-com"]).unwrap(), ["--filter-compat"]);
    assert!(!offered(&["flow", "conns", "-r", "spo"]).unwrap().contains(&"sport".to_owned()));
}

#[test]
fn what_is_completed_is_taken() {
    const CAPTURE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../captures/failures.pcap.lz4");
    let script = String::from_utf8(flow().args(["completions", "bash"]).output().unwrap().stdout).unwrap();
    let values = ["", "5", "5s", "10.0.0.1", "tcp", "S0", "S", "forward", "02:00:5e:10:00:01", "nginx"];
    for command in ["conns", "hosts", "count"] {
        let case =
            script.split("_flow_with_filters").nth(1).unwrap().split(&format!("        {command}")).nth(1).unwrap();
        let words = case.split("words=\"").nth(1).unwrap().split('"').next().unwrap();
        let mut tried = 0;
        for word in words.split(' ') {
            let mut filters = values.iter().map(|value| format!("{word} {value}"));
            let Some(filter) = filters.find(|filter| flowfilter::Filter::parse(filter).is_ok()) else { continue };
            let output = flow().args([command, "-q", "-r", CAPTURE, &filter]).output().unwrap();
            let said = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success() || said.contains("--asn FILE"), "{command} {filter}: {said}");
            tried += 1;
        }
        assert!(tried > 70, "{command}: {words}");
    }
}

#[test]
fn fish_completes_the_words_of_filters() {
    let script = "source ./_flow; complete -C \"flow conns 'tcp and spo\"; complete -C 'flow conns handsh'; \
                  complete -C 'flow count handsh'; complete -C 'flow filter check handsh'";
    let Some(found) = completed("fish", script) else { return };
    let words: Vec<&str> = found.lines().map(|line| line.split('\t').next().unwrap()).collect();
    assert_eq!(words, ["tcp and sport", "handshake", "handshake"]);
    // Before it is said what is to be done with a filter there is none.
    let found = completed("fish", "source ./_flow; complete -C 'flow filter '").unwrap();
    let words: Vec<&str> = found.lines().map(|line| line.split('\t').next().unwrap()).collect();
    assert!(words.contains(&"check") && !words.contains(&"sport") && words.len() < 30, "{words:?}");
}

#[test]
fn the_script_of_zsh_is_one_and_has_the_words_of_filters() {
    let Some(printed) = completed("zsh", "zsh -n ./_flow && cat ./_flow") else { return };
    assert!(printed.contains("_flow_filter() {") && printed.contains(" retrans "), "{printed}");
    assert!(printed.matches(":_flow_filter'").count() >= 2 * 9, "every command with a filter, both ways");
    let words = |command: &str| printed.split(&format!("*:flow-command-{command}:*) ")).nth(1).unwrap().lines().next();
    assert!(words("count").is_some_and(|words| words.contains(" arp ") && !words.contains(" duration ")));
    assert!(words("connections").is_some_and(|words| words.contains(" duration ")));
}

#[test]
fn columns_are_found_by_their_heads_in_tables() {
    const REDIS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../captures/redis.pcap.gz");
    let printed = |command: &str, more: &[&str]| {
        let output = flow().args([command, "-r", REDIS, "-o", "csv"]).args(more).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    for (command, head, name) in [
        ("hosts", "RTT", "rtt_p95_ns"),
        ("hosts", "est", "est"),
        ("hosts", "EST[%]", "est_percent"),
        ("hosts", "est[1/s]", "est_rate"),
        ("hosts", "SYN/ACK", "syn_ack"),
        ("conns", "pkts>", "fwd_packets"),
        ("conns", "PKTS", "packets"),
        ("conns", "Payload<[B]", "rev_payload_bytes"),
        ("conns", "bytes", "wire_bytes"),
        ("lat", "RTT", "rtt_ns"),
    ] {
        assert!(printed(command, &["--columns", head]).starts_with(&format!("{name},quality\n")), "{head}");
        assert_eq!(printed(command, &["--sort", head]), printed(command, &["--sort", name]), "{head}");
    }
    let ambiguous = "flow: `PAYLOAD` may be `fwd_payload_bytes` or `rev_payload_bytes`: name one of them\n";
    for option in ["--sort", "--columns"] {
        flow().args(["conns", "-r", REDIS, option, "PAYLOAD"]).assert().code(2).stderr(diff(ambiguous));
    }
    let sockets = flow().args(["sockets", "-t", "-o", "csv", "--columns", "RECV-Q"]).output().unwrap();
    assert!(sockets.stdout.starts_with(b"recv_q,quality\n"));
}

#[test]
fn wishes_that_cannot_be_granted_are_answered() {
    const REDIS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../captures/redis.pcap.gz");
    let none = "note: --max-loss is for packets of captures; no packets are read here";
    flow().args(["lat", "--max-loss", "0"]).assert().success().stderr(contains(none).and(contains("tell").not()));
    // Beyond the largest process id that Linux gives.
    let gone = "flow: no network namespace `99999999`: there is no process of that id\n";
    flow().args(["sockets", "--netns", "99999999"]).assert().code(1).stderr(diff(gone));
    let count = flow().args(["count", "-r", REDIS, "-o", "csv", "--columns", "packets", "--no-trailer"]).assert();
    count.success().stdout(starts_with("packets,quality\n"));
    flow().args(["count", "--list-columns"]).assert().success().stdout(starts_with("* packets  packets selected"));
    flow().args(["conns", "-r", REDIS, "-tttttt"]).assert().code(2).stderr(contains("-t may stand five times at most"));
    for (more, notes) in [(&["--time", "local"][..], 1), (&["--time", "local", "-q"], 0), (&["--time", "utc"], 0)] {
        let output = flow().args(["conns", "-r", REDIS]).args(more).env("TZ", "Foo/Bar").output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(said.matches("the time zone is not known").count(), notes, "{more:?}: {said}");
    }
    flow().args(["sockets", "-o", "cvs"]).assert().code(2).stderr(contains("'cvs' for '--output <FORMAT>'"));
}

#[test]
fn help_names_every_state_of_a_socket() {
    let help = flow().args(["sockets", "--help"]).output().unwrap();
    let help = String::from_utf8(help.stdout).unwrap();
    for state in flowcore::socket::SocketState::ALL {
        assert!(help.contains(state.name()), "{}", state.name());
    }
}
