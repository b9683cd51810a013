//! JSON: one object per line, or one document.

use std::io::Write;

use crate::addr::Addr;
use crate::report::cell::{push_addr, push_block, push_f64, push_json_text, push_u64};
use crate::report::ledger::{push_json_u64, push_trust_json};
use crate::report::rows::{Ending, RowFormat, RowReporter, singular};
use crate::report::{Column, Meaning, Quality, Unit, Value};

/// The version of the form of headers, rows and trailers; grows when a field changes its meaning or goes away.
pub const SCHEMA: u64 = 1;

/// What the JSON formats may be asked for.
#[derive(Clone, Debug, Default)]
pub struct JsonOptions {
    /// Integers beyond 2^53 as strings, for readers that know only doubles.
    pub safe_integers: bool,
    /// More fields of the header, as in `("version", "0.1.0")`.
    pub notes: Vec<(&'static str, String)>,
}

/// JSON Lines: a header, one object per row, and a trailer with the trust line, each on its own line.
///
/// Every line has a `type`: `header`, the table's name in the singular (`conn`), `trailer`.
#[derive(Clone, Debug, Default)]
pub struct JsonLines {
    options: JsonOptions,
    keys: Keys,
}

/// A [`Reporter`](crate::Reporter) in JSON Lines.
pub type JsonLinesReporter<W> = RowReporter<JsonLines, W>;

impl JsonLines {
    /// The format with these options.
    pub fn new(options: JsonOptions) -> Self {
        Self { options, keys: Keys::default() }
    }
}

impl<W: Write> JsonLinesReporter<W> {
    /// JSON Lines to `out`.
    pub fn new(out: W) -> Self {
        Self::with_format(JsonLines::default(), out)
    }
}

impl RowFormat for JsonLines {
    fn header(&mut self, out: &mut Vec<u8>, table: &str, columns: &[Column]) {
        let mut start = b"{\"type\":".to_vec();
        push_json_text(&mut start, singular(table));
        self.keys = Keys::new(&start, columns);
        out.extend_from_slice(b"{\"type\":\"header\",");
        push_head(out, &self.options, table, columns);
        out.extend_from_slice(b"}\n");
    }

    #[inline(always)]
    fn cell(&mut self, out: &mut Vec<u8>, place: usize, value: &Value) {
        self.keys.push(out, place);
        push_value(out, value, self.options.safe_integers);
    }

    fn end_row(&mut self, out: &mut Vec<u8>, quality: &Quality) {
        self.keys.push_end(out, quality);
        out.push(b'\n');
    }

    fn trailer(&mut self, out: &mut Vec<u8>, ending: &Ending<'_>) {
        out.extend_from_slice(b"{\"type\":\"trailer\",");
        push_tail(out, ending, self.options.safe_integers);
        out.extend_from_slice(b"}\n");
    }
}

/// One JSON document per report: `{"schema":1,"tables":[{"table":…,"rows":[…]}],…,"trust":{…}}`.
///
/// Prefer [`JsonLines`] where the reader allows: a document can only be read once it is whole.
#[derive(Clone, Debug, Default)]
pub struct JsonDocument {
    options: JsonOptions,
    keys: Keys,
    place: Place,
}

/// Where in its document a [`JsonDocument`] stands.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
enum Place {
    #[default]
    Outside,
    FirstRow,
    LaterRow,
}

/// A [`Reporter`](crate::Reporter) of JSON documents, one per snapshot.
pub type JsonReporter<W> = RowReporter<JsonDocument, W>;

impl JsonDocument {
    /// The format with these options.
    pub fn new(options: JsonOptions) -> Self {
        Self { options, ..Self::default() }
    }
}

impl<W: Write> JsonReporter<W> {
    /// JSON documents to `out`.
    pub fn new(out: W) -> Self {
        Self::with_format(JsonDocument::default(), out)
    }
}

impl RowFormat for JsonDocument {
    fn header(&mut self, out: &mut Vec<u8>, table: &str, columns: &[Column]) {
        self.keys = Keys::new(b"{", columns);
        match self.place {
            Place::Outside => out.extend_from_slice(b"{\"tables\":["),
            Place::FirstRow | Place::LaterRow => out.extend_from_slice(b"\n]},"),
        }
        self.place = Place::FirstRow;
        out.push(b'{');
        push_head(out, &self.options, table, columns);
        out.extend_from_slice(b",\"rows\":[");
    }

