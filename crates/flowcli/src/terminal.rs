//! Whether there is a terminal, how wide it is, and whether it wants colours.

use std::io::{self, IsTerminal};
use std::os::fd::AsFd;

use crate::args::Color;

/// Columns of the terminal on standard output; `None` if it is a file or a pipe. COLUMNS says it if it is set, as
/// other tools have it.
pub fn width() -> Option<usize> {
    if !io::stdout().is_terminal() {
        return None;
    }
    let said = std::env::var("COLUMNS").ok().and_then(|columns| columns.parse().ok()).filter(|&columns| columns > 0);
    said.or_else(|| columns(io::stdout())).or(Some(80))
}

/// Columns of a terminal, if it knows them. Some (a serial line, a terminal of another program) know them without
/// knowing their rows.
fn columns(terminal: impl AsFd) -> Option<usize> {
    let size = rustix::termios::tcgetwinsize(terminal).ok()?;
    Some(usize::from(size.ws_col)).filter(|&columns| columns > 0)
}

/// Whether to use colours on standard output.
pub fn color(asked: Color) -> bool {
    color_of(
        asked,
        |name| std::env::var_os(name).map(|value| value.to_string_lossy().into_owned()),
        || io::stdout().is_terminal(),
    )
}

/// The conventions of no-color.org and bixense.com/clicolors; the option stands above them all.
fn color_of(asked: Color, variable: impl Fn(&str) -> Option<String>, is_terminal: impl Fn() -> bool) -> bool {
    let is_set = |name: &str| variable(name).is_some_and(|value| !value.is_empty());
    let forces = |name: &str| variable(name).is_some_and(|value| !value.is_empty() && value != "0");
    match asked {
        Color::Always => true,
        Color::Never => false,
        Color::Auto if is_set("NO_COLOR") => false,
        Color::Auto if forces("CLICOLOR_FORCE") || forces("FORCE_COLOR") => true,
        Color::Auto if variable("CLICOLOR").as_deref() == Some("0") => false,
        Color::Auto if variable("TERM").as_deref() == Some("dumb") => false,
        Color::Auto => is_terminal(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn colored(asked: Color, variables: &[(&str, &str)], terminal: bool) -> bool {
        let variable =
            |name: &str| variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned());
        color_of(asked, variable, || terminal)
    }

    #[test]
    fn a_terminal_without_rows_has_columns_all_the_same() {
        use rustix::pty::{OpenptFlags, openpt};
        use rustix::termios::{Winsize, tcsetwinsize};
        let terminal = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        let size = |ws_col, ws_row| Winsize { ws_row, ws_col, ws_xpixel: 0, ws_ypixel: 0 };
        tcsetwinsize(&terminal, size(60, 0)).unwrap();
        assert_eq!(columns(&terminal), Some(60));
        tcsetwinsize(&terminal, size(0, 24)).unwrap();
        assert_eq!(columns(&terminal), None);
    }

    #[test]
    fn the_option_stands_above_the_environment() {
        assert!(colored(Color::Always, &[("NO_COLOR", "1")], false));
        assert!(!colored(Color::Never, &[("CLICOLOR_FORCE", "1")], true));
    }

    #[test]
    fn the_environment_stands_above_the_terminal() {
        assert!(colored(Color::Auto, &[], true));
        assert!(!colored(Color::Auto, &[], false));
        assert!(!colored(Color::Auto, &[("NO_COLOR", "1")], true));
        assert!(colored(Color::Auto, &[("NO_COLOR", "")], true), "only a variable with a value counts");
        assert!(colored(Color::Auto, &[("CLICOLOR_FORCE", "1")], false));
        assert!(colored(Color::Auto, &[("FORCE_COLOR", "3")], false));
        assert!(!colored(Color::Auto, &[("CLICOLOR_FORCE", "0")], false));
        assert!(!colored(Color::Auto, &[("CLICOLOR", "0")], true));
        assert!(!colored(Color::Auto, &[("TERM", "dumb")], true));
    }
}
