//! Tables for people: aligned columns, units in the headings, and the trust line.
//!
//! Rows are written twice: once into nothing to measure the columns, once for good. That costs time only, where
//! keeping a million formatted rows would cost hundreds of megabytes.

use std::fmt;
use std::io::{self, Write};

use unicode_width::UnicodeWidthStr;

use crate::error::{Error, Result};
use crate::report::cell::{push_addr, push_escaped, push_i64, push_padded, push_seconds, push_u64};
use crate::report::ledger::trust_lines;
use crate::report::rows::{Ending, FLUSH_BYTES};
use crate::report::times::{TimeFormat, Utc};
use crate::report::{Bound, Column, Reporter, Row, Snapshot, Unit, Value, check};
use crate::resolve::Resolver;
use crate::time::Nanos;

/// How tables look.
#[derive(Copy, Clone, Debug, Default)]
pub struct TextOptions {
    /// Columns of the terminal; `None` = no limit, as for files and pipes.
    pub width: Option<usize>,
    /// Terminal colours (ECMA-48 SGR).
    pub color: bool,
    /// Counts of bytes and packets as `1.2M` instead of digits.
    pub humanized: bool,
    /// Leave out the headings.
    pub no_header: bool,
    /// Leave out the trust line.
    pub no_trailer: bool,
    /// How to see what did not fit, as in `-o wide shows all`; said behind the names of left-out columns.
    pub wide_hint: &'static str,
}

/// Rows that can be gone through several times.
pub trait Rows {
    /// How many.
    fn count(&self) -> usize;

    /// Row number `index`, below [`count`](Self::count); made in `scratch` if it is not at hand as such.
    fn row<'a>(&'a self, index: usize, scratch: &'a mut Row) -> &'a Row;

    /// Whether the cell in column number `column` of row number `index` is to catch the eye, where there are colours.
    fn is_alarming(&self, _index: usize, _column: usize) -> bool {
        false
    }

    /// What the number in column number `column` of row number `index` is to the truth, for reasons of its own: whatever
    /// the quality of the row.
    fn bound(&self, _index: usize, _column: usize) -> Bound {
        Bound::Exact
    }
}

impl Rows for Vec<Row> {
    fn count(&self) -> usize {
        self.len()
    }
    fn row<'a>(&'a self, index: usize, _scratch: &'a mut Row) -> &'a Row {
        &self[index]
    }
}

/// One table to be shown.
pub struct TextTable<'a> {
    /// In order.
    pub columns: &'a [Column],
    /// `ranks[i]` belongs to `columns[i]`: on a narrow terminal columns of the greatest rank go first, among equals
    /// the rightmost. Columns of rank 0 always stay; where `ranks` is too short the rank is 1.
    pub ranks: &'a [u8],
    /// In order.
    pub rows: &'a dyn Rows,
}

impl fmt::Debug for TextTable<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TextTable").field("columns", &self.columns).field("ranks", &self.ranks).finish_non_exhaustive()
    }
}

/// Writes tables for people to one place.
pub struct TextWriter<W> {
    out: W,
    options: TextOptions,
    times: Box<dyn TimeFormat>,
    /// Titles of columns that did not fit, over all tables since the last trust line.
    left_out: Vec<String>,
    tables: usize,
}

impl<W> fmt::Debug for TextWriter<W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TextWriter")
            .field("options", &self.options)
            .field("tables", &self.tables)
            .finish_non_exhaustive()
    }
}

const HEADING: &str = "\x1b[1m";
const WARNING: &str = "\x1b[33m";
const ALARM: &str = "\x1b[41;37m";
const FAINT: &str = "\x1b[2m";
const PLAIN: &str = "\x1b[0m";

impl<W: Write> TextWriter<W> {
    /// Tables go to `out`, times in UTC.
    pub fn new(out: W, options: TextOptions) -> Self {
        Self { out, options, times: Box::new(Utc), left_out: Vec::new(), tables: 0 }
    }

    /// The same with times in another form.
    #[must_use]
    pub fn with_times(mut self, times: Box<dyn TimeFormat>) -> Self {
        self.times = times;
        self
    }

