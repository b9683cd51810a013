//! None of TRTOP's mistakes again, the facts about handshakes, and what holds of any table.

use std::sync::Arc;

use flowcore::report::Bound;
use flowcore::resolve::{Lookup, Numeric, Resolver};
use flowcore::{Addr, Prefix};
use flowstats::hosts::{Host, Levels, Measure, Options, View, Who};
use flowstats::tcp::Retransmission;
use proptest::prelude::*;

use super::packets::{Link, Packet, parse};
use super::tape::Tape;
use super::{Counts, counts, observed, p95_micros, row, rows, rows_named, span_millis};

// ---- TRTOP's bugs, by their numbers ---------------------------------------------------------------------------------

/// Bug 1: only the first digit of `length 1400` was read.
#[test]
fn bug_1_a_length_has_all_its_digits() {
    let line = "1.0 IP 10.0.0.1.40000 > 10.0.0.2.80: Flags [P.], seq 1:1401, ack 1, win 512, length 1400";
    assert_eq!(parse(line)[0].length, 1400);
    let host = row(&Tape::opened()
        .c(1020.0, "P.", 1, 1, 1400)
        .c(1021.0, "P.", 1401, 1, 1400)
        .s(1030.0, "P.", 1, 2801, 1400)
        .s(1031.0, "P.", 1401, 2801, 9)
        .packets);
    assert_eq!(counts(&host), Counts::opened(1, 1));
}

/// Bug 2: an ACK of a part of what is in flight was an error and ended the connection.
#[test]
fn bug_2_a_partial_acknowledgment_is_ordinary() {
    let host = row(&Tape::opened()
        .c(1020.0, "P.", 1, 1, 1000)
        .c(1020.1, "P.", 1001, 1, 1000)
        .c(1020.2, "P.", 2001, 1, 1000)
        .s(1030.0, ".", 1, 1001, 0)
        .s(1030.1, ".", 1, 2501, 0)
        .s(1040.0, "P.", 1, 3001, 100)
        .packets);
    assert_eq!(counts(&host), Counts::opened(1, 1));
    assert_eq!((host.tally.connections, host.tally.midstream), (1, 0));
}

/// Bug 3: a RST without ACK was an error and no reset.
#[test]
fn bug_3_a_rst_needs_no_acknowledgment() {
    let from_server = row(&Tape::opened().s(1040.0, "R", 1, 0, 0).packets);
    let from_client = row(&Tape::opened().c(1040.0, "R", 1, 0, 0).packets);
    let expected = Counts { rst: 1, ..Counts::opened(0, 0) };
    assert_eq!((counts(&from_server), counts(&from_client)), (expected, expected));
    assert_eq!((from_server.tally.reset_by_remote, from_client.tally.reset_by_remote), (1, 0));
}

/// Bug 4: repeated SYNs and SYN-ACKs, servers that speak first, ACKs with data and ECN were all wrong at once.
#[test]
fn bug_4_what_tcp_does_every_day_is_no_error() {
    let host = row(&Tape::new()
        .c(0.0, "SEW", 0, 0, 0)
        .c(1000.0, "S", 0, 0, 0)
        .s(1010.0, "S.E", 0, 1, 0)
        .s(1011.0, "S.E", 0, 1, 0)
        .c(1012.0, "P.", 1, 1, 10)
        .s(1013.0, "P.", 1, 11, 10)
        .packets);
    assert_eq!(counts(&host), Counts::opened(1, 1));
    let banner =
        row(&Tape::opened().s(1030.0, "P.", 1, 1, 40).c(1040.0, "P.", 1, 41, 20).s(1050.0, "P.", 41, 21, 40).packets);
    assert_eq!(counts(&banner), Counts::opened(1, 1));
}

/// Bug 5: services on high ports appeared reversed, and an ephemeral port alone told connections apart.
#[test]
fn bug_5_ends_are_told_apart_by_both_addresses_and_both_ports() {
    let mut packets = Vec::new();
    for (client, server) in [
        (("10.0.0.1", 40_000), ("10.0.0.2", 50_000)),
        (("10.0.0.1", 40_000), ("10.0.0.2", 50_001)),
        (("10.0.0.3", 40_000), ("10.0.0.2", 50_000)),
        (("10.0.0.1", 20_000), ("10.0.0.2", 80)),
    ] {
        packets.extend(Tape::between(client, server).handshake().packets);
    }
    packets.sort_by_key(|packet| packet.nanos);
    let host = row(&packets);
    assert_eq!(counts(&host), Counts { syn: 4, syn_ack: 4, est: 4, ..Counts::default() });
    assert_eq!(host.addr, Some("10.0.0.2".parse().unwrap()));
}

