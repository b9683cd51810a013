//! The ends of connections that the views over sockets have rows for.

use flowcore::flows::Slots;
use flowcore::socket::{SocketSample, SocketState};
use flowcore::{Addr, Direction, FlowId, FlowKey};

/// One end of a connection: a socket, or who a packet's sender is.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub struct End {
    /// This end.
    pub local: Addr,
    /// Its port.
    pub local_port: u16,
    /// The other end.
    pub remote: Addr,
    /// Its port.
    pub remote_port: u16,
    /// Network namespace, by its index in the source's list.
    pub netns: u16,
    /// Interface that gives a link-local address its scope, by index.
    pub interface: Option<u32>,
    /// The kernel's number for the socket; `None` for packets.
    pub cookie: Option<u64>,
    /// Inode, by which processes hold the socket; `None` if none does, and for packets.
    pub inode: Option<u32>,
    /// Who owns the socket.
    pub uid: Option<u32>,
    /// State of the socket; `None` for packets.
    pub state: Option<SocketState>,
}

impl End {
    /// This end, seen again after `before`: who held the socket is known, though nobody does any more.
    pub(crate) fn again(self, before: &Self) -> Self {
        Self { inode: self.inode.or(before.inode), uid: self.uid.or(before.uid), ..self }
    }

    /// The end that a flow's key begins with.
    pub fn of_key(key: &FlowKey) -> Self {
        Self {
            local: key.src,
            local_port: key.src_port,
            remote: key.dst,
            remote_port: key.dst_port,
            netns: key.zone,
            ..Self::default()
        }
    }

    /// The end that a socket is.
    pub fn of_socket(sample: &SocketSample) -> Self {
        Self {
            interface: sample.interface,
            cookie: sample.cookie,
            inode: sample.inode,
            uid: sample.uid,
            state: Some(sample.state),
            ..Self::of_key(&sample.key())
        }
    }

    /// The key of its flow as this end sends it; TCP, since nothing else has rows here.
    pub fn key(&self) -> FlowKey {
        FlowKey {
            src: self.local,
            dst: self.remote,
            src_port: self.local_port,
            dst_port: self.remote_port,
            zone: self.netns,
            protocol: flowcore::Protocol::TCP,
            ..FlowKey::NONE
        }
    }
}

/// Both ends as `ADDRESS:PORT`, this one first; in brackets where an address has colons itself, with its scope if it has
/// one.
impl std::fmt::Display for End {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (place, (addr, port)) in [(self.local, self.local_port), (self.remote, self.remote_port)].iter().enumerate()
        {
            let gap = if place == 0 { "" } else { " " };
            match self.interface.filter(|_| is_link_local(*addr)) {
                _ if addr.is_v4() => write!(f, "{gap}{addr}:{port}")?,
                Some(scope) => write!(f, "{gap}[{addr}%{scope}]:{port}")?,
                None => write!(f, "{gap}[{addr}]:{port}")?,
            }
        }
        Ok(())
    }
}

/// Whether an address is of fe80::/10 (RFC 4291 section 2.5.6), which means something on one link only.
fn is_link_local(addr: Addr) -> bool {
    matches!(addr.octets(), [0xfe, second, ..] if second & 0xc0 == 0x80)
}

/// A `T` for each end of each flow that lives; both ends of a flow may be sockets of one host.
#[derive(Debug)]
pub(crate) struct Ends<T> {
    /// One above the index in `held`, by direction: that of what the end sends. 0 = none.
    places: Slots<[u32; 2]>,
    held: Vec<Held<T>>,
}

#[derive(Debug)]
struct Held<T> {
    flow: FlowId,
    sends: Direction,
    value: T,
}

impl<T> Default for Ends<T> {
    fn default() -> Self {
        Self { places: Slots::new(), held: Vec::new() }
    }
}

impl<T> Ends<T> {
    /// What is kept of the end of `flow` that sends in this direction.
    pub fn get_mut(&mut self, flow: FlowId, sends: Direction) -> Option<&mut T> {
        let place = self.places.get(flow)?[sends.index()].checked_sub(1)?;
        self.held.get_mut(place as usize).map(|held| &mut held.value)
    }

    /// Keeps `value` of an end, instead of what there was.
    pub fn insert(&mut self, flow: FlowId, sends: Direction, value: T) {
        if let Some(old) = self.get_mut(flow, sends) {
            *old = value;
            return;
        }
        let Ok(place) = u32::try_from(self.held.len() + 1) else { return };
        self.held.push(Held { flow, sends, value });
        self.places.entry(flow)[sends.index()] = place;
    }

    /// Gives up what is kept of one end.
    pub fn remove(&mut self, flow: FlowId, sends: Direction) -> Option<T> {
        let place = std::mem::take(&mut self.places.get_mut(flow)?[sends.index()]).checked_sub(1)?;
        let removed = self.held.swap_remove(place as usize);
        if let Some(moved) = self.held.get(place as usize) {
            self.places.entry(moved.flow)[moved.sends.index()] = place + 1;
        }
        Some(removed.value)
    }

    pub fn iter(&self) -> impl Iterator<Item = &T> {
        self.held.iter().map(|held| &held.value)
    }

    pub fn iter_mut(&mut self) -> impl Iterator<Item = &mut T> {
        self.held.iter_mut().map(|held| &mut held.value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_ends_of_a_flow_are_kept_apart_however_they_go() {
        let (one, two) = (FlowId(1), FlowId(2));
        let mut ends = Ends::default();
        for (value, (flow, sends)) in
            [(one, Direction::Forward), (one, Direction::Reverse), (two, Direction::Reverse)].into_iter().enumerate()
        {
            ends.insert(flow, sends, value);
        }
        assert_eq!(ends.remove(one, Direction::Forward), Some(0));
        assert_eq!(ends.remove(one, Direction::Forward), None);
        assert_eq!(ends.get_mut(two, Direction::Reverse).copied(), Some(2));
        assert_eq!(ends.get_mut(one, Direction::Reverse).copied(), Some(1));
        assert_eq!(ends.remove(two, Direction::Reverse), Some(2));
        assert_eq!(ends.iter().copied().collect::<Vec<_>>(), [1]);
    }
}
