//! What is read, how it is printed, and what is equal.
#![allow(clippy::unwrap_used, reason = "a test")]

use std::net::Ipv4Addr;
use std::sync::Arc;

use flowcore::resolve::Numeric;
use flowcore::{Addr, FlowKey, Frames, Protocol, Resolver};
use flowfilter::{Compat, Filter, Flow, OPEN_RANGE, Options};

/// The tree of a text, as text.
fn read(text: &str) -> String {
    Filter::parse(text).unwrap_or_else(|error| panic!("{text}\n{}", error.render(false))).to_string()
}

fn read_with(text: &str, compat: Compat) -> String {
    Filter::parse_with(text, &Options { compat, ..Options::default() }).unwrap().to_string()
}

fn codes(text: &str) -> Vec<&'static str> {
    Filter::parse(text).unwrap().warnings().iter().map(|warning| warning.code()).collect()
}

#[test]
fn metroflux_filters_are_read_as_they_were_written() {
    for (text, tree) in [
        ("tcp and src 10.213.54.6 and sport 5000:6000", "tcp and src 10.213.54.6 and sport 5000:6000"),
        ("udp and (not(sport 21) or src 64.32.234.9/31)", "udp and (not sport 21 or src 64.32.234.8/31)"),
        ("all", "all"),
        ("ip", "ip"),
        ("host 10.0.0.1", "addr 10.0.0.1"),
        ("addr 10.0.0.0 /8", "addr 10.0.0.0/8"),
        ("addr 10.0.0.0/ 8", "addr 10.0.0.0/8"),
        ("sport 5000 : 6000", "sport 5000:6000"),
        ("sport 6000: and tcp", "sport 6000:65535 and tcp"),
        ("dport :1023", "dport 0:1023"),
        ("dport : 1023 or udp", "dport 0:1023 or udp"),
        ("src asn 2529", "src asn 2529"),
        ("addr asn 70000", "addr asn 70000"),
        ("host asn 4200000000", "addr asn 4200000000"),
        ("ether src 0:1:2:3:4:5", "ether src 00:01:02:03:04:05"),
        ("ether host 00:01:02:03:04:05", "ether 00:01:02:03:04:05"),
        ("ether addr 00:01:02:03:04:05", "ether 00:01:02:03:04:05"),
        ("input 3 and output 4", "input 3 and output 4"),
        ("exporter 192.0.2.1", "exporter 192.0.2.1"),
        ("to_ds and not from_ds", "to_ds and not from_ds"),
        ("not (not (tcp))", "not not tcp"),
        ("(icmp)", "icmp"),
        ("tcp and (dport 80 or dport 443)", "tcp and (dport 80 or dport 443)"),
    ] {
        assert_eq!(read(text), tree, "{text}");
    }
}

