//! The examples, run on the captures of the repository, and the chapter that shows them: what stands in
//! `docs/extending.md` is what is in the files and what they print.
#![allow(clippy::unwrap_used, reason = "a test whose preparation fails has failed")]

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

#[allow(dead_code, reason = "its main is the program's")]
#[path = "../../../examples/analyzer.rs"]
mod analyzer;
#[allow(dead_code, reason = "its main is the program's")]
#[path = "../../../examples/collector.rs"]
mod collector;
#[allow(dead_code, reason = "its main is the program's")]
#[path = "../../../examples/reporter.rs"]
mod reporter;
#[allow(dead_code, reason = "its main is the program's")]
#[path = "../../../examples/resolver.rs"]
mod resolver;
#[allow(dead_code, reason = "its main is the program's")]
#[path = "../../../examples/whitelist.rs"]
mod whitelist;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

/// Text that somebody else writes.
#[derive(Clone, Default)]
struct Shared(Arc<Mutex<Vec<u8>>>);

impl Write for Shared {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// What an example prints, started in the root as the chapter says.
fn printed(example: impl FnOnce(Shared) -> flowcore::Result<()>) -> String {
    std::env::set_current_dir(root()).unwrap();
    let out = Shared::default();
    example(out.clone()).unwrap();
    let bytes = out.0.lock().unwrap().clone();
    String::from_utf8(bytes).unwrap()
}

/// The blocks of the chapter in this language, in order.
fn blocks(language: &str) -> Vec<String> {
    let text = fs::read_to_string(root().join("docs/extending.md")).unwrap();
    let fence = format!("```{language}\n");
    let parts = text.split(&fence).skip(1);
    parts.map(|part| part.split("```\n").next().unwrap().to_owned()).collect()
}

#[test]
fn each_example_prints_what_the_chapter_says() {
    let rows = fs::read(root().join("captures/redis.pcap.gz")).map(|_| stored_rows()).unwrap();
    let outputs = [
        printed(resolver::run),
        printed(whitelist::run),
        printed(analyzer::run),
        printed(reporter::run),
        printed(move |out| collector::run(rows.as_bytes(), out)),
    ];
    for (output, shown) in outputs.iter().zip(blocks("text")) {
        assert_eq!(*output, shown);
    }
    assert_eq!(blocks("text").len(), outputs.len());
}

/// What the chapter's command writes.
fn stored_rows() -> String {
    let output = assert_cmd::Command::cargo_bin("flow")
        .unwrap()
        .current_dir(root())
        .args(["conns", "-r", "captures/redis.pcap.gz", "-o", "tsv", "--no-header", "--no-trailer"])
        .args(["--sort", "start_ns"])
        .args(["--columns", "start_ns,src_ip,src_port,dst_ip,dst_port,ip_proto,fwd_packets,fwd_wire_bytes"])
        .output()
        .unwrap();
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn a_collector_says_what_it_could_not_read() {
    let out = printed(|out| collector::run(&b"nonsense\n1 192.0.2.1 1 192.0.2.2 2 17 3 400\n1 2 3\n"[..], out));
    assert_eq!(out, "1 flows, 3 packets, 2 lines lost\n");
}

#[test]
fn the_chapter_shows_the_examples_as_they_are() {
    let names = ["resolver", "whitelist", "analyzer", "reporter", "collector"];
    for (name, shown) in names.iter().zip(blocks("rust")) {
        let source = fs::read_to_string(root().join(format!("examples/{name}.rs"))).unwrap();
        assert_eq!(shown, source, "docs/extending.md shows another examples/{name}.rs");
        assert!(source.lines().count() < 80, "{name}");
    }
    assert_eq!(blocks("rust").len(), names.len());
    assert_eq!(fs::read_dir(root().join("examples")).unwrap().count(), names.len());
}
