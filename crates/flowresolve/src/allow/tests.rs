use std::sync::atomic::{AtomicUsize, Ordering};

use flowcore::resolve::{Network, Numeric};
use flowcore::{Evidence, FlowId, FlowKey, Protocol, Timestamp};

use super::*;
use crate::Hosts;

fn flow(from: (&str, u16), to: (&str, u16), protocol: Protocol) -> FlowRecord {
    let key = FlowKey {
        src: from.0.parse().unwrap(),
        dst: to.0.parse().unwrap(),
        src_port: from.1,
        dst_port: to.1,
        protocol,
        ..FlowKey::NONE
    };
    FlowRecord {
        id: FlowId(0),
        serial: 0,
        key,
        start: Timestamp::EPOCH,
        last: Timestamp::EPOCH,
        evidence: Evidence::Syn,
        interface: 0,
        end: None,
        verdict: None,
    }
}

/// The text of the rule of `text` that allows a TCP flow from 10.0.0.1:40000.
fn allowed(text: &str, to: (&str, u16)) -> Option<String> {
    let names =
        Hosts::parse("192.0.2.7 WWW.Example.com.\n192.0.2.8 a.b.example.net\n192.0.2.9 example.net\n", "").unwrap();
    let rules = Rules::parse(text, "rules").unwrap();
    match rules.judge(&flow(("10.0.0.1", 40_000), to, Protocol::TCP), &names) {
        Verdict::Allowed(id) => Some(rules.rule(id).to_owned()),
        Verdict::Unlisted => None,
        Verdict::Undecided => panic!("a name of a file is there at once"),
    }
}

#[test]
fn a_rule_alone_is_about_the_end_that_was_called() {
    assert_eq!(allowed("192.0.2.1", ("192.0.2.1", 80)).as_deref(), Some("192.0.2.1"));
    assert_eq!(allowed("10.0.0.1", ("192.0.2.1", 80)), None);
    assert_eq!(allowed("from 10.0.0.1", ("192.0.2.1", 80)).as_deref(), Some("from 10.0.0.1"));
    assert_eq!(allowed("to 192.0.2.1:80", ("192.0.2.1", 80)).as_deref(), Some("to 192.0.2.1:80"));
    assert_eq!(allowed("from  10.0.0.0/8   to *:80", ("192.0.2.1", 80)).as_deref(), Some("from 10.0.0.0/8 to *:80"));
    assert_eq!(allowed("from 10.0.0.0/8 to *:80", ("192.0.2.1", 81)), None);
    assert_eq!(allowed("from 10.1.0.0/16 to *:80", ("192.0.2.1", 80)), None);
}

#[test]
fn words_of_rules_are_read_in_either_case() {
    for (rule, like) in [
        ("FROM 10.0.0.0/8 TO *:80", "from 10.0.0.0/8 to *:80"),
        ("From 10.0.0.1", "from 10.0.0.1"),
        ("To WWW.Example.com:HTTPS/TCP", "to www.example.com:https/tcp"),
        ("AS64496, ANY", "as64496, any"),
    ] {
        let (rule, like) = (Rules::parse(rule, "").unwrap(), Rules::parse(like, "").unwrap());
        let ends =
            |rules: &Rules| rules.rules.iter().map(|rule| (rule.from.clone(), rule.to.clone())).collect::<Vec<_>>();
        assert_eq!(ends(&rule), ends(&like));
    }
    // A rule is called as it was written.
    assert_eq!(allowed("FROM 10.0.0.0/8 TO *:80", ("192.0.2.1", 80)).as_deref(), Some("FROM 10.0.0.0/8 TO *:80"));
}

