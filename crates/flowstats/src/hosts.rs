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

use std::collections::HashMap;

use flowcore::event::EndReason;
use flowcore::flows::Slots;
use flowcore::resolve::Numeric;
use flowcore::{
    Addr, Analyzer, Batch, Detail, Features, FlowEvent, FlowId, Marks, Result, Tables, TcpSegment, Timestamp, prefetch,
};

use crate::conns::Doubts;
use crate::tcp::Followed;

pub use columns::{ColumnDef, columns};
pub use report::{Host, Levels, MOST_LEVELS, Who};
pub use side::{Side, View};
pub use tally::{Began, Measure, Tally};

use tally::{Course, Sample, Told};

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
}

/// Which connections have rows, by what the pipeline's whitelist says when they begin. What it could not judge for want
/// of a name always has: hiding it would be a guess.
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

/// Rows that are kept at most, unless [`Options::most_rows`] says otherwise.
pub const MOST_ROWS: usize = 65_536;

/// What a row is kept for.
#[derive(Copy, Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
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

/// One connection's state while it is open.
#[derive(Default)]
struct Open {
    followed: Followed,
    course: Course,
    /// Index of its remote's tally.
    tally: u32,
}

/// The analyzer: takes in events, keeps one [`Tally`] for every remote.
pub struct Hosts {
    options: Options,
    open: Slots<Open>,
    live: usize,
    /// Connections that go beyond [`Options::most_rows`], those that [`Options::listing`] hides, then one per
    /// remote.
    tallies: Vec<Tally>,
    /// `remotes[i]` belongs to `tallies[i + FIRST_REMOTE]`.
    remotes: Vec<Remote>,
    /// What the current batch has shown; empty between batches.
    samples: Vec<Sample>,
    places: HashMap<Remote, u32, foldhash::fast::RandomState>,
    /// Time of the earliest packet, beyond all times before there was one.
    from: Timestamp,
    /// Time of the latest packet, before all times if there was none.
    through: Timestamp,
    doubts: Doubts,
}

impl Default for Hosts {
    fn default() -> Self {
        Self::new(Options::default())
    }
}

/// From this many open connections and remotes on their state is prefetched.
const PREFETCH_FROM: usize = 2 * 1024;

/// How many events ahead.
const AHEAD: usize = 12;

/// How many samples ahead a histogram's counts are asked for; the histogram itself twice as many.
const SAMPLES_AHEAD: usize = 8;

impl Hosts {
    /// With nothing seen yet.
    pub fn new(options: Options) -> Self {
        let most_rows = if options.most_rows == 0 { MOST_ROWS } else { options.most_rows };
        Self {
            options: Options { most_rows, ..options },
            open: Slots::new(),
            live: 0,
            tallies: (0..FIRST_REMOTE).map(|_| Tally::default()).collect(),
            remotes: Vec::new(),
            samples: Vec::new(),
            places: HashMap::default(),
            from: Timestamp::MAX,
            through: Timestamp::MIN,
            doubts: Doubts::empty(),
        }
    }

    /// Says something of all rows: that the source has lost packets, or that the input broke off.
    pub fn doubt(&mut self, doubts: Doubts) {
        self.doubts |= doubts;
    }

    /// Connections that are open now.
    pub fn open(&self) -> usize {
        self.live
    }

    /// The remotes that have a row, in the order in which they were first seen.
    pub fn remotes(&self) -> &[Remote] {
        &self.remotes
    }

    /// Bytes of state for one open connection, beside the flow table's.
    pub const fn bytes_per_connection() -> usize {
        size_of::<Open>()
    }

    #[inline]
    fn take(&mut self, event: &FlowEvent, segment: &TcpSegment, batch: &Batch<'_>) {
        let open = self.open.entry(event.flow);
        if !open.course.begun() {
            self.begin(event, segment, batch);
            return;
        }
        if event.marks.contains(Marks::DUPLICATE) {
            return;
        }
        let place = open.tally;
        let Some(tally) = self.tallies.get_mut(place as usize) else { return };
        let mut told = Told { tally, place, course: &mut open.course, samples: &mut self.samples };
        if told.course.turned() {
            let turned = FlowEvent { direction: event.direction.opposite(), ..*event };
            open.followed.observe(&turned, segment, &mut told);
        } else {
            open.followed.observe(event, segment, &mut told);
        }
    }

