//! AS numbers against look-ups that others made in the same tables: pyasn for text, bgpdump and pyasn for dumps.

#![cfg(feature = "mrt")]
#![allow(clippy::unwrap_used, reason = "a test whose preparation fails has failed")]

#[path = "../../flowcore/tests/support/captures.rs"]
mod captures;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::PathBuf;

use flowcore::{Addr, Resolver};
use flowresolve::asn::{Kind, Loader, Networks, Options};

/// The captures, if the look-ups are there.
fn captures() -> Option<PathBuf> {
    captures::captures("truth/asn")
}

fn load(table: &str) -> Option<Networks> {
    let mut loader = Loader::new(Options { private: false });
    loader.file(&captures()?.join("asn").join(table)).unwrap();
    Some(loader.finish())
}

/// The rows of a truth file, without comments and heading.
fn rows(truth: &str) -> Vec<Vec<String>> {
    let path = captures().unwrap().join("truth/asn").join(truth);
    let text = fs::read_to_string(path).unwrap();
    let rows = text.lines().filter(|line| !line.starts_with('#')).skip(1);
    rows.map(|row| row.split('\t').map(str::to_owned).collect()).collect()
}

#[test]
fn every_address_is_found_as_pyasn_finds_it() {
    let Some(networks) = load("ipasn_sample.dat") else { return };
    assert_eq!((networks.sources()[0].networks, networks.sources()[0].damaged), (6103, 0));
    let rows = rows("addresses.tsv");
    for row in &rows {
        let [addr, prefix, asn] = &row[..] else { panic!("{row:?}") };
        let found = networks.network(addr.parse().unwrap()).known();
        let found = found.map(|network| (network.prefix.to_string(), network.asn.to_string()));
        let truth = (prefix != "-").then(|| (prefix.clone(), asn.clone()));
        assert_eq!(found, truth, "{addr}");
    }
    assert_eq!(rows.len(), 722);
}

#[test]
fn every_range_of_iptoasn_is_found_at_both_ends() {
    let Some(networks) = load("iptoasn-v4-sample.tsv") else { return };
    let text = fs::read_to_string(captures().unwrap().join("asn/iptoasn-v4-sample.tsv")).unwrap();
    let mut lines = 0;
    for line in text.lines() {
        let [first, last, asn, _, name] = line.split('\t').collect::<Vec<_>>()[..] else { panic!("{line}") };
        for addr in [first, last] {
            let network = networks.network(addr.parse().unwrap()).known().unwrap();
            assert_eq!((network.asn.to_string().as_str(), network.holder.as_deref()), (asn, Some(name)), "{line}");
            assert!(network.prefix.contains(addr.parse().unwrap()));
        }
        lines += 1;
    }
    assert_eq!((lines, networks.sources()[0].damaged), (1427, 0));
}

/// Origins by prefix, as a truth has them for one dump.
fn origins(truth: &str, file: &str) -> BTreeMap<String, BTreeSet<u32>> {
    let mut origins: BTreeMap<String, BTreeSet<u32>> = BTreeMap::new();
    for row in rows(truth).iter().filter(|row| row[0] == file) {
        // Routes of the own network have no path, and so no origin.
        let asns = origins.entry(row[1].clone()).or_default();
        asns.extend(
            row[2]
                .split([' ', '{', '}', ','])
                .filter(|word| !word.is_empty())
                .map(|word| word.parse::<u32>().unwrap_or_else(|_| panic!("{row:?}"))),
        );
    }
    origins
}

const DUMPS: [&str; 6] = [
    "mrtparse-bird-mrtdump_rib.mrt",
    "mrtparse-bird6-mrtdump_rib.mrt",
    "mrtparse-openbgpd_rib_table-v2.mrt",
    "mrtparse-openbgpd_rib_table.mrt",
    "mrtparse-quagga_rib.mrt",
    "routeviews-rib.20140523.0600-first150k.mrt",
];

#[test]
fn every_prefix_of_a_dump_has_the_origins_that_bgpdump_prints() {
    if captures().is_none() {
        return;
    }
    for file in DUMPS.iter().filter(|file| !file.contains("bird")) {
        let networks = load(file).unwrap();
        let source = &networks.sources()[0];
        let truth = origins("mrt_origins_bgpdump.tsv", file);
        let with_origin = truth.values().filter(|asns| !asns.is_empty()).count();
        assert_eq!((source.kind, source.damaged), (Kind::Mrt, 0), "{source:?}");
        assert_eq!((source.networks, source.without_origin), (with_origin as u64, (truth.len() - with_origin) as u64));
        for (prefix, asns) in truth.iter().filter(|(_, asns)| !asns.is_empty()) {
            let first: Addr = prefix.split('/').next().unwrap().parse().unwrap();
            let found: BTreeSet<u32> = networks.origins(first).iter().copied().collect();
            // A narrower prefix with the same first address answers for it.
            let shown = networks.network(first).known().unwrap().prefix.to_string();
            if shown == *prefix {
                assert_eq!(&found, asns, "{file}: {prefix}");
            } else {
                assert!(truth.contains_key(&shown), "{file}: {prefix} is hidden by {shown}");
            }
        }
    }
}

/// bgpdump 1.6.2 prints the path identifiers of these dumps (RFC 8050) as origins: 1 and 2, and 0 where there is no path.
/// What stands here was read from their bytes.
#[test]
fn routes_with_path_identifiers_end_where_their_paths_do() {
    if captures().is_none() {
        return;
    }
    for (file, without_origin, prefixes) in [
        (DUMPS[0], 3, ["172.17.0.0", "172.17.1.0", "172.17.2.0"]),
        (DUMPS[1], 2, ["fd01:1::", "fd01:1:1::", "fd01:1:2::"]),
    ] {
        let networks = load(file).unwrap();
        let source = &networks.sources()[0];
        assert_eq!((source.networks, source.without_origin, source.damaged), (3, without_origin, 0), "{file}");
        for prefix in prefixes {
            assert_eq!(networks.origins(prefix.parse().unwrap()), [64_512, 65_534], "{file}: {prefix}");
        }
    }
}

#[test]
fn the_first_origin_is_the_one_that_pyasn_chooses() {
    let file = DUMPS[5];
    let Some(networks) = load(file) else { return };
    let truth = origins("mrt_origins_pyasn.tsv", file);
    let mut different = Vec::new();
    for (prefix, asns) in &truth {
        let network = networks.network(prefix.split('/').next().unwrap().parse().unwrap()).known().unwrap();
        if network.prefix.to_string() == *prefix && !asns.contains(&network.asn) {
            different.push((prefix.as_str(), network.asn, asns));
        }
    }
    assert_eq!(different, []);
    assert!(truth.len() > 100);
}
