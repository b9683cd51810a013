//! Bits and bytes of headers: libpcap's `tcp[13] & 2 != 0`, Wireshark's `tcp.flags & 0x02`.

use super::value::truth;
use super::{Test, lower_at, sign_at, word_at};
use crate::ast::FLAG_WORDS;
use crate::foreign::{COMPARISONS, flag};
use crate::lex::{Sign, Token};

/// Letters of all flags that have names.
const ALL_FLAGS: u16 = 0xff;

/// `(… & mask) == number` behind `start` tokens that say of what.
struct Masked {
    mask: Option<u64>,
    /// Without: any bit.
    compared: Option<(Sign, u64)>,
    used: usize,
}

fn masked(input: &[Token<'_>], start: usize, in_parentheses: bool) -> Option<Masked> {
    let mut at = start;
    let mut mask = None;
    if sign_at(input, at) == Some(Sign::Ampersand) {
        let (bits, behind) = bits(input, at + 1)?;
        (mask, at) = (Some(bits), behind);
    }
    if in_parentheses {
        (sign_at(input, at) == Some(Sign::Close)).then_some(())?;
        at += 1;
    }
    let sign = match sign_at(input, at) {
        Some(sign) => Some(sign),
        None => COMPARISONS.iter().find(|(name, _)| *name == lower_at(input, at)).and_then(|(_, sign)| {
            Some(match *sign {
                "==" => Sign::Equal,
                "!=" => Sign::NotEqual,
                "<" => Sign::Less,
                "<=" => Sign::AtMost,
                ">" => Sign::More,
                ">=" => Sign::AtLeast,
                _ => return None,
            })
        }),
    };
    match sign {
        Some(sign @ (Sign::Equal | Sign::NotEqual | Sign::Less | Sign::AtMost | Sign::More | Sign::AtLeast)) => {
            let (number, used) = bits(input, at + 1)?;
            Some(Masked { mask, compared: Some((sign, number)), used })
        }
        Some(Sign::Ampersand | Sign::Bar | Sign::OpenSlice) => None,
        _ => Some(Masked { mask, compared: None, used: at }),
    }
}

/// A number, or names joined by `|`, in parentheses or not; and the token behind.
fn bits(input: &[Token<'_>], at: usize) -> Option<(u64, usize)> {
    if sign_at(input, at) != Some(Sign::Open) {
        let number = number(word_at(input, at)?)?;
        // `a & b | c` is `(a & b) | c`, which is never meant.
        let ends = !matches!(sign_at(input, at + 1), Some(Sign::Bar | Sign::Ampersand));
        return ends.then_some((number, at + 1));
    }
    let mut sum = 0;
    let mut at = at + 1;
    loop {
        sum |= number(word_at(input, at)?)?;
        match sign_at(input, at + 1)? {
            Sign::Bar => at += 2,
            Sign::Close => return Some((sum, at + 2)),
            _ => return None,
        }
    }
}

/// A number as C writes it, or one of libpcap's names for one.
fn number(word: &str) -> Option<u64> {
    let word = word.to_ascii_lowercase();
    if let Some(name) = word.strip_prefix("tcp-") {
        return FLAG_WORDS.iter().find(|(known, ..)| *known == flag(name)).map(|(.., bit)| u64::from(*bit));
    }
    if word.starts_with("icmp") {
        return ICMP_NAMES.iter().find(|(name, _)| *name == word).map(|(_, number)| *number);
    }
    match word.strip_prefix("0x") {
        Some(digits) => u64::from_str_radix(digits, 16).ok(),
        None => word.parse().ok(),
    }
}

/// RFC 792 and RFC 4443, as libpcap calls them.
pub(super) const ICMP_NAMES: [(&str, u64); 20] = [
    ("icmp-echoreply", 0),
    ("icmp-unreach", 3),
    ("icmp-sourcequench", 4),
    ("icmp-redirect", 5),
    ("icmp-echo", 8),
    ("icmp-routeradvert", 9),
    ("icmp-routersolicit", 10),
    ("icmp-timxceed", 11),
    ("icmp-paramprob", 12),
    ("icmp-tstamp", 13),
    ("icmp-tstampreply", 14),
    ("icmp6-destinationunreach", 1),
    ("icmp6-packettoobig", 2),
    ("icmp6-timeexceeded", 3),
    ("icmp6-parameterproblem", 4),
    ("icmp6-echo", 128),
    ("icmp6-echoreply", 129),
    ("icmp6-routersolicit", 133),
    ("icmp6-routeradvert", 134),
    ("icmp6-neighborsolicit", 135),
];

pub(super) const BOTH_VERSIONS: &str = "IPv6 is included; libpcap reads these bytes in IPv4 alone, which is `ip and …`";

/// The field that libpcap reads at an offset of a header; of any size where `bytes` is not given.
pub fn header_field(header: &str, offset: &str, bytes: Option<u64>) -> Option<&'static str> {
    let (field, width) = match (header, offset) {
        ("ip", "1") => ("ip and tos", 1),
        ("ip", "8") => ("ip and ttl", 1),
        ("ip", "9") => ("ip and proto", 1),
        ("ip", "12") => ("ip and src", 4),
        ("ip", "16") => ("ip and dst", 4),
        ("ip6", "6") => ("ip6 and proto", 1),
        ("ip6", "7") => ("ip6 and ttl", 1),
        ("icmp", "0" | "icmptype") => ("icmp and icmptype", 1),
        ("icmp", "1" | "icmpcode") => ("icmp and icmpcode", 1),
        ("icmp6", "0" | "icmp6type") => ("icmp6 and icmptype", 1),
        ("icmp6", "1" | "icmp6code") => ("icmp6 and icmpcode", 1),
        ("tcp", "0") => ("tcp and sport", 2),
        ("tcp", "2") => ("tcp and dport", 2),
        ("udp", "0") => ("udp and sport", 2),
        ("udp", "2") => ("udp and dport", 2),
        ("sctp", "0") => ("sctp and sport", 2),
        ("sctp", "2") => ("sctp and dport", 2),
        ("ether", "12") => ("ethertype", 2),
        _ => return None,
    };
    bytes.is_none_or(|bytes| bytes == width).then_some(field)
}

/// libpcap's `tcp[13] & 2 != 0`, also in parentheses up to the comparison.
pub(super) fn bytes(input: &[Token<'_>]) -> Option<Test> {
    let in_parentheses = sign_at(input, 0) == Some(Sign::Open);
    let from = usize::from(in_parentheses);
    let header = lower_at(input, from);
    if sign_at(input, from + 1) != Some(Sign::OpenSlice) || sign_at(input, from + 3) != Some(Sign::CloseSlice) {
        return None;
    }
    let place = lower_at(input, from + 2);
    let (offset, size) = match place.split_once(':') {
        Some((offset, size)) => (offset, size.parse().ok()?),
        None => (&*place, 1),
    };
    let Masked { mask, compared, used } = masked(input, from + 4, in_parentheses)?;
    let (sign, number) = compared?;
    let test = |ours: String| Test::new(ours, used).of_libpcap();
    match (&*header, offset, size) {
        ("tcp", "13" | "tcpflags", 1) => {
            let ours = tcp_flags(mask, sign, number)?;
            return Some(Test { note: Some(BOTH_VERSIONS), ..test(ours) });
        }
        // More fragments, and the offset.
        ("ip", "6", 2) if mask == Some(0x3fff) && number == 0 => {
            return match sign {
                Sign::NotEqual | Sign::More => Some(test("ip and fragment".into())),
                Sign::Equal => Some(test("ip and not fragment".into())),
                _ => None,
            };
        }
        _ => {}
    }
    let field = header_field(&header, offset, Some(size))?;
    let full = 1_u64.checked_shl(8 * size as u32).map_or(u64::MAX, |over| over - 1);
    mask.is_none_or(|mask| mask == full).then_some(())?;
    let value = match (field.ends_with(" src") || field.ends_with(" dst"), sign) {
        (true, Sign::Equal | Sign::NotEqual) => std::net::Ipv4Addr::from(u32::try_from(number).ok()?).to_string(),
        (true, _) => return None,
        (false, _) => number.to_string(),
    };
    let sign = match sign {
        Sign::Equal => "",
        Sign::NotEqual => "!= ",
        Sign::Less => "< ",
        Sign::AtMost => "<= ",
        Sign::More => "> ",
        _ => ">= ",
    };
    let note = matches!(&*header, "tcp" | "udp" | "sctp").then_some(BOTH_VERSIONS);
    Some(Test { note, ..test(format!("{field} {sign}{value}")) })
}

/// Wireshark's `tcp.flags & 0x02` and `tcp.flags.syn == 1`.
pub(super) fn flags(input: &[Token<'_>]) -> Option<Test> {
    let in_parentheses = sign_at(input, 0) == Some(Sign::Open);
    let from = usize::from(in_parentheses);
    let word = lower_at(input, from);
    if word == "tcp.flags" {
        let Masked { mask, compared, used } = masked(input, from + 1, in_parentheses)?;
        return match (mask, compared) {
            (None, None) => Some(Test::new("tcp", used)),
            (_, compared) => {
                let (sign, number) = compared.unwrap_or((Sign::NotEqual, 0));
                tcp_flags(mask, sign, number).map(|ours| Test::new(ours, used))
            }
        };
    }
    let name = flag(word.strip_prefix("tcp.flags.")?);
    if in_parentheses || !FLAG_WORDS.iter().any(|(known, ..)| *known == name) {
        return None;
    }
    Some(match truth(input) {
        Some((true, used)) => Test::new(name, used),
        Some((false, used)) => Test::new(format!("tcp and not {name}"), used),
        None => Test {
            note: Some("without a comparison Wireshark asks only whether there is a TCP header: `tcp`"),
            ..Test::new(name, 1)
        },
    })
}

/// What a comparison of TCP's flags says, masked or all of them.
fn tcp_flags(mask: Option<u64>, sign: Sign, number: u64) -> Option<String> {
    let mask = u16::try_from(mask.unwrap_or(u64::from(ALL_FLAGS))).ok()?;
    let number = u16::try_from(number).ok()?;
    if mask == 0 || mask & !ALL_FLAGS != 0 || number & !mask != 0 {
        return None;
    }
    let named = || FLAG_WORDS.iter().filter(|(.., bit)| mask & bit != 0);
    let names: Vec<&str> = named().map(|(name, ..)| *name).collect();
    let letters = |bits: u16| -> String {
        FLAG_WORDS.iter().filter(|(.., bit)| bits & bit != 0).map(|(_, letter, _)| *letter).collect()
    };
    let exactly = || format!("flags {}/{}", letters(number), letters(mask));
    Some(match (sign, number) {
        (Sign::NotEqual | Sign::More, 0) => names.join(" or "),
        (Sign::Equal, 0) => {
            format!("tcp and {}", names.iter().map(|name| format!("not {name}")).collect::<Vec<_>>().join(" and "))
        }
        (Sign::Equal, all) if all == mask && names.len() <= 2 => names.join(" and "),
        (Sign::Equal, _) => exactly(),
        (Sign::NotEqual, _) => format!("tcp and not {}", exactly()),
        _ => return None,
    })
}
