//! From tallies to rows: names, groups, quantiles, totals.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;

use flowcore::report::{Quality, Row, Table};
use flowcore::{Addr, Nanos, Resolver, Timestamp};

use super::columns::columns;
use super::{FIRST_REMOTE, HIDDEN, Hosts, Listing, Measure, OTHERS, Remote, Tally};
use crate::conns::Doubts;

/// Which percentiles are told of every distribution, in per cent, in the order asked for.
#[derive(Clone, Debug, PartialEq)]
pub struct Levels(Vec<f64>);

/// At most this many percentiles in one table.
pub const MOST_LEVELS: usize = 8;

impl Levels {
    /// These percentiles, each once; `None` if there is none, more than [`MOST_LEVELS`], or one outside 0 to 100.
    pub fn new(mut percents: Vec<f64>) -> Option<Self> {
        let mut before = Vec::new();
        percents.retain_mut(|percent| {
            // Of two zeros one.
            *percent += 0.0;
            let first = !before.contains(&percent.to_bits());
            before.push(percent.to_bits());
            first
        });
        let fits = (1..=MOST_LEVELS).contains(&percents.len());
        (fits && percents.iter().all(|percent| (0.0..=100.0).contains(percent))).then_some(Self(percents))
    }

    /// In per cent.
    pub fn percents(&self) -> &[f64] {
        &self.0
    }
}

impl Default for Levels {
    /// TRTOP's: the 95th.
    fn default() -> Self {
        Self(vec![95.0])
    }
}

/// Whose row it is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Who {
    /// One remote that has no name.
    Remote(Remote),
    /// Everything that the resolver calls by this name.
    Named(Arc<str>),
    /// Remotes beyond the most rows that are kept.
    Others,
    /// Connections that the whitelist allows, where the others are shown.
    Allowed,
    /// Connections that the whitelist does not allow, where those that it does are shown.
    Unlisted,
    /// All rows.
    Total,
}

/// One row: what is known of one remote at the time of the report.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Host {
    /// Whose it is.
    pub who: Who,
    /// How many remotes it stands for; `None` where they were not told apart.
    pub remotes: Option<u64>,
    /// The address, if it is one.
    pub addr: Option<Addr>,
    /// The service's port, if rows are kept by port and it is one.
    pub port: Option<u16>,
    /// What was counted.
    pub tally: Tally,
    /// The capture's length: what rates refer to.
    pub span: Option<Nanos>,
    /// `quantiles[measure][level]`, in the order of [`Measure`] and of the levels asked for.
    pub(super) quantiles: [Vec<Option<u64>>; Measure::COUNT],
}

impl Host {
    fn new(who: Who, tally: Tally, span: Option<Nanos>) -> Self {
        Self { who, remotes: None, addr: None, port: None, tally, span, quantiles: Default::default() }
    }

    fn add(&mut self, remote: Remote, tally: &Tally, by_port: bool) {
        let first = self.remotes.is_none();
        self.remotes = Some(self.remotes.unwrap_or(0) + 1);
        self.addr = self.addr.filter(|&addr| addr == remote.addr).or(first.then_some(remote.addr));
        let port = by_port.then_some(remote.port);
        self.port = if first { port } else { self.port.filter(|&known| Some(known) == port) };
        self.tally.merge(tally);
    }

    fn settle(&mut self, levels: &Levels, doubts: Doubts) {
        self.tally.doubts |= doubts;
        let parts: Vec<f64> = levels.percents().iter().map(|percent| percent / 100.0).collect();
        const ALL: [Measure; Measure::COUNT] = [
            Measure::Connect,
            Measure::Handshake,
            Measure::Path,
            Measure::FirstByte,
            Measure::LastByte,
            Measure::PerConnection,
        ];
        self.quantiles = ALL.map(|measure| self.tally.histogram(measure).quantiles(&parts));
    }

    /// How often something happened in a second of capture time; `None` if the capture is no longer than a moment.
    pub fn rate(&self, count: u64) -> Option<f64> {
        let span = self.span.filter(|span| *span > Nanos::ZERO)?;
        Some(count as f64 / span.as_secs_f64())
    }

