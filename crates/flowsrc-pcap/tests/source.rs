//! The collector: events, ledger and faults of one and of several inputs.

mod support;

use std::collections::HashMap;
use std::io::{Cursor, Write};
use std::path::PathBuf;

use flowcore::{Collector, ErrorKind, FlowEvent, Ledger, Limit, Loss, Notes, Status, Timestamp};
use flowsrc_pcap::Files;
use proptest::prelude::*;
use support::Bytes;

struct Read {
    events: Vec<FlowEvent>,
    frames: Vec<Vec<u8>>,
    ledger: Ledger,
    through: Timestamp,
}

fn read(files: &mut Files, batch: usize) -> Read {
    let limit = Limit { events: batch, ..Limit::default() };
    let (mut events, mut frames, mut through) = (Vec::new(), Vec::new(), Timestamp::MIN);
    loop {
        let from = events.len();
        let filled = files.fill(&mut events, limit).expect("readable");
        assert!(events.len() - from <= batch);
        frames.extend(events[from..].iter().map(|event| filled.frames.get(event.frame).to_vec()));
        assert!(filled.through >= through);
        through = filled.through;
        if filled.status == Status::End {
            break;
        }
    }
    let ledger = files.ledger().expect("a ledger");
    assert_eq!(ledger.seen(), ledger.accounted());
    Read { events, frames, ledger, through }
}

fn capture(times: &[u32], tag: u8) -> Vec<u8> {
    let begin = Bytes::new(false).pcap(0xa1b2_c3d4, (2, 4), 65_535, 1);
    times.iter().zip(0_u8..).fold(begin, |file, (&time, number)| file.record(time, 0, &[tag, number])).out
}

fn stream(bytes: Vec<u8>) -> Box<Cursor<Vec<u8>>> {
    Box::new(Cursor::new(bytes))
}

fn files(captures: &[Vec<u8>]) -> Files {
    let builder = Files::builder();
    let named = captures
        .iter()
        .zip(0..)
        .fold(builder, |builder, (bytes, number)| builder.stream(stream(bytes.clone()), format!("input {number}")));
    named.open().expect("captures")
}

#[test]
fn every_packet_becomes_one_event_with_its_frame() {
    let file = Bytes::new(false)
        .pcap(0xa1b2_c3d4, (2, 4), 65_535, 1)
        .record(1, 0, b"frame")
        .u32(2)
        .u32(0)
        .u32(3)
        .u32(1_500)
        .raw(b"cut")
        .out;
    let Read { events, frames, ledger, through } = read(&mut files(&[file]), 10);
    assert_eq!(frames, [b"frame".to_vec(), b"cut".to_vec()]);
    assert_eq!((events[0].packets, events[0].bytes, events[1].bytes), (1, 5, 1_500));
    assert_eq!(events[1].notes & Notes::CUT, Notes::CUT);
    assert_eq!(events[0].notes & Notes::CUT, Notes::empty());
    assert_eq!((ledger.delivered(), ledger.truncated, ledger.lost(Loss::Damaged)), (2, 1, Some(0)));
    assert_eq!(through, Timestamp::from_nanos(2_000_000_000));
}

#[test]
fn a_limit_ends_early_without_a_fault() {
    let capture = capture(&[1, 2, 3, 4, 5], 0);
    let mut limited = Files::builder().stream(stream(capture), "five").packet_limit(3).open().expect("a capture");
    let Read { events, ledger, .. } = read(&mut limited, 2);
    assert_eq!((events.len(), ledger.delivered(), ledger.incomplete), (3, 3, false));
    assert_eq!(limited.fault(), None);
}

