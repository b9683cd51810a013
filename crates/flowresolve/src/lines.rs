//! Text files of one entry a line: comments, words with their columns, and errors that name the place.

use std::path::Path;

use flowcore::{Error, ErrorKind, Result};

/// Mistakes told at once; more than these are of one kind, or the file is something else.
const MOST_MISTAKES: usize = 20;

/// What a line is that is neither text nor in a comment.
pub(crate) const NO_TEXT: &str = "not text in UTF-8";

/// Reads a whole file.
pub(crate) fn read_bytes(path: &Path) -> Result<Vec<u8>> {
    std::fs::read(path).map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => {
            Error::new(ErrorKind::NotFound, format!("{}: there is no such file", path.display()))
        }
        _ => Error::io(path.display().to_string(), error),
    })
}

/// Reads a whole text file, without its comments.
pub(crate) fn read(path: &Path) -> Result<String> {
    let bytes = read_bytes(path)?;
    let mut text = String::with_capacity(bytes.len());
    for (number, line) in lines_of_bytes(&bytes) {
        text.push_str(line.map_err(|column| {
            Error::new(ErrorKind::Usage, format!("{}:{number}:{column}: {NO_TEXT}", path.display()))
        })?);
        text.push('\n');
    }
    Ok(text)
}

/// All lines of a file, each with its number from 1 on and without its comment, whose bytes may be anything. `Err` has
/// the column of what is no text before it.
pub(crate) fn lines_of_bytes(bytes: &[u8]) -> impl Iterator<Item = (usize, std::result::Result<&str, usize>)> {
    let bytes = bytes.strip_prefix("\u{feff}".as_bytes()).unwrap_or(bytes);
    bytes.split(|&byte| byte == b'\n').enumerate().map(|(index, line)| {
        let line = line.split(|&byte| byte == b'#').next().unwrap_or(line);
        let text = std::str::from_utf8(line)
            .map_err(|error| String::from_utf8_lossy(&line[..error.valid_up_to()]).chars().count() + 1);
        (index + 1, text)
    })
}

/// The lines that are not empty, each with its number from 1 on and without its comment.
pub(crate) fn lines(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let bare = |line: &'_ str| line.find('#').unwrap_or(line.len());
    text.trim_start_matches('\u{feff}')
        .lines()
        .enumerate()
        .map(move |(index, line)| (index + 1, &line[..bare(line)]))
        .filter(|(_, line)| !line.trim().is_empty())
}

/// The words of a line, each with its column, in characters from 1 on.
pub(crate) fn words(line: &str) -> impl Iterator<Item = (usize, &str)> {
    line.split_whitespace().map(|word| (column(line, word), word))
}

/// The column at which `part`, a slice of `line`, begins.
pub(crate) fn column(line: &str, part: &str) -> usize {
    let bytes = (part.as_ptr() as usize).saturating_sub(line.as_ptr() as usize);
    line.get(..bytes).map_or(1, |before| before.chars().count() + 1)
}

/// What is wrong in a file, line by line.
pub(crate) struct Mistakes<'a> {
    /// The file's name.
    origin: &'a str,
    messages: Vec<String>,
    more: usize,
}

impl<'a> Mistakes<'a> {
    pub(crate) fn new(origin: &'a str) -> Self {
        Self { origin, messages: Vec::new(), more: 0 }
    }

    /// Notes one.
    pub(crate) fn at(&mut self, line: usize, column: usize, message: &str) {
        if self.messages.len() == MOST_MISTAKES {
            self.more += 1;
        } else {
            self.messages.push(format!("{}:{line}:{column}: {message}", self.origin));
        }
    }

    /// `value`, unless there were mistakes.
    pub(crate) fn instead_of<T>(self, value: T) -> Result<T> {
        if self.messages.is_empty() {
            return Ok(value);
        }
        let mut text = self.messages.join("\n");
        if self.more > 0 {
            text.push_str(&format!("\n{}: and {} more mistakes", self.origin, self.more));
        }
        Err(Error::new(ErrorKind::Usage, text))
    }

    /// What is to be said where such lines are skipped; `None` without any.
    pub(crate) fn skipped(self) -> Option<String> {
        let first = self.messages.first()?;
        Some(match self.messages.len() - 1 + self.more {
            0 => format!("{first}; the line is skipped"),
            others => format!("{first}; this line and {others} more are skipped"),
        })
    }
}

/// How many insertions, removals, replacements and swaps of neighbours lead from `a` to `b` (optimal string
/// alignment).
pub(crate) fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    // `edits[i][j]` lead from the first `i` of `a` to the first `j` of `b`.
    let mut edits = vec![vec![0; b.len() + 1]; a.len() + 1];
    for i in 0..=a.len() {
        for j in 0..=b.len() {
            edits[i][j] = if i == 0 || j == 0 {
                i + j
            } else {
                let replaced = edits[i - 1][j - 1] + usize::from(a[i - 1] != b[j - 1]);
                let swapped = i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1];
                let swapped = if swapped { edits[i - 2][j - 2] + 1 } else { replaced };
                replaced.min(swapped).min(edits[i - 1][j] + 1).min(edits[i][j - 1] + 1)
            };
        }
    }
    edits[a.len()][b.len()]
}

/// The one of `known` that is meant by a misspelt `word`, if one is near.
pub(crate) fn nearest<'a>(word: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    // Of equally near ones, that with the same beginning: fingers slip later in a word.
    let near = known.map(|known| (distance(word, known), known.get(..1) != word.get(..1), known)).min();
    near.filter(|&(edits, _, known)| edits <= 2 && edits < known.len()).map(|(.., known)| known)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_of_the_finger_is_one_edit() {
        assert_eq!(["https", "htps", "hhttps", "htpts", "htttp"].map(|word| distance(word, "https")), [0, 1, 1, 1, 2]);
        assert_eq!(nearest("frmo", ["from", "to"].into_iter()), Some("from"));
        assert_eq!(nearest("x", ["from", "to"].into_iter()), None);
    }

    #[test]
    fn columns_are_counted_in_characters() {
        let line = "  ä  b";
        assert_eq!(words(line).collect::<Vec<_>>(), [(3, "ä"), (6, "b")]);
    }

    #[test]
    fn mistakes_beyond_the_twentieth_are_counted() {
        let mut mistakes = Mistakes::new("f");
        (1..=25).for_each(|line| mistakes.at(line, 1, "wrong"));
        let text = mistakes.instead_of(()).unwrap_err().to_string();
        assert_eq!((text.lines().count(), text.lines().last()), (21, Some("f: and 5 more mistakes")));
    }
}
