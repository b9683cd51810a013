//! Round trips, repetitions, zero windows and missing data of a connection against tcptrace's long report.
//!
//! tcptrace prints sums. What they are sums of is computed here from the packets by its rules, and must come to what it
//! printed before a difference is explained packet by packet.

use std::collections::{BTreeMap, BTreeSet};

use flowcore::TcpFlags;
use flowcore::event::Detail;
use flowstats::tcp::RttMethod;

use crate::capture::{Capture, End, Packet, Pair};
use crate::course::{Course, Told};
use crate::evidence::{header, length_field};
use crate::segments::Moment;
use crate::sheet::{At, Sheet, Statistic};
use crate::tcp::of_pair;
use crate::truth::Row;

/// One round trip: the ACK's packet, the time in nanoseconds.
#[derive(Copy, Clone, Debug)]
struct Sample {
    packet: usize,
    rtt: i64,
}

/// What tcptrace makes of one direction's data.
#[derive(Debug, Default)]
struct Side {
    samples: Vec<Sample>,
    /// ACKs of a segment that was sent again, and of one that was sent before another below it.
    ambiguous: BTreeSet<usize>,
    after_loss: BTreeSet<usize>,
    again: BTreeMap<usize, u64>,
    out_of_order: BTreeSet<usize>,
    zero_windows: BTreeSet<usize>,
    segments: Vec<Segment>,
    /// First number seen, and the position of the latest.
    start: Option<(u32, i64)>,
}

/// Numbers that were sent together.
#[derive(Copy, Clone, Debug)]
struct Segment {
    from: i64,
    to: i64,
    time: i64,
    again: u32,
    acked: bool,
}

impl Side {
    fn position(&mut self, number: u32) -> i64 {
        let (first, last) = *self.start.get_or_insert((number, 0));
        let near = first.wrapping_add(last as u32);
        last + i64::from(number.wrapping_sub(near) as i32)
    }

    /// Takes in what was sent at `from..to`; whether some of it had been, and whether it came before something else.
    fn send(&mut self, from: i64, to: i64, time: i64) -> (i64, bool) {
        let mut at = from;
        let (mut old, mut late) = (0, false);
        let mut fresh = Vec::new();
        for segment in self.segments.iter_mut().filter(|segment| segment.from < to && from < segment.to) {
            if at < segment.from {
                fresh.push((at, segment.from));
            }
            old += segment.to.min(to) - segment.from.max(from);
            segment.again += 1;
            segment.time = time;
            at = at.max(segment.to);
        }
        if at < to {
            fresh.push((at, to));
        }
        for (from, to) in fresh {
            let place = self.segments.partition_point(|segment| segment.from < from);
            late |= place < self.segments.len();
            self.segments.insert(place, Segment { from, to, time, again: 0, acked: false });
        }
        (old, late)
    }

    /// Takes in an acknowledgment of everything below `ack`.
    fn acknowledge(&mut self, ack: i64, packet: usize, time: i64) {
        let mut newest = i64::MIN;
        for segment in &mut self.segments {
            if ack <= segment.from {
                break;
            }
            newest = newest.max(segment.time);
            if segment.acked {
                continue;
            }
            segment.acked = true;
            if segment.to != ack {
                continue;
            }
            if newest > segment.time {
                self.after_loss.insert(packet);
            } else if segment.again > 0 {
                self.ambiguous.insert(packet);
            } else {
                self.samples.push(Sample { packet, rtt: time - segment.time });
            }
        }
    }
}

/// tcptrace's view of the segments of one connection; the first packet's sender is the first side.
fn trace(packets: &[&Packet]) -> [Side; 2] {
    let mut sides = [Side::default(), Side::default()];
    let Some(first) = packets.first().map(|packet| packet.event.key) else { return sides };
    for packet in packets {
        let Detail::Tcp(tcp) = packet.event.detail else { continue };
        let by = usize::from(packet.event.key != first);
        let time = packet.event.time.as_nanos() / 1000 * 1000;
        let flag = |flag| i64::from(tcp.flags.contains(flag));
        let payload = claimed(packet);
        let length = payload + flag(TcpFlags::SYN) + flag(TcpFlags::FIN);
        if length > 0 {
            let from = sides[by].position(tcp.seq);
            let (old, late) = sides[by].send(from, from + length, time);
            if let Some((_, last)) = &mut sides[by].start {
                *last = (*last).max(from + length);
            }
            if old > 0 {
                sides[by].again.insert(packet.number, old as u64);
            }
            if late {
                sides[by].out_of_order.insert(packet.number);
            }
        }
        if tcp.window == 0 && !tcp.flags.intersects(TcpFlags::RST) {
            sides[by].zero_windows.insert(packet.number);
        }
        if tcp.flags.contains(TcpFlags::ACK) && sides[1 - by].start.is_some() {
            let ack = sides[1 - by].position(tcp.ack);
            sides[1 - by].acknowledge(ack, packet.number, time);
        }
    }
    sides
}

