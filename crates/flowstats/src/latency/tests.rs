//! Round trips of sockets that are polled.

use flowcore::report::Value;

use super::*;
use crate::samples::{Polled, at, socket, tcp_info};

const WEB: &str = "192.0.2.2 40000 192.0.2.1 443";

fn rtt(micros: u32) -> flowcore::socket::TcpInfo {
    tcp_info(&[(at::RTT, micros), (at::RTTVAR, micros / 2), (at::MIN_RTT, micros - 1)], &[])
}

fn micros(micros: i64) -> Option<Nanos> {
    Some(Nanos::new(micros * 1_000))
}

#[test]
fn a_socket_has_the_round_trips_of_its_latest_sample() {
    let mut polled = Polled::new(Latency::default());
    polled.poll(&[socket(WEB, 1, rtt(5_000))], true, false);
    polled.poll(&[socket(WEB, 2, rtt(7_000))], false, false);
    let rows = polled.get().rows();
    assert_eq!(rows.len(), 1);
    let flow = rows[0];
    assert_eq!((flow.rtt, flow.rttvar, flow.min_rtt), (micros(7_000), micros(3_500), micros(6_999)));
    assert_eq!((flow.time, flow.method), (Timestamp::from_parts(2, 0), Method::Socket));
}

#[test]
fn both_ends_of_a_connection_within_one_host_have_a_row() {
    let mut polled = Polled::new(Latency::default());
    let (client, server) = ("127.0.0.1 40000 127.0.0.1 80", "127.0.0.1 80 127.0.0.1 40000");
    polled.poll(&[socket(client, 1, rtt(30)), socket(server, 1, rtt(20))], true, false);
    let ports: Vec<u16> = polled.get().rows().iter().map(|flow| flow.end.local_port).collect();
    assert_eq!(ports, [80, 40_000], "that of the shorter round trip comes first");
}

#[test]
fn what_was_not_measured_is_counted_and_is_no_zero() {
    let mut polled = Polled::new(Latency::default());
    let new = socket("192.0.2.2 40001 192.0.2.1 443", 1, tcp_info(&[(at::RTTVAR, 250_000)], &[]));
    polled.poll(&[socket(WEB, 1, rtt(5_000)), new], true, false);
    let rows = polled.get().rows();
    assert_eq!((rows[1].rtt, rows[1].rttvar, rows[1].min_rtt), (None, None, None));
    let distribution = Distribution::of(&rows);
    assert_eq!((distribution.measured(), distribution.unmeasured()), (1, 1));
    assert_eq!(distribution.bins(Bins::default()).iter().map(|bin| bin.count).sum::<u64>(), 1);
}

#[test]
fn listeners_and_what_waits_for_late_segments_are_no_flows() {
    let mut polled = Polled::new(Latency::default());
    let listener = SocketSample { state: SocketState::LISTEN, ..socket("0.0.0.0 443 0.0.0.0 0", 1, rtt(1)) };
    let waits = SocketSample { state: SocketState::TIME_WAIT, tcp: None, ..socket(WEB, 1, rtt(1)) };
    polled.poll(&[SocketSample { tcp: None, ..listener }, waits], true, false);
    assert_eq!(polled.get().rows(), []);
}

#[test]
fn a_subflow_is_the_row_and_the_multipath_socket_says_who_holds_it() {
    let mut polled = Polled::new(Latency::default());
    let subflow = SocketSample { cookie: Some(1), ..socket(WEB, 1, rtt(5_000)) };
    let whole = SocketSample { cookie: Some(2), inode: Some(77), tcp: None, protocol: IPPROTO_MPTCP, ..subflow };
    // Again: what was found out stays.
    for first in [true, false] {
        polled.poll(&[subflow, whole], first, false);
        let rows = polled.get().rows();
        assert_eq!(rows.len(), 1);
        assert_eq!((rows[0].rtt, rows[0].end.cookie, rows[0].end.inode), (micros(5_000), Some(1), Some(77)));
    }
}

#[test]
fn who_held_an_end_is_known_when_nobody_does_any_more() {
    let mut polled = Polled::new(Latency::default());
    let held = SocketSample { cookie: Some(1), inode: Some(77), uid: Some(33), ..socket(WEB, 1, rtt(5_000)) };
    let left = SocketSample { state: SocketState::FIN_WAIT1, inode: None, uid: None, ..held };
    polled.poll(&[held], true, false);
    polled.poll(&[left], false, false);
    let row = polled.get().rows()[0];
    assert_eq!((row.end.inode, row.end.uid, row.end.state), (Some(77), Some(33), Some(SocketState::FIN_WAIT1)));
    // Another socket between the same ends has a holder of its own.
    polled.poll(&[SocketSample { cookie: Some(2), inode: None, uid: None, ..held }], false, false);
    assert_eq!(polled.get().rows()[0].end.inode, None);
}

#[test]
fn an_ended_connection_keeps_its_row_until_it_was_reported() {
    let mut polled = Polled::new(Latency::default());
    polled.poll(&[socket(WEB, 1, rtt(5_000))], true, false);
    polled.poll(&[SocketSample { tcp: None, state: SocketState::CLOSE, ..socket(WEB, 2, rtt(1)) }], false, true);
    assert_eq!(polled.get().rows()[0].rtt, micros(5_000), "the last that was known");
    polled.get_mut().forget_ended();
    assert_eq!(polled.get().rows(), []);
    // The same ends once more.
    polled.poll(&[socket(WEB, 3, rtt(9_000))], true, false);
    assert_eq!(polled.get().rows()[0].rtt, micros(9_000));
}

