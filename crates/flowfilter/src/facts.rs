//! Facts about a flow that a filter asks for: networks and processes, looked up once per flow and repeated on its events
//! as bits of [`Marks::FILTER`].
//!
//! An event without such bits, because no table has seen it, or because an answer was still pending when its flow began,
//! is looked up by itself; so both ways give the same answer.

use std::sync::Arc;

use flowcore::resolve::Process;
use flowcore::{Addr, Direction, FlowKey, Lookup, Marks, Resolver};

use crate::ast::{Condition, Expr, Subject, texts};
use crate::field::{Field, FieldSet};
use crate::plan::passing;
use crate::set::Ranges;

/// The fields that are facts about a flow.
pub const FACTS: FieldSet =
    FieldSet::EMPTY.with(Field::SrcAsn).with(Field::DstAsn).with(Field::Process).with(Field::Pid);

/// The facts of this flow were looked up.
const SETTLED: u16 = 0x0100;
/// The bits behind it, for the facts.
const BITS: std::ops::Range<u32> = 9..16;

#[derive(Copy, Clone, PartialEq, Eq)]
enum About {
    /// The networks of both ends: two bits, in the order of the canonical key.
    Networks,
    ProcessName,
    ProcessId,
}

impl About {
    fn of(field: Field) -> Option<Self> {
        Some(match field {
            Field::SrcAsn | Field::DstAsn => Self::Networks,
            Field::Process => Self::ProcessName,
            Field::Pid => Self::ProcessId,
            _ => return None,
        })
    }

    fn bits(self) -> u32 {
        if self == Self::Networks { 2 } else { 1 }
    }
}

struct Fact {
    about: About,
    condition: Condition,
    /// The numbers that pass it.
    numbers: Ranges,
    /// The names that it lists, sorted.
    names: Vec<Arc<str>>,
    /// Its first bit.
    bit: u32,
}

impl Fact {
    fn new(about: About, field: Field, condition: &Condition, bit: u32) -> Self {
        let names = match condition {
            Condition::In(items) | Condition::NotIn(items) => texts(items),
            _ => Vec::new(),
        };
        let numbers = if about == About::ProcessName { Ranges::default() } else { passing(field, condition) };
        Self { about, condition: condition.clone(), numbers, names, bit }
    }

    fn is_passed_by(&self, process: &Process) -> bool {
        let is_listed = || self.names.binary_search_by(|name| (**name).cmp(&*process.name)).is_ok();
        match (self.about, &self.condition) {
            (About::ProcessName, Condition::In(_)) => is_listed(),
            (About::ProcessName, Condition::NotIn(_)) => !is_listed(),
            (About::ProcessName, _) => true,
            _ => self.numbers.contains(u128::from(process.pid)),
        }
    }
}

/// What a filter wants to know of each flow, as far as there are bits for it.
pub struct Facts {
    names: Arc<dyn Resolver>,
    all: Vec<Fact>,
}

/// Where the answer to one test stands: the bit if the source is the first end of the canonical key, and if it is not.
#[derive(Copy, Clone)]
pub struct Answer([u16; 2]);

impl Answer {
    /// What an event's marks say, if its flow's facts were looked up.
    #[inline]
    pub fn read(self, marks: Marks, key: &FlowKey) -> Option<bool> {
        let [forward, reverse] = self.0;
        if marks.bits() & SETTLED == 0 {
            return None;
        }
        let bit = if key.canonical().1 == Direction::Forward { forward } else { reverse };
        Some(marks.bits() & bit != 0)
    }
}

