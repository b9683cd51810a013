//! Kernel sockets as records.

use std::sync::Arc;

use flowcore::resolve::Process;
use flowcore::{FlowKey, Resolver, SocketSample};

use super::{Record, Visitor, family, key_ports};
use crate::field::{Field, FieldSet, SOCKET_STATES};

/// A kernel socket: what the kernel says of it, and what was found out beside that.
///
/// Its own end is the source. What is not known is empty or `None`, and a test of it is false.
#[derive(Clone, Debug, Default)]
pub struct Socket {
    /// What the kernel says.
    pub sample: SocketSample,
    /// Who holds it.
    pub holders: Vec<Process>,
    /// Path of its control group.
    pub cgroup: Option<Arc<str>>,
    /// Name of the interface that it is bound to.
    pub device: Option<Arc<str>>,
}

/// Fields that the kernel's answer has no words for.
const FOUND_OUT: [Field; 4] = [Field::Process, Field::Pid, Field::Cgroup, Field::Device];

impl Socket {
    /// A socket of which nothing was found out.
    pub fn of(sample: &SocketSample) -> Self {
        Self { sample: *sample, ..Self::default() }
    }

    /// The fields that [`sample`](Self::sample) alone has.
    pub fn sampled() -> FieldSet {
        Self::fields().without(FieldSet::of(FOUND_OUT))
    }

    fn key(&self) -> Option<FlowKey> {
        Some(self.sample.key()).filter(|key| key.is_some())
    }

    fn ports(&self) -> Option<(u16, u16)> {
        key_ports(&self.key()?)
    }
}

/// Data carried: what the peer has acknowledged, and what was received.
fn bytes(sample: &SocketSample) -> Option<u64> {
    let tcp = sample.tcp?;
    tcp.bytes_acked()?.checked_add(tcp.bytes_received()?)
}

fn packets(sample: &SocketSample) -> Option<u64> {
    let tcp = sample.tcp?;
    Some(u64::from(tcp.segs_out()?) + u64::from(tcp.segs_in()?))
}

impl Record for Socket {
    const NAME: &'static str = "sockets";

    fn field<V: Visitor<Self>>(field: Field, names: &Arc<dyn Resolver>, visitor: V) -> Option<V::Out> {
        Some(match field {
            Field::Version => visitor.number(|socket, _| socket.key().as_ref().map(family)),
            Field::Proto => visitor.number(|socket, _| socket.key().map(|key| u64::from(key.protocol.0))),
            Field::SrcAddr => visitor.addr(|socket, _| socket.key().map(|key| key.src)),
            Field::DstAddr => visitor.addr(|socket, _| socket.key().map(|key| key.dst)),
            Field::SrcPort => visitor.number(|socket, _| socket.ports().map(|(src, _)| u64::from(src))),
            Field::DstPort => visitor.number(|socket, _| socket.ports().map(|(_, dst)| u64::from(dst))),
            Field::SrcAsn => visitor.network(names, |socket, _| socket.key().map(|key| key.src)),
            Field::DstAsn => visitor.network(names, |socket, _| socket.key().map(|key| key.dst)),
            Field::SocketState => visitor.number(|socket, _| {
                let name = socket.sample.state.name();
                SOCKET_STATES.iter().position(|known| *known == name).map(|place| place as u64)
            }),
            Field::Bytes => visitor.number(|socket, _| bytes(&socket.sample)),
            Field::Packets => visitor.number(|socket, _| packets(&socket.sample)),
            Field::Rtt => {
                visitor.number(|socket, _| socket.sample.tcp?.rtt_us().map(|micros| u64::from(micros) * 1000))
            }
            Field::Retrans => visitor.number(|socket, _| socket.sample.tcp?.total_retrans().map(u64::from)),
            Field::Uid => visitor.number(|socket, _| socket.sample.uid.map(u64::from)),
            Field::Mark => visitor.number(|socket, _| socket.sample.mark.map(u64::from)),
            Field::Process => visitor.text(|socket, _, see| {
                socket.holders.iter().for_each(|process| see(&process.name));
            }),
            Field::Pid => visitor.several(|socket, _, see| {
                socket.holders.iter().for_each(|process| see(u64::from(process.pid)));
            }),
            Field::Cgroup => visitor.text(|socket, _, see| socket.cgroup.iter().for_each(|path| see(path))),
            Field::Device => visitor.text(|socket, _, see| socket.device.iter().for_each(|name| see(name))),
            _ => return None,
        })
    }

    fn instead(field: Field) -> Option<&'static str> {
        Some(match field {
            Field::State => {
                "these are states of connections in captures; of sockets `state established`, `state listen`"
            }
            Field::Duration => "the kernel does not say when a socket was made",
            Field::Start | Field::End => "connections of captures have it",
            Field::Handshake => "the kernel does not keep it; `rtt` is its smoothed round-trip time",
            Field::Input | Field::Output => "only exported flow records have it; of sockets `dev eth0`",
            Field::Exporter => "only exported flow records have it",
            _ => "packets of captures have it",
        })
    }
}
