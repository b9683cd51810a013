//! Standard output, and the row formats on it.

use std::io::{self, IsTerminal, Stdout, Write};

use flowcore::report::{
    Column, Csv, CsvOptions, Ending, JsonDocument, JsonLines, JsonOptions, Quality, RowFormat, RowWriter, Value,
};

use super::Writer;
use crate::args::{Format, StyleArgs};
use crate::zeek::Zeek;

/// Starts a row format on standard output.
pub fn begin(table: &str, columns: &[Column], format: Format, style: StyleArgs) -> io::Result<Writer> {
    let json = || JsonOptions {
        safe_integers: style.json_safe_int,
        notes: vec![("program", concat!("flow ", env!("CARGO_PKG_VERSION")).to_owned())],
    };
    let values =
        |options: CsvOptions| Csv::new(CsvOptions { header: !style.no_header, trailer: !style.no_trailer, ..options });
    let format = match format {
        Format::Json => Form::Other(Box::new(JsonDocument::new(json()))),
        Format::Csv => Form::Other(Box::new(values(CsvOptions::COMMA))),
        Format::Tsv => Form::Other(Box::new(values(CsvOptions::TAB))),
        Format::Zeek => Form::Other(Box::new(Zeek::new(!style.no_trailer))),
        Format::Jsonl | Format::Table | Format::Wide => Form::Lines(JsonLines::new(json())),
    };
    let mut writer = RowWriter::new(format, standard_output()?);
    writer.header(table, columns)?;
    Ok(writer)
}

/// Any row format, of which JSON Lines, the form of most rows by far, is written without a virtual call for each cell.
pub enum Form {
    Lines(JsonLines),
    Other(Box<dyn RowFormat>),
}

impl RowFormat for Form {
    fn header(&mut self, out: &mut Vec<u8>, table: &str, columns: &[Column]) {
        match self {
            Self::Lines(format) => format.header(out, table, columns),
            Self::Other(format) => format.header(out, table, columns),
        }
    }

    #[inline(always)]
    fn cell(&mut self, out: &mut Vec<u8>, place: usize, value: &Value) {
        match self {
            Self::Lines(format) => format.cell(out, place, value),
            Self::Other(format) => format.cell(out, place, value),
        }
    }

    #[inline]
    fn end_row(&mut self, out: &mut Vec<u8>, quality: &Quality) {
        match self {
            Self::Lines(format) => format.end_row(out, quality),
            Self::Other(format) => format.end_row(out, quality),
        }
    }

    fn trailer(&mut self, out: &mut Vec<u8>, ending: &Ending<'_>) {
        match self {
            Self::Lines(format) => format.trailer(out, ending),
            Self::Other(format) => format.trailer(out, ending),
        }
    }
}

/// Standard output without the line buffer that the standard library puts in front of it. Its errors say whose they are.
pub struct StandardOutput(Stdout);

/// Opens it.
pub fn standard_output() -> io::Result<StandardOutput> {
    let mut out = io::stdout();
    out.flush()?;
    Ok(StandardOutput(out))
}

impl Write for StandardOutput {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        // Its own descriptor, not one more of it: inputs may have taken all that there are.
        rustix::io::write(&self.0, bytes).map_err(io::Error::from).map_err(|error| match error.kind() {
            io::ErrorKind::Interrupted | io::ErrorKind::WouldBlock => error,
            _ => crate::exit::of_standard_output(error),
        })
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// An empty line between two tables.
pub(super) fn separate() -> io::Result<()> {
    standard_output()?.write_all(b"\n")
}

/// Whether somebody looks at the output while it is written.
pub fn is_watched() -> bool {
    io::stdout().is_terminal()
}
