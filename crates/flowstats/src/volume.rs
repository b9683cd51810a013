//! What connections carry, and what holds them up: the job of `flow vol`.
//!
//! [`Volume`] compares the counters of every TCP socket with what they were at a mark: segments and bytes in both
//! directions, retransmissions, and how long the kernel had something to send and what it then waited for. Beside that
//! stands what the socket says of the path now: its window in bytes, pacing and delivery rate.

mod columns;
mod totals;

use std::collections::HashMap;

use flowcore::event::{EndReason, SocketRef};
use flowcore::report::{Quality, Row, Table};
use flowcore::socket::{IPPROTO_MPTCP, SocketSample, SocketState};
use flowcore::{
    Analyzer, Batch, Detail, Direction, Features, FlowEvent, FlowId, Nanos, Protocol, Result, Tables, Timestamp,
};

use crate::ends::{End, Ends};
use crate::latency::{MOST_ENDED, is_connection};

pub use columns::{ColumnDef, columns};
pub use totals::{Total, Totals};

/// What a socket says of itself and its path at one moment. `None`: it does not.
#[derive(Copy, Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct Now {
    /// Congestion window, segments.
    pub window_segments: Option<u32>,
    /// Payload bytes of a segment sent, at most.
    pub mss: Option<u32>,
    /// Smoothed round-trip time.
    pub rtt: Option<Nanos>,
    /// Rate at which segments are paced, bytes per second; `None` also if it is not limited.
    pub pacing_rate: Option<u64>,
    /// Rate at which data was last delivered, bytes per second.
    pub delivery_rate: Option<u64>,
    /// The delivery rate was limited by the application: it says nothing of the path.
    pub application_limited: Option<bool>,
    /// Bytes that wait to be acknowledged or sent.
    pub send_queue: Option<u32>,
    /// Bytes that wait to be read.
    pub receive_queue: Option<u32>,
}

impl Now {
    fn of(sample: &SocketSample) -> Self {
        let tcp = sample.tcp.as_ref();
        Self {
            window_segments: tcp.and_then(|tcp| tcp.snd_cwnd()),
            mss: tcp.and_then(|tcp| tcp.snd_mss()),
            rtt: tcp.and_then(|tcp| tcp.rtt_us()).map(|micros| Nanos::new(i64::from(micros) * 1_000)),
            pacing_rate: tcp.and_then(|tcp| tcp.pacing_rate()),
            delivery_rate: tcp.and_then(|tcp| tcp.delivery_rate()),
            application_limited: tcp.and_then(|tcp| tcp.delivery_rate_app_limited()),
            send_queue: sample.send_queue,
            receive_queue: sample.receive_queue,
        }
    }

    /// The congestion window, bytes: cwnd × mss. A sender whom only the network limits has this much on its way in a
    /// round trip, so it estimates the path's bandwidth-delay product.
    pub fn window_bytes(&self) -> Option<u64> {
        Some(u64::from(self.window_segments?) * u64::from(self.mss?))
    }

    /// What that window allows, bytes per second: cwnd × mss / rtt.
    pub fn window_rate(&self) -> Option<f64> {
        let seconds = self.rtt.filter(|rtt| *rtt > Nanos::ZERO)?.as_secs_f64();
        Some(self.window_bytes()? as f64 / seconds)
    }
}

/// What held a sender up most of the time.
#[derive(Copy, Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Limit {
    /// It had nothing to send more than half of the time, or what it sent did not fill the congestion window.
    Application,
    /// The peer's receive window.
    ReceiveWindow,
    /// Its own send buffer.
    SendBuffer,
    /// None of these: the congestion window, so the path.
    Network,
}

impl Limit {
    /// A stable lower-case name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Application => "application",
            Self::ReceiveWindow => "receive_window",
            Self::SendBuffer => "send_buffer",
            Self::Network => "network",
        }
    }
}

/// One end of a connection over an interval.
#[derive(Copy, Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Carried {
    /// Whose it is.
    pub end: End,
    /// When the counting began: at the mark, or when the socket was first seen.
    pub from: Timestamp,
    /// When the socket was last asked.
    pub through: Timestamp,
    /// What was counted in between.
    pub counted: Totals,
    /// How it stands.
    pub now: Now,
    /// The socket is gone.
    pub ended: bool,
    /// What it counted at the very end is not known: the counts are lower bounds.
    pub is_cut: bool,
}

impl Carried {
    /// How far its numbers can be trusted.
    pub fn quality(&self) -> Quality {
        Quality { at_least: if self.is_cut { vec!["last_counts_unknown"] } else { Vec::new() } }
    }

    /// How long it was counted.
    pub fn span(&self) -> Nanos {
        self.through - self.from
    }

    /// Per second of that; `None` if it was no time at all.
    pub fn rate(&self, total: Total) -> Option<f64> {
        let seconds = Some(self.span()).filter(|span| *span > Nanos::ZERO)?.as_secs_f64();
        Some(self.counted.get(total)? as f64 / seconds)
    }

