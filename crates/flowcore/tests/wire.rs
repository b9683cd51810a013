//! What decoding says of handwritten frames, with literal values.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout, reason = "a test")]

mod support;

use flowcore::event::{FragmentPlace, IcmpHeader, TcpOptions, UdpHeader};
use flowcore::wire::{self, DecodeOptions, Layers, LinkType, TunnelKind};
use flowcore::{Detail, FlowEvent, FlowKey, Layer, Notes, Protocol, TcpFlags};
use support::frames::{
    self, SYN_OPTIONS, TIMESTAMPS, ethernet, icmp, inner, ipv4, ipv4_with, ipv6, join, snap, tcp, udp, vlan, wlan,
};

fn decode(link: u16, frame: &[u8]) -> (FlowEvent, Layers) {
    decode_cut(link, frame, frame.len() as u32)
}

fn decode_cut(link: u16, frame: &[u8], wire_len: u32) -> (FlowEvent, Layers) {
    let (mut event, mut layers) = (FlowEvent::default(), Layers::default());
    wire::decode(LinkType(link), frame, wire_len, DecodeOptions::default(), &mut event, &mut layers);
    (event, layers)
}

/// The frame of [`frames::every_kind`] with this name, decoded.
fn kind(name: &str) -> (FlowEvent, Layers) {
    let found = frames::every_kind().into_iter().find(|(found, _, _)| *found == name);
    let (_, link, frame) = found.expect("a name of the list");
    decode(link, &frame)
}

fn key(src: &str, src_port: u16, dst: &str, dst_port: u16, protocol: u8) -> FlowKey {
    let (src, dst) = (src.parse().unwrap(), dst.parse().unwrap());
    FlowKey { src, dst, src_port, dst_port, protocol: Protocol(protocol), ..FlowKey::NONE }
}

/// The key of [`inner`].
fn inner_key() -> FlowKey {
    key("192.0.2.1", 40000, "192.0.2.2", 80, 6)
}

/// The key of the segment over [`ipv4`].
fn v4_key() -> FlowKey {
    key("10.0.0.1", 40000, "10.0.0.2", 80, 6)
}

fn v6_key() -> FlowKey {
    key("2001:db8::1", 40000, "2001:db8::2", 80, 6)
}

fn segment(event: &FlowEvent) -> flowcore::TcpSegment {
    match event.detail {
        Detail::Tcp(segment) => segment,
        other => panic!("no segment: {other:?}"),
    }
}

#[test]
fn a_tcp_segment_gives_every_field_and_option() {
    let (event, layers) = decode(1, &ethernet(0x0800, &ipv4(6, &tcp(&SYN_OPTIONS, b"hello"))));
    assert_eq!(event.key, v4_key());
    assert_eq!((event.network_bytes, event.payload_bytes, event.datagram_id), (65, 5, 0x1234));
    assert_eq!((event.ethertype, event.stopped, event.notes), (0x0800, Layer::None, Notes::empty()));
    let segment = segment(&event);
    assert_eq!((segment.seq, segment.ack, segment.window), (1000, 2000, 512));
    assert_eq!(segment.flags, TcpFlags::ACK | TcpFlags::PSH);
    assert_eq!((segment.mss, segment.window_scale, segment.timestamp), (1460, 7, (7, 9)));
    let seen = TcpOptions::MSS | TcpOptions::WINDOW_SCALE | TcpOptions::SACK_PERMITTED | TcpOptions::TIMESTAMP;
    assert_eq!(segment.options, seen);
    assert_eq!(layers, Layers::default());
}

#[test]
fn ethernet_padding_is_a_trailer_and_no_payload() {
    let mut frame = ethernet(0x0800, &ipv4(6, &tcp(&[], b"")));
    frame.resize(60, 0);
    let (event, _) = decode(1, &frame);
    assert_eq!((event.network_bytes, event.payload_bytes, event.notes), (40, 0, Notes::TRAILER));
}

#[test]
fn a_tcp_header_cut_by_the_snap_length_still_gives_its_ports_and_what_could_be_read() {
    let frame = ethernet(0x0800, &ipv4(6, &tcp(&TIMESTAMPS, &[0; 100])));
    let whole = frame.len() as u32;
    // Ports only.
    let (event, _) = decode_cut(1, &frame[..38], whole);
    assert_eq!((event.key, event.detail, event.stopped), (v4_key(), Detail::None, Layer::Transport));
    // Up to the flags: the payload's length is known from the header's.
    let (event, _) = decode_cut(1, &frame[..48], whole);
    assert_eq!((segment(&event).seq, segment(&event).window, event.payload_bytes), (1000, 0, 100));
    assert_eq!(segment(&event).options, TcpOptions::INCOMPLETE);
    // The fixed header and half of the options.
    let (event, _) = decode_cut(1, &frame[..60], whole);
    assert_eq!((segment(&event).window, segment(&event).options), (512, TcpOptions::INCOMPLETE));
    assert_eq!((event.stopped, event.notes), (Layer::Transport, Notes::CUT));
    // All headers.
    let (event, _) = decode_cut(1, &frame[..66], whole);
    assert_eq!((segment(&event).options, event.payload_bytes), (TcpOptions::TIMESTAMP, 100));
    assert_eq!((event.stopped, event.notes), (Layer::None, Notes::CUT));
}

