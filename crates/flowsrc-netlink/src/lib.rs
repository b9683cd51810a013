//! Kernel sockets as a source of flow events: `sock_diag` over netlink.
//!
//! [`Sockets`] is a [`Collector`](flowcore::Collector): it asks the kernel once or again and again, in one network
//! namespace or in all, and gives for every socket two events, one a direction, whose packets and bytes are what came since
//! it asked before; the first carries a [`SocketSample`](flowcore::SocketSample) with everything that the kernel says.
//! Sockets that end between two polls are known by the kernel's notices of their destruction.
//!
//! ```
//! use flowcore::{Collector, Limit, Status};
//! use flowsrc_netlink::{Kinds, Options, Sockets};
//!
//! let mut sockets = Sockets::open(Options { kinds: Kinds::TCP, ..Options::default() })?;
//! let mut events = Vec::new();
//! loop {
//!     let filled = sockets.fill(&mut events, Limit::default())?;
//!     for event in events.drain(..) {
//!         if let Some(socket) = filled.frames.socket(&event) {
//!             println!("{} {} {:?}", socket.state.name(), event.key, socket.tcp.and_then(|tcp| tcp.rtt_us()));
//!         }
//!     }
//!     if filled.status == Status::End {
//!         break;
//!     }
//! }
//! # Ok::<(), flowcore::Error>(())
//! ```
//!
//! | module | holds |
//! |---|---|
//! | `collector` | the polls, and what happens between them |
//! | `request` | what is asked |
//! | `diag` | what is answered: from bytes to a sample |
//! | `channel` | one netlink socket |
//! | `delta` | totals to increments; sockets by their cookies |
//! | `netns` | network namespaces |
//! | `capabilities` | what this process is permitted |
//! | `cgroups` | control groups by the ids that sockets say |
//! | `proc_net` | raw sockets, where `sock_diag` does not know them |
//! | [`process`] | which processes hold a socket |
//! | [`schedule`] | on which CPUs threads run, and which CPUs serve an interface |

mod capabilities;
mod cgroups;
mod channel;
mod collector;
mod delta;
pub mod diag;
mod netns;
mod options;
mod proc_net;
pub mod process;
mod request;
pub mod schedule;

pub use cgroups::Cgroups;
pub use collector::Sockets;
pub use netns::{Namespace, Netns};
pub use options::{Kinds, Options, Parts};
