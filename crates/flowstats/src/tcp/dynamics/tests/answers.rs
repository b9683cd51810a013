//! When answers end, and what counts as one where pieces are missing, crossed or late.

use super::*;

/// Requests, responses, greetings, turns that overlapped.
fn turns(played: &Played) -> [u32; 4] {
    let turns = played.facts.turns;
    [turns.requests, turns.responses, turns.server_first, turns.overlapped]
}

fn told(played: &Played) -> Vec<&str> {
    played.heard.iter().filter(|line| line.starts_with("response")).map(String::as_str).collect()
}

#[test]
fn a_request_that_meets_a_greeting_counts_at_either_end() {
    let greeting = |at| (at, "<PA", 901, 101, 11);
    let asks = |at| (at, ">PA", 101, 901, 6);
    let server = opened(&[greeting(1020.0), asks(1025.0), (1026.0, "<PA", 912, 107, 9)]);
    let client = opened(&[asks(1005.0), greeting(1006.0), (1026.0, "<PA", 912, 107, 9)]);
    assert_eq!((turns(&server), turns(&client)), ([1, 1, 1, 1], [1, 1, 1, 1]));
    assert_eq!((told(&server), told(&client)), (vec!["response 1 1"], vec!["response 21 21"]));
    let greets_on =
        opened(&[greeting(1020.0), asks(1025.0), (1025.5, "<PA", 912, 101, 8), (1026.0, "<PA", 920, 107, 9)]);
    assert_eq!((turns(&greets_on), told(&greets_on)), ([1, 1, 1, 1], vec!["response 1 1"]));
}

/// A response of which every other piece of a hundred bytes comes late, and the first last of all, behind the FIN.
fn holes(count: u32) -> Played {
    let mut rows = vec![REQUEST, (1030.0, "<PA", 901, 151, 100)];
    let place = |hole: u32| 1001 + 200 * hole;
    rows.extend((0..count).map(|hole| (1031.0 + f64::from(hole), "<A", place(hole) + 100, 151, 100)));
    rows.extend((1..count).map(|hole| (1101.0 + f64::from(hole), "<A", place(hole), 151, 100)));
    rows.push((1200.0, "<FA", place(count), 151, 0));
    rows.push((1500.0, "<A", place(0), 151, 100));
    opened(&rows)
}

#[test]
fn a_response_is_complete_when_the_oldest_of_many_holes_is_filled() {
    for count in [7, 8, 9, 20, 32] {
        assert_eq!(told(&holes(count)), ["response 10 480"], "{count}");
    }
    // More than are told apart.
    let played = holes(33);
    assert_eq!((told(&played), played.facts.turns.withheld), (vec!["response ? ?"], [true; 2]));
}

#[test]
fn a_hole_tears_no_turn_that_goes_on() {
    let rows = |begin, late| {
        [
            REQUEST,
            (1040.0, "<A", begin, 151, 1000),
            // Sent before it had heard any of that.
            (1041.0, ">PA", 151, 901, 7),
            (1042.0, "<A", late, 151, 1000),
            (1500.0, "<PA", 2901, 158, 500),
        ]
    };
    for played in [opened(&rows(901, 1901)), opened(&rows(1901, 901))] {
        assert_eq!((turns(&played), told(&played)), ([1, 1, 0, 1], vec!["response 20 480"]));
        assert_eq!(played.facts.turns.withheld, [false; 2]);
    }
}

#[test]
fn who_goes_on_asking_against_an_answer_that_has_ended_overlaps() {
    let answer = (1030.0, "<PA", 901, 151, 45);
    let goes_on = (1031.0, ">A", 151, 901, 1000);
    for rows in [&[REQUEST, answer, goes_on][..], &[REQUEST, answer, (1030.1, "<FA", 946, 151, 0), goes_on]] {
        let played = opened(rows);
        assert_eq!((turns(&played), told(&played)), ([1, 1, 0, 1], vec!["response 10 10"]));
    }
}

#[test]
fn a_response_goes_on_until_its_sender_has_heard_the_next_request() {
    let rows = [
        REQUEST,
        (1030.0, "<PA", 901, 151, 1400),
        (1031.0, ">PA", 151, 2301, 100),
        (1032.0, "<PA", 2301, 151, 1400),
        (1040.0, "<PA", 3701, 151, 1400),
        (1045.0, ">A", 251, 5101, 0),
        (1060.0, "<PA", 5101, 251, 500),
    ];
    let played = opened(&rows);
    assert_eq!((turns(&played), told(&played)), ([2, 2, 0, 1], vec!["response 10 20", "response 29 29"]));
    // Its end is known too if that is the last.
    assert_eq!(told(&opened(&rows[..5])), ["response 10 20"]);
    assert_eq!(told(&opened(&[&rows[..5], &[(1050.0, "<FA", 5101, 151, 0)]].concat())), ["response 10 20"]);
    // What was jumped over may be of either, as one crossed the other.
    let jumps = [(1040.0, "<PA", 3701, 151, 1400), (1060.0, "<PA", 6101, 251, 500), (1070.0, "<PA", 5101, 251, 1000)];
    assert_eq!(told(&opened(&[&rows[..4], &jumps].concat())), ["response ? ?", "response 29 39"]);
    assert_eq!(told(&opened(&[&rows[..3], &jumps[1..]].concat()))[0], "response 10 10");
    // A FIN behind a hole prolongs nothing.
    let ends = [(1040.0, "<FA", 5101, 251, 0), (1050.0, "<PA", 2301, 251, 2800)];
    assert_eq!(told(&opened(&[&rows[..3], &ends].concat())), ["response 10 10", "response 19 19"]);
    let fills = [(1040.0, "<PA", 4701, 151, 400), (1060.0, "<PA", 3701, 251, 1000), (1070.0, "<PA", 5101, 251, 500)];
    assert_eq!(told(&opened(&[&rows[..4], &fills].concat()))[0], "response ? ?");
}

