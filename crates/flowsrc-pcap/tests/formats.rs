//! Each rule of the formats on bytes written by hand.

mod support;

use flowcore::{ErrorKind, Loss};
use flowsrc_pcap::file::LARGEST_RECORD;
use support::{Bytes, drain, over, read};

const MICROSECONDS: u32 = 0xa1b2_c3d4;
const NANOSECONDS: u32 = 0xa1b2_3c4d;
const NAVTEL: u32 = 0xa12b_3c4d;
const KUZNETZOV: u32 = 0xa1b2_cd34;

fn classic(big: bool) -> Bytes {
    Bytes::new(big).pcap(MICROSECONDS, (2, 4), 65_535, 1)
}

fn ng(big: bool) -> Bytes {
    Bytes::new(big).section().interface(1, 0, &[])
}

#[test]
fn both_resolutions_are_read_in_both_byte_orders() {
    for big in [false, true] {
        for (magic, nanos) in [(MICROSECONDS, 1_000_007_000), (NANOSECONDS, 1_000_000_007), (NAVTEL, 1_000_000_007)] {
            let file = Bytes::new(big).pcap(magic, (2, 4), 65_535, 1).record(1, 7, b"packet").out;
            let (packets, fault) = read(&file);
            assert_eq!((packets.len(), packets[0].nanos, fault), (1, nanos, None), "{magic:08x} big {big}");
            assert_eq!((packets[0].bytes.as_slice(), packets[0].link), (&b"packet"[..], 1));
        }
    }
}

#[test]
fn the_modified_format_has_eight_more_bytes_in_each_record_header() {
    for big in [false, true] {
        let record =
            |file: Bytes, text: &[u8; 4]| file.u32(1).u32(0).u32(4).u32(4).u32(2).u16(0x0800).raw(&[0, 0]).raw(text);
        let file = record(record(Bytes::new(big).pcap(KUZNETZOV, (2, 4), 65_535, 1), b"one!"), b"two!").out;
        let (packets, fault) = read(&file);
        assert_eq!(packets.iter().map(|packet| packet.bytes.as_slice()).collect::<Vec<_>>(), [b"one!", b"two!"]);
        assert_eq!(fault, None);
    }
}

/// The times of a file's packets, and what is wrong with it.
fn read_times(file: &Bytes) -> (Vec<i64>, Option<String>) {
    let (packets, fault) = read(&file.out);
    (packets.iter().map(|packet| packet.nanos).collect(), fault)
}

#[test]
fn a_fraction_of_one_second_is_carried() {
    let file = classic(false).record(10, 999_999, b"w").record(10, 1_000_046, b"x").record(10, 1_999_999, b"y");
    assert_eq!(read_times(&file), (vec![10_999_999_000, 11_000_046_000, 11_999_999_000], None));
    let file = Bytes::new(true).pcap(NANOSECONDS, (2, 4), 65_535, 1).record(10, 1_999_999_999, b"x");
    assert_eq!(read_times(&file), (vec![11_999_999_999], None));
}

#[test]
fn a_fraction_of_two_seconds_or_more_is_told_with_packet_and_byte() {
    const FRACTION: &str = "its fraction of a second is two seconds or more, added as it stands";
    let file = classic(false).record(9, 0, b"x").record(10, 2_000_000, b"y").record(13, 0, b"z");
    let told = Some(format!("test: packet 2 at byte 41: {FRACTION}"));
    assert_eq!(read_times(&file), (vec![9_000_000_000, 12_000_000_000, 13_000_000_000], told));

    let file = Bytes::new(true).pcap(NANOSECONDS, (2, 4), 65_535, 1).record(10, 2_000_000_000, b"x");
    assert_eq!(read_times(&file), (vec![12_000_000_000], Some(format!("test: packet 1 at byte 24: {FRACTION}"))));

    // What it leads to is told behind it.
    let file =
        classic(false).record(9, 0, b"x").record(10, u32::MAX, b"y").record(11, u32::MAX, b"y").record(12, 0, b"z");
    let told = format!(
        "test: packet 2 at byte 41, the first of 2: {FRACTION}; time runs backwards at packet 4 at byte 75, by \
         4293.967295 s"
    );
    let times = vec![9_000_000_000, 4_304_967_295_000, 4_305_967_295_000, 12_000_000_000];
    assert_eq!(read_times(&file), (times, Some(told)));

    let file = Bytes::new(false).pcap(KUZNETZOV, (2, 4), 65_535, 1);
    let file = file.u32(1).u32(3_000_000).u32(4).u32(4).u32(2).u16(0x0800).raw(&[0, 0]).raw(b"one!");
    assert_eq!(read_times(&file), (vec![4_000_000_000], Some(format!("test: packet 1 at byte 24: {FRACTION}"))));
}

