//! Which end of a connection is the remote, and which one asked.

use flowcore::flows::is_service;
use flowcore::{Addr, Evidence, FlowRecord, Prefix};

/// Whose view the table takes.
#[derive(Clone, Debug, Default)]
pub struct View {
    /// The remotes are those who asked, seen from the server they asked; otherwise those who were asked.
    pub incoming: bool,
    /// This host's own addresses. They decide where nothing better says who began a connection.
    pub local: Vec<Prefix>,
}

/// What the table makes of one connection.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct Side {
    /// The other end.
    pub remote: Addr,
    /// The port of the service.
    pub service: u16,
    /// The flow table's originator is here taken for the responder.
    pub turned: bool,
    /// The remote is the responder.
    pub remote_answers: bool,
}

/// Linux gives out ports from here on by default (`net.ipv4.ip_local_port_range`), IANA from 49152.
const DYNAMIC_FROM: u16 = 32_768;

impl View {
    /// Looks at one connection.
    ///
    /// A SYN, a SYN-ACK and a well-known port say who asked whom. Of a connection that was under way when the capture
    /// began and uses no well-known port, the flow table knows only whose packet came first. Then this host's own
    /// addresses decide, and without them the ports: of two ports of which one is dynamic the other is the service's.
    pub fn judge(&self, flow: &FlowRecord) -> Side {
        let key = flow.key;
        // Of whom a well-known port is asked the packet that came first asks.
        let told = is_service(key.dst_port) && !is_service(key.src_port);
        let turned = flow.evidence == Evidence::FirstSeen && !told && self.is_backwards(flow);
        let (client, server) = if turned { (key.dst, key.src) } else { (key.src, key.dst) };
        let service = if turned { key.src_port } else { key.dst_port };
        // A connection of two local ends, or of none, is seen as orientation has it.
        let remote = if self.incoming { client } else { server };
        Side { remote, service, turned, remote_answers: !self.incoming }
    }

    fn is_backwards(&self, flow: &FlowRecord) -> bool {
        let key = flow.key;
        let [source, destination] = [key.src, key.dst].map(|end| self.local.iter().any(|prefix| prefix.contains(end)));
        if source != destination {
            // This host asks, unless it is the server.
            return destination != self.incoming;
        }
        let [source, destination] = [key.src_port, key.dst_port].map(|port| port >= DYNAMIC_FROM);
        !source && destination
    }
}

#[cfg(test)]
mod tests {
    use flowcore::{FlowId, FlowKey, Protocol, Timestamp};

    use super::*;

    fn flow(source: (&str, u16), destination: (&str, u16), evidence: Evidence) -> FlowRecord {
        let key = FlowKey {
            src: source.0.parse().unwrap(),
            src_port: source.1,
            dst: destination.0.parse().unwrap(),
            dst_port: destination.1,
            protocol: Protocol::TCP,
            ..FlowKey::NONE
        };
        let time = Timestamp::EPOCH;
        FlowRecord {
            id: FlowId(0),
            serial: 0,
            key,
            start: time,
            last: time,
            evidence,
            interface: 0,
            end: None,
            verdict: None,
        }
    }

    fn local(text: &str) -> Vec<Prefix> {
        vec![Prefix::new(text.parse().unwrap(), 8).unwrap()]
    }

    #[test]
    fn whoever_was_asked_is_the_remote_and_incoming_turns_that_round() {
        let seen = flow(("10.0.0.1", 40000), ("192.0.2.1", 50000), Evidence::Syn);
        let side = View::default().judge(&seen);
        assert_eq!((side.remote, side.service, side.turned), (seen.key.dst, 50000, false));
        let side = View { incoming: true, ..View::default() }.judge(&seen);
        assert_eq!((side.remote, side.service, side.turned), (seen.key.src, 50000, false));
    }

    #[test]
    fn local_addresses_decide_where_only_the_first_packet_is_known() {
        // Neither port is known, and the first packet seen came from the server.
        let seen = flow(("192.0.2.1", 11311), ("10.0.0.1", 20001), Evidence::FirstSeen);
        let view = |incoming, local| View { incoming, local };
        let side = view(false, local("10.0.0.0")).judge(&seen);
        assert_eq!((side.remote, side.service, side.turned), (seen.key.src, 11311, true));
        let side = view(true, local("10.0.0.0")).judge(&seen);
        assert_eq!((side.remote, side.turned), (seen.key.src, false));
        // A SYN is stronger than a list.
        let syn = FlowRecord { evidence: Evidence::Syn, ..seen };
        assert!(!view(false, local("10.0.0.0")).judge(&syn).turned);
        assert!(!view(false, Vec::new()).judge(&seen).turned);
    }

    #[test]
    fn a_well_known_port_decides_whoever_was_seen_first() {
        let asks = flow(("10.0.0.1", 40000), ("192.0.2.1", 443), Evidence::FirstSeen);
        for (incoming, own) in [(false, "10.0.0.0"), (false, "192.0.0.0"), (true, "10.0.0.0"), (true, "192.0.0.0")] {
            let side = View { incoming, local: local(own) }.judge(&asks);
            let remote = if incoming { asks.key.src } else { asks.key.dst };
            assert_eq!((side.remote, side.service, side.turned), (remote, 443, false), "{incoming} {own}");
        }
        let neither = flow(("10.0.0.1", 80), ("192.0.2.1", 443), Evidence::FirstSeen);
        let turned = |own| View { incoming: false, local: local(own) }.judge(&neither).turned;
        assert_eq!((turned("10.0.0.0"), turned("192.0.0.0")), (false, true));
    }

    #[test]
    fn a_dynamic_port_is_not_the_services_where_nothing_else_is_known() {
        let answer = flow(("127.0.0.1", 11311), ("127.0.0.1", 51468), Evidence::FirstSeen);
        assert!(View::default().judge(&answer).turned);
        let both = flow(("127.0.0.1", 50000), ("127.0.0.1", 51468), Evidence::FirstSeen);
        assert!(!View::default().judge(&both).turned);
    }
}
