//! What a segment is that brings bytes from before the newest: pure functions of what was seen.
//!
//! The rules in the order in which they are asked, with what they rest on:
//!
//! 1. The same packet twice: the identification of an IPv4 datagram is not given out again within [`SHORTEST_TIMER`]
//!    (RFC 6864 section 4.2; some stacks use it again when they send again); what was sent before the newest segment
//!    ([`Order`]) was not sent again, and is an original that its own repetition overtook where that had filled a hole; a
//!    copy on another interface, or within [`COPY`] of the original and unasked for, cannot be the sender's. No copy
//!    brings more than was there.
//! 2. Probes: up to one byte, one below the next, asks for life when everything is acknowledged (RFC 9293 section 3.8.4),
//!    for the window when that was zero (section 3.8.6.1). An ACK that a later one overtook looks the same, but comes
//!    within a round trip.
//! 3. Acknowledged before: spurious. The receiver may say so later, by a duplicate block (RFC 2883).
//! 4. [`DUPLICATE_ACKS`] and more (RFC 5681 section 3.2), or fewer just before (early retransmit, RFC 5827; RACK, RFC 8985
//!    section 6), or within a recovery that began so, in which an ACK of a part asks too (RFC 6582, RFC 6675): fast, unless
//!    so long after that no answer takes as long.
//! 5. A timer (RFC 6298 section 5; tail loss probes, RFC 8985 section 7): what is left. What follows a timer's
//!    retransmission of the first byte outstanding, until all that was on its way is acknowledged, is of the timer too:
//!    duplicate ACKs bring nothing about then (RFC 6582 section 4).
//!
//! Of a segment that was never seen before though later ones were, it is asked first whether it was sent before those:
//! by [`Order`], else by whether a round trip could have passed since.
//!
//! Where [`Order`] says nothing, time alone decides between what was sent again, what came twice and what came late:
//! such verdicts are counted, for they may be wrong.
//!
//! Wireshark's rules, to compare: it has no rule 1; calls zero-window probes of Linux (below the next byte) keep-alives;
//! fast wants 2 duplicate ACKs and at most 20 ms since the last; out of order is what comes within the first round trip
//! (or 3 ms).

use flowcore::Nanos;

use super::Retransmission;

/// Without an identification or a timestamp to tell by, a copy of the newest segment within this time is a duplicate:
/// no timer is that short, and nobody asked.
pub const COPY: Nanos = Nanos::new(1_000_000);

/// A copy on another interface within this time is a duplicate.
pub const CROSSING: Nanos = Nanos::new(10_000_000);

/// Duplicate ACKs that ask for a fast retransmission.
pub const DUPLICATE_ACKS: u32 = 3;

/// The shortest retransmission timer in use (Linux: 200 ms; RFC 6298 has 1 s).
pub const SHORTEST_TIMER: Nanos = Nanos::new(200_000_000);

/// Hardly any round trip is longer (RFC 6298 section 2.1: the timer before any was measured).
const LONG: Nanos = Nanos::new(1_000_000_000);

/// With no round trip measured, a segment this much later than one sent after it counts as reordered (so does
/// Wireshark).
pub const REORDERING: Nanos = Nanos::new(3_000_000);

/// Identifications that a sender counts upwards are this near to each other, random ones are not.
const NEAR: i16 = 1024;

/// So far back a number is taken for an earlier one of a sender that counts: of a thousand random ones one is so near.
const BACK: i16 = 64;

/// The most bytes of an ordinary segment.
const USUAL: i64 = 1460;

/// Whether a segment was sent before or after the newest of its sender, by what the sender wrote into it.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Order {
    /// They are the same packet.
    Same,
    /// Before it.
    Before,
    /// After it.
    After,
    /// Nothing tells.
    Unknown,
}

