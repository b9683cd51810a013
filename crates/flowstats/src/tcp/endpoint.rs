//! One end of a TCP connection: its state and its place in the sequence space.

use flowcore::{TcpFlags, TcpSegment};

/// What one end has done, as Zeek distinguishes it.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
#[repr(u8)]
pub enum State {
    /// Nothing seen.
    #[default]
    Inactive = 0,
    /// Sent a SYN.
    SynSent = 1,
    /// Sent a SYN-ACK as its first packet, being the originator.
    SynAckSent = 2,
    /// First seen in the middle of things.
    Partial = 3,
    /// Open.
    Established = 4,
    /// Sent a FIN.
    Closed = 5,
    /// Sent a RST.
    Reset = 6,
}

/// Among the letters: the numbers of an end that has not begun are fixed, by what its peer has acknowledged or by a
/// segment that begins nothing.
const EXPECTED: u16 = 1 << 15;

/// Beyond this an advance is taken for a broken number on SYN and RST segments.
const IMPLAUSIBLE: i64 = 1 << 20;

/// Beside the letters: a FIN takes one of the positions up to [`Endpoint::last`].
const FIN_COUNTED: u16 = 1 << 14;

/// Beside the letters: it has gone on behind its RST, so that nobody has heeded that.
const UNHEEDED: u16 = 1 << 13;

/// Beside the letters: the window scale that its SYN told, and whether one did.
const SCALE: u16 = 0xf << SCALE_AT;
const SCALE_AT: u32 = 8;
const SCALE_KNOWN: u16 = 1 << 12;

/// One end. Positions are bytes of its stream counted from its initial sequence number (the SYN is byte 0), in 64 bits:
/// sequence numbers may wrap as often as they like.
#[derive(Copy, Clone, Debug, Default)]
#[repr(C)]
pub struct Endpoint {
    /// One beyond the last byte seen.
    last: i64,
    /// One beyond the last byte that the peer has acknowledged.
    acked: i64,
    /// Initial sequence number; one before the first one seen if there was no SYN.
    start: u32,
    /// History letters already given, by bit, [`EXPECTED`], [`FIN_COUNTED`], [`UNHEEDED`] and [`SCALE`].
    pub(super) letters: u16,
    state: State,
    previous: State,
}

const _: () = assert!(size_of::<Endpoint>() == 24);

impl Endpoint {
    /// What it has done.
    #[inline]
    pub fn state(&self) -> State {
        self.state
    }

    /// What it had done before that.
    pub(super) fn previous(&self) -> State {
        self.previous
    }

    /// Initial sequence number, known or reconstructed.
    #[inline]
    pub fn start(&self) -> u32 {
        self.start
    }

    /// One beyond the last byte seen, the SYN being byte 0.
    #[inline]
    pub(super) fn last(&self) -> i64 {
        self.last
    }

    #[inline]
    pub(super) fn acked(&self) -> i64 {
        self.acked
    }

    /// Whether it has sent anything that fixed its numbers.
    #[inline]
    pub(super) fn has_begun(&self) -> bool {
        self.state != State::Inactive
    }

    #[inline]
    pub(super) fn become_state(&mut self, state: State) {
        self.previous = self.state;
        self.state = state;
    }

    /// Payload bytes by sequence numbers, sent or acknowledged; without SYN and FIN.
    pub fn stream_bytes(&self) -> u64 {
        let beyond_syn = (self.last.max(self.acked) - 1).max(0);
        let fin = i64::from(self.has_counted_fin());
        (beyond_syn - fin).max(0) as u64
    }

    /// Whether it was met midway with a segment that brought nothing, and nothing else is known of where it stands: that may
    /// have been a probe, one below the next byte (RFC 9293 sections 3.8.4 and 3.8.6.1).
    pub(super) fn may_have_begun_with_probe(&self) -> bool {
        self.has_brought_nothing() && !self.has_syn()
    }