#[test]
fn the_frame_check_sequence_bits_are_no_part_of_the_link_type() {
    // Bit 26: the length is given; bits 28 to 31: 2 half-words.
    let file = Bytes::new(false).pcap(MICROSECONDS, (2, 4), 65_535, 0x2400_0001).record(1, 0, b"x").out;
    assert_eq!(read(&file).0[0].link, 1);
}

#[test]
fn reserved_bits_of_the_link_type_word_are_refused_rather_than_guessed_about() {
    let file = Bytes::new(false).pcap(MICROSECONDS, (2, 4), 65_535, 0x0030_0000).out;
    let error = over(&file).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    assert_eq!(error.to_string(), "test: this is a pcap file whose link-type word 0x00300000 has reserved bits set");
}

#[test]
fn lengths_that_contradict_the_snap_length_are_believed() {
    let file = Bytes::new(false)
        .pcap(MICROSECONDS, (2, 4), 4, 1)
        .u32(1)
        .u32(0)
        .u32(6)
        .u32(100)
        .raw(b"longer")
        .u32(2)
        .u32(0)
        .u32(6)
        .u32(6)
        .raw(b"whole!")
        .u32(3)
        .u32(0)
        .u32(0)
        .u32(9)
        .out;
    let (packets, fault) = read(&file);
    let seen: Vec<(usize, u32)> = packets.iter().map(|packet| (packet.bytes.len(), packet.wire)).collect();
    assert_eq!(seen, [(6, 100), (6, 6), (0, 9)]);
    assert_eq!(fault, None);
}

#[test]
fn before_version_2_3_the_lengths_stand_the_other_way_round() {
    let header = |minor| Bytes::new(true).pcap(MICROSECONDS, (2, minor), 68, 1);
    let wire_first = |file: Bytes| file.u32(1).u32(0).u32(90).u32(3).raw(b"abc").out;
    let captured_first = |file: Bytes| file.u32(1).u32(0).u32(3).u32(90).raw(b"abc").out;
    for file in [wire_first(header(2)), wire_first(header(3)), captured_first(header(3)), captured_first(header(4))] {
        let (packets, fault) = read(&file);
        assert_eq!((packets[0].bytes.as_slice(), packets[0].wire, fault), (&b"abc"[..], 90, None));
    }
}

#[test]
fn other_versions_are_refused_by_number() {
    for (version, words) in [((1, 4), "archaic pcap file of version 1.4"), ((7, 0), "unknown version 7.0")] {
        let error = over(&Bytes::new(false).pcap(MICROSECONDS, version, 0, 1).out).unwrap_err();
        assert!(error.to_string().contains(words), "{error}");
    }
}

#[test]
fn a_record_that_claims_more_than_any_may_have_is_damage() {
    let file = classic(false).record(1, 0, b"good").u32(2).u32(0).u32(u32::MAX).u32(60).raw(&[0; 50]).out;
    let mut reader = over(&file).unwrap();
    assert_eq!(drain(&mut reader, 9).unwrap().len(), 1);
    assert_eq!(
        reader.fault().unwrap(),
        "test: packet 2 at byte 44: its record claims 4294967295 bytes, more than the 16777216 that any may have; the \
         one packet before it was read"
    );
    let ledger = reader.ledger();
    assert_eq!((ledger.incomplete, ledger.unread_bytes), (true, 66));
}

