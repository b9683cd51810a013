//! Agreement with independent tools, over every public capture.
//!
//! The captures and what other tools say about them are not part of the repository: `FLOW_CAPTURES` names their folder,
//! by default `../shared/captures` beside the workspace. Without them the test says so and does nothing.
//! `FLOW_AGREEMENT_WRITE=1` writes `docs/agreement.md`; otherwise the run is held against it.

mod capture;
#[path = "../../../flowcore/tests/support/captures.rs"]
mod captures;
mod causes;
mod checksum;
mod classes;
mod community_id;
mod conversations;
mod course;
mod evidence;
mod fields;
mod flows;
mod lab;
mod pcapng;
mod readability;
mod report;
mod segments;
mod sheet;
mod steps;
mod tcp;
mod tcptrace;
mod truth;
mod turns;
mod zeek;

use std::collections::{BTreeSet, HashMap};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::capture::Capture;
use crate::sheet::{Sheet, Statistic};
use crate::truth::{Row, Table};

fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// All tables that hold rows of every file.
struct Truth {
    readability: readability::Truth,
    tables: HashMap<&'static str, HashMap<String, Vec<Row>>>,
}

impl Truth {
    fn load(truth: &Path) -> Self {
        let mut tables = HashMap::new();
        for (name, separator) in [
            ("tcp_streams.tsv", '\t'),
            ("communityid.tsv", '\t'),
            ("argus.csv", ','),
            ("http.tsv", '\t'),
            ("tcp_summary.tsv", '\t'),
            ("tcptrace.csv", ','),
            ("nfdump.csv", ','),
            ("upstream/ndpi_flows.tsv", '\t'),
            ("upstream/arkime_sessions.tsv", '\t'),
        ] {
            tables.insert(
                name,
                Table::read(&truth.join(name), separator).map(|table| table.by("file")).unwrap_or_default(),
            );
        }
        let ours = workspace().join("crates/flowcli/tests/agreement");
        let analysis = Table::read(&ours.join("tshark.tsv"), '\t').expect("it stands beside this test");
        tables.insert("tshark.tsv", analysis.by("file"));
        Self { readability: readability::Truth::load(truth), tables }
    }

    /// The rows of one file; `None` if the tool gave nothing for it.
    fn rows(&self, table: &str, file: &str) -> Option<&[Row]> {
        self.tables.get(table)?.get(file).map(Vec::as_slice)
    }
}

/// Every file that is a capture, or that stands among them and must be refused as none.
fn files(folder: &Path, truth: &Truth) -> Vec<String> {
    let mut files: BTreeSet<String> = truth.readability.files().into_iter().collect();
    if let Some(manifest) = Table::read(&folder.join("MANIFEST.tsv"), '\t') {
        files.extend(manifest.rows.iter().map(|row| row.get("file").to_owned()));
    }
    files.into_iter().filter(|file| folder.join(file).is_file()).collect()
}

