//! What is counted of a connection beside its course, and what is told of it when it is asked for.

use flowcore::event::{Notes, TcpOptions};
use flowcore::{Direction, FlowEvent, Nanos, TcpFlags, TcpSegment, Timestamp};

use super::{Dynamics, Seen, since, watch};
use crate::tcp::retransmit::{SHORTEST_TIMER, is_earlier};
use crate::tcp::rtt::echoes_later;
use crate::tcp::{Course, NEVER, Opening, Retransmission, SideFacts, Tcp, Witness};

impl Dynamics {
    pub(super) fn note_retransmission<W: Witness>(
        &mut self,
        kind: Retransmission,
        bytes: u32,
        event: &FlowEvent,
        witness: &mut W,
    ) {
        let side = &mut self.trouble.get_or_insert_default().sides[event.direction.index()];
        let count = &mut side.retransmissions[kind as usize];
        *count = count.saturating_add(1);
        side.retransmitted_bytes += u64::from(bytes);
        witness.retransmission(kind, event.direction, bytes, event.time);
    }

    /// The first segment of `of`, met midway, was most likely a probe: the byte behind it may be one that was missed.
    pub(super) fn note_first_probe<W: Witness>(
        &mut self,
        of: Direction,
        event: &FlowEvent,
        segment: &TcpSegment,
        witness: &mut W,
    ) {
        let closed = event.direction != of && segment.window == 0;
        let kind = if closed { Retransmission::WindowProbe } else { Retransmission::KeepAlive };
        let probe = FlowEvent { direction: of, ..*event };
        self.note_guess(&probe, witness);
        self.note_retransmission(kind, 0, &probe, witness);
    }

    /// Opens and closes periods of zero window. Of a header that was cut the window may be unknown; RST sets none,
    /// nor does a SYN without ACK: nobody can send to its sender before the next segment. `overtaken`: the window of
    /// a later one is known, so this one only counts.
    pub(super) fn note_window(&mut self, tcp: &Tcp, event: &FlowEvent, segment: &TcpSegment, overtaken: bool) {
        let by = event.direction;
        let syn = segment.flags.contains(TcpFlags::SYN);
        let overtaken = overtaken || self.has_newer_window(event, segment);
        let sets_none = segment.flags.contains(TcpFlags::RST) || (syn && !segment.flags.contains(TcpFlags::ACK));
        if segment.window == 0 && !sets_none && !segment.options.contains(TcpOptions::INCOMPLETE) {
            let side = &mut self.trouble.get_or_insert_default().sides[by.index()];
            side.zero_windows = side.zero_windows.saturating_add(1);
            if overtaken {
                return;
            }
            (side.window_stamp, side.window_time) = (segment.timestamp.0, event.time.as_nanos());
            if side.zero_since == NEVER {
                side.zero_since = event.time.as_nanos();
                side.zero_told = NEVER;
            }
            let control = u32::from(syn) + u32::from(segment.flags.contains(TcpFlags::FIN));
            let end = segment.seq.wrapping_add(event.payload_bytes).wrapping_add(control);
            if side.zero_told == NEVER && end == tcp.ends()[by.index()].next_seq() {
                side.zero_told = event.time.as_nanos();
            }
            self.set_watch(watch::ZERO, by, true);
        } else if self.watches(watch::ZERO, by) && segment.window != 0 && !sets_none && !overtaken {
            self.set_watch(watch::ZERO, by, false);
            if let Some(trouble) = &mut self.trouble {
                let side = &mut trouble.sides[by.index()];
                (side.window_stamp, side.window_time) = (segment.timestamp.0, event.time.as_nanos());
                side.zero_time += event.time.as_nanos().saturating_sub(side.zero_since).max(0);
                side.zero_since = NEVER;
            }
        }
    }

    /// Whether a segment was sent before the one that last shut or opened its sender's window, which acknowledged as much:
    /// by its timestamp option, else by its identification.
    fn has_newer_window(&self, event: &FlowEvent, segment: &TcpSegment) -> bool {
        let by = event.direction;
        let Some(side) = self.trouble.as_ref().map(|trouble| &trouble.sides[by.index()]) else { return false };
        // What was sent before that is not on its way for longer (RFC 9293 section 3.4.2).
        const LIFETIME: Nanos = Nanos::from_secs(120);
        if since(side.window_time, event.time) > LIFETIME {
            return false;
        }
        if side.window_stamp != 0 && segment.timestamp.0 != side.window_stamp {
            return echoes_later(side.window_stamp, segment.timestamp.0);
        }
        let (id, latest) = (event.datagram_id as u16, self.sent[by.index()].id);
        (id != 0) & (latest != 0) && is_earlier(id.wrapping_sub(latest) as i16)
    }

