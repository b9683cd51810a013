//! Which flows are expected.

use crate::record::FlowRecord;
use crate::resolve::Resolver;

/// Names one rule of a whitelist, so that a report can say which one allowed a flow.
#[derive(Copy, Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RuleId(pub u32);

/// A whitelist's answer.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Expected, by this rule.
    Allowed(RuleId),
    /// No rule knows it.
    Unlisted,
    /// A name is needed that is not there yet; asked again at snapshots.
    Undecided,
}

/// Says which flows are expected; asked once per flow, when it begins.
pub trait Whitelist: Send + Sync {
    /// Judges one flow.
    fn judge(&self, flow: &FlowRecord, names: &dyn Resolver) -> Verdict;
    /// The rule's text.
    fn rule(&self, id: RuleId) -> &str;
}
