//! `flow hosts`: one row per remote host.
//!
//! Puts source and analyzer together, and their rows into order.

mod classic;

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use flowcore::pipeline::{Moment, Pipeline};
use flowcore::report::{Bound, Column, Ending, Row, Rows, TextTable, TextWriter, Value};
use flowcore::resolve::{Network, Numeric, Resolver};
use flowcore::{Addr, Collector, Error, ErrorKind, Features, Lookup, Nanos, Protocol};
use flowstats::conns::Doubts;
use flowstats::hosts::{self, Host, Hosts, Listing, Options, View, Who};

use crate::args::{Highlights, HostsArgs, SortKey, StyleArgs};
use crate::edge::{self, Edge, Need};
use crate::exit::{Exit, complain};
use crate::fields::{Field, Order, Subject, is_relative};
use crate::filter;
use crate::output;
use crate::progress::Progress;
use crate::run::{self, Finish};
use crate::signals::Signals;
use crate::terminal;

/// Runs the command.
pub fn run(args: &HostsArgs) -> anyhow::Result<Exit> {
    let levels = &args.percentiles.0;
    let defs = hosts::columns(levels);
    let subject = subject(&defs);
    if args.list_columns {
        return crate::documents::print(&subject.describe());
    }
    filter::refuse_one_input(&args.filter, &args.input.read)?;
    let networks = args.asn.load(args.ending.verbose > 0)?;
    let packets = match filter::read(&args.filter, args.ending.quiet, args.style.color)? {
        Some(filter) => {
            let packets = filter::of_packets(&filter, networks.as_ref())?;
            if !args.ending.quiet {
                filter::note_if_torn(&packets);
            }
            Some(packets)
        }
        None => None,
    };
    let signals = Signals::listen()?;
    let edge = Edge::new(&args.names, networks, args.ending.quiet)?.with_whitelist(&args.whitelist)?.heeding(&signals);
    let sheet = Sheet::new(args, &subject, &edge)?;
    let inputs = run::inputs(&files(args)?, &signals)?;
    let headers = packets.as_ref().is_some_and(|packets| packets.needs().contains(Features::HEADERS));
    let mut source = match run::open(inputs, run::decoding(args.input.no_decap, headers), args.input.count) {
        Ok(source) => source,
        // Nothing came before the user had enough.
        Err(_) if signals.stop().is_some() => return Ok(run::interrupted(&signals)),
        Err(error) => return Err(error.into()),
    };
    let mut builder = Pipeline::builder().limits(run::limits(&args.input)).resolver(edge.names()).patience(edge.wait());
    if let Some(packets) = packets {
        builder = builder.filter(packets);
    }
    if let Some(whitelist) = edge.whitelist() {
        builder = builder.whitelist(whitelist);
    }
    let handle = builder.add(Hosts::new(options(args, &edge)));
    let mut pipeline = builder.build(source.info())?;
    run::introduce(&args.ending, source.info());
    let mut progress = Progress::new(!args.ending.quiet);
    let mut stopped = false;
    let mut snapshot = pipeline.run_with(&mut source, |pipeline, source, moment| -> anyhow::Result<bool> {
        let hosts = pipeline.get_mut(&handle);
        if moment == (Moment::Closing { incomplete: false })
            && run::is_limited(args.input.count, source.ledger()?.delivered())
        {
            hosts.doubt(Doubts::STOPPED);
        }
        if moment == Moment::Batch {
            progress.tick(|| {
                let position = source.position();
                (position.read, position.total)
            });
            if signals.wants_totals() {
                progress.clear();
                let (open, remotes) = (hosts.open(), hosts.remotes().len());
                let packets = source.ledger()?.delivered();
                complain(&format!("{packets} packets so far, {remotes} remotes, {open} connections open"));
            }
            stopped = signals.ends_reading();
        }
        Ok(!stopped)
    })?;
    progress.clear();
    if stopped && snapshot.ledger.seen() == 0 {
        return Ok(run::interrupted(&signals));
    }
    let hosts = pipeline.get(&handle);
    let names: Arc<dyn Resolver> = if args.by_asn { Arc::new(PerNetwork::new(edge.names())) } else { edge.names() };
    let names: Arc<dyn Resolver> = if args.by_port { Arc::new(PerPort(names)) } else { names };
    // A name is the key of its row: all of them are asked for before there are rows.
    let is_pending = |remote: &&hosts::Remote| names.name(remote.addr, remote.port) == Lookup::Pending;
    edge.settle(|| hosts.remotes().iter().filter(is_pending).count());
    edge.freeze();
    let (rows, left_out) = sheet.arrange(hosts.rows(&*names, levels));
    snapshot.ledger.unreported_rows += left_out;
    let count = rows.len() as u64;
    // What the whitelist took out is nobody that was looked for.
    let found = rows.iter().filter(|host| !matches!(host.who, Who::Allowed | Who::Unlisted)).count() as u64;
    if rows.is_empty() && pipeline.flows().opened() > 0 && !args.ending.quiet {
        let readable = if snapshot.ledger.cut_total() > 0 { " whose headers can be read" } else { "" };
        complain(&format!(
            "note: no TCP connections{readable} here, which is what hosts are judged by; `flow conns` shows the other flows"
        ));
    }
    let total = (!args.no_total && !rows.is_empty()).then(|| hosts.total(levels));
    let why = run::why(args.input.count, run::packets_read(&snapshot.ledger), snapshot.fault.as_deref(), stopped);
    let open = edge::open_verdicts(hosts.unjudged() as u64, "remotes");
    let ending = Ending { fault: why, rows: count, remark: open.as_deref(), ..Ending::of(&snapshot) };
    sheet.print(rows, total, &ending, &*names)?;
    edge.complain(open.as_deref(), output::has_remarked(args.output, args.style.no_trailer));
    run::name_unread(&args.ending, &source);
    let said = run::has_said(args.output, args.style.no_trailer);
    Ok(run::conclude(&args.ending, &snapshot, pipeline.flows(), &Finish { rows: found, stopped, said }))
}

