//! Exit codes and where they come from.

use std::borrow::Cow;
use std::io::{self, Write};
use std::process::ExitCode;

use flowcore::ErrorKind;
use flowfilter::FilterError;
use rustix::io::Errno;

use crate::args::Color;
use crate::filter::complain_whole;
use crate::terminal;

/// What the process tells its caller. The numbers are part of the interface and listed in `flow --help`.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct Exit(u8);

impl Exit {
    /// Done; the input is complete, and nothing was lost beyond the allowed bound.
    pub const DONE: Self = Self(0);
    /// Failed at run time: reading, writing, an unsupported format.
    pub const FAILED: Self = Self(1);
    /// Wrong usage.
    pub const USAGE: Self = Self(2);
    /// The input was damaged, cut, interrupted or has times that cannot be right: results are printed and marked
    /// partial.
    pub const PARTIAL: Self = Self(3);
    /// A permission or capability is missing.
    pub const PERMISSION: Self = Self(4);
    /// More was lost than `--max-loss` allows.
    pub const LOSS: Self = Self(5);
    /// Nothing matched, and `--fail-empty` was given.
    pub const EMPTY: Self = Self(6);

    /// Ended by a signal before there was any result, as a shell would say it.
    pub fn signalled(signal: i32) -> Self {
        Self(128u8.saturating_add(u8::try_from(signal).unwrap_or(0)))
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.0)
    }
}

/// The codes for help texts; lines for terminals of 80 columns, as one that is broken loses its indentation.
pub const TABLE: &str = concat!(
    "  0  done: the input is complete (with --count: as far as asked)\n",
    "  1  failed: reading, writing, not a capture file\n",
    "  2  wrong usage, a filter that cannot be used\n",
    "  3  the input was damaged, cut, out of order, interrupted, or one of several\n",
    "     could not be read: what was read is printed and marked\n",
    "  4  a permission is missing\n",
    "  5  more was lost than --max-loss allows\n",
    "  6  no rows, with --fail-empty\n",
    "  130, 143  ended by SIGINT or SIGTERM before there was any result; lat, vol,\n",
    "     cpu, sockets with --every and no -c: after the final report\n",
    "Of 3, 5 and 6 the first that is true; too great a loss is told beside 3 too",
);

/// Says what went wrong, if anything, and turns it into an exit code. A closed pipe is success: whoever read the
/// output had enough.
pub fn conclude(done: anyhow::Result<Exit>) -> Exit {
    let error = match done {
        Ok(exit) => return exit,
        Err(error) => error,
    };
    if is_closed_pipe(&error) {
        return Exit::DONE;
    }
    if let Some(error) = error.downcast_ref::<FilterError>() {
        complain_whole(&error.render(terminal::error_color(Color::Auto)));
        return Exit::USAGE;
    }
    let kind = error.chain().find_map(|cause| cause.downcast_ref::<flowcore::Error>()).map(flowcore::Error::kind);
    let message = describe(&error);
    match kind {
        // Several mistakes of one file have a line each.
        Some(ErrorKind::Usage) => message.lines().for_each(complain),
        _ => complain(&message),
    }
    match kind {
        Some(ErrorKind::Usage) => Exit::USAGE,
        Some(ErrorKind::Permission) => Exit::PERMISSION,
        Some(ErrorKind::Damaged) => Exit::PARTIAL,
        Some(ErrorKind::Interrupted) => Exit::signalled(2),
        _ => Exit::FAILED,
    }
}

/// Whether the reason is that nobody reads the output any more.
pub fn is_closed_pipe(error: &anyhow::Error) -> bool {
    error
        .chain()
        .any(|cause| cause.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe))
}

/// An error of standard output, whose it then says.
pub fn of_standard_output(error: io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("standard output: {error}"))
}

/// Writes one message to standard error; that it may be closed must not end the program. Names of files and words of
/// the user's may hold what would move the cursor.
pub fn complain(message: &str) {
    let _ = writeln!(io::stderr().lock(), "flow: {}", printable(message));
}

/// The same text with control characters in the form `\x1b`.
pub fn printable(text: &str) -> Cow<'_, str> {
    if !text.contains(char::is_control) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 8);
    for c in text.chars() {
        match c {
            c if c.is_control() => out.push_str(&format!("\\x{:02x}", c as u32)),
            c => out.push(c),
        }
    }
    Cow::Owned(out)
}

/// What helps where no more files may be open.
const MORE_FILES: &str = "`ulimit -n`";

/// The error and its causes in one line, and what helps if too few files may be open. Our own errors already say their cause; the system's number behind its words
/// helps nobody.
fn describe(error: &anyhow::Error) -> String {
    let mut message = String::new();
    for cause in error.chain() {
        if !message.is_empty() {
            message.push_str(": ");
        }
        let words = cause.to_string();
        message.push_str(words.split(" (os error ").next().unwrap_or(&words));
        if cause.is::<flowcore::Error>() {
            break;
        }
    }
    let is_out_of_files = |cause: &io::Error| cause.raw_os_error() == Some(Errno::MFILE.raw_os_error());
    if error.chain().any(|cause| cause.downcast_ref().is_some_and(is_out_of_files)) && !message.contains(MORE_FILES) {
        message.push_str(&format!(": {MORE_FILES} allows more"));
    }
    message
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_closed_pipe_is_success_however_deep_it_lies() {
        let pipe = io::Error::from(io::ErrorKind::BrokenPipe);
        let error = anyhow::Error::from(flowcore::Error::io("report", pipe)).context("writing");
        assert!(is_closed_pipe(&error));
        assert_eq!(conclude(Err(error)), Exit::DONE);
    }

    #[test]
    fn a_cause_is_said_once() {
        let missing = io::Error::from(io::ErrorKind::NotFound);
        let error = anyhow::Error::from(flowcore::Error::io("a.pcap", missing));
        assert_eq!(describe(&error), "a.pcap: entity not found");
    }
}
