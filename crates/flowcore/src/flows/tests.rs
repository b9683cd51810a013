use super::*;
use crate::event::{EndReason, FragmentPlace, Opened, SocketRef, TcpSegment, UdpHeader};
use crate::key::{Direction, FlowKey, Protocol};
use crate::record::Evidence;

const A: &str = "10.0.0.1";
const B: &str = "10.0.0.2";

fn event(at_ms: i64, from: (&str, u16), to: (&str, u16), protocol: Protocol, detail: Detail) -> FlowEvent {
    FlowEvent {
        time: Timestamp::from_nanos(at_ms * 1_000_000),
        key: FlowKey {
            src: from.0.parse().unwrap(),
            dst: to.0.parse().unwrap(),
            src_port: from.1,
            dst_port: to.1,
            protocol,
            ..FlowKey::NONE
        },
        packets: 1,
        bytes: 60,
        detail,
        ..FlowEvent::default()
    }
}

fn tcp(at_ms: i64, from: (&str, u16), to: (&str, u16), flags: TcpFlags, seq: u32, ack: u32) -> FlowEvent {
    event(at_ms, from, to, Protocol::TCP, Detail::Tcp(TcpSegment { seq, ack, flags, ..TcpSegment::default() }))
}

fn udp(at_ms: i64, from: (&str, u16), to: (&str, u16)) -> FlowEvent {
    event(at_ms, from, to, Protocol::UDP, Detail::Udp(UdpHeader::default()))
}

/// Which flow, as its serial (`None` without one), and the direction.
type Assigned = (Option<u64>, Direction);

/// Runs events one by one and gives each one's serial (None without a flow), and the ends in order.
fn run(limits: Limits, several: bool, events: &[FlowEvent]) -> (Vec<Assigned>, Vec<(u64, EndReason)>, Ledger) {
    let mut flows = Flows::new(limits, several);
    let mut ledger = Ledger::new();
    let (mut seen, mut ends) = (Vec::new(), Vec::new());
    for &event in events {
        let mut batch = vec![event];
        flows.assign(&mut batch, &mut ledger);
        seen.push((flows.record(batch[0].flow).map(|record| record.serial), batch[0].direction));
        for end in &batch[1..] {
            if let Detail::End(reason) = end.detail {
                ends.push((flows.record(end.flow).unwrap().serial, reason));
            }
        }
    }
    (seen, ends, ledger)
}

fn serials(events: &[FlowEvent]) -> Vec<Option<u64>> {
    run(Limits::default(), false, events).0.into_iter().map(|(serial, _)| serial).collect()
}

#[test]
fn both_directions_are_one_flow() {
    let (seen, _, _) = run(Limits::default(), false, &[udp(0, (B, 999), (A, 53)), udp(1, (A, 53), (B, 999))]);
    assert_eq!(seen, [(Some(0), Direction::Forward), (Some(0), Direction::Reverse)]);
}

#[test]
fn a_lone_syn_ack_makes_its_receiver_the_originator() {
    let both = TcpFlags::SYN | TcpFlags::ACK;
    let events = [tcp(0, (A, 80), (B, 4000), both, 900, 101), tcp(1, (B, 4000), (A, 80), TcpFlags::ACK, 101, 901)];
    let (seen, _, _) = run(Limits::default(), false, &events);
    assert_eq!(seen, [(Some(0), Direction::Reverse), (Some(0), Direction::Forward)]);
    let mut flows = Flows::new(Limits::default(), false);
    let mut batch = events.to_vec();
    flows.assign(&mut batch, &mut Ledger::new());
    assert_eq!(flows.record(batch[0].flow).unwrap().evidence, Evidence::SynAck);
    assert_eq!(flows.record(batch[0].flow).unwrap().key, batch[1].key);
}

#[test]
fn data_from_a_service_port_makes_its_receiver_the_originator() {
    let (seen, _, _) = run(Limits::default(), false, &[tcp(0, (A, 443), (B, 4000), TcpFlags::ACK, 1, 1)]);
    assert_eq!(seen, [(Some(0), Direction::Reverse)]);
}

#[test]
fn silence_longer_than_the_idle_time_opens_a_new_flow() {
    let there = |ms| udp(ms, (B, 999), (A, 53));
    assert_eq!(serials(&[there(0), there(60_000), there(120_001)]), [Some(0), Some(0), Some(1)]);
}