/// Bug 6: more remotes than lines ended the program.
#[test]
fn bug_6_there_may_be_any_number_of_remotes() {
    assert_eq!(rows(&many(500), Options::default()).len(), 500);
}

/// Bug 7: only the first FIN was seen, idle connections stayed for ever, state grew.
#[test]
fn bug_7_a_connection_may_be_half_closed_and_ends_when_it_is_idle() {
    let half = row(&Tape::opened()
        .c(1020.0, "P.", 1, 1, 100)
        .c(1021.0, "F.", 101, 1, 0)
        .s(1050.0, "P.", 1, 102, 500)
        .s(1060.0, "F.", 501, 102, 0)
        .c(1061.0, ".", 102, 502, 0)
        .packets);
    assert_eq!(counts(&half), Counts { fin_out: 1, ..Counts::opened(1, 1) });
    assert_eq!(p95_micros(&half, Measure::LastByte), Some(30_000), "answered after our FIN");
    // An hour later somebody else: the first is over.
    let mut packets = Tape::opened().packets;
    let later = Tape::between(("10.0.0.1", 40_001), ("10.0.0.2", 80)).c(3_600_000.0, "S", 0, 0, 0);
    packets.extend(later.c(3_601_000.0, "S", 0, 0, 0).packets);
    let mut hosts = observed(&packets, Options::default(), Link::Ethernet, 1);
    assert_eq!(hosts.open(), 0);
    hosts = observed(&many(5000), Options::default(), Link::Ethernet, 512);
    assert_eq!(hosts.open(), 0);
}

/// Bug 8: a column showed one number and was coloured by another.
#[test]
fn bug_8_what_is_shown_is_what_is_judged() {
    // 20 handshakes of 10.1 ms, so that mean and percentile agree, and one of a second that only moves the mean.
    let mut packets = Vec::new();
    for port in 0..20 {
        packets.extend(Tape::between(("10.0.0.1", 40_000 + port), ("10.0.0.2", 80)).handshake().packets);
    }
    packets.extend(Tape::between(("10.0.0.1", 50_000), ("10.0.0.2", 80)).c(20.0, "S", 0, 0, 0).handshake().packets);
    packets.sort_by_key(|packet| packet.nanos);
    let host = row(&packets);
    assert!(host.tally.histogram(Measure::Connect).mean().unwrap() > 20e6);
    assert!(host.quantile(Measure::Connect, 0).unwrap() < 20_000_000);
}

/// Bug 9: requests of several segments were timed from the last one; pipelining was not seen at all.
#[test]
fn bug_9_a_request_begins_with_its_first_byte() {
    let host = row(&Tape::opened()
        .c(1020.0, ".", 1, 1, 1400)
        .c(1120.0, ".", 1401, 1, 1400)
        .c(1220.0, "P.", 2801, 1, 10)
        .s(1230.0, "P.", 1, 2811, 100)
        .packets);
    assert_eq!(counts(&host), Counts::opened(1, 1));
    assert_eq!(p95_micros(&host, Measure::LastByte), Some(210_000));
}

/// Bug 10: IPv6, and captures of `-i any`, gave nothing at all. (And the program needed tcpdump and a screen.)
#[test]
fn bug_10_ipv6_and_captures_of_every_interface_are_read() {
    let tape = Tape::between(("2001:db8::1", 40_000), ("2001:db8::2", 8443)).handshake();
    let packets = tape.c(1020.0, "P.", 1, 1, 100).s(1030.0, "P.", 1, 101, 200).packets;
    assert_eq!(counts(&row(&packets)), Counts::opened(1, 1));
    let cooked = observed(&packets, Options::default(), Link::LinuxCookedV2, 512);
    let rows = cooked.rows(&Numeric, &Levels::default());
    assert_eq!(counts(&rows[0]), Counts::opened(1, 1));
    assert_eq!(rows[0].addr, Some("2001:db8::2".parse().unwrap()));
}

// ---- Handshakes -----------------------------------------------------------------------------------------------------

#[test]
fn l3_a_repeated_syn_leaves_the_round_trip_alone_and_lengthens_the_connect_time() {
    let clean = row(&Tape::new().c(0.0, "S", 0, 0, 0).s(12.0, "S.", 0, 1, 0).c(12.0, ".", 1, 1, 0).packets);
    assert_eq!([Measure::Handshake, Measure::Connect].map(|m| p95_micros(&clean, m)), [Some(12_000); 2]);
    let tape =
        Tape::new().c(0.0, "S", 0, 0, 0).c(1000.0, "S", 0, 0, 0).s(1012.0, "S.", 0, 1, 0).c(1012.0, ".", 1, 1, 0);
    let host = row(&tape.packets);
    let times = [Measure::Handshake, Measure::Connect].map(|measure| p95_micros(&host, measure));
    assert_eq!(times, [Some(12_000), Some(1_012_000)]);
    assert_eq!((host.tally.syn, host.tally.again[Retransmission::Syn as usize]), (1, 1));
}

