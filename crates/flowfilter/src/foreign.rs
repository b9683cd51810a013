//! What other tools call it: translations for those who know libpcap, Wireshark, nfdump, ss or argus.

use crate::ast::{FLAG_WORDS, PROTOCOL_WORDS};
use crate::error::{Mistake, Span};
use crate::field::FIELDS;
use crate::lex::{Token, TokenKind};
use crate::literal;
use crate::translate;

/// A word of another tool: the word, the tool, ours. Where ours ends in a blank, the value that follows is repeated.
pub const WORDS: &[(&str, &str, &str)] = &[
    ("ip.addr", "Wireshark", "ip and addr "),
    ("ip.host", "Wireshark", "ip and addr "),
    ("ip.src", "Wireshark", "ip and src "),
    ("ip.dst", "Wireshark", "ip and dst "),
    ("ip.src_host", "Wireshark", "ip and src "),
    ("ip.dst_host", "Wireshark", "ip and dst "),
    ("ipv6.addr", "Wireshark", "ip6 and addr "),
    ("ipv6.src", "Wireshark", "ip6 and src "),
    ("ipv6.dst", "Wireshark", "ip6 and dst "),
    ("tcp.port", "Wireshark", "tcp and port "),
    ("tcp.srcport", "Wireshark", "tcp and sport "),
    ("tcp.dstport", "Wireshark", "tcp and dport "),
    ("udp.port", "Wireshark", "udp and port "),
    ("udp.srcport", "Wireshark", "udp and sport "),
    ("udp.dstport", "Wireshark", "udp and dport "),
    ("sctp.port", "Wireshark", "sctp and port "),
    ("sctp.srcport", "Wireshark", "sctp and sport "),
    ("sctp.dstport", "Wireshark", "sctp and dport "),
    ("eth.addr", "Wireshark", "ether "),
    ("eth.src", "Wireshark", "ether src "),
    ("eth.dst", "Wireshark", "ether dst "),
    ("wlan.addr", "Wireshark", "ether "),
    ("eth.type", "Wireshark", "ethertype "),
    ("vlan.id", "Wireshark", "vlan "),
    ("mpls.label", "Wireshark", "mpls "),
    ("vxlan.vni", "Wireshark", "vni "),
    ("frame.time", "Wireshark", "time "),
    ("frame.time_utc", "Wireshark", "time "),
    ("frame.time_epoch", "Wireshark", "time "),
    ("frame.len", "Wireshark", "len "),
    ("tcp.len", "Wireshark", "tcp and payload "),
    ("ip.ttl", "Wireshark", "ip and ttl "),
    ("ipv6.hlim", "Wireshark", "ip6 and ttl "),
    ("ip.proto", "Wireshark", "ip and proto "),
    ("ipv6.nxt", "Wireshark", "ip6 and proto "),
    ("ip.dsfield", "Wireshark", "ip and tos "),
    ("ip.dsfield.dscp", "Wireshark", "ip and dscp "),
    ("ipv6.tclass", "Wireshark", "ip6 and tos "),
    ("ipv6.tclass.dscp", "Wireshark", "ip6 and dscp "),
    ("icmp.type", "Wireshark", "icmp and icmptype "),
    ("icmp.code", "Wireshark", "icmp and icmpcode "),
    ("icmpv6.type", "Wireshark", "icmp6 and icmptype "),
    ("icmpv6.code", "Wireshark", "icmp6 and icmpcode "),
    ("wlan.fc.tods", "Wireshark", "to_ds"),
    ("wlan.fc.fromds", "Wireshark", "from_ds"),
    ("tcp.analysis.retransmission", "Wireshark", "retrans > 0"),
    ("ip.geoip.asnum", "Wireshark", "asn "),
    ("ip.geoip.src_asnum", "Wireshark", "src asn "),
    ("ip.geoip.dst_asnum", "Wireshark", "dst asn "),
    ("gre.key", "Wireshark", "vni "),
    ("gtp.teid", "Wireshark", "vni "),
    ("pppoe.session_id", "Wireshark", "pppoe "),
    ("wlan.sa", "Wireshark", "ether src "),
    ("wlan.da", "Wireshark", "ether dst "),
    ("tods", "other tools", "to_ds"),
    ("fromds", "other tools", "from_ds"),
    ("ipv6", "Wireshark", "ip6"),
    ("ipv4", "nfdump", "ip"),
    ("icmpv6", "Wireshark", "icmp6"),
    ("eth", "Wireshark", "ether "),
    ("inet", "nfdump", "ip"),
    ("inet6", "nfdump", "ip6"),
    ("portrange", "libpcap", "port "),
    ("greater", "libpcap", "len >= "),
    ("less", "libpcap", "len <= "),
    ("srcip", "nfdump", "src "),
    ("dstip", "nfdump", "dst "),
    ("srcport", "nfdump", "sport "),
    ("dstport", "nfdump", "dport "),
    ("src-port", "argus", "sport "),
    ("dst-port", "argus", "dport "),
    ("saddr", "argus", "src "),
    ("daddr", "argus", "dst "),
    ("stime", "argus", "start "),
    ("ltime", "argus", "end "),
    ("srcas", "nfdump", "src asn "),
    ("dstas", "nfdump", "dst asn "),
    ("as", "nfdump", "asn "),
    ("mac", "nfdump", "ether "),
    ("router", "nfdump", "exporter "),
    ("reset", "other tools", "rst"),
    ("push", "other tools", "psh"),
    ("urgent", "other tools", "urg"),
    ("length", "other tools", "len "),
    ("size", "other tools", "len "),
    ("protocol", "other tools", "proto "),
    ("frag", "other tools", "fragment"),
    ("hoplimit", "other tools", "ttl "),
    ("hlim", "other tools", "ttl "),
    ("comm", "other tools", "process "),
    ("user", "ss", "uid "),
    ("fwmark", "ss", "mark "),
    ("atalk", "libpcap", "ethertype 0x809b"),
    ("aarp", "libpcap", "ethertype 0x80f3"),
    ("decnet", "libpcap", "ethertype 0x6003"),
    ("lat", "libpcap", "ethertype 0x6004"),
    ("sca", "libpcap", "ethertype 0x6007"),
    ("moprc", "libpcap", "ethertype 0x6002"),
    ("mopdl", "libpcap", "ethertype 0x6001"),
    ("pppoed", "libpcap", "ethertype 0x8863"),
    ("pppoes", "libpcap", "pppoe "),
];