#[test]
fn idle_flows_end_when_time_passes_them() {
    let (_, ends, _) = run(
        Limits::default(),
        false,
        &[udp(0, (B, 999), (A, 53)), udp(30_000, (B, 998), (A, 53)), udp(61_500, (B, 997), (A, 53))],
    );
    assert_eq!(ends, [(0, EndReason::Idle)]);
}

#[test]
fn a_closed_connection_ends_after_the_close_time_not_the_idle_time() {
    let fin = TcpFlags::FIN | TcpFlags::ACK;
    let (_, ends, _) = run(
        Limits::default(),
        false,
        &[
            tcp(0, (B, 4000), (A, 80), TcpFlags::SYN, 100, 0),
            tcp(1, (A, 80), (B, 4000), TcpFlags::SYN | TcpFlags::ACK, 900, 101),
            tcp(2, (B, 4000), (A, 80), fin, 101, 901),
            tcp(3, (A, 80), (B, 4000), fin, 901, 102),
            udp(7_000, (B, 999), (A, 53)),
        ],
    );
    assert_eq!(ends, [(0, EndReason::EndOfFlow)]);
}

#[test]
fn an_unanswered_syn_ends_after_the_attempt_time_and_repetitions_prolong_it() {
    let syn = |ms| tcp(ms, (B, 4000), (A, 80), TcpFlags::SYN, 100, 0);
    assert_eq!(
        serials(&[syn(0), syn(1000), syn(3000), syn(7000), syn(15_000)]),
        [Some(0); 5],
        "whose timer doubles is one attempt"
    );
    assert_eq!(serials(&[syn(0), syn(30_001)]), [Some(0), Some(1)]);
    let doubling = [syn(0), syn(12_000), syn(36_000), syn(84_000)];
    assert_eq!(serials(&doubling), [Some(0); 4]);
    assert_eq!(serials(&[syn(0), syn(12_000), syn(36_000), syn(144_001)]), [Some(0), Some(0), Some(0), Some(1)]);
}

#[test]
fn a_slow_answer_and_a_slow_timer_belong_to_the_attempt() {
    let syn = |ms| tcp(ms, (B, 4000), (A, 80), TcpFlags::SYN, 100, 0);
    // 4.4BSD's intervals.
    assert_eq!(serials(&[syn(0), syn(5_800), syn(29_800), syn(77_800)]), [Some(0); 4]);
    let syn_ack = tcp(6_200, (A, 80), (B, 4000), TcpFlags::SYN | TcpFlags::ACK, 900, 101);
    let ack = tcp(6_210, (B, 4000), (A, 80), TcpFlags::ACK, 101, 901);
    assert_eq!(serials(&[syn(0), syn_ack, ack]), [Some(0); 3]);
}

#[test]
fn who_goes_on_after_a_reset_was_not_reset() {
    let data = |ms| tcp(ms, (B, 4000), (A, 80), TcpFlags::ACK, 101, 901);
    let answer = |ms| tcp(ms, (A, 80), (B, 4000), TcpFlags::ACK, 901, 101);
    let reset = tcp(1, (A, 80), (B, 4000), TcpFlags::RST, 901, 0);
    assert_eq!(serials(&[data(0), reset, answer(2), data(20_000)]), [Some(0); 4]);
    assert_eq!(serials(&[data(0), reset, data(2), data(20_000)]), [Some(0), Some(0), Some(0), Some(1)]);
}

#[test]
fn a_new_initial_number_opens_a_new_flow_and_a_repeated_one_does_not() {
    let syn = |ms, seq| tcp(ms, (B, 4000), (A, 80), TcpFlags::SYN, seq, 0);
    assert_eq!(serials(&[syn(0, 100), syn(10, 100), syn(20, 5000)]), [Some(0), Some(0), Some(1)]);
}

