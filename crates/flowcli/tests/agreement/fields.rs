//! Every packet of `truth/packets`, field by field, against the collector's events.

use std::path::Path;

use flowcore::event::Detail;
use flowcore::key::icmp_counterpart;
use flowcore::{Addr, FlowKey, Notes, Protocol};

use crate::capture::{Capture, Packet};
use crate::community_id::{self, NO_PORTS};
use crate::pcapng;
use crate::sheet::{At, Sheet, Statistic};
use crate::truth::{Row, Table};

/// IP Payload Compression Protocol (RFC 3173).
const IPCOMP: u8 = 108;

/// The headers of one packet as tshark printed them, walked in the order of `frame.protocols`.
#[derive(Clone, Debug, Default)]
struct Headers {
    /// The innermost IP header that is not quoted by an ICMP error.
    ip: Option<Ip>,
    ports: Option<(u16, u16)>,
    tcp: bool,
    /// Which occurrence of `tcp.flags` and its like is that of the flow.
    tcp_index: usize,
    icmp: Option<u8>,
    fragment: bool,
    vlans: Vec<u16>,
    /// The key quoted by an ICMP error: addresses and protocol.
    quoted: bool,
}

#[derive(Clone, Debug)]
struct Ip {
    src: Addr,
    dst: Addr,
    protocol: Option<u8>,
    six: bool,
}

/// Walks one row up to what is carried as data (an sFlow sample), or through it (`samples`).
fn headers(row: &Row, samples: bool) -> Headers {
    let [ip_src, ip_dst, ip6_src, ip6_dst] = ["ip.src", "ip.dst", "ipv6.src", "ipv6.dst"].map(|name| row.list(name));
    let (proto, more, offset) = (row.list("ip.proto"), row.list("ip.flags.mf"), row.list("ip.frag_offset"));
    let ports = ["tcp", "udp", "sctp"]
        .map(|name| (name, row.list(&format!("{name}.srcport")), row.list(&format!("{name}.dstport"))));
    let (icmp, icmp6, vlan) = (row.list("icmp.type"), row.list("icmpv6.type"), row.list("vlan.id"));
    let (mut four, mut six, mut seen_vlans) = (0, 0, 0);
    let mut seen_transport = [0usize; 3];
    let mut out = Headers::default();
    for layer in row.get("frame.protocols").split(':') {
        match layer {
            "vlan" => {
                if let Some(id) = vlan.get(seen_vlans).and_then(|id| number(id)) {
                    out.vlans.push(id as u16);
                }
                seen_vlans += 1;
            }
            "ip" if ip_src.get(four).is_some() => {
                out = Headers { vlans: std::mem::take(&mut out.vlans), ..Headers::default() };
                out.ip =
                    address(ip_src[four]).zip(ip_dst.get(four).and_then(|text| address(text))).map(|(src, dst)| Ip {
                        src,
                        dst,
                        protocol: proto.get(four).and_then(|text| number(text)).map(|value| value as u8),
                        six: false,
                    });
                out.fragment = is_set(more.get(four)) || is_set(offset.get(four));
                four += 1;
            }
            "ipv6" if ip6_src.get(six).is_some() => {
                out = Headers { vlans: std::mem::take(&mut out.vlans), ..Headers::default() };
                out.ip = address(ip6_src[six])
                    .zip(ip6_dst.get(six).and_then(|text| address(text)))
                    .map(|(src, dst)| Ip { src, dst, protocol: None, six: true });
                six += 1;
            }
            "sflow" if !samples => break,
            "ipv6.fraghdr" => out.fragment = true,
            "tcp" | "udp" | "sctp" => {
                let index = ports.iter().position(|(name, ..)| *name == layer).unwrap_or(0);
                let (_, sources, targets) = &ports[index];
                let at = seen_transport[index];
                out.ports = sources
                    .get(at)
                    .and_then(|text| number(text))
                    .zip(targets.get(at).and_then(|text| number(text)))
                    .map(|(src, dst)| (src as u16, dst as u16));
                out.tcp = layer == "tcp";
                out.tcp_index = at;
                seen_transport[index] += 1;
            }
            "icmp" | "icmpv6" => {
                // What follows is what the message quotes, not a header of this flow.
                let (list, rest) = if layer == "icmp" { (&icmp, ":icmp:") } else { (&icmp6, ":icmpv6:") };
                out.icmp = list.first().and_then(|text| number(text)).map(|kind| kind as u8);
                let protocols = row.get("frame.protocols");
                out.quoted = protocols.split_once(rest).is_some_and(|(_, after)| after.starts_with("ip"));
                break;
            }
            _ => {}
        }
    }
    out
}

