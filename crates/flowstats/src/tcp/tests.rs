use super::*;

/// Plays a scenario of `direction flags seq ack payload` and gives state and history.
fn play(steps: &[(char, &str, u32, u32, u32)]) -> (ConnState, String, Tcp) {
    let mut tcp = Tcp::default();
    for (at, &(direction, letters, seq, ack, payload)) in steps.iter().enumerate() {
        let mut flags = TcpFlags::empty();
        for letter in letters.chars() {
            flags |= match letter {
                'S' => TcpFlags::SYN,
                'A' => TcpFlags::ACK,
                'F' => TcpFlags::FIN,
                'R' => TcpFlags::RST,
                _ => TcpFlags::PSH,
            };
        }
        let segment = TcpSegment { seq, ack, flags, window: 1000, ..TcpSegment::default() };
        let direction = if direction == '>' { Direction::Forward } else { Direction::Reverse };
        tcp.observe(&segment, payload, direction, Timestamp::from_nanos(at as i64 * 1_000_000));
    }
    (tcp.state(), tcp.history().as_str().to_owned(), tcp)
}

const OPEN: [(char, &str, u32, u32, u32); 3] =
    [('>', "S", 100, 0, 0), ('<', "SA", 900, 101, 0), ('>', "A", 101, 901, 0)];

fn opened(more: &[(char, &str, u32, u32, u32)]) -> (ConnState, String, Tcp) {
    play(&[&OPEN[..], more].concat())
}

#[test]
fn a_request_and_its_answer_end_normally() {
    let (state, history, tcp) = opened(&[
        ('>', "PA", 101, 901, 50),
        ('<', "A", 901, 151, 0),
        ('<', "PA", 901, 151, 500),
        ('>', "A", 151, 1401, 0),
        ('>', "FA", 151, 1401, 0),
        ('<', "FA", 1401, 152, 0),
        ('>', "A", 152, 1402, 0),
    ]);
    assert_eq!((state, history.as_str()), (ConnState::SF, "ShADadFf"));
    assert_eq!(tcp.ends().map(|end| end.stream_bytes()), [50, 500]);
    assert_eq!(tcp.completeness(), 31);
    assert_eq!(tcp.missed_bytes(), [0, 0]);
    let times = tcp.handshake_times();
    assert_eq!(times.ack.unwrap() - times.syn.unwrap(), flowcore::Nanos::new(2_000_000));
}

#[test]
fn a_fin_is_no_payload_whatever_stands_beside_it() {
    let sent = |tcp: &Tcp| tcp.ends().map(|end| end.stream_bytes());
    // SYN and FIN in one segment, as T/TCP (RFC 1644) and scanners send it.
    assert_eq!(sent(&play(&[('>', "SF", 100, 0, 0)]).2), [0, 0]);
    assert_eq!(sent(&play(&[('>', "SF", 100, 0, 7)]).2), [7, 0]);
    assert_eq!(sent(&play(&[('>', "S", 100, 0, 0), ('>', "SF", 5000, 0, 3)]).2), [3, 0]);
    // FIN and RST in one segment, at the end of a connection that carried something.
    assert_eq!(sent(&opened(&[('>', "PA", 101, 901, 50), ('>', "FRA", 151, 901, 0)]).2), [50, 0]);
    // A FIN that comes behind a RST takes no place in the stream any more.
    assert_eq!(sent(&opened(&[('>', "PA", 101, 901, 50), ('>', "R", 151, 0, 0), ('>', "FA", 151, 901, 0)]).2), [50, 0]);
    // A FIN that is sent twice is one.
    assert_eq!(sent(&opened(&[('>', "FA", 101, 901, 5), ('>', "FA", 101, 901, 5)]).2), [5, 0]);
}

