//! Our side: what the collector and the command `flow conns` make of one capture.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use flowcore::wire::Layers;
use flowcore::{Addr, Collector, FlowEvent, Limit, Notes, Protocol, Status};
use serde_json::Value;

use crate::course::{self, Course};

/// One capture and everything of ours about it.
pub struct Capture {
    /// Relative to the captures' folder.
    pub name: String,
    pub packets: Vec<Packet>,
    pub conns: Vec<Conn>,
    /// Its TCP connections, followed.
    pub courses: Vec<Course>,
    /// Exit code of the command; `None` if a signal ended it.
    pub exit: Option<i32>,
    /// The trust object at the end of the output.
    pub trust: Value,
}

/// One packet as the collector gave it.
pub struct Packet {
    /// From 1, as other tools number them.
    pub number: usize,
    pub event: FlowEvent,
    pub layers: Option<Box<Layers>>,
    pub frame: Box<[u8]>,
}

impl Packet {
    /// Whether the event carries any of `notes`.
    pub fn has(&self, notes: Notes) -> bool {
        self.event.notes.intersects(notes)
    }
}

/// An address and port.
pub type End = (Addr, u16);

/// Protocol and two ends, the smaller first.
#[derive(Copy, Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Pair {
    pub protocol: u8,
    pub low: End,
    pub high: End,
}

impl Pair {
    /// The pair of two ends, and 0 if the first given is the lower one, else 1.
    pub fn of(protocol: u8, first: End, second: End) -> (Self, usize) {
        if first <= second {
            (Self { protocol, low: first, high: second }, 0)
        } else {
            (Self { protocol, low: second, high: first }, 1)
        }
    }
}

impl std::fmt::Display for Pair {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { protocol, low, high } = *self;
        if protocol == 0 {
            write!(f, "{} - {}", low.0, high.0)
        } else if low.1 == 0 && high.1 == 0 {
            write!(f, "{} {} - {}", Protocol(protocol), low.0, high.0)
        } else {
            write!(f, "{} {} {} - {} {}", Protocol(protocol), low.0, low.1, high.0, high.1)
        }
    }
}

/// One row of `flow conns -o jsonl`.
#[derive(Clone, Debug)]
pub struct Conn {
    row: Value,
    pub src: End,
    pub dst: End,
    pub protocol: u8,
}

impl Conn {
    fn of(row: Value) -> Option<Self> {
        let end = |ip: &str, port: &str| {
            let addr: Addr = row.get(ip)?.as_str()?.parse().ok()?;
            Some((addr, row.get(port).and_then(Value::as_u64).unwrap_or(0) as u16))
        };
        let src = end("src_ip", "src_port")?;
        let dst = end("dst_ip", "dst_port")?;
        let protocol = row.get("ip_proto")?.as_u64()? as u8;
        Some(Self { src, dst, protocol, row })
    }

    /// The two ends without their order, and whether the originator is the lower (0) or the higher (1) of them.
    pub fn pair(&self) -> (Pair, usize) {
        Pair::of(self.protocol, self.src, self.dst)
    }

    /// A number; `None` if absent.
    pub fn number(&self, column: &str) -> Option<i64> {
        self.row.get(column)?.as_i64()
    }

    /// A count; 0 if absent.
    pub fn count(&self, column: &str) -> u64 {
        self.row.get(column).and_then(Value::as_u64).unwrap_or(0)
    }

    /// A text; empty if absent.
    pub fn text(&self, column: &str) -> &str {
        self.row.get(column).and_then(Value::as_str).unwrap_or("")
    }

    /// A forward and a reverse count, in that order.
    pub fn counts(&self, what: &str) -> [u64; 2] {
        [self.count(&format!("fwd_{what}")), self.count(&format!("rev_{what}"))]
    }
}

impl Capture {
    /// Reads a capture through the collector and through the command.
    pub fn read(folder: &Path, name: &str) -> Self {
        let path = folder.join(name);
        let (conns, trust, exit) = run(&path);
        let courses = course::follow(&path);
        Self { name: name.to_owned(), packets: packets(&path), conns, courses, exit, trust }
    }

    /// What following a connection gave.
    pub fn course(&self, conn: &Conn) -> Option<&Course> {
        self.courses.iter().find(|course| {
            let key = course.flow.key;
            (key.src, key.src_port) == conn.src
                && (key.dst, key.dst_port) == conn.dst
                && Some(course.start()) == conn.number("start_ns")
        })
    }

    /// Our connections by 5-tuple, in order of their start.
    pub fn conns_by_pair(&self) -> BTreeMap<Pair, Vec<&Conn>> {
        let mut groups: BTreeMap<Pair, Vec<&Conn>> = BTreeMap::new();
        for conn in &self.conns {
            groups.entry(conn.pair().0).or_default().push(conn);
        }
        for group in groups.values_mut() {
            group.sort_by_key(|conn| conn.number("start_ns"));
        }
        groups
    }
}

/// Runs the command; its rows, its trust object, its exit code.
fn run(path: &Path) -> (Vec<Conn>, Value, Option<i32>) {
    let output = Command::new(env!("CARGO_BIN_EXE_flow"))
        .args(["conns", "-o", "jsonl", "-r"])
        .arg(path)
        .output()
        .expect("the command was built for this test");
    let mut conns = Vec::new();
    let mut trust = Value::Null;
    for line in String::from_utf8_lossy(&output.stdout).lines() {
        let row: Value =
            serde_json::from_str(line).unwrap_or_else(|error| panic!("{}: {error}: {line}", path.display()));
        if row.get("type").and_then(Value::as_str) == Some("trailer") {
            trust = row.get("trust").cloned().unwrap_or(Value::Null);
        } else if let Some(conn) = Conn::of(row) {
            conns.push(conn);
        }
    }
    (conns, trust, output.status.code())
}

/// The connections as the command writes them for those who read Zeek's logs.
pub fn zeek_log(path: &Path) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_flow")).args(["conns", "-o", "zeek", "-r"]).arg(path).output();
    String::from_utf8_lossy(&output.expect("the command was built for this test").stdout).into_owned()
}

/// Every packet as the collector gives it, until its end or its first fault.
fn packets(path: &Path) -> Vec<Packet> {
    let mut packets = Vec::new();
    let Ok(mut files) = flowsrc_pcap::Files::open(path) else { return packets };
    let mut events = Vec::new();
    loop {
        events.clear();
        let Ok(filled) = files.fill(&mut events, Limit::default()) else { break };
        for event in &events {
            packets.push(Packet {
                number: packets.len() + 1,
                event: *event,
                layers: filled.frames.layers(event).cloned().map(Box::new),
                frame: filled.frames.get(event.frame).into(),
            });
        }
        if filled.status == Status::End {
            break;
        }
    }
    packets
}
