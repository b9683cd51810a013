//! Names for numbers, asked at the edge only.

use std::sync::Arc;
use std::time::Duration;

use crate::addr::{Addr, Prefix};
use crate::key::FlowKey;

/// An answer that may not be there yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Lookup<T> {
    /// The answer.
    Known(T),
    /// Asked; ask again later.
    Pending,
    /// There is none.
    Absent,
}

impl<T> Lookup<T> {
    /// The answer, if it is there.
    pub fn known(self) -> Option<T> {
        match self {
            Self::Known(value) => Some(value),
            Self::Pending | Self::Absent => None,
        }
    }
}

/// The network that announces an address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Network {
    /// Autonomous system number.
    pub asn: u32,
    /// The announced prefix.
    pub prefix: Prefix,
    /// Who holds it.
    pub holder: Option<Arc<str>>,
}

/// The process that owns a socket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Process {
    /// Process id.
    pub pid: u32,
    /// Command name.
    pub name: Arc<str>,
}

/// Gives names to numbers. Never blocks: an answer that takes time is [`Lookup::Pending`] until it is there.
///
/// Asked by reporters, once per address, and by the pipeline once per flow for networks; from any thread.
pub trait Resolver: Send + Sync {
    /// The name of an address, or of an address and port.
    fn name(&self, _addr: Addr, _port: u16) -> Lookup<Arc<str>> {
        Lookup::Absent
    }
    /// Which network an address belongs to.
    fn network(&self, _addr: Addr) -> Lookup<Network> {
        Lookup::Absent
    }
    /// Which process owns a flow's local end.
    fn process(&self, _key: &FlowKey) -> Lookup<Process> {
        Lookup::Absent
    }
    /// Waits at most `within` for pending answers; called once before a final report.
    fn settle(&self, _within: Duration) {}
}

/// Knows nothing: numbers stay numbers. The default.
#[derive(Copy, Clone, Debug, Default)]
pub struct Numeric;

impl Resolver for Numeric {}

/// Asks several resolvers in order; the first that knows answers. `Pending` if none knows and one is still asking.
#[derive(Clone, Default)]
pub struct Chain(pub Vec<Arc<dyn Resolver>>);

impl Chain {
    fn first<T>(&self, ask: impl Fn(&dyn Resolver) -> Lookup<T>) -> Lookup<T> {
        let mut last = Lookup::Absent;
        for resolver in &self.0 {
            match ask(&**resolver) {
                Lookup::Absent => {}
                Lookup::Pending => last = Lookup::Pending,
                known => return known,
            }
        }
        last
    }
}

impl Resolver for Chain {
    fn name(&self, addr: Addr, port: u16) -> Lookup<Arc<str>> {
        self.first(|resolver| resolver.name(addr, port))
    }
    fn network(&self, addr: Addr) -> Lookup<Network> {
        self.first(|resolver| resolver.network(addr))
    }
    fn process(&self, key: &FlowKey) -> Lookup<Process> {
        self.first(|resolver| resolver.process(key))
    }
    fn settle(&self, within: Duration) {
        for resolver in &self.0 {
            resolver.settle(within);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Fixed(Lookup<Arc<str>>);
    impl Resolver for Fixed {
        fn name(&self, _: Addr, _: u16) -> Lookup<Arc<str>> {
            self.0.clone()
        }
    }

    #[test]
    fn the_first_that_knows_answers() {
        let chain = Chain(vec![
            Arc::new(Fixed(Lookup::Pending)),
            Arc::new(Fixed(Lookup::Known("b".into()))),
            Arc::new(Fixed(Lookup::Known("c".into()))),
        ]);
        assert_eq!(chain.name(Addr::UNSPECIFIED, 0), Lookup::Known("b".into()));
    }

    #[test]
    fn pending_outlives_absent() {
        let chain = Chain(vec![Arc::new(Fixed(Lookup::Pending)), Arc::new(Numeric)]);
        assert_eq!(chain.name(Addr::UNSPECIFIED, 0), Lookup::Pending);
    }
}
