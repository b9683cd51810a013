//! What other flow tools count differently on purpose, computed from the packets, so that a cause is proven and not
//! guessed: outer headers of tunnels, link headers, fragments, extension headers, lengths that do not fit.

use std::collections::{HashMap, HashSet};

use flowcore::event::Layer;
use flowcore::wire::{Tunnel, TunnelKind};
use flowcore::{Addr, Notes, Protocol};

use crate::capture::{Capture, End, Packet, Pair};

/// Packets and bytes, each indexed by the sender: 0 the lower end, 1 the higher.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
pub struct Sum {
    pub packets: [u64; 2],
    pub bytes: [u64; 2],
    /// Records or connections that they come from.
    pub records: u64,
    /// Packets of ours that another interface showed before, and that no count includes.
    pub duplicates: u64,
}

impl Sum {
    /// Adds what one end sent; between an end and itself there is one direction only, which is the caller's to know.
    pub fn add(&mut self, sender: usize, packets: u64, bytes: u64) {
        self.packets[sender] += packets;
        self.bytes[sender] += bytes;
    }

    fn same(&self, other: &Self) -> bool {
        self.packets == other.packets && self.bytes == other.bytes
    }
}

/// How a tool counts bytes.
#[derive(Copy, Clone, PartialEq, Eq)]
pub enum Bytes {
    /// Of the frame.
    Wire,
    /// Of the IP packet.
    Network,
}

type Sums = HashMap<Pair, Sum>;

/// Several ways to count one capture's packets.
pub struct Evidence {
    bytes: Bytes,
    outer: Sums,
    tunnelled: HashSet<Pair>,
    network: Sums,
    ethernet_like: Sums,
    by_length_field: Sums,
    one_interface: Sums,
    first_fragments: Sums,
    reassembled: Sums,
    readable: Sums,
    once_extended: Sums,
    by_next_header: Sums,
    once_duplicated: Sums,
    /// Beginnings of later fragments' payloads, which some tools take for ports.
    fragment_starts: HashSet<Pair>,
}

/// The end as these tools tell it: ports only of TCP and UDP.
pub fn end((addr, port): End, protocol: u8) -> End {
    (addr, if matches!(Protocol(protocol), Protocol::TCP | Protocol::UDP) { port } else { 0 })
}

/// The pair of two ends as these tools tell them, and which of them (0 the lower) the first is.
pub fn pair(protocol: u8, src: End, dst: End) -> (Pair, usize) {
    Pair::of(protocol, end(src, protocol), end(dst, protocol))
}

impl Evidence {
    /// Counts `capture` in every way. `readable` is how many packets libpcap gives of the file.
    pub fn of(capture: &Capture, bytes: Bytes, libpcap: usize) -> Self {
        let mut this = Self {
            bytes,
            outer: Sums::new(),
            tunnelled: HashSet::new(),
            network: Sums::new(),
            ethernet_like: Sums::new(),
            by_length_field: Sums::new(),
            one_interface: Sums::new(),
            first_fragments: Sums::new(),
            reassembled: Sums::new(),
            readable: Sums::new(),
            once_extended: Sums::new(),
            by_next_header: Sums::new(),
            once_duplicated: Sums::new(),
            fragment_starts: HashSet::new(),
        };
        let owners = fragment_owners(capture);
        for (index, packet) in capture.packets.iter().enumerate() {
            this.take(packet, index < libpcap, &owners);
        }
        this
    }

