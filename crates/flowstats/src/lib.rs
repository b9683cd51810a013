//! Analyzers over flow events.
//!
//! [`Conns`] makes one [`Connection`] of every flow: both ends, times, packets and bytes by layer and direction, and
//! for TCP the state, history, completeness and handshake time; on request also its course: round trips,
//! retransmissions, zero windows, requests and responses. [`Hosts`] keeps one row per remote host: how well it answers.
//! [`tcp`] holds what is behind both, fed by decoded segments whatever their source. A [`Histogram`] keeps a distribution
//! in bounded memory with a stated error.

pub mod chart;
pub mod columns;
pub mod conns;
pub mod cpu;
pub mod ends;
pub mod histogram;
pub mod hosts;
pub mod latency;
mod slab;
pub mod tcp;
pub mod volume;

#[cfg(test)]
mod samples;

pub use conns::{Connection, Conns, Depth};
pub use cpu::Cpu;
pub use ends::End;
pub use histogram::Histogram;
pub use hosts::Hosts;
pub use latency::Latency;
pub use volume::Volume;
