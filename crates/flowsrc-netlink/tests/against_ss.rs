//! Every socket and every field that `ss` prints, value for value, in a network namespace with sockets of every kind.
//!
//! Needs root, `ip`, `ss` and python3; says so where they are missing. Ours are written as `ss` would write them and
//! compared word by word, so that a word that is not known here fails the test. What moves while it is looked at is compared
//! within bounds: times since something (`lastsnd`, …) and timers by half a second.

mod support;

use std::collections::BTreeMap;
use std::io::Write;

use flowcore::socket::{CongestionInfo, Family, SocketType, TimerKind};
use flowcore::{Addr, SocketSample, SocketState, TcpInfo};
use flowsrc_netlink::Sockets;
use support::{Namespace, all};

/// Words of one socket: by name, with their values. A word without a value has an empty one.
type Words = BTreeMap<String, String>;

/// `%g` of C: six significant digits, without zeros at the end.
fn general(value: f64) -> String {
    if value == 0.0 {
        return "0".into();
    }
    let decimals = (5 - value.abs().log10().floor() as i32).max(0) as usize;
    let text = format!("{value:.decimals$}");
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
}

fn state(sample: &SocketSample) -> &'static str {
    match sample.state {
        SocketState::ESTABLISHED => "ESTAB",
        SocketState::SYN_SENT => "SYN-SENT",
        SocketState::SYN_RECV => "SYN-RECV",
        SocketState::FIN_WAIT1 => "FIN-WAIT-1",
        SocketState::FIN_WAIT2 => "FIN-WAIT-2",
        SocketState::TIME_WAIT => "TIME-WAIT",
        SocketState::CLOSE => "UNCONN",
        SocketState::CLOSE_WAIT => "CLOSE-WAIT",
        SocketState::LAST_ACK => "LAST-ACK",
        SocketState::LISTEN => "LISTEN",
        SocketState::CLOSING => "CLOSING",
        _ => "?",
    }
}

fn netid(sample: &SocketSample) -> &'static str {
    match (sample.family, sample.socket_type, sample.protocol) {
        (Family::UNIX, Some(SocketType::STREAM), _) => "u_str",
        (Family::UNIX, Some(SocketType::DATAGRAM), _) => "u_dgr",
        (Family::UNIX, Some(SocketType::SEQPACKET), _) => "u_seq",
        (Family::PACKET, Some(SocketType::RAW), _) => "p_raw",
        (Family::PACKET, ..) => "p_dgr",
        (_, Some(SocketType::RAW), _) => "raw",
        (.., 6) => "tcp",
        (.., 17) => "udp",
        (.., 262) => "mptcp",
        _ => "?",
    }
}

fn end(sample: &SocketSample, addr: Addr, port: u16, name: Option<&str>) -> String {
    let any6 = addr == Addr::UNSPECIFIED;
    let mut text = match (sample.family, addr.to_v4()) {
        (Family::INET, _) => addr.to_string(),
        // A dual-stack socket takes both.
        _ if any6 && sample.v6only != Some(true) => "*".into(),
        (_, Some(_)) => format!("[::ffff:{addr}]"),
        _ => format!("[{addr}]"),
    };
    if let Some(name) = name {
        text += &format!("%{name}");
    }
    match port {
        0 => text + ":*",
        port => format!("{text}:{port}"),
    }
}

