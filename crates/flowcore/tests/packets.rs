//! Every packet of the public captures, field by field, against what tshark 4.0 says of it.
//!
//! tshark lists a field once per header, outermost first, and goes on into the packet that an ICMP error quotes and
//! into the headers that an sFlow sample carries. The layers it names tell which value belongs to the innermost
//! headers before those. A cell that differs must have its cause in [`CAUSES`].
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a test says what it expects and what it skips")]

mod support;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use flowcore::community_id::community_id;
use flowcore::wire::{self, DecodeOptions, Layers};
use flowcore::{Detail, FlowEvent, FlowKey, Layer, Notes, Protocol};

/// A known difference: files that begin with `file`, the fields, the packets (empty: all), and why.
struct Cause {
    file: &'static str,
    fields: &'static [&'static str],
    packets: &'static [u32],
    why: &'static str,
}

/// tshark's dissector gave up on the cut or broken transport header, so its id has no ports; here those read count.
const UNREAD_PORTS: &str = "tshark hashes no ports where its dissector gave up behind them";
/// Here the flow table gives a later fragment the id of the flow that it joins it to; alone it has ports 0.
const LATER_FRAGMENT: &str = "tshark hashes a later fragment without ports; here it has its flow's id";
/// An sFlow datagram carries headers as payload, not as a tunnel: here they are no headers of the frame.
const SAMPLED: &str = "tshark takes a sampled header inside sFlow for the frame's own";

const CAUSES: &[Cause] = &[
    Cause {
        file: "encap/QinQ_802.1_AD.pcapng",
        fields: &["vlan.id"],
        packets: &[1],
        why: "tshark has the 802.1ad tag in ieee8021ad.id, not in vlan.id",
    },
    Cause {
        file: "encap/Teredo.pcap",
        fields: &["communityid"],
        packets: &[31],
        why: "inner IPv6 without a next header: tshark mixes the inner addresses with the outer UDP ports",
    },
    Cause {
        file: "ip/AH-IPcomp-IPv6.pcap",
        fields: &[
            "ipv6.src",
            "ipv6.dst",
            "ipv6.nxt",
            "tcp.srcport",
            "tcp.dstport",
            "tcp.flags",
            "tcp.seq_raw",
            "tcp.ack_raw",
            "tcp.len",
            "tcp.window_size_value",
            "communityid",
        ],
        packets: &[3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15],
        why: "tshark inflates the IPComp payload; here the flow is that of the IPComp packet",
    },
    Cause {
        file: "ip/bigtcp-ipv6.pcap",
        fields: &[
            "tcp.srcport",
            "tcp.dstport",
            "tcp.flags",
            "tcp.seq_raw",
            "tcp.ack_raw",
            "tcp.len",
            "tcp.window_size_value",
        ],
        packets: &[1],
        why: "tshark 4.0 does not know BIG TCP and takes IPv6 payload length 0 for an empty packet",
    },
    Cause {
        file: "ip/ipv4-options.pcap",
        fields: &["ip.dst", "communityid"],
        packets: &[6, 7],
        why: "tshark shows the last address of a source route as destination, here the header's counts",
    },
    Cause { file: "malformed/icmp-header-trunc.pcap", fields: &["communityid"], packets: &[1, 2], why: UNREAD_PORTS },
    Cause {
        file: "malformed/udp-length-heapoverflow.pcap",
        fields: &["communityid"],
        packets: &[1],
        why: UNREAD_PORTS,
    },
    Cause { file: "", fields: &["communityid of a later fragment"], packets: &[], why: LATER_FRAGMENT },
    Cause { file: "malformed/decode-too-small.pcap", fields: &["communityid"], packets: &[1, 2, 3], why: UNREAD_PORTS },
    Cause {
        file: "malformed/ipv4-truncated-broken-header.pcap",
        fields: &["ip.src", "ip.dst", "ip.proto"],
        packets: &[1],
        why: "tshark shows nothing of an IPv4 header whose options are missing; here its first 20 bytes count",
    },
    Cause {
        file: "malformed/ipv6_39_byte_header.pcap",
        fields: &["ipv6.src", "ipv6.nxt"],
        packets: &[1],
        why: "39 of 40 bytes: tshark shows the fields before the missing byte, here there is no key without both ends",
    },
    Cause {
        file: "malformed/ipv6_invalid_length.pcap",
        fields: &["ipv6.src", "ipv6.nxt"],
        packets: &[1],
        why: "39 of 40 bytes: tshark shows the fields before the missing byte, here there is no key without both ends",
    },
    Cause {
        file: "malformed/ipv6-next-header-oobr-1.pcap",
        fields: &["communityid"],
        packets: &[1],
        why: "tshark hashes protocol 112, which no header here names; here that of the routing header that is cut",
    },
    Cause {
        file: "malformed/radiotap-heapoverflow.pcap",
        fields: &["wlan.fc.tods", "wlan.fc.fromds"],
        packets: &[1],
        why: "the frame ends before the 802.11 header: no bits to show",
    },
    Cause { file: "sflow/", fields: &["communityid", "vlan.id"], packets: &[], why: SAMPLED },
];

