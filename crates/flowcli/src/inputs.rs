//! Which inputs the user means: names, patterns and standard input.

use std::io::{self, IsTerminal};
use std::path::{Path, PathBuf};

use std::num::NonZeroU64;

use flowcore::wire::DecodeOptions;
use flowcore::{Error, ErrorKind, Result};
use flowsrc_pcap::Files;

use crate::signals::{Signals, StoppableInput};

/// The name of standard input.
pub const STANDARD_INPUT: &str = "-";

/// The files meant by `names`, patterns expanded, each once and in the order given.
///
/// # Errors
/// If there is none, or a pattern matches nothing.
pub fn expand(names: &[PathBuf]) -> Result<Vec<PathBuf>> {
    let mut paths: Vec<PathBuf> = Vec::new();
    for name in names {
        let found = if is_pattern(name) { matching(name)? } else { vec![name.clone()] };
        for path in found {
            if !paths.contains(&path) {
                paths.push(path);
            }
        }
    }
    if paths.is_empty() {
        let message = "nothing to read: name a capture, as in `flow conns -r capture.pcap`, or pipe one in: \
                       `tcpdump -w - | flow conns -r -`";
        return Err(Error::new(ErrorKind::Usage, message));
    }
    if paths.iter().any(|path| is_standard_input(path)) && io::stdin().is_terminal() {
        let message = "standard input is a terminal: pipe a capture in, as in `tcpdump -w - | flow conns -r -`";
        return Err(Error::new(ErrorKind::Usage, message));
    }
    Ok(paths)
}

/// What to read and how.
pub struct Reading {
    /// As [`expand`] gave them.
    pub paths: Vec<PathBuf>,
    /// How frames are decoded.
    pub options: DecodeOptions,
    /// Packets at most.
    pub count: Option<NonZeroU64>,
}

/// Opens what the user named.
///
/// # Errors
/// As [`flowsrc_pcap::file::Builder::open`].
pub fn open(reading: Reading, signals: &Signals) -> Result<Files> {
    let mut builder = Files::builder().decode(reading.options);
    for path in reading.paths {
        builder = if is_standard_input(&path) {
            builder.stream(Box::new(StoppableInput::new(signals.clone())), "standard input")
        } else {
            builder.path(path)
        };
    }
    if let Some(count) = reading.count {
        builder = builder.packet_limit(count.get());
    }
    builder.open()
}

/// Whether `path` means standard input.
pub fn is_standard_input(path: &Path) -> bool {
    path.as_os_str() == STANDARD_INPUT
}

/// A name with wildcards is a pattern unless there is a file of just that name.
fn is_pattern(name: &Path) -> bool {
    name.to_str().is_some_and(|text| text.contains(['*', '?', '['])) && !name.exists()
}

fn matching(pattern: &Path) -> Result<Vec<PathBuf>> {
    let shown = pattern.display();
    let text = pattern.to_string_lossy();
    let found = glob::glob(&text)
        .map_err(|error| Error::new(ErrorKind::Usage, format!("{shown}: not a pattern")).because(error))?;
    // In alphabetical order, so rotated sets come in the order of their numbers or times.
    let found: Vec<PathBuf> = found.filter_map(std::result::Result::ok).filter(|path| !path.is_dir()).collect();
    if found.is_empty() {
        return Err(Error::new(ErrorKind::NotFound, format!("{shown}: no file matches")));
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_become_files_in_order_and_once() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["b.pcap1", "b.pcap0", "c.txt"] {
            std::fs::write(folder.path().join(name), "").unwrap();
        }
        let found = expand(&[folder.path().join("b.*"), folder.path().join("b.pcap1")]).unwrap();
        assert_eq!(found, [folder.path().join("b.pcap0"), folder.path().join("b.pcap1")]);
    }

    #[test]
    fn a_file_may_be_called_like_a_pattern() {
        let folder = tempfile::tempdir().unwrap();
        let odd = folder.path().join("a[1].pcap");
        std::fs::write(&odd, "").unwrap();
        assert_eq!(expand(std::slice::from_ref(&odd)).unwrap(), [odd]);
    }

    #[test]
    fn a_pattern_without_files_is_said() {
        let error = expand(&["/nonexistent/*.pcap".into()]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotFound);
        assert_eq!(error.to_string(), "/nonexistent/*.pcap: no file matches");
    }
}
