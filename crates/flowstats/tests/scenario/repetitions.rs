//! Laws of what is sent again: what every captured packet truly was, and what we called it.

use std::collections::{BTreeMap, BTreeSet};

use flowcore::{Direction, Timestamp};
use flowstats::tcp::Retransmission;

use crate::courses::{side, whole};
use crate::heard::Note;
use crate::laws::{Case, Verdict};
use crate::segment::{Kind, Side, Stretches};

/// What a captured packet was.
#[derive(Copy, Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Nature {
    /// Nothing of it had been seen, and nothing beyond it.
    New,
    /// A packet that was captured before, or one that the network doubled.
    Copy,
    /// Sent before what was seen before it.
    Overtaken,
    /// Sent again, or to ask for something.
    Again(Kind),
    /// Sent again, and then before what was seen before it.
    AgainOvertaken,
    Syn,
    SynAck,
    /// Offload made one of several of these.
    Mixed,
}

/// What each captured packet of one side was, by the time that the capture tells.
pub fn natures(case: &Case, side: Side) -> Vec<(Timestamp, usize, Nature)> {
    let mut sent: BTreeMap<usize, Stretches> = BTreeMap::new();
    let mut bare: BTreeSet<usize> = BTreeSet::new();
    let mut top = 0;
    let mut latest = 0;
    let mut probed = BTreeSet::new();
    let mut syns = BTreeSet::new();
    let mut natures = Vec::new();
    for packet in &case.captured {
        let segment = &case.history.sightings[packet.sighting].segment;
        if segment.side != side {
            // What was acknowledged has been sent, captured or not.
            top = top.max(segment.ack.filter(|_| !segment.rst).unwrap_or(0));
            continue;
        }
        let single = segment.syn || segment.fin || segment.len == 0;
        let known = single.then(|| !bare.insert(segment.emission));
        let parts: Vec<bool> = segment
            .parts
            .iter()
            .map(|(range, emission)| sent.entry(*emission).or_default().add(range.clone()).is_empty())
            .chain(known)
            .collect();
        let kinds = segment.parts.iter().map(|(_, emission)| *emission).chain(single.then_some(segment.emission));
        let kinds: BTreeSet<Kind> = kinds.map(|emission| case.history.emissions[emission].kind).collect();
        let below = segment.seq < top;
        let nature = if parts.iter().all(|known| *known) {
            Nature::Copy
        } else if parts.iter().any(|known| *known) || kinds.len() > 1 {
            Nature::Mixed
        } else if segment.rst {
            Nature::New
        } else if segment.len > 1 && probed.contains(&segment.seq) {
            // Of which a probe's byte was taken.
            Nature::Mixed
        } else if segment.syn {
            match (syns.insert(segment.ack.is_some()), segment.ack.is_some()) {
                (true, _) => Nature::New,
                (false, false) => Nature::Syn,
                (false, true) => Nature::SynAck,
            }
        } else {
            match kinds.first().copied() {
                // Overtaken, it is an old ACK like any.
                Some(kind @ (Kind::KeepAlive | Kind::ZeroWindowProbe)) if segment.len > 0 || segment.seq + 1 >= top => {
                    Nature::Again(kind)
                }
                Some(Kind::Timeout | Kind::Fast) if below && segment.emission < latest => Nature::AgainOvertaken,
                Some(kind @ (Kind::Timeout | Kind::Fast)) if below => Nature::Again(kind),
                Some(Kind::Original) if below && segment.end() > segment.seq => Nature::Overtaken,
                _ => Nature::New,
            }
        };
        latest = latest.max(segment.emission);
        if kinds.contains(&Kind::ZeroWindowProbe) {
            probed.insert(segment.seq);
        } else {
            top = top.max(segment.end());
        }
        natures.push((case.told(packet.time), packet.sighting, nature));
    }
    natures
}

#[derive(Copy, Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Called {
    Copy,
    Overtaken,
    Again(Retransmission),
}

pub fn called(case: &Case) -> Vec<(Timestamp, Side, Called)> {
    let Some(heard) = whole(case) else { return Vec::new() };
    heard
        .notes
        .iter()
        .filter_map(|note| match *note {
            Note::Retransmission(kind, by, time) => Some((time, side(heard, by), Called::Again(kind))),
            Note::Reordering(by, time) => Some((time, side(heard, by), Called::Overtaken)),
            Note::Duplicate(by, time) => Some((time, side(heard, by), Called::Copy)),
            _ => None,
        })
        .collect()
}

/// Whether the receiver had all of it when it was sent.
fn needless(case: &Case, sighting: usize) -> bool {
    case.history.emissions[case.history.sightings[sighting].segment.emission].needless
}

