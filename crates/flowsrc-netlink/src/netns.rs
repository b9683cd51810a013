//! Network namespaces: which there are, and doing something in one of them.

use std::collections::HashSet;
use std::fs::{self, File};
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use flowcore::{Error, ErrorKind, Result};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

/// Where `ip netns` keeps names.
const NAMED: &str = "/run/netns";

/// Which network namespaces to look into.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Netns {
    /// That of this process.
    #[default]
    Own,
    /// One, by its name below `/run/netns`, by a process id, or by a path.
    One(String),
    /// Every one that has a name or a process.
    All,
}

/// One network namespace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Namespace {
    /// Its name below `/run/netns`; of others `net:[INODE]`, as the kernel writes them; `` for this process' own if it is
    /// the only one.
    pub name: String,
    /// Its inode, by which the kernel tells namespaces apart.
    pub inode: u64,
    /// How to get in; `None` for this process' own.
    path: Option<PathBuf>,
}

impl Netns {
    /// The namespaces, this process' own first, and what may not be read, with the capability that
    /// permits it.
    ///
    /// # Errors
    /// If the one that was named does not exist or may not be read.
    pub(crate) fn list(&self) -> Result<(Vec<Namespace>, Option<String>)> {
        let own = fs::metadata("/proc/thread-self/ns/net").map_or(0, |meta| meta.ino());
        match self {
            Self::Own => Ok((vec![Namespace { name: String::new(), inode: own, path: None }], None)),
            Self::One(name) => {
                let candidates = [Path::new(NAMED).join(name), PathBuf::from(format!("/proc/{name}/ns/net"))];
                let direct = name.contains('/').then(|| PathBuf::from(name));
                let number = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_digit());
                let named = candidates.into_iter().enumerate().filter(|(place, _)| *place == 0 || number);
                let path = direct.into_iter().chain(named.map(|(_, path)| path)).find(|path| {
                    // What may not be read is there.
                    fs::metadata(path).map_or_else(|error| error.kind() == io::ErrorKind::PermissionDenied, |_| true)
                });
                let path = path.ok_or_else(|| {
                    let known = names().join(", ");
                    let known =
                        if known.is_empty() { "none has a name".to_owned() } else { format!("there are {known}") };
                    Error::new(
                        ErrorKind::NotFound,
                        if number {
                            format!("no network namespace `{name}`: there is no process of that id")
                        } else {
                            format!("no network namespace `{name}`: {known}; a process id or a path will do")
                        },
                    )
                })?;
                let meta = fs::metadata(&path).map_err(|error| {
                    let why = if error.kind() == io::ErrorKind::PermissionDenied {
                        format!(" (that needs CAP_SYS_PTRACE{})", crate::capabilities::advice())
                    } else {
                        String::new()
                    };
                    Error::io(format!("network namespace {}{why}", path.display()), error)
                })?;
                Ok((vec![Namespace { name: name.clone(), inode: meta.ino(), path: Some(path) }], None))
            }
            Self::All => Ok(all(own)),
        }
    }
}

/// The names below `/run/netns`, in order.
fn names() -> Vec<String> {
    let entries = fs::read_dir(NAMED).into_iter().flatten().flatten();
    let mut names: Vec<String> = entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

fn all(own: u64) -> (Vec<Namespace>, Option<String>) {
    let mut seen = HashSet::from([own]);
    let mut found = Vec::new();
    let mut own_name = format!("net:[{own}]");
    for name in names() {
        let path = Path::new(NAMED).join(&name);
        let Ok(meta) = fs::metadata(&path) else { continue };
        if meta.ino() == own {
            own_name = name;
        } else if seen.insert(meta.ino()) {
            found.push(Namespace { name, inode: meta.ino(), path: Some(path) });
        }
    }
    let mut hidden = 0;
    for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
        if !entry.file_name().to_string_lossy().bytes().all(|byte| byte.is_ascii_digit()) {
            continue;
        }
        let path = entry.path().join("ns/net");
        match fs::metadata(&path) {
            Ok(meta) if seen.insert(meta.ino()) => {
                let name = format!("net:[{}]", meta.ino());
                found.push(Namespace { name, inode: meta.ino(), path: Some(path) });
            }
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => hidden += 1,
            _ => {}
        }
    }
    let hidden = match hidden {
        0 => None,
        1 => Some("the network namespace of 1 process (CAP_SYS_PTRACE)".to_owned()),
        many => Some(format!("the network namespaces of {many} processes (CAP_SYS_PTRACE)")),
    };
    found.insert(0, Namespace { name: own_name, inode: own, path: None });
    (found, hidden)
}

impl Namespace {
    /// Does something within it, in a thread of its own where it is not this process' own: what is opened there belongs
    /// to the namespace for ever.
    pub(crate) fn within<T: Send>(&self, action: impl FnOnce() -> io::Result<T> + Send) -> io::Result<T> {
        let Some(path) = &self.path else { return action() };
        let door = File::open(path)?;
        let inside = || {
            move_into_link_name_space(door.as_fd(), Some(LinkNameSpaceType::Network))?;
            action()
        };
        std::thread::scope(|scope| scope.spawn(inside).join())
            .unwrap_or_else(|_| Err(io::Error::other("the thread within the namespace ended early")))
    }
}
