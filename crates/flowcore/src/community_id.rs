//! Community ID v1: one id for a flow that every tool computes alike.
//!
//! SHA-1 over seed, ends in canonical order, protocol and ports, in Base64 behind `1:`. The specification is
//! <https://github.com/corelight/community-id-spec>; its notion of an ICMP message's "ports" is that of [`FlowKey`].
//! Not part of the hash: VLANs, tunnels (the key is the innermost), zones.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sha1::{Digest, Sha1};

use crate::addr::Addr;
use crate::key::{FlowKey, Protocol};

/// Length of every id of version 1: `1:` and the Base64 form of 20 bytes.
pub const LENGTH: usize = 30;

/// The id of the flow that `key` belongs to, the same for both directions. The usual `seed` is 0.
///
/// Of the protocols with ports the specification knows TCP, UDP and SCTP only; the others hash without.
/// A later fragment's key has ports 0, which are hashed as such: its id is that of the flow it is joined to.
///
/// ```
/// use flowcore::{FlowKey, Protocol, community_id::community_id};
///
/// let (src, dst) = ("1.2.3.4".parse().unwrap(), "5.6.7.8".parse().unwrap());
/// let key = FlowKey { src, dst, src_port: 1122, dst_port: 3344, protocol: Protocol::TCP, ..FlowKey::NONE };
/// assert_eq!(community_id(&key, 0), "1:wCb3OG7yAFWelaUydu0D+125CLM=");
/// ```
pub fn community_id(key: &FlowKey, seed: u16) -> String {
    let mut text = [0; LENGTH];
    write(key, seed, &mut text).to_owned()
}

/// Writes the id into `text` and lends it from there: [`community_id`] without an allocation.
pub fn write<'t>(key: &FlowKey, seed: u16, text: &'t mut [u8; LENGTH]) -> &'t str {
    let (key, _) = key.canonical();
    let mut hash = Sha1::new();
    hash.update(seed.to_be_bytes());
    update_addr(&mut hash, key.src);
    update_addr(&mut hash, key.dst);
    hash.update([key.protocol.0, 0]);
    if matches!(key.protocol, Protocol::TCP | Protocol::UDP | Protocol::SCTP | Protocol::ICMP | Protocol::ICMPV6) {
        hash.update(key.src_port.to_be_bytes());
        hash.update(key.dst_port.to_be_bytes());
    }
    *text = *b"1:____________________________";
    let written = STANDARD.encode_slice(hash.finalize(), &mut text[2..]);
    debug_assert_eq!(written, Ok(LENGTH - 2), "20 bytes are 28 characters");
    std::str::from_utf8(text).unwrap_or_default()
}

/// IPv4 counts with its four bytes.
fn update_addr(hash: &mut Sha1, addr: Addr) {
    match addr.to_v4() {
        Some(bytes) => hash.update(bytes),
        None => hash.update(addr.octets()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(protocol: u8, src: &str, dst: &str, src_port: u16, dst_port: u16, seed: u16) -> String {
        let (src, dst) = (src.parse().unwrap(), dst.parse().unwrap());
        let key = FlowKey { src, dst, src_port, dst_port, protocol: Protocol(protocol), ..FlowKey::NONE };
        community_id(&key, seed)
    }

    // The specification's own baseline and ids that tshark and the reference implementation agree on.
    const A: &str = "1.2.3.4";
    const B: &str = "5.6.7.8";

    #[test]
    fn tcp_udp_and_sctp_hash_their_ports() {
        assert_eq!(id(6, A, B, 1122, 3344, 0), "1:wCb3OG7yAFWelaUydu0D+125CLM=");
        assert_eq!(id(6, B, A, 3344, 1122, 0), "1:wCb3OG7yAFWelaUydu0D+125CLM=");
        assert_eq!(id(17, A, B, 1122, 3344, 0), "1:0Mu9InQx6z4ZiCZM/7HXi2WMhOg=");
        assert_eq!(id(132, A, B, 1122, 3344, 0), "1:EKt4MsxuyaE6mL+hmrEkQ9csDD8=");
        assert_eq!(id(6, "128.232.110.120", "66.35.250.204", 34855, 80, 0), "1:LQU9qZlK+B5F3KDmev6m5PMibrg=");
        assert_eq!(id(17, "192.168.1.52", "8.8.8.8", 54585, 53, 0), "1:d/FP5EW3wiY1vCndhwleRRKHowQ=");
        assert_eq!(id(132, "192.168.170.8", "192.168.170.56", 7, 7, 0), "1:MP2EtRCAUIZvTw6MxJHLV7N7JDs=");
        assert_eq!(id(6, "10.0.0.1", "10.0.0.2", 40000, 80, 0), "1:3k1SoWXs/FltHw2aBCgUTgbDQF4=");
    }

    #[test]
    fn a_seed_gives_another_id() {
        assert_eq!(id(6, A, B, 1122, 3344, 1), "1:HhA1B+6CoLbiKPEs5nhNYN4XWfk=");
    }

    #[test]
    fn ipv6_hashes_sixteen_bytes() {
        let (src, dst) = ("2001:470:e5bf:dead:4957:2174:e82c:4887", "2607:f8b0:400c:c03::1a");
        assert_eq!(id(6, src, dst, 63943, 25, 0), "1:/qFaeAR+gFe1KYjMzVDsMv+wgU4=");
    }

    #[test]
    fn an_icmp_exchange_has_one_id_and_an_error_its_own() {
        assert_eq!(id(1, A, B, 8, 0, 0), "1:crodRHL2FEsHjbv3UkRrfbs4bZ0=");
        assert_eq!(id(1, B, A, 0, 8, 0), "1:crodRHL2FEsHjbv3UkRrfbs4bZ0=");
        assert_eq!(id(1, A, B, 11, 0, 0), "1:f/YiSyWqczrTgfUCZlBUnvHRcPk=");
        assert_ne!(id(1, B, A, 11, 0, 0), "1:f/YiSyWqczrTgfUCZlBUnvHRcPk=");
    }

    #[test]
    fn icmpv6_uses_the_answering_type() {
        let (src, dst) = ("fe80:1:203:405:607:809:a0b:c0d", "fe80:1011:1213:1415:1617:1819:1a1b:1c1d");
        assert_eq!(id(58, src, dst, 128, 129, 0), "1:0bf7hyMJUwt3fMED7z8LIfRpBeo=");
        assert_eq!(id(58, src, dst, 146, 0, 0), "1:fYC8+pz24E+EhANP1EZhpX0Dw10=");
        assert_eq!(id(58, "fe80::200:86ff:fe05:80da", "ff02::2", 133, 134, 0), "1:hO+sN4H+MG5MY/8hIrXPqc4ZQz0=");
        assert_eq!(id(58, "fe80::260:97ff:fe07:69ea", "ff02::1", 134, 133, 0), "1:pkvHqCL88/tg1k4cPigmZXUtL00=");
    }

    #[test]
    fn other_protocols_hash_no_ports() {
        assert_eq!(id(46, A, B, 0, 0, 0), "1:ikv3kmf89luf73WPz1jOs49S768=");
        assert_eq!(id(33, A, B, 1122, 3344, 0), id(33, A, B, 0, 0, 0));
    }
}
