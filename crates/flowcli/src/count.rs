//! `flow count`: how many packets and bytes a filter selects.
//!
//! Nothing is followed here: packets go from the source to the filter and are gone.

use std::borrow::Cow;

use flowcore::report::{Column, Ending, Meaning, Quality, Unit, Value};
use flowcore::wire::DecodeOptions;
use flowcore::{Collector, Features, FlowEvent, Frames, Limit, Select, Status, Timestamp};
use flowfilter::{Filter, STEP};
use flowsrc_pcap::Files;

use crate::args::{CountArgs, TimeStyle};
use crate::exit::{Exit, complain};
use crate::fields::{Field, Subject};
use crate::inputs::{self, Reading};
use crate::output::{self, Output, Wishes};
use crate::progress::Progress;
use crate::signals::Signals;

/// What was selected.
#[derive(Copy, Clone, Debug, Default)]
struct Totals {
    packets: u64,
    wire_bytes: u64,
    /// Bytes are missing: the input broke off or packets were lost.
    is_bound: bool,
}

/// Runs the command.
pub fn run(args: &CountArgs) -> anyhow::Result<Exit> {
    let filter = crate::filter::read(&args.filter, args.quiet, args.color)?.unwrap_or_else(Filter::all);
    let filter = crate::filter::of_packets(&filter)?;
    let subject = subject();
    let output = Output::new(&subject, wishes(args))?;
    let paths = inputs::expand(&args.read)?;
    let signals = Signals::listen()?;
    let options = DecodeOptions { decapsulate: !args.no_decap, headers: filter.needs().contains(Features::HEADERS) };
    let mut source = match inputs::open(Reading { paths, options, count: args.count }, &signals) {
        Ok(source) => source,
        Err(_) if let Some(signal) = signals.stop() => return Ok(Exit::signalled(signal)),
        Err(error) => return Err(error.into()),
    };
    let mut totals = Totals::default();
    let mut progress = Progress::new(!args.quiet);
    let mut seen = Seen::default();
    read(&mut source, &filter, &signals, &mut progress, &mut totals, &mut seen)?;
    progress.clear();

    let stopped = signals.stop().is_some();
    let mut ledger = source.ledger()?;
    if let (Some(signal), 0) = (signals.stop(), ledger.seen()) {
        return Ok(Exit::signalled(signal));
    }
    ledger.incomplete |= stopped;
    ledger.filter(ledger.delivered().saturating_sub(totals.packets));
    totals.is_bound = ledger.incomplete || ledger.lost_total() > 0;
    let limited = args.count.is_some_and(|count| seen.packets >= count.get());
    let fault = source.fault().map(str::to_owned);
    let why = match (&fault, stopped, limited) {
        (_, true, _) => Some("interrupted by the user"),
        (Some(fault), ..) => Some(fault.as_str()),
        (None, _, true) => Some("stopped by --count"),
        (None, false, false) => None,
    };
    let ending = Ending { from: seen.from, through: seen.through, complete: true, fault: why, ..Ending::new(&ledger) };
    let mut output = output;
    output.take(&mut vec![totals])?;
    output.finish(&ending)?;

    let said = args.output.is_text() && output::is_watched() && !args.no_trailer;
    if let (Some(fault), false) = (&fault, stopped || said) {
        complain(fault);
    }
    let allowed = args.max_loss.filter(|allowed| allowed.is_exceeded(&ledger));
    Ok(if stopped || fault.is_some() || ledger.incomplete {
        Exit::PARTIAL
    } else if allowed.is_some() {
        let (lost, seen) = (ledger.lost_total(), ledger.seen());
        complain(&format!("{lost} of {seen} packets were lost, more than --max-loss allows"));
        Exit::LOSS
    } else if totals.packets == 0 && args.fail_empty {
        Exit::EMPTY
    } else {
        Exit::DONE
    })
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
    filter: &dyn Select,
    signals: &Signals,
    progress: &mut Progress,
    totals: &mut Totals,
    seen: &mut Seen,
) -> anyhow::Result<()> {
    let mut events = Vec::with_capacity(Limit::default().events);
    loop {
        events.clear();
        let filled = source.fill(&mut events, Limit::default())?;
        let (frames, through, status) = (filled.frames, filled.through, filled.status);
        if let Some(first) = events.first() {
            seen.from.get_or_insert(first.time);
            seen.through = Some(through);
        }
        seen.packets += events.len() as u64;
        count(&events, &frames, filter, totals);
        progress.tick(|| {
            let position = source.position();
            (position.read, position.total)
        });
        if signals.wants_totals() {
            progress.clear();
            complain(&format!("{} of {} packets so far", totals.packets, seen.packets));
        }
        if status == Status::End || signals.stop().is_some() {
            return Ok(());
        }
    }
}

fn count(events: &[FlowEvent], frames: &Frames<'_>, filter: &dyn Select, totals: &mut Totals) {
    for step in events.chunks(STEP) {
        let mask = filter.select(step, frames);
        for (place, event) in step.iter().enumerate() {
            let selected = mask >> place & 1;
            totals.packets += selected * u64::from(event.packets);
            totals.wire_bytes += selected * event.bytes;
        }
    }
}

fn wishes(args: &CountArgs) -> Wishes {
    Wishes {
        format: args.output,
        columns: None,
        sort: Vec::new(),
        top: None,
        time: TimeStyle::Utc,
        humanized: args.human,
        color: args.color,
        no_header: args.no_header,
        no_trailer: args.no_trailer,
        safe_integers: false,
        line_buffered: false,
    }
}

/// What can be printed of the totals.
fn subject() -> Subject<Totals> {
    let field = |name: &'static str, unit: Unit, about: &'static str, value: fn(&Totals) -> Value| Field {
        column: Column {
            name: Cow::Borrowed(name),
            title: Cow::Borrowed(name),
            unit,
            meaning: Meaning::Counter,
            about: Cow::Borrowed(about),
            bounded: true,
        },
        value,
        default: true,
        rank: 0,
    };
    Subject {
        table: "count",
        fields: vec![
            field("packets", Unit::Packets, "packets selected", |totals| Value::U64(totals.packets)),
            field("bytes", Unit::Bytes, "their bytes on the wire, link layer included", |totals| {
                Value::U64(totals.wire_bytes)
            }),
        ],
        quality: |totals| Quality { at_least: if totals.is_bound { vec!["loss"] } else { Vec::new() } },
        weight: |totals| totals.wire_bytes,
        order: "packets",
    }
}
