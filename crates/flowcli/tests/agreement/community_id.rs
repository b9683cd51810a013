//! Community IDs, ours and those that tshark computes of other bytes.

use std::collections::HashMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use flowcore::FlowKey;
use flowcore::event::Detail;
use sha1::{Digest, Sha1};

use crate::capture::{Capture, Packet};

pub const NO_PORTS: &str =
    "tshark leaves the ports out of the hash where it cannot read the transport header; ours has 0, or the flow's";

/// The id of a key, seed 0.
pub fn of(key: &FlowKey) -> String {
    flowcore::community_id::community_id(key, 0)
}

/// The hash of addresses and protocol alone, as for protocols that have no ports.
pub fn without_ports(key: &FlowKey) -> String {
    let (mut low, mut high) = (key.src, key.dst);
    if low > high {
        std::mem::swap(&mut low, &mut high);
    }
    let mut hash = Sha1::new();
    hash.update([0, 0]);
    for addr in [low, high] {
        match addr.to_v4() {
            Some(bytes) => hash.update(bytes),
            None => hash.update(addr.octets()),
        }
    }
    hash.update([key.protocol.0, 0]);
    format!("1:{}", STANDARD.encode(hash.finalize()))
}

/// The id that tshark gives a packet: of the quoted packet in ICMP errors, without ports where there is no transport.
pub fn by_tshark(packet: &Packet) -> String {
    let key = &packet.event.key;
    if let Some(quoted) = packet.layers.as_deref().and_then(|layers| layers.quoted) {
        return of(&quoted);
    }
    if key.protocol.has_ports()
        && key.src_port == 0
        && key.dst_port == 0
        && matches!(packet.event.detail, Detail::None | Detail::Fragment(_))
    {
        return without_ports(key);
    }
    of(key)
}

/// Packets by the id that tshark gives them.
pub fn table_of_tshark(capture: &Capture) -> HashMap<String, u64> {
    let mut table = HashMap::new();
    for packet in capture.packets.iter().filter(|packet| packet.event.key.is_some()) {
        *table.entry(by_tshark(packet)).or_default() += 1;
    }
    table
}
