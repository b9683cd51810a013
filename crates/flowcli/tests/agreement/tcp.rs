//! TCP streams as tshark splits them, with their handshake times and completeness.

use std::collections::{BTreeMap, BTreeSet};

use flowcore::event::Detail;
use flowcore::{Addr, Protocol, TcpFlags, Timestamp};

use crate::capture::{Capture, Conn, Packet, Pair};
use crate::course::Course;
use crate::evidence::header;
use crate::sheet::{At, NOTHING, Sheet, Statistic};
use crate::truth::Row;
use crate::{classes, steps, turns};

/// What tshark says of the streams of one capture: rows of `tcp_streams.tsv`, `tshark.tsv` and `http.tsv`.
#[derive(Copy, Clone)]
pub struct Tables<'a> {
    pub streams: &'a [Row],
    pub analysis: &'a [Row],
    pub http: &'a [Row],
}

/// Compares the streams of one capture.
pub fn compare(capture: &Capture, tables: Tables<'_>, sheet: &mut Sheet) {
    let rows = tables.streams;
    let mut theirs: BTreeMap<Pair, Vec<&Row>> = BTreeMap::new();
    for row in rows {
        let end = |ip: &str, port: &str| Some((row.get(ip).parse::<Addr>().ok()?, row.number(port)? as u16));
        let (Some(client), Some(server)) = (end("client_ip", "client_port"), end("server_ip", "server_port")) else {
            sheet.skipped.push(format!("{}: stream {} has no addresses", capture.name, row.get("stream")));
            continue;
        };
        theirs.entry(Pair::of(Protocol::TCP.0, client, server).0).or_default().push(row);
    }
    let mut ours = capture.conns_by_pair();
    ours.retain(|pair, _| pair.protocol == Protocol::TCP.0);
    let pairs: BTreeSet<Pair> = ours.keys().chain(theirs.keys()).copied().collect();
    for pair in pairs {
        let (our, their) = (ours.remove(&pair).unwrap_or_default(), theirs.remove(&pair).unwrap_or_default());
        let subject = pair.to_string();
        let at = At { statistic: Statistic::TcpSplits, file: &capture.name, subject: &subject };
        sheet.compare(at, "connections", Some(our.len()), Some(their.len()), || {
            if our.len() > their.len() && !their.is_empty() {
                splits(&our).map(|why| format!("{why}; tshark keeps one stream until a SYN with another number"))
            } else if their.is_empty() {
                let tunnelled = capture.packets.iter().filter(|packet| of_pair(packet, pair));
                let outer =
                    tunnelled.filter_map(|packet| packet.layers.as_deref()?.tunnels.as_slice().first().copied());
                let named = outer.map(|tunnel| Pair::of(pair.protocol, (tunnel.src, 0), (tunnel.dst, 0)).0).next()?;
                rows.iter()
                    .any(|row| [row.get("client_ip"), row.get("server_ip")].contains(&named.low.0.to_string().as_str()))
                    .then(|| {
                        "the truth's table names streams within 6in4 by the outer IPv4 addresses, ours by the inner"
                            .into()
                    })
            } else if our.is_empty() {
                elsewhere(capture, pair)
            } else {
                None
            }
        });
        for row in &their {
            let begins = |conn: &&&Conn| conn.number("start_ns").map(seconds).as_deref() == Some(row.get("first_ts"));
            let found = our.iter().find(begins).or(if our.len() == 1 && their.len() == 1 { our.first() } else { None });
            stream(capture, pair, found.copied(), (row, tables), sheet);
        }
    }
}