#[test]
fn what_engineers_write_is_read() {
    for (text, tree) in [
        ("tcp port 80", "tcp and port 80"),
        ("not tcp port 80", "not (tcp and port 80)"),
        ("src port 80 or dst port 80", "sport 80 or dport 80"),
        ("src host 10.0.0.1 && dst net 10.0.0.0/8", "src 10.0.0.1 and dst 10.0.0.0/8"),
        ("ip6 host 2001:db8::1", "ip6 and addr 2001:db8::1"),
        ("udp src port 53", "udp and sport 53"),
        ("ip proto 6", "ip and tcp"),
        ("ether proto 0x86dd", "ethertype 0x86dd"),
        ("proto icmpv6", "icmp6"),
        ("ethertype 0x0806", "arp"),
        ("TCP AND PORT 80", "tcp and port 80"),
        ("!tcp || !(udp)", "not tcp or not udp"),
        ("vlan and vlan 5 and vlan {1, 2:4}", "vlan and vlan 5 and vlan {1, 2:4}"),
        ("vlan 2 or vlan 3", "vlan 2 or vlan 3"),
        ("mpls 100 or pppoe", "mpls 100 or pppoe"),
        ("tunnel and not tunnel vxlan", "tunnel and not tunnel vxlan"),
        ("vxlan and vni 100", "tunnel vxlan and vni 100"),
        ("gre", "tunnel {gre, erspan} or proto 47"),
        ("syn and not ack", "syn and not ack"),
        ("flags S/SA", "flags S/SA"),
        ("flags s/s", "syn"),
        ("flags SA", "flags SA/SA"),
        ("len >= 1000 or len <= 64", "len >= 1000 or len <= 64"),
        ("len > 1.5KiB", "len > 1536"),
        ("payload 0", "payload 0"),
        ("ttl < 5 and dscp 46 and tos 0x10", "ttl < 5 and dscp 46 and tos 16"),
        ("port {80, 443, 8000:8100}", "port {80, 443, 8000:8100}"),
        ("port in {80,443}", "port {80, 443}"),
        ("port not in {80,443}", "port != {80, 443}"),
        ("src != 10.0.0.0/8", "src != 10.0.0.0/8"),
        ("port = 80", "port 80"),
        ("dport == 80", "dport 80"),
        ("duration > 5s and bytes > 10MiB", "duration > 5s and bytes > 10485760"),
        ("rtt > 50ms and rtt <= 1500ms", "rtt > 50ms and rtt <= 1500ms"),
        ("duration > 90 min", "duration > 90min"),
        ("retrans > 0", "retrans > 0"),
        ("state sf or state {S0, REJ}", "state SF or state {S0, REJ}"),
        ("process nginx or process \"a \\\"b\\\"\"", "process \"nginx\" or process \"a \\\"b\\\"\""),
        ("pid 1 and uid 0 and cgroup /system.slice", "pid 1 and uid 0 and cgroup \"/system.slice\""),
        ("direction forward", "direction forward"),
        ("outer.src 10.0.0.1 and outer.port 4789", "outer.src 10.0.0.1 and outer.port 4789"),
        ("outer.proto udp", "outer.proto udp"),
        ("icmp and icmptype 3 and icmpcode 4", "icmp and icmptype 3 and icmpcode 4"),
        ("src fe80::/10 or dst ::", "src fe80::/10 or dst ::"),
        ("tcp # the web\n and port 80 # 443 later", "tcp and port 80"),
        ("fragment", "fragment"),
        ("none", "none"),
        ("src ::ffff:10.0.0.0/104", "src 10.0.0.0/8"),
    ] {
        assert_eq!(read(text), tree, "{text}");
    }
}

#[test]
fn points_in_time_are_spans_and_printed_as_short_as_they_can_be() {
    for (text, tree) in [
        ("time 2026-11-20", "time 2026-11-20"),
        ("time = 2026-11-20T10:03Z", "time 2026-11-20T10:03"),
        ("time '2026-11-20 10:03'", "time 2026-11-20T10:03"),
        ("time 2026-11-20 10:03 and tcp", "time 2026-11-20T10:03 and tcp"),
        ("time 2026-11-20T00:00..2026-11-20T23:59", "time 2026-11-20"),
        ("time 2026-11-20T10:03..2026-11-20T10:04", "time 2026-11-20T10:03..2026-11-20T10:04"),
        ("time 2026-11-20 10:03 .. 2026-11-20 10:04", "time 2026-11-20T10:03..2026-11-20T10:04"),
        ("time \"2026-11-20 10:03\"..\"2026-11-20 10:04\"", "time 2026-11-20T10:03..2026-11-20T10:04"),
        ("time 2026-11-20.. and tcp", "time 2026-11-20.. and tcp"),
        ("time ..2026-11-20T09:59:59.999999999", "time ..2026-11-20T09:59"),
        ("time {2026-11-20T11:03+01:00, 1795168985.25s}", "time {2026-11-20T10:03, 2026-11-20T10:03:05.25}"),
        ("time 1795168985000000000ns", "time 2026-11-20T10:03:05.000000000"),
        ("time >= 2026-11-20T00:00:00.000 and time < 2026-11-21T00:00", "time >= 2026-11-20 and time < 2026-11-21"),
        (
            "start <= 2026-11-20T10:03 and end >= 2026-11-20T10:03",
            "start <= 2026-11-20T10:03 and end >= 2026-11-20T10:03",
        ),
        ("time > 2026-11-20T23:59:59.9", "time > 2026-11-20"),
        ("time > 1795168985000000000ns", "time > 2026-11-20T10:03:05.000000000"),
        ("time != 2026-11-20 or not time in {2026-11-21}", "time != 2026-11-20 or not time 2026-11-21"),
    ] {
        assert_eq!(read(text), tree, "{text}");
    }
    for (text, form) in [
        ("time >= 2026-11-20T10:03 and time < 2026-11-20T10:04", "time 2026-11-20T10:03"),
        ("time 2026-11-20T10:03 or time 2026-11-20T10:04", "time 2026-11-20T10:03..2026-11-20T10:04"),
        ("time < 2026-11-20", "time <= 2026-11-19"),
        ("time > 2026-11-20", "time >= 2026-11-21"),
        ("time != 2026-11-20T10:03", "time <= 2026-11-20T10:02 or time >= 2026-11-20T10:04"),
        ("not time != 2026-11-20", "not time != 2026-11-20"),
        ("start 2026-11-20 and start 2026-11-21", "none"),
    ] {
        let normal = Filter::parse(text).unwrap().normal();
        assert_eq!(normal.to_string(), form, "{text}");
        assert_eq!(normal.normal(), normal, "{text}");
    }
}

