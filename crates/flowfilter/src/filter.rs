//! A filter: its text, its tree, and what there is to know about it.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use flowcore::Addr;

use crate::ast::Expr;
use crate::error::{FilterError, Mistake, Span, Warning};
use crate::field::{Field, FieldSet};
use crate::lex;
use crate::parse::{MAX_TEXT, Parser};

/// How a chain of `and` and `or` without parentheses is read.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
pub enum Compat {
    /// `and` binds tighter than `or`; a warning says where others read it otherwise.
    #[default]
    None,
    /// As CoMo: one level, from left to right; and a port range `:N` begins at 1.
    Como,
    /// As libpcap: one level, from left to right.
    Libpcap,
}

/// Reads the text of a named list, or says why not.
pub type ReadList<'o> = dyn Fn(&str) -> Result<String, String> + 'o;

/// Asks for the addresses of a host's name, or says why there are none.
pub type FindHost<'o> = dyn Fn(&str) -> Result<Vec<Addr>, String> + 'o;

/// What parsing may use besides the text.
#[derive(Clone, Copy, Default)]
pub struct Options<'o> {
    /// How mixed chains are read.
    pub compat: Compat,
    /// Who reads `@lists`; without it they are an error.
    pub lists: Option<&'o ReadList<'o>>,
    /// Who answers `name:HOST`; without it that is an error. Nothing else is ever looked up.
    pub hosts: Option<&'o FindHost<'o>>,
    /// Where the text came from, for messages; `filter` if empty.
    pub origin: &'o str,
    /// Whether sockets are asked, by people who may know `ss`: `dport = :443` is port 443 then, and of `dport :443`, which
    /// is port 443 to `ss` and every port up to it here, a warning ([`OPEN_RANGE`]) says so.
    pub beside_ss: bool,
}

/// Code of the warning that `ss` reads a range of ports as one port.
pub const OPEN_RANGE: &str = "open-range";

impl fmt::Debug for Options<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options").field("compat", &self.compat).field("origin", &self.origin).finish_non_exhaustive()
    }
}

/// A filter that was understood: names, types and values are right. Whether a kind of record has the fields is found out
/// by [`bind`](Self::bind).
///
/// Two filters are equal if their trees are; compare [`normal`](Self::normal) forms to know whether they mean the same.
#[derive(Clone)]
pub struct Filter {
    expr: Expr,
    text: Arc<str>,
    origin: Arc<str>,
    places: Vec<(Field, Span)>,
    warnings: Vec<Warning>,
}

impl Filter {
    /// Syntax, names and types, all at once.
    ///
    /// # Errors
    /// What is wrong, where, and what would help.
    pub fn parse(text: &str) -> Result<Self, FilterError> {
        Self::parse_with(text, &Options::default())
    }

    /// The same with named lists, look-ups or another way to read chains.
    ///
    /// # Errors
    /// As [`parse`](Self::parse).
    pub fn parse_with(text: &str, options: &Options<'_>) -> Result<Self, FilterError> {
        let shared: Arc<str> = text.into();
        let origin: Arc<str> = if options.origin.is_empty() { "filter" } else { options.origin }.into();
        let wrong = |mistake: Mistake| mistake.error(&shared, &origin);
        if text.len() > MAX_TEXT {
            return Err(wrong(
                Mistake::new("too-long", MAX_TEXT..MAX_TEXT, format!("the filter is longer than {MAX_TEXT} bytes"))
                    .label("the limit is here")
                    .help("put long lists into a file: `src in @servers.txt`"),
            ));
        }
        let tokens = lex::tokens(text).map_err(wrong)?;
        let parser = Parser::new(text, options);
        let expr = parser
            .filter(&tokens)
            .map_err(|mistake| wrong(crate::translate::advise(mistake, &tokens, text, options)))?;
        let mut notes = parser.notes.into_inner();
        notes.sort_by_key(|note| note.span.start);
        let warnings = notes.into_iter().map(|note| note.warning(&shared, &origin)).collect();
        Ok(Self { expr, text: shared, origin, places: parser.places.into_inner(), warnings })
    }

    /// A filter from a tree made elsewhere; its text is the tree's.
    pub fn from_expr(expr: Expr) -> Self {
        let text: Arc<str> = expr.to_string().into();
        Self { expr, text, origin: "filter".into(), places: Vec::new(), warnings: Vec::new() }
    }

    /// The filter that selects everything.
    pub fn all() -> Self {
        Self::from_expr(Expr::All)
    }

    /// Its tree.
    pub fn expr(&self) -> &Expr {
        &self.expr
    }

    /// As it was written.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// What there is to know: chains that others read differently, host bits that are not looked at.
    pub fn warnings(&self) -> &[Warning] {
        &self.warnings
    }

    /// The fields it asks for.
    pub fn fields(&self) -> FieldSet {
        self.expr.fields()
    }

    /// A weaker filter that asks for `known` fields only: it passes everything that this one passes, and perhaps more.
    #[must_use]
    pub fn widen(&self, known: FieldSet) -> Self {
        Self::from_expr(crate::widen::widen(&self.expr, known))
    }

    /// A form that equal filters share; see [`crate::normal`].
    #[must_use]
    pub fn normal(&self) -> Self {
        Self::from_expr(crate::normal::normal(&self.expr))
    }

    /// An error that refuses a field for a reason only the caller knows, at the field's place in the text.
    pub fn refuse(&self, field: Field, title: &str, help: Option<&str>) -> FilterError {
        let mut mistake = Mistake::new("refused", self.place(field), title).label(field.def().about);
        mistake.help.extend(help.map(str::to_owned));
        mistake.error(&self.text, &self.origin)
    }

    /// Where a field is first asked for.
    fn place(&self, field: Field) -> Span {
        self.places.iter().find(|(known, _)| *known == field).map_or(0..0, |(_, span)| span.clone())
    }

    /// The error for a field that a kind of record never has, at its place in the text.
    pub(crate) fn no_field(&self, field: Field, record: &str, help: Option<String>) -> FilterError {
        let quote = if field.full_name() == field.name() { "`" } else { "" };
        let title = format!("{record} have no {quote}{}{quote}", field.full_name());
        let mut mistake = Mistake::new("no-field", self.place(field), title).label(field.def().about);
        mistake.help.extend(help);
        mistake.error(&self.text, &self.origin)
    }
}

impl PartialEq for Filter {
    fn eq(&self, other: &Self) -> bool {
        self.expr == other.expr
    }
}

impl Eq for Filter {}

impl fmt::Display for Filter {
    /// Text that parses to an equal filter, if it is not longer than a filter may be: it is written out in full.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.expr.fmt(f)
    }
}

impl fmt::Debug for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Filter({})", self.expr)
    }
}

impl FromStr for Filter {
    type Err = FilterError;
    fn from_str(text: &str) -> Result<Self, FilterError> {
        Self::parse(text)
    }
}
