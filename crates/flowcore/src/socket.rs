//! Kernel sockets: what the kernel says of one, at one moment.
//!
//! A poll gives an event for each direction of a socket, with packets and bytes as increments since the poll before; the
//! first of the two carries a [`SocketRef`](crate::event::SocketRef) to the [`SocketSample`] in the batch's side column
//! ([`Frames::socket`](crate::batch::Frames::socket)).

use crate::addr::Addr;
use crate::key::{FlowKey, Protocol};
use crate::time::Timestamp;

mod parts;
mod state;
mod tcp_info;

pub use parts::{
    CongestionInfo, MptcpInfo, PacketSocket, Short, Shutdown, SocketMemory, SocketOptions, Subflow, Timer, TimerKind,
    Tls, Ulp, UnixSocket,
};
pub use state::{Family, SocketState, SocketType};
pub use tcp_info::{TcpInfo, TcpInfoOptions};

/// IP protocol number of Multipath TCP, which is beyond a byte.
pub const IPPROTO_MPTCP: u16 = 262;

/// Everything that the kernel says of one socket at one moment. `None`: it did not say.
#[derive(Copy, Clone, Debug, Default, PartialEq)]
pub struct SocketSample {
    /// When the kernel was asked.
    pub time: Timestamp,
    /// Family of the socket, which is not always that of its addresses: an IPv6 socket may be connected over IPv4.
    pub family: Family,
    /// IP protocol number, also beyond a byte ([`IPPROTO_MPTCP`]); 0 for local and packet sockets.
    pub protocol: u16,
    /// Stream, datagram, …: only of local and packet sockets, others have it by their protocol.
    pub socket_type: Option<SocketType>,
    /// State.
    pub state: SocketState,
    /// This end; unspecified if not bound to one address.
    pub local: Addr,
    /// This end's port; 0 if none.
    pub local_port: u16,
    /// The other end; unspecified if there is none.
    pub remote: Addr,
    /// The other end's port; 0 if none.
    pub remote_port: u16,
    /// The interface that it is bound to, or that gives a link-local address its scope, by index.
    pub interface: Option<u32>,
    /// Inode, by which processes hold it. `None`: held by none (TIME-WAIT, not yet accepted, orphaned).
    pub inode: Option<u32>,
    /// The kernel's number for this socket, never given again until the host is started anew.
    pub cookie: Option<u64>,
    /// User id of the owner.
    pub uid: Option<u32>,
    /// Index of the network namespace in its source's list; 0 = the first, or the only one.
    pub netns: u16,
    /// Received bytes that the application has not read; of a listener see [`backlog`](Self::backlog).
    pub receive_queue: Option<u32>,
    /// Bytes not acknowledged by the peer (TCP) or not yet sent (others); of a listener see [`backlog`](Self::backlog).
    pub send_queue: Option<u32>,
    /// The timer that runs.
    pub timer: Option<Timer>,
    /// Mark, SO_MARK. Only with CAP_NET_ADMIN.
    pub mark: Option<u32>,
    /// Traffic class or priority, `tc` handle. Only with CAP_NET_ADMIN.
    pub class_id: Option<u32>,
    /// Id of the control group (version 2). Since Linux 5.7.
    pub cgroup_id: Option<u64>,
    /// IPv4 type of service.
    pub tos: Option<u8>,
    /// IPv6 traffic class.
    pub tclass: Option<u8>,
    /// Takes IPv6 only. Since Linux 4.8.
    pub v6only: Option<bool>,
    /// Which directions were shut down.
    pub shutdown: Option<Shutdown>,
    /// Name of the congestion control.
    pub congestion: Option<Short<16>>,
    /// What the congestion control says of itself.
    pub congestion_info: Option<CongestionInfo>,
    /// Memory.
    pub memory: Option<SocketMemory>,
    /// Options set.
    pub options: Option<SocketOptions>,
    /// Upper-layer protocol.
    pub ulp: Option<Ulp>,
    /// TCP-MD5 signature keys. Only with CAP_NET_ADMIN.
    pub md5_keys: Option<u16>,
    /// Addresses of a multi-homed association (SCTP): local and remote ones.
    pub addresses: Option<(u16, u16)>,
    /// TCP's own account.
    pub tcp: Option<TcpInfo>,
    /// Multipath TCP's own account.
    pub mptcp: Option<MptcpInfo>,
    /// Of local sockets.
    pub unix: Option<UnixSocket>,
    /// Of packet sockets.
    pub packet: Option<PacketSocket>,
}

impl SocketSample {
    /// Whether it counts its packets and bytes, so that two samples have an increment: TCP sockets with an account, subflows
    /// of Multipath TCP among them; not what they are subflows of, listeners, and what TIME-WAIT leaves.
    pub fn counts_itself(&self) -> bool {
        let counted = |tcp: &TcpInfo| tcp.segs_out().is_some() && tcp.segs_in().is_some();
        self.state != SocketState::LISTEN && self.tcp.as_ref().is_some_and(counted)
    }

    /// The flow's key as this end sends it. [`FlowKey::NONE`] for local and packet sockets.
    ///
    /// The zone is the namespace's index. Multipath TCP is TCP here, as on the wire.
    pub fn key(&self) -> FlowKey {
        if !matches!(self.family, Family::INET | Family::INET6) {
            return FlowKey::NONE;
        }
        let protocol = match self.protocol {
            IPPROTO_MPTCP => Protocol::TCP,
            // Raw sockets of all protocols have 255, and nothing else is beyond a byte.
            number => Protocol(u8::try_from(number).unwrap_or(u8::MAX)),
        };
        FlowKey {
            src: self.local,
            dst: self.remote,
            src_port: self.local_port,
            dst_port: self.remote_port,
            zone: self.netns,
            protocol,
            ..FlowKey::NONE
        }
    }

    /// Of a listener: connections that wait to be accepted, and the most that may.
    pub fn backlog(&self) -> Option<(u32, u32)> {
        (self.state == SocketState::LISTEN).then_some((self.receive_queue?, self.send_queue?))
    }

    /// A lower-case name for what kind of socket this is: `tcp`, `udp`, `mptcp`, `unix_stream`, `packet_raw`, …; `None` for
    /// protocols without a name.
    pub fn kind(&self) -> Option<&'static str> {
        match (self.family, self.socket_type) {
            (Family::UNIX, Some(SocketType::STREAM)) => Some("unix_stream"),
            (Family::UNIX, Some(SocketType::DATAGRAM)) => Some("unix_dgram"),
            (Family::UNIX, Some(SocketType::SEQPACKET)) => Some("unix_seqpacket"),
            (Family::PACKET, Some(SocketType::RAW)) => Some("packet_raw"),
            (Family::PACKET, Some(SocketType::DATAGRAM)) => Some("packet_dgram"),
            (Family::UNIX | Family::PACKET, _) => self.family.name(),
            (_, Some(SocketType::RAW)) => Some("raw"),
            _ if self.protocol == IPPROTO_MPTCP => Some("mptcp"),
            _ => Protocol(u8::try_from(self.protocol).ok()?).name(),
        }
    }
}