/// One packet as tshark sees it.
struct Row<'a> {
    cells: Vec<&'a str>,
    columns: &'a BTreeMap<&'a str, usize>,
    /// Layers up to and including the innermost transport.
    outer: Vec<&'a str>,
    /// Layers behind an ICMP error's header.
    quoted: Vec<&'a str>,
}

impl<'a> Row<'a> {
    fn new(line: &'a str, columns: &'a BTreeMap<&'a str, usize>) -> Self {
        let cells: Vec<&str> = line.split('\t').collect();
        let all: Vec<&str> = cells[columns["frame.protocols"]].split(':').collect();
        let end = all.iter().position(|layer| matches!(*layer, "icmp" | "icmpv6" | "sflow" | "cflow"));
        let (outer, quoted) = match end {
            Some(end) => (all[..=end].to_vec(), all[end + 1..].to_vec()),
            None => (all, Vec::new()),
        };
        Self { cells, columns, outer, quoted }
    }

    fn cell(&self, field: &str) -> &'a str {
        self.cells.get(self.columns[field]).copied().unwrap_or("")
    }

    fn count(layers: &[&str], layer: &str) -> usize {
        layers.iter().filter(|found| **found == layer).count()
    }

    /// The value of `field` in the `n`-th header (from one) of its kind.
    fn nth(&self, field: &str, n: usize) -> &'a str {
        n.checked_sub(1).and_then(|at| self.cell(field).split(',').nth(at)).unwrap_or("")
    }

    /// The value in the last header `layer` before anything quoted.
    fn last(&self, field: &str, layer: &str) -> &'a str {
        self.nth(field, Self::count(&self.outer, layer))
    }

    /// Position of the innermost IP header in `outer`.
    fn innermost(&self) -> Option<usize> {
        self.outer.iter().rposition(|layer| matches!(*layer, "ip" | "ipv6"))
    }
}