#[test]
fn hosts_are_addresses_prefixes_names_or_anybody() {
    for (rule, yes, no) in [
        ("192.0.2.0/29", "192.0.2.7", "192.0.2.8"),
        // Host bits are masked.
        ("192.0.2.5/29", "192.0.2.0", "192.0.2.8"),
        ("2001:db8::/32", "2001:db8:1::1", "2001:db9::1"),
        ("::ffff:192.0.2.0/125", "192.0.2.7", "192.0.2.8"),
        ("www.example.com", "192.0.2.7", "192.0.2.8"),
        ("www.EXAMPLE.com.", "192.0.2.7", "192.0.2.8"),
        ("*.example.net", "192.0.2.8", "192.0.2.9"),
        ("0.0.0.0/0", "192.0.2.1", "2001:db8::1"),
        ("*", "2001:db8::1", ""),
    ] {
        assert_eq!(allowed(rule, (yes, 1)).as_deref(), Some(rule));
        if !no.is_empty() {
            assert_eq!(allowed(rule, (no, 1)), None, "{rule} {no}");
        }
    }
}

#[test]
fn ports_are_numbers_ranges_or_services_with_or_without_a_host() {
    for (rule, yes, no) in [
        ("443", 443, 442),
        (":443", 443, 442),
        ("*:443", 443, 442),
        ("8000-8100", 8100, 8101),
        ("60000-65535", 65_535, 59_999),
        ("443/tcp", 443, 444),
        ("192.0.2.1:443", 443, 442),
        ("192.0.2.0/24:443-445", 445, 446),
        ("192.0.2.1:https", 443, 80),
        ("*:domain/tcp", 53, 54),
    ] {
        assert_eq!(allowed(rule, ("192.0.2.1", yes)).as_deref(), Some(rule));
        assert_eq!(allowed(rule, ("192.0.2.1", no)), None, "{rule} {no}");
    }
    assert_eq!(allowed("443/udp", ("192.0.2.1", 443)), None);
    assert_eq!(allowed("[2001:db8::1]:443", ("2001:db8::1", 443)).as_deref(), Some("[2001:db8::1]:443"));
    assert_eq!(allowed("[2001:db8::/32]:443", ("2001:db8::1", 80)), None);
}

#[test]
fn a_rule_without_a_port_allows_every_protocol_and_one_with_a_port_only_those_that_have_ports() {
    let rules = Rules::parse("192.0.2.1\n192.0.2.2:8\n", "rules").unwrap();
    let ping = |to| rules.judge(&flow(("10.0.0.1", 8), (to, 8), Protocol::ICMP), &Numeric);
    assert_eq!(ping("192.0.2.1"), Verdict::Allowed(RuleId(0)));
    assert_eq!(ping("192.0.2.2"), Verdict::Unlisted);
}

#[test]
fn the_first_rule_that_allows_is_named_and_names_come_last() {
    let text = "www.example.com # by name\n192.0.2.0/24:80, 192.0.2.7, *:80\n\n192.0.2.0/25";
    assert_eq!(allowed(text, ("192.0.2.7", 80)).as_deref(), Some("192.0.2.0/24:80"));
    assert_eq!(allowed(text, ("192.0.2.7", 81)).as_deref(), Some("192.0.2.7"));
    assert_eq!(allowed(text, ("192.0.2.77", 81)).as_deref(), Some("192.0.2.0/25"));
    assert_eq!(allowed(text, ("198.51.100.1", 80)).as_deref(), Some("*:80"));
    assert_eq!(allowed("www.example.com", ("192.0.2.7", 80)).as_deref(), Some("www.example.com"));
}

/// Knows nothing yet, and counts who asks.
#[derive(Default)]
struct Asking {
    names: AtomicUsize,
    networks: AtomicUsize,
}

impl Resolver for Asking {
    fn name(&self, _: Addr, _: u16) -> Lookup<Arc<str>> {
        self.names.fetch_add(1, Ordering::Relaxed);
        Lookup::Pending
    }
    fn network(&self, addr: Addr) -> Lookup<Network> {
        self.networks.fetch_add(1, Ordering::Relaxed);
        Lookup::Known(Network {
            asn: 64_496,
            prefix: Prefix::new(addr, 8).unwrap(),
            holder: None,
            several: Some([64_496, 64_498].into()),
        })
    }
}

