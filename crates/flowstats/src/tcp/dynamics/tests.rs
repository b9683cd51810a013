use super::*;
use crate::tcp::Turn;

/// One segment: milliseconds, direction and letters as in `>SA`, sequence and acknowledgment numbers, payload.
type Row<'a> = (f64, &'a str, u32, u32, u32);

/// What may stand beside them.
#[derive(Copy, Clone, Default)]
struct More {
    stamps: Option<(u32, u32)>,
    id: u32,
    window: Option<u16>,
    /// Where the receiver says a duplicate begins.
    duplicate: Option<u32>,
    interface: u16,
    congested: bool,
    fast_open: bool,
}

#[derive(Default)]
struct Heard(Vec<String>, crate::tcp::Spans, crate::tcp::Pages);

impl Heard {
    fn keeper(&mut self) -> crate::tcp::Keeper<'_> {
        crate::tcp::Keeper { spans: &mut self.1, pages: &mut self.2 }
    }
}

impl Witness for Heard {
    fn midstream(&mut self, _: Timestamp) {
        self.0.push("midstream".into());
    }
    fn syn(&mut self, time: Timestamp) {
        self.0.push(format!("syn {}", ms(time - Timestamp::EPOCH)));
    }
    fn syn_ack(&mut self, _: Timestamp) {
        self.0.push("syn_ack".into());
    }
    fn established(&mut self, opening: &Opening, _: Timestamp) {
        let told = opening.connect().map_or("?".into(), |span| ms(span).to_string());
        self.0.push(format!("established {told}"));
    }
    fn rtt(&mut self, sample: RttSample) {
        self.keeper().rtt(sample);
        let side = if sample.of == Direction::Forward { '>' } else { '<' };
        let method = format!("{:?}", sample.method);
        self.0.push(format!("rtt{side}{} {}", &method[..1], ms(sample.rtt)));
    }
    fn ambiguous(&mut self, of: Direction, _: Timestamp) {
        self.0.push(format!("ambiguous{}", if of == Direction::Forward { '>' } else { '<' }));
    }
    fn request(&mut self, _: Timestamp) {
        self.0.push("request".into());
    }
    fn response(&mut self, turn: Turn) {
        self.keeper().response(turn);
        let told = |span: Option<Nanos>| span.map_or("?".into(), |span| ms(span).to_string());
        self.0.push(format!("response {} {}", told(turn.first_byte), told(turn.last_byte)));
    }
    fn retransmission(&mut self, kind: Retransmission, _: Direction, bytes: u32, _: Timestamp) {
        self.0.push(format!("{kind:?} {bytes}"));
    }
    fn needless(&mut self, kind: Retransmission, _: Direction, _: Timestamp) {
        self.0.push(format!("needless {kind:?}"));
    }
    fn reordering(&mut self, _: Direction, _: Timestamp) {
        self.0.push("reordering".into());
    }
    fn duplicate(&mut self, _: Direction, _: Timestamp) {
        self.0.push("duplicate".into());
    }
    fn missing(&mut self, _: Direction, bytes: u64, _: Timestamp) {
        self.0.push(format!("missing {bytes}"));
    }
    fn invalid(&mut self, _: Direction, _: Timestamp) {
        self.0.push("invalid".into());
    }
    fn closing(&mut self, by: Direction, _: Timestamp) {
        self.0.push(format!("closing {by:?}"));
    }
    fn reset(&mut self, by: Direction, _: Timestamp) {
        self.0.push(format!("reset {by:?}"));
    }
    fn finished(&mut self, outcome: Outcome, responses: u32) {
        self.0.push(format!("{} {responses}", outcome.name()));
    }
}

fn ms(span: Nanos) -> f64 {
    span.get() as f64 / 1e6
}

