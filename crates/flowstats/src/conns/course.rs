//! The columns that tell a TCP connection's course. They cost to find out, so they are there only if asked for.

use flowcore::report::{Bound, Meaning, Unit, Value};
use flowcore::{Direction, Nanos};

use super::Connection;
use super::columns::{BYTES, ColumnDef, PACKETS, bound_of_missing, bound_of_step, bound_of_syn_ack, define};
use crate::columns::{FACT, NUMBER, SPAN};
use crate::tcp::{Course, Durations, FastOpen, Figures, HandshakeDoubts, Retransmission, SideFacts};

const COUNT: (Unit, Meaning) = (Unit::Count, Meaning::Counter);

/// The columns of a connection's [`Course`], in the order of machine formats. Adding one at the end is compatible;
/// renaming one is not.
///
/// Round trips are measured from the capture point to one end. `rtt_…` are those of the end farther away, by the
/// shortest round trip; `fwd_rtt_…` go to the responder and back, `rev_rtt_…` to the originator and back.
pub static COURSE_COLUMNS: [ColumnDef; 62] = [
    define(
        [
            "outcome",
            "OUTCOME",
            "How the opening came out: ok, refused, reset, timed_out, unanswered, half_open (a SYN-ACK, no ACK), midstream.",
        ],
        FACT,
        |c| course(c, |course| Value::Word(course.opening.outcome.name())),
    ),
    define(["opened_as", "OPENED-AS", "Who sent what to open it: three_way, simultaneous, split."], FACT, |c| {
        course(c, |course| match course.opening.first_syn {
            Some(_) => Value::Word(course.opening.shape.name()),
            None => Value::Missing,
        })
    }),
    define(
        ["connect_ns", "CONNECT", "From the first SYN to the ACK of the SYN-ACK, repetitions included."],
        SPAN,
        |c| c.timed(|| course(c, |course| span(course.opening.connect()))),
    )
    .doubted(|c| bound_of_step(c, HandshakeDoubts::empty(), HandshakeDoubts::LATE_ACK)),
    define(["syn_rtt", "SYN-RTT", "From the latest SYN before it to the first SYN-ACK."], SPAN, |c| {
        c.timed(|| course(c, |course| span(course.opening.syn_rtt())))
    })
    .doubted(bound_of_syn_ack),
    define(["ack_rtt", "ACK-RTT", "From the latest SYN-ACK before it to its ACK."], SPAN, |c| {
        c.timed(|| course(c, |course| span(course.opening.ack_rtt())))
    })
    .doubted(|c| bound_of_step(c, HandshakeDoubts::SYN_ACK_REPEATED, HandshakeDoubts::LATE_ACK)),
    define(["ecn", "ECN", "Explicit congestion notification: no, offered, agreed, accurate."], FACT, |c| {
        course(c, |course| opened(course, Value::Word(course.opening.ecn.name())))
    }),
    define(
        ["fast_open", "TFO", "TCP Fast Open: no, asked, tried (data in the SYN), used (and accepted)."],
        FACT,
        |c| {
            course(c, |course| match course.opening.fast_open {
                FastOpen::Unknown => Value::Missing,
                known => opened(course, Value::Word(known.name())),
            })
        },
    ),
    define(["rtt_min", "RTT-MIN", "Shortest round trip to the end farther from the capture point."], SPAN, |c| {
        rtt(c, farther, |rtt| rtt.min())
    })
    .bounded(Bound::About),
    define(["rtt_mean", "RTT-MEAN", "Mean round trip to the end farther from the capture point."], SPAN, |c| {
        rtt(c, farther, |rtt| rtt.mean())
    })
    .bounded(Bound::About),
    define(
        ["rtt_p50", "RTT-P50", "Median round trip to the end farther from the capture point, to 0.4 %."],
        SPAN,
        |c| rtt(c, farther, |rtt| rtt.quantile(0.50)),
    )
    .bounded(Bound::About),
    define(
        ["rtt_p95", "RTT-P95", "95th percentile of round trips to the end farther from the capture point, to 0.4 %."],
        SPAN,
        |c| rtt(c, farther, |rtt| rtt.quantile(0.95)),
    )
    .bounded(Bound::About),
    define(["rtt_max", "RTT-MAX", "Longest round trip to the end farther from the capture point."], SPAN, |c| {
        rtt(c, farther, |rtt| rtt.max())
    })
    .bounded(Bound::About),
    define(["rtt_samples", "RTT-N", "Round trips measured, of both directions."], COUNT, |c| {
        samples(c, &[Direction::Forward, Direction::Reverse])
    }),
    define(
        ["rtt_ambiguous", "RTT-AMB", "ACKs that tell no round trip (Karn's rule), of both directions."],
        COUNT,
        |c| both(c, |side| side.ambiguous_rtts),
    )
    .bounded(Bound::About),
    define(["rtt_to", "RTT-TO", "The end farther from the capture point, by the shortest round trip."], FACT, |c| {
        let of = c.course.as_ref().and_then(|followed| farther(&followed.1));
        of.map_or(Value::Missing, |of| end(of.opposite()))
    }),
    define(["fwd_rtt_min", "RTT-MIN>", "Shortest round trip to the responder."], SPAN, |c| {
        rtt(c, forward, |rtt| rtt.min())
    })
    .bounded(Bound::About),
    define(["fwd_rtt_p50", "RTT-P50>", "Median round trip to the responder, to 0.4 %."], SPAN, |c| {
        rtt(c, forward, |rtt| rtt.quantile(0.50))
    })
    .bounded(Bound::About),
    define(["fwd_rtt_p95", "RTT-P95>", "95th percentile of round trips to the responder, to 0.4 %."], SPAN, |c| {
        rtt(c, forward, |rtt| rtt.quantile(0.95))
    })
    .bounded(Bound::About),
    define(["fwd_rtt_samples", "RTT-N>", "Round trips measured to the responder."], COUNT, |c| {
        samples(c, &[Direction::Forward])
    }),
    define(["rev_rtt_min", "RTT-MIN<", "Shortest round trip to the originator."], SPAN, |c| {
        rtt(c, reverse, |rtt| rtt.min())
    })
    .bounded(Bound::About),
    define(["rev_rtt_p50", "RTT-P50<", "Median round trip to the originator, to 0.4 %."], SPAN, |c| {
        rtt(c, reverse, |rtt| rtt.quantile(0.50))
    })
    .bounded(Bound::About),
    define(["rev_rtt_p95", "RTT-P95<", "95th percentile of round trips to the originator, to 0.4 %."], SPAN, |c| {
        rtt(c, reverse, |rtt| rtt.quantile(0.95))
    })
    .bounded(Bound::About),
    define(["rev_rtt_samples", "RTT-N<", "Round trips measured to the originator."], COUNT, |c| {
        samples(c, &[Direction::Reverse])
    }),
    define(
        ["retrans", "RETRANS", "Segments sent again, SYNs, SYN-ACKs and FINs included, probes not."],
        PACKETS,
        |c| both(c, SideFacts::all_sent_again),
    )
    .doubted(bound_of_verdicts),
    define(["fwd_retrans", "RETRANS>", "Segments that the originator sent again."], PACKETS, |c| {
        one(c, Direction::Forward, SideFacts::all_sent_again)
    })
    .doubted(|c| bound_of_guesses(c, &[Direction::Forward])),
    define(["rev_retrans", "RETRANS<", "Segments that the responder sent again."], PACKETS, |c| {
        one(c, Direction::Reverse, SideFacts::all_sent_again)
    })
    .doubted(|c| bound_of_guesses(c, &[Direction::Reverse])),
    define(
        ["retrans_timeout", "RTO", "Sent again because a timer ran out, tail loss probes (RFC 8985) included."],
        PACKETS,
        |c| kind(c, Retransmission::Timeout),
    )
    .doubted(bound_of_verdicts)
    .bounded(Bound::About),
    define(["retrans_fast", "FAST", "Segments sent again because duplicate ACKs asked for it."], PACKETS, |c| {
        kind(c, Retransmission::Fast)
    })
    .doubted(bound_of_verdicts)
    .bounded(Bound::About),
    define(["retrans_spurious", "SPURIOUS", "Segments sent again though the receiver had them."], PACKETS, |c| {
        kind(c, Retransmission::Spurious)
    })
    .doubted(bound_of_verdicts)
    .bounded(Bound::About),
    define(["retrans_syn", "SYN-AGAIN", "SYNs beyond the first."], PACKETS, |c| kind(c, Retransmission::Syn)),
    define(["retrans_syn_ack", "SYN-ACK-AGAIN", "SYN-ACKs beyond the first."], PACKETS, |c| {
        kind(c, Retransmission::SynAck)
    }),
    define(["retrans_bytes", "RETRANS-BYTES", "Payload sent again, that of probes included."], BYTES, |c| {
        both(c, |side| side.retransmitted_bytes)
    })
    .doubted(bound_of_verdicts),
    define(["keep_alives", "KEEPALIVE", "Keep-alive probes."], PACKETS, |c| kind(c, Retransmission::KeepAlive)),
    define(["window_probes", "PROBES", "Probes of a zero window."], PACKETS, |c| kind(c, Retransmission::WindowProbe)),
    define(["reordered", "REORDERED", "Segments overtaken by later ones."], PACKETS, |c| {
        both(c, |side| side.reordered)
    })
    .doubted(bound_of_verdicts)
    .bounded(Bound::About),
    define(["copies", "COPIES", "Packets captured or delivered twice on one interface."], PACKETS, |c| {
        both(c, |side| side.duplicates)
    }),
    define(["duplicate_acks", "DUPACKS", "ACKs that ask for a segment again (RFC 5681)."], PACKETS, |c| {
        both(c, |side| side.duplicate_acks)
    }),
    define(["zero_windows", "ZEROWIN", "Segments that say a window is zero."], PACKETS, |c| {
        both(c, |side| side.zero_windows)
    }),
    define(
        ["zero_window_time", "ZEROWIN-TIME", "Time for which a window was zero, both directions added."],
        SPAN,
        |c| {
            let nanos = |course: &Course| {
                course.sides.iter().map(|side| side.zero_window_time.get()).fold(0, i64::saturating_add)
            };
            c.timed(|| course(c, |course| Value::Span(Nanos::new(nanos(course)))))
        },
    )
    .doubted(bound_of_zero_windows)
    .bounded(Bound::About),
    define(
        ["missing_bytes", "MISSING", "Bytes acknowledged but never captured, not even late, both directions."],
        BYTES,
        |c| both(c, |side| side.missing_bytes),
    )
    .doubted(bound_of_missing),
    define(["fwd_missing_bytes", "MISSING>", "The originator's bytes acknowledged but never captured."], BYTES, |c| {
        one(c, Direction::Forward, |side| side.missing_bytes)
    })
    .doubted(bound_of_missing),
    define(["rev_missing_bytes", "MISSING<", "The responder's bytes acknowledged but never captured."], BYTES, |c| {
        one(c, Direction::Reverse, |side| side.missing_bytes)
    })
    .doubted(bound_of_missing),
    define(["requests", "REQUESTS", "Messages of the originator, by change of direction."], COUNT, |c| {
        course(c, |course| Value::U64(u64::from(course.turns.requests)))
    }),
    define(["responses", "RESPONSES", "Requests that were answered, wholly or in part."], COUNT, |c| {
        course(c, |course| Value::U64(u64::from(course.turns.responses)))
    }),
    define(
        [
            "unanswered",
            "UNANSWERED",
            "Requests without a response; not TLS's closing alert, as far as size and time tell it.",
        ],
        NUMBER,
        |c| course(c, |course| Value::U64(u64::from(course.turns.unanswered()))),
    )
    .bounded(Bound::About),
    define(["server_first", "GREETINGS", "Messages of the responder that no request came before."], COUNT, |c| {
        course(c, |course| Value::U64(u64::from(course.turns.server_first)))
    }),
    define(
        ["pipelined", "PIPELINED", "Turns in which one end sent before it had heard all of the other."],
        COUNT,
        |c| course(c, |course| Value::U64(u64::from(course.turns.overlapped))),
    ),
    define(
        ["first_byte_p50", "FIRST-P50", "From a request's first byte to its response's first byte: median."],
        SPAN,
        |c| first_byte(c, |durations| durations.quantile(0.50)),
    )
    .doubted(bound_of_first_bytes)
    .bounded(Bound::About),
    define(
        ["first_byte_p95", "FIRST-P95", "From a request's first byte to its response's first byte: 95th percentile."],
        SPAN,
        |c| first_byte(c, |durations| durations.quantile(0.95)),
    )
    .doubted(bound_of_first_bytes)
    .bounded(Bound::About),
    define(
        ["response_p50", "RESP-P50", "From a request's first byte to its response's last byte: median."],
        SPAN,
        |c| last_byte(c, |durations| durations.quantile(0.50)),
    )
    .doubted(bound_of_responses)
    .bounded(Bound::About),
    define(
        ["response_p95", "RESP-P95", "From a request's first byte to its response's last byte: 95th percentile."],
        SPAN,
        |c| last_byte(c, |durations| durations.quantile(0.95)),
    )
    .doubted(bound_of_responses)
    .bounded(Bound::About),
    define(
        ["response_max", "RESP-MAX", "From a request's first byte to its response's last byte: the longest."],
        SPAN,
        |c| last_byte(c, |durations| durations.max()),
    )
    .doubted(bound_of_the_longest)
    .bounded(Bound::About),
    define(["closed_by", "CLOSED-BY", "Who sent the first FIN; one without ACK closes nothing."], FACT, |c| {
        course(c, |course| course.closed_by.map_or(Value::Missing, end))
    }),
    define(["reset_by", "RESET-BY", "Who sent the first RST before both had closed."], FACT, |c| {
        course(c, |course| course.reset_by.map_or(Value::Missing, end))
    }),
    define(
        ["half_closed", "HALF-CLOSED", "One end went on sending after it had acknowledged the other's FIN."],
        FACT,
        |c| course(c, |course| Value::Bool(course.half_closed)),
    ),
    define(["ce_packets", "CE", "Packets that the network marked for congestion."], PACKETS, |c| {
        both(c, |side| side.congested)
    }),
    define(["ece_packets", "ECE", "Segments that echo such marks."], PACKETS, |c| both(c, |side| side.echoed)),
    define(
        [
            "invalid",
            "INVALID",
            "Segments that no connection has: contradicting control bits, numbers far outside the windows.",
        ],
        PACKETS,
        |c| course(c, |course| Value::U64(u64::from(course.invalid))),
    ),
    define(
        [
            "guessed",
            "GUESSED",
            "Segments of which time alone tells whether they were sent again, overtaken, doubled, or none of it.",
        ],
        PACKETS,
        |c| both(c, |side| side.guessed),
    ),
    define(
        [
            "zero_window_evidence",
            "ZEROWIN-BY",
            "How the end of zero windows is known: exact; opening_unseen: by what was sent into the opened window; \
             still_shut: the last packet came before it.",
        ],
        FACT,
        |c| {
            course(c, |course| match course.sides.iter().any(|side| side.zero_windows > 0) {
                true => Value::Word(match bound_of_zero_windows(c) {
                    Bound::Exact => "exact",
                    Bound::AtLeast => "still_shut",
                    _ => "opening_unseen",
                }),
                false => Value::Missing,
            })
        },
    ),
    define(
        [
            "first_byte_samples",
            "FIRST-N",
            "Responses whose first byte has a time; of the others it is not known whether the capture has all before it.",
        ],
        COUNT,
        |c| turns_timed(c, Figures::first_byte),
    ),
    define(["response_samples", "RESP-N", "The same of the last byte."], COUNT, |c| turns_timed(c, Figures::last_byte)),
];

