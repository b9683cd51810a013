//! Rules as text. Whatever is wrong is told with its column and, where it can be guessed, with what was meant.

use std::net::IpAddr;

use flowcore::{Addr, Prefix};

use super::rule::{End, Host, Ports, Rule};
use crate::lines::{column, nearest, words};
use crate::services::{PROTOCOLS, Services, protocol_named};

/// What is wrong, and in which column, in characters from 1 on.
type Mistake = (usize, String);

/// A mistake about a part of the line.
struct Wrong<'a>(&'a str, String);

/// Gives every rule of a line, or what is wrong with it, to `take`.
pub(super) fn line(line: &str, mut take: impl FnMut(Result<Rule, Mistake>)) {
    // The host before, if it was given with a port: then a lone port behind the comma could belong to it.
    let mut before: Option<&str> = None;
    let entries: Vec<&str> = line.split(',').collect();
    for (place, entry) in entries.iter().enumerate() {
        if entry.trim().is_empty() {
            // A comma at the end of a line is harmless.
            if place + 1 < entries.len() {
                take(Err((column(line, entry), "a rule is missing before the comma".to_owned())));
            }
            continue;
        }
        let rule = rule(entry, before);
        before = host_with_port(entry.trim());
        take(rule.map_err(|Wrong(part, message)| (column(line, part), message)));
    }
}

/// The host in `HOST:PORT`.
fn host_with_port(entry: &str) -> Option<&str> {
    let (host, _) = entry.rsplit_once(':')?;
    (entry.parse::<Addr>().is_err() && !host.is_empty() && host != "*").then_some(host)
}

/// What may stand before an end.
const KEYWORDS: [&str; 2] = ["from", "to"];

/// `[from END] [to END]`, where `to` may be left out. Keywords are read in either case, as the words of filters are.
fn rule<'a>(entry: &'a str, before: Option<&str>) -> Result<Rule, Wrong<'a>> {
    let words: Vec<&str> = words(entry).map(|(_, word)| word).collect();
    let text = words.join(" ");
    let keyword = |word: &&'a str| KEYWORDS.into_iter().find(|keyword| word.eq_ignore_ascii_case(keyword));
    let read: Vec<&str> = words.iter().map(|word| keyword(word).unwrap_or(word)).collect();
    // Mistakes are told of `words`: what was read of a keyword is no part of the line.
    let rule = match *read.as_slice() {
        ["from", from, "to", to] => Rule::between(end(from)?, end(to)?),
        ["from", from] => Rule::from(end(from)?),
        ["to", to] => Rule::to(end(to)?),
        [keyword @ ("from" | "to")] => {
            return Err(Wrong(&words[0][keyword.len()..], format!("expected a host or port behind `{keyword}`")));
        }
        [to] => match (lone_port(to)?, before) {
            (Some(port), Some(host)) => {
                let message = format!(
                    "`{to}` behind the comma would allow that port of anybody; write `{host}:{port}`, or `*:{port}` if that is meant"
                );
                return Err(Wrong(to, message));
            }
            (Some(ports), None) => Rule::to(End::default().at(ports)),
            (None, _) => Rule::to(end(to)?),
        },
        [host, port] if lone_port(port).is_ok_and(|port| port.is_some()) => {
            return Err(Wrong(
                port,
                format!("a port stands behind a colon: did you mean `{}`?", with_port(host, port)),
            ));
        }
        ["to", _, _, ..] => return Err(misplaced(words[2], &[], "a comma or the end of the line")),
        ["from", _, "to", _, _, ..] => return Err(misplaced(words[4], &[], "a comma or the end of the line")),
        ["from", _, "to"] => {
            return Err(Wrong(&words[2]["to".len()..], "expected a host or port behind `to`".to_owned()));
        }
        ["from", _, word, ..] => return Err(misplaced(word, &["to"], "`to`, a comma or the end of the line")),
        [first, ..] => {
            // Two words of which the first is no keyword: a misspelt keyword, or a comma that is missing.
            if let Some(meant) =
                nearest(&first.to_ascii_lowercase(), KEYWORDS.into_iter()).filter(|_| first.parse::<Addr>().is_err())
            {
                return Err(Wrong(first, format!("expected `from`, `to` or one host; did you mean `{meant}`?")));
            }
            return Err(misplaced(words[1], &[], "a comma between two rules, or the end of the line"));
        }
        [] => return Err(Wrong(entry, "a rule is missing".to_owned())),
    };
    Ok(rule.written(&text))
}

