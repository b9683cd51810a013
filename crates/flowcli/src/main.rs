//! The command `flow`: what the network flows of a Linux host are doing.
//!
//! This crate only assembles: it reads options, opens sources, adds analyzers, and hands rows to reporters.
//!
//! | module | holds |
//! |---|---|
//! | `args` | the options and what their values mean |
//! | `conns`, `hosts`, `count`, `sockets` | a command each: sources, filters and analyzers put together; only they know the engine |
//! | `views` | `lat`, `vol` and `cpu`: views over the kernel's sockets |
//! | `run` | what every command that reads packets does |
//! | `filter` | filters from the command line, `flow filter` |
//! | `edge` | names for numbers and the whitelist's verdicts, asked for where rows are shown |
//! | `fields` | choosing and sorting columns of any kind of record |
//! | `output` | rows to standard output: at once or held back, in every format |
//! | `zeek` | the form of Zeek's `conn.log` |
//! | `old` | command lines as users of Fleutan write them |
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
mod edge;
mod exit;
mod fields;
mod filter;
mod holders;
mod hosts;
mod inputs;
mod listeners;
mod old;
mod output;
mod progress;
mod run;
mod signals;
mod sockets;
mod terminal;
mod times;
mod views;
mod zeek;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Arg, CommandFactory, Parser};

use crate::args::{Cli, Command};
use crate::exit::{Exit, complain};

/// Why: connections leave many small pieces behind. With the C library's allocator to follow their course took a
/// ninth to a sixth more CPU over many flows (`benches/README.md`).
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let words = match old::translate(without_help_of_help(std::env::args_os().collect())) {
        Ok(words) => words,
        Err(error) => return exit::conclude(Err(error.into())).into(),
    };
    let cli = match Cli::try_parse_from(&words) {
        Ok(cli) => cli,
        Err(mut error) => {
            suggest(&mut error, &words);
            drop_idle_tip(&mut error);
            let elsewhere = option_of_others(&error, &words);
            if elsewhere.is_some() {
                // To take it for a value, or for another option, helps nobody.
                error.remove(ContextKind::Suggested);
                error.remove(ContextKind::SuggestedArg);
            }
            // Help and version go to standard output with success, the rest to standard error with status 2. A
            // closed pipe is no reason to complain.
            let printed = error.print();
            if let (Err(failed), false) = (printed, error.use_stderr()) {
                return exit::conclude(Err(exit::of_standard_output(failed).into())).into();
            }
            if let Some(why) = elsewhere {
                complain(&why);
            }
            if let Some(file) = stray_file(&error) {
                complain(&format!("files are named with -r: did you mean `-r {file}`?"));
            }
            return if error.use_stderr() { Exit::USAGE } else { Exit::DONE }.into();
        }
    };
    if let Some((style, format, ending)) = cli.command.as_ref().and_then(Command::style)
        && !ending.quiet
    {
        style.without_effect(format).for_each(|why| complain(&format!("note: {why}")));
    }
    let done = match cli {
        Cli { completions: Some(shell), .. } => documents::completions(shell),
        Cli { man: true, .. } => documents::manual(&[]),
        Cli { command: Some(Command::Completions { shell }), .. } => documents::completions(shell),
        Cli { command: Some(Command::Man { command }), .. } => documents::manual(&command),
        Cli { command: Some(Command::Conns(args)), .. } => conns::run(&args),
        Cli { command: Some(Command::Hosts(args)), .. } => hosts::run(&args),
        Cli { command: Some(Command::Sockets(args)), .. } => sockets::run(&args),
        Cli { command: Some(Command::Count(args)), .. } => count::run(&args),
        Cli { command: Some(Command::Lat(args)), .. } => views::run_lat(&args),
        Cli { command: Some(Command::Vol(args)), .. } => views::run_vol(&args),
        Cli { command: Some(Command::Cpu(args)), .. } => views::run_cpu(&args),
        Cli { command: Some(Command::Filter(command)), .. } => filter::run(&command),
        Cli { command: None, .. } => {
            let help = Cli::command().print_help().map_err(|failed| exit::of_standard_output(failed).into());
            help.map(|()| Exit::DONE)
        }
    };
    exit::conclude(done).into()
}

