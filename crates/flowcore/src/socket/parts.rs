//! What sockets of some kinds have beside the common fields.

use std::fmt;

/// A short text or name kept in place; bytes as the kernel sent them, not always UTF-8.
#[derive(Copy, Clone, PartialEq, Eq)]
pub struct Short<const N: usize> {
    /// Zero from `len` on.
    bytes: [u8; N],
    /// At most `N`.
    len: u8,
}

impl<const N: usize> Short<N> {
    /// Takes the first `N` bytes (and never more than 255).
    pub fn new(text: &[u8]) -> Self {
        let len = text.len().min(N).min(255);
        let mut bytes = [0; N];
        bytes[..len].copy_from_slice(&text[..len]);
        Self { bytes, len: len as u8 }
    }

    /// Takes what stands before the first zero byte.
    pub fn from_c(text: &[u8]) -> Self {
        Self::new(text.split(|&byte| byte == 0).next().unwrap_or(&[]))
    }

    /// The bytes.
    pub fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..usize::from(self.len)).unwrap_or(&[])
    }

    /// As text; bytes that are not UTF-8 become replacement characters.
    pub fn to_text(&self) -> std::borrow::Cow<'_, str> {
        String::from_utf8_lossy(self.as_bytes())
    }
}

impl<const N: usize> Default for Short<N> {
    fn default() -> Self {
        Self { bytes: [0; N], len: 0 }
    }
}

impl<const N: usize> fmt::Debug for Short<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.to_text(), f)
    }
}

/// The timer that runs for a socket.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct Timer {
    /// Which one.
    pub kind: TimerKind,
    /// Until it expires, milliseconds.
    pub expires_ms: u32,
    /// Retransmissions (of a keepalive or probe timer: probes) sent without an answer.
    pub retransmits: u8,
}

/// What a timer is for; the numbers of `idiag_timer`.
#[derive(Copy, Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum TimerKind {
    /// Retransmission.
    Retransmit = 1,
    /// Keepalive.
    Keepalive = 2,
    /// The end of TIME-WAIT.
    TimeWait = 3,
    /// Zero-window probe.
    Probe = 4,
    /// One that has no name here.
    Unknown = 255,
}

impl TimerKind {
    /// By the kernel's number; `None` for 0, which is no timer.
    pub const fn from_number(number: u8) -> Option<Self> {
        Some(match number {
            0 => return None,
            1 => Self::Retransmit,
            2 => Self::Keepalive,
            3 => Self::TimeWait,
            4 => Self::Probe,
            _ => Self::Unknown,
        })
    }

    /// A stable lower-case name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Retransmit => "retransmit",
            Self::Keepalive => "keepalive",
            Self::TimeWait => "time_wait",
            Self::Probe => "probe",
            Self::Unknown => "unknown",
        }
    }
}

/// A socket's memory, `SK_MEMINFO_*`: bytes, except `drops`. What the kernel did not send is `None`.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
pub struct SocketMemory {
    /// As sent, in the kernel's order.
    values: [u32; 9],
    /// How many were sent.
    len: u8,
}

impl SocketMemory {
    /// Takes what was sent, of any length.
    pub fn from_bytes(sent: &[u8]) -> Self {
        let mut memory = Self::default();
        for (value, bytes) in memory.values.iter_mut().zip(sent.as_chunks::<4>().0) {
            *value = u32::from_ne_bytes(*bytes);
            memory.len += 1;
        }
        memory
    }

    /// All values that were sent, in the kernel's order.
    pub fn values(&self) -> &[u32] {
        self.values.get(..usize::from(self.len)).unwrap_or(&[])
    }

    fn at(&self, place: usize) -> Option<u32> {
        self.values().get(place).copied()
    }

