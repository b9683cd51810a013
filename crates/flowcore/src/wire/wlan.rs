//! IEEE 802.11 data frames, and the capture headers that precede them.

use super::cursor::{Rest, Span, Walk};
use super::shim;
use crate::event::{Layer, Notes};

/// An 802.11 frame (IEEE 802.11-2020 section 9.2.3); `padded`: the header is filled up to a multiple of four bytes.
pub(super) fn ieee802_11(walk: &mut Walk<'_>, span: Span<'_>, padded: bool) {
    let Some([kind, flags]) = span.array(0) else {
        walk.need(span, 2, Layer::Link);
        return;
    };
    const TO_DS: u8 = 0x01;
    const FROM_DS: u8 = 0x02;
    const MORE_FRAGMENTS: u8 = 0x04;
    const PROTECTED: u8 = 0x40;
    const ORDER: u8 = 0x80;
    const DATA: u8 = 2;
    let subtype = kind >> 4;
    let (has_qos, is_null) = (subtype & 8 != 0, subtype & 4 != 0);
    // A control frame extension (type 1, subtype 6) keeps other things in those bits.
    if kind & 0x0c != 0x04 || subtype != 6 {
        if flags & TO_DS != 0 {
            walk.note(Notes::TO_DS);
        }
        if flags & FROM_DS != 0 {
            walk.note(Notes::FROM_DS);
        }
    }
    if kind & 3 != 0 {
        walk.stop(Layer::Link, true);
        return;
    }
    let qos_at = if flags & (TO_DS | FROM_DS) == TO_DS | FROM_DS { 30 } else { 24 };
    let qos = if has_qos && kind >> 2 & 3 == DATA { span.array(qos_at) } else { None };
    let aggregated = qos.is_some_and(|[low, _]: [u8; 2]| low & 0x80 != 0) && flags & PROTECTED == 0;
    if !aggregated {
        addresses(walk, kind, flags, span);
    }
    if kind >> 2 & 3 != DATA {
        // Management and control frames belong to no flow; protected management frames say so.
        if flags & PROTECTED != 0 {
            walk.note(Notes::ENCRYPTED);
        }
        return;
    }
    let mut header = qos_at;
    if has_qos {
        header += 2;
        if flags & ORDER != 0 {
            // HT control.
            header += 4;
        }
    }
    if !walk.need(span, header, Layer::Link) {
        return;
    }
    if flags & PROTECTED != 0 {
        walk.note(Notes::ENCRYPTED);
        return;
    }
    if is_null {
        return;
    }
    let header = if padded { header.next_multiple_of(4) } else { header };
    let mut payload = span.skip(header);
    // Later fragments of an 802.11 frame have no LLC header, and are in no flow.
    if span.u8(22).is_some_and(|sequence| sequence & 15 != 0) {
        return;
    }
    if flags & MORE_FRAGMENTS != 0 {
        walk.note(Notes::APART);
        payload.rest = Rest::Uncounted;
    }
    if aggregated {
        first_subframe(walk, payload);
        return;
    }
    // The mesh control field may stand before LLC, with up to three further addresses (section 9.2.4.8.3).
    let meshed = qos.is_some_and(|[_, high]| high & 1 != 0) && payload.array(0) != Some([0xaa, 0xaa, 3]);
    let mesh_control = if meshed { 6 + 6 * usize::from(payload.u8(0).unwrap_or(0) & 3) } else { 0 };
    shim::llc(walk, payload.skip(mesh_control));
}

/// The first of the subframes of an A-MSDU: two addresses, a length, LLC. The others make no events of their own.
fn first_subframe(walk: &mut Walk<'_>, span: Span<'_>) {
    walk.link_addresses(span.array(6), span.array(0));
    let Some(length) = span.u16(12) else {
        walk.need(span, 14, Layer::Link);
        return;
    };
    let length = u32::from(length);
    // Each but the last is filled up to a multiple of four bytes; fewer than a header are a check sequence.
    walk.note(Notes::when(span.wire >= (14 + length).next_multiple_of(4) + 14, Notes::AGGREGATED));
    shim::llc(walk, span.skip(14).clip(length));
}