    /// Whether nothing is known of it but a SYN without data, or the number of ACKs.
    pub(super) fn has_brought_nothing(&self) -> bool {
        const ELSE: u16 = super::Letter::Data.bit() | super::Letter::Fin.bit();
        self.has_begun() && self.letters & ELSE == 0 && self.last == 1 && self.acked == 0
    }

    /// What was seen of it was another connection's: of this one it is known what its peer acknowledges.
    pub(super) fn forget(&mut self, ack: u32) {
        self.letters &= !(super::Letter::Syn.bit() | FIN_COUNTED | SCALE | SCALE_KNOWN);
        if self.state == State::Partial {
            self.become_state(State::Inactive);
        }
        self.expect(ack);
    }

    /// The first segment seen was a probe: the stream goes on one behind it.
    pub(super) fn begin_behind_probe(&mut self) {
        self.start = self.start.wrapping_add(1);
    }

    /// Whether a FIN takes one of the positions.
    pub(super) fn has_counted_fin(&self) -> bool {
        self.letters & FIN_COUNTED != 0
    }

    /// Sets the numbers by the first segment, or again by a SYN with another number; whether it was again.
    #[inline]
    pub(super) fn begin(&mut self, seq: u32, flags: TcpFlags, sequence_space: u64) -> bool {
        let syn = flags.contains(TcpFlags::SYN);
        match self.state {
            State::Inactive => {
                let ahead = i64::from(seq.wrapping_sub(self.start) as i32) - 1;
                if syn {
                    // A SYN-ACK that the capture has before it acknowledged this very SYN.
                    let expected = self.letters & EXPECTED != 0 && seq == self.start;
                    let acked = if expected { self.acked.min(sequence_space as i64) } else { 0 };
                    self.restart(seq, sequence_space, flags);
                    self.acked = acked;
                } else if self.letters & EXPECTED == 0 || ahead.abs() > IMPLAUSIBLE {
                    self.begin_midway(seq);
                }
                // Otherwise what was acknowledged before tells from where on the stream is known.
                self.letters |= EXPECTED;
                false
            }
            State::SynSent | State::SynAckSent | State::Established | State::Partial if syn && seq != self.start => {
                self.restart(seq, sequence_space, flags);
                true
            }
            State::Reset if syn && self.previous == State::Inactive && seq != self.start => {
                self.restart(seq, sequence_space, flags);
                true
            }
            _ => false,
        }
    }

    /// How far before the stream of an end `seq`, the number of its SYN, stands, if it can be that; -1 if what was met
    /// first had the number of the SYN itself, as an ACK between two that connect at once. Where the SYN-ACK was captured
    /// first it is what the SYN brought, `payload` at most.
    pub(super) fn begins_before(&self, seq: u32, flags: TcpFlags, payload: u32) -> Option<i64> {
        let seen = if self.state == State::Closed { self.previous } else { self.state };
        let (least, most) = match (self.state, seen) {
            (State::Inactive, _) if self.letters & EXPECTED != 0 => (1, i64::from(payload)),
            (State::Partial, _) | (State::Closed, State::Inactive | State::Partial) => (-1, IMPLAUSIBLE),
            (_, State::Established) => (1, IMPLAUSIBLE),
            _ => return None,
        };
        let before = i64::from(self.start.wrapping_sub(seq) as i32);
        let can = !self.has_syn() && flags.contains(TcpFlags::SYN);
        (can && before != 0 && (least..=most).contains(&before)).then_some(before)
    }

    /// The stream begins so much earlier than was thought: positions count from there. Nothing that was seen is lost.
    pub(super) fn begin_earlier(&mut self, by: i64) {
        self.start = self.start.wrapping_sub(by as u32);
        self.last += by;
        self.acked += if self.acked > 0 { by } else { 0 };
    }