#[test]
fn and_binds_tighter_than_or_and_not_tightest() {
    assert_eq!(read("tcp or udp and icmp"), "tcp or (udp and icmp)");
    assert_eq!(read("tcp and udp or icmp"), "(tcp and udp) or icmp");
    assert_eq!(read("not tcp and udp"), "not tcp and udp");
    assert_eq!(read("dst 1.2.3.4 or dst 5.6.7.8 and tcp"), "dst 1.2.3.4 or (dst 5.6.7.8 and tcp)");
}

#[test]
fn the_other_reading_is_to_be_had() {
    for compat in [Compat::Como, Compat::Libpcap] {
        assert_eq!(read_with("tcp or udp and icmp", compat), "(tcp or udp) and icmp");
        assert_eq!(read_with("tcp and udp or icmp", compat), "(tcp and udp) or icmp");
        assert_eq!(read_with("not tcp and udp", compat), "not tcp and udp");
        assert_eq!(read_with("dst 1.2.3.4 or dst 5.6.7.8 and tcp", compat), "(dst 1.2.3.4 or dst 5.6.7.8) and tcp");
    }
    assert_eq!(read_with("sport :9", Compat::Como), "sport 1:9");
    assert_eq!(read_with("sport :9", Compat::Libpcap), "sport 0:9");
}

#[test]
fn a_warning_comes_where_the_readings_differ_and_only_there() {
    assert_eq!(codes("tcp or udp and icmp"), ["mixed-operators"]);
    assert_eq!(codes("tcp and udp or icmp and ip"), ["mixed-operators"]);
    assert_eq!(codes("not (tcp or udp and icmp)"), ["mixed-operators"]);
    for text in
        ["tcp and udp or icmp", "tcp or (udp and icmp)", "tcp or udp or icmp", "not tcp and udp", "udp or tcp port 80"]
    {
        assert_eq!(codes(text), [""; 0], "{text}");
    }
    let warned = Filter::parse("tcp or udp and icmp").unwrap();
    let text = warned.warnings()[0].render(false);
    assert!(text.contains("tcp or (udp and icmp)") && text.contains("(tcp or udp) and icmp"), "{text}");
    assert_eq!(codes("src 64.32.234.9/31"), ["host-bits"]);
}