    /// Held for received data.
    pub fn receive_allocated(&self) -> Option<u32> {
        self.at(0)
    }
    /// The receive buffer's limit.
    pub fn receive_buffer(&self) -> Option<u32> {
        self.at(1)
    }
    /// Held for data on its way out (given to the device, not freed).
    pub fn send_allocated(&self) -> Option<u32> {
        self.at(2)
    }
    /// The send buffer's limit.
    pub fn send_buffer(&self) -> Option<u32> {
        self.at(3)
    }
    /// Reserved and free for further use.
    pub fn forward_allocated(&self) -> Option<u32> {
        self.at(4)
    }
    /// In the send queue, with overhead.
    pub fn send_queued(&self) -> Option<u32> {
        self.at(5)
    }
    /// Held for options and filters.
    pub fn options(&self) -> Option<u32> {
        self.at(6)
    }
    /// Received while the socket was in use by a call.
    pub fn backlog(&self) -> Option<u32> {
        self.at(7)
    }
    /// Packets dropped because the receive buffer was full (and for other reasons); cumulative. Since Linux 4.7.
    pub fn drops(&self) -> Option<u32> {
        self.at(8)
    }
}

bitflags::bitflags! {
    /// Which directions an application has shut down.
    #[derive(Copy, Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
    pub struct Shutdown: u8 {
        /// Receives no more.
        const RECEIVE = 1;
        /// Sends no more.
        const SEND = 2;
    }

    /// Options of a socket, `struct inet_diag_sockopt`. Since Linux 5.9.
    #[derive(Copy, Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
    pub struct SocketOptions: u16 {
        /// IP_RECVERR: errors are queued.
        const RECVERR = 1;
        /// Inside the kernel this is a connection socket.
        const IS_ICSK = 1 << 1;
        /// IP_FREEBIND: may be bound to addresses that this host does not have.
        const FREEBIND = 1 << 2;
        /// IP_HDRINCL: the application writes the IP header.
        const HDRINCL = 1 << 3;
        /// IP_MULTICAST_LOOP.
        const MULTICAST_LOOP = 1 << 4;
        /// IP_TRANSPARENT.
        const TRANSPARENT = 1 << 5;
        /// IP_MULTICAST_ALL.
        const MULTICAST_ALL = 1 << 6;
        /// IP_NODEFRAG.
        const NODEFRAG = 1 << 7;
        /// IP_BIND_ADDRESS_NO_PORT.
        const BIND_ADDRESS_NO_PORT = 1 << 8;
        /// IP_RECVERR_RFC4884.
        const RECVERR_RFC4884 = 1 << 9;
        /// TCP_FASTOPEN_CONNECT waits for data.
        const DEFER_CONNECT = 1 << 10;
    }
}

/// What a congestion control says of itself.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CongestionInfo {
    /// TCP Vegas, `struct tcpvegas_info`; also Veno, Illinois and others that fill it.
    Vegas {
        /// It is at work.
        enabled: bool,
        /// Round trips measured.
        rtt_count: u32,
        /// Round-trip time, microseconds.
        rtt_us: u32,
        /// Smallest round-trip time, microseconds.
        min_rtt_us: u32,
    },
    /// Data Center TCP, `struct tcp_dctcp_info`.
    Dctcp {
        /// It is at work (ECN was negotiated).
        enabled: bool,
        /// The last segment said "congestion experienced".
        ce_state: u16,
        /// Estimate of the marked share, in 1/1024.
        alpha: u32,
        /// Bytes acknowledged with a mark in this window.
        ecn_bytes: u32,
        /// Bytes acknowledged in this window.
        total_bytes: u32,
    },
    /// BBR, `struct tcp_bbr_info`.
    Bbr {
        /// Bandwidth estimate, bytes per second.
        bandwidth: u64,
        /// Smallest round-trip time, microseconds.
        min_rtt_us: u32,
        /// Pacing gain, in 1/256.
        pacing_gain: u32,
        /// Congestion window gain, in 1/256.
        cwnd_gain: u32,
    },
}

/// An upper-layer protocol within TCP.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
pub struct Ulp {
    /// Its name: `tls`, `mptcp`, `espintcp`, `smc`.
    pub name: Option<Short<16>>,
    /// Kernel TLS.
    pub tls: Option<Tls>,
    /// A subflow of Multipath TCP.
    pub subflow: Option<Subflow>,
}

