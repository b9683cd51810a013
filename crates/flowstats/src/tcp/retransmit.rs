//! What a segment is that brings bytes from before the newest: pure functions of what was seen.
//!
//! The rules in the order in which they are asked, with what they rest on:
//!
//! 1. The same packet twice: the identification of an IPv4 datagram is not given out again within [`SHORTEST_TIMER`]
//!    (RFC 6864 section 4.2; some stacks use it again when they send again); a timestamp option older than that of the
//!    newest segment was sent before it (RFC 7323 section 3.2); a copy on another interface, or within [`COPY`] of the
//!    original and unasked for, cannot be the sender's. No copy brings more than was there.
//! 2. Probes: up to one byte, one below the next, asks for life when everything is acknowledged (RFC 9293 section 3.8.4),
//!    for the window when that was zero (section 3.8.6.1).
//! 3. Acknowledged before: spurious. The receiver may say so later, by a duplicate block (RFC 2883).
//! 4. [`DUPLICATE_ACKS`] and more (RFC 5681 section 3.2), or fewer just before (early retransmit, RFC 5827; RACK, RFC 8985
//!    section 6), or within a recovery that began so (RFC 6582, RFC 6675): fast.
//! 5. A timer (RFC 6298 section 5; tail loss probes, RFC 8985 section 7): what is left.
//!
//! Of a segment that was never seen before though later ones were, it is asked first whether it was sent before those:
//! by identification, by timestamp option, else by whether a round trip could have passed since.
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

/// With no round trip measured, a segment this much later than one sent after it counts as reordered (so does
/// Wireshark).
pub const REORDERING: Nanos = Nanos::new(3_000_000);

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
    /// Whether its IPv4 identification is that of its sender's latest segment, sent less than [`SHORTEST_TIMER`] ago;
    /// `None` without one.
    pub same_id: Option<bool>,
    /// Its timestamp option less that of its sender's newest bytes; `None` without one.
    pub stamp_age: Option<i32>,
    /// It was captured on another interface than its sender's newest bytes.
    pub other_interface: bool,
    /// Time since its sender's newest bytes.
    pub since_newest: Nanos,
    /// Duplicate ACKs of the receiver since its last that acknowledged more.
    pub duplicate_acks: u32,
    /// Time since the latest of them.
    pub since_duplicate_ack: Nanos,
    /// A fast retransmission was made, and not all that was on its way then is acknowledged yet.
    pub fast_recovery: bool,
    /// The shortest round trip from end to end, if one was measured.
    pub round_trip: Option<Nanos>,
}

/// What a repeated segment is.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Again {
    /// One packet, captured or delivered twice.
    Duplicate,
    /// Sent again.
    Sent(Retransmission),
}

/// Tells what a segment is whose bytes had all been seen; the module says by which rules.
pub fn classify(seen: &Repetition) -> Again {
    let asked = seen.duplicate_acks > 0;
    let quick = seen.newest && !asked && seen.since_newest < COPY && seen.same_id.is_none();
    let same_stamp = seen.stamp_age.is_none_or(|age| age == 0);
    let copied = seen.same_id == Some(true)
        || seen.stamp_age.is_some_and(|age| age < 0)
        || (quick && same_stamp && seen.since_newest >= Nanos::ZERO)
        || (seen.other_interface && !asked && seen.since_newest < CROSSING);
    if copied && !seen.fresh {
        return Again::Duplicate;
    }
    let probe = seen.payload <= 1 && seen.below == 1 && !seen.fin;
    Again::Sent(if probe && seen.zero_window {
        Retransmission::WindowProbe
    } else if probe && seen.idle {
        Retransmission::KeepAlive
    } else if seen.acknowledged {
        Retransmission::Spurious
    } else {
        recovery(seen.duplicate_acks, seen.since_duplicate_ack, seen.fast_recovery, seen.round_trip)
    })
}

/// Whether duplicate ACKs brought a retransmission about, or a timer.
fn recovery(
    duplicate_acks: u32,
    since_duplicate_ack: Nanos,
    fast_recovery: bool,
    round_trip: Option<Nanos>,
) -> Retransmission {
    // From the receiver's side a round trip passes between what asks and what comes.
    let answer = Nanos::new(round_trip.map_or(0, Nanos::get).saturating_mul(2).max(SHORTEST_TIMER.get()));
    let prompt = since_duplicate_ack < answer;
    if duplicate_acks >= DUPLICATE_ACKS || (duplicate_acks > 0 && prompt) || (fast_recovery && prompt) {
        Retransmission::Fast
    } else {
        Retransmission::Timeout
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
    /// Time since the latest of them.
    pub since_duplicate_ack: Nanos,
    /// A fast retransmission was made, and not all that was on its way then is acknowledged yet.
    pub fast_recovery: bool,
}

/// What a late segment is.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Late {
    /// Sent before those that were seen before it.
    Reordered,
    /// Sent again; the first copy was lost before the capture point, or by the capture.
    Sent(Retransmission),
}

/// Tells whether a late segment was overtaken or sent again; the module says by which rules.
pub fn classify_late(seen: &Latecomer) -> Late {
    let again =
        || Late::Sent(recovery(seen.duplicate_acks, seen.since_duplicate_ack, seen.fast_recovery, seen.round_trip));
    match seen.stamp_age {
        Some(age) if age < 0 => return Late::Reordered,
        Some(age) if age > 0 => return again(),
        _ => {}
    }
    if let Some([before, jump, this]) = seen.ids {
        // Counted upwards by one sender, these are near each other; random ones are not.
        const NEAR: u16 = 1024;
        let (jumped, came) = (jump.wrapping_sub(before), this.wrapping_sub(before));
        if (1..NEAR).contains(&jumped) && (1..NEAR).contains(&came) {
            return if came < jumped { Late::Reordered } else { again() };
        }
    }
    if seen.since_jump < seen.round_trip.unwrap_or(REORDERING) { Late::Reordered } else { again() }
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
            since_duplicate_ack: Nanos::new(i64::MAX),
            ..Repetition::default()
        }
    }

    #[test]
    fn one_packet_twice_is_a_duplicate() {
        let copy = Repetition { newest: true, below: 1000, since_newest: Nanos::new(MS / 2), ..seen() };
        for (seen, expected) in [
            (Repetition { same_id: Some(true), ..seen() }, true),
            (Repetition { same_id: Some(false), ..copy }, false),
            (Repetition { stamp_age: Some(-1), ..seen() }, true),
            (Repetition { stamp_age: Some(0), ..copy }, true),
            (Repetition { stamp_age: Some(3), ..copy }, false),
            (copy, true),
            (Repetition { since_newest: Nanos::new(2 * MS), ..copy }, false),
            (Repetition { duplicate_acks: 1, ..copy }, false),
            (Repetition { since_newest: Nanos::new(5 * MS), other_interface: true, ..seen() }, true),
            (Repetition { other_interface: true, ..seen() }, false),
            (Repetition { same_id: Some(true), fresh: true, ..seen() }, false),
        ] {
            assert_eq!(classify(&seen) == Again::Duplicate, expected, "{seen:?}");
        }
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
            (Repetition { duplicate_acks: 3, ..seen() }, Fast),
            (Repetition { duplicate_acks: 1, since_duplicate_ack: just, ..seen() }, Fast),
            (Repetition { duplicate_acks: 1, ..seen() }, Timeout),
            (Repetition { fast_recovery: true, since_duplicate_ack: just, ..seen() }, Fast),
            (Repetition { fast_recovery: true, ..seen() }, Timeout),
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
