//! What is wrong with a filter, where, and what would help.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use annotate_snippets::{AnnotationKind, Level, Renderer, Snippet};

use crate::suggest;

/// A place in a filter's text, in bytes.
pub type Span = Range<usize>;

/// Why a filter cannot be used: the place, what was expected there, and how to write what was probably meant.
#[derive(Clone, PartialEq, Eq)]
pub struct FilterError(Box<Complaint>);

/// Something to know about a filter that can be used.
#[derive(Clone, PartialEq, Eq)]
pub struct Warning(Box<Complaint>);

/// What both have.
#[derive(Clone, PartialEq, Eq)]
struct Complaint {
    /// A stable name for the kind of mistake.
    code: &'static str,
    title: String,
    span: Span,
    label: String,
    help: Vec<String>,
    /// What the spans count in.
    text: Arc<str>,
    /// `filter`, or the file that the text came from.
    origin: Arc<str>,
}

/// A mistake before the text is known to whom it concerns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mistake {
    pub code: &'static str,
    pub title: String,
    pub span: Span,
    pub label: String,
    pub help: Vec<String>,
    /// What would be right there, if that is known.
    pub mend: Option<Box<Mend>>,
}

/// Text that would be right in the place of some other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mend {
    pub span: Span,
    pub text: String,
    /// How many words behind the mistake's it replaces too.
    pub words: usize,
    /// Whether it is a whole test, not a value.
    pub is_test: bool,
}

/// Characters of a title at most: a filter has 64 KiB, and any value in it may have all of them.
const MOST_OF_TITLE: usize = 400;

impl Mistake {
    pub fn new(code: &'static str, span: Span, title: impl Into<String>) -> Self {
        let title = suggest::within(MOST_OF_TITLE, &title.into());
        Self { code, title, span, label: String::new(), help: Vec::new(), mend: None }
    }

    #[must_use]
    pub fn label(mut self, label: impl Into<String>) -> Self {
        self.label = label.into();
        self
    }

    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help.push(help.into());
        self
    }

    /// Says what value, or which test, would be right here.
    #[must_use]
    pub fn mend(mut self, text: impl Into<String>, is_test: bool) -> Self {
        self.mend = Some(Box::new(Mend { span: self.span.clone(), text: text.into(), words: 0, is_test }));
        self
    }

    fn complain(self, text: &Arc<str>, origin: &Arc<str>) -> Box<Complaint> {
        let Self { code, title, span, label, help, mend: _ } = self;
        let end = span.end.min(text.len());
        let span = span.start.min(end)..end;
        let (title, label) = (one_line(title), one_line(label));
        let help = help.into_iter().map(one_line).collect();
        Box::new(Complaint { code, title, span, label, help, text: text.clone(), origin: origin.clone() })
    }

    pub fn error(self, text: &Arc<str>, origin: &Arc<str>) -> FilterError {
        FilterError(self.complain(text, origin))
    }

    pub fn warning(self, text: &Arc<str>, origin: &Arc<str>) -> Warning {
        Warning(self.complain(text, origin))
    }
}

/// What quotes the filter's text may quote a line break, or what moves a terminal's cursor.
fn one_line(text: String) -> String {
    if text.contains(char::is_control) { text.replace(char::is_control, " ") } else { text }
}

/// Text shown of one line at most: a filter of 64 KiB is not printed back.
const SHOWN: usize = 160;

impl Complaint {
    /// Line and column, both from 1; columns in characters.
    fn place(&self) -> (usize, usize) {
        let before = self.text.get(..self.span.start).unwrap_or("");
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().unwrap_or("").chars().count() + 1;
        (line, column)
    }

    /// The lines around the place, cut to what can be read; the span within them; the number of the first line.
    fn excerpt(&self) -> (String, Span, usize) {
        let (line, _) = self.place();
        let start = self.text[..self.span.start].rfind('\n').map_or(0, |at| at + 1);
        let end = self.text[start..].find('\n').map_or(self.text.len(), |at| start + at);
        let mut from = start;
        while self.span.start - from > SHOWN / 2 && end - from > SHOWN {
            from += self.text[from..].chars().next().map_or(1, char::len_utf8);
        }
        let mut to = from;
        while to < end && to - from < SHOWN {
            to += self.text[to..].chars().next().map_or(1, char::len_utf8);
        }
        let span_end = self.span.end.clamp(self.span.start, to.max(self.span.start));
        // Tabs and control characters would move the caret away from its place.
        let shown: String = self.text[from..to].chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
        // Every control character is one byte in UTF-8, or two for U+0080 to U+009F.
        let shift = |at: usize| {
            self.text[from..at.min(to)].chars().map(|c| if c.is_control() { 1 } else { c.len_utf8() }).sum::<usize>()
        };
        (shown, shift(self.span.start)..shift(span_end), line)
    }