/// What other tools have and events do not keep: the word, the tool, why there is no such field, what is near it.
const KEPT_NOWHERE: &[(&str, &str, &str, &str)] = &[
    ("ip.len", "Wireshark", IP_LENGTH, LENGTHS),
    ("ipv6.plen", "Wireshark", IP_LENGTH, LENGTHS),
    ("udp.length", "Wireshark", "UDP's length field is not kept", "`payload` are the bytes behind the UDP header"),
    ("frame.cap_len", "Wireshark", "how much of a frame was captured is not asked", "`len` is its length on the wire"),
    ("frame.time_relative", "Wireshark", RELATIVE, ABSOLUTE),
    ("frame.time_delta", "Wireshark", RELATIVE, ABSOLUTE),
    ("ip.flags.mf", "Wireshark", "its bits have no names", FRAGMENTS),
    ("ip.frag_offset", "Wireshark", "offsets of fragments have no names", FRAGMENTS),
    ("wlan", "libpcap", WLAN, WLAN_FIELDS),
    ("type", "libpcap", WLAN, WLAN_FIELDS),
    ("subtype", "libpcap", WLAN, WLAN_FIELDS),
    ("iso", "libpcap", LLC, LINK_ADDRESSES),
    ("clnp", "libpcap", LLC, LINK_ADDRESSES),
    ("esis", "libpcap", LLC, LINK_ADDRESSES),
    ("isis", "libpcap", LLC, LINK_ADDRESSES),
    ("netbeui", "libpcap", LLC, LINK_ADDRESSES),
    ("ipx", "libpcap", LLC, LINK_ADDRESSES),
    ("stp", "libpcap", LLC, "spanning trees are sent to `ether dst 01:80:c2:00:00:00`"),
    ("cdp", "Wireshark", LLC, "as CDP is sent to it: `ether dst 01:00:0c:cc:cc:cc`"),
    ("ppp", "Wireshark", "it is read through, to the packet within", "`pppoe` are packets in PPPoE"),
    ("unix", "ss", "local sockets have no ends to select them by", "`flow sockets -x` lists them"),
    (
        "autobound",
        "ss",
        "whether the kernel has chosen a port is not asked",
        "ports are numbers, as in `sport 32768:60999`",
    ),
    ("ifname", "libpcap", INTERFACE, INTERFACES),
    ("on", "libpcap", INTERFACE, INTERFACES),
    ("tcp.analysis.ack_rtt", "Wireshark", "round-trip times are of connections", "as in `rtt > 50ms`, with a unit"),
];

