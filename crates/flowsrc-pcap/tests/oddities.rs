//! What contradicts itself or leaves something unsaid, though packets can be read: told with its place, never made up.

mod support;

use std::io::{self, Cursor, Read};

use flowcore::{Collector, Limit, Loss, Notes, Status, Timestamp};
use flowsrc_pcap::{Files, Reader};
use support::{Bytes, drain, over, read};

fn ng() -> Bytes {
    Bytes::new(false).section().interface(1, 0, &[])
}

/// A simple packet block.
fn simple(file: Bytes, bytes: &[u8]) -> Bytes {
    let body = Bytes::new(false).u32(bytes.len() as u32).padded(bytes).out;
    file.block(3, &body)
}

/// Gives a few bytes at a time, as a pipe may.
struct Drip(Cursor<Vec<u8>>);

impl Read for Drip {
    fn read(&mut self, space: &mut [u8]) -> io::Result<usize> {
        let most = space.len().min(7);
        self.0.read(&mut space[..most])
    }
}

#[test]
fn packets_before_any_time_have_the_first_that_comes_from_a_pipe_too() {
    let file = simple(simple(ng(), b"abc"), b"defg").block(4, &[0; 8]).enhanced(0, 9_000_000, b"timed", &[]);
    let file = simple(file.enhanced(0, 8_999_999, b"sooner", &[]), b"last").out;
    let times = |reader: &mut Reader, batch| -> Vec<i64> {
        drain(reader, batch).expect("no error").iter().map(|packet| packet.nanos / 1_000).collect()
    };
    let expected = [9_000_000, 9_000_000, 9_000_000, 8_999_999, 9_000_000];
    for batch in [1, 9] {
        assert_eq!(times(&mut over(&file).expect("a capture"), batch), expected);
        let pipe = Box::new(Drip(Cursor::new(file.clone())));
        let mut reader = Reader::from_read(pipe, "pipe").expect("a capture");
        assert_eq!(times(&mut reader, batch), expected);
        assert_eq!((reader.fault(), reader.ledger().untimed), (None, 3));
    }
}

#[test]
fn a_time_is_looked_for_within_64_kib_and_the_same_way_from_a_pipe() {
    // Blocks of 4,016 bytes: the 16th begins within 64 KiB of the first, the 18th does not.
    for (before, nanos) in [(16, 5_000), (18, 0)] {
        let file = (0..before).fold(ng(), |file, _| simple(file, &[7; 4_000])).enhanced(0, 5, b"timed", &[]).out;
        let pipe = Reader::from_read(Box::new(Drip(Cursor::new(file.clone()))), "pipe");
        for mut reader in [over(&file).expect("a capture"), pipe.expect("a capture")] {
            let packets = drain(&mut reader, 100).expect("no error");
            assert_eq!((packets.len(), packets[0].nanos), (before + 1, nanos));
            assert_eq!(packets[before].nanos, 5_000);
        }
    }
}

#[test]
fn a_capture_without_any_time_never_says_how_far_it_is() {
    let file = simple(simple(ng(), b"abc"), b"defg").out;
    let mut files = Files::builder().stream(Box::new(Cursor::new(file)), "test").open().expect("a capture");
    let mut events = Vec::new();
    while files.fill(&mut events, Limit::default()).expect("no error").status != Status::End {}
    assert_eq!(events.len(), 2);
    assert!(events.iter().all(|event| event.notes.contains(Notes::UNTIMED)));
    assert_eq!(files.fill(&mut events, Limit::default()).expect("no error").through, Timestamp::MIN);
}

#[test]
fn damage_ahead_of_packets_without_a_time_is_told_where_it_is() {
    let file = simple(simple(ng(), b"abc"), b"defg").u32(6).u32(40).raw(&[0; 9]).out;
    let (packets, fault) = read(&file);
    let seen: Vec<_> = packets.iter().map(|packet| (packet.nanos, packet.bytes.len())).collect();
    assert_eq!(seen, [(0, 3), (0, 4)]);
    let words = "test: packet 3 at byte 88: the file ends 17 bytes into a block of 40; 2 packets before it were read";
    assert_eq!(fault.as_deref(), Some(words));
}

#[test]
fn a_time_beyond_the_year_2262_is_none() {
    // if_tsoffset: 2^33 s.
    let beyond = Bytes::new(false).option(14, &(1_u64 << 33).to_le_bytes()).u32(0).out;
    let file = Bytes::new(false).section().interface(1, 0, &[]).interface(1, 0, &beyond);
    let file = file.enhanced(0, 9, b"sound", &[]).enhanced(1, 1_700_000_000_000_000, b"x", &[]);
    let file = file.enhanced(1, 1_700_000_000_000_001, b"y", &[]).enhanced(0, 10, b"sound", &[]).out;
    let mut reader = over(&file).expect("a capture");
    let nanos: Vec<i64> = drain(&mut reader, 9).expect("no error").iter().map(|packet| packet.nanos).collect();
    assert_eq!(nanos, [9_000, 9_000, 9_000, 10_000]);
    assert_eq!((reader.ledger().untimed, reader.ledger().backwards), (2, 0));
    assert_eq!(
        reader.fault().as_deref(),
        Some(
            "test: packet 2 at byte 124, the first of 2: its time lies outside the years 1677 to 2262; taken as without one"
        )
    );
}

/// Ends with an option that claims 400 bytes.
fn overrunning(options: Bytes, code: u16) -> Vec<u8> {
    options.u16(code).u16(400).raw(b"text").out
}

