//! The crate family's one error: what kind, about what, because of what.

use std::error::Error as StdError;
use std::fmt;

/// A result with the family's error.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why something cannot go on.
///
/// A damaged packet, a full table or a lost event is not an error but a count in the [`Ledger`](crate::Ledger).
///
/// Displayed as the subject, then the cause after a colon; debugged the same with its kind, for what `main` returns is
/// shown so.
#[derive(thiserror::Error)]
#[error("{subject}{}", source.as_ref().map(|cause| format!(": {cause}")).unwrap_or_default())]
pub struct Error {
    kind: ErrorKind,
    subject: String,
    source: Option<Box<dyn StdError + Send + Sync>>,
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self} ({:?})", self.kind)
    }
}

/// What sort of failure an [`Error`] is; decides a program's exit code.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The file, device or address does not exist.
    NotFound,
    /// A permission or capability is missing.
    Permission,
    /// The thing exists but is of a kind that cannot be used here (another file format, a directory, a link type).
    Unsupported,
    /// Input is damaged beyond this point; what came before stays valid.
    Damaged,
    /// The caller asked for something that cannot be (a part whose needs the source does not meet, a bad option).
    Usage,
    /// Reading or writing failed.
    Io,
    /// The user asked to stop.
    Interrupted,
}

impl Error {
    /// An error of `kind` about `subject`: a sentence that names the thing and, where there is one, the remedy.
    pub fn new(kind: ErrorKind, subject: impl Into<String>) -> Self {
        Self { kind, subject: subject.into(), source: None }
    }

    /// The same with the error that caused it.
    #[must_use]
    pub fn because(mut self, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// An I/O error about `subject`, its kind taken from the operating system's.
    pub fn io(subject: impl Into<String>, source: std::io::Error) -> Self {
        let kind = match source.kind() {
            std::io::ErrorKind::NotFound => ErrorKind::NotFound,
            std::io::ErrorKind::PermissionDenied => ErrorKind::Permission,
            std::io::ErrorKind::IsADirectory => ErrorKind::Unsupported,
            _ => ErrorKind::Io,
        };
        Self::new(kind, subject).because(source)
    }

    /// What sort of failure.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// What it is about.
    pub fn subject(&self) -> &str {
        &self.subject
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_says_its_subject_and_then_its_cause() {
        let missing = Error::io("a.pcap", std::io::Error::from(std::io::ErrorKind::NotFound));
        assert_eq!(missing.to_string(), "a.pcap: entity not found");
        assert_eq!(missing.kind(), ErrorKind::NotFound);
        assert_eq!(format!("{missing:?}"), "a.pcap: entity not found (NotFound)");
        assert!(StdError::source(&missing).is_some());
        assert_eq!(Error::new(ErrorKind::Usage, "no file").to_string(), "no file");
    }
}
