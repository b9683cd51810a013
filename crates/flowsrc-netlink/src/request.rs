//! What the kernel is asked, as bytes.

use flowcore::SocketSample;
use flowcore::socket::Family;
use netlink_packet_core::{DefaultNla, Emitable, NLM_F_ACK, NLM_F_DUMP, NLM_F_REQUEST, NetlinkBuffer};
use netlink_packet_sock_diag::constants::{SOCK_DESTROY, SOCK_DIAG_BY_FAMILY};

use crate::options::{BOTH, Dump, Options, Parts};

/// Bytes of `struct nlmsghdr`.
const HEADER_BYTES: usize = 16;

/// `INET_DIAG_REQ_BYTECODE` and `INET_DIAG_REQ_PROTOCOL`, attributes of a request.
const REQUEST_BYTECODE: u16 = 1;
const REQUEST_PROTOCOL: u16 = 3;

/// Extensions, asked for by bits: `tcp_info`, the congestion control's name, what was shut down. What has a number above 8
/// comes along unasked.
const EXTENSIONS: u8 = 1 << 1 | 1 << 3 | 1 << 7;
/// `INET_DIAG_SKMEMINFO`, which contains `INET_DIAG_MEMINFO`.
const MEMORY: u8 = 1 << 6;
/// `INET_DIAG_VEGASINFO`, for which any congestion control gives its own account.
const CONGESTION_INFO: u8 = 1 << 2;
/// `INET_DIAG_TOS` and `INET_DIAG_TCLASS`, the latter for `INET_DIAG_CLASS_ID` too.
const TRAFFIC_CLASS: u8 = 1 << 4 | 1 << 5;

fn extensions(parts: Parts) -> u8 {
    [(Parts::MEMORY, MEMORY), (Parts::CONGESTION_INFO, CONGESTION_INFO), (Parts::TRAFFIC_CLASS, TRAFFIC_CLASS)]
        .into_iter()
        .filter(|&(part, _)| parts.contains(part))
        .fold(EXTENSIONS, |sum, (_, bits)| sum | bits)
}

/// `UDIAG_SHOW_*`: name, inode of the path, peer, pending connections, queues, memory, owner.
const UNIX_SHOW: u32 = 0x7f;

/// `PACKET_SHOW_*`: everything but multicast memberships.
const PACKET_SHOW: u32 = 0x3d;

/// `TCPDIAG_GETSOCK`: how TCP sockets were asked for before other protocols could be. It does not tell families apart, so the
/// kernel walks its table once where `SOCK_DIAG_BY_FAMILY` makes it walk twice: a tenth to a sixth of the time of both.
pub(crate) const TCPDIAG_GETSOCK: u16 = 18;

/// Asks for all sockets of a kind, in the states and with the parts of `options`, that `bytecode` (a program of `inet_diag`)
/// passes where that has a meaning.
pub(crate) fn dump(dump: &Dump, options: &Options, bytecode: Option<&[u8]>, sequence: u32) -> Vec<u8> {
    let Options { states, parts, .. } = *options;
    let extensions = extensions(parts);
    let mut payload = Vec::with_capacity(64);
    let mut kind = SOCK_DIAG_BY_FAMILY;
    match dump.family {
        BOTH => {
            // struct inet_diag_req
            kind = TCPDIAG_GETSOCK;
            payload.extend_from_slice(&[Family::INET.0, 0, 0, extensions]);
            payload.extend_from_slice(&[0; 48]);
            payload.extend_from_slice(&states.to_ne_bytes());
            payload.extend_from_slice(&0u32.to_ne_bytes());
            if let Some(bytecode) = bytecode {
                append(&mut payload, DefaultNla::new(REQUEST_BYTECODE, bytecode.into()));
            }
        }
        Family::UNIX => {
            payload.extend_from_slice(&[dump.family.0, 0, 0, 0]);
            payload.extend_from_slice(&states.to_ne_bytes());
            payload.extend_from_slice(&0u32.to_ne_bytes());
            payload.extend_from_slice(&UNIX_SHOW.to_ne_bytes());
            payload.extend_from_slice(&[0; 8]);
        }
        Family::PACKET => {
            payload.extend_from_slice(&[dump.family.0, 0, 0, 0]);
            payload.extend_from_slice(&0u32.to_ne_bytes());
            payload.extend_from_slice(&PACKET_SHOW.to_ne_bytes());
            payload.extend_from_slice(&[0; 8]);
        }
        _ => {
            payload.extend_from_slice(&[dump.family.0, dump.protocol as u8, extensions, 0]);
            payload.extend_from_slice(&states.to_ne_bytes());
            payload.extend_from_slice(&[0; 48]);
            if dump.protocol > 0xff {
                append(&mut payload, DefaultNla::new(REQUEST_PROTOCOL, u32::from(dump.protocol).to_ne_bytes().into()));
            }
            if let Some(bytecode) = bytecode.filter(|_| dump.has_ports()) {
                append(&mut payload, DefaultNla::new(REQUEST_BYTECODE, bytecode.into()));
            }
        }
    }
    message(kind, NLM_F_REQUEST | NLM_F_DUMP, sequence, &payload)
}