#[test]
fn a_tcp_data_offset_outside_the_segment_is_malformed_at_the_transport() {
    for offset in [0x40, 0xf0] {
        let mut bytes = tcp(&[], b"hello");
        bytes[12] = offset;
        let (event, _) = decode(1, &ethernet(0x0800, &ipv4(6, &bytes)));
        assert_eq!((event.key, event.stopped, event.notes), (v4_key(), Layer::Transport, Notes::MALFORMED));
        assert_eq!((segment(&event).seq, event.payload_bytes), (1000, 0));
    }
}

#[test]
fn a_tcp_option_of_impossible_length_keeps_those_before_it() {
    let (event, _) = decode(1, &ethernet(0x0800, &ipv4(6, &tcp(&[2, 4, 5, 0xb4, 8, 200, 0, 0], b""))));
    assert_eq!(segment(&event).options, TcpOptions::MSS | TcpOptions::INCOMPLETE);
    assert_eq!((event.stopped, event.notes), (Layer::Transport, Notes::MALFORMED));
}

#[test]
fn udp_gives_its_header_and_its_payload_by_its_own_length() {
    let (event, _) = decode(1, &ethernet(0x0800, &ipv4(17, &udp(50000, 53, b"query"))));
    assert_eq!(event.key, key("10.0.0.1", 50000, "10.0.0.2", 53, 17));
    assert_eq!(event.detail, Detail::Udp(UdpHeader { length: 13, checksum: 0xabcd }));
    assert_eq!((event.network_bytes, event.payload_bytes), (33, 5));
}

#[test]
fn a_udp_length_beyond_the_packet_is_malformed_and_not_believed() {
    let mut bytes = udp(50000, 53, b"query");
    bytes[4] = 0xff;
    let (event, _) = decode(1, &ethernet(0x0800, &ipv4(17, &bytes)));
    assert_eq!((event.payload_bytes, event.stopped, event.notes), (5, Layer::Transport, Notes::MALFORMED));
}

#[test]
fn sctp_dccp_and_udp_lite_have_ports() {
    let (event, _) = kind("sctp");
    assert_eq!((event.key, event.payload_bytes), (key("10.0.0.1", 5000, "10.0.0.2", 5001, 132), 8));
    let (event, _) = kind("dccp");
    assert_eq!((event.key, event.payload_bytes), (key("10.0.0.1", 5000, "10.0.0.2", 5001, 33), 7));
    let (event, _) = kind("udp-lite");
    assert_eq!((event.key, event.payload_bytes), (key("10.0.0.1", 1, "10.0.0.2", 2, 136), 5));
}

#[test]
fn an_echo_has_the_answering_type_as_its_other_port() {
    let (event, _) = kind("icmp echo");
    assert_eq!(event.key, key("10.0.0.1", 8, "10.0.0.2", 0, 1));
    let header = IcmpHeader { kind: 8, code: 0, identifier: Some(5), sequence: Some(6) };
    assert_eq!((event.detail, event.payload_bytes), (Detail::Icmp(header), 4));
    let (event, _) = kind("icmpv6 echo");
    assert_eq!(event.key, key("2001:db8::1", 128, "2001:db8::2", 129, 58));
}

#[test]
fn an_icmp_error_keeps_its_own_key_and_names_the_quoted_flow() {
    let (event, layers) = kind("icmp error");
    assert_eq!(event.key, key("10.0.0.1", 3, "10.0.0.2", 3, 1));
    assert_eq!((layers.quoted, event.notes), (Some(inner_key()), Notes::QUOTES));
    let (event, layers) = kind("icmpv6 error");
    assert_eq!(event.key, key("2001:db8::1", 1, "2001:db8::2", 4, 58));
    assert_eq!(layers.quoted, Some(v6_key()));
    // Eight bytes behind the quoted header, as RFC 792 asks, are enough.
    let quote = &inner()[..28];
    let (event, layers) = decode(1, &ethernet(0x0800, &ipv4(1, &icmp(11, 0, [0; 4], quote))));
    assert_eq!((layers.quoted, event.stopped), (Some(inner_key()), Layer::None));
}