    #[inline]
    fn cell(&mut self, out: &mut Vec<u8>, place: usize, value: &Value) {
        if place == 0 {
            out.extend_from_slice(if self.place == Place::FirstRow { b"\n" } else { b",\n" });
            self.place = Place::LaterRow;
        }
        self.keys.push(out, place);
        push_value(out, value, self.options.safe_integers);
    }

    fn end_row(&mut self, out: &mut Vec<u8>, quality: &Quality) {
        self.keys.push_end(out, quality);
    }

    fn trailer(&mut self, out: &mut Vec<u8>, ending: &Ending<'_>) {
        match self.place {
            Place::Outside => out.extend_from_slice(b"{\"tables\":["),
            Place::FirstRow | Place::LaterRow => out.extend_from_slice(b"\n]}"),
        }
        self.place = Place::Outside;
        out.extend_from_slice(b"],");
        push_tail(out, ending, self.options.safe_integers);
        out.extend_from_slice(b"}\n");
    }
}

/// The parts of a row that are the same in every row, made once.
#[derive(Clone, Debug, Default)]
struct Keys {
    /// `keys[i]` stands before cell `i`; the first holds the row's beginning.
    keys: Vec<Key>,
    quality: Vec<u8>,
    /// The end of a row whose quality is exact.
    exact: Key,
}

/// Bytes that are copied as one block of fixed length where they fit into it.
#[derive(Clone, Debug, Default)]
struct Key {
    block: [u8; 32],
    /// Of the bytes within `block`.
    length: usize,
    /// The whole of it if it is longer than a block; empty otherwise.
    long: Vec<u8>,
}

impl Key {
    fn new(bytes: Vec<u8>) -> Self {
        let mut block = [0; 32];
        match block.get_mut(..bytes.len()) {
            Some(start) => {
                start.copy_from_slice(&bytes);
                Self { block, length: bytes.len(), long: Vec::new() }
            }
            None => Self { block, length: 0, long: bytes },
        }
    }

    #[inline]
    fn push(&self, out: &mut Vec<u8>) {
        if self.long.is_empty() {
            push_block(out, &self.block, self.length);
        } else {
            out.extend_from_slice(&self.long);
        }
    }
}

impl Keys {
    fn new(start: &[u8], columns: &[Column]) -> Self {
        let mut before = start.to_vec();
        let mut key = |name: &str| {
            let mut key = std::mem::take(&mut before);
            if !matches!(key.last(), Some(b'{')) {
                key.push(b',');
            }
            push_json_text(&mut key, name);
            key.push(b':');
            key
        };
        let keys = columns.iter().map(|column| Key::new(key(&column.name))).collect();
        let quality = key("quality");
        let exact = Key::new([&quality[..], b"\"exact\"}"].concat());
        Self { keys, quality, exact }
    }

    /// Writes what stands before the cell in column number `place`.
    #[inline]
    fn push(&self, out: &mut Vec<u8>, place: usize) {
        if let Some(key) = self.keys.get(place) {
            key.push(out);
        }
    }

