//! What the values of options mean.

use std::num::NonZeroU64;
use std::str::FromStr;

use clap::ValueEnum;
use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};
use flowcore::{Ledger, Nanos};

/// The form of the output.
#[derive(Copy, Clone, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// Columns as wide as the terminal allows
    Table,
    /// All columns, however wide
    Wide,
    /// JSON Lines: one object per row, a header and a trailer
    Jsonl,
    /// One JSON document
    Json,
    /// Comma-separated values (RFC 4180, lines ending in LF)
    Csv,
    /// Tab-separated values
    Tsv,
    /// Zeek's conn.log
    Zeek,
}

impl Format {
    /// Rows stand for themselves and can be written before the input ends.
    pub fn streams(self) -> bool {
        matches!(self, Self::Jsonl | Self::Csv | Self::Tsv | Self::Zeek)
    }

    /// A report may end and another follow: not in one document.
    pub fn has_parts(self) -> bool {
        self != Self::Json
    }

    /// Always with a trailer.
    pub fn is_json(self) -> bool {
        matches!(self, Self::Jsonl | Self::Json)
    }

    /// Made for people.
    pub fn is_text(self) -> bool {
        matches!(self, Self::Table | Self::Wide)
    }
}

/// Parses a format, where there are no rows that could be Zeek's.
pub fn not_zeek() -> impl TypedValueParser<Value = Format> {
    let named = |format: &Format| Some(format.to_possible_value()?.hide(*format == Format::Zeek));
    let known: Vec<PossibleValue> = Format::value_variants().iter().filter_map(named).collect();
    PossibleValuesParser::new(known).try_map(|text| match Format::from_str(&text, false)? {
        Format::Zeek => Err("there are no rows here as in Zeek's logs; `flow conns -o zeek` has them".to_owned()),
        format => Ok(format),
    })
}

/// How tables show points in time.
#[derive(Copy, Clone, Debug, PartialEq, Eq, ValueEnum)]
pub enum TimeStyle {
    /// 2026-11-21T01:59:43.121324Z
    Utc,
    /// The same in the time zone of this machine, with its offset
    Local,
    /// Seconds since 1970
    Epoch,
    /// Seconds since the first packet
    Relative,
    /// Seconds since the row above
    Delta,
    /// No columns with times
    #[value(hide = true)]
    None,
}

impl TimeStyle {
    /// What tcpdump means by that many `-t`.
    pub fn of_tcpdump(times: u8) -> Option<Self> {
        Some(match times {
            0 => return None,
            1 => Self::None,
            2 => Self::Epoch,
            3 => Self::Delta,
            4 => Self::Local,
            _ => Self::Relative,
        })
    }
}

/// When to use colours.
#[derive(Copy, Clone, Debug, PartialEq, Eq, ValueEnum)]
pub enum Color {
    /// On a terminal, unless NO_COLOR, CLICOLOR=0 or TERM=dumb say no
    Auto,
    /// Also into files and pipes
    Always,
    /// Nowhere
    Never,
}

/// One column to order by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SortKey {
    /// As in the machine formats.
    pub column: String,
    /// `None`: as the column's kind suggests.
    pub descending: Option<bool>,
}

impl FromStr for SortKey {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (text, minus) = match text.strip_prefix('-') {
            Some(rest) => (rest, Some(true)),
            None => (text, None),
        };
        let (column, order) = match text.split_once(':') {
            Some((column, "asc")) => (column, Some(false)),
            Some((column, "desc")) => (column, Some(true)),
            Some((_, other)) => return Err(format!("`{other}` is no order; it is `asc` or `desc`")),
            None => (text, None),
        };
        if column.is_empty() {
            return Err("a column's name is missing; --list-columns shows them".into());
        }
        if minus.is_some() && order == Some(false) {
            return Err("`-` and `:asc` contradict each other".into());
        }
        Ok(Self { column: column.to_owned(), descending: order.or(minus) })
    }
}

/// Idle times by kind of flow; `None` = the default.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Timeouts {
    pub tcp: Option<Nanos>,
    pub tcp_attempt: Option<Nanos>,
    pub tcp_close: Option<Nanos>,
    pub tcp_reset: Option<Nanos>,
    pub udp: Option<Nanos>,
    pub icmp: Option<Nanos>,
    pub other: Option<Nanos>,
}

