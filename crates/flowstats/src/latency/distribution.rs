//! What many round-trip times have in common.

use flowcore::Nanos;

use super::Flow;
use crate::chart::{Bin, equal_bins, log_bins};
use crate::histogram::index_of;

/// How values are put into bins.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Bins {
    /// So many of equal width, from the least value to the greatest. Fleutan has ten.
    Equal(usize),
    /// With round edges: 1, 2, 5, 10, 20, … milliseconds.
    Log,
}

impl Default for Bins {
    fn default() -> Self {
        Self::Equal(10)
    }
}

/// Smoothed round-trip times of all flows.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Distribution {
    /// Rising, of the flows that have one.
    rtts: Vec<Nanos>,
    /// Flows without one.
    unmeasured: u64,
}

impl Distribution {
    /// That of `flows`.
    pub fn of(flows: &[Flow]) -> Self {
        let mut rtts: Vec<Nanos> = flows.iter().filter_map(|flow| flow.rtt).collect();
        rtts.sort_unstable();
        let unmeasured = (flows.len() - rtts.len()) as u64;
        Self { rtts, unmeasured }
    }

    /// Flows with a round-trip time.
    pub fn measured(&self) -> u64 {
        self.rtts.len() as u64
    }

    /// Flows without one: nothing was acknowledged yet, or not seen to be.
    pub fn unmeasured(&self) -> u64 {
        self.unmeasured
    }

    /// The value at `level` (0.95 for the 95th percentile), by the rule of
    /// [`Histogram::quantile`](crate::Histogram::quantile), and exact.
    pub fn quantile(&self, level: f64) -> Option<Nanos> {
        let index = index_of(level, self.rtts.len() as u64)?;
        self.rtts.get(usize::try_from(index).ok()?).copied()
    }

    /// How many lie where, in milliseconds.
    pub fn bins(&self, bins: Bins) -> Vec<Bin> {
        let millis: Vec<f64> = self.rtts.iter().map(|&rtt| millis(rtt)).collect();
        match bins {
            Bins::Equal(number) => equal_bins(&millis, number),
            Bins::Log => log_bins(&millis),
        }
    }
}

/// In milliseconds. Divided once, so that 1.234 ms are exactly the number that is written so.
pub fn millis(span: Nanos) -> f64 {
    span.get() as f64 / 1e6
}
