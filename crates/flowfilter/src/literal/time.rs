//! Points in time. What is written is the span that it leaves open, as a prefix is of addresses: a minute, a day.

use flowcore::report::push_rfc3339;
use flowcore::time::NANOS_PER_SECOND;

use super::{Literal, Outcome, Read};
use crate::ast::{Item, time_number, time_of};
use crate::suggest;

/// Why a text is no point in time.
pub struct Wrong {
    code: &'static str,
    title: String,
    help: String,
}

impl Wrong {
    fn new(code: &'static str, title: impl Into<String>, help: impl Into<String>) -> Self {
        Self { code, title: title.into(), help: help.into() }
    }

    fn form(text: &str) -> Self {
        Self::new(
            "time",
            format!("`{}` is no point in time", suggest::short(text)),
            "dates are written `2026-11-20`, times `2026-11-20T10:03`, `2026-11-20T10:03:05.25`, in UTC unless `+01:00` follows",
        )
    }

    /// A date or a time of day that never was.
    fn never(title: String, help: &str) -> Self {
        Self::new("no-such-time", title, help)
    }
}

/// Units of times since 1970, in nanoseconds.
const UNITS: [(&str, i128); 5] = [("s", 1_000_000_000), ("ms", 1_000_000), ("us", 1_000), ("µs", 1_000), ("ns", 1)];

const SECOND: i128 = NANOS_PER_SECOND as i128;
const MINUTE: i128 = 60 * SECOND;
const DAY: i128 = 24 * 60 * MINUTE;

/// The first and the last nanosecond of what a text leaves open, as numbers.
pub fn span(text: &str) -> Result<(u64, u64), Wrong> {
    let unit = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (low, length) = match text.split_at(unit) {
        (digits, "") if !digits.is_empty() => {
            return Err(Wrong::new(
                "no-unit",
                format!("`{}` is no point in time without a unit", suggest::short(digits)),
                "numbers count from 1970: `1763633000s`, `1763633000250ms`, `1763633000250000000ns`",
            ));
        }
        (digits, unit) => match UNITS.iter().find(|(known, _)| *known == unit) {
            Some(&(_, nanos)) => since_1970(digits, nanos),
            None => calendar(text),
        },
    }?;
    let edge = |nanos: i128| i64::try_from(nanos).ok().map(|nanos| time_number(flowcore::Timestamp::from_nanos(nanos)));
    edge(low).zip(edge(low + length - 1)).ok_or_else(|| {
        let title = format!("`{}` is beyond the times that are held", suggest::short(text));
        Wrong::new("too-large", title, "the first whole day is 1677-09-22, the last 2262-04-10")
    })
}

/// Where it begins and how long it is.
fn since_1970(digits: &str, unit: i128) -> Result<(i128, i128), Wrong> {
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let is_number = whole.len() + fraction.len() > 0 && !digits.ends_with('.') && !fraction.contains('.');
    // More digits are beyond what is held, whatever the unit.
    let whole: i128 = if whole.is_empty() { 0 } else { whole.parse().unwrap_or(i128::MAX) };
    let (part, length) = self::fraction(fraction, unit)?;
    if is_number { Ok((whole.min(i128::MAX >> 32) * unit + part, length)) } else { Err(Wrong::form(digits)) }
}

/// The digits behind a point, of `unit`, and how long what they leave open is.
fn fraction(digits: &str, unit: i128) -> Result<(i128, i128), Wrong> {
    let too_fine = || Wrong::new("fraction", "times end at nanoseconds", "a second has nine digits behind its point");
    digits.bytes().try_fold((0, unit), |(part, length), digit| {
        let length = if length % 10 == 0 { length / 10 } else { return Err(too_fine()) };
        Ok((part + i128::from(digit.wrapping_sub(b'0')) * length, length))
    })
}