#[test]
fn a_missing_name_leaves_it_undecided_and_is_asked_for_only_if_it_matters() {
    let judge = |text: &str, to| {
        let (rules, names) = (Rules::parse(text, "rules").unwrap(), Asking::default());
        let verdict = rules.judge(&flow(("10.0.0.1", 40_000), (to, 80), Protocol::TCP), &names);
        (verdict, names.names.into_inner())
    };
    assert_eq!(judge("www.example\n192.0.2.1\n", "192.0.2.1"), (Verdict::Allowed(RuleId(1)), 0));
    assert_eq!(judge("www.example\n192.0.2.1\n", "192.0.2.2"), (Verdict::Undecided, 1));
    assert_eq!(judge("192.0.2.1\n", "192.0.2.2"), (Verdict::Unlisted, 0));
    assert_eq!(judge("from 10.0.0.0/8 to www.example\n", "192.0.2.2").0, Verdict::Undecided);
    assert_eq!(judge("from 11.0.0.0/8 to www.example\n", "192.0.2.2").0, Verdict::Unlisted);
    assert_eq!(judge("from www.example to 192.0.2.2\n", "192.0.2.2").0, Verdict::Undecided);
}

/// Asks somebody who does not answer.
struct Silent;

impl Resolver for Silent {
    fn name(&self, _: Addr, _: u16) -> Lookup<Arc<str>> {
        Lookup::Failed
    }
}

#[test]
fn a_name_that_could_not_be_looked_up_is_not_one_that_is_not_there() {
    let to = flow(("10.0.0.1", 1), ("192.0.2.1", 80), Protocol::TCP);
    let judge = |text: &str| Rules::parse(text, "").unwrap().judge(&to, &Silent);
    assert_eq!(judge("www.example:80"), Verdict::Undecided);
    assert_eq!(judge("*.example"), Verdict::Undecided);
    assert_eq!(judge("from www.example to 192.0.2.1"), Verdict::Undecided);
    assert_eq!(judge("www.example:443"), Verdict::Unlisted, "whatever its name is");
    assert_eq!(judge("www.example\n192.0.2.1"), Verdict::Allowed(RuleId(1)));
}

/// Knows every network, and of a name only why it does not.
struct Nameless(Lookup<Arc<str>>);

impl Resolver for Nameless {
    fn name(&self, _: Addr, _: u16) -> Lookup<Arc<str>> {
        self.0.clone()
    }
    fn network(&self, addr: Addr) -> Lookup<Network> {
        let prefix = Prefix::new(addr, 8).unwrap();
        Lookup::Known(Network { asn: 64_500, prefix, holder: None, several: None })
    }
}

#[test]
fn a_name_that_is_missing_matters_only_before_the_first_rule_that_allows() {
    let to = flow(("10.0.0.1", 1), ("192.0.2.1", 443), Protocol::TCP);
    let judge = |text: &str, name: Lookup<Arc<str>>| Rules::parse(text, "").unwrap().judge(&to, &Nameless(name));
    for behind in ["AS64500:443\nwww.example:443", "from 10.0.0.1 to as64500\n*.example:443\nx.example"] {
        assert_eq!(judge(behind, Lookup::Pending), Verdict::Allowed(RuleId(0)), "{behind}");
        assert_eq!(judge(behind, Lookup::Failed), Verdict::Allowed(RuleId(0)), "{behind}");
    }
    // An address comes before all names.
    assert_eq!(judge("from www.example to 192.0.2.1\n192.0.2.1", Lookup::Pending), Verdict::Allowed(RuleId(1)));
    // Which of both it is is open until the name is there; if nobody could look that up, it is the other.
    let before = "www.example:443\nAS64500:443";
    assert_eq!(judge(before, Lookup::Pending), Verdict::Undecided);
    assert_eq!(judge(before, Lookup::Failed), Verdict::Allowed(RuleId(1)));
    assert_eq!(judge("from as64500 to www.example\nAS64501", Lookup::Pending), Verdict::Undecided);
    assert_eq!(judge("from as64500 to www.example\nAS64501", Lookup::Failed), Verdict::Undecided);
}

