//! The trust line: the ledger as every report ends with it, in words, as JSON and as a comment.

use crate::event::Layer;
use crate::ledger::{Ledger, Loss, Polls};
use crate::report::cell::{push_escaped, push_json_text, push_u64};
use crate::report::rows::Ending;

/// How [`Ending::fault`] begins where a limit of the user's ended the reading.
const STOPPED: &str = "stopped by ";

/// The most trustworthy integer of a JSON reader that knows only doubles: 2^53.
pub(super) const SAFE_INTEGER: u64 = 1 << 53;

/// One of them, and several.
const DUPLICATES: [&str; 2] = ["duplicate from another interface", "duplicates from another interface"];

/// One fact of the trust line for a person.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Clause {
    /// A part of the sentence.
    pub words: String,
    /// Something is missing or wrong; may be highlighted.
    pub warns: bool,
}

/// The trust line in words, one clause per fact. Facts that are zero are left out, except the balance itself; what the
/// source cannot know is named.
pub fn trust_clauses(ending: &Ending<'_>) -> Vec<Clause> {
    let ledger = ending.ledger;
    let lost: Vec<String> = known_losses(ledger)
        .filter(|&(_, packets)| packets > 0)
        .map(|(loss, packets)| {
            let bound = if ledger.is_partly_known(loss) { "≥" } else { "" };
            format!("{} {bound}{packets}", loss.name())
        })
        .collect();
    let mut balance = format!(
        "{} {} seen = {} delivered + {} filtered + {} lost",
        ledger.seen(),
        if ledger.seen() == 1 { "packet" } else { "packets" },
        ledger.delivered(),
        ledger.filtered(),
        ledger.lost_total()
    );
    if !lost.is_empty() {
        balance = format!("{balance} ({})", lost.join(", "));
    }
    let mut clauses = Vec::new();
    if let Some(polls) = &ledger.sockets {
        say_polls(polls, &mut clauses);
    }
    // What polls tell of packets are increments of counters: there is no capture to account for.
    if ledger.sockets.is_none() {
        clauses.push(Clause { words: balance, warns: ledger.lost_total() > 0 });
    }
    let mut say = |words: String, warns: bool| clauses.push(Clause { words, warns });

    if !ledger.knows_losses() && ledger.sockets.is_none() {
        say("losses before the capture unknown".into(), false);
    }
    let partly: Vec<&str> =
        Loss::ALL.into_iter().filter(|&loss| ledger.is_partly_known(loss)).map(Loss::name).collect();
    if !partly.is_empty() {
        say(format!("losses of some inputs unknown ({})", partly.join(", ")), true);
    }
    if ledger.truncated > 0 {
        say(format!("{} truncated by the snap length", ledger.truncated), false);
    }
    let layers = |count: &dyn Fn(Layer) -> u64| -> String {
        let named = Layer::ALL.iter().filter(|&&layer| count(layer) > 0);
        named.map(|&layer| format!("{} {}", layer.name(), count(layer))).collect::<Vec<_>>().join(", ")
    };
    if ledger.cut_total() > 0 {
        say(format!("{} cut within a header ({})", ledger.cut_total(), layers(&|layer| ledger.cut(layer))), true);
    }
    if ledger.malformed_total() > 0 {
        let by_layer = layers(&|layer| ledger.malformed(layer));
        say(format!("{} malformed ({by_layer})", ledger.malformed_total()), true);
    }
    if ledger.unknown_total() > 0 {
        let by_layer = layers(&|layer| ledger.unknown(layer));
        say(format!("{} of a kind not read here ({by_layer})", ledger.unknown_total()), true);
    }
    for (count, [one, several], warns) in [
        (ledger.untracked, ["untracked (flow table full)"; 2], true),
        (ledger.flowless, ["without a flow"; 2], false),
        // Of sockets these are the other ends of connections within this host.
        (if ledger.sockets.is_none() { ledger.duplicates } else { 0 }, DUPLICATES, false),
        (ledger.backwards, ["backwards in time"; 2], true),
        (ledger.untimed, ["without a time of its own", "without a time of their own"], true),
        (ledger.unread_bytes, ["byte unreadable", "bytes unreadable"], true),
        (ledger.unreported_rows, ["more row not shown", "more rows not shown"], true),
    ] {
        if count > 0 {
            say(format!("{count} {}", if count == 1 { one } else { several }), warns);
        }
    }
    if let Some(remark) = ending.remark {
        say(remark.to_owned(), true);
    }
    match (ending.fault, ending.is_whole()) {
        (Some(fault), _) => {
            // Packets out of order or left out are a fault of an input that was nevertheless read to its end.
            let whole = ending.complete && !ledger.incomplete;
            let mut words = match whole {
                // The user had enough; nothing is wrong with it.
                true if fault.starts_with(STOPPED) => b"input not read to its end: ".to_vec(),
                true => b"input faulty: ".to_vec(),
                false => b"input incomplete: ".to_vec(),
            };
            push_escaped(&mut words, fault);
            say(String::from_utf8_lossy(&words).into_owned(), true);
        }
        (None, true) if ledger.sockets.as_ref().is_some_and(|polls| polls.refused > 0) => {
            say("the rest complete".into(), false);
        }
        (None, true) => say("input complete".into(), false),
        (None, false) if ending.complete => say("input incomplete".into(), true),
        (None, false) => say("input not read to its end yet".into(), true),
    }
    clauses
}