#[test]
fn equal_filters_have_one_normal_form() {
    for (a, b) in [
        ("tcp or udp", "udp or tcp"),
        ("tcp or udp", "not (not tcp and not udp)"),
        ("src 10.0.0.1/8", "src 10.0.0.0/8"),
        ("port 80", "sport 80 or dport 80"),
        ("port != 80", "sport != 80 and dport != 80"),
        ("sport 1:5 or sport 6:9", "sport 1:9"),
        ("sport 80 and sport {80, 443}", "sport 80"),
        ("tcp and udp", "none"),
        ("tcp or not tcp", "all"),
        ("tcp and (tcp or port 80)", "tcp"),
        ("tcp or (tcp and port 80)", "tcp"),
        ("tcp and (udp or port 80)", "port 80 and tcp"),
        ("(tcp or udp) and (tcp or icmp)", "tcp"),
        ("ip and (tcp or icmp)", "(ip and tcp) or (icmp and ip)"),
        ("not (sport 80 or sport 443)", "not sport {80, 443}"),
        ("flags S/SA", "syn and not ack"),
        ("src 10.0.0.0/9 or src 10.128.0.0/9", "src 10.0.0.0/8"),
        ("vlan != 5", "vlan and not vlan 5"),
        ("vlan 0:4095", "vlan"),
        ("duration > 4999ms", "duration >= 4999000001ns"),
        ("state {SF, S0}", "state S0 or state SF"),
        ("ip or ip6", "ip6 or ip"),
        ("not not not tcp", "not tcp"),
        ("all and tcp", "tcp"),
        ("process x or process y", "process {y, x}"),
    ] {
        let normal = |text: &str| Filter::parse(text).unwrap().normal();
        assert_eq!(normal(a).to_string(), normal(b).to_string(), "{a} / {b}");
        let again = Filter::parse(&normal(a).to_string()).unwrap();
        assert_eq!(again, normal(a), "{a}");
        assert_eq!(again.normal(), normal(a), "{a}");
    }
}

#[test]
fn different_filters_have_different_normal_forms() {
    let texts = [
        "to_ds",
        "from_ds",
        "not sport 80",
        "sport != 80",
        "tcp",
        "udp",
        "port 80",
        "sport 80",
        "vlan",
        "vlan 5",
        "not vlan 5",
        "vlan != 5",
        "src 10.0.0.0/8",
        "src 10.0.0.0/9",
        "all",
        "none",
        "syn",
        "flags S/SA",
        "not syn",
        "flags /S",
        "ip",
        "ip6",
        "ip or ip6",
    ];
    let mut forms: Vec<String> = texts.iter().map(|text| Filter::parse(text).unwrap().normal().to_string()).collect();
    forms.sort();
    forms.dedup();
    assert_eq!(forms.len(), texts.len());
}

#[test]
fn what_como_took_silently_is_an_error_or_right() {
    // The table of accepted nonsense: each is read rightly or refused.
    for (text, tree) in [
        ("!tcp", "not tcp"),
        ("src net 10.0.0.0/8", "src 10.0.0.0/8"),
        ("port 53", "port 53"),
        ("src port 80", "sport 80"),
        ("udp and port 53", "udp and port 53"),
        ("tcp && udp", "tcp and udp"),
        ("TCP", "tcp"),
        ("src host 10.0.0.1", "src 10.0.0.1"),
        ("proto 6", "tcp"),
        ("asn 2529", "addr asn 2529"),
        ("ether 00:11:22:33:44:55", "ether 00:11:22:33:44:55"),
        ("all and tcp", "all and tcp"),
        ("src asn 70000", "src asn 70000"),
    ] {
        assert_eq!(read(text), tree, "{text}");
    }
    for (text, code) in [
        ("tcpx", "unknown-word"),
        ("sport 10-20", "range-separator"),
        ("ipv6", "foreign-word"),
        ("", "empty"),
        ("sport 70000", "too-large"),
        ("sport 6000:5000", "range-backwards"),
        ("src 10.0.0.0/33", "prefix"),
        ("src 999.1.1.1", "addr"),
        ("src asn 4294967296", "too-large"),
    ] {
        assert_eq!(Filter::parse(text).unwrap_err().code(), code, "{text}");
    }
}

#[test]
fn sixty_four_kibibytes_of_parentheses_are_answered_at_once() {
    for text in [
        "(",
        "not ",
        "!",
        "!(",
        "((tcp) or ",
        "{",
        "a",
        "1",
        ":",
        "port {",
        "\"",
        "#",
        "tcp or ",
        "tcp ",
        "é",
        "\u{7f}",
    ] {
        let text: String = text.repeat(70_000).chars().take(60_000).collect();
        if let Err(error) = Filter::parse(&text) {
            assert!(error.render(false).len() < 4_000);
        }
    }
    assert_eq!(Filter::parse(&"(".repeat(65_536)).unwrap_err().code(), "too-deep");
    assert_eq!(Filter::parse(&"(".repeat(65_537)).unwrap_err().code(), "too-long");
}