    fn take(&mut self, packet: &Packet, first: bool, owners: &HashMap<Datagram, (Pair, usize)>) {
        let event = &packet.event;
        let key = event.key;
        if let Some(layers) = &packet.layers {
            for tunnel in layers.tunnels.as_slice() {
                let protocol = outer_protocol(tunnel, &packet.frame);
                if (tunnel.src, tunnel.dst, protocol) == (key.src, key.dst, key.protocol.0) {
                    // Nothing of ours is inside: the tunnel is the flow.
                    continue;
                }
                let (pair, sender) = pair(protocol, (tunnel.src, tunnel.ports.0), (tunnel.dst, tunnel.ports.1));
                let network = header(&packet.frame, tunnel.src, tunnel.dst, false).map_or(0, length_field);
                let bytes = if self.bytes == Bytes::Wire { event.bytes } else { network };
                self.outer.entry(pair).or_default().add(sender, 1, bytes);
            }
        }
        if !key.is_some() {
            return;
        }
        let alone = pair(key.protocol.0, (key.src, key.src_port), (key.dst, key.dst_port));
        let (pair, sender) =
            owners.get(&datagram(packet)).copied().filter(|_| packet.has(Notes::FRAGMENT)).unwrap_or(alone);
        if packet.has(Notes::TUNNELLED) {
            self.tunnelled.insert(pair);
        }
        let network = u64::from(event.network_bytes);
        let bytes = if self.bytes == Bytes::Wire { event.bytes } else { network };
        let field = header(&packet.frame, key.src, key.dst, true).map_or(network, length_field);
        self.network.entry(pair).or_default().add(sender, 1, network);
        self.ethernet_like.entry(pair).or_default().add(sender, 1, network + 14);
        self.by_length_field.entry(pair).or_default().add(sender, 1, field);
        self.once_duplicated.entry(pair).or_default().add(sender, 1, bytes);
        if first {
            self.one_interface.entry(pair).or_default().add(sender, 1, bytes);
        }
        if event.stopped == Layer::None {
            self.readable.entry(pair).or_default().add(sender, 1, bytes);
        }
        if !packet.has(Notes::LATER_FRAGMENT) {
            self.first_fragments.entry(pair).or_default().add(sender, 1, bytes);
        }
        let later = packet.has(Notes::LATER_FRAGMENT);
        // A reassembled datagram is one packet with one header.
        let ip_header = header(&packet.frame, key.src, key.dst, true).map_or(20, |ip| u64::from(ip[0] & 15) * 4);
        let (count, size) = if later { (0, network.saturating_sub(ip_header)) } else { (1, network) };
        self.reassembled.entry(pair).or_default().add(sender, count, size);
        if later {
            for window in packet.frame.windows(4) {
                let port = |at: usize| u16::from_be_bytes([window[at], window[at + 1]]);
                let ends = ((key.src, port(0)), (key.dst, port(2)));
                self.fragment_starts.insert(self::pair(key.protocol.0, ends.0, ends.1).0);
            }
        }
        match header(&packet.frame, key.src, key.dst, true) {
            Some(ip) if ip[0] >> 4 == 6 && ip[6] != key.protocol.0 => {
                let (pair, sender) = Pair::of(ip[6], (key.src, 0), (key.dst, 0));
                self.by_next_header.entry(pair).or_default().add(sender, 1, bytes);
            }
            _ => self.once_extended.entry(pair).or_default().add(sender, 1, bytes),
        }
    }

