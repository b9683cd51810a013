//! Results as tables with named, unit-bearing columns, and who writes them.

use std::borrow::Cow;
use std::sync::Arc;

use crate::addr::Addr;
use crate::error::{Error, ErrorKind, Result};
use crate::ledger::Ledger;
use crate::resolve::{Lookup, Resolver};
use crate::time::{Nanos, Timestamp};

pub mod cell;
mod chosen;
mod csv;
mod jsonl;
mod ledger;
mod rows;
mod text;
mod times;

pub use cell::push_rfc3339;
pub use chosen::Chosen;
pub use csv::{Csv, CsvOptions, CsvReporter};
pub use jsonl::{JsonDocument, JsonLines, JsonLinesReporter, JsonOptions, JsonReporter, SCHEMA};
pub use ledger::{Clause, push_trust_json, push_trust_pairs, trust_clauses, trust_lines};
pub use rows::{Ending, FLUSH_BYTES, RowFormat, RowReporter, RowWriter};
pub use text::{Rows, TextOptions, TextReporter, TextTable, TextWriter};
pub use times::{Delta, Epoch, Relative, TimeFormat, Utc};

/// One cell.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub enum Value {
    /// There is none: unknown, or does not apply. Never 0, never "".
    #[default]
    Missing,
    /// A count or a number.
    U64(u64),
    /// A number that may be negative.
    I64(i64),
    /// A ratio or a mean. What is no number, or infinite, is written as [`Missing`](Self::Missing).
    F64(f64),
    /// Yes or no.
    Bool(bool),
    /// A point in time.
    Time(Timestamp),
    /// A span of time.
    Span(Nanos),
    /// An address; reporters may show its name.
    Addr(Addr),
    /// A word from a fixed vocabulary.
    Word(&'static str),
    /// Any text.
    Text(Arc<str>),
    /// Several numbers (VLAN tags, labels), outermost first.
    List(Arc<[u64]>),
}

impl Value {
    /// Writes which kind of cell this is and what it holds. No two different cells give the same bytes, whatever follows
    /// them; a word and a text of the same letters are the same.
    fn push_identity(&self, out: &mut Vec<u8>) {
        let mut fixed = |kind: u8, bytes: &[u8]| {
            out.push(kind);
            out.extend_from_slice(bytes);
        };
        let text = |out: &mut Vec<u8>, text: &str| {
            out.push(8);
            out.extend_from_slice(&text.len().to_ne_bytes());
            out.extend_from_slice(text.as_bytes());
        };
        match self {
            Self::Missing => fixed(0, &[]),
            Self::U64(number) => fixed(1, &number.to_ne_bytes()),
            Self::I64(number) => fixed(2, &number.to_ne_bytes()),
            Self::F64(number) => fixed(3, &number.to_bits().to_ne_bytes()),
            Self::Bool(yes) => fixed(4, &[u8::from(*yes)]),
            Self::Time(time) => fixed(5, &time.as_nanos().to_ne_bytes()),
            Self::Span(span) => fixed(6, &span.get().to_ne_bytes()),
            Self::Addr(addr) => fixed(7, addr.octets()),
            Self::Word(word) => text(out, word),
            Self::Text(words) => text(out, words),
            Self::List(numbers) => {
                fixed(9, &numbers.len().to_ne_bytes());
                numbers.iter().for_each(|number| out.extend_from_slice(&number.to_ne_bytes()));
            }
        }
    }
}

/// What a column's numbers are measured in. Reporters choose the display; machine formats write the plain number.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Unit {
    /// Without one: names, identifiers, states.
    None,
    /// How many, of what is neither packets nor bytes.
    Count,
    /// Packets.
    Packets,
    /// Bytes.
    Bytes,
    /// Nanoseconds since the Unix epoch.
    EpochNanos,
    /// Nanoseconds.
    Nanos,
    /// Per second.
    PerSecond,
    /// A part of one hundred.
    Percent,
}

