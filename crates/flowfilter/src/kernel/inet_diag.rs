//! `inet_diag` bytecode: which sockets a `NETLINK_SOCK_DIAG` dump shows (`INET_DIAG_REQ_BYTECODE`; the operations are
//! those of `linux/inet_diag.h`, their rules those of `inet_diag_bc_audit` and `inet_diag_bc_run`).
//!
//! A program knows a socket's addresses and ports; every other test is widened. The source is the socket's own end. It is
//! for dumps of protocols that have ports (TCP, UDP, UDP-Lite, SCTP, DCCP, MPTCP): a raw socket's number in the port's
//! place is its protocol.
//!
//! *Since Linux 2.6.14*; no operation that came later is used. A kernel without `inet_diag` for a protocol refuses the
//! whole dump, with or without a program.

use flowcore::{Prefix, Protocol};

use crate::ast::{Condition, Expr, Subject, Test};
use crate::field::{Field, FieldSet, Kind, Pair};
use crate::plan::passing;
use crate::set::{Ranges, prefixes};
use crate::widen;

const JMP: u8 = 1;
const S_GE: u8 = 2;
const S_LE: u8 = 3;
const D_GE: u8 = 4;
const D_LE: u8 = 5;
const S_COND: u8 = 7;
const D_COND: u8 = 8;

const AF_INET: u8 = 2;
const AF_INET6: u8 = 10;

/// Ranges or prefixes of one test at most: the kernel goes through them one by one.
const MAX_RANGES: usize = 64;
/// Bytes of a program at most; the attribute that carries it counts its length in 16 bits.
const MAX_BYTES: usize = u16::MAX as usize - 7;

/// A place to jump to, known when it is reached.
#[derive(Copy, Clone, PartialEq, Eq)]
struct Label(usize);

/// Every operation goes on at the next one if it holds, and jumps if it does not: the audit walks through the former, and
/// accepts no jump to a place that it has not walked over.
struct Code {
    bytes: Vec<u8>,
    /// `targets[label]`, once placed.
    targets: Vec<Option<usize>>,
    /// Operations and the labels they jump to.
    jumps: Vec<(usize, Label)>,
}

/// Where to go on: if it holds, if it does not, and which label is placed right behind.
#[derive(Copy, Clone)]
struct Ways {
    yes: Label,
    no: Label,
    next: Label,
}

impl Code {
    fn label(&mut self) -> Label {
        self.targets.push(None);
        Label(self.targets.len() - 1)
    }

    fn place(&mut self, label: Label) {
        self.targets[label.0] = Some(self.bytes.len());
    }

    fn operation(&mut self, code: u8, argument: &[u8], no: Label) {
        self.jumps.push((self.bytes.len(), no));
        self.bytes.extend([code, argument.len() as u8 + 4, 0, 0]);
        self.bytes.extend(argument);
    }

    /// Goes to `to`, which may be right behind.
    fn go(&mut self, to: Label, next: Label) {
        if to != next {
            self.operation(JMP, &[], to);
        }
    }

    fn expr(&mut self, expr: &Expr, ways: Ways) {
        let Ways { yes, no, next } = ways;
        match expr {
            Expr::All => self.go(yes, next),
            Expr::None => self.go(no, next),
            Expr::Not(inner) => self.expr(inner, Ways { yes: no, no: yes, next }),
            Expr::And(all) => self.chain(all.len(), true, ways, |code, at, ways| code.expr(&all[at], ways)),
            Expr::Or(all) => self.chain(all.len(), false, ways, |code, at, ways| code.expr(&all[at], ways)),
            Expr::Test(Test { subject: Subject::One(field), condition }) => self.test(*field, condition, ways),
            Expr::Test(Test { subject: Subject::Either(pair), condition }) => {
                // Of a pair, "not this one" is said of both.
                let both = matches!(condition, Condition::NotIn(_));
                self.chain(2, both, ways, |code, at, ways| code.test(pair.fields()[at], condition, ways));
            }
        }
    }

