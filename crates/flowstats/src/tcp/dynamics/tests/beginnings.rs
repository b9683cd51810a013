//! Connections met midway, of one direction only, or with ACKs that were captured before what they acknowledge.

use super::*;

fn at(time: f64, row: Row<'static>) -> Row<'static> {
    (time, row.1, row.2, row.3, row.4)
}

#[test]
fn a_probe_that_a_connection_met_midway_begins_with_is_one_and_no_byte() {
    let alive = (1000.0, ">A", 500, 9000, 0);
    let answer = (1000.1, "<A", 9000, 501, 0);
    let played = play(&[alive, answer, at(61_000.0, alive), at(61_000.1, answer), (62_000.0, ">PA", 501, 9000, 10)]);
    assert_eq!(played.sent_again(), ["KeepAlive 0", "KeepAlive 0"]);
    assert_eq!((played.facts.sides[0].missing_bytes, played.facts.sides[0].guessed), (0, 1));
    assert_eq!(played.heard("missing"), 0);
    // Nobody answers before it goes on.
    let played = play(&[alive, (1001.0, ">PA", 501, 9000, 10), (1001.1, "<A", 9000, 511, 0)]);
    assert_eq!((played.sent_again(), played.facts.sides[0].missing_bytes), (vec!["KeepAlive 0"], 0));
    // A window is closed.
    let shut = More { window: Some(0), ..More::default() };
    let rows = [(alive, More::default()), (answer, shut), (at(1400.0, alive), More::default())];
    assert_eq!(play_with(&rows, EndReason::Forced).sent_again(), ["WindowProbe 0", "WindowProbe 0"]);
    // An ACK, and then two bytes that the capture has not.
    let played = play(&[alive, (1000.1, "<A", 9000, 502, 0), (1000.2, "<A", 9000, 503, 0)]);
    assert_eq!((played.sent_again().len(), played.facts.sides[0].missing_bytes), (0, 2));
}

#[test]
fn one_direction_alone_shows_that_there_was_an_answer() {
    let asks = [HANDSHAKE[0], HANDSHAKE[2], REQUEST, (1030.1, ">A", 151, 1401, 0), (1040.0, ">FA", 151, 1401, 0)];
    let played = play(&asks);
    assert_eq!((played.facts.opening.outcome, played.facts.turns.unanswered()), (Outcome::Established, 0));
    assert_eq!((played.facts.opening.connect(), played.heard("established ?")), (None, 1));
    let answers = [HANDSHAKE[1], RESPONSE, (1040.0, "<FA", 1401, 151, 0)];
    assert_eq!(play(&answers).facts.opening.outcome, Outcome::Established);
    // A RST in its place is no proof of one.
    let played = play(&[HANDSHAKE[0], (1010.1, ">R", 101, 0, 0)]);
    assert_eq!(played.facts.opening.outcome, Outcome::Reset);
    // Nor does a SYN-ACK alone say that it was heard.
    assert_eq!(play(&[HANDSHAKE[1]]).facts.opening.outcome, Outcome::HalfOpen);
}

#[test]
fn what_an_ack_was_captured_just_before_is_neither_missing_nor_sent_again() {
    let row = |row, id| (row, More { id, ..More::default() });
    let mut rows: Vec<_> = HANDSHAKE.iter().map(|one| row(*one, 0)).collect();
    rows.extend([
        row(REQUEST, 0),
        row((1029.0, "<A", 901, 151, 0), 1),
        row((1029.9, ">A", 151, 1901, 0), 0),
        row((1030.0, "<A", 901, 151, 500), 2),
        row((1030.1, "<PA", 1401, 151, 500), 3),
        row((1040.0, ">FA", 151, 1902, 0), 0),
        row((1040.1, "<FA", 1901, 151, 0), 4),
        row((1050.0, "<A", 1902, 152, 0), 5),
    ]);
    let mut followed = Followed::default();
    let mut heard = Heard::default();
    for (row, more) in rows {
        let (event, segment) = event(row, more);
        followed.observe(&event, &segment, &mut heard);
    }
    let gaps: Vec<_> = heard.0.iter().filter(|line| line.starts_with("missing") || line.starts_with("found")).collect();
    assert_eq!(gaps, ["missing 999", "found 500 of more", "found 499", "missing 0", "found 0 of more"]);
    assert!(!followed.tcp.has_gaps() && !followed.tcp.has_holes());
    assert_eq!(followed.tcp.stream_bytes(), [50, 1000]);
    let side = followed.course().sides[1];
    assert_eq!((side.missing_bytes, side.all_sent_again(), side.reordered, side.guessed), (0, 0, 0, 0));
    assert_eq!(followed.course().turns.responses, 1);
}

#[test]
fn what_was_sent_again_behind_a_gap_is_sent_again() {
    // The first copy was not captured; its sender had gone on.
    let played = opened(&[
        REQUEST,
        (1030.0, ">A", 151, 1401, 0),
        (1031.0, "<PA", 1401, 151, 100),
        (1300.0, "<A", 901, 151, 500),
    ]);
    assert_eq!((played.sent_again(), played.facts.sides[1].missing_bytes), (vec!["reordering"], 0));
}

#[test]
fn of_two_syns_that_met_an_ack_tells_no_round_trip() {
    let both =
        [(0.0, ">S", 100, 0, 0), (1.0, "<S", 1000, 0, 0), (20.0, ">A", 101, 1001, 0), (21.0, "<A", 1001, 101, 0)];
    assert_eq!(play(&both).rtts(), Vec::<&str>::new());
    let later = [both[0], both[1], both[2], both[3], (30.0, ">PA", 101, 1001, 50), (40.0, "<A", 1001, 151, 0)];
    assert_eq!(play(&later).rtts(), ["rtt>A 10"]);
}

#[test]
fn a_syn_ack_that_is_captured_behind_its_ack_has_no_time() {
    let late = (1032.0, "<SA", 900, 101, 0);
    let rows = [HANDSHAKE[0], HANDSHAKE[2], late, (1040.0, ">PA", 101, 901, 50), (1050.0, "<PA", 901, 151, 500)];
    let again = (1035.0, "<SA", 900, 101, 0);
    for rows in [rows.to_vec(), [&rows[..3], &[again], &rows[3..]].concat()] {
        let played = play(&rows);
        let opening = played.facts.opening;
        assert_eq!((opening.outcome, opening.syn_ack, opening.syn_rtt()), (Outcome::Established, None, None));
        assert_eq!((opening.ack_rtt(), opening.rtt(), opening.connect()), (None, None, None));
        assert_eq!(played.rtts(), ["ambiguous>", "rtt>P 10"]);
        assert_eq!((played.facts.sides[1].missing_bytes, played.heard("response 10 10")), (0, 1));
    }
    // Twice as one packet, and without the SYN: nothing is sent again, and no round trip was to be had.
    let one = More { id: 7, ..More::default() };
    let twice = [(HANDSHAKE[2], More::default()), (late, one), ((1032.5, "<SA", 900, 101, 0), one)];
    let played = play_with(&twice, EndReason::Forced);
    assert_eq!((played.sent_again(), played.rtts()), (vec!["duplicate"], vec![]));
}

#[test]
fn a_window_that_the_syn_ack_closes_is_closed() {
    let shut = More { window: Some(0), ..More::default() };
    let open = More::default();
    let probe = (2010.1, ">A", 100, 901, 0);
    let rows = [
        (HANDSHAKE[0], open),
        (HANDSHAKE[1], shut),
        (HANDSHAKE[2], open),
        (probe, open),
        ((2020.1, "<A", 901, 101, 0), open),
        ((2021.0, ">PA", 101, 901, 50), open),
    ];
    let played = play_with(&rows, EndReason::Forced);
    let [asker, shutter] = played.facts.sides;
    assert_eq!((asker.sent_again(Retransmission::WindowProbe), played.sent_again().len()), (1, 1));
    assert_eq!((shutter.zero_windows, ms(shutter.zero_window_time)), (1, 1010.1));
    // To whoever has asked nobody can send yet.
    let played = play_with(&[(HANDSHAKE[0], shut), (HANDSHAKE[1], open), (HANDSHAKE[2], open)], EndReason::Forced);
    assert_eq!(played.facts.sides[0].zero_windows, 0);
}

#[test]
fn of_a_direction_that_is_not_captured_the_fin_is_no_request() {
    let answers = [HANDSHAKE[1], (1020.0, "<A", 901, 201, 0), (1030.0, "<PA", 901, 201, 500)];
    let closed = [(1040.0, "<A", 1401, 202, 0), (1040.1, "<FA", 1401, 202, 0)];
    let played = play(&[&answers[..], &closed].concat());
    let Course { turns, sides, .. } = played.facts;
    assert_eq!((turns.requests, turns.responses, turns.unanswered()), (1, 1, 0));
    assert_eq!((sides[0].missing_bytes, played.heard("missing 99"), played.heard("too 1")), (100, 1, 1));
    assert_eq!(played.heard("missing"), 2, "what may be a FIN is told as none");
    // Single bytes, each echoed: those that the stream goes on behind were bytes, and asked for something.
    let key =
        |number: u32, at| [(at, "<A", 900 + number, 101 + number, 0), (at + 1.0, "<PA", 900 + number, 101 + number, 1)];
    let keys = [key(1, 1020.0), key(2, 1030.0), key(3, 1040.0)].concat();
    let played = play(&[&answers[..1], &keys].concat());
    let Course { turns, sides, .. } = played.facts;
    assert_eq!((turns.requests, turns.responses, sides[0].missing_bytes), (2, 2, 2), "the third may be a FIN");
    assert_eq!((played.heard("missing 1"), played.heard("missing 0"), played.heard("found 0")), (2, 3, 2));
    // The second was captured: the one before it was a byte, and its echo an answer.
    let seen = [(1030.0, ">PA", 102, 902, 1), (1031.0, "<PA", 902, 103, 1)];
    let played = play(&[&HANDSHAKE[..], &key(1, 1020.0), &seen].concat());
    assert_eq!((played.facts.turns.requests, played.facts.turns.responses), (2, 2));
    assert_eq!((played.heard("response ? ?"), played.heard("response 1 1")), (1, 1));
    // The same with numbers the other way round.
    let swapped = [
        (1000.0, ">S", 900, 0, 0),
        (1010.0, "<SA", 100, 901, 0),
        (1010.1, ">A", 901, 101, 0),
        (1020.0, "<A", 101, 902, 0),
        (1021.0, "<PA", 101, 902, 1),
        (1030.0, ">PA", 902, 102, 1),
        (1031.0, "<PA", 102, 903, 1),
    ];
    let Course { turns, .. } = play(&swapped).facts;
    assert_eq!((turns.requests, turns.responses, turns.overlapped), (2, 2, 0));
    // A byte that is lost of a request under way is no request.
    let within = [REQUEST, (1025.0, "<A", 901, 152, 0), (1030.0, "<PA", 901, 152, 500), (1040.0, ">PA", 152, 1401, 50)];
    let Course { turns, sides, .. } = play(&[&HANDSHAKE[..], &within].concat()).facts;
    assert_eq!((turns.requests, turns.responses, sides[0].missing_bytes), (2, 1, 1));
}

#[test]
fn of_a_gap_that_is_filled_in_part_the_end_stays_in_doubt() {
    let told = |rows: &[Row<'_>]| {
        let played = play(&[&HANDSHAKE[..], rows].concat());
        let about = |line: &&String| ["missing", "found", "too"].iter().any(|word| line.starts_with(word));
        played.heard.iter().filter(about).cloned().collect::<Vec<_>>()
    };
    let acks = [(1020.0, "<A", 901, 201, 0), (1030.0, "<A", 901, 202, 0)];
    let late = (1031.0, ">PA", 101, 901, 50);
    assert_eq!(told(&[acks[0], acks[1], late]), ["missing 99", "too 1", "missing 0", "found 50 of more"]);
    // What was never told to be in doubt by itself is not told to be known.
    assert_eq!(told(&[acks[0], (1031.0, ">FA", 200, 901, 0)]), ["missing 99"]);
}

#[test]
fn a_syn_that_is_captured_behind_what_it_began_sets_nothing_back() {
    // The FIN of another direction is first, then the SYN, then the SYN-ACK and the rest.
    let rows = [
        (1000.0, "<FA", 911, 114, 0),
        (1001.0, ">S", 100, 0, 0),
        (1002.0, "<SA", 900, 101, 0),
        (1003.0, "<A", 901, 113, 0),
        (1004.0, "<PA", 901, 113, 10),
        (1005.0, ">PA", 101, 901, 12),
    ];
    let mut followed = Followed::default();
    for (number, row) in rows.into_iter().enumerate() {
        let (event, segment) = event(row, More::default());
        followed.observe(&event, &segment, &mut crate::tcp::Nobody);
        let missed: u64 = followed.tcp.missed_bytes().iter().sum();
        assert!(missed <= 12, "{missed} after {number}");
    }
    assert_eq!((followed.tcp.missed_bytes(), followed.tcp.stream_bytes()), ([0; 2], [12, 10]));
    // Data, data before it, then the SYN: all of it was seen.
    let swapped = [
        (1000.0, ">PA", 111, 901, 20),
        (1000.1, ">PA", 101, 901, 10),
        (1000.2, ">S", 100, 0, 0),
        (1000.3, "<SA", 900, 101, 0),
        (1010.0, "<A", 901, 131, 0),
    ];
    let played = play(&swapped);
    assert_eq!((played.facts.sides[0].missing_bytes, played.heard("missing")), (0, 0));
    // The first of it comes last.
    let late = [swapped[0], swapped[2], swapped[3], swapped[1], swapped[4]];
    let played = play(&late);
    assert_eq!((played.facts.sides[0].missing_bytes, played.heard("missing")), (0, 0));
    assert_eq!(played.sent_again(), ["reordering"]);
    // Turns have times, since nothing is missing.
    let turns = [(1020.0, "<PA", 901, 131, 50), (1030.0, ">PA", 131, 951, 20), (1040.0, "<PA", 951, 151, 50)];
    for rows in [&swapped[..], &late[..]] {
        assert_eq!(play(&[rows, &turns].concat()).heard("response 10 10"), 1, "{rows:?}");
    }
    // It does not come at all.
    let played = play(&[swapped[0], swapped[2], swapped[3], swapped[4]]);
    assert_eq!((played.facts.sides[0].missing_bytes, played.heard("missing 10")), (10, 1));
}

#[test]
fn a_syn_with_data_that_is_captured_behind_its_syn_ack_brings_nothing_new_to_be_missed() {
    // TCP Fast Open: 40 bytes come with the SYN, 60 behind it.
    let (syn, syn_ack, more) =
        ((1000.0, ">S", 100, 0, 40), (1000.1, "<SA", 900, 141, 0), (1000.2, ">PA", 141, 901, 60));
    let end = (1001.0, "<A", 901, 201, 0);
    let fin = (1000.8, ">FA", 201, 901, 0);
    let orders = [
        [syn_ack, syn, more, fin, end],
        [syn_ack, more, syn, fin, end],
        [more, syn_ack, syn, fin, end],
        [syn_ack, end, syn, more, fin],
        [syn_ack, more, fin, syn, end],
    ];
    for rows in orders {
        let (played, Followed { tcp, .. }) = played(&rows);
        assert_eq!((tcp.missed_bytes(), tcp.stream_bytes(), tcp.has_holes()), ([0; 2], [100, 0], false), "{rows:?}");
        let facts = played.facts;
        assert_eq!((facts.invalid, facts.opening.fast_open), (0, crate::tcp::FastOpen::Used), "{rows:?}");
    }
    // Of the 60 bytes the capture lacks 20, the last of which may have been a FIN.
    let less = (1000.2, ">PA", 141, 901, 40);
    let played = play(&[syn_ack, end, syn, less]);
    assert_eq!(played.facts.sides[0].missing_bytes, 19);
}

#[test]
fn a_syn_ack_that_is_captured_behind_the_end_of_it_all_sets_nothing_back() {
    let rows = [
        (1000.0, ">A", 101, 901, 0),
        (1000.1, ">S", 100, 0, 0),
        (1000.2, ">A", 101, 1437, 0),
        (1000.3, "<R", 1901, 0, 0),
        (1000.4, "<SA", 900, 101, 0),
        (1000.5, "<A", 901, 101, 1000),
    ];
    let (_, followed) = played(&rows);
    assert_eq!((followed.tcp.missed_bytes(), followed.tcp.stream_bytes()), ([0; 2], [0, 1000]));
}

#[test]
fn where_options_were_cut_what_was_sent_again_is_not_told_for_sure() {
    let rows = [HANDSHAKE[0], HANDSHAKE[1], HANDSHAKE[2], REQUEST, (1300.0, ">PA", 101, 901, 50), RESPONSE];
    for (rows, lacks) in [(&rows[..], true), (&[rows[0], rows[1], rows[2], rows[3], rows[5]], false)] {
        let mut followed = Followed::default();
        for row in rows {
            let (event, mut segment) = event(*row, More::default());
            segment.options |= TcpOptions::INCOMPLETE;
            followed.observe(&event, &segment, &mut crate::tcp::Nobody);
        }
        assert_eq!(followed.dynamics.lacks_options(), lacks);
    }
}

#[test]
fn several_acks_captured_before_their_data_are_no_gap_once_it_has_come() {
    let acks = [(1030.0, ">A", 101, 1401, 0), (1030.01, ">A", 101, 1901, 0), (1030.02, ">A", 101, 2401, 0)];
    let played = opened(&[acks[0], acks[1], acks[2], (1030.1, "<A", 901, 101, 1500)]);
    let gaps: Vec<_> =
        played.heard.iter().filter(|line| ["missing", "found"].iter().any(|word| line.starts_with(word))).collect();
    assert_eq!(gaps.last().map(|line| line.as_str()), Some("found 1499 of 3 gaps"), "{gaps:?}");
}

#[test]
fn a_syn_whose_timestamp_was_cut_is_timed_all_the_same() {
    let stamped = |stamps| More { stamps: Some(stamps), ..More::default() };
    let syn = event(HANDSHAKE[0], More::default());
    let mut followed = Followed::default();
    let mut heard = Heard::default();
    for (event, mut segment) in [syn, event(HANDSHAKE[1], stamped((900, 77))), event(HANDSHAKE[2], stamped((78, 900)))]
    {
        if segment.flags == TcpFlags::SYN {
            segment.options |= TcpOptions::INCOMPLETE;
        }
        followed.observe(&event, &segment, &mut heard);
    }
    assert_eq!(heard.0.iter().filter(|line| line.starts_with("rtt")).count(), 2, "{:?}", heard.0);
}

#[test]
fn a_syn_that_is_captured_behind_its_rst_was_refused() {
    for (ack, data) in [(101, 0), (101, 40), (141, 40)] {
        let played = play(&[(1000.0, "<RA", 0, ack, 0), (1000.5, ">S", 100, 0, data)]);
        assert_eq!(played.facts.opening.outcome, Outcome::Refused);
    }
    // Nothing tells of this one that it answers the SYN.
    let played = play(&[(1000.0, "<R", 900, 0, 0), (1000.5, ">S", 100, 0, 0)]);
    assert_ne!(played.facts.opening.outcome, Outcome::Refused);
}

#[test]
fn data_that_a_syn_ack_refuses_was_not_taken_though_it_is_acknowledged_by_then() {
    let rows = [
        (1000.0, ">S", 100, 0, 40),
        (1000.1, ">A", 101, 901, 40),
        (1000.2, "<A", 901, 141, 0),
        (1000.3, "<SA", 900, 101, 0),
    ];
    assert_eq!(play(&rows).facts.opening.fast_open, crate::tcp::FastOpen::Tried);
    // The SYN is captured last.
    let rows = [(1000.0, ">PA", 141, 901, 60), (1000.1, "<SA", 900, 101, 0), (1000.2, ">S", 100, 0, 40)];
    assert_eq!(play(&rows).facts.opening.fast_open, crate::tcp::FastOpen::Tried);
}

#[test]
fn a_syn_ack_that_answers_a_syn_a_little_before_makes_nothing_missing() {
    let rows = [(1000.0, ">S", 5000, 0, 0), (1010.0, "<SA", 900, 101, 0), HANDSHAKE[2], REQUEST, RESPONSE];
    let played = play(&rows);
    assert_eq!(played.facts.sides.map(|side| side.missing_bytes), [0; 2]);
    assert_eq!(played.facts.opening.outcome, Outcome::Established);
}

#[test]
fn an_ack_that_stands_before_a_fin_whose_ack_was_captured_first_is_no_probe() {
    // The server's clock is behind; both write timestamps.
    let row = |row, stamps| (row, More { stamps: Some(stamps), ..More::default() });
    let close = |late: f64| {
        let mut rows: Vec<_> = HANDSHAKE.iter().map(|&one| row(one, (10, 20))).collect();
        rows.extend([
            row(REQUEST, (40, 20)),
            row(RESPONSE, (60, 40)),
            row((1100.0, ">FA", 151, 1401, 0), (110, 60)),
            row((1120.5, ">A", 152, 1402, 0), (131, 125)),
            row((1120.5 + late, "<A", 1401, 152, 0), (125, 110)),
            row((1120.6 + late, "<FA", 1401, 152, 0), (125, 110)),
        ]);
        play_with(&rows, EndReason::Forced)
    };
    let played = close(0.5);
    assert_eq!((played.sent_again(), played.facts.sides[1].guessed), (vec![], 0));
    // After a longer while it may have been one, and the FIN sent again.
    let played = close(10.0);
    assert_eq!((played.sent_again(), played.facts.sides[1].guessed), (vec!["KeepAlive 0", "Spurious 0"], 2));
}

#[test]
fn a_syn_ack_behind_what_its_sender_went_on_with_times_nothing() {
    let stamped = |row, stamps| (row, More { stamps: Some(stamps), ..More::default() });
    let rows = |stamp| {
        vec![
            (HANDSHAKE[0], More { fast_open: true, stamps: Some((10, 0)), ..More::default() }),
            // The SYN-ACK before it was lost.
            stamped((1006.0, "<PA", 901, 101, 500), (52, 10)),
            stamped((2014.0, "<SA", 900, 101, 0), (stamp, 10)),
            stamped((2020.0, ">A", 101, 1401, 0), (1030, stamp)),
        ]
    };
    let played = play_with(&rows(1060), EndReason::Forced);
    assert_eq!(played.heard("rtt> 1014") + played.heard("rtt>H"), 0, "{:?}", played.heard);
    assert_eq!((played.sent_again(), played.facts.opening.syn_rtt()), (vec!["SynAck 0"], None));
    // Overtaken, not sent again.
    let played = play_with(&rows(51), EndReason::Forced);
    assert_eq!((played.sent_again().len(), played.facts.opening.syn_rtt()), (0, None));
}

#[test]
fn a_syn_may_be_acknowledged_before_its_syn_ack() {
    let [syn, syn_ack, ack] = HANDSHAKE;
    let played = play(&[syn, (1009.0, "<A", 900, 101, 0), syn_ack, ack]);
    assert_eq!((played.rtts(), played.facts.opening.connect().map(ms)), (vec!["rtt>H 10", "rtt<H 0.1"], Some(10.1)));
}

#[test]
fn a_syn_ack_that_echoes_another_syn_answers_one_that_was_not_captured() {
    let rows = |echo| {
        let stamps = [(1100, 0), (7, echo), (1103, 7)];
        HANDSHAKE.iter().zip(stamps).map(|(&row, stamps)| (row, More { stamps: Some(stamps), ..More::default() }))
    };
    let answered: Vec<_> = rows(1100).collect();
    let played = play_with(&answered, EndReason::Forced);
    assert_eq!((played.rtts(), played.facts.opening.doubts.name()), (vec!["rtt>H 10", "rtt<H 0.1"], "exact"));
    for another in [75, 1200] {
        let answered: Vec<_> = rows(another).collect();
        let played = play_with(&answered, EndReason::Forced);
        assert_eq!(played.rtts(), ["ambiguous>", "rtt<H 0.1"], "{another}");
        assert_eq!(played.facts.opening.doubts.name(), "repeated", "{another}");
    }
}

#[test]
fn syn_acks_that_come_again_behind_a_later_one_are_not_told_apart() {
    let rows: Vec<_> = [
        (HANDSHAKE[0], (10, 0)),
        (HANDSHAKE[1], (50, 10)),
        ((2010.0, "<SA", 900, 101, 0), (1050, 10)),
        // The first once more.
        ((2016.0, "<SA", 900, 101, 0), (50, 10)),
        ((2018.0, ">A", 101, 901, 0), (1018, 50)),
    ]
    .into_iter()
    .map(|(row, stamps)| (row, More { stamps: Some(stamps), ..More::default() }))
    .collect();
    assert_eq!(play_with(&rows, EndReason::Forced).rtts(), ["rtt>H 10", "ambiguous<"]);
}

#[test]
fn of_a_syn_that_the_network_delivers_twice_nothing_tells_which_was_answered() {
    let row = |row, id| (row, More { id, ..More::default() });
    let rows =
        |again| [row(HANDSHAKE[0], 7), row((again, ">S", 100, 0, 0), 7), row(HANDSHAKE[1], 0), row(HANDSHAKE[2], 8)];
    assert_eq!(play_with(&rows(1004.0), EndReason::Forced).rtts()[0], "ambiguous>");
    assert_eq!(play_with(&rows(1000.5), EndReason::Forced).rtts()[0], "rtt>H 10");
}

#[test]
fn options_that_were_cut_leave_open_what_they_might_have_told() {
    let mut followed = Followed::default();
    let mut take = |row, cut| {
        let (event, mut segment) = event(row, More::default());
        segment.options |= if cut { TcpOptions::INCOMPLETE } else { TcpOptions::empty() };
        followed.observe(&event, &segment, &mut crate::tcp::Nobody);
        (followed.course().opening.fast_open, followed.dynamics.lacks_options())
    };
    assert_eq!(take(HANDSHAKE[0], true), (crate::tcp::FastOpen::Unknown, false));
    for row in [HANDSHAKE[1], HANDSHAKE[2], REQUEST, (1021.0, ">PA", 151, 901, 50), (1030.0, "<A", 901, 151, 0)] {
        assert!(!take(row, false).1);
    }
    // Whether an ACK with another window asks for something, SACK would have told.
    let (event, mut segment) = event((1032.0, "<A", 901, 151, 0), More { window: Some(77), ..More::default() });
    segment.options |= TcpOptions::INCOMPLETE;
    followed.observe(&event, &segment, &mut crate::tcp::Nobody);
    assert!(followed.dynamics.lacks_options());
}
