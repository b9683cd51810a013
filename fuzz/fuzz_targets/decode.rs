//! One frame of any link type: no panic, no endless loop, and what is said about the frame is within the frame.
//!
//! The input is plain bytes rather than an `Arbitrary` value, so that a seed is a frame with four bytes in front:
//! link type (little endian), bit 0 of the third = leave tunnels closed, the fourth = KiB that the snap length cut.

#![no_main]

use flowcore::FlowEvent;
use flowcore::wire::{DecodeOptions, KEPT, Layers, LinkType, decode};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let Some((&[low, high, options, cut], frame)) = input.split_first_chunk() else { return };
    let link = LinkType(u16::from_le_bytes([low, high]));
    let wire_bytes = frame.len() as u32 + u32::from(cut) * 1024;
    let options = DecodeOptions { decapsulate: options & 1 == 0, headers: options & 2 != 0 };
    let (mut event, mut layers) = (FlowEvent::default(), Layers::default());
    let wrote = decode(link, frame, wire_bytes, options, &mut event, &mut layers);

    assert_eq!(wrote, layers != Layers::default(), "layers are reported exactly when there are some");
    assert!(layers.vlans.as_slice().len() <= KEPT && layers.tunnels.as_slice().len() <= KEPT);
    assert!(options.decapsulate || layers.tunnels.is_empty(), "a tunnel was opened though none was to be");

    // The answer is a function of the frame: nothing is kept between frames.
    let (mut again, mut again_layers) = (FlowEvent::default(), Layers::default());
    decode(link, frame, wire_bytes, options, &mut again, &mut again_layers);
    assert_eq!((event, layers), (again, again_layers));
});
