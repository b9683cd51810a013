//! Which interface is which, over several inputs, sections, and frames that name an interface themselves.
//!
//! What the numbers are for: a packet that is seen on two interfaces is a duplicate, on one it is a retransmission. So
//! one interface has one number, and two never share one.

use std::collections::{HashMap, HashSet};

use flowcore::FlowEvent;

use super::record::{Interface, RawPacket};

/// Link type whose frames name an interface each (LINKTYPE_LINUX_SLL2).
const LINUX_SLL2: u16 = 276;

/// Whether frames of this interface name another one.
pub(super) fn holds_others(interface: &Interface) -> bool {
    interface.link.0 == LINUX_SLL2
}

/// The interfaces of all inputs and sections under one numbering, in the order in which they were first met.
///
/// The files of a rotated set show the same interfaces one after the other, and so do the sections of a file that was
/// put together of several: an interface that has ended gives its number to one of the same name and link type that
/// begins later. Files that overlap in time were captured beside each other, so their interfaces are told apart even
/// if their names are equal.
#[derive(Debug, Default)]
pub(super) struct Interfaces {
    known: Vec<Interface>,
    /// Whether an interface that has not ended holds the number; as long as `known`.
    held: Vec<bool>,
}

impl Interfaces {
    pub(super) fn known(&self) -> &[Interface] {
        &self.known
    }

    /// The number of a reader's interface `local`. `described` are that reader's interfaces, `numbers` what was said of
    /// them before, by their own numbers.
    #[inline]
    pub(super) fn of(&mut self, local: u16, described: &[Interface], numbers: &mut Vec<u16>) -> u16 {
        match numbers.get(usize::from(local)) {
            Some(&number) => number,
            None => self.extend(local, described, numbers),
        }
    }

    #[cold]
    fn extend(&mut self, local: u16, described: &[Interface], numbers: &mut Vec<u16>) -> u16 {
        while numbers.len() <= usize::from(local) {
            let next = described.get(numbers.len()).cloned().unwrap_or_default();
            let before = numbers.len().checked_sub(1).and_then(|last| described.get(last));
            if before.is_some_and(|before| before.section < next.section) {
                self.release(numbers);
            }
            numbers.push(self.number(&next));
        }
        numbers.last().copied().unwrap_or(local)
    }

    fn number(&mut self, wanted: &Interface) -> u16 {
        let free = self
            .known
            .iter()
            .zip(&self.held)
            .position(|(known, held)| !held && known.name == wanted.name && known.link == wanted.link);
        let index = free.unwrap_or_else(|| {
            if self.known.len() < usize::from(u16::MAX) {
                self.known.push(wanted.clone());
                self.held.push(false);
            }
            self.known.len() - 1
        });
        if let Some(held) = self.held.get_mut(index) {
            *held = true;
        }
        index as u16
    }

    /// The interfaces of these numbers have ended.
    pub(super) fn release(&mut self, numbers: &[u16]) {
        for &number in numbers {
            if let Some(held) = self.held.get_mut(usize::from(number)) {
                *held = false;
            }
        }
    }
}

/// Numbers for interfaces of captures and for those that frames name. Each keeps its own number (the capture's, or the
/// system's index) where no other has it already.
#[derive(Debug, Default)]
pub(super) struct Named {
    /// By the capture's interface and, where its frames name others, the index they name.
    numbers: HashMap<(u16, Option<u16>), u16>,
    taken: HashSet<u16>,
    /// Interfaces of the captures that were looked at.
    looked_at: usize,
    /// Some frames name interfaces.
    needed: bool,
}

impl Named {
    /// Gives `events`, decoded from `packets`, their interfaces' numbers; `interfaces` are those of the captures.
    pub(super) fn assign(&mut self, packets: &[RawPacket], events: &mut [FlowEvent], interfaces: &[Interface]) {
        if interfaces.len() != self.looked_at {
            self.look_at(interfaces);
        }
        if !self.needed {
            return;
        }
        for (packet, event) in packets.iter().zip(events) {
            let index = (packet.link.0 == LINUX_SLL2).then_some(event.interface);
            event.interface = self.number(packet.interface, index);
        }
    }

    fn look_at(&mut self, interfaces: &[Interface]) {
        let before = if self.needed { self.looked_at } else { 0 };
        self.looked_at = interfaces.len();
        self.needed |= interfaces.iter().any(holds_others);
        if self.needed {
            for (number, _) in (0..).zip(interfaces).skip(before).filter(|(_, interface)| !holds_others(interface)) {
                self.number(number, None);
            }
        }
    }

    fn number(&mut self, of_capture: u16, index: Option<u16>) -> u16 {
        let Self { numbers, taken, .. } = self;
        *numbers.entry((of_capture, index)).or_insert_with(|| {
            let own = index.unwrap_or(of_capture);
            let number =
                if taken.contains(&own) { (0..u16::MAX).find(|free| !taken.contains(free)) } else { Some(own) };
            // With every number taken the last one is shared.
            let number = number.unwrap_or(u16::MAX);
            taken.insert(number);
            number
        })
    }
}
