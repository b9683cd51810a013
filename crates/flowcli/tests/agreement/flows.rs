//! Flows as argus and nfdump see them, and packets by Community ID.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use flowcore::{Addr, Protocol};

use crate::capture::{Capture, End, Pair};
use crate::community_id;
use crate::evidence::{self, Bytes, Evidence, Sum};
use crate::sheet::{At, Disagreement, Sheet, Statistic};
use crate::tcp::splits;
use crate::truth::Row;

/// The end of a row; the port only for protocols of which these tools know ports.
fn row_end(row: &Row, addr: &str, port: &str, protocol: u8) -> Option<End> {
    Some(evidence::end((row.get(addr).parse().ok()?, row.get(port).parse().unwrap_or(0)), protocol))
}

fn ours(capture: &Capture, bytes: &str) -> BTreeMap<Pair, Sum> {
    let mut sums: BTreeMap<Pair, Sum> = BTreeMap::new();
    for conn in &capture.conns {
        let (pair, lower) = evidence::pair(conn.protocol, conn.src, conn.dst);
        let sum = sums.entry(pair).or_default();
        for (index, (packets, bytes)) in conn.counts("packets").into_iter().zip(conn.counts(bytes)).enumerate() {
            sum.add(if pair.low == pair.high { 0 } else { index ^ lower }, packets, bytes);
        }
        sum.records += 1;
        sum.duplicates += conn.count("duplicate_packets");
    }
    sums
}

/// Compares with argus' bidirectional flows, rows of `argus.csv`.
pub fn argus(capture: &Capture, rows: &[Row], libpcap: usize, sheet: &mut Sheet) {
    let mut theirs: BTreeMap<Pair, Sum> = BTreeMap::new();
    for row in rows {
        let Some(protocol) = row.number("Proto").and_then(|protocol| u8::try_from(protocol).ok()) else { continue };
        let ends = row_end(row, "SrcAddr", "Sport", protocol).zip(row_end(row, "DstAddr", "Dport", protocol));
        let Some((src, dst)) = ends else { continue };
        let (pair, lower) = Pair::of(protocol, src, dst);
        let sum = theirs.entry(pair).or_default();
        for (index, (packets, bytes)) in [("SrcPkts", "SrcBytes"), ("DstPkts", "DstBytes")].into_iter().enumerate() {
            let sender = if pair.low == pair.high { 0 } else { index ^ lower };
            sum.add(sender, row.number(packets).unwrap_or(0), row.number(bytes).unwrap_or(0));
        }
        sum.records += 1;
    }
    let ours = ours(capture, "wire_bytes");
    let evidence = Evidence::of(capture, Bytes::Wire, libpcap);
    let conns = capture.conns_by_pair();
    let pairs: BTreeSet<Pair> = ours.keys().chain(theirs.keys()).copied().collect();
    for pair in pairs {
        let subject = pair.to_string();
        let (our, their) = (ours.get(&pair), theirs.get(&pair));
        let at = At { statistic: Statistic::ArgusFlows, file: &capture.name, subject: &subject };
        let cause = || evidence.cause("argus", pair, our, their);
        four(at, our, their, cause, sheet);
        // ICMP's exchanges are told apart by other things than types, so that only ports make comparable records.
        if let (true, Some(our), Some(their)) = (Protocol(pair.protocol).has_ports(), our, their) {
            let at = At { statistic: Statistic::ArgusSplits, ..at };
            sheet.compare(at, "records", Some(our.records), Some(their.records), || {
                // The same packets in both, only cut at other places.
                if our.packets != their.packets {
                    return None;
                }
                if our.records > their.records {
                    return splits(conns.get(&pair)?).map(|why| format!("{why}; argus keeps one record"));
                }
                Some("argus cuts the same packets into more records, by time-outs of its own".into())
            });
        }
    }
}

fn four(at: At<'_>, our: Option<&Sum>, their: Option<&Sum>, cause: impl Fn() -> Option<String>, sheet: &mut Sheet) {
    for (index, (packets, bytes)) in [
        ("packets of the lower end", "bytes of the lower end"),
        ("packets of the higher end", "bytes of the higher end"),
    ]
    .into_iter()
    .enumerate()
    {
        sheet.compare(at, packets, our.map(|sum| sum.packets[index]), their.map(|sum| sum.packets[index]), &cause);
        sheet.compare(at, bytes, our.map(|sum| sum.bytes[index]), their.map(|sum| sum.bytes[index]), &cause);
    }
}

/// Every address of the capture by the short form in which nfdump prints long ones; `None` if two share it.
fn short_forms(capture: &Capture) -> HashMap<String, Option<Addr>> {
    let mut forms: HashMap<String, Option<Addr>> = HashMap::new();
    let inner = capture.packets.iter().flat_map(|packet| [packet.event.key.src, packet.event.key.dst]);
    let layers = capture.packets.iter().filter_map(|packet| packet.layers.as_deref());
    let outer = layers.flat_map(|layers| layers.tunnels.as_slice().iter().flat_map(|tunnel| [tunnel.src, tunnel.dst]));
    for addr in inner.chain(outer) {
        let text = addr.to_string();
        if text.len() > 16 {
            let short = format!("{}..{}", &text[..7], &text[text.len() - 7..]);
            forms.entry(short).and_modify(|known| *known = known.filter(|known| *known == addr)).or_insert(Some(addr));
        }
    }
    forms
}

