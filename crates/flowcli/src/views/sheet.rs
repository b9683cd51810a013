//! Rows of a view in every format but charts.

use std::cell::RefCell;

use flowcore::report::{Column, Ending, Meaning, Quality, Row, Rows, TextOptions, TextTable, TextWriter, Unit, Value};
use flowcore::resolve::Numeric;
use flowcore::{Result, Timestamp};
use flowstats::columns::Def;

use super::owners::Owner;
use crate::args::ViewArgs;
use crate::edge::Edge;
use crate::fields::{self, Field, Subject};
use crate::output::{self, StandardOutput, Writer};

/// The columns of a view and what the user wants of them.
pub struct Sheet<'a> {
    args: &'a ViewArgs,
    table: &'static str,
    columns: Vec<Column>,
    ranks: Vec<u8>,
    /// Which are shown, in order.
    chosen: Vec<usize>,
    /// By which rows are ordered, and whether downwards.
    keys: Vec<(usize, bool)>,
    /// That of the latest table: it knows which columns did not fit, which the trust line says.
    writer: RefCell<Option<TextWriter<StandardOutput>>>,
    /// Of formats for programs, from the first report on.
    stream: RefCell<Option<Writer>>,
}

impl<'a> Sheet<'a> {
    /// A view's own columns, `more` behind them.
    ///
    /// # Errors
    /// If the user names a column that there is not.
    pub fn new<R>(
        args: &'a ViewArgs,
        table: &'static str,
        defs: &[Def<R>],
        more: impl IntoIterator<Item = Column>,
    ) -> Result<Self> {
        let time = args.every.map(|_| (time_column(), args.output.streams(), 2));
        let own = defs.iter().map(|def| (named(def.column.clone()), def.default, def.priority));
        let own = time.into_iter().chain(own);
        let all: Vec<(Column, bool, u8)> = own.chain(more.into_iter().map(|column| (column, true, 2))).collect();
        let subject = subject(table, &all);
        let edge = Edge::default();
        let place = |field: &Field<()>| subject.fields.iter().position(|other| std::ptr::eq(other, field));
        let chosen = subject.choose(args.columns.as_deref(), args.output, &edge)?;
        let chosen = chosen.into_iter().filter_map(place).collect();
        let mut keys = Vec::new();
        for key in &args.sort {
            let field = subject.field(&key.column)?;
            let descending = key.descending.unwrap_or_else(|| fields::largest_first(&field.column));
            keys.extend(place(field).map(|place| (place, descending)));
        }
        let ranks = all.iter().map(|(_, _, rank)| *rank).collect();
        let columns = all.into_iter().map(|(column, _, _)| column).collect();
        Ok(Self { args, table, columns, ranks, chosen, keys, writer: RefCell::default(), stream: RefCell::default() })
    }

    /// What the columns are, for people.
    pub fn describe(&self) -> String {
        let all: Vec<(Column, bool, u8)> =
            self.columns.iter().zip(0..).map(|(column, at)| (column.clone(), self.chosen.contains(&at), 0)).collect();
        subject(self.table, &all).describe()
    }

    /// Whether a column called so is shown or ordered by.
    pub fn shows(&self, name: &str) -> bool {
        let wanted = self.chosen.iter().chain(self.keys.iter().map(|(place, _)| place));
        wanted.into_iter().any(|&place| self.columns.get(place).is_some_and(|column| column.name == name))
    }

    /// The user said how rows are ordered.
    pub fn is_ordered(&self) -> bool {
        !self.keys.is_empty()
    }

    /// Brings records into the user's order, and leaves out what is too many; `row` is that of a record. Gives the
    /// rows in the same order, with --every the time before their cells, and how many were left out.
    pub fn arrange<R>(
        &self,
        records: &mut Vec<R>,
        time: Option<Timestamp>,
        row: impl Fn(&R) -> Row,
    ) -> (Vec<Row>, u64) {
        let time = self.args.every.map(|_| time.map_or(Value::Missing, Value::Time));
        let all = |record: &R| {
            let Row { cells, quality } = row(record);
            Row { cells: time.iter().cloned().chain(cells).collect(), quality }
        };
        let mut both: Vec<(Row, R)> = records.drain(..).map(|record| (all(&record), record)).collect();
        both.sort_by(|(a, _), (b, _)| {
            let order =
                |&(place, descending): &(usize, bool)| fields::compare(&a.cells[place], &b.cells[place], descending);
            self.keys.iter().map(order).find(|order| order.is_ne()).unwrap_or(std::cmp::Ordering::Equal)
        });
        let top = self.args.top.map_or(usize::MAX, |top| usize::try_from(top.get()).unwrap_or(usize::MAX));
        let left_out = both.len().saturating_sub(top);
        both.truncate(top);
        let mut rows = Vec::with_capacity(both.len());
        for (row, record) in both {
            rows.push(row);
            records.push(record);
        }
        (rows, left_out as u64)
    }

