//! Round-trip times under Karn's rule, with a few segments timed at once.

use flowcore::Timestamp;

use super::NEVER;

/// Segments of one direction timed at the same time; more on their way are not timed.
const TIMED: usize = 16;

/// One segment on its way.
#[derive(Copy, Clone, Debug, Default)]
struct Timed {
    /// One beyond its last byte, as a sequence number.
    end: u32,
    stamp: u32,
    time: i64,
}

/// Segments of one direction that were not yet acknowledged, in the order of their sequence numbers.
#[derive(Clone, Debug, Default)]
pub(super) struct Ring {
    timed: [Timed; TIMED],
    first: u8,
    len: u8,
}

impl Ring {
    /// Times a segment that ends before `end`, if there is room.
    #[inline]
    pub(super) fn push(&mut self, end: u32, time: Timestamp, stamp: u32) {
        if usize::from(self.len) < TIMED {
            let place = usize::from(self.first + self.len) % TIMED;
            self.timed[place] = Timed { end, stamp, time: time.as_nanos() };
            self.len += 1;
        }
    }

    /// Lets go of what `ack` acknowledges; when that segment was sent and its timestamp option if it ends exactly there.
    ///
    /// Why exactly: an ACK of more was brought about by a later segment, and measures the wait for that one too.
    #[inline]
    pub(super) fn acknowledge(&mut self, ack: u32) -> Option<(i64, u32)> {
        let mut found = None;
        while self.len > 0 {
            let timed = self.timed[usize::from(self.first) % TIMED];
            let beyond = ack.wrapping_sub(timed.end) as i32;
            if beyond < 0 {
                break;
            }
            if beyond == 0 {
                found = Some((timed.time, timed.stamp));
            }
            self.first = (self.first + 1) % TIMED as u8;
            self.len -= 1;
        }
        found
    }

    /// Lets go of everything.
    #[inline]
    pub(super) fn clear(&mut self) {
        self.len = 0;
    }
}

/// The newest segment of one direction.
#[derive(Copy, Clone, Debug)]
pub(super) struct Sent {
    /// When the newest bytes of the stream were first seen; [`NEVER`] before there were any.
    pub time: i64,
    /// Their timestamp option; 0 without.
    pub stamp: u32,
    /// IPv4 identification of the latest segment, whatever it carried; 0 where there is none.
    pub id: u16,
    /// Window of the latest segment, not scaled.
    pub window: u16,
}

impl Default for Sent {
    fn default() -> Self {
        Self { time: NEVER, stamp: 0, id: 0, window: 0 }
    }
}

/// Whether an ACK echoes a timestamp that was sent after `stamp`: what it answers was sent again, unseen. Without the
/// option both are 0; a `stamp` of 0 may stand in options that were not captured whole, and tells nothing.
#[inline]
pub(super) fn echoes_later(echo: u32, stamp: u32) -> bool {
    (stamp != 0) & (echo.wrapping_sub(stamp) as i32 > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_segment_that_an_ack_ends_with_is_timed() {
        let mut ring = Ring::default();
        for at in 0..20u32 {
            ring.push((u32::MAX - 500).wrapping_add(at * 100), Timestamp::from_nanos(i64::from(at)), 0);
        }
        let ack = |at: u32| (u32::MAX - 500).wrapping_add(at * 100);
        assert_eq!(ring.acknowledge(ack(1)), Some((1, 0)));
        assert_eq!(ring.acknowledge(ack(1)), None, "once only");
        assert_eq!(ring.acknowledge(ack(3).wrapping_add(50)), None, "in the middle of the fifth");
        assert_eq!(ring.acknowledge(ack(9)), Some((9, 0)), "beyond the wrap");
        assert_eq!(ring.acknowledge(ack(19)), None, "there was no room to time it");
        ring.push(7, Timestamp::EPOCH, 0);
        assert_eq!(ring.acknowledge(7), Some((0, 0)));
    }
}