/// A retransmission counts as fast only where somebody asked for it, and as needless only where the receiver got its
/// bytes twice.
pub fn reasons(case: &Case) -> Verdict {
    let Some(heard) = whole(case) else { return Ok(()) };
    if !heard.has_syn() {
        return Ok(());
    }
    for by in [Direction::Forward, Direction::Reverse] {
        let facts = &heard.facts.sides[by.index()];
        let of = side(heard, by);
        let fast = facts.sent_again(Retransmission::Fast);
        if fast > 0 && facts.duplicate_acks == 0 {
            return Err(format!("{by:?}: {fast} fast retransmissions that nobody asked for"));
        }
        // What the network doubles behind the capture point is reported as a duplicate too.
        if !case.plan.flaws.is_lossless() || case.plan.links[of][1].duplication > 0 {
            continue;
        }
        let arrived: Vec<_> =
            case.history.arrived.iter().map(|place| &case.history.sightings[*place].segment).collect();
        let twice = natures(case, of).into_iter().filter(|(_, sighting, nature)| {
            let payload = case.history.sightings[*sighting].segment.payload();
            let covers = |one: &&&crate::segment::Segment| one.side == of && one.payload().contains(&payload.start);
            matches!(nature, Nature::Again(_) | Nature::AgainOvertaken | Nature::Mixed)
                && (payload.is_empty() || needless(case, *sighting) || arrived.iter().filter(covers).count() > 1)
        });
        let (needless, twice) = (facts.sent_again(Retransmission::Spurious), twice.count() as u64);
        if needless > twice + facts.guessed {
            return Err(format!("{by:?}: {needless} needless, true {twice}, {} guessed", facts.guessed));
        }
    }
    Ok(())
}

/// Packets that we called what they were not, by the side that sent them.
fn wrong(case: &Case, side: Side) -> Vec<(Timestamp, Vec<Nature>, Vec<Called>)> {
    let (mut true_kinds, mut told) = (BTreeMap::<_, Vec<_>>::new(), BTreeMap::<_, Vec<_>>::new());
    for (time, sighting, nature) in natures(case, side) {
        let segment = &case.history.sightings[sighting].segment;
        let bare = segment.len == 0 && !segment.syn && !segment.fin;
        true_kinds.entry(time).or_default().push((nature, bare));
        told.entry(time).or_default();
    }
    for (time, by, called) in called(case) {
        if by == side {
            told.entry(time).or_default().push(called);
        }
    }
    let mut wrong = Vec::new();
    for (time, called) in told {
        let natures = true_kinds.remove(&time).unwrap_or_default();
        let mut left = called.clone();
        let silent = natures.iter().filter(|(nature, bare)| {
            let fits = |called: &Called| is_right(*nature, *called);
            match left.iter().position(fits) {
                Some(place) => {
                    left.remove(place);
                    false
                }
                None => !may_be_silent(case, *nature, *bare),
            }
        });
        if silent.count() > 0 || !left.is_empty() {
            wrong.push((time, natures.iter().map(|one| one.0).collect(), called));
        }
    }
    wrong
}

fn is_right(nature: Nature, called: Called) -> bool {
    match (nature, called) {
        (Nature::New, _) => false,
        (Nature::Mixed, _) => true,
        (Nature::Copy, Called::Copy) | (Nature::Overtaken, Called::Overtaken) => true,
        (Nature::Syn, Called::Again(Retransmission::Syn)) => true,
        (Nature::SynAck, Called::Again(Retransmission::SynAck)) => true,
        // What was sent before the newest is taken for one packet twice, since it was hardly sent again so late.
        (Nature::AgainOvertaken, Called::Overtaken | Called::Copy) => true,
        (Nature::AgainOvertaken | Nature::Again(Kind::Timeout | Kind::Fast), Called::Again(kind)) => kind.is_of_data(),
        // What both send alike: a keep-alive while the window is zero.
        (Nature::Again(Kind::KeepAlive | Kind::ZeroWindowProbe), Called::Again(kind)) => {
            matches!(kind, Retransmission::KeepAlive | Retransmission::WindowProbe)
        }
        _ => false,
    }
}

/// What an observer need not notice.
fn may_be_silent(case: &Case, nature: Nature, bare: bool) -> bool {
    match nature {
        Nature::New | Nature::Mixed => true,
        // An ACK like the one before says nothing twice.
        // A probe that meets an open window is a byte like any.
        Nature::Again(Kind::ZeroWindowProbe) if !bare => true,
        Nature::Copy => bare || !case.plan.flaws.is_lossless(),
        _ => !case.plan.flaws.is_lossless(),
    }
}

/// What we call a packet is what it was, but for as many as we say were guessed.
pub fn kinds(case: &Case) -> Verdict {
    let Some(heard) = whole(case) else { return Ok(()) };
    if !heard.has_syn() {
        return Ok(());
    }
    for by in [Direction::Forward, Direction::Reverse] {
        let wrong = wrong(case, side(heard, by));
        let guessed = heard.facts.sides[by.index()].guessed;
        if wrong.len() as u64 > guessed {
            return Err(format!("{by:?}: {guessed} guessed, but {wrong:?}"));
        }
    }
    Ok(())
}
