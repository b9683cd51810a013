//! Filters over the kernel's sockets.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use flowcore::resolve::Process;
use flowcore::select::KernelForm;
use flowcore::{Detail, Error, FlowEvent, Frames, Select, SocketSample};
use flowfilter::kernel::inet_diag;
use flowfilter::{Field, FieldSet, Filter, FilterError, Predicate, Socket};
use flowresolve::Networks;
use flowsrc_netlink::Cgroups;
use flowsrc_netlink::process::{Owner, Processes};

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
pub struct LookUps(Arc<Mutex<Known>>);

struct Known {
    processes: Option<Processes>,
    cgroups: Cgroups,
}

impl LookUps {
    fn open(asked: FieldSet) -> Result<Self, Error> {
        let holders = FieldSet::of([Field::Process, Field::Pid]);
        let processes = if asked.common(holders).is_empty() { None } else { Some(Processes::open()?) };
        Ok(Self(Arc::new(Mutex::new(Known { processes, cgroups: Cgroups::default() }))))
    }

    /// Whether it must be known who holds sockets.
    pub fn need_holders(&self) -> bool {
        self.known().processes.is_some()
    }

    /// Finds who holds the sockets of a batch, before it is selected from.
    ///
    /// # Errors
    /// If /proc cannot be read.
    pub fn find(&self, events: &[FlowEvent], frames: &Frames<'_>) -> Result<(), Error> {
        match &mut self.known().processes {
            Some(processes) => processes.find(events.iter().filter_map(|event| frames.socket(event)?.inode)),
            None => Ok(()),
        }
    }

    /// Looks again at processes that have changed, before the next poll.
    ///
    /// # Errors
    /// If /proc cannot be read.
    pub fn refresh(&self) -> Result<(), Error> {
        self.known().processes.as_mut().map_or(Ok(()), Processes::refresh)
    }

    /// A socket with what was found; of one that has ended who held it last.
    fn socket(&self, sample: &SocketSample) -> Socket {
        let mut known = self.known();
        let mut holders = Vec::new();
        if let (Some(processes), Some(inode)) = (&known.processes, sample.inode) {
            let process = |owner: &Owner| Process { pid: owner.pid, name: owner.name.clone() };
            holders.extend(processes.owners(inode).iter().map(process));
            if holders.is_empty() {
                holders.extend(processes.last_holders(inode).iter().map(|holder| process(&holder.owner)));
            }
        }
        let cgroup = sample.cgroup_id.and_then(|id| known.cgroups.path(id));
        Socket { holders, cgroup, ..Socket::of(sample) }
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
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
            if let (Detail::Socket(_), Some(sample)) = (event.detail, frames.socket(event)) {
                let passes = self.at_once.matches(&Socket::of(sample), frames)
                    && self.look_ups.as_ref().is_none_or(|look_ups| self.passes(&look_ups.socket(sample)));
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