/// A sample as `ss -niemop -O` would print it.
fn as_ss(sample: &SocketSample, source: &Sockets) -> Words {
    let mut words = Words::new();
    let mut say = |name: &str, value: String| {
        assert!(words.insert(name.to_owned(), value).is_none(), "{name} twice");
    };
    say("netid", netid(sample).into());
    say("state", state(sample).into());
    say("recv", sample.receive_queue.unwrap_or(0).to_string());
    say("send", sample.send_queue.unwrap_or(0).to_string());
    if let Some(unix) = &sample.unix {
        let name = unix.name.map_or("*".into(), |name| name.to_text().replace('\0', "@"));
        say("local", format!("{name} {}", sample.inode.unwrap_or(0)));
        say("peer", unix.peer.unwrap_or(0).to_string());
        if let Some((inode, device)) = unix.vfs {
            say("ino", inode.to_string());
            // The kernel says major << 20 | minor; ss reads it as the C library's other form.
            let (major, minor) = (device >> 8 & 0xfff, device & 0xff | device >> 12 & !0xff);
            say("dev", format!("{major}/{minor}"));
        }
    } else if let Some(packet) = sample.packet {
        let interface = sample.interface.and_then(|index| source.interface_name(sample.netns, index));
        let interface = interface.unwrap_or_else(|| "*".into());
        say("local", format!("[{}]:{interface}", packet.ethertype));
        say("peer", "*".into());
        say("ver", packet.version.unwrap_or(0).to_string());
        say("cpy_thresh", packet.copy_threshold.unwrap_or(0).to_string());
        let is_running = packet.flags.is_some_and(|flags| flags & 1 != 0);
        say(if is_running { "running" } else { "0" }, String::new());
    } else {
        let interface = sample.interface.and_then(|index| source.interface_name(sample.netns, index));
        let raw = sample.socket_type == Some(SocketType::RAW);
        let port = if raw { sample.protocol } else { sample.local_port };
        say("local", end(sample, sample.local, port, interface.as_deref()));
        say("peer", end(sample, sample.remote, sample.remote_port, None));
    }
    if sample.unix.is_none() && sample.socket_type != Some(SocketType::RAW) || sample.packet.is_some() {
        say("ino", sample.inode.unwrap_or(0).to_string());
        say("sk", sample.cookie.map_or(String::new(), |cookie| format!("{cookie:x}")));
    }
    if let Some(timer) = sample.timer {
        let kind = match timer.kind {
            TimerKind::Retransmit => "on",
            TimerKind::Keepalive => "keepalive",
            TimerKind::TimeWait => "timewait",
            TimerKind::Probe => "persist",
            TimerKind::Unknown => "unknown",
        };
        say("timer", format!("{kind},{},{}", timer.expires_ms, timer.retransmits));
    }
    if let Some(mark) = sample.mark.filter(|&mark| mark != 0) {
        say("fwmark", format!("0x{mark:x}"));
    }
    if let Some(cgroup) = sample.cgroup_id {
        say("cgroup", format!("unreachable:{cgroup:x}"));
    }
    if let Some(only) = sample.v6only {
        say("v6only", u8::from(only).to_string());
    }
    if let Some(shutdown) = sample.shutdown {
        let arrows = ["<->", "-->", "<--", "---"];
        say("shutdown", arrows[usize::from(shutdown.bits() & 3)].into());
    }
    if let Some(memory) = sample.memory {
        let names = ["r", "rb", "t", "tb", "f", "w", "o", "bl", "d"];
        let values: Vec<String> =
            names.iter().zip(memory.values()).map(|(name, value)| format!("{name}{value}")).collect();
        say("skmem", format!("({})", values.join(",")));
    }
    if let Some(info) = sample.mptcp {
        for (name, value) in [("subflows", info.subflows), ("subflows_max", info.subflows_max)] {
            if let Some(value) = value.filter(|&value| value != 0) {
                say(name, value.to_string());
            }
        }
        if info.flags.is_some_and(|flags| flags & 2 != 0) {
            say("remote_key", String::new());
        }
        if let Some(token) = info.token.filter(|&token| token != 0) {
            say("token", format!("{token:x}"));
        }
        for (name, value) in [("write_seq", info.write_seq), ("snd_una", info.snd_una), ("rcv_nxt", info.rcv_nxt)] {
            if let Some(value) = value.filter(|&value| value != 0) {
                say(name, format!("{value:x}"));
            }
        }
    }
    if let Some(tcp) = &sample.tcp {
        say_tcp(sample, tcp, &mut say);
    }
    if let Some(ulp) = &sample.ulp {
        say(&format!("tcp-ulp-{}", ulp.name.expect("a name").to_text()), String::new());
        if let Some(subflow) = ulp.subflow {
            let letters: String = "MmJjBbecv"
                .chars()
                .enumerate()
                .filter(|(bit, _)| subflow.flags.unwrap_or(0) >> bit & 1 == 1)
                .map(|(_, letter)| letter)
                .collect();
            if !letters.is_empty() {
                say("flags", letters);
            }
            let one = |token: Option<u32>, id: Option<u8>| Some(format!("{:04x}(id:{})", token?, id?));
            if let (Some(remote), Some(local)) =
                (one(subflow.token_remote, subflow.id_remote), one(subflow.token_local, subflow.id_local))
            {
                say("token", format!("{remote}/{local}"));
            }
            for (name, value) in [
                ("seq", subflow.map_seq),
                ("sfseq", subflow.map_subflow_seq.map(u64::from)),
                ("ssnoff", subflow.subflow_seq_offset.map(u64::from)),
                ("maplen", subflow.map_len.map(u64::from)),
            ] {
                if let Some(value) = value {
                    say(name, format!("{value:x}"));
                }
            }
        }
    }
    words
}

