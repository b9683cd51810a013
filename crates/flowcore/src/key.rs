//! What identifies a flow: two ends and a protocol, in one 40-byte value.

use std::fmt;

use crate::addr::Addr;

/// An IP protocol number (IANA "Assigned Internet Protocol Numbers").
#[derive(Copy, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(transparent)]
pub struct Protocol(pub u8);

#[allow(missing_docs, reason = "the names are IANA's")]
impl Protocol {
    pub const HOPOPT: Self = Self(0);
    pub const ICMP: Self = Self(1);
    pub const IGMP: Self = Self(2);
    pub const IPIP: Self = Self(4);
    pub const TCP: Self = Self(6);
    pub const UDP: Self = Self(17);
    pub const DCCP: Self = Self(33);
    pub const IPV6: Self = Self(41);
    pub const ROUTING: Self = Self(43);
    pub const FRAGMENT: Self = Self(44);
    pub const GRE: Self = Self(47);
    pub const ESP: Self = Self(50);
    pub const AH: Self = Self(51);
    pub const ICMPV6: Self = Self(58);
    pub const NO_NEXT: Self = Self(59);
    pub const DESTINATION: Self = Self(60);
    pub const OSPF: Self = Self(89);
    pub const SCTP: Self = Self(132);
    pub const MOBILITY: Self = Self(135);
    pub const UDP_LITE: Self = Self(136);

    /// The usual lower-case name, if the protocol has one here.
    pub const fn name(self) -> Option<&'static str> {
        Some(match self {
            Self::HOPOPT => "hopopt",
            Self::ICMP => "icmp",
            Self::IGMP => "igmp",
            Self::IPIP => "ipip",
            Self::TCP => "tcp",
            Self::UDP => "udp",
            Self::DCCP => "dccp",
            Self::IPV6 => "ipv6",
            Self::GRE => "gre",
            Self::ESP => "esp",
            Self::AH => "ah",
            Self::ICMPV6 => "icmp6",
            Self::OSPF => "ospf",
            Self::SCTP => "sctp",
            Self::UDP_LITE => "udplite",
            Self(8) => "egp",
            Self(9) => "igp",
            Self(46) => "rsvp",
            Self(88) => "eigrp",
            Self(103) => "pim",
            Self(112) => "vrrp",
            Self(115) => "l2tp",
            _ => return None,
        })
    }

    /// Whether this is ICMP or ICMPv6.
    #[inline]
    const fn is_icmp(self) -> bool {
        matches!(self, Self::ICMP | Self::ICMPV6)
    }

    /// Whether a packet's payload behind this protocol's header is known here; of others it is 0 in events.
    pub const fn has_payload(self) -> bool {
        self.has_ports() || self.is_icmp()
    }

    /// Whether this is an extension header that is walked over (RFC 8200 section 4), which names the protocol behind it.
    pub(crate) const fn is_extension(self) -> bool {
        matches!(self, Self::HOPOPT | Self::ROUTING | Self::DESTINATION | Self::AH)
    }

    /// Whether the protocol has source and destination ports.
    pub const fn has_ports(self) -> bool {
        matches!(self, Self::TCP | Self::UDP | Self::SCTP | Self::DCCP | Self::UDP_LITE)
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => f.write_str(name),
            None => self.0.fmt(f),
        }
    }
}

impl fmt::Debug for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Which way an event went, relative to the flow's originator.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Direction {
    /// From the originator to the responder.
    #[default]
    Forward = 0,
    /// From the responder to the originator.
    Reverse = 1,
}

impl Direction {
    /// 0 for forward, 1 for reverse: the index into any `[T; 2]` by direction.
    #[inline]
    pub const fn index(self) -> usize {
        self as usize
    }

    /// The other one.
    #[inline]
    pub const fn opposite(self) -> Self {
        match self {
            Self::Forward => Self::Reverse,
            Self::Reverse => Self::Forward,
        }
    }
}

/// Two ends and a protocol, as seen on one packet: `src` sent it.
///
/// Ports are those of TCP, UDP, UDP-Lite, SCTP and DCCP. For ICMP and ICMPv6 `src_port` is the type and `dst_port` the
/// type that answers it (8 and 0 for an echo request, 0 and 8 for the reply), so that both directions of an exchange
/// make one flow; a type without an answer has its code there and its flow is one-way. For every other protocol, and
/// for later fragments before they are joined, both are 0. These are the rules of Community ID v1.
#[derive(Copy, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(C)]
pub struct FlowKey {
    /// The sender's address.
    pub src: Addr,
    /// The receiver's address.
    pub dst: Addr,
    /// The sender's port (ICMP: the type).
    pub src_port: u16,
    /// The receiver's port (ICMP: the answering type, or the code where there is none).
    pub dst_port: u16,
    /// VLAN or namespace index where flows are told apart by it; 0 = not told apart.
    pub zone: u16,
    /// The IP protocol.
    pub protocol: Protocol,
    /// Always zero; fills the key to five words.
    pub reserved: u8,
}

