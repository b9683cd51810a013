//! What can be asked: fields, their words, types and units.

use std::fmt;

/// One fact that a record may have.
#[allow(missing_docs, reason = "the table below says what each is")]
#[derive(Copy, Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
#[repr(u8)]
pub enum Field {
    Version,
    Proto,
    SrcAddr,
    DstAddr,
    SrcPort,
    DstPort,
    SrcAsn,
    DstAsn,
    SrcMac,
    DstMac,
    Ethertype,
    Vlan,
    Mpls,
    Pppoe,
    Tunnel,
    TunnelId,
    OuterSrcAddr,
    OuterDstAddr,
    OuterSrcPort,
    OuterDstPort,
    OuterProto,
    TcpFlags,
    IcmpType,
    IcmpCode,
    Time,
    Length,
    Payload,
    Ttl,
    Tos,
    Dscp,
    Fragment,
    ToDs,
    FromDs,
    Input,
    Output,
    Exporter,
    Direction,
    State,
    Start,
    End,
    Duration,
    Bytes,
    Packets,
    Rtt,
    Handshake,
    Retrans,
    Process,
    Pid,
    Uid,
    Cgroup,
    SocketState,
    Mark,
    Device,
}

/// What values a field has and how they are written.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Present or not; no value.
    Flag,
    /// A number from 0 to `max`.
    Number {
        /// The largest value.
        max: u64,
    },
    /// A number of bytes; units B, kB, MB, …, KiB, MiB, ….
    Bytes,
    /// A span of time, in nanoseconds; units ns to d, which must be written.
    Span,
    /// A point in time; what a date leaves open is a span of them. Its number is [`time_number`](crate::ast::time_number).
    Time,
    /// An IP address; prefixes are sets of them.
    Addr,
    /// A link address of six bytes.
    Mac,
    /// A protocol: a number or one of the names.
    Proto,
    /// TCP control bits.
    TcpFlags,
    /// One of a few words.
    Word(&'static [&'static str]),
    /// Any text.
    Text,
}

/// One line of the table of fields.
#[derive(Copy, Clone, Debug)]
pub struct Def {
    /// The field.
    pub field: Field,
    /// The words that print it.
    pub name: &'static str,
    /// Its type.
    pub kind: Kind,
    /// A record may have several values; a test is true if any value passes.
    pub several: bool,
    /// What it is.
    pub about: &'static str,
}

const fn one(field: Field, name: &'static str, kind: Kind, about: &'static str) -> Def {
    Def { field, name, kind, several: false, about }
}

const fn many(field: Field, name: &'static str, kind: Kind, about: &'static str) -> Def {
    Def { field, name, kind, several: true, about }
}

const PORT: Kind = Kind::Number { max: 65_535 };
const BYTE: Kind = Kind::Number { max: 255 };
const WORD32: Kind = Kind::Number { max: u32::MAX as u64 };

/// Zeek's connection states.
pub const STATES: &[&str] =
    &["S0", "S1", "SF", "REJ", "S2", "S3", "RSTO", "RSTR", "RSTOS0", "RSTRH", "SH", "SHR", "OTH"];

/// States of kernel sockets, by flowcore's names.
pub const SOCKET_STATES: &[&str] = &[
    "established",
    "syn_sent",
    "syn_recv",
    "fin_wait1",
    "fin_wait2",
    "time_wait",
    "close",
    "close_wait",
    "last_ack",
    "listen",
    "closing",
    "new_syn_recv",
    "bound_inactive",
];

/// Kinds of tunnel that are opened, by flowcore's names.
pub const TUNNELS: &[&str] = &["ipip", "gre", "erspan", "vxlan", "geneve", "gtpu", "teredo", "ayiya"];

/// Which way an event goes.
pub const DIRECTIONS: &[&str] = &["forward", "reverse"];

