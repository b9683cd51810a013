use super::*;
use flowcore::event::TcpSegment;
use flowcore::pipeline::{Builder, Pipeline};
use flowcore::report::{Bound, Value};
use flowcore::{FlowKey, Frames, Select, SourceInfo};

fn udp(at_ms: i64, reverse: bool, bytes: u64) -> FlowEvent {
    let key = FlowKey {
        src: "10.0.0.2".parse().unwrap(),
        dst: "10.0.0.1".parse().unwrap(),
        src_port: 5000,
        dst_port: 53,
        protocol: Protocol::UDP,
        ..FlowKey::NONE
    };
    FlowEvent {
        time: Timestamp::from_nanos(at_ms * 1_000_000),
        key: if reverse { key.reversed() } else { key },
        packets: 1,
        bytes,
        network_bytes: bytes as u32 - 14,
        payload_bytes: bytes as u32 - 42,
        ..FlowEvent::default()
    }
}

fn connections(events: Vec<FlowEvent>) -> Vec<Connection> {
    connections_by(Pipeline::builder(), events)
}

fn connections_by(mut builder: Builder, mut events: Vec<FlowEvent>) -> Vec<Connection> {
    let conns = builder.add(Conns::with(Depth::Course));
    let source = SourceInfo { offers: Features::all(), ..SourceInfo::default() };
    let mut pipeline = builder.build(&source).unwrap();
    pipeline.push(&mut events, Frames::EMPTY, Timestamp::MAX).unwrap();
    while pipeline.close().unwrap() {}
    let mut out = Vec::new();
    pipeline.get_mut(&conns).take_finished(&mut out);
    out
}

#[test]
fn packets_and_bytes_are_counted_by_direction_and_layer() {
    let found = connections(vec![udp(0, false, 100), udp(3, true, 200), udp(5, false, 80)]);
    assert_eq!(found.len(), 1);
    let connection = &found[0];
    let forward = Counts { packets: 2, wire_bytes: 180, network_bytes: 152, payload_bytes: 96 };
    let reverse = Counts { packets: 1, wire_bytes: 200, network_bytes: 186, payload_bytes: 158 };
    assert_eq!(connection.counts, [forward, reverse]);
    assert_eq!(connection.duration(), Some(Nanos::new(5_000_000)));
    assert_eq!((connection.state, connection.history.as_str()), (ConnState::SF, "Dd"));
    assert!(connection.doubts.is_empty());
}

#[test]
fn the_duration_of_packets_without_times_is_unknown_and_not_zero() {
    let mut untimed = udp(0, true, 200);
    untimed.notes |= Notes::UNTIMED;
    let found = connections(vec![udp(0, false, 100), untimed]);
    assert_eq!(found[0].duration(), None);
}

#[test]
fn counts_beyond_32_bits_are_as_exact_as_small_ones() {
    let large = FlowEvent { packets: u32::MAX, bytes: 5 << 40, network_bytes: u32::MAX, ..udp(1, true, 100) };
    let mut twin = udp(2, false, 100);
    twin.marks |= Marks::DUPLICATE;
    let found = connections(vec![udp(0, false, 100), large, twin, large, udp(3, true, 200), udp(4, false, 80)]);
    let forward = Counts { packets: 2, wire_bytes: 180, network_bytes: 152, payload_bytes: 96 };
    let most = u64::from(u32::MAX);
    let reverse = Counts {
        packets: 2 * most + 1,
        wire_bytes: (10 << 40) + 200,
        network_bytes: 2 * most + 186,
        payload_bytes: 2 * 58 + 158,
    };
    assert_eq!(found.len(), 1);
    assert_eq!((found[0].counts, found[0].duplicate_packets), ([forward, reverse], 1));
}

#[test]
fn a_connection_without_its_syn_is_a_lower_bound() {
    let mut event = udp(0, false, 100);
    event.key.protocol = Protocol::TCP;
    event.detail = Detail::Tcp(TcpSegment { flags: TcpFlags::ACK, window: 1, seq: 5, ack: 9, ..TcpSegment::default() });
    assert_eq!(connections(vec![event])[0].doubts.quality().at_least, ["midstream"]);
}

#[test]
fn column_names_are_unique_and_every_column_gives_a_value() {
    let found = connections(vec![udp(0, false, 100)]);
    for (place, def) in COLUMNS.iter().enumerate() {
        assert_eq!(COLUMNS.iter().position(|other| other.column.name == def.column.name), Some(place));
        let _: Value = (def.value)(&found[0]);
    }
    assert_eq!((column("src_port").unwrap().value)(&found[0]), Value::U64(5000));
    assert_eq!((column("handshake_ns").unwrap().value)(&found[0]), Value::Missing);
}