/// Payload of a segment by the IP header's length field, which tcptrace trusts even where the frame was shorter.
fn claimed(packet: &Packet) -> i64 {
    let event = &packet.event;
    let field = header(&packet.frame, event.key.src, event.key.dst, true).map_or(0, length_field) as i64;
    i64::from(event.payload_bytes) + (field - i64::from(event.network_bytes)).max(0)
}

/// Compares the connections of one capture, rows of `tcptrace.csv`.
pub fn compare(capture: &Capture, rows: &[Row], sheet: &mut Sheet) {
    for row in rows {
        let end = |host: &str, port: &str| Some((row.get(host).parse().ok()?, row.number(port)? as u16));
        let Some((a, b)) = end("host_a", "port_a").zip(end("host_b", "port_b")) else { continue };
        let (pair, _) = Pair::of(6, a, b);
        let within = micros(row.get("first_packet"))..=micros(row.get("last_packet"));
        let packets: Vec<&Packet> = capture
            .packets
            .iter()
            .filter(|packet| of_pair(packet, pair) && matches!(packet.event.detail, Detail::Tcp(_)))
            .filter(|packet| within.contains(&packet.event.time.as_nanos().div_euclid(1000)))
            .collect();
        let subject = format!("connection {} ({pair})", row.get("conn_#"));
        let numbers: BTreeSet<usize> = packets.iter().map(|packet| packet.number).collect();
        let courses: Vec<&Course> =
            capture.courses.iter().filter(|course| course.firsts.iter().any(|first| numbers.contains(first))).collect();
        for (index, side) in trace(&packets).iter().enumerate() {
            let one = One { capture, subject: &subject, packets: &packets, courses: &courses, row, side };
            one.compare(([a, b][index], ["a2b", "b2a"][index]), sheet);
        }
    }
}

/// One direction of one connection.
struct One<'a> {
    capture: &'a Capture,
    subject: &'a str,
    packets: &'a [&'a Packet],
    courses: &'a [&'a Course],
    row: &'a Row,
    side: &'a Side,
}

