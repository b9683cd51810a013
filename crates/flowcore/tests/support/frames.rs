//! Handwritten headers, put together from the inside out. Checksums are left zero: decoding does not look at them.

/// Joins parts.
pub fn join(parts: &[&[u8]]) -> Vec<u8> {
    parts.concat()
}

/// An Ethernet II frame.
pub fn ethernet(ethertype: u16, payload: &[u8]) -> Vec<u8> {
    join(&[&[2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2], &ethertype.to_be_bytes(), payload])
}

/// A VLAN tag, to stand behind a tag's ethertype.
pub fn vlan(id: u16, ethertype: u16, payload: &[u8]) -> Vec<u8> {
    join(&[&id.to_be_bytes(), &ethertype.to_be_bytes(), payload])
}

/// An MPLS label stack entry.
pub fn label(label: u32, bottom: bool, payload: &[u8]) -> Vec<u8> {
    join(&[&(label << 12 | u32::from(bottom) << 8 | 64).to_be_bytes(), payload])
}

/// IPv4 from 10.0.0.1 to 10.0.0.2, identification 0x1234, not fragmented.
pub fn ipv4(protocol: u8, payload: &[u8]) -> Vec<u8> {
    ipv4_with(protocol, [10, 0, 0, 1], [10, 0, 0, 2], 0, &[], payload)
}

/// IPv4 with the flags and offset word and options given.
pub fn ipv4_with(protocol: u8, src: [u8; 4], dst: [u8; 4], fragment: u16, options: &[u8], payload: &[u8]) -> Vec<u8> {
    let header = 20 + options.len();
    let total = (header + payload.len()) as u16;
    join(&[
        &[0x40 | (header / 4) as u8, 0],
        &total.to_be_bytes(),
        &[0x12, 0x34],
        &fragment.to_be_bytes(),
        &[64, protocol, 0, 0],
        &src,
        &dst,
        options,
        payload,
    ])
}

/// IPv6 from 2001:db8::1 to 2001:db8::2.
pub fn ipv6(next: u8, payload: &[u8]) -> Vec<u8> {
    let src = [0x20, 1, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1];
    let dst = [0x20, 1, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2];
    ipv6_with(next, src, dst, payload)
}

/// IPv6 between the ends given.
pub fn ipv6_with(next: u8, src: [u8; 16], dst: [u8; 16], payload: &[u8]) -> Vec<u8> {
    join(&[&[0x60, 0, 0, 0], &(payload.len() as u16).to_be_bytes(), &[next, 64], &src, &dst, payload])
}

/// TCP from port 40000 to 80: sequence number 1000, acknowledgment 2000, window 512, ACK and PSH.
pub fn tcp(options: &[u8], payload: &[u8]) -> Vec<u8> {
    let offset = ((20 + options.len()) / 4) as u8;
    join(&[
        &40000_u16.to_be_bytes(),
        &80_u16.to_be_bytes(),
        &1000_u32.to_be_bytes(),
        &2000_u32.to_be_bytes(),
        &[offset << 4, 0x18],
        &512_u16.to_be_bytes(),
        &[0, 0, 0, 0],
        options,
        payload,
    ])
}

/// UDP with checksum 0xabcd.
pub fn udp(src: u16, dst: u16, payload: &[u8]) -> Vec<u8> {
    let length = (8 + payload.len()) as u16;
    join(&[&src.to_be_bytes(), &dst.to_be_bytes(), &length.to_be_bytes(), &[0xab, 0xcd], payload])
}

/// The options of a SYN: MSS 1460, SACK permitted, timestamps 7 and 9, no-operation, window scale 7.
pub const SYN_OPTIONS: [u8; 20] = [2, 4, 5, 0xb4, 4, 2, 8, 10, 0, 0, 0, 7, 0, 0, 0, 9, 1, 3, 3, 7];

/// What nearly every later segment carries: two no-operations and timestamps 7 and 9.
pub const TIMESTAMPS: [u8; 12] = [1, 1, 8, 10, 0, 0, 0, 7, 0, 0, 0, 9];

/// An ICMP or ICMPv6 message: type, code, zero checksum, the next four bytes, the rest.
pub fn icmp(kind: u8, code: u8, word: [u8; 4], rest: &[u8]) -> Vec<u8> {
    join(&[&[kind, code, 0, 0], &word, rest])
}

/// A plain TCP segment of five bytes over IPv4.
pub fn inner() -> Vec<u8> {
    ipv4_with(6, [192, 0, 2, 1], [192, 0, 2, 2], 0, &[], &tcp(&[], b"hello"))
}

/// The same in Ethernet.
pub fn inner_ethernet() -> Vec<u8> {
    ethernet(0x0800, &inner())
}

/// LLC and SNAP before an ethertype.
pub fn snap(ethertype: u16, payload: &[u8]) -> Vec<u8> {
    join(&[&[0xaa, 0xaa, 3, 0, 0, 0], &ethertype.to_be_bytes(), payload])
}

