//! The same packet seen on two interfaces of one source, told apart from a retransmission.

use foldhash::fast::FixedState;
use std::hash::{BuildHasher, Hasher};

use crate::event::{Detail, FlowEvent};
use crate::time::{Nanos, Timestamp};

/// Sets of remembered packets.
const SETS: usize = 1 << 13;

/// Packets in a set; the oldest makes room. One slot would lose twins that another packet came between.
const WAYS: usize = 4;

/// The same packet crosses a host (a bridge, a veth pair, a router) within this time.
const WITHIN: Nanos = Nanos::from_secs(1);

/// The same, and sooner, of a TCP segment that has neither an IPv4 identification nor timestamps: later, it may have been
/// sent again (no retransmission timer in use is shorter; RFC 6298 has 1 s).
const WITHIN_UNTOLD: Nanos = Nanos::new(199_999_999);

#[derive(Copy, Clone, Debug, Default)]
struct Seen {
    print: u64,
    time: Timestamp,
    interface: u16,
}

/// Recognises a packet by what forwarding leaves alone: key, IP identification, payload length, TCP sequence,
/// acknowledgment, flags, window, timestamps where there is no identification, UDP checksum, ICMP sequence. TTL, VLAN tags
/// and outer headers may differ.
///
/// A repetition on the same interface is a retransmission, not a duplicate. Packets that carry nothing of their own
/// (IPv6 without a transport header) are told apart by length only; within a second on another interface they count as
/// duplicates.
///
/// Remembering costs about 10 ns a packet, so it stops after the first packets if all came from one interface, and
/// begins again with the first packet from another: then the few packets that were just crossing are counted twice.
#[derive(Debug)]
pub(super) struct Duplicates {
    seen: Vec<[Seen; WAYS]>,
    /// Fixed: which packets share a set must not change from run to run.
    state: FixedState,
    /// The interface of the first packet.
    first: Option<u16>,
    /// Packets still remembered while only one interface has been seen; `None` once there was another.
    patience: Option<u32>,
}

impl Default for Duplicates {
    fn default() -> Self {
        Self {
            seen: vec![[Seen::default(); WAYS]; SETS],
            state: FixedState::with_seed(0),
            first: None,
            patience: Some(PATIENCE),
        }
    }
}

/// Packets remembered from the start, in case a second interface shows up.
const PATIENCE: u32 = 16 * 1024;

impl Duplicates {
    /// Whether this packet was seen on another interface just before.
    #[inline]
    pub(super) fn is_duplicate(&mut self, event: &FlowEvent, words: &[u64; 5]) -> bool {
        match &mut self.patience {
            Some(_) if *self.first.get_or_insert(event.interface) != event.interface => self.patience = None,
            Some(0) => return false,
            Some(left) => *left -= 1,
            None => {}
        }
        self.was_seen(event, words)
    }

    fn was_seen(&mut self, event: &FlowEvent, words: &[u64; 5]) -> bool {
        let mut within = WITHIN;
        let mut hasher = self.state.build_hasher();
        for &word in words {
            hasher.write_u64(word);
        }
        // Both directions share the words; the sender's port and address tell them apart.
        hasher.write(event.key.src.octets());
        hasher.write_u64(u64::from(event.key.src_port) | u64::from(event.datagram_id) << 16);
        hasher.write_u64(u64::from(event.network_bytes) << 32 | u64::from(event.payload_bytes));
        match event.detail {
            Detail::Tcp(tcp) => {
                hasher.write_u64(u64::from(tcp.seq) << 32 | u64::from(tcp.ack));
                hasher.write_u64(u64::from(tcp.flags.bits()) << 16 | u64::from(tcp.window));
                if event.datagram_id == 0 {
                    // With an identification they are not needed, and one of the two captures may have cut them.
                    hasher.write_u64(u64::from(tcp.timestamp.0) << 32 | u64::from(tcp.timestamp.1));
                    if tcp.timestamp.0 == 0 {
                        within = WITHIN_UNTOLD;
                    }
                }
            }
            Detail::Udp(udp) => hasher.write_u64(u64::from(udp.checksum)),
            Detail::Icmp(icmp) => hasher.write_u64(u64::from(icmp.sequence.unwrap_or(0)) << 16 | u64::from(icmp.code)),
            Detail::Fragment(place) => hasher.write_u64(u64::from(place.begin)),
            _ => {}
        }
        let print = hasher.finish() | 1;
        let set = &mut self.seen[(print >> 1) as usize % SETS];
        let mut oldest = 0;
        for place in 0..WAYS {
            let seen = set[place];
            let apart = event.time - seen.time;
            if seen.print == print && apart <= within && apart >= Nanos::new(-within.get()) {
                if seen.interface != event.interface {
                    return true;
                }
                oldest = place;
                break;
            }
            if seen.time < set[oldest].time {
                oldest = place;
            }
        }
        set[oldest] = Seen { print, time: event.time, interface: event.interface };
        false
    }
}
