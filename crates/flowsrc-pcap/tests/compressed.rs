//! Compressed captures give what the plain ones give, and say so when they are cut.

mod support;

use std::io::Write;

use flowcore::ErrorKind;
use support::{Bytes, drain, over, read};

fn plain() -> Vec<u8> {
    plain_of(4_000)
}

fn plain_of(packets: u32) -> Vec<u8> {
    let mut file = Bytes::new(false).pcap(0xa1b2_c3d4, (2, 4), 65_535, 1);
    for number in 0..packets {
        // Not too regular, so that every format has several blocks.
        let bytes: Vec<u8> =
            (0..60 + number % 40).map(|at| (number.wrapping_mul(2_654_435_761) >> (at % 24)) as u8).collect();
        file = file.record(number, 0, &bytes);
    }
    file.out
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).expect("memory");
    encoder.finish().expect("memory")
}

fn zstd_frame(bytes: &[u8]) -> Vec<u8> {
    zstd::encode_all(bytes, 1).expect("memory")
}

fn lz4(bytes: &[u8], checksum: bool) -> Vec<u8> {
    let info =
        lz4_flex::frame::FrameInfo::new().content_checksum(checksum).block_size(lz4_flex::frame::BlockSize::Max64KB);
    let mut encoder = lz4_flex::frame::FrameEncoder::with_frame_info(info, Vec::new());
    encoder.write_all(bytes).expect("memory");
    encoder.finish().expect("memory")
}

fn xz(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = liblzma::write::XzEncoder::new(Vec::new(), 1);
    encoder.write_all(bytes).expect("memory");
    encoder.finish().expect("memory")
}

