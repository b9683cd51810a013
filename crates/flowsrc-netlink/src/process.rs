//! Which processes hold a socket.
//!
//! A socket is known by its inode; the processes that hold it are those that have a descriptor of it in `/proc/PID/fd`.
//!
//! ```
//! use flowsrc_netlink::process::{Evidence, Processes};
//!
//! let mut processes = Processes::open()?;
//! processes.find([4026])?;
//! let owners = processes.owners(4026);
//! match owners.evidence {
//!     Evidence::Exact | Evidence::Inherited | Evidence::Shared => owners.iter().for_each(|owner| println!("{} {}", owner.pid, owner.name)),
//!     nobody => println!("{}", nobody.name()),
//! }
//! # Ok::<(), flowcore::Error>(())
//! ```

pub(crate) mod texts;

use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::io::Read;
use std::mem::{MaybeUninit, take};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;

use flowcore::{Error, Result};
use foldhash::fast::RandomState;
use rustix::fs::{AtFlags, Mode, OFlags, RawDir, openat, readlinkat, readlinkat_raw, statat};
use rustix::io::Errno;

use crate::capabilities;

/// How often all descriptors are looked at between two [`refresh`](Processes::refresh)es, however many sockets stay without
/// an owner.
const SCANS: u32 = 8;

/// How many descriptors a [`refresh`](Processes::refresh) looks at again though nothing shows that they have changed, on
/// average: each takes two or three microseconds, so all of them are as much as another 1,000 sockets in the poll.
const AGAIN: i64 = 1_024;

/// The process namespace that the host begins with: `PROC_PID_INIT_INO` of include/linux/proc_ns.h.
const FIRST_NAMESPACE: &[u8] = b"pid:[4026531836]";

/// How often a process is looked at again that became another program meanwhile.
const TRIES: u32 = 3;

/// A process that holds a socket.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Owner {
    /// Process id.
    pub pid: u32,
    /// When it began, in clock ticks since the host did: with `pid` it is the same process for ever.
    pub start_ticks: u64,
    /// Command name, at most 15 bytes, as the process chose it.
    pub name: Arc<str>,
    /// Effective user id.
    pub uid: Option<u32>,
    /// Path of its control group.
    pub cgroup: Option<Arc<str>>,
    /// The process that made it, when it was looked at; 0 if that is in none that this /proc shows.
    pub parent: u32,
}

impl Owner {
    /// Id of the container that it is in, if its control group has the name of one.
    pub fn container(&self) -> Option<&str> {
        texts::container(self.cgroup.as_deref()?)
    }
}

/// A descriptor of a socket, and whose it is.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Holder {
    /// The process.
    pub owner: Owner,
    /// Its descriptor.
    pub descriptor: u32,
}

/// More of a process, which is read only when asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Details {
    /// Its words with blanks between, as the process shows them.
    pub command_line: Option<Arc<str>>,
    /// The file that it runs; with ` (deleted)` if that is not there any more. Needs the permission to trace it.
    pub executable: Option<Arc<str>>,
    /// How many threads it has.
    pub threads: Option<u32>,
}

/// How well it is known who holds a socket.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Evidence {
    /// One process does, of those that may be looked into.
    Exact,
    /// Several do, and each but one is the child of another: it was inherited.
    Inherited,
    /// Several do that are not each other's children: passed on, or inherited from one that has closed it.
    Shared,
    /// None has a descriptor of it yet: it waits to be accepted from the queue of a listener, which these hold.
    Listener,
    /// None does that this /proc shows: the socket is closed, the kernel's own, on its way between two processes, held by a
    /// thread that has a table of descriptors to itself (`unshare(CLONE_FILES)`), or where another /proc would show it (a
    /// container).
    Gone,
    /// None of those that may be looked into does.
    NotPermitted,
}

impl Evidence {
    /// In words.
    pub fn name(self) -> &'static str {
        match self {
            Self::Exact => "exact",
            Self::Inherited => "inherited",
            Self::Shared => "shared",
            Self::Listener => "listener",
            Self::Gone => "gone",
            Self::NotPermitted => "not permitted",
        }
    }
}

/// The processes that hold one socket.
#[derive(Copy, Clone, Debug)]
pub struct Owners<'a> {
    /// How well that is known.
    pub evidence: Evidence,
    held: &'a [Held],
    known: &'a HashMap<u32, Known>,
}

