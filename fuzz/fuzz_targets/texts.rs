//! Any text as a file of rules, hosts, services, name servers or networks: no panic, a rule that is read says what it said,
//! and a network's addresses are those that it is found for.

#![no_main]

use flowcore::Resolver;
use flowresolve::allow::Rule;
use flowresolve::asn::{Loader, Options};
use flowresolve::dns::Servers;
use flowresolve::{Hosts, Rules, Services};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let _ = Hosts::parse_leniently(input, "input");
    let Ok(text) = std::str::from_utf8(input) else { return };
    let _ = Hosts::parse(text, "input");
    let _ = Services::parse(text, "input");
    let _ = Servers::parse(text);
    let _ = Rules::parse(text, "input");
    let mut loader = Loader::new(Options::default());
    if loader.stream("input", input).is_ok() {
        let networks = loader.finish();
        for (first, last) in networks.announced(&|origins| origins[0] % 2 == 1).expect("a table tells all") {
            assert!([first, last].iter().all(|&addr| networks.asn(addr).is_some_and(|asn| asn % 2 == 1)));
        }
    }
    if let Ok(rule) = text.parse::<Rule>() {
        assert_eq!(rule.text().parse::<Rule>().expect("what was read once"), rule);
    }
});