/// All fields, in the order of [`Field`].
pub const FIELDS: &[Def] = &[
    one(Field::Version, "ipversion", Kind::Number { max: 6 }, "version of the innermost IP header"),
    one(Field::Proto, "proto", Kind::Proto, "protocol behind the innermost IP header and its extensions"),
    one(Field::SrcAddr, "src", Kind::Addr, "source address"),
    one(Field::DstAddr, "dst", Kind::Addr, "destination address"),
    one(Field::SrcPort, "sport", PORT, "source port of TCP, UDP, SCTP, DCCP, UDP-Lite"),
    one(Field::DstPort, "dport", PORT, "destination port"),
    many(Field::SrcAsn, "src asn", WORD32, "AS numbers that announce the source address"),
    many(Field::DstAsn, "dst asn", WORD32, "AS numbers that announce the destination address"),
    one(Field::SrcMac, "ether src", Kind::Mac, "link address of the sender, from the outermost link header"),
    one(Field::DstMac, "ether dst", Kind::Mac, "link address of the receiver"),
    one(Field::Ethertype, "ethertype", PORT, "innermost ethertype"),
    many(Field::Vlan, "vlan", Kind::Number { max: 4_095 }, "VLAN tags, outer and inner"),
    many(Field::Mpls, "mpls", Kind::Number { max: 1_048_575 }, "MPLS labels"),
    one(Field::Pppoe, "pppoe", PORT, "PPPoE session"),
    many(Field::Tunnel, "tunnel", Kind::Word(TUNNELS), "kinds of tunnel that were opened"),
    many(Field::TunnelId, "vni", WORD32, "VNI, GRE key, TEID or ERSPAN session of the tunnels"),
    one(Field::OuterSrcAddr, "outer.src", Kind::Addr, "source address of the outermost IP header"),
    one(Field::OuterDstAddr, "outer.dst", Kind::Addr, "destination address of the outermost IP header"),
    one(Field::OuterSrcPort, "outer.sport", PORT, "source port behind the outermost IP header"),
    one(Field::OuterDstPort, "outer.dport", PORT, "destination port behind the outermost IP header"),
    one(Field::OuterProto, "outer.proto", Kind::Proto, "protocol behind the outermost IP header"),
    one(Field::TcpFlags, "flags", Kind::TcpFlags, "TCP control bits"),
    one(Field::IcmpType, "icmptype", BYTE, "type of an ICMP or ICMPv6 message"),
    one(Field::IcmpCode, "icmpcode", BYTE, "code of an ICMP or ICMPv6 message"),
    one(Field::Time, "time", Kind::Time, "when the packet was captured"),
    one(Field::Length, "len", Kind::Bytes, "bytes of the frame on the wire, link layer included"),
    one(Field::Payload, "payload", Kind::Bytes, "bytes of transport payload, by the headers' length fields"),
    one(Field::Ttl, "ttl", BYTE, "time to live or hop limit"),
    one(Field::Tos, "tos", BYTE, "type of service or traffic class"),
    one(Field::Dscp, "dscp", Kind::Number { max: 63 }, "differentiated services code point"),
    one(Field::Fragment, "fragment", Kind::Flag, "an IP fragment, first or later"),
    one(Field::ToDs, "to_ds", Kind::Flag, "802.11 frame to the distribution system"),
    one(Field::FromDs, "from_ds", Kind::Flag, "802.11 frame from the distribution system"),
    one(Field::Input, "input", WORD32, "input interface of an exported flow record"),
    one(Field::Output, "output", WORD32, "output interface of an exported flow record"),
    one(Field::Exporter, "exporter", Kind::Addr, "who exported the flow record"),
    one(Field::Direction, "direction", Kind::Word(DIRECTIONS), "from the flow's originator (forward) or to it"),
    one(Field::State, "state", Kind::Word(STATES), "state of a connection, Zeek's codes"),
    one(Field::Start, "start", Kind::Time, "time of the first packet"),
    one(Field::End, "end", Kind::Time, "time of the last packet"),
    one(Field::Duration, "duration", Kind::Span, "from the first packet to the last"),
    one(
        Field::Bytes,
        "bytes",
        Kind::Bytes,
        "bytes on the wire, both directions; of a socket data acknowledged and received",
    ),
    one(Field::Packets, "packets", Kind::Number { max: u64::MAX }, "packets, both directions"),
    one(
        Field::Rtt,
        "rtt",
        Kind::Span,
        "shortest round trip of data to the farther end, `rtt_min` of `flow conns`; of a socket the kernel's smoothed one",
    ),
    one(Field::Handshake, "handshake", Kind::Span, "from the answered SYN to the ACK of its answer, `handshake_ns`"),
    one(
        Field::Retrans,
        "retrans",
        Kind::Number { max: u64::MAX },
        "segments sent again, both directions; of a socket by this end",
    ),
    many(Field::Process, "process", Kind::Text, "names of the processes that hold the local end"),
    many(Field::Pid, "pid", WORD32, "their process ids"),
    one(Field::Uid, "uid", WORD32, "user id of the socket's owner"),
    one(Field::Cgroup, "cgroup", Kind::Text, "path of the socket's control group"),
    one(Field::SocketState, "state", Kind::Word(SOCKET_STATES), "state of a kernel socket"),
    one(Field::Mark, "mark", WORD32, "the socket's mark, SO_MARK"),
    one(Field::Device, "dev", Kind::Text, "interface that the socket is bound to"),
];

