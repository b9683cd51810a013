//! From a collector through the flow table to analyzers and reporters.
//!
//! [`Pipeline::push`] is the whole work on events: no I/O, no clock, no thread. [`Pipeline::run`] adds the loop that
//! asks a collector. What comes out does not depend on how events were cut into batches.
//!
//! Whoever has frames of another source decodes them ([`wire::decode`](crate::wire::decode)) and pushes:
//!
//! ```
//! use flowcore::wire::{self, DecodeOptions, Layers, LinkType};
//! use flowcore::pipeline::Pipeline;
//! use flowcore::{Features, FlowEvent, FrameRef, Frames, Ledger, Loss, SourceInfo, Timestamp};
//!
//! let source = SourceInfo { name: "ring".into(), offers: Features::PACKETS, ..SourceInfo::default() };
//! let mut pipeline = Pipeline::builder().build(&source)?;
//! let frame = [0_u8; 60];
//! let (mut events, mut layers, mut bytes) = (Vec::new(), Vec::new(), Vec::new());
//! for time in [Timestamp::from_parts(1, 0), Timestamp::from_parts(2, 0)] {
//!     let (mut event, mut around) = (FlowEvent::default(), Layers::default());
//!     let wrote = wire::decode(LinkType(1), &frame, 60, DecodeOptions::default(), &mut event, &mut around);
//!     let frame_at = FrameRef { offset: bytes.len() as u32, len: frame.len() as u32 };
//!     (event.time, event.packets, event.bytes, event.frame) = (time, 1, 60, frame_at);
//!     bytes.extend_from_slice(&frame);
//!     if wrote {
//!         layers.push(around);
//!         event.layers = layers.len() as u16;
//!     }
//!     events.push(event);
//! }
//! let mut ledger = Ledger::new();
//! ledger.lose(Loss::Kernel, 0);
//! pipeline.account(ledger.clone());
//! pipeline.push(&mut events, Frames::new(&bytes, &layers), Timestamp::from_parts(2, 0))?;
//! // At the end: the flows that still live, step by step, then what was found out.
//! while pipeline.close()? {}
//! let snapshot = pipeline.snapshot(Some(ledger), true);
//! pipeline.report_final(&snapshot)?;
//! assert_eq!((snapshot.ledger.seen(), snapshot.ledger.lost(Loss::Kernel)), (2, Some(0)));
//! # Ok::<(), flowcore::Error>(())
//! ```

mod builder;

use std::any::Any;
use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;

use crate::allow::{Verdict, Whitelist};
use crate::analyze::{Analyzer, Shortfall};
use crate::batch::{Batch, Frames};
use crate::collect::{Collector, Limit, Status};
use crate::error::{Error, ErrorKind, Result};
use crate::event::{Detail, FlowEvent, Layer, Marks, Notes};
use crate::flows::{FlowId, Flows, STEP, Slots, Tick};
use crate::key::Direction;
use crate::ledger::Ledger;
use crate::record::FlowRecord;
use crate::report::{Reporter, Snapshot, Tables};
use crate::resolve::Resolver;
use crate::select::Select;
use crate::time::{Nanos, Timestamp};

pub use builder::{Builder, PATIENCE};

/// Flows closed in one step: what is kept of so many stays in the caches from the table to the analyzers.
const CLOSED_AT_ONCE: usize = 512;

/// How often names are asked for again at the end, as long as some come: who forgets those that were there would be asked
/// for ever.
const ROUNDS: usize = 256;

struct Report {
    /// `None`: only at the end.
    every: Option<Nanos>,
    next: Option<Timestamp>,
    reporter: Box<dyn Reporter>,
}

/// Gives access to one analyzer's typed results; valid for the pipeline whose builder made it.
pub struct Handle<A> {
    index: usize,
    analyzer: PhantomData<fn() -> A>,
}

impl<A> fmt::Debug for Handle<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handle").field("index", &self.index).finish_non_exhaustive()
    }
}

impl<A> Clone for Handle<A> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<A> Copy for Handle<A> {}

/// When the caller of [`Pipeline::run_with`] is asked.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Moment {
    /// A batch has been pushed.
    Batch,
    /// There will be no more events; the flows that still live end next.
    Closing {
        /// The input ended before its own end, or the caller stopped it.
        incomplete: bool,
    },
    /// A step of those flows has ended; the last such moment comes when none is left.
    Closed,
}

