//! What to ask for, and how often.

use std::time::Duration;

use flowcore::socket::{Family, IPPROTO_MPTCP, SocketState};

use crate::diag::IPPROTO_RAW;
use crate::netns::Netns;

/// Both IP versions in one question, `AF_UNSPEC`: only of TCP.
pub(crate) const BOTH: Family = Family(0);

bitflags::bitflags! {
    /// Kinds of socket.
    #[derive(Copy, Clone, Debug, PartialEq, Eq)]
    pub struct Kinds: u16 {
        /// TCP.
        const TCP = 1;
        /// UDP.
        const UDP = 2;
        /// UDP-Lite; gone since Linux 6.19.
        const UDP_LITE = 4;
        /// Raw sockets, all protocols.
        const RAW = 8;
        /// SCTP, where the kernel has it.
        const SCTP = 16;
        /// Multipath TCP connections; their subflows are TCP.
        const MPTCP = 32;
        /// DCCP; gone since Linux 6.16.
        const DCCP = 64;
        /// Local sockets.
        const UNIX = 128;
        /// Packet sockets.
        const PACKET = 256;
    }
}

bitflags::bitflags! {
    /// What the kernel says of a socket only if it is asked for; the rest comes with every answer.
    #[derive(Copy, Clone, Debug, PartialEq, Eq)]
    pub struct Parts: u8 {
        /// [`SocketSample::memory`](flowcore::SocketSample::memory); local and packet sockets have it in any case.
        const MEMORY = 1;
        /// [`SocketSample::congestion_info`](flowcore::SocketSample::congestion_info).
        const CONGESTION_INFO = 2;
        /// [`SocketSample::tos`](flowcore::SocketSample::tos), `tclass` and `class_id`.
        const TRAFFIC_CLASS = 4;
    }
}

impl Kinds {
    /// Those with addresses and ports, or protocols instead of ports.
    pub const INET: Self = Self::UNIX.union(Self::PACKET).complement();

    /// What is asked for: a family and a protocol each.
    pub(crate) fn dumps(self, ipv4: bool, ipv6: bool) -> Vec<Dump> {
        const BY_PROTOCOL: [(Kinds, u16, &str); 7] = [
            (Kinds::TCP, 6, "TCP"),
            (Kinds::MPTCP, IPPROTO_MPTCP, "MPTCP"),
            (Kinds::UDP, 17, "UDP"),
            (Kinds::UDP_LITE, 136, "UDP-Lite"),
            (Kinds::DCCP, 33, "DCCP"),
            (Kinds::SCTP, 132, "SCTP"),
            (Kinds::RAW, IPPROTO_RAW, "RAW"),
        ];
        let mut dumps = Vec::new();
        for (kind, protocol, registered) in BY_PROTOCOL {
            if kind == Kinds::TCP && self.contains(kind) && ipv4 && ipv6 {
                dumps.push(Dump { family: BOTH, protocol, registered });
                continue;
            }
            for (wanted, family) in [(ipv4, Family::INET), (ipv6, Family::INET6)] {
                if wanted && self.contains(kind) {
                    dumps.push(Dump { family, protocol, registered });
                }
            }
        }
        for (kind, family, registered) in
            [(Kinds::UNIX, Family::UNIX, "UNIX"), (Kinds::PACKET, Family::PACKET, "PACKET")]
        {
            if self.contains(kind) {
                dumps.push(Dump { family, protocol: 0, registered });
            }
        }
        dumps
    }
}

/// One question to the kernel.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(crate) struct Dump {
    /// [`BOTH`] stands for IPv4 and IPv6 at once.
    pub family: Family,
    pub protocol: u16,
    /// How the kernel calls it in /proc/net/protocols, where it lists what it has.
    pub registered: &'static str,
}

impl Dump {
    /// Whether a program of `inet_diag` says of these sockets what it was written to say. Of a raw socket the kernel would
    /// compare the protocol, which is in the port's place; local and packet sockets take no program.
    pub fn has_ports(&self) -> bool {
        matches!(self.family, BOTH | Family::INET | Family::INET6) && self.protocol != IPPROTO_RAW
    }

    /// The same in two questions, where it asks for both families at once.
    pub fn split(&self) -> Option<[Self; 2]> {
        let of = |family| Self { family, ..*self };
        (self.family == BOTH).then(|| [of(Family::INET), of(Family::INET6)])
    }
}

/// What to ask for, and how often.
#[derive(Clone, Debug)]
pub struct Options {
    /// Kinds of socket.
    pub kinds: Kinds,
    /// IPv4 sockets.
    pub ipv4: bool,
    /// IPv6 sockets, also those connected over IPv4.
    pub ipv6: bool,
    /// States, as a sum of [`SocketState::bit`]s. Packet sockets have none and are not asked by it.
    pub states: u32,
    /// What of each socket. With none of these the kernel takes a sixth less time for TCP.
    pub parts: Parts,
    /// Which network namespaces.
    pub netns: Netns,
    /// Time between the beginnings of two polls; `None` asks once.
    pub every: Option<Duration>,
    /// How often to ask; `None`: without end if `every` is given, else once.
    pub polls: Option<u64>,
    /// Whether to hear of TCP and UDP sockets that are destroyed between two polls.
    pub notices: bool,
    /// Whether it will be asked too who holds the sockets ([`process`](crate::process)): what may not be seen of that is
    /// then said with the rest.
    pub holders: bool,
    /// Whether marks, traffic classes and MD5 keys are of interest: if so it is said that they may not be seen.
    pub marks: bool,
    /// Whether what a socket counted before the first poll is an increment of the first poll. Without it counting begins
    /// there.
    pub history: bool,
}

impl Options {
    /// Every state that has a bit.
    pub const ALL_STATES: u32 = u32::MAX;

    /// States in which there is a peer, as `ss` shows without options: all but `LISTEN`, `CLOSE` and those of connections
    /// that no process has (`TIME_WAIT`, `SYN_RECV`).
    pub const CONNECTED: u32 = !(SocketState::LISTEN.bit()
        | SocketState::CLOSE.bit()
        | SocketState::TIME_WAIT.bit()
        | SocketState::SYN_RECV.bit()
        | SocketState::NEW_SYN_RECV.bit()
        | SocketState::BOUND_INACTIVE.bit());
}

impl Default for Options {
    fn default() -> Self {
        Self {
            kinds: Kinds::all(),
            ipv4: true,
            ipv6: true,
            states: Self::ALL_STATES,
            parts: Parts::all(),
            netns: Netns::Own,
            every: None,
            polls: None,
            notices: false,
            holders: false,
            marks: true,
            history: false,
        }
    }
}
