//! Requests and responses against tshark's HTTP dissector: how many, and when.

use flowcore::TcpFlags;
use flowcore::event::Detail;

use crate::capture::{Capture, Packet};
use crate::course::Course;
use crate::sheet::{At, Sheet, Statistic};
use crate::tcp::nanos;
use crate::truth::Row;

/// Compares one stream with its rows of `http.tsv`.
pub fn compare(
    (capture, subject): (&Capture, &str),
    (course, packets): (&Course, &[&Packet]),
    stream: &Row,
    rows: &[Row],
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
    let turns = &course.facts.turns;
    let pipelined = turns.overlapped > 0;
    for (field, ours, theirs) in
        [("requests", turns.requests as usize, asks.len()), ("responses", turns.responses as usize, answers.len())]
    {
        sheet.compare(at, field, Some(ours), Some(theirs), || {
            if pipelined {
                return Some(PIPELINED.to_owned());
            }
            (ours > theirs).then(|| {
                "tshark tells messages that it reads as HTTP from their beginning to their end; ours counts what was said, whether \
                 it was finished, seen whole, or HTTP"
                    .to_owned()
            })
        });
    }
    let at_time = |time: Option<i64>| packets.iter().find(|packet| Some(packet.event.time.as_nanos()) == time);
    let times = At { statistic: Statistic::HttpTimes, ..at };
    for ask in asks {
        let time = nanos(ask.get("time_epoch"));
        // Requests of several segments: tshark names the one that completes them.
        let ours = course.requests.iter().map(|time| time.as_nanos()).filter(|ours| Some(*ours) <= time).max();
        sheet.compare(times, "request", ours, time, || {
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
        let ends = course.turns.iter().filter_map(|turn| Some(turn.request?.as_nanos() + turn.last_byte?.get()));
        let ends: Vec<i64> = ends.collect();
        let ours = ends.iter().filter(|ours| Some(**ours) >= time).min().or(ends.iter().max()).copied();
        sheet.compare(times, "last byte of the response", ours, time, || {
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

const PIPELINED: &str = "the connection is pipelined, and ours says so: a message ends where the direction changes";
