//! Network addresses: one 16-byte form for IPv4 and IPv6, and prefixes over it.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use crate::error::{Error, ErrorKind, Result};

/// The first twelve bytes of an IPv4-mapped IPv6 address, `::ffff:0:0/96` (RFC 4291 section 2.5.5.2).
const MAPPED: [u8; 12] = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff];

/// An IP address of either family in 16 bytes; IPv4 is held as IPv4-mapped IPv6.
///
/// One form means that a packet's `10.0.0.1` and a dual-stack socket's `::ffff:10.0.0.1` are equal, which they are.
/// Ordering is by bytes.
#[derive(Copy, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(transparent)]
pub struct Addr([u8; 16]);

impl Addr {
    /// `::`, said where there is no address.
    pub const UNSPECIFIED: Self = Self([0; 16]);

    /// An IPv4 address from its four bytes.
    #[inline]
    pub const fn v4(bytes: [u8; 4]) -> Self {
        // In two numbers rather than byte by byte, and without turning any byte round.
        let word = u32::from_ne_bytes(bytes) as u64;
        if cfg!(target_endian = "little") {
            Self::from_halves(word << 32 | 0xffff_0000, 0)
        } else {
            Self::from_halves(0, 0xffff << 32 | word)
        }
    }

    /// An IPv6 address from its sixteen bytes.
    #[inline]
    pub const fn v6(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// The sixteen bytes, IPv4 mapped.
    #[inline]
    pub const fn octets(&self) -> &[u8; 16] {
        &self.0
    }

    /// The two halves as numbers, most significant first; comparing them is comparing the bytes.
    #[inline]
    pub(crate) const fn words(self) -> (u64, u64) {
        let whole = u128::from_be_bytes(self.0);
        ((whole >> 64) as u64, whole as u64)
    }

    /// The two halves as the machine reads them: for hashing and equality, not for order by bytes.
    #[inline]
    pub(crate) const fn halves(self) -> (u64, u64) {
        let whole = u128::from_ne_bytes(self.0);
        ((whole >> 64) as u64, whole as u64)
    }

    /// The address of which these are the [`halves`](Self::halves).
    #[inline]
    pub(crate) const fn from_halves(high: u64, low: u64) -> Self {
        Self((((high as u128) << 64) | low as u128).to_ne_bytes())
    }

    /// Whether this is an IPv4 address (or one mapped into IPv6, which is the same here).
    pub fn is_v4(self) -> bool {
        self.0[..12] == MAPPED
    }

    /// The four bytes of an IPv4 address; `None` for IPv6.
    pub fn to_v4(self) -> Option<[u8; 4]> {
        let [.., a, b, c, d] = self.0;
        self.is_v4().then_some([a, b, c, d])
    }

    /// The standard library's form, IPv4 unmapped.
    pub fn to_ip(self) -> IpAddr {
        match self.to_v4() {
            Some(bytes) => IpAddr::V4(Ipv4Addr::from(bytes)),
            None => IpAddr::V6(Ipv6Addr::from(self.0)),
        }
    }
}

impl From<IpAddr> for Addr {
    fn from(ip: IpAddr) -> Self {
        match ip {
            IpAddr::V4(v4) => Self::v4(v4.octets()),
            IpAddr::V6(v6) => Self::v6(v6.octets()),
        }
    }
}

impl From<Ipv4Addr> for Addr {
    fn from(ip: Ipv4Addr) -> Self {
        Self::v4(ip.octets())
    }
}

impl From<Ipv6Addr> for Addr {
    /// One that is IPv4-mapped is IPv4.
    fn from(ip: Ipv6Addr) -> Self {
        Self::v6(ip.octets())
    }
}

impl From<Addr> for IpAddr {
    /// IPv4 unmapped, as [`Addr::to_ip`].
    fn from(addr: Addr) -> Self {
        addr.to_ip()
    }
}

impl FromStr for Addr {
    type Err = std::net::AddrParseError;
    fn from_str(text: &str) -> std::result::Result<Self, Self::Err> {
        text.parse::<IpAddr>().map(Self::from)
    }
}

impl fmt::Display for Addr {
    /// IPv4 dotted, IPv6 by RFC 5952.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.to_ip().fmt(f)
    }
}

impl fmt::Debug for Addr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.to_ip().fmt(f)
    }
}

/// A set of addresses that share their first bits, as in CIDR notation (RFC 4632).
#[derive(Copy, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Prefix {
    /// Host bits are zero.
    network: Addr,
    /// In `0..=128`, counted over the 16-byte form.
    bits: u8,
}

impl Prefix {
    /// Every IPv6 address: `::/0`.
    pub const ANY_V6: Self = Self { network: Addr::UNSPECIFIED, bits: 0 };

    /// The prefix of `bits` leading bits (as its family counts them) that holds `addr`; host bits are masked.
    ///
    /// `None` if `bits` exceeds 32 for IPv4 or 128 for IPv6.
    pub fn new(addr: Addr, bits: u8) -> Option<Self> {
        let bits = if addr.is_v4() {
            if bits > 32 {
                return None;
            }
            bits + 96
        } else {
            bits
        };
        (bits <= 128).then(|| Self { network: Addr((u128::from_be_bytes(addr.0) & mask(bits)).to_be_bytes()), bits })
    }

    /// The same of an address as it is written: of IPv4-mapped IPv6 the bits count over all 128, as `::ffff:10.0.0.0/104`
    /// is `10.0.0.0/8`.
    ///
    /// `None` also if they end before `::ffff:0:0/96`, which is all of IPv4.
    pub fn written(ip: IpAddr, bits: u8) -> Option<Self> {
        let addr = Addr::from(ip);
        Self::new(addr, if addr.is_v4() && ip.is_ipv6() { bits.checked_sub(96)? } else { bits })
    }

