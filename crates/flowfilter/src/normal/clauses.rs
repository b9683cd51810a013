//! Conjunctive normal form, and what follows from what.

use std::collections::BTreeSet;

use super::merge::{Merged, either, merge};
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
            // All tests at once: of thousands each would be compared with those before it again.
            let literals = all.iter().filter_map(|one| match one {
                Tree::Literal(literal) => Some(literal.clone()),
                _ => None,
            });
            let mut product: BTreeSet<Clause> = simplify(literals.collect()).into_iter().collect();
            for one in all.iter().filter(|one| !matches!(one, Tree::Literal(_))) {
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
    Some(merge(clause)?.into_iter().collect())
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
        let Some(merged) = merge(units.iter().map(Literal::negation)) else {
            return BTreeSet::from([Clause::new()]);
        };
        let merged: Vec<Literal> = merged.iter().map(Literal::negation).collect();
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
