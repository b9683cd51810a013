//! One end of a flow that is being judged.

use std::cell::OnceCell;

use flowcore::resolve::Network;
use flowcore::{Addr, FlowRecord, Lookup, Protocol, Resolver};

use super::rule::Ports;
use crate::name::normal;

/// One end of a flow, which is asked for its name and network at most once.
pub(super) struct Party<'a> {
    pub(super) addr: Addr,
    pub(super) port: u16,
    pub(super) protocol: Protocol,
    names: &'a dyn Resolver,
    name: OnceCell<Lookup<String>>,
    network: OnceCell<Lookup<Network>>,
}

impl<'a> Party<'a> {
    /// Both ends of `flow`, the originator first.
    pub(super) fn both(flow: &FlowRecord, names: &'a dyn Resolver) -> [Self; 2] {
        let protocol = flow.key.protocol;
        [(flow.key.src, flow.key.src_port), (flow.key.dst, flow.key.dst_port)].map(|(addr, port)| Self {
            addr,
            port,
            protocol,
            names,
            name: OnceCell::new(),
            network: OnceCell::new(),
        })
    }

    /// Whether it is at these ports.
    pub(super) fn is_at(&self, ports: Option<Ports>) -> bool {
        ports.is_none_or(|ports| ports.hold(self.port, self.protocol))
    }

    /// Its name, as names are compared.
    pub(super) fn name(&self) -> &Lookup<String> {
        self.name.get_or_init(|| match self.names.name(self.addr, self.port) {
            Lookup::Known(name) => Lookup::Known(normal(&name)),
            Lookup::Pending => Lookup::Pending,
            Lookup::Absent => Lookup::Absent,
            Lookup::Failed => Lookup::Failed,
        })
    }

    /// The network that announces it.
    pub(super) fn network(&self) -> &Lookup<Network> {
        self.network.get_or_init(|| self.names.network(self.addr))
    }
}