#[test]
fn options_that_overrun_their_interface_leave_unknown_how_it_counts_time() {
    let none = Bytes::new(false);
    for (before, assumed, nanos) in [
        (none.clone(), "; its times are taken for microseconds since 1970", 5_000),
        (none.clone().option(9, &[9]), "; its times are taken to count from 1970", 5),
        (none.clone().option(14, &1_u64.to_le_bytes()), "; its times are taken for microseconds", 1_000_005_000),
        (none.option(14, &0_u64.to_le_bytes()).option(9, &[9]), "", 5),
    ] {
        let file = Bytes::new(false).section().interface(1, 0, &overrunning(before, 2)).enhanced(0, 5, b"a", &[]).out;
        let (packets, fault) = read(&file);
        assert_eq!(packets[0].nanos, nanos);
        let words = "before packet 1 at byte 28: its option 2 claims 400 bytes, more than the 4 left in the block";
        assert_eq!(fault, Some(format!("test: the block {words}{assumed}")));
    }
}

#[test]
fn options_that_overrun_packets_and_statistics_leave_unknown_what_was_lost() {
    let drops = |count: u64| Bytes::new(false).option(4, &count.to_le_bytes());
    let file = ng().enhanced(0, 1, b"abcd", &drops(6).u32(0).out).enhanced(0, 2, b"b", &overrunning(drops(3), 1));
    let mut reader = over(&file.clone().out).expect("a capture");
    assert_eq!(drain(&mut reader, 9).expect("no error").len(), 2);
    let fault = reader.fault().expect("a fault");
    let words = "its option 1 claims 400 bytes, more than the 4 left in the block; a count of drops behind it is lost";
    assert_eq!(fault, format!("test: packet 2 at byte 100: {words}"));
    let ledger = reader.ledger();
    assert_eq!((ledger.lost_at_least(Loss::Capture), ledger.is_partly_known(Loss::Capture)), (Some(9), true));

    let begin = Bytes::new(false).u32(0).u32(0).u32(0).option(7, &2_u64.to_le_bytes());
    let mut reader = over(&file.block(5, &overrunning(begin, 1)).out).expect("a capture");
    drain(&mut reader, 9).expect("no error");
    let fault = reader.fault().expect("a fault");
    assert!(fault.contains("; the block before packet 3 at byte 156: its option 1 claims 400 bytes"), "{fault}");
    assert!(fault.ends_with("; statistics of an interface behind it are lost"), "{fault}");
    let ledger = reader.ledger();
    assert_eq!((ledger.lost_at_least(Loss::Kernel), ledger.is_partly_known(Loss::Kernel)), (Some(2), true));
}

#[test]
fn more_bytes_captured_than_there_were_are_told_and_both_numbers_kept() {
    let record = |file: Bytes, wire: u32| file.u32(1).u32(0).u32(6).u32(wire).raw(b"frames");
    let file = record(record(record(Bytes::new(false).pcap(0xa1b2_c3d4, (2, 4), 0, 1), 6), 2), 0).record(2, 0, b"next");
    let (packets, fault) = read(&file.out);
    let seen: Vec<_> = packets.iter().map(|packet| (packet.bytes.len(), packet.wire)).collect();
    assert_eq!(seen, [(6, 6), (6, 2), (6, 0), (4, 4)]);
    let words = "the first of 2: 6 bytes were captured of 2 on the wire; both are taken as they stand";
    assert_eq!(fault, Some(format!("test: packet 2 at byte 46, {words}")));

    let body = Bytes::new(false).u32(0).u32(0).u32(7).u32(6).u32(2).padded(b"frames").out;
    for kind in [6, 2] {
        let file = ng().enhanced(0, 6, b"a", &[]).block(kind, &body).enhanced(0, 8, b"b", &[]).out;
        let (packets, fault) = read(&file);
        assert_eq!((packets.len(), packets[1].bytes.len(), packets[1].wire, packets[1].nanos), (3, 6, 2, 7_000));
        let words = "6 bytes were captured of 2 on the wire; both are taken as they stand";
        assert_eq!(fault, Some(format!("test: packet 2 at byte 84: {words}")));
    }
}

#[test]
fn interfaces_beyond_the_numbers_there_are_share_the_last() {
    let count = 70_000;
    let file = (0..count).fold(Bytes::new(false).section(), |file, _| file.interface(1, 0, &[]));
    let file = file.enhanced(3, 1, b"a", &[]).enhanced(65_534, 2, b"b", &[]).enhanced(count - 1, 3, b"c", &[]).out;
    let mut reader = over(&file).expect("a capture");
    let packets = drain(&mut reader, 9).expect("no error");
    let numbers: Vec<u16> = packets.iter().map(|packet| packet.interface).collect();
    assert_eq!((numbers, reader.fault()), (vec![3, 65_534, 65_534], None));
}

#[test]
fn sections_beyond_the_numbers_there_are_take_those_of_ended_ones() {
    let name = |name: &[u8]| Bytes::new(false).option(2, name).u32(0).out;
    let one = |file: Bytes, name: &[u8], time: u64| file.section().interface(1, 0, name).enhanced(0, time, b"x", &[]);
    let (first, second) = (name(b"eth0"), name(b"eth1"));
    let file = (0..66_000).fold(Bytes::new(false), |file, time| one(one(file, &first, time), &second, time));
    let mut reader = over(&file.out).expect("a capture");
    let packets = drain(&mut reader, 100).expect("no error");
    assert_eq!((packets.len(), reader.fault()), (132_000, None));
    let known = reader.interfaces();
    for (packet, name) in packets.iter().zip(["eth0", "eth1"].iter().cycle()) {
        assert_eq!(known[usize::from(packet.interface)].name.as_deref(), Some(*name));
    }
}