impl<'a> Owners<'a> {
    /// Each of them, by process id.
    pub fn iter(&self) -> impl Iterator<Item = &'a Owner> + use<'a> {
        let known = self.known;
        let each = self.held.chunk_by(|a, b| a.pid == b.pid);
        each.filter_map(move |held| known.get(&held.first()?.pid)).map(|known| &known.owner)
    }

    /// Each of them, the oldest first: who made the socket rather than who inherited it.
    pub fn oldest_first(&self) -> Vec<Owner> {
        let mut owners: Vec<Owner> = self.iter().cloned().collect();
        owners.sort_by_key(|owner| (owner.start_ticks, owner.pid));
        owners
    }

    /// Each descriptor of it, those of the oldest process first.
    pub fn holders(&self) -> Vec<Holder> {
        let holder =
            |held: &Held| Some(Holder { owner: self.known.get(&held.pid)?.owner.clone(), descriptor: held.descriptor });
        let mut holders: Vec<Holder> = self.held.iter().filter_map(holder).collect();
        sort_holders(&mut holders);
        holders
    }
}

fn sort_holders(holders: &mut [Holder]) {
    holders.sort_by_key(|Holder { owner, descriptor }| (owner.start_ticks, owner.pid, *descriptor));
}

/// A process has a descriptor of a socket.
#[derive(Copy, Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Held {
    inode: u32,
    pid: u32,
    descriptor: u32,
}

/// What was seen of a process.
#[derive(Debug)]
struct Known {
    owner: Owner,
    /// How many descriptors it has, since Linux 6.2; 0 before.
    descriptors: i64,
    /// Inodes of its sockets with its descriptors, in order.
    sockets: Vec<(u32, u32)>,
    /// At which refresh it was looked at.
    looked: u64,
    /// It is to be looked at again.
    again: bool,
}

/// Who held a socket until it was closed.
#[derive(Debug)]
struct Closed {
    /// How many refreshes ago, counted down.
    keep: u8,
    holders: Vec<Holder>,
}

/// For how many refreshes it is known who held a socket that is closed: the kernel's notice of its end comes late.
const REFRESHES: u8 = 8;

/// Sockets to processes: looked at when first needed, and kept.
///
/// A name is never that of another process: a process is what its id and its beginning say, and both are read before and
/// after its descriptors.
#[derive(Debug)]
pub struct Processes {
    proc: OwnedFd,
    known: HashMap<u32, Known>,
    /// Sorted, each once.
    held: Vec<Held>,
    /// Where those of an inode begin: with 100,000 sockets a binary search is seven misses of the cache, this is one.
    begins: HashMap<u32, u32, RandomState>,
    /// Descriptors that were seen and are no more, by inode.
    closed: HashMap<u32, Closed>,
    /// Looked for and not found since the latest refresh, and since the one before.
    sought: [HashSet<u32>; 2],
    scans: u32,
    refreshes: u64,
    /// Descriptors that may be looked at again with the next refresh, beside [`AGAIN`].
    allowed: i64,
    not_permitted: usize,
    /// Processes of others are not even listed.
    hidden: bool,
    /// Nor are those outside of this process namespace.
    contained: bool,
}

