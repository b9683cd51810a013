//! TRTOP's own test data: what tcpdump printed, turned back into packets.

use std::io::Write;
use std::net::{IpAddr, Ipv4Addr};

use flowstats::hosts::{Host, Measure, Options};

use super::captures::captures;
use super::packets::{Packet, parse};
use super::{Counts, counts, p95_micros, row, rows};

/// A dump of the public captures; `None`, said aloud, where they are not at hand.
fn dump(name: &str) -> Option<Vec<Packet>> {
    let path = format!("tcpdump-text/{name}");
    Some(parse(&std::fs::read_to_string(captures(&path)?.join(path)).unwrap()))
}

#[test]
fn a_healthy_remote() {
    let Some(packets) = dump("trtop-healthy_remote_test.dump") else { return };
    let host = row(&packets);
    assert_eq!(counts(&host), Counts { fin_in: 1, ..Counts::opened(2, 2) });
    assert_eq!(host.tally.retransmissions(), 0);
    assert_eq!(p95_micros(&host, Measure::Connect), Some(9_642));
    // Samples 11.680 and 14.362 ms; of two the 95th percentile is the larger.
    assert_eq!(host.tally.histogram(Measure::LastByte).count(), 2);
    assert_eq!(host.tally.histogram(Measure::LastByte).min(), Some(11_680_000));
    assert_eq!(p95_micros(&host, Measure::LastByte), Some(14_362));
    assert_eq!(host.quantile(Measure::PerConnection, 0), Some(2));
}

#[test]
fn a_healthy_remote_whose_connection_was_open_before() {
    let Some(packets) = dump("trtop-healthy_pre_connected_remote_test.dump") else { return };
    let host = row(&packets);
    assert_eq!(counts(&host), Counts { fin_in: 1, out: 2, answered: 2, ..Counts::default() });
    assert_eq!(host.tally.midstream, 1);
    assert_eq!(host.quantile(Measure::Connect, 0), None);
    assert_eq!(host.percent(host.tally.established), None, "of no SYN there is no part");
    assert_eq!(p95_micros(&host, Measure::LastByte), Some(14_362));
    assert_eq!(host.quantile(Measure::PerConnection, 0), Some(2));
}

/// What TRTOP's largest dump holds, as worked out by hand: a handshake refused 13 times, 184 bare RSTs that answer
/// writes after the server's FIN, 160 connections that were open before, one request that was never answered.
fn assert_loopback(host: &Host) {
    let expected = Counts {
        syn: 184,
        syn_ack: 171,
        est: 171,
        rst: 197,
        fin_out: 0,
        fin_in: 184,
        out: 1339,
        answered: 1154,
        err: 0,
    };
    assert_eq!(counts(host), expected);
    assert_eq!((host.tally.connections, host.tally.midstream, host.tally.refused), (344, 160, 13));
    let tally = &host.tally;
    assert_eq!(tally.requests - tally.responses - tally.farewells, 185, "TRTOP's unanswered");
    // Of the resets only those of connections whose SYN was seen count for the part: never over 100 %.
    assert_eq!(host.tally.reset[1], 37);
}

/// A dump that this repository cannot carry: named by FLOW_TRTOP_LOOPBACK (tests/loopback_test.dump of TRTOP).
#[test]
fn the_loopback_dump() {
    let Some(path) = std::env::var_os("FLOW_TRTOP_LOOPBACK") else {
        let _ = writeln!(std::io::stderr(), "SKIPPED: FLOW_TRTOP_LOOPBACK names no dump");
        return;
    };
    let packets = parse(&std::fs::read_to_string(path).unwrap());
    assert_eq!(packets.len(), 6415);
    let host = row(&packets);
    assert_loopback(&host);
    let millis = |nanos: Option<u64>| nanos.map(|nanos| (nanos as f64 / 1e4).round() / 100.0);
    let connect = host.tally.histogram(Measure::Connect);
    let micros = |nanos: Option<u64>| nanos.map(|nanos| (nanos as f64 / 1e3).round());
    assert_eq!((micros(connect.min()), micros(connect.max())), (Some(23.0), Some(100.0)));
    assert_eq!(
        (micros(connect.quantile(0.95)), micros(connect.mean().map(|mean| mean as u64))),
        (Some(72.0), Some(50.0))
    );
    let first = host.tally.histogram(Measure::FirstByte);
    assert_eq!([0.5, 0.95, 1.0].map(|level| millis(first.quantile(level))), [Some(0.51), Some(2.89), Some(196.53)]);
    let last = host.tally.histogram(Measure::LastByte);
    assert_eq!([0.5, 0.95].map(|level| millis(last.quantile(level))), [Some(0.54), Some(2.89)]);
}

