//! A dump that a kernel gave (Linux 6.18, recorded by recorded/record.py) beside what `ss` printed of the same sockets; as
//! older kernels would have sent it, and cut at every byte.
#![cfg(target_endian = "little")]

use std::collections::HashMap;

use flowcore::{SocketSample, SocketState, TcpInfo};
use flowsrc_netlink::diag::{Read, read};

const DUMP: &[u8] = include_bytes!("recorded/tcp.nl");
const SS: &str = include_str!("recorded/tcp.ss");

/// Bytes of `struct inet_diag_msg`, before the attributes.
const FIXED: usize = 72;
const TCP_INFO: u16 = 2;

fn u16_at(bytes: &[u8], offset: usize) -> u16 {
    u16::from_le_bytes([bytes[offset], bytes[offset + 1]])
}

/// Payloads of the recorded messages that are sockets (SOCK_DIAG_BY_FAMILY).
fn recorded() -> Vec<&'static [u8]> {
    let mut payloads = Vec::new();
    let mut rest = DUMP;
    while !rest.is_empty() {
        let length = usize::from(u16_at(rest, 0));
        if u16_at(rest, 4) == 20 {
            payloads.push(&rest[16..length]);
        }
        rest = &rest[length.next_multiple_of(4)..];
    }
    assert_eq!(payloads.len(), 8);
    payloads
}

fn sample(payload: &[u8]) -> (Read, SocketSample) {
    let mut sample = SocketSample::default();
    (read(payload, 6, &mut sample), sample)
}

/// Where each attribute begins, and its kind and length without padding.
fn attributes(payload: &[u8]) -> Vec<(usize, u16, usize)> {
    let mut attributes = Vec::new();
    let mut offset = FIXED;
    while offset < payload.len() {
        let length = usize::from(u16_at(payload, offset));
        attributes.push((offset, u16_at(payload, offset + 2), length));
        offset += length.next_multiple_of(4);
    }
    attributes
}

/// The message with so many bytes of `tcp_info`, as a kernel sends it whose structure is no longer.
fn with_tcp_info_of(payload: &[u8], bytes: usize) -> Vec<u8> {
    let mut older = payload[..FIXED].to_vec();
    for (offset, kind, length) in attributes(payload) {
        let length = if kind == TCP_INFO { length.min(4 + bytes) } else { length };
        older.extend_from_slice(&(length as u16).to_le_bytes());
        older.extend_from_slice(&kind.to_le_bytes());
        older.extend_from_slice(&payload[offset + 4..offset + length]);
        older.resize(older.len().next_multiple_of(4), 0);
    }
    older
}

