//! Which files open, how many packets they give, and from when until when.

use std::collections::BTreeMap;
use std::path::Path;

use flowcore::Notes;
use serde_json::Value;

use crate::capture::Capture;
use crate::sheet::{At, Sheet, Statistic};
use crate::truth::{Row, Table};

/// What independent readers say of all files.
pub struct Truth {
    readability: std::collections::HashMap<String, Vec<Row>>,
    capinfos: std::collections::HashMap<String, Vec<Row>>,
}

impl Truth {
    /// Loads both tables.
    pub fn load(truth: &Path) -> Self {
        let by_file = |name: &str, column: &str| {
            Table::read(&truth.join(name), '\t').map(|table| table.by(column)).unwrap_or_default()
        };
        Self { readability: by_file("readability.tsv", "file"), capinfos: by_file("capinfos.tsv", "File name") }
    }

    /// The files that independent readers were tried on.
    pub fn files(&self) -> Vec<String> {
        let mut files: Vec<String> = self.readability.keys().cloned().collect();
        files.sort();
        files
    }
}

impl Truth {
    /// How many packets libpcap gives of a file.
    pub fn libpcap_packets(&self, file: &str) -> Option<usize> {
        self.readability.get(file)?.first()?.get("libpcap_packets").parse().ok()
    }
}

/// What became of reading a file.
fn outcome(exit: Option<i32>) -> &'static str {
    match exit {
        Some(0) => "complete",
        Some(1) => "refused",
        Some(3) => "in part",
        _ => "failed",
    }
}

/// Whether a packet is more than 1 ms earlier than one before it on its interface, of those that have a time of their own.
fn runs_backwards(capture: &Capture) -> bool {
    let mut latest = BTreeMap::new();
    capture.packets.iter().filter(|packet| !packet.event.notes.contains(Notes::UNTIMED)).any(|packet| {
        let latest = latest.entry(packet.event.interface).or_insert(packet.event.time);
        *latest = packet.event.time.max(*latest);
        (*latest - packet.event.time).get() > 1_000_000
    })
}

/// Compares one capture.
pub fn compare(capture: &Capture, truth: &Truth, sheet: &mut Sheet) {
    let at = At { statistic: Statistic::Readability, file: &capture.name, subject: "" };
    let info = truth.capinfos.get(&capture.name).and_then(|rows| rows.first());
    let backwards = info.is_some_and(|row| row.get("Strict time order") == "False") && runs_backwards(capture);
    match truth.readability.get(&capture.name).and_then(|rows| rows.first()) {
        Some(row) => {
            let ours = capture.packets.len() as u64;
            for (tool, packets, exit) in
                [("tshark", "tshark_packets", "tshark_exit"), ("libpcap", "libpcap_packets", "tcpdump_exit")]
            {
                let theirs = row.number(packets);
                let verdict = match (theirs.unwrap_or(0), row.get(exit)) {
                    // We end with 3 where time runs backwards by more than queues explain, to say so; no other reader does.
                    (_, "0") if backwards => "in part",
                    (_, "0") => "complete",
                    (0, _) => "refused",
                    _ => "in part",
                };
                let (count, end) = if tool == "tshark" {
                    ("packets, tshark", "outcome, tshark")
                } else {
                    ("packets, libpcap", "outcome, libpcap")
                };
                let message = row.get(if tool == "tshark" { "tshark_message" } else { "tcpdump_message" });
                let unlike = message.contains("different from the") && message.contains("of the first interface");
                let cause = || {
                    (tool == "libpcap" && unlike).then(|| {
                        "libpcap stops at an interface whose link type or snapshot length is not the first one's"
                            .to_owned()
                    })
                };
                sheet.compare(at, count, Some(ours), Some(theirs.unwrap_or(0)), cause);
                sheet.compare(at, end, Some(outcome(capture.exit)), Some(verdict), cause);
            }
        }
        None => sheet.compare(at, "outcome, not a capture", Some(outcome(capture.exit)), Some("refused"), || None),
    }
    if let Some(row) = info {
        bounds(capture, row, sheet);
    }
}

fn bounds(capture: &Capture, row: &Row, sheet: &mut Sheet) {
    let Some(packets) = row.number("Number of packets") else { return };
    let at = At { statistic: Statistic::Bounds, file: &capture.name, subject: "" };
    sheet.compare(at, "packets", Some(capture.packets.len()), Some(packets), || None);
    let delivered = capture.trust.get("delivered").and_then(Value::as_u64);
    sheet.compare(at, "packets of the ledger", delivered, Some(packets), || None);
    let bytes: u64 = capture.packets.iter().map(|packet| packet.event.bytes).sum();
    sheet.compare(at, "bytes", Some(bytes), row.number("Data size (bytes)"), || None);
    let times = || capture.packets.iter().map(|packet| packet.event.time);
    for (field, ours, column) in [("first time", times().min(), "Start time"), ("last time", times().max(), "End time")]
    {
        let theirs = row.get(column);
        if theirs != "n/a" && !theirs.is_empty() {
            sheet.compare(at, field, ours, Some(nine_decimals(theirs)), || None);
        }
    }
}

/// Seconds with a fraction of any precision, as seconds with nine decimals.
pub fn nine_decimals(text: &str) -> String {
    match text.split_once('.') {
        Some((seconds, fraction)) => format!("{seconds}.{fraction:0<9}"),
        None => format!("{text}.000000000"),
    }
}
