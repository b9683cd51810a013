//! Counters of sockets that are polled.

use super::*;
use crate::samples::{Polled, at, socket, tcp_info};

const WEB: &str = "192.0.2.2 40000 192.0.2.1 443";

fn counters(segments: u32, bytes: u64) -> flowcore::socket::TcpInfo {
    tcp_info(
        &[(at::SEGS_OUT, segments), (at::SEGS_IN, segments / 2)],
        &[(at::BYTES_ACKED, bytes), (at::BYTES_RECEIVED, 10 * bytes)],
    )
}

fn at_second(second: i64) -> Timestamp {
    Timestamp::from_parts(second, 0)
}

#[test]
fn what_counts_is_what_came_after_the_mark() {
    let mut polled = Polled::new(Volume::new());
    polled.poll(&[socket(WEB, 1, counters(1_000, 50_000))], true, false);
    polled.get_mut().mark(at_second(1));
    polled.poll(&[socket(WEB, 3, counters(1_010, 52_000))], false, false);
    let row = polled.get().rows()[0];
    let counted = |total| row.counted.get(total);
    assert_eq!((counted(Total::SegmentsOut), counted(Total::SegmentsIn)), (Some(10), Some(5)));
    assert_eq!((counted(Total::BytesOut), counted(Total::BytesIn)), (Some(2_000), Some(20_000)));
    assert_eq!((row.span(), row.rate(Total::BytesOut)), (Nanos::from_secs(2), Some(1_000.0)));
    polled.get_mut().mark(at_second(3));
    assert_eq!(polled.get().rows()[0].counted.get(Total::BytesOut), Some(0));
}

#[test]
fn a_connection_made_after_the_mark_counts_from_its_beginning_to_its_end() {
    let mut polled = Polled::new(Volume::new());
    polled.get_mut().mark(at_second(1));
    polled.poll(&[socket(WEB, 2, counters(7, 900))], true, true);
    let row = polled.get().rows()[0];
    assert_eq!((row.counted.get(Total::BytesOut), row.ended), (Some(900), true));
    assert_eq!((row.from, row.through), (at_second(1), at_second(2)));
    polled.get_mut().mark(at_second(2));
    assert_eq!(polled.get().rows(), []);
}

#[test]
fn counters_of_32_bits_begin_anew() {
    let mut polled = Polled::new(Volume::new());
    polled.poll(&[socket(WEB, 1, counters(u32::MAX - 1, 0))], true, false);
    polled.poll(&[socket(WEB, 2, counters(3, 0))], false, false);
    assert_eq!(polled.get().rows()[0].counted.get(Total::SegmentsOut), Some(5));
}

#[test]
fn another_socket_with_the_same_ends_is_another_row() {
    let mut polled = Polled::new(Volume::new());
    let with_cookie = |cookie, second, tcp| SocketSample { cookie: Some(cookie), ..socket(WEB, second, tcp) };
    polled.poll(&[with_cookie(1, 1, counters(100, 9_000))], true, false);
    polled.get_mut().mark(at_second(1));
    polled.poll(&[with_cookie(2, 2, counters(4, 300))], true, false);
    let bytes: Vec<Option<u64>> = polled.get().rows().iter().map(|row| row.counted.get(Total::BytesOut)).collect();
    assert_eq!(bytes, [Some(0), Some(300)]);
}

#[test]
fn a_late_notice_ends_its_own_socket_and_not_the_one_that_has_its_ports_now() {
    let mut polled = Polled::new(Volume::new());
    let with_cookie = |cookie, second, tcp| SocketSample { cookie: Some(cookie), ..socket(WEB, second, tcp) };
    let bytes = |polled: &Polled<Volume>| -> Vec<_> {
        let rows = polled.get().rows();
        rows.iter().map(|row| (row.end.cookie, row.counted.get(Total::BytesOut), row.ended)).collect()
    };
    polled.poll(&[with_cookie(1, 1, counters(10, 1_000))], true, false);
    polled.get_mut().mark(at_second(1));
    polled.poll(&[with_cookie(2, 2, counters(1, 100))], true, false).get_mut().answered(at_second(2));
    assert_eq!(bytes(&polled), [(Some(2), Some(100), false)], "the first has not ended, and is listed no more");
    polled.get_mut().mark(at_second(2));
    polled.poll(&[with_cookie(1, 3, counters(11, 1_010))], false, true);
    polled.poll(&[with_cookie(2, 4, counters(5, 500))], false, false).get_mut().answered(at_second(4));
    let mut rows = bytes(&polled);
    rows.sort();
    assert_eq!(rows, [(Some(1), Some(10), true), (Some(2), Some(400), false)]);
    polled.get_mut().mark(at_second(4));
    polled.poll(&[with_cookie(2, 5, counters(6, 600))], false, true);
    assert_eq!(bytes(&polled), [(Some(2), Some(100), true)]);
}