/// A field, the byte behind it in `struct tcp_info` (include/uapi/linux/tcp.h), and how to read it.
type Field = (&'static str, usize, fn(&TcpInfo) -> Option<u64>);

const FIELDS: [Field; 24] = [
    ("rto", 12, |tcp| tcp.rto_us().map(u64::from)),
    ("mss", 20, |tcp| tcp.snd_mss().map(u64::from)),
    ("pmtu", 64, |tcp| tcp.pmtu().map(u64::from)),
    ("rcv_ssthresh", 68, |tcp| tcp.rcv_ssthresh().map(u64::from)),
    ("rtt", 72, |tcp| tcp.rtt_us().map(u64::from)),
    ("cwnd", 84, |tcp| tcp.snd_cwnd().map(u64::from)),
    ("rcv_space", 100, |tcp| tcp.rcv_space().map(u64::from)),
    ("retrans", 104, |tcp| tcp.total_retrans().map(u64::from)),
    ("pacing_rate", 112, TcpInfo::pacing_rate),
    ("bytes_acked", 128, TcpInfo::bytes_acked),
    ("bytes_received", 136, TcpInfo::bytes_received),
    ("segs_out", 140, |tcp| tcp.segs_out().map(u64::from)),
    ("segs_in", 144, |tcp| tcp.segs_in().map(u64::from)),
    ("notsent", 148, |tcp| tcp.notsent_bytes().map(u64::from)),
    ("minrtt", 152, |tcp| tcp.min_rtt_us().map(u64::from)),
    ("data_segs_in", 156, |tcp| tcp.data_segs_in().map(u64::from)),
    ("data_segs_out", 160, |tcp| tcp.data_segs_out().map(u64::from)),
    ("delivery_rate", 168, TcpInfo::delivery_rate),
    ("busy", 176, TcpInfo::busy_time_us),
    ("delivered", 196, |tcp| tcp.delivered().map(u64::from)),
    ("bytes_sent", 208, TcpInfo::bytes_sent),
    ("snd_wnd", 232, |tcp| tcp.snd_wnd().map(u64::from)),
    ("rcv_wnd", 236, |tcp| tcp.rcv_wnd().map(u64::from)),
    ("received_ce_bytes", 276, |tcp| tcp.received_ce_bytes().map(u64::from)),
];

/// What `ss` prints behind a name, by the unit that the field has here: microseconds, bytes a second.
fn said_by_ss(line: &str, name: &str) -> Option<u64> {
    let words: Vec<&str> = line.split_whitespace().collect();
    let word = match name {
        // `pacing_rate 589222752288bps`, in bits.
        "pacing_rate" | "delivery_rate" => {
            let at = words.iter().position(|word| *word == name)?;
            return Some(words.get(at + 1)?.strip_suffix("bps")?.parse::<u64>().ok()? / 8);
        }
        name => words.iter().find_map(|word| word.strip_prefix(name)?.strip_prefix(':'))?,
    };
    let micros = |text: &str| Some((text.parse::<f64>().ok()? * 1e3).round() as u64);
    match name {
        "rtt" => micros(word.split('/').next()?),
        "rto" | "minrtt" => micros(word),
        "busy" => micros(word.strip_suffix("ms")?),
        _ => word.parse().ok(),
    }
}

/// A whole number of milliseconds, as `ss` prints what it rounds.
fn rounded(name: &str, value: u64) -> u64 {
    if matches!(name, "busy" | "rto") { value / 1_000 * 1_000 } else { value }
}

#[test]
fn a_recorded_dump_is_read_as_ss_printed_it() {
    let lines: HashMap<u64, &str> = SS
        .lines()
        .map(|line| {
            let cookie = line.split_whitespace().find_map(|word| word.strip_prefix("sk:")).expect("a cookie");
            (u64::from_str_radix(cookie, 16).expect("hexadecimal"), line)
        })
        .collect();
    let mut compared = 0;
    for payload in recorded() {
        let (outcome, sample) = sample(payload);
        assert_eq!(outcome, Read::Whole);
        let line = lines[&sample.cookie.expect("a cookie")];
        let ends: Vec<&str> = line.split_whitespace().skip(3).take(2).collect();
        let port = |end: &str| end.rsplit(':').next().and_then(|port| port.parse().ok()).unwrap_or(0);
        assert_eq!((sample.local_port, sample.remote_port), (port(ends[0]), port(ends[1])), "{line}");
        assert_eq!(sample.inode.map(u64::from), said_by_ss(line, "ino").filter(|&inode| inode != 0), "{line}");
        let congestion = sample.congestion.map(|name| format!(" {} ", name.to_text()));
        assert!(congestion.is_none_or(|name| line.contains(&name)), "{line}");
        if sample.state != SocketState::ESTABLISHED {
            continue;
        }
        let tcp = sample.tcp.expect("an established socket's own account");
        for (name, _, field) in FIELDS {
            let Some(theirs) = said_by_ss(line, name) else { continue };
            assert_eq!(field(&tcp).map(|value| rounded(name, value)), Some(theirs), "{name}: {line}");
            compared += 1;
        }
    }
    assert!(compared >= 4 * 15, "{compared} values compared");
}

#[test]
fn an_older_kernels_dump_has_the_fields_that_it_had_and_no_others() {
    // Linux 2.6.12, 3.15, 4.1, 4.4, 4.9, 4.10, 4.18, 4.19, 5.4, 6.2, 6.7, 6.18; and every length between.
    for bytes in [104, 120, 136, 144, 168, 192, 200, 224, 232, 240, 248, 280].into_iter().chain(0..=280) {
        for payload in recorded() {
            let (_, whole) = sample(payload);
            let (outcome, older) = sample(&with_tcp_info_of(payload, bytes));
            assert_eq!(outcome, Read::Whole);
            for (name, end, field) in FIELDS {
                let expected = whole.tcp.as_ref().and_then(field).filter(|_| end <= bytes);
                assert_eq!(older.tcp.as_ref().and_then(field), expected, "{name} of {bytes} bytes");
            }
            // The length of one attribute changes nothing else.
            assert_eq!(SocketSample { tcp: whole.tcp, ..older }, whole, "{bytes}");
        }
    }
}

#[test]
fn a_recorded_message_cut_at_any_byte_is_what_stands_before_the_cut() {
    for payload in recorded() {
        for bytes in [144, 192, 232, 280] {
            let message = with_tcp_info_of(payload, bytes);
            let (_, whole) = sample(&message);
            let all = attributes(&message);
            for cut in 0..message.len() {
                let (outcome, part) = sample(&message[..cut]);
                if cut < FIXED {
                    assert_eq!((outcome, part), (Read::Nothing, SocketSample::default()), "{cut}");
                    continue;
                }
                let came =
                    |wanted: u16| all.iter().any(|&(offset, kind, length)| kind == wanted && offset + length <= cut);
                let fixed = (part.state, part.local, part.remote, part.inode, part.uid, part.cookie);
                let expected = (whole.state, whole.local, whole.remote, whole.inode, whole.uid, whole.cookie);
                assert_eq!(fixed, expected, "{cut}");
                assert_eq!(part.tcp, whole.tcp.filter(|_| came(TCP_INFO)), "{cut}");
                assert_eq!(part.congestion, whole.congestion.filter(|_| came(4)), "{cut}");
                assert_eq!(part.tos, whole.tos.filter(|_| came(5)), "{cut}");
                assert_eq!(part.memory, whole.memory.filter(|_| came(7)), "{cut}");
                assert_eq!(part.shutdown, whole.shutdown.filter(|_| came(8)), "{cut}");
                assert_eq!(part.congestion_info, whole.congestion_info.filter(|_| came(16)), "{cut}");
                assert_eq!(part.cgroup_id, whole.cgroup_id.filter(|_| came(21)), "{cut}");
            }
        }
    }
}
