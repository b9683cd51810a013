//! Command lines as users of Fleutan write them.

use std::ffi::OsString;

use flowcore::{Error, ErrorKind, Result};

use crate::exit::complain;

/// The command line in today's words, with a note if it was in Fleutan's: `flow flows --lat -g peer`.
///
/// # Errors
/// If it asks for nothing, or for what there is not yet.
pub fn translate(words: Vec<OsString>) -> Result<Vec<OsString>> {
    if words.get(1).is_some_and(|word| word == "sockets" || word == "ss") {
        return Ok(of_ss(words));
    }
    if words.get(1).is_none_or(|word| word != "flows") {
        return Ok(words);
    }
    let translated = of_flows(&words[2..])?;
    let spell = |words: &[OsString]| words.iter().map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ");
    complain(&format!("note: `flow {}` is `flow {}` now", spell(&words[1..]), spell(&translated)));
    Ok(words.into_iter().take(1).chain(translated).collect())
}

/// In a bundle of options as `ss` has it `-o` shows timers, here it names the form of the output: where no form follows, it
/// is meant as there, which a note says.
fn of_ss(words: Vec<OsString>) -> Vec<OsString> {
    const FORMATS: [&str; 7] = ["table", "wide", "jsonl", "json", "csv", "tsv", "zeek"];
    let is_format = |text: &str| FORMATS.contains(&text);
    // With letters in another order it is still no word of a filter: what is wrong with it is said of the option.
    let letters_of = |text: &str| {
        let mut letters = text.as_bytes().to_vec();
        letters.sort_unstable();
        letters
    };
    let may_be_format = |text: &str| FORMATS.iter().any(|format| letters_of(format) == letters_of(text));
    let mut out = Vec::with_capacity(words.len() + 1);
    let mut words = words.into_iter().peekable();
    let mut only_filter = false;
    while let Some(word) = words.next() {
        let text = word.to_string_lossy().into_owned();
        only_filter |= text == "--";
        let bundle = text.strip_prefix('-').filter(|bundle| !bundle.starts_with('-') && !only_filter);
        let Some((before, behind)) = bundle.and_then(|bundle| bundle.split_once('o')) else {
            out.push(word);
            continue;
        };
        let letters = |text: &str| text.bytes().all(|byte| byte.is_ascii_alphanumeric());
        let next = words.peek().map(|next| next.to_string_lossy());
        let follows = next.is_some_and(|next| may_be_format(&next));
        // Behind other options that have values everything is their value.
        let is_value = before.contains(['f', 'F', 'c']) || !letters(before) || !letters(behind);
        if is_value || is_format(behind) || (behind.is_empty() && follows) {
            out.push(word);
            continue;
        }
        let rest = format!("{before}{behind}");
        let meant = if rest.is_empty() { "--timers".to_owned() } else { format!("-{rest} --timers") };
        complain(&format!("note: `{text}` is `{meant}` here: -o names the form of the output, as in -o jsonl"));
        out.extend(meant.split(' ').map(OsString::from));
    }
    out
}

/// Several options in one word apart, as `argparse` reads them: `-lg peer` is `-l -g peer`, and `-vi1` is `-v -i 1`.
fn unbundled(word: &OsString) -> Vec<OsString> {
    let text = word.to_string_lossy();
    let Some(mut letters) =
        text.strip_prefix('-').filter(|letters| letters.starts_with(['l', 'v', 'c', 'q', 'g', 'i', 't']))
    else {
        return vec![word.clone()];
    };
    let mut out = Vec::new();
    while let Some(letter) = letters.chars().next() {
        letters = &letters[letter.len_utf8()..];
        out.push(format!("-{letter}").into());
        if matches!(letter, 'c' | 'g' | 'i' | 't') && !letters.is_empty() {
            out.push(letters.trim_start_matches('=').into());
            break;
        }
    }
    out
}

