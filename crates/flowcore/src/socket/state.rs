//! Families and states of sockets, by the kernel's numbers and names.

/// An address family, `AF_*`.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Family(pub u8);

impl Family {
    /// Local sockets.
    pub const UNIX: Self = Self(1);
    /// IPv4.
    pub const INET: Self = Self(2);
    /// IPv6; such a socket may carry IPv4 by mapped addresses.
    pub const INET6: Self = Self(10);
    /// Link layer.
    pub const PACKET: Self = Self(17);

    /// A stable lower-case name; `None` for families that are not asked for.
    pub const fn name(self) -> Option<&'static str> {
        Some(match self {
            Self::UNIX => "unix",
            Self::INET => "inet",
            Self::INET6 => "inet6",
            Self::PACKET => "packet",
            _ => return None,
        })
    }
}

/// A socket's type, `SOCK_*`.
#[derive(Copy, Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SocketType(pub u8);

impl SocketType {
    /// A stream of bytes.
    pub const STREAM: Self = Self(1);
    /// Datagrams.
    pub const DATAGRAM: Self = Self(2);
    /// Packets with their network header, or link header for packet sockets.
    pub const RAW: Self = Self(3);
    /// Records in order.
    pub const SEQPACKET: Self = Self(5);

    /// A stable lower-case name.
    pub const fn name(self) -> Option<&'static str> {
        Some(match self {
            Self::STREAM => "stream",
            Self::DATAGRAM => "dgram",
            Self::RAW => "raw",
            Self::SEQPACKET => "seqpacket",
            _ => return None,
        })
    }
}

/// A socket's state, `TCP_*` of include/net/tcp_states.h. Datagram and raw sockets use two of them: connected ones are
/// [`ESTABLISHED`](Self::ESTABLISHED), others [`CLOSE`](Self::CLOSE).
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SocketState(pub u8);

impl SocketState {
    /// Open.
    pub const ESTABLISHED: Self = Self(1);
    /// Asked for a connection.
    pub const SYN_SENT: Self = Self(2);
    /// Was asked for one and has answered. Dumps give this for what is 12 inside the kernel, too.
    pub const SYN_RECV: Self = Self(3);
    /// Has closed; that is not acknowledged yet.
    pub const FIN_WAIT1: Self = Self(4);
    /// Has closed, acknowledged; the peer has not.
    pub const FIN_WAIT2: Self = Self(5);
    /// Both have closed; late segments are waited for.
    pub const TIME_WAIT: Self = Self(6);
    /// Not connected.
    pub const CLOSE: Self = Self(7);
    /// The peer has closed.
    pub const CLOSE_WAIT: Self = Self(8);
    /// The peer closed first, then this end; that is not acknowledged yet.
    pub const LAST_ACK: Self = Self(9);
    /// Accepts connections.
    pub const LISTEN: Self = Self(10);
    /// Both closed at once.
    pub const CLOSING: Self = Self(11);
    /// A request that no socket holds yet.
    pub const NEW_SYN_RECV: Self = Self(12);
    /// Bound to a port, neither listening nor connected. Since Linux 6.8.
    pub const BOUND_INACTIVE: Self = Self(13);

    /// Every state that has a name, in the order of the kernel's numbers.
    pub const ALL: [Self; 13] = [
        Self::ESTABLISHED,
        Self::SYN_SENT,
        Self::SYN_RECV,
        Self::FIN_WAIT1,
        Self::FIN_WAIT2,
        Self::TIME_WAIT,
        Self::CLOSE,
        Self::CLOSE_WAIT,
        Self::LAST_ACK,
        Self::LISTEN,
        Self::CLOSING,
        Self::NEW_SYN_RECV,
        Self::BOUND_INACTIVE,
    ];

    /// The kernel's name in lower case, `established` or `time_wait`; `unknown` for numbers without one.
    pub const fn name(self) -> &'static str {
        match self {
            Self::ESTABLISHED => "established",
            Self::SYN_SENT => "syn_sent",
            Self::SYN_RECV => "syn_recv",
            Self::FIN_WAIT1 => "fin_wait1",
            Self::FIN_WAIT2 => "fin_wait2",
            Self::TIME_WAIT => "time_wait",
            Self::CLOSE => "close",
            Self::CLOSE_WAIT => "close_wait",
            Self::LAST_ACK => "last_ack",
            Self::LISTEN => "listen",
            Self::CLOSING => "closing",
            Self::NEW_SYN_RECV => "new_syn_recv",
            Self::BOUND_INACTIVE => "bound_inactive",
            _ => "unknown",
        }
    }

    /// The bit of this state in a request's mask; 0 for numbers beyond it.
    pub const fn bit(self) -> u32 {
        if self.0 < 32 { 1 << self.0 } else { 0 }
    }

    /// Whether there is a peer, or was until lately: every state but `LISTEN`, `CLOSE` and `BOUND_INACTIVE`.
    pub const fn is_connected(self) -> bool {
        !matches!(self, Self::LISTEN | Self::CLOSE | Self::BOUND_INACTIVE)
    }
}
