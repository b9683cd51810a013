//! `flow conns`: one row per connection.
//!
//! Puts source, filter and analyzer together and hands finished connections on.

use flowcore::pipeline::{Handle, Moment, Pipeline};
use flowcore::report::{Ending, Value};
use flowcore::{Collector, Error, ErrorKind, Flows, Snapshot, Verdict};
use flowfilter::{Flow, Predicate};
use flowsrc_pcap::Files;
use flowstats::conns::{COLUMNS, COURSE_COLUMNS, ColumnDef, Connection, Conns, Depth, Doubts};

use crate::args::{ConnsArgs, InputArgs};
use crate::edge::{Edge, Need};
use crate::exit::{Exit, complain};
use crate::fields::{Field, Subject};
use crate::filter::{self, Selection};
use crate::output::{self, Output, Wishes};
use crate::progress::Progress;
use crate::run::{self, Finish};
use crate::signals::Signals;
use crate::times;

/// Runs the command.
pub fn run(args: &ConnsArgs) -> anyhow::Result<Exit> {
    let subject = subject();
    if args.list_columns {
        return crate::documents::print(&subject.describe());
    }
    if args.tcpdump_time > 5 {
        return Err(Error::new(ErrorKind::Usage, "-t may stand five times at most: -ttttt is relative").into());
    }
    let signals = Signals::listen()?;
    let wishes = Wishes::from(args);
    if let (Some(why), true, false) = (times::lacks_zone(wishes.time), wishes.format.is_text(), args.ending.quiet) {
        complain(&format!("note: {why}"));
    }
    if !wishes.format.is_text() && (args.time.is_some() || args.tcpdump_time > 0) && !args.ending.quiet {
        complain("note: this format has its own form of time; the style of time is for tables");
    }
    filter::refuse_one_input(&args.filter, &args.input.read)?;
    let networks = args.asn.load(args.ending.verbose > 0)?;
    let selection = match filter::read(&args.filter, args.ending.quiet, args.style.color)? {
        Some(filter) => {
            let selection = Selection::of(&filter, networks.as_ref())?;
            if let (Selection::Packets(packets), false) = (&selection, args.ending.quiet) {
                filter::note_if_torn(packets);
            }
            Some(selection)
        }
        None => None,
    };
    let edge = Edge::new(&args.names, networks, args.ending.quiet)?.with_whitelist(&args.whitelist)?.heeding(&signals);
    let (whitelist, names, wait) = (edge.whitelist(), edge.names(), edge.wait());
    let mut output = Output::new(&subject, wishes, edge)?;
    let inputs = run::inputs(&args.input.read, &signals)?;
    // Somebody may look at rows while they come: then they are not kept in blocks.
    let waiting = inputs.iter().any(run::Input::may_wait) || output::is_watched();
    let headers = selection.as_ref().is_some_and(Selection::needs_headers);
    let course = output.is_costly() || selection.as_ref().is_some_and(Selection::needs_course);
    let mut source = match run::open(inputs, run::decoding(args.input.no_decap, headers), args.input.count) {
        Ok(source) => source,
        // Nothing came before the user had enough.
        Err(_) if signals.stop().is_some() => return Ok(run::interrupted(&signals)),
        Err(error) => return Err(error.into()),
    };
    let mut builder = Pipeline::builder().limits(run::limits(&args.input)).resolver(names).patience(wait);
    let mut rows = None;
    match selection {
        Some(Selection::Packets(packets)) => builder = builder.filter(packets),
        Some(Selection::Connections(connections)) => rows = Some(connections),
        None => {}
    }
    if let Some(whitelist) = whitelist {
        builder = builder.whitelist(whitelist);
    }
    let conns = builder.add(Conns::with(if course { Depth::Course } else { Depth::Plain }));
    let mut pipeline = builder.build(source.info())?;
    run::introduce(&args.ending, source.info());
    if args.line_buffered {
        output.begin()?;
    }
    let rows_in_the_way = output.streams() && output::is_watched();
    let progress = Progress::new(!args.ending.quiet && !rows_in_the_way);
    let mut job = Job {
        conns,
        output,
        progress,
        signals: &signals,
        input: &args.input,
        rows,
        selected: 0,
        left_out: 0,
        waiting,
        stopped: false,
        finished: Vec::new(),
    };
    let snapshot = pipeline.run_with(&mut source, |pipeline, source, moment| job.attend(pipeline, source, moment))?;
    job.progress.clear();
    run::name_unread(&args.ending, &source);
    job.finish(args, &snapshot, pipeline.flows())
}

/// What goes on beside a run: rows out, progress, signals.
struct Job<'a> {
    conns: Handle<Conns>,
    output: Output<'a, Connection>,
    progress: Progress,
    signals: &'a Signals,
    input: &'a InputArgs,
    /// Somebody waits for rows.
    waiting: bool,
    /// The user had enough before the input ended.
    stopped: bool,
    /// Selects connections that are over.
    rows: Option<Predicate<Flow>>,
    /// Connections that it selected, and that it did not.
    selected: u64,
    left_out: u64,
    finished: Vec<Connection>,
}

