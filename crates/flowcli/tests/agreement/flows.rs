//! Flows as argus and nfdump see them, and packets by Community ID.

use std::collections::{BTreeMap, BTreeSet};

use flowcore::{Addr, Protocol};

use crate::capture::{Capture, End, Pair};
use crate::community_id;
use crate::sheet::{At, Sheet, Statistic};
use crate::truth::Row;

/// The end of a row; the port only for protocols that have ports, since every tool has its own idea of the others'.
fn end(row: &Row, addr: &str, port: &str, protocol: u8) -> Option<End> {
    let addr: Addr = row.get(addr).parse().ok()?;
    let port = if Protocol(protocol).has_ports() { row.get(port).parse().unwrap_or(0) } else { 0 };
    Some((addr, port))
}

fn without_ports((addr, port): End, protocol: u8) -> End {
    (addr, if Protocol(protocol).has_ports() { port } else { 0 })
}

/// Packets and bytes by sender (0 the lower end), and how many records.
#[derive(Copy, Clone, Debug, Default)]
struct Sum {
    packets: [u64; 2],
    bytes: [u64; 2],
    records: u64,
}

fn ours(capture: &Capture, bytes: &str) -> BTreeMap<Pair, Sum> {
    let mut sums: BTreeMap<Pair, Sum> = BTreeMap::new();
    for conn in &capture.conns {
        let (src, dst) = (without_ports(conn.src, conn.protocol), without_ports(conn.dst, conn.protocol));
        let (pair, lower) = Pair::of(conn.protocol, src, dst);
        let sum = sums.entry(pair).or_default();
        for (index, (packets, bytes)) in conn.counts("packets").into_iter().zip(conn.counts(bytes)).enumerate() {
            sum.packets[index ^ lower] += packets;
            sum.bytes[index ^ lower] += bytes;
        }
        sum.records += 1;
    }
    sums
}

/// Compares with argus' bidirectional flows, rows of `argus.csv`.
pub fn argus(capture: &Capture, rows: &[Row], sheet: &mut Sheet) {
    let mut theirs: BTreeMap<Pair, Sum> = BTreeMap::new();
    for row in rows {
        let Some(protocol) = row.number("Proto").and_then(|protocol| u8::try_from(protocol).ok()) else { continue };
        let ends = end(row, "SrcAddr", "Sport", protocol).zip(end(row, "DstAddr", "Dport", protocol));
        let Some((src, dst)) = ends else { continue };
        let (pair, lower) = Pair::of(protocol, src, dst);
        let sum = theirs.entry(pair).or_default();
        for (index, (packets, bytes)) in [("SrcPkts", "SrcBytes"), ("DstPkts", "DstBytes")].into_iter().enumerate() {
            sum.packets[index ^ lower] += row.number(packets).unwrap_or(0);
            sum.bytes[index ^ lower] += row.number(bytes).unwrap_or(0);
        }
        sum.records += 1;
    }
    let ours = ours(capture, "wire_bytes");
    let pairs: BTreeSet<Pair> = ours.keys().chain(theirs.keys()).copied().collect();
    for pair in pairs {
        let subject = pair.to_string();
        let (our, their) = (ours.get(&pair), theirs.get(&pair));
        let at = At { statistic: Statistic::ArgusFlows, file: &capture.name, subject: &subject };
        four(at, our, their, sheet);
        // ICMP's exchanges are told apart by other things than types, so that only ports make comparable records.
        if Protocol(pair.protocol).has_ports() {
            let at = At { statistic: Statistic::ArgusSplits, ..at };
            sheet.compare(at, "records", our.map(|sum| sum.records), their.map(|sum| sum.records), || None);
        }
    }
}

fn four(at: At<'_>, our: Option<&Sum>, their: Option<&Sum>, sheet: &mut Sheet) {
    for (index, (packets, bytes)) in [
        ("packets of the lower end", "bytes of the lower end"),
        ("packets of the higher end", "bytes of the higher end"),
    ]
    .into_iter()
    .enumerate()
    {
        sheet.compare(at, packets, our.map(|sum| sum.packets[index]), their.map(|sum| sum.packets[index]), || None);
        sheet.compare(at, bytes, our.map(|sum| sum.bytes[index]), their.map(|sum| sum.bytes[index]), || None);
    }
}

/// Compares with nfdump's one-way flows, rows of `nfdump.csv`, the two ways of a 5-tuple together.
pub fn nfdump(capture: &Capture, rows: &[Row], sheet: &mut Sheet) {
    let mut theirs: BTreeMap<Pair, Sum> = BTreeMap::new();
    for row in rows {
        let Some(protocol) = row.number("proto").and_then(|protocol| u8::try_from(protocol).ok()) else { continue };
        let ends = end(row, "src", "sport", protocol).zip(end(row, "dst", "dport", protocol));
        let Some((src, dst)) = ends else { continue };
        let (pair, sender) = Pair::of(protocol, src, dst);
        let sum = theirs.entry(pair).or_default();
        sum.packets[sender] += row.number("packets").unwrap_or(0);
        sum.bytes[sender] += row.number("bytes").unwrap_or(0);
        sum.records += 1;
    }
    let ours = ours(capture, "l3_bytes");
    let pairs: BTreeSet<Pair> = ours.keys().chain(theirs.keys()).copied().collect();
    for pair in pairs {
        let subject = pair.to_string();
        let at = At { statistic: Statistic::NfdumpFlows, file: &capture.name, subject: &subject };
        four(at, ours.get(&pair), theirs.get(&pair), sheet);
    }
}

