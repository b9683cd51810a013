//! How a connection opens: SYNs, SYN-ACKs, the end of the handshake and the round trips of its halves.

use flowcore::event::TcpOptions;
use flowcore::{Direction, FlowEvent, Nanos, TcpFlags, TcpSegment};

use super::{Before, Dynamics, Seen, since};
use crate::tcp::opening::Step;
use crate::tcp::retransmit::{COPY, SHORTEST_TIMER, is_earlier};
use crate::tcp::rtt::echoes_later;
use crate::tcp::{Endpoint, NEVER, Outcome, Retransmission, RttMethod, State, Tcp, Witness, is_heard_already};

impl Dynamics {
    pub(super) fn note_syn<W: Witness>(
        &mut self,
        before: &Before,
        tcp: &Tcp,
        event: &FlowEvent,
        segment: &TcpSegment,
        witness: &mut W,
    ) {
        if self.outcome == Outcome::Midstream {
            self.outcome = Outcome::Unanswered;
        }
        let by = event.direction;
        let ack = segment.flags.contains(TcpFlags::ACK);
        let (answered, stamp, _) = self.steps.answered(by);
        let again = self.trouble.as_ref().map_or(NEVER, |trouble| trouble.sides[by.index()].syn_time);
        let latest = answered.max(again);
        let soon = latest != NEVER && (0..COPY.get()).contains(&event.time.as_nanos().wrapping_sub(latest));
        let same_stamp = again > answered || stamp == segment.timestamp.0;
        let age = (event.datagram_id as u16).wrapping_sub(self.sent[by.index()].id) as i16;
        // Its sender has gone on since.
        let overtaken = event.datagram_id != 0 && same_stamp && is_earlier(age);
        // A SYN-ACK has the number of the SYN that its sender crossed it with, and is no copy of that.
        let copied = self.steps.has_sent(by, ack)
            && before.ends[by.index()].is_placed()
            && segment.seq == before.ends[by.index()].start()
            && if event.datagram_id == 0 {
                soon && same_stamp
            } else {
                (age == 0 || overtaken) && since(latest, event.time) < SHORTEST_TIMER
            };
        if copied {
            // Of one sooner the round trip is right but for that time, and a capture may have every packet twice.
            let other_interface = event.interface != self.interfaces[by.index()];
            if event.datagram_id == 0 || (since(latest, event.time) >= COPY && !other_interface) {
                self.steps.note_twin(by);
            }
            if event.datagram_id == 0 || (overtaken && !self.steps.counts(by)) {
                self.note_guess(event, witness);
            }
            return self.note_duplicate(event, witness);
        }
        if before.ends[by.index()].state() == State::Reset && tcp.ends()[by.index()].state() == State::Established {
            // It had not refused.
            self.seen.remove(Seen::RESET | Seen::RESET_BY_RESPONDER | Seen::BARE_RESET);
            self.outcome = Outcome::Unanswered;
        }
        let late = ack && by == Direction::Reverse && is_heard_already(&before.ends, segment);
        let step = self.steps.syn(event, segment, before.established, late);
        // The timer of a SYN is longer (RFC 6298 section 2.1); of crossed steps no times are kept.
        let close = latest == NEVER || ack == (by == Direction::Forward) || since(latest, event.time) < SHORTEST_TIMER;
        // Nor does a copy that was delayed by the network for longer.
        let same = same_stamp && event.datagram_id != 0 && event.datagram_id as u16 == self.sent[by.index()].id;
        if step == Step::Again && (close || same) {
            self.note_guess(event, witness);
        }
        if step == Step::Again || late {
            self.trouble.get_or_insert_default().sides[by.index()].syn_time = event.time.as_nanos();
        }
        self.seen.set(Seen::OPENING, self.steps.has_syn() || self.steps.has_syn_ack());
        self.seen.set(Seen::OTHER_OPENING, self.steps.has_other_syn());
        match (step, by, ack) {
            (Step::First, Direction::Forward, false) => {
                witness.syn(event.time);
                let responder = &tcp.ends()[1];
                if responder.is_reset() && responder.previous() == State::Inactive && tcp.ends()[0].acked() > 0 {
                    // The RST that acknowledges it was captured before it.
                    self.outcome = Outcome::Refused;
                }
                // The SYN-ACK was captured before it, and acknowledged more than a SYN.
                let behind = before.ends[0].start() != segment.seq;
                if behind && self.steps.has_syn_ack() && !self.steps.has_refused_early() {
                    self.steps.accept_data();
                }
            }
            (Step::First, Direction::Reverse, true) => {
                witness.syn_ack(event.time);
                // More than the SYN is acknowledged: its data was taken.
                let acknowledged = tcp.ends()[0].position(segment.ack);
                if acknowledged > 1 && self.steps.has_syn() {
                    self.steps.accept_data();
                } else if acknowledged < 1 && !self.steps.has_syn() {
                    self.steps.refuse_early();
                }
                if late {
                    if self.steps.has_syn() {
                        self.note_ambiguous(Direction::Forward, event.time, witness);
                    }
                    let newest = self.sent[1].stamp;
                    if segment.options.contains(TcpOptions::TIMESTAMP) && echoes_later(segment.timestamp.0, newest) {
                        // Sent after what stands behind it.
                        self.note_retransmission(Retransmission::SynAck, 0, event, witness);
                    }
                } else {
                    self.handshake_sample(Direction::Forward, event, segment, witness);
                }
            }
            (Step::First, _, _) => {}
            (Step::Again, _, false) => self.note_retransmission(Retransmission::Syn, 0, event, witness),
            (Step::Again, _, true) => self.note_retransmission(Retransmission::SynAck, 0, event, witness),
        }
    }