#[test]
fn ipv4_options_are_passed_over() {
    let (event, _) = kind("options");
    assert_eq!((event.key, event.network_bytes), (key("1.1.1.1", 40000, "2.2.2.2", 80, 6), 69));
}

#[test]
fn a_first_fragment_has_ports_and_a_later_one_only_the_datagram_id() {
    let (event, _) = kind("first fragment");
    assert_eq!((event.key.src_port, event.datagram_id, event.notes), (40000, 0x1234, Notes::FRAGMENT));
    let (event, _) = kind("later fragment");
    assert_eq!(event.key, key("1.1.1.1", 0, "2.2.2.2", 0, 6));
    assert_eq!((event.datagram_id, event.notes), (0x1234, Notes::FRAGMENT | Notes::LATER_FRAGMENT));
    // All that it carries is payload of its datagram.
    let carried = event.network_bytes - 20;
    assert_eq!((event.payload_bytes, event.stopped), (carried, Layer::None));
    assert_eq!(event.detail, Detail::Fragment(FragmentPlace { begin: 800, last: true }));
}

#[test]
fn an_ipv6_fragment_header_gives_protocol_and_identification() {
    let (event, _) = kind("ipv6 fragment");
    assert_eq!((event.key, event.datagram_id, event.notes), (v6_key(), 7, Notes::FRAGMENT));
    let later = join(&[&[17, 0, 0, 0x10, 0, 0, 0, 7], b"rest of a datagram"]);
    let (event, _) = decode(1, &ethernet(0x86dd, &ipv6(44, &later)));
    assert_eq!(event.key, key("2001:db8::1", 0, "2001:db8::2", 0, 17));
    assert_eq!((event.datagram_id, event.notes), (7, Notes::FRAGMENT | Notes::LATER_FRAGMENT));
    assert_eq!((event.payload_bytes, event.detail), (18, Detail::Fragment(FragmentPlace { begin: 16, last: true })));
    let atomic = join(&[&[6, 0, 0, 0, 0, 0, 0, 7], &tcp(&[], b"")]);
    let (event, _) = decode(1, &ethernet(0x86dd, &ipv6(44, &atomic)));
    assert_eq!((event.key, event.notes), (v6_key(), Notes::empty()));
}

#[test]
fn ipv6_extension_headers_and_ah_are_walked() {
    assert_eq!(kind("hop by hop").0.key, v6_key());
    assert_eq!(kind("ah").0.key, v4_key());
    let chain =
        join(&[&[43, 0, 1, 4, 0, 0, 0, 0], &[60, 0, 4, 0, 0, 0, 0, 0], &[6, 0, 1, 4, 0, 0, 0, 0], &tcp(&[], b"")]);
    let (event, _) = decode(1, &ethernet(0x86dd, &ipv6(0, &chain)));
    assert_eq!((event.key, event.network_bytes, event.payload_bytes), (v6_key(), 84, 0));
}

#[test]
fn total_length_zero_is_segmentation_offload_and_the_frame_counts() {
    let mut bytes = ipv4(6, &tcp(&[], &[0; 3000]));
    bytes[2..4].fill(0);
    let (event, _) = decode(1, &ethernet(0x0800, &bytes));
    assert_eq!((event.network_bytes, event.payload_bytes, event.notes), (3040, 3000, Notes::OFFLOADED));
    let mut bytes = ipv6(6, &tcp(&[], &[0; 3000]));
    bytes[4..6].fill(0);
    let (event, _) = decode(1, &ethernet(0x86dd, &bytes));
    assert_eq!((event.network_bytes, event.payload_bytes, event.notes), (3060, 3000, Notes::OFFLOADED));
}

#[test]
fn a_jumbo_payload_option_gives_the_length() {
    // 70028 = 8 bytes of options, 20 of TCP, 70000 of payload.
    let rest = join(&[&[6, 0, 0xc2, 4], &70028_u32.to_be_bytes(), &tcp(&[], &vec![0; 70000])]);
    let mut bytes = ipv6(0, &rest);
    bytes[4..6].fill(0);
    let (event, _) = decode(1, &ethernet(0x86dd, &bytes));
    assert_eq!((event.key, event.network_bytes, event.payload_bytes), (v6_key(), 70068, 70000));
    assert_eq!(event.notes, Notes::empty());
}

#[test]
fn an_ip_length_beyond_the_wire_is_malformed_and_the_wire_counts() {
    let mut bytes = ipv4(6, &tcp(&[], b"hello"));
    bytes[2] = 0x40;
    let (event, _) = decode(1, &ethernet(0x0800, &bytes));
    assert_eq!((event.key, event.network_bytes, event.payload_bytes), (v4_key(), 45, 5));
    assert_eq!((event.stopped, event.notes), (Layer::Network, Notes::MALFORMED));
}

