//! `--asn`: the counts that tshark and pyasn have for filters on AS numbers, and what the commands show.
#![allow(clippy::unwrap_used, reason = "a test whose preparation fails has failed")]

#[path = "../../flowcore/tests/support/captures.rs"]
mod captures;
#[path = "../../flowstats/tests/hosts/packets.rs"]
#[allow(dead_code, reason = "made for the host table's tests, and not all of it is used")]
mod packets;
#[path = "../../flowstats/tests/hosts/tape.rs"]
#[allow(dead_code, reason = "the same")]
mod tape;

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;

use assert_cmd::Command;
use flowcore::wire::DecodeOptions;
use flowcore::{Collector, FlowEvent, Limit, Resolver, Status};
use flowfilter::{Filter, Predicate, STEP};
use flowresolve::asn::{Loader, Options};
use flowsrc_pcap::Files;
use packets::{Link, capture};
use tape::Tape;
use tempfile::TempDir;

fn networks(captures: &Path, private: bool) -> Arc<dyn Resolver> {
    let mut loader = Loader::new(Options { private });
    loader.file(&captures.join("asn/ipasn_sample.dat")).unwrap();
    Arc::new(loader.finish())
}

/// Packets of a capture that each filter selects, by their outermost headers as the truth has them.
fn counts(path: &Path, filters: &[Predicate<FlowEvent>]) -> Vec<u64> {
    let options = DecodeOptions { decapsulate: false, headers: true };
    let mut source = Files::builder().decode(options).path(path).open().unwrap();
    let (mut events, mut counts) = (Vec::new(), vec![0; filters.len()]);
    loop {
        events.clear();
        let filled = source.fill(&mut events, Limit::default()).unwrap();
        let (frames, status) = (filled.frames, filled.status);
        for step in events.chunks(STEP) {
            for (filter, count) in filters.iter().zip(&mut counts) {
                *count += u64::from(filter.mask(step, &frames).count_ones());
            }
        }
        if status == Status::End {
            return counts;
        }
    }
}

/// File, filter, our packets and the truth's, where they differ; and how many were compared.
fn differences(captures: &Path, private: bool) -> (Vec<(String, String, u64, u64)>, usize) {
    let text = fs::read_to_string(captures.join("truth/asn/filter_counts.tsv")).unwrap();
    let mut files: BTreeMap<&str, Vec<(&str, u64)>> = BTreeMap::new();
    for row in text.lines().filter(|line| !line.starts_with('#')).skip(1) {
        let [file, filter, packets] = row.split('\t').collect::<Vec<_>>()[..] else { panic!("{row}") };
        files.entry(file).or_default().push((filter, packets.parse().unwrap()));
    }
    let networks = networks(captures, private);
    let (mut different, mut compared, mut absent) = (Vec::new(), 0, 0);
    for (file, rows) in &files {
        // Snoop files are refused, with the way to convert them.
        if !captures.join(file).exists() || file.ends_with(".snoop") {
            let _ = writeln!(
                std::io::stderr(),
                "SKIPPED: {file}, of which {} counts are known, is not here or no capture of ours",
                rows.len()
            );
            absent += rows.len();
            continue;
        }
        let bind = |text: &str| Filter::parse(text).unwrap().bind::<FlowEvent>(&networks).unwrap();
        let filters: Vec<_> = rows.iter().map(|(text, _)| bind(text)).collect();
        for (&(text, truth), ours) in rows.iter().zip(counts(&captures.join(file), &filters)) {
            compared += 1;
            if ours != truth {
                different.push(((*file).to_owned(), text.to_owned(), ours, truth));
            }
        }
    }
    assert_eq!(compared + absent, 1078);
    (different, compared)
}

/// File, filter, ours, theirs: each has its cause in docs/filters-agreement.md.
const KNOWN: [(&str, &str, u64, u64); 9] = [
    ("encap/4in6.pcap", "src asn 6939 and tcp", 0, 1),
    ("encap/6in4tunnel.pcap", "src asn 6939 and tcp", 0, 36),
    ("encap/6in4tunnel.pcap", "src asn 6327 and tcp", 0, 41),
    ("encap/gre-sample.pcap", "src asn 11590 and tcp", 0, 10),
    ("encap/ipoipoip.pcap", "src asn 15169 and tcp", 0, 1),
    ("ip/AH-IPcomp-IPv6.pcap", "src asn 6939 and tcp", 0, 6),
    ("malformed/decode-too-small.pcap", "src asn 15169 and tcp", 1, 0),
    ("sflow/sflow-multiple-interfaces.pcap", "src asn 197711 and tcp", 0, 1),
    ("sflow/sflow_expanded.pcap", "src asn 197711 and tcp", 0, 1),
];

#[test]
fn every_count_is_that_of_the_truth() {
    let Some(captures) = captures::captures("truth/asn") else { return };
    let (different, compared) = differences(&captures, false);
    assert!(compared > 800, "{compared}");
    let known = KNOWN.map(|(file, filter, ours, truth)| (file.to_owned(), filter.to_owned(), ours, truth));
    assert_eq!(different, known);
}