/// Compares with nfdump's one-way flows, rows of `nfdump.csv`, the two ways of a 5-tuple together.
pub fn nfdump(capture: &Capture, rows: &[Row], libpcap: usize, sheet: &mut Sheet) {
    let short = short_forms(capture);
    let mut theirs: BTreeMap<Pair, Sum> = BTreeMap::new();
    for row in rows {
        let Some(protocol) = row.number("proto").and_then(|protocol| u8::try_from(protocol).ok()) else { continue };
        if row.number("packets") == Some(0) {
            // What it writes of tunnels that it opens: a record without traffic.
            continue;
        }
        let end = |addr: &str, port: &str| {
            let addr = row.get(addr);
            let addr = addr.parse().ok().or_else(|| short.get(addr).copied().flatten())?;
            Some(evidence::end((addr, row.get(port).parse().unwrap_or(0)), protocol))
        };
        let Some((src, dst)) = end("src", "sport").zip(end("dst", "dport")) else {
            sheet.skipped.push(format!("{}: nfdump: {} {}", capture.name, row.get("src"), row.get("dst")));
            continue;
        };
        let (pair, sender) = Pair::of(protocol, src, dst);
        let sum = theirs.entry(pair).or_default();
        sum.packets[sender] += row.number("packets").unwrap_or(0);
        sum.bytes[sender] += row.number("bytes").unwrap_or(0);
        sum.records += 1;
    }
    let ours = ours(capture, "l3_bytes");
    let evidence = Evidence::of(capture, Bytes::Network, libpcap);
    let pairs: BTreeSet<Pair> = ours.keys().chain(theirs.keys()).copied().collect();
    for pair in pairs {
        let subject = pair.to_string();
        let at = At { statistic: Statistic::NfdumpFlows, file: &capture.name, subject: &subject };
        let (our, their) = (ours.get(&pair), theirs.get(&pair));
        four(at, our, their, || evidence.cause("nfdump", pair, our, their), sheet);
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
        let (our, their) = (ours.get(id).copied(), theirs.get(id).copied());
        let by_packet = || {
            let cells = || {
                let of_file = |one: &&Disagreement| {
                    one.statistic == Statistic::PacketFields && one.file == capture.name && one.field == "community id"
                };
                sheet.disagreements.iter().filter(of_file)
            };
            let gained = cells().filter(|one| one.theirs == id).count() as u64;
            let given = cells().filter(|one| one.ours == id).count() as u64;
            (gained + given > 0 && our.unwrap_or(0) + gained == their.unwrap_or(0) + given)
                .then(|| "the packets that hash otherwise are in packet fields, each with its cause".to_owned())
        };
        let cause = by_packet().or_else(|| {
            let by_tshark = by_tshark.get_or_insert_with(|| community_id::table_of_tshark(capture));
            let known = || capture.packets.iter().any(|packet| community_id::of(&packet.event.key) == id);
            (by_tshark.get(id).copied() == their && (their.is_some() || known())).then(|| {
                "tshark hashes packet by packet: ICMP errors by the packet they quote, what has no readable transport header without \
                 ports;                  ours counts them for their flow"
                    .to_owned()
            })
        });
        sheet.compare(at, "packets", our, their, || cause);
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
            Some(evidence::end((addr, port.parse().ok()?), protocol.0))
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
        four(at, ours.get(pair), Some(their), || None, sheet);
    }
}

/// Compares with the sessions that Arkime's own test suite expects, rows of `arkime_sessions.tsv`.
pub fn arkime(capture: &Capture, rows: &[Row], sheet: &mut Sheet) {
    let by_pair = capture.conns_by_pair();
    let mut theirs: BTreeMap<Pair, Vec<&Row>> = BTreeMap::new();
    for row in rows {
        let Some(protocol) = row.number("ip_proto").and_then(|protocol| u8::try_from(protocol).ok()) else { continue };
        let ends = row_end(row, "src_ip", "src_port", protocol).zip(row_end(row, "dst_ip", "dst_port", protocol));
        let Some((src, dst)) = ends else { continue };
        theirs.entry(Pair::of(protocol, src, dst).0).or_default().push(row);
    }
    for (pair, rows) in theirs {
        let subject = pair.to_string();
        let at = At { statistic: Statistic::ArkimeSessions, file: &capture.name, subject: &subject };
        let conns: Vec<_> = by_pair
            .iter()
            .filter(|(key, _)| evidence::pair(key.protocol, key.low, key.high).0 == pair)
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
                let source = row_end(row, "src_ip", "src_port", pair.protocol);
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
