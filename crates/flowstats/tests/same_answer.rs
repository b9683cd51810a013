//! The law that this family stands on: the same packets give the same answer, however they arrive.
//!
//! One random scenario goes through a capture file, through pushed events in batches of any size, through frames cut
//! to their headers and through a collector that breaks things; the tables must be equal where they can be, and the
//! ledger must balance and contain every loss.

use flowcore::collect::{Faults, Faulty};
use flowcore::pipeline::{Handle, Pipeline};
use flowcore::report::{Row, Snapshot};
use flowcore::{Collector, FlowEvent, Frames, Limit, Loss, Status, TcpFlags, Timestamp};
use flowsrc_pcap::Files;
use flowstats::conns::{Conns, row};
use proptest::prelude::*;

/// One packet of a scenario: milliseconds since the one before, which client, from the client or to it, what it is.
#[derive(Clone, Debug)]
struct Step {
    gap_ms: u32,
    client: u8,
    from_client: bool,
    flags: u8,
    seq: u32,
    payload: u16,
    kind: u8,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = (0u32..4000, 0u8..5, any::<bool>(), 0u8..8, 0u32..6, 0u16..300, 0u8..10).prop_map(
        |(gap_ms, client, from_client, flags, seq, payload, kind)| Step {
            gap_ms,
            client,
            from_client,
            flags,
            seq: 1000 + seq * 100,
            payload,
            kind,
        },
    );
    prop::collection::vec(step, 1..200)
}

/// Ethernet, IPv4 and TCP, UDP, ICMP echo or ARP, with lengths that are right.
fn frame(step: &Step, number: usize) -> Vec<u8> {
    if step.kind == 9 {
        let mut arp = vec![0xff; 12];
        arp.extend([0x08, 0x06, 0, 1, 8, 0, 6, 4, 0, 1]);
        arp.resize(60, 0);
        return arp;
    }
    let (client, server) = ([10, 0, 0, step.client], [10, 1, 0, 1]);
    let (src, dst) = if step.from_client { (client, server) } else { (server, client) };
    let (ports, protocol) = match step.kind {
        0..=5 => ([40_000u16, 80], 6u8),
        6 | 7 => ([40_000, 53], 17),
        _ => ([0, 0], 1),
    };
    let ports = if step.from_client { ports } else { [ports[1], ports[0]] };
    let mut transport = Vec::new();
    match protocol {
        6 => {
            let flags = [
                TcpFlags::SYN,
                TcpFlags::SYN | TcpFlags::ACK,
                TcpFlags::ACK,
                TcpFlags::ACK | TcpFlags::PSH,
                TcpFlags::FIN | TcpFlags::ACK,
                TcpFlags::RST,
                TcpFlags::ACK,
                TcpFlags::SYN | TcpFlags::ECE | TcpFlags::CWR,
            ][usize::from(step.flags)];
            transport.extend(ports.iter().flat_map(|port| port.to_be_bytes()));
            transport.extend(step.seq.to_be_bytes());
            transport.extend((step.seq + 100).to_be_bytes());
            transport.extend([0x50, flags.bits() as u8, 1, 0, 0, 0, 0, 0]);
        }
        17 => {
            transport.extend(ports.iter().flat_map(|port| port.to_be_bytes()));
            transport.extend((8 + step.payload).to_be_bytes());
            transport.extend([0, 0]);
        }
        _ => transport.extend([if step.from_client { 8 } else { 0 }, 0, 0, 0, 0, 1, 0, number as u8]),
    }
    transport.resize(transport.len() + usize::from(step.payload), 0);
    let mut frame = vec![2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 0x08, 0x00, 0x45, 0];
    frame.extend((20 + transport.len() as u16).to_be_bytes());
    frame.extend((number as u16).to_be_bytes());
    frame.extend([0, 0, 64, protocol, 0, 0]);
    frame.extend(src);
    frame.extend(dst);
    frame.extend(transport);
    frame
}

/// A classic capture with microseconds, every packet cut to `snap` bytes.
fn capture(steps: &[Step], snap: usize) -> Vec<u8> {
    let mut file = Vec::new();
    for word in [0xa1b2_c3d4u32, 0x0004_0002, 0, 0, 262_144, 1] {
        file.extend(word.to_le_bytes());
    }
    let mut ms = 1_700_000_000_000u64;
    for (number, step) in steps.iter().enumerate() {
        ms += u64::from(step.gap_ms);
        let frame = frame(step, number);
        let kept = frame.len().min(snap);
        for word in [(ms / 1000) as u32, (ms % 1000 * 1000) as u32, kept as u32, frame.len() as u32] {
            file.extend(word.to_le_bytes());
        }
        file.extend(&frame[..kept]);
    }
    file
}

fn open(file: Vec<u8>) -> Files {
    Files::builder().stream(Box::new(std::io::Cursor::new(file)), "scenario").open().unwrap()
}

fn pipeline(source: &dyn Collector) -> (Pipeline, Handle<Conns>) {
    let mut builder = Pipeline::builder();
    let conns = builder.add(Conns::new());
    (builder.build(source.info()).unwrap(), conns)
}

