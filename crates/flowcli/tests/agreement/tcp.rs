//! TCP streams as tshark splits them, with their handshake times and completeness.

use std::collections::{BTreeMap, BTreeSet};

use flowcore::event::Detail;
use flowcore::{Addr, Protocol, TcpFlags, Timestamp};

use crate::capture::{Capture, Conn, Packet, Pair};
use crate::sheet::{At, NOTHING, Sheet, Statistic};
use crate::truth::Row;

/// Compares the streams of one capture, rows of `tcp_streams.tsv`.
pub fn compare(capture: &Capture, rows: &[Row], sheet: &mut Sheet) {
    let mut theirs: BTreeMap<Pair, Vec<&Row>> = BTreeMap::new();
    for row in rows {
        let end = |ip: &str, port: &str| Some((row.get(ip).parse::<Addr>().ok()?, row.number(port)? as u16));
        let (Some(client), Some(server)) = (end("client_ip", "client_port"), end("server_ip", "server_port")) else {
            sheet.skipped.push(format!("{}: stream {} has no addresses", capture.name, row.get("stream")));
            continue;
        };
        theirs.entry(Pair::of(Protocol::TCP.0, client, server).0).or_default().push(row);
    }
    let mut ours = capture.conns_by_pair();
    ours.retain(|pair, _| pair.protocol == Protocol::TCP.0);
    let pairs: BTreeSet<Pair> = ours.keys().chain(theirs.keys()).copied().collect();
    for pair in pairs {
        let (our, their) = (ours.remove(&pair).unwrap_or_default(), theirs.remove(&pair).unwrap_or_default());
        let subject = pair.to_string();
        let at = At { statistic: Statistic::TcpSplits, file: &capture.name, subject: &subject };
        sheet.compare(at, "connections", Some(our.len()), Some(their.len()), || None);
        for row in &their {
            let begins = |conn: &&&Conn| conn.number("start_ns").map(seconds).as_deref() == Some(row.get("first_ts"));
            let found = our.iter().find(begins).or(if our.len() == 1 && their.len() == 1 { our.first() } else { None });
            stream(capture, pair, found.copied(), row, sheet);
        }
    }
}

/// Nanoseconds since the epoch as tshark prints times.
fn seconds(nanos: i64) -> String {
    Timestamp::from_nanos(nanos).to_string()
}

fn stream(capture: &Capture, pair: Pair, conn: Option<&Conn>, row: &Row, sheet: &mut Sheet) {
    let subject = format!("stream {} ({pair})", row.get("stream"));
    let at = |statistic| At { statistic, file: &capture.name, subject: &subject };
    let client: Option<(Addr, u16)> =
        row.get("client_ip").parse().ok().zip(row.number("client_port").map(|port| port as u16));
    let streams = at(Statistic::TcpStreams);
    let end = |(addr, port): (Addr, u16)| format!("{addr} {port}");
    sheet.compare(streams, "client", conn.map(|conn| end(conn.src)), client.map(end), || None);
    let time = |column| conn.and_then(|conn| conn.number(column)).map(seconds);
    sheet.compare(streams, "first time", time("start_ns"), Some(row.get("first_ts")), || None);
    sheet.compare(streams, "last time", time("end_ns"), Some(row.get("last_ts")), || None);
    let bytes = conn.map(|conn| conn.counts("wire_bytes").iter().sum::<u64>());
    sheet.compare(streams, "bytes", bytes, row.number("bytes"), || None);
    // Each way by who sent it, so that a different idea of who is the client is one disagreement and not five.
    let turned = conn.is_some_and(|conn| Some(conn.src) != client);
    let way = |what: &str, index: usize| conn.map(|conn| conn.counts(what)[index ^ usize::from(turned)]);
    sheet.compare(streams, "packets of the client", way("packets", 0), row.number("c2s_packets"), || None);
    sheet.compare(streams, "packets of the server", way("packets", 1), row.number("s2c_packets"), || None);
    sheet.compare(streams, "payload of the client", way("payload_bytes", 0), row.number("c2s_payload"), || None);
    sheet.compare(streams, "payload of the server", way("payload_bytes", 1), row.number("s2c_payload"), || None);

    let ours = conn.and_then(|conn| conn.number("handshake_ns"));
    let theirs = nanos(row.get("initial_rtt"));
    if ours.is_some() || theirs.is_some() {
        let equal = ours.zip(theirs).is_some_and(|(ours, theirs)| (ours - theirs).abs() <= 1000);
        let text = |value: Option<i64>| value.map_or_else(|| NOTHING.to_owned(), |value| format!("{value} ns"));
        sheet.judge(at(Statistic::Handshakes), "handshake", equal, text(ours), text(theirs), || None);
    }
    let ours = conn.and_then(|conn| conn.number("completeness"));
    // The truth has the value that tshark printed on the stream's last packet: the state before that packet. Where the
    // packets show this, the value after it is the one to compare with.
    let packets = segments(capture, pair, row);
    let printed = row.number("completeness");
    let before = packets.split_last().map(|(_, before)| completeness_of_tshark(before));
    let reused = packets.len() == 1 && printed == Some(1);
    let theirs = if before == printed || reused { Some(completeness_of_tshark(&packets)) } else { printed };
    sheet.compare(at(Statistic::Completeness), "completeness", ours, theirs, || {
        (before == printed && ours == Some(completeness(&packets) as i64)).then(|| UNCOUNTED.to_owned())
    });
}