/// Why our connections of one 5-tuple are several: after silence, or because a SYN began anew.
pub fn splits(conns: &[&Conn]) -> Option<String> {
    let mut idle = false;
    let mut reused = false;
    for pair in conns.windows(2) {
        let gap = pair[1].number("start_ns")? - pair[0].number("end_ns")?;
        if ["idle", "end"].contains(&pair[0].text("end_reason")) && gap > 5_000_000_000 {
            idle = true;
        } else if pair[1].text("evidence") == "syn" || pair[1].text("evidence") == "syn_ack" {
            reused = true;
        } else {
            return None;
        }
    }
    match (idle, reused) {
        (true, false) => {
            Some("ours ends a flow after silence (30 s for attempts, 5 s for closed connections, 300 s else)".into())
        }
        (false, true) => Some("ours begins a flow with every SYN that uses the ports anew".into()),
        (true, true) => Some("ours ends a flow after silence and when a SYN uses its ports anew".into()),
        (false, false) => None,
    }
}

pub fn of_pair(packet: &Packet, pair: Pair) -> bool {
    let key = packet.event.key;
    Pair::of(key.protocol.0, (key.src, key.src_port), (key.dst, key.dst_port)).0 == pair
}

/// Where the addresses of a stream come from that is none of ours: quoted, sampled, or of another layer.
fn elsewhere(capture: &Capture, pair: Pair) -> Option<String> {
    if quoted(capture, pair) > 0 {
        return Some("tshark makes a stream of TCP headers quoted by ICMP errors; ours keeps them apart".into());
    }
    let ports =
        |(src, dst): (u16, u16)| (src, dst) == (pair.low.1, pair.high.1) || (dst, src) == (pair.low.1, pair.high.1);
    let outer = capture.packets.iter().any(|packet| {
        let tunnels = packet.layers.as_deref().map_or(&[][..], |layers| layers.tunnels.as_slice());
        let named = tunnels.iter().any(|tunnel| {
            (tunnel.src, tunnel.dst) == (pair.low.0, pair.high.0)
                || (tunnel.dst, tunnel.src) == (pair.low.0, pair.high.0)
        });
        named && ports((packet.event.key.src_port, packet.event.key.dst_port))
    });
    if outer {
        return Some(
            "the truth's table names streams within 6in4 by the outer IPv4 addresses, ours by the inner".into(),
        );
    }
    if sampled(capture, pair) {
        return Some(
            "tshark reads the packets sampled within sFlow datagrams; ours is the sFlow datagram itself".into(),
        );
    }
    None
}

/// ICMP errors that quote a packet of the 5-tuple.
fn quoted(capture: &Capture, pair: Pair) -> u64 {
    let layers = capture.packets.iter().filter_map(|packet| packet.layers.as_deref());
    layers
        .filter_map(|layers| layers.quoted)
        .filter(|key| Pair::of(key.protocol.0, (key.src, key.src_port), (key.dst, key.dst_port)).0 == pair)
        .count() as u64
}

/// Wire bytes of the ICMP errors that quote a packet of the 5-tuple.
fn quoting_bytes(capture: &Capture, pair: Pair) -> u64 {
    let quoting = capture.packets.iter().filter(|packet| {
        packet
            .layers
            .as_deref()
            .and_then(|layers| layers.quoted)
            .is_some_and(|key| Pair::of(key.protocol.0, (key.src, key.src_port), (key.dst, key.dst_port)).0 == pair)
    });
    quoting.map(|packet| packet.event.bytes).sum()
}

/// Our connections of the 5-tuple that began while the stream lived.
fn parts<'a>(capture: &'a Capture, pair: Pair, row: &Row) -> Vec<&'a Conn> {
    let (first, last) = (nanos(row.get("first_ts")), nanos(row.get("last_ts")));
    let mut parts: Vec<&Conn> = capture
        .conns
        .iter()
        .filter(|conn| conn.pair().0 == pair && conn.number("start_ns") >= first && conn.number("start_ns") <= last)
        .collect();
    parts.sort_by_key(|conn| conn.number("start_ns"));
    parts
}

/// sFlow's registered port.
const SFLOW: u16 = 6343;

/// Whether an sFlow datagram holds an IPv4 header of these addresses with these ports behind it.
fn sampled(capture: &Capture, pair: Pair) -> bool {
    let datagrams = capture.packets.iter().filter(|packet| packet.event.key.dst_port == SFLOW);
    datagrams.map(|packet| &packet.frame).any(|frame| {
        [(pair.low, pair.high), (pair.high, pair.low)].into_iter().any(|(src, dst)| {
            header(frame, src.0, dst.0, true).is_some_and(|ip| {
                let at = usize::from(ip[0] & 15) * 4;
                ip.get(at..at + 4)
                    .is_some_and(|ports| ports[..2] == src.1.to_be_bytes() && ports[2..] == dst.1.to_be_bytes())
            })
        })
    })
}

