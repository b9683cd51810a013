//! Segments that are none of the connection, and those that only look so because the capture has a gap.

use super::*;
use crate::tcp::ConnState;

/// A whole exchange with `stray` in the middle.
fn with_stray(stray: Row<'_>) -> (Played, Followed) {
    let mut rows = HANDSHAKE.to_vec();
    rows.extend([REQUEST, (1025.0, "<A", 901, 151, 0), stray]);
    rows.extend([
        RESPONSE,
        (1030.1, ">A", 151, 1401, 0),
        (1040.0, ">PA", 151, 1401, 50),
        (1050.0, "<PA", 1401, 201, 500),
        (1050.1, ">A", 201, 1901, 0),
        (1060.0, ">FA", 201, 1901, 0),
        (1070.0, "<FA", 1901, 202, 0),
        (1070.1, ">A", 202, 1902, 0),
    ]);
    played(&rows)
}

#[test]
fn what_is_far_outside_the_windows_is_invalid_and_changes_nothing() {
    let (clean, _) = with_stray((1026.0, "<A", 901, 151, 0));
    for stray in [
        (1026.0, "<R", 901 + 500_000, 0, 0),
        (1026.0, "<RA", 901 + 2_000_000_000, 151, 0),
        (1026.0, ">R", 151 + 200_000, 0, 0),
        (1026.0, ">R", 151u32.wrapping_sub(70_000), 0, 0),
        (1026.0, "<PA", 901 + 10_000_000, 151, 700),
        (1026.0, ">PA", 151, 901 + 10_000_000, 700),
        (1026.0, ">A", 151, 901 + 1_000_000_000, 0),
        (1026.0, ">FA", 151 + 300_000, 901, 0),
        (1026.0, "<S", 77_000_000, 0, 0),
        (1026.0, "<SA", 77_000_000, 151, 0),
    ] {
        let (played, followed) = with_stray(stray);
        assert_eq!((played.facts.invalid, played.heard("invalid")), (1, 1), "{stray:?}");
        assert_eq!((followed.tcp.state(), followed.tcp.missed_bytes()), (ConnState::SF, [0; 2]), "{stray:?}");
        assert!(!followed.tcp.has_holes(), "{stray:?}");
        let mut facts = played.facts;
        facts.invalid = 0;
        assert_eq!(facts, clean.facts, "{stray:?}");
        let heard: Vec<_> = played.heard.iter().filter(|line| *line != "invalid").collect();
        assert_eq!(heard, clean.heard.iter().collect::<Vec<_>>(), "{stray:?}");
    }
}

#[test]
fn a_stray_in_the_middle_counts_while_the_connection_lives() {
    let mut rows = HANDSHAKE.to_vec();
    rows.push((1026.0, "<R", 901 + 500_000, 0, 0));
    let (_, followed) = played(&rows);
    assert_eq!((followed.course().invalid, followed.tcp.state()), (1, ConnState::S1));
}

#[test]
fn strays_bear_each_other_out_only_if_they_agree() {
    let stray = |at, seq: u32, ack: u32| (at, "<PA", 901 + seq, 151 + ack, 100);
    let mut rows = HANDSHAKE.to_vec();
    rows.extend([
        REQUEST,
        (1025.0, "<A", 901, 151, 0),
        stray(1026.0, 1_000_000, 0),
        stray(1026.5, 9_000_000, 0),
        stray(1026.6, 9_000_000, 0),
        RESPONSE,
        (1031.0, ">A", 151, 1401, 0),
    ]);
    let (played, followed) = played(&rows);
    assert_eq!(played.facts.invalid, 3, "the third is the second once more");
    assert_eq!(followed.tcp.missed_bytes(), [0; 2]);
    assert_eq!(played.facts.turns.responses, 1);
}

