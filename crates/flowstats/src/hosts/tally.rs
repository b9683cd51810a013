//! What is counted of one remote.

use flowcore::{Direction, FlowEvent, Nanos, Timestamp};

use crate::Histogram;
use crate::conns::Doubts;
use crate::tcp::{HandshakeDoubts, Opening, Outcome, Retransmission, RttMethod, RttSample, Turn, Witness};

/// What distributions are kept of.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Measure {
    /// TRTOP's *Lat*: from the first SYN to the end of the handshake, in nanoseconds; what the user waits for.
    Connect = 0,
    /// From the SYN that was answered to the end of the handshake, in nanoseconds: without waiting for lost ones.
    Handshake = 1,
    /// Round trips between the capture point and the remote, in nanoseconds, by ACKs that came without data: the path,
    /// without the remote's thinking, but with the time for which it delays an ACK (RFC 9293 section 3.8.6.3).
    Path = 2,
    /// From a request's first byte to its response's first, in nanoseconds: the path and the remote's thinking.
    FirstByte = 3,
    /// TRTOP's *Rtt*: to the response's last byte, in nanoseconds; with the time that sending it took.
    LastByte = 4,
    /// TRTOP's *QoS*: responses per connection, of connections that were closed by a FIN and had any.
    PerConnection = 5,
}

impl Measure {
    /// How many there are.
    pub const COUNT: usize = 6;
}

/// One value that a connection has shown. They are taken in by the batch: the histograms of many remotes lie in no
/// cache, and several misses at a time cost little more than one.
#[derive(Copy, Clone, Debug)]
pub(super) struct Sample {
    pub value: u64,
    pub tally: u32,
    pub measure: Measure,
}

/// What is known of one remote, or of several together. Counts are connections unless they say otherwise.
///
/// *Out* and *local* mean the end that is not the remote, whichever end asked.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Tally {
    /// Seen at all, from their beginning or not.
    pub connections: u64,
    /// Began with a SYN. Every one counts once, however often its SYN was repeated.
    pub syn: u64,
    /// Of these, answered with a SYN-ACK.
    pub syn_ack: u64,
    /// Of these, with a complete handshake; its ACK may carry data.
    pub established: u64,
    /// Of the complete handshakes, those whose ACK may not be the first: times until then may contain what the
    /// application waited for.
    pub late_acks: u64,
    /// Of the complete handshakes, those of which a SYN was repeated: times since the latest are lower bounds.
    pub repeated: u64,
    /// Their SYN was answered with a RST.
    pub refused: u64,
    /// Their SYN was answered with nothing, or the handshake never became complete, and the attempt idled out.
    pub timed_out: u64,
    /// Their SYN was answered with nothing, as far as the capture goes.
    pub no_answer: u64,
    /// Seen from the middle on: their SYN was not captured.
    pub midstream: u64,
    /// Reset by either end, refused ones included, with or without ACK flag; indexed by [`Began`].
    pub reset: [u64; 2],
    /// The first RST came from the remote.
    pub reset_by_remote: u64,
    /// Closed first by the local end, with a FIN; indexed by [`Began`].
    pub closed_out: [u64; 2],
    /// Closed first by the remote, with a FIN; indexed by [`Began`].
    pub closed_in: [u64; 2],
    /// Requests: what the one who asked sent until it was answered, in however many segments.
    pub requests: u64,
    /// Requests that were answered, wholly or in part.
    pub responses: u64,
    /// Requests that wanted no answer: their sender closed behind them, as TLS does with an alert.
    pub farewells: u64,
    /// Responses that most likely were their sender's farewell, in answer to another: they have no times.
    pub answered_farewells: u64,
    /// Segments sent again, by their kind; both directions.
    pub again: [u64; Retransmission::COUNT],
    /// Payload bytes in them that had been seen before, or that had been jumped over.
    pub again_bytes: u64,
    /// Of the data retransmissions, those sent by the remote.
    pub again_by_remote: u64,
    /// Segments that came later than one sent after them.
    pub reordered: u64,
    /// Packets captured twice, on one interface or several, or doubled by the network.
    pub duplicates: u64,
    /// Of the segments sent again, reordered or doubled, those of which time alone tells which.
    pub guessed: u64,
    /// Times that data was acknowledged which the capture does not have.
    pub gaps: u64,
    /// Bytes of such data.
    pub missing_bytes: u64,
    /// Single positions of streams that were acknowledged and not captured: bytes, or FINs.
    pub unseen_ends: u64,
    /// Segments whose control bits or numbers no connection has.
    pub invalid: u64,
    /// Acknowledgments that give no round trip because of a retransmission (Karn's rule).
    pub ambiguous: u64,
    /// Indexed by [`Measure`].
    histograms: [Histogram; Measure::COUNT],
    /// Why counts are only lower bounds, beside connections whose beginning is missing, and gaps.
    pub doubts: Doubts,
}