/// Events in, tables out.
pub struct Pipeline {
    flows: Flows,
    filter: Option<Box<dyn Select>>,
    /// What of a late filter can be decided before the table.
    early: Option<Box<dyn Select>>,
    /// The filter uses facts about flows and runs behind the table.
    late: bool,
    whitelist: Option<Box<dyn Whitelist>>,
    names: Arc<dyn Resolver>,
    /// How long the end of a run may wait for names, from now on.
    patience: Duration,
    /// The whitelist may not have decided about some living flow.
    undecided: bool,
    /// The input has ended, and flows are being closed.
    closing: bool,
    /// Behind a late filter: whether the analyzers have been told of the flow that has the id.
    told: Slots<bool>,
    /// Per flow: what whitelist and filter said, `BEGIN` left out. Empty without either.
    marks: Slots<Marks>,
    analyzers: Vec<Box<dyn Analyzer>>,
    reports: Vec<Report>,
    /// What the events themselves say; losses are only the source's to know.
    counted: Ledger,
    /// What the source has said so far.
    source: Option<Ledger>,
    left_out: LeftOut,
    from: Option<Timestamp>,
    through: Option<Timestamp>,
    /// One step of events that came too many at once.
    scratch: Vec<FlowEvent>,
    /// When events that a filter took out of a step move the flow table's clock; empty between steps.
    ticks: Vec<Tick>,
    /// What the analyzers have been told.
    short: Shortfall,
}

impl fmt::Debug for Pipeline {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let analyzers: Vec<&str> = self.analyzers.iter().map(|analyzer| analyzer.name()).collect();
        f.debug_struct("Pipeline").field("analyzers", &analyzers).field("flows", &self.flows).finish_non_exhaustive()
    }
}

impl Pipeline {
    /// Starts one.
    pub fn builder() -> Builder {
        Builder::default()
    }

    /// Takes in events with the frames they refer to; everything up to `through` has then been delivered. `events` is
    /// left empty. Events may be recorded ones: the flows, directions and marks that another flow table has written
    /// into them are forgotten, but what was a duplicate remains one; the ends of its flows are left out.
    ///
    /// # Errors
    /// The first error of an analyzer or reporter. What came in the same step is lost to the analyzers behind it, and
    /// what stands behind that step in `events`, of which any number may be, to all of them; nothing counts it.
    pub fn push(&mut self, events: &mut Vec<FlowEvent>, frames: Frames<'_>, through: Timestamp) -> Result<()> {
        let within = events.get(..STEP).unwrap_or(events);
        let outcome = if self.next_cut(within) == events.len() {
            // The usual: where they are.
            if events.is_empty() { Ok(()) } else { self.step(events, frames) }
        } else {
            self.push_in_steps(events, frames)
        };
        events.clear();
        outcome?;
        // A collector that has delivered nothing may say so.
        if through > Timestamp::MIN {
            self.through = self.through.max(Some(through));
        }
        Ok(())
    }

    /// The same for events that do not make one step: each step is copied once, however many there are.
    fn push_in_steps(&mut self, events: &[FlowEvent], frames: Frames<'_>) -> Result<()> {
        let mut left = events;
        while let Some(first) = left.first() {
            let cut = self.next_cut(left.get(..STEP).unwrap_or(left));
            if cut == 0 {
                self.report_due(Some(first.time))?;
                continue;
            }
            let (now, later) = left.split_at(cut);
            left = later;
            let mut step = std::mem::take(&mut self.scratch);
            step.clear();
            step.extend_from_slice(now);
            let outcome = self.step(&mut step, frames);
            self.scratch = step;
            outcome?;
        }
        Ok(())
    }

    /// How many of the events come before the next report is due; all of them without reports at intervals.
    fn next_cut(&mut self, events: &[FlowEvent]) -> usize {
        // What has no time of its own begins no interval.
        let is_timed = |event: &FlowEvent| !event.notes.contains(Notes::UNTIMED);
        let first = events.iter().find(|event| is_timed(event)).map(|event| event.time);
        let mut cut = events.len();
        for report in &mut self.reports {
            if let (Some(every), Some(first)) = (report.every, first) {
                let next = *report.next.get_or_insert(first + every);
                // There is no interval after the end of time.
                if next < Timestamp::MAX {
                    let due = |event: &FlowEvent| event.time >= next && is_timed(event);
                    cut = cut.min(events.iter().position(due).unwrap_or(cut));
                }
            }
        }
        cut
    }