#[test]
fn a_syn_ack_for_another_syn_opens_a_new_flow_once_the_old_one_is_closed() {
    let (client, server) = ((A, 4000), (B, 80));
    let syn_ack = TcpFlags::SYN | TcpFlags::ACK;
    let fin = TcpFlags::FIN | TcpFlags::ACK;
    let flow = |last: &[FlowEvent]| {
        let first = [
            tcp(0, client, server, TcpFlags::SYN, 100, 0),
            tcp(1, server, client, syn_ack, 900, 101),
            tcp(2, client, server, TcpFlags::ACK, 101, 901),
        ];
        serials(&[&first, last].concat())[3..].to_vec()
    };
    let reset = tcp(3, server, client, TcpFlags::RST, 901, 101);
    let other = |at| tcp(at, server, client, syn_ack, 800_000_900, 1_500_000_101);
    assert_eq!(flow(&[reset, other(4)]), [Some(0), Some(1)]);
    // Nor need the beginning of the old one have been captured, or all of its end.
    let met = tcp(0, client, server, TcpFlags::ACK, 101, 901);
    assert_eq!(serials(&[met, reset, other(4)]), [Some(0), Some(0), Some(1)]);
    assert_eq!(serials(&[met, reset, tcp(4, server, client, syn_ack, 900, 101)]), [Some(0); 3]);
    let half_closed = tcp(3, client, server, fin, 101, 901);
    assert_eq!(flow(&[half_closed, other(2000)]), [Some(0), Some(1)]);
    assert_eq!(flow(&[half_closed, other(20)]), [Some(0); 2]);
    let closed = [tcp(3, client, server, fin, 101, 901), tcp(4, server, client, fin, 901, 102)];
    assert_eq!(flow(&[&closed[..], &[other(5)]].concat()), [Some(0), Some(0), Some(1)]);
    // Its own once more, and another while it is open.
    assert_eq!(flow(&[reset, tcp(4, server, client, syn_ack, 900, 101)]), [Some(0), Some(0)]);
    assert_eq!(flow(&[other(4)]), [Some(0)]);
}

#[test]
fn a_syn_that_comes_late_joins_the_flow_of_its_data() {
    let data = tcp(0, (B, 4000), (A, 80), TcpFlags::ACK, 101, 901);
    let syn = tcp(1, (B, 4000), (A, 80), TcpFlags::SYN, 100, 0);
    assert_eq!(serials(&[data, syn]), [Some(0), Some(0)]);
}

#[test]
fn of_a_flow_met_in_the_middle_another_syn_begins_a_new_one_whoever_sends_it() {
    // Its client was taken for the responder.
    let middle = tcp(0, (B, 4000), (A, 5000), TcpFlags::ACK, 700, 300);
    let fin = tcp(1, (A, 5000), (B, 4000), TcpFlags::ACK | TcpFlags::FIN, 300, 700);
    let syn = |ms, seq| tcp(ms, (A, 5000), (B, 4000), TcpFlags::SYN, seq, 0);
    assert_eq!(serials(&[middle, syn(500, 1_000_000_300)]), [Some(0), Some(1)]);
    assert_eq!(serials(&[middle, syn(2, 1_000_000_300), syn(900, 1_000_000_300)]), [Some(0), Some(1), Some(1)]);
    assert_eq!(serials(&[middle, fin, syn(2000, 1_000_000_300)]), [Some(0), Some(0), Some(1)]);
    // Its own, captured late, and so not long after a FIN.
    assert_eq!(serials(&[middle, syn(500, 299)]), [Some(0), Some(0)]);
    assert_eq!(serials(&[middle, fin, syn(3, 299)]), [Some(0); 3]);
    assert_eq!(serials(&[middle, fin, syn(2000, 299)]), [Some(0), Some(0), Some(1)]);
    // The same seen from the responder's first segment, which its port tells.
    let answer = tcp(0, (B, 80), (A, 5000), TcpFlags::ACK, 700, 300);
    let syn = |seq| tcp(5, (B, 80), (A, 5000), TcpFlags::SYN, seq, 0);
    assert_eq!(serials(&[answer, syn(699)]), [Some(0), Some(0)]);
    assert_eq!(serials(&[answer, syn(1_000_000_000)]), [Some(0), Some(1)]);
}

#[test]
fn a_syn_with_data_joins_the_flow_of_its_syn_ack_and_another_does_not() {
    // TCP Fast Open: the SYN-ACK acknowledges 40 bytes that the SYN brought.
    let syn_ack = tcp(0, (A, 80), (B, 4000), TcpFlags::SYN | TcpFlags::ACK, 900, 141);
    let syn = |ms, seq| tcp(ms, (B, 4000), (A, 80), TcpFlags::SYN, seq, 0);
    assert_eq!(serials(&[syn_ack, syn(1, 100), syn(2, 100), syn(3, 99)]), [Some(0), Some(0), Some(0), Some(1)]);
    assert_eq!(serials(&[syn_ack, syn(1, 141)]), [Some(0), Some(1)]);
    assert_eq!(serials(&[syn_ack, syn(1, 140)]), [Some(0), Some(0)]);
}

