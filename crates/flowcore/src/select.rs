//! The shape of a compiled filter.

use std::sync::Arc;

use crate::batch::Frames;
use crate::event::{FlowEvent, Marks};
use crate::features::Features;
use crate::record::FlowRecord;

/// A compiled filter over events. The filter language is one way to make one; any code can be another.
pub trait Select: Send + Sync {
    /// Bit `i` is set if and only if `events[i]` passes. The pipeline gives at most 64 events a call, with the frames and
    /// side columns that they refer to.
    fn select(&self, events: &[FlowEvent], frames: &Frames<'_>) -> u64;

    /// What it needs to know; [`Features::FLOWS`] when it uses facts about the flow, and so must run behind the table.
    fn needs(&self) -> Features {
        Features::empty()
    }

    /// Facts about the flow as bits within [`Marks::FILTER`]; asked once per flow.
    fn mark(&self, _flow: &FlowRecord) -> Marks {
        Marks::empty()
    }

    /// Whether of every flow it selects all events or none. If not, the flows that analyzers see are parts of flows, of
    /// which nothing but a filter tells: they are told so ([`Shortfall::FILTERED`](crate::Shortfall::FILTERED)).
    fn keeps_flows_whole(&self) -> bool {
        false
    }

    /// A weaker filter on event fields alone, which can run before the table; passes all that this one passes.
    fn early(&self) -> Option<Box<dyn Select>> {
        None
    }

    /// The weaker filter as a program for a kernel, if it can be said there.
    fn kernel(&self, _form: KernelForm) -> Option<Vec<u8>> {
        None
    }
}

/// What points to a filter is one: it may be chosen at run time, or shared.
macro_rules! forward {
    ($($pointer:ty),*) => { $(
        #[deny(clippy::missing_trait_methods)]
        impl<S: Select + ?Sized> Select for $pointer {
            fn select(&self, events: &[FlowEvent], frames: &Frames<'_>) -> u64 {
                (**self).select(events, frames)
            }
            fn needs(&self) -> Features {
                (**self).needs()
            }
            fn mark(&self, flow: &FlowRecord) -> Marks {
                (**self).mark(flow)
            }
            fn keeps_flows_whole(&self) -> bool {
                (**self).keeps_flows_whole()
            }
            fn early(&self) -> Option<Box<dyn Select>> {
                (**self).early()
            }
            fn kernel(&self, form: KernelForm) -> Option<Vec<u8>> {
                (**self).kernel(form)
            }
        }
    )* };
}
forward!(Box<S>, Arc<S>);

/// A language that some kernel interface understands.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum KernelForm {
    /// Classic BPF over frames of one link type.
    ClassicBpf {
        /// LINKTYPE number as in capture files.
        link_type: u16,
    },
    /// `inet_diag` bytecode for socket dumps.
    InetDiag,
}
