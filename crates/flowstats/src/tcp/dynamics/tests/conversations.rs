//! Requests and responses, and how connections end.

use super::*;

#[test]
fn a_request_that_meets_a_response_overlaps() {
    let played = opened(&[
        REQUEST,
        (1030.0, "<A", 901, 151, 500),
        // Sent before any of the response had come: still the first request.
        (1031.0, ">A", 151, 901, 50),
        (1040.0, "<PA", 1401, 201, 500),
    ]);
    assert_eq!((played.facts.turns.requests, played.facts.turns.responses), (1, 1));
    assert_eq!(played.facts.turns.overlapped, 1);
    assert_eq!(played.heard("response 10 20"), 1);
}

#[test]
fn payload_that_was_on_its_way_is_no_answer() {
    let played = opened(&[
        REQUEST,
        RESPONSE,
        (1050.0, ">PA", 151, 1401, 50),
        // More of the first response, sent before the second request had come.
        (1051.0, "<PA", 1401, 151, 500),
        (1070.0, "<PA", 1901, 201, 500),
    ]);
    assert_eq!((played.facts.turns.requests, played.facts.turns.responses), (2, 2));
    assert_eq!(played.heard("response 20 20"), 1);
    assert_eq!(played.facts.turns.overlapped, 1);
}

#[test]
fn an_unanswered_request_is_counted() {
    let played = opened(&[REQUEST, RESPONSE, (1050.0, ">PA", 151, 1401, 50)]);
    assert_eq!(played.facts.turns.unanswered(), 1);
}

