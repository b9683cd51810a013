//! All public captures against what independent readers say about them, and against pcap-file.
#![allow(clippy::print_stdout, reason = "a test says how much it compared")]

mod support;

use std::collections::HashMap;
use std::path::Path;

use flowcore::ErrorKind;
use flowsrc_pcap::Reader;
use pcap_file::pcap::PcapParser;
use pcap_file::pcapng::{Block, PcapNgParser};
use support::{Packet, drain, public, rows};

/// Files whose packet count differs from tshark's, each with its reason.
const COUNTED_OTHERWISE: &[(&str, usize, &str)] = &[
    ("pcapng-format/test018.pcapng", 4, "tshark counts four custom blocks as records"),
    ("pcapng-format/test202.pcapng", 8, "tshark counts three custom blocks as records"),
];

/// Files whose first and last time, in nanoseconds, differ from those of capinfos, each with its reason.
const TIMED_OTHERWISE: &[(&str, i128, i128, &str)] = &[
    (
        "pcap-format/timestamp_invalid_micro.pcap",
        1_418_145_369_999_999_000,
        1_418_147_517_483_648_000,
        "the third packet's fraction is 2147483648 us, which we carry into seconds; capinfos makes it 0",
    ),
    (
        "pcapng-format/pcapng-example.pcapng",
        -505_425_287_000,
        2_894_531_997_938_836_488,
        "counts of the second interface lie 505 s below 2^64 us; beyond the year 2262 they are taken as negative",
    ),
];

/// Files that only we say run backwards, or only capinfos does.
const ORDERED_OTHERWISE: &[&str] = &["pcap-format/timestamp_invalid_micro.pcap"];

/// Files that are refused, and by which word.
const REFUSED: &[(&str, &str)] = &[
    ("pcap-format/finger.snoop", "snoop"),
    ("pcap-format/linktype-reserved-field-not-zero.pcap", "reserved bits"),
    ("pcap-format/pcap-invalid-version-1.pcap", "archaic"),
    ("pcapng-format/pcapng-invalid-vers-1.pcapng", "unknown version"),
];

/// Is a capture, by its ending: the corpus also holds text and tables.
fn captures(root: &Path) -> Vec<(String, usize)> {
    rows(&root.join("truth/readability.tsv"))
        .into_iter()
        .map(|row| (row[0].clone(), row[4].parse().expect("a count")))
        .collect()
}