    /// The part of the interval in which there was something to send or to be acknowledged, in per cent.
    pub fn busy_percent(&self) -> Option<f64> {
        // Per second of 10⁶ µs; the kernel's clock and ours differ by a poll's jitter.
        Some((self.rate(Total::BusyMicros)? / 1e4).min(100.0))
    }

    /// The part of that time in which `total` held the sender up, in per cent; `None` if it was never busy.
    pub fn percent_of_busy(&self, total: Total) -> Option<f64> {
        let busy = self.counted.get(Total::BusyMicros).filter(|&busy| busy > 0)?;
        Some((self.counted.get(total)? as f64 * 100.0 / busy as f64).min(100.0))
    }

    /// What held the sender up most; `None` where the kernel does not tell (before Linux 4.10), or no time has passed.
    ///
    /// The kernel is busy while anything is unacknowledged, also where a sender waits for a late ACK and has no more to
    /// send. Of such it says that the application limited the delivery rate; every later sample that the application did
    /// not limit takes that back (`tcp_rate_gen`), so where it is said it is true of what was delivered last.
    pub fn limit(&self) -> Option<Limit> {
        // Before there is a connection nothing is held up.
        if matches!(self.end.state, Some(SocketState::SYN_SENT | SocketState::SYN_RECV | SocketState::NEW_SYN_RECV)) {
            return None;
        }
        if self.busy_percent()? < 50.0 {
            return Some(Limit::Application);
        }
        let window = self.percent_of_busy(Total::WindowMicros)?;
        let buffer = self.percent_of_busy(Total::BufferMicros)?;
        let network = 100.0 - window - buffer;
        Some(match () {
            () if window >= buffer && window >= network => Limit::ReceiveWindow,
            () if buffer >= network => Limit::SendBuffer,
            () if self.now.application_limited == Some(true) => Limit::Application,
            () => Limit::Network,
        })
    }
}

/// What is kept of a socket.
#[derive(Copy, Clone, Debug)]
struct Watched {
    end: End,
    /// When it was first seen, and its counters then; 0 if it came after the first mark.
    began: (Timestamp, Totals),
    /// The same at the latest mark.
    marked: (Timestamp, Totals),
    through: Timestamp,
    latest: Totals,
    now: Now,
    ended: bool,
    is_cut: bool,
}

impl Watched {
    fn since(&self, (from, before): (Timestamp, Totals)) -> Carried {
        let Self { end, through, now, ended, is_cut, .. } = *self;
        Carried { end, from, through, counted: self.latest.since(&before), now, ended, is_cut }
    }

    /// Takes in a sample; `over`: there is none after it.
    fn see(&mut self, sample: &SocketSample, over: bool) {
        match &sample.tcp {
            Some(tcp) => {
                // What it was bound to, and its state, may have changed.
                self.end = End::of_socket(sample).again(&self.end);
                (self.latest, self.now, self.through) = (Totals::of(tcp), Now::of(sample), sample.time);
            }
            // What is left of a closed connection often has no account any more.
            None if over => (self.end.state, self.is_cut) = (Some(sample.state), true),
            None => {}
        }
    }
}

/// How long the end of a socket is waited for that no poll finds: it comes when its application closes it.
const KEPT: Nanos = Nanos::from_secs(3_600);

/// The analyzer.
#[derive(Debug, Default)]
pub struct Volume {
    open: Ends<Watched>,
    /// Those whose ports another may have, by cookie, until they end: the notice of that comes late. At most [`MOST_ENDED`].
    away: HashMap<u64, Watched>,
    /// Since the latest mark; at most [`MOST_ENDED`].
    ended: Vec<Watched>,
    /// What was last seen before this is gone, or not selected any more.
    listed: Timestamp,
    /// The time of the latest mark.
    marked: Option<Timestamp>,
    unreported: u64,
}

impl Volume {
    /// With nothing seen yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Counts from here on. A socket that is first seen after a mark was made after it, and is counted from its
    /// beginning; what it was before the first mark is not known to belong here. Ended sockets are dropped.
    pub fn mark(&mut self, time: Timestamp) {
        self.marked = Some(time);
        self.ended.clear();
        for watched in self.open.iter_mut().chain(self.away.values_mut()) {
            watched.marked = (watched.through, watched.latest);
        }
    }

    /// A poll that began at this time was answered in full: a socket that was last seen before has no row until it is seen
    /// again, or its end is told.
    pub fn answered(&mut self, began: Timestamp) {
        self.listed = began;
        self.away.retain(|_, watched| began - watched.through < KEPT);
    }

    /// What every socket has carried since the latest mark, or since it was first seen, by its ends; also those that
    /// have ended since.
    pub fn rows(&self) -> Vec<Carried> {
        let mut rows: Vec<Carried> = self.shown().map(|watched| watched.since(watched.marked)).collect();
        rows.sort_unstable_by_key(|row| (row.end, row.from));
        rows
    }

