//! What the README tells a reader to type exists. That its first command works as written, `.ci/readme` checks.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn read(name: &str) -> String {
    fs::read_to_string(root().join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// The lines a reader would copy: indented by four spaces or in a fence, without the shell's `$`.
fn commands(text: &str) -> Vec<String> {
    let mut fenced = false;
    let mut found = Vec::new();
    for line in text.lines() {
        if line.starts_with("```") {
            fenced = !fenced;
        } else if fenced || line.starts_with("    ") {
            found.push(line.trim().trim_start_matches("$ ").to_owned());
        }
    }
    found
}

#[test]
fn the_two_commands_are_there_as_promised() {
    let commands = commands(&read("README.md"));
    assert!(
        commands.iter().any(|line| line == "cargo run --release -- conns -r captures/web.pcapng.zst"),
        "{commands:#?}"
    );
    assert!(commands.iter().any(|line| line == "make test" || line.starts_with("make test ")), "{commands:#?}");
}

#[test]
fn every_make_target_named_in_the_documents_exists() {
    let makefile = read("Makefile");
    for document in ["README.md", "CONTRIBUTING.md", "ARCHITECTURE.md"] {
        let text = read(document);
        let mut words = text.split(|c: char| c.is_whitespace() || c == '`').peekable();
        let mut before = "";
        while let Some(word) = words.next() {
            // Only in code: "make sure" is English.
            if word == "make"
                && (before.is_empty() || before.ends_with('('))
                && let Some(target) = words.peek().map(|target| target.trim_end_matches([',', '.', ')', ':']))
            {
                let known = makefile.lines().any(|line| line.starts_with(&format!("{target}:")));
                assert!(known || target.is_empty(), "{document}: the Makefile has no target `{target}`");
            }
            before = word;
        }
    }
}

#[test]
fn every_capture_named_in_the_documents_exists() {
    for document in ["README.md", "CONTRIBUTING.md", "ARCHITECTURE.md"] {
        let text = read(document);
        for word in text.split(|c: char| c.is_whitespace() || "`()<>|,;'\"".contains(c)) {
            if word.starts_with("captures/") && word.len() > "captures/".len() {
                let name = word.trim_end_matches(['.', ':']);
                assert!(root().join(name).exists(), "{document}: no file {name}");
            }
        }
    }
}

/// A line's command of `flow` and what is given to it, without what other programs get.
fn flow_arguments(line: &str) -> Option<Vec<&str>> {
    let (_, line) = line.split_once("flow ").or_else(|| line.split_once("cargo run --release -- "))?;
    let mut arguments = Vec::new();
    for (place, part) in line.split('\'').enumerate() {
        // What is in quotes is one argument.
        if place % 2 == 1 {
            arguments.push(part);
            continue;
        }
        let own = part.split(['|', '#', '>']).next()?;
        arguments.extend(own.split_whitespace());
        if own.len() < part.len() {
            break;
        }
    }
    arguments.first().is_some_and(|command| ["conns", "hosts"].contains(command)).then_some(arguments)
}

#[test]
fn every_option_the_readme_gives_to_flow_is_in_its_help() {
    let help = |command: &str| {
        let help = Command::new(env!("CARGO_BIN_EXE_flow")).args([command, "--help"]).output().expect("flow runs");
        String::from_utf8_lossy(&help.stdout).into_owned()
    };
    let helps = [("conns", help("conns")), ("hosts", help("hosts"))];
    for line in commands(&read("README.md")) {
        let Some(arguments) = flow_arguments(&line) else { continue };
        let (command, help) = helps.iter().find(|(command, _)| *command == arguments[0]).expect("one of the two");
        for option in arguments.into_iter().filter(|word| word.starts_with('-') && *word != "-") {
            let option = option.split('=').next().unwrap_or(option);
            assert!(help.contains(option), "`{line}`: `flow {command} --help` does not name {option}");
        }
    }
}

#[test]
fn the_rules_of_a_whitelist_that_it_shows_are_rules() {
    let text = read("README.md");
    let shown =
        text.split("```text\n").filter_map(|part| part.split("```").next()).find(|block| block.contains("from 10."));
    let rules = flowresolve::Rules::parse(shown.expect("an example of a whitelist"), "README.md");
    assert_eq!(rules.expect("rules without mistakes").len(), 8);
}

#[test]
fn every_command_on_a_capture_of_this_repository_answers() {
    let mut answered = 0;
    for line in commands(&read("README.md")).iter().filter(|line| line.contains(" captures/")) {
        let Some(arguments) = flow_arguments(line) else { continue };
        let output =
            Command::new(env!("CARGO_BIN_EXE_flow")).args(&arguments).current_dir(root()).output().expect("flow runs");
        let text = String::from_utf8_lossy(&output.stdout);
        let complaint = String::from_utf8_lossy(&output.stderr);
        let is_quiet = complaint.lines().all(|line| line.ends_with(" connections selected"));
        assert!(output.status.success() && is_quiet, "`{line}`: {complaint}");
        assert!(text.lines().count() >= 3 && text.contains("input complete"), "`{line}`:\n{text}");
        answered += 1;
    }
    assert!(answered >= 12, "only {answered} commands were found");
}
