//! The options that say what is selected, and `flow filter`.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

/// Filter words, or a text or file in their place.
#[derive(Clone, Debug, Default, Args)]
pub struct FilterArgs {
    /// Only what this filter selects, as in `tcp and port 443 and not src 10.0.0.0/8`
    ///
    /// All words behind the options are one filter. Quote it where the shell would take `(`, `!`, `<` or `{` for its
    /// own. docs/filter.md has the language; `flow filter check` tries a filter without reading anything.
    #[arg(value_name = "FILTER", help_heading = "Filter")]
    pub words: Vec<String>,

    /// The same as one text
    #[arg(short = 'f', long = "filter", value_name = "TEXT", conflicts_with_all = ["words", "file"], help_heading = "Filter")]
    pub text: Option<String>,

    /// The same from a file, in which `#` begins a comment; `-` is standard input
    #[arg(short = 'F', long = "filter-file", value_name = "FILE", conflicts_with = "words", help_heading = "Filter")]
    pub file: Option<PathBuf>,

    /// Read `and` and `or` without parentheses as another program does: from left to right
    ///
    /// The words stay those of this language. What another program calls otherwise is answered with how it is written
    /// here.
    #[arg(long, value_enum, value_name = "PROGRAM", help_heading = "Filter")]
    pub filter_compat: Option<CompatArg>,
}

impl FilterArgs {
    /// Whether there is a filter.
    pub fn is_given(&self) -> bool {
        !self.words.is_empty() || self.text.is_some() || self.file.is_some()
    }
}

/// Whose reading.
#[derive(Copy, Clone, Debug, PartialEq, Eq, ValueEnum)]
pub enum CompatArg {
    /// One level, from left to right; `:N` begins at port 1
    Como,
    /// One level, from left to right
    Libpcap,
}

/// What to do with a filter alone.
#[derive(Debug, Subcommand)]
pub enum FilterCommand {
    /// Say whether a filter is right, and how it is read
    Check(#[command(flatten)] FilterArgs),
    /// Say what a filter asks for, and of what it can be asked
    Explain(#[command(flatten)] FilterArgs),
    /// Print the form that equal filters share
    Normal(#[command(flatten)] FilterArgs),
    /// Print a filter as a condition over stored flows, in SQL
    Sql(#[command(flatten)] SqlArgs),
}

/// A filter and who is to understand it.
#[derive(Debug, Args)]
pub struct SqlArgs {
    #[command(flatten)]
    pub filter: FilterArgs,

    /// Whose SQL
    #[arg(long, value_enum, value_name = "DATABASE", default_value_t = DialectArg::Duckdb, help_heading = "Output")]
    pub dialect: DialectArg,
}

/// Databases.
#[derive(Copy, Clone, Debug, PartialEq, Eq, ValueEnum)]
pub enum DialectArg {
    /// DuckDB 1.3 or later
    Duckdb,
    /// Spark 3 or later
    Spark,
    /// ClickHouse
    Clickhouse,
    /// SQLite 3.38 or later
    Sqlite,
}
