//! Values: numbers with units, addresses, link addresses, words. Nothing is cut, nothing is guessed.

mod addr;
mod number;
pub mod time;

pub use number::SPANS;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::ast::{ETHERTYPE_WORDS, FLAG_WORDS, Item, PROTOCOL_NAMES, PROTOCOL_WORDS, Subject};
use crate::error::{Mistake, Span};
use crate::field::{Field, Kind, SOCKET_STATES, TUNNELS};
use crate::filter::Options;
use crate::suggest;

/// A word that should be a value, with the words behind it: `10.0.0.0 /8` and `80 : 90` are values too.
pub struct Literal<'l> {
    pub word: &'l str,
    pub next: &'l [&'l str],
    pub span: Span,
    pub subject: Subject,
    pub before: Before,
    pub options: &'l Options<'l>,
}

/// What stands before a value.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Before {
    /// Its field, or `in`.
    Field,
    /// Another value of a list, or its beginning.
    List,
    /// `!=`
    Unequal,
    /// `=` or an order, behind which an open range is odd.
    Exact,
}

/// A value that was read.
pub struct Read {
    pub item: Item,
    /// How many of the next words belong to it.
    pub used: usize,
    /// Something to know about it.
    pub note: Option<Mistake>,
}

impl Read {
    fn just(item: Item) -> Self {
        Self { item, used: 0, note: None }
    }
}

type Outcome<T> = Result<T, Box<Mistake>>;

/// What a kind's values are, for messages.
pub fn describe(kind: Kind) -> String {
    match kind {
        Kind::Flag => "nothing".into(),
        Kind::Number { max: u64::MAX } => "a number".into(),
        Kind::Number { max } => format!("a number from 0 to {max}"),
        Kind::Bytes => "a number of bytes".into(),
        Kind::Span => "a time with a unit".into(),
        Kind::Time => "a point in time".into(),
        Kind::Addr => "an address or prefix".into(),
        Kind::Mac => "a link address".into(),
        Kind::Proto => "a protocol".into(),
        Kind::TcpFlags => "TCP flags".into(),
        Kind::Word(words) => format!("one of {}", words.join(", ")),
        Kind::Text => "a text".into(),
    }
}

/// A value of the kind that people use.
pub fn example(field: Field) -> &'static str {
    match field.kind() {
        Kind::Number { max: 65_535 } if field == Field::Ethertype => "0x88cc",
        Kind::Number { max: 65_535 } => "443",
        Kind::Number { .. } => match field {
            Field::Dscp => "ef",
            Field::SrcAsn | Field::DstAsn => "64500",
            Field::Ttl => "64",
            _ => "5",
        },
        Kind::Bytes => "1500",
        Kind::Span => "50ms",
        Kind::Time => "2026-11-20T10:03",
        Kind::Addr => "10.0.0.0/8",
        Kind::Mac => "02:00:5e:10:00:01",
        Kind::Proto => "tcp",
        Kind::Word(words) => words.first().copied().unwrap_or(""),
        Kind::Flag | Kind::TcpFlags => "",
        Kind::Text => "nginx",
    }
}

/// IP protocol number of the Authentication Header (RFC 4302).
const AH: u64 = 51;

/// What to say of a protocol whose number another has too.
pub fn shares_number(word: &str, span: &Span) -> Option<Mistake> {
    word.eq_ignore_ascii_case("carp").then(|| {
        Mistake::new("shared-number", span.clone(), "CARP has VRRP's protocol number, 112: both are selected")
            .label("the same as `vrrp`")
    })
}

/// The bits of a netmask that is written out.
pub fn mask_bits(mask: &str) -> Option<u32> {
    let mask = u32::from(mask.parse::<Ipv4Addr>().ok()?);
    (mask.leading_ones() + mask.trailing_zeros() >= 32).then_some(mask.leading_ones())
}

/// Numbers that have names: ethertypes, and code points of RFC 2474, 2597, 3246, 5865 and 8622.
pub fn named_number(field: Field, word: &str) -> Option<u64> {
    const CODE_POINTS: [(&str, u64); 5] = [("be", 0), ("default", 0), ("le", 1), ("va", 44), ("ef", 46)];
    let lower = word.to_ascii_lowercase();
    let find = |all: &[(&str, u64)]| all.iter().find(|(name, _)| *name == lower).map(|(_, number)| *number);
    let digits = |text: &str| text.bytes().map(|digit| u64::from(digit.wrapping_sub(b'0'))).collect::<Vec<_>>();
    match field {
        Field::Ethertype => find(ETHERTYPE_WORDS).or_else(|| find(&[("ip", 0x0800), ("ip6", 0x86dd)])),
        Field::Dscp => match (lower.get(..2)?, &*digits(lower.get(2..)?)) {
            ("cs", &[class @ 0..8]) => Some(class << 3),
            ("af", &[class @ 1..5, drop @ 1..4]) => Some(class << 3 | drop << 1),
            _ => find(&CODE_POINTS),
        },
        _ => None,
    }
}

