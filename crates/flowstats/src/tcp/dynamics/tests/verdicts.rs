//! What a scenario with a known truth had shown to be wrong.

use super::*;

fn numbered(rows: &[(Row<'_>, u32)]) -> Played {
    let rows: Vec<_> = rows.iter().map(|&(row, id)| (row, More { id, ..More::default() })).collect();
    play_with(&rows, EndReason::Forced)
}

/// A handshake whose client counts its datagrams from 10, and its server from 70.
fn opened_by_number() -> Vec<(Row<'static>, u32)> {
    HANDSHAKE.into_iter().zip([10, 70, 11]).collect()
}

#[test]
fn a_burst_captured_twice_is_not_sent_again() {
    let mut rows = opened_by_number();
    let burst = [((1020.0, ">A", 101, 901, 100), 12), ((1020.001, ">PA", 201, 901, 100), 13)];
    rows.extend(burst);
    rows.extend(burst.map(|((at, what, seq, ack, payload), id)| ((at + 0.002, what, seq, ack, payload), id)));
    let played = numbered(&rows);
    assert_eq!(played.sent_again(), ["duplicate", "duplicate"]);
    assert_eq!(played.facts.sides[0].guessed, 0, "the numbers tell");
}

#[test]
fn an_ack_that_a_fin_overtook_is_no_keep_alive() {
    let mut rows = opened_by_number();
    rows.extend([
        ((1020.0, ">FA", 101, 901, 0), 13),
        ((1020.5, "<A", 901, 102, 0), 71),
        ((1021.0, ">A", 101, 901, 0), 12),
    ]);
    assert!(numbered(&rows).sent_again().is_empty());
}

#[test]
fn an_original_behind_its_own_repetition_was_overtaken() {
    let mut rows = opened_by_number();
    rows.extend([
        ((1020.0, ">A", 201, 901, 100), 13),
        ((1300.0, ">A", 101, 901, 100), 14),
        ((1300.1, ">A", 101, 901, 100), 12),
    ]);
    assert_eq!(numbered(&rows).sent_again(), ["Timeout 100", "reordering"]);
}

#[test]
fn what_a_timer_began_duplicate_acks_do_not_continue() {
    let data = |at: f64, seq| (at, ">A", seq, 901, 100);
    let ack = |at: f64, ack| (at, "<A", 901, ack, 0);
    let played = opened(&[
        data(1020.0, 101),
        data(1020.1, 201),
        data(1020.2, 301),
        data(1300.0, 101),
        ack(1310.0, 201),
        ack(1310.1, 201),
        ack(1310.2, 201),
        ack(1310.3, 201),
        data(1311.0, 201),
    ]);
    assert_eq!(played.sent_again(), ["Timeout 100", "Timeout 100"]);
}

#[test]
fn a_repetition_captured_twice_is_one() {
    let again = (1300.0, ">PA", 101, 901, 50);
    let copy = (1300.002, ">PA", 101, 901, 50);
    let played = opened(&[(1020.0, ">PA", 101, 901, 50), again, copy]);
    assert_eq!(played.sent_again(), ["Timeout 50", "duplicate"]);
    assert_eq!(played.facts.sides[0].guessed, 2);
}

#[test]
fn what_was_missed_and_comes_late_may_have_been_sent_again() {
    let stamped = |row, stamp| (row, More { stamps: Some((stamp, 1)), ..More::default() });
    let mut rows: Vec<_> = HANDSHAKE.iter().zip([10, 5, 20]).map(|(&row, stamp)| stamped(row, stamp)).collect();
    rows.extend([
        stamped(REQUEST, 30),
        stamped((1030.0, "<A", 901, 201, 0), 6),
        stamped((1240.0, ">PA", 151, 901, 50), 260),
    ]);
    assert_eq!(play_with(&rows, EndReason::Forced).sent_again(), ["Spurious 50"]);
}

#[test]
fn a_response_that_began_in_a_hole_has_no_times() {
    let jump = (1030.0, "<PA", 1401, 151, 100);
    let played = opened(&[REQUEST, jump, (1040.0, ">PA", 151, 901, 50), (1050.0, "<A", 1501, 201, 0)]);
    assert_eq!(played.heard("response ? ?"), 1);
}

#[test]
fn a_fin_that_was_not_captured_ends_no_turn() {
    let played = opened(&[
        REQUEST,
        (1030.0, "<A", 901, 151, 500),
        (1031.0, "<A", 1401, 152, 0),
        (1040.0, "<PA", 1401, 152, 500),
    ]);
    assert_eq!(played.facts.turns.requests, 1);
}

#[test]
fn a_response_whose_fin_came_first_is_complete_when_all_is_there() {
    let fin = (1035.0, "<FA", 1901, 151, 0);
    let played = opened(&[REQUEST, RESPONSE, fin, (1036.0, "<PA", 1401, 151, 500)]);
    assert_eq!(played.heard("response 10 16"), 1);
}

#[test]
fn a_fin_does_not_end_a_handshakes_time() {
    let played = play(&[HANDSHAKE[0], HANDSHAKE[1], (9000.0, ">FA", 101, 901, 0), (9010.0, "<FA", 901, 102, 0)]);
    assert_eq!(played.facts.opening.outcome, Outcome::Established);
    assert_eq!((played.facts.opening.connect(), played.facts.opening.rtt()), (None, None));
}

#[test]
fn a_syn_captured_behind_its_syn_ack_gives_no_time() {
    let played = play(&[(1010.0, "<SA", 900, 101, 0), (1010.05, ">S", 100, 0, 0), (1010.1, ">A", 101, 901, 0)]);
    assert_eq!(played.facts.opening.connect(), None);
}

#[test]
fn a_syn_ack_without_an_ack_leaves_it_half_open() {
    let played = play(&[HANDSHAKE[0], HANDSHAKE[1]]);
    assert_eq!(played.facts.opening.outcome, Outcome::HalfOpen);
}

#[test]
fn a_reset_after_both_have_closed_is_none() {
    let closed = [(1040.0, ">FA", 101, 901, 0), (1050.0, "<FA", 901, 102, 0)];
    let played = opened(&[closed[0], closed[1], (1051.0, ">R", 102, 0, 0)]);
    assert_eq!((played.facts.reset_by, played.heard("reset")), (None, 0));
}

#[test]
fn a_closing_alert_is_no_unanswered_request() {
    let alert = (1040.0, ">PA", 151, 1401, 31);
    let played = opened(&[REQUEST, RESPONSE, alert, (1040.1, ">FA", 182, 1401, 0)]);
    assert_eq!((played.facts.turns.requests, played.facts.turns.unanswered()), (2, 0));
    let cut = opened(&[REQUEST, RESPONSE, alert, (1040.1, "<FA", 1401, 182, 0)]);
    assert_eq!(cut.facts.turns.unanswered(), 1, "the server closed without an answer");
}

#[test]
fn an_ack_that_waited_for_an_answer_says_so() {
    let played = opened(&[REQUEST, RESPONSE]);
    assert_eq!(played.rtts(), ["rtt>H 10", "rtt<H 0.1", "rtt>P 10"]);
}

#[test]
fn a_handshakes_ack_of_a_greeting_too_times_the_greeting() {
    let greeting = (1011.0, "<PA", 901, 101, 21);
    let played = play(&[HANDSHAKE[0], HANDSHAKE[1], greeting, (1011.5, ">A", 101, 922, 0)]);
    assert_eq!(played.rtts(), ["rtt>H 10", "rtt<A 0.5"]);
    assert_eq!(played.facts.opening.rtt().map(ms), Some(11.5), "the handshake ends with it all the same");
    let first_only = play(&[HANDSHAKE[0], HANDSHAKE[1], greeting, (1011.5, ">A", 101, 901, 0)]);
    assert_eq!(first_only.rtts(), ["rtt>H 10", "rtt<H 1.5"]);
    let with_syn_ack = play(&[HANDSHAKE[0], (1010.0, "<SA", 900, 101, 21), (1010.5, ">A", 101, 922, 0)]);
    assert_eq!(with_syn_ack.rtts(), ["rtt>H 10", "rtt<H 0.5"]);
}

#[test]
fn a_syn_captured_behind_its_syn_ack_was_acknowledged_by_it() {
    let swapped = [(1010.0, "<SA", 900, 101, 0), (1010.05, ">S", 100, 0, 0), HANDSHAKE[2]];
    let played = play(&[swapped[0], swapped[1], swapped[2], REQUEST, (1030.0, "<A", 901, 151, 0)]);
    assert_eq!(played.rtts(), ["rtt<H 0.1", "rtt>A 10"]);
}

#[test]
fn a_crossing_syn_ack_is_no_copy_of_the_syn() {
    let split = [
        (0.0, ">S", 100, 0, 0),
        (0.5, "<S", 900, 0, 0),
        (1.0, ">SA", 100, 901, 0),
        (1.5, "<A", 901, 101, 0),
        (2.0, ">PA", 101, 901, 4),
    ];
    // A stack that gives every packet the same identification.
    let played = numbered(&split.map(|row| (row, 1)));
    assert!(played.sent_again().is_empty(), "{:?}", played.heard);
    assert_eq!(played.facts.opening.shape, crate::tcp::Shape::Split);
}