impl FromStr for Timeouts {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut timeouts = Self::default();
        for part in text.split(',').map(str::trim).filter(|part| !part.is_empty()) {
            let Some((kind, time)) = part.split_once('=') else {
                return Err(format!("`{part}` is not of the form KIND=TIME, as in tcp=5m"));
            };
            let place = match kind {
                "tcp" => &mut timeouts.tcp,
                "tcp-attempt" => &mut timeouts.tcp_attempt,
                "tcp-close" => &mut timeouts.tcp_close,
                "tcp-reset" => &mut timeouts.tcp_reset,
                "udp" => &mut timeouts.udp,
                "icmp" => &mut timeouts.icmp,
                "other" => &mut timeouts.other,
                _ => {
                    return Err(format!(
                        "no kind `{kind}`; kinds are tcp, tcp-attempt, tcp-close, tcp-reset, udp, icmp, other"
                    ));
                }
            };
            *place = Some(parse_span(time)?);
        }
        Ok(timeouts)
    }
}

/// How much may be lost before the exit code says so.
#[derive(Copy, Clone, Debug, PartialEq)]
pub enum AllowedLoss {
    /// This many packets.
    Packets(u64),
    /// This part of the packets seen, in thousand-millionths of a per cent.
    NanoPercent(u64),
}

impl AllowedLoss {
    /// Whether more was lost than allowed.
    pub fn is_exceeded(self, ledger: &Ledger) -> bool {
        let lost = ledger.lost_total();
        match self {
            Self::Packets(allowed) => lost > allowed,
            Self::NanoPercent(allowed) => {
                u128::from(lost) * 100 * u128::from(BILLION) > u128::from(allowed) * u128::from(ledger.seen())
            }
        }
    }
}

impl FromStr for AllowedLoss {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        const HUNDRED: u128 = 100 * BILLION as u128;
        if let Some(number) = text.strip_suffix('%') {
            return match scaled(number.trim(), BILLION) {
                Some(nano @ 0..=HUNDRED) => Ok(Self::NanoPercent(nano as u64)),
                _ => Err(format!("`{text}` is not between 0% and 100%")),
            };
        }
        parse_u64(text).map(Self::Packets).map_err(|_| format!("`{text}` is neither a number nor a part as in 0.1%"))
    }
}

/// A number of things, at least one; k, M and G multiply by thousands.
pub fn parse_count(text: &str) -> Result<NonZeroU64, String> {
    NonZeroU64::new(parse_u64(text)?).ok_or_else(|| "must be at least 1".into())
}

fn parse_u64(text: &str) -> Result<u64, String> {
    let (digits, factor) = match text.char_indices().last() {
        Some((at, 'k' | 'K')) => (&text[..at], 1_000),
        Some((at, 'M')) => (&text[..at], 1_000_000),
        Some((at, 'G')) => (&text[..at], 1_000_000_000),
        _ => (text, 1),
    };
    let is_whole = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    if !is_whole {
        return Err(format!("`{text}` is not a whole number, as in 1000 or 1k"));
    }
    let number = digits.parse::<u64>().ok().and_then(|number| number.checked_mul(factor));
    number.ok_or_else(|| format!("`{text}` is too large"))
}

/// A span of time with a unit; seconds without one.
pub fn parse_span(text: &str) -> Result<Nanos, String> {
    let digits = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let unit_nanos = match unit {
        "ns" => 1,
        "us" | "µs" => 1_000,
        "ms" => 1_000_000,
        "" | "s" => BILLION,
        "m" | "min" => 60 * BILLION,
        "h" => 3_600 * BILLION,
        "d" => 86_400 * BILLION,
        _ => return Err(format!("no unit `{unit}` in `{text}`; units are ns, us, ms, s, m, h, d")),
    };
    match scaled(number, unit_nanos).map(i64::try_from) {
        Some(Ok(nanos @ 1..)) => Ok(Nanos::new(nanos)),
        Some(Ok(_)) => Err(format!("`{text}` must be at least 1ns")),
        Some(Err(_)) => Err(format!("`{text}` is longer than 292 years")),
        None => Err(format!("`{text}` is no time, as in 30s or 5m")),
    }
}

const BILLION: u64 = 1_000_000_000;