impl Processes {
    /// Opens /proc. Nothing is looked at yet.
    ///
    /// # Errors
    /// If there is no /proc.
    pub fn open() -> Result<Self> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let proc = openat(rustix::fs::CWD, "/proc", flags, Mode::empty()).map_err(|error| failed("/proc", error))?;
        let hidden = matches!(statat(&proc, "1", AtFlags::empty()), Err(Errno::NOENT));
        let namespace = readlinkat(&proc, "self/ns/pid", Vec::new());
        let contained = namespace.is_ok_and(|namespace| namespace.as_bytes() != FIRST_NAMESPACE);
        Ok(Self {
            proc,
            known: HashMap::new(),
            held: Vec::new(),
            begins: HashMap::default(),
            closed: HashMap::new(),
            sought: Default::default(),
            scans: 0,
            refreshes: 0,
            allowed: 0,
            not_permitted: 0,
            hidden,
            contained,
        })
    }

    /// Forgets processes that ended and looks again at those whose number of descriptors or name has changed: before the
    /// sockets of another poll are named. One that has closed a descriptor and opened another, or changed its user, shows
    /// nothing of it; so the others that hold sockets are looked at again in turn, a thousand descriptors each time.
    ///
    /// # Errors
    /// If /proc cannot be read.
    ///
    /// # Since Linux 6.2
    /// Before, the number of descriptors is not said, and every process is looked at again.
    pub fn refresh(&mut self) -> Result<()> {
        self.closed.retain(|_, closed| {
            closed.keep = closed.keep.saturating_sub(1);
            closed.keep > 0
        });
        self.sought.swap(0, 1);
        self.sought[0].clear();
        if take(&mut self.scans) > 0 || !self.known.is_empty() {
            self.refreshes += 1;
            self.take_turns();
            self.look(false)?;
        }
        Ok(())
    }

    /// Has those that were not looked at for longest be looked at again. One with more descriptors than are allowed at a time
    /// waits until it is.
    fn take_turns(&mut self) {
        let mut holders: Vec<&mut Known> = self.known.values_mut().filter(|known| !known.sockets.is_empty()).collect();
        holders.sort_unstable_by_key(|known| (known.looked, known.owner.pid));
        self.allowed += AGAIN;
        for known in holders {
            if known.descriptors > self.allowed {
                return;
            }
            self.allowed -= known.descriptors;
            known.again = true;
        }
        // All of them are as of now.
        self.allowed = 0;
    }

    /// Makes sure that the owners of these sockets are known: looks at every descriptor if one of them is new and was not
    /// looked for before.
    ///
    /// # Errors
    /// If /proc cannot be read.
    pub fn find(&mut self, inodes: impl IntoIterator<Item = u32>) -> Result<()> {
        let mut news = Vec::new();
        for inode in inodes {
            if !self.held_by(inode).is_empty() || self.sought[0].contains(&inode) {
                continue;
            }
            if self.sought[1].contains(&inode) {
                self.sought[0].insert(inode);
            } else {
                news.push(inode);
            }
        }
        if news.is_empty() || self.scans == SCANS {
            return Ok(());
        }
        self.scans += 1;
        self.look(true)?;
        news.retain(|&inode| self.held_by(inode).is_empty());
        self.sought[0].extend(news);
        Ok(())
    }

    /// Who holds a socket, by what was seen when it was last looked.
    pub fn owners(&self, inode: u32) -> Owners<'_> {
        let held = self.held_by(inode);
        let evidence = match held {
            [] if self.is_partial() => Evidence::NotPermitted,
            [] => Evidence::Gone,
            [first, rest @ ..] if rest.iter().all(|held| held.pid == first.pid) => Evidence::Exact,
            several if self.is_inherited(several) => Evidence::Inherited,
            [..] => Evidence::Shared,
        };
        Owners { evidence, held, known: &self.known }
    }

    /// Who held a socket that has been closed lately, by what was seen before; the oldest first.
    pub fn last_holders(&self, inode: u32) -> &[Holder] {
        self.closed.get(&inode).map_or(&[], |closed| &closed.holders)
    }

    /// Whether all of these processes but one are children of others of them.
    fn is_inherited(&self, held: &[Held]) -> bool {
        let holds = |pid: u32| held.binary_search_by_key(&pid, |held| held.pid).is_ok();
        let each = held.chunk_by(|a, b| a.pid == b.pid).filter_map(|held| self.known.get(&held.first()?.pid));
        each.filter(|known| !holds(known.owner.parent)).count() == 1
    }

    /// More of a process; `None` if it has ended or runs another program now.
    pub fn details(&self, owner: &Owner) -> Option<Details> {
        let place = place(self.proc.as_fd(), owner.pid).ok()?;
        let mut buffer = Vec::new();
        let command_line = read(&place, "cmdline", &mut buffer).ok().and_then(|()| texts::command_line(&buffer));
        let executable = readlinkat(&place, "exe", Vec::new()).ok();
        let executable = executable.map(|path| String::from_utf8_lossy(path.as_bytes()).into());
        let threads = statat(&place, "task", AtFlags::empty()).ok();
        // Each is a directory in it, beside `.` and `..`.
        let threads = threads.and_then(|stat| u32::try_from(stat.st_nlink).ok()?.checked_sub(2)).filter(|&n| n > 0);
        let now = identity(&place, owner.pid, &mut buffer).ok()??;
        let is_same = now.start_ticks == owner.start_ticks && now.name == owner.name;
        is_same.then(|| Details { command_line: command_line.map(Arc::from), executable, threads })
    }

    /// What could not be looked at, and the remedy; `None` if all could.
    pub fn degraded(&self) -> Option<String> {
        let remedy = format!("that needs CAP_SYS_PTRACE{}", capabilities::remedy());
        match self.not_permitted {
            0 if self.contained && self.sought.iter().any(|sought| !sought.is_empty()) => Some(
                "sockets of processes outside of this container are not named: its /proc does not list them".to_owned(),
            ),
            0 if !self.hidden => None,
            0 => Some(format!("sockets of processes that /proc does not list are not named: {remedy}")),
            1 => Some(format!("1 process may not be looked into, its sockets are not named: {remedy}")),
            several => {
                Some(format!("{several} processes may not be looked into, their sockets are not named: {remedy}"))
            }
        }
    }

    /// Whether this process may look into those of other users, so that what [`degraded`](Self::degraded) says comes as a
    /// surprise.
    pub fn is_permitted() -> bool {
        capabilities::has(capabilities::SYS_PTRACE)
    }

    fn is_partial(&self) -> bool {
        self.hidden || self.contained || self.not_permitted > 0
    }

    fn held_by(&self, inode: u32) -> &[Held] {
        let rest = self.begins.get(&inode).and_then(|&begin| self.held.get(begin as usize..)).unwrap_or(&[]);
        let count = rest.iter().take_while(|held| held.inode == inode).count();
        rest.get(..count).unwrap_or(&[])
    }

    /// Looks at processes: all of them, or those that have changed.
    fn look(&mut self, all: bool) -> Result<()> {
        let mut before = take(&mut self.known);
        let mut buffer = Vec::new();
        let mut changed = false;
        self.not_permitted = 0;
        for pid in numbers(self.proc.as_fd()).map_err(|error| failed("/proc", error))? {
            match seen(self.proc.as_fd(), pid, before.get(&pid).filter(|_| !all), &mut buffer) {
                Ok(Seen::Same) => self.known.extend(before.remove_entry(&pid)),
                Ok(Seen::New(known)) => {
                    let is_same = |before: &&Known| {
                        before.owner.start_ticks == known.owner.start_ticks && before.sockets == known.sockets
                    };
                    match before.get(&pid).filter(is_same) {
                        Some(_) => drop(before.remove(&pid)),
                        None => changed = true,
                    }
                    self.known.insert(pid, Known { looked: self.refreshes, ..known });
                }
                Ok(Seen::Nothing) | Err(Errno::NOENT | Errno::SRCH) => {}
                Err(Errno::ACCESS | Errno::PERM) => self.not_permitted += 1,
                Err(error) => return Err(failed(&format!("/proc/{pid}"), error)),
            }
        }
        // What is left of these has ended, is hidden, or is another now.
        for (pid, known) in &before {
            changed = true;
            self.remember_closed(*pid, known);
        }
        if changed {
            self.held.clear();
            for (&pid, known) in &self.known {
                let held = known.sockets.iter().map(|&(inode, descriptor)| Held { inode, pid, descriptor });
                self.held.extend(held);
            }
            self.held.sort_unstable();
            self.begins.clear();
            for (begin, held) in (0..).zip(&self.held) {
                self.begins.entry(held.inode).or_insert(begin);
            }
        }
        Ok(())
    }

    /// Keeps what a process held and does not hold now.
    fn remember_closed(&mut self, pid: u32, before: &Known) {
        let same = |known: &&Known| known.owner.start_ticks == before.owner.start_ticks;
        let now = self.known.get(&pid).filter(same).map_or(&[] as &[_], |known| &known.sockets);
        let mut now = now.iter().peekable();
        for &(inode, descriptor) in &before.sockets {
            while now.next_if(|&&other| other < (inode, descriptor)).is_some() {}
            if now.next_if_eq(&&(inode, descriptor)).is_none() {
                let closed = self.closed.entry(inode).or_insert(Closed { keep: REFRESHES, holders: Vec::new() });
                closed.holders.push(Holder { owner: before.owner.clone(), descriptor });
                sort_holders(&mut closed.holders);
            }
        }
    }
}