/// Networks in the place of names, where one announces the address. Tables may call the holder of one number differently,
/// or only sometimes: the first that is met stands for all, so that a number has one name once all have been asked for.
struct PerNetwork {
    names: Arc<dyn Resolver>,
    holders: Mutex<HashMap<u32, Arc<str>>>,
}

impl PerNetwork {
    fn new(names: Arc<dyn Resolver>) -> Self {
        Self { names, holders: Mutex::default() }
    }
}

impl Resolver for PerNetwork {
    fn name(&self, addr: Addr, port: u16) -> Lookup<Arc<str>> {
        let Lookup::Known(Network { asn, holder, .. }) = self.names.network(addr) else {
            return self.names.name(addr, port);
        };
        let mut holders = self.holders.lock().unwrap_or_else(PoisonError::into_inner);
        if let (Some(holder), false) = (holder, holders.contains_key(&asn)) {
            holders.insert(asn, holder);
        }
        Lookup::Known(holders.get(&asn).map_or_else(|| format!("AS{asn}"), |holder| format!("AS{asn} {holder}")).into())
    }
}

/// Names that keep the ports of a row apart.
struct PerPort(Arc<dyn Resolver>);

impl Resolver for PerPort {
    fn name(&self, addr: Addr, port: u16) -> Lookup<Arc<str>> {
        match self.0.name(addr, port) {
            Lookup::Known(name) => Lookup::Known(format!("{name}:{port}").into()),
            other => other,
        }
    }
}

fn options(args: &HostsArgs, edge: &Edge) -> Options {
    let listing = match (edge.offers(Need::Whitelist), edge.only_unlisted()) {
        (false, _) => Listing::All,
        (true, false) => Listing::Allowed,
        (true, true) => Listing::Unlisted,
    };
    Options {
        view: View { incoming: args.incoming, local: args.local.clone() },
        by_port: args.by_port,
        listing,
        most_rows: args.max_hosts.map_or(0, |most| usize::try_from(most.get()).unwrap_or(usize::MAX)),
        without_table: true,
    }
}

/// The files to read, with those that were named as TRTOP's users do.
fn files(args: &HostsArgs) -> Result<Vec<PathBuf>, Error> {
    let mut files = args.input.read.clone();
    for path in &args.interface {
        if !path.exists() {
            let message = format!("-i {}: there is no such file, and interfaces cannot be read yet", path.display());
            return Err(Error::new(ErrorKind::Usage, message));
        }
        if !args.ending.quiet {
            complain(&format!("note: -i {} is taken for a file to read; -r says so", path.display()));
        }
        files.push(path.clone());
    }
    Ok(files)
}

