//! One row per connection: the job of `flow conns`.

mod columns;
mod course;

use bitflags::bitflags;
use flowcore::flows::Slots;
use flowcore::report::{Quality, Row, Table, Value};
use flowcore::wire::Layers;
use flowcore::{
    Analyzer, Batch, Detail, Direction, EndReason, Evidence, Features, FlowEvent, FlowId, FlowRecord, Flows, Layer,
    Marks, Nanos, Notes, Protocol, Result, Shortfall, Tables, TcpFlags, Timestamp, prefetch_whole,
};
use std::fmt;

use crate::slab::{Place, Slab};
use crate::tcp::{ConnState, Course, Dynamics, Figures, Handshake, History, Keeper, Pages, Spans, Tcp, udp_state};

pub use columns::{COLUMNS, ColumnDef, column};
pub use course::COURSE_COLUMNS;

/// What one direction of a connection has carried.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Counts {
    /// Packets.
    pub packets: u64,
    /// Bytes on the wire, link layer included.
    pub wire_bytes: u64,
    /// Bytes of the (innermost) IP packets by their length fields.
    pub network_bytes: u64,
    /// Bytes of transport payload by the headers' length fields, retransmissions included.
    pub payload_bytes: u64,
}

bitflags! {
    /// Why a connection's counts are only lower bounds.
    #[derive(Copy, Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
    pub struct Doubts: u16 {
        /// TCP seen without its SYN: it began before the capture, or the capture missed the beginning.
        const MIDSTREAM = 1;
        /// Bytes, or the responder's SYN, were acknowledged that the capture never saw.
        const GAP = 2;
        /// The source has lost packets; which flows they belonged to is unknown.
        const LOSS = 4;
        /// The input broke off while the connection was open.
        const INPUT_CUT = 8;
        /// A packet of it was cut before its lengths could be read, or they contradict each other. Where the course is
        /// followed, also: cut before options that tell what was sent again.
        const HEADERS_CUT = 16;
        /// Whoever reads had enough while the connection was open.
        const STOPPED = 32;
        /// Packets found no room in the flow table; which connections they belonged to is not kept.
        const UNTRACKED = 64;
        /// Bytes were jumped over that came neither later nor were acknowledged: lost on their way, or by the capture.
        const HOLE = 128;
        /// It was silent for longer than its idle time while it was open: what came later has a row of its own.
        const IDLE = 256;
        /// Fragments of a datagram came before the one that has the ports, or without it: those are in a row without
        /// ports. Or the first fragment of an 802.11 frame, whose later ones are in no row.
        const FRAGMENTS = 512;
        /// The source notes no time for some of its packets: it has no times to tell.
        const NO_TIME = 1024;
        /// A frame of it held more packets than the one that was read (IEEE 802.11 A-MSDU); they may be of any connection.
        const AGGREGATED = 2048;
        /// A filter of packets may have taken some of it out. What else is missing may then be its doing too.
        const FILTERED = 4096;
    }
}

impl Doubts {
    /// What holds of everything where so much is missing.
    pub(crate) fn of_shortfall(reasons: Shortfall) -> Self {
        let mut doubts = Self::empty();
        doubts.set(Self::LOSS, reasons.contains(Shortfall::LOSS));
        doubts.set(Self::UNTRACKED, reasons.contains(Shortfall::UNTRACKED));
        doubts.set(Self::INPUT_CUT, reasons.contains(Shortfall::CUT));
        doubts.set(Self::FILTERED, reasons.contains(Shortfall::FILTERED));
        doubts
    }

    /// What a packet says by itself.
    #[inline]
    pub(crate) fn of_packet(event: &FlowEvent) -> Self {
        let mut doubts = Self::empty();
        doubts.set(Self::FRAGMENTS, event.notes.contains(Notes::APART));
        doubts.set(Self::NO_TIME, event.notes.contains(Notes::UNTIMED));
        doubts.set(Self::AGGREGATED, event.notes.contains(Notes::AGGREGATED));
        doubts
    }

    /// What a packet says by itself that has no segment: a transport header that was cut before its lengths leaves the
    /// payload unknown; headers cut before it leave more so.
    pub(crate) fn of_unread(event: &FlowEvent) -> Self {
        let torn = Notes::CUT | Notes::MALFORMED;
        let torn = matches!(event.stopped, Layer::Network | Layer::Tunnel) && event.notes.intersects(torn);
        let unread = torn || event.stopped == Layer::Transport || event.key.protocol == Protocol::TCP;
        let mut doubts = Self::empty();
        doubts.set(Self::HEADERS_CUT, unread && !event.notes.contains(Notes::LATER_FRAGMENT));
        doubts
    }

