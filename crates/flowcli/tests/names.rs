//! Names and whitelists as a user meets them, on a capture of the repository: an nginx at 192.0.2.1 and 2001:db8::1,
//! clients at 192.0.2.2 and 2001:db8::2.
#![allow(clippy::unwrap_used, reason = "a test whose preparation fails has failed")]

use std::io::Write;
use std::net::UdpSocket;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use assert_cmd::Command;
use predicates::prelude::*;
use predicates::str::{contains, is_empty};
use tempfile::TempDir;

fn capture() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../captures/web.pcapng.zst")
}

/// `flow conns` on the capture.
fn flow() -> Command {
    let mut command = Command::cargo_bin("flow").unwrap();
    for variable in ["NO_COLOR", "CLICOLOR", "CLICOLOR_FORCE", "FORCE_COLOR", "COLUMNS"] {
        command.env_remove(variable);
    }
    command.args(["conns", "-r"]).arg(capture());
    command
}

fn printed(command: &mut Command) -> String {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

fn file(folder: &TempDir, name: &str, text: &str) -> String {
    let path = folder.path().join(name);
    std::fs::write(&path, text).unwrap();
    path.to_str().unwrap().to_owned()
}

const HOSTS: &str = "192.0.2.1 web.example\n2001:db8::1 web6.example\n192.0.2.2 client.example\n";

/// A name server that knows the first two lines of [`HOSTS`], says of all else that there is no name, and is silent
/// towards questions for IPv4 addresses if told so.
fn name_server(silent: bool) -> String {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = socket.local_addr().unwrap().to_string();
    std::thread::spawn(move || {
        let mut buffer = [0; 512];
        while let Ok((length, from)) = socket.recv_from(&mut buffer) {
            let mut message = buffer[..length].to_vec();
            let asked = message[12..].to_ascii_lowercase();
            let is_v4 = asked.windows(7).any(|window| window == b"in-addr");
            let is_server = asked.starts_with(b"\x011");
            if silent && is_v4 {
                continue;
            }
            message[2..4].copy_from_slice(&[0x81, if is_server { 0x80 } else { 0x83 }]);
            message[7] = u8::from(is_server);
            if is_server {
                let name: &[u8] = if is_v4 { b"\x03web\x07example\x00" } else { b"\x04web6\x07example\x00" };
                message.extend_from_slice(&[0xc0, 12, 0, 12, 0, 1, 0, 0, 1, 0, 0, name.len() as u8]);
                message.extend_from_slice(name);
            }
            socket.send_to(&message, from).unwrap();
        }
    });
    address
}

/// A name server that says of all that there is no name.
fn nameless_server() -> String {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = socket.local_addr().unwrap().to_string();
    std::thread::spawn(move || {
        let mut buffer = [0; 512];
        while let Ok((length, from)) = socket.recv_from(&mut buffer) {
            buffer[2..4].copy_from_slice(&[0x81, 0x83]);
            socket.send_to(&buffer[..length], from).unwrap();
        }
    });
    address
}

#[test]
fn addresses_are_numbers_unless_names_are_asked_for() {
    let table = printed(flow().args(["--columns", "src_ip,dst_ip"]));
    assert!(table.lines().nth(1).unwrap().split_whitespace().eq(["192.0.2.2", "192.0.2.1"]), "{table}");
    assert!(!printed(flow().args(["-o", "jsonl"])).contains("src_name"));
    assert!(!printed(flow().args(["-o", "csv"])).contains("allowed"));
}

#[test]
fn tables_show_names_instead_of_numbers() {
    let folder = tempfile::tempdir().unwrap();
    let hosts = file(&folder, "hosts", HOSTS);
    let table = printed(flow().args(["--resolve", &format!("hosts:{hosts},services")]).args([
        "--columns",
        "src_ip,dst_ip,dst_port,transport",
        "--no-trailer",
        "--no-header",
    ]));
    let rows: Vec<Vec<&str>> = table.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(rows[0], ["client.example", "web.example", "http", "tcp"]);
    assert_eq!(rows[5], ["2001:db8::2", "web6.example", "http", "tcp"]);
    assert_eq!(rows[10], ["client.example", "web.example", "81", "tcp"]);
    assert_eq!(rows[12], ["client.example", "web.example", "domain", "udp"]);
    // ICMP's types are no ports.
    assert_eq!(rows[14], ["client.example", "web.example", "0", "icmp"]);
}

#[test]
fn a_column_of_names_brings_the_numbers_back() {
    let folder = tempfile::tempdir().unwrap();
    let hosts = file(&folder, "hosts", HOSTS);
    let table = printed(flow().args(["--resolve", &format!("hosts:{hosts}"), "--columns", "dst_ip,dst_name"]));
    assert!(table.lines().nth(1).unwrap().split_whitespace().eq(["192.0.2.1", "web.example"]), "{table}");
    assert!(printed(flow().args(["--resolve", &format!("hosts:{hosts}"), "-o", "wide"])).contains("SRC-NAME"));
}

#[test]
fn machine_formats_have_names_beside_numbers() {
    let folder = tempfile::tempdir().unwrap();
    let hosts = file(&folder, "hosts", HOSTS);
    let resolve = format!("hosts:{hosts},services");
    let text = printed(flow().args(["-o", "jsonl", "--resolve", &resolve]));
    let rows: Vec<serde_json::Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let tls = rows.iter().find(|row| row["dst_port"] == 443 && row["ip_version"] == 6).unwrap();
    assert_eq!((&tls["dst_ip"], &tls["dst_name"]), (&"2001:db8::1".into(), &"web6.example".into()));
    assert_eq!((&tls["src_name"], &tls["dst_service"]), (&serde_json::Value::Null, &"https".into()));
    let zeek = printed(flow().args(["-o", "zeek", "--columns", "dst_name", "--resolve", &resolve]));
    assert!(zeek.contains("\tflow_dst_name\t") && zeek.contains("\tweb.example\t"), "{zeek}");
}

#[test]
fn a_name_server_is_asked_once_per_address_and_its_answers_are_waited_for() {
    let server = name_server(false);
    let dns = format!("dns:{server}");
    for format in ["jsonl", "json", "csv"] {
        let text = printed(flow().args(["-o", format, "--resolve", &dns]));
        // Every row: the server's name is there even for the first that was written.
        assert_eq!(text.matches("web.example").count(), 12, "{format}: {text}");
        assert_eq!(text.matches("web6.example").count(), 3, "{format}");
    }
    let sorted = printed(flow().args([
        "-o",
        "csv",
        "--columns",
        "dst_name",
        "--sort",
        "dst_name",
        "--no-header",
        "--no-trailer",
        "--resolve",
        &dns,
    ]));
    let names: Vec<&str> = sorted.lines().map(|line| line.split(',').next().unwrap()).collect();
    assert!(names.is_sorted() && names[0] == "web.example" && names[14] == "web6.example", "{names:?}");
}

#[test]
fn what_the_first_name_server_does_not_know_is_asked_of_the_next_and_waited_for() {
    let folder = tempfile::tempdir().unwrap();
    let servers = format!("dns:{},dns:{},dns:{}", nameless_server(), nameless_server(), name_server(false));
    for more in [&["-o", "jsonl"][..], &["-o", "csv", "--columns", "dst_name"], &["-o", "tsv", "--sort", "dst_name"]] {
        let text = printed(flow().args(more).args(["--resolve", &servers]));
        assert_eq!((text.matches("web.example").count(), text.matches("web6.example").count()), (12, 3), "{text}");
    }
    let list = file(&folder, "servers", "web.example\n");
    let hosts = |more: &[&str]| {
        let mut flow = Command::cargo_bin("flow").unwrap();
        printed(flow.args(["hosts", "-r"]).arg(capture()).args(["-o", "csv", "--resolve", &servers]).args(more))
    };
    assert!(hosts(&[]).contains("web.example") && hosts(&[]).contains("web6.example"));
    // The pipeline waits for the names that the whitelist compares.
    let unlisted = hosts(&["--whitelist", &list, "--unlisted"]);
    assert!(unlisted.contains("web6.example") && !unlisted.contains("web.example"), "{unlisted}");
}

#[test]
fn of_several_name_servers_each_is_told_that_fails() {
    let closed = || UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let (first, last) = (closed(), closed());
    let servers = format!("dns:{first},dns:{},dns:{last}", nameless_server());
    flow().args(["--resolve", &servers]).assert().success().stderr(format!(
        "flow: note: 4 of 4 names could not be looked up: name server {first} failed or was silent\n\
         flow: note: 4 of 4 names could not be looked up: name server {last} failed or was silent\n"
    ));
}

#[test]
fn names_that_do_not_come_in_time_are_numbers_and_said() {
    let server = name_server(true);
    flow()
        .args(["--resolve", &format!("dns:{server}"), "--resolve-wait", "200ms", "--columns", "dst_ip"])
        .assert()
        .success()
        .stdout(contains("192.0.2.1\n").and(contains("web6.example")))
        .stderr(contains("note: no name came in time for 1 of the addresses shown; --resolve-wait waits longer"));
    for format in ["jsonl", "json", "csv", "zeek"] {
        flow()
            .args(["-o", format, "--columns", "+dst_name", "--resolve-wait", "200ms"])
            .args(["--resolve", &format!("dns:{server}")])
            .assert()
            .success()
            .stderr(contains("note: no name came in time for 2 of the addresses shown"));
    }
    // Nobody listens there.
    let closed = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let asked = format!("dns:{closed}");
    flow().args(["--resolve", &asked]).assert().success().stderr(contains("note: 4 of 4 names could not be looked up"));
    flow().args(["--resolve", &asked, "-q"]).assert().success().stderr(is_empty());
}

#[test]
fn names_are_waited_for_where_a_signal_ends_the_reading() {
    let server = name_server(false);
    let mut child = std::process::Command::new(env!("CARGO_BIN_EXE_flow"))
        .args(["conns", "-r", "-", "-o", "csv", "--resolve", &format!("dns:{server}")])
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = child.stdin.take().unwrap();
    input.write_all(&std::fs::read(capture()).unwrap()).unwrap();
    input.flush().unwrap();
    std::thread::sleep(Duration::from_millis(500));
    let id = child.id().to_string();
    assert!(std::process::Command::new("kill").args(["-INT", &id]).status().unwrap().success());
    let output = child.wait_with_output().unwrap();
    drop(input);
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.matches("web.example").count() > 5, "{text}");
}

