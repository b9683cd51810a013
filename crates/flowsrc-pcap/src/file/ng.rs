//! pcapng: blocks in sections, walked in place.
//!
//! The enhanced packet block has a path of its own that touches its header and its trailer and nothing else; every
//! other block, and every enhanced packet block that is not as it should be, goes through [`Ng::block`].

use std::collections::HashMap;

use flowcore::Timestamp;
use flowcore::wire::LinkType;

use super::clock::Clock;
use super::fault::Damage;
use super::kind::SECTION_HEADER;
use super::reader::{Step, Tally};
use super::record::{Interface, RawPacket, Sink};
use super::window::{BUFFER, LARGEST_RECORD, Window};

/// Type and length before a block's body, the length again behind it.
const FRAME: usize = 12;
/// Up to and including the section length.
pub(super) const SECTION_HEADER_BYTES: usize = 28;
/// Up to where the packet's bytes begin, in enhanced packet blocks and obsolete packet blocks.
const PACKET_HEADER: usize = 28;
/// An enhanced packet block or obsolete packet block without packet bytes and options.
const PACKET_FRAME: usize = 32;

mod block {
    pub(super) const INTERFACE: u32 = 1;
    pub(super) const PACKET: u32 = 2;
    pub(super) const SIMPLE_PACKET: u32 = 3;
    pub(super) const STATISTICS: u32 = 5;
    pub(super) const ENHANCED_PACKET: u32 = 6;
}

/// The same number in every block's option list.
mod option {
    pub(super) const END: u16 = 0;
    pub(super) const IF_NAME: u16 = 2;
    pub(super) const IF_DESCRIPTION: u16 = 3;
    pub(super) const IF_TSRESOL: u16 = 9;
    pub(super) const IF_TSOFFSET: u16 = 14;
    pub(super) const EPB_DROPCOUNT: u16 = 4;
    pub(super) const ISB_IFRECV: u16 = 4;
    pub(super) const ISB_IFDROP: u16 = 5;
    pub(super) const ISB_OSDROP: u16 = 7;
}

/// A drop counter above this is taken for "unknown": writers leave all ones where they have no number.
const PLAUSIBLE_COUNT: u64 = 1 << 56;

/// The state of one pcapng stream.
#[derive(Debug, Default)]
pub(super) struct Ng {
    begun: bool,
    /// Sections begun before the current one.
    section: u32,
    big_endian: bool,
    /// Interfaces of the current section, by their number in it.
    slots: Vec<Slot>,
    /// Interfaces of all sections, in the order of their descriptions.
    pub(super) interfaces: Vec<Interface>,
    /// The latest time seen in earlier sections, by link type and name of the interface.
    latest: HashMap<(LinkType, Option<String>), i64>,
}

/// What the packet path needs of an interface.
#[derive(Copy, Clone, Debug)]
struct Slot {
    clock: Clock,
    /// The latest time seen on it.
    latest: i64,
    snap_length: u32,
    link: LinkType,
    /// Index into [`Ng::interfaces`].
    number: u16,
}

/// What became of a block off the packet path.
enum Outcome {
    /// All of its bytes were used.
    Consumed(usize),
    /// It has nothing for us; only its length matters.
    Skip(u64),
    /// The byte order may have changed.
    Section(usize),
    /// A packet whose `offset` counts from the block, and the block's length.
    Packet(RawPacket, usize),
    /// A packet block of this length that makes no sense; the walk can go on behind it.
    LeftOut(usize, String),
    Stop(Step),
}

impl Ng {
    /// What is wrong with a first section header, completing "this is …"; `None` if it can be read.
    pub(super) fn refuses(header: &[u8; SECTION_HEADER_BYTES]) -> Option<String> {
        let big_endian = byte_order(header)?;
        let (major, minor) = (half(header, 12, big_endian)?, half(header, 14, big_endian)?);
        (major != 1).then(|| format!("a pcapng file of unknown version {major}.{minor}; only 1.x can be read"))
    }

    /// Whether no section was begun yet.
    pub(super) fn is_blank(&self) -> bool {
        !self.begun
    }

