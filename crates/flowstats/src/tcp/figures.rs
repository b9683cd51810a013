//! The figures of one connection: a witness that keeps durations.

use flowcore::Direction;

use super::{Durations, RttMethod, RttSample, Turn, Witness};

/// Round trips and response times of one connection.
#[derive(Clone, Debug, Default)]
pub struct Figures {
    /// Round trips between the capture point and the end that acknowledged, by whose data was acknowledged: those of
    /// [`Direction::Forward`] go to the responder and back.
    pub rtt: [Durations; 2],
    /// Of these, those by ACKs that came with data, by whose data was acknowledged.
    pub piggybacked: [u32; 2],
    /// From the first byte of a request to the first byte of its response.
    pub first_byte: Durations,
    /// From the first byte of a request to the last byte of its response.
    pub last_byte: Durations,
}

impl Figures {
    /// Asks the processor to bring closer what a segment sent in `direction` will touch.
    #[inline]
    pub(crate) fn prefetch(&self, direction: Direction) {
        self.rtt[direction.opposite().index()].prefetch();
        if direction == Direction::Forward {
            self.first_byte.prefetch();
            self.last_byte.prefetch();
        }
    }
}

impl Witness for Figures {
    #[inline]
    fn rtt(&mut self, sample: RttSample) {
        self.rtt[sample.of.index()].add(sample.rtt);
        let piggybacked = &mut self.piggybacked[sample.of.index()];
        *piggybacked = piggybacked.saturating_add(u32::from(sample.method == RttMethod::Piggyback));
    }

    #[inline]
    fn response(&mut self, turn: Turn) {
        if let Some(span) = turn.first_byte {
            self.first_byte.add(span);
        }
        if let Some(span) = turn.last_byte {
            self.last_byte.add(span);
        }
    }
}
