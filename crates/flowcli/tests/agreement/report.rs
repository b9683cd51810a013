//! `docs/agreement.md`: the figures, and every disagreement with its cause.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use crate::sheet::{Disagreement, Score, Sheet, Statistic};

/// How the report begins.
const HEAD: &str = "\
# Agreement with independent tools

Written by `make agreement`; checked by `cargo test -p flowcli --test agreement`, which fails when a disagreement has no
cause or when fewer cells agree than this file says. Our side is `flow conns -o jsonl` and the events of
`flowsrc_pcap::Files`. Their side was made by these tools, none of which shares code with this project:

| tool | version | says |
| --- | --- | --- |
| tshark, capinfos | 4.0.17 | every field of every packet, conversations, TCP streams, their analysis, HTTP messages, bounds |
| tcpdump / libpcap | 4.99.3 / 1.10.3 | which files open |
| argus, ra | 3.0.8.2 | bidirectional flows, halves of handshakes |
| tcptrace | 6.6.7 | round trips, retransmissions, missing data |
| nfpcapd, nfdump | 1.7.1 | one-way flows |
| Zeek | baselines of its own test suite | connection states and histories |
| nDPI, Arkime | baselines of their own test suites | flows, sessions |
| nginx, curl | 1.22.1, 7.88.1 | requests, bytes and times of the laboratory's captures, as they who took part saw them |
| Linux | nstat, nft | counters of both kernels of these captures |

tshark's completeness is compared as it is after a stream's last packet: what it prints on a packet is the value before
that packet, which the packets prove. It does not count the first packet of a stream that it sees from the middle; most
of the disagreements there are 797 streams of one packet each. Zeek's logs are compared with `flow conns -o zeek`.

Repetitions, round trips, turns and their times are those that `flowstats::tcp` tells of a connection. Classes of packets are
compared packet by packet: a cell agrees if both sides name the same packets of the connection, and each packet that only one
names has a cause computed from the packets. `crates/flowcli/tests/agreement/tshark.tsv` has the packets that tshark names
(`tshark.sh` writes it). tcptrace prints sums: its samples and classes are computed here by its rules, and must come to the sums
that it printed before a difference is explained. Of tcptrace, *a* is the sender of the first packet, and the round trips *of a* are
those of a's data.

Not compared: tshark's window updates, full windows and keep-alive ACKs, which ours does not count; tcptrace's full-size samples,
which are those of SYN and FIN where there are both (of the six segments with 1448 bytes of connection 1 in
encap/mixed-vlan-mpls.pcap it counts none); tcptrace's duplicate ACKs. Requests and responses of a stream that ours cuts are
the sums of its parts. All messages that tshark reads as HTTP are compared, 2,590 requests and 1,636 responses, but for the
time of one response, which is no 64-bit number of nanoseconds (packet 139 of pcapng-format/pcapng-example.pcapng). A request
of ours begins with its first byte and a response ends with its last; an HTTP dissector names the segments that complete them.

The laboratory's packets were captured at the client's interface. curl's first byte and last byte of the first request are
counted from the end of its connect time, of later ones from their start, ours from the first byte of the request. Not compared:
nginx's request time, which ends when the last byte is in the socket's buffer, and the RTT that its kernel estimates at the far end.

A *cell* is one value compared with one value. A value that neither side has is no cell.
";

/// Writes the report.
pub fn render(sheet: &Sheet, files: usize) -> String {
    let mut out = String::from(HEAD);
    let _ = writeln!(out, "\n## Figures\n\n{files} files.\n");
    out.push_str("| statistic | compared | equal | agreement | explained | one cell is |\n");
    out.push_str("| --- | ---: | ---: | ---: | ---: | --- |\n");
    for statistic in Statistic::ALL {
        let Score { compared, equal } = sheet.scores.get(&statistic).copied().unwrap_or_default();
        let explained =
            sheet.disagreements.iter().filter(|one| one.statistic == statistic && one.cause.is_some()).count();
        let _ = writeln!(
            out,
            "| {} | {compared} | {equal} | {} | {explained} | {} |",
            statistic.name(),
            percent(equal, compared),
            statistic.meaning()
        );
    }
    out.push_str("\n## Disagreements\n");
    for statistic in Statistic::ALL {
        disagreements(&mut out, sheet, statistic);
    }
    if !sheet.skipped.is_empty() {
        out.push_str("\n## Not compared\n\n");
        for line in &sheet.skipped {
            let _ = writeln!(out, "- {line}");
        }
    }
    out
}

/// A share in per cent, rounded down so that 100 means all.
fn percent(equal: u64, compared: u64) -> String {
    match (equal * 10_000).checked_div(compared) {
        Some(share) => format!("{}.{:02} %", share / 100, share % 100),
        None => "–".to_owned(),
    }
}