#[test]
fn states_follow_who_did_what() {
    assert_eq!(play(&[('>', "S", 1, 0, 0)]).0, ConnState::S0);
    assert_eq!(play(&[('>', "S", 1, 0, 0), ('<', "RA", 0, 2, 0)]).0, ConnState::REJ);
    assert_eq!(opened(&[]).0, ConnState::S1);
    assert_eq!(opened(&[('>', "FA", 101, 901, 0)]).0, ConnState::S2);
    assert_eq!(opened(&[('<', "FA", 901, 101, 0)]).0, ConnState::S3);
    assert_eq!(opened(&[('>', "R", 101, 0, 0)]).0, ConnState::RSTO);
    assert_eq!(opened(&[('<', "R", 901, 0, 0)]).0, ConnState::RSTR);
    assert_eq!(play(&[('>', "S", 1, 0, 0), ('>', "R", 2, 0, 0)]).0, ConnState::RSTOS0);
    assert_eq!(play(&[('<', "SA", 1, 2, 0), ('<', "R", 2, 0, 0)]).0, ConnState::RSTRH);
    assert_eq!(play(&[('>', "S", 1, 0, 0), ('>', "F", 2, 0, 0)]).0, ConnState::SH);
    assert_eq!(play(&[('<', "SA", 1, 2, 0), ('<', "FA", 2, 2, 0)]).0, ConnState::SHR);
    assert_eq!(play(&[('>', "PA", 1, 2, 5), ('<', "PA", 2, 6, 5)]).0, ConnState::OTH);
}

#[test]
fn a_repeated_reset_has_one_letter_and_another_number_two() {
    assert_eq!(opened(&[('<', "R", 901, 0, 0), ('<', "R", 901, 0, 0)]).1, "ShAr");
    assert_eq!(opened(&[('<', "R", 901, 0, 0), ('<', "R", 950, 0, 0)]).1, "ShArr");
}

#[test]
fn an_ecn_handshake_is_a_handshake() {
    let mut tcp = Tcp::default();
    let both = TcpFlags::ECE | TcpFlags::CWR;
    for (flags, direction, seq, ack) in [
        (TcpFlags::SYN | both, Direction::Forward, 1, 0),
        (TcpFlags::SYN | TcpFlags::ACK | TcpFlags::ECE, Direction::Reverse, 7, 2),
        (TcpFlags::ACK, Direction::Forward, 2, 8),
    ] {
        let segment = TcpSegment { seq, ack, flags, window: 1, ..TcpSegment::default() };
        tcp.observe(&segment, 0, direction, Timestamp::EPOCH);
    }
    assert_eq!((tcp.state(), tcp.history().as_str()), (ConnState::S1, "ShA"));
    assert!(tcp.handshake_times().ack.is_some());
}

#[test]
fn acknowledged_bytes_that_were_never_seen_are_missed() {
    let (_, history, tcp) = opened(&[
        ('<', "PA", 901, 101, 100),
        ('<', "PA", 1201, 101, 100),
        ('>', "A", 101, 1301, 0),
        ('>', "A", 101, 1501, 0),
    ]);
    assert_eq!(tcp.missed_bytes(), [0, 399], "the last may be a FIN");
    assert_eq!(history, "ShAdg");
}

#[test]
fn a_retransmission_has_a_letter() {
    assert_eq!(opened(&[('>', "PA", 101, 901, 50), ('>', "PA", 101, 901, 50)]).1, "ShADT");
}

#[test]
fn sequence_numbers_may_wrap() {
    let start = u32::MAX - 10;
    let (state, _, tcp) = play(&[
        ('>', "S", start, 0, 0),
        ('<', "SA", 900, start.wrapping_add(1), 0),
        ('>', "PA", start.wrapping_add(1), 901, 1000),
        ('<', "A", 901, start.wrapping_add(1001), 0),
    ]);
    assert_eq!(state, ConnState::S1);
    assert_eq!(tcp.ends()[0].stream_bytes(), 1000);
    assert_eq!(tcp.missed_bytes(), [0, 0]);
}

#[test]
fn more_letters_than_fit_in_place_are_kept() {
    let resets: Vec<_> = (0..20).map(|n| ('<', "R", 901 + n, 0, 0)).collect();
    assert_eq!(opened(&resets).1, format!("ShA{}", "r".repeat(20)));
}

