//! A filter as a typed tree, as it was written.

use std::net::Ipv6Addr;
use std::sync::Arc;

use flowcore::{Addr, Prefix, Protocol, Timestamp};

use crate::field::{Field, FieldSet, Kind, Pair};
use crate::set::{Ranges, number};

/// What a filter says. `And` and `Or` have at least two operands, none of them of the same kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Expr {
    /// True of everything.
    All,
    /// True of nothing.
    None,
    /// True if all operands are.
    And(Vec<Expr>),
    /// True if any operand is.
    Or(Vec<Expr>),
    /// True if the operand is not.
    Not(Box<Expr>),
    /// One question.
    Test(Test),
}

/// One question about one field or a pair.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Test {
    /// About what.
    pub subject: Subject,
    /// What must hold.
    pub condition: Condition,
}

/// What a test is about.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Subject {
    /// One field.
    One(Field),
    /// Source or destination.
    Either(Pair),
}

impl Subject {
    /// The field, or the source's of a pair; both have one type.
    pub fn first(self) -> Field {
        match self {
            Self::One(field) => field,
            Self::Either(pair) => pair.fields()[0],
        }
    }

    /// Its type.
    pub fn kind(self) -> Kind {
        self.first().kind()
    }

    /// The words that print it.
    pub fn name(self) -> &'static str {
        match self {
            Self::One(field) => field.name(),
            Self::Either(pair) => pair.name(),
        }
    }
}

/// What must hold. A record without the field fails every condition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Condition {
    /// There is a value, whatever it is.
    Present,
    /// The value is one of these.
    In(Vec<Item>),
    /// There is a value, and it is none of these; of a pair, neither value is.
    NotIn(Vec<Item>),
    /// The value compares so with a number.
    Compare(Order, u64),
    /// Of the TCP control bits in `of`, exactly `set` are set.
    Flags {
        /// Within `of`.
        set: u16,
        /// Those looked at.
        of: u16,
    },
}

/// How a value compares.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Order {
    /// `<`
    Less,
    /// `<=`
    AtMost,
    /// `>`
    More,
    /// `>=`
    AtLeast,
}

impl Order {
    /// Its sign.
    pub const fn sign(self) -> &'static str {
        match self {
            Self::Less => "<",
            Self::AtMost => "<=",
            Self::More => ">",
            Self::AtLeast => ">=",
        }
    }
}

/// One element of a list of values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Item {
    /// A number; a point in time as [`time_number`] has it.
    Number(u64),
    /// All numbers from one to another, both included.
    Range(u64, u64),
    /// One address.
    Addr(Addr),
    /// The addresses of a prefix.
    Prefix(Prefix),
    /// All addresses of one version from one to another, both included.
    Addrs(Addr, Addr),
    /// A link address.
    Mac([u8; 6]),
    /// A word or text.
    Text(Arc<str>),
    /// The items of a file.
    List(List),
    /// A host's name, and the addresses it had when it was asked for.
    Host(Arc<str>, Arc<[Addr]>),
}

/// A named list, read when the filter was parsed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct List {
    /// As written behind the `@`.
    pub name: Arc<str>,
    /// What was in it.
    pub items: Arc<[Item]>,
}

impl Expr {
    /// The fields it asks for.
    pub fn fields(&self) -> FieldSet {
        let mut set = FieldSet::EMPTY;
        self.visit(&mut |test| match test.subject {
            Subject::One(field) => set = set.with(field),
            Subject::Either(pair) => set = pair.fields().into_iter().fold(set, FieldSet::with),
        });
        set
    }

    /// Shows every test, from left to right.
    pub fn visit(&self, see: &mut impl FnMut(&Test)) {
        match self {
            Self::All | Self::None => {}
            Self::And(all) | Self::Or(all) => all.iter().for_each(|one| one.visit(see)),
            Self::Not(inner) => inner.visit(see),
            Self::Test(test) => see(test),
        }
    }

    /// The conjunction of these, flat.
    pub fn and(all: impl IntoIterator<Item = Expr>) -> Self {
        let mut flat = Vec::new();
        for one in all {
            match one {
                Self::And(inner) => flat.extend(inner),
                other => flat.push(other),
            }
        }
        match flat.pop() {
            None => Self::All,
            Some(last) if flat.is_empty() => last,
            Some(last) => {
                flat.push(last);
                Self::And(flat)
            }
        }
    }

    /// The disjunction of these, flat.
    pub fn or(all: impl IntoIterator<Item = Expr>) -> Self {
        let mut flat = Vec::new();
        for one in all {
            match one {
                Self::Or(inner) => flat.extend(inner),
                other => flat.push(other),
            }
        }
        match flat.pop() {
            None => Self::None,
            Some(last) if flat.is_empty() => last,
            Some(last) => {
                flat.push(last);
                Self::Or(flat)
            }
        }
    }

    /// The negation.
    #[allow(clippy::should_implement_trait, reason = "beside `and` and `or`, which are no traits' either")]
    pub fn not(inner: Expr) -> Self {
        Self::Not(Box::new(inner))
    }
}

