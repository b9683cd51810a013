//! A filter in another tool's language, written here: all of it where every part can be said, else the part at fault.
//!
//! Only what selects the same packets is translated, the differences of `docs/filters-agreement.md` aside; what has no
//! equal gets an explanation from [`crate::foreign`].

mod bits;
mod repeat;
mod value;

pub use bits::header_field;

use crate::error::{Mend, Mistake, Span};
use crate::field::FIELDS;
use crate::filter::{Compat, Options};
use crate::foreign::{COMPARISONS, WORDS};
use crate::lex::{self, Sign, Token, TokenKind};
use crate::literal;
use crate::parse::Parser;
use bits::{BOTH_VERSIONS, ICMP_NAMES, bytes, flags};
use repeat::Head;
use value::{instant, plain, range, truth, value};

/// Longer filters, in tokens, are not written anew: nobody would read them.
const MOST_TOKENS: usize = 256;

/// One test of another language.
struct Test {
    /// The same here. Where it joins tests, it must not be torn apart by what stands around it.
    ours: String,
    /// How many tokens it had.
    used: usize,
    /// What there is to know.
    note: Option<&'static str>,
    /// Whether it is libpcap's, which reads chains from left to right.
    is_libpcap: bool,
}

impl Test {
    fn new(ours: impl Into<String>, used: usize) -> Self {
        Self { ours: ours.into(), used, note: None, is_libpcap: false }
    }

    fn of_libpcap(self) -> Self {
        Self { is_libpcap: true, ..self }
    }

    fn is_chain(&self) -> bool {
        self.ours.contains(" and ") || self.ours.contains(" or ") || self.ours.starts_with("not ")
    }
}

/// A filter in which every test of another language is written in this one.
struct Rewritten {
    whole: String,
    /// The same, with `and` where nothing stands between two tests.
    joined: String,
    notes: Vec<&'static str>,
    /// What was at fault, and what is right there.
    faulty: Option<(Span, String)>,
    compat: Compat,
    /// How the last value was tested.
    head: Option<Head>,
    /// Whether there was such a test.
    found: bool,
}

