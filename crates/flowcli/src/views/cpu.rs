//! `flow cpu`: on which CPUs the processes behind connections run.

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use flowcore::pipeline::Pipeline;
use flowcore::report::{Column, Meaning, Unit, Value};
use flowcore::{Error, Snapshot, Timestamp};
use flowsrc_netlink::Sockets;
use flowsrc_netlink::schedule::{Service, Threads, cpus, services};
use flowstats::chart::{Chart, Layout};
use flowstats::columns::Def;
use flowstats::volume::{Carried, Total, Volume};
use flowstats::{Cpu, cpu::Spread};

use super::owners::{Owner, Owners};
use super::sheet::Sheet;
use super::{Live, Places, bar, check, ending, fitting, polls, print, shown, spacious_layout, wrapped};
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
    check(&args.view, args.count)?;
    let mut builder = Pipeline::builder();
    let handle = builder.add(Volume::new());
    let every = args.view.every;
    let interval = every.unwrap_or(args.interval);
    let polls = polls(&args.view, args.count);
    let mut live = Live::open(&args.view, Some(interval), polls, true, builder)?;
    if args.period > interval {
        let message = "--period is longer than the interval: in it nothing would be looked at";
        return Err(Error::new(flowcore::ErrorKind::Usage, message).into());
    }
    let rounds = u64::try_from(interval.get() / args.period.get().max(1)).unwrap_or(1).max(1);
    let watch = std::cell::RefCell::new(Watch::new(args, rounds)?);
    // Finding out who holds what takes a while, in which nothing is sampled: before the interval begins.
    watch.borrow_mut().owners = live.holders.clone().map(Owners::new);
    super::look(&mut watch.borrow_mut().owners, &args.view, live.ends()?.into_iter())?;
    let services = if args.view.netns.is_none() { services() } else { Vec::new() };
    let view = View { args, sheet, reports: Cell::new(0), services };
    let mut rows = 0;
    live.run(
        |_| watch.borrow_mut().look(),
        |live, poll| {
            let mut watch = watch.borrow_mut();
            let snapshot = live.snapshot(polls == Some(poll))?;
            live.pipeline.get_mut(&handle).answered(live.source.answered());
            if poll > 1 && every.is_some() {
                rows = view.report(live.pipeline.get(&handle), &watch, &snapshot, &live.source)?;
            }
            if poll == 1 || every.is_some() {
                let volume = live.pipeline.get_mut(&handle);
                volume.mark(snapshot.through.unwrap_or(Timestamp::EPOCH));
                watch.begin(&volume.rows())?;
            }
            Ok(())
        },
    )?;
    if every.is_none() || live.stopped.is_some() {
        let snapshot = live.snapshot(true)?;
        live.pipeline.get_mut(&handle).answered(live.source.answered());
        rows = view.report(live.pipeline.get(&handle), &watch.borrow(), &snapshot, &live.source)?;
    }
    live.conclude(rows)
}

/// Looks at threads, a round each period.
struct Watch<'a> {
    args: &'a CpuArgs,
    period: Duration,
    /// Rounds in an interval.
    rounds: u64,
    /// From the first interval on.
    owners: Option<Owners>,
    /// Ids and beginnings of the processes that have connections.
    processes: BTreeSet<(u32, u64)>,
    threads: Threads,
    cpu: Cpu,
    /// When the first round of this interval was.
    began: Option<Instant>,
}

impl<'a> Watch<'a> {
    fn new(args: &'a CpuArgs, rounds: u64) -> Result<Self, Error> {
        Ok(Self {
            args,
            period: Duration::from_nanos(args.period.get().unsigned_abs()),
            rounds,
            owners: None,
            processes: BTreeSet::new(),
            threads: Threads::open()?,
            cpu: Cpu::new(),
            began: None,
        })
    }

    /// Begins an interval over the processes of these connections.
    fn begin(&mut self, rows: &[Carried]) -> Result<(), Error> {
        let owners = super::look(&mut self.owners, &self.args.view, rows.iter().map(|row| row.end))?;
        let holders = rows.iter().filter_map(|row| Some(owners?.of(&row.end))).flatten();
        self.processes = holders.map(|owner| (owner.pid, owner.start_ticks)).collect();
        self.cpu = Cpu::new();
        // What threads run counts from here.
        self.threads.look(self.processes.iter().copied(), Timestamp::EPOCH);
        self.began = Some(Instant::now());
        Ok(())
    }

    /// Who holds a connection's socket.
    fn owners(&self, row: &Carried) -> &[Owner] {
        self.owners.as_ref().map_or(&[], |owners| owners.of(&row.end))
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
        let round = self.threads.look(self.processes.iter().copied(), Timestamp::EPOCH);
        self.cpu.take(&round);
        (due + self.period).saturating_sub(began.elapsed())
    }

