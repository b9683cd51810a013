//! `flow lat`: round-trip times.

use std::cmp::Reverse;
use std::num::NonZeroU64;
use std::time::Duration;

use flowcore::pipeline::{Handle, Moment, Pipeline};
use flowcore::report::{Bound, Column, Ending, Meaning, Row, Unit, Value};
use flowcore::{Collector, Nanos, Snapshot};
use flowsrc_netlink::Sockets;
use flowstats::chart::{Chart, Layout, push_scaled, python_number};
use flowstats::columns::Def;
use flowstats::conns::Doubts;
use flowstats::latency::{Distribution, Flow, Latency, MOST_ENDED, Options, columns, millis};

use super::owners::{Owner, Owners};
use super::sheet::{Sheet, owner_cells};
use super::{Live, Places, bar, check, classic_label, ending, fitting, group, layout, print, selection, wrapped};
use crate::args::{Group, LatArgs, ViewArgs};
use crate::exit::{Exit, complain};
use crate::progress::Progress;
use crate::run::{self, Finish};
use crate::signals::Signals;
use crate::terminal;

/// Runs the command.
pub fn run(args: &LatArgs) -> anyhow::Result<Exit> {
    let defs = columns();
    let sheet = if args.distribution {
        Sheet::new(&args.view, "latency_distribution", &[] as &[Def<()>], distribution_columns())?
    } else {
        Sheet::new(&args.view, "latency", &defs, super::owner_columns())?
    };
    if args.view.list_columns {
        return crate::documents::print(&sheet.describe());
    }
    check(&args.view, None)?;
    let view = View { args, sheet, owners: None, reports: 0 };
    if args.input.read.is_empty() { view.of_sockets() } else { view.of_packets() }
}

/// How the user wants to see round trips.
struct View<'a> {
    args: &'a LatArgs,
    sheet: Sheet<'a>,
    /// If they are needed.
    owners: Option<Owners>,
    reports: u64,
}

