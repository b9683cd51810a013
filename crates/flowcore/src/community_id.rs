//! Community ID v1: one id for a flow that every tool computes alike.
//!
//! The input is a seed and the two ends in numeric order, hashed with SHA-1 and written in Base64
//! (Corelight's community-id-spec). VLANs, tunnels and namespaces are not part of it.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sha1::{Digest, Sha1};

use crate::addr::Addr;
use crate::key::{FlowKey, Protocol};

/// The Community ID of a flow, in either direction. `seed` is 0 unless two sites want ids that differ.
pub fn community_id(key: &FlowKey, seed: u16) -> String {
    let (key, _) = key.canonical();
    let mut hash = Sha1::new();
    hash.update(seed.to_be_bytes());
    for addr in [key.src, key.dst] {
        hash_addr(&mut hash, addr);
    }
    hash.update([key.protocol.0, 0]);
    let icmp = matches!(key.protocol, Protocol::ICMP | Protocol::ICMPV6);
    if icmp || matches!(key.protocol, Protocol::TCP | Protocol::UDP | Protocol::SCTP) {
        hash.update(key.src_port.to_be_bytes());
        hash.update(key.dst_port.to_be_bytes());
    }
    let mut id = String::with_capacity(30);
    id.push_str("1:");
    STANDARD.encode_string(hash.finalize(), &mut id);
    id
}

fn hash_addr(hash: &mut Sha1, addr: Addr) {
    match addr.to_v4() {
        Some(bytes) => hash.update(bytes),
        None => hash.update(addr.octets()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(protocol: u8, src: &str, dst: &str, ports: (u16, u16), seed: u16) -> String {
        let key = FlowKey {
            src: src.parse().unwrap(),
            dst: dst.parse().unwrap(),
            src_port: ports.0,
            dst_port: ports.1,
            protocol: Protocol(protocol),
            ..FlowKey::NONE
        };
        let id = community_id(&key, seed);
        if !key.is_one_way() {
            assert_eq!(community_id(&key.reversed(), seed), id, "both directions");
        }
        id
    }

    /// The specification's own vectors, and a few that other implementations were caught by.
    #[test]
    fn the_published_vectors_hold() {
        let (a, b) = ("1.2.3.4", "5.6.7.8");
        let (c, d) = ("fe80:1:203:405:607:809:a0b:c0d", "fe80:1011:1213:1415:1617:1819:1a1b:1c1d");
        let vectors = [
            (6, a, b, (1122, 3344), 0, "1:wCb3OG7yAFWelaUydu0D+125CLM="),
            (6, a, b, (1122, 3344), 1, "1:HhA1B+6CoLbiKPEs5nhNYN4XWfk="),
            (17, a, b, (1122, 3344), 0, "1:0Mu9InQx6z4ZiCZM/7HXi2WMhOg="),
            (132, a, b, (1122, 3344), 0, "1:EKt4MsxuyaE6mL+hmrEkQ9csDD8="),
            (1, a, b, (8, 0), 0, "1:crodRHL2FEsHjbv3UkRrfbs4bZ0="),
            (1, a, b, (11, 0), 0, "1:f/YiSyWqczrTgfUCZlBUnvHRcPk="),
            (58, c, d, (128, 129), 0, "1:0bf7hyMJUwt3fMED7z8LIfRpBeo="),
            (58, c, d, (146, 0), 0, "1:fYC8+pz24E+EhANP1EZhpX0Dw10="),
            (46, a, b, (0, 0), 0, "1:ikv3kmf89luf73WPz1jOs49S768="),
            (6, "128.232.110.120", "66.35.250.204", (34855, 80), 0, "1:LQU9qZlK+B5F3KDmev6m5PMibrg="),
            (17, "192.168.1.52", "8.8.8.8", (54585, 53), 0, "1:d/FP5EW3wiY1vCndhwleRRKHowQ="),
            (132, "192.168.170.8", "192.168.170.56", (7, 7), 0, "1:MP2EtRCAUIZvTw6MxJHLV7N7JDs="),
            (
                6,
                "2001:470:e5bf:dead:4957:2174:e82c:4887",
                "2607:f8b0:400c:c03::1a",
                (63943, 25),
                0,
                "1:/qFaeAR+gFe1KYjMzVDsMv+wgU4=",
            ),
            (58, "fe80::200:86ff:fe05:80da", "ff02::2", (133, 134), 0, "1:hO+sN4H+MG5MY/8hIrXPqc4ZQz0="),
            (58, "fe80::260:97ff:fe07:69ea", "ff02::1", (134, 133), 0, "1:pkvHqCL88/tg1k4cPigmZXUtL00="),
            (6, "10.0.0.1", "10.0.0.2", (40000, 80), 0, "1:3k1SoWXs/FltHw2aBCgUTgbDQF4="),
        ];
        for (protocol, src, dst, ports, seed, expected) in vectors {
            assert_eq!(id(protocol, src, dst, ports, seed), expected, "{protocol} {src} {dst} {ports:?}");
        }
    }
}
