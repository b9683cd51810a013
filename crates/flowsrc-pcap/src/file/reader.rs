//! One input: raw packets in batches, and what is wrong with it.

use std::io::Read;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use flowcore::{Error, ErrorKind, Ledger, Loss, Result, Status, Timestamp};

use super::classic::{Classic, FILE_HEADER};
use super::fault::{Complaint, Damage, Odd, Oddities};
use super::input::{Input, Position};
use super::kind::{Compression, Kind};
use super::ng::{Ng, SECTION_HEADER_BYTES};
use super::record::{Interface, RawPacket, Sink};
use super::times::Times;
use super::window::Window;

/// A capture read packet by packet, in batches whose bytes lie in one window.
///
/// ```no_run
/// use flowcore::Status;
///
/// let mut reader = flowsrc_pcap::Reader::open("trace.pcap")?;
/// let mut packets = Vec::new();
/// while reader.read_batch(512, &mut packets)? != Status::End {
///     for packet in packets.drain(..) {
///         let _bytes = packet.bytes(reader.window());
///     }
/// }
/// # Ok::<(), flowcore::Error>(())
/// ```
#[derive(Debug)]
pub struct Reader {
    name: String,
    window: Window,
    format: Format,
    compression: Option<Compression>,
    total: Option<u64>,
    read: Arc<AtomicU64>,
    tally: Tally,
    ended: bool,
    /// Why it ended before its own end.
    damage: Option<Damage>,
    unread_bytes: u64,
}

#[derive(Debug)]
enum Format {
    Classic(Classic, [Interface; 1]),
    Ng(Ng),
    /// Too short or too damaged to have one.
    None,
}

/// What a walk counts.
#[derive(Debug, Default)]
pub(super) struct Tally {
    pub(super) packets: u64,
    pub(super) times: Times,
    /// Packets for which the file notes no time.
    pub(super) untimed: u64,
    left_out: u64,
    first_left_out: Option<Damage>,
    pub(super) oddities: Oddities,
}

impl Tally {
    /// One-based number of the packet that comes next.
    pub(super) fn ordinal(&self) -> u64 {
        self.packets + self.left_out + 1
    }

    /// Counts a packet block that makes no sense.
    #[cold]
    pub(super) fn leave_out(&mut self, damage: Damage) {
        self.left_out += 1;
        self.first_left_out.get_or_insert(damage);
    }

    /// Notes that more bytes were captured than the packet is said to have had.
    #[cold]
    pub(super) fn contradict(&mut self, packet: u64, offset: u64, captured: u32, wire: u32) {
        self.oddities.note(Odd::Lengths, packet, offset, || {
            format!("{captured} bytes were captured of {wire} on the wire; both are taken as they stand")
        });
    }

    /// Counts a packet whose time cannot be said, and gives the one that it gets, in nanoseconds.
    #[cold]
    pub(super) fn beyond_time(&mut self, offset: u64) -> i64 {
        self.untimed += 1;
        self.oddities.note(Odd::Time, self.packets + self.left_out + 1, offset, || {
            "its time lies outside the years 1677 to 2262; taken as without one".to_owned()
        });
        self.times.latest().as_nanos()
    }
}

/// Why a walk stopped.
#[derive(Debug)]
pub(super) enum Step {
    /// It has as many packets as were asked for.
    Full,
    /// The next one is not wholly in the window: this many bytes from its beginning are needed, of this thing.
    Need { bytes: usize, of: &'static str },
    /// It could say more of the next one with this many bytes from its beginning, but goes on without them.
    Wish { bytes: usize },
    /// It cannot go on: what is wrong with the next record or block.
    Damage(String),
}

impl Reader {
    /// Opens a file; `-` is standard input.
    ///
    /// # Errors
    /// If it cannot be opened or is no capture. A cut or damaged one opens: see [`fault`](Self::fault).
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        Self::new(Input::open(path.as_ref())?)
    }

    /// Reads from a stream; `name` is for messages.
    ///
    /// # Errors
    /// If its first bytes cannot be read or are not those of a capture.
    pub fn from_read(stream: Box<dyn Read + Send>, name: impl Into<String>) -> Result<Self> {
        Self::new(Input::from_read(name.into(), stream, None)?)
    }

