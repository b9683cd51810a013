//! The segments that open and close a connection: who sent which, and argus' times of the handshake's halves.

use std::collections::{BTreeMap, BTreeSet};

use flowcore::event::Detail;
use flowcore::{FlowEvent, TcpFlags, TcpSegment};

use crate::capture::{Capture, Conn, End, Pair};
use crate::classes::CLASSES;
use crate::course::Course;
use crate::sheet::{At, NOTHING, Sheet, Statistic};
use crate::tcp::{nanos, of_pair};
use crate::truth::Row;

/// How many SYN, SYN-ACK, FIN and RST a stream has, and from whom; `courses` are our connections of it, `client` the truth's.
pub fn control((capture, subject): (&Capture, &str), courses: &[&Course], client: End, row: &Row, sheet: &mut Sheet) {
    let at = At { statistic: Statistic::ControlSegments, file: &capture.name, subject };
    let sent = |of_client: bool, which: usize| -> u64 {
        let of = |course: &&Course| {
            let key = course.flow.key;
            let forward = ((key.src, key.src_port) == client) == of_client;
            course.controls[usize::from(!forward)][which]
        };
        courses.iter().map(of).sum()
    };
    let both = |which| sent(true, which) + sent(false, which);
    for (field, ours, column) in [
        ("SYNs", both(0), "syn"),
        ("SYN-ACKs", both(1), "synack"),
        ("FINs of the client", sent(true, 2), "fin_client"),
        ("FINs of the server", sent(false, 2), "fin_server"),
        ("RSTs of the client", sent(true, 3), "rst_client"),
        ("RSTs of the server", sent(false, 3), "rst_server"),
    ] {
        sheet.compare(at, field, Some(ours), row.number(column), || None);
    }
}

/// Compares the sums over one file, a row of `tcp_summary.tsv`, with what ours tells of all its connections.
pub fn sums(capture: &Capture, row: &Row, sheet: &mut Sheet) {
    let at = At { statistic: Statistic::FileSums, file: &capture.name, subject: "" };
    let control = |which: usize| -> u64 {
        capture.courses.iter().map(|course| course.controls[0][which] + course.controls[1][which]).sum()
    };
    let both = |client: &str, server: &str| Some(row.number(client)? + row.number(server)?);
    let mut cells = vec![
        ("SYNs", vec!["SYNs"], control(0), row.number("syn")),
        ("SYN-ACKs", vec!["SYN-ACKs"], control(1), row.number("synack")),
        ("FINs", vec!["FINs of the client", "FINs of the server"], control(2), both("fin_client", "fin_server")),
        ("RSTs", vec!["RSTs of the client", "RSTs of the server"], control(3), both("rst_client", "rst_server")),
    ];
    for class in &CLASSES {
        let told = capture.courses.iter().flat_map(|course| &course.told).filter(|(_, told)| (class.is)(*told));
        let packets: BTreeSet<usize> = told.map(|(packet, _)| *packet).collect();
        cells.push((class.name, vec![class.name], packets.len() as u64, row.number(class.column)));
    }
    for (field, of_streams, ours, theirs) in cells {
        // What the streams above differ by.
        let number = |text: &str| text.parse::<i64>().unwrap_or(0);
        let streams = sheet.disagreements.iter().filter(|one| {
            one.file == capture.name
                && matches!(one.statistic, Statistic::ControlSegments | Statistic::Repetitions)
                && of_streams.contains(&one.field)
        });
        let (mut less, mut none) = (0, true);
        for one in streams {
            less += number(&one.ours) - number(&one.theirs);
            none = false;
        }
        sheet.compare(at, field, Some(ours), theirs, || {
            (!none && theirs.map(|theirs| theirs as i64 + less) == Some(ours as i64))
                .then(|| "the difference of its streams, each with its packets above".to_owned())
        });
    }
}

/// Compares the handshake's time and its halves with argus', rows of `argus.csv`; within 1 µs.
pub fn argus(capture: &Capture, rows: &[Row], sheet: &mut Sheet) {
    let mut theirs: BTreeMap<Pair, Vec<&Row>> = BTreeMap::new();
    for row in rows.iter().filter(|row| row.get("Proto") == "6") {
        let end = |addr: &str, port: &str| Some((row.get(addr).parse().ok()?, row.number(port)? as u16));
        let Some((src, dst)) = end("SrcAddr", "Sport").zip(end("DstAddr", "Dport")) else { continue };
        theirs.entry(Pair::of(6, src, dst).0).or_default().push(row);
    }
    let ours = capture.conns_by_pair();
    for (pair, rows) in theirs {
        let Some(conns) = ours.get(&pair) else { continue };
        // Where the two cut differently, there is nothing to compare one by one: that is told by argus splits.
        if conns.len() != rows.len() {
            continue;
        }
        for (conn, row) in conns.iter().zip(rows) {
            let subject =
                if conns.len() == 1 { pair.to_string() } else { format!("{pair} at {}", row.get("StartTime")) };
            let at = At { statistic: Statistic::ArgusHandshakes, file: &capture.name, subject: &subject };
            let fields = [
                ("both halves", "handshake_ns", "TcpRtt"),
                ("SYN to SYN-ACK", "syn_ack_ns", "SynAck"),
                ("SYN-ACK to ACK", "ack_ns", "AckDat"),
            ];
            for (field, column, theirs) in fields {
                let ours = conn.number(column);
                // argus prints 0 where it has nothing; a handshake within a microsecond is none of these captures'.
                let theirs = nanos(row.get(theirs)).filter(|nanos| *nanos > 0);
                if ours.is_none() && theirs.is_none() {
                    continue;
                }
                let equal = ours.zip(theirs).is_some_and(|(ours, theirs)| (ours - theirs).abs() <= 1000)
                    || (theirs.is_none() && ours.is_some_and(|ours| ours.abs() < 1000));
                let text = |value: Option<i64>| value.map_or_else(|| NOTHING.to_owned(), |value| format!("{value} ns"));
                sheet.judge(at, field, equal, text(ours), text(theirs), || {
                    cause(&Steps::of(capture, pair, conn), field, ours, theirs, row)
                });
            }
        }
    }
}

