//! `flow cpu`: on which CPUs the processes behind connections run.

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use flowcore::pipeline::Pipeline;
use flowcore::report::{Column, Meaning, Row, Unit, Value};
use flowcore::{Nanos, Snapshot, Timestamp};
use flowstats::chart::Chart;
use flowstats::columns::Def;
use flowstats::volume::{Carried, Total, Volume};
use flowstats::{Cpu, cpu::Spread};

use super::owners::{Owner, Owners, Threads, cpus};
use super::sheet::Sheet;
use super::{Live, bar, check, ending, print, shown};
use crate::args::CpuArgs;
use crate::exit::{Exit, complain};

/// Runs the command.
pub fn run(args: &CpuArgs) -> anyhow::Result<Exit> {
    let columns = if args.general { general_columns() } else { process_columns() };
    let table = if args.general { "cpu_loads" } else { "cpus" };
    let sheet = Sheet::new::<()>(&args.view, table, &[] as &[Def<()>], columns)?;
    if args.view.list_columns {
        return crate::documents::print(&sheet.describe());
    }
    check(&args.view)?;
    let mut builder = Pipeline::builder();
    let handle = builder.add(Volume::new());
    let every = args.view.every;
    let interval = every.unwrap_or(args.interval);
    let polls = every.is_none().then_some(2);
    let mut live = Live::open(&args.view, Some(interval), polls, builder)?;
    let rounds = u64::try_from(interval.get() / args.period.get().max(1)).unwrap_or(1).max(1);
    let watch = std::cell::RefCell::new(Watch::new(args.period, rounds));
    let view = View { args, sheet, reports: Cell::new(0) };
    let mut rows = 0;
    let mut noted = false;
    live.run(
        |_| watch.borrow_mut().look(),
        |live, poll| {
            let mut watch = watch.borrow_mut();
            let snapshot = live.snapshot(false)?;
            if poll > 1 && every.is_some() && live.signals.stop().is_none() {
                rows = view.report(live.pipeline.get(&handle), &watch, &snapshot)?;
            }
            if poll == 1 || every.is_some() {
                let volume = live.pipeline.get_mut(&handle);
                volume.mark(snapshot.through.unwrap_or(Timestamp::EPOCH));
                let owners = Owners::look();
                super::note_refused(&args.view, &owners, &mut noted);
                watch.begin(owners, &volume.rows());
            }
            Ok(())
        },
    )?;
    if every.is_none() || live.signals.stop().is_some() {
        let snapshot = live.snapshot(true)?;
        rows = view.report(live.pipeline.get(&handle), &watch.borrow(), &snapshot)?;
    }
    live.conclude(rows)
}

/// Looks at threads, a round each period.
struct Watch {
    period: Duration,
    /// Rounds in an interval.
    rounds: u64,
    owners: Owners,
    pids: BTreeSet<u32>,
    threads: Threads,
    cpu: Cpu,
    /// When the first round of this interval was.
    began: Option<Instant>,
}

impl Watch {
    fn new(period: Nanos, rounds: u64) -> Self {
        Self {
            period: Duration::from_nanos(period.get().unsigned_abs()),
            rounds,
            owners: Owners::default(),
            pids: BTreeSet::new(),
            threads: Threads::default(),
            cpu: Cpu::new(),
            began: None,
        }
    }

    /// Begins an interval over the processes of these connections.
    fn begin(&mut self, owners: Owners, rows: &[Carried]) {
        self.pids = rows.iter().flat_map(|row| owners.of(row.end.inode)).map(|owner| owner.pid).collect();
        self.owners = owners;
        self.cpu = Cpu::new();
        // What threads run counts from here.
        self.threads = Threads::default();
        self.threads.look(&self.pids, Timestamp::EPOCH);
        self.began = Some(Instant::now());
    }

    /// Takes the round that is due, if one is; gives the time until the next.
    fn look(&mut self) -> Duration {
        let Some(began) = self.began else { return Duration::MAX };
        let done = self.cpu.rounds();
        if done >= self.rounds {
            return Duration::MAX;
        }
        // In the middle of its period: the last one is over before the interval is.
        let due = self.period.saturating_mul(u32::try_from(done).unwrap_or(u32::MAX)) + self.period / 2;
        if began.elapsed() < due {
            return due.saturating_sub(began.elapsed());
        }
        // The time of a round is of no use here.
        let round = self.threads.look(&self.pids, Timestamp::EPOCH);
        self.cpu.take(&round);
        (due + self.period).saturating_sub(began.elapsed())
    }

