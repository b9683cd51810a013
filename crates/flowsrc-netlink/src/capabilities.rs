//! What this process is permitted.

use std::fs::File;
use std::io::Read;

/// Numbers of include/uapi/linux/capability.h.
pub(crate) const NET_ADMIN: u32 = 12;
pub(crate) const SYS_PTRACE: u32 = 19;

/// Whether it has a capability, by its effective set.
pub(crate) fn has(number: u32) -> bool {
    // In one call: it is shorter than this.
    let mut text = [0; 8192];
    let read = File::open("/proc/thread-self/status").and_then(|mut file| file.read(&mut text)).unwrap_or(0);
    let status = String::from_utf8_lossy(text.get(..read).unwrap_or(&[]));
    let bits = status.lines().find_map(|line| line.strip_prefix("CapEff:")).map(str::trim);
    bits.and_then(|bits| u64::from_str_radix(bits, 16).ok()).is_some_and(|bits| bits >> number & 1 == 1)
}

/// What helps, behind a colon; root, whose capabilities were taken away, cannot help himself.
pub(crate) fn advice() -> &'static str {
    if rustix::process::geteuid().is_root() { "" } else { ": run as root" }
}

/// The same in parentheses.
pub(crate) fn remedy() -> &'static str {
    if rustix::process::geteuid().is_root() { "" } else { " (run as root)" }
}
