//! Repetitions, reorderings, gaps and windows of a connection, class by class and packet by packet, against tshark's
//! analysis flags.

use std::collections::BTreeSet;

use flowcore::TcpFlags;
use flowstats::tcp::Retransmission;

use crate::capture::{Capture, Packet};
use crate::course::{Course, Told};
use crate::segments::Moment;
use crate::sheet::{At, Sheet, Statistic};
use crate::truth::Row;

/// What tells one class: its name in the report and in tshark's table, and which of what ours tells it is.
pub struct Class {
    pub name: &'static str,
    pub column: &'static str,
    pub is: fn(Told) -> bool,
    why: fn(&Doubt<'_>) -> Option<&'static str>,
}

pub const CLASSES: [Class; 10] = [
    Class {
        name: "retransmissions",
        column: "retransmission",
        is: |told| {
            use Retransmission::{Fast, Spurious, Syn, SynAck, Timeout};
            matches!(told, Told::Again(Timeout | Fast | Spurious | Syn | SynAck))
        },
        why: |doubt| doubt.late(),
    },
    Class {
        name: "fast retransmissions",
        column: "fast_retransmission",
        is: |told| told == Told::Again(Retransmission::Fast),
        why: |doubt| doubt.fast(),
    },
    Class {
        name: "spurious retransmissions",
        column: "spurious_retransmission",
        is: |told| told == Told::Again(Retransmission::Spurious),
        why: |doubt| doubt.spurious(),
    },
    Class {
        name: "out of order",
        column: "out_of_order",
        is: |told| told == Told::Reordered,
        why: |doubt| doubt.late(),
    },
    Class {
        name: "duplicate ACKs",
        column: "duplicate_ack",
        is: |told| told == Told::DuplicateAck,
        why: |doubt| doubt.duplicate_ack(),
    },
    Class {
        name: "zero windows",
        column: "zero_window",
        is: |told| told == Told::ZeroWindow,
        why: |doubt| doubt.zero_window(),
    },
    Class {
        name: "zero-window probes",
        column: "zero_window_probe",
        is: |told| told == Told::Again(Retransmission::WindowProbe),
        why: |doubt| doubt.copy(),
    },
    Class {
        name: "keep-alives",
        column: "keep_alive",
        is: |told| told == Told::Again(Retransmission::KeepAlive),
        why: |doubt| doubt.copy(),
    },
    Class { name: "gaps", column: "lost_segment", is: |told| matches!(told, Told::Jump(_)), why: |doubt| doubt.gap() },
    Class {
        name: "ACKs of missing data",
        column: "ack_lost_segment",
        is: |told| matches!(told, Told::Missing(_)),
        why: |doubt| doubt.missing(),
    },
];

/// Compares one stream: `courses` are our connections of it, `packets` its segments in the file's order.
pub fn compare(
    (capture, subject): (&Capture, &str),
    (courses, packets): (&[&Course], &[&Packet]),
    (row, analysis): (&Row, &[Row]),
    sheet: &mut Sheet,
) {
    let at = At { statistic: Statistic::Repetitions, file: &capture.name, subject };
    let told: Vec<(usize, Told)> = courses.iter().flat_map(|course| course.told.iter().copied()).collect();
    let flags: Vec<BTreeSet<usize>> =
        CLASSES.iter().map(|class| flagged(analysis, row.get("stream"), class.column)).collect();
    for (class, theirs) in CLASSES.iter().zip(&flags) {
        // The table beside this test was made by another run than the truth.
        assert_eq!(Some(theirs.len() as u64), row.number(class.column), "{}: {subject}", capture.name);
        let is = |told: &&(usize, Told)| (class.is)(told.1);
        let ours: BTreeSet<usize> = told.iter().filter(is).map(|(packet, _)| *packet).collect();
        sheet.compare_packets(at, class.name, &ours, theirs, |number, is_ours| {
            let named = CLASSES.iter().zip(&flags).filter(|(_, packets)| packets.contains(&number));
            let doubt = Doubt {
                moment: Moment::of(packets, number)?,
                ours: is_ours,
                told: told.iter().filter(|(packet, _)| *packet == number).map(|(_, told)| *told).collect(),
                flags: named.map(|(class, _)| class.column).collect(),
                gaps: CLASSES
                    .iter()
                    .zip(&flags)
                    .find(|(class, _)| class.column == "lost_segment")
                    .map(|(_, gaps)| gaps)?,
                first: courses.iter().any(|course| course.begins_at(number, packets)),
            };
            (class.why)(&doubt).map(str::to_owned)
        });
    }
}

/// The packets of one stream and class in `tshark.tsv`.
fn flagged(analysis: &[Row], stream: &str, class: &str) -> BTreeSet<usize> {
    let mut packets = BTreeSet::new();
    for row in analysis.iter().filter(|row| row.get("stream") == stream && row.get("class") == class) {
        for run in row.list("packets") {
            let (first, last) = run.split_once('-').unwrap_or((run, run));
            let bound = |text: &str| text.parse::<usize>().expect("the table's script writes numbers");
            packets.extend(bound(first)..=bound(last));
        }
    }
    packets
}

/// A packet that only one side names, and what is known of it.
pub struct Doubt<'a> {
    moment: Moment<'a>,
    /// Ours names it, tshark does not.
    ours: bool,
    /// All that ours tells of it.
    told: Vec<Told>,
    /// All that tshark names it.
    flags: Vec<&'static str>,
    /// Where tshark tells a gap.
    gaps: &'a BTreeSet<usize>,
    /// It is the first of its sender in one of our connections, and not in the stream.
    first: bool,
}