fn course(connection: &Connection, value: impl Fn(&Course) -> Value) -> Value {
    connection.course.as_ref().map_or(Value::Missing, |followed| value(&followed.0))
}

fn bound_of_zero_windows(connection: &Connection) -> Bound {
    let Some((course, _)) = connection.course.as_deref() else { return Bound::Exact };
    if course.sides.iter().any(|side| side.zero_window_unseen) {
        Bound::About
    } else if !connection.state.is_closed() && course.sides.iter().any(|side| side.zero_window_shut) {
        Bound::AtLeast
    } else {
        Bound::Exact
    }
}

/// Of some segments only the time told what they were.
fn bound_of_verdicts(connection: &Connection) -> Bound {
    bound_of_guesses(connection, &[Direction::Forward, Direction::Reverse])
}

/// The same of segments of these directions.
fn bound_of_guesses(connection: &Connection, by: &[Direction]) -> Bound {
    let guessed = |course: &Course| by.iter().any(|by| course.sides[by.index()].guessed > 0);
    if connection.course.as_ref().is_some_and(|followed| guessed(&followed.0)) { Bound::About } else { Bound::Exact }
}

/// Times are those of the turns that have one; the others' may be shorter or longer. Two farewells are none.
fn bound_of_turns(connection: &Connection, times: fn(&Figures) -> Durations<'_>) -> Bound {
    let Some((course, figures)) = connection.course.as_deref() else { return Bound::Exact };
    let timed = times(figures).count() + u64::from(course.turns.answered_farewell);
    if timed < u64::from(course.turns.responses) { Bound::About } else { Bound::Exact }
}

