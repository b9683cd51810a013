//! Conjunctive normal form, and what follows from what.

use std::collections::BTreeSet;

use super::{Atom, Literal, Tree};

/// Clauses held at most.
const MAX_CLAUSES: usize = 256;

/// A disjunction; empty: false.
pub(super) type Clause = BTreeSet<Literal>;

/// Conjunctive normal form; `None` if it grows too large.
pub(super) fn clauses(tree: &Tree) -> Option<BTreeSet<Clause>> {
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
pub(super) fn reduce(clauses: BTreeSet<Clause>) -> BTreeSet<Clause> {
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
