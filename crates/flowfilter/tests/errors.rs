//! What is said of each kind of mistake. One file each in `tests/errors`: the filter, a line `---`, and the answer as it
//! must be shown. `FLOW_ERRORS_WRITE=1` writes the answers anew, to be read before they are committed.
#![allow(clippy::unwrap_used, reason = "a test")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use flowcore::resolve::Numeric;
use flowcore::{FlowEvent, Resolver};
use flowfilter::{Filter, FilterError, Options};

fn files() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/errors");
    let mut files: Vec<PathBuf> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

/// The error of a filter for packets. There is one list, `web`, and no name resolves.
fn error(text: &str) -> Option<FilterError> {
    let lists = |name: &str| match name {
        "web" => Ok("80\n443\n".to_owned()),
        "broken" => Ok("80\n\nhtpps # a typo\n".to_owned()),
        "empty" => Ok("# nothing\n".to_owned()),
        _ => Err("there is no such file".to_owned()),
    };
    let hosts = |_: &str| Err("the name server does not answer".to_owned());
    let options = Options { lists: Some(&lists), hosts: Some(&hosts), ..Options::default() };
    let names: Arc<dyn Resolver> = Arc::new(Numeric);
    match Filter::parse_with(text, &options) {
        Ok(filter) => filter.bind::<FlowEvent>(&names).err(),
        Err(error) => Some(error),
    }
}

#[test]
fn every_mistake_is_answered_as_it_was() {
    let write = std::env::var_os("FLOW_ERRORS_WRITE").is_some();
    let mut wrong = Vec::new();
    let mut codes = BTreeSet::new();
    for path in files() {
        let content = fs::read_to_string(&path).unwrap();
        let (text, expected) = content.split_once("\n---\n").unwrap_or((content.trim_end_matches('\n'), ""));
        let Some(error) = error(text) else {
            wrong.push(format!("{}: `{text}` is no mistake", path.display()));
            continue;
        };
        codes.insert(error.code());
        let said = format!("{}\n", error.render(false));
        if write {
            fs::write(&path, format!("{text}\n---\n{said}")).unwrap();
        } else if said != expected {
            wrong.push(format!("{}:\n{said}", path.display()));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(files().len() >= 60 && codes.len() >= 40, "{} files, {} kinds", files().len(), codes.len());
}

#[test]
fn every_error_underlines_something_in_the_text_and_says_one_line_too() {
    for path in files() {
        let content = fs::read_to_string(&path).unwrap();
        let (text, _) = content.split_once("\n---\n").unwrap();
        let error = error(text).unwrap();
        let span = error.span();
        assert!(text.get(span.clone()).is_some(), "{}: {span:?}", path.display());
        assert!(!error.to_string().contains('\n'), "{}", path.display());
        assert!(error.to_string().starts_with("filter:1:") || text.contains('\n'), "{error}");
    }
}

/// What an answer says to write instead is right, and nothing in it is to be filled in.
#[test]
fn what_is_recommended_is_read() {
    let mut tried = 0;
    for path in files() {
        let content = fs::read_to_string(&path).unwrap();
        let (text, _) = content.split_once("\n---\n").unwrap();
        for help in error(text).unwrap().help() {
            let Some(written) = help.strip_prefix("write `").or_else(|| help.strip_prefix("as in `")) else { continue };
            let Some((written, rest)) = written.split_once('`') else { continue };
            // A sign, a word, or `A` and `B` that stand for filters.
            let is_part = !written.contains([' ', '{']) || written.starts_with("(A ");
            if is_part
                && Filter::parse(written).is_err()
                && (!rest.is_empty() || written.len() < 4 || written.starts_with('('))
            {
                continue;
            }
            if written.contains('@') {
                continue;
            }
            tried += 1;
            let hosts = |_: &str| Ok(vec![flowcore::Addr::UNSPECIFIED]);
            let options = Options { hosts: Some(&hosts), ..Options::default() };
            assert!(Filter::parse_with(written, &options).is_ok(), "{}: {written}", path.display());
        }
    }
    assert!(tried >= 60, "{tried}");
}

/// What is to be written stands for the whole filter, or it is said that it does not.
#[test]
fn what_is_recommended_is_all_of_the_filter_or_said_to_be_a_part() {
    let mut wrong = Vec::new();
    for path in files() {
        let content = fs::read_to_string(&path).unwrap();
        let (text, _) = content.split_once("\n---\n").unwrap();
        for longer in [format!("vni 7 and ({text})"), format!("vni 7 and not {text}"), format!("{text} and vni 7")] {
            let Some(error) = error(&longer) else { continue };
            for help in error.help() {
                let written = help.strip_prefix("write `").and_then(|help| help.strip_suffix('`'));
                if written.is_some_and(|written| !written.contains('`') && !written.contains("vni 7")) {
                    wrong.push(format!("{longer}: {help}"));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
