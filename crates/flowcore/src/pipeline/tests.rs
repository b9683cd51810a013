use super::*;
use crate::collect::{Filled, SourceInfo};
use crate::event::Detail;
use crate::features::Features;
use crate::key::{FlowKey, Protocol};
use crate::record::FlowRecord;
use crate::report::{Column, Meaning, Row, Table, Unit, Value};
use std::sync::Mutex;

mod late;
mod shortfalls;

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
        let column = Column::new(["packets", "packets", ""], Unit::Packets, Meaning::Counter);
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
fn what_only_options_or_resolvers_offer_is_told_with_the_remedy() {
    struct Needs(Features);
    impl Select for Needs {
        fn select(&self, _: &[FlowEvent], _: &Frames<'_>) -> u64 {
            0
        }
        fn needs(&self) -> Features {
            self.0
        }
    }
    let said = |needs| Pipeline::builder().filter(Needs(needs)).build(&source()).err().unwrap().to_string();
    let headers = "the filter needs link addresses and IP header fields, which test does not offer; captures offer \
                   them if they are opened with `DecodeOptions::headers`";
    assert_eq!(said(Features::HEADERS), headers);
    assert_eq!(said(Features::HEADERS | Features::NETWORKS), headers);
    let names = "the filter needs AS numbers, which no resolver offers: bind it to one that does (`Resolver::offers`)";
    assert_eq!(said(Features::NETWORKS | Features::PACKETS), names);
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
fn two_analyzers_whose_tables_have_one_name_are_refused_where_there_is_a_report() {
    let build = |builder: Builder| {
        let mut builder = builder;
        let sums = [builder.add(Sum::default()), builder.add(Sum::default())];
        builder.build(&source()).map(|pipeline| (pipeline, sums))
    };
    assert!(build(Pipeline::builder()).is_ok(), "the typed results can be told apart");
    let error = build(Pipeline::builder().report(None, Kept::default())).err().unwrap();
    assert_eq!(
        error.to_string(),
        "two tables are called `sum`, and a report could not say which is which; give one a name of its own, or its \
         analyzer a pipeline of its own"
    );
}

#[test]
fn reports_come_at_intervals_of_event_time_whatever_the_batches() {
    let outcome_of = |count: u16, size: usize| {
        let kept = Kept::default();
        let mut builder = Pipeline::builder().report(Some(Duration::from_secs(1)), kept.clone());
        builder.add(Sum::default());
        let mut pipeline = builder.build(&source()).unwrap();
        for chunk in events(count).chunks(size) {
            let mut events = chunk.to_vec();
            pipeline.push(&mut events, Frames::EMPTY, chunk[chunk.len() - 1].time).unwrap();
            assert!(events.is_empty());
        }
        let kept = kept.0.lock().unwrap();
        kept.clone()
    };
    let outcome = |size| outcome_of(350, size);
    // One event every 10 ms: 100 before each full second.
    assert_eq!(outcome(1), [Value::U64(100), Value::U64(200), Value::U64(300)]);
    assert_eq!(outcome(350), outcome(1));
    assert_eq!(outcome(33), outcome(1));
    // More than a step at once.
    assert_eq!(outcome_of(9000, 9000), outcome_of(9000, 33));
}

#[test]
fn an_interval_of_no_length_is_none() {
    let kept = Kept::default();
    let mut builder = Pipeline::builder().report(Some(Duration::ZERO), kept.clone());
    builder.add(Sum::default());
    let mut pipeline = builder.build(&source()).unwrap();
    pipeline.push(&mut events(350), Frames::EMPTY, Timestamp::EPOCH).unwrap();
    assert_eq!(*kept.0.lock().unwrap(), []);
}

/// Gives its batches one by one.
struct Given {
    info: SourceInfo,
    batches: Vec<Vec<FlowEvent>>,
    ledger: Ledger,
}

fn given(batches: usize) -> Given {
    Given { info: source(), batches: vec![events(10); batches], ledger: Ledger::new() }
}

impl Collector for Given {
    fn info(&self) -> &SourceInfo {
        &self.info
    }
    fn fill<'s>(&'s mut self, events: &mut Vec<FlowEvent>, _: Limit) -> Result<Filled<'s>> {
        events.extend(self.batches.pop().unwrap_or_default());
        self.ledger.deliver(events.len() as u64);
        let status = if self.batches.is_empty() { Status::End } else { Status::More };
        Ok(Filled::new(Frames::EMPTY, Timestamp::EPOCH, status))
    }
    fn ledger(&mut self) -> Result<Ledger> {
        Ok(self.ledger.clone())
    }
}

fn moments(batches: usize, most: usize) -> (Vec<Moment>, Snapshot) {
    let mut source = given(batches);
    let mut pipeline = Pipeline::builder().build(source.info()).unwrap();
    let mut moments = Vec::new();
    let snapshot = pipeline.run_with(&mut source, |_, _, moment| {
        moments.push(moment);
        Ok::<_, Error>(moments.len() < most)
    });
    (moments, snapshot.unwrap())
}

