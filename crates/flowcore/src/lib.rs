//! One model of a flow, seen from every vantage point a Linux host has.
//!
//! A [`Collector`] gives [`FlowEvent`]s, a [`Pipeline`](pipeline::Pipeline) runs them through the flow table
//! ([`Flows`]) and hands them in batches to [`Analyzer`]s; their results are [`Table`](report::Table)s in a
//! [`Snapshot`], which a [`Reporter`] writes. [`Resolver`]s give names at the edge, a [`Whitelist`] says which flows
//! are expected. Time comes from the data, every event is an increment, and the [`Ledger`] says what became of every
//! packet.

pub mod addr;
pub mod allow;
pub mod analyze;
pub mod batch;
pub mod collect;
pub mod community_id;
pub mod error;
pub mod event;
pub mod features;
pub mod flows;
pub mod key;
mod lanes;
mod large_pages;
pub mod ledger;
pub mod pipeline;
pub mod placement;
mod prefetch;
pub mod record;
pub mod report;
pub mod resolve;
pub mod select;
pub mod socket;
pub mod time;
pub mod wire;

pub use addr::{Addr, Prefix};
pub use allow::{RuleId, Verdict, Whitelist};
pub use analyze::{Analyzer, Shortfall};
pub use batch::{Batch, Frames};
pub use collect::{Collector, Filled, Limit, SourceInfo, Status};
pub use error::{Error, ErrorKind, Result};
pub use event::{Detail, EndReason, FlowEvent, FrameRef, Layer, Marks, Notes, SocketRef, TcpFlags, TcpSegment};
pub use features::Features;
pub use flows::{FlowId, Flows};
pub use key::{Direction, FlowKey, Protocol};
pub use ledger::{Ledger, Loss, Polls};
pub use prefetch::{prefetch, prefetch_either, prefetch_whole};
pub use record::{Evidence, FlowRecord};
pub use report::{Reporter, Snapshot, Tables};
pub use resolve::{Lookup, Resolver};
pub use select::Select;
pub use socket::{SocketSample, SocketState, TcpInfo};
pub use time::{Nanos, Timestamp};