impl Order {
    /// By how much larger its timestamp option is (RFC 7323 section 3.2), else its IPv4 identification.
    fn of(stamp_age: Option<i32>, id_age: Option<i16>) -> Self {
        match (stamp_age, id_age) {
            (_, Some(0)) => Self::Same,
            (Some(i32::MIN..=-1), _) => Self::Before,
            (Some(1..), _) => Self::After,
            (_, Some(age)) if is_earlier(age) => Self::Before,
            (_, Some(age)) if (1..NEAR).contains(&age) => Self::After,
            _ => Self::Unknown,
        }
    }
}

/// Whether a number so much larger than that of the latest segment is of one that was sent before it.
pub(super) fn is_earlier(id_age: i16) -> bool {
    (1 - BACK..0).contains(&id_age)
}

/// Whether it is of one that was sent soon after it.
pub(super) fn is_next(id_age: i16) -> bool {
    (1..BACK).contains(&id_age)
}

/// What was seen of a segment whose bytes had all been seen.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
pub struct Repetition {
    /// Payload bytes.
    pub payload: u32,
    /// It carries a FIN.
    pub fin: bool,
    /// Bytes from its first to the newest that its sender had sent.
    pub below: i64,
    /// It ends with the newest byte.
    pub newest: bool,
    /// It brings bytes behind the newest too.
    pub fresh: bool,
    /// Everything that its sender had sent was acknowledged.
    pub idle: bool,
    /// Everything that it brings was acknowledged.
    pub acknowledged: bool,
    /// The receiver's window was zero.
    pub zero_window: bool,
    /// Its IPv4 identification less that of its sender's latest segment; `None` without one. 0 only if that was sent less
    /// than [`SHORTEST_TIMER`] ago.
    pub id_age: Option<i16>,
    /// Its sender counts its identifications upwards, as far as was seen.
    pub counted: bool,
    /// Its timestamp option less that of its sender's newest bytes; `None` without one.
    pub stamp_age: Option<i32>,
    /// It was captured on another interface than its sender's newest bytes.
    pub other_interface: bool,
    /// Time since its sender's newest bytes.
    pub since_newest: Nanos,
    /// Duplicate ACKs of the receiver since its last that acknowledged more.
    pub duplicate_acks: u32,
    /// Time since the latest of them, or since an ACK of a part within a recovery that such began.
    pub since_asked: Nanos,
    /// What began to repair losses, if not all that was on its way then is acknowledged yet.
    pub recovery: Recovery,
    /// Its bytes had been seen only as something sent again.
    pub filled: bool,
    /// It begins with the first byte outstanding.
    pub first: bool,
    /// Time since its sender's latest probe.
    pub since_probe: Nanos,
    /// Time since it was sent again before, with the same timestamp option if any.
    pub since_repeat: Nanos,
    /// The shortest round trip from end to end, if one was measured.
    pub round_trip: Option<Nanos>,
}

/// What brought the latest retransmissions about.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
pub enum Recovery {
    /// There were none, or all is acknowledged.
    #[default]
    None,
    /// Duplicate ACKs.
    Fast,
    /// A timer.
    Timer,
}

impl Recovery {
    /// After one more retransmission; `first`: of the first byte outstanding.
    pub fn after(self, kind: Retransmission, first: bool) -> Self {
        match (self, kind) {
            (Self::Timer, _) => self,
            (_, Retransmission::Fast) => Self::Fast,
            (_, Retransmission::Timeout) if first => Self::Timer,
            (_, Retransmission::Timeout) => Self::None,
            _ => self,
        }
    }
}

/// What a repeated segment is.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Again {
    /// One packet, captured or delivered twice.
    Duplicate,
    /// Sent before what was seen before it.
    Overtaken,
    /// Sent again.
    Sent(Retransmission),
}

impl Repetition {
    /// When it was sent, as its sender says.
    pub fn order(&self) -> Order {
        Order::of(self.stamp_age, self.id_age)
    }