    fn report_due(&mut self, now: Option<Timestamp>) -> Result<()> {
        let Some(now) = now else { return Ok(()) };
        let mut reports = std::mem::take(&mut self.reports);
        let due = |report: &Report| report.next.is_some_and(|next| now >= next);
        let mut outcome = Ok(());
        if reports.iter().any(due) {
            self.ask_again();
            let snapshot = self.snapshot(self.source.clone(), false);
            for report in reports.iter_mut().filter(|report| due(report)) {
                if let (Some(every), Some(next)) = (report.every, report.next) {
                    // Silence makes one report, not one for every interval that passed.
                    let passed = (now - next).get() / every.get();
                    report.next = Some(next + Nanos::new(every.get().saturating_mul(passed)) + every);
                }
                outcome = outcome.and_then(|()| report.reporter.report(&snapshot, &*self.names));
            }
        }
        self.reports = reports;
        outcome
    }

    fn step(&mut self, events: &mut Vec<FlowEvent>, frames: Frames<'_>) -> Result<()> {
        let Read { before, notes } = self.count(events);
        if before {
            renew(events);
        }
        if notes.contains(Notes::FRAGMENT) && self.filter.is_some() {
            self.flows.join_ahead(events);
        }
        if let Some(early) = if self.late { self.early.as_deref() } else { self.filter.as_deref() } {
            // Whatever it takes out, time goes on: flows end by it.
            let mut clock = self.flows.clock();
            self.left_out += keep(events, &frames, early, |place, event, kept| {
                if clock.begins_second(event.time) && !kept {
                    self.ticks.push(Tick { before: place, time: event.time });
                }
                kept
            });
        }
        self.flows.assign_between(events, &self.ticks, &mut self.counted);
        self.ticks.clear();
        if self.counted.untracked > 0 {
            self.fall_short(Shortfall::UNTRACKED);
        }
        if self.whitelist.is_some() || self.late {
            self.settle_marks(events);
        }
        if let (true, Some(filter)) = (self.late, self.filter.as_deref()) {
            self.left_out +=
                keep(events, &frames, filter, |_, event, kept| kept || matches!(event.detail, Detail::End(_)));
            self.begin_where_kept(events);
        }
        self.observe(events, frames)
    }

    fn observe(&mut self, events: &[FlowEvent], frames: Frames<'_>) -> Result<()> {
        let through = self.through.unwrap_or(Timestamp::EPOCH);
        let batch = Batch { events, frames, flows: &self.flows, from: self.from.unwrap_or(through), through };
        for analyzer in &mut self.analyzers {
            analyzer.observe(&batch)?;
        }
        Ok(())
    }

    /// Behind a late filter: a flow begins with the first of its packets that analyzers see, and of one that they saw
    /// nothing of they hear no end.
    fn begin_where_kept(&mut self, events: &mut Vec<FlowEvent>) {
        events.retain_mut(|event| {
            if let Detail::End(_) = event.detail {
                return self.told.get(event.flow).is_some_and(|told| *told);
            }
            if event.flow.is_some() && !event.marks.contains(Marks::DUPLICATE) {
                let told = std::mem::replace(self.told.entry(event.flow), true);
                event.marks.set(Marks::BEGIN, !told);
            }
            true
        });
    }

    /// What the source says so far, for whoever pushes events: it stands in the reports at intervals from then on, and
    /// rows that its losses may concern are marked. [`run`](Self::run) does it by itself.
    pub fn account(&mut self, source: Ledger) {
        if source.incomplete {
            self.fall_short(Shortfall::CUT);
        }
        self.heed_losses(source);
    }

    fn heed_losses(&mut self, source: Ledger) {
        if source.lost_total() > 0 {
            self.fall_short(Shortfall::LOSS);
        }
        self.source = Some(source);
    }

