//! tshark's conversation tables against our connections, summed over what the table does not tell apart.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::fs;
use std::path::Path;

use flowcore::wire::{Tunnel, TunnelKind};
use flowcore::{Addr, Layer, Notes, Protocol};

use crate::capture::{Capture, End, Packet, Pair};
use crate::sheet::{At, Sheet, Statistic};
use crate::truth::{self, Conversation, Endpoint};

const SEVERAL: &str = "tshark counts a packet on every interface that shows it; ours counts it once";

const WHOLE: &str = "tshark counts a fragmented IPv6 datagram once, when it is whole; ours counts its fragments";

const TUNNELLED: &str = "tshark counts a tunnelled packet once for every IP header; ours counts for the innermost flow";

/// Packets and wire bytes, each indexed by the sender: 0 the lower end, 1 the higher.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    pub packets: [u64; 2],
    pub bytes: [u64; 2],
}

impl Traffic {
    fn add(&mut self, sender: usize, packets: u64, bytes: u64) {
        self.packets[sender] += packets;
        self.bytes[sender] += bytes;
    }

    fn plus(self, other: Self) -> Self {
        let sum = |a: [u64; 2], b: [u64; 2]| [a[0] + b[0], a[1] + b[1]];
        Self { packets: sum(self.packets, other.packets), bytes: sum(self.bytes, other.bytes) }
    }

    fn minus(self, other: Self) -> Self {
        let rest = |a: [u64; 2], b: [u64; 2]| [a[0].saturating_sub(b[0]), a[1].saturating_sub(b[1])];
        Self { packets: rest(self.packets, other.packets), bytes: rest(self.bytes, other.bytes) }
    }

    fn prints_as(&self, packets: [u64; 2], bytes: &[String; 2]) -> bool {
        self.packets == packets && self.bytes.map(truth::rounded) == *bytes
    }
}

/// Packets and printed bytes of one line of a table, by the sender.
type Line = ([u64; 2], [String; 2]);

/// What a table tells conversations apart by.
#[derive(Copy, Clone, PartialEq, Eq)]
enum Grain {
    /// Two addresses.
    Addresses,
    /// Two addresses and ports of one protocol.
    Ports(Protocol),
}

impl Grain {
    fn pair(self, protocol: u8, src: End, dst: End) -> Option<(Pair, usize)> {
        match self {
            // Between an address and itself there is one direction only.
            Self::Addresses => Some(Pair::of(0, (src.0, 0), (dst.0, 0))),
            Self::Ports(wanted) => (wanted.0 == protocol).then(|| Pair::of(protocol, src, dst)),
        }
    }
}

/// Compares all tables of one capture.
pub fn compare(capture: &Capture, truth: &Path, sheet: &mut Sheet) {
    let Ok(bytes) = fs::read(truth.join("tables").join(format!("{}.txt", capture.name))) else { return };
    let text = String::from_utf8_lossy(&bytes);
    endpoints(capture, &truth::endpoints(&text), sheet);
    let tables = truth::conversations(&text);
    let empty = Vec::new();
    let of = |name: &str| tables.get(name).unwrap_or(&empty);
    let addresses: Vec<&Conversation> = of("IPv4").iter().chain(of("IPv6")).collect();
    if tables.contains_key("IPv4") || tables.contains_key("IPv6") {
        table(capture, Statistic::IpConversations, Grain::Addresses, &addresses, sheet);
    }
    for (name, statistic, protocol) in [
        ("UDP", Statistic::UdpConversations, Protocol::UDP),
        ("SCTP", Statistic::SctpConversations, Protocol::SCTP),
        ("TCP", Statistic::TcpConversations, Protocol::TCP),
    ] {
        if tables.contains_key(name) {
            let rows: Vec<&Conversation> = of(name).iter().collect();
            table(capture, statistic, Grain::Ports(protocol), &rows, sheet);
        }
    }
}

