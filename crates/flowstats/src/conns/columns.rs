//! The columns of a connection table: names, units, meanings, and where each value comes from.

use std::sync::Arc;

use flowcore::community_id::community_id;
use flowcore::report::{Bound, Meaning, Unit, Value};
use flowcore::{Direction, Nanos, Timestamp};

use super::{Connection, Doubts, TcpFacts};
use crate::columns::{self, FACT, KEY, SPAN, TIME};
use crate::tcp::{Handshake, HandshakeDoubts};

/// One column.
pub type ColumnDef = columns::Def<Connection>;

/// The column called `name`.
pub fn column(name: &str) -> Option<&'static ColumnDef> {
    COLUMNS.iter().chain(&super::COURSE_COLUMNS).find(|def| def.column.name == name)
}

pub(super) const fn define(
    names: [&'static str; 3],
    (unit, meaning): (Unit, Meaning),
    value: fn(&Connection) -> Value,
) -> ColumnDef {
    let bound = if matches!(meaning, Meaning::Counter) { Bound::AtLeast } else { Bound::Exact };
    ColumnDef::new(names, (unit, meaning), value).bounded(bound)
}

pub(super) const PACKETS: (Unit, Meaning) = (Unit::Packets, Meaning::Counter);
pub(super) const BYTES: (Unit, Meaning) = (Unit::Bytes, Meaning::Counter);

/// Every column but those of [`COURSE_COLUMNS`](super::COURSE_COLUMNS), in the order of machine formats. Adding one at the end is compatible; renaming one is not.
pub static COLUMNS: [ColumnDef; 43] = [
    define(["start_ns", "START", "Time of the first packet."], TIME, |c| c.timed(|| Value::Time(c.flow.start)))
        .shown(2),
    define(["end_ns", "END", "Time of the last packet."], TIME, |c| c.timed(|| Value::Time(c.flow.last))),
    define(["duration_ns", "DURATION", "From the first to the last packet."], SPAN, |c| columns::span(c.duration()))
        .shown(3),
    define(["src_ip", "SRC", "Address of the originator."], KEY, |c| Value::Addr(c.flow.key.src)).shown(0),
    define(["src_port", "SPORT", "Port of the originator (ICMP: type)."], KEY, |c| port(c, c.flow.key.src_port))
        .shown(0),
    define(["dst_ip", "DST", "Address of the responder."], KEY, |c| Value::Addr(c.flow.key.dst)).shown(0),
    define(["dst_port", "DPORT", "Port of the responder (ICMP: answering type, or code)."], KEY, |c| {
        port(c, c.flow.key.dst_port)
    })
    .shown(0),
    define(["ip_proto", "IPPROTO", "IP protocol number."], KEY, |c| Value::U64(u64::from(c.flow.key.protocol.0))),
    define(["transport", "PROTO", "IP protocol name, or its number."], FACT, |c| {
        c.flow.key.protocol.name().map_or_else(|| text(&c.flow.key.protocol.to_string()), Value::Word)
    })
    .shown(0),
    define(["ip_version", "IPV", "4 or 6."], FACT, |c| Value::U64(u64::from(c.flow.key.ip_version()))),
    define(["state", "STATE", "Zeek's connection state."], FACT, |c| Value::Word(c.state.name())).shown(1),
    define(["history", "HISTORY", "Zeek's history letters; upper case = originator."], FACT, |c| {
        if c.history.letters().is_empty() { Value::Missing } else { text(c.history.as_str()) }
    })
    .shown(5),
    define(
        ["completeness", "COMPL", "Wireshark's tcp.completeness: SYN 1, SYN-ACK 2, ACK 4, data 8, FIN 16, RST 32."],
        FACT,
        |c| tcp(c, |facts| Value::U64(u64::from(facts.completeness))),
    ),
    define(["fwd_packets", "PKTS>", "Packets from the originator."], PACKETS, |c| {
        Value::U64(c[Direction::Forward].packets)
    })
    .shown(1),
    define(["rev_packets", "PKTS<", "Packets from the responder."], PACKETS, |c| {
        Value::U64(c[Direction::Reverse].packets)
    })
    .shown(1),
    define(["fwd_wire_bytes", "WIRE>", "Bytes on the wire from the originator, link layer included."], BYTES, |c| {
        Value::U64(c[Direction::Forward].wire_bytes)
    }),
    define(["rev_wire_bytes", "WIRE<", "Bytes on the wire from the responder, link layer included."], BYTES, |c| {
        Value::U64(c[Direction::Reverse].wire_bytes)
    }),
    define(["fwd_l3_bytes", "L3>", "IP bytes from the originator."], BYTES, |c| {
        Value::U64(c[Direction::Forward].network_bytes)
    }),
    define(["rev_l3_bytes", "L3<", "IP bytes from the responder."], BYTES, |c| {
        Value::U64(c[Direction::Reverse].network_bytes)
    }),
    define(
        ["fwd_payload_bytes", "PAYLOAD>", "Transport payload from the originator, retransmissions included."],
        BYTES,
        |c| payload(c, Direction::Forward),
    )
    .shown(1),
    define(
        ["rev_payload_bytes", "PAYLOAD<", "Transport payload from the responder, retransmissions included."],
        BYTES,
        |c| payload(c, Direction::Reverse),
    )
    .shown(1),
    define(
        ["fwd_stream_bytes", "STREAM>", "TCP payload from the originator by sequence numbers, each byte once."],
        BYTES,
        |c| tcp(c, |facts| Value::U64(facts.stream_bytes[0])),
    ),
    define(
        ["rev_stream_bytes", "STREAM<", "TCP payload from the responder by sequence numbers, each byte once."],
        BYTES,
        |c| tcp(c, |facts| Value::U64(facts.stream_bytes[1])),
    ),
    define(
        ["handshake_ns", "HANDSHAKE", "From the answered SYN to the ACK of the SYN-ACK, at the capture point."],
        SPAN,
        |c| c.timed(|| tcp(c, |facts| span(facts.handshake.syn, facts.handshake.ack))),
    )
    .doubted(bound_of_handshake)
    .shown(3),
    define(["syn_ack_ns", "SYN-ACK", "From the answered SYN to the SYN-ACK: the responder's side."], SPAN, |c| {
        c.timed(|| tcp(c, |facts| span(facts.handshake.syn, facts.handshake.syn_ack)))
    })
    .doubted(bound_of_syn_ack),
    define(["ack_ns", "ACK", "From the SYN-ACK to its ACK: the originator's side."], SPAN, |c| {
        c.timed(|| tcp(c, |facts| span(facts.handshake.syn_ack, facts.handshake.ack)))
    })
    .doubted(bound_of_ack),
    define(["tcp_flags_fwd", "FLAGS>", "Control bits sent by the originator, or-ed."], FACT, |c| {
        tcp(c, |facts| Value::U64(u64::from(facts.flags[0].bits())))
    }),
    define(["tcp_flags_rev", "FLAGS<", "Control bits sent by the responder, or-ed."], FACT, |c| {
        tcp(c, |facts| Value::U64(u64::from(facts.flags[1].bits())))
    }),
    define(["missed_bytes", "MISSED", "Bytes acknowledged but never captured, both directions."], BYTES, |c| {
        tcp(c, |facts| Value::U64(facts.missed_bytes[0] + facts.missed_bytes[1]))
    })
    .doubted(bound_of_missing),
    define(["duplicate_packets", "DUP", "Packets also seen on another interface, not counted again."], PACKETS, |c| {
        Value::U64(c.duplicate_packets)
    }),
    define(["vlan", "VLAN", "VLAN identifiers, outermost first."], FACT, |c| match &c.layers {
        Some(layers) if !layers.vlans.is_empty() => list(layers.vlans.as_slice().iter().map(|&id| u64::from(id))),
        _ => Value::Missing,
    }),
    define(["mpls", "MPLS", "MPLS labels, outermost first."], FACT, |c| match &c.layers {
        Some(layers) if !layers.mpls.is_empty() => list(layers.mpls.as_slice().iter().map(|&id| u64::from(id))),
        _ => Value::Missing,
    }),
    define(["tunnel", "TUNNEL", "Tunnels, outermost first: kind:id(outer source>outer destination)."], FACT, tunnels),
    define(["quoted", "QUOTED", "The flow whose packet an ICMP error quotes."], FACT, |c| {
        let quoted = c.layers.as_ref().and_then(|layers| layers.quoted);
        quoted.map_or(Value::Missing, |key| text(&key.to_string()))
    }),
    define(["in_if", "IF", "Interface that showed the first packet, by the capture's numbering."], FACT, |c| {
        Value::U64(u64::from(c.flow.interface))
    }),
    define(["evidence", "EVIDENCE", "How the originator was found."], FACT, |c| Value::Word(c.flow.evidence.name())),
    define(["end_reason", "ENDED", "Why the flow ended: idle, end, forced (the input ended)."], FACT, |c| {
        c.flow.end.map_or(Value::Missing, |end| Value::Word(end.name()))
    }),
    define(["community_id", "COMMUNITY-ID", "Community ID v1, seed 0, of the innermost headers."], FACT, |c| {
        text(&community_id(&c.flow.key, 0))
    }),
    define(["flow_id", "FLOW-ID", "Number of the flow within this run, in the order of first packets."], KEY, |c| {
        Value::U64(c.flow.serial)
    }),
    define(
        [
            "active_ns",
            "ACTIVE",
            "TCP: from the first packet to the last one before both ends had closed (Zeek's duration).",
        ],
        SPAN,
        |c| c.timed(|| tcp(c, |facts| span(Some(c.flow.start), facts.active_until))),
    ),
    define(
        [
            "handshake_evidence",
            "HANDSHAKE-BY",
            "Whether its times are exact; repeated: a step was, lower bounds; late_ack: its ACK may not be the first.",
        ],
        FACT,
        |c| {
            c.timed(|| {
                tcp(c, |facts| {
                    let Handshake { syn, syn_ack, ack, doubts } = facts.handshake;
                    // Of one step alone there is no time.
                    let timed = syn_ack.is_some() && (syn.is_some() || ack.is_some());
                    if timed { Value::Word(doubts.name()) } else { Value::Missing }
                })
            })
        },
    ),
    define(["packets", "PKTS", "Packets in both directions."], PACKETS, |c| {
        Value::U64(c[Direction::Forward].packets + c[Direction::Reverse].packets)
    }),
    define(["wire_bytes", "WIRE", "Bytes on the wire in both directions, link layer included."], BYTES, |c| {
        Value::U64(c[Direction::Forward].wire_bytes + c[Direction::Reverse].wire_bytes)
    }),
];

/// From the answered SYN to the ACK.
fn bound_of_handshake(connection: &Connection) -> Bound {
    bound_of_step(connection, HandshakeDoubts::SYN_REPEATED, HandshakeDoubts::LATE_ACK)
}

/// What a filter took out of a connection looks missing.
pub(super) fn bound_of_missing(connection: &Connection) -> Bound {
    if connection.doubts.contains(Doubts::FILTERED) { Bound::About } else { Bound::Exact }
}

/// From the answered SYN to the SYN-ACK.
pub(super) fn bound_of_syn_ack(connection: &Connection) -> Bound {
    bound_of_step(connection, HandshakeDoubts::SYN_REPEATED, HandshakeDoubts::empty())
}

/// From the first SYN-ACK to the ACK.
fn bound_of_ack(connection: &Connection) -> Bound {
    let either = HandshakeDoubts::LATE_ACK | HandshakeDoubts::SYN_ACK_REPEATED;
    bound_of_step(connection, HandshakeDoubts::empty(), either)
}

/// What a time of the handshake is: a lower bound with the ones, of unknown distance with the others.
pub(super) fn bound_of_step(connection: &Connection, least: HandshakeDoubts, about: HandshakeDoubts) -> Bound {
    let doubts = connection.tcp.as_ref().map_or(HandshakeDoubts::empty(), |facts| facts.handshake.doubts);
    if doubts.intersects(about) {
        Bound::About
    } else if doubts.intersects(least) {
        Bound::AtLeast
    } else {
        Bound::Exact
    }
}

fn text(text: &str) -> Value {
    Value::Text(Arc::from(text))
}

fn list(items: impl Iterator<Item = u64>) -> Value {
    Value::List(items.collect())
}

/// Of ESP, IGMP and others that are only counted it is not known.
fn payload(connection: &Connection, direction: Direction) -> Value {
    let known = connection.flow.key.protocol.has_payload();
    if known { Value::U64(connection[direction].payload_bytes) } else { Value::Missing }
}

/// A port, where the protocol has one; ICMP's type and code count as such (see `FlowKey`).
fn port(connection: &Connection, port: u16) -> Value {
    use flowcore::Protocol;
    let key = &connection.flow.key;
    // A flow of later fragments alone, or of headers cut before the ports, has 0 on both sides.
    let known = key.src_port != 0 || key.dst_port != 0;
    let has_one = match key.protocol {
        // Type 0 and code 0 are a message, if not one that anybody sends.
        Protocol::ICMP | Protocol::ICMPV6 => {
            known || !connection.doubts.intersects(Doubts::HEADERS_CUT.union(Doubts::FRAGMENTS))
        }
        protocol => protocol.has_ports() && known,
    };
    if has_one { Value::U64(u64::from(port)) } else { Value::Missing }
}

fn tcp(connection: &Connection, value: impl Fn(&TcpFacts) -> Value) -> Value {
    connection.tcp.as_ref().map_or(Value::Missing, value)
}

fn span(from: Option<Timestamp>, to: Option<Timestamp>) -> Value {
    match (from, to) {
        // A capture whose clock stepped back between the two has no duration to tell.
        (Some(from), Some(to)) if to - from >= Nanos::ZERO => Value::Span(to - from),
        _ => Value::Missing,
    }
}

fn tunnels(connection: &Connection) -> Value {
    let Some(layers) = &connection.layers else { return Value::Missing };
    if layers.tunnels.is_empty() {
        return Value::Missing;
    }
    let mut out = String::new();
    for tunnel in layers.tunnels.as_slice() {
        if !out.is_empty() {
            out.push(',');
        }
        out.push_str(tunnel.kind.name());
        if let Some(id) = tunnel.id {
            out.push_str(&format!(":{id}"));
        }
        out.push_str(&format!("({}>{})", tunnel.src, tunnel.dst));
    }
    text(&out)
}