/// The words of `-i`, as `tcp_stats_print` of iproute2 6.1 orders and omits them.
fn say_tcp(sample: &SocketSample, tcp: &TcpInfo, say: &mut impl FnMut(&str, String)) {
    let millis = |micros: u64| general(micros as f64 / 1000.0);
    let rate = |bytes: u64| format!("{:.0}bps", bytes as f64 * 8.0);
    let options = tcp.options().unwrap_or_default().bits();
    for (bit, name) in [(1, "ts"), (2, "sack"), (8, "ecn"), (16, "ecnseen"), (32, "fastopen")] {
        if options & bit != 0 {
            say(name, String::new());
        }
    }
    if let Some(name) = sample.congestion.filter(|name| !name.as_bytes().is_empty()) {
        say(&name.to_text(), String::new());
    }
    if options & 4 != 0 {
        say("wscale", format!("{},{}", tcp.snd_wscale().unwrap_or(0), tcp.rcv_wscale().unwrap_or(0)));
    }
    if let Some(rto) = tcp.rto_us().filter(|&rto| rto != 0 && rto != 3_000_000) {
        say("rto", millis(rto.into()));
    }
    if let (Some(rtt), Some(rttvar)) = (tcp.rtt_us(), tcp.rttvar_us()) {
        say("rtt", format!("{}/{}", millis(rtt.into()), millis(rttvar.into())));
    }
    for (name, micros) in [("ato", tcp.ato_us()), ("rcv_rtt", tcp.rcv_rtt_us()), ("minrtt", tcp.min_rtt_us())] {
        if let Some(micros) = micros.filter(|&micros| micros != 0) {
            say(name, millis(micros.into()));
        }
    }
    let listens = sample.state == SocketState::LISTEN;
    for (name, number) in [
        ("backoff", tcp.backoff().map(u64::from)),
        ("mss", tcp.snd_mss().map(u64::from)),
        ("pmtu", tcp.pmtu().map(u64::from)),
        ("rcvmss", tcp.rcv_mss().map(u64::from)),
        ("advmss", tcp.advmss().map(u64::from)),
        ("cwnd", tcp.snd_cwnd().map(u64::from)),
        ("ssthresh", tcp.snd_ssthresh().filter(|&segments| segments < 0xffff).map(u64::from)),
        ("bytes_sent", tcp.bytes_sent()),
        ("bytes_retrans", tcp.bytes_retrans()),
        ("bytes_acked", tcp.bytes_acked()),
        ("bytes_received", tcp.bytes_received()),
        ("segs_out", tcp.segs_out().map(u64::from)),
        ("segs_in", tcp.segs_in().map(u64::from)),
        ("data_segs_out", tcp.data_segs_out().map(u64::from)),
        ("data_segs_in", tcp.data_segs_in().map(u64::from)),
        ("lastsnd", tcp.last_data_sent_ms().map(u64::from)),
        ("lastrcv", tcp.last_data_recv_ms().map(u64::from)),
        ("lastack", tcp.last_ack_recv_ms().map(u64::from)),
        ("delivered", tcp.delivered().map(u64::from)),
        ("delivered_ce", tcp.delivered_ce().map(u64::from)),
        ("unacked", tcp.unacked().map(u64::from)),
        ("lost", tcp.lost().map(u64::from)),
        ("sacked", tcp.sacked().filter(|_| !listens).map(u64::from)),
        ("dsack_dups", tcp.dsack_dups().map(u64::from)),
        ("fackets", tcp.fackets().map(u64::from)),
        ("reordering", tcp.reordering().filter(|&segments| segments != 3).map(u64::from)),
        ("reord_seen", tcp.reord_seen().map(u64::from)),
        ("rcv_space", tcp.rcv_space().map(u64::from)),
        ("rcv_ssthresh", tcp.rcv_ssthresh().map(u64::from)),
        ("notsent", tcp.notsent_bytes().map(u64::from)),
        ("rcv_ooopack", tcp.rcv_ooopack().map(u64::from)),
        ("snd_wnd", tcp.snd_wnd().map(u64::from)),
    ] {
        if let Some(number) = number.filter(|&number| number != 0) {
            say(name, number.to_string());
        }
    }
    if let Some(CongestionInfo::Bbr { bandwidth, min_rtt_us, pacing_gain, cwnd_gain }) = sample.congestion_info {
        let mut text = format!("(bw:{},mrtt:{}", rate(bandwidth), millis(min_rtt_us.into()));
        for (name, gain) in [("pacing_gain", pacing_gain), ("cwnd_gain", cwnd_gain)] {
            if gain != 0 {
                text += &format!(",{name}:{}", general(f64::from(gain) / 256.0));
            }
        }
        say("bbr:", text + ")");
    }
    if let (Some(rtt), Some(mss), Some(cwnd)) = (tcp.rtt_us(), tcp.snd_mss(), tcp.snd_cwnd())
        && mss != 0
        && cwnd != 0
    {
        let bits = f64::from(cwnd) * f64::from(mss) * 8_000_000.0 / f64::from(rtt);
        say("send:", format!("{bits:.0}bps"));
    }
    if let Some(pacing) = tcp.pacing_rate().filter(|&bytes| bytes != 0) {
        let most =
            tcp.max_pacing_rate().filter(|&bytes| bytes != 0).map_or(String::new(), |most| format!("/{}", rate(most)));
        say("pacing_rate", rate(pacing) + &most);
    }
    if let Some(delivery) = tcp.delivery_rate() {
        say("delivery_rate", rate(delivery));
    }
    if tcp.delivery_rate_app_limited() == Some(true) {
        say("app_limited", String::new());
    }
    if let Some(busy) = tcp.busy_time_us().filter(|&busy| busy != 0) {
        say("busy", format!("{}ms", busy / 1000));
        for (name, micros) in [("rwnd_limited", tcp.rwnd_limited_us()), ("sndbuf_limited", tcp.sndbuf_limited_us())] {
            if let Some(micros) = micros.filter(|&micros| micros != 0) {
                say(name, format!("{}ms({:.1}%)", micros / 1000, micros as f64 * 100.0 / busy as f64));
            }
        }
    }
    if let (Some(retrans), Some(total)) = (tcp.retrans(), tcp.total_retrans())
        && (retrans, total) != (0, 0)
    {
        say("retrans", format!("{retrans}/{total}"));
    }
}