#[test]
fn the_largest_record_is_read_and_small_ones_follow() {
    let large = vec![7; LARGEST_RECORD];
    let file = classic(false).record(1, 0, &large).record(2, 0, b"small").out;
    let (packets, fault) = read(&file);
    assert_eq!(
        (packets.len(), packets[0].bytes.len(), packets[1].bytes.as_slice()),
        (2, LARGEST_RECORD, &b"small"[..])
    );
    assert_eq!(fault, None);
}

#[test]
fn concatenated_captures_are_recognised_where_the_second_begins() {
    let one = classic(false).record(1, 0, b"good").out;
    let file = [one.clone(), one].concat();
    let (packets, fault) = read(&file);
    let fault = fault.unwrap();
    assert_eq!(packets.len(), 1);
    assert!(fault.contains("packet 2 at byte 44: another capture begins here"), "{fault}");
}

#[test]
fn nothing_at_all_is_a_fault_and_no_error() {
    let (packets, fault) = read(b"");
    assert_eq!(packets.len(), 0);
    assert_eq!(fault.unwrap(), "test: packet 1 at byte 0: the file is empty; no packet could be read");
}

#[test]
fn a_file_header_alone_is_a_sound_file_without_packets() {
    assert_eq!(read(&classic(true).out), (vec![], None));
    assert_eq!(read(&Bytes::new(true).section().out), (vec![], None));
}

#[test]
fn what_is_no_capture_is_refused_with_its_name() {
    for (bytes, words) in [
        (&b"snoop\0\0\0\0\0\0\x02\0\0\0\x04"[..], "test: this is a Solaris snoop capture"),
        (b"#!/bin/sh\nexit 0\n", "test: this is text"),
        (b"\x01\x02\x03\x04\x05\x06", "not a capture file: it begins with the bytes 01 02 03 04"),
    ] {
        let error = over(bytes).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unsupported);
        assert!(error.to_string().contains(words), "{error}");
    }
}

#[test]
fn time_that_runs_backwards_is_told_with_packet_and_byte() {
    let file = classic(false).record(5, 0, b"a").record(4, 0, b"b").record(4, 500_000, b"c").record(6, 0, b"d").out;
    let mut reader = over(&file).unwrap();
    assert_eq!(drain(&mut reader, 9).unwrap().len(), 4);
    assert_eq!(
        reader.fault().unwrap(),
        "test: time runs backwards at packet 2 at byte 41, the first of 2, by up to 1 s"
    );
    let ledger = reader.ledger();
    assert_eq!((ledger.backwards, ledger.incomplete), (2, false));
}

#[test]
fn enhanced_packets_are_read_in_both_byte_orders() {
    for big in [false, true] {
        let (packets, fault) = read(&ng(big).enhanced(0, 0x1_0000_0001, b"hello", &[]).out);
        assert_eq!((packets[0].nanos, packets[0].bytes.as_slice()), (4_294_967_297_000, &b"hello"[..]));
        assert_eq!((packets.len(), fault), (1, None));
    }
}

#[test]
fn a_new_section_may_change_the_byte_order_and_begins_its_own_interfaces() {
    let first = ng(false).interface(101, 0, &[]).enhanced(1, 5, b"a", &[]).out;
    let second = ng(true).enhanced(0, 6, b"b", &[]).enhanced(1, 7, b"c", &[]).out;
    let third = ng(false).enhanced(0, 8, b"d", &[]).out;
    let mut reader = over(&[first, second, third].concat()).unwrap();
    let packets = drain(&mut reader, 9).unwrap();
    let seen: Vec<_> = packets.iter().map(|packet| (packet.bytes[0], packet.interface, packet.link)).collect();
    assert_eq!(seen, [(b'a', 1, 101), (b'b', 2, 1), (b'd', 3, 1)]);
    assert_eq!(reader.interfaces().len(), 4);
    assert_eq!(reader.ledger().lost(Loss::Damaged), Some(1));
    let fault = reader.fault().unwrap();
    assert!(fault.ends_with("it names interface 1, but 1 are described in its section"), "{fault}");
}

