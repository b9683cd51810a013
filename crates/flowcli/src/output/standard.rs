//! Standard output, and the row formats on it.

use std::fs::File;
use std::io::{self, IsTerminal, Write};
use std::os::fd::AsFd;

use flowcore::report::{Column, Csv, CsvOptions, JsonDocument, JsonLines, JsonOptions, RowFormat, RowWriter};

use super::{Wishes, Writer};
use crate::args::Format;
use crate::zeek::Zeek;

/// Starts a row format on standard output.
pub fn begin(table: &str, columns: &[Column], wishes: &Wishes) -> io::Result<Writer> {
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

/// Standard output without the line buffer that the standard library puts in front of it. Its errors say whose they are.
pub struct StandardOutput(File);

/// Opens it.
pub fn standard_output() -> io::Result<StandardOutput> {
    let mut out = io::stdout();
    out.flush()?;
    Ok(StandardOutput(File::from(out.as_fd().try_clone_to_owned()?)))
}

impl Write for StandardOutput {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes).map_err(|error| match error.kind() {
            io::ErrorKind::Interrupted | io::ErrorKind::WouldBlock => error,
            _ => crate::exit::of_standard_output(error),
        })
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
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
