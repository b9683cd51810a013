//! The truths' file formats: tab- and comma-separated tables, tshark's printed tables, Zeek logs.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A table with named columns.
#[derive(Clone, Debug, Default)]
pub struct Table {
    pub rows: Vec<Row>,
}

/// One row of a [`Table`].
#[derive(Clone, Debug)]
pub struct Row {
    names: Arc<HashMap<String, usize>>,
    cells: Vec<String>,
}

impl Row {
    /// The cell of a column; empty if the row ends before it. A column that the table does not have is a mistake here.
    pub fn get(&self, column: &str) -> &str {
        let index = *self.names.get(column).unwrap_or_else(|| panic!("the truth has no column `{column}`"));
        self.cells.get(index).map_or("", String::as_str)
    }

    /// Whether the table has the column.
    pub fn has(&self, column: &str) -> bool {
        self.names.contains_key(column)
    }

    /// The cell as a number; `None` if it is empty or not one.
    pub fn number(&self, column: &str) -> Option<u64> {
        self.get(column).parse().ok()
    }

    /// The values of a cell that holds one for each occurrence of a field.
    pub fn list(&self, column: &str) -> Vec<&str> {
        self.get(column).split(',').filter(|value| !value.is_empty()).collect()
    }
}

impl Table {
    fn of(names: Vec<String>, rows: impl Iterator<Item = Vec<String>>) -> Self {
        let names =
            Arc::new(names.into_iter().enumerate().map(|(index, name)| (name, index)).collect::<HashMap<_, _>>());
        let rows = rows.map(|cells| Row { names: Arc::clone(&names), cells }).collect();
        Self { rows }
    }

    /// A file whose first line without `#` names the columns, separated by `separator`.
    pub fn read(path: &Path, separator: char) -> Option<Self> {
        let bytes = fs::read(path).ok()?;
        Some(Self::parse(&String::from_utf8_lossy(&bytes), separator))
    }

    fn parse(text: &str, separator: char) -> Self {
        let cut = |line: &str| line.split(separator).map(str::to_owned).collect::<Vec<_>>();
        let mut lines = text.lines().filter(|line| !line.starts_with('#'));
        let names = lines.next().map(cut).unwrap_or_default();
        Self::of(names, lines.filter(|line| !line.is_empty()).map(cut))
    }

    /// The rows by the value of one column, in order.
    pub fn by(&self, column: &str) -> HashMap<String, Vec<Row>> {
        let mut groups: HashMap<String, Vec<Row>> = HashMap::new();
        for row in &self.rows {
            groups.entry(row.get(column).to_owned()).or_default().push(row.clone());
        }
        groups
    }
}

/// One line of a tshark conversation table: `a`'s frames and bytes are those that `a` sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conversation {
    pub a: String,
    pub b: String,
    pub frames: [u64; 2],
    /// As printed, rounded: `3218 bytes`, `63 kB`.
    pub bytes: [String; 2],
}

/// The conversation tables of one file, by tshark's heading (`TCP`, `UDP`, `SCTP`, `IPv4`, `IPv6`).
pub type Conversations = HashMap<String, Vec<Conversation>>;

/// Reads what `tshark -q -z conv,…` printed.
pub fn conversations(text: &str) -> Conversations {
    let mut tables = Conversations::new();
    let mut heading = None;
    for line in text.lines() {
        if let Some(name) = line.strip_suffix(" Conversations") {
            tables.entry(name.to_owned()).or_default();
            heading = Some(name.to_owned());
        } else if line.starts_with("====") || line.ends_with(" Endpoints") {
            if !line.starts_with("====") {
                heading = None;
            }
        } else if let (Some(name), Some((ends, rest))) = (&heading, line.split_once(" <-> ")) {
            let words: Vec<&str> = rest.split_whitespace().collect();
            // b, frames and bytes with their unit of `<-` (b sent), of `->` (a sent), of both, start, duration.
            let [b, back, back_bytes, back_unit, there, there_bytes, there_unit, ..] = words[..] else { continue };
            let number = |text: &str| text.parse::<u64>().unwrap_or(0);
            if let Some(table) = tables.get_mut(name) {
                table.push(Conversation {
                    a: ends.trim().to_owned(),
                    b: b.to_owned(),
                    frames: [number(there), number(back)],
                    bytes: [format!("{there_bytes} {there_unit}"), format!("{back_bytes} {back_unit}")],
                });
            }
        }
    }
    tables
}

/// One line of a tshark endpoint table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    pub address: String,
    /// Packets and bytes sent, packets and bytes received.
    pub values: [u64; 4],
}

