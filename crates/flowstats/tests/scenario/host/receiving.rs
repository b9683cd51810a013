//! What a simulated TCP end does with the segments that reach it.

use super::{Advance, Delivery, Host};
use crate::manner::Listening;
use crate::segment::{Kind, Segment, Stretches, Time};

impl Host {
    pub(super) fn read(&mut self) {
        if let (true, Some((at, wait))) = (self.stalls_left, self.manner.stall)
            && self.got() >= at
        {
            self.stalls_left = false;
            self.stalled_until = Some(self.now + wait);
            self.unread_from = self.unread_from.max(at + 1);
        }
        if self.stalled_until.is_none() {
            let before = self.advertised.saturating_sub(self.received);
            self.unread_from = self.received;
            if self.established && !self.dead && before < 2 * self.mss() && self.window() >= before + self.mss() {
                self.acknowledge();
            }
        }
    }

    pub fn receive(&mut self, now: Time, segment: &Segment) {
        self.now = now;
        if segment.rst {
            let expected = segment.seq <= self.received + self.window() && segment.seq >= self.received;
            let refusal = self.opened && !self.peer_syn && segment.ack == Some(self.max);
            if expected && self.peer_syn || refusal {
                self.die();
            }
            return;
        }
        if self.dead {
            let seq = segment.ack.unwrap_or(0);
            self.out.push((Segment { rst: true, ack: None, window: 0, ..self.blank(seq) }, Kind::Original));
            return;
        }
        if !self.opened && !self.peer_syn {
            match self.manner.listening {
                Listening::Silent => return,
                Listening::Refuses => {
                    let answers = segment.sighting.into_iter().collect();
                    let segment = Segment { rst: true, ack: Some(segment.end()), window: 0, answers, ..self.blank(0) };
                    self.out.push((Segment { stamp: None, ..segment }, Kind::Original));
                    return;
                }
                _ => {}
            }
        }
        if segment.end() > segment.seq {
            self.answers.extend(segment.sighting);
        }
        if segment.syn {
            self.meet(segment);
            if segment.ack.is_none() {
                return;
            }
        } else if !self.peer_syn {
            if let Some(ack) = segment.ack {
                // The first half of a split handshake.
                self.una = self.una.max(ack.min(self.max));
                self.peer_window = segment.window;
                self.timer = Some(self.now + self.timeout());
            }
            return;
        }
        if let Some((value, _)) = segment.stamp
            && segment.seq <= self.received
        {
            self.recent_stamp = value;
        }
        self.take_ack(segment);
        self.take_payload(segment);
        self.flush();
    }

    fn meet(&mut self, segment: &Segment) {
        if self.peer_syn {
            // A repeated SYN: the answer was lost or late.
            if self.established || segment.ack.is_some() {
                self.acknowledge();
            } else {
                self.send_syn(Kind::Timeout);
            }
            return;
        }
        self.peer_syn = true;
        self.received = 1;
        let (emission, sighting) = (segment.emission, segment.sighting);
        self.deliveries.push(Delivery { payload: 0..1, sighting });
        self.advances.push(Advance { range: 0..1, emissions: vec![emission], sighting });
        self.unread_from = 1;
        self.uses_stamps &= segment.stamp.is_some();
        if let Some((value, _)) = segment.stamp {
            self.recent_stamp = value;
        }
        self.window_seq = segment.seq;
        let split = self.manner.listening == Listening::Splits && !self.opened;
        if split {
            let answers = std::mem::take(&mut self.answers);
            let acknowledgment = Segment { answers, ..self.blank(0) };
            self.out.push((acknowledgment, Kind::Original));
        }
        let answered = segment.ack.is_some();
        if segment.len > 0 {
            self.take_payload(segment);
            self.ack_timer = None;
        }
        if !answered {
            // Of a simultaneous open the SYN goes again, now with an ACK.
            self.send_syn(Kind::Original);
        }
        self.opened = true;
    }

