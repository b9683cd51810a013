//! A network namespace, and what is kept open of it.

use std::cell::OnceCell;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use flowcore::socket::Family;

use crate::channel::Channel;
use crate::netns::Namespace;
use crate::options::{Kinds, Options};

/// `SKNLGRP_INET_TCP_DESTROY`, `…_UDP_DESTROY`, `SKNLGRP_INET6_TCP_DESTROY`, `…_UDP_DESTROY`.
const GROUPS: [(u32, Kinds, Family); 4] = [
    (1, Kinds::TCP, Family::INET),
    (2, Kinds::UDP, Family::INET),
    (3, Kinds::TCP, Family::INET6),
    (4, Kinds::UDP, Family::INET6),
];

/// One network namespace.
pub(super) struct Place {
    pub(super) namespace: Namespace,
    /// `None` of a namespace that is gone.
    pub(super) channel: Option<Channel>,
    /// It was not found when namespaces were last looked for.
    pub(super) is_gone: bool,
    pub(super) notices: Option<Channel>,
    /// Its /proc/net/snmp.
    pub(super) statistics: Option<File>,
    /// Its /proc/net/raw and raw6.
    pub(super) raw: [Option<File>; 2],
    /// Its /proc/net/protocols, read when a kind of socket has no answer.
    pub(super) protocols: Option<File>,
    pub(super) registered: OnceCell<Option<String>>,
    /// TCP connections opened before the first poll, as the kernel counts.
    pub(super) opened_before: Option<u64>,
    /// The same at the beginning of the latest poll.
    pub(super) opened: Option<u64>,
    /// Of which it can be said whether they were seen. A notice comes a little after the end of its socket, so with notices
    /// these are the ones of the poll before, but for the last poll, which waits for them.
    pub(super) judged: Option<u64>,
    /// Of the connections that were seen, those of the first poll: they were opened before.
    pub(super) known_before: u64,
    /// Connections that were opened and have not been seen.
    pub(super) missed: Option<u64>,
}

impl Place {
    pub(super) fn open(namespace: Namespace, options: &Options) -> io::Result<Self> {
        let groups: Vec<u32> = GROUPS
            .iter()
            .filter(|(_, kind, family)| {
                let wanted = if *family == Family::INET { options.ipv4 } else { options.ipv6 };
                options.notices && options.kinds.contains(*kind) && wanted
            })
            .map(|&(group, ..)| group)
            .collect();
        let open = || {
            // What is not needed is not opened: a run without many sockets is short.
            let file = |wanted: bool, path: &str| wanted.then(|| File::open(path).ok()).flatten();
            let notices = if groups.is_empty() { None } else { Channel::listen(&groups).ok() };
            let statistics = file(options.every.is_some(), "/proc/thread-self/net/snmp");
            let protocols = file(options.kinds != Kinds::TCP, "/proc/thread-self/net/protocols");
            let has_raw = options.kinds.contains(Kinds::RAW);
            let raw = ["/proc/thread-self/net/raw", "/proc/thread-self/net/raw6"].map(|path| file(has_raw, path));
            Ok((Channel::open()?, notices, statistics, raw, protocols))
        };
        let (channel, notices, statistics, raw, protocols) = namespace.within(open)?;
        Ok(Self {
            namespace,
            channel: Some(channel),
            is_gone: false,
            notices,
            statistics,
            raw,
            protocols,
            registered: OnceCell::new(),
            opened_before: None,
            opened: None,
            judged: None,
            known_before: 0,
            missed: None,
        })
    }

    /// How many connections were opened and not seen, of `opened` by the kernel's count, `before` of them before the first
    /// poll.
    pub(super) fn unseen(&self, before: u64, opened: u64, seen: u64) -> u64 {
        opened.saturating_sub(before).saturating_sub(seen.saturating_sub(self.known_before))
    }

    /// Whether the kernel has a protocol, or may have it: without it there are no such sockets.
    pub(super) fn has(&self, registered: &str) -> bool {
        let is_named = |text: &str| {
            text.lines().any(|line| {
                let name = line.split_whitespace().next().unwrap_or_default();
                name.strip_suffix("v6").unwrap_or(name) == registered
            })
        };
        let read = || self.protocols.as_ref().and_then(read_whole);
        // TCP is always there, and nothing is read for it alone.
        registered == "TCP" || self.registered.get_or_init(read).as_deref().is_none_or(is_named)
    }

    /// TCP connections opened since the namespace was made: `ActiveOpens` and `PassiveOpens` of /proc/net/snmp.
    pub(super) fn connections_opened(&self) -> Option<u64> {
        let mut text = [0; 4096];
        let length = self.statistics.as_ref()?.read_at(&mut text, 0).ok()?;
        let text = std::str::from_utf8(text.get(..length)?).ok()?;
        let mut lines = text.lines().filter_map(|line| line.strip_prefix("Tcp:"));
        let (names, values) = (lines.next()?.split_whitespace(), lines.next()?.split_whitespace());
        let pairs: Vec<(&str, &str)> = names.zip(values).collect();
        let count = |wanted| pairs.iter().find(|(name, _)| *name == wanted)?.1.parse::<u64>().ok();
        Some(count("ActiveOpens")? + count("PassiveOpens")?)
    }
}

/// A file of /proc from its beginning, as it is now.
pub(super) fn read_whole(file: &File) -> Option<String> {
    let mut bytes = vec![0; 64 * 1024];
    let mut length = 0;
    loop {
        if length == bytes.len() {
            bytes.resize(2 * length, 0);
        }
        match file.read_at(bytes.get_mut(length..)?, length as u64).ok()? {
            0 => break,
            read => length += read,
        }
    }
    bytes.truncate(length);
    String::from_utf8(bytes).ok()
}