proptest::proptest! {
    /// The short way for ordinary segments and the general way come to the same.
    #[test]
    fn ordinary_segments_may_take_the_short_way(
        begun in 0usize..6,
        scaled in proptest::bool::ANY,
        steps in proptest::collection::vec((proptest::bool::ANY, 0usize..12, 0i64..5, 0i64..5, 0u32..2), 0..60),
    ) {
        let flags = [
            TcpFlags::ACK,
            TcpFlags::ACK,
            TcpFlags::ACK | TcpFlags::PSH,
            TcpFlags::ACK,
            TcpFlags::ACK | TcpFlags::FIN,
            TcpFlags::SYN,
            TcpFlags::SYN | TcpFlags::ACK,
            TcpFlags::RST,
            TcpFlags::ACK,
            TcpFlags::ACK | TcpFlags::FIN | TcpFlags::RST,
            TcpFlags::ACK | TcpFlags::RST,
            TcpFlags::ACK,
        ];
        let (mut short, mut general) = (Tcp::default(), Tcp::default());
        // Mostly in order, with jumps back and forth, from a number that soon wraps.
        let mut next = [u32::MAX - 400, 77];
        let mut opened = vec![(true, 5, 1, 1, 0), (false, 6, 1, 1, 0), (true, 0, 1, 1, 0)];
        // Mostly the whole handshake, sometimes less of it.
        opened.truncate(begun);
        opened.extend(steps);
        for (at, (forward, what, seq, ack, data)) in opened.into_iter().enumerate() {
            let odd = at % 2 == 1;
            let direction = if forward { Direction::Forward } else { Direction::Reverse };
            let (me, other) = (direction.index(), direction.opposite().index());
            let payload = data * 100;
            let segment = TcpSegment {
                seq: next[me].wrapping_add([u32::MAX - 99, 0, 100, 0, 0][seq as usize]),
                ack: next[other].wrapping_add([u32::MAX - 99, 0, 100, 0, 0][ack as usize]),
                flags: flags[what],
                window: if what == 3 && data == 0 && odd { 0 } else { 500 },
                window_scale: 7,
                options: match (what, scaled) {
                    (11, _) => TcpOptions::INCOMPLETE,
                    (_, true) => TcpOptions::WINDOW_SCALE,
                    (_, false) => TcpOptions::empty(),
                },
                ..TcpSegment::default()
            };
            if matches!(seq, 1 | 3 | 4) {
                next[me] = next[me].wrapping_add(payload);
            }
            if flags[what].intersects(TcpFlags::SYN | TcpFlags::FIN) {
                next[me] = next[me].wrapping_add(1);
            }
            let time = Timestamp::from_nanos(at as i64);
            short.observe(&segment, payload, direction, time);
            general.general(&segment, payload, direction, time);
            proptest::prop_assert_eq!(format!("{:?}", &short), format!("{:?}", &general));
        }
    }
}

#[test]
fn an_ack_of_the_syn_acks_payload_ends_the_handshake() {
    let (_, _, tcp) = play(&[('>', "S", 10, 0, 0), ('<', "SA", 50, 11, 110), ('>', "A", 11, 161, 0)]);
    assert!(tcp.handshake_times().ack.is_some());
    let (_, _, tcp) = play(&[('>', "S", 10, 0, 0), ('<', "SA", 50, 11, 0), ('>', "A", 11, 999_999, 0)]);
    assert!(tcp.handshake_times().ack.is_none(), "nothing of that was ever sent");
    let only_ends =
        [('>', "S", 10, 0, 0), ('<', "SA", 50, 11, 0), ('<', "FA", 9000, 300, 0), ('>', "FA", 300, 9001, 0)];
    assert!(play(&only_ends).2.handshake_times().ack.is_none(), "a FIN is not the handshake's ACK");
}

#[test]
fn bytes_jumped_over_by_a_bare_segment_are_missed_once_acknowledged() {
    // 500 bytes of the responder were lost by the capture; its FIN tells of them, the ACK says that they arrived.
    let (_, _, tcp) = opened(&[('<', "FA", 1401, 101, 0), ('>', "A", 101, 1402, 0)]);
    assert_eq!(tcp.missed_bytes(), [0, 500]);
    // A RST stands behind bytes that were lost before it reached the capture.
    let (_, _, tcp) = opened(&[('<', "R", 1401, 101, 0), ('>', "A", 101, 1101, 0)]);
    assert_eq!(tcp.missed_bytes(), [0, 200]);
    // A FIN that the network lost comes again: nothing is missing.
    let (_, _, tcp) = opened(&[('<', "A", 902, 101, 0), ('<', "FA", 901, 101, 0), ('>', "A", 101, 902, 0)]);
    assert_eq!(tcp.missed_bytes(), [0, 0]);
}