/// What can be printed of a host.
fn subject(defs: &[hosts::ColumnDef]) -> Subject<Host> {
    let field = |def: &hosts::ColumnDef| Field {
        shown: (def.column.name == "port").then_some(|host: &Host, edge: &Edge| match host.port {
            Some(port) => edge.service(port, Protocol::TCP),
            None => Value::Missing,
        }),
        ..Field::of(def)
    };
    Subject {
        table: "hosts",
        has_levels: true,
        fields: defs.iter().map(field).chain(edge_fields()).collect(),
        quality: Host::quality,
        weight: |host| host.tally.connections,
        // Rows come in a stable order and are sorted stably.
        serial: |_| 0,
        order: "host",
        ask: |_, _| true,
        verdict: |_, _| None,
    }
}

/// What the edge adds: of rows that are one address.
fn edge_fields() -> [Field<Host>; 2] {
    [
        Field::at_the_edge(["asn", "AS", "AS that announces the remote."], Need::Networks, |host, edge| {
            host.addr.map_or(Value::Missing, |addr| edge.asn(addr))
        }),
        Field::at_the_edge(["holder", "HOLDER", "Who holds that AS."], Need::Networks, |host, edge| {
            host.addr.map_or(Value::Missing, |addr| edge.holder(addr))
        }),
    ]
}

/// How the user wants to see rows.
struct Sheet<'a> {
    args: &'a HostsArgs,
    subject: &'a Subject<Host>,
    edge: &'a Edge,
    fields: Vec<&'a Field<Host>>,
    order: Order<Host>,
}

impl<'a> Sheet<'a> {
    fn new(args: &'a HostsArgs, subject: &'a Subject<Host>, edge: &'a Edge) -> Result<Self, Error> {
        let chosen = args.columns.as_deref();
        let mut fields = subject.choose(chosen, args.output, edge)?;
        let port = subject.field("port")?;
        if args.by_port && chosen.is_none_or(is_relative) && !fields.iter().any(|field| std::ptr::eq(*field, port)) {
            let place = fields.iter().position(|field| field.column.name == "host").map_or(0, |place| place + 1);
            fields.insert(place, port);
        }
        let key = |column: &str, descending| SortKey { column: column.to_owned(), descending: Some(descending) };
        let order = match args.sort.as_slice() {
            // TRTOP's order is upwards.
            [] if args.classic => subject.order(&[key("est_rate", false), key("host", false)], edge)?,
            [] => subject.order(&[key("connections", true), key("host", false)], edge)?,
            keys => subject.order(keys, edge)?,
        };
        Ok(Self { args, subject, edge, fields, order })
    }

    /// The rows that are shown, in their order, and how many are not; what has no row of its own comes last, in any
    /// case.
    fn arrange(&self, rows: Vec<Host>) -> (Vec<Host>, u64) {
        let is_remote = |host: &Host| matches!(host.who, Who::Remote(_) | Who::Named(_));
        let (mut remotes, rest): (Vec<Host>, Vec<Host>) = rows.into_iter().partition(is_remote);
        remotes.sort_by(|a, b| self.order.compare(a, b, self.edge));
        let top = self.args.top.map_or(usize::MAX, |top| usize::try_from(top.get()).unwrap_or(usize::MAX));
        let left_out = remotes.len().saturating_sub(top);
        if self.args.classic && self.args.sort.is_empty() {
            // The greatest are last.
            remotes.drain(..left_out);
        } else {
            remotes.truncate(top);
        }
        remotes.extend(rest);
        (remotes, left_out as u64)
    }

    fn print(
        &self,
        rows: Vec<Host>,
        total: Option<Host>,
        ending: &Ending<'_>,
        names: &dyn Resolver,
    ) -> std::io::Result<()> {
        if self.args.classic {
            let width = terminal::width();
            let paint = terminal::color(self.args.style.color);
            let levels = self.args.percentiles.0.percents().len();
            let StyleArgs { no_header, no_trailer, .. } = self.args.style;
            let (total, highlights) = (total.as_ref(), &self.args.highlight);
            let table = classic::Classic { rows: &rows, total, highlights, levels, no_header };
            return table.print(width, paint, names, (!no_trailer).then_some(ending));
        }
        let rows: Vec<Host> = rows.into_iter().chain(total).collect();
        if self.args.output.is_text() { self.print_table(&rows, ending) } else { self.print_rows(&rows, ending) }
    }

