//! Several inputs in time order, as one.
//!
//! Each input is a lane whose place in a heap is the time of its next packet, then its place among the arguments: equal
//! times keep the arguments' order, and packets of one input keep theirs even where they run backwards. Only an input of
//! which nothing was taken yet comes behind the others, so that the files of a rotated set that was cut between equal
//! times come one after the other, in whatever order they were named. A file that can be opened again is only looked at
//! in the beginning and then opened when its first packet's turn comes, so a rotated set of a thousand files holds one
//! descriptor and one buffer, not a thousand.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::fmt::Write;
use std::path::PathBuf;

use flowcore::{Error, Ledger, Result, Status, Timestamp};

use super::input::{Position, STANDARD_INPUT};
use super::numbers::Interfaces;
use super::reader::Reader;
use super::record::{Interface, RawPacket};

/// Packets read ahead on one lane.
const LANE_BATCH: usize = 128;

/// A batch ends when its packets' bytes reach this; a single larger packet is a batch of its own.
const WINDOW: usize = 256 * 1024;

/// Faults told in words; the others are counted.
pub(super) const MOST_NAMED: usize = 5;

/// Several readers, merged.
#[derive(Debug, Default)]
pub(super) struct Merge {
    lanes: Vec<Lane>,
    /// One for each lane that has another packet.
    heads: BinaryHeap<Reverse<Head>>,
    /// The bytes of the current batch.
    window: Vec<u8>,
    interfaces: Interfaces,
    /// Reading failed after packets that had to be given first.
    failed: Option<Error>,
    /// What could not be opened or is no capture.
    refused: Vec<Error>,
}

/// When a lane's next packet is due; the earliest first.
#[derive(Copy, Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Head {
    time: Timestamp,
    /// Nothing was taken of it.
    untouched: bool,
    index: usize,
}

#[derive(Debug)]
struct Lane {
    /// Where to open it again; `None` for what can be read only once.
    path: Option<PathBuf>,
    reader: Reader,
    /// Looked at and closed; opened again when its turn comes.
    dormant: bool,
    batch: Vec<RawPacket>,
    /// The next packet in `batch`.
    at: usize,
    /// Numbers of its interfaces in the merged stream, by their own.
    numbers: Vec<u16>,
}

impl Merge {
    /// Looks at one more input; if it holds a packet, it takes its place.
    pub(super) fn add(&mut self, path: Option<PathBuf>, mut reader: Reader) {
        let index = self.lanes.len();
        let mut batch = Vec::new();
        let is_file = reader.position().total.is_some();
        let path = path.filter(|path| is_file && path.as_os_str() != STANDARD_INPUT);
        let status = match reader.read_batch(1, &mut batch) {
            Ok(status) => status,
            Err(error) => return self.refuse(error),
        };
        let mut dormant = false;
        if let (Status::More, Some(first)) = (status, batch.first()) {
            self.heads.push(Reverse(Head { time: first.time, untouched: true, index }));
            if path.is_some() {
                reader.close();
                batch = Vec::new();
                dormant = true;
            }
        } else {
            reader.close();
        }
        self.lanes.push(Lane { path, reader, dormant, batch, at: 0, numbers: Vec::new() });
    }

    /// Notes an input that could not be opened, or is no capture.
    pub(super) fn refuse(&mut self, error: Error) {
        self.refused.push(error);
    }

    /// Appends the next packets in time, at most `max`; their bytes are in [`window`](Self::window).
    pub(super) fn read_batch(&mut self, max: usize, out: &mut Vec<RawPacket>) -> Result<Status> {
        self.window.clear();
        if let Some(error) = self.failed.take() {
            return Err(error);
        }
        let before = out.len();
        let full = before + max.max(1);
        while out.len() < full
            && self.window.len() < WINDOW
            && let Some(Reverse(Head { index, .. })) = self.heads.pop()
        {
            let next = self.heads.peek().map(|Reverse(head)| *head);
            match self.run(index, next, full, out) {
                Ok(Some(time)) => self.heads.push(Reverse(Head { time, untouched: false, index })),
                Ok(None) => {}
                Err(error) if out.len() == before => return Err(error),
                Err(error) => {
                    self.failed = Some(error);
                    break;
                }
            }
        }
        Ok(if out.len() > before { Status::More } else { Status::End })
    }