impl Rewritten {
    fn of(mistake: &Mistake, tokens: &[Token<'_>], text: &str, options: &Options<'_>) -> Self {
        let mut new = Self {
            whole: String::new(),
            joined: String::new(),
            notes: Vec::new(),
            faulty: None,
            compat: options.compat,
            head: None,
            found: false,
        };
        let mut at = 0;
        while let Some(token) = tokens.get(at).filter(|token| token.kind != TokenKind::End) {
            let before = at.checked_sub(1).map_or(String::new(), |before| lower_at(tokens, before));
            let foreign = port_behind_operator(tokens, at)
                .or_else(|| test(text, &tokens[at..]))
                .filter(|_| !is_broadcast_of_ip(&before, token));
            if let Some(test) = &foreign
                && test.ours.contains(' ')
            {
                new.head = repeat::expr(&test.ours, options).and_then(|expr| Head::of(&expr)).or(new.head);
            } else if let Some((words, of_words)) = repeat::before_values(tokens, at, options) {
                new.head = Some(of_words);
                at += words;
                continue;
            }
            let Some(test) = foreign.or_else(|| new.head.as_ref()?.repeated(tokens, at, options)) else {
                let (used, own) = repeat::own(text, &tokens[at..], options).unwrap_or((1, None));
                new.head = own.or(new.head);
                let end = tokens.get(at + used - 1).map_or(token.span.end, |last| last.span.end);
                for out in [&mut new.whole, &mut new.joined] {
                    *out += text.get(token.span.start..end).unwrap_or("");
                    out.push(' ');
                }
                at += used;
                continue;
            };
            new.found = true;
            let end = tokens.get(at + test.used - 1).map_or(token.span.end, |last| last.span.end);
            if (token.span.start..end).contains(&mistake.span.start) {
                new.faulty = Some((token.span.start..end, test.ours.clone()));
            }
            if test.is_libpcap && new.compat == Compat::None {
                new.compat = Compat::Libpcap;
            }
            let note = test.note.filter(|note| !new.notes.contains(note));
            new.notes.extend(note);
            let ours = if test.is_chain() { format!("({}) ", test.ours) } else { format!("{} ", test.ours) };
            if ends_test(tokens, at) {
                new.joined += "and ";
            }
            new.whole += &ours;
            new.joined += &ours;
            at += test.used;
        }
        new
    }

    /// Whether a value without a field is of the field before, which could not be repeated: whatever
    /// `len > 100 or 1500` means, it is not port 1500.
    fn is_of_head(&self, mistake: &Mistake, text: &str, options: &Options<'_>) -> bool {
        let word = text.get(mistake.span.clone()).unwrap_or("");
        mistake.code == "value-alone" && self.head.as_ref().is_some_and(|head| head.fits(word, options))
    }
}

/// Says how a filter that is wrong would be written here, if that can be said: all of it, else the part at fault.
pub fn advise(mut mistake: Mistake, tokens: &[Token<'_>], text: &str, options: &Options<'_>) -> Mistake {
    if tokens.len() > MOST_TOKENS {
        return mistake;
    }
    if let Some(whole) = either_alone(tokens, text, options) {
        mistake.help = vec![format!("write `{whole}`")];
        return mistake;
    }
    let first = Rewritten::of(&mistake, tokens, text, options);
    if first.is_of_head(&mistake, text, options) && !first.found {
        mistake.help = vec!["write its field before every value: `port 80 or port 443`, `port {80, 443}`".into()];
        return mistake;
    }
    let of_first = Options { compat: first.compat, ..*options };
    let whole = || if first.found { read(&first.whole, &of_first) } else { None };
    let joined = || if first.faulty.is_some() { read(&first.joined, &of_first) } else { None };
    let mut notes = first.notes.clone();
    let (written, place) = if let Some(whole) = whole() {
        (whole, "")
    } else if let Some(joined) = joined() {
        notes.push("no operator stands between its tests: `and` or `or`");
        (joined, "")
    } else if let Some((whole, of_all)) = mended(&mistake, text, options) {
        notes = of_all;
        (whole, "")
    } else if let Some(part) = first.faulty.as_ref().and_then(|(_, ours)| read(ours, &of_first)) {
        // Another part is at fault too: it will be said when this one is right.
        (part, IN_PLACE)
    } else if let Some(mend) = mistake.mend.take().filter(|mend| !mend.span.is_empty()) {
        let mend = *mend;
        mistake.span = mend.span;
        (mend.text, IN_PLACE)
    } else {
        if is_joined(tokens)
            && let Some(help) = mistake.help.first_mut()
            && help.starts_with("write `")
            && help.matches('`').count() == 2
            && help.ends_with('`')
        {
            *help += IN_PLACE;
        }
        return mistake;
    };
    if let Some((span, _)) = first.faulty {
        mistake.span = span;
    }
    mistake.help.retain(|help| {
        const INSTEAD: [&str; 6] = [
            "write `",
            "as in `",
            "did you mean ",
            "`docs/filter.md` ",
            "several values are a list",
            "lists are in braces",
        ];
        !INSTEAD.iter().any(|begin| help.starts_with(begin))
    });
    // The note is about IPv6, which such a filter has not.
    let is_ipv4 = written.split([' ', '(', ')']).any(|word| word == "ip");
    notes.retain(|note| *note != BOTH_VERSIONS || !is_ipv4);
    mistake.help.insert(0, format!("write `{written}`{place}"));
    mistake.help.extend(notes.into_iter().map(str::to_owned));
    mistake
}

/// Behind advice that is no filter of its own.
const IN_PLACE: &str = " in its place";

const MIXED: &str =
    "`and` binds tighter than `or` here; libpcap reads from left to right: parentheses say which is meant";

/// Mistakes of one filter that are mended at most.
const MOST_MENDED: usize = 8;

/// The whole filter with each mistake mended in turn, and what there is to know of it.
fn mended(mistake: &Mistake, text: &str, options: &Options<'_>) -> Option<(String, Vec<&'static str>)> {
    let (mut text, mut mistake, mut options) = (text.to_owned(), mistake.clone(), *options);
    let mut notes = Vec::new();
    for _ in 0..MOST_MENDED {
        let tokens = lex::tokens(&text).ok()?;
        let next = Rewritten::of(&mistake, &tokens, &text, &options);
        if next.is_of_head(&mistake, &text, &options) && !next.found {
            return None;
        }
        text = match mistake.mend.take() {
            Some(mend) => with_mend(&text, &mend)?,
            None if next.found => {
                options.compat = next.compat;
                notes.extend(next.notes.into_iter().filter(|note| !notes.contains(note)).collect::<Vec<_>>());
                next.whole
            }
            None => return None,
        };
        match expr(&text, &options) {
            Ok((whole, is_mixed)) => {
                notes.extend(is_mixed.then_some(MIXED));
                return Some((whole, notes));
            }
            Err(next) => mistake = next,
        }
    }
    None
}

/// Wireshark's `a xor b`, where nothing else stands on its level that may bind tighter or not.
fn either_alone(tokens: &[Token<'_>], text: &str, options: &Options<'_>) -> Option<String> {
    let mut depth = 0_usize;
    let mut place = None;
    for token in tokens {
        match token.kind {
            TokenKind::Sign(Sign::Open) => depth += 1,
            TokenKind::Sign(Sign::Close) => depth = depth.saturating_sub(1),
            TokenKind::Word(word) if depth == 0 && matches!(&*word.to_ascii_lowercase(), "xor" | "^^") => {
                place.is_none().then_some(())?;
                place = Some(token.span.clone());
            }
            TokenKind::Word(word) if depth == 0 && matches!(&*word.to_ascii_lowercase(), "and" | "or") => return None,
            TokenKind::Sign(Sign::And | Sign::Or) if depth == 0 => return None,
            _ => {}
        }
    }
    let place = place?;
    let side = |text: &str| match expr(text, options) {
        Ok((ours, _)) => Some(ours),
        Err(mistake) => mended(&mistake, text, options).map(|(ours, _)| ours),
    };
    let (left, right) = (side(text.get(..place.start)?)?, side(text.get(place.end..)?)?);
    read(&format!("(({left}) or ({right})) and not (({left}) and ({right}))"), options)
}

/// A test that takes another's place is one operand, whatever stands around it.
fn with_mend(text: &str, mend: &Mend) -> Option<String> {
    let (before, behind) = (text.get(..mend.span.start)?, text.get(mend.span.end..)?);
    let is_chain = mend.is_test && mend.text.contains(" and ");
    let ours = if is_chain { format!("({})", mend.text) } else { mend.text.clone() };
    Some(format!("{before}{ours}{behind}"))
}

/// Whether there is more than one test, or one is negated.
fn is_joined(tokens: &[Token<'_>]) -> bool {
    tokens.iter().any(|token| match token.kind {
        TokenKind::Word(word) => ["and", "or", "not"].iter().any(|joins| word.eq_ignore_ascii_case(joins)),
        TokenKind::Sign(sign) => matches!(sign, Sign::And | Sign::Or | Sign::Not),
        _ => false,
    })
}

/// `ip broadcast` depends on a network's mask.
fn is_broadcast_of_ip(before: &str, token: &Token<'_>) -> bool {
    matches!(token.kind, TokenKind::Word(word) if word.eq_ignore_ascii_case("broadcast"))
        && matches!(before, "ip" | "ip6")
}

/// A filter of this language as it is printed.
fn read(text: &str, options: &Options<'_>) -> Option<String> {
    expr(text, options).ok().map(|(written, _)| written)
}

/// The same and whether others may read it otherwise, or what is wrong with it. No host is looked up for it.
fn expr(text: &str, options: &Options<'_>) -> Result<(String, bool), Mistake> {
    let tokens = lex::tokens(text)?;
    let any_host = |_: &str| Ok(vec![flowcore::Addr::UNSPECIFIED]);
    let options = Options { hosts: Some(&any_host), ..*options };
    let parser = Parser::new(text, &options);
    let written = parser.filter(&tokens)?.to_string();
    let is_mixed = parser.notes.borrow().iter().any(|note| note.code == "mixed-operators");
    Ok((written, is_mixed))
}

fn word_at<'t>(input: &[Token<'t>], at: usize) -> Option<&'t str> {
    match input.get(at)?.kind {
        TokenKind::Word(word) => Some(word),
        _ => None,
    }
}

fn lower_at(input: &[Token<'_>], at: usize) -> String {
    word_at(input, at).unwrap_or("").to_ascii_lowercase()
}

fn sign_at(input: &[Token<'_>], at: usize) -> Option<Sign> {
    match input.get(at)?.kind {
        TokenKind::Sign(sign) => Some(sign),
        _ => None,
    }
}

/// Whether a test may end before this token: neither an operator stands there nor something that is open.
fn ends_test(tokens: &[Token<'_>], at: usize) -> bool {
    let Some(before) = at.checked_sub(1) else { return false };
    matches!(sign_at(tokens, before), Some(Sign::Close | Sign::CloseList))
        || word_at(tokens, before).is_some() && !matches!(&*lower_at(tokens, before), "and" | "or" | "not")
}

/// The port of ss's `= :80` and `eq :ssh`.
fn port_behind_operator(tokens: &[Token<'_>], at: usize) -> Option<Test> {
    let before = at.checked_sub(1)?;
    let compares = matches!(
        sign_at(tokens, before),
        Some(Sign::Equal | Sign::NotEqual | Sign::Less | Sign::AtMost | Sign::More | Sign::AtLeast)
    ) || COMPARISONS.iter().any(|(name, _)| *name == lower_at(tokens, before));
    let port = word_at(tokens, at).filter(|_| compares)?.strip_prefix(':')?;
    let number = port.parse::<u16>().ok().or_else(|| literal::service(port))?;
    Some(Test::new(number.to_string(), 1))
}

/// `5000 < sport`, `1000 < len <= 1500`.
fn reversed(input: &[Token<'_>]) -> Option<Test> {
    let flipped = match sign_at(input, 1)? {
        Sign::Equal => "=",
        Sign::NotEqual => "!=",
        Sign::Less => ">",
        Sign::AtMost => ">=",
        Sign::More => "<",
        Sign::AtLeast => "<=",
        _ => return None,
    };
    let (value, field) = (word_at(input, 0)?, lower_at(input, 2));
    let is_own = FIELDS.iter().any(|def| def.name == field) || matches!(&*field, "port" | "addr" | "asn");
    let foreign = || WORDS.iter().find(|(name, ..)| *name == field)?.2.strip_suffix(' ');
    let ours = if is_own { &*field } else { foreign()? };
    let value = if ours == "time" && !is_own { &*instant(value)? } else { value };
    let first = format!("{ours} {flipped} {value}");
    let field = ours.rsplit(" and ").next()?;
    let sign = match sign_at(input, 3) {
        Some(Sign::Less) => "<",
        Some(Sign::AtMost) => "<=",
        Some(Sign::More) => ">",
        Some(Sign::AtLeast) => ">=",
        _ => return Some(Test::new(first, 3)),
    };
    Some(Test::new(format!("{first} and {field} {sign} {}", word_at(input, 4)?), 5))
}

/// The test that begins here, if it is another language's.
fn test(text: &str, input: &[Token<'_>]) -> Option<Test> {
    if let Some(test) = bytes(input).or_else(|| flags(input)).or_else(|| reversed(input)) {
        return Some(test);
    }
    let (word, next) = (lower_at(input, 0), lower_at(input, 1));
    if let "icmp" | "icmp6" = &*word {
        let named = usize::from(next == "type");
        let kind = lower_at(input, 1 + named).replace("echo-request", "echo").replace("echo-reply", "echoreply");
        if let Some((_, kind)) = ICMP_NAMES.iter().find(|(name, _)| *name == format!("{word}-{kind}")) {
            return Some(Test::new(format!("{word} and icmptype {kind}"), 2 + named));
        }
    }
    if let Some(test) = quantified(text, input).or_else(|| inner_not(input)).or_else(|| listed_in(text, input)) {
        return Some(test);
    }
    match (word.as_str(), next.as_str()) {
        ("src" | "dst", _) if next.starts_with(':') => {
            let port = &next[1..];
            let number = port.parse::<u16>().ok().or_else(|| literal::service(port))?;
            return Some(Test::new(format!("{}port {number}", &word[..1]), 2));
        }
        ("exclude", state) => {
            return Some(Test::new(format!("not state {}", literal::socket_state(state)?), 2));
        }
        ("state", first) if sign_at(input, 2) == Some(Sign::Comma) => {
            let mut states = vec![literal::socket_state(first)?];
            let mut used = 2;
            while sign_at(input, used) == Some(Sign::Comma) {
                states.push(literal::socket_state(&lower_at(input, used + 1))?);
                used += 2;
            }
            return Some(Test::new(format!("state {{{}}}", states.join(", ")), used));
        }
        ("pppoes", _) if !literal::looks_like_value(&next) => return Some(Test::new("pppoe", 1).of_libpcap()),
        ("src" | "dst", "and" | "or") if matches!(&*lower_at(input, 2), "src" | "dst") => return sides(text, input),
        ("src" | "dst", "ip" | "as" | "portrange" | "mac" | "ether" | "vlan" | "tos") => {
            let (value, used) = value(text, input.get(2..)?)?;
            let ours = match &*next {
                "ip" => format!("{word} {value}"),
                "as" => format!("{word} asn {value}"),
                "portrange" => format!("{}port {value}", &word[..1]),
                "mac" | "ether" => format!("ether {word} {value}"),
                other => format!("{other} {value}"),
            };
            return Some(Test { is_libpcap: next == "portrange", ..Test::new(ours, 2 + used) });
        }
        ("in" | "out", "if") | ("src" | "dst", "if") => {
            let (value, used) = value(text, input.get(2..)?)?;
            let ours = if matches!(&*word, "in" | "src") { "input" } else { "output" };
            return Some(Test::new(format!("{ours} {value}"), 2 + used));
        }
        ("ip" | "ip6", "in") => {
            let (value, used) = value(text, input.get(1..)?)?;
            return Some(Test::new(format!("addr {value}"), 1 + used));
        }
        ("tcp" | "udp" | "sctp" | "icmp" | "icmp6" | "vxlan" | "geneve", _) if literal::looks_like_value(&next) => {
            let field = match &*word {
                "icmp" | "icmp6" => "icmptype",
                "vxlan" | "geneve" => "vni",
                _ => "port",
            };
            return Some(Test::new(format!("{word} and {field} {}", plain(&next)), 2));
        }
        ("src" | "dst" | "host" | "addr", "") if sign_at(input, 1) == Some(Sign::OpenSlice) => {
            let addr = word_at(input, 2).filter(|addr| addr.parse::<std::net::Ipv6Addr>().is_ok())?;
            (sign_at(input, 3) == Some(Sign::CloseSlice)).then_some(())?;
            let Some(port) = word_at(input, 4).and_then(|port| port.strip_prefix(':')) else {
                return Some(Test::new(format!("{word} {addr}"), 4));
            };
            let side = if word.len() == 3 { &word[..1] } else { "" };
            return Some(Test::new(format!("{word} {addr} and {side}port {port}"), 5));
        }
        ("ip", "multicast") => return Some(Test::new("dst 224.0.0.0/3", 2).of_libpcap()),
        ("ip6", "multicast") => return Some(Test::new("dst ff00::/8", 2).of_libpcap()),
        ("ether", "broadcast") => return Some(Test::new("ether dst ff:ff:ff:ff:ff:ff", 2).of_libpcap()),
        ("broadcast", _) => return Some(Test::new("ether dst ff:ff:ff:ff:ff:ff", 1).of_libpcap()),
        ("ip.version" | "ipv6.version", _) => {
            let (value, used) = value(text, input.get(1..)?)?;
            let ours = match &*value {
                "4" => "ip",
                "6" => "ip6",
                _ => return None,
            };
            return Some(Test::new(ours, 1 + used));
        }
        _ => {}
    }
    if let Some((_, tool, ours)) = WORDS.iter().find(|(name, ..)| *name == word) {
        let is_local = || value(text, input.get(1..)?).map(|(time, _)| !literal::time::has_zone(&time));
        let note = match (&*word, *ours) {
            (_, "retrans > 0") => Some("it is asked of whole connections, by `flow conns`"),
            ("frame.time", _) if is_local() == Some(true) => {
                Some("without a zone it is UTC here, local time in Wireshark; `+01:00` may follow")
            }
            _ => None,
        };
        return known(text, input, ours).map(|test| Test { is_libpcap: *tool == "libpcap", note, ..test });
    }
    if let Some((_, ours)) = COMPARISONS.iter().find(|(name, _)| *name == word) {
        return Some(Test::new(*ours, 1));
    }
    if let Some(name) = word.strip_prefix('\\') {
        return Some(Test::new(name, 1).of_libpcap());
    }
    range(&word).map(|ours| Test::new(ours, 1))
}

/// Wireshark's `all ip.addr == 10.0.0.1` and `any ip.addr == 10.0.0.1`: of a field that a packet has twice, both or one.
fn quantified(text: &str, input: &[Token<'_>]) -> Option<Test> {
    let is_all = match &*lower_at(input, 0) {
        "all" => true,
        "any" => false,
        _ => return None,
    };
    let field = lower_at(input, 1);
    let ours = WORDS.iter().find(|(name, tool, _)| *tool == "Wireshark" && *name == field && name.contains('.'))?.2;
    let field = ours.strip_suffix(' ')?;
    let (value, used) = value(text, input.get(2..)?)?;
    let (header, field) = field.split_once(" and ").map_or((None, field), |(header, field)| (Some(header), field));
    let sides = match field {
        "addr" => ["src", "dst"],
        "port" => ["sport", "dport"],
        "ether" => ["ether src", "ether dst"],
        // There is one.
        _ => return known(text, input.get(1..)?, ours).map(|test| Test { used: test.used + 1, ..test }),
    };
    let joins = if is_all { " and " } else { " or " };
    let both = sides.map(|side| format!("{side} {value}")).join(joins);
    let is_one = !is_all && !value.starts_with(['!', '<', '>', 'n']);
    let test = if is_one { format!("{field} {value}") } else { both };
    // An address says itself which kind of packet has it, unless it must not be it.
    let header = header.filter(|_| field != "addr" || value.starts_with(['!', 'n']));
    let ours = match header {
        Some(header) if test.contains(" or ") => format!("{header} and ({test})"),
        Some(header) => format!("{header} and {test}"),
        None => test,
    };
    Some(Test::new(ours, used + 2))
}

/// libpcap's `tcp port not 80`: the whole test is negated.
fn inner_not(input: &[Token<'_>]) -> Option<Test> {
    let is_not = |at: usize| lower_at(input, at) == "not" || sign_at(input, at) == Some(Sign::Not);
    let words = (1..=3).find(|&at| is_not(at))?;
    let heads: Vec<String> = (0..words).map(|at| lower_at(input, at)).collect();
    let is_last = matches!(heads.last()?.as_str(), "src" | "dst" | "host" | "net" | "port" | "proto");
    let value = word_at(input, words + 1)?;
    let may_be = literal::looks_like_value(value) || literal::service(value).is_some();
    (is_last && may_be).then_some(())?;
    let port = literal::service(value).filter(|_| heads.last().is_some_and(|head| head == "port"));
    let value = port.map_or_else(|| plain(value), |port| port.to_string());
    Some(Test::new(format!("not ({} {value})", heads.join(" ")), words + 2).of_libpcap())
}

/// nfdump's `dst port in [80 443]`.
fn listed_in(text: &str, input: &[Token<'_>]) -> Option<Test> {
    let words = (1..=2).find(|&at| lower_at(input, at) == "in" && sign_at(input, at + 1) == Some(Sign::OpenSlice))?;
    let heads = match (&*lower_at(input, 0), &*lower_at(input, 1), words) {
        (side @ ("src" | "dst"), "ip" | "host" | "net", 2) => side.to_owned(),
        (side @ ("src" | "dst"), "port", 2) => format!("{side} port"),
        (side @ ("src" | "dst"), "as", 2) => format!("{side} asn"),
        ("ip" | "host" | "net" | "addr", _, 1) => "addr".to_owned(),
        ("as", _, 1) => "asn".to_owned(),
        (field, _, 1) if field == "port" || FIELDS.iter().any(|def| def.name == field) => field.to_owned(),
        _ => return None,
    };
    let (value, used) = value(text, input.get(words..)?)?;
    Some(Test::new(format!("{heads} {value}"), words + used))
}

/// A word of the table with what follows it.
fn known(text: &str, input: &[Token<'_>], ours: &str) -> Option<Test> {
    let Some(field) = ours.strip_suffix(' ') else {
        // A bit of Wireshark's may be compared with 0 or 1.
        return Some(match truth(input) {
            Some((true, used)) => Test::new(ours, used),
            Some((false, used)) => Test::new(format!("not {ours}"), used),
            None => Test::new(ours, 1),
        });
    };
    let Some((value, used)) = value(text, input.get(1..)?) else {
        // Alone it asks whether there is such a header.
        let (header, _) = field.split_once(" and ")?;
        let is_alone = match input.get(1).map(|token| &token.kind) {
            Some(TokenKind::End | TokenKind::Sign(Sign::And | Sign::Or | Sign::Close)) => true,
            Some(TokenKind::Word(word)) => matches!(&*word.to_ascii_lowercase(), "and" | "or"),
            _ => false,
        };
        return is_alone.then(|| Test::new(header, 1));
    };
    let value = if field == "time" { instant(&value)? } else { value };
    // An address says itself which kind of packet has it, unless it must not be it.
    let is_address = ["addr", "src", "dst"].iter().any(|address| field.ends_with(&format!(" and {address}")));
    let field = match field.split_once(" and ") {
        Some((_, address)) if is_address && !value.starts_with('!') => address,
        _ => field,
    };
    // Wireshark's `not in` is the `not` of all of it, also where there is no such header.
    let ours = match value.strip_prefix("not in ") {
        Some(list) if field.contains(" and ") => format!("not ({field} {list})"),
        Some(list) => format!("not {field} {list}"),
        None => format!("{field} {value}"),
    };
    Some(Test::new(ours, 1 + used))
}

/// libpcap's `src or dst port 80`.
fn sides(text: &str, input: &[Token<'_>]) -> Option<Test> {
    let kind = lower_at(input, 3);
    let named = matches!(&*kind, "host" | "net" | "port" | "portrange");
    let (value, used) = value(text, input.get(if named { 4 } else { 3 }..)?)?;
    let is_port = kind.starts_with("port");
    let ours = match (&*lower_at(input, 1), is_port) {
        ("or", true) => format!("port {value}"),
        ("or", false) => format!("addr {value}"),
        (_, true) => format!("sport {value} and dport {value}"),
        (_, false) => format!("src {value} and dst {value}"),
    };
    Some(Test::new(ours, used + if named { 4 } else { 3 }).of_libpcap())
}