impl From<Test> for Expr {
    fn from(test: Test) -> Self {
        Self::Test(test)
    }
}

/// Values of a list as a set of numbers: addresses and link addresses by their bytes, words by their place in the list
/// of `kind`'s.
pub fn ranges(items: &[Item], kind: Kind) -> Ranges {
    let mut all = Vec::new();
    collect(items, kind, &mut all);
    Ranges::new(all)
}

fn collect(items: &[Item], kind: Kind, all: &mut Vec<(u128, u128)>) {
    let mut one = |number: u128| all.push((number, number));
    for item in items {
        match item {
            Item::Number(number) => one(u128::from(*number)),
            Item::Addr(addr) => one(number(*addr)),
            Item::Mac(mac) => one(mac_number(*mac)),
            Item::Text(text) => {
                if let Kind::Word(words) = kind {
                    words.iter().position(|word| **word == **text).into_iter().for_each(|place| one(place as u128));
                }
            }
            Item::Host(_, addrs) => addrs.iter().for_each(|&addr| one(number(addr))),
            Item::Range(..) | Item::Prefix(_) | Item::Addrs(..) | Item::List(_) => {}
        }
    }
    for item in items {
        match item {
            Item::Range(low, high) => all.push((u128::from(*low), u128::from(*high))),
            Item::Prefix(prefix) => all.extend(Ranges::prefix(*prefix).as_slice()),
            Item::Addrs(low, high) => all.extend(Ranges::addresses(*low, *high).as_slice()),
            Item::List(list) => collect(&list.items, kind, all),
            _ => {}
        }
    }
}

/// The texts of a list, sorted, each once.
pub fn texts(items: &[Item]) -> Vec<Arc<str>> {
    let mut all = Vec::new();
    fn collect(items: &[Item], all: &mut Vec<Arc<str>>) {
        for item in items {
            match item {
                Item::Text(text) => all.push(text.clone()),
                Item::List(list) => collect(&list.items, all),
                _ => {}
            }
        }
    }
    collect(items, &mut all);
    all.sort_unstable();
    all.dedup();
    all
}

/// A link address as a number.
pub fn mac_number(mac: [u8; 6]) -> u128 {
    mac.iter().fold(0, |sum, &byte| sum << 8 | u128::from(byte))
}

/// The link address of a number.
pub fn mac_of(number: u128) -> [u8; 6] {
    let [.., a, b, c, d, e, f] = Ipv6Addr::from(number).octets();
    [a, b, c, d, e, f]
}

/// A point in time as a number: earlier ones are smaller, also before 1970.
pub fn time_number(time: Timestamp) -> u64 {
    time.as_nanos() as u64 ^ 1 << 63
}

/// The point in time of a number.
pub fn time_of(number: u64) -> Timestamp {
    Timestamp::from_nanos((number ^ 1 << 63) as i64)
}

/// Protocols that have a word of their own.
pub const PROTOCOL_WORDS: &[(&str, Protocol)] = &[
    ("tcp", Protocol::TCP),
    ("udp", Protocol::UDP),
    ("icmp", Protocol::ICMP),
    ("icmp6", Protocol::ICMPV6),
    ("sctp", Protocol::SCTP),
    ("dccp", Protocol::DCCP),
    ("udplite", Protocol::UDP_LITE),
    ("igmp", Protocol::IGMP),
    ("esp", Protocol::ESP),
    ("ospf", Protocol::OSPF),
    ("pim", Protocol(103)),
    ("vrrp", Protocol(112)),
    // It took VRRP's number, and one does not tell them apart.
    ("carp", Protocol(112)),
];

/// Protocols that only `proto` names: a word of their own would mean something else, or nothing anybody expects.
pub const PROTOCOL_NAMES: &[(&str, Protocol)] = &[
    ("hopopt", Protocol::HOPOPT),
    ("ipip", Protocol::IPIP),
    ("egp", Protocol(8)),
    ("igp", Protocol(9)),
    ("ipv6", Protocol::IPV6),
    ("rsvp", Protocol(46)),
    ("gre", Protocol::GRE),
    ("eigrp", Protocol(88)),
    ("l2tp", Protocol(115)),
    ("icmpv6", Protocol::ICMPV6),
    ("ipv6-icmp", Protocol::ICMPV6),
];

/// Ethertypes that have a word of their own.
pub const ETHERTYPE_WORDS: &[(&str, u64)] = &[("arp", 0x0806), ("rarp", 0x8035), ("lldp", 0x88cc)];

/// TCP control bits: the word, the letter, the bit.
pub const FLAG_WORDS: &[(&str, char, u16)] = &[
    ("fin", 'F', 0x001),
    ("syn", 'S', 0x002),
    ("rst", 'R', 0x004),
    ("psh", 'P', 0x008),
    ("ack", 'A', 0x010),
    ("urg", 'U', 0x020),
    ("ece", 'E', 0x040),
    ("cwr", 'W', 0x080),
];