#[test]
fn a_bad_ip_header_leaves_a_frame_without_flow_at_the_network_layer() {
    for first in [0x44, 0x65, 0x05] {
        let mut bytes = ipv4(6, &tcp(&[], b""));
        bytes[0] = first;
        let (event, _) = decode(1, &ethernet(0x0800, &bytes));
        assert_eq!((event.key, event.ethertype), (FlowKey::NONE, 0x0800));
        assert_eq!((event.stopped, event.notes), (Layer::Network, Notes::MALFORMED));
    }
}

#[test]
fn tags_and_labels_are_kept_outermost_first() {
    let (event, layers) = kind("qinq");
    assert_eq!((event.key, layers.vlans.as_slice()), (v6_key(), &[7, 8][..]));
    let (event, layers) = kind("vlan");
    assert_eq!((event.key, layers.vlans.as_slice()), (v4_key(), &[7][..]));
    let (event, layers) = kind("mpls");
    assert_eq!((event.key, layers.mpls.as_slice(), event.ethertype), (v4_key(), &[100, 200][..], 0x0800));
    let (event, layers) = kind("pppoe");
    assert_eq!((event.key, layers.pppoe_session), (v4_key(), Some(9)));
    assert_eq!(kind("backbone").0.key, inner_key());
    assert_eq!(kind("macsec").0.key, v4_key());
}

#[test]
fn a_pseudowire_carries_ethernet_with_or_without_a_control_word() {
    assert_eq!(kind("pseudowire").0.key, inner_key());
    let bare = ethernet(0x8847, &frames::label(100, true, &frames::inner_ethernet()));
    assert_eq!(decode(1, &bare).0.key, inner_key());
}

#[test]
fn a_pseudowires_frame_is_no_control_word_though_its_address_begins_with_0() {
    let key_of = |control: &[u8], dst: [u8; 6], src: [u8; 6], rest: &[u8]| {
        let frame = join(&[control, &dst, &src, rest]);
        let (event, layers) = decode(1, &ethernet(0x8847, &frames::label(100, true, &frame)));
        assert_eq!(event.stopped, Layer::None, "{control:?} {dst:?}");
        (event.key, event.ethertype, layers.vlans.as_slice().to_vec())
    };
    // Padded, so that the total length would fit as that of an 802.3 frame; tagged; ARP, which names a protocol there.
    let padded = join(&[&[8, 0], &frames::inner(), &[0; 20]]);
    let tagged = join(&[&[0x81, 0], &vlan(77, 0x0800, &frames::inner())]);
    let arp = join(&[&[8, 6, 0, 1, 8, 0, 6, 4, 0, 1], &[9; 20]]);
    let controls: [&[u8]; 3] = [&[], &[0; 4], &[0, 0, 1, 7]];
    // Behind a control word the third and fourth byte of a source stand where a type would.
    let sources =
        [[2, 0, 0, 0, 0, 2], [0, 0xe0, 0x81, 0, 1, 2], [2, 0, 8, 0, 1, 2], [2, 0, 8, 6, 1, 2], [2, 0, 0, 64, 1, 2]];
    for (control, src) in controls.iter().flat_map(|control| sources.map(|src| (*control, src))) {
        if control == [0, 0, 1, 7] && src[2..4] == [0x81, 0] {
            // As well a tagged frame to 00:00:01:07:…, as routers have.
            continue;
        }
        for dst in [[0, 0x1b, 0x21, 1, 2, 3], [0, 0, 0x0c, 1, 2, 3], [2, 0, 0, 0, 0, 1]] {
            let told = format!("{control:?} {dst:?} {src:?}");
            assert_eq!(key_of(control, dst, src, &padded), (inner_key(), 0x0800, vec![]), "{told}");
            assert_eq!(key_of(control, dst, src, &tagged), (inner_key(), 0x0800, vec![77]), "{told}");
            assert_eq!(key_of(control, dst, src, &arp), (FlowKey::NONE, 0x0806, vec![]), "{told}");
        }
    }
}

#[test]
fn frames_without_a_flow_have_an_ethertype_or_none_at_all() {
    let (event, _) = kind("arp");
    assert_eq!((event.key, event.ethertype, event.stopped), (FlowKey::NONE, 0x0806, Layer::None));
    let (event, _) = kind("spanning tree");
    assert_eq!((event.key, event.ethertype, event.stopped), (FlowKey::NONE, 0, Layer::None));
    let (event, _) = decode(1, &ethernet(0x8100, &vlan(5, 0x88cc, &[0; 40])));
    assert_eq!((event.key, event.ethertype), (FlowKey::NONE, 0x88cc));
    assert_eq!(kind("llc snap").0.key, v4_key());
}

