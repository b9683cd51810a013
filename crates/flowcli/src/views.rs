//! `flow lat`, `flow vol` and `flow cpu`: Fleutan's views over the kernel's sockets.
//!
//! Puts source and analyzers together; what is common to the three is here.

mod cpu;
mod lat;
mod owners;
mod sheet;
mod vol;

use std::io::Write;
use std::time::Duration;

use flowcore::pipeline::{Builder, Pipeline};
use flowcore::report::{Column, Ending};
use flowcore::{Collector, Error, ErrorKind, FlowEvent, Limit, Nanos, Select, Snapshot, Status};
use flowfilter::Predicate;
use flowsrc_netlink::{Kinds, Netns, Options, Sockets};
use flowstats::End;
use flowstats::chart::{Bar, Layout};

use crate::args::{Format, Group, ViewArgs};
use crate::exit::Exit;
use crate::filter;
use crate::output;
use crate::run::{self, Finish};
use crate::signals::Signals;
use crate::terminal;

use owners::{Owner, Owners};

pub use cpu::run as run_cpu;
pub use lat::run as run_lat;
pub use vol::run as run_vol;

/// What cannot be, said before anything is asked.
fn check(args: &ViewArgs) -> Result<(), Error> {
    match args.output {
        Format::Zeek => {
            Err(Error::new(ErrorKind::Usage, "views have no form in Zeek's logs; `flow conns -o zeek` has"))
        }
        Format::Json if args.every.is_some() => {
            Err(Error::new(ErrorKind::Usage, "-o json is one document; with --every take -o jsonl"))
        }
        _ => Ok(()),
    }
}

/// The filter of the command line, for packets.
fn selection(args: &ViewArgs) -> anyhow::Result<Option<Predicate<FlowEvent>>> {
    let filter = filter::read(&args.filter, args.ending.quiet, args.color)?;
    Ok(filter.map(|filter| filter::of_packets(&filter, None)).transpose()?)
}

/// TCP sockets with a peer, asked once or again and again, and the pipeline that they go through.
struct Live<'a> {
    args: &'a ViewArgs,
    options: Options,
    source: Sockets,
    pipeline: Pipeline,
    signals: Signals,
}

impl<'a> Live<'a> {
    /// Opens the source; `polls` = `None` asks without end.
    fn open(
        args: &'a ViewArgs,
        every: Option<Nanos>,
        polls: Option<u64>,
        mut builder: Builder,
    ) -> anyhow::Result<Self> {
        let filter = filter::read(&args.filter, args.ending.quiet, args.color)?;
        let filter = filter.map(|filter| filter::of_sockets(&filter, None)).transpose()?;
        let signals = Signals::listen()?;
        let options = Options {
            kinds: Kinds::TCP | Kinds::MPTCP,
            states: Options::CONNECTED,
            netns: match args.netns.as_deref() {
                None => Netns::Own,
                Some("all") => Netns::All,
                Some(name) => Netns::One(name.to_owned()),
            },
            every: every.map(|every| Duration::from_nanos(every.get().unsigned_abs())),
            polls,
            notices: every.is_some(),
            history: false,
            ..Options::default()
        };
        let mut source = Sockets::open(options.clone())?;
        if let Some(filter) = filter {
            source.narrow(&filter as &dyn Select)?;
            builder = builder.filter(filter);
        }
        let pipeline = builder.build(source.info())?;
        run::introduce(&args.ending, source.info());
        Ok(Self { args, options, source, pipeline, signals })
    }

    /// Polls until there are no more, or the user has enough: then once more, so that a final report is of now.
    /// `at_poll` is called when a poll is complete, with its number from 1 on; `meanwhile` says how long to wait at most.
    fn run(
        &mut self,
        mut meanwhile: impl FnMut(u64) -> Duration,
        mut at_poll: impl FnMut(&mut Self, u64) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        let mut events = Vec::with_capacity(Limit::default().events);
        let mut done = 0;
        loop {
            let limit = Limit { wait: meanwhile(done).min(Limit::default().wait), ..Limit::default() };
            let filled = self.source.fill(&mut events, limit)?;
            let (frames, through, status) = (filled.frames, filled.through, filled.status);
            self.pipeline.push(&mut events, frames, through)?;
            let polls = self.source.finished_polls();
            if polls > done {
                done = polls;
                at_poll(self, polls)?;
            }
            if status == Status::End {
                return Ok(());
            }
            if self.signals.stop().is_some() {
                return self.look_once_more();
            }
        }
    }