    /// Its numbers as if there had been a SYN before the first segment, so that positions count alike.
    pub(super) fn begin_midway(&mut self, seq: u32) {
        (self.start, self.last, self.acked) = (seq.wrapping_sub(1), 1, 0);
    }

    fn restart(&mut self, seq: u32, sequence_space: u64, flags: TcpFlags) {
        self.letters &= !FIN_COUNTED;
        self.count_fin(flags);
        self.start = seq;
        self.last = sequence_space as i64;
        self.acked = 0;
    }

    /// The answer of this end, of which nothing is known, must echo this timestamp; kept where its number will be.
    #[inline]
    pub(super) fn expect_echo(&mut self, stamp: u32) {
        if !self.is_placed() {
            self.start = stamp;
        }
    }

    /// Whether `segment`, the first of this end, echoes another timestamp than its peer's SYN was seen to have: it answers
    /// one that was not captured.
    #[inline]
    pub(super) fn echoes_another(&self, segment: &TcpSegment) -> bool {
        let (stamp, echo) = (self.start, segment.timestamp.1);
        !self.is_placed() & (stamp != 0) & (echo != 0) & (echo != stamp)
    }

    /// Its first segment is a SYN without data.
    #[inline]
    pub(super) fn begin_with_syn(&mut self, seq: u32, state: State) {
        self.letters = self.letters & !FIN_COUNTED | EXPECTED;
        (self.start, self.last, self.acked) = (seq, 1, 0);
        self.become_state(state);
    }

    /// Whether it has sent a SYN without data, and nothing was acknowledged.
    #[inline]
    pub(super) fn awaits_answer(&self) -> bool {
        (self.state == State::SynSent) & (self.last == 1) & (self.acked == 0)
    }

    /// Takes in the next `payload` bytes in order and the FIN behind them.
    #[inline]
    pub(super) fn finish(&mut self, payload: u32) {
        self.last += i64::from(payload) + 1;
        self.letters |= FIN_COUNTED;
    }

    /// Not every FIN has a letter: one beside SYN or RST has another, one after a RST counts for nothing.
    fn count_fin(&mut self, flags: TcpFlags) {
        if flags.contains(TcpFlags::FIN) {
            self.letters |= FIN_COUNTED;
        }
    }

    /// Whether this end is open and `seq` comes next in its stream.
    #[inline]
    pub(super) fn goes_on(&self, seq: u32) -> bool {
        self.state == State::Established && seq == self.next_seq()
    }

    /// How many more bytes `ack` acknowledges, if this end is open, its SYN is acknowledged, and it has been seen to send
    /// them; `None` otherwise.
    #[inline]
    pub(super) fn newly_acknowledged(&self, ack: u32) -> Option<i64> {
        let open = (self.state == State::Established) & (self.acked > 0);
        self.more_acknowledged(ack).filter(|_| open)
    }

    /// How many more bytes `ack` acknowledges, if its SYN is among what is then acknowledged, and nothing that it has
    /// not been seen to send.
    #[inline]
    pub(super) fn more_acknowledged(&self, ack: u32) -> Option<i64> {
        debug_assert!(self.acked <= self.last, "what is acknowledged is covered");
        let ahead = i64::from(ack.wrapping_sub(self.acked_seq()) as i32);
        // From 1 to the last one seen, in one comparison: what lies before comes out larger.
        let seen = ((self.acked + ahead - 1) as u64) < self.last as u64;
        (seen & (ack != 0)).then_some(ahead.max(0))
    }

    /// Whether it has earned a letter.
    #[inline]
    pub(super) fn has(&self, letter: super::Letter) -> bool {
        self.letters & letter.bit() != 0
    }

    /// Takes in an acknowledgment of so many more bytes.
    #[inline]
    pub(super) fn acknowledge_next(&mut self, newly: i64) {
        self.acked += newly;
    }

    /// Whether `ack` acknowledges this end's SYN, and nothing that it has not been seen to send.
    pub(super) fn sent_behind_syn(&self, ack: u32) -> bool {
        let acknowledged = i64::from(ack.wrapping_sub(self.start) as i32);
        (1..=self.last).contains(&acknowledged)
    }

