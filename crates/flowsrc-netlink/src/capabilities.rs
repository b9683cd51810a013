//! What this process is permitted.

/// Numbers of include/uapi/linux/capability.h.
pub(crate) const NET_ADMIN: u32 = 12;
pub(crate) const SYS_PTRACE: u32 = 19;

/// Whether it has a capability, by its effective set.
pub(crate) fn has(number: u32) -> bool {
    let status = std::fs::read_to_string("/proc/thread-self/status").unwrap_or_default();
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
