//! A filter bound to one kind of record: leaves that are loops over up to 64 records, joined by words of bits.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use flowcore::select::KernelForm;
use flowcore::wire::LinkType;
use flowcore::{Addr, Features, FlowEvent, FlowRecord, Frames, Marks, Resolver, Select};

use crate::ast::{Condition, Expr, Item, Order, Subject, Test, ranges, texts};
use crate::error::FilterError;
use crate::facts::{FACTS, Facts};
use crate::field::{Field, FieldSet};
use crate::filter::Filter;
use crate::kernel::{cbpf, inet_diag};
use crate::record::{Record, Visitor};
use crate::set::{Ranges, number};

/// How many records one step looks at: one bit each.
pub const STEP: usize = 64;

/// A filter that knows how to read one kind of record.
///
/// Cheap to clone, may be used from any thread.
pub struct Predicate<R> {
    plan: Arc<Plan<R>>,
    needs: Features,
    /// Of a filter that uses facts about the flow, what can be decided before they are known.
    early: Option<Arc<Plan<R>>>,
    /// What it was bound from, for kernels.
    expr: Arc<Expr>,
    facts: Arc<Facts>,
}

impl<R> fmt::Debug for Predicate<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Predicate").field("expr", &self.expr).field("needs", &self.needs).finish_non_exhaustive()
    }
}

impl<R> Clone for Predicate<R> {
    fn clone(&self) -> Self {
        let Self { plan, needs, early, expr, facts } = self;
        Self { plan: plan.clone(), needs: *needs, early: early.clone(), expr: expr.clone(), facts: facts.clone() }
    }
}

/// Bit `i` says whether record `i` passes; only those with a bit in the last argument are asked for.
type Leaf<R> = Box<dyn Fn(&[R], &Frames<'_>, u64) -> u64 + Send + Sync>;

enum Plan<R> {
    All,
    None,
    And(Vec<Plan<R>>),
    Or(Vec<Plan<R>>),
    Not(Box<Plan<R>>),
    Leaf(Leaf<R>),
}

impl<R> Plan<R> {
    /// Which of the records in `live` pass.
    fn mask(&self, records: &[R], frames: &Frames<'_>, live: u64) -> u64 {
        match self {
            Self::All => live,
            Self::None => 0,
            Self::Leaf(leaf) => leaf(records, frames, live),
            Self::Not(inner) => live & !inner.mask(records, frames, live),
            Self::And(all) => {
                let mut left = live;
                for one in all {
                    if left == 0 {
                        break;
                    }
                    left = one.mask(records, frames, left);
                }
                left
            }
            Self::Or(all) => {
                let mut found = 0;
                for one in all {
                    if found == live {
                        break;
                    }
                    found |= one.mask(records, frames, live & !found);
                }
                found
            }
        }
    }
}

impl Filter {
    /// Binds the filter to a kind of record. Processes are asked of `names` when records are looked at; networks now, if
    /// it can tell their addresses, else as processes are. What `names` does not [offer](Resolver::offers) of these the
    /// source must: a pipeline whose filter [needs](Predicate::needs) what nobody knows is not built. Who binds without a
    /// pipeline looks at the needs: of what is not known every test is false.
    ///
    /// # Errors
    /// If it asks for a field that such records never have; names both, at its place in the text.
    pub fn bind<R: Record>(&self, names: &Arc<dyn Resolver>) -> Result<Predicate<R>, FilterError> {
        let merged = merged(self.expr());
        let facts = Facts::of(&merged, names);
        let binding = Binding { filter: self, names, facts: &facts };
        let plan = binding.plan(&merged)?;
        let mut needs = needs(self.fields()) - (names.offers() & (Features::PROCESS | Features::NETWORKS));
        needs.set(Features::FLOWS, needs.contains(Features::FLOWS) || !facts.is_empty());
        let early = if needs.contains(Features::FLOWS) {
            let known = self.fields().without(FACTS.with(Field::Direction));
            Some(Arc::new(binding.plan(&crate::widen::widen(&merged, known))?))
        } else {
            None
        };
        let expr = Arc::new(self.expr().clone());
        Ok(Predicate { plan: Arc::new(plan), needs, early, expr, facts: Arc::new(facts) })
    }
}

/// The same tree with one list where several are joined by `or`: one test of `port {80, 443}`, not two.
fn merged(expr: &Expr) -> Expr {
    match expr {
        Expr::Not(inner) => Expr::not(merged(inner)),
        Expr::And(all) => Expr::And(all.iter().map(merged).collect()),
        Expr::Or(all) => {
            let mut lists: Vec<(Subject, Vec<Item>)> = Vec::new();
            let mut others = Vec::new();
            for one in all {
                let Expr::Test(Test { subject, condition: Condition::In(items) }) = one else {
                    others.push(merged(one));
                    continue;
                };
                match lists.iter_mut().find(|(known, _)| known == subject) {
                    Some((_, list)) => list.extend(items.iter().cloned()),
                    None => lists.push((*subject, items.clone())),
                }
            }
            let lists =
                lists.into_iter().map(|(subject, items)| Test { subject, condition: Condition::In(items) }.into());
            Expr::or(lists.chain(others))
        }
        other => other.clone(),
    }
}

/// What binding asks at every leaf.
struct Binding<'b> {
    filter: &'b Filter,
    names: &'b Arc<dyn Resolver>,
    facts: &'b Facts,
}

