//! A segment as the simulated ends speak of it: positions count bytes of a stream from its SYN (which is byte 0) in 64
//! bits, so that wrapping happens only where frames are written.

use std::ops::Range;

/// Nanoseconds since the scenario began.
pub type Time = u64;

pub const MICROS: Time = 1_000;
pub const MILLIS: Time = 1_000_000;
pub const SECONDS: Time = 1_000_000_000;

/// Which end, or which end sends: an index.
pub type Side = usize;

pub const CLIENT: Side = 0;
pub const SERVER: Side = 1;

/// Why an end sent a segment.
#[derive(Copy, Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// The first of its bytes, or nothing but an acknowledgment.
    Original,
    /// The retransmission timer ran out (SYN and SYN-ACK included), or what follows such a loss.
    Timeout,
    /// Three duplicate acknowledgments, or a partial one in recovery.
    Fast,
    KeepAlive,
    ZeroWindowProbe,
}

/// One sending of one segment by an end. Offload and the path may cut or repeat it.
#[derive(Clone, Debug)]
pub struct Emission {
    pub kind: Kind,
    /// Sequence space without SYN and FIN.
    pub payload: Range<u64>,
    /// The receiver had all of its payload when it was sent.
    pub needless: bool,
}

impl Emission {
    pub fn of(segment: &Segment, kind: Kind, needless: bool) -> Self {
        Self { kind, payload: segment.payload(), needless }
    }
}

#[derive(Clone, Debug)]
pub struct Segment {
    pub side: Side,
    pub seq: u64,
    pub len: u64,
    pub syn: bool,
    pub fin: bool,
    pub rst: bool,
    pub push: bool,
    pub ece: bool,
    pub cwr: bool,
    /// By the peer's positions.
    pub ack: Option<u64>,
    /// Bytes that may follow `ack`.
    pub window: u64,
    /// SACK blocks; a DSACK comes first.
    pub sacks: Vec<Range<u64>>,
    /// Timestamp option: value and echo.
    pub stamp: Option<(u32, u32)>,
    /// Which sendings its payload comes from, in order; more than one where offload merged them.
    pub parts: Vec<(Range<u64>, usize)>,
    /// The latest of these sendings, whose SYN or FIN it carries.
    pub emission: usize,
    /// IPv4 identification.
    pub ident: u16,
    /// Sightings of what arrived since its sender's latest acknowledgment: what this one answers.
    pub answers: Vec<usize>,
    /// Where the capture point saw it.
    pub sighting: Option<usize>,
}

impl Segment {
    pub fn payload(&self) -> Range<u64> {
        let from = self.seq + u64::from(self.syn);
        from..from + self.len
    }

    /// One beyond its last position.
    pub fn end(&self) -> u64 {
        self.seq + self.len + u64::from(self.syn) + u64::from(self.fin)
    }

    /// Cut into pieces of at most `most` bytes, as a network card does.
    pub fn pieces(self, most: u64) -> Vec<Self> {
        if self.len <= most {
            return vec![self];
        }
        let mut pieces = Vec::new();
        let payload = self.payload();
        let mut from = payload.start;
        while from < payload.end {
            let to = payload.end.min(from + most);
            let last = to == payload.end;
            let first = from == payload.start;
            let ident = if self.ident == 0 { 0 } else { self.ident.wrapping_add(pieces.len() as u16) };
            pieces.push(Self {
                ident,
                seq: if first { self.seq } else { from },
                len: to - from,
                syn: self.syn && first,
                fin: self.fin && last,
                push: self.push && last,
                parts: clip(&self.parts, &(from..to)),
                ..self.clone()
            });
            from = to;
        }
        pieces
    }
}

/// What of `parts` lies within `range`.
pub fn clip(parts: &[(Range<u64>, usize)], range: &Range<u64>) -> Vec<(Range<u64>, usize)> {
    let clipped =
        parts.iter().map(|(part, emission)| (part.start.max(range.start)..part.end.min(range.end), *emission));
    clipped.filter(|(part, _)| !part.is_empty()).collect()
}

/// Disjoint stretches of a stream.
#[derive(Clone, Debug, Default)]
pub struct Stretches(Vec<Range<u64>>);

impl Stretches {
    /// Adds a stretch; what of it was new.
    pub fn add(&mut self, range: Range<u64>) -> Vec<Range<u64>> {
        let new = self.missing(&range);
        self.0.extend(new.iter().cloned());
        self.0.sort_by_key(|range| range.start);
        let mut merged: Vec<Range<u64>> = Vec::with_capacity(self.0.len());
        for range in self.0.drain(..) {
            match merged.last_mut() {
                Some(last) if last.end >= range.start => last.end = last.end.max(range.end),
                _ => merged.push(range),
            }
        }
        self.0 = merged;
        new
    }

    /// What of `range` is not in any stretch.
    pub fn missing(&self, range: &Range<u64>) -> Vec<Range<u64>> {
        let mut from = range.start;
        let mut missing = Vec::new();
        for held in self.0.iter().filter(|held| held.end > range.start && held.start < range.end) {
            if from < held.start {
                missing.push(from..held.start);
            }
            from = from.max(held.end);
        }
        if from < range.end {
            missing.push(from..range.end);
        }
        missing
    }

    pub fn covers(&self, range: &Range<u64>) -> bool {
        self.missing(range).is_empty()
    }

    /// How many bytes of `range` are not in any stretch.
    pub fn lacking(&self, range: &Range<u64>) -> u64 {
        self.missing(range).iter().map(|range| range.end - range.start).sum()
    }

    pub fn ranges(&self) -> &[Range<u64>] {
        &self.0
    }
}
