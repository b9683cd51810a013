//! What stands behind a field: comparisons, values and lists of them.

use std::borrow::Cow;
use std::sync::Arc;

use super::{MAX_ITEMS, Parsed, Parser, Tokens, fail, first, is_sign, is_word, mending, operator, rest};
use crate::ast::{Condition, Expr, Item, List, Order, Subject, Test};
use crate::error::{Mend, Mistake, Span};
use crate::field::{Field, Kind};
use crate::foreign;
use crate::lex::{Sign, TokenKind};
use crate::literal::{self, Before, Literal};
use crate::suggest;

impl<'p> Parser<'p> {
    /// A field's condition: an operator or none, a value or a list. `alone`: the field may stand without, and is then
    /// asked to be present.
    pub(super) fn values<'a, 't>(
        &self,
        start: Tokens<'a, 't>,
        input: Tokens<'a, 't>,
        subject: Subject,
        alone: bool,
    ) -> Parsed<'a, 't, Expr> {
        let kind = subject.kind();
        let begin = first(start).span.start;
        let (operator_at, behind) = (first(input).span.clone(), rest(input));
        let (comparison, left) = match &first(input).kind {
            TokenKind::Sign(Sign::Equal) => (Comparison::Equal, behind),
            TokenKind::Sign(Sign::NotEqual) => (Comparison::Unequal, behind),
            TokenKind::Sign(Sign::Less) => (Comparison::Order(Order::Less), behind),
            TokenKind::Sign(Sign::AtMost) => (Comparison::Order(Order::AtMost), behind),
            TokenKind::Sign(Sign::More) => (Comparison::Order(Order::More), behind),
            TokenKind::Sign(Sign::AtLeast) => (Comparison::Order(Order::AtLeast), behind),
            TokenKind::Word(word) if word.eq_ignore_ascii_case("in") => (Comparison::In, behind),
            TokenKind::Word(word) if word.eq_ignore_ascii_case("not") && is_word(behind, "in") => {
                (Comparison::NotIn, rest(behind))
            }
            TokenKind::Word(word) if foreign::is_comparison(word) => {
                return fail(foreign::comparison(word, &operator_at));
            }
            _ => (Comparison::None, input),
        };
        let finish = |left: Tokens<'a, 't>, condition: Condition| {
            let consumed = start.len() - left.len();
            let end = start.get(consumed.wrapping_sub(1)).map_or(begin, |token| token.span.end);
            let fields: &[Field] = match subject {
                Subject::One(field) => &[field],
                Subject::Either(pair) => &pair.fields(),
            };
            self.saw(fields, &(begin..end));
            Ok((left, Expr::from(Test { subject, condition })))
        };
        if alone && comparison == Comparison::None && !self.is_value(left, kind) {
            return finish(left, Condition::Present);
        }
        if let Comparison::Order(order) = comparison {
            if !matches!(kind, Kind::Number { .. } | Kind::Bytes | Kind::Span | Kind::Time) {
                return fail(
                    Mistake::new("no-order", operator_at, format!("`{}` has no order", subject.name()))
                        .label("compares numbers only")
                        .help(format!("`{0} = …`, `{0} != …` and lists are possible", subject.name())),
                );
            }
            let span = first(left).span.clone();
            let (left, item) = self.item(left, subject, Before::Exact)?;
            return match item {
                Item::Number(number) => finish(left, Condition::Compare(order, number)),
                // Before its beginning, or after its end.
                Item::Range(low, high) if kind == Kind::Time => {
                    let edge = if matches!(order, Order::Less | Order::AtLeast) { low } else { high };
                    finish(left, Condition::Compare(order, edge))
                }
                _ => fail(
                    Mistake::new("order-of-range", span, format!("`{}` compares with one number", order.sign()))
                        .label("not one number")
                        .help(match kind {
                            Kind::Time => format!("lists are written without it: `{} in @times.txt`", subject.name()),
                            _ => format!("ranges and lists are written without it: `{} 80:90`", subject.name()),
                        }),
                ),
            };
        }
        let is_negated = matches!(comparison, Comparison::Unequal | Comparison::NotIn);
        let (left, items) = if is_sign(left, Sign::OpenList) {
            // A test is no item of a list.
            self.list(left, subject).map_err(|error| mending(error, |mend| (!mend.is_test).then_some(mend)))?
        } else {
            let of_test = |mend: Mend| {
                if !mend.is_test {
                    return Some(mend);
                }
                let negated = format!("not ({})", mend.text);
                let text = if is_negated { negated } else { mend.text };
                Some(Mend { span: begin..mend.span.end, text, ..mend })
            };
            let before = match comparison {
                Comparison::Equal => Before::Exact,
                Comparison::Unequal => Before::Unequal,
                _ => Before::Field,
            };
            let (left, item) = self.item(left, subject, before).map_err(|error| mending(error, of_test))?;
            (left, vec![item])
        };
        finish(left, if is_negated { Condition::NotIn(items) } else { Condition::In(items) })
    }