impl One<'_> {
    fn compare(&self, (sender, of): (End, &str), sheet: &mut Sheet) {
        let from_a = of == "a2b";
        let theirs = |column: &str| self.row.number(&format!("{column}_{of}"));
        let fields: [&'static str; 9] = if from_a { FIELDS[0] } else { FIELDS[1] };
        let rtts = At { statistic: Statistic::TcptraceRtts, file: &self.capture.name, subject: self.subject };
        let mine = |number: usize| {
            let packet = self.packet(number);
            packet.is_some_and(|packet| (packet.event.key.src, packet.event.key.src_port) == sender)
        };
        let told: Vec<(usize, Told)> = self.courses.iter().flat_map(|course| course.told.iter().copied()).collect();

        // An acknowledgment of this end's data is the other end's packet.
        let samples: BTreeMap<usize, (i64, RttMethod)> = self
            .courses
            .iter()
            .flat_map(|course| &course.rtts)
            .filter(|(packet, _)| self.packet(*packet).is_some() && !mine(*packet))
            .map(|(packet, sample)| (*packet, (sample.rtt.get(), sample.method)))
            .collect();
        let ours: Vec<i64> = samples.values().map(|(rtt, _)| *rtt).collect();
        let modelled: Vec<i64> = self.side.samples.iter().map(|sample| sample.rtt).collect();
        let printed = [
            theirs("RTT_samples").map(|count| count as f64),
            self.milliseconds("RTT_min", of),
            self.milliseconds("RTT_max", of),
            self.milliseconds("RTT_avg", of),
        ];
        let proven = prints(&modelled, &printed);
        let set = |samples: &mut dyn Iterator<Item = usize>| samples.collect::<BTreeSet<usize>>();
        let (our_set, their_set) =
            (set(&mut samples.keys().copied()), set(&mut self.side.samples.iter().map(|sample| sample.packet)));
        let mut why = BTreeSet::new();
        let mut reason = |packet: usize, is_ours: bool| {
            let why_not = self.other_sample(packet, is_ours, &samples, &told);
            why.extend(why_not);
            why_not.map(str::to_owned)
        };
        if proven {
            sheet.compare_packets(rtts, fields[0], &our_set, &their_set, &mut reason);
        } else {
            sheet.compare(rtts, fields[0], Some(ours.len()), theirs("RTT_samples"), || self.unread());
        }
        let same = self.side.samples.iter().filter_map(|sample| Some((sample.rtt, samples.get(&sample.packet)?.0)));
        let agreed = same.clone().all(|(theirs, ours)| (theirs - ours).abs() <= 1000);
        for ((field, ours), theirs) in fields[1..4].iter().zip(&figures(&ours)[1..]).zip(&printed[1..]) {
            let Some(theirs) = *theirs else { continue };
            let equal = near(*ours, theirs);
            sheet.judge(rtts, field, equal, format!("{ours:.3} ms"), format!("{theirs:.1} ms"), || {
                if !proven {
                    return self.unread();
                }
                if proven && agreed && our_set == their_set {
                    return Some("the same samples: tcptrace does not take one of 0 for the shortest".into())
                        .filter(|_| ours.abs() < 1e-3);
                }
                (proven && agreed && our_set != their_set && !why.is_empty())
                    .then(|| format!("other samples: {}", why.iter().copied().collect::<Vec<_>>().join("; ")))
            });
        }
        self.classes((fields, of), &told, &mine, sheet);
    }

    /// Why only one side takes a sample at an ACK.
    fn other_sample(
        &self,
        packet: usize,
        is_ours: bool,
        samples: &BTreeMap<usize, (i64, RttMethod)>,
        told: &[(usize, Told)],
    ) -> Option<&'static str> {
        let moment = Moment::of(self.packets, packet)?;
        if is_ours {
            if samples.get(&packet).is_some_and(|(_, method)| *method == RttMethod::Timestamp)
                && (self.side.ambiguous.contains(&packet) || self.side.after_loss.contains(&packet))
            {
                return Some(
                    "the ACK echoes the timestamp of one of two copies (RFC 7323 section 4.3), which tcptrace does not read",
                );
            }
            let begun =
                |course: &&Course| course.firsts.iter().any(|first| *first > self.packets[0].number && *first < packet);
            if self.side.ambiguous.contains(&packet) && self.courses.iter().any(begun) {
                return Some("our connection begins with the second SYN, after silence: the first belongs to another");
            }
            if moment.acknowledged_within() {
                return Some(
                    "the segment was acknowledged in part before, by itself no round trip: tcptrace takes none of the rest",
                );
            }
            return (moment.acknowledges_copy() && self.side.ambiguous.contains(&packet))
                .then_some("what tcptrace takes for a second sending is a copy of one packet");
        }
        let unseen =
            told.iter().any(|(number, told)| *number == packet && matches!(told, Told::Missing(_) | Told::Beyond(_)));
        if unseen || (told.contains(&(packet, Told::Ambiguous)) && moment.peer_was_in_trouble()) {
            return Some(
                "something at or below what is acknowledged was missing or was there twice: ours takes no sample (RFC 6298 section 3), tcptrace goes by the one segment that ends there",
            );
        }
        if told.contains(&(packet, Told::Ambiguous)) && moment.echoes_the_unknown() {
            return Some(
                "the timestamp option of what is acknowledged was not captured, so that ours cannot tell which sending the echo answers",
            );
        }
        if moment.answers_syn_without_one() {
            return Some("the SYN-ACK was not captured: ours takes nothing else for the answer to a SYN");
        }
        if moment.tcp.flags.contains(TcpFlags::RST) {
            return Some("the ACK is on a RST: ours takes no sample from it");
        }
        if !moment.peer_began_with_syn() {
            return Some(
                "the first acknowledgment of an end whose SYN was not captured: what it acknowledges may have been sent before",
            );
        }
        (!moment.acknowledges_all()).then_some("more is on its way than is acknowledged: of such segments ours times 16 at once, and none before the first such ACK")
    }

    /// Classes of packets.
    fn classes(
        &self,
        (fields, of): ([&'static str; 9], &str),
        told: &[(usize, Told)],
        mine: &dyn Fn(usize) -> bool,
        sheet: &mut Sheet,
    ) {
        let at = At { statistic: Statistic::TcptraceClasses, file: &self.capture.name, subject: self.subject };
        let is = |test: &dyn Fn(Told) -> bool| -> BTreeSet<usize> {
            told.iter().filter(|(packet, told)| test(*told) && mine(*packet)).map(|(packet, _)| *packet).collect()
        };
        let carries = |packet: &usize| Moment::of(self.packets, *packet).is_some_and(|moment| moment.takes_numbers());
        let mut again = is(&|told| matches!(told, Told::Again(_)));
        again.retain(carries);
        let reordered = is(&|told| told == Told::Reordered);
        let zero = is(&|told| told == Told::ZeroWindow);
        let probes = self.row.number(&format!("zwnd_probe_pkts_{of}")).unwrap_or(0);
        let sets: [(usize, &str, &BTreeSet<usize>, BTreeSet<usize>); 3] = [
            (4, "rexmt_data_pkts", &again, self.side.again.keys().copied().collect()),
            (5, "outoforder_pkts", &reordered, self.side.out_of_order.clone()),
            (6, "zero_win_adv", &zero, self.side.zero_windows.clone()),
        ];
        for (field, column, ours, modelled) in sets {
            let theirs = self.row.number(&format!("{column}_{of}"));
            let probes = if field == 4 { probes } else { 0 };
            if theirs.map(|theirs| theirs + probes) == Some(modelled.len() as u64) {
                sheet.compare_packets(at, fields[field], ours, &modelled, |packet, is_ours| {
                    self.other_class(packet, is_ours, told).map(str::to_owned)
                });
            } else {
                sheet.compare(at, fields[field], Some(ours.len()), theirs, || self.unread());
            }
        }
        let sum = |bytes: &dyn Fn(&flowstats::tcp::SideFacts) -> u64| -> u64 {
            self.courses
                .iter()
                .map(|course| {
                    let forward = Some((course.flow.key.src, course.flow.key.src_port))
                        == self
                            .packets
                            .iter()
                            .find(|packet| mine(packet.number))
                            .map(|packet| (packet.event.key.src, packet.event.key.src_port));
                    bytes(&course.facts.sides[usize::from(!forward)])
                })
                .sum()
        };
        let alike = again == self.side.again.keys().copied().collect();
        let bytes = self.row.number(&format!("rexmt_data_bytes_{of}"));
        let modelled: u64 = self.side.again.values().sum();
        sheet.compare(at, fields[7], Some(sum(&|side| side.retransmitted_bytes)), bytes, || {
            let controls: u64 = self
                .side
                .again
                .keys()
                .filter_map(|packet| Moment::of(self.packets, *packet))
                .map(|moment| moment.controls())
                .sum();
            let probed = bytes.map(|bytes| bytes + self.row.number(&format!("zwnd_probe_bytes_{of}")).unwrap_or(0));
            if probed != Some(modelled) {
                return None;
            }
            if !alike {
                return Some("other packets: see those above".into());
            }
            (controls > 0).then(|| "tcptrace counts a byte for each SYN and FIN, ours payload".into())
        });
        let missed = self.row.number(&format!("missed_data_{of}"));
        if let Some(missed) = missed {
            sheet.compare(at, fields[8], Some(sum(&|side| side.missing_bytes)), Some(missed), || {
                let length = self.row.number(&format!("ttl_stream_length_{of}"))?;
                let unique = self.row.number(&format!("unique_bytes_sent_{of}"))?;
                (length.checked_sub(unique) == Some(missed)).then(|| "tcptrace subtracts what it saw from the distance of SYN and FIN, whether the rest was acknowledged or not; ours counts what was acknowledged".into())
            });
        }
    }

    fn other_class(&self, packet: usize, is_ours: bool, told: &[(usize, Told)]) -> Option<&'static str> {
        let moment = Moment::of(self.packets, packet)?;
        let here: Vec<Told> = told.iter().filter(|(number, _)| *number == packet).map(|(_, told)| *told).collect();
        let again = here.iter().any(|told| matches!(told, Told::Again(_)));
        if is_ours {
            return (again && !moment.was_seen()).then_some("sent again by its identification, timestamp option or time, though its first copy was not captured: tcptrace tells it as out of order");
        }
        if here.contains(&Told::Copy) || (moment.is_copy() && !again) {
            return Some("one packet captured or delivered twice: ours tells a duplicate");
        }
        if again && !moment.was_seen() {
            return Some(
                "sent again by its identification, timestamp option or time, though its first copy was not captured: tcptrace tells it as out of order",
            );
        }
        if self.courses.iter().any(|course| course.begins_at(packet, self.packets)) {
            return Some(
                "our connection ended (silence, or ports used anew), and this begins its sender's part of the next",
            );
        }
        if moment.is_first_syn() {
            return Some("its sender's first SYN or SYN-ACK");
        }
        if moment.tcp.window == 0 && moment.tcp.flags.contains(TcpFlags::SYN) {
            return Some("the window of a SYN: tcptrace counts it, ours none of SYN and RST");
        }
        moment.follows_probe().then_some("it carries on from the byte that a probe took from it")
    }

    /// tcptrace did not take all packets for those of this connection.
    fn unread(&self) -> Option<String> {
        let counted = self.row.number("total_packets_a2b")? + self.row.number("total_packets_b2a")?;
        (counted != self.packets.len() as u64)
            .then(|| format!("tcptrace reads {counted} of the {} packets", self.packets.len()))
    }

    fn packet(&self, number: usize) -> Option<&Packet> {
        let at = self.packets.binary_search_by_key(&number, |packet| packet.number).ok()?;
        Some(self.packets[at])
    }

    fn milliseconds(&self, column: &str, of: &str) -> Option<f64> {
        self.row.get(&format!("{column}_{of}")).parse().ok()
    }
}

