//! From a raw packet to an event and its line in the ledger; the same for every source that has frames.

use flowcore::wire::{self, DecodeOptions, Layers};
use flowcore::{FlowEvent, FrameRef, Layer, Ledger, Notes};

use crate::file::RawPacket;

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
        self.layers.clear();
        // Filled in where they stand: an event built elsewhere and moved here would be read again before its narrow
        // stores have reached the cache.
        let before = events.len();
        events.resize(before + packets.len(), FlowEvent::default());
        for (packet, event) in packets.iter().zip(events.iter_mut().skip(before)) {
            event.time = packet.time;
            event.bytes = u64::from(packet.wire);
            event.packets = 1;
            event.frame = FrameRef { offset: packet.offset, len: packet.captured };
            event.interface = packet.interface;
            self.read(packet, window, event);
        }
        self.ledger.deliver(packets.len() as u64);
    }

    #[inline]
    fn read(&mut self, packet: &RawPacket, window: &[u8], event: &mut FlowEvent) {
        let Self { options, layers, scratch, ledger } = self;
        if wire::decode(packet.link, packet.bytes(window), packet.wire, *options, event, scratch) {
            let kept = std::mem::take(scratch);
            if let Ok(number) = u16::try_from(layers.len() + 1) {
                layers.push(kept);
                event.layers = number;
            }
        }
        let cut = packet.captured < packet.wire;
        event.notes |= Notes::when(cut, Notes::CUT);
        ledger.truncated += u64::from(cut);
        if event.stopped != Layer::None {
            ledger.stop(event.stopped, event.notes);
        }
        if !event.key.is_some() {
            ledger.flowless += 1;
        }
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
