//! `flow lat`, `flow vol` and `flow cpu`: Fleutan's views over the kernel's sockets.
//!
//! Puts source and analyzers together; what is common to the three is here.

mod cpu;
mod lat;
mod owners;
mod sheet;
mod vol;

use std::collections::HashMap;
use std::io::Write;
use std::num::NonZeroU64;
use std::sync::Arc;
use std::time::Duration;

use flowcore::flows::Limits;
use flowcore::pipeline::{Builder, Pipeline};
use flowcore::report::{Column, Ending, Value};
use flowcore::{Collector, Error, ErrorKind, FlowEvent, Limit, Nanos, Select, Snapshot, Status, Timestamp};
use flowfilter::{Field, Predicate};
use flowsrc_netlink::process::Processes;
use flowsrc_netlink::{Kinds, Options, Parts, Sockets};
use flowstats::End;
use flowstats::chart::{Bar, Layout};

use crate::args::{Format, Group, ViewArgs};
use crate::exit::Exit;
use crate::filter::{self, Asked, LookUps, OfSockets};
use crate::holders::{self, Holders};
use crate::output;
use crate::run::{self, Finish};
use crate::signals::Signals;
use crate::terminal;

use owners::{Owner, Owners};

pub use cpu::run as run_cpu;
pub use lat::run as run_lat;
pub use vol::run as run_vol;

/// What cannot be, said before anything is asked; `count`: of reports.
fn check(args: &ViewArgs, count: Option<NonZeroU64>) -> Result<(), Error> {
    if count.is_some() && args.every.is_none() {
        return Err(Error::new(ErrorKind::Usage, "-c counts reports: --every says how often to make one"));
    }
    if args.output == Format::Json && args.every.is_some() {
        return Err(Error::new(ErrorKind::Usage, "-o json is one document; with --every take -o jsonl"));
    }
    Ok(())
}

/// How many polls so many reports of what came between two polls need; without --every there is one report.
fn polls(args: &ViewArgs, reports: Option<NonZeroU64>) -> Option<u64> {
    let reports = if args.every.is_none() { Some(1) } else { reports.map(NonZeroU64::get) };
    reports.map(|reports| reports.saturating_add(1))
}

/// The filter of the command line, for packets.
fn selection(args: &ViewArgs) -> anyhow::Result<Option<Predicate<FlowEvent>>> {
    let filter = filter::read(&args.filter, args.ending.quiet, args.style.color)?;
    let networks = args.asn.load(args.ending.verbose > 0)?;
    let Some(filter) = filter else { return Ok(None) };
    let packets = filter::of_packets(&filter, networks.as_ref())?;
    if !args.ending.quiet {
        filter::note_if_torn(&packets);
    }
    Ok(Some(packets))
}

/// Flows that outlive polls at this interval: one end of a connection may be there though the other, or another socket with the
/// same ends, has gone.
fn limits(every: Nanos) -> Limits {
    let several = Nanos::new(every.get().saturating_mul(3));
    let Limits { tcp, tcp_close, .. } = Limits::default();
    Limits { tcp: tcp.max(several), tcp_close: tcp_close.max(several), ..Limits::default() }
}

/// TCP sockets with a peer, asked once or again and again, and the pipeline that they go through.
struct Live<'a> {
    args: &'a ViewArgs,
    options: Options,
    source: Sockets,
    pipeline: Pipeline,
    /// Of a filter that asks for more than the kernel's answer.
    look_ups: Option<LookUps>,
    /// Who holds the sockets, if that is shown or selected by.
    holders: Option<holders::Shared>,
    /// Sockets of the latest poll for which a filter by process could not be decided.
    undecided: u64,
    signals: Signals,
    /// When the first poll began.
    from: Option<Timestamp>,
    /// The signal that stopped it.
    stopped: Option<i32>,
}

