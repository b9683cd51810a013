//! Laws of requests and responses.

use flowcore::Timestamp;
use flowstats::tcp::Turn;

use crate::courses::whole;
use crate::heard::Note;
use crate::laws::{Case, Verdict};
use crate::segment::{CLIENT, Kind, MILLIS, SERVER, Segment, Side, Stretches, Time};

/// One request of the dialogue and its response, as they passed the capture point; absent what never did.
#[derive(Clone, Debug, Default)]
struct True {
    request: Option<Time>,
    first_byte: Option<Time>,
    last_byte: Option<Time>,
    /// All of it was seen.
    whole: bool,
    /// Its end is as short as a farewell, came so long after the rest, and somebody closed at once behind it, or the
    /// client said as little.
    may_part: bool,
}

/// When bytes of `from..to` of a side's stream were first seen, and how many each time; and whether all were.
fn pieces(case: &Case, side: Side, from: u64, to: u64, all: bool) -> (Vec<(Time, u64)>, bool) {
    let mut seen = Stretches::default();
    let mut pieces = Vec::new();
    let mut look = |time: Time, sighting: usize| {
        let segment = &case.history.sightings[sighting].segment;
        let payload = segment.payload();
        let part = payload.start.max(from)..payload.end.min(to);
        if segment.side == side && !segment.rst && part.start < part.end {
            let new: u64 = seen.add(part).iter().map(|stretch| stretch.end - stretch.start).sum();
            pieces.extend((new > 0).then_some((time, new)));
        }
    };
    if all {
        case.history.sightings.iter().enumerate().for_each(|(place, one)| look(one.time, place));
    } else {
        case.captured.iter().for_each(|packet| look(packet.time, packet.sighting));
    }
    (pieces, seen.covers(&(from..to)))
}

/// When bytes of `from..to` of a side's stream were first seen: the first of them, and the last; and whether all were.
fn passed(case: &Case, side: Side, from: u64, to: u64, all: bool) -> (Option<Time>, Option<Time>, bool) {
    let (pieces, whole) = pieces(case, side, from, to, all);
    let time = |piece: Option<&(Time, u64)>| piece.map(|&(time, _)| time);
    (time(pieces.first()), time(pieces.last()), whole)
}

/// Whether at most 96 bytes came at the end, a second or more after what came before them.
fn may_part(pieces: &[(Time, u64)]) -> bool {
    let mut bytes = 0;
    pieces.windows(2).rev().any(|pair| {
        bytes += pair[1].1;
        bytes <= 96 && pair[1].0 - pair[0].0 >= 1_000_000_000
    })
}

/// Whether somebody closed, or the client said no more than a farewell, behind what was seen `at`, within the 200 ms
/// or two round trips that are at once.
fn is_left(case: &Case, at: Time) -> bool {
    let links = case.plan.links.iter().flatten();
    let round_trip: Time = links.map(|link| link.delay + link.jitter + link.late).sum();
    let at_once = at..=at + (2 * round_trip).max(200 * MILLIS);
    case.history.sightings.iter().filter(|one| at_once.contains(&one.time)).any(|one| {
        let Segment { side, fin, rst, .. } = one.segment;
        fin || rst || (side == CLIENT && (1..=96).contains(&one.segment.len))
    })
}

/// The turns of the dialogue as the capture shows them; with `all`, as they passed.
fn truth(case: &Case, all: bool) -> Vec<True> {
    let mut turns: Vec<True> = Vec::new();
    for message in &case.plan.messages {
        let (first, last, whole) = passed(case, message.side, message.from, message.from + message.bytes, all);
        if message.side == CLIENT {
            turns.push(True { request: first, whole, ..True::default() });
        } else if let (Some(turn), true) = (turns.last_mut(), first.is_some()) {
            (turn.first_byte, turn.last_byte) = (first, last);
            turn.whole &= whole;
            let pieces = pieces(case, message.side, message.from, message.from + message.bytes, all).0;
            turn.may_part = may_part(&pieces) && last.is_some_and(|last| is_left(case, last));
        }
    }
    turns
}

/// Whether the client said nothing before it had heard the response to what it said before.
fn takes_turns(case: &Case) -> bool {
    let messages = &case.plan.messages;
    case.plan.alternating && messages.windows(2).all(|pair| pair[0].side != pair[1].side)
}

fn turns(case: &Case) -> Option<(Vec<Turn>, usize)> {
    let heard = whole(case)?;
    let requests = heard.notes.iter().filter(|note| matches!(note, Note::Request(_))).count();
    let turns = heard.notes.iter().filter_map(|note| if let Note::Response(turn) = note { Some(*turn) } else { None });
    (!heard.is_turned() && heard.has_syn()).then(|| (turns.collect(), requests))
}

