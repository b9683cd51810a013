//! Tables of one prefix or range a line.

use std::borrow::Cow;
use std::io::{BufRead, Read};
use std::net::IpAddr;

use flowcore::{Addr, Error, ErrorKind, Result};

use super::{Gathered, Source};

/// Bytes of a line; more are no line of a table.
const LONGEST: u64 = 64 * 1024;

/// Lines without a single network after which a file is taken for something else.
const HOPELESS: u64 = 1000;

/// What a line is expected to be, for messages.
const FORMS: &str = "expected `PREFIX AS`, `ADDRESS LENGTH AS` or `FIRST LAST AS`";

pub(super) fn read(stream: &mut dyn BufRead, gathered: &mut Gathered, source: &mut Source) -> Result<()> {
    let mut line = Vec::new();
    let mut asns = Vec::new();
    let mut number = 0u64;
    let mut is_first = true;
    loop {
        line.clear();
        number += 1;
        match Read::take(&mut *stream, LONGEST).read_until(b'\n', &mut line) {
            Ok(0) => return Ok(()),
            Ok(length) if length as u64 == LONGEST && !line.ends_with(b"\n") => {
                source.complain(number, format_args!("the line is longer than {LONGEST} bytes; {FORMS}"));
                skip_line(stream).map_err(|error| Error::io(&*source.name, error))?;
                continue;
            }
            Ok(_) => {}
            Err(error) => {
                // Damaged inside its compression, most often: what came before stays.
                let what = format_args!("{error}: nothing behind this was read; fetch the file again");
                source.complain(number, what);
                return Ok(());
            }
        }
        let text = String::from_utf8_lossy(&line);
        let text = text.trim_start_matches('\u{feff}').trim_matches(['\r', '\n', ' ']);
        let text = without_comment(text);
        if text.trim_start().is_empty() {
            continue;
        }
        let is_heading = std::mem::take(&mut is_first) && !text.contains(|c: char| c.is_ascii_digit());
        if is_heading {
            continue;
        }
        match entry(text, &mut asns) {
            Ok(_) if asns.is_empty() => source.without_origin += 1,
            Ok((span, holder)) => {
                let origin = gathered.origin(&asns, holder.trim());
                let added = match span {
                    Span::Prefix(ip, bits) => gathered.prefix(ip, bits, origin),
                    Span::Range(first, last) => gathered.builder.range(first, last, origin),
                };
                match (added, span) {
                    (Some(()), _) => source.networks += 1,
                    (None, Span::Prefix(ip, bits)) => {
                        let what = match ip {
                            IpAddr::V4(_) => "prefixes end at /32",
                            IpAddr::V6(_) if bits <= 128 => "those of IPv4 begin at /96",
                            IpAddr::V6(_) => "prefixes end at /128",
                        };
                        source.complain(number, format_args!("{ip}/{bits}: {what}"));
                    }
                    (None, Span::Range(first, last)) => {
                        let what = format_args!("no range leads from {first} to {last}: expected the lowest first");
                        source.complain(number, what);
                    }
                }
            }
            Err(what) => source.complain(number, what),
        }
        if source.damaged >= HOPELESS && source.networks + source.without_origin == 0 {
            let first = source.complaints.first().cloned().unwrap_or_default();
            let message = format!("{}: this is no table of networks; {first}", source.name);
            return Err(Error::new(ErrorKind::Unsupported, message));
        }
    }
}

/// A line without its comment: that begins the line, or stands behind a blank and outside quotes, as names of holders may
/// have its sign; where tabs part the fields, behind a number.
fn without_comment(line: &str) -> &str {
    let (mut quoted, mut last, tabs) = (false, b' ', line.contains('\t'));
    for (place, byte) in line.bytes().enumerate() {
        let blank = matches!(last, b' ' | b'\t');
        if matches!(byte, b'#' | b';') && blank && !quoted {
            let before = line[..place].trim_end_matches(' ');
            let field = before.rsplit('\t').next().unwrap_or_default();
            if !tabs
                || before.trim().is_empty()
                || (!field.is_empty() && field.bytes().all(|byte| byte.is_ascii_digit()))
            {
                return before.trim_end();
            }
        }
        // One within a name is a sign like others.
        if byte == b'"' {
            quoted = !quoted && (blank || last == b',');
        }
        last = byte;
    }
    line
}

fn skip_line(stream: &mut dyn BufRead) -> std::io::Result<()> {
    stream.skip_until(b'\n').map(drop)
}

/// What a line is about.
#[derive(Copy, Clone)]
enum Span {
    Prefix(IpAddr, u8),
    Range(Addr, Addr),
}

