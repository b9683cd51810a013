//! pcapng: blocks in sections, walked in place.
//!
//! The enhanced packet block has a path of its own that touches its header and its trailer and nothing else; every
//! other block, and every enhanced packet block that is not as it should be, goes through [`Ng::block`].

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use flowcore::Timestamp;
use flowcore::wire::LinkType;

use super::clock::{BEYOND, Clock};
use super::fault::{Damage, Odd};
use super::kind::SECTION_HEADER;
use super::options::{Options, option};
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

/// A drop counter above this is taken for "unknown": writers leave all ones where they have no number.
const PLAUSIBLE_COUNT: u64 = 1 << 56;

/// Numbers there are for interfaces; the last one is shared by those beyond.
const MOST_NUMBERS: usize = u16::MAX as usize;

/// Interfaces of one section: a bound to memory.
const MOST_IN_SECTION: usize = 1 << 20;

/// How far ahead a time is looked for that a packet without one can have, where none stands before it.
const AHEAD: usize = 64 * 1024;

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
    /// The interfaces of earlier sections.
    ended: HashMap<(LinkType, Option<String>), Ended>,
    /// Interfaces that have no number of their own.
    unnumbered: bool,
    ahead: Ahead,
}

/// What is known of interfaces of earlier sections that have one link type and name.
#[derive(Copy, Clone, Debug)]
struct Ended {
    /// The latest time seen on them.
    latest: i64,
    /// That of the latest of them.
    number: u16,
}

/// The first time in the stream, for the packets before it that have none.
#[derive(Debug, Default)]
struct Ahead {
    found: Option<Timestamp>,
    /// Up to where in the stream there is none.
    passed: u64,
    /// The input has no more to look at.
    ended: bool,
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
    /// That describes another interface, of another name.
    borrowed: bool,
}

/// What became of a block off the packet path.
enum Outcome {
    /// All of its bytes were used.
    Consumed(usize),
    /// It has nothing for us; only its length matters.
    Skip(u64),
    /// The byte order may have changed.
    Section(usize),
    /// A packet whose `offset` counts from the block and whose time may be [`BEYOND`], the number of its interface in
    /// its section, and the block's length.
    Packet(RawPacket, usize, usize),
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

    /// There is nothing beyond what was shown last.
    pub(super) fn see_no_further(&mut self) {
        self.ahead.ended = true;
    }