/// How often the captured client spoke anew behind something new of the server, both of them having heard all of the other:
/// so many requests it shows, were they meant as such or not.
fn exchanges(case: &Case) -> usize {
    let mut seen = [Stretches::default(), Stretches::default()];
    let mut ends = [1, 1];
    let mut speaker = SERVER;
    let mut exchanges = 0;
    for packet in &case.captured {
        let segment = &case.history.sightings[packet.sighting].segment;
        let side = segment.side;
        let new = !segment.rst && !seen[side].add(segment.payload()).is_empty();
        if new && side != speaker && segment.ack.is_none_or(|ack| ack >= ends[1 - side]) {
            speaker = side;
            exchanges += usize::from(side == CLIENT);
        }
        ends[side] = ends[side].max(segment.payload().end);
    }
    exchanges
}

/// Nobody greets who does not. Of a lossless capture every request and every response is counted; where a client did not wait there may be fewer,
/// since what it sends until it is answered is one request, or more of turns that overlapped.
pub fn counts(case: &Case) -> Verdict {
    let Some(heard) = whole(case) else { return Ok(()) };
    let Some((turns, requests)) = turns(case) else { return Ok(()) };
    let facts = heard.facts.turns;
    let greets = case.plan.messages.first().is_some_and(|message| message.side == SERVER);
    if takes_turns(case) && facts.server_first > u32::from(greets) {
        return Err(format!("{} greetings, true {greets}", facts.server_first));
    }
    if !case.plan.flaws.is_lossless() {
        return Ok(());
    }
    let mut truth = truth(case, false);
    truth.retain(|turn| turn.request.is_some());
    let answered = truth.iter().filter(|turn| turn.first_byte.is_some()).count();
    let ours = (requests, turns.len());
    if (facts.requests as usize, facts.responses as usize) != ours {
        return Err(format!("told {ours:?}, counted {facts:?}"));
    }
    let more = (ours.0 > truth.len() || ours.1 > answered) && ours.0 > exchanges(case);
    if ours != (truth.len(), answered) && (takes_turns(case) || (more && facts.overlapped == 0)) {
        return Err(format!("{ours:?}, true {:?}; {} overlapped", (truth.len(), answered), facts.overlapped));
    }
    if takes_turns(case) && facts.overlapped > 0 {
        return Err(format!("{} overlapped though each waited for the other", facts.overlapped));
    }
    let greets = case.plan.messages.first().is_some_and(|message| {
        message.side == SERVER && passed(case, SERVER, message.from, message.from + message.bytes, false).0.is_some()
    });
    if takes_turns(case) && u64::from(facts.server_first) != u64::from(greets) {
        return Err(format!("{} greetings, true {greets}", facts.server_first));
    }
    Ok(())
}

/// Whether the capture shows no trace of the end of a response: no byte, no ACK and nothing behind it.
fn is_cut(case: &Case, turn: &True) -> bool {
    let mut messages = case.plan.messages.iter().filter(|message| message.side == SERVER);
    let end = messages.find_map(|message| {
        let end = message.from + message.bytes;
        (passed(case, SERVER, message.from, end, true).0 == turn.first_byte).then_some(end)
    });
    let end = end.unwrap_or(0);
    case.captured.iter().all(|packet| {
        let segment = &case.history.sightings[packet.sighting].segment;
        if segment.side == SERVER { segment.end() < end } else { segment.ack.is_none_or(|ack| ack < end) }
    })
}

/// A turn's times are those of the first and the last of its bytes that passed, or absent: also where the capture missed
/// some.
pub fn times(case: &Case) -> Verdict {
    let Some((turns, _)) = turns(case) else { return Ok(()) };
    if !takes_turns(case) {
        return Ok(());
    }
    // What the capture has whole may have passed before, unseen; that nobody can know.
    let mut known = truth(case, true);
    known.extend(truth(case, false).into_iter().filter(|turn| turn.whole));
    let lossless = case.plan.flaws.is_lossless();
    // Where something was sent again it may remain unknown whether all is there.
    let quiet = lossless && case.history.emissions.iter().all(|one| one.kind == Kind::Original);
    let span = |from: Option<Time>, to: Option<Time>| Some((case.told(to?) - case.told(from?)).get());
    for turn in &turns {
        let is_of = |one: &&True| one.request.map(|time| case.told(time)) == turn.request;
        let found: Vec<&True> = known.iter().filter(is_of).collect();
        let spans = (turn.first_byte.map(|span| span.get()), turn.last_byte.map(|span| span.get()));
        if spans == (None, None) {
            if quiet && found.iter().any(|one| one.whole) {
                return Err(format!("no times of {turn:?}"));
            }
            continue;
        }
        // Nothing that was captured tells of what came behind the last byte that was.
        let fits = |ours: Option<i64>, truth: Option<i64>| ours == truth || (ours.is_none() && !quiet);
        let is_true = |one: &&&True| {
            let (first, last) = (span(one.request, one.first_byte), span(one.request, one.last_byte));
            let ends = fits(spans.1, last) || (one.may_part && spans.1.is_none());
            fits(spans.0, first) && (ends || (!lossless && spans.1 < last && is_cut(case, one)))
        };
        if !found.iter().any(|one| is_true(&one)) {
            return Err(format!("{:?}: {spans:?}, true {found:?}", turn.request.map(Timestamp::as_nanos)));
        }
    }
    Ok(())
}
