//! Which processes hold the sockets of a view, by their command lines.

use std::collections::HashMap;
use std::sync::Arc;

use flowcore::socket::Family;
use flowcore::{Protocol, Result, SocketSample};
use flowsrc_netlink::process::Holder;
use flowstats::End;

use crate::holders::{Shared, lock};

/// A process.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Owner {
    pub pid: u32,
    /// When it began; with `pid` it is the same process for ever.
    pub start_ticks: u64,
    /// Its command line, words joined with blanks; its name if it has none.
    pub command: Arc<str>,
}

/// Who holds the sockets of rows.
#[derive(Debug)]
pub struct Owners {
    holders: Shared,
    /// The oldest first, by the kernel's number for the socket: its ends' states change.
    by_cookie: HashMap<u64, Vec<Owner>>,
    has_looked: bool,
}

impl Owners {
    /// Has not looked yet.
    pub fn new(holders: Shared) -> Self {
        Self { holders, by_cookie: HashMap::new(), has_looked: false }
    }

    /// Looks who holds the sockets of these ends now, or held them last. Whether it is the first time.
    ///
    /// # Errors
    /// If /proc cannot be read.
    pub fn look(&mut self, ends: impl IntoIterator<Item = End>) -> Result<bool> {
        let Self { holders, by_cookie, has_looked } = self;
        let mut holders = lock(holders);
        let ends: Vec<(End, SocketSample)> = ends.into_iter().map(|end| (end, sample(&end))).collect();
        holders.find(ends.iter().map(|(_, sample)| sample))?;
        by_cookie.clear();
        let mut commands = HashMap::new();
        for (end, sample) in ends {
            // A row may be that of a socket that has ended.
            let mut of = holders.of(&sample, true).map_or(Vec::new(), |(_, of)| of);
            of.dedup_by(|a, b| a.owner.pid == b.owner.pid);
            let owners = of.into_iter().map(|Holder { owner, .. }| {
                let command = commands.entry((owner.pid, owner.start_ticks)).or_insert_with(|| {
                    let line = holders.processes.details(&owner).and_then(|details| details.command_line);
                    line.unwrap_or_else(|| owner.name.clone())
                });
                Owner { pid: owner.pid, start_ticks: owner.start_ticks, command: command.clone() }
            });
            by_cookie.extend(end.cookie.map(|cookie| (cookie, owners.collect())));
        }
        Ok(!std::mem::replace(has_looked, true))
    }

    /// Who held a socket when it was last looked, the oldest first; nobody if that is not known, or none did.
    pub fn of(&self, end: &End) -> &[Owner] {
        end.cookie.and_then(|cookie| self.by_cookie.get(&cookie)).map_or(&[], Vec::as_slice)
    }

    /// What could not be looked at, and the remedy.
    pub fn degraded(&self) -> Option<String> {
        lock(&self.holders).processes.degraded()
    }
}

/// As much of an end's socket as says who holds it.
fn sample(end: &End) -> SocketSample {
    SocketSample {
        family: if end.local.is_v4() { Family::INET } else { Family::INET6 },
        protocol: Protocol::TCP.0.into(),
        state: end.state.unwrap_or_default(),
        local: end.local,
        local_port: end.local_port,
        netns: end.netns,
        inode: end.inode,
        ..SocketSample::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::holders::Holders;

    fn end(inode: Option<u32>) -> End {
        End::of_socket(&SocketSample { inode, cookie: Some(7), ..SocketSample::default() })
    }

    #[test]
    fn bug_2_a_socket_without_a_visible_owner_has_none() {
        let mut owners = Owners::new(Holders::open().unwrap());
        let ends = [None, Some(1)].map(end);
        owners.look(ends).unwrap();
        assert!(ends.iter().all(|end| owners.of(end).is_empty()));
    }

    #[test]
    fn this_process_is_found_by_its_socket_with_its_command_line() {
        use std::os::unix::fs::MetadataExt;
        let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        let file = std::fs::File::from(std::os::fd::OwnedFd::from(socket));
        let inode = file.metadata().unwrap().ino() as u32;
        let mut owners = Owners::new(Holders::open().unwrap());
        let end = end(Some(inode));
        owners.look([end]).unwrap();
        let words: Vec<String> = std::env::args().collect();
        let found: Vec<_> = owners.of(&end).iter().map(|owner| (owner.pid, owner.command.to_string())).collect();
        assert_eq!(found, [(std::process::id(), words.join(" "))]);
    }
}