impl Unit {
    /// What tables put behind a column's title; times since the epoch say it themselves.
    pub fn sign(self) -> &'static str {
        match self {
            Self::None | Self::Count | Self::EpochNanos => "",
            Self::Packets => "pkts",
            Self::Bytes => "B",
            Self::Nanos => "s",
            Self::PerSecond => "1/s",
            Self::Percent => "%",
        }
    }
}

/// How a column's numbers behave from one snapshot to the next.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Meaning {
    /// Says which row this is.
    Key,
    /// Only grows: two snapshots may be subtracted.
    Counter,
    /// A state or a measurement: the later one replaces the earlier.
    Gauge,
}

/// What a number is to the truth. The greater, the less it says.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Bound {
    /// The truth itself.
    #[default]
    Exact,
    /// A lower bound of it: `≥` in tables.
    AtLeast,
    /// Near it, how near and on which side is not known: `~` in tables.
    About,
}

impl Bound {
    /// What stands before the number in tables.
    pub const fn sign(self) -> &'static str {
        match self {
            Self::Exact => "",
            Self::AtLeast => "≥",
            Self::About => "~",
        }
    }

    /// A stable lower-case name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Exact => "exact",
            Self::AtLeast => "at_least",
            Self::About => "about",
        }
    }
}

/// What a column is called and means.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Column {
    /// In machine formats, snake_case.
    pub name: Cow<'static, str>,
    /// Over a text table's column.
    pub title: Cow<'static, str>,
    /// Measured in.
    pub unit: Unit,
    /// From snapshot to snapshot.
    pub meaning: Meaning,
    /// One sentence for help texts.
    pub about: Cow<'static, str>,
    /// What numbers in this column are on rows whose quality is not exact.
    pub bound: Bound,
}

impl Column {
    /// One of these words: the name, the title, and what it is about. Exact, unless it is [bounded](Self::bounded).
    /// Words that are made while the program runs are put into the fields.
    pub const fn new([name, title, about]: [&'static str; 3], unit: Unit, meaning: Meaning) -> Self {
        Self {
            name: Cow::Borrowed(name),
            title: Cow::Borrowed(title),
            unit,
            meaning,
            about: Cow::Borrowed(about),
            bound: Bound::Exact,
        }
    }

    /// The same with what its numbers are on rows whose quality is not exact.
    #[must_use]
    pub const fn bounded(mut self, bound: Bound) -> Self {
        self.bound = bound;
        self
    }

    /// What this column's number is on a row of this quality.
    pub fn bound_in(&self, quality: &Quality) -> Bound {
        if quality.is_exact() { Bound::Exact } else { self.bound }
    }
}

/// Whether a row's numbers are exact, and why not.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Quality {
    /// Reasons why the row's counts are only lower bounds, and numbers made of them no more than [`Column::bound`] says;
    /// empty = exact.
    pub at_least: Vec<&'static str>,
}

impl Quality {
    /// Nothing is missing from this row.
    pub fn is_exact(&self) -> bool {
        self.at_least.is_empty()
    }
}

/// One row: as many cells as its table has columns.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Row {
    /// `cells[i]` belongs to `columns[i]`.
    pub cells: Vec<Value>,
    /// How far its counts can be trusted.
    pub quality: Quality,
}

/// An exact one.
impl From<Vec<Value>> for Row {
    fn from(cells: Vec<Value>) -> Self {
        Self { cells, quality: Quality::default() }
    }
}

/// Named columns and rows.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Table {
    /// As in `conns`.
    pub name: Cow<'static, str>,
    /// In order.
    pub columns: Vec<Column>,
    /// In the analyzer's order.
    pub rows: Vec<Row>,
}

impl Table {
    /// An empty table.
    pub fn new(name: impl Into<Cow<'static, str>>, columns: Vec<Column>) -> Self {
        Self { name: name.into(), columns, rows: Vec::new() }
    }