type Packer = (&'static str, fn(&[u8]) -> Vec<u8>);

const PACKERS: [Packer; 5] = [
    ("gzip", gzip),
    ("zstd", zstd_frame),
    ("lz4", |bytes| lz4(bytes, false)),
    ("lz4", |bytes| lz4(bytes, true)),
    ("xz", xz),
];

#[test]
fn every_compression_gives_the_packets_of_the_plain_file() {
    let plain = plain();
    let (packets, _) = read(&plain);
    for (name, pack) in PACKERS {
        let (unpacked, fault) = read(&pack(&plain));
        assert_eq!((unpacked == packets, fault), (true, None), "{name}");
    }
}

#[test]
fn zeros_behind_gzip_are_padding_and_anything_else_is_told() {
    let plain = plain();
    let packets = read(&plain).0;
    let packed = gzip(&plain);
    let padded = [&packed[..], &[0; 70_000]].concat();
    assert_eq!(read(&padded), (packets.clone(), None));
    let (head, tail) = plain.split_at(plain.len() / 2);
    let between = [&gzip(head)[..], &[0; 512], &gzip(tail), &[0]].concat();
    assert_eq!(read(&between), (packets.clone(), None));
    let (seen, fault) = read(&[&packed[..], &[0; 3], b"not packed"].concat());
    let fault = fault.unwrap();
    assert!(seen == packets && fault.contains("gzip data") && fault.contains("followed by something else"), "{fault}");
}

#[test]
fn several_members_or_frames_are_one_stream() {
    let plain = plain();
    let (packets, _) = read(&plain);
    for (name, pack) in PACKERS {
        let parts: Vec<u8> = plain.chunks(100_001).flat_map(pack).collect();
        let (unpacked, fault) = read(&parts);
        assert_eq!((unpacked == packets, fault), (true, None), "{name}");
    }
}

#[test]
fn a_cut_anywhere_gives_the_packets_before_it_and_names_place_and_compression() {
    let plain = plain();
    let (packets, _) = read(&plain);
    for (name, pack) in PACKERS {
        let packed = pack(&plain);
        let cuts = (20..packed.len()).step_by(packed.len() / 150).chain(packed.len() - 12..packed.len());
        for cut in cuts {
            let mut reader = over(&packed[..cut]).expect("still of its kind");
            let unpacked = drain(&mut reader, 100).expect("no error");
            assert!(unpacked == packets[..unpacked.len()], "{name} cut at {cut}");
            let fault = reader.fault().unwrap_or_else(|| panic!("{name} cut at {cut} of {} unnoticed", packed.len()));
            assert!(fault.contains(&format!("of the decompressed stream ({name})")), "{fault}");
            assert!(reader.ledger().incomplete);
        }
        let half = packed.len() / 2;
        let unpacked = drain(&mut over(&packed[..half]).expect("a capture"), 100).expect("no error");
        assert!(unpacked.len() > 500, "{name}: only {} packets before a cut in the middle", unpacked.len());
    }
}

#[test]
fn a_lz4_frame_cut_between_two_blocks_is_noticed() {
    let packed = lz4(&plain(), false);
    // Header, then blocks of a 32-bit length (top bit: stored) and their bytes.
    let (mut at, mut blocks) = (7, 0);
    loop {
        let length: [u8; 4] = packed[at..at + 4].try_into().expect("a length");
        let length = u32::from_le_bytes(length) & 0x7fff_ffff;
        if length == 0 {
            break;
        }
        at += 4 + length as usize;
        blocks += 1;
        let fault = drain(&mut over(&packed[..at]).expect("a capture"), 100).map(|_| ());
        fault.expect("no error");
        let (_, fault) = read(&packed[..at]);
        assert!(fault.is_some(), "cut behind block {blocks}");
    }
    assert!(blocks > 3);
}

#[test]
fn damage_in_the_packed_data_ends_the_packets_and_is_told() {
    let plain = plain();
    for (name, pack) in PACKERS {
        let mut packed = pack(&plain);
        let middle = packed.len() / 2;
        for byte in &mut packed[middle..middle + 64] {
            *byte ^= 0xa5;
        }
        let mut reader = over(&packed).expect("a capture");
        drain(&mut reader, 100).expect("no error");
        // LZ4 without a checksum cannot know.
        if name != "lz4" {
            assert!(reader.fault().is_some(), "{name}");
        }
    }
}

#[test]
fn everything_before_damage_in_the_packed_data_comes_out() {
    const PACKETS: usize = 16_000;
    let plain = plain_of(PACKETS as u32);
    let (packets, _) = read(&plain);
    for (name, pack) in PACKERS {
        // Blocks of zstd and of our lz4 come out whole or not at all; packets have at least 76 bytes.
        let block = match name {
            "zstd" => (128 << 10) / 76,
            "lz4" => (64 << 10) / 76,
            _ => 0,
        };
        let packed = pack(&plain);
        for part in 3..20 {
            let at = packed.len() * part / 20;
            let mut damaged = packed.clone();
            damaged[at..at + 16].fill(0xff);
            let (seen, _) = read(&damaged);
            let same = seen.iter().zip(&packets).take_while(|(seen, packet)| seen == packet).count();
            // How well the parts are packed differs a little.
            let due = PACKETS * part / 20 - PACKETS / 50 - block;
            assert!(same >= due, "{name}, damaged at {part}/20: {same} of at least {due}");
        }
    }
}

#[test]
fn something_else_behind_the_packed_data_costs_no_packet() {
    let plain = plain_of(100);
    let packets = read(&plain).0;
    for (name, pack) in PACKERS {
        let (seen, fault) = read(&[&pack(&plain)[..], b"something else"].concat());
        assert!(seen == packets, "{name}: {} of 100", seen.len());
        let fault = fault.unwrap();
        assert!(fault.starts_with(&format!("test: packet 101 at byte {} of", plain.len())), "{fault}");
    }
}

/// A frame of lz4's first format: its magic number, then blocks of 8 MiB, each behind its packed length.
fn lz4_legacy(bytes: &[u8]) -> Vec<u8> {
    bytes.chunks(8 << 20).fold(vec![0x02, 0x21, 0x4c, 0x18], |mut out, block| {
        let packed = lz4_flex::block::compress(block);
        out.extend((packed.len() as u32).to_le_bytes());
        out.extend(packed);
        out
    })
}

/// A frame to be passed over.
fn skippable(bytes: &[u8]) -> Vec<u8> {
    [&[0x5a, 0x2a, 0x4d, 0x18], &(bytes.len() as u32).to_le_bytes()[..], bytes].concat()
}

#[test]
fn lz4_frames_of_every_kind_are_one_stream() {
    let plain = plain();
    let packets = read(&plain).0;
    let (head, tail) = plain.split_at(plain.len() / 3);
    let modern = |bytes: &[u8]| lz4(bytes, true);
    for (what, packed) in [
        ("legacy", lz4_legacy(&plain)),
        ("two legacy", [lz4_legacy(head), lz4_legacy(tail)].concat()),
        ("legacy and modern", [lz4_legacy(head), modern(tail)].concat()),
        ("modern and legacy", [modern(head), lz4_legacy(tail)].concat()),
        ("skipped first", [skippable(b"note"), skippable(b""), modern(&plain)].concat()),
        ("skipped before legacy", [skippable(&[9; 70_000]), lz4_legacy(&plain)].concat()),
        ("skipped between", [modern(head), skippable(b"note"), modern(tail), skippable(b"end")].concat()),
        ("skipped between legacy", [lz4_legacy(head), skippable(b"note"), lz4_legacy(tail)].concat()),
    ] {
        let (seen, fault) = read(&packed);
        assert!(seen == packets && fault.is_none(), "{what}: {} packets, {fault:?}", seen.len());
    }
    // Blocks beyond the first, of more than 8 MiB together.
    let large = Bytes::new(false).pcap(0xa1b2_c3d4, (2, 4), 0, 1).record(1, 0, &vec![7; 9 << 20]).record(2, 0, b"last");
    assert_eq!(read(&lz4_legacy(&large.out)), read(&large.out));
}

#[test]
fn cut_or_damaged_legacy_lz4_gives_what_is_before() {
    let plain = plain();
    let (head, tail) = plain.split_at(plain.len() / 2);
    let whole = lz4_legacy(head);
    for cut in [1, 3, 5, 7, 8, 1_000] {
        let packed = [&whole[..], &lz4_legacy(tail)[..cut]].concat();
        let (seen, fault) = read(&packed);
        assert!(seen.len() > 1_500 && fault.is_some(), "cut behind {cut}: {} packets", seen.len());
    }
    let claims = [&whole[..], &[0xff; 4]].concat();
    assert!(read(&claims).1.unwrap().contains("a block claims 4294967295 bytes"));
    let cut = skippable(b"note");
    assert!(read(&[&whole, &cut[..9]].concat()).1.unwrap().contains("the lz4 data ends before its own end"));
    assert!(read(&cut[..9]).1.unwrap().contains("the zstd data ends before its own end"));
}

#[test]
fn a_window_beyond_the_limit_is_no_damage() {
    let word = |bytes: &[u8]| {
        let mut sum = flate2::Crc::new();
        sum.update(bytes);
        sum.sum().to_le_bytes()
    };
    // A window of 2^31 bytes, then an empty last block.
    let zstd = [0x28, 0xb5, 0x2f, 0xfd, 0, 21 << 3, 1, 0, 0].to_vec();
    // One block of LZMA2 with a dictionary of 2^30 bytes.
    let block = [2, 0, 0x21, 1, 36, 0, 0, 0];
    let xz = [&b"\xfd7zXZ\0\0\x01"[..], &word(&[0, 1]), &block, &word(&block), &[0; 64]].concat();
    for (packed, words) in [
        (
            zstd,
            "zstd, and its window is beyond the limit of 128 MiB: unpack it beforehand, as in `zstd -dc --long=31 FILE |",
        ),
        (xz, "xz, and its window is beyond the limit of 256 MiB: unpack it beforehand, as in `xz -dc FILE |"),
    ] {
        let error = over(&packed).expect_err("cannot be read");
        assert_eq!(error.kind(), ErrorKind::Unsupported);
        assert!(error.to_string().starts_with(&format!("test: this is {words}")), "{error}");
    }
}

#[test]
fn a_gzip_header_may_have_every_part() {
    let plain = plain_of(10);
    let parts = flate2::GzBuilder::new().filename("name").comment("comment").extra(vec![1; 300]).mtime(7);
    let mut encoder = parts.write(Vec::new(), flate2::Compression::fast());
    encoder.write_all(&plain).expect("memory");
    let packed = encoder.finish().expect("memory");
    assert_eq!(read(&packed), read(&plain));
    let mut other = packed;
    other[2] = 7;
    assert!(read(&other).1.unwrap().contains("invalid gzip header"));
}

#[test]
fn a_cut_within_the_first_bytes_is_a_cut() {
    for (name, pack) in PACKERS {
        let packed = pack(&plain_of(10));
        for cut in 1..20 {
            let (packets, fault) = read(&packed[..cut]);
            assert_eq!((packets.len(), fault.is_some()), (0, true), "{name} cut at {cut}");
        }
    }
}

#[test]
fn random_damage_never_panics() {
    let plain = &plain()[..20_000];
    let mut seed = 1_u64;
    let mut random = move |limit: usize| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (seed >> 33) as usize % limit
    };
    for (_, pack) in PACKERS {
        let packed = pack(plain);
        for _ in 0..400 {
            let mut damaged = packed.clone();
            for _ in 0..3 {
                let at = random(damaged.len());
                damaged[at] = random(256) as u8;
            }
            if let Ok(mut reader) = over(&damaged) {
                drain(&mut reader, 100).expect("no error");
            }
        }
    }
}

#[test]
fn what_is_inside_is_named_when_it_is_no_capture() {
    for (inside, words) in [
        (&b"hello, this is a text file\n"[..], "test: this is gzip of text"),
        (&gzip(b"again")[..], "test: this is gzip of gzip once more: decompress it first"),
    ] {
        let error = over(&gzip(inside)).expect_err("no capture");
        assert_eq!(error.kind(), ErrorKind::Unsupported);
        assert!(error.to_string().starts_with(words), "{error}");
    }
}

#[test]
fn an_empty_compressed_file_is_an_empty_file() {
    for (name, pack) in PACKERS {
        let (packets, fault) = read(&pack(b""));
        assert_eq!(packets.len(), 0);
        let fault = fault.unwrap_or_else(|| panic!("{name}"));
        assert!(fault.contains("the file is empty"), "{fault}");
    }
}
