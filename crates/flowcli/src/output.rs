//! Rows to standard output: at once where each row stands for itself, held back where they are ordered or aligned.

mod held;
mod standard;

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use flowcore::report::{
    Bound, Column, Ending, Quality, Row, RowWriter, Rows, TextOptions, TextTable, TextWriter, Unit, Value,
};
use flowcore::resolve::Numeric;
use flowcore::{Error, ErrorKind, Ledger, Resolver, Result, Verdict};

use self::held::Held;
use self::standard::separate;
use crate::args::{ConnsArgs, Format, SortKey, StyleArgs, TimeStyle};
use crate::edge::{self, Edge, Need};
use crate::exit::complain;
use crate::fields::{CellOf, Field, Subject};
use crate::{run, terminal, times, zeek};

pub use self::standard::{Form, StandardOutput, begin, is_watched, standard_output};

/// Rows that are held back at most, unless `--top` names a number: the first in their order.
pub const MOST_HELD: usize = 1_000_000;

/// How the user wants to see rows.
pub struct Wishes {
    pub format: Format,
    pub columns: Option<String>,
    pub sort: Vec<SortKey>,
    pub top: Option<usize>,
    pub time: TimeStyle,
    pub style: StyleArgs,
    pub line_buffered: bool,
}

impl Wishes {
    /// All columns that are shown by default, in the order in which rows come.
    pub fn new(format: Format, style: StyleArgs) -> Self {
        Self { format, columns: None, sort: Vec::new(), top: None, time: TimeStyle::Utc, style, line_buffered: false }
    }
}

impl From<&ConnsArgs> for Wishes {
    fn from(args: &ConnsArgs) -> Self {
        Self {
            columns: args.columns.clone(),
            sort: args.sort.clone(),
            top: args.top.map(|top| usize::try_from(top.get()).unwrap_or(usize::MAX)),
            time: TimeStyle::of_tcpdump(args.tcpdump_time).or(args.time).unwrap_or(TimeStyle::Utc),
            line_buffered: args.line_buffered,
            ..Self::new(args.output, args.style)
        }
    }
}

/// How a table is written for a person.
pub fn text_options(format: Format, style: StyleArgs) -> TextOptions {
    TextOptions {
        width: if format == Format::Table { terminal::width() } else { None },
        color: terminal::color(style.color),
        humanized: style.human,
        no_header: style.no_header,
        no_trailer: style.no_trailer,
        wide_hint: "-o wide shows all",
    }
}

/// Where the rows of one kind of record go.
pub struct Output<'s, R: 'static> {
    subject: &'s Subject<R>,
    /// `sources[i]` gives cell `i`.
    sources: Vec<Source<'s, R>>,
    columns: Vec<Column>,
    wishes: Wishes,
    edge: Edge,
    rows: Held<R>,
    /// Records in their order, the first of which waits for answers of the edge.
    waiting: VecDeque<R>,
    /// Rows of which the whitelist could not say whether it allows them.
    unjudged: u64,
    /// Set if rows are written as they come.
    stream: Option<Writer>,
}

/// Rows in a format for programs, on standard output.
pub type Writer = RowWriter<Form, StandardOutput>;

/// Where a cell comes from: the first of these fields that has a value. A foreign format may have columns that several
/// of our fields can fill, or none.
struct Source<'s, R: 'static> {
    /// Of the first of them.
    get: CellOf<R>,
    first: Option<&'s Field<R>>,
    second: Option<&'s Field<R>>,
}

impl<'s, R> Source<'s, R> {
    fn of(field: &'s Field<R>) -> Self {
        Self::either(Some(field), None)
    }

    fn either(first: Option<&'s Field<R>>, second: Option<&'s Field<R>>) -> Self {
        Self { get: first.map_or(CellOf::Own(|_| Value::Missing), |first| first.value), first, second }
    }

    /// Lends the cell of one record to `take`. Lent, because moving a freshly written cell stalls the processor: it
    /// was written in narrower pieces than it would be read in.
    #[inline]
    fn with_cell(&self, record: &R, edge: &Edge, take: impl FnOnce(&Value)) {
        let mut cell = self.get.get(record, edge);
        if let (Value::Missing, Some(second)) = (&cell, self.second) {
            cell = second.value.get(record, edge);
        }
        take(&cell);
    }

    /// The same as people see it.
    fn with_shown_cell(&self, record: &R, edge: &Edge, take: impl FnOnce(&Value)) {
        match self.first.and_then(|field| field.shown).map(|shown| shown(record, edge)) {
            None | Some(Value::Missing) => self.with_cell(record, edge, take),
            Some(cell) => take(&cell),
        }
    }
}