#[test]
fn several_inputs_are_merged_by_time_and_equal_times_keep_the_arguments_order() {
    let mut merged =
        files(&[capture(&[1, 5, 5], b'a'), capture(&[], b'-'), capture(&[2, 5], b'b'), capture(&[0, 9], b'c')]);
    assert!(merged.info().several_interfaces);
    assert_eq!(merged.info().name, "input 0 and 3 more");
    let Read { events, frames, .. } = read(&mut merged, 3);
    assert_eq!(frames, [b"c\0", b"a\0", b"b\0", b"a\x01", b"a\x02", b"b\x01", b"c\x01"]);
    let interfaces: Vec<u16> = events.iter().map(|event| event.interface).collect();
    assert_eq!(interfaces, [0, 1, 2, 1, 1, 2, 0]);
}

#[test]
fn faults_and_losses_of_several_inputs_are_told_together() {
    let cut = capture(&[1, 2, 3], b'a')[..55].to_vec();
    let statistics = Bytes::new(false).u32(0).u32(0).u32(0).option(5, &7_u64.to_le_bytes()).u32(0).out;
    let ng = Bytes::new(false).section().interface(1, 0, &[]).enhanced(0, 1, b"b", &[]).block(5, &statistics).out;
    let mut merged = files(&[cut, ng, vec![]]);
    let Read { events, ledger, .. } = read(&mut merged, 100);
    assert_eq!(events.len(), 2);
    let fault = merged.fault().expect("a fault");
    assert!(fault.starts_with("input 0: packet 2 at byte 42: "), "{fault}");
    assert!(fault.contains("; input 2: packet 1 at byte 0: the file is empty"), "{fault}");
    assert_eq!((ledger.incomplete, ledger.unread_bytes), (true, 13));
    // Classic captures note nothing of what was lost before them.
    assert_eq!((ledger.lost(Loss::Interface), ledger.lost_at_least(Loss::Interface)), (None, Some(7)));
}

#[test]
fn a_packet_larger_than_a_batch_may_be_is_merged_too() {
    let large = vec![1; 600_000];
    let one = Bytes::new(false).pcap(0xa1b2_c3d4, (2, 4), 0, 1).record(1, 0, b"x").record(2, 0, &large).out;
    let Read { frames, .. } = read(&mut files(&[one, capture(&[1, 3], b'b')]), 100);
    assert_eq!(frames.iter().map(Vec::len).collect::<Vec<_>>(), [1, 2, 600_000, 2]);
}

struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().expect("a folder"))
    }

    fn write(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.0.path().join(name);
        std::fs::File::create(&path).and_then(|mut file| file.write_all(bytes)).expect("a file");
        path
    }
}

#[test]
fn a_rotated_set_is_one_capture_of_one_interface_whatever_the_order_of_its_names() {
    let folder = Folder::new();
    let paths: Vec<PathBuf> = [3, 1, 2]
        .map(|part: u32| folder.write(&format!("{part}.pcap"), &capture(&[part * 10, part * 10 + 5], part as u8)))
        .to_vec();
    let mut rotated = Files::builder().paths(&paths).open().expect("captures");
    let total = rotated.position().total;
    let Read { events, frames, .. } = read(&mut rotated, 4);
    assert_eq!(frames.iter().map(|frame| frame[0]).collect::<Vec<_>>(), [1, 1, 2, 2, 3, 3]);
    assert!(events.iter().all(|event| event.interface == 0));
    assert_eq!((rotated.interfaces().len(), total), (1, Some(3 * (24 + 2 * 18))));
    assert_eq!(rotated.position().read, total.expect("regular files"));
}

