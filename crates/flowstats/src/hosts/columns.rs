//! The columns of a host table: names, units, meanings, and where each value comes from.

use std::sync::Arc;

use flowcore::Nanos;
use flowcore::report::{Bound, Column, Meaning, Unit, Value};

use super::report::{Host, Levels, MOST_LEVELS, Who};
use super::{Began, Measure, Tally};
use crate::columns::{self, FACT, KEY, SHARE};
use crate::conns::Doubts;
use crate::tcp::Retransmission;

/// One column.
pub type ColumnDef = columns::Def<Host>;

const fn define(names: [&'static str; 3], (unit, meaning): (Unit, Meaning), value: fn(&Host) -> Value) -> ColumnDef {
    let bound = match (unit, meaning) {
        // Both what is counted and what it is a part of may be too few.
        (Unit::Percent, _) => Bound::About,
        (Unit::PerSecond, _) | (_, Meaning::Counter) => Bound::AtLeast,
        _ => Bound::Exact,
    };
    let own = if matches!(unit, Unit::PerSecond) { bound_of_rate } else { |_: &Host| Bound::Exact };
    ColumnDef::new(names, (unit, meaning), value).bounded(bound).doubted(own)
}

const COUNT: (Unit, Meaning) = (Unit::None, Meaning::Counter);
const BYTES: (Unit, Meaning) = (Unit::Bytes, Meaning::Counter);
const RATE: (Unit, Meaning) = (Unit::PerSecond, Meaning::Gauge);

/// Columns in front of the percentiles, in the order of machine formats.
const FRONT: [ColumnDef; 22] = [
    define(
        ["kind", "KIND", "`host`, or what has no row of its own: `others`, `allowed`, `unlisted`, `total`."],
        FACT,
        kind,
    ),
    define(
        [
            "host",
            "HOST",
            "The remote: its name if names are asked for (with the port, by --by-port), else its address.",
        ],
        KEY,
        host,
    )
    .shown(0),
    define(["addr", "ADDR", "The remote's address, if the row is of one alone."], FACT, |h| {
        h.addr.map_or(Value::Missing, Value::Addr)
    }),
    define(["port", "PORT", "The service's port, if rows are kept by port (--by-port)."], KEY, |h| {
        h.port.map_or(Value::Missing, |port| Value::U64(port.into()))
    }),
    define(["remotes", "REMOTES", "How many addresses (and ports) stand behind the name."], FACT, |h| {
        h.remotes.map_or(Value::Missing, Value::U64)
    }),
    define(["connections", "CONNS", "TCP connections, seen from their beginning or not."], COUNT, |h| {
        Value::U64(h.tally.connections)
    }),
    define(["syn", "SYN", "Connections that began with a SYN, each once."], COUNT, |h| Value::U64(h.tally.syn))
        .shown(0),
    define(["syn_rate", "SYN", "The same in a second of capture time."], RATE, |h| rate(h, h.tally.syn)).shown(4),
    define(["syn_ack", "SYN/ACK", "Of these, answered with a SYN-ACK."], COUNT, |h| Value::U64(h.tally.syn_ack)),
    define(["syn_ack_percent", "SYN/ACK", "The same as a part of the SYNs."], SHARE, |h| percent(h, h.tally.syn_ack))
        .shown(2),
    define(["est", "EST", "Of these, with a complete handshake."], COUNT, |h| Value::U64(h.tally.established)),
    define(["est_percent", "EST", "The same as a part of the SYNs."], SHARE, |h| percent(h, h.tally.established))
        .shown(2),
    define(["rst", "RST", "Connections that either end has reset, refused ones included."], COUNT, |h| {
        Value::U64(both(h.tally.reset))
    })
    .shown(1),
    define(["rst_percent", "RST", "Of the connections that began with a SYN, the part that was reset."], SHARE, |h| {
        percent(h, h.tally.reset[Began::Syn as usize])
    })
    .shown(3),
    define(["fin_out", "FIN_O", "Connections that the local end closed first."], COUNT, |h| {
        Value::U64(both(h.tally.closed_out))
    })
    .bounded(Bound::About)
    .shown(5),
    define(["fin_out_percent", "FIN_O", "Of the connections that began with a SYN, the part of these."], SHARE, |h| {
        percent(h, h.tally.closed_out[Began::Syn as usize])
    }),
    define(["fin_in", "FIN_I", "Connections that the remote closed first."], COUNT, |h| {
        Value::U64(both(h.tally.closed_in))
    })
    .bounded(Bound::About)
    .shown(5),
    define(["fin_in_percent", "FIN_I", "Of the connections that began with a SYN, the part of these."], SHARE, |h| {
        percent(h, h.tally.closed_in[Began::Syn as usize])
    }),
    define(["est_rate", "EST", "Complete handshakes in a second of capture time."], RATE, |h| {
        rate(h, h.tally.established)
    })
    .shown(4),
    define(["out", "OUT", "Requests."], COUNT, |h| Value::U64(h.tally.requests)).shown(1),
    define(["in", "IN", "Requests that were answered."], COUNT, |h| Value::U64(h.tally.responses)).shown(1),
    define(["err", "ERR", "Signs that the capture misses something, or of nonsense: gaps + invalid."], COUNT, |h| {
        Value::U64(h.tally.errors())
    })
    .shown(1)
    .doubted(bound_of_missing),
];

/// Columns behind the percentiles.
const BACK: [ColumnDef; 26] = [
    define(["retrans", "RETRANS", "Segments of data and FINs sent again, by either end."], COUNT, |h| {
        Value::U64(h.tally.retransmissions())
    })
    .shown(1)
    .doubted(bound_of_verdicts),
    define(["refused", "REFUSED", "Connections whose SYN was answered with a RST."], COUNT, |h| {
        Value::U64(h.tally.refused)
    })
    .bounded(Bound::About),
    define(
        ["no_answer", "NO-ANSWER", "Connections whose SYN got no answer, as far as the capture goes."],
        COUNT,
        |h| Value::U64(h.tally.no_answer),
    )
    .bounded(Bound::About),
    define(["timed_out", "TIMEOUT", "Connections whose handshake idled out."], COUNT, |h| {
        Value::U64(h.tally.timed_out)
    })
    .bounded(Bound::About),
    define(["rst_by_remote", "RST<", "Reset connections whose first RST came from the remote."], COUNT, |h| {
        Value::U64(h.tally.reset_by_remote)
    })
    .bounded(Bound::About),
    define(
        [
            "unanswered",
            "UNANSWERED",
            "Requests without any answer; not TLS's closing alert, as far as size and time tell it.",
        ],
        COUNT,
        |h| Value::U64(h.tally.requests.saturating_sub(h.tally.responses).saturating_sub(h.tally.farewells)),
    )
    .bounded(Bound::About),
    define(
        ["gaps", "GAPS", "Part of ERR: times that data was acknowledged which the capture does not have."],
        COUNT,
        |h| Value::U64(h.tally.gaps),
    )
    .doubted(bound_of_missing),
    define(["missing_bytes", "MISSING", "How much data that was."], BYTES, |h| Value::U64(h.tally.missing_bytes))
        .doubted(bound_of_missing),
    define(
        ["invalid", "INVALID", "Part of ERR: segments whose control bits or numbers no connection has."],
        COUNT,
        |h| Value::U64(h.tally.invalid),
    ),
    define(["midstream", "MIDSTREAM", "Connections whose beginning was not captured."], COUNT, |h| {
        Value::U64(h.tally.midstream)
    }),
    define(
        [
            "retrans_bytes",
            "RETRANS",
            "Payload sent again, that of probes and what was lost before the capture included.",
        ],
        BYTES,
        |h| Value::U64(h.tally.again_bytes),
    )
    .doubted(bound_of_verdicts),
    define(
        ["retrans_by_remote", "RETRANS<", "Of the retransmissions of data, those sent by the remote."],
        COUNT,
        |h| Value::U64(h.tally.again_by_remote),
    )
    .doubted(bound_of_verdicts),
    define(
        ["retrans_timeout", "RTO", "Of the retransmissions, those after a timeout or as a tail loss probe."],
        COUNT,
        |h| again(&h.tally, Retransmission::Timeout),
    )
    .bounded(Bound::About)
    .doubted(bound_of_verdicts),
    define(["retrans_fast", "FAST", "Of the retransmissions, those that duplicate ACKs asked for."], COUNT, |h| {
        again(&h.tally, Retransmission::Fast)
    })
    .bounded(Bound::About)
    .doubted(bound_of_verdicts),
    define(["retrans_spurious", "SPURIOUS", "Of the retransmissions, needless ones."], COUNT, |h| {
        again(&h.tally, Retransmission::Spurious)
    })
    .bounded(Bound::About)
    .doubted(bound_of_verdicts),
    define(["syn_retrans", "SYN+", "Repeated SYNs."], COUNT, |h| again(&h.tally, Retransmission::Syn)),
    define(["syn_ack_retrans", "SYN/ACK+", "Repeated SYN-ACKs."], COUNT, |h| again(&h.tally, Retransmission::SynAck)),
    define(["probes", "PROBES", "Keep-alives and zero-window probes."], COUNT, |h| {
        let count = |kind: Retransmission| h.tally.again[kind as usize];
        Value::U64(count(Retransmission::KeepAlive) + count(Retransmission::WindowProbe))
    }),
    define(["reordered", "REORDERED", "Segments that came later than one sent after them."], COUNT, |h| {
        Value::U64(h.tally.reordered)
    })
    .bounded(Bound::About)
    .doubted(bound_of_verdicts),
    define(
        ["duplicates", "DUPLICATES", "Packets captured twice, also on several interfaces, or doubled by the network."],
        COUNT,
        |h| Value::U64(h.tally.duplicates),
    ),
    define(["rtt_ambiguous", "AMBIGUOUS", "Acknowledgments that give no round trip (Karn's rule)."], COUNT, |h| {
        Value::U64(h.tally.ambiguous)
    })
    .bounded(Bound::About),
    define(
        [
            "guessed",
            "GUESSED",
            "Segments of which time alone tells whether they were sent again, overtaken, doubled, or none of it.",
        ],
        COUNT,
        |h| Value::U64(h.tally.guessed),
    ),
    define(
        [
            "late_acks",
            "LATE-ACKS",
            "Complete handshakes whose ACK came with data or acknowledged some: LAT may contain a wait of the application.",
        ],
        COUNT,
        |h| Value::U64(h.tally.late_acks),
    ),
    define(
        [
            "repeated_handshakes",
            "REPEATED",
            "Complete handshakes with several SYNs before the SYN-ACK: HANDSHAKE is a lower bound of theirs.",
        ],
        COUNT,
        |h| Value::U64(h.tally.repeated),
    ),
    define(
        [
            "first_byte_samples",
            "FIRST-N",
            "Responses whose first byte has a time; of the others it is not known whether the capture has all before it.",
        ],
        COUNT,
        |h| turns_timed(h, Measure::FirstByte),
    ),
    define(["response_samples", "RESP-N", "The same of their last byte: those that RTT is of."], COUNT, |h| {
        turns_timed(h, Measure::LastByte)
    }),
];

/// What a family of percentile columns is called.
struct Family {
    name: &'static str,
    title: &'static str,
    about: &'static str,
    unit: Unit,
    default: bool,
    /// See [`ColumnDef::bound`].
    bound: fn(&Host) -> Bound,
    values: [fn(&Host) -> Value; MOST_LEVELS],
}

/// A function for every level, because a column's value is a plain function.
macro_rules! levels {
    ($measure:expr) => {
        [
            level::<{ $measure as usize }, 0>,
            level::<{ $measure as usize }, 1>,
            level::<{ $measure as usize }, 2>,
            level::<{ $measure as usize }, 3>,
            level::<{ $measure as usize }, 4>,
            level::<{ $measure as usize }, 5>,
            level::<{ $measure as usize }, 6>,
            level::<{ $measure as usize }, 7>,
        ]
    };
}

const FAMILIES: [Family; 6] = [
    Family {
        name: "qos",
        title: "QOS",
        about: "responses per connection, of those closed by a FIN that had any",
        unit: Unit::Count,
        default: true,
        bound: |_| Bound::Exact,
        values: levels!(Measure::PerConnection),
    },
    Family {
        name: "lat",
        title: "LAT",
        about: "the time from the first SYN to the end of the handshake",
        unit: Unit::Nanos,
        default: true,
        bound: |host| about_if(host.tally.late_acks > 0),
        values: levels!(Measure::Connect),
    },
    Family {
        name: "rtt",
        title: "RTT",
        about: "the time from a request's first byte to its response's last",
        unit: Unit::Nanos,
        default: true,
        bound: |host| bound_of_turns(host, Measure::LastByte),
        values: levels!(Measure::LastByte),
    },
    Family {
        name: "first_byte",
        title: "FIRST",
        about: "the time from a request's first byte to its response's first",
        unit: Unit::Nanos,
        default: false,
        bound: |host| bound_of_turns(host, Measure::FirstByte),
        values: levels!(Measure::FirstByte),
    },
    Family {
        name: "path",
        title: "PATH",
        about: "round trips between the capture point and the remote, by its ACKs without data",
        unit: Unit::Nanos,
        default: false,
        bound: |_| Bound::Exact,
        values: levels!(Measure::Path),
    },
    Family {
        name: "handshake",
        title: "HANDSHAKE",
        about: "the time from the SYN that was answered to the end of the handshake",
        unit: Unit::Nanos,
        default: false,
        bound: |host| about_if(host.tally.late_acks + host.tally.repeated > 0),
        values: levels!(Measure::Handshake),
    },
];

/// The families that stand in front of `out` in tables, as in TRTOP's.
const BEFORE_OUT: usize = 2;

/// Every column for these percentiles, in the order of machine formats. Their names carry the percentile:
/// `lat_p95_ns`, `lat_p99_9_ns`. In tables the titles do, unless there is only one.
pub fn columns(levels: &Levels) -> Vec<ColumnDef> {
    let mut columns = Vec::with_capacity(FRONT.len() + BACK.len() + FAMILIES.len() * levels.percents().len());
    let mut families = FAMILIES.iter();
    for def in FRONT {
        if def.column.name == "out" {
            families.by_ref().take(BEFORE_OUT).for_each(|family| family.push(levels, &mut columns));
        }
        if def.column.name == "err" {
            families.by_ref().for_each(|family| family.push(levels, &mut columns));
        }
        columns.push(def);
    }
    columns.extend(BACK);
    columns
}

impl Family {
    fn push(&self, levels: &Levels, columns: &mut Vec<ColumnDef>) {
        for (&percent, value) in levels.percents().iter().zip(self.values) {
            let level = percent.to_string().replace('.', "_");
            let unit = if self.unit == Unit::Nanos { "_ns" } else { "" };
            let title = match levels.percents().len() {
                1 => self.title.to_owned(),
                _ => format!("{}p{percent}", self.title),
            };
            // What is missing may have been short or long.
            let mut column = Column::new([""; 3], self.unit, Meaning::Gauge).bounded(Bound::About);
            column.name = format!("{}_p{level}{unit}", self.name).into();
            column.title = title.into();
            column.about = format!("Percentile {percent} of {}.", self.about).into();
            columns.push(ColumnDef { column, value, default: self.default, priority: 2, bound: self.bound });
        }
    }
}

fn level<const MEASURE: usize, const LEVEL: usize>(host: &Host) -> Value {
    match host.quantiles[MEASURE].get(LEVEL) {
        Some(&Some(value)) if MEASURE == Measure::PerConnection as usize => Value::U64(value),
        // Of some packets the times are unknown.
        Some(_) if host.tally.doubts().contains(Doubts::NO_TIME) => Value::Missing,
        Some(&Some(value)) => Value::Span(Nanos::new(i64::try_from(value).unwrap_or(i64::MAX))),
        _ => Value::Missing,
    }
}

fn kind(host: &Host) -> Value {
    Value::Word(match host.who {
        Who::Remote(_) | Who::Named(_) => "host",
        Who::Others => "others",
        Who::Allowed => "allowed",
        Who::Unlisted => "unlisted",
        Who::Total => "total",
    })
}

fn host(host: &Host) -> Value {
    match &host.who {
        Who::Remote(remote) => Value::Addr(remote.addr),
        Who::Named(name) => Value::Text(Arc::clone(name)),
        Who::Others => Value::Word("(others)"),
        Who::Allowed => Value::Word("(allowed)"),
        Who::Unlisted => Value::Word("(unlisted)"),
        Who::Total => Value::Word("(total)"),
    }
}

fn both(counts: [u64; 2]) -> u64 {
    counts.iter().sum()
}

fn rate(host: &Host, count: u64) -> Value {
    host.rate(count).map_or(Value::Missing, Value::F64)
}

/// The time is that of what was read: what was not read is missing from both.
fn bound_of_rate(host: &Host) -> Bound {
    about_if(host.tally.doubts().intersects(Doubts::INPUT_CUT | Doubts::STOPPED))
}

/// What a filter took out of connections looks missing.
fn bound_of_missing(host: &Host) -> Bound {
    about_if(host.tally.doubts().contains(Doubts::FILTERED))
}

/// Of some segments only the time told what they were.
fn bound_of_verdicts(host: &Host) -> Bound {
    about_if(host.tally.guessed > 0)
}

fn turns_timed(host: &Host, measure: Measure) -> Value {
    if host.tally.doubts().contains(Doubts::NO_TIME) {
        return Value::Missing;
    }
    Value::U64(host.tally.histogram(measure).count())
}

/// Percentiles are those of the responses that have a time; the others' may be shorter or longer. Two farewells are none.
fn bound_of_turns(host: &Host, measure: Measure) -> Bound {
    about_if(host.tally.histogram(measure).count() + host.tally.answered_farewells < host.tally.responses)
}

fn about_if(doubtful: bool) -> Bound {
    if doubtful { Bound::About } else { Bound::Exact }
}

fn percent(host: &Host, count: u64) -> Value {
    host.percent(count).map_or(Value::Missing, Value::F64)
}

fn again(tally: &Tally, kind: Retransmission) -> Value {
    Value::U64(tally.again[kind as usize])
}