/// Index of counts that tell connections by how they were first seen.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Began {
    /// In the middle.
    Midstream = 0,
    /// With a SYN.
    Syn = 1,
}

impl Tally {
    /// Keeps what a packet says against the numbers; nearly none does, and the tally lies far away.
    #[inline]
    pub(super) fn note_packet(&mut self, event: &FlowEvent) {
        let doubts = Doubts::of_packet(event);
        if !doubts.is_empty() {
            self.doubts |= doubts;
        }
    }

    /// Takes in another one.
    pub fn merge(&mut self, other: &Self) {
        // Every field, so that none is forgotten.
        let Self {
            connections,
            syn,
            syn_ack,
            established,
            late_acks,
            repeated,
            refused,
            timed_out,
            no_answer,
            midstream,
            reset,
            reset_by_remote,
            closed_out,
            closed_in,
            requests,
            responses,
            farewells,
            answered_farewells,
            again,
            again_bytes,
            again_by_remote,
            reordered,
            duplicates,
            guessed,
            gaps,
            unseen_ends,
            missing_bytes,
            invalid,
            ambiguous,
            histograms,
            doubts,
        } = other;
        for (mine, theirs) in [
            (&mut self.connections, connections),
            (&mut self.syn, syn),
            (&mut self.syn_ack, syn_ack),
            (&mut self.established, established),
            (&mut self.late_acks, late_acks),
            (&mut self.repeated, repeated),
            (&mut self.refused, refused),
            (&mut self.timed_out, timed_out),
            (&mut self.no_answer, no_answer),
            (&mut self.midstream, midstream),
            (&mut self.reset_by_remote, reset_by_remote),
            (&mut self.requests, requests),
            (&mut self.responses, responses),
            (&mut self.farewells, farewells),
            (&mut self.answered_farewells, answered_farewells),
            (&mut self.again_bytes, again_bytes),
            (&mut self.again_by_remote, again_by_remote),
            (&mut self.reordered, reordered),
            (&mut self.duplicates, duplicates),
            (&mut self.guessed, guessed),
            (&mut self.gaps, gaps),
            (&mut self.unseen_ends, unseen_ends),
            (&mut self.missing_bytes, missing_bytes),
            (&mut self.invalid, invalid),
            (&mut self.ambiguous, ambiguous),
        ] {
            *mine += theirs;
        }
        for (mine, theirs) in
            [(&mut self.reset, reset), (&mut self.closed_out, closed_out), (&mut self.closed_in, closed_in)]
        {
            mine.iter_mut().zip(theirs).for_each(|(mine, theirs)| *mine += theirs);
        }
        self.again.iter_mut().zip(again).for_each(|(mine, theirs)| *mine += theirs);
        self.histograms.iter_mut().zip(histograms).for_each(|(mine, theirs)| mine.merge(theirs));
        self.doubts |= *doubts;
    }

    /// Retransmissions of data: not of a handshake, no keep-alive, no window probe.
    pub fn retransmissions(&self) -> u64 {
        const DATA: [Retransmission; 3] = [Retransmission::Timeout, Retransmission::Fast, Retransmission::Spurious];
        DATA.iter().map(|&kind| self.again[kind as usize]).sum()
    }

    /// What TRTOP called errors and meant by it: signs that the capture does not have everything, or that somebody
    /// sends nonsense. Not what TCP itself repairs.
    pub fn errors(&self) -> u64 {
        self.gaps + self.invalid
    }

    /// Why its counts are only lower bounds.
    pub fn doubts(&self) -> Doubts {
        let mut doubts = self.doubts;
        doubts.set(Doubts::MIDSTREAM, self.midstream > 0);
        doubts |= if self.gaps + self.unseen_ends > 0 { Doubts::GAP } else { Doubts::empty() };
        doubts
    }

    /// How one measure is distributed.
    pub fn histogram(&self, measure: Measure) -> &Histogram {
        &self.histograms[measure as usize]
    }

    #[inline]
    pub(super) fn histogram_mut(&mut self, measure: Measure) -> &mut Histogram {
        &mut self.histograms[measure as usize]
    }

    /// Bytes on the heap.
    pub fn memory_bytes(&self) -> usize {
        self.histograms.iter().map(Histogram::memory_bytes).sum()
    }
}

