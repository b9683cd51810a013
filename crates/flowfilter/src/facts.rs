//! Facts about a flow that a filter asks for: its process, looked up once per flow and repeated on its events as bits of
//! [`Marks::FILTER`].
//!
//! An event without such bits, because no table has seen it, or because an answer was still pending when its flow began,
//! is looked up by itself; so both ways give the same answer. AS numbers are none of these facts: a resolver tells the
//! addresses of a network when a filter is bound, and comparing those needs no flow.

use std::sync::Arc;

use flowcore::resolve::Process;
use flowcore::{FlowKey, Lookup, Marks, Resolver};

use crate::ast::{Condition, Expr, Subject, texts};
use crate::field::{Field, FieldSet};
use crate::plan::passing;
use crate::set::Ranges;

/// The fields that are facts about a flow.
pub const FACTS: FieldSet = FieldSet::EMPTY.with(Field::Process).with(Field::Pid);

/// The facts of this flow were looked up.
const SETTLED: u16 = 0x0100;
/// The bits behind it, one for each fact.
const BITS: std::ops::Range<u32> = 9..16;

/// One condition on a flow's process.
struct Fact {
    field: Field,
    condition: Condition,
    /// The process ids that pass it.
    ids: Ranges,
    /// The names that it lists, sorted.
    names: Vec<Arc<str>>,
    bit: u16,
}

impl Fact {
    fn new(field: Field, condition: &Condition, bit: u16) -> Self {
        let names = match condition {
            Condition::In(items) | Condition::NotIn(items) if field == Field::Process => texts(items),
            _ => Vec::new(),
        };
        let ids = if field == Field::Process { Ranges::default() } else { passing(field, condition) };
        Self { field, condition: condition.clone(), ids, names, bit }
    }

    fn is_passed_by(&self, process: &Process) -> bool {
        let is_listed = || self.names.binary_search_by(|name| (**name).cmp(&*process.name)).is_ok();
        match (self.field, &self.condition) {
            (Field::Process, Condition::In(_)) => is_listed(),
            (Field::Process, Condition::NotIn(_)) => !is_listed(),
            (Field::Process, _) => true,
            _ => self.ids.contains(u128::from(process.pid)),
        }
    }
}

/// What a filter wants to know of each flow, as far as there are bits for it.
pub struct Facts {
    names: Arc<dyn Resolver>,
    all: Vec<Fact>,
}

/// Where the answer to one test stands.
#[derive(Copy, Clone)]
pub struct Answer(u16);

impl Answer {
    /// What an event's marks say, if its flow's facts were looked up.
    #[inline]
    pub fn read(self, marks: Marks) -> Option<bool> {
        (marks.bits() & SETTLED != 0).then_some(marks.bits() & self.0 != 0)
    }
}

impl Facts {
    /// Those that `expr` asks for.
    pub fn of(expr: &Expr, names: &Arc<dyn Resolver>) -> Self {
        let mut all: Vec<Fact> = Vec::new();
        let mut bits = BITS;
        expr.visit(&mut |test| {
            let Subject::One(field @ (Field::Process | Field::Pid)) = test.subject else { return };
            let is_known = all.iter().any(|fact| fact.field == field && fact.condition == test.condition);
            if !is_known && let Some(bit) = bits.next() {
                all.push(Fact::new(field, &test.condition, 1 << bit));
            }
        });
        Self { names: names.clone(), all }
    }

    /// Whether nothing is to be looked up.
    pub fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// Where the answer to a test of one field stands.
    pub fn answer(&self, field: Field, condition: &Condition) -> Option<Answer> {
        let fact = self.all.iter().find(|fact| fact.field == field && fact.condition == *condition)?;
        Some(Answer(fact.bit))
    }