#[test]
fn every_capture_gives_as_many_packets_as_tshark_reads() {
    let Some(root) = public() else { return };
    let mut wrong = Vec::new();
    let captures = captures(&root);
    for (file, theirs) in &captures {
        let opened = Reader::open(root.join(file));
        if let Some((_, word)) = REFUSED.iter().find(|(name, _)| name == file) {
            let error = opened.expect_err(file);
            assert_eq!(error.kind(), ErrorKind::Unsupported);
            assert!(error.to_string().contains(word), "{error}");
            continue;
        }
        let mut reader = opened.unwrap_or_else(|error| panic!("{error}"));
        let packets = drain(&mut reader, 512).expect(file);
        let expected = COUNTED_OTHERWISE.iter().find(|(name, ..)| name == file).map_or(*theirs, |(_, count, _)| *count);
        if packets.len() != expected {
            wrong.push(format!("{file}: {} packets, tshark {theirs}; {:?}", packets.len(), reader.fault()));
        }
    }
    println!("{} captures compared", captures.len());
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Decimal seconds as capinfos prints them, in nanoseconds.
fn decimal(text: &str) -> Option<i128> {
    let (seconds, fraction) = text.split_once('.')?;
    // A fraction of a second or more is printed with more digits than the resolution has: 1000000 microseconds.
    let unit: i128 = if fraction.len() >= 9 { 1 } else { 1_000 };
    Some(seconds.parse::<i128>().ok()? * 1_000_000_000 + fraction.parse::<i128>().ok()? * unit)
}

#[test]
fn first_and_last_times_are_those_of_capinfos() {
    let Some(root) = public() else { return };
    let mut wrong = Vec::new();
    let mut compared = 0;
    for row in rows(&root.join("truth/capinfos.tsv")) {
        let file = &row[0];
        let (Some(first), Some(last)) =
            (row.get(10).and_then(|text| decimal(text)), row.get(11).and_then(|text| decimal(text)))
        else {
            continue;
        };
        let Ok(mut reader) = Reader::open(root.join(file)) else { continue };
        let packets = drain(&mut reader, 512).expect(file);
        let ours = |nanos: Option<i64>| i128::from(nanos.unwrap_or_default());
        let earliest = ours(packets.iter().map(|packet| packet.nanos).min());
        let latest = ours(packets.iter().map(|packet| packet.nanos).max());
        compared += 1;
        let (first, last) = TIMED_OTHERWISE
            .iter()
            .find(|(name, ..)| name == file)
            .map_or((first, last), |&(_, first, last, _)| (first, last));
        if (earliest, latest) != (first, last) {
            wrong.push(format!("{file}: {earliest} to {latest}, capinfos {first} to {last}"));
        }
    }
    println!("{compared} captures compared");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_capture_runs_backwards_where_capinfos_says_so() {
    let Some(root) = public() else { return };
    let mut wrong = Vec::new();
    for row in rows(&root.join("truth/capinfos.tsv")) {
        let Some(strict @ ("True" | "False")) = row.get(16).map(String::as_str) else { continue };
        let Ok(mut reader) = Reader::open(root.join(&row[0])) else { continue };
        drain(&mut reader, 512).expect("readable");
        let ledger = reader.ledger();
        if (ledger.backwards == 0) != (strict == "True") && !ORDERED_OTHERWISE.contains(&row[0].as_str()) {
            wrong.push(format!("{}: {} backwards, capinfos {strict}", row[0], ledger.backwards));
        }
        if ledger.backwards > 0 || reader.fault().is_some() {
            println!("{} backwards={} {:?}", row[0], ledger.backwards, reader.fault());
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Packets as pcap-file's parser gives them from the whole file in memory: bytes, wire length, and the time as far as
/// it can say it.
fn oracle(bytes: &[u8]) -> Vec<(Vec<u8>, u32, Option<i64>)> {
    let mut packets = Vec::new();
    if bytes.starts_with(&[0x0a, 0x0d, 0x0d, 0x0a]) {
        let Ok((mut rest, mut parser)) = PcapNgParser::new(bytes) else { return packets };
        while !rest.is_empty() {
            let (next, raw) = match parser.next_raw_block(rest) {
                Ok(next) => next,
                Err(error) => {
                    println!("pcap-file stops: {error}");
                    break;
                }
            };
            rest = next;
            let nanos = |time: std::time::Duration| i64::try_from(time.as_nanos()).ok();
            match raw.try_into_block(parser.state()) {
                Ok(Block::EnhancedPacket(packet)) => {
                    packets.push((packet.data.to_vec(), packet.original_len, nanos(packet.timestamp)));
                }
                Ok(Block::Packet(packet)) => {
                    packets.push((packet.data.to_vec(), packet.original_len, nanos(packet.timestamp)));
                }
                Ok(Block::SimplePacket(packet)) => packets.push((packet.data.to_vec(), packet.original_len, None)),
                Ok(_) => {}
                Err(error) => println!("pcap-file leaves out a block: {}", error.source),
            }
        }
    } else if let Ok((mut rest, parser)) = PcapParser::new(bytes) {
        let nanos_per_tick =
            if parser.header().ts_resolution == pcap_file::pcap::PcapTsResolution::NanoSecond { 1 } else { 1_000 };
        while let Ok((next, packet)) = parser.next_raw_packet(rest) {
            rest = next;
            let nanos = i64::from(packet.ts_sec) * 1_000_000_000 + i64::from(packet.ts_frac) * nanos_per_tick;
            packets.push((packet.data.to_vec(), packet.orig_len, Some(nanos)));
        }
    }
    packets
}

/// Files that pcap-file reads otherwise, each with its reason.
const ORACLE_DIFFERS: &[(&str, &str)] = &[
    ("pcap-format/pcap_v2.2.dmp", "it takes the lengths of version 2.2 in the order of 2.4"),
    ("pcapng-format/pcapng-example.pcapng", "it refuses an option of 71 packets and with it the packets"),
    ("pcapng-format/test008-be.pcapng", "it refuses an interface description and stops"),
    ("pcapng-format/test008.pcapng", "it refuses an interface description and stops"),
];

#[test]
fn our_walks_read_what_pcap_file_reads() {
    let Some(root) = public() else { return };
    let known: HashMap<&str, &str> = ORACLE_DIFFERS.iter().copied().collect();
    let mut wrong = Vec::new();
    let mut compared = 0;
    for (file, _) in captures(&root) {
        let Ok(mut reader) = Reader::open(root.join(&file)) else { continue };
        let ours: Vec<Packet> = drain(&mut reader, 7).expect(&file);
        let theirs = oracle(&std::fs::read(root.join(&file)).expect("a file"));
        let same = ours.len() == theirs.len()
            && ours.iter().zip(&theirs).all(|(ours, (bytes, wire, nanos))| {
                ours.bytes == *bytes
                    && ours.wire == (*wire).max(bytes.len() as u32)
                    && nanos.is_none_or(|nanos| nanos == ours.nanos)
            });
        compared += ours.len();
        if same == known.contains_key(file.as_str()) {
            let first = ours.iter().zip(&theirs).position(|(a, b)| a.bytes != b.0 || b.2.is_some_and(|n| n != a.nanos));
            wrong.push(format!(
                "{file}: {} packets, pcap-file {}, first difference {first:?}",
                ours.len(),
                theirs.len()
            ));
        }
    }
    println!("{compared} packets compared");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