#[test]
fn an_end_whose_other_has_gone_is_awaited_though_its_ports_are_used_again() {
    let mut polled = Polled::new(Volume::new());
    let other = "192.0.2.1 443 192.0.2.2 40000";
    let with_cookie = |ends, cookie, second, tcp| SocketSample { cookie: Some(cookie), ..socket(ends, second, tcp) };
    polled.poll(&[with_cookie(WEB, 1, 1, counters(1, 10)), with_cookie(other, 2, 1, counters(1, 10))], true, false);
    polled.get_mut().answered(at_second(1));
    polled.get_mut().mark(at_second(1));
    // The server's end is reset there and gone at once, the client's when it is closed.
    polled.poll(&[with_cookie(other, 2, 2, counters(1, 10))], false, true);
    polled.poll(&[with_cookie(WEB, 3, 3, counters(1, 100))], true, false).get_mut().answered(at_second(3));
    let rows = |polled: &Polled<Volume>| -> Vec<_> {
        let rows = polled.get().rows();
        let mut rows: Vec<_> =
            rows.iter().map(|row| (row.end.cookie, row.counted.get(Total::BytesOut), row.ended)).collect();
        rows.sort();
        rows
    };
    assert_eq!(rows(&polled), [(Some(2), Some(0), true), (Some(3), Some(100), false)]);
    polled.get_mut().mark(at_second(3));
    polled.poll(&[with_cookie(WEB, 1, 4, counters(2, 15))], false, true);
    assert_eq!(rows(&polled), [(Some(1), Some(5), true), (Some(3), Some(0), false)]);
}

#[test]
fn sockets_that_take_turns_between_the_same_ends_keep_their_counts() {
    // Bound to two devices.
    let mut polled = Polled::new(Volume::new());
    let with_cookie = |cookie, second, tcp| SocketSample { cookie: Some(cookie), ..socket(WEB, second, tcp) };
    polled.poll(&[with_cookie(1, 1, counters(1, 10)), with_cookie(2, 1, counters(1, 20))], true, false);
    polled.get_mut().mark(at_second(1));
    polled.poll(&[with_cookie(1, 2, counters(2, 11)), with_cookie(2, 2, counters(2, 22))], false, false);
    polled.get_mut().answered(at_second(2));
    let counted: Vec<_> = polled.get().rows().iter().map(|row| row.counted.get(Total::BytesOut)).collect();
    assert_eq!(counted, [Some(1), Some(2)]);
}

#[test]
fn what_a_whole_poll_leaves_out_has_no_row_until_it_comes_again_or_ends() {
    let mut polled = Polled::new(Volume::new());
    let other = "192.0.2.2 40001 192.0.2.1 443";
    polled.poll(&[socket(WEB, 1, counters(1, 10)), socket(other, 1, counters(1, 10))], true, false);
    polled.get_mut().answered(at_second(1));
    polled.get_mut().mark(at_second(1));
    // A poll that was interrupted: nothing is known of what is not in it.
    polled.poll(&[socket(other, 2, counters(2, 20))], false, false);
    assert_eq!(polled.get().rows().len(), 2);
    polled.get_mut().answered(at_second(2));
    let ports: Vec<u16> = polled.get().rows().iter().map(|row| row.end.local_port).collect();
    assert_eq!(ports, [40_001]);
    polled.get_mut().mark(at_second(2));
    polled.poll(&[socket(WEB, 3, counters(4, 40))], false, false).get_mut().answered(at_second(3));
    let row = polled.get().rows()[0];
    assert_eq!((row.end.local_port, row.counted.get(Total::BytesOut)), (40_000, Some(30)), "since it was last seen");
    polled.get_mut().mark(at_second(3));
    polled.poll(&[socket(other, 4, counters(3, 25))], false, true).get_mut().answered(at_second(5));
    let rows = polled.get().rows();
    assert_eq!((rows.len(), rows[0].ended, rows[0].counted.get(Total::BytesOut)), (1, true, Some(5)));
}

#[test]
fn what_a_socket_counted_at_its_end_is_a_lower_bound_if_the_kernel_does_not_say_it() {
    let mut polled = Polled::new(Volume::new());
    polled.poll(&[socket(WEB, 1, counters(1, 10))], true, false);
    assert!(polled.get().rows()[0].quality().is_exact());
    let reset = SocketSample { tcp: None, state: SocketState::CLOSE, ..socket(WEB, 2, counters(0, 0)) };
    polled.poll(&[reset], false, true);
    let row = polled.get().rows()[0];
    assert_eq!((row.counted.get(Total::BytesOut), row.end.state), (Some(0), Some(SocketState::CLOSE)));
    assert_eq!(row.quality().at_least, ["last_counts_unknown"]);
}