impl View<'_> {
    fn of_sockets(mut self) -> anyhow::Result<Exit> {
        let mut builder = Pipeline::builder();
        let handle = builder.add(latency(&self.args.view));
        let every = self.args.view.every;
        let reports = self.args.input.count.map(NonZeroU64::get);
        if reports.is_some() && every.is_none() {
            let message = "-c counts packets of a capture (-r), or reports with --every";
            return Err(flowcore::Error::new(flowcore::ErrorKind::Usage, message).into());
        }
        let mut live = Live::open(&self.args.view, every, reports, self.wants_owners(), builder)?;
        self.owners = live.holders.clone().filter(|_| self.wants_owners()).map(Owners::new);
        let mut rows = 0;
        live.run(
            |_| Duration::MAX,
            |live, poll| {
                if every.is_some() {
                    let snapshot = live.snapshot(reports == Some(poll))?;
                    rows = self.report(&mut live.pipeline, &handle, &snapshot, Some(&live.source))?;
                }
                Ok(())
            },
        )?;
        if every.is_none() || live.stopped.is_some() {
            let snapshot = live.snapshot(true)?;
            rows = self.report(&mut live.pipeline, &handle, &snapshot, Some(&live.source))?;
        }
        live.conclude(rows)
    }

    fn of_packets(mut self) -> anyhow::Result<Exit> {
        let args = self.args;
        if args.view.every.is_some() || args.view.netns.is_some() || args.group == Some(Group::Proc) {
            let message = "--every, --netns and -g proc are for this host's sockets; a capture has none";
            return Err(flowcore::Error::new(flowcore::ErrorKind::Usage, message).into());
        }
        crate::filter::refuse_one_input(&args.view.filter, &args.input.read)?;
        let filter = selection(&args.view)?;
        let signals = Signals::listen()?;
        let inputs = run::inputs(&args.input.read, &signals)?;
        let headers =
            filter.as_ref().is_some_and(|filter| flowcore::Select::needs(filter).contains(flowcore::Features::HEADERS));
        let mut source = match run::open(inputs, run::decoding(args.input.no_decap, headers), args.input.count) {
            Ok(source) => source,
            Err(_) if signals.stop().is_some() => return Ok(run::interrupted(&signals)),
            Err(error) => return Err(error.into()),
        };
        let mut builder = Pipeline::builder().limits(run::limits(&args.input));
        if let Some(filter) = filter {
            builder = builder.filter(filter);
        }
        let handle = builder.add(latency(&args.view));
        let mut pipeline = builder.build(source.info())?;
        run::introduce(&args.view.ending, source.info());
        let mut progress = Progress::new(!args.view.ending.quiet);
        let mut stopped = false;
        let mut snapshot = pipeline.run_with(&mut source, |pipeline, source, moment| -> anyhow::Result<bool> {
            if moment == (Moment::Closing { incomplete: false })
                && run::is_limited(args.input.count, source.ledger()?.delivered())
            {
                pipeline.get_mut(&handle).doubt(Doubts::STOPPED);
            }
            if moment == Moment::Batch {
                progress.tick(|| {
                    let position = source.position();
                    (position.read, position.total)
                });
                stopped = signals.ends_reading();
            }
            Ok(!stopped)
        })?;
        progress.clear();
        if stopped && snapshot.ledger.seen() == 0 {
            return Ok(run::interrupted(&signals));
        }
        snapshot.tables.clear();
        let (read, fault) = (run::packets_read(&snapshot.ledger), snapshot.fault.take());
        snapshot.fault = run::why(args.input.count, read, fault.as_deref(), stopped).map(str::to_owned);
        let rows = self.report(&mut pipeline, &handle, &snapshot, None)?;
        // That the user had enough is no fault of the input.
        snapshot.fault = fault;
        let said = run::has_said(args.view.output, args.view.style.no_trailer);
        Ok(run::conclude(&args.view.ending, &snapshot, pipeline.flows(), &Finish { rows, stopped, said }))
    }

    /// Writes one report; gives the number of its rows.
    fn report(
        &mut self,
        pipeline: &mut Pipeline,
        handle: &Handle<Latency>,
        snapshot: &Snapshot,
        source: Option<&Sockets>,
    ) -> anyhow::Result<u64> {
        let latency = pipeline.get_mut(handle);
        source.into_iter().for_each(|source| latency.answered(source.answered()));
        let mut flows = latency.rows();
        latency.forget_ended();
        let mut snapshot = snapshot.clone();
        let unkept = latency.unreported();
        snapshot.ledger.unreported_rows += unkept;
        let distribution = Distribution::of(&flows);
        let is_chart = self.is_chart();
        let doubts = flows.iter().map(|flow| flow.doubts).fold(Doubts::empty(), |all, one| all | one);
        let remark = if is_chart { remark(&flows, doubts) } else { None };
        let owners = super::look(&mut self.owners, &self.args.view, flows.iter().map(|flow| flow.end))?;
        let own = |flow: &Flow| owners.map_or(&[] as &[Owner], |owners| owners.of(&flow.end));
        let defs = columns();
        let places = source.map(|source| Places::of(source, flows.iter().map(|flow| &flow.end))).unwrap_or_default();
        let row = |flow: &Flow| {
            let cells = defs.iter().map(|def| places.cell(&def.column.name, &flow.end, (def.value)(flow)));
            Row { cells: cells.chain(owner_cells(own(flow))).collect(), quality: flow.doubts.quality() }
        };
        // Without --sort they go upwards; a few of them are asked for because of the slowest.
        let slowest = self.args.view.top.is_some() && !self.sheet.is_ordered();
        if slowest {
            flows.sort_by_key(|flow| Reverse(flow.rtt));
        }
        let (rows, left_out) = if self.args.distribution {
            let mut rows = distribution_cells(&distribution, self.args);
            let row = |cells: &Vec<Value>| Row { cells: cells.clone(), quality: doubts.quality() };
            self.sheet.arrange(&mut rows, snapshot.through, row)
        } else {
            self.sheet.arrange(&mut flows, snapshot.through, row)
        };
        if slowest && self.args.view.classic {
            // Upwards there too.
            flows.reverse();
        }
        snapshot.ledger.unreported_rows += left_out;
        let count = rows.len();
        let ending = Ending { remark: remark.as_deref(), ..ending(&snapshot, count) };
        let first = self.reports == 0;
        self.reports += 1;
        if self.args.view.output.is_text() {
            if is_chart {
                let charts = Charts { args: self.args, distribution: &distribution, unkept, owners, places: &places };
                print(&charts.render(flows))?;
            } else {
                self.sheet.print_table(&rows)?;
            }
            if !self.args.view.classic {
                self.sheet.print_trust(&ending)?;
            }
        } else {
            self.sheet.print_rows(&rows, &ending)?;
        }
        if distribution.measured() + distribution.unmeasured() == 0
            && first
            && self.args.view.every.is_none()
            && !self.args.view.ending.quiet
        {
            complain("note: there is no TCP connection");
        }
        // A distribution has rows also of nothing.
        Ok(if self.args.distribution { distribution.measured() + distribution.unmeasured() } else { count as u64 })
    }

    /// Whether it is drawn as charts.
    fn is_chart(&self) -> bool {
        let view = &self.args.view;
        view.output == crate::args::Format::Table && view.columns.is_none() && !self.args.distribution
    }

    /// Whether processes are shown or grouped by.
    fn wants_owners(&self) -> bool {
        let shown = !self.is_chart() && (self.sheet.shows("pid") || self.sheet.shows("process"));
        self.args.input.read.is_empty() && (self.args.group == Some(Group::Proc) || shown)
    }
}