/// A date, perhaps a time of day, perhaps a zone.
fn calendar(text: &str) -> Result<(i128, i128), Wrong> {
    let form = || Wrong::form(text);
    let (local, ahead) = zone(text)?;
    let (date, clock) = local.split_once(['T', 't', ' ']).map_or((local, None), |(date, clock)| (date, Some(clock)));
    let parts: Vec<&str> = date.split('-').collect();
    let &[year, month, day] = parts.as_slice() else {
        return Err(match self::clock(date) {
            Ok(_) => Wrong::new("no-date", "a time of day needs its date", format!("as in `time 2026-11-20T{text}`")),
            Err(_) => form(),
        });
    };
    let year = number(year, 4).ok_or_else(form)?;
    let [month, day] = [month, day].map(|part| number(part, 2));
    let (month, day) = month.zip(day).ok_or_else(form)?;
    if !(1..=12).contains(&month) {
        return Err(Wrong::never(format!("there is no month {month:02}"), "dates are year, month, day: `2026-11-20`"));
    }
    let last = days(year, month + 1, 1) - days(year, month, 1);
    if !(1..=last).contains(&day) {
        let title = format!("there is no {date}: {year:04}-{month:02} has {last} days");
        return Err(Wrong::never(title, "dates are year, month, day: `2026-11-20`"));
    }
    let (of_day, length) =
        clock.map_or(Ok((0, DAY)), |clock| self::clock(clock).map_err(|wrong| wrong.unwrap_or_else(form)))?;
    Ok((days(year, month, day) * DAY + of_day - ahead, length))
}

/// What stands before a zone, and how far that is ahead of UTC.
fn zone(text: &str) -> Result<(&str, i128), Wrong> {
    if let Some(local) = text.strip_suffix(['Z', 'z']) {
        return Ok((local, 0));
    }
    let Some((local, zone)) = text.len().checked_sub(6).and_then(|at| text.split_at_checked(at)) else {
        return Ok((text, 0));
    };
    let sign = match zone.bytes().next() {
        Some(b'+') => 1,
        Some(b'-') => -1,
        _ => return Ok((text, 0)),
    };
    match zone[1..].split_once(':').map(|(hours, minutes)| (number(hours, 2), number(minutes, 2))) {
        Some((Some(hours @ ..24), Some(minutes @ ..60))) => Ok((local, sign * (hours * 60 + minutes) * MINUTE)),
        Some((Some(_), Some(_))) => {
            Err(Wrong::never(format!("there is no zone {zone}"), "as in `time 2026-11-20T10:03+01:00`"))
        }
        // The end of a date.
        _ => Ok((text, 0)),
    }
}

/// Hours, minutes, perhaps seconds: how far into the day, and how long; an error without a word is one of form.
fn clock(text: &str) -> Result<(i128, i128), Option<Wrong>> {
    let mut parts = text.splitn(3, ':');
    let mut next = |digits: usize| parts.next().and_then(|part| number(part, digits)).ok_or(None);
    let (hours, minutes) = (next(2)?, next(2)?);
    let (seconds, of_second, length) = match parts.next() {
        None => (0, 0, MINUTE),
        Some(seconds) => {
            let (whole, digits) = seconds.split_once('.').unwrap_or((seconds, ""));
            let is_number = digits.bytes().all(|byte| byte.is_ascii_digit()) && !seconds.ends_with('.');
            let whole = number(whole, 2).filter(|_| is_number).ok_or(None)?;
            let (part, length) = fraction(digits, SECOND)?;
            (whole, part, length)
        }
    };
    let title = format!("there is no {text}");
    match (hours, minutes, seconds) {
        (24.., _, _) => Err(Some(Wrong::never(title, "a day ends with 23:59: 24:00 is 00:00 of the next"))),
        (_, 60.., _) => Err(Some(Wrong::never(title, "an hour ends with minute 59"))),
        (_, _, 60..) => Err(Some(Wrong::never(title, "a minute ends with second 59: times have no leap seconds"))),
        _ => Ok(((hours * 60 + minutes) * MINUTE + seconds * SECOND + of_second, length)),
    }
}

/// A number of so many digits.
fn number(text: &str, digits: usize) -> Option<i128> {
    let is_number = text.len() == digits && text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|_| is_number)
}

/// Days from 1970-01-01 to a date of the proleptic Gregorian calendar; the 13th month is the next January.
fn days(year: i128, month: i128, day: i128) -> i128 {
    // Years that begin in March end with their leap day.
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let of_years = 365 * year + year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400);
    of_years + (153 * month + 2) / 5 + day - 1 - 719_468
}

