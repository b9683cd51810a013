//! What the kernel answers: from a message's bytes to a sample, by length.
//!
//! Nothing is allocated: a sample is filled in its place from the buffer that was received into. A structure that the kernel
//! sends shorter than it is known here (an older kernel) gives what it has; one that is longer gives what is known. An
//! attribute that cannot be, and everything behind it, is left out and said so by the return value.

use flowcore::socket::{
    CongestionInfo, Family, IPPROTO_MPTCP, MptcpInfo, PacketSocket, Short, Shutdown, SocketMemory, SocketOptions,
    SocketState, SocketType, Subflow, Timer, TimerKind, Tls, Ulp, UnixSocket,
};
use flowcore::{Addr, SocketSample, TcpInfo};
use netlink_packet_sock_diag::constants::{
    INET_DIAG_BBRINFO, INET_DIAG_CLASS_ID, INET_DIAG_CONG, INET_DIAG_DCTCPINFO, INET_DIAG_INFO, INET_DIAG_LOCALS,
    INET_DIAG_MARK, INET_DIAG_MD5SIG, INET_DIAG_PEERS, INET_DIAG_PROTOCOL, INET_DIAG_SHUTDOWN, INET_DIAG_SKMEMINFO,
    INET_DIAG_SKV6ONLY, INET_DIAG_TCLASS, INET_DIAG_TOS, INET_DIAG_VEGASINFO,
};

// Attributes that the library does not name (include/uapi/linux/inet_diag.h, unix_diag.h, packet_diag.h).
const INET_DIAG_ULP_INFO: u16 = 19;
const INET_DIAG_CGROUP_ID: u16 = 21;
const INET_DIAG_SOCKOPT: u16 = 22;

const ULP_NAME: u16 = 1;
const ULP_TLS: u16 = 2;
const ULP_MPTCP: u16 = 3;

const UNIX_NAME: u16 = 0;
const UNIX_VFS: u16 = 1;
const UNIX_PEER: u16 = 2;
const UNIX_ICONS: u16 = 3;
const UNIX_RQLEN: u16 = 4;
const UNIX_MEMINFO: u16 = 5;
const UNIX_SHUTDOWN: u16 = 6;
const UNIX_UID: u16 = 7;

const PACKET_INFO: u16 = 0;
const PACKET_RX_RING: u16 = 2;
const PACKET_TX_RING: u16 = 3;
const PACKET_FANOUT: u16 = 4;
const PACKET_UID: u16 = 5;
const PACKET_MEMINFO: u16 = 6;
const PACKET_FILTER: u16 = 7;

const IPPROTO_TCP: u16 = 6;
/// What raw sockets of all protocols are asked for by.
pub(crate) const IPPROTO_RAW: u16 = 255;

/// What is left of an attribute's kind without the bits that say how it is written.
const NLA_TYPE_MASK: u16 = 0x3fff;

/// Bytes of `struct inet_diag_msg`, `unix_diag_msg` and `packet_diag_msg`.
const INET_HEADER: usize = 72;
const UNIX_HEADER: usize = 16;
const PACKET_HEADER: usize = 16;

/// How much of a message could be read.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Read {
    /// All of it.
    Whole,
    /// The fixed part, and attributes up to one that contradicts its length.
    Part,
    /// Nothing: shorter than the fixed part, or of a family that is not read here.
    Nothing,
}

/// Reads the payload of one `SOCK_DIAG_BY_FAMILY` message into `sample`, which is to be as by [`Default`].
///
/// `protocol` is the IP protocol that was asked for; answers do not all repeat it.
pub fn read(payload: &[u8], protocol: u16, sample: &mut SocketSample) -> Read {
    match payload.first() {
        Some(&(2 | 10)) => read_inet(payload, protocol, sample),
        Some(&1) => read_unix(payload, sample),
        Some(&17) => read_packet(payload, sample),
        _ => Read::Nothing,
    }
}

/// Some number of bytes, or none if there are fewer.
#[inline]
fn at<const N: usize>(bytes: &[u8], offset: usize) -> Option<[u8; N]> {
    bytes.get(offset..)?.first_chunk().copied()
}

#[inline]
fn u16_at(bytes: &[u8], offset: usize) -> Option<u16> {
    at(bytes, offset).map(u16::from_ne_bytes)
}

#[inline]
fn u32_at(bytes: &[u8], offset: usize) -> Option<u32> {
    at(bytes, offset).map(u32::from_ne_bytes)
}

#[inline]
fn u64_at(bytes: &[u8], offset: usize) -> Option<u64> {
    at(bytes, offset).map(u64::from_ne_bytes)
}

