//! Texts that nobody wrote: an answer or an error that can be shown, never a panic, and in time that grows with the text.
#![allow(clippy::unwrap_used, reason = "a test")]

use std::fs;
use std::path::Path;

use flowfilter::{Compat, Filter, MAX_TEXT, Options};

/// Filters and mistakes that were written by hand.
fn seeds() -> Vec<String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    let page = fs::read_to_string(folder.join("../../docs/filter.md")).unwrap();
    let blocks = page.split("```filter\n").skip(1).map(|block| block.split("```").next().unwrap().to_owned());
    let mut seeds: Vec<String> =
        blocks.flat_map(|block| block.lines().map(str::to_owned).collect::<Vec<_>>()).collect();
    for entry in fs::read_dir(folder.join("tests/errors")).unwrap() {
        let content = fs::read_to_string(entry.unwrap().path()).unwrap();
        seeds.push(content.split("\n---\n").next().unwrap().to_owned());
    }
    seeds.sort();
    seeds
}

fn tried(text: &str) {
    match Filter::parse(text) {
        Ok(filter) => {
            let printed = filter.to_string();
            if printed.len() <= MAX_TEXT {
                assert_eq!(Filter::parse(&printed).unwrap(), filter, "{text}");
            }
            let normal = filter.normal();
            assert_eq!(normal.normal(), normal, "{text}");
        }
        Err(error) => {
            assert!(!error.render(false).is_empty() && !error.to_string().contains('\n'), "{text:?}");
            assert!(error.span().end <= text.len() && error.span().start <= error.span().end, "{text:?}");
        }
    }
}

#[test]
fn mutated_filters_are_answered() {
    let seeds = seeds();
    let pieces = [
        "and",
        "or",
        "not",
        "(",
        ")",
        "{",
        "}",
        ",",
        ":",
        "/",
        "!=",
        "<",
        "port",
        "src",
        "10.0.0.0/8",
        "80",
        "µs",
        "\"",
        "#",
        "\n",
        "@",
        "::",
        "[",
        "-",
        "\u{0}",
        "é",
        "flags",
        "5s",
        "..",
        "2026-11-20T10:03",
        "+01:00",
        "name:",
        ".",
    ];
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let mut below = |end: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state % end as u64) as usize
    };
    for _ in 0..60_000 {
        let mut text: Vec<char> = seeds[below(seeds.len())].chars().collect();
        for _ in 0..1 + below(4) {
            let at = below(text.len() + 1);
            match below(4) {
                0 if at < text.len() => drop(text.remove(at)),
                1 => text.splice(at..at, pieces[below(pieces.len())].chars()).for_each(drop),
                2 => {
                    let other = &seeds[below(seeds.len())];
                    text.truncate(at);
                    text.push(' ');
                    text.extend(other.chars());
                }
                _ => {
                    let end = (at + below(6)).min(text.len());
                    text.drain(at..end);
                }
            }
        }
        tried(&text.into_iter().collect::<String>());
    }
}

#[test]
fn the_longest_texts_take_no_longer_than_their_length() {
    for piece in [
        "tcp or ",
        "tcp and ",
        "port 80 or sport 443 and ",
        "src 10.0.0.0/8 or ",
        "port {80} or not ",
        "time 2026-11-20 10:03 or ",
    ] {
        let count = (MAX_TEXT - 10) / piece.len();
        let text = format!("{}tcp", piece.repeat(count));
        let filter = Filter::parse(&text).unwrap();
        assert!(filter.to_string().len() >= count, "{piece}");
    }
    let list = format!("port {{{}80}}", "80, 443, 8000:8100, ".repeat(3_000));
    assert_eq!(
        Filter::parse(&list).unwrap().normal().to_string(),
        "dport {80, 443, 8000:8100} or sport {80, 443, 8000:8100}"
    );
}

/// Read from left to right, every change of the operator is a level.
#[test]
fn chains_that_others_nest_are_not_nested_without_end() {
    let text = format!("{}tcp", "tcp or udp and ".repeat(3_000));
    let filter = Filter::parse(&text).unwrap();
    assert_eq!(Filter::parse(&filter.to_string()).unwrap(), filter);
    let como = |times: usize| {
        let text = format!("{}tcp", "tcp or udp and ".repeat(times));
        let options = Options { compat: Compat::Como, ..Options::default() };
        Filter::parse_with(&text, &options).map(|filter| Filter::parse(&filter.to_string()).unwrap() == filter)
    };
    assert_eq!(como(50).ok(), Some(true));
    assert_eq!(
        como(4_000).unwrap_err().to_string(),
        "filter:1:1: nested more than 100 levels deep; join tests with `or` on one level, or use a list: `port {80, 443}`"
    );
}

#[test]
fn the_longest_nonsense_is_answered() {
    for piece in [
        "(", "not ", "!", "{", "((", "tcp (", "port {", "port 80,", "not (", "a", "\"", "10.", "1:", "::", "@", "#",
        "\n", "and ", ") ", "é",
    ] {
        let text = piece.repeat(MAX_TEXT / piece.len());
        let error = Filter::parse(&text);
        // Of comments alone nothing is wrong but that nothing is asked.
        let shown = error.unwrap_err().render(false);
        // An error quotes a line, not the whole text.
        assert!(shown.len() < 4_096, "{piece}: {} bytes", shown.len());
    }
}
