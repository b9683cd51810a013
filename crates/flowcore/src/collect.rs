//! Where events come from.

use std::time::Duration;

use crate::batch::Frames;
use crate::error::Result;
use crate::event::FlowEvent;
use crate::features::Features;
use crate::ledger::Ledger;
use crate::select::Select;
use crate::time::Timestamp;

mod faulty;

pub use faulty::{Faults, Faulty};

/// A source of events: a capture file, a live interface, kernel sockets, exported records.
///
/// The caller owns the loop, hence the thread and the timeouts: it asks with [`fill`](Self::fill) and gives what it got
/// to a pipeline. Only a collector reads a clock, and only where its data has none.
pub trait Collector: Send {
    /// What this source is and offers. Constant for its life.
    fn info(&self) -> &SourceInfo;

    /// Appends at most `limit.events` events and waits at most `limit.wait`. Frames stay lent until the next call.
    ///
    /// # Errors
    /// Only if the source cannot go on: then nothing counts that was appended with this call. Damaged input ends with
    /// [`Status::End`] and is told by [`ledger`](Self::ledger) and [`fault`](Self::fault): what was read stays valid.
    fn fill<'s>(&'s mut self, events: &mut Vec<FlowEvent>, limit: Limit) -> Result<Filled<'s>>;

    /// What the source has counted so far: `seen` and losses; cumulative and monotone. What the events themselves say
    /// (how many packets they are, cut, malformed, backwards, without a flow) it may count or leave to the pipeline.
    ///
    /// # Errors
    /// If the counters themselves cannot be read.
    fn ledger(&mut self) -> Result<Ledger>;

    /// Why the input ended before its own end, in one sentence with packet number and byte offset; `None` if it did not.
    fn fault(&self) -> Option<&str> {
        None
    }

    /// Asks the source to leave out what `filter` rejects, as early as it can. `false`: it cannot, filter later.
    /// Whoever sets up a run calls this; a pipeline does not.
    ///
    /// # Errors
    /// If the source tried and failed in a way that leaves it unusable.
    fn narrow(&mut self, _filter: &dyn Select) -> Result<bool> {
        Ok(false)
    }
}

/// What points to a collector is one: it may be chosen at run time, or lent.
macro_rules! forward {
    ($($pointer:ty),*) => { $(
        #[deny(clippy::missing_trait_methods)]
        impl<C: Collector + ?Sized> Collector for $pointer {
            fn info(&self) -> &SourceInfo {
                (**self).info()
            }
            fn fill<'s>(&'s mut self, events: &mut Vec<FlowEvent>, limit: Limit) -> Result<Filled<'s>> {
                (**self).fill(events, limit)
            }
            fn ledger(&mut self) -> Result<Ledger> {
                (**self).ledger()
            }
            fn fault(&self) -> Option<&str> {
                (**self).fault()
            }
            fn narrow(&mut self, filter: &dyn Select) -> Result<bool> {
                (**self).narrow(filter)
            }
        }
    )* };
}
forward!(Box<C>, &mut C);

/// What a source is.
#[derive(Clone, Debug, Default)]
pub struct SourceInfo {
    /// File name, device, `sockets`, …; for messages.
    pub name: String,
    /// What its events carry.
    pub offers: Features,
    /// Events arrive as they happen.
    pub live: bool,
    /// More than one interface may show the same packet.
    pub several_interfaces: bool,
    /// What it cannot give here, each with the remedy.
    pub degraded: Vec<String>,
}

/// How much one `fill` may return.
#[derive(Copy, Clone, Debug)]
pub struct Limit {
    /// At most this many events; at least 1.
    pub events: usize,
    /// At most this long.
    pub wait: Duration,
}

impl Default for Limit {
    fn default() -> Self {
        Self { events: 512, wait: Duration::from_millis(100) }
    }
}

/// What one `fill` gave besides the events it appended.
#[derive(Debug)]
#[non_exhaustive]
pub struct Filled<'s> {
    /// The frames that the events refer to.
    pub frames: Frames<'s>,
    /// Everything up to here has been delivered; [`Timestamp::MIN`] as long as there was nothing. Flows and reports at
    /// intervals go by the times of events, not by this.
    pub through: Timestamp,
    /// Whether to ask again.
    pub status: Status,
}

impl<'s> Filled<'s> {
    /// Events with these frames ([`Frames::EMPTY`] if they have none), everything up to `through`.
    pub fn new(frames: Frames<'s>, through: Timestamp, status: Status) -> Self {
        Self { frames, through, status }
    }
}

/// Whether a source has more.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Status {
    /// Ask again at once.
    More,
    /// Nothing at the moment.
    Idle,
    /// There will be no more.
    End,
}
