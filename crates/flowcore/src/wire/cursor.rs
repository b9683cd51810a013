//! Bounds-checked big-endian reads over a part of a frame, and the general walk's state.

use super::{DecodeOptions, Layers};
use crate::event::{FlowEvent, Layer, Notes};

/// Where those bytes of a packet are that headers claim beyond a [`Span`].
#[derive(Copy, Clone, PartialEq, Eq)]
pub(super) enum Rest {
    /// Nowhere: the claim is wrong.
    Nowhere,
    /// In other fragments of the outer datagram, which are counted themselves.
    Counted,
    /// They were cut off before the capture, or are in frames that are not read: the claim holds.
    Uncounted,
}

/// Part of a frame: the bytes captured of it, and how long it is on the wire by the lengths read so far.
#[derive(Copy, Clone)]
pub(super) struct Span<'a> {
    /// Never longer than `wire`.
    pub bytes: &'a [u8],
    /// Length on the wire.
    pub wire: u32,
    /// Where more of it is.
    pub rest: Rest,
}

impl<'a> Span<'a> {
    pub fn new(bytes: &'a [u8], wire_len: u32) -> Self {
        Self { bytes, wire: wire_len.max(u32::try_from(bytes.len()).unwrap_or(u32::MAX)), rest: Rest::Nowhere }
    }

    /// What follows the first `count` bytes; nothing if fewer were captured.
    #[inline]
    pub fn skip(self, count: usize) -> Self {
        let bytes = self.bytes.get(count..).unwrap_or(&[]);
        Self { bytes, wire: self.wire.saturating_sub(u32::try_from(count).unwrap_or(u32::MAX)), ..self }
    }

    /// Only the first `wire` bytes.
    #[inline]
    pub fn clip(self, wire: u32) -> Self {
        let bytes = self.bytes.get(..wire as usize).unwrap_or(self.bytes);
        Self { bytes, wire: self.wire.min(wire), ..self }
    }

    /// Whether headers inside may rightly claim more than is here.
    #[inline]
    pub fn is_part(self) -> bool {
        self.rest != Rest::Nowhere
    }

    #[inline]
    pub fn array<const N: usize>(self, at: usize) -> Option<[u8; N]> {
        self.bytes.get(at..)?.first_chunk().copied()
    }

    #[inline]
    pub fn u8(self, at: usize) -> Option<u8> {
        self.bytes.get(at).copied()
    }

    #[inline]
    pub fn u16(self, at: usize) -> Option<u16> {
        self.array(at).map(u16::from_be_bytes)
    }

    #[inline]
    pub fn u32(self, at: usize) -> Option<u32> {
        self.array(at).map(u32::from_be_bytes)
    }

    #[inline]
    pub fn u16_le(self, at: usize) -> Option<u16> {
        self.array(at).map(u16::from_le_bytes)
    }

    #[inline]
    pub fn u32_le(self, at: usize) -> Option<u32> {
        self.array(at).map(u32::from_le_bytes)
    }

    /// The version nibble of an IP header.
    #[inline]
    pub fn nibble(self) -> Option<u8> {
        self.u8(0).map(|first| first >> 4)
    }
}

/// Headers of any kind that one frame may hold; more means somebody plays with us.
const MAX_HEADERS: u8 = 40;

/// IP headers walked of one frame, the outermost included.
pub(super) const MAX_IP_HEADERS: u8 = 8;

/// The state of one general walk over a frame.
pub(super) struct Walk<'a> {
    pub event: &'a mut FlowEvent,
    pub layers: &'a mut Layers,
    /// Something was written into `layers`.
    pub wrote: bool,
    pub options: DecodeOptions,
    /// IP headers read so far.
    pub ip_headers: u8,
    /// We are behind a tunnel's header: whatever stops reading now is said of the tunnel.
    pub inside: bool,
    headers: u8,
}

impl<'a> Walk<'a> {
    pub fn new(options: DecodeOptions, event: &'a mut FlowEvent, layers: &'a mut Layers) -> Self {
        Self { event, layers, wrote: false, options, ip_headers: 0, inside: false, headers: 0 }
    }

    /// Notes that reading stops at `layer`.
    pub fn stop(&mut self, layer: Layer, malformed: bool) {
        self.event.stopped = if self.inside { Layer::Tunnel } else { layer };
        if malformed {
            self.event.notes |= Notes::MALFORMED;
        }
    }

    /// Notes that reading stops at `layer` because what stands there is of a kind that is not read here.
    pub fn leave(&mut self, layer: Layer) {
        self.stop(layer, false);
        self.event.notes |= Notes::UNKNOWN;
    }

    /// Whether `count` bytes of `span` are here; if not, stops: cut if they were on the wire, else malformed.
    pub fn need(&mut self, span: Span<'_>, count: usize, layer: Layer) -> bool {
        let here = span.bytes.len() >= count;
        if !here {
            self.stop(layer, (span.wire as usize) < count && !span.is_part());
        }
        here
    }

    /// Counts one more header; `false` and stops if there were too many.
    pub fn enter(&mut self, layer: Layer) -> bool {
        self.headers += 1;
        if self.headers > MAX_HEADERS {
            self.stop(layer, true);
            return false;
        }
        true
    }

    /// Whether a header's length was 0 because of segmentation offload.
    pub fn offloaded(&self) -> bool {
        self.event.notes.contains(Notes::OFFLOADED)
    }

    /// Keeps the addresses of the outermost link header, as far as they are there.
    pub fn link_addresses(&mut self, src: Option<[u8; 6]>, dst: Option<[u8; 6]>) {
        let headers = &mut self.layers.headers;
        if self.options.headers && headers.link_src.is_none() && headers.link_dst.is_none() {
            headers.link_src = src;
            headers.link_dst = dst;
            self.wrote |= src.is_some() || dst.is_some();
        }
    }

    pub fn note(&mut self, notes: Notes) {
        self.event.notes |= notes;
    }
}