    fn new(input: Input) -> Result<Self> {
        let Input { name, bytes, kind, compression, total, read } = input;
        let mut reader = Self {
            name,
            window: Window::new(bytes),
            format: Format::None,
            compression,
            total,
            read,
            tally: Tally::default(),
            ended: false,
            damage: None,
            unread_bytes: 0,
        };
        let refused =
            |name: &str, words: String| Error::new(ErrorKind::Unsupported, format!("{name}: this is {words}"));
        match kind {
            Kind::Classic(variant) => {
                if reader.await_header(FILE_HEADER, "file header")?
                    && let Some(header) = reader.window.rest().first_chunk()
                {
                    let classic = Classic::new(variant, header).map_err(|words| refused(&reader.name, words))?;
                    let interface =
                        Interface { link: classic.link, snap_length: classic.snap_length, ..Interface::default() };
                    reader.format = Format::Classic(classic, [interface]);
                    reader.window.consume_to(reader.window.start() + FILE_HEADER);
                }
            }
            Kind::Ng => {
                if reader.await_header(SECTION_HEADER_BYTES, "section header")?
                    && let Some(header) = reader.window.rest().first_chunk()
                {
                    if let Some(words) = Ng::refuses(header) {
                        return Err(refused(&reader.name, words));
                    }
                    reader.format = Format::Ng(Ng::default());
                }
            }
            _ => {
                reader.await_header(4, "magic number")?;
                if !reader.ended {
                    reader.stop("no capture begins like this".to_owned());
                }
            }
        }
        Ok(reader)
    }