#[test]
fn nobody_who_asks_to_stop_has_to_wait_for_names() {
    // A server that never answers.
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let server = socket.local_addr().unwrap();
    for command in ["conns", "hosts"] {
        let begun = Instant::now();
        let child = std::process::Command::new(env!("CARGO_BIN_EXE_flow"))
            .args([command, "-r"])
            .arg(capture())
            .args(["-o", "csv", "--resolve-wait", "60s", "--resolve", &format!("dns:{server}")])
            .stdout(std::process::Stdio::piped())
            .stderr(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        // It has asked: at the end of so short a capture, so that it waits.
        socket.recv_from(&mut [0; 512]).unwrap();
        std::thread::sleep(Duration::from_millis(500));
        let id = child.id().to_string();
        assert!(std::process::Command::new("kill").args(["-INT", &id]).status().unwrap().success());
        let output = child.wait_with_output().unwrap();
        assert!(begun.elapsed() < Duration::from_secs(30), "{command} waited on");
        assert!(String::from_utf8(output.stdout).unwrap().contains("192.0.2.1"), "{command}");
        assert!(String::from_utf8(output.stderr).unwrap().contains("no name came in time"), "{command}");
    }
}

#[test]
fn numbers_only_stands_above_names() {
    let folder = tempfile::tempdir().unwrap();
    let hosts = format!("hosts:{}", file(&folder, "hosts", HOSTS));
    let plain = printed(&mut flow());
    for more in
        [&["-n"][..], &["-n", "-N"], &["-N", "-n"], &["-N", "--resolve", "none"], &["--resolve", "none,services"]]
    {
        assert_eq!(printed(flow().args(["--resolve", &hosts]).args(more)), plain, "{more:?}");
    }
    assert_eq!(printed(flow().args(["--resolve", &hosts, "--resolve", "none"])), plain);
    assert_eq!(printed(flow().args(["-N", "-n"])), plain);
}

#[test]
fn a_whitelist_says_which_rule_allows_a_flow() {
    let folder = tempfile::tempdir().unwrap();
    let list = file(&folder, "servers", "# ours\n192.0.2.1:http, [2001:db8::1]:80\n*:domain/udp\n");
    let text = printed(flow().args(["--whitelist", &list, "-o", "csv", "--columns", "dst_ip,dst_port,allowed,rule"]));
    for row in [
        "192.0.2.1,80,true,192.0.2.1:http,exact",
        "2001:db8::1,80,true,[2001:db8::1]:80,exact",
        "192.0.2.1,53,true,*:domain/udp,exact",
        "192.0.2.1,443,false,,exact",
    ] {
        assert!(text.lines().any(|line| line == row), "{row}\n{text}");
    }
    let table = printed(flow().args(["--whitelist", &list]));
    assert!(table.lines().next().unwrap().ends_with("ALLOWED  RULE"), "{table}");
}

#[test]
fn only_what_no_rule_allows_can_be_shown() {
    let folder = tempfile::tempdir().unwrap();
    let list = file(&folder, "servers", "*:80/tcp, *:443, *:53, 192.0.2.1:81\n");
    let unlisted = |more: &[&str]| {
        let text = printed(
            flow()
                .args([
                    "--whitelist",
                    &list,
                    "--unlisted",
                    "--columns",
                    "dst_port,transport",
                    "--no-header",
                    "--no-trailer",
                ])
                .args(more),
        );
        text.lines().map(|line| line.split([',', ' ']).next().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(unlisted(&["-o", "csv"]), ["8080", "0"]);
    assert_eq!(unlisted(&["-o", "csv", "--sort", "dst_port"]), ["0", "8080"]);
    assert_eq!(unlisted(&["-o", "csv", "--top", "1"]), ["0"]);
    assert_eq!(unlisted(&[]).len(), 2);
    let all = file(&folder, "all", "*\n");
    flow().args(["--whitelist", &all, "--unlisted", "--fail-empty"]).assert().code(6);
}

#[test]
fn a_whitelist_of_names_waits_for_them() {
    let folder = tempfile::tempdir().unwrap();
    let list = file(&folder, "servers", "WEB.example, *.nowhere.example\n");
    let dns = format!("dns:{}", name_server(false));
    for format in ["csv", "jsonl"] {
        let text = printed(flow().args(["--whitelist", &list, "--unlisted", "--resolve", &dns, "-o", format]));
        assert_eq!(
            (text.matches("2001:db8::1").count(), text.matches("192.0.2.1").count()),
            (3, 0),
            "{format}\n{text}"
        );
    }
    // What is not known is not allowed, and not denied either.
    let dns = format!("dns:{}", name_server(true));
    let text = printed(
        flow().args(["--whitelist", &list, "--unlisted", "--resolve", &dns, "--resolve-wait", "100ms"]).args([
            "-o",
            "csv",
            "--columns",
            "dst_ip,allowed,rule",
        ]),
    );
    assert!(text.contains("192.0.2.1,,,exact") && text.contains("2001:db8::1,false,,exact"), "{text}");
}

#[test]
fn a_name_that_could_not_be_looked_up_does_not_forbid() {
    let folder = tempfile::tempdir().unwrap();
    let list = file(&folder, "servers", "WEB.example\n");
    // Nobody listens there.
    let closed = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let dns = format!("dns:{closed}");
    for (format, more) in [("csv", &["-q"][..]), ("csv", &["-q", "--sort", "dst_port"]), ("csv", &["-q", "--unlisted"])]
    {
        let asked =
            ["--whitelist", &list, "--resolve", &dns, "-o", format, "--columns", "dst_ip,allowed", "--no-trailer"];
        let text = printed(flow().args(asked).args(more));
        assert!(text.lines().count() > 10 && !text.contains("false") && text.contains("192.0.2.1,,"), "{text}");
    }
}

#[test]
fn verdicts_that_are_open_are_told() {
    let folder = tempfile::tempdir().unwrap();
    let list = file(&folder, "servers", "WEB.example, 192.0.2.1:80\n");
    // Nobody listens there.
    let closed = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let dns = format!("dns:{closed}");
    let asked = |command: &str, more: &[&str]| {
        let mut flow = Command::cargo_bin("flow").unwrap();
        flow.args([command, "-r"]).arg(capture()).args(["--whitelist", &list, "--resolve", &dns]).args(more);
        flow.assert().success()
    };
    let open = |many: &str| format!("whether the whitelist allows {many} is not known: names are missing");
    // To 192.0.2.1 six of the fifteen connections go to port 80, and TCP only counts for hosts.
    let formats: [&[&str]; 4] = [&[], &["-o", "csv"], &["-o", "json", "--sort", "dst_port"], &["-o", "jsonl"]];
    for format in formats {
        for more in [&[][..], &["--unlisted"]] {
            let said = asked("conns", &[format, more].concat());
            said.stderr(contains(format!("flow: note: {}\n", open("9 of the connections shown"))));
        }
        let format = if format.contains(&"--sort") { &format[..2] } else { format };
        for more in [&[][..], &["--unlisted"], &["--by-port"]] {
            let said = asked("hosts", &[format, more].concat());
            said.stderr(contains(format!("flow: note: {}\n", open("2 of the remotes"))));
        }
    }
    for more in [&[][..], &["--classic"]] {
        asked("hosts", &[more, &["-q"]].concat()).stdout(contains(open("2 of the remotes"))).stderr(is_empty());
    }
    asked("conns", &["-q"]).stdout(contains(open("9 of the connections shown")));
    asked("conns", &["-q", "--top", "1"]).stdout(contains(open("1 of the connections shown")));
    // Addresses are all that these rules need.
    let list = file(&folder, "addresses", "192.0.2.1\n");
    for command in ["conns", "hosts"] {
        let mut flow = Command::cargo_bin("flow").unwrap();
        flow.args([command, "-r"]).arg(capture()).args(["--whitelist", &list, "--resolve", &dns]);
        flow.assert().success().stdout(contains("is not known").not()).stderr(contains("is not known").not());
    }
}

#[test]
fn mistakes_in_files_are_told_with_their_places() {
    let folder = tempfile::tempdir().unwrap();
    let list = file(&folder, "servers", "192.0.2.1\n192.0.2.1:https, 192.0.2\n\nweb.example:htps\n");
    // Each in a line of its own that says whose it is.
    flow().args(["--whitelist", &list]).assert().code(2).stdout(is_empty()).stderr(format!(
        "flow: {list}:2:18: `192.0.2` is no IPv4 address; did you mean `192.0.2.0/24`?\n\
         flow: {list}:4:13: no service is called `htps`; did you mean `https`?\n"
    ));
    let hosts = file(&folder, "hosts", "nonsense\n");
    flow().args(["--resolve", &format!("hosts:{hosts}")]).assert().code(2).stderr(contains("hosts:1:1: `nonsense`"));
    flow().args(["--whitelist", "/nonexistent"]).assert().code(1).stderr("flow: /nonexistent: there is no such file\n");
}

#[test]
fn an_odd_file_of_the_system_is_told_and_a_missing_one_too() {
    let folder = tempfile::tempdir().unwrap();
    let odd = file(&folder, "odd", "# system\n192.0.2.2\n192.0.2.1 web.example\n");
    // A namespace in which /etc/hosts is another file, or /etc an empty folder.
    let within = |place: &str, mounted: &str, command: &[&str]| {
        let mut unshare = Command::new("unshare");
        unshare.args(["--map-root-user", "--mount", "sh", "-c", "mount --bind \"$1\" \"$0\" && shift && exec \"$@\""]);
        unshare.args([place, mounted]).args(command);
        unshare
    };
    if !within("/etc/hosts", &odd, &["true"]).output().is_ok_and(|run| run.status.success()) {
        let _ = writeln!(std::io::stderr(), "SKIPPED: another /etc/hosts needs unshare and mount");
        return;
    }
    let capture = capture();
    let flow = [env!("CARGO_BIN_EXE_flow"), "conns", "--resolve", "hosts", "-r", capture.to_str().unwrap()];
    let skipped = "flow: note: /etc/hosts:2:10: a name is missing behind `192.0.2.2`; the line is skipped\n";
    within("/etc/hosts", &odd, &flow).assert().success().stdout(contains("web.example")).stderr(skipped);
    within("/etc/hosts", &odd, &[&flow[..], &["-q"]].concat()).assert().success().stderr(is_empty());
    let empty = tempfile::tempdir().unwrap();
    let missing = "flow: note: /etc/hosts: there is no such file\n";
    within("/etc", empty.path().to_str().unwrap(), &flow).assert().success().stderr(missing);
}

#[test]
fn what_cannot_be_answered_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let list = file(&folder, "servers", "192.0.2.1, web.example\n");
    flow().args(["--whitelist", &list]).assert().code(2).stderr(contains("`web.example` compares names"));
    flow().arg("--unlisted").assert().code(2).stderr(contains("--whitelist"));
    let names = "column `src_name` comes with --resolve dns or hosts, which was not given";
    flow().args(["--columns", "src_name"]).assert().code(2).stderr(contains(names));
    flow().args(["--resolve", "services", "--sort", "src_name"]).assert().code(2).stderr(contains(names));
    flow().args(["--resolve", "dsn"]).assert().code(2).stderr(contains("dns:SERVER"));
    let hosts = format!("hosts:{}", file(&folder, "hosts", HOSTS));
    let args = ["--resolve", &hosts, "--sort", "src_name", "--top", "3"];
    flow().args(args).assert().code(2).stderr(contains("--top cannot choose rows by a name"));
}
