//! Shell completions and manual pages, made from the options themselves.

mod filter_words;

use std::io::Write;

use clap::CommandFactory;
use clap_complete::Shell;
use flowcore::{Error, ErrorKind};

use crate::args::Cli;
use crate::exit::Exit;
use crate::output;

/// Prints a completion script.
pub fn completions(shell: Shell) -> anyhow::Result<Exit> {
    let mut script = Vec::new();
    let mut program = Cli::command();
    clap_complete::generate(shell, &mut program, "flow", &mut script);
    let script = filter_words::complete(shell, &program, &String::from_utf8_lossy(&script));
    write_out(script.as_bytes())
}

/// Prints the manual page of one command, or of the whole program; `filter check` and `filter-check` are the same.
pub fn manual(words: &[String]) -> anyhow::Result<Exit> {
    let mut page = Cli::command().disable_help_subcommand(true);
    page.build();
    // The page of `help` is that of what it helps with.
    let words = words.iter().flat_map(|word| word.split('-')).filter(|&word| word != "help");
    let mut title = page.get_name().to_owned();
    for word in words {
        let Some(command) = page.find_subcommand(word) else {
            let known: Vec<&str> = page.get_subcommands().map(clap::Command::get_name).collect();
            let known =
                if known.is_empty() { "it has none".to_owned() } else { format!("commands are {}", known.join(", ")) };
            let of = if title == "flow" { String::new() } else { format!(" of `{}`", title.replace('-', " ")) };
            return Err(Error::new(ErrorKind::Usage, format!("no command `{word}`{of}; {known}")).into());
        };
        title = format!("{title}-{}", command.get_name());
        page = command.clone();
    }
    // Built within the program, it is called `flow conns`; a page is called `flow-conns`.
    let page = page.name(title);
    let mut roff = Vec::new();
    clap_mangen::Man::new(page).render(&mut roff)?;
    // An option without a long name leaves a space behind it in the synopsis: `[-t ]...`.
    let roff = String::from_utf8_lossy(&roff).replace(r" \fR]...", r"\fR]...");
    write_out(roff.as_bytes())
}

/// Prints text that is ready.
pub fn print(text: &str) -> anyhow::Result<Exit> {
    write_out(text.as_bytes())
}

fn write_out(bytes: &[u8]) -> anyhow::Result<Exit> {
    output::standard_output()?.write_all(bytes)?;
    Ok(Exit::DONE)
}