/// What became of sockets, in words.
fn say_polls(polls: &Polls, clauses: &mut Vec<Clause>) {
    let Polls { polls: times, seen, filtered, interrupted, refused, malformed, overruns, missed } = *polls;
    let mut say = |words: String, warns: bool| clauses.push(Clause { words, warns });
    let when = if times == 1 { String::new() } else { format!(" in {times} polls") };
    let sockets = if seen == 1 { "1 socket".to_owned() } else { format!("{seen} sockets") };
    let balance = match filtered {
        Some(filtered) => {
            format!("{sockets} seen{when} = {} delivered + {filtered} filtered", seen.saturating_sub(filtered))
        }
        None => format!("{sockets} selected{when}; what the filter leaves out is not counted"),
    };
    say(balance, false);
    match missed {
        Some(0) => {}
        Some(1) => say("1 connection missed between polls".into(), true),
        Some(missed) => say(format!("{missed} connections missed between polls"), true),
        None if times > 1 => say("connections missed between polls unknown".into(), false),
        None => {}
    }
    for (count, one, several) in [
        (interrupted, "answer inconsistent", "answers inconsistent"),
        (refused, "kind of socket without a whole answer", "kinds of socket without a whole answer"),
        (malformed, "message malformed", "messages malformed"),
        (
            overruns,
            "time without room for notices of destroyed sockets",
            "times without room for notices of destroyed sockets",
        ),
    ] {
        if count > 0 {
            say(format!("{count} {}", if count == 1 { one } else { several }), true);
        }
    }
}

