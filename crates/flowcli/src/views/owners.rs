//! Which processes hold the sockets of a view, by their command lines.

use std::collections::HashMap;
use std::sync::Arc;

use flowcore::Result;
use flowsrc_netlink::process::Processes;

/// A process.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Owner {
    pub pid: u32,
    /// When it began; with `pid` it is the same process for ever.
    pub start_ticks: u64,
    /// Its command line, words joined with blanks; its name if it has none.
    pub command: Arc<str>,
}

/// Who holds which socket, by inode.
#[derive(Debug)]
pub struct Owners {
    processes: Processes,
    /// The oldest first.
    by_inode: HashMap<u32, Vec<Owner>>,
}

impl Owners {
    /// Knows nothing yet.
    ///
    /// # Errors
    /// If there is no /proc.
    pub fn open() -> Result<Self> {
        Ok(Self { processes: Processes::open()?, by_inode: HashMap::new() })
    }

    /// Looks who holds these sockets now.
    ///
    /// # Errors
    /// If /proc cannot be read.
    pub fn look(&mut self, inodes: impl IntoIterator<Item = Option<u32>>) -> Result<()> {
        let Self { processes, by_inode } = self;
        let inodes: Vec<u32> = inodes.into_iter().flatten().collect();
        processes.refresh()?;
        processes.find(inodes.iter().copied())?;
        by_inode.clear();
        let mut commands = HashMap::new();
        for inode in inodes {
            let owners = processes.owners(inode).oldest_first().into_iter().map(|owner| {
                let command = commands.entry((owner.pid, owner.start_ticks)).or_insert_with(|| {
                    let line = processes.details(&owner).and_then(|details| details.command_line);
                    line.unwrap_or_else(|| owner.name.clone())
                });
                Owner { pid: owner.pid, start_ticks: owner.start_ticks, command: command.clone() }
            });
            by_inode.insert(inode, owners.collect());
        }
        Ok(())
    }

    /// Who held a socket when it was last looked, the oldest first; nobody if that is not known, or none did.
    pub fn of(&self, inode: Option<u32>) -> &[Owner] {
        inode.and_then(|inode| self.by_inode.get(&inode)).map_or(&[], Vec::as_slice)
    }

    /// What could not be looked at, and the remedy.
    pub fn degraded(&self) -> Option<String> {
        self.processes.degraded()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bug_2_a_socket_without_a_visible_owner_has_none() {
        let mut owners = Owners::open().unwrap();
        owners.look([None, Some(1)]).unwrap();
        assert_eq!(owners.of(None), []);
        assert_eq!(owners.of(Some(1)), []);
    }

    #[test]
    fn this_process_is_found_by_its_socket_with_its_command_line() {
        use std::os::unix::fs::MetadataExt;
        let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        let file = std::fs::File::from(std::os::fd::OwnedFd::from(socket));
        let inode = file.metadata().unwrap().ino() as u32;
        let mut owners = Owners::open().unwrap();
        owners.look([Some(inode)]).unwrap();
        let words: Vec<String> = std::env::args().collect();
        let found: Vec<_> = owners.of(Some(inode)).iter().map(|owner| (owner.pid, owner.command.to_string())).collect();
        assert_eq!(found, [(std::process::id(), words.join(" "))]);
    }
}
