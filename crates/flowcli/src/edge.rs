//! Names for numbers, and the whitelist's verdicts: what is asked for where rows are shown, and nowhere before.

use std::collections::{HashMap, HashSet};
use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use flowcore::report::Value;
use flowcore::resolve::{Chain, Network};
use flowcore::{Addr, Error, ErrorKind, FlowRecord, Lookup, Protocol, Resolver, Result, RuleId, Verdict, Whitelist};
use flowresolve::cached::Counts;
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
    /// Those among them that ask name servers.
    asking: Vec<Asking>,
    rules: Option<Arc<Rules>>,
    networks: Option<Arc<Networks>>,
    unlisted: bool,
    quiet: bool,
}

/// Who asks name servers.
struct Asking {
    dns: Arc<Dns>,
    servers: Vec<SocketAddr>,
    /// What had become of its questions when this edge began.
    before: Counts,
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
        let wait = Duration::from_nanos(u64::try_from(args.resolve_wait.get()).unwrap_or(0));
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
                    let asked = servers.servers.clone();
                    let dns = Arc::new(Dns::new(dns::Options { confirm, ..servers }));
                    edge.asking.push(Asking { dns: Arc::clone(&dns), servers: asked, before: Counts::default() });
                    dns
                }
            });
        }
        if let Some(networks) = &edge.networks {
            chain.push(networks.clone());
        }
        if !chain.is_empty() {
            edge.names = Arc::new(Answers { chain: Chain(chain), wait, ..Answers::default() });
        }
        Ok(edge)
    }

    /// The same for another table: whoever gives names keeps what was found out for this one.
    #[must_use]
    pub fn anew(&self) -> Self {
        let Answers { chain, wait, signals, .. } = &*self.names;
        let names = Answers { chain: chain.clone(), wait: *wait, signals: signals.clone(), ..Answers::default() };
        let asking = self.asking.iter().map(|Asking { dns, servers, .. }| Asking {
            dns: Arc::clone(dns),
            servers: servers.clone(),
            before: dns.counts(),
        });
        Self {
            names: Arc::new(names),
            asking: asking.collect(),
            rules: self.rules.clone(),
            networks: self.networks.clone(),
            ..*self
        }
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
        self.names.signals.get_or_init(|| signals.clone());
        self
    }

    /// Names are waited for no longer than so: then something else is to do.
    pub fn wait_at_most(&self, within: Duration) {
        self.names.most.get_or_init(|| within);
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
        self.names.wait
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

    /// Waits until `pending` finds nothing that is still to come, or nothing comes any more, or the time is over, which
    /// is one for all that is waited for.
    pub fn settle(&self, mut pending: impl FnMut() -> usize) {
        let (begun, within) = (Instant::now(), self.names.left());
        self.names.kept().get_or_insert_default();
        // Not everything may have found a place in the queue, and of several who are asked the next may know: what is
        // left is asked for again. That takes time as well.
        while pending() > 0 {
            let left = within.saturating_sub(begun.elapsed());
            if self.names.wait_for_some(left) == left {
                break;
            }
        }
        *self.names.waited() += begun.elapsed();
    }

    /// Answers do not change any more, so that what is measured is what is written: what is not there now never comes.
    pub fn freeze(&self) {
        self.names.kept().get_or_insert_default().complete = true;
    }

    /// Says what of the whitelist's verdicts is open, unless the trust line has just `said` so, and how many names are
    /// missing, and why.
    pub fn complain(&self, open: Option<&str>, said: bool) {
        if let (Some(open), false) = (open, said || self.quiet) {
            complain(&format!("note: {open}"));
        }
        if self.quiet || self.asking.is_empty() {
            return;
        }
        let late = self.names.late();
        if late > 0 {
            let remedy = if self.names.most.get().is_some_and(|most| *most < self.wait()) {
                "a longer --every waits longer"
            } else {
                "--resolve-wait waits longer"
            };
            complain(&format!("note: no name came in time for {late} of the addresses shown; {remedy}"));
        }
        for Asking { dns, servers, before } in &self.asking {
            let counts = dns.counts();
            let (failed, asked) = (counts.failed - before.failed, counts.asked - before.asked);
            let whom = match (servers.as_slice(), self.asking.len()) {
                ([_], 1) => "the name server".to_owned(),
                ([server], _) => format!("name server {server}"),
                _ => "every name server".to_owned(),
            };
            if failed > 0 {
                complain(&format!(
                    "note: {failed} of {asked} names could not be looked up: {whom} failed or was silent"
                ));
            }
        }
    }
}