/// What the first percentile of a family is to the truth.
fn bound(host: &Host, family: &str) -> Bound {
    let columns = flowstats::hosts::columns(&Levels::default());
    let def = columns.iter().find(|def| def.column.name.starts_with(family)).unwrap();
    (def.bound)(host).max(def.column.bound_in(&host.quality()))
}

#[test]
fn a_percentile_of_doubtful_handshakes_is_no_more_than_near_the_truth() {
    let clean = row(&Tape::opened().packets);
    assert_eq!(["lat_p", "handshake_p"].map(|family| bound(&clean, family)), [Bound::Exact; 2]);
    // The ACK was lost by the capture, or the application was waited for.
    let late = Tape::new().c(1000.0, "S", 0, 0, 0).s(1010.0, "S.", 0, 1, 0).c(1900.0, "P.", 1, 1, 100);
    let late = row(&late.packets);
    assert_eq!(["lat_p", "handshake_p"].map(|family| bound(&late, family)), [Bound::About; 2]);
    assert_eq!((late.tally.late_acks, late.quality().is_exact()), (1, true));
    let again =
        Tape::new().c(0.0, "S", 0, 0, 0).c(1000.0, "S", 0, 0, 0).s(1010.0, "S.", 0, 1, 0).c(1010.1, ".", 1, 1, 0);
    let again = row(&again.packets);
    assert_eq!(["lat_p", "handshake_p"].map(|family| bound(&again, family)), [Bound::Exact, Bound::About]);
}

#[test]
fn l4_repeated_syn_acks_give_one_result_and_are_counted() {
    let tape =
        Tape::new().c(0.0, "S", 0, 0, 0).s(10.0, "S.", 0, 1, 0).s(1010.0, "S.", 0, 1, 0).s(3010.0, "S.", 0, 1, 0);
    let host = row(&tape.c(3010.5, ".", 1, 1, 0).packets);
    assert_eq!(counts(&host), Counts::opened(0, 0));
    assert_eq!(host.tally.histogram(Measure::Connect).count(), 1);
    assert_eq!(host.tally.again[Retransmission::SynAck as usize], 2);
}

#[test]
fn l5_an_attempt_is_refused_or_times_out_and_is_forgotten() {
    let refused = row(&Tape::new().c(0.0, "S", 0, 0, 0).s(3.0, "R.", 0, 1, 0).packets);
    assert_eq!((refused.tally.refused, refused.tally.timed_out), (1, 0));
    let mut packets = Tape::new().c(0.0, "S", 0, 0, 0).packets;
    // Something else keeps time going for longer than an attempt may be idle.
    packets.extend(Tape::between(("10.0.0.1", 41_000), ("10.0.0.9", 80)).c(60_000.0, "S", 0, 0, 0).packets);
    packets.extend(Tape::between(("10.0.0.1", 41_001), ("10.0.0.9", 80)).c(61_000.0, "S", 0, 0, 0).packets);
    let rows = rows(&packets, Options::default());
    assert_eq!(rows.iter().map(|host| host.tally.timed_out).collect::<Vec<_>>(), [1, 0]);
    assert_eq!(rows.iter().map(|host| host.tally.no_answer).collect::<Vec<_>>(), [1, 2]);
}

#[test]
fn l6_a_syn_ack_before_its_syn_is_still_one_connection() {
    let mut tape = Tape::new().c(0.0, "S", 0, 0, 0).s(0.01, "S.", 0, 1, 0).c(0.02, ".", 1, 1, 0);
    tape.packets.swap(0, 1);
    let host = row(&tape.packets);
    assert_eq!((host.tally.connections, host.tally.midstream), (1, 0));
    assert_eq!((host.tally.syn, host.tally.syn_ack), (1, 1));
    assert_eq!(host.addr, Some("10.0.0.2".parse().unwrap()));
}

// ---- Rows -----------------------------------------------------------------------------------------------------------

