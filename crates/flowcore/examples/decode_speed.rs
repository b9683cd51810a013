//! How long does decoding one frame take?
//!
//! `cargo run --release -p flowcore --example decode_speed [ROUNDS [NAME]]`; one iteration is one frame in the cache, so this is the
//! instruction cost, without the memory traffic of a capture. The best of 300 short
//! runs counts, which a busy machine disturbs least; the first line is the loop with next to no decoding.
#![allow(clippy::print_stdout, reason = "a program")]

use std::hint::black_box;
use std::time::Instant;

use flowcore::FlowEvent;
use flowcore::wire::{self, DecodeOptions, Layers, LinkType};

#[path = "../tests/support/frames.rs"]
#[allow(dead_code, reason = "shared with the tests")]
mod frames;

fn main() {
    let segment = frames::tcp(&frames::TIMESTAMPS, &[0; 64]);
    let bare = frames::tcp(&[], &[0; 64]);
    let syn = frames::tcp(&frames::SYN_OPTIONS, &[]);
    let datagram = frames::udp(40000, 53, &[0; 64]);
    let tagged = frames::vlan(7, 0x0800, &frames::ipv4(6, &segment));
    let mut cases = vec![
        ("an unknown link type".to_owned(), 9999, frames::ethernet(0x0800, &frames::ipv4(6, &bare))),
        ("ipv4 tcp, no options".to_owned(), 1, frames::ethernet(0x0800, &frames::ipv4(6, &bare))),
        ("ipv4 tcp, timestamps".to_owned(), 1, frames::ethernet(0x0800, &frames::ipv4(6, &segment))),
        ("ipv4 tcp, syn".to_owned(), 1, frames::ethernet(0x0800, &frames::ipv4(6, &syn))),
        ("ipv4 udp".to_owned(), 1, frames::ethernet(0x0800, &frames::ipv4(17, &datagram))),
        ("ipv6 tcp, timestamps".to_owned(), 1, frames::ethernet(0x86dd, &frames::ipv6(6, &segment))),
        ("vlan ipv4 tcp".to_owned(), 1, frames::ethernet(0x8100, &tagged)),
    ];
    for (name, link, frame) in frames::every_kind() {
        if matches!(name, "icmp echo" | "arp" | "sll" | "mpls" | "vxlan" | "6in4" | "gtp-u" | "radiotap") {
            cases.push((format!("general: {name}"), link, frame));
        }
    }
    let rounds = std::env::args().nth(1).and_then(|text| text.parse().ok()).unwrap_or(20_000_u32);
    let mut layers = Layers::default();
    let wanted = std::env::args().nth(2).unwrap_or_default();
    for (name, link, frame) in cases.into_iter().filter(|(name, _, _)| name.contains(&wanted)) {
        let mut best = f64::MAX;
        for _ in 0..300 {
            let begin = Instant::now();
            for _ in 0..rounds {
                let frame = black_box(frame.as_slice());
                let mut event = FlowEvent::default();
                let options = DecodeOptions::default();
                if wire::decode(LinkType(link), frame, frame.len() as u32, options, &mut event, &mut layers) {
                    layers = Layers::default();
                }
                black_box(&event);
            }
            best = best.min(begin.elapsed().as_secs_f64() * 1e9 / f64::from(rounds));
        }
        println!("{best:6.1} ns  {name}");
    }
}