    /// Tells the analyzers what they have not been told yet.
    fn fall_short(&mut self, reasons: Shortfall) {
        let new = reasons - self.short;
        if !new.is_empty() {
            self.short |= new;
            self.analyzers.iter_mut().for_each(|analyzer| analyzer.falls_short(new));
        }
    }

    /// Counts what the events themselves say.
    fn count(&mut self, events: &[FlowEvent]) -> Read {
        let Some(first) = events.first() else { return Read::default() };
        if !first.notes.contains(Notes::UNTIMED) {
            self.from.get_or_insert(first.time);
        }
        let mut through = self.through.unwrap_or(first.time);
        let (mut delivered, mut late, mut truncated) = (0, false, 0);
        let (mut stopped, mut keyless, mut notes) = (0, false, Notes::empty());
        let (mut flows, mut marks) = (FlowId::NONE.0, Marks::empty());
        for event in events {
            let packets = u64::from(event.packets);
            delivered += packets;
            truncated += packets * u64::from(event.notes.contains(Notes::CUT));
            late |= event.time < through;
            through = event.time;
            stopped |= event.stopped as u8;
            keyless |= event.key.protocol.0 == 0;
            notes |= event.notes;
            flows &= event.flow.0;
            marks |= event.marks;
        }
        if late | keyless | notes.contains(Notes::UNTIMED) | (stopped != 0) {
            self.count_odd(events);
        } else {
            self.through = Some(through);
        }
        self.counted.truncated += truncated;
        self.counted.deliver(delivered);
        // Fresh events have no flow: all bits are set. A source may have marked duplicates itself.
        Read { before: (flows != FlowId::NONE.0) | !Marks::DUPLICATE.contains(marks), notes }
    }

    /// What only some events say.
    #[cold]
    #[inline(never)]
    fn count_odd(&mut self, events: &[FlowEvent]) {
        for event in events {
            let packets = u64::from(event.packets);
            if event.notes.contains(Notes::UNTIMED) {
                self.counted.untimed += packets;
            } else {
                self.counted.backwards += packets * u64::from(Some(event.time) < self.through);
                self.through = self.through.max(Some(event.time));
                self.from = Some(self.from.map_or(event.time, |from| from.min(event.time)));
            }
            if event.stopped != Layer::None {
                self.counted.stop_packets(event.stopped, event.notes, packets);
            }
            if !event.key.is_some() {
                self.counted.flowless += packets;
            }
        }
    }

    /// Asks whitelist and filter once per flow and repeats their answers on its events. A whitelist that could not
    /// decide is asked once more when the flow ends.
    fn settle_marks(&mut self, events: &mut [FlowEvent]) {
        for event in events {
            if !event.flow.is_some() {
                continue;
            }
            if event.marks.contains(Marks::BEGIN) {
                let mut marks = Marks::empty();
                if let Some(flow) = self.flows.record(event.flow) {
                    marks |= self.judge(&flow);
                    marks |= self.filter.as_ref().map_or(Marks::empty(), |filter| filter.mark(&flow)) & Marks::FILTER;
                }
                *self.marks.entry(event.flow) = marks;
                if self.late {
                    *self.told.entry(event.flow) = false;
                }
            } else if let Detail::End(_) = event.detail {
                self.judge_again(event.flow);
            }
            event.marks |= self.marks.get(event.flow).copied().unwrap_or_default();
        }
    }

    /// What the whitelist says of a flow, kept in the table and as marks.
    fn judge(&mut self, flow: &FlowRecord) -> Marks {
        let Some(whitelist) = &self.whitelist else { return Marks::empty() };
        let verdict = whitelist.judge(flow, &*self.names);
        self.flows.keep_verdict(flow.id, verdict);
        match verdict {
            Verdict::Allowed(_) => Marks::ALLOWED,
            Verdict::Unlisted => Marks::empty(),
            Verdict::Undecided => {
                self.undecided = true;
                Marks::UNDECIDED
            }
        }
    }

    /// The same once more, if there was no decision.
    fn judge_again(&mut self, id: FlowId) {
        let Some(marks) = self.marks.get(id).copied().filter(|marks| marks.contains(Marks::UNDECIDED)) else { return };
        let Some(flow) = self.flows.record(id) else { return };
        *self.marks.entry(id) = (marks - Marks::UNDECIDED) | self.judge(&flow);
    }