    /// Hands on the next packets that lie wholly in the window, at most `max`.
    pub(super) fn walk(&mut self, window: &mut Window, tally: &mut Tally, max: usize, sink: &mut impl Sink) -> Step {
        let full = tally.packets.saturating_add(max as u64);
        loop {
            let step = if self.big_endian {
                self.walk_as::<true>(window, tally, full, sink)
            } else {
                self.walk_as::<false>(window, tally, full, sink)
            };
            // `None`: a section began, perhaps in the other byte order.
            if let Some(step) = step {
                return step;
            }
        }
    }

    fn walk_as<const BIG: bool>(
        &mut self,
        window: &mut Window,
        tally: &mut Tally,
        full: u64,
        sink: &mut impl Sink,
    ) -> Option<Step> {
        let start = window.start();
        let offset = window.offset();
        let place = |at: usize| offset + (at - start) as u64;
        let bytes = window.bytes();
        let mut at = start;
        let mut skip = 0;
        let step = loop {
            if tally.packets >= full {
                break Some(Step::Full);
            }
            let rest = bytes.get(at..).unwrap_or(&[]);
            if let Some(header) = rest.first_chunk::<PACKET_HEADER>()
                && word::<BIG>(header, 0) == block::ENHANCED_PACKET
                && let total = word::<BIG>(header, 4) as usize
                && total >= PACKET_FRAME
                && total.is_multiple_of(4)
                && let Some(trailer) = rest.get(..total).and_then(|block| block.last_chunk::<4>())
                && order::<BIG>(*trailer) as usize == total
                && let captured = word::<BIG>(header, 20)
                && captured as usize <= total - PACKET_FRAME
                && let Some(slot) = self.slots.get_mut(word::<BIG>(header, 8) as usize)
            {
                let ticks = u64::from(word::<BIG>(header, 12)) << 32 | u64::from(word::<BIG>(header, 16));
                let nanos = slot.clock.nanos(ticks);
                if nanos < tally.times.latest {
                    tally.times.step_back(nanos, slot.latest, tally.ordinal(), place(at));
                    slot.latest = slot.latest.max(nanos);
                } else {
                    tally.times.latest = nanos;
                    slot.latest = nanos;
                }
                let number = slot.number;
                let packet = RawPacket {
                    time: Timestamp::from_nanos(nanos),
                    untimed: false,
                    offset: (at + PACKET_HEADER) as u32,
                    captured,
                    wire: word::<BIG>(header, 24).max(captured),
                    interface: number,
                    link: slot.link,
                };
                sink.take(packet, rest.get(PACKET_HEADER..PACKET_HEADER + captured as usize).unwrap_or(&[]));
                tally.packets += 1;
                let options = PACKET_HEADER + (captured as usize).next_multiple_of(4);
                if options + 4 < total {
                    self.note_drops::<BIG>(number, rest.get(options..total - 4).unwrap_or(&[]));
                }
                at += total;
                continue;
            }
            match self.block::<BIG>(rest, tally) {
                Outcome::Consumed(total) => at += total,
                Outcome::Skip(total) => {
                    skip = total;
                    break Some(Step::Need { bytes: FRAME, of: "block" });
                }
                Outcome::Section(total) => {
                    at += total;
                    break None;
                }
                Outcome::Packet(packet, total) => {
                    let packet = RawPacket { offset: at as u32 + packet.offset, ..packet };
                    sink.take(packet, packet.bytes(bytes));
                    let nanos = packet.time.as_nanos();
                    // The numbers of a section's interfaces follow each other.
                    let first = self.slots.first().map_or(0, |slot| slot.number);
                    let mut own_latest = i64::MIN;
                    if let Some(slot) = self.slots.get_mut(usize::from(packet.interface - first)) {
                        own_latest = slot.latest;
                        slot.latest = slot.latest.max(nanos);
                    }
                    if nanos < tally.times.latest {
                        tally.times.step_back(nanos, own_latest, tally.ordinal(), place(at));
                    } else {
                        tally.times.latest = nanos;
                    }
                    tally.packets += 1;
                    at += total;
                }
                Outcome::LeftOut(total, what) => {
                    tally.leave_out(Damage { packet: tally.ordinal(), offset: place(at), what });
                    at += total;
                }
                Outcome::Stop(step) => break Some(step),
            }
        };
        window.consume_to(at);
        if skip > 0 {
            window.skip(skip);
        }
        step
    }