/// The names of this machine's own file, which may be odd or missing without any fault of the user's.
fn system_hosts(quiet: bool) -> Result<Hosts> {
    let (hosts, skipped) = match Hosts::read_leniently(Path::new("/etc/hosts")) {
        Err(error) if error.kind() == ErrorKind::NotFound => (Hosts::default(), Some(error.to_string())),
        read => read?,
    };
    if let Some(skipped) = skipped.filter(|_| !quiet) {
        complain(&format!("note: {skipped}"));
    }
    Ok(hosts)
}

/// That the whitelist's verdict is open of so `many` of `what`; `None` of none.
pub fn open_verdicts(many: u64, what: &str) -> Option<String> {
    (many > 0).then(|| format!("whether the whitelist allows {many} of the {what} is not known: names are missing"))
}

/// Names that do not change any more.
#[derive(Default)]
struct Kept {
    /// By address and port. As many as are shown, of whom those who gave them keep fewer.
    answers: HashMap<(Addr, u16), Lookup<Arc<str>>>,
    /// What is still to come is kept as that.
    complete: bool,
}

/// What others say, kept once somebody waits for it.
#[derive(Default)]
struct Answers {
    chain: Chain,
    kept: Mutex<Option<Kept>>,
    wait: Duration,
    /// Less than that, if something else is to do then.
    most: OnceLock<Duration>,
    /// How long somebody has waited.
    waited: Mutex<Duration>,
    /// When the pipeline has waited, and asked again in between, for all that time.
    end: OnceLock<Instant>,
    /// Who may end the waiting.
    signals: OnceLock<Signals>,
    /// Somebody had asked to stop before there was anything to wait for: that ended the reading.
    stopped_before: OnceLock<bool>,
}

impl Answers {
    fn kept(&self) -> MutexGuard<'_, Option<Kept>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Addresses whose names did not come in time.
    fn late(&self) -> usize {
        let kept = self.kept();
        let answers = kept.iter().flat_map(|kept| &kept.answers);
        let late = answers.filter(|(_, answer)| **answer == Lookup::Pending);
        late.map(|((addr, _), _)| addr).collect::<HashSet<_>>().len()
    }

    fn waited(&self) -> MutexGuard<'_, Duration> {
        self.waited.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is left of the time to wait.
    fn left(&self) -> Duration {
        self.most.get().map_or(self.wait, |most| self.wait.min(*most)).saturating_sub(*self.waited())
    }

    /// Waits until nothing that was asked for is still to come, and gives what is left of the time, as
    /// [`settle`](Resolver::settle) does.
    fn wait_for_some(&self, within: Duration) -> Duration {
        self.stopped_before.get_or_init(|| self.has_stopped());
        let mut left = within;
        while !left.is_zero() && !self.is_stopped() {
            let slice = left.min(HEED);
            let rest = self.chain.settle(slice);
            left = left.saturating_sub(slice.saturating_sub(rest));
            // It came back before its time.
            if !rest.is_zero() {
                break;
            }
        }
        left
    }

    /// Whether somebody has asked to stop since the waiting began.
    fn is_stopped(&self) -> bool {
        self.has_stopped() && self.stopped_before.get() == Some(&false)
    }

    fn has_stopped(&self) -> bool {
        self.signals.get().is_some_and(|signals| signals.stop().is_some())
    }
}