    /// Whether some interfaces have the number of another one, so that what was lost on them is known in part.
    pub(super) fn shares_numbers(&self) -> bool {
        self.unnumbered
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
                && let wire = word::<BIG>(header, 24)
                && captured <= wire
                && let Some(slot) = self.slots.get_mut(word::<BIG>(header, 8) as usize)
            {
                let (mut nanos, mut untimed) = (slot.clock.nanos(ticks::<BIG>(header)), false);
                if nanos >= tally.times.latest {
                    tally.times.latest = nanos;
                    slot.latest = nanos;
                } else if nanos == BEYOND {
                    (nanos, untimed) = (tally.beyond_time(place(at)), true);
                } else {
                    tally.times.step_back(nanos, slot.latest, tally.ordinal(), place(at));
                    slot.latest = slot.latest.max(nanos);
                }
                let number = slot.number;
                let packet = RawPacket {
                    time: Timestamp::from_nanos(nanos),
                    untimed,
                    offset: (at + PACKET_HEADER) as u32,
                    captured,
                    wire,
                    interface: number,
                    link: slot.link,
                };
                sink.take(packet, rest.get(PACKET_HEADER..PACKET_HEADER + captured as usize).unwrap_or(&[]));
                let options = PACKET_HEADER + (captured as usize).next_multiple_of(4);
                if options + 4 < total {
                    let options = rest.get(options..total - 4).unwrap_or(&[]);
                    self.note_drops::<BIG>(number, options, tally, place(at));
                }
                tally.packets += 1;
                at += total;
                continue;
            }
            match self.block::<BIG>(rest, tally, place(at)) {
                Outcome::Consumed(total) => at += total,
                Outcome::Skip(total) => {
                    skip = total;
                    break Some(Step::Need { bytes: FRAME, of: "block" });
                }
                Outcome::Section(total) => {
                    at += total;
                    break None;
                }
                Outcome::Packet(packet, interface, total) => {
                    let mut packet = RawPacket { offset: at as u32 + packet.offset, ..packet };
                    if packet.captured > packet.wire {
                        tally.contradict(tally.ordinal(), place(at), packet.captured, packet.wire);
                    }
                    let nanos = packet.time.as_nanos();
                    if nanos == BEYOND {
                        packet.time = Timestamp::from_nanos(tally.beyond_time(place(at)));
                        packet.untimed = true;
                    } else if !packet.untimed {
                        let mut own_latest = i64::MIN;
                        if let Some(slot) = self.slots.get_mut(interface) {
                            own_latest = slot.latest;
                            slot.latest = slot.latest.max(nanos);
                        }
                        if nanos < tally.times.latest {
                            tally.times.step_back(nanos, own_latest, tally.ordinal(), place(at));
                        } else {
                            tally.times.latest = nanos;
                        }
                    }
                    sink.take(packet, packet.bytes(bytes));
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

    /// Any block but a sound enhanced packet block. `rest` begins with it, at `place` in the stream, and may end within it.
    #[inline(never)]
    fn block<const BIG: bool>(&mut self, rest: &[u8], tally: &mut Tally, place: u64) -> Outcome {
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
            block::INTERFACE => self.interface::<BIG>(whole, tally, place),
            block::STATISTICS => self.statistics::<BIG>(whole, tally, place),
            block::ENHANCED_PACKET => self.unsound::<BIG>(whole, tally, place),
            block::PACKET => self.obsolete_packet::<BIG>(whole),
            block::SIMPLE_PACKET => self.simple_packet::<BIG>(whole, rest, tally, place),
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
        for slot in self.slots.drain(..).filter(|slot| !slot.borrowed) {
            let name = self.interfaces.get(usize::from(slot.number)).and_then(|interface| interface.name.clone());
            let is_room = self.ended.len() < MOST_NUMBERS;
            match self.ended.entry((slot.link, name)) {
                Entry::Occupied(mut ended) => {
                    let latest = slot.latest.max(ended.get().latest);
                    ended.insert(Ended { latest, number: slot.number });
                }
                Entry::Vacant(new) if is_room => _ = new.insert(Ended { latest: slot.latest, number: slot.number }),
                Entry::Vacant(_) => {}
            }
        }
        Outcome::Section(total)
    }

    fn interface<const BIG: bool>(&mut self, whole: &[u8], tally: &mut Tally, place: u64) -> Outcome {
        /// Up to where the options begin.
        const HEADER: usize = 16;
        let Some(options) = whole.get(HEADER..whole.len() - 4) else {
            return Outcome::Stop(Step::Damage(format!("an interface description of only {} bytes", whole.len())));
        };
        if self.slots.len() == MOST_IN_SECTION {
            return Outcome::Stop(Step::Damage(format!("more than {MOST_IN_SECTION} interfaces in a section")));
        }
        let link = LinkType(half(whole, 8, BIG).unwrap_or_default());
        let snap_length = word::<BIG>(whole, 12);
        let mut interface = Interface { link, snap_length, section: self.section, ..Interface::default() };
        let (mut resolution, mut offset_seconds) = (Clock::MICROSECONDS, 0);
        let mut options = Options::<BIG>::new(options);
        let (mut has_resolution, mut has_offset) = (false, false);
        for (code, value) in &mut options {
            match (code, value) {
                (option::IF_NAME, _) => interface.name = Some(text(value)),
                (option::IF_DESCRIPTION, _) => interface.description = Some(text(value)),
                (option::IF_TSRESOL, &[written, ..]) => (resolution, has_resolution) = (written, true),
                (option::IF_TSOFFSET, _) => {
                    (offset_seconds, has_offset) = (long::<BIG>(value).unwrap_or(0) as i64, true);
                }
                _ => {}
            }
        }
        if let Some(overrun) = options.overrun {
            let assumed = match (has_resolution, has_offset) {
                (false, false) => "; its times are taken for microseconds since 1970",
                (false, true) => "; its times are taken for microseconds",
                (true, false) => "; its times are taken to count from 1970",
                (true, true) => "",
            };
            tally.oddities.note(Odd::InterfaceOptions, tally.ordinal(), place, || format!("{overrun}{assumed}"));
        }
        // It goes on with the interface of an earlier section that has its name and link type, as files do that were put
        // together of pieces.
        let ended = self.ended.get(&(link, interface.name.clone())).copied();
        let latest = ended.map_or(i64::MIN, |ended| ended.latest);
        let (number, borrowed) = if self.interfaces.len() < MOST_NUMBERS {
            self.interfaces.push(interface);
            (self.interfaces.len() as u16 - 1, false)
        } else {
            self.unnumbered = true;
            ended.map_or((MOST_NUMBERS as u16 - 1, true), |ended| (ended.number, false))
        };
        let clock = Clock::new(resolution, offset_seconds);
        self.slots.push(Slot { clock, latest, snap_length, link, number, borrowed });
        Outcome::Consumed(whole.len())
    }

    /// Statistics count from the start of the capture, so the last block of an interface says all. A counter that went
    /// back keeps its largest value: what was lost stays lost.
    fn statistics<const BIG: bool>(&mut self, whole: &[u8], tally: &mut Tally, place: u64) -> Outcome {
        /// Up to where the options begin.
        const HEADER: usize = 20;
        if let Some(slot) = self.slots.get(word::<BIG>(whole, 8) as usize)
            && let Some(interface) = self.interfaces.get_mut(usize::from(slot.number))
            && let Some(options) = whole.get(HEADER..whole.len() - 4)
        {
            let mut options = Options::<BIG>::new(options);
            for (code, value) in &mut options {
                let counter = match code {
                    option::ISB_IFRECV => &mut interface.statistics.received,
                    option::ISB_IFDROP => &mut interface.statistics.interface_drops,
                    option::ISB_OSDROP => &mut interface.statistics.kernel_drops,
                    _ => continue,
                };
                *counter = long::<BIG>(value).filter(|&count| count < PLAUSIBLE_COUNT).max(*counter);
            }
            if let Some(overrun) = options.overrun {
                let words = || format!("{overrun}; statistics of an interface behind it are lost");
                tally.oddities.note(Odd::StatisticsOptions, tally.ordinal(), place, words);
            }
        }
        Outcome::Consumed(whole.len())
    }

    /// An enhanced packet block that the packet path did not take although it is all there.
    #[cold]
    fn unsound<const BIG: bool>(&mut self, whole: &[u8], tally: &mut Tally, place: u64) -> Outcome {
        let total = whole.len();
        if total < PACKET_FRAME {
            return Outcome::LeftOut(total, format!("an enhanced packet block of only {total} bytes"));
        }
        let (interface, captured) = (word::<BIG>(whole, 8) as usize, word::<BIG>(whole, 20) as usize);
        let number = match self.slots.get(interface) {
            Some(slot) if captured <= total - PACKET_FRAME => slot.number,
            _ => return self.no_such_packet(total, interface, captured),
        };
        let options = PACKET_HEADER + captured.next_multiple_of(4);
        self.note_drops::<BIG>(number, whole.get(options..total - 4).unwrap_or(&[]), tally, place);
        self.packet::<BIG>(whole, interface)
    }

    /// A packet whose header is that of an enhanced packet block, behind the number of its interface.
    fn packet<const BIG: bool>(&self, whole: &[u8], interface: usize) -> Outcome {
        let total = whole.len();
        let captured = word::<BIG>(whole, 20);
        let slot = match self.slots.get(interface) {
            Some(slot) if captured as usize <= total - PACKET_FRAME => slot,
            _ => return self.no_such_packet(total, interface, captured as usize),
        };
        let packet = RawPacket {
            time: Timestamp::from_nanos(slot.clock.nanos(ticks::<BIG>(whole))),
            untimed: false,
            offset: PACKET_HEADER as u32,
            captured,
            wire: word::<BIG>(whole, 24),
            interface: slot.number,
            link: slot.link,
        };
        Outcome::Packet(packet, interface, total)
    }

    #[cold]
    fn no_such_packet(&self, total: usize, interface: usize, captured: usize) -> Outcome {
        let described = self.slots.len();
        let what = if interface >= described {
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
        let interface = usize::from(half(whole, 8, BIG).unwrap_or_default());
        let outcome = self.packet::<BIG>(whole, interface);
        // 65535 says that the count is unknown.
        let drops = half(whole, 10, BIG).filter(|&drops| drops < u16::MAX);
        if let (Outcome::Packet(packet, ..), Some(drops)) = (&outcome, drops) {
            self.add_drops(packet.interface, u64::from(drops));
        }
        outcome
    }

    /// A packet without interface number, captured length and time: it belongs to the section's first interface, is
    /// there up to that one's snap length, and takes the time of the latest packet before it. Where there is none, the
    /// first behind it: a capture does not begin in 1970.
    fn simple_packet<const BIG: bool>(&mut self, whole: &[u8], rest: &[u8], tally: &mut Tally, place: u64) -> Outcome {
        /// Up to where the packet's bytes begin.
        const HEADER: u32 = 12;
        let total = whole.len();
        let Some(room) = total.checked_sub(HEADER as usize + 4) else {
            return Outcome::LeftOut(total, format!("a simple packet block of only {total} bytes"));
        };
        let Some(slot) = self.slots.first() else { return self.no_such_packet(total, 0, 0) };
        let (number, link) = (slot.number, slot.link);
        let wire = word::<BIG>(whole, 8);
        let limit = if slot.snap_length == 0 { u32::MAX } else { slot.snap_length };
        let captured = wire.min(limit).min(room as u32);
        let time = match tally.times.known() {
            Some(time) => time,
            None => match self.look_ahead::<BIG>(rest, place) {
                Ok(found) => found.unwrap_or(Timestamp::EPOCH),
                Err(bytes) => return Outcome::Stop(Step::Wish { bytes }),
            },
        };
        let packet = RawPacket { time, untimed: true, offset: HEADER, captured, wire, interface: number, link };
        tally.untimed += 1;
        Outcome::Packet(packet, 0, total)
    }

    /// The first time in what begins at `place` in the stream, if it is within [`AHEAD`] bytes.
    ///
    /// # Errors
    /// How many bytes of `rest` it takes to know; as many whatever of them is there, so that a pipe gives what a file
    /// does.
    fn look_ahead<const BIG: bool>(&mut self, rest: &[u8], place: u64) -> Result<Option<Timestamp>, usize> {
        let mut at = usize::try_from(self.ahead.passed.saturating_sub(place)).unwrap_or(usize::MAX);
        while self.ahead.found.is_none() && at < AHEAD {
            let Some(header) = rest.get(at..).and_then(|rest| rest.first_chunk::<PACKET_HEADER>()) else {
                if self.ahead.ended {
                    break;
                }
                return Err(at + PACKET_HEADER);
            };
            let (kind, total) = (word::<BIG>(header, 0), word::<BIG>(header, 4) as usize);
            if header.starts_with(&SECTION_HEADER) || absurd(kind, total).is_some() {
                // Another section may count otherwise, and behind damage is nothing.
                self.ahead.passed = place.saturating_add(at as u64);
                break;
            }
            // What is left out as damaged tells no time.
            let whole = word::<BIG>(header, 20) as usize <= total.saturating_sub(PACKET_FRAME);
            let interface = match kind {
                _ if !whole || total < PACKET_FRAME => None,
                block::ENHANCED_PACKET => self.slots.get(word::<BIG>(header, 8) as usize),
                block::PACKET => self.slots.get(usize::from(half(header, 8, BIG).unwrap_or_default())),
                _ => None,
            };
            let nanos = interface.map_or(BEYOND, |slot| slot.clock.nanos(ticks::<BIG>(header)));
            self.ahead.found = (nanos != BEYOND).then(|| Timestamp::from_nanos(nanos));
            at = at.saturating_add(total);
            self.ahead.passed = place.saturating_add(at as u64);
        }
        Ok(self.ahead.found)
    }

    #[inline(never)]
    fn note_drops<const BIG: bool>(&mut self, number: u16, options: &[u8], tally: &mut Tally, place: u64) {
        let mut options = Options::<BIG>::new(options);
        for (code, value) in &mut options {
            if code == option::EPB_DROPCOUNT
                && let Some(drops @ 0..PLAUSIBLE_COUNT) = long::<BIG>(value)
            {
                self.add_drops(number, drops);
            }
        }
        if let Some(overrun) = options.overrun {
            let words = || format!("{overrun}; a count of drops behind it is lost");
            tally.oddities.note(Odd::PacketOptions, tally.ordinal(), place, words);
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

pub(super) fn half(bytes: &[u8], at: usize, big_endian: bool) -> Option<u16> {
    let bytes = *bytes.get(at..)?.first_chunk()?;
    Some(if big_endian { u16::from_be_bytes(bytes) } else { u16::from_le_bytes(bytes) })
}

/// When the packet of an enhanced or obsolete packet block was captured, in its interface's ticks.
#[inline(always)]
fn ticks<const BIG: bool>(block: &[u8]) -> u64 {
    u64::from(word::<BIG>(block, 12)) << 32 | u64::from(word::<BIG>(block, 16))
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
