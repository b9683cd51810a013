//! Names for numbers, asked at the edge only.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::addr::{Addr, Prefix};
use crate::features::Features;
use crate::key::{FlowKey, Protocol};

/// An answer that may not be there yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Lookup<T> {
    /// The answer.
    Known(T),
    /// Asked; ask again later.
    Pending,
    /// There is none.
    Absent,
    /// Asked, and nobody could say: there may be one or not. Asking again later may tell.
    Failed,
}

impl<T> Lookup<T> {
    /// The answer, if it is there.
    pub fn known(self) -> Option<T> {
        match self {
            Self::Known(value) => Some(value),
            Self::Pending | Self::Absent | Self::Failed => None,
        }
    }

    /// The same with what `change` makes of the answer, if it is there.
    pub fn map<U>(self, change: impl FnOnce(T) -> U) -> Lookup<U> {
        match self {
            Self::Known(value) => Lookup::Known(change(value)),
            Self::Pending => Lookup::Pending,
            Self::Absent => Lookup::Absent,
            Self::Failed => Lookup::Failed,
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
    /// All that announce it, `asn` first, where it is more than one.
    pub several: Option<Arc<[u32]>>,
}

impl Network {
    /// All AS numbers that announce the prefix.
    pub fn origins(&self) -> &[u32] {
        self.several.as_deref().unwrap_or(std::slice::from_ref(&self.asn))
    }
}

/// The process that owns a socket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Process {
    /// Process id.
    pub pid: u32,
    /// Command name.
    pub name: Arc<str>,
}

/// Gives names to numbers. Never blocks: an answer that takes time is [`Lookup::Pending`] until it is there, and is
/// asked for again by whoever needs it.
///
/// Asked at the edge, from any thread: by reporters for the addresses they show, by whitelists that have names or
/// networks in their rules. May be asked for the same address any number of times, so an implementation whose answers
/// are dear keeps them.
pub trait Resolver: Send + Sync {
    /// The name of an address, or of an address and port. Port 0: of the address, whatever the port.
    ///
    /// Where the answer stands for a row, it is what rows are grouped by: a resolver may give one name to many
    /// addresses, or tell the ports of one address apart. An empty name groups nothing.
    fn name(&self, _addr: Addr, _port: u16) -> Lookup<Arc<str>> {
        Lookup::Absent
    }
    /// The name of the service that `port` of a protocol is registered for.
    fn service(&self, _port: u16, _protocol: Protocol) -> Lookup<Arc<str>> {
        Lookup::Absent
    }
    /// Which network an address belongs to; filters on AS numbers ask those that [offer](Self::offers) it.
    fn network(&self, _addr: Addr) -> Lookup<Network> {
        Lookup::Absent
    }
    /// The addresses whose [origins](Network::origins) are `wanted`, as ranges from first to last; `None` from those that
    /// can only be asked for single addresses. Must say what [`network`](Self::network) says, now and later: filters on
    /// AS numbers ask once, when they are bound, and never again.
    fn announced(&self, _wanted: &dyn Fn(&[u32]) -> bool) -> Option<Vec<(Addr, Addr)>> {
        None
    }
    /// Which process owns a flow's local end; filters on processes ask those that [offer](Self::offers) it.
    fn process(&self, _key: &FlowKey) -> Lookup<Process> {
        Lookup::Absent
    }
    /// What a filter may ask it instead of the source: [`Features::PROCESS`] if it answers [`process`](Self::process),
    /// [`Features::NETWORKS`] if it answers [`network`](Self::network).
    fn offers(&self) -> Features {
        Features::empty()
    }
    /// Waits at most `within` for pending answers, and gives what is left of that time: all of it if no answer has come
    /// since it was last called. The only call that may wait: a final report makes it, once everything that it will show
    /// has been asked for, and asks again until nothing comes any more.
    fn settle(&self, within: Duration) -> Duration {
        within
    }
}

/// What points to a resolver is one: it may be chosen at run time, or shared.
macro_rules! forward {
    ($($pointer:ty),*) => { $(
        #[deny(clippy::missing_trait_methods)]
        impl<R: Resolver + ?Sized> Resolver for $pointer {
            fn name(&self, addr: Addr, port: u16) -> Lookup<Arc<str>> {
                (**self).name(addr, port)
            }
            fn service(&self, port: u16, protocol: Protocol) -> Lookup<Arc<str>> {
                (**self).service(port, protocol)
            }
            fn network(&self, addr: Addr) -> Lookup<Network> {
                (**self).network(addr)
            }
            fn announced(&self, wanted: &dyn Fn(&[u32]) -> bool) -> Option<Vec<(Addr, Addr)>> {
                (**self).announced(wanted)
            }
            fn process(&self, key: &FlowKey) -> Lookup<Process> {
                (**self).process(key)
            }
            fn offers(&self) -> Features {
                (**self).offers()
            }
            fn settle(&self, within: Duration) -> Duration {
                (**self).settle(within)
            }
        }
    )* };
}
forward!(Box<R>, Arc<R>);

/// Knows nothing: numbers stay numbers. The default.
#[derive(Copy, Clone, Debug, Default)]
pub struct Numeric;

impl Resolver for Numeric {
    fn announced(&self, _: &dyn Fn(&[u32]) -> bool) -> Option<Vec<(Addr, Addr)>> {
        Some(Vec::new())
    }
}

/// Asks several resolvers in order; the first that knows answers, and those behind it are not asked.
///
/// One that is still asking holds up those behind it: `Pending` is the answer until it has answered, so that a name
/// does not change once it was given. Each waits in turn, for what those before it have left of the time; who is asked
/// only then is waited for the next time.
#[derive(Clone, Default)]
pub struct Chain(pub Vec<Arc<dyn Resolver>>);

impl fmt::Debug for Chain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Chain").field("resolvers", &self.0.len()).finish_non_exhaustive()
    }
}

