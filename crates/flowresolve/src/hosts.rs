//! Names from a file such as `/etc/hosts`.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use flowcore::{Addr, Lookup, Resolver, Result};

use crate::lines::{Mistakes, NO_TEXT, lines, lines_of_bytes, read, read_bytes, words};
use crate::name::{is_numeric, normal};

/// Names from a file in the form of `/etc/hosts` (hosts(5)): an address, its name, perhaps more names; `#` begins a
/// comment. The first name of an address is the one that is given, in lower case, without the dot of the root.
#[derive(Clone, Debug, Default)]
pub struct Hosts {
    names: HashMap<Addr, Arc<str>>,
}

impl Hosts {
    /// Reads a file.
    ///
    /// # Errors
    /// If it cannot be read, or a line is no entry; every such line is named with its number.
    pub fn read(path: &Path) -> Result<Self> {
        Self::parse(&read(path)?, &path.display().to_string())
    }

    /// The entries in `text`; `origin` names it in errors.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    pub fn parse(text: &str, origin: &str) -> Result<Self> {
        let mut hosts = Self::default();
        let mut mistakes = Mistakes::new(origin);
        lines(text).for_each(|(number, line)| hosts.add(number, line, &mut mistakes));
        mistakes.instead_of(hosts)
    }

    /// Reads a file that somebody else keeps, the system's for one, as the C library does: lines that are no entries are
    /// skipped. Which the first of them is and how many there are is said beside.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn read_leniently(path: &Path) -> Result<(Self, Option<String>)> {
        Ok(Self::parse_leniently(&read_bytes(path)?, &path.display().to_string()))
    }

    /// The entries in `bytes`, as [`read_leniently`](Self::read_leniently) takes them; `origin` names it in what is said.
    pub fn parse_leniently(bytes: &[u8], origin: &str) -> (Self, Option<String>) {
        let mut hosts = Self::default();
        let mut mistakes = Mistakes::new(origin);
        for (number, line) in lines_of_bytes(bytes) {
            match line {
                Ok(line) => hosts.add(number, line, &mut mistakes),
                Err(column) => mistakes.at(number, column, NO_TEXT),
            }
        }
        (hosts, mistakes.skipped())
    }

    /// Takes the entry of a line, or notes what is wrong with it.
    fn add(&mut self, number: usize, line: &str, mistakes: &mut Mistakes<'_>) {
        let mut words = words(line);
        let Some((column, word)) = words.next() else { return };
        // An interface may follow a link-local address, as in `fe80::1%lo0`; flows do not know it.
        let address = word.split_once('%').map_or(word, |(address, _)| address);
        match (address.parse(), words.next()) {
            (Ok(_), Some((place, name))) if is_numeric(name) => {
                mistakes.at(number, place, &format!("`{name}` is no name of a host: it reads as an address"));
            }
            (Ok(_), Some((place, name))) if normal(name).is_empty() => {
                mistakes.at(number, place, &format!("`{name}` is no name of a host"));
            }
            (Ok(addr), Some((_, name))) => {
                self.names.entry(addr).or_insert_with(|| normal(name).into());
            }
            (Ok(_), None) => {
                mistakes.at(number, column + word.chars().count(), &format!("a name is missing behind `{word}`"));
            }
            (Err(_), Some((_, other))) if other.parse::<Addr>().is_ok() => {
                mistakes.at(number, column, &format!("the address comes first: did you mean `{other} {word}`?"));
            }
            (Err(_), _) => {
                mistakes.at(number, column, &format!("`{word}` is no address; expected `ADDRESS NAME …`"));
            }
        }
    }

    /// How many addresses have a name.
    pub fn len(&self) -> usize {
        self.names.len()
    }

    /// Whether no address has a name.
    pub fn is_empty(&self) -> bool {
        self.names.is_empty()
    }
}