#[test]
fn an_unknown_link_type_stops_at_the_link_and_is_not_malformed() {
    let (event, _) = decode(147, &inner());
    assert_eq!((event.key, event.stopped, event.notes), (FlowKey::NONE, Layer::Link, Notes::UNKNOWN));
    assert!(!wire::knows(LinkType(147)));
}

#[test]
fn every_link_type_reaches_the_same_segment() {
    for name in [
        "null",
        "raw",
        "ipv4",
        "ipv6",
        "loop",
        "sll",
        "sll2",
        "ppp",
        "cisco hdlc",
        "frame relay",
        "fddi",
        "token ring",
        "802.11",
        "a-msdu",
        "radiotap",
        "prism",
        "avs",
        "ppi",
        "nflog",
        "pktap",
        "802.11 qos four addresses",
    ] {
        let (event, _) = kind(name);
        assert!(event.key == v4_key() || event.key == v6_key(), "{name}: {:?}", event.key);
        assert_eq!(event.payload_bytes, 5, "{name}");
    }
    assert_eq!(kind("sll2").0.interface, 3);
}

#[test]
fn a_wireless_frame_tells_its_way_and_whether_it_is_protected() {
    assert_eq!(kind("802.11").0.notes, Notes::TO_DS);
    assert_eq!(kind("a-msdu").0.notes, Notes::FROM_DS);
    assert_eq!(kind("802.11 qos four addresses").0.notes, Notes::TO_DS | Notes::FROM_DS);
    let (event, _) = kind("802.11 protected");
    assert_eq!((event.notes, event.stopped), (Notes::TO_DS | Notes::ENCRYPTED, Layer::None));
    // A beacon; a frame of no data.
    assert_eq!(decode(105, &join(&[&wlan(0x80, 0), &[0; 20]])).0.key, FlowKey::NONE);
    assert_eq!(decode(105, &wlan(0x48, 1)).0.stopped, Layer::None);
}

/// A QoS data frame from the distribution system: frame control's second byte, both QoS bytes, what follows.
fn qos(flags: u8, qos: [u8; 2], rest: &[u8]) -> Vec<u8> {
    join(&[&wlan(0x88, 2 | flags), &qos, rest])
}

#[test]
fn of_aggregated_frames_the_first_is_read_and_the_rest_told() {
    let subframe = |fill: usize| {
        let inner = snap(0x0800, &frames::inner());
        join(&[&[5; 6], &[6; 6], &(inner.len() as u16).to_be_bytes(), &inner, &[0, 0, 0][..fill]])
    };
    let (event, layers) = decode(105, &qos(0, [0x80, 0], &subframe(0)));
    assert_eq!((event.key, event.notes), (inner_key(), Notes::FROM_DS));
    assert_eq!(layers, Layers::default());
    // A check sequence is no subframe.
    let checked = qos(0, [0x80, 0], &join(&[&subframe(0), &[9; 4]]));
    assert_eq!(decode(105, &checked).0.notes, Notes::FROM_DS);
    let fill = subframe(0).len().next_multiple_of(4) - subframe(0).len();
    let two = qos(0, [0x80, 0], &join(&[&subframe(fill), &subframe(0)]));
    let (event, _) = decode(105, &two);
    assert_eq!((event.key, event.payload_bytes), (inner_key(), 5));
    assert_eq!(event.notes, Notes::FROM_DS | Notes::AGGREGATED);
    // Source and destination are the subframe's; the header has that of the station that sent it on.
    let named = headers(105, &two);
    assert_eq!((named.link_src, named.link_dst), (Some([6; 6]), Some([5; 6])));
}

#[test]
fn the_first_fragment_of_a_wireless_frame_tells_how_long_its_packet_is() {
    let whole = snap(0x0800, &ipv4(17, &udp(5, 6, &[0; 1000])));
    const MORE_FRAGMENTS: u8 = 4;
    let (event, _) = decode(105, &qos(MORE_FRAGMENTS, [0, 0], &whole[..400]));
    assert_eq!((event.key, event.stopped), (key("10.0.0.1", 5, "10.0.0.2", 6, 17), Layer::None));
    assert_eq!((event.network_bytes, event.payload_bytes), (1028, 1000));
    assert_eq!(event.notes, Notes::FROM_DS | Notes::APART);
    // Without that bit the length is wrong.
    assert!(decode(105, &qos(0, [0, 0], &whole[..400])).0.notes.contains(Notes::MALFORMED));
}

