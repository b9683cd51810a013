//! The form of Zeek's `conn.log`: tab-separated, with `#` lines around.

use flowcore::report::cell::{push_addr, push_epoch, push_f64, push_i64, push_seconds, push_u64};
use flowcore::report::{Column, Ending, Meaning, Quality, RowFormat, Unit, Value, push_trust_pairs};

/// One column of `conn.log`.
pub struct ZeekColumn {
    /// Zeek's name.
    pub name: &'static str,
    /// Zeek's type.
    kind: &'static str,
    /// Our columns with the same fact, the first that has a value counts; none: the cell is unset.
    pub ours: &'static [&'static str],
}

const fn column(name: &'static str, kind: &'static str, ours: &'static [&'static str]) -> ZeekColumn {
    ZeekColumn { name, kind, ours }
}

/// Every column of `conn.log`, in Zeek's order.
///
/// Unset in every row: `service` (we do not look into payloads), `local_orig` and `local_resp` (nobody told us which
/// networks are local), `tunnel_parents` (outer headers make no connection of their own). `orig_bytes` and
/// `resp_bytes` count by sequence numbers where there are any, as Zeek does.
pub const COLUMNS: [ZeekColumn; 22] = [
    column("ts", "time", &["start_ns"]),
    column("uid", "string", &["flow_id"]),
    column("id.orig_h", "addr", &["src_ip"]),
    column("id.orig_p", "port", &["src_port"]),
    column("id.resp_h", "addr", &["dst_ip"]),
    column("id.resp_p", "port", &["dst_port"]),
    column("proto", "enum", &["transport"]),
    column("service", "string", &[]),
    column("duration", "interval", &["active_ns", "duration_ns"]),
    column("orig_bytes", "count", &["fwd_stream_bytes", "fwd_payload_bytes"]),
    column("resp_bytes", "count", &["rev_stream_bytes", "rev_payload_bytes"]),
    column("conn_state", "string", &["state"]),
    column("local_orig", "bool", &[]),
    column("local_resp", "bool", &[]),
    column("missed_bytes", "count", &["missed_bytes"]),
    column("history", "string", &["history"]),
    column("orig_pkts", "count", &["fwd_packets"]),
    column("orig_ip_bytes", "count", &["fwd_l3_bytes"]),
    column("resp_pkts", "count", &["rev_packets"]),
    column("resp_ip_bytes", "count", &["rev_l3_bytes"]),
    column("tunnel_parents", "set[string]", &[]),
    column("ip_proto", "count", &["ip_proto"]),
];

/// The places of columns that need more than another name.
const PROTO: usize = 6;
const PORTS: [usize; 2] = [3, 5];
const DURATION: usize = 8;
const BYTES: [usize; 2] = [9, 10];
const MISSED: usize = 14;

/// What stands for a column of Zeek's that we cannot fill.
pub fn unknown_column() -> Column {
    Column::new(["-", "-", ""], Unit::None, Meaning::Gauge)
}

/// Zeek's TSV form. Columns behind Zeek's own get names that begin with `flow_`; the trust line is a last comment
/// `#flow_trust`.
pub struct Zeek {
    trailer: bool,
    /// Columns of ours follow Zeek's, and so does the quality.
    extended: bool,
    /// The row being written lasted no time. Zeek then says neither duration nor bytes; mostly it is a single packet.
    is_instant: bool,
}

impl Zeek {
    /// The format, with or without the trust line.
    pub fn new(trailer: bool) -> Self {
        Self { trailer, extended: false, is_instant: false }
    }
}

impl RowFormat for Zeek {
    fn header(&mut self, out: &mut Vec<u8>, _table: &str, columns: &[Column]) {
        out.extend_from_slice(
            b"#separator \\x09\n#set_separator\t,\n#empty_field\t(empty)\n#unset_field\t-\n#path\tconn\n#open\t",
        );
        out.extend_from_slice(now().as_bytes());
        let more = columns.get(COLUMNS.len()..).unwrap_or(&[]);
        self.extended = !more.is_empty();
        out.extend_from_slice(b"\n#fields");
        for column in &COLUMNS {
            out.push(b'\t');
            out.extend_from_slice(column.name.as_bytes());
        }
        for name in more.iter().map(name).chain(self.extended.then_some("quality")) {
            out.extend_from_slice(b"\tflow_");
            out.extend_from_slice(name.as_bytes());
        }
        out.extend_from_slice(b"\n#types");
        for kind in COLUMNS.iter().map(|column| column.kind).chain(more.iter().map(kind)) {
            out.push(b'\t');
            out.extend_from_slice(kind.as_bytes());
        }
        if self.extended {
            out.extend_from_slice(b"\tset[string]");
        }
        out.push(b'\n');
    }

