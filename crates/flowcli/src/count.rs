//! `flow count`: how many packets and bytes a filter selects.
//!
//! Packets go from the source to the filter and are gone; flows are followed only if the filter asks whose packet one is.

use flowcore::report::{Bound, Column, Ending, Meaning, Unit, Value};
use flowcore::{Collector, Features, FlowEvent, Flows, Frames, Ledger, Limit, Notes, Select, Status, Timestamp, flows};
use flowfilter::{Filter, STEP};
use flowsrc_pcap::Files;
use flowstats::conns::Doubts;

use crate::args::CountArgs;
use crate::edge::Edge;
use crate::exit::{Exit, complain};
use crate::fields::{Field, Subject};
use crate::output::{Output, Wishes};
use crate::progress::Progress;
use crate::run::{self, Finish};
use crate::signals::Signals;

/// What was selected.
#[derive(Copy, Clone, Debug, Default)]
struct Totals {
    packets: u64,
    wire_bytes: u64,
    /// Why they are only lower bounds.
    doubts: Doubts,
}

/// Runs the command.
pub fn run(args: &CountArgs) -> anyhow::Result<Exit> {
    let subject = subject();
    if args.list_columns {
        return crate::documents::print(&subject.describe());
    }
    crate::filter::refuse_one_input(&args.filter, &args.read)?;
    let filter = crate::filter::read(&args.filter, args.ending.quiet, args.style.color)?.unwrap_or_else(Filter::all);
    let networks = args.asn.load(args.ending.verbose > 0)?;
    let filter = crate::filter::of_packets(&filter, networks.as_ref())?;
    let wishes = Wishes { columns: args.columns.clone(), ..Wishes::new(args.output, args.style) };
    let mut output = Output::new(&subject, wishes, Edge::default())?;
    let signals = Signals::listen()?;
    let inputs = run::inputs(&args.read, &signals)?;
    let headers = filter.needs().contains(Features::HEADERS);
    let mut source = match run::open(inputs, run::decoding(args.no_decap, headers), args.count) {
        Ok(source) => source,
        Err(_) if signals.stop().is_some() => return Ok(run::interrupted(&signals)),
        Err(error) => return Err(error.into()),
    };
    run::introduce(&args.ending, source.info());
    let mut totals = Totals::default();
    let mut progress = Progress::new(!args.ending.quiet);
    let mut seen = Seen::default();
    let mut flows = filter
        .needs()
        .contains(Features::FLOWS)
        .then(|| Flows::new(Default::default(), source.info().several_interfaces));
    let mut of_flows = Ledger::new();
    let mut select = |events: &[FlowEvent], frames: &Frames<'_>| match &mut flows {
        Some(flows) => count_in_flows(events, frames, &filter, flows, &mut of_flows, &mut totals),
        None => count(events, frames, &filter, &mut totals),
    };
    read(&mut source, &mut select, &signals, &mut progress, &mut seen)?;
    progress.clear();

    let stopped = signals.ends_reading();
    let mut ledger = source.ledger()?;
    if stopped && ledger.seen() == 0 {
        return Ok(run::interrupted(&signals));
    }
    ledger.incomplete |= stopped;
    ledger.filter(ledger.delivered().saturating_sub(totals.packets));
    ledger.untracked += of_flows.untracked;
    totals.doubts.set(Doubts::UNTRACKED, ledger.untracked > 0);
    totals.doubts.set(Doubts::LOSS, ledger.lost_total() > 0);
    totals.doubts.set(Doubts::INPUT_CUT, ledger.incomplete);
    totals.doubts.set(Doubts::STOPPED, run::is_limited(args.count, seen.packets));
    let fault = source.fault();
    let why = run::why(args.count, seen.packets, fault, stopped);
    let ending = Ending { from: seen.from, through: seen.through, complete: true, fault: why, ..Ending::new(&ledger) };
    output.take(&mut vec![totals])?;
    output.finish(&ending)?;

    let said = run::has_said(args.output, args.style.no_trailer);
    // A count is a row like any other; empty is what selects nothing.
    Ok(run::conclude_ledger(&args.ending, &ledger, fault, &Finish { rows: totals.packets, stopped, said }))
}

