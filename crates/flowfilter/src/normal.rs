//! A form that equal filters share.
//!
//! Negations are pushed inwards, pairs written as their two fields, values as sets of numbers; then conjunctive normal
//! form, in which tests of one field are merged, clauses that others imply are left out, and everything is sorted. A
//! filter whose conjunctive form would be too large is only pushed inwards and sorted: still the same meaning, but then
//! two equal filters may differ.
//!
//! Both sides of every step mean the same of every record, those that lack the field included: a test of an absent field
//! is false and its `not` true, so `not sport 80` is not `sport != 80`.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::ast::{Condition, Expr, Item, Order, Subject, Test, mac_of, ranges, texts};
use crate::field::{Field, Kind};
use crate::set::{Ranges, prefixes};

/// Clauses held at most.
const MAX_CLAUSES: usize = 256;

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
#[derive(Clone, Debug)]
enum Tree {
    Literal(Literal),
    And(Vec<Tree>),
    Or(Vec<Tree>),
}

/// A disjunction; empty: false.
type Clause = BTreeSet<Literal>;

/// The normal form.
pub fn normal(expr: &Expr) -> Expr {
    let tree = tree(expr, false);
    match clauses(&tree) {
        Some(clauses) => print_clauses(&reduce(clauses)),
        None => print_tree(&tree),
    }
}