#[test]
fn a_jump_over_a_gap_of_the_capture_is_believed_once_it_is_borne_out() {
    const FAR: u32 = 5_000_000;
    let begun = [HANDSHAKE[0], HANDSHAKE[1], HANDSHAKE[2], REQUEST, (1025.0, "<A", 901, 151, 1000)];
    let borne_out: [&[Row<'_>]; 4] = [
        // By what its sender sends next.
        &[(2000.0, "<A", FAR, 151, 1000), (2001.0, "<A", FAR + 1000, 151, 1000), (2010.0, ">A", 151, FAR + 2000, 0)],
        // By what is acknowledged.
        &[(2000.0, "<A", FAR, 151, 1000), (2010.0, ">A", 151, FAR + 1000, 0)],
        // By data there, after an ACK.
        &[(2000.0, ">A", 151, FAR, 0), (2001.0, "<A", FAR, 151, 1000), (2010.0, ">A", 151, FAR + 1000, 0)],
        // By one ACK after another.
        &[(2000.0, ">A", 151, FAR, 0), (2001.0, ">A", 151, FAR + 1000, 0)],
    ];
    for (number, more) in borne_out.into_iter().enumerate() {
        let (played, followed) = played(&[&begun[..], more].concat());
        let missing = u64::from(FAR) - 1901 + if number == 3 { 999 } else { 0 };
        assert_eq!(followed.tcp.missed_bytes(), [0, missing], "{more:?}");
        assert_eq!(played.facts.invalid, 0, "{more:?}");
        assert_eq!(played.sent_again(), Vec::<&str>::new(), "{more:?}");
    }
    // Nothing comes behind it: it may have been, and the row says that it may lack something.
    let (played, followed) = played(&[&begun[..], &[(2000.0, "<A", FAR, 151, 1000)]].concat());
    assert_eq!((played.facts.invalid, followed.tcp.has_holes()), (1, true));
}

#[test]
fn a_syn_ack_of_no_syn_that_was_sent_changes_nothing() {
    let exchange = [HANDSHAKE[1], HANDSHAKE[2], REQUEST, RESPONSE, (1040.0, ">A", 151, 1401, 0)];
    let (clean, _) = played(&[&HANDSHAKE[..1], &exchange[..]].concat());
    for bad in [177, 50_000_000, 4_000_000_000u32] {
        let old = [(1005.0, "<SA", 77_000_000, bad, 0), (1005.1, ">R", bad, 0, 0)];
        for count in 1..=2 {
            let (played, followed) = played(&[&HANDSHAKE[..1], &old[..count], &exchange[..]].concat());
            assert_eq!((played.facts.invalid as usize, followed.tcp.state()), (count, ConnState::S1), "{bad}");
            assert_eq!((followed.tcp.missed_bytes(), followed.tcp.has_gaps()), ([0; 2], false), "{bad}");
            assert!(!followed.tcp.has_holes(), "{bad}");
            let facts = crate::tcp::Course { invalid: 0, ..played.facts };
            assert_eq!(facts, clean.facts, "{bad}");
        }
    }
    // It is not made right by being sent again.
    let again = [(1005.0, "<SA", 77_000_000, 177, 0), (2005.0, "<SA", 77_000_000, 177, 0)];
    let (played, followed) = played(&[HANDSHAKE[0], again[0], again[1]]);
    assert_eq!((played.facts.invalid, followed.tcp.state()), (2, ConnState::S0));
}

#[test]
fn of_two_syn_acks_that_one_is_true_which_the_ack_acknowledges() {
    let rest = [HANDSHAKE[2], REQUEST, RESPONSE, (1040.0, ">A", 151, 1401, 0)];
    let (true_one, other) = ((1010.0, "<SA", 900, 101, 0), (1010.01, "<SA", 77_000_000, 101, 0));
    for (order, invalid) in [([true_one, other], 1), ([other, true_one], 0)] {
        let (played, followed) = played(&[&HANDSHAKE[..1], &order[..], &rest[..]].concat());
        assert_eq!((played.facts.invalid, followed.tcp.state()), (invalid, ConnState::S1), "{order:?}");
        assert_eq!((followed.tcp.missed_bytes(), followed.tcp.has_holes()), ([0; 2], false), "{order:?}");
        assert_eq!(followed.tcp.stream_bytes(), [50, 500], "{order:?}");
        assert_eq!(played.facts.opening.outcome, Outcome::Established, "{order:?}");
        assert_eq!(played.heard("response 10 10"), 1, "{order:?}");
    }
}

#[test]
fn a_gap_of_more_than_half_of_all_numbers_is_one_and_no_repetition() {
    let begun = [HANDSHAKE[0], HANDSHAKE[1], HANDSHAKE[2], REQUEST, (1025.0, "<A", 901, 151, 1000)];
    for far in [2_500_000_000u32, 3_000_000_000, 4_200_000_000] {
        let at = 901u32.wrapping_add(far);
        let more = [
            (31_000.0, "<A", at, 151, 1000),
            (31_000.1, "<A", at.wrapping_add(1000), 151, 1000),
            (31_010.0, ">A", 151, at.wrapping_add(2000), 0),
            (31_020.0, "<A", at.wrapping_add(2000), 151, 1000),
        ];
        let (one_way, followed) = played(&[&begun[..], &more[..2]].concat());
        assert_eq!((one_way.facts.invalid, one_way.sent_again()), (0, vec![]), "{far}");
        // Its peer may not have had its last window.
        let least = u64::from(far) - 1000 - 65_535;
        assert_eq!((followed.tcp.missed_bytes(), followed.tcp.has_gaps()), ([0, least], true), "{far}");
        let (both, followed) = played(&[&begun[..], &more[..]].concat());
        assert_eq!(followed.tcp.missed_bytes(), [0, u64::from(far) - 1000], "{far}");
        assert_eq!(followed.tcp.stream_bytes(), [50, u64::from(far) + 3000], "{far}");
        assert_eq!((both.sent_again(), both.heard(&format!("missing {least}"))), (vec![], 1), "{far}");
        let mut tcp = Tcp::default();
        for row in [&begun[..], &more[..]].concat() {
            let (event, segment) = event(row, More { window: Some(65_535), ..More::default() });
            tcp.observe(&segment, event.payload_bytes, event.direction, event.time);
        }
        assert_eq!(tcp.missed_bytes(), followed.tcp.missed_bytes(), "{far}");
    }
    // What acknowledges what was never sent is of another connection.
    let old = [(31_000.0, "<A", 3_000_000_000, 9_000_000, 1000), (31_000.1, "<A", 3_000_001_000, 9_000_000, 1000)];
    assert_eq!(played(&[&begun[..], &old[..]].concat()).1.tcp.missed_bytes()[1], 0);
}

#[test]
fn the_scale_of_the_syn_says_how_far_a_window_reaches() {
    let scaled = |row: Row<'static>, scale: Option<u8>| {
        let (event, mut segment) = event(row, More { window: Some(65_535), ..More::default() });
        if let Some(scale) = scale {
            segment.options |= TcpOptions::WINDOW_SCALE;
            segment.window_scale = scale;
        }
        (event, segment)
    };
    for (scale, invalid) in [(Some(7), 0), (Some(0), 1), (None, 1)] {
        let mut followed = Followed::default();
        let mut rows: Vec<_> = HANDSHAKE[..2].iter().map(|row| scaled(*row, scale)).collect();
        rows.extend([scaled(HANDSHAKE[2], None), scaled((1026.0, "<R", 901 + 4_000_000, 0, 0), None)]);
        for (event, segment) in rows {
            followed.observe(&event, &segment, &mut crate::tcp::Nobody);
        }
        assert_eq!(followed.course().invalid, invalid, "{scale:?}");
    }
}

