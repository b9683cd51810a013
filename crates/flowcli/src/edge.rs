//! Names for numbers, and the whitelist's verdicts: what is asked for where rows are shown, and nowhere before.

use std::cell::OnceCell;
use std::collections::{HashMap, HashSet};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, Once, PoisonError};
use std::time::{Duration, Instant};

use flowcore::report::Value;
use flowcore::resolve::{Chain, Network};
use flowcore::{Addr, Error, ErrorKind, FlowRecord, Lookup, Protocol, Resolver, Result, RuleId, Verdict, Whitelist};
use flowresolve::{Dns, Hosts, Networks, Rules, Services, dns};

use crate::args::{NameArgs, Resolve, WhitelistArgs};
use crate::exit::complain;
use crate::signals::Signals;

/// What the user may ask for at the edge; a column that needs it is offered only then.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Need {
    /// Names of addresses.
    Names,
    /// Names of ports.
    Services,
    /// A whitelist.
    Whitelist,
    /// Tables of networks.
    Networks,
}

impl Need {
    /// The option that fulfils it, and how.
    pub fn option(self) -> &'static str {
        match self {
            Self::Names => "--resolve dns or hosts",
            Self::Services => "--resolve services",
            Self::Whitelist => "--whitelist",
            Self::Networks => "--asn",
        }
    }
}

/// Who is asked where rows are shown.
#[derive(Default)]
pub struct Edge {
    names: Arc<Answers>,
    /// Somebody gives names of addresses, of ports.
    has_names: bool,
    has_services: bool,
    /// Name servers among them.
    servers: Option<(Arc<Dns>, usize)>,
    rules: Option<Arc<Rules>>,
    networks: Option<Arc<Networks>>,
    unlisted: bool,
    wait: Duration,
    quiet: bool,
    /// Who may end the waiting.
    signals: Option<Signals>,
    /// Somebody had asked to stop before there was anything to wait for: that ended the reading.
    stopped_before: OnceCell<bool>,
}

/// So long it takes at most to heed a signal.
const HEED: Duration = Duration::from_millis(100);

impl Edge {
    /// Who gives names, as the user asked for.
    ///
    /// # Errors
    /// If a file cannot be read or has mistakes in it.
    pub fn new(args: &NameArgs, networks: Option<Arc<Networks>>, quiet: bool) -> Result<Self> {
        let mut edge = Self { quiet, networks, ..Self::default() };
        edge.wait = Duration::from_nanos(u64::try_from(args.resolve_wait.get()).unwrap_or(0));
        let mut chain: Vec<Arc<dyn Resolver>> = Vec::new();
        for resolve in args.resolvers() {
            chain.push(match resolve {
                Resolve::None => continue,
                Resolve::Hosts(path) => {
                    edge.has_names = true;
                    Arc::new(path.map_or_else(|| system_hosts(quiet), |path| Hosts::read(&path))?)
                }
                Resolve::Services(path) => {
                    edge.has_services = true;
                    Arc::new(path.map_or_else(|| Ok(Services::builtin()), |path| Services::read(&path))?)
                }
                Resolve::Dns { server, confirm } => {
                    edge.has_names = true;
                    let servers = dns::Servers::system()?;
                    let servers = server
                        .map(|server| vec![server])
                        .map_or(servers.clone(), |own| dns::Options { servers: own, ..servers });
                    let count = servers.servers.len();
                    let dns = Arc::new(Dns::new(dns::Options { confirm, ..servers }));
                    edge.servers = Some((Arc::clone(&dns), count));
                    dns
                }
            });
        }
        if let Some(networks) = &edge.networks {
            chain.push(networks.clone());
        }
        if !chain.is_empty() {
            edge.names = Arc::new(Answers { chain: Chain(chain), ..Answers::default() });
        }
        Ok(edge)
    }

    /// The same with the rules that the user named.
    ///
    /// # Errors
    /// If their file cannot be read or has mistakes in it, or a rule compares names that nobody gives.
    pub fn with_whitelist(mut self, args: &WhitelistArgs) -> Result<Self> {
        self.unlisted = args.unlisted;
        if let Some(path) = &args.whitelist {
            let rules = Rules::read(path)?;
            let unanswered = |rule: &flowresolve::allow::Rule, why: &str| {
                Error::new(ErrorKind::Usage, format!("{}: the rule `{rule}` compares {why}", path.display()))
            };
            if let (Some(rule), false) = (rules.first_with_name(), self.has_names) {
                return Err(unanswered(rule, "names; say who gives them, as in --resolve dns or --resolve hosts:FILE"));
            }
            if let (Some(rule), None) = (rules.first_with_network(), &self.networks) {
                return Err(unanswered(rule, "networks; name a table of them, as in --asn FILE"));
            }
            if rules.is_empty() && !self.quiet {
                complain(&format!("note: {} has no rules: it allows nothing", path.display()));
            }
            self.rules = Some(Arc::new(rules));
        }
        Ok(self)
    }