#[test]
fn a_late_notice_leaves_the_socket_alone_that_has_its_ports_now() {
    let mut polled = Polled::new(Latency::default());
    let with_cookie =
        |cookie, second, micros| SocketSample { cookie: Some(cookie), ..socket(WEB, second, rtt(micros)) };
    polled.poll(&[with_cookie(1, 1, 5_000)], true, false);
    polled.poll(&[with_cookie(2, 2, 6_000)], true, false);
    polled.poll(&[with_cookie(1, 3, 5_500)], false, true);
    let cookies = |polled: &Polled<Latency>| polled.get().rows().iter().map(|row| row.end.cookie).collect::<Vec<_>>();
    assert_eq!(cookies(&polled), [Some(1), Some(2)]);
    polled.get_mut().forget_ended();
    assert_eq!(cookies(&polled), [Some(2)]);
}

#[test]
fn what_a_whole_poll_leaves_out_has_no_row() {
    let mut polled = Polled::new(Latency::default());
    polled.poll(&[socket(WEB, 1, rtt(5_000))], true, false).get_mut().answered(Timestamp::from_parts(1, 0));
    assert_eq!(polled.get().rows().len(), 1);
    polled.get_mut().answered(Timestamp::from_parts(2, 0));
    assert_eq!(polled.get().rows(), []);
    polled.poll(&[socket(WEB, 3, rtt(5_000))], false, false);
    assert_eq!(polled.get().rows().len(), 1, "it is back");
}

#[test]
fn ended_connections_beyond_the_most_are_counted() {
    let mut polled = Polled::new(Latency::new(Options { most_ended: 1 }));
    for port in 1..=3 {
        let ends = format!("192.0.2.2 {port} 192.0.2.1 443");
        polled.poll(&[socket(&ends, 1, rtt(5_000))], true, true);
    }
    assert_eq!((polled.get().rows().len(), polled.get().unreported()), (1, 2));
}

#[test]
fn bug_1_addresses_of_version_6_mapped_ones_and_scopes_are_nothing_special() {
    let mut polled = Polled::new(Latency::default());
    let scoped = SocketSample { interface: Some(2), ..socket("fe80::1 1 fe80::2 2", 1, rtt(10)) };
    polled.poll(&[scoped, socket("::ffff:192.0.2.2 3 ::ffff:192.0.2.1 4", 1, rtt(20))], true, false);
    let rows = polled.get().rows();
    let shown: Vec<String> = rows.iter().map(|flow| flow.end.to_string()).collect();
    assert_eq!(shown, ["[fe80::1%2]:1 [fe80::2%2]:2", "192.0.2.2:3 192.0.2.1:4"]);
}

#[test]
fn bug_13_percentiles_and_machine_formats_are_there() {
    let mut polled = Polled::new(Latency::default());
    let ends: Vec<String> = (1..=20).map(|port| format!("192.0.2.2 {port} 192.0.2.1 443")).collect();
    let samples: Vec<SocketSample> =
        ends.iter().zip(1..).map(|(ends, rank)| socket(ends, 1, rtt(rank * 100))).collect();
    polled.poll(&samples, true, false);
    let distribution = Distribution::of(&polled.get().rows());
    // Of 20 values the median by this rule is number 9 counted from 0, the 95th percentile number 18.
    assert_eq!(distribution.quantile(0.5), micros(1_000));
    assert_eq!(distribution.quantile(0.95), micros(1_900));
    let snapshot = polled.pipeline.snapshot(None, true);
    let table = &snapshot.tables[0];
    assert_eq!(table.rows[0].cells[table.column("rtt_ns").unwrap()], Value::Span(Nanos::new(100_000)));
}

#[test]
fn a_segment_whose_header_was_cut_leaves_its_mark() {
    use crate::conns::Doubts;
    use flowcore::event::{Layer, Notes};
    use flowcore::{FlowKey, Protocol, SourceInfo, TcpFlags};

    let key = FlowKey {
        src: "10.0.0.2".parse().unwrap(),
        dst: "10.0.0.1".parse().unwrap(),
        src_port: 5000,
        dst_port: 80,
        protocol: Protocol::TCP,
        ..FlowKey::NONE
    };
    let syn = TcpSegment { flags: TcpFlags::SYN, seq: 7, window: 9, ..TcpSegment::default() };
    let whole = FlowEvent { key, packets: 1, detail: Detail::Tcp(syn), ..FlowEvent::default() };
    let cut = FlowEvent { detail: Detail::None, stopped: Layer::Transport, notes: Notes::CUT, ..whole };
    let doubts = |mut events: Vec<FlowEvent>| {
        let mut builder = flowcore::pipeline::Pipeline::builder();
        let handle = builder.add(Latency::default());
        let source = SourceInfo { offers: Features::all(), ..SourceInfo::default() };
        let mut pipeline = builder.build(&source).unwrap();
        pipeline.push(&mut events, flowcore::Frames::EMPTY, Timestamp::MAX).unwrap();
        pipeline.get(&handle).rows().iter().map(|flow| flow.doubts).collect::<Vec<_>>()
    };
    assert_eq!(doubts(vec![whole]), [Doubts::empty()]);
    assert_eq!(doubts(vec![whole, cut]), [Doubts::HEADERS_CUT]);
    assert_eq!(doubts(vec![cut]), [], "of nothing that was read there is no row");
}