/// Nanoseconds since the epoch as tshark prints times.
fn seconds(nanos: i64) -> String {
    Timestamp::from_nanos(nanos).to_string()
}

fn stream(capture: &Capture, pair: Pair, conn: Option<&Conn>, (row, tables): (&Row, Tables<'_>), sheet: &mut Sheet) {
    let subject = format!("stream {} ({pair})", row.get("stream"));
    let at = |statistic| At { statistic, file: &capture.name, subject: &subject };
    let client: Option<(Addr, u16)> =
        row.get("client_ip").parse().ok().zip(row.number("client_port").map(|port| port as u16));
    let streams = at(Statistic::TcpStreams);
    let end = |(addr, port): (Addr, u16)| format!("{addr} {port}");
    let absent = || if conn.is_none() { elsewhere(capture, pair) } else { None };
    sheet.compare(streams, "client", conn.map(|conn| end(conn.src)), client.map(end), || {
        let no_syn = row.number("syn") == Some(0) && row.number("synack") == Some(0);
        let by_port = conn.is_some_and(|conn| conn.text("evidence") == "ports");
        (no_syn && by_port)
            .then(|| {
                "no SYN was captured: the truth takes the first sender, ours the end without the service port".into()
            })
            .or_else(absent)
    });
    let time = |column| conn.and_then(|conn| conn.number(column)).map(seconds);
    // The stream's packets in several of our connections, and those that tshark adds from ICMP errors.
    let mut parts = parts(capture, pair, row);
    if parts.is_empty() {
        parts.extend(conn);
    }
    let quotes = quoted(capture, pair);
    let cause = |ours: Option<u64>, all: u64, theirs: Option<u64>, per_quote: bool| {
        if parts.len() > 1 && Some(all) == theirs {
            return splits(&parts).map(|why| format!("{why}; together they are the stream"));
        }
        if per_quote && quotes > 0 && ours.zip(theirs).is_some_and(|(ours, theirs)| ours + quotes == theirs) {
            return Some("tshark adds the ICMP errors that quote the stream; ours keeps them apart".to_owned());
        }
        absent()
    };
    sheet.compare(streams, "first time", time("start_ns"), Some(row.get("first_ts")), absent);
    sheet.compare(streams, "last time", time("end_ns"), Some(row.get("last_ts")), || {
        let last = parts.iter().filter_map(|part| part.number("end_ns")).max().map(seconds);
        (parts.len() > 1 && last.as_deref() == Some(row.get("last_ts")))
            .then(|| splits(&parts).map(|why| format!("{why}; together they are the stream")))
            .flatten()
            .or_else(absent)
    });
    let bytes = conn.map(|conn| conn.counts("wire_bytes").iter().sum::<u64>());
    let theirs = row.number("bytes");
    sheet.compare(streams, "bytes", bytes, theirs, || {
        let all = parts.iter().flat_map(|part| part.counts("wire_bytes")).sum();
        let quoting: u64 = quoting_bytes(capture, pair);
        if quotes > 0 && bytes.map(|bytes| bytes + quoting) == theirs {
            return Some("tshark adds the ICMP errors that quote the stream; ours keeps them apart".to_owned());
        }
        cause(bytes, all, theirs, false)
    });
    // Each way by who sent it, so that a different idea of who is the client is one disagreement and not five.
    for (field, what, column, index) in [
        ("packets of the client", "packets", "c2s_packets", 0),
        ("packets of the server", "packets", "s2c_packets", 1),
        ("payload of the client", "payload_bytes", "c2s_payload", 0),
        ("payload of the server", "payload_bytes", "s2c_payload", 1),
    ] {
        let sent = |conn: &Conn| conn.counts(what)[index ^ usize::from(Some(conn.src) != client)];
        let (ours, theirs) = (conn.map(sent), row.number(column));
        let all = parts.iter().map(|part| sent(part)).sum();
        sheet.compare(streams, field, ours, theirs, || cause(ours, all, theirs, what == "packets"));
    }

    let courses: Vec<&Course> = parts.iter().filter_map(|conn| capture.course(conn)).collect();
    let packets = segments(capture, pair, row);
    if !courses.is_empty() {
        if let Some(client) = client {
            steps::control((capture, &subject), &courses, client, row, sheet);
        }
        classes::compare((capture, &subject), (&courses, &packets), (row, tables.analysis), sheet);
    }
    turns::compare((capture, &subject), (&courses, &packets), row, tables.http, absent, sheet);
    let ours = conn.and_then(|conn| conn.number("handshake_ns"));
    let theirs = nanos(row.get("initial_rtt"));
    if ours.is_some() || theirs.is_some() {
        let equal = ours.zip(theirs).is_some_and(|(ours, theirs)| (ours - theirs).abs() <= 1000);
        let text = |value: Option<i64>| value.map_or_else(|| NOTHING.to_owned(), |value| format!("{value} ns"));
        sheet.judge(at(Statistic::Handshakes), "handshake", equal, text(ours), text(theirs), || {
            if conn.is_none() {
                return elsewhere(capture, pair);
            }
            if ours.is_none() && row.number("synack") == Some(0) {
                return Some(
                    "no SYN-ACK was captured: tshark takes the segment that comes next, ours no time at all".into(),
                );
            }
            if ours.is_none() && !is_acknowledged(&segments(capture, pair, row)) {
                return Some(
                    "the ACK of the SYN-ACK was not captured, or acknowledges something else: tshark takes the segment \
                     that comes next, ours no time at all"
                        .into(),
                );
            }
            let segments = segments(capture, pair, row);
            let syns = segments.iter().filter(|packet| match packet.event.detail {
                Detail::Tcp(tcp) => tcp.flags & (TcpFlags::SYN | TcpFlags::ACK) == TcpFlags::SYN,
                _ => false,
            });
            steps::counts_from_a_copy(
                &syns.map(|packet| packet.event.time.as_nanos()).collect::<Vec<_>>(),
                ours,
                theirs,
            )
        });
    }
    let ours = conn.and_then(|conn| conn.number("completeness"));
    // The truth has the value that tshark printed on the stream's last packet: the state before that packet. Where the
    // packets show this, the value after it is the one to compare with.
    let packets = segments(capture, pair, row);
    let printed = row.number("completeness");
    let before = packets.split_last().map(|(_, before)| completeness_of_tshark(before));
    let reused = packets.len() == 1 && printed == Some(1);
    let theirs = if before == printed || reused { Some(completeness_of_tshark(&packets)) } else { printed };
    sheet.compare(at(Statistic::Completeness), "completeness", ours, theirs, || {
        let all = parts.iter().filter_map(|part| part.number("completeness")).fold(0, |bits, part| bits | part);
        let whole = completeness(&packets) as i64;
        if conn.is_none() {
            elsewhere(capture, pair)
        } else if before == printed && ours == Some(whole) {
            Some(UNCOUNTED.to_owned())
        } else if parts.len() > 1 && all == whole {
            splits(&parts).map(|why| format!("{why}; together they are the stream"))
        } else {
            None
        }
    });
}

const UNCOUNTED: &str = "tshark does not count a stream's first packet unless it is a SYN, a SYN behind another packet, \
     nor the ACK of a segment with payload; ours counts every segment";

/// The segments of a stream, in the file's order.
fn segments<'a>(capture: &'a Capture, pair: Pair, row: &Row) -> Vec<&'a Packet> {
    let (first, last) = (nanos(row.get("first_ts")).unwrap_or(i64::MIN), nanos(row.get("last_ts")).unwrap_or(i64::MAX));
    let of_stream = |packet: &&Packet| {
        let key = packet.event.key;
        matches!(packet.event.detail, Detail::Tcp(_))
            && Pair::of(key.protocol.0, (key.src, key.src_port), (key.dst, key.dst_port)).0 == pair
            && (first..=last).contains(&packet.event.time.as_nanos())
    };
    capture.packets.iter().filter(of_stream).collect()
}

