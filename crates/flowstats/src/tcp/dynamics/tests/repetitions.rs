//! What was sent again, and why.

use super::*;

const DATA: [Row<'static>; 3] =
    [(1020.0, ">A", 101, 901, 100), (1020.1, ">A", 201, 901, 100), (1020.2, ">A", 301, 901, 100)];

#[test]
fn three_duplicate_acks_ask_for_a_fast_retransmission() {
    let asks = |at| (at, "<A", 901, 101, 0);
    let played = opened(&[
        DATA[0],
        DATA[1],
        DATA[2],
        asks(1030.0),
        asks(1030.1),
        asks(1030.2),
        (1031.0, ">A", 101, 901, 100),
        (1041.0, "<A", 901, 401, 0),
    ]);
    assert_eq!(played.sent_again(), ["Fast 100"]);
    assert_eq!(played.facts.sides[0].duplicate_acks, 3);
    assert_eq!(played.rtts()[2..], ["ambiguous>"]);
}

#[test]
fn what_the_receiver_reports_as_a_duplicate_was_spurious() {
    let mut rows = plain(&[&HANDSHAKE[..], &DATA].concat());
    rows.extend(plain(&[(1320.0, ">A", 101, 901, 100), (1321.0, "<A", 901, 401, 0)]));
    rows.push(((1330.0, "<A", 901, 401, 0), More { duplicate: Some(101), ..More::default() }));
    let played = play_with(&rows, EndReason::Forced);
    assert_eq!(played.sent_again(), ["Timeout 100", "needless Timeout"]);
    assert_eq!(played.facts.sides[0].sent_again(Retransmission::Spurious), 1);
    assert_eq!(played.facts.sides[0].sent_again(Retransmission::Timeout), 0);
    assert_eq!(played.facts.sides[0].all_sent_again(), 1);
}

#[test]
fn a_report_of_a_duplicate_is_of_one_copy() {
    // The first, which was lost before the capture, was needed: what came behind it is acknowledged with it.
    let mut rows = plain(&[&HANDSHAKE[..], &DATA[1..]].concat());
    let again = |at| (at, ">A", 101, 901, 100);
    rows.extend(plain(&[again(2050.0), (2051.0, "<A", 901, 401, 0), again(4050.0)]));
    rows.push(((4051.0, "<A", 901, 401, 0), More { duplicate: Some(101), ..More::default() }));
    let played = play_with(&rows, EndReason::Forced);
    assert_eq!(played.sent_again(), ["Timeout 100", "Spurious 100"]);
    assert_eq!(played.facts.sides[0].sent_again(Retransmission::Timeout), 1);
}

#[test]
fn no_answer_to_duplicate_acks_comes_so_late() {
    let asks = |at| (at, "<A", 901, 101, 0);
    let again = |at| opened(&[DATA[0], DATA[1], asks(1030.0), asks(1030.1), asks(1030.2), (at, ">A", 101, 901, 100)]);
    assert_eq!(again(2020.0).sent_again(), ["Fast 100"]);
    assert_eq!(again(4050.0).sent_again(), ["Timeout 100"]);
}

/// Ten segments of which every second is lost, what the receiver says of it, and `again`.
fn recovery(again: &[Row<'static>]) -> Vec<String> {
    let mut rows = vec![(720.0, ">S", 100, 0, 0), (1019.9, "<SA", 900, 101, 0), (1020.0, ">A", 101, 901, 0)];
    rows.extend((0..10).map(|number| (1020.0, ">A", 101 + 100 * number, 901, 100)));
    rows.extend([0.0, 0.1, 0.2].map(|later| (1320.0 + later, "<A", 901, 101, 0)));
    rows.extend(again);
    play(&rows).sent_again().into_iter().map(str::to_owned).collect()
}

#[test]
fn an_ack_of_a_part_asks_for_the_next_hole_however_long_the_recovery_takes() {
    // A round trip of 300 ms: each hole but the first is filled when the one before was acknowledged.
    let again = |number: u32| {
        let at = 1320.3 + 300.0 * f64::from(number);
        [(at, ">A", 101 + 200 * number, 901, 100), (at + 299.0, "<A", 901, 301 + 200 * number, 0)]
    };
    let rows: Vec<_> = (0..5).flat_map(again).collect();
    assert_eq!(recovery(&rows), ["Fast 100"; 5]);
    // One that was lost again: of the same ACK nothing comes twice but by a timer, whose recovery goes on so.
    let timer = [(2119.3, ">A", 301, 901, 100), (2418.0, "<A", 901, 501, 0), (2418.1, ">A", 501, 901, 100)];
    let rows = [&rows[..3], &timer].concat();
    assert_eq!(recovery(&rows), ["Fast 100", "Fast 100", "Timeout 100", "Timeout 100"]);
    // Nobody answers so late.
    let rows = [&rows[..2], &[(2900.0, ">A", 301, 901, 100)]].concat();
    assert_eq!(recovery(&rows), ["Fast 100", "Timeout 100"]);
}

#[test]
fn a_recovery_ends_with_what_was_on_its_way_when_it_began() {
    // Round trips of 80 ms; new data in the recovery, whose last is lost: a probe two round trips behind the last ACK.
    let mut rows = HANDSHAKE.to_vec();
    rows.extend([(1020.0, ">A", 101, 901, 100), (1020.1, ">A", 201, 901, 100), (1020.2, ">A", 301, 901, 100)]);
    rows.extend([(1100.0, "<A", 901, 101, 0), (1100.1, "<A", 901, 101, 0), (1100.2, "<A", 901, 101, 0)]);
    rows.extend([(1100.3, ">A", 101, 901, 100), (1100.4, ">A", 401, 901, 100), (1100.5, ">A", 501, 901, 100)]);
    rows.extend([(1180.3, "<A", 901, 401, 0), (1180.4, "<A", 901, 501, 0), (1390.0, ">A", 501, 901, 100)]);
    assert_eq!(play(&rows).sent_again(), ["Fast 100", "Timeout 100"]);
}

#[test]
fn a_syn_captured_again_behind_the_handshake_is_no_retransmission() {
    let with = |row: Row<'static>, id, stamp| (row, More { id, stamps: Some((stamp, 0)), ..More::default() });
    let first = with(HANDSHAKE[0], 7, 50);
    let rows = [first, with(HANDSHAKE[1], 3, 90), with(HANDSHAKE[2], 8, 51)];
    let late = ((1010.5, ">S", 100, 0, 0), first.1);
    let played = play_with(&[&rows[..], &[late]].concat(), EndReason::Forced);
    assert_eq!((played.sent_again(), played.facts.sides[0].duplicates), (vec!["duplicate"], 1));
    // Its sender has written another one.
    let other = with(late.0, 9, 52);
    assert_eq!(play_with(&[&rows[..], &[other]].concat(), EndReason::Forced).sent_again(), ["Syn 0"]);
}

#[test]
fn what_was_acknowledged_before_was_spurious() {
    let played = opened(&[DATA[0], (1030.0, "<A", 901, 201, 0), (1320.0, ">A", 101, 901, 100)]);
    assert_eq!(played.sent_again(), ["Spurious 100"]);
}

#[test]
fn one_packet_captured_twice_is_no_retransmission() {
    let id = |row: Row<'static>, id| (row, More { id, ..More::default() });
    let rows = [
        id(HANDSHAKE[0], 1),
        id(HANDSHAKE[0], 1),
        id(HANDSHAKE[1], 1),
        id(HANDSHAKE[2], 2),
        id(HANDSHAKE[2], 2),
        id(DATA[0], 3),
        id(DATA[0], 3),
        id((1030.0, "<A", 901, 201, 0), 2),
        id((1030.0, "<A", 901, 201, 0), 2),
        id((1040.0, ">FA", 201, 901, 0), 4),
        id((1040.0, ">FA", 201, 901, 0), 4),
    ];
    let played = play_with(&rows, EndReason::Forced);
    assert_eq!(played.sent_again(), ["duplicate"; 5]);
    assert_eq!(played.facts.sides.map(|side| side.all_sent_again()), [0, 0]);
    assert_eq!(played.rtts(), ["rtt>H 10", "rtt<H 0.1", "rtt>A 10"], "the first copy is timed");
    assert_eq!(played.facts.sides[0].duplicate_acks, 0);
}

#[test]
fn probes_are_no_loss() {
    let played = opened(&[
        REQUEST,
        (1030.0, "<A", 901, 151, 0),
        (61_000.0, ">A", 150, 901, 0),
        (61_010.0, "<A", 901, 151, 0),
        (121_000.0, ">A", 150, 901, 1),
        (121_010.0, "<A", 901, 151, 0),
    ]);
    assert_eq!(played.sent_again(), ["KeepAlive 0", "KeepAlive 1"]);
    assert_eq!(played.facts.sides[0].all_sent_again(), 0);
    assert_eq!(played.facts.turns.requests, 1);
}

#[test]
fn a_probe_that_is_captured_twice_is_one() {
    let row = |row, id| (row, More { id, ..More::default() });
    for (payload, ids) in [(0, [7, 8]), (1, [7, 8]), (0, [0, 0]), (1, [0, 0])] {
        let probe = |time| (time, ">A", 150, 901, payload);
        let mut rows: Vec<_> = HANDSHAKE.iter().map(|&one| row(one, 0)).collect();
        rows.extend([row(REQUEST, ids[0].min(1)), row((1030.0, "<A", 901, 151, 0), 0)]);
        rows.extend([
            row(probe(61_000.0), ids[0]),
            row(probe(61_000.05), ids[0]),
            row((61_010.0, "<A", 901, 151, 0), 0),
        ]);
        rows.extend([row(probe(121_000.0), ids[1]), row(probe(121_000.05), ids[1])]);
        let (played, probe) = (play_with(&rows, EndReason::Forced), format!("KeepAlive {payload}"));
        assert_eq!(played.sent_again(), [probe.as_str(), "duplicate", &probe, "duplicate"], "{payload} {ids:?}");
    }
}

#[test]
fn a_zero_window_is_probed_and_timed() {
    let zero = More { window: Some(0), ..More::default() };
    let plain = More::default();
    let mut rows: Vec<_> = HANDSHAKE.iter().map(|&row| (row, plain)).collect();
    rows.extend([
        (REQUEST, plain),
        ((1030.0, "<A", 901, 151, 0), zero),
        // Linux asks with nothing, below the next byte; others with a byte of the stream.
        ((1230.0, ">A", 150, 901, 0), plain),
        ((1240.0, "<A", 901, 151, 0), zero),
        ((1630.0, ">A", 151, 901, 1), plain),
        ((1640.0, "<A", 901, 151, 0), zero),
        ((2030.0, "<A", 901, 151, 0), plain),
        ((2031.0, ">A", 151, 901, 100), plain),
        ((2041.0, "<A", 901, 251, 0), plain),
    ]);
    let played = play_with(&rows, EndReason::Forced);
    assert_eq!(played.sent_again(), ["WindowProbe 0", "WindowProbe 0"]);
    let side = played.facts.sides[1];
    assert_eq!((side.zero_windows, side.zero_window_time), (3, Nanos::new(1_000_000_000)));
    assert_eq!(played.facts.turns.requests, 1);
}

#[test]
fn a_window_still_closed_at_the_end_is_timed_to_there() {
    let zero = More { window: Some(0), ..More::default() };
    let mut rows = plain(&HANDSHAKE);
    rows.extend([((1030.0, "<A", 901, 101, 0), zero), ((1530.0, "<A", 901, 101, 0), zero)]);
    assert_eq!(play_with(&rows, EndReason::Forced).facts.sides[1].zero_window_time, Nanos::new(500_000_000));
}

#[test]
fn an_overtaken_segment_was_not_sent_again() {
    let id = |row: Row<'static>, id| (row, More { id, ..More::default() });
    let mut rows: Vec<_> = HANDSHAKE.iter().zip([1, 1, 2]).map(|(&row, number)| id(row, number)).collect();
    rows.extend([id(DATA[1], 4), id((1120.0, ">A", 101, 901, 100), 3), id((1130.0, "<A", 901, 301, 0), 2)]);
    let played = play_with(&rows, EndReason::Forced);
    assert_eq!(played.sent_again(), ["reordering"]);
    assert_eq!(played.rtts()[2..], ["ambiguous>"]);
    rows[4].1.id = 5;
    assert_eq!(play_with(&rows, EndReason::Forced).sent_again(), ["Timeout 100"], "numbered after what overtook it");
}

#[test]
fn a_fin_sent_again_is_a_retransmission() {
    let played = opened(&[(1020.0, ">FA", 101, 901, 0), (1320.0, ">FA", 101, 901, 0), (1330.0, "<A", 901, 102, 0)]);
    assert_eq!(played.sent_again(), ["Timeout 0"]);
    assert_eq!(played.rtts()[2..], ["ambiguous>"]);
}

#[test]
fn merged_segments_prove_no_loss() {
    // A host's capture: sent as one of 2,000 bytes, acknowledged in halves, and seen merged on the way back.
    let played = opened(&[
        (1020.0, ">A", 101, 901, 2000),
        (1030.0, "<A", 901, 1101, 0),
        (1031.0, "<A", 901, 2101, 0),
        (1040.0, "<PA", 901, 2101, 64_000),
        (1041.0, ">A", 2101, 30_901, 0),
        (1042.0, ">A", 2101, 64_901, 0),
    ]);
    assert!(played.sent_again().is_empty());
    assert_eq!(played.facts.sides.map(|side| side.missing_bytes), [0, 0]);
    assert_eq!(played.rtts()[2..], ["rtt>A 11", "rtt<A 2"]);
    // One packet seen merged on one interface and cut on another.
    let mut rows = plain(&HANDSHAKE);
    let other = More { interface: 1, ..More::default() };
    rows.push(((1020.0, ">A", 101, 901, 2000), More::default()));
    rows.push(((1020.01, ">A", 101, 901, 1000), other));
    rows.push(((1020.02, ">A", 1101, 901, 1000), other));
    let played = play_with(&rows, EndReason::Forced);
    assert_eq!(played.sent_again(), ["duplicate", "duplicate"]);
}

#[test]
fn numbers_may_wrap_in_the_middle_of_trouble() {
    let first = u32::MAX - 50;
    let played = play(&[
        (1000.0, ">S", first.wrapping_sub(1), 0, 0),
        (1010.0, "<SA", 900, first, 0),
        (1010.1, ">A", first, 901, 0),
        (1020.0, ">A", first, 901, 100),
        (1220.0, ">A", first, 901, 100),
        (1230.0, "<A", 901, first.wrapping_add(100), 0),
        (1240.0, ">A", first.wrapping_add(100), 901, 100),
        (1250.0, "<A", 901, first.wrapping_add(200), 0),
    ]);
    assert_eq!(played.sent_again(), ["Timeout 100"]);
    assert_eq!(played.rtts()[2..], ["ambiguous>", "rtt>A 10"]);
}

#[test]
fn a_copy_of_a_syn_ack_that_is_sent_again_after_the_handshake_is_a_copy() {
    let again = |at, id| ((at, "<SA", 900, 101, 0), More { id, ..More::default() });
    let mut rows: Vec<_> = HANDSHAKE.iter().map(|row| (*row, More::default())).collect();
    rows.extend([again(2010.0, 7), again(2010.02, 7), again(4010.0, 0), again(4010.02, 0)]);
    let played = play_with(&rows, EndReason::Forced);
    assert_eq!(played.sent_again(), ["SynAck 0", "duplicate", "SynAck 0", "duplicate"]);
    // Behind the longest delay of a copy its sender may have used the number again.
    let rows = [rows[0], rows[1], rows[2], again(2010.0, 7), again(2310.0, 7)];
    assert_eq!(play_with(&rows, EndReason::Forced).facts.sides[1].guessed, 1);
}

#[test]
fn what_may_have_been_sent_again_gives_no_round_trip() {
    let row = |row, id| (row, More { id, ..More::default() });
    let rows =
        |again| [row(HANDSHAKE[0], 9000), row(HANDSHAKE[1], 0), row(HANDSHAKE[2], 500), row(REQUEST, 7000), again];
    let told = |again| {
        let answer = row((1300.0, "<A", 901, 151, 0), 0);
        let played = play_with(&[&rows(again)[..], &[answer]].concat(), EndReason::Forced);
        (
            played.sent_again()[0] == "duplicate",
            played.facts.sides[0].guessed,
            *played.rtts().last().unwrap() == "ambiguous>",
        )
    };
    // A random number may be near another by chance.
    assert_eq!(told(row((1220.0, ">PA", 101, 901, 50), 6980)), (true, 1, true));
    // So soon it makes no difference.
    assert_eq!(told(row((1020.5, ">PA", 101, 901, 50), 6980)), (true, 1, false));
}

#[test]
fn an_overtaken_segment_of_an_earlier_window_is_valid() {
    let mut rows = Vec::new();
    for seq in [101, 1101, 2101] {
        rows.extend([(1020.0, ">A", seq, 901, 1000), (1021.0, "<A", 901, seq + 1000, 0)]);
    }
    rows.push((1026.0, ">A", 1101, 901, 0));
    assert_eq!(opened(&rows).facts.invalid, 0);
}

#[test]
fn a_zero_window_that_nobody_heeds_is_not_opened_by_what_is_sent_on() {
    let row = |row, window| (row, More { window: Some(window), ..More::default() });
    let mut rows: Vec<_> = HANDSHAKE.iter().map(|one| row(*one, 1000)).collect();
    rows.extend([
        row(REQUEST, 1000),
        row((1030.0, "<A", 901, 151, 500), 1000),
        row((1031.0, ">PA", 151, 901, 50), 1000),
        // Sent again: older than the newest.
        row((1032.0, ">PA", 101, 1401, 50), 0),
        row((1045.0, "<A", 1401, 151, 12), 1000),
    ]);
    assert!(!play_with(&rows, EndReason::Forced).facts.sides[0].zero_window_unseen);
    // On its way when the window was closed.
    rows[6] = row((1032.0, ">A", 201, 1401, 0), 0);
    rows[7].0.0 = 1035.0;
    assert!(!play_with(&rows, EndReason::Forced).facts.sides[0].zero_window_unseen);
    rows[7].0.0 = 1053.0;
    assert!(play_with(&rows, EndReason::Forced).facts.sides[0].zero_window_unseen);
}

#[test]
fn a_segment_that_was_overtaken_neither_opens_nor_closes_a_window() {
    let row = |row, window| (row, More { window: Some(window), ..More::default() });
    // With timestamps, where they are not 0.
    let timed_with = |stamps: [u32; 3], segments: [(Row<'static>, u16); 3]| {
        let mut rows: Vec<_> = HANDSHAKE.iter().map(|one| row(*one, 1000)).collect();
        rows.push(row(REQUEST, 1000));
        rows.push(row((1021.0, ">PA", 151, 901, 50), 1000));
        let stamped = |((one, window), stamp): ((Row<'static>, u16), u32)| {
            (one, More { stamps: (stamp != 0).then_some((stamp, 7)), ..row(one, window).1 })
        };
        rows.extend(segments.into_iter().zip(stamps).map(stamped));
        let side = play_with(&rows, EndReason::Forced).facts.sides[1];
        (side.zero_windows, ms(side.zero_window_time))
    };
    let timed = |segments| timed_with([0; 3], segments);
    let opens = ((2030.0, "<A", 901, 201, 0), 1000);
    // By a smaller acknowledgment.
    assert_eq!(timed([((1030.0, "<A", 901, 201, 0), 0), ((1031.0, "<A", 901, 151, 0), 1000), opens]), (1, 1000.0));
    assert_eq!(timed([((1030.0, "<A", 901, 201, 0), 1000), ((1031.0, "<A", 901, 151, 0), 0), opens]), (1, 0.0));
    let later = ((2030.0, "<A", 1001, 201, 0), 1000);
    // By data behind which there was newer, if its sender's clock says so.
    let data = [((1030.0, "<PA", 951, 201, 50), 0), ((1031.0, "<PA", 901, 201, 50), 1000), later];
    assert_eq!(timed_with([1150, 1149, 2000], data), (1, 1000.0));
    assert_eq!(timed(data), (1, 1.0));
    // Sent again, it tells what is so now.
    assert_eq!(timed([((1030.0, "<PA", 901, 201, 50), 0), ((1530.0, "<PA", 901, 201, 50), 1000), later]), (1, 500.0));
    // As old as the newest: it was sent behind it, as far as anybody knows.
    assert_eq!(timed([((1030.0, "<A", 901, 201, 0), 0), ((1031.0, "<A", 901, 201, 0), 1000), opens]), (1, 1.0));
}

#[test]
fn where_nothing_was_acknowledged_yet_no_ack_is_older() {
    let row = |row, window| (row, More { window: Some(window), ..More::default() });
    // Met midway, with the ACKs of data in flight before.
    let midway = [
        row((1000.0, ">A", 50_001, 901, 100), 1000),
        row((1001.0, "<A", 901, 40_001, 0), 0),
        row((3001.0, "<A", 901, 45_001, 0), 1000),
        row((3020.0, "<A", 901, 50_101, 0), 1000),
    ];
    assert_eq!(ms(play_with(&midway, EndReason::Forced).facts.sides[1].zero_window_time), 2000.0);
    // A server that begins anew, with a lower number.
    let anew = [
        row((1000.0, ">S", 100, 0, 0), 1000),
        row((1010.0, "<SA", 9000, 101, 0), 1000),
        row((1500.0, "<SA", 900, 101, 0), 0),
        row((1510.0, ">A", 101, 901, 0), 1000),
        row((4500.0, "<A", 901, 101, 0), 1000),
    ];
    assert_eq!(ms(play_with(&anew, EndReason::Forced).facts.sides[1].zero_window_time), 3000.0);
}

#[test]
fn a_fin_that_an_ack_overtook_is_late() {
    let row = |row, id| (row, More { id, ..More::default() });
    let mut rows: Vec<_> = HANDSHAKE.iter().map(|one| row(*one, 0)).collect();
    rows.extend([
        row(REQUEST, 10),
        row((1040.0, ">A", 152, 901, 0), 12),
        row((1300.0, ">FA", 151, 901, 0), 11),
        row((1301.0, "<A", 901, 152, 0), 0),
    ]);
    let played = play_with(&rows, EndReason::Forced);
    assert_eq!((played.sent_again(), played.facts.sides[0].guessed), (vec!["reordering"], 0));
}

#[test]
fn a_copy_of_a_segment_that_an_ack_overtook_is_no_repetition() {
    let row = |row, id, stamp| (row, More { id, stamps: Some((stamp, 7)), ..More::default() });
    let mut rows: Vec<_> = HANDSHAKE.iter().zip([101, 0, 102]).map(|(&one, id)| row(one, id, id)).collect();
    rows.extend([
        row((1020.0, ">PA", 101, 901, 50), 103, 120),
        row((1030.0, "<A", 901, 151, 0), 0, 8),
        // Both sent at once, and the ACK first.
        row((1040.1, ">A", 201, 901, 0), 105, 140),
        row((1044.0, ">PA", 151, 901, 50), 104, 140),
        row((1048.0, ">PA", 151, 901, 50), 104, 140),
        row((1050.2, "<A", 901, 201, 0), 0, 9),
    ]);
    let played = play_with(&rows, EndReason::Forced);
    assert_eq!(played.sent_again(), ["reordering", "duplicate"]);
}

#[test]
fn what_the_network_delivered_twice_tells_no_round_trip() {
    let row = |row, id| (row, More { id, ..More::default() });
    let rows = |fin: bool, again: f64| {
        let what = if fin { ">FA" } else { ">PA" };
        let payload = if fin { 0 } else { 50 };
        let mut rows: Vec<_> = HANDSHAKE.iter().zip([101, 0, 102]).map(|(&one, id)| row(one, id)).collect();
        rows.extend([
            row((1020.0, what, 101, 901, payload), 103),
            row((again, what, 101, 901, payload), 103),
            row((1056.0, "<A", 901, if fin { 102 } else { 151 }, 0), 0),
        ]);
        play_with(&rows, EndReason::Forced).rtts().into_iter().skip(2).map(str::to_owned).collect::<Vec<_>>()
    };
    for fin in [false, true] {
        assert_eq!(rows(fin, 1050.0), ["ambiguous>"], "{fin}");
        // A capture may have every packet twice.
        assert_eq!(rows(fin, 1020.5), ["rtt>A 36"], "{fin}");
    }
}

#[test]
fn a_fin_with_the_timestamp_of_what_was_sent_again_makes_its_echo_ambiguous() {
    let row = |row, stamp| (row, More { stamps: Some((stamp, 7)), ..More::default() });
    for (what, payload) in [(">FA", 0), (">PA", 1)] {
        let mut rows: Vec<_> = HANDSHAKE.iter().map(|&one| row(one, 100)).collect();
        rows.extend([
            row((1020.0, ">PA", 101, 901, 50), 100),
            row((1320.0, ">PA", 101, 901, 50), 101),
            row((1380.0, what, 151, 901, payload), 101),
            ((1386.0, "<A", 901, 152, 0), More { stamps: Some((8, 101)), ..More::default() }),
        ]);
        let played = play_with(&rows, EndReason::Forced);
        assert_eq!(played.rtts()[2..], ["ambiguous>"], "{what}");
    }
}

#[test]
fn a_window_that_was_overtaken_counts_for_nothing_though_it_acknowledges_as_much() {
    let zero_time = |told: &[(f64, u16, u32, u32)]| {
        let mut rows = plain(&HANDSHAKE);
        rows.push((REQUEST, More::default()));
        rows.push(((1030.0, "<A", 901, 151, 0), More { id: 5, stamps: Some((100, 1)), ..More::default() }));
        rows.extend(told.iter().map(|&(at, window, stamp, id)| {
            let stamps = (stamp > 0).then_some((stamp, 1));
            ((at, "<A", 901, 151, 0), More { window: Some(window), id, stamps, ..More::default() })
        }));
        let side = play_with(&rows, EndReason::Forced).facts.sides[1];
        (side.zero_windows, ms(side.zero_window_time))
    };
    // By timestamps: an old open window, an old shut one.
    assert_eq!(zero_time(&[(1100.0, 0, 170, 7), (1101.0, 500, 160, 6), (1300.0, 500, 370, 8)]), (1, 200.0));
    assert_eq!(
        zero_time(&[(1100.0, 0, 170, 6), (1103.0, 500, 173, 8), (1104.0, 0, 171, 7), (1160.0, 500, 230, 9)]),
        (2, 3.0)
    );
    // Half of all numbers of a clock of microseconds later.
    let later = 170u32.wrapping_add(2_400_000_000);
    let shut_twice =
        [(1100.0, 0, 170, 7), (1300.0, 500, 370, 8), (2_401_100.0, 0, later, 9), (2_406_100.0, 500, later, 9)];
    assert_eq!(zero_time(&shut_twice), (2, 5200.0));
    // By identifications.
    assert_eq!(zero_time(&[(1100.0, 0, 0, 7), (1101.0, 500, 0, 6), (1300.0, 500, 0, 8)]), (1, 200.0));
    // Nothing tells.
    assert_eq!(zero_time(&[(1100.0, 0, 0, 0), (1101.0, 500, 0, 0)]), (1, 1.0));
}