    /// What a connection's numbers say of the capture.
    pub(crate) fn of_stream(tcp: &Tcp) -> Self {
        let mut doubts = Self::empty();
        doubts.set(Self::GAP, tcp.has_gaps());
        doubts.set(Self::HOLE, tcp.has_holes());
        doubts
    }

    /// The reasons by name, in a stable order.
    pub fn quality(self) -> Quality {
        let names = [
            (Self::MIDSTREAM, "midstream"),
            (Self::GAP, "gap"),
            (Self::LOSS, "loss"),
            (Self::INPUT_CUT, "input_cut"),
            (Self::HEADERS_CUT, "headers_cut"),
            (Self::STOPPED, "stopped"),
            (Self::UNTRACKED, "untracked"),
            (Self::HOLE, "hole"),
            (Self::IDLE, "idle"),
            (Self::FRAGMENTS, "fragments"),
            (Self::NO_TIME, "no_time"),
            (Self::AGGREGATED, "aggregated"),
            (Self::FILTERED, "filtered"),
        ];
        Quality { at_least: names.iter().filter(|(bit, _)| self.contains(*bit)).map(|(_, name)| *name).collect() }
    }
}

impl std::ops::AddAssign for Counts {
    fn add_assign(&mut self, more: Self) {
        self.packets = self.packets.saturating_add(more.packets);
        self.wire_bytes = self.wire_bytes.saturating_add(more.wire_bytes);
        self.network_bytes = self.network_bytes.saturating_add(more.network_bytes);
        self.payload_bytes = self.payload_bytes.saturating_add(more.payload_bytes);
    }
}

/// [`Counts`] in half the room. What outgrows it goes to [`Side`].
#[derive(Copy, Clone, Default)]
struct Recent {
    packets: u32,
    wire_bytes: u32,
    network_bytes: u32,
    payload_bytes: u32,
}

impl Recent {
    /// With one event more; both as counts if that does not fit.
    #[inline]
    fn with(self, event: &FlowEvent) -> std::result::Result<Self, Counts> {
        let sum = Counts {
            packets: u64::from(self.packets) + u64::from(event.packets),
            wire_bytes: u64::from(self.wire_bytes).saturating_add(event.bytes),
            network_bytes: u64::from(self.network_bytes) + u64::from(event.network_bytes),
            payload_bytes: u64::from(self.payload_bytes) + u64::from(event.payload_bytes),
        };
        if (sum.packets | sum.wire_bytes | sum.network_bytes | sum.payload_bytes) >> u32::BITS != 0 {
            return Err(sum);
        }
        Ok(Self {
            packets: sum.packets as u32,
            wire_bytes: sum.wire_bytes as u32,
            network_bytes: sum.network_bytes as u32,
            payload_bytes: sum.payload_bytes as u32,
        })
    }
}

impl From<Recent> for Counts {
    fn from(recent: Recent) -> Self {
        Self {
            packets: recent.packets.into(),
            wire_bytes: recent.wire_bytes.into(),
            network_bytes: recent.network_bytes.into(),
            payload_bytes: recent.payload_bytes.into(),
        }
    }
}

/// One connection's state while it is open. Of its three cache lines an ordinary segment touches the first 96 bytes: the
/// counts, and the beginning of [`Tcp`].
#[derive(Default)]
#[repr(C, align(32))]
struct Open {
    recent: [Recent; 2],
    tcp: Tcp,
    side: Option<Box<Side>>,
    /// Its place in [`Conns::followed`], if it has one.
    followed: Place,
    doubts: Doubts,
    /// A connection is here: its first event, or the first that a filter let through, was seen.
    begun: bool,
    /// What its packets have beside IP is kept: `side` lies farther away.
    layered: bool,
}

const _: () = assert!(size_of::<Open>() == 160);

/// What is followed beside at [`Depth::Course`].
#[derive(Default)]
#[repr(C)]
struct Followed {
    dynamics: Dynamics,
    spans: Spans,
}

/// What only some connections have.
#[derive(Debug, Default)]
struct Side {
    layers: Option<Box<Layers>>,
    duplicates: u64,
    /// What no longer fitted into [`Open::recent`].
    earlier: [Counts; 2],
}

impl Open {
    #[cold]
    #[inline(never)]
    fn outgrow(&mut self, direction: Direction, counts: Counts) {
        self.side.get_or_insert_default().earlier[direction.index()] += counts;
        self.recent[direction.index()] = Recent::default();
    }