impl Doubt<'_> {
    fn copy(&self) -> Option<&'static str> {
        if self.ours || !self.moment.is_copy() {
            return None;
        }
        Some(if self.told.contains(&Told::Copy) {
            "one packet captured or delivered twice (same identification, or a timestamp option not newer, or within 10 ms): ours \
             tells a duplicate, tshark what a second sending would be"
        } else {
            DELAYED
        })
    }

    fn numbered_alike(&self) -> Option<&'static str> {
        (self.told.contains(&Told::Copy) && self.moment.is_numbered_alike())
            .then_some("all packets of its sender have the same identification, by which ours takes it for a copy")
    }

    fn has(&self, flag: &str) -> bool {
        self.flags.contains(&flag)
    }

    /// Sent again, or overtaken.
    fn late(&self) -> Option<&'static str> {
        let moment = &self.moment;
        let again = self.told.iter().any(|told| matches!(told, Told::Again(_)));
        let reordered = self.told.contains(&Told::Reordered);
        Some(match (again, reordered) {
            (true, _) if self.has("out_of_order") && moment.sent_after_jump() == Some(true) => {
                "its identification or timestamp option is later than that of the segment that came before it: sent again; tshark \
                 goes by the time that passed (3 ms, or the first round trip)"
            }
            (true, _) if self.has("out_of_order") && moment.was_acknowledged() => {
                "it was acknowledged before it came: sent again; tshark goes by the time that passed since"
            }
            (true, _) if self.has("out_of_order") && moment.is_copy() => DELAYED,
            (true, _) if self.has("out_of_order") && moment.was_seen() => {
                "all that it carries had been captured before: sent again; tshark goes by the time that passed since"
            }
            (true, _) if self.has("out_of_order") && moment.is_partly_new() => {
                "it brings bytes again, and new ones behind them: nothing that was overtaken does"
            }
            (true, _) if self.has("out_of_order") && moment.came_a_round_trip_after_jump() => {
                "a round trip had passed since the segment that came before it: sent again; for tshark 3 ms must have"
            }
            (true, _) if self.flags.is_empty() && moment.follows_probe() => {
                "its byte had been sent as a zero-window probe, and tshark does not count those as sent"
            }
            (_, true) if self.has("retransmission") && moment.sent_after_jump() == Some(false) => {
                "its identification or timestamp option is older than that of the segment that came before it: overtaken; tshark \
                 goes by the time that passed"
            }
            (_, true) if moment.is_earlier_than_jump() || (moment.was_acknowledged() && !moment.was_seen()) => {
                "the capture has it behind its own successor or acknowledgment, by its times or because nobody can acknowledge what \
                 was not sent: ours tells it as overtaken"
            }
            (false, false) if self.is_behind_its_ack() => BEHIND_ITS_ACK,
            (false, false) if self.first => {
                "our connection ended (silence, or ports used anew), and this begins its sender's part of the next"
            }
            (false, false) if moment.is_first_syn() => {
                "its sender's first SYN or SYN-ACK; tshark has seen another segment with its number, or behind it"
            }
            (false, false) if moment.follows_probe() => "it carries on from the byte that a probe took from it",
            _ => return self.copy().or_else(|| self.numbered_alike()),
        })
    }

    fn fast(&self) -> Option<&'static str> {
        if !self.ours {
            let unasked = self.told.contains(&Told::Again(Retransmission::Timeout)) && self.moment.asked() == 0;
            return if unasked { Some("no bare ACK had asked for it: ours tells a timeout") } else { self.copy() };
        }
        if self.has("out_of_order") {
            return self.late();
        }
        let asked = self.moment.asked() > 0 || self.moment.in_recovery();
        (asked && self.has("retransmission") && !self.moment.fast_for_tshark()).then_some(
            "the receiver had asked for it, or for what was lost with it (RFC 6675); for tshark only what begins at the \
             acknowledgment and comes within 20 ms of the second duplicate ACK is fast",
        )
    }

    fn is_behind_its_ack(&self) -> bool {
        self.moment.was_acknowledged() && !self.moment.was_seen()
    }

    fn spurious(&self) -> Option<&'static str> {
        let moment = &self.moment;
        if !self.ours {
            let behind = || self.is_behind_its_ack().then_some(BEHIND_ITS_ACK);
            return if self.told.contains(&Told::Reordered) { self.late() } else { self.copy().or_else(behind) };
        }
        if self.has("out_of_order") {
            return self.late();
        }
        if moment.was_acknowledged() && moment.packet.event.payload_bytes == 0 {
            return Some("a FIN that was acknowledged before: for tshark only payload can be");
        }
        if moment.was_acknowledged() && moment.last_ack_is_old() {
            return Some(
                "it was acknowledged before, but an older acknowledgment had come again, by which tshark goes",
            );
        }
        (moment.is_reported_later() || moment.is_echoed_earlier()).then_some(
            "a SACK block reported it as a duplicate afterwards (RFC 2883), or the ACK of it echoed the timestamp of the first copy \
             (RFC 3522): tshark reads neither",
        )
    }

    fn duplicate_ack(&self) -> Option<&'static str> {
        if self.ours {
            return self.moment.moves_window_with_sack().then_some(
                "the window differs from that before, but a SACK option says what is missing (RFC 6675 section 2): tshark wants the \
                 same window",
            );
        }
        if self.moment.acknowledges_all() {
            return Some(
                "nothing is outstanding, so that nothing is asked for (RFC 5681 section 2): tshark counts every bare ACK that repeats \
                 the one before",
            );
        }
        self.copy()
    }

    fn zero_window(&self) -> Option<&'static str> {
        let fin = self.ours && self.moment.tcp.flags.contains(TcpFlags::FIN);
        fin.then_some("it carries a FIN too: tshark tells windows of segments without control bits only")
    }

    fn gap(&self) -> Option<&'static str> {
        if self.ours {
            return None;
        }
        if self.moment.begins_acknowledged() {
            return Some("the receiver had acknowledged what is missing before it: ours has counted it at that ACK");
        }
        if self.moment.is_other_syn() {
            return Some("a SYN with another number begins the stream anew");
        }
        self.first.then_some(BEGUN)
    }

    fn missing(&self) -> Option<&'static str> {
        let moment = &self.moment;
        if !self.ours {
            if moment.acknowledges_only_seen() {
                return Some(
                    "every byte that it acknowledges had been captured: late segments do not move tshark's mark",
                );
            }
            return self.first.then_some(BEGUN);
        }
        if moment.acknowledges_gap(self.gaps) {
            return Some(
                "tshark has told the gap when a later segment showed it; ours counts what is missing when it is acknowledged",
            );
        }
        if moment.follows_its_sender() {
            return Some(
                "its sender's packet before it had nothing of the other end behind it: there tshark does not ask again",
            );
        }
        (moment.peer_is_unseen() || moment.peer_began_behind()).then_some(
            "nothing of the other end had been captured, or its first segment began behind what was acknowledged before: tshark \
             begins there, ours counts what is acknowledged",
        )
    }
}

const BEGUN: &str =
    "the first packet of its sender in a connection of ours that begins after silence: what came before is not known";

const BEHIND_ITS_ACK: &str = "the capture has its acknowledgment just before it: nobody can acknowledge what was not sent, so that \
                              for ours nothing was sent again";

const DELAYED: &str = "an earlier packet once more, behind later ones of its sender (same identification, or a timestamp option not \
     newer): tshark goes by numbers and time, ours by the latest identification only; neither tells a duplicate";
