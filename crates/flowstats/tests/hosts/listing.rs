//! Which connections have rows must not depend on how fast names come.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use flowcore::pipeline::{Handle, Pipeline};
use flowcore::resolve::{Lookup, Resolver};
use flowcore::{Addr, Collector, FlowRecord, Limit, RuleId, Status, Verdict, Whitelist};
use flowsrc_pcap::Files;
use flowstats::Hosts;
use flowstats::hosts::{Host, Levels, Listing, Measure, Options, Who};

use super::packets::{Link, Packet, capture};
use super::tape::Tape;

/// Names come only when this many have been asked for, or when somebody waits for them.
struct Late(AtomicU64);

impl Late {
    fn after(askings: u64) -> Arc<Self> {
        Arc::new(Self(AtomicU64::new(askings)))
    }
}

impl Resolver for Late {
    fn name(&self, addr: Addr, _: u16) -> Lookup<Arc<str>> {
        let left = self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| Some(left.saturating_sub(1)));
        match left {
            Ok(0) if addr.to_string() == "10.0.0.2" => Lookup::Known("friend".into()),
            Ok(0) => Lookup::Absent,
            _ => Lookup::Pending,
        }
    }
    fn settle(&self, within: Duration) -> Duration {
        let waited = self.0.swap(0, Ordering::Relaxed) > 0;
        if waited { within.saturating_sub(Duration::from_nanos(1)) } else { within }
    }
}

/// What never comes.
struct Never;

impl Resolver for Never {
    fn name(&self, _: Addr, _: u16) -> Lookup<Arc<str>> {
        Lookup::Pending
    }
}

struct Friends;

impl Whitelist for Friends {
    fn judge(&self, flow: &FlowRecord, names: &dyn Resolver) -> Verdict {
        match names.name(flow.key.dst, flow.key.dst_port) {
            Lookup::Known(name) if &*name == "friend" => Verdict::Allowed(RuleId(0)),
            Lookup::Pending => Verdict::Undecided,
            _ => Verdict::Unlisted,
        }
    }
    fn rule(&self, _: RuleId) -> &str {
        "friend"
    }
}

/// To three remotes two connections each, one of them still open at the end.
fn packets() -> Vec<Packet> {
    let mut packets: Vec<Packet> = Vec::new();
    for (server, port) in [("10.0.0.2", 1), ("10.0.0.3", 2), ("10.0.0.4", 3)] {
        for closes in [false, true] {
            let tape = Tape::between(("10.0.0.1", 40_000 + 10 * port + u16::from(closes)), (server, 80))
                .handshake()
                .c(1020.0, "P.", 1, 1, 100)
                .s(1030.0 + f64::from(port), "P.", 1, 101, 1000)
                .c(1050.0, "P.", 101, 1001, 100)
                .s(1090.0, "P.", 1001, 201, 1000);
            let tape = if closes { tape.c(1100.0, "F.", 201, 2001, 0).s(1101.0, "F.", 2001, 202, 0) } else { tape };
            packets.extend(tape.packets);
        }
    }
    packets.sort_by_key(|packet| packet.nanos);
    packets
}

struct Run {
    pipeline: Pipeline,
    hosts: Handle<Hosts>,
}

impl Run {
    /// Until the input ends; the flows still live.
    fn over(packets: &[Packet], options: Options, names: Arc<dyn Resolver>, at_once: usize) -> Self {
        let file = capture(packets, Link::Ethernet);
        let mut source = Files::builder().stream(Box::new(std::io::Cursor::new(file)), "tape").open().unwrap();
        let mut builder = Pipeline::builder().whitelist(Friends).resolver(names).patience(Duration::from_millis(1));
        let hosts = builder.add(Hosts::new(options));
        let mut pipeline = builder.build(source.info()).unwrap();
        let mut events = Vec::new();
        loop {
            let filled = source.fill(&mut events, Limit { events: at_once, ..Limit::default() }).unwrap();
            let (frames, through, status) = (filled.frames, filled.through, filled.status);
            pipeline.push(&mut events, frames, through).unwrap();
            if status == Status::End {
                return Self { pipeline, hosts };
            }
        }
    }

    fn closed(mut self) -> Self {
        while self.pipeline.close().unwrap() {}
        self
    }