/// Kernel TLS, numbers of include/uapi/linux/tls.h. What was not sent is `None`.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
pub struct Tls {
    /// 0x0303 for TLS 1.2, 0x0304 for 1.3.
    pub version: Option<u16>,
    /// Cipher.
    pub cipher: Option<u16>,
    /// Sending: 0 none, 1 base, 2 software, 3 hardware, 4 hardware records.
    pub send: Option<u16>,
    /// Receiving, likewise.
    pub receive: Option<u16>,
    /// Sends without a copy.
    pub zerocopy_send: bool,
    /// Expects no padding (TLS 1.3).
    pub receive_no_pad: bool,
}

/// A subflow of Multipath TCP. What was not sent is `None`.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
pub struct Subflow {
    /// Token of the peer's connection.
    pub token_remote: Option<u32>,
    /// Token of this end's connection.
    pub token_local: Option<u32>,
    /// Sequence number of the mapping.
    pub map_seq: Option<u64>,
    /// Where in the subflow it begins.
    pub map_subflow_seq: Option<u32>,
    /// Subflow sequence offset.
    pub subflow_seq_offset: Option<u32>,
    /// Length of the mapping, bytes.
    pub map_len: Option<u16>,
    /// Flags, `MPTCP_SUBFLOW_FLAG_*`.
    pub flags: Option<u32>,
    /// Address id of the remote end.
    pub id_remote: Option<u8>,
    /// Address id of the local end.
    pub id_local: Option<u8>,
}

/// A Multipath TCP connection, `struct mptcp_info`. What was not sent is `None`.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
pub struct MptcpInfo {
    /// Subflows beside the first.
    pub subflows: Option<u8>,
    /// Subflows that there may be beside the first.
    pub subflows_max: Option<u8>,
    /// Token.
    pub token: Option<u32>,
    /// Flags.
    pub flags: Option<u32>,
    /// Next data sequence number to send.
    pub write_seq: Option<u64>,
    /// First unacknowledged data sequence number.
    pub snd_una: Option<u64>,
    /// Next data sequence number expected.
    pub rcv_nxt: Option<u64>,
    /// Retransmissions at this level. Since Linux 6.5.
    pub retransmits: Option<u32>,
    /// Bytes sent again. Since Linux 6.5.
    pub bytes_retrans: Option<u64>,
    /// Bytes sent. Since Linux 6.5.
    pub bytes_sent: Option<u64>,
    /// Bytes received. Since Linux 6.5.
    pub bytes_received: Option<u64>,
    /// Bytes acknowledged. Since Linux 6.5.
    pub bytes_acked: Option<u64>,
}

/// A local socket.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
pub struct UnixSocket {
    /// Its path, or with a leading zero byte its abstract name.
    pub name: Option<Short<108>>,
    /// Inode of the socket that it is connected to.
    pub peer: Option<u32>,
    /// Inode and device of the path.
    pub vfs: Option<(u32, u32)>,
    /// Of a listener: connections that wait to be accepted.
    pub pending: Option<u32>,
}

/// A packet socket.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
pub struct PacketSocket {
    /// Ethertype that it receives; 3 = all.
    pub ethertype: u16,
    /// Interface index; 0 = any. `None` if not sent.
    pub interface: Option<u32>,
    /// Version of its ring (0 to 2 = TPACKET_V1 to V3).
    pub version: Option<u32>,
    /// From how many bytes on packets are copied to the queue when they do not fit the ring; 0 = never.
    pub copy_threshold: Option<u32>,
    /// Flags, `PDI_*`.
    pub flags: Option<u32>,
    /// Blocks and bytes of a block in its receive ring.
    pub receive_ring: Option<(u32, u32)>,
    /// The same of its send ring.
    pub send_ring: Option<(u32, u32)>,
    /// Fanout group and mode, `PACKET_FANOUT`.
    pub fanout: Option<u32>,
    /// Length of its filter, instructions.
    pub filter_instructions: Option<u32>,
}