/// What became of a process since it was looked at.
enum Seen {
    /// It has ended, or has no descriptors.
    Nothing,
    /// Nothing.
    Same,
    /// It has changed, or is new.
    New(Known),
}

/// Looks at a process.
fn seen(proc: BorrowedFd<'_>, pid: u32, known: Option<&Known>, buffer: &mut Vec<u8>) -> rustix::io::Result<Seen> {
    let place = place(proc, pid)?;
    let Some(mut owner) = identity(&place, pid, buffer)? else { return Ok(Seen::Nothing) };
    for _ in 0..TRIES {
        let descriptors = statat(&place, "fd", AtFlags::empty())?.st_size;
        let is_same = |known: &Known| {
            let Owner { start_ticks, name, .. } = &known.owner;
            *start_ticks == owner.start_ticks && *name == owner.name && known.descriptors == descriptors && !known.again
        };
        if descriptors > 0 && known.is_some_and(is_same) {
            return Ok(Seen::Same);
        }
        let mut sockets = sockets(&place, "fd")?;
        if descriptors == 0 {
            sockets = of_threads(&place);
        }
        let Some(after) = identity(&place, pid, buffer)? else { return Ok(Seen::Nothing) };
        if after.start_ticks != owner.start_ticks {
            return Ok(Seen::Nothing);
        }
        // Another program may have closed what the one before had.
        if after.name == owner.name {
            if !sockets.is_empty() {
                owner.uid = read(&place, "status", buffer).ok().and_then(|()| texts::effective_uid(buffer));
                let cgroup = read(&place, "cgroup", buffer).ok().and_then(|()| texts::cgroup(buffer));
                owner.cgroup = cgroup.map(Arc::from);
            }
            return Ok(Seen::New(Known { owner, descriptors, sockets, looked: 0, again: false }));
        }
        owner = after;
    }
    Ok(Seen::Nothing)
}

