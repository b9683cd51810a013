//! Which flows are expected: rules from code or from a file.
//!
//! A rule names ends of flows. What stands alone, or behind `to`, is the responder, the end that was called; behind
//! `from` stands the originator.
//!
//! ```text
//! # What our clients may talk to.
//! 192.0.2.0/24, 2001:db8::/32          # any port
//! 198.51.100.7:443                     # that port
//! [2001:db8:1::7]:8000-8100/tcp        # ports of IPv6 addresses stand behind brackets
//! www.example.com:https, *.example.net # names, as a resolver gives them
//! *:53/udp, *:ntp                      # a port of anybody
//! from 10.0.0.0/8 to as64496           # both ends; the network that announces the address
//! ```
//!
//! The first rule that allows a flow is the one that is named, but rules with names or networks come after all others:
//! then the answer does not depend on how fast a name server is, and no name is asked for without need. What is still
//! to be looked up leaves a flow open only if a rule before the first that allows it may turn out to; a name that nobody
//! could look up, only if no rule allows it.
//!
//! Whoever holds an address chooses its reverse name. A list of names is as good as the names are: confirmed ones
//! ([`dns::Options::confirm`](crate::dns::Options::confirm)) or a file of your own.

mod parse;
mod party;
mod rule;

use std::collections::HashMap;
use std::path::Path;
use std::str::FromStr;
use std::sync::Arc;

use flowcore::{Addr, Error, ErrorKind, FlowRecord, Lookup, Prefix, Resolver, Result, RuleId, Verdict, Whitelist};

use crate::lines::{Mistakes, lines, read};

use party::Party;
use rule::Match;
pub use rule::{End, Host, Ports, Rule};

/// A whitelist of rules; see the [module](self) for what they look like.
///
/// Made to be long: a flow is compared only with the rules for its address, for the prefixes that hold it, for its
/// name and for anybody. The cost is one look-up for each length of prefix in the list.
#[derive(Clone, Debug, Default)]
pub struct Rules {
    rules: Vec<Rule>,
    /// `index[0]` by originators, for rules that say nothing of the responder; `index[1]` by responders.
    index: [Index; 2],
}

/// Rules by what one end must be; rule numbers ascend in every list.
#[derive(Clone, Debug, Default)]
struct Index {
    anybody: Vec<u32>,
    addresses: HashMap<Addr, Vec<u32>>,
    prefixes: HashMap<Prefix, Vec<u32>>,
    /// Lengths in `prefixes`, for either family, each once.
    lengths: Vec<(bool, u8)>,
    /// In lower case, without the last dot.
    names: HashMap<Arc<str>, Vec<u32>>,
    /// What must stand behind a dot at the end.
    suffixes: HashMap<Arc<str>, Vec<u32>>,
    networks: HashMap<u32, Vec<u32>>,
    /// All of `names` and `suffixes`, and all of `networks`, for who is not known: by the ports of both ends, since these
    /// are.
    unnamed: ByPorts,
    unannounced: ByPorts,
}

type ByPorts = HashMap<[Option<Ports>; 2], Vec<u32>>;

impl Rules {
    /// No rule: every flow is unlisted.
    pub fn new() -> Self {
        Self::default()
    }

    /// Reads a file of rules.
    ///
    /// # Errors
    /// If it cannot be read, or there are lines that are no rules: all of them are told with line, column and what was
    /// expected there.
    pub fn read(path: &Path) -> Result<Self> {
        Self::parse(&read(path)?, &path.display().to_string())
    }

