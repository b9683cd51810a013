//! Requests and responses, told apart by the change of direction of new payload.
//!
//! No size and no PSH flag says where a message ends: a request is what the originator sends until the responder
//! answers, a response what the responder sends until the originator sends again. An answer acknowledges the first
//! byte of what it answers; payload that does not was on its way already and goes on with the message before
//! (pipelining, full duplex), unless it is the first request and met a greeting.

use flowcore::{Direction, Nanos, TcpFlags, TcpSegment, Timestamp};

use super::{NEVER, Turn, Witness, time};

/// The most bytes of a farewell, of either end: TLS's closing alert has 85 with its longest authentication code (RFC
/// 5246 section 6.2.3), or 77 behind the GOAWAY of HTTP/2.
const FAREWELL_BYTES: i64 = 96;

/// Whose message is under way.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Speaker {
    /// Nobody's.
    #[default]
    Nobody,
    Originator,
    Responder,
}

impl Speaker {
    #[inline]
    pub(super) fn is(self, direction: Direction) -> bool {
        self as u8 == direction.index() as u8 + 1
    }
}

/// The requests and responses of one connection.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Turns {
    /// Messages of the originator.
    pub requests: u32,
    /// Those that the responder answered, wholly or in part.
    pub responses: u32,
    /// The responder's messages that no request came before.
    pub server_first: u32,
    /// Turns in which one side sent before it had heard all of the other.
    pub overlapped: u32,
    /// The last request was short, and its sender closed at once behind it, as behind TLS's closing alert: most likely it
    /// wanted no response.
    pub farewell: bool,
    /// A request and its response are most likely the two ends' farewells: both are counted, and have no times.
    pub answered_farewell: bool,
}

impl Turns {
    /// Requests that no response was seen for, but the [`farewell`](Self::farewell).
    pub fn unanswered(&self) -> u32 {
        (self.requests - self.responses).saturating_sub(u32::from(self.farewell))
    }
}

/// The same while it happens.
#[derive(Clone, Debug)]
pub(super) struct Conversation {
    /// First byte of the current request; [`NEVER`] if it was not seen.
    request: i64,
    /// First byte of its response; [`NEVER`] if there is none, or it was not seen.
    response: i64,
    /// Sequence number of the first byte of the current message.
    begin: u32,
    requests: u32,
    responses: u32,
    server_first: u16,
    /// Bytes of the current turn were missed.
    torn: bool,
    /// Of them, some of the originator: they may be of its next request, if no response was seen between.
    lost_request: bool,
    /// The latest that is missing of a direction is one position by itself, which may have been a FIN.
    doubtful: [bool; 2],
    /// The originator's was behind the bytes of a request.
    within_request: bool,
    /// The current turn overlapped.
    overlaps: bool,
    /// See [`Turns::farewell`].
    farewell: bool,
    /// See [`Turns::answered_farewell`].
    answered_farewell: bool,
    /// There is a request whose turn is not complete.
    open: bool,
    /// Bytes of what may be the responder's farewell.
    parting: u8,
    /// It most likely was one: when the response ended, or whether it was one, is not known.
    parted: bool,
    overlapped: u32,
}

impl Default for Conversation {
    fn default() -> Self {
        Self {
            request: NEVER,
            response: NEVER,
            begin: 0,
            requests: 0,
            responses: 0,
            server_first: 0,
            torn: false,
            lost_request: false,
            doubtful: [false; 2],
            within_request: false,
            overlaps: false,
            farewell: false,
            answered_farewell: false,
            open: false,
            parting: 0,
            parted: false,
            overlapped: 0,
        }
    }
}

/// One piece of new payload.
pub(super) struct Piece<'a> {
    pub segment: &'a TcpSegment,
    /// Sequence number of its first byte: behind the SYN, if it carries one.
    pub begin: u32,
    pub time: Timestamp,
    /// When the responder's newest payload before this was seen, in nanoseconds.
    pub answered: i64,
    /// The connection was seen from its beginning.
    pub whole: bool,
    /// The other side had sent payload that it does not acknowledge.
    pub unheard: bool,
}

impl Conversation {
    /// Whether the segment acknowledges the first byte of the current message.
    fn heard(&self, segment: &TcpSegment) -> bool {
        !segment.flags.contains(TcpFlags::ACK) || segment.ack.wrapping_sub(self.begin) as i32 > 0
    }