#[test]
fn a_simultaneous_open_is_one_flow() {
    let syn_ack = TcpFlags::SYN | TcpFlags::ACK;
    assert_eq!(
        serials(&[
            tcp(0, (B, 4000), (A, 5000), TcpFlags::SYN, 100, 0),
            tcp(1, (A, 5000), (B, 4000), TcpFlags::SYN, 900, 0),
            tcp(2, (B, 4000), (A, 5000), syn_ack, 100, 901),
            tcp(3, (A, 5000), (B, 4000), syn_ack, 900, 101),
        ]),
        [Some(0); 4]
    );
}

#[test]
fn later_fragments_join_the_flow_of_the_first() {
    let mut first = udp(0, (B, 999), (A, 53));
    first.notes = Notes::FRAGMENT;
    first.datagram_id = 77;
    let mut later = udp(1, (B, 0), (A, 0));
    later.detail = Detail::Fragment(FragmentPlace { begin: 1480, last: true });
    later.notes = Notes::FRAGMENT | Notes::LATER_FRAGMENT;
    later.datagram_id = 77;
    let mut other = later;
    other.datagram_id = 78;
    assert_eq!(serials(&[first, later, other]), [Some(0), Some(0), Some(1)]);
    // What cannot be joined is marked, and so is a first fragment behind it.
    let mut events = vec![first, later, other, FlowEvent { datagram_id: 78, ..first }];
    Flows::new(Limits::default(), false).assign(&mut events, &mut Ledger::new());
    let apart: Vec<_> = events.iter().map(|event| event.notes.contains(Notes::APART)).collect();
    assert_eq!(apart, [false, false, true, true]);
}

#[test]
fn later_fragments_that_name_an_extension_header_join_the_flow_of_the_first() {
    let mut first = udp(0, (B, 999), (A, 53));
    (first.notes, first.datagram_id) = (Notes::FRAGMENT | Notes::APART, 77);
    let mut later = udp(1, (B, 0), (A, 0));
    later.detail = Detail::Fragment(FragmentPlace { begin: 1480, last: true });
    (later.notes, later.datagram_id) = (Notes::FRAGMENT | Notes::LATER_FRAGMENT, 77);
    let named = |number, datagram| {
        let mut event = later;
        (event.key.protocol, event.datagram_id) = (Protocol(number), datagram);
        event
    };
    // Authentication header, destination options; what names the first one's protocol still does.
    assert_eq!(
        serials(&[first, named(51, 77), named(60, 77), later, named(51, 78)]),
        [Some(0), Some(0), Some(0), Some(0), Some(1)]
    );
    // One whose headers are plain has no such later fragments.
    let plain = FlowEvent { notes: Notes::FRAGMENT, ..first };
    assert_eq!(serials(&[plain, named(51, 77)]), [Some(0), Some(1)]);
}

#[test]
fn a_later_fragment_of_a_segment_goes_on_where_the_first_ends() {
    let mut first = tcp(0, (B, 999), (A, 80), TcpFlags::ACK | TcpFlags::FIN, 1000, 7);
    (first.notes, first.datagram_id) = (Notes::FRAGMENT, 5);
    // A header of 32 bytes and 1,448 of payload; then two fragments that carry 1,480 and 40.
    (first.network_bytes, first.payload_bytes) = (1500, 1448);
    let later = |at_ms, place, bytes| {
        let mut event = event(at_ms, (B, 0), (A, 0), Protocol::TCP, Detail::Fragment(place));
        event.notes = Notes::FRAGMENT | Notes::LATER_FRAGMENT;
        (event.datagram_id, event.payload_bytes) = (5, bytes);
        event
    };
    let last = later(1, FragmentPlace { begin: 2960, last: true }, 40);
    let mut events = vec![first, last, later(2, FragmentPlace { begin: 1480, last: false }, 1480)];
    Flows::new(Limits::default(), false).assign(&mut events, &mut Ledger::new());
    let segments: Vec<_> = events
        .iter()
        .map(|event| match event.detail {
            Detail::Tcp(segment) => (segment.seq, segment.flags, event.payload_bytes, event.flow == events[0].flow),
            _ => panic!("no segment: {event:?}"),
        })
        .collect();
    assert_eq!(
        segments,
        [
            (1000, TcpFlags::ACK, 1448, true),
            (1000 + 1448 + 1480, TcpFlags::ACK | TcpFlags::FIN, 40, true),
            (1000 + 1448, TcpFlags::ACK, 1480, true)
        ]
    );
}

