//! What is advised in place of another tool's filter counts what that tool counts, where the tool is installed.
#![allow(clippy::unwrap_used, reason = "a test whose preparation fails has failed")]

#[path = "../../flowcore/tests/support/captures.rs"]
mod captures;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process;

use assert_cmd::Command;
use tempfile::TempDir;

/// Packets without tunnels, tags and quoted headers, of which all tools say the same: fragments, options, ICMP, broadcasts,
/// TCP and UDP in both versions of IP.
const CAPTURES: [&str; 6] = [
    "mixed/1kxun-2017.pcap",
    "ip/ip4_fragments.pcap",
    "ip/ipv4-options.pcap",
    "ip/icmp.pcap",
    "http/bro.org.pcap",
    "apps/var-services-std-ports.pcap",
];

/// Every packet here is IPv4, or the filter says which it is, so that libpcap's view of bytes decides nothing.
const OF_LIBPCAP: [&str; 40] = [
    "tcp[13] & 2 != 0 and ip",
    "ip and tcp[13] == 2",
    "ip and tcp[tcpflags] & (tcp-syn|tcp-fin) != 0",
    "ip and (tcp[tcpflags] & (tcp-syn|tcp-ack)) == tcp-syn",
    "ip and tcp[13] & 16 = 0",
    "ip[8] < 64",
    "ip[9] = 17",
    "ip[6:2] & 0x3fff != 0",
    "icmp[icmptype] == icmp-echo",
    "icmp[icmptype] != icmp-echoreply",
    "ip and udp[2:2] = 53",
    "ip and tcp[0:2] > 1024",
    "src or dst port 80",
    "src or dst net 192.168.0.0/16",
    "src and dst net 192.168.0.0/16",
    "portrange 50-90",
    "greater 1000",
    "less 100",
    "broadcast",
    "ip multicast",
    "ip6 multicast",
    "src port 80 or 443",
    "port 80 or 443 and tcp",
    "tcp and src port 80 or 443",
    "udp dst port 53 or 67",
    "dst port (80 or 53)",
    "src host 192.168.5.16 or 192.168.115.8",
    "not src host 192.168.5.16 and 192.168.115.8",
    "dst net 192.168.0.0/16 or 224.0.0.0/4 and udp",
    "ip proto 17 or 2",
    "ether dst ff:ff:ff:ff:ff:ff or 01:00:5e:00:00:fb",
    "tcp port http and host 192.168.5.16",
    "not port domain",
    "tcp dst port http or https",
    "tcp port 80 or domain",
    "not net 192.168 and udp",
    "src net 192.168.5 and not port http",
    "port not 80",
    "tcp port not domain and ip",
    "src host not 192.168.5.16",
];

const OF_WIRESHARK: [&str; 33] = [
    "tcp.flags & 0x02",
    "tcp.flags & 0x12 == 0x02",
    "tcp.flags == 0x18",
    "tcp.flags.syn == 1 && tcp.flags.ack == 0",
    "tcp.flags.ack == 0",
    "tcp.len > 0",
    "tcp.len == 0",
    "tcp.port == 80",
    "tcp.port != 80",
    "!(tcp.port == 80) && ip.ttl > 60",
    "udp.port in {53, 67..68}",
    "tcp.port in {80 .. 90}",
    "tcp.port not in {80, 443}",
    "ip.addr in {192.168.5.1 .. 192.168.5.20}",
    "ip.addr not in {192.168.5.16, 192.168.115.8}",
    "tcp.dstport > 1024 or udp.srcport eq 53",
    "ip.ttl < 65 or ipv6.hlim < 5",
    "ip.proto == 17",
    "frame.len > 1000 and ip.src == 192.168.0.0/16",
    "ip.src != 192.168.115.8 and tcp",
    "eth.dst == ff:ff:ff:ff:ff:ff",
    "eth.type == 0x0806",
    "all ip.addr == 192.168.0.0/16",
    "any tcp.port == 80",
    "all tcp.port > 1024",
    "any udp.port != 53",
    "frame.time_epoch >= 1470104373.025824",
    "frame.time_epoch > 1470104373.025824 and frame.len > 100",
    "frame.time_epoch <= 1470104400 or tcp",
    "frame.time == \"2016-08-02 02:19:33.025824Z\" or frame.len > 1000",
    "frame.time > \"2016-08-02 02:20:00Z\"",
    "frame.time < \"2014-01-14T17:04:05.5Z\"",
    "frame.time >= \"Aug 2, 2016 02:20:00 UTC\"",
];

