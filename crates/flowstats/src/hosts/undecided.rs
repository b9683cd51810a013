//! Connections of which the whitelist has yet to say whether they have a row.

use std::collections::HashMap;

use flowcore::FlowId;
use flowcore::flows::Slots;

use super::{Remote, Tally};

/// Indices of their tallies are from here on, beyond those of all rows.
const FROM: u32 = 1 << 31;

/// One of them.
pub(super) struct Waiting {
    pub flow: FlowId,
    pub remote: Remote,
    pub tally: Tally,
}

/// All of them, each with a tally of its own: it goes to its row, or to the hidden ones, when the name is there, at the
/// latest when the connection ends. There are never more than open connections.
#[derive(Default)]
pub(super) struct Undecided {
    waiting: Vec<Option<Box<Waiting>>>,
    free: Vec<u32>,
}

impl Undecided {
    /// Whether the index of a tally is that of one of these.
    #[inline]
    pub fn is_one(place: u32) -> bool {
        place >= FROM
    }

    /// The index of the tally of a connection that begins.
    pub fn begin(&mut self, flow: FlowId, remote: Remote) -> u32 {
        let new = Some(Box::new(Waiting { flow, remote, tally: Tally::default() }));
        if let Some(place) = self.free.pop() {
            self.waiting[(place - FROM) as usize] = new;
            return place;
        }
        self.waiting.push(new);
        FROM + (self.waiting.len() - 1) as u32
    }

    /// Ends the waiting of one; its index may be given to another then.
    pub fn take(&mut self, place: u32) -> Option<Waiting> {
        let waiting = self.waiting.get_mut(place.checked_sub(FROM)? as usize)?.take()?;
        self.free.push(place);
        Some(*waiting)
    }

    /// The tally with this index, among `rows` or among these.
    #[inline]
    pub fn tally_or<'a>(&'a mut self, rows: &'a mut Slots<Tally>, place: u32) -> Option<&'a mut Tally> {
        if !Self::is_one(place) {
            return rows.get_mut(FlowId(place));
        }
        self.waiting.get_mut((place - FROM) as usize)?.as_mut().map(|waiting| &mut waiting.tally)
    }

    /// Those that wait now.
    pub fn flows(&self) -> Vec<FlowId> {
        self.waiting.iter().flatten().map(|waiting| waiting.flow).collect()
    }

    /// What they have shown so far, by remote; in the order in which the remotes are met here.
    pub fn by_remote(&self) -> Vec<(Remote, Tally)> {
        let mut places: HashMap<Remote, usize> = HashMap::new();
        let mut all: Vec<(Remote, Tally)> = Vec::new();
        for waiting in self.waiting.iter().flatten() {
            let place = *places.entry(waiting.remote).or_insert_with(|| {
                all.push((waiting.remote, Tally::default()));
                all.len() - 1
            });
            all[place].1.merge(&waiting.tally);
        }
        all
    }
}
