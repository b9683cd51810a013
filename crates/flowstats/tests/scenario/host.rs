//! One simulated TCP end: enough of RFC 9293, 5681, 6298, 7323, 2018 and 2883 to send everything that a capture shows.

mod receiving;

use std::ops::Range;

use crate::manner::{Listening, Manner};
use crate::segment::{Kind, MILLIS, SECONDS, Segment, Side, Stretches, Time};

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
}