#[test]
fn of_a_long_list_of_names_few_rules_are_looked_at_while_a_name_is_missing() {
    fn judge(rules: &Rules, name: Lookup<Arc<str>>) -> Verdict {
        rules.judge(&flow(("10.0.0.1", 1), ("192.0.2.1", 443), Protocol::TCP), &Nameless(name))
    }
    let list = |rule: &dyn Fn(u32) -> String| {
        let lines: Vec<String> = (0..20_000).map(rule).collect();
        Rules::parse(&lines.join("\n"), "").unwrap()
    };
    let (fits, other) = (list(&|i| format!("h{i}.example:443")), list(&|i| format!("h{i}.example:{}", 80 + i % 2)));
    // Rules times flows would take many minutes.
    for _ in 0..20_000 {
        for name in [Lookup::Pending, Lookup::Failed] {
            assert_eq!(judge(&fits, name.clone()), Verdict::Undecided);
            assert_eq!(judge(&other, name), Verdict::Unlisted);
        }
    }
}

#[test]
fn networks_are_asked_for_by_rules_about_them() {
    let names = Asking::default();
    let to = flow(("10.0.0.1", 1), ("192.0.2.1", 80), Protocol::TCP);
    assert_eq!(Rules::parse("as64496:80", "").unwrap().judge(&to, &names), Verdict::Allowed(RuleId(0)));
    assert_eq!(Rules::parse("AS64497", "").unwrap().judge(&to, &names), Verdict::Unlisted);
    assert_eq!(Rules::parse("AS64497", "").unwrap().judge(&to, &Numeric), Verdict::Unlisted);
    // Not the first that announces it, but one that does; and the first rule that one of them fits.
    let both = Rules::parse("AS64498\nAS64496", "").unwrap();
    assert_eq!(both.judge(&to, &names), Verdict::Allowed(RuleId(0)));
    assert_eq!((names.names.into_inner(), names.networks.into_inner()), (0, 3));
}

#[test]
fn rules_are_made_in_code_as_well() {
    let mut rules = Rules::new();
    let net = Host::Prefix(Prefix::new("10.0.0.0".parse().unwrap(), 8).unwrap());
    let web = End::host(Host::named("*.Example.com")).at(Ports { first: 80, last: 81, protocol: Some(Protocol::TCP) });
    rules.allow(Rule::between(End::host(net), web));
    rules.allow("[2001:db8::1]:443".parse().unwrap());
    rules.allow(Rule::to(End::host(Host::Addr("2001:db8::2".parse().unwrap())).at(Ports::one(53))));
    rules.allow(Rule::from(End::default().at(Ports::one(123))));
    let texts: Vec<&str> = (0..4).map(|id| rules.rule(RuleId(id))).collect();
    assert_eq!(
        texts,
        ["from 10.0.0.0/8 to *.example.com:80-81/tcp", "[2001:db8::1]:443", "[2001:db8::2]:53", "from *:123"]
    );
    let ntp = flow(("10.0.0.1", 123), ("192.0.2.1", 9), Protocol::UDP);
    assert_eq!(rules.judge(&ntp, &Numeric), Verdict::Allowed(RuleId(3)));
    let written: Vec<Rule> = texts.iter().map(|text| text.parse().unwrap()).collect();
    assert_eq!(written, rules.rules);
}

/// The only mistake in `text`: `line:column: message`.
fn mistake(text: &str) -> String {
    Rules::parse(text, "f").unwrap_err().to_string().trim_start_matches("f:").to_owned()
}

