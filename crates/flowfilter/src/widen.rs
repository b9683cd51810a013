//! Sound over-approximation: what can be said with some fields alone.

use crate::ast::{Expr, Subject, Test};
use crate::field::FieldSet;

/// The strongest filter over `known` fields, made leaf by leaf, that passes all that `expr` passes.
///
/// A test that asks for another field may pass: it becomes `all`, or `none` where it stands under an odd number of
/// negations, and what follows from that is carried upwards. So the exact filter always implies the wider one.
pub fn widen(expr: &Expr, known: FieldSet) -> Expr {
    widen_by(expr, &|test: &Test| match test.subject {
        Subject::One(field) => known.contains(field),
        Subject::Either(pair) => pair.fields().iter().all(|&field| known.contains(field)),
    })
}

/// The same over the tests that are `known`.
pub fn widen_by(expr: &Expr, known: &dyn Fn(&Test) -> bool) -> Expr {
    approximate(expr, known, true)
}

/// `over`: the result is implied by `expr`; otherwise it implies `expr`.
fn approximate(expr: &Expr, known: &dyn Fn(&Test) -> bool, over: bool) -> Expr {
    match expr {
        Expr::All => Expr::All,
        Expr::None => Expr::None,
        Expr::And(all) => and(all.iter().map(|one| approximate(one, known, over))),
        Expr::Or(all) => or(all.iter().map(|one| approximate(one, known, over))),
        Expr::Not(inner) => not(approximate(inner, known, !over)),
        Expr::Test(test) => match (known(test), over) {
            (true, _) => expr.clone(),
            (false, true) => Expr::All,
            (false, false) => Expr::None,
        },
    }
}

/// A conjunction in which `all` and `none` are worked out.
pub fn and(all: impl IntoIterator<Item = Expr>) -> Expr {
    let mut rest = Vec::new();
    for one in all {
        match one {
            Expr::All => {}
            Expr::None => return Expr::None,
            other => rest.push(other),
        }
    }
    Expr::and(rest)
}

/// A disjunction in which `all` and `none` are worked out.
pub fn or(all: impl IntoIterator<Item = Expr>) -> Expr {
    let mut rest = Vec::new();
    for one in all {
        match one {
            Expr::None => {}
            Expr::All => return Expr::All,
            other => rest.push(other),
        }
    }
    Expr::or(rest)
}

/// A negation in which `all`, `none` and a second negation are worked out.
pub fn not(inner: Expr) -> Expr {
    match inner {
        Expr::All => Expr::None,
        Expr::None => Expr::All,
        Expr::Not(inner) => *inner,
        other => Expr::not(other),
    }
}

#[cfg(test)]
mod tests {
    use crate::field::{Field, FieldSet};
    use crate::filter::Filter;

    #[test]
    fn what_is_not_known_may_pass() {
        let known = FieldSet::of([Field::Proto, Field::SrcPort, Field::DstPort]);
        let wide = |text: &str| Filter::parse(text).unwrap().widen(known).to_string();
        assert_eq!(wide("tcp and src 10.0.0.1"), "tcp");
        assert_eq!(wide("tcp or src 10.0.0.1"), "all");
        assert_eq!(wide("not (tcp and src 10.0.0.1)"), "all");
        assert_eq!(wide("not (tcp or src 10.0.0.1)"), "not tcp");
        assert_eq!(wide("not not (tcp and syn) and port 80"), "tcp and port 80");
        assert_eq!(wide("syn"), "all");
    }
}