    /// Writes one table; names of addresses that `names` knows stand instead of them.
    ///
    /// # Errors
    /// If the output cannot be written.
    pub fn table(&mut self, table: &TextTable<'_>, names: &dyn Resolver) -> io::Result<()> {
        let headings: Vec<String> = table.columns.iter().map(|column| self.heading(column)).collect();
        let mut measures: Vec<Measure> = headings
            .iter()
            .zip(table.columns)
            .map(|(heading, column)| Measure { width: heading.width(), right: is_number(column.unit) })
            .collect();

        let mut scratch = Row::default();
        let mut cell = Vec::with_capacity(64);
        self.times.restart();
        for index in 0..table.rows.count() {
            let row = table.rows.row(index, &mut scratch);
            for (column, (value, measure)) in row.cells.iter().zip(&mut measures).enumerate() {
                cell.clear();
                let value = sayable(value);
                let bound = table.columns[column].bound_in(&row.quality).max(table.rows.bound(index, column));
                self.push_cell(&mut cell, &table.columns[column], column, value, bound, names);
                measure.width = measure.width.max(width(&cell));
                measure.right |= matches!(value, Value::U64(_) | Value::I64(_) | Value::F64(_) | Value::Span(_));
            }
        }

        let (shown, gap) = self.fit(table.columns, &measures, table.ranks);
        self.left_out.extend((0..headings.len()).filter(|column| !shown.contains(column)).map(|c| headings[c].clone()));

        let mut out = Vec::with_capacity(FLUSH_BYTES + 1024);
        if self.tables > 0 {
            out.push(b'\n');
        }
        self.tables += 1;
        if !self.options.no_header && !shown.is_empty() {
            let mut line = Line::new(gap);
            self.paint(&mut out, HEADING);
            for &column in &shown {
                line.cell(&mut out, headings[column].as_bytes(), &measures[column]);
            }
            self.paint(&mut out, PLAIN);
            out.push(b'\n');
        }
        self.times.restart();
        for index in 0..table.rows.count() {
            let row = table.rows.row(index, &mut scratch);
            let mut line = Line::new(gap);
            for &column in &shown {
                let Some(value) = row.cells.get(column).map(sayable) else { continue };
                cell.clear();
                let bound = table.columns[column].bound_in(&row.quality).max(table.rows.bound(index, column));
                self.push_cell(&mut cell, &table.columns[column], column, value, bound, names);
                let alarming = self.options.color && table.rows.is_alarming(index, column);
                match (self.options.color, value, bound > Bound::Exact) {
                    _ if alarming => line.painted(&mut out, &cell, &measures[column], ALARM),
                    (true, Value::Missing, _) => line.painted(&mut out, &cell, &measures[column], FAINT),
                    (true, _, true) => line.painted(&mut out, &cell, &measures[column], WARNING),
                    _ => line.cell(&mut out, &cell, &measures[column]),
                }
            }
            out.push(b'\n');
            if out.len() >= FLUSH_BYTES {
                self.out.write_all(&out)?;
                out.clear();
            }
        }
        self.out.write_all(&out)
    }

    /// Writes the trust line and, if columns were left out, which.
    ///
    /// # Errors
    /// If the output cannot be written.
    pub fn trailer(&mut self, ending: &Ending<'_>) -> io::Result<()> {
        let mut out = Vec::new();
        if !self.options.no_trailer {
            for (index, line) in trust_lines(ending, self.options.width).into_iter().enumerate() {
                self.paint(&mut out, FAINT);
                out.extend_from_slice(if index == 0 { b"trust: " } else { b"       " });
                self.paint(&mut out, PLAIN);
                for (index, clause) in line.into_iter().enumerate() {
                    if index > 0 {
                        out.extend_from_slice(b"; ");
                    }
                    self.paint(&mut out, if clause.warns { WARNING } else { FAINT });
                    out.extend_from_slice(clause.words.as_bytes());
                    self.paint(&mut out, PLAIN);
                }
                out.push(b'\n');
            }
        }
        if !self.left_out.is_empty() {
            let mut words = format!("too narrow for: {}", self.left_out.join(", "));
            if !self.options.wide_hint.is_empty() {
                words = format!("{words} ({})", self.options.wide_hint);
            }
            for line in wrapped(&words, self.options.width) {
                self.paint(&mut out, FAINT);
                out.extend_from_slice(line.as_bytes());
                self.paint(&mut out, PLAIN);
                out.push(b'\n');
            }
        }
        self.left_out.clear();
        self.tables = 0;
        self.out.write_all(&out)?;
        self.out.flush()
    }