impl<'s, R> Output<'s, R> {
    /// Rows of `subject` as wished for. Nothing is written yet.
    ///
    /// # Errors
    /// If a column is unknown.
    pub fn new(subject: &'s Subject<R>, wishes: Wishes, edge: Edge) -> Result<Self> {
        let chosen = subject.choose(wishes.columns.as_deref(), wishes.format, &edge)?;
        let sources: Vec<Source<'_, R>> = match wishes.format {
            Format::Zeek => {
                let known = zeek::COLUMNS.iter().map(|column| {
                    let mut fields = column.ours.iter().filter_map(|name| subject.field(name).ok());
                    Source::either(fields.next(), fields.next())
                });
                let more = wishes.columns.as_ref().map(|_| chosen.into_iter().map(Source::of)).into_iter().flatten();
                known.chain(more).collect()
            }
            Format::Table | Format::Wide if wishes.time == TimeStyle::None => {
                chosen.into_iter().filter(|field| field.column.unit != Unit::EpochNanos).map(Source::of).collect()
            }
            _ => chosen.into_iter().map(Source::of).collect(),
        };
        if sources.is_empty() {
            return Err(Error::new(ErrorKind::Usage, "no column is left: -t takes out those with times"));
        }
        let column =
            |source: &Source<'_, R>| source.first.map_or_else(zeek::unknown_column, |field| field.column.clone());
        let columns: Vec<Column> = sources.iter().map(column).collect();
        let order = match (wishes.sort.as_slice(), wishes.top) {
            ([], Some(_)) => subject.by_weight(),
            ([], None) => subject.order(&[SortKey { column: subject.order.to_owned(), descending: None }], &edge)?,
            (keys, _) => subject.order(keys, &edge)?,
        };
        if order.asks() && wishes.top.is_some() {
            // Which rows are the first is only known at the end, when the others are long gone.
            let message = "--top cannot choose rows by a name or a verdict; sort all of them without --top";
            return Err(Error::new(ErrorKind::Usage, message));
        }
        let most = wishes.top.unwrap_or(MOST_HELD);
        let rows = Held::new(order, most);
        Ok(Self { subject, sources, columns, wishes, edge, rows, waiting: VecDeque::new(), unjudged: 0, stream: None })
    }

    /// Whether a column is shown or sorted by that costs to find out.
    pub fn is_costly(&self) -> bool {
        let shown = self.sources.iter().flat_map(|source| [source.first, source.second]).flatten();
        let sorted = self.wishes.sort.iter().filter_map(|key| self.subject.field(&key.column).ok());
        shown.chain(sorted).any(|field| field.costly)
    }

    /// Without the trust line: more is to come.
    fn without_trailer(self) -> Self {
        let style = StyleArgs { no_trailer: true, ..self.wishes.style };
        Self { wishes: Wishes { style, ..self.wishes }, ..self }
    }

    /// Whether no row is held back.
    pub fn is_empty(&self) -> bool {
        self.rows.records.is_empty() && self.waiting.is_empty()
    }

    /// Without column names where there are no rows: the tables before had them.
    pub fn without_empty_table(self) -> Self {
        let no_header = self.wishes.style.no_header || self.rows.records.is_empty();
        let style = StyleArgs { no_header, ..self.wishes.style };
        Self { wishes: Wishes { style, ..self.wishes }, ..self }
    }

    /// Whether rows are written as they come.
    pub fn streams(&self) -> bool {
        self.wishes.format.streams() && self.wishes.sort.is_empty() && self.wishes.top.is_none()
    }

    /// Writes what stands before all rows, if rows are written as they come.
    ///
    /// # Errors
    /// If the output cannot be written.
    pub fn begin(&mut self) -> Result<(), io::Error> {
        if self.streams() && self.stream.is_none() {
            self.stream = Some(begin(self.subject.table, &self.columns, self.wishes.format, self.wishes.style)?);
        }
        self.settle(true)
    }

    /// Takes in records in the order in which they were finished; `records` is left empty.
    ///
    /// # Errors
    /// If the output cannot be written.
    pub fn take(&mut self, records: &mut Vec<R>) -> Result<(), io::Error> {
        // Rows that are held back have time: only those that will be shown are asked for, at the end.
        let waits = self.edge.only_unlisted() || (self.streams() && self.edge.is_asked());
        if waits {
            for record in records.drain(..) {
                self.is_answered(&record);
                self.waiting.push_back(record);
            }
            return self.release(false);
        }
        if !self.streams() {
            self.rows.take(records);
            return Ok(());
        }
        let writer = match &mut self.stream {
            Some(writer) => writer,
            none => none.insert(begin(self.subject.table, &self.columns, self.wishes.format, self.wishes.style)?),
        };
        for record in records.drain(..) {
            write(writer, &record, &self.sources, self.subject.quality, &self.edge)?;
        }
        Ok(())
    }

    /// Whether the edge has answered all that the fate of a waiting record depends on; asks for it.
    fn is_answered(&self, record: &R) -> bool {
        if self.streams() {
            (self.subject.ask)(record, &self.edge)
        } else {
            (self.subject.verdict)(record, &self.edge) != Some(Verdict::Undecided)
                || (self.subject.ask)(record, &self.edge)
        }
    }

    /// Lets go of waiting records from the first on, until one has to wait longer: for answers of the edge, unless
    /// this is the `last` time, and as long as there is room.
    fn release(&mut self, last: bool) -> io::Result<()> {
        while let Some(record) = self.waiting.front() {
            if !last && self.waiting.len() <= MOST_HELD && !self.is_answered(record) {
                break;
            }
            let Some(record) = self.waiting.pop_front() else { break };
            let verdict = (self.subject.verdict)(&record, &self.edge);
            if self.edge.only_unlisted() && matches!(verdict, Some(Verdict::Allowed(_))) {
                continue;
            }
            if self.streams() {
                self.unjudged += u64::from(verdict == Some(Verdict::Undecided));
                let writer = match &mut self.stream {
                    Some(writer) => writer,
                    none => {
                        none.insert(begin(self.subject.table, &self.columns, self.wishes.format, self.wishes.style)?)
                    }
                };
                write(writer, &record, &self.sources, self.subject.quality, &self.edge)?;
            } else {
                self.rows.take(&mut vec![record]);
            }
        }
        Ok(())
    }

    /// Waits for the answers that are still to come, and lets go of everything that waited for them.
    fn await_answers(&mut self) -> io::Result<()> {
        if !self.edge.is_asked() {
            return Ok(());
        }
        let pending =
            |records: &mut dyn Iterator<Item = &R>| records.filter(|record| !self.is_answered(record)).count();
        self.edge.settle(|| pending(&mut self.waiting.iter()));
        if self.streams() {
            self.edge.freeze();
        }
        self.release(true)?;
        // By a name, rows can be ordered only once it is there.
        let (ask, edge) = (self.subject.ask, &self.edge);
        if self.rows.order.asks() {
            edge.settle(|| self.rows.records.iter().filter(|record| !ask(record, edge)).count());
        }
        self.rows.settle(edge);
        edge.settle(|| self.rows.records.iter().filter(|record| !ask(record, edge)).count());
        edge.freeze();
        Ok(())
    }

    /// Waits no longer for names than so: then somebody else is waited for.
    pub fn wait_at_most(&self, within: Duration) {
        self.edge.wait_at_most(within);
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
    pub fn finish(self, ending: &Ending<'_>) -> Result<u64, io::Error> {
        Ok(self.end(ending)?.0)
    }

    /// The same where more is to come: people see another table then, without a trust line before the last; a program reads
    /// on in this one's table, in which `next` goes on.
    ///
    /// # Errors
    /// If the output cannot be written.
    pub fn part(self, ending: &Ending<'_>, next: &mut Self) -> Result<u64, io::Error> {
        if self.wishes.format.is_text() {
            let rows = self.without_trailer().finish(ending)?;
            separate()?;
            return Ok(rows);
        }
        let (rows, writer) = self.end(ending)?;
        next.stream = writer;
        Ok(rows)
    }

    /// Writes the end; gives the number of rows, and the writer of a format for programs.
    fn end(mut self, ending: &Ending<'_>) -> Result<(u64, Option<Writer>), io::Error> {
        self.await_answers()?;
        self.rows.settle(&self.edge);
        let mut ledger: Ledger = ending.ledger.clone();
        ledger.unreported_rows += self.rows.unreported;
        let open = edge::open_verdicts(self.count_unjudged(), "connections shown");
        let rows = self.rows.records.len() as u64;
        let ending = Ending { ledger: &ledger, rows, remark: open.as_deref().or(ending.remark), ..*ending };
        if self.wishes.format.is_text() {
            let rows = self.print_table(&ending)?;
            self.complain(open.as_deref());
            return Ok((rows, None));
        }
        let mut writer = match self.stream.take() {
            Some(writer) => writer,
            None => begin(self.subject.table, &self.columns, self.wishes.format, self.wishes.style)?,
        };
        for record in &self.rows.records {
            write(&mut writer, record, &self.sources, self.subject.quality, &self.edge)?;
        }
        let rows = writer.rows();
        writer.trailer(&ending)?;
        self.complain(open.as_deref());
        Ok((rows, Some(writer)))
    }

    /// Says what is missing though nobody asked for that, unless the trust line does.
    fn complain(&self, open: Option<&str>) {
        let Wishes { format, top, style, .. } = self.wishes;
        // Only connections are rows of Zeek's.
        let streams = if self.subject.table == "conns" { "jsonl, csv, tsv and zeek" } else { "jsonl, csv and tsv" };
        let shortage = self.rows.shortage(streams);
        if let (Some(shortage), None, false) = (shortage, top, run::has_said(format, style.no_trailer)) {
            complain(&shortage);
        }
        self.edge.complain(open, has_remarked(format, style.no_trailer));
    }

    /// Rows, written or held back, of which the whitelist cannot say whether it allows them.
    fn count_unjudged(&self) -> u64 {
        if !self.edge.offers(Need::Whitelist) {
            return 0;
        }
        let is_open = |record: &&R| (self.subject.verdict)(record, &self.edge) == Some(Verdict::Undecided);
        self.unjudged + self.rows.records.iter().filter(is_open).count() as u64
    }

    /// What of a column makes it go first when the terminal is too narrow: before all that nothing is in it, unless it
    /// was asked for by name.
    fn rank(&self, source: &Source<'_, R>) -> u8 {
        let wishes = &self.wishes;
        let named = |field| self.subject.rank(field, wishes.columns.as_deref(), &wishes.sort);
        let rank = source.first.map_or(u8::MAX, named);
        let is_missing = |record: &R| {
            let mut missing = true;
            source.with_cell(record, &self.edge, |cell| missing = matches!(cell, Value::Missing));
            missing
        };
        let may_go = self.wishes.columns.is_none() && !self.rows.records.is_empty();
        if may_go && self.rows.records.iter().all(is_missing) { u8::MAX } else { rank }
    }

    fn print_table(&self, ending: &Ending<'_>) -> Result<u64, io::Error> {
        let options = text_options(self.wishes.format, self.wishes.style);
        let mut writer =
            TextWriter::new(standard_output()?, options).with_times(times::format(self.wishes.time, ending.from));
        let ranks: Vec<u8> = self.sources.iter().map(|source| self.rank(source)).collect();
        let named = |source: &Source<'_, R>| {
            source.first.is_some_and(|field| matches!(field.needs, Some(Need::Names | Need::Services)))
        };
        // Names stand instead of numbers, unless they have columns of their own.
        let instead = !self.sources.iter().any(named);
        let quality = self.subject.quality;
        let rows = TextRows { records: &self.rows.records, sources: &self.sources, quality, edge: &self.edge, instead };
        let names: Arc<dyn Resolver> = if instead { self.edge.names() } else { Arc::new(Numeric) };
        writer.table(&TextTable { columns: &self.columns, ranks: &ranks, rows: &rows }, &*names)?;
        writer.trailer(ending)?;
        Ok(ending.rows)
    }
}

