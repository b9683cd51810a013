//! `flow vol`: what connections carry and what holds them up.

use std::time::Duration;

use flowcore::pipeline::Pipeline;
use flowcore::report::Row;
use flowcore::{Snapshot, Timestamp};
use flowsrc_netlink::Sockets;
use flowstats::chart::Chart;
use flowstats::volume::{Carried, Total, Volume, columns};

use super::owners::{Owner, Owners};
use super::sheet::{Sheet, owner_cells};
use super::{Live, Places, bar, check, classic_label, ending, group, polls, print};
use crate::args::{Group, VolArgs};
use crate::exit::{Exit, complain};

/// Runs the command.
pub fn run(args: &VolArgs) -> anyhow::Result<Exit> {
    let defs = columns();
    let sheet = Sheet::new(&args.view, "volume", &defs, super::owner_columns())?;
    if args.view.list_columns {
        return crate::documents::print(&sheet.describe());
    }
    check(&args.view, args.count)?;
    let mut view = View { args, sheet, owners: None, reports: 0 };
    let mut builder = Pipeline::builder();
    let handle = builder.add(Volume::new());
    let every = args.view.every;
    let polls = polls(&args.view, args.count);
    let mut live = Live::open(&args.view, Some(every.unwrap_or(args.interval)), polls, view.wants_owners(), builder)?;
    view.owners = live.holders.clone().filter(|_| view.wants_owners()).map(Owners::new);
    let mut rows = 0;
    live.run(
        |_| Duration::MAX,
        |live, poll| {
            let snapshot = live.snapshot(polls == Some(poll))?;
            if poll > 1 && every.is_some() {
                rows = view.report(live.pipeline.get_mut(&handle), &snapshot, &live.source)?;
            }
            if poll == 1 || every.is_some() {
                live.pipeline.get_mut(&handle).mark(snapshot.through.unwrap_or(Timestamp::EPOCH));
            }
            Ok(())
        },
    )?;
    if every.is_none() || live.stopped.is_some() {
        let snapshot = live.snapshot(true)?;
        rows = view.report(live.pipeline.get_mut(&handle), &snapshot, &live.source)?;
    }
    live.conclude(rows)
}

/// How the user wants to see volumes.
struct View<'a> {
    args: &'a VolArgs,
    sheet: Sheet<'a>,
    /// If they are needed.
    owners: Option<Owners>,
    reports: u64,
}

impl View<'_> {
    /// Whether processes are shown or grouped by.
    fn wants_owners(&self) -> bool {
        let shown = !self.args.view.classic && (self.sheet.shows("pid") || self.sheet.shows("process"));
        shown || self.args.group == Some(Group::Proc)
    }

    /// Writes one report; gives the number of its rows.
    fn report(&mut self, volume: &mut Volume, snapshot: &Snapshot, source: &Sockets) -> anyhow::Result<u64> {
        volume.answered(source.answered());
        let mut carried = volume.rows();
        let mut snapshot = snapshot.clone();
        snapshot.ledger.unreported_rows += volume.unreported();
        let classic = self.args.view.classic;
        let owners = super::look(&mut self.owners, &self.args.view, carried.iter().map(|row| row.end))?;
        let own = |row: &Carried| owners.map_or(&[] as &[Owner], |owners| owners.of(&row.end));
        let defs = columns();
        let places = Places::of(source, carried.iter().map(|row| &row.end));
        let row = |row: &Carried| {
            let cells = defs.iter().map(|def| places.cell(&def.column.name, &row.end, (def.value)(row)));
            Row { cells: cells.chain(owner_cells(own(row))).collect(), quality: row.quality() }
        };
        if !self.sheet.is_ordered() {
            let bytes =
                |row: &Carried| [Total::BytesOut, Total::BytesIn].map(|at| row.counted.get(at)).iter().flatten().sum();
            carried.sort_by_key(|row| std::cmp::Reverse::<u64>(bytes(row)));
        }
        let (rows, left_out) = self.sheet.arrange(&mut carried, snapshot.through, row);
        snapshot.ledger.unreported_rows += left_out;
        let count = rows.len();
        let first = self.reports == 0;
        self.reports += 1;
        let ending = ending(&snapshot, count);
        if classic {
            print(&charts(&carried, self.args.group, owners))?;
        } else if self.args.view.output.is_text() {
            let both: Vec<(Carried, Row)> = carried.into_iter().zip(rows).collect();
            for group in group(both, self.args.group, |(row, _)| row.end, owners) {
                if !group.title.is_empty() {
                    print(&format!("{}\n", group.title))?;
                }
                let rows: Vec<Row> = group.records.into_iter().map(|(_, row)| row).collect();
                self.sheet.print_table(&rows)?;
            }
            self.sheet.print_trust(&ending)?;
        } else {
            self.sheet.print_rows(&rows, &ending)?;
        }
        if count == 0 && first && self.args.view.every.is_none() && !self.args.view.ending.quiet {
            complain("note: there is no TCP connection");
        }
        Ok(count as u64)
    }
}

/// Fleutan's layout: the bandwidth-delay product in bytes, and what was received and sent over the interval.
fn charts(carried: &[Carried], by: Option<Group>, owners: Option<&Owners>) -> String {
    let mut out = String::from("**TCP FLOWS:ebdp (estimated bandwidth-delay-product)\n");
    for group in group(carried.to_vec(), by, |row| row.end, owners) {
        let value = |row: &Carried| row.now.window_bytes();
        chart(&group.title, '-', &group.records, value).render(false, &mut out);
        out.push_str("\n---\n");
    }
    out.push_str("**TCP FLOWS: transceive stats\n");
    let directions = [
        ("RX", '|', "##tcp_segs_in", Total::SegmentsIn, Total::BytesIn),
        ("TX", '*', "##tcp_segs_out", Total::SegmentsOut, Total::BytesOut),
    ];
    for (name, symbol, title, segments, bytes) in directions {
        out.push_str(&format!(">>{name}\n"));
        chart(title, symbol, carried, |row| row.counted.get(segments)).render(false, &mut out);
        chart("##bytes", symbol, carried, |row| row.counted.get(bytes)).render(false, &mut out);
        out.push_str("\n---\n");
    }
    out
}

/// Flows by what they have of something, upwards; those of which it is not known have no bar.
fn chart<'t>(title: &'t str, symbol: char, rows: &[Carried], value: impl Fn(&Carried) -> Option<u64>) -> Chart<'t> {
    let mut rows: Vec<(u64, &Carried)> = rows.iter().filter_map(|row| Some((value(row)?, row))).collect();
    rows.sort_by_key(|(value, _)| *value);
    let bars = rows.into_iter().map(|(value, row)| bar(value as f64, classic_label(&row.end))).collect();
    Chart { symbol, ..Chart::new(title, bars) }
}