/// One connection to each of so many remotes, one after the other.
fn many(remotes: u32) -> Vec<Packet> {
    let mut packets = Vec::new();
    for number in 0..remotes {
        let mut one = Tape::opened().packets;
        for packet in &mut one {
            let remote = format!("10.1.{}.{}", number / 250, number % 250 + 1).parse().unwrap();
            if packet.dst.1 == 80 {
                packet.dst.0 = remote
            } else {
                packet.src.0 = remote
            }
            packet.nanos += u64::from(number) * 1_000_000_000;
        }
        packets.extend(one);
    }
    packets
}

#[test]
fn remotes_beyond_the_most_rows_are_counted_together() {
    let rows = rows(&many(30), Options { most_rows: 20, ..Options::default() });
    assert_eq!(rows.len(), 21);
    assert_eq!(rows[20].who, Who::Others);
    assert_eq!((rows[20].tally.connections, rows[20].tally.established), (10, 10));
    let total = observed(&many(30), Options { most_rows: 20, ..Options::default() }, Link::Ethernet, 512);
    assert_eq!(total.total(&Levels::default()).tally.syn, 30);
    assert_eq!(total.total(&Levels::default()).remotes, None, "how many the others are is not known");
}

#[test]
fn rates_are_in_capture_time_and_unknown_for_a_moment() {
    let host = row(&Tape::opened().c(6000.0, "F.", 1, 1, 0).packets);
    assert_eq!((span_millis(&host), host.rate(10)), (Some(5000), Some(2.0)));
    let moment = row(&Tape::new().c(1000.0, "S", 0, 0, 0).packets);
    assert_eq!((moment.rate(1), moment.percent(0)), (None, Some(0.0)));
}

#[test]
fn what_was_never_measured_is_unknown() {
    let host = row(&Tape::new().c(1000.0, "S", 0, 0, 0).packets);
    let measures = [Measure::Connect, Measure::Path, Measure::FirstByte, Measure::LastByte, Measure::PerConnection];
    assert_eq!(measures.map(|measure| host.quantile(measure, 0)), [None; 5]);
}

/// Gives one name to a network, and tells ports of one address apart.
struct Names;

impl Resolver for Names {
    fn name(&self, addr: Addr, port: u16) -> Lookup<Arc<str>> {
        let network = Prefix::new("10.1.0.0".parse().unwrap(), 24).unwrap();
        match (network.contains(addr), port) {
            (true, _) => Lookup::Known("farm".into()),
            (false, 443) => Lookup::Known("secure".into()),
            (false, 80) => Lookup::Known("plain".into()),
            _ => Lookup::Absent,
        }
    }
}

#[test]
fn the_resolvers_answer_is_the_key_of_a_row() {
    let mut packets = many(4);
    for (place, port) in [80, 443, 8080].into_iter().enumerate() {
        let client = ("10.0.0.1", 30_000 + place as u16);
        packets.extend(Tape::between(client, ("10.0.0.2", port)).handshake().packets);
    }
    packets.sort_by_key(|packet| packet.nanos);
    let named = |options| {
        let rows = rows_named(&packets, options, &Names);
        let mut rows: Vec<(Who, u64, Option<u64>)> =
            rows.into_iter().map(|host| (host.who, host.tally.syn, host.remotes)).collect();
        rows.sort();
        rows
    };
    let name = |name: &str| Who::Named(name.into());
    let by_port = named(Options { by_port: true, ..Options::default() });
    assert_eq!(by_port.len(), 4);
    for expected in [(name("farm"), 4, Some(4)), (name("plain"), 1, Some(1)), (name("secure"), 1, Some(1))] {
        assert!(by_port.contains(&expected), "{by_port:?}");
    }
    // Without ports there is nothing to tell them apart by.
    assert_eq!(named(Options::default()).iter().map(|row| row.1).collect::<Vec<_>>(), [3, 4]);
}

#[test]
fn this_hosts_own_networks_say_who_asked_where_nothing_else_does() {
    // Under way, neither port well known nor dynamic, and the server's packet comes first.
    let tape =
        Tape::between(("10.0.0.1", 20_001), ("192.0.2.1", 11_311)).s(0.0, "P.", 1, 1, 100).c(5.0, "P.", 1, 101, 50);
    let packets = tape.s(9.0, "P.", 101, 51, 10).packets;
    let local = vec![Prefix::new("10.0.0.0".parse().unwrap(), 8).unwrap()];
    let seen = |incoming, local| {
        let host = rows(&packets, Options { view: View { incoming, local }, ..Options::default() }).remove(0);
        (host.addr.unwrap().to_string(), host.tally.requests, host.tally.responses)
    };
    assert_eq!(seen(false, local.clone()), ("192.0.2.1".to_owned(), 1, 1));
    assert_eq!(seen(true, local), ("192.0.2.1".to_owned(), 2, 1), "seen as a client of ours");
    assert_eq!(seen(false, Vec::new()).0, "10.0.0.1", "the first packet is all there is");
}

