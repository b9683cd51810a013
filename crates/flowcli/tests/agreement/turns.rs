//! Requests and responses against tshark's HTTP dissector: how many, and when.

use crate::capture::Capture;
use crate::course::Course;
use crate::sheet::{At, Sheet, Statistic};
use crate::tcp::nanos;
use crate::truth::Row;

/// Compares one stream with its rows of `http.tsv`.
pub fn compare((capture, subject): (&Capture, &str), course: &Course, stream: &Row, rows: &[Row], sheet: &mut Sheet) {
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
    sheet.compare(at, "requests", Some(turns.requests as usize), Some(asks.len()), || None);
    sheet.compare(at, "responses", Some(turns.responses as usize), Some(answers.len()), || None);
    let times = At { statistic: Statistic::HttpTimes, ..at };
    for ask in asks {
        let time = nanos(ask.get("time_epoch"));
        // Requests of several segments: tshark names the one that completes them.
        let ours = course.requests.iter().map(|time| time.as_nanos()).filter(|ours| Some(*ours) <= time).max();
        sheet.compare(times, "request", ours, time, || pipelined.then(|| PIPELINED.to_owned()));
    }
    for answer in answers {
        let time = nanos(answer.get("time_epoch"));
        let ends = course.turns.iter().filter_map(|turn| Some(turn.request?.as_nanos() + turn.last_byte?.get()));
        let ours = ends.filter(|ours| Some(*ours) >= time).min();
        sheet.compare(times, "last byte of the response", ours, time, || pipelined.then(|| PIPELINED.to_owned()));
    }
}

const PIPELINED: &str = "the connection is pipelined, and ours says so: a message ends where the direction changes";
