//! Tests of one field that are joined: what they come to as one.

use std::collections::BTreeSet;

use super::{Atom, Literal, Tree};

/// The same tree without groups in groups of their kind, tests of one field merged, everything once and in order.
pub(super) fn tidy(tree: Tree) -> Tree {
    match tree {
        Tree::Literal(literal) if literal.is_empty() => constant(literal.negated),
        Tree::Literal(_) => tree,
        Tree::And(all) => group(all, false),
        Tree::Or(all) => group(all, true),
    }
}

fn constant(value: bool) -> Tree {
    super::join(Vec::new(), !value)
}

/// A disjunction if `or`, else a conjunction.
fn group(all: Vec<Tree>, or: bool) -> Tree {
    let mut literals = BTreeSet::new();
    let mut groups = BTreeSet::new();
    for one in all {
        match (tidy(one), or) {
            (Tree::And(inner), false) | (Tree::Or(inner), true) => {
                for one in inner {
                    match one {
                        Tree::Literal(literal) => drop(literals.insert(literal)),
                        group => drop(groups.insert(group)),
                    }
                }
            }
            (Tree::Literal(literal), _) => drop(literals.insert(literal)),
            // True in a disjunction, false in a conjunction.
            (Tree::And(inner) | Tree::Or(inner), _) if inner.is_empty() => return constant(or),
            (group, _) => drop(groups.insert(group)),
        }
    }
    // `a and b` is `not (not a or not b)`.
    let turned = |literal: &Literal| if or { literal.clone() } else { literal.negation() };
    let Some(merged) = merge(literals.iter().map(turned)) else { return constant(or) };
    let merged: BTreeSet<Literal> = merged.iter().map(turned).collect();
    let mut all: Vec<Tree> = merged.into_iter().map(Tree::Literal).chain(groups).collect();
    if all.len() == 1
        && let Some(only) = all.pop()
    {
        return only;
    }
    super::join(all, or)
}

/// Merges the tests of one field within a disjunction; `None` if it is always true.
pub(super) fn merge(literals: impl IntoIterator<Item = Literal>) -> Option<Vec<Literal>> {
    let mut merged: Vec<Literal> = Vec::new();
    for literal in literals {
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
    merged.retain(|literal| !literal.is_empty());
    Some(merged)
}

/// What two literals come to.
pub(super) enum Merged {
    /// True of every record.
    True,
    One(Literal),
    Apart,
}

impl Literal {
    pub(super) fn is_empty(&self) -> bool {
        match &self.atom {
            Atom::Numbers(_, ranges) => ranges.is_empty(),
            Atom::Texts(_, texts) => texts.is_empty(),
            Atom::Flags(..) | Atom::Present(_) => false,
        }
    }

    pub(super) fn negation(&self) -> Self {
        Self { atom: self.atom.clone(), negated: !self.negated }
    }
}

/// `a or b`.
pub(super) fn either(a: &Literal, b: &Literal) -> Merged {
    if a.negated != b.negated && a.atom == b.atom {
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
