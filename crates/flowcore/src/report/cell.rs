//! How single values become bytes: numbers, addresses, times, quoted text.
//!
//! Our own rather than `fmt`: a report of a million connections has tens of millions of cells, and the formatting
//! machinery costs several times what the digits do.

use std::io::Write;

use crate::addr::Addr;
use crate::time::{NANOS_PER_SECOND, Timestamp};

const HEX: &[u8; 16] = b"0123456789abcdef";

/// Appends the first `length` (at most `N`) of `N` bytes.
///
/// Copying a fixed number of bytes is a few instructions in place, where a variable number is a call of `memcpy`: with
/// some eighty short pieces in a row of JSON the calls were a quarter of the time.
#[inline(always)]
pub(super) fn push_block<const N: usize>(out: &mut Vec<u8>, block: &[u8; N], length: usize) {
    let end = out.len() + length;
    out.extend_from_slice(block);
    out.truncate(end);
}

/// What makes a digit of each byte that holds its value.
const ZEROS: u64 = 0x3030_3030_3030_3030;

/// Writes `number` in decimal.
#[inline]
pub fn push_u64(out: &mut Vec<u8>, number: u64) {
    match number {
        0..10 => out.push(b'0' + number as u8),
        10..EIGHT_DIGITS => {
            let digits = eight_digits(number as u32);
            let absent = digits.trailing_zeros() / 8;
            push_block(out, &((digits | ZEROS) >> (8 * absent)).to_le_bytes(), 8 - absent as usize);
        }
        _ => push_long(out, number),
    }
}

/// The same of a number of nine digits or more.
fn push_long(out: &mut Vec<u8>, number: u64) {
    push_u64(out, number / EIGHT_DIGITS);
    out.extend_from_slice(&(eight_digits((number % EIGHT_DIGITS) as u32) | ZEROS).to_le_bytes());
}

/// The first number that has more.
const EIGHT_DIGITS: u64 = 100_000_000;

/// The values of eight decimal digits, the first in the lowest byte.
///
/// Halves, then pairs, then digits, each step for all parts at once: three divisions by multiplication where one after the
/// other would be seven, and no digit waits in memory for the others. The factors are 2^19 / 100 and 2^10 / 10 rounded up,
/// exact for parts below 10,000 and 100.
#[inline]
fn eight_digits(number: u32) -> u64 {
    let number = u64::from(number);
    let halves = (number / 10_000) | ((number % 10_000) << 32);
    let hundreds = ((halves * 5_243) >> 19) & 0x0000_007f_0000_007f;
    let pairs = hundreds | ((halves - hundreds * 100) << 16);
    let tens = ((pairs * 103) >> 10) & 0x000f_000f_000f_000f;
    tens | ((pairs - tens * 10) << 8)
}

/// Writes `number` in decimal with its sign.
#[inline]
pub fn push_i64(out: &mut Vec<u8>, number: i64) {
    if number < 0 {
        out.push(b'-');
    }
    push_u64(out, number.unsigned_abs());
}

/// Writes the last `width` decimal digits of `number`, zeros in front; `width` is at most 20.
pub fn push_padded(out: &mut Vec<u8>, mut number: u64, width: usize) {
    let mut digits = [b'0'; 20];
    for digit in digits[20 - width..].iter_mut().rev() {
        *digit = b'0' + (number % 10) as u8;
        number /= 10;
    }
    out.extend_from_slice(&digits[20 - width..]);
}

/// Writes an address: IPv4 dotted, IPv6 by RFC 5952.
#[inline]
pub fn push_addr(out: &mut Vec<u8>, addr: Addr) {
    match addr.to_v4() {
        Some(bytes) => push_v4(out, bytes),
        None => push_v6(out, addr.octets()),
    }
}

