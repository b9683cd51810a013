//! The command `flow`: what the network flows of a Linux host are doing.
//!
//! This crate only assembles: it reads options, opens sources, adds analyzers, and hands rows to reporters.
//!
//! | module | holds |
//! |---|---|
//! | `args` | the options and what their values mean |
//! | `conns` | `flow conns`: sources and analyzer put together |
//! | `count` | `flow count`: source and filter put together |
//! | `filter` | filters from the command line, `flow filter` |
//! | `fields` | choosing and sorting columns of any kind of record |
//! | `output` | rows to standard output: at once or held back, in every format |
//! | `zeek` | the form of Zeek's `conn.log` |
//! | `inputs` | names, patterns and standard input |
//! | `times` | local time |
//! | `terminal` | whether there is one, how wide, with colours |
//! | `progress`, `signals` | telling the user, being told |
//! | `exit` | exit codes and where they come from |
//! | `documents` | shell completions and manual pages |

mod args;
mod conns;
mod count;
mod documents;
mod exit;
mod fields;
mod filter;
mod inputs;
mod output;
mod progress;
mod signals;
mod terminal;
mod times;
mod zeek;

use std::process::ExitCode;

use clap::{CommandFactory, Parser};

use crate::args::{Cli, Command};
use crate::exit::Exit;

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version go to standard output with success, the rest to standard error with status 2. A
            // closed pipe is no reason to complain.
            let _ = error.print();
            return if error.use_stderr() { Exit::USAGE } else { Exit::DONE }.into();
        }
    };
    let done = match cli {
        Cli { completions: Some(shell), .. } => documents::completions(shell),
        Cli { man: true, .. } => documents::manual(None),
        Cli { command: Some(Command::Completions { shell }), .. } => documents::completions(shell),
        Cli { command: Some(Command::Man { command }), .. } => documents::manual(command.as_deref()),
        Cli { command: Some(Command::Conns(args)), .. } => conns::run(&args),
        Cli { command: Some(Command::Count(args)), .. } => count::run(&args),
        Cli { command: Some(Command::Filter(command)), .. } => filter::run(&command),
        Cli { command: None, .. } => Cli::command().print_help().map(|()| Exit::DONE).map_err(Into::into),
    };
    exit::conclude(done).into()
}
