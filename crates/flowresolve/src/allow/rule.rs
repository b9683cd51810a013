//! One rule: what the two ends of a flow must be.

use std::fmt;
use std::sync::Arc;

use flowcore::{Addr, Lookup, Prefix, Protocol};

use super::party::Party;
use crate::name::normal;
use crate::services::PROTOCOLS;

/// What both ends of a flow must be for it to be allowed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    pub(super) from: End,
    pub(super) to: End,
    text: Arc<str>,
}

/// What one end of a flow must be.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct End {
    /// Who.
    pub host: Host,
    /// At which port; `None`: at any, and with any protocol.
    pub ports: Option<Ports>,
}

/// Who an end must be.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Host {
    /// Anybody.
    #[default]
    Anybody,
    /// This address.
    Addr(Addr),
    /// An address in this prefix.
    Prefix(Prefix),
    /// Who is called so: in lower case, without a dot at the end.
    Name(Arc<str>),
    /// Who is called something before this, with a dot between: `*.example.com`.
    Suffix(Arc<str>),
    /// An address that this autonomous system announces.
    Network(u32),
}

/// Ports in a row, of one protocol or of all that have ports.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
pub struct Ports {
    /// The first.
    pub first: u16,
    /// The last; not below the first.
    pub last: u16,
    /// `None`: of any protocol.
    pub protocol: Option<Protocol>,
}

/// Whether a rule allows a flow. Of two ends the greater counts.
#[derive(Copy, Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Match {
    Yes,
    /// Depends on what is still to come.
    Pending,
    /// Depends on what nobody could say, so that waiting never makes it a yes.
    Failed,
    No,
}

impl Match {
    fn decided(matches: bool) -> Self {
        if matches { Self::Yes } else { Self::No }
    }

    fn of<T>(answer: &Lookup<T>, is_meant: impl Fn(&T) -> bool) -> Self {
        match answer {
            Lookup::Known(answer) => Self::decided(is_meant(answer)),
            Lookup::Pending => Self::Pending,
            Lookup::Failed => Self::Failed,
            Lookup::Absent => Self::No,
        }
    }
}

impl Host {
    /// The host called `name`; `*.` in front stands for anything before.
    pub fn named(name: &str) -> Self {
        match name.strip_prefix("*.") {
            Some(suffix) => Self::Suffix(normal(suffix).into()),
            None => Self::Name(normal(name).into()),
        }
    }

    pub(super) fn is_anybody(&self) -> bool {
        *self == Self::Anybody
    }

    fn matches(&self, party: &Party<'_>) -> Match {
        match self {
            Self::Anybody => Match::Yes,
            Self::Addr(meant) => Match::decided(*meant == party.addr),
            Self::Prefix(prefix) => Match::decided(prefix.contains(party.addr)),
            Self::Name(meant) => Match::of(party.name(), |name| *name == **meant),
            Self::Suffix(suffix) => {
                Match::of(party.name(), |name| name.strip_suffix(&**suffix).is_some_and(|before| before.ends_with('.')))
            }
            Self::Network(asn) => Match::of(party.network(), |known| known.origins().contains(asn)),
        }
    }
}

impl Ports {
    /// One port of any protocol.
    pub fn one(port: u16) -> Self {
        Self { first: port, last: port, protocol: None }
    }

    pub(super) fn hold(self, port: u16, protocol: Protocol) -> bool {
        protocol.has_ports()
            && (self.first..=self.last).contains(&port)
            && self.protocol.is_none_or(|meant| meant == protocol)
    }
}

impl End {
    /// This host at any port.
    pub fn host(host: Host) -> Self {
        Self { host, ports: None }
    }

    /// The same at these ports.
    #[must_use]
    pub fn at(mut self, ports: Ports) -> Self {
        self.ports = Some(ports);
        self
    }
}

impl Rule {
    /// Whoever calls `to`.
    pub fn to(to: End) -> Self {
        Self::between(End::default(), to)
    }

    /// Whatever `from` calls.
    pub fn from(from: End) -> Self {
        Self::between(from, End::default())
    }

    /// What `from` calls at `to`.
    pub fn between(from: End, to: End) -> Self {
        let text = match (from == End::default(), to == End::default()) {
            (true, _) => to.to_string(),
            (false, true) => format!("from {from}"),
            (false, false) => format!("from {from} to {to}"),
        };
        Self { from, to, text: text.into() }
    }

    /// The same under another text: that of a file.
    pub(super) fn written(mut self, text: &str) -> Self {
        self.text = text.into();
        self
    }

    /// As it was written.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Whether a flow between these parties, the originator first, is what this rule means.
    pub(super) fn matches(&self, [from, to]: &[Party<'_>; 2]) -> Match {
        if !from.is_at(self.from.ports) || !to.is_at(self.to.ports) {
            return Match::No;
        }
        match self.from.host.matches(from) {
            // The other end need not be asked for.
            Match::No => Match::No,
            from => from.max(self.to.host.matches(to)),
        }
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Anybody => f.write_str("*"),
            Self::Addr(addr) => addr.fmt(f),
            Self::Prefix(prefix) => prefix.fmt(f),
            Self::Name(name) => f.write_str(name),
            Self::Suffix(suffix) => write!(f, "*.{suffix}"),
            Self::Network(asn) => write!(f, "as{asn}"),
        }
    }
}

impl fmt::Display for Ports {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.first)?;
        if self.last != self.first {
            write!(f, "-{}", self.last)?;
        }
        let name = PROTOCOLS.iter().find(|(_, known)| Some(*known) == self.protocol);
        name.map_or(Ok(()), |(name, _)| write!(f, "/{name}"))
    }
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(ports) = self.ports else { return self.host.fmt(f) };
        match self.host {
            Host::Addr(addr) if !addr.is_v4() => write!(f, "[{addr}]:{ports}"),
            Host::Prefix(prefix) if !prefix.network().is_v4() => write!(f, "[{prefix}]:{ports}"),
            _ => write!(f, "{}:{ports}", self.host),
        }
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}