    /// The process that a connection's load is put on: of several that hold it, the first.
    fn pid(&self, row: &Carried) -> Option<u32> {
        self.owners(row).first().map(|owner| owner.pid)
    }
}

/// How the user wants to see CPUs.
struct View<'a> {
    args: &'a CpuArgs,
    sheet: Sheet<'a>,
    reports: Cell<u64>,
    /// What CPUs do for interfaces; of a namespace other than this process' own it is not known.
    services: Vec<Service>,
}

impl View<'_> {
    /// Writes one report; gives the number of its rows.
    fn report(&self, volume: &Volume, watch: &Watch<'_>, snapshot: &Snapshot, source: &Sockets) -> anyhow::Result<u64> {
        let carried = volume.rows();
        let mut cells: Vec<Vec<Value>> =
            if self.args.general { self.general_cells(&carried, watch) } else { self.process_cells(&carried, watch) };
        let (rows, left_out) = self.sheet.arrange(&mut cells, snapshot.through, |cells| cells.clone().into());
        let first = self.reports.get() == 0;
        self.reports.set(self.reports.get() + 1);
        let text = self.args.view.output == crate::args::Format::Table && self.args.view.columns.is_none();
        let mut snapshot = snapshot.clone();
        // Charts have all of them.
        snapshot.ledger.unreported_rows += if text { 0 } else { left_out };
        let ending = ending(&snapshot, rows.len());
        if text {
            let layout = if self.args.view.classic { Layout::FLEUTAN } else { spacious_layout() };
            let places = Places::of(source, carried.iter().map(|row| &row.end));
            print(&match self.args.general {
                true => general_charts(&carried, watch, layout),
                false => process_charts(&carried, watch, layout, &places),
            })?;
            if !self.args.view.classic {
                print(&wrapped(&self.interfaces()))?;
                self.sheet.print_trust(&ending)?;
            }
        } else if self.args.view.output.is_text() {
            self.sheet.print_table(&rows)?;
            self.sheet.print_trust(&ending)?;
        } else {
            self.sheet.print_rows(&rows, &ending)?;
        }
        if watch.processes.is_empty() && first && !self.args.view.ending.quiet {
            complain("note: no process that may be seen has a TCP connection");
        }
        // CPUs have rows also of nothing.
        Ok(if self.args.general { carried.len() } else { rows.len() } as u64)
    }

    fn process_cells(&self, carried: &[Carried], watch: &Watch<'_>) -> Vec<Vec<Value>> {
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
                    self.serves(cpu),
                ]);
            }
        }
        cells
    }

    fn general_cells(&self, carried: &[Carried], watch: &Watch<'_>) -> Vec<Vec<Value>> {
        let spreads = LOADS.map(|load| load.spread(carried, watch));
        // Of what was not sampled it is not known where it fell.
        let sampled = !watch.cpu.processes().is_empty();
        let mut cells: Vec<Vec<Value>> = (0..cpus())
            .map(|cpu| {
                let on = |spread: &Spread| Value::F64(spread.by_cpu.get(&cpu).copied().unwrap_or(0.0));
                let loads = spreads.iter().map(|spread| if sampled { on(spread) } else { Value::Missing });
                std::iter::once(Value::U64(cpu.into())).chain(loads).chain([self.serves(cpu)]).collect()
            })
            .collect();
        if spreads.iter().any(|spread| spread.elsewhere > 0.0) {
            let elsewhere = spreads.iter().map(|spread| Value::F64(spread.elsewhere));
            cells.push(std::iter::once(Value::Missing).chain(elsewhere).chain([Value::Missing]).collect());
        }
        cells
    }

    /// What a CPU does for interfaces.
    fn serves(&self, cpu: u32) -> Value {
        let tasks = self.services.iter().filter(|service| service.cpus.contains(&cpu));
        let tasks: Vec<String> = tasks.map(task).collect();
        if tasks.is_empty() { Value::Missing } else { Value::Text(tasks.join(", ").into()) }
    }

    /// The same for people, a line per CPU that does something.
    fn interfaces(&self) -> String {
        let mut out = String::new();
        for cpu in 0..cpus() {
            if let Value::Text(tasks) = self.serves(cpu) {
                out.push_str(&format!("CPU {cpu} serves {tasks}\n"));
            }
        }
        out
    }
}

/// As in `eth0 rx-0 (rps)`.
fn task(service: &Service) -> String {
    format!("{} {} ({})", service.interface, service.name, service.role.name())
}

/// Processes with connections, by id.
fn processes<'w>(carried: &[Carried], watch: &'w Watch<'_>) -> BTreeMap<u32, (&'w Owner, Vec<Carried>)> {
    let mut processes = BTreeMap::new();
    for row in carried {
        // Each of several that share a socket has it.
        for owner in watch.owners(row) {
            processes.entry(owner.pid).or_insert_with(|| (owner, Vec::new())).1.push(*row);
        }
    }
    processes
}