/// Whether remarks of the trust line stand before the user's eyes: formats for programs have none.
pub fn has_remarked(format: Format, no_trailer: bool) -> bool {
    format.is_text() && run::has_said(format, no_trailer)
}

/// How far a record's counts can be trusted.
type QualityOf<R> = fn(&R) -> Quality;

/// Writes one record as a row.
fn write<R>(
    writer: &mut Writer,
    record: &R,
    sources: &[Source<'_, R>],
    quality: QualityOf<R>,
    edge: &Edge,
) -> io::Result<()> {
    for (place, source) in sources.iter().enumerate() {
        source.with_cell(record, edge, |cell| writer.cell(place, cell));
    }
    writer.end_row(&quality(record))
}

/// Records as rows of a text table; made when they are written, because cells take more memory than records.
struct TextRows<'a, R: 'static> {
    records: &'a [R],
    sources: &'a [Source<'a, R>],
    quality: QualityOf<R>,
    edge: &'a Edge,
    /// Names of ports stand instead of their numbers.
    instead: bool,
}

impl<R> Rows for TextRows<'_, R> {
    fn count(&self) -> usize {
        self.records.len()
    }
    fn row<'a>(&'a self, index: usize, scratch: &'a mut Row) -> &'a Row {
        let record = &self.records[index];
        scratch.cells.clear();
        for source in self.sources {
            let push = |cell: &Value| scratch.cells.push(cell.clone());
            if self.instead {
                source.with_shown_cell(record, self.edge, push);
            } else {
                source.with_cell(record, self.edge, push);
            }
        }
        scratch.quality = (self.quality)(record);
        scratch
    }
    fn bound(&self, index: usize, column: usize) -> Bound {
        self.sources[column].first.map_or(Bound::Exact, |field| (field.bound)(&self.records[index]))
    }
}