impl Chain {
    fn first<T>(&self, ask: impl Fn(&dyn Resolver) -> Lookup<T>) -> Lookup<T> {
        let mut none = Lookup::Absent;
        for resolver in &self.0 {
            match ask(&**resolver) {
                Lookup::Absent => {}
                Lookup::Failed => none = Lookup::Failed,
                answer => return answer,
            }
        }
        none
    }
}

impl Resolver for Chain {
    fn name(&self, addr: Addr, port: u16) -> Lookup<Arc<str>> {
        self.first(|resolver| resolver.name(addr, port))
    }
    fn service(&self, port: u16, protocol: Protocol) -> Lookup<Arc<str>> {
        self.first(|resolver| resolver.service(port, protocol))
    }
    fn network(&self, addr: Addr) -> Lookup<Network> {
        self.first(|resolver| resolver.network(addr))
    }
    fn announced(&self, wanted: &dyn Fn(&[u32]) -> bool) -> Option<Vec<(Addr, Addr)>> {
        // Of several, who answers is a question about each address.
        match &*self.0 {
            [] => Some(Vec::new()),
            [only] => only.announced(wanted),
            _ => None,
        }
    }
    fn process(&self, key: &FlowKey) -> Lookup<Process> {
        self.first(|resolver| resolver.process(key))
    }
    fn offers(&self) -> Features {
        self.0.iter().fold(Features::empty(), |all, resolver| all | resolver.offers())
    }
    fn settle(&self, within: Duration) -> Duration {
        self.0.iter().fold(within, |left, resolver| resolver.settle(left))
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

    fn answer(answers: &[Lookup<&str>]) -> Lookup<Arc<str>> {
        let fixed = |answer: &Lookup<&str>| Fixed(answer.clone().map(Arc::from));
        let resolvers = answers.iter().map(|answer| Arc::new(fixed(answer)) as Arc<dyn Resolver>);
        Chain(resolvers.collect()).name(Addr::UNSPECIFIED, 0)
    }

    #[test]
    fn the_first_that_knows_answers() {
        assert_eq!(answer(&[Lookup::Absent, Lookup::Known("b"), Lookup::Known("c")]), Lookup::Known("b".into()));
        assert_eq!(answer(&[Lookup::Known("b"), Lookup::Pending]), Lookup::Known("b".into()));
        assert_eq!(answer(&[Lookup::Absent]), Lookup::Absent);
        assert_eq!(answer(&[Lookup::Failed, Lookup::Known("b")]), Lookup::Known("b".into()));
        assert_eq!(answer(&[Lookup::Failed, Lookup::Absent]), Lookup::Failed);
    }

    #[test]
    fn a_name_waits_for_those_before_it_so_that_it_never_changes() {
        assert_eq!(answer(&[Lookup::Pending, Lookup::Known("b")]), Lookup::Pending);
        assert_eq!(answer(&[Lookup::Pending, Lookup::Absent]), Lookup::Pending);
    }

    /// Takes a part of any time it is given.
    struct Waits(u32);
    impl Resolver for Waits {
        fn settle(&self, within: Duration) -> Duration {
            within - within / self.0
        }
    }

    #[test]
    fn all_together_wait_no_longer_than_the_time_given() {
        let chain = Chain(vec![Arc::new(Waits(4)), Arc::new(Numeric), Arc::new(Waits(3)), Arc::new(Waits(1))]);
        assert_eq!(chain.settle(Duration::from_secs(4)), Duration::ZERO);
        assert_eq!(Chain(chain.0[..3].to_vec()).settle(Duration::from_secs(4)), Duration::from_secs(2));
    }
}
