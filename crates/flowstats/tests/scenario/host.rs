//! One simulated TCP end: enough of RFC 9293, 5681, 6298, 7323, 2018 and 2883 to send everything that a capture shows.

use std::ops::Range;

use crate::segment::{Emission, Kind, MILLIS, SECONDS, Segment, Side, Stretches, Time};

/// What an end is like.
#[derive(Clone, Debug)]
pub struct Manner {
    pub isn: u32,
    pub mss: u64,
    /// Receive buffer, bytes.
    pub buffer: u64,
    /// Window scale option.
    pub scale: u8,
    /// Congestion window, segments.
    pub congestion: u64,
    /// Segments that leave the end as one, for a network card to cut.
    pub offload: u64,
    pub timestamps: bool,
    /// Nanoseconds of one timestamp tick.
    pub tick: Time,
    pub sack: bool,
    pub ecn: bool,
    /// How long an acknowledgment may wait for a second segment; 0 = never.
    pub delayed_ack: Time,
    /// The retransmission timer is never shorter.
    pub least_timeout: Time,
    /// Quiet time before a keep-alive, and whether it carries the byte before.
    pub keep_alive: Option<(Time, bool)>,
    /// Zero-window probes carry the next byte (otherwise nothing, one position back).
    pub probe_byte: bool,
    /// The last data segment may carry the FIN.
    pub fin_with_data: bool,
    /// The application stops reading at so many bytes for so long.
    pub stall: Option<(u64, Time)>,
    pub listening: Listening,
    pub idents: Idents,
    /// Bytes on the SYN (TCP Fast Open).
    pub fast_open: u64,
}

/// How an end numbers its datagrams.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Idents {
    Counted,
    Random,
    /// Not at all: always 0.
    Zero,
}

/// How an end meets a SYN.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Listening {
    Accepts,
    /// Acknowledges first, then sends a SYN of its own.
    Splits,
    Refuses,
    Silent,
}

/// What an end did, for those who want to know the truth.
#[derive(Clone, Debug)]
pub struct Delivery {
    pub payload: Range<u64>,
    pub sighting: Option<usize>,
}

/// The stream became whole up to `to`.
#[derive(Clone, Debug)]
pub struct Advance {
    pub range: Range<u64>,
    /// What arrived then.
    pub emissions: Vec<usize>,
    pub sighting: Option<usize>,
}

pub struct Host {
    pub side: Side,
    pub manner: Manner,
    now: Time,
    /// Sent segments, taken away by the world.
    pub out: Vec<(Segment, Kind)>,
    opened: bool,
    established: bool,
    peer_syn: bool,
    pub dead: bool,
    uses_stamps: bool,
    uses_sack: bool,
    /// One beyond the last byte written by the application.
    written: u64,
    closing: bool,
    una: u64,
    next: u64,
    max: u64,
    peer_window: u64,
    window_seq: u64,
    window_ack: u64,
    peer_mss: u64,
    congestion: u64,
    duplicate_acks: u32,
    /// In fast recovery until so much is acknowledged.
    recover: Option<u64>,
    /// Segment whose round trip is timed: its end and when it left.
    timed: Option<(u64, Time)>,
    smoothed: Option<(Time, Time)>,
    timeouts: u32,
    timer: Option<Time>,
    persist: Option<Time>,
    persists: u32,
    alive: Option<Time>,
    // Receiving.
    pub received: u64,
    held: Stretches,
    peer_fin: Option<u64>,
    unread_from: u64,
    stalled_until: Option<Time>,
    stalls_left: bool,
    pending_acks: u32,
    ack_timer: Option<Time>,
    advertised: u64,
    recent_stamp: u32,
    duplicate_block: Option<Range<u64>>,
    last_block: Option<Range<u64>>,
    /// Sightings of what arrived since the latest acknowledgment.
    answers: Vec<usize>,
    pub deliveries: Vec<Delivery>,
    pub advances: Vec<Advance>,
}

impl Host {
    pub fn new(side: Side, manner: Manner) -> Self {
        Self {
            side,
            now: 0,
            out: Vec::new(),
            opened: false,
            established: false,
            peer_syn: false,
            dead: false,
            uses_stamps: manner.timestamps,
            uses_sack: manner.sack,
            written: 1,
            closing: false,
            una: 0,
            next: 0,
            max: 0,
            peer_window: 0,
            window_seq: 0,
            window_ack: 0,
            peer_mss: manner.mss,
            congestion: manner.congestion,
            duplicate_acks: 0,
            recover: None,
            timed: None,
            smoothed: None,
            timeouts: 0,
            timer: None,
            persist: None,
            persists: 0,
            alive: None,
            received: 0,
            held: Stretches::default(),
            peer_fin: None,
            unread_from: 1,
            stalled_until: None,
            stalls_left: manner.stall.is_some(),
            pending_acks: 0,
            ack_timer: None,
            advertised: 0,
            recent_stamp: 0,
            duplicate_block: None,
            last_block: None,
            answers: Vec::new(),
            deliveries: Vec::new(),
            advances: Vec::new(),
            manner,
        }
    }

