//! `flow sockets`: the kernel's own view of this host's sockets.

mod columns;
mod summary;

use std::collections::HashMap;
use std::sync::Arc;

use flowcore::report::Ending;
use flowcore::{
    Collector, Detail, Error, ErrorKind, FlowEvent, Frames, Limit, Select, SocketSample, Status, Timestamp,
};
use flowfilter::STEP;
use flowsrc_netlink::Sockets;
use flowsrc_netlink::process::{Details, Processes};

use crate::args::{Format, SocketsArgs, TimeStyle};
use crate::edge::Edge;
use crate::exit::{Exit, complain};
use crate::filter;
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
    let filter = filter::read(&args.filter, args.ending.quiet, args.color).inspect_err(|_| {
        // `state listen`, as ss has it.
        if args.filter.words.iter().any(|word| word.split_whitespace().any(|word| word == "state")) {
            complain("sockets are selected by state with --state, as in --state listen,time_wait");
        }
    })?;
    let filter = filter.map(|filter| filter::of_sockets(&filter, networks.as_ref())).transpose()?;
    let mut source = Sockets::open(args.options())?;
    if let Some(filter) = &filter {
        source.narrow(filter)?;
    }
    run::introduce(&args.ending, source.info());
    let mut job = Job::new(args, &source)?;
    if args.summary {
        return job.summarise(&mut source, filter.as_ref().map(|filter| filter as &dyn Select), &signals);
    }
    job.list(&mut source, filter.as_ref().map(|filter| filter as &dyn Select), &signals, networks)
}