    /// Why `tool` has `theirs` where we have `ours`, if one way of counting gives exactly that.
    pub fn cause(&self, tool: &str, pair: Pair, ours: Option<&Sum>, theirs: Option<&Sum>) -> Option<String> {
        let ours = ours.copied().unwrap_or_default();
        // Only what the connections say of the packets is explained; where they lose one, nothing is.
        let all = self.once_duplicated.get(&pair).copied().unwrap_or_default();
        let packets = |sum: &Sum| sum.packets[0] + sum.packets[1];
        if packets(&ours) + ours.duplicates != packets(&all) || (ours.duplicates == 0 && !ours.same(&all)) {
            return None;
        }
        let Some(theirs) = theirs else {
            if self.tunnelled.contains(&pair) {
                return Some(format!("{tool} does not open this tunnel; ours counts for the innermost flow"));
            }
            if !self.one_interface.contains_key(&pair) {
                return Some(format!(
                    "{tool} reads through libpcap, which stops at an interface unlike the first; these packets come later"
                ));
            }
            if !self.once_extended.contains_key(&pair) {
                return Some(format!("{tool} takes an IPv6 extension header's number for the protocol; ours reads on"));
            }
            if !self.readable.contains_key(&pair) {
                return Some(format!("{tool} leaves out packets whose transport header is cut or malformed"));
            }
            return None;
        };
        let is = |sums: &Sums| sums.get(&pair).is_some_and(|sum| sum.same(theirs));
        if is(&self.outer) {
            return Some(format!("{tool} counts the tunnel itself; ours counts for the innermost flow"));
        }
        let both = self.outer.get(&pair).map(|outer| Sum {
            packets: [outer.packets[0] + ours.packets[0], outer.packets[1] + ours.packets[1]],
            bytes: [outer.bytes[0] + ours.bytes[0], outer.bytes[1] + ours.bytes[1]],
            records: 0,
            duplicates: 0,
        });
        if both.is_some_and(|both| both.same(theirs)) {
            return Some(format!("{tool} counts tunnelled packets for the tunnel, beside those without one"));
        }
        if self.bytes == Bytes::Wire && is(&self.network) {
            return Some(format!("{tool} does not count this link type's header"));
        }
        if self.bytes == Bytes::Network && is(&self.by_length_field) {
            return Some(format!(
                "{tool} adds the IP length fields, which say more than the frame was long on the wire; ours counts what \
                 can have been there"
            ));
        }
        if is(&self.one_interface) {
            return Some(format!("{tool} reads through libpcap, which stops at an interface unlike the first"));
        }
        if is(&self.first_fragments) || is(&self.reassembled) {
            return Some(format!("{tool} counts a fragmented datagram once; ours counts its fragments"));
        }
        if is(&self.by_next_header) || is(&self.once_extended) {
            return Some(format!("{tool} takes an IPv6 extension header's number for the protocol; ours reads on"));
        }
        if is(&self.readable) {
            return Some(format!("{tool} leaves out packets whose transport header is cut or malformed"));
        }
        if is(&self.once_duplicated) {
            return Some(format!("{tool} counts a packet on every interface that shows it; ours counts it once"));
        }
        if ours == Sum::default() && self.fragment_starts.contains(&pair) {
            return Some(format!("{tool} takes the payload of a later fragment for ports"));
        }
        None
    }
}

/// The protocol number in the outer header of a tunnel.
fn outer_protocol(tunnel: &Tunnel, frame: &[u8]) -> u8 {
    match tunnel.kind {
        TunnelKind::Gre | TunnelKind::Erspan => Protocol::GRE.0,
        TunnelKind::IpInIp => match header(frame, tunnel.src, tunnel.dst, false) {
            Some(ip) if ip[0] >> 4 == 4 => ip[9],
            Some(ip) => ip[6],
            None => Protocol::IPIP.0,
        },
        _ => Protocol::UDP.0,
    }
}

type Datagram = (Addr, Addr, u8, u32);

fn datagram(packet: &Packet) -> Datagram {
    let event = &packet.event;
    (event.key.src, event.key.dst, event.key.protocol.0, event.datagram_id)
}

/// Which 5-tuple each fragmented datagram belongs to, by its first fragment.
pub fn fragment_owners(capture: &Capture) -> HashMap<Datagram, (Pair, usize)> {
    let firsts =
        capture.packets.iter().filter(|packet| packet.has(Notes::FRAGMENT) && !packet.has(Notes::LATER_FRAGMENT));
    firsts
        .map(|packet| {
            let key = packet.event.key;
            (datagram(packet), pair(key.protocol.0, (key.src, key.src_port), (key.dst, key.dst_port)))
        })
        .collect()
}

/// The innermost (or outermost) IP header from `src` to `dst`, at least 20 or 40 bytes of it.
pub fn header(frame: &[u8], src: Addr, dst: Addr, innermost: bool) -> Option<&[u8]> {
    let found = |at: &usize| {
        let rest = &frame[*at..];
        match (src.to_v4(), dst.to_v4()) {
            (Some(src), Some(dst)) => {
                rest.len() >= 20 && rest[0] >> 4 == 4 && rest[12..16] == src && rest[16..20] == dst
            }
            _ => {
                rest.len() >= 40
                    && rest[0] >> 4 == 6
                    && rest[8..24] == src.octets()[..]
                    && rest[24..40] == dst.octets()[..]
            }
        }
    };
    let at = if innermost { (0..frame.len()).rev().find(found) } else { (0..frame.len()).find(found) };
    at.map(|at| &frame[at..])
}

/// What an IP header says of the packet's length, header included.
pub fn length_field(ip: &[u8]) -> u64 {
    if ip[0] >> 4 == 4 {
        u64::from(u16::from_be_bytes([ip[2], ip[3]]))
    } else {
        40 + u64::from(u16::from_be_bytes([ip[4], ip[5]]))
    }
}
