//! Causes found by reading the bytes, kept in `causes.tsv`: as narrow as they can be said.
//!
//! One cause a line: statistic, file, subject, field, cause. A subject or field may end in `*` and then names all that
//! begin so, and a subject `packets 3,5,7-9` names these packets. A line that explains nothing fails the test, so that
//! the file does not outlive what it is about.

use crate::sheet::Disagreement;

const TEXT: &str = include_str!("causes.tsv");

struct Line {
    number: usize,
    statistic: String,
    file: String,
    subject: String,
    field: String,
    cause: String,
    used: bool,
}

fn lines() -> Vec<Line> {
    TEXT.lines()
        .enumerate()
        .filter(|(_, line)| !line.starts_with('#') && !line.is_empty())
        .map(|(index, line)| {
            let cells: Vec<&str> = line.split('\t').collect();
            let [statistic, file, subject, field, cause] = cells[..] else {
                panic!("causes.tsv:{}: five columns separated by tabs are needed", index + 1)
            };
            assert!(!file.contains('*'), "causes.tsv:{}: a cause is about one file", index + 1);
            Line {
                number: index + 1,
                statistic: statistic.to_owned(),
                file: file.to_owned(),
                subject: subject.to_owned(),
                field: field.to_owned(),
                cause: cause.to_owned(),
                used: false,
            }
        })
        .collect()
}

fn names(pattern: &str, text: &str) -> bool {
    if let (Some(list), Some(number)) = (pattern.strip_prefix("packets "), text.strip_prefix("packet ")) {
        let Ok(number) = number.parse::<u64>() else { return false };
        return list.split(',').any(|part| {
            let (low, high) = part.split_once('-').unwrap_or((part, part));
            low.parse::<u64>().is_ok_and(|low| low <= number) && high.parse::<u64>().is_ok_and(|high| number <= high)
        });
    }
    match pattern.strip_suffix('*') {
        Some(start) => text.starts_with(start),
        None => pattern == text,
    }
}

/// Gives the disagreements without a cause that of the first line that names them; returns the lines that named none.
pub fn explain(disagreements: &mut [Disagreement]) -> Vec<String> {
    let mut lines = lines();
    for disagreement in disagreements.iter_mut().filter(|disagreement| disagreement.cause.is_none()) {
        let found = lines.iter_mut().find(|line| {
            line.statistic == disagreement.statistic.name()
                && line.file == disagreement.file
                && names(&line.subject, &disagreement.subject)
                && names(&line.field, disagreement.field)
        });
        if let Some(line) = found {
            line.used = true;
            disagreement.cause = Some(line.cause.clone());
        }
    }
    lines
        .iter()
        .filter(|line| !line.used)
        .map(|line| format!("causes.tsv:{}: explains nothing: {} {}", line.number, line.file, line.cause))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::names;

    #[test]
    fn a_subject_names_itself_a_beginning_or_a_list_of_packets() {
        assert!(names("packet 4", "packet 4"));
        assert!(!names("packet 4", "packet 41"));
        assert!(names("stream 4 *", "stream 4 (tcp a - b)"));
        assert!(names("packets 1,3-5", "packet 4"));
        assert!(!names("packets 1,3-5", "packet 2"));
    }
}
