//! Connection states, histories and counts against the logs that Zeek's own test suite keeps.
//!
//! Our side is `flow conns -o zeek`: payload by sequence numbers, durations up to the close, as Zeek means them.

use std::collections::BTreeMap;
use std::path::Path;

use flowcore::{Addr, Protocol};

use crate::capture::{Capture, End, Pair, zeek_log};
use crate::checksum;
use crate::sheet::{At, NOTHING, Sheet, Statistic};
use crate::tcp::nanos;
use crate::truth::{Row, ZeekLog, files_below};

/// The counts that rows of one 5-tuple can be summed over.
const COUNTS: [(&str, &str); 6] = [
    ("payload bytes of the originator", "orig_bytes"),
    ("payload bytes of the responder", "resp_bytes"),
    ("packets of the originator", "orig_pkts"),
    ("packets of the responder", "resp_pkts"),
    ("IP bytes of the originator", "orig_ip_bytes"),
    ("IP bytes of the responder", "resp_ip_bytes"),
];

/// Compares all logs of one capture: `<capture>.conn.log`, `<capture>.2.conn.log`, …
pub fn compare(capture: &Capture, captures: &Path, sheet: &mut Sheet) {
    let folder = captures.join("truth").join("upstream").join("zeek_conn");
    let mut ours = None;
    for file in files_below(&folder) {
        let name = file.to_string_lossy();
        let Some(rest) = name.strip_prefix(&*capture.name) else { continue };
        let Some(number) = rest.strip_suffix("conn.log").map(|rest| rest.trim_matches('.')) else { continue };
        let Some(log) = ZeekLog::read(&folder.join(&file)) else { continue };
        let number = if number.is_empty() { "1" } else { number };
        let ours = ours.get_or_insert_with(|| ZeekLog::parse(&zeek_log(&captures.join(&capture.name))));
        Comparison { capture, log: &log, number, ours }.run(sheet);
    }
}

/// One log of Zeek's beside ours.
struct Comparison<'a> {
    capture: &'a Capture,
    log: &'a ZeekLog,
    number: &'a str,
    ours: &'a ZeekLog,
}