#[test]
fn lists_come_from_whoever_reads_them() {
    let read = |name: &str| match name {
        "servers" => Ok("# ours\n10.0.0.1, 10.1.0.0/16\n2001:db8::1\n".to_owned()),
        "ports" => Ok("80 443\n8000:8100".to_owned()),
        "odd" => Ok("80\nhttps".to_owned()),
        _ => Err("there is no such file".to_owned()),
    };
    let options = Options { lists: Some(&read), ..Options::default() };
    let parse = |text: &str| Filter::parse_with(text, &options);
    let filter = parse("src in @servers and port {@ports, 22}").unwrap();
    assert_eq!(filter.to_string(), "src @servers and port {@ports, 22}");
    assert_eq!(parse(&filter.to_string()).unwrap(), filter);
    assert_eq!(
        filter.normal(),
        parse("src {10.0.0.1, 10.1.0.0/16, 2001:db8::1} and port {22, 80, 443, 8000:8100}").unwrap().normal()
    );
    assert_eq!(
        parse("port in @odd").unwrap_err().message(),
        "line 2 of the list `odd`: services are not looked up by name: `https`"
    );
    assert_eq!(
        parse("port in @missing").unwrap_err().message(),
        "the list `missing` cannot be read: there is no such file"
    );
    assert_eq!(Filter::parse("port in @ports").unwrap_err().code(), "list");
}

#[test]
fn names_are_looked_up_only_when_asked() {
    let find =
        |name: &str| if name == "example.org" { Ok(vec!["192.0.2.1".parse().unwrap()]) } else { Err("no".into()) };
    let options = Options { hosts: Some(&find), ..Options::default() };
    let filter = Filter::parse_with("host name:example.org", &options).unwrap();
    assert_eq!(filter.to_string(), "addr name:example.org");
    assert_eq!(filter.normal(), Filter::parse("addr 192.0.2.1").unwrap().normal());
    assert_eq!(Filter::parse_with("host example.org", &options).unwrap_err().code(), "host-name");
    assert_eq!(Filter::parse("host name:example.org").unwrap_err().code(), "host-name");
}

#[test]
fn numbers_with_names_are_read_by_them() {
    for (text, printed) in [
        ("dscp ef", "dscp 46"),
        ("dscp {cs1, AF41, be}", "dscp {8, 34, 0}"),
        ("ethertype arp", "arp"),
        ("ethertype {ip, IP6}", "ethertype {0x0800, 0x86dd}"),
    ] {
        assert_eq!(Filter::parse(text).unwrap().to_string(), printed);
    }
    assert!(
        Filter::parse("dscp af51").is_err() && Filter::parse("dscp cs8").is_err() && Filter::parse("ttl ef").is_err()
    );
}

#[test]
fn a_lists_name_may_have_blanks() {
    let list =
        |name: &str| if name == "web ports" { Ok("80, 443".to_owned()) } else { Err("it is not there".to_owned()) };
    let options = Options { lists: Some(&list), ..Options::default() };
    let filter = Filter::parse_with("port in @\"web ports\" or udp", &options).unwrap();
    assert_eq!(filter.to_string(), "port @\"web ports\" or udp");
    assert_eq!(Filter::parse_with(&filter.to_string(), &options).unwrap(), filter);
}

/// Several processes may hold one socket: that it is held by one says nothing of another.
#[test]
fn holders_are_several_in_the_normal_form() {
    for text in [
        "process nginx and process sshd",
        "not process nginx or not process sshd",
        "not process nginx or process sshd",
        "pid 5 and pid 6",
    ] {
        let normal = Filter::parse(text).unwrap().normal();
        assert!(!matches!(normal.to_string().as_str(), "all" | "none"), "{text}: {normal}");
        assert_eq!(
            normal.to_string().matches(if text.starts_with("pid") { "pid" } else { "process" }).count(),
            2,
            "{text}: {normal}"
        );
    }
    let socket = |names: &[&str]| flowfilter::Socket {
        holders: names.iter().map(|name| flowcore::resolve::Process { pid: 1, name: (*name).into() }).collect(),
        ..flowfilter::Socket::default()
    };
    let names: std::sync::Arc<dyn flowcore::Resolver> = std::sync::Arc::new(flowcore::resolve::Numeric);
    for text in [
        "process a and process b",
        "not process a or not process b",
        "process != a",
        "not (process != a)",
        "process {a, b} and not process b",
    ] {
        let filter = Filter::parse(text).unwrap();
        let [plain, normal] =
            [&filter, &filter.normal()].map(|filter| filter.bind::<flowfilter::Socket>(&names).unwrap());
        for held in [&[][..], &["a"], &["b"], &["a", "b"], &["c"], &["a", "c"]] {
            let socket = socket(held);
            let frames = flowcore::Frames::EMPTY;
            assert_eq!(plain.matches(&socket, &frames), normal.matches(&socket, &frames), "{text} of {held:?}");
        }
    }
}