impl Resolver for Hosts {
    fn name(&self, addr: Addr, _port: u16) -> Lookup<Arc<str>> {
        self.names.get(&addr).map_or(Lookup::Absent, |name| Lookup::Known(Arc::clone(name)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn name(hosts: &Hosts, addr: &str) -> Option<String> {
        hosts.name(addr.parse().unwrap(), 80).known().map(|name| name.to_string())
    }

    #[test]
    fn the_first_name_of_an_address_is_given() {
        let text = "# comment\n\n127.0.0.1\tlocalhost\n192.0.2.1 web www # here too\n192.0.2.1 later\nfe80::1%lo0 lo\n";
        let hosts = Hosts::parse(text, "hosts").unwrap();
        assert_eq!(hosts.len(), 3);
        assert_eq!(name(&hosts, "192.0.2.1").as_deref(), Some("web"));
        assert_eq!(name(&hosts, "::ffff:192.0.2.1").as_deref(), Some("web"));
        assert_eq!(name(&hosts, "fe80::1").as_deref(), Some("lo"));
        assert_eq!(name(&hosts, "192.0.2.2"), None);
    }

    #[test]
    fn names_that_are_equal_to_dns_are_one_name() {
        let hosts =
            Hosts::parse("192.0.2.1 WEB.Example.com.\n192.0.2.2 web.example.com\n192.0.2.3 BÜCHER\n", "").unwrap();
        let names = ["192.0.2.1", "192.0.2.2", "192.0.2.3"].map(|addr| name(&hosts, addr));
        assert_eq!(
            names.each_ref().map(Option::as_deref),
            [Some("web.example.com"), Some("web.example.com"), Some("bÜcher")]
        );
        let root = Hosts::parse("192.0.2.1 .\n", "h").unwrap_err();
        assert_eq!(root.to_string(), "h:1:11: `.` is no name of a host");
    }

    #[test]
    fn an_address_is_not_called_like_an_address() {
        let error = Hosts::parse("192.0.2.1 10.9.9.9 web\n192.0.2.2 ::1\n192.0.2.3 rack.7\n", "h").unwrap_err();
        assert_eq!(
            error.to_string(),
            "h:1:11: `10.9.9.9` is no name of a host: it reads as an address\n\
             h:2:11: `::1` is no name of a host: it reads as an address"
        );
    }

    #[test]
    fn every_wrong_line_is_named() {
        let error = Hosts::parse("192.0.2.300 web\nweb 192.0.2.1\n\n 192.0.2.1 # web\n", "my.hosts").unwrap_err();
        assert_eq!(
            error.to_string(),
            "my.hosts:1:1: `192.0.2.300` is no address; expected `ADDRESS NAME …`\n\
             my.hosts:2:1: the address comes first: did you mean `192.0.2.1 web`?\n\
             my.hosts:4:11: a name is missing behind `192.0.2.1`"
        );
    }

    #[test]
    fn the_file_of_this_machine_is_read() {
        let path = Path::new("/etc/hosts");
        if !path.exists() {
            let _ = writeln!(std::io::stderr(), "SKIPPED: there is no /etc/hosts");
            return;
        }
        assert!(Hosts::read_leniently(path).unwrap().0.name("127.0.0.1".parse().unwrap(), 0).known().is_some());
    }

    #[test]
    fn a_file_that_is_missing_or_no_text_is_said() {
        let missing = Hosts::read(Path::new("/nonexistent/hosts")).unwrap_err();
        assert_eq!(missing.kind(), flowcore::ErrorKind::NotFound);
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("hosts");
        std::fs::write(&path, b"192.0.2.1 web\n192.0.2.2 \xc3\xbc\xfc\n").unwrap();
        assert!(Hosts::read(&path).unwrap_err().to_string().ends_with("hosts:2:12: not text in UTF-8"));
    }

    #[test]
    fn a_comment_may_be_of_any_bytes() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("hosts");
        std::fs::write(&path, b"\xef\xbb\xbf# M\xfcller\r\n192.0.2.1 web # B\xfcro\r\n192.0.2.2 mail").unwrap();
        let hosts = Hosts::read(&path).unwrap();
        assert_eq!((name(&hosts, "192.0.2.1"), name(&hosts, "192.0.2.2")), (Some("web".into()), Some("mail".into())));
        std::fs::write(&path, b"http 80/tcp # gr\xfc\xdfe\n").unwrap();
        assert!(crate::Services::read(&path).is_ok());
        std::fs::write(&path, b"192.0.2.1 # B\xfcro\n").unwrap();
        assert_eq!(crate::Rules::read(&path).unwrap().len(), 1);
    }

    #[test]
    fn wrong_lines_of_the_systems_file_are_skipped_and_told() {
        let text =
            b"# M\xfcller\n192.0.2.1\n192.0.2.2 m\xfcller\nnonsense\n192.0.2.3 10.9.9.9\n192.0.2.4 web # B\xfcro\n";
        let (hosts, skipped) = Hosts::parse_leniently(text, "hosts");
        assert_eq!((hosts.len(), name(&hosts, "192.0.2.4").as_deref()), (1, Some("web")));
        let told = "hosts:2:10: a name is missing behind `192.0.2.1`; this line and 3 more are skipped";
        assert_eq!(skipped.as_deref(), Some(told));
        let (_, skipped) = Hosts::parse_leniently(b"192.0.2.1 web\n192.0.2.2 m\xfcller\n", "hosts");
        assert_eq!(skipped.as_deref(), Some("hosts:2:12: not text in UTF-8; the line is skipped"));
        assert_eq!(Hosts::parse_leniently(b"192.0.2.1 web\n", "hosts").1, None);
        let (_, many) = Hosts::parse_leniently("192.0.2.1\n".repeat(30).as_bytes(), "hosts");
        assert!(many.unwrap().ends_with("; this line and 29 more are skipped"));
    }
}