impl Binding<'_> {
    fn plan<R: Record>(&self, expr: &Expr) -> Result<Plan<R>, FilterError> {
        Ok(match expr {
            Expr::All => Plan::All,
            Expr::None => Plan::None,
            Expr::And(all) => Plan::And(all.iter().map(|one| self.plan(one)).collect::<Result<_, _>>()?),
            Expr::Or(all) => Plan::Or(all.iter().map(|one| self.plan(one)).collect::<Result<_, _>>()?),
            Expr::Not(inner) => Plan::Not(Box::new(self.plan(inner)?)),
            Expr::Test(Test { subject: Subject::One(field), condition }) => self.leaf(*field, condition)?,
            Expr::Test(Test { subject: Subject::Either(pair), condition }) => {
                let [src, dst] = pair.fields();
                let both = vec![self.leaf(src, condition)?, self.leaf(dst, condition)?];
                // "Not this one" of a pair is said of both ends.
                if matches!(condition, Condition::NotIn(_)) { Plan::And(both) } else { Plan::Or(both) }
            }
        })
    }

    fn leaf<R: Record>(&self, field: Field, condition: &Condition) -> Result<Plan<R>, FilterError> {
        let leaf = R::field(field, self.names, Compare { field, condition });
        let leaf = leaf.ok_or_else(|| self.filter.no_field(field, R::NAME, R::instead(field).map(str::to_owned)))?;
        Ok(match (self.facts.answer(field, condition), leaf) {
            // What was looked up when the flow began, else it is looked up now.
            (Some(answer), Plan::Leaf(look_up)) => leaf_of(move |record: &R, frames| {
                let settled = record.settled().and_then(|marks| answer.read(marks));
                settled.unwrap_or_else(|| look_up(std::slice::from_ref(record), frames, 1) == 1)
            }),
            (_, leaf) => leaf,
        })
    }
}

/// What a source must offer for these fields.
fn needs(fields: FieldSet) -> Features {
    fields.iter().fold(Features::empty(), |needs, field| {
        needs
            | match field {
                Field::SrcMac | Field::DstMac | Field::Ttl | Field::Tos | Field::Dscp => Features::HEADERS,
                Field::Vlan
                | Field::Mpls
                | Field::Pppoe
                | Field::Tunnel
                | Field::TunnelId
                | Field::OuterSrcAddr
                | Field::OuterDstAddr
                | Field::OuterSrcPort
                | Field::OuterDstPort
                | Field::OuterProto => Features::LAYERS,
                Field::TcpFlags => Features::TCP_SEGMENTS,
                Field::Time | Field::Length | Field::Fragment | Field::ToDs | Field::FromDs => Features::PACKETS,
                Field::Direction => Features::FLOWS,
                Field::SrcAsn | Field::DstAsn => Features::NETWORKS,
                Field::Process | Field::Pid | Field::Uid | Field::Cgroup => Features::PROCESS,
                _ => Features::empty(),
            }
    })
}

/// Makes a leaf of an accessor and a condition.
struct Compare<'c> {
    field: Field,
    condition: &'c Condition,
}

/// The numbers that pass a condition, of a field that has at most one.
pub fn passing(field: Field, condition: &Condition) -> Ranges {
    let kind = field.kind();
    match condition {
        Condition::Present | Condition::Flags { .. } => Ranges::new([(0, u128::MAX)]),
        Condition::In(items) => ranges(items, kind),
        Condition::NotIn(items) => ranges(items, kind).complement(u128::MAX),
        Condition::Compare(order, number) => {
            let number = u128::from(*number);
            let most = u128::from(u64::MAX);
            match order {
                Order::Less => number.checked_sub(1).map_or_else(Ranges::default, |high| Ranges::new([(0, high)])),
                Order::AtMost => Ranges::new([(0, number)]),
                Order::More => Ranges::new([(number + 1, most)]),
                Order::AtLeast => Ranges::new([(number, most)]),
            }
        }
    }
}

/// Below so many records left, each is gone to; above, all are looked at in one loop without branches.
const SPARSE: u32 = 24;

