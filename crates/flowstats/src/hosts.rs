//! One row per remote host: the job of `flow hosts`.
//!
//! The table that TRTOP (TCP Remote TOP) promised: how well every remote that this host talks to answers. Its columns
//! and thresholds are TRTOP's, what they mean is put right; [`Tally`] says what each number is.
//!
//! Rows are kept per remote address, or per address and service port ([`Options::by_port`]); [`Hosts::rows`] asks a
//! resolver for their names, and those of one name become one row. Numbers inside, names at the edge.

mod columns;
mod report;
mod side;
mod tally;
mod undecided;

use std::collections::{HashMap, HashSet};
use std::fmt;

use flowcore::event::EndReason;
use flowcore::flows::Slots;
use flowcore::resolve::Numeric;
use flowcore::{
    Addr, Analyzer, Batch, Detail, Features, FlowEvent, FlowId, Flows, Marks, Result, Shortfall, Tables, TcpFlags,
    TcpSegment, Timestamp, Verdict, prefetch, prefetch_either, prefetch_whole,
};

use crate::conns::Doubts;
use crate::slab::{Place, Slab};
use crate::tcp::Followed;

pub use columns::{ColumnDef, columns};
pub use report::{Host, Levels, MOST_LEVELS, Who};
pub use side::{Side, View};
pub use tally::{Began, Measure, Tally};

use tally::{Course, Sample, Told};
use undecided::{Undecided, Waiting};

/// What [`Hosts`] is to look at.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Which end of a connection is the remote.
    pub view: View,
    /// A row per remote and service port instead of one per remote. For resolvers that tell ports apart, too.
    pub by_port: bool,
    /// Which connections have rows of their own; the others are counted together in one.
    pub listing: Listing,
    /// Most rows; the connections of further remotes are counted together in one. 0 = [`MOST_ROWS`].
    pub most_rows: usize,
    /// No table in snapshots, for callers who ask for [`Hosts::rows`] themselves: to make one is not cheap.
    pub without_table: bool,
}

/// Which connections have rows, by what the pipeline's whitelist says in the end: rows do not depend on how fast names
/// come. What it could not judge because the name never came always has: hiding it would be a guess.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
pub enum Listing {
    /// All.
    #[default]
    All,
    /// Those that are allowed, as TRTOP had it.
    Allowed,
    /// Those that are not.
    Unlisted,
}

impl Listing {
    /// Whether a connection with these marks has a row.
    fn shows(self, marks: Marks) -> bool {
        match self {
            Self::All => true,
            Self::Allowed => marks.intersects(Marks::ALLOWED | Marks::UNDECIDED),
            Self::Unlisted => !marks.contains(Marks::ALLOWED),
        }
    }

    /// Whether marks like these may yet change the answer.
    fn waits_for(self, marks: Marks) -> bool {
        self != Self::All && marks.contains(Marks::UNDECIDED)
    }
}

/// Rows that are kept at most, unless [`Options::most_rows`] says otherwise.
pub const MOST_ROWS: usize = 65_536;

/// What a row is kept for.
#[derive(Copy, Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub struct Remote {
    /// Its address.
    pub addr: Addr,
    /// The port of the service, at whichever end it is; 0 if rows are not kept by port.
    pub port: u16,
}

/// The tallies that are always there: what has no row of its own.
const OTHERS: u32 = 0;
const HIDDEN: u32 = 1;
const FIRST_REMOTE: u32 = 2;

/// Where an open connection is counted and followed. Apart from both, and small: they are soon brought near, and what they
/// lead to can be asked for in time.
#[derive(Default)]
struct Seat {
    /// Index of its remote's tally, or of its own among the undecided ones.
    tally: u32,
    /// Its place in [`Hosts::open`].
    followed: Place,
    course: Course,
}

