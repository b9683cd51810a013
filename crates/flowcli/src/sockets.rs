//! `flow sockets`: the kernel's own view of this host's sockets.

mod columns;
mod summary;

use std::collections::HashMap;
use std::sync::Arc;

use flowcore::report::Ending;
use flowcore::{
    Collector, Detail, Error, ErrorKind, FlowEvent, Frames, Limit, Select, SocketSample, SocketState, Status, Timestamp,
};
use flowfilter::{Field, Filter, OPEN_RANGE, STEP};
use flowsrc_netlink::process::{Details, Holder, Processes};
use flowsrc_netlink::{Cgroups, Kinds, Namespace, Netns, Options, Sockets};

use crate::args::{SocketsArgs, parse_state};
use crate::edge::Edge;
use crate::exit::{Exit, complain};
use crate::filter::{self, Asked, OfSockets, Written};
use crate::holders::{self, Holders};
use crate::output::{self, Output, Wishes};
use crate::run::{self, Finish};
use crate::signals::Signals;
use columns::{Since, Socket};
use summary::Summary;

/// Runs the command.
pub fn run(args: &SocketsArgs) -> anyhow::Result<Exit> {
    if args.list_columns {
        return crate::documents::print(&columns::subject(args, true).describe());
    }
    refuse(args)?;
    let signals = Signals::listen()?;
    let networks = args.asn.load(args.ending.verbose > 0)?;
    let (filter, states) = read(args)?;
    let filter = filter.map(|filter| OfSockets::new(&filter, networks.as_ref())).transpose()?;
    let mut options = args.options();
    options.holders = wants_processes(args, filter.as_ref());
    options.parts = columns::parts(args);
    let asks_state = filter.as_ref().is_some_and(|filter| filter.asks(Field::SocketState));
    if let Some(states) = states.or((asks_state && args.takes_any_state()).then_some(Options::ALL_STATES)) {
        options.states = states;
        options
            .kinds
            .set(Kinds::PACKET, options.kinds.contains(Kinds::PACKET) && states & SocketState::CLOSE.bit() != 0);
    }
    let mut source = Sockets::open(options)?;
    if let Some(filter) = &filter {
        source.narrow(filter)?;
    }
    run::introduce(&args.ending, source.info());
    let mut job = Job::new(args, &source, filter.as_ref())?;
    if args.summary { job.summarise(&mut source, &signals) } else { job.list(&mut source, &signals, networks) }
}

/// Whether it must be known who holds the sockets.
fn wants_processes(args: &SocketsArgs, filter: Option<&OfSockets>) -> bool {
    let filter_asks = filter.is_some_and(|filter| filter.asks(Field::Process) || filter.asks(Field::Pid));
    filter_asks || !args.summary && columns::wants_processes(args)
}

/// The filter, and the states that stood before it. What `ss` reads otherwise closes nothing.
fn read(args: &SocketsArgs) -> anyhow::Result<(Option<Filter>, Option<u32>)> {
    let Some(mut written) = Written::of(&args.filter)? else { return Ok((None, None)) };
    let states = states_first(&mut written.text);
    if states.is_some() && behind_blanks(&written.text).is_empty() {
        return Ok((None, states));
    }
    let filter = written.parse(Asked::Sockets)?;
    match filter.warnings().iter().find(|warning| warning.code() == OPEN_RANGE) {
        Some(warning) if args.kill => return Err(Error::new(ErrorKind::Usage, warning.to_string()).into()),
        _ if args.ending.quiet => {}
        _ => filter::warn(&filter, args.style.color),
    }
    Ok((Some(filter), states))
}