#[test]
fn a_connection_whose_beginning_is_missing_makes_counts_lower_bounds() {
    let host = row(&Tape::new().c(1020.0, "P.", 1, 1, 100).s(1030.0, "P.", 1, 101, 200).packets);
    assert_eq!(host.quality().at_least, ["midstream"]);
    assert_eq!((host.tally.midstream, host.tally.errors()), (1, 0));
    assert!(row(&Tape::opened().packets).quality().is_exact());
}

#[test]
fn data_that_the_capture_does_not_have_is_an_error_of_the_capture() {
    let host = row(&Tape::opened()
        .c(1020.0, "P.", 1, 1, 100)
        .s(1030.0, "P.", 1, 101, 200)
        .s(1031.0, "P.", 701, 101, 200)
        .c(1032.0, ".", 101, 901, 0)
        .packets);
    assert_eq!((host.tally.gaps, host.tally.missing_bytes, host.tally.errors()), (1, 500, 1));
    assert_eq!(host.tally.retransmissions(), 0);
    assert!(host.quality().at_least.contains(&"gap"));
}

// ---- Laws -----------------------------------------------------------------------------------------------------------

/// Any segments between a few clients and servers.
fn noise() -> impl Strategy<Value = Vec<Packet>> {
    const FLAGS: [&str; 9] = ["S", "S.", ".", "P.", "P.", "F.", "R", "R.", "SEW"];
    let segment = (0..3u16, 0..3usize, any::<bool>(), 0..FLAGS.len(), 0..6u32, 0..6u32, 0..4u32, 0..3000u32);
    prop::collection::vec(segment, 1..150).prop_map(|segments| {
        let mut millis = 0.0;
        let mut packets = Vec::new();
        for (client, server, from_client, flags, seq, ack, length, gap) in segments {
            millis += f64::from(gap);
            let server = [("10.0.0.2", 80), ("10.0.0.3", 50_000), ("2001:db8::2", 443)][server];
            let client =
                if server.0.contains(':') { ("2001:db8::1", 40_000 + client) } else { ("10.0.0.1", 40_000 + client) };
            let tape = Tape::between(client, server);
            let (seq, ack, length) = (seq * 100, ack * 100, length * 100);
            let tape = if from_client {
                tape.c(millis, FLAGS[flags], seq, ack, length)
            } else {
                tape.s(millis, FLAGS[flags], seq, ack, length)
            };
            packets.extend(tape.packets);
        }
        packets
    })
}

fn sums(host: &Host) -> (Counts, u64, u64) {
    (counts(host), host.tally.connections, host.tally.histogram(Measure::LastByte).count())
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(64) })]

    #[test]
    fn batches_make_no_difference_and_rows_add_up(packets in noise(), at_once in 1..40usize) {
        let all = |at_once| {
            let hosts = observed(&packets, Options::default(), Link::Ethernet, at_once);
            let rows = hosts.rows(&Numeric, &Levels::default());
            (format!("{rows:?}"), rows, hosts.total(&Levels::default()))
        };
        let (text, rows, total) = all(512);
        prop_assert_eq!(&text, &all(at_once).0);
        let connections: u64 = rows.iter().map(|host| host.tally.connections).sum();
        prop_assert_eq!(connections, total.tally.connections);
        prop_assert_eq!(rows.iter().map(|host| host.tally.syn).sum::<u64>(), total.tally.syn);
        for host in &rows {
            let tally = &host.tally;
            // A SYN-ACK that the capture misses may still show in what follows it.
            prop_assert!(tally.established.max(tally.syn_ack) <= tally.syn && tally.syn <= tally.connections);
            prop_assert!(tally.syn + tally.midstream <= tally.connections);
            prop_assert!(tally.reset[1] <= tally.syn && tally.closed_in[1] + tally.closed_out[1] <= tally.syn);
            prop_assert!(tally.responses <= tally.requests);
        }
    }

    #[test]
    fn one_name_for_all_is_the_total(packets in noise()) {
        struct One;
        impl Resolver for One {
            fn name(&self, _: Addr, _: u16) -> Lookup<Arc<str>> {
                Lookup::Known("all".into())
            }
        }
        let hosts = observed(&packets, Options { by_port: true, ..Options::default() }, Link::Ethernet, 512);
        let rows = hosts.rows(&One, &Levels::default());
        prop_assert!(rows.len() <= 1);
        if let Some(one) = rows.first() {
            prop_assert_eq!(sums(one), sums(&hosts.total(&Levels::default())));
        }
    }
}
