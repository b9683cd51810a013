//! Values: numbers with units, addresses, link addresses, words. Nothing is cut, nothing is guessed.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use flowcore::{Addr, Prefix};

use crate::ast::{FLAG_WORDS, Item, PROTOCOL_NAMES, PROTOCOL_WORDS, Subject};
use crate::error::{Mistake, Span};
use crate::field::{Field, Kind};
use crate::filter::{Compat, Options};
use crate::suggest;

/// A word that should be a value, with the words behind it: `10.0.0.0 /8` and `80 : 90` are values too.
pub struct Literal<'l> {
    pub word: &'l str,
    pub next: &'l [&'l str],
    pub span: Span,
    pub subject: Subject,
    /// `=` or an order stands before it.
    pub exact: bool,
    pub options: &'l Options<'l>,
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
        Kind::Number { max: 65_535 } => "443",
        Kind::Number { .. } => match field {
            Field::SrcAsn | Field::DstAsn => "64500",
            Field::Ttl => "64",
            _ => "5",
        },
        Kind::Bytes => "1500",
        Kind::Span => "50ms",
        Kind::Addr => "10.0.0.0/8",
        Kind::Mac => "02:00:5e:10:00:01",
        Kind::Proto => "tcp",
        Kind::Word(words) => words.first().copied().unwrap_or(""),
        Kind::Flag | Kind::TcpFlags => "",
        Kind::Text => "nginx",
    }
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
        || word.split('/').next().is_some_and(|addr| addr.parse::<Ipv6Addr>().is_ok())
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
        mistake.help(format!("as in `addr in @{list}` or `port in @{list}`"))
    } else if addr.parse::<IpAddr>().is_ok() {
        mistake.help(format!("write `addr {word}`"))
    } else if mac(word).is_some() {
        mistake.help(format!("write `ether {word}`"))
    } else if word.parse::<u16>().is_ok() {
        mistake.help(format!("write `port {word}`; several ports are `port {{80, 443}}`"))
    } else {
        mistake.help("a value stands behind a field: `port 443`, `addr 10.0.0.0/8`")
    })
}

