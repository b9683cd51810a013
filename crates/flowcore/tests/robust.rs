//! Decoding of frames that are cut, damaged, or made to hurt: it never panics, and it never claims what is not there.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout, reason = "a test")]

#[path = "support/random.rs"]
mod random;
mod support;

use flowcore::wire::{self, DecodeOptions, Layers, LinkType, TunnelKind};
use flowcore::{FlowEvent, Layer, Notes};
use random::Random;
use support::frames;

fn decode(link: u16, frame: &[u8], wire_len: usize) -> (FlowEvent, Layers) {
    decode_with(link, frame, wire_len, DecodeOptions::default())
}

fn decode_with(link: u16, frame: &[u8], wire_len: usize, options: DecodeOptions) -> (FlowEvent, Layers) {
    let (mut event, mut layers) = (FlowEvent::default(), Layers::default());
    let wrote = wire::decode(LinkType(link), frame, wire_len as u32, options, &mut event, &mut layers);
    assert_eq!(wrote, layers != Layers::default());
    (event, layers)
}

#[test]
fn a_handwritten_frame_of_every_kind_reads_to_its_end_and_is_not_malformed() {
    for (name, link, frame) in frames::every_kind() {
        let (event, _) = decode(link, &frame, frame.len());
        assert_eq!(event.stopped, Layer::None, "{name}");
        assert!(!event.notes.intersects(Notes::MALFORMED | Notes::CUT), "{name}: {:?}", event.notes);
    }
}

/// How much of the innermost key a cut frame still has may only fall with the cut; what it has is never another one's,
/// save an outer header's.
#[test]
fn a_frame_cut_at_any_length_by_the_snap_length_degrades_and_is_never_malformed() {
    for (name, link, frame) in frames::every_kind() {
        let (whole, _) = decode(link, &frame, frame.len());
        let was_malformed = whole.notes.contains(Notes::MALFORMED);
        for captured in 0..frame.len() {
            let (event, _) = decode(link, &frame[..captured], frame.len());
            assert!(event.notes.contains(Notes::CUT), "{name} at {captured}");
            assert!(was_malformed || !event.notes.contains(Notes::MALFORMED), "{name} at {captured}: {event:?}");
            if event.stopped == Layer::None {
                assert_eq!((event.key, event.detail), (whole.key, whole.detail), "{name} at {captured}");
                assert_eq!(event.payload_bytes, whole.payload_bytes, "{name} at {captured}");
                assert_eq!(event.network_bytes, whole.network_bytes, "{name} at {captured}");
            }
        }
    }
}

#[test]
fn a_frame_shorter_on_the_wire_than_its_headers_claim_still_decodes() {
    for (_, link, frame) in frames::every_kind() {
        for length in 0..frame.len() {
            decode(link, &frame[..length], length);
        }
    }
}

#[test]
fn every_link_type_survives_every_other_ones_frames() {
    for (_, _, frame) in frames::every_kind() {
        for link in 0..300 {
            let (event, _) = decode(link, &frame, frame.len());
            if !wire::knows(LinkType(link)) {
                assert_eq!((event.stopped, event.notes), (Layer::Link, Notes::UNKNOWN));
            }
        }
    }
}

/// Link types in which 802.11 frames may be.
const MAY_BE_WIRELESS: [u16; 8] = [105, 113, 119, 127, 163, 192, 258, 276];

#[test]
fn two_million_damaged_frames_never_panic_and_never_claim_more_than_there_is() {
    let seeds = frames::every_kind();
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    let mut frame = Vec::new();
    for _ in 0..2_000_000 {
        let (name, link, seed) = &seeds[random.below(seeds.len())];
        frame.clear();
        frame.extend_from_slice(seed);
        for _ in 0..1 + random.below(6) {
            let at = random.below(frame.len());
            match random.below(6) {
                0 => frame[at] = random.next() as u8,
                1 => frame[at] ^= 1 << random.below(8),
                2 => frame[at] = [0, 0xff, 0x7f, 0x80][random.below(4)],
                3 => frame.truncate(at + 1),
                4 => {
                    let byte = random.next() as u8;
                    frame.insert(at, byte);
                }
                _ => {
                    let (_, _, other) = &seeds[random.below(seeds.len())];
                    let from = random.below(other.len());
                    frame.truncate(at + 1);
                    frame.extend_from_slice(&other[from..]);
                }
            }
        }
        let wire_len = frame.len() + if random.below(3) == 0 { random.below(2000) } else { 0 };
        let link = if random.below(20) == 0 { random.below(300) as u16 } else { *link };
        let options = DecodeOptions { decapsulate: random.below(8) != 0, headers: random.below(8) == 0 };
        let (event, layers) = decode_with(link, &frame, wire_len, options);
        // The rest of a frame that a mirror has cut, or 802.11 fragmented, is not on this wire.
        let is_part = (event.notes.contains(Notes::CUT)
            && layers.tunnels.as_slice().iter().any(|tunnel| tunnel.kind == TunnelKind::Erspan))
            || (event.notes.contains(Notes::APART) && MAY_BE_WIRELESS.contains(&link));
        let most = if is_part { wire_len.max(40 + 0xffff) } else { wire_len };
        assert!(event.network_bytes as usize <= most, "{name}: {event:?}");
        assert!(event.payload_bytes <= event.network_bytes, "{name}: {event:?}");
        assert_eq!(event.notes.contains(Notes::TUNNELLED), !layers.tunnels.is_empty());
        assert_eq!(event.notes.contains(Notes::QUOTES), layers.quoted.is_some());
        if event.notes.contains(Notes::MALFORMED) {
            assert_ne!(event.stopped, Layer::None, "{name}: malformed at no layer");
        }
    }
}

#[test]
fn a_thousand_nested_headers_end() {
    for (head, header) in [
        (vec![], vec![0x45, 0, 0, 0, 0, 0, 0, 0, 64, 4, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2]),
        (vec![0; 12], vec![0x81, 0, 0, 1]),
    ] {
        let link = if head.is_empty() { 101 } else { 1 };
        let frame = [head, header.repeat(1000)].concat();
        let (event, layers) = decode(link, &frame, frame.len());
        assert_ne!(event.stopped, Layer::None);
        assert!(layers.tunnels.count() <= 8 && layers.vlans.count() <= 40);
    }
}