#[test]
fn a_mesh_control_field_may_stand_before_llc() {
    for addresses in 0..3 {
        let control = join(&[&[addresses, 31, 0, 0, 0, 1], &[7; 12][..6 * usize::from(addresses)]]);
        let frame = qos(0, [0, 1], &join(&[&control, &snap(0x0800, &frames::inner())]));
        assert_eq!(decode(105, &frame).0.key, inner_key(), "{addresses} more addresses");
    }
    // The same bit means other things in other networks.
    assert_eq!(decode(105, &qos(0, [0, 1], &snap(0x0800, &frames::inner()))).0.key, inner_key());
}

#[test]
fn cooked_frames_may_be_ethernet_or_ppp() {
    let cooked = |protocol: u8, rest: &[u8]| join(&[&[0; 14], &[0, protocol], rest]);
    assert_eq!(decode(113, &cooked(3, &frames::inner_ethernet())).0.key, inner_key());
    assert_eq!(decode(113, &cooked(7, &join(&[&[0xff, 3, 0, 0x21], &frames::inner()]))).0.key, inner_key());
    assert_eq!(decode(113, &cooked(4, &snap(0x0800, &frames::inner()))).0.key, inner_key());
    assert_eq!(decode(113, &cooked(12, &frames::inner())).0.key, FlowKey::NONE);
}

#[test]
fn a_frame_that_its_mirror_has_cut_is_cut_and_not_malformed() {
    let mirrored = |truncated: u8, frame: &[u8]| {
        let erspan = join(&[&[0x10, 1, truncated << 2, 9], &[0; 4], frame]);
        ethernet(0x0800, &ipv4(47, &join(&[&[0x10, 0, 0x88, 0xbe, 0, 0, 0, 1], &erspan])))
    };
    let inner = ethernet(0x0800, &ipv4(6, &tcp(&[], &[0; 1000])));
    let (event, _) = decode(1, &mirrored(1, &inner[..100]));
    assert_eq!((event.key, event.stopped), (v4_key(), Layer::None));
    assert_eq!((event.network_bytes, event.payload_bytes), (1040, 1000));
    assert_eq!(event.notes, Notes::TUNNELLED | Notes::CUT);
    assert!(decode(1, &mirrored(0, &inner[..100])).0.notes.contains(Notes::MALFORMED));
    // Third form, the same bit; cut within the transport header.
    let erspan = join(&[&[0x20, 1, 4, 9], &[0; 8], &inner[..40]]);
    let frame = ethernet(0x0800, &ipv4(47, &join(&[&[0x10, 0, 0x22, 0xeb, 0, 0, 0, 1], &erspan])));
    let (event, _) = decode(1, &frame);
    assert_eq!((event.key, event.stopped), (v4_key(), Layer::Tunnel));
    assert_eq!(event.notes, Notes::TUNNELLED | Notes::CUT);
}

#[test]
fn reserved_bits_of_a_tunnels_header_are_ignored_where_a_frame_follows() {
    let (ethernet_inside, no_frame) = (frames::inner_ethernet(), [0x55; 60]);
    let tunnelled = |port, header: &[u8], inside: &[u8]| {
        let frame = ethernet(0x0800, &ipv4(17, &udp(50000, port, &join(&[header, inside]))));
        !decode(1, &frame).1.tunnels.is_empty()
    };
    let vxlan: [[u8; 8]; 3] = [[8, 0, 0, 0, 0, 0, 42, 0], [0x48, 0, 0, 0, 0, 0, 42, 0], [8, 0, 0, 0, 0, 0, 42, 7]];
    for (header, alone) in vxlan.iter().zip([true, false, false]) {
        assert!(tunnelled(4789, header, &ethernet_inside), "{header:?}");
        assert_eq!(tunnelled(4789, header, &no_frame), alone, "{header:?}");
    }
    let geneve: [[u8; 8]; 3] =
        [[0, 0, 0x65, 0x58, 0, 0, 42, 0], [0, 1, 0x65, 0x58, 0, 0, 42, 0], [0, 0, 0x65, 0x58, 0, 0, 42, 7]];
    for (header, alone) in geneve.iter().zip([true, false, false]) {
        assert!(tunnelled(6081, header, &ethernet_inside), "{header:?}");
        assert_eq!(tunnelled(6081, header, &no_frame), alone, "{header:?}");
    }
}

