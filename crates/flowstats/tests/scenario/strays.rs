//! Segments that somebody else puts between those of a connection: far outside its windows.

use crate::courses::whole;
use crate::frames::Captured;
use crate::laws::{Case, Verdict};
use crate::plan::Plan;
use crate::random::Random;
use crate::segment::{CLIENT, SERVER, Segment};
use crate::world::History;

/// Farther than any window reaches, and still unmistakably ahead or behind.
const FAR: (u64, u64) = (20 << 20, 1 << 30);

/// One of them, and behind which packet of the capture it stands.
#[derive(Clone, Debug)]
pub struct Stray {
    pub behind: usize,
    pub segment: Segment,
}

/// What is put between the packets of a capture: into one of six that show a whole handshake.
pub fn of(plan: &Plan, history: &History, captured: &[Captured], seed: u64) -> Vec<Stray> {
    let mut random = Random::new(seed ^ 0x57a7);
    let r = &mut random;
    let segment = |place: usize| &history.sightings[captured[place].sighting].segment;
    let first = |from: usize, test: fn(&Segment) -> bool| (from..captured.len()).find(|place| test(segment(*place)));
    let opened = first(0, |one| one.side == CLIENT && one.syn)
        .and_then(|syn| first(syn, |one| one.side == SERVER && one.syn && one.ack.is_some()))
        .and_then(|syn_ack| {
            first(syn_ack, |one| one.side == CLIENT && !one.syn && !one.fin && !one.rst && one.ack.is_some())
        });
    let Some(opened) = opened.filter(|_| !plan.simultaneous && r.permille(170)) else { return Vec::new() };
    let closed = first(opened, |one| one.rst || one.fin).unwrap_or(captured.len());
    let mut strays = Vec::new();
    for _ in 0..r.within(1, 3) {
        let behind = opened + r.below((closed - opened) as u64) as usize;
        let side = r.pick(&[CLIENT, SERVER]);
        let end =
            |of: usize| (0..=behind).map(segment).filter(|one| one.side == of).map(Segment::end).max().unwrap_or(1);
        let (mut seq, mut ack) = (end(side), end(1 - side));
        let far = r.within(FAR.0, FAR.1);
        let kind = r.below(5);
        if kind == 4 {
            ack += far;
        } else {
            // Behind the SYN positions are negative: numbers of another connection.
            seq = if r.permille(500) { seq + far } else { seq.wrapping_sub(far) };
        }
        let segment = Segment {
            side,
            seq,
            len: if kind == 2 { r.within(1, 1400) } else { 0 },
            syn: false,
            fin: kind == 1,
            rst: kind == 0,
            push: kind == 2,
            ece: false,
            cwr: false,
            ack: (kind > 0 || r.permille(500)).then_some(ack),
            window: 1000,
            sacks: Vec::new(),
            stamp: None,
            parts: Vec::new(),
            emission: 0,
            ident: r.next() as u16,
            answers: Vec::new(),
            sighting: None,
        };
        strays.push(Stray { behind, segment });
    }
    strays.sort_by_key(|stray| stray.behind);
    strays
}

/// Each is invalid, and nothing else is; that nothing else of the connection depends on them, all other laws say.
pub fn invalid(case: &Case) -> Verdict {
    let Some(heard) = whole(case) else { return Ok(()) };
    // After a loss what stands alone may be either.
    if !case.plan.flaws.is_lossless() {
        return Ok(());
    }
    let (ours, truth) = (heard.facts.invalid as usize, case.strays.len());
    if ours != truth {
        return Err(format!("{ours} invalid, true {truth}: {:?}", case.strays));
    }
    Ok(())
}
