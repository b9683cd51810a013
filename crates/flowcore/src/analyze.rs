//! What becomes of events.

use std::any::Any;

use bitflags::bitflags;

use crate::batch::Batch;
use crate::error::Result;
use crate::features::Features;
use crate::flows::Flows;
use crate::report::Tables;

bitflags! {
    /// Why less than everything comes to the analyzers.
    #[derive(Copy, Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
    pub struct Shortfall: u8 {
        /// The source has lost packets; of which flows, nobody knows.
        const LOSS = 1;
        /// Packets found no room in the flow table: they have no flow.
        const UNTRACKED = 2;
        /// The input ended before its own end, or whoever runs the pipeline had enough.
        const CUT = 4;
        /// The pipeline's filter selects events, not flows ([`Select::keeps_flows_whole`](crate::Select::keeps_flows_whole)):
        /// some of a flow's may have been taken out.
        const FILTERED = 8;
    }
}

/// Computes something from events. Called by the pipeline on the thread that pushes, in the order in which analyzers
/// were added; a virtual call per batch, never per event.
pub trait Analyzer: Any + Send {
    /// A short stable name, as in `conns`; the name of its first table.
    fn name(&self) -> &str;

    /// What its events must carry; checked once when the pipeline is built.
    fn needs(&self) -> Features {
        Features::empty()
    }

    /// Takes in one batch. Nothing of it may be kept by reference.
    ///
    /// # Errors
    /// If the analysis cannot go on (its output failed, say). Odd packets are not errors.
    fn observe(&mut self, batch: &Batch<'_>) -> Result<()>;

    /// Something is missing: counts over all, and of flows that end from now on, are only lower bounds. Each reason
    /// comes once, as soon as it is known: [`Shortfall::UNTRACKED`] before the batch of which it holds,
    /// [`Shortfall::LOSS`] behind it, [`Shortfall::CUT`] before the flows that still live end, [`Shortfall::FILTERED`] when
    /// the pipeline is built. Of what is pushed without a collector, [`Shortfall::LOSS`] and [`Shortfall::CUT`] are known
    /// only if [`Pipeline::account`](crate::pipeline::Pipeline::account) says so.
    fn falls_short(&mut self, _reasons: Shortfall) {}

    /// The whitelist may have decided about living flows on which it could not before: their
    /// [`verdict`](crate::FlowRecord::verdict) says so, and the marks of their next events. Comes before a report.
    fn rejudged(&mut self, _flows: &Flows) {}

    /// Adds its tables as of now: cumulative, cheap, callable at any time, before the first packet too. The columns of a
    /// table stay what they are.
    fn snapshot(&self, out: &mut Tables);
}

/// One that was chosen at run time; [`Any`] of what is in the box tells which it is.
#[deny(clippy::missing_trait_methods)]
impl<A: Analyzer + ?Sized> Analyzer for Box<A> {
    fn name(&self) -> &str {
        (**self).name()
    }
    fn needs(&self) -> Features {
        (**self).needs()
    }
    fn observe(&mut self, batch: &Batch<'_>) -> Result<()> {
        (**self).observe(batch)
    }
    fn falls_short(&mut self, reasons: Shortfall) {
        (**self).falls_short(reasons);
    }
    fn rejudged(&mut self, flows: &Flows) {
        (**self).rejudged(flows);
    }
    fn snapshot(&self, out: &mut Tables) {
        (**self).snapshot(out);
    }
}