    /// Takes packets of one lane until another lane's is due or the batch is full; the time of its next one.
    fn run(
        &mut self,
        index: usize,
        next: Option<Head>,
        full: usize,
        out: &mut Vec<RawPacket>,
    ) -> Result<Option<Timestamp>> {
        let Self { lanes, window, interfaces, refused, .. } = self;
        let Some(lane) = lanes.get_mut(index) else { return Ok(None) };
        if lane.dormant
            && let Err(error) = lane.wake()
        {
            // It was there a moment ago, and is gone or another thing by now.
            refused.push(error);
            return Ok(None);
        }
        loop {
            let Some(packet) = lane.batch.get(lane.at) else {
                if !lane.refill()? {
                    interfaces.release(&lane.numbers);
                    return Ok(None);
                }
                continue;
            };
            let due = next.is_some_and(|next| next < Head { time: packet.time, untouched: false, index });
            let too_large = !window.is_empty() && window.len() + packet.captured as usize > WINDOW;
            if due || too_large || out.len() >= full {
                // A window that is as good as full must not be tried for ever.
                if too_large {
                    window.resize(window.len().max(WINDOW), 0);
                }
                return Ok(Some(packet.time));
            }
            let interface = interfaces.of(packet.interface, lane.reader.interfaces(), &mut lane.numbers);
            let offset = window.len() as u32;
            window.extend_from_slice(packet.bytes(lane.reader.window()));
            out.push(RawPacket { offset, interface, ..*packet });
            lane.at += 1;
        }
    }

    pub(super) fn window(&self) -> &[u8] {
        &self.window
    }

    pub(super) fn interfaces(&self) -> &[Interface] {
        self.interfaces.known()
    }

    pub(super) fn readers(&self) -> impl Iterator<Item = &Reader> {
        self.lanes.iter().map(|lane| &lane.reader)
    }

    pub(super) fn position(&self) -> Position {
        self.lanes.iter().fold(Position { read: 0, total: Some(0) }, |sum, lane| {
            let Position { read, total } = lane.reader.position();
            let read = if lane.dormant { 0 } else { read };
            Position { read: sum.read + read, total: sum.total.zip(total).map(|(sum, total)| sum + total) }
        })
    }

    pub(super) fn ledger(&self) -> Ledger {
        let read = self.lanes.iter().filter(|lane| !lane.dormant);
        let mut ledger =
            read.map(|lane| lane.reader.ledger()).reduce(|sum, ledger| sum.merged(&ledger)).unwrap_or_default();
        ledger.incomplete |= !self.refused.is_empty();
        ledger
    }

    pub(super) fn troubles(&self) -> u64 {
        let of_lanes: u64 = self.lanes.iter().filter(|lane| !lane.dormant).map(|lane| lane.reader.troubles()).sum();
        of_lanes + self.refused.len() as u64
    }

    pub(super) fn fault(&self) -> Option<String> {
        let of_lanes = self.lanes.iter().filter(|lane| !lane.dormant).filter_map(|lane| lane.reader.fault());
        let mut faults = self.refused.iter().map(Error::to_string).chain(of_lanes);
        let mut words = faults.next()?;
        for fault in faults.by_ref().take(MOST_NAMED - 1) {
            let _infallible = write!(words, "; {fault}");
        }
        let more = faults.count();
        if more > 0 {
            let _infallible = write!(words, "; and {more} more inputs");
        }
        Some(words)
    }
}

impl Lane {
    fn wake(&mut self) -> Result<()> {
        self.dormant = false;
        if let Some(path) = &self.path {
            self.reader = Reader::open(path)?;
        }
        Ok(())
    }

    /// Reads on; `false` at the end, which gives buffer and file back.
    fn refill(&mut self) -> Result<bool> {
        self.batch.clear();
        self.at = 0;
        if self.reader.read_batch(LANE_BATCH, &mut self.batch)? == Status::End {
            self.reader.close();
            self.batch = Vec::new();
            return Ok(false);
        }
        Ok(true)
    }
}