#[test]
fn bug_8_the_bandwidth_delay_product_is_bytes() {
    let mut polled = Polled::new(Volume::new());
    // 10 segments of 1448 bytes in 20 ms; Fleutan showed 10 × 20 = 200.
    let tcp = tcp_info(&[(at::SND_CWND, 10), (at::SND_MSS, 1_448), (at::RTT, 20_000)], &[(at::PACING_RATE, 900_000)]);
    polled.poll(&[socket(WEB, 1, tcp)], true, false);
    let now = polled.get().rows()[0].now;
    assert_eq!(
        (now.window_bytes(), now.window_rate(), now.pacing_rate),
        (Some(14_480), Some(724_000.0), Some(900_000))
    );
}

#[test]
fn bug_10_received_bytes_are_those_that_the_socket_got() {
    let mut polled = Polled::new(Volume::new());
    polled.poll(&[socket(WEB, 1, counters(0, 0))], true, false);
    polled.poll(&[socket(WEB, 2, counters(9, 1_234))], false, false);
    assert_eq!(polled.get().rows()[0].counted.get(Total::BytesIn), Some(12_340));
}

/// What limits a sender that in two seconds was busy, held up by the receive window and by its send buffer so long.
fn limit(busy: u64, window: u64, buffer: u64) -> Option<Limit> {
    let mut polled = Polled::new(Volume::new());
    polled.poll(&[socket(WEB, 1, tcp_info(&[], &[]))], true, false);
    let times = [(at::BUSY, busy), (at::RWND_LIMITED, window), (at::SNDBUF_LIMITED, buffer)];
    polled.poll(&[socket(WEB, 3, tcp_info(&[], &times))], false, false);
    polled.get().rows()[0].limit()
}

#[test]
fn what_limits_a_sender_is_what_it_waited_for_longest() {
    assert_eq!(limit(900_000, 800_000, 0), Some(Limit::Application));
    assert_eq!(limit(1_900_000, 1_000_000, 100_000), Some(Limit::ReceiveWindow));
    assert_eq!(limit(1_900_000, 100_000, 1_000_000), Some(Limit::SendBuffer));
    assert_eq!(limit(1_900_000, 100_000, 100_000), Some(Limit::Network));
}

#[test]
fn a_sender_that_waits_for_late_acks_with_nothing_more_to_send_is_held_up_by_its_application() {
    let mut polled = Polled::new(Volume::new());
    polled.poll(&[socket(WEB, 1, tcp_info(&[], &[]))], true, false);
    let limit = |polled: &mut Polled<Volume>, second: u64, flags: u8, window| {
        // The bit is the first of the eighth byte.
        let flags = u32::from_ne_bytes([0, 0, 0, flags]);
        let times = [(at::BUSY, 1_900_000 * (second - 1) / 2), (at::RWND_LIMITED, window), (at::DELIVERY_RATE, 1)];
        polled.poll(&[socket(WEB, second as i64, tcp_info(&[(4, flags)], &times))], false, false);
        polled.get().rows()[0].limit()
    };
    assert_eq!(limit(&mut polled, 3, 1, 0), Some(Limit::Application));
    assert_eq!(limit(&mut polled, 5, 0, 0), Some(Limit::Network));
    assert_eq!(limit(&mut polled, 7, 1, 4_000_000), Some(Limit::ReceiveWindow));
}

#[test]
fn what_is_no_connection_yet_is_held_up_by_nothing() {
    let mut polled = Polled::new(Volume::new());
    let asking = |second| SocketSample { state: SocketState::SYN_SENT, ..socket(WEB, second, tcp_info(&[], &[])) };
    polled.poll(&[asking(1)], true, false);
    polled.poll(&[asking(3)], false, false);
    assert_eq!(polled.get().rows()[0].limit(), None);
}

#[test]
fn a_kernel_that_does_not_count_is_not_taken_for_one_that_counted_none() {
    let mut polled = Polled::new(Volume::new());
    // Linux 4.4 sends 144 bytes: no time, and no bytes sent.
    let old = |second| socket(WEB, second, flowcore::socket::TcpInfo::from_bytes(&[0; 144]));
    polled.poll(&[old(1)], true, false);
    polled.poll(&[old(2)], false, false);
    let row = polled.get().rows()[0];
    assert_eq!((row.counted.get(Total::SegmentsOut), row.counted.get(Total::BytesSent)), (Some(0), None));
    assert_eq!((row.limit(), row.busy_percent()), (None, None));
}

#[test]
fn what_a_multipath_socket_says_does_not_end_its_subflow() {
    let mut polled = Polled::new(Volume::new());
    let subflow = SocketSample { cookie: Some(1), ..socket(WEB, 1, tcp_info(&[], &[])) };
    let whole = SocketSample { cookie: Some(2), inode: Some(77), tcp: None, protocol: IPPROTO_MPTCP, ..subflow };
    polled.poll(&[subflow, SocketSample { state: SocketState::CLOSE, ..whole }], true, false);
    let rows = polled.get().rows();
    assert_eq!((rows.len(), rows[0].end.inode, rows[0].end.cookie), (1, Some(77), Some(1)));
    polled.poll(&[SocketSample { time: Timestamp::from_parts(2, 0), ..subflow }], false, false);
    assert_eq!(polled.get().rows().len(), 1, "still the same");
}