    /// Finds the row of a connection that begins, and takes in its first segment.
    #[inline(never)]
    fn begin(&mut self, event: &FlowEvent, segment: &TcpSegment, batch: &Batch<'_>) {
        if event.marks.contains(Marks::DUPLICATE) {
            return;
        }
        let Some(record) = batch.flows.record(event.flow) else { return };
        let side = self.options.view.judge(&record);
        let listed = match self.options.listing {
            Listing::All => true,
            Listing::Allowed => event.marks.intersects(Marks::ALLOWED | Marks::UNDECIDED),
            Listing::Unlisted => !event.marks.contains(Marks::ALLOWED),
        };
        let remote = Remote { addr: side.remote, port: if self.options.by_port { side.service } else { 0 } };
        let tally = if listed { self.place(remote) } else { HIDDEN };
        let open = self.open.entry(event.flow);
        *open = Open { course: Course::new(side.turned, side.remote_answers), tally, ..Open::default() };
        self.live += 1;
        if let Some(tally) = self.tallies.get_mut(tally as usize) {
            tally.connections += 1;
        }
        self.take(event, segment, batch);
    }

    /// The index of a remote's tally, made if there is room for one more.
    fn place(&mut self, remote: Remote) -> u32 {
        if let Some(&place) = self.places.get(&remote) {
            return place;
        }
        if self.remotes.len() >= self.options.most_rows {
            return OTHERS;
        }
        let place = self.tallies.len() as u32;
        self.tallies.push(Tally::default());
        self.remotes.push(remote);
        self.places.insert(remote, place);
        place
    }

    /// Records what the batch has shown, each value's place in its histogram asked for some values ahead.
    fn take_samples(&mut self) {
        let Self { samples, tallies, .. } = self;
        for place in 0..samples.len() {
            if let Some(far) = samples.get(place + 2 * SAMPLES_AHEAD)
                && let Some(tally) = tallies.get(far.tally as usize)
            {
                prefetch(tally.histogram(far.measure));
            }
            if let Some(near) = samples.get(place + SAMPLES_AHEAD)
                && let Some(tally) = tallies.get(near.tally as usize)
            {
                tally.histogram(near.measure).prefetch(near.value);
            }
            let Sample { value, tally, measure } = samples[place];
            if let Some(tally) = tallies.get_mut(tally as usize) {
                tally.histogram_mut(measure).record(value);
            }
        }
        samples.clear();
    }

    #[inline(never)]
    fn finish(&mut self, id: FlowId, reason: EndReason) {
        let Some(open) = self.open.get_mut(id).filter(|open| open.course.begun()) else { return };
        let place = open.tally;
        if let Some(tally) = self.tallies.get_mut(place as usize) {
            let mut told = Told { tally, place, course: &mut open.course, samples: &mut self.samples };
            open.followed.finish(reason, &mut told);
        }
        // What was boxed dies with the connection, and the next one begins from nothing.
        *open = Open::default();
        self.live -= 1;
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
        let far = self.live + self.tallies.len() >= PREFETCH_FROM;
        let (mut from, mut through) = (self.from, self.through);
        for (place, event) in batch.events.iter().enumerate() {
            if far && let Some(open) = batch.events.get(place + AHEAD).and_then(|ahead| self.open.get(ahead.flow)) {
                prefetch(&open.followed.tcp);
                prefetch(&open.followed.dynamics);
                prefetch(&open.tally);
                let nearer = self.open.get(batch.events[place + AHEAD / 2].flow).map_or(OTHERS, |open| open.tally);
                if let Some(tally) = self.tallies.get(nearer as usize) {
                    prefetch(&tally.requests);
                }
            }
            match event.detail {
                Detail::End(reason) => {
                    self.finish(event.flow, reason);
                    // Not a packet: it is told as late as it was noticed.
                    continue;
                }
                Detail::Tcp(ref segment) if event.flow.is_some() => self.take(event, segment, batch),
                _ => {}
            }
            // Rates are over everything that was captured, not only over what has a row.
            (from, through) = (from.min(event.time), through.max(event.time));
        }
        (self.from, self.through) = (from, through);
        self.take_samples();
        Ok(())
    }

    /// One row per remote, ungrouped, with the 95th percentile of every distribution.
    fn snapshot(&self, out: &mut Tables) {
        out.push(report::table(&self.rows(&Numeric, &Levels::default())));
    }
}
