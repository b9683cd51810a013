//! Times that cannot be right: of packets that run backwards, and of fractions of a second that are whole seconds.
//!
//! A file is written in the order in which packets were captured, so within one interface time should not go back. Over
//! several interfaces it may: their packets reach the file through different queues, and so do those of one interface
//! with several queues, if only by little. All are counted; only what no queue explains is a fault.

use flowcore::Timestamp;

/// Up to here a step back within one interface is the doing of its queues, which are emptied by several CPUs in turns.
const JITTER: i64 = 1_000_000;

/// From here on, in nanoseconds, a fraction of a second is a fault. Why not from one second on: some writers count on
/// in the fraction where a second ends, so that what is below two is a time as good as any.
pub(super) const FAULTY_FRACTION: i64 = 2_000_000_000;

/// What stands for the latest time before there is one: earlier than any, and later than [`super::clock::BEYOND`].
pub(super) const NONE_YET: i64 = i64::MIN + 1;

/// What is known of a file's times.
#[derive(Clone, Debug)]
pub(super) struct Times {
    /// The latest time so far, over all interfaces.
    pub(super) latest: i64,
    /// Packets earlier than one before them, on whatever interface.
    pub(super) backwards: u64,
    /// Packets earlier than one before them on the same interface, by more than [`JITTER`].
    pub(super) within_interface: u64,
    /// The first of those.
    pub(super) first_backwards: Option<Spot>,
    /// By how much the worst of them is late, in nanoseconds.
    pub(super) largest: i64,
    /// Packets whose fraction of a second is [`FAULTY_FRACTION`] or more.
    pub(super) beyond_second: u64,
    /// The first of those.
    pub(super) first_beyond: Option<Spot>,
}

/// Where a time cannot be right.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(super) struct Spot {
    /// One-based number of the packet.
    pub(super) packet: u64,
    /// Where its record begins in the stream.
    pub(super) offset: u64,
}

impl Default for Times {
    fn default() -> Self {
        Self {
            latest: NONE_YET,
            backwards: 0,
            within_interface: 0,
            first_backwards: None,
            largest: 0,
            beyond_second: 0,
            first_beyond: None,
        }
    }
}

impl Times {
    /// The latest time so far; the epoch before the first packet.
    pub(super) fn latest(&self) -> Timestamp {
        self.known().unwrap_or(Timestamp::EPOCH)
    }

    /// The same; `None` before the first packet that has one.
    pub(super) fn known(&self) -> Option<Timestamp> {
        (self.latest > NONE_YET).then(|| Timestamp::from_nanos(self.latest))
    }

    /// Notes a packet earlier than the file's latest; `interface_latest` is that of its own interface.
    #[cold]
    pub(super) fn step_back(&mut self, nanos: i64, interface_latest: i64, packet: u64, offset: u64) {
        self.backwards += 1;
        if interface_latest.saturating_sub(nanos) > JITTER {
            self.within_interface += 1;
            self.largest = self.largest.max(interface_latest.saturating_sub(nanos));
            self.first_backwards.get_or_insert(Spot { packet, offset });
        }
    }

    /// Notes a packet whose fraction of a second is [`FAULTY_FRACTION`] or more; its time is taken as it stands.
    #[cold]
    pub(super) fn exceed_second(&mut self, packet: u64, offset: u64) {
        self.beyond_second += 1;
        self.first_beyond.get_or_insert(Spot { packet, offset });
    }
}