/// The prefix or range of a line and who holds it; its origins go to `asns`.
fn entry<'l>(line: &'l str, asns: &mut Vec<u32>) -> std::result::Result<(Span, Cow<'l, str>), String> {
    let mut fields = Fields::of(line);
    let first = fields.next().unwrap_or_default();
    let Some(second) = fields.next() else { return Err(format!("nothing stands behind `{first}`; {FORMS}")) };
    let ip = |text: &str| text.parse::<IpAddr>().map_err(|_| format!("`{text}` is no address; {FORMS}"));
    let length = |text: &str| text.parse::<u8>().map_err(|_| format!("`{text}` is no prefix length, 0 to 128"));
    let (span, origin) = match first.split_once('/') {
        Some((network, bits)) => (Span::Prefix(ip(network)?, length(bits)?), second),
        None => {
            let addr = ip(&first)?;
            let Some(third) = fields.next() else { return Err(format!("nothing stands behind `{second}`; {FORMS}")) };
            let span = match second.contains(['.', ':']) {
                true => Span::Range(addr.into(), ip(&second)?.into()),
                false => Span::Prefix(addr, length(&second)?),
            };
            (span, third)
        }
    };
    origins(&origin, asns).map_err(|word| format!("`{word}` is no AS number, 1 to 4294967295; {FORMS}"))?;
    Ok((span, fields.last().unwrap_or_default()))
}

/// Origins as pfx2as writes them: `_` between those that each announce the prefix, `,` between those of a set, which
/// come last. 0 is nobody.
///
/// # Errors
/// The part that is no number.
fn origins<'t>(text: &'t str, asns: &mut Vec<u32>) -> std::result::Result<(), &'t str> {
    asns.clear();
    let parts = || text.split('_').map(|part| part.trim_matches(['{', '}']));
    let sets = parts().filter(|part| part.contains(','));
    for word in parts().filter(|part| !part.contains(',')).chain(sets.flat_map(|set| set.split(','))) {
        let asn = asn(word.trim()).ok_or(word)?;
        if asn != 0 && !asns.contains(&asn) {
            asns.push(asn);
        }
    }
    Ok(())
}

/// `64500`, `AS64500`, or in two halves `1.10` (RFC 5396).
fn asn(text: &str) -> Option<u32> {
    let digits = text.strip_prefix("AS").or_else(|| text.strip_prefix("as")).unwrap_or(text);
    // A sign is no part of it.
    if !digits.starts_with(|c: char| c.is_ascii_digit()) {
        return None;
    }
    match digits.split_once('.') {
        Some((high, low)) => Some(u32::from(high.parse::<u16>().ok()?) << 16 | u32::from(low.parse::<u16>().ok()?)),
        None => digits.parse().ok(),
    }
}

/// The fields of a line, separated by what its first separator is: tabs, commas (then perhaps in quotes) or blanks.
/// Behind the third field blanks separate nothing: there stands a name.
struct Fields<'l> {
    rest: Option<&'l str>,
    separator: char,
    before: usize,
}

impl<'l> Fields<'l> {
    fn of(line: &'l str) -> Self {
        let separator = match line.find(['\t', ',', ' ']).map(|place| line.as_bytes()[place]) {
            // A blank may stand before a tab, or in a name behind tabs.
            Some(b'\t' | b' ') if line.contains('\t') => '\t',
            Some(b',') => ',',
            _ => ' ',
        };
        Self { rest: Some(line), separator, before: 0 }
    }
}

impl<'l> Iterator for Fields<'l> {
    type Item = Cow<'l, str>;

    fn next(&mut self) -> Option<Self::Item> {
        let rest = self.rest?;
        self.before += 1;
        if self.separator == ' ' {
            let rest = rest.trim_start();
            let end = rest.find(' ').filter(|_| self.before <= 3);
            self.rest = end.map(|end| &rest[end..]).filter(|rest| !rest.trim_start().is_empty());
            return (!rest.is_empty()).then(|| rest[..end.unwrap_or(rest.len())].into());
        }
        if let (',', Some(quoted)) = (self.separator, rest.strip_prefix('"')) {
            // A doubled quote is one that is meant.
            let mut from = 0;
            while let Some(end) = quoted[from..].find('"').map(|end| from + end) {
                if quoted[end + 1..].starts_with('"') {
                    from = end + 2;
                    continue;
                }
                self.rest = quoted[end + 1..].strip_prefix(',');
                let inside = &quoted[..end];
                return Some(if from > 0 { inside.replace("\"\"", "\"").into() } else { inside.into() });
            }
        }
        let (field, rest) = match rest.split_once(self.separator) {
            Some((field, rest)) => (field, Some(rest)),
            None => (rest, None),
        };
        self.rest = rest;
        Some(field.trim_matches(' ').into())
    }
}
