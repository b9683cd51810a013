//! Who holds a socket: the processes that have a descriptor of it; while it waits to be accepted, those of its listener; when
//! it has ended, who held it last.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use flowcore::{Result, SocketSample};
use flowsrc_netlink::process::{Evidence, Holder, Processes};
use flowsrc_netlink::{Options, Sockets};

use crate::listeners::{self, Listeners};

/// What a filter asks and what rows show is one.
pub type Shared = Arc<Mutex<Holders>>;

/// What is known of it.
#[derive(Debug)]
pub struct Holders {
    pub processes: Processes,
    /// Who waits at which door; `None` before the source is open.
    listeners: Option<Listeners>,
}

impl Holders {
    /// Knows nothing yet.
    ///
    /// # Errors
    /// If there is no /proc.
    pub fn open() -> Result<Shared> {
        Ok(Arc::new(Mutex::new(Self { processes: Processes::open()?, listeners: None })))
    }

    /// Looks at the listeners, too, of samples of this source.
    pub fn watch(&mut self, options: Options, source: &Sockets) {
        self.listeners = Some(Listeners::new(options, source));
    }

    /// Looks again at processes that have changed, before the next poll.
    ///
    /// # Errors
    /// If /proc cannot be read.
    pub fn refresh(&mut self, source: &Sockets) -> Result<()> {
        self.listeners.iter_mut().for_each(|listeners| listeners.forget(source));
        self.processes.refresh()
    }

    /// Finds who holds these; what has ended is held by nobody any more.
    ///
    /// # Errors
    /// If /proc cannot be read, or the kernel cannot be asked.
    pub fn find<'s>(&mut self, sockets: impl Iterator<Item = &'s SocketSample>) -> Result<()> {
        let mut inodes = Vec::new();
        for sample in sockets {
            match (sample.inode, &mut self.listeners) {
                (Some(inode), _) => inodes.push(inode),
                (None, Some(listeners)) if listeners::waits(sample) => {
                    listeners.ask()?;
                    inodes.extend(listeners.of(sample));
                }
                _ => {}
            }
        }
        self.processes.find(inodes)
    }

    /// Who holds a socket, the oldest first; `None` if nobody can.
    pub fn of(&self, sample: &SocketSample, ended: bool) -> Option<(Evidence, Vec<Holder>)> {
        let processes = &self.processes;
        if let Some(inode) = sample.inode {
            let (owners, last) = (processes.owners(inode), processes.last_holders(inode));
            return Some(match owners.holders() {
                holders if holders.is_empty() && ended && !last.is_empty() => (Evidence::Exact, last.to_vec()),
                holders => (owners.evidence, holders),
            });
        }
        let listeners = self.listeners.as_ref().filter(|_| listeners::waits(sample))?;
        let doors = listeners.of(sample);
        let holders: Vec<_> = doors.iter().flat_map(|&door| processes.owners(door).holders()).collect();
        let hidden = doors.iter().any(|&door| processes.owners(door).evidence == Evidence::NotPermitted);
        let evidence = match (holders.is_empty(), hidden) {
            (false, _) => Evidence::Listener,
            (true, true) => Evidence::NotPermitted,
            (true, false) => Evidence::Gone,
        };
        Some((evidence, holders))
    }
}

/// What is known, for a while.
pub fn lock(holders: &Shared) -> MutexGuard<'_, Holders> {
    holders.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Whether a socket may be held by a process that may not be looked into.
pub fn is_hidden(processes: Option<&(Evidence, Vec<Holder>)>) -> bool {
    processes.is_some_and(|(evidence, _)| *evidence == Evidence::NotPermitted)
}

/// What a filter by process leaves undecided, in words.
pub fn undecided(sockets: u64) -> Option<String> {
    let whose = match sockets {
        0 => return None,
        1 => "1 socket: who holds it".to_owned(),
        more => format!("{more} sockets: who holds them"),
    };
    Some(format!("note: the filter asks for processes and could not be decided for {whose} may not be seen"))
}
