//! The arrows between the crates, and what they may be built from, held against `cargo metadata`.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use serde_json::Value;

/// The crates that put the others together. Nobody builds on them.
const ASSEMBLERS: [&str; 2] = ["flowcli", "benches"];

/// What a dependency may be licensed under, as SPDX identifiers.
const LICENCES: [&str; 11] = [
    "0BSD",
    "Apache-2.0",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "BSL-1.0",
    "CC0-1.0",
    "ISC",
    "MIT",
    "Unicode-3.0",
    "Unlicense",
    "Zlib",
];

fn metadata() -> Value {
    let output = Command::new(env!("CARGO"))
        // Only this platform: the others' crates were never downloaded.
        .args(["metadata", "--format-version=1", "--locked", "--filter-platform"])
        .arg(format!("{}-unknown-linux-gnu", std::env::consts::ARCH))
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .expect("cargo runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).expect("cargo writes JSON")
}

/// Each workspace crate with the workspace crates it is built from; those of its tests only are left out.
fn arrows(metadata: &Value) -> BTreeMap<String, BTreeSet<String>> {
    let packages = metadata["packages"].as_array().expect("packages");
    let text = |value: &Value| value.as_str().expect("a string").to_owned();
    let members: BTreeSet<String> =
        packages.iter().filter(|package| package["source"].is_null()).map(|package| text(&package["name"])).collect();
    packages
        .iter()
        .filter(|package| package["source"].is_null())
        .map(|package| {
            let needs = package["dependencies"]
                .as_array()
                .expect("dependencies")
                .iter()
                .filter(|dependency| dependency["kind"] != "dev")
                .map(|dependency| text(&dependency["name"]))
                .filter(|name| members.contains(name))
                .collect();
            (text(&package["name"]), needs)
        })
        .collect()
}

/// Whether an SPDX expression can be met by the allowed licences alone. `/` is the old way to write `OR`.
fn allowed(expression: &str) -> bool {
    let spaced = expression.replace('(', " ( ").replace(')', " ) ").replace('/', " OR ");
    let words: Vec<&str> = spaced.split_whitespace().collect();
    let (verdict, read) = any_of(&words);
    verdict && read == words.len()
}

/// `all {OR all}`: the verdict, and how many words were read.
fn any_of(words: &[&str]) -> (bool, usize) {
    let (mut verdict, mut read) = all_of(words);
    while words.get(read) == Some(&"OR") {
        let (next, more) = all_of(&words[read + 1..]);
        verdict |= next;
        read += 1 + more;
    }
    (verdict, read)
}

/// `one {AND one}`, which binds closer than `OR`.
fn all_of(words: &[&str]) -> (bool, usize) {
    let (mut verdict, mut read) = one(words);
    while words.get(read) == Some(&"AND") {
        let (next, more) = one(&words[read + 1..]);
        verdict &= next;
        read += 1 + more;
    }
    (verdict, read)
}

/// An identifier, perhaps `WITH` an exception (which only permits more), or an expression in parentheses.
fn one(words: &[&str]) -> (bool, usize) {
    match words {
        ["(", rest @ ..] => {
            let (verdict, read) = any_of(rest);
            (verdict && rest.get(read) == Some(&")"), read + 2)
        }
        [name, "WITH", _, ..] => (LICENCES.contains(name), 3),
        [name, ..] => (LICENCES.contains(name), 1),
        [] => (false, 0),
    }
}

#[test]
fn flowcore_is_built_from_no_other_crate_of_ours() {
    assert_eq!(arrows(&metadata())["flowcore"], BTreeSet::new());
}

#[test]
fn every_arrow_points_to_flowcore() {
    for (name, needs) in arrows(&metadata()) {
        if ASSEMBLERS.contains(&name.as_str()) {
            continue;
        }
        let sideways: Vec<_> = needs.iter().filter(|need| *need != "flowcore").collect();
        assert!(sideways.is_empty(), "{name} is built from its siblings {sideways:?}");
    }
}

#[test]
fn nobody_builds_on_an_assembler() {
    for (name, needs) in arrows(&metadata()) {
        let wrong: Vec<_> = needs.iter().filter(|need| ASSEMBLERS.contains(&need.as_str())).collect();
        assert!(wrong.is_empty(), "{name} is built from {wrong:?}");
    }
}

#[test]
fn every_dependency_has_a_licence_we_allow() {
    let metadata = metadata();
    let wrong: Vec<String> = metadata["packages"]
        .as_array()
        .expect("packages")
        .iter()
        .filter(|package| !package["license"].as_str().is_some_and(allowed))
        .map(|package| format!("{} {}: {}", package["name"], package["version"], package["license"]))
        .collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn every_package_that_is_published_holds_our_licence() {
    let licence = include_str!("../../../LICENSE");
    let metadata = metadata();
    let packages = metadata["packages"].as_array().expect("packages").iter();
    for package in packages.filter(|package| package["source"].is_null() && package["publish"].is_null()) {
        let manifest = std::path::Path::new(package["manifest_path"].as_str().expect("a path"));
        let held = std::fs::read_to_string(manifest.with_file_name("LICENSE"));
        assert_eq!(held.ok().as_deref(), Some(licence), "{}", package["name"]);
    }
}

#[test]
fn a_licence_expression_is_read_as_spdx_means_it() {
    assert!(allowed("MIT"));
    assert!(allowed("GPL-2.0 OR MIT"));
    assert!(allowed("Unlicense/MIT"));
    assert!(allowed("(MIT OR Apache-2.0) AND Unicode-3.0"));
    assert!(allowed("Apache-2.0 WITH LLVM-exception OR MIT"));
    assert!(!allowed("GPL-2.0"));
    assert!(!allowed("MIT AND GPL-2.0"));
    assert!(!allowed("(MIT OR GPL-2.0) AND GPL-3.0"));
    assert!(!allowed("(MIT"));
    assert!(!allowed("MIT MIT"));
    assert!(!allowed(""));
}
