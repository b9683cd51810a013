//! `flowstats::hosts` against what is known of its predecessor TRTOP: its text dumps, its sequences, its bugs.
//!
//! Every packet goes through a capture file, the reader, the flow table and the analyzer.
#![allow(clippy::unwrap_used, reason = "a test whose preparation fails has failed")]

#[path = "../../../flowcore/tests/support/captures.rs"]
mod captures;
mod dumps;
mod laws;
mod listing;
mod packets;
mod sequences;
mod tape;

use flowcore::pipeline::Pipeline;
use flowcore::resolve::Numeric;
use flowcore::{Collector, Limit, Nanos, Resolver, Status};
use flowsrc_pcap::Files;
use flowstats::Hosts;
use flowstats::hosts::{Host, Levels, Measure, Options};
use packets::{Link, Packet, capture};

/// Runs packets through everything, `at_once` at a time.
fn observed(packets: &[Packet], options: Options, link: Link, at_once: usize) -> Hosts {
    let file = capture(packets, link);
    let mut source = Files::builder().stream(Box::new(std::io::Cursor::new(file)), "tape").open().unwrap();
    let mut builder = Pipeline::builder();
    let handle = builder.add(Hosts::new(options));
    let mut pipeline = builder.build(source.info()).unwrap();
    let mut events = Vec::new();
    loop {
        let filled = source.fill(&mut events, Limit { events: at_once, ..Limit::default() }).unwrap();
        let (frames, through, status) = (filled.frames, filled.through, filled.status);
        pipeline.push(&mut events, frames, through).unwrap();
        if status == Status::End {
            break;
        }
    }
    while pipeline.close().unwrap() {}
    std::mem::take(pipeline.get_mut(&handle))
}

fn rows_named(packets: &[Packet], options: Options, names: &dyn Resolver) -> Vec<Host> {
    observed(packets, options, Link::Ethernet, 512).rows(names, &Levels::default())
}

fn rows(packets: &[Packet], options: Options) -> Vec<Host> {
    rows_named(packets, options, &Numeric)
}

/// The one row of a capture of one remote.
fn row(packets: &[Packet]) -> Host {
    let rows = rows(packets, Options::default());
    assert_eq!(rows.len(), 1, "{rows:#?}");
    rows.into_iter().next().unwrap()
}

/// TRTOP's counters: syn, syn_ack, est, rst, fin_out, fin_in, out, in, err.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
struct Counts {
    syn: u64,
    syn_ack: u64,
    est: u64,
    rst: u64,
    fin_out: u64,
    fin_in: u64,
    out: u64,
    answered: u64,
    err: u64,
}

impl Counts {
    /// One connection with a handshake and as many requests and responses.
    const fn opened(out: u64, answered: u64) -> Self {
        Self { syn: 1, syn_ack: 1, est: 1, rst: 0, fin_out: 0, fin_in: 0, out, answered, err: 0 }
    }
}

fn counts(host: &Host) -> Counts {
    let tally = &host.tally;
    Counts {
        syn: tally.syn,
        syn_ack: tally.syn_ack,
        est: tally.established,
        rst: tally.reset.iter().sum(),
        fin_out: tally.closed_out.iter().sum(),
        fin_in: tally.closed_in.iter().sum(),
        out: tally.requests,
        answered: tally.responses,
        err: tally.errors(),
    }
}

/// The 95th percentile in microseconds, rounded; exact for up to two samples, and for the largest.
fn p95_micros(host: &Host, measure: Measure) -> Option<u64> {
    host.quantile(measure, 0).map(|nanos| (nanos + 500) / 1000)
}

/// The capture's length.
fn span_millis(host: &Host) -> Option<i64> {
    host.span.map(|span: Nanos| span.get() / 1_000_000)
}