    /// Whether every column has a name of its own and every row one cell for each: a format could not say which are
    /// which.
    ///
    /// # Errors
    /// [`ErrorKind::Usage`] if not; names the table and the column, or the row, counted from 1.
    pub fn check(&self) -> Result<()> {
        let columns = self.columns.len();
        let is_again = |&(place, column): &(usize, &Column)| self.column(&column.name) != Some(place);
        if let Some((_, again)) = self.columns.iter().enumerate().find(is_again) {
            let message = format!("table `{}` has two columns called `{}`", self.name, again.name);
            return Err(Error::new(ErrorKind::Usage, message));
        }
        let Some(place) = self.rows.iter().position(|row| row.cells.len() != columns) else { return Ok(()) };
        let cells = self.rows[place].cells.len();
        let message =
            format!("table `{}` has {columns} columns, and its row {} has {cells} cells", self.name, place + 1);
        Err(Error::new(ErrorKind::Usage, message))
    }

    /// The index of the column called `name`.
    pub fn column(&self, name: &str) -> Option<usize> {
        self.columns.iter().position(|column| column.name == name)
    }
}

/// The tables of one snapshot, in the order in which analyzers added them.
pub type Tables = Vec<Table>;

/// Whether every table can be written and has a name of its own.
///
/// # Errors
/// [`ErrorKind::Usage`] if not: that of [`Table::check`], or one that names the two tables.
pub fn check(tables: &[Table]) -> Result<()> {
    tables.iter().try_for_each(Table::check)?;
    let is_again = |&place: &usize| tables[..place].iter().any(|before| before.name == tables[place].name);
    let Some(again) = (0..tables.len()).find(is_again) else { return Ok(()) };
    let message = format!(
        "two tables are called `{}`, and a report could not say which is which; give one a name of its own, or its \
         analyzer a pipeline of its own",
        tables[again].name
    );
    Err(Error::new(ErrorKind::Usage, message))
}

/// Everything that is known at one point of event time. Owned; may go to another thread.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Snapshot {
    /// Time of the earliest event, if there was one.
    pub from: Option<Timestamp>,
    /// Everything up to here is in; `None` before the first event.
    pub through: Option<Timestamp>,
    /// The input has ended.
    pub complete: bool,
    /// What became of every packet.
    pub ledger: Ledger,
    /// Why the input ended before its own end, as the source says it.
    pub fault: Option<String>,
    /// Results.
    pub tables: Tables,
}

impl Snapshot {
    /// What happened after `earlier`: counters become differences, gauges stay, rows that did not exist then count
    /// from zero. Rows are matched by their key columns, tables of one name by their order. The ledger stays
    /// cumulative.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Self {
        let tables = self
            .tables
            .iter()
            .enumerate()
            .map(|(place, table)| {
                let namesake = |other: &&Table| other.name == table.name;
                let occurrence = self.tables[..place].iter().filter(namesake).count();
                match earlier.tables.iter().filter(namesake).nth(occurrence) {
                    Some(before) => table.since(before),
                    None => table.clone(),
                }
            })
            .collect();
        Self {
            from: earlier.through.or(self.from),
            through: self.through,
            complete: self.complete,
            ledger: self.ledger.clone(),
            fault: self.fault.clone(),
            tables,
        }
    }
}

impl Snapshot {
    /// Asks `names` for every address in the tables, each once; whether an answer is still to come.
    pub fn ask(&self, names: &dyn Resolver) -> bool {
        let mut asked = std::collections::HashSet::new();
        let cells = self.tables.iter().flat_map(|table| &table.rows).flat_map(|row| &row.cells);
        let mut pending = false;
        for cell in cells {
            if let Value::Addr(addr) = cell
                && asked.insert(*addr)
            {
                pending |= names.name(*addr, 0) == Lookup::Pending;
            }
        }
        pending
    }
}

impl Table {
    /// What tells `row` from the others: the same bytes if and only if all its key cells are equal.
    fn key(&self, row: &Row) -> Vec<u8> {
        let mut key = Vec::new();
        for (column, cell) in self.columns.iter().zip(&row.cells) {
            if column.meaning == Meaning::Key {
                cell.push_identity(&mut key);
            }
        }
        key
    }