fn bound_of_first_bytes(connection: &Connection) -> Bound {
    bound_of_turns(connection, Figures::first_byte)
}

fn bound_of_responses(connection: &Connection) -> Bound {
    bound_of_turns(connection, Figures::last_byte)
}

fn bound_of_the_longest(connection: &Connection) -> Bound {
    match bound_of_responses(connection) {
        Bound::Exact => Bound::Exact,
        _ => Bound::AtLeast,
    }
}

fn turns_timed(connection: &Connection, times: fn(&Figures) -> Durations<'_>) -> Value {
    let count = |figures: &Figures| times(figures).count();
    connection.timed(|| connection.course.as_ref().map_or(Value::Missing, |followed| Value::U64(count(&followed.1))))
}

fn span(span: Option<Nanos>) -> Value {
    span.map_or(Value::Missing, Value::Span)
}

/// What only a SYN tells.
fn opened(course: &Course, value: Value) -> Value {
    if course.opening.first_syn.is_some() { value } else { Value::Missing }
}

fn end(direction: Direction) -> Value {
    Value::Word(match direction {
        Direction::Forward => "originator",
        Direction::Reverse => "responder",
    })
}

fn both(connection: &Connection, count: impl Fn(&SideFacts) -> u64) -> Value {
    course(connection, |course| Value::U64(course.sides.iter().map(&count).sum()))
}