/// A time as `ss` writes it in a timer, in milliseconds: `1min2sec`, `1.5sec`, `204ms`.
fn milliseconds(text: &str) -> f64 {
    let mut rest = text;
    let mut sum = 0.0;
    while let Some(end) = rest.find(|c: char| c.is_ascii_alphabetic()) {
        let number: f64 = rest[..end].parse().expect("a number");
        let unit = &rest[end..];
        let (factor, length) = match unit {
            _ if unit.starts_with("min") => (60_000.0, 3),
            _ if unit.starts_with("sec") => (1000.0, 3),
            _ => (1.0, 2),
        };
        sum += number * factor;
        rest = &unit[length..];
    }
    sum
}

/// One line of `ss` as words.
fn read_ss(line: &str) -> Words {
    let mut words = Words::new();
    let tokens: Vec<&str> = line.split_whitespace().collect();
    let unix = tokens[0].starts_with("u_");
    for (name, token) in ["netid", "state", "recv", "send"].iter().zip(&tokens) {
        words.insert((*name).to_owned(), (*token).to_owned());
    }
    let mut rest = if unix {
        words.insert("local".into(), format!("{} {}", tokens[4], tokens[5]));
        words.insert("peer".into(), tokens[7].to_owned());
        tokens[8..].iter()
    } else {
        words.insert("local".into(), tokens[4].to_owned());
        words.insert("peer".into(), tokens[5].to_owned());
        tokens[6..].iter()
    };
    while let Some(&token) = rest.next() {
        let (name, value) = match token {
            "send" => ("send:", *rest.next().expect("a rate")),
            "pacing_rate" | "delivery_rate" => (token, *rest.next().expect("a rate")),
            "<->" | "-->" | "<--" | "---" => ("shutdown", token),
            "flags(" | ")" | "peers:" => continue,
            _ if token.starts_with("users:") => continue,
            _ if token.starts_with("bbr:") => ("bbr:", &token[4..]),
            _ => token.split_once(':').unwrap_or((token, "")),
        };
        let value = match (name, value.strip_prefix('(').and_then(|value| value.strip_suffix(')'))) {
            ("timer", Some(timer)) => {
                let [kind, time, tries] = timer.split(',').collect::<Vec<_>>()[..] else { panic!("{timer}") };
                format!("{kind},{},{tries}", milliseconds(time))
            }
            _ => value.to_owned(),
        };
        assert!(words.insert(name.to_owned(), value).is_none(), "{name} twice: {line}");
    }
    words
}

