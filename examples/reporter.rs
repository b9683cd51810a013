//! How does the traffic look while it goes on, as tables for a wiki?
//!
//! A reporter writes whatever tables the analyzers give, at intervals of the time in the data and at the end. Numbers
//! come in; names stand at the edge, where the reporter asks for them.

use std::io::{self, Write};
use std::time::Duration;

use flowcore::pipeline::Pipeline;
use flowcore::report::{Row, Unit, Value};
use flowcore::resolve::Resolver;
use flowcore::{Collector, Error, Reporter, Result, Snapshot};
use flowresolve::Hosts;
use flowstats::Conns;

/// Some columns of each table in Markdown.
struct Markdown<W> {
    out: W,
    columns: &'static [&'static str],
    before: Snapshot,
}

impl<W: Write> Markdown<W> {
    fn write(&mut self, snapshot: &Snapshot, names: &dyn Resolver) -> io::Result<()> {
        for table in &snapshot.tables {
            let places: Vec<usize> = self.columns.iter().filter_map(|name| table.column(name)).collect();
            writeln!(self.out, "| {} |", self.columns.join(" | "))?;
            writeln!(self.out, "|{}", "---|".repeat(places.len()))?;
            let before = self.before.tables.iter().find(|before| before.name == table.name);
            let seen = before.map_or(0, |before| before.rows.len());
            for row in table.rows.iter().skip(seen) {
                let cells: Vec<String> =
                    places.iter().map(|&place| cell(row, place, table.columns[place].unit, names)).collect();
                writeln!(self.out, "| {} |", cells.join(" | "))?;
            }
        }
        let (seen, whole) = (snapshot.ledger.seen(), if snapshot.complete { "all" } else { "so far" });
        writeln!(self.out, "\n{seen} packets {whole}\n")
    }
}

/// One cell as text; what is missing is not 0.
fn cell(row: &Row, place: usize, unit: Unit, names: &dyn Resolver) -> String {
    // Counts of a row that missed something are only lower bounds.
    let bound = if row.quality.is_exact() { "" } else { "≥ " };
    match &row.cells[place] {
        Value::Missing => "–".to_owned(),
        Value::Addr(addr) => names.name(*addr, 0).known().map_or(addr.to_string(), |name| name.to_string()),
        Value::U64(number) if unit == Unit::None => number.to_string(),
        Value::U64(number) => format!("{bound}{number}"),
        Value::Word(word) => (*word).to_owned(),
        other => format!("{other:?}"),
    }
}

impl<W: Write + Send> Reporter for Markdown<W> {
    fn report(&mut self, snapshot: &Snapshot, names: &dyn Resolver) -> Result<()> {
        self.write(snapshot, names).map_err(|error| Error::io("report", error))?;
        self.before = snapshot.clone();
        Ok(())
    }
}

pub(crate) fn run(out: impl Write + Send + 'static) -> Result<()> {
    let columns = &["src_ip", "dst_ip", "dst_port", "state", "rev_payload_bytes"];
    let names = Hosts::parse("192.0.2.1 server\n2001:db8::1 server6\n", "names")?;
    let mut source = flowsrc_pcap::Files::open("captures/failures.pcap.lz4")?;
    let every = Some(Duration::from_secs(5));
    let report = Markdown { out, columns, before: Snapshot::default() };
    let mut builder = Pipeline::builder().resolver(std::sync::Arc::new(names)).report(every, report);
    builder.add(Conns::new());
    builder.build(source.info())?.run(&mut source).map(drop)
}

fn main() -> Result<()> {
    run(std::io::stdout())
}