    fn take_ack(&mut self, segment: &Segment) {
        let Some(ack) = segment.ack else { return };
        if ack > self.max {
            return;
        }
        let first = !self.established && ack >= 1 && self.peer_syn;
        let newer = self.window_seq < segment.seq || (self.window_seq == segment.seq && self.window_ack <= ack);
        let same_window = self.peer_window == segment.window;
        if first || newer {
            self.peer_window = segment.window;
            self.window_seq = segment.seq;
            self.window_ack = ack;
        }
        if first {
            self.established = true;
            self.next = self.next.max(1).max(ack);
            if self.una == 0 && self.manner.fast_open > 0 && ack == 1 {
                // The SYN's data was not taken.
                self.next = 1;
            }
            self.quiet();
            if segment.syn || segment.len == 0 && self.manner.listening == Listening::Splits {
                self.acknowledge();
            }
        }
        if ack > self.una {
            if let Some((end, since)) = self.timed
                && ack >= end
            {
                self.smooth(self.now - since);
                self.timed = None;
            }
            self.una = ack;
            self.next = self.next.max(ack);
            self.duplicate_acks = 0;
            self.timeouts = 0;
            self.congestion = self.manner.congestion.min(self.congestion + 1);
            self.timer = (self.una < self.max).then(|| self.now + self.timeout());
            match self.recover {
                Some(recover) if ack >= recover => self.recover = None,
                Some(_) => self.repeat(Kind::Fast),
                None => {}
            }
        } else if ack == self.una && segment.end() == segment.seq && same_window && self.una < self.max {
            self.duplicate_acks += 1;
            if self.duplicate_acks == 3 && self.recover.is_none() && self.una > 0 {
                self.recover = Some(self.max);
                self.repeat(Kind::Fast);
            }
        }
    }

    fn smooth(&mut self, sample: Time) {
        self.smoothed = Some(match self.smoothed {
            None => (sample, sample / 2),
            Some((mean, variance)) => ((7 * mean + sample) / 8, (3 * variance + mean.abs_diff(sample)) / 4),
        });
    }

    fn take_payload(&mut self, segment: &Segment) {
        if segment.fin {
            self.peer_fin = Some(segment.end() - 1);
        }
        let payload = segment.payload();
        let range = payload.start..payload.end + u64::from(segment.fin);
        if range.is_empty() {
            if segment.seq < self.received && !segment.syn {
                // Nothing to take, and not where it belongs: a keep-alive or a probe.
                self.acknowledge();
            }
            return;
        }
        let edge = self.received + self.window();
        let taken = range.start..range.end.min(edge.max(self.received));
        if taken.end <= self.received || taken.start >= taken.end || self.has(&taken) {
            if range.end <= edge {
                self.duplicate_block = Some(range);
            }
            self.acknowledge();
            return;
        }
        let new = self.held.missing(&(taken.start.max(self.received)..taken.end));
        if segment.fin && new.iter().any(|part| part.end == range.end) {
            self.deliveries.push(Delivery { payload: range.end - 1..range.end, sighting: segment.sighting });
        }
        for part in &new {
            for (payload, _) in crate::segment::clip(&segment.parts, part) {
                self.deliveries.push(Delivery { payload, sighting: segment.sighting });
            }
        }
        let had_holes = !self.held.ranges().is_empty();
        self.held.add(taken.start.max(self.received)..taken.end);
        self.last_block = Some(taken.clone());
        let before = self.received;
        if let Some(whole) = self.held.ranges().iter().find(|held| held.start <= before && before < held.end) {
            self.received = whole.end;
            let mut emissions: Vec<_> = segment.parts.iter().map(|(_, emission)| *emission).collect();
            if segment.fin && !emissions.contains(&segment.emission) {
                emissions.push(segment.emission);
            }
            self.advances.push(Advance { range: before..self.received, emissions, sighting: segment.sighting });
            let received = self.received;
            let mut rest = Stretches::default();
            for held in self.held.ranges().iter().filter(|held| held.end > received) {
                rest.add(held.clone());
            }
            self.held = rest;
        }
        let advanced = self.received > before;
        self.read();
        self.pending_acks += 1;
        let at_once = !advanced
            || had_holes
            || self.manner.delayed_ack == 0
            || self.pending_acks >= 2
            || segment.fin
            || segment.len > self.mss();
        if !self.established {
            return;
        }
        if at_once {
            self.acknowledge();
        } else if self.ack_timer.is_none() {
            self.ack_timer = Some(self.now + self.manner.delayed_ack);
        }
    }
}
