//! Values without a field, behind one that has it: libpcap's `src port 80 or 443`, `port (80 or 443)`.

use super::{Test, lower_at, sign_at, word_at};
use crate::ast::{Condition, Expr, Item, Subject};
use crate::field::{Field, Kind};
use crate::filter::Options;
use crate::lex::{self, Sign, Token};
use crate::literal;
use crate::parse::{Parser, vocabulary};

/// How a value was tested, to test another one in the same way.
pub(super) struct Head {
    /// Joined by `and`; what ends in a blank takes the value.
    parts: Vec<String>,
    kind: Kind,
    repeats: Repeats,
    /// Where a parenthesis opens behind it, the place of the first value there.
    first: Option<usize>,
}

/// Where repeating makes sense.
#[derive(PartialEq, Eq)]
enum Repeats {
    Always,
    /// The field must not be the value: `or` would be true of everything.
    BehindAnd,
    /// One number was compared with.
    Never,
}

impl Head {
    /// How the last test of a filter of this language was made, if it is of one value or of several.
    pub(super) fn of(expr: &Expr) -> Option<Self> {
        let mut head = Self { parts: Vec::new(), kind: Kind::Flag, repeats: Repeats::Always, first: None };
        let mut values: Option<&[Item]> = None;
        let alone = std::slice::from_ref(expr);
        let tests = if let Expr::And(all) = expr { all } else { alone };
        for (index, one) in tests.iter().enumerate() {
            let Expr::Test(test) = one else { return None };
            let (items, sign) = match &test.condition {
                Condition::In(items) => (&items[..], ""),
                Condition::NotIn(items) => {
                    head.repeats = Repeats::BehindAnd;
                    (&items[..], "!= ")
                }
                Condition::Compare(..) => {
                    head.repeats = Repeats::Never;
                    (&[][..], "")
                }
                Condition::Present | Condition::Flags { .. } => return None,
            };
            // The protocol of `tcp port 80`.
            let is_before = index + 1 < tests.len();
            if is_before && matches!(test.subject, Subject::One(Field::Version | Field::Proto)) {
                head.parts.push(one.to_string());
                continue;
            }
            // Two of them are the sides of one value.
            if values.is_some_and(|values| values != items) {
                return None;
            }
            values = Some(items);
            head.kind = test.subject.kind();
            head.parts.push(format!("{} {sign}", test.subject.name()));
        }
        values.map(|_| head)
    }

    /// The same of the value that stands here, if it stands where a test should and is one of the kind.
    pub(super) fn repeated(&self, tokens: &[Token<'_>], at: usize, options: &Options<'_>) -> Option<Test> {
        let joined = if self.first == Some(at) { Before::Other } else { Before::of(tokens, at)? };
        let word = word_at(tokens, at)?;
        let is_apt = match self.repeats {
            Repeats::Always => true,
            Repeats::BehindAnd => joined == Before::And,
            Repeats::Never => false,
        };
        if !is_apt {
            return None;
        }
        let ours = self.with(word);
        self.fits(word, options).then(|| Test { note: Some(LISTS), ..Test::new(ours, 1).of_libpcap() })
    }

    /// Whether a word is a value of this kind.
    pub(super) fn fits(&self, word: &str, options: &Options<'_>) -> bool {
        let may_be = literal::looks_like_value(word)
            || self.is_port() && literal::service(word).is_some()
            || matches!(self.kind, Kind::Word(_) | Kind::Proto)
                && !vocabulary().any(|known| word.eq_ignore_ascii_case(known));
        may_be && self.kind != Kind::Text && expr(&self.with(word), options).is_some()
    }

    fn is_port(&self) -> bool {
        self.parts.last().is_some_and(|part| part.split(' ').next().is_some_and(|name| name.ends_with("port")))
    }

    fn with(&self, word: &str) -> String {
        let service = literal::service(word).filter(|_| self.is_port());
        let value = service.map_or_else(|| super::value::plain(word), |port| port.to_string());
        let parts: Vec<String> = self
            .parts
            .iter()
            .map(|part| if part.ends_with(' ') { format!("{part}{value}") } else { part.clone() })
            .collect();
        parts.join(" and ")
    }
}

const LISTS: &str = "several values of one field are also a list, as in `port {80, 443}`";

/// What stands before a value.
#[derive(PartialEq, Eq)]
enum Before {
    And,
    Other,
}

impl Before {
    fn of(tokens: &[Token<'_>], at: usize) -> Option<Self> {
        let mut at = at.checked_sub(1)?;
        while at > 0 && (lower_at(tokens, at) == "not" || matches!(sign_at(tokens, at), Some(Sign::Not | Sign::Open))) {
            at -= 1;
        }
        match (&*lower_at(tokens, at), sign_at(tokens, at)) {
            ("and", _) | (_, Some(Sign::And)) => Some(Self::And),
            ("or", _) | (_, Some(Sign::Or)) => Some(Self::Other),
            _ => None,
        }
    }
}

/// A filter of this language. Nothing is read or looked up for it.
pub(super) fn expr(text: &str, options: &Options<'_>) -> Option<Expr> {
    let options = Options { lists: None, hosts: None, ..*options };
    let tokens = lex::tokens(text).ok()?;
    Parser::new(text, &options).filter(&tokens).ok()
}

/// This language's test that begins here: how many tokens it has, and how it asks.
pub(super) fn own(text: &str, input: &[Token<'_>], options: &Options<'_>) -> Option<(usize, Option<Head>)> {
    let options = Options { lists: None, hosts: None, ..*options };
    let (left, expr) = Parser::new(text, &options).test(input).ok()?;
    let used = input.len() - left.len();
    // A single word has no value.
    Some((used, Head::of(&expr).filter(|_| used > 1)))
}

/// The words before `(80 or 443)`, how many they are, and how they ask.
pub(super) fn before_values(tokens: &[Token<'_>], at: usize, options: &Options<'_>) -> Option<(usize, Head)> {
    let input = tokens.get(at..)?;
    let words = input.iter().enumerate().take(4).map_while(|(at, _)| word_at(input, at)).collect::<Vec<_>>();
    let value = word_at(input, words.len() + 1).filter(|word| literal::looks_like_value(word))?;
    (!words.is_empty() && sign_at(input, words.len()) == Some(Sign::Open)).then_some(())?;
    let head = Head::of(&expr(&format!("{} {}", words.join(" "), super::value::plain(value)), options)?)?;
    Some((words.len(), Head { first: Some(at + words.len() + 1), ..head }))
}