fn one(connection: &Connection, direction: Direction, count: impl Fn(&SideFacts) -> u64) -> Value {
    course(connection, |course| Value::U64(count(&course.sides[direction.index()])))
}

/// Round trips of these directions' data.
fn samples(connection: &Connection, of: &[Direction]) -> Value {
    let count = |figures: &Figures| of.iter().map(|&of| figures.rtt(of).count()).sum();
    connection.timed(|| connection.course.as_ref().map_or(Value::Missing, |followed| Value::U64(count(&followed.1))))
}

fn kind(connection: &Connection, kind: Retransmission) -> Value {
    both(connection, |side| side.sent_again(kind))
}

fn forward(_: &Figures) -> Option<Direction> {
    Some(Direction::Forward)
}

fn reverse(_: &Figures) -> Option<Direction> {
    Some(Direction::Reverse)
}

/// Whose data is acknowledged from farther away.
fn farther(figures: &Figures) -> Option<Direction> {
    match [Direction::Forward, Direction::Reverse].map(|of| figures.rtt(of).min()) {
        [Some(to_responder), Some(to_originator)] if to_originator > to_responder => Some(Direction::Reverse),
        [Some(_), _] => Some(Direction::Forward),
        [None, Some(_)] => Some(Direction::Reverse),
        [None, None] => None,
    }
}

/// A figure, if there is one.
fn figure(connection: &Connection, value: impl Fn(&Figures) -> Option<Nanos>) -> Value {
    connection.timed(|| span(connection.course.as_ref().and_then(|followed| value(&followed.1))))
}

fn rtt(
    connection: &Connection,
    of: fn(&Figures) -> Option<Direction>,
    value: fn(&Durations<'_>) -> Option<Nanos>,
) -> Value {
    figure(connection, |figures| of(figures).and_then(|of| value(&figures.rtt(of))))
}

fn first_byte(connection: &Connection, value: fn(&Durations<'_>) -> Option<Nanos>) -> Value {
    figure(connection, |figures| value(&figures.first_byte()))
}

fn last_byte(connection: &Connection, value: fn(&Durations<'_>) -> Option<Nanos>) -> Value {
    figure(connection, |figures| value(&figures.last_byte()))
}
