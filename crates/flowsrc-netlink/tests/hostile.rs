//! Answers that are cut, of older kernels, or not what they say: no panic, and what is before the fault is right.

use flowcore::SocketSample;
use flowsrc_netlink::diag::{Read, read};
use proptest::prelude::*;

/// `struct inet_diag_msg` of an established TCP socket 192.0.2.1:443 > 198.51.100.7:40000, inode 4711, owner 33.
fn header() -> Vec<u8> {
    let mut bytes = vec![2, 1, 0, 0];
    bytes.extend_from_slice(&443u16.to_be_bytes());
    bytes.extend_from_slice(&40_000u16.to_be_bytes());
    for address in [[192, 0, 2, 1], [198, 51, 100, 7]] {
        bytes.extend_from_slice(&address);
        bytes.extend_from_slice(&[0; 12]);
    }
    for word in [0u32, 9, 0, 0, 11, 22, 33, 4711] {
        bytes.extend_from_slice(&word.to_ne_bytes());
    }
    bytes
}

fn attribute(bytes: &mut Vec<u8>, kind: u16, value: &[u8]) {
    bytes.extend_from_slice(&((value.len() + 4) as u16).to_ne_bytes());
    bytes.extend_from_slice(&kind.to_ne_bytes());
    bytes.extend_from_slice(value);
    bytes.resize(bytes.len().next_multiple_of(4), 0);
}

/// A message whose `tcp_info` has this many bytes, with a round-trip time of 1500 us and 77 segments received.
fn message(info_bytes: usize) -> Vec<u8> {
    let mut info = vec![0; 280];
    info[68..72].copy_from_slice(&1500u32.to_ne_bytes());
    info[140..144].copy_from_slice(&77u32.to_ne_bytes());
    let mut bytes = header();
    attribute(&mut bytes, 8, &[1]);
    attribute(&mut bytes, 2, &info[..info_bytes]);
    attribute(&mut bytes, 4, b"cubic\0");
    bytes
}

fn sample(bytes: &[u8]) -> (Read, SocketSample) {
    let mut sample = SocketSample::default();
    (read(bytes, 6, &mut sample), sample)
}

#[test]
fn every_length_of_tcp_info_gives_the_fields_that_it_covers() {
    // Linux 2.6, 4.4, 4.10, 5.4, 6.2, 6.7, 6.18, and every length between.
    for length in 0..=280 {
        let (outcome, sample) = sample(&message(length));
        let tcp = sample.tcp.expect("an attribute");
        assert_eq!(outcome, Read::Whole);
        assert_eq!(tcp.rtt_us(), (length >= 72).then_some(1500), "{length}");
        assert_eq!(tcp.segs_in(), (length >= 144).then_some(77), "{length}");
        assert_eq!(tcp.received_ce_bytes(), (length >= 276).then_some(0), "{length}");
        assert_eq!(sample.congestion.map(|name| name.to_text().into_owned()), Some("cubic".into()));
    }
}

#[test]
fn a_message_cut_at_any_byte_gives_what_is_before_the_cut() {
    let whole = message(280);
    for cut in 0..whole.len() {
        let (outcome, sample) = sample(&whole[..cut]);
        if cut < 72 {
            assert_eq!(outcome, Read::Nothing, "{cut}");
            continue;
        }
        assert_eq!((sample.inode, sample.uid, sample.send_queue), (Some(4711), Some(33), Some(22)), "{cut}");
        // The shutdown attribute ends at 80 with its padding, tcp_info at 364. Fewer than four bytes are padding.
        let inside = matches!(cut, 76 | 84..364 | 368..374);
        assert_eq!(outcome, if inside { Read::Part } else { Read::Whole }, "{cut}");
        assert_eq!(sample.shutdown.is_some(), cut >= 77, "{cut}");
        assert_eq!(sample.tcp.is_some(), cut >= 364, "{cut}");
        assert_eq!(sample.congestion.is_some(), cut >= 374, "{cut}");
    }
}

proptest! {
    #[test]
    fn bytes_that_were_changed_do_no_harm(at in 0usize..400, byte: u8, length in 0usize..=280, tail: Vec<u8>) {
        let mut bytes = message(length);
        bytes.extend_from_slice(&tail);
        let place = at % bytes.len();
        bytes[place] = byte;
        for protocol in [0, 6, 132, 255, 262] {
            let mut sample = SocketSample::default();
            let outcome = read(&bytes, protocol, &mut sample);
            prop_assert!(outcome != Read::Nothing || !matches!(bytes[0], 1 | 2 | 10 | 17));
            // A fault in the attributes leaves the fixed part as it is.
            if place >= 72 {
                prop_assert_eq!((sample.inode, sample.uid, sample.send_queue), (Some(4711), Some(33), Some(22)));
            }
        }
    }

    #[test]
    fn bytes_of_nobody_do_no_harm(family in prop::sample::select(vec![1u8, 2, 10, 17]), mut bytes: Vec<u8>) {
        bytes.insert(0, family);
        let _ = sample(&bytes);
    }
}