    /// Whether a value of this kind may stand here.
    pub(super) fn is_value(&self, input: Tokens<'_, '_>, kind: Kind) -> bool {
        match &first(input).kind {
            TokenKind::Sign(Sign::OpenList) | TokenKind::Quoted(_) => true,
            TokenKind::Word(word) => match kind {
                Kind::Word(words) => words.iter().any(|known| known.eq_ignore_ascii_case(word)),
                _ => word.starts_with(['@', ':']) || literal::looks_like_value(word),
            },
            _ => false,
        }
    }

    /// `{80, 443, 8000:8100}`
    pub(super) fn list<'a, 't>(&self, input: Tokens<'a, 't>, subject: Subject) -> Parsed<'a, 't, Vec<Item>> {
        let open = first(input).span.clone();
        let mut input = rest(input);
        let mut items = Vec::new();
        if is_sign(input, Sign::CloseList) {
            return fail(
                Mistake::new("empty-list", open.start..first(input).span.end, "the list is empty")
                    .label("values are expected here"),
            );
        }
        loop {
            let (left, item) = self.item(input, subject, Before::List)?;
            items.push(item);
            let token = first(left);
            match &token.kind {
                TokenKind::Sign(Sign::Comma) => input = rest(left),
                TokenKind::Sign(Sign::CloseList) => return Ok((rest(left), items)),
                TokenKind::End => {
                    return fail(
                        Mistake::new("open-list", open, "a list is never closed")
                            .label("opened here")
                            .help("write `}` behind the last value"),
                    );
                }
                _ => {
                    return fail(
                        Mistake::new("no-comma", token.span.clone(), "a comma is missing")
                            .label("`,` or `}` is expected before this")
                            .help("values of a list are separated by commas: `{80, 443}`"),
                    );
                }
            }
        }
    }

