//! Row formats and what drives them: rows go out as they come, in one pass, through one buffer.

use std::io::{self, Write};

use crate::error::{Error, Result};
use crate::ledger::Ledger;
use crate::report::{Column, Quality, Reporter, Row, Snapshot, Value, check};
use crate::resolve::Resolver;
use crate::time::Timestamp;

/// What a report ends with: how far it reaches and how far it can be trusted.
#[derive(Copy, Clone, Debug)]
pub struct Ending<'a> {
    /// Time of the first event, if there was one.
    pub from: Option<Timestamp>,
    /// Everything up to here is in; `None` before the first event.
    pub through: Option<Timestamp>,
    /// The input has ended, or the user ended it.
    pub complete: bool,
    /// Rows written, all tables together.
    pub rows: u64,
    /// What became of every packet.
    pub ledger: &'a Ledger,
    /// Why the input ended before its own end.
    pub fault: Option<&'a str>,
    /// What else a reader must know of the numbers above, where their form has no room for it.
    pub remark: Option<&'a str>,
}

impl<'a> Ending<'a> {
    /// An ending of which only the ledger is known so far.
    pub fn new(ledger: &'a Ledger) -> Self {
        Self { from: None, through: None, complete: false, rows: 0, ledger, fault: None, remark: None }
    }

    /// The ending of a snapshot's report.
    pub fn of(snapshot: &'a Snapshot) -> Self {
        Self {
            from: snapshot.from,
            through: snapshot.through,
            complete: snapshot.complete,
            rows: snapshot.tables.iter().map(|table| table.rows.len() as u64).sum(),
            ledger: &snapshot.ledger,
            fault: snapshot.fault.as_deref(),
            remark: None,
        }
    }

    /// Whether the input was read to its own end.
    pub fn is_whole(&self) -> bool {
        self.complete && !self.ledger.incomplete && self.fault.is_none()
    }
}

/// A format in which each row stands for itself, so that rows can be written while the input is still being read.
///
/// Called by [`RowWriter`] in the order `(header (cell* end_row)*)* trailer`; a second `header` begins another table.
/// Writes into memory only, so nothing can fail. Cells are lent one by one because a row of them is never needed:
/// building it cost a quarter of the time of writing it.
pub trait RowFormat: Send {
    /// Begins the table called `table` with these columns; each later row has one cell for each.
    fn header(&mut self, out: &mut Vec<u8>, table: &str, columns: &[Column]);

    /// Writes the cell in column number `place`; called for every column, from left to right.
    fn cell(&mut self, out: &mut Vec<u8>, place: usize, value: &Value);

    /// Ends a row whose cells have all been written.
    fn end_row(&mut self, out: &mut Vec<u8>, quality: &Quality);

    /// Writes one whole row.
    fn row(&mut self, out: &mut Vec<u8>, row: &Row) {
        for (place, value) in row.cells.iter().enumerate() {
            self.cell(out, place, value);
        }
        self.end_row(out, &row.quality);
    }

    /// Ends the report.
    fn trailer(&mut self, out: &mut Vec<u8>, ending: &Ending<'_>);
}

impl<F: RowFormat + ?Sized> RowFormat for Box<F> {
    fn header(&mut self, out: &mut Vec<u8>, table: &str, columns: &[Column]) {
        (**self).header(out, table, columns);
    }
    fn cell(&mut self, out: &mut Vec<u8>, place: usize, value: &Value) {
        (**self).cell(out, place, value);
    }
    fn end_row(&mut self, out: &mut Vec<u8>, quality: &Quality) {
        (**self).end_row(out, quality);
    }
    fn row(&mut self, out: &mut Vec<u8>, row: &Row) {
        (**self).row(out, row);
    }
    fn trailer(&mut self, out: &mut Vec<u8>, ending: &Ending<'_>) {
        (**self).trailer(out, ending);
    }
}

/// A buffer is handed on when it holds this much: few system calls, and still within the second-level cache.
pub const FLUSH_BYTES: usize = 64 * 1024;

/// Writes rows in one format to one place.
#[derive(Debug)]
pub struct RowWriter<F, W> {
    format: F,
    out: W,
    /// Written, not handed on yet; below [`FLUSH_BYTES`] between calls.
    buffer: Vec<u8>,
    rows: u64,
}

impl<F: RowFormat, W: Write> RowWriter<F, W> {
    /// Rows in `format` go to `out`, which needs no buffer of its own.
    pub fn new(format: F, out: W) -> Self {
        Self { format, out, buffer: Vec::with_capacity(FLUSH_BYTES + 4 * 1024), rows: 0 }
    }

