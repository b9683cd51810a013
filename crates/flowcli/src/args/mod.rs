//! The command line: options as the user writes them.

mod asn;
mod conns;
mod count;
mod filter;
mod hosts;
mod later;
mod names;
mod shared;
mod sockets;
mod values;
mod views;

use std::ffi::OsStr;

use clap::builder::{PossibleValue, StringValueParser, TypedValueParser};
use clap::{Arg, CommandFactory, Parser, Subcommand};
use clap_complete::Shell;

pub use conns::ConnsArgs;
pub use count::CountArgs;
pub use filter::{CompatArg, DialectArg, FilterArgs, FilterCommand};
pub use hosts::{Highlights, HostsArgs};
pub use later::Later;
pub use names::{NameArgs, Resolve, WhitelistArgs};
pub use shared::{EndingArgs, InputArgs, StyleArgs};
pub use sockets::{SocketsArgs, parse_state};
pub use values::{Color, Format, SortKey, TimeStyle, Timeouts};
pub use views::{CpuArgs, Group, LatArgs, ViewArgs, VolArgs};

use crate::exit;

const EXAMPLES: &str = "Examples:
  flow conns -r capture.pcapng.zst                  one row per connection
  flow conns -r day1.pcap -r day2.pcap --top 10     the ten largest of both files
  flow conns -r capture.pcap 'tcp and port 443'     only what a filter selects
  flow count -r capture.pcap 'syn and not ack'      packets and bytes that match
  flow hosts -r capture.pcap --percentiles 50,95,99 how well every remote answers
  flow sockets -ti --sort rtt_ns                    this host's sockets, the slowest first
  tcpdump -i any -w - tcp | flow conns -r - -o jsonl

`flow COMMAND --help` says more.";

/// What the network flows of a Linux host are doing.
///
/// Reads packets, finds the flows they belong to, and prints what became of every one of them. Every report ends with
/// the trust line, which says how far its numbers can be relied upon.
#[derive(Debug, Parser)]
#[command(name = "flow", version, propagate_version = true, max_term_width = 100)]
#[command(after_help = EXAMPLES)]
#[command(after_long_help = format!("{EXAMPLES}\n\n{}", exit_codes()))]
pub struct Cli {
    #[command(subcommand)]
    pub command: Option<Command>,

    /// Print a script that completes commands and options in a shell
    #[arg(long, value_name = "SHELL", exclusive = true)]
    pub completions: Option<Shell>,

    /// Print the manual page (roff), as in `flow --man | man -l -`
    #[arg(long, exclusive = true)]
    pub man: bool,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// One row per connection of a capture: both ends, state, packets, bytes, times
    #[command(visible_alias = "connections")]
    Conns(Later<ConnsArgs>),

    /// One row per remote host: how well it answers, who resets, what is lost; TRTOP's table
    Hosts(Later<HostsArgs>),

    /// This host's sockets as the kernel sees them: what ss shows, one row each
    #[command(visible_alias = "ss")]
    Sockets(Later<SocketsArgs>),

    /// How many packets and bytes of a capture a filter selects
    ///
    /// Every packet of the input counts, also the copy that a second interface captured of it; `flow conns` finds such
    /// copies, says how many they are, and leaves them out of its counts.
    Count(Later<CountArgs>),

    /// Round-trip times of this host's TCP connections, or of a capture's: Fleutan's `flows --lat`
    Lat(Later<LatArgs>),

    /// What this host's TCP connections carry and what holds them up: Fleutan's `flows --vol`
    Vol(Later<VolArgs>),

    /// On which CPUs the processes of TCP connections run: Fleutan's `flows --cpu`
    Cpu(Later<CpuArgs>),

    /// Try a filter without reading anything
    #[command(subcommand)]
    Filter(FilterCommand),

    /// Print a script that completes commands and options in a shell
    Completions {
        /// For this shell
        shell: Shell,
    },

    /// Print a manual page (roff), as in `flow man conns | man -l -`
    Man {
        /// Of this command, as in `conns` or `filter sql`; of all of `flow` if left out
        #[arg(value_parser = PageParser, hide_possible_values = true)]
        command: Vec<String>,
    },
}

impl Command {
    /// How rows are to look, in which form, and how the run ends; `None` of commands that print none.
    pub fn style(&self) -> Option<(StyleArgs, Format, &EndingArgs)> {
        Some(match self {
            Self::Conns(args) => (args.style, args.output, &args.ending),
            Self::Hosts(args) => (args.style, args.output, &args.ending),
            Self::Sockets(args) => (args.style, args.output, &args.ending),
            Self::Count(args) => (args.style, args.output, &args.ending),
            Self::Lat(args) => (args.view.style, args.view.output, &args.view.ending),
            Self::Vol(args) => (args.view.style, args.view.output, &args.view.ending),
            Self::Cpu(args) => (args.view.style, args.view.output, &args.view.ending),
            Self::Filter(_) | Self::Completions { .. } | Self::Man { .. } => return None,
        })
    }
}

/// Takes any word, which is looked for among the commands later; those that there are it tells to completion.
#[derive(Clone)]
struct PageParser;

impl TypedValueParser for PageParser {
    type Value = String;

    fn parse_ref(&self, command: &clap::Command, arg: Option<&Arg>, value: &OsStr) -> Result<String, clap::Error> {
        StringValueParser::new().parse_ref(command, arg, value)
    }

    fn possible_values(&self) -> Option<Box<dyn Iterator<Item = PossibleValue> + '_>> {
        let program = Cli::command();
        let mut pages: Vec<String> = Vec::new();
        for command in program.get_subcommands() {
            let name = command.get_name();
            pages.push(name.to_owned());
            pages.extend(command.get_subcommands().map(|task| format!("{name}-{}", task.get_name())));
        }
        Some(Box::new(pages.into_iter().map(PossibleValue::new)))
    }
}

/// What stands below every command's long help.
pub fn exit_codes() -> String {
    format!("Exit codes:\n{}", exit::TABLE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_contradicts_itself_nowhere() {
        Cli::command().debug_assert();
    }
}
