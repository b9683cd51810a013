//! The laboratory's captures against those who took part: nginx's log, curl's times, the counters of both kernels.
//!
//! The packets were captured at the client's interface: what a filter of the client dropped was captured before, what a
//! queue of the server dropped was not.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use flowcore::event::Detail;
use flowcore::{Addr, Protocol, TcpFlags};

use crate::capture::{Capture, Conn, Packet};
use crate::course::{Course, Told};
use crate::sheet::{At, Sheet, Statistic};
use crate::tcp::nanos;
use crate::truth::{Row, Table};

/// How far curl's times may be from ours: between a packet and what a process says of it, the process must run.
const TOLERANCE_NS: i64 = 1_000_000;

/// Compares a capture of the laboratory with what lies in `truth/lab`; other captures are none of it.
pub fn compare(capture: &Capture, truth: &Path, sheet: &mut Sheet) {
    let Some(stem) = capture.name.strip_prefix("lab/").and_then(|name| name.strip_suffix(".pcapng")) else { return };
    let folder = truth.join("lab");
    let table = |tool: &str| Table::read(&folder.join(format!("{stem}.{tool}.tsv")), '\t').unwrap_or_default().rows;
    let (nginx, curl) = (table("nginx"), table("curl"));
    let ports = |rows: &[Row], column: &str| {
        let mut ports: BTreeMap<u16, Vec<Row>> = BTreeMap::new();
        for row in rows {
            if let Some(port @ 1..) = row.number(column) {
                ports.entry(port as u16).or_default().push(row.clone());
            }
        }
        ports
    };
    for (port, rows) in ports(&nginx, "remote_port") {
        log(capture, port, &rows, sheet);
    }
    let read = |what: &str| fs::read_to_string(folder.join(format!("{stem}.{what}.txt"))).unwrap_or_default();
    let hosts = match stem {
        "lab-simultaneous-open" => [("soSc", ["10.78.0.2"; 2]), ("soSs", ["10.78.0.1"; 2])],
        _ => [("client", ["10.77.0.2", "fd77::2"]), ("server", ["10.77.0.1", "fd77::1"])],
    };
    let kernels = hosts.map(|(name, addresses)| Kernel {
        name,
        addresses,
        counters: read(&format!("{name}.nstat")),
        filtered: after(&read(&format!("{name}.nft")), "packets"),
    });
    let filtered = kernels[0].filtered.is_some();
    for (port, rows) in ports(&curl, "local_port") {
        times(capture, (port, &rows), filtered, sheet);
    }
    counters(capture, &kernels, sheet);
}

/// Our connection from the client's `port`.
fn connection(capture: &Capture, port: u16) -> Option<(&Conn, &Course)> {
    let conn = capture.conns.iter().find(|conn| conn.protocol == Protocol::TCP.0 && conn.src.1 == port)?;
    Some((conn, capture.course(conn)?))
}

/// Requests and bytes as nginx logged them.
fn log(capture: &Capture, port: u16, rows: &[Row], sheet: &mut Sheet) {
    let subject = format!("port {port}");
    let at = At { statistic: Statistic::LabLogs, file: &capture.name, subject: &subject };
    let ours = connection(capture, port);
    sheet.compare(
        at,
        "requests",
        ours.map(|(_, course)| course.facts.turns.requests as usize),
        Some(rows.len()),
        || None,
    );
    let bytes: u64 = rows.iter().filter_map(|row| row.number("bytes_sent")).sum();
    sheet.compare(
        at,
        "bytes of the responses",
        ours.map(|(conn, _)| conn.count("rev_stream_bytes")),
        Some(bytes),
        || None,
    );
}

/// Handshake and request times as curl measured them.
fn times(capture: &Capture, (port, rows): (u16, &[Row]), filtered: bool, sheet: &mut Sheet) {
    let subject = format!("port {port}");
    let at = At { statistic: Statistic::LabTimes, file: &capture.name, subject: &subject };
    let Some((conn, course)) = connection(capture, port) else {
        sheet.compare(at, "connection", None::<u16>, Some(port), || None);
        return;
    };
    let connect = rows.first().and_then(|row| nanos(row.get("time_connect")));
    let waited = course.requests.first().map(|request| request.as_nanos() - course.start());
    judge(at, "handshake", conn.number("handshake_ns"), connect, sheet, || {
        // It asks as soon as it knows of the connection.
        let (waited, connect) = waited.zip(connect)?;
        (connect <= waited + TOLERANCE_NS && waited > conn.number("handshake_ns")?)
            .then_some("curl's process, one of many, noticed the SYN-ACK late: its request came later still")
    });
    for (index, row) in rows.iter().enumerate() {
        let subject = format!("port {port} request {}", index + 1);
        let at = At { subject: &subject, ..at };
        let turn = course.turns.get(index);
        let since = if index == 0 { connect } else { Some(0) };
        for (field, ours, column) in [
            ("first byte", turn.and_then(|turn| turn.first_byte), "time_starttransfer"),
            ("last byte", turn.and_then(|turn| turn.last_byte), "time_total"),
        ] {
            let theirs = nanos(row.get(column)).zip(since).map(|(time, since)| time - since);
            judge(at, field, ours.map(|ours| ours.get()), theirs, sheet, || {
                if !row.get("error").is_empty() {
                    return Some("the response did not end: curl gave up at its time limit");
                }
                delayed(capture, course, turn?.request?.as_nanos(), (ours?.get(), theirs?), filtered)
            });
        }
    }
}