    /// Waits for names only as long as nobody asks to stop.
    #[must_use]
    pub fn heeding(self, signals: &Signals) -> Self {
        Self { signals: Some(signals.clone()), ..self }
    }

    /// Whether somebody has asked to stop since the waiting began.
    fn is_stopped(&self) -> bool {
        self.has_stopped() && self.stopped_before.get() == Some(&false)
    }

    fn has_stopped(&self) -> bool {
        self.signals.as_ref().is_some_and(|signals| signals.stop().is_some())
    }

    /// Whether columns that need this are offered.
    pub fn offers(&self, need: Need) -> bool {
        match need {
            Need::Names => self.has_names,
            Need::Services => self.has_services,
            Need::Whitelist => self.rules.is_some(),
            Need::Networks => self.networks.is_some(),
        }
    }

    /// Whether anything is asked here at all.
    pub fn is_asked(&self) -> bool {
        self.has_names || self.has_services || self.rules.is_some()
    }

    /// Only what no rule allows is to be shown.
    pub fn only_unlisted(&self) -> bool {
        self.unlisted
    }

    /// The whitelist, for the pipeline to ask once per flow.
    pub fn whitelist(&self) -> Option<Arc<Rules>> {
        self.rules.clone()
    }

    /// Who gives names.
    pub fn names(&self) -> Arc<dyn Resolver> {
        self.names.clone()
    }

    /// How long the end of a run may wait.
    pub fn wait(&self) -> Duration {
        self.wait
    }

    /// The name of an address; none if it is not there (yet).
    pub fn name(&self, addr: Addr) -> Value {
        self.names.name(addr, 0).known().map_or(Value::Missing, Value::Text)
    }

    /// The name of a port; none if it has none.
    pub fn service(&self, port: u16, protocol: Protocol) -> Value {
        self.names.service(port, protocol).known().map_or(Value::Missing, Value::Text)
    }

    /// The AS that announces an address; none if none does.
    pub fn asn(&self, addr: Addr) -> Value {
        let asn = self.networks.as_ref().and_then(|networks| networks.asn(addr));
        asn.map_or(Value::Missing, |asn| Value::U64(asn.into()))
    }

    /// Who holds that AS; none if no table says.
    pub fn holder(&self, addr: Addr) -> Value {
        let network = self.networks.as_ref().and_then(|networks| networks.network(addr).known());
        network.and_then(|network| network.holder).map_or(Value::Missing, Value::Text)
    }

    /// Whether there is an answer about `addr`; asks for it.
    pub fn knows(&self, addr: Addr) -> bool {
        !self.has_names || self.names.name(addr, 0) != Lookup::Pending
    }

    /// What the whitelist says of a flow; asked again if it could not decide when the flow was seen.
    pub fn verdict(&self, flow: &FlowRecord) -> Option<Verdict> {
        match (flow.verdict, &self.rules) {
            (Some(Verdict::Undecided), Some(rules)) => Some(rules.judge(flow, &*self.names)),
            (verdict, _) => verdict,
        }
    }

    /// The text of a rule.
    pub fn rule(&self, id: RuleId) -> Value {
        self.rules.as_ref().map_or(Value::Missing, |rules| Value::Text(rules.rule(id).into()))
    }

    /// Waits until `pending` finds nothing that is still to come, or the time is over. From then on answers do not
    /// change, so that what is measured is what is written.
    pub fn settle(&self, mut pending: impl FnMut() -> usize) {
        let end = Instant::now() + self.wait;
        self.stopped_before.get_or_init(|| self.has_stopped());
        let mut before = usize::MAX;
        loop {
            let now = pending();
            let left = end.saturating_duration_since(Instant::now());
            if now == 0 || now >= before || left.is_zero() || self.is_stopped() {
                break;
            }
            // Not everything may have found a place in the queue: what is left is asked for again.
            before = now;
            self.await_queue(end);
        }
    }

    /// Waits until nothing that was asked for is still to come, but not beyond `end`.
    fn await_queue(&self, end: Instant) {
        while !self.is_stopped() {
            let begun = Instant::now();
            let slice = end.saturating_duration_since(begun).min(HEED);
            self.names.settle(slice);
            // It came back before its time, or time is over.
            if slice < HEED || begun.elapsed() < slice {
                return;
            }
        }
    }

    /// Answers do not change any more: what is not there now never comes.
    pub fn freeze(&self) {
        self.names.frozen().get_or_insert_default();
    }

