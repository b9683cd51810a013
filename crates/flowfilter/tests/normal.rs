//! The normal form: what it prints is its own normal form, and selects the same.
#![allow(clippy::unwrap_used, reason = "a test")]

#[allow(dead_code, reason = "each test takes its part")]
mod random;

use std::sync::Arc;

use flowcore::resolve::{Network, Numeric, Process};
use flowcore::wire::Layers;
use flowcore::{Addr, FlowEvent, FlowKey, Frames, Lookup, Nanos, Prefix, Protocol, Resolver, Timestamp};
use flowfilter::ast::{Condition, Expr, Item, Subject, Test};
use flowfilter::field::Pair;
use flowfilter::{Field, Filter, Flow, Predicate, Record, Socket};
use random::{Random, addrs, asked, event, expr_of, test_of};

fn normal(text: &str) -> String {
    Filter::parse(text).unwrap().normal().to_string()
}

/// A conjunction of disjunctions of tests or their negations.
fn is_conjunctive(expr: &Expr) -> bool {
    let is_literal = |expr: &Expr| match expr {
        Expr::Test(_) => true,
        Expr::Not(inner) => matches!(**inner, Expr::Test(_)),
        _ => false,
    };
    let is_clause = |expr: &Expr| match expr {
        Expr::Or(all) => all.iter().all(is_literal),
        other => is_literal(other),
    };
    match expr {
        Expr::All | Expr::None => true,
        Expr::And(all) => all.iter().all(is_clause),
        other => is_clause(other),
    }
}

#[test]
fn what_follows_is_left_out_and_nothing_is_joined_under_a_negation() {
    for (text, expected) in [
        ("not ipversion <= 1 or udp", "all"),
        ("ipversion < 1 and udp or tcp", "tcp"),
        ("ipversion >= 5 and udp", "ip6 and udp"),
        ("not ipversion 0:6 or udp", "not ipversion {4, 6} or udp"),
        ("not len != 60 or direction reverse", "direction reverse or not len != 60"),
        ("not (len 7 or len > 100) and tcp", "not len != {0:6, 8:100} and tcp"),
        ("tcp or duration 5s:10s", "duration 5s:10s or tcp"),
        ("not rtt 5s:10s or rtt 8s or udp", "not rtt {5s:7999999999ns, 8000000001ns:10s} or udp"),
    ] {
        let form = normal(text);
        assert_eq!(form, expected, "{text}");
        assert_eq!(normal(&form), form, "{text}");
        assert!(is_conjunctive(Filter::parse(&form).unwrap().expr()), "{text}: {form}");
    }
}

/// Its form is its own, also when it was printed and read.
fn assert_fixed(filter: &Filter) -> Filter {
    let normal = filter.normal();
    assert_eq!(normal.normal().to_string(), normal.to_string(), "{filter}");
    let text = normal.to_string();
    if text.len() <= flowfilter::MAX_TEXT {
        let again = Filter::parse(&text).unwrap_or_else(|error| panic!("{}", error.render(false)));
        assert_eq!(again, normal, "{filter}");
    }
    normal
}

fn tests_of<R: Record>(random: &mut Random, pairs: &[Pair]) -> Test {
    let fields: Vec<Field> = R::fields().iter().collect();
    test_of(random, &fields, pairs)
}

#[test]
fn the_normal_form_of_a_filter_of_packets_is_its_own() {
    let mut random = Random(11);
    let test = |random: &mut Random| {
        // Tests of few fields meet more often.
        let few = [Field::Version, Field::Length, Field::SrcMac, Field::Vlan, Field::SrcAddr, Field::TcpFlags];
        let pairs = [Pair::Addr, Pair::Port, Pair::Mac, Pair::OuterAddr, Pair::OuterPort];
        if random.chance(2) { test_of(random, &asked(), &pairs) } else { test_of(random, &few, &[Pair::Mac]) }
    };
    let names: Arc<dyn Resolver> = Arc::new(Numeric);
    for round in 0..3_000 {
        let mut layers: Vec<Layers> = Vec::new();
        let events: Vec<FlowEvent> = (0..64).map(|_| event(&mut random, &mut layers)).collect();
        let frames = Frames::new(&[], &layers);
        let filter = Filter::from_expr(expr_of(&mut random, 1 + round % 4, &test));
        let normal = assert_fixed(&filter);
        let [plain, normal]: [Predicate<FlowEvent>; 2] = [&filter, &normal].map(|one| one.bind(&names).unwrap());
        assert_eq!(plain.mask(&events, &frames), normal.mask(&events, &frames), "{filter}");
    }
}