impl Literal<'_> {
    /// A point in time, or all from the beginning of one to the end of another: `A..B`, `A..`, `..B`.
    pub(super) fn time(&self) -> Outcome<Read> {
        let read = |text: &str| span(text).map_err(|wrong| self.wrong_help(wrong.code, wrong.title, wrong.help));
        let (low, high) = match self.word.split_once("..").map(|(low, high)| (low.trim(), high.trim())) {
            None => read(self.word)?,
            Some(("", "")) => {
                let help = format!("as in `{} 2026-11-20T10:03..2026-11-20T10:05`", self.name());
                return Err(self.wrong_help("range", "a range needs at least one end", help));
            }
            Some((low, high)) => {
                let first = if low.is_empty() { 0 } else { read(low)?.0 };
                let last = if high.is_empty() { u64::MAX } else { read(high)?.1 };
                if first > last {
                    let title = format!("the range {low}..{high} ends before it begins");
                    return Err(self.wrong_value("range-backwards", title, format!("{high}..{low}")));
                }
                (first, last)
            }
        };
        Ok(Read::just(if low == high { Item::Number(low) } else { Item::Range(low, high) }))
    }
}

/// Whether a time says how far its zone is from UTC.
pub fn has_zone(text: &str) -> bool {
    zone(text).is_ok_and(|(local, _)| local.len() < text.len())
}

/// Whether a word goes on with what stands before it: `2026-11-20 10:03`, `A .. B`.
pub fn goes_on(before: &str, next: &str) -> bool {
    let is_digit = next.starts_with(|c: char| c.is_ascii_digit());
    next.starts_with("..") || is_digit && (before.ends_with("..") || next.contains(':'))
}

/// The shortest text whose span fits.
fn shortest(time: u64, fits: impl Fn((u64, u64)) -> bool) -> Option<String> {
    let mut whole = Vec::new();
    push_rfc3339(&mut whole, time_of(time), 9);
    let whole = String::from_utf8(whole).ok()?;
    // A day, a minute, a second, and each digit behind its point.
    let cuts = [10, 16, 19].into_iter().chain(21..=29);
    cuts.filter_map(|end| whole.get(..end)).find(|text| span(text).is_ok_and(&fits)).map(str::to_owned)
}

/// What begins there.
pub fn beginning(time: u64) -> String {
    shortest(time, |(low, _)| low == time).unwrap_or_default()
}

/// What ends there.
pub fn ending(time: u64) -> String {
    shortest(time, |(_, high)| high == time).unwrap_or_default()
}

/// All from one to another, both included.
pub fn between(low: u64, high: u64) -> String {
    shortest(low, |span| span == (low, high)).unwrap_or_else(|| match (low, high) {
        (0, high) if high < u64::MAX => format!("..{}", ending(high)),
        (low, u64::MAX) => format!("{}..", beginning(low)),
        _ => format!("{}..{}", beginning(low), ending(high)),
    })
}