    /// One side sent before it had heard all of the other. The responder may have closed behind its answer.
    fn overlap(&mut self) {
        if self.requests > 0 && !self.overlaps {
            self.overlaps = true;
            self.overlapped = self.overlapped.saturating_add(1);
        }
    }

    /// New payload of another side than that whose message is under way; who speaks now.
    #[inline(never)]
    pub(super) fn turn<W: Witness>(
        &mut self,
        speaker: Speaker,
        by: Direction,
        piece: Piece<'_>,
        witness: &mut W,
    ) -> Speaker {
        let crossing = speaker != Speaker::Nobody && !self.heard(piece.segment);
        if crossing {
            self.overlap();
        }
        match by {
            // The first request may have met a greeting on its way.
            Direction::Forward if crossing && (self.requests > 0 || self.server_first == 0) => speaker,
            Direction::Forward => {
                if piece.unheard {
                    self.overlap();
                }
                let unseen = self.lost_request && self.response == NEVER;
                self.complete(speaker, piece.answered, witness);
                let begun = if unseen { NEVER } else { piece.time.as_nanos() };
                self.ask(begun, piece.begin, witness, piece.time);
                if crossing {
                    self.overlap();
                }
                Speaker::Originator
            }
            Direction::Reverse if crossing => {
                // A greeting that met the first request on its way.
                if self.responses == 0 && self.requests == 1 && self.server_first == 0 && piece.whole {
                    self.server_first = 1;
                }
                speaker
            }
            Direction::Reverse => {
                if speaker == Speaker::Nobody {
                    // A byte of the originator that was lost may have been what it answers.
                    self.server_first = self.server_first.saturating_add(u16::from(piece.whole && !self.lost_request));
                } else {
                    // The rest of what was asked is on its way, in the same flight: it can be no part of what is answered.
                    if piece.unheard {
                        self.overlap();
                    }
                    self.response = piece.time.as_nanos();
                    self.responses = self.responses.saturating_add(1);
                }
                self.begin = piece.begin;
                Speaker::Responder
            }
        }
    }

    fn ask<W: Witness>(&mut self, nanos: i64, begin: u32, witness: &mut W, time: Timestamp) {
        self.request = nanos;
        self.response = NEVER;
        self.begin = begin;
        self.open = true;
        self.torn = false;
        self.lost_request = false;
        self.overlaps = false;
        self.parted = false;
        self.farewell = false;
        self.requests = self.requests.saturating_add(1);
        witness.request(time);
    }

    /// Bytes of the current turn are not there, at least not yet: its times prove nothing.
    pub(super) fn tear(&mut self) {
        self.torn = true;
    }

    /// One position of `of` was acknowledged and never seen: a byte, or its FIN.
    pub(super) fn lose(&mut self, speaker: Speaker, of: Direction) {
        self.torn = true;
        self.lost_request |= of == Direction::Forward;
        self.doubtful[of.index()] = true;
        if of == Direction::Forward {
            self.within_request = speaker == Speaker::Originator;
        }
    }

    /// Whether what [`lose`](Self::lose) was told of belongs to a request that was under way.
    pub(super) fn lost_within_request(&self, of: Direction) -> bool {
        of == Direction::Forward && self.within_request
    }

    /// It is known now what that was, if there was one; whether there was.
    pub(super) fn take_doubt(&mut self, of: Direction) -> bool {
        std::mem::take(&mut self.doubtful[of.index()])
    }

    /// Bytes of `of` were acknowledged but never seen: the turn's times prove nothing, and a message that must have been
    /// there is counted. Who speaks now.
    pub(super) fn missed<W: Witness>(
        &mut self,
        speaker: Speaker,
        of: Direction,
        answered: i64,
        end: u32,
        now: Timestamp,
        witness: &mut W,
    ) -> Speaker {
        match (speaker, of) {
            (Speaker::Originator, Direction::Reverse) => {
                self.torn = true;
                self.responses = self.responses.saturating_add(1);
                self.begin = end.wrapping_sub(1);
                Speaker::Responder
            }
            // Nobody has greeted whose first words acknowledge some of the other's.
            (Speaker::Nobody | Speaker::Responder, Direction::Forward) => {
                self.complete(speaker, answered, witness);
                self.ask(NEVER, end.wrapping_sub(1), witness, now);
                self.torn = true;
                // If its response is missed too, they may be of the next one.
                self.lost_request = true;
                Speaker::Originator
            }
            _ => {
                self.torn = true;
                self.lost_request |= of == Direction::Forward;
                speaker
            }
        }
    }