    fn since(&self, before: &Self) -> Self {
        let earlier: std::collections::HashMap<Vec<u8>, &Row> =
            before.rows.iter().map(|row| (before.key(row), row)).collect();
        let mut rows = self.rows.clone();
        for row in &mut rows {
            let Some(old) = earlier.get(&self.key(row)) else { continue };
            for ((cell, column), was) in row.cells.iter_mut().zip(&self.columns).zip(&old.cells) {
                if column.meaning != Meaning::Counter {
                    continue;
                }
                *cell = match (&*cell, was) {
                    (Value::U64(now), Value::U64(then)) => Value::U64(now.saturating_sub(*then)),
                    (Value::I64(now), Value::I64(then)) => Value::I64(now.saturating_sub(*then)),
                    (Value::F64(now), Value::F64(then)) => Value::F64(now - then),
                    (Value::Span(now), Value::Span(then)) => Value::Span(*now - *then),
                    _ => continue,
                };
            }
        }
        Self { name: self.name.clone(), columns: self.columns.clone(), rows }
    }
}

/// Writes snapshots for somebody: a terminal, a file, a program.
pub trait Reporter: Send {
    /// Writes one snapshot. Called at intervals of event time and once at the end, with `complete` set.
    ///
    /// # Errors
    /// If it cannot write.
    fn report(&mut self, snapshot: &Snapshot, names: &dyn Resolver) -> Result<()>;

    /// Looks at the tables to come, which have no rows yet, before the first packet. An analyzer may add others later.
    ///
    /// # Errors
    /// If it cannot write them.
    fn expect(&mut self, _tables: &[Table]) -> Result<()> {
        Ok(())
    }
}

/// One that was chosen at run time.
#[deny(clippy::missing_trait_methods)]
impl<R: Reporter + ?Sized> Reporter for Box<R> {
    fn report(&mut self, snapshot: &Snapshot, names: &dyn Resolver) -> Result<()> {
        (**self).report(snapshot, names)
    }
    fn expect(&mut self, tables: &[Table]) -> Result<()> {
        (**self).expect(tables)
    }
}

/// One report for the golden tests of all formats.
#[cfg(test)]
mod samples {
    use super::*;
    use crate::ledger::Loss;