    /// `count` parts, joined by `and` or by `or`.
    fn chain(&mut self, count: usize, and: bool, ways: Ways, mut part: impl FnMut(&mut Self, usize, Ways)) {
        let Ways { yes, no, next } = ways;
        if count == 0 {
            return self.go(if and { yes } else { no }, next);
        }
        for at in 0..count - 1 {
            let behind = self.label();
            let ways =
                if and { Ways { yes: behind, no, next: behind } } else { Ways { yes, no: behind, next: behind } };
            part(self, at, ways);
            self.place(behind);
        }
        part(self, count - 1, ways);
    }

    fn test(&mut self, field: Field, condition: &Condition, ways: Ways) {
        let wanted = passing(field, condition);
        match field {
            Field::Version => match (wanted.contains(4), wanted.contains(6)) {
                (true, false) => self.is_v4(ways),
                (false, true) => self.is_v4(Ways { yes: ways.no, no: ways.yes, next: ways.next }),
                (all, _) => self.go(if all { ways.yes } else { ways.no }, ways.next),
            },
            Field::SrcAddr | Field::DstAddr => {
                let code = if field == Field::SrcAddr { S_COND } else { D_COND };
                let (all, others) = address_prefixes(&wanted);
                let ways = if others { Ways { yes: ways.no, no: ways.yes, next: ways.next } } else { ways };
                self.chain(all.len(), false, ways, |this, at, ways| {
                    this.operation(code, &prefix_condition(all[at]), ways.no);
                    this.go(ways.yes, ways.next);
                });
            }
            // Widening has left ports only.
            _ => {
                let [at_least, at_most] = if field == Field::SrcPort { [S_GE, S_LE] } else { [D_GE, D_LE] };
                let ports = wanted.intersection(&Ranges::new([(0, 65_535)]));
                let all = ports.as_slice();
                self.chain(all.len(), false, ways, |this, at, ways| {
                    let (low, high) = all[at];
                    for (code, port, needed) in [(at_least, low, low > 0), (at_most, high, high < 65_535)] {
                        if needed {
                            this.operation(code, &port_argument(port as u16), ways.no);
                        }
                    }
                    this.go(ways.yes, ways.next);
                });
            }
        }
    }

    /// Both ends are IPv4, as such or mapped into IPv6: a condition of the one family with no bits to compare.
    fn is_v4(&mut self, ways: Ways) {
        self.chain(2, true, ways, |code, at, ways| {
            code.operation([S_COND, D_COND][at], &host_condition(AF_INET, 0, &[0; 4]), ways.no);
            code.go(ways.yes, ways.next);
        });
    }

    fn finish(mut self) -> Option<Vec<u8>> {
        if self.bytes.is_empty() || self.bytes.len() > MAX_BYTES {
            return None;
        }
        for &(at, label) in &self.jumps {
            let distance = self.targets.get(label.0).copied().flatten()?.checked_sub(at)?;
            let bytes = u16::try_from(distance).ok()?.to_ne_bytes();
            self.bytes.get_mut(at + 2..at + 4)?.copy_from_slice(&bytes);
        }
        Some(self.bytes)
    }
}

/// `struct inet_diag_hostcond` with any port.
fn host_condition(family: u8, bits: u8, address: &[u8]) -> Vec<u8> {
    let mut bytes = vec![family, bits, 0, 0];
    bytes.extend((-1_i32).to_ne_bytes());
    bytes.extend(address);
    bytes
}

fn prefix_condition(prefix: Prefix) -> Vec<u8> {
    let network = prefix.network();
    match network.to_v4() {
        Some(short) => host_condition(AF_INET, prefix.bits(), &short),
        None => host_condition(AF_INET6, prefix.bits(), network.octets()),
    }
}

/// A second `struct inet_diag_bc_op`, of which only `no` is looked at.
fn port_argument(port: u16) -> [u8; 4] {
    let [a, b] = port.to_ne_bytes();
    [0, 0, a, b]
}