    /// The title with the unit of what stands below it, where the title does not say it.
    fn heading(&self, column: &Column) -> String {
        let says = |word: &str| column.title.to_ascii_lowercase().contains(word);
        let unit = match column.unit {
            Unit::Packets if says("pkt") || says("packet") => "",
            Unit::Bytes if says("byte") => "",
            Unit::EpochNanos => self.times.unit(),
            unit => unit.sign(),
        };
        if unit.is_empty() { column.title.to_string() } else { format!("{}[{unit}]", column.title) }
    }

    fn push_cell(
        &mut self,
        out: &mut Vec<u8>,
        column: &Column,
        index: usize,
        value: &Value,
        bound: Bound,
        names: &dyn Resolver,
    ) {
        if matches!(value, Value::U64(_) | Value::I64(_) | Value::F64(_) | Value::Span(_)) {
            out.extend_from_slice(bound.sign().as_bytes());
        }
        match value {
            Value::Missing => out.push(b'-'),
            Value::U64(number) if self.options.humanized => match column.unit {
                Unit::Bytes | Unit::Packets => push_humanized(out, *number),
                _ => push_u64(out, *number),
            },
            Value::U64(number) => push_u64(out, *number),
            Value::I64(number) => push_i64(out, *number),
            Value::F64(number) => {
                let decimals = if column.unit == Unit::Percent { 1 } else { 3 };
                // Writing into memory cannot fail.
                let _ = write!(out, "{number:.decimals$}");
            }
            Value::Bool(yes) => out.extend_from_slice(if *yes { b"yes" } else { b"no" }),
            Value::Time(time) => self.times.write(out, index, *time),
            Value::Span(span) => push_span(out, *span),
            Value::Addr(addr) => match names.name(*addr, 0).known() {
                Some(name) => push_escaped(out, &name),
                None => push_addr(out, *addr),
            },
            Value::Word(word) => push_escaped(out, word),
            Value::Text(text) => push_escaped(out, text),
            Value::List(numbers) => {
                for (index, number) in numbers.iter().enumerate() {
                    if index > 0 {
                        out.push(b',');
                    }
                    push_u64(out, *number);
                }
            }
        }
    }

    /// Which columns are shown, in order, and how many spaces stand between them.
    fn fit(&self, columns: &[Column], measures: &[Measure], ranks: &[u8]) -> (Vec<usize>, usize) {
        let mut shown: Vec<usize> = (0..measures.len()).collect();
        let Some(limit) = self.options.width else { return (shown, 2) };
        let needed = |shown: &[usize], gap: usize| -> usize {
            shown.iter().map(|&column| measures[column].width).sum::<usize>() + gap * shown.len().saturating_sub(1)
        };
        if needed(&shown, 2) <= limit {
            return (shown, 2);
        }
        let rank = |column: usize| ranks.get(column).copied().unwrap_or(1);
        while needed(&shown, 1) > limit {
            let Some(least) = (0..shown.len()).max_by_key(|&place| rank(shown[place])) else { break };
            if rank(shown[least]) == 0 {
                break;
            }
            let twin = twin(&columns[shown.remove(least)].name);
            // One direction alone would be read as the whole.
            shown.retain(|&column| columns[column].name != twin || rank(column) == 0);
        }
        (shown, 1)
    }

    fn paint(&self, out: &mut Vec<u8>, style: &str) {
        if self.options.color {
            out.extend_from_slice(style.as_bytes());
        }
    }
}

/// What the cells of one column need.
#[derive(Copy, Clone, Debug)]
struct Measure {
    /// Of the widest cell, heading included.
    width: usize,
    /// Holds numbers, so that their digits stand below each other.
    right: bool,
}

/// One line while it is written. Padding waits until something follows it, so no line ends in spaces.
struct Line {
    gap: usize,
    pending: usize,
}

impl Line {
    fn new(gap: usize) -> Self {
        Self { gap, pending: 0 }
    }

    fn cell(&mut self, out: &mut Vec<u8>, text: &[u8], measure: &Measure) {
        self.painted(out, text, measure, "");
    }

    fn painted(&mut self, out: &mut Vec<u8>, text: &[u8], measure: &Measure, style: &str) {
        let padding = measure.width.saturating_sub(width(text));
        let (before, after) = if measure.right { (padding, 0) } else { (0, padding) };
        out.resize(out.len() + self.pending + before, b' ');
        out.extend_from_slice(style.as_bytes());
        out.extend_from_slice(text);
        if !style.is_empty() {
            out.extend_from_slice(PLAIN.as_bytes());
        }
        self.pending = after + self.gap;
    }
}