const UNCOUNTED: &str = "tshark does not count a stream's first packet unless it is a SYN, a SYN behind another packet, \
     nor the ACK of a segment with payload; ours counts every segment";

/// The segments of a stream, in the file's order.
fn segments<'a>(capture: &'a Capture, pair: Pair, row: &Row) -> Vec<&'a Packet> {
    let (first, last) = (nanos(row.get("first_ts")).unwrap_or(i64::MIN), nanos(row.get("last_ts")).unwrap_or(i64::MAX));
    let of_stream = |packet: &&Packet| {
        let key = packet.event.key;
        matches!(packet.event.detail, Detail::Tcp(_))
            && Pair::of(key.protocol.0, (key.src, key.src_port), (key.dst, key.dst_port)).0 == pair
            && (first..=last).contains(&packet.event.time.as_nanos())
    };
    capture.packets.iter().filter(of_stream).collect()
}

/// The bits of all segments.
fn completeness(packets: &[&Packet]) -> u64 {
    packets.iter().fold(0, |bits, packet| {
        let Detail::Tcp(tcp) = packet.event.detail else { return bits };
        let flags = tcp.flags;
        let data = if packet.event.payload_bytes > 0 { 8 } else { 0 };
        let opening = match (flags.contains(TcpFlags::SYN), flags.contains(TcpFlags::ACK)) {
            (true, false) => 1,
            (true, true) => 2,
            (false, true) => 4,
            (false, false) => 0,
        };
        let closing = u64::from(flags.contains(TcpFlags::FIN)) << 4 | u64::from(flags.contains(TcpFlags::RST)) << 5;
        bits | data | opening | closing
    })
}

/// The bits as tshark 4.0 counts them, learnt from what it prints on 49,000 packets.
fn completeness_of_tshark(packets: &[&Packet]) -> u64 {
    let mut bits = 0;
    for (index, packet) in packets.iter().enumerate() {
        let Detail::Tcp(tcp) = packet.event.detail else { continue };
        let (data, flags) = (packet.event.payload_bytes > 0, tcp.flags);
        let (syn, ack) = (flags.contains(TcpFlags::SYN), flags.contains(TcpFlags::ACK));
        bits |= match (index, syn, ack) {
            (0, true, false) if data => 1 | 8,
            (0, true, false) => 1,
            (0, ..) | (_, true, false) => continue,
            (_, true, true) => 2,
            _ if data => 8,
            (_, false, true) => 4,
            _ => 0,
        };
        bits |= u64::from(flags.contains(TcpFlags::FIN) && ack && !syn) << 4;
        bits |= u64::from(flags.contains(TcpFlags::RST) && !syn) << 5;
    }
    bits
}

/// Seconds with nine decimals as nanoseconds.
pub fn nanos(text: &str) -> Option<i64> {
    let (whole, fraction) = text.split_once('.')?;
    let fraction = format!("{fraction:0<9}");
    whole.parse::<i64>().ok()?.checked_mul(1_000_000_000)?.checked_add(fraction.get(..9)?.parse().ok()?)
}
