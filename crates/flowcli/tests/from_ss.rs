//! docs/from-ss.md: every counterpart of an `ss` line is a command line that works.

use std::time::Duration;

use assert_cmd::Command;

#[test]
fn every_counterpart_of_an_ss_line_works() {
    let page = include_str!("../../../docs/from-ss.md");
    let lines: Vec<&str> = page
        .lines()
        .filter_map(|line| line.strip_prefix("| `")?.split('`').nth(2)?.strip_prefix("flow "))
        // A namespace of that name need not be; closing is not for a test, and polls do not end by themselves.
        .filter(|line| !line.contains("--netns blue") && !line.contains("--kill"))
        .collect();
    assert!(lines.len() >= 20, "{lines:?}");
    for line in lines {
        let mut words: Vec<String> = Vec::new();
        for (place, part) in line.split('\'').enumerate() {
            match place % 2 {
                0 => words.extend(part.split_whitespace().map(str::to_owned)),
                _ => words.push(part.to_owned()),
            }
        }
        if line.contains("--every") || line.contains("-E") {
            let is_given = |word: &String| word == "--every" || word == "2s";
            words.retain(|word| !is_given(word));
            words.extend(["--count", "2", "--every", "10ms"].map(str::to_owned));
        }
        let mut command = Command::cargo_bin("flow").expect("built");
        command.args(&words).timeout(Duration::from_secs(30)).assert().success();
    }
}
