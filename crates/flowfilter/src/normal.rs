//! A form that equal filters share.
//!
//! Negations are pushed inwards, pairs written as their two fields, values as sets of numbers, tests of one field merged;
//! then conjunctive normal form, in which clauses that others imply are left out, and everything is sorted. A filter whose
//! conjunctive form would be too large is only pushed inwards, merged and sorted: still the same meaning, but then two
//! equal filters may differ. Either way the normal form is its own.
//!
//! Both sides of every step mean the same of every record, those that lack the field included: a test of an absent field
//! is false and its `not` true, so `not sport 80` is not `sport != 80`.

mod clauses;
mod merge;
mod print;

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::ast::{Condition, Expr, Order, Subject, Test, ranges, texts};
use crate::field::{Field, Kind};
use crate::set::Ranges;
use clauses::{clauses, reduce};
use merge::tidy;
use print::{print_clauses, print_tree};

/// A question that cannot be taken apart.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Atom {
    Numbers(Field, Ranges),
    Texts(Field, BTreeSet<Arc<str>>),
    /// As in [`Condition::Flags`].
    Flags(u16, u16),
    Present(Field),
}

/// An atom or its negation.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Literal {
    atom: Atom,
    negated: bool,
}

/// Negations only before atoms.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Tree {
    Literal(Literal),
    And(Vec<Tree>),
    Or(Vec<Tree>),
}

/// The normal form.
pub fn normal(expr: &Expr) -> Expr {
    let tree = tidy(tree(expr, false));
    match clauses(&tree) {
        Some(clauses) => print_clauses(&reduce(clauses)),
        None => print_tree(&tree),
    }
}

/// The largest value of a field.
pub(crate) fn top(field: Field) -> u128 {
    match field.kind() {
        Kind::Number { max } => u128::from(max),
        Kind::Bytes | Kind::Span | Kind::Time => u128::from(u64::MAX),
        Kind::Addr => u128::MAX,
        Kind::Mac => (1 << 48) - 1,
        Kind::Proto => 255,
        Kind::Word(words) => words.len().saturating_sub(1) as u128,
        Kind::Flag | Kind::TcpFlags | Kind::Text => 0,
    }
}

/// The values that a field can have. No header has another version than these two.
fn possible(field: Field) -> Ranges {
    if field == Field::Version { Ranges::new([(4, 4), (6, 6)]) } else { Ranges::new([(0, top(field))]) }
}

fn tree(expr: &Expr, negated: bool) -> Tree {
    match expr {
        Expr::All if negated => Tree::Or(Vec::new()),
        Expr::All => Tree::And(Vec::new()),
        Expr::None => tree(&Expr::All, !negated),
        Expr::Not(inner) => tree(inner, !negated),
        Expr::And(all) => join(all.iter().map(|one| tree(one, negated)).collect(), negated),
        Expr::Or(all) => join(all.iter().map(|one| tree(one, negated)).collect(), !negated),
        Expr::Test(Test { subject: Subject::One(field), condition }) => field_tree(*field, condition, negated),
        Expr::Test(Test { subject: Subject::Either(pair), condition }) => {
            let both = pair.fields().map(|field| field_tree(field, condition, negated)).to_vec();
            join(both, matches!(condition, Condition::NotIn(_)) == negated)
        }
    }
}

/// A disjunction if `or`, else a conjunction.
fn join(all: Vec<Tree>, or: bool) -> Tree {
    if or { Tree::Or(all) } else { Tree::And(all) }
}

fn field_tree(field: Field, condition: &Condition, negated: bool) -> Tree {
    let literal = |atom: Atom, flip: bool| Tree::Literal(Literal { atom, negated: negated != flip });
    let several = field.def().several;
    let kind = field.kind();
    let numbers = |ranges: Ranges| Atom::Numbers(field, ranges.intersection(&possible(field)));
    let full = || numbers(possible(field));
    match condition {
        Condition::Flags { set, of } if *set == 0 => literal(Atom::Flags(0, *of), false),
        Condition::Flags { set, of } => {
            let bits = (0..16).map(|bit| 1 << bit).filter(|bit| of & bit != 0);
            join(bits.map(|bit| literal(Atom::Flags(bit, bit), set & bit == 0)).collect(), negated)
        }
        Condition::Present if matches!(kind, Kind::Flag | Kind::Text) => literal(Atom::Present(field), false),
        Condition::Present => literal(full(), false),
        Condition::In(items) if kind == Kind::Text => {
            literal(Atom::Texts(field, texts(items).into_iter().collect()), false)
        }
        Condition::In(items) => literal(numbers(ranges(items, kind)), false),
        // Any text: none is empty.
        Condition::NotIn(items) if kind == Kind::Text && texts(items).iter().all(|text| text.is_empty()) => {
            literal(Atom::Present(field), false)
        }
        Condition::NotIn(items) if kind == Kind::Text => {
            let texts = Atom::Texts(field, texts(items).into_iter().collect());
            join(vec![literal(Atom::Present(field), false), literal(texts, true)], negated)
        }
        Condition::NotIn(items) if several => {
            join(vec![literal(full(), false), literal(numbers(ranges(items, kind)), true)], negated)
        }
        Condition::NotIn(items) => literal(numbers(ranges(items, kind).complement(top(field))), false),
        Condition::Compare(order, number) => {
            let number = u128::from(*number);
            let range = match order {
                Order::Less => number.checked_sub(1).map(|high| (0, high)),
                Order::AtMost => Some((0, number)),
                Order::More => Some((number + 1, top(field))),
                Order::AtLeast => Some((number, top(field))),
            };
            literal(numbers(Ranges::new(range)), false)
        }
    }
}