/// A filter may begin with states, as that of `ss` does: `state listening sport = :22`. Their bits if there are any; in the
/// text blanks take their place.
fn states_first(text: &mut String) -> Option<u32> {
    let mut rest = behind_blanks(text);
    let mut states = None;
    while let Some(behind) = rest.strip_prefix("state ").map(str::trim_start) {
        let end = behind.find(char::is_whitespace).unwrap_or(behind.len());
        let (name, after) = behind.split_at(end);
        // Connections have states too, which the filter's own error explains.
        let Ok(bits) = parse_state(name) else { break };
        // `state listen or …` is a test of the language.
        let next = after.split_whitespace().next().unwrap_or("").to_ascii_lowercase();
        if matches!(&*next, "and" | "or" | "&&" | "||") {
            break;
        }
        states = Some(states.unwrap_or(0) | bits);
        rest = behind_blanks(after);
    }
    let end = text.len() - rest.len();
    if states.is_some() {
        // Places in the text stay what they are.
        let blanks: String = text[..end].chars().map(|c| if c == '\n' { c } else { ' ' }).collect();
        text.replace_range(..end, &blanks);
    }
    states
}

/// Without the blanks and comments that a filter begins with.
fn behind_blanks(text: &str) -> &str {
    let mut rest = text.trim_start();
    while let Some(comment) = rest.strip_prefix('#') {
        rest = comment.find('\n').map_or("", |end| comment[end..].trim_start());
    }
    rest
}

/// What cannot be meant.
fn refuse(args: &SocketsArgs) -> Result<(), Error> {
    let usage = |message: &str| Err(Error::new(ErrorKind::Usage, message));
    if args.count.is_some() && args.interval().is_none() {
        return usage("-c counts polls: --every says how often to ask");
    }
    if args.kill && args.interval().is_some() {
        return usage("--kill closes sockets once, without --every");
    }
    if args.kill && args.top.is_some() {
        return usage("--top shows some of what --kill would close all of: select fewer with the filter");
    }
    let filter = &args.filter;
    if args.kill && filter.words.is_empty() && filter.text.is_none() && filter.file.is_none() {
        return usage("--kill needs a filter: it would close every connection of this host");
    }
    Ok(())
}

/// What goes on during a run.
struct Job<'a> {
    args: &'a SocketsArgs,
    /// By index; empty names if there is only this process' own.
    namespaces: Vec<Option<Arc<str>>>,
    /// Names of interfaces by namespace and index.
    interfaces: HashMap<(u16, u32), Option<Arc<str>>>,
    filtered: u64,
    /// Not shown, as they have not ended.
    listed: u64,
    serial: u64,
    from: Option<Timestamp>,
    rows: Vec<Socket>,
    /// Selected and not closed, with the reason.
    left: Vec<Error>,
    filter: Option<&'a OfSockets>,
    /// Who holds what, if that is to be shown or selected by.
    holders: Option<holders::Shared>,
    /// Of this poll, for which a filter by process could not be decided.
    undecided: u64,
    /// Control groups by id, if their paths are to be shown or selected by.
    cgroups: Option<Cgroups>,
    wants_details: bool,
    /// Of processes by id and beginning, as they are in this poll.
    details: HashMap<(u32, u64), Option<Arc<Details>>>,
}

impl<'a> Job<'a> {
    fn new(args: &'a SocketsArgs, source: &Sockets, filter: Option<&'a OfSockets>) -> Result<Self, Error> {
        let namespaces: Vec<_> = source.namespaces().map(name_of).collect();
        let holders = wants_processes(args, filter).then(Holders::open).transpose()?;
        if let Some(holders) = &holders {
            holders::lock(holders).watch(args.options(), source);
        }
        let wants_cgroups =
            filter.is_some_and(|filter| filter.asks(Field::Cgroup)) || !args.summary && columns::wants_cgroups(args);
        Ok(Self {
            args,
            namespaces,
            interfaces: HashMap::new(),
            filtered: 0,
            listed: 0,
            serial: 0,
            from: None,
            rows: Vec::new(),
            left: Vec::new(),
            filter,
            holders,
            undecided: 0,
            cgroups: wants_cgroups.then(Cgroups::default),
            wants_details: columns::wants_details(args),
            details: HashMap::new(),
        })
    }