/// Source and destination by the two DS bits (IEEE 802.11-2020 table 9-30); control frames have a receiver and, some of
/// them, a transmitter.
fn addresses(walk: &mut Walk<'_>, kind: u8, flags: u8, span: Span<'_>) {
    const CONTROL: u8 = 1;
    let (src, dst) = match (kind >> 2 & 3, flags & 3) {
        (CONTROL, _) => {
            // Block ack requests and acks, PS-Poll, RTS, CF-End have two addresses; CTS and ack one.
            let two = matches!(kind >> 4, 8 | 9 | 10 | 11 | 14 | 15);
            (if two { span.array(10) } else { None }, span.array(4))
        }
        (_, 0) => (span.array(10), span.array(4)),
        (_, 1) => (span.array(10), span.array(16)),
        (_, 2) => (span.array(16), span.array(4)),
        _ => (span.array(24), span.array(16)),
    };
    walk.link_addresses(src, dst);
}

/// Radiotap (radiotap.org): its length is little-endian at byte 2, its flags field tells of check sequence and padding.
pub(super) fn radiotap(walk: &mut Walk<'_>, span: Span<'_>) {
    let (Some(version), Some(length)) = (span.u8(0), span.u16_le(2)) else {
        walk.need(span, 8, Layer::Link);
        return;
    };
    if version != 0 || length < 8 {
        walk.stop(Layer::Link, true);
        return;
    }
    if !walk.need(span, usize::from(length), Layer::Link) {
        return;
    }
    let flags = radiotap_flags(span.clip(u32::from(length))).unwrap_or(0);
    const CHECK_SEQUENCE: u8 = 0x10;
    const PADDED: u8 = 0x20;
    let mut rest = span.skip(usize::from(length));
    if flags & CHECK_SEQUENCE != 0 {
        rest = rest.clip(rest.wire.saturating_sub(4));
    }
    ieee802_11(walk, rest, flags & PADDED != 0);
}

/// The flags field: behind the chain of presence words and, if present, the aligned 8-byte timer.
fn radiotap_flags(header: Span<'_>) -> Option<u8> {
    const TIMER: u32 = 1;
    const FLAGS: u32 = 2;
    const MORE: u32 = 1 << 31;
    let present = header.u32_le(4)?;
    if present & FLAGS == 0 {
        return None;
    }
    let mut at = 4;
    while header.u32_le(at)? & MORE != 0 {
        at += 4;
    }
    at += 4;
    if present & TIMER != 0 {
        at = at.next_multiple_of(8) + 8;
    }
    header.u8(at)
}

/// The Prism header: a message code and its length, in the byte order of the host; some drivers wrote AVS instead.
pub(super) fn prism(walk: &mut Walk<'_>, span: Span<'_>) {
    let (Some(code), Some(length)) = (span.u32(0), span.u32_le(4)) else {
        walk.need(span, 8, Layer::Link);
        return;
    };
    if code & 0xffff_f000 == 0x8021_1000 {
        avs(walk, span);
        return;
    }
    let length = length.min(length.swap_bytes()) as usize;
    if length < 8 {
        walk.stop(Layer::Link, true);
    } else if walk.need(span, length, Layer::Link) {
        ieee802_11(walk, span.skip(length), false);
    }
}

/// The AVS header: a magic number and its length, big-endian.
pub(super) fn avs(walk: &mut Walk<'_>, span: Span<'_>) {
    let Some(length) = span.u32(4) else {
        walk.need(span, 8, Layer::Link);
        return;
    };
    if length < 8 {
        walk.stop(Layer::Link, true);
    } else if walk.need(span, length as usize, Layer::Link) {
        ieee802_11(walk, span.skip(length as usize), false);
    }
}