/// Fleutan's layout, also without `--classic`: its counts are what differs.
fn process_charts(carried: &[Carried], watch: &Watch<'_>, layout: Layout, places: &Places) -> String {
    let mut out = String::new();
    for (pid, (owner, rows)) in processes(carried, watch) {
        let (command, end) = (shown(&owner.command), format!("({pid})"));
        let room = if layout == Layout::FLEUTAN { usize::MAX } else { layout.line.saturating_sub(2 + end.len()) };
        out.push_str(&format!("~>{}{end}\n", fitting(&command, room)));
        for row in rows {
            let end = row.end;
            let (local, remote) = (end.local.to_string(), end.remote.to_string());
            let (local_port, remote_port) = (end.local_port, end.remote_port);
            out.push_str(&if layout == Layout::FLEUTAN {
                format!("{:<10}{local:>20}#{local_port:<20}{remote:>20}#{remote_port}\n", "tcp")
            } else {
                format!("tcp {}\n", places.ends(&end))
            });
        }
        out.push_str("___\n");
        let residence = watch.cpu.processes().get(&pid);
        let samples = |cpu: u32| residence.and_then(|residence| residence.by_cpu.get(&cpu)).copied().unwrap_or(0.0);
        let bars = (0..cpus()).map(|cpu| bar(samples(cpu), cpu.to_string())).collect();
        Chart { symbol: '*', layout, ..Chart::new("", bars) }.render(false, &mut out);
        out.push_str("...\n");
    }
    out
}

fn general_charts(carried: &[Carried], watch: &Watch<'_>, layout: Layout) -> String {
    let mut out = String::new();
    for load in LOADS {
        let spread = load.spread(carried, watch);
        let on = |cpu: u32| spread.by_cpu.get(&cpu).copied().unwrap_or(0.0);
        let bars = (0..cpus()).map(|cpu| bar(on(cpu), cpu.to_string())).collect();
        let title = format!("#>{}", load.classic);
        Chart { layout, ..Chart::new(&title, bars) }.render(false, &mut out);
        if spread.elsewhere > 0.0 {
            out.push_str(&format!("({} of processes that were not seen to run)\n", spread.elsewhere));
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
    fn spread(&self, carried: &[Carried], watch: &Watch<'_>) -> Spread {
        // No process has the id 0: what is not known falls nowhere.
        let load = |row: &Carried| Some((watch.pid(row).unwrap_or(0), (self.of)(row)? as f64));
        watch.cpu.spread(carried.iter().filter_map(load))
    }
}

fn serves_column() -> Column {
    let about = "What the CPU does for interfaces: interrupts (irq), receive (rps) and transmit (xps) steering.";
    Column::new(["serves", "SERVES", about], Unit::None, Meaning::Gauge)
}

fn process_columns() -> Vec<Column> {
    vec![
        Column::new(["pid", "PID", "The process."], Unit::None, Meaning::Key),
        Column::new(["process", "PROCESS", "Its command line."], Unit::None, Meaning::Gauge),
        Column::new(["cpu", "CPU", "By the kernel's number."], Unit::None, Meaning::Key),
        Column::new(
            [
                "samples",
                "SAMPLES",
                "Samples of the process that fall on the CPU: it ran there, or slept and had run there last.",
            ],
            Unit::None,
            Meaning::Gauge,
        ),
        Column::new(
            ["share_percent", "SHARE", "The same as a part of all its samples."],
            Unit::Percent,
            Meaning::Gauge,
        ),
        Column::new(
            ["run_ns", "RAN", "How long its threads ran on the CPU: 0 if they slept; missing if unknown."],
            Unit::Nanos,
            Meaning::Gauge,
        ),
        Column::new(["threads", "THREADS", "Most threads at a time."], Unit::None, Meaning::Gauge),
        Column::new(["connections", "CONNS", "TCP connections of the process."], Unit::None, Meaning::Gauge),
        serves_column(),
    ]
}

fn general_columns() -> Vec<Column> {
    let load = |names| Column::new(names, Unit::None, Meaning::Gauge);
    let bytes = |names| Column::new(names, Unit::Bytes, Meaning::Gauge);
    vec![
        Column::new(
            ["cpu", "CPU", "By the kernel's number; missing: of processes that could not be seen."],
            Unit::None,
            Meaning::Key,
        ),
        load(["segments_in", "SEGS<", "Segments received over the interval."]),
        load(["segments_out", "SEGS>", "Segments sent over the interval."]),
        bytes(["bdp_bytes", "BDP", "Congestion windows (cwnd × mss) at its end."]),
        bytes(["bytes_in", "BYTES<", "Data bytes received over the interval."]),
        bytes(["bytes_out", "BYTES>", "Data bytes acknowledged over the interval."]),
        serves_column(),
    ]
}