    /// The process that a connection's load is put on: of several that hold it, the first.
    fn pid(&self, row: &Carried) -> Option<u32> {
        self.owners.of(row.end.inode).first().map(|owner| owner.pid)
    }
}

/// How the user wants to see CPUs.
struct View<'a> {
    args: &'a CpuArgs,
    sheet: Sheet<'a>,
    reports: Cell<u64>,
}

impl View<'_> {
    /// Writes one report; gives the number of its rows.
    fn report(&self, volume: &Volume, watch: &Watch, snapshot: &Snapshot) -> anyhow::Result<u64> {
        let carried = volume.rows();
        let mut cells: Vec<Vec<Value>> =
            if self.args.general { general_cells(&carried, watch) } else { process_cells(&carried, watch) };
        let rows: Vec<Row> = self.sheet.arrange(&mut cells, Clone::clone);
        let first = self.reports.get() == 0;
        self.reports.set(self.reports.get() + 1);
        let ending = ending(snapshot, rows.len());
        let text = self.args.view.output == crate::args::Format::Table && self.args.view.columns.is_none();
        if text {
            print(&if self.args.general { general_charts(&carried, watch) } else { process_charts(&carried, watch) })?;
            if !self.args.view.classic {
                self.sheet.print_trust(&ending)?;
            }
        } else if self.args.view.output.is_text() {
            self.sheet.print_table(&rows)?;
            self.sheet.print_trust(&ending)?;
        } else {
            self.sheet.print_rows(&rows, &ending, first)?;
        }
        if watch.pids.is_empty() && first && !self.args.view.ending.quiet {
            complain("note: no process that may be seen has a TCP connection");
        }
        Ok(rows.len() as u64)
    }
}

/// Processes with connections, by id.
fn processes<'w>(carried: &[Carried], watch: &'w Watch) -> BTreeMap<u32, (&'w Owner, Vec<Carried>)> {
    let mut processes = BTreeMap::new();
    for row in carried {
        // Each of several that share a socket has it.
        for owner in watch.owners.of(row.end.inode) {
            processes.entry(owner.pid).or_insert_with(|| (owner, Vec::new())).1.push(*row);
        }
    }
    processes
}

/// Fleutan's layout, also without `--classic`: its counts are what differs.
fn process_charts(carried: &[Carried], watch: &Watch) -> String {
    let mut out = String::new();
    for (pid, (owner, rows)) in processes(carried, watch) {
        out.push_str(&format!("~>{}({pid})\n", shown(&owner.command)));
        for row in rows {
            let end = row.end;
            let (local, remote) = (end.local.to_string(), end.remote.to_string());
            let (local_port, remote_port) = (end.local_port, end.remote_port);
            out.push_str(&format!("{:<10}{local:>20}#{local_port:<20}{remote:>20}#{remote_port}\n", "tcp"));
        }
        out.push_str("___\n");
        let residence = watch.cpu.processes().get(&pid);
        let samples = |cpu: u32| residence.and_then(|residence| residence.by_cpu.get(&cpu)).copied().unwrap_or(0.0);
        let bars = (0..cpus()).map(|cpu| bar(samples(cpu), cpu.to_string())).collect();
        Chart { symbol: '*', ..Chart::new("", bars) }.render(false, &mut out);
        out.push_str("...\n");
    }
    out
}

fn general_charts(carried: &[Carried], watch: &Watch) -> String {
    let mut out = String::new();
    for load in LOADS {
        let spread = load.spread(carried, watch);
        let on = |cpu: u32| spread.by_cpu.get(&cpu).copied().unwrap_or(0.0);
        let bars = (0..cpus()).map(|cpu| bar(on(cpu), cpu.to_string())).collect();
        let title = format!("#>{}", load.classic);
        Chart::new(&title, bars).render(false, &mut out);
        if spread.elsewhere > 0.0 {
            out.push_str(&format!("({} of processes that could not be seen)\n", spread.elsewhere));
        }
    }
    out
}

/// Something that connections carry.
struct Load {
    classic: &'static str,
    of: fn(&Carried) -> Option<u64>,
}

