//! Every row of the sequence table that TRTOP was run on, with what it should have said.

use flowstats::hosts::Measure;
use flowstats::tcp::Retransmission;

use super::tape::Tape;
use super::{Counts, counts, p95_micros, row};

#[test]
fn a_request_a_response_and_the_servers_fin() {
    let host = row(&Tape::opened()
        .c(1020.0, "P.", 1, 1, 100)
        .s(1030.0, "P.", 1, 101, 200)
        .s(1040.0, "F.", 201, 101, 0)
        .packets);
    assert_eq!(counts(&host), Counts { fin_in: 1, ..Counts::opened(1, 1) });
    assert_eq!(p95_micros(&host, Measure::Connect), Some(10_100));
    assert_eq!(p95_micros(&host, Measure::LastByte), Some(10_000));
    assert_eq!(host.quantile(Measure::PerConnection, 0), Some(1));
}

#[test]
fn a_repeated_syn_is_a_retransmission_and_no_error() {
    let host = row(&Tape::new().c(0.0, "S", 0, 0, 0).handshake().packets);
    assert_eq!(counts(&host), Counts::opened(0, 0));
    assert_eq!(host.tally.again[Retransmission::Syn as usize], 1);
    assert_eq!(p95_micros(&host, Measure::Connect), Some(1_010_100), "from the first SYN");
    assert_eq!(p95_micros(&host, Measure::Handshake), Some(10_100), "from the SYN that was answered");
}

#[test]
fn a_repeated_syn_ack_is_a_retransmission_and_no_error() {
    let host = row(&Tape::new()
        .c(1000.0, "S", 0, 0, 0)
        .s(1010.0, "S.", 0, 1, 0)
        .s(1015.0, "S.", 0, 1, 0)
        .c(1020.0, ".", 1, 1, 0)
        .packets);
    assert_eq!(counts(&host), Counts::opened(0, 0));
    assert_eq!(host.tally.again[Retransmission::SynAck as usize], 1);
}

#[test]
fn syns_that_cross_give_the_time_until_their_ack() {
    let host = row(&Tape::new()
        .c(0.0, "S", 0, 0, 0)
        .s(1.0, "S", 0, 0, 0)
        .c(10.0, "S.", 0, 1, 0)
        .s(11.0, "S.", 0, 1, 0)
        .c(20.0, ".", 1, 1, 0)
        .packets);
    assert_eq!((host.tally.established, p95_micros(&host, Measure::Connect)), (1, Some(20_000)));
    assert_eq!(p95_micros(&host, Measure::Handshake), Some(20_000));
}

#[test]
fn what_was_sent_again_and_not_seen_before_makes_counts_lower_bounds() {
    let tape = |at| {
        Tape::opened()
            .c(1020.0, "P.", 1, 1, 100)
            .s(1030.0, "P.", 1, 101, 200)
            .s(1080.0, ".", 201, 301, 0)
            .c(at, "P.", 101, 201, 200)
            .packets
    };
    let doubts = [1290.0, 1082.0].map(|at| row(&tape(at)).tally.doubts().contains(flowstats::conns::Doubts::GAP));
    assert_eq!(doubts, [true, false]);
}

#[test]
fn a_server_that_speaks_first_has_answered_nothing() {
    let host = row(&Tape::opened().s(1030.0, "P.", 1, 1, 40).packets);
    assert_eq!(counts(&host), Counts::opened(0, 0));
    assert_eq!(host.quantile(Measure::LastByte, 0), None);
}

#[test]
fn a_request_of_two_segments_is_one_timed_from_its_first_byte() {
    let host = row(&Tape::opened()
        .c(1020.0, "P.", 1, 1, 1000)
        .c(1025.0, "P.", 1001, 1, 500)
        .s(1030.0, ".", 1, 1001, 0)
        .s(1040.0, "P.", 1, 1501, 200)
        .packets);
    assert_eq!(counts(&host), Counts::opened(1, 1));
    assert_eq!(p95_micros(&host, Measure::LastByte), Some(20_000));
}