impl<'a> Live<'a> {
    /// Opens the source; `polls` = `None` asks without end, `holders`: processes will be shown.
    fn open(
        args: &'a ViewArgs,
        every: Option<Nanos>,
        polls: Option<u64>,
        holders: bool,
        mut builder: Builder,
    ) -> anyhow::Result<Self> {
        let networks = args.asn.load(args.ending.verbose > 0)?;
        let filter = filter::read_as(&args.filter, args.ending.quiet, args.style.color, Asked::Sockets)?;
        let filter = filter.map(|filter| OfSockets::with_look_ups(&filter, networks.as_ref())).transpose()?;
        let look_ups = filter.as_ref().and_then(OfSockets::look_ups);
        let holders = match look_ups.as_ref().and_then(LookUps::holders) {
            None if holders => Some(Holders::open()?),
            found => found.cloned(),
        };
        let signals = Signals::listen()?;
        let options = Options {
            kinds: Kinds::TCP | Kinds::MPTCP,
            states: Options::CONNECTED,
            parts: Parts::empty(),
            netns: args.netns.clone().unwrap_or_default(),
            every: every.map(|every| Duration::from_nanos(every.get().unsigned_abs())),
            polls,
            notices: every.is_some(),
            history: false,
            holders: holders.is_some(),
            marks: filter.as_ref().is_some_and(|filter| filter.asks(Field::Mark)),
            ..Options::default()
        };
        let mut source = Sockets::open(options.clone())?;
        if let Some(holders) = &holders {
            holders::lock(holders).watch(options.clone(), &source);
        }
        if let Some(filter) = filter {
            source.narrow(&filter as &dyn Select)?;
            builder = builder.filter(filter);
        }
        let pipeline = builder.limits(limits(every.unwrap_or_default())).build(source.info())?;
        run::introduce(&args.ending, source.info());
        Ok(Self {
            args,
            options,
            source,
            pipeline,
            look_ups,
            holders,
            undecided: 0,
            signals,
            from: None,
            stopped: None,
        })
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
            self.look_ups.iter().try_for_each(|look_ups| look_ups.find(&events, &frames))?;
            self.pipeline.push(&mut events, frames, through)?;
            let polls = self.source.finished_polls();
            if polls > done {
                done = polls;
                self.from.get_or_insert(through);
                self.refresh()?;
                at_poll(self, polls)?;
            }
            if status == Status::End {
                return Ok(());
            }
            self.stopped = self.signals.stop();
            if self.stopped.is_some() {
                return self.look_once_more();
            }
        }
    }

    /// Processes are looked at again before rows are shown, and the next poll selected from.
    fn refresh(&mut self) -> Result<(), Error> {
        self.undecided = self.look_ups.as_ref().map_or(0, LookUps::take_undecided);
        self.holders.as_ref().map_or(Ok(()), |holders| holders::lock(holders).refresh(&self.source))
    }

    /// The ends of all sockets there are now.
    fn ends(&self) -> anyhow::Result<Vec<End>> {
        let options = Options { every: None, polls: None, notices: false, ..self.options.clone() };
        let mut source = Sockets::open(options)?;
        let (mut events, mut ends) = (Vec::with_capacity(Limit::default().events), Vec::new());
        loop {
            let filled = source.fill(&mut events, Limit::default())?;
            let sockets = events.iter().filter_map(|event| filled.frames.socket(event));
            ends.extend(sockets.map(End::of_socket));
            events.clear();
            if filled.status == Status::End {
                return Ok(ends);
            }
        }
    }

    fn look_once_more(&mut self) -> anyhow::Result<()> {
        let done = self.source.finished_polls();
        self.source.conclude();
        let mut events = Vec::with_capacity(Limit::default().events);
        loop {
            let filled = self.source.fill(&mut events, Limit::default())?;
            let status = filled.status;
            self.look_ups.iter().try_for_each(|look_ups| look_ups.find(&events, &filled.frames))?;
            self.pipeline.push(&mut events, filled.frames, filled.through)?;
            if status == Status::End || self.source.finished_polls() > done {
                return Ok(self.refresh()?);
            }
        }
    }

    /// Everything as of now.
    fn snapshot(&mut self, complete: bool) -> anyhow::Result<Snapshot> {
        let ledger = self.source.ledger()?;
        let mut snapshot = self.pipeline.snapshot(Some(ledger), complete);
        // Typed rows are what is printed.
        snapshot.tables.clear();
        snapshot.from = self.from;
        snapshot.fault = self.ending().0.map(str::to_owned);
        Ok(snapshot)
    }

    fn ending(&self) -> (Option<&'static str>, Option<Exit>) {
        run::polls_stopped(self.stopped, self.args.every.is_some() && self.options.polls.is_none())
    }

    /// How the run ended.
    fn conclude(&mut self, rows: u64) -> anyhow::Result<Exit> {
        let (fault, exit) = self.ending();
        if let Some(undecided) = holders::undecided(self.undecided).filter(|_| !self.args.ending.quiet) {
            crate::exit::complain(&undecided);
        }
        if let Some(exit) = exit {
            return Ok(exit);
        }
        let snapshot = self.snapshot(true)?;
        let finish = Finish {
            rows,
            stopped: fault.is_some(),
            said: run::has_said(self.args.output, self.args.style.no_trailer),
        };
        Ok(run::conclude(&self.args.ending, &snapshot, self.pipeline.flows(), &finish))
    }
}