#[test]
fn a_caller_is_asked_after_every_batch_and_told_before_and_after_the_flows_end() {
    let (asked, snapshot) = moments(2, usize::MAX);
    assert_eq!(asked, [Moment::Batch, Moment::Batch, Moment::Closing { incomplete: false }, Moment::Closed]);
    assert_eq!((snapshot.ledger.delivered(), snapshot.ledger.incomplete), (20, false));
}

#[test]
fn what_a_collector_gives_and_does_not_count_is_counted() {
    let mut source = given(3);
    let mut pipeline = Pipeline::builder().build(source.info()).unwrap();
    let forget = |_: &mut Pipeline, source: &mut Given, _| {
        source.ledger = Ledger::new();
        Ok::<_, Error>(true)
    };
    let ledger = pipeline.run_with(&mut source, forget).unwrap().ledger;
    assert_eq!((ledger.delivered(), ledger.seen()), (30, 30));
}

#[test]
fn a_run_that_its_caller_stops_is_incomplete_and_still_closes() {
    let (asked, snapshot) = moments(5, 2);
    assert_eq!(asked, [Moment::Batch, Moment::Batch, Moment::Closing { incomplete: true }, Moment::Closed]);
    assert_eq!((snapshot.ledger.delivered(), snapshot.ledger.incomplete), (20, true));
}

#[test]
fn the_error_of_a_caller_ends_the_run() {
    #[derive(Debug)]
    struct Full;
    impl From<Error> for Full {
        fn from(_: Error) -> Self {
            Self
        }
    }
    let mut source = given(5);
    let mut pipeline = Pipeline::builder().build(source.info()).unwrap();
    assert!(matches!(pipeline.run_with(&mut source, |_, _, _| Err(Full)), Err(Full)));
    assert_eq!(source.batches.len(), 4);
}

/// A name that comes on the second asking, or only after somebody has waited for it.
#[derive(Default)]
struct Slow {
    asked: Mutex<u32>,
    settled: Mutex<Vec<Duration>>,
}

impl Resolver for Slow {
    fn name(&self, _: crate::Addr, _: u16) -> crate::Lookup<Arc<str>> {
        *self.asked.lock().unwrap() += 1;
        match self.settled.lock().unwrap().is_empty() {
            true => crate::Lookup::Pending,
            false => crate::Lookup::Known("client".into()),
        }
    }
    fn settle(&self, within: Duration) -> Duration {
        self.settled.lock().unwrap().push(within);
        within.saturating_sub(Duration::from_millis(1))
    }
}

struct OnlyClient;
impl Whitelist for OnlyClient {
    fn judge(&self, flow: &FlowRecord, names: &dyn Resolver) -> Verdict {
        match names.name(flow.key.src, 0) {
            crate::Lookup::Known(name) if &*name == "client" => Verdict::Allowed(crate::RuleId(7)),
            crate::Lookup::Pending => Verdict::Undecided,
            _ => Verdict::Unlisted,
        }
    }
    fn rule(&self, _: crate::RuleId) -> &str {
        "client"
    }
}

/// Verdicts and marks of flows at their ends.
#[derive(Default)]
struct Ends(Vec<(Option<Verdict>, Marks)>);
impl Analyzer for Ends {
    fn name(&self) -> &str {
        "ends"
    }
    fn observe(&mut self, batch: &Batch<'_>) -> Result<()> {
        for event in batch.events.iter().filter(|event| matches!(event.detail, Detail::End(_))) {
            self.0.push((batch.flows.record(event.flow).unwrap().verdict, event.marks));
        }
        Ok(())
    }
    fn snapshot(&self, _: &mut Tables) {}
}

fn slow_pipeline() -> (Arc<Slow>, Pipeline, Handle<Ends>) {
    let names = Arc::new(Slow::default());
    let mut builder =
        Pipeline::builder().whitelist(OnlyClient).resolver(names.clone()).patience(Duration::from_millis(3));
    let ends = builder.add(Ends::default());
    (names, builder.build(&source()).unwrap(), ends)
}

#[test]
fn an_undecided_whitelist_is_asked_again_at_snapshots_and_never_once_it_has_decided() {
    let (names, mut pipeline, _) = slow_pipeline();
    pipeline.push(&mut events(100), Frames::EMPTY, Timestamp::EPOCH).unwrap();
    let verdict = |pipeline: &Pipeline| pipeline.flows().record(crate::FlowId(3)).unwrap().verdict;
    assert_eq!((*names.asked.lock().unwrap(), verdict(&pipeline)), (10, Some(Verdict::Undecided)));
    pipeline.ask_again();
    assert_eq!((*names.asked.lock().unwrap(), verdict(&pipeline)), (20, Some(Verdict::Undecided)));
    names.settle(Duration::ZERO);
    pipeline.ask_again();
    assert_eq!((*names.asked.lock().unwrap(), verdict(&pipeline)), (30, Some(Verdict::Allowed(crate::RuleId(7)))));
    pipeline.ask_again();
    pipeline.push(&mut events(100), Frames::EMPTY, Timestamp::EPOCH).unwrap();
    assert_eq!(*names.asked.lock().unwrap(), 30);
}

