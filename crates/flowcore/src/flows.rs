//! The flow table: one id per flow, one hash per event.

/// A flow's index in the table and in every [`Slots`]. May be given to another flow after the flow's `End` event.
#[derive(Copy, Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FlowId(pub u32);

impl FlowId {
    /// No flow.
    pub const NONE: Self = Self(u32::MAX);
}

/// The flow table.
pub struct Flows {}