/// Two halves, the lower first whatever the machine's order.
fn cookie(bytes: &[u8; 8]) -> Option<u64> {
    let [a, b, c, d, e, f, g, h] = *bytes;
    let (low, high) = (u32::from_ne_bytes([a, b, c, d]), u32::from_ne_bytes([e, f, g, h]));
    Some(u64::from(high) << 32 | u64::from(low)).filter(|&cookie| cookie != 0 && cookie != u64::MAX)
}

fn nonzero(number: u32) -> Option<u32> {
    (number != 0).then_some(number)
}

/// Hands every attribute to `take`; whether all could be read.
#[inline]
fn attributes<'a>(bytes: &'a [u8], mut take: impl FnMut(u16, &'a [u8])) -> Read {
    // Bytes that are too few for a header are padding.
    let mut rest = bytes;
    while let Some(&[a, b, c, d]) = rest.first_chunk() {
        let length = usize::from(u16::from_ne_bytes([a, b]));
        let Some(value) = rest.get(4..length) else { return Read::Part };
        take(u16::from_ne_bytes([c, d]) & NLA_TYPE_MASK, value);
        rest = rest.get(length.next_multiple_of(4)..).unwrap_or(&[]);
    }
    Read::Whole
}

fn read_inet(payload: &[u8], protocol: u16, sample: &mut SocketSample) -> Read {
    let Some((header, rest)) = payload.split_first_chunk::<INET_HEADER>() else { return Read::Nothing };
    let family = Family(header[0]);
    let address = |offset: usize| {
        let octets: [u8; 16] = at(header, offset).unwrap_or_default();
        match family {
            Family::INET => Addr::v4([octets[0], octets[1], octets[2], octets[3]]),
            _ => Addr::v6(octets),
        }
    };
    let port = |offset: usize| at(header, offset).map_or(0, u16::from_be_bytes);
    let word = |offset: usize| u32_at(header, offset).unwrap_or(0);
    sample.family = family;
    sample.protocol = protocol;
    sample.state = SocketState(header[1]);
    (sample.local, sample.remote) = (address(8), address(24));
    (sample.local_port, sample.remote_port) = (port(4), port(6));
    sample.interface = nonzero(word(40));
    sample.cookie = at(header, 44).as_ref().and_then(cookie);
    sample.timer =
        TimerKind::from_number(header[2]).map(|kind| Timer { kind, expires_ms: word(52), retransmits: header[3] });
    // The memory of one that is being destroyed has been given back already, which the kernel says as -1.
    let queue = |offset: usize| Some(word(offset)).filter(|&bytes| bytes != u32::MAX);
    (sample.receive_queue, sample.send_queue) = (queue(56), queue(60));
    sample.inode = nonzero(word(68));
    // Minisockets (TIME-WAIT, requests) have no owner, which the kernel says as 0: root.
    let is_mini = sample.inode.is_none() && matches!(sample.state, SocketState::TIME_WAIT | SocketState::SYN_RECV);
    sample.uid = (!is_mini).then(|| word(64));
    let mut info = None;
    let outcome = attributes(rest, |kind, value| match kind {
        INET_DIAG_INFO => info = Some(value),
        INET_DIAG_CONG => sample.congestion = Some(Short::from_c(value)),
        INET_DIAG_SKMEMINFO => sample.memory = Some(SocketMemory::from_bytes(value)),
        INET_DIAG_TOS => sample.tos = value.first().copied(),
        INET_DIAG_TCLASS => sample.tclass = value.first().copied(),
        INET_DIAG_SKV6ONLY => sample.v6only = value.first().map(|&only| only != 0),
        INET_DIAG_SHUTDOWN => sample.shutdown = value.first().map(|&bits| Shutdown::from_bits_retain(bits)),
        INET_DIAG_MARK => sample.mark = u32_at(value, 0),
        INET_DIAG_CLASS_ID => sample.class_id = u32_at(value, 0),
        INET_DIAG_CGROUP_ID => sample.cgroup_id = u64_at(value, 0),
        INET_DIAG_SOCKOPT => sample.options = options(value),
        INET_DIAG_ULP_INFO => sample.ulp = Some(ulp(value)),
        INET_DIAG_PROTOCOL => {
            if let Some(&number) = value.first() {
                sample.protocol = u16::from(number);
            }
        }
        INET_DIAG_VEGASINFO => sample.congestion_info = vegas(value),
        INET_DIAG_DCTCPINFO => sample.congestion_info = dctcp(value),
        INET_DIAG_BBRINFO => sample.congestion_info = bbr(value),
        // struct tcp_diag_md5sig: 100 bytes each.
        INET_DIAG_MD5SIG => sample.md5_keys = Some((value.len() / 100) as u16),
        // struct sockaddr_storage: 128 bytes each.
        INET_DIAG_LOCALS => sample.addresses.get_or_insert_default().0 = (value.len() / 128) as u16,
        INET_DIAG_PEERS => sample.addresses.get_or_insert_default().1 = (value.len() / 128) as u16,
        _ => {}
    });
    match (sample.protocol, info) {
        (IPPROTO_TCP, Some(info)) => sample.tcp = Some(TcpInfo::from_bytes(info)),
        (IPPROTO_MPTCP, Some(info)) => sample.mptcp = Some(mptcp(info)),
        _ => {}
    }
    if protocol == IPPROTO_RAW {
        // A raw socket has its protocol where others have their port.
        sample.socket_type = Some(SocketType::RAW);
        sample.protocol = sample.local_port;
        (sample.local_port, sample.remote_port) = (0, 0);
    }
    outcome
}

