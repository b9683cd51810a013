//! Rows that are held back until their order is known.

use crate::edge::Edge;
use crate::fields::Order;

/// Rows that are not written yet.
pub(super) struct Held<R: 'static> {
    pub(super) records: Vec<R>,
    /// The place of the last of the first [`most`](Self::most), once there were more.
    last: Option<usize>,
    pub(super) order: Order<R>,
    /// The first this many in that order are wanted.
    most: usize,
    /// Records that were let go.
    pub(super) unreported: u64,
}

impl<R> Held<R> {
    /// None yet; the first `most` in this order are wanted.
    pub(super) fn new(order: Order<R>, most: usize) -> Self {
        Self { records: Vec::new(), last: None, order, most, unreported: 0 }
    }

    pub(super) fn take(&mut self, records: &mut Vec<R>) {
        // Those that so many others stand before already are not even moved.
        if let Some(last) = self.last.and_then(|last| self.records.get(last)) {
            let (order, edge, before) = (&self.order, Edge::default(), records.len());
            records.retain(|record| order.compare(record, last, &edge).is_lt());
            self.unreported += (before - records.len()) as u64;
        }
        self.records.append(records);
        // A quarter more and a little: each record is looked at a small number of times.
        if self.records.len() >= self.most.saturating_add(self.most / 4).saturating_add(1024) {
            self.let_go();
        }
    }

    /// Keeps the first [`most`](Self::most).
    fn let_go(&mut self) {
        if self.most < self.records.len() {
            // The edge is not asked for what decides here.
            let (order, edge) = (&self.order, Edge::default());
            self.last = self.most.checked_sub(1);
            if let Some(last) = self.last {
                self.records.select_nth_unstable_by(last, |a, b| order.compare(a, b, &edge));
            }
            self.unreported += (self.records.len() - self.most) as u64;
            self.records.truncate(self.most);
        }
    }

    /// How many are missing of those that came, in words for somebody who asked for all of them, and who may choose among
    /// formats that stream.
    pub(super) fn shortage(&self, streams: &str) -> Option<String> {
        let (many, most) = (self.unreported, self.most);
        let rows = if many == 1 { "row is" } else { "rows are" };
        let remedy = format!("--top N keeps another number; {streams} have no limit without --sort");
        (many > 0)
            .then(|| format!("{many} more {rows} not shown: at most {most} are kept to be put in order; {remedy}"))
    }

    /// Brings the records into their order.
    pub(super) fn settle(&mut self, edge: &Edge) {
        self.let_go();
        let order = &self.order;
        self.records.sort_unstable_by(|a, b| order.compare(a, b, edge));
    }
}

#[cfg(test)]
mod tests {
    use flowcore::report::{Bound, Column, Meaning, Quality, Unit, Value};

    use super::*;
    use crate::fields::{Field, Subject};

    fn held(most: usize, batches: &[&[u64]]) -> Held<u64> {
        let field = Field {
            column: Column::new(["number", "number", ""], Unit::None, Meaning::Key),
            value: crate::fields::CellOf::Own(|number| Value::U64(number / 10)),
            shown: None,
            needs: None,
            default: true,
            costly: false,
            rank: 0,
            bound: |_| Bound::Exact,
        };
        let subject = Subject {
            table: "numbers",
            has_levels: false,
            fields: vec![field],
            quality: |_| Quality::default(),
            weight: |&number| number,
            serial: |&number| number,
            order: "number",
            ask: |_, _| true,
            verdict: |_, _| None,
        };
        let order = subject.order(&["number".parse().unwrap()], &Edge::default()).unwrap();
        let mut held = Held::new(order, most);
        for batch in batches {
            held.take(&mut batch.to_vec());
        }
        held.settle(&Edge::default());
        held
    }

    #[test]
    fn those_kept_are_the_first_in_their_order_not_the_first_that_came() {
        let many: Vec<u64> = (0..10_000).rev().collect();
        let kept = held(3, &[&many[..5_000], &many[5_000..]]);
        assert_eq!((kept.records.as_slice(), kept.unreported), (&[0, 1, 2][..], 9_997));
    }

    #[test]
    fn what_is_let_go_is_said() {
        assert_eq!(held(3, &[&[1, 2, 3]]).shortage("csv"), None);
        let said = |most| held(most, &[&[1, 2, 3, 4, 5]]).shortage("jsonl and csv").unwrap();
        assert!(said(3).starts_with("2 more rows are not shown: at most 3 are kept to be put in order; --top N"));
        assert!(said(4).starts_with("1 more row is not shown: at most 4 are kept"));
        assert!(said(4).ends_with("; jsonl and csv have no limit without --sort"));
    }

    #[test]
    fn equals_are_ordered_by_their_beginnings_however_they_came() {
        // Numbers 10 to 19 are equal but for when they began.
        assert_eq!(held(2, &[&[15, 12], &[31, 11]]).records, held(2, &[&[11, 31], &[15], &[12]]).records);
        assert_eq!(held(2, &[&[15, 12], &[31, 11]]).records, [11, 12]);
    }
}