/// Whether a SYN, the SYN-ACK that answers it and an ACK of that come in this order.
fn is_acknowledged(packets: &[&Packet]) -> bool {
    let tcp =
        |packet: &&Packet| if let Detail::Tcp(tcp) = packet.event.detail { Some((packet.event, tcp)) } else { None };
    let all: Vec<_> = packets.iter().filter_map(tcp).collect();
    let bits = |flags: TcpFlags| (flags.contains(TcpFlags::SYN), flags.contains(TcpFlags::ACK));
    all.iter().enumerate().filter(|(_, (_, syn))| bits(syn.flags) == (true, false)).any(|(first, (opening, syn))| {
        let answers = all.iter().enumerate().skip(first).filter(|(_, (event, answer))| {
            event.key == opening.key.reversed()
                && bits(answer.flags) == (true, true)
                && answer.ack == syn.seq.wrapping_add(1)
        });
        answers.into_iter().any(|(second, (answering, answer))| {
            let sent = all.iter().filter(|(event, _)| event.key == answering.key);
            let end =
                sent.map(|(event, tcp)| tcp.seq.wrapping_sub(answer.seq).wrapping_add(event.payload_bytes + 1)).max();
            all.iter().skip(second).any(|(event, ack)| {
                event.key == opening.key
                    && bits(ack.flags) == (false, true)
                    && (!ack.flags.contains(TcpFlags::FIN) || ack.ack == answer.seq.wrapping_add(1))
                    && (1..=end.unwrap_or(1)).contains(&ack.ack.wrapping_sub(answer.seq))
            })
        })
    })
}