#[test]
fn a_full_table_counts_what_it_cannot_track() {
    let limits = Limits { flows: 1, ..Limits::default() };
    let (seen, _, ledger) =
        run(limits, false, &[udp(0, (B, 1), (A, 53)), udp(1, (B, 2), (A, 53)), udp(2, (B, 1), (A, 53))]);
    assert_eq!(seen.iter().map(|s| s.0).collect::<Vec<_>>(), [Some(0), None, Some(0)]);
    assert_eq!(ledger.untracked, 1);
}

#[test]
fn a_full_table_has_room_again_after_expiry() {
    let limits = Limits { flows: 10, ..Limits::default() };
    let events: Vec<FlowEvent> = (0..30_000).map(|n| udp(i64::from(n) * 7000, (B, n as u16), (A, 53))).collect();
    let (_, _, ledger) = run(limits, false, &events);
    assert_eq!(ledger.untracked, 0);
}

#[test]
fn the_same_packet_on_another_interface_is_a_duplicate_and_a_retransmission_is_not() {
    let first = tcp(0, (B, 4000), (A, 80), TcpFlags::ACK, 1, 1);
    let mut elsewhere = first;
    elsewhere.interface = 1;
    let mut again = first;
    again.time = first.time + Nanos::new(200_000_000);
    let (_, _, ledger) = run(Limits::default(), true, &[first, elsewhere, again]);
    assert_eq!(ledger.duplicates, 1);
    // Elsewhere and later: the same packet only if its number, or its timestamps, say so.
    let mut later = elsewhere;
    later.time = first.time + Nanos::new(300_000_000);
    let numbered = [first, later].map(|event| FlowEvent { datagram_id: 7, ..event });
    for (stamps, duplicates) in [([5, 5], 1), ([5, 6], 0)] {
        let mut events = [first, later];
        for (event, stamp) in events.iter_mut().zip(stamps) {
            let Detail::Tcp(segment) = &mut event.detail else { panic!("a segment") };
            segment.timestamp.0 = stamp;
        }
        assert_eq!(run(Limits::default(), true, &events).2.duplicates, duplicates);
    }
    for (events, duplicates) in [([first, later], 0), (numbered, 1)] {
        assert_eq!(run(Limits::default(), true, &events).2.duplicates, duplicates);
    }
}

#[test]
fn a_second_interface_that_shows_up_late_is_still_recognised() {
    let mut events: Vec<FlowEvent> =
        (0..18_000).map(|n| tcp(n, (B, 4000), (A, 80), TcpFlags::ACK, n as u32, 1)).collect();
    for n in 18_000..18_100 {
        let first = tcp(n, (B, 4000), (A, 80), TcpFlags::ACK, n as u32, 1);
        events.extend([first, FlowEvent { interface: 1, ..first }]);
    }
    let (_, _, ledger) = run(Limits::default(), true, &events);
    // The very first packet from the second interface ends the pause; its twin was not remembered.
    assert_eq!(ledger.duplicates, 99);
}

#[test]
fn frames_without_a_flow_get_no_id() {
    let arp = FlowEvent { ethertype: 0x0806, packets: 1, ..FlowEvent::default() };
    assert_eq!(serials(&[arp]), [None]);
}

#[test]
fn ids_are_given_out_again_alike_however_events_are_cut() {
    let events: Vec<FlowEvent> = (0..30_000u16).map(|n| udp(i64::from(n) * 50, (B, n), (A, 53))).collect();
    let outcome = |size: usize| {
        let mut flows = Flows::new(Limits::default(), false);
        let mut ids = Vec::new();
        for chunk in events.chunks(size) {
            let mut batch = chunk.to_vec();
            flows.assign(&mut batch, &mut Ledger::new());
            let mut within: Vec<FlowId> = batch[..chunk.len()].iter().map(|event| event.flow).collect();
            ids.extend_from_slice(&within);
            // No id means two flows within one step.
            within.sort_unstable();
            within.dedup();
            assert_eq!(within.len(), chunk.len());
        }
        let mut ends = Vec::new();
        while flows.close(11, &mut ends) {}
        (ids, ends.iter().map(|end| end.flow).collect::<Vec<_>>(), flows.memory_bytes())
    };
    let (ids, ends, bytes) = outcome(1);
    assert!(ids.iter().max() < Some(&FlowId(8000)), "ids are given out again");
    for size in [64, 777, STEP] {
        assert_eq!(outcome(size), (ids.clone(), ends.clone(), bytes));
    }
}