#[derive(Default)]
struct Tally {
    /// Per field: cells compared, cells equal.
    fields: BTreeMap<&'static str, (u64, u64)>,
    /// File, packet, field, tshark's value, ours.
    differences: Vec<(String, u32, &'static str, String, String)>,
}

impl Tally {
    fn compare(&mut self, file: &str, packet: u32, field: &'static str, theirs: impl ToString, ours: impl ToString) {
        let (theirs, ours) = (theirs.to_string(), ours.to_string());
        let counts = self.fields.entry(field).or_default();
        counts.0 += 1;
        if theirs == ours {
            counts.1 += 1;
        } else {
            self.differences.push((file.to_owned(), packet, field, theirs, ours));
        }
    }
}

/// Canonical text of a number that tshark may print in hexadecimal; other text as it is.
fn number(text: &str) -> String {
    match text.strip_prefix("0x").map(|digits| u64::from_str_radix(digits, 16)) {
        Some(Ok(value)) => value.to_string(),
        _ => text.to_owned(),
    }
}

fn compare(tally: &mut Tally, file: &str, packet: u32, row: &Row<'_>, event: &FlowEvent, layers: &Layers) {
    let mut cell = |field, theirs: String, ours: String| tally.compare(file, packet, field, theirs, ours);
    let vlans: Vec<String> = layers.vlans.as_slice().iter().map(u16::to_string).collect();
    cell("vlan.id", row.cell("vlan.id").to_owned(), vlans.join(","));
    let bit = |set: bool| if set { "1" } else { "0" }.to_owned();
    if row.outer.contains(&"wlan") {
        cell("wlan.fc.tods", row.nth("wlan.fc.tods", 1).to_owned(), bit(event.notes.contains(Notes::TO_DS)));
        cell("wlan.fc.fromds", row.nth("wlan.fc.fromds", 1).to_owned(), bit(event.notes.contains(Notes::FROM_DS)));
    }
    let key = event.key;
    let addr = |addr: flowcore::Addr| if key.is_some() { addr.to_string() } else { String::new() };
    let protocol = if key.is_some() { key.protocol.0.to_string() } else { String::new() };
    let Some(at) = row.innermost() else {
        cell("flow", "none".to_owned(), if key.is_some() { format!("{key:?}") } else { "none".to_owned() });
        // tshark has the ethertype behind a tag in fields of its own.
        let tagged = row.outer.iter().any(|layer| matches!(*layer, "vlan" | "ieee8021ah" | "ieee8021ad"));
        if !row.cell("eth.type").is_empty() && !tagged {
            let last = row.cell("eth.type").rsplit(',').next().unwrap_or("");
            cell("eth.type", number(last), event.ethertype.to_string());
        }
        return;
    };
    let above = &row.outer[at + 1..];
    if row.outer[at] == "ip" {
        cell("ip.src", row.last("ip.src", "ip").to_owned(), addr(key.src));
        cell("ip.dst", row.last("ip.dst", "ip").to_owned(), addr(key.dst));
        if !above.contains(&"ah") {
            cell("ip.proto", row.last("ip.proto", "ip").to_owned(), protocol.clone());
        }
        let offset = row.last("ip.frag_offset", "ip");
        // The notes speak of the whole frame, so an outer fragment counts too.
        let single = Row::count(&row.outer, "ip") == 1;
        if single && !offset.is_empty() {
            cell("ip.frag_offset", bit(offset != "0"), bit(event.notes.contains(Notes::LATER_FRAGMENT)));
            let fragment = row.last("ip.flags.mf", "ip") == "1" || offset != "0";
            cell("ip.flags.mf", bit(fragment), bit(event.notes.contains(Notes::FRAGMENT)));
        }
    } else {
        cell("ipv6.src", row.last("ipv6.src", "ipv6").to_owned(), addr(key.src));
        cell("ipv6.dst", row.last("ipv6.dst", "ipv6").to_owned(), addr(key.dst));
        if above.iter().any(|layer| layer.starts_with("ipv6.") || *layer == "ah") {
            let named = above.iter().find_map(|layer| match *layer {
                "tcp" => Some(Protocol::TCP),
                "udp" => Some(Protocol::UDP),
                "icmpv6" => Some(Protocol::ICMPV6),
                _ => None,
            });
            if let Some(named) = named {
                cell("ipv6.nxt", named.0.to_string(), protocol.clone());
            }
        } else {
            cell("ipv6.nxt", row.last("ipv6.nxt", "ipv6").to_owned(), protocol.clone());
        }
    }
    let transport = above.iter().find(|layer| matches!(**layer, "tcp" | "udp" | "sctp" | "icmp" | "icmpv6"));
    let no_ports = event.stopped != Layer::None && key.src_port == 0 && key.dst_port == 0;
    let shown = |wanted: Protocol, value: u16| match key.protocol {
        protocol if protocol == wanted && !no_ports => value.to_string(),
        _ => String::new(),
    };
    for (layer, protocol, src, dst) in [
        ("tcp", Protocol::TCP, "tcp.srcport", "tcp.dstport"),
        ("udp", Protocol::UDP, "udp.srcport", "udp.dstport"),
        ("sctp", Protocol::SCTP, "sctp.srcport", "sctp.dstport"),
    ] {
        if transport == Some(&layer) {
            cell(src, row.last(src, layer).to_owned(), shown(protocol, key.src_port));
            cell(dst, row.last(dst, layer).to_owned(), shown(protocol, key.dst_port));
        } else if transport.is_none() && key.protocol == protocol {
            // tshark shows no header of this transport: neither may we have read ports.
            cell(src, String::new(), if key.src_port == 0 { String::new() } else { key.src_port.to_string() });
            cell(dst, String::new(), if key.dst_port == 0 { String::new() } else { key.dst_port.to_string() });
        }
    }
    if transport == Some(&"tcp") {
        let segment = match event.detail {
            Detail::Tcp(segment) => Some(segment),
            _ => None,
        };
        let ours = |value: Option<u32>| value.map_or(String::new(), |value| value.to_string());
        for (field, value) in [
            ("tcp.flags", segment.map(|segment| u32::from(segment.flags.bits()))),
            ("tcp.seq_raw", segment.map(|segment| segment.seq)),
            ("tcp.ack_raw", segment.map(|segment| segment.ack)),
            ("tcp.window_size_value", segment.map(|segment| u32::from(segment.window))),
            ("tcp.len", segment.map(|_| event.payload_bytes)),
        ] {
            cell(field, number(row.last(field, "tcp")), ours(value));
        }
    }
    for (layer, field) in [("icmp", "icmp.type"), ("icmpv6", "icmpv6.type")] {
        if transport == Some(&layer) {
            let ours = match event.detail {
                Detail::Icmp(header) => header.kind.to_string(),
                _ => String::new(),
            };
            cell(field, row.nth(field, 1).to_owned(), ours);
        }
    }
    if matches!(transport, Some(&("icmp" | "icmpv6"))) {
        quoted(&mut cell, row, layers.quoted);
    }
    let ids = row.cell("communityid");
    if !ids.is_empty() {
        let later = event.notes.contains(Notes::LATER_FRAGMENT);
        let field = if later { "communityid of a later fragment" } else { "communityid" };
        cell(field, ids.rsplit(',').next().unwrap_or("").to_owned(), community_id(&key, 0));
    }
}

fn quoted(cell: &mut impl FnMut(&'static str, String, String), row: &Row<'_>, ours: Option<FlowKey>) {
    let Some(at) = row.quoted.iter().position(|layer| matches!(*layer, "ip" | "ipv6")) else {
        cell("quoted", String::new(), ours.map_or(String::new(), |key| format!("{key:?}")));
        return;
    };
    let before = |layer: &str| Row::count(&row.outer, layer) + 1;
    let (src, dst) = if row.quoted[at] == "ip" {
        (row.nth("ip.src", before("ip")), row.nth("ip.dst", before("ip")))
    } else {
        (row.nth("ipv6.src", before("ipv6")), row.nth("ipv6.dst", before("ipv6")))
    };
    let ports = row.quoted.get(at + 1).and_then(|layer| match *layer {
        "tcp" => Some((row.nth("tcp.srcport", before("tcp")), row.nth("tcp.dstport", before("tcp")))),
        "udp" => Some((row.nth("udp.srcport", before("udp")), row.nth("udp.dstport", before("udp")))),
        _ => None,
    });
    let theirs = match ports {
        Some((src_port, dst_port)) => format!("{src}:{src_port} > {dst}:{dst_port}"),
        None => format!("{src} > {dst}"),
    };
    let ours = ours.map_or(String::new(), |key| match ports {
        Some(_) => format!("{}:{} > {}:{}", key.src, key.src_port, key.dst, key.dst_port),
        None => format!("{} > {}", key.src, key.dst),
    });
    cell("quoted", theirs, ours);
}

/// All files below `dir` that end in `.tsv`, in order.
fn tables(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir).expect("a folder of truths") {
        let path = entry.expect("a name").path();
        if path.is_dir() {
            found.extend(tables(&path));
        } else if path.extension().is_some_and(|extension| extension == "tsv") {
            found.push(path);
        }
    }
    found.sort();
    found
}

#[test]
fn every_field_of_every_packet_agrees_with_tshark_or_has_a_cause() {
    let Some(root) = support::captures() else { return };
    let truth = root.join("truth/packets");
    let mut tally = Tally::default();
    let (mut files, mut packets) = (0, 0);
    for table in tables(&truth) {
        let file = table.strip_prefix(&truth).unwrap().with_extension("");
        let file = file.to_str().unwrap();
        let records = support::records(&std::fs::read(root.join(file)).unwrap());
        if records.is_empty() {
            println!("not a capture this test walks: {file}");
            continue;
        }
        files += 1;
        let text = String::from_utf8_lossy(&std::fs::read(&table).unwrap()).into_owned();
        let mut lines = text.lines();
        let columns = lines.next().unwrap().split('\t').enumerate().map(|(at, name)| (name, at)).collect();
        for line in lines {
            let row = Row::new(line, &columns);
            let packet: u32 = row.cell("frame.number").parse().unwrap();
            let Some(record) = records.get(packet as usize - 1) else {
                tally.compare(file, packet, "record", "there", "missing");
                continue;
            };
            let Some(link) = record.link else { continue };
            packets += 1;
            tally.compare(file, packet, "frame.len", row.cell("frame.len"), record.wire_len);
            let (mut event, mut layers) = (FlowEvent::default(), Layers::default());
            let wrote =
                wire::decode(link, &record.frame, record.wire_len, DecodeOptions::default(), &mut event, &mut layers);
            assert_eq!(wrote, layers != Layers::default(), "{file}:{packet}: the return value tells of layers");
            compare(&mut tally, file, packet, &row, &event, &layers);
        }
    }

    println!("{packets} packets of {files} files");
    for (field, (cells, equal)) in &tally.fields {
        println!("{field:31} {equal:6} of {cells:6} {:8.3} %", 100.0 * *equal as f64 / *cells as f64);
    }
    let mut used = vec![0; CAUSES.len()];
    let mut unexplained = 0;
    for (file, packet, field, theirs, ours) in &tally.differences {
        let cause = CAUSES.iter().position(|cause| {
            file.starts_with(cause.file)
                && cause.fields.contains(field)
                && (cause.packets.is_empty() || cause.packets.contains(packet))
        });
        let why = match cause {
            Some(at) => {
                used[at] += 1;
                CAUSES[at].why
            }
            None => {
                unexplained += 1;
                "UNEXPLAINED"
            }
        };
        println!("{file}:{packet} {field}: tshark {theirs:?}, here {ours:?}: {why}");
    }
    assert_eq!(unexplained, 0, "cells without a cause, listed above");
    for (cause, used) in CAUSES.iter().zip(used) {
        assert!(used > 0, "{}: no longer differs in {:?}; remove the cause", cause.file, cause.fields);
    }
}