    /// A row per socket.
    fn list(
        &mut self,
        source: &mut Sockets,
        signals: &Signals,
        networks: Option<Arc<flowresolve::Networks>>,
    ) -> anyhow::Result<Exit> {
        let args = self.args;
        let subject = columns::subject(args, self.has_several_places());
        let edge = Edge::new(&args.names, networks, args.ending.quiet)?.heeding(signals);
        let mut output = Output::new(&subject, wishes(args), edge.anew())?;
        // Samples and rows of few sockets stay in the second-level cache. Holders may be looked for anew with every batch.
        let limit = match self.holders {
            Some(_) => Limit::default(),
            None => Limit { events: 2 * STEP, ..Limit::default() },
        };
        let mut events = Vec::with_capacity(limit.events);
        // Asked once: it is a system call.
        let is_awaited = output::is_watched() || args.interval().is_some();
        let (mut rows, mut stopped, mut tables) = (0, None, 0);
        let through = loop {
            let polls = source.finished_polls();
            let filled = source.fill(&mut events, limit)?;
            let (through, status) = (filled.through, filled.status);
            self.take(&events, &filled.frames, polls == 0);
            events.clear();
            self.begin(source, through);
            self.find_out(source)?;
            if args.yes {
                self.kill(source);
            }
            output.take(&mut self.rows)?;
            output.settle(is_awaited)?;
            if self.is_over(source, status, signals, &mut stopped) {
                break through;
            }
            if source.finished_polls() > polls {
                self.forget(source)?;
            }
            // A poll is a table of its own, or a part that ends with its account.
            if source.finished_polls() > polls && args.output.has_parts() && !(args.events && output.is_empty()) {
                let ledger = self.ledger(source)?;
                let ending = Ending { from: self.from, through: Some(through), ..Ending::new(&ledger) };
                let done = std::mem::replace(&mut output, Output::new(&subject, wishes(args), edge.anew())?);
                done.wait_at_most(source.due());
                rows += done.part(&ending, &mut output)?;
                tables += 1;
            }
        };
        if tables > 0 {
            output = output.without_empty_table();
        }
        self.conclude(source, output, rows, through, stopped)
    }

    /// It begins with the first poll, also where that selects nothing.
    fn begin(&mut self, source: &Sockets, through: Timestamp) {
        if source.finished_polls() > 0 {
            self.from.get_or_insert(through);
        }
    }

    /// Whether sockets are of several namespaces, or will be.
    fn has_several_places(&self) -> bool {
        let more = self.args.netns == Some(Netns::All) && self.args.interval().is_some();
        more || self.namespaces.len() > 1
    }

    /// Whether a run is over. One that polls again and again looks once more when it is stopped: its last report is of then.
    fn is_over(&self, source: &mut Sockets, status: Status, signals: &Signals, stopped: &mut Option<i32>) -> bool {
        let is_over = status == Status::End;
        if !is_over && stopped.is_none() {
            *stopped = signals.stop();
            if stopped.is_some() {
                source.conclude();
            }
        }
        is_over || (stopped.is_some() && self.args.interval().is_none())
    }

    /// A row for each kind and state, at each poll.
    fn summarise(&mut self, source: &mut Sockets, signals: &Signals) -> anyhow::Result<Exit> {
        let args = self.args;
        let subject = summary::subject(self.has_several_places(), args.interval().is_some());
        let begin = || Output::new(&subject, wishes(args), Edge::default());
        let mut output = begin()?;
        let mut summary = Summary::default();
        let mut events = Vec::with_capacity(Limit::default().events);
        let (mut rows, mut serial, mut stopped) = (0, 0, None);
        let through = loop {
            let polls = source.finished_polls();
            let filled = source.fill(&mut events, Limit::default())?;
            let (through, status) = (filled.through, filled.status);
            self.take(&events, &filled.frames, polls == 0);
            events.clear();
            self.begin(source, through);
            self.find_out(source)?;
            summary.add(&self.rows);
            self.rows.clear();
            let is_over = self.is_over(source, status, signals, &mut stopped);
            if source.finished_polls() > polls || is_over {
                let mut lines = std::mem::take(&mut summary).rows(through, &mut serial);
                output.take(&mut lines)?;
                output.settle(true)?;
            }
            if is_over {
                break through;
            }
            if source.finished_polls() > polls {
                self.forget(source)?;
            }
            if source.finished_polls() > polls && args.output.has_parts() {
                let ledger = self.ledger(source)?;
                let ending = Ending { from: self.from, through: Some(through), ..Ending::new(&ledger) };
                rows += std::mem::replace(&mut output, begin()?).part(&ending, &mut output)?;
            }
        };
        if rows > 0 {
            output = output.without_empty_table();
        }
        self.conclude(source, output, rows, through, stopped)
    }