    /// What part of the connections that began with a SYN this is, in per cent; `None` if there was none.
    pub fn percent(&self, count: u64) -> Option<f64> {
        (self.tally.syn > 0).then(|| count as f64 * 100.0 / self.tally.syn as f64)
    }

    /// The percentile number `level` of those asked for, of one measure: nanoseconds, or responses. `None` without a
    /// sample.
    pub fn quantile(&self, measure: Measure, level: usize) -> Option<u64> {
        self.quantiles[measure as usize].get(level).copied().flatten()
    }

    /// Why its counts are only lower bounds.
    pub fn quality(&self) -> Quality {
        self.tally.doubts().quality()
    }
}

impl Hosts {
    /// The rows: one for each name that `names` gives to a remote, or for each remote that has none; after them what
    /// has no row of its own, if there is anything. In the order in which they were first seen. Connections that the
    /// whitelist could not judge so far are in the row of their remote.
    pub fn rows(&self, names: &dyn Resolver, levels: &Levels) -> Vec<Host> {
        let span = self.span();
        let mut places: HashMap<Who, usize> = HashMap::new();
        let mut rows: Vec<Host> = Vec::new();
        let (tallies, new) = self.with_undecided();
        let remotes = self.remotes.iter().chain(&new);
        for (&remote, tally) in remotes.zip(&tallies[FIRST_REMOTE as usize..]) {
            let who = names
                .name(remote.addr, remote.port)
                .known()
                .filter(|name| !name.is_empty())
                .map_or(Who::Remote(remote), Who::Named);
            let place = *places.entry(who.clone()).or_insert_with(|| {
                rows.push(Host::new(who, Tally::default(), span));
                rows.len() - 1
            });
            rows[place].add(remote, tally, self.options.by_port);
        }
        let hidden = if self.options.listing == Listing::Unlisted { Who::Allowed } else { Who::Unlisted };
        for (place, who) in [(OTHERS, Who::Others), (HIDDEN, hidden)] {
            let tally = &tallies[place as usize];
            if tally.connections > 0 {
                rows.push(Host::new(who, tally.clone(), span));
            }
        }
        rows.iter_mut().for_each(|row| row.settle(levels, self.doubts));
        rows
    }

    /// All rows together, that of what [`Options::listing`](super::Options::listing) keeps out too.
    pub fn total(&self, levels: &Levels) -> Host {
        let mut total = Host::new(Who::Total, Tally::default(), self.span());
        let (tallies, new) = self.with_undecided();
        for tally in tallies.iter() {
            total.tally.merge(tally);
        }
        // How many remotes the others are is not counted.
        if [OTHERS, HIDDEN].iter().all(|&place| tallies[place as usize].connections == 0) {
            total.remotes = Some((self.remotes.len() + new.len()) as u64);
        }
        total.settle(levels, self.doubts);
        total
    }

    /// The tallies, those of undecided connections in the rows where they would go now; and the remotes that have a row
    /// only for that.
    fn with_undecided(&self) -> (Cow<'_, [Tally]>, Vec<Remote>) {
        let mut new = Vec::new();
        let known = FIRST_REMOTE as usize + self.remotes.len();
        let mut tallies = Cow::Borrowed(self.tallies.as_slice().get(..known).unwrap_or_default());
        for (remote, shown) in self.undecided.by_remote() {
            let tallies = tallies.to_mut();
            let place = match self.places.get(&remote) {
                Some(&place) => place,
                None if self.remotes.len() + new.len() >= self.options.most_rows => OTHERS,
                None => {
                    new.push(remote);
                    tallies.push(Tally::default());
                    (tallies.len() - 1) as u32
                }
            };
            tallies[place as usize].merge(&shown);
        }
        (tallies, new)
    }

    /// From the first to the last packet of the capture; `None` before there were any.
    fn span(&self) -> Option<Nanos> {
        (self.through > Timestamp::MIN).then(|| self.through - self.from)
    }
}

/// Rows with every column.
pub(super) fn table(rows: &[Host]) -> Table {
    let columns = columns(&Levels::default());
    let mut table = Table::new("hosts", columns.iter().map(|def| def.column.clone()).collect());
    table.rows = rows
        .iter()
        .map(|host| Row { cells: columns.iter().map(|def| (def.value)(host)).collect(), quality: host.quality() })
        .collect();
    table
}