#[test]
fn a_capture_of_control_segments_alone_believes_where_they_stand() {
    let (played, followed) = played(&[
        HANDSHAKE[0],
        HANDSHAKE[1],
        (9000.0, ">FA", 5_000_000, 8_000_000, 0),
        (9010.0, "<FA", 8_000_000, 5_000_001, 0),
    ]);
    assert_eq!((played.facts.invalid, followed.tcp.state()), (0, ConnState::SF));
    assert_eq!(followed.tcp.ends().map(|end| end.stream_bytes()), [5_000_000 - 101, 8_000_000 - 901]);
}

#[test]
fn control_bits_of_scanners_are_invalid_and_no_syn_ack() {
    for (letters, invalid) in
        [(">F", 1), (">FP", 1), (">", 1), (">P", 1), (">SFRPA", 1), (">FA", 0), (">R", 0), (">S", 0), (">RA", 0)]
    {
        let played = play(&[(0.0, letters, 100, 0, 0)]);
        assert_eq!((played.facts.invalid, played.heard("syn_ack")), (invalid, 0), "{letters}");
    }
    let mut followed = Followed::default();
    for row in [HANDSHAKE[0], (1005.0, "<SFRPA", 900, 101, 0)] {
        let (event, segment) = event(row, More::default());
        followed.observe(&event, &segment, &mut crate::tcp::Nobody);
    }
    assert_eq!(followed.tcp.handshake_times().syn_ack, None);
}

#[test]
fn a_reset_behind_a_gap_is_doubted_until_its_sender_is_heard_of_again() {
    let rows = [HANDSHAKE[0], HANDSHAKE[1], HANDSHAKE[2], REQUEST, RESPONSE, (2000.0, "<R", 5_000_000, 0, 0)];
    let more = [(2001.0, ">PA", 151, 1401, 50), (2002.0, "<A", 1401, 201, 0)];
    for (seen, doubted) in [(0, true), (1, true), (2, false)] {
        let (played, followed) = played(&[&rows[..], &more[..seen]].concat());
        assert_eq!((played.facts.invalid, followed.tcp.state()), (1, ConnState::S1), "{seen}");
        assert_eq!(followed.tcp.has_holes(), doubted, "{seen}");
    }
}