#[test]
fn a_first_fragment_of_a_tunnel_over_udp_is_opened() {
    let mut packet = ipv4(17, &udp(5, 6, &[0; 1400]));
    for (port, header) in [(2152, join(&[&[0x30, 255], &1428_u16.to_be_bytes(), &[0, 0, 0, 9]])), (3544, vec![])] {
        if port == 3544 {
            let src = join(&[&[0x20, 1, 0, 0], &[0; 12]]);
            packet = frames::ipv6_with(17, src.try_into().unwrap(), [9; 16], &udp(5, 6, &[0; 1400]));
        }
        let datagram = udp(50000, port, &join(&[&header, &packet]));
        let frame = ethernet(0x0800, &ipv4_with(17, [1; 4], [2; 4], 0x2000, &[], &datagram[..800]));
        let (event, layers) = decode(1, &frame);
        assert_eq!((layers.tunnels.count(), event.key.src_port), (1, 5), "{port}");
        assert_eq!((event.stopped, event.notes), (Layer::None, Notes::TUNNELLED | Notes::FRAGMENT | Notes::APART));
    }
}

#[test]
fn a_tunnel_gives_the_innermost_key_and_keeps_its_outer_headers() {
    for (name, tunnel, id, ports) in [
        ("ip in ip", TunnelKind::IpInIp, None, (0, 0)),
        ("gre", TunnelKind::Gre, Some(9), (0, 0)),
        ("pptp", TunnelKind::Gre, Some(3), (0, 0)),
        ("erspan 1", TunnelKind::Erspan, None, (0, 0)),
        ("erspan 2", TunnelKind::Erspan, Some(9), (0, 0)),
        ("erspan 3", TunnelKind::Erspan, Some(9), (0, 0)),
        ("vxlan", TunnelKind::Vxlan, Some(42), (50000, 4789)),
        ("vxlan gpe", TunnelKind::Vxlan, Some(42), (50000, 4790)),
        ("geneve", TunnelKind::Geneve, Some(42), (50000, 6081)),
        ("gtp-u", TunnelKind::GtpU, Some(77), (50000, 2152)),
        ("teredo", TunnelKind::Teredo, None, (50000, 3544)),
        ("ayiya", TunnelKind::Ayiya, None, (50000, 5072)),
    ] {
        let (event, layers) = kind(name);
        let expected = match name {
            "teredo" | "ayiya" => key("2001::", 40000, "909:909:909:909:909:909:909:909", 80, 6),
            "pptp" => v4_key(),
            _ => inner_key(),
        };
        assert_eq!((event.key, event.payload_bytes, event.notes), (expected, 5, Notes::TUNNELLED), "{name}");
        let [found] = layers.tunnels.as_slice() else { panic!("{name}: {:?}", layers.tunnels) };
        assert_eq!((found.kind, found.id, found.ports), (tunnel, id, ports), "{name}");
        assert_eq!((found.src, found.dst), (v4_key().src, v4_key().dst), "{name}");
    }
}

#[test]
fn without_decapsulation_the_outermost_ip_header_gives_the_key() {
    let options = DecodeOptions { decapsulate: false, ..DecodeOptions::default() };
    let outer = ethernet(0x8100, &vlan(7, 0x0800, &ipv4(47, &join(&[&[0, 0, 8, 0], &inner()]))));
    let (mut event, mut layers) = (FlowEvent::default(), Layers::default());
    assert!(wire::decode(LinkType(1), &outer, outer.len() as u32, options, &mut event, &mut layers));
    assert_eq!(event.key, key("10.0.0.1", 0, "10.0.0.2", 0, 47));
    assert_eq!((layers.vlans.as_slice(), layers.tunnels.is_empty()), (&[7][..], true));
}

#[test]
fn a_datagram_to_a_tunnels_port_that_is_no_tunnel_stays_udp() {
    for port in [4789, 4790, 6081, 2152, 3544, 5072] {
        let (event, layers) =
            decode(1, &ethernet(0x0800, &ipv4(17, &udp(50000, port, b"GET / HTTP/1.1 but not quite"))));
        assert_eq!(event.key, key("10.0.0.1", 50000, "10.0.0.2", port, 17));
        assert_eq!((event.stopped, event.notes), (Layer::None, Notes::empty()));
        assert_eq!(layers, Layers::default());
    }
}

#[test]
fn an_unreadable_inner_header_keeps_the_outer_key_and_stops_at_the_tunnel() {
    let mut broken = inner();
    broken[0] = 0x42;
    let (event, layers) = decode(1, &ethernet(0x0800, &ipv4(47, &join(&[&[0, 0, 8, 0], &broken]))));
    assert_eq!(event.key, key("10.0.0.1", 0, "10.0.0.2", 0, 47));
    assert_eq!((event.stopped, event.notes), (Layer::Tunnel, Notes::MALFORMED | Notes::TUNNELLED));
    assert_eq!(layers.tunnels.count(), 1);
}