    /// The message under way goes on at `number`, farther from where it began than numbers can tell.
    pub(super) fn go_on_at(&mut self, number: u32) {
        self.begin = number.wrapping_sub(1);
    }

    /// A byte of the originator that was acknowledged and never seen was a request: the responder, who speaks, answered it.
    /// That was told `now`.
    pub(super) fn missed_before_answer<W: Witness>(&mut self, now: Timestamp, witness: &mut W) {
        self.complete(Speaker::Responder, NEVER, witness);
        // The message under way stays the responder's.
        self.ask(NEVER, self.begin, witness, now);
        self.torn = true;
        self.responses = self.responses.saturating_add(1);
    }

    /// The response, if there was one, is complete; the newest of it was seen at `answered`.
    pub(super) fn complete<W: Witness>(&mut self, speaker: Speaker, answered: i64, witness: &mut W) {
        if speaker != Speaker::Responder || !self.open {
            return;
        }
        self.open = false;
        // Where each said farewell most likely, nobody has waited for an answer.
        let both = self.farewell && self.parted;
        self.answered_farewell |= both;
        let span = |to: i64| {
            let known = self.request != NEVER && to != NEVER && !self.torn && !both && to >= self.request;
            known.then(|| Nanos::new(to.saturating_sub(self.request)))
        };
        let known = self.response != NEVER && !self.parted;
        let last = if known { answered.max(self.response) } else { NEVER };
        let turn = Turn {
            request: time(self.request),
            first_byte: span(self.response),
            last_byte: span(last),
            overlapped: self.overlaps,
            farewell: both,
        };
        witness.response(turn);
    }

    /// Whether the current request, up to `end` and closed behind within `limit`, is a farewell: short, and not waited for.
    pub(super) fn close_behind(&mut self, speaker: Speaker, end: u32, now: Timestamp, limit: Nanos) {
        let length = i64::from(end.wrapping_sub(self.begin));
        let known = self.open && self.responses > 0 && !self.torn && self.request != NEVER;
        self.farewell = speaker == Speaker::Originator
            && known
            && (1..=FAREWELL_BYTES).contains(&length)
            && now.as_nanos().saturating_sub(self.request) <= limit.get();
    }

    /// Takes `bytes` more of the responder for its farewell, after it has `paused` or with what came then, unless
    /// they are too many; whether it does.
    pub(super) fn part_if_short(&mut self, paused: bool, bytes: i64) -> bool {
        self.parted = false;
        let mut parting = bytes.saturating_add(self.parting.into());
        if self.farewell && parting > FAREWELL_BYTES {
            // Who is answered at length has asked.
            self.farewell = false;
            parting = if paused { bytes } else { parting };
        } else if paused && !self.farewell {
            parting = bytes;
        }
        self.parting = u8::try_from(parting).unwrap_or(u8::MAX);
        parting <= FAREWELL_BYTES
    }

    /// The same of the first `bytes` behind what is most likely the originator's farewell; nothing behind anything
    /// else.
    pub(super) fn answer_farewell(&mut self, bytes: u32) -> bool {
        self.parting = 0;
        self.farewell && self.part_if_short(false, bytes.into())
    }

    /// Somebody closed or reset at once behind that.
    pub(super) fn part(&mut self) {
        self.parted = true;
    }

    /// The originator has sent `bytes` at once behind that: if they are as few, it answers a farewell with its own.
    pub(super) fn part_if_answered(&mut self, bytes: u32) {
        self.parted |= i64::from(bytes) <= FAREWELL_BYTES;
    }

    /// Whether it was, now that no response can come.
    pub(super) fn is_farewell(&mut self, speaker: Speaker) -> bool {
        self.farewell &= speaker == Speaker::Originator && self.open && !self.torn;
        self.farewell
    }

    /// Whether the responder answers a request, and nothing of the originator has come since.
    pub(super) fn is_answered(&self, speaker: Speaker) -> bool {
        speaker == Speaker::Responder && self.open && !self.overlaps
    }

    pub(super) fn responses(&self) -> u32 {
        self.responses
    }

    /// What has been counted; turns that are not complete have no times yet.
    pub(super) fn turns(&self) -> Turns {
        Turns {
            requests: self.requests,
            responses: self.responses,
            server_first: u32::from(self.server_first),
            overlapped: self.overlapped,
            farewell: self.farewell,
            answered_farewell: self.answered_farewell,
        }
    }
}