    /// Whether its `peer` does not even acknowledge its SYN with `ack`, where the SYNs of both were seen.
    #[inline]
    pub(super) fn precedes_syn(&self, ack: u32, peer: &Self) -> bool {
        (self.position(ack) < 1) & self.has_syn() & peer.has_syn()
    }

    /// Whether `number` lies farther than `window` from all that was seen of its stream.
    pub(super) fn is_beyond(&self, number: u32, window: i64) -> bool {
        let position = self.position(number);
        position < 1 - window || position > self.last.max(self.acked) + window
    }

    /// How many bytes lie between the last byte seen and `position`, if there are some and not too many to be
    /// plausible.
    pub(super) fn bytes_before(&self, position: i64) -> Option<u64> {
        let bytes = position - self.last;
        (1..=IMPLAUSIBLE).contains(&bytes).then_some(bytes as u64)
    }

    /// Whether it has sent payload that `ack` does not acknowledge.
    pub(super) fn has_payload_beyond(&self, ack: u32) -> bool {
        self.position(ack) < self.last - i64::from(self.letters & FIN_COUNTED != 0)
    }

    /// The sequence number that comes next.
    #[inline]
    pub(super) fn next_seq(&self) -> u32 {
        self.start.wrapping_add(self.last as u32)
    }

    /// One beyond its last byte, without a FIN.
    pub(super) fn end_seq(&self) -> u32 {
        self.next_seq().wrapping_sub(u32::from(self.has_counted_fin()))
    }

    /// Whether it has sent a RST, and was not seen to go on behind it.
    pub(super) fn is_reset(&self) -> bool {
        self.state == State::Reset && self.letters & UNHEEDED == 0
    }

    /// Whether it has neither closed nor reset.
    pub(super) fn is_open(&self) -> bool {
        !matches!(self.state, State::Closed | State::Reset)
    }

    /// The highest acknowledgment of this end's bytes.
    pub(super) fn acked_seq(&self) -> u32 {
        self.start.wrapping_add(self.acked as u32)
    }

    /// Takes in the next `payload` bytes in order.
    #[inline]
    pub(super) fn append(&mut self, payload: u32) {
        self.last += i64::from(payload);
    }

    /// Sets the numbers of an end of which nothing is known by what its peer acknowledges first.
    #[inline]
    pub(super) fn expect(&mut self, ack: u32) {
        self.letters |= EXPECTED;
        self.start = ack.wrapping_sub(1);
        self.last = 1;
        self.acked = 1;
    }

    /// The scale of its windows, if its SYN told that (RFC 7323 section 2).
    pub(super) fn scale(&self) -> Option<u32> {
        (self.letters & SCALE_KNOWN != 0).then_some(u32::from((self.letters & SCALE) >> SCALE_AT))
    }

    pub(super) fn set_scale(&mut self, scale: Option<u8>) {
        self.letters &= !(SCALE | SCALE_KNOWN);
        if let Some(scale) = scale {
            self.letters |= SCALE_KNOWN | u16::from(scale) << SCALE_AT;
        }
    }

    /// Whether a SYN-ACK of its own acknowledges its SYN, and has the same number.
    pub(super) fn answers_itself(&self, segment: &TcpSegment) -> bool {
        self.has_syn() && segment.seq == self.start && segment.ack == self.start.wrapping_add(1)
    }

    /// Whether its SYN was seen.
    pub(super) fn has_syn(&self) -> bool {
        self.letters & super::Letter::Syn.bit() != 0
    }

    /// Whether it is known where its bytes are: by what it sent, or by what its peer acknowledged.
    #[inline]
    pub(super) fn is_placed(&self) -> bool {
        self.has_begun() || self.letters & EXPECTED != 0
    }

