//! A scenario's capture as lines that a person can read.

use std::fmt::Write;

use crate::laws::Case;
use crate::segment::CLIENT;

pub fn print(case: &Case) -> String {
    let mut text = format!("{:#?}\n", case.plan);
    for (sighting, one) in case.history.sightings.iter().enumerate() {
        let shown = case.captured.iter().filter(|packet| packet.sighting == sighting).count();
        let segment = &one.segment;
        let flags = [(segment.syn, 'S'), (segment.fin, 'F'), (segment.rst, 'R'), (segment.push, 'P')];
        let flags: String = flags.iter().filter(|(set, _)| *set).map(|(_, letter)| letter).collect();
        let kinds: Vec<_> = segment.parts.iter().map(|(_, emission)| case.history.emissions[*emission].kind).collect();
        let _ = writeln!(
            text,
            "{:14.9} {} {:3} {} {:6}..{:<6} ack {:<6} win {:<6} id {:<5} {:?} {:?} {:?}",
            one.time as f64 / 1e9,
            if segment.side == CLIENT { "->" } else { "<-" },
            flags,
            ["lost", "    ", "two "].get(shown).unwrap_or(&"many"),
            segment.seq,
            segment.end(),
            segment.ack.map_or(-1, |ack| ack as i64),
            segment.window,
            segment.ident,
            kinds,
            segment.sacks,
            segment.stamp,
        );
    }
    for stray in &case.strays {
        let _ = writeln!(text, "{stray:?}");
    }
    text
}