fn event((at, what, seq, ack, payload): Row<'_>, more: More) -> (FlowEvent, TcpSegment) {
    let mut flags = TcpFlags::empty();
    for letter in what[1..].chars() {
        flags |= match letter {
            'S' => TcpFlags::SYN,
            'A' => TcpFlags::ACK,
            'F' => TcpFlags::FIN,
            'R' => TcpFlags::RST,
            'E' => TcpFlags::ECE,
            'W' => TcpFlags::CWR,
            _ => TcpFlags::PSH,
        };
    }
    let mut segment = TcpSegment { seq, ack, flags, window: more.window.unwrap_or(1000), ..TcpSegment::default() };
    if let Some(stamps) = more.stamps {
        segment.options |= TcpOptions::TIMESTAMP;
        segment.timestamp = stamps;
    }
    if let Some(begin) = more.duplicate {
        segment.options |= TcpOptions::SACK;
        segment.duplicate = begin.wrapping_sub(ack) as i32;
    }
    if more.fast_open {
        segment.options |= TcpOptions::FAST_OPEN;
    }
    let event = FlowEvent {
        time: Timestamp::from_nanos((at * 1e6) as i64),
        packets: 1,
        payload_bytes: payload,
        datagram_id: more.id,
        interface: more.interface,
        direction: if what.starts_with('>') { Direction::Forward } else { Direction::Reverse },
        notes: Notes::when(more.congested, Notes::CONGESTED),
        detail: flowcore::Detail::Tcp(segment),
        ..FlowEvent::default()
    };
    (event, segment)
}

struct Played {
    facts: Course,
    figures: crate::tcp::Figures,
    heard: Vec<String>,
}

impl Played {
    fn heard(&self, what: &str) -> usize {
        self.heard.iter().filter(|line| line.starts_with(what)).count()
    }

    fn rtts(&self) -> Vec<&str> {
        self.heard
            .iter()
            .filter(|line| line.starts_with("rtt") || line.starts_with("amb"))
            .map(String::as_str)
            .collect()
    }

    fn sent_again(&self) -> Vec<&str> {
        let kinds = ["Timeout", "Fast", "Spurious", "KeepAlive", "WindowProbe", "Syn", "needless", "reord", "dupl"];
        let told = |line: &&str| kinds.iter().any(|kind| line.starts_with(kind));
        self.heard.iter().map(String::as_str).filter(told).collect()
    }
}