#[inline]
fn push_v4(out: &mut Vec<u8>, [a, b, c, d]: [u8; 4]) {
    for (pair, point) in [([a, b], 0), ([c, d], 1)] {
        let [first, second] = pair.map(|byte| u64::from(OCTETS[usize::from(byte)]));
        let [length, more] = pair.map(|byte| 2 + usize::from(byte >= 10) + usize::from(byte >= 100));
        push_block(out, &(first | second << (8 * length)).to_le_bytes(), length + more - point);
    }
}

/// `0.` to `255.`, the first digit in the lowest byte.
static OCTETS: [u32; 256] = {
    let mut octets = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        let [hundreds, tens, ones] = [byte / 100, byte / 10 % 10, byte % 10];
        let last = (b'0' as u32 + ones) | (b'.' as u32) << 8;
        octets[byte as usize] = match byte {
            100.. => (b'0' as u32 + hundreds) | (b'0' as u32 + tens) << 8 | last << 16,
            10.. => (b'0' as u32 + tens) | last << 8,
            _ => last,
        };
        byte += 1;
    }
    octets
};

fn push_v6(out: &mut Vec<u8>, octets: &[u8; 16]) {
    let mut groups = [0u16; 8];
    for (group, pair) in groups.iter_mut().zip(octets.chunks_exact(2)) {
        *group = u16::from_be_bytes([pair[0], pair[1]]);
    }
    // RFC 5952 section 4.2: the longest run of at least two zero groups becomes `::`, the first one if equal.
    let (mut start, mut length) = (8, 1);
    let mut run = 0;
    for (index, &group) in groups.iter().enumerate() {
        run = if group == 0 { run + 1 } else { 0 };
        if run > length {
            (start, length) = (index + 1 - run, run);
        }
    }
    let mut index = 0;
    while index < 8 {
        if index == start {
            out.extend_from_slice(b"::");
            index += length;
            continue;
        }
        if index != 0 && index != start + length {
            out.push(b':');
        }
        push_hex(out, groups[index]);
        index += 1;
    }
}

/// Writes `number` in lower-case hexadecimal without leading zeros.
fn push_hex(out: &mut Vec<u8>, number: u16) {
    let digits = (16 - number.leading_zeros()).div_ceil(4).max(1);
    for shift in (0..digits).rev() {
        out.push(HEX[usize::from(number >> (shift * 4)) & 15]);
    }
}

/// Writes a time as RFC 3339 in UTC with `decimals` (0 to 9) decimals of a second; finer digits are cut, as every
/// capture tool does, so that a shown time is never later than the packet.
pub fn push_rfc3339(out: &mut Vec<u8>, time: Timestamp, decimals: usize) {
    let (seconds, nanos) = time.to_parts();
    let (day, second) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400) as u64);
    let (year, month, day) = civil(day);
    push_padded(out, year, 4);
    for part in [month, day] {
        out.push(b'-');
        push_padded(out, part, 2);
    }
    out.push(b'T');
    push_padded(out, second / 3_600, 2);
    for part in [second / 60 % 60, second % 60] {
        out.push(b':');
        push_padded(out, part, 2);
    }
    push_fraction(out, nanos.into(), decimals);
    out.push(b'Z');
}

/// Year, month and day of the `day`th day after 1970-01-01 in the proleptic Gregorian calendar.
///
/// Counts in 400-year eras that begin on 1 March, so that the leap day is the last day of a year. A [`Timestamp`]
/// reaches from 1677 to 2262, so the year is positive.
fn civil(day: i64) -> (u64, u64, u64) {
    let day = (day + 719_468) as u64; // days since 0000-03-01
    let (era, day) = (day / 146_097, day % 146_097);
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153; // 0 = March
    let day_of_month = day - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    (era * 400 + year + u64::from(month <= 2), month, day_of_month)
}

/// Writes a time in seconds since the epoch with microseconds. Finer digits are cut downwards, so that a time before
/// 1970 is in the same microsecond as by [`push_rfc3339`].
pub fn push_epoch(out: &mut Vec<u8>, time: Timestamp) {
    const MICROSECOND: i64 = 1_000;
    push_seconds(out, time.as_nanos().div_euclid(MICROSECOND).saturating_mul(MICROSECOND), 6);
}