const FIELDS: [[&str; 9]; 2] = [
    [
        "RTT samples of a",
        "shortest RTT of a",
        "longest RTT of a",
        "mean RTT of a",
        "retransmissions of a",
        "out of order of a",
        "zero windows of a",
        "retransmitted bytes of a",
        "missing bytes of a",
    ],
    [
        "RTT samples of b",
        "shortest RTT of b",
        "longest RTT of b",
        "mean RTT of b",
        "retransmissions of b",
        "out of order of b",
        "zero windows of b",
        "retransmitted bytes of b",
        "missing bytes of b",
    ],
];

/// tcptrace prints tenths of a millisecond.
const TENTH: f64 = 0.0511;

/// How many, and the shortest, the longest and their mean in milliseconds; 0 without any, as tcptrace prints it.
fn figures(nanos: &[i64]) -> [f64; 4] {
    let ms = |nanos: Option<&i64>| nanos.map_or(0.0, |nanos| *nanos as f64 / 1e6);
    let mean = nanos.iter().sum::<i64>() as f64 / 1e6 / (nanos.len().max(1)) as f64;
    [nanos.len() as f64, ms(nanos.iter().min()), ms(nanos.iter().max()), mean]
}

/// Whether tcptrace would print these figures of its samples: a shortest one of 0 is none to it, and it adds up
/// with about four digits.
fn prints(nanos: &[i64], printed: &[Option<f64>; 4]) -> bool {
    let mut all = figures(nanos);
    let shortest = nanos.iter().fold(0, |least, nanos| if least == 0 { *nanos } else { least.min(*nanos) });
    all[1] = shortest as f64 / 1e6;
    all.iter().zip(printed).all(|(ours, theirs)| theirs.is_some_and(|theirs| near(*ours, theirs)))
}

/// Equal within what tcptrace prints.
fn near(ours: f64, theirs: f64) -> bool {
    (ours - theirs).abs() < TENTH + theirs * 2e-4
}

/// Microseconds since the epoch as tcptrace prints them: without the zeros behind the point.
fn micros(text: &str) -> i64 {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
    whole.parse::<i64>().unwrap_or(0).saturating_mul(1_000_000).saturating_add(fraction.parse().unwrap_or(0))
}
