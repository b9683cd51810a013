//! Addresses and prefixes, and what is said of those that are none.

use std::cmp::Ordering;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use flowcore::{Addr, Prefix};

use super::{Literal, Outcome, Read, mac, mask_bits, service};
use crate::ast::{Item, Subject};
use crate::error::Mistake;
use crate::field::Field;
use crate::suggest;

impl Literal<'_> {
    pub(super) fn addr(&self) -> Outcome<Read> {
        if let Some((low, high)) = self.word.split_once('-')
            && let (Ok(low), Ok(high)) = (low.parse::<IpAddr>(), high.parse::<IpAddr>())
        {
            return self.addrs(low.into(), high.into()).map(Read::just);
        }
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
            let mut mistake = self.bad_addr(addr_text, bits);
            mistake.mend.iter_mut().for_each(|mend| mend.words = used);
            return Err(mistake);
        };
        let addr = Addr::from(ip);
        let is_mask = |next: &&&str| next.eq_ignore_ascii_case("mask");
        let next = self.next.get(used).filter(|next| is_mask(next) || ip.is_ipv4() && mask_bits(next).is_some());
        if let (Some(next), None) = (next, bits) {
            let mask = if is_mask(&next) { self.next.get(used + 1) } else { Some(next) };
            let title = "masks are not written out";
            let Some(bits) = mask.and_then(|mask| mask_bits(mask)) else {
                return Err(self.wrong_help("mask", title, "write a prefix: `net 10.0.0.0/8`"));
            };
            let mut mistake = self.wrong_value("mask", title, format!("{addr_text}/{bits}"));
            let words = used + 1 + usize::from(is_mask(&next));
            mistake.mend.iter_mut().for_each(|mend| mend.words = words);
            return Err(mistake);
        }
        let Some(bits) = bits else {
            return Ok(Read { item: Item::Addr(addr), used, note: None });
        };
        let longest = if ip.is_ipv4() { 32 } else { 128 };
        let number = bits.parse::<u8>().ok().filter(|&number| number <= longest);
        let Some(prefix) = number.and_then(|number| Prefix::written(ip, number)) else {
            let title = if bits.contains('.') {
                "masks are not written out".to_owned()
            } else if number.is_some() {
                "`::ffff:0:0/96` is all of IPv4: shorter prefixes of it are not".to_owned()
            } else {
                format!("there is no prefix /{bits}: {} ends at /{longest}", if ip.is_ipv4() { "IPv4" } else { "IPv6" })
            };
            if let Some(bits) = mask_bits(bits) {
                return Err(self.wrong_value("prefix", title, format!("{addr_text}/{bits}")));
            }
            let mut mistake = self.wrong("prefix", title);
            mistake.help.extend(number.map(|_| "all of IPv4 is `ip`, all of IPv6 `ip6`".to_owned()));
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

    /// `10.0.0.1-10.0.0.9`
    fn addrs(&self, low: Addr, high: Addr) -> Outcome<Item> {
        if low.is_v4() != high.is_v4() {
            return Err(self.wrong("addr-range", "a range's ends are addresses of one version"));
        }
        match low.cmp(&high) {
            Ordering::Less => Ok(Item::Addrs(low, high)),
            // One address written as a range is that address.
            Ordering::Equal => Ok(Item::Addr(low)),
            Ordering::Greater => {
                let title = format!("the range {low}-{high} ends before it begins");
                Err(self.wrong_value("range-backwards", title, format!("{high}-{low}")))
            }
        }
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
        let ends: Vec<Ipv4Addr> = text.split(['-', ':']).map_while(|part| part.parse().ok()).collect();
        if let Some((addr, port)) = text.rsplit_once(':')
            && ends.len() == 1
        {
            let port = service(port).map_or_else(|| port.to_owned(), |port| port.to_string());
            let side = match self.subject.first() {
                Field::SrcAddr if matches!(self.subject, Subject::One(_)) => "sport",
                Field::DstAddr => "dport",
                _ => "port",
            };
            let title = "an address and a port are two tests";
            return if port.bytes().all(|byte| byte.is_ascii_digit()) {
                self.wrong_test("addr-port", title, format!("{name} {addr} and {side} {port}"))
            } else {
                self.wrong_help("addr-port", title, format!("as in `{name} {addr} and {side} 443`"))
            };
        }
        if let Some((addr, zone)) = text.split_once('%')
            && addr.parse::<Ipv6Addr>().is_ok()
        {
            return self.wrong_value("zone", format!("packets do not carry the zone `{zone}`"), addr);
        }
        if let Some((low, high)) = text.split_once("..").or_else(|| text.split_once(':'))
            && [low, high].iter().all(|end| end.parse::<IpAddr>().is_ok())
        {
            let title = format!("`{shown}` is not how a range is written");
            return self.wrong_value("addr-range", title, format!("{low}-{high}"));
        }
        if ends.len() > 2 && ends.len() == text.split(['-', ':']).count() {
            let help = format!("as in `{name} {{10.0.0.1-10.0.0.9, 10.0.1.0/24}}`");
            return self.wrong_help("addr-range", "a range of addresses has two ends", help);
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
                return self.wrong_value(
                    "short-addr",
                    format!("`{shown}` has {} of an address's four parts", parts.len()),
                    format!("{}/{bits}", full.join(".")),
                );
            }
            if parts.len() > 4 {
                return self.wrong("addr", format!("`{shown}` is no address: it has {} parts", parts.len()));
            }
            if let Some(zero) = parts.iter().find(|part| part.len() > 1 && part.starts_with('0')) {
                let decimal = parts
                    .iter()
                    .map(|part| part.trim_start_matches('0'))
                    .map(|part| if part.is_empty() { "0" } else { part })
                    .collect::<Vec<_>>()
                    .join(".");
                let title = format!("`{shown}` is ambiguous: {zero} may be octal");
                return self.wrong_value("leading-zero", title, decimal);
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
            let test = format!("ether {ether} {text}").replace("  ", " ");
            return self.wrong_test("addr", format!("`{shown}` is a link address"), test);
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