/// Whether two values are the same, within the bounds of what moves.
fn agree(name: &str, ours: &str, theirs: &str) -> bool {
    let near = |bound: f64| {
        let number = |text: &str| text.parse::<f64>().unwrap_or(f64::NAN);
        (number(ours) - number(theirs)).abs() <= bound
    };
    match name {
        "lastsnd" | "lastrcv" | "lastack" => near(500.0),
        // Above ten seconds `ss` gives whole ones, above ten minutes whole minutes.
        "timer" => {
            let part = |text: &str, place: usize| text.split(',').nth(place).unwrap_or_default().to_owned();
            let time = |text: &str| part(text, 1).parse::<f64>().unwrap_or(f64::NAN);
            let bound = if time(ours) > 600_000.0 { 61_000.0 } else { 1500.0 };
            part(ours, 0) == part(theirs, 0)
                && part(ours, 2) == part(theirs, 2)
                && (time(ours) - time(theirs)).abs() <= bound
        }
        // With a mounted hierarchy `ss` shows the path; the id is then another test's.
        "cgroup" if !theirs.starts_with("unreachable") => true,
        _ => ours == theirs,
    }
}

/// It does not ask for UDP-Lite.
fn known_to_ss(sample: &&SocketSample) -> bool {
    sample.protocol != 136
}

fn identity(words: &Words) -> String {
    match words.get("sk").filter(|cookie| !cookie.is_empty()) {
        Some(cookie) => cookie.clone(),
        None => format!("{} {} {}", words["netid"], words["local"], words["peer"]),
    }
}

#[test]
fn every_socket_and_every_field_that_ss_prints_is_ours() {
    let Some(namespace) = Namespace::new("ss") else { return };
    let Some((mut actors, said)) = namespace.actors() else { return };
    eprintln!("{said}");
    let ss = || {
        let output = namespace.command("ss").args(["-tuxw0Maniemop", "-OH"]).output();
        output
            .ok()
            .filter(|output| output.status.success())
            .map(|output| String::from_utf8_lossy(&output.stdout).into_owned())
    };
    let Some(before) = ss() else {
        let _ = writeln!(std::io::stderr(), "SKIPPED: needs ss");
        return;
    };
    let mut source = Sockets::open(namespace.options()).expect("sock_diag");
    let (samples, _) = all(&mut source);
    let after = ss().expect("again");

    let ours: BTreeMap<String, Words> = samples
        .iter()
        .filter(known_to_ss)
        .map(|sample| as_ss(sample, &source))
        .map(|words| (identity(&words), words))
        .collect();
    let theirs = |text: &str| -> BTreeMap<String, Words> {
        text.lines().map(read_ss).map(|words| (identity(&words), words)).collect()
    };
    let theirs = [theirs(&before), theirs(&after)];
    let mut fields: BTreeMap<&str, usize> = BTreeMap::new();
    let mut wrong = Vec::new();
    for (key, words) in &theirs[1] {
        let Some(mine) = ours.get(key) else {
            // What came after our poll is not in the first answer either.
            if theirs[0].contains_key(key) {
                wrong.push(format!("{key}: no such socket here: {words:?}"));
            }
            continue;
        };
        let netid = &words["netid"];
        for name in words.keys().chain(mine.keys()) {
            let said = |words: &Words| words.get(name).cloned();
            let (mine, now) = (said(mine), said(words));
            // Before an answer the kernel counts from the machine's start.
            if words["state"] == "SYN-SENT" && name.starts_with("last") {
                assert_eq!(mine, None, "{key} {name}");
                continue;
            }
            let then = theirs[0].get(key).and_then(said);
            let same = |theirs: &Option<String>| match (&mine, theirs) {
                (Some(mine), Some(theirs)) => agree(name, mine, theirs),
                (mine, theirs) => mine == theirs,
            };
            // A timer may have ended or begun between.
            if !same(&now) && !same(&then) {
                wrong.push(format!("{key} {netid} {name}: ours {mine:?}, ss {then:?} and then {now:?}"));
            }
            *fields.entry(name.as_str()).or_default() += 1;
        }
    }
    let known = theirs.iter().flat_map(|words| words.keys()).collect::<std::collections::BTreeSet<_>>();
    wrong.extend(ours.keys().filter(|key| !known.contains(key)).map(|key| format!("{key}: ss does not have it")));
    let table: Vec<String> = fields.iter().map(|(name, count)| format!("{name} {count}")).collect();
    eprintln!("{} sockets; fields compared: {}", theirs[1].len(), table.join(", "));
    drop(actors.stdin.take());
    let _ = actors.wait();
    assert!(wrong.is_empty(), "{} differ:\n{}", wrong.len(), wrong.join("\n"));
    assert!(theirs[1].len() > 80 && fields.len() > 50, "too little to compare");
}