#[test]
fn what_stands_behind_a_fin_is_invalid_unless_its_receiver_takes_it() {
    let closed = [REQUEST, RESPONSE, (1031.0, ">FA", 151, 1401, 0), (1032.0, "<A", 1401, 152, 0)];
    let begun = [&HANDSHAKE[..], &closed[..]].concat();
    let behind = |at, seq, payload| (at, ">PA", seq, 1401, payload);
    for (invalid, more) in [
        // At once, in its place, and one more FIN.
        (1, &[behind(1033.0, 152, 40)][..]),
        (1, &[behind(1033.0, 151, 40)]),
        (1, &[(1033.0, ">FA", 152, 1401, 0)]),
        (1, &[(1033.0, ">FA", 201, 1401, 0)]),
        (1, &[behind(1033.0, 152, 40), (1034.0, "<A", 1401, 152, 0)]),
        (1, &[behind(1033.0, 152, 40), (1035.0, "<FA", 1401, 152, 0), (1035.1, ">A", 152, 1402, 0)]),
        // Both have closed: its receiver acknowledges another connection's.
        (2, &[(1033.0, "<FA", 1401, 152, 0), behind(1050.0, 20_152, 40), (1051.0, "<A", 9000, 20_192, 0)]),
    ] {
        let (played, followed) = played(&[&begun[..], more].concat());
        assert_eq!((played.facts.invalid, played.heard("invalid")), (invalid, invalid as usize), "{more:?}");
        assert_eq!(followed.tcp.stream_bytes(), [50, 500], "{more:?}");
        assert_eq!((followed.tcp.missed_bytes(), followed.tcp.has_holes()), ([0; 2], false), "{more:?}");
        assert_eq!((played.facts.turns.requests, played.sent_again()), (1, vec![]), "{more:?}");
    }
    // Two do not bear each other out.
    let (twice, followed) = played(&[&begun[..], &[behind(1033.0, 152, 40), behind(1034.0, 192, 40)]].concat());
    assert_eq!((twice.facts.invalid, followed.tcp.stream_bytes()), (2, [50, 500]));
    // The receiver does: somebody else has sent the FIN, in the place of a byte.
    let taken = [behind(1033.0, 151, 40), (1034.0, "<A", 1401, 191, 0)];
    let (once, followed) = played(&[&begun[..6], &taken].concat());
    assert_eq!((once.facts.invalid, followed.tcp.stream_bytes()), (0, [90, 500]));
    assert_eq!((followed.tcp.missed_bytes(), followed.tcp.has_holes()), ([0; 2], false));
    // Two for each ACK: the first is given up, and the stream goes on all the same.
    let pairs = [
        behind(1033.0, 151, 40),
        behind(1033.1, 191, 40),
        (1034.0, "<A", 1401, 231, 0),
        behind(1035.0, 231, 40),
        behind(1035.1, 271, 40),
        (1036.0, "<A", 1401, 311, 0),
    ];
    let (twice, followed) = played(&[&begun[..6], &pairs].concat());
    assert_eq!((twice.facts.invalid, followed.tcp.stream_bytes()), (1, [210, 500]));
    assert_eq!((followed.tcp.missed_bytes(), followed.tcp.has_holes()), ([0; 2], false));
    // What was not seen before it is missing; what nobody acknowledges bears out nothing.
    let lost = [behind(1033.0, 1151, 40), (1034.0, "<A", 1401, 1191, 0)];
    let (_, followed) = played(&[&begun[..6], &lost].concat());
    assert_eq!((followed.tcp.missed_bytes(), followed.tcp.stream_bytes()), ([1000, 0], [1090, 500]));
    let stray = [behind(1033.0, 151, 40), behind(1033.1, 1 << 30, 40), (1034.0, "<A", 1401, 191, 0)];
    let (_, followed) = played(&[&begun[..6], &stray].concat());
    assert!(followed.tcp.stream_bytes()[0] <= 90, "{:?}", followed.tcp.stream_bytes());
}

#[test]
fn a_stream_that_is_there_up_to_its_fin_ends_with_it() {
    let forged = (1033.0, "<PA", 901 + 5000, 151, 50);
    let ends = [(1040.0, "<FA", 1401, 151, 0), (1040.1, ">A", 151, 1402, 0)];
    let (cut, followed) = played(&[&HANDSHAKE[..], &[REQUEST, RESPONSE, forged], &ends].concat());
    assert_eq!((cut.facts.invalid, followed.tcp.stream_bytes()), (1, [50, 500]));
    assert_eq!((followed.tcp.missed_bytes(), followed.tcp.has_holes()), ([0; 2], false));
    // Whether what stood behind was among the response.
    assert_eq!((cut.sent_again(), cut.heard("response ? ?")), (vec![], 1), "{:?}", cut.heard);
    // With its last bytes.
    let last = (1040.0, "<FPA", 1401, 151, 100);
    let (cut, followed) = played(&[&HANDSHAKE[..], &[REQUEST, RESPONSE, forged, last]].concat());
    assert_eq!((cut.facts.invalid, followed.tcp.stream_bytes()), (1, [50, 600]));
    // What was missed ahead of it stays so.
    let missed = [(1033.5, ">A", 151, 1451, 0), (1034.0, "<PA", 1451, 151, 50), (1035.0, "<A", 1601, 151, 0)];
    let fin = [(1040.0, "<FA", 1501, 151, 0)];
    let (cut, followed) = played(&[&HANDSHAKE[..], &[REQUEST, RESPONSE], &missed, &fin].concat());
    assert_eq!((cut.facts.invalid, followed.tcp.missed_bytes()), (1, [0, 50]));
    assert_eq!((cut.facts.sides[1].missing_bytes, followed.tcp.stream_bytes()), (50, [50, 600]));
    // Some before the FIN are still to come: then it is not known which of them is right.
    let early = (1040.0, "<FA", 1501, 151, 0);
    let (kept, followed) = played(&[&HANDSHAKE[..], &[REQUEST, RESPONSE, forged, early]].concat());
    assert_eq!((kept.facts.invalid, followed.tcp.has_holes()), (0, true));
    // What was acknowledged was there.
    let heard = (1034.0, ">A", 151, 901 + 5050, 0);
    let (kept, followed) = played(&[&HANDSHAKE[..], &[REQUEST, RESPONSE, forged, heard], &ends[..1]].concat());
    assert_eq!((kept.facts.invalid, followed.tcp.missed_bytes()), (0, [0, 4500 - 1]), "the FIN is none of them");
}