    fn render(&self, level: Level<'static>, colours: bool) -> String {
        let (shown, span, line) = self.excerpt();
        let start = span.start;
        let mut annotation = AnnotationKind::Primary.span(span);
        if !self.label.is_empty() {
            annotation = annotation.label(self.label.as_str());
        }
        let excerpt_column = shown.get(..start).unwrap_or("").chars().count() + 1;
        let snippet = Snippet::source(shown).line_start(line).path(self.origin.as_ref()).annotation(annotation);
        let mut group = level.primary_title(self.title.as_str()).element(snippet);
        for help in &self.help {
            group = group.element(Level::HELP.message(help.as_str()));
        }
        let renderer = if colours { Renderer::styled() } else { Renderer::plain() };
        // Of a line that is shown in part the column is not that of the excerpt.
        let place = |column: usize| format!("{}:{line}:{column}", self.origin);
        renderer.render(&[group]).replacen(&place(excerpt_column), &place(self.place().1), 1)
    }

    fn line(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (line, column) = self.place();
        write!(f, "{}:{line}:{column}: {}", self.origin, self.title)?;
        match self.help.first() {
            Some(help) => write!(f, "; {help}"),
            None => Ok(()),
        }
    }
}

impl FilterError {
    /// A stable name for the kind of mistake, as in `unknown-word`.
    pub fn code(&self) -> &'static str {
        self.0.code
    }

    /// What is wrong, in one sentence.
    pub fn message(&self) -> &str {
        &self.0.title
    }

    /// Where, in bytes of the text.
    pub fn span(&self) -> Span {
        self.0.span.clone()
    }

    /// What would help, the most likely first.
    pub fn help(&self) -> &[String] {
        &self.0.help
    }

    /// Several lines with the place underlined, for a terminal.
    pub fn render(&self, colours: bool) -> String {
        self.0.render(Level::ERROR, colours)
    }
}

impl Warning {
    /// A stable name for what it is about.
    pub fn code(&self) -> &'static str {
        self.0.code
    }

    /// What there is to know, in one sentence.
    pub fn message(&self) -> &str {
        &self.0.title
    }

    /// Where, in bytes of the text.
    pub fn span(&self) -> Span {
        self.0.span.clone()
    }

    /// Several lines with the place underlined, for a terminal.
    pub fn render(&self, colours: bool) -> String {
        self.0.render(Level::WARNING, colours)
    }
}

impl From<FilterError> for flowcore::Error {
    /// A wrong use, with the same words.
    fn from(error: FilterError) -> Self {
        Self::new(flowcore::ErrorKind::Usage, error.to_string())
    }
}

impl fmt::Display for FilterError {
    /// One line: `filter:1:14: no field …; did you mean …`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.line(f)
    }
}

impl fmt::Debug for FilterError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.line(f)
    }
}

impl std::error::Error for FilterError {}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.line(f)
    }
}

impl fmt::Debug for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.line(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(text: &str, span: Span) -> FilterError {
        Mistake::new("test", span, "wrong").label("here").error(&text.into(), &"filter".into())
    }

    #[test]
    fn the_place_counts_lines_and_characters() {
        assert_eq!(error("tcp\nµ port x", 12..13).to_string(), "filter:2:8: wrong");
    }

    #[test]
    fn a_long_value_is_not_repeated_whole() {
        for text in [format!("port {}", "9".repeat(50_000)), format!("len > 0x{}", "f".repeat(50_000))] {
            let error = crate::Filter::parse(&text).err().unwrap();
            assert!(error.to_string().len() < 600, "{error}");
            assert_eq!(flowcore::Error::from(error).kind(), flowcore::ErrorKind::Usage);
        }
    }

    #[test]
    fn a_long_text_is_shown_around_the_place() {
        let text = format!("{}HERE{}", "é".repeat(5_000), "b".repeat(5_000));
        let shown = error(&text, 10_000..10_004).render(false);
        assert!(shown.len() < 1_200 && shown.contains("HERE") && shown.contains("filter:1:5001\n"), "{shown}");
    }

    #[test]
    fn a_quoted_line_break_does_not_break_the_line() {
        let error = Mistake::new("test", 0..1, "`a\nb` is wrong").label("\u{1b}[2J").help("not\tthis");
        let error = error.error(&"a\nb".into(), &"filter".into());
        assert_eq!(error.to_string(), "filter:1:1: `a b` is wrong; not this");
        assert!(!error.render(false).contains('\u{1b}'));
    }

    #[test]
    fn any_span_can_be_rendered() {
        for text in ["", "a", "a\nb", "\u{85}\tx", "é"] {
            for start in (0..=text.len()).filter(|&at| text.is_char_boundary(at)) {
                for end in (start..=text.len() + 2).filter(|&at| at > text.len() || text.is_char_boundary(at)) {
                    assert!(error(text, start..end).render(false).contains("wrong"));
                }
            }
        }
    }
}
