//! What is missing, and who is told.

use super::*;

/// Gives ten events with each of two calls; says with the first what it has lost, and with the second that it was cut.
struct Short {
    info: SourceInfo,
    calls: u16,
    lost: u64,
}

impl Collector for Short {
    fn info(&self) -> &SourceInfo {
        &self.info
    }
    fn fill<'s>(&'s mut self, out: &mut Vec<FlowEvent>, _: Limit) -> Result<Filled<'s>> {
        self.calls += 1;
        out.extend(events(10));
        if let Some(odd) = out.get_mut(7) {
            (odd.notes, odd.stopped) = (Notes::CUT | Notes::MALFORMED, Layer::Transport);
            odd.key = FlowKey::NONE;
        }
        let status = if self.calls < 2 { Status::More } else { Status::End };
        Ok(Filled::new(Frames::EMPTY, Timestamp::MIN, status))
    }
    fn ledger(&mut self) -> Result<Ledger> {
        let mut ledger = Ledger::new();
        ledger.incomplete = self.calls > 1;
        ledger.deliver(10 * u64::from(self.calls));
        ledger.lose(crate::Loss::Kernel, self.lost);
        Ok(ledger)
    }
}

/// Keeps what it is told, and after how many packets.
#[derive(Default)]
struct Told {
    packets: u32,
    reasons: Vec<(u32, Shortfall)>,
}

impl Analyzer for Told {
    fn name(&self) -> &str {
        "told"
    }
    fn observe(&mut self, batch: &Batch<'_>) -> Result<()> {
        self.packets += batch.events.iter().map(|event| event.packets).sum::<u32>();
        Ok(())
    }
    fn falls_short(&mut self, reasons: Shortfall) {
        self.reasons.push((self.packets, reasons));
    }
    fn snapshot(&self, _: &mut Tables) {}
}

fn run(lost: u64, limits: crate::flows::Limits) -> (Snapshot, Vec<(u32, Shortfall)>) {
    let mut builder = Pipeline::builder().limits(limits);
    let told = builder.add(Told::default());
    let mut pipeline = builder.build(&source()).unwrap();
    let snapshot = pipeline.run(&mut Short { info: source(), calls: 0, lost }).unwrap();
    (snapshot, std::mem::take(&mut pipeline.get_mut(&told).reasons))
}

#[test]
fn analyzers_hear_once_of_each_reason_why_less_than_all_comes_to_them() {
    let usual = crate::flows::Limits::default();
    assert_eq!(run(3, usual).1, [(10, Shortfall::LOSS), (20, Shortfall::CUT)]);
    assert_eq!(run(0, usual).1, [(20, Shortfall::CUT)]);
    let narrow = run(0, crate::flows::Limits { flows: 5, ..usual });
    assert_eq!(narrow.1, [(0, Shortfall::UNTRACKED), (20, Shortfall::CUT)]);
    assert!(narrow.0.ledger.untracked > 0);
}

struct Whole(bool);
impl Select for Whole {
    fn select(&self, _: &[FlowEvent], _: &Frames<'_>) -> u64 {
        u64::MAX
    }
    fn keeps_flows_whole(&self) -> bool {
        self.0
    }
}

#[test]
fn analyzers_hear_of_a_filter_that_does_not_keep_flows_whole_before_all_events() {
    let told = |whole| {
        let mut builder = Pipeline::builder().filter(Whole(whole));
        let told = builder.add(Told::default());
        let mut pipeline = builder.build(&source()).unwrap();
        pipeline.push(&mut events(3), Frames::EMPTY, Timestamp::MIN).unwrap();
        std::mem::take(&mut pipeline.get_mut(&told).reasons)
    };
    assert_eq!((told(false), told(true)), (vec![(0, Shortfall::FILTERED)], vec![]));
}

#[test]
fn what_events_say_counts_though_their_source_leaves_that_to_the_pipeline() {
    let ledger = run(0, crate::flows::Limits::default()).0.ledger;
    assert_eq!((ledger.truncated, ledger.malformed(Layer::Transport), ledger.flowless), (2, 2, 2));
    // The second half has the times of the first: one is as late as the latest.
    assert_eq!((ledger.backwards, ledger.delivered()), (9, 20));
}

#[test]
fn where_nothing_was_delivered_no_time_is_known() {
    let mut pipeline = Pipeline::builder().build(&source()).unwrap();
    pipeline.push(&mut Vec::new(), Frames::EMPTY, Timestamp::MIN).unwrap();
    let snapshot = pipeline.snapshot(None, true);
    assert_eq!((snapshot.from, snapshot.through), (None, None));
}

#[test]
fn a_report_begins_with_the_earliest_packet_wherever_it_was_captured() {
    let mut pipeline = Pipeline::builder().build(&source()).unwrap();
    let mut late = events(4);
    late.swap(0, 2);
    pipeline.push(&mut late, Frames::EMPTY, Timestamp::EPOCH).unwrap();
    assert_eq!(pipeline.snapshot(None, true).from, Some(Timestamp::EPOCH));
}

/// Keeps all events as they come.
#[derive(Default)]
pub(super) struct Tape(pub(super) Vec<FlowEvent>);

impl Analyzer for Tape {
    fn name(&self) -> &str {
        "tape"
    }
    fn observe(&mut self, batch: &Batch<'_>) -> Result<()> {
        self.0.extend_from_slice(batch.events);
        Ok(())
    }
    fn snapshot(&self, _: &mut Tables) {}
}

#[test]
fn what_another_table_has_written_into_recorded_events_is_forgotten() {
    let record = |mut events: Vec<FlowEvent>, flows: usize| {
        let mut builder = Pipeline::builder().limits(crate::flows::Limits { flows, ..Default::default() });
        let tape = builder.add(Tape::default());
        let mut pipeline = builder.build(&source()).unwrap();
        pipeline.push(&mut events, Frames::EMPTY, Timestamp::EPOCH).unwrap();
        while pipeline.close().unwrap() {}
        (std::mem::take(&mut pipeline.get_mut(&tape).0), pipeline.flows().opened())
    };
    let mut fresh = events(30);
    fresh[3].key = FlowKey::NONE;
    let (tape, opened) = record(fresh.clone(), 100);
    assert_eq!((tape.len(), opened), (40, 10), "with ten ends");
    assert_eq!(record(tape.clone(), 100), (tape.clone(), 10));
    // Those that find no room now have no flow, whatever flow they had.
    let mut misled = tape;
    misled.iter_mut().for_each(|event| event.flow = FlowId(0));
    assert_eq!(record(misled, 4), record(fresh, 4));
}