#[test]
fn every_mistake_is_told_with_its_place_and_what_was_expected() {
    for (text, expected) in [
        ("\n # c\n 192.0.2.300", "3:2: `192.0.2.300` is no IPv4 address"),
        ("192.0.2", "1:1: `192.0.2` is no IPv4 address; did you mean `192.0.2.0/24`?"),
        ("192.0.2.*", "1:1: `192.0.2.*` is no IPv4 address; did you mean `192.0.2.0/24`?"),
        ("10/8", "1:1: `10/8` is neither a prefix nor a port; did you mean `10.0.0.0/8`?"),
        ("10.1/16", "1:1: `10.1/16` is neither a prefix nor a port; did you mean `10.1.0.0/16`?"),
        ("10.0.0.0/33", "1:10: expected the length of a prefix, 0 to 32, found `33`"),
        ("::ffff:10.0.0.0/8", "1:17: expected the length of a prefix, 96 to 128, found `8`"),
        ("2001:db8::/129", "1:12: expected the length of a prefix, 0 to 128, found `129`"),
        ("10.0.0.0/255.255.0.0", "1:1: a prefix has a length, not a mask: did you mean `10.0.0.0/16`?"),
        ("10.0.0.1-10.0.0.9", "1:1: a range of addresses is written as prefixes, as in 192.0.2.0/28"),
        ("10.0.0.1:70000", "1:10: there is no port 70000; ports are 0 to 65535"),
        ("10.0.0.1:", "1:10: expected a port, as in 443, 8000-8100 or https"),
        ("10.0.0.1:90-80", "1:10: the range is the wrong way round: did you mean `80-90`?"),
        ("10.0.0.1:80-", "1:13: the range has no last port: write `80-65535` if all above are meant"),
        ("60000-/udp", "1:7: the range has no last port: write `60000-65535` if all above are meant"),
        ("10.0.0.1:8O", "1:10: expected a port, as in 443, 8000-8100 or https, found `8O`"),
        ("a.example:htps", "1:11: no service is called `htps`; did you mean `https`?"),
        ("*:53/icmp", "1:6: expected a protocol with ports (tcp, udp, sctp, dccp, udplite), found `icmp`"),
        ("a.example 443", "1:11: a port stands behind a colon: did you mean `a.example:443`?"),
        ("2001:db8::1 443", "1:13: a port stands behind a colon: did you mean `[2001:db8::1]:443`?"),
        (
            "2001:db8:0:0:0:0:0:1:443",
            "1:1: an IPv6 address with a port stands in brackets: did you mean `[2001:db8:0:0:0:0:0:1]:443`?",
        ),
        (
            "2001:db8::/32:443",
            "1:1: an IPv6 address with a port stands in brackets: did you mean `[2001:db8::/32]:443`?",
        ),
        (
            "2001:db8::1:80",
            "1:1: `80` may be a port or part of the address: write `[2001:db8::1]:80` or `[2001:db8::1:80]`",
        ),
        ("from 10.0.0.1 to", "1:17: expected a host or port behind `to`"),
        ("2001:db8:x", "1:1: `2001:db8:x` is no IPv6 address"),
        ("[2001:db8::1:443", "1:17: expected `]` behind the address"),
        ("[2001:db8::1]443", "1:14: expected `:PORT` behind `]`, found `443`"),
        ("[a.example]:443", "1:2: `a.example` is no address"),
        ("https://a.example/x", "1:1: a rule names a host, not a https address: did you mean `a.example`?"),
        ("a.*.example", "1:3: `*` stands alone or in front, as in `*.example.com`"),
        ("a..example", "1:1: `a..example` is no name of a host: a part of it is empty"),
        (
            "a.example;b.example",
            "1:10: `;` stands in no name of a host; expected an address, a prefix, a name, or `*`, each perhaps with `:PORT`",
        ),
        ("frm 10.0.0.1", "1:1: expected `from`, `to` or one host; did you mean `from`?"),
        (
            "from 10.0.0.1 too 10.0.0.2",
            "1:15: expected `to`, a comma or the end of the line, found `too`; did you mean `to`?",
        ),
        ("from", "1:5: expected a host or port behind `from`"),
        (" TO", "1:4: expected a host or port behind `to`"),
        ("FROM 10.0.0.1 TO", "1:17: expected a host or port behind `to`"),
        ("FRMO 10.0.0.1", "1:1: expected `from`, `to` or one host; did you mean `from`?"),
        ("TO 10.0.0.1 FROM 10.0.0.2", "1:13: expected a comma or the end of the line, found `FROM`"),
        ("from 10.0.0.1 to 10.0.0.2 TO", "1:27: expected a comma or the end of the line, found `TO`"),
        ("10.0.0.1 10.0.0.2", "1:10: expected a comma between two rules, or the end of the line, found `10.0.0.2`"),
        ("10.0.0.1,, 10.0.0.2", "1:10: a rule is missing before the comma"),
        ("as99999999999", "1:3: `99999999999` is no number of an autonomous system, 0 to 4294967295"),
        (
            "10.0.0.1:80, 443",
            "1:14: `443` behind the comma would allow that port of anybody; write `10.0.0.1:443`, or `*:443` if that is meant",
        ),
        ("ä.example, ö.example:0x", "1:22: expected a port, as in 443, 8000-8100 or https, found `0x`"),
    ] {
        assert_eq!(mistake(text), expected, "{text:?}");
    }
}