    /// Whether that is more than likely: a single random number may happen to be near another.
    pub fn is_told(&self) -> bool {
        let bare = self.payload == 0 && !self.fin;
        match self.order() {
            Order::Same => true,
            // The next is never so soon.
            _ if bare && self.since_probe < SHORTEST_TIMER => false,
            _ if self.since_repeat < SHORTEST_TIMER => false,
            // Later, it may have been sent again and overtaken.
            Order::Before => {
                let told = self.counted || self.stamps_tell();
                self.since_newest < COPY && !self.is_asked_for() && told && self.stands_by_its_number()
            }
            // The number of what offload merged is that of its first datagram: a copy of the last has a larger one.
            Order::After => {
                self.stamps_tell() || (self.counted && self.since_newest >= self.round_trip.unwrap_or(REORDERING))
            }
            // An ACK that was overtaken comes within a round trip, however long that is.
            Order::Unknown => bare && self.since_newest >= self.round_trip.unwrap_or(LONG).max(SHORTEST_TIMER),
        }
    }
}

impl Repetition {
    fn stamps_tell(&self) -> bool {
        self.stamp_age.is_some_and(|age| age != 0)
    }

    /// Whether it stands so far below the newest as packets lie between, by their numbers, and so can be one of those:
    /// what lies farther back was sent before, and this may be its repetition, overtaken.
    fn stands_by_its_number(&self) -> bool {
        self.id_age.is_none_or(|age| self.below <= i64::from(self.payload) + i64::from(-age) * USUAL)
    }

    /// Whether the receiver asked for it.
    fn is_asked_for(&self) -> bool {
        self.first && self.duplicate_acks > 0
    }
}

/// Tells what a segment is whose bytes had all been seen; the module says by which rules.
pub fn classify(seen: &Repetition) -> Again {
    let asked = seen.duplicate_acks > 0;
    let bare = seen.payload == 0 && !seen.fin;
    let probe = seen.payload <= 1 && seen.below == 1 && !seen.fin;
    let order = seen.order();
    match order {
        _ if seen.fresh => {}
        Order::Same => return Again::Duplicate,
        Order::Before if bare || seen.filled => return Again::Overtaken,
        Order::Before if !seen.is_asked_for() => return Again::Duplicate,
        Order::Before | Order::After | Order::Unknown => {}
    }
    let soon = |since: Nanos| (Nanos::ZERO..COPY).contains(&since) && seen.id_age.is_none();
    if !seen.fresh && (((bare || probe) && soon(seen.since_probe)) || soon(seen.since_repeat)) {
        return Again::Duplicate;
    }
    if order == Order::Unknown && !asked && !seen.fresh {
        if (seen.newest && soon(seen.since_newest)) || (seen.other_interface && seen.since_newest < CROSSING) {
            return Again::Duplicate;
        }
        if bare && !seen.zero_window && seen.since_newest < seen.round_trip.unwrap_or(REORDERING) {
            return Again::Overtaken;
        }
    }
    Again::Sent(if probe && seen.zero_window {
        Retransmission::WindowProbe
    } else if probe && seen.idle {
        Retransmission::KeepAlive
    } else if seen.acknowledged {
        Retransmission::Spurious
    } else {
        recovery(seen.duplicate_acks, seen.since_asked, seen.recovery, seen.round_trip)
    })
}

/// Whether duplicate ACKs brought a retransmission about, or a timer.
fn recovery(duplicate_acks: u32, since_asked: Nanos, recovery: Recovery, round_trip: Option<Nanos>) -> Retransmission {
    // From the receiver's side a round trip passes between what asks and what comes.
    let within = |trips: i64, least: Nanos| {
        since_asked < Nanos::new(round_trip.map_or(0, Nanos::get).saturating_mul(trips).max(least.get()))
    };
    let prompt = within(2, SHORTEST_TIMER);
    // The shortest round trip was measured, others take longer; no answer takes so long.
    let asked = (duplicate_acks >= DUPLICATE_ACKS && within(4, LONG)) || (duplicate_acks > 0 && prompt);
    match recovery {
        Recovery::Timer => Retransmission::Timeout,
        Recovery::Fast if prompt || asked => Retransmission::Fast,
        Recovery::None if asked => Retransmission::Fast,
        Recovery::Fast | Recovery::None => Retransmission::Timeout,
    }
}