/// The handshake's segments as they stand in the capture.
struct Steps<'a> {
    /// In order: event and header of every segment of the connection.
    all: Vec<(&'a FlowEvent, TcpSegment)>,
}

impl<'a> Steps<'a> {
    fn of(capture: &'a Capture, pair: Pair, conn: &Conn) -> Self {
        let within = conn.number("start_ns").unwrap_or(0)..=conn.number("end_ns").unwrap_or(0);
        let segments = capture.packets.iter().filter_map(|packet| {
            let Detail::Tcp(tcp) = packet.event.detail else { return None };
            let of_conn = within.contains(&packet.event.time.as_nanos()) && of_pair(packet, pair);
            of_conn.then_some((&packet.event, tcp))
        });
        Self { all: segments.collect() }
    }

    fn places(&self, test: impl Fn(TcpFlags) -> bool) -> Vec<usize> {
        let found = self.all.iter().enumerate().filter(|(_, (_, tcp))| test(tcp.flags));
        found.map(|(place, _)| place).collect()
    }

    fn time(&self, place: usize) -> i64 {
        self.all[place].0.time.as_nanos()
    }
}

/// Why another tool has a shorter time, if it counts from a later capture of the SYN that we count from.
pub fn counts_from_a_copy(syns: &[i64], ours: Option<i64>, theirs: Option<i64>) -> Option<String> {
    let less = ours? - theirs?;
    let by = |early: i64, late: i64| (1..1_000_000).contains(&(late - early)) && (late - early - less).abs() <= 1000;
    let copied = syns.iter().any(|early| syns.iter().any(|late| by(*early, *late)));
    copied.then(|| {
        "the SYN was captured twice within 1 ms: ours counts from the first of the two, others from the last".into()
    })
}

/// Why argus has another time, as far as the segments prove it.
fn cause(steps: &Steps<'_>, field: &str, ours: Option<i64>, theirs: Option<i64>, row: &Row) -> Option<String> {
    let syns = steps.places(|flags| flags.contains(TcpFlags::SYN) && !flags.contains(TcpFlags::ACK));
    let syn_acks = steps.places(|flags| flags.contains(TcpFlags::SYN | TcpFlags::ACK));
    let first_answer = syn_acks.first()?;
    let Some(syn) = syns.first() else {
        return Some("no SYN was captured: ours tells the half that was, argus nothing".into());
    };
    if syn > first_answer {
        return Some(
            "the SYN stands behind its SYN-ACK in the capture: ours tells the other half, argus nothing".into(),
        );
    }
    if theirs.is_none() && steps.all[*syn].1.flags.intersects(TcpFlags::ECE | TcpFlags::CWR) {
        return Some("the SYN offers ECN: argus does not take it for a handshake".into());
    }
    if theirs.is_none() && steps.all[*syn].0.payload_bytes > 0 {
        return Some("the SYN carries data: argus does not take it for a handshake".into());
    }
    let times: Vec<i64> = syns.iter().map(|place| steps.time(*place)).collect();
    if let Some(copied) = counts_from_a_copy(&times, ours, theirs) {
        return Some(copied);
    }
    let client = steps.all[*syn].0.key;
    let answer = steps.all[*first_answer].1;
    let next = (first_answer + 1..steps.all.len()).find(|place| {
        let (event, tcp) = steps.all[*place];
        event.key == client && tcp.flags.contains(TcpFlags::ACK)
    });
    let alone = nanos(row.get("AckDat")).unwrap_or(0) == 0 && nanos(row.get("TcpRtt")) == nanos(row.get("SynAck"));
    let Some(next) = next else {
        return alone
            .then(|| "nothing ends the handshake: ours says nothing, argus gives the first half as the whole".into());
    };
    let (event, tcp) = steps.all[next];
    let last_answer = syn_acks.iter().rev().find(|place| **place < next)?;
    let bare = tcp.flags.intersection(TcpFlags::BOUNDARY).is_empty() && event.payload_bytes == 0;
    let exact = tcp.ack == answer.seq.wrapping_add(1);
    if ours.is_none() && !exact {
        return Some(
            "the next ACK acknowledges something that was never sent, or much more: ours says nothing, argus takes it"
                .into(),
        );
    }
    if first_answer != last_answer {
        let half = steps.time(next) - steps.time(*last_answer);
        let expected = if field == "both halves" { nanos(row.get("SynAck"))? + half } else { half };
        if theirs.is_some_and(|theirs| (theirs - expected).abs() <= 2000) {
            return Some("the SYN-ACK came again: ours counts from the first, argus from the last".into());
        }
    }
    if alone && (!bare || !exact) {
        return Some(
            "the handshake ends with a segment that carries data or a FIN, or acknowledges data too; argus waits for a bare ACK, and \
             gives the first half as the whole"
                .into(),
        );
    }
    None
}