fn compare(folder: &Path, truth: &Truth, name: &str) -> Sheet {
    let mut sheet = Sheet::default();
    let capture = Capture::read(folder, name);
    readability::compare(&capture, &truth.readability, &mut sheet);
    let truth_folder = folder.join("truth");
    let libpcap = truth.readability.libpcap_packets(name).unwrap_or(usize::MAX);
    fields::compare(&capture, folder, &mut sheet);
    conversations::compare(&capture, &truth_folder, &mut sheet);
    let http = truth.rows("http.tsv", name).unwrap_or_default();
    turns::elsewhere(&capture, http, &mut sheet);
    if let Some(rows) = truth.rows("tcp_streams.tsv", name) {
        let analysis = truth.rows("tshark.tsv", name).unwrap_or_default();
        let tables = tcp::Tables { streams: rows, analysis, http };
        tcp::compare(&capture, tables, &mut sheet);
        for row in truth.rows("tcp_summary.tsv", name).unwrap_or_default() {
            steps::sums(&capture, row, &mut sheet);
        }
    }
    if let Some(rows) = truth.rows("tcptrace.csv", name) {
        tcptrace::compare(&capture, rows, &mut sheet);
    }
    if let Some(rows) = truth.rows("communityid.tsv", name) {
        flows::community_ids(&capture, rows, &mut sheet);
    }
    if let Some(rows) = truth.rows("argus.csv", name) {
        flows::argus(&capture, rows, libpcap, &mut sheet);
        steps::argus(&capture, rows, &mut sheet);
    }
    if let Some(rows) = truth.rows("nfdump.csv", name) {
        flows::nfdump(&capture, rows, libpcap, &mut sheet);
    }
    if let Some(rows) = truth.rows("upstream/ndpi_flows.tsv", name) {
        flows::ndpi(&capture, rows, &mut sheet);
    }
    if let Some(rows) = truth.rows("upstream/arkime_sessions.tsv", name) {
        flows::arkime(&capture, rows, &mut sheet);
    }
    zeek::compare(&capture, folder, &mut sheet);
    lab::compare(&capture, &truth_folder, &mut sheet);
    sheet
}

/// Compares all files, on as many threads as there are cores; the result does not depend on how many.
fn compare_all(folder: &Path, truth: &Truth, files: &[String]) -> Sheet {
    let next = AtomicUsize::new(0);
    let sheets: Mutex<Vec<(usize, Sheet)>> = Mutex::new(Vec::new());
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let index = next.fetch_add(1, Ordering::Relaxed);
                    let Some(name) = files.get(index) else { break };
                    let sheet = compare(folder, truth, name);
                    sheets.lock().expect("no thread has panicked").push((index, sheet));
                }
            });
        }
    });
    let mut sheets = sheets.into_inner().expect("no thread has panicked");
    sheets.sort_by_key(|(index, _)| *index);
    let mut whole = Sheet::default();
    for (_, sheet) in sheets {
        whole.absorb(sheet);
    }
    whole
}

#[test]
fn we_agree_with_independent_tools_or_say_why_not() {
    let Some(folder) = captures::captures("truth") else { return };
    let truth = Truth::load(&folder.join("truth"));
    let mut files = files(&folder, &truth);
    let only = std::env::var("FLOW_AGREEMENT_ONLY").ok();
    if let Some(only) = &only {
        files.retain(|file| file.contains(only.as_str()));
    }
    let mut sheet = compare_all(&folder, &truth, &files);
    let mut faults = causes::explain(&mut sheet.disagreements);
    let text = report::render(&sheet, files.len());
    let path = workspace().join("docs/agreement.md");
    let unexplained: Vec<_> = sheet.disagreements.iter().filter(|one| one.cause.is_none()).collect();
    for one in &unexplained {
        let sheet::Disagreement { statistic, file, subject, field, ours, theirs, packets, .. } = one;
        eprintln!("{}\t{file}\t{subject}\t{field}\t{ours}\t{theirs}\t{packets:?}", statistic.name());
    }
    if only.is_some() {
        println!("{text}");
        assert!(unexplained.is_empty(), "{} disagreements have no cause", unexplained.len());
        return;
    }
    if std::env::var_os("FLOW_AGREEMENT_WRITE").is_some() {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, &text).unwrap();
    } else {
        let before = report::figures(&fs::read_to_string(&path).unwrap_or_default());
        for statistic in Statistic::ALL {
            let now = sheet.scores.get(&statistic).copied().unwrap_or_default();
            let then = before.get(statistic.name()).copied().unwrap_or_default();
            if now.equal < then.equal {
                faults.push(format!("{}: {} cells agree, {} did", statistic.name(), now.equal, then.equal));
            }
        }
    }
    if !unexplained.is_empty() {
        faults.push(format!("{} disagreements have no cause", unexplained.len()));
    }
    assert!(faults.is_empty(), "\n{}", faults.join("\n"));
}
