//! From literals back to a tree, in the shortest words.

use std::collections::BTreeSet;

use super::clauses::Clause;
use super::{Atom, Literal, Tree, top};
use crate::ast::{Condition, Expr, Item, Order, Subject, Test, mac_of};
use crate::field::{Field, Kind};
use crate::set::{Ranges, prefixes};

pub(super) fn print_clauses(clauses: &BTreeSet<Clause>) -> Expr {
    let disjunction = |clause: &Clause| {
        let mut literals = clause.iter();
        match (literals.next(), literals.next()) {
            // Joined with others by `or`, two tests of one field would be taken apart.
            (Some(one @ Literal { atom: Atom::Numbers(field, ranges), negated: false }), None) => {
                print_but(*field, ranges).unwrap_or_else(|| print_literal(one))
            }
            _ => sorted(clause.iter().map(print_literal), Expr::or),
        }
    };
    sorted(clauses.iter().map(disjunction), Expr::and)
}

pub(super) fn print_tree(tree: &Tree) -> Expr {
    match tree {
        Tree::Literal(literal) => print_literal(literal),
        Tree::And(all) => sorted(all.iter().map(print_tree), crate::widen::and),
        Tree::Or(all) => sorted(all.iter().map(print_tree), crate::widen::or),
    }
}

fn sorted(all: impl Iterator<Item = Expr>, join: impl Fn(Vec<Expr>) -> Expr) -> Expr {
    let mut texts: Vec<(String, Expr)> = all.map(|one| (one.to_string(), one)).collect();
    texts.sort_by(|(a, _), (b, _)| a.cmp(b));
    texts.dedup_by(|(a, _), (b, _)| a == b);
    join(texts.into_iter().map(|(_, one)| one).collect())
}

fn print_literal(literal: &Literal) -> Expr {
    let expr = match &literal.atom {
        Atom::Numbers(_, ranges) if ranges.is_empty() => Expr::None,
        // Under a negation one test: a group would be taken apart.
        Atom::Numbers(field, ranges) if literal.negated => print_one(*field, ranges),
        Atom::Numbers(field, ranges) => print_numbers(*field, ranges),
        Atom::Texts(field, texts) => {
            test(*field, Condition::In(texts.iter().map(|text| Item::Text(text.clone())).collect()))
        }
        Atom::Flags(set, of) => test(Field::TcpFlags, Condition::Flags { set: *set, of: *of }),
        Atom::Present(field) if field.kind() == Kind::Text => {
            test(*field, Condition::NotIn(vec![Item::Text("".into())]))
        }
        Atom::Present(field) => test(*field, Condition::Present),
    };
    if literal.negated { crate::widen::not(expr) } else { expr }
}

fn test(field: Field, condition: Condition) -> Expr {
    Test { subject: Subject::One(field), condition }.into()
}

/// In the shortest words, which may be tests joined by `or`.
fn print_numbers(field: Field, ranges: &Ranges) -> Expr {
    let all = ranges.as_slice();
    match all.split_last() {
        Some((&(low, high), closed)) if is_open(field, (low, high)) && !closed.is_empty() => Expr::or(
            [Ranges::new(closed.iter().copied()), Ranges::new([(low, high)])].map(|one| print_one(field, &one)),
        ),
        _ if field == Field::Version => Expr::or(all.iter().map(|&one| print_one(field, &Ranges::new([one])))),
        _ => print_one(field, ranges),
    }
}

/// Whether a range has no end that says anything to anybody: the largest number of 64 bits.
fn is_open(field: Field, (low, high): (u128, u128)) -> bool {
    matches!(field.kind(), Kind::Number { .. } | Kind::Bytes | Kind::Span | Kind::Time)
        && low < high
        && high == u128::from(u64::MAX)
}