/// Two letters in the wrong order: `--tpo` is `--top`. clap finds other words nearer.
fn suggest(error: &mut clap::Error, words: &[OsString]) {
    let Some(ContextValue::String(wrong)) = error.get(ContextKind::InvalidArg) else { return };
    if error.kind() != ErrorKind::UnknownArgument || !wrong.is_ascii() {
        return;
    }
    let Some(wrong) = wrong.strip_prefix("--") else { return };
    let swapped = |at: usize| {
        let mut bytes = wrong.as_bytes().to_vec();
        bytes.swap(at, at + 1);
        bytes
    };
    let mut commands = Cli::command();
    commands.build();
    let options = words.iter().skip(1).find_map(|word| commands.find_subcommand(word)).unwrap_or(&commands);
    let is_meant = |long: &&str| (1..wrong.len()).any(|behind| swapped(behind - 1) == long.as_bytes());
    if let Some(meant) = options.get_arguments().filter_map(Arg::get_long).find(is_meant) {
        error.insert(ContextKind::SuggestedArg, ContextValue::String(format!("--{meant}")));
        // It names what clap suggested.
        error.remove(ContextKind::Usage);
    }
}

/// `help` takes no options: `flow help conns --help` is `flow help conns`.
fn without_help_of_help(mut words: Vec<OsString>) -> Vec<OsString> {
    let place = 1 + usize::from(words.get(1).is_some_and(|word| word == "filter"));
    if words.get(place).is_some_and(|word| word == "help") {
        words.retain(|word| word != "--help" && word != "-h");
    }
    words
}

/// Without the advice to take a wrong option for a word of the filter: none begins with `-`.
fn drop_idle_tip(error: &mut clap::Error) {
    let Some(ContextValue::StyledStrs(tips)) = error.get(ContextKind::Suggested) else { return };
    let tips: Vec<_> = tips.iter().filter(|tip| !tip.to_string().contains("as a value")).cloned().collect();
    if tips.is_empty() {
        error.remove(ContextKind::Suggested);
    } else {
        error.insert(ContextKind::Suggested, ContextValue::StyledStrs(tips));
    }
}

/// Why a command has not an option that others have, or that another program has for such a thing.
fn option_of_others(error: &clap::Error, words: &[OsString]) -> Option<String> {
    let Some(ContextValue::String(wrong)) = error.get(ContextKind::InvalidArg) else { return None };
    if error.kind() != ErrorKind::UnknownArgument {
        return None;
    }
    let readers = "captures are read by conns, hosts, count and lat";
    match (words.get(1)?.to_str()?, wrong.as_str()) {
        (command @ ("vol" | "cpu"), "-r" | "--read") => Some(format!("{command} asks this host's kernel; {readers}")),
        ("sockets" | "ss", "-r" | "--read") => {
            Some(format!("sockets asks this host's kernel; {readers}, and -r of ss is --resolve here"))
        }
        ("conns" | "connections" | "count" | "hosts", "-i" | "--interface") => {
            let remedy = "-r names a capture, as in `-r capture.pcap` or `tcpdump -i eth0 -w - | flow conns -r -`";
            Some(format!("interfaces cannot be read yet; {remedy}"))
        }
        ("lat", "-i" | "--interval") => {
            Some("round trips are those of now, or with -r of a capture; --every TIME tells them again".to_owned())
        }
        ("conns" | "connections" | "count" | "hosts", "--every") => {
            Some("a capture is read once; lat, vol, cpu and sockets ask again with --every".to_owned())
        }
        ("conns" | "connections" | "hosts" | "lat" | "vol" | "cpu", "-e") => {
            Some("what is shown --columns says; --list-columns shows what there is".to_owned())
        }
        (command, "-w" | "--write") if command != "filter" => {
            Some("packets are not written; -o says in which form results are printed".to_owned())
        }
        ("sockets" | "ss", "--whitelist" | "--unlisted") => {
            Some("sockets are not compared with a whitelist; select them with a filter".to_owned())
        }
        _ => None,
    }
}

/// What stands where no option does and looks like a file, or is one.
fn stray_file(error: &clap::Error) -> Option<&str> {
    match (error.kind(), error.get(ContextKind::InvalidArg)) {
        (ErrorKind::UnknownArgument, Some(ContextValue::String(word))) => filter::may_be_file(word).then_some(word),
        _ => None,
    }
}
