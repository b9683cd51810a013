//! Every socket and every word that `ss` prints has its column in `flow sockets`, in a namespace with sockets of every kind.
//!
//! Needs root, `ip`, `ss` and python3; says so where they are missing. A word that is not known here fails the test. `ss` is
//! asked before and after; a value agrees with one of both. Bounds: times since something by half a second and timers by one
//! and a half (`ss` rounds long ones to minutes), rates by a thousandth (`ss` writes six digits).

#[path = "../../flowsrc-netlink/tests/support/mod.rs"]
mod support;

use std::collections::BTreeMap;
use std::io::Write;

use serde_json::Value;
use support::Namespace;

const FLOW: &str = env!("CARGO_BIN_EXE_flow");

/// What a program prints within a namespace.
fn lines(namespace: &Namespace, program: &str, arguments: &[&str]) -> Option<Vec<String>> {
    let output = namespace.command(program).args(arguments).output().ok().filter(|output| output.status.success())?;
    Some(String::from_utf8_lossy(&output.stdout).lines().map(str::to_owned).collect())
}

/// One socket of `ss`: words with their values, empty where there is none.
fn read_ss(line: &str) -> BTreeMap<String, String> {
    let tokens: Vec<&str> = line.split_whitespace().collect();
    let mut words = BTreeMap::new();
    let mut say = |name: &str, value: &str| {
        assert!(words.insert(name.to_owned(), value.to_owned()).is_none(), "{name} twice: {line}");
    };
    for (name, token) in ["netid", "state", "recv", "send"].iter().zip(&tokens) {
        say(name, token);
    }
    let rest = if tokens[0].starts_with("u_") {
        say("path", tokens[4]);
        say("inode", tokens[5]);
        say("peer-inode", tokens[7]);
        &tokens[8..]
    } else {
        say("local", tokens[4]);
        say("peer", tokens[5]);
        &tokens[6..]
    };
    let mut rest = rest.iter();
    while let Some(&token) = rest.next() {
        match token {
            "send" | "pacing_rate" | "delivery_rate" => say(&format!("{token}-rate"), rest.next().expect("a rate")),
            "<->" | "-->" | "<--" | "---" => say("shutdown", token),
            "flags(" => {
                let flags: Vec<&str> = rest.by_ref().copied().take_while(|word| *word != ")").collect();
                say("packet-flags", &flags.join(" "));
            }
            "peers:" => {}
            // The same word without a colon is the congestion control itself.
            _ if token.starts_with("bbr:") => say("bbr-says", &token["bbr:".len()..]),
            _ => {
                let (name, value) = token.split_once(':').unwrap_or((token, ""));
                say(name, value);
            }
        }
    }
    words
}

/// A time as in `1min2sec`, `1.5sec`, `204ms`, in nanoseconds.
fn span(text: &str) -> f64 {
    let mut rest = text;
    let mut sum = 0.0;
    while let Some(end) = rest.find(|c: char| c.is_ascii_alphabetic()) {
        let number: f64 = rest[..end].parse().expect("a number");
        let unit = ["min", "sec", "ms"].into_iter().find(|unit| rest[end..].starts_with(unit)).expect("a unit");
        sum += number
            * match unit {
                "min" => 60e9,
                "sec" => 1e9,
                _ => 1e6,
            };
        rest = &rest[end + unit.len()..];
    }
    sum
}

/// Our row, by columns.
struct Row<'a>(&'a Value);