fn options(value: &[u8]) -> Option<SocketOptions> {
    let [first, second] = at(value, 0)?;
    // Bit fields begin at the other end of a byte on big-endian machines.
    let in_order = |byte: u8| if cfg!(target_endian = "little") { byte } else { byte.reverse_bits() };
    Some(SocketOptions::from_bits_retain(u16::from(in_order(second)) << 8 | u16::from(in_order(first))))
}

fn vegas(value: &[u8]) -> Option<CongestionInfo> {
    Some(CongestionInfo::Vegas {
        enabled: u32_at(value, 0)? != 0,
        rtt_count: u32_at(value, 4)?,
        rtt_us: u32_at(value, 8)?,
        min_rtt_us: u32_at(value, 12)?,
    })
}

fn dctcp(value: &[u8]) -> Option<CongestionInfo> {
    Some(CongestionInfo::Dctcp {
        enabled: u16_at(value, 0)? != 0,
        ce_state: u16_at(value, 2)?,
        alpha: u32_at(value, 4)?,
        ecn_bytes: u32_at(value, 8)?,
        total_bytes: u32_at(value, 12)?,
    })
}

fn bbr(value: &[u8]) -> Option<CongestionInfo> {
    Some(CongestionInfo::Bbr {
        bandwidth: u64::from(u32_at(value, 4)?) << 32 | u64::from(u32_at(value, 0)?),
        min_rtt_us: u32_at(value, 8)?,
        pacing_gain: u32_at(value, 12)?,
        cwnd_gain: u32_at(value, 16)?,
    })
}

fn ulp(value: &[u8]) -> Ulp {
    let mut ulp = Ulp::default();
    attributes(value, |kind, value| match kind {
        ULP_NAME => ulp.name = Some(Short::from_c(value)),
        ULP_TLS => ulp.tls = Some(tls(value)),
        ULP_MPTCP => ulp.subflow = Some(subflow(value)),
        _ => {}
    });
    ulp
}

/// `TLS_INFO_*` of include/uapi/linux/tls.h.
fn tls(value: &[u8]) -> Tls {
    let mut tls = Tls::default();
    attributes(value, |kind, value| match kind {
        1 => tls.version = u16_at(value, 0),
        2 => tls.cipher = u16_at(value, 0),
        3 => tls.send = u16_at(value, 0),
        4 => tls.receive = u16_at(value, 0),
        5 => tls.zerocopy_send = true,
        6 => tls.receive_no_pad = true,
        _ => {}
    });
    tls
}

/// `MPTCP_SUBFLOW_ATTR_*` of include/uapi/linux/mptcp.h.
fn subflow(value: &[u8]) -> Subflow {
    let mut subflow = Subflow::default();
    attributes(value, |kind, value| match kind {
        1 => subflow.token_remote = u32_at(value, 0),
        2 => subflow.token_local = u32_at(value, 0),
        4 => subflow.map_seq = u64_at(value, 0),
        5 => subflow.map_subflow_seq = u32_at(value, 0),
        6 => subflow.subflow_seq_offset = u32_at(value, 0),
        7 => subflow.map_len = u16_at(value, 0),
        8 => subflow.flags = u32_at(value, 0),
        9 => subflow.id_remote = value.first().copied(),
        10 => subflow.id_local = value.first().copied(),
        _ => {}
    });
    subflow
}

/// `struct mptcp_info` of include/uapi/linux/mptcp.h.
fn mptcp(value: &[u8]) -> MptcpInfo {
    MptcpInfo {
        subflows: value.first().copied(),
        subflows_max: value.get(3).copied(),
        flags: u32_at(value, 8),
        token: u32_at(value, 12),
        write_seq: u64_at(value, 16),
        snd_una: u64_at(value, 24),
        rcv_nxt: u64_at(value, 32),
        retransmits: u32_at(value, 44),
        bytes_retrans: u64_at(value, 48),
        bytes_sent: u64_at(value, 56),
        bytes_received: u64_at(value, 64),
        bytes_acked: u64_at(value, 72),
    }
}

