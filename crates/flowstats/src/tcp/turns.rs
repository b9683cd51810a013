//! Requests and responses, told apart by the change of direction of new payload.
//!
//! No size and no PSH flag says where a message ends: a request is what the originator sends until the responder
//! answers, a response what the responder sends until the originator sends again. An answer acknowledges the first
//! byte of what it answers; payload that does not was on its way already and goes on with the message before
//! (pipelining, full duplex). So a response is complete when the next one begins.

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
    /// Of some response the time until its first byte is not told, or until its last: see [`Turn`].
    pub withheld: [bool; 2],
}

impl Turns {
    /// Requests that no response was seen for, but the [`farewell`](Self::farewell).
    pub fn unanswered(&self) -> u32 {
        (self.requests - self.responses).saturating_sub(u32::from(self.farewell))
    }
}

bitflags::bitflags! {
    /// A turn behind which its originator speaks again, while more of its response may be on its way.
    #[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
    struct Earlier: u8 {
        const WAITS = 1;
        /// Bytes of it were missed, or it was two farewells.
        const TORN = 2;
        /// See [`Conversation::parted`].
        const PARTED = 4;
        const OVERLAPS = 8;
    }
}

/// The same while it happens.
#[derive(Clone, Debug)]
pub(super) struct Conversation {
    /// First byte of the current request; [`NEVER`] if it was not seen.
    request: i64,
    /// First byte of its response; [`NEVER`] if there is none, or it was not seen.
    response: i64,
    /// Both of the turn before, if it waits to be told.
    earlier: [i64; 2],
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
    /// There is a request whose turn is not complete.
    open: bool,
    /// Bytes of what may be the responder's farewell.
    parting: u8,
    /// It most likely was one: when the response ended, or whether it was one, is not known.
    parted: bool,
    /// What `earlier` is.
    before: Earlier,
    /// See [`Turns::withheld`].
    withheld: [bool; 2],
    overlapped: u32,
}

impl Default for Conversation {
    fn default() -> Self {
        Self {
            request: NEVER,
            response: NEVER,
            earlier: [NEVER; 2],
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
            open: false,
            parting: 0,
            parted: false,
            before: Earlier::empty(),
            withheld: [false; 2],
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
    /// Bytes before it were jumped over, and have not come yet or only with it.
    pub holed: bool,
}

impl Conversation {
    /// Whether the segment acknowledges the first byte of the current message.
    fn heard(&self, segment: &TcpSegment) -> bool {
        !segment.flags.contains(TcpFlags::ACK) || segment.ack.wrapping_sub(self.begin) as i32 > 0
    }

    /// One side sent before it had heard all of the other.
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
                self.torn |= piece.holed;
                let unseen = self.lost_request && self.response == NEVER;
                self.set_aside(speaker);
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
                self.before.set(Earlier::OVERLAPS, self.before.contains(Earlier::WAITS));
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
                    self.before.set(Earlier::TORN, self.before.contains(Earlier::TORN) || piece.holed);
                    self.tell(piece.answered, witness);
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
        self.before |= Earlier::TORN;
    }

    /// Bytes of `of` are missing: what waits has lost none of the originator's.
    fn tear_by_loss(&mut self, of: Direction) {
        self.torn = true;
        self.before.set(Earlier::TORN, self.before.contains(Earlier::TORN) || of == Direction::Reverse);
    }

    /// Whether the response before the current request met that on its way: what is missing may be of either.
    pub(super) fn crosses(&self) -> bool {
        self.before.contains(Earlier::WAITS | Earlier::OVERLAPS)
    }

    /// One position of `of` was acknowledged and never seen: a byte, or its FIN.
    pub(super) fn lose(&mut self, speaker: Speaker, of: Direction) {
        self.tear_by_loss(of);
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
                self.tear_by_loss(of);
                self.tell(answered, witness);
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
                self.tear_by_loss(of);
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
        self.set_aside(speaker);
        self.tell(answered, witness);
    }

    /// The responder has ended, and some of what it said may still come: nothing of the response before, if it had heard
    /// of the request up to `acked`.
    #[cold]
    pub(super) fn end_with_holes<W: Witness>(&mut self, acked: u32, answered: i64, witness: &mut W) {
        let heard = acked.wrapping_sub(self.begin) as i32 > 0;
        if !heard || self.crosses() {
            self.before |= Earlier::TORN;
        }
        self.tell(answered, witness);
    }

    /// The turn is over for the originator; what the responder has sent before it heard of that may still come.
    fn set_aside(&mut self, speaker: Speaker) {
        if speaker != Speaker::Responder || !self.open {
            return;
        }
        self.open = false;
        self.earlier = [self.request, self.response];
        self.before = Earlier::WAITS;
        // Where each said farewell most likely, nobody has waited for an answer.
        self.before.set(Earlier::TORN, self.torn || (self.farewell && self.parted));
        self.before.set(Earlier::PARTED, self.parted);
        self.before.set(Earlier::OVERLAPS, self.overlaps);
    }

    /// Tells the turn that waits, if one does: all of its response has come, the newest at `answered`.
    fn tell<W: Witness>(&mut self, answered: i64, witness: &mut W) {
        let was = std::mem::take(&mut self.before);
        if !was.contains(Earlier::WAITS) {
            return;
        }
        let [request, response] = self.earlier;
        let span = |to: i64| {
            let known = request != NEVER && to != NEVER && !was.contains(Earlier::TORN) && to >= request;
            known.then(|| Nanos::new(to.saturating_sub(request)))
        };
        let known = response != NEVER && !was.contains(Earlier::PARTED);
        let last = if known { answered.max(response) } else { NEVER };
        let turn = Turn {
            request: time(request),
            first_byte: span(response),
            last_byte: span(last),
            overlapped: was.contains(Earlier::OVERLAPS),
        };
        let [first_byte, last_byte] = &mut self.withheld;
        *first_byte |= turn.first_byte.is_none();
        *last_byte |= turn.last_byte.is_none();
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
            withheld: self.withheld,
        }
    }
}
