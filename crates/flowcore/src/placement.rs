//! Where threads run.

use crate::time::{Nanos, Timestamp};

/// One thread at one moment: on which CPU it is, or was last.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
pub struct Placement {
    /// When it was looked at.
    pub time: Timestamp,
    /// Its process.
    pub pid: u32,
    /// The thread itself; that of the process' main thread is `pid`.
    pub tid: u32,
    /// The CPU, by the kernel's number.
    pub cpu: u32,
    /// How long it ran since it was looked at before; `None` where the kernel does not count it, or the first time.
    pub run: Option<Nanos>,
}