/// Compares what every address sent and received. A packet from an address to itself counts as both.
fn endpoints(capture: &Capture, rows: &[Endpoint], sheet: &mut Sheet) {
    fn of(
        entries: impl Iterator<Item = (Addr, Addr, u64, u64)>,
        mut sums: BTreeMap<Addr, [u64; 4]>,
    ) -> BTreeMap<Addr, [u64; 4]> {
        for (src, dst, packets, bytes) in entries {
            let sent = sums.entry(src).or_default();
            sent[0] += packets;
            sent[1] += bytes;
            let received = sums.entry(dst).or_default();
            received[2] += packets;
            received[3] += bytes;
        }
        sums
    }
    let rows_of_ours = capture.conns.iter().flat_map(|conn| {
        let (packets, bytes) = (conn.counts("packets"), conn.counts("wire_bytes"));
        let (src, dst) = (conn.src.0, conn.dst.0);
        [(src, dst, packets[0], bytes[0]), (dst, src, packets[1], bytes[1])]
    });
    let ours = of(rows_of_ours, BTreeMap::new());
    let outer = capture
        .packets
        .iter()
        .flat_map(|packet| opened(packet).map(|tunnel| (tunnel.src, tunnel.dst, 1, packet.event.bytes)));
    let with_outer = of(outer, ours.clone());
    let keyed = capture.packets.iter().filter(|packet| packet.event.key.is_some());
    let of_packet = |packet: &Packet| (packet.event.key.src, packet.event.key.dst, 1, packet.event.bytes);
    let all = of(keyed.clone().map(of_packet), BTreeMap::new());
    let incomplete: HashSet<*const Packet> =
        incomplete_fragments(capture).into_iter().map(std::ptr::from_ref).collect();
    let whole =
        keyed.filter(|packet| !packet.event.key.src.is_v4() && !incomplete.contains(&std::ptr::from_ref(*packet)));
    let whole = of(whole.map(of_packet), BTreeMap::new());
    let duplicates: u64 = capture.conns.iter().map(|conn| conn.count("duplicate_packets")).sum();
    let theirs: BTreeMap<Addr, [u64; 4]> =
        rows.iter().filter_map(|row| Some((row.address.parse().ok()?, row.values))).collect();
    let addresses: BTreeSet<Addr> = ours.keys().chain(theirs.keys()).copied().collect();
    for address in addresses {
        let subject = address.to_string();
        let at = At { statistic: Statistic::IpEndpoints, file: &capture.name, subject: &subject };
        let (our, their) = (ours.get(&address), theirs.get(&address));
        for (index, field) in ["packets sent", "bytes sent", "packets received", "bytes received"].iter().enumerate() {
            sheet.compare(at, field, our.map(|our| our[index]), their.map(|their| their[index]), || {
                if their.is_some() && with_outer.get(&address) == their {
                    Some(TUNNELLED.to_owned())
                } else if duplicates > 0 && all.get(&address) == their {
                    Some(SEVERAL.to_owned())
                } else if whole.get(&address) == their && our == all.get(&address) {
                    Some(WHOLE.to_owned())
                } else {
                    None
                }
            });
        }
    }
}

fn end(text: &str, grain: Grain) -> Option<End> {
    match grain {
        Grain::Addresses => Some((text.parse::<Addr>().ok()?, 0)),
        Grain::Ports(_) => {
            let (addr, port) = text.rsplit_once(':')?;
            Some((addr.parse().ok()?, port.parse().ok()?))
        }
    }
}