/// The bits of all segments.
fn completeness(packets: &[&Packet]) -> u64 {
    packets.iter().fold(0, |bits, packet| {
        let Detail::Tcp(tcp) = packet.event.detail else { return bits };
        let flags = tcp.flags;
        let data = if packet.event.payload_bytes > 0 { 8 } else { 0 };
        let opening = match (flags.contains(TcpFlags::SYN), flags.contains(TcpFlags::ACK)) {
            (true, false) => 1,
            (true, true) => 2,
            (false, true) => 4,
            (false, false) => 0,
        };
        let closing = u64::from(flags.contains(TcpFlags::FIN)) << 4 | u64::from(flags.contains(TcpFlags::RST)) << 5;
        bits | data | opening | closing
    })
}

/// The bits as tshark 4.0 counts them, learnt from what it prints on 49,000 packets.
fn completeness_of_tshark(packets: &[&Packet]) -> u64 {
    let mut bits = 0;
    for (index, packet) in packets.iter().enumerate() {
        let Detail::Tcp(tcp) = packet.event.detail else { continue };
        let (data, flags) = (packet.event.payload_bytes > 0, tcp.flags);
        let (syn, ack) = (flags.contains(TcpFlags::SYN), flags.contains(TcpFlags::ACK));
        bits |= match (index, syn, ack) {
            (0, true, false) if data => 1 | 8,
            (0, true, false) => 1,
            (0, ..) | (_, true, false) => continue,
            (_, true, true) => 2,
            _ if data => 8,
            (_, false, true) => 4,
            _ => 0,
        };
        bits |= u64::from(flags.contains(TcpFlags::FIN) && ack && !syn) << 4;
        bits |= u64::from(flags.contains(TcpFlags::RST) && !syn) << 5;
    }
    bits
}

/// Seconds with nine decimals as nanoseconds.
pub fn nanos(text: &str) -> Option<i64> {
    let (whole, fraction) = text.split_once('.')?;
    let fraction = format!("{fraction:0<9}");
    whole.parse::<i64>().ok()?.checked_mul(1_000_000_000)?.checked_add(fraction.get(..9)?.parse().ok()?)
}