#[test]
fn all_wrong_lines_are_told_at_once() {
    assert_eq!(mistake("10.0.0.0/99\n10.0.0.1\nx:y:z, a:0-70000\n").lines().count(), 3);
}

#[test]
fn lists_separated_by_commas_and_by_lines_are_the_same() {
    let one = Rules::parse("192.0.2.1, 443 ,a.example:80,", "").unwrap();
    let lines = Rules::parse("\u{feff}192.0.2.1\r\n443\r\n\r\na.example:80 # c\r\n", "").unwrap();
    assert_eq!(one.rules, lines.rules);
    assert_eq!((one.len(), Rules::parse("# nothing\n", "").unwrap().is_empty()), (3, true));
}

#[test]
fn a_long_list_says_what_a_naive_search_says() {
    let mut text = String::new();
    for n in 0..200u32 {
        let ports = if n % 3 == 0 { ":80" } else { "" };
        text.push_str(&format!("10.{}.0.0/{}{ports}\n10.0.{}.1{ports}\n", n % 7, 10 + n % 20, n % 50));
    }
    let rules = Rules::parse(&text, "").unwrap();
    for n in 0..5000u32 {
        let to = format!("10.{}.{}.{}", n % 9, n % 60, n % 3);
        let flow = flow(("10.0.0.1", 1), (&to, 79 + (n % 2) as u16), Protocol::TCP);
        let naive = rules.rules.iter().position(|rule| rule.matches(&Party::both(&flow, &Numeric)) == Match::Yes);
        let expected = naive.map_or(Verdict::Unlisted, |rule| Verdict::Allowed(RuleId(rule as u32)));
        assert_eq!(rules.judge(&flow, &Numeric), expected, "{to}");
    }
}

proptest::proptest! {
    #[test]
    fn no_text_is_too_odd(text in "[0-9a-z.:/*,# \\[\\]\\n-]{0,60}|\\PC{0,40}") {
        if let Ok(rules) = Rules::parse(&text, "") {
            rules.judge(&flow(("10.0.0.1", 1), ("192.0.2.1", 80), Protocol::TCP), &Numeric);
        }
    }

    #[test]
    fn a_rule_that_was_printed_reads_back(
        host in proptest::sample::select(vec!["*", "192.0.2.1", "2001:db8::1", "10.0.0.0/8", "2001:db8::/32", "a.example", "*.example", "as64496"]),
        first in 0u16..=65_535, more in 0u16..9, protocol in 0usize..3, ports: bool,
    ) {
        let host = parse_host(host);
        let end = End::host(host);
        let protocol = [None, Some(Protocol::TCP), Some(Protocol::UDP)][protocol];
        let end = if ports { end.at(Ports { first, last: first.saturating_add(more), protocol }) } else { end };
        for rule in [Rule::to(end.clone()), Rule::from(end.clone()), Rule::between(end.clone(), end)] {
            let back: Rule = rule.to_string().parse().unwrap();
            proptest::prop_assert_eq!((&back.from, &back.to), (&rule.from, &rule.to));
        }
    }
}

fn parse_host(text: &str) -> Host {
    text.parse::<Rule>().unwrap().to.host
}