const RELATIVE: &str = "a packet's time is not compared with that of another";
const ABSOLUTE: &str = "as in `time 2026-11-20T10:03`";
const WLAN: &str = "of a link only `to_ds` and `from_ds` are asked";
const WLAN_FIELDS: &str =
    "they tell the direction of an 802.11 frame; its source and destination are `ether src`, `ether dst`";
const LLC: &str = "what LLC carries beside IP is not told apart";
const LINK_ADDRESSES: &str = "frames are selected by link addresses, as in `ether dst 01:80:c2:00:00:14`";
const INTERFACE: &str = "which interface a packet was captured on is not asked";
const INTERFACES: &str = "capture each interface to a file of its own";
const IP_LENGTH: &str = "the length of the IP packet is not kept";
const LENGTHS: &str =
    "`len` is the frame's length, link header and padding with it; `payload` is what TCP or UDP carry";
const FRAGMENTS: &str = "`fragment` are all fragments: the first, those between, the last";

/// Application protocols, and where they are usually found.
const APPLICATIONS: &[(&str, &str)] = &[
    ("http", "tcp and port {80, 8080}"),
    ("http2", "tcp and port 443"),
    ("https", "tcp and port 443"),
    ("tls", "tcp and port 443"),
    ("ssl", "tcp and port 443"),
    ("quic", "udp and port 443"),
    ("dns", "port 53"),
    ("mdns", "udp and port 5353"),
    ("dhcp", "udp and port {67, 68}"),
    ("bootp", "udp and port {67, 68}"),
    ("ntp", "udp and port 123"),
    ("ssh", "tcp and port 22"),
    ("smtp", "tcp and port {25, 587}"),
    ("ftp", "tcp and port 21"),
    ("snmp", "udp and port 161"),
    ("bgp", "tcp and port 179"),
    ("nbns", "udp and port 137"),
    ("ssdp", "udp and port 1900"),
    ("sip", "port 5060"),
    ("rtp", "udp"),
];

fn word_of<'t>(token: Option<&Token<'t>>) -> Option<&'t str> {
    match token.map(|token| &token.kind) {
        Some(TokenKind::Word(word)) => Some(word),
        _ => None,
    }
}