#[test]
fn an_end_that_is_never_seen_misses_what_its_peer_acknowledges() {
    let (_, _, tcp) = play(&[('>', "A", 10, 5000, 0), ('>', "A", 10, 5300, 0)]);
    assert_eq!(tcp.missed_bytes(), [0, 299], "or a FIN");
    let (_, _, tcp) = play(&[('>', "A", 10, 5000, 0), ('<', "PA", 5300, 10, 100), ('>', "A", 10, 5400, 0)]);
    assert_eq!(tcp.missed_bytes(), [0, 300]);
}

#[test]
fn a_syn_ack_that_was_acknowledged_and_not_seen_is_lacking() {
    assert!(play(&[('>', "S", 10, 0, 0), ('>', "A", 11, 51, 0)]).2.lacks_syn_ack());
    assert!(!play(&[('>', "S", 10, 0, 0), ('<', "RA", 0, 11, 0)]).2.lacks_syn_ack());
    assert!(!opened(&[]).2.lacks_syn_ack());
    // A port that connects to itself.
    let own = [('>', "S", 10, 0, 0), ('>', "SA", 10, 11, 0), ('>', "A", 11, 11, 0), ('>', "A", 11, 11, 5)];
    let tcp = play(&[&own[..], &[('>', "A", 16, 16, 0)]].concat()).2;
    assert_eq!((tcp.missed_bytes(), tcp.has_gaps(), tcp.has_holes()), ([0; 2], false, false));
    assert_eq!(tcp.stream_bytes(), [5, 0]);
}

#[test]
fn what_continues_a_stream_behind_a_reset_is_not_missing() {
    let reset = ('<', "R", 901, 0, 0);
    let (state, _, tcp) = opened(&[reset, ('<', "PA", 901, 101, 500), ('>', "A", 101, 1401, 0)]);
    assert_eq!((state, tcp.missed_bytes(), tcp.stream_bytes()[1]), (ConnState::RSTR, [0, 0], 500));
    // Not heeded, since it stands elsewhere within the window: it tells nothing of bytes before it.
    let (_, _, tcp) = opened(&[('<', "R", 9001, 0, 0)]);
    assert!(tcp.has_holes(), "or its bytes were lost");
    let (_, _, tcp) = opened(&[('<', "R", 1001, 0, 0), ('<', "PA", 901, 101, 500), ('>', "A", 101, 1401, 0)]);
    assert_eq!((tcp.missed_bytes(), tcp.stream_bytes()[1], tcp.has_holes()), ([0, 0], 500, false));
}

#[test]
fn a_reset_tells_of_bytes_before_it_until_its_stream_goes_on() {
    let streams = |more: &[_]| {
        let (_, _, tcp) = opened(more);
        (tcp.stream_bytes()[1], tcp.has_holes())
    };
    let data = ('<', "PA", 901, 101, 100);
    let beyond = ('<', "R", 1501, 0, 0);
    assert_eq!(streams(&[data, beyond]), (599, true), "the last may be a FIN");
    assert_eq!(streams(&[data, beyond, data]), (599, true), "a copy is nothing new");
    assert_eq!(streams(&[data, beyond, ('<', "R", 901, 0, 5)]), (599, true), "the text of a RST is none of the stream");
    assert_eq!(streams(&[('<', "R", 1001, 0, 0), ('<', "FA", 901, 101, 0)]), (0, false), "a FIN goes on");
    assert_eq!(streams(&[('<', "R", 902, 0, 0)]), (0, true), "a FIN, most likely");
    let reset = ('<', "R", 1001, 0, 0);
    assert_eq!(streams(&[data, reset, ('<', "FR", 1001, 0, 0)]), (100, false));
    assert_eq!(streams(&[data, reset, ('<', "FPA", 901, 101, 100)]), (100, false));
    // Bytes that only RSTs tell of were sent all the same.
    assert_eq!(opened(&[('<', "R", 1401, 101, 0), ('>', "R", 601, 0, 0)]).0, ConnState::RSTR);
}