/// What stands behind `flows`, in today's words.
fn of_flows(words: &[OsString]) -> Result<Vec<OsString>> {
    let usage = |message: &str| Err(Error::new(ErrorKind::Usage, format!("flow flows: {message}")));
    let (mut lat, mut vol, mut cpu) = (false, false, None);
    let mut rest: Vec<(Option<char>, Vec<OsString>)> = Vec::new();
    if words.iter().any(|word| word == "-h" || word == "--help") {
        return Ok(vec!["--help".into()]);
    }
    let words: Vec<OsString> = words.iter().flat_map(unbundled).collect();
    let mut words = words.iter().peekable();
    while let Some(word) = words.next() {
        let text = word.to_string_lossy();
        let (option, value) = text.split_once('=').map_or((&*text, None), |(option, value)| (option, Some(value)));
        match option {
            "-l" | "--lat" => lat = true,
            "-v" | "--vol" => vol = true,
            "-c" | "--cpu" => {
                // Once it had no value, and meant what `fl_asoc` did later.
                let value = value.map(str::to_owned).or_else(|| {
                    let next = words.peek()?.to_string_lossy().into_owned();
                    matches!(next.as_str(), "gen" | "fl_asoc").then(|| words.next().map(|_| next)).flatten()
                });
                cpu = Some(value.as_deref() == Some("gen"));
            }
            "-q" | "--qdisc" => return usage("bytes by transmit queue cannot be shown yet"),
            "-g" | "--group" | "-i" | "--interval" | "-t" | "--thresh" => {
                let letter = option.trim_start_matches('-').chars().next();
                let own = value.is_none().then(|| words.next().cloned()).flatten();
                rest.push((letter, std::iter::once(word.clone()).chain(own).collect()));
            }
            _ => rest.push((None, vec![word.clone()])),
        }
    }
    // In this order they counted, whatever the order in which they were given; options of the others had no effect.
    let (command, general, options) = match (lat, vol, cpu) {
        (true, _, _) => ("lat", false, "gt"),
        (false, true, _) => ("vol", false, "gi"),
        (false, false, Some(general)) => ("cpu", general, "i"),
        (false, false, None) => {
            let unknown = rest.iter().find(|(letter, _)| letter.is_none()).and_then(|(_, words)| words.first());
            let unknown = unknown.map_or(String::new(), |word| format!("`{}` is unknown; ", word.to_string_lossy()));
            return usage(&format!("{unknown}say what of them: `flow lat`, `flow vol` or `flow cpu`"));
        }
    };
    let mut translated: Vec<OsString> = vec![command.into()];
    translated.extend(general.then(|| "--general".into()));
    let kept = rest.into_iter().filter(|(letter, _)| letter.is_none_or(|letter| options.contains(letter)));
    translated.extend(kept.flat_map(|(_, words)| words));
    Ok(translated)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn translated(text: &str) -> String {
        let words: Vec<OsString> = text.split(' ').map(Into::into).collect();
        match of_flows(&words) {
            Ok(words) => words.iter().map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" "),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn timers_are_meant_where_no_form_of_the_output_follows() {
        for (theirs, ours) in [
            ("-tinmoep", "-tinmep --timers"),
            ("-to", "-t --timers"),
            ("-o", "--timers"),
            ("-to state established", "-t --timers state established"),
            ("-to jsonl", "-to jsonl"),
            ("-o csv -t", "-o csv -t"),
            ("-o cvs", "-o cvs"),
            ("-o tcp", "--timers tcp"),
            ("-tojsonl", "-tojsonl"),
            ("--output json", "--output json"),
            ("-t -- -o", "-t -- -o"),
        ] {
            let words = format!("flow ss {theirs}").split(' ').map(Into::into).collect();
            let words = of_ss(words).into_iter().map(|word| word.into_string().unwrap());
            assert_eq!(words.skip(2).collect::<Vec<_>>().join(" "), ours, "{theirs}");
        }
    }

    #[test]
    fn fleutans_words_are_understood() {
        for (old, new) in [
            ("--lat", "lat"),
            ("-lg peer", "lat -g peer"),
            ("-vi1", "vol -i 1"),
            ("-cgen", "cpu --general"),
            ("-l --help", "--help"),
            ("-l -g peer -t 1,2,3", "lat -g peer -t 1,2,3"),
            ("--lat --group=proc -i 7", "lat --group=proc"),
            ("--vol -i 5", "vol -i 5"),
            ("--cpu -i 5", "cpu -i 5"),
            ("--cpu fl_asoc", "cpu"),
            ("-c gen -i 3", "cpu --general -i 3"),
            ("--cpu=gen", "cpu --general"),
            ("--vol --lat", "lat"),
            ("--lat -o jsonl", "lat -o jsonl"),
        ] {
            assert_eq!(translated(old), new, "{old}");
        }
        assert!(translated("-g peer").contains("`flow lat`"));
        assert!(translated("--foo").contains("`--foo` is unknown"));
        assert!(translated("--qdisc").contains("yet"));
    }
}
