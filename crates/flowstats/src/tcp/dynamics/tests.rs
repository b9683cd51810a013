use flowcore::event::TcpOptions;

use super::*;
use crate::tcp::{Opening, RttSample, SideFacts, Turn};

mod answers;
mod beginnings;
mod conversations;
mod laws;
mod repetitions;
mod strays;
mod verdicts;

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
    fn missing_too(&mut self, _: Direction, bytes: u64) {
        self.0.push(format!("too {bytes}"));
    }
    fn found(&mut self, _: Direction, bytes: u64, gaps: u32) {
        self.0.push(match gaps {
            0 => format!("found {bytes} of more"),
            1 => format!("found {bytes}"),
            _ => format!("found {bytes} of {gaps} gaps"),
        });
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

/// Rows with nothing beside them.
fn plain<'a>(rows: &[Row<'a>]) -> Vec<(Row<'a>, More)> {
    rows.iter().map(|&row| (row, More::default())).collect()
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
    let rows = plain(rows);
    play_with(&rows, EndReason::Forced)
}

/// What was found out, and the state before the end.
fn played(rows: &[Row<'_>]) -> (Played, Followed) {
    let mut followed = Followed::default();
    let mut heard = Heard::default();
    for &row in rows {
        // 64 KiB each way.
        let wide = More { window: Some(65_535), ..More::default() };
        let (event, segment) = event(row, wide);
        followed.observe(&event, &segment, &mut heard);
    }
    let state = followed.clone();
    followed.finish(EndReason::Forced, &mut heard);
    (Played { facts: followed.course(), figures: heard.1.take(&mut heard.2), heard: heard.0 }, state)
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
        let reset = [HANDSHAKE[0], HANDSHAKE[1], (1011.0, ">R", 101, 0, 0)];
        assert_eq!(play(&reset).facts.opening.outcome, Outcome::Reset);
        // Captured behind the RST that came after it: there are times of it, so it was complete.
        let played = play(&[reset[0], reset[1], reset[2], (1011.1, ">A", 101, 901, 0)]);
        let opening = &played.facts.opening;
        assert_eq!((opening.outcome, opening.ack.is_some()), (Outcome::Established, true));
        assert_eq!((played.heard("established"), played.heard("reset")), (1, 1));
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
        // It is sent again at once: no timer has run out, whatever the timestamps say.
        let at = |stamp| More { stamps: Some((stamp, 1)), ..cookie };
        let again = [(rows[0].0, at(100)), (refused[1].0, at(1)), ((10.1, ">PA", 101, 901, 30), at(110))];
        let played = play_with(&again, EndReason::Forced);
        assert_eq!((played.sent_again(), played.facts.sides[0].guessed), (vec!["Timeout 30"], 1));
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

    fn stamps(value: u32, echo: u32) -> More {
        More { stamps: Some((value, echo)), ..More::default() }
    }

    /// Behind a handshake and a request with timestamps.
    fn asked_with_stamps(more: &[(Row, More)]) -> Played {
        let asked = [
            (HANDSHAKE[0], stamps(1000, 0)),
            (HANDSHAKE[1], stamps(5000, 1000)),
            (HANDSHAKE[2], stamps(1010, 5000)),
            (REQUEST, stamps(1020, 5000)),
        ];
        play_with(&[&asked[..], more].concat(), EndReason::Forced)
    }

    #[test]
    fn a_timestamp_tells_which_copy_was_answered() {
        let rows = |echo| {
            asked_with_stamps(&[
                ((1220.0, ">PA", 101, 901, 50), stamps(1220, 5000)),
                ((1230.0, "<A", 901, 151, 0), stamps(5230, echo)),
            ])
        };
        assert_eq!(rows(1220).rtts()[2..], ["rtt>T 10"]);
        let first = rows(1020);
        assert_eq!(first.rtts()[2..], ["rtt>T 210"]);
        assert_eq!(first.sent_again(), ["Timeout 50", "needless Timeout"], "the first copy had arrived");
        assert_eq!(rows(1010).rtts()[2..], ["ambiguous>"]);
    }

    #[test]
    fn a_timestamp_that_earlier_data_had_too_tells_no_copy() {
        // In the tick of the request another segment, which may be lost; an ACK delayed for both echoes the request.
        let played = asked_with_stamps(&[
            ((1020.1, ">PA", 151, 901, 50), stamps(1020, 5000)),
            ((1220.0, ">PA", 151, 901, 50), stamps(1220, 5000)),
            ((1230.0, "<A", 901, 201, 0), stamps(5230, 1020)),
        ]);
        assert_eq!(played.rtts()[2..], ["ambiguous>"]);
        assert_eq!(played.sent_again(), ["Timeout 50"]);
    }

    #[test]
    fn an_unseen_retransmission_is_betrayed_by_its_timestamp() {
        // The copy of 1220 was lost by the capture.
        let played = asked_with_stamps(&[((1230.0, "<A", 901, 151, 0), stamps(5230, 1220))]);
        assert_eq!(played.rtts()[2..], ["ambiguous>"]);
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
        assert_eq!(
            (played.heard("missing 499"), played.heard("too 1")),
            (1, 1),
            "no FIN: the stream goes on behind it"
        );
    }

    #[test]
    fn an_unseen_request_is_counted_and_not_timed() {
        let played = opened(&[REQUEST, RESPONSE, (1050.0, "<PA", 1401, 201, 500), (1060.0, ">A", 201, 1901, 0)]);
        assert_eq!(played.facts.sides[0].missing_bytes, 49, "the last may be a FIN");
        assert_eq!((played.facts.turns.requests, played.facts.turns.responses), (2, 2));
        assert_eq!(played.heard("response 10 10"), 1);
        assert_eq!(played.heard("response ? ?"), 1);
    }

    #[test]
    fn data_captured_behind_its_ack_is_not_missing() {
        let played = opened(&[(1020.1, "<A", 901, 151, 0), REQUEST, (1030.0, "<PA", 901, 151, 500)]);
        assert_eq!(played.facts.sides[0].missing_bytes, 0);
        assert!(played.sent_again().is_empty());
    }
}