    /// Makes rows of what the filter may select.
    fn take(&mut self, events: &[FlowEvent], frames: &Frames<'_>, baseline: bool) {
        for start in (0..events.len()).step_by(STEP) {
            let step = events.get(start..events.len().min(start + STEP)).unwrap_or(&[]);
            let mask = self.filter.map_or(u64::MAX, |filter| filter.select(step, frames));
            for (place, event) in step.iter().enumerate() {
                let back = events.get(start + place + 1);
                let (Detail::Socket(socket), Some(sample)) = (event.detail, frames.socket(event)) else { continue };
                if self.args.events && !socket.last {
                    self.listed += 1;
                    continue;
                }
                if mask >> place & 1 == 0 {
                    self.filtered += 1;
                    continue;
                }
                // The first poll has none before it, and not every kind of socket counts.
                let counts = !baseline && sample.counts_itself();
                let since = counts.then(|| Since {
                    sent_packets: event.packets.into(),
                    sent_bytes: event.bytes,
                    received_packets: back.map_or(0, |back| back.packets.into()),
                    received_bytes: back.map_or(0, |back| back.bytes),
                });
                self.serial += 1;
                self.rows.push(Socket {
                    sample: *sample,
                    netns: None,
                    interface: None,
                    cgroup: None,
                    processes: None,
                    details: None,
                    since,
                    ended: socket.last,
                    watched: self.args.interval().is_some(),
                    killed: None,
                    serial: self.serial,
                });
            }
        }
    }

    /// Finds out what the kernel's answer does not have, and drops what the filter does not select by that.
    fn find_out(&mut self, source: &Sockets) -> Result<(), Error> {
        self.name_places(source);
        self.name_processes()?;
        self.name_cgroups();
        if let Some(filter) = self.filter.filter(|filter| !filter.unsettled().is_empty()) {
            let Self { rows, filtered, undecided, .. } = self;
            let asks = filter.asks(Field::Process) || filter.asks(Field::Pid);
            rows.retain(|row| {
                let passes = filter.passes(&columns::found_out(row));
                *filtered += u64::from(!passes);
                *undecided += u64::from(!passes && asks && holders::is_hidden(row.processes.as_ref()));
                passes
            });
        }
        Ok(())
    }

    /// Processes are looked at again for the next poll.
    fn forget(&mut self, source: &Sockets) -> Result<(), Error> {
        self.details.clear();
        self.undecided = 0;
        self.holders.as_ref().map_or(Ok(()), |holders| holders::lock(holders).refresh(source))
    }

    fn name_places(&mut self, source: &Sockets) {
        // More are found as polls go on.
        let later = source.namespaces().skip(self.namespaces.len());
        self.namespaces.extend(later.map(name_of));
        for row in &mut self.rows {
            row.netns = self.namespaces.get(usize::from(row.sample.netns)).cloned().flatten();
            let SocketSample { netns, interface: Some(index), .. } = row.sample else { continue };
            let name = || source.interface_name(netns, index).map(Arc::from);
            row.interface = self.interfaces.entry((netns, index)).or_insert_with(name).clone();
        }
    }

    fn name_processes(&mut self) -> Result<(), Error> {
        let Self { holders: Some(holders), rows, wants_details, details, .. } = self else { return Ok(()) };
        let mut holders = holders::lock(holders);
        // What has ended is held by nobody any more.
        holders.find(rows.iter().filter(|row| !row.ended).map(|row| &row.sample))?;
        for row in rows {
            row.processes = holders.of(&row.sample, row.ended);
            if let Some((_, of)) = row.processes.as_ref().filter(|_| *wants_details)
                && let Some(Holder { owner, .. }) = of.first()
            {
                let read = || holders.processes.details(owner).map(Arc::new);
                row.details = details.entry((owner.pid, owner.start_ticks)).or_insert_with(read).clone();
            }
        }
        Ok(())
    }