/// The prefixes of these addresses, or, if they are fewer, those of all others, and which of the two: a socket always has
/// both addresses.
fn address_prefixes(wanted: &Ranges) -> (Vec<Prefix>, bool) {
    let all = |ranges: &Ranges| -> Vec<Prefix> {
        ranges.as_slice().iter().flat_map(|&(low, high)| prefixes(low, high)).collect()
    };
    let (wanted, others) = (all(wanted), all(&wanted.complement(u128::MAX)));
    if others.len() < wanted.len() { (others, true) } else { (wanted, false) }
}

const KNOWN: FieldSet = FieldSet::EMPTY
    .with(Field::Version)
    .with(Field::SrcAddr)
    .with(Field::DstAddr)
    .with(Field::SrcPort)
    .with(Field::DstPort);

/// Whether a test can be said in a program.
fn is_known(test: &Test) -> bool {
    let field = test.subject.first();
    KNOWN.contains(field) && {
        let wanted = passing(field, &test.condition);
        let pieces =
            if field.kind() == Kind::Addr { address_prefixes(&wanted).0.len() } else { wanted.as_slice().len() };
        pieces <= MAX_RANGES
    }
}

/// What is left to ask when the protocol is known.
fn of_protocol(expr: &Expr, protocol: Protocol) -> Expr {
    let each = |all: &[Expr]| all.iter().map(|one| of_protocol(one, protocol)).collect::<Vec<_>>();
    match expr {
        Expr::And(all) => widen::and(each(all)),
        Expr::Or(all) => widen::or(each(all)),
        Expr::Not(inner) => widen::not(of_protocol(inner, protocol)),
        Expr::Test(Test { subject: Subject::One(Field::Proto), condition }) => {
            let passes = passing(Field::Proto, condition).contains(u128::from(protocol.0));
            if passes { Expr::All } else { Expr::None }
        }
        other => other.clone(),
    }
}

/// The filter for the other direction: what it says of the source is asked of the destination.
fn reversed(expr: &Expr) -> Expr {
    let each = |all: &[Expr]| all.iter().map(reversed).collect();
    match expr {
        Expr::And(all) => Expr::And(each(all)),
        Expr::Or(all) => Expr::Or(each(all)),
        Expr::Not(inner) => Expr::not(reversed(inner)),
        Expr::Test(Test { subject: Subject::One(field), condition }) => {
            let mut field = *field;
            for pair in [Pair::Addr, Pair::Port, Pair::Asn, Pair::Mac, Pair::OuterAddr, Pair::OuterPort] {
                let [src, dst] = pair.fields();
                if field == src {
                    field = dst;
                } else if field == dst {
                    field = src;
                }
            }
            Test { subject: Subject::One(field), condition: condition.clone() }.into()
        }
        other => other.clone(),
    }
}

/// A filter that passes a socket if `expr` passes what it sends or what it receives: a socket's sample is two events, one
/// of each direction.
#[must_use]
pub fn either_direction(expr: &Expr) -> Expr {
    let other = reversed(expr);
    if other == *expr { other } else { Expr::or([expr.clone(), other]) }
}

/// What of a filter the kernel can be asked of sockets: a weaker filter, `all` if it is nothing.
#[must_use]
pub fn asked(expr: &Expr, protocol: Option<Protocol>) -> Expr {
    match protocol {
        Some(protocol) => widen::widen_by(&of_protocol(expr, protocol), &is_known),
        None => widen::widen_by(expr, &is_known),
    }
}

/// The program for dumps of one protocol, or of any: passes all sockets that `expr` passes with the socket's own end as the
/// source, and perhaps more. `None` if it would pass everything, or would be too long.
pub fn program(expr: &Expr, protocol: Option<Protocol>) -> Option<Vec<u8>> {
    let expr = asked(expr, protocol);
    if expr == Expr::All {
        return None;
    }
    let mut code = Code { bytes: Vec::new(), targets: Vec::new(), jumps: Vec::new() };
    let (pass, drop) = (code.label(), code.label());
    code.expr(&expr, Ways { yes: pass, no: drop, next: pass });
    // To end exactly at the end is to pass; four bytes beyond it is not to.
    let end = code.bytes.len();
    code.targets[pass.0] = Some(end);
    code.targets[drop.0] = Some(end + 4);
    code.finish()
}
