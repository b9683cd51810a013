//! What the scenarios are like as a whole: laws that hold where nothing happens prove nothing.

use std::collections::BTreeMap;

use crate::laws::Case;
use crate::manner::Listening;
use crate::segment::{CLIENT, Kind, SERVER, Stretches};

/// How many of `cases` show each thing.
pub fn take(cases: impl Iterator<Item = Case>) -> BTreeMap<&'static str, u64> {
    let mut census = BTreeMap::new();
    for case in cases {
        for (name, seen) in features(&case) {
            *census.entry(name).or_default() += u64::from(seen);
        }
    }
    census
}

fn features(case: &Case) -> Vec<(&'static str, bool)> {
    let Case { plan, history, captured, truth, .. } = case;
    let sent = |kind: Kind| history.emissions.iter().any(|emission| emission.kind == kind);
    let seen = |test: fn(&crate::segment::Segment) -> bool| history.sightings.iter().any(|one| test(&one.segment));
    let overtaken = [CLIENT, SERVER].into_iter().any(|side| {
        let mut stretches = Stretches::default();
        let of_side = history.sightings.iter().filter(|one| one.segment.side == side && one.segment.len > 0);
        of_side
            .fold((0, false), |(end, found), one| {
                let payload = one.segment.payload();
                let new = !stretches.add(payload.clone()).is_empty();
                (payload.end.max(end), found || (new && payload.start < end))
            })
            .1
    });
    let wrapped = [CLIENT, SERVER].into_iter().any(|side| {
        let isn = u64::from(plan.hosts[side].isn);
        history.sightings.iter().any(|one| one.segment.side == side && isn + one.segment.end() > u64::from(u32::MAX))
    });
    let heard = |side: usize| {
        let bytes =
            plan.messages.iter().filter(|message| message.side == side).map(|message| message.from + message.bytes);
        let got = history.advances[1 - side].last().map_or(1, |advance| advance.range.end);
        bytes.max().unwrap_or(1) <= got
    };
    vec![
        ("established", history.established == [true; 2]),
        ("everything said was heard", heard(CLIENT) && heard(SERVER)),
        ("refused", plan.hosts[SERVER].listening == Listening::Refuses),
        ("not answered", plan.hosts[SERVER].listening == Listening::Silent),
        ("split handshake", plan.hosts[SERVER].listening == Listening::Splits),
        ("simultaneous open", plan.simultaneous),
        ("data on the SYN", seen(|one| one.syn && one.len > 0)),
        ("SYN sent again", history.emissions.iter().any(|one| one.kind == Kind::Timeout && one.payload.end <= 1)),
        ("retransmitted by timeout", sent(Kind::Timeout)),
        ("retransmitted fast", sent(Kind::Fast)),
        ("retransmitted needlessly", history.emissions.iter().any(|one| one.needless && one.kind != Kind::KeepAlive)),
        ("keep-alive", sent(Kind::KeepAlive)),
        ("zero window", seen(|one| one.window == 0 && !one.rst)),
        ("zero-window probe", sent(Kind::ZeroWindowProbe)),
        ("selective acknowledgment", seen(|one| !one.sacks.is_empty())),
        ("duplicate reported", seen(|one| one.sacks.first().is_some_and(|block| Some(block.start) < one.ack))),
        ("timestamps", seen(|one| one.stamp.is_some() && !one.syn)),
        ("out of order", overtaken),
        ("sequence numbers wrap", wrapped),
        ("merged by offload", seen(|one| one.parts.len() > 1) || plan.sends_merged != [false; 2]),
        ("half closed", plan.scripts[CLIENT].last().is_some_and(|step| step.after_got == 0)),
        ("reset", seen(|one| one.rst)),
        ("pipelined", !plan.alternating),
        ("capture lossless", plan.flaws.is_lossless()),
        ("capture begins midway", plan.flaws.skips > 0),
        ("capture repeats packets", captured.iter().any(|packet| packet.repeated)),
        ("capture misses bytes", truth.missing != [0; 2]),
        ("strays", !case.strays.is_empty()),
        ("microseconds only", plan.coarse),
    ]
}