impl Row<'_> {
    fn number(&self, column: &str) -> f64 {
        self.0[column].as_f64().unwrap_or(f64::NAN)
    }

    fn text(&self, column: &str) -> &str {
        self.0[column].as_str().unwrap_or_default()
    }

    /// `ss` prints a count, plain or in hexadecimal.
    fn is(&self, column: &str, theirs: &str) -> bool {
        theirs.parse::<u64>().is_ok_and(|theirs| self.0[column].as_u64() == Some(theirs))
    }

    fn is_hex(&self, column: &str, theirs: &str) -> bool {
        let digits = theirs.trim_start_matches("0x");
        u64::from_str_radix(digits, 16).is_ok_and(|theirs| self.0[column].as_u64() == Some(theirs))
    }

    /// `ss` prints milliseconds.
    fn is_millis(&self, column: &str, theirs: &str, bound_ns: f64) -> bool {
        let theirs = theirs.trim_end_matches("ms").parse::<f64>().map(|millis| millis * 1e6);
        theirs.is_ok_and(|theirs| (self.number(column) - theirs).abs() <= bound_ns)
    }

    /// `ss` prints bits per second.
    fn is_rate(&self, column: &str, theirs: &str) -> bool {
        let bits = theirs.trim_end_matches("bps").parse::<f64>();
        bits.is_ok_and(|bits| (self.number(column) * 8.0 - bits).abs() <= bits / 1e3 + 8.0)
    }

    fn has_word(&self, column: &str, word: &str) -> bool {
        self.text(column).split(' ').any(|own| own == word)
    }

    /// `NAME=VALUE` in a column of several such.
    fn part(&self, column: &str, name: &str) -> Option<&str> {
        self.text(column).split(' ').find_map(|part| part.strip_prefix(name)?.strip_prefix('='))
    }

    /// Type and interface; 3 is every type, as `ss` has no names with -n.
    fn packet_end(&self) -> String {
        let interface = if self.0["interface"].is_null() { "*" } else { self.text("interface") };
        match self.0["protocol"].as_u64() {
            Some(3) => format!("*:{interface}"),
            Some(number) => format!("[{number}]:{interface}"),
            None => "no type".to_owned(),
        }
    }

    fn end(&self, side: &str) -> String {
        let column = |what: &str| format!("{side}_{what}");
        if self.text("family") == "packet" {
            return if side == "local" { self.packet_end() } else { "*".to_owned() };
        }
        let (ip, is_six) = (self.text(&column("ip")), self.text("family") == "inet6");
        let mut text = match () {
            () if !is_six => ip.to_owned(),
            () if ip == "::" && self.0["v6only"] != true => "*".to_owned(),
            () if ip.contains(':') => format!("[{ip}]"),
            () => format!("[::ffff:{ip}]"),
        };
        if side == "local" && !self.0["interface"].is_null() {
            text += &format!("%{}", self.text("interface"));
        }
        let port = match (self.text("kind"), side) {
            ("raw", "local") => self.number("protocol"),
            _ => self.number(&column("port")),
        };
        if port > 0.0 { format!("{text}:{port}") } else { format!("{text}:*") }
    }

    /// Whether a word of `ss` is what we have; `None` if the word is not known here.
    fn agrees(&self, name: &str, theirs: &str) -> Option<bool> {
        let listens = self.text("state") == "listen";
        let is_packet = self.text("family") == "packet";
        let split = |separator: char| theirs.split_once(separator).unwrap_or((theirs, ""));
        const HALF_SECOND: f64 = 5e8;
        Some(match name {
            "netid" => {
                let kind = match theirs {
                    "u_str" => "unix_stream",
                    "u_dgr" => "unix_dgram",
                    "u_seq" => "unix_seqpacket",
                    "p_raw" => "packet_raw",
                    "p_dgr" => "packet_dgram",
                    same => same,
                };
                self.text("kind") == kind
            }
            "state" => {
                let state = match theirs {
                    "ESTAB" => "established".to_owned(),
                    "FIN-WAIT-1" => "fin_wait1".to_owned(),
                    "FIN-WAIT-2" => "fin_wait2".to_owned(),
                    other => other.to_lowercase().replace('-', "_"),
                };
                self.text("state") == state || (theirs == "UNCONN" && self.text("state") == "close")
            }
            "recv" => self.is(if listens { "backlog" } else { "recv_q" }, theirs),
            // What `ss` prints where it is told nothing.
            "send" if is_packet => theirs == "0" && self.0["send_q"].is_null(),
            "send" => self.is(if listens { "backlog_max" } else { "send_q" }, theirs),
            "local" => self.end("local") == theirs,
            "peer" => self.end("remote") == theirs,
            "path" => self.text("path") == if theirs == "*" { "" } else { theirs },
            "inode" => self.is("inode", theirs),
            "peer-inode" => theirs == "0" && self.0["peer_inode"].is_null() || self.is("peer_inode", theirs),
            "users" => {
                let ours = self.text("holders").split(' ').map(str::to_owned);
                let theirs = theirs.trim_start_matches("((").trim_end_matches("))").split("),(");
                let holder = |text: &str| {
                    let (name, numbers) = text.split_once(",pid=")?;
                    let (pid, descriptor) = numbers.split_once(",fd=")?;
                    Some(format!("{pid}/{descriptor}/{}", name.trim_matches('"')))
                };
                let theirs: Option<std::collections::BTreeSet<String>> = theirs.map(holder).collect();
                theirs.is_some_and(|theirs| theirs == ours.collect())
            }
            "timer" => {
                let parts: Vec<&str> = theirs.trim_matches(['(', ')']).split(',').collect();
                let [kind, time, tries] = parts[..] else { return Some(false) };
                let kind = match kind {
                    "on" => "retransmit",
                    "timewait" => "time_wait",
                    "persist" => "probe",
                    same => same,
                };
                let time = span(time);
                let bound = if time > 600e9 { 61e9 } else { 1.5e9 };
                let near = (self.number("timer_ns") - time).abs() <= bound;
                self.text("timer") == kind && near && self.is("timer_retrans", tries)
            }
            "uid" => self.is("uid", theirs),
            "ino" if self.text("family") == "unix" => self.is("path_inode", theirs),
            "ino" => theirs == "0" && self.0["inode"].is_null() || self.is("inode", theirs),
            "dev" => {
                // The kernel says major << 20 | minor; ss reads it as the C library's other form.
                let device = self.number("path_device") as u64;
                theirs == format!("{}/{}", device >> 8 & 0xfff, device & 0xff | device >> 12 & !0xff)
            }
            "sk" => self.is_hex("cookie", theirs),
            "fwmark" => self.is_hex("mark", theirs),
            "cgroup" => match theirs.strip_prefix("unreachable:") {
                Some(id) => self.is_hex("cgroup_id", id),
                None => self.text("cgroup") == theirs,
            },
            "v6only" => self.0["v6only"] == (theirs == "1"),
            "shutdown" => {
                let ours = match self.text("shutdown") {
                    "" => "<->",
                    "receive" => "-->",
                    "send" => "<--",
                    _ => "---",
                };
                ours == theirs
            }
            "skmem" => {
                const COLUMNS: [&str; 9] = [
                    "rmem_bytes",
                    "rcvbuf_bytes",
                    "wmem_bytes",
                    "sndbuf_bytes",
                    "fwd_bytes",
                    "wqueue_bytes",
                    "optmem_bytes",
                    "backlog_bytes",
                    "drops",
                ];
                let values: Vec<&str> = theirs.trim_matches(['(', ')']).split(',').collect();
                let number = |text: &str| text.trim_start_matches(|c: char| c.is_ascii_alphabetic()).to_owned();
                values.len() == 9 && COLUMNS.iter().zip(values).all(|(column, value)| self.is(column, &number(value)))
            }
            "ver" => self.number("ring_version") - 1.0 == theirs.parse().unwrap_or(f64::NAN),
            "cpy_thresh" => self.is("copy_threshold", theirs),
            "packet-flags" if theirs == "0" => self.text("packet_flags").is_empty(),
            "packet-flags" => self.text("packet_flags") == theirs,
            "ts" => self.has_word("tcp_options", "timestamps"),
            "sack" => self.has_word("tcp_options", "sack"),
            "ecn" => self.has_word("tcp_options", "ecn"),
            "ecnseen" => self.has_word("tcp_options", "ecn_seen"),
            "fastopen" => self.has_word("tcp_options", "syn_data"),
            "wscale" => self.is("snd_wscale", split(',').0) && self.is("rcv_wscale", split(',').1),
            "rto" => self.is_millis("rto_ns", theirs, 1e6),
            "rtt" => {
                let (rtt, deviation) = split('/');
                // Six digits.
                self.is_millis("rtt_ns", rtt, 1e3) && self.is_millis("rttvar_ns", deviation, 1e3)
            }
            "ato" => self.is_millis("ato_ns", theirs, 1e6),
            "minrtt" => self.is_millis("min_rtt_ns", theirs, 1e3),
            "rcv_rtt" => self.is_millis("rcv_rtt_ns", theirs, 1e3),
            "rcvmss" => self.is("rcv_mss", theirs),
            // Before an answer the kernel counts from the machine's start.
            "lastsnd" | "lastrcv" | "lastack" if self.text("state") == "syn_sent" => self.0["last_sent_ns"].is_null(),
            "lastsnd" => self.is_millis("last_sent_ns", theirs, HALF_SECOND),
            "lastrcv" => self.is_millis("last_received_ns", theirs, HALF_SECOND),
            "lastack" => self.is_millis("last_ack_ns", theirs, HALF_SECOND),
            "busy" => self.is_millis("busy_ns", theirs, 1e6),
            "rwnd_limited" => self.is_millis("rwnd_limited_ns", split('(').0, 1e6),
            "sndbuf_limited" => self.is_millis("sndbuf_limited_ns", split('(').0, 1e6),
            "retrans" => self.is("retrans", split('/').0) && self.is("total_retrans", split('/').1),
            "send-rate" => self.is_rate("send_rate", theirs),
            "pacing_rate-rate" => {
                self.is_rate("pacing_rate", split('/').0)
                    && (!theirs.contains('/') || self.is_rate("max_pacing_rate", split('/').1))
            }
            "delivery_rate-rate" => self.is_rate("delivery_rate", theirs),
            "app_limited" => self.0["app_limited"] == true,
            // Of a listener the kernel says so what waits to be accepted.
            "unacked" if listens => self.is("backlog", theirs),
            "notsent" => self.is("notsent_bytes", theirs),
            "mss" | "pmtu" | "advmss" | "cwnd" | "ssthresh" | "backoff" | "bytes_sent" | "bytes_retrans"
            | "bytes_acked" | "bytes_received" | "segs_out" | "segs_in" | "data_segs_out" | "data_segs_in"
            | "delivered" | "delivered_ce" | "unacked" | "lost" | "sacked" | "fackets" | "dsack_dups"
            | "reordering" | "reord_seen" | "rcv_space" | "rcv_ssthresh" | "rcv_ooopack" | "snd_wnd" | "subflows"
            | "subflows_max" => self.is(name, theirs),
            "write_seq" | "snd_una" | "rcv_nxt" => self.is_hex(name, theirs),
            "token" if self.text("kind") == "mptcp" => self.is_hex("token", theirs),
            "token" => {
                let ours = ["token_remote", "id_remote", "token_local", "id_local"].map(|name| self.part("ulp", name));
                let [Some(remote), Some(remote_id), Some(local), Some(local_id)] = ours else { return Some(false) };
                theirs == format!("{remote:0>4}(id:{remote_id})/{local:0>4}(id:{local_id})")
            }
            "remote_key" => self.number("mptcp_flags") as u64 & 2 != 0,
            "seq" | "sfseq" | "ssnoff" | "maplen" => {
                let ours = match name {
                    "seq" => "map_seq",
                    "sfseq" => "map_subflow_seq",
                    "ssnoff" => "subflow_seq_offset",
                    _ => "map_len",
                };
                let ours = self.part("ulp", ours).and_then(|ours| ours.parse::<u64>().ok());
                ours.is_some() && ours == u64::from_str_radix(theirs, 16).ok()
            }
            "flags" => {
                let bits: u32 = self.part("ulp", "flags")?.parse().ok()?;
                let letters = "MmJjBbecv".chars().zip(0..).filter(|(_, bit)| bits >> bit & 1 == 1);
                letters.map(|(letter, _)| letter).collect::<String>() == theirs
            }
            _ if name.starts_with("tcp-ulp-") => self.text("ulp").starts_with(&name["tcp-ulp-".len()..]),
            "bbr-says" => {
                let inner = theirs.trim_matches(['(', ')']);
                let said =
                    |wanted: &str| inner.split(',').find_map(|part| part.strip_prefix(wanted)?.strip_prefix(':'));
                let ours = |name: &str| self.part("congestion_info", name)?.parse::<f64>().ok();
                let near = |theirs: Option<f64>, ours: Option<f64>| match theirs {
                    Some(theirs) => ours.is_some_and(|ours| (ours - theirs).abs() <= theirs.abs() / 1e3 + 1.0),
                    None => true,
                };
                let number =
                    |text: Option<&str>| text.and_then(|text| text.trim_end_matches("bps").parse::<f64>().ok());
                near(number(said("bw")), ours("bandwidth").map(|bytes| bytes * 8.0))
                    && near(number(said("mrtt")).map(|millis| millis * 1e3), ours("min_rtt_us"))
                    && near(number(said("pacing_gain")), ours("pacing_gain"))
                    && near(number(said("cwnd_gain")), ours("cwnd_gain"))
            }
            // The name of the congestion control stands alone.
            _ if theirs.is_empty() && self.text("congestion") == name => true,
            _ => return None,
        })
    }
}