#[test]
fn the_active_time_ends_when_both_ends_have_closed() {
    let segment = |ms, back, flags, seq, ack| {
        let mut event = udp(ms, back, 60);
        event.key.protocol = Protocol::TCP;
        event.payload_bytes = 0;
        event.detail = Detail::Tcp(TcpSegment { flags, seq, ack, window: 1, ..TcpSegment::default() });
        event
    };
    let (fin, ack) = (TcpFlags::FIN | TcpFlags::ACK, TcpFlags::ACK);
    let found = connections(vec![
        segment(0, false, TcpFlags::SYN, 10, 0),
        segment(1, true, TcpFlags::SYN | TcpFlags::ACK, 50, 11),
        segment(2, false, fin, 11, 51),
        segment(3, true, fin, 51, 12),
        segment(4, false, ack, 12, 52),
    ]);
    let cell = |name| (column(name).unwrap().value)(&found[0]);
    assert_eq!(cell("duration_ns"), Value::Span(Nanos::new(4_000_000)));
    assert_eq!(cell("active_ns"), Value::Span(Nanos::new(3_000_000)));
}

/// A segment: microseconds, direction, flags, sequence and acknowledgment numbers, payload.
type Row = (i64, bool, TcpFlags, u32, u32, u32);

/// A TCP connection of 10.0.0.2:5000 with 10.0.0.1:53.
fn tcp(rows: &[Row]) -> Vec<Connection> {
    tcp_with_windows(&rows.iter().map(|row| (*row, 1)).collect::<Vec<_>>())
}

/// The same with the window of each segment.
fn tcp_with_windows(rows: &[(Row, u16)]) -> Vec<Connection> {
    connections(
        rows.iter()
            .map(|&((micros, back, flags, seq, ack, payload_bytes), window)| {
                let segment = TcpSegment { flags, seq, ack, window, ..TcpSegment::default() };
                let mut event = udp(0, back, 60);
                event.time = Timestamp::from_nanos(micros * 1000);
                event.key.protocol = Protocol::TCP;
                FlowEvent { payload_bytes, detail: Detail::Tcp(segment), ..event }
            })
            .collect(),
    )
}

const SYN: TcpFlags = TcpFlags::SYN;
const SYN_ACK: TcpFlags = TcpFlags::SYN.union(TcpFlags::ACK);
const ACK: TcpFlags = TcpFlags::ACK;
const RST: TcpFlags = TcpFlags::RST;

/// Microseconds of a handshake's time, and what that is to the truth.
fn told(connection: &Connection, name: &str) -> (i64, Bound) {
    let def = column(name).unwrap();
    let Value::Span(span) = (def.value)(connection) else { panic!("{name} is missing") };
    (span.get() / 1000, (def.bound)(connection).max(def.column.bound_in(&connection.doubts.quality())))
}

fn evidence(connection: &Connection) -> Value {
    (column("handshake_evidence").unwrap().value)(connection)
}

#[test]
fn a_handshakes_time_that_ends_with_data_may_be_the_applications() {
    let rows = |last| [(0, false, SYN, 10, 0, 0), (10_000, true, SYN_ACK, 50, 11, 0), last];
    // The ACK of the SYN-ACK was lost by the capture; what comes next is a request.
    for late in [(900_000, false, ACK, 11, 51, 100), (900_000, false, ACK, 111, 51, 0)] {
        let found = tcp(&rows(late));
        assert_eq!(told(&found[0], "handshake_ns"), (900_000, Bound::About));
        assert_eq!(told(&found[0], "ack_ns"), (890_000, Bound::About));
        assert_eq!(told(&found[0], "syn_ack_ns"), (10_000, Bound::Exact));
        assert_eq!(evidence(&found[0]), Value::Word("late_ack"));
    }
    // A keep-alive of the responder asks for an ACK that looks like the first.
    let [syn, syn_ack, ack] = rows((900_100, false, ACK, 11, 51, 0));
    assert_eq!(told(&tcp(&[syn, syn_ack, (900_000, true, ACK, 50, 11, 0), ack])[0], "handshake_ns").1, Bound::About);
    let found = tcp(&rows((10_100, false, ACK, 11, 51, 0)));
    assert_eq!(told(&found[0], "handshake_ns"), (10_100, Bound::Exact));
    assert_eq!(evidence(&found[0]), Value::Word("exact"));
    // One step alone has no time.
    assert_eq!(evidence(&tcp(&[(0, true, SYN_ACK, 50, 11, 0), (10, true, RST, 51, 0, 0)])[0]), Value::Missing);
}