/// Names of namespaces and interfaces, for what sockets say by number.
#[derive(Default)]
struct Places {
    namespaces: Vec<Option<Arc<str>>>,
    interfaces: HashMap<(u16, u32), Option<Arc<str>>>,
}

impl Places {
    /// Those of some ends.
    fn of<'e>(source: &Sockets, ends: impl Iterator<Item = &'e End>) -> Self {
        let name = |name: &str| Some(Arc::from(name)).filter(|name: &Arc<str>| !name.is_empty());
        let namespaces = source.namespaces().map(|namespace| name(&namespace.name)).collect();
        let mut interfaces = HashMap::new();
        for end in ends {
            if let Some(index) = end.interface {
                let name = || source.interface_name(end.netns, index).map(Arc::from);
                interfaces.entry((end.netns, index)).or_insert_with(name);
            }
        }
        Self { namespaces, interfaces }
    }

    fn interface(&self, end: &End) -> Option<&Arc<str>> {
        self.interfaces.get(&(end.netns, end.interface?))?.as_ref()
    }

    /// A cell of an end by the name of its column: its own, unless there is a name for the number in it.
    fn cell(&self, column: &str, end: &End, own: Value) -> Value {
        let text = |name: Option<&Arc<str>>| name.map_or(Value::Missing, |name| Value::Text(name.clone()));
        match column {
            "interface" => text(self.interface(end)),
            "netns" => text(self.namespaces.get(usize::from(end.netns)).and_then(Option::as_ref)),
            _ => own,
        }
    }

    /// Both ends in words, the scope by its name.
    fn ends(&self, end: &End) -> String {
        let text = end.to_string();
        match (end.interface, self.interface(end)) {
            (Some(index), Some(name)) => text.replace(&format!("%{index}]"), &format!("%{name}]")),
            _ => text,
        }
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
            Some(Group::Proc) => match owners.and_then(|owners| owners.of(&end).first()) {
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

/// The end of a text where there is no room for all of it: of a path, or of two addresses, that tells most.
fn fitting(text: &str, room: usize) -> String {
    match text.chars().count().checked_sub(room) {
        None | Some(0) => text.to_owned(),
        Some(more) => format!("…{}", text.chars().skip(more + 1).collect::<String>()),
    }
}

/// Lines as wide as the terminal, if there is one, broken at blanks.
fn wrapped(text: &str) -> String {
    let width = terminal::width().unwrap_or(usize::MAX);
    let mut out = String::with_capacity(text.len());
    let mut used = 0;
    for word in text.split_inclusive([' ', '\n']) {
        let length = word.trim_end().chars().count();
        if used > 0 && used + length > width {
            out.truncate(out.trim_end_matches(' ').len());
            out.push('\n');
            used = 0;
        }
        out.push_str(word);
        used = if word.ends_with('\n') { 0 } else { used + word.chars().count() };
    }
    out
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
    let line = terminal::width().unwrap_or(Layout::FLEUTAN.line);
    Layout { line, least_bar: if line < 80 { 8 } else { 20 }, gap: 2 }
}

/// Fleutan's layout where the terminal has room for it.
fn spacious_layout() -> Layout {
    match terminal::width() {
        Some(width) if width < Layout::FLEUTAN.line => layout(),
        _ => Layout::FLEUTAN,
    }
}

/// Writes text to standard output.
fn print(text: &str) -> std::io::Result<()> {
    output::standard_output()?.write_all(text.as_bytes())
}

/// Looks who holds these sockets, if that is to be known; the first time it says what may not be seen though it should.
fn look<'o>(
    owners: &'o mut Option<Owners>,
    args: &ViewArgs,
    ends: impl Iterator<Item = End>,
) -> Result<Option<&'o Owners>, Error> {
    let Some(owners) = owners else { return Ok(None) };
    // What every user but root is not shown was said at the beginning.
    if owners.look(ends)?
        && let Some(partial) = owners.degraded().filter(|_| !args.ending.quiet && Processes::is_permitted())
    {
        crate::exit::complain(&format!("note: {partial}"));
    }
    Ok(Some(owners))
}

/// Columns that are always there, behind a view's own.
fn owner_columns() -> [Column; 2] {
    sheet::owner_columns()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_flow_ends_between_two_polls() {
        for seconds in [1, 10, 3_600] {
            let Limits { tcp, tcp_close, .. } = limits(Nanos::from_secs(seconds));
            assert!(tcp.min(tcp_close) >= Nanos::from_secs(2 * seconds), "{seconds}");
        }
    }
}