/// By the cookie, or where `ss` does not print it by the inode or the ends.
fn identity(words: &BTreeMap<String, String>) -> String {
    match (words.get("sk"), words.get("inode")) {
        (Some(cookie), _) => cookie.clone(),
        (None, Some(inode)) => format!("inode {inode}"),
        (None, None) => format!("{} {} {}", words["netid"], words["local"], words["peer"]),
    }
}

#[test]
fn every_word_of_ss_has_its_column() {
    let Some(namespace) = Namespace::new("columns") else { return };
    let Some((mut actors, said)) = namespace.actors() else { return };
    eprintln!("{said}");
    let ss = || lines(&namespace, "ss", &["-tuxw0Maniemop", "-OH"]);
    let Some(before) = ss() else {
        let _ = writeln!(std::io::stderr(), "SKIPPED: needs ss");
        return;
    };
    let printed = lines(&namespace, FLOW, &["sockets", "-a", "--columns", "all", "-o", "jsonl"]).expect("flow runs");
    let after = ss().expect("again");
    let rows: Vec<Value> = printed.iter().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    let mut ours = BTreeMap::new();
    for row in rows.iter().filter(|row| row["type"] == "socket") {
        let here = Row(row);
        let key = match (here.text("family"), here.text("kind")) {
            ("unix", _) => format!("inode {}", row["inode"]),
            (_, "raw") => format!("raw {} {}", here.end("local"), here.end("remote")),
            _ => format!("{:x}", here.number("cookie") as u64),
        };
        ours.insert(key, row);
    }
    let theirs = [before, after].map(|lines| -> BTreeMap<String, BTreeMap<String, String>> {
        lines.iter().map(|line| read_ss(line)).map(|words| (identity(&words), words)).collect()
    });
    let (mut wrong, mut words) = (Vec::new(), BTreeMap::<&str, usize>::new());
    for (key, said) in &theirs[1] {
        let Some(then) = theirs[0].get(key) else { continue };
        let Some(&row) = ours.get(key) else {
            wrong.push(format!("no such socket here: {said:?}"));
            continue;
        };
        for (name, value) in said {
            let now = Row(row).agrees(name, value);
            let before = then.get(name).is_none_or(|value| Row(row).agrees(name, value) == Some(true));
            match now {
                None => wrong.push(format!("{key}: nothing here is `{name}:{value}`")),
                // A timer that was not there before may have begun since.
                Some(false) if !(before && (then.get(name) != Some(value))) => {
                    wrong.push(format!("{key} {name}: ss {:?} and then {value}; here {row}", then.get(name)));
                }
                Some(_) => *words.entry(name).or_default() += 1,
            }
        }
    }
    let counted: Vec<String> = words.iter().map(|(name, count)| format!("{name} {count}")).collect();
    eprintln!("{} sockets; words compared: {}", theirs[1].len(), counted.join(", "));
    drop(actors.stdin.take());
    let _ = actors.wait();
    assert!(wrong.is_empty(), "{} differ:\n{}", wrong.len(), wrong.join("\n"));
    assert!(theirs[1].len() > 80 && words.len() > 50, "too little to compare");
}
