//! From a raw packet to an event and its line in the ledger; the same for every source that has frames.

use flowcore::wire::{self, DecodeOptions, Found, Layers};
use flowcore::{FlowEvent, FrameRef, Layer, Ledger, Notes};

use crate::file::{RawPacket, Sink};

/// Turns raw packets into events and counts what became of them.
///
/// One `Decoder` serves one source: its [`ledger`](Self::ledger) is cumulative, its [`layers`](Self::layers) are those
/// of the current batch.
#[derive(Debug, Default)]
pub struct Decoder {
    options: DecodeOptions,
    layers: Vec<Layers>,
    /// Always empty between two packets.
    scratch: Layers,
    ledger: Ledger,
}

impl Decoder {
    /// At most this many packets fit in one batch: events number their layers with 16 bits.
    pub const BATCH: usize = u16::MAX as usize;

    /// A decoder that has counted nothing.
    pub fn new(options: DecodeOptions) -> Self {
        Self { options, ..Self::default() }
    }

    /// Appends one event for each of `packets`, whose bytes lie in `window`, and begins a new layers column.
    ///
    /// `packets` holds at most [`BATCH`](Self::BATCH); the layers of those beyond are not kept.
    pub fn decode(&mut self, packets: &[RawPacket], window: &[u8], events: &mut Vec<FlowEvent>) {
        events.reserve(packets.len());
        let mut into = self.begin(events);
        for packet in packets {
            into.take(*packet, packet.bytes(window));
        }
        into.finish();
    }

    /// Begins a new layers column and appends to `events`, each built where it stays: one built elsewhere and moved
    /// here would be read again before its narrow stores have reached the cache.
    pub(crate) fn begin<'d>(&'d mut self, events: &'d mut Vec<FlowEvent>) -> Decoding<'d> {
        self.layers.clear();
        Decoding { decoder: self, before: events.len(), events, truncated: 0 }
    }

    /// The layers column of the current batch.
    pub fn layers(&self) -> &[Layers] {
        &self.layers
    }

    /// What became of every packet so far; losses before the decoder are not in it.
    pub fn ledger(&self) -> &Ledger {
        &self.ledger
    }
}

/// A batch of events in the making.
pub(crate) struct Decoding<'d> {
    decoder: &'d mut Decoder,
    events: &'d mut Vec<FlowEvent>,
    /// Events that were there.
    before: usize,
    truncated: u64,
}

impl Sink for Decoding<'_> {
    #[inline(always)]
    fn take(&mut self, packet: RawPacket, bytes: &[u8]) {
        self.events.push(FlowEvent::default());
        // There is one.
        let Some(event) = self.events.last_mut() else { return };
        event.time = packet.time;
        event.bytes = u64::from(packet.wire);
        event.packets = 1;
        event.frame = FrameRef { offset: packet.offset, len: packet.captured };
        event.interface = packet.interface;
        self.truncated += u64::from(packet.captured < packet.wire);
        let Decoder { options, scratch, .. } = &mut *self.decoder;
        let wire = packet.wire.max(packet.captured);
        if let Found::Other { layers } = wire::decode_here(packet.link, bytes, wire, *options, event, scratch) {
            self.decoder.other(event, layers);
        }
        event.notes |= Notes::when(packet.untimed, Notes::UNTIMED);
    }
}

impl Decoding<'_> {
    /// Counts what was delivered and says how many events that are.
    pub(crate) fn finish(self) -> usize {
        let count = self.events.len() - self.before;
        let ledger = &mut self.decoder.ledger;
        ledger.deliver(count as u64);
        ledger.truncated += self.truncated;
        count
    }
}

impl Decoder {
    /// Keeps the layers of an event, and counts what is wrong with it.
    #[inline(never)]
    fn other(&mut self, event: &mut FlowEvent, wrote: bool) {
        let Self { layers, scratch, ledger, .. } = self;
        if wrote {
            let kept = std::mem::take(scratch);
            if let Ok(number) = u16::try_from(layers.len() + 1) {
                layers.push(kept);
                event.layers = number;
            }
        }
        if event.stopped != Layer::None {
            ledger.stop(event.stopped, event.notes);
        }
        if !event.key.is_some() {
            ledger.flowless += 1;
        }
    }
}
