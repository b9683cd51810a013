//! A tree as text that means the same tree.

use std::fmt::{self, Display, Formatter};

use flowcore::Protocol;

use crate::ast::{Condition, ETHERTYPE_WORDS, Expr, FLAG_WORDS, Item, Order, PROTOCOL_WORDS, Subject, Test};
use crate::field::{Field, Kind};
use crate::literal::{SPANS, time};

impl Display for Expr {
    /// Text that parses to this tree. Every group within another is in parentheses, so that no reader need know what
    /// binds tighter.
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let (all, joint) = match self {
            Self::All => return f.write_str("all"),
            Self::None => return f.write_str("none"),
            Self::Test(test) => return test.fmt(f),
            Self::Not(inner) => {
                return match **inner {
                    Self::And(_) | Self::Or(_) => write!(f, "not ({inner})"),
                    _ => write!(f, "not {inner}"),
                };
            }
            Self::And(all) => (all, " and "),
            Self::Or(all) => (all, " or "),
        };
        for (index, one) in all.iter().enumerate() {
            if index > 0 {
                f.write_str(joint)?;
            }
            match one {
                Self::And(_) | Self::Or(_) => write!(f, "({one})")?,
                _ => one.fmt(f)?,
            }
        }
        Ok(())
    }
}

impl Display for Test {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let name = self.subject.name();
        match &self.condition {
            Condition::Present => f.write_str(name),
            Condition::In(items) => match (self.word(items), items.as_slice()) {
                (Some(word), _) => f.write_str(word),
                (None, [one]) => write!(f, "{name} {}", Shown(self.subject, one)),
                (None, _) => write!(f, "{name} {}", List(self.subject, items)),
            },
            Condition::NotIn(items) => match items.as_slice() {
                [one] => write!(f, "{name} != {}", Shown(self.subject, one)),
                _ => write!(f, "{name} != {}", List(self.subject, items)),
            },
            Condition::Compare(order, number) if self.subject.kind() == Kind::Time => {
                let shown = match order {
                    Order::Less | Order::AtLeast => time::beginning(*number),
                    Order::More | Order::AtMost => time::ending(*number),
                };
                write!(f, "{name} {} {shown}", order.sign())
            }
            Condition::Compare(order, number) => {
                write!(f, "{name} {} {}", order.sign(), Shown(self.subject, &Item::Number(*number)))
            }
            Condition::Flags { set, of } => match FLAG_WORDS.iter().find(|(_, _, bit)| bit == of && set == of) {
                Some((word, _, _)) => f.write_str(word),
                None => write!(f, "flags {}/{}", Letters(*set), Letters(*of)),
            },
        }
    }
}

impl Test {
    /// The one word that says it, if there is one.
    fn word(&self, items: &[Item]) -> Option<&'static str> {
        let Subject::One(field) = self.subject else { return None };
        let &[Item::Number(number)] = items else { return None };
        match (field, number) {
            (Field::Version, 4) => Some("ip"),
            (Field::Version, 6) => Some("ip6"),
            (Field::Proto, number) => {
                PROTOCOL_WORDS.iter().find(|(_, protocol)| u64::from(protocol.0) == number).map(|(word, _)| *word)
            }
            (Field::Ethertype, number) => {
                ETHERTYPE_WORDS.iter().find(|(_, known)| *known == number).map(|(word, _)| *word)
            }
            _ => None,
        }
    }
}

struct List<'i>(Subject, &'i [Item]);

impl Display for List<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str("{")?;
        for (index, item) in self.1.iter().enumerate() {
            if index > 0 {
                f.write_str(", ")?;
            }
            Shown(self.0, item).fmt(f)?;
        }
        f.write_str("}")
    }
}

struct Shown<'i>(Subject, &'i Item);

impl Display for Shown<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Self(subject, item) = self;
        match item {
            Item::Number(number) if subject.kind() == Kind::Time => f.write_str(&time::between(*number, *number)),
            Item::Range(low, high) if subject.kind() == Kind::Time => f.write_str(&time::between(*low, *high)),
            Item::Number(number) => value(*subject, *number, f),
            Item::Range(low, high) if subject.kind() == Kind::Span => {
                value(*subject, *low, f)?;
                f.write_str(":")?;
                value(*subject, *high, f)
            }
            Item::Range(low, high) => write!(f, "{low}:{high}"),
            Item::Addr(addr) => addr.fmt(f),
            Item::Prefix(prefix) => prefix.fmt(f),
            Item::Addrs(low, high) => write!(f, "{low}-{high}"),
            Item::Mac([a, b, c, d, e, g]) => write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}"),
            Item::Text(text) if subject.kind() == Kind::Text => quoted(text, f),
            Item::Text(text) => f.write_str(text),
            Item::List(list) if list.name.chars().all(crate::lex::is_word) => write!(f, "@{}", list.name),
            Item::List(list) => write!(f, "@\"{}\"", list.name.replace('\\', "\\\\").replace('"', "\\\"")),
            Item::Host(name, _) => write!(f, "name:{name}"),
        }
    }
}

fn value(subject: Subject, number: u64, f: &mut Formatter<'_>) -> fmt::Result {
    match (subject.kind(), subject.first()) {
        (Kind::Span, _) => {
            // The largest unit that leaves a whole number; `min` before `m`, which is read the same.
            let fits =
                |(name, factor): &&(&str, u64)| !name.is_empty() && *name != "m" && number.is_multiple_of(*factor);
            match SPANS.iter().rev().find(fits) {
                Some((name, factor)) if number > 0 => write!(f, "{}{name}", number / factor),
                _ => write!(f, "{number}ns"),
            }
        }
        (Kind::Proto, _) => match u8::try_from(number).ok().and_then(|number| {
            PROTOCOL_WORDS.iter().find(|(_, protocol)| *protocol == Protocol(number)).map(|(word, _)| *word)
        }) {
            Some(word) => f.write_str(word),
            None => number.fmt(f),
        },
        (_, Field::Ethertype) => write!(f, "0x{number:04x}"),
        _ => number.fmt(f),
    }
}

fn quoted(text: &str, f: &mut Formatter<'_>) -> fmt::Result {
    f.write_str("\"")?;
    for c in text.chars() {
        match c {
            '"' | '\\' => write!(f, "\\{c}")?,
            _ => write!(f, "{c}")?,
        }
    }
    f.write_str("\"")
}

struct Letters(u16);

impl Display for Letters {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        FLAG_WORDS.iter().filter(|(_, _, bit)| self.0 & bit != 0).try_for_each(|(_, letter, _)| write!(f, "{letter}"))
    }
}