impl Resolver for Answers {
    fn name(&self, addr: Addr, port: u16) -> Lookup<Arc<str>> {
        let mut kept = self.kept();
        let Some(Kept { answers, complete }) = &mut *kept else {
            drop(kept);
            return self.chain.name(addr, port);
        };
        if let Some(answer) = answers.get(&(addr, port)) {
            return answer.clone();
        }
        let answer = self.chain.name(addr, port);
        if *complete || answer != Lookup::Pending {
            answers.insert((addr, port), answer.clone());
        }
        answer
    }
    fn service(&self, port: u16, protocol: Protocol) -> Lookup<Arc<str>> {
        self.chain.service(port, protocol)
    }
    fn network(&self, addr: Addr) -> Lookup<Network> {
        self.chain.network(addr)
    }
    fn settle(&self, within: Duration) -> Duration {
        self.kept().get_or_insert_default();
        let end = *self.end.get_or_init(|| Instant::now() + self.left());
        let most = within.min(self.left()).min(end.saturating_duration_since(Instant::now()));
        let spent = most.saturating_sub(self.wait_for_some(most));
        *self.waited() += spent;
        within.saturating_sub(spent)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Gives names one by one, one at each of three waits.
    #[derive(Default)]
    struct Slow(Mutex<u8>);

    impl Resolver for Slow {
        fn name(&self, addr: Addr, _: u16) -> Lookup<Arc<str>> {
            let [.., last] = *addr.octets();
            if last <= *self.0.lock().unwrap() { Lookup::Known(format!("h{last}").into()) } else { Lookup::Pending }
        }
        fn settle(&self, within: Duration) -> Duration {
            let mut given = self.0.lock().unwrap();
            *given += 1;
            if *given <= 3 { within.saturating_sub(Duration::from_nanos(1)) } else { within }
        }
    }

    fn edge(slow: &Arc<Slow>, wait: Duration) -> Edge {
        let names = Arc::new(Answers { chain: Chain(vec![slow.clone()]), wait, ..Answers::default() });
        Edge { names, has_names: true, ..Edge::default() }
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

    /// Takes all the time there is, and gives nothing.
    #[derive(Default)]
    struct Silent(Mutex<Duration>);

    impl Resolver for Silent {
        fn name(&self, _: Addr, _: u16) -> Lookup<Arc<str>> {
            Lookup::Pending
        }
        fn settle(&self, within: Duration) -> Duration {
            std::thread::sleep(within);
            *self.0.lock().unwrap() += within;
            Duration::ZERO
        }
    }

    #[test]
    fn all_that_is_waited_for_has_one_time() {
        let (wait, silent) = (Duration::from_millis(50), Arc::new(Silent::default()));
        let taken = || std::mem::take(&mut *silent.0.lock().unwrap());
        let names = Answers { chain: Chain(vec![silent.clone()]), wait, ..Answers::default() };
        let edge = Edge { names: Arc::new(names), has_names: true, ..Edge::default() };
        // The pipeline first, which asks for half of it, then for all.
        assert!(edge.names().settle(wait / 2) < wait / 2);
        edge.settle(|| 1);
        assert!(edge.names().settle(wait) == wait, "no time is left, and nothing came");
        edge.settle(|| 1);
        let waited = taken();
        assert!(wait / 2 <= waited && waited <= wait, "{waited:?}");
        // Another table has a time of its own, unless something else is to do.
        edge.anew().settle(|| 1);
        let waited = taken();
        assert!(Duration::ZERO < waited && waited <= wait, "{waited:?}");
        let next = edge.anew();
        next.wait_at_most(Duration::ZERO);
        next.settle(|| 1);
        assert_eq!(taken(), Duration::ZERO);
    }

    #[test]
    fn names_that_were_waited_for_are_kept_though_who_gave_them_forgets() {
        /// Has room for one question, and for one answer.
        #[derive(Default)]
        struct Forgetful(Mutex<[Option<Addr>; 2]>);
        impl Resolver for Forgetful {
            fn name(&self, addr: Addr, _: u16) -> Lookup<Arc<str>> {
                let [asked, known] = &mut *self.0.lock().unwrap();
                if *known == Some(addr) {
                    return Lookup::Known(addr.to_string().into());
                }
                asked.get_or_insert(addr);
                Lookup::Pending
            }
            fn settle(&self, within: Duration) -> Duration {
                let [asked, known] = &mut *self.0.lock().unwrap();
                *known = asked.take().or(*known);
                within.saturating_sub(Duration::from_nanos(1))
            }
        }
        let chain = Chain(vec![Arc::new(Forgetful::default())]);
        let names = Answers { chain, wait: Duration::from_secs(5), ..Answers::default() };
        let edge = Edge { names: Arc::new(names), has_names: true, ..Edge::default() };
        edge.settle(|| (1..=3).filter(|&last| !edge.knows(addr(last))).count());
        assert_eq!(
            [1, 2, 3].map(|last| edge.name(addr(last))),
            ["192.0.2.1", "192.0.2.2", "192.0.2.3"].map(|name| Value::Text(name.into()))
        );
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
