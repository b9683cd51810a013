//! Which inputs the user means: names, patterns and standard input.

use std::collections::HashSet;
use std::io::{self, IsTerminal};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use flowcore::{Error, ErrorKind, Result};
pub use flowsrc_pcap::file::is_standard_input;

/// The files meant by `names`, patterns expanded, each once and in the order given; and those that were named again.
///
/// # Errors
/// If there is none, or a pattern matches nothing.
pub fn expand(names: &[PathBuf]) -> Result<(Vec<PathBuf>, Vec<PathBuf>)> {
    let (paths, again) = each_once(names)?;
    if paths.is_empty() {
        let message = "nothing to read: name a capture with -r, as in `-r capture.pcap`, or pipe one in: \
                       `tcpdump -w - | flow conns -r -`";
        return Err(Error::new(ErrorKind::Usage, message));
    }
    if paths.iter().any(|path| is_standard_input(path)) && io::stdin().is_terminal() {
        let message = "standard input is a terminal: pipe a capture in, as in `tcpdump -w - | flow conns -r -`";
        return Err(Error::new(ErrorKind::Usage, message));
    }
    Ok((paths, again))
}

fn each_once(names: &[PathBuf]) -> Result<(Vec<PathBuf>, Vec<PathBuf>)> {
    let (mut paths, mut again): (Vec<PathBuf>, Vec<PathBuf>) = (Vec::new(), Vec::new());
    let mut known = HashSet::new();
    for name in names {
        let found = if is_pattern(name) { matching(name)? } else { vec![name.clone()] };
        for path in found {
            let is_new = match identity(&path) {
                Some(identity) => known.insert(identity),
                None if is_standard_input(&path) => !paths.iter().any(|known| is_standard_input(known)),
                None => !paths.contains(&path),
            };
            if is_new { paths.push(path) } else { again.push(path) }
        }
    }
    Ok((paths, again))
}

/// Device and number of a regular file: the same by whatever name. Other things may give something new when they are
/// opened again.
fn identity(path: &Path) -> Option<(u64, u64)> {
    let place = if is_standard_input(path) { Path::new("/dev/stdin") } else { path };
    let facts = std::fs::metadata(place).ok().filter(std::fs::Metadata::is_file)?;
    Some((facts.dev(), facts.ino()))
}

/// Refuses to read what standard output writes to: it would read its own rows, or spoil a capture.
///
/// # Errors
/// If one of `paths` is that file, by whatever name.
pub fn refuse_output(paths: &[PathBuf]) -> Result<()> {
    let Ok(output) = rustix::fs::fstat(io::stdout()) else { return Ok(()) };
    let is_output = |path: &&PathBuf| identity(path) == Some((output.st_dev, output.st_ino));
    match paths.iter().find(is_output) {
        None => Ok(()),
        Some(path) => {
            let message = format!("{}: input file is output file: send the output to another one", name(path));
            Err(Error::new(ErrorKind::Usage, message))
        }
    }
}

/// What messages call it.
pub fn name(path: &Path) -> String {
    if is_standard_input(path) { "standard input".to_owned() } else { path.display().to_string() }
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
    let mut files = Vec::new();
    let mut folders = false;
    for path in found {
        let path = path.map_err(|error| {
            let subject = format!("{shown}: {} cannot be searched", error.path().display());
            Error::io(subject, error.into())
        })?;
        if path.is_dir() {
            folders = true;
        } else {
            files.push(path);
        }
    }
    if files.is_empty() {
        let what = if folders { "only directories match; name the files in them" } else { "no file matches" };
        return Err(Error::new(ErrorKind::NotFound, format!("{shown}: {what}")));
    }
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[test]
    fn patterns_become_files_in_order_and_once() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["b.pcap1", "b.pcap0", "c.txt"] {
            std::fs::write(folder.path().join(name), "").unwrap();
        }
        let (found, again) = expand(&[folder.path().join("b.*"), folder.path().join("b.pcap1")]).unwrap();
        assert_eq!(found, [folder.path().join("b.pcap0"), folder.path().join("b.pcap1")]);
        assert_eq!(again, [folder.path().join("b.pcap1")]);
    }

    #[test]
    fn a_file_is_the_same_by_any_name() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        std::fs::write(path("a.pcap"), "").unwrap();
        std::os::unix::fs::symlink("a.pcap", path("link.pcap")).unwrap();
        let (found, again) = expand(&[path("a.pcap"), path("./link.pcap"), path("../missing.pcap")]).unwrap();
        assert_eq!(found, [path("a.pcap"), path("../missing.pcap")]);
        assert_eq!(again, [path("./link.pcap")]);
    }

    #[test]
    fn standard_input_is_the_same_by_any_name() {
        let names = ["other", "-", "/dev/stdin", "/proc/self/fd/0", "/dev/fd/0"].map(PathBuf::from);
        let (paths, again) = each_once(&names).unwrap();
        assert_eq!((&paths[..], &again[..]), (&names[..2], &names[2..]));
    }

    #[test]
    fn a_file_may_be_called_like_a_pattern() {
        let folder = tempfile::tempdir().unwrap();
        let odd = folder.path().join("a[1].pcap");
        std::fs::write(&odd, "").unwrap();
        assert_eq!(expand(std::slice::from_ref(&odd)).unwrap().0, [odd]);
    }

    #[test]
    fn a_pattern_without_files_is_said() {
        let error = expand(&["/nonexistent/*.pcap".into()]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotFound);
        assert_eq!(error.to_string(), "/nonexistent/*.pcap: no file matches");
    }

    #[test]
    fn a_pattern_that_matches_directories_only_is_said() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("monday")).unwrap();
        let error = expand(&[folder.path().join("mon*")]).unwrap_err();
        assert!(error.to_string().ends_with("mon*: only directories match; name the files in them"), "{error}");
    }

    #[test]
    fn a_folder_that_cannot_be_searched_is_not_passed_over() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        for name in ["open", "closed"] {
            std::fs::create_dir(folder.path().join(name)).unwrap();
            std::fs::write(folder.path().join(name).join("a.pcap"), "").unwrap();
        }
        let closed = folder.path().join("closed");
        std::fs::set_permissions(&closed, std::fs::Permissions::from_mode(0o000)).unwrap();
        if std::fs::read_dir(&closed).is_ok() {
            let _ = writeln!(std::io::stderr(), "SKIPPED: permissions do not bind this user");
            return;
        }
        let error = expand(&[folder.path().join("*/*.pcap")]).unwrap_err();
        std::fs::set_permissions(&closed, std::fs::Permissions::from_mode(0o700)).unwrap();
        assert_eq!(error.kind(), ErrorKind::Permission);
        assert!(error.to_string().contains("*/*.pcap: ") && error.to_string().contains("closed"), "{error}");
    }
}
