//! Laws of what happens between the opening and the end: round trips, repetitions, windows, turns.

use flowcore::{Direction, Nanos, Timestamp};
use flowstats::tcp::{RttMethod, RttSample, Shape};

use crate::heard::{Heard, Note};
use crate::laws::{Case, Verdict};
use crate::segment::{Kind, Side};
use crate::truth::RoundTrips;

/// The one connection that the scenario is, as heard.
pub fn whole(case: &Case) -> Option<&Heard> {
    let [heard] = &case.heard[..] else { return None };
    Some(heard)
}

/// Whose stream a direction is.
pub fn side(heard: &Heard, direction: Direction) -> Side {
    direction.index() ^ usize::from(heard.is_turned())
}

/// Sightings of one side that the capture says were at `time`.
fn seen_at(case: &Case, side: Side, time: Timestamp) -> Vec<usize> {
    let packets = case.captured.iter().filter(|packet| {
        case.told(packet.time) == time && case.history.sightings[packet.sighting].segment.side == side
    });
    packets.map(|packet| packet.sighting).collect()
}

/// Every sample is a round trip that was: of a segment that passed, and of the ACK that it brought about.
pub fn round_trips(case: &Case) -> Verdict {
    let Some(heard) = whole(case) else { return Ok(()) };
    if !case.plan.flaws.is_lossless() {
        return Ok(());
    }
    let truths = [RoundTrips::of(&case.history, 0), RoundTrips::of(&case.history, 1)];
    for note in &heard.notes {
        let Note::Rtt(sample) = note else { continue };
        let of = side(heard, sample.of);
        if !is_true(case, &truths[of], of, sample) && !sent_twice(case, &truths[of], of, sample) {
            return Err(format!("{sample:?} is none that was"));
        }
    }
    Ok(())
}

fn is_true(case: &Case, truth: &RoundTrips<'_>, of: Side, sample: &RttSample) -> bool {
    let sent_at = Timestamp::from_nanos(sample.time.as_nanos() - sample.rtt.get());
    let sent = seen_at(case, of, sent_at);
    let answers = seen_at(case, 1 - of, sample.time);
    answers.iter().any(|answer| {
        let answer_segment = &case.history.sightings[*answer].segment;
        sent.iter().any(|sent| {
            let segment = &case.history.sightings[*sent].segment;
            let acknowledged = answer_segment.ack.is_some_and(|ack| ack >= segment.end());
            // Of a segment that the network doubled either copy will do.
            let mut copies = case.copies(*sent);
            acknowledged
                && copies.any(|copy| {
                    answer_segment.answers.contains(&copy)
                        || truth.is_of(copy, *answer)
                        || (sample.method == RttMethod::Timestamp && truth.echoes(copy, *answer))
                })
        })
    })
}

/// Whether it would be true of a segment sent less than a millisecond later: that is taken for a copy.
fn sent_twice(case: &Case, truth: &RoundTrips<'_>, of: Side, sample: &RttSample) -> bool {
    let sent_at = Timestamp::from_nanos(sample.time.as_nanos() - sample.rtt.get());
    case.captured.iter().map(|packet| case.told(packet.time)).any(|time| {
        let later = (time - sent_at).get();
        let rtt = Nanos::new(sample.rtt.get() - later);
        (1..1_000_000).contains(&later) && is_true(case, truth, of, &RttSample { rtt, ..*sample })
    })
}

/// Fair weather at a lossless capture: as many samples as there can be are taken.
pub fn round_trips_are_many(case: &Case) -> Verdict {
    let Some(heard) = whole(case) else { return Ok(()) };
    let quiet = case.history.emissions.iter().all(|one| one.kind == Kind::Original)
        && case.plan.flaws.duplication == 0
        && case.plan.links.iter().flatten().all(|link| link.duplication == 0);
    if !case.plan.flaws.is_lossless() || !quiet || !heard.has_syn() {
        return Ok(());
    }
    let ambiguous = heard.notes.iter().filter(|note| matches!(note, Note::Ambiguous(..))).count();
    let samples = heard.notes.iter().filter(|note| matches!(note, Note::Rtt(..))).count();
    let steps =
        heard.notes.iter().filter(|note| matches!(note, Note::Rtt(RttSample { method: RttMethod::Handshake, .. })));
    let steps = steps.count();
    let opening = &heard.facts.opening;
    if opening.shape == Shape::ThreeWay && opening.ack.is_some() && opening.is_exact() && steps != 2 {
        return Err(format!("{steps} samples of the handshake"));
    }
    if ambiguous > samples + 5 {
        return Err(format!("{ambiguous} ambiguous, {samples} samples"));
    }
    Ok(())
}

/// No sample is shorter than the way from the capture point to the one who answers and back, whatever was lost.
pub fn not_too_short(case: &Case) -> Verdict {
    let Some(heard) = whole(case) else { return Ok(()) };
    for note in &heard.notes {
        let Note::Rtt(sample) = note else { continue };
        let of = side(heard, sample.of);
        let least = case.plan.links[of][1].delay + case.plan.links[1 - of][0].delay;
        // The file may tell either time too early by its unit; packets that meet are seen one after another.
        let unit = if case.plan.coarse { 2000 } else { 1000 };
        // Of what the capture has not, the sending that it has is the only one for whoever looks.
        let unseen = case.history.sightings.iter().enumerate().any(|(place, one)| {
            one.segment.side == of
                && case.told(one.time).as_nanos() < sample.time.as_nanos() - sample.rtt.get()
                && !case.captured.iter().any(|packet| packet.sighting == place)
                && seen_at(case, of, Timestamp::from_nanos(sample.time.as_nanos() - sample.rtt.get()))
                    .iter()
                    .any(|sent| case.history.sightings[*sent].segment.end() <= one.segment.end())
        });
        if sample.rtt.get() + unit < least as i64 && !unseen {
            return Err(format!("{sample:?}, the way takes {least} ns"));
        }
    }
    Ok(())
}
