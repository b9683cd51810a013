//! The columns of round-trip times.

use flowcore::report::{Bound, Value};

use super::Flow;
use crate::columns::{self, FACT, NUMBER, SPAN, TIME, addr, count, end_columns, port, socket_columns, span};

/// One column.
pub type ColumnDef = columns::Def<Flow>;

/// Every column there is, in the order of machine formats.
pub fn columns() -> Vec<ColumnDef> {
    let ends: [fn(&Flow) -> Value; 4] = [
        |flow| addr(flow.end.local),
        |flow| port_of(flow, flow.end.local_port),
        |flow| addr(flow.end.remote),
        |flow| port_of(flow, flow.end.remote_port),
    ];
    let socket: [fn(&Flow) -> Value; 6] = [
        |flow| flow.end.state_cell(),
        |flow| count(flow.end.interface),
        // Zones of packets are something else.
        |flow| count(flow.end.state.map(|_| flow.end.netns)),
        |flow| count(flow.end.uid),
        |flow| count(flow.end.inode),
        |flow| count(flow.end.cookie),
    ];
    let own = [
        ColumnDef::new(["rtt_ns", "RTT", "Smoothed round-trip time."], SPAN, |flow| span(flow.rtt))
            .bounded(Bound::About)
            .shown(0),
        ColumnDef::new(["rttvar_ns", "RTTVAR", "Its mean deviation."], SPAN, |flow| span(flow.rttvar))
            .bounded(Bound::About)
            .shown(2),
        ColumnDef::new(
            ["min_rtt_ns", "MIN-RTT", "Smallest round-trip time: of five minutes (sockets), or ever (packets)."],
            SPAN,
            |flow| span(flow.min_rtt),
        )
        .bounded(Bound::About)
        .shown(1),
        ColumnDef::new(
            ["samples", "SAMPLES", "Round trips that went into it; the kernel does not count its own."],
            NUMBER,
            |flow| count(flow.samples),
        )
        .bounded(Bound::AtLeast),
        ColumnDef::new(
            ["method", "METHOD", "Measured how and where: `socket` by the kernel, `packets` at the capture point."],
            FACT,
            |flow| Value::Word(flow.method.name()),
        ),
        ColumnDef::new(["sampled_ns", "SAMPLED", "When it was last measured or asked for."], TIME, |flow| {
            Value::Time(flow.time)
        }),
    ];
    end_columns(ends).into_iter().chain(own).chain(socket_columns(socket)).collect()
}

/// Headers that were cut before the ports leave 0 on both sides.
fn port_of(flow: &Flow, number: u16) -> Value {
    if (flow.end.local_port, flow.end.remote_port) == (0, 0) { Value::Missing } else { port(number) }
}