    /// Asks the whitelist again about the living flows on which it could not decide. Reports at intervals do that by
    /// themselves; who takes a [`snapshot`](Self::snapshot) calls it before.
    pub fn ask_again(&mut self) {
        if !std::mem::take(&mut self.undecided) {
            return;
        }
        for id in self.flows.ids() {
            if self.flows.record(id).is_some_and(|flow| flow.end.is_none()) {
                self.judge_again(id);
            }
        }
        for analyzer in &mut self.analyzers {
            analyzer.rejudged(&self.flows);
        }
    }

    /// Runs a collector to its end, closes all flows and reports.
    ///
    /// # Errors
    /// The first error of the collector, an analyzer or a reporter. Damaged input is not one: the snapshot's ledger
    /// says so.
    pub fn run(&mut self, collector: &mut dyn Collector) -> Result<Snapshot> {
        self.run_with(collector, |_, _, _| Ok::<_, Error>(true))
    }

    /// The same, with a caller who takes part at every [`Moment`]: to take finished results out, to show how far it
    /// is, to stop. The answer counts after a [`Moment::Batch`] only; `false` ends the run as if the input had ended
    /// there, marked incomplete.
    ///
    /// # Errors
    /// As [`run`](Self::run), and the first error of `hook`.
    pub fn run_with<C, E>(
        &mut self,
        collector: &mut C,
        mut hook: impl FnMut(&mut Self, &mut C, Moment) -> std::result::Result<bool, E>,
    ) -> std::result::Result<Snapshot, E>
    where
        C: Collector + ?Sized,
        E: From<Error>,
    {
        if self.closing {
            let message = "the pipeline has been run: build another one for another source";
            return Err(Error::new(ErrorKind::Usage, message).into());
        }
        let mut events = Vec::with_capacity(Limit::default().events);
        let stopped = loop {
            let filled = collector.fill(&mut events, Limit::default())?;
            let (frames, through, status) = (filled.frames, filled.through, filled.status);
            self.push(&mut events, frames, through)?;
            self.heed_losses(collector.ledger()?);
            if !hook(self, collector, Moment::Batch)? {
                break true;
            }
            if status == Status::End {
                break false;
            }
        };
        let mut ledger = collector.ledger()?;
        ledger.incomplete |= stopped;
        if ledger.lost_total() > 0 {
            self.fall_short(Shortfall::LOSS);
        }
        if ledger.incomplete {
            self.fall_short(Shortfall::CUT);
        }
        hook(self, collector, Moment::Closing { incomplete: ledger.incomplete })?;
        while self.close()? {
            hook(self, collector, Moment::Closed)?;
        }
        hook(self, collector, Moment::Closed)?;
        let mut snapshot = self.snapshot(Some(ledger), true);
        snapshot.fault = collector.fault().map(str::to_owned);
        self.report_final(&snapshot)?;
        Ok(snapshot)
    }

    /// Ends a step of the flows that still live, as the input has ended; `true` if some are left.
    ///
    /// # Errors
    /// As [`push`](Self::push).
    pub fn close(&mut self) -> Result<bool> {
        if !std::mem::replace(&mut self.closing, true) {
            for _ in 0..ROUNDS {
                if !self.undecided || !self.await_names() {
                    break;
                }
                self.ask_again();
            }
        }
        let mut events = Vec::new();
        let more = self.flows.close(CLOSED_AT_ONCE, &mut events);
        if self.whitelist.is_some() {
            self.settle_marks(&mut events);
        }
        if self.late {
            self.begin_where_kept(&mut events);
        }
        self.observe(&events, Frames::EMPTY)?;
        Ok(more)
    }

    /// Waits for names; whether some came, so that it is worth asking again: then others are asked for that found no
    /// place in a queue, or that the next of several resolvers may know.
    fn await_names(&mut self) -> bool {
        let left = self.names.settle(self.patience);
        left < std::mem::replace(&mut self.patience, left)
    }