    /// Reads until `bytes` are there; `false` if the input ends before, which is then noted.
    fn await_header(&mut self, bytes: usize, of: &'static str) -> Result<bool> {
        while self.window.rest().len() < bytes {
            if !self.refill(bytes, of)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Appends at most `max` packets (at least one is allowed); their bytes are in [`window`](Self::window) until the
    /// next call. Waits only when it has nothing to give, so a pipe's packets come as they arrive; but the
    /// first that have no time of their own wait for one that does, 64 KiB at most.
    ///
    /// [`Status::End`] comes with no packets.
    ///
    /// # Errors
    /// If the operating system fails to read. Damage is no error: it ends the packets, see [`fault`](Self::fault).
    pub fn read_batch(&mut self, max: usize, out: &mut Vec<RawPacket>) -> Result<Status> {
        self.read_into(max, out)
    }

    /// The same into any sink.
    #[inline]
    pub(super) fn read_into(&mut self, max: usize, sink: &mut impl Sink) -> Result<Status> {
        let before = self.tally.packets;
        while !self.ended {
            let step = match &mut self.format {
                Format::Classic(classic, _) => classic.walk(&mut self.window, &mut self.tally, max.max(1), sink),
                Format::Ng(ng) => ng.walk(&mut self.window, &mut self.tally, max.max(1), sink),
                Format::None => Step::Damage("it has no format".to_owned()),
            };
            let some = self.tally.packets > before;
            match step {
                Step::Full => break,
                // What was read lies in the window: it must be taken before the window moves.
                Step::Need { .. } | Step::Wish { .. } if some => break,
                Step::Need { bytes, of } => {
                    self.refill(bytes, of)?;
                }
                Step::Wish { bytes } => {
                    if !self.window.refill_if_sound(bytes)
                        && let Format::Ng(ng) = &mut self.format
                    {
                        ng.see_no_further();
                    }
                }
                Step::Damage(_) if some => break,
                Step::Damage(what) => self.stop(what),
            }
        }
        Ok(if self.tally.packets > before { Status::More } else { Status::End })
    }

    /// Reads on; `false` at the end of the input, which is then noted.
    fn refill(&mut self, need: usize, of: &'static str) -> Result<bool> {
        match self.window.refill(need) {
            Ok(true) => Ok(true),
            Ok(false) => {
                self.end(need, of);
                Ok(false)
            }
            // A decoder's complaint about its input; the operating system's errors have a number.
            Err(error) if self.compression.is_some() && error.raw_os_error().is_none() => {
                let packing = self.compression.map_or("", Compression::name);
                let what = match error.kind() {
                    std::io::ErrorKind::UnexpectedEof => format!("the {packing} data ends before its own end"),
                    _ => format!("the {packing} data cannot be decompressed further ({error})"),
                };
                self.note(what, self.window.rest().len() as u64);
                Ok(false)
            }
            Err(error) => {
                let subject = format!(
                    "{}: reading failed at byte {}, after {} packets",
                    self.name,
                    self.window.offset(),
                    self.tally.packets
                );
                self.note("reading failed".to_owned(), self.window.rest().len() as u64);
                Err(Error::io(subject, error))
            }
        }
    }

    /// The input has ended; if it did so within something, that is damage.
    fn end(&mut self, need: usize, of: &str) {
        let there = self.window.rest().len();
        self.ended = true;
        if let Some(begin) = self.window.skipping_from() {
            let passed = self.window.offset().saturating_sub(begin);
            self.note(format!("the file ends {passed} bytes into a block"), passed);
            self.damage = self.damage.take().map(|damage| Damage { offset: begin, ..damage });
            return;
        }
        let what = match &self.format {
            Format::None if there == 0 => "the file is empty".to_owned(),
            Format::Ng(ng) if there == 0 && ng.is_blank() => "the file ends before its section header".to_owned(),
            _ if there == 0 => return,
            _ => format!("the file ends {there} bytes into a {of} of {need}"),
        };
        self.note(what, there as u64);
    }

    /// Nothing can be read from here on, though there may be more.
    fn stop(&mut self, what: String) {
        let offset = self.window.offset();
        let (packet, buffered) = (self.tally.ordinal(), self.window.rest().len() as u64);
        let unread = match self.total {
            Some(total) if self.compression.is_none() => total.saturating_sub(offset).max(buffered),
            // How much is left of a file can be found out; of a pipe it need never end.
            Some(_) => self.window.drain(),
            None => buffered,
        };
        self.note(what, unread);
        self.damage = self.damage.take().map(|damage| Damage { packet, offset, ..damage });
    }

    fn note(&mut self, what: String, unread_bytes: u64) {
        self.ended = true;
        self.unread_bytes = unread_bytes;
        self.damage = Some(Damage { packet: self.tally.ordinal(), offset: self.window.offset(), what });
    }

    /// The bytes that the packets of the last batch refer to.
    pub fn window(&self) -> &[u8] {
        self.window.bytes()
    }

    /// The interfaces described so far, by [`RawPacket::interface`]. A pcapng stream may describe more at any time.
    pub fn interfaces(&self) -> &[Interface] {
        match &self.format {
            Format::Classic(_, interface) => interface,
            Format::Ng(ng) => &ng.interfaces,
            Format::None => &[],
        }
    }

    /// Whether the packets may be of several interfaces and link types.
    pub fn is_pcapng(&self) -> bool {
        matches!(self.format, Format::Ng(_))
    }

    /// For messages: the path, or what the caller called the stream.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Packets given so far.
    pub fn packets(&self) -> u64 {
        self.tally.packets
    }

    /// The latest time of a packet given so far; `None` before the first that has one.
    pub(super) fn latest(&self) -> Option<Timestamp> {
        self.tally.times.known()
    }

    /// How far reading has come.
    pub fn position(&self) -> Position {
        Position { read: self.read.load(Ordering::Relaxed), total: self.total }
    }

    /// What is wrong with the input as far as it was read, in one sentence with packet numbers (from 1) and byte offsets
    /// (from 0, of the decompressed stream if it is compressed): cut, damaged, or with times that cannot be right.
    pub fn fault(&self) -> Option<String> {
        Complaint {
            name: &self.name,
            compression: self.compression,
            packets: self.tally.packets,
            end: self.damage.as_ref(),
            skipped: self.tally.first_left_out.as_ref(),
            skipped_blocks: self.tally.left_out,
            oddities: &self.tally.oddities,
            times: &self.tally.times,
        }
        .words()
    }

    /// How many things [`fault`](Self::fault) speaks of; never falls.
    pub(super) fn troubles(&self) -> u64 {
        let Tally { left_out, times, oddities, .. } = &self.tally;
        u64::from(self.damage.is_some()) + left_out + oddities.total() + times.within_interface + times.beyond_second
    }

    /// Losses before and in this file; nothing is delivered or filtered here.
    ///
    /// Interface and kernel drops come from the last statistics block of each interface, capture drops from the counts
    /// noted beside packets as far as they go [beyond](super::Statistics::drops_beyond_statistics) those statistics. What no
    /// interface says anything about stays unknown; what some say nothing about is known in part, and so is everything
    /// where options overrun their block or interfaces share a number.
    pub fn ledger(&self) -> Ledger {
        /// Sums stay far from overflow, whatever a file claims.
        const MOST: u64 = 1 << 60;
        let mut ledger = Ledger::new();
        let shared = matches!(&self.format, Format::Ng(ng) if ng.shares_numbers());
        let mut silent = [self.tally.oddities.hide_losses() || shared; Loss::COUNT];
        for interface in self.interfaces() {
            let statistics = &interface.statistics;
            for (reason, packets) in [
                (Loss::Interface, statistics.interface_drops),
                (Loss::Kernel, statistics.kernel_drops),
                (Loss::Capture, statistics.drops_beyond_statistics()),
            ] {
                if let Some(packets) = packets {
                    ledger.lose(reason, packets.min(MOST - ledger.lost_at_least(reason).unwrap_or(0)));
                } else {
                    // Drops are noted beside packets only where there are any.
                    silent[reason as usize] |= reason != Loss::Capture || statistics.is_silent();
                }
            }
        }
        for reason in Loss::ALL {
            if silent[reason as usize] && ledger.lost_at_least(reason).is_some() {
                ledger.lose_unknown(reason);
            }
        }
        // Behind a cut or damage there may be more that is damaged: then only what was met is known.
        if self.tally.left_out > 0 || self.damage.is_none() {
            ledger.lose(Loss::Damaged, self.tally.left_out);
        }
        ledger.backwards = self.tally.times.backwards;
        ledger.untimed = self.tally.untimed;
        ledger.unread_bytes = self.unread_bytes;
        ledger.incomplete = self.damage.is_some();
        ledger
    }

    /// Gives the buffer and the file back; counts and messages stay.
    pub(super) fn close(&mut self) {
        self.window.close();
        self.ended = true;
    }
}