#[test]
fn a_bare_rst_resets() {
    let host =
        row(&Tape::opened().c(1020.0, "P.", 1, 1, 100).s(1030.0, "P.", 1, 101, 200).s(1040.0, "R", 201, 0, 0).packets);
    assert_eq!(counts(&host), Counts { rst: 1, ..Counts::opened(1, 1) });
    assert_eq!(host.tally.reset_by_remote, 1);
}

#[test]
fn a_syn_answered_by_a_rst_is_refused() {
    let host = row(&Tape::new().c(1000.0, "S", 0, 0, 0).s(1010.0, "R.", 0, 1, 0).packets);
    assert_eq!(counts(&host), Counts { syn: 1, rst: 1, ..Counts::default() });
    assert_eq!(host.tally.refused, 1);
    assert_eq!(host.percent(host.tally.established), Some(0.0));
}

#[test]
fn a_handshake_with_explicit_congestion_notification_is_one() {
    let host = row(&Tape::new()
        .c(1000.0, "SEW", 0, 0, 0)
        .s(1010.0, "S.E", 0, 1, 0)
        .c(1010.1, ".", 1, 1, 0)
        .c(1020.0, "P.", 1, 1, 100)
        .s(1030.0, "P.", 1, 101, 200)
        .packets);
    assert_eq!(counts(&host), Counts::opened(1, 1));
}

#[test]
fn a_response_of_two_segments_is_one_with_a_first_and_a_last_byte() {
    let host = row(&Tape::opened()
        .c(1020.0, "P.", 1, 1, 100)
        .s(1030.0, "P.", 1, 101, 1400)
        .s(1040.0, "P.", 1401, 101, 100)
        .packets);
    assert_eq!(counts(&host), Counts::opened(1, 1));
    assert_eq!(p95_micros(&host, Measure::LastByte), Some(20_000));
    assert_eq!(p95_micros(&host, Measure::FirstByte), Some(10_000));
}

#[test]
fn how_tcpdump_prints_a_length_does_not_matter() {
    let text = |suffix: &str| {
        format!(
            "1.000000 IP 10.0.0.1.40000 > 10.0.0.2.80: Flags [S], seq 0, win 512, length 0
             1.010000 IP 10.0.0.2.80 > 10.0.0.1.40000: Flags [S.], seq 0, ack 1, win 512, length 0
             1.010100 IP 10.0.0.1.40000 > 10.0.0.2.80: Flags [.], ack 1, win 512, length 0
             1.020000 IP 10.0.0.1.40000 > 10.0.0.2.80: Flags [P.], seq 1:101, ack 1, win 512, length 100{suffix}
             1.030000 IP 10.0.0.2.80 > 10.0.0.1.40000: Flags [P.], seq 1:1401, ack 101, win 512, length 1400{suffix}
             1.040000 IP 10.0.0.2.80 > 10.0.0.1.40000: Flags [P.], seq 1401:1501, ack 101, win 512, length 100{suffix}"
        )
    };
    for suffix in ["", ": HTTP"] {
        let host = row(&super::packets::parse(&text(suffix)));
        assert_eq!(counts(&host), Counts::opened(1, 1), "{suffix}");
        assert_eq!(p95_micros(&host, Measure::LastByte), Some(20_000), "{suffix}");
    }
}

#[test]
fn a_response_of_three_small_segments_is_one() {
    let host = row(&Tape::opened()
        .c(1020.0, "P.", 1, 1, 100)
        .s(1030.0, "P.", 1, 101, 50)
        .s(1040.0, "P.", 51, 101, 50)
        .s(1050.0, "P.", 101, 101, 50)
        .packets);
    assert_eq!(counts(&host), Counts::opened(1, 1));
    assert_eq!(p95_micros(&host, Measure::LastByte), Some(30_000));
}

