//! What becomes of events.

use std::any::Any;

use crate::batch::Batch;
use crate::error::Result;
use crate::features::Features;
use crate::flows::Flows;
use crate::report::Tables;

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

    /// The whitelist may have decided about living flows on which it could not before: their
    /// [`verdict`](crate::FlowRecord::verdict) says so, and the marks of their next events. Comes before a report.
    fn rejudged(&mut self, _flows: &Flows) {}

    /// Adds its tables as of now: cumulative, cheap, callable at any time.
    fn snapshot(&self, out: &mut Tables);
}
