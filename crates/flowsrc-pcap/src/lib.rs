//! Capture files as a source of flow events.
//!
//! [`Files`] is the [`Collector`](flowcore::Collector): one file, standard input or a rotated set, pcap or pcapng,
//! compressed or not, told apart by their first bytes and never by their names. [`Reader`] is the layer below it, for
//! those who want raw packets. [`Decoder`] turns a raw packet into an event and a line in the ledger; every source that
//! has frames can use it.
//!
//! ```no_run
//! use flowcore::{Collector, Limit, Status};
//!
//! let mut source = flowsrc_pcap::Files::open("trace.pcapng.zst")?;
//! let mut events = Vec::new();
//! while source.fill(&mut events, Limit::default())?.status != Status::End {
//!     events.clear();
//! }
//! println!("{} packets; {}", source.ledger()?.delivered(), source.fault().unwrap_or("complete"));
//! # Ok::<(), flowcore::Error>(())
//! ```

mod decode;
pub mod file;

pub use decode::Decoder;
pub use file::{Files, Interface, Position, RawPacket, Reader, Statistics};