    /// Says what of the whitelist's verdicts is open, unless the trust line has just `said` so, and how many names are
    /// missing, and why.
    pub fn complain(&self, open: Option<&str>, said: bool) {
        if let (Some(open), false) = (open, said || self.quiet) {
            complain(&format!("note: {open}"));
        }
        let Some((dns, servers)) = self.servers.as_ref().filter(|_| !self.quiet) else { return };
        let counts = dns.counts();
        let late = self.names.late();
        if late > 0 {
            let remedy = "--resolve-wait waits longer";
            complain(&format!("note: no name came in time for {late} of the addresses shown; {remedy}"));
        }
        if counts.failed > 0 {
            let (failed, asked) = (counts.failed, counts.asked);
            let whom = if *servers == 1 { "the name server" } else { "every name server" };
            complain(&format!("note: {failed} of {asked} names could not be looked up: {whom} failed or was silent"));
        }
    }
}

/// The names of this machine's own file, which may be odd or missing without any fault of the user's. That is said once,
/// though `flow sockets --every` reads it anew for every table.
fn system_hosts(quiet: bool) -> Result<Hosts> {
    let (hosts, skipped) = match Hosts::read_leniently(Path::new("/etc/hosts")) {
        Err(error) if error.kind() == ErrorKind::NotFound => (Hosts::default(), Some(error.to_string())),
        read => read?,
    };
    if let Some(skipped) = skipped.filter(|_| !quiet) {
        static SAID: Once = Once::new();
        SAID.call_once(|| complain(&format!("note: {skipped}")));
    }
    Ok(hosts)
}

/// That the whitelist's verdict is open of so `many` of `what`; `None` of none.
pub fn open_verdicts(many: u64, what: &str) -> Option<String> {
    (many > 0).then(|| format!("whether the whitelist allows {many} of the {what} is not known: names are missing"))
}

/// Names that do not change any more, by address and port.
type Final = HashMap<(Addr, u16), Lookup<Arc<str>>>;

/// What others say, kept once it is final.
#[derive(Default)]
struct Answers {
    chain: Chain,
    /// Final answers, once there are some.
    frozen: Mutex<Option<Final>>,
}

impl Answers {
    fn frozen(&self) -> MutexGuard<'_, Option<Final>> {
        self.frozen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Addresses whose names did not come in time.
    fn late(&self) -> usize {
        let frozen = self.frozen();
        let late = frozen.iter().flatten().filter(|(_, answer)| **answer == Lookup::Pending);
        late.map(|((addr, _), _)| addr).collect::<HashSet<_>>().len()
    }
}

impl Resolver for Answers {
    fn name(&self, addr: Addr, port: u16) -> Lookup<Arc<str>> {
        match &mut *self.frozen() {
            None => {}
            Some(answers) => {
                return answers.entry((addr, port)).or_insert_with(|| self.chain.name(addr, port)).clone();
            }
        }
        self.chain.name(addr, port)
    }
    fn service(&self, port: u16, protocol: Protocol) -> Lookup<Arc<str>> {
        self.chain.service(port, protocol)
    }
    fn network(&self, addr: Addr) -> Lookup<Network> {
        self.chain.network(addr)
    }
    fn settle(&self, within: Duration) {
        self.chain.settle(within);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Gives names one by one, one at each wait.
    #[derive(Default)]
    struct Slow(Mutex<u8>);

    impl Resolver for Slow {
        fn name(&self, addr: Addr, _: u16) -> Lookup<Arc<str>> {
            let [.., last] = *addr.octets();
            if last <= *self.0.lock().unwrap() { Lookup::Known(format!("h{last}").into()) } else { Lookup::Pending }
        }
        fn settle(&self, _: Duration) {
            *self.0.lock().unwrap() += 1;
        }
    }

    fn edge(slow: &Arc<Slow>, wait: Duration) -> Edge {
        let names = Arc::new(Answers { chain: Chain(vec![slow.clone()]), ..Answers::default() });
        Edge { names, has_names: true, wait, ..Edge::default() }
    }

    fn addr(last: u8) -> Addr {
        Addr::v4([192, 0, 2, last])
    }

    #[test]
    fn waiting_goes_on_while_names_come_and_no_longer() {
        let slow = Arc::new(Slow::default());
        let edge = edge(&slow, Duration::from_secs(60));
        edge.settle(|| (1..=3).filter(|&last| !edge.knows(addr(last))).count());
        assert_eq!(edge.name(addr(3)), Value::Text("h3".into()));
        // One that never comes: a wait without progress is the last.
        edge.settle(|| usize::from(!edge.knows(addr(200))));
        assert_eq!(*slow.0.lock().unwrap(), 4);
    }

    #[test]
    fn without_time_nobody_waits() {
        let slow = Arc::new(Slow::default());
        let edge = edge(&slow, Duration::ZERO);
        edge.settle(|| 1);
        assert_eq!(*slow.0.lock().unwrap(), 0);
    }

    #[test]
    fn frozen_answers_do_not_change() {
        let slow = Arc::new(Slow::default());
        let edge = edge(&slow, Duration::ZERO);
        edge.freeze();
        assert_eq!(edge.name(addr(1)), Value::Missing);
        slow.settle(Duration::ZERO);
        assert_eq!(edge.name(addr(1)), Value::Missing);
        assert_eq!(edge.names.late(), 1);
    }
}