#[test]
fn a_handshakes_time_after_a_repeated_syn_is_a_lower_bound() {
    let found = tcp(&[
        (0, false, SYN, 10, 0, 0),
        (1_000_000, false, SYN, 10, 0, 0),
        // It may as well answer the first.
        (1_000_500, true, SYN_ACK, 50, 11, 0),
        (1_000_600, false, ACK, 11, 51, 0),
    ]);
    assert_eq!(told(&found[0], "syn_ack_ns"), (500, Bound::AtLeast));
    assert_eq!(told(&found[0], "handshake_ns"), (600, Bound::AtLeast));
    assert_eq!(told(&found[0], "ack_ns"), (100, Bound::Exact));
    assert_eq!(evidence(&found[0]), Value::Word("repeated"));
}

#[test]
fn a_syn_that_was_captured_twice_is_answered_once() {
    let found = tcp(&[
        (0, false, SYN, 10, 0, 0),
        (30, false, SYN, 10, 0, 0),
        (10_000, true, SYN_ACK, 50, 11, 0),
        (10_030, true, SYN_ACK, 50, 11, 0),
        (10_100, false, ACK, 11, 51, 0),
    ]);
    assert_eq!(told(&found[0], "syn_ack_ns"), (10_000, Bound::Exact));
    assert_eq!(told(&found[0], "handshake_ns"), (10_100, Bound::Exact));
    assert_eq!(evidence(&found[0]), Value::Word("exact"));
}

#[test]
fn headers_that_were_cut_before_the_transport_leave_counts_open() {
    for (stopped, notes, open) in [
        (Layer::Transport, Notes::CUT, true),
        (Layer::Tunnel, Notes::CUT, true),
        (Layer::Network, Notes::CUT, true),
        // Lengths that contradict each other.
        (Layer::Network, Notes::MALFORMED, true),
        // A tunnel with something in it that is not read here.
        (Layer::Tunnel, Notes::UNKNOWN, false),
        // Only the payload was cut.
        (Layer::None, Notes::CUT, false),
    ] {
        let found = connections(vec![FlowEvent { stopped, notes, ..udp(0, false, 100) }]);
        assert_eq!(found[0].doubts == Doubts::HEADERS_CUT, open, "{stopped:?} {notes:?}");
    }
}

#[test]
fn a_message_cut_before_its_type_has_none() {
    let message = |ports: (u16, u16), stopped, notes| {
        let usual = udp(0, false, 100);
        let key = FlowKey { protocol: Protocol::ICMP, src_port: ports.0, dst_port: ports.1, ..usual.key };
        let found = connections(vec![FlowEvent { key, stopped, notes, ..usual }]);
        ["src_port", "dst_port"].map(|name| (column(name).unwrap().value)(&found[0]))
    };
    let echo = message((8, 0), Layer::None, Notes::empty());
    assert_eq!(echo, [Value::U64(8), Value::U64(0)]);
    assert_eq!(message((8, 0), Layer::Transport, Notes::CUT), echo, "cut behind its type");
    assert_eq!(message((0, 0), Layer::Transport, Notes::CUT), [Value::Missing, Value::Missing]);
    // Later fragments whose first one is missing.
    assert_eq!(message((0, 0), Layer::None, Notes::APART), [Value::Missing, Value::Missing]);
}

#[test]
fn a_frame_that_holds_more_packets_than_were_read_is_told() {
    let found = connections(vec![udp(0, false, 100), FlowEvent { notes: Notes::AGGREGATED, ..udp(1, false, 100) }]);
    assert_eq!(found[0].doubts.quality().at_least, ["aggregated"]);
}

/// Selects every event that is not longer, or every flow.
struct Short(u64);

impl Select for Short {
    fn select(&self, events: &[FlowEvent], _: &Frames<'_>) -> u64 {
        events.iter().enumerate().fold(0, |mask, (place, event)| mask | u64::from(event.bytes <= self.0) << place)
    }
    fn keeps_flows_whole(&self) -> bool {
        self.0 == u64::MAX
    }
}

#[test]
fn a_row_of_which_a_filter_may_have_taken_packets_is_not_exact() {
    let events = || vec![udp(0, false, 100), udp(3, true, 200)];
    let found = connections_by(Pipeline::builder().filter(Short(100)), events());
    assert_eq!((found[0].state, found[0].doubts), (ConnState::S0, Doubts::FILTERED));
    assert_eq!(row(&found[0]).quality.at_least, ["filtered"]);
    let found = connections_by(Pipeline::builder().filter(Short(u64::MAX)), events());
    assert_eq!((found[0].state, found[0].doubts), (ConnState::SF, Doubts::empty()));
}