    /// The other end has sent more than a probe: a segment that the capture has not has opened the window of `of`, `now`
    /// at the latest.
    #[cold]
    pub(super) fn open_unseen(&mut self, of: Direction, now: Timestamp) {
        // Twice the shortest: it may have been on its way for longer.
        let heard_of = self.shortest[of.index()].nanos().map_or(SHORTEST_TIMER.get(), |nanos| 2 * nanos);
        let Some(trouble) = &mut self.trouble else { return };
        let side = &mut trouble.sides[of.index()];
        // Who has not heard of it sends on.
        if side.zero_told == NEVER || now.as_nanos().saturating_sub(side.zero_told) < heard_of {
            return;
        }
        self.watch &= !(watch::ZERO << of.index());
        side.zero_time += now.as_nanos().saturating_sub(side.zero_since).max(0);
        side.zero_since = NEVER;
        side.zero_unseen = true;
    }

    pub(super) fn note_congestion(&mut self, event: &FlowEvent, segment: &TcpSegment) {
        let marks = segment.flags & (TcpFlags::ECE | TcpFlags::CWR);
        let congested = event.notes.contains(Notes::CONGESTED);
        // On a SYN they negotiate.
        if (marks.is_empty() || segment.flags.contains(TcpFlags::SYN)) && !congested {
            return;
        }
        let side = &mut self.trouble.get_or_insert_default().sides[event.direction.index()];
        side.congested += u32::from(congested);
        if !segment.flags.contains(TcpFlags::SYN) {
            side.echoed += u32::from(marks.contains(TcpFlags::ECE));
            side.reduced += u32::from(marks.contains(TcpFlags::CWR));
        }
    }

    pub(super) fn note_validity<W: Witness>(&mut self, event: &FlowEvent, flags: TcpFlags, witness: &mut W) {
        let control = flags & TcpFlags::BOUNDARY;
        let several = control.bits().count_ones() > 1;
        // Only a SYN and a RST may come without ACK (RFC 9293 section 3.10.7.4).
        if several || !flags.intersects(TcpFlags::ACK | TcpFlags::SYN | TcpFlags::RST) {
            self.note_invalid(event.direction, event.time, witness);
        }
    }

    pub(super) fn note_invalid<W: Witness>(&mut self, by: Direction, time: Timestamp, witness: &mut W) {
        let trouble = self.trouble.get_or_insert_default();
        trouble.invalid = trouble.invalid.saturating_add(1);
        witness.invalid(by, time);
    }

    /// How the connection was opened, as known now.
    pub fn opening(&self, tcp: &Tcp) -> Opening {
        self.steps.opening(self.told_outcome(), tcp.handshake_times())
    }

    /// The shortest round trip from end to end, if both halves were measured.
    pub(super) fn round_trip(&self) -> Option<Nanos> {
        let [forward, reverse] = self.shortest;
        Some(Nanos::new(forward.nanos()?.saturating_add(reverse.nanos()?)))
    }

    pub(super) fn note_options(&mut self, segment: &TcpSegment) {
        if segment.options.contains(TcpOptions::INCOMPLETE) {
            self.seen |= Seen::CUT;
        }
    }

    /// Whether something was found out of segments whose options, which might have told otherwise, were not captured whole.
    pub fn lacks_options(&self) -> bool {
        self.seen.contains(Seen::CUT) && self.trouble.is_some()
    }

    /// What was found out, as known now.
    pub fn course(&self, tcp: &Tcp) -> Course {
        let by = |responder| {
            if self.seen.contains(responder) { Direction::Reverse } else { Direction::Forward }
        };
        let missed = tcp.missed_bytes();
        let until = tcp.active_until().map_or(NEVER, |time| time.as_nanos());
        let side = |direction: Direction| {
            let at = direction.index();
            let mut facts = SideFacts {
                ambiguous_rtts: u64::from(self.ambiguous[at]),
                missing_bytes: missed[at],
                ..SideFacts::default()
            };
            if let Some(trouble) = &self.trouble {
                trouble.sides[at].describe(until, &mut facts);
            }
            facts
        };
        Course {
            opening: self.opening(tcp),
            sides: [side(Direction::Forward), side(Direction::Reverse)],
            turns: self.talk.turns(),
            closed_by: self.seen.contains(Seen::CLOSING).then(|| by(Seen::CLOSED_BY_RESPONDER)),
            half_closed: self.seen.contains(Seen::HALF_CLOSED),
            reset_by: self.seen.contains(Seen::RESET).then(|| by(Seen::RESET_BY_RESPONDER)),
            bare_reset: self.seen.contains(Seen::BARE_RESET),
            invalid: self
                .trouble
                .as_ref()
                .map_or(0, |trouble| trouble.invalid)
                .saturating_add(u32::from(tcp.has_stray())),
        }
    }
}
