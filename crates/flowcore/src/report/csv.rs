//! Comma- and tab-separated values, by RFC 4180.

use std::io::Write;

use crate::report::cell::{push_addr, push_escaped, push_f64, push_i64, push_u64};
use crate::report::ledger::push_trust_pairs;
use crate::report::rows::{Ending, RowFormat, RowReporter};
use crate::report::{Column, Quality, Value};

/// What the CSV format may be asked for.
#[derive(Copy, Clone, Debug)]
pub struct CsvOptions {
    /// Between cells: a comma or a tab.
    pub separator: u8,
    /// Whether column names come first.
    pub header: bool,
    /// Whether the trust line comes last, as a comment that begins with `#`.
    pub trailer: bool,
}

impl CsvOptions {
    /// Commas, with header and trailer.
    pub const COMMA: Self = Self { separator: b',', header: true, trailer: true };
    /// Tabs, with header and trailer.
    pub const TAB: Self = Self { separator: b'\t', ..Self::COMMA };
}

/// CSV and TSV: names, rows, and a last line `# trust: …` unless it is turned off.
///
/// A missing cell is empty, an empty text is `""`. Lists are numbers with a space between. Cells with the separator or quotes in them are
/// quoted as RFC 4180 says; backslashes and control characters are escaped, so a row is always one line. Only the trust
/// line begins with an unquoted `#`.
#[derive(Clone, Debug)]
pub struct Csv {
    options: CsvOptions,
    /// A table was written before: the next one follows an empty line.
    later: bool,
}

/// A [`Reporter`](crate::Reporter) in CSV or TSV. Several tables are told apart by an empty line.
pub type CsvReporter<W> = RowReporter<Csv, W>;

impl Csv {
    /// The format with these options.
    pub fn new(options: CsvOptions) -> Self {
        Self { options, later: false }
    }

    /// Quotes what was written from `start` on, if it would not be read back as one cell.
    #[inline]
    fn quote(&self, out: &mut Vec<u8>, start: usize) {
        let cell = &out[start..];
        let needs = cell.iter().any(|&byte| byte == self.options.separator || byte == b'"')
            || cell.is_empty()
            || cell.starts_with(b"#");
        if needs {
            let mut quoted = Vec::with_capacity(cell.len() + 8);
            for &byte in cell {
                if byte == b'"' {
                    quoted.push(b'"');
                }
                quoted.push(byte);
            }
            out.truncate(start);
            out.push(b'"');
            out.extend_from_slice(&quoted);
            out.push(b'"');
        }
    }

    fn push_text(&self, out: &mut Vec<u8>, text: &str) {
        let start = out.len();
        push_escaped(out, text);
        self.quote(out, start);
    }
}

impl<W: Write> CsvReporter<W> {
    /// CSV or TSV to `out`.
    pub fn new(out: W, options: CsvOptions) -> Self {
        Self::with_format(Csv::new(options), out)
    }
}

impl RowFormat for Csv {
    fn header(&mut self, out: &mut Vec<u8>, _table: &str, columns: &[Column]) {
        if std::mem::replace(&mut self.later, true) {
            out.push(b'\n');
        }
        if self.options.header {
            for column in columns {
                self.push_text(out, &column.name);
                out.push(self.options.separator);
            }
            out.extend_from_slice(b"quality\n");
        }
    }

    #[inline]
    fn cell(&mut self, out: &mut Vec<u8>, _place: usize, value: &Value) {
        match value {
            Value::Missing => {}
            Value::U64(number) => push_u64(out, *number),
            Value::I64(number) => push_i64(out, *number),
            Value::Time(time) => push_i64(out, time.as_nanos()),
            Value::Span(span) => push_i64(out, span.get()),
            Value::F64(number) => {
                push_f64(out, *number);
            }
            Value::Bool(yes) => out.extend_from_slice(if *yes { b"true" } else { b"false" }),
            Value::Addr(addr) => push_addr(out, *addr),
            Value::Word(word) => self.push_text(out, word),
            Value::Text(text) => self.push_text(out, text),
            Value::List(numbers) => {
                for (index, number) in numbers.iter().enumerate() {
                    if index > 0 {
                        out.push(b' ');
                    }
                    push_u64(out, *number);
                }
            }
        }
        out.push(self.options.separator);
    }

    fn end_row(&mut self, out: &mut Vec<u8>, quality: &Quality) {
        match quality.at_least.as_slice() {
            [] => out.extend_from_slice(b"exact"),
            reasons => self.push_text(out, &reasons.join(",")),
        }
        out.push(b'\n');
    }

    fn trailer(&mut self, out: &mut Vec<u8>, ending: &Ending<'_>) {
        if self.options.trailer {
            out.extend_from_slice(b"# trust: ");
            push_trust_pairs(out, ending);
            out.push(b'\n');
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Reporter;
    use crate::report::samples::snapshot;
    use crate::resolve::Numeric;

    fn written(options: CsvOptions) -> String {
        let mut out = Vec::new();
        CsvReporter::new(&mut out, options).report(&snapshot(), &Numeric).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn commas_and_quotes_follow_rfc_4180_and_the_trust_line_is_last() {
        assert_eq!(
            written(CsvOptions::COMMA),
            "start_ns,src_ip,state,duration_ns,fwd_l3_bytes,vlan,note,quality\n\
             1795226383121324999,10.0.0.1,SF,1500000000,9007199254740993,100 7,\"a \"\"b\"\", c\",exact\n\
             1795226384000000000,2001:db8::1,S0,,60,,,\"cut,lost\"\n\
             # trust: seen=12 delivered=12 filtered=0 lost.interface=? lost.kernel=0 lost.capture=? lost.damaged=? \
             lost.ring=? lost_at_least=0 truncated=0 malformed.link=0 malformed.shim=0 malformed.network=0 malformed.transport=0 \
             malformed.tunnel=0 cut.link=0 cut.shim=0 cut.network=0 cut.transport=0 cut.tunnel=0 unknown.link=0 unknown.shim=0 unknown.network=0 unknown.transport=0 unknown.tunnel=0 untracked=0 \
             flowless=0 duplicates=0 backwards=0 untimed=0 unread_bytes=0 unreported_rows=0 complete=true\n"
        );
    }

    #[test]
    fn tabs_without_header_and_trailer_are_only_rows() {
        assert_eq!(
            written(CsvOptions { header: false, trailer: false, ..CsvOptions::TAB }),
            "1795226383121324999\t10.0.0.1\tSF\t1500000000\t9007199254740993\t100 7\t\"a \"\"b\"\", c\"\texact\n\
             1795226384000000000\t2001:db8::1\tS0\t\t60\t\t\tcut,lost\n"
        );
    }

    #[test]
    fn text_from_a_capture_stays_in_its_cell() {
        let csv = Csv::new(CsvOptions::TAB);
        let mut out = Vec::new();
        csv.push_text(&mut out, "a\tb\n\u{1b}");
        assert_eq!(out, br"a\x09b\x0a\x1b");
        out.clear();
        csv.push_text(&mut out, "# not a comment");
        assert_eq!(out, b"\"# not a comment\"");
    }
}