#[test]
fn closing_ends_every_flow_once() {
    let mut flows = Flows::new(Limits::default(), false);
    let mut batch: Vec<FlowEvent> = (0..10).map(|n| udp(0, (B, n), (A, 53))).collect();
    flows.assign(&mut batch, &mut Ledger::new());
    let mut ends = Vec::new();
    assert!(flows.close(4, &mut ends));
    assert!(!flows.close(100, &mut ends));
    assert_eq!(ends.len(), 10);
    assert!(flows.is_empty());
}

proptest::proptest! {
    /// Law: what the table does depends on the events before, not on how they were cut into batches.
    #[test]
    fn batches_do_not_matter(
        steps in proptest::collection::vec((0i64..9_000, 0u16..6, 0u8..6, 0u32..3), 1..300),
        cut in 1usize..200,
    ) {
        let mut at = 0;
        let events: Vec<FlowEvent> = steps.iter().map(|&(gap, port, what, seq)| {
            at += gap;
            let flags = [TcpFlags::SYN, TcpFlags::ACK, TcpFlags::FIN | TcpFlags::ACK, TcpFlags::RST,
                TcpFlags::SYN | TcpFlags::ACK, TcpFlags::ACK][usize::from(what)];
            let (from, to) = if what % 2 == 0 { ((B, port), (A, 80)) } else { ((A, 80), (B, port)) };
            tcp(at, from, to, flags, seq, 0)
        }).collect();
        let outcome = |size: usize| {
            let mut flows = Flows::new(Limits::default(), false);
            let (mut seen, mut ends) = (Vec::new(), Vec::new());
            for chunk in events.chunks(size) {
                let mut batch = chunk.to_vec();
                flows.assign(&mut batch, &mut Ledger::new());
                for event in &batch {
                    let record = flows.record(event.flow).unwrap();
                    match event.detail {
                        Detail::End(reason) => ends.push((record.serial, reason, event.time, event.key)),
                        _ => seen.push((record.serial, event.direction, event.marks)),
                    }
                }
            }
            while flows.close(7, &mut Vec::new()) {}
            (seen, ends)
        };
        proptest::prop_assert_eq!(outcome(1), outcome(cut));
    }
}

fn socket(at_ms: i64, local: (&str, u16), remote: (&str, u16), socket: SocketRef) -> FlowEvent {
    event(at_ms, local, remote, Protocol::TCP, Detail::Socket(socket))
}

#[test]
fn a_socket_on_a_listeners_port_was_asked_for_by_the_other_end() {
    let mut flows = Flows::new(Limits::default(), false);
    let accepted = SocketRef { opened: Opened::Remotely, ..SocketRef::default() };
    let mut events = vec![socket(0, (A, 9999), (B, 8888), accepted)];
    flows.assign(&mut events, &mut Ledger::new());
    let record = flows.record(events[0].flow).unwrap();
    assert_eq!((record.key.src_port, record.evidence), (8888, Evidence::Listener));
    assert_eq!(events[0].direction, Direction::Reverse);
}

#[test]
fn a_destroyed_socket_ends_its_flow_and_the_next_with_its_ends_is_another() {
    let first = SocketRef { first: true, ..SocketRef::default() };
    let last = SocketRef { last: true, ..SocketRef::default() };
    let poll = |at_ms, what| socket(at_ms, (A, 9999), (B, 8888), what);
    let events = [poll(0, first), poll(1000, SocketRef::default()), poll(1500, last), poll(2000, first)];
    assert_eq!(serials(&events), [Some(0), Some(0), Some(0), Some(1)]);
    let (_, ends, _) = run(Limits::default(), false, &events);
    assert_eq!(ends, [(0, EndReason::EndOfFlow)]);
}

#[test]
fn all_control_bits_together_are_no_syn_ack() {
    let bits = TcpFlags::SYN | TcpFlags::ACK | TcpFlags::FIN | TcpFlags::RST | TcpFlags::PSH | TcpFlags::URG;
    let event = tcp(0, (B, 4000), (A, 81), bits, 1, 1);
    assert_eq!(originator(&event), (true, Evidence::FirstSeen));
}
