//! Rows to standard output: at once where each row stands for itself, held back where they are ordered or aligned.

use std::fs::File;
use std::io::{self, IsTerminal, Write};
use std::os::fd::AsFd;

use flowcore::report::{
    Column, Csv, CsvOptions, Ending, JsonDocument, JsonLines, JsonOptions, Quality, Row, RowFormat, RowWriter, Rows,
    TextOptions, TextTable, TextWriter, Unit, Value,
};
use flowcore::resolve::Numeric;
use flowcore::{Ledger, Result};

use crate::args::{Color, ConnsArgs, Format, SortKey, TimeStyle};
use crate::fields::{Field, Order, Subject};
use crate::zeek::{self, Zeek};
use crate::{terminal, times};

/// Rows that are held back at most, unless `--top` names a number.
const MOST_HELD: usize = 1_000_000;

/// How the user wants to see rows.
pub struct Wishes {
    pub format: Format,
    pub columns: Option<String>,
    pub sort: Vec<SortKey>,
    pub top: Option<usize>,
    pub time: TimeStyle,
    pub humanized: bool,
    pub color: Color,
    pub no_header: bool,
    pub no_trailer: bool,
    pub safe_integers: bool,
    pub line_buffered: bool,
}

impl From<&ConnsArgs> for Wishes {
    fn from(args: &ConnsArgs) -> Self {
        Self {
            format: args.output,
            columns: args.columns.clone(),
            sort: args.sort.clone(),
            top: args.top.map(|top| usize::try_from(top.get()).unwrap_or(usize::MAX)),
            time: TimeStyle::of_tcpdump(args.tcpdump_time).or(args.time).unwrap_or(TimeStyle::Utc),
            humanized: args.human,
            color: args.color,
            no_header: args.no_header,
            no_trailer: args.no_trailer,
            safe_integers: args.json_safe_int,
            line_buffered: args.line_buffered,
        }
    }
}

/// Where the rows of one kind of record go.
pub struct Output<'s, R: 'static> {
    subject: &'s Subject<R>,
    /// `sources[i]` gives cell `i`.
    sources: Vec<Source<'s, R>>,
    columns: Vec<Column>,
    wishes: Wishes,
    rows: Held<R>,
    /// Set if rows are written as they come.
    stream: Option<RowWriter<Box<dyn RowFormat>, File>>,
}

/// Where a cell comes from: the first of these fields that has a value. A foreign format may have columns that several
/// of our fields can fill, or none.
struct Source<'s, R: 'static> {
    first: Option<&'s Field<R>>,
    second: Option<&'s Field<R>>,
}

impl<'s, R> Source<'s, R> {
    fn of(field: &'s Field<R>) -> Self {
        Self { first: Some(field), second: None }
    }

    /// Lends the cell of one record to `take`. Lent, because moving a freshly written cell stalls the processor: it
    /// was written in narrower pieces than it would be read in.
    #[inline]
    fn with_cell(&self, record: &R, mut take: impl FnMut(&Value)) {
        let Some(first) = self.first else { return take(&Value::Missing) };
        let cell = (first.value)(record);
        match (&cell, self.second) {
            (Value::Missing, Some(second)) => take(&(second.value)(record)),
            _ => take(&cell),
        }
    }
}

/// Rows that are not written yet.
struct Held<R: 'static> {
    records: Vec<R>,
    order: Order<R>,
    top: Option<usize>,
    /// Records that came after [`MOST_HELD`].
    unreported: u64,
}

