//! A wrapper that breaks things on purpose, so that tests can see every loss counted.

use super::{Collector, Filled, Limit, SourceInfo};
use crate::error::Result;
use crate::event::FlowEvent;
use crate::ledger::{Ledger, Loss};

/// What to break, each as one chance in so many events; 0 = never.
#[derive(Copy, Clone, Debug, Default)]
pub struct Faults {
    /// Leave an event out.
    pub drop: u32,
    /// Deliver an event twice.
    pub duplicate: u32,
    /// Swap an event with the one before it.
    pub reorder: u32,
    /// Give a single event for one `fill`.
    pub stall: u32,
    /// Where the sequence of faults begins; the same seed gives the same faults.
    pub seed: u64,
}

/// A collector that drops, duplicates, reorders and stalls what another one gives, and owns up to it: dropped packets
/// are lost for reason [`Loss::Ring`], duplicated ones are delivered twice and so seen twice.
#[derive(Debug)]
pub struct Faulty<C> {
    inner: C,
    faults: Faults,
    random: u64,
    dropped: u64,
    duplicated: u64,
}

impl<C: Collector> Faulty<C> {
    /// Wraps `inner`.
    pub fn new(inner: C, faults: Faults) -> Self {
        Self { inner, faults, random: faults.seed | 1, dropped: 0, duplicated: 0 }
    }

    /// Packets left out so far.
    pub fn dropped(&self) -> u64 {
        self.dropped
    }
}

/// One step of xorshift64* (Vigna 2016), enough for choosing faults; whether a chance of one in `often` came up.
fn strikes(random: &mut u64, often: u32) -> bool {
    *random ^= *random >> 12;
    *random ^= *random << 25;
    *random ^= *random >> 27;
    often != 0 && (random.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33).is_multiple_of(u64::from(often))
}

impl<C: Collector> Collector for Faulty<C> {
    fn info(&self) -> &SourceInfo {
        self.inner.info()
    }

    fn fill<'s>(&'s mut self, events: &mut Vec<FlowEvent>, limit: Limit) -> Result<Filled<'s>> {
        let Self { inner, faults, random, dropped, duplicated } = self;
        let limit = if strikes(random, faults.stall) { Limit { events: 1, ..limit } } else { limit };
        let start = events.len();
        let filled = inner.fill(events, limit)?;
        let fresh = events.split_off(start);
        for event in fresh {
            if strikes(random, faults.drop) {
                *dropped += u64::from(event.packets);
                continue;
            }
            events.push(event);
            if strikes(random, faults.duplicate) {
                *duplicated += u64::from(event.packets);
                events.push(event);
            }
            let len = events.len();
            if len - start >= 2 && strikes(random, faults.reorder) {
                events.swap(len - 1, len - 2);
            }
        }
        Ok(filled)
    }

    fn ledger(&mut self) -> Result<Ledger> {
        let mut ledger = self.inner.ledger()?;
        ledger.lose_delivered(Loss::Ring, self.dropped);
        ledger.deliver(self.duplicated);
        Ok(ledger)
    }

    fn fault(&self) -> Option<&str> {
        self.inner.fault()
    }
}