const _: () = assert!(size_of::<FlowKey>() == 40);

impl FlowKey {
    /// The key of frames that have no flow (ARP, LLDP, …): no ends, protocol 0.
    pub const NONE: Self = Self {
        src: Addr::UNSPECIFIED,
        dst: Addr::UNSPECIFIED,
        src_port: 0,
        dst_port: 0,
        zone: 0,
        protocol: Protocol(0),
        reserved: 0,
    };

    /// The same flow as its answer would carry it: ends swapped.
    #[inline]
    #[must_use]
    pub const fn reversed(self) -> Self {
        Self { src: self.dst, dst: self.src, src_port: self.dst_port, dst_port: self.src_port, ..self }
    }

    /// Version of IP: 4 where both ends are IPv4 addresses, 6 otherwise, as where one is IPv4-mapped in an IPv6 header.
    #[inline]
    #[must_use]
    pub fn ip_version(&self) -> u8 {
        if self.src.is_v4() && self.dst.is_v4() { 4 } else { 6 }
    }

    /// The one key that both directions of the flow share (the smaller end first) and which way this one goes.
    ///
    /// A one-way ICMP message has no other direction and keeps its order.
    #[inline]
    #[must_use]
    pub fn canonical(self) -> (Self, Direction) {
        let (src, dst) = (self.src.words(), self.dst.words());
        if src < dst || (src == dst && self.src_port <= self.dst_port) || self.is_one_way() {
            (self, Direction::Forward)
        } else {
            (self.reversed(), Direction::Reverse)
        }
    }

    /// The key as five words with its ends in an order of their own (not the numeric one of
    /// [`canonical`](Self::canonical)), and whether they were swapped for it: what the flow table hashes and compares.
    /// Without branches on the addresses, which no predictor would guess.
    #[inline]
    pub(crate) fn words(&self) -> ([u64; 5], bool) {
        let (s0, s1) = self.src.halves();
        let (d0, d1) = self.dst.halves();
        let ports = u32::from(self.src_port) | u32::from(self.dst_port) << 16;
        // `reserved` is zero; with it the tail is one load.
        let tail = u64::from(self.zone) << 32 | u64::from(self.protocol.0) << 48 | u64::from(self.reserved) << 56;
        let (x0, x1) = (s0 ^ d0, s1 ^ d1);
        let whole = |high: u64, low: u64| u128::from(high) << 64 | u128::from(low);
        let mut swap = whole(s0, s1) > whole(d0, d1);
        // Both nearly never happen.
        if x0 | x1 == 0 {
            swap = self.src_port > self.dst_port;
        }
        if self.is_one_way() {
            swap = false;
        }
        let mask = u64::from(swap).wrapping_neg();
        let (x0, x1) = (x0 & mask, x1 & mask);
        let ports = ports.rotate_left(16 * u32::from(swap));
        ([s0 ^ x0, s1 ^ x1, d0 ^ x0, d1 ^ x1, tail | u64::from(ports)], swap)
    }

    /// The key that [`words`](Self::words) were made of, its ends in their order or the other way round if `swapped`.
    #[inline]
    pub(crate) fn from_words([s0, s1, d0, d1, tail]: [u64; 5], swapped: bool) -> Self {
        let mask = u64::from(swapped).wrapping_neg();
        let (x0, x1) = ((s0 ^ d0) & mask, (s1 ^ d1) & mask);
        let [s0, s1, d0, d1] = [s0 ^ x0, s1 ^ x1, d0 ^ x0, d1 ^ x1];
        let ports = (tail as u32).rotate_left(16 * u32::from(swapped));
        Self {
            src: Addr::from_halves(s0, s1),
            dst: Addr::from_halves(d0, d1),
            src_port: ports as u16,
            dst_port: (ports >> 16) as u16,
            zone: (tail >> 32) as u16,
            protocol: Protocol((tail >> 48) as u8),
            reserved: 0,
        }
    }

    /// Whether this is an ICMP message that nothing answers (an error, a redirect, …).
    #[inline]
    pub fn is_one_way(self) -> bool {
        self.protocol.is_icmp() && self.has_no_answer()
    }

    #[cold]
    #[inline(never)]
    fn has_no_answer(self) -> bool {
        let counterpart = match self.protocol {
            Protocol::ICMP => icmp_counterpart(self.src_port),
            _ => icmp6_counterpart(self.src_port),
        };
        counterpart != Some(self.dst_port)
    }

    /// Whether the key names a flow at all.
    #[inline]
    pub fn is_some(&self) -> bool {
        // Nearly every key has a protocol: the rest need not be looked at.
        self.protocol.0 != 0 || *self != Self::NONE
    }
}

