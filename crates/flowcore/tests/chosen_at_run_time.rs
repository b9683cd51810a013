//! Parts that are chosen at run time: what points to one is one, in every method, those with a default too.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use flowcore::collect::{Faults, Faulty};
use flowcore::pipeline::Pipeline;
use flowcore::report::{Chosen, Table};
use flowcore::resolve::{Network, Process};
use flowcore::select::KernelForm;
use flowcore::*;

/// Every trait's part; notes which of its methods were called.
#[derive(Clone, Default)]
struct Part {
    heard: Arc<Mutex<Vec<&'static str>>>,
    info: SourceInfo,
}

impl Part {
    fn note(&self, method: &'static str) {
        self.heard.lock().unwrap().push(method);
    }
    /// What was called since the last time.
    fn heard(&self) -> Vec<&'static str> {
        std::mem::take(&mut self.heard.lock().unwrap())
    }
}

impl Collector for Part {
    fn info(&self) -> &SourceInfo {
        self.note("info");
        &self.info
    }
    fn fill<'s>(&'s mut self, _: &mut Vec<FlowEvent>, _: Limit) -> Result<Filled<'s>> {
        self.note("fill");
        Ok(Filled::new(Frames::EMPTY, Timestamp::MIN, Status::End))
    }
    fn ledger(&mut self) -> Result<Ledger> {
        self.note("ledger");
        Ok(Ledger::new())
    }
    fn fault(&self) -> Option<&str> {
        self.note("fault");
        None
    }
    fn narrow(&mut self, _: &dyn Select) -> Result<bool> {
        self.note("narrow");
        Ok(true)
    }
}

impl Select for Part {
    fn select(&self, _: &[FlowEvent], _: &Frames<'_>) -> u64 {
        self.note("select");
        0
    }
    fn needs(&self) -> Features {
        self.note("needs");
        Features::empty()
    }
    fn mark(&self, _: &FlowRecord) -> Marks {
        self.note("mark");
        Marks::empty()
    }
    fn keeps_flows_whole(&self) -> bool {
        self.note("keeps_flows_whole");
        true
    }
    fn early(&self) -> Option<Box<dyn Select>> {
        self.note("early");
        None
    }
    fn kernel(&self, _: KernelForm) -> Option<Vec<u8>> {
        self.note("kernel");
        None
    }
}

impl Analyzer for Part {
    fn name(&self) -> &str {
        self.note("name");
        "part"
    }
    fn needs(&self) -> Features {
        self.note("needs");
        Features::empty()
    }
    fn observe(&mut self, _: &Batch<'_>) -> Result<()> {
        self.note("observe");
        Ok(())
    }
    fn falls_short(&mut self, _: Shortfall) {
        self.note("falls_short");
    }
    fn rejudged(&mut self, _: &Flows) {
        self.note("rejudged");
    }
    fn snapshot(&self, _: &mut Tables) {
        self.note("snapshot");
    }
}

impl Resolver for Part {
    fn name(&self, _: Addr, _: u16) -> Lookup<Arc<str>> {
        self.note("name");
        Lookup::Absent
    }
    fn service(&self, _: u16, _: Protocol) -> Lookup<Arc<str>> {
        self.note("service");
        Lookup::Absent
    }
    fn network(&self, _: Addr) -> Lookup<Network> {
        self.note("network");
        Lookup::Absent
    }
    fn announced(&self, _: &dyn Fn(&[u32]) -> bool) -> Option<Vec<(Addr, Addr)>> {
        self.note("announced");
        None
    }
    fn process(&self, _: &FlowKey) -> Lookup<Process> {
        self.note("process");
        Lookup::Absent
    }
    fn offers(&self) -> Features {
        self.note("offers");
        Features::empty()
    }
    fn settle(&self, within: Duration) -> Duration {
        self.note("settle");
        within
    }
}

impl Whitelist for Part {
    fn judge(&self, _: &FlowRecord, _: &dyn Resolver) -> Verdict {
        self.note("judge");
        Verdict::Unlisted
    }
    fn rule(&self, _: RuleId) -> &str {
        self.note("rule");
        "?"
    }
}

impl Reporter for Part {
    fn report(&mut self, _: &Snapshot, _: &dyn Resolver) -> Result<()> {
        self.note("report");
        Ok(())
    }
    fn expect(&mut self, _: &[Table]) -> Result<()> {
        self.note("expect");
        Ok(())
    }
}