#[test]
fn every_interface_keeps_its_own_clock() {
    let options = |resolution: &[u8], offset: i64| {
        Bytes::new(false).option(9, resolution).option(14, &offset.to_le_bytes()).option(2, b"eth0").u32(0).out
    };
    let file = Bytes::new(false)
        .section()
        .interface(1, 0, &options(&[9], 0))
        .interface(1, 0, &options(&[0x80 | 20], 100))
        .interface(1, 0, &options(&[12], -1))
        .enhanced(2, 2_000_000_000_999, b"c", &[])
        .enhanced(0, 1_000_000_007, b"a", &[])
        .enhanced(1, 3 << 19, b"b", &[])
        .out;
    let mut reader = over(&file).unwrap();
    let nanos: Vec<i64> = drain(&mut reader, 9).unwrap().iter().map(|packet| packet.nanos).collect();
    assert_eq!(nanos, [1_000_000_000, 1_000_000_007, 101_500_000_000]);
    assert_eq!(reader.interfaces()[1].name.as_deref(), Some("eth0"));
    assert_eq!(reader.fault(), None);
}

#[test]
fn interfaces_out_of_step_with_each_other_are_counted_but_no_fault() {
    let file = ng(false).interface(1, 0, &[]).enhanced(0, 10, b"a", &[]).enhanced(1, 9, b"b", &[]).out;
    let mut reader = over(&file).unwrap();
    drain(&mut reader, 9).unwrap();
    assert_eq!((reader.ledger().backwards, reader.fault()), (1, None));
}

#[test]
fn what_the_queues_of_one_interface_do_to_each_other_is_counted_but_no_fault() {
    let file = ng(false).enhanced(0, 10_000, b"a", &[]).enhanced(0, 9_000, b"b", &[]).out;
    let mut reader = over(&file).unwrap();
    drain(&mut reader, 9).unwrap();
    assert_eq!((reader.ledger().backwards, reader.fault()), (1, None), "by 1 ms");
    let file = ng(false).enhanced(0, 10_000, b"a", &[]).enhanced(0, 8_999, b"b", &[]).out;
    let mut reader = over(&file).unwrap();
    drain(&mut reader, 9).unwrap();
    assert_eq!(reader.fault().unwrap(), "test: time runs backwards at packet 2 at byte 84, by 0.001001 s");
}

#[test]
fn a_section_that_begins_before_the_one_before_it_has_ended_runs_backwards() {
    let named = |bytes: &[u8], ticks: u64| {
        let name = Bytes::new(false).option(2, b"eth0").u32(0).out;
        Bytes::new(false).section().interface(1, 0, &name).enhanced(0, ticks, bytes, &[]).out
    };
    let file = [named(b"late", 9_000_000), named(b"soon", 2_000_000), named(b"last", 9_500_000)].concat();
    let mut reader = over(&file).unwrap();
    assert_eq!(drain(&mut reader, 9).unwrap().len(), 3);
    let fault = reader.fault().unwrap();
    let offset = file.len() / 3 * 2 - 36;
    assert_eq!(fault, format!("test: time runs backwards at packet 2 at byte {offset}, by 7 s"));
    // In order they are a sound file.
    let file = [named(b"soon", 2_000_000), named(b"late", 9_000_000)].concat();
    assert_eq!(read(&file).1, None);
}

#[test]
fn simple_packets_take_the_time_of_the_packet_before_them_and_the_first_snap_length() {
    let simple = |wire: u32, bytes: &[u8]| Bytes::new(false).u32(wire).padded(bytes).out;
    let file = Bytes::new(false)
        .section()
        .interface(1, 4, &[])
        .block(3, &simple(3, b"abc"))
        .enhanced(0, 7, b"timed", &[])
        .block(3, &simple(90, b"cut!"))
        .out;
    let (packets, fault) = read(&file);
    let seen: Vec<_> = packets.iter().map(|packet| (packet.nanos, packet.bytes.len(), packet.wire)).collect();
    assert_eq!(seen, [(7_000, 3, 3), (7_000, 5, 5), (7_000, 4, 90)]);
    assert_eq!(fault, None);
}