    /// Whether `addr` lies in this prefix. An IPv4 address never lies in a prefix written as IPv6 shorter than /96.
    pub fn contains(self, addr: Addr) -> bool {
        addr.is_v4() == self.network.is_v4()
            && (u128::from_be_bytes(addr.0) ^ u128::from_be_bytes(self.network.0)) & mask(self.bits) == 0
    }

    /// The first address.
    pub fn network(self) -> Addr {
        self.network
    }

    /// The number of leading bits, as the address's family counts them.
    pub fn bits(self) -> u8 {
        if self.network.is_v4() { self.bits - 96 } else { self.bits }
    }
}

/// The `bits` leading bits set.
fn mask(bits: u8) -> u128 {
    u128::MAX.checked_shl(128 - u32::from(bits)).unwrap_or(0)
}

impl FromStr for Prefix {
    type Err = Error;
    /// Reads `ADDRESS/BITS`, as `10.0.0.0/8`; host bits are masked, as by [`Prefix::new`]. IPv4-mapped IPv6 is IPv4, its
    /// bits as by [`Prefix::written`].
    fn from_str(text: &str) -> Result<Self> {
        let wrong = |what: fmt::Arguments<'_>| Error::new(ErrorKind::Usage, format!("prefix `{text}`: {what}"));
        let Some((addr, bits)) = text.split_once('/') else {
            return Err(wrong(format_args!("no number of bits; write one behind the address, as in `10.0.0.0/8`")));
        };
        let Ok(ip) = addr.parse::<IpAddr>() else {
            return Err(wrong(format_args!(
                "`{addr}` is no IP address; write one, as in `10.0.0.0/8` or `2001:db8::/32`"
            )));
        };
        let (least, most) = match ip {
            IpAddr::V4(_) => (0, 32),
            IpAddr::V6(_) if Addr::from(ip).is_v4() => (96, 128),
            IpAddr::V6(_) => (0, 128),
        };
        // Digits alone: the standard library takes a sign too.
        let number = bits.parse().ok().filter(|_| bits.bytes().all(|byte| byte.is_ascii_digit()));
        let prefix = number.and_then(|bits| Self::written(ip, bits));
        prefix.ok_or_else(|| wrong(format_args!("`{bits}` is no number of bits; write one from {least} to {most}")))
    }
}

impl fmt::Display for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.network, self.bits())
    }
}

impl fmt::Debug for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addr(text: &str) -> Addr {
        text.parse().unwrap()
    }

    #[test]
    fn a_mapped_address_is_the_ipv4_address() {
        assert_eq!(addr("::ffff:10.0.0.1"), addr("10.0.0.1"));
        assert_eq!(addr("::ffff:10.0.0.1").to_string(), "10.0.0.1");
    }

    #[test]
    fn addresses_are_those_of_the_standard_library() {
        assert_eq!(Addr::from(Ipv4Addr::LOCALHOST), addr("127.0.0.1"));
        assert_eq!(Addr::from(Ipv4Addr::LOCALHOST.to_ipv6_mapped()), addr("127.0.0.1"));
        assert_eq!(IpAddr::from(addr("::ffff:127.0.0.1")), IpAddr::V4(Ipv4Addr::LOCALHOST));
    }

    #[test]
    fn a_prefix_is_read_and_shown_as_it_is_written() {
        for text in ["10.0.0.0/24", "0.0.0.0/0", "2001:db8::/32", "::/0"] {
            let prefix: Prefix = text.parse().unwrap();
            assert_eq!((prefix.to_string(), format!("{prefix:?}")), (text.to_owned(), text.to_owned()));
        }
        for (mapped, text) in [("::ffff:10.0.0.0/104", "10.0.0.0/8"), ("::ffff:0:0/96", "0.0.0.0/0")] {
            assert_eq!(mapped.parse::<Prefix>().unwrap().to_string(), text);
        }
        assert_eq!("64.32.234.9/31".parse::<Prefix>().unwrap().to_string(), "64.32.234.8/31");
        for (text, said) in [
            ("10.0.0.0", "prefix `10.0.0.0`: no number of bits; write one behind the address, as in `10.0.0.0/8`"),
            ("10.0/8", "prefix `10.0/8`: `10.0` is no IP address; write one, as in `10.0.0.0/8` or `2001:db8::/32`"),
            ("10.0.0.0/33", "prefix `10.0.0.0/33`: `33` is no number of bits; write one from 0 to 32"),
            ("::/+1", "prefix `::/+1`: `+1` is no number of bits; write one from 0 to 128"),
            ("::ffff:10.0.0.0/8", "prefix `::ffff:10.0.0.0/8`: `8` is no number of bits; write one from 96 to 128"),
        ] {
            assert_eq!(text.parse::<Prefix>().unwrap_err().to_string(), said);
        }
    }

    #[test]
    fn a_prefix_masks_host_bits_and_holds_its_family_only() {
        let prefix = Prefix::new(addr("64.32.234.9"), 31).unwrap();
        assert_eq!(prefix.to_string(), "64.32.234.8/31");
        assert!(prefix.contains(addr("64.32.234.9")));
        assert!(!prefix.contains(addr("64.32.234.10")));
        let all_v6 = Prefix::new(addr("::"), 0).unwrap();
        assert!(all_v6.contains(addr("2001:db8::1")));
        assert!(!all_v6.contains(addr("10.0.0.1")));
        assert!(Prefix::new(addr("10.0.0.0"), 0).unwrap().contains(addr("255.1.2.3")));
        assert_eq!(Prefix::new(addr("10.0.0.0"), 33), None);
        assert_eq!(Prefix::new(addr("::"), 129), None);
    }
}