/// A socket's state, by the kernel's name or one that `ss` takes; `-` and `_` are the same.
pub fn socket_state(word: &str) -> Option<&'static str> {
    let lower = word.to_ascii_lowercase().replace('-', "_");
    let name = match lower.as_str() {
        "estab" => "established",
        "listening" => "listen",
        "closed" | "unconn" | "unconnected" => "close",
        "fin_wait_1" => "fin_wait1",
        "fin_wait_2" => "fin_wait2",
        other => other,
    };
    SOCKET_STATES.iter().find(|known| **known == name).copied()
}

/// Service names people write for ports; the numbers are IANA's.
pub const SERVICES: &[(&str, u16)] = &[
    ("http", 80),
    ("https", 443),
    ("domain", 53),
    ("dns", 53),
    ("mdns", 5353),
    ("ssh", 22),
    ("ftp", 21),
    ("ftp-data", 20),
    ("telnet", 23),
    ("smtp", 25),
    ("submission", 587),
    ("ntp", 123),
    ("snmp", 161),
    ("imap", 143),
    ("imaps", 993),
    ("pop3", 110),
    ("ldap", 389),
    ("ldaps", 636),
    ("bgp", 179),
    ("syslog", 514),
    ("bootps", 67),
    ("bootpc", 68),
    ("dhcp", 67),
    ("tftp", 69),
    ("kerberos", 88),
    ("nfs", 2049),
    ("mysql", 3306),
    ("postgresql", 5432),
    ("rdp", 3389),
    ("sip", 5060),
    ("tls", 443),
    ("ssl", 443),
    ("quic", 443),
];

/// The port of a service's name.
pub fn service(word: &str) -> Option<u16> {
    SERVICES.iter().find(|(name, _)| word.eq_ignore_ascii_case(name)).map(|(_, port)| *port)
}

/// Whether a word can only be a value: a number, an address, a link address.
pub fn looks_like_value(word: &str) -> bool {
    let Some(first) = word.chars().next() else { return false };
    first.is_ascii_digit()
        || word.parse::<IpAddr>().is_ok()
        || word.split(['/', '-']).next().is_some_and(|addr| addr.parse::<Ipv6Addr>().is_ok())
        || mac(word).is_some()
        || (first == ':' && word.len() > 1 && word[1..].bytes().all(|byte| byte.is_ascii_digit()))
        || first == '@'
}

/// What to say of a value where a test should begin.
pub fn value_alone(word: &str, span: &Span) -> Option<Mistake> {
    if !looks_like_value(word) {
        return None;
    }
    let mistake =
        Mistake::new("value-alone", span.clone(), format!("`{}` is a value without a field", suggest::short(word)))
            .label("a test is expected here");
    let addr = word.split('/').next().unwrap_or(word);
    Some(if let Some(list) = word.strip_prefix('@') {
        let list = suggest::short(list);
        mistake.help(format!("as in `addr in @{list}` or `port in @{list}`"))
    } else if addr.parse::<IpAddr>().is_ok() {
        mistake.help(format!("write `addr {word}`")).mend(format!("addr {word}"), true)
    } else if mac(word).is_some() {
        mistake.help(format!("write `ether {word}`")).mend(format!("ether {word}"), true)
    } else if word.contains('-') && time::span(word).is_ok() {
        mistake.help(format!("write `time {word}`")).mend(format!("time {word}"), true)
    } else if word.parse::<u16>().is_ok() {
        mistake
            .help(format!("write `port {word}`; several ports are `port {{80, 443}}`"))
            .mend(format!("port {word}"), true)
    } else {
        mistake.help("a value stands behind a field: `port 443`, `addr 10.0.0.0/8`")
    })
}

/// Six bytes in hexadecimal, separated by colons or hyphens, one or two digits each.
pub fn mac(word: &str) -> Option<[u8; 6]> {
    let separator = if word.contains('-') { '-' } else { ':' };
    let mut parts = word.split(separator);
    let mut bytes = [0; 6];
    for byte in &mut bytes {
        let part = parts.next()?;
        if !(1..=2).contains(&part.len()) || !part.bytes().all(|digit| digit.is_ascii_hexdigit()) {
            return None;
        }
        *byte = u8::from_str_radix(part, 16).ok()?;
    }
    parts.next().is_none().then_some(bytes)
}