/// The network of an address is its last byte, the process of a flow by its lower port.
struct Names;

impl Resolver for Names {
    fn network(&self, addr: Addr) -> Lookup<Network> {
        match addr.octets()[15] {
            0 => Lookup::Absent,
            last => Lookup::Known(Network {
                asn: u32::from(last),
                prefix: Prefix::new(addr, 32).unwrap(),
                holder: None,
                several: (last == 1).then(|| [1, 5].into()),
            }),
        }
    }
    fn process(&self, key: &FlowKey) -> Lookup<Process> {
        match key.src_port.min(key.dst_port) {
            53 => Lookup::Known(Process { pid: 1, name: "a".into() }),
            80 => Lookup::Known(Process { pid: 5, name: "b".into() }),
            _ => Lookup::Absent,
        }
    }
}

fn flow(random: &mut Random) -> Flow {
    let key = FlowKey {
        src: random.one(&addrs()),
        dst: random.one(&addrs()),
        src_port: random.one(&random::PORTS),
        dst_port: random.one(&random::PORTS),
        protocol: Protocol(random.one(&random::PROTOCOLS)),
        ..FlowKey::NONE
    };
    let numbers = [None, Some(0), Some(1), Some(16), Some(100), Some(1 << 40), Some(u64::MAX)];
    let times = [None, Some(0), Some(5), Some(100), Some(1 << 40)].map(|time| time.map(Nanos::new));
    Flow {
        key: (!random.chance(6)).then_some(key),
        state: random.one(&[None, Some("SF"), Some("S0"), Some("OTH")]),
        start: (!random.chance(6)).then(|| Timestamp::from_nanos(random::time(random))),
        end: (!random.chance(6)).then(|| Timestamp::from_nanos(random::time(random))),
        duration: random.one(&times),
        wire_bytes: random.one(&numbers),
        packets: random.one(&numbers),
        rtt: random.one(&times),
        handshake: random.one(&times),
        retransmissions: random.one(&numbers),
        ..Flow::default()
    }
}

#[test]
fn the_normal_form_of_a_filter_of_connections_is_its_own() {
    let mut random = Random(12);
    let names: Arc<dyn Resolver> = Arc::new(Names);
    for round in 0..3_000 {
        let flows: Vec<Flow> = (0..64).map(|_| flow(&mut random)).collect();
        let test = |random: &mut Random| tests_of::<Flow>(random, &[Pair::Addr, Pair::Port, Pair::Asn]);
        let filter = Filter::from_expr(expr_of(&mut random, 1 + round % 4, &test));
        let normal = assert_fixed(&filter);
        let [plain, normal]: [Predicate<Flow>; 2] = [&filter, &normal].map(|one| one.bind(&names).unwrap());
        assert_eq!(plain.mask(&flows, &Frames::EMPTY), normal.mask(&flows, &Frames::EMPTY), "{filter}");
    }
}

#[test]
fn the_normal_form_of_a_filter_of_sockets_is_its_own() {
    let mut random = Random(13);
    for round in 0..3_000 {
        let test = |random: &mut Random| tests_of::<Socket>(random, &[Pair::Addr, Pair::Port]);
        assert_fixed(&Filter::from_expr(expr_of(&mut random, 1 + round % 4, &test)));
    }
}

/// Beyond 256 clauses a filter is only sorted; what is left out there may leave fewer.
#[test]
fn a_form_that_is_only_sorted_is_its_own() {
    let test = |field: Field, number: u64| {
        Expr::from(Test { subject: Subject::One(field), condition: Condition::In(vec![Item::Number(number)]) })
    };
    let pair = |number: u64| Expr::and([test(Field::Vlan, number), test(Field::Mpls, number)]);
    // Two to the ninth clauses.
    let large = Expr::or((0..9).map(pair));
    let twice = Expr::Or(vec![large.clone(), large.clone()]);
    let half = Expr::or((0..8).map(pair));
    let nested = Expr::And(vec![Expr::And(vec![large.clone(), test(Field::Ttl, 7)]), test(Field::IcmpType, 3)]);
    for expr in [large, twice, Expr::Or(vec![half.clone(), half]), nested] {
        assert_fixed(&Filter::from_expr(expr));
    }
}