impl<'s, R> Output<'s, R> {
    /// Rows of `subject` as wished for. Nothing is written yet.
    ///
    /// # Errors
    /// If a column is unknown.
    pub fn new(subject: &'s Subject<R>, wishes: Wishes) -> Result<Self> {
        let chosen = subject.choose(wishes.columns.as_deref(), wishes.format != Format::Table)?;
        let sources: Vec<Source<'_, R>> = match wishes.format {
            Format::Zeek => {
                let known = zeek::COLUMNS.iter().map(|column| {
                    let mut fields = column.ours.iter().filter_map(|name| subject.field(name).ok());
                    Source { first: fields.next(), second: fields.next() }
                });
                let more = wishes.columns.as_ref().map(|_| chosen.into_iter().map(Source::of)).into_iter().flatten();
                known.chain(more).collect()
            }
            Format::Table | Format::Wide if wishes.time == TimeStyle::None => {
                chosen.into_iter().filter(|field| field.column.unit != Unit::EpochNanos).map(Source::of).collect()
            }
            _ => chosen.into_iter().map(Source::of).collect(),
        };
        let column =
            |source: &Source<'_, R>| source.first.map_or_else(zeek::unknown_column, |field| field.column.clone());
        let columns: Vec<Column> = sources.iter().map(column).collect();
        let order = match (wishes.sort.as_slice(), wishes.top) {
            ([], Some(_)) => subject.by_weight(),
            ([], None) => subject.order(&[SortKey { column: subject.order.to_owned(), descending: None }])?,
            (keys, _) => subject.order(keys)?,
        };
        let rows = Held { records: Vec::new(), order, top: wishes.top, unreported: 0 };
        Ok(Self { subject, sources, columns, wishes, rows, stream: None })
    }

    /// Whether a column is shown or sorted by that costs to find out.
    pub fn is_costly(&self) -> bool {
        let shown = self.sources.iter().flat_map(|source| [source.first, source.second]).flatten();
        let sorted = self.wishes.sort.iter().filter_map(|key| self.subject.field(&key.column).ok());
        shown.chain(sorted).any(|field| field.costly)
    }

    /// Whether rows are written as they come.
    pub fn streams(&self) -> bool {
        self.wishes.format.streams() && self.wishes.sort.is_empty() && self.wishes.top.is_none()
    }

    /// Takes in records in the order in which they were finished; `records` is left empty.
    ///
    /// # Errors
    /// If the output cannot be written.
    pub fn take(&mut self, records: &mut Vec<R>) -> Result<(), io::Error> {
        if !self.streams() {
            self.rows.take(records);
            return Ok(());
        }
        let writer = match &mut self.stream {
            Some(writer) => writer,
            none => none.insert(begin(self.subject.table, &self.columns, &self.wishes)?),
        };
        for record in records.drain(..) {
            write(writer, &record, &self.sources, self.subject.quality)?;
        }
        Ok(())
    }

    /// Hands on what is written so far, where somebody may be waiting for it.
    ///
    /// # Errors
    /// If the output cannot be written.
    pub fn settle(&mut self, waiting: bool) -> Result<(), io::Error> {
        match &mut self.stream {
            Some(writer) if waiting || self.wishes.line_buffered => writer.flush(),
            _ => Ok(()),
        }
    }

    /// Writes what was held back and the trust line; gives the number of rows.
    ///
    /// # Errors
    /// If the output cannot be written.
    pub fn finish(mut self, ending: &Ending<'_>) -> Result<u64, io::Error> {
        self.rows.settle();
        let mut ledger: Ledger = ending.ledger.clone();
        ledger.unreported_rows += self.rows.unreported;
        let ending = Ending { ledger: &ledger, rows: self.rows.records.len() as u64, ..*ending };
        if self.wishes.format.is_text() {
            return self.print_table(&ending);
        }
        let mut writer = match self.stream.take() {
            Some(writer) => writer,
            None => begin(self.subject.table, &self.columns, &self.wishes)?,
        };
        for record in &self.rows.records {
            write(&mut writer, record, &self.sources, self.subject.quality)?;
        }
        let rows = writer.rows();
        writer.trailer(&ending)?;
        Ok(rows)
    }

    fn print_table(&self, ending: &Ending<'_>) -> Result<u64, io::Error> {
        let options = TextOptions {
            width: if self.wishes.format == Format::Table { terminal::width() } else { None },
            color: terminal::color(self.wishes.color),
            humanized: self.wishes.humanized,
            no_header: self.wishes.no_header,
            no_trailer: self.wishes.no_trailer,
            wide_hint: "-o wide shows all",
        };
        let mut writer =
            TextWriter::new(standard_output()?, options).with_times(times::format(self.wishes.time, ending.from));
        let ranks: Vec<u8> =
            self.sources.iter().map(|source| source.first.map_or(u8::MAX, |field| field.rank)).collect();
        let rows = TextRows { records: &self.rows.records, sources: &self.sources, quality: self.subject.quality };
        writer.table(&TextTable { columns: &self.columns, ranks: &ranks, rows: &rows }, &Numeric)?;
        writer.trailer(ending)?;
        Ok(ending.rows)
    }
}