#[test]
fn a_connection_that_its_idle_time_cuts_in_two_is_not_told_as_whole() {
    let mut rows = vec![
        (0, false, SYN, 10, 0, 0),
        (10_000, true, SYN_ACK, 50, 11, 0),
        (10_100, false, ACK, 11, 51, 0),
        (20_000, false, ACK, 11, 51, 100),
        // The answer takes longer than the idle time of five minutes.
        (400_000_000, true, ACK, 51, 111, 100),
    ];
    let found = tcp(&rows);
    let reasons: Vec<_> = found.iter().map(|connection| connection.doubts.quality().at_least).collect();
    assert_eq!(reasons, [["idle"], ["midstream"]]);
    // One that both ends have closed has nothing to come.
    let fin = TcpFlags::FIN | ACK;
    rows[4] = (30_000, true, fin, 51, 111, 0);
    rows.extend([
        (30_100, false, fin, 111, 52, 0),
        (30_200, true, ACK, 52, 112, 0),
        (900_000_000, false, SYN, 900, 0, 0),
    ]);
    assert!(tcp(&rows)[0].doubts.is_empty());
}

#[test]
fn a_window_that_is_shut_at_the_last_packet_was_shut_at_least_as_long() {
    let mut rows = vec![
        ((0, false, SYN, 10, 0, 0), 1000),
        ((10_000, true, SYN_ACK, 50, 11, 0), 1000),
        ((10_100, false, ACK, 11, 51, 0), 1000),
        ((20_000, false, ACK, 11, 51, 500), 1000),
        ((30_000, true, ACK, 51, 511, 0), 0),
        ((230_000, false, ACK, 510, 51, 0), 1000),
        ((240_000, true, ACK, 51, 511, 0), 0),
    ];
    let told_of = |rows: &[(Row, u16)]| {
        let found = &tcp_with_windows(rows)[0];
        let by = (column("zero_window_evidence").unwrap().value)(found);
        let (micros, _) = told(found, "zero_window_time");
        (micros, (column("zero_window_time").unwrap().bound)(found), by)
    };
    assert_eq!(told_of(&rows), (210_000, Bound::AtLeast, Value::Word("still_shut")));
    // The connection ended so, or the window was opened.
    rows.push(((250_000, true, RST | ACK, 51, 511, 0), 0));
    assert_eq!(told_of(&rows), (220_000, Bound::Exact, Value::Word("exact")));
    rows[7] = ((250_000, true, ACK, 51, 511, 0), 800);
    assert_eq!(told_of(&rows), (220_000, Bound::Exact, Value::Word("exact")));
}

#[test]
fn what_only_the_time_tells_marks_counts_of_its_direction() {
    let bounds = |names: [&str; 4], found: &Connection| names.map(|name| (column(name).unwrap().bound)(found));
    let retrans = ["retrans", "fwd_retrans", "rev_retrans", "reordered"];
    let late = |micros: i64| {
        let segment = |at: i64, number: u32| (at, false, ACK, 11 + 100 * number, 51, 100);
        tcp(&[
            (0, false, SYN, 10, 0, 0),
            (10_000, true, SYN_ACK, 50, 11, 0),
            (10_100, false, ACK, 11, 51, 0),
            segment(20_000, 0),
            segment(20_001, 2),
            segment(20_001 + micros, 1),
        ])
    };
    for micros in [1_000, 30_000] {
        let [exact, about] = [Bound::Exact, Bound::About];
        assert_eq!(bounds(retrans, &late(micros)[0]), [about, about, exact, about], "{micros}");
    }
}

#[test]
fn percentiles_of_some_responses_are_marked_and_say_of_how_many_they_are() {
    let mut rows = vec![
        (0, false, SYN, 10, 0, 0),
        (10_000, true, SYN_ACK, 50, 11, 0),
        (10_100, false, ACK, 11, 51, 0),
        (20_000, false, ACK, 11, 51, 100),
        (30_000, true, ACK, 51, 111, 100),
        (40_000, false, ACK, 111, 151, 100),
        (60_000, true, ACK, 151, 211, 100),
    ];
    let told = |rows: &[Row]| {
        let found = &tcp(rows)[0];
        let value = |name| (column(name).unwrap().value)(found);
        let bounds =
            ["first_byte_p50", "response_p95", "response_max"].map(|name| (column(name).unwrap().bound)(found));
        ([value("responses"), value("first_byte_samples"), value("response_samples")], bounds)
    };
    assert_eq!(told(&rows), ([2, 2, 2].map(Value::U64), [Bound::Exact; 3]));
    // Of the second something is on its way still, or lost.
    rows.push((60_001, true, ACK, 351, 211, 100));
    assert_eq!(told(&rows), ([2, 1, 1].map(Value::U64), [Bound::About, Bound::About, Bound::AtLeast]));
}
