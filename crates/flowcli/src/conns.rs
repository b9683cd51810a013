//! `flow conns`: one row per connection.
//!
//! The only module that knows sources and analyzers; it puts them together and hands finished connections on.

use std::io::{self, IsTerminal};
use std::num::NonZeroU64;
use std::path::PathBuf;

use flowcore::flows::Limits;
use flowcore::pipeline::{Handle, Moment, Pipeline};
use flowcore::report::Ending;
use flowcore::wire::DecodeOptions;
use flowcore::{Collector, Flows, Result, Snapshot};
use flowsrc_pcap::Files;
use flowstats::conns::{COLUMNS, ColumnDef, Connection, Conns, Doubts};

use crate::args::{ConnsArgs, Timeouts};
use crate::exit::{Exit, complain};
use crate::fields::{Field, Subject};
use crate::inputs;
use crate::output::{self, Output, Wishes};
use crate::progress::Progress;
use crate::signals::{Signals, StoppableInput};

/// Runs the command.
pub fn run(args: &ConnsArgs) -> anyhow::Result<Exit> {
    let subject = subject();
    if args.list_columns {
        return crate::documents::print(&subject.describe());
    }
    let signals = Signals::listen()?;
    let wishes = Wishes::from(args);
    if !wishes.format.is_text() && (args.time.is_some() || args.tcpdump_time > 0) && !args.quiet {
        complain("note: this format has its own form of time; the style of time is for tables");
    }
    let output = Output::new(&subject, wishes)?;
    let pipe_or_path = |path: PathBuf| (StoppableInput::at(&path, &signals), path);
    let inputs: Vec<_> = inputs::expand(&args.read)?.into_iter().map(pipe_or_path).collect();
    // Somebody may look at rows while they come: then they are not kept in blocks.
    let waiting = inputs.iter().any(|(pipe, _)| pipe.is_some()) || output::is_watched();
    let mut source = match open(args, inputs) {
        Ok(source) => source,
        // Nothing came before the user had enough.
        Err(_) if signals.stop().is_some() => return Ok(interrupted(&signals)),
        Err(error) => return Err(error.into()),
    };
    let mut builder = Pipeline::builder().limits(limits(args));
    let conns = builder.add(Conns::new());
    let mut pipeline = builder.build(source.info())?;
    if args.verbose > 0 {
        complain(&format!("reading {}", source.info().name));
    }
    if !args.quiet {
        source.info().degraded.iter().for_each(|what| complain(&format!("note: {what}")));
    }
    let rows_in_the_way = output.streams() && output::is_watched();
    let progress = Progress::new(!args.quiet && !rows_in_the_way);
    let mut job = Job {
        conns,
        output,
        progress,
        signals: &signals,
        count: args.count,
        waiting,
        knows_loss: false,
        stopped: false,
        finished: Vec::new(),
    };
    let snapshot = pipeline.run_with(&mut source, |pipeline, source, moment| job.attend(pipeline, source, moment))?;
    job.finish(args, &snapshot, pipeline.flows())
}

/// What goes on beside a run: rows out, progress, signals.
struct Job<'a> {
    conns: Handle<Conns>,
    output: Output<'a, Connection>,
    progress: Progress,
    signals: &'a Signals,
    count: Option<NonZeroU64>,
    /// Somebody waits for rows.
    waiting: bool,
    knows_loss: bool,
    /// The user had enough before the input ended.
    stopped: bool,
    finished: Vec<Connection>,
}

impl Job<'_> {
    /// What is to do at a moment of the run; `false` once the user has enough.
    fn attend(&mut self, pipeline: &mut Pipeline, source: &mut Files, moment: Moment) -> anyhow::Result<bool> {
        let conns = pipeline.get_mut(&self.conns);
        match moment {
            Moment::Batch if !self.knows_loss && source.ledger()?.lost_total() > 0 => {
                self.knows_loss = true;
                conns.doubt(Doubts::LOSS);
            }
            Moment::Closing { incomplete: true } => conns.doubt(Doubts::INPUT_CUT),
            Moment::Closing { .. } if self.is_limited(source.ledger()?.delivered()) => conns.doubt(Doubts::STOPPED),
            _ => {}
        }
        conns.take_finished(&mut self.finished);
        if !self.finished.is_empty() {
            self.output.take(&mut self.finished)?;
            self.output.settle(self.waiting)?;
        }
        if moment == Moment::Batch {
            self.progress.tick(|| {
                let position = source.position();
                (position.read, position.total)
            });
            if self.signals.wants_totals() {
                self.progress.clear();
                let open = conns.open();
                let packets = source.ledger()?.delivered();
                complain(&format!("{packets} packets so far, {open} connections open"));
            }
            self.stopped = self.signals.stop().is_some();
        }
        Ok(!self.stopped)
    }

    /// Whether `--count` ended it; there may be more behind.
    fn is_limited(&self, delivered: u64) -> bool {
        self.count.is_some_and(|count| delivered >= count.get())
    }

    /// Writes the rest, and says how it went.
    fn finish(mut self, args: &ConnsArgs, snapshot: &Snapshot, flows: &Flows) -> anyhow::Result<Exit> {
        self.progress.clear();
        let ledger = &snapshot.ledger;
        let stopped = self.stopped;
        if stopped && ledger.seen() == 0 {
            return Ok(interrupted(self.signals));
        }
        let limited = self.is_limited(ledger.delivered());
        let fault = snapshot.fault.as_deref();
        let why = match fault {
            _ if stopped => Some("interrupted by the user"),
            None if limited => Some("stopped by --count"),
            fault => fault,
        };
        let rows = self.output.finish(&Ending { fault: why, ..Ending::of(snapshot) })?;

        // On a terminal the trust line has just said it, in whatever format.
        let has_trailer = args.output.is_json() || !args.no_trailer;
        let said = has_trailer && output::is_watched() && io::stderr().is_terminal();
        if let (Some(fault), false) = (fault, stopped || said) {
            complain(fault);
        }
        if args.verbose > 0 {
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
        serial: |connection| connection.flow.serial,
        order: "start_ns",
    }
}

/// Opens what the user named.
fn open(args: &ConnsArgs, inputs: Vec<(Option<StoppableInput>, PathBuf)>) -> Result<Files> {
    let mut builder = Files::builder().decode(DecodeOptions { decapsulate: !args.no_decap });
    for (pipe, path) in inputs {
        builder = match pipe {
            Some(pipe) => builder.stream(Box::new(pipe), inputs::name(&path)),
            None => builder.path(path),
        };
    }
    if let Some(count) = args.count {
        builder = builder.packet_limit(count.get());
    }
    builder.open()
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
