//! What AS numbers cost, with a table of the Internet's size: 900,000 IPv4 and 200,000 IPv6 prefixes of 80,000 networks.
//!
//! - `look-up`: one iteration asks for 65,536 addresses, half of them of 4,096 that come again; beside the same ranges in
//!   a `BTreeMap`.
//! - `filter`: one iteration puts as many packets through a filter bound to the table; `by address` hides that the table
//!   can tell a network's addresses, so that it is asked for each packet.
//! - `load`: one iteration makes the table of its text.

#![allow(clippy::print_stdout, reason = "memory is a figure too")]

use std::collections::BTreeMap;
use std::fmt::Write;
use std::hint::black_box;
use std::sync::Arc;

use benches::random::Random;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use flowcore::resolve::Network;
use flowcore::{Addr, Features, FlowEvent, FlowKey, Frames, Lookup, Protocol, Resolver};
use flowfilter::{Filter, STEP};
use flowresolve::Networks;
use flowresolve::asn::{Loader, Options};

const V4: u32 = 900_000;
const V6: u32 = 200_000;
const NETWORKS: u64 = 80_000;
const ASKED: usize = 1 << 16;

/// Every ninth /24 has none; each run of eight belongs to one network or to eight.
fn v4(place: u32) -> Addr {
    Addr::v4(((1 << 24) + (place + place / 8) * 256).to_be_bytes())
}

fn v6(place: u32) -> Addr {
    Addr::v6(((0x2001_0db8_u128 << 96) + (u128::from(place) << 80)).to_be_bytes())
}

/// The table as text, and its ranges by their first address.
fn table() -> (String, BTreeMap<Addr, (Addr, u32)>) {
    let mut random = Random::seeded(4);
    let (mut text, mut ranges) = (String::new(), BTreeMap::new());
    let mut asn = 1;
    for (first, host_bits, bits) in (0..V4).map(|n| (v4(n), 8, 24)).chain((0..V6).map(|n| (v6(n), 80, 48))) {
        if random.below(3) == 0 {
            asn = 1 + random.below(NETWORKS) as u32;
        }
        writeln!(text, "{first}/{bits}\t{asn}").expect("a string takes all");
        let number = u128::from_be_bytes(*first.octets());
        ranges.insert(first, (Addr::v6((number | ((1 << host_bits) - 1)).to_be_bytes()), asn));
    }
    (text, ranges)
}

fn asked() -> Vec<Addr> {
    let mut random = Random::seeded(5);
    let any = |random: &mut Random| {
        let place = random.below(u64::from(V4 + V6)) as u32;
        let first = if place < V4 { v4(place) } else { v6(place - V4) };
        Addr::v6((u128::from_be_bytes(*first.octets()) | u128::from(random.below(256))).to_be_bytes())
    };
    let often: Vec<Addr> = (0..4096).map(|_| any(&mut random)).collect();
    let again = |random: &mut Random| often[random.below(4096) as usize];
    (0..ASKED).map(|n| if n % 2 == 0 { again(&mut random) } else { any(&mut random) }).collect()
}

/// Answers for single addresses alone.
struct ByAddress(Arc<Networks>);

impl Resolver for ByAddress {
    fn network(&self, addr: Addr) -> Lookup<Network> {
        self.0.network(addr)
    }
    fn offers(&self) -> Features {
        self.0.offers()
    }
}

fn load(text: &str) -> Networks {
    let mut loader = Loader::new(Options::default());
    loader.stream("table", text.as_bytes()).expect("a table was written");
    loader.finish()
}

fn networks(criterion: &mut Criterion) {
    let (text, ranges) = table();
    let asked = asked();
    let networks = Arc::new(load(&text));
    println!("{} bytes hold {} networks", networks.memory_bytes(), networks.sources()[0].networks);

    let mut group = criterion.benchmark_group("look-up");
    group.throughput(Throughput::Elements(ASKED as u64));
    let in_tree = |addr: &Addr| match ranges.range(..=*addr).next_back() {
        Some((_, &(last, asn))) if *addr <= last => Some(asn),
        _ => None,
    };
    assert!(asked.iter().all(|addr| networks.asn(*addr).is_some() && networks.asn(*addr) == in_tree(addr)));
    group.bench_function("table", |bencher| {
        bencher.iter(|| black_box(&asked).iter().filter_map(|&addr| networks.asn(addr)).map(u64::from).sum::<u64>());
    });
    group.bench_function("BTreeMap", |bencher| {
        bencher.iter(|| black_box(&asked).iter().filter_map(in_tree).map(u64::from).sum::<u64>());
    });
    group.finish();

    let mut event = FlowEvent { packets: 1, ..FlowEvent::default() };
    let events: Vec<FlowEvent> = asked
        .iter()
        .map(|&src| {
            event.key = FlowKey { src, dst: v4(0), protocol: Protocol::TCP, ..FlowKey::NONE };
            event
        })
        .collect();
    let by_address: Arc<dyn Resolver> = Arc::new(ByAddress(networks.clone()));
    let whole: Arc<dyn Resolver> = networks;
    for (text, name) in [("src asn 7", "one network"), ("addr asn 1:40000", "half of all")] {
        let mut group = criterion.benchmark_group(format!("filter, {name}"));
        group.throughput(Throughput::Elements(ASKED as u64));
        let filter = Filter::parse(text).expect("a filter");
        for (names, how) in [(&whole, "by network"), (&by_address, "by address")] {
            let bound = filter.bind::<FlowEvent>(names).expect("packets have addresses");
            let frames = Frames::new(&[], &[]);
            group.bench_function(how, |bencher| {
                bencher.iter(|| {
                    let steps = black_box(&events).chunks(STEP);
                    steps.map(|step| bound.mask(step, &frames).count_ones()).sum::<u32>()
                });
            });
        }
        group.bench_function("binding", |bencher| bencher.iter(|| filter.bind::<FlowEvent>(&whole).is_ok()));
        group.finish();
    }

    let mut group = criterion.benchmark_group("load");
    group.sample_size(10).throughput(Throughput::Elements(u64::from(V4 + V6)));
    group.bench_function("text", |bencher| bencher.iter(|| load(black_box(&text))));
    group.finish();
}

criterion_group!(benches, networks);
criterion_main!(benches);
