//! What one step of a pipeline works on: events and the frames lent with them.

use crate::event::{Detail, FlowEvent, FrameRef};
use crate::flows::Flows;
use crate::socket::SocketSample;
use crate::time::Timestamp;
use crate::wire::Layers;

/// The bytes and side columns that a collector lends with its events, until its next `fill`.
#[derive(Copy, Clone, Debug, Default)]
pub struct Frames<'a> {
    bytes: &'a [u8],
    layers: &'a [Layers],
    sockets: &'a [SocketSample],
}

impl<'a> Frames<'a> {
    /// No frames: events pushed by hand, kernel events.
    pub const EMPTY: Frames<'static> = Frames { bytes: &[], layers: &[], sockets: &[] };

    /// Frames in one contiguous window, and the layers column that events index by `layers - 1`.
    pub const fn new(bytes: &'a [u8], layers: &'a [Layers]) -> Self {
        Self { bytes, layers, sockets: &[] }
    }

    /// The same with a column of socket samples, which events index by [`SocketRef::sample`](crate::event::SocketRef).
    #[must_use]
    pub const fn with_sockets(mut self, sockets: &'a [SocketSample]) -> Self {
        self.sockets = sockets;
        self
    }

    /// What the kernel says of this event's socket; `None` for events without a sample, as the second of a poll's two.
    pub fn socket(&self, event: &FlowEvent) -> Option<&'a SocketSample> {
        match event.detail {
            Detail::Socket(socket) => self.sockets.get(socket.sample as usize),
            _ => None,
        }
    }

    /// The captured bytes of a frame; empty if it was not kept.
    pub fn get(&self, frame: FrameRef) -> &'a [u8] {
        let start = frame.offset as usize;
        self.bytes.get(start..start.saturating_add(frame.len as usize)).unwrap_or(&[])
    }

    /// What stood around and before the innermost headers of this event's frame; `None` for plain frames.
    pub fn layers(&self, event: &FlowEvent) -> Option<&'a Layers> {
        self.layers.get(usize::from(event.layers.checked_sub(1)?))
    }
}

/// One batch, as analyzers see it.
#[derive(Copy, Clone, Debug)]
pub struct Batch<'a> {
    /// In the order in which the source gave them; `End` events last.
    pub events: &'a [FlowEvent],
    /// Lent until the call returns.
    pub frames: Frames<'a>,
    /// The table that gave the events their ids.
    pub flows: &'a Flows,
    /// Time of the earliest packet so far that has one, whether a filter kept it or not.
    pub from: Timestamp,
    /// Time of the latest one, or up to which the source had delivered everything before this batch, if that is later:
    /// rates are over the time between the two.
    pub through: Timestamp,
}