/// Flows of which one has begun.
fn flows() -> (Flows, FlowRecord) {
    let mut flows = Flows::new(flows::Limits::default(), false);
    let [src, dst] = [Addr::v4([192, 0, 2, 1]), Addr::v4([192, 0, 2, 2])];
    let key = FlowKey { src, dst, src_port: 5000, dst_port: 53, protocol: Protocol::UDP, ..FlowKey::NONE };
    let mut events = vec![FlowEvent { key, packets: 1, ..FlowEvent::default() }];
    flows.assign(&mut events, &mut Ledger::new());
    let record = flows.record(events[0].flow).expect("it has begun");
    (flows, record)
}

fn collect(mut part: impl Collector) {
    part.info();
    part.fill(&mut Vec::new(), Limit::default()).unwrap();
    part.ledger().unwrap();
    part.fault();
    assert!(part.narrow(&Part::default()).unwrap());
}

fn select(part: impl Select) {
    part.select(&[], &Frames::EMPTY);
    part.needs();
    part.mark(&flows().1);
    assert!(part.keeps_flows_whole());
    part.early();
    part.kernel(KernelForm::InetDiag);
}

fn analyze(mut part: impl Analyzer) {
    let (flows, _) = flows();
    part.name();
    part.needs();
    let (from, through) = (Timestamp::MIN, Timestamp::MIN);
    part.observe(&Batch { events: &[], frames: Frames::EMPTY, flows: &flows, from, through }).unwrap();
    part.falls_short(Shortfall::LOSS);
    part.rejudged(&flows);
    part.snapshot(&mut Tables::new());
}

fn resolve(part: impl Resolver) {
    part.name(Addr::UNSPECIFIED, 0);
    part.service(0, Protocol::TCP);
    part.network(Addr::UNSPECIFIED);
    part.announced(&|_| true);
    part.process(&FlowKey::NONE);
    part.offers();
    part.settle(Duration::ZERO);
}

fn judge(part: impl Whitelist) {
    part.judge(&flows().1, &Part::default());
    part.rule(RuleId(0));
}

fn report(mut part: impl Reporter) {
    part.report(&Snapshot::default(), &Part::default()).unwrap();
    part.expect(&[]).unwrap();
}

#[test]
fn what_points_to_a_part_is_that_part_in_every_method() {
    let part = Part::default();
    let boxed = || Box::new(part.clone());

    let methods = ["info", "fill", "ledger", "fault", "narrow"];
    collect(boxed() as Box<dyn Collector>);
    assert_eq!(part.heard(), methods);
    collect(&mut part.clone());
    assert_eq!(part.heard(), methods);

    let methods = ["select", "needs", "mark", "keeps_flows_whole", "early", "kernel"];
    select(boxed() as Box<dyn Select>);
    assert_eq!(part.heard(), methods);
    select(Arc::new(part.clone()) as Arc<dyn Select>);
    assert_eq!(part.heard(), methods);

    analyze(boxed() as Box<dyn Analyzer>);
    assert_eq!(part.heard(), ["name", "needs", "observe", "falls_short", "rejudged", "snapshot"]);

    let methods = ["name", "service", "network", "announced", "process", "offers", "settle"];
    resolve(boxed() as Box<dyn Resolver>);
    assert_eq!(part.heard(), methods);
    resolve(Arc::new(boxed() as Box<dyn Resolver>));
    assert_eq!(part.heard(), methods);

    judge(boxed() as Box<dyn Whitelist>);
    assert_eq!(part.heard(), ["judge", "rule"]);

    report(boxed() as Box<dyn Reporter>);
    assert_eq!(part.heard(), ["report", "expect"]);
}

#[test]
fn a_pipeline_is_put_together_of_parts_chosen_at_run_time() {
    let part = Part::default();
    let boxed = || Box::new(part.clone());
    let builder = Pipeline::builder()
        .filter(boxed() as Box<dyn Select>)
        .whitelist(boxed() as Box<dyn Whitelist>)
        .resolver(Arc::new(boxed() as Box<dyn Resolver>));
    let mut builder = builder.report(None, Chosen::new(boxed() as Box<dyn Reporter>).columns("part", ["one"]));
    let handle = builder.add(boxed() as Box<dyn Analyzer>);
    let mut pipeline = builder.build(&SourceInfo::default()).unwrap();
    let mut source = part.clone();
    pipeline.run(&mut Faulty::new(&mut source, Faults::default())).unwrap();
    let found: &dyn std::any::Any = &**pipeline.get(&handle);
    assert!(found.is::<Part>(), "who knows what is in the box gets it back");
    assert!(part.heard().contains(&"report"));
}