    /// Hands a snapshot to every reporter, once the names of the addresses in it are there, or no more come, or the
    /// patience is at its end.
    ///
    /// # Errors
    /// The first error of a reporter.
    pub fn report_final(&mut self, snapshot: &Snapshot) -> Result<()> {
        for _ in 0..ROUNDS {
            if self.reports.is_empty() || !snapshot.ask(&*self.names) || !self.await_names() {
                break;
            }
        }
        for report in &mut self.reports {
            report.reporter.report(snapshot, &*self.names)?;
        }
        Ok(())
    }

    /// Everything as of now. `source` is the collector's ledger; without one, what the pushed events say.
    pub fn snapshot(&self, source: Option<Ledger>, complete: bool) -> Snapshot {
        let mut tables = Tables::new();
        for analyzer in &self.analyzers {
            analyzer.snapshot(&mut tables);
        }
        let ledger = self.ledger(source);
        Snapshot { from: self.from, through: self.through, complete, ledger, fault: None, tables }
    }

    /// What became of every packet; see [`snapshot`](Self::snapshot).
    pub fn ledger(&self, source: Option<Ledger>) -> Ledger {
        let mut ledger = match source {
            Some(mut ledger) => {
                ledger.untracked += self.counted.untracked;
                ledger.duplicates += self.counted.duplicates;
                ledger.count_at_least(&self.counted);
                ledger
            }
            None => self.counted.clone(),
        };
        ledger.filter(self.left_out.packets);
        if let Some(sockets) = &mut ledger.sockets {
            sockets.filter(self.left_out.samples);
        }
        ledger
    }

    /// The flow table.
    pub fn flows(&self) -> &Flows {
        &self.flows
    }

    /// An analyzer's own results.
    ///
    /// # Panics
    /// If the handle is of another pipeline, unless that has an analyzer of the same type at the same place.
    pub fn get<A: Analyzer>(&self, handle: &Handle<A>) -> &A {
        let analyzer: &dyn Any = &*self.analyzers[handle.index];
        analyzer.downcast_ref().expect("a handle is made with its own type")
    }

    /// The same, to take results out.
    ///
    /// # Panics
    /// If the handle is of another pipeline, unless that has an analyzer of the same type at the same place.
    pub fn get_mut<A: Analyzer>(&mut self, handle: &Handle<A>) -> &mut A {
        let analyzer: &mut dyn Any = &mut *self.analyzers[handle.index];
        analyzer.downcast_mut().expect("a handle is made with its own type")
    }
}

/// Makes events that were recorded behind another flow table what they were before it: its flows are not those of
/// this one, and their ends are this one's to find.
#[cold]
#[inline(never)]
fn renew(events: &mut Vec<FlowEvent>) {
    events.retain(|event| !matches!(event.detail, Detail::End(_)));
    for event in events {
        event.flow = FlowId::NONE;
        event.direction = Direction::default();
        event.marks &= Marks::DUPLICATE;
    }
}

/// What the events of a step have in common.
#[derive(Copy, Clone, Default)]
struct Read {
    /// They have been through a flow table before.
    before: bool,
    /// What is noted of any of them.
    notes: Notes,
}

/// What a filter took out.
#[derive(Copy, Clone, Debug, Default)]
struct LeftOut {
    packets: u64,
    /// Of sockets.
    samples: u64,
}

impl std::ops::AddAssign for LeftOut {
    fn add_assign(&mut self, more: Self) {
        self.packets += more.packets;
        self.samples += more.samples;
    }
}

/// Keeps the events that `judge` keeps, which is told how many were kept before and whether `filter` selects it; returns
/// what it took out.
fn keep(
    events: &mut Vec<FlowEvent>,
    frames: &Frames<'_>,
    filter: &dyn Select,
    mut judge: impl FnMut(usize, &FlowEvent, bool) -> bool,
) -> LeftOut {
    let mut kept = 0;
    let mut out = LeftOut::default();
    let mut start = 0;
    while start < events.len() {
        let end = (start + 64).min(events.len());
        let mask = filter.select(&events[start..end], frames);
        for place in start..end {
            if judge(kept, &events[place], mask >> (place - start) & 1 == 1) {
                events[kept] = events[place];
                kept += 1;
            } else {
                out.packets += u64::from(events[place].packets);
                out.samples += u64::from(matches!(events[place].detail, Detail::Socket(_)));
            }
        }
        start = end;
    }
    events.truncate(kept);
    out
}

#[cfg(test)]
mod tests;