#[test]
fn a_first_fragment_of_a_tunnel_may_claim_more_inside_than_it_holds() {
    let mut packet = inner();
    packet[2..4].copy_from_slice(&1400_u16.to_be_bytes());
    let frame = ethernet(0x0800, &ipv4_with(4, [1; 4], [2; 4], 0x2000, &[], &packet));
    let (event, _) = decode(1, &frame);
    assert_eq!((event.key, event.stopped), (inner_key(), Layer::None));
    // The rest is in the later fragments, which are of another flow.
    assert_eq!(event.notes, Notes::TUNNELLED | Notes::FRAGMENT | Notes::APART);
}

#[test]
fn a_first_fragment_with_an_extension_header_behind_is_apart() {
    let datagram = udp(5, 6, &[0; 800]);
    let authenticated = join(&[&[17, 4, 0, 0], &[0; 20], &datagram]);
    let (event, _) = decode(1, &ethernet(0x0800, &ipv4_with(51, [1; 4], [2; 4], 0x2000, &[], &authenticated)));
    assert_eq!((event.key.protocol, event.notes), (Protocol::UDP, Notes::FRAGMENT | Notes::APART));
    let (event, _) = decode(1, &ethernet(0x0800, &ipv4_with(51, [1; 4], [2; 4], 100, &[], &[0; 80])));
    assert_eq!((event.key.protocol, event.payload_bytes), (Protocol::AH, 80));
    let extended = join(&[&[60, 0, 0, 1, 0, 0, 0, 7], &[17, 0, 1, 4, 0, 0, 0, 0], &datagram]);
    let (event, _) = decode(1, &ethernet(0x86dd, &ipv6(44, &extended)));
    assert_eq!((event.key.protocol, event.notes), (Protocol::UDP, Notes::FRAGMENT | Notes::APART));
    let plain = join(&[&[17, 0, 0, 1, 0, 0, 0, 7], &datagram]);
    assert_eq!(decode(1, &ethernet(0x86dd, &ipv6(44, &plain))).0.notes, Notes::FRAGMENT);
}

#[test]
fn snap_of_another_organisation_is_no_ethertype() {
    let mut bytes = snap(0x0800, &[0; 30]);
    bytes[5] = 0x0c;
    let (event, _) = decode(1, &ethernet(bytes.len() as u16, &bytes));
    assert_eq!((event.key, event.ethertype, event.stopped), (FlowKey::NONE, 0, Layer::None));
}

fn headers(link: u16, frame: &[u8]) -> wire::Headers {
    let (mut event, mut layers) = (FlowEvent::default(), Layers::default());
    let options = DecodeOptions { headers: true, ..DecodeOptions::default() };
    assert!(wire::decode(LinkType(link), frame, frame.len() as u32, options, &mut event, &mut layers));
    layers.headers
}

#[test]
fn headers_are_noted_when_asked_for_and_only_then() {
    let mut frame = ethernet(0x0800, &ipv4(6, &tcp(&[], b"")));
    frame[..12].copy_from_slice(&[0xaa, 1, 2, 3, 4, 5, 0xbb, 1, 2, 3, 4, 5]);
    frame[15] = 0xb8;
    frame[22] = 61;
    let expected = wire::Headers {
        link_src: Some([0xbb, 1, 2, 3, 4, 5]),
        link_dst: Some([0xaa, 1, 2, 3, 4, 5]),
        ttl: Some(61),
        tos: Some(0xb8),
    };
    assert_eq!(headers(1, &frame), expected);
    assert_eq!(decode(1, &frame).1.headers, wire::Headers::default());
    // The traffic class lies across two bytes; a cooked header knows the sender only.
    let mut packet = ipv6(6, &tcp(&[], b""));
    packet[0] = 0x6b;
    packet[1] = 0x80;
    packet[7] = 3;
    let cooked = [&[0, 0, 0, 1, 0, 6, 0xbb, 1, 2, 3, 4, 5, 0, 0, 0x86, 0xdd][..], &packet].concat();
    let found = headers(113, &cooked);
    assert_eq!((found.tos, found.ttl), (Some(0xb8), Some(3)));
    assert_eq!((found.link_src, found.link_dst), (Some([0xbb, 1, 2, 3, 4, 5]), None));
}

#[test]
fn an_80211_frame_names_source_and_destination_by_its_ds_bits() {
    let [a, b, c] = [[1; 6], [2; 6], [3; 6]];
    for (flags, src, dst) in [(0, b, a), (1, b, c), (2, c, a)] {
        let frame = [&[0x08, flags, 0, 0][..], &a, &b, &c, &[0, 0]].concat();
        let found = headers(105, &frame);
        assert_eq!((found.link_src, found.link_dst), (Some(src), Some(dst)), "{flags}");
    }
    // An acknowledgment has a receiver only.
    let found = headers(105, &[&[0xd4, 0, 0, 0][..], &a].concat());
    assert_eq!((found.link_src, found.link_dst), (None, Some(a)));
}