#[test]
fn only_a_reset_that_acknowledges_the_syn_refuses_it() {
    assert_eq!(play(&[('>', "S", 10, 0, 0), ('<', "RA", 0, 11, 0)]).0, ConnState::REJ);
    for ack in [77_788, 5, u32::MAX] {
        let (state, _, tcp) = play(&[('>', "S", 10, 0, 0), ('<', "RA", 0, ack, 0)]);
        assert_eq!((state, tcp.has_stray()), (ConnState::S0, true));
    }
    let answered = [('>', "S", 10, 0, 0), ('<', "RA", 0, 77_788, 0), ('<', "SA", 900, 11, 0), ('>', "A", 11, 901, 0)];
    assert_eq!(play(&answered).0, ConnState::S1);
}

#[test]
fn an_ack_of_less_than_the_syn_is_none_of_the_connection() {
    let (_, history, tcp) = play(&[('>', "S", 10, 0, 0), ('<', "SA", 900, 11, 0), ('>', "A", 11, 400, 0)]);
    assert_eq!((history.as_str(), tcp.has_stray(), tcp.handshake_times().ack), ("Sh", true, None));
}

#[test]
fn what_comes_behind_a_late_syn_ack_is_not_missing() {
    // 100 bytes of the responder are acknowledged before they and its SYN-ACK are captured.
    let (_, _, tcp) = play(&[
        ('>', "S", 10, 0, 0),
        ('<', "A", 51, 11, 0),
        ('>', "A", 11, 151, 0),
        ('<', "SA", 50, 11, 0),
        ('<', "PA", 51, 11, 100),
    ]);
    assert_eq!(tcp.missed_bytes(), [0, 0]);
}

#[test]
fn what_is_acknowledged_again_behind_a_late_syn_ack_is_missing_once() {
    let segments = [
        ('>', "S", 10, 0, 0),
        ('>', "A", 11, 51, 0),
        ('>', "A", 11, 151, 0),
        ('<', "SA", 50, 11, 0),
        ('>', "A", 11, 151, 0),
        ('<', "PA", 101, 11, 50),
        ('>', "A", 11, 201, 0),
        ('<', "PA", 151, 11, 50),
    ];
    // The last of what is only acknowledged may be a FIN.
    let missed = |number| play(&segments[..number]).2.missed_bytes()[1];
    assert_eq!((3..=8).map(missed).collect::<Vec<_>>(), [99, 99, 99, 50, 99, 50]);
    let late = [segments[0], segments[1], segments[2], segments[3]];
    // What stands farther on is found too, and no byte that was seen is taken for a FIN.
    let (_, _, tcp) = play(&[&late[..], &[segments[5]]].concat());
    assert_eq!((tcp.missed_bytes()[1], tcp.stream_bytes()[1]), (50, 100));
    let (_, _, tcp) = play(&[&late[..], &[('<', "PA", 51, 11, 50)]].concat());
    assert_eq!((tcp.missed_bytes()[1], tcp.stream_bytes()[1]), (49, 50));
    // However many ACKs told of them.
    let acks: Vec<_> = (1..=6).map(|step| ('>', "A", 11, 51 + 100 * step, 0)).collect();
    let (_, _, tcp) = play(&[&segments[..2], &acks, &[segments[3], acks[5]]].concat());
    assert_eq!(tcp.missed_bytes()[1], 599);
}