#[test]
fn a_rotated_set_cut_between_equal_times_is_one_capture() {
    let part = |times: &[u32], byte: u8| {
        let header = Bytes::new(false).pcap(0xa1b2_c3d4, (2, 4), 0, 1);
        times.iter().fold(header, |bytes, &micros| bytes.record(100, micros, &[byte])).out
    };
    for second in [[5000, 6000], [5000, 5000]] {
        let folder = Folder::new();
        let mut paths = vec![
            folder.write("a", &part(&[1000, 5000, 5000], 1)),
            folder.write("b", &part(&second, 2)),
            folder.write("c", &part(&[6000, 6000], 3)),
        ];
        for _ in 0..3 {
            paths.rotate_left(1);
            for (paths, batch) in [(paths.clone(), 1), (paths.iter().rev().cloned().collect(), 2), (paths.clone(), 100)]
            {
                let mut rotated = Files::builder().paths(&paths).open().expect("captures");
                let Read { events, frames, .. } = read(&mut rotated, batch);
                let order: Vec<u8> = frames.iter().map(|frame| frame[0]).collect();
                assert_eq!(order, [1, 1, 1, 2, 2, 3, 3], "{paths:?}, {batch} at once");
                assert!(events.iter().all(|event| event.interface == 0), "{paths:?}");
            }
        }
    }
    // Beside each other: two interfaces, in time order.
    let folder = Folder::new();
    let paths = [folder.write("a", &part(&[1000, 5000, 5000], 1)), folder.write("b", &part(&[4990, 60_000], 2))];
    let mut beside = Files::builder().paths(&paths).open().expect("captures");
    let Read { events, frames, .. } = read(&mut beside, 3);
    assert_eq!(frames.iter().map(|frame| frame[0]).collect::<Vec<_>>(), [1, 2, 1, 1, 2]);
    assert_eq!(events.iter().map(|event| event.interface).collect::<Vec<_>>(), [0, 1, 0, 0, 1]);
}

/// A pcapng section of these interfaces (link type, name), each with one packet of one byte; times go on from `time`.
fn section(time: u64, interfaces: &[(u16, &[u8])], frame: &[u8]) -> Vec<u8> {
    let described = interfaces.iter().fold(Bytes::new(false).section(), |bytes, (link, name)| {
        let options = Bytes::new(false).option(2, name).u32(0).out;
        bytes.interface(*link, 0, &options)
    });
    (0..interfaces.len() as u32)
        .zip(time..)
        .fold(described, |b, (number, time)| b.enhanced(number, time, frame, &[]))
        .out
}

fn numbers(files: &mut Files) -> Vec<u16> {
    read(files, 2).events.iter().map(|event| event.interface).collect()
}

#[test]
fn the_interfaces_of_sections_put_together_are_the_same_by_name() {
    let whole = [
        section(1, &[(1, b"eth0"), (1, b"eth1")], b"x"),
        section(5, &[(1, b"eth1"), (1, b"eth2"), (1, b"eth0")], b"x"),
    ]
    .concat();
    let mut one = files(std::slice::from_ref(&whole));
    assert_eq!(numbers(&mut one), [0, 1, 1, 2, 0]);
    let names: Vec<_> = one.interfaces().iter().filter_map(|interface| interface.name.as_deref()).collect();
    assert_eq!(names, ["eth0", "eth1", "eth2"]);
    // Beside another file the same holds.
    assert_eq!(numbers(&mut files(&[whole, capture(&[1_000], 0)])), [0, 1, 1, 2, 0, 3]);
}

#[test]
fn two_interfaces_of_one_section_are_two_even_without_names() {
    let whole = [section(1, &[(1, b""), (1, b"")], b"x"), section(5, &[(1, b""), (1, b"")], b"x")].concat();
    assert_eq!(numbers(&mut files(&[whole])), [0, 1, 0, 1]);
}

#[test]
fn an_interface_that_a_frame_names_is_none_of_the_captures_own() {
    // Linux cooked, version 2, seen on the interface of index 1.
    let mut cooked = vec![0; 20];
    cooked[7] = 1;
    let links: [(u16, &[u8]); 3] = [(1, b"eth0"), (276, b"any"), (1, b"eth1")];
    let mut mixed = files(&[section(1, &links, &cooked)]);
    // eth0 and eth1 keep 0 and 2; 1 is free, for "any" itself shows no packet.
    assert_eq!(numbers(&mut mixed), [0, 1, 2]);
    cooked[7] = 2;
    assert_eq!(numbers(&mut files(&[section(1, &links, &cooked)])), [0, 1, 2], "2 is eth1's");
    cooked[7] = 7;
    assert_eq!(numbers(&mut files(&[section(1, &links, &cooked)])), [0, 7, 2]);
}

