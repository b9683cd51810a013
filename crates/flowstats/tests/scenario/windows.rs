//! Laws of zero windows.

use std::collections::BTreeSet;

use flowcore::{Direction, Nanos, Timestamp};

use crate::courses::{side, whole};
use crate::laws::{Case, Verdict};
use crate::segment::Side;

/// What the captured packets of one side say of its window, by the order in which they were sent.
#[derive(Debug, Default)]
struct Closed {
    /// Segments with a window of zero that no later one had overtaken, and all.
    segments: (u64, u64),
    time: i64,
    /// Still closed, since then.
    since: Option<Timestamp>,
}

fn closed(case: &Case, side: Side) -> Closed {
    let mut closed = Closed::default();
    let mut known = BTreeSet::new();
    let mut latest = 0;
    for packet in &case.captured {
        let segment = &case.history.sightings[packet.sighting].segment;
        if segment.side != side || segment.syn || segment.rst {
            continue;
        }
        let zero = segment.window >> case.history.scales[side] == 0;
        let copy = !known.insert((segment.emission, segment.seq));
        closed.segments.1 += u64::from(zero);
        if copy || segment.emission < latest {
            continue;
        }
        latest = segment.emission;
        closed.segments.0 += u64::from(zero);
        let time = case.told(packet.time);
        match (zero, closed.since) {
            (true, None) => closed.since = Some(time),
            (false, Some(since)) => {
                closed.time += (time - since).get();
                closed.since = None;
            }
            _ => {}
        }
    }
    closed
}

/// Nothing is unseen by a lossless capture. Segments and time are those of the capture; of a window that stays closed the time runs on to the end.
pub fn zero_windows(case: &Case) -> Verdict {
    let Some(heard) = whole(case) else { return Ok(()) };
    if !heard.has_syn() {
        return Ok(());
    }
    for by in [Direction::Forward, Direction::Reverse] {
        let truth = closed(case, side(heard, by));
        let ours = &heard.facts.sides[by.index()];
        if ours.zero_window_unseen && case.plan.flaws.is_lossless() {
            return Err(format!("{by:?}: opened unseen by a capture that has everything"));
        }
        let (least, most) = truth.segments;
        let least = if heard.facts.invalid > 0 { 0 } else { least };
        if !(least..=most).contains(&ours.zero_windows) {
            return Err(format!("{by:?}: {} segments, true {least} to {most}", ours.zero_windows));
        }
        let open = truth.since.map_or(0, |since| (heard.flow.last - since).get());
        let (least, most) = (truth.time, truth.time + open);
        // Of a window that was opened unseen only when it was open is known.
        let known = if ours.zero_window_unseen { 0..=most } else { least..=most };
        if !known.contains(&ours.zero_window_time.get()) {
            let most = Nanos::new(most);
            return Err(format!("{by:?}: {} ns, true {least} to {most:?}", ours.zero_window_time.get()));
        }
    }
    Ok(())
}
