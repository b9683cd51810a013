//! How many sockets of each kind are in each state.

use std::collections::BTreeMap;
use std::sync::Arc;

use flowcore::Timestamp;
use flowcore::report::{Column, Meaning, Quality, Unit, Value};
use flowcore::socket::Family;

use super::columns::{Socket, state};
use crate::fields::{Field, Subject};

/// What is counted together: namespace, kind, over which IP version, state.
type Kind = (Option<Arc<str>>, &'static str, Option<u64>, &'static str);

/// Counts of sockets.
#[derive(Default)]
pub struct Summary {
    counts: BTreeMap<Kind, (u64, u64, u64)>,
}

/// One row.
pub struct Line {
    time: Timestamp,
    kind: Kind,
    sockets: u64,
    receive_queue: u64,
    send_queue: u64,
    serial: u64,
}

impl Summary {
    /// Counts sockets.
    pub fn add(&mut self, sockets: &[Socket]) {
        for Socket { sample, netns, .. } in sockets.iter().filter(|socket| !socket.ended) {
            let version = match sample.family {
                Family::INET => Some(4),
                Family::INET6 => Some(6),
                _ => None,
            };
            let kind = (netns.clone(), sample.kind().unwrap_or("other"), version, state(sample));
            let (count, receive, send) = self.counts.entry(kind).or_default();
            *count += 1;
            if sample.backlog().is_none() {
                *receive += u64::from(sample.receive_queue.unwrap_or(0));
                *send += u64::from(sample.send_queue.unwrap_or(0));
            }
        }
    }

    /// In the order of their kinds, numbered from `serial` on.
    pub fn rows(self, time: Timestamp, serial: &mut u64) -> Vec<Line> {
        let line = |(kind, (sockets, receive_queue, send_queue))| {
            *serial += 1;
            Line { time, kind, sockets, receive_queue, send_queue, serial: *serial }
        };
        self.counts.into_iter().map(line).collect()
    }
}

/// What can be printed of it.
pub fn subject(several_namespaces: bool, several_polls: bool) -> Subject<Line> {
    let field = |words: [&'static str; 3], unit, meaning, value: fn(&Line) -> Value| {
        let column = Column::new(words, unit, meaning);
        let [name, ..] = words;
        let default = match name {
            "netns" => several_namespaces,
            "time_ns" => several_polls,
            _ => true,
        };
        // Programs have a namespace always, if only as missing, and a time where there are several.
        Field { default, costly: name == "time_ns" && !several_polls, rank: 0, ..Field::own(column, value) }
    };
    let fields = vec![
        field(["time_ns", "TIME", "When the kernel was asked."], Unit::EpochNanos, Meaning::Gauge, |line| {
            Value::Time(line.time)
        }),
        field(["netns", "NETNS", "Network namespace."], Unit::None, Meaning::Key, |line| {
            line.kind.0.clone().map_or(Value::Missing, Value::Text)
        }),
        field(["kind", "KIND", "Kind of socket."], Unit::None, Meaning::Key, |line| Value::Word(line.kind.1)),
        field(["ip_version", "IP", "IP version of the socket."], Unit::None, Meaning::Key, |line| {
            line.kind.2.map_or(Value::Missing, Value::U64)
        }),
        field(["state", "STATE", "State."], Unit::None, Meaning::Key, |line| Value::Word(line.kind.3)),
        field(["sockets", "SOCKETS", "How many."], Unit::Count, Meaning::Gauge, |line| Value::U64(line.sockets)),
        field(["recv_q", "RECV-Q", "Received and not read, all together."], Unit::Bytes, Meaning::Gauge, |line| {
            Value::U64(line.receive_queue)
        }),
        field(
            ["send_q", "SEND-Q", "Not acknowledged or not sent, all together."],
            Unit::Bytes,
            Meaning::Gauge,
            |line| Value::U64(line.send_queue),
        ),
    ];
    Subject {
        table: "summary",
        has_levels: false,
        fields,
        quality: |_| Quality::default(),
        weight: |line| line.sockets,
        serial: |line| line.serial,
        order: if several_polls { "time_ns" } else { "kind" },
        ask: |_, _| true,
        verdict: |_, _| None,
    }
}