/// Why curl had bytes later than they were captured. Times count from the request.
fn delayed(
    capture: &Capture,
    course: &Course,
    request: i64,
    (ours, theirs): (i64, i64),
    filtered: bool,
) -> Option<&'static str> {
    let since = |packet: &Packet| packet.event.time.as_nanos() - request;
    let came_again = course.told.iter().any(|(number, told)| {
        let packet = capture.packets.get(number - 1).filter(|_| matches!(told, Told::Again(_)));
        packet.is_some_and(|packet| (ours + 1..=theirs + TOLERANCE_NS).contains(&since(packet)))
    });
    if filtered && came_again {
        return Some("the client's filter dropped segments behind the capture: one came again before curl had it all");
    }
    let key = course.flow.key;
    let mut acts = capture.packets.iter().filter(|packet| {
        let own = (packet.event.key.src, packet.event.key.src_port) == (key.src, key.src_port);
        let ends =
            matches!(packet.event.detail, Detail::Tcp(tcp) if tcp.flags.intersects(TcpFlags::FIN | TcpFlags::RST));
        own && since(packet) > ours && (ends || packet.event.payload_bytes > 0)
    });
    let next = acts.next().map(since)?;
    (ours < theirs && theirs <= next + TOLERANCE_NS)
        .then_some("curl's process, one of many, read late what had come, or its clock ran before its request left: what it sent next came later still")
}

/// Compares two times within the tolerance.
fn judge(
    at: At<'_>,
    field: &'static str,
    ours: Option<i64>,
    theirs: Option<i64>,
    sheet: &mut Sheet,
    cause: impl FnOnce() -> Option<&'static str>,
) {
    let equal = ours.zip(theirs).is_some_and(|(ours, theirs)| (ours - theirs).abs() <= TOLERANCE_NS);
    let text = |time: Option<i64>| time.map_or_else(|| "none".to_owned(), |time| format!("{} µs", time / 1000));
    sheet.judge(at, field, equal, text(ours), text(theirs), || cause().map(str::to_owned));
}

/// One end of the laboratory's link.
struct Kernel {
    name: &'static str,
    addresses: [&'static str; 2],
    /// What nstat printed.
    counters: String,
    /// Packets that a filter of the host dropped at its input.
    filtered: Option<u64>,
}

impl Kernel {
    fn count(&self, counter: &str) -> Option<u64> {
        after(&self.counters, counter)
    }

    fn is(&self, addr: Addr) -> bool {
        self.addresses.iter().any(|own| own.parse::<Addr>().is_ok_and(|own| own == addr))
    }

    /// Segments that left it: its count of segments has no retransmissions.
    fn sent(&self) -> Option<u64> {
        Some(self.count("TcpOutSegs")? + self.count("TcpRetransSegs")?)
    }
}

/// The number behind a word.
fn after(text: &str, word: &str) -> Option<u64> {
    let mut words = text.split_whitespace();
    words.find(|next| *next == word)?;
    words.next()?.parse().ok()
}

/// The counters of both kernels.
fn counters(capture: &Capture, kernels: &[Kernel; 2], sheet: &mut Sheet) {
    let segments: Vec<(&Packet, TcpFlags)> = capture
        .packets
        .iter()
        .filter_map(|packet| match packet.event.detail {
            Detail::Tcp(tcp) => Some((packet, tcp.flags)),
            _ => None,
        })
        .collect();
    for (kernel, peer) in [(&kernels[0], &kernels[1]), (&kernels[1], &kernels[0])] {
        let at = At { statistic: Statistic::LabCounters, file: &capture.name, subject: kernel.name };
        let sent = segments.iter().filter(|(packet, _)| kernel.is(packet.event.key.src));
        let received = segments.iter().filter(|(packet, _)| kernel.is(packet.event.key.dst)).count() as u64;
        let courses = || capture.courses.iter();
        let again: u64 = courses()
            .map(|course| {
                let key = course.flow.key;
                let of =
                    |addr, side: usize| if kernel.is(addr) { course.facts.sides[side].all_sent_again() } else { 0 };
                of(key.src, 0) + of(key.dst, 1)
            })
            .sum();
        let opened = courses().filter(|course| {
            let key = course.flow.key;
            let by = |addr, side: usize| kernel.is(addr) && course.controls[side][0] > 0;
            by(key.src, 0) || by(key.dst, 1)
        });
        let opened = opened.count();
        let resets = sent.clone().filter(|(_, flags)| flags.contains(TcpFlags::RST)).count();
        // What one kernel sent and the other did not get, though no filter of its own dropped it.
        let lost = |from: &Kernel, to: &Kernel| {
            let got = to.count("TcpInSegs")? + to.filtered.unwrap_or(0);
            from.sent()?.checked_sub(got).filter(|lost| *lost > 0)
        };
        for (field, ours, theirs) in [
            ("connections opened", opened as u64, kernel.count("TcpActiveOpens")),
            ("segments sent", sent.clone().count() as u64, kernel.sent()),
            ("segments received", received, kernel.count("TcpInSegs")),
            ("retransmissions", again, kernel.count("TcpRetransSegs")),
            ("RSTs sent", resets as u64, kernel.count("TcpOutRsts")),
        ] {
            let Some(theirs) = theirs else { continue };
            sheet.compare(at, field, Some(ours), Some(theirs), || match field {
                "segments received" if kernel.filtered == ours.checked_sub(theirs) => Some(format!(
                    "dropped behind the capture by its filter, by the filter's own counter: {}",
                    ours - theirs
                )),
                "segments sent" | "retransmissions" => {
                    let lost = lost(kernel, peer).filter(|lost| theirs.checked_sub(ours).is_some_and(|less| less <= *lost))?;
                    Some(format!(
                        "lost before the capture: of what this one sent, the other did not get {lost}, by the two kernels' counters"
                    ))
                }
                _ => None,
            });
        }
    }
}
