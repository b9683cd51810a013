//! `--asn`: the counts that tshark and pyasn have for filters on AS numbers, and what the commands show.
#![allow(clippy::unwrap_used, reason = "a test whose preparation fails has failed")]
#![allow(clippy::print_stdout, reason = "a skipped test says why")]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use flowcore::wire::DecodeOptions;
use flowcore::{Collector, FlowEvent, Limit, Resolver, Status};
use flowfilter::{Filter, Predicate, STEP};
use flowresolve::asn::{Loader, Options};
use flowsrc_pcap::Files;

/// The captures and their truths, if they are there.
fn captures() -> Option<PathBuf> {
    let default = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/captures");
    let folder = std::env::var_os("FLOW_CAPTURES").map_or_else(|| default.into(), PathBuf::from);
    if !folder.join("truth/asn").is_dir() {
        println!("skipped: no captures at {}; FLOW_CAPTURES names their folder", folder.display());
        return None;
    }
    Some(folder)
}

fn networks(captures: &Path, private: bool) -> Arc<dyn Resolver> {
    let mut loader = Loader::new(Options { private });
    loader.file(&captures.join("asn/ipasn_sample.dat")).unwrap();
    Arc::new(loader.finish())
}

/// Packets of a capture that each filter selects, by their outermost headers as the truth has them.
fn counts(path: &Path, filters: &[Predicate<FlowEvent>]) -> Vec<u64> {
    let options = DecodeOptions { decapsulate: false, headers: true };
    let mut source = Files::builder().decode(options).path(path).open().unwrap();
    let (mut events, mut counts) = (Vec::new(), vec![0; filters.len()]);
    loop {
        events.clear();
        let filled = source.fill(&mut events, Limit::default()).unwrap();
        let (frames, status) = (filled.frames, filled.status);
        for step in events.chunks(STEP) {
            for (filter, count) in filters.iter().zip(&mut counts) {
                *count += u64::from(filter.mask(step, &frames).count_ones());
            }
        }
        if status == Status::End {
            return counts;
        }
    }
}

/// File, filter, our packets and the truth's, where they differ; and how many were compared.
fn differences(captures: &Path, private: bool) -> (Vec<(String, String, u64, u64)>, usize) {
    let text = fs::read_to_string(captures.join("truth/asn/filter_counts.tsv")).unwrap();
    let mut files: BTreeMap<&str, Vec<(&str, u64)>> = BTreeMap::new();
    for row in text.lines().filter(|line| !line.starts_with('#')).skip(1) {
        let [file, filter, packets] = row.split('\t').collect::<Vec<_>>()[..] else { panic!("{row}") };
        files.entry(file).or_default().push((filter, packets.parse().unwrap()));
    }
    let networks = networks(captures, private);
    let (mut different, mut compared, mut absent) = (Vec::new(), 0, 0);
    for (file, rows) in &files {
        // Snoop files are refused, with the way to convert them.
        if !captures.join(file).exists() || file.ends_with(".snoop") {
            println!("skipped: {file}, of which {} counts are known, is not here or no capture of ours", rows.len());
            absent += rows.len();
            continue;
        }
        let bind = |text: &str| Filter::parse(text).unwrap().bind::<FlowEvent>(&networks).unwrap();
        let filters: Vec<_> = rows.iter().map(|(text, _)| bind(text)).collect();
        for (&(text, truth), ours) in rows.iter().zip(counts(&captures.join(file), &filters)) {
            compared += 1;
            if ours != truth {
                different.push(((*file).to_owned(), text.to_owned(), ours, truth));
            }
        }
    }
    assert_eq!(compared + absent, 1078);
    (different, compared)
}

/// File, filter, ours, theirs: each has its cause in docs/filters-agreement.md.
const KNOWN: [(&str, &str, u64, u64); 9] = [
    ("encap/4in6.pcap", "src asn 6939 and tcp", 0, 1),
    ("encap/6in4tunnel.pcap", "src asn 6939 and tcp", 0, 36),
    ("encap/6in4tunnel.pcap", "src asn 6327 and tcp", 0, 41),
    ("encap/gre-sample.pcap", "src asn 11590 and tcp", 0, 10),
    ("encap/ipoipoip.pcap", "src asn 15169 and tcp", 0, 1),
    ("ip/AH-IPcomp-IPv6.pcap", "src asn 6939 and tcp", 0, 6),
    ("malformed/decode-too-small.pcap", "src asn 15169 and tcp", 1, 0),
    ("sflow/sflow-multiple-interfaces.pcap", "src asn 197711 and tcp", 0, 1),
    ("sflow/sflow_expanded.pcap", "src asn 197711 and tcp", 0, 1),
];

#[test]
fn every_count_is_that_of_the_truth() {
    let Some(captures) = captures() else { return };
    let (different, compared) = differences(&captures, false);
    assert!(compared > 800, "{compared}");
    let known = KNOWN.map(|(file, filter, ours, truth)| (file.to_owned(), filter.to_owned(), ours, truth));
    assert_eq!(different, known);
}
