//! What is acknowledged: round trips under Karn's rule, duplicate ACKs, what a receiver reports.

use std::ops::Range;

use flowcore::event::TcpOptions;
use flowcore::{Direction, FlowEvent, Nanos, TcpSegment, Timestamp};

use super::{Dynamics, Seen, watch};
use crate::tcp::retransmit::Recovery;
use crate::tcp::rtt::{Sent, echoes_later};
use crate::tcp::trouble::Repeat;
use crate::tcp::{Endpoint, NEVER, Retransmission, RttMethod, RttSample, Tcp, Witness};

impl Dynamics {
    /// An ACK of exactly the bytes that were sent at `sent` with `stamp`.
    #[inline]
    pub(super) fn sample<W: Witness>(
        &mut self,
        of: Direction,
        sent: i64,
        stamp: u32,
        event: &FlowEvent,
        segment: &TcpSegment,
        witness: &mut W,
    ) {
        let rtt = event.time.as_nanos().wrapping_sub(sent);
        if sent == NEVER || rtt < 0 || echoes_later(segment.timestamp.1, stamp) {
            return self.note_ambiguous(of, event.time, witness);
        }
        let method = if event.payload_bytes > 0 { RttMethod::Piggyback } else { RttMethod::Acknowledgment };
        self.take(of, Nanos::new(rtt), method, event.time, witness);
    }

    #[inline]
    pub(super) fn take<W: Witness>(
        &mut self,
        of: Direction,
        rtt: Nanos,
        method: RttMethod,
        time: Timestamp,
        witness: &mut W,
    ) {
        self.shortest[of.index()].take(rtt);
        witness.rtt(RttSample { time, rtt, of, method });
    }

    #[cold]
    pub(super) fn note_ambiguous<W: Witness>(&mut self, of: Direction, time: Timestamp, witness: &mut W) {
        self.ambiguous[of.index()] = self.ambiguous[of.index()].saturating_add(1);
        witness.ambiguous(of, time);
    }

    #[cold]
    pub(super) fn start_ring(&mut self, of: Direction) {
        self.rings.get_or_insert_default()[of.index()].clear();
        self.set_watch(watch::RING, of, true);
    }

    pub(super) fn time_segment(&mut self, by: Direction, end: u32, event: &FlowEvent, segment: &TcpSegment) {
        if let Some(rings) = &mut self.rings {
            rings[by.index()].push(end, event.time, segment.timestamp.0);
        }
    }

    /// ACKs up to `position` of `of`'s data tell no round trip.
    pub(super) fn blur(&mut self, of: Direction, position: i64) {
        let side = &mut self.trouble.get_or_insert_default().sides[of.index()];
        side.ambiguous_to = side.ambiguous_to.max(position);
        self.set_watch(watch::RECOVERY, of, true);
    }

    /// Everything up to `acked` of `of`'s data is acknowledged; if that is a part of what was on its way when a recovery
    /// began, it asks for what comes next (RFC 6582 section 3.2 step 3).
    pub(super) fn settle(&mut self, of: Direction, acked: i64, now: Timestamp) {
        let Some(trouble) = &mut self.trouble else { return };
        let side = &mut trouble.sides[of.index()];
        if acked >= side.ambiguous_to {
            side.recovery = Recovery::None;
            self.set_watch(watch::RECOVERY, of, false);
        } else if side.recovery == Recovery::Fast && acked < side.recover {
            side.asked_time = now.as_nanos();
        }
    }

    /// An ACK of more of `of`'s data, of which everything up to `from` was acknowledged before.
    pub(super) fn acknowledged<W: Witness>(
        &mut self,
        of: Direction,
        from: i64,
        end: &Endpoint,
        event: &FlowEvent,
        segment: &TcpSegment,
        witness: &mut W,
    ) {
        if self.watches(watch::ASKED, of) {
            self.set_watch(watch::ASKED, of, false);
            if let Some(trouble) = &mut self.trouble {
                trouble.sides[of.index()].duplicate_acks = 0;
            }
        }
        let timed = match &mut self.rings {
            Some(rings) if self.watch & watch::RING << of.index() != 0 => rings[of.index()].acknowledge(segment.ack),
            _ => None,
        };
        let acked = end.acked();
        let opened = match of {
            Direction::Forward => self.seen.contains(Seen::OPENING),
            Direction::Reverse => self.seen.contains(Seen::OTHER_OPENING),
        };
        let answers_more = of == Direction::Reverse && from == 0 && self.is_ack_of_more(end);
        if from <= i64::from(!opened) && !(opened && answers_more) {
            // Acknowledged first is the SYN, or what may have been sent twice before the capture.
            if !opened && acked < end.last() {
                self.blur(of, end.last());
            }
            self.settle(of, acked, event.time);
            return;
        }
        if self.watches(watch::RECOVERY, of) {
            let blurred = self.trouble.as_ref().is_some_and(|trouble| from < trouble.sides[of.index()].ambiguous_to);
            if blurred {
                self.resolve(of, from..acked, event, segment, witness);
            }
            self.settle(of, acked, event.time);
            if blurred {
                return;
            }
        }
        if acked == end.last() {
            let Sent { time, stamp, .. } = self.sent[of.index()];
            self.sample(of, time, stamp, event, segment, witness);
        } else if let Some((time, stamp)) = timed {
            self.sample(of, time, stamp, event, segment, witness);
        } else if !self.watches(watch::RING, of) {
            self.start_ring(of);
        }
    }

