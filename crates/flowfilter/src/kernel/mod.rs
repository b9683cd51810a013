//! Filters for kernels: weaker than the exact one, which always runs afterwards.

pub mod cbpf;
pub mod inet_diag;
