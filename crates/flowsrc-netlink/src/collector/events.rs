//! From one sample to its two events.

use flowcore::event::{Detail, Marks, SocketRef};
use flowcore::socket::{Family, IPPROTO_MPTCP};
use flowcore::{FlowEvent, Ledger, SocketSample, Timestamp};

use crate::delta::Increment;

/// Pushes an empty sample and lends it.
///
/// Made where it stays: it is large, and the kernel is asked for very many.
pub(super) fn begin_sample(samples: &mut Vec<SocketSample>, time: Timestamp, place: usize) -> &mut SocketSample {
    let last = samples.len();
    samples.resize_with(last + 1, SocketSample::default);
    let sample = &mut samples[last];
    (sample.time, sample.netns) = (time, place as u16);
    sample
}

/// The two events of the latest sample: what this end sent, with the sample, and what it received.
pub(super) fn give(
    samples: &[SocketSample],
    increment: Increment,
    last: bool,
    events: &mut Vec<FlowEvent>,
    ledger: &mut Ledger,
) {
    let Some(sample) = samples.last() else { return };
    let Increment { totals, opened, first, mirrored } = increment;
    let key = sample.key();
    // Subflows have counted what their connection carries.
    let counts = sample.protocol != IPPROTO_MPTCP;
    let side = |way: usize| FlowEvent {
        time: sample.time,
        key: if way == 0 { key } else { key.reversed() },
        packets: if counts { totals.packets[way] } else { 0 },
        bytes: if counts { totals.bytes[way] } else { 0 },
        payload_bytes: if counts { u32::try_from(totals.bytes[way]).unwrap_or(u32::MAX) } else { 0 },
        ethertype: match (sample.family, sample.local.is_v4()) {
            (Family::INET, _) | (Family::INET6, true) => 0x0800,
            (Family::INET6, false) => 0x86dd,
            _ => 0,
        },
        interface: sample.interface.and_then(|index| u16::try_from(index).ok()).unwrap_or(0),
        marks: if mirrored { Marks::DUPLICATE } else { Marks::empty() },
        ..FlowEvent::default()
    };
    let socket = SocketRef { sample: samples.len() as u32 - 1, opened, first, last };
    events.push(FlowEvent { detail: Detail::Socket(socket), ..side(0) });
    events.push(side(1));
    let packets: u64 = events.iter().rev().take(2).map(|event| u64::from(event.packets)).sum();
    ledger.deliver(packets);
    if mirrored {
        ledger.duplicates += packets;
    }
}
