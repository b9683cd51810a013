//! Requests and responses against tshark's HTTP dissector: how many, and when.

use flowcore::event::Detail;
use flowcore::{Protocol, TcpFlags};

use crate::capture::{Capture, Packet};
use crate::course::Course;
use crate::sheet::{At, Sheet, Statistic};
use crate::tcp::nanos;
use crate::truth::Row;

/// Compares one stream with its rows of `http.tsv`; `courses` are our connections of it, `absent` says why there is none.
pub fn compare(
    (capture, subject): (&Capture, &str),
    (courses, packets): (&[&Course], &[&Packet]),
    stream: &Row,
    rows: &[Row],
    absent: impl Fn() -> Option<String>,
    sheet: &mut Sheet,
) {
    let of_stream = |row: &&Row| row.get("tcp_stream") == stream.get("stream");
    let rows: Vec<&Row> = rows.iter().filter(of_stream).collect();
    let asks: Vec<&&Row> = rows.iter().filter(|row| !row.get("request_method").is_empty()).collect();
    let answers: Vec<&&Row> = rows.iter().filter(|row| !row.get("response_code").is_empty()).collect();
    if rows.is_empty() {
        return;
    }
    let at = At { statistic: Statistic::HttpTurns, file: &capture.name, subject };
    let turns = || courses.iter().map(|course| &course.facts.turns);
    let pipelined = turns().any(|turns| turns.overlapped > 0);
    for (field, ours, theirs) in [
        ("requests", turns().map(|turns| turns.requests as usize).sum::<usize>(), asks.len()),
        ("responses", turns().map(|turns| turns.responses as usize).sum(), answers.len()),
    ] {
        sheet.compare(at, field, (!courses.is_empty()).then_some(ours), Some(theirs), || {
            if pipelined {
                return Some(PIPELINED.to_owned());
            }
            if field == "responses" && asks.is_empty() && turns().all(|turns| turns.requests == 0) {
                return Some("the request was not captured: ours counts what answers one".to_owned());
            }
            (ours > theirs)
                .then(|| {
                    "tshark tells messages that it reads as HTTP from their beginning to their end; ours counts what was said, \
                     whether it was finished, seen whole, or HTTP"
                        .to_owned()
                })
                .or_else(&absent)
        });
    }
    let at_time = |time: Option<i64>| packets.iter().find(|packet| Some(packet.event.time.as_nanos()) == time);
    let times = At { statistic: Statistic::HttpTimes, ..at };
    for ask in asks {
        let time = nanos(ask.get("time_epoch"));
        let began = courses.iter().flat_map(|course| &course.requests).map(|time| time.as_nanos());
        // Requests of several segments: tshark names the one that completes them.
        let ours = began.filter(|ours| Some(*ours) <= time).max();
        sheet.compare_at(times, "request", frame(ask), (ours, time), || {
            if courses.is_empty() {
                return absent();
            }
            let (first, last) = (at_time(ours)?, at_time(time)?);
            let between = packets.iter().filter(|packet| {
                let time = packet.event.time;
                (first.event.time..=last.event.time).contains(&time) && packet.event.payload_bytes > 0
            });
            let mut senders = between.map(|packet| packet.event.key.src_port);
            if senders.all(|port| port == first.event.key.src_port) {
                return Some(
                    "the request came in several segments: ours tells when it began, tshark the segment that completes it".to_owned(),
                );
            }
            pipelined.then(|| PIPELINED.to_owned())
        });
    }
    for answer in answers {
        let time = nanos(answer.get("time_epoch"));
        let turns = courses.iter().flat_map(|course| &course.turns);
        let ends = turns.filter_map(|turn| Some(turn.request?.as_nanos() + turn.last_byte?.get()));
        let ends: Vec<i64> = ends.collect();
        let ours = ends.iter().filter(|ours| Some(**ours) >= time).min().or(ends.iter().max()).copied();
        sheet.compare_at(times, "last byte of the response", frame(answer), (ours, time), || {
            if courses.is_empty() {
                return absent();
            }
            let last = at_time(time)?;
            let fin = matches!(last.event.detail, Detail::Tcp(tcp) if tcp.flags.contains(TcpFlags::FIN));
            if fin && last.event.payload_bytes == 0 {
                return Some("the response ends with the connection: tshark names the FIN, ours the last byte".to_owned());
            }
            if ours > time {
                return Some(
                    "payload of the responder went on before the next request: ours ends the response with it, tshark where HTTP's \
                     own length says"
                        .to_owned(),
                );
            }
            pipelined.then(|| PIPELINED.to_owned())
        });
    }
}

/// Messages that tshark reads in no TCP stream.
pub fn elsewhere(capture: &Capture, rows: &[Row], sheet: &mut Sheet) {
    let subject = "no TCP stream";
    let at = At { statistic: Statistic::HttpTimes, file: &capture.name, subject };
    for row in rows.iter().filter(|row| row.get("tcp_stream").is_empty()) {
        let packet = frame(row);
        for (field, column) in [("request", "request_method"), ("last byte of the response", "response_code")] {
            if row.get(column).is_empty() {
                continue;
            }
            sheet.compare_at(at, field, packet, (None, nanos(row.get("time_epoch"))), || {
                let protocol = capture.packets.get(packet - 1)?.event.key.protocol;
                [Protocol::UDP, Protocol::SCTP]
                    .contains(&protocol)
                    .then(|| "a message within UDP (SSDP) or SCTP: ours tells turns of TCP connections".to_owned())
            });
        }
    }
}

/// The number of the packet that completes a message.
fn frame(row: &Row) -> usize {
    row.number("frame").unwrap_or(0) as usize
}

const PIPELINED: &str = "the connection is pipelined, and ours says so: a message ends where the direction changes";
