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
//!     Evidence::Exact | Evidence::Shared => owners.iter().for_each(|owner| println!("{} {}", owner.pid, owner.name)),
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
use rustix::fs::{AtFlags, Mode, OFlags, RawDir, openat, readlinkat, readlinkat_raw, statat};
use rustix::io::Errno;

/// How often all descriptors are looked at between two [`refresh`](Processes::refresh)es, however many sockets stay without
/// an owner.
const SCANS: u32 = 8;

/// How often a process is looked at again that became another program meanwhile.
const TRIES: u32 = 3;

/// A process that holds a socket.
#[derive(Clone, Debug, PartialEq, Eq)]
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
}

impl Owner {
    /// Id of the container that it is in, if its control group has the name of one.
    pub fn container(&self) -> Option<&str> {
        texts::container(self.cgroup.as_deref()?)
    }
}

/// More of a process, which is read only when asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
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
    /// Several do: inherited, or passed on.
    Shared,
    /// None does that this /proc shows: the socket is closed, the kernel's own, on its way between two processes, or held
    /// where another /proc would show it (a container).
    Gone,
    /// None of those that may be looked into does.
    NotPermitted,
}

impl Evidence {
    /// In words.
    pub fn name(self) -> &'static str {
        match self {
            Self::Exact => "exact",
            Self::Shared => "shared",
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
        self.held.iter().filter_map(|held| known.get(&held.pid)).map(|known| &known.owner)
    }

    /// Each of them, the oldest first: who made the socket rather than who inherited it.
    pub fn oldest_first(&self) -> Vec<Owner> {
        let mut owners: Vec<Owner> = self.iter().cloned().collect();
        owners.sort_by_key(|owner| (owner.start_ticks, owner.pid));
        owners
    }
}

/// A process has a descriptor of a socket.
#[derive(Copy, Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Held {
    inode: u32,
    pid: u32,
}

/// What was seen of a process.
#[derive(Debug)]
struct Known {
    owner: Owner,
    /// How many descriptors it has, since Linux 6.2; 0 before.
    descriptors: i64,
    /// Of its sockets.
    inodes: Vec<u32>,
}

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
    /// Looked for and not found since the latest refresh, and since the one before.
    sought: [HashSet<u32>; 2],
    scans: u32,
    not_permitted: usize,
    /// Processes of others are not even listed.
    hidden: bool,
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
        Ok(Self {
            proc,
            known: HashMap::new(),
            held: Vec::new(),
            sought: Default::default(),
            scans: 0,
            not_permitted: 0,
            hidden,
        })
    }

    /// Forgets processes that ended and looks again at those whose number of descriptors or name has changed: before the
    /// sockets of another poll are named.
    ///
    /// # Errors
    /// If /proc cannot be read.
    ///
    /// # Since Linux 6.2
    /// Before, the number of descriptors is not said, and every process is looked at again.
    pub fn refresh(&mut self) -> Result<()> {
        self.sought.swap(0, 1);
        self.sought[0].clear();
        if take(&mut self.scans) > 0 || !self.known.is_empty() {
            self.look(false)?;
        }
        Ok(())
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
            [_] => Evidence::Exact,
            [..] => Evidence::Shared,
        };
        Owners { evidence, held, known: &self.known }
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
        let remedy = "that needs CAP_SYS_PTRACE (run as root)";
        match self.not_permitted {
            0 if !self.hidden => None,
            0 => Some(format!("sockets of processes that /proc does not list are not named: {remedy}")),
            1 => Some(format!("1 process may not be looked into, its sockets are not named: {remedy}")),
            several => {
                Some(format!("{several} processes may not be looked into, their sockets are not named: {remedy}"))
            }
        }
    }

    fn is_partial(&self) -> bool {
        self.hidden || self.not_permitted > 0
    }

    fn held_by(&self, inode: u32) -> &[Held] {
        let start = self.held.partition_point(|held| held.inode < inode);
        let rest = self.held.get(start..).unwrap_or(&[]);
        rest.get(..rest.partition_point(|held| held.inode == inode)).unwrap_or(&[])
    }

    /// Looks at processes: all of them, or those that have changed.
    fn look(&mut self, all: bool) -> Result<()> {
        let mut before = take(&mut self.known);
        let mut buffer = Vec::new();
        let mut changed = false;
        self.not_permitted = 0;
        for pid in numbers(self.proc.as_fd()).map_err(|error| failed("/proc", error))? {
            let known = before.remove(&pid);
            let was_known = known.is_some();
            match seen(self.proc.as_fd(), pid, known.filter(|_| !all), &mut buffer) {
                Ok(Some((known, is_new))) => {
                    changed |= is_new;
                    self.known.insert(pid, known);
                }
                Ok(None) | Err(Errno::NOENT | Errno::SRCH) => changed |= was_known,
                Err(Errno::ACCESS | Errno::PERM) => {
                    changed |= was_known;
                    self.not_permitted += 1;
                }
                Err(error) => return Err(failed(&format!("/proc/{pid}"), error)),
            }
        }
        if changed || !before.is_empty() {
            self.held.clear();
            for (&pid, known) in &self.known {
                self.held.extend(known.inodes.iter().map(|&inode| Held { inode, pid }));
            }
            self.held.sort_unstable();
            self.held.dedup();
        }
        Ok(())
    }
}

/// What there is to see of a process, and whether it is other than before. `None` if it ended or has no descriptors.
fn seen(
    proc: BorrowedFd<'_>,
    pid: u32,
    known: Option<Known>,
    buffer: &mut Vec<u8>,
) -> rustix::io::Result<Option<(Known, bool)>> {
    let place = place(proc, pid)?;
    let Some(mut owner) = identity(&place, pid, buffer)? else { return Ok(None) };
    for _ in 0..TRIES {
        let descriptors = statat(&place, "fd", AtFlags::empty())?.st_size;
        let is_same = |known: &Known| {
            let Owner { start_ticks, name, .. } = &known.owner;
            *start_ticks == owner.start_ticks && *name == owner.name && known.descriptors == descriptors
        };
        if descriptors > 0 && known.as_ref().is_some_and(is_same) {
            return Ok(known.map(|known| (known, false)));
        }
        let inodes = sockets(&place)?;
        let Some(after) = identity(&place, pid, buffer)? else { return Ok(None) };
        if after.start_ticks != owner.start_ticks {
            return Ok(None);
        }
        // Another program may have closed what the one before had.
        if after.name == owner.name {
            if !inodes.is_empty() {
                owner.uid = read(&place, "status", buffer).ok().and_then(|()| texts::effective_uid(buffer));
                let cgroup = read(&place, "cgroup", buffer).ok().and_then(|()| texts::cgroup(buffer));
                owner.cgroup = cgroup.map(Arc::from);
            }
            return Ok(Some((Known { owner, descriptors, inodes }, true)));
        }
        owner = after;
    }
    Ok(None)
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
    }))
}

/// Inodes of the sockets that a process has descriptors of.
fn sockets(place: &OwnedFd) -> rustix::io::Result<Vec<u32>> {
    let descriptors = openat(place, "fd", OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
    let mut inodes = Vec::new();
    let mut entries = [MaybeUninit::uninit(); 8192];
    let mut entries = RawDir::new(&descriptors, &mut entries);
    while let Some(entry) = entries.next() {
        let entry = entry?;
        let mut link = [0; 32];
        // `.` and `..` are no links, and one that was closed meanwhile is not there.
        let Ok(length) = readlinkat_raw(&descriptors, entry.file_name(), &mut link[..]) else { continue };
        inodes.extend(link.get(..length).and_then(texts::socket));
    }
    Ok(inodes)
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