/// TCP flags as letters: those set, and behind a slash those looked at.
pub fn flags(word: &str, span: &Span) -> Outcome<(u16, u16)> {
    let bits = |letters: &str| {
        letters.chars().try_fold(0, |bits, letter| {
            let known = FLAG_WORDS.iter().find(|(_, known, _)| known.eq_ignore_ascii_case(&letter));
            known.map(|(_, _, bit)| bits | bit).ok_or(letter)
        })
    };
    let wrong = |title: String| {
        Mistake::new("flags", span.clone(), title)
            .label("not TCP flags")
            .help("letters are F (FIN), S (SYN), R (RST), P (PSH), A (ACK), U (URG), E (ECE), W (CWR)")
    };
    let (set, of) = word.split_once('/').map_or((word, None), |(set, of)| (set, Some(of)));
    if let Some((name, letter, _)) = FLAG_WORDS.iter().find(|(name, _, _)| name.eq_ignore_ascii_case(set)) {
        return Err(Box::new(
            wrong(format!("`flags` takes letters, and `{name}` is a test of its own"))
                .help(format!("write `{name}`, or `flags {letter}`")),
        ));
    }
    if set.starts_with("0x") || set.starts_with(|c: char| c.is_ascii_digit()) {
        return Err(Box::new(
            wrong("flags are written as letters, not as a number".into())
                .help("0x02 is `flags S/FSRPAUEW`, `syn` alone lets the others be"),
        ));
    }
    let unknown = |letter: char| Box::new(wrong(format!("there is no TCP flag `{letter}`")));
    let set = bits(set).map_err(unknown)?;
    let of = of.map_or(Ok(set), bits).map_err(unknown)?;
    if set & !of != 0 {
        return Err(Box::new(
            wrong("flags that are to be set must be among those looked at".into())
                .help("`flags S/SA`: of SYN and ACK, only SYN is set"),
        ));
    }
    if of == 0 {
        return Err(Box::new(wrong("no flag is looked at".into())));
    }
    Ok((set, of))
}