impl<R> Held<R> {
    fn take(&mut self, records: &mut Vec<R>) {
        match self.top {
            Some(top) => {
                self.records.append(records);
                // Twice the number and a little: each record is looked at a constant number of times.
                if self.records.len() >= top.saturating_mul(2).saturating_add(1024) {
                    self.keep_top(top);
                }
            }
            None => {
                let room = MOST_HELD.saturating_sub(self.records.len());
                self.unreported += records.len().saturating_sub(room) as u64;
                self.records.extend(records.drain(..).take(room));
            }
        }
    }

    fn keep_top(&mut self, top: usize) {
        if top < self.records.len() {
            let order = &self.order;
            self.records.select_nth_unstable_by(top, |a, b| order.compare(a, b));
            self.records.truncate(top);
        }
    }

    /// Brings the records into their order.
    fn settle(&mut self) {
        if let Some(top) = self.top {
            self.keep_top(top);
        }
        let order = &self.order;
        self.records.sort_by(|a, b| order.compare(a, b));
    }
}

/// Starts a row format on standard output.
fn begin(table: &str, columns: &[Column], wishes: &Wishes) -> io::Result<RowWriter<Box<dyn RowFormat>, File>> {
    let json = || JsonOptions {
        safe_integers: wishes.safe_integers,
        notes: vec![("program", concat!("flow ", env!("CARGO_PKG_VERSION")).to_owned())],
    };
    let values = |options: CsvOptions| {
        Csv::new(CsvOptions { header: !wishes.no_header, trailer: !wishes.no_trailer, ..options })
    };
    let format: Box<dyn RowFormat> = match wishes.format {
        Format::Json => Box::new(JsonDocument::new(json())),
        Format::Csv => Box::new(values(CsvOptions::COMMA)),
        Format::Tsv => Box::new(values(CsvOptions::TAB)),
        Format::Zeek => Box::new(Zeek::new(!wishes.no_trailer)),
        Format::Jsonl | Format::Table | Format::Wide => Box::new(JsonLines::new(json())),
    };
    let mut writer = RowWriter::new(format, standard_output()?);
    writer.header(table, columns)?;
    Ok(writer)
}

/// Standard output without the line buffer that the standard library puts in front of it.
fn standard_output() -> io::Result<File> {
    let mut out = io::stdout();
    out.flush()?;
    Ok(File::from(out.as_fd().try_clone_to_owned()?))
}

/// Whether somebody looks at the output while it is written.
pub fn is_watched() -> bool {
    io::stdout().is_terminal()
}

/// How far a record's counts can be trusted.
type QualityOf<R> = fn(&R) -> Quality;

/// Writes one record as a row.
fn write<R>(
    writer: &mut RowWriter<Box<dyn RowFormat>, File>,
    record: &R,
    sources: &[Source<'_, R>],
    quality: QualityOf<R>,
) -> io::Result<()> {
    for (place, source) in sources.iter().enumerate() {
        source.with_cell(record, |cell| writer.cell(place, cell));
    }
    writer.end_row(&quality(record))
}

/// Records as rows of a text table; made when they are written, because cells take more memory than records.
struct TextRows<'a, R: 'static> {
    records: &'a [R],
    sources: &'a [Source<'a, R>],
    quality: QualityOf<R>,
}

impl<R> Rows for TextRows<'_, R> {
    fn count(&self) -> usize {
        self.records.len()
    }
    fn row<'a>(&'a self, index: usize, scratch: &'a mut Row) -> &'a Row {
        let record = &self.records[index];
        scratch.cells.clear();
        for source in self.sources {
            source.with_cell(record, |cell| scratch.cells.push(cell.clone()));
        }
        scratch.quality = (self.quality)(record);
        scratch
    }
}
