//! `flow conns`: one row per connection.
//!
//! Puts source, filter and analyzer together and hands finished connections on.

use flowcore::flows::Limits;
use flowcore::pipeline::{Handle, Pipeline};
use flowcore::report::Ending;
use flowcore::wire::DecodeOptions;
use flowcore::{Collector, Limit, Status};
use flowfilter::{Flow, Predicate};
use flowsrc_pcap::Files;
use flowstats::conns::{COLUMNS, ColumnDef, Connection, Conns, Doubts};

use crate::args::{ConnsArgs, Timeouts};
use crate::exit::{Exit, complain};
use crate::fields::{Field, Subject};
use crate::filter::{self, Selection};
use crate::inputs::{self, Reading};
use crate::output::{self, Output, Wishes};
use crate::progress::Progress;
use crate::signals::Signals;

/// Runs the command.
pub fn run(args: &ConnsArgs) -> anyhow::Result<Exit> {
    let subject = subject();
    if args.list_columns {
        return crate::documents::print(&subject.describe());
    }
    let wishes = Wishes::from(args);
    if !wishes.format.is_text() && (args.time.is_some() || args.tcpdump_time > 0) && !args.quiet {
        complain("note: this format has its own form of time; the style of time is for tables");
    }
    let selection = match filter::read(&args.filter, args.quiet, args.color)? {
        Some(filter) => Some(Selection::of(&filter)?),
        None => None,
    };
    let options = DecodeOptions {
        decapsulate: !args.no_decap,
        headers: selection.as_ref().is_some_and(Selection::needs_headers),
    };
    let output = Output::new(&subject, wishes)?;
    let paths = inputs::expand(&args.read)?;
    let signals = Signals::listen()?;
    // Somebody may look at rows while they come: then they are not kept in blocks.
    let waiting = paths.iter().any(|path| inputs::is_standard_input(path)) || output::is_watched();
    let mut source = match inputs::open(Reading { paths, options, count: args.count }, &signals) {
        Ok(source) => source,
        // Nothing came before the user had enough.
        Err(_) if signals.stop().is_some() => return Ok(interrupted(&signals)),
        Err(error) => return Err(error.into()),
    };
    let mut builder = Pipeline::builder().limits(limits(args));
    let mut rows = None;
    match selection {
        Some(Selection::Packets(packets)) => builder = builder.filter(packets),
        Some(Selection::Connections(connections)) => rows = Some(connections),
        None => {}
    }
    let conns = builder.add(Conns::new());
    let pipeline = builder.build(source.info())?;
    if args.verbose > 0 {
        complain(&format!("reading {}", source.info().name));
    }
    let rows_in_the_way = output.streams() && output::is_watched();
    let progress = Progress::new(!args.quiet && !rows_in_the_way);
    let mut job =
        Job { pipeline, conns, output, progress, signals: &signals, waiting, rows, left_out: 0, finished: Vec::new() };
    job.read(&mut source)?;
    job.finish(args, &mut source)
}

/// One run: from packets to rows.
struct Job<'a> {
    pipeline: Pipeline,
    conns: Handle<Conns>,
    output: Output<'a, Connection>,
    progress: Progress,
    signals: &'a Signals,
    /// Somebody waits for rows.
    waiting: bool,
    /// Selects connections that are over.
    rows: Option<Predicate<Flow>>,
    /// Connections that it did not select.
    left_out: u64,
    finished: Vec<Connection>,
}