    /// A step of the handshake was answered.
    pub(super) fn handshake_sample<W: Witness>(
        &mut self,
        of: Direction,
        event: &FlowEvent,
        segment: &TcpSegment,
        witness: &mut W,
    ) {
        let (sent, stamp, only) = self.steps.answered(of);
        if sent == NEVER {
            return;
        }
        let rtt = event.time.as_nanos().wrapping_sub(sent);
        let echo = segment.options.contains(TcpOptions::TIMESTAMP).then_some(segment.timestamp.1);
        // Linux stamps SYNs with milliseconds: those of two copies differ. What echoes another answers one that was not
        // captured.
        let told = match echo {
            Some(echo) if echo != 0 && stamp != 0 => echo == stamp,
            _ => only,
        };
        if rtt < 0
            || !(told && self.steps.is_told(of))
            || self.steps.is_crossed()
            || echo.is_some_and(|echo| echoes_later(echo, stamp))
        {
            return self.note_ambiguous(of, event.time, witness);
        }
        let method = if only { RttMethod::Handshake } else { RttMethod::Timestamp };
        self.take(of, Nanos::new(rtt), method, event.time, witness);
    }

    /// Whether the ACK of the SYN-ACK was brought about by payload that the responder sent behind it.
    pub(super) fn is_ack_of_more(&self, responder: &Endpoint) -> bool {
        let (syn_ack, ..) = self.steps.answered(Direction::Reverse);
        responder.acked() > 1 && self.sent[1].time > syn_ack
    }

    /// Whether a segment shows that the other direction was there, though its part of the handshake was not captured: the originator
    /// acknowledges what only an answer can have told, or the responder has heard what only an open connection brings.
    fn is_proven(&self, originator: &Endpoint, event: &FlowEvent, flags: TcpFlags) -> bool {
        let goes_on = flags & (TcpFlags::ACK | TcpFlags::SYN) == TcpFlags::ACK && !self.steps.is_crossed();
        goes_on
            && match event.direction {
                Direction::Forward => !self.steps.has_syn_ack(),
                Direction::Reverse => !self.steps.has_syn() && (originator.acked() > 1 || event.payload_bytes > 0),
            }
    }

    /// The end of the handshake, however it came about.
    pub(super) fn note_established<W: Witness>(
        &mut self,
        before: &Before,
        tcp: &Tcp,
        event: &FlowEvent,
        segment: &TcpSegment,
        witness: &mut W,
    ) {
        let flags = segment.flags;
        let ack = !before.established && tcp.handshake_times().ack.is_some();
        // An ACK behind a RST was on its way before it, or comes from the end that had not heard of it.
        if ack && self.outcome == Outcome::Established {
            return self.tell_late_times(tcp, event, witness);
        }
        if self.outcome != Outcome::Unanswered && !(ack && self.outcome == Outcome::Reset) {
            return;
        }
        if flags.contains(TcpFlags::RST) {
            let refused = event.direction == Direction::Reverse && !self.steps.has_syn_ack();
            self.outcome = if refused { Outcome::Refused } else { Outcome::Reset };
            return;
        }
        let [originator, responder] = tcp.ends();
        let crossed = self.steps.is_crossed() && originator.acked() > 0 && responder.acked() > 0;
        // The SYN-ACK was not seen, but the responder goes on.
        let goes_on = !self.steps.has_syn_ack()
            && event.direction == Direction::Reverse
            && !flags.contains(TcpFlags::SYN)
            && (originator.acked() > 1 || (originator.acked() > 0 && event.payload_bytes > 0));
        // Its times are not known, but a FIN that acknowledges the SYN-ACK says that it was there.
        let closes = flags.contains(TcpFlags::FIN)
            && event.direction == Direction::Forward
            && self.steps.has_syn_ack()
            && responder.acked() > 0;
        if ack || crossed || goes_on || closes || self.is_proven(originator, event, flags) {
            self.outcome = Outcome::Established;
            if ack && !self.is_ack_of_more(responder) {
                self.handshake_sample(Direction::Reverse, event, segment, witness);
            }
            witness.established(&self.opening(tcp), event.time);
        }
    }

    /// The handshake was complete before, and has its times now.
    #[cold]
    #[inline(never)]
    fn tell_late_times<W: Witness>(&self, tcp: &Tcp, event: &FlowEvent, witness: &mut W) {
        witness.established(&self.opening(tcp), event.time);
    }
}