#[test]
fn obsolete_packet_blocks_are_read_with_their_drop_counts() {
    let body = |interface: u16, drops: u16, ticks: u32| {
        Bytes::new(false).u16(interface).u16(drops).u32(0).u32(ticks).u32(3).u32(60).padded(b"old").out
    };
    let file = ng(false).block(2, &body(0, 4, 9)).block(2, &body(0, u16::MAX, 10)).block(2, &body(7, 1, 11)).out;
    let mut reader = over(&file).unwrap();
    let packets = drain(&mut reader, 9).unwrap();
    assert_eq!((packets.len(), packets[0].nanos, packets[0].wire), (2, 9_000, 60));
    let ledger = reader.ledger();
    assert_eq!((ledger.lost(Loss::Capture), ledger.lost(Loss::Damaged)), (Some(4), Some(1)));
}

fn statistics(interface: u32, counters: &[(u16, u64)]) -> Vec<u8> {
    let begin = Bytes::new(false).u32(interface).u32(0).u32(0);
    counters.iter().fold(begin, |body, (code, count)| body.option(*code, &count.to_le_bytes())).u32(0).out
}

#[test]
fn the_last_statistics_of_each_interface_feed_the_ledger() {
    let file = ng(false)
        .interface(1, 0, &[])
        .block(5, &statistics(0, &[(4, 100), (5, 2), (7, 3)]))
        .block(5, &statistics(1, &[(5, 10)]))
        .block(5, &statistics(0, &[(4, 200), (5, 4), (7, 5)]))
        .block(5, &statistics(9, &[(5, 1_000)]))
        .out;
    let mut reader = over(&file).unwrap();
    drain(&mut reader, 9).unwrap();
    let ledger = reader.ledger();
    // The second interface says nothing of the kernel.
    assert_eq!((ledger.lost(Loss::Interface), ledger.lost(Loss::Kernel)), (Some(14), None));
    assert_eq!((ledger.lost_at_least(Loss::Kernel), ledger.is_partly_known(Loss::Kernel)), (Some(5), true));
    assert_eq!((ledger.lost(Loss::Capture), ledger.is_partly_known(Loss::Capture)), (None, false));
    assert_eq!(reader.interfaces()[0].statistics.received, Some(200));
}

#[test]
fn drops_noted_beside_packets_are_not_counted_again_when_statistics_follow() {
    let drops = |count: u64| Bytes::new(false).option(4, &count.to_le_bytes()).u32(0).out;
    let noted = ng(false).enhanced(0, 1, b"abc", &drops(6)).enhanced(0, 2, b"abcd", &drops(3));
    let mut reader = over(&noted.clone().out).unwrap();
    drain(&mut reader, 9).unwrap();
    assert_eq!(reader.ledger().lost(Loss::Capture), Some(9));
    let mut reader = over(&noted.block(5, &statistics(0, &[(5, 4), (7, 3)])).out).unwrap();
    drain(&mut reader, 9).unwrap();
    let ledger = reader.ledger();
    assert_eq!(Loss::ALL.map(|reason| ledger.lost(reason)), [Some(4), Some(3), Some(2), Some(0), None]);
}

#[test]
fn packets_without_a_time_of_their_own_are_counted() {
    let simple = |bytes: Bytes| bytes.block(3, &Bytes::new(false).u32(4).raw(b"abcd").out);
    let file = simple(simple(ng(false)).enhanced(0, 7, b"timed", &[])).out;
    let mut reader = over(&file).unwrap();
    let packets = drain(&mut reader, 9).unwrap();
    assert_eq!(packets.len(), 3);
    assert_eq!(reader.ledger().untimed, 2);
}

#[test]
fn counters_that_say_unknown_stay_unknown() {
    let file = ng(false).block(5, &statistics(0, &[(5, u64::MAX), (7, 0)])).out;
    let mut reader = over(&file).unwrap();
    drain(&mut reader, 9).unwrap();
    assert_eq!((reader.ledger().lost(Loss::Interface), reader.ledger().lost(Loss::Kernel)), (None, Some(0)));
}

#[test]
fn classic_files_do_not_know_what_was_lost() {
    let mut reader = over(&classic(false).record(1, 0, b"x").out).unwrap();
    drain(&mut reader, 9).unwrap();
    assert!(!reader.ledger().knows_losses());
}