/// What the input held.
#[derive(Debug, Default)]
struct Seen {
    packets: u64,
    from: Option<Timestamp>,
    through: Option<Timestamp>,
}

/// Reads until the input ends or the user has enough.
fn read(
    source: &mut Files,
    select: &mut dyn FnMut(&[FlowEvent], &Frames<'_>) -> u64,
    signals: &Signals,
    progress: &mut Progress,
    seen: &mut Seen,
) -> anyhow::Result<()> {
    let mut events = Vec::with_capacity(Limit::default().events);
    loop {
        events.clear();
        let filled = source.fill(&mut events, Limit::default())?;
        let (frames, through, status) = (filled.frames, filled.through, filled.status);
        // Until something has a time there is no beginning, and what has none of its own has no say.
        if through > Timestamp::MIN {
            seen.from = seen.from.into_iter().chain(earliest(&events)).min();
            seen.through = Some(through);
        }
        seen.packets += events.len() as u64;
        let selected = select(&events, &frames);
        progress.tick(|| {
            let position = source.position();
            (position.read, position.total)
        });
        if signals.wants_totals() {
            progress.clear();
            complain(&format!("{selected} of {} packets so far", seen.packets));
        }
        if status == Status::End || signals.ends_reading() {
            return Ok(());
        }
    }
}

/// The earliest time, of those that the source notes.
fn earliest(events: &[FlowEvent]) -> Option<Timestamp> {
    events.iter().filter(|event| !event.notes.contains(Notes::UNTIMED)).map(|event| event.time).min()
}

/// Counts what is selected; gives the packets so far.
fn count(events: &[FlowEvent], frames: &Frames<'_>, filter: &dyn Select, totals: &mut Totals) -> u64 {
    for step in events.chunks(STEP) {
        let mask = filter.select(step, frames);
        for (place, event) in step.iter().enumerate() {
            let selected = mask >> place & 1;
            totals.packets += selected * u64::from(event.packets);
            totals.wire_bytes += selected * event.bytes;
        }
    }
    totals.packets
}

/// The same of packets that know their flows.
fn count_in_flows(
    events: &[FlowEvent],
    frames: &Frames<'_>,
    filter: &dyn Select,
    flows: &mut Flows,
    ledger: &mut Ledger,
    totals: &mut Totals,
) -> u64 {
    let mut known = Vec::with_capacity(flows::STEP);
    for events in events.chunks(flows::STEP) {
        known.extend_from_slice(events);
        // What finds no room in the table is in no flow, and has no direction.
        flows.assign(&mut known, ledger);
        known.truncate(events.len());
        // What is counted are packets: what the table knows of a datagram is not in its later fragments.
        for (known, event) in known.iter_mut().zip(events) {
            *known = FlowEvent { flow: known.flow, direction: known.direction, marks: known.marks, ..*event };
        }
        count(&known, frames, filter, totals);
        known.clear();
    }
    totals.packets
}

/// What can be printed of the totals.
fn subject() -> Subject<Totals> {
    let field = |name, unit, about, value: fn(&Totals) -> Value| {
        let column = Column::new([name, name, about], unit, Meaning::Counter).bounded(Bound::AtLeast);
        Field { default: true, rank: 0, ..Field::own(column, value) }
    };
    Subject {
        table: "count",
        has_levels: false,
        fields: vec![
            field("packets", Unit::Packets, "packets selected", |totals| Value::U64(totals.packets)),
            field("bytes", Unit::Bytes, "their bytes on the wire, link layer included", |totals| {
                Value::U64(totals.wire_bytes)
            }),
        ],
        quality: |totals| totals.doubts.quality(),
        weight: |totals| totals.wire_bytes,
        serial: |_| 0,
        order: "packets",
        ask: |_, _| true,
        verdict: |_, _| None,
    }
}