impl Facts {
    /// Those that `expr` asks for.
    pub fn of(expr: &Expr, names: &Arc<dyn Resolver>) -> Self {
        let mut all: Vec<Fact> = Vec::new();
        let mut bit = BITS.start;
        expr.visit(&mut |test| {
            let field = match test.subject {
                Subject::One(field) => field,
                Subject::Either(pair) => pair.fields()[0],
            };
            let Some(about) = About::of(field) else { return };
            let is_known = all.iter().any(|fact| fact.about == about && fact.condition == test.condition);
            if !is_known && bit + about.bits() <= BITS.end {
                all.push(Fact::new(about, field, &test.condition, bit));
                bit += about.bits();
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
        let about = About::of(field)?;
        let fact = self.all.iter().find(|fact| fact.about == about && fact.condition == *condition)?;
        let [first, second] = [1_u16 << fact.bit, 1_u16.checked_shl(fact.bit + 1).unwrap_or(0)];
        Some(Answer(match field {
            Field::SrcAsn => [first, second],
            Field::DstAsn => [second, first],
            _ => [first, first],
        }))
    }

    /// The answers for one flow; none at all while one is pending.
    pub fn mark(&self, key: &FlowKey) -> Marks {
        let mut bits = SETTLED;
        let (ordered, _) = key.canonical();
        for fact in &self.all {
            let answers = match fact.about {
                About::Networks => [ordered.src, ordered.dst].map(|addr| self.network(addr, fact)),
                About::ProcessName | About::ProcessId => [self.process(key, fact), Some(false)],
            };
            let [Some(first), Some(second)] = answers else { return Marks::empty() };
            bits |= u16::from(first) << fact.bit;
            if second {
                bits |= 1 << (fact.bit + 1);
            }
        }
        Marks::from_bits_retain(bits) & Marks::FILTER
    }

    fn network(&self, addr: Addr, fact: &Fact) -> Option<bool> {
        match self.names.network(addr) {
            Lookup::Known(network) => Some(fact.numbers.contains(u128::from(network.asn))),
            Lookup::Absent => Some(false),
            Lookup::Pending => None,
        }
    }

    fn process(&self, key: &FlowKey, fact: &Fact) -> Option<bool> {
        match self.names.process(key) {
            Lookup::Known(process) => Some(fact.is_passed_by(&process)),
            Lookup::Absent => Some(false),
            Lookup::Pending => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;
    use crate::filter::Filter;
    use crate::plan::Predicate;
    use flowcore::resolve::Network;
    use flowcore::{Evidence, FlowEvent, FlowId, FlowRecord, Frames, Prefix, Select, Timestamp};

    /// Networks by the last byte; the process of port 80 is known, that of port 81 pending.
    #[derive(Default)]
    struct Known(AtomicUsize);

    impl Resolver for Known {
        fn network(&self, addr: Addr) -> Lookup<Network> {
            self.0.fetch_add(1, Ordering::Relaxed);
            let Some([.., last]) = addr.to_v4().filter(|bytes| bytes[3] != 0) else { return Lookup::Absent };
            Lookup::Known(Network { asn: u32::from(last), prefix: Prefix::ANY_V6, holder: None })
        }
        fn process(&self, key: &FlowKey) -> Lookup<Process> {
            match key.src_port.min(key.dst_port) {
                80 => Lookup::Known(Process { pid: 7, name: "nginx".into() }),
                81 => Lookup::Pending,
                _ => Lookup::Absent,
            }
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
            "src asn 1",
            "dst asn 1 and not src asn 2",
            "asn {1, 3}",
            "addr asn != 2",
            "not asn 2 or process nginx",
            "process != nginx or pid 7",
            "src asn 1 or src asn 2 or src asn 3 or src asn 4 or dst asn 5",
        ] {
            let filter: Predicate<FlowEvent> = Filter::parse(text).unwrap().bind(&names).unwrap();
            for (ends, port) in [[1, 2], [2, 1], [3, 1], [0, 1], [0, 0], [4, 5], [5, 4]]
                .into_iter()
                .zip([80, 81, 443].into_iter().cycle())
            {
                let first = event(ends, [port, 1000]);
                let marks = filter.mark(&flow(first.key));
                for mut one in [first, event([ends[1], ends[0]], [1000, port])] {
                    let alone = filter.matches(&one, &Frames::EMPTY);
                    one.marks = marks;
                    assert_eq!(filter.matches(&one, &Frames::EMPTY), alone, "{text} of {one:?}");
                }
            }
        }
        let filter: Predicate<FlowEvent> = Filter::parse("asn 1").unwrap().bind(&names).unwrap();
        let first = event([1, 2], [80, 1000]);
        let marked = FlowEvent { marks: filter.mark(&flow(first.key)), ..first };
        let before = known.0.load(Ordering::Relaxed);
        assert_eq!(filter.select(&[marked; 64], &Frames::EMPTY), u64::MAX);
        assert_eq!(known.0.load(Ordering::Relaxed), before, "a flow's events are not looked up again");
    }
}