const LOADS: [Load; 5] = [
    Load { classic: "segs_in", of: |row| row.counted.get(Total::SegmentsIn) },
    Load { classic: "segs_out", of: |row| row.counted.get(Total::SegmentsOut) },
    Load { classic: "ebwp", of: |row| row.now.window_bytes() },
    Load { classic: "RX_bytes", of: |row| row.counted.get(Total::BytesIn) },
    Load { classic: "TX_bytes", of: |row| row.counted.get(Total::BytesOut) },
];

impl Load {
    fn spread(&self, carried: &[Carried], watch: &Watch) -> Spread {
        // No process has the id 0: what is not known falls nowhere.
        let load = |row: &Carried| Some((watch.pid(row).unwrap_or(0), (self.of)(row)? as f64));
        watch.cpu.spread(carried.iter().filter_map(load))
    }
}

fn column([name, title, about]: [&'static str; 3], unit: Unit, meaning: Meaning) -> Column {
    Column { name: name.into(), title: title.into(), unit, meaning, about: about.into(), bounded: false }
}

fn process_columns() -> Vec<Column> {
    vec![
        column(["pid", "PID", "The process."], Unit::None, Meaning::Key),
        column(["process", "PROCESS", "Its command line."], Unit::None, Meaning::Gauge),
        column(["cpu", "CPU", "By the kernel's number."], Unit::None, Meaning::Key),
        column(["samples", "SAMPLES", "Samples of the process that fall on the CPU."], Unit::None, Meaning::Gauge),
        column(["share_percent", "SHARE", "The same as a part of all its samples."], Unit::Percent, Meaning::Gauge),
        column(
            ["run_ns", "RAN", "How long its threads ran on the CPU; missing if unknown."],
            Unit::Nanos,
            Meaning::Gauge,
        ),
        column(["threads", "THREADS", "Most threads at a time."], Unit::None, Meaning::Gauge),
        column(["connections", "CONNS", "TCP connections of the process."], Unit::None, Meaning::Gauge),
    ]
}

fn process_cells(carried: &[Carried], watch: &Watch) -> Vec<Vec<Value>> {
    let mut cells = Vec::new();
    for (pid, (owner, rows)) in processes(carried, watch) {
        let Some(residence) = watch.cpu.processes().get(&pid) else { continue };
        for (&cpu, &samples) in &residence.by_cpu {
            cells.push(vec![
                Value::U64(pid.into()),
                Value::Text(owner.command.clone()),
                Value::U64(cpu.into()),
                // Sums of thirds and the like; more digits say nothing.
                Value::F64((samples * 1e6).round() / 1e6),
                Value::F64(residence.share(cpu) * 100.0),
                residence.run_by_cpu.get(&cpu).map_or(Value::Missing, |&run| Value::Span(run)),
                Value::U64(residence.threads as u64),
                Value::U64(rows.len() as u64),
            ]);
        }
    }
    cells
}

fn general_columns() -> Vec<Column> {
    let load = |names| column(names, Unit::None, Meaning::Gauge);
    let bytes = |names| column(names, Unit::Bytes, Meaning::Gauge);
    vec![
        column(
            ["cpu", "CPU", "By the kernel's number; missing: of processes that could not be seen."],
            Unit::None,
            Meaning::Key,
        ),
        load(["segments_in", "SEGS<", "Segments received over the interval."]),
        load(["segments_out", "SEGS>", "Segments sent over the interval."]),
        bytes(["bdp_bytes", "BDP", "Congestion windows (cwnd × mss) at its end."]),
        bytes(["bytes_in", "BYTES<", "Data bytes received over the interval."]),
        bytes(["bytes_out", "BYTES>", "Data bytes acknowledged over the interval."]),
    ]
}

fn general_cells(carried: &[Carried], watch: &Watch) -> Vec<Vec<Value>> {
    let spreads = LOADS.map(|load| load.spread(carried, watch));
    let mut cells: Vec<Vec<Value>> = (0..cpus())
        .map(|cpu| {
            let loads = spreads.iter().map(|spread| Value::F64(spread.by_cpu.get(&cpu).copied().unwrap_or(0.0)));
            std::iter::once(Value::U64(cpu.into())).chain(loads).collect()
        })
        .collect();
    if spreads.iter().any(|spread| spread.elsewhere > 0.0) {
        let elsewhere = spreads.iter().map(|spread| Value::F64(spread.elsewhere));
        cells.push(std::iter::once(Value::Missing).chain(elsewhere).collect());
    }
    cells
}