/// A decimal number times `unit`, exact, what lies below one cut off; `None` if it is no number. Beyond 128 bits it is the
/// largest.
fn scaled(number: &str, unit: u64) -> Option<u128> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let is_number = |digits: &str| digits.bytes().all(|byte| byte.is_ascii_digit());
    if (whole.is_empty() && fraction.is_empty()) || !is_number(whole) || !is_number(fraction) {
        return None;
    }
    let digits =
        |text: &str| text.bytes().fold(0u128, |sum, byte| sum.saturating_mul(10).saturating_add((byte - b'0').into()));
    // With a day's nanoseconds the product fits 128 bits; places behind these are below any.
    let fraction = &fraction[..fraction.len().min(24)];
    let part = digits(fraction) * u128::from(unit) / 10u128.pow(fraction.len() as u32);
    Some(digits(whole).saturating_mul(unit.into()).saturating_add(part))
}

#[cfg(test)]
mod tests {
    use super::*;
    use flowcore::Loss;

    #[test]
    fn timeouts_have_kinds_and_units() {
        let timeouts: Timeouts = "tcp=5m,udp=90,icmp=1.5s,tcp-attempt=250ms".parse().unwrap();
        assert_eq!(timeouts.tcp, Some(Nanos::from_secs(300)));
        assert_eq!(timeouts.udp, Some(Nanos::from_secs(90)));
        assert_eq!(timeouts.icmp, Some(Nanos::new(1_500_000_000)));
        assert_eq!(timeouts.tcp_attempt, Some(Nanos::new(250_000_000)));
        assert_eq!(timeouts.other, None);
        for wrong in ["tcp", "tpc=5m", "tcp=5y", "tcp=99999999999999999d", "tcp=0s", "tcp=0.1ns", "tcp=-1s", "tcp="] {
            assert!(wrong.parse::<Timeouts>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn spans_are_exact() {
        let nanos = |text: &str| parse_span(text).map(Nanos::get);
        assert_eq!(nanos("1.005ms"), Ok(1_005_000));
        assert_eq!(nanos(".5s"), Ok(500_000_000));
        assert_eq!(nanos("0.0000000019"), Ok(1));
        assert_eq!(nanos("106751.99116730064591d"), Ok(i64::MAX - 1));
        for wrong in [".", "", "1.2.3s", "0.1ns", "106752d", "99999999999999999999999999999999999999999999s"] {
            assert!(parse_span(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_sort_key_says_its_order_in_two_ways() {
        let key = |text: &str| text.parse::<SortKey>().map(|key| (key.column, key.descending));
        assert_eq!(key("a"), Ok(("a".into(), None)));
        assert_eq!(key("-a"), Ok(("a".into(), Some(true))));
        assert_eq!(key("a:desc"), Ok(("a".into(), Some(true))));
        assert_eq!(key("a:asc"), Ok(("a".into(), Some(false))));
        assert!(key("a:up").is_err());
        assert!(key("-a:asc").is_err());
        assert!(key("-").is_err());
    }

    #[test]
    fn loss_is_compared_with_what_was_seen() {
        let mut ledger = Ledger::new();
        ledger.deliver(999);
        ledger.lose(Loss::Kernel, 1);
        let exceeded = |text: &str| text.parse::<AllowedLoss>().unwrap().is_exceeded(&ledger);
        assert!(exceeded("0"));
        assert!(!exceeded("1"));
        assert!(exceeded("0.09%"));
        assert!(!exceeded("0.1%"));
        assert!(exceeded("0.099999999%"));
        // 69 of 1500 are exactly that part, which no binary fraction is.
        let mut ledger = Ledger::new();
        ledger.deliver(1431);
        ledger.lose(Loss::Kernel, 69);
        assert!(!"4.6%".parse::<AllowedLoss>().unwrap().is_exceeded(&ledger));
        assert!("4.59999%".parse::<AllowedLoss>().unwrap().is_exceeded(&ledger));
        assert!("100.000000001%".parse::<AllowedLoss>().is_err());
        assert!("101%".parse::<AllowedLoss>().is_err());
        assert!("few".parse::<AllowedLoss>().is_err());
    }

    #[test]
    fn counts_may_be_written_in_thousands() {
        assert_eq!(parse_count("4M").map(NonZeroU64::get), Ok(4_000_000));
        assert!(parse_count("0").is_err());
        assert!(parse_count("-1").is_err());
        assert!(parse_count("k").is_err());
        assert!(parse_count("99999999999999G").is_err());
    }
}