#[test]
fn one_byte_that_was_found_later_was_an_answer_or_a_request() {
    // The answer to the second request was captured when it was sent again.
    let rows = |bytes: u32| {
        let (second, third, next) = (102, 103, 902 + bytes);
        [
            (1030.0, ">PA", 101, 901, 1),
            (1050.0, "<PA", 901, 102, 1),
            (1050.1, ">A", 102, 902, 0),
            (1060.0, ">PA", second, 902, 1),
            (1090.0, ">PA", third, next, 1),
            (1300.0, "<PA", 902, 103, bytes),
            (1300.1, ">A", 104, next, 0),
            (1310.0, ">PA", third, next, 1),
            (1330.0, "<PA", next, 104, 1),
        ]
    };
    for bytes in [1, 2] {
        let played = opened(&rows(bytes));
        assert_eq!(turns(&played), [3, 3, 0, 0], "{bytes}");
        // It may as well be the rest of the first.
        assert_eq!(told(&played)[..2], ["response ? ?"; 2], "{bytes}");
    }
    // The second request, before its answer was seen and after.
    let first = [(1030.0, ">PA", 101, 901, 1), (1031.0, "<PA", 901, 102, 9), (1045.0, ">A", 102, 910, 0)];
    let (asks, answers) = ((2800.0, ">PA", 102, 910, 1), (2600.0, "<PA", 910, 103, 9));
    assert_eq!(turns(&opened(&[&first[..], &[answers, asks]].concat())), [2, 2, 0, 0]);
    let heard = (2600.0, "<A", 910, 103, 0);
    let late = (2900.0, "<PA", 910, 103, 9);
    assert_eq!(turns(&opened(&[&first[..], &[heard, asks]].concat())), [2, 1, 0, 0]);
    assert_eq!(turns(&opened(&[&first[..], &[heard, asks, late]].concat())), [2, 2, 0, 0]);
    // A FIN is neither.
    let closes = (2800.0, ">FA", 102, 910, 0);
    assert_eq!(turns(&opened(&[&first[..], &[heard, closes]].concat())), [1, 1, 0, 0]);
}

#[test]
fn the_end_of_a_request_and_the_beginning_of_its_answer_that_were_missed_are_no_turn() {
    let played = opened(&[
        (1020.0, ">PA", 101, 901, 200),
        (1030.0, "<PA", 901, 301, 915),
        (1040.0, ">PA", 301, 1816, 200),
        (1045.0, ">A", 701, 4558, 0),
        (1050.0, "<PA", 4558, 701, 416),
        (1051.0, ">FA", 701, 4974, 0),
    ]);
    assert_eq!((turns(&played), played.facts.sides.map(|side| side.missing_bytes)), ([2, 2, 0, 0], [200, 2742]));
}

#[test]
fn what_came_long_after_its_ack_was_sent_before_unseen() {
    let has_gaps = |at| {
        let rows = [REQUEST, RESPONSE, (1080.0, "<A", 1401, 351, 0), (at, ">PA", 151, 1401, 200)];
        let (found, followed) = played(&[&HANDSHAKE[..], &rows].concat());
        assert_eq!(found.facts.sides[0].missing_bytes, 0);
        followed.tcp.has_gaps()
    };
    // Not so soon: the capture may have had them in disorder.
    assert_eq!((has_gaps(1290.0), has_gaps(1082.0)), (true, false));
}

#[test]
fn a_simultaneous_opening_has_times_when_its_ack_comes() {
    let played = play(&[
        (1000.0, ">S", 100, 0, 0),
        (1001.0, "<S", 900, 0, 0),
        (1010.0, ">SA", 100, 901, 0),
        (1011.0, "<SA", 900, 101, 0),
        (1020.0, ">A", 101, 901, 0),
        (1021.0, ">PA", 101, 901, 50),
    ]);
    assert_eq!(played.facts.opening.shape, crate::tcp::Shape::Simultaneous);
    assert!(played.heard.contains(&"established 20".into()), "{:?}", played.heard);
}

#[test]
fn a_syn_that_was_captured_twice_has_one_time() {
    let syn = More { stamps: Some((7000, 0)), id: 55, ..More::default() };
    let mut rows = vec![((1000.0, ">S", 100, 0, 0), syn), ((1001.5, ">S", 100, 0, 0), syn)];
    rows.push(((1003.0, "<SA", 900, 101, 0), More { stamps: Some((9000, 7000)), ..More::default() }));
    rows.push(((1004.0, ">A", 101, 901, 0), More { stamps: Some((7003, 9000)), id: 56, ..More::default() }));
    let mut followed = Followed::default();
    for (row, more) in rows {
        let (event, segment) = event(row, more);
        followed.observe(&event, &segment, &mut crate::tcp::Nobody);
    }
    let opening = followed.course().opening;
    assert_eq!(opening.last_syn, followed.tcp.handshake_times().syn);
    let times = [opening.connect(), opening.rtt(), opening.syn_rtt()];
    assert_eq!(times.map(|span| span.map(ms)), [4.0, 2.5, 1.5].map(Some));
    assert_eq!(opening.doubts, crate::tcp::HandshakeDoubts::SYN_REPEATED);
}
