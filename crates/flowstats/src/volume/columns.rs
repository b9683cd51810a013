//! The columns of what connections carry.

use flowcore::report::{Bound, Meaning, Unit, Value};

use super::{Carried, Total};
use crate::columns::{
    self, FACT, NUMBER, SHARE, SPAN, TIME, addr, count, end_columns, port, ratio, socket_columns, span,
};

/// One column.
pub type ColumnDef = columns::Def<Carried>;

const BYTES: (Unit, Meaning) = (Unit::Bytes, Meaning::Counter);
const BYTES_NOW: (Unit, Meaning) = (Unit::Bytes, Meaning::Gauge);
const COUNT: (Unit, Meaning) = (Unit::None, Meaning::Counter);
const RATE: (Unit, Meaning) = (Unit::PerSecond, Meaning::Gauge);

/// Every column there is, in the order of machine formats.
pub fn columns() -> Vec<ColumnDef> {
    let ends: [fn(&Carried) -> Value; 4] = [
        |row| addr(row.end.local),
        |row| port(row.end.local_port),
        |row| addr(row.end.remote),
        |row| port(row.end.remote_port),
    ];
    let socket: [fn(&Carried) -> Value; 6] = [
        |row| row.end.state_cell(),
        |row| count(row.end.interface),
        |row| port(row.end.netns),
        |row| count(row.end.uid),
        |row| count(row.end.inode),
        |row| count(row.end.cookie),
    ];
    let own: [ColumnDef; 24] = [
        ColumnDef::new(["bytes_out", "BYTES>", "Data bytes that the other end has acknowledged."], BYTES, |row| {
            counted(row, Total::BytesOut)
        })
        .bounded(Bound::AtLeast)
        .shown(1),
        ColumnDef::new(["bytes_in", "BYTES<", "Data bytes received in order."], BYTES, |row| {
            counted(row, Total::BytesIn)
        })
        .bounded(Bound::AtLeast)
        .shown(1),
        ColumnDef::new(["out_rate", "OUT", "The bytes out in a second of the interval."], RATE, |row| {
            ratio(row.rate(Total::BytesOut))
        }),
        ColumnDef::new(["in_rate", "IN", "The bytes in in a second of the interval."], RATE, |row| {
            ratio(row.rate(Total::BytesIn))
        }),
        ColumnDef::new(
            ["segments_out", "SEGS>", "Segments sent, without data and sent again included."],
            COUNT,
            |row| counted(row, Total::SegmentsOut),
        )
        .bounded(Bound::AtLeast)
        .shown(3),
        ColumnDef::new(["segments_in", "SEGS<", "Segments received."], COUNT, |row| counted(row, Total::SegmentsIn))
            .bounded(Bound::AtLeast)
            .shown(3),
        ColumnDef::new(["retrans", "RETRANS", "Segments sent again."], COUNT, |row| {
            counted(row, Total::Retransmissions)
        })
        .bounded(Bound::AtLeast)
        .shown(2),
        ColumnDef::new(["bytes_sent", "SENT", "Data bytes sent, those sent again included."], BYTES, |row| {
            counted(row, Total::BytesSent)
        })
        .bounded(Bound::AtLeast),
        ColumnDef::new(["bytes_retrans", "AGAIN", "Data bytes sent again."], BYTES, |row| {
            counted(row, Total::BytesAgain)
        })
        .bounded(Bound::AtLeast),
        ColumnDef::new(
            ["bdp_bytes", "BDP", "Congestion window in bytes (cwnd × mss): about the path's bandwidth-delay product."],
            BYTES_NOW,
            |row| count(row.now.window_bytes()),
        )
        .shown(1),
        ColumnDef::new(["cwnd", "CWND", "Congestion window, segments."], NUMBER, |row| count(row.now.window_segments)),
        ColumnDef::new(["mss", "MSS", "Payload bytes of a segment sent, at most."], BYTES_NOW, |row| {
            count(row.now.mss)
        }),
        ColumnDef::new(["rtt_ns", "RTT", "Smoothed round-trip time."], SPAN, |row| span(row.now.rtt)).shown(4),
        ColumnDef::new(["window_rate", "WINDOW", "What the window allows (cwnd × mss / rtt), bytes."], RATE, |row| {
            ratio(row.now.window_rate())
        }),
        ColumnDef::new(["pacing_rate", "PACING", "Rate at which segments are paced, bytes."], RATE, |row| {
            count(row.now.pacing_rate)
        })
        .shown(5),
        ColumnDef::new(["delivery_rate", "DELIVERY", "Rate at which data was last delivered, bytes."], RATE, |row| {
            count(row.now.delivery_rate)
        })
        .shown(4),
        ColumnDef::new(
            ["app_limited", "APP", "The application limited the delivery rate, which so says nothing of the path."],
            FACT,
            |row| row.now.application_limited.map_or(Value::Missing, Value::Bool),
        ),
        ColumnDef::new(
            [
                "limited_by",
                "LIMITED-BY",
                "What held the sender up most: `application`, `receive_window`, `send_buffer` or `network`.",
            ],
            FACT,
            |row| row.limit().map_or(Value::Missing, |limit| Value::Word(limit.name())),
        )
        .shown(1),
        ColumnDef::new(["busy_percent", "BUSY", "Part of the interval with something to send."], SHARE, |row| {
            ratio(row.busy_percent())
        })
        .shown(3),
        ColumnDef::new(
            ["rwnd_limited_percent", "RWND", "Part of that in which the receive window held sending up."],
            SHARE,
            |row| ratio(row.percent_of_busy(Total::WindowMicros)),
        )
        .shown(6),
        ColumnDef::new(
            ["sndbuf_limited_percent", "SNDBUF", "Part of that in which the send buffer held sending up."],
            SHARE,
            |row| ratio(row.percent_of_busy(Total::BufferMicros)),
        )
        .shown(6),
        ColumnDef::new(["send_queue", "SENDQ", "Bytes that wait to be acknowledged or sent."], BYTES_NOW, |row| {
            count(row.now.send_queue)
        }),
        ColumnDef::new(["from_ns", "FROM", "When the counting began."], TIME, |row| Value::Time(row.from)),
        ColumnDef::new(["through_ns", "THROUGH", "When the socket was last asked."], TIME, |row| {
            Value::Time(row.through)
        }),
    ];
    end_columns(ends).into_iter().chain(own).chain(socket_columns(socket)).collect()
}

fn counted(row: &Carried, total: Total) -> Value {
    count(row.counted.get(total))
}
