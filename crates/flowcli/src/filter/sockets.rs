//! Filters over the kernel's sockets.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use flowcore::resolve::Process;
use flowcore::select::KernelForm;
use flowcore::{Detail, Error, FlowEvent, Frames, Select, SocketSample};
use flowfilter::kernel::inet_diag;
use flowfilter::{Field, FieldSet, Filter, FilterError, Predicate, Socket};
use flowresolve::Networks;
use flowsrc_netlink::Cgroups;
use flowsrc_netlink::process::Holder;

use crate::holders::{self, Holders};

/// What a filter selects of sockets: at once by what the kernel says of them, and the rest when more was found out.
pub struct OfSockets {
    /// What the kernel's answer decides: passes all that [`exact`](Self::exact) does.
    at_once: Predicate<Socket>,
    /// All of it.
    exact: Predicate<Socket>,
    program: Option<Vec<u8>>,
    /// Where the rest is found out, if that is to be known at once.
    look_ups: Option<LookUps>,
    /// Whether the latest sample passed.
    latest: AtomicBool,
}

/// Who holds sockets, and paths of their control groups: for commands that do not show them, and filters that ask.
#[derive(Clone)]
pub struct LookUps {
    holders: Option<holders::Shared>,
    cgroups: Arc<Mutex<Cgroups>>,
    /// Sockets that may be held by a process that may not be seen, and were not selected.
    undecided: Arc<AtomicU64>,
}

impl LookUps {
    fn open(asked: FieldSet) -> Result<Self, Error> {
        let processes = FieldSet::of([Field::Process, Field::Pid]);
        let holders = if asked.common(processes).is_empty() { None } else { Some(Holders::open()?) };
        Ok(Self { holders, cgroups: Arc::default(), undecided: Arc::default() })
    }

    /// Who knows who holds sockets, if that must be known.
    pub fn holders(&self) -> Option<&holders::Shared> {
        self.holders.as_ref()
    }

    /// How many sockets could not be decided since this was last asked.
    pub fn take_undecided(&self) -> u64 {
        self.undecided.swap(0, Ordering::Relaxed)
    }

    /// Finds who holds the sockets of a batch, before it is selected from.
    ///
    /// # Errors
    /// If /proc cannot be read.
    pub fn find(&self, events: &[FlowEvent], frames: &Frames<'_>) -> Result<(), Error> {
        let Some(holders) = &self.holders else { return Ok(()) };
        let live = |event: &&FlowEvent| matches!(event.detail, Detail::Socket(socket) if !socket.last);
        holders::lock(holders).find(events.iter().filter(live).filter_map(|event| frames.socket(event)))
    }

    /// Whether a socket passes with what was found; of one that has ended who held it last.
    fn pass(&self, filter: &OfSockets, sample: &SocketSample, ended: bool) -> bool {
        let found = self.holders.as_ref().and_then(|holders| holders::lock(holders).of(sample, ended));
        let held = found.iter().flat_map(|(_, holders)| holders);
        let holders = held.map(|Holder { owner, .. }| Process { pid: owner.pid, name: owner.name.clone() }).collect();
        let mut cgroups = self.cgroups.lock().unwrap_or_else(PoisonError::into_inner);
        let cgroup = sample.cgroup_id.and_then(|id| cgroups.path(id));
        let passes = filter.passes(&Socket { holders, cgroup, ..Socket::of(sample) });
        if !passes && holders::is_hidden(found.as_ref()) {
            self.undecided.fetch_add(1, Ordering::Relaxed);
        }
        passes
    }
}

impl OfSockets {
    /// A filter of whatever sockets have.
    ///
    /// # Errors
    /// If sockets do not have what it asks for, or nobody knows networks.
    pub fn new(filter: &Filter, networks: Option<&Arc<Networks>>) -> Result<Self, FilterError> {
        let names = super::names(networks);
        let exact = filter.bind::<Socket>(&names)?;
        super::have_networks(filter, networks)?;
        let at_once = filter.widen(Socket::sampled()).bind::<Socket>(&names)?;
        let program = inet_diag::program(filter.expr(), None);
        Ok(Self { at_once, exact, program, look_ups: None, latest: AtomicBool::new(false) })
    }

    /// The same for commands that show neither holders nor control groups: those are looked up if they are asked for.
    ///
    /// # Errors
    /// Also if there is no /proc, or if it asks for an interface.
    pub fn with_look_ups(filter: &Filter, networks: Option<&Arc<Networks>>) -> anyhow::Result<Self> {
        let selection = Self::new(filter, networks)?;
        let unsettled = selection.unsettled();
        if unsettled.contains(Field::Device) {
            let title = "interfaces of sockets are not looked up here";
            return Err(filter.refuse(Field::Device, title, Some("`flow sockets` selects by it")).into());
        }
        let look_ups = if unsettled.is_empty() { None } else { Some(LookUps::open(unsettled)?) };
        Ok(Self { look_ups, ..selection })
    }

    /// Who looks up what it asks for.
    pub fn look_ups(&self) -> Option<LookUps> {
        self.look_ups.clone()
    }

    /// Whether a field is asked for.
    pub fn asks(&self, field: Field) -> bool {
        self.exact.fields().contains(field)
    }

    /// The fields asked for that the kernel's answer does not have.
    pub fn unsettled(&self) -> FieldSet {
        self.exact.fields().without(Socket::sampled())
    }

    /// Whether a socket passes of which everything that is asked for was found out.
    pub fn passes(&self, socket: &Socket) -> bool {
        self.exact.matches(socket, &Frames::EMPTY)
    }
}

impl Select for OfSockets {
    /// By the kernel's answer and what was looked up. The second of a socket's two events goes with the first.
    fn select(&self, events: &[FlowEvent], frames: &Frames<'_>) -> u64 {
        let mut mask = 0;
        for (place, event) in events.iter().enumerate().take(flowfilter::STEP) {
            if let (Detail::Socket(socket), Some(sample)) = (event.detail, frames.socket(event)) {
                let passes = self.at_once.matches(&Socket::of(sample), frames)
                    && self.look_ups.as_ref().is_none_or(|look_ups| look_ups.pass(self, sample, socket.last));
                self.latest.store(passes, Ordering::Relaxed);
            }
            mask |= u64::from(self.latest.load(Ordering::Relaxed)) << place;
        }
        mask
    }

    fn kernel(&self, form: KernelForm) -> Option<Vec<u8>> {
        self.program.clone().filter(|_| form == KernelForm::InetDiag)
    }
}