/// A word that begins a test elsewhere. How the test is written here says [`crate::translate`], where it can be.
pub fn word(word: &str, span: Span) -> Option<Mistake> {
    let lower = word.to_ascii_lowercase();
    let mistake = |title: String| Mistake::new("foreign-word", span.clone(), title).label("another tool's word");
    if let Some((_, tool, ours)) = WORDS.iter().find(|(name, _, _)| *name == lower) {
        let Some(field) = ours.strip_suffix(' ') else {
            return Some(mistake(format!("`{word}` is {}", tools(tool))).help(format!("write `{ours}`")));
        };
        // Addresses say their version themselves.
        let field = ["ip and addr", "ip and src", "ip and dst", "ip6 and addr", "ip6 and src", "ip6 and dst"]
            .contains(&field)
            .then(|| field.rsplit(' ').next())
            .flatten()
            .unwrap_or(field);
        let said = mistake(format!("`{word}` is {}: it is `{field}` here", tools(tool)));
        return Some(said.help(format!("as in `{field} {}`", example(field))));
    }
    if let Some((_, tool, why, near)) = KEPT_NOWHERE.iter().find(|(name, ..)| *name == lower) {
        return Some(mistake(format!("`{word}` is {}: {why}", tools(tool))).help(*near));
    }
    if let Some(flag) = lower.strip_prefix("tcp.flags.").map(flag)
        && FLAG_WORDS.iter().any(|(name, _, _)| *name == flag)
    {
        return Some(mistake(format!("`{word}` is Wireshark's: it is `{flag}` here")).help(format!("write `{flag}`")));
    }
    if lower == "tcp.flags" {
        return Some(mistake("`tcp.flags` is Wireshark's".into()).help(FLAGS));
    }
    if let Some(version) = ["ip.version", "ipv6.version"].iter().find(|name| **name == lower) {
        return Some(mistake(format!("`{version}` is Wireshark's")).help("`ip` is IPv4, `ip6` is IPv6"));
    }
    if let Some(name) = lower.strip_prefix("tcp-").map(flag) {
        return Some(
            mistake(format!("`{word}` is libpcap's")).help(format!("write `{name}`, as in `syn and not ack`")),
        );
    }
    if let Some(field) = lower.strip_prefix("inner.") {
        let is_field = FIELDS.iter().any(|def| def.name == field) || matches!(field, "addr" | "host" | "net" | "port");
        let mistake = Mistake::new("inner-field", span.clone(), format!("there is no `{word}`")).label("unknown");
        return Some(if is_field {
            mistake
                .help(format!("write `{field}`"))
                .help(format!("fields are of the innermost headers, `outer.{field}` is of the outermost"))
                .mend(field, false)
        } else {
            mistake.help("fields are of the innermost headers, unless they begin with `outer.`")
        });
    }
    if let Some(field) = lower.strip_prefix("outer.") {
        let is_protocol = PROTOCOL_WORDS.iter().any(|(name, _)| *name == field);
        let mistake = Mistake::new("outer-field", span.clone(), format!("there is no `{word}`")).label("unknown");
        return Some(match field {
            _ if is_protocol => mistake.help(format!("write `outer.proto {field}`")),
            "ip" => mistake.help("write `outer.addr 0.0.0.0/0`: the outermost header is IPv4"),
            "ip6" => mistake.help("write `outer.addr ::/0`: the outermost header is IPv6"),
            _ => mistake.help("of outer headers there are outer.src, outer.dst, outer.addr, outer.sport, outer.dport, outer.port and outer.proto"),
        });
    }
    let protocol = lower.split('.').next().unwrap_or(&lower);
    if let Some((_, ours)) = APPLICATIONS.iter().find(|(name, _)| *name == protocol) {
        return Some(
            Mistake::new(
                "application",
                span.clone(),
                format!("`{word}` is an application's protocol, which is not read"),
            )
            .label("not a field of packets or flows")
            .help(format!("select it by its usual ports: `{ours}`")),
        );
    }
    Some(match lower.as_str() {
        "broadcast" | "multicast" => cast("", &lower, &span),
        "inbound" | "outbound" => mistake(format!("`{word}` is libpcap's"))
            .help("a capture file does not say which packets were the host's; `direction forward` are those of a flow's originator"),
        "gateway" => mistake("`gateway` is libpcap's".into())
            .help("as in `ether 02:00:5e:10:00:01 and not addr 10.0.0.1`, the gateway's addresses"),
        "any" => mistake("`any` is nfdump's".into()).help("`all` selects everything; `port` and `addr` look at both sides"),
        "established" => mistake("`established` is ss's".into())
            .help("`state {S1, S2, S3}` are connections that were established and have not ended"),
        "bps" | "pps" | "bpp" => mistake(format!("`{word}` is nfdump's"))
            .help("rates are not filtered by; there are `bytes`, `packets` and `duration`"),
        "out" | "in" => {
            let ours = if lower == "in" { "input" } else { "output" };
            mistake(format!("`{word} if` is nfdump's")).help(format!("as in `{ours} 3`"))
        }
        "frame" | "tcp.stream" | "frame.number" | "tcp.seq" | "tcp.ack" | "tcp.window_size" => {
            mistake(format!("`{word}` cannot be filtered by")).help("`docs/filter.md` lists every field")
        }
        "contains" | "matches" => return operator(word, &span),
        "xor" => return operator(word, &span),
        "ah" => Mistake::new("walked-through", span, "AH is walked through: a packet's protocol is the one behind it")
            .label("never a packet's protocol")
            .help("test that protocol instead, as in `tcp`"),
        // Any other protocol.field of Wireshark's.
        _ if lower.split_once('.').is_some_and(|(protocol, field)| {
            ["ip", "ipv6", "tcp", "udp", "eth", "frame", "icmp", "vlan", "http", "dns", "tls", "wlan", "arp"].contains(&protocol)
                && field.starts_with(|c: char| c.is_ascii_alphabetic())
        }) =>
        {
            mistake(format!("`{word}` looks like Wireshark's, and there is no such field here"))
                .help("`docs/filter.md` lists every field")
        }
        _ => return None,
    })
}