    /// Any block but a sound enhanced packet block. `rest` begins with it and may end within it.
    #[inline(never)]
    fn block<const BIG: bool>(&mut self, rest: &[u8], tally: &mut Tally) -> Outcome {
        let need = |bytes| Outcome::Stop(Step::Need { bytes, of: "block" });
        if rest.len() < FRAME {
            return need(FRAME);
        }
        if rest.starts_with(&SECTION_HEADER) {
            return self.section(rest);
        }
        let kind = word::<BIG>(rest, 0);
        let total = word::<BIG>(rest, 4) as usize;
        if let Some(step) = absurd(kind, total) {
            return Outcome::Stop(step);
        }
        let wanted = matches!(
            kind,
            block::INTERFACE | block::PACKET | block::SIMPLE_PACKET | block::STATISTICS | block::ENHANCED_PACKET
        );
        let Some(whole) = rest.get(..total) else {
            return match total {
                _ if !wanted && total > BUFFER => Outcome::Skip(total as u64),
                _ if total > LARGEST_RECORD => Outcome::Stop(Step::Damage(format!(
                    "a block of type {kind} claims {total} bytes, more than the {LARGEST_RECORD} that any may have"
                ))),
                _ => need(total),
            };
        };
        if let Some(step) = mismatch(total, whole.last_chunk().map_or(0, |&bytes| order::<BIG>(bytes))) {
            return Outcome::Stop(step);
        }
        match kind {
            block::INTERFACE => self.interface::<BIG>(whole),
            block::STATISTICS => self.statistics::<BIG>(whole),
            block::ENHANCED_PACKET => self.unsound::<BIG>(whole),
            block::PACKET => self.obsolete_packet::<BIG>(whole),
            block::SIMPLE_PACKET => self.simple_packet::<BIG>(whole, tally),
            _ => Outcome::Consumed(total),
        }
    }

    fn section(&mut self, rest: &[u8]) -> Outcome {
        let Some(header) = rest.first_chunk::<SECTION_HEADER_BYTES>() else {
            return Outcome::Stop(Step::Need { bytes: SECTION_HEADER_BYTES, of: "section header" });
        };
        let damage = |what: String| Outcome::Stop(Step::Damage(what));
        let Some(big_endian) = byte_order(header) else {
            return damage("a section header without the byte-order magic 1a2b3c4d".to_owned());
        };
        let number = |at| if big_endian { word::<true>(rest, at) } else { word::<false>(rest, at) };
        let total = number(4) as usize;
        if !(SECTION_HEADER_BYTES..=LARGEST_RECORD).contains(&total) || !total.is_multiple_of(4) {
            return damage(format!("a section header that claims {total} bytes"));
        }
        if rest.len() < total {
            return Outcome::Stop(Step::Need { bytes: total, of: "section header" });
        }
        if let Some(step) = mismatch(total, number(total - 4)) {
            return Outcome::Stop(step);
        }
        if let Some(words) = Self::refuses(header) {
            return damage(format!("a section of {words}"));
        }
        self.section += u32::from(self.begun);
        self.begun = true;
        self.big_endian = big_endian;
        for slot in self.slots.drain(..) {
            let name = self.interfaces.get(usize::from(slot.number)).and_then(|interface| interface.name.clone());
            let latest = self.latest.entry((slot.link, name)).or_insert(i64::MIN);
            *latest = slot.latest.max(*latest);
        }
        Outcome::Section(total)
    }

    fn interface<const BIG: bool>(&mut self, whole: &[u8]) -> Outcome {
        /// Up to where the options begin.
        const HEADER: usize = 16;
        let Some(options) = whole.get(HEADER..whole.len() - 4) else {
            return Outcome::Stop(Step::Damage(format!("an interface description of only {} bytes", whole.len())));
        };
        let Some(number) = u16::try_from(self.interfaces.len()).ok().filter(|&number| number < u16::MAX) else {
            return Outcome::Stop(Step::Damage(format!("more than {} interfaces", u16::MAX)));
        };
        let link = LinkType(half(whole, 8, BIG).unwrap_or_default());
        let snap_length = word::<BIG>(whole, 12);
        let mut interface = Interface { link, snap_length, section: self.section, ..Interface::default() };
        let (mut resolution, mut offset_seconds) = (Clock::MICROSECONDS, 0);
        for (code, value) in Options::<BIG>(options) {
            match (code, value) {
                (option::IF_NAME, _) => interface.name = Some(text(value)),
                (option::IF_DESCRIPTION, _) => interface.description = Some(text(value)),
                (option::IF_TSRESOL, &[written, ..]) => resolution = written,
                (option::IF_TSOFFSET, _) => offset_seconds = long::<BIG>(value).unwrap_or(0) as i64,
                _ => {}
            }
        }
        // It goes on with the interface of an earlier section that has its name and link type, as files do that were put
        // together of pieces.
        let latest = self.latest.get(&(link, interface.name.clone())).copied().unwrap_or(i64::MIN);
        self.interfaces.push(interface);
        let clock = Clock::new(resolution, offset_seconds);
        self.slots.push(Slot { clock, latest, snap_length, link, number });
        Outcome::Consumed(whole.len())
    }

