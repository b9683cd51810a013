//! What holds of any segments.

use super::*;
use proptest::prelude::*;

/// Segments mostly in order, with jumps back and forth, repetitions, zero windows, from a number that soon wraps.
fn segments() -> impl Strategy<Value = Vec<(FlowEvent, TcpSegment)>> {
    let step =
        ((any::<bool>(), 0usize..10, 0u32..8, 0u32..8, 0u32..3), (0i64..300, 0u32..6, 0u32..8, 0u16..2, any::<bool>()));
    proptest::collection::vec(step, 0..80).prop_map(|steps| {
        let flags = ["A", "A", "PA", "A", "FA", "S", "SA", "R", "AE", "AW"];
        let opened =
            [(true, 5), (false, 6), (true, 0)].map(|(forward, what)| ((forward, what, 1, 1, 0), (10, 1, 1, 0, false)));
        let (mut next, mut now, mut id) = ([u32::MAX - 400, 77], 0, 1);
        let mut out = Vec::new();
        for ((forward, what, seq, ack, data), (wait, ahead, old, interface, stamped)) in opened.into_iter().chain(steps)
        {
            let (me, other) = (usize::from(!forward), usize::from(forward));
            let payload = [0, 100, 1][data as usize];
            // One in four comes from elsewhere.
            let from = |next: u32, choice: u32| match choice {
                0 => next.wrapping_sub(100),
                7 => next.wrapping_add(100),
                6 => next.wrapping_sub(1),
                _ => next,
            };
            now += wait * 1_000_000;
            id += u32::from(ahead > 0);
            let letters = format!("{}{}", if forward { '>' } else { '<' }, flags[what]);
            let more = More {
                stamps: stamped.then_some((now as u32 / 1_000_000, (now as u32 / 1_000_000).wrapping_sub(old * 40))),
                id: if ahead == 5 { 0 } else { id },
                window: (what == 3 && data == 0).then_some(0),
                duplicate: (old == 7).then(|| next[other].wrapping_sub(200)),
                interface,
                congested: old == 6,
                fast_open: false,
            };
            let row = (now as f64 / 1e6, &*letters, from(next[me], seq), from(next[other], ack), payload);
            out.push(event(row, more));
            if (1..6).contains(&seq) {
                next[me] = next[me].wrapping_add(payload);
            }
            if flags[what].contains(['S', 'F']) {
                next[me] = next[me].wrapping_add(1);
            }
        }
        out
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn the_short_way_finds_out_what_the_general_way_does(segments in segments()) {
        let (mut short, mut general) = (Followed::default(), Followed::default());
        let (mut heard, mut expected) = (Heard::default(), Heard::default());
        for (event, segment) in &segments {
            short.observe(event, segment, &mut heard);
            general.dynamics.general(&mut general.tcp, event, segment, &mut expected);
            prop_assert_eq!(&heard.0, &expected.0);
            prop_assert_eq!(short.course(), general.course());
        }
    }

    #[test]
    fn state_stays_bounded(segments in segments()) {
        let mut followed = Followed::default();
        for (event, segment) in segments.iter().cycle().take(1000) {
            followed.observe(event, segment, &mut crate::tcp::Nobody);
            prop_assert!(followed.bytes() <= Followed::MOST_BYTES, "{} bytes", followed.bytes());
        }
    }

    #[test]
    fn what_is_told_adds_up(segments in segments()) {
        let mut followed = Followed::default();
        let mut heard = Heard::default();
        for (event, segment) in &segments {
            followed.observe(event, segment, &mut heard);
        }
        followed.finish(EndReason::Forced, &mut heard);
        let course = followed.course();
        let told = |what: &str| heard.0.iter().filter(|line| line.starts_with(what)).count() as u64;
        let all = |of: fn(&SideFacts) -> u64| course.sides.iter().map(of).sum::<u64>();
        let figures = heard.1.take(&mut heard.2);
        let rtts: u64 = [Direction::Forward, Direction::Reverse].map(|of| figures.rtt(of).count()).iter().sum();
        prop_assert_eq!(rtts, told("rtt"));
        prop_assert_eq!(told("ambiguous"), all(|side| side.ambiguous_rtts));
        prop_assert_eq!(told("reordering"), all(|side| side.reordered));
        prop_assert_eq!(told("duplicate"), all(|side| side.duplicates));
        prop_assert_eq!(told("Timeout") + told("Fast") + told("Spurious"), all(|side| {
            [Retransmission::Timeout, Retransmission::Fast, Retransmission::Spurious].map(|kind| side.sent_again(kind)).iter().sum()
        }));
        prop_assert_eq!(told("request"), u64::from(course.turns.requests));
        prop_assert_eq!(told("response"), u64::from(course.turns.responses));
        prop_assert!(course.turns.requests >= course.turns.responses);
    }
}

#[test]
fn the_bound_of_state_is_one_that_trouble_comes_near() {
    let mut followed = Followed::default();
    let mut most = 0;
    // Every second segment is missing, both ways, and each third one comes again.
    for at in 0..400u32 {
        for (letter, other) in [('>', 'A'), ('<', 'A')] {
            let what = format!("{letter}{other}");
            for seq in [at * 200, at.saturating_sub(at % 3) * 200] {
                let (event, segment) = event((f64::from(at) * 400.0, &*what, seq, 0, 100), More::default());
                followed.observe(&event, &segment, &mut crate::tcp::Nobody);
            }
        }
        most = most.max(followed.bytes());
    }
    assert!((Followed::MOST_BYTES / 2..=Followed::MOST_BYTES).contains(&most), "{most} of {}", Followed::MOST_BYTES);
}