fn tools(tool: &str) -> String {
    if tool.ends_with('s') { format!("{tool}'") } else { format!("{tool}'s") }
}

/// Words that other languages have for operators.
pub const COMPARISONS: &[(&str, &str)] = &[
    ("eq", "=="),
    ("ne", "!="),
    ("neq", "!="),
    ("lt", "<"),
    ("le", "<="),
    ("gt", ">"),
    ("ge", ">="),
    ("is", "=="),
    ("~", "=="),
];

/// Whether a word compares in another language.
pub fn is_comparison(word: &str) -> bool {
    COMPARISONS.iter().any(|(name, _)| word.eq_ignore_ascii_case(name))
}

/// A comparison spelled out.
pub fn comparison(word: &str, span: &Span) -> Mistake {
    let ours = COMPARISONS.iter().find(|(name, _)| word.eq_ignore_ascii_case(name)).map_or("==", |(_, ours)| ours);
    Mistake::new("foreign-operator", span.clone(), format!("`{word}` is no comparison here"))
        .label("another tool's word")
        .help(format!("write `{ours}`"))
}

/// A word where an operator should stand.
pub fn operator(word: &str, span: &Span) -> Option<Mistake> {
    let mistake = |title: String| {
        Mistake::new("foreign-operator", span.clone(), title).label("`and`, `or` or the end is expected here")
    };
    Some(match word.to_ascii_lowercase().as_str() {
        "xor" | "^^" => mistake(format!("there is no operator `{word}`"))
            .help("of tests A and B it is `(A or B) and not (A and B)`"),
        "contains" | "matches" => mistake(format!("`{word}` looks into payload, which is not read"))
            .help("fields of headers are compared: `docs/filter.md` lists them"),
        "but" | "plus" | "with" => mistake(format!("there is no operator `{word}`")).help("write `and`"),
        _ if is_comparison(word) => {
            mistake(format!("`{word}` compares nothing here")).help("what stands before it is true or false by itself")
        }
        _ => return None,
    })
}

