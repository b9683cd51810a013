//! Which processes hold sockets, and on which CPUs their threads are: from /proc.

use std::collections::{BTreeSet, HashMap};
use std::fs;
use std::io;
use std::path::Path;
use std::sync::Arc;

use flowcore::placement::Placement;
use flowcore::{Nanos, Timestamp};

/// A process.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Owner {
    pub pid: u32,
    /// Its command line, words joined with blanks; its name if it has none.
    pub command: Arc<str>,
}

/// Who holds which socket, by inode.
#[derive(Debug, Default)]
pub struct Owners {
    by_inode: HashMap<u32, Vec<Owner>>,
    /// Processes whose descriptors may not be seen.
    pub refused: usize,
}

impl Owners {
    /// Looks at all processes that may be seen.
    pub fn look() -> Self {
        let mut owners = Self::default();
        let Ok(processes) = fs::read_dir("/proc") else { return owners };
        for process in processes.flatten() {
            let Some(pid) = process.file_name().to_str().and_then(|name| name.parse::<u32>().ok()) else { continue };
            match fs::read_dir(process.path().join("fd")) {
                Ok(descriptors) => {
                    let links = descriptors.flatten().filter_map(|descriptor| fs::read_link(descriptor.path()).ok());
                    let inodes: BTreeSet<u32> = links.filter_map(|link| socket_inode(&link)).collect();
                    owners.add(pid, &process.path(), inodes);
                }
                Err(error) if error.kind() == io::ErrorKind::PermissionDenied => owners.refused += 1,
                // It has ended meanwhile.
                Err(_) => {}
            }
        }
        owners
    }

    fn add(&mut self, pid: u32, process: &Path, inodes: BTreeSet<u32>) {
        if inodes.is_empty() {
            return;
        }
        let owner = Owner { pid, command: command(process).into() };
        for inode in inodes {
            self.by_inode.entry(inode).or_default().push(owner.clone());
        }
    }

    /// Who holds a socket, the lowest process id first; nobody if that is not known, or it is held by none.
    pub fn of(&self, inode: Option<u32>) -> &[Owner] {
        inode.and_then(|inode| self.by_inode.get(&inode)).map_or(&[], Vec::as_slice)
    }
}

/// The inode in `socket:[12345]`.
fn socket_inode(link: &Path) -> Option<u32> {
    link.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?.parse().ok()
}

fn command(process: &Path) -> String {
    let line = fs::read(process.join("cmdline")).unwrap_or_default();
    let words: Vec<_> = line.split(|&byte| byte == 0).map(String::from_utf8_lossy).collect();
    let line = words.join(" ");
    match line.trim_end() {
        "" => fs::read_to_string(process.join("comm")).unwrap_or_default().trim_end().to_owned(),
        line => line.to_owned(),
    }
}

/// Looks at threads again and again.
#[derive(Debug, Default)]
pub struct Threads {
    /// How long each had run at the look before.
    ran: HashMap<(u32, u32), u64>,
}

impl Threads {
    /// One look at every thread of these processes.
    pub fn look(&mut self, pids: &BTreeSet<u32>, time: Timestamp) -> Vec<Placement> {
        let mut placements = Vec::new();
        let mut ran = HashMap::new();
        for &pid in pids {
            let Ok(tasks) = fs::read_dir(format!("/proc/{pid}/task")) else { continue };
            for task in tasks.flatten() {
                let Some(tid) = task.file_name().to_str().and_then(|name| name.parse::<u32>().ok()) else { continue };
                let stat = fs::read_to_string(task.path().join("stat")).unwrap_or_default();
                let Some(cpu) = last_cpu(&stat) else { continue };
                let now = fs::read_to_string(task.path().join("schedstat")).ok().and_then(|text| run_time(&text));
                let before = self.ran.get(&(pid, tid));
                let run = now.zip(before).map(|(now, before)| now.saturating_sub(*before));
                let run = run.map(|run| Nanos::new(i64::try_from(run).unwrap_or(i64::MAX)));
                ran.extend(now.map(|now| ((pid, tid), now)));
                placements.push(Placement { time, pid, tid, cpu, run });
            }
        }
        self.ran = ran;
        placements
    }
}

/// The CPU that a thread ran on last: field 39 of its `stat`. The name before it may hold blanks and parentheses.
fn last_cpu(stat: &str) -> Option<u32> {
    stat.rsplit_once(')')?.1.split_ascii_whitespace().nth(39 - 3)?.parse().ok()
}

/// Nanoseconds that a thread ran: the first number of its `schedstat`.
fn run_time(schedstat: &str) -> Option<u64> {
    schedstat.split_ascii_whitespace().next()?.parse().ok()
}

/// How many CPUs there are by the kernel's highest number.
pub fn cpus() -> u32 {
    // As in `0-3,8-11`.
    let present = fs::read_to_string("/sys/devices/system/cpu/present").unwrap_or_default();
    let last = present.trim_end().rsplit(['-', ',']).next().and_then(|number| number.parse::<u32>().ok());
    last.map_or(1, |last| last.saturating_add(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bug_3_names_of_processes_are_not_read_as_anything_else() {
        let stat = "7 (tcp) S udp 0) R 1 7 7 0 -1 4194560 1 0 0 0 0 0 0 0 20 0 1 0 42 0 0 18446744073709551615 0 0 0 0 0 0 0 0 0 0 0 0 17 3 0 0 0 0 0";
        assert_eq!(last_cpu(stat), Some(3));
        assert_eq!(last_cpu("7 (cut) R 1 2"), None);
        assert_eq!(socket_inode(Path::new("socket:[4711]")), Some(4711));
        assert_eq!(socket_inode(Path::new("/tmp/socket:[4711]")), None);
        assert_eq!(run_time("123456 7 8\n"), Some(123_456));
    }

    #[test]
    fn bug_2_a_socket_without_a_visible_owner_has_none() {
        let owners = Owners::default();
        assert_eq!(owners.of(None), []);
        assert_eq!(owners.of(Some(1)), []);
    }

    #[test]
    fn this_process_is_found_by_its_socket() {
        use std::os::fd::AsRawFd;
        let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        let link = fs::read_link(format!("/proc/self/fd/{}", socket.as_raw_fd())).unwrap();
        let owners = Owners::look();
        let pids: Vec<u32> = owners.of(socket_inode(&link)).iter().map(|owner| owner.pid).collect();
        assert_eq!(pids, [std::process::id()]);
        let pids = BTreeSet::from([std::process::id()]);
        let mut threads = Threads::default();
        let first = threads.look(&pids, Timestamp::EPOCH);
        assert!(first.iter().any(|thread| thread.tid == std::process::id()), "{first:?}");
        assert!(first.iter().all(|thread| thread.run.is_none() && thread.cpu < cpus()), "{first:?}");
    }
}
