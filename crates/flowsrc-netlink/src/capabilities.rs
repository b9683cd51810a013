//! What this process is permitted.

use rustix::thread::{CapabilitySet, capabilities};

pub(crate) const NET_ADMIN: CapabilitySet = CapabilitySet::NET_ADMIN;
pub(crate) const SYS_PTRACE: CapabilitySet = CapabilitySet::SYS_PTRACE;

/// Whether this thread has a capability, by its effective set.
pub(crate) fn has(capability: CapabilitySet) -> bool {
    capabilities(None).is_ok_and(|sets| sets.effective.contains(capability))
}

/// What helps, behind a colon; root, whose capabilities were taken away, cannot help himself.
pub(crate) fn advice() -> &'static str {
    if rustix::process::geteuid().is_root() { "" } else { ": run as root" }
}

/// The same in parentheses.
pub(crate) fn remedy() -> &'static str {
    if rustix::process::geteuid().is_root() { "" } else { " (run as root)" }
}