fn read_unix(payload: &[u8], sample: &mut SocketSample) -> Read {
    let Some((header, rest)) = payload.split_first_chunk::<UNIX_HEADER>() else { return Read::Nothing };
    sample.family = Family::UNIX;
    sample.socket_type = Some(SocketType(header[1]));
    sample.state = SocketState(header[2]);
    sample.inode = u32_at(header, 4).and_then(nonzero);
    sample.cookie = at(header, 8).as_ref().and_then(cookie);
    let mut unix = UnixSocket::default();
    let outcome = attributes(rest, |kind, value| match kind {
        UNIX_NAME => unix.name = Some(name(value)),
        UNIX_VFS => unix.vfs = u32_at(value, 0).zip(u32_at(value, 4)),
        // 0 is no inode: that of one that nobody has accepted yet.
        UNIX_PEER => unix.peer = u32_at(value, 0).and_then(nonzero),
        UNIX_ICONS => unix.pending = Some((value.len() / 4) as u32),
        UNIX_RQLEN => (sample.receive_queue, sample.send_queue) = (u32_at(value, 0), u32_at(value, 4)),
        UNIX_MEMINFO => sample.memory = Some(SocketMemory::from_bytes(value)),
        UNIX_SHUTDOWN => sample.shutdown = value.first().map(|&bits| Shutdown::from_bits_retain(bits)),
        UNIX_UID => sample.uid = u32_at(value, 0),
        _ => {}
    });
    sample.unix = Some(unix);
    outcome
}

/// A path ends at its first zero byte; an abstract name begins with one and is as long as it was sent.
fn name(value: &[u8]) -> Short<108> {
    if value.first() == Some(&0) { Short::new(value) } else { Short::from_c(value) }
}

fn read_packet(payload: &[u8], sample: &mut SocketSample) -> Read {
    let Some((header, rest)) = payload.split_first_chunk::<PACKET_HEADER>() else { return Read::Nothing };
    sample.family = Family::PACKET;
    sample.socket_type = Some(SocketType(header[1]));
    sample.state = SocketState::CLOSE;
    sample.inode = u32_at(header, 4).and_then(nonzero);
    sample.cookie = at(header, 8).as_ref().and_then(cookie);
    let mut packet = PacketSocket { ethertype: u16_at(header, 2).unwrap_or(0), ..PacketSocket::default() };
    let ring = |value: &[u8]| u32_at(value, 4).zip(u32_at(value, 0));
    let outcome = attributes(rest, |kind, value| match kind {
        PACKET_INFO => {
            packet.interface = u32_at(value, 0);
            packet.version = u32_at(value, 4);
            packet.copy_threshold = u32_at(value, 12);
            packet.flags = u32_at(value, 20);
        }
        PACKET_RX_RING => packet.receive_ring = ring(value),
        PACKET_TX_RING => packet.send_ring = ring(value),
        PACKET_FANOUT => packet.fanout = u32_at(value, 0),
        PACKET_UID => sample.uid = u32_at(value, 0),
        PACKET_MEMINFO => sample.memory = Some(SocketMemory::from_bytes(value)),
        // struct sock_filter: 8 bytes each.
        // Empty for who may not see it (`sock_diag_put_filterinfo`); without a filter there is no such attribute.
        PACKET_FILTER if value.is_empty() => {}
        PACKET_FILTER => packet.filter_instructions = Some((value.len() / 8) as u32),
        _ => {}
    });
    sample.interface = packet.interface.and_then(nonzero);
    sample.receive_queue = sample.memory.and_then(|memory| memory.receive_allocated());
    sample.packet = Some(packet);
    outcome
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_that_may_not_be_seen_is_not_one_of_no_instructions() {
        // struct packet_diag_msg: a raw socket with an inode.
        let header = [17u8, 3, 0, 8, 9, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0];
        let seen = |attribute: &[u8]| {
            let mut sample = SocketSample::default();
            assert_eq!(read_packet(&[&header[..], attribute].concat(), &mut sample), Read::Whole);
            sample.packet.and_then(|packet| packet.filter_instructions)
        };
        assert_eq!(seen(&[]), None);
        assert_eq!(seen(&[4, 0, PACKET_FILTER as u8, 0]), None);
        assert_eq!(seen(&[&[20, 0, PACKET_FILTER as u8, 0][..], &[0; 16]].concat()), Some(2));
    }
}