fn number(text: &str) -> Option<u64> {
    match text.strip_prefix("0x") {
        Some(hex) => u64::from_str_radix(hex, 16).ok(),
        None => text.parse().ok(),
    }
}

fn address(text: &str) -> Option<Addr> {
    text.parse().ok()
}

fn is_set(value: Option<&&str>) -> bool {
    value.is_some_and(|text| !matches!(*text, "0" | "False" | "0x0"))
}

/// Compares all packets of one capture.
pub fn compare(capture: &Capture, captures: &Path, sheet: &mut Sheet) {
    let truth = captures.join("truth");
    let Some(table) = Table::read(&truth.join("packets").join(format!("{}.tsv", capture.name)), '\t') else { return };
    let mut ours = capture.packets.iter();
    let sections = pcapng::interfaces_before(&captures.join(&capture.name));
    let mut index = 0;
    for row in &table.rows {
        // tshark numbers pcapng's custom blocks as frames, with neither time nor interface; they are not packets.
        let custom = ["frame.time_epoch", "frame.interface_id"].iter().all(|column| row.get(column).is_empty());
        if custom && row.get("frame.protocols") == "data" {
            continue;
        }
        let subject = format!("packet {}", row.get("frame.number"));
        let at = At { statistic: Statistic::PacketFields, file: &capture.name, subject: &subject };
        match ours.next() {
            Some(packet) => {
                index += 1;
                let section = sections.as_ref().and_then(|sections| sections.get(index - 1).copied());
                packet_fields(at, packet, row, section, sheet);
            }
            None => sheet.compare(at, "packet", None::<&str>, Some("present"), || None),
        }
    }
    let surplus = ours.count();
    if surplus > 0 {
        let at = At { statistic: Statistic::PacketFields, file: &capture.name, subject: "" };
        sheet.compare(at, "packets beyond theirs", Some(surplus), Some(0), || None);
    }
}

/// What tshark hashes for a Community ID where it is not the flow of the packet, if the hash proves it.
fn other_hash(packet: &Packet, row: &Row, theirs: &str) -> Option<String> {
    let layers = packet.layers.as_deref();
    if layers.and_then(|layers| layers.quoted).is_some_and(|quoted| community_id::of(&quoted) == theirs) {
        return Some("tshark hashes the packet that the ICMP error quotes; ours is that of the error itself".into());
    }
    if community_id::without_ports(&packet.event.key) == theirs {
        return Some(NO_PORTS.into());
    }
    if row.get("frame.protocols").contains(":sflow:") {
        // The addresses are the datagram's again after the samples; protocol and ports are still a sample's.
        let flow = packet.event.key;
        let numbers = |name: &str| row.list(name).iter().filter_map(|text| number(text)).collect::<Vec<_>>();
        let tcp = numbers("tcp.srcport").into_iter().zip(numbers("tcp.dstport")).map(|ends| (Protocol::TCP, ends));
        let icmp = numbers("icmp.type").into_iter().map(|kind| {
            let answer = icmp_counterpart(kind as u16).map_or(0, u64::from);
            (Protocol::ICMP, (kind, answer))
        });
        let mixed = tcp.chain(icmp).any(|(protocol, (src, dst))| {
            let key = FlowKey { protocol, src_port: src as u16, dst_port: dst as u16, ..flow };
            community_id::of(&key) == theirs
        });
        if mixed {
            return Some(
                "tshark hashes the sFlow datagram's addresses with protocol and ports of a packet sampled in it".into(),
            );
        }
    }
    None
}