impl Field {
    /// Its line of [`FIELDS`].
    pub fn def(self) -> &'static Def {
        &FIELDS[self as usize]
    }

    /// Its type.
    pub fn kind(self) -> Kind {
        self.def().kind
    }

    /// The words that print it.
    pub fn name(self) -> &'static str {
        self.def().name
    }

    /// The words that tell it from all others, where its name alone does not.
    pub fn full_name(self) -> &'static str {
        match self {
            Self::State => "state of a connection",
            Self::SocketState => "state of a kernel socket",
            _ => self.name(),
        }
    }
}

/// Two fields of one kind that are asked together: true if either passes.
#[allow(missing_docs, reason = "named by their fields")]
#[derive(Copy, Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Pair {
    Addr,
    Port,
    Asn,
    Mac,
    OuterAddr,
    OuterPort,
}

impl Pair {
    /// Source, destination.
    pub const fn fields(self) -> [Field; 2] {
        match self {
            Self::Addr => [Field::SrcAddr, Field::DstAddr],
            Self::Port => [Field::SrcPort, Field::DstPort],
            Self::Asn => [Field::SrcAsn, Field::DstAsn],
            Self::Mac => [Field::SrcMac, Field::DstMac],
            Self::OuterAddr => [Field::OuterSrcAddr, Field::OuterDstAddr],
            Self::OuterPort => [Field::OuterSrcPort, Field::OuterDstPort],
        }
    }

    /// The words that print it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Addr => "addr",
            Self::Port => "port",
            Self::Asn => "addr asn",
            Self::Mac => "ether",
            Self::OuterAddr => "outer.addr",
            Self::OuterPort => "outer.port",
        }
    }
}

/// A set of fields.
#[derive(Copy, Clone, Default, PartialEq, Eq, Hash)]
pub struct FieldSet(u64);

const _: () = assert!(FIELDS.len() <= 64);

impl FieldSet {
    /// No field.
    pub const EMPTY: Self = Self(0);

    /// The set of these.
    pub fn of(fields: impl IntoIterator<Item = Field>) -> Self {
        fields.into_iter().fold(Self::EMPTY, |set, field| set.with(field))
    }

    /// The set and `field`.
    #[must_use]
    pub const fn with(self, field: Field) -> Self {
        Self(self.0 | 1 << field as u8)
    }

    /// Whether `field` is in it.
    pub const fn contains(self, field: Field) -> bool {
        self.0 >> field as u8 & 1 == 1
    }

    /// What is in this set but not in `other`.
    #[must_use]
    pub const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// What is in both.
    #[must_use]
    pub const fn common(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// Whether it has no field.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Its fields, in the order of [`Field`].
    pub fn iter(self) -> impl Iterator<Item = Field> {
        FIELDS.iter().map(|def| def.field).filter(move |&field| self.contains(field))
    }
}

impl fmt::Debug for FieldSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter().map(Field::name)).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_in_the_order_of_the_fields() {
        for (index, def) in FIELDS.iter().enumerate() {
            assert_eq!(def.field as usize, index, "{}", def.name);
        }
        assert_eq!(Field::Device as usize + 1, FIELDS.len());
    }

    #[test]
    fn a_set_knows_its_fields() {
        let set = FieldSet::of([Field::Cgroup, Field::Version]);
        assert_eq!(set.iter().collect::<Vec<_>>(), [Field::Version, Field::Cgroup]);
        assert!(set.without(FieldSet::of([Field::Version])).contains(Field::Cgroup));
        assert!(set.common(FieldSet::of([Field::Proto])).is_empty());
    }

    #[test]
    fn the_words_are_those_of_flowcore() {
        use flowcore::wire::TunnelKind as T;
        let kinds = [T::IpInIp, T::Gre, T::Erspan, T::Vxlan, T::Geneve, T::GtpU, T::Teredo, T::Ayiya];
        assert_eq!(kinds.map(T::name), TUNNELS);
        assert_eq!(flowcore::SocketState::ALL.map(flowcore::SocketState::name), SOCKET_STATES);
    }
}
