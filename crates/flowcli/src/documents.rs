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

/// Prints the manual page of one command, or of the whole program.
pub fn manual(command: Option<&str>) -> anyhow::Result<Exit> {
    let mut program = Cli::command().disable_help_subcommand(true);
    program.build();
    let page = match command {
        None => program,
        Some(name) => match program.find_subcommand(name) {
            // Built within the program, it is called `flow conns`; a page is called `flow-conns`.
            Some(command) => {
                let title = format!("flow-{}", command.get_name());
                command.clone().name(title)
            }
            None => {
                let names: Vec<&str> = program.get_subcommands().map(clap::Command::get_name).collect();
                let message = format!("no command `{name}`; commands are {}", names.join(", "));
                return Err(Error::new(ErrorKind::Usage, message).into());
            }
        },
    };
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