impl Comparison<'_> {
    fn run(&self, sheet: &mut Sheet) {
        let mut ours = by_pair(self.ours);
        let mut all: Vec<&Row> = self.ours.table.rows.iter().filter(|row| row.get("proto") == "tcp").collect();
        for row in self.log.table.rows.iter().filter(|row| !row.has("id.orig_h")) {
            // Columns were cut down to the outcome: first a connection that agrees, then any.
            let same = |conn: &&Row| conn.get("history") == row.get("history");
            let found = all.iter().position(same).or(if all.is_empty() { None } else { Some(0) });
            let conn = found.map(|at| all.remove(at));
            self.cells(conn, row, (&[], &[]), sheet);
        }
        for (pair, rows) in by_pair(self.log) {
            let mine = ours.remove(&pair).unwrap_or_default();
            let mut left = mine.clone();
            // Several connections of one 5-tuple: times are masked in the logs, so first those that agree.
            let mut rest = Vec::new();
            for row in &rows {
                let same = |conn: &&Row| {
                    ["history", "conn_state", "orig_pkts", "resp_pkts"]
                        .iter()
                        .all(|name| conn.get(name) == row.get(name))
                };
                match left.iter().position(same) {
                    Some(found) => self.cells(Some(left.remove(found)), row, (&mine, &rows), sheet),
                    None => rest.push(*row),
                }
            }
            for row in rest {
                let conn = (!left.is_empty()).then(|| left.remove(0));
                self.cells(conn, row, (&mine, &rows), sheet);
            }
        }
    }

    fn cells(&self, conn: Option<&Row>, row: &Row, tuple: (&[&Row], &[&Row]), sheet: &mut Sheet) {
        let subject = match ends(row) {
            Some((orig, resp, _)) => {
                format!("log {}: {} {} {} > {} {}", self.number, row.get("proto"), orig.0, orig.1, resp.0, resp.1)
            }
            None => format!("log {}: {}", self.number, row.get("uid")),
        };
        let cause = || self.cause(conn, row, tuple);
        let states = At { statistic: Statistic::ZeekStates, file: &self.capture.name, subject: &subject };
        let counts = At { statistic: Statistic::ZeekCounts, ..states };
        if let Some((orig, ..)) = ends(row) {
            let end = |(addr, port): End| format!("{addr} {port}");
            sheet.compare(states, "originator", conn.and_then(ends).map(|ends| end(ends.0)), Some(end(orig)), cause);
        }
        for column in ["conn_state", "history"] {
            if row.has(column) {
                sheet.compare(
                    states,
                    column_name(column),
                    conn.map(|conn| conn.get(column)),
                    Some(row.get(column)),
                    cause,
                );
            }
        }
        if row.has("duration") {
            // Zeek prints doubles: the last digit is rounded.
            let span = |row: &Row| if row.get("duration") == "-" { Some(0) } else { nanos(row.get("duration")) };
            let (ours, theirs) = (conn.and_then(span), span(row));
            let equal = ours.zip(theirs).is_some_and(|(ours, theirs)| (ours - theirs).abs() <= 1_000);
            let print = |value: Option<i64>| value.map_or_else(|| NOTHING.to_owned(), |value| format!("{value} ns"));
            sheet.judge(counts, "duration", equal, print(ours), print(theirs), cause);
        }
        // By who sent it, should the two sides not agree on the originator.
        let turned = conn.is_some_and(|conn| ends(conn).map(|ends| ends.0) != ends(row).map(|ends| ends.0));
        for (index, (field, column)) in COUNTS.into_iter().enumerate() {
            if row.has(column) {
                let mine = COUNTS[index ^ usize::from(turned)].1;
                let value = |row: &Row, column: &str| match row.get(column) {
                    "-" => "0".to_owned(),
                    count => count.to_owned(),
                };
                sheet.compare(counts, field, conn.map(|conn| value(conn, mine)), Some(value(row, column)), cause);
            }
        }
        if row.has("missed_bytes") {
            let missed = conn.map(|conn| conn.get("missed_bytes"));
            sheet.compare(counts, "missed bytes", missed, Some(row.get("missed_bytes")), cause);
        }
    }

    /// Why a row differs, where the packets or the other rows of its 5-tuple prove it.
    fn cause(&self, conn: Option<&Row>, row: &Row, (mine, theirs): (&[&Row], &[&Row])) -> Option<String> {
        let packets = &self.capture.packets;
        if !self.log.ignores_checksums() {
            let bad = packets.iter().filter(|packet| {
                let key = packet.event.key;
                let of_row = ends(row).is_none_or(|(orig, resp, protocol)| {
                    let (src, dst) = ((key.src, key.src_port), (key.dst, key.dst_port));
                    Pair::of(key.protocol.0, src, dst).0 == Pair::of(protocol, orig, resp).0
                });
                of_row && checksum::is_bad(packet) == Some(true)
            });
            if bad.count() > 0 {
                return Some("Zeek, run without -C, leaves out packets with a bad checksum; ours counts them".into());
            }
        }
        let (orig, resp, _) = ends(row)?;
        let mut layers = packets.iter().filter_map(|packet| packet.layers.as_deref());
        let ends_of = |src: Addr, dst: Addr| (src, dst) == (orig.0, resp.0) || (src, dst) == (resp.0, orig.0);
        if conn.is_none()
            && layers.any(|layers| layers.tunnels.as_slice().iter().any(|tunnel| ends_of(tunnel.src, tunnel.dst)))
        {
            return Some("Zeek logs a tunnel's outer flow beside the inner ones; ours counts for the innermost".into());
        }
        let sum = |rows: &[&Row], column: &str| rows.iter().filter_map(|row| row.number(column)).sum::<u64>();
        if theirs.len() > mine.len() && COUNTS.iter().all(|(_, column)| sum(mine, column) == sum(theirs, column)) {
            return Some(
                "Zeek ends the connection sooner (10 s for DNS, 3 s after a half close) and logs the rest as another; \
                 the sums are equal"
                    .into(),
            );
        }
        None
    }
}

fn column_name(column: &str) -> &'static str {
    if column == "history" { "history" } else { "state" }
}

fn by_pair(log: &ZeekLog) -> BTreeMap<Pair, Vec<&Row>> {
    let mut pairs: BTreeMap<Pair, Vec<&Row>> = BTreeMap::new();
    for row in &log.table.rows {
        if let Some((orig, resp, protocol)) = ends(row) {
            pairs.entry(Pair::of(protocol, orig, resp).0).or_default().push(row);
        }
    }
    pairs
}

/// Originator, responder and protocol of a row.
fn ends(row: &Row) -> Option<(End, End, u8)> {
    if !row.has("id.orig_h") {
        return None;
    }
    let protocol = match row.get("proto") {
        _ if row.has("ip_proto") => row.number("ip_proto")? as u8,
        "tcp" => Protocol::TCP.0,
        "udp" => Protocol::UDP.0,
        "icmp" if row.get("id.orig_h").contains(':') => Protocol::ICMPV6.0,
        "icmp" => Protocol::ICMP.0,
        _ => return None,
    };
    let end = |ip: &str, port: &str| Some((row.get(ip).parse::<Addr>().ok()?, row.number(port)? as u16));
    Some((end("id.orig_h", "id.orig_p")?, end("id.resp_h", "id.resp_p")?, protocol))
}