/// Clients at 192.0.2.2 and 2001:db8::2 of servers at 192.0.2.1 and 2001:db8::1.
const WEB: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../captures/web.pcapng.zst");

/// The server is in two networks.
const TABLE: &str = "192.0.2.1/32\t64500_64501\n192.0.2.0/24\t64502\n2001:db8::1/128\t64503\n";

fn file(folder: &TempDir, name: &str, contents: impl AsRef<[u8]>) -> String {
    let path = folder.path().join(name);
    fs::write(&path, contents).unwrap();
    path.to_str().unwrap().to_owned()
}

fn flow(arguments: &[&str]) -> Command {
    let mut command = Command::cargo_bin("flow").unwrap();
    command.args(arguments);
    command
}

fn printed(arguments: &[&str]) -> String {
    let output = flow(arguments).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// Packets that a filter selects.
fn count(capture: &str, arguments: &[&str], filter: &str) -> u64 {
    let text = printed(&[&["count", "-r", capture, "-o", "csv", "--no-header", filter], arguments].concat());
    text.split(',').next().unwrap().parse().unwrap()
}

#[test]
fn columns_show_the_first_origin_and_nothing_where_there_is_none() {
    let folder = tempfile::tempdir().unwrap();
    let table = file(&folder, "pfx2as", TABLE);
    let csv = ["conns", "-r", WEB, "-o", "csv", "--no-trailer", "--columns"];
    let columns = "src_ip,src_asn,dst_asn,dst_holder";
    let text = printed(&[&csv[..], &[columns, "--asn", &table]].concat());
    assert_eq!(text.lines().filter(|row| row.starts_with("192.0.2.2,64502,64500,,")).count(), 12, "{text}");
    assert_eq!(text.lines().filter(|row| row.starts_with("2001:db8::2,,64503,,")).count(), 3, "{text}");
    // Ranges with names of holders.
    let table = file(&folder, "iptoasn", "192.0.2.1\t192.0.2.1\t64500\tXX\tWeb of Example\n");
    let text = printed(&[&csv[..], &[columns, "--asn", &table]].concat());
    assert_eq!(text.lines().filter(|row| row.starts_with("192.0.2.2,,64500,Web of Example,")).count(), 12, "{text}");
    // In tables they are shown unasked.
    let table = printed(&["conns", "-r", WEB, "--asn", &table]);
    assert!(table.lines().next().unwrap().contains("SRC-AS"), "{table}");
    assert!(!printed(&["conns", "-r", WEB]).contains("SRC-AS"));
    flow(&["conns", "-r", WEB, "--columns", "src_asn"]).assert().code(2);
}

#[test]
fn filters_select_by_any_origin() {
    let folder = tempfile::tempdir().unwrap();
    let table = file(&folder, "pfx2as", TABLE);
    let asn = ["--asn", &table];
    // As `src 192.0.2.1` and the like select, which the capture's own truth has.
    for (filter, same) in [
        ("src asn 64500", "src 192.0.2.1"),
        ("src asn 64501", "src 192.0.2.1"),
        ("dst asn 64502", "dst 192.0.2.2"),
        ("addr asn 64503", "addr 2001:db8::1"),
        ("not addr asn 64500", "not addr 192.0.2.1"),
    ] {
        let packets = count(WEB, &[], same);
        assert!(packets > 10, "{same}: {packets}");
        assert_eq!(count(WEB, &asn, filter), packets, "{filter}");
    }
    assert_eq!(count(WEB, &asn, "addr asn 64504"), 0);
    flow(&["count", "-r", WEB, "src asn 64500"]).assert().code(2);
}

#[test]
fn private_addresses_are_of_65535_unless_a_table_or_the_user_says_otherwise() {
    let folder = tempfile::tempdir().unwrap();
    let refused =
        |client| Tape::between((client, 41_000), ("192.0.2.9", 443)).c(0.0, "S", 0, 0, 0).s(0.0, "R.", 0, 1, 0);
    // Four edges of private space within it, then four without.
    let clients = ["10.255.255.255", "172.16.0.0", "172.31.255.255", "192.168.0.0"];
    let others = ["11.0.0.0", "172.15.255.255", "172.32.0.0", "192.169.0.0"];
    let packets: Vec<_> = clients.iter().chain(&others).flat_map(|client| refused(*client).packets).collect();
    let path = file(&folder, "private.pcap", capture(&packets, Link::Ethernet));
    let table = file(&folder, "pfx2as", "192.0.2.0/24 64500\n");
    let asn = ["--asn", table.as_str()];
    assert_eq!(count(&path, &asn, "src asn 65535"), 4);
    assert_eq!(count(&path, &asn, "addr asn 65535"), 8);
    assert_eq!(count(&path, &asn, "src asn 64500"), 8);
    let without = ["--asn", table.as_str(), "--no-private-asn"];
    assert_eq!(count(&path, &without, "addr asn 65535"), 0);
    assert_eq!(count(&path, &without, "not addr asn 65535"), 16);
    let own = file(&folder, "own", "172.16.0.0/12 64510\n");
    assert_eq!(count(&path, &["--asn", &own], "src asn 65535"), 2);
    assert_eq!(count(&path, &["--asn", &own], "src asn 64510"), 2);
    flow(&["count", "-r", &path, "--no-private-asn"]).assert().code(2);
}

#[test]
fn hosts_by_as_are_one_row_and_those_of_none_stay_apart() {
    let folder = tempfile::tempdir().unwrap();
    let refused =
        |server| Tape::between(("192.0.2.9", 41_000), (server, 443)).c(0.0, "S", 0, 0, 0).s(0.0, "R.", 0, 1, 0);
    let servers = ["198.51.100.1", "198.51.100.2", "203.0.113.1", "203.0.113.2"];
    let packets: Vec<_> = servers.iter().flat_map(|server| refused(*server).packets).collect();
    let path = file(&folder, "servers.pcap", capture(&packets, Link::Ethernet));
    let table = file(&folder, "iptoasn", "198.51.100.0\t198.51.100.255\t64500\tXX\tServers of Example\n");
    let rows = |more: &[&str]| {
        let csv = ["hosts", "-r", &path, "-o", "csv", "--no-header", "--no-trailer", "--no-total", "--asn", &table];
        let text = printed(&[&csv[..], &["--columns", "host,asn,syn"], more].concat());
        let mut rows: Vec<String> = text.lines().map(|row| row.rsplit_once(',').unwrap().0.to_owned()).collect();
        rows.sort();
        rows
    };
    assert_eq!(rows(&["--by-asn"])[..2], ["203.0.113.1,,1", "203.0.113.2,,1"]);
    assert!(rows(&["--by-asn"])[2].starts_with("AS64500 Servers of Example,"), "{:?}", rows(&["--by-asn"]));
    assert!(rows(&["--by-asn"])[2].ends_with(",2"));
    assert_eq!(rows(&[])[..2], ["198.51.100.1,64500,1", "198.51.100.2,64500,1"]);
}

#[test]
fn hosts_of_one_as_are_one_row_whatever_tables_call_its_holder() {
    let folder = tempfile::tempdir().unwrap();
    let refused =
        |server| Tape::between(("192.0.2.9", 41_000), (server, 443)).c(0.0, "S", 0, 0, 0).s(0.0, "R.", 0, 1, 0);
    let servers = ["192.0.2.129", "198.51.100.1", "203.0.113.1"];
    let packets: Vec<_> = servers.iter().flat_map(|server| refused(*server).packets).collect();
    let path = file(&folder, "servers.pcap", capture(&packets, Link::Ethernet));
    let table = file(&folder, "names", "192.0.2.128/25 64500\n198.51.100.0/24,64500\n");
    let iptoasn = "198.51.100.0\t198.51.100.255\t64500\tXX\tFirst\n203.0.113.0\t203.0.113.255\t64500\tXX\tSecond\n";
    let named = file(&folder, "iptoasn", iptoasn);
    for tables in [&[&named][..], &[&table, &named]] {
        let mut arguments = vec!["hosts", "-r", &path, "-o", "csv", "--no-header", "--no-trailer", "--no-total"];
        arguments.extend(["--by-asn", "--columns", "host,syn"]);
        tables.iter().for_each(|table| arguments.extend(["--asn", table.as_str()]));
        let text = printed(&arguments);
        let rows: Vec<&str> = text.lines().filter(|row| row.starts_with("AS64500")).collect();
        assert_eq!(rows.len(), 1, "{text}");
        let (name, many) = if tables.len() == 1 { ("AS64500 First", 2) } else { ("AS64500 Second", 3) };
        assert!(rows[0].starts_with(&format!("{name},{many},")), "{text}");
    }
}

#[test]
fn whitelists_may_name_networks_if_a_table_knows_them() {
    let folder = tempfile::tempdir().unwrap();
    let table = file(&folder, "pfx2as", TABLE);
    // The second origin of the server's prefix is as good as the first.
    let list = file(&folder, "list", "AS64501:80\n");
    let arguments =
        ["conns", "-r", WEB, "--whitelist", &list, "-o", "csv", "--columns", "dst_ip,dst_port,allowed,rule"];
    let text = printed(&[&arguments[..], &["--asn", &table]].concat());
    for row in ["192.0.2.1,80,true,AS64501:80,exact", "192.0.2.1,443,false,,exact", "2001:db8::1,80,false,,exact"] {
        assert!(text.lines().any(|line| line == row), "{row}\n{text}");
    }
    let refused = flow(&arguments).assert().code(2);
    let said = String::from_utf8_lossy(&refused.get_output().stderr).into_owned();
    assert!(said.contains("AS64501:80") && said.contains("--asn FILE"), "{said}");
}