/// As one test, but for all link addresses: nothing says that there is one, whatever it is.
fn print_one(field: Field, ranges: &Ranges) -> Expr {
    let kind = field.kind();
    let all = ranges.as_slice().iter().copied();
    // Fields that may stand alone do so when any value will do.
    let alone = matches!(field, Field::Vlan | Field::Mpls | Field::Pppoe | Field::Tunnel);
    if alone && ranges.as_slice() == [(0, top(field))] {
        return test(field, Condition::Present);
    }
    let clip = |number: u128| u64::try_from(number).unwrap_or(u64::MAX);
    let items: Vec<Item> = match kind {
        Kind::Addr => return print_addrs(field, ranges),
        Kind::Mac => {
            // Link addresses are listed; where nearly all are meant, those that are not.
            let count: u128 = all.clone().map(|(low, high)| high - low + 1).sum();
            if count > crate::MAX_ITEMS as u128 {
                let rest = ranges.complement(top(field));
                let rest: Vec<Item> = rest
                    .as_slice()
                    .iter()
                    .flat_map(|&(low, high)| low..=high)
                    .map(|number| Item::Mac(mac_of(number)))
                    .collect();
                if rest.is_empty() {
                    let one = || vec![Item::Mac([0; 6])];
                    return Expr::or([test(field, Condition::In(one())), test(field, Condition::NotIn(one()))]);
                }
                return test(field, Condition::NotIn(rest));
            }
            all.flat_map(|(low, high)| low..=high).map(|number| Item::Mac(mac_of(number))).collect()
        }
        Kind::Proto => all.flat_map(|(low, high)| low..=high).map(|number| Item::Number(clip(number))).collect(),
        Kind::Word(words) => all
            .flat_map(|(low, high)| low..=high)
            .filter_map(|place| words.get(place as usize))
            .map(|word| Item::Text((*word).into()))
            .collect(),
        _ => {
            let items = |ranges: &Ranges| -> Vec<Item> {
                let item = |&(low, high): &(u128, u128)| match low == high {
                    true => Item::Number(clip(low)),
                    false => Item::Range(clip(low), clip(high)),
                };
                ranges.as_slice().iter().map(item).collect()
            };
            match *ranges.as_slice() {
                [only @ (low, _)] if is_open(field, only) => {
                    return test(field, Condition::Compare(Order::AtLeast, clip(low)));
                }
                [.., last] if is_open(field, last) => {
                    return test(field, Condition::NotIn(items(&ranges.complement(top(field)))));
                }
                [(0, high)] if matches!(kind, Kind::Span | Kind::Time) && high > 0 => {
                    return test(field, Condition::Compare(Order::AtMost, clip(high)));
                }
                _ => items(ranges),
            }
        }
    };
    test(field, Condition::In(items))
}

fn print_addrs(field: Field, ranges: &Ranges) -> Expr {
    let items = addr_items(ranges);
    // `src != 10.0.0.1` rather than the hundred prefixes of all others.
    let others = addr_items(&ranges.complement(u128::MAX));
    if !others.is_empty() && others.len() < items.len() {
        return test(field, Condition::NotIn(others));
    }
    test(field, Condition::In(items))
}

/// `dst 10.0.0.0/8 and dst != 10.0.0.1` rather than the two dozen prefixes of all others in it; `None` where a list of
/// addresses is as short.
fn print_but(field: Field, ranges: &Ranges) -> Option<Expr> {
    let (&(low, _), &(_, high)) = (ranges.as_slice().first()?, ranges.as_slice().last()?);
    if field.kind() != Kind::Addr || ranges.as_slice().len() < 2 {
        return None;
    }
    // The smallest prefix that holds them all.
    let hosts = u128::MAX.checked_shr((low ^ high).leading_zeros()).unwrap_or(0);
    let around = Ranges::new([(low & !hosts, low | hosts)]);
    let (around_items, holes) = (addr_items(&around), addr_items(&around.difference(ranges)));
    let listed = addr_items(ranges).len().min(addr_items(&ranges.complement(u128::MAX)).len());
    (around_items.len() == 1 && 1 + holes.len() < listed)
        .then(|| Expr::and([test(field, Condition::In(around_items)), test(field, Condition::NotIn(holes))]))
}

fn addr_items(ranges: &Ranges) -> Vec<Item> {
    let item = |prefix: flowcore::Prefix| {
        let longest = if prefix.network().is_v4() { 32 } else { 128 };
        if prefix.bits() == longest { Item::Addr(prefix.network()) } else { Item::Prefix(prefix) }
    };
    let v4 = Ranges::new([(0xffff_0000_0000, 0xffff_ffff_ffff)]);
    let mut items: Vec<Item> = Vec::new();
    for &(low, high) in ranges.intersection(&v4).as_slice() {
        items.extend(prefixes(low, high).into_iter().map(item));
    }
    // IPv4 is never meant by a prefix of IPv6: all the rest is `::/0`.
    if ranges.union(&v4).as_slice() == [(0, u128::MAX)] {
        items.push(Item::Prefix(ANY));
    } else {
        for &(low, high) in ranges.difference(&v4).as_slice() {
            items.extend(prefixes(low, high).into_iter().map(item));
        }
    }
    items
}

/// `::/0`
const ANY: flowcore::Prefix = flowcore::Prefix::ANY_V6;
