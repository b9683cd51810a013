//! Values as other tools write them.

use std::net::IpAddr;

use super::{lower_at, sign_at};
use crate::foreign::COMPARISONS;
use crate::lex::{Sign, Token, TokenKind};
use crate::literal;

/// `== 1` or `== 0` behind a bit: whether it must be set, and the tokens of all.
pub(super) fn truth(input: &[Token<'_>]) -> Option<(bool, usize)> {
    let is_equal = match sign_at(input, 1) {
        Some(Sign::Equal) => true,
        Some(Sign::NotEqual) => false,
        _ => match &*lower_at(input, 1) {
            "eq" => true,
            "ne" => false,
            _ => return None,
        },
    };
    match &*lower_at(input, 2) {
        "1" | "true" => Some((is_equal, 3)),
        "0" | "false" => Some((!is_equal, 3)),
        _ => None,
    }
}

/// What follows a foreign word, written our way: `== 5` is `5`, `in {80 443}` is `{80, 443}`; and how many tokens it has.
pub(super) fn value(text: &str, input: &[Token<'_>]) -> Option<(String, usize)> {
    let mut used = 0;
    let mut sign = String::new();
    match &input.first()?.kind {
        TokenKind::Sign(Sign::Equal) => used = 1,
        TokenKind::Sign(Sign::NotEqual | Sign::Less | Sign::AtMost | Sign::More | Sign::AtLeast) => {
            sign = format!("{} ", text.get(input.first()?.span.clone())?);
            used = 1;
        }
        TokenKind::Word(word) if word.eq_ignore_ascii_case("in") => used = 1,
        TokenKind::Word(word) if word.eq_ignore_ascii_case("not") && lower_at(input, 1) == "in" => {
            sign = "not in ".to_owned();
            used = 2;
        }
        TokenKind::Word(word) => {
            if let Some((_, ours)) = COMPARISONS.iter().find(|(name, _)| word.eq_ignore_ascii_case(name)) {
                if *ours != "==" {
                    sign = format!("{ours} ");
                }
                used = 1;
            }
        }
        _ => {}
    }
    match &input.get(used)?.kind {
        TokenKind::Word(word) if literal::looks_like_value(word) => Some((format!("{sign}{}", plain(word)), used + 1)),
        TokenKind::Quoted(text) if month_first(text).is_some() => {
            Some((format!("{sign}{}", month_first(text)?), used + 1))
        }
        // Wireshark's names of hosts.
        TokenKind::Quoted(text) if literal::looks_like_value(text) => {
            Some((format!("{sign}{}", plain(text)), used + 1))
        }
        TokenKind::Quoted(text) if text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-_".contains(&byte)) => {
            Some((format!("{sign}name:{text}"), used + 1))
        }
        TokenKind::Sign(Sign::OpenList | Sign::OpenSlice) => {
            let mut words = Vec::new();
            for (at, token) in input.iter().enumerate().skip(used + 1) {
                match &token.kind {
                    TokenKind::Word(word) => words.push(*word),
                    TokenKind::Sign(Sign::Comma) => {}
                    TokenKind::Sign(Sign::CloseList | Sign::CloseSlice) => {
                        return Some((format!("{sign}{{{}}}", listed(&words)?.join(", ")), at + 1));
                    }
                    _ => return None,
                }
            }
            None
        }
        _ => None,
    }
}

/// Wireshark's `Nov 20, 2026 10:03:05.25`, written our way.
fn month_first(text: &str) -> Option<String> {
    const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let (text, zone) = text.strip_suffix(" UTC").map_or((text, ""), |text| (text, "Z"));
    let mut words = text.split_whitespace();
    let name = words.next()?;
    let month = 1 + MONTHS.iter().position(|known| known.eq_ignore_ascii_case(name))?;
    let day: u8 = words.next()?.strip_suffix(',')?.parse().ok()?;
    let ours = format!("{}-{month:02}-{day:02}T{}{zone}", words.next()?, words.next()?);
    (words.next().is_none() && literal::time::span(&ours).is_ok()).then_some(ours)
}

/// A comparison of Wireshark's with an instant, also where no digit stands behind its seconds: `> 2026-11-20 10:03:05`.
pub(super) fn instant(value: &str) -> Option<String> {
    let (sign, time) = value.split_at(value.find(|c: char| c.is_ascii_digit())?);
    Some(format!("{sign}{}", literal::time::instant(time)?))
}

/// The values of a list; `80 .. 90` and `10.0.0.1..10.0.0.9` are ranges.
fn listed(words: &[&str]) -> Option<Vec<String>> {
    let mut items = Vec::new();
    let mut at = 0;
    while let Some(word) = words.get(at) {
        let (low, high, used) = match (word.split_once(".."), words.get(at + 1)) {
            (Some((low, high)), _) if !low.is_empty() && !high.is_empty() => (low, high, 1),
            (_, Some(&"..")) => (*word, *words.get(at + 2)?, 3),
            _ => (*word, "", 1),
        };
        items.push(if high.is_empty() { plain(word) } else { range(&format!("{low}..{high}"))? });
        at += used;
    }
    Some(items)
}

/// A value as it is written here.
pub(super) fn plain(word: &str) -> String {
    if let Some((addr, mask)) = word.split_once('/')
        && let Some(bits) = literal::mask_bits(mask)
    {
        return format!("{addr}/{bits}");
    }
    if literal::mac(word).is_some() { word.replace('-', ":") } else { range(word).unwrap_or_else(|| word.to_owned()) }
}

/// `80-90` and `80..90`, `10.0.0.1..10.0.0.9`.
pub(super) fn range(word: &str) -> Option<String> {
    let (low, high) = word.split_once("..").or_else(|| word.split_once('-'))?;
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if is_number(low) && is_number(high) {
        return Some(format!("{low}:{high}"));
    }
    let (first, last) = (low.parse::<IpAddr>().ok()?, high.parse::<IpAddr>().ok()?);
    (first.is_ipv4() == last.is_ipv4() && first <= last).then(|| format!("{low}-{high}"))
}