fn play_with(rows: &[(Row<'_>, More)], end: EndReason) -> Played {
    let mut followed = Followed::default();
    let mut heard = Heard::default();
    for &(row, more) in rows {
        let (event, segment) = event(row, more);
        followed.observe(&event, &segment, &mut heard);
    }
    followed.finish(end, &mut heard);
    Played { facts: followed.course(), figures: heard.1.take(&mut heard.2), heard: heard.0 }
}

fn play(rows: &[Row<'_>]) -> Played {
    let rows: Vec<_> = rows.iter().map(|&row| (row, More::default())).collect();
    play_with(&rows, EndReason::Forced)
}

/// SYN at 1 s, SYN-ACK after 10 ms, ACK after another 0.1 ms; then `more`.
fn opened(more: &[Row<'_>]) -> Played {
    let mut rows = HANDSHAKE.to_vec();
    rows.extend(more);
    play(&rows)
}

const HANDSHAKE: [Row<'static>; 3] =
    [(1000.0, ">S", 100, 0, 0), (1010.0, "<SA", 900, 101, 0), (1010.1, ">A", 101, 901, 0)];
const REQUEST: Row<'static> = (1020.0, ">PA", 101, 901, 50);
const RESPONSE: Row<'static> = (1030.0, "<PA", 901, 151, 500);

/// Counts in the manner of the table that these sequences come from: SYN, SYN-ACK, established, RST, FIN by the
/// responder, requests, responses, invalid.
fn counts(played: &Played) -> [usize; 8] {
    ["syn ", "syn_ack", "established", "reset", "closing Reverse", "request", "response", "invalid"]
        .map(|what| played.heard(what))
}

mod sequences {
    //! The hand-made sequences of the predecessors' table, with what they should have given.
    use super::*;

    #[test]
    fn a_request_a_response_and_the_servers_fin() {
        let played = opened(&[REQUEST, RESPONSE, (1040.0, "<FA", 1401, 151, 0)]);
        assert_eq!(counts(&played), [1, 1, 1, 0, 1, 1, 1, 0]);
        assert_eq!(played.heard("established 10.1"), 1);
        assert_eq!(played.heard("response 10 10"), 1);
        assert_eq!(played.heard.last().unwrap(), "ok 1");
        assert!(played.sent_again().is_empty());
    }

    #[test]
    fn a_syn_sent_twice() {
        let mut rows = vec![(0.0, ">S", 100, 0, 0)];
        rows.extend(HANDSHAKE);
        rows.extend([REQUEST, RESPONSE]);
        let played = play(&rows);
        assert_eq!(counts(&played), [1, 1, 1, 0, 0, 1, 1, 0]);
        assert_eq!(played.sent_again(), ["Syn 0"]);
        let opening = played.facts.opening;
        assert_eq!((opening.connect().map(ms), opening.rtt().map(ms)), (Some(1010.1), Some(10.1)));
        assert_eq!(played.rtts()[0], "ambiguous>", "which of the two was answered is not known");
    }

    #[test]
    fn a_syn_ack_sent_twice() {
        let mut rows = HANDSHAKE.to_vec();
        rows.insert(2, (1010.05, "<SA", 900, 101, 0));
        let more = [More { id: 1, ..More::default() }, More { id: 1, ..More::default() }];
        let more = [more[0], more[1], More { id: 2, ..More::default() }, More { id: 2, ..More::default() }];
        let rows: Vec<_> = rows.into_iter().zip(more).collect();
        let played = play_with(&rows, EndReason::Forced);
        assert_eq!(counts(&played), [1, 1, 1, 0, 0, 0, 0, 0]);
        assert_eq!(played.sent_again(), ["SynAck 0"]);
    }

    #[test]
    fn a_greeting_of_the_server() {
        let played =
            opened(&[(1015.0, "<PA", 901, 101, 30), (1020.0, ">PA", 101, 931, 50), (1030.0, "<PA", 931, 151, 9)]);
        assert_eq!(counts(&played), [1, 1, 1, 0, 0, 1, 1, 0]);
        assert_eq!(played.facts.turns.server_first, 1);
        let alone = opened(&[(1015.0, "<PA", 901, 101, 30)]);
        assert_eq!(counts(&alone)[6], 0);
    }

    #[test]
    fn a_request_of_two_segments_is_one() {
        let played = opened(&[
            (1020.0, ">A", 101, 901, 1000),
            (1025.0, "<A", 901, 1101, 0),
            (1030.0, ">PA", 1101, 901, 100),
            (1040.0, "<PA", 901, 1201, 500),
        ]);
        assert_eq!(counts(&played), [1, 1, 1, 0, 0, 1, 1, 0]);
        assert_eq!(played.heard("response 20 20"), 1);
    }

    #[test]
    fn a_bare_reset() {
        let played = opened(&[REQUEST, RESPONSE, (1040.0, ">R", 151, 0, 0)]);
        assert_eq!(counts(&played), [1, 1, 1, 1, 0, 1, 1, 0]);
        assert!(played.facts.bare_reset);
        assert_eq!(played.facts.reset_by, Some(Direction::Forward));
    }

    #[test]
    fn a_refused_connection() {
        let played = play(&[(0.0, ">S", 100, 0, 0), (5.0, "<RA", 0, 101, 0)]);
        assert_eq!(counts(&played), [1, 0, 0, 1, 0, 0, 0, 0]);
        assert_eq!(played.facts.opening.outcome, Outcome::Refused);
        assert!(!played.facts.bare_reset);
    }

    #[test]
    fn an_ecn_handshake() {
        let played = play(&[
            (1000.0, ">SEW", 100, 0, 0),
            (1010.0, "<SAE", 900, 101, 0),
            (1010.1, ">A", 101, 901, 0),
            REQUEST,
            RESPONSE,
        ]);
        assert_eq!(counts(&played), [1, 1, 1, 0, 0, 1, 1, 0]);
        assert_eq!(played.facts.opening.ecn, crate::tcp::Ecn::Agreed);
        assert_eq!(played.facts.sides.map(|side| side.echoed), [0, 0], "on a SYN they negotiate");
    }

    #[test]
    fn a_response_of_several_segments_is_one() {
        let played = opened(&[REQUEST, (1030.0, "<A", 901, 151, 1400), (1040.0, "<PA", 2301, 151, 100)]);
        assert_eq!(played.heard("response 10 20"), 1);
        let small = [(1030.0, "<PA", 901, 151, 5), (1040.0, "<PA", 906, 151, 5), (1050.0, "<PA", 911, 151, 5)];
        let played = opened(&[REQUEST, small[0], small[1], small[2]]);
        assert_eq!(counts(&played)[6], 1);
        assert_eq!(played.heard("response 10 30"), 1);
    }

    #[test]
    fn a_request_with_the_handshakes_ack() {
        let played = play(&[HANDSHAKE[0], HANDSHAKE[1], REQUEST, RESPONSE]);
        assert_eq!(counts(&played), [1, 1, 1, 0, 0, 1, 1, 0]);
    }

    #[test]
    fn three_requests_and_both_fins() {
        let played = opened(&[
            REQUEST,
            RESPONSE,
            (1100.0, ">PA", 151, 1401, 50),
            (1150.0, "<PA", 1401, 201, 500),
            (1200.0, ">PA", 201, 1901, 50),
            (1210.0, "<PA", 1901, 251, 500),
            (1220.0, ">FA", 251, 2401, 0),
            (1230.0, "<FA", 2401, 252, 0),
        ]);
        assert_eq!(counts(&played), [1, 1, 1, 0, 0, 3, 3, 0]);
        assert_eq!(played.facts.closed_by, Some(Direction::Forward));
        assert_eq!(played.figures.last_byte().quantile(0.95).unwrap(), Nanos::new(50_000_000));
        assert_eq!(played.heard.last().unwrap(), "ok 3");
    }

    #[test]
    fn a_request_sent_twice_counts_once_from_its_first_copy() {
        let again = (1220.0, ">PA", 101, 901, 50);
        let played = opened(&[REQUEST, again, (1230.0, "<PA", 901, 151, 500)]);
        assert_eq!(counts(&played), [1, 1, 1, 0, 0, 1, 1, 0]);
        assert_eq!(played.sent_again(), ["Timeout 50"]);
        assert_eq!(played.heard("response 210 210"), 1);
        assert_eq!(played.rtts(), ["rtt>H 10", "rtt<H 0.1", "ambiguous>"]);
    }
}

mod identifications {
    use super::*;

    /// What `rows`, all with one identification, tell of repetitions.
    fn alike(rows: &[Row<'_>]) -> (Vec<String>, u64) {
        let rows: Vec<_> = rows.iter().map(|row| (*row, More { id: 7, ..More::default() })).collect();
        let played = play_with(&rows, EndReason::Forced);
        (played.sent_again().iter().map(|told| (*told).to_string()).collect(), played.facts.sides[0].duplicates)
    }

    #[test]
    fn a_packet_of_the_same_identification_is_a_copy_unless_a_timer_may_have_run_out() {
        let first = (0.0, ">PA", 101, 901, 50);
        assert_eq!(alike(&[first, (5.0, ">PA", 101, 901, 50)]), (vec!["duplicate".into()], 1));
        assert_eq!(alike(&[first, (300.0, ">PA", 101, 901, 50)]), (vec!["Timeout 50".into()], 0));
        let copy_of_the_second = [first, (300.0, ">PA", 101, 901, 50), (301.0, ">PA", 101, 901, 50)];
        assert_eq!(alike(&copy_of_the_second), (vec!["Timeout 50".into(), "duplicate".into()], 1));
        assert_eq!(alike(&[(0.0, ">S", 100, 0, 0), (2000.0, ">S", 100, 0, 0)]), (vec!["Syn 0".into()], 0));
        assert_eq!(alike(&[(0.0, ">S", 100, 0, 0), (2.0, ">S", 100, 0, 0)]), (vec!["duplicate".into()], 1));
    }

    #[test]
    fn a_segment_that_brings_more_is_no_copy() {
        assert_eq!(alike(&[(0.0, ">PA", 101, 901, 50), (5.0, ">PA", 101, 901, 80)]), (vec!["Timeout 50".into()], 0));
    }
}

mod handshakes {
    use super::*;

    #[test]
    fn a_repeated_syn_does_not_lengthen_the_answered_ones_time() {
        let played = play(&[(0.0, ">S", 100, 0, 0), (1000.0, ">S", 100, 0, 0), (1012.0, "<SA", 900, 101, 0)]);
        let opening = played.facts.opening;
        assert_eq!((opening.syn_rtt().map(ms), opening.repeated_syns), (Some(12.0), 1));
        assert_eq!(opening.first_syn, Some(Timestamp::EPOCH));
    }

    #[test]
    fn repeated_syn_acks_give_one_result() {
        let played = play(&[
            (0.0, ">S", 100, 0, 0),
            (10.0, "<SA", 900, 101, 0),
            (1010.0, "<SA", 900, 101, 0),
            (3010.0, "<SA", 900, 101, 0),
        ]);
        assert_eq!(played.facts.opening.syn_rtt().map(ms), Some(10.0));
        assert_eq!(played.facts.opening.repeated_syn_acks, 2);
        assert_eq!(played.rtts(), ["rtt>H 10"]);
    }

    #[test]
    fn a_syn_alone_times_out() {
        let rows = [((0.0, ">S", 100, 0, 0), More::default())];
        assert_eq!(play_with(&rows, EndReason::Idle).facts.opening.outcome, Outcome::TimedOut);
        assert_eq!(play_with(&rows, EndReason::Forced).facts.opening.outcome, Outcome::Unanswered);
    }

    #[test]
    fn a_syn_ack_delivered_before_its_syn_gives_one_right_result() {
        let played = play(&[(12.0, "<SA", 900, 101, 0), (0.0, ">S", 100, 0, 0), (12.1, ">A", 101, 901, 0)]);
        let opening = played.facts.opening;
        assert_eq!((opening.syn_rtt().map(ms), opening.connect().map(ms)), (Some(12.0), Some(12.1)));
        assert_eq!((opening.outcome, opening.repeated_syns), (Outcome::Established, 0));
        assert_eq!(played.heard("established"), 1);
    }

    #[test]
    fn both_may_open() {
        let both = [
            (0.0, ">S", 100, 0, 0),
            (1.0, "<S", 900, 0, 0),
            (2.0, ">SA", 100, 901, 0),
            (3.0, "<SA", 900, 101, 0),
            (4.0, ">PA", 101, 901, 10),
        ];
        let played = play(&both);
        assert_eq!(played.facts.opening.shape, crate::tcp::Shape::Simultaneous);
        assert_eq!(played.facts.opening.outcome, Outcome::Established);
        assert!(played.sent_again().is_empty(), "{:?}", played.heard);
        let split = [(0.0, ">S", 100, 0, 0), (1.0, "<A", 0, 101, 0), (2.0, "<S", 900, 0, 0), (3.0, ">SA", 100, 901, 0)];
        let mut rows = split.to_vec();
        rows.push((4.0, "<A", 901, 101, 0));
        let played = play(&rows);
        assert_eq!(played.facts.opening.shape, crate::tcp::Shape::Split);
        assert_eq!(played.facts.opening.outcome, Outcome::Established);
    }

    #[test]
    fn a_reset_in_the_middle_of_it() {
        let played = play(&[HANDSHAKE[0], HANDSHAKE[1], (1011.0, ">R", 101, 0, 0)]);
        assert_eq!(played.facts.opening.outcome, Outcome::Reset);
    }

    #[test]
    fn data_in_a_syn() {
        let cookie = More { fast_open: true, ..More::default() };
        let rows = [
            ((0.0, ">S", 100, 0, 30), cookie),
            ((10.0, "<SA", 900, 131, 0), More::default()),
            ((15.0, "<PA", 901, 131, 500), More::default()),
            ((15.1, ">A", 131, 1401, 0), More::default()),
        ];
        let played = play_with(&rows, EndReason::Forced);
        assert_eq!(played.facts.opening.fast_open, crate::tcp::FastOpen::Used);
        assert_eq!(played.heard("response 15 15"), 1);
        let refused = [rows[0], ((10.0, "<SA", 900, 101, 0), More::default())];
        assert_eq!(play_with(&refused, EndReason::Forced).facts.opening.fast_open, crate::tcp::FastOpen::Tried);
    }

    #[test]
    fn a_connection_seen_midway_is_none() {
        let played = play(&[REQUEST, RESPONSE]);
        assert_eq!(played.facts.opening.outcome, Outcome::Midstream);
        assert_eq!(counts(&played), [0, 0, 0, 0, 0, 1, 1, 0]);
        assert_eq!(played.heard[0], "midstream");
        assert!(played.rtts().is_empty(), "what was acknowledged first may have been sent twice before");
    }
}

mod round_trips {
    use super::*;

    #[test]
    fn every_exact_ack_is_a_sample_and_no_other() {
        let played = opened(&[
            (1020.0, "<A", 901, 101, 1000),
            (1021.0, "<A", 1901, 101, 1000),
            (1040.0, ">A", 101, 1901, 0),
            (1045.0, "<A", 2901, 101, 1000),
            (1046.0, "<A", 3901, 101, 1000),
            (1047.0, "<A", 4901, 101, 1000),
            (1065.0, ">A", 101, 3901, 0),
            (1067.0, ">A", 101, 5901, 0),
        ]);
        // The first ACK finds several on their way; from then on they are timed one by one.
        assert_eq!(played.rtts(), ["rtt>H 10", "rtt<H 0.1", "rtt<A 20", "rtt<A 20"]);
    }

    #[test]
    fn an_ack_of_what_lay_behind_a_hole_is_ambiguous() {
        let played = opened(&[
            (1020.0, ">A", 101, 901, 100),
            (1021.0, ">A", 201, 901, 100),
            (1230.0, ">A", 101, 901, 100),
            (1250.0, "<A", 901, 301, 0),
            (1260.0, ">A", 301, 901, 100),
            (1280.0, "<A", 901, 401, 0),
        ]);
        assert_eq!(played.rtts()[2..], ["ambiguous>", "rtt>A 20"]);
    }

    #[test]
    fn a_timestamp_tells_which_copy_was_answered() {
        let stamps = |value, echo| More { stamps: Some((value, echo)), ..More::default() };
        let rows = |echo| {
            let rows = [
                (HANDSHAKE[0], stamps(1000, 0)),
                (HANDSHAKE[1], stamps(5000, 1000)),
                (HANDSHAKE[2], stamps(1010, 5000)),
                (REQUEST, stamps(1020, 5000)),
                ((1220.0, ">PA", 101, 901, 50), stamps(1220, 5000)),
                ((1230.0, "<A", 901, 151, 0), stamps(5230, echo)),
            ];
            play_with(&rows, EndReason::Forced)
        };
        assert_eq!(rows(1220).rtts()[2..], ["rtt>T 10"]);
        let first = rows(1020);
        assert_eq!(first.rtts()[2..], ["rtt>T 210"]);
        assert_eq!(first.sent_again(), ["Timeout 50", "needless Timeout"], "the first copy had arrived");
        assert_eq!(rows(1010).rtts()[2..], ["ambiguous>"]);
    }

    #[test]
    fn an_unseen_retransmission_is_betrayed_by_its_timestamp() {
        let stamps = |value, echo| More { stamps: Some((value, echo)), ..More::default() };
        let rows = [
            (HANDSHAKE[0], stamps(1000, 0)),
            (HANDSHAKE[1], stamps(5000, 1000)),
            (HANDSHAKE[2], stamps(1010, 5000)),
            (REQUEST, stamps(1020, 5000)),
            // The copy of 1220 was lost by the capture.
            ((1230.0, "<A", 901, 151, 0), stamps(5230, 1220)),
        ];
        assert_eq!(play_with(&rows, EndReason::Forced).rtts()[2..], ["ambiguous>"]);
    }

    #[test]
    fn a_clock_that_stepped_back_gives_no_round_trip() {
        let played = opened(&[REQUEST, (1015.0, "<A", 901, 151, 0)]);
        assert_eq!(played.rtts()[2..], ["ambiguous>"]);
    }

    #[test]
    fn a_fin_is_timed_too() {
        let played = opened(&[(1020.0, "<FA", 901, 101, 0), (1021.0, ">A", 101, 902, 0)]);
        assert_eq!(played.rtts()[2..], ["rtt<A 1"]);
    }
}

mod repetitions {
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
        let mut rows: Vec<_> = HANDSHAKE.iter().chain(&DATA).map(|&row| (row, More::default())).collect();
        rows.push(((1320.0, ">A", 101, 901, 100), More::default()));
        rows.push(((1321.0, "<A", 901, 401, 0), More::default()));
        rows.push(((1330.0, "<A", 901, 401, 0), More { duplicate: Some(101), ..More::default() }));
        let played = play_with(&rows, EndReason::Forced);
        assert_eq!(played.sent_again(), ["Timeout 100", "needless Timeout"]);
        assert_eq!(played.facts.sides[0].sent_again(Retransmission::Spurious), 1);
        assert_eq!(played.facts.sides[0].sent_again(Retransmission::Timeout), 0);
        assert_eq!(played.facts.sides[0].all_sent_again(), 1);
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
        let mut rows: Vec<_> = HANDSHAKE.iter().map(|&row| (row, More::default())).collect();
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
        assert_eq!(
            play_with(&rows, EndReason::Forced).sent_again(),
            ["Timeout 100"],
            "numbered after what overtook it"
        );
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
        let mut rows: Vec<_> = HANDSHAKE.iter().map(|&row| (row, More::default())).collect();
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
}

mod gaps {
    use super::*;

    #[test]
    fn an_unseen_response_is_counted_and_not_timed() {
        let played = opened(&[
            REQUEST,
            // The response of 500 bytes was not captured.
            (1040.0, ">PA", 151, 1401, 50),
            (1050.0, "<PA", 1401, 201, 500),
        ]);
        assert_eq!(played.facts.sides[1].missing_bytes, 500);
        assert_eq!((played.facts.turns.requests, played.facts.turns.responses), (2, 2));
        assert_eq!(played.heard("response ? ?"), 1);
        assert_eq!(played.heard("response 10 10"), 1);
        assert_eq!(played.heard("missing 500"), 1);
    }

    #[test]
    fn an_unseen_request_is_counted_and_not_timed() {
        let played = opened(&[REQUEST, RESPONSE, (1050.0, "<PA", 1401, 201, 500), (1060.0, ">A", 201, 1901, 0)]);
        assert_eq!(played.facts.sides[0].missing_bytes, 50);
        assert_eq!((played.facts.turns.requests, played.facts.turns.responses), (2, 2));
        assert_eq!(played.heard("response 10 10"), 1);
        assert_eq!(played.heard("response ? ?"), 1);
    }

    #[test]
    fn data_captured_behind_its_ack_is_not_missing() {
        let played = opened(&[(1020.1, "<A", 901, 151, 0), REQUEST, (1030.0, "<PA", 901, 151, 500)]);
        assert_eq!(played.facts.sides[0].missing_bytes, 0);
        assert_eq!(played.sent_again(), ["reordering"]);
    }
}

mod conversations {
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
        let mut rows: Vec<_> = HANDSHAKE.iter().map(|&row| (row, More::default())).collect();
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
}

mod verdicts {
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
}

mod laws {
    use super::*;
    use proptest::prelude::*;

    /// Segments mostly in order, with jumps back and forth, repetitions, zero windows, from a number that soon wraps.
    fn segments() -> impl Strategy<Value = Vec<(FlowEvent, TcpSegment)>> {
        let step = (
            (any::<bool>(), 0usize..10, 0u32..8, 0u32..8, 0u32..3),
            (0i64..300, 0u32..6, 0u32..8, 0u16..2, any::<bool>()),
        );
        proptest::collection::vec(step, 0..80).prop_map(|steps| {
            let flags = ["A", "A", "PA", "A", "FA", "S", "SA", "R", "AE", "AW"];
            let opened = [(true, 5), (false, 6), (true, 0)]
                .map(|(forward, what)| ((forward, what, 1, 1, 0), (10, 1, 1, 0, false)));
            let (mut next, mut now, mut id) = ([u32::MAX - 400, 77], 0, 1);
            let mut out = Vec::new();
            for ((forward, what, seq, ack, data), (wait, ahead, old, interface, stamped)) in
                opened.into_iter().chain(steps)
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
                    stamps: stamped
                        .then_some((now as u32 / 1_000_000, (now as u32 / 1_000_000).wrapping_sub(old * 40))),
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
                general.dynamics.particular(&mut general.tcp, event, segment, &mut expected);
                prop_assert_eq!(&heard.0, &expected.0);
                prop_assert_eq!(short.course(), general.course());
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
}
