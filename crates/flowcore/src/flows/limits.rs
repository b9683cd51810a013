//! How long flows live.

use super::entry::{Entry, State};
use crate::key::Protocol;
use crate::time::{Nanos, Timestamp};

/// How long flows live without events, and how many there may be.
///
/// The idle times are Zeek's, with three differences: they count from the latest packet rather than from the first
/// (so that a SYN repeated after 1 and 3 s stays one attempt), an attempt is waited for 30 s instead of 5 (4.4BSD repeats a
/// SYN after 6 s, and again after 24), and a half-closed connection keeps the TCP idle time (its open direction may still
/// carry data).
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Flows held at once; events that find no room are delivered without an id and counted as untracked.
    pub flows: usize,
    /// TCP connections in the middle of things.
    pub tcp: Nanos,
    /// TCP connections of which only one side has been seen to send, with a SYN. One that repeats its SYN waits as much
    /// longer as its timer does (RFC 6298 section 5.5), at most [`tcp`](Self::tcp).
    pub tcp_attempt: Nanos,
    /// TCP connections closed by both sides.
    pub tcp_close: Nanos,
    /// TCP connections that were reset.
    pub tcp_reset: Nanos,
    /// UDP and UDP-Lite.
    pub udp: Nanos,
    /// ICMP and ICMPv6.
    pub icmp: Nanos,
    /// Everything else.
    pub other: Nanos,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            flows: 4 << 20,
            tcp: Nanos::from_secs(300),
            tcp_attempt: Nanos::from_secs(30),
            tcp_close: Nanos::from_secs(5),
            tcp_reset: Nanos::from_secs(5),
            udp: Nanos::from_secs(60),
            icmp: Nanos::from_secs(60),
            other: Nanos::from_secs(60),
        }
    }
}

impl Limits {
    /// The shortest of the idle times.
    pub(super) fn shortest(&self) -> Nanos {
        let Self { flows: _, tcp, tcp_attempt, tcp_close, tcp_reset, udp, icmp, other } = *self;
        tcp.min(tcp_attempt).min(tcp_close).min(tcp_reset).min(udp).min(icmp).min(other)
    }
}

/// A SYN whose timer doubles comes again after no longer than all the time since the first and one interval more; this
/// many times that time is long enough.
const BACKOFF: i64 = 3;

/// How long the flow may be silent in its present state, having begun at `start`.
pub(super) fn idle_time(limits: &Limits, entry: &Entry, start: impl FnOnce() -> Timestamp) -> Nanos {
    match entry.protocol() {
        Protocol::TCP if entry.state.contains(State::RESET) => limits.tcp_reset,
        Protocol::TCP if entry.state.is_closed() => limits.tcp_close,
        Protocol::TCP if entry.state.contains(State::UNDERWAY) => limits.tcp,
        Protocol::TCP => {
            let repeating = Nanos::new((entry.last - start()).get().saturating_mul(BACKOFF));
            limits.tcp_attempt.max(repeating.min(limits.tcp))
        }
        Protocol::UDP | Protocol::UDP_LITE => limits.udp,
        Protocol::ICMP | Protocol::ICMPV6 => limits.icmp,
        _ => limits.other,
    }
}