fn table(capture: &Capture, statistic: Statistic, grain: Grain, rows: &[&Conversation], sheet: &mut Sheet) {
    let mut ours: BTreeMap<Pair, Traffic> = BTreeMap::new();
    for conn in &capture.conns {
        let Some((pair, lower)) = grain.pair(conn.protocol, conn.src, conn.dst) else { continue };
        let traffic = ours.entry(pair).or_default();
        let (packets, bytes) = (conn.counts("packets"), conn.counts("wire_bytes"));
        let back = if pair.low == pair.high { lower } else { 1 - lower };
        traffic.add(lower, packets[0], bytes[0]);
        traffic.add(back, packets[1], bytes[1]);
    }
    // tshark prints a line a stream: a 5-tuple used again has several. Rounded bytes cannot be added, so that for such
    // tuples only the packets are compared here; `tcp streams` has their exact bytes.
    let mut theirs: BTreeMap<Pair, Vec<Line>> = BTreeMap::new();
    for row in rows {
        let (Some(a), Some(b)) = (end(&row.a, grain), end(&row.b, grain)) else { continue };
        let protocol = if let Grain::Ports(protocol) = grain { protocol.0 } else { 0 };
        let (pair, lower) = Pair::of(protocol, a, b);
        let by_end = |mut values: [u64; 2]| {
            values.rotate_left(lower);
            values
        };
        let mut bytes = row.bytes.clone();
        bytes.rotate_left(lower);
        theirs.entry(pair).or_default().push((by_end(row.frames), bytes));
    }
    let mut duplicates: HashMap<Pair, u64> = HashMap::new();
    for conn in &capture.conns {
        if let Some((pair, _)) = grain.pair(conn.protocol, conn.src, conn.dst) {
            *duplicates.entry(pair).or_default() += conn.count("duplicate_packets");
        }
    }
    let views = Views::of(capture, grain, duplicates);
    let pairs: BTreeSet<Pair> = ours.keys().chain(theirs.keys()).copied().collect();
    for pair in pairs {
        let our = ours.get(&pair).copied();
        let their = theirs.get(&pair);
        let packets = their.map(|rows| rows.iter().fold([0, 0], |sum, (row, _)| [sum[0] + row[0], sum[1] + row[1]]));
        let bytes = their.filter(|rows| rows.len() == 1).map(|rows| rows[0].1.clone());
        let subject = pair.to_string();
        let at = At { statistic, file: &capture.name, subject: &subject };
        let cause = || views.cause(pair, our.unwrap_or_default(), packets.unwrap_or_default(), bytes.as_ref());
        for (index, field) in ["packets of the lower end", "packets of the higher end"].into_iter().enumerate() {
            sheet.compare(at, field, our.map(|our| our.packets[index]), packets.map(|packets| packets[index]), cause);
        }
        if their.is_some_and(|rows| rows.len() > 1) {
            continue;
        }
        for (index, field) in ["bytes of the lower end", "bytes of the higher end"].into_iter().enumerate() {
            let our = our.map(|our| truth::rounded(our.bytes[index]));
            sheet.compare(at, field, our, bytes.as_ref().map(|bytes| &bytes[index]), cause);
        }
    }
}

/// What tshark counts differently on purpose, computed from the packets themselves.
struct Views {
    /// Conversations of the outer headers of tunnels, which tshark counts beside the inner ones.
    outer: HashMap<Pair, Traffic>,
    /// Fragments that tshark does not count for a transport: all but the one that completes the datagram.
    fragments: HashMap<Pair, Traffic>,
    /// Packets whose transport header is cut or malformed: tshark has no transport layer to count.
    unread: HashMap<Pair, Traffic>,
    /// Every packet, on whatever interface.
    all: HashMap<Pair, Traffic>,
    /// Packets that we count on one interface only.
    duplicates: HashMap<Pair, u64>,
}

impl Views {
    fn of(capture: &Capture, grain: Grain, duplicates: HashMap<Pair, u64>) -> Self {
        let mut outer: HashMap<Pair, Traffic> = HashMap::new();
        for packet in &capture.packets {
            for tunnel in opened(packet) {
                let over_udp = matches!(
                    tunnel.kind,
                    TunnelKind::Vxlan | TunnelKind::Geneve | TunnelKind::GtpU | TunnelKind::Teredo | TunnelKind::Ayiya
                );
                let protocol = if over_udp { Protocol::UDP.0 } else { 0 };
                let (src, dst) = ((tunnel.src, tunnel.ports.0), (tunnel.dst, tunnel.ports.1));
                if let Some((pair, sender)) = grain.pair(protocol, src, dst) {
                    outer.entry(pair).or_default().add(sender, 1, packet.event.bytes);
                }
            }
        }
        let fragments = match grain {
            Grain::Ports(protocol) => uncounted(capture, protocol),
            Grain::Addresses => {
                let mut rest: HashMap<Pair, Traffic> = HashMap::new();
                let six = |packet: &&Packet| !packet.event.key.src.is_v4();
                for packet in incomplete_fragments(capture).into_iter().filter(six) {
                    let key = packet.event.key;
                    if let Some((pair, sender)) = grain.pair(key.protocol.0, (key.src, 0), (key.dst, 0)) {
                        rest.entry(pair).or_default().add(sender, 1, packet.event.bytes);
                    }
                }
                rest
            }
        };
        let mut unread: HashMap<Pair, Traffic> = HashMap::new();
        if let Grain::Ports(protocol) = grain {
            for packet in &capture.packets {
                let event = &packet.event;
                let stopped = event.stopped != Layer::None && !packet.has(Notes::LATER_FRAGMENT);
                if stopped && event.key.protocol == protocol {
                    let key = event.key;
                    let (pair, sender) = Pair::of(protocol.0, (key.src, key.src_port), (key.dst, key.dst_port));
                    unread.entry(pair).or_default().add(sender, 1, event.bytes);
                }
            }
        }
        let mut all: HashMap<Pair, Traffic> = HashMap::new();
        for packet in &capture.packets {
            let key = packet.event.key;
            let pair = grain.pair(key.protocol.0, (key.src, key.src_port), (key.dst, key.dst_port));
            if let (true, Some((pair, sender))) = (key.is_some(), pair) {
                all.entry(pair).or_default().add(sender, 1, packet.event.bytes);
            }
        }
        Self { outer, fragments, unread, all, duplicates }
    }