impl Literal<'_> {
    /// The value.
    pub fn read(&self) -> Outcome<Read> {
        match self.subject.kind() {
            Kind::Addr => self.addr(),
            Kind::Mac => self.mac(),
            Kind::Number { max } => self.numbers(max),
            Kind::Bytes | Kind::Span => self.quantity(),
            Kind::Time => self.time(),
            Kind::Proto => self.proto().map(|item| Read { note: self.note_of(&item), ..Read::just(item) }),
            Kind::Word(words) => self.one_of(words).map(Read::just),
            Kind::Text => Ok(Read::just(Item::Text(self.word.into()))),
            Kind::Flag | Kind::TcpFlags => Err(self.wrong("no-value", "no value is expected here".to_owned())),
        }
    }

    fn name(&self) -> &'static str {
        self.subject.name()
    }

    fn shown(&self) -> String {
        suggest::short(self.word)
    }

    fn wrong(&self, code: &'static str, title: impl Into<String>) -> Box<Mistake> {
        Box::new(
            Mistake::new(code, self.span.clone(), title)
                .label(format!("{} is expected here", describe(self.subject.kind()))),
        )
    }

    fn wrong_help(&self, code: &'static str, title: impl Into<String>, help: impl Into<String>) -> Box<Mistake> {
        let mut mistake = self.wrong(code, title);
        mistake.help.push(help.into());
        mistake
    }

    /// Another value would be right.
    fn wrong_value(&self, code: &'static str, title: impl Into<String>, value: impl Into<String>) -> Box<Mistake> {
        let value = value.into();
        let help = format!("write `{} {value}`", self.name());
        Box::new(self.wrong_help(code, title, help).mend(value, false))
    }

    /// Another test would be right.
    fn wrong_test(&self, code: &'static str, title: impl Into<String>, test: impl Into<String>) -> Box<Mistake> {
        let test = test.into();
        Box::new(self.wrong_help(code, title, format!("write `{test}`")).mend(test, true))
    }

    fn proto(&self) -> Outcome<Item> {
        let lower = self.word.to_ascii_lowercase();
        if let Some((_, protocol)) = PROTOCOL_WORDS.iter().chain(PROTOCOL_NAMES).find(|(name, _)| *name == lower) {
            return Ok(Item::Number(u64::from(protocol.0)));
        }
        if let Some(plain) = self.word.strip_prefix('\\') {
            return Err(self.wrong_value("backslash", "names of protocols need no backslash here", plain));
        }
        if self.word.starts_with(|c: char| c.is_ascii_digit()) {
            return self.number(self.word, 255).map(Item::Number);
        }
        if lower == "ah" {
            return Err(self.wrong_help(
                "walked-through",
                "AH is walked through: a packet's protocol is the one behind it",
                "test that protocol instead, as in `tcp`",
            ));
        }
        let is_test = matches!(&*lower, "ip" | "ip6" | "gre")
            || ETHERTYPE_WORDS.iter().any(|(name, _)| *name == lower)
            || TUNNELS.contains(&&*lower);
        if is_test && self.subject == Subject::One(Field::Proto) {
            let title = format!("`{lower}` is no protocol behind IP but a test of its own");
            return Err(self.wrong_test("protocol", title, lower));
        }
        let mistake = self.wrong("protocol", format!("there is no protocol `{}`", self.shown()));
        let names = PROTOCOL_WORDS.iter().chain(PROTOCOL_NAMES).map(|(name, _)| *name);
        Err(match suggest::nearest(&lower, names) {
            Some(near) => Box::new(mistake.help(format!("did you mean `{near}`?"))),
            None => Box::new(mistake.help("any protocol can be given by its number: `proto 89`")),
        })
    }

    /// What there is to know of a protocol.
    fn note_of(&self, protocol: &Item) -> Option<Mistake> {
        let &Item::Number(number) = protocol else { return None };
        let walked_through = |title: &str| Mistake::new("walked-through", self.span.clone(), title);
        // A socket's protocol is what it was opened with.
        let is_opened = self.subject == Subject::One(Field::Proto) && !self.options.beside_ss;
        match number {
            AH => Some(
                walked_through("no packet has protocol 51: AH is walked through").label("never a packet's protocol"),
            ),
            4 | 41 if is_opened => Some(
                walked_through("IP in IP is looked through: a packet's protocol is that of the packet within")
                    .label("true only of what could not be opened")
                    .help(format!(
                        "packets in such tunnels are `tunnel ipip`; `outer.proto {number}` is the outermost header's"
                    ))
                    .help("with --no-decap nothing is opened"),
            ),
            _ => shares_number(self.word, &self.span),
        }
    }

    fn one_of(&self, words: &[&'static str]) -> Outcome<Item> {
        if let Some(known) = words.iter().find(|known| known.eq_ignore_ascii_case(self.word)) {
            return Ok(Item::Text((*known).into()));
        }
        let is_socket = self.subject == Subject::One(Field::SocketState);
        if let Some(known) = socket_state(self.word).filter(|_| is_socket) {
            return Ok(Item::Text(known.into()));
        }
        let name = self.name();
        let mut mistake = self.wrong("word", format!("`{name}` is never `{}`", self.shown()));
        let lower = self.word.to_ascii_lowercase();
        let translated = match (self.subject.first(), lower.as_str()) {
            (Field::State, _) if socket_state(&lower).is_some() => {
                Some("states of connections and of sockets are different tests: join them with `or`")
            }
            (Field::State, "connected" | "synchronized" | "bucket" | "big") => {
                Some("groups of states are for `flow sockets --state`; a list is `state {established, syn_sent}`")
            }
            (Field::Direction, "in" | "inbound" | "out" | "outbound") => Some(
                "a capture does not know which side is the host: `forward` is from the originator, `reverse` to it",
            ),
            _ => None,
        };
        if let Some(help) = translated {
            mistake.help.push(help.into());
        } else {
            let others = if self.subject == Subject::One(Field::State) { SOCKET_STATES } else { &[] };
            match suggest::nearest(self.word, words.iter().chain(others).copied()) {
                Some(near) => mistake.help.push(format!("did you mean `{near}`?")),
                None if !others.is_empty() => {
                    mistake.help.push(format!("of sockets it is one of {}", others.join(", ")))
                }
                None => {}
            }
        }
        Err(mistake)
    }

    fn mac(&self) -> Outcome<Read> {
        if let Some(bytes) = mac(self.word) {
            return Ok(Read::just(Item::Mac(bytes)));
        }
        let name = self.name();
        if self.word.parse::<IpAddr>().is_ok() {
            return Err(self.wrong_test(
                "mac",
                format!("`{name}` compares with link addresses, not with IP addresses"),
                format!("{} {}", name.replace("ether ", "").replace("ether", "addr"), self.word),
            ));
        }
        let groups = self.word.split(':').count();
        let title = if groups > 1 && groups != 6 {
            format!("a link address has six groups, `{}` has {groups}", self.shown())
        } else {
            format!("`{}` is no link address", self.shown())
        };
        Err(self.wrong_help("mac", title, format!("as in `{name} 02:00:5e:10:00:01`")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn link_addresses_have_one_or_two_digits_a_group() {
        assert_eq!(mac("0:1:2:3:4:ff"), Some([0, 1, 2, 3, 4, 255]));
        assert_eq!(mac("00-01-02-03-04-FF"), Some([0, 1, 2, 3, 4, 255]));
        assert_eq!(mac("0:1:2:3:4"), None);
        assert_eq!(mac("0:1:2:3:4:fff"), None);
        assert_eq!(mac("0:1:2:3:4:+f"), None);
    }
}