bitflags::bitflags! {
    /// What has to be remembered of a connection to tell its remote's tally.
    #[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
    pub(super) struct Course: u16 {
        const BEGUN = 1;
        /// Directions of events are to be taken the other way round.
        const TURNED = 2;
        /// The remote is the responder.
        const REMOTE_ANSWERS = 4;
        const SYN = 8;
        const MIDSTREAM = 16;
        const CLOSED = 32;
        const RESET = 64;
        const SYN_ACK = 128;
        /// The handshake was complete, whether its SYN had been captured by then or not.
        const ESTABLISHED = 256;
        /// Who closed it first was the remote.
        const CLOSED_BY_REMOTE = 512;
    }
}

impl Course {
    pub fn new(turned: bool, remote_answers: bool) -> Self {
        let when = |holds: bool, flag: Self| if holds { flag } else { Self::empty() };
        Self::BEGUN | when(turned, Self::TURNED) | when(remote_answers, Self::REMOTE_ANSWERS)
    }

    #[inline]
    pub fn begun(self) -> bool {
        self.contains(Self::BEGUN)
    }

    #[inline]
    pub fn turned(self) -> bool {
        self.contains(Self::TURNED)
    }

    /// Whether `direction` is the remote's.
    #[inline]
    fn is_remote(self, direction: Direction) -> bool {
        (direction == Direction::Reverse) == self.contains(Self::REMOTE_ANSWERS)
    }

    fn began(self) -> usize {
        (if self.contains(Self::SYN) { Began::Syn } else { Began::Midstream }) as usize
    }
}

/// Writes what a connection shows into its remote's tally.
pub(super) struct Told<'a> {
    pub tally: &'a mut Tally,
    /// Its index.
    pub place: u32,
    pub course: &'a mut Course,
    pub samples: &'a mut Vec<Sample>,
}

impl Told<'_> {
    #[inline]
    fn sample(&mut self, measure: Measure, value: u64) {
        self.samples.push(Sample { value, tally: self.place, measure });
    }

    #[inline]
    fn sample_span(&mut self, measure: Measure, span: Option<Nanos>) {
        if let Some(value) = span.and_then(|span| u64::try_from(span.get()).ok()) {
            self.sample(measure, value);
        }
    }

    fn missed_the_beginning(&mut self) {
        if !self.course.intersects(Course::SYN | Course::MIDSTREAM) {
            self.course.insert(Course::MIDSTREAM);
            self.tally.midstream += 1;
        }
    }
}