    /// Writes a table for people, under a title if there is one.
    ///
    /// # Errors
    /// If the output cannot be written.
    pub fn print_table(&self, rows: &[Row]) -> std::io::Result<()> {
        let columns = self.shown_columns();
        let ranks: Vec<u8> = self.chosen.iter().map(|&place| self.ranks[place]).collect();
        let rows: Vec<Row> = self.shown(rows).collect();
        let rows: &dyn Rows = &rows;
        let mut writer = TextWriter::new(output::standard_output()?, self.text_options());
        writer.table(&TextTable { columns: &columns, ranks: &ranks, rows }, &Numeric)?;
        self.writer.replace(Some(writer));
        Ok(())
    }

    /// Writes the trust line.
    ///
    /// # Errors
    /// If the output cannot be written.
    pub fn print_trust(&self, ending: &Ending<'_>) -> std::io::Result<()> {
        let mut writer = match self.writer.take() {
            Some(writer) => writer,
            None => TextWriter::new(output::standard_output()?, self.text_options()),
        };
        writer.trailer(ending)
    }

    fn text_options(&self) -> TextOptions {
        output::text_options(self.args.output, self.args.style)
    }

    /// Writes a report for programs: one table with a header, in which every report ends with its account.
    ///
    /// # Errors
    /// If the output cannot be written.
    pub fn print_rows(&self, rows: &[Row], ending: &Ending<'_>) -> std::io::Result<()> {
        let mut stream = self.stream.borrow_mut();
        let writer = match &mut *stream {
            Some(writer) => writer,
            none => none.insert(output::begin(self.table, &self.shown_columns(), self.args.output, self.args.style)?),
        };
        for row in self.shown(rows) {
            for (place, cell) in row.cells.iter().enumerate() {
                writer.cell(place, cell);
            }
            writer.end_row(&row.quality)?;
        }
        writer.trailer(ending)
    }

    fn shown_columns(&self) -> Vec<Column> {
        self.chosen.iter().map(|&place| self.columns[place].clone()).collect()
    }

    fn shown(&self, rows: &[Row]) -> impl Iterator<Item = Row> {
        rows.iter().map(|row| Row {
            cells: self.chosen.iter().map(|&place| row.cells.get(place).cloned().unwrap_or_default()).collect(),
            quality: row.quality.clone(),
        })
    }
}

/// With --every.
fn time_column() -> Column {
    let about = "When the report was made: that of the latest poll.";
    Column::new(["time_ns", "TIME", about], Unit::EpochNanos, Meaning::Gauge)
}

/// What the analyzers have by index has a name here.
fn named(mut column: Column) -> Column {
    let about = match &*column.name {
        "interface" => "Interface that the socket is bound to, or that gives a link-local address its scope.",
        "netns" => "Network namespace, with --netns.",
        _ => return column,
    };
    column.about = about.into();
    column
}

/// For choosing columns by their names, which are all that matters there.
fn subject(table: &'static str, columns: &[(Column, bool, u8)]) -> Subject<()> {
    let field = |(column, default, rank): &(Column, bool, u8)| Field {
        default: *default,
        rank: *rank,
        ..Field::own(column.clone(), |()| Value::Missing)
    };
    Subject {
        table,
        has_levels: false,
        fields: columns.iter().map(field).collect(),
        quality: |()| Quality::default(),
        weight: |()| 0,
        serial: |()| 0,
        order: "",
        ask: |_, _| true,
        verdict: |_, _| None,
    }
}

/// The columns of processes, behind a view's own.
pub fn owner_columns() -> [Column; 2] {
    [
        ["pid", "PID", "Process that holds the socket; the oldest of several."],
        ["process", "PROCESS", "Its command line."],
    ]
    .map(|words| Column::new(words, Unit::None, Meaning::Gauge))
}

/// Their cells.
pub fn owner_cells(owners: &[Owner]) -> [Value; 2] {
    match owners.first() {
        Some(owner) => [Value::U64(owner.pid.into()), Value::Text(owner.command.clone())],
        None => [Value::Missing, Value::Missing],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_of_a_report_has_a_name_that_no_column_of_a_view_has() {
        let named_so = |column: &&Column| column.name == time_column().name;
        let (lat, vol) = (flowstats::latency::columns(), flowstats::volume::columns());
        assert_eq!(lat.iter().map(|def| &def.column).filter(named_so).count(), 0);
        assert_eq!(vol.iter().map(|def| &def.column).filter(named_so).count(), 0);
    }
}