/// Writes a span in seconds with `decimals` (0 to 9) decimals; finer digits are cut.
pub fn push_seconds(out: &mut Vec<u8>, nanos: i64, decimals: usize) {
    if nanos < 0 {
        out.push(b'-');
    }
    let magnitude = nanos.unsigned_abs();
    push_u64(out, magnitude / NANOS_PER_SECOND as u64);
    push_fraction(out, magnitude % NANOS_PER_SECOND as u64, decimals);
}

fn push_fraction(out: &mut Vec<u8>, nanos: u64, decimals: usize) {
    if decimals > 0 {
        out.push(b'.');
        push_padded(out, nanos / 10u64.pow(9 - decimals.min(9) as u32), decimals.min(9));
    }
}

/// Writes a ratio so that reading it back gives the same number; `false` and nothing for NaN and the infinities,
/// which no machine format here can say.
pub fn push_f64(out: &mut Vec<u8>, number: f64) -> bool {
    number.is_finite() && write!(out, "{number}").is_ok()
}

/// Writes a JSON string, quotes included. Control characters are escaped, those above ASCII too: a report may be
/// looked at in a terminal, and its text may come from a capture.
#[inline]
pub fn push_json_text(out: &mut Vec<u8>, text: &str) {
    out.push(b'"');
    let start = out.len();
    let (words, rest) = text.as_bytes().as_chunks::<8>();
    let mut plain = true;
    for word in words {
        plain &= is_plain(u64::from_le_bytes(*word));
        out.extend_from_slice(word);
    }
    let last = short_word(rest);
    push_block(out, &last.to_le_bytes(), rest.len());
    // Bytes that are not there count as what they are not: letters.
    if !(plain && is_plain(last | (ZEROS << (8 * rest.len())))) {
        out.truncate(start);
        push_json_escaped(out, text);
    }
    out.push(b'"');
}

/// Fewer than eight bytes as a number, the first lowest.
#[inline]
fn short_word(bytes: &[u8]) -> u64 {
    let byte = |at: usize| u64::from(bytes[at]) << (8 * at);
    let four = |bytes: &[u8; 4]| u64::from(u32::from_le_bytes(*bytes));
    match (bytes.first_chunk(), bytes.last_chunk(), bytes.len()) {
        (Some(first), Some(last), length) => four(first) | four(last) << (8 * (length - 4)),
        (_, _, 0) => 0,
        (_, _, length) => byte(0) | byte(length / 2) | byte(length - 1),
    }
}

/// Whether eight bytes are printable ASCII without quotes and backslashes.
#[inline]
fn is_plain(word: u64) -> bool {
    const ONES: u64 = 0x0101_0101_0101_0101;
    // The highest bit of each byte: set where a byte is less than it may be, by the borrow of a subtraction. A byte above one
    // where it is set may have it for that borrow, so that the whole says whether there is any, and not which.
    let less = |word: u64, than: u64| word.wrapping_sub(ONES * than) & !word;
    let is = |byte: u8| less(word ^ (ONES * u64::from(byte)), 1);
    let others = is(b'"') | is(b'\\') | is(0x7f) | less(word, 0x20) | word;
    others & (ONES << 7) == 0
}

/// Text between its quotes, of which something has to be escaped.
#[cold]
fn push_json_escaped(out: &mut Vec<u8>, text: &str) {
    for c in text.chars() {
        match c {
            '"' => out.extend_from_slice(b"\\\""),
            '\\' => out.extend_from_slice(b"\\\\"),
            '\n' => out.extend_from_slice(b"\\n"),
            '\r' => out.extend_from_slice(b"\\r"),
            '\t' => out.extend_from_slice(b"\\t"),
            c if is_unsafe(c) => {
                out.extend_from_slice(b"\\u");
                // Every unsafe character lies in the basic plane.
                for shift in [12, 8, 4, 0] {
                    out.push(HEX[(c as usize >> shift) & 15]);
                }
            }
            c => push_char(out, c),
        }
    }
}