    /// Statistics count from the start of the capture, so the last block of an interface says all. A counter that went
    /// back keeps its largest value: what was lost stays lost.
    fn statistics<const BIG: bool>(&mut self, whole: &[u8]) -> Outcome {
        /// Up to where the options begin.
        const HEADER: usize = 20;
        if let Some(slot) = self.slots.get(word::<BIG>(whole, 8) as usize)
            && let Some(interface) = self.interfaces.get_mut(usize::from(slot.number))
            && let Some(options) = whole.get(HEADER..whole.len() - 4)
        {
            for (code, value) in Options::<BIG>(options) {
                let counter = match code {
                    option::ISB_IFRECV => &mut interface.statistics.received,
                    option::ISB_IFDROP => &mut interface.statistics.interface_drops,
                    option::ISB_OSDROP => &mut interface.statistics.kernel_drops,
                    _ => continue,
                };
                *counter = long::<BIG>(value).filter(|&count| count < PLAUSIBLE_COUNT).max(*counter);
            }
        }
        Outcome::Consumed(whole.len())
    }

    /// An enhanced packet block that the packet path did not take although it is all there.
    #[cold]
    fn unsound<const BIG: bool>(&self, whole: &[u8]) -> Outcome {
        let total = whole.len();
        if total < PACKET_FRAME {
            return Outcome::LeftOut(total, format!("an enhanced packet block of only {total} bytes"));
        }
        self.no_such_packet(total, word::<BIG>(whole, 8), word::<BIG>(whole, 20))
    }

    #[cold]
    fn no_such_packet(&self, total: usize, interface: u32, captured: u32) -> Outcome {
        let described = self.slots.len();
        let what = if interface as usize >= described {
            format!("it names interface {interface}, but {described} are described in its section")
        } else {
            format!("it claims {captured} captured bytes in a block of {total}")
        };
        Outcome::LeftOut(total, what)
    }

    fn obsolete_packet<const BIG: bool>(&mut self, whole: &[u8]) -> Outcome {
        let total = whole.len();
        if total < PACKET_FRAME {
            return Outcome::LeftOut(total, format!("a packet block of only {total} bytes"));
        }
        let interface = half(whole, 8, BIG).unwrap_or_default();
        let captured = word::<BIG>(whole, 20);
        let slot = match self.slots.get(usize::from(interface)) {
            Some(slot) if captured as usize <= total - PACKET_FRAME => *slot,
            _ => return self.no_such_packet(total, u32::from(interface), captured),
        };
        let ticks = u64::from(word::<BIG>(whole, 12)) << 32 | u64::from(word::<BIG>(whole, 16));
        // 65535 says that the count is unknown.
        if let Some(drops) = half(whole, 10, BIG).filter(|&drops| drops < u16::MAX) {
            self.add_drops(slot.number, u64::from(drops));
        }
        let packet = RawPacket {
            time: Timestamp::from_nanos(slot.clock.nanos(ticks)),
            untimed: false,
            offset: PACKET_HEADER as u32,
            captured,
            wire: word::<BIG>(whole, 24).max(captured),
            interface: slot.number,
            link: slot.link,
        };
        Outcome::Packet(packet, total)
    }