/// Six bytes in hexadecimal, separated by colons or hyphens, one or two digits each.
fn mac(word: &str) -> Option<[u8; 6]> {
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
            Kind::Proto => self.proto().map(Read::just),
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

    /// A number, or a range: `N`, `N:M`, `N:`, `:M`, with blanks around the colon or not.
    fn numbers(&self, max: u64) -> Outcome<Read> {
        let is_number = |word: &str| !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_digit());
        // `80 : 90`, `80: 90`, `80 :90` are one range.
        let (mut text, mut used) = (self.word.to_owned(), 0);
        if is_number(&text)
            && let Some(next) = self.next.first().filter(|next| next.starts_with(':'))
            && (next.len() == 1 || is_number(&next[1..]))
        {
            text.push_str(next);
            used = 1;
        }
        if text.ends_with(':')
            && (text == ":" || is_number(&text[..text.len() - 1]))
            && let Some(next) = self.next.get(used).filter(|next| is_number(next))
        {
            text.push_str(next);
            used += 1;
        }
        let Some((low, high)) = text.split_once(':') else {
            return Ok(Read { item: Item::Number(self.number(&text, max)?), used, note: None });
        };
        let name = self.name();
        if low.is_empty() && high.is_empty() {
            return Err(self.wrong_help(
                "range",
                "a range needs at least one end",
                format!("as in `{name} 80:90`, `{name} 1024:`"),
            ));
        }
        if (low.is_empty() || high.is_empty()) && self.exact {
            let number = if low.is_empty() { high } else { low };
            return Err(self.wrong_help(
                "open-range-behind-operator",
                format!("`{text}` is a range that is open at one end, behind an operator"),
                format!("ss writes `= :{number}` for one port; here `{name} {number}` or `{name} = {number}`"),
            ));
        }
        let lowest = u64::from(
            self.options.compat == Compat::Como && matches!(self.subject.first(), Field::SrcPort | Field::DstPort),
        );
        let low = if low.is_empty() { lowest } else { self.number(low, max)? };
        let high = if high.is_empty() { max } else { self.number(high, max)? };
        if low > high {
            return Err(self.wrong_help(
                "range-backwards",
                format!("the range {low}:{high} ends before it begins"),
                format!("write `{name} {high}:{low}`"),
            ));
        }
        // One number written as a range is that number.
        let item = if low == high { Item::Number(low) } else { Item::Range(low, high) };
        Ok(Read { item, used, note: None })
    }

    fn number(&self, text: &str, max: u64) -> Outcome<u64> {
        let name = self.name();
        let hexadecimal = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X"));
        let (digits, radix) = hexadecimal.map_or((text, 10), |digits| (digits, 16));
        if !digits.is_empty() && digits.bytes().all(|byte| char::from(byte).is_digit(radix)) {
            return match u64::from_str_radix(digits, radix) {
                Ok(number) if number <= max => Ok(number),
                _ => Err(self.too_large(text, max)),
            };
        }
        // What others write for ranges.
        for separator in ["..", "-", "…"] {
            if let Some((low, high)) = text.split_once(separator)
                && [low, high].iter().all(|part| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit()))
            {
                return Err(self.wrong_help(
                    "range-separator",
                    format!("`{text}` is not how a range is written"),
                    format!("write `{name} {low}:{high}`"),
                ));
            }
        }
        if matches!(self.subject.first(), Field::SrcPort | Field::DstPort | Field::OuterSrcPort | Field::OuterDstPort) {
            if let Some(port) = service(text) {
                return Err(self.wrong_help(
                    "service-name",
                    format!("services are not looked up by name: `{text}`"),
                    format!("write `{name} {port}`"),
                ));
            }
            if text.starts_with('-') {
                return Err(self.wrong("number", format!("`{text}`: ports are from 0 to 65535")));
            }
        }
        if matches!(self.subject.first(), Field::SrcAsn | Field::DstAsn)
            && let Some(number) = text.strip_prefix("AS").or_else(|| text.strip_prefix("as"))
            && number.bytes().all(|byte| byte.is_ascii_digit())
        {
            return Err(self.wrong_help(
                "number",
                "AS numbers are written without `AS`",
                format!("write `{name} {number}`"),
            ));
        }
        let title = if text.parse::<IpAddr>().is_ok() {
            format!("`{name}` compares with numbers, not with addresses")
        } else {
            format!("`{}` is no number", suggest::short(text))
        };
        let example = example(self.subject.first());
        Err(self.wrong_help("number", title, format!("as in `{name} {example}`")))
    }

    fn too_large(&self, text: &str, max: u64) -> Box<Mistake> {
        let title = match self.subject.first() {
            Field::SrcPort | Field::DstPort | Field::OuterSrcPort | Field::OuterDstPort => {
                format!("there is no port {text}: ports end at 65535")
            }
            Field::SrcAsn | Field::DstAsn => format!("there is no AS {text}: AS numbers end at 4294967295"),
            _ => format!("{text} is too large: `{}` ends at {max}", self.name()),
        };
        self.wrong("too-large", title)
    }

    /// A number of bytes or a time, with its unit.
    fn quantity(&self) -> Outcome<Read> {
        let units = if self.subject.kind() == Kind::Span { SPANS } else { BYTES };
        let name = self.name();
        let digits_end = self.word.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(self.word.len());
        let (digits, mut unit) = self.word.split_at(digits_end);
        let mut used = 0;
        if unit.is_empty()
            && let Some(next) = self.next.first().filter(|next| units.iter().any(|(known, _)| known == *next))
        {
            unit = next;
            used = 1;
        }
        if let Some((low, high)) = self.word.split_once(':')
            && self.subject.kind() == Kind::Bytes
            && !(self.exact && (low.is_empty() || high.is_empty()))
        {
            let low = if low.is_empty() { 0 } else { self.amount(low)? };
            let high = if high.is_empty() { u64::MAX } else { self.amount(high)? };
            if low > high {
                return Err(self.wrong_help(
                    "range-backwards",
                    format!("the range {low}:{high} ends before it begins"),
                    format!("write `{name} {high}:{low}`"),
                ));
            }
            return Ok(Read::just(if low == high { Item::Number(low) } else { Item::Range(low, high) }));
        }
        if digits.is_empty() {
            return Err(self.wrong_help(
                "number",
                format!("`{}` is no number", self.shown()),
                format!("as in `{name} > {}`", example(self.subject.first())),
            ));
        }
        if unit.is_empty() && self.subject.kind() == Kind::Span && digits != "0" {
            return Err(self.wrong_help(
                "no-unit",
                "a time needs a unit",
                format!("units are {}: `{name} > {digits}ms`, `{name} > {digits}s`", unit_names(units)),
            ));
        }
        let Some((_, factor)) = units.iter().find(|(known, _)| *known == unit) else {
            return Err(self.bad_unit(digits, unit, units));
        };
        let amount = scaled(digits, *factor);
        match amount {
            Some(amount) => Ok(Read { item: Item::Number(amount), used, note: None }),
            None if digits.matches('.').count() > 1 => Err(self.wrong("number", format!("`{digits}` is no number"))),
            None if digits.parse::<f64>().is_ok_and(|number| number * *factor as f64 >= u64::MAX as f64) => {
                Err(self.wrong("too-large", format!("{digits}{unit} is more than can be counted")))
            }
            None => {
                let smallest = if self.subject.kind() == Kind::Span { "nanoseconds" } else { "bytes" };
                Err(self.wrong("fraction", format!("{digits}{unit} is no whole number of {smallest}")))
            }
        }
    }

    fn amount(&self, text: &str) -> Outcome<u64> {
        let digits_end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
        let (digits, unit) = text.split_at(digits_end);
        let factor = BYTES.iter().find(|(known, _)| *known == unit).map(|(_, factor)| *factor);
        match factor {
            Some(factor) => scaled(digits, factor)
                .ok_or_else(|| self.wrong("number", format!("`{}` is no number of bytes", suggest::short(text)))),
            None => Err(self.bad_unit(digits, unit, BYTES)),
        }
    }

    fn bad_unit(&self, digits: &str, unit: &str, units: &[(&str, u64)]) -> Box<Mistake> {
        let unit = suggest::short(unit);
        let other = if units == BYTES { SPANS } else { BYTES };
        let title = if other.iter().any(|(known, _)| *known == unit && !known.is_empty()) {
            let what = if units == BYTES { "bytes" } else { "a time" };
            format!("`{}` is {what}, and `{unit}` is no unit of that", self.name())
        } else {
            format!("there is no unit `{unit}`")
        };
        let mut mistake = self.wrong("unit", title);
        let near = units.iter().map(|(known, _)| *known).find(|known| known.eq_ignore_ascii_case(&unit));
        if let Some(near) = near {
            mistake.help.push(format!("did you mean `{digits}{near}`?"));
        }
        mistake.help.push(format!("units are {}", unit_names(units)));
        mistake
    }

    fn proto(&self) -> Outcome<Item> {
        let lower = self.word.to_ascii_lowercase();
        if let Some((_, protocol)) = PROTOCOL_WORDS.iter().chain(PROTOCOL_NAMES).find(|(name, _)| *name == lower) {
            return Ok(Item::Number(u64::from(protocol.0)));
        }
        if let Some(plain) = self.word.strip_prefix('\\') {
            return Err(self.wrong_help(
                "backslash",
                "names of protocols need no backslash here",
                format!("write `{} {plain}`", self.name()),
            ));
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
        let mistake = self.wrong("protocol", format!("there is no protocol `{}`", self.shown()));
        let names = PROTOCOL_WORDS.iter().chain(PROTOCOL_NAMES).map(|(name, _)| *name);
        Err(match suggest::nearest(&lower, names) {
            Some(near) => Box::new(mistake.help(format!("did you mean `{near}`?"))),
            None => Box::new(mistake.help("any protocol can be given by its number: `proto 89`")),
        })
    }

    fn one_of(&self, words: &[&'static str]) -> Outcome<Item> {
        if let Some(known) = words.iter().find(|known| known.eq_ignore_ascii_case(self.word)) {
            return Ok(Item::Text((*known).into()));
        }
        let name = self.name();
        let mut mistake = self.wrong("word", format!("`{name}` is never `{}`", self.shown()));
        let lower = self.word.to_ascii_lowercase();
        let translated = match (self.subject.first(), lower.as_str()) {
            (Field::State, "established" | "estab" | "connected") => {
                Some("`state {S1, S2, S3}` are connections that were established and have not ended")
            }
            (Field::State, "syn-sent" | "syn_sent") => Some("`state S0` is an attempt without a reply"),
            (
                Field::State,
                "closed" | "close-wait" | "time-wait" | "fin-wait-1" | "fin-wait-2" | "last-ack" | "closing",
            ) => Some("`state SF` is a connection that ended normally, `state {RSTO, RSTR}` one that was reset"),
            (Field::Direction, "in" | "inbound" | "out" | "outbound") => Some(
                "a capture does not know which side is the host: `forward` is from the originator, `reverse` to it",
            ),
            _ => None,
        };
        if let Some(help) = translated {
            mistake.help.push(help.into());
        } else if let Some(near) = suggest::nearest(self.word, words.iter().copied()) {
            mistake.help.push(format!("did you mean `{near}`?"));
        }
        Err(mistake)
    }

    fn mac(&self) -> Outcome<Read> {
        if let Some(bytes) = mac(self.word) {
            return Ok(Read::just(Item::Mac(bytes)));
        }
        let name = self.name();
        if self.word.parse::<IpAddr>().is_ok() {
            return Err(self.wrong_help(
                "mac",
                format!("`{name}` compares with link addresses, not with IP addresses"),
                format!("write `{} {}`", name.replace("ether ", "").replace("ether", "addr"), self.word),
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

    fn addr(&self) -> Outcome<Read> {
        let mut used = 0;
        let mut text = self.word.to_owned();
        if let Some(next) = self.next.first()
            && !text.contains('/')
            && let Some(bits) = next.strip_prefix('/')
            && bits.bytes().all(|byte| byte.is_ascii_digit())
        {
            text.push_str(next);
            used = 1;
        }
        if text.ends_with('/')
            && let Some(next) = self.next.get(used).filter(|next| next.bytes().all(|byte| byte.is_ascii_digit()))
        {
            text.push_str(next);
            used += 1;
        }
        if let Some(host) = text.strip_prefix("name:") {
            return self.host(host).map(Read::just);
        }
        let (addr_text, bits) = text.split_once('/').map_or((text.as_str(), None), |(addr, bits)| (addr, Some(bits)));
        let Ok(ip) = addr_text.parse::<IpAddr>() else {
            return Err(self.bad_addr(addr_text, bits));
        };
        let addr = Addr::from(ip);
        if self.next.get(used).is_some_and(|next| next.eq_ignore_ascii_case("mask")) {
            let mask = self.next.get(used + 1).and_then(|mask| mask.parse::<Ipv4Addr>().ok()).map(u32::from);
            let bits = mask.filter(|mask| mask.leading_ones() + mask.trailing_zeros() == 32).map(u32::leading_ones);
            let help = bits.map_or("write a prefix: `net 10.0.0.0/8`".to_owned(), |bits| {
                format!("write `{} {addr_text}/{bits}`", self.name())
            });
            return Err(self.wrong_help("mask", "masks are not written out", help));
        }
        let Some(bits) = bits else {
            return Ok(Read { item: Item::Addr(addr), used, note: None });
        };
        let longest = if ip.is_ipv4() { 32 } else { 128 };
        let number = bits.parse::<u8>().ok().filter(|&number| number <= longest);
        // An IPv4-mapped prefix counts its bits over all 128.
        let prefix = match (ip, number) {
            (IpAddr::V6(_), Some(number)) if addr.is_v4() => {
                number.checked_sub(96).and_then(|number| Prefix::new(addr, number))
            }
            (_, Some(number)) => Prefix::new(addr, number),
            _ => None,
        };
        let Some(prefix) = prefix else {
            let title = if bits.contains('.') {
                "masks are not written out".to_owned()
            } else {
                format!("there is no prefix /{bits}: {} ends at /{longest}", if ip.is_ipv4() { "IPv4" } else { "IPv6" })
            };
            let help = bits
                .parse::<Ipv4Addr>()
                .ok()
                .map(u32::from)
                .filter(|mask| mask.leading_ones() + mask.trailing_zeros() == 32)
                .map(|mask| format!("write `{} {addr_text}/{}`", self.name(), mask.leading_ones()));
            let mut mistake = self.wrong("prefix", title);
            mistake.help.extend(help);
            return Err(mistake);
        };
        let note = (prefix.network() != addr).then(|| {
            Mistake::new(
                "host-bits",
                self.span.clone(),
                format!("the host's bits of {addr_text}/{bits} are not looked at"),
            )
            .label(format!("means {prefix}"))
        });
        // A prefix of one address stays what was written.
        Ok(Read { item: Item::Prefix(prefix), used, note })
    }

    /// `name:example.org`, the one way to ask for addresses by name.
    fn host(&self, host: &str) -> Outcome<Item> {
        if host.is_empty() {
            return Err(self.wrong_help("host-name", "a host's name is missing", "as in `host name:example.org`"));
        }
        let Some(resolve) = self.options.hosts else {
            return Err(self.wrong("host-name", format!("names cannot be looked up here: `{host}`")));
        };
        match resolve(host) {
            Ok(addrs) if !addrs.is_empty() => Ok(Item::Host(host.into(), Arc::from(addrs))),
            Ok(_) => Err(self.wrong("host-name", format!("`{host}` has no address"))),
            Err(why) => Err(self.wrong("host-name", format!("the name `{host}` could not be looked up: {why}"))),
        }
    }

    fn bad_addr(&self, text: &str, bits: Option<&str>) -> Box<Mistake> {
        let name = self.name();
        let shown = suggest::short(text);
        if let Some((addr, port)) = text.rsplit_once(':')
            && addr.parse::<Ipv4Addr>().is_ok()
        {
            let side = match self.subject.first() {
                Field::SrcAddr if matches!(self.subject, Subject::One(_)) => "sport",
                Field::DstAddr => "dport",
                _ => "port",
            };
            return self.wrong_help(
                "addr-port",
                "an address and a port are two tests",
                format!("write `{name} {addr} and {side} {port}`"),
            );
        }
        if let Some((addr, zone)) = text.split_once('%')
            && addr.parse::<Ipv6Addr>().is_ok()
        {
            return self.wrong_help(
                "zone",
                format!("packets do not carry the zone `{zone}`"),
                format!("write `{name} {addr}`"),
            );
        }
        if text.contains('-') && text.split('-').all(|part| part.parse::<Ipv4Addr>().is_ok()) {
            let ends: Vec<u128> = text
                .split('-')
                .filter_map(|part| part.parse::<IpAddr>().ok())
                .map(|ip| crate::set::number(ip.into()))
                .collect();
            let help = match ends.as_slice() {
                &[low, high] if low <= high => {
                    let list: Vec<String> =
                        crate::set::prefixes(low, high).iter().take(8).map(ToString::to_string).collect();
                    format!("write `{name} {{{}}}`", list.join(", "))
                }
                _ => format!("write a prefix or a list: `{name} {{10.0.0.1, 10.0.1.0/24}}`"),
            };
            return self.wrong_help("addr-range", "ranges of addresses are written as prefixes", help);
        }
        let parts: Vec<&str> = text.split('.').collect();
        let all_digits = parts.iter().all(|part| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit()));
        if all_digits {
            let large = parts.iter().find(|part| part.parse::<u16>().is_ok_and(|part| part > 255) || part.len() > 4);
            if let Some(large) = large {
                return self.wrong("addr", format!("`{shown}` is no address: {large} is not between 0 and 255"));
            }
            if parts.len() < 4 {
                let mut full: Vec<&str> = parts.clone();
                full.resize(4, "0");
                let bits = bits.map_or((parts.len() * 8).to_string(), str::to_owned);
                return self.wrong_help(
                    "short-addr",
                    format!("`{shown}` has {} of an address's four parts", parts.len()),
                    format!("write `{name} {}/{bits}`", full.join(".")),
                );
            }
            if parts.len() > 4 {
                return self.wrong("addr", format!("`{shown}` is no address: it has {} parts", parts.len()));
            }
            if let Some(zero) = parts.iter().find(|part| part.len() > 1 && part.starts_with('0')) {
                return self.wrong_help(
                    "leading-zero",
                    format!("`{shown}` is ambiguous: {zero} may be octal"),
                    format!(
                        "write `{name} {}`",
                        parts
                            .iter()
                            .map(|part| part.trim_start_matches('0'))
                            .map(|part| if part.is_empty() { "0" } else { part })
                            .collect::<Vec<_>>()
                            .join(".")
                    ),
                );
            }
        }
        if text.contains('*') {
            return self.wrong_help(
                "addr",
                format!("`{shown}` is no address"),
                "write a prefix for all addresses that begin alike: `net 10.1.0.0/16`",
            );
        }
        if mac(text).is_some() {
            let ether = name.replace("addr", "").replace("host", "");
            return self.wrong_help(
                "addr",
                format!("`{shown}` is a link address"),
                format!("write `ether {ether} {text}`").replace("  ", " "),
            );
        }
        if text.contains("::") || text.matches(':').count() > 1 {
            return self.wrong("addr", format!("`{shown}` is no IPv6 address"));
        }
        let is_host = text.starts_with(|c: char| c.is_ascii_alphanumeric())
            && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-_".contains(&byte));
        if is_host && (text.contains('.') || text.eq_ignore_ascii_case("localhost")) {
            return self.wrong_help(
                "host-name",
                format!("names are not looked up: `{shown}`"),
                format!("write its address, or ask for the look-up with `{name} name:{shown}`"),
            );
        }
        if crate::parse::vocabulary().any(|known| text.eq_ignore_ascii_case(known)) {
            return self
                .wrong("no-value", format!("`{name}` needs an address, and `{shown}` is a word of the language"));
        }
        let mistake = self.wrong("addr", format!("`{shown}` is no address"));
        if is_host {
            return Box::new(mistake.help(format!("names are not looked up, unless asked with `{name} name:{shown}`")));
        }
        Box::new(mistake.help(format!("as in `{name} 192.0.2.1` or `{name} 2001:db8::/32`")))
    }
}

/// Units of bytes. Decimal ones by SI, binary ones by IEC 80000-13; a bare letter is decimal, as in `flow conns`.
pub const BYTES: &[(&str, u64)] = &[
    ("", 1),
    ("B", 1),
    ("k", 1_000),
    ("kB", 1_000),
    ("M", 1_000_000),
    ("MB", 1_000_000),
    ("G", 1_000_000_000),
    ("GB", 1_000_000_000),
    ("TB", 1_000_000_000_000),
    ("KiB", 1 << 10),
    ("MiB", 1 << 20),
    ("GiB", 1 << 30),
    ("TiB", 1 << 40),
];

/// Units of time, in nanoseconds. The empty one is for 0, which needs none.
pub const SPANS: &[(&str, u64)] = &[
    ("", 1),
    ("ns", 1),
    ("us", 1_000),
    ("µs", 1_000),
    ("ms", 1_000_000),
    ("s", 1_000_000_000),
    ("min", 60_000_000_000),
    ("m", 60_000_000_000),
    ("h", 3_600_000_000_000),
    ("d", 86_400_000_000_000),
];

fn unit_names(units: &[(&str, u64)]) -> String {
    let names: Vec<&str> = units.iter().map(|(name, _)| *name).filter(|name| !name.is_empty()).collect();
    names.join(", ")
}

/// `digits`, perhaps with a fraction, times `factor`; `None` unless that is a whole number that fits.
fn scaled(digits: &str, factor: u64) -> Option<u64> {
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    if (whole.is_empty() && fraction.is_empty()) || fraction.len() > 18 || digits.ends_with('.') {
        return None;
    }
    let whole: u128 = if whole.is_empty() { 0 } else { whole.parse().ok()? };
    let unit = 10_u128.checked_pow(u32::try_from(fraction.len()).ok()?)?;
    let fraction: u128 = if fraction.is_empty() { 0 } else { fraction.parse().ok()? };
    let scaled = whole.checked_mul(unit)?.checked_add(fraction)?.checked_mul(u128::from(factor))?;
    if scaled % unit != 0 {
        return None;
    }
    u64::try_from(scaled / unit).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fractions_are_exact() {
        assert_eq!(scaled("1.5", 1_000_000_000), Some(1_500_000_000));
        assert_eq!(scaled("0.1", 1 << 10), None);
        assert_eq!(scaled(".5", 1 << 20), Some(1 << 19));
        assert_eq!(scaled("18446744073709551615", 1), Some(u64::MAX));
        assert_eq!(scaled("18446744073709551616", 1), None);
        assert_eq!(scaled("99999999999999999999999999999999999999999", 1), None);
        assert_eq!(scaled("1.", 10), None);
    }

    #[test]
    fn link_addresses_have_one_or_two_digits_a_group() {
        assert_eq!(mac("0:1:2:3:4:ff"), Some([0, 1, 2, 3, 4, 255]));
        assert_eq!(mac("00-01-02-03-04-FF"), Some([0, 1, 2, 3, 4, 255]));
        assert_eq!(mac("0:1:2:3:4"), None);
        assert_eq!(mac("0:1:2:3:4:fff"), None);
        assert_eq!(mac("0:1:2:3:4:+f"), None);
    }
}
