//! The one sentence about what is wrong with an input.

use std::fmt::Write;

use super::kind::Compression;
use super::times::Times;

/// Damage at one place of an input.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Damage {
    /// One-based number of the packet that could not be read, or would have come next.
    pub(super) packet: u64,
    /// Where the record or block begins, in bytes of the (uncompressed) stream.
    pub(super) offset: u64,
    /// What is wrong there; completes "packet 3 at byte 120: …".
    pub(super) what: String,
}

/// What is odd at some places of an input, though reading goes on.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(super) enum Odd {
    /// An option list behind a packet goes on beyond its block.
    PacketOptions,
    /// The same of a description of an interface.
    InterfaceOptions,
    /// The same of statistics of an interface.
    StatisticsOptions,
    /// More bytes were captured than there were.
    Lengths,
    /// A time that cannot be said.
    Time,
}

/// What was odd: of each kind the first place, and how many there were.
#[derive(Debug, Default)]
pub(super) struct Oddities(Vec<(Odd, Damage, u64)>);

impl Oddities {
    /// Notes one more at `offset`; `packet` is the packet or the one that comes next.
    #[cold]
    pub(super) fn note(&mut self, odd: Odd, packet: u64, offset: u64, what: impl FnOnce() -> String) {
        match self.0.iter_mut().find(|(kind, ..)| *kind == odd) {
            Some((.., count)) => *count += 1,
            None => self.0.push((odd, Damage { packet, offset, what: what() }, 1)),
        }
    }

    pub(super) fn total(&self) -> u64 {
        self.0.iter().map(|(.., count)| count).sum()
    }

    /// Whether counts of losses may stand where nobody could read them.
    pub(super) fn hide_losses(&self) -> bool {
        self.0.iter().any(|(odd, ..)| matches!(odd, Odd::PacketOptions | Odd::StatisticsOptions))
    }
}

/// Everything that may be wrong with one input.
#[derive(Debug)]
pub(super) struct Complaint<'a> {
    pub(super) name: &'a str,
    pub(super) compression: Option<Compression>,
    /// Packets that could be read.
    pub(super) packets: u64,
    /// Where reading ended before the input did.
    pub(super) end: Option<&'a Damage>,
    /// The first block that was left out.
    pub(super) skipped: Option<&'a Damage>,
    /// How many were.
    pub(super) skipped_blocks: u64,
    pub(super) oddities: &'a Oddities,
    pub(super) times: &'a Times,
}

impl Complaint<'_> {
    /// The sentence; `None` if nothing is wrong.
    pub(super) fn words(&self) -> Option<String> {
        let mut clauses = Vec::new();
        let stream = match self.compression {
            Some(compression) => format!(" of the decompressed stream ({})", compression.name()),
            None => String::new(),
        };
        if let Some(Damage { packet, offset, what }) = self.end {
            let before = match self.packets {
                0 => "no packet could be read".to_owned(),
                1 => "the one packet before it was read".to_owned(),
                count => format!("{count} packets before it were read"),
            };
            clauses.push(format!("packet {packet} at byte {offset}{stream}: {what}; {before}"));
        }
        if let Some(Damage { packet, offset, what }) = self.skipped {
            let others = match self.skipped_blocks {
                0 | 1 => String::new(),
                blocks => format!(", the first of {blocks}"),
            };
            clauses.push(format!("left out packet {packet} at byte {offset}{stream}{others}: {what}"));
        }
        for (odd, Damage { packet, offset, what }, count) in &self.oddities.0 {
            let before = match odd {
                Odd::InterfaceOptions | Odd::StatisticsOptions => "the block before ",
                Odd::PacketOptions | Odd::Lengths | Odd::Time => "",
            };
            let others = match count {
                1 => String::new(),
                count => format!(", the first of {count}"),
            };
            clauses.push(format!("{before}packet {packet} at byte {offset}{stream}{others}: {what}"));
        }
        if let Some(spot) = self.times.first_beyond {
            let others = match self.times.beyond_second {
                1 => String::new(),
                count => format!(", the first of {count}"),
            };
            clauses.push(format!(
                "packet {} at byte {}{stream}{others}: its fraction of a second is two seconds or more, added as it stands",
                spot.packet, spot.offset
            ));
        }
        if let Some(spot) = self.times.first_backwards {
            let mut clause = format!("time runs backwards at packet {} at byte {}{stream}", spot.packet, spot.offset);
            let seconds = self.times.largest as f64 / 1e9;
            let _infallible = match self.times.within_interface {
                1 if self.times.backwards == 1 => write!(clause, ", by {seconds} s"),
                count if count == self.times.backwards => {
                    write!(clause, ", the first of {count}, by up to {seconds} s")
                }
                // The trust line counts the small steps too, and those between interfaces.
                1 => write!(clause, ", the only one by more than 1 ms within an interface, by {seconds} s"),
                count => {
                    write!(clause, ", the first of {count} by more than 1 ms within an interface, by up to {seconds} s")
                }
            };
            clauses.push(clause);
        }
        (!clauses.is_empty()).then(|| format!("{}: {}", self.name, clauses.join("; ")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sentence_names_packet_and_byte() {
        let mut times = Times::default();
        times.step_back(5, 2_000_000_005, 3, 200);
        times.step_back(5, 1_000_006, 4, 300);
        times.step_back(5, 1_000_005, 5, 400);
        let damage = Damage { packet: 12, offset: 1056, what: "the file ends within it".into() };
        let complaint = Complaint {
            name: "x.pcap.gz",
            compression: Some(Compression::Gzip),
            packets: 11,
            end: Some(&damage),
            skipped: None,
            skipped_blocks: 0,
            oddities: &Oddities::default(),
            times: &times,
        };
        assert_eq!(
            complaint.words().unwrap(),
            "x.pcap.gz: packet 12 at byte 1056 of the decompressed stream (gzip): the file ends within it; 11 packets \
             before it were read; time runs backwards at packet 3 at byte 200 of the decompressed stream (gzip), the \
             first of 2 by more than 1 ms within an interface, by up to 2 s"
        );
    }

    #[test]
    fn a_sound_file_has_none() {
        let complaint = Complaint {
            name: "x",
            compression: None,
            packets: 1,
            end: None,
            skipped: None,
            skipped_blocks: 0,
            oddities: &Oddities::default(),
            times: &Times::default(),
        };
        assert_eq!(complaint.words(), None);
    }
}