#[test]
fn the_same_index_on_two_hosts_is_two_interfaces() {
    let mut cooked = vec![0; 20];
    cooked[7] = 2;
    let host =
        |time| Bytes::new(false).pcap(0xa1b2_c3d4, (2, 4), 65_535, 276).record(time, 0, &cooked).record(9, 0, &cooked);
    let both = [host(1).out, host(2).out];
    let seen = numbers(&mut files(&both));
    assert_eq!((seen[0], seen[2], seen[1] == seen[3]), (2, 2, true));
    assert_ne!(seen[0], seen[1]);
    assert_eq!(numbers(&mut files(&both[..1])), [2, 2], "alone it keeps the system's index");
}

#[test]
fn what_cannot_be_opened_is_an_error_that_helps() {
    let folder = Folder::new();
    let directory = folder.0.path().to_path_buf();
    let text = folder.write("notes.txt", b"packets were seen at noon\n");
    for (path, kind, words) in [
        (PathBuf::from("/nowhere/x.pcap"), ErrorKind::NotFound, "/nowhere/x.pcap: there is no such file"),
        (directory, ErrorKind::Unsupported, "this is a directory"),
        (text, ErrorKind::Unsupported, "notes.txt: this is text"),
    ] {
        let error = Files::open(&path).expect_err("not a capture");
        assert_eq!(error.kind(), kind);
        assert!(error.to_string().contains(words), "{error}");
    }
    assert_eq!(Files::builder().open().expect_err("nothing").kind(), ErrorKind::Usage);
    assert_eq!(Files::builder().path("-").path("-").open().expect_err("twice").kind(), ErrorKind::Usage);
}

#[test]
fn a_tar_archive_is_told_from_an_unknown_file() {
    for first in ["capture.pcap", "a folder with a name that is longer than any magic number/of captures/a.pcap"] {
        let mut header = vec![0; 512];
        header[..first.len()].copy_from_slice(first.as_bytes());
        header[257..263].copy_from_slice(b"ustar\0");
        let archive = [header, capture(&[1], 0)].concat();
        let packed = zstd::encode_all(&archive[..], 1).expect("memory");
        for (bytes, within) in [(archive, ""), (packed, "zstd of ")] {
            let error = Files::builder().stream(stream(bytes), "x").open().expect_err("no capture").to_string();
            assert!(error.starts_with(&format!("x: this is {within}a tar archive; unpack it")), "{error}");
        }
    }
}

#[test]
fn one_of_several_that_is_no_capture_is_said_and_the_others_are_read() {
    let folder = Folder::new();
    let good = folder.write("a.pcap", &capture(&[1, 2], b'a'));
    let text = folder.write("notes.txt", b"packets were seen at noon\n");
    let missing = folder.0.path().join("b.pcap");
    let mut merged = Files::builder().paths([&text, &good, &missing]).open().expect("one is a capture");
    let fault = merged.fault().expect("said before anything is read").to_owned();
    assert!(fault.contains("notes.txt: this is text"), "{fault}");
    assert!(fault.contains("b.pcap: there is no such file"), "{fault}");
    let Read { frames, ledger, .. } = read(&mut merged, 10);
    assert_eq!(frames, [b"a\0", b"a\x01"]);
    assert_eq!((ledger.delivered(), ledger.incomplete), (2, true));
}

#[test]
fn several_of_which_none_is_a_capture_are_one_error_that_names_each() {
    let folder = Folder::new();
    let text = folder.write("notes.txt", b"packets were seen at noon\n");
    let error = Files::builder().path("/nowhere/x.pcap").path(&text).open().expect_err("no capture");
    assert_eq!(error.kind(), ErrorKind::NotFound);
    let words = error.to_string();
    assert!(words.starts_with("/nowhere/x.pcap: there is no such file; ") && words.contains("this is text"), "{words}");
}

