//! Round trips of one connection from its packets.

use flowcore::event::EndReason;
use flowcore::{Direction, Evidence, FlowEvent, FlowKey, Nanos, TcpSegment, Timestamp};

use super::{Flow, Method};
use crate::conns::Doubts;
use crate::ends::End;
use crate::tcp::{Followed, RttSample, Witness};

/// One connection, and the round trips to both of its ends.
#[derive(Debug)]
pub(super) struct Packets {
    key: FlowKey,
    followed: Followed,
    smoothed: [Smoothed; 2],
    /// Time of the latest segment.
    through: Timestamp,
    doubts: Doubts,
}

/// Round trips of one direction's data, by RFC 6298 section 2: `R` is a sample; the first gives `srtt <- R` and
/// `rttvar <- R/2`, every other `rttvar <- 3/4 rttvar + 1/4 |srtt - R|` and then `srtt <- 7/8 srtt + 1/8 R`.
#[derive(Copy, Clone, Debug, Default)]
struct Smoothed {
    srtt: i64,
    rttvar: i64,
    least: i64,
    samples: u64,
    /// Time of the latest.
    through: Timestamp,
}

impl Smoothed {
    fn add(&mut self, rtt: Nanos, time: Timestamp) {
        // A packet that was captured late may seem to be answered before it was sent.
        let rtt = rtt.get().max(0);
        if self.samples == 0 {
            *self = Self { srtt: rtt, rttvar: rtt / 2, least: rtt, samples: 1, through: time };
            return;
        }
        let off = (self.srtt - rtt).abs();
        self.rttvar += (off - self.rttvar) / 4;
        self.srtt += (rtt - self.srtt) / 8;
        self.least = self.least.min(rtt);
        self.samples += 1;
        self.through = self.through.max(time);
    }

    fn value(&self, value: i64) -> Option<Nanos> {
        (self.samples > 0).then_some(Nanos::new(value))
    }
}

/// Hears round trips.
struct Told<'a>(&'a mut [Smoothed; 2]);

impl Witness for Told<'_> {
    fn rtt(&mut self, sample: RttSample) {
        self.0[sample.of.index()].add(sample.rtt, sample.time);
    }
}

impl Packets {
    /// `key` is the flow's, its originator's address first, by this evidence.
    pub fn new(key: FlowKey, evidence: Evidence) -> Self {
        let midstream = evidence != Evidence::Syn;
        Self {
            key,
            followed: Followed::default(),
            smoothed: Default::default(),
            through: Timestamp::MIN,
            doubts: if midstream { Doubts::MIDSTREAM } else { Doubts::empty() },
        }
    }

    pub fn observe(&mut self, event: &FlowEvent, segment: &TcpSegment) {
        self.through = self.through.max(event.time);
        self.doubts |= Doubts::of_packet(event);
        self.followed.observe(event, segment, &mut Told(&mut self.smoothed));
    }

    pub fn doubt(&mut self, doubts: Doubts) {
        self.doubts |= doubts;
    }

    pub fn finish(&mut self, reason: EndReason) {
        let goes_on = reason == EndReason::Idle && self.followed.tcp.may_go_on();
        self.doubts.set(Doubts::IDLE, goes_on);
        self.followed.finish(reason, &mut Told(&mut self.smoothed));
    }

    /// That of the end whose peer is farther from the capture point, with what is said of all; `None` before there is a
    /// packet.
    pub fn flow(&self, shared: Doubts) -> Option<Flow> {
        let least = self.smoothed.map(|smoothed| smoothed.value(smoothed.least));
        let sender = if least[1] > least[0] { Direction::Reverse } else { Direction::Forward };
        let smoothed = &self.smoothed[sender.index()];
        let key = if sender == Direction::Forward { self.key } else { self.key.reversed() };
        (self.through > Timestamp::MIN).then(|| Flow {
            end: End::of_key(&key),
            time: if smoothed.samples > 0 { smoothed.through } else { self.through },
            rtt: smoothed.value(smoothed.srtt),
            rttvar: smoothed.value(smoothed.rttvar),
            min_rtt: smoothed.value(smoothed.least),
            samples: Some(smoothed.samples),
            method: Method::Packets,
            doubts: self.doubts() | shared,
        })
    }

    fn doubts(&self) -> Doubts {
        let Followed { tcp, dynamics } = &self.followed;
        let mut doubts = self.doubts | Doubts::of_stream(tcp);
        if tcp.has_syn() {
            // It was captured behind what it began.
            doubts.remove(Doubts::MIDSTREAM);
        }
        if dynamics.lacks_options() {
            doubts |= Doubts::HEADERS_CUT;
        }
        doubts
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_round_trip_has_the_time_of_its_answer_and_no_later_one() {
        use flowcore::TcpFlags;
        let mut packets = Packets::new(FlowKey::NONE, Evidence::Syn);
        let mut times = Vec::new();
        let steps: [(Direction, TcpFlags, u32, u32); 4] = [
            (Direction::Forward, TcpFlags::SYN, 100, 0),
            (Direction::Reverse, TcpFlags::SYN | TcpFlags::ACK, 300, 101),
            (Direction::Forward, TcpFlags::ACK, 101, 301),
            (Direction::Forward, TcpFlags::ACK, 101, 301),
        ];
        for ((direction, flags, seq, ack), second) in steps.into_iter().zip(1..) {
            let time = Timestamp::from_parts(second * second, 0);
            let event = FlowEvent { time, direction, packets: 1, ..FlowEvent::default() };
            packets.observe(&event, &TcpSegment { flags, seq, ack, window: 1, ..TcpSegment::default() });
            times.extend(packets.flow(Doubts::empty()).map(|flow| flow.time));
        }
        // Without a round trip that of the latest segment; the longer of both halves ends with the ACK.
        assert_eq!(times, [1, 4, 9, 9].map(|second| Timestamp::from_parts(second, 0)));
    }

    #[test]
    fn samples_are_smoothed_as_the_rfc_says() {
        let mut smoothed = Smoothed::default();
        assert_eq!(smoothed.value(smoothed.srtt), None);
        for (millis, nanos) in [(100, 1), (180, 3), (100, 2)] {
            smoothed.add(Nanos::new(millis * 1_000_000), Timestamp::from_nanos(nanos));
        }
        // srtt 100 -> 110 -> 108.75, rttvar 50 -> 57.5 -> 45.625.
        assert_eq!((smoothed.srtt, smoothed.rttvar), (108_750_000, 45_625_000));
        assert_eq!((smoothed.least, smoothed.samples), (100_000_000, 3));
        assert_eq!(smoothed.through, Timestamp::from_nanos(3));
    }
}
