//! Whether a filter of packets selects whole flows.

use crate::ast::{Expr, Subject, Test};
use crate::field::{Field, Pair};
use crate::normal::normal;

/// Whether of every flow all packets pass or none: nothing is asked that changes from packet to packet, and of both
/// directions the same. Tags and tunnels count as a flow's, in whatever direction. `false` where it is not plain.
pub fn keeps_flows_whole(expr: &Expr) -> bool {
    let (mut changes, mut turns) = (false, false);
    expr.visit(&mut |test| match test.subject {
        Subject::Either(_) => {}
        Subject::One(Field::Version | Field::Ethertype | Field::Proto) => {}
        Subject::One(Field::Vlan | Field::Mpls | Field::Pppoe | Field::Tunnel) => {}
        Subject::One(field) if opposite(field) != field => turns = true,
        Subject::One(_) => changes = true,
    });
    // `sport 53 or dport 53` is `port 53`.
    !changes && (!turns || normal(&turned(expr)) == normal(expr))
}

/// The field that has the value in a packet of the other direction.
fn opposite(field: Field) -> Field {
    for [src, dst] in [Pair::Addr, Pair::Port, Pair::Asn].map(Pair::fields) {
        if field == src {
            return dst;
        }
        if field == dst {
            return src;
        }
    }
    field
}

/// What asks of a packet what `expr` asks of one of the other direction.
fn turned(expr: &Expr) -> Expr {
    match expr {
        Expr::All | Expr::None => expr.clone(),
        Expr::And(all) => Expr::And(all.iter().map(turned).collect()),
        Expr::Or(all) => Expr::Or(all.iter().map(turned).collect()),
        Expr::Not(inner) => Expr::not(turned(inner)),
        Expr::Test(Test { subject: Subject::One(field), condition }) => {
            Test { subject: Subject::One(opposite(*field)), condition: condition.clone() }.into()
        }
        Expr::Test(_) => expr.clone(),
    }
}

#[cfg(test)]
mod tests {
    use crate::Filter;

    #[test]
    fn a_filter_keeps_flows_whole_if_it_asks_the_same_of_both_directions_and_of_every_packet() {
        let keeps = |text: &str| super::keeps_flows_whole(Filter::parse(text).unwrap().expr());
        for whole in [
            "all",
            "tcp",
            "not ip6 and vlan 5",
            "ethertype 0x0800",
            "port 80 and addr 192.0.2.2",
            "not port 53",
            "sport 53 or dport 53",
            "src 10.0.0.1 and dst 10.0.0.2 or dst 10.0.0.1 and src 10.0.0.2",
            "asn 64500",
        ] {
            assert!(keeps(whole), "{whole}");
        }
        for torn in [
            "syn",
            "dport 80",
            "not src 10.0.0.1",
            "sport 53 or dport 54",
            "src 10.0.0.1 and dst 10.0.0.2",
            "tcp and len > 100",
            "port 80 and not syn",
            "src asn 64500",
            "fragment",
            "icmp and icmptype 8",
            "time >= 2026-11-20",
        ] {
            assert!(!keeps(torn), "{torn}");
        }
    }
}