    fn look_once_more(&mut self) -> anyhow::Result<()> {
        let options = Options { every: None, polls: None, notices: false, ..self.options.clone() };
        let mut source = Sockets::open(options)?;
        let mut events = Vec::with_capacity(Limit::default().events);
        loop {
            let filled = source.fill(&mut events, Limit::default())?;
            let status = filled.status;
            self.pipeline.push(&mut events, filled.frames, filled.through)?;
            if status == Status::End {
                return Ok(());
            }
        }
    }

    /// Everything as of now.
    fn snapshot(&mut self, complete: bool) -> anyhow::Result<Snapshot> {
        let ledger = self.source.ledger()?;
        let mut snapshot = self.pipeline.snapshot(Some(ledger), complete);
        // Typed rows are what is printed.
        snapshot.tables.clear();
        Ok(snapshot)
    }

    /// How the run ended. Interrupted is how one without end always does; its exit code is the signal's.
    fn conclude(&mut self, rows: u64) -> anyhow::Result<Exit> {
        if let Some(signal) = self.signals.stop() {
            return Ok(Exit::signalled(signal));
        }
        let snapshot = self.snapshot(true)?;
        let finish = Finish { rows, stopped: false, said: run::has_said(self.args.output, self.args.no_trailer) };
        Ok(run::conclude(&self.args.ending, &snapshot, self.pipeline.flows(), &finish))
    }
}

/// An ending with so many rows.
fn ending(snapshot: &Snapshot, rows: usize) -> Ending<'_> {
    Ending { rows: rows as u64, ..Ending::of(snapshot) }
}

/// Records that belong together, and what by.
struct Grouped<R> {
    /// As Fleutan has it: `dst>>ADDR` or `proc>>COMMAND (PID)`; empty without groups.
    title: String,
    records: Vec<R>,
}

/// Puts records into groups, in the order of the groups' keys; records keep theirs. One whose process is not known is in
/// a group of its own kind: that it has none would be a guess.
fn group<R>(records: Vec<R>, by: Option<Group>, end: impl Fn(&R) -> End, owners: Option<&Owners>) -> Vec<Grouped<R>> {
    let mut groups: std::collections::BTreeMap<(flowcore::Addr, u32, String), Vec<R>> = Default::default();
    for record in records {
        let end = end(&record);
        let key = match by {
            None => (flowcore::Addr::UNSPECIFIED, 0, String::new()),
            Some(Group::Peer) => (end.remote, 0, format!("dst>>{}", end.remote)),
            Some(Group::Proc) => match owners.and_then(|owners| owners.of(end.inode).first()) {
                Some(Owner { pid, command, .. }) => {
                    (flowcore::Addr::UNSPECIFIED, *pid, format!("proc>>{} ({pid})", shown(command)))
                }
                None => (flowcore::Addr::UNSPECIFIED, u32::MAX, "proc>>(not known)".to_owned()),
            },
        };
        groups.entry(key).or_default().push(record);
    }
    if groups.is_empty() && by.is_none() {
        return vec![Grouped { title: String::new(), records: Vec::new() }];
    }
    groups.into_iter().map(|((_, _, title), records)| Grouped { title, records }).collect()
}

/// Text of a process for a terminal, on which it must not act.
fn shown(text: &str) -> String {
    let mut out = Vec::new();
    flowcore::report::cell::push_escaped(&mut out, text);
    String::from_utf8_lossy(&out).into_owned()
}

/// The label of a flow in Fleutan's charts.
fn classic_label(end: &End) -> String {
    let End { local, local_port, remote, remote_port, .. } = end;
    format!("{:>20}#{local_port:<6}{:>20}#{remote_port:<6}", local.to_string(), remote.to_string())
}

fn bar(value: f64, label: String) -> Bar {
    Bar { value, label }
}

/// As wide as the terminal, and gaps of two: for layouts that need not be Fleutan's.
fn layout() -> Layout {
    Layout { line: terminal::width().unwrap_or(Layout::FLEUTAN.line), least_bar: 20, gap: 2 }
}

/// Writes text to standard output.
fn print(text: &str) -> std::io::Result<()> {
    output::standard_output()?.write_all(text.as_bytes())
}

/// Looks who holds these sockets; the first time it says what may not be seen.
fn look<'o>(
    owners: &'o mut Option<Owners>,
    args: &ViewArgs,
    inodes: impl Iterator<Item = Option<u32>>,
) -> Result<&'o Owners, Error> {
    let is_first = owners.is_none();
    let owners = match owners {
        Some(owners) => owners,
        None => owners.insert(Owners::open()?),
    };
    owners.look(inodes)?;
    if let Some(partial) = owners.degraded().filter(|_| is_first && !args.ending.quiet) {
        crate::exit::complain(&format!("note: {partial}"));
    }
    Ok(owners)
}

/// Columns that are always there, behind a view's own.
fn owner_columns() -> [Column; 2] {
    sheet::owner_columns()
}
