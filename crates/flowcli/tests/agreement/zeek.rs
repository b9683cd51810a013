//! Connection states, histories and counts against the logs that Zeek's own test suite keeps.

use std::collections::BTreeMap;
use std::path::Path;

use flowcore::{Addr, Protocol};

use crate::capture::{Capture, Conn, End, Pair};
use crate::sheet::{At, NOTHING, Sheet, Statistic};
use crate::tcp::nanos;
use crate::truth::{Row, ZeekLog, files_below};

/// Compares all logs of one capture: `<capture>.conn.log`, `<capture>.2.conn.log`, …
pub fn compare(capture: &Capture, truth: &Path, sheet: &mut Sheet) {
    let folder = truth.join("upstream").join("zeek_conn");
    for file in files_below(&folder) {
        let name = file.to_string_lossy();
        let Some(rest) = name.strip_prefix(&*capture.name) else { continue };
        let Some(number) = rest.strip_suffix("conn.log").map(|rest| rest.trim_matches('.')) else { continue };
        let Some(log) = ZeekLog::read(&folder.join(&file)) else { continue };
        let number = if number.is_empty() { "1" } else { number };
        compare_log(capture, &log, number, sheet);
    }
}

fn compare_log(capture: &Capture, log: &ZeekLog, number: &str, sheet: &mut Sheet) {
    let mut ours = capture.conns_by_pair();
    let mut all: Vec<&Conn> = capture.conns.iter().collect();
    all.sort_by_key(|conn| conn.number("start_ns"));
    let mut theirs: BTreeMap<Pair, Vec<&Row>> = BTreeMap::new();
    for row in &log.table.rows {
        if !row.has("id.orig_h") {
            // Columns were cut down to the outcome: the log's order is all there is.
            let protocol = Protocol::TCP.0;
            let found =
                all.iter().position(|conn| conn.protocol == protocol && conn.text("history") == row.get("history"));
            let conn = found.or_else(|| all.iter().position(|conn| conn.protocol == protocol)).map(|at| all.remove(at));
            row_cells(capture, log, number, conn, row, sheet);
            continue;
        }
        if let Some((_, orig, resp, protocol)) = ends(row) {
            theirs.entry(Pair::of(protocol, orig, resp).0).or_default().push(row);
        }
    }
    for (pair, rows) in theirs {
        let mut mine = ours.remove(&pair).unwrap_or_default();
        // Several connections of one 5-tuple: times are masked in the logs, so first those that agree.
        let mut rest = Vec::new();
        for row in rows {
            let same =
                |conn: &&Conn| conn.text("history") == history(row) && conn.text("state") == row.get("conn_state");
            match mine.iter().position(same) {
                Some(found) => row_cells(capture, log, number, Some(mine.remove(found)), row, sheet),
                None => rest.push(row),
            }
        }
        for row in rest {
            let conn = (!mine.is_empty()).then(|| mine.remove(0));
            row_cells(capture, log, number, conn, row, sheet);
        }
    }
}

/// The ends of a row with ports as our keys have them: an ICMP message without an answer has type and code.
fn ends(row: &Row) -> Option<(String, End, End, u8)> {
    if !row.has("id.orig_h") {
        return None;
    }
    let name = row.get("proto");
    let protocol = match name {
        _ if row.has("ip_proto") => row.number("ip_proto")? as u8,
        "tcp" => Protocol::TCP.0,
        "udp" => Protocol::UDP.0,
        "icmp" if row.get("id.orig_h").contains(':') => Protocol::ICMPV6.0,
        "icmp" => Protocol::ICMP.0,
        _ => return None,
    };
    let end = |ip: &str, port: &str| Some((row.get(ip).parse::<Addr>().ok()?, row.number(port)? as u16));
    let (orig, resp) = (end("id.orig_h", "id.orig_p")?, end("id.resp_h", "id.resp_p")?);
    Some((name.to_owned(), orig, resp, protocol))
}

fn history(row: &Row) -> &str {
    match row.get("history") {
        "-" => "",
        history => history,
    }
}

fn row_cells(capture: &Capture, log: &ZeekLog, number: &str, conn: Option<&Conn>, row: &Row, sheet: &mut Sheet) {
    let subject = match ends(row) {
        Some((name, orig, resp, _)) => format!("log {number}: {name} {} {} > {} {}", orig.0, orig.1, resp.0, resp.1),
        None => format!("log {number}: {}", row.get("uid")),
    };
    let cause = || absent(capture, log, conn, row);
    let states = At { statistic: Statistic::ZeekStates, file: &capture.name, subject: &subject };
    let counts = At { statistic: Statistic::ZeekCounts, ..states };
    let mut turned = false;
    if let Some((_, orig, ..)) = ends(row) {
        let end = |(addr, port): End| format!("{addr} {port}");
        turned = conn.is_some_and(|conn| conn.src != orig);
        sheet.compare(states, "originator", conn.map(|conn| end(conn.src)), Some(end(orig)), cause);
    }
    let text = |column| conn.map(|conn| conn.text(column));
    if row.has("conn_state") {
        sheet.compare(states, "state", text("state"), Some(row.get("conn_state")), cause);
    }
    if row.has("history") {
        sheet.compare(states, "history", text("history"), Some(history(row)), cause);
    }
    if row.has("duration") {
        // Zeek prints microseconds of doubles: the last digit is rounded.
        let ours = conn.and_then(|conn| conn.number("duration_ns"));
        let theirs = if row.get("duration") == "-" { Some(0) } else { nanos(row.get("duration")) };
        let equal = ours.zip(theirs).is_some_and(|(ours, theirs)| (ours - theirs).abs() <= 1_000);
        let print = |value: Option<i64>| value.map_or_else(|| NOTHING.to_owned(), |value| format!("{value} ns"));
        sheet.judge(counts, "duration", equal, print(ours), print(theirs), cause);
    }
    let way = |what: &str, index: usize| conn.map(|conn| conn.counts(what)[index ^ usize::from(turned)]);
    for (field, column, what, index) in [
        ("payload bytes of the originator", "orig_bytes", "payload_bytes", 0),
        ("payload bytes of the responder", "resp_bytes", "payload_bytes", 1),
        ("packets of the originator", "orig_pkts", "packets", 0),
        ("packets of the responder", "resp_pkts", "packets", 1),
        ("IP bytes of the originator", "orig_ip_bytes", "l3_bytes", 0),
        ("IP bytes of the responder", "resp_ip_bytes", "l3_bytes", 1),
    ] {
        if row.has(column) && row.get(column) != "-" {
            sheet.compare(counts, field, way(what, index), row.number(column), cause);
        }
    }
    if row.has("missed_bytes") {
        let ours = conn.map(|conn| conn.count("missed_bytes"));
        sheet.compare(counts, "missed bytes", ours, row.number("missed_bytes"), cause);
    }
}

/// Why a whole row of Zeek's has no counterpart, where the packets prove it.
fn absent(capture: &Capture, _log: &ZeekLog, conn: Option<&Conn>, row: &Row) -> Option<String> {
    if conn.is_some() {
        return None;
    }
    let (_, orig, resp, _) = ends(row)?;
    let outer =
        capture.packets.iter().filter_map(|packet| packet.layers.as_ref()).any(|layers| {
            layers.tunnels.as_slice().iter().any(|tunnel| {
                (tunnel.src, tunnel.dst) == (orig.0, resp.0) || (tunnel.src, tunnel.dst) == (resp.0, orig.0)
            })
        });
    outer.then(|| "Zeek logs a tunnel's outer flow beside the inner ones; ours counts for the innermost flow".into())
}
