//! Classic pcap: a file header, then records, walked in place.

use flowcore::Timestamp;
use flowcore::wire::LinkType;

use super::kind::{Kind, PREFIX, Variant};
use super::reader::{Step, Tally};
use super::record::{RawPacket, Sink};
use super::times::FAULTY_FRACTION;
use super::window::{LARGEST_RECORD, Window};

/// Bytes of the file header.
pub(super) const FILE_HEADER: usize = 24;

/// Bytes of a record header; Kuznetzov's patch adds interface index, protocol, packet type and padding.
const RECORD_HEADER: usize = 16;
const EXTENDED_RECORD_HEADER: usize = 24;

/// What the file header says.
#[derive(Copy, Clone, Debug)]
pub(super) struct Classic {
    big_endian: bool,
    nanos_per_tick: i64,
    header_bytes: usize,
    lengths: Lengths,
    pub(super) link: LinkType,
    pub(super) snap_length: u32,
}

/// In which order a record gives its two lengths.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
enum Lengths {
    /// Captured, then on the wire.
    Plain,
    /// The other way round: before version 2.3, and in DG/UX's version 543.0.
    Swapped,
    /// Version 2.3 was written both ways; captured is the smaller.
    Either,
}

impl Classic {
    /// Reads the file header.
    ///
    /// # Errors
    /// What is wrong, completing "this is …".
    pub(super) fn new(variant: Variant, header: &[u8; FILE_HEADER]) -> Result<Self, String> {
        let Variant { big_endian, nanoseconds, extended } = variant;
        let word = |at: usize| -> u32 {
            let bytes = header.get(at..).and_then(|rest| rest.first_chunk()).copied().unwrap_or_default();
            if big_endian { u32::from_be_bytes(bytes) } else { u32::from_le_bytes(bytes) }
        };
        let versions = word(4);
        let (major, minor) =
            if big_endian { (versions >> 16, versions & 0xffff) } else { (versions & 0xffff, versions >> 16) };
        let lengths = match (major, minor) {
            (2, 0..=2) | (543, 0) => Lengths::Swapped,
            (2, 3) => Lengths::Either,
            (2, _) => Lengths::Plain,
            (0 | 1, _) => return Err(format!("an archaic pcap file of version {major}.{minor}; only 2.x can be read")),
            _ => return Err(format!("a pcap file of unknown version {major}.{minor}; only 2.x can be read")),
        };
        let link_word = word(20);
        // Bits 26 and 28 to 31 tell the length of the frame check sequence; the ten between are reserved.
        if link_word & 0x03ff_0000 != 0 {
            return Err(format!("a pcap file whose link-type word {link_word:#010x} has reserved bits set"));
        }
        Ok(Self {
            big_endian,
            nanos_per_tick: if nanoseconds { 1 } else { 1_000 },
            header_bytes: if extended { EXTENDED_RECORD_HEADER } else { RECORD_HEADER },
            lengths,
            link: LinkType(link_word as u16),
            snap_length: word(16),
        })
    }

    /// Hands on the next packets that lie wholly in the window, at most `max`.
    pub(super) fn walk(&self, window: &mut Window, tally: &mut Tally, max: usize, sink: &mut impl Sink) -> Step {
        let usual = self.lengths == Lengths::Plain && self.header_bytes == RECORD_HEADER;
        match (self.big_endian, usual) {
            (false, true) => self.walk_as::<false, true>(window, tally, max, sink),
            (true, true) => self.walk_as::<true, true>(window, tally, max, sink),
            (false, false) => self.walk_as::<false, false>(window, tally, max, sink),
            (true, false) => self.walk_as::<true, false>(window, tally, max, sink),
        }
    }