    /// The rules in `text`; `origin` names it in errors.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    pub fn parse(text: &str, origin: &str) -> Result<Self> {
        let mut rules = Self::default();
        let mut mistakes = Mistakes::new(origin);
        for (number, line) in lines(text) {
            parse::line(line, |entry| match entry {
                Ok(rule) => drop(rules.allow(rule)),
                Err((column, message)) => mistakes.at(number, column, &message),
            });
        }
        mistakes.instead_of(rules)
    }

    /// Adds a rule behind the others.
    pub fn allow(&mut self, rule: Rule) -> RuleId {
        let number = u32::try_from(self.rules.len()).unwrap_or(u32::MAX).min(RuleId::LIMIT - 1);
        // By the responder, unless the rule says only something of the originator's host.
        let by_responder = !rule.to.host.is_anybody() || rule.from.host.is_anybody();
        let end = if by_responder { &rule.to } else { &rule.from };
        let index = &mut self.index[usize::from(by_responder)];
        index.add(&end.host, number);
        let unknown = match end.host {
            Host::Name(_) | Host::Suffix(_) => Some(&mut index.unnamed),
            Host::Network(_) => Some(&mut index.unannounced),
            Host::Anybody | Host::Addr(_) | Host::Prefix(_) => None,
        };
        if let Some(by_ports) = unknown {
            by_ports.entry([rule.from.ports, rule.to.ports]).or_default().push(number);
        }
        self.rules.push(rule);
        RuleId(number)
    }

    /// How many rules there are.
    pub fn len(&self) -> usize {
        self.rules.len()
    }

    /// Whether there is no rule.
    pub fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }

    /// The first rule that compares names; without somebody who gives names it never allows anything.
    pub fn first_with_name(&self) -> Option<&Rule> {
        let is_name = |end: &End| matches!(end.host, Host::Name(_) | Host::Suffix(_));
        self.rules.iter().find(|rule| is_name(&rule.from) || is_name(&rule.to))
    }

    /// The first rule that compares networks, for which the same holds.
    pub fn first_with_network(&self) -> Option<&Rule> {
        let is_network = |end: &End| matches!(end.host, Host::Network(_));
        self.rules.iter().find(|rule| is_network(&rule.from) || is_network(&rule.to))
    }

    /// Looks for a better rule among `candidates`, which ascend.
    fn decide(&self, best: &mut Best, candidates: Option<&Vec<u32>>, parties: &[Party<'_>; 2]) {
        for &number in candidates.into_iter().flatten() {
            if best.rule.is_some_and(|known| known <= number) {
                return;
            }
            match self.rules[number as usize].matches(parties) {
                Match::Yes => best.rule = Some(number),
                Match::No => {}
                Match::Pending => best.pending = Some(best.pending.map_or(number, |pending| pending.min(number))),
                Match::Failed => best.failed = true,
            }
        }
    }

    /// Looks for a rule that is open among all that depend on what is not known of one end, as it could not be found out
    /// if that has `failed`. None of them is a yes; each may still be one, unless the other end or the ports say no.
    fn decide_unknown(&self, best: &mut Best, by_ports: &ByPorts, failed: bool, parties: &[Party<'_>; 2]) {
        for (ports, rules) in by_ports {
            if !ports.iter().zip(parties).all(|(ports, party)| party.is_at(*ports)) {
                continue;
            }
            for &number in rules {
                if !failed && [best.rule, best.pending].into_iter().flatten().any(|known| known <= number) {
                    break;
                }
                match self.rules[number as usize].matches(parties) {
                    Match::No => {}
                    Match::Failed => {
                        best.failed = true;
                        // So are all others.
                        if failed {
                            break;
                        }
                    }
                    Match::Pending | Match::Yes => {
                        best.pending = Some(number);
                        break;
                    }
                }
            }
        }
    }
}

/// What is found so far.
#[derive(Default)]
struct Best {
    rule: Option<u32>,
    /// The first rule that waits for a name or network.
    pending: Option<u32>,
    /// A name of some rule could not be looked up.
    failed: bool,
}

impl Index {
    fn add(&mut self, host: &Host, number: u32) {
        let list = match host {
            Host::Anybody => &mut self.anybody,
            Host::Addr(addr) => self.addresses.entry(*addr).or_default(),
            Host::Prefix(prefix) => {
                let length = (prefix.network().is_v4(), prefix.bits());
                if !self.lengths.contains(&length) {
                    self.lengths.push(length);
                }
                self.prefixes.entry(*prefix).or_default()
            }
            Host::Name(name) => self.names.entry(Arc::clone(name)).or_default(),
            Host::Suffix(suffix) => self.suffixes.entry(Arc::clone(suffix)).or_default(),
            Host::Network(asn) => self.networks.entry(*asn).or_default(),
        };
        list.push(number);
    }
}

impl Whitelist for Rules {
    fn judge(&self, flow: &FlowRecord, names: &dyn Resolver) -> Verdict {
        let parties = Party::both(flow, names);
        let mut best = Best::default();
        for (index, Party { addr, .. }) in self.index.iter().zip(&parties) {
            self.decide(&mut best, Some(&index.anybody), &parties);
            self.decide(&mut best, index.addresses.get(addr), &parties);
            for &(_, bits) in index.lengths.iter().filter(|(is_v4, _)| *is_v4 == addr.is_v4()) {
                let prefix = Prefix::new(*addr, bits);
                self.decide(&mut best, prefix.and_then(|prefix| index.prefixes.get(&prefix)), &parties);
            }
        }
        if let Some(rule) = best.rule {
            return Verdict::Allowed(RuleId(rule));
        }
        for (index, party) in self.index.iter().zip(&parties) {
            if !(index.names.is_empty() && index.suffixes.is_empty()) {
                let name = party.name();
                match name {
                    Lookup::Known(name) => {
                        self.decide(&mut best, index.names.get(name.as_str()), &parties);
                        for (dot, _) in name.match_indices('.') {
                            self.decide(&mut best, index.suffixes.get(&name[dot + 1..]), &parties);
                        }
                    }
                    Lookup::Pending | Lookup::Failed => {
                        self.decide_unknown(&mut best, &index.unnamed, *name == Lookup::Failed, &parties);
                    }
                    Lookup::Absent => {}
                }
            }
            if !index.networks.is_empty() {
                let network = party.network();
                match network {
                    Lookup::Known(network) => {
                        for asn in network.origins() {
                            self.decide(&mut best, index.networks.get(asn), &parties);
                        }
                    }
                    Lookup::Pending | Lookup::Failed => {
                        let failed = *network == Lookup::Failed;
                        self.decide_unknown(&mut best, &index.unannounced, failed, &parties);
                    }
                    Lookup::Absent => {}
                }
            }
        }
        match best {
            // A rule before the best one may still turn out to allow the flow.
            Best { rule: Some(rule), pending, .. } if pending.is_none_or(|pending| rule < pending) => {
                Verdict::Allowed(RuleId(rule))
            }
            Best { rule: None, pending: None, failed: false } => Verdict::Unlisted,
            _ => Verdict::Undecided,
        }
    }

    fn rule(&self, id: RuleId) -> &str {
        self.rules.get(id.0 as usize).map_or("", Rule::text)
    }
}

impl FromStr for Rule {
    type Err = Error;

    /// One rule as it stands in a file.
    fn from_str(text: &str) -> Result<Self> {
        let mut found: Vec<Result<Self>> = Vec::new();
        parse::line(text, |entry| {
            found.push(entry.map_err(|(column, message)| {
                Error::new(ErrorKind::Usage, format!("`{text}`, column {column}: {message}"))
            }));
        });
        match (found.pop(), found.is_empty()) {
            (Some(rule), true) => rule,
            (Some(_), false) => Err(Error::new(ErrorKind::Usage, format!("`{text}`: more than one rule"))),
            (None, _) => Err(Error::new(ErrorKind::Usage, "a rule is missing")),
        }
    }
}

#[cfg(test)]
mod tests;