    fn counts(&self) -> [Counts; 2] {
        let mut counts = self.side.as_ref().map_or([Counts::default(); 2], |side| side.earlier);
        for (counts, recent) in counts.iter_mut().zip(self.recent) {
            *counts += recent.into();
        }
        counts
    }
}

/// One connection that has ended: [`Conns`] tells nothing of open ones but how many there are.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Connection {
    /// Identity, times and orientation.
    pub flow: FlowRecord,
    /// Indexed by [`Direction`].
    pub counts: [Counts; 2],
    /// Zeek's connection state.
    pub state: ConnState,
    /// Zeek's history letters; empty for protocols that have none.
    pub history: History,
    /// What TCP adds.
    pub tcp: Option<TcpFacts>,
    /// Round trips, retransmissions, requests and the like, if they were asked for ([`Depth::Course`]).
    pub course: Option<Box<(Course, Figures)>>,
    /// VLANs, labels and tunnels of the first packet that had any, and what an ICMP error quotes.
    pub layers: Option<Box<Layers>>,
    /// Packets also seen on another interface; they are not in `counts`.
    pub duplicate_packets: u64,
    /// Why the counts are only lower bounds; empty = they are exact.
    pub doubts: Doubts,
}

/// What a TCP connection has beside its counts.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct TcpFacts {
    /// Bits of [`crate::tcp::completeness`].
    pub completeness: u8,
    /// Control bits that each direction has sent.
    pub flags: [TcpFlags; 2],
    /// When the handshake's steps were seen.
    pub handshake: Handshake,
    /// Payload by sequence numbers, each byte once.
    pub stream_bytes: [u64; 2],
    /// Acknowledged but never seen, by the direction that sent them.
    pub missed_bytes: [u64; 2],
    /// Time of the latest segment before both ends had closed.
    pub active_until: Option<Timestamp>,
}

impl Connection {
    /// From the first to the last packet; `None` if not every packet had a time of its own ([`Doubts::NO_TIME`]).
    pub fn duration(&self) -> Option<Nanos> {
        self.is_timed().then(|| self.flow.last - self.flow.start)
    }

    fn is_timed(&self) -> bool {
        !self.doubts.contains(Doubts::NO_TIME)
    }

    /// A time, where every packet had one of its own.
    fn timed(&self, value: impl FnOnce() -> Value) -> Value {
        if self.is_timed() { value() } else { Value::Missing }
    }
}

/// How much is found out about every connection.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Depth {
    /// Counts and state.
    #[default]
    Plain,
    /// The course of TCP connections too: [`COURSE_COLUMNS`].
    Course,
}

/// The analyzer: takes in events, gives one [`Connection`] for every flow that ends.
#[derive(Default)]
pub struct Conns {
    open: Slots<Open>,
    /// Beside `open`, at [`Depth::Course`].
    followed: Option<Slab<Followed>>,
    pages: Pages,
    live: usize,
    finished: Vec<Connection>,
    /// What holds of every connection that ends from now on.
    shared: Doubts,
}

impl fmt::Debug for Conns {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Conns")
            .field("open", &self.live)
            .field("finished", &self.finished.len())
            .field("shared", &self.shared)
            .finish_non_exhaustive()
    }
}

/// From this many open connections on their state is prefetched.
const PREFETCH_FROM: usize = 4 * 1024;

/// So many events ahead.
const AHEAD: usize = 32;

impl Conns {
    /// With nothing seen yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// The same, finding out as much as `depth` says.
    pub fn with(depth: Depth) -> Self {
        Self { followed: (depth == Depth::Course).then(Slab::default), ..Self::default() }
    }

    /// Moves the connections that have ended into `out`, in the order of their ends.
    pub fn take_finished(&mut self, out: &mut Vec<Connection>) {
        if out.is_empty() {
            // Not one by one: they are large.
            std::mem::swap(out, &mut self.finished);
        } else {
            out.append(&mut self.finished);
        }
    }

    /// Says something of all connections that end from now on, beside what a pipeline tells by itself
    /// ([`Analyzer::falls_short`]): that whoever reads had enough, say.
    pub fn doubt(&mut self, doubts: Doubts) {
        self.shared |= doubts;
    }

    /// Connections that are open now.
    pub fn open(&self) -> usize {
        self.live
    }

    /// Bytes of state for one open connection, beside the flow table's and what only connections in trouble have.
    pub const fn bytes_per_connection(depth: Depth) -> usize {
        let more = match depth {
            Depth::Plain => 0,
            Depth::Course => size_of::<Followed>(),
        };
        size_of::<Open>() + more
    }