/// Requests without an answer of a connection that goes on so behind its first response.
fn unanswered(rows: &[Row<'_>]) -> u32 {
    opened(&[&[REQUEST, RESPONSE][..], rows].concat()).facts.turns.unanswered()
}

#[test]
fn who_waits_before_he_closes_has_wanted_an_answer() {
    let (asks, hears) = ((1050.0, ">PA", 151, 1401, 50), (1060.0, "<A", 1401, 201, 0));
    assert_eq!(unanswered(&[asks, hears, (31_050.0, ">FA", 201, 1401, 0)]), 1);
    assert_eq!(unanswered(&[asks, hears, (31_050.0, ">RA", 201, 1401, 0)]), 1);
    let gives_up = [(63_000.0, ">FA", 201, 1401, 0), (63_000.1, ">RA", 202, 1401, 0)];
    assert_eq!(unanswered(&[asks, hears, gives_up[0], gives_up[1]]), 1, "the RST behind the FIN is late as well");
    // A closing alert behind an unanswered request.
    let says_goodbye = [(31_000.0, ">PA", 201, 1401, 31), (31_000.1, ">FA", 232, 1401, 0)];
    assert_eq!(unanswered(&[asks, hears, says_goodbye[0], says_goodbye[1]]), 1);
}

#[test]
fn what_is_longer_than_an_alert_is_a_request_though_its_sender_closes_with_it() {
    let asks = |bytes| unanswered(&[(1050.0, ">FPA", 151, 1401, bytes), (1060.0, "<R", 1401, 0, 0)]);
    assert_eq!((asks(100), asks(31)), (1, 0));
}

#[test]
fn who_is_reset_for_what_he_sent_after_the_others_fin_has_had_no_answer() {
    let closed = [(1040.0, "<FA", 1401, 151, 0), (1040.1, ">A", 151, 1402, 0)];
    let asks = (1050.0, ">PA", 151, 1402, 58);
    assert_eq!(unanswered(&[closed[0], closed[1], asks, (1050.1, "<R", 1402, 0, 0)]), 1);
}

#[test]
fn an_alert_that_answers_a_close_or_meets_one_is_no_unanswered_request() {
    let alert = (1050.0, ">PA", 151, 1402, 31);
    let answers = [(1040.0, "<FA", 1401, 151, 0), alert, (1050.1, ">FA", 182, 1402, 0), (1060.0, "<R", 1402, 0, 0)];
    assert_eq!(unanswered(&answers), 0);
    let waits = [(1050.0, ">PA", 151, 1401, 31), (1050.05, "<FA", 1401, 182, 0), (1050.1, ">FA", 182, 1402, 0)];
    assert_eq!(unanswered(&waits), 0);
}

/// What is told of a response that goes on so.
fn responses(rows: &[Row<'_>]) -> Vec<String> {
    let played = opened(&[&[REQUEST, RESPONSE, (1031.0, ">A", 151, 1401, 0)][..], rows].concat());
    played.heard.into_iter().filter(|word| word.starts_with("response")).collect()
}

#[test]
fn a_servers_farewell_is_no_end_of_its_response() {
    let alert = (66_020.0, "<PA", 1401, 151, 31);
    let fin = (66_020.1, "<FA", 1432, 151, 0);
    assert_eq!(responses(&[alert, fin]), ["response 10 ?"]);
    assert_eq!(responses(&[(66_020.0, "<FPA", 1401, 151, 31)]), ["response 10 ?"], "in one segment");
    assert_eq!(responses(&[alert, (66_020.1, "<RA", 1432, 151, 0)]), ["response 10 ?"], "with a RST");
    let answered = [alert, (66_030.0, ">A", 151, 1432, 0), (66_030.1, ">FA", 151, 1432, 0)];
    assert_eq!(responses(&answered), ["response 10 ?"], "the client closes");
    let goaway = [(66_019.0, "<PA", 1401, 151, 30), (66_020.0, "<PA", 1431, 151, 31), (66_020.1, "<FA", 1462, 151, 0)];
    assert_eq!(responses(&goaway), ["response 10 ?"], "two messages, at once");
    // The client answers with an alert of its own, and closes then.
    let own = (66_030.0, ">PA", 151, 1432, 31);
    assert_eq!(responses(&[alert, own, (66_030.1, ">FA", 182, 1432, 0)]), ["response 10 ?"]);
    assert_eq!(responses(&[alert, (66_030.0, ">FPA", 151, 1432, 31)]), ["response 10 ?"]);
    assert_eq!(responses(&[alert, own, (66_030.1, ">RA", 182, 1432, 0)]), ["response 10 ?"]);
    // Some of it comes again with the rest.
    let again = [(66_020.0, "<PA", 1401, 151, 40), (66_220.0, "<FPA", 1401, 151, 75)];
    assert_eq!(responses(&again), ["response 10 ?"]);
    // Of an earlier response the end is known.
    let again = [(2020.0, ">PA", 151, 1401, 50), (2040.0, "<PA", 1401, 201, 500), (66_020.0, "<FPA", 1901, 201, 31)];
    assert_eq!(responses(&again), ["response 10 10", "response 20 ?"]);
}

#[test]
fn where_each_end_says_farewell_nobody_has_waited() {
    let last = |rows: &[Row<'_>]| {
        let says = [(2020.0, ">PA", 151, 1401, 31), (2020.1, ">FA", 182, 1401, 0)];
        responses(&[&says[..], rows].concat()).split_off(1)
    };
    let alert = (9020.0, "<PA", 1401, 183, 31);
    assert_eq!(last(&[alert, (9020.1, "<FA", 1432, 183, 0)]), ["response ? ?"]);
    assert_eq!(last(&[alert, (9020.1, "<RA", 1432, 183, 0)]), ["response ? ?"]);
    assert_eq!(last(&[(9020.0, "<FPA", 1401, 183, 31)]), ["response ? ?"]);
    // Who answers at length, or goes on, was asked.
    assert_eq!(last(&[(9020.0, "<FPA", 1401, 183, 97)]), ["response 7000 7000"]);
    assert_eq!(last(&[alert, (9030.0, "<FPA", 1432, 183, 66)]), ["response 7000 7010"]);
    assert_eq!(last(&[alert, (19_020.0, "<FA", 1432, 183, 0)]), ["response 7000 7000"]);
    // Of an answer only the end may be a farewell.
    let at_length = [(2050.0, "<PA", 1401, 183, 500), (4050.0, "<FPA", 1901, 183, 30)];
    assert_eq!(last(&at_length), ["response 30 ?"]);
    let goes_on = [(2050.0, "<PA", 1401, 183, 31), (4050.0, "<FPA", 1432, 183, 66)];
    assert_eq!(last(&goes_on), ["response 30 ?"]);
}

#[test]
fn what_may_be_no_farewell_ends_a_response() {
    let short = (66_020.0, "<PA", 1401, 151, 31);
    let response = ["response 10 65000"];
    assert_eq!(responses(&[short]), response, "nobody closes");
    assert_eq!(responses(&[short, (76_020.0, "<FA", 1432, 151, 0)]), response, "nobody closes at once");
    assert_eq!(responses(&[(66_020.0, "<FPA", 1401, 151, 97)]), response, "too long");
    let goes_on = [short, (66_020.0, "<PA", 1432, 151, 66), (66_020.1, "<FA", 1498, 151, 0)];
    assert_eq!(responses(&goes_on), response, "too long together");
    // What was overtaken by it is of the response.
    let fills = [(2030.0, "<PA", 1901, 151, 31), (2045.0, "<A", 1401, 151, 500), (2050.0, "<FA", 1932, 151, 0)];
    assert_eq!(responses(&fills), ["response 10 1025"]);
    let late = [(2030.0, "<PA", 1901, 151, 31), (12_030.0, "<FA", 1932, 151, 0), (12_040.0, "<A", 1401, 151, 500)];
    assert_eq!(responses(&late), ["response 10 11020"]);
    let soon = [(2020.0, "<PA", 1401, 151, 31), (2020.1, "<FA", 1432, 151, 0)];
    assert_eq!(responses(&soon), ["response 10 1000"], "too soon");
    // The client's FIN met it on its way, and the response goes on.
    let half_closed = [short, (66_020.1, ">FA", 151, 1401, 0), (66_030.0, "<PA", 1432, 152, 500)];
    assert_eq!(responses(&[&half_closed[..], &[(66_031.0, "<FA", 1932, 152, 0)]].concat()), ["response 10 65010"]);
    // All of the response is short and late.
    let played = opened(&[REQUEST, (66_020.0, "<FPA", 901, 151, 31)]);
    assert_eq!(played.heard("response 65000 65000"), 1);
}

#[test]
fn one_end_may_go_on_after_the_others_fin() {
    let played = opened(&[
        REQUEST,
        (1021.0, ">FA", 151, 901, 0),
        (1030.0, "<PA", 901, 152, 500),
        (1031.0, ">A", 152, 1401, 0),
        (1040.0, "<PA", 1401, 152, 500),
        (1050.0, "<FA", 1901, 152, 0),
    ]);
    assert!(played.facts.half_closed);
    assert_eq!(played.facts.closed_by, Some(Direction::Forward));
    assert_eq!(played.heard("response 10 20"), 1);
}

#[test]
fn marks_of_congestion_are_counted_by_who_sent_them() {
    let marked = More { congested: true, ..More::default() };
    let mut rows = plain(&HANDSHAKE);
    rows.push((REQUEST, marked));
    rows.push(((1030.0, "<AE", 901, 151, 0), More::default()));
    rows.push(((1040.0, ">AW", 151, 901, 50), More::default()));
    let sides = play_with(&rows, EndReason::Forced).facts.sides;
    assert_eq!((sides[0].congested, sides[1].echoed, sides[0].reduced), (1, 1, 1));
}

#[test]
fn control_bits_that_no_connection_has_are_invalid() {
    let played = play(&[(0.0, ">SF", 100, 0, 0), (1.0, ">", 100, 0, 0)]);
    assert_eq!(played.facts.invalid, 2);
}

#[test]
fn a_fin_without_ack_closes_nothing() {
    let played = opened(&[REQUEST, RESPONSE, (1040.0, ">FP", 151, 0, 0)]);
    assert_eq!((played.facts.invalid, played.facts.closed_by), (1, None));
}

#[test]
fn the_answer_to_a_request_that_the_capture_missed_is_no_greeting() {
    let played = opened(&[(1030.0, "<PA", 901, 151, 500), (1031.0, ">A", 151, 1401, 0)]);
    assert_eq!(played.facts.turns.server_first, 0);
    assert_eq!((played.facts.turns.requests, played.facts.turns.responses), (1, 1));
    assert_eq!(played.heard("response ? ?"), 1, "when it was asked is not known");
    let greeted = opened(&[(1030.0, "<PA", 901, 101, 500), (1031.0, ">A", 101, 1401, 0)]);
    assert_eq!((greeted.facts.turns.server_first, greeted.facts.turns.requests), (1, 0));
}

#[test]
fn an_answer_to_a_part_of_what_was_asked_in_one_flight_overlaps() {
    let second = (1020.1, ">PA", 151, 901, 50);
    let answered_one_by_one = [REQUEST, second, RESPONSE, (1031.0, "<PA", 1401, 201, 500)];
    assert_eq!(opened(&answered_one_by_one).facts.turns.overlapped, 1);
    // Of one whose answer was sent when all of it was there nothing tells that it was two.
    let answered_at_once = [REQUEST, second, (1031.0, "<PA", 901, 201, 1000)];
    assert_eq!(opened(&answered_at_once).facts.turns.overlapped, 0);
    // A FIN is no request.
    let closed = [REQUEST, (1020.1, ">FA", 151, 901, 0), RESPONSE];
    assert_eq!(opened(&closed).facts.turns.overlapped, 0);
}

#[test]
fn a_window_that_was_opened_unseen_was_open_when_more_than_a_probe_came() {
    let zero = More { window: Some(0), ..More::default() };
    let mut rows = plain(&HANDSHAKE);
    rows.push((REQUEST, More::default()));
    rows.push(((1030.0, "<A", 901, 151, 0), zero));
    rows.push(((1130.0, ">PA", 151, 901, 1), More::default()));
    let probed = play_with(&rows, EndReason::Forced).facts.sides[1];
    assert_eq!((ms(probed.zero_window_time), probed.zero_window_unseen), (100.0, false));
    assert!(probed.zero_window_shut);
    rows.push(((1230.0, ">PA", 152, 901, 500), More::default()));
    rows.push(((1530.0, ">PA", 652, 901, 500), More::default()));
    let unseen = play_with(&rows, EndReason::Forced).facts.sides[1];
    assert_eq!((ms(unseen.zero_window_time), unseen.zero_window_unseen), (200.0, true));
    assert!(!unseen.zero_window_shut);
}

#[test]
fn an_answer_to_one_byte_that_was_not_captured_is_no_greeting() {
    let played = opened(&[(1030.0, "<PA", 901, 102, 500)]);
    assert_eq!(played.facts.turns.server_first, 0);
    assert_eq!(opened(&[(1030.0, "<PA", 901, 101, 500)]).facts.turns.server_first, 1);
}

#[test]
fn who_asks_before_he_has_heard_the_whole_answer_overlaps() {
    let answer = [REQUEST, (1030.0, "<A", 901, 151, 1000), (1031.0, "<PA", 1901, 151, 100)];
    let asks = |ack| opened(&[&answer[..], &[(1032.0, ">PA", 151, ack, 10)]].concat()).facts.turns.overlapped;
    assert_eq!((asks(1901), asks(2001)), (1, 0));
}

#[test]
fn a_fin_that_was_not_captured_does_not_end_a_response() {
    let played = opened(&[
        REQUEST,
        (1030.0, "<A", 901, 151, 500),
        (1031.0, ">A", 152, 1401, 0),
        (1032.0, "<A", 1401, 152, 0),
        (1040.0, "<PA", 1401, 152, 500),
    ]);
    assert_eq!((played.heard("request"), played.heard("response ? ?")), (1, 1));
}

#[test]
fn a_fin_with_bytes_that_are_sent_again_does_not_prolong_a_response() {
    let played = opened(&[REQUEST, RESPONSE, (1130.0, "<FPA", 901, 151, 500)]);
    assert_eq!(played.heard("response 10 10"), 1);
}

#[test]
fn a_response_with_a_hole_that_an_ack_shows_has_no_times() {
    let hole = [(1031.0, "<A", 1201, 151, 0), (1040.0, "<FA", 1201, 151, 0)];
    let played = opened(&[REQUEST, (1030.0, "<PA", 901, 151, 100), hole[0], hole[1]]);
    assert_eq!(played.heard("response ? ?"), 1);
}

#[test]
fn a_request_begins_at_an_unknown_time_if_one_and_an_answer_were_missed_before() {
    let played =
        opened(&[(1030.0, "<A", 901, 3294, 0), (1031.0, ">PA", 3294, 1677, 500), (1032.0, "<PA", 1677, 3794, 300)]);
    assert_eq!((played.heard("response ? ?"), played.heard("response")), (2, 2));
}

#[test]
fn missing_bytes_before_the_end_of_a_request_are_of_that_request() {
    // The beginnings of a request and of its answer were not captured.
    let played = opened(&[
        (1021.0, ">PA", 1101, 901, 50),
        (1029.0, ">A", 1151, 1401, 0),
        (1031.0, "<PA", 1401, 1151, 500),
        (1031.1, ">A", 1151, 1901, 0),
        (1041.0, ">FA", 1151, 1901, 0),
    ]);
    assert_eq!((played.facts.turns.requests, played.facts.turns.responses), (1, 1));
    assert_eq!(played.facts.sides.map(|side| side.missing_bytes), [1000, 500]);
}

/// A response of which every second piece is missing, `pieces` of them, and then comes after all, or not.
fn torn_in(pieces: u32, fills: bool) -> Vec<String> {
    let mut rows = vec![REQUEST];
    let piece = |at: f64, from: u32| (at, "<A", 901 + from, 151, 100);
    rows.extend((0..=pieces).map(|number| piece(1030.0, 200 * number)));
    if fills {
        rows.extend((0..pieces).map(|number| piece(1040.0, 200 * number + 100)));
    }
    let end = 901 + 200 * pieces + 100;
    rows.extend([(1050.0, ">PA", 151, end, 50), (1060.0, "<PA", end, 201, 10)]);
    let mut heard = opened(&rows).heard;
    heard.retain(|word| word.starts_with("response"));
    heard
}

#[test]
fn of_many_pieces_that_are_missing_at_once_each_tells_against_a_responses_time() {
    for pieces in [1, 8, 9, 31, 32, 33, 40] {
        assert_eq!(torn_in(pieces, false)[0], "response ? ?", "{pieces}");
        // Of so many that some were let go of nobody knows whether all have come.
        let filled = if pieces <= 32 { "response 10 20" } else { "response ? ?" };
        assert_eq!(torn_in(pieces, true)[0], filled, "{pieces}");
        assert_eq!(torn_in(pieces, true)[1], "response 10 10", "the next one is whole");
    }
}

#[test]
fn a_reset_that_tells_of_more_than_was_captured_leaves_the_response_without_times() {
    let ends = |row| responses(&[row]);
    assert_eq!(ends((1040.0, ">RA", 151, 1401, 0)), ["response 10 10"]);
    assert_eq!(ends((1040.0, ">RA", 151, 2401, 0)), ["response ? ?"], "its sender had 1000 bytes more");
    assert_eq!(ends((1040.0, "<R", 2401, 0, 0)), ["response ? ?"], "it had sent 1000 bytes more");
    let goes_on = [(1040.0, "<R", 2401, 0, 0), (1041.0, "<A", 1401, 151, 1000)];
    assert_eq!(responses(&goes_on), ["response 10 21"], "what the RST told of came after it");
    // What it tells of the originator's stream stands behind the response, or would have been acknowledged with it.
    assert_eq!(ends((1040.0, ">R", 1151, 0, 0)), ["response 10 10"]);
    assert_eq!(ends((1040.0, "<RA", 1401, 1151, 0)), ["response 10 10"]);
    // Behind a FIN no number tells of more.
    let closed = [(1040.0, "<FA", 1401, 151, 0), (1041.0, ">FA", 151, 1402, 0), (1042.0, "<R", 2402, 0, 0)];
    assert_eq!(responses(&closed), ["response 10 10"]);
    assert_eq!(
        unanswered(&[(1050.0, ">PA", 151, 1401, 31), (1050.1, ">FA", 182, 1401, 0), (1060.0, ">R", 283, 0, 0)]),
        0
    );
}