#[test]
fn who_answers_with_a_syn_ack_has_not_refused() {
    let exchange = [HANDSHAKE[1], HANDSHAKE[2], REQUEST, RESPONSE];
    let (clean, _) = played(&[&HANDSHAKE[..1], &exchange].concat());
    for (refusal, again) in [((1002.0, "<R", 0, 0, 0), 0), ((1002.0, "<RA", 0, 101, 0), 1)] {
        let asked_again = [(1005.0, ">S", 100, 0, 0)];
        let rows = [&HANDSHAKE[..1], &[refusal], &asked_again[..again], &exchange].concat();
        let (played, followed) = played(&rows);
        let opening = played.facts.opening;
        assert_eq!((followed.tcp.state(), opening.outcome), (ConnState::S1, Outcome::Established), "{refusal:?}");
        assert_eq!((played.facts.reset_by, opening.repeated_syns), (None, again as u32), "{refusal:?}");
        assert_eq!(played.heard("reset Reverse"), 1, "{refusal:?}");
        assert_eq!(played.facts.turns, clean.facts.turns, "{refusal:?}");
        assert_eq!(followed.tcp.stream_bytes(), [50, 500], "{refusal:?}");
        assert_eq!((followed.tcp.missed_bytes(), followed.tcp.has_holes()), ([0; 2], false), "{refusal:?}");
        assert!(followed.tcp.may_go_on(), "{refusal:?}");
    }
    // Nothing else comes: it has.
    let (alone, followed) = played(&[HANDSHAKE[0], (1002.0, "<R", 0, 0, 0)]);
    assert_eq!((followed.tcp.state(), alone.facts.opening.outcome), (ConnState::REJ, Outcome::Refused));
}

#[test]
fn a_reset_that_acknowledges_what_was_not_seen_tells_of_it() {
    let begun = [&HANDSHAKE[..], &[REQUEST, RESPONSE]].concat();
    let reset = |ack| (1050.0, ">RA", 151, ack, 0);
    for (ack, told) in [(1401, false), (1001, false), (1402, true), (5001, true), (901 + 50_000_000, false)] {
        let (_, followed) = played(&[&begun[..], &[reset(ack)]].concat());
        assert_eq!((followed.tcp.has_holes(), followed.tcp.missed_bytes()), (told, [0; 2]), "{ack}");
    }
    // It was captured behind the RST.
    let (_, followed) = played(&[&begun[..], &[reset(5001), (1050.1, "<PA", 1401, 151, 3600)]].concat());
    assert!(!followed.tcp.has_holes());
}

#[test]
fn behind_a_reset_another_connection_of_the_same_ports_is_invalid() {
    let begun = [&HANDSHAKE[..], &[REQUEST, RESPONSE]].concat();
    let (c, s) = (1_500_000_000, 800_000_000);
    let other = [
        (2000.0, ">PA", c, s, 10),
        (2010.0, "<PA", s, c + 10, 300),
        (2020.0, ">PA", c + 10, s + 300, 10),
        (2030.0, "<PA", s + 300, c + 20, 300),
        (2040.0, ">FA", c + 20, s + 600, 0),
        (2040.1, "<FA", s + 600, c + 21, 0),
        (2040.2, ">A", c + 21, s + 601, 0),
    ];
    for reset in [(1040.0, ">RA", 151, 1401, 0), (1040.0, "<RA", 1401, 151, 0), (1040.0, "<R", 1401, 0, 0)] {
        let (played, followed) = played(&[&begun[..], &[reset], &other].concat());
        assert_eq!((played.facts.invalid, followed.tcp.missed_bytes()), (7, [0; 2]), "{reset:?}");
        assert_eq!((followed.tcp.stream_bytes(), played.facts.turns.requests), ([50, 500], 1), "{reset:?}");
        assert_eq!(played.sent_again(), Vec::<&str>::new(), "{reset:?}");
    }
    // Its sender was only lent his name: he acknowledges what comes, and what comes behind a gap is of the same connection.
    let forged = [(1040.0, ">R", 151, 0, 0), (1050.0, "<A", 1401, 151, 1000), (1050.1, ">A", 151, 2401, 0)];
    let gap = [(2000.0, "<A", 5_000_000, 151, 1000), (2001.0, "<A", 5_001_000, 151, 1000)];
    let (played, followed) = played(&[&begun[..], &forged, &gap, &[(2010.0, ">A", 151, 5_002_000, 0)]].concat());
    assert_eq!((played.facts.invalid, followed.tcp.missed_bytes()), (0, [0, 5_000_000 - 2401]));
}

