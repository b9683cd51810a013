//! What other tools call it: translations for those who know libpcap, Wireshark, nfdump, ss or argus.

use crate::ast::FLAG_WORDS;
use crate::error::{Mistake, Span};
use crate::lex::{Sign, Token, TokenKind};
use crate::literal;

/// A word of another tool: the word, the tool, ours. Where ours ends in a blank, the value that follows is repeated.
const WORDS: &[(&str, &str, &str)] = &[
    ("ip.addr", "Wireshark", "addr "),
    ("ip.host", "Wireshark", "addr "),
    ("ip.src", "Wireshark", "src "),
    ("ip.dst", "Wireshark", "dst "),
    ("ip.src_host", "Wireshark", "src "),
    ("ip.dst_host", "Wireshark", "dst "),
    ("ipv6.addr", "Wireshark", "addr "),
    ("ipv6.src", "Wireshark", "src "),
    ("ipv6.dst", "Wireshark", "dst "),
    ("tcp.port", "Wireshark", "tcp and port "),
    ("tcp.srcport", "Wireshark", "tcp and sport "),
    ("tcp.dstport", "Wireshark", "tcp and dport "),
    ("udp.port", "Wireshark", "udp and port "),
    ("udp.srcport", "Wireshark", "udp and sport "),
    ("udp.dstport", "Wireshark", "udp and dport "),
    ("sctp.port", "Wireshark", "sctp and port "),
    ("eth.addr", "Wireshark", "ether "),
    ("eth.src", "Wireshark", "ether src "),
    ("eth.dst", "Wireshark", "ether dst "),
    ("wlan.addr", "Wireshark", "ether "),
    ("eth.type", "Wireshark", "ethertype "),
    ("vlan.id", "Wireshark", "vlan "),
    ("mpls.label", "Wireshark", "mpls "),
    ("vxlan.vni", "Wireshark", "vni "),
    ("frame.len", "Wireshark", "len "),
    ("frame.cap_len", "Wireshark", "len "),
    ("ip.len", "Wireshark", "len "),
    ("tcp.len", "Wireshark", "payload "),
    ("ip.ttl", "Wireshark", "ttl "),
    ("ipv6.hlim", "Wireshark", "ttl "),
    ("ip.proto", "Wireshark", "proto "),
    ("ipv6.nxt", "Wireshark", "proto "),
    ("ip.dsfield.dscp", "Wireshark", "dscp "),
    ("ip.flags.mf", "Wireshark", "fragment"),
    ("ip.frag_offset", "Wireshark", "fragment"),
    ("ip.version", "Wireshark", "ip` or `ip6"),
    ("icmp.type", "Wireshark", "icmp and icmptype "),
    ("icmp.code", "Wireshark", "icmp and icmpcode "),
    ("icmpv6.type", "Wireshark", "icmp6 and icmptype "),
    ("wlan.fc.tods", "Wireshark", "to_ds"),
    ("wlan.fc.fromds", "Wireshark", "from_ds"),
    ("tcp.flags", "Wireshark", "flags S/SA"),
    ("tcp.flags.reset", "Wireshark", "rst"),
    ("tcp.flags.push", "Wireshark", "psh"),
    ("tcp.analysis.retransmission", "Wireshark", "retrans > 0"),
    ("tcp.analysis.ack_rtt", "Wireshark", "rtt "),
    ("ipv6", "Wireshark", "ip6"),
    ("ipv4", "nfdump", "ip"),
    ("icmpv6", "Wireshark", "icmp6"),
    ("eth", "Wireshark", "ether "),
    ("inet", "nfdump", "ip"),
    ("inet6", "nfdump", "ip6"),
    ("portrange", "libpcap", "port "),
    ("greater", "libpcap", "len >= "),
    ("less", "libpcap", "len <= "),
    ("ifname", "libpcap", "input "),
    ("on", "libpcap", "input "),
    ("wlan", "libpcap", "to_ds or from_ds"),
    ("srcip", "nfdump", "src "),
    ("dstip", "nfdump", "dst "),
    ("srcport", "nfdump", "sport "),
    ("dstport", "nfdump", "dport "),
    ("src-port", "argus", "sport "),
    ("dst-port", "argus", "dport "),
    ("saddr", "argus", "src "),
    ("daddr", "argus", "dst "),
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
];

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
    ("sip", "port 5060"),
    ("rtp", "udp"),
];

