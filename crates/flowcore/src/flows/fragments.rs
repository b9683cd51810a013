//! Ports of fragmented datagrams: the first fragment tells, the later ones ask.

use std::collections::{HashMap, VecDeque};

use foldhash::fast::RandomState;

use crate::addr::Addr;
use crate::event::{FlowEvent, Notes};
use crate::key::Protocol;
use crate::time::{Nanos, Timestamp};

/// At most this many datagrams are remembered; the oldest is forgotten first.
const REMEMBERED: usize = 4096;

/// A fragment of a datagram older than this belongs to another datagram (RFC 1122 section 3.3.2: 60 to 120 s).
const LIFETIME: Nanos = Nanos::from_secs(60);

type Datagram = (Addr, Addr, Protocol, u32);

/// Which ports the datagrams had whose first fragment was seen.
#[derive(Debug, Default)]
pub(super) struct Fragments {
    ports: HashMap<Datagram, (u16, u16, Timestamp), RandomState>,
    order: VecDeque<Datagram>,
}

impl Fragments {
    /// Learns from a first fragment, or gives a later one the ports of its datagram. A later fragment that came
    /// before its first one stays without ports.
    pub(super) fn join(&mut self, event: &mut FlowEvent) {
        let key = event.key;
        let datagram = (key.src, key.dst, key.protocol, event.datagram_id);
        if event.notes.contains(Notes::LATER_FRAGMENT) {
            if let Some(&(src_port, dst_port, time)) = self.ports.get(&datagram)
                && event.time - time <= LIFETIME
            {
                event.key.src_port = src_port;
                event.key.dst_port = dst_port;
            }
            return;
        }
        if self.ports.insert(datagram, (key.src_port, key.dst_port, event.time)).is_none() {
            self.order.push_back(datagram);
            if self.order.len() > REMEMBERED
                && let Some(oldest) = self.order.pop_front()
            {
                self.ports.remove(&oldest);
            }
        }
    }
}