fn with_port(host: &str, port: &str) -> String {
    match host.parse::<Addr>() {
        Ok(addr) if !addr.is_v4() => format!("[{host}]:{port}"),
        _ => format!("{host}:{port}"),
    }
}

fn misplaced<'a>(word: &'a str, known: &[&str], expected: &str) -> Wrong<'a> {
    let hint = nearest(&word.to_ascii_lowercase(), known.iter().copied())
        .map_or(String::new(), |meant| format!("; did you mean `{meant}`?"));
    Wrong(word, format!("expected {expected}, found `{word}`{hint}"))
}

/// A port or ports without a host: `443`, `8000-8100`, `53/udp`.
fn lone_port(text: &str) -> Result<Option<Ports>, Wrong<'_>> {
    let (numbers, behind) = text.split_once('/').unwrap_or((text, ""));
    if let Some(guess) = guessed_prefix(text).filter(|_| behind.parse::<u8>().is_ok()) {
        return Err(Wrong(text, format!("`{text}` is neither a prefix nor a port; did you mean `{guess}`?")));
    }
    if !numbers.is_empty() && numbers.bytes().all(|byte| byte.is_ascii_digit() || byte == b'-') {
        ports(text).map(Some)
    } else {
        Ok(None)
    }
}

/// `HOST`, `HOST:PORTS`, `[HOST]:PORTS`, `:PORTS`.
fn end(text: &str) -> Result<End, Wrong<'_>> {
    if let Some(rest) = text.strip_prefix('[') {
        let Some((inside, behind)) = rest.split_once(']') else {
            return Err(Wrong(&text[text.len()..], "expected `]` behind the address".to_owned()));
        };
        let host = address(inside)?.ok_or_else(|| Wrong(inside, format!("`{inside}` is no address")))?;
        return match behind.strip_prefix(':') {
            Some(behind) => Ok(End::host(host).at(ports(behind)?)),
            None if behind.is_empty() => Ok(End::host(host)),
            None => Err(Wrong(behind, format!("expected `:PORT` behind `]`, found `{behind}`"))),
        };
    }
    if let Some(ports) = lone_port(text)? {
        return Ok(End::default().at(ports));
    }
    if let Some((scheme, rest)) = text.split_once("://") {
        let host = rest.split(['/', '?', '#']).next().unwrap_or(rest);
        return Err(Wrong(text, format!("a rule names a host, not a {scheme} address: did you mean `{host}`?")));
    }
    match text.split_once(':') {
        None => Ok(End::host(host(text)?)),
        Some(("", behind)) if !behind.contains(':') => Ok(End::default().at(ports(behind)?)),
        Some((before, behind)) if !behind.contains(':') => Ok(End::host(host(before)?).at(ports(behind)?)),
        // More than one colon: IPv6.
        Some(_) => match (address(text), text.rsplit_once(':')) {
            (Ok(Some(Host::Addr(_))), Some((before, port))) if looks_like_port(before, port) => Err(Wrong(
                text,
                format!("`{port}` may be a port or part of the address: write `[{before}]:{port}` or `[{text}]`"),
            )),
            (Ok(Some(host)), _) => Ok(End::host(host)),
            (_, Some((before, port))) if !port.contains('.') && matches!(address(before), Ok(Some(_))) => {
                let message = "an IPv6 address with a port stands in brackets: did you mean";
                Err(Wrong(text, format!("{message} `[{before}]:{port}`?")))
            }
            (Err(wrong), _) => Err(wrong),
            (Ok(None), _) => Err(Wrong(text, format!("`{text}` is no IPv6 address"))),
        },
    }
}

