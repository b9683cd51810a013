//! What can be filtered: kinds of record, and how their fields are read.

mod socket;

use std::sync::Arc;

use flowcore::wire::{Layers, Tunnel, TunnelKind};
use flowcore::{
    Addr, Detail, Direction, FlowEvent, FlowKey, FlowRecord, Frames, Layer, Marks, Nanos, Notes, Protocol, Resolver,
    Timestamp,
};

use crate::ast::{mac_number, time_number};
use crate::field::{Field, FieldSet, STATES};

pub use socket::Socket;

/// A kind of record that filters can be bound to.
pub trait Record: Sized + 'static {
    /// What it is called in messages, in the plural.
    const NAME: &'static str;

    /// Shows `visitor` how `field` is read from a record; `None` if no record of this kind ever has it. What resolvers
    /// know is asked of `names`.
    fn field<V: Visitor<Self>>(field: Field, names: &Arc<dyn Resolver>, visitor: V) -> Option<V::Out>;

    /// What was found out about the record's flow; of records that tell.
    fn settled(&self) -> Option<Marks> {
        None
    }

    /// What to use instead of a field that this kind never has.
    fn instead(_: Field) -> Option<&'static str> {
        None
    }

    /// The fields that records of this kind may have.
    fn fields() -> FieldSet {
        struct Asks;
        impl<R> Visitor<R> for Asks {
            type Out = ();
            fn flag(self, _: impl Fn(&R, &Frames<'_>) -> bool + Send + Sync + 'static) {}
            fn number(self, _: impl Fn(&R, &Frames<'_>) -> Option<u64> + Send + Sync + 'static) {}
            fn addr(self, _: impl Fn(&R, &Frames<'_>) -> Option<Addr> + Send + Sync + 'static) {}
            fn network(
                self,
                _: &Arc<dyn Resolver>,
                _: impl Fn(&R, &Frames<'_>) -> Option<Addr> + Send + Sync + 'static,
            ) {
            }
            fn several(self, _: impl Fn(&R, &Frames<'_>, &mut dyn FnMut(u64)) + Send + Sync + 'static) {}
            fn text(self, _: impl Fn(&R, &Frames<'_>, &mut dyn FnMut(&str)) + Send + Sync + 'static) {}
        }
        let names: Arc<dyn Resolver> = Arc::new(flowcore::resolve::Numeric);
        FieldSet::of(
            crate::field::FIELDS
                .iter()
                .map(|def| def.field)
                .filter(|&field| Self::field(field, &names, Asks).is_some()),
        )
    }
}

/// Takes the accessor of one field. Generic, so that accessor and comparison become one loop.
pub trait Visitor<R> {
    /// What it makes of it.
    type Out;
    /// Present or not.
    fn flag(self, get: impl Fn(&R, &Frames<'_>) -> bool + Send + Sync + 'static) -> Self::Out;
    /// One number: link addresses by their bytes, words by their place in the list, points in time as [`time_number`]
    /// has them.
    fn number(self, get: impl Fn(&R, &Frames<'_>) -> Option<u64> + Send + Sync + 'static) -> Self::Out;
    /// One address.
    fn addr(self, get: impl Fn(&R, &Frames<'_>) -> Option<Addr> + Send + Sync + 'static) -> Self::Out;
    /// The AS numbers that announce one address; `names` knows them.
    fn network(
        self,
        names: &Arc<dyn Resolver>,
        get: impl Fn(&R, &Frames<'_>) -> Option<Addr> + Send + Sync + 'static,
    ) -> Self::Out;
    /// Any number of numbers, each handed on.
    fn several(self, get: impl Fn(&R, &Frames<'_>, &mut dyn FnMut(u64)) + Send + Sync + 'static) -> Self::Out;
    /// Any number of texts, each handed on.
    fn text(self, get: impl Fn(&R, &Frames<'_>, &mut dyn FnMut(&str)) + Send + Sync + 'static) -> Self::Out;
}

const IPV4: u16 = 0x0800;
const IPV6: u16 = 0x86dd;

/// The key, if the event has one.
#[inline]
fn key(event: &FlowEvent) -> Option<&FlowKey> {
    event.key.is_some().then_some(&event.key)
}

/// The version of the IP header that gave the key; where none could be read, what the ethertype says.
#[inline]
fn version(event: &FlowEvent) -> Option<u64> {
    match event.ethertype {
        IPV4 => Some(4),
        IPV6 => Some(6),
        // A frame in a tunnel that is no IP: the flow is the tunnel's.
        _ => key(event).map(family),
    }
}

fn family(key: &FlowKey) -> u64 {
    key.ip_version().into()
}

/// Whether the key's ports were read from a header, or are a flow table's word on a later fragment, which has none.
/// Without branches: ports are asked of every packet.
#[inline]
fn has_ports(event: &FlowEvent) -> bool {
    // A header that was cut before its ports leaves both 0, and no header at all in the event.
    let was_read = (event.stopped == Layer::None) | !matches!(event.detail, Detail::None);
    let are_some = (event.key.src_port | event.key.dst_port) != 0;
    event.key.protocol.has_ports() & (are_some | (was_read & !event.notes.contains(Notes::LATER_FRAGMENT)))
}

#[inline]
fn ports(event: &FlowEvent) -> Option<(u16, u16)> {
    has_ports(event).then_some((event.key.src_port, event.key.dst_port))
}

fn layers<'f>(event: &FlowEvent, frames: &Frames<'f>) -> Option<&'f Layers> {
    frames.layers(event)
}

fn outermost<'f>(event: &FlowEvent, frames: &Frames<'f>) -> Option<&'f Tunnel> {
    layers(event, frames).and_then(|layers| layers.tunnels.as_slice().first())
}

fn is_over_udp(kind: TunnelKind) -> bool {
    matches!(kind, TunnelKind::Vxlan | TunnelKind::Geneve | TunnelKind::GtpU | TunnelKind::Teredo | TunnelKind::Ayiya)
}

fn tunnel_place(kind: TunnelKind) -> Option<u64> {
    crate::field::TUNNELS.iter().position(|name| *name == kind.name()).map(|place| place as u64)
}

/// The protocol behind the outermost IP header: the tunnel's, if there is one.
fn outer_protocol(event: &FlowEvent, frames: &Frames<'_>) -> Option<u64> {
    let Some(tunnels) = layers(event, frames).map(|layers| layers.tunnels.as_slice()).filter(|all| !all.is_empty())
    else {
        return key(event).map(|key| u64::from(key.protocol.0));
    };
    let inner = tunnels.get(1).map_or(event.key.src, |next| next.src);
    Some(u64::from(match tunnels.first()?.kind {
        TunnelKind::Gre | TunnelKind::Erspan => Protocol::GRE.0,
        TunnelKind::IpInIp if inner.is_v4() => Protocol::IPIP.0,
        TunnelKind::IpInIp => Protocol::IPV6.0,
        kind if is_over_udp(kind) => Protocol::UDP.0,
        _ => return None,
    }))
}

fn mac(bytes: [u8; 6]) -> u64 {
    mac_number(bytes) as u64
}

/// Fields of layers that packets and finished flows read alike.
macro_rules! layers_field {
    ($visitor:expr, $field:expr, $layers:path) => {
        match $field {
            Field::Vlan => $visitor.several(move |record, frames, see| {
                for &vlan in $layers(record, frames).map_or(&[][..], |layers| layers.vlans.as_slice()) {
                    see(u64::from(vlan));
                }
            }),
            Field::Mpls => $visitor.several(move |record, frames, see| {
                for &label in $layers(record, frames).map_or(&[][..], |layers| layers.mpls.as_slice()) {
                    see(u64::from(label));
                }
            }),
            Field::Pppoe => {
                $visitor.number(move |record, frames| $layers(record, frames)?.pppoe_session.map(u64::from))
            }
            Field::Tunnel => $visitor.several(move |record, frames, see| {
                for tunnel in $layers(record, frames).map_or(&[][..], |layers| layers.tunnels.as_slice()) {
                    tunnel_place(tunnel.kind).into_iter().for_each(&mut *see);
                }
            }),
            _ => $visitor.several(move |record, frames, see| {
                for tunnel in $layers(record, frames).map_or(&[][..], |layers| layers.tunnels.as_slice()) {
                    tunnel.id.map(u64::from).into_iter().for_each(&mut *see);
                }
            }),
        }
    };
}

impl Record for FlowEvent {
    const NAME: &'static str = "packets";

    fn field<V: Visitor<Self>>(field: Field, names: &Arc<dyn Resolver>, visitor: V) -> Option<V::Out> {
        let names = names.clone();
        Some(match field {
            Field::Version => visitor.number(|event, _| version(event)),
            Field::Proto => visitor.number(|event, _| key(event).map(|key| u64::from(key.protocol.0))),
            Field::SrcAddr => visitor.addr(|event, _| key(event).map(|key| key.src)),
            Field::DstAddr => visitor.addr(|event, _| key(event).map(|key| key.dst)),
            Field::SrcPort => visitor.number(|event, _| ports(event).map(|(src, _)| u64::from(src))),
            Field::DstPort => visitor.number(|event, _| ports(event).map(|(_, dst)| u64::from(dst))),
            Field::SrcAsn => visitor.network(&names, |event, _| key(event).map(|key| key.src)),
            Field::DstAsn => visitor.network(&names, |event, _| key(event).map(|key| key.dst)),
            Field::SrcMac => visitor.number(|event, frames| layers(event, frames)?.headers.link_src.map(mac)),
            Field::DstMac => visitor.number(|event, frames| layers(event, frames)?.headers.link_dst.map(mac)),
            Field::Ethertype => visitor.number(|event, _| (event.ethertype != 0).then(|| u64::from(event.ethertype))),
            Field::Vlan | Field::Mpls | Field::Pppoe | Field::Tunnel | Field::TunnelId => {
                layers_field!(visitor, field, layers)
            }
            Field::OuterSrcAddr => visitor.addr(|event, frames| match outermost(event, frames) {
                Some(tunnel) => Some(tunnel.src),
                None => key(event).map(|key| key.src),
            }),
            Field::OuterDstAddr => visitor.addr(|event, frames| match outermost(event, frames) {
                Some(tunnel) => Some(tunnel.dst),
                None => key(event).map(|key| key.dst),
            }),
            Field::OuterSrcPort => visitor.number(|event, frames| match outermost(event, frames) {
                Some(tunnel) => is_over_udp(tunnel.kind).then_some(u64::from(tunnel.ports.0)),
                None => ports(event).map(|(src, _)| u64::from(src)),
            }),
            Field::OuterDstPort => visitor.number(|event, frames| match outermost(event, frames) {
                Some(tunnel) => is_over_udp(tunnel.kind).then_some(u64::from(tunnel.ports.1)),
                None => ports(event).map(|(_, dst)| u64::from(dst)),
            }),
            Field::OuterProto => visitor.number(outer_protocol),
            // What the flow table gives a later fragment of its datagram's header is not in the packet.
            Field::TcpFlags => visitor.number(|event, _| match event.detail {
                Detail::Tcp(segment) if !event.notes.contains(Notes::LATER_FRAGMENT) => {
                    Some(u64::from(segment.flags.bits()))
                }
                _ => None,
            }),
            Field::IcmpType => visitor.number(|event, _| match event.detail {
                Detail::Icmp(header) => Some(u64::from(header.kind)),
                _ => None,
            }),
            Field::IcmpCode => visitor.number(|event, _| match event.detail {
                Detail::Icmp(header) => Some(u64::from(header.code)),
                _ => None,
            }),
            Field::Time => {
                visitor.number(|event, _| (!event.notes.contains(Notes::UNTIMED)).then(|| time_number(event.time)))
            }
            Field::Length => visitor.number(|event, _| Some(event.bytes)),
            Field::Payload => visitor.number(|event, _| {
                let known =
                    matches!(event.detail, Detail::Tcp(_) | Detail::Udp(_) | Detail::Icmp(_)) || has_ports(event);
                (known && !event.notes.contains(Notes::LATER_FRAGMENT)).then_some(u64::from(event.payload_bytes))
            }),
            Field::Ttl => visitor.number(|event, frames| layers(event, frames)?.headers.ttl.map(u64::from)),
            Field::Tos => visitor.number(|event, frames| layers(event, frames)?.headers.tos.map(u64::from)),
            Field::Dscp => {
                visitor.number(|event, frames| layers(event, frames)?.headers.tos.map(|tos| u64::from(tos >> 2)))
            }
            Field::Fragment => visitor.flag(|event, _| event.notes.contains(Notes::FRAGMENT)),
            Field::ToDs => visitor.flag(|event, _| event.notes.contains(Notes::TO_DS)),
            Field::FromDs => visitor.flag(|event, _| event.notes.contains(Notes::FROM_DS)),
            Field::Direction => visitor.number(|event, _| {
                event.flow.is_some().then_some(match event.direction {
                    Direction::Forward => 0,
                    Direction::Reverse => 1,
                })
            }),
            Field::Process => visitor.text(move |event, _, see| {
                if let Some(process) = key(event).and_then(|key| names.process(key).known()) {
                    see(&process.name);
                }
            }),
            Field::Pid => {
                visitor.number(move |event, _| names.process(key(event)?).known().map(|process| u64::from(process.pid)))
            }
            Field::Input
            | Field::Output
            | Field::Exporter
            | Field::State
            | Field::Start
            | Field::End
            | Field::Duration
            | Field::Bytes
            | Field::Packets
            | Field::Rtt
            | Field::Handshake
            | Field::Retrans
            | Field::Uid
            | Field::Cgroup
            | Field::SocketState
            | Field::Mark
            | Field::Device => return None,
        })
    }

    fn settled(&self) -> Option<Marks> {
        Some(self.marks)
    }

    fn instead(field: Field) -> Option<&'static str> {
        match field {
            Field::Bytes => Some("`len` is a packet's length"),
            Field::Input | Field::Output | Field::Exporter => Some("only exported flow records have it"),
            Field::State
            | Field::Start
            | Field::End
            | Field::Duration
            | Field::Packets
            | Field::Rtt
            | Field::Handshake
            | Field::Retrans => Some("it is known of whole connections: `flow conns` selects them by it"),
            _ => of_sockets(field),
        }
    }
}

/// Who has the kernel's states, and what those who have not have.
pub const STATES_OF_SOCKETS: &str =
    "`flow sockets` selects by it; of connections in captures `state {S1, S2, S3}` were established and have not ended";

/// Where fields are that only sockets have.
fn of_sockets(field: Field) -> Option<&'static str> {
    match field {
        Field::SocketState => Some(STATES_OF_SOCKETS),
        Field::Uid | Field::Cgroup | Field::Mark | Field::Device => {
            Some("`flow sockets` selects this host's sockets by it")
        }
        _ => None,
    }
}

/// A key alone does not tell ports that are 0 from ports that were not captured: both of them 0 are none.
fn key_ports(key: &FlowKey) -> Option<(u16, u16)> {
    (key.protocol.has_ports() && key.src_port | key.dst_port != 0).then_some((key.src_port, key.dst_port))
}

fn span(from: Timestamp, to: Timestamp) -> Option<u64> {
    u64::try_from((to - from).get()).ok()
}

impl Record for FlowRecord {
    const NAME: &'static str = "flows";

    fn field<V: Visitor<Self>>(field: Field, names: &Arc<dyn Resolver>, visitor: V) -> Option<V::Out> {
        let names = names.clone();
        Some(match field {
            Field::Version => visitor.number(|flow, _| Some(family(&flow.key))),
            Field::Proto => visitor.number(|flow, _| Some(u64::from(flow.key.protocol.0))),
            Field::SrcAddr => visitor.addr(|flow, _| Some(flow.key.src)),
            Field::DstAddr => visitor.addr(|flow, _| Some(flow.key.dst)),
            Field::SrcPort => visitor.number(|flow, _| key_ports(&flow.key).map(|(src, _)| u64::from(src))),
            Field::DstPort => visitor.number(|flow, _| key_ports(&flow.key).map(|(_, dst)| u64::from(dst))),
            Field::SrcAsn => visitor.network(&names, |flow, _| Some(flow.key.src)),
            Field::DstAsn => visitor.network(&names, |flow, _| Some(flow.key.dst)),
            Field::Start => visitor.number(|flow, _| Some(time_number(flow.start))),
            Field::End => visitor.number(|flow, _| Some(time_number(flow.last))),
            Field::Duration => visitor.number(|flow, _| span(flow.start, flow.last)),
            Field::Process => visitor.text(move |flow, _, see| {
                if let Some(process) = names.process(&flow.key).known() {
                    see(&process.name);
                }
            }),
            Field::Pid => {
                visitor.number(move |flow, _| names.process(&flow.key).known().map(|process| u64::from(process.pid)))
            }
            _ => return None,
        })
    }
}

/// What is known of one flow when it is over, or of a stored one: the record behind `state`, `bytes` and the like.
///
/// Ends are oriented: the originator is the source. What is not known is `None`, and a test of it is false.
#[derive(Clone, Debug, Default)]
pub struct Flow {
    /// Its ends and protocol, the originator as the source.
    pub key: Option<FlowKey>,
    /// Time of the first packet.
    pub start: Option<Timestamp>,
    /// Time of the last packet.
    pub end: Option<Timestamp>,
    /// From the first packet to the last.
    pub duration: Option<Nanos>,
    /// Packets, both directions.
    pub packets: Option<u64>,
    /// Bytes on the wire, both directions.
    pub wire_bytes: Option<u64>,
    /// Zeek's connection state.
    pub state: Option<&'static str>,
    /// The shortest round trip of data to the end farther from the capture point.
    pub rtt: Option<Nanos>,
    /// From the answered SYN to the ACK of its SYN-ACK.
    pub handshake: Option<Nanos>,
    /// TCP segments sent again, both directions.
    pub retransmissions: Option<u64>,
    /// Tags, labels and tunnels.
    pub layers: Option<Box<Layers>>,
}

fn flow_layers<'f>(flow: &'f Flow, _: &Frames<'_>) -> Option<&'f Layers> {
    flow.layers.as_deref()
}

fn nanos(span: Option<Nanos>) -> Option<u64> {
    span.and_then(|span| u64::try_from(span.get()).ok())
}

impl Record for Flow {
    const NAME: &'static str = "connections";

    fn field<V: Visitor<Self>>(field: Field, names: &Arc<dyn Resolver>, visitor: V) -> Option<V::Out> {
        let names = names.clone();
        Some(match field {
            Field::Version => visitor.number(|flow, _| flow.key.as_ref().map(family)),
            Field::Proto => visitor.number(|flow, _| flow.key.map(|key| u64::from(key.protocol.0))),
            Field::SrcAddr => visitor.addr(|flow, _| flow.key.map(|key| key.src)),
            Field::DstAddr => visitor.addr(|flow, _| flow.key.map(|key| key.dst)),
            Field::SrcPort => visitor.number(|flow, _| key_ports(flow.key.as_ref()?).map(|(src, _)| u64::from(src))),
            Field::DstPort => visitor.number(|flow, _| key_ports(flow.key.as_ref()?).map(|(_, dst)| u64::from(dst))),
            Field::SrcAsn => visitor.network(&names, |flow, _| flow.key.map(|key| key.src)),
            Field::DstAsn => visitor.network(&names, |flow, _| flow.key.map(|key| key.dst)),
            Field::Vlan | Field::Mpls | Field::Pppoe | Field::Tunnel | Field::TunnelId => {
                layers_field!(visitor, field, flow_layers)
            }
            Field::State => visitor
                .number(|flow, _| STATES.iter().position(|name| Some(*name) == flow.state).map(|place| place as u64)),
            Field::Start => visitor.number(|flow, _| flow.start.map(time_number)),
            Field::End => visitor.number(|flow, _| flow.end.map(time_number)),
            Field::Duration => visitor.number(|flow, _| nanos(flow.duration)),
            Field::Bytes => visitor.number(|flow, _| flow.wire_bytes),
            Field::Packets => visitor.number(|flow, _| flow.packets),
            Field::Rtt => visitor.number(|flow, _| nanos(flow.rtt)),
            Field::Handshake => visitor.number(|flow, _| nanos(flow.handshake)),
            Field::Retrans => visitor.number(|flow, _| flow.retransmissions),
            Field::Process => visitor.text(move |flow, _, see| {
                if let Some(process) = flow.key.and_then(|key| names.process(&key).known()) {
                    see(&process.name);
                }
            }),
            Field::Pid => {
                visitor.number(move |flow, _| names.process(&flow.key?).known().map(|process| u64::from(process.pid)))
            }
            _ => return None,
        })
    }

    fn instead(field: Field) -> Option<&'static str> {
        match field {
            Field::Length => Some("`bytes` are a connection's"),
            Field::Time => Some("`start` and `end` are a connection's"),
            Field::TcpFlags => Some("`state` says what became of a connection: `state S0` is a SYN without a reply"),
            Field::Input | Field::Output | Field::Exporter => Some("only exported flow records have it"),
            _ => of_sockets(field),
        }
    }
}
