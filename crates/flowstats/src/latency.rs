//! Round-trip times of all TCP connections: the job of `flow lat`.
//!
//! [`Latency`] has a [`Flow`] for each end that knows its round-trip time, and [`Distribution`] what all of them have in
//! common. From sockets the times are the kernel's own: smoothed, their mean deviation, and the smallest of five minutes.
//! From packets they are what the same rules (RFC 6298) make of the round trips between the capture point and the end
//! farther away: the row of the end that sent there. A capture on a host thus gives what the host's own sockets would.

mod columns;
mod distribution;
mod packets;

use flowcore::event::EndReason;
use flowcore::report::{Row, Table};
use flowcore::socket::{IPPROTO_MPTCP, SocketSample, SocketState};
use flowcore::{
    Analyzer, Batch, Detail, Direction, Features, FlowEvent, FlowId, Marks, Nanos, Result, Shortfall, Tables,
    TcpSegment, Timestamp,
};

use crate::conns::Doubts;
use crate::ends::{End, Ends};

pub use columns::{ColumnDef, columns};
pub use distribution::{Bins, Distribution, millis};

use packets::Packets;

/// Rows of ended connections that are kept, unless [`Options::most_ended`] says otherwise.
pub const MOST_ENDED: usize = 1_000_000;

/// How a round-trip time was measured, and where.
#[derive(Copy, Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Method {
    /// By the kernel, at the socket.
    Socket,
    /// From packets, at the capture point.
    Packets,
}

impl Method {
    /// A stable lower-case name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Socket => "socket",
            Self::Packets => "packets",
        }
    }
}

/// Round trips of one end of a connection.
#[derive(Copy, Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Flow {
    /// Whose they are.
    pub end: End,
    /// When they were last measured or asked for.
    pub time: Timestamp,
    /// Smoothed (RFC 6298 section 2); `None` before the first sample.
    pub rtt: Option<Nanos>,
    /// Mean deviation.
    pub rttvar: Option<Nanos>,
    /// The smallest: of the kernel's window of five minutes, of packets ever.
    pub min_rtt: Option<Nanos>,
    /// Round trips that went into it; `None` where the kernel does not count them.
    pub samples: Option<u64>,
    /// Measured how and where.
    pub method: Method,
    /// Why what was measured from packets is not all, or may be another's. The kernel's own is exact.
    pub doubts: Doubts,
}

impl Flow {
    fn of_socket(sample: &SocketSample) -> Self {
        let tcp = sample.tcp.as_ref();
        let nanos = |micros: u32| Nanos::new(i64::from(micros) * 1_000);
        let rtt = tcp.and_then(|tcp| tcp.rtt_us()).map(nanos);
        Self {
            end: End::of_socket(sample),
            time: sample.time,
            rtt,
            // Before the first sample the kernel gives what it begins with.
            rttvar: tcp.and_then(|tcp| tcp.rttvar_us()).map(nanos).filter(|_| rtt.is_some()),
            min_rtt: tcp.and_then(|tcp| tcp.min_rtt_us()).map(nanos),
            samples: None,
            method: Method::Socket,
            doubts: Doubts::empty(),
        }
    }
}

/// What [`Latency`] is to keep.
#[derive(Copy, Clone, Debug, Default)]
pub struct Options {
    /// Most rows of ended connections; of more it is only known how many there were. 0 = [`MOST_ENDED`].
    pub most_ended: usize,
}

/// What is watched at one end.
#[derive(Debug)]
enum Watched {
    Socket(Flow),
    Packets(Box<Packets>),
}

impl Watched {
    /// With what is said of all that are seen from packets.
    fn flow(&self, shared: Doubts) -> Option<Flow> {
        match self {
            Self::Socket(flow) => Some(*flow),
            Self::Packets(packets) => packets.flow(shared),
        }
    }
}

/// The analyzer.
#[derive(Debug)]
pub struct Latency {
    open: Ends<Watched>,
    ended: Vec<Flow>,
    options: Options,
    /// Ended connections beyond the most that are kept.
    unreported: u64,
    /// What holds of all connections that are seen from their packets, and end from now on.
    shared: Doubts,
    /// Sockets that were last seen before this are gone, or not selected any more.
    listed: Timestamp,
}

impl Default for Latency {
    fn default() -> Self {
        Self::new(Options::default())
    }
}

impl Latency {
    /// With nothing seen yet.
    pub fn new(options: Options) -> Self {
        let most_ended = if options.most_ended == 0 { MOST_ENDED } else { options.most_ended };
        Self {
            open: Ends::default(),
            ended: Vec::new(),
            options: Options { most_ended },
            unreported: 0,
            shared: Doubts::empty(),
            listed: Timestamp::default(),
        }
    }

    /// A poll that began at this time was answered in full: a socket that was last seen before has no row until it is seen
    /// again, or its end is told.
    pub fn answered(&mut self, began: Timestamp) {
        self.listed = began;
    }

    /// Whether a poll has left a socket out since it was seen.
    fn is_left_out(&self, watched: &Watched) -> bool {
        matches!(watched, Watched::Socket(flow) if flow.time < self.listed)
    }

    /// A row for each end of a connection, that of the shortest round trip first; ends without any, last. Of connections
    /// that have ended too, until [`forget_ended`](Self::forget_ended).
    pub fn rows(&self) -> Vec<Flow> {
        let open = self.open.iter().filter(|watched| !self.is_left_out(watched));
        let open = open.filter_map(|watched| watched.flow(self.shared));
        let mut rows: Vec<Flow> = open.chain(self.ended.iter().copied()).collect();
        rows.sort_unstable_by(|a, b| {
            let (unknown, order) = (a.rtt.is_none().cmp(&b.rtt.is_none()), a.rtt.cmp(&b.rtt));
            unknown.then(order).then_with(|| (a.end, a.time).cmp(&(b.end, b.time)))
        });
        rows
    }

