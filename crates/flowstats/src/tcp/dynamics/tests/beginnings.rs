//! Connections met midway, or of one direction only.

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
