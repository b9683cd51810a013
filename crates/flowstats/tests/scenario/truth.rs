//! What is true of a scenario at its capture point, and what its capture holds of that.

use std::ops::Range;

use crate::frames::Captured;
use crate::plan::Plan;
use crate::random::Random;
use crate::segment::{CLIENT, Kind, MICROS, SERVER, Side, Stretches, Time};
use crate::world::{History, Sighting};

/// What the capture keeps of the sightings.
pub fn capture(plan: &Plan, history: &History, seed: u64) -> Vec<Captured> {
    let mut random = Random::new(seed ^ 0xca97);
    let mut captured = Vec::new();
    let mut losing = 0;
    for (sighting, Sighting { time, .. }) in history.sightings.iter().enumerate() {
        if (sighting as u64) < plan.flaws.skips {
            continue;
        }
        if losing == 0 && random.permille(plan.flaws.loss) {
            losing = plan.flaws.burst;
        }
        if losing > 0 {
            losing -= 1;
            continue;
        }
        captured.push(Captured { sighting, time: *time, repeated: false });
        if random.permille(plan.flaws.duplication) {
            captured.push(Captured { sighting, time: time + random.below(20) * MICROS, repeated: true });
        }
    }
    captured.sort_by_key(|packet| (packet.time, packet.sighting));
    captured
}

/// The truth by direction of the stream that it is about.
#[derive(Debug, Default)]
pub struct Truth {
    /// Packets in the capture.
    pub packets: [u64; 2],
    pub payload: [u64; 2],
    /// Bytes of the stream that the capture shows by itself, or by an acknowledgment.
    pub stream: [u64; 2],
    /// Acknowledged in the capture and nowhere in it.
    pub missing: [u64; 2],
    /// Acknowledged in the capture before it showed them, if ever.
    pub missing_then: [u64; 2],
    /// Packets with payload that the capture had shown, wholly or in part, before.
    pub repeated: [u64; 2],
}

/// Looks at what was captured.
pub fn of(history: &History, captured: &[Captured]) -> Truth {
    let mut truth = Truth::default();
    for side in [CLIENT, SERVER] {
        let mut seen = Stretches::default();
        // What came before the first packet of this side is not the capture's to miss.
        let mut segments = captured.iter().map(|packet| &history.sightings[packet.sighting].segment);
        let has_syn = segments.any(|segment| segment.side == side && segment.syn);
        let mut first = has_syn.then_some(1);
        let mut acked = 0;
        let mut stream = 0;
        let mut then = Stretches::default();
        let mut fin = None;
        let mut reset = false;
        for packet in captured {
            let segment = &history.sightings[packet.sighting].segment;
            if segment.side == side {
                truth.packets[side] += 1;
                // Where a segment stands tells how much was sent before it.
                if !reset {
                    stream = stream.max(segment.seq);
                }
                reset |= segment.rst;
                if first.is_none() {
                    first = Some(if segment.syn { 1 } else { segment.seq.max(1) });
                }
                if segment.rst {
                    continue;
                }
                truth.payload[side] += segment.len;
                let payload = segment.payload();
                if segment.fin {
                    fin = Some(segment.end() - 1);
                }
                let new = seen.add(payload.clone());
                let bytes: u64 = new.iter().map(|range| range.end - range.start).sum();
                truth.repeated[side] += u64::from(bytes < segment.len);
                stream = stream.max(payload.end);
            } else if let (Some(ack), false) = (segment.ack, segment.rst) {
                acked = acked.max(ack);
                let from = *first.get_or_insert(ack.max(1));
                for range in seen.missing(&(from.min(ack)..ack)) {
                    then.add(range);
                }
            }
        }
        let from = first.unwrap_or(1);
        let end = |end: u64| from..end.min(fin.unwrap_or(end)).max(from);
        truth.missing[side] = seen.lacking(&end(acked));
        truth.missing_then[side] = then.ranges().iter().map(|range| range.end - range.start).sum();
        truth.stream[side] = end(stream.max(acked)).end - from;
    }
    truth
}

/// One true round trip from the capture point to the receiver of `side`'s stream and back.
pub struct RoundTrips<'a> {
    history: &'a History,
    side: Side,
    /// Which sending moved the stream on to each position, sorted.
    advances: Vec<(Range<u64>, bool, Vec<usize>)>,
}

impl<'a> RoundTrips<'a> {
    pub fn of(history: &'a History, side: Side) -> Self {
        let advances = history.advances[1 - side].iter().map(|advance| {
            let repeats = advance.emissions.iter().any(|emission| history.emissions[*emission].kind != Kind::Original);
            (advance.range.clone(), repeats, advance.emissions.clone())
        });
        Self { history, side, advances: advances.collect() }
    }

    /// The round trip of the byte before position `end`; `None` if its acknowledgment does not tell one: it waited for
    /// something else to be sent again, or never came.
    pub fn of_byte_before(&self, end: u64) -> Option<Time> {
        let byte = end.checked_sub(1)?;
        let delivery = self.history.deliveries[1 - self.side].iter().find(|one| one.payload.contains(&byte))?;
        let (_, repeats, emissions) = self.advances.iter().find(|(range, ..)| range.contains(&byte))?;
        if *repeats && !emissions.contains(&delivery.emission) {
            return None;
        }
        let sent = &self.history.sightings[delivery.sighting?];
        let acknowledged = self.history.sightings.iter().find(|one| {
            one.segment.side != self.side && !one.segment.rst && one.segment.ack.is_some_and(|ack| ack >= end)
        })?;
        acknowledged.time.checked_sub(sent.time)
    }
}