#[test]
fn a_syn_ack_for_another_syn_gives_no_handshake_time() {
    let other = 1_000_000;
    let (_, _, tcp) = play(&[
        ('>', "S", 10, 0, 0),
        ('<', "SA", 900, other + 1, 0),
        ('>', "A", other + 1, 901, 0),
        ('>', "PA", other + 1, 901, 30),
    ]);
    // The SYN that it answers was not captured; that it was answered is known.
    let times = tcp.handshake_times();
    assert_eq!((times.syn, times.syn_ack.is_some(), times.ack.is_some()), (None, true, true));
    assert_eq!((tcp.missed_bytes(), tcp.stream_bytes()), ([0; 2], [30, 0]));
    // The same behind an ACK of the connection before.
    let (_, _, tcp) = play(&[
        ('>', "A", 10, 800, 0),
        ('<', "SA", 2_000_000_900, other + 2_000_000_000, 0),
        ('>', "A", other + 2_000_000_000, 2_000_000_901, 0),
        ('>', "PA", other + 2_000_000_000, 2_000_000_901, 30),
    ]);
    assert_eq!((tcp.missed_bytes(), tcp.stream_bytes()), ([0; 2], [30, 0]));
}

#[test]
fn numbers_that_lead_away_in_both_directions_behind_one_ack_alone_are_another_connections() {
    let far = 900_000_000;
    let goes_on =
        [('>', "PA", far, far + 900, 20), ('>', "PA", far + 20, far + 900, 30), ('<', "A", far + 900, far + 50, 0)];
    let (_, _, tcp) = play(&[&[('>', "A", 10, 800, 0)], &goes_on[..]].concat());
    assert_eq!((tcp.missed_bytes(), tcp.stream_bytes()), ([0; 2], [50, 0]));
    // Data was captured before: what lies between was as well, or is missing.
    let (_, _, tcp) = play(&[&[('>', "A", 10, 800, 5)], &goes_on[..]].concat());
    assert_eq!(tcp.missed_bytes()[0], u64::from(far) - 15);
}

#[test]
fn a_stream_that_has_ended_does_not_go_on_a_gigabyte_later() {
    let (fin, far) = (('>', "FA", 101, 901, 0), 900_000_000);
    let next = [
        ('>', "A", far, far + 900, 0),
        ('>', "PA", far, far + 900, 20),
        ('<', "A", far + 900, far + 20, 0),
        ('<', "FA", far + 900, far + 20, 0),
    ];
    for ends in [&[fin][..], &[fin, ('<', "FA", 901, 102, 0), ('>', "A", 102, 902, 0)]] {
        let (_, _, tcp) = opened(&[ends, &next].concat());
        assert_eq!(tcp.missed_bytes(), [0; 2]);
        // Nor with a SYN-ACK.
        let (_, _, tcp) = opened(&[ends, &[('<', "SA", far, far + 1, 0)], &next].concat());
        assert_eq!(tcp.missed_bytes(), [0; 2]);
    }
}

#[test]
fn a_fin_that_was_not_captured_is_no_missing_byte() {
    let fin_lost = [('<', "PA", 901, 101, 100), ('>', "A", 101, 1002, 0)];
    let (_, _, tcp) = opened(&fin_lost);
    assert_eq!((tcp.missed_bytes(), tcp.stream_bytes(), tcp.has_gaps()), ([0, 0], [0, 100], true));
    // The last of what was acknowledged may be a FIN, what is before cannot.
    let (_, _, tcp) = opened(&[('>', "A", 101, 1502, 0)]);
    assert_eq!((tcp.missed_bytes(), tcp.stream_bytes()), ([0, 600], [0, 600]));
    // What comes behind it says that it was none.
    let (_, _, tcp) = opened(&[('>', "A", 101, 1502, 0), ('<', "PA", 1502, 101, 10)]);
    assert_eq!((tcp.missed_bytes(), tcp.stream_bytes()), ([0, 601], [0, 611]));
    let (_, _, tcp) = opened(&[('>', "A", 101, 1502, 0), ('>', "A", 101, 1503, 0)]);
    assert_eq!(tcp.missed_bytes(), [0, 601]);
    // It comes late.
    let (_, _, tcp) = opened(&[fin_lost[0], fin_lost[1], ('<', "FA", 1001, 101, 0)]);
    assert_eq!((tcp.missed_bytes(), tcp.stream_bytes()), ([0, 0], [0, 100]));
    // One direction only.
    let (_, _, tcp) =
        play(&[('>', "S", 10, 0, 0), ('>', "A", 11, 51, 0), ('>', "A", 11, 551, 0), ('>', "A", 11, 552, 0)]);
    assert_eq!(tcp.missed_bytes(), [0, 500]);
}