    fn name_cgroups(&mut self) {
        let Self { cgroups: Some(cgroups), rows, .. } = self else { return };
        for row in rows {
            row.cgroup = row.sample.cgroup_id.and_then(|id| cgroups.path(id));
        }
    }

    fn kill(&mut self, source: &mut Sockets) {
        for row in &mut self.rows {
            let outcome = source.destroy(&row.sample);
            row.killed = Some(outcome.is_ok());
            self.left.extend(outcome.err());
        }
    }

    fn ledger(&self, source: &mut Sockets) -> Result<flowcore::Ledger, Error> {
        let mut ledger = source.ledger()?;
        if let Some(sockets) = ledger.sockets.as_mut().filter(|_| self.filter.is_some()) {
            sockets.filter(self.filtered);
        }
        if let Some(sockets) = ledger.sockets.as_mut().filter(|_| self.args.filter.is_given()) {
            // Where it is of states alone, the kernel was asked for no others.
            sockets.filtered = None;
        }
        if let Some(sockets) = ledger.sockets.as_mut().filter(|_| self.args.events) {
            // What lives is looked at to know the rest by.
            sockets.seen = sockets.seen.saturating_sub(self.listed);
        }
        Ok(ledger)
    }

    /// Writes the end of the output, behind so many rows, and says what there is to say.
    fn conclude<R: 'static>(
        &self,
        source: &mut Sockets,
        output: Output<'_, R>,
        rows: u64,
        through: Timestamp,
        stopped: Option<i32>,
    ) -> anyhow::Result<Exit> {
        // Without a number of polls there is no other end.
        let endless = self.args.interval().is_some() && self.args.count.is_none();
        let (fault, exit) = run::polls_stopped(stopped, endless);
        let ledger = self.ledger(source)?;
        let (from, through) = (self.from, Some(through));
        let rows = rows + output.finish(&Ending { from, through, complete: true, fault, ..Ending::new(&ledger) })?;
        let ending = &self.args.ending;
        // In passing nobody asks for them: the trust line counts what was refused.
        let asked = self.args.kinds.raw || self.args.all || self.args.summary;
        if !ending.quiet && asked {
            for kind in source.refused() {
                complain(&format!("note: this kernel does not list {kind} sockets, of which there may be some"));
            }
        }
        if !ending.quiet && self.args.kinds.are_named() {
            for kind in source.absent() {
                complain(&format!("note: this kernel has no {kind} (not built, or its module is not loaded)"));
            }
        }
        // What every user but root is not shown was said at the beginning.
        if !ending.quiet
            && Processes::is_permitted()
            && let Some(partial) = self.holders.as_ref().and_then(|holders| holders::lock(holders).processes.degraded())
        {
            complain(&format!("note: {partial}"));
        }
        if let Some(undecided) = holders::undecided(self.undecided).filter(|_| !ending.quiet) {
            complain(&undecided);
        }
        if self.args.kill && rows == 0 {
            complain("nothing was closed: no socket is selected");
        } else if self.args.kill && !self.args.yes {
            complain(&format!("nothing was closed: --yes closes these {rows}"));
        }
        self.left.iter().for_each(|why| complain(&why.to_string()));
        let said = run::has_said(self.args.output, self.args.style.no_trailer);
        let done = run::conclude_ledger(ending, &ledger, None, &Finish { rows, stopped: fault.is_some(), said });
        let exit = exit.unwrap_or(done);
        let forbidden = self.left.iter().any(|why| why.kind() == ErrorKind::Permission);
        Ok(match (self.left.is_empty(), forbidden) {
            (false, true) if exit == Exit::DONE => Exit::PERMISSION,
            (false, false) if exit == Exit::DONE => Exit::FAILED,
            _ => exit,
        })
    }
}

/// The name of a namespace, where there are several.
fn name_of(namespace: &Namespace) -> Option<Arc<str>> {
    Some(&*namespace.name).filter(|name| !name.is_empty()).map(Arc::from)
}

fn wishes(args: &SocketsArgs) -> Wishes {
    Wishes {
        columns: args.columns.clone(),
        sort: args.sort.clone(),
        top: args.top.map(|top| usize::try_from(top.get()).unwrap_or(usize::MAX)),
        ..Wishes::new(args.output, args.style)
    }
}