/// Behind `src` or `dst`.
pub fn behind_side(side: &str, next: &str, span: Span) -> Mistake {
    let short = side.chars().next().unwrap_or('s');
    let (tool, ours) = match next {
        "ip" => ("nfdump's", format!("{side} 10.0.0.0/8")),
        "as" => ("nfdump's", format!("{side} asn 64500")),
        "if" => ("nfdump's", "input 3` or `output 3".into()),
        "portrange" => ("libpcap's", format!("{short}port 8000:8100")),
        "mac" | "ether" => ("nfdump's", format!("ether {side} 02:00:5e:10:00:01")),
        "vlan" => ("nfdump's", "vlan 5".into()),
        _ => ("nfdump's", "tos 5".into()),
    };
    Mistake::new("foreign-word", span, format!("`{side} {next}` is {tool}"))
        .label("another tool's word")
        .help(format!("as in `{ours}`"))
}

/// `broadcast` and `multicast`, behind a protocol or alone.
pub fn cast(before: &str, word: &str, span: &Span) -> Mistake {
    let mistake =
        Mistake::new("foreign-word", span.clone(), format!("`{word}` is libpcap's")).label("another tool's word");
    match (before, word) {
        ("ip", "broadcast") => mistake.help(
            "a network's broadcast address depends on its mask: name it, as in `dst {255.255.255.255, 10.255.255.255}`",
        ),
        (_, "broadcast") => mistake.help("write `ether dst ff:ff:ff:ff:ff:ff`"),
        ("ip", _) => mistake.help("write `dst 224.0.0.0/3`"),
        ("ip6", _) => mistake.help("write `dst ff00::/8`"),
        _ => mistake
            .help("libpcap looks at a bit of the link address, which is no field here")
            .help("packets to multicast addresses of IP are `dst {224.0.0.0/4, ff00::/8}`"),
    }
}

/// libpcap's bytes of a header: `tcp[13] & 2 != 0`.
pub fn slice_of(before: &str, input: &[Token<'_>]) -> Mistake {
    let span = input.first().map_or(0..0, |token| token.span.clone());
    let inside = word_of(input.get(1)).unwrap_or("");
    let mistake = Mistake::new("bytes", span, "bytes are not tested by their offset")
        .label(format!("`{before}[…]` is libpcap's"));
    match (before.to_ascii_lowercase().as_str(), inside.split(':').next().unwrap_or("")) {
        ("tcp", "13" | "tcpflags") => mistake.help(FLAGS),
        ("ip", "6") => mistake.help(FRAGMENTS),
        ("ip", "2") | ("ip6", "4") => mistake.help(IP_LENGTH).help(LENGTHS),
        ("ether", "0") => mistake.help("as in `ether dst 02:00:5e:10:00:01`"),
        (before, inside) => match translate::header_field(before, inside, None) {
            Some(field) => mistake.help(format!("as in `{field} {}`", example(field))),
            None => mistake.help("the header fields that can be tested have names: `docs/filter.md` lists them"),
        },
    }
}

const FLAGS: &str = "TCP flags have names: `syn`, `syn and not ack`, `flags S/SA`";

/// The same behind something else.
pub fn slice(input: &[Token<'_>]) -> Mistake {
    slice_of("…", input)
}

/// A flag's name where others have a longer or another one.
pub fn flag(name: &str) -> &str {
    match name {
        "push" => "psh",
        "reset" => "rst",
        "ecn" => "ece",
        other => other,
    }
}

/// A value that may stand behind a field, as it is written in [`WORDS`].
fn example(field: &str) -> &'static str {
    let field = field.rsplit(" and ").next().unwrap_or(field);
    match field {
        "port" => "443",
        "addr" => "10.0.0.0/8",
        "asn" => "64500",
        "ether" => "02:00:5e:10:00:01",
        _ => FIELDS.iter().find(|def| def.name == field).map_or("1", |def| literal::example(def.field)),
    }
}