/// Asks that one socket be closed, whoever holds it; answered by an acknowledgment.
pub(crate) fn destroy(socket: &SocketSample, sequence: u32) -> Vec<u8> {
    let mut payload = vec![socket.family.0, socket.protocol as u8, 0, 0];
    payload.extend_from_slice(&Options::ALL_STATES.to_ne_bytes());
    payload.extend_from_slice(&socket.local_port.to_be_bytes());
    payload.extend_from_slice(&socket.remote_port.to_be_bytes());
    for addr in [socket.local, socket.remote] {
        let mut octets = *addr.octets();
        if socket.family == Family::INET {
            octets = [0; 16];
            octets[..4].copy_from_slice(&addr.to_v4().unwrap_or_default());
        }
        payload.extend_from_slice(&octets);
    }
    payload.extend_from_slice(&socket.interface.unwrap_or(0).to_ne_bytes());
    let cookie = socket.cookie.unwrap_or(u64::MAX);
    payload.extend_from_slice(&(cookie as u32).to_ne_bytes());
    payload.extend_from_slice(&((cookie >> 32) as u32).to_ne_bytes());
    message(SOCK_DESTROY, NLM_F_REQUEST | NLM_F_ACK, sequence, &payload)
}

fn append(payload: &mut Vec<u8>, attribute: DefaultNla) {
    let start = payload.len();
    payload.resize(start + attribute.buffer_len(), 0);
    attribute.emit(&mut payload[start..]);
}

fn message(kind: u16, flags: u16, sequence: u32, payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0; HEADER_BYTES + payload.len()];
    let length = bytes.len() as u32;
    let mut message = NetlinkBuffer::new(&mut bytes);
    message.set_length(length);
    message.set_message_type(kind);
    message.set_flags(flags);
    message.set_sequence_number(sequence);
    message.payload_mut().copy_from_slice(payload);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::options::Kinds;

    fn of(states: u32) -> Options {
        Options { states, ..Options::default() }
    }

    #[test]
    fn a_request_for_tcp_is_as_long_as_the_kernels_structure() {
        let tcp = Dump { family: Family::INET, protocol: 6, registered: "TCP" };
        let bytes = dump(&tcp, &of(1 << 1 | 1 << 10), None, 7);
        let message = NetlinkBuffer::new_checked(&bytes[..]).unwrap();
        assert_eq!((message.sequence_number(), message.length() as usize), (7, bytes.len()));
        // struct inet_diag_req_v2
        assert_eq!((message.payload_length(), &message.payload()[..2]), (56, &[2u8, 6][..]));
    }

    #[test]
    fn both_families_are_asked_for_as_long_as_the_older_structure() {
        let both = Dump { family: BOTH, protocol: 6, registered: "TCP" };
        let bytes = dump(&both, &of(1 << 10), Some(&[1, 2, 3, 4]), 7);
        let message = NetlinkBuffer::new_checked(&bytes[..]).unwrap();
        assert_eq!(message.message_type(), TCPDIAG_GETSOCK);
        // struct inet_diag_req, then the program with its header.
        assert_eq!((message.payload_length(), &message.payload()[52..56]), (60 + 8, &(1u32 << 10).to_ne_bytes()[..]));
        assert_eq!(both.split().map(|two| two.map(|one| one.family)), Some([Family::INET, Family::INET6]));
    }

    #[test]
    fn extensions_are_asked_for_as_far_as_they_are_of_interest() {
        // Bits of INET_DIAG_*, each one less than its number; 1, MEMINFO, is in SKMEMINFO.
        assert_eq!(extensions(Parts::all()), 0xfe);
        // 2 INFO, 4 CONG and 8 SHUTDOWN.
        assert_eq!(extensions(Parts::empty()), 0b1000_1010);
        assert_eq!(extensions(Parts::MEMORY), 0b1100_1010);
    }

    #[test]
    #[cfg(target_endian = "little")]
    fn a_protocol_beyond_a_byte_is_an_attribute() {
        let mptcp = Dump { family: Family::INET, protocol: 262, registered: "MPTCP" };
        let bytes = dump(&mptcp, &of(1), Some(&[1, 2, 3, 4]), 1);
        assert_eq!(bytes[72..], [8, 0, 3, 0, 6, 1, 0, 0, 8, 0, 1, 0, 1, 2, 3, 4]);
    }

    #[test]
    fn a_program_goes_only_where_ports_are_ports() {
        let mut with = Vec::new();
        for what in Kinds::all().dumps(true, true) {
            let bare = dump(&what, &of(1), None, 1);
            let asked = dump(&what, &of(1), Some(&[1, 2, 3, 4]), 1);
            match asked.len() - bare.len() {
                0 => assert_eq!(asked, bare, "{what:?}"),
                _ => with.push(what.registered),
            }
        }
        with.dedup();
        assert_eq!(with, ["TCP", "MPTCP", "UDP", "UDP-Lite", "DCCP", "SCTP"]);
    }
}