/// How many connections are not exact, of which `doubts` are the reasons: bars have no room for marks.
fn remark(flows: &[Flow], doubts: Doubts) -> Option<String> {
    let inexact = flows.iter().filter(|flow| !flow.doubts.is_empty()).count();
    (inexact > 0).then(|| {
        let reasons = doubts.quality().at_least.join(", ");
        format!("{inexact} of {} connections are near the truth, not exact: {reasons}", flows.len())
    })
}

fn distribution_columns() -> Vec<Column> {
    let column = |words, unit| Column::new(words, unit, Meaning::Gauge);
    vec![
        column(["what", "WHAT", "bin, percentile; measured and unmeasured: all with and without one."], Unit::None),
        column(["percent", "PERCENT", "Which percentile; 0 is the least, 100 the greatest."], Unit::None),
        column(["rtt_ns", "RTT", "Round-trip time at that percentile."], Unit::Nanos).bounded(Bound::About),
        column(["from_ns", "FROM", "Where a bin begins."], Unit::Nanos),
        column(["to_ns", "TO", "Where it ends; the last one includes it."], Unit::Nanos),
        column(["flows", "FLOWS", "Connections in the bin, or in all."], Unit::None).bounded(Bound::About),
    ]
}

/// The percentiles asked for, without the least and the greatest: those are told in any case.
fn between_the_ends(args: &LatArgs) -> impl Iterator<Item = f64> + '_ {
    args.levels().percents().iter().copied().filter(|&percent| percent > 0.0 && percent < 100.0)
}

/// Counts, percentiles, bins.
fn distribution_cells(distribution: &Distribution, args: &LatArgs) -> Vec<Vec<Value>> {
    const NONE: Value = Value::Missing;
    let all = |what, flows| vec![Value::Word(what), NONE, NONE, NONE, NONE, Value::U64(flows)];
    let mut rows = vec![all("measured", distribution.measured()), all("unmeasured", distribution.unmeasured())];
    for percent in std::iter::once(0.0).chain(between_the_ends(args)).chain([100.0]) {
        let rtt = distribution.quantile(percent / 100.0).map_or(NONE, Value::Span);
        rows.push(vec![Value::Word("percentile"), Value::F64(percent), rtt, NONE, NONE, NONE]);
    }
    let edge = |millis: f64| Value::Span(Nanos::new((millis * 1e6).round() as i64));
    for bin in distribution.bins(args.bins) {
        rows.push(vec![Value::Word("bin"), NONE, NONE, edge(bin.from), edge(bin.to), Value::U64(bin.count)]);
    }
    rows
}

/// Round trips as charts.
struct Charts<'a> {
    args: &'a LatArgs,
    distribution: &'a Distribution,
    /// Ended connections beyond those that are kept: nothing is known of their round trips.
    unkept: u64,
    owners: Option<&'a Owners>,
    places: &'a Places,
}