impl Job<'_> {
    /// What is to do at a moment of the run; `false` once the user has enough.
    fn attend(&mut self, pipeline: &mut Pipeline, source: &mut Files, moment: Moment) -> anyhow::Result<bool> {
        let conns = pipeline.get_mut(&self.conns);
        if moment == (Moment::Closing { incomplete: false })
            && run::is_limited(self.input.count, source.ledger()?.delivered())
        {
            conns.doubt(Doubts::STOPPED);
        }
        conns.take_finished(&mut self.finished);
        if let Some(rows) = &self.rows {
            let before = self.finished.len();
            self.finished.retain(|connection| filter::selects(rows, connection));
            self.selected += self.finished.len() as u64;
            self.left_out += (before - self.finished.len()) as u64;
        }
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
            self.stopped = self.signals.ends_reading();
        }
        Ok(!self.stopped)
    }

    /// Writes the rest, and says how it went.
    fn finish(mut self, args: &ConnsArgs, snapshot: &Snapshot, flows: &Flows) -> anyhow::Result<Exit> {
        self.progress.clear();
        let ledger = &snapshot.ledger;
        let stopped = self.stopped;
        if stopped && ledger.seen() == 0 {
            return Ok(run::interrupted(self.signals));
        }
        let why = run::why(args.input.count, run::packets_read(&snapshot.ledger), snapshot.fault.as_deref(), stopped);
        let rows = self.output.finish(&Ending { fault: why, ..Ending::of(snapshot) })?;

        // On a terminal the trust line has just said it, in whatever format.
        let said = run::has_said(args.output, args.style.no_trailer);
        if self.rows.is_some() && !args.ending.quiet {
            // Rows may be fewer: of what is selected not all need be shown.
            complain(&format!("note: {} of {} connections selected", self.selected, self.selected + self.left_out));
        }
        Ok(run::conclude(&args.ending, snapshot, flows, &Finish { rows, stopped, said }))
    }
}

/// What can be printed of a connection.
fn subject() -> Subject<Connection> {
    let own = |costly| {
        move |def: &ColumnDef| Field {
            costly,
            shown: match &*def.column.name {
                "src_port" => {
                    Some(|c: &Connection, edge: &Edge| edge.service(c.flow.key.src_port, c.flow.key.protocol))
                }
                "dst_port" => Some(|c, edge| edge.service(c.flow.key.dst_port, c.flow.key.protocol)),
                _ => None,
            },
            ..Field::of(def)
        }
    };
    let fields = COLUMNS.iter().map(own(false)).chain(COURSE_COLUMNS.iter().map(own(true)));
    Subject {
        table: "conns",
        has_levels: false,
        fields: fields.chain(edge_fields()).collect(),
        ask: |connection, edge| {
            let key = &connection.flow.key;
            // Both, so that both are on their way. A verdict that is open then remains so: a name could not be looked up.
            edge.knows(key.src) & edge.knows(key.dst)
        },
        verdict: |connection, edge| edge.verdict(&connection.flow),
        quality: |connection| connection.doubts.quality(),
        weight: |connection| connection.counts.iter().map(|side| side.wire_bytes).sum(),
        serial: |connection| connection.flow.serial,
        order: "start_ns",
    }
}

/// What the edge adds.
fn edge_fields() -> [Field<Connection>; 10] {
    [
        Field {
            default: true,
            ..Field::at_the_edge(
                ["src_asn", "SRC-AS", "AS that announces the originator."],
                Need::Networks,
                |c, edge| edge.asn(c.flow.key.src),
            )
        },
        Field {
            default: true,
            ..Field::at_the_edge(
                ["dst_asn", "DST-AS", "AS that announces the responder."],
                Need::Networks,
                |c, edge| edge.asn(c.flow.key.dst),
            )
        },
        Field::at_the_edge(
            ["src_holder", "SRC-HOLDER", "Who holds the originator's AS."],
            Need::Networks,
            |c, edge| edge.holder(c.flow.key.src),
        ),
        Field::at_the_edge(["dst_holder", "DST-HOLDER", "Who holds the responder's AS."], Need::Networks, |c, edge| {
            edge.holder(c.flow.key.dst)
        }),
        Field::at_the_edge(["src_name", "SRC-NAME", "Name of the originator's address."], Need::Names, |c, edge| {
            edge.name(c.flow.key.src)
        }),
        Field::at_the_edge(["dst_name", "DST-NAME", "Name of the responder's address."], Need::Names, |c, edge| {
            edge.name(c.flow.key.dst)
        }),
        Field::at_the_edge(
            ["src_service", "SRC-SERVICE", "What the originator's port is registered for."],
            Need::Services,
            |c, edge| edge.service(c.flow.key.src_port, c.flow.key.protocol),
        ),
        Field::at_the_edge(
            ["dst_service", "DST-SERVICE", "What the responder's port is registered for."],
            Need::Services,
            |c, edge| edge.service(c.flow.key.dst_port, c.flow.key.protocol),
        ),
        Field {
            default: true,
            ..Field::at_the_edge(
                ["allowed", "ALLOWED", "Whether a rule of the whitelist allows it; missing if a name is."],
                Need::Whitelist,
                |c, edge| match edge.verdict(&c.flow) {
                    Some(Verdict::Allowed(_)) => Value::Bool(true),
                    Some(Verdict::Unlisted) => Value::Bool(false),
                    Some(Verdict::Undecided) | None => Value::Missing,
                },
            )
        },
        Field {
            default: true,
            ..Field::at_the_edge(["rule", "RULE", "The rule that allows it."], Need::Whitelist, |c, edge| {
                match edge.verdict(&c.flow) {
                    Some(Verdict::Allowed(rule)) => edge.rule(rule),
                    _ => Value::Missing,
                }
            })
        },
    ]
}