    /// `USUAL`: records begin with 16 bytes, the captured length before the one on the wire.
    fn walk_as<const BIG: bool, const USUAL: bool>(
        &self,
        window: &mut Window,
        tally: &mut Tally,
        max: usize,
        sink: &mut impl Sink,
    ) -> Step {
        let Self { nanos_per_tick, lengths, link, .. } = *self;
        let header_bytes = if USUAL { RECORD_HEADER } else { self.header_bytes };
        let bytes = window.bytes();
        let start = window.start();
        let offset = window.offset();
        let place = |at: usize| offset + (at - start) as u64;
        let mut left = max;
        let mut latest = tally.times.latest;
        let mut at = start;
        let step = loop {
            if USUAL {
                let run = self.run::<BIG>(bytes, Run { at, left, latest }, sink);
                Run { at, left, latest } = run;
            }
            if left == 0 {
                break Step::Full;
            }
            let Some(header) = bytes.get(at..).and_then(|rest| rest.first_chunk::<RECORD_HEADER>()) else {
                break Step::Need { bytes: header_bytes, of: "record header" };
            };
            let (nanos, fraction) = time::<BIG>(header, nanos_per_tick);
            let (mut captured, mut wire) = (word::<BIG>(header, 8), word::<BIG>(header, 12));
            if lengths != Lengths::Plain && (lengths == Lengths::Swapped || captured > wire) {
                (captured, wire) = (wire, captured);
            }
            let body = at + header_bytes;
            let end = body + captured as usize;
            let Some(frame) = bytes.get(body..end) else {
                if captured as usize > LARGEST_RECORD {
                    break Step::Damage(absurd(header, captured));
                }
                break Step::Need { bytes: end - at, of: "record" };
            };
            if captured == 0 && is_another_file(header) {
                break Step::Damage(ANOTHER_FILE.to_owned());
            }
            let ordinal = tally.ordinal() + (max - left) as u64;
            if fraction >= FAULTY_FRACTION {
                tally.times.exceed_second(ordinal, place(at));
            }
            if nanos < latest {
                tally.times.step_back(nanos, latest, ordinal, place(at));
            } else {
                latest = nanos;
            }
            if wire < captured {
                tally.contradict(ordinal, place(at), captured, wire);
            }
            let packet = RawPacket {
                time: Timestamp::from_nanos(nanos),
                untimed: false,
                offset: body as u32,
                captured,
                wire,
                interface: 0,
                link,
            };
            sink.take(packet, frame);
            left -= 1;
            at = end;
        };
        tally.times.latest = latest;
        tally.packets += (max - left) as u64;
        window.consume_to(at);
        step
    }

    /// Hands on packets as long as nothing is in any way particular about their records; what is, is left to the walk.
    ///
    /// A function of its own, because the words about faults would take the registers that this needs.
    #[inline(never)]
    fn run<const BIG: bool>(&self, bytes: &[u8], from: Run, sink: &mut impl Sink) -> Run {
        let Self { nanos_per_tick, link, .. } = *self;
        let Run { mut at, mut left, mut latest } = from;
        let mut rest = bytes.get(at..).unwrap_or(&[]);
        while left > 0
            && let Some((header, behind)) = rest.split_first_chunk::<RECORD_HEADER>()
            && let captured = word::<BIG>(header, 8)
            && let Some((frame, behind)) = behind.split_at_checked(captured as usize)
        {
            let (nanos, fraction) = time::<BIG>(header, nanos_per_tick);
            let wire = word::<BIG>(header, 12);
            if captured == 0 || nanos < latest || fraction >= FAULTY_FRACTION || wire < captured {
                break;
            }
            latest = nanos;
            let packet = RawPacket {
                time: Timestamp::from_nanos(nanos),
                untimed: false,
                offset: (at + RECORD_HEADER) as u32,
                captured,
                wire,
                interface: 0,
                link,
            };
            sink.take(packet, frame);
            left -= 1;
            at += RECORD_HEADER + captured as usize;
            rest = behind;
        }
        Run { at, left, latest }
    }
}

/// How far a walk has come: where the next record begins, packets still wanted, the latest time.
#[derive(Copy, Clone)]
struct Run {
    at: usize,
    left: usize,
    latest: i64,
}

/// Nanoseconds since the epoch, and how many of them are the fraction of a second: 32 bits of each, even a fraction of
/// several seconds, cannot overflow 64.
#[inline(always)]
fn time<const BIG: bool>(header: &[u8; RECORD_HEADER], nanos_per_tick: i64) -> (i64, i64) {
    let fraction = i64::from(word::<BIG>(header, 4)) * nanos_per_tick;
    (i64::from(word::<BIG>(header, 0)) * 1_000_000_000 + fraction, fraction)
}

#[inline(always)]
fn word<const BIG: bool>(bytes: &[u8; RECORD_HEADER], at: usize) -> u32 {
    let word = [bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]];
    if BIG { u32::from_be_bytes(word) } else { u32::from_le_bytes(word) }
}

const ANOTHER_FILE: &str = "another capture begins here: files written one after the other cannot be read as one; name \
                            them separately";

/// Whether a record header is in truth the file header of a capture appended to this one. A classic one reads as a
/// record without bytes, because its time zone and accuracy, both 0, stand where the lengths should.
#[cold]
fn is_another_file(header: &[u8; RECORD_HEADER]) -> bool {
    let beginning: &[u8; PREFIX] = header;
    matches!(Kind::of(beginning), Kind::Classic(_) | Kind::Ng)
}

/// What to say of a record that claims more than any record may hold.
#[cold]
fn absurd(header: &[u8; RECORD_HEADER], captured: u32) -> String {
    if is_another_file(header) {
        return ANOTHER_FILE.to_owned();
    }
    format!("its record claims {captured} bytes, more than the {LARGEST_RECORD} that any may have")
}