/// One bit for each record in `live` that passes.
#[inline(always)]
fn scan<R>(records: &[R], live: u64, test: impl Fn(&R) -> bool) -> u64 {
    if live.count_ones() >= SPARSE {
        let all = records.iter().take(STEP).enumerate();
        return live & all.fold(0, |mask, (index, record)| mask | u64::from(test(record)) << index);
    }
    let (mut left, mut mask) = (live, 0);
    while left != 0 {
        let index = left.trailing_zeros();
        mask |= u64::from(records.get(index as usize).is_some_and(&test)) << index;
        left &= left - 1;
    }
    mask
}

fn leaf_of<R>(test: impl Fn(&R, &Frames<'_>) -> bool + Send + Sync + 'static) -> Plan<R> {
    Plan::Leaf(Box::new(move |records, frames, live| scan(records, live, |record| test(record, frames))))
}

/// Ranges of 64-bit numbers, in the form that answers fastest.
enum Numbers {
    /// At most two ranges, as lowest number and how many more; unused ones hold nothing.
    Few([(u64, u64); 2], usize),
    /// One bit for each number below 65,536.
    Bits(Box<[u64; 1024]>),
    Many(Ranges),
}

impl Numbers {
    fn new(ranges: Ranges) -> Self {
        let clipped = ranges.intersection(&Ranges::new([(0, u128::from(u64::MAX))]));
        let all: Vec<(u64, u64)> =
            clipped.as_slice().iter().map(|&(low, high)| (low as u64, (high - low) as u64)).collect();
        match *all.as_slice() {
            [] => Self::Few([(0, 0); 2], 0),
            [one] => Self::Few([one; 2], 1),
            [one, two] => Self::Few([one, two], 2),
            _ if clipped.as_slice().iter().all(|&(_, high)| high < 65_536) => {
                let mut bits = Box::new([0_u64; 1024]);
                for number in all.iter().flat_map(|&(low, more)| low..=low + more) {
                    bits[(number >> 6) as usize & 1023] |= 1 << (number & 63);
                }
                Self::Bits(bits)
            }
            _ => Self::Many(clipped),
        }
    }

    #[inline(always)]
    fn contains(&self, number: u64) -> bool {
        match self {
            Self::Few(_, 0) => false,
            Self::Few([(low, more), (low2, more2)], _) => {
                (number.wrapping_sub(*low) <= *more) | (number.wrapping_sub(*low2) <= *more2)
            }
            Self::Bits(bits) => number < 65_536 && bits[(number >> 6) as usize & 1023] >> (number & 63) & 1 == 1,
            Self::Many(ranges) => ranges.contains(u128::from(number)),
        }
    }
}

/// Whether an address is one of `wanted`.
fn within<R>(wanted: Ranges, get: impl Fn(&R, &Frames<'_>) -> Option<Addr> + Send + Sync + 'static) -> Plan<R> {
    match *wanted.as_slice() {
        [] => Plan::None,
        // A prefix: one masked comparison, without turning bytes round.
        [(low, high)] if (low ^ high) & (low ^ high).wrapping_add(1) == 0 && low & (low ^ high) == 0 => {
            let mask = (!(low ^ high)).to_be();
            let network = low.to_be();
            leaf_of(move |record, frames| {
                get(record, frames).is_some_and(|addr| u128::from_ne_bytes(*addr.octets()) & mask == network)
            })
        }
        [(low, high)] => {
            leaf_of(move |record, frames| get(record, frames).is_some_and(|addr| (low..=high).contains(&number(addr))))
        }
        _ => leaf_of(move |record, frames| get(record, frames).is_some_and(|addr| wanted.contains(number(addr)))),
    }
}

impl Compare<'_> {
    /// The numbers of which any decides, of a field that may have several; and whether it must be none of them.
    fn any(&self) -> (Numbers, bool) {
        match self.condition {
            Condition::NotIn(items) => (Numbers::new(ranges(items, self.field.kind())), true),
            _ => (Numbers::new(passing(self.field, self.condition)), false),
        }
    }
}

impl<R: 'static> Visitor<R> for Compare<'_> {
    type Out = Plan<R>;

    fn flag(self, get: impl Fn(&R, &Frames<'_>) -> bool + Send + Sync + 'static) -> Plan<R> {
        leaf_of(get)
    }

    fn number(self, get: impl Fn(&R, &Frames<'_>) -> Option<u64> + Send + Sync + 'static) -> Plan<R> {
        if let Condition::Flags { set, of } = *self.condition {
            let (set, of) = (u64::from(set), u64::from(of));
            return leaf_of(move |record, frames| get(record, frames).is_some_and(|flags| flags & of == set));
        }
        let wanted = passing(self.field, self.condition);
        // The shapes that most filters have get loops of their own.
        match Numbers::new(wanted) {
            Numbers::Few(_, 0) => Plan::None,
            Numbers::Few([(low, 0), _], 1) => leaf_of(move |record, frames| get(record, frames) == Some(low)),
            Numbers::Few([(low, more), _], 1) => leaf_of(move |record, frames| {
                get(record, frames).is_some_and(|number| number.wrapping_sub(low) <= more)
            }),
            numbers => {
                leaf_of(move |record, frames| get(record, frames).is_some_and(|number| numbers.contains(number)))
            }
        }
    }

    fn addr(self, get: impl Fn(&R, &Frames<'_>) -> Option<Addr> + Send + Sync + 'static) -> Plan<R> {
        within(passing(self.field, self.condition), get)
    }

    fn network(
        self,
        names: &Arc<dyn Resolver>,
        get: impl Fn(&R, &Frames<'_>) -> Option<Addr> + Send + Sync + 'static,
    ) -> Plan<R> {
        let (wanted, negated) = self.any();
        let passes = move |origins: &[u32]| origins.iter().any(|&asn| wanted.contains(asn.into())) != negated;
        // A set of addresses costs a fraction of a look-up in a table of all networks.
        if let Some(found) = names.announced(&passes) {
            return within(Ranges::new(found.iter().map(|&(first, last)| (number(first), number(last)))), get);
        }
        let names = names.clone();
        leaf_of(move |record, frames| {
            let network = get(record, frames).and_then(|addr| names.network(addr).known());
            network.is_some_and(|network| passes(network.origins()))
        })
    }

    fn several(self, get: impl Fn(&R, &Frames<'_>, &mut dyn FnMut(u64)) + Send + Sync + 'static) -> Plan<R> {
        let (wanted, negated) = self.any();
        leaf_of(move |record, frames| {
            let (mut any, mut found) = (false, false);
            get(record, frames, &mut |number| {
                any = true;
                found |= wanted.contains(number);
            });
            if negated { any && !found } else { found }
        })
    }

    fn text(self, get: impl Fn(&R, &Frames<'_>, &mut dyn FnMut(&str)) + Send + Sync + 'static) -> Plan<R> {
        let (wanted, negated): (BTreeSet<Arc<str>>, bool) = match self.condition {
            Condition::In(items) => (texts(items).into_iter().collect(), false),
            Condition::NotIn(items) => (texts(items).into_iter().collect(), true),
            // Any text.
            _ => (BTreeSet::new(), true),
        };
        leaf_of(move |record, frames| {
            let (mut any, mut found) = (false, false);
            get(record, frames, &mut |text| {
                any = true;
                found |= wanted.contains(text);
            });
            if negated { any && !found } else { found }
        })
    }
}

impl<R> Predicate<R> {
    /// Whether one record passes; `frames` are those that it refers to, if any.
    pub fn matches(&self, record: &R, frames: &Frames<'_>) -> bool {
        self.plan.mask(std::slice::from_ref(record), frames, 1) == 1
    }

    /// Bit `i` says whether `records[i]` passes. At most [`STEP`] records; those beyond do not pass.
    pub fn mask(&self, records: &[R], frames: &Frames<'_>) -> u64 {
        self.plan.mask(records, frames, live(records.len()))
    }

    /// The fields it asks for.
    pub fn fields(&self) -> FieldSet {
        self.expr.fields()
    }

    /// What a source must offer.
    pub fn needs(&self) -> Features {
        self.needs
    }
}

/// One bit for each of so many records.
fn live(records: usize) -> u64 {
    match records {
        0 => 0,
        1..STEP => (1 << records) - 1,
        _ => u64::MAX,
    }
}

impl Select for Predicate<FlowEvent> {
    fn select(&self, events: &[FlowEvent], frames: &Frames<'_>) -> u64 {
        self.mask(events, frames)
    }

    fn needs(&self) -> Features {
        self.needs
    }

    fn mark(&self, flow: &FlowRecord) -> Marks {
        self.facts.mark(&flow.key)
    }

    fn keeps_flows_whole(&self) -> bool {
        crate::whole::keeps_flows_whole(&self.expr)
    }

    fn early(&self) -> Option<Box<dyn Select>> {
        let plan = self.early.clone()?;
        let (expr, facts) = (self.expr.clone(), self.facts.clone());
        Some(Box::new(Self { plan, needs: self.needs - Features::FLOWS, early: None, expr, facts }))
    }

    fn kernel(&self, form: KernelForm) -> Option<Vec<u8>> {
        match form {
            KernelForm::ClassicBpf { link_type } => {
                cbpf::program(&self.expr, LinkType(link_type)).map(|program| cbpf::bytes(&program))
            }
            KernelForm::InetDiag => inet_diag::program(&inet_diag::either_direction(&self.expr), None),
            _ => None,
        }
    }
}