/// What was seen of a segment that brings bytes which later ones had jumped over.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
pub struct Latecomer {
    /// IPv4 identifications of the segment before the jump, of the one that jumped, and of this one, if they have any.
    pub ids: Option<[u16; 3]>,
    /// Its timestamp option less that of the segment that jumped; `None` without one.
    pub stamp_age: Option<i32>,
    /// Time since that segment.
    pub since_jump: Nanos,
    /// The shortest round trip from end to end, if one was measured.
    pub round_trip: Option<Nanos>,
    /// Duplicate ACKs of the receiver since its last that acknowledged more.
    pub duplicate_acks: u32,
    /// Time since the latest of them, or since an ACK of a part within a recovery that such began.
    pub since_asked: Nanos,
    /// What began to repair losses, if not all that was on its way then is acknowledged yet.
    pub recovery: Recovery,
}

/// What a late segment is.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Late {
    /// Sent before those that were seen before it.
    Reordered,
    /// Sent again; the first copy was lost before the capture point, or by the capture.
    Sent(Retransmission),
}

impl Latecomer {
    /// When it was sent, before or after the segment that jumped, as its sender says.
    pub fn order(&self) -> Order {
        // Counted upwards by one sender, all three are near each other.
        let ids = self.ids.and_then(|[before, jump, this]| {
            let (jumped, came) = (jump.wrapping_sub(before) as i16, this.wrapping_sub(before) as i16);
            let counted = (1..NEAR).contains(&jumped) && (1..NEAR).contains(&came);
            counted.then(|| came - jumped)
        });
        match (self.stamp_age, ids) {
            (Some(i32::MIN..=-1), _) | (Some(0) | None, Some(i16::MIN..=-1)) => Order::Before,
            (Some(1..), _) | (Some(0) | None, Some(0..)) => Order::After,
            (Some(0) | None, None) => Order::Unknown,
        }
    }
}