/// Reads the endpoint tables of addresses in what `tshark -q -z endpoints,…` printed.
pub fn endpoints(text: &str) -> Vec<Endpoint> {
    let mut within = false;
    let mut found = Vec::new();
    for line in text.lines() {
        if line.ends_with(" Conversations") || line.ends_with(" Endpoints") {
            within = line == "IPv4 Endpoints" || line == "IPv6 Endpoints";
        }
        let words: Vec<&str> = line.split_whitespace().collect();
        let [address, _, _, rest @ ..] = &words[..] else { continue };
        let numbers: Vec<u64> = rest.iter().map_while(|word| word.parse().ok()).collect();
        if let (true, &[sent, sent_bytes, received, received_bytes]) = (within, &numbers[..]) {
            let values = [sent, sent_bytes, received, received_bytes];
            found.push(Endpoint { address: (*address).to_owned(), values });
        }
    }
    found
}

/// Bytes as tshark's tables print them: in the largest unit of which there are at least ten, rounded down.
pub fn rounded(bytes: u64) -> String {
    const KILO: u64 = 1000;
    for (unit, power) in [("TB", 4), ("GB", 3), ("MB", 2), ("kB", 1)] {
        let whole = bytes / KILO.pow(power);
        if whole >= 10 {
            return format!("{whole} {unit}");
        }
    }
    format!("{bytes} bytes")
}

/// A Zeek connection log, as its test suite keeps it: with all header lines, or columns chosen by `zeek-cut`.
#[derive(Clone, Debug)]
pub struct ZeekLog {
    /// The command that made it.
    pub command: String,
    pub table: Table,
}

impl ZeekLog {
    /// Reads one log.
    pub fn read(path: &Path) -> Option<Self> {
        Some(Self::parse(&fs::read_to_string(path).ok()?))
    }

    /// Reads one log's text.
    pub fn parse(text: &str) -> Self {
        let cut = |line: &str| line.split('\t').map(str::to_owned).collect::<Vec<_>>();
        let command = text.lines().find_map(|line| line.split_once("@TEST-EXEC: ")).map_or("", |(_, command)| command);
        let mut names = None;
        let mut rows = Vec::new();
        for line in text.lines() {
            if let Some(fields) = line.strip_prefix("#fields\t") {
                names = Some(cut(fields));
            } else if line.starts_with('#') || line.is_empty() {
            } else if names.is_none() {
                names = Some(cut(line));
            } else {
                rows.push(cut(line));
            }
        }
        Self { command: command.to_owned(), table: Table::of(names.unwrap_or_default(), rows.into_iter()) }
    }

    /// Whether Zeek was told to trust checksums it did not check.
    pub fn ignores_checksums(&self) -> bool {
        self.command.split_whitespace().any(|word| word == "-C")
    }
}

/// Every file below `folder`, relative to it, sorted.
pub fn files_below(folder: &Path) -> Vec<PathBuf> {
    fn walk(folder: &Path, root: &Path, found: &mut Vec<PathBuf>) {
        let Ok(entries) = fs::read_dir(folder) else { return };
        for entry in entries.flatten() {
            let path = entry.path();
            if path.is_dir() {
                walk(&path, root, found);
            } else if let Ok(relative) = path.strip_prefix(root) {
                found.push(relative.to_owned());
            }
        }
    }
    let mut found = Vec::new();
    walk(folder, folder, &mut found);
    found.sort();
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_conversation_line_gives_each_side_what_it_sent() {
        let text = "\
================================================================================
TCP Conversations
Filter:<No Filter>
                                 |       <-      | |       ->      | |     Total     |    Relative    |   Duration   |
                                 | Frames  Bytes | | Frames  Bytes | | Frames  Bytes |      Start     |              |
192.168.3.103:54102  <-> 128.146.216.51:80   48 63 kB   18 3218 bytes   66 66 kB   0.000000000   1.1553
================================================================================
IPv4 Endpoints
";
        let tables = conversations(text);
        assert_eq!(
            tables["TCP"],
            [Conversation {
                a: "192.168.3.103:54102".into(),
                b: "128.146.216.51:80".into(),
                frames: [18, 48],
                bytes: ["3218 bytes".into(), "63 kB".into()],
            }]
        );
    }

    #[test]
    fn bytes_round_down_in_a_unit_that_has_two_digits() {
        assert_eq!(rounded(3218), "3218 bytes");
        assert_eq!(rounded(9999), "9999 bytes");
        assert_eq!(rounded(63724), "63 kB");
        assert_eq!(rounded(1_349_000), "1349 kB");
    }

    #[test]
    fn a_log_cut_by_columns_names_them_in_its_first_line() {
        let log = ZeekLog::parse("# # @TEST-EXEC: zeek -b -r x.pcap\n### made\nuid\thistory\nC1\tShA\n");
        assert_eq!(log.table.rows[0].get("history"), "ShA");
        assert!(!log.ignores_checksums());
    }
}