#[test]
fn who_goes_on_behind_a_reset_has_a_stream_as_before() {
    let begun = [&HANDSHAKE[..], &[REQUEST, RESPONSE]].concat();
    let unheeded = [(1040.0, "<R", 1401, 0, 0), (1050.0, "<PA", 1401, 151, 100), (1050.1, ">A", 151, 1501, 0)];
    for far in [10_000, 5_000_000] {
        let gap = [
            (2000.0, "<A", 1501 + far, 151, 1000),
            (2001.0, "<A", 2501 + far, 151, 1000),
            (2010.0, ">A", 151, 3501 + far, 0),
        ];
        let (played, followed) = played(&[&begun[..], &unheeded, &gap].concat());
        assert_eq!((played.facts.invalid, followed.tcp.missed_bytes()), (0, [0, u64::from(far)]));
        assert_eq!((followed.tcp.stream_bytes()[1], followed.tcp.state()), (2600 + u64::from(far), ConnState::RSTR));
        assert!(followed.tcp.may_go_on() && !followed.tcp.has_holes());
    }
}

#[test]
fn a_syn_ack_that_answers_another_syn_begins_anew() {
    // A port used again: the SYN of the second attempt was not captured.
    let far = 900_000_000;
    let next = [
        (2010.0, "<SA", far + 800, far + 1, 0),
        (2010.1, ">A", far + 1, far + 801, 0),
        (2020.0, ">PA", far + 1, far + 801, 50),
        (2030.0, "<PA", far + 801, far + 51, 500),
        (2030.1, ">A", far + 51, far + 1301, 0),
    ];
    let (alone, seen) = played(&next);
    for before in [(1000.0, ">S", 100, 0, 0), (1000.0, ">A", 100, 7000, 0)] {
        let (played, followed) = played(&[&[before][..], &next].concat());
        let opening = played.facts.opening;
        assert_eq!((opening.first_syn, opening.last_syn, opening.connect()), (None, None, None), "{before:?}");
        assert_eq!((opening.outcome, followed.tcp.state()), (Outcome::Established, seen.tcp.state()), "{before:?}");
        assert_eq!(played.rtts(), alone.rtts(), "{before:?}");
        assert_eq!(played.facts.turns, alone.facts.turns, "{before:?}");
        assert_eq!(played.facts.sides.map(|side| side.missing_bytes), [0; 2], "{before:?}");
        assert!(followed.tcp.has_gaps() && !followed.tcp.has_syn(), "{before:?}");
    }
}

#[test]
fn an_ack_that_answers_a_syn_with_other_numbers_and_the_rst_behind_it_change_nothing() {
    // RFC 9293 section 3.5.1, figure 9: the server still knows the ports from before.
    let answered = [HANDSHAKE[0], (1001.0, "<A", 777_777, 1_000_000_100, 0), (1001.1, ">R", 1_000_000_100, 0, 0)];
    let (alone, followed) = played(&answered);
    assert_eq!((followed.tcp.missed_bytes(), followed.tcp.stream_bytes()), ([0; 2], [0; 2]));
    assert_eq!((alone.facts.invalid, alone.facts.opening.outcome), (2, Outcome::Unanswered));
    assert_eq!((alone.facts.turns.requests, alone.heard("established")), (0, 0));
    let again = [
        (2000.0, ">S", 100, 0, 0),
        (2010.0, "<SA", 900, 101, 0),
        (2010.1, ">A", 101, 901, 0),
        (2020.0, ">PA", 101, 901, 50),
        (2030.0, "<PA", 901, 151, 500),
    ];
    let (then, followed) = played(&[&answered[..], &again].concat());
    assert_eq!((followed.tcp.missed_bytes(), followed.tcp.stream_bytes()), ([0; 2], [50, 500]));
    assert_eq!((then.facts.turns.requests, then.facts.turns.responses), (1, 1));
}

#[test]
fn both_streams_may_go_on_by_more_than_half_of_all_numbers() {
    let (sent, heard) = (2_200_000_151, 2_500_001_401);
    let goes_on = [
        (30_000.0, ">PA", sent, heard, 100),
        (30_010.0, "<PA", heard, sent + 100, 1000),
        (30_020.0, ">A", sent + 100, heard + 1000, 0),
    ];
    let (played, followed) = played(&[&HANDSHAKE[..], &[REQUEST, RESPONSE], &goes_on].concat());
    assert_eq!(followed.tcp.missed_bytes(), [2_200_000_000, 2_500_000_000]);
    assert_eq!(followed.tcp.stream_bytes(), [2_200_000_150, 2_500_001_500]);
    assert_eq!((played.facts.turns.requests, played.facts.turns.responses), (2, 2), "the first response may go on");
    assert!(played.sent_again().is_empty(), "{:?}", played.sent_again());
    // An old connection's FIN, sent again and again, is none of it, whatever its numbers are.
    let old = |time| (time, "<FA", 3_500_000_000, 3_400_000_000, 0);
    let rows = [&HANDSHAKE[..], &[REQUEST, old(1100.0), old(1300.0), old(1700.0)]].concat();
    let (_, followed) = super::played(&rows);
    assert_eq!(followed.tcp.missed_bytes(), [0; 2]);
}