    #[inline]
    fn cell(&mut self, out: &mut Vec<u8>, place: usize, cell: &Value) {
        if place > 0 {
            out.push(b'\t');
        }
        if place == DURATION {
            self.is_instant = !matches!(cell, Value::Span(span) if span.get() > 0);
        }
        match cell {
            _ if self.is_instant && (place == DURATION || BYTES.contains(&place)) => out.push(b'-'),
            Value::Missing if PORTS.contains(&place) || place == MISSED => out.push(b'0'),
            Value::Word(word) if place == PROTO => out.extend_from_slice(proto(word).as_bytes()),
            Value::Text(text) if place == PROTO => out.extend_from_slice(proto(text).as_bytes()),
            cell => push_cell(out, cell),
        }
    }

    fn end_row(&mut self, out: &mut Vec<u8>, quality: &Quality) {
        if self.extended {
            out.push(b'\t');
            match quality.at_least.as_slice() {
                [] => out.extend_from_slice(b"(empty)"),
                reasons => out.extend_from_slice(reasons.join(",").as_bytes()),
            }
        }
        out.push(b'\n');
    }

    fn trailer(&mut self, out: &mut Vec<u8>, ending: &Ending<'_>) {
        out.extend_from_slice(b"#close\t");
        out.extend_from_slice(now().as_bytes());
        out.push(b'\n');
        if self.trailer {
            out.extend_from_slice(b"#flow_trust\t");
            push_trust_pairs(out, ending);
            out.push(b'\n');
        }
    }
}

/// Zeek knows three transports.
fn proto(transport: &str) -> &'static str {
    match transport {
        "tcp" => "tcp",
        "udp" => "udp",
        "icmp" | "icmp6" => "icmp",
        _ => "unknown_transport",
    }
}

/// The name of a column of ours: Zeek's times and intervals are in seconds, so none of them says nanoseconds.
fn name(column: &Column) -> &str {
    column.name.strip_suffix("_ns").unwrap_or(&column.name)
}

/// The type of a column of ours: that of Zeek's column with the same fact, or what its unit says.
fn kind(column: &Column) -> &'static str {
    if let Some(same) = COLUMNS.iter().find(|zeek| zeek.ours.contains(&&*column.name)) {
        return same.kind;
    }
    match column.unit {
        Unit::EpochNanos => "time",
        Unit::Nanos => "interval",
        Unit::Packets | Unit::Bytes | Unit::Count => "count",
        Unit::PerSecond | Unit::Percent => "double",
        _ => "string",
    }
}

fn push_cell(out: &mut Vec<u8>, cell: &Value) {
    match cell {
        Value::U64(number) => push_u64(out, *number),
        Value::I64(number) => push_i64(out, *number),
        Value::F64(number) => {
            if !push_f64(out, *number) {
                out.push(b'-');
            }
        }
        Value::Bool(yes) => out.push(if *yes { b'T' } else { b'F' }),
        Value::Time(time) => push_epoch(out, *time),
        Value::Span(span) => push_seconds(out, span.get(), 6),
        Value::Addr(addr) => push_addr(out, *addr),
        Value::Word(word) => push_text(out, word),
        Value::Text(text) => push_text(out, text),
        Value::List(numbers) if numbers.is_empty() => out.extend_from_slice(b"(empty)"),
        Value::List(numbers) => {
            for (index, number) in numbers.iter().enumerate() {
                if index > 0 {
                    out.push(b',');
                }
                push_u64(out, *number);
            }
        }
        // What is missing.
        _ => out.push(b'-'),
    }
}

/// Zeek's way: bytes that would not be read back are `\xNN`, and so is the beginning of a text that would be taken
/// for one of its marks.
fn push_text(out: &mut Vec<u8>, text: &str) {
    let hex = |out: &mut Vec<u8>, byte: u8| {
        for digit in [byte >> 4, byte & 15] {
            out.push(if digit < 10 { b'0' + digit } else { b'a' + digit - 10 });
        }
    };
    let is_mark = matches!(text, "-" | "(empty)");
    if text.is_empty() {
        return out.extend_from_slice(b"(empty)");
    }
    for (index, &byte) in text.as_bytes().iter().enumerate() {
        match byte {
            b'\\' => out.extend_from_slice(b"\\\\"),
            b' '..=b'~' if !(is_mark && index == 0) => out.push(byte),
            byte => {
                out.extend_from_slice(b"\\x");
                hex(out, byte);
            }
        }
    }
}

