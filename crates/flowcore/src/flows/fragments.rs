//! What the fragments of a datagram have in common: the first one tells, the later ones ask.

use std::collections::{HashMap, VecDeque};

use foldhash::fast::RandomState;

use crate::addr::Addr;
use crate::event::{Detail, FlowEvent, Notes, TcpFlags, TcpOptions, TcpSegment};
use crate::key::Protocol;
use crate::time::{Nanos, Timestamp};

/// At most this many datagrams are remembered; the oldest is forgotten first.
const REMEMBERED: usize = 4096;

/// A fragment of a datagram older than this belongs to another datagram (RFC 1122 section 3.3.2: 60 to 120 s).
const LIFETIME: Nanos = Nanos::from_secs(60);

/// Addresses, the protocol that later fragments name, identification.
type Datagram = (Addr, Addr, Protocol, u32);

/// Stands for all protocols of extension headers: a first fragment does not tell which of them its later ones name.
const EXTENSION: Protocol = Protocol::AH;

/// What is known of the datagrams of which a fragment was seen.
#[derive(Debug, Default)]
pub(super) struct Fragments {
    known: HashMap<Datagram, (Timestamp, Option<First>), RandomState>,
    order: VecDeque<Datagram>,
}

/// What a first fragment says.
#[derive(Copy, Clone, Debug)]
struct First {
    protocol: Protocol,
    ports: (u16, u16),
    segment: Option<Segment>,
}

/// A TCP header that stands for later fragments too.
#[derive(Copy, Clone, Debug)]
struct Segment {
    header: TcpSegment,
    header_bytes: u32,
}

impl Fragments {
    /// Learns from a first fragment, or gives a later one what its datagram's header says: the ports, and where in a
    /// TCP stream its payload lies, as if it were a segment that goes on with the first. A later fragment that comes
    /// before its first one stays without ports, and both are marked [`Notes::APART`].
    pub(super) fn join(&mut self, event: &mut FlowEvent) {
        let datagram = |protocol| (event.key.src, event.key.dst, protocol, event.datagram_id);
        let protocol = event.key.protocol;
        let named = datagram(if protocol.is_extension() { EXTENSION } else { protocol });
        // An extension header may stand before its transport header, so that its later fragments name that.
        let extended = datagram(EXTENSION);
        if event.notes.contains(Notes::LATER_FRAGMENT) {
            match self.get(&named, event.time) {
                Some(Some(first)) => first.goes_on(event),
                _ => {
                    event.notes |= Notes::APART;
                    self.learn(named, event.time, None);
                }
            }
            return;
        }
        let may_be_extended = event.notes.contains(Notes::APART);
        let is_early = |datagram| matches!(self.get(datagram, event.time), Some(None));
        let early = is_early(&named) || (may_be_extended && is_early(&extended));
        event.notes |= Notes::when(early, Notes::APART);
        let first = First::of(event);
        self.learn(named, event.time, Some(first));
        if may_be_extended {
            self.learn(extended, event.time, Some(first));
        }
    }

    /// What is known of a datagram, if it is not too old: the first fragment, or that it was missing so far.
    fn get(&self, datagram: &Datagram, now: Timestamp) -> Option<Option<First>> {
        self.known.get(datagram).filter(|(time, _)| now - *time <= LIFETIME).map(|(_, first)| *first)
    }

    fn learn(&mut self, datagram: Datagram, time: Timestamp, first: Option<First>) {
        if self.known.insert(datagram, (time, first)).is_none() {
            self.order.push_back(datagram);
            if self.order.len() > REMEMBERED
                && let Some(oldest) = self.order.pop_front()
            {
                self.known.remove(&oldest);
            }
        }
    }
}

/// Takes a FIN from a first fragment: it stands behind the last one. After [`Fragments::join`], and after a filter of
/// packets, for which it stands where it was sent.
pub(super) fn hold_back_fin(event: &mut FlowEvent) {
    if let Detail::Tcp(header) = &mut event.detail
        && !event.notes.intersects(Notes::LATER_FRAGMENT | Notes::APART)
    {
        header.flags -= TcpFlags::FIN;
    }
}

impl First {
    /// What the later ones need of a first fragment.
    fn of(event: &FlowEvent) -> Self {
        let mut segment = None;
        // The IP header, of IPv6 the fragment header too; with more of them a first fragment is `APART`.
        let ip_bytes = if event.key.src.is_v4() { 20 } else { 48 };
        if let Detail::Tcp(header) = event.detail
            && !event.notes.contains(Notes::APART)
        {
            let header_bytes = event.network_bytes.saturating_sub(ip_bytes).saturating_sub(event.payload_bytes);
            segment = Some(Segment { header, header_bytes });
        }
        Self { protocol: event.key.protocol, ports: (event.key.src_port, event.key.dst_port), segment }
    }

    fn goes_on(&self, event: &mut FlowEvent) {
        event.key.protocol = self.protocol;
        (event.key.src_port, event.key.dst_port) = self.ports;
        let (Some(Segment { header, header_bytes }), Detail::Fragment(place)) = (self.segment, event.detail) else {
            return;
        };
        let begin = u32::from(place.begin);
        // The first fragment may have ended within the header.
        event.payload_bytes = event.payload_bytes.saturating_sub(header_bytes.saturating_sub(begin));
        if event.payload_bytes == 0 {
            return;
        }
        let ends = place.last && header.flags.contains(TcpFlags::FIN);
        let before = begin.saturating_sub(header_bytes) + u32::from(header.flags.contains(TcpFlags::SYN));
        event.detail = Detail::Tcp(TcpSegment {
            seq: header.seq.wrapping_add(before),
            flags: header.flags & TcpFlags::ACK | if ends { TcpFlags::FIN } else { TcpFlags::empty() },
            duplicate: 0,
            options: header.options & TcpOptions::TIMESTAMP,
            ..header
        });
    }
}