    fn shown(&self) -> impl Iterator<Item = &Watched> {
        let open = self.open.iter().chain(self.away.values());
        open.filter(|watched| watched.through >= self.listed).chain(&self.ended)
    }

    /// Ended sockets that have no row since there were too many.
    pub fn unreported(&self) -> u64 {
        self.unreported
    }

    fn take(&mut self, event: &FlowEvent, socket: SocketRef, sample: &SocketSample) {
        if sample.protocol == IPPROTO_MPTCP {
            // It is over its subflow, which nobody holds.
            if let Some(watched) = self.open.get_mut(event.flow, event.direction) {
                watched.end = watched.end.again(&End::of_socket(sample));
            }
            return;
        }
        let over = socket.last || !is_connection(sample.state);
        let in_place = self.open.get_mut(event.flow, event.direction);
        if in_place.is_none_or(|watched| watched.end.cookie != sample.cookie) {
            if socket.last {
                return self.end_away(socket, sample);
            }
            if !over && sample.tcp.is_some() {
                self.put_in_place(event, socket, sample);
            }
        }
        let Some(watched) = self.open.get_mut(event.flow, event.direction) else { return };
        watched.see(sample, over);
        if over && let Some(watched) = self.open.remove(event.flow, event.direction) {
            self.finish(watched);
        }
    }

    /// What is kept of a socket from its first sample on.
    fn begin(&self, socket: SocketRef, sample: &SocketSample) -> Watched {
        let (latest, through) = (sample.tcp.as_ref().map(Totals::of).unwrap_or_default(), sample.time);
        let began = match self.marked.filter(|_| socket.first) {
            Some(marked) => (marked.min(through), Totals::default()),
            None => (through, latest),
        };
        let (end, now) = (End::of_socket(sample), Now::of(sample));
        // Of one that ends and was not seen here what it carried is not known.
        let is_cut = socket.last && !socket.first;
        Watched { end, began, marked: began, through, latest, now, ended: false, is_cut }
    }

    /// Puts a socket in the place of its ends; it may have been away.
    fn put_in_place(&mut self, event: &FlowEvent, socket: SocketRef, sample: &SocketSample) {
        let before = sample.cookie.and_then(|cookie| self.away.remove(&cookie));
        if let Some(old) = self.open.remove(event.flow, event.direction) {
            self.put_away(old);
        }
        let watched = before.unwrap_or_else(|| self.begin(socket, sample));
        self.open.insert(event.flow, event.direction, watched);
    }

    /// Keeps a socket of which only the end may be told yet.
    fn put_away(&mut self, watched: Watched) {
        match watched.end.cookie.filter(|_| self.away.len() < MOST_ENDED) {
            Some(cookie) => drop(self.away.insert(cookie, watched)),
            None => self.finish(watched),
        }
    }

    /// The end of a socket that is not in the place of its ends.
    fn end_away(&mut self, socket: SocketRef, sample: &SocketSample) {
        match sample.cookie.and_then(|cookie| self.away.remove(&cookie)) {
            Some(mut watched) => {
                watched.see(sample, true);
                self.finish(watched);
            }
            None if sample.tcp.is_some() => self.finish(self.begin(socket, sample)),
            None => {}
        }
    }

    fn finish(&mut self, watched: Watched) {
        if self.ended.len() < MOST_ENDED {
            self.ended.push(Watched { ended: true, ..watched });
        } else {
            self.unreported += 1;
        }
    }

    /// A flow has ended, or others have its ports now.
    fn end_flow(&mut self, flow: FlowId, reason: EndReason) {
        for sends in [Direction::Forward, Direction::Reverse] {
            match self.open.remove(flow, sends) {
                // That of one end, maybe: the notice of the other's comes late.
                Some(watched) if reason == EndReason::EndOfFlow => self.put_away(watched),
                // What is not listed any more has been told.
                Some(watched) if watched.through >= self.listed => self.finish(watched),
                _ => {}
            }
        }
    }
}

impl Analyzer for Volume {
    fn name(&self) -> &str {
        "volume"
    }

    fn needs(&self) -> Features {
        Features::SOCKETS
    }

    fn observe(&mut self, batch: &Batch<'_>) -> Result<()> {
        for event in batch.events.iter().filter(|event| event.flow.is_some()) {
            match event.detail {
                Detail::End(reason) => self.end_flow(event.flow, reason),
                Detail::Socket(socket) if event.key.protocol == Protocol::TCP => {
                    if let Some(sample) = batch.frames.socket(event) {
                        self.take(event, socket, sample);
                    }
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// Counted since each socket was first seen, whatever marks there were.
    fn snapshot(&self, out: &mut Tables) {
        let columns = columns();
        let mut table = Table::new("volume", columns.iter().map(|def| def.column.clone()).collect());
        let rows = self.shown().map(|watched| watched.since(watched.began));
        table.rows = rows
            .map(|row| Row { cells: columns.iter().map(|def| (def.value)(&row)).collect(), quality: row.quality() })
            .collect();
        out.push(table);
    }
}

#[cfg(test)]
mod tests;
