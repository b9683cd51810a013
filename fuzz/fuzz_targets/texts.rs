//! Any text as a file of rules, hosts, services or name servers: no panic, and a rule that is read says what it said.

#![no_main]

use flowresolve::allow::Rule;
use flowresolve::dns::Servers;
use flowresolve::{Hosts, Rules, Services};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let Ok(text) = std::str::from_utf8(input) else { return };
    let _ = Hosts::parse(text, "input");
    let _ = Services::parse(text, "input");
    let _ = Servers::parse(text);
    let _ = Rules::parse(text, "input");
    if let Ok(rule) = text.parse::<Rule>() {
        assert_eq!(rule.text().parse::<Rule>().expect("what was read once"), rule);
    }
});