    /// Asks for the state of an event's connection.
    #[inline(always)]
    fn prefetch(&self, event: &FlowEvent) {
        if let Some(open) = self.open.get(event.flow) {
            prefetch_whole(open);
        }
    }

    /// Asks for what events behind that at `place` will touch. What is asked for first leads farther once it is near.
    #[inline(always)]
    fn prefetch_ahead(&self, events: &[FlowEvent], place: usize) {
        if let Some(later) = events.get(place + AHEAD) {
            self.prefetch(later);
        }
        let Some(all) = &self.followed else { return };
        let followed = |event: &FlowEvent| all.get(self.open.get(event.flow)?.followed);
        if let Some(later) = events.get(place + AHEAD / 2)
            && let Some(followed) = followed(later)
        {
            prefetch_whole(followed);
        }
        if let Some(soon) = events.get(place + AHEAD / 4)
            && let Some(Followed { spans, .. }) = followed(soon)
        {
            spans.prefetch_page(matches!(soon.detail, Detail::End(_)), &self.pages);
        }
    }

    #[inline]
    fn take(&mut self, event: &FlowEvent, batch: &Batch<'_>) {
        let open = self.open.entry(event.flow);
        // What has counted packets has begun: the flag itself lies in a cache line that is not wanted here.
        let blank = open.recent[0].packets | open.recent[1].packets == 0;
        let special = blank
            || event.marks.contains(Marks::DUPLICATE)
            || event.layers != 0
            || event.notes.intersects(Notes::APART | Notes::UNTIMED | Notes::AGGREGATED);
        if special {
            self.live += usize::from(!open.begun);
            if !prepare(open, event, batch) {
                return;
            }
        }
        let recent = &mut open.recent[event.direction.index()];
        match recent.with(event) {
            Ok(more) => *recent = more,
            Err(counts) => open.outgrow(event.direction, counts),
        }
        match &event.detail {
            Detail::Tcp(segment) => match &mut self.followed {
                None => open.tcp.observe(segment, event.payload_bytes, event.direction, event.time),
                Some(followed) => {
                    let Followed { dynamics, spans } = followed.entry_or_begin(&mut open.followed);
                    dynamics.observe(&mut open.tcp, event, segment, &mut Keeper { spans, pages: &mut self.pages });
                }
            },
            _ => {
                open.doubts |= Doubts::of_unread(event);
            }
        }
    }

    #[inline(never)]
    fn finish(&mut self, id: FlowId, reason: EndReason, flows: &Flows) {
        let (Some(open), Some(record)) = (self.open.get_mut(id), flows.record(id)) else { return };
        if !open.begun {
            // A filter let nothing of it through.
            return;
        }
        if reason == EndReason::Idle && open.tcp.may_go_on() {
            open.doubts |= Doubts::IDLE;
        }
        // Written where it stays: it is large.
        self.finished.push(describe(open, record, self.shared));
        if let Some(connection) = self.finished.last_mut()
            && connection.tcp.is_some()
            && let Some(all) = &mut self.followed
        {
            // Of one whose headers were cut nothing was.
            let Followed { dynamics, spans } = all.entry_or_begin(&mut open.followed);
            dynamics.finish(&mut open.tcp, reason, &mut Keeper { spans, pages: &mut self.pages });
            if dynamics.lacks_options() {
                connection.doubts |= Doubts::HEADERS_CUT;
            }
            connection.course = Some(Box::new((dynamics.course(&open.tcp), spans.take(&mut self.pages))));
            all.end(open.followed);
        }
        // What was boxed dies with the connection, and the next one begins from nothing.
        *open = Open::default();
        self.live -= 1;
    }
}

/// What some events ask for before they are counted; `false` if they are not to be counted. On its own, so that the
/// loop over the others stays short.
#[inline(never)]
fn prepare(open: &mut Open, event: &FlowEvent, batch: &Batch<'_>) -> bool {
    if !open.begun {
        open.begun = true;
        begin(open, event, batch);
    }
    open.doubts |= Doubts::of_packet(event);
    if event.layers != 0
        && !open.layered
        && let Some(layers) = batch.frames.layers(event)
    {
        open.layered = true;
        open.side.get_or_insert_default().layers = Some(Box::new(layers.clone()));
    }
    if event.marks.contains(Marks::DUPLICATE) {
        open.side.get_or_insert_default().duplicates += u64::from(event.packets);
        return false;
    }
    true
}