    /// Payload bytes that the application could have read, and one more for the peer's FIN.
    pub fn got(&self) -> u64 {
        self.received.saturating_sub(1)
    }

    pub fn is_established(&self) -> bool {
        self.established
    }

    /// Payload that is at this end already.
    pub fn has(&self, payload: &Range<u64>) -> bool {
        payload.end <= self.received || self.held.covers(&(payload.start.max(self.received)..payload.end))
    }

    pub fn connect(&mut self, now: Time) {
        self.now = now;
        self.opened = true;
        self.written += self.manner.fast_open;
        self.send_syn(Kind::Original);
    }

    pub fn write(&mut self, now: Time, bytes: u64) {
        self.now = now;
        self.written += bytes;
        self.flush();
    }

    pub fn close(&mut self, now: Time) {
        self.now = now;
        self.closing = true;
        self.flush();
    }

    pub fn abort(&mut self, now: Time) {
        self.now = now;
        if !self.dead {
            let segment = Segment { rst: true, ..self.blank(self.next) };
            self.out.push((segment, Kind::Original));
            self.die();
        }
    }

    /// When this end has something to do by itself.
    pub fn deadline(&self) -> Option<Time> {
        let timers = [self.timer, self.persist, self.alive, self.ack_timer, self.stalled_until];
        timers.into_iter().flatten().min()
    }

    pub fn wake(&mut self, now: Time) {
        self.now = now;
        let due = |timer: Option<Time>| timer.is_some_and(|at| at <= now);
        if due(self.stalled_until) {
            self.stalled_until = None;
            self.read();
        }
        if due(self.ack_timer) {
            self.acknowledge();
        }
        if due(self.timer) {
            self.time_out();
        }
        if due(self.persist) {
            self.probe();
        }
        if due(self.alive) {
            self.keep_alive();
        }
    }

    fn die(&mut self) {
        self.dead = true;
        self.timer = None;
        self.persist = None;
        self.alive = None;
        self.ack_timer = None;
        self.stalled_until = None;
    }

    fn window(&self) -> u64 {
        // Positions from the SYN on: what the application has not read yet fills the buffer.
        let unread = self.received.saturating_sub(self.unread_from.max(1) + u64::from(self.fin_received()));
        let free = self.manner.buffer.saturating_sub(unread);
        let scale = if self.established || self.peer_syn { self.scale() } else { 0 };
        (free.min(65_535 << scale) >> scale) << scale
    }

    pub fn scale(&self) -> u8 {
        self.manner.scale
    }

    fn fin_received(&self) -> bool {
        self.peer_fin.is_some_and(|fin| self.received > fin)
    }

    fn stamp(&self) -> Option<(u32, u32)> {
        let value = (self.now / self.manner.tick) as u32;
        self.uses_stamps.then(|| (value.wrapping_add(self.manner.isn), self.recent_stamp))
    }

    fn blank(&self, seq: u64) -> Segment {
        Segment {
            side: self.side,
            seq,
            len: 0,
            syn: false,
            fin: false,
            rst: false,
            push: false,
            ece: false,
            cwr: false,
            ack: self.peer_syn.then_some(self.received),
            window: self.window(),
            sacks: Vec::new(),
            stamp: self.stamp(),
            parts: Vec::new(),
            emission: 0,
            ident: 0,
            answers: Vec::new(),
            sighting: None,
        }
    }

    fn send(&mut self, mut segment: Segment, kind: Kind) {
        if segment.ack.is_some() {
            self.pending_acks = 0;
            self.ack_timer = None;
            self.advertised = self.received + segment.window;
            segment.answers = std::mem::take(&mut self.answers);
        }
        if segment.end() > self.una && self.timer.is_none() {
            self.timer = Some(self.now + self.timeout());
        }
        if kind == Kind::Original && segment.end() > self.max && self.timed.is_none() && segment.end() > segment.seq {
            self.timed = Some((segment.end(), self.now));
        } else if kind != Kind::Original {
            self.timed = None;
        }
        self.max = self.max.max(segment.end());
        self.quiet();
        self.out.push((segment, kind));
    }

    fn quiet(&mut self) {
        if let (Some((after, _)), true) = (self.manner.keep_alive, self.established && !self.closing) {
            self.alive = Some(self.now + after);
        }
    }

    fn timeout(&self) -> Time {
        let base = self.smoothed.map_or(SECONDS, |(mean, variance)| mean + 4 * variance);
        (base.max(self.manner.least_timeout) << self.timeouts.min(6)).min(4 * SECONDS)
    }

    fn send_syn(&mut self, kind: Kind) {
        let len = if kind == Kind::Original && !self.peer_syn { self.manner.fast_open } else { 0 };
        let answers = self.peer_syn && self.manner.listening != Listening::Splits;
        let ecn = self.manner.ecn;
        let segment = Segment {
            syn: true,
            len,
            ece: ecn,
            cwr: ecn && !answers,
            ack: if answers { Some(self.received) } else { None },
            window: self.window().min(65_535),
            ..self.blank(0)
        };
        self.next = self.next.max(1);
        self.send(segment, kind);
        // What a SYN carried and the peer may not have taken is sent again as if it were new to it.
    }