/// The analyzer: takes in events, keeps one [`Tally`] for every remote.
pub struct Hosts {
    options: Options,
    /// By flow.
    seats: Slots<Seat>,
    open: Slab<Followed>,
    /// Connections that go beyond [`Options::most_rows`], those that [`Options::listing`] hides, then one per
    /// remote. By their index, as if that were a flow's id: they are met at random, and so in large pages.
    tallies: Slots<Tally>,
    /// `remotes[i]` belongs to `tallies[i + FIRST_REMOTE]`.
    remotes: Vec<Remote>,
    /// Connections of which the whitelist has yet to say whether they have a row.
    undecided: Undecided,
    /// Remotes of connections that ended before it could. At most as many as there may be rows.
    unjudged: HashSet<Addr, foldhash::fast::RandomState>,
    /// What the current batch has shown; empty between batches.
    samples: Vec<Sample>,
    places: HashMap<Remote, u32, foldhash::fast::RandomState>,
    /// Time of the earliest packet, beyond all times before there was one.
    from: Timestamp,
    /// Time of the latest packet, before all times if there was none.
    through: Timestamp,
    doubts: Doubts,
}

impl fmt::Debug for Hosts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hosts")
            .field("options", &self.options)
            .field("open", &self.open.len())
            .field("remotes", &self.remotes.len())
            .finish_non_exhaustive()
    }
}

impl Default for Hosts {
    fn default() -> Self {
        Self::new(Options::default())
    }
}

/// From this many open connections and remotes on their state is prefetched.
const PREFETCH_FROM: usize = 2 * 1024;

/// What an event or a sample touches is asked for so many before it, and what leads there twice as many. Why with
/// each one, not for many at once: a processor has room for a dozen or two lines on their way (16 at once took 1.04
/// of the CPU time).
const AHEAD: usize = 8;

impl Hosts {
    /// With nothing seen yet.
    pub fn new(options: Options) -> Self {
        let most_rows = if options.most_rows == 0 { MOST_ROWS } else { options.most_rows };
        let mut tallies = Slots::new();
        tallies.entry(FlowId(HIDDEN));
        Self {
            options: Options { most_rows, ..options },
            seats: Slots::new(),
            open: Slab::default(),
            tallies,
            remotes: Vec::new(),
            undecided: Undecided::default(),
            unjudged: HashSet::default(),
            samples: Vec::new(),
            places: HashMap::default(),
            from: Timestamp::MAX,
            through: Timestamp::MIN,
            doubts: Doubts::empty(),
        }
    }

    /// Says something of all rows, beside what a pipeline tells by itself ([`Analyzer::falls_short`]): that whoever
    /// reads had enough, say.
    pub fn doubt(&mut self, doubts: Doubts) {
        self.doubts |= doubts;
    }

    /// Connections that are open now.
    pub fn open(&self) -> usize {
        self.open.len()
    }

    /// The remotes that have a row, in the order in which they got it; without those of which the whitelist has yet to
    /// say so.
    pub fn remotes(&self) -> &[Remote] {
        &self.remotes
    }

    /// Remotes of which the whitelist could not say to the end whether it allows all their connections, as a name was
    /// missing; with any [`Options::listing`] but all. They have rows.
    pub fn unjudged(&self) -> usize {
        self.unjudged.len()
    }

    /// Bytes of state for one open connection, beside the flow table's.
    pub const fn bytes_per_connection() -> usize {
        size_of::<Followed>() + size_of::<Seat>()
    }

    /// Takes in a segment. In line with the walk over the batch: to call it took 18 instructions of 1000 a packet.
    #[inline(always)]
    fn take(&mut self, event: &FlowEvent, segment: &TcpSegment, batch: &Batch<'_>) {
        let Seat { tally: place, followed, course } = self.seats.entry(event.flow);
        if !course.begun() {
            self.begin(event, segment, batch);
            return;
        }
        let (place, followed) = (*place, *followed);
        if event.marks.contains(Marks::DUPLICATE) {
            if let Some(tally) = self.undecided.tally_or(&mut self.tallies, place) {
                tally.duplicates += u64::from(event.packets);
            }
            return;
        }
        let Some(tally) = self.tallies.get_mut(FlowId(place)) else {
            self.take_undecided(event, segment, batch);
            return;
        };
        tally.note_packet(event);
        let turned;
        let event = if course.turned() {
            turned = FlowEvent { direction: event.direction.opposite(), ..*event };
            &turned
        } else {
            event
        };
        let mut told = Told { tally, place, course, samples: &mut self.samples };
        self.open.entry(followed).observe(event, segment, &mut told);
    }