/// For people: `tcp 192.0.2.1:4711 > 192.0.2.2:80`, `udp [2001:db8::1]:53 > [2001:db8::2]:4711`, `gre 192.0.2.1 >
/// 192.0.2.2`, `icmp 192.0.2.1 > 192.0.2.2 type 3 code 1`. A port that is not known is left out.
impl fmt::Display for FlowKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ports = self.protocol.has_ports() && (self.src_port, self.dst_port) != (0, 0);
        let end = |f: &mut fmt::Formatter<'_>, addr: Addr, port: u16| match (ports, addr.to_v4()) {
            (false, _) => write!(f, "{addr}"),
            (true, Some(_)) => write!(f, "{addr}:{port}"),
            (true, None) => write!(f, "[{addr}]:{port}"),
        };
        write!(f, "{} ", self.protocol)?;
        end(f, self.src, self.src_port)?;
        f.write_str(" > ")?;
        end(f, self.dst, self.dst_port)?;
        // Of a later fragment, or cut before it, the type is not known; no message that is sent has both 0.
        if self.protocol.is_icmp() && (self.src_port, self.dst_port) != (0, 0) {
            write!(f, " type {}", self.src_port)?;
            if self.is_one_way() {
                write!(f, " code {}", self.dst_port)?;
            }
        }
        if self.zone != 0 {
            write!(f, " zone {}", self.zone)?;
        }
        Ok(())
    }
}

impl fmt::Debug for FlowKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}:{} > {}:{}", self.protocol, self.src, self.src_port, self.dst, self.dst_port)?;
        if self.zone != 0 {
            write!(f, " zone {}", self.zone)?;
        }
        Ok(())
    }
}

/// The ICMP type that answers `kind` (RFC 792, 950, 1256), if one does.
pub const fn icmp_counterpart(kind: u16) -> Option<u16> {
    Some(match kind {
        0 => 8,
        8 => 0,
        9 => 10,
        10 => 9,
        13 => 14,
        14 => 13,
        15 => 16,
        16 => 15,
        17 => 18,
        18 => 17,
        _ => return None,
    })
}

/// The ICMPv6 type that answers `kind` (RFC 4443, 4861, 2710, 4620, 6275), if one does.
pub const fn icmp6_counterpart(kind: u16) -> Option<u16> {
    Some(match kind {
        128 => 129,
        129 => 128,
        130 => 131,
        131 => 130,
        133 => 134,
        134 => 133,
        135 => 136,
        136 => 135,
        139 => 140,
        140 => 139,
        144 => 145,
        145 => 144,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(src: &str, src_port: u16, dst: &str, dst_port: u16, protocol: Protocol) -> FlowKey {
        FlowKey { src: src.parse().unwrap(), dst: dst.parse().unwrap(), src_port, dst_port, protocol, ..FlowKey::NONE }
    }

    #[test]
    fn a_key_is_written_as_people_write_two_ends() {
        let key = |protocol, src: &str, dst: &str, src_port, dst_port| FlowKey {
            src: src.parse().unwrap(),
            dst: dst.parse().unwrap(),
            src_port,
            dst_port,
            protocol,
            ..FlowKey::NONE
        };
        for (key, words) in [
            (key(Protocol::TCP, "192.0.2.1", "192.0.2.2", 4711, 80), "tcp 192.0.2.1:4711 > 192.0.2.2:80"),
            (key(Protocol::UDP, "2001:db8::1", "2001:db8::2", 53, 9), "udp [2001:db8::1]:53 > [2001:db8::2]:9"),
            (key(Protocol::TCP, "192.0.2.1", "192.0.2.2", 0, 0), "tcp 192.0.2.1 > 192.0.2.2"),
            (key(Protocol(47), "2001:db8::1", "2001:db8::2", 0, 0), "gre 2001:db8::1 > 2001:db8::2"),
            (key(Protocol::ICMP, "192.0.2.1", "192.0.2.2", 8, 0), "icmp 192.0.2.1 > 192.0.2.2 type 8"),
            (key(Protocol::ICMP, "192.0.2.1", "192.0.2.2", 0, 0), "icmp 192.0.2.1 > 192.0.2.2"),
            (key(Protocol::ICMP, "192.0.2.1", "192.0.2.2", 3, 1), "icmp 192.0.2.1 > 192.0.2.2 type 3 code 1"),
        ] {
            assert_eq!(key.to_string(), words);
        }
    }

    #[test]
    fn both_directions_share_one_canonical_key() {
        let there = key("10.0.0.2", 40000, "10.0.0.1", 80, Protocol::TCP);
        assert_eq!(there.canonical().0, there.reversed().canonical().0);
        assert_ne!(there.canonical().1, there.reversed().canonical().1);
    }

    #[test]
    fn equal_addresses_are_ordered_by_port() {
        let to_self = key("127.0.0.1", 40000, "127.0.0.1", 80, Protocol::TCP);
        assert_eq!(to_self.canonical(), (to_self.reversed(), Direction::Reverse));
    }

    #[test]
    fn an_icmp_error_has_no_other_direction() {
        let error = key("10.0.0.2", 3, "10.0.0.1", 1, Protocol::ICMP);
        assert_eq!(error.canonical(), (error, Direction::Forward));
        let echo = key("10.0.0.2", 8, "10.0.0.1", 0, Protocol::ICMP);
        assert_eq!(echo.canonical().0, echo.reversed().canonical().0);
    }
}