    /// A packet without interface number, captured length and time: it belongs to the section's first interface, is
    /// there up to that one's snap length, and takes the time of the latest packet before it.
    fn simple_packet<const BIG: bool>(&self, whole: &[u8], tally: &mut Tally) -> Outcome {
        /// Up to where the packet's bytes begin.
        const HEADER: u32 = 12;
        let total = whole.len();
        let Some(room) = total.checked_sub(HEADER as usize + 4) else {
            return Outcome::LeftOut(total, format!("a simple packet block of only {total} bytes"));
        };
        let Some(slot) = self.slots.first() else { return self.no_such_packet(total, 0, 0) };
        let wire = word::<BIG>(whole, 8);
        let limit = if slot.snap_length == 0 { u32::MAX } else { slot.snap_length };
        let packet = RawPacket {
            time: tally.times.latest(),
            untimed: true,
            offset: HEADER,
            captured: wire.min(limit).min(room as u32),
            wire,
            interface: slot.number,
            link: slot.link,
        };
        tally.untimed += 1;
        Outcome::Packet(packet, total)
    }

    #[inline(never)]
    fn note_drops<const BIG: bool>(&mut self, number: u16, options: &[u8]) {
        for (code, value) in Options::<BIG>(options) {
            if code == option::EPB_DROPCOUNT
                && let Some(drops @ 0..PLAUSIBLE_COUNT) = long::<BIG>(value)
            {
                self.add_drops(number, drops);
            }
        }
    }

    fn add_drops(&mut self, number: u16, drops: u64) {
        if let Some(interface) = self.interfaces.get_mut(usize::from(number)) {
            let noted = &mut interface.statistics.noted_drops;
            *noted = Some(noted.unwrap_or(0).saturating_add(drops).min(PLAUSIBLE_COUNT));
        }
    }
}

/// What to say of a block length that cannot be.
fn absurd(kind: u32, total: usize) -> Option<Step> {
    if total < FRAME {
        return Some(Step::Damage(format!("a block of type {kind:#x} claims {total} bytes, less than its own frame")));
    }
    (!total.is_multiple_of(4))
        .then(|| Step::Damage(format!("a block of type {kind:#x} claims {total} bytes, not a multiple of 4")))
}

/// What to say if a block's two lengths differ.
fn mismatch(total: usize, trailer: u32) -> Option<Step> {
    (trailer as usize != total)
        .then(|| Step::Damage(format!("a block begins with length {total} and ends with length {trailer}")))
}

/// The byte order of a section, by its magic.
fn byte_order(header: &[u8; SECTION_HEADER_BYTES]) -> Option<bool> {
    match [header[8], header[9], header[10], header[11]] {
        [0x1a, 0x2b, 0x3c, 0x4d] => Some(true),
        [0x4d, 0x3c, 0x2b, 0x1a] => Some(false),
        _ => None,
    }
}

#[inline(always)]
fn order<const BIG: bool>(bytes: [u8; 4]) -> u32 {
    if BIG { u32::from_be_bytes(bytes) } else { u32::from_le_bytes(bytes) }
}

/// The 32-bit number at `at`; 0 beyond the end.
#[inline(always)]
fn word<const BIG: bool>(bytes: &[u8], at: usize) -> u32 {
    bytes.get(at..).and_then(|rest| rest.first_chunk()).map_or(0, |&bytes| order::<BIG>(bytes))
}

fn half(bytes: &[u8], at: usize, big_endian: bool) -> Option<u16> {
    let bytes = *bytes.get(at..)?.first_chunk()?;
    Some(if big_endian { u16::from_be_bytes(bytes) } else { u16::from_le_bytes(bytes) })
}

fn long<const BIG: bool>(value: &[u8]) -> Option<u64> {
    let bytes = *value.first_chunk()?;
    Some(if BIG { u64::from_be_bytes(bytes) } else { u64::from_le_bytes(bytes) })
}

/// An option's text, cut to what is kept.
fn text(value: &[u8]) -> String {
    let kept = value.get(..Interface::LONGEST_NAME).unwrap_or(value);
    String::from_utf8_lossy(kept).trim_end_matches('\0').to_owned()
}

/// The options of a block: code and value. Ends at the end marker, at the end of the list, or where one overruns it.
struct Options<'a, const BIG: bool>(&'a [u8]);

impl<'a, const BIG: bool> Iterator for Options<'a, BIG> {
    type Item = (u16, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let code = half(self.0, 0, BIG)?;
        let length = usize::from(half(self.0, 2, BIG)?);
        if code == option::END {
            return None;
        }
        let value = self.0.get(4..4 + length)?;
        self.0 = self.0.get(4 + length.next_multiple_of(4)..).unwrap_or(&[]);
        Some((code, value))
    }
}
