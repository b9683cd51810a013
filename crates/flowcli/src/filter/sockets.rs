//! Filters over the kernel's sockets.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use flowcore::select::KernelForm;
use flowcore::{Detail, FlowEvent, Frames, Select};
use flowfilter::kernel::inet_diag;
use flowfilter::{Field, FieldSet, Filter, FilterError, Predicate, Socket};
use flowresolve::Networks;

/// What a filter selects of sockets: at once by what the kernel says of them, and the rest when more was found out.
pub struct OfSockets {
    /// What the kernel's answer decides: passes all that [`exact`](Self::exact) does.
    at_once: Predicate<Socket>,
    /// All of it.
    exact: Predicate<Socket>,
    program: Option<Vec<u8>>,
    /// Whether the latest sample passed.
    latest: AtomicBool,
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
        Ok(Self { at_once, exact, program, latest: AtomicBool::new(false) })
    }

    /// The same for who has nothing but the kernel's answer.
    ///
    /// # Errors
    /// Also if it asks for more than that.
    pub fn of_samples(filter: &Filter, networks: Option<&Arc<Networks>>) -> Result<Self, FilterError> {
        let selection = Self::new(filter, networks)?;
        match selection.unsettled().iter().next() {
            None => Ok(selection),
            Some(field) => {
                let title = format!("`{}` of sockets is not looked up here", field.name());
                Err(filter.refuse(field, &title, Some("`flow sockets` selects by it")))
            }
        }
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
    /// By the kernel's answer. The second of a socket's two events goes with the first.
    fn select(&self, events: &[FlowEvent], frames: &Frames<'_>) -> u64 {
        let mut mask = 0;
        for (place, event) in events.iter().enumerate().take(flowfilter::STEP) {
            if let (Detail::Socket(_), Some(sample)) = (event.detail, frames.socket(event)) {
                let passes = self.at_once.matches(&Socket::of(sample), frames);
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
