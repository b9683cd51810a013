//! Inputs cut at every byte, mutated at random, and dripping in: everything readable comes, and nothing panics.

#[path = "../../flowcore/tests/support/random.rs"]
mod random;
mod support;

use std::io::{self, Read};

use flowsrc_pcap::Reader;
use random::Random;
use support::{Bytes, drain, over, read};

fn classic() -> Vec<u8> {
    Bytes::new(false)
        .pcap(0xa1b2_c3d4, (2, 4), 65_535, 1)
        .record(1, 1, b"one")
        .record(2, 2, b"twotwo")
        .record(3, 3, b"")
        .out
}

fn ng() -> Vec<u8> {
    let drops = Bytes::new(true).option(4, &1_u64.to_be_bytes()).u32(0).out;
    let statistics = Bytes::new(true).u32(0).u32(0).u32(0).option(5, &2_u64.to_be_bytes()).u32(0).out;
    let little = Bytes::new(false).section().interface(1, 0, &[]).enhanced(0, 4, b"four", &[]).out;
    Bytes::new(true)
        .section()
        .interface(1, 0, &Bytes::new(true).option(2, b"eth0").option(9, &[9]).u32(0).out)
        .enhanced(0, 1, b"one", &[])
        .block(4, &[0; 4])
        .enhanced(0, 2, b"twotwo", &drops)
        .block(3, &Bytes::new(true).u32(5).padded(b"three").out)
        .block(5, &statistics)
        .raw(&little)
        .out
}

/// Where a file may end soundly: a cut there cannot be told from its end.
fn cut_everywhere(file: &[u8], sound: &[usize]) {
    let (whole, fault) = read(file);
    assert_eq!(fault, None);
    for cut in 0..file.len() {
        let mut reader = over(&file[..cut]).expect("still of its kind");
        let packets = drain(&mut reader, 2).expect("no error");
        assert_eq!(packets, whole[..packets.len()], "cut at {cut}");
        let fault = reader.fault();
        assert_eq!(fault.is_none(), sound.contains(&cut), "cut at {cut}: {fault:?}");
        let ledger = reader.ledger();
        assert_eq!(ledger.incomplete, fault.is_some());
        if let Some(fault) = fault {
            let begin = sound.iter().copied().filter(|&end| end <= cut).max().unwrap_or(0);
            let place = format!("packet {} at byte {begin}: ", packets.len() + 1);
            assert!(fault.contains(&place), "cut at {cut}: {fault}");
            assert_eq!(ledger.unread_bytes, (cut - begin) as u64, "cut at {cut}");
        }
    }
}

#[test]
fn a_classic_file_cut_at_every_byte_gives_the_packets_before_the_cut() {
    let file = classic();
    let sound = [24, 24 + 16 + 3, 24 + 16 + 3 + 16 + 6];
    cut_everywhere(&file, &sound);
}

#[test]
fn a_pcapng_file_cut_at_every_byte_gives_the_packets_before_the_cut() {
    let file = ng();
    // The blocks' ends, found by their trailers: lengths in the order of the section.
    let (mut sound, mut at, mut big) = (Vec::new(), 0, true);
    while at < file.len() {
        if file[at..].starts_with(&[10, 13, 13, 10]) {
            big = file[at + 8] == 0x1a;
        }
        let length: [u8; 4] = file[at + 4..at + 8].try_into().expect("four bytes");
        at += if big { u32::from_be_bytes(length) } else { u32::from_le_bytes(length) } as usize;
        sound.push(at);
    }
    assert_eq!(sound.len(), 10);
    cut_everywhere(&file, &sound);
}