    fn acknowledge(&mut self) {
        let mut segment = self.blank(self.next.max(self.max));
        if self.next < self.max {
            segment.seq = self.max;
        }
        if self.uses_sack {
            segment.sacks.extend(self.duplicate_block.take());
            if let Some(last) = &self.last_block {
                let recent = self.held.ranges().iter().find(|block| block.start <= last.start && last.end <= block.end);
                segment.sacks.extend(recent.cloned());
                let others = self.held.ranges().iter().filter(|block| Some(*block) != recent);
                segment.sacks.extend(others.cloned());
            }
            segment.sacks.truncate(if self.uses_stamps { 3 } else { 4 });
        }
        self.duplicate_block = None;
        self.pending_acks = 0;
        self.ack_timer = None;
        self.advertised = self.received + segment.window;
        segment.answers = std::mem::take(&mut self.answers);
        self.out.push((segment, Kind::Original));
    }

    /// Sends what may be sent.
    fn flush(&mut self) {
        if !self.established || self.dead {
            return;
        }
        loop {
            let in_flight = self.next - self.una;
            let limit = (self.una + self.congestion * self.mss()).min(self.una + self.peer_window);
            let from = self.next;
            if from < self.written && from < limit {
                // What was sent before may be cut anew, together with what was not.
                let most = if from < self.max { 1 } else { self.manner.offload } * self.mss();
                let len = (self.written - from).min(limit - from).min(most);
                if len < self.mss() && from + len < self.written && in_flight > 0 && from >= self.max {
                    break;
                }
                let last = from + len == self.written;
                let kind = if from < self.max { Kind::Timeout } else { Kind::Original };
                let fin = last && self.closing && self.manner.fin_with_data;
                self.next = from + len + u64::from(fin);
                let segment = Segment { len, fin, push: last, ..self.blank(from) };
                self.send(segment, kind);
            } else if self.closing && from == self.written {
                let kind = if from < self.max { Kind::Timeout } else { Kind::Original };
                self.next = from + 1;
                let segment = Segment { fin: true, ..self.blank(from) };
                self.send(segment, kind);
            } else {
                break;
            }
        }
        let waiting = self.next < self.written && self.next == self.una && self.peer_window == 0;
        if waiting && self.persist.is_none() {
            self.persist = Some(self.now + self.timeout().max(200 * MILLIS));
        } else if !waiting {
            self.persist = None;
            self.persists = 0;
        }
        if self.una == self.max || (waiting && self.una == self.next) {
            self.timer = None;
        }
    }

    fn mss(&self) -> u64 {
        self.manner.mss.min(self.peer_mss) - if self.uses_stamps { 12 } else { 0 }
    }

    /// Sends the first segment that is not acknowledged.
    fn repeat(&mut self, kind: Kind) {
        if self.una == 0 {
            self.send_syn(kind);
            return;
        }
        let end = self.max.min(self.written);
        let len = end.saturating_sub(self.una).min(self.mss());
        let fin = self.max > self.written && self.una + len == self.written;
        if len == 0 && !fin {
            return;
        }
        let segment = Segment { len, fin, push: true, ..self.blank(self.una) };
        let end = segment.end();
        self.send(segment, kind);
        self.next = self.next.max(end);
    }

    fn time_out(&mut self) {
        self.timer = None;
        if self.una >= self.max {
            return;
        }
        self.timeouts += 1;
        if self.timeouts > if self.established { 8 } else { 3 } {
            self.die();
            return;
        }
        self.recover = None;
        self.duplicate_acks = 0;
        if self.established {
            self.congestion = 1;
            self.next = self.una;
        }
        self.repeat(Kind::Timeout);
        self.timer = Some(self.now + self.timeout());
    }

    fn probe(&mut self) {
        self.persist = None;
        self.persists += 1;
        if self.peer_window > 0 || self.persists > 12 || self.dead {
            return;
        }
        let segment =
            if self.manner.probe_byte { Segment { len: 1, ..self.blank(self.una) } } else { self.blank(self.una - 1) };
        self.max = self.max.max(segment.end());
        self.timed = None;
        self.out.push((segment, Kind::ZeroWindowProbe));
        let wait = (200 * MILLIS) << self.persists.min(4);
        self.persist = Some(self.now + wait);
    }

    fn keep_alive(&mut self) {
        self.alive = None;
        let Some((after, byte)) = self.manner.keep_alive else { return };
        if self.una == self.max && self.next == self.max && !self.closing {
            let segment = Segment { len: u64::from(byte), ..self.blank(self.next - 1) };
            self.out.push((segment, Kind::KeepAlive));
        }
        self.alive = Some(self.now + after);
    }

    fn read(&mut self) {
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

impl Emission {
    pub fn of(segment: &Segment, kind: Kind, needless: bool) -> Self {
        Self { kind, payload: segment.payload(), needless }
    }
}
