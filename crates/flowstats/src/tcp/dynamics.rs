//! What a connection's segments tell beside its state: round trips, repetitions, windows, requests and responses.

use flowcore::event::{EndReason, Marks, Notes, TcpOptions};
use flowcore::{Direction, FlowEvent, TcpFlags, TcpSegment, Timestamp};

use super::opening::{Step, Steps};
use super::turns::{Conversation, Piece, Speaker};
use super::{Endpoint, NEVER, Opening, Outcome, RttMethod, RttSample, State, Tcp, Witness};

/// The newest that one end has sent.
#[derive(Copy, Clone, Debug, Default)]
struct Sent {
    /// When the newest bytes of its stream were seen.
    time: i64,
    /// Their timestamp option; 0 without.
    stamp: u32,
    /// IPv4 identification of its latest segment.
    id: u16,
    /// Window of its latest segment, not scaled.
    window: u16,
}

/// One connection's course, beside its [`Tcp`]: follows the same segments, and says what they show as they show it.
///
/// Ordinary segments touch the first cache line, those that acknowledge something the second too.
#[derive(Clone, Debug, Default)]
#[repr(C, align(64))]
pub struct Dynamics {
    sent: [Sent; 2],
    speaker: Speaker,
    /// What is to be watched for beyond the ordinary; 0 = nothing.
    watch: u8,
    interfaces: [u16; 2],
    outcome: Outcome,
    begun: bool,
    steps: Steps,
    talk: Conversation,
}

impl Dynamics {
    /// Takes in one segment, and hands it to `tcp`.
    #[inline]
    pub fn observe<W: Witness>(&mut self, tcp: &mut Tcp, event: &FlowEvent, segment: &TcpSegment, witness: &mut W) {
        match tcp.continues(segment, event.payload_bytes, event.direction, event.time) {
            Some(newly) => self.ordinary(tcp, newly, event, segment, witness),
            None => self.particular(tcp, event, segment, witness),
        }
    }

    #[inline]
    fn ordinary<W: Witness>(
        &mut self,
        _tcp: &Tcp,
        _newly: i64,
        event: &FlowEvent,
        segment: &TcpSegment,
        witness: &mut W,
    ) {
        self.data(event, segment, segment.seq, witness);
    }

    /// New payload in order.
    #[inline]
    fn data<W: Witness>(&mut self, event: &FlowEvent, segment: &TcpSegment, begin: u32, witness: &mut W) {
        if event.payload_bytes == 0 {
            return;
        }
        if !self.speaker.is(event.direction) {
            let answered = self.sent[1].time;
            let piece = Piece { segment, begin, time: event.time, answered, whole: self.steps.has_syn() };
            self.speaker = self.talk.turn(self.speaker, event.direction, piece, witness);
        }
        let sent = &mut self.sent[event.direction.index()];
        sent.time = event.time.as_nanos();
    }

    #[inline(never)]
    fn particular<W: Witness>(&mut self, tcp: &mut Tcp, event: &FlowEvent, segment: &TcpSegment, witness: &mut W) {
        let flags = segment.flags;
        let by = event.direction;
        let had_ack = tcp.handshake_times().ack.is_some();
        let closed = tcp.ends().map(|end| end.state());
        if !self.begun {
            self.begun = true;
            if !flags.contains(TcpFlags::SYN) {
                witness.midstream(event.time);
            }
        }
        tcp.general(segment, event.payload_bytes, by, event.time);
        if flags.contains(TcpFlags::SYN) && !flags.intersects(TcpFlags::FIN | TcpFlags::RST) {
            if self.outcome == Outcome::Midstream {
                self.outcome = Outcome::Unanswered;
            }
            let step = self.steps.syn(event, segment, had_ack);
            match (step, by, flags.contains(TcpFlags::ACK)) {
                (Step::First, Direction::Forward, false) => witness.syn(event.time),
                (Step::First, Direction::Reverse, true) => witness.syn_ack(event.time),
                _ => {}
            }
        }
        if !had_ack && tcp.handshake_times().ack.is_some() {
            self.outcome = Outcome::Established;
            witness.established(&self.opening(tcp), event.time);
        }
        if flags.contains(TcpFlags::FIN) && !closed.contains(&State::Closed) {
            witness.closing(by, event.time);
        }
        if flags.contains(TcpFlags::RST) && !closed.contains(&State::Reset) {
            witness.reset(by, event.time);
        }
        self.data(event, segment, segment.seq, witness);
    }

    /// The connection is over, for `reason`.
    pub fn finish<W: Witness>(&mut self, reason: EndReason, witness: &mut W) {
        self.talk.complete(self.speaker, self.sent[1].time, witness);
        if self.outcome == Outcome::Unanswered && reason == EndReason::Idle {
            self.outcome = Outcome::TimedOut;
        }
        witness.finished(self.outcome, self.talk.responses());
    }

    /// How the connection was opened, as known now.
    pub fn opening(&self, tcp: &Tcp) -> Opening {
        self.steps.opening(self.outcome, tcp.handshake_times().ack)
    }
}

/// One connection followed in every respect.
#[derive(Clone, Debug, Default)]
pub struct Followed {
    /// State, history, handshake, missing bytes.
    pub tcp: Tcp,
    /// Everything else.
    pub dynamics: Dynamics,
}

impl Followed {
    /// Takes in one segment.
    #[inline]
    pub fn observe<W: Witness>(&mut self, event: &FlowEvent, segment: &TcpSegment, witness: &mut W) {
        self.dynamics.observe(&mut self.tcp, event, segment, witness);
    }

    /// The connection is over, for `reason`.
    pub fn finish<W: Witness>(&mut self, reason: EndReason, witness: &mut W) {
        self.dynamics.finish(reason, witness);
    }
}
