use super::*;
use crate::event::Detail;
use crate::key::{FlowKey, Protocol};
use crate::record::FlowRecord;
use crate::report::{Column, Meaning, Row, Table, Unit, Value};
use std::sync::Mutex;

/// Sums packets, and counts beginnings and ends.
#[derive(Default)]
struct Sum {
    packets: u64,
    begun: u64,
    ended: u64,
    allowed: u64,
}

impl Analyzer for Sum {
    fn name(&self) -> &str {
        "sum"
    }
    fn needs(&self) -> Features {
        Features::PACKETS
    }
    fn observe(&mut self, batch: &Batch<'_>) -> Result<()> {
        for event in batch.events {
            self.packets += u64::from(event.packets);
            self.begun += u64::from(event.marks.contains(Marks::BEGIN));
            self.allowed += u64::from(event.marks.contains(Marks::ALLOWED)) * u64::from(event.packets);
            self.ended += u64::from(matches!(event.detail, Detail::End(_)));
        }
        Ok(())
    }
    fn snapshot(&self, out: &mut Tables) {
        let column = Column {
            name: "packets".into(),
            title: "packets".into(),
            unit: Unit::Packets,
            meaning: Meaning::Counter,
            about: "".into(),
            bounded: false,
        };
        let mut table = Table::new("sum", vec![column]);
        table.rows.push(Row { cells: vec![Value::U64(self.packets)], ..Row::default() });
        out.push(table);
    }
}

struct OddPorts;
impl Select for OddPorts {
    fn select(&self, events: &[FlowEvent], _: &Frames<'_>) -> u64 {
        events.iter().enumerate().fold(0, |mask, (i, event)| mask | u64::from(event.key.src_port % 2 == 1) << i)
    }
}

struct PortAbove(u16);
impl Whitelist for PortAbove {
    fn judge(&self, flow: &FlowRecord, _: &dyn Resolver) -> Verdict {
        if flow.key.src_port > self.0 { Verdict::Allowed(crate::RuleId(0)) } else { Verdict::Unlisted }
    }
    fn rule(&self, _: crate::RuleId) -> &str {
        "port above"
    }
}

fn source() -> SourceInfo {
    SourceInfo { name: "test".into(), offers: Features::PACKETS, ..SourceInfo::default() }
}

fn events(count: u16) -> Vec<FlowEvent> {
    (0..count)
        .map(|n| FlowEvent {
            time: Timestamp::from_nanos(i64::from(n) * 10_000_000),
            key: FlowKey {
                src: "10.0.0.1".parse().unwrap(),
                dst: "10.0.0.2".parse().unwrap(),
                src_port: 50_000 + n % 10,
                dst_port: 53,
                protocol: Protocol::UDP,
                ..FlowKey::NONE
            },
            packets: 1,
            ..FlowEvent::default()
        })
        .collect()
}

#[test]
fn what_a_source_does_not_offer_is_an_error_that_names_both() {
    let mut builder = Pipeline::builder();
    builder.add(Sum::default());
    let error = builder.build(&SourceInfo { name: "sockets".into(), ..SourceInfo::default() }).err().unwrap();
    assert_eq!(error.to_string(), "sum needs single packets, which sockets does not offer");
}

#[test]
fn filtered_packets_are_counted_and_the_balance_holds() {
    let mut builder = Pipeline::builder().filter(OddPorts);
    let sum = builder.add(Sum::default());
    let mut pipeline = builder.build(&source()).unwrap();
    pipeline.push(&mut events(1000), Frames::EMPTY, Timestamp::EPOCH).unwrap();
    while pipeline.close().unwrap() {}
    let snapshot = pipeline.snapshot(None, true);
    assert_eq!((snapshot.ledger.delivered(), snapshot.ledger.filtered(), snapshot.ledger.seen()), (500, 500, 1000));
    let sum = pipeline.get(&sum);
    assert_eq!((sum.packets, sum.begun, sum.ended), (500, 5, 5));
}

#[test]
fn a_whitelist_is_asked_once_per_flow_and_marks_every_event() {
    let mut builder = Pipeline::builder().whitelist(PortAbove(50_004));
    let sum = builder.add(Sum::default());
    let mut pipeline = builder.build(&source()).unwrap();
    pipeline.push(&mut events(1000), Frames::EMPTY, Timestamp::EPOCH).unwrap();
    assert_eq!(pipeline.get(&sum).allowed, 500);
}

#[derive(Clone, Default)]
struct Kept(Arc<Mutex<Vec<Value>>>);
impl Reporter for Kept {
    fn report(&mut self, snapshot: &Snapshot, _: &dyn Resolver) -> Result<()> {
        let value = snapshot.tables[0].rows[0].cells[0].clone();
        self.0.lock().unwrap().push(value);
        Ok(())
    }
}

#[test]
fn reports_come_at_intervals_of_event_time_whatever_the_batches() {
    let outcome = |size: usize| {
        let kept = Kept::default();
        let mut builder = Pipeline::builder().report(Some(Duration::from_secs(1)), kept.clone());
        builder.add(Sum::default());
        let mut pipeline = builder.build(&source()).unwrap();
        for chunk in events(350).chunks(size) {
            pipeline.push(&mut chunk.to_vec(), Frames::EMPTY, chunk[chunk.len() - 1].time).unwrap();
        }
        let kept = kept.0.lock().unwrap();
        kept.clone()
    };
    // One event every 10 ms: 100 before each full second.
    assert_eq!(outcome(1), [Value::U64(100), Value::U64(200), Value::U64(300)]);
    assert_eq!(outcome(350), outcome(1));
    assert_eq!(outcome(33), outcome(1));
}