fn packet_fields(at: At<'_>, packet: &Packet, row: &Row, earlier: Option<u64>, sheet: &mut Sheet) {
    let event = &packet.event;
    let none = || None;
    let time = row.get("frame.time_epoch");
    if !time.is_empty() {
        sheet.compare(at, "time", Some(event.time), Some(time), none);
    }
    sheet.compare(at, "length", Some(event.bytes), row.number("frame.len"), none);
    sheet.compare(at, "captured length", Some(packet.frame.len()), row.number("frame.cap_len"), none);
    if let Some(interface) = row.number("frame.interface_id") {
        sheet.compare(at, "interface", Some(event.interface), Some(interface), || {
            // The file's own blocks say how many interfaces earlier sections describe.
            (u64::from(event.interface) == interface + earlier? && earlier? > 0)
                .then(|| "tshark numbers interfaces from 0 in every section; ours goes on through the file".to_owned())
        });
    }
    let headers = headers(row, false);
    // IPComp payloads are deflated; tshark inflates them and reads on.
    let compressed = row.get("frame.protocols").contains(":ah:ipv6:") && event.key.protocol.0 == IPCOMP;
    let jumbo = packet.has(Notes::OFFLOADED) && row.get("tcp.flags").is_empty();
    let other = || {
        if compressed {
            Some("ours stops at the IPComp header; tshark inflates what follows".to_owned())
        } else if jumbo {
            Some("tshark 4.0 does not read on after an IPv6 payload length of 0 (segmentation offload)".to_owned())
        } else {
            None
        }
    };
    let layers = packet.layers.as_deref();
    let vlans = |ids: &[u16]| Some(ids).filter(|ids| !ids.is_empty()).map(|ids| format!("{ids:?}"));
    let ours = layers.map_or(&[][..], |layers| layers.vlans.as_slice());
    sheet.compare(at, "vlans", vlans(ours), vlans(&headers.vlans), || {
        let provider = row.get("frame.protocols").contains(":ieee8021ad:");
        (provider && ours.ends_with(&headers.vlans) && ours.len() == headers.vlans.len() + 1)
            .then(|| "tshark has the 802.1ad tag in another field, which the truth leaves out".to_owned())
    });
    if !row.get("wlan.fc.tods").is_empty() {
        let flag = |name| u8::from(is_set(row.list(name).first()));
        sheet.compare(at, "to_ds", Some(u8::from(packet.has(Notes::TO_DS))), Some(flag("wlan.fc.tods")), none);
        sheet.compare(at, "from_ds", Some(u8::from(packet.has(Notes::FROM_DS))), Some(flag("wlan.fc.fromds")), none);
    }
    let key = event.key;
    let has_key = key.is_some();
    let ip = headers.ip.as_ref();
    sheet.compare(at, "source address", has_key.then_some(key.src), ip.map(|ip| ip.src), other);
    sheet.compare(at, "destination address", has_key.then_some(key.dst), ip.map(|ip| ip.dst), other);
    if let Some(ip) = ip {
        if let Some(protocol) = ip.protocol {
            sheet.compare(at, "protocol", Some(key.protocol.0), Some(protocol), other);
        }
        let ethertype = if ip.six { 0x86dd } else { 0x0800 };
        sheet.compare(at, "ethertype", Some(event.ethertype), Some(ethertype), other);
        let fragment = u8::from(packet.has(Notes::FRAGMENT));
        sheet.compare(at, "fragment", Some(fragment), Some(u8::from(headers.fragment)), other);
    } else if let ([only], true) = (&row.list("eth.type")[..], headers.vlans.is_empty()) {
        sheet.compare(at, "ethertype", Some(u64::from(event.ethertype)), number(only), other);
    }
    if let Some((src, dst)) = headers.ports {
        sheet.compare(at, "source port", Some(key.src_port), Some(src), other);
        sheet.compare(at, "destination port", Some(key.dst_port), Some(dst), other);
    }
    if let Some(kind) = headers.icmp {
        let ours = if let Detail::Icmp(icmp) = event.detail { Some(icmp.kind) } else { None };
        sheet.compare(at, "icmp type", ours, Some(kind), other);
        let quotes = u8::from(packet.has(Notes::QUOTES));
        sheet.compare(at, "icmp quotes", Some(quotes), Some(u8::from(headers.quoted)), other);
    }
    if headers.tcp {
        let value = |name| row.list(name).get(headers.tcp_index).and_then(|text| number(text));
        let ours = if let Detail::Tcp(tcp) = event.detail { Some(tcp) } else { None };
        sheet.compare(at, "tcp flags", ours.map(|tcp| tcp.flags.bits()), value("tcp.flags"), other);
        sheet.compare(at, "tcp sequence", ours.map(|tcp| tcp.seq), value("tcp.seq_raw"), other);
        sheet.compare(at, "tcp acknowledgment", ours.map(|tcp| tcp.ack), value("tcp.ack_raw"), other);
        sheet.compare(at, "tcp window", ours.map(|tcp| tcp.window), value("tcp.window_size_value"), other);
        sheet.compare(at, "tcp payload", ours.map(|_| event.payload_bytes), value("tcp.len"), other);
    }
    let theirs = row.get("communityid");
    if !theirs.is_empty() {
        let ours = has_key.then(|| community_id::of(&key));
        sheet.compare(at, "community id", ours, Some(theirs), || other_hash(packet, row, theirs).or_else(other));
    }
}