/// The directory of a process: whatever is opened through it is of this process, or not there.
pub(crate) fn place(proc: BorrowedFd<'_>, pid: u32) -> rustix::io::Result<OwnedFd> {
    openat(proc, pid.to_string(), OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
}

/// Id, beginning and name. `None` for threads of the kernel's own, which have no descriptors.
fn identity(place: &OwnedFd, pid: u32, buffer: &mut Vec<u8>) -> rustix::io::Result<Option<Owner>> {
    read(place, "stat", buffer)?;
    let stat = texts::stat(buffer).filter(|stat| !stat.is_kernel);
    Ok(stat.map(|stat| Owner {
        pid,
        start_ticks: stat.start_ticks,
        name: String::from_utf8_lossy(stat.comm).into(),
        uid: None,
        cgroup: None,
        parent: stat.parent,
    }))
}

/// The same of a process whose first thread has ended: the others hold them.
fn of_threads(place: &OwnedFd) -> Vec<(u32, u32)> {
    let tasks = openat(place, "task", OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty());
    let threads = tasks.and_then(|tasks| numbers(tasks.as_fd())).unwrap_or_default();
    let mut found = threads.iter().filter_map(|thread| sockets(place, &format!("task/{thread}/fd")).ok());
    found.find(|sockets| !sockets.is_empty()).unwrap_or_default()
}

/// Inodes of the sockets that a directory has descriptors of, with these, in order.
fn sockets(place: &OwnedFd, name: &str) -> rustix::io::Result<Vec<(u32, u32)>> {
    let descriptors = openat(place, name, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
    let mut sockets = Vec::new();
    let mut entries = [MaybeUninit::uninit(); 8192];
    let mut entries = RawDir::new(&descriptors, &mut entries);
    while let Some(entry) = entries.next() {
        let entry = entry?;
        let mut link = [0; 32];
        // `.` and `..` are no links, and one that was closed meanwhile is not there.
        let Ok(length) = readlinkat_raw(&descriptors, entry.file_name(), &mut link[..]) else { continue };
        let inode = link.get(..length).and_then(texts::socket);
        sockets.extend(inode.zip(texts::number(entry.file_name().to_bytes())));
    }
    sockets.sort_unstable();
    Ok(sockets)
}

/// The entries of a directory that are numbers.
pub(crate) fn numbers(directory: BorrowedFd<'_>) -> rustix::io::Result<Vec<u32>> {
    // A descriptor of its own, to begin at the beginning.
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let directory = openat(directory, ".", flags, Mode::empty())?;
    let mut numbers = Vec::new();
    let mut entries = [MaybeUninit::uninit(); 8192];
    let mut entries = RawDir::new(&directory, &mut entries);
    while let Some(entry) = entries.next() {
        numbers.extend(texts::number(entry?.file_name().to_bytes()));
    }
    Ok(numbers)
}

/// A whole file of /proc.
pub(crate) fn read(place: &OwnedFd, name: &str, buffer: &mut Vec<u8>) -> rustix::io::Result<()> {
    let file = openat(place, name, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?;
    buffer.clear();
    let read = File::from(file).read_to_end(buffer);
    read.map(|_| ()).map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::IO))
}

pub(crate) fn failed(subject: &str, error: Errno) -> Error {
    Error::io(subject, error.into())
}