#[test]
fn a_handshake_may_end_with_the_request() {
    let host = row(&Tape::new()
        .c(1000.0, "S", 0, 0, 0)
        .s(1010.0, "S.", 0, 1, 0)
        .c(1010.1, "P.", 1, 1, 100)
        .s(1020.0, "P.", 1, 101, 200)
        .packets);
    assert_eq!(counts(&host), Counts::opened(1, 1));
    assert_eq!(p95_micros(&host, Measure::Connect), Some(10_100));
}

#[test]
fn a_service_may_have_any_port() {
    for port in [80, 11_311, 50_000, 65_535] {
        let host = row(&Tape::between(("10.0.0.1", 40_000), ("10.0.0.2", port))
            .handshake()
            .c(1020.0, "P.", 1, 1, 100)
            .s(1030.0, "P.", 1, 101, 200)
            .packets);
        assert_eq!(counts(&host), Counts::opened(1, 1), "port {port}");
        assert_eq!(host.addr, Some("10.0.0.2".parse().unwrap()), "port {port}");
    }
}

#[test]
fn three_requests_on_one_connection_that_the_client_closes_first() {
    let host = row(&Tape::opened()
        .c(1020.0, "P.", 1, 1, 100)
        .s(1030.0, "P.", 1, 101, 200)
        .c(1100.0, "P.", 101, 201, 100)
        .s(1150.0, "P.", 201, 201, 200)
        .c(1200.0, "P.", 201, 401, 100)
        .s(1210.0, "P.", 401, 301, 200)
        .c(1220.0, "F.", 301, 601, 0)
        .s(1230.0, "F.", 601, 302, 0)
        .packets);
    assert_eq!(counts(&host), Counts { fin_out: 1, ..Counts::opened(3, 3) });
    assert_eq!(host.quantile(Measure::PerConnection, 0), Some(3));
    assert_eq!(p95_micros(&host, Measure::LastByte), Some(50_000));
}

#[test]
fn a_repeated_request_is_one_that_waited() {
    let host =
        row(&Tape::opened().c(1020.0, "P.", 1, 1, 100).c(1220.0, "P.", 1, 1, 100).s(1230.0, "P.", 1, 101, 200).packets);
    assert_eq!(counts(&host), Counts::opened(1, 1));
    assert_eq!(host.tally.retransmissions(), 1);
    assert_eq!(p95_micros(&host, Measure::LastByte), Some(210_000));
}

#[test]
fn a_syn_captured_behind_its_handshake_began_it() {
    let host = row(&Tape::new().s(1010.0, "S.", 0, 1, 0).c(1010.1, ".", 1, 1, 0).c(1010.2, "S", 0, 0, 0).packets);
    assert_eq!((host.tally.syn, host.tally.syn_ack, host.tally.established, host.tally.midstream), (1, 1, 1, 0));
}

#[test]
fn what_ended_a_connection_before_its_syn_was_captured_ended_one_that_began() {
    let refused = row(&Tape::new().s(1000.1, "R.", 0, 1, 0).c(1000.2, "S", 0, 0, 0).packets);
    assert_eq!((refused.tally.syn, refused.tally.reset, refused.tally.midstream), (1, [0, 1], 0));
    let closed = |tape: Tape| {
        let host = row(&tape.c(1020.2, "S", 0, 0, 0).packets);
        (host.tally.closed_in, host.tally.closed_out, host.tally.midstream)
    };
    let met = || Tape::new().s(1010.0, "S.", 0, 1, 0).c(1010.1, ".", 1, 1, 0);
    assert_eq!(closed(met().s(1020.1, "F.", 1, 1, 0)), ([0, 1], [0; 2], 0));
    assert_eq!(closed(met().c(1020.1, "F.", 1, 1, 0)), ([0; 2], [0, 1], 0));
}