/// All of them as one file, which the other programs need only read once for each filter.
fn capture(folder: &TempDir) -> Option<PathBuf> {
    let folders: Option<Vec<PathBuf>> = CAPTURES.iter().map(|file| captures::captures(file)).collect();
    let files: Vec<PathBuf> = folders?.iter().zip(CAPTURES).map(|(folder, file)| folder.join(file)).collect();
    let merged = folder.path().join("all.pcap");
    let names = files.iter().chain([&merged]).map(|file| file.to_str().unwrap());
    let (mut arguments, mut names) = (vec!["-F", "pcap"], names.collect::<Vec<_>>());
    arguments.extend(["-w", names.pop().unwrap()]);
    arguments.extend(names);
    printed("mergecap", &arguments)?;
    Some(merged)
}

/// What another program prints of a capture, or `None` if it is not installed.
fn printed(program: &str, arguments: &[&str]) -> Option<String> {
    let Ok(output) = process::Command::new(program).args(arguments).output() else {
        let _ = writeln!(std::io::stderr(), "SKIPPED: {program} is not installed");
        return None;
    };
    assert!(output.status.success(), "{program} {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    Some(String::from_utf8(output.stdout).unwrap())
}

fn flow(arguments: &[&str]) -> (String, String) {
    let output = Command::cargo_bin("flow").unwrap().args(arguments).output().unwrap();
    (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap())
}

/// The filter that is advised in place of another tool's.
fn advised(foreign: &str) -> String {
    let (_, said) = flow(&["filter", "check", "-f", foreign]);
    let written = said.split_once("= help: write `").unwrap_or_else(|| panic!("{foreign}: {said}")).1;
    let (filter, rest) = written.split_once('`').unwrap();
    assert!(rest.starts_with('\n'), "all of {foreign} is written here: {said}");
    filter.to_owned()
}

fn count(capture: &Path, filter: &str) -> usize {
    let capture = capture.to_str().unwrap();
    let (rows, said) = flow(&["count", "-r", capture, "-o", "csv", "--no-header", "-f", filter]);
    rows.split(',').next().and_then(|packets| packets.parse().ok()).unwrap_or_else(|| panic!("{filter}: {said}"))
}

#[test]
fn advice_for_libpcaps_filters_counts_what_tcpdump_counts() {
    let folder = tempfile::tempdir().unwrap();
    let Some(capture) = capture(&folder) else { return };
    let mut selected = 0;
    for foreign in OF_LIBPCAP {
        let ours = advised(foreign);
        let Some(lines) = printed("tcpdump", &["-nnr", capture.to_str().unwrap(), "--count", foreign]) else { return };
        let theirs: usize = lines.split(' ').next().unwrap().parse().unwrap();
        assert_eq!(count(&capture, &ours), theirs, "{foreign} as {ours}");
        selected += theirs;
    }
    assert!(selected > 1000, "{selected}");
}

#[test]
fn advice_for_wiresharks_filters_counts_what_tshark_counts() {
    let folder = tempfile::tempdir().unwrap();
    let Some(capture) = capture(&folder) else { return };
    let mut selected = 0;
    for foreign in OF_WIRESHARK {
        // Wireshark's fields are also those of the header that an ICMP error quotes.
        let (theirs, ours) = (format!("({foreign}) && !icmp"), format!("({}) and not icmp", advised(foreign)));
        // Fragments stay as they are, as here.
        let plain = ["-o", "ip.defragment:FALSE", "-n", "-T", "fields", "-e", "frame.number", "-Y", &theirs];
        let Some(lines) = printed("tshark", &[&["-r", capture.to_str().unwrap()][..], &plain].concat()) else { return };
        let theirs = lines.lines().count();
        assert_eq!(count(&capture, &ours), theirs, "{foreign} as {ours}");
        selected += theirs;
    }
    assert!(selected > 1000, "{selected}");
}
