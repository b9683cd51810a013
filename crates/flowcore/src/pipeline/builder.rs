//! Putting a pipeline together.

use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;

use super::{Handle, Pipeline, Report};
use crate::allow::Whitelist;
use crate::analyze::{Analyzer, Shortfall};
use crate::collect::SourceInfo;
use crate::error::{Error, ErrorKind, Result};
use crate::features::Features;
use crate::flows::{Flows, Limits, Slots};
use crate::ledger::Ledger;
use crate::report::{self, Reporter, Tables};
use crate::resolve::{Numeric, Resolver};
use crate::select::Select;
use crate::time::Nanos;

/// Puts a pipeline together.
pub struct Builder {
    filter: Option<Box<dyn Select>>,
    whitelist: Option<Box<dyn Whitelist>>,
    names: Arc<dyn Resolver>,
    patience: Duration,
    analyzers: Vec<Box<dyn Analyzer>>,
    reports: Vec<Report>,
    limits: Limits,
}

impl fmt::Debug for Builder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let analyzers: Vec<&str> = self.analyzers.iter().map(|analyzer| analyzer.name()).collect();
        f.debug_struct("Builder").field("analyzers", &analyzers).field("limits", &self.limits).finish_non_exhaustive()
    }
}

/// How long the end of a run waits for names, unless [`Builder::patience`] says otherwise.
pub const PATIENCE: Duration = Duration::from_secs(5);

impl Default for Builder {
    fn default() -> Self {
        Self {
            filter: None,
            whitelist: None,
            names: Arc::new(Numeric),
            patience: PATIENCE,
            analyzers: Vec::new(),
            reports: Vec::new(),
            limits: Limits::default(),
        }
    }
}

impl Builder {
    /// Only what `filter` selects reaches the analyzers. It sees later fragments as they do, with the protocol and ports
    /// of their datagram, if the first one came before them, selected or not. For analyzers a flow begins
    /// ([`Marks::BEGIN`](crate::event::Marks)) with the first of its events that is selected, and ends only if one was.
    /// Of a filter that does not [keep flows whole](Select::keeps_flows_whole) they are told. Times are those of the
    /// whole source: by them flows end, and [`Batch::from`](crate::batch::Batch) and `through` are theirs.
    #[must_use]
    pub fn filter(mut self, filter: impl Select + 'static) -> Self {
        self.filter = Some(Box::new(filter));
        self
    }

    /// Asks `whitelist` about every flow that begins and marks those that it allows; see [`Whitelist`].
    #[must_use]
    pub fn whitelist(mut self, whitelist: impl Whitelist + 'static) -> Self {
        self.whitelist = Some(Box::new(whitelist));
        self
    }

    /// Who gives names and networks: to the whitelist and to reporters.
    #[must_use]
    pub fn resolver(mut self, names: Arc<dyn Resolver>) -> Self {
        self.names = names;
        self
    }

    /// How long the end of a run may wait for names that are being looked up, [`PATIENCE`] by default: first for flows
    /// that the whitelist could not judge without them, then, for what is left of it, for the addresses in the final
    /// report. Nothing else waits.
    #[must_use]
    pub fn patience(mut self, within: Duration) -> Self {
        self.patience = within;
        self
    }

    /// How long flows live and how many there may be.
    #[must_use]
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// Adds an analyzer; they see every batch in the order in which they were added.
    pub fn add<A: Analyzer>(&mut self, analyzer: A) -> Handle<A> {
        self.analyzers.push(Box::new(analyzer));
        Handle { index: self.analyzers.len() - 1, analyzer: PhantomData }
    }

    /// Reports to `reporter` at the end and, if `every` is given, at each such interval of event time. One of no length
    /// is none: [`Duration::ZERO`] reports at the end only.
    #[must_use]
    pub fn report(mut self, every: Option<Duration>, reporter: impl Reporter + 'static) -> Self {
        let every = every.map(Nanos::from).filter(|&every| every > Nanos::ZERO);
        self.reports.push(Report { every, next: None, reporter: Box::new(reporter) });
        self
    }

    /// Makes the pipeline for a source.
    ///
    /// # Errors
    /// [`ErrorKind::Usage`] if a part needs what the source does not offer; names both and, where there is one, the
    /// remedy. If there are reporters: what [`report::check`] finds, and what they say of the tables to come
    /// ([`Reporter::expect`]).
    pub fn build(mut self, source: &SourceInfo) -> Result<Pipeline> {
        for analyzer in &self.analyzers {
            unmet(analyzer.name(), analyzer.needs(), source)?;
        }
        // Facts about flows are the table's, not the source's.
        if let Some(filter) = &self.filter {
            unmet("the filter", filter.needs() - Features::FLOWS, source)?;
        }
        if !self.reports.is_empty() {
            let mut tables = Tables::new();
            self.analyzers.iter().for_each(|analyzer| analyzer.snapshot(&mut tables));
            report::check(&tables)?;
            self.reports.iter_mut().try_for_each(|report| report.reporter.expect(&tables))?;
        }
        let late = self.filter.as_ref().is_some_and(|filter| filter.needs().contains(Features::FLOWS));
        let early = match &self.filter {
            Some(filter) if late => filter.early(),
            _ => None,
        };
        let whole = self.filter.as_ref().is_none_or(|filter| filter.keeps_flows_whole());
        let mut pipeline = Pipeline {
            flows: Flows::new(self.limits, source.several_interfaces),
            filter: self.filter,
            early,
            late,
            whitelist: self.whitelist,
            names: self.names,
            patience: self.patience,
            undecided: false,
            closing: false,
            told: Slots::new(),
            marks: Slots::new(),
            analyzers: self.analyzers,
            reports: self.reports,
            counted: Ledger::new(),
            source: None,
            left_out: Default::default(),
            from: None,
            through: None,
            scratch: Vec::new(),
            ticks: Vec::new(),
            short: Shortfall::empty(),
        };
        if !whole {
            pipeline.fall_short(Shortfall::FILTERED);
        }
        Ok(pipeline)
    }
}

fn unmet(part: &str, needs: Features, source: &SourceInfo) -> Result<()> {
    let missing = needs - source.offers;
    // Only a resolver tells them, whatever the source is.
    let (names, missing) = (missing & Features::NETWORKS, missing - Features::NETWORKS);
    let message = if !missing.is_empty() {
        let remedy = match missing.contains(Features::HEADERS) {
            true => "; captures offer them if they are opened with `DecodeOptions::headers`",
            false => "",
        };
        format!("{part} needs {}, which {} does not offer{remedy}", missing.describe(), source.name)
    } else if !names.is_empty() {
        format!(
            "{part} needs {}, which no resolver offers: bind it to one that does (`Resolver::offers`)",
            names.describe()
        )
    } else {
        return Ok(());
    };
    Err(Error::new(ErrorKind::Usage, message))
}