impl Charts<'_> {
    fn render(&self, flows: Vec<Flow>) -> String {
        let classic = self.args.view.classic;
        let paint = terminal::color(self.args.view.style.color);
        let mut out = String::new();
        let measured: Vec<Flow> = flows.into_iter().filter(|flow| flow.rtt.is_some()).collect();
        out.push_str(&if classic {
            format!("**TCP FLOWS: (NUM {})\n*latency distribution [rtt-range]\n", self.distribution.measured())
        } else {
            self.summary()
        });
        let edge = |edge: f64| if classic { python_number(edge) } else { format!("{edge:.3}") };
        let bins = self.distribution.bins(self.args.bins).into_iter();
        let bars = bins.map(|bin| bar(bin.count as f64, format!("[{}-{}]", edge(bin.from), edge(bin.to)))).collect();
        let title = if classic { "" } else { "connections by round-trip time, ms" };
        let whole: fn(&mut String, f64) = |out, value| out.push_str(&format!("{value}"));
        let figure = if classic { push_scaled } else { whole };
        // Around a single value bins would show what nobody measured.
        let spread = self.distribution.quantile(0.0) != self.distribution.quantile(1.0);
        if classic || spread {
            self.chart(title, bars, figure, false).render(paint, &mut out);
            out.push_str(if classic { "\n---\n*latency per flow in rtt(ms)\n" } else { "\n" });
        }
        let exact: fn(&mut String, f64) = |out, value| out.push_str(&format!("{value:.3}"));
        if measured.is_empty() && !classic {
            return out;
        }
        for group in group(measured, self.args.group, |flow| flow.end, self.owners) {
            let labels = self.labels(&group.records);
            let bars = group.records.iter().zip(labels);
            let bars = bars.filter_map(|(flow, label)| Some(bar(millis(flow.rtt?), label))).collect();
            let title = match (classic, group.title.is_empty()) {
                (false, true) => "round-trip time of each, ms",
                _ => group.title.as_str(),
            };
            self.chart(title, bars, if classic { push_scaled } else { exact }, true).render(paint, &mut out);
            out.push_str(if classic { "\n---\n" } else { "\n" });
        }
        out
    }

    fn chart<'t>(
        &self,
        title: &'t str,
        bars: Vec<flowstats::chart::Bar>,
        figure: fn(&mut String, f64),
        coloured: bool,
    ) -> Chart<'t> {
        let chart = Chart { thresholds: coloured.then_some(self.args.thresh.0), ..Chart::new(title, bars) };
        if self.args.view.classic { chart } else { Chart { layout: layout(), figure, ..chart } }
    }

    /// As much of each flow as lines have room for.
    fn labels(&self, flows: &[Flow]) -> Vec<String> {
        if self.args.view.classic {
            return flows.iter().map(|flow| classic_label(&flow.end)).collect();
        }
        let shown = |span: Option<Nanos>| span.map_or_else(|| "-".to_owned(), |span| format!("{:.3}", millis(span)));
        let ends: Vec<String> = flows.iter().map(|flow| self.places.ends(&flow.end)).collect();
        let whole = flows.iter().zip(&ends);
        let whole = whole.map(|(flow, ends)| format!("{ends}  min {} var {}", shown(flow.min_rtt), shown(flow.rttvar)));
        let whole: Vec<String> = whole.collect();
        let Some(width) = terminal::width() else { return whole };
        let values = flows.iter().map(|flow| shown(flow.rtt).len()).max().unwrap_or(0);
        let Layout { least_bar, gap, .. } = layout();
        let room = width.saturating_sub(least_bar + 2 * gap + values).max(16);
        let fits = |labels: &[String]| labels.iter().all(|label| label.chars().count() <= room);
        if fits(&whole) {
            return whole;
        }
        if fits(&ends) {
            return ends;
        }
        ends.iter().map(|ends| fitting(ends, room)).collect()
    }

    /// How many there are, and their percentiles.
    fn summary(&self) -> String {
        let Self { args, distribution, unkept, .. } = self;
        let mut out = how_many(distribution.measured(), distribution.unmeasured(), *unkept);
        let at = |level: f64| distribution.quantile(level).map(|rtt| format!("{:.3}", millis(rtt)));
        if let (Some(least), Some(greatest)) = (at(0.0), at(1.0)) {
            out.push_str(&format!("; round trips in ms: min {least}"));
            for percent in between_the_ends(args) {
                if let Some(value) = at(percent / 100.0) {
                    out.push_str(&format!(", p{percent} {value}"));
                }
            }
            out.push_str(&format!(", max {greatest}"));
        }
        out.push_str("\n\n");
        wrapped(&out)
    }
}

/// The analyzer: it keeps as many ended connections as rows are asked for, if those are more than it keeps anyway.
fn latency(args: &ViewArgs) -> Latency {
    let most_ended = args.top.map_or(0, |top| usize::try_from(top.get()).unwrap_or(usize::MAX).max(MOST_ENDED));
    Latency::new(Options { most_ended })
}

/// How many connections there are, with a round-trip time and without, and beyond those that are kept.
fn how_many(measured: u64, unmeasured: u64, unkept: u64) -> String {
    let mut out = format!("{measured} TCP connection{}", if measured == 1 { "" } else { "s" });
    if unmeasured > 0 {
        out.push_str(&format!(" and {unmeasured} without a round-trip time yet"));
    }
    if unkept > 0 {
        out.push_str(&format!(", and {unkept} more that were not kept (--top N keeps N)"));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_that_were_not_kept_are_told() {
        assert_eq!(how_many(1, 0, 0), "1 TCP connection");
        assert_eq!(
            how_many(0, 1_000_000, 7),
            "0 TCP connections and 1000000 without a round-trip time yet, and 7 more that were not kept (--top N keeps N)"
        );
    }
}