/// Sets up what the first event tells.
fn begin(open: &mut Open, event: &FlowEvent, batch: &Batch<'_>) {
    let Detail::Tcp(_) = event.detail else { return };
    let Some(evidence) = batch.flows.evidence(event.flow) else { return };
    if evidence != Evidence::Syn {
        open.doubts |= Doubts::MIDSTREAM;
    }
    if matches!(evidence, Evidence::SynAck | Evidence::Ports) {
        open.tcp.flip();
    }
}

#[inline(always)]
fn describe(open: &mut Open, flow: FlowRecord, shared: Doubts) -> Connection {
    let counts = open.counts();
    let [forward, reverse] = counts;
    let mut doubts = open.doubts | shared;
    let (state, history, tcp) = match flow.key.protocol {
        // A flow of later fragments alone has no ports and no segments.
        Protocol::TCP => {
            let missed_bytes = open.tcp.missed_bytes();
            if open.tcp.has_syn() {
                // It was captured behind what it began.
                doubts.remove(Doubts::MIDSTREAM);
            }
            doubts |= Doubts::of_stream(&open.tcp);
            let facts = TcpFacts {
                completeness: open.tcp.completeness(),
                flags: open.tcp.flags(),
                handshake: open.tcp.handshake_times(),
                stream_bytes: open.tcp.stream_bytes(),
                missed_bytes,
                active_until: open.tcp.active_until(),
            };
            (open.tcp.state(), open.tcp.history().clone(), Some(facts))
        }
        Protocol::UDP | Protocol::UDP_LITE => {
            let flipped = matches!(flow.evidence, Evidence::Ports);
            let mut history = History::default();
            for (said, letter) in
                [(flipped, b'^'), (forward.payload_bytes > 0, b'D'), (reverse.payload_bytes > 0, b'd')]
            {
                if said {
                    history.push(letter);
                }
            }
            (udp_state(forward.packets > 0, reverse.packets > 0), history, None)
        }
        _ => (ConnState::OTH, History::default(), None),
    };
    let side = open.side.as_deref_mut();
    Connection {
        flow,
        counts,
        state,
        history,
        tcp,
        course: None,
        duplicate_packets: side.as_ref().map_or(0, |side| side.duplicates),
        layers: side.and_then(|side| side.layers.take()),
        doubts,
    }
}

impl Analyzer for Conns {
    fn name(&self) -> &str {
        "conns"
    }

    fn needs(&self) -> Features {
        Features::PACKETS
    }

    fn observe(&mut self, batch: &Batch<'_>) -> Result<()> {
        let far = self.live >= PREFETCH_FROM;
        let events = batch.events;
        if far {
            events.iter().take(AHEAD).for_each(|event| self.prefetch(event));
        }
        for (place, event) in events.iter().enumerate() {
            if far {
                self.prefetch_ahead(events, place);
            }
            if !event.flow.is_some() {
                continue;
            }
            if let Detail::End(reason) = event.detail {
                self.finish(event.flow, reason, batch.flows);
            } else {
                self.take(event, batch);
            }
        }
        Ok(())
    }

    fn falls_short(&mut self, reasons: Shortfall) {
        self.doubt(Doubts::of_shortfall(reasons));
    }

    /// The connections that have ended and not been taken. Open ones have no row before they end.
    fn snapshot(&self, out: &mut Tables) {
        let (more, row): (&[ColumnDef], fn(&Connection) -> Row) =
            if self.followed.is_some() { (&COURSE_COLUMNS, full_row) } else { (&[], row) };
        let columns = COLUMNS.iter().chain(more).map(|def| def.column.clone());
        let mut table = Table::new("conns", columns.collect());
        table.rows = self.finished.iter().map(row).collect();
        out.push(table);
    }
}

/// A connection as a row of all [`COLUMNS`].
pub fn row(connection: &Connection) -> Row {
    Row { cells: COLUMNS.iter().map(|def| (def.value)(connection)).collect(), quality: connection.doubts.quality() }
}

/// A connection as a row of all [`COLUMNS`] and [`COURSE_COLUMNS`].
pub fn full_row(connection: &Connection) -> Row {
    let mut row = row(connection);
    row.cells.extend(COURSE_COLUMNS.iter().map(|def| (def.value)(connection)));
    row
}

/// The counts of one direction.
impl std::ops::Index<Direction> for Connection {
    type Output = Counts;
    fn index(&self, direction: Direction) -> &Counts {
        &self.counts[direction.index()]
    }
}

#[cfg(test)]
mod tests;