    /// Finds the row of a connection that begins, and takes in its first segment.
    #[inline(never)]
    fn begin(&mut self, event: &FlowEvent, segment: &TcpSegment, batch: &Batch<'_>) {
        if event.marks.contains(Marks::DUPLICATE) {
            return;
        }
        let Some(record) = batch.flows.record(event.flow) else { return };
        let side = self.options.view.judge(&record);
        let remote = Remote { addr: side.remote, port: if self.options.by_port { side.service } else { 0 } };
        let tally = if self.options.listing.waits_for(event.marks) {
            self.undecided.begin(event.flow, remote)
        } else {
            self.row(remote, event.marks)
        };
        let (followed, course) = (self.open.begin(), Course::new(side.turned, side.remote_answers));
        *self.seats.entry(event.flow) = Seat { tally, followed, course };
        if let Some(tally) = self.undecided.tally_or(&mut self.tallies, tally) {
            tally.connections += 1;
        }
        self.take(event, segment, batch);
    }

    /// The same as [`take`](Self::take) for a connection that has no row yet.
    #[cold]
    #[inline(never)]
    fn take_undecided(&mut self, event: &FlowEvent, segment: &TcpSegment, batch: &Batch<'_>) {
        if !self.options.listing.waits_for(event.marks) {
            if self.decide(event.flow, event.marks) {
                self.take(event, segment, batch);
            }
            return;
        }
        let Seat { tally: place, followed, course } = self.seats.entry(event.flow);
        let (place, followed) = (*place, *followed);
        let Some(tally) = self.undecided.tally_or(&mut self.tallies, place) else { return };
        tally.note_packet(event);
        let direction = if course.turned() { event.direction.opposite() } else { event.direction };
        let mut told = Told { tally, place, course, samples: &mut self.samples };
        self.open.entry(followed).observe(&FlowEvent { direction, ..*event }, segment, &mut told);
    }

    /// Moves what a connection without a row has shown to where the whitelist says it belongs; whether it had none.
    fn decide(&mut self, flow: FlowId, marks: Marks) -> bool {
        let Some(waiting) = self.seats.get(flow).map(|seat| seat.tally) else { return false };
        if !Undecided::is_one(waiting) {
            return false;
        }
        // They are recorded by place, which is free for another connection then.
        self.take_samples();
        let Some(Waiting { remote, tally, .. }) = self.undecided.take(waiting) else { return false };
        if self.options.listing.waits_for(marks) && self.unjudged.len() < self.options.most_rows {
            self.unjudged.insert(remote.addr);
        }
        let place = self.row(remote, marks);
        self.tallies.entry(FlowId(place)).merge(&tally);
        self.seats.entry(flow).tally = place;
        true
    }

    /// Where a connection with these marks is counted.
    fn row(&mut self, remote: Remote, marks: Marks) -> u32 {
        if self.options.listing.shows(marks) { self.place(remote) } else { HIDDEN }
    }

    /// The index of a remote's tally, made if there is room for one more.
    fn place(&mut self, remote: Remote) -> u32 {
        if let Some(&place) = self.places.get(&remote) {
            return place;
        }
        if self.remotes.len() >= self.options.most_rows {
            return OTHERS;
        }
        let place = FIRST_REMOTE + self.remotes.len() as u32;
        self.tallies.entry(FlowId(place));
        self.remotes.push(remote);
        self.places.insert(remote, place);
        place
    }

    /// Records what the batch has shown, each value's histogram and its place there asked for some values ahead.
    fn take_samples(&mut self) {
        let Self { samples, tallies, undecided, .. } = self;
        for step in 0..samples.len() + 2 * AHEAD {
            if let Some(farther) = samples.get(step)
                && let Some(tally) = tallies.get(FlowId(farther.tally))
            {
                prefetch(tally.histogram(farther.measure));
            }
            let earlier = |by| step.checked_sub(by).and_then(|index| samples.get(index));
            if let Some(nearer) = earlier(AHEAD)
                && let Some(tally) = tallies.get(FlowId(nearer.tally))
            {
                tally.histogram(nearer.measure).prefetch(nearer.value);
            }
            if let Some(&Sample { value, tally, measure }) = earlier(2 * AHEAD)
                && let Some(tally) = undecided.tally_or(tallies, tally)
            {
                tally.histogram_mut(measure).record(value);
            }
        }
        samples.clear();
    }