#[test]
fn the_end_of_the_input_waits_once_for_the_names_that_a_whitelist_needs() {
    let (names, mut pipeline, ends) = slow_pipeline();
    pipeline.push(&mut events(100), Frames::EMPTY, Timestamp::EPOCH).unwrap();
    while pipeline.close().unwrap() {}
    assert_eq!(*names.settled.lock().unwrap(), [Duration::from_millis(3)]);
    assert_eq!(pipeline.get(&ends).0, vec![(Some(Verdict::Allowed(crate::RuleId(7))), Marks::ALLOWED); 10]);
}

struct Shown(Arc<Mutex<Vec<String>>>);
impl Reporter for Shown {
    fn report(&mut self, snapshot: &Snapshot, names: &dyn Resolver) -> Result<()> {
        for row in &snapshot.tables[0].rows {
            let Value::Addr(addr) = row.cells[0] else { panic!("an address") };
            self.0.lock().unwrap().push(names.name(addr, 0).known().map_or(addr.to_string(), |name| name.to_string()));
        }
        Ok(())
    }
}

#[test]
fn a_final_report_waits_for_names_and_asks_for_each_address_once_before_and_after() {
    let (names, shown) = (Arc::new(Slow::default()), Arc::new(Mutex::new(Vec::new())));
    let builder = Pipeline::builder().resolver(names.clone()).report(None, Shown(shown.clone()));
    let mut pipeline = builder.build(&source()).unwrap();
    let mut table = Table::new("t", Vec::new());
    let row = Row { cells: vec![Value::Addr("10.0.0.1".parse().unwrap())], ..Row::default() };
    table.rows = vec![row.clone(), row];
    pipeline.report_final(&Snapshot { tables: vec![table], ..Snapshot::default() }).unwrap();
    assert_eq!(*names.settled.lock().unwrap(), [PATIENCE]);
    assert_eq!(*shown.lock().unwrap(), ["client", "client"]);
    assert_eq!(*names.asked.lock().unwrap(), 4);
}

/// Two names, the second of which is asked for only once the first is there: behind another resolver, or in a queue that
/// was full.
#[derive(Default)]
struct InTurn(Mutex<u8>);

impl Resolver for InTurn {
    fn name(&self, _: crate::Addr, _: u16) -> crate::Lookup<Arc<str>> {
        let mut stage = self.0.lock().unwrap();
        // Asked for; answered by waiting.
        *stage += u8::from(matches!(*stage, 0 | 2));
        if *stage < 4 { crate::Lookup::Pending } else { crate::Lookup::Known("client".into()) }
    }
    fn settle(&self, within: Duration) -> Duration {
        let mut stage = self.0.lock().unwrap();
        let waits = matches!(*stage, 1 | 3) && !within.is_zero();
        *stage += u8::from(waits);
        if waits { within.saturating_sub(Duration::from_millis(1)) } else { within }
    }
}

#[test]
fn names_that_are_asked_for_one_after_the_other_are_all_waited_for() {
    let shown = Arc::new(Mutex::new(Vec::new()));
    let table = || {
        let mut table = Table::new("t", Vec::new());
        table.rows = vec![Row { cells: vec![Value::Addr("10.0.0.1".parse().unwrap())], ..Row::default() }];
        Snapshot { tables: vec![table], ..Snapshot::default() }
    };
    let builder = || Pipeline::builder().resolver(Arc::new(InTurn::default())).report(None, Shown(shown.clone()));
    builder().build(&source()).unwrap().report_final(&table()).unwrap();
    let impatient = builder().patience(Duration::from_millis(1));
    impatient.build(&source()).unwrap().report_final(&table()).unwrap();
    assert_eq!(*shown.lock().unwrap(), ["client", "10.0.0.1"]);
    // And those that a whitelist needs: all together have one time.
    let mut builder = builder().whitelist(OnlyClient).patience(Duration::from_millis(3));
    let ends = builder.add(Ends::default());
    let mut pipeline = builder.build(&source()).unwrap();
    pipeline.push(&mut events(100), Frames::EMPTY, Timestamp::EPOCH).unwrap();
    while pipeline.close().unwrap() {}
    assert_eq!(pipeline.get(&ends).0, vec![(Some(Verdict::Allowed(crate::RuleId(7))), Marks::ALLOWED); 10]);
    assert_eq!(pipeline.patience, Duration::from_millis(1));
}

#[test]
fn who_gives_nothing_is_not_waited_for_again() {
    struct Never;
    impl Resolver for Never {
        fn name(&self, _: crate::Addr, _: u16) -> crate::Lookup<Arc<str>> {
            crate::Lookup::Pending
        }
    }
    let mut builder = Pipeline::builder().whitelist(OnlyClient).resolver(Arc::new(Never));
    let ends = builder.add(Ends::default());
    let mut pipeline = builder.build(&source()).unwrap();
    pipeline.push(&mut events(100), Frames::EMPTY, Timestamp::EPOCH).unwrap();
    while pipeline.close().unwrap() {}
    assert_eq!(pipeline.get(&ends).0, vec![(Some(Verdict::Undecided), Marks::UNDECIDED); 10]);
}