fn word_of<'t>(token: Option<&Token<'t>>) -> Option<&'t str> {
    match token.map(|token| &token.kind) {
        Some(TokenKind::Word(word)) => Some(word),
        _ => None,
    }
}

/// What follows a foreign word, written our way: `== 5` is ` 5`, `in {80 443}` is `{80, 443}`; and where it ends.
fn value(text: &str, input: &[Token<'_>]) -> Option<(String, usize)> {
    let mut rest = input.get(1..)?;
    let mut sign = String::new();
    match &rest.first()?.kind {
        TokenKind::Sign(Sign::Equal) => rest = rest.get(1..)?,
        TokenKind::Sign(Sign::NotEqual | Sign::Less | Sign::AtMost | Sign::More | Sign::AtLeast) => {
            sign = format!("{} ", text.get(rest.first()?.span.clone())?);
            rest = rest.get(1..)?;
        }
        TokenKind::Word(word) if word.eq_ignore_ascii_case("in") => rest = rest.get(1..)?,
        TokenKind::Word(word) if is_comparison(word) => {
            let ours = COMPARISONS.iter().find(|(name, _)| word.eq_ignore_ascii_case(name))?.1;
            if ours != "==" {
                sign = format!("{ours} ");
            }
            rest = rest.get(1..)?;
        }
        _ => {}
    }
    let ours = |word: &str| {
        if literal::mac(word).is_some() {
            return word.replace('-', ":");
        }
        let range = word.split_once("..").or_else(|| word.split_once('-').filter(|_| !word.contains(':')));
        range.map_or_else(|| word.to_owned(), |(low, high)| format!("{low}:{high}"))
    };
    match rest.first().map(|token| &token.kind)? {
        TokenKind::Word(word) if literal::looks_like_value(word) => {
            Some((format!("{sign}{}", ours(word)), rest.first()?.span.end))
        }
        TokenKind::Sign(Sign::OpenList | Sign::OpenSlice) => {
            let mut items = Vec::new();
            for token in rest.iter().skip(1).take(64) {
                match &token.kind {
                    TokenKind::Word(word) => items.push(ours(word)),
                    TokenKind::Sign(Sign::Comma) => {}
                    TokenKind::Sign(Sign::CloseList | Sign::CloseSlice) => {
                        return Some((format!("{sign}{{{}}}", items.join(", ")), token.span.end));
                    }
                    _ => return None,
                }
            }
            None
        }
        _ => None,
    }
}

/// A word that begins a test elsewhere.
pub fn word(text: &str, word: &str, input: &[Token<'_>]) -> Option<Mistake> {
    let span = input.first()?.span.clone();
    let lower = word.to_ascii_lowercase();
    let mistake = |title: String| Mistake::new("foreign-word", span.clone(), title).label("another tool's word");
    if let Some((_, tool, ours)) = WORDS.iter().find(|(name, _, _)| *name == lower) {
        let Some(field) = ours.strip_suffix(' ') else {
            return Some(mistake(format!("`{word}` is {}", tools(tool))).help(format!("write `{ours}`")));
        };
        let said = format!("`{word}` is {}: it is `{field}` here", tools(tool));
        let (written, end) = match value(text, input) {
            Some((value, end)) => (format!("{field} {value}"), end),
            None => (format!("{field} …"), span.end),
        };
        return Some(Mistake { span: span.start..end, ..mistake(said) }.help(format!("write `{written}`")));
    }
    // tcp.flags.syn == 1
    if let Some(flag) = lower.strip_prefix("tcp.flags.")
        && FLAG_WORDS.iter().any(|(name, _, _)| *name == flag)
    {
        let unset = value(text, input).is_some_and(|(value, _)| value == "0");
        let ours = if unset { format!("not {flag}") } else { flag.to_owned() };
        return Some(mistake(format!("`{word}` is Wireshark's: it is `{flag}` here")).help(format!("write `{ours}`")));
    }
    // tcp-syn
    if let Some(flag) = lower.strip_prefix("tcp-") {
        return Some(
            mistake(format!("`{word}` is libpcap's")).help(format!("write `{flag}`, as in `syn and not ack`")),
        );
    }
    if let Some((_, ours)) = APPLICATIONS.iter().find(|(name, _)| *name == lower) {
        return Some(
            Mistake::new("application", span, format!("`{word}` is an application's protocol, which is not read"))
                .label("not a field of packets or flows")
                .help(format!("select it by its usual ports: `{ours}`")),
        );
    }
    Some(match lower.as_str() {
        "broadcast" | "multicast" => cast(&lower, &span),
        "inbound" | "outbound" => mistake(format!("`{word}` is libpcap's"))
            .help("a capture file does not say which packets were the host's; `direction forward` are those of a flow's originator"),
        "gateway" => mistake("`gateway` is libpcap's".into())
            .help("write `ether MAC and not addr ADDR` with the gateway's addresses"),
        "any" => mistake("`any` is nfdump's".into()).help("`all` selects everything; `port` and `addr` look at both sides"),
        "established" => mistake("`established` is ss's".into())
            .help("`state {S1, S2, S3}` are connections that were established and have not ended"),
        "bps" | "pps" | "bpp" => mistake(format!("`{word}` is nfdump's"))
            .help("rates are not filtered by; there are `bytes`, `packets` and `duration`"),
        "out" | "in" => {
            let ours = if lower == "in" { "input" } else { "output" };
            mistake(format!("`{word} if` is nfdump's")).help(format!("write `{ours} N`"))
        }
        "frame" | "tcp.stream" | "frame.number" | "frame.time" | "tcp.seq" | "tcp.ack" | "tcp.window_size" => {
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
const COMPARISONS: &[(&str, &str)] =
    &[("eq", "=="), ("ne", "!="), ("lt", "<"), ("le", "<="), ("gt", ">"), ("ge", ">="), ("is", "=="), ("~", "==")];

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
        "xor" | "^^" => mistake(format!("there is no operator `{word}`")).help("write `(A or B) and not (A and B)`"),
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
pub fn behind_side(side: &str, next: &str, text: &str, input: &[Token<'_>]) -> Mistake {
    let span = input.first().map_or(0..0, |token| token.span.clone());
    let value = value(text, input).map_or("…".to_owned(), |(value, _)| value);
    let short = side.chars().next().unwrap_or('s');
    let (tool, ours) = match next {
        "ip" => ("nfdump's", format!("{side} {value}")),
        "as" => ("nfdump's", format!("{side} asn {value}")),
        "if" => ("nfdump's", "input N` or `output N".into()),
        "portrange" => ("libpcap's", format!("{short}port {value}")),
        "mac" | "ether" => ("nfdump's", format!("ether {side} {value}")),
        "vlan" => ("nfdump's", format!("vlan {value}")),
        _ => ("nfdump's", format!("tos {value}")),
    };
    Mistake::new("foreign-word", span, format!("`{side} {next}` is {tool}"))
        .label("another tool's word")
        .help(format!("write `{ours}`"))
}

/// `broadcast` and `multicast`.
pub fn cast(word: &str, span: &Span) -> Mistake {
    let ours = if word == "broadcast" { "ether dst ff:ff:ff:ff:ff:ff" } else { "dst {224.0.0.0/4, ff00::/8}" };
    Mistake::new("foreign-word", span.clone(), format!("`{word}` is libpcap's"))
        .label("another tool's word")
        .help(format!("write `{ours}`"))
}

/// libpcap's bytes of a header: `tcp[13] & 2 != 0`.
pub fn slice_of(before: &str, text: &str, input: &[Token<'_>]) -> Mistake {
    let span = input.first().map_or(0..0, |token| token.span.clone());
    let inside = word_of(input.get(1)).unwrap_or("");
    let mistake = Mistake::new("bytes", span, "bytes are not tested by their offset")
        .label(format!("`{before}[…]` is libpcap's"));
    let tail = text.get(input.first().map_or(0, |token| token.span.end)..).unwrap_or("");
    let tail: String = tail.chars().take(80).collect();
    match (before.to_ascii_lowercase().as_str(), inside.split(':').next().unwrap_or("")) {
        ("tcp", "13" | "tcpflags") => {
            let mistake = match tcp_flags(&tail) {
                Some(ours) => mistake.help(format!("write `{ours}`")),
                None => mistake,
            };
            mistake.help("TCP flags have names: `syn`, `syn and not ack`, `flags S/SA`")
        }
        ("icmp" | "icmp6", "0" | "icmptype" | "icmp6type") => mistake.help(format!("write `{before} and icmptype N`")),
        ("icmp" | "icmp6", "1" | "icmpcode" | "icmp6code") => mistake.help(format!("write `{before} and icmpcode N`")),
        ("ip", "6") => mistake.help("write `fragment` for IP fragments"),
        ("ip", "8") | ("ip6", "7") => mistake.help("write `ttl N`"),
        ("ip", "9") | ("ip6", "6") => mistake.help("write `proto N`"),
        ("ip", "1") => mistake.help("write `tos N` or `dscp N`"),
        ("ip", "2") => mistake.help("write `len N`, the length of the whole frame"),
        ("ether", "12") => mistake.help("write `ethertype N`"),
        ("ether", "0") => mistake.help("write `ether dst MAC`"),
        ("tcp" | "udp", "0") => mistake.help("write `sport N`"),
        ("tcp" | "udp", "2") => mistake.help("write `dport N`"),
        _ => mistake.help("header fields have names: `docs/filter.md` lists them"),
    }
}

/// What a test of the flags' byte says: behind `tcp[13]` stand a mask, a comparison and a value.
fn tcp_flags(tail: &str) -> Option<String> {
    let tail = tail.split_once(']')?.1;
    // What follows the test is not its own.
    let end = [" and ", " or ", "&&", "||"].iter().filter_map(|end| tail.find(end)).min().unwrap_or(tail.len());
    let (mask, sign, value) = ["!=", "==", "="].iter().find_map(|sign| {
        let (mask, value) = tail.get(..end)?.split_once(sign)?;
        Some((mask, *sign, value))
    })?;
    let bits = |text: &str| -> Option<u16> {
        text.split(['|', '(', ')', '&', ' ']).filter(|part| !part.is_empty()).try_fold(0, |bits, part| {
            let named = part.strip_prefix("tcp-").map(|name| if name == "push" { "psh" } else { name });
            let number =
                part.strip_prefix("0x").map_or_else(|| part.parse().ok(), |hex| u16::from_str_radix(hex, 16).ok());
            let known = FLAG_WORDS.iter().find(|(name, _, _)| Some(*name) == named).map(|(_, _, bit)| *bit);
            known.or(number.filter(|&number| number < 256)).map(|more| bits | more)
        })
    };
    let mask = if mask.trim().is_empty() { 255 } else { bits(mask)? };
    let value = bits(value)?;
    let names: Vec<&str> = FLAG_WORDS.iter().filter(|(_, _, bit)| mask & bit != 0).map(|(name, _, _)| *name).collect();
    let letters = |bits: u16| -> String {
        FLAG_WORDS.iter().filter(|(_, _, bit)| bits & bit != 0).map(|(_, letter, _)| *letter).collect()
    };
    match (sign, value) {
        ("!=", 0) => Some(names.join(" or ")),
        ("!=", _) => None,
        (_, value) if value & !mask != 0 => None,
        (_, value) if value == mask && names.len() <= 2 => Some(names.join(" and ")),
        (_, value) => Some(format!("flags {}/{}", letters(value), letters(mask))),
    }
}

/// The same behind something else.
pub fn slice(text: &str, input: &[Token<'_>]) -> Mistake {
    slice_of("…", text, input)
}