/// An 802.11 header of 24 bytes: frame control as given, sequence control zero.
pub fn wlan(kind: u8, flags: u8) -> Vec<u8> {
    join(&[&[kind, flags, 0, 0], &[1; 6], &[2; 6], &[3; 6], &[0, 0]])
}

/// One frame of every sort that decoding knows, with its link type and a name.
pub fn every_kind() -> Vec<(&'static str, u16, Vec<u8>)> {
    let segment = tcp(&SYN_OPTIONS, b"hello");
    let v4 = ipv4(6, &segment);
    let v6 = ipv6(6, &segment);
    let raw = |protocol: u8, payload: &[u8]| ethernet(0x0800, &ipv4(protocol, payload));
    let over = |port: u16, payload: &[u8]| raw(17, &udp(50000, port, payload));
    let ppp = join(&[&[0x00, 0x21], &v4]);
    let vxlan = join(&[&[8, 0, 0, 0, 0, 0, 42, 0], &inner_ethernet()]);
    let inner6 = {
        let mut src = [0; 16];
        src[..4].copy_from_slice(&[0x20, 1, 0, 0]);
        ipv6_with(6, src, [9; 16], &tcp(&[], b"hello"))
    };
    let sctp = join(&[&[0x13, 0x88, 0x13, 0x89], &[0; 8], b"chunks.."]);
    let dccp = join(&[&[0x13, 0x88, 0x13, 0x89, 4, 0, 0, 0], &[0; 8], b"payload"]);
    let hop = join(&[&[6, 0, 1, 4, 0, 0, 0, 0], &segment]);
    let fragment6 = join(&[&[6, 0, 0, 1, 0, 0, 0, 7], &segment]);
    let ah = join(&[&[6, 4], &[0; 22], &segment]);
    let sll = join(&[&[0, 0, 0, 1, 0, 6, 1, 2, 3, 4, 5, 6, 0, 0, 8, 0], &v4]);
    let sll2 = join(&[&[8, 0, 0, 0, 0, 0, 0, 3, 0, 1, 0, 6, 1, 2, 3, 4, 5, 6, 0, 0], &v4]);
    let data = join(&[&wlan(0x08, 1), &snap(0x0800, &v4)]);
    let subframe = snap(0x0800, &v4);
    let amsdu = join(&[&wlan(0x88, 2), &[0x80, 0], &[5; 12], &(subframe.len() as u16).to_be_bytes(), &subframe]);
    let nflog = join(&[&[2, 0, 0, 0], &[8, 0, 1, 0, 8, 0, 1, 0], &(v4.len() as u16 + 4).to_le_bytes(), &[9, 0], &v4]);
    let mut pktap = vec![0; 108];
    pktap[0] = 108;
    pktap[4] = 1;
    pktap[8] = 1;
    vec![
        ("tcp over ipv4", 1, ethernet(0x0800, &v4)),
        ("tcp over ipv6", 1, ethernet(0x86dd, &v6)),
        ("udp", 1, over(53, b"query")),
        ("udp-lite", 1, raw(136, &udp(1, 2, b"voice"))),
        ("sctp", 1, raw(132, &sctp)),
        ("dccp", 1, raw(33, &dccp)),
        ("icmp echo", 1, raw(1, &icmp(8, 0, [0, 5, 0, 6], b"ping"))),
        ("icmp error", 1, raw(1, &icmp(3, 3, [0; 4], &inner()))),
        ("icmpv6 echo", 1, ethernet(0x86dd, &ipv6(58, &icmp(128, 0, [0, 5, 0, 6], b"ping")))),
        ("icmpv6 error", 1, ethernet(0x86dd, &ipv6(58, &icmp(1, 4, [0; 4], &v6)))),
        ("igmp", 1, raw(2, &[0x16, 0, 0, 0, 224, 0, 0, 1])),
        ("esp", 1, raw(50, &[0; 16])),
        ("ah", 1, raw(51, &ah)),
        ("options", 1, ethernet(0x0800, &ipv4_with(6, [1; 4], [2; 4], 0, &[7, 4, 4, 0], &segment))),
        ("first fragment", 1, ethernet(0x0800, &ipv4_with(6, [1; 4], [2; 4], 0x2000, &[], &segment))),
        ("later fragment", 1, ethernet(0x0800, &ipv4_with(6, [1; 4], [2; 4], 100, &[], &segment))),
        ("hop by hop", 1, ethernet(0x86dd, &ipv6(0, &hop))),
        ("ipv6 fragment", 1, ethernet(0x86dd, &ipv6(44, &fragment6))),
        ("vlan", 1, ethernet(0x8100, &vlan(7, 0x0800, &v4))),
        ("qinq", 1, ethernet(0x88a8, &vlan(7, 0x8100, &vlan(8, 0x86dd, &v6)))),
        ("mpls", 1, ethernet(0x8847, &label(100, false, &label(200, true, &v4)))),
        ("pseudowire", 1, ethernet(0x8847, &label(100, true, &join(&[&[0; 4], &inner_ethernet()])))),
        ("pppoe", 1, ethernet(0x8864, &join(&[&[0x11, 0, 0, 9], &(ppp.len() as u16).to_be_bytes(), &ppp]))),
        ("llc snap", 1, ethernet(snap(0x0800, &v4).len() as u16, &snap(0x0800, &v4))),
        ("spanning tree", 1, ethernet(38, &join(&[&[0x42, 0x42, 3], &[0; 43]]))),
        ("backbone", 1, ethernet(0x88e7, &join(&[&[0, 0, 0, 5], &inner_ethernet()]))),
        ("macsec", 1, ethernet(0x88e5, &join(&[&[0, 0, 0, 0, 0, 1, 8, 0], &v4, &[0; 16]]))),
        ("arp", 1, ethernet(0x0806, &[0; 28])),
        ("ip in ip", 1, raw(4, &inner())),
        ("6in4", 1, raw(41, &v6)),
        ("gre", 1, raw(47, &join(&[&[0x20, 0, 8, 0, 0, 0, 0, 9], &inner()]))),
        ("pptp", 1, raw(47, &join(&[&[0x30, 1, 0x88, 0x0b, 0, ppp.len() as u8, 0, 3, 0, 0, 0, 1], &ppp]))),
        ("erspan 1", 1, raw(47, &join(&[&[0, 0, 0x88, 0xbe], &inner_ethernet()]))),
        (
            "erspan 2",
            1,
            raw(47, &join(&[&[0x10, 0, 0x88, 0xbe, 0, 0, 0, 1, 0x10, 0, 0, 9, 0, 0, 0, 0], &inner_ethernet()])),
        ),
        (
            "erspan 3",
            1,
            raw(
                47,
                &join(&[&[0x10, 0, 0x22, 0xeb, 0, 0, 0, 1, 0x20, 0, 0, 9, 0, 0, 0, 0, 0, 0, 0, 0], &inner_ethernet()]),
            ),
        ),
        ("vxlan", 1, over(4789, &vxlan)),
        ("vxlan gpe", 1, over(4790, &join(&[&[0x0c, 0, 0, 1, 0, 0, 42, 0], &inner()]))),
        ("geneve", 1, over(6081, &join(&[&[1, 0, 0x65, 0x58, 0, 0, 42, 0, 0, 0, 0, 0], &inner_ethernet()]))),
        (
            "gtp-u",
            1,
            over(2152, &join(&[&[0x30, 255], &(inner().len() as u16).to_be_bytes(), &[0, 0, 0, 77], &inner()])),
        ),
        ("teredo", 1, over(3544, &join(&[&[0, 0, 1, 2, 3, 4, 5, 6], &inner6]))),
        ("ayiya", 1, over(5072, &join(&[&[0x40, 0x52, 0x11, 41], &[0; 4], &[0; 36], &inner6]))),
        ("null", 0, join(&[&[2, 0, 0, 0], &v4])),
        ("loop", 108, join(&[&[0, 0, 0, 24], &v6])),
        ("raw", 101, v6.clone()),
        ("ipv4", 228, v4.clone()),
        ("ipv6", 229, v6.clone()),
        ("sll", 113, sll),
        ("sll2", 276, sll2),
        ("ppp", 9, join(&[&[0xff, 3], &ppp])),
        ("cisco hdlc", 104, join(&[&[0x0f, 0, 8, 0], &v4])),
        ("frame relay", 107, join(&[&[0x18, 0x41, 3, 0xcc], &v4])),
        ("fddi", 10, join(&[&[0x50], &[0; 12], &snap(0x0800, &v4)])),
        ("token ring", 6, join(&[&[0x10, 0x40], &[0; 12], &snap(0x0800, &v4)])),
        ("802.11", 105, data.clone()),
        ("802.11 qos four addresses", 105, join(&[&wlan(0x88, 3), &[4; 6], &[0, 0], &snap(0x86dd, &v6)])),
        ("802.11 protected", 105, join(&[&wlan(0x08, 0x41), &[9; 40]])),
        ("a-msdu", 105, amsdu),
        ("radiotap", 127, join(&[&[0, 0, 9, 0, 2, 0, 0, 0, 0x10], &data, &[0xfc; 4]])),
        ("prism", 119, join(&[&[0x44, 0, 0, 0, 144, 0, 0, 0], &[0; 136], &data])),
        ("avs", 163, join(&[&[0x80, 0x21, 0x10, 1, 0, 0, 0, 64], &[0; 56], &data])),
        ("ppi", 192, join(&[&[0, 0, 8, 0, 105, 0, 0, 0], &data])),
        ("nflog", 239, nflog),
        ("pktap", 258, join(&[&pktap, &ethernet(0x0800, &v4)])),
    ]
}