/// Disagreements of one statistic: a row for each file, field and cause.
fn disagreements(out: &mut String, sheet: &Sheet, statistic: Statistic) {
    let mut groups: BTreeMap<(&str, &str, &str), Vec<&Disagreement>> = BTreeMap::new();
    for one in sheet.disagreements.iter().filter(|one| one.statistic == statistic) {
        let cause = one.cause.as_deref().unwrap_or("**unexplained**");
        groups.entry((&one.file, cause, one.field)).or_default().push(one);
    }
    if groups.is_empty() {
        return;
    }
    let _ = writeln!(out, "\n### {}\n", statistic.name());
    out.push_str("| file | field | cells | which | ours / theirs | cause |\n| --- | --- | ---: | --- | --- | --- |\n");
    for ((file, cause, field), group) in groups {
        let values = match &group[..] {
            [] => String::new(),
            [only] => format!("{} / {}", only.ours, only.theirs),
            [first, ..] => {
                let same = group.iter().all(|one| one.ours == first.ours && one.theirs == first.theirs);
                format!("{}{} / {}", if same { "" } else { "first: " }, first.ours, first.theirs)
            }
        };
        let which = subjects(&group);
        let cells = group.len();
        let _ = writeln!(out, "| {file} | {field} | {cells} | {which} | {} | {cause} |", values.replace('|', "\\|"));
    }
}

/// Every subject of a group; runs of packets as ranges.
fn subjects(group: &[&Disagreement]) -> String {
    let mut words: Vec<String> = Vec::new();
    let mut run: Option<(u64, u64)> = None;
    let mut done: BTreeSet<&str> = BTreeSet::new();
    let flush = |run: &mut Option<(u64, u64)>, words: &mut Vec<String>| {
        if let Some((first, last)) = run.take() {
            words.push(if first == last { first.to_string() } else { format!("{first}–{last}") });
        }
    };
    for one in group {
        match one.subject.strip_prefix("packet ").and_then(|number| number.parse::<u64>().ok()) {
            Some(number) => match &mut run {
                Some((_, last)) if *last + 1 == number => *last = number,
                _ => {
                    flush(&mut run, &mut words);
                    run = Some((number, number));
                }
            },
            None if one.subject.is_empty() => words.push("the file".to_owned()),
            None if one.packets.is_empty() => words.push(one.subject.clone()),
            None if done.contains(one.subject.as_str()) => {}
            None => {
                done.insert(&one.subject);
                let packets = group.iter().filter(|other| other.subject == one.subject).flat_map(|one| &one.packets);
                let packets: Vec<usize> = packets.copied().collect();
                words.push(format!("{}: {}", one.subject, ranges(&packets)));
            }
        }
    }
    flush(&mut run, &mut words);
    let packets = group.first().is_some_and(|one| one.subject.starts_with("packet "));
    format!("{}{}", if packets { "packets " } else { "" }, words.join(", "))
}

/// Packet numbers, runs as ranges; of many the first ones and how many more.
fn ranges(packets: &[usize]) -> String {
    const MOST: usize = 12;
    let mut runs: Vec<(usize, usize)> = Vec::new();
    for &packet in packets {
        match runs.last_mut() {
            Some((_, last)) if *last + 1 == packet => *last = packet,
            _ => runs.push((packet, packet)),
        }
    }
    let more = runs.iter().skip(MOST).map(|(first, last)| last - first + 1).sum::<usize>();
    let word =
        |&(first, last): &(usize, usize)| if first == last { first.to_string() } else { format!("{first}–{last}") };
    let words: Vec<String> = runs.iter().take(MOST).map(word).collect();
    let packets = format!("packets {}", words.join(" "));
    if more > 0 { format!("{packets} and {more} more") } else { packets }
}

/// The cells equal of each statistic, as a report says.
pub fn figures(report: &str) -> BTreeMap<String, Score> {
    let mut figures = BTreeMap::new();
    for line in report.lines() {
        let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
        if let [name, compared, equal, ..] = cells[..]
            && let (Ok(compared), Ok(equal)) = (compared.parse(), equal.parse())
            && Statistic::ALL.iter().any(|statistic| statistic.name() == name)
        {
            figures.insert(name.to_owned(), Score { compared, equal });
        }
    }
    figures
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_gives_back_its_figures() {
        let mut sheet = Sheet::default();
        sheet.scores.insert(Statistic::Handshakes, Score { compared: 7, equal: 6 });
        assert_eq!(figures(&render(&sheet, 1))["handshake times"], Score { compared: 7, equal: 6 });
    }

    #[test]
    fn a_share_is_whole_only_if_all_agree() {
        assert_eq!(percent(99_999, 100_000), "99.99 %");
        assert_eq!(percent(3, 3), "100.00 %");
        assert_eq!(percent(0, 0), "–");
    }
}