    /// One value.
    pub(super) fn item<'a, 't>(&self, input: Tokens<'a, 't>, subject: Subject, before: Before) -> Parsed<'a, 't, Item> {
        self.items.set(self.items.get() + 1);
        let token = first(input);
        let span = token.span.clone();
        let kind = subject.kind();
        let word = match &token.kind {
            TokenKind::Word(_) if operator(input).is_some() || is_word(input, "not") => {
                return fail(no_value(span, subject));
            }
            TokenKind::Word(word) => *word,
            TokenKind::Quoted(text) if kind == Kind::Text => {
                return Ok((rest(input), Item::Text(text.as_str().into())));
            }
            TokenKind::Quoted(text) => text.as_str(),
            TokenKind::Sign(Sign::OpenSlice) => {
                let help = format!("lists are in braces, with commas: `{} {{…, …}}`", subject.name());
                return fail(no_value(span, subject).help(help));
            }
            TokenKind::End | TokenKind::Sign(_) => return fail(no_value(span, subject)),
        };
        if let Some(name) = word.strip_prefix('@') {
            let behind = rest(input);
            // `@"a name"`
            let (name, left) = match &first(behind).kind {
                TokenKind::Quoted(text) if name.is_empty() && first(behind).span.start == span.end => {
                    (&**text, rest(behind))
                }
                _ => (name, behind),
            };
            return match self.named(name, subject, &span) {
                Ok(item) => Ok((left, item)),
                Err(mistake) => fail(*mistake),
            };
        }
        // `2026-11-20 10:03 .. 2026-11-20 10:05`: points in time may have blanks in them, in quotes or not.
        let (mut input, mut word) = (input, Cow::Borrowed(word));
        while kind == Kind::Time
            && let Some(next) = first(rest(input)).kind.text().filter(|next| literal::time::goes_on(&word, next))
        {
            word.to_mut().extend([" ", next]);
            input = rest(input);
        }
        let span = span.start..first(input).span.end;
        let next: Vec<&str> = input
            .iter()
            .skip(1)
            .take(2)
            .map_while(|token| match token.kind {
                TokenKind::Word(word) => Some(word),
                _ => None,
            })
            .collect();
        let end = |used: usize| input.get(used).map_or(span.end, |token| token.span.end);
        let literal = Literal { word: &word, next: &next, span: span.clone(), subject, before, options: self.options };
        match literal.read() {
            Ok(read) => {
                let whole = span.start..end(read.used);
                self.notes.borrow_mut().extend(read.note.map(|note| Mistake { span: whole, ..note }));
                Ok((input.get(1 + read.used..).unwrap_or(input), read.item))
            }
            Err(mut mistake) => {
                mistake.mend.iter_mut().for_each(|mend| mend.span = span.start..end(mend.words));
                fail(*mistake)
            }
        }
    }

    /// The items of a named list.
    fn named(&self, name: &str, subject: Subject, span: &Span) -> Result<Item, Box<Mistake>> {
        let wrong = |title: String| Box::new(Mistake::new("list", span.clone(), title).label("this list"));
        if name.is_empty() {
            return Err(Box::new(
                Mistake::new("list", span.clone(), "a list's name is missing")
                    .label("the name of a file is expected behind `@`")
                    .help("as in `src in @servers.txt`"),
            ));
        }
        let Some(read) = self.options.lists else {
            return Err(Box::new(
                Mistake::new("list", span.clone(), "lists from files cannot be read here").label("this list"),
            ));
        };
        let shown = suggest::short(name);
        let text = read(name).map_err(|why| wrong(format!("the list `{shown}` cannot be read: {why}")))?;
        let (mut items, mut note) = (Vec::new(), None);
        for (index, line) in text.lines().enumerate() {
            let line = line.split('#').next().unwrap_or("");
            for word in line.split(|c: char| c.is_whitespace() || c == ',').filter(|word| !word.is_empty()) {
                let before = Before::List;
                let literal = Literal { word, next: &[], span: span.clone(), subject, before, options: self.options };
                let read = literal.read().map_err(|mistake| {
                    let mut said = wrong(format!("line {} of the list `{shown}`: {}", index + 1, mistake.title));
                    said.help = mistake.help;
                    said
                })?;
                items.push(read.item);
                // Of many the first tells what is the matter.
                note = note.or_else(|| {
                    let note = read.note?;
                    let title = format!("line {} of the list `{shown}`: {}", index + 1, note.title);
                    Some(Mistake { span: span.clone(), title, ..note })
                });
                if items.len() > MAX_ITEMS {
                    return Err(wrong(format!("the list `{shown}` has more than {MAX_ITEMS} values")));
                }
            }
        }
        if items.is_empty() {
            return Err(wrong(format!("the list `{shown}` is empty")));
        }
        self.notes.borrow_mut().extend(note);
        Ok(Item::List(List { name: name.into(), items: Arc::from(items) }))
    }
}

/// A field without its value.
fn no_value(span: Span, subject: Subject) -> Mistake {
    Mistake::new("no-value", span, format!("`{}` needs a value", subject.name()))
        .label(format!("{} is expected here", literal::describe(subject.kind())))
        .help(format!("as in `{} {}`", subject.name(), literal::example(subject.first())))
}

/// What stands between a field and its value.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
enum Comparison {
    None,
    /// `=`, behind which an open range is odd.
    Equal,
    In,
    NotIn,
    /// `!=`
    Unequal,
    Order(Order),
}
