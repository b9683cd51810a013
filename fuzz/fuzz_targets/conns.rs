//! The whole way: bytes, packets, events, flows, connections. The ledger must account for every packet.

#![no_main]

use std::io::Cursor;

use flowcore::pipeline::Pipeline;
use flowsrc_pcap::Files;
use flowstats::Conns;
use libfuzzer_sys::fuzz_target;

/// See `reader.rs`: what a few bytes unpack to is bounded here.
const ENOUGH: u64 = 50_000;

fuzz_target!(|input: &[u8]| {
    let source = Files::builder().stream(Box::new(Cursor::new(input.to_vec())), "input").packet_limit(ENOUGH).open();
    let Ok(mut source) = source else { return };
    let mut parts = Pipeline::builder();
    parts.add(Conns::default());
    let mut pipeline = parts.build(flowcore::Collector::info(&source)).expect("a capture offers what conns needs");
    let snapshot = pipeline.run(&mut source).expect("reading from memory does not fail");
    assert_eq!(snapshot.ledger.seen(), snapshot.ledger.accounted());
    assert!(snapshot.complete);
});
