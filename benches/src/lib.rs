//! What the flow family costs: generated captures with a known truth, the floors that the machine sets, and the runs
//! that put both beside other tools.
//!
//! - [`traffic`] makes the packets of a synthetic capture, [`capture`] writes them; `generate` is their command.
//! - [`walk`] reads records and does nothing else: the limit below which no reader comes. [`stage`] adds one layer of the
//!   job after the other; `floor` is their command.
//! - [`filter`] has packets and filters to evaluate; `filters.sh` runs them beside libpcap's.
//! - `compare.py` runs whole commands in turn and prints ratios; `peers.sh` names the commands.
//! - `instructions.sh` counts instructions per packet, which are the same on every machine, and guards them.
//!
//! How to run all of it, and what came out: `benches/README.md`.

pub mod capture;
pub mod filter;
pub mod frame;
pub mod random;
pub mod stage;
pub mod traffic;
pub mod walk;

/// Why: a stage is to cost what it costs in `flow`, which has this one.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;
