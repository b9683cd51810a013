//! Sightings as frames of a capture file.

use crate::plan::Plan;
use crate::segment::{SERVER, Segment, Side};
use crate::strays::Stray;
use crate::world::History;

/// Nanoseconds since 1970 at which scenarios begin.
pub const BEGINNING: u64 = 1_700_000_000_000_000_000;

/// One packet of the capture: which sighting, and when the file says it was.
#[derive(Copy, Clone, Debug)]
pub struct Captured {
    pub sighting: usize,
    /// Nanoseconds since the scenario began.
    pub time: u64,
    /// The capture showed it before.
    pub repeated: bool,
}

pub struct Writer<'a> {
    pub plan: &'a Plan,
    pub history: &'a History,
}

impl Writer<'_> {
    /// A classic capture file with headers only; nanoseconds, or microseconds if the plan says so.
    pub fn file(&self, captured: &[Captured], strays: &[Stray]) -> Vec<u8> {
        let magic: u32 = if self.plan.coarse { 0xa1b2_c3d4 } else { 0xa1b2_3c4d };
        let mut file = Vec::new();
        for word in [magic, 0x0004_0002, 0, 0, 262_144, 1] {
            file.extend(word.to_le_bytes());
        }
        let packets = captured.iter().enumerate().flat_map(|(place, packet)| {
            let behind = strays.iter().filter(move |stray| stray.behind == place).map(|stray| &stray.segment);
            let own = &self.history.sightings[packet.sighting].segment;
            std::iter::once(own).chain(behind).map(move |segment| (packet, segment))
        });
        for (packet, segment) in packets {
            let header = self.frame(segment);
            let time = BEGINNING + packet.time;
            let unit = if self.plan.coarse { 1000 } else { 1 };
            let fraction = (time % 1_000_000_000 / unit) as u32;
            let (kept, long) = (header.len() as u32, header.len() as u32 + segment.len as u32);
            for word in [(time / 1_000_000_000) as u32, fraction, kept, long] {
                file.extend(word.to_le_bytes());
            }
            file.extend(header);
        }
        file
    }

    /// Ethernet, IPv4 and TCP headers; the payload is only counted.
    fn frame(&self, segment: &Segment) -> Vec<u8> {
        let options = self.options(segment);
        let length = 40 + options.len() + segment.len as usize;
        let mut frame = vec![2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 0x08, 0x00, 0x45, 0];
        frame.extend((length.min(65_535) as u16).to_be_bytes());
        frame.extend(segment.ident.to_be_bytes());
        frame.extend([0x40, 0, 64, 6, 0, 0]);
        let ends = [([10, 0, 0, 1], 40_000u16), ([10, 1, 0, 1], 80)];
        let (src, dst) = (ends[segment.side], ends[1 - segment.side]);
        frame.extend(src.0);
        frame.extend(dst.0);
        frame.extend(src.1.to_be_bytes());
        frame.extend(dst.1.to_be_bytes());
        frame.extend(self.wire(segment.side, segment.seq).to_be_bytes());
        frame.extend(segment.ack.map_or(0, |ack| self.wire(1 - segment.side, ack)).to_be_bytes());
        let bits = [
            segment.fin,
            segment.syn,
            segment.rst,
            segment.push,
            segment.ack.is_some(),
            false,
            segment.ece,
            segment.cwr,
        ];
        let flags = bits.iter().enumerate().map(|(bit, set)| u8::from(*set) << bit).sum();
        frame.extend([((5 + options.len() / 4) << 4) as u8, flags]);
        let scale = if segment.syn { 0 } else { self.scale(segment.side) };
        frame.extend(((segment.window >> scale).min(65_535) as u16).to_be_bytes());
        frame.extend([0; 4]);
        frame.extend(options);
        frame
    }

    /// In force only if both sent the option, which both do.
    fn scale(&self, side: Side) -> u8 {
        self.history.scales[side]
    }

    /// A position as the sequence number of `side`'s stream.
    fn wire(&self, side: Side, position: u64) -> u32 {
        self.plan.hosts[side].isn.wrapping_add(position as u32)
    }

    fn options(&self, segment: &Segment) -> Vec<u8> {
        let manner = &self.plan.hosts[segment.side];
        let mut options = Vec::new();
        if segment.syn {
            options.extend([2, 4]);
            options.extend((manner.mss as u16).to_be_bytes());
            options.extend([1, 3, 3, manner.scale]);
            if manner.sack {
                options.extend([1, 1, 4, 2]);
            }
            if segment.side != SERVER && manner.fast_open > 0 {
                options.extend([34, 10, 1, 2, 3, 4, 5, 6, 7, 8, 1, 1]);
            }
        }
        if let Some((value, echo)) = segment.stamp {
            options.extend([1, 1, 8, 10]);
            options.extend(value.to_be_bytes());
            options.extend(echo.to_be_bytes());
        }
        if !segment.sacks.is_empty() {
            options.extend([1, 1, 5, 2 + 8 * segment.sacks.len() as u8]);
            for block in &segment.sacks {
                options.extend(self.wire(1 - segment.side, block.start).to_be_bytes());
                options.extend(self.wire(1 - segment.side, block.end).to_be_bytes());
            }
        }
        options
    }
}