/// Its counts with their names in machine formats; `None` is unknown.
fn poll_counts(polls: &Polls) -> [(&'static str, Option<u64>); 8] {
    let Polls { polls, seen, filtered, interrupted, refused, malformed, overruns, missed } = *polls;
    [
        ("polls", Some(polls)),
        ("seen", Some(seen)),
        ("filtered", filtered),
        ("interrupted", Some(interrupted)),
        ("refused", Some(refused)),
        ("malformed", Some(malformed)),
        ("overruns", Some(overruns)),
        ("missed", missed),
    ]
}

/// The trust line in words on lines of at most `width` columns (one line without a limit), broken between clauses
/// and then between words; lines after the first are indented.
pub fn trust_lines(ending: &Ending<'_>, width: Option<usize>) -> Vec<Vec<Clause>> {
    const INDENT: usize = 7; // "trust: "
    let clauses = trust_clauses(ending);
    let Some(width) = width else { return vec![clauses] };
    let room = width.saturating_sub(INDENT).max(20);
    let mut lines: Vec<Vec<Clause>> = vec![Vec::new()];
    let mut used = 0;
    for Clause { words, warns } in clauses {
        let mut rest = words.as_str();
        loop {
            let length = rest.chars().count();
            let joint = if used > 0 { 2 } else { 0 }; // "; "
            if used + joint + length < room || (used == 0 && !rest.contains(' ')) {
                used += joint + length;
                if let Some(line) = lines.last_mut() {
                    line.push(Clause { words: rest.to_owned(), warns });
                }
                break;
            }
            if used == 0 {
                // A clause longer than a line: break it at the last space that fits.
                let fits = rest.char_indices().take(room).map(|(at, c)| at + c.len_utf8()).last().unwrap_or(0);
                let cut = rest[..fits].rfind(' ').or_else(|| rest.find(' ')).unwrap_or(rest.len());
                if let Some(line) = lines.last_mut() {
                    line.push(Clause { words: rest[..cut].to_owned(), warns });
                }
                rest = rest[cut..].trim_start();
            }
            lines.push(Vec::new());
            used = 0;
        }
    }
    lines
}

/// The trust line as a JSON object; of sockets without what is said of packets. Losses that the source, or one of several, cannot know are `null`; what is known
/// of all of them is `lost_at_least`: seen = delivered + filtered + lost_at_least.
pub fn push_trust_json(out: &mut Vec<u8>, ending: &Ending<'_>, safe_integers: bool) {
    let ledger = ending.ledger;
    let number = |out: &mut Vec<u8>, number: u64| push_json_u64(out, number, safe_integers);
    let mut separator = b'{';
    let mut field = |out: &mut Vec<u8>, name: &str| {
        out.push(separator);
        separator = b',';
        push_json_text(out, name);
        out.push(b':');
    };
    if let Some(polls) = &ledger.sockets {
        field(out, "unreported_rows");
        number(out, ledger.unreported_rows);
        field(out, "sockets");
        for (index, (name, count)) in poll_counts(polls).into_iter().enumerate() {
            out.push(if index == 0 { b'{' } else { b',' });
            push_json_text(out, name);
            out.push(b':');
            match count {
                Some(count) => number(out, count),
                None => out.extend_from_slice(b"null"),
            }
        }
        out.push(b'}');
    } else {
        let counts = [("seen", ledger.seen()), ("delivered", ledger.delivered()), ("filtered", ledger.filtered())];
        for (name, count) in counts {
            field(out, name);
            number(out, count);
        }
        field(out, "lost");
        for (index, loss) in Loss::ALL.into_iter().enumerate() {
            out.push(if index == 0 { b'{' } else { b',' });
            push_json_text(out, loss.name());
            out.push(b':');
            match ledger.lost(loss) {
                Some(packets) => number(out, packets),
                None => out.extend_from_slice(b"null"),
            }
        }
        out.push(b'}');
        field(out, "lost_at_least");
        number(out, ledger.lost_total());
        field(out, "truncated");
        number(out, ledger.truncated);
        for (name, count) in [
            ("malformed", &(|layer| ledger.malformed(layer)) as &dyn Fn(Layer) -> u64),
            ("cut", &|layer| ledger.cut(layer)),
            ("unknown", &|layer| ledger.unknown(layer)),
        ] {
            field(out, name);
            for (index, layer) in Layer::ALL.into_iter().enumerate() {
                out.push(if index == 0 { b'{' } else { b',' });
                push_json_text(out, layer.name());
                out.push(b':');
                number(out, count(layer));
            }
            out.push(b'}');
        }
        for (name, count) in lesser(ledger) {
            field(out, name);
            number(out, count);
        }
    }
    for (name, yes) in [("incomplete", ledger.incomplete), ("complete", ending.is_whole())] {
        field(out, name);
        out.extend_from_slice(if yes { b"true" } else { b"false" });
    }
    field(out, "fault");
    match ending.fault {
        Some(fault) => push_json_text(out, fault),
        None => out.extend_from_slice(b"null"),
    }
    out.push(b'}');
}

/// The trust line as `name=value` pairs without commas, for a comment in CSV and its kin; `?` = unknown. The fault
/// comes last, quoted as in JSON.
pub fn push_trust_pairs(out: &mut Vec<u8>, ending: &Ending<'_>) {
    let ledger = ending.ledger;
    let mut pair = |name: &str, of: &str, count: Option<u64>| {
        out.extend_from_slice(name.as_bytes());
        if !of.is_empty() {
            out.push(b'.');
            out.extend_from_slice(of.as_bytes());
        }
        out.push(b'=');
        match count {
            Some(count) => push_u64(out, count),
            None => out.push(b'?'),
        }
        out.push(b' ');
    };
    if let Some(polls) = &ledger.sockets {
        for (name, count) in poll_counts(polls) {
            pair("sockets", name, count);
        }
        pair("unreported_rows", "", Some(ledger.unreported_rows));
    } else {
        pair("seen", "", Some(ledger.seen()));
        pair("delivered", "", Some(ledger.delivered()));
        pair("filtered", "", Some(ledger.filtered()));
        for loss in Loss::ALL {
            pair("lost", loss.name(), ledger.lost(loss));
        }
        pair("lost_at_least", "", Some(ledger.lost_total()));
        pair("truncated", "", Some(ledger.truncated));
        for layer in Layer::ALL {
            pair("malformed", layer.name(), Some(ledger.malformed(layer)));
        }
        for layer in Layer::ALL {
            pair("cut", layer.name(), Some(ledger.cut(layer)));
        }
        for layer in Layer::ALL {
            pair("unknown", layer.name(), Some(ledger.unknown(layer)));
        }
        for (name, count) in lesser(ledger) {
            pair(name, "", Some(count));
        }
    }
    out.extend_from_slice(if ending.is_whole() { b"complete=true" } else { b"complete=false" });
    if let Some(fault) = ending.fault {
        out.extend_from_slice(b" fault=");
        push_json_text(out, fault);
    }
}

/// What was delivered in a lesser form, by name.
fn lesser(ledger: &Ledger) -> [(&'static str, u64); 7] {
    [
        ("untracked", ledger.untracked),
        ("flowless", ledger.flowless),
        ("duplicates", ledger.duplicates),
        ("backwards", ledger.backwards),
        ("untimed", ledger.untimed),
        ("unread_bytes", ledger.unread_bytes),
        ("unreported_rows", ledger.unreported_rows),
    ]
}

fn known_losses(ledger: &Ledger) -> impl Iterator<Item = (Loss, u64)> + '_ {
    Loss::ALL.into_iter().filter_map(|loss| Some((loss, ledger.lost_at_least(loss)?)))
}

/// Writes an integer for JSON; beyond 2^53 as a string if asked.
#[inline]
pub(super) fn push_json_u64(out: &mut Vec<u8>, number: u64, safe_integers: bool) {
    if safe_integers && number > SAFE_INTEGER {
        out.push(b'"');
        push_u64(out, number);
        out.push(b'"');
    } else {
        push_u64(out, number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Notes;

    fn words(ending: &Ending<'_>) -> String {
        let clauses: Vec<String> = trust_clauses(ending).into_iter().map(|clause| clause.words).collect();
        clauses.join("; ")
    }

    fn eventful() -> Ledger {
        let mut ledger = Ledger::new();
        ledger.deliver(90);
        ledger.filter(10);
        ledger.lose(Loss::Interface, 0);
        ledger.lose(Loss::Kernel, 7);
        ledger.truncated = 4;
        ledger.stop(Layer::Network, Notes::MALFORMED);
        ledger.stop(Layer::Transport, Notes::MALFORMED);
        ledger.stop(Layer::Transport, Notes::CUT);
        ledger.unread_bytes = 12;
        ledger.incomplete = true;
        ledger
    }

    #[test]
    fn one_packet_is_one() {
        let mut ledger = Ledger::new();
        ledger.deliver(1);
        let ending = Ending { complete: true, ..Ending::new(&ledger) };
        assert!(words(&ending).starts_with("1 packet seen = 1 delivered"));
    }

    #[test]
    fn one_of_anything_is_one() {
        let mut ledger = Ledger::new();
        ledger.deliver(1);
        (ledger.duplicates, ledger.untimed, ledger.unread_bytes, ledger.unreported_rows) = (1, 1, 1, 1);
        let told = words(&Ending { complete: true, ..Ending::new(&ledger) });
        let expected = "1 duplicate from another interface; 1 without a time of its own; 1 byte unreadable; \
                        1 more row not shown; ";
        assert!(told.contains(expected), "{told}");
        ledger.sockets = Some(Polls { interrupted: 1, refused: 1, malformed: 1, overruns: 1, ..Polls::default() });
        let told = words(&Ending { complete: true, ..Ending::new(&ledger) });
        let expected = "1 answer inconsistent; 1 kind of socket without a whole answer; 1 message malformed; \
                        1 time without room for notices of destroyed sockets; ";
        assert!(told.contains(expected), "{told}");
    }

    #[test]
    fn a_clean_file_has_a_short_trust_line() {
        let mut ledger = Ledger::new();
        ledger.deliver(12);
        let ending = Ending { complete: true, ..Ending::new(&ledger) };
        assert_eq!(
            words(&ending),
            "12 packets seen = 12 delivered + 0 filtered + 0 lost; losses before the capture unknown; input complete"
        );
    }

    #[test]
    fn every_lesser_packet_is_said() {
        let ledger = eventful();
        let ending =
            Ending { complete: true, fault: Some("a.pcap: packet 98 at byte 4711 is cut"), ..Ending::new(&ledger) };
        assert_eq!(
            words(&ending),
            "97 packets seen = 80 delivered + 10 filtered + 7 lost (kernel 7); 4 truncated by the snap length; \
             1 cut within a header (transport 1); 2 malformed (network 1, transport 1); 12 bytes unreadable; \
             input incomplete: a.pcap: packet 98 at byte 4711 is cut"
        );
    }

    #[test]
    fn a_loss_that_one_of_several_inputs_does_not_know_is_no_number() {
        let mut knows = Ledger::new();
        knows.deliver(3);
        knows.lose(Loss::Interface, 0);
        knows.lose(Loss::Kernel, 7);
        let ledger = knows.merged(&Ledger::new());
        let ending = Ending { complete: true, ..Ending::new(&ledger) };
        assert_eq!(
            words(&ending),
            "10 packets seen = 3 delivered + 0 filtered + 7 lost (kernel ≥7); losses of some inputs unknown \
             (interface, kernel); input complete"
        );
        let mut out = Vec::new();
        push_trust_pairs(&mut out, &ending);
        let pairs = String::from_utf8(out).unwrap();
        assert!(pairs.contains("lost.interface=? lost.kernel=? ") && pairs.contains(" lost_at_least=7 "), "{pairs}");
    }

    #[test]
    fn a_narrow_terminal_breaks_between_words() {
        let mut ledger = Ledger::new();
        ledger.deliver(12);
        let ending = Ending { complete: true, ..Ending::new(&ledger) };
        let lines: Vec<String> = trust_lines(&ending, Some(60))
            .iter()
            .map(|line| line.iter().map(|clause| clause.words.as_str()).collect::<Vec<_>>().join("; "))
            .collect();
        assert_eq!(
            lines,
            [
                "12 packets seen = 12 delivered + 0 filtered + 0 lost",
                "losses before the capture unknown; input complete"
            ]
        );
    }

    #[test]
    fn the_json_form_has_every_field_and_null_for_unknown() {
        let ledger = eventful();
        let ending = Ending { complete: true, fault: Some("cut \"short\""), ..Ending::new(&ledger) };
        let mut out = Vec::new();
        push_trust_json(&mut out, &ending, false);
        assert_eq!(
            String::from_utf8(out).unwrap(),
            r#"{"seen":97,"delivered":80,"filtered":10,"lost":{"interface":0,"kernel":7,"capture":null,"damaged":null,"ring":null},"lost_at_least":7,"truncated":4,"malformed":{"link":0,"shim":0,"network":1,"transport":1,"tunnel":0},"cut":{"link":0,"shim":0,"network":0,"transport":1,"tunnel":0},"unknown":{"link":0,"shim":0,"network":0,"transport":0,"tunnel":0},"untracked":0,"flowless":0,"duplicates":0,"backwards":0,"untimed":0,"unread_bytes":12,"unreported_rows":0,"incomplete":true,"complete":false,"fault":"cut \"short\""}"#
        );
    }

    #[test]
    fn the_comment_form_has_no_commas() {
        let ledger = eventful();
        let mut out = Vec::new();
        push_trust_pairs(&mut out, &Ending { complete: true, ..Ending::new(&ledger) });
        assert_eq!(
            String::from_utf8(out).unwrap(),
            "seen=97 delivered=80 filtered=10 lost.interface=0 lost.kernel=7 lost.capture=? lost.damaged=? lost.ring=? \
             lost_at_least=7 truncated=4 malformed.link=0 malformed.shim=0 malformed.network=1 malformed.transport=1 malformed.tunnel=0 \
             cut.link=0 cut.shim=0 cut.network=0 cut.transport=1 cut.tunnel=0 unknown.link=0 unknown.shim=0 unknown.network=0 unknown.transport=0 unknown.tunnel=0 untracked=0 flowless=0 duplicates=0 \
             backwards=0 untimed=0 unread_bytes=12 unreported_rows=0 complete=false"
        );
    }
}
