//! What a reader gives: raw packets, and the interfaces they were seen on.

use flowcore::Timestamp;
use flowcore::wire::LinkType;

/// One packet of a capture file, its bytes still in the reader's window.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
pub struct RawPacket {
    /// When it was captured. A packet without a time (pcapng's simple packet block, or a time outside the years 1677 to
    /// 2262) has that of the latest before it; one that stands before all times that of the first within 64 KiB behind
    /// it, or else the epoch.
    pub time: Timestamp,
    /// It has no time of its own.
    pub untimed: bool,
    /// Its first byte in the window of its batch.
    pub offset: u32,
    /// How many bytes the file holds.
    pub captured: u32,
    /// How many there were on the wire, as the file says; that may be less than `captured`, which is a fault.
    pub wire: u32,
    /// Index into [`Reader::interfaces`](crate::Reader::interfaces).
    pub interface: u16,
    /// How to read its first bytes.
    pub link: LinkType,
}

impl RawPacket {
    /// Its captured bytes; `window` is that of the batch it came with.
    #[inline]
    pub fn bytes<'w>(&self, window: &'w [u8]) -> &'w [u8] {
        let start = self.offset as usize;
        window.get(start..start + self.captured as usize).unwrap_or(&[])
    }
}

/// Where a walk over a window puts the packets that it finds.
pub(crate) trait Sink {
    /// Takes the next one and its captured bytes.
    fn take(&mut self, packet: RawPacket, bytes: &[u8]);
}

impl Sink for Vec<RawPacket> {
    #[inline(always)]
    fn take(&mut self, packet: RawPacket, _bytes: &[u8]) {
        self.push(packet);
    }
}

/// An interface that packets were captured on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Interface {
    /// `if_name`, at most [`Interface::LONGEST_NAME`] bytes of it; classic pcap has none.
    pub name: Option<String>,
    /// `if_description`, cut likewise.
    pub description: Option<String>,
    /// Link type of its packets.
    pub link: LinkType,
    /// The section of a pcapng stream that describes it, from 0.
    pub section: u32,
    /// Snap length as the file says; 0 = no limit. Packets may be longer all the same.
    pub snap_length: u32,
    /// What the capturing program counted.
    pub statistics: Statistics,
}

impl Interface {
    /// Bytes kept of a name or description: a file cannot make us hold more.
    pub const LONGEST_NAME: usize = 255;
}

/// Counters of one interface from its last interface statistics block, and drops noted beside its packets. `None`: the
/// file does not say.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Statistics {
    /// `isb_ifrecv`: packets the interface received.
    pub received: Option<u64>,
    /// `isb_ifdrop`: packets the interface dropped.
    pub interface_drops: Option<u64>,
    /// `isb_osdrop`: packets the operating system dropped.
    pub kernel_drops: Option<u64>,
    /// Sum of `epb_dropcount` and of the drop counts of obsolete packet blocks.
    pub noted_drops: Option<u64>,
}

impl Statistics {
    /// Whether the file says nothing about what this interface lost.
    pub(super) fn is_silent(&self) -> bool {
        self.interface_drops.is_none() && self.kernel_drops.is_none() && self.noted_drops.is_none()
    }

    /// Drops noted beside packets beyond those that the interface's statistics already contain.
    ///
    /// `epb_dropcount` counts packets lost "by the interface and the operating system" since the one before it, and the
    /// statistics count the same packets again from the start of the capture. So both are never added: the statistics
    /// are taken first, and only what the notes say beyond them counts.
    pub fn drops_beyond_statistics(&self) -> Option<u64> {
        let counted = self.interface_drops.unwrap_or(0).saturating_add(self.kernel_drops.unwrap_or(0));
        self.noted_drops.map(|noted| noted.saturating_sub(counted))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn drops_in_both_places_are_counted_once() {
        let both = Statistics {
            noted_drops: Some(7),
            interface_drops: Some(2),
            kernel_drops: Some(3),
            ..Statistics::default()
        };
        assert_eq!(both.drops_beyond_statistics(), Some(2));
        let only_notes = Statistics { noted_drops: Some(7), ..Statistics::default() };
        assert_eq!(only_notes.drops_beyond_statistics(), Some(7));
        assert_eq!(Statistics::default().drops_beyond_statistics(), None);
    }
}