impl Witness for Told<'_> {
    fn midstream(&mut self, _: Timestamp) {
        self.missed_the_beginning();
    }

    fn syn(&mut self, _: Timestamp) {
        if self.course.contains(Course::SYN) {
            return;
        }
        self.course.insert(Course::SYN);
        self.tally.syn += 1;
        // Captured behind what it began: by several interfaces, or by several queues of one.
        if self.course.contains(Course::MIDSTREAM) {
            self.course.remove(Course::MIDSTREAM);
            self.tally.midstream -= 1;
            self.tally.syn_ack += u64::from(self.course.contains(Course::SYN_ACK));
            self.tally.established += u64::from(self.course.contains(Course::ESTABLISHED));
            let by_remote = self.course.contains(Course::CLOSED_BY_REMOTE);
            let Tally { reset, closed_in, closed_out, .. } = &mut *self.tally;
            for (counts, seen) in [
                (reset, self.course.contains(Course::RESET)),
                (closed_in, self.course.contains(Course::CLOSED) && by_remote),
                (closed_out, self.course.contains(Course::CLOSED) && !by_remote),
            ] {
                counts[Began::Midstream as usize] -= u64::from(seen);
                counts[Began::Syn as usize] += u64::from(seen);
            }
        }
    }

    fn syn_ack(&mut self, _: Timestamp) {
        let known = self.course.contains(Course::SYN_ACK);
        self.course.insert(Course::SYN_ACK);
        if self.course.contains(Course::SYN) {
            self.tally.syn_ack += u64::from(!known);
        } else {
            // An answer to a SYN that the capture does not have.
            self.missed_the_beginning();
        }
    }

    #[inline(always)]
    fn established(&mut self, opening: &Opening, _: Timestamp) {
        let known = self.course.contains(Course::ESTABLISHED);
        self.course.insert(Course::ESTABLISHED);
        if self.course.contains(Course::SYN) {
            self.tally.established += u64::from(!known);
            // It was there, captured or not.
            self.tally.syn_ack += u64::from(!self.course.contains(Course::SYN_ACK));
            self.course.insert(Course::SYN_ACK);
        }
        let (connect, handshake) = (opening.connect(), opening.rtt());
        let doubted = |doubt| u64::from(connect.or(handshake).is_some() && opening.doubts.contains(doubt));
        self.tally.late_acks += doubted(HandshakeDoubts::LATE_ACK);
        self.tally.repeated += doubted(HandshakeDoubts::SYN_REPEATED);
        self.sample_span(Measure::Connect, connect);
        self.sample_span(Measure::Handshake, handshake);
    }

    #[inline]
    fn rtt(&mut self, sample: RttSample) {
        // The remote acknowledged what the local end had sent, and did not wait for an answer to send with it.
        if !self.course.is_remote(sample.of) && sample.method != RttMethod::Piggyback {
            self.sample_span(Measure::Path, Some(sample.rtt));
        }
    }

    fn ambiguous(&mut self, _: Direction, _: Timestamp) {
        self.tally.ambiguous += 1;
    }

    fn request(&mut self, _: Timestamp) {
        self.tally.requests += 1;
    }

    fn response(&mut self, turn: Turn) {
        self.tally.responses += 1;
        self.tally.answered_farewells += u64::from(turn.farewell);
        self.sample_span(Measure::FirstByte, turn.first_byte);
        self.sample_span(Measure::LastByte, turn.last_byte);
    }

    fn retransmission(&mut self, kind: Retransmission, by: Direction, bytes: u32, _: Timestamp) {
        self.tally.again[kind as usize] += 1;
        self.tally.again_bytes += u64::from(bytes);
        self.tally.again_by_remote += u64::from(kind.is_of_data() && self.course.is_remote(by));
    }

    fn needless(&mut self, kind: Retransmission, _: Direction, _: Timestamp) {
        // It was told as something else when it was seen.
        let again = &mut self.tally.again;
        again[kind as usize] = again[kind as usize].saturating_sub(1);
        again[Retransmission::Spurious as usize] += 1;
    }

    fn reordering(&mut self, _: Direction, _: Timestamp) {
        self.tally.reordered += 1;
    }

    fn duplicate(&mut self, _: Direction, _: Timestamp) {
        self.tally.duplicates += 1;
    }

    fn guessed(&mut self, _: Direction, _: Timestamp) {
        self.tally.guessed += 1;
    }

    fn farewell(&mut self) {
        self.tally.farewells += 1;
    }

    fn missing(&mut self, _: Direction, bytes: u64, _: Timestamp) {
        if bytes == 0 {
            self.tally.unseen_ends += 1;
            return;
        }
        self.tally.gaps += 1;
        self.tally.missing_bytes += bytes;
    }

    fn missing_too(&mut self, _: Direction, bytes: u64) {
        self.tally.missing_bytes += bytes;
    }

    fn found(&mut self, _: Direction, bytes: u64, gaps: u32) {
        if bytes == 0 {
            self.tally.unseen_ends = self.tally.unseen_ends.saturating_sub(1);
            return;
        }
        self.tally.missing_bytes = self.tally.missing_bytes.saturating_sub(bytes);
        self.tally.gaps = self.tally.gaps.saturating_sub(gaps.into());
    }

    fn missed_first(&mut self, _: Direction, _: Timestamp) {
        self.tally.doubts |= Doubts::GAP;
    }

    fn invalid(&mut self, _: Direction, _: Timestamp) {
        self.tally.invalid += 1;
    }

    fn closing(&mut self, by: Direction, _: Timestamp) {
        if !self.course.contains(Course::CLOSED) {
            let by_remote = self.course.is_remote(by);
            self.course.insert(Course::CLOSED);
            self.course.set(Course::CLOSED_BY_REMOTE, by_remote);
            let counts = if by_remote { &mut self.tally.closed_in } else { &mut self.tally.closed_out };
            counts[self.course.began()] += 1;
        }
    }

    fn reset(&mut self, by: Direction, _: Timestamp) {
        if !self.course.contains(Course::RESET) {
            self.course.insert(Course::RESET);
            self.tally.reset[self.course.began()] += 1;
            self.tally.reset_by_remote += u64::from(self.course.is_remote(by));
        }
    }

    fn finished(&mut self, outcome: Outcome, responses: u32) {
        let silent =
            matches!(outcome, Outcome::TimedOut | Outcome::Unanswered) && !self.course.contains(Course::SYN_ACK);
        self.tally.no_answer += u64::from(silent && self.course.contains(Course::SYN));
        match outcome {
            Outcome::Refused => self.tally.refused += 1,
            Outcome::TimedOut => self.tally.timed_out += 1,
            Outcome::Midstream | Outcome::Established | Outcome::Reset | Outcome::Unanswered | Outcome::HalfOpen => {}
        }
        if self.course.contains(Course::CLOSED) && responses > 0 {
            self.sample(Measure::PerConnection, u64::from(responses));
        }
    }
}
