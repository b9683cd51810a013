//! What is true of a scenario at its capture point, and what its capture holds of that.

use std::ops::Range;

use crate::frames::Captured;
use crate::plan::Plan;
use crate::random::Random;
use crate::segment::{CLIENT, Kind, MICROS, SERVER, Side, Stretches};
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
        let fins = history.sightings.iter().map(|one| &one.segment).filter(|one| one.side == side && one.fin);
        let fin = fins.map(|one| one.end() - 1).max();
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
                let new = seen.add(payload.clone());
                let bytes: u64 = new.iter().map(|range| range.end - range.start).sum();
                truth.repeated[side] += u64::from(bytes < segment.len);
                stream = stream.max(payload.end);
            } else if let (Some(ack), false) = (segment.ack, segment.rst) {
                acked = acked.max(ack);
                let from = *first.get_or_insert(ack.max(1));
                let ack = ack.min(fin.unwrap_or(ack));
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
    /// What moved the stream on to each position: whether it was sent again, and its sighting.
    advances: Vec<(Range<u64>, bool, Option<usize>)>,
}

impl<'a> RoundTrips<'a> {
    pub fn of(history: &'a History, side: Side) -> Self {
        let advances = history.advances[1 - side].iter().map(|advance| {
            let repeats = advance.emissions.iter().any(|emission| history.emissions[*emission].kind != Kind::Original);
            (advance.range.clone(), repeats, advance.sighting)
        });
        Self { history, side, advances: advances.collect() }
    }

    /// Whether the sighting `sent` delivered its last byte, `answer` is the first to acknowledge it, and the receiver did
    /// not wait for something else to be sent again meanwhile.
    pub fn is_of(&self, sent: usize, answer: usize) -> bool {
        let end = self.history.sightings[sent].segment.end();
        let Some(byte) = end.checked_sub(1) else { return false };
        let deliveries = &self.history.deliveries[1 - self.side];
        let Some(delivery) = deliveries.iter().find(|one| one.payload.contains(&byte)) else { return false };
        let Some((_, repeats, moved)) = self.advances.iter().find(|(range, ..)| range.contains(&byte)) else {
            return false;
        };
        let waited = *repeats && *moved > delivery.sighting;
        let first = self.history.sightings.iter().position(|one| {
            one.segment.side != self.side && !one.segment.rst && one.segment.ack.is_some_and(|ack| ack >= end)
        });
        !waited && delivery.sighting == Some(sent) && first == Some(answer)
    }

    /// Whether the sighting `sent` arrived, and `answer` is the first that echoes its timestamp.
    pub fn echoes(&self, sent: usize, answer: usize) -> bool {
        let sightings = &self.history.sightings;
        let Some((stamp, _)) = sightings[sent].segment.stamp else { return false };
        let echoes =
            |one: &Sighting| one.segment.side != self.side && one.segment.stamp.is_some_and(|own| own.1 == stamp);
        self.history.arrived.contains(&sent) && sightings.iter().position(echoes) == Some(answer)
    }
}