#[test]
fn times_have_ranges_and_sizes_may_be_hexadecimal() {
    for (text, read) in [
        ("duration 1s:5s", "duration 1s:5s"),
        ("rtt 50us:1ms", "rtt 50µs:1ms"),
        ("duration :5s", "duration 0ns:5s"),
        ("duration {0:1s, 1min:2min}", "duration {0ns:1s, 1min:2min}"),
        ("len > 0x40", "len > 64"),
        ("bytes 0x40:0x80", "bytes 64:128"),
    ] {
        let filter = Filter::parse(text).unwrap();
        assert_eq!(filter.to_string(), read);
        assert_eq!(Filter::parse(read).unwrap(), filter, "{text}");
    }
    let normal = |text: &str| Filter::parse(text).unwrap().normal().to_string();
    assert_eq!(normal("duration 1s:5s"), normal("duration >= 1s and duration <= 5s"));
    assert_eq!(normal("duration :5s"), normal("duration <= 5s"));
    for wrong in ["duration 1:5s", "duration 5s:1s", "rtt 1ms:2ms:3ms", "duration :", "rtt 0x40:1ms"] {
        assert!(Filter::parse(wrong).is_err(), "{wrong}");
    }
    assert!(Filter::parse(&format!("duration {}", ":".repeat(60_000))).is_err());
}

#[test]
fn beside_ss_a_colon_behind_an_operator_is_a_port() {
    let read = |text: &str| Filter::parse_with(text, &Options { beside_ss: true, ..Options::default() });
    for (theirs, ours) in [
        ("dport = :443", "dport 443"),
        ("( sport = :22 or dport != :80 )", "sport 22 or dport != 80"),
        ("dport=:443", "dport 443"),
        ("port > :1023", "port > 1023"),
        ("dst = ::1", "dst ::1"),
        // No operator stands before these.
        ("src port :1024", "sport 0:1024"),
        ("sport != 22:80", "sport != 22:80"),
        ("dport in {:80, :443}", "dport {0:80, 0:443}"),
    ] {
        assert_eq!(read(theirs).unwrap(), Filter::parse(ours).unwrap(), "{theirs}");
    }
    let said = |text: &str| read(text).unwrap().warnings().iter().map(|warning| warning.code()).collect::<Vec<_>>();
    assert_eq!(said("tcp and (sport :22 or dst port : 80)"), [OPEN_RANGE, OPEN_RANGE]);
    assert_eq!(
        said("sport = :22 or sport 0:22 or sport 22: or dport {:22} or process 'sport :22' # sport :22"),
        [""; 0]
    );
    for wrong in ["dport = 443:", "len = :5", "dport = :", "dport = :65536", "dport = :1:2"] {
        assert!(read(wrong).is_err(), "{wrong}");
    }
}

/// Which of these addresses a filter selects as sources.
fn sources(filter: &Filter, addrs: &[Addr]) -> Vec<bool> {
    let names: Arc<dyn Resolver> = Arc::new(Numeric);
    let bound = filter.bind::<Flow>(&names).unwrap();
    let of =
        |&src| Flow { key: Some(FlowKey { src, protocol: Protocol::TCP, ..FlowKey::default() }), ..Flow::default() };
    addrs.iter().map(|addr| bound.matches(&of(addr), &Frames::EMPTY)).collect()
}