/// Whether the last part of an IPv6 address may have been meant as a port: the rest is an address too, and it is a
/// decimal number of which nobody would say that it is short.
fn looks_like_port(before: &str, port: &str) -> bool {
    let number = port.len() > 1 && port.bytes().all(|byte| byte.is_ascii_digit()) && !port.starts_with('0');
    number && !before.ends_with(':') && before.parse::<Addr>().is_ok()
}

/// Anybody, an address, a prefix, a network or a name.
fn host(text: &str) -> Result<Host, Wrong<'_>> {
    if text == "*" || text.eq_ignore_ascii_case("any") {
        return Ok(Host::Anybody);
    }
    if let Some(host) = address(text)? {
        return Ok(host);
    }
    let number = text.get(..2).filter(|head| head.eq_ignore_ascii_case("as")).and_then(|_| text.get(2..));
    if let Some(number) = number.filter(|number| !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit()))
    {
        return number
            .parse()
            .map(Host::Network)
            .map_err(|_| Wrong(number, format!("`{number}` is no number of an autonomous system, 0 to {}", u32::MAX)));
    }
    name(text).map(|()| Host::named(text))
}

/// An address or a prefix, if that is what `text` wants to be.
fn address(text: &str) -> Result<Option<Host>, Wrong<'_>> {
    if let Ok(addr) = text.parse::<Addr>() {
        return Ok(Some(Host::Addr(addr)));
    }
    if let Some((before, bits)) = text.split_once('/')
        && let Ok(ip) = before.parse::<IpAddr>()
    {
        let (least, most) = match ip {
            IpAddr::V4(_) => (0, 32),
            IpAddr::V6(_) if Addr::from(ip).is_v4() => (96, 128),
            IpAddr::V6(_) => (0, 128),
        };
        if let Some(bits) = mask_length(bits) {
            let addr = Addr::from(ip);
            return Err(Wrong(text, format!("a prefix has a length, not a mask: did you mean `{addr}/{bits}`?")));
        }
        let prefix = bits.parse().ok().and_then(|bits| Prefix::written(ip, bits));
        return match prefix {
            Some(prefix) => Ok(Some(Host::Prefix(prefix))),
            None => Err(Wrong(bits, format!("expected the length of a prefix, {least} to {most}, found `{bits}`"))),
        };
    }
    let is_dotted = text.contains('.') && text.bytes().all(|byte| byte.is_ascii_digit() || b".*/-".contains(&byte));
    if !is_dotted {
        return Ok(None);
    }
    // Nothing but digits and dots: no name is written like that.
    let guess = match text.split_once('-') {
        Some((first, last)) if first.parse::<Addr>().is_ok() && last.parse::<Addr>().is_ok() => {
            return Err(Wrong(text, "a range of addresses is written as prefixes, as in 192.0.2.0/28".to_owned()));
        }
        _ => guessed_prefix(text),
    };
    let hint = guess.map_or(String::new(), |guess| format!("; did you mean `{guess}`?"));
    Err(Wrong(text, format!("`{text}` is no IPv4 address{hint}")))
}

/// The length of a prefix whose mask is written out.
fn mask_length(mask: &str) -> Option<u32> {
    let bytes = mask.parse::<Addr>().ok()?.to_v4()?;
    let bits = u32::from_be_bytes(bytes);
    (bits.leading_ones() + bits.trailing_zeros() >= 32).then(|| bits.leading_ones())
}

/// `192.0.2`, `192.0.2.`, `192.0.2.*`, `192.0.2/24` as a prefix.
fn guessed_prefix(text: &str) -> Option<String> {
    let bare = text.split('/').next()?.trim_end_matches(['.', '*']);
    let parts: Vec<u8> = bare.split('.').map(str::parse).collect::<Result<_, _>>().ok()?;
    if parts.is_empty() || parts.len() > 3 {
        return None;
    }
    let bits = match text.split_once('/') {
        Some((_, bits)) => bits.parse::<u8>().ok().filter(|&bits| bits <= 32)?,
        None => parts.len() as u8 * 8,
    };
    let mut bytes = [0; 4];
    bytes[..parts.len()].copy_from_slice(&parts);
    Some(format!("{}/{bits}", Addr::v4(bytes)))
}