/// Connections of our own with the totals of TRTOP's loopback dump: as many of each kind, as many bytes.
struct Loopback {
    packets: Vec<Packet>,
    micros: u64,
}

const SERVER_PORT: u16 = 11_311;

impl Loopback {
    fn send(&mut self, port: u16, from_client: bool, letters: &str, numbers: (u32, u32), length: u32) {
        let here = IpAddr::V4(Ipv4Addr::LOCALHOST);
        let ends = [(here, port), (here, SERVER_PORT)];
        let (src, dst) = if from_client { (ends[0], ends[1]) } else { (ends[1], ends[0]) };
        let flags = super::packets::flags(letters);
        self.micros += 30;
        let nanos = 1_444_821_267_000_000_000 + self.micros * 1000;
        let ((seq, ack), window, timestamp) = (numbers, 512, None);
        self.packets.push(Packet { nanos, src, dst, flags, seq, ack, window, timestamp, length });
    }

    /// One connection: refused, or with so many answered requests, ended as said.
    fn connection(&mut self, number: u32, kind: Kind, answered: u32, response: u32) {
        let port = 32_805 + number as u16 * 94;
        let (client, server) = (number.wrapping_mul(77_777_777), number.wrapping_mul(99_999_989));
        let (mut c, mut s) = (client.wrapping_add(1), server.wrapping_add(1));
        if kind != Kind::Midstream {
            self.send(port, true, "S", (client, 0), 0);
            if kind == Kind::Refused {
                return self.send(port, false, "R.", (0, c), 0);
            }
            self.send(port, false, "S.", (server, c), 0);
            self.send(port, true, ".", (c, s), 0);
        }
        for _ in 0..answered {
            self.send(port, true, "P.", (c, s), 58);
            c = c.wrapping_add(58);
            for piece in [response.min(1400), response.saturating_sub(1400)] {
                if piece > 0 {
                    self.send(port, false, "P.", (s, c), piece);
                    s = s.wrapping_add(piece);
                    self.send(port, true, ".", (c, s), 0);
                }
            }
        }
        match kind {
            Kind::Open | Kind::Refused => {}
            Kind::Hanging => self.send(port, true, "P.", (c, s), 58),
            Kind::Closed | Kind::Midstream => {
                self.send(port, false, "F.", (s, c), 0);
                self.send(port, true, ".", (c, s.wrapping_add(1)), 0);
                self.send(port, true, "P.", (c, s.wrapping_add(1)), 58);
                self.send(port, false, "R", (s.wrapping_add(1), 0), 0);
            }
        }
    }

    fn whole() -> Self {
        let mut made = Self { packets: Vec::new(), micros: 0 };
        let kinds =
            [(Kind::Midstream, 160), (Kind::Refused, 13), (Kind::Closed, 24), (Kind::Open, 146), (Kind::Hanging, 1)];
        // 1,154 answered requests over 331 connections, 1,790,362 bytes over the responses.
        let (mut left, mut bytes, mut number) = (1154u32, 1_790_362u32, 0);
        for (kind, count) in kinds {
            for _ in 0..count {
                let others = 344 - number - if kind == Kind::Midstream { 13 } else { 0 };
                let answered = if kind == Kind::Refused { 0 } else { left.div_ceil(others) };
                let response = if left == answered { bytes / answered.max(1) } else { 1551 };
                left -= answered;
                bytes -= answered * response;
                made.connection(number, kind, answered, response);
                number += 1;
            }
        }
        // What the division of the last connection's responses left over.
        assert_eq!(left, 0);
        made
    }
}

#[derive(Copy, Clone, Debug, PartialEq, Eq)]
enum Kind {
    Refused,
    /// Open at the end.
    Open,
    /// Open at the end, with a request that was not answered.
    Hanging,
    /// Closed by the server; the client writes once more and is reset.
    Closed,
    /// The same, seen from its first request on.
    Midstream,
}

#[test]
fn connections_of_our_own_with_the_loopback_dumps_totals() {
    let made = Loopback::whole();
    let payload = |from_client: bool| -> u32 {
        let of = |packet: &&Packet| (packet.dst.1 == SERVER_PORT) == from_client;
        made.packets.iter().filter(of).map(|packet| packet.length).sum()
    };
    assert_eq!(payload(true), 77_662);
    assert!(payload(false).abs_diff(1_790_362) < 8);
    assert_loopback(&row(&made.packets));
}

#[test]
fn the_servers_side_of_the_same_is_one_client() {
    let made = Loopback::whole();
    let mut options = Options::default();
    options.view.incoming = true;
    let seen = rows(&made.packets, options);
    assert_eq!(seen.len(), 1);
    let mirrored = Counts { fin_in: 0, fin_out: 184, ..counts(&row(&made.packets)) };
    assert_eq!(counts(&seen[0]), mirrored);
}