    /// Drops the rows of ended connections: they have been reported.
    pub fn forget_ended(&mut self) {
        self.ended.clear();
    }

    /// Says something of all connections that end from now on, beside what a pipeline tells by itself
    /// ([`Analyzer::falls_short`]): that whoever reads had enough, say.
    pub fn doubt(&mut self, doubts: Doubts) {
        self.shared |= doubts;
    }

    /// Ended connections that have no row since there were too many.
    pub fn unreported(&self) -> u64 {
        self.unreported
    }

    fn take_sample(&mut self, event: &FlowEvent, sample: &SocketSample, last: bool) {
        let mut flow = Flow::of_socket(sample);
        if let Some(Watched::Socket(before)) = self.open.get_mut(event.flow, event.direction) {
            if sample.protocol == IPPROTO_MPTCP {
                // It is over its subflow, which nobody holds.
                before.end = before.end.again(&flow.end);
            } else if before.end.cookie == flow.end.cookie {
                flow.end = flow.end.again(&before.end);
            }
        }
        if sample.protocol == IPPROTO_MPTCP {
            return;
        }
        let is_other =
            |watched: &mut Watched| matches!(watched, Watched::Socket(before) if before.end.cookie != flow.end.cookie);
        if last && self.open.get_mut(event.flow, event.direction).is_some_and(is_other) {
            // In its place there is another with the same ends, which goes on.
            if flow.rtt.is_some() {
                self.end(&Watched::Socket(flow));
            }
            return;
        }
        let over = last || !is_connection(sample.state);
        match (over, flow.rtt) {
            (false, _) => self.open.insert(event.flow, event.direction, Watched::Socket(flow)),
            // What is left of a closed connection often has no account any more; what it was before stands.
            (true, None) => {
                if let Some(before) = self.open.remove(event.flow, event.direction) {
                    self.end(&before);
                }
            }
            (true, Some(_)) => {
                self.open.remove(event.flow, event.direction);
                self.end(&Watched::Socket(flow));
            }
        }
    }

    fn take_segment(&mut self, event: &FlowEvent, segment: &TcpSegment, batch: &Batch<'_>) {
        if event.marks.contains(Marks::DUPLICATE) {
            return;
        }
        self.with_packets(event, batch, |packets| packets.observe(event, segment));
    }

    /// A packet whose segment could not be read.
    fn take_unread(&mut self, event: &FlowEvent, batch: &Batch<'_>) {
        if !event.marks.contains(Marks::DUPLICATE) {
            self.with_packets(event, batch, |packets| packets.doubt(Doubts::of_unread(event)));
        }
    }

    /// Of a connection what its packets say, kept once for both ends.
    fn with_packets(&mut self, event: &FlowEvent, batch: &Batch<'_>, take: impl FnOnce(&mut Packets)) {
        const BOTH: Direction = Direction::Forward;
        if let Some(Watched::Packets(packets)) = self.open.get_mut(event.flow, BOTH) {
            return take(packets);
        }
        let Some(record) = batch.flows.record(event.flow) else { return };
        let mut packets = Box::new(Packets::new(record.key, record.evidence));
        take(&mut packets);
        self.open.insert(event.flow, BOTH, Watched::Packets(packets));
    }

    fn finish(&mut self, id: FlowId, reason: EndReason) {
        for sends in [Direction::Forward, Direction::Reverse] {
            let Some(mut watched) = self.open.remove(id, sends) else { continue };
            if let Watched::Packets(packets) = &mut watched {
                packets.finish(reason);
            }
            if !self.is_left_out(&watched) {
                self.end(&watched);
            }
        }
    }

    fn end(&mut self, watched: &Watched) {
        let Some(flow) = watched.flow(self.shared) else { return };
        if self.ended.len() < self.options.most_ended {
            self.ended.push(flow);
        } else {
            self.unreported += 1;
        }
    }
}

/// Whether a socket in this state may exchange data with its peer, or has just done so.
pub(crate) fn is_connection(state: SocketState) -> bool {
    !matches!(state, SocketState::LISTEN | SocketState::CLOSE | SocketState::TIME_WAIT | SocketState::BOUND_INACTIVE)
}

impl Analyzer for Latency {
    fn name(&self) -> &str {
        "latency"
    }

    /// Sockets or TCP segments: whichever comes.
    fn needs(&self) -> Features {
        Features::empty()
    }

    fn observe(&mut self, batch: &Batch<'_>) -> Result<()> {
        for event in batch.events.iter().filter(|event| event.flow.is_some()) {
            match event.detail {
                Detail::End(reason) => self.finish(event.flow, reason),
                Detail::Tcp(ref segment) => self.take_segment(event, segment, batch),
                Detail::Socket(socket) if event.key.protocol == flowcore::Protocol::TCP => {
                    if let Some(sample) = batch.frames.socket(event) {
                        self.take_sample(event, sample, socket.last);
                    }
                }
                _ if event.packets > 0 && event.key.protocol == flowcore::Protocol::TCP => {
                    self.take_unread(event, batch);
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn snapshot(&self, out: &mut Tables) {
        let columns = columns();
        let mut table = Table::new("latency", columns.iter().map(|def| def.column.clone()).collect());
        table.rows = self
            .rows()
            .iter()
            .map(|flow| Row {
                cells: columns.iter().map(|def| (def.value)(flow)).collect(),
                quality: flow.doubts.quality(),
            })
            .collect();
        out.push(table);
    }

    fn falls_short(&mut self, reasons: Shortfall) {
        self.doubt(Doubts::of_shortfall(reasons));
    }
}

#[cfg(test)]
mod tests;