/// What cannot be meant.
fn refuse(args: &SocketsArgs) -> Result<(), Error> {
    let usage = |message: &str| Err(Error::new(ErrorKind::Usage, message));
    if args.output == Format::Zeek {
        return usage("sockets have no form in Zeek's logs; `flow conns -o zeek` has");
    }
    if args.names.whitelist.is_some() {
        return usage("sockets are not compared with a whitelist; select them with a filter");
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
    serial: u64,
    from: Option<Timestamp>,
    rows: Vec<Socket>,
    /// Selected and not closed, with the reason.
    left: Vec<String>,
    /// Who holds what, if that is to be shown.
    processes: Option<Processes>,
    wants_details: bool,
    /// Of processes by id and beginning, as they were when first looked at.
    details: HashMap<(u32, u64), Option<Arc<Details>>>,
}

impl<'a> Job<'a> {
    fn new(args: &'a SocketsArgs, source: &Sockets) -> Result<Self, Error> {
        let namespaces: Vec<_> = source
            .namespaces()
            .map(|namespace| Some(&*namespace.name).filter(|name| !name.is_empty()).map(Arc::from))
            .collect();
        let wants_processes = !args.summary && columns::wants_processes(args);
        Ok(Self {
            args,
            namespaces,
            interfaces: HashMap::new(),
            filtered: 0,
            serial: 0,
            from: None,
            rows: Vec::new(),
            left: Vec::new(),
            processes: wants_processes.then(Processes::open).transpose()?,
            wants_details: columns::wants_details(args),
            details: HashMap::new(),
        })
    }

    /// A row per socket.
    fn list(
        &mut self,
        source: &mut Sockets,
        filter: Option<&dyn Select>,
        signals: &Signals,
        networks: Option<Arc<flowresolve::Networks>>,
    ) -> anyhow::Result<Exit> {
        let args = self.args;
        let subject = columns::subject(args, self.namespaces.len() > 1);
        let edge = || Edge::new(&args.names, networks.clone(), args.ending.quiet);
        let mut output = Output::new(&subject, wishes(args), edge()?)?;
        let mut events = Vec::with_capacity(Limit::default().events);
        let (mut rows, mut stopped, mut tables) = (0, false, 0);
        let through = loop {
            let polls = source.finished_polls();
            let filled = source.fill(&mut events, Limit::default())?;
            let (through, status) = (filled.through, filled.status);
            self.take(&events, &filled.frames, filter);
            events.clear();
            self.name_interfaces(source);
            self.name_processes()?;
            if args.yes {
                self.kill(source);
            }
            output.take(&mut self.rows)?;
            output.settle(output::is_watched() || args.every.is_some())?;
            stopped = stopped || signals.stop().is_some();
            if status == Status::End || stopped {
                break through;
            }
            if source.finished_polls() > polls
                && let Some(processes) = &mut self.processes
            {
                processes.refresh()?;
            }
            // A poll is a table of its own.
            if source.finished_polls() > polls && args.output.is_text() {
                let ledger = self.ledger(source)?;
                let ending = Ending { from: self.from, through: Some(through), ..Ending::new(&ledger) };
                let done = std::mem::replace(&mut output, Output::new(&subject, wishes(args), edge()?)?);
                rows += done.without_trailer().finish(&ending)?;
                tables += 1;
                output::separate()?;
            }
        };
        if tables > 0 {
            output = output.without_empty_table();
        }
        let ledger = self.ledger(source)?;
        // Without a number of polls there is no other end.
        let endless = args.every.is_some() && args.count.is_none();
        let why = (stopped && !endless).then_some("interrupted by the user");
        let ending =
            Ending { from: self.from, through: Some(through), complete: true, fault: why, ..Ending::new(&ledger) };
        rows += output.finish(&ending)?;
        let exit = self.conclude(source, &ledger, rows, stopped && !endless)?;
        Ok(signals.stop().filter(|_| endless).map_or(exit, Exit::signalled))
    }

    /// A row for each kind and state.
    fn summarise(
        &mut self,
        source: &mut Sockets,
        filter: Option<&dyn Select>,
        signals: &Signals,
    ) -> anyhow::Result<Exit> {
        let mut summary = Summary::default();
        let mut events = Vec::with_capacity(Limit::default().events);
        let (through, stopped) = loop {
            let filled = source.fill(&mut events, Limit::default())?;
            self.take(&events, &filled.frames, filter);
            events.clear();
            summary.add(self.rows.drain(..));
            let stopped = signals.stop().is_some();
            if filled.status == Status::End || stopped {
                break (filled.through, stopped);
            }
        };
        let subject = summary::subject(self.namespaces.len() > 1);
        let mut output = Output::new(&subject, wishes(self.args), Edge::default())?;
        output.take(&mut summary.rows())?;
        let ledger = self.ledger(source)?;
        let ending = Ending { from: self.from, through: Some(through), complete: true, ..Ending::new(&ledger) };
        let rows = output.finish(&ending)?;
        self.conclude(source, &ledger, rows, stopped)
    }

    /// Makes rows of what the filter selects.
    fn take(&mut self, events: &[FlowEvent], frames: &Frames<'_>, filter: Option<&dyn Select>) {
        for start in (0..events.len()).step_by(STEP) {
            let step = events.get(start..events.len().min(start + STEP)).unwrap_or(&[]);
            let mask = filter.map_or(u64::MAX, |filter| filter.select(step, frames));
            for (place, event) in step.iter().enumerate() {
                let back = events.get(start + place + 1);
                let (Detail::Socket(socket), Some(sample)) = (event.detail, frames.socket(event)) else { continue };
                self.from.get_or_insert(event.time);
                if mask >> place & 1 == 0 {
                    self.filtered += 1;
                    continue;
                }
                let since = self.args.every.map(|_| Since {
                    sent_packets: event.packets.into(),
                    sent_bytes: event.bytes,
                    received_packets: back.map_or(0, |back| back.packets.into()),
                    received_bytes: back.map_or(0, |back| back.bytes),
                });
                let netns = self.namespaces.get(usize::from(sample.netns)).cloned().flatten();
                self.serial += 1;
                self.rows.push(Socket {
                    sample: *sample,
                    netns,
                    interface: None,
                    processes: None,
                    details: None,
                    since,
                    ended: socket.last,
                    killed: None,
                    serial: self.serial,
                });
            }
        }
    }

    fn name_interfaces(&mut self, source: &Sockets) {
        for row in &mut self.rows {
            let SocketSample { netns, interface: Some(index), .. } = row.sample else { continue };
            let name = || source.interface_name(netns, index).map(Arc::from);
            row.interface = self.interfaces.entry((netns, index)).or_insert_with(name).clone();
        }
    }

    fn name_processes(&mut self) -> Result<(), Error> {
        let Some(processes) = &mut self.processes else { return Ok(()) };
        processes.find(self.rows.iter().filter_map(|row| row.sample.inode))?;
        for row in &mut self.rows {
            row.processes = row.sample.inode.map(|inode| {
                let owners = processes.owners(inode);
                (owners.evidence, owners.oldest_first())
            });
            if let Some((_, holders)) = row.processes.as_ref().filter(|_| self.wants_details)
                && let Some(holder) = holders.first()
            {
                let details = || processes.details(holder).map(Arc::new);
                row.details = self.details.entry((holder.pid, holder.start_ticks)).or_insert_with(details).clone();
            }
        }
        Ok(())
    }

    fn kill(&mut self, source: &mut Sockets) {
        for row in &mut self.rows {
            let outcome = source.destroy(&row.sample);
            row.killed = Some(outcome.is_ok());
            self.left.extend(outcome.err().map(|error| error.to_string()));
        }
    }

    fn ledger(&self, source: &mut Sockets) -> Result<flowcore::Ledger, Error> {
        let mut ledger = source.ledger()?;
        if let Some(sockets) = &mut ledger.sockets {
            sockets.filtered = self.filtered;
        }
        Ok(ledger)
    }

    fn conclude(&self, source: &Sockets, ledger: &flowcore::Ledger, rows: u64, stopped: bool) -> anyhow::Result<Exit> {
        let ending = &self.args.ending;
        // In passing nobody asks for them: the trust line counts what was refused.
        let asked = self.args.kinds.raw || self.args.all || self.args.summary;
        if !ending.quiet && asked {
            for kind in source.refused() {
                complain(&format!("note: this kernel does not list {kind} sockets, of which there may be some"));
            }
        }
        if !ending.quiet
            && let Some(partial) = self.processes.as_ref().and_then(Processes::degraded)
        {
            complain(&format!("note: {partial}"));
        }
        if self.args.kill && rows == 0 {
            complain("nothing was closed: no socket is selected");
        } else if self.args.kill && !self.args.yes {
            complain(&format!("nothing was closed: --yes closes these {rows}"));
        }
        self.left.iter().for_each(|why| complain(why));
        let said = run::has_said(self.args.output, self.args.no_trailer);
        let exit = run::conclude_ledger(ending, ledger, None, &Finish { rows, stopped, said });
        Ok(if !self.left.is_empty() && exit == Exit::DONE { Exit::FAILED } else { exit })
    }
}

fn wishes(args: &SocketsArgs) -> Wishes {
    Wishes {
        format: args.output,
        columns: args.columns.clone(),
        sort: args.sort.clone(),
        top: args.top.map(|top| usize::try_from(top.get()).unwrap_or(usize::MAX)),
        time: TimeStyle::Utc,
        humanized: args.human,
        color: args.color,
        no_header: args.no_header,
        no_trailer: args.no_trailer,
        safe_integers: args.json_safe_int,
        line_buffered: false,
    }
}
