//! Requests and openings that cross, SYNs captured twice, and what comes long after its ACK.

use super::*;

#[test]
fn a_request_that_meets_a_greeting_counts_at_either_end() {
    let greeting = |at| (at, "<PA", 901, 101, 11);
    let asks = |at| (at, ">PA", 101, 901, 6);
    let turns = |rows: &[_]| {
        let played = opened(rows);
        let told: Vec<String> = played.heard.into_iter().filter(|line| line.starts_with("response")).collect();
        let turns = played.facts.turns;
        ([turns.requests, turns.responses, turns.server_first, turns.overlapped], told.join(", "))
    };
    let answer = (1026.0, "<PA", 912, 107, 9);
    let server = turns(&[greeting(1020.0), asks(1025.0), answer]);
    assert_eq!(server, ([1, 1, 1, 1], "response 1 1".to_owned()));
    let client = turns(&[asks(1005.0), greeting(1006.0), answer]);
    assert_eq!(client, ([1, 1, 1, 1], "response 21 21".to_owned()));
    let rest = [(1025.5, "<PA", 912, 101, 8), (1026.0, "<PA", 920, 107, 9)];
    let greets_on = turns(&[greeting(1020.0), asks(1025.0), rest[0], rest[1]]);
    assert_eq!(greets_on, ([1, 1, 1, 1], "response 1 1".to_owned()));
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
