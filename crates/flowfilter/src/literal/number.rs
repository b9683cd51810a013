//! Numbers, ranges, and quantities with units.

use std::net::IpAddr;

use super::{Before, Literal, Outcome, Read, example, named_number, service};
use crate::ast::Item;
use crate::error::Mistake;
use crate::field::{Field, Kind};
use crate::filter::{Compat, OPEN_RANGE};
use crate::suggest;

impl Literal<'_> {
    /// A number, or a range: `N`, `N:M`, `N:`, `:M`, with blanks around the colon or not.
    pub(super) fn numbers(&self, max: u64) -> Outcome<Read> {
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
        let is_port = matches!(self.subject.first(), Field::SrcPort | Field::DstPort);
        let is_of_ss = self.options.beside_ss && is_port && low.is_empty();
        if is_of_ss && matches!(self.before, Before::Unequal | Before::Exact) && is_number(high) {
            return Ok(Read { item: Item::Number(self.number(high, max)?), used, note: None });
        }
        if (low.is_empty() || high.is_empty()) && self.before == Before::Exact {
            let number = if low.is_empty() { high } else { low };
            let number = service(number).map_or_else(|| number.to_owned(), |port| port.to_string());
            return Err(self.wrong_help(
                "open-range-behind-operator",
                format!("`{text}` is a range that is open at one end, behind an operator"),
                format!("as in `{name} = {number}`"),
            ));
        }
        let note = (is_of_ss && self.before == Before::Field).then(|| {
            let title = format!("`{name} :{high}` is every port up to {high}; ss means port {high} alone by it");
            Mistake::new(OPEN_RANGE, self.span.clone(), title)
                .label("a range")
                .help(format!("write `{name} 0:{high}` or `{name} {high}`"))
        });
        let lowest = u64::from(self.options.compat == Compat::Como && is_port);
        let low = if low.is_empty() { lowest } else { self.number(low, max)? };
        let high = if high.is_empty() { max } else { self.number(high, max)? };
        if low > high {
            let title = format!("the range {low}:{high} ends before it begins");
            let mut mistake = self.wrong_value("range-backwards", title, format!("{high}:{low}"));
            mistake.mend.iter_mut().for_each(|mend| mend.words = used);
            return Err(mistake);
        }
        // One number written as a range is that number.
        let item = if low == high { Item::Number(low) } else { Item::Range(low, high) };
        Ok(Read { item, used, note })
    }

    pub(super) fn number(&self, text: &str, max: u64) -> Outcome<u64> {
        let name = self.name();
        let hexadecimal = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X"));
        let (digits, radix) = hexadecimal.map_or((text, 10), |digits| (digits, 16));
        if !digits.is_empty() && digits.bytes().all(|byte| char::from(byte).is_digit(radix)) {
            return match u64::from_str_radix(digits, radix) {
                Ok(number) if number <= max => Ok(number),
                _ => Err(self.too_large(text, max)),
            };
        }
        if let Some(number) = named_number(self.subject.first(), text) {
            return Ok(number);
        }
        // What others write for ranges.
        for separator in ["..", "-", "…"] {
            if let Some((low, high)) = text.split_once(separator)
                && [low, high].iter().all(|part| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit()))
            {
                return Err(self.wrong_value(
                    "range-separator",
                    format!("`{text}` is not how a range is written"),
                    format!("{low}:{high}"),
                ));
            }
        }
        if matches!(self.subject.first(), Field::SrcPort | Field::DstPort | Field::OuterSrcPort | Field::OuterDstPort) {
            if let Some(port) = service(text) {
                return Err(self.wrong_value(
                    "service-name",
                    format!("services are not looked up by name: `{text}`"),
                    port.to_string(),
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
            return Err(self.wrong_value("number", "AS numbers are written without `AS`", number));
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
    pub(super) fn quantity(&self) -> Outcome<Read> {
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
        if let Some((first, last)) = self.word.split_once(':').filter(|ends| *ends != ("", ""))
            && !(self.before == Before::Exact && (first.is_empty() || last.is_empty()))
        {
            let low = if first.is_empty() { 0 } else { self.amount(first)? };
            let high = if last.is_empty() { u64::MAX } else { self.amount(last)? };
            if low > high {
                let title = format!("the range {first}:{last} ends before it begins");
                return Err(self.wrong_value("range-backwards", title, format!("{last}:{first}")));
            }
            return Ok(Read::just(if low == high { Item::Number(low) } else { Item::Range(low, high) }));
        }
        if units == BYTES && self.word.to_ascii_lowercase().starts_with("0x") {
            return self.number(self.word, u64::MAX).map(|number| Read::just(Item::Number(number)));
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

    /// One end of a range.
    fn amount(&self, text: &str) -> Outcome<u64> {
        if text.contains(':') {
            return Err(self.wrong("range", format!("`{}` has more than two ends", self.shown())));
        }
        let one = Literal { word: text, next: &[], span: self.span.clone(), before: Before::Exact, ..*self };
        match one.quantity()?.item {
            Item::Number(number) => Ok(number),
            _ => Err(self.wrong("range", format!("`{}` is no range", self.shown()))),
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
}