    /// Everything that a row says, by whose it is.
    fn rows(&self) -> Vec<String> {
        let hosts = self.pipeline.get(&self.hosts);
        let levels = Levels::default();
        let told = |row: &Host| {
            let quantile = |measure| row.quantile(measure, 0);
            let quantiles = [Measure::Connect, Measure::Path, Measure::LastByte, Measure::PerConnection].map(quantile);
            format!("{:?} {:?} {:?} {quantiles:?}", row.who, row.remotes, row.tally)
        };
        let mut rows: Vec<String> = hosts.rows(&flowcore::resolve::Numeric, &levels).iter().map(told).collect();
        rows.sort();
        rows.push(told(&hosts.total(&levels)));
        rows
    }

    fn connections(&self) -> Vec<(String, u64)> {
        let name = |who: &Who| match who {
            Who::Remote(remote) => remote.addr.to_string(),
            who => format!("{who:?}"),
        };
        let rows = self.pipeline.get(&self.hosts).rows(&flowcore::resolve::Numeric, &Levels::default());
        let mut rows: Vec<_> = rows.iter().map(|row| (name(&row.who), row.tally.connections)).collect();
        rows.sort();
        rows
    }
}

fn options(listing: Listing) -> Options {
    Options { listing, ..Options::default() }
}

fn is(rows: &[(&str, u64)]) -> Vec<(String, u64)> {
    rows.iter().map(|&(who, connections)| (who.to_owned(), connections)).collect()
}

#[test]
fn rows_are_the_same_however_late_a_name_comes() {
    for listing in [Listing::Allowed, Listing::Unlisted] {
        let at_once = Run::over(&packets(), options(listing), Late::after(0), 512).closed();
        let expected = match listing {
            Listing::Allowed => is(&[("10.0.0.2", 2), ("Unlisted", 4)]),
            _ => is(&[("10.0.0.3", 2), ("10.0.0.4", 2), ("Allowed", 2)]),
        };
        assert_eq!(at_once.connections(), expected);
        let total = at_once.pipeline.get(&at_once.hosts).total(&Levels::default());
        assert_eq!(total.tally.connections, 6, "what the rows show");
        for (late, at_a_time) in [(1, 512), (3, 1), (6, 4), (7, 1), (9, 512), (u64::MAX, 1), (u64::MAX, 512)] {
            let run = Run::over(&packets(), options(listing), Late::after(late), at_a_time).closed();
            assert_eq!(run.rows(), at_once.rows(), "{late} askings late");
        }
    }
}

#[test]
fn a_name_that_never_comes_hides_nothing() {
    for listing in [Listing::Allowed, Listing::Unlisted] {
        let run = Run::over(&packets(), options(listing), Arc::new(Never), 512).closed();
        assert_eq!(run.connections(), is(&[("10.0.0.2", 2), ("10.0.0.3", 2), ("10.0.0.4", 2)]));
    }
}

#[test]
fn open_connections_are_told_by_the_verdict_of_now() {
    let names = Late::after(u64::MAX);
    let mut run = Run::over(&packets(), options(Listing::Allowed), names.clone(), 512);
    assert_eq!(run.connections(), is(&[("10.0.0.2", 2), ("10.0.0.3", 2), ("10.0.0.4", 2)]));
    let total = run.pipeline.get(&run.hosts).total(&Levels::default());
    assert_eq!((total.tally.connections, total.remotes), (6, Some(3)));
    names.settle(Duration::ZERO);
    run.pipeline.ask_again();
    assert_eq!(run.connections(), is(&[("10.0.0.2", 2), ("Unlisted", 4)]));
    assert_eq!(run.closed().connections(), is(&[("10.0.0.2", 2), ("Unlisted", 4)]));
}

#[test]
fn what_waits_for_a_name_keeps_to_the_most_rows() {
    let most = Options { listing: Listing::Unlisted, most_rows: 1, ..Options::default() };
    let run = Run::over(&packets(), most, Late::after(u64::MAX), 512);
    assert_eq!(run.connections(), is(&[("10.0.0.2", 2), ("Others", 4)]));
    // What has no row in the end takes the place of none.
    assert_eq!(run.closed().connections(), is(&[("10.0.0.3", 2), ("Allowed", 2), ("Others", 2)]));
}