    fn print_table(&self, rows: &[Host], ending: &Ending<'_>) -> std::io::Result<()> {
        let options = output::text_options(self.args.output, self.args.style);
        let columns: Vec<Column> = self.fields.iter().map(|field| field.column.clone()).collect();
        let stays = |field: &Field<Host>| {
            let is_meant =
                |key: &SortKey| self.subject.field(&key.column).is_ok_and(|meant| std::ptr::eq(meant, field));
            self.args.sort.iter().any(is_meant) || (self.args.by_port && field.column.name == "port")
        };
        // The first percentile of each always stays; of the others the last go where nothing else is left to go.
        const PERCENTILES: [&str; 2] = ["lat_p", "rtt_p"];
        let is_of = |field: &Field<Host>, kind: &str| field.column.name.starts_with(kind);
        let firsts = PERCENTILES.map(|kind| self.fields.iter().position(|field| is_of(field, kind)));
        let rank = |(place, &field): (usize, &&Field<Host>)| {
            if stays(field) || firsts.contains(&Some(place)) {
                0
            } else if PERCENTILES.iter().any(|kind| is_of(field, kind)) {
                1
            } else {
                self.subject.rank(field, self.args.columns.as_deref(), &self.args.sort)
            }
        };
        let ranks: Vec<u8> = self.fields.iter().enumerate().map(rank).collect();
        let rows = TextRows { rows, sheet: self };
        let mut writer = TextWriter::new(output::standard_output()?, options);
        // Rows have the names that there are.
        writer.table(&TextTable { columns: &columns, ranks: &ranks, rows: &rows }, &Numeric)?;
        writer.trailer(ending)
    }

    fn print_rows(&self, rows: &[Host], ending: &Ending<'_>) -> std::io::Result<()> {
        let columns: Vec<Column> = self.fields.iter().map(|field| field.column.clone()).collect();
        let mut writer = output::begin("hosts", &columns, self.args.output, self.args.style)?;
        for host in rows {
            for (place, field) in self.fields.iter().enumerate() {
                writer.cell(place, &field.value.get(host, self.edge));
            }
            writer.end_row(&host.quality())?;
        }
        writer.trailer(ending)
    }
}

/// Hosts as rows of a text table.
struct TextRows<'a> {
    rows: &'a [Host],
    sheet: &'a Sheet<'a>,
}

impl Rows for TextRows<'_> {
    fn count(&self) -> usize {
        self.rows.len()
    }

    fn row<'a>(&'a self, index: usize, scratch: &'a mut Row) -> &'a Row {
        let host = &self.rows[index];
        scratch.cells.clear();
        let edge = self.sheet.edge;
        scratch.cells.extend(self.sheet.fields.iter().map(|field| {
            let shown = field.shown.map_or(Value::Missing, |shown| shown(host, edge));
            if shown == Value::Missing { field.value.get(host, edge) } else { shown }
        }));
        scratch.quality = host.quality();
        scratch
    }

    fn is_alarming(&self, index: usize, column: usize) -> bool {
        let field = self.sheet.fields[column];
        let value = field.value.get(&self.rows[index], self.sheet.edge);
        self.sheet.args.highlight.catch(&field.column.name, &value)
    }

    fn bound(&self, index: usize, column: usize) -> Bound {
        (self.sheet.fields[column].bound)(&self.rows[index])
    }
}

impl Highlights {
    /// Whether the cell of the column called `name` is beyond what was set for it. What is not known is not.
    fn catch(&self, name: &str, value: &Value) -> bool {
        let below = |limit: Option<f64>, value: f64| limit.is_some_and(|limit| value < limit);
        let above = |limit: Option<Nanos>, value: Nanos| limit.is_some_and(|limit| value > limit);
        match *value {
            Value::F64(value) => match name {
                "syn_ack_percent" => below(self.syn_ack, value),
                "est_percent" => below(self.est, value),
                "rst_percent" => self.rst.is_some_and(|limit| value > limit),
                _ => false,
            },
            Value::Span(value) if name.starts_with("lat_p") => above(self.lat, value),
            Value::Span(value) if name.starts_with("rtt_p") => above(self.rtt, value),
            Value::U64(value) if name.starts_with("qos_p") => below(self.qos, value as f64),
            _ => false,
        }
    }
}