fn rows(pipeline: &mut Pipeline, conns: &Handle<Conns>) -> Vec<Row> {
    let mut finished = Vec::new();
    pipeline.get_mut(conns).take_finished(&mut finished);
    finished.iter().map(row).collect()
}

fn run(mut source: impl Collector) -> (Vec<Row>, Snapshot) {
    let (mut pipeline, conns) = pipeline(&source);
    let snapshot = pipeline.run(&mut source).unwrap();
    (rows(&mut pipeline, &conns), snapshot)
}

/// All events of a capture, and their rows when pushed in batches of `size`.
fn pushed(file: Vec<u8>, size: usize) -> (Vec<Row>, Snapshot) {
    let mut source = open(file);
    let (mut pipeline, conns) = pipeline(&source);
    let mut events: Vec<FlowEvent> = Vec::new();
    while source.fill(&mut events, Limit::default()).unwrap().status != Status::End {}
    for chunk in events.chunks(size) {
        pipeline.push(&mut chunk.to_vec(), Frames::EMPTY, Timestamp::MIN).unwrap();
    }
    while pipeline.close().unwrap() {}
    let snapshot = pipeline.snapshot(None, true);
    (rows(&mut pipeline, &conns), snapshot)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn a_file_pushed_events_and_any_batches_give_the_same_rows(steps in steps(), size in 1usize..600) {
        let file = capture(&steps, 65_535);
        let (from_file, snapshot) = run(open(file.clone()));
        let (from_events, counted) = pushed(file, size);
        prop_assert_eq!(&from_file, &from_events);
        prop_assert_eq!(snapshot.ledger.seen(), steps.len() as u64);
        prop_assert_eq!((snapshot.ledger.filtered(), snapshot.ledger.lost_total()), (0, 0));
        prop_assert_eq!(snapshot.ledger.delivered(), steps.len() as u64);
        // That nothing was damaged is for the source alone to say.
        let mut counted = counted.ledger;
        counted.lose(Loss::Damaged, 0);
        prop_assert_eq!(snapshot.ledger, counted);
        let packets: u64 = from_file.iter().map(packets_of).sum();
        prop_assert_eq!(packets + counted_flowless(&steps), steps.len() as u64);
    }

    #[test]
    fn headers_alone_give_the_same_rows(steps in steps()) {
        let (whole, _) = run(open(capture(&steps, 65_535)));
        let (headers, snapshot) = run(open(capture(&steps, 54)));
        prop_assert_eq!(whole, headers);
        let longer = steps.iter().enumerate().filter(|&(n, step)| frame(step, n).len() > 54).count();
        prop_assert_eq!(snapshot.ledger.truncated, longer as u64);
    }

    #[test]
    fn whatever_is_broken_on_the_way_is_in_the_ledger(steps in steps(), seed in any::<u64>()) {
        let faults = Faults { drop: 5, duplicate: 7, reorder: 6, stall: 3, seed };
        let mut faulty = Faulty::new(open(capture(&steps, 65_535)), faults);
        let (mut pipeline, conns) = pipeline(&faulty);
        let snapshot = pipeline.run(&mut faulty).unwrap();
        let ledger = &snapshot.ledger;
        // What came through is counted a second time from the same seed, event by event and not by anybody's ledger.
        let given = given(Faulty::new(open(capture(&steps, 65_535)), faults));
        let distinct = given.iter().collect::<std::collections::HashSet<_>>().len();
        prop_assert_eq!(ledger.delivered(), given.len() as u64);
        prop_assert_eq!(ledger.lost(Loss::Ring), Some((steps.len() - distinct) as u64));
        prop_assert_eq!(ledger.seen(), (given.len() + steps.len() - distinct) as u64);
        // What the analyzers counted is what the ledger says was delivered with a flow.
        let packets: u64 = rows(&mut pipeline, &conns).iter().map(packets_of).sum();
        let flowless = pipeline.ledger(None).flowless;
        prop_assert_eq!(packets + flowless, ledger.delivered());
    }
}

/// The frame of every event that a collector gives: where it lies in the file tells one from another.
fn given(mut source: impl Collector) -> Vec<u32> {
    let (mut events, mut given) = (Vec::new(), Vec::new());
    loop {
        let status = source.fill(&mut events, Limit::default()).unwrap().status;
        given.extend(events.drain(..).map(|event| event.frame.offset));
        if status == Status::End {
            return given;
        }
    }
}

fn packets_of(row: &Row) -> u64 {
    let count = |name| {
        let place = flowstats::conns::COLUMNS.iter().position(|def| def.column.name == name).unwrap();
        match row.cells[place] {
            flowcore::report::Value::U64(count) => count,
            _ => 0,
        }
    };
    count("fwd_packets") + count("rev_packets")
}

fn counted_flowless(steps: &[Step]) -> u64 {
    steps.iter().filter(|step| step.kind == 9).count() as u64
}