#[test]
fn other_blocks_are_stepped_over_whatever_their_size() {
    let secrets = vec![0x55; 3 << 20];
    let file = ng(false)
        .block(4, &[0; 8])
        .block(0x0bad, &[1; 12])
        .block(0x4000_0bad, &[1; 4])
        .block(9, b"journal.")
        .block(0x0a, &secrets)
        .block(0x7fff_0001, &[])
        .enhanced(0, 1, b"found", &[])
        .out;
    let (packets, fault) = read(&file);
    assert_eq!((packets.len(), packets[0].bytes.as_slice(), fault), (1, &b"found"[..], None));
}

#[test]
fn a_large_block_that_is_cut_is_told_where_it_begins() {
    let mut file = ng(false).enhanced(0, 1, b"abcd", &[]).out;
    let begin = file.len();
    file.extend(Bytes::new(false).u32(0x0a).u32(1 << 30).raw(&[0; 700_000]).out);
    let mut reader = over(&file).unwrap();
    assert_eq!(drain(&mut reader, 9).unwrap().len(), 1);
    let fault = reader.fault().unwrap();
    assert!(fault.contains(&format!("packet 2 at byte {begin}: the file ends 700008 bytes into a block")), "{fault}");
    assert_eq!(reader.ledger().unread_bytes, 700_008);
}

#[test]
fn a_packet_block_that_makes_no_sense_is_left_out_and_the_rest_read() {
    let overrun = Bytes::new(false).u32(0).u32(0).u32(0).u32(500).u32(500).raw(b"abcd").out;
    let file = ng(false).enhanced(0, 1, b"a", &[]).block(6, &overrun).block(6, &[0; 8]).enhanced(0, 2, b"b", &[]).out;
    let mut reader = over(&file).unwrap();
    assert_eq!(drain(&mut reader, 9).unwrap().len(), 2);
    assert_eq!(
        reader.fault().unwrap(),
        "test: left out packet 2 at byte 84, the first of 2: it claims 500 captured bytes in a block of 36"
    );
    let ledger = reader.ledger();
    assert_eq!((ledger.lost(Loss::Damaged), ledger.incomplete), (Some(2), false));
}

#[test]
fn a_block_whose_length_cannot_be_ends_the_reading() {
    for (damage, words) in [
        (Bytes::new(false).u32(6).u32(0).u32(0).out, "a block of type 0x6 claims 0 bytes, less than its own frame"),
        (Bytes::new(false).u32(4).u32(13).u32(0).u32(0).out, "claims 13 bytes, not a multiple of 4"),
        (Bytes::new(false).u32(4).u32(16).u32(0).u32(20).out, "begins with length 16 and ends with length 20"),
        (Bytes::new(false).u32(6).u32(1 << 30).u32(0).out, "more than the 16777216 that any may have"),
        (Bytes::new(false).u32(1).u32(12).u32(12).out, "an interface description of only 12 bytes"),
        (Bytes::new(false).raw(&[10, 13, 13, 10]).u32(28).raw(&[0; 20]).out, "without the byte-order magic"),
    ] {
        let file = ng(false).enhanced(0, 1, b"a", &[]).raw(&damage).out;
        let mut reader = over(&file).unwrap();
        assert_eq!(drain(&mut reader, 9).unwrap().len(), 1);
        let fault = reader.fault().unwrap();
        assert!(fault.starts_with("test: packet 2 at byte 84: ") && fault.contains(words), "{fault}");
        assert!(reader.ledger().incomplete);
    }
}

#[test]
fn a_pcapng_file_of_another_version_is_refused() {
    let body = Bytes::new(false).u32(0x1a2b_3c4d).u16(2).u16(1).u64(u64::MAX).out;
    let error = over(&Bytes::new(false).block(0x0a0d_0d0a, &body).out).unwrap_err();
    assert_eq!(error.to_string(), "test: this is a pcapng file of unknown version 2.1; only 1.x can be read");
}

#[test]
fn a_section_length_is_not_needed() {
    let body = Bytes::new(true).u32(0x1a2b_3c4d).u16(1).u16(2).u64(12).out;
    let file = Bytes::new(true).block(0x0a0d_0d0a, &body).interface(1, 0, &[]).enhanced(0, 5, b"a", &[]).out;
    assert_eq!(read(&file).0.len(), 1);
}
