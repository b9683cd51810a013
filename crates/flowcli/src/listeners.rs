//! Listeners in whose queues connections wait.

use std::collections::HashMap;

use flowcore::socket::Family;
use flowcore::{Addr, Collector, Limit, Protocol, Result, SocketSample, SocketState, Status};
use flowsrc_netlink::{Kinds, Options, Sockets};

/// Whether a connection waits to be accepted. Nobody has a descriptor of it, as of one that its process has closed; such a
/// one is in other states.
pub fn waits(sample: &SocketSample) -> bool {
    use SocketState as State;
    sample.inode.is_none()
        && sample.key().protocol == Protocol::TCP
        && matches!(sample.state, State::SYN_RECV | State::NEW_SYN_RECV | State::ESTABLISHED | State::CLOSE_WAIT)
}

/// Who listens where: asked when a connection that waits is seen.
#[derive(Debug)]
pub struct Listeners {
    options: Options,
    /// Inodes by namespace and port, with the address and the family. `None`: not asked since the latest poll.
    doors: Option<HashMap<(u64, u16), Vec<Door>>>,
    /// Inodes of the namespaces, by the index that a sample has.
    namespaces: Vec<u64>,
}

#[derive(Debug)]
struct Door {
    local: Addr,
    family: Family,
    inode: u32,
}

impl Listeners {
    /// Of the namespaces that `options` name, and samples of `source`.
    pub fn new(options: Options, source: &Sockets) -> Self {
        let states = SocketState::LISTEN.bit();
        let once = Options { every: None, polls: None, notices: false, holders: false, ..options };
        let options = Options { kinds: Kinds::TCP | Kinds::MPTCP, ipv4: true, ipv6: true, states, ..once };
        let mut listeners = Self { options, doors: None, namespaces: Vec::new() };
        listeners.forget(source);
        listeners
    }

    /// Ask again when somebody wants to know.
    pub fn forget(&mut self, source: &Sockets) {
        self.doors = None;
        self.namespaces = source.namespaces().map(|namespace| namespace.inode).collect();
    }

    /// Asks, unless that was done since the latest poll.
    ///
    /// # Errors
    /// If the kernel cannot be asked.
    pub fn ask(&mut self) -> Result<()> {
        if self.doors.is_none() {
            self.doors = Some(ask(&self.options)?);
        }
        Ok(())
    }

    /// The inodes of the listeners in whose queues a connection may be: several may listen at the same address.
    pub fn of(&self, sample: &SocketSample) -> Vec<u32> {
        let namespace = self.namespaces.get(usize::from(sample.netns));
        let (Some(doors), Some(&namespace)) = (&self.doors, namespace) else { return Vec::new() };
        let here = doors.get(&(namespace, sample.local_port)).map_or(&[] as &[Door], Vec::as_slice);
        let is_any = |door: &Door| door.local == Addr::UNSPECIFIED || door.local == Addr::v4([0; 4]);
        // An IPv4 listener takes no IPv6 connection; the other way round it may.
        let takes = |door: &&Door| door.family == Family::INET6 || sample.family == Family::INET;
        let exact: Vec<u32> = here.iter().filter(|door| door.local == sample.local).map(|door| door.inode).collect();
        // The nearer one is asked first.
        if exact.is_empty() {
            here.iter().filter(takes).filter(|door| is_any(door)).map(|door| door.inode).collect()
        } else {
            exact
        }
    }
}

fn ask(options: &Options) -> Result<HashMap<(u64, u16), Vec<Door>>> {
    let mut source = Sockets::open(options.clone())?;
    let namespaces: Vec<u64> = source.namespaces().map(|namespace| namespace.inode).collect();
    let mut doors: HashMap<(u64, u16), Vec<Door>> = HashMap::new();
    let mut events = Vec::new();
    loop {
        let filled = source.fill(&mut events, Limit::default())?;
        for sample in events.drain(..).filter_map(|event| filled.frames.socket(&event).copied()) {
            let SocketSample { local, family, .. } = sample;
            let place = namespaces.get(usize::from(sample.netns)).copied();
            if let (Some(namespace), Some(inode)) = (place, sample.inode) {
                doors.entry((namespace, sample.local_port)).or_default().push(Door { local, family, inode });
            }
        }
        if filled.status == Status::End {
            return Ok(doors);
        }
    }
}