    /// Asks for what an event will touch.
    #[inline(always)]
    fn prefetch(&self, event: &FlowEvent) {
        let Some(seat) = self.seats.get(event.flow) else { return };
        let Some(followed) = self.open.get(seat.followed) else { return };
        prefetch_whole(followed);
        let control = match &event.detail {
            Detail::Tcp(segment) => segment.flags.intersects(TcpFlags::BOUNDARY),
            Detail::End(_) => true,
            _ => false,
        };
        if let Some(tally) = self.tallies.get(FlowId(seat.tally)) {
            // A bare ACK seldom tells the remote's tally anything: for it, once more for what it touches in any
            // case.
            prefetch_either((event.payload_bytes > 0) | control, &tally.requests, &followed.tcp);
        }
    }

    #[inline(never)]
    fn finish(&mut self, id: FlowId, reason: EndReason, marks: Marks) {
        // Now or never: the whitelist was asked for the last time.
        self.decide(id, marks);
        let Some(seat) = self.seats.get_mut(id).filter(|seat| seat.course.begun()) else { return };
        let Seat { tally: place, followed: at, mut course } = std::mem::take(seat);
        let followed = self.open.entry(at);
        if let Some(tally) = self.tallies.get_mut(FlowId(place)) {
            if followed.tcp.lacks_syn_ack() {
                tally.doubts |= Doubts::GAP;
            }
            if followed.tcp.has_holes() {
                tally.doubts |= Doubts::HOLE;
            }
            if followed.dynamics.lacks_options() {
                tally.doubts |= Doubts::HEADERS_CUT;
            }
            let mut told = Told { tally, place, course: &mut course, samples: &mut self.samples };
            followed.finish(reason, &mut told);
        }
        // What was boxed dies with the connection, and the next one begins from nothing.
        self.open.end(at);
    }
}

impl Analyzer for Hosts {
    fn name(&self) -> &str {
        "hosts"
    }

    fn needs(&self) -> Features {
        Features::PACKETS | Features::TCP_SEGMENTS
    }

    fn observe(&mut self, batch: &Batch<'_>) -> Result<()> {
        let far = self.open.len() + self.remotes.len() >= PREFETCH_FROM;
        // Rates are over everything that was captured, not only over what has a row.
        (self.from, self.through) = (batch.from, batch.through);
        let events = batch.events;
        if far {
            events.iter().take(2 * AHEAD).for_each(|event| self.seats.prefetch(event.flow));
            events.iter().take(AHEAD).for_each(|event| self.prefetch(event));
        }
        for (place, event) in events.iter().enumerate() {
            if far && let Some(farther) = events.get(place + 2 * AHEAD) {
                self.seats.prefetch(farther.flow);
            }
            if far && let Some(nearer) = events.get(place + AHEAD) {
                self.prefetch(nearer);
            }
            match event.detail {
                Detail::End(reason) => self.finish(event.flow, reason, event.marks),
                Detail::Tcp(ref segment) if event.flow.is_some() => self.take(event, segment, batch),
                _ => {}
            }
        }
        self.take_samples();
        Ok(())
    }

    fn falls_short(&mut self, reasons: Shortfall) {
        self.doubt(Doubts::of_shortfall(reasons));
    }

    fn rejudged(&mut self, flows: &Flows) {
        for flow in self.undecided.flows() {
            let marks = match flows.record(flow).and_then(|flow| flow.verdict) {
                Some(Verdict::Allowed(_)) => Marks::ALLOWED,
                Some(Verdict::Unlisted) => Marks::empty(),
                Some(Verdict::Undecided) | None => continue,
            };
            self.decide(flow, marks);
        }
    }

    /// One row per remote, ungrouped, with the 95th percentile of every distribution.
    fn snapshot(&self, out: &mut Tables) {
        if self.options.without_table {
            return;
        }
        out.push(report::table(&self.rows(&Numeric, &Levels::default())));
    }
}
