//! TCP streams as tshark splits them, with their handshake times and completeness.

use std::collections::{BTreeMap, BTreeSet};

use flowcore::{Addr, Protocol, Timestamp};

use crate::capture::{Capture, Conn, Pair};
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
    sheet.compare(at(Statistic::Completeness), "completeness", ours, row.number("completeness"), || None);
}

/// Seconds with nine decimals as nanoseconds.
pub fn nanos(text: &str) -> Option<i64> {
    let (whole, fraction) = text.split_once('.')?;
    let fraction = format!("{fraction:0<9}");
    Some(whole.parse::<i64>().ok()? * 1_000_000_000 + fraction.get(..9)?.parse::<i64>().ok()?)
}