/// Writes text for terminals and CSV cells: control and direction-changing characters become `\xNN` or `\u{NNNN}`,
/// and a backslash is doubled so that the two cannot be confused.
#[inline]
pub fn push_escaped(out: &mut Vec<u8>, text: &str) {
    if text.bytes().all(|byte| matches!(byte, b' '..=b'~') && byte != b'\\') {
        return out.extend_from_slice(text.as_bytes());
    }
    for c in text.chars() {
        match c {
            '\\' => out.extend_from_slice(b"\\\\"),
            c if is_unsafe(c) && (c as u32) < 256 => {
                out.extend_from_slice(b"\\x");
                out.push(HEX[c as usize >> 4]);
                out.push(HEX[c as usize & 15]);
            }
            c if is_unsafe(c) => {
                out.extend_from_slice(b"\\u{");
                // At least 256, so no digit in front is lost; writing into memory cannot fail.
                let _infallible = write!(out, "{:x}", c as u32);
                out.push(b'}');
            }
            c => push_char(out, c),
        }
    }
}

/// Control characters, and format characters that reorder or hide what stands around them: Unicode's bidirectional
/// controls, separators of lines and paragraphs, joiners and spaces without width, annotations, tags (those of
/// general category Cf that show nothing of their own).
fn is_unsafe(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
            | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

fn push_char(out: &mut Vec<u8>, c: char) {
    out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn text(write: impl FnOnce(&mut Vec<u8>)) -> String {
        let mut out = Vec::new();
        write(&mut out);
        String::from_utf8(out).unwrap()
    }

    proptest! {
        #[test]
        fn numbers_read_as_the_standard_library_writes_them(number: u64, signed: i64, small in 0u64..2_000) {
            prop_assert_eq!(text(|out| push_u64(out, number)), number.to_string());
            prop_assert_eq!(text(|out| push_u64(out, small)), small.to_string());
            prop_assert_eq!(text(|out| push_i64(out, signed)), signed.to_string());
        }

        #[test]
        fn addresses_read_as_the_standard_library_writes_them(groups: [u16; 8], zeros: u8) {
            let mut octets = [0; 16];
            for (index, group) in groups.iter().enumerate() {
                let group = if zeros >> index & 1 == 1 { 0 } else { *group };
                octets[index * 2..index * 2 + 2].copy_from_slice(&group.to_be_bytes());
            }
            let addr = Addr::v6(octets);
            prop_assert_eq!(text(|out| push_addr(out, addr)), addr.to_string());
            let addr = Addr::v4([octets[0], octets[5], octets[10], octets[15]]);
            prop_assert_eq!(text(|out| push_addr(out, addr)), addr.to_string());
        }

        #[test]
        fn a_calendar_day_counts_back_to_its_number(day in -106_751i64..106_751) {
            // The inverse, as it is usually given: days from a date with March as the first month.
            let (year, month, of_month) = civil(day);
            let year = year as i64 - i64::from(month <= 2);
            let era = year / 400;
            let month = (month as i64 + 9) % 12;
            let of_year = (153 * month + 2) / 5 + of_month as i64 - 1;
            let of_era = (year - era * 400) * 365 + (year - era * 400) / 4 - (year - era * 400) / 100 + of_year;
            prop_assert_eq!(era * 146_097 + of_era - 719_468, day);
        }
    }

    #[test]
    fn digits_of_every_part_and_every_length_are_right() {
        for part in 0..10_000u64 {
            let number = part * 10_000 + (9_999 - part);
            assert_eq!(text(|out| push_u64(out, number)), number.to_string());
        }
        for power in (1..20).map(|digits| 10u64.pow(digits)) {
            for number in [power - 1, power, power + 1] {
                assert_eq!(text(|out| push_u64(out, number)), number.to_string());
            }
        }
        assert_eq!(text(|out| push_u64(out, u64::MAX)), "18446744073709551615");
    }

    #[test]
    fn one_character_is_escaped_wherever_it_stands() {
        for length in 1..=17 {
            for (place, c) in (0..length).flat_map(|place| ('\0'..='\u{ff}').map(move |c| (place, c))) {
                let [before, behind] = [place, length - place - 1].map(|letters| "~".repeat(letters));
                let escaped = match c {
                    '\n' => "\\n".to_owned(),
                    '\r' => "\\r".to_owned(),
                    '\t' => "\\t".to_owned(),
                    '"' | '\\' => format!("\\{c}"),
                    '\0'..' ' | '\x7f'..'\u{a0}' | '\u{ad}' => format!("\\u{:04x}", u32::from(c)),
                    c => c.to_string(),
                };
                let whole = format!("{before}{c}{behind}");
                assert_eq!(text(|out| push_json_text(out, &whole)), format!("\"{before}{escaped}{behind}\""));
            }
        }
    }

    #[test]
    fn times_are_rfc_3339_in_utc() {
        let at = |seconds, nanos| Timestamp::from_parts(seconds, nanos);
        // 1795226383: `date -u -d @1795226383 +%FT%T` gives 2026-11-21T01:59:43.
        assert_eq!(text(|out| push_rfc3339(out, at(1_795_226_383, 121_324_999), 6)), "2026-11-21T01:59:43.121324Z");
        assert_eq!(text(|out| push_rfc3339(out, at(951_782_400, 0), 0)), "2000-02-29T00:00:00Z");
        assert_eq!(text(|out| push_rfc3339(out, at(-1, 0), 3)), "1969-12-31T23:59:59.000Z");
        assert_eq!(text(|out| push_rfc3339(out, Timestamp::MAX, 9)), "2262-04-11T23:47:16.854775807Z");
        assert_eq!(text(|out| push_rfc3339(out, Timestamp::MIN, 9)), "1677-09-21T00:12:43.145224192Z");
    }

    #[test]
    fn times_before_1970_are_cut_downwards_in_every_form() {
        let time = Timestamp::from_nanos(-1);
        assert_eq!(text(|out| push_epoch(out, time)), "-0.000001");
        assert_eq!(text(|out| push_rfc3339(out, time, 6)), "1969-12-31T23:59:59.999999Z");
        assert_eq!(text(|out| push_epoch(out, Timestamp::from_nanos(1_999))), "0.000001");
        assert_eq!(text(|out| push_epoch(out, Timestamp::MIN)), "-9223372036.854775");
    }

    #[test]
    fn spans_are_seconds() {
        assert_eq!(text(|out| push_seconds(out, -1_500_000_000, 6)), "-1.500000");
        assert_eq!(text(|out| push_seconds(out, i64::MIN, 9)), "-9223372036.854775808");
        assert_eq!(text(|out| push_seconds(out, 12, 0)), "0");
    }

    #[test]
    fn hostile_text_cannot_act() {
        assert_eq!(text(|out| push_json_text(out, "a\"\\\n\u{1b}[2J\u{9b}é")), r#""a\"\\\n\u001b[2J\u009bé""#);
        assert_eq!(text(|out| push_escaped(out, "a\\\u{1b}[2J\u{202e}é")), r"a\\\x1b[2J\u{202e}é");
        assert_eq!(
            text(|out| push_escaped(out, "\u{61c}\u{200b}\u{2066}\u{feff}")),
            r"\u{61c}\u{200b}\u{2066}\u{feff}"
        );
        assert_eq!(text(|out| push_escaped(out, "\u{e0041}\u{6cc}\u{1f600}")), "\\u{e0041}\u{6cc}\u{1f600}");
    }

    #[test]
    fn what_is_no_number_is_not_written() {
        assert!(!push_f64(&mut Vec::new(), f64::NAN));
        assert_eq!(text(|out| assert!(push_f64(out, 0.1))), "0.1");
    }
}