#[test]
fn a_range_of_addresses_is_each_of_them_joined_by_or() {
    let mut tried = 0;
    // Each window crosses the edge of a part of the address.
    for base in [u128::from(u32::from(Ipv4Addr::new(10, 0, 0, 250))) | 0xffff << 32, 0x2001_0db8 << 96 | 0xfffa] {
        let window: Vec<Addr> = (base..base + 12).map(|number| Addr::v6(number.to_be_bytes())).collect();
        for low in 1..11 {
            for high in low..11 {
                let (range, more) = (format!("{}-{}", window[low], window[high]), window[0]);
                let each: Vec<String> = window[low..=high].iter().map(|addr| format!("src {addr}")).collect();
                let each = each.join(" or ");
                for (short, plain) in [
                    (format!("src {range}"), each.clone()),
                    (format!("src != {range}"), format!("src 0.0.0.0/0 and not ({each}) or src ::/0 and not ({each})")),
                    (
                        format!("src {{{range}, {more}, 192.0.2.0/24}}"),
                        format!("{each} or src {more} or src 192.0.2.0/24"),
                    ),
                ] {
                    let [short, plain] = [short, plain].map(|text| Filter::parse(&text).unwrap());
                    assert_eq!(sources(&short, &window), sources(&plain, &window), "{short}");
                    assert_eq!(short.normal(), plain.normal(), "{short}");
                    assert_eq!(Filter::parse(&short.to_string()).unwrap(), short);
                    tried += 1;
                }
            }
        }
    }
    assert_eq!(tried, 2 * 55 * 3);
    // All of IPv4 lies between these numbers, and is not in the range.
    let around = Filter::parse("src ::1-2001:db8::1").unwrap();
    let asked = ["::1", "10.0.0.1", "255.255.255.255", "::1:0:0:0", "2001:db8::1", "2001:db8::2"];
    let asked = asked.map(|addr| addr.parse().unwrap());
    assert_eq!(sources(&around, &asked), [true, false, false, true, true, false]);
    let list = |_: &str| Ok("10.0.0.1-10.0.0.3, 10.1.0.0/16".to_owned());
    let listed = Filter::parse_with("src @list", &Options { lists: Some(&list), ..Options::default() }).unwrap();
    assert_eq!(listed.normal(), Filter::parse("src {10.0.0.1, 10.0.0.2/31, 10.1.0.0/16}").unwrap().normal());
}

#[test]
fn what_no_packet_can_answer_is_warned_of() {
    let said = |text: &str| {
        let filter = Filter::parse(text).unwrap();
        let said = filter.warnings().iter().map(|warning| (warning.code(), text[warning.span()].to_owned()));
        said.collect::<Vec<_>>()
    };
    let no_header = |at: &str| ("no-header", at.to_owned());
    assert_eq!(said("arp and host 10.0.0.1"), [no_header("host 10.0.0.1")]);
    assert_eq!(said("src != 10.0.0.1 and vlan 5 and (rarp or lldp)"), [no_header("src != 10.0.0.1")]);
    assert_eq!(said("host 10.0.0.1 or (arp and (port 80 or tcp))"), [no_header("(port 80 or tcp)")]);
    // ARP and what is joined with it by `or`, or negated.
    for right in
        ["arp or host 10.0.0.1", "arp and not host 10.0.0.1", "(arp or ip) and host 10.0.0.1", "arp and vlan 5"]
    {
        assert_eq!(said(right), [], "{right}");
    }
    let through = |at: &str| ("walked-through", at.to_owned());
    assert_eq!(said("proto 41"), [through("41")]);
    assert_eq!(said("ip proto ipip or proto {6, ipv6}"), [through("ipip"), through("ipv6")]);
    assert_eq!(said("outer.proto 41 or tunnel ipip or proto 6"), []);
    // A raw socket's protocol is that of the packets it takes.
    let of_sockets = Options { beside_ss: true, ..Options::default() };
    assert!(Filter::parse_with("proto 41", &of_sockets).unwrap().warnings().is_empty());
    assert_eq!(said("carp"), [("shared-number", "carp".to_owned())]);
    assert_eq!(said("proto {carp, 6}"), [("shared-number", "carp".to_owned())]);
    assert_eq!(Filter::parse("carp and ip").unwrap(), Filter::parse("proto 112 and ip").unwrap());
}