    /// The answers for one flow; none at all while its process is still asked for.
    pub fn mark(&self, key: &FlowKey) -> Marks {
        if self.is_empty() {
            return Marks::empty();
        }
        let passed = |process: Process| {
            let passed = self.all.iter().filter(|fact| fact.is_passed_by(&process));
            passed.fold(SETTLED, |bits, fact| bits | fact.bit)
        };
        let bits = match self.names.process(key) {
            Lookup::Known(process) => passed(process),
            Lookup::Absent | Lookup::Failed => SETTLED,
            Lookup::Pending => return Marks::empty(),
        };
        Marks::from_bits_retain(bits) & Marks::FILTER
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;
    use crate::filter::Filter;
    use crate::plan::Predicate;
    use flowcore::{Addr, Evidence, Features, FlowEvent, FlowId, FlowRecord, Frames, Select, Timestamp};

    /// The process of port 80 is known, and that of 82; that of 81 is pending.
    #[derive(Default)]
    struct Known(AtomicUsize);

    impl Resolver for Known {
        fn process(&self, key: &FlowKey) -> Lookup<Process> {
            self.0.fetch_add(1, Ordering::Relaxed);
            match key.src_port.min(key.dst_port) {
                80 => Lookup::Known(Process { pid: 7, name: "nginx".into() }),
                82 => Lookup::Known(Process { pid: 2, name: "sshd".into() }),
                81 => Lookup::Pending,
                _ => Lookup::Absent,
            }
        }
        fn offers(&self) -> Features {
            Features::PROCESS
        }
    }

    fn event(ends: [u8; 2], ports: [u16; 2]) -> FlowEvent {
        let [src, dst] = ends.map(|last| Addr::v4([10, 0, 0, last]));
        let key = FlowKey { src, dst, src_port: ports[0], dst_port: ports[1], ..FlowKey::NONE };
        FlowEvent { key, ..FlowEvent::default() }
    }

    fn flow(key: FlowKey) -> FlowRecord {
        FlowRecord {
            id: FlowId::NONE,
            serial: 0,
            key,
            start: Timestamp::EPOCH,
            last: Timestamp::EPOCH,
            evidence: Evidence::default(),
            interface: 0,
            end: None,
            verdict: None,
        }
    }

    #[test]
    fn what_was_looked_up_once_is_what_every_look_up_says() {
        let known = Arc::new(Known::default());
        let names: Arc<dyn Resolver> = known.clone();
        for text in [
            "process nginx",
            "process != nginx or pid 7",
            "not process {nginx, sshd}",
            "pid > 2 and not process sshd",
            // More than there are bits for.
            "pid 1 or pid 3 or pid 4 or pid 5 or pid 6 or pid 8 or pid 9 or pid 2 or pid 7",
        ] {
            let filter: Predicate<FlowEvent> = Filter::parse(text).unwrap().bind(&names).unwrap();
            for port in [80, 81, 82, 443] {
                let first = event([1, 2], [port, 1000]);
                let marks = filter.mark(&flow(first.key));
                for mut one in [first, event([2, 1], [1000, port])] {
                    let alone = filter.matches(&one, &Frames::EMPTY);
                    one.marks = marks;
                    assert_eq!(filter.matches(&one, &Frames::EMPTY), alone, "{text} of {one:?}");
                }
            }
        }
        let filter: Predicate<FlowEvent> = Filter::parse("process nginx").unwrap().bind(&names).unwrap();
        let first = event([1, 2], [80, 1000]);
        let marked = FlowEvent { marks: filter.mark(&flow(first.key)), ..first };
        let before = known.0.load(Ordering::Relaxed);
        assert_eq!(filter.select(&[marked; 64], &Frames::EMPTY), u64::MAX);
        assert_eq!(known.0.load(Ordering::Relaxed), before, "a flow's events are not looked up again");
    }

    #[test]
    fn as_numbers_are_decided_without_a_table_of_flows() {
        let names: Arc<dyn Resolver> = Arc::new(flowcore::resolve::Numeric);
        let needs = |text: &str| Filter::parse(text).unwrap().bind::<FlowEvent>(&names).unwrap().needs();
        assert_eq!(needs("addr asn 7"), Features::NETWORKS);
        assert_eq!(needs("addr asn 7 and pid 1"), Features::NETWORKS | Features::FLOWS | Features::PROCESS);
    }

    #[test]
    fn processes_that_a_resolver_knows_are_not_asked_of_the_source() {
        let names: Arc<dyn Resolver> = Arc::new(Known::default());
        let names: Arc<dyn Resolver> = Arc::new(flowcore::resolve::Chain(vec![names]));
        let filter = Filter::parse("process nginx").unwrap().bind::<FlowEvent>(&names).unwrap();
        assert_eq!(filter.needs(), Features::FLOWS);
        let source = flowcore::SourceInfo::default();
        assert!(flowcore::pipeline::Pipeline::builder().filter(filter).build(&source).is_ok());
    }
}
