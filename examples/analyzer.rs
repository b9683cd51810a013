//! How long was each flow silent at most?
//!
//! An analyzer with state for each flow: the table of flows gives it a place by number, tells it when a flow begins and
//! ends, and takes results as a table that every reporter can write.

use std::io::Write;

use flowcore::flows::Slots;
use flowcore::pipeline::Pipeline;
use flowcore::report::{Column, Meaning, Quality, Row, Table, TextOptions, TextReporter, Unit, Value};
use flowcore::{Analyzer, Batch, Collector, Detail, FlowRecord, Marks, Nanos, Result, Tables, Timestamp};

/// What is kept of a flow while it lives.
#[derive(Default)]
struct Open {
    last: Option<Timestamp>,
    longest: Nanos,
}

#[derive(Default)]
struct Silence {
    open: Slots<Open>,
    ended: Vec<(FlowRecord, Nanos)>,
}

impl Analyzer for Silence {
    fn name(&self) -> &str {
        "silence"
    }

    fn observe(&mut self, batch: &Batch<'_>) -> Result<()> {
        for event in batch.events.iter().filter(|event| event.flow.is_some()) {
            let open = self.open.entry(event.flow);
            if event.marks.contains(Marks::BEGIN) {
                // The number may have been another flow's.
                *open = Open::default();
            }
            match (event.detail, batch.flows.record(event.flow)) {
                (Detail::End(_), Some(flow)) => self.ended.push((flow, open.longest)),
                _ => {
                    // Time comes from the data, and may run backwards.
                    open.longest = open.longest.max(open.last.map_or(Nanos::ZERO, |last| event.time - last));
                    open.last = Some(event.time);
                }
            }
        }
        Ok(())
    }

    fn snapshot(&self, out: &mut Tables) {
        let columns = vec![
            Column::new(["from", "FROM", "Originator."], Unit::None, Meaning::Key),
            Column::new(["to", "TO", "Responder."], Unit::None, Meaning::Key),
            Column::new(["silence", "SILENCE", "Longest time between two packets."], Unit::Nanos, Meaning::Gauge),
        ];
        let mut longest: Vec<_> = self.ended.iter().collect();
        longest.sort_by_key(|(flow, silence)| (std::cmp::Reverse(*silence), flow.serial));
        let cells = |(flow, silence): &(FlowRecord, Nanos)| {
            vec![Value::Addr(flow.key.src), Value::Addr(flow.key.dst), Value::Span(*silence)]
        };
        let rows = longest.into_iter().take(5).map(|ended| Row { cells: cells(ended), quality: Quality::default() });
        out.push(Table { rows: rows.collect(), ..Table::new("silence", columns) });
    }
}

pub(crate) fn run(out: impl Write + Send + 'static) -> Result<()> {
    let mut source = flowsrc_pcap::Files::open("captures/web.pcapng.zst")?;
    let mut builder = Pipeline::builder().report(None, TextReporter::new(out, TextOptions::default()));
    builder.add(Silence::default());
    builder.build(source.info())?.run(&mut source).map(drop)
}

fn main() -> Result<()> {
    run(std::io::stdout())
}