/// Tells whether a late segment was overtaken or sent again; the module says by which rules.
pub fn classify_late(seen: &Latecomer) -> Late {
    match seen.order() {
        Order::Before | Order::Same => Late::Reordered,
        Order::Unknown if seen.since_jump < seen.round_trip.unwrap_or(REORDERING) => Late::Reordered,
        Order::After | Order::Unknown => {
            Late::Sent(recovery(seen.duplicate_acks, seen.since_asked, seen.recovery, seen.round_trip))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: i64 = 1_000_000;

    /// An old segment in the middle of others, long after, unasked for.
    fn seen() -> Repetition {
        Repetition {
            payload: 1000,
            below: 3000,
            since_newest: Nanos::new(300 * MS),
            since_probe: Nanos::new(i64::MAX),
            since_repeat: Nanos::new(i64::MAX),
            since_asked: Nanos::new(i64::MAX),
            ..Repetition::default()
        }
    }

    #[test]
    fn one_packet_twice_is_a_duplicate() {
        let copy = Repetition { newest: true, below: 1000, since_newest: Nanos::new(MS / 2), ..seen() };
        for (seen, expected) in [
            (Repetition { id_age: Some(0), ..seen() }, true),
            (Repetition { id_age: Some(1), ..copy }, false),
            (Repetition { id_age: Some(-2), ..seen() }, true),
            (Repetition { id_age: Some(-2), stamp_age: Some(1), ..seen() }, false),
            (Repetition { id_age: Some(-20_000), ..seen() }, false),
            (Repetition { stamp_age: Some(-1), ..seen() }, true),
            (Repetition { stamp_age: Some(0), ..copy }, true),
            (Repetition { stamp_age: Some(3), ..copy }, false),
            (copy, true),
            (Repetition { since_newest: Nanos::new(2 * MS), ..copy }, false),
            (Repetition { duplicate_acks: 1, ..copy }, false),
            (Repetition { since_newest: Nanos::new(5 * MS), other_interface: true, ..seen() }, true),
            (Repetition { other_interface: true, ..seen() }, false),
            (Repetition { id_age: Some(0), fresh: true, ..seen() }, false),
        ] {
            assert_eq!(classify(&seen) == Again::Duplicate, expected, "{seen:?}");
        }
    }

    #[test]
    fn what_lies_farther_back_than_its_number_may_have_been_sent_again_and_overtaken() {
        let before = |below: i64, packets: i16| {
            let near = Nanos::new(MS / 2);
            Repetition { below, id_age: Some(-packets), counted: true, since_newest: near, ..seen() }.is_told()
        };
        assert!(before(2000, 1));
        assert!(!before(8000, 1));
        assert!(before(8000, 7));
    }

    #[test]
    fn an_ack_that_was_overtaken_is_no_keep_alive_for_sure_before_a_round_trip_has_passed() {
        let bare = |ms: i64, round_trip| {
            let since_newest = Nanos::new(ms * MS);
            Repetition { payload: 0, below: 1, idle: true, since_newest, round_trip, ..seen() }.is_told()
        };
        assert!(!bare(354, None));
        assert!(bare(1200, None));
        assert!(!bare(1200, Some(Nanos::new(2000 * MS))));
        assert!(bare(354, Some(Nanos::new(10 * MS))));
    }

    #[test]
    fn each_kind_is_told_by_its_rule() {
        use Retransmission::*;
        let just = Nanos::new(MS);
        for (seen, kind) in [
            (Repetition { payload: 0, below: 1, idle: true, acknowledged: true, ..seen() }, KeepAlive),
            (Repetition { payload: 1, below: 1, idle: true, acknowledged: true, ..seen() }, KeepAlive),
            (Repetition { payload: 0, below: 1, zero_window: true, ..seen() }, WindowProbe),
            (Repetition { payload: 2, below: 2, idle: true, acknowledged: true, ..seen() }, Spurious),
            (Repetition { acknowledged: true, duplicate_acks: 3, ..seen() }, Spurious),
            (Repetition { duplicate_acks: 3, since_asked: Nanos::new(900 * MS), ..seen() }, Fast),
            (Repetition { duplicate_acks: 3, since_asked: LONG, ..seen() }, Timeout),
            (Repetition { duplicate_acks: 1, since_asked: just, ..seen() }, Fast),
            (Repetition { duplicate_acks: 1, ..seen() }, Timeout),
            (Repetition { recovery: Recovery::Fast, since_asked: just, ..seen() }, Fast),
            (Repetition { recovery: Recovery::Fast, ..seen() }, Timeout),
            (Repetition { recovery: Recovery::Timer, duplicate_acks: 9, since_asked: just, ..seen() }, Timeout),
            (seen(), Timeout),
        ] {
            assert_eq!(classify(&seen), Again::Sent(kind), "{seen:?}");
        }
    }

    #[test]
    fn a_late_segment_was_overtaken_or_sent_again() {
        let late = |ms: i64| Latecomer { since_jump: Nanos::new(ms * MS), ..Latecomer::default() };
        let reordered = |seen: Latecomer| classify_late(&seen) == Late::Reordered;
        assert!(reordered(late(2)));
        assert!(!reordered(late(4)));
        assert!(reordered(Latecomer { round_trip: Some(Nanos::new(50 * MS)), ..late(40) }));
        assert!(!reordered(Latecomer { round_trip: Some(Nanos::new(50 * MS)), ..late(60) }));
        // What the sender wrote is worth more than the time that passed.
        assert!(reordered(Latecomer { ids: Some([65_535, 1, 0]), ..late(500) }));
        assert!(!reordered(Latecomer { ids: Some([65_535, 1, 2]), ..late(1) }));
        assert!(reordered(Latecomer { ids: Some([7, 40_000, 21_000]), ..late(1) }), "random: the time decides");
        assert!(reordered(Latecomer { stamp_age: Some(-4), ..late(500) }));
        assert!(!reordered(Latecomer { stamp_age: Some(4), ids: Some([1, 3, 2]), ..late(1) }));
        let fast = Latecomer { duplicate_acks: 3, ..late(500) };
        assert_eq!(classify_late(&fast), Late::Sent(Retransmission::Fast));
    }
}