/// The largest value of a field.
pub(crate) fn top(field: Field) -> u128 {
    match field.kind() {
        Kind::Number { max } => u128::from(max),
        Kind::Bytes | Kind::Span => u128::from(u64::MAX),
        Kind::Addr => u128::MAX,
        Kind::Mac => (1 << 48) - 1,
        Kind::Proto => 255,
        Kind::Word(words) => words.len().saturating_sub(1) as u128,
        Kind::Flag | Kind::TcpFlags | Kind::Text => 0,
    }
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
    let numbers = |ranges: Ranges| Atom::Numbers(field, ranges.intersection(&Ranges::new([(0, top(field))])));
    let full = || numbers(Ranges::new([(0, top(field))]));
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

/// Conjunctive normal form; `None` if it grows too large.
fn clauses(tree: &Tree) -> Option<BTreeSet<Clause>> {
    let all = match tree {
        Tree::Literal(literal) => BTreeSet::from([Clause::from([literal.clone()])]),
        Tree::And(all) => {
            let mut sum = BTreeSet::new();
            for one in all {
                sum.extend(clauses(one)?);
                if sum.len() > MAX_CLAUSES {
                    return None;
                }
            }
            sum
        }
        Tree::Or(all) => {
            let mut product = BTreeSet::from([Clause::new()]);
            for one in all {
                let next = clauses(one)?;
                if product.len() * next.len() > MAX_CLAUSES {
                    return None;
                }
                product = product
                    .iter()
                    .flat_map(|left| next.iter().map(move |right| left.union(right).cloned().collect()))
                    .filter_map(simplify)
                    .collect();
            }
            product
        }
    };
    Some(all.into_iter().filter_map(simplify).collect())
}

/// Merges the tests of one field within a disjunction; `None` if it is always true.
fn simplify(clause: Clause) -> Option<Clause> {
    let mut merged: Vec<Literal> = Vec::new();
    for literal in clause {
        let mut next = Some(literal);
        let mut index = 0;
        while let (Some(one), true) = (&next, index < merged.len()) {
            match either(&merged[index], one) {
                Merged::True => return None,
                Merged::One(both) => {
                    merged.remove(index);
                    // What is new may merge with those before it.
                    next = Some(both);
                    index = 0;
                }
                Merged::Apart => index += 1,
            }
        }
        merged.extend(next);
    }
    // An empty set is false, its negation true.
    if merged.iter().any(|literal| literal.negated && literal.is_empty()) {
        return None;
    }
    Some(merged.into_iter().filter(|literal| !literal.is_empty()).collect())
}

/// What two literals come to.
enum Merged {
    /// True of every record.
    True,
    One(Literal),
    Apart,
}

impl Literal {
    fn is_empty(&self) -> bool {
        match &self.atom {
            Atom::Numbers(_, ranges) => ranges.is_empty(),
            Atom::Texts(_, texts) => texts.is_empty(),
            Atom::Flags(..) | Atom::Present(_) => false,
        }
    }

    fn negation(&self) -> Self {
        Self { atom: self.atom.clone(), negated: !self.negated }
    }
}

/// `a or b`.
fn either(a: &Literal, b: &Literal) -> Merged {
    if *a == b.negation() {
        return Merged::True;
    }
    let one = |atom: Atom, negated: bool| Merged::One(Literal { atom, negated });
    match (&a.atom, &b.atom) {
        (Atom::Numbers(f, x), Atom::Numbers(g, y)) if f == g => {
            let several = f.def().several;
            match (a.negated, b.negated) {
                (false, false) => one(Atom::Numbers(*f, x.union(y)), false),
                (true, true) if !several => one(Atom::Numbers(*f, x.intersection(y)), true),
                // In x, or not in y: not in what is in y alone.
                (false, true) if !several => one(Atom::Numbers(*f, y.difference(x)), true),
                (true, false) if !several => one(Atom::Numbers(*f, x.difference(y)), true),
                (false, true) if y.is_subset(x) => Merged::True,
                (true, false) if x.is_subset(y) => Merged::True,
                (true, true) if x.is_subset(y) => Merged::One(a.clone()),
                (true, true) if y.is_subset(x) => Merged::One(b.clone()),
                _ => Merged::Apart,
            }
        }
        (Atom::Texts(f, x), Atom::Texts(g, y)) if f == g => match (a.negated, b.negated) {
            (false, false) => one(Atom::Texts(*f, x.union(y).cloned().collect()), false),
            (false, true) if f.def().several && y.is_subset(x) => Merged::True,
            (true, false) if f.def().several && x.is_subset(y) => Merged::True,
            (true, true) if f.def().several && x.is_subset(y) => Merged::One(a.clone()),
            (true, true) if f.def().several && y.is_subset(x) => Merged::One(b.clone()),
            _ if f.def().several => Merged::Apart,
            (true, true) => one(Atom::Texts(*f, x.intersection(y).cloned().collect()), true),
            (false, true) => one(Atom::Texts(*f, y.difference(x).cloned().collect()), true),
            (true, false) => one(Atom::Texts(*f, x.difference(y).cloned().collect()), true),
        },
        _ if a == b => Merged::One(a.clone()),
        _ => Merged::Apart,
    }
}

/// Whether `a` implies `b`: no record passes `a` but not `b`.
fn implies(a: &Literal, b: &Literal) -> bool {
    matches!(either(&a.negation(), b), Merged::True)
        || match either(&a.negation(), b) {
            Merged::One(both) => both.negated && both.is_empty(),
            _ => false,
        }
}

/// `b` as it may be written where `a` holds anyway.
fn narrowed(a: &Literal, b: &Literal) -> Literal {
    let kept = |atom: Atom| Literal { atom, negated: b.negated };
    match (&a.atom, &b.atom) {
        (Atom::Numbers(f, x), Atom::Numbers(g, y)) if f == g && !f.def().several => {
            kept(Atom::Numbers(*f, if a.negated { y.difference(x) } else { y.intersection(x) }))
        }
        (Atom::Texts(f, x), Atom::Texts(g, y)) if f == g && !f.def().several => kept(Atom::Texts(
            *f,
            if a.negated { y.difference(x).cloned().collect() } else { y.intersection(x).cloned().collect() },
        )),
        _ => b.clone(),
    }
}

/// Leaves out what follows from the rest, until nothing changes.
fn reduce(clauses: BTreeSet<Clause>) -> BTreeSet<Clause> {
    let mut all: Vec<Clause> = clauses.into_iter().collect();
    // Each round takes something away; the bound is for safety.
    for _ in 0..MAX_CLAUSES {
        let before = all.clone();
        let mut units: Vec<Literal> = Vec::new();
        let mut longer: Vec<Clause> = Vec::new();
        for clause in all {
            let mut literals = clause.iter();
            match (literals.next(), literals.next()) {
                (None, _) => return BTreeSet::from([Clause::new()]),
                (Some(unit), None) => units.push(unit.clone()),
                _ => longer.push(clause),
            }
        }
        // `a and b` is `not (not a or not b)`.
        let mut merged: Vec<Literal> = Vec::new();
        for unit in units {
            let mut next = unit;
            let mut index = 0;
            while index < merged.len() {
                match either(&merged[index].negation(), &next.negation()) {
                    Merged::True => return BTreeSet::from([Clause::new()]),
                    Merged::One(both) => {
                        merged.remove(index);
                        next = both.negation();
                        index = 0;
                    }
                    Merged::Apart => index += 1,
                }
            }
            if next.is_empty() {
                if next.negated {
                    continue;
                }
                return BTreeSet::from([Clause::new()]);
            }
            merged.push(next);
        }
        let mut narrower = Vec::new();
        for clause in longer {
            let mut kept = Clause::new();
            let mut holds = false;
            for literal in clause {
                holds |= merged.iter().any(|unit| implies(unit, &literal));
                if !merged.iter().any(|unit| implies(unit, &literal.negation())) {
                    kept.insert(merged.iter().fold(literal, |literal, unit| narrowed(unit, &literal)));
                }
            }
            if !holds {
                narrower.extend(simplify(kept));
            }
        }
        let mut next: Vec<Clause> = merged.into_iter().map(|unit| Clause::from([unit])).collect();
        next.extend(narrower);
        next.sort_unstable();
        next.dedup();
        let implied = |index: usize, clause: &Clause| {
            next.iter().enumerate().any(|(other, stronger)| {
                let covers = |a: &Clause, b: &Clause| a.iter().all(|x| b.iter().any(|y| implies(x, y)));
                // Of two that imply each other the first stays.
                other != index && covers(stronger, clause) && (other < index || !covers(clause, stronger))
            })
        };
        all = next
            .iter()
            .enumerate()
            .filter(|(index, clause)| !implied(*index, clause))
            .map(|(_, one)| one.clone())
            .collect();
        if all == before {
            break;
        }
    }
    all.into_iter().collect()
}

fn print_clauses(clauses: &BTreeSet<Clause>) -> Expr {
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

fn print_tree(tree: &Tree) -> Expr {
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
        Atom::Numbers(Field::Version, ranges) => {
            let one = |version: u64| print_numbers(Field::Version, &Ranges::one(u128::from(version)));
            let words = [4, 6].into_iter().filter(|&version| ranges.contains(u128::from(version))).map(one);
            // Versions that no header has are never seen.
            Expr::or(words)
        }
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

fn print_numbers(field: Field, ranges: &Ranges) -> Expr {
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
        Kind::Span => {
            // Times have no ranges: `duration >= 5s and duration <= 10s`.
            let one = |(low, high): (u128, u128)| {
                let at_least = (low > 0).then(|| test(field, Condition::Compare(Order::AtLeast, clip(low))));
                let at_most = test(field, Condition::Compare(Order::AtMost, clip(high)));
                let exact = test(field, Condition::In(vec![Item::Number(clip(low))]));
                match (low == high, high == top(field), at_least) {
                    (true, ..) => exact,
                    (_, true, Some(at_least)) => at_least,
                    (_, _, at_least) => Expr::and(at_least.into_iter().chain([at_most])),
                }
            };
            return Expr::or(all.map(one));
        }
        _ => {
            let (open, closed): (Vec<_>, Vec<_>) =
                all.partition(|&(low, high)| low < high && high == u128::from(u64::MAX));
            let closed: Vec<Item> = closed
                .into_iter()
                .map(
                    |(low, high)| {
                        if low == high { Item::Number(clip(low)) } else { Item::Range(clip(low), clip(high)) }
                    },
                )
                .collect();
            // The largest number of 64 bits says nothing to anybody.
            if let [(low, _)] = open[..] {
                let closed = (!closed.is_empty()).then(|| test(field, Condition::In(closed)));
                let open = test(field, Condition::Compare(Order::AtLeast, clip(low)));
                return Expr::or(closed.into_iter().chain([open]));
            }
            closed
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