/// How many columns of a terminal `text` takes.
fn width(text: &[u8]) -> usize {
    if text.is_ascii() { text.len() } else { String::from_utf8_lossy(text).width() }
}

/// The name of the column with the same fact of the other direction; that of no column if there is none.
fn twin(name: &str) -> String {
    match (name.strip_prefix("fwd_"), name.strip_prefix("rev_")) {
        (Some(fact), _) => format!("rev_{fact}"),
        (None, Some(fact)) => format!("fwd_{fact}"),
        (None, None) => String::new(),
    }
}

/// What no format here says of a number is missing.
fn sayable(value: &Value) -> &Value {
    match value {
        Value::F64(number) if !number.is_finite() => &Value::Missing,
        value => value,
    }
}

fn is_number(unit: Unit) -> bool {
    !matches!(unit, Unit::None | Unit::EpochNanos)
}

/// Writes a span in seconds with six decimals, rounded to the nearest.
fn push_span(out: &mut Vec<u8>, span: Nanos) {
    let nanos = span.get();
    push_seconds(out, nanos.saturating_add(500 * nanos.signum()), 6);
}

/// Writes a count with three digits and a decimal multiplier (k, M, G, T, P, E), cut rather than rounded so that it
/// never says more than there was.
fn push_humanized(out: &mut Vec<u8>, number: u64) {
    let mut unit = 1;
    let mut letters = b"kMGTPE".iter();
    let mut letter = None;
    while number / unit >= 1000 {
        unit *= 1000;
        letter = letters.next();
    }
    push_u64(out, number / unit);
    if let Some(letter) = letter {
        let decimals = match number / unit {
            0..10 => 2,
            10..100 => 1,
            _ => 0,
        };
        if decimals > 0 {
            out.push(b'.');
            push_padded(out, number % unit / (unit / 10u64.pow(decimals as u32)), decimals);
        }
        out.push(*letter);
    }
}