    /// Writes what stands behind the cells of a row.
    fn push_end(&self, out: &mut Vec<u8>, quality: &Quality) {
        if quality.is_exact() {
            return self.exact.push(out);
        }
        out.extend_from_slice(&self.quality);
        match quality.at_least.as_slice() {
            [reason] => push_json_text(out, reason),
            reasons => push_json_text(out, &reasons.join(",")),
        }
        out.push(b'}');
    }
}

/// Writes a cell; in place, but for what takes longer than a call.
#[inline(always)]
fn push_value(out: &mut Vec<u8>, value: &Value, safe_integers: bool) {
    match value {
        Value::Missing => out.extend_from_slice(b"null"),
        Value::U64(number) => push_json_u64(out, *number, safe_integers),
        Value::I64(number) => push_integer(out, *number, safe_integers),
        Value::Time(time) => push_integer(out, time.as_nanos(), safe_integers),
        Value::Span(span) => push_integer(out, span.get(), safe_integers),
        Value::F64(number) => push_ratio(out, *number),
        Value::Bool(yes) => out.extend_from_slice(if *yes { b"true" } else { b"false" }),
        Value::Addr(addr) => push_addr_text(out, *addr),
        Value::Word(word) => push_json_text(out, word),
        Value::Text(text) => push_json_text(out, text),
        Value::List(numbers) => push_list(out, numbers, safe_integers),
    }
}

fn push_ratio(out: &mut Vec<u8>, number: f64) {
    if !push_f64(out, number) {
        out.extend_from_slice(b"null");
    }
}

fn push_addr_text(out: &mut Vec<u8>, addr: Addr) {
    out.push(b'"');
    push_addr(out, addr);
    out.push(b'"');
}

fn push_list(out: &mut Vec<u8>, numbers: &[u64], safe_integers: bool) {
    out.push(b'[');
    for (index, number) in numbers.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        push_json_u64(out, *number, safe_integers);
    }
    out.push(b']');
}

fn push_integer(out: &mut Vec<u8>, number: i64, safe_integers: bool) {
    match u64::try_from(number) {
        Ok(number) => push_json_u64(out, number, safe_integers),
        Err(_) if safe_integers && number.unsigned_abs() > super::ledger::SAFE_INTEGER => {
            out.extend_from_slice(b"\"-");
            push_u64(out, number.unsigned_abs());
            out.push(b'"');
        }
        Err(_) => {
            out.push(b'-');
            push_u64(out, number.unsigned_abs());
        }
    }
}

/// Writes the fields that describe a table.
fn push_head(out: &mut Vec<u8>, options: &JsonOptions, table: &str, columns: &[Column]) {
    out.extend_from_slice(b"\"schema\":");
    push_u64(out, SCHEMA);
    out.extend_from_slice(b",\"table\":");
    push_json_text(out, table);
    for (name, value) in &options.notes {
        out.push(b',');
        push_json_text(out, name);
        out.push(b':');
        push_json_text(out, value);
    }
    out.extend_from_slice(b",\"columns\":[");
    for (index, column) in columns.iter().enumerate() {
        out.extend_from_slice(if index == 0 { b"{\"name\":" } else { b",{\"name\":" });
        push_json_text(out, &column.name);
        out.extend_from_slice(b",\"unit\":");
        match unit_name(column.unit) {
            Some(unit) => push_json_text(out, unit),
            None => out.extend_from_slice(b"null"),
        }
        out.extend_from_slice(b",\"meaning\":");
        push_json_text(
            out,
            match column.meaning {
                Meaning::Key => "key",
                Meaning::Counter => "counter",
                Meaning::Gauge => "gauge",
            },
        );
        out.extend_from_slice(b",\"bound\":");
        push_json_text(out, column.bound.name());
        out.push(b'}');
    }
    out.push(b']');
}

/// Writes the fields that end a report.
fn push_tail(out: &mut Vec<u8>, ending: &Ending<'_>, safe_integers: bool) {
    out.extend_from_slice(b"\"rows\":");
    push_u64(out, ending.rows);
    for (name, time) in [(",\"from_ns\":", ending.from), (",\"through_ns\":", ending.through)] {
        out.extend_from_slice(name.as_bytes());
        match time {
            Some(time) => push_integer(out, time.as_nanos(), safe_integers),
            None => out.extend_from_slice(b"null"),
        }
    }
    out.extend_from_slice(b",\"trust\":");
    push_trust_json(out, ending, safe_integers);
}