#[test]
fn a_stream_that_is_acknowledged_beyond_half_of_all_numbers_has_gone_on_so_far() {
    let heard = 3_000_001_401;
    let goes_on = [
        (30_000.0, ">PA", 151, heard, 100),
        (30_010.0, "<PA", heard, 251, 1000),
        (30_020.0, ">A", 251, heard + 1000, 0),
    ];
    let (played, followed) = played(&[&HANDSHAKE[..], &[REQUEST, RESPONSE], &goes_on].concat());
    assert_eq!(followed.tcp.missed_bytes(), [0, 3_000_000_000]);
    // The last of them may have been a FIN.
    let ends = [(30_000.0, ">A", 151, heard, 0), (30_000.1, ">FA", 151, heard, 0)];
    let (_, followed) = super::played(&[&HANDSHAKE[..], &[REQUEST, RESPONSE], &ends].concat());
    assert_eq!(followed.tcp.missed_bytes(), [0, 3_000_000_000 - 1]);
    assert!(played.sent_again().is_empty(), "{:?}", played.sent_again());
    assert_eq!((played.facts.turns.requests, played.facts.turns.responses), (2, 2));
}

#[test]
fn what_stands_behind_a_forged_fin_is_there_once_it_is_acknowledged() {
    let text = |begin| (1030.0, "<A", begin, 151, 1000);
    let before = [&HANDSHAKE[..], &[REQUEST]].concat();
    // In the place of the FIN, in two pieces; each is acknowledged.
    let forged = [(1020.0, "<FA", 901, 151, 0), text(901), text(1901)];
    let acks = [(1040.0, ">A", 151, 1901, 0), (1040.1, ">A", 151, 2901, 0)];
    let (_, followed) = played(&[&before[..], &forged, &acks].concat());
    assert_eq!((followed.tcp.missed_bytes(), followed.tcp.stream_bytes()), ([0; 2], [50, 2000]));
    // It stands among what was acknowledged.
    let among = [(1020.0, "<A", 901, 151, 1000), (1020.1, ">A", 151, 1901, 0), (1020.2, "<FA", 1400, 151, 0)];
    let (_, followed) = played(&[&before[..], &among, &[text(1901), acks[1]]].concat());
    assert_eq!((followed.tcp.missed_bytes(), followed.tcp.stream_bytes()), ([0; 2], [50, 2000]));
    // Behind it: the byte in its place was not captured.
    let behind = [(1020.0, "<FA", 901, 151, 0), text(902), (1040.0, ">A", 151, 1902, 0)];
    let (_, followed) = played(&[&before[..], &behind].concat());
    assert_eq!((followed.tcp.missed_bytes(), followed.tcp.stream_bytes()), ([0, 1], [50, 1001]));
}

#[test]
fn a_gap_of_a_half_closed_connection_is_told_whoever_tells_of_it() {
    // The client has sent its FIN; of what the server sends 200,000 bytes were not captured.
    let closed =
        [&HANDSHAKE[..], &[REQUEST, RESPONSE, (1035.0, ">FA", 151, 1401, 0), (1035.1, "<A", 1401, 152, 0)]].concat();
    let data = |time, more: u32| (time, "<A", 201_401 + more, 152, 1000);
    let ack = |time, more: u32| (time, ">A", 152, 201_401 + more, 0);
    let orders = [
        vec![data(1040.0, 0), data(1040.1, 1000), ack(1040.2, 2000)],
        vec![data(1040.0, 0), ack(1040.1, 1000), data(1040.2, 1000)],
        vec![ack(1040.0, 0), ack(1040.1, 1000), ack(1040.2, 2000)],
    ];
    for rows in orders {
        let (told, followed) = played(&[&closed[..], &rows].concat());
        let missed = followed.tcp.missed_bytes()[1];
        assert!((200_000..=201_999).contains(&missed), "{missed} {rows:?}");
        assert_eq!(told.facts.invalid, 0, "{rows:?}");
    }
}

#[test]
fn segments_of_an_earlier_connection_on_the_same_ports_do_not_make_numbers_go_round() {
    let before = |number: u32| number.wrapping_sub(460_000);
    let rest = [REQUEST, RESPONSE, (1030.1, ">FA", 151, 1401, 0), (1040.0, "<FA", 1401, 152, 0)];
    let [syn, syn_ack, ack] = HANDSHAKE;
    let mixed = |early: &[Row<'static>], late: &[Row<'static>]| {
        let rows = [&[syn, syn_ack], early, &[ack], late, &rest].concat();
        let (played, followed) = played(&rows);
        (played.facts.invalid, followed.tcp.state(), followed.tcp.missed_bytes(), played.facts.turns.requests)
    };
    let old_ack = (1010.05, ">A", before(101), before(901), 0);
    // The responder, which has not heard of the handshake's end, refuses it.
    let refused = (1012.0, "<R", before(901), 0, 0);
    assert_eq!(mixed(&[old_ack], &[refused]), (2, ConnState::SF, [0; 2], 1));
    // Late, so that there was time for 4 GiB.
    let late = [(1410.0, ">A", before(101), before(901), 0), (1411.0, "<R", before(901), 0, 0)];
    let ack_late = [(1412.0, ack.1, ack.2, ack.3, ack.4)];
    let rest_late = rest.map(|(at, what, seq, ack, payload)| (at + 400.0, what, seq, ack, payload));
    let rows = [&[syn, syn_ack], &late[..], &ack_late, &rest_late].concat();
    let (late, state) = played(&rows);
    assert_eq!((late.facts.invalid, state.tcp.state(), state.tcp.missed_bytes()), (2, ConnState::SF, [0; 2]));
    // Data and an ACK of it.
    let old_data = (1011.0, "<PA", before(901), before(101), 100);
    let old_answer = (1012.0, ">A", before(101), before(1001), 0);
    assert_eq!(mixed(&[], &[old_data, old_answer]), (2, ConnState::SF, [0; 2], 1));
    // A FIN before anything that goes on.
    assert_eq!(mixed(&[(1010.05, "<FA", before(901), before(101), 0)], &[]), (1, ConnState::SF, [0; 2], 1));
    let rows = [&[syn, (1005.0, "<FA", before(901), before(101), 0), syn_ack, ack], &rest[..]].concat();
    let (played, followed) = played(&rows);
    assert_eq!((played.facts.invalid, followed.tcp.state()), (1, ConnState::SF));
    assert_eq!((followed.tcp.missed_bytes(), played.facts.closed_by), ([0; 2], Some(Direction::Forward)));
}