    fn cause(&self, pair: Pair, ours: Traffic, packets: [u64; 2], bytes: Option<&[String; 2]>) -> Option<String> {
        let outer = self.outer.get(&pair).copied();
        let fragments = self.fragments.get(&pair).copied();
        let fits = |traffic: Traffic| match bytes {
            Some(bytes) => traffic.prints_as(packets, bytes),
            None => traffic.packets == packets,
        };
        if outer.is_some_and(|outer| fits(ours.plus(outer))) {
            return Some(TUNNELLED.into());
        }
        if pair.protocol == 0 && fragments.is_some_and(|fragments| fits(ours.minus(fragments))) {
            return Some(WHOLE.into());
        }
        if fragments.is_some_and(|fragments| fits(ours.minus(fragments))) {
            return Some(
                "tshark counts the transport only in the fragment that completes its datagram; ours counts every \
                 fragment for its flow"
                    .into(),
            );
        }
        let all = self.all.get(&pair).copied().unwrap_or_default();
        let duplicates = self.duplicates.get(&pair).copied().unwrap_or(0);
        let packets_of = |traffic: Traffic| traffic.packets[0] + traffic.packets[1];
        if duplicates > 0 && fits(all) && packets_of(ours) + duplicates == packets_of(all) {
            return Some(SEVERAL.into());
        }
        if self.unread.get(&pair).is_some_and(|unread| fits(ours.minus(*unread))) {
            return Some(
                "tshark does not count a packet for its transport whose header is cut or malformed; ours counts it for \
                 the flow as far as it could be read"
                    .into(),
            );
        }
        None
    }
}

/// The fragments behind which more of their datagram comes.
fn incomplete_fragments(capture: &Capture) -> Vec<&Packet> {
    let mut datagrams: HashMap<(Addr, Addr, u32), Vec<&Packet>> = HashMap::new();
    for packet in capture.packets.iter().filter(|packet| packet.has(Notes::FRAGMENT)) {
        let event = &packet.event;
        datagrams.entry((event.key.src, event.key.dst, event.datagram_id)).or_default().push(packet);
    }
    datagrams
        .into_values()
        .flat_map(|mut packets| {
            packets.pop();
            packets
        })
        .collect()
}

/// The tunnels of a packet whose inside is its flow: not one that holds nothing of ours (PPP control in GRE).
fn opened(packet: &Packet) -> impl Iterator<Item = &Tunnel> {
    let key = packet.event.key;
    let tunnels = packet.layers.as_deref().map_or(&[][..], |layers| layers.tunnels.as_slice());
    let whole = move |tunnel: &&Tunnel| (tunnel.src, tunnel.dst) != (key.src, key.dst) || key.protocol != Protocol::GRE;
    tunnels.iter().filter(whole)
}

/// The fragments of each 5-tuple that do not complete their datagram.
fn uncounted(capture: &Capture, protocol: Protocol) -> HashMap<Pair, Traffic> {
    let mut datagrams: HashMap<(Addr, Addr, u32), Vec<&Packet>> = HashMap::new();
    for packet in &capture.packets {
        let event = &packet.event;
        if packet.has(Notes::FRAGMENT) && event.key.protocol == protocol {
            datagrams.entry((event.key.src, event.key.dst, event.datagram_id)).or_default().push(packet);
        }
    }
    let mut rest: HashMap<Pair, Traffic> = HashMap::new();
    for packets in datagrams.values() {
        let Some(first) = packets.iter().find(|packet| !packet.has(Notes::LATER_FRAGMENT)) else { continue };
        let key = first.event.key;
        let (pair, sender) = Pair::of(protocol.0, (key.src, key.src_port), (key.dst, key.dst_port));
        let Some((_, all_but_last)) = packets.split_last() else { continue };
        for packet in all_but_last {
            rest.entry(pair).or_default().add(sender, 1, packet.event.bytes);
        }
    }
    rest
}