/// The instant with which a text begins, written in full; a number without a unit is of seconds since 1970.
pub fn instant(text: &str) -> Option<String> {
    let (low, _) = span(text).or_else(|_| span(&format!("{text}s"))).ok()?;
    Some(between(low, low))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Nanoseconds since 1970.
    fn read(text: &str) -> Option<(i64, i64)> {
        let nanos = |number| time_of(number).as_nanos();
        span(text).ok().map(|(low, high)| (nanos(low), nanos(high)))
    }

    /// Seconds by `date -u -d … +%s`.
    #[test]
    fn what_is_written_is_all_that_it_leaves_open() {
        const S: i64 = 1_000_000_000;
        for (text, low, length) in [
            ("2026-11-20", 1_795_132_800 * S, 86_400 * S),
            ("2026-11-20T10:03", 1_795_168_980 * S, 60 * S),
            ("2026-11-20 10:03", 1_795_168_980 * S, 60 * S),
            ("2026-11-20t10:03z", 1_795_168_980 * S, 60 * S),
            ("2026-11-20T10:03+01:00", 1_795_165_380 * S, 60 * S),
            ("2026-11-20T10:03-05:30", 1_795_188_780 * S, 60 * S),
            ("2026-11-20-05:30", 1_795_152_600 * S, 86_400 * S),
            ("2026-11-20T10:03:05", 1_795_168_985 * S, S),
            ("2026-11-20T10:03:05.5", 1_795_168_985 * S + 500_000_000, 100_000_000),
            ("2026-11-20T10:03:05.50", 1_795_168_985 * S + 500_000_000, 10_000_000),
            ("2026-11-20T10:03:05.123456789Z", 1_795_168_985 * S + 123_456_789, 1),
            ("1795168985s", 1_795_168_985 * S, S),
            ("1795168985.25s", 1_795_168_985 * S + 250_000_000, 10_000_000),
            ("1795168985250ms", 1_795_168_985 * S + 250_000_000, 1_000_000),
            ("1795168985250.000001ms", 1_795_168_985 * S + 250_000_001, 1),
            ("1795168985250000000ns", 1_795_168_985 * S + 250_000_000, 1),
            ("0s", 0, S),
            ("1969-12-31", -86_400 * S, 86_400 * S),
            ("2024-02-29", 1_709_164_800 * S, 86_400 * S),
            ("2000-02-29", 951_782_400 * S, 86_400 * S),
            ("1677-09-21T00:12:43.145224192", i64::MIN, 1),
            ("2262-04-11T23:47:16.854775807", i64::MAX, 1),
        ] {
            assert_eq!(read(text), Some((low, low + (length - 1))), "{text}");
        }
    }

    #[test]
    fn what_never_was_is_refused() {
        let code = |text: &str| span(text).err().map(|wrong| wrong.code);
        for text in ["2026-02-29", "2100-02-29", "2026-04-31", "2026-13-01", "2026-00-10", "2026-01-00"] {
            assert_eq!(code(text), Some("no-such-time"), "{text}");
        }
        for clock in ["24:00", "24:00:01", "10:60", "23:59:60", "10:03+24:00", "10:03+01:60"] {
            assert_eq!(code(&format!("2026-11-20T{clock}")), Some("no-such-time"), "{clock}");
        }
        for text in ["1677-09-21", "1677-09-21T00:12:43.145224191", "2262-04-11", "9999-12-31", "9223372036854775808ns"]
        {
            assert_eq!(code(text), Some("too-large"), "{text}");
        }
        let long = format!("{}s", "9".repeat(300));
        assert_eq!(code(&long), Some("too-large"));
        for text in ["2026-11-20T10:03:05.1234567890", "1.0000000000s", "0.5ns", "1.0001us"] {
            assert_eq!(code(text), Some("fraction"), "{text}");
        }
        for text in ["10:03", "10:03:05.5", "10:03Z"] {
            assert_eq!(code(text), Some("no-date"), "{text}");
        }
        for text in ["1763633000", "2026", "1763633000.25"] {
            assert_eq!(code(text), Some("no-unit"), "{text}");
        }
        for text in [
            "",
            "s",
            ".s",
            "1.s",
            "1.2.3s",
            "-5s",
            "+1s",
            "5h",
            "now",
            "2026-11",
            "2026-1-2",
            "26-11-20",
            "2026-11-20T",
            "2026-11-20T10",
            "2026-11-20T1:03",
            "2026-11-20T10:3",
            "2026-11-20T10:03:5",
            "2026-11-20T10:03:05.",
            "2026-11-20T10:03:05.5.5",
            "2026-11-20T10:03+0100",
            "2026-11-20T10:03+1:00",
            "2026-11-20T10:03:05:07",
            "2026-11-20T10:03ZZ",
            "2026-11-20  10:03",
            "２026-11-20",
            "2026-11-20T10:03é",
            "+026-11-20",
            "2026-11-2é",
        ] {
            assert_eq!(code(text), Some("time"), "{text}");
        }
    }

    proptest! {
        #[test]
        fn whatever_is_printed_is_read_again(a: u64, b: u64, round in 0usize..6) {
            // Also what falls on whole units, and on the ends.
            let units = [1, 1_000, 100_000_000, 1_000_000_000, 60_000_000_000, 86_400_000_000_000];
            let edge = |number: u64| {
                let nanos = time_of(number).as_nanos();
                time_number(flowcore::Timestamp::from_nanos(nanos.saturating_sub(nanos.rem_euclid(units[round]))))
            };
            for [low, high] in [[a, b], [edge(a), edge(b)], [edge(a), edge(a).saturating_add(units[round] as u64 - 1)], [0, b], [a, u64::MAX]] {
                prop_assert_eq!(span(&beginning(low)).ok().map(|span| span.0), Some(low));
                prop_assert_eq!(span(&ending(high)).ok().map(|span| span.1), Some(high));
                prop_assert_eq!(span(&between(low, low)).ok(), Some((low, low)));
                if low < high {
                    let text = format!("time {}", between(low, high));
                    let filter = crate::Filter::parse(&text).unwrap();
                    let range = crate::ast::Test { subject: crate::ast::Subject::One(crate::Field::Time), condition: crate::ast::Condition::In(vec![Item::Range(low, high)]) };
                    prop_assert_eq!(filter.expr(), &range.into());
                }
            }
        }
    }
}