impl Job<'_> {
    /// Reads until the input ends or the user has enough.
    fn read(&mut self, source: &mut Files) -> anyhow::Result<()> {
        let mut events = Vec::with_capacity(Limit::default().events);
        let mut knows_loss = false;
        loop {
            let filled = source.fill(&mut events, Limit::default())?;
            let (frames, through, status) = (filled.frames, filled.through, filled.status);
            self.pipeline.push(&mut events, frames, through)?;
            if !knows_loss && source.ledger()?.lost_total() > 0 {
                knows_loss = true;
                self.pipeline.get_mut(&self.conns).doubt(Doubts::LOSS);
            }
            self.hand_on()?;
            self.progress.tick(|| {
                let position = source.position();
                (position.read, position.total)
            });
            if self.signals.wants_totals() {
                self.progress.clear();
                let open = self.pipeline.get(&self.conns).open();
                let packets = source.ledger()?.delivered();
                complain(&format!("{packets} packets so far, {open} connections open"));
            }
            if status == Status::End || self.signals.stop().is_some() {
                return Ok(());
            }
        }
    }

    /// Ends what is still open, writes the rest, and says how it went.
    fn finish(mut self, args: &ConnsArgs, source: &mut Files) -> anyhow::Result<Exit> {
        let stopped = self.signals.stop().is_some();
        let limited =
            args.count.is_some_and(|count| source.ledger().is_ok_and(|so_far| so_far.delivered() >= count.get()));
        let mut ledger = source.ledger()?;
        if stopped && ledger.seen() == 0 {
            return Ok(interrupted(self.signals));
        }
        ledger.incomplete |= stopped;
        if ledger.incomplete {
            self.pipeline.get_mut(&self.conns).doubt(Doubts::INPUT_CUT);
        }
        while self.pipeline.close()? {
            self.hand_on()?;
        }
        self.hand_on()?;
        self.progress.clear();

        let snapshot = self.pipeline.snapshot(Some(ledger), true);
        let fault = source.fault().map(str::to_owned);
        let why = match (&fault, stopped, limited) {
            (_, true, _) => Some("interrupted by the user".to_owned()),
            (Some(fault), ..) => Some(fault.clone()),
            (None, _, true) => Some("stopped by --count".to_owned()),
            (None, false, false) => None,
        };
        let rows = self.output.finish(&Ending { fault: why.as_deref(), ..Ending::of(&snapshot) })?;

        let ledger = &snapshot.ledger;
        if self.rows.is_some() && !args.quiet {
            complain(&format!("note: {} of {} connections selected", rows, rows + self.left_out));
        }
        // On a terminal the trust line has just said it.
        let said = args.output.is_text() && output::is_watched() && !args.no_trailer;
        if let (Some(fault), false) = (&fault, stopped || said) {
            complain(fault);
        }
        if args.verbose > 0 {
            let flows = self.pipeline.flows();
            let kibibytes = flows.memory_bytes() / 1024;
            complain(&format!("{} packets, {rows} rows, {kibibytes} KiB in the flow table", ledger.seen()));
        }
        let allowed = args.max_loss.filter(|allowed| allowed.is_exceeded(ledger));
        Ok(if stopped || fault.is_some() || ledger.incomplete {
            Exit::PARTIAL
        } else if allowed.is_some() {
            let (lost, seen) = (ledger.lost_total(), ledger.seen());
            complain(&format!("{lost} of {seen} packets were lost, more than --max-loss allows"));
            Exit::LOSS
        } else if rows == 0 && args.fail_empty {
            Exit::EMPTY
        } else {
            Exit::DONE
        })
    }

    /// Hands finished connections on.
    fn hand_on(&mut self) -> anyhow::Result<()> {
        self.pipeline.get_mut(&self.conns).take_finished(&mut self.finished);
        if let Some(rows) = &self.rows {
            let before = self.finished.len();
            self.finished.retain(|connection| filter::selects(rows, connection));
            self.left_out += (before - self.finished.len()) as u64;
        }
        if !self.finished.is_empty() {
            self.output.take(&mut self.finished)?;
            self.output.settle(self.waiting)?;
        }
        Ok(())
    }
}

/// Ended by a signal before there was anything to show.
fn interrupted(signals: &Signals) -> Exit {
    signals.stop().map_or(Exit::DONE, Exit::signalled)
}

/// What can be printed of a connection.
fn subject() -> Subject<Connection> {
    let field = |def: &ColumnDef| Field {
        column: def.column.clone(),
        value: def.value,
        default: def.default,
        rank: def.priority,
    };
    Subject {
        table: "conns",
        fields: COLUMNS.iter().map(field).collect(),
        quality: |connection| connection.doubts.quality(),
        weight: |connection| connection.counts.iter().map(|side| side.wire_bytes).sum(),
        order: "start_ns",
    }
}

/// How long flows live and how many there may be.
fn limits(args: &ConnsArgs) -> Limits {
    let mut limits = Limits::default();
    if let Some(flows) = args.max_flows {
        limits.flows = usize::try_from(flows.get()).unwrap_or(usize::MAX);
    }
    let Timeouts { tcp, tcp_attempt, tcp_close, tcp_reset, udp, icmp, other } = args.timeouts;
    for (limit, asked) in [
        (&mut limits.tcp, tcp),
        (&mut limits.tcp_attempt, tcp_attempt),
        (&mut limits.tcp_close, tcp_close),
        (&mut limits.tcp_reset, tcp_reset),
        (&mut limits.udp, udp),
        (&mut limits.icmp, icmp),
        (&mut limits.other, other),
    ] {
        *limit = asked.unwrap_or(*limit);
    }
    limits
}