#[test]
fn ends_alone_tell_how_long_streams_were_if_there_was_time_for_it() {
    let [syn, syn_ack, _] = HANDSHAKE;
    let end = 901 + 2_000_000_000;
    let lone = |at| {
        let (played, followed) = played(&[syn, syn_ack, (at, "<FA", end, 2001, 0)]);
        (played.facts.invalid, followed.tcp.state())
    };
    assert_eq!(lone(11_000.0), (0, ConnState::S3));
    // 180 Gbit/s.
    assert_eq!(lone(1100.0), (1, ConnState::S1));
    // Who acknowledges it bears it out.
    let (played, followed) = played(&[syn, syn_ack, (1100.0, "<FA", end, 2001, 0), (1101.0, ">FA", 2001, end + 1, 0)]);
    assert_eq!((played.facts.invalid, followed.tcp.state()), (0, ConnState::SF));
}

#[test]
fn what_comes_between_says_nothing_of_the_time_that_a_gap_had() {
    let far = 901 + 3_000_000_000u32;
    let rows = [
        HANDSHAKE[0],
        HANDSHAKE[1],
        HANDSHAKE[2],
        REQUEST,
        RESPONSE,
        (1030.1, ">A", 151, 1401, 0),
        // 5 s and 3 GB later; an old ACK was late.
        (6000.0, "<A", far, 151, 500),
        (6000.1, ">A", 151, 901, 0),
        (6000.2, ">A", 151, far + 500, 0),
        (6001.0, ">FA", 151, far + 500, 0),
        (6002.0, "<FA", far + 500, 152, 0),
    ];
    let (played, followed) = played(&rows);
    assert_eq!((played.facts.invalid, followed.tcp.state()), (0, ConnState::SF));
    assert_eq!(followed.tcp.missed_bytes(), [0, 3_000_000_000 - 500]);
}

#[test]
fn a_reset_behind_the_handshake_alone_is_believed_where_a_window_or_no_clock_speaks_for_it() {
    let [syn, syn_ack, _] = HANDSHAKE;
    for reset in [
        (1010.0, "<RA", 901 + 5000, 101, 0),
        (1010.0 + 1e-6, ">RA", 101 + 3000, 901, 0),
        (1009.9, "<RA", 901 + 5000, 101, 0),
    ] {
        let (played, followed) = played(&[syn, syn_ack, reset]);
        assert_eq!((played.facts.invalid, followed.tcp.state().is_closed()), (0, true), "{reset:?}");
    }
}

#[test]
fn what_waits_may_become_the_next_and_is_borne_out_by_what_acknowledges_it() {
    // The originator has room for two segments; the responder's second and third were not captured.
    let rows = [
        HANDSHAKE[0],
        HANDSHAKE[1],
        HANDSHAKE[2],
        REQUEST,
        (1030.0, "<A", 901, 151, 1448),
        (1030.1, ">A", 151, 901 + 1448, 0),
        (1060.0, "<A", 901 + 4 * 1448, 151, 1448),
        (1060.1, ">A", 151, 901 + 3 * 1448, 0),
        (1061.0, "<A", 901 + 3 * 1448, 151, 1448),
        (1061.1, ">A", 151, 901 + 5 * 1448, 0),
        (1080.0, "<PA", 901 + 5 * 1448, 151, 880),
    ];
    let narrow = rows.map(|row| (row, More { window: Some(2896), ..More::default() }));
    let facts = play_with(&narrow, EndReason::Forced).facts;
    assert_eq!((facts.invalid, facts.sides[1].missing_bytes), (0, 2 * 1448));
    // Were it another's, nobody would acknowledge it.
    let facts = play_with(&narrow[..9], EndReason::Forced).facts;
    assert_eq!((facts.invalid, facts.sides[1].missing_bytes), (1, 2 * 1448));
}
