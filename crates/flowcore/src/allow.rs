//! Which flows are expected.

use std::sync::Arc;

use crate::record::FlowRecord;
use crate::resolve::Resolver;

/// Names one rule of a whitelist, so that a report can say which one allowed a flow.
#[derive(Copy, Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RuleId(pub u32);

impl RuleId {
    /// Ids are below this.
    pub const LIMIT: u32 = u32::MAX - 8;
}

/// A whitelist's answer.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
pub enum Verdict {
    /// Expected, by this rule.
    Allowed(RuleId),
    /// No rule knows it.
    Unlisted,
    /// A name is needed that is not there yet, or could not be looked up. The pipeline asks again at snapshots and when
    /// the flow ends; the answer remains this one if the name never came.
    Undecided,
}

/// Says which flows are expected.
///
/// Called by the pipeline on the thread that pushes, once per flow, when it begins; again only where the answer was
/// [`Verdict::Undecided`]. The answer is the flow's [`verdict`](FlowRecord::verdict) and a mark on its events
/// ([`Marks::ALLOWED`](crate::Marks::ALLOWED), [`Marks::UNDECIDED`](crate::Marks::UNDECIDED)). Must not wait: a name
/// that is not there yet is a reason to be undecided.
pub trait Whitelist: Send + Sync {
    /// Judges one flow.
    fn judge(&self, flow: &FlowRecord, names: &dyn Resolver) -> Verdict;
    /// The rule's text; asked with ids that [`judge`](Self::judge) gave.
    fn rule(&self, id: RuleId) -> &str;
}

/// What points to a whitelist is one: it may be chosen at run time, or shared.
macro_rules! forward {
    ($($pointer:ty),*) => { $(
        #[deny(clippy::missing_trait_methods)]
        impl<W: Whitelist + ?Sized> Whitelist for $pointer {
            fn judge(&self, flow: &FlowRecord, names: &dyn Resolver) -> Verdict {
                (**self).judge(flow, names)
            }
            fn rule(&self, id: RuleId) -> &str {
                (**self).rule(id)
            }
        }
    )* };
}
forward!(Box<W>, Arc<W>);