    /// The position of a sequence number, taken as near to the last one seen as can be.
    #[inline]
    pub(super) fn position(&self, seq: u32) -> i64 {
        let last_seq = self.start.wrapping_add(self.last as u32);
        self.last + i64::from(seq.wrapping_sub(last_seq) as i32)
    }

    /// Takes in an acknowledgment of this end's bytes.
    #[inline]
    pub(super) fn acknowledge(&mut self, ack: u32) {
        let acked_seq = self.start.wrapping_add(self.acked as u32);
        let delta = i64::from(ack.wrapping_sub(acked_seq) as i32);
        // An acknowledgment of 0 far away is a broken sender rather than a stream that ends there.
        if delta > 0 && !(ack == 0 && delta > IMPLAUSIBLE) {
            self.acked += delta;
        }
    }

    /// Takes in a segment's extent. `false` if it brought payload that lies wholly before the last byte seen.
    #[inline]
    pub(super) fn advance(&mut self, position: i64, sequence_space: u64, flags: TcpFlags, payload: u32) -> bool {
        let finish = position + sequence_space as i64;
        let delta = finish - self.last;
        if flags.intersects(TcpFlags::SYN | TcpFlags::RST) && delta.abs() > IMPLAUSIBLE {
            return true;
        }
        let lone_fin = flags.contains(TcpFlags::FIN) && self.last == 1;
        if flags.contains(TcpFlags::RST) {
            self.letters &= !UNHEEDED;
        }
        if self.has_finished() && delta > 0 {
            // One more FIN: a stream has one end.
            return true;
        }
        if self.is_reset() && !lone_fin {
            if self.goes_on_behind_reset(position, finish, flags) {
                self.letters |= UNHEEDED;
                self.count_fin(flags);
                self.last = finish;
            }
            return true;
        }
        self.count_fin(flags);
        if lone_fin {
            // Of a stream of which only SYN and FIN were seen the FIN tells the length, even beyond 2 GiB.
            self.last = finish.max(self.last);
            return true;
        }
        if flags & (TcpFlags::RST | TcpFlags::FIN) == TcpFlags::RST && delta > 0 {
            // It is heeded where its receiver stands and nowhere else (RFC 5961 section 3), and brings nothing itself.
            return true;
        }
        if delta > 0 {
            self.last = finish;
            return true;
        }
        payload == 0
    }

    /// Whether an end that has sent a RST goes on where its stream was, so that nobody has heeded the RST. Before that
    /// nothing else is believed of it.
    pub(super) fn goes_on_behind_reset(&self, position: i64, finish: i64, flags: TcpFlags) -> bool {
        self.state == State::Reset
            && position <= self.last
            && finish > self.last
            && !flags.intersects(TcpFlags::RST | TcpFlags::SYN)
    }

    /// The stream has gone on up to `to`, and was acknowledged at least up to `acked`.
    pub(super) fn leap(&mut self, to: i64, acked: i64) {
        self.last = to;
        self.acked = self.acked.max(acked);
    }

    /// The stream ends before `position`: what was seen behind it is none of it.
    pub(super) fn end_at(&mut self, position: i64) {
        self.last = position;
    }

    /// Whether it has sent a FIN, which is the last of its stream.
    #[inline]
    pub(super) fn has_finished(&self) -> bool {
        self.state == State::Closed && self.has_counted_fin()
    }

    /// What took a position was no FIN of this stream, which goes on.
    pub(super) fn take_fin_back(&mut self) {
        // Its place is a byte's that was not seen, if it was the last.
        self.last -= i64::from(self.has_counted_fin() && self.acked < self.last);
        self.letters &= !FIN_COUNTED;
        if self.state == State::Closed {
            self.become_state(self.previous);
        }
    }

    /// Bytes up to `position` are dealt with: seen, or known to be missing.
    #[inline]
    pub(super) fn cover(&mut self, position: i64) {
        self.last = self.last.max(position);
    }
}
