//! Repetitions, reorderings and windows of a connection, class by class, against tshark's analysis flags.

use flowcore::event::Detail;
use flowcore::{FlowKey, TcpFlags};
use flowstats::tcp::{Retransmission, SideFacts};

use crate::capture::{Capture, Packet};
use crate::course::Course;
use crate::sheet::{At, Sheet, Statistic};
use crate::truth::Row;

/// Compares one stream; `packets` are its segments in the file's order.
pub fn compare(
    (capture, subject): (&Capture, &str),
    course: &Course,
    packets: &[&Packet],
    row: &Row,
    sheet: &mut Sheet,
) {
    let at = At { statistic: Statistic::Repetitions, file: &capture.name, subject };
    let sum = |count: &dyn Fn(&SideFacts) -> u64| course.facts.sides.iter().map(count).sum::<u64>();
    let kind = |kind: Retransmission| sum(&|side| side.sent_again(kind));
    let opening = &course.facts.opening;
    let ours = [
        ("retransmissions", "retransmission", sum(&SideFacts::all_sent_again)),
        ("fast retransmissions", "fast_retransmission", kind(Retransmission::Fast)),
        ("spurious retransmissions", "spurious_retransmission", kind(Retransmission::Spurious)),
        ("out of order", "out_of_order", sum(&|side| side.reordered)),
        ("duplicate ACKs", "duplicate_ack", sum(&|side| side.duplicate_acks)),
        ("zero windows", "zero_window", sum(&|side| side.zero_windows)),
        ("zero-window probes", "zero_window_probe", kind(Retransmission::WindowProbe)),
        ("keep-alives", "keep_alive", kind(Retransmission::KeepAlive)),
        ("SYNs", "syn", u64::from(opening.repeated_syns) + u64::from(opening.first_syn.is_some())),
        ("SYN-ACKs", "synack", u64::from(opening.repeated_syn_acks) + u64::from(opening.syn_ack.is_some())),
    ];
    let copies = sum(&|side| side.duplicates);
    let (again, late) = (ours[0].2, ours[3].2);
    let theirs = |column: &str| row.number(column).unwrap_or(0);
    let same_segments = again + late == theirs("retransmission") + theirs("out_of_order");
    for (field, column, ours) in ours {
        sheet.compare(at, field, Some(ours), Some(theirs(column)), || {
            let theirs = theirs(column);
            if field == "duplicate ACKs" && duplicate_acks_of_tshark(packets) == theirs {
                let why = if ours < theirs {
                    "tshark counts every bare ACK that repeats the one before; ours those that ask for a segment: something is \
                     outstanding, and the packet is no copy (RFC 5681 section 2)"
                } else {
                    "tshark wants the same window as before; ours lets it differ where a SACK option says what is missing (RFC 6675 \
                     section 2)"
                };
                return Some(why.to_owned());
            }
            if theirs > ours && theirs - ours <= copies {
                return Some(format!(
                    "{copies} packets are copies of one sending (same IPv4 identification, or a timestamp older than the newest, or within \
                     1 ms unasked): ours counts them as duplicates, tshark as sent again"
                ));
            }
            match field {
                "retransmissions" | "out of order" if same_segments => Some(
                    "the same late segments: ours asks identification and timestamp option first whether one was sent before what came \
                     before it, then whether a round trip had passed; tshark whether 3 ms or the first round trip had"
                        .to_owned(),
                ),
                "fast retransmissions" if ours > theirs && same_segments => Some(
                    "the same segments: for tshark only those within 20 ms of a second duplicate ACK are fast, ours counts all that \
                     three of them or a recovery brought about"
                        .to_owned(),
                ),
                "spurious retransmissions" if ours > theirs && same_segments => Some(
                    "the same segments: ours also counts FINs that were acknowledged before, and what a duplicate SACK block \
                     reported afterwards"
                        .to_owned(),
                ),
                _ => None,
            }
        });
    }
}

/// Duplicate ACKs as tshark 4.0 counts them: no payload, no SYN, FIN or RST, and window, sequence and acknowledgment number
/// of the sender's segment before.
fn duplicate_acks_of_tshark(packets: &[&Packet]) -> u64 {
    #[derive(Default, Clone, Copy)]
    struct Sent {
        key: Option<FlowKey>,
        window: u16,
        next: u32,
        ack: u32,
    }
    let mut sides = [Sent::default(); 2];
    let mut count = 0;
    for packet in packets {
        let Detail::Tcp(tcp) = packet.event.detail else { continue };
        let key = packet.event.key;
        let place = usize::from(sides[0].key.is_some_and(|first| first != key));
        let side = &mut sides[place];
        let control = tcp.flags.intersects(TcpFlags::SYN | TcpFlags::FIN | TcpFlags::RST);
        let payload = packet.event.payload_bytes;
        let length =
            payload + u32::from(tcp.flags.contains(TcpFlags::SYN)) + u32::from(tcp.flags.contains(TcpFlags::FIN));
        if side.key.is_some()
            && payload == 0
            && !control
            && tcp.window != 0
            && (tcp.window, tcp.seq, tcp.ack) == (side.window, side.next, side.ack)
        {
            count += 1;
        }
        let end = tcp.seq.wrapping_add(length);
        if side.key.is_none() || end.wrapping_sub(side.next) as i32 > 0 {
            side.next = end;
        }
        side.key = Some(key);
        side.window = tcp.window;
        side.ack = tcp.ack;
    }
    count
}
