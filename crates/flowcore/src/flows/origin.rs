//! What is asked for once per flow, in sixteen bytes.

use super::is_service;
use crate::event::{Detail, EndReason, FlowEvent, Opened, SocketRef, TcpFlags};
use crate::key::Protocol;
use crate::record::Evidence;
use crate::time::Timestamp;

/// How many bits of a flow's serial number are kept. The rest follows from the latest number: no flow lives while 2⁴³
/// others begin.
const SERIAL_BITS: u32 = 43;
const SERIAL: u64 = (1 << SERIAL_BITS) - 1;

/// The beginning and the end of one flow.
#[derive(Copy, Clone, Debug, Default)]
pub(super) struct Origin {
    pub(super) start: Timestamp,
    /// From the low end: serial number, interface (16 bits), evidence (3), end (2).
    packed: u64,
}

const _: () = assert!(size_of::<Origin>() == 16);

const INTERFACE_AT: u32 = SERIAL_BITS;
const EVIDENCE_AT: u32 = INTERFACE_AT + 16;
const END_AT: u32 = EVIDENCE_AT + 3;

impl Origin {
    pub(super) fn new(start: Timestamp, serial: u64, interface: u16, evidence: Evidence) -> Self {
        let evidence = (evidence as u64) << EVIDENCE_AT;
        Self { start, packed: serial & SERIAL | u64::from(interface) << INTERFACE_AT | evidence }
    }

    /// How many flows have begun since, this one included, when the next one gets the number `next`.
    pub(super) fn age(&self, next: u64) -> u64 {
        next.wrapping_sub(self.packed) & SERIAL
    }

    pub(super) fn interface(&self) -> u16 {
        (self.packed >> INTERFACE_AT) as u16
    }

    pub(super) fn evidence(&self) -> Evidence {
        match self.packed >> EVIDENCE_AT & 7 {
            code if code == Evidence::Ports as u64 => Evidence::Ports,
            code if code == Evidence::SynAck as u64 => Evidence::SynAck,
            code if code == Evidence::Syn as u64 => Evidence::Syn,
            code if code == Evidence::Request as u64 => Evidence::Request,
            code if code == Evidence::Listener as u64 => Evidence::Listener,
            _ => Evidence::FirstSeen,
        }
    }

    pub(super) fn end(&self) -> Option<EndReason> {
        match self.packed >> END_AT {
            0 => None,
            1 => Some(EndReason::Idle),
            2 => Some(EndReason::EndOfFlow),
            _ => Some(EndReason::Forced),
        }
    }

    /// Says why the flow ended; once.
    pub(super) fn set_end(&mut self, reason: EndReason) {
        let code: u64 = match reason {
            EndReason::Idle => 1,
            EndReason::EndOfFlow => 2,
            EndReason::Forced => 3,
        };
        self.packed |= code << END_AT;
    }
}

/// Whether a SYN-ACK ends something too: no handshake has that, only scanners.
fn is_nonsense(flags: TcpFlags) -> bool {
    flags.contains(TcpFlags::SYN | TcpFlags::ACK) && flags.intersects(TcpFlags::FIN | TcpFlags::RST)
}

/// Whether the sender of a flow's first event is the originator, and how that is known.
pub(super) fn originator(event: &FlowEvent) -> (bool, Evidence) {
    let key = &event.key;
    match event.detail {
        Detail::Tcp(tcp) if tcp.flags.contains(TcpFlags::SYN) && !is_nonsense(tcp.flags) => {
            if tcp.flags.contains(TcpFlags::ACK) { (false, Evidence::SynAck) } else { (true, Evidence::Syn) }
        }
        Detail::Socket(SocketRef { opened: Opened::Locally, .. }) => (true, Evidence::Listener),
        Detail::Socket(SocketRef { opened: Opened::Remotely, .. }) => (false, Evidence::Listener),
        Detail::Icmp(_) => match (key.protocol, key.src_port) {
            (Protocol::ICMP, 8 | 13 | 15 | 17) | (Protocol::ICMPV6, 128) => (true, Evidence::Request),
            (Protocol::ICMP, 0 | 14 | 16 | 18) | (Protocol::ICMPV6, 129) => (false, Evidence::Request),
            _ => (true, Evidence::FirstSeen),
        },
        _ if is_service(key.src_port) && !is_service(key.dst_port) && key.protocol.has_ports() => {
            (false, Evidence::Ports)
        }
        _ => (true, Evidence::FirstSeen),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_packed_comes_out_again() {
        let evidences = [
            Evidence::FirstSeen,
            Evidence::Ports,
            Evidence::SynAck,
            Evidence::Syn,
            Evidence::Request,
            Evidence::Listener,
        ];
        for evidence in evidences {
            for end in [EndReason::Idle, EndReason::EndOfFlow, EndReason::Forced] {
                let mut origin = Origin::new(Timestamp::MAX, SERIAL, u16::MAX, evidence);
                assert_eq!(origin.end(), None);
                origin.set_end(end);
                let seen = (origin.interface(), origin.evidence(), origin.end(), origin.age(SERIAL + 1));
                assert_eq!(seen, (u16::MAX, evidence, Some(end), 1));
            }
        }
    }

    #[test]
    fn an_old_flow_keeps_its_age_when_the_numbers_outgrow_their_bits() {
        let origin = Origin::new(Timestamp::EPOCH, (5 << SERIAL_BITS) - 3, 0, Evidence::Syn);
        assert_eq!(origin.age((5 << SERIAL_BITS) + 1_000_000), 1_000_003);
    }
}