/// Compares packets by Community ID, rows of `communityid.tsv`.
pub fn community_ids(capture: &Capture, rows: &[Row], sheet: &mut Sheet) {
    let mut ours: BTreeMap<&str, u64> = BTreeMap::new();
    for conn in &capture.conns {
        *ours.entry(conn.text("community_id")).or_default() += conn.counts("packets").iter().sum::<u64>();
    }
    let theirs: BTreeMap<&str, u64> =
        rows.iter().map(|row| (row.get("community_id"), row.number("packets").unwrap_or(0))).collect();
    let ids: BTreeSet<&str> = ours.keys().chain(theirs.keys()).copied().collect();
    let mut by_tshark = None;
    for id in ids {
        let at = At { statistic: Statistic::CommunityIds, file: &capture.name, subject: id };
        sheet.compare(at, "packets", ours.get(id), theirs.get(id), || {
            let by_tshark = by_tshark.get_or_insert_with(|| community_id::table_of_tshark(capture));
            (by_tshark.get(id) == theirs.get(id)).then(|| {
                "tshark hashes packet by packet: ICMP errors by the packet they quote, later fragments without ports; \
                 ours counts them for their flow"
                    .to_owned()
            })
        });
    }
}

/// Compares with the flows that nDPI's own test suite expects, rows of `ndpi_flows.tsv`.
pub fn ndpi(capture: &Capture, rows: &[Row], sheet: &mut Sheet) {
    let mut theirs: BTreeMap<Pair, Sum> = BTreeMap::new();
    for row in rows {
        let protocol = match row.get("proto") {
            "TCP" => Protocol::TCP,
            "UDP" => Protocol::UDP,
            "ICMP" => Protocol::ICMP,
            "ICMPV6" => Protocol::ICMPV6,
            _ => continue,
        };
        let end = |text: &str| {
            let (addr, port) = text.rsplit_once(':')?;
            let addr: Addr = addr.trim_matches(['[', ']']).parse().ok()?;
            Some(without_ports((addr, port.parse().ok()?), protocol.0))
        };
        let Some((a, b)) = end(row.get("a")).zip(end(row.get("b"))) else { continue };
        let (pair, lower) = Pair::of(protocol.0, a, b);
        let sum = theirs.entry(pair).or_default();
        for (index, (packets, bytes)) in [("a_packets", "a_bytes"), ("b_packets", "b_bytes")].into_iter().enumerate() {
            sum.packets[index ^ lower] += row.number(packets).unwrap_or(0);
            sum.bytes[index ^ lower] += row.number(bytes).unwrap_or(0);
        }
    }
    // Their lists are not whole (flows without a protocol found are left out), so that only theirs are looked up.
    let ours = ours(capture, "wire_bytes");
    for (pair, their) in &theirs {
        let subject = pair.to_string();
        let at = At { statistic: Statistic::NdpiFlows, file: &capture.name, subject: &subject };
        four(at, ours.get(pair), Some(their), sheet);
    }
}

/// Compares with the sessions that Arkime's own test suite expects, rows of `arkime_sessions.tsv`.
pub fn arkime(capture: &Capture, rows: &[Row], sheet: &mut Sheet) {
    let by_pair = capture.conns_by_pair();
    let mut theirs: BTreeMap<Pair, Vec<&Row>> = BTreeMap::new();
    for row in rows {
        let Some(protocol) = row.number("ip_proto").and_then(|protocol| u8::try_from(protocol).ok()) else { continue };
        let ends = end(row, "src_ip", "src_port", protocol).zip(end(row, "dst_ip", "dst_port", protocol));
        let Some((src, dst)) = ends else { continue };
        theirs.entry(Pair::of(protocol, src, dst).0).or_default().push(row);
    }
    for (pair, rows) in theirs {
        let subject = pair.to_string();
        let at = At { statistic: Statistic::ArkimeSessions, file: &capture.name, subject: &subject };
        let conns: Vec<_> = by_pair
            .iter()
            .filter(|(key, _)| {
                let (low, high) = (without_ports(key.low, key.protocol), without_ports(key.high, key.protocol));
                Pair::of(key.protocol, low, high).0 == pair
            })
            .flat_map(|(_, conns)| conns)
            .collect();
        let ours = |what: &str, lower: bool| {
            (!conns.is_empty()).then(|| {
                let sent = conns.iter().map(|conn| conn.counts(what)[usize::from((conn.pair().1 == 0) != lower)]);
                sent.sum::<u64>()
            })
        };
        for (field, what, columns) in [
            ("packets", "packets", ["src_packets", "dst_packets"]),
            ("bytes", "wire_bytes", ["src_bytes", "dst_bytes"]),
            ("payload", "payload_bytes", ["client_payload", "server_payload"]),
        ] {
            let mut theirs = [0; 2];
            for row in &rows {
                let source = end(row, "src_ip", "src_port", pair.protocol);
                let turned = usize::from(source != Some(pair.low));
                theirs[turned] += row.number(columns[0]).unwrap_or(0);
                theirs[1 - turned] += row.number(columns[1]).unwrap_or(0);
            }
            let both = |values: [Option<u64>; 2]| Some(format!("{} + {}", values[0]?, values[1]?));
            let our = both([ours(what, true), ours(what, false)]);
            sheet.compare(at, field, our, both(theirs.map(Some)), || None);
        }
        let ids: BTreeSet<&str> = rows.iter().map(|row| row.get("community_id")).filter(|id| !id.is_empty()).collect();
        if let ([id], Some(conn)) = (&ids.iter().collect::<Vec<_>>()[..], conns.first()) {
            sheet.compare(at, "community id", Some(conn.text("community_id")), Some(**id), || None);
        }
    }
}