    pub(super) fn snapshot() -> Snapshot {
        let column = |name, title, unit, meaning, bound| Column::new([name, title, ""], unit, meaning).bounded(bound);
        let columns = vec![
            column("start_ns", "start", Unit::EpochNanos, Meaning::Key, Bound::Exact),
            column("src_ip", "source", Unit::None, Meaning::Key, Bound::Exact),
            column("state", "state", Unit::None, Meaning::Gauge, Bound::Exact),
            column("duration_ns", "duration", Unit::Nanos, Meaning::Gauge, Bound::Exact),
            column("fwd_l3_bytes", "→bytes", Unit::Bytes, Meaning::Counter, Bound::AtLeast),
            column("vlan", "vlan", Unit::None, Meaning::Key, Bound::Exact),
            column("note", "note", Unit::None, Meaning::Gauge, Bound::Exact),
        ];
        let start = Timestamp::from_parts(1_795_226_383, 121_324_999);
        let end = Timestamp::from_parts(1_795_226_384, 0);
        let addr = |text: &str| Value::Addr(text.parse().unwrap());
        let mut table = Table::new("conns", columns);
        table.rows.push(Row {
            cells: vec![
                Value::Time(start),
                addr("10.0.0.1"),
                Value::Word("SF"),
                Value::Span(Nanos::new(1_500_000_000)),
                Value::U64((1 << 53) + 1),
                Value::List([100, 7].into()),
                Value::Text("a \"b\", c".into()),
            ],
            quality: Quality::default(),
        });
        table.rows.push(Row {
            cells: vec![
                Value::Time(end),
                addr("2001:db8::1"),
                Value::Word("S0"),
                Value::Missing,
                Value::U64(60),
                Value::Missing,
                Value::Missing,
            ],
            quality: Quality { at_least: vec!["cut", "lost"] },
        });
        let mut ledger = Ledger::new();
        ledger.deliver(12);
        ledger.lose(Loss::Kernel, 0);
        Snapshot { from: Some(start), through: Some(end), complete: true, ledger, fault: None, tables: vec![table] }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_of_another_length_than_its_table_is_no_report() {
        for cells in [0, 1, 4] {
            let mut wrong = table(&[("a", 1, 2), ("b", 1, 2)]);
            wrong.rows[1].cells = vec![Value::U64(7); cells];
            let snapshot = Snapshot { tables: vec![wrong], ..Snapshot::default() };
            let (mut lines, mut text) = (Vec::new(), Vec::new());
            for said in [
                jsonl::JsonLinesReporter::new(&mut lines).report(&snapshot, &crate::resolve::Numeric),
                text::TextReporter::new(&mut text, TextOptions::default()).report(&snapshot, &crate::resolve::Numeric),
            ] {
                let said = said.err().map(|error| error.to_string()).unwrap_or_default();
                assert!(said.contains(&format!("has 3 columns, and its row 2 has {cells} cells")), "{said}");
            }
            assert!(lines.is_empty() && text.is_empty(), "nothing is written that could be misread");
        }
    }

    #[test]
    fn two_columns_of_one_name_are_no_report() {
        let mut wrong = table(&[]);
        assert!(wrong.check().is_ok());
        wrong.columns[2].name = "who".into();
        assert_eq!(wrong.check().unwrap_err().to_string(), "table `t` has two columns called `who`");
    }

    #[test]
    fn two_tables_of_one_name_are_no_report() {
        let mut tables = vec![table(&[]), table(&[])];
        assert!(check(&tables).unwrap_err().to_string().starts_with("two tables are called `t`, "));
        tables[1].name = "u".into();
        assert!(check(&tables).is_ok());
    }

    pub(super) fn table(rows: &[(&'static str, u64, u64)]) -> Table {
        let column = |name, meaning| Column::new([name, name, ""], Unit::None, meaning);
        let columns = vec![column("who", Meaning::Key), column("n", Meaning::Counter), column("level", Meaning::Gauge)];
        let mut table = Table::new("t", columns);
        for &(who, n, level) in rows {
            table.rows.push(Row {
                cells: vec![Value::Word(who), Value::U64(n), Value::U64(level)],
                quality: Quality::default(),
            });
        }
        table
    }

    #[test]
    fn since_subtracts_counters_and_keeps_gauges() {
        let before = Snapshot { tables: vec![table(&[("a", 3, 9)])], ..Snapshot::default() };
        let after = Snapshot { tables: vec![table(&[("b", 2, 1), ("a", 10, 4)])], ..Snapshot::default() };
        assert_eq!(after.since(&before).tables, vec![table(&[("b", 2, 1), ("a", 7, 4)])]);
    }

    #[test]
    fn since_subtracts_spans_that_only_grow() {
        let at = |milliseconds: i64| {
            let mut busy = table(&[("a", 0, 9)]);
            busy.columns[1].unit = Unit::Nanos;
            busy.rows[0].cells[1] = Value::Span(Nanos::new(milliseconds * 1_000_000));
            Snapshot { tables: vec![busy], ..Snapshot::default() }
        };
        assert_eq!(at(95).since(&at(94)).tables, at(1).tables);
    }

    #[test]
    fn since_takes_tables_of_one_name_by_their_order() {
        let of = |first, second| {
            let tables = [first, second].map(|n| table(&[("a", n, 9)]));
            Snapshot { tables: tables.to_vec(), ..Snapshot::default() }
        };
        assert_eq!(of(10, 100).since(&of(3, 40)).tables, of(7, 60).tables);
    }

    #[test]
    fn rows_are_the_same_only_if_every_key_cell_is() {
        let identity = |cells: &[Value]| {
            let mut out = Vec::new();
            cells.iter().for_each(|cell| cell.push_identity(&mut out));
            out
        };
        let text = |words: &str| Value::Text(words.into());
        assert_ne!(identity(&[text("ab"), text("c")]), identity(&[text("a"), text("bc")]));
        assert_ne!(identity(&[Value::Missing]), identity(&[text("Missing")]));
        assert_ne!(identity(&[Value::U64(1)]), identity(&[Value::I64(1)]));
        assert_ne!(identity(&[Value::List([1, 2].into())]), identity(&[Value::List([1].into()), Value::U64(2)]));
        assert_eq!(identity(&[text("SF")]), identity(&[Value::Word("SF")]));
    }
}