fn unit_name(unit: Unit) -> Option<&'static str> {
    Some(match unit {
        Unit::None | Unit::Count => return None,
        Unit::Packets => "packets",
        Unit::Bytes => "bytes",
        Unit::EpochNanos => "ns since 1970-01-01 UTC",
        Unit::Nanos => "ns",
        Unit::PerSecond => "1/s",
        Unit::Percent => "%",
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Reporter;
    use crate::report::samples::snapshot;
    use crate::resolve::Numeric;

    const TRUST: &str = r#""trust":{"seen":12,"delivered":12,"filtered":0,"lost":{"interface":null,"kernel":0,"capture":null,"damaged":null,"ring":null},"lost_at_least":0,"truncated":0,"malformed":{"link":0,"shim":0,"network":0,"transport":0,"tunnel":0},"cut":{"link":0,"shim":0,"network":0,"transport":0,"tunnel":0},"unknown":{"link":0,"shim":0,"network":0,"transport":0,"tunnel":0},"untracked":0,"flowless":0,"duplicates":0,"backwards":0,"untimed":0,"unread_bytes":0,"unreported_rows":0,"incomplete":false,"complete":true,"fault":null}"#;
    const COLUMNS: &str = r#""columns":[{"name":"start_ns","unit":"ns since 1970-01-01 UTC","meaning":"key","bound":"exact"},{"name":"src_ip","unit":null,"meaning":"key","bound":"exact"},{"name":"state","unit":null,"meaning":"gauge","bound":"exact"},{"name":"duration_ns","unit":"ns","meaning":"gauge","bound":"exact"},{"name":"fwd_l3_bytes","unit":"bytes","meaning":"counter","bound":"at_least"},{"name":"vlan","unit":null,"meaning":"key","bound":"exact"},{"name":"note","unit":null,"meaning":"gauge","bound":"exact"}]"#;
    const FIRST: &str = r#""start_ns":1795226383121324999,"src_ip":"10.0.0.1","state":"SF","duration_ns":1500000000,"fwd_l3_bytes":9007199254740993,"vlan":[100,7],"note":"a \"b\", c","quality":"exact"}"#;
    const SECOND: &str = r#""start_ns":1795226384000000000,"src_ip":"2001:db8::1","state":"S0","duration_ns":null,"fwd_l3_bytes":60,"vlan":null,"note":null,"quality":"cut,lost"}"#;

    #[test]
    fn lines_have_a_header_typed_rows_and_a_trailer() {
        let mut out = Vec::new();
        JsonLinesReporter::new(&mut out).report(&snapshot(), &Numeric).unwrap();
        let expected = [
            format!(r#"{{"type":"header","schema":1,"table":"conns",{COLUMNS}}}"#),
            format!(r#"{{"type":"conn",{FIRST}"#),
            format!(r#"{{"type":"conn",{SECOND}"#),
            format!(
                r#"{{"type":"trailer","rows":2,"from_ns":1795226383121324999,"through_ns":1795226384000000000,{TRUST}}}"#
            ),
        ];
        assert_eq!(String::from_utf8(out).unwrap().lines().collect::<Vec<_>>(), expected);
    }

    #[test]
    fn a_document_holds_the_same_rows() {
        let mut out = Vec::new();
        JsonReporter::new(&mut out).report(&snapshot(), &Numeric).unwrap();
        let expected = format!(
            "{{\"tables\":[{{\"schema\":1,\"table\":\"conns\",{COLUMNS},\"rows\":[\n{{{FIRST},\n{{{SECOND}\n]}}],\
             \"rows\":2,\"from_ns\":1795226383121324999,\"through_ns\":1795226384000000000,{TRUST}}}\n"
        );
        assert_eq!(String::from_utf8(out).unwrap(), expected);
    }

    #[test]
    fn a_document_without_tables_is_whole() {
        let mut out = Vec::new();
        JsonReporter::new(&mut out).report(&crate::Snapshot::default(), &Numeric).unwrap();
        assert!(out.starts_with(b"{\"tables\":[],\"rows\":0,\"from_ns\":null,\"through_ns\":null,\"trust\":{"));
    }

    #[test]
    fn integers_that_a_double_cannot_hold_become_strings_when_asked() {
        let mut out = Vec::new();
        let format = JsonLines::new(JsonOptions { safe_integers: true, ..JsonOptions::default() });
        RowReporter::with_format(format, &mut out).report(&snapshot(), &Numeric).unwrap();
        let text = String::from_utf8(out).unwrap();
        let row = text.lines().nth(1).unwrap();
        assert!(row.contains(r#""start_ns":"1795226383121324999""#));
        assert!(row.contains(r#""duration_ns":1500000000"#));
        assert!(row.contains(r#""fwd_l3_bytes":"9007199254740993""#));
    }
}