#[test]
fn mutated_files_neither_panic_nor_run_for_ever() {
    let rounds = if cfg!(debug_assertions) { 200_000 } else { 2_000_000 };
    let seeds = [classic(), ng(), Bytes::new(true).pcap(0xa1b2_cd34, (2, 3), 0, 113).raw(&[0; 100]).out];
    let numbers = [0_u32, 1, 4, 12, 32, 0xffff, 0x7fff_ffff, 0x8000_0000, u32::MAX, u32::MAX - 3];
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    let mut raw = Vec::new();
    for round in 0..rounds {
        let mut file = seeds[random.below(seeds.len())].clone();
        for _ in 0..=random.below(4) {
            let at = random.below(file.len());
            match random.below(5) {
                0 => file[at] = random.next() as u8,
                1 => file[at] ^= 1 << random.below(8),
                2 => {
                    let number = numbers[random.below(numbers.len())];
                    let aligned = at & !3;
                    let bytes = if random.below(2) == 0 { number.to_le_bytes() } else { number.to_be_bytes() };
                    for (place, byte) in file.iter_mut().skip(aligned).zip(bytes) {
                        *place = byte;
                    }
                }
                3 => file.truncate(at.max(1)),
                _ => {
                    let from = random.below(file.len());
                    let copy = file[from..].to_vec();
                    file.extend(copy.into_iter().take(64));
                }
            }
        }
        let length = file.len() as u64;
        let Ok(mut reader) = Reader::from_read(Box::new(io::Cursor::new(file)), "mutant") else { continue };
        let mut batches = 0;
        raw.clear();
        while reader.read_batch(3, &mut raw).expect("memory can be read") != flowcore::Status::End {
            for packet in &raw {
                assert_eq!(packet.bytes(reader.window()).len(), packet.captured as usize, "round {round}");
            }
            raw.clear();
            batches += 1;
            assert!(batches <= length, "round {round} does not end");
        }
        let ledger = reader.ledger();
        assert!(ledger.unread_bytes <= length, "round {round}");
        assert_eq!(ledger.seen(), ledger.accounted());
        let _sentence = reader.fault();
    }
}

/// Gives a few bytes at a time, sometimes only an interruption, as pipes and growing files do.
struct Drip {
    bytes: Vec<u8>,
    at: usize,
    random: Random,
}

impl Read for Drip {
    fn read(&mut self, space: &mut [u8]) -> io::Result<usize> {
        if self.random.below(3) == 0 {
            return Err(io::ErrorKind::Interrupted.into());
        }
        let count = (1 + self.random.below(7)).min(space.len()).min(self.bytes.len() - self.at);
        space[..count].copy_from_slice(&self.bytes[self.at..self.at + count]);
        self.at += count;
        Ok(count)
    }
}

#[test]
fn a_pipe_that_drips_gives_the_same_packets() {
    for file in [classic(), ng()] {
        let (whole, _) = read(&file);
        for seed in 1..50 {
            let drip = Drip { bytes: file.clone(), at: 0, random: Random(seed) };
            let mut reader = Reader::from_read(Box::new(drip), "drip").expect("a capture");
            assert_eq!(drain(&mut reader, 3).expect("no error"), whole);
            assert_eq!(reader.fault(), None);
        }
    }
}

/// Fails as a broken disk does, after its bytes.
struct Broken(io::Cursor<Vec<u8>>);

impl Read for Broken {
    fn read(&mut self, space: &mut [u8]) -> io::Result<usize> {
        match self.0.read(space)? {
            0 => Err(io::Error::from_raw_os_error(5)),
            count => Ok(count),
        }
    }
}

#[test]
fn a_read_that_fails_is_an_error_after_everything_before_it() {
    let mut reader = Reader::from_read(Box::new(Broken(io::Cursor::new(classic()))), "disk").expect("a capture");
    let mut raw = Vec::new();
    assert_eq!(reader.read_batch(10, &mut raw).expect("packets first"), flowcore::Status::More);
    assert_eq!(raw.len(), 3);
    let error = reader.read_batch(10, &mut raw).expect_err("the disk");
    assert!(error.to_string().starts_with("disk: reading failed at byte 81, after 3 packets: "), "{error}");
    assert!(reader.ledger().incomplete);
}

#[test]
fn records_of_any_size_survive_the_edges_of_the_buffer() {
    let mut random = Random(7);
    for round in 0..12 {
        let mut file = Bytes::new(false).pcap(0xa1b2_c3d4, (2, 4), 0, 1);
        let mut expected = Vec::new();
        for number in 0..60_u32 {
            let length = match random.below(6) {
                0 => random.below(700_000),
                1 => random.below(140_000),
                _ => random.below(2_000),
            };
            let bytes: Vec<u8> = (0..length).map(|at| (at as u32 * 31 + number) as u8).collect();
            file = file.record(number, 0, &bytes);
            expected.push(bytes);
        }
        // Whole in memory, then with reads of odd sizes.
        let sizes = if round % 2 == 0 { usize::MAX } else { 40_000 };
        struct Chunks(io::Cursor<Vec<u8>>, usize);
        impl Read for Chunks {
            fn read(&mut self, space: &mut [u8]) -> io::Result<usize> {
                let most = space.len().min(self.1);
                self.0.read(&mut space[..most])
            }
        }
        let chunks = Box::new(Chunks(io::Cursor::new(file.out), sizes));
        let mut reader = Reader::from_read(chunks, "sizes").expect("a capture");
        let packets = drain(&mut reader, 5).expect("no error");
        assert!(packets.iter().map(|packet| &packet.bytes).eq(&expected), "round {round}");
        assert_eq!(reader.fault(), None);
    }
}