/// Whether `text` can be the name of a host (RFC 1123 section 2.1, and `_`, which is found in practice).
fn name(text: &str) -> Result<(), Wrong<'_>> {
    let bare = text.strip_prefix("*.").unwrap_or(text);
    let bare = bare.strip_suffix('.').unwrap_or(bare);
    if let Some(star) = bare.find('*') {
        let place = bare.as_ptr() as usize - text.as_ptr() as usize + star;
        return Err(Wrong(&text[place..], "`*` stands alone or in front, as in `*.example.com`".to_owned()));
    }
    if let Some((place, odd)) = bare.char_indices().find(|&(_, c)| !(c.is_alphanumeric() || "-_.".contains(c))) {
        let expected = "an address, a prefix, a name, or `*`, each perhaps with `:PORT`";
        return Err(Wrong(&bare[place..], format!("`{odd}` stands in no name of a host; expected {expected}")));
    }
    if bare.split('.').any(str::is_empty) {
        return Err(Wrong(text, format!("`{text}` is no name of a host: a part of it is empty")));
    }
    Ok(())
}

/// `443`, `8000-8100`, `https`, each perhaps with `/tcp`.
fn ports(text: &str) -> Result<Ports, Wrong<'_>> {
    let (numbers, protocol) = match text.split_once('/') {
        None => (text, None),
        Some((numbers, name)) => match protocol_named(name) {
            Some(protocol) => (numbers, Some(protocol)),
            None => {
                let known: Vec<&str> = PROTOCOLS.iter().map(|&(known, _)| known).collect();
                return Err(Wrong(
                    name,
                    format!("expected a protocol with ports ({}), found `{name}`", known.join(", ")),
                ));
            }
        },
    };
    if numbers.is_empty() {
        return Err(Wrong(text, "expected a port, as in 443, 8000-8100 or https".to_owned()));
    }
    if numbers.starts_with(|c: char| c.is_ascii_alphabetic()) {
        return service(numbers, protocol);
    }
    let (first, last) = match numbers.split_once('-') {
        None => (port(numbers)?, port(numbers)?),
        // Perhaps a line that was cut.
        Some((first, "")) => {
            let first = port(first)?;
            let message = format!("the range has no last port: write `{first}-{}` if all above are meant", u16::MAX);
            return Err(Wrong(&numbers[numbers.len()..], message));
        }
        Some((first, last)) => (port(first)?, port(last)?),
    };
    if last < first {
        return Err(Wrong(numbers, format!("the range is the wrong way round: did you mean `{last}-{first}`?")));
    }
    Ok(Ports { first, last, protocol })
}

fn port(text: &str) -> Result<u16, Wrong<'_>> {
    text.parse().map_err(|_| match text.bytes().all(|byte| byte.is_ascii_digit()) && !text.is_empty() {
        true => Wrong(text, format!("there is no port {text}; ports are 0 to {}", u16::MAX)),
        false => Wrong(text, format!("expected a port, as in 443, 8000-8100 or https, found `{text}`")),
    })
}

/// A service by name, in either case (RFC 6335 section 5.1), where all its protocols have one port.
fn service<'a>(name: &'a str, protocol: Option<flowcore::Protocol>) -> Result<Ports, Wrong<'a>> {
    let services = Services::builtin();
    let lower = name.to_ascii_lowercase();
    match *services.ports(&lower).as_slice() {
        [(port, _), ref others @ ..] if others.iter().all(|&(other, _)| other == port) => {
            Ok(Ports { first: port, last: port, protocol })
        }
        _ => {
            let hint = services.nearest(&lower).map_or(String::new(), |known| format!("; did you mean `{known}`?"));
            Err(Wrong(name, format!("no service is called `{name}`{hint}")))
        }
    }
}
