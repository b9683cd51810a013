//! Columns about memory, and of what only some kinds of socket have.

use flowcore::report::{Unit, Value};
use flowcore::socket::PacketSocket;

use super::{Group, Socket, counter, gauge, key, number, text};
use crate::fields::Field;

/// Columns about memory.
pub(super) fn memory() -> Vec<(Group, Field<Socket>)> {
    use Group::Memory;
    macro_rules! memory {
        ($($words:expr, $value:ident;)*) => {
            vec![$(gauge(Memory, $words, Unit::Bytes, |s| number(s.sample.memory.and_then(|memory| memory.$value())))),*]
        };
    }
    let mut columns = memory![
        ["rmem_bytes", "RMEM", "Held for received data."], receive_allocated;
        ["rcvbuf_bytes", "RCVBUF", "Limit of the receive buffer."], receive_buffer;
        ["wmem_bytes", "WMEM", "Held for data on its way out."], send_allocated;
        ["sndbuf_bytes", "SNDBUF", "Limit of the send buffer."], send_buffer;
        ["fwd_bytes", "FWD", "Reserved and free."], forward_allocated;
        ["wqueue_bytes", "WQUEUE", "In the send queue, with overhead."], send_queued;
        ["optmem_bytes", "OPTMEM", "Held for options and filters."], options;
        ["backlog_bytes", "BACKLOG-MEM", "Received while the socket was in use by a call."], backlog;
    ];
    columns.push(counter(Memory, ["drops", "DROPS", "Packets dropped for want of room."], Unit::Packets, |s| {
        number(s.sample.memory.and_then(|memory| memory.drops()))
    }));
    columns
}

/// Columns of local sockets, of packet sockets, of Multipath TCP and of SCTP.
pub(super) fn columns() -> Vec<(Group, Field<Socket>)> {
    use Group::{Bpf, Named, Unix};
    vec![
        key(Unix, ["peer_inode", "PEER", "Of local sockets: inode of the other end."], |s| {
            number(s.sample.unix.and_then(|unix| unix.peer))
        }),
        gauge(Named, ["path_inode", "PATH-INODE", "Of local sockets: inode of the path."], Unit::None, |s| {
            number(s.sample.unix.and_then(|unix| unix.vfs).map(|(inode, _)| inode))
        }),
        gauge(
            Named,
            ["path_device", "DEVICE", "Of local sockets: device of the path, the kernel's major << 20 | minor."],
            Unit::None,
            |s| number(s.sample.unix.and_then(|unix| unix.vfs).map(|(_, device)| device)),
        ),
        gauge(Named, ["ring_version", "TPACKET", "Of packet sockets: version of the ring, 1 to 3."], Unit::None, |s| {
            number(packet(s).and_then(|packet| packet.version).map(|version| version + 1))
        }),
        gauge(Named, ["rx_ring_bytes", "RX-RING", "Of packet sockets: the receive ring."], Unit::Bytes, |s| {
            ring(packet(s).and_then(|packet| packet.receive_ring))
        }),
        gauge(Named, ["tx_ring_bytes", "TX-RING", "Of packet sockets: the send ring."], Unit::Bytes, |s| {
            ring(packet(s).and_then(|packet| packet.send_ring))
        }),
        gauge(
            Named,
            ["copy_threshold", "COPY", "Of packet sockets: packets longer than this are queued; 0 = none."],
            Unit::Bytes,
            |s| number(packet(s).and_then(|packet| packet.copy_threshold)),
        ),
        gauge(
            Named,
            ["packet_flags", "PACKET-FLAGS", "Of packet sockets: running, auxdata, origdev, vnethdr, loss."],
            Unit::None,
            |s| text(packet(s).and_then(|packet| packet.flags).and_then(packet_flags)),
        ),
        gauge(Named, ["fanout", "FANOUT", "Of packet sockets: fanout group."], Unit::None, |s| {
            number(packet(s).and_then(|packet| packet.fanout))
        }),
        gauge(Bpf, ["bpf_instructions", "BPF", "Of packet sockets: length of the filter (ss -b)."], Unit::None, |s| {
            number(packet(s).and_then(|packet| packet.filter_instructions))
        }),
        gauge(Named, ["subflows", "SUBFLOWS", "Of MPTCP: subflows beside the first."], Unit::None, |s| {
            number(s.sample.mptcp.and_then(|mptcp| mptcp.subflows))
        }),
        gauge(Named, ["token", "TOKEN", "Of MPTCP: the connection's token."], Unit::None, |s| {
            number(s.sample.mptcp.and_then(|mptcp| mptcp.token))
        }),
        gauge(Named, ["subflows_max", "SUBFLOWS-MAX", "Of MPTCP: most subflows beside the first."], Unit::None, |s| {
            number(s.sample.mptcp.and_then(|mptcp| mptcp.subflows_max))
        }),
        gauge(
            Named,
            ["mptcp_flags", "MPTCP-FLAGS", "Of MPTCP: 1 fallen back to TCP, 2 remote key known."],
            Unit::None,
            |s| number(s.sample.mptcp.and_then(|mptcp| mptcp.flags)),
        ),
        gauge(Named, ["write_seq", "WRITE-SEQ", "Of MPTCP: next data sequence number to send."], Unit::None, |s| {
            number(s.sample.mptcp.and_then(|mptcp| mptcp.write_seq))
        }),
        gauge(Named, ["snd_una", "SND-UNA", "Of MPTCP: first not acknowledged."], Unit::None, |s| {
            number(s.sample.mptcp.and_then(|mptcp| mptcp.snd_una))
        }),
        gauge(Named, ["rcv_nxt", "RCV-NXT", "Of MPTCP: next expected."], Unit::None, |s| {
            number(s.sample.mptcp.and_then(|mptcp| mptcp.rcv_nxt))
        }),
        gauge(Named, ["local_addresses", "LOCALS", "Of SCTP: addresses of this end."], Unit::None, |s| {
            number(s.sample.addresses.map(|(local, _)| local))
        }),
        gauge(Named, ["remote_addresses", "REMOTES", "Of SCTP: addresses of the other end."], Unit::None, |s| {
            number(s.sample.addresses.map(|(_, remote)| remote))
        }),
    ]
}

fn packet(socket: &Socket) -> Option<&PacketSocket> {
    socket.sample.packet.as_ref()
}

/// Blocks and bytes of each; one of no blocks is none.
fn ring(ring: Option<(u32, u32)>) -> Value {
    number(ring.map(|(blocks, bytes)| u64::from(blocks) * u64::from(bytes)).filter(|&bytes| bytes > 0))
}

/// `PDI_*` of include/uapi/linux/packet_diag.h.
fn packet_flags(flags: u32) -> Option<String> {
    const NAMES: [&str; 5] = ["running", "auxdata", "origdev", "vnethdr", "loss"];
    let set: Vec<&str> =
        NAMES.iter().zip(0..).filter(|(_, bit)| flags >> bit & 1 == 1).map(|(name, _)| *name).collect();
    (!set.is_empty()).then(|| set.join(" "))
}
