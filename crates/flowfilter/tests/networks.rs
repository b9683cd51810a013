//! AS numbers in filters: any origin of a prefix counts, whether networks are known by number or address by address.
#![allow(clippy::unwrap_used, reason = "a test whose preparation fails has failed")]

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use flowcore::resolve::{Chain, Network, Numeric};
use flowcore::{Addr, Features, FlowEvent, FlowKey, Frames, Lookup, Prefix, Resolver, SourceInfo};
use flowfilter::{Filter, Flow};

/// 192.0.2.0/24 of two networks, 198.51.100.0/24 of one; `whole` if it can tell a network's addresses.
struct Table {
    whole: bool,
    asked: AtomicUsize,
}

const ORIGINS: [([u8; 4], &[u32]); 2] = [([192, 0, 2, 0], &[64_500, 64_501]), ([198, 51, 100, 0], &[64_502])];

impl Resolver for Table {
    fn network(&self, addr: Addr) -> Lookup<Network> {
        self.asked.fetch_add(1, Ordering::Relaxed);
        for (network, origins) in ORIGINS {
            let prefix = Prefix::new(Addr::v4(network), 24).unwrap();
            if prefix.contains(addr) {
                let several = (origins.len() > 1).then(|| origins.into());
                return Lookup::Known(Network { asn: origins[0], prefix, holder: None, several });
            }
        }
        Lookup::Absent
    }

    fn announced(&self, wanted: &dyn Fn(&[u32]) -> bool) -> Option<Vec<(Addr, Addr)>> {
        let last = |[a, b, c, _]: [u8; 4]| Addr::v4([a, b, c, 255]);
        let found = ORIGINS.iter().filter(|(_, origins)| wanted(origins));
        self.whole.then(|| found.map(|&(first, _)| (Addr::v4(first), last(first))).collect())
    }

    fn offers(&self) -> Features {
        Features::NETWORKS
    }
}

/// Which of three sources pass: one of two networks, one of one, one of none. The destination is of none.
fn passes(text: &str, names: &Arc<dyn Resolver>) -> [bool; 3] {
    let filter = Filter::parse(text).unwrap().bind::<Flow>(names).unwrap();
    [[192, 0, 2, 7], [198, 51, 100, 7], [203, 0, 113, 7]].map(|src| {
        let key = FlowKey { src: Addr::v4(src), dst: Addr::v4([8, 8, 8, 8]), ..FlowKey::NONE };
        filter.matches(&Flow { key: Some(key), ..Flow::default() }, &Frames::new(&[], &[]))
    })
}

#[test]
fn any_origin_of_a_prefix_makes_a_test_true() {
    let expected = [
        ("src asn 64500", [true, false, false]),
        ("src asn 64501", [true, false, false]),
        ("src asn 64502", [false, true, false]),
        ("src asn 64500 and src asn 64501", [true, false, false]),
        ("src asn 64500 and src asn 64502", [false, false, false]),
        ("addr asn 64501", [true, false, false]),
        ("dst asn 64501", [false, false, false]),
        ("src asn {64501, 64502}", [true, true, false]),
        ("src asn > 64500", [true, true, false]),
        // Of another network than this one; nobody announces the third.
        ("src asn != 64501", [false, true, false]),
        ("not src asn 64501", [false, true, true]),
        ("not src asn != 64501", [true, false, true]),
        ("addr asn != 64502", [false, false, false]),
    ];
    for whole in [true, false] {
        let table: Arc<dyn Resolver> = Arc::new(Table { whole, asked: AtomicUsize::new(0) });
        let chained: Arc<dyn Resolver> = Arc::new(Chain(vec![Arc::new(Numeric), table.clone()]));
        let alone: Arc<dyn Resolver> = Arc::new(Chain(vec![table.clone()]));
        for (text, expected) in expected {
            let normal = Filter::parse(text).unwrap().normal().to_string();
            for names in [&table, &chained, &alone] {
                assert_eq!(passes(text, names), expected, "{text}, whole: {whole}");
                assert_eq!(passes(&normal, names), expected, "{text} as {normal}, whole: {whole}");
            }
        }
    }
}

#[test]
fn who_can_tell_a_networks_addresses_is_not_asked_for_single_ones() {
    for (whole, expected) in [(true, 0), (false, 3)] {
        let table = Arc::new(Table { whole, asked: AtomicUsize::new(0) });
        passes("src asn 64501", &(table.clone() as Arc<dyn Resolver>));
        assert_eq!(table.asked.load(Ordering::Relaxed), expected);
    }
}

/// Names hosts alone.
struct Hosts;

impl Resolver for Hosts {}

#[test]
fn as_numbers_that_nobody_knows_are_refused_when_the_pipeline_is_built() {
    let built = |text: &str, names: Arc<dyn Resolver>| {
        let filter = Filter::parse(text).unwrap().bind::<FlowEvent>(&names).unwrap();
        let source = SourceInfo { name: "test".into(), ..SourceInfo::default() };
        flowcore::pipeline::Pipeline::builder().filter(filter).build(&source).map(drop)
    };
    for text in ["asn 64500", "not src asn 64500", "udp or dst asn != 64500"] {
        for names in [Arc::new(Numeric) as Arc<dyn Resolver>, Arc::new(Hosts), Arc::new(Chain(vec![Arc::new(Hosts)]))] {
            let refused = built(text, names).unwrap_err();
            assert_eq!(refused.kind(), flowcore::ErrorKind::Usage, "{text}");
            assert!(refused.to_string().contains("needs AS numbers"), "{refused}");
        }
        for whole in [true, false] {
            let table: Arc<dyn Resolver> = Arc::new(Table { whole, asked: AtomicUsize::new(0) });
            let chained: Arc<dyn Resolver> = Arc::new(Chain(vec![Arc::new(Hosts), table.clone()]));
            assert!(built(text, table).is_ok() && built(text, chained).is_ok(), "{text}");
        }
    }
}