/// The moment at which the log is opened or closed, in Zeek's form.
fn now() -> String {
    jiff::Zoned::now().strftime("%Y-%m-%d-%H-%M-%S").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use flowcore::report::Row;
    use flowcore::{Ledger, Nanos, Timestamp};

    /// What is written, without the lines that hold the time of day.
    fn lines(columns: &[Column], row: &Row, trailer: bool) -> Vec<String> {
        let mut zeek = Zeek::new(trailer);
        let mut out = Vec::new();
        zeek.header(&mut out, "conns", columns);
        zeek.row(&mut out, row);
        let mut ledger = Ledger::new();
        ledger.deliver(7);
        zeek.trailer(&mut out, &Ending { complete: true, ..Ending::new(&ledger) });
        let text = String::from_utf8(out).unwrap();
        let timeless = text.lines().filter(|line| !line.starts_with("#open") && !line.starts_with("#close"));
        timeless.map(str::to_owned).collect()
    }

    fn row() -> Row {
        let mut cells = vec![Value::Missing; COLUMNS.len()];
        cells[0] = Value::Time(Timestamp::from_parts(1_795_226_383, 121_324_999));
        cells[1] = Value::Text("00000000000000a7".into());
        cells[2] = Value::Addr("10.0.0.2".parse().unwrap());
        cells[3] = Value::U64(40_000);
        cells[4] = Value::Addr("2001:db8::1".parse().unwrap());
        cells[5] = Value::U64(443);
        cells[6] = Value::Word("sctp");
        cells[8] = Value::Span(Nanos::new(1_500_000));
        cells[9] = Value::U64(0);
        cells[15] = Value::Text("ShADfF".into());
        Row { cells, ..Row::default() }
    }

    #[test]
    fn the_form_is_that_of_conn_log() {
        let columns: Vec<Column> = COLUMNS.iter().map(|_| unknown_column()).collect();
        assert_eq!(
            lines(&columns, &row(), true),
            [
                "#separator \\x09",
                "#set_separator\t,",
                "#empty_field\t(empty)",
                "#unset_field\t-",
                "#path\tconn",
                "#fields\tts\tuid\tid.orig_h\tid.orig_p\tid.resp_h\tid.resp_p\tproto\tservice\tduration\torig_bytes\t\
                 resp_bytes\tconn_state\tlocal_orig\tlocal_resp\tmissed_bytes\thistory\torig_pkts\torig_ip_bytes\t\
                 resp_pkts\tresp_ip_bytes\ttunnel_parents\tip_proto",
                "#types\ttime\tstring\taddr\tport\taddr\tport\tenum\tstring\tinterval\tcount\tcount\tstring\tbool\tbool\t\
                 count\tstring\tcount\tcount\tcount\tcount\tset[string]\tcount",
                "1795226383.121324\t00000000000000a7\t10.0.0.2\t40000\t2001:db8::1\t443\tunknown_transport\t-\t\
                 0.001500\t0\t-\t-\t-\t-\t0\tShADfF\t-\t-\t-\t-\t-\t-",
                "#flow_trust\tseen=7 delivered=7 filtered=0 lost.interface=? lost.kernel=? lost.capture=? \
                 lost.damaged=? lost.ring=? lost_at_least=0 truncated=0 malformed.link=0 malformed.shim=0 malformed.network=0 \
                 malformed.transport=0 malformed.tunnel=0 cut.link=0 cut.shim=0 cut.network=0 cut.transport=0 \
                 cut.tunnel=0 unknown.link=0 unknown.shim=0 unknown.network=0 unknown.transport=0 unknown.tunnel=0 untracked=0 flowless=0 duplicates=0 backwards=0 untimed=0 unread_bytes=0 unreported_rows=0 \
                 complete=true",
            ]
        );
    }

    #[test]
    fn columns_of_ours_come_last_with_a_prefix() {
        let mut columns: Vec<Column> = COLUMNS.iter().map(|_| unknown_column()).collect();
        columns.push(Column::new(["rtt_ns", "-", ""], Unit::Nanos, Meaning::Gauge));
        let mut row = row();
        row.cells.push(Value::Span(Nanos::new(30_000)));
        row.quality.at_least = vec!["cut", "lost"];
        let lines = lines(&columns, &row, false);
        assert!(lines[5].ends_with("\tip_proto\tflow_rtt\tflow_quality"));
        assert!(lines[6].ends_with("\tcount\tinterval\tset[string]"));
        assert!(lines[7].ends_with("\t0.000030\tcut,lost"));
    }

    #[test]
    fn a_single_packet_has_neither_duration_nor_bytes() {
        let columns: Vec<Column> = COLUMNS.iter().map(|_| unknown_column()).collect();
        let mut row = row();
        row.cells[3] = Value::Missing;
        row.cells[DURATION] = Value::Span(Nanos::ZERO);
        assert!(lines(&columns, &row, false)[7].contains("\t0\t2001:db8::1\t443\tunknown_transport\t-\t-\t-\t-\t"));
    }

    #[test]
    fn text_that_would_be_taken_for_a_mark_is_escaped() {
        let written = |text: &str| {
            let mut out = Vec::new();
            push_text(&mut out, text);
            String::from_utf8(out).unwrap()
        };
        assert_eq!(written("-"), "\\x2d");
        assert_eq!(written("(empty)"), "\\x28empty)");
        assert_eq!(written("a\tb\\"), "a\\x09b\\\\");
        assert_eq!(written(""), "(empty)");
    }
}