#[test]
fn a_file_that_vanishes_before_its_turn_costs_only_itself() {
    let folder = Folder::new();
    let paths = [(1, "a.pcap"), (5, "b.pcap")].map(|(time, name)| folder.write(name, &capture(&[time], 0)));
    let mut merged = Files::builder().paths(&paths).open().expect("captures");
    std::fs::remove_file(&paths[1]).expect("it is there");
    let Read { frames, ledger, .. } = read(&mut merged, 10);
    assert_eq!((frames.len(), ledger.incomplete), (1, true));
    assert!(merged.fault().expect("a fault").ends_with("b.pcap: there is no such file"));
}

#[test]
fn a_damaged_file_tells_how_much_of_it_was_not_read() {
    let folder = Folder::new();
    let bytes = [capture(&[1], 0), vec![0xff; 1_000_000]].concat();
    let path = folder.write("damaged.pcap", &bytes);
    let mut plain = Files::open(path).expect("a capture");
    assert_eq!(read(&mut plain, 10).ledger.unread_bytes, 1_000_000);
    let packed = folder.write("damaged.zst", &zstd::encode_all(&bytes[..], 1).expect("memory"));
    let mut packed = Files::open(packed).expect("a capture");
    assert_eq!(read(&mut packed, 10).ledger.unread_bytes, 1_000_000);
    let fault = packed.fault().expect("a fault");
    assert!(fault.contains("packet 2 at byte 42 of the decompressed stream (zstd)"), "{fault}");
}

#[test]
fn the_fault_is_told_as_soon_as_it_is_met() {
    let mut opened = files(&[vec![]]);
    assert!(opened.fault().is_some());
    assert!(read(&mut opened, 5).ledger.incomplete);
}

proptest! {
    #[test]
    fn merging_keeps_every_packet_and_the_order_of_each_input(
        inputs in proptest::collection::vec(proptest::collection::vec(0_u32..50, 0..30), 2..6),
        batch in 1_usize..40,
        sorted in any::<bool>(),
    ) {
        let mut inputs = inputs;
        if sorted {
            inputs.iter_mut().for_each(|times| times.sort_unstable());
        }
        let captures: Vec<Vec<u8>> = inputs.iter().zip(0..).map(|(times, tag)| capture(times, tag)).collect();
        let Read { events, frames, ledger, .. } = read(&mut files(&captures), batch);
        prop_assert_eq!(events.len(), inputs.iter().map(Vec::len).sum::<usize>());
        prop_assert_eq!(ledger.delivered(), events.len() as u64);
        for (tag, times) in inputs.iter().enumerate() {
            let numbers: Vec<u8> = frames.iter().filter(|frame| frame[0] == tag as u8).map(|frame| frame[1]).collect();
            prop_assert_eq!(numbers, (0..times.len() as u8).collect::<Vec<_>>());
        }
        if sorted {
            prop_assert!(events.is_sorted_by_key(|event| event.time));
            // What an input begins with comes behind the others of its time, and takes along what follows it then.
            let firsts: HashMap<u8, Timestamp> = inputs
                .iter()
                .zip(0..)
                .filter_map(|(times, tag)| Some((tag, Timestamp::from_parts((*times.first()?).into(), 0))))
                .collect();
            let key = |(event, frame): (&FlowEvent, &Vec<u8>)| (event.time, firsts[&frame[0]] == event.time, frame[0]);
            prop_assert!(events.iter().zip(&frames).map(key).is_sorted());
            prop_assert_eq!(ledger.backwards, 0);
        }
    }

    #[test]
    fn any_batch_size_gives_the_same_events(times in proptest::collection::vec(0_u32..1_000, 0..60), batch in 1_usize..70) {
        let capture = capture(&times, 7);
        let whole = read(&mut files(std::slice::from_ref(&capture)), 1_000);
        let parts = read(&mut files(&[capture]), batch);
        prop_assert_eq!(whole.frames, parts.frames);
        prop_assert_eq!(whole.ledger, parts.ledger);
        let seen = |events: &[FlowEvent]| events.iter().map(|event| (event.time, event.bytes)).collect::<Vec<_>>();
        prop_assert_eq!(seen(&whole.events), seen(&parts.events));
    }
}