    /// An ACK of data of which there may be two copies: the timestamp that it echoes may tell which one it answers
    /// (RFC 7323 section 4.3 rule C, RFC 3522 section 3.2).
    ///
    /// It is that of the earliest segment it acknowledges: one before the first copy may have been sent with the same,
    /// and the first copy lost.
    pub(super) fn resolve<W: Witness>(
        &mut self,
        of: Direction,
        newly: Range<i64>,
        event: &FlowEvent,
        segment: &TcpSegment,
        witness: &mut W,
    ) {
        let Some(trouble) = &mut self.trouble else { return };
        let side = &mut trouble.sides[of.index()];
        let echo = segment.options.contains(TcpOptions::TIMESTAMP).then_some(segment.timestamp.1);
        let mut found = None;
        for repeat in side.repeats.iter_mut() {
            if repeat.to > newly.end || repeat.acknowledged {
                continue;
            }
            repeat.acknowledged = true;
            if found.is_some() || echo.is_none() || repeat.stamp.is_none() {
                continue;
            }
            if echo == repeat.stamp {
                found = (!repeat.shared).then_some(repeat.time.as_nanos());
            } else if let Some((first, stamp)) = repeat.first
                && echo == Some(stamp)
                && repeat.from <= newly.start
            {
                found = Some(first);
                if repeat.kind.is_of_data() && repeat.kind != Retransmission::Spurious {
                    take_back(&mut side.retransmissions, repeat, of, event.time, witness);
                }
            }
        }
        let rtt = found.map(|sent| event.time.as_nanos().wrapping_sub(sent)).filter(|&rtt| rtt >= 0);
        match rtt {
            Some(rtt) => self.take(of, Nanos::new(rtt), RttMethod::Timestamp, event.time, witness),
            None => self.note_ambiguous(of, event.time, witness),
        }
    }

    /// An ACK without payload of nothing more.
    pub(super) fn acknowledged_again(&mut self, end: &Endpoint, event: &FlowEvent, segment: &TcpSegment) {
        let of = event.direction.opposite();
        if let (Some(trouble), true) = (&mut self.trouble, segment.options.contains(TcpOptions::TIMESTAMP)) {
            trouble.sides[of.index()].echo(segment.timestamp.1);
        }
        // RFC 5681 section 2; with SACK the window may change (RFC 6675 section 2).
        let same_window = segment.window == self.sent[event.direction.index()].window;
        if end.acked() >= end.last()
            || segment.ack != end.acked_seq()
            // The answer to a probe: it asks for nothing.
            || segment.window == 0
        {
            return;
        }
        if !(same_window || segment.options.contains(TcpOptions::SACK)) {
            if segment.options.contains(TcpOptions::INCOMPLETE) {
                // What was cut may have been one, which is said of what is in trouble.
                self.trouble.get_or_insert_default();
            }
            return;
        }
        let side = &mut self.trouble.get_or_insert_default().sides[of.index()];
        side.duplicate_acks = side.duplicate_acks.saturating_add(1);
        side.all_duplicate_acks = side.all_duplicate_acks.saturating_add(1);
        side.asked_time = event.time.as_nanos();
        self.set_watch(watch::ASKED, of, true);
    }

    /// A duplicate that the receiver reports (RFC 2883): if it was sent again, that was spurious.
    pub(super) fn note_report<W: Witness>(
        &mut self,
        tcp: &Tcp,
        event: &FlowEvent,
        segment: &TcpSegment,
        witness: &mut W,
    ) {
        if segment.duplicate == 0 || !segment.options.contains(TcpOptions::SACK) {
            return;
        }
        let of = event.direction.opposite();
        let position = tcp.ends()[of.index()].position(segment.ack.wrapping_add(segment.duplicate as u32));
        let Some(trouble) = &mut self.trouble else { return };
        let side = &mut trouble.sides[of.index()];
        // Each report is of one copy; that may be known to have been needless already.
        let told = side.repeats.iter_mut().find(|repeat| {
            (repeat.from..repeat.to).contains(&position) && repeat.kind.is_of_data() && !repeat.reported
        });
        if let Some(repeat) = told {
            repeat.reported = true;
            if repeat.kind != Retransmission::Spurious {
                take_back(&mut side.retransmissions, repeat, of, event.time, witness);
            }
        }
    }
}

/// A retransmission turned out to have been spurious.
fn take_back<W: Witness>(
    counts: &mut [u32; Retransmission::COUNT],
    repeat: &mut Repeat,
    by: Direction,
    time: Timestamp,
    witness: &mut W,
) {
    counts[repeat.kind as usize] = counts[repeat.kind as usize].saturating_sub(1);
    let spurious = &mut counts[Retransmission::Spurious as usize];
    *spurious = spurious.saturating_add(1);
    witness.needless(repeat.kind, by, time);
    repeat.kind = Retransmission::Spurious;
}