    /// Begins a table.
    ///
    /// # Errors
    /// If the output cannot be written.
    pub fn header(&mut self, table: &str, columns: &[Column]) -> io::Result<()> {
        self.format.header(&mut self.buffer, table, columns);
        self.spill()
    }

    /// Writes one row.
    ///
    /// # Errors
    /// If the output cannot be written.
    #[inline]
    pub fn row(&mut self, row: &Row) -> io::Result<()> {
        self.format.row(&mut self.buffer, row);
        self.rows += 1;
        self.spill()
    }

    /// Writes the cell in column number `place`; every column's, from left to right, then [`end_row`](Self::end_row).
    #[inline]
    pub fn cell(&mut self, place: usize, value: &Value) {
        self.format.cell(&mut self.buffer, place, value);
    }

    /// Ends a row whose cells have all been written.
    ///
    /// # Errors
    /// If the output cannot be written.
    #[inline]
    pub fn end_row(&mut self, quality: &Quality) -> io::Result<()> {
        self.format.end_row(&mut self.buffer, quality);
        self.rows += 1;
        self.spill()
    }

    /// How many rows were written.
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// Ends the report and hands everything on; the number of rows is filled in.
    ///
    /// # Errors
    /// If the output cannot be written.
    pub fn trailer(&mut self, ending: &Ending<'_>) -> io::Result<()> {
        self.format.trailer(&mut self.buffer, &Ending { rows: self.rows, ..*ending });
        self.rows = 0;
        self.flush()
    }

    /// Hands on everything that is still in the buffer.
    ///
    /// # Errors
    /// If the output cannot be written.
    pub fn flush(&mut self) -> io::Result<()> {
        let written = self.out.write_all(&self.buffer);
        self.buffer.clear();
        written?;
        self.out.flush()
    }

    #[inline]
    fn spill(&mut self) -> io::Result<()> {
        if self.buffer.len() < FLUSH_BYTES {
            return Ok(());
        }
        let written = self.out.write_all(&self.buffer);
        self.buffer.clear();
        written
    }
}

/// Writes whole snapshots in a row format: every table, then the ledger.
#[derive(Debug)]
pub struct RowReporter<F, W>(RowWriter<F, W>);

impl<F: RowFormat, W: Write> RowReporter<F, W> {
    /// Snapshots in `format` go to `out`.
    pub fn with_format(format: F, out: W) -> Self {
        Self(RowWriter::new(format, out))
    }
}

impl<F: RowFormat, W: Write + Send> Reporter for RowReporter<F, W> {
    fn report(&mut self, snapshot: &Snapshot, _names: &dyn Resolver) -> Result<()> {
        check(&snapshot.tables)?;
        let mut write = || {
            for table in &snapshot.tables {
                self.0.header(&table.name, &table.columns)?;
                table.rows.iter().try_for_each(|row| self.0.row(row))?;
            }
            self.0.trailer(&Ending::of(snapshot))
        };
        write().map_err(|error| Error::io("report", error))
    }
}

/// The name of one row of a table, as in `conn` of `conns`: the table's name without a plural `s`.
pub(super) fn singular(table: &str) -> &str {
    table.strip_suffix('s').unwrap_or(table)
}