/// `text` on lines of at most `width` columns, broken at spaces.
fn wrapped(text: &str, width: Option<usize>) -> Vec<String> {
    let Some(limit) = width else { return vec![text.to_owned()] };
    let mut lines: Vec<String> = Vec::new();
    for word in text.split(' ') {
        match lines.last_mut() {
            Some(line) if line.width() + 1 + word.width() <= limit => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

/// A [`Reporter`] for people: every table of a snapshot, then the trust line.
pub struct TextReporter<W> {
    writer: TextWriter<W>,
}

impl<W> fmt::Debug for TextReporter<W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TextReporter").field("writer", &self.writer).finish_non_exhaustive()
    }
}

impl<W: Write> TextReporter<W> {
    /// Tables to `out`, times in UTC.
    pub fn new(out: W, options: TextOptions) -> Self {
        Self { writer: TextWriter::new(out, options) }
    }

    /// The same with times in another form.
    #[must_use]
    pub fn with_times(mut self, times: Box<dyn TimeFormat>) -> Self {
        self.writer = self.writer.with_times(times);
        self
    }
}

impl<W: Write + Send> Reporter for TextReporter<W> {
    fn report(&mut self, snapshot: &Snapshot, names: &dyn Resolver) -> Result<()> {
        check(&snapshot.tables)?;
        let mut write = || {
            for table in &snapshot.tables {
                self.writer.table(&TextTable { columns: &table.columns, ranks: &[], rows: &table.rows }, names)?;
            }
            self.writer.trailer(&Ending::of(snapshot))
        };
        write().map_err(|error| Error::io("report", error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::Quality;
    use crate::report::samples::snapshot;
    use crate::report::times::Relative;
    use crate::resolve::Numeric;

    fn written(options: TextOptions, ranks: &[u8]) -> String {
        let mut out = Vec::new();
        let snapshot = snapshot();
        let table = &snapshot.tables[0];
        let mut writer = TextWriter::new(&mut out, options);
        writer.table(&TextTable { columns: &table.columns, ranks, rows: &table.rows }, &Numeric).unwrap();
        writer.trailer(&Ending::of(&snapshot)).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn without_a_terminal_every_column_is_there_and_numbers_stand_below_each_other() {
        assert_eq!(
            written(TextOptions::default(), &[]),
            "\
start                        source       state  duration[s]            →bytes  vlan   note
2026-11-21T01:59:43.121324Z  10.0.0.1     SF        1.500000  9007199254740993  100,7  a \"b\", c
2026-11-21T01:59:44.000000Z  2001:db8::1  S0               -               ≥60  -      -
trust: 12 packets seen = 12 delivered + 0 filtered + 0 lost; input complete
"
        );
    }

    #[test]
    fn a_narrow_terminal_loses_the_least_important_columns_and_says_so() {
        let options = TextOptions { width: Some(48), wide_hint: "-o wide shows all", ..TextOptions::default() };
        assert_eq!(
            written(options, &[4, 0, 1, 3, 2, 5, 6]),
            "\
source      state duration[s]           →bytes
10.0.0.1    SF       1.500000 9007199254740993
2001:db8::1 S0              -              ≥60
trust: 12 packets seen = 12 delivered + 0
       filtered + 0 lost; input complete
too narrow for: start, vlan, note (-o wide shows
all)
"
        );
    }

    #[test]
    fn both_directions_are_left_out_together() {
        let mut snapshot = snapshot();
        let table = &mut snapshot.tables[0];
        table.columns[3].name = "rev_l3_bytes".into();
        let mut out = Vec::new();
        let mut writer = TextWriter::new(&mut out, TextOptions { width: Some(40), ..TextOptions::default() });
        let ranks = [4, 0, 1, 2, 2, 5, 6];
        writer.table(&TextTable { columns: &table.columns, ranks: &ranks, rows: &table.rows }, &Numeric).unwrap();
        assert!(String::from_utf8(out).unwrap().starts_with("source      state\n10.0.0.1    SF\n"));
    }

    #[test]
    fn an_address_is_never_cut_however_narrow_the_terminal() {
        let options = TextOptions { width: Some(8), no_trailer: true, ..TextOptions::default() };
        let text = written(options, &[4, 0, 1, 3, 2, 5, 6]);
        assert!(text.starts_with("source\n10.0.0.1\n2001:db8::1\n"), "{text}");
    }

    #[test]
    fn colours_only_when_asked() {
        assert!(!written(TextOptions::default(), &[]).contains('\x1b'));
        let colored = written(TextOptions { color: true, ..TextOptions::default() }, &[]);
        assert!(colored.contains("\x1b[33m≥60\x1b[0m"));
        let mut plain = colored;
        for style in [HEADING, WARNING, FAINT, PLAIN] {
            plain = plain.replace(style, "");
        }
        assert_eq!(plain, written(TextOptions::default(), &[]));
    }

    #[test]
    fn the_form_of_time_is_in_the_heading() {
        let mut out = Vec::new();
        let mut reporter = TextReporter::new(&mut out, TextOptions { width: Some(12), ..TextOptions::default() })
            .with_times(Box::new(Relative::default()));
        let mut snapshot = snapshot();
        snapshot.tables[0].columns.truncate(1);
        snapshot.tables[0].rows.iter_mut().for_each(|row| row.cells.truncate(1));
        reporter.report(&snapshot, &Numeric).unwrap();
        assert!(String::from_utf8(out).unwrap().starts_with("start[s]\n0.000000\n0.878675\n"));
    }

    #[test]
    fn what_is_no_number_is_missing() {
        let mut snapshot = snapshot();
        let table = &mut snapshot.tables[0];
        table.columns = vec![table.columns[4].clone(); 3];
        let cells = [1.5, f64::NAN, f64::INFINITY].map(Value::F64);
        table.rows = vec![Row { cells: cells.to_vec(), quality: Quality { at_least: vec!["cut"] } }];
        let mut out = Vec::new();
        let options = TextOptions { no_header: true, ..TextOptions::default() };
        let rows = TextTable { columns: &table.columns, ranks: &[], rows: &table.rows };
        TextWriter::new(&mut out, options).table(&rows, &Numeric).unwrap();
        assert_eq!(String::from_utf8(out).unwrap(), "≥1.500       -       -\n");
    }

    #[test]
    fn humanized_counts_never_say_more_than_there_was() {
        for (number, text) in [
            (0, "0"),
            (999, "999"),
            (1_000, "1.00k"),
            (1_999, "1.99k"),
            (99_999, "99.9k"),
            (999_999, "999k"),
            (u64::MAX, "18.4E"),
        ] {
            let mut out = Vec::new();
            push_humanized(&mut out, number);
            assert_eq!(String::from_utf8(out).unwrap(), text);
        }
    }

    #[test]
    fn spans_are_rounded_to_microseconds() {
        let mut out = Vec::new();
        push_span(&mut out, Nanos::new(1_999_999_500));
        assert_eq!(out, b"2.000000");
    }
}
