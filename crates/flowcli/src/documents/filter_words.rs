//! Completion of the words of filters, which the generated scripts know nothing of.
//!
//! A filter is usually one argument in quotes: what is completed is the last word in it.

use std::collections::BTreeSet;

use clap::Command;
use clap_complete::Shell;

use crate::filter;

/// Words that begin a test of what a command can ask, or join two; those that are written as two words are not completed.
fn words(command: &str) -> String {
    let words: BTreeSet<&str> =
        flowfilter::vocabulary_of(filter::asked_by(command)).filter(|word| !word.contains(' ')).collect();
    words.into_iter().collect::<Vec<_>>().join(" ")
}

/// Whether a command takes a filter.
fn takes_filter(command: &Command) -> bool {
    command.get_positionals().any(|argument| argument.get_id() == "words")
}

/// Commands with a filter: their names, the own one first, and their options behind which a value follows that is none.
fn commands(program: &Command) -> Vec<(Vec<&str>, String)> {
    let valued = |command: &Command| {
        let options = command.get_opts().filter(|option| option.get_id() != "text");
        let mut names: Vec<String> = Vec::new();
        for option in options {
            names.extend(option.get_short_and_visible_aliases().into_iter().flatten().map(|short| format!("-{short}")));
            names.extend(option.get_long_and_visible_aliases().into_iter().flatten().map(|long| format!("--{long}")));
        }
        names.join(" ")
    };
    let all = program.get_subcommands().filter(|command| takes_filter(command));
    all.map(|command| (command.get_name_and_visible_aliases(), valued(command))).collect()
}

/// A generated script that completes filters too, where the shell is one whose scripts are known here.
pub fn complete(shell: Shell, program: &Command, script: &str) -> String {
    match shell {
        Shell::Bash => bash(program, script),
        Shell::Zsh => zsh(program, script),
        Shell::Fish => fish(program, script),
        _ => script.to_owned(),
    }
}

fn bash(program: &Command, script: &str) -> String {
    let mut cases = String::new();
    for (names, valued) in commands(program) {
        let words = words(names[0]);
        let names = names.join("|");
        cases += &format!(
            "        {names})\n            valued=\" {valued} \"\n            words=\"{words}\"\n            ;;\n"
        );
    }
    let words = words("filter");
    let wrapper = format!(
        r#"
# The words of a filter, beside what the options have.
_flow_with_filters() {{
    _flow "$@"
    local cur="$2" prev="$3" valued="" words="" before last word
    case "${{COMP_WORDS[1]}}" in
{cases}        filter)
            [[ ${{COMP_CWORD}} -gt 2 ]] || return 0
            valued=" -F --filter-file --filter-compat --dialect "
            words="{words}"
            ;;
        *)
            return 0
            ;;
    esac
    if [[ ${{COMP_CWORD}} -lt 2 || ${{cur}} == -* || ${{valued}} == *" ${{prev}} "* ]]; then
        return 0
    fi
    last="${{cur##*[[:space:](\{{\!,]}}"
    before="${{cur%"${{last}}"}}"
    for word in $(compgen -W "${{words}}" -- "${{last}}"); do
        COMPREPLY+=("${{before}}${{word}}")
    done
}}

"#
    );
    // The function goes before what registers it.
    match script.rfind("\nif [[ \"${BASH_VERSINFO[0]}\"") {
        Some(place) => {
            let (functions, registration) = script.split_at(place + 1);
            format!(
                "{functions}{wrapper}{}",
                registration.replace("complete -F _flow ", "complete -F _flow_with_filters ")
            )
        }
        None => script.to_owned(),
    }
}

fn zsh(program: &Command, script: &str) -> String {
    let lines: Vec<String> = script
        .lines()
        .map(|line| {
            let is_filter = line.starts_with("'*::words -- ") || line.contains("[The same as one text]:TEXT:");
            if is_filter { line.replace(":_default'", ":_flow_filter'") } else { line.to_owned() }
        })
        .collect();
    // The script says in the context which command it completes.
    let cases: String = commands(program)
        .iter()
        .flat_map(|(names, _)| names.iter().map(|name| (name, words(names[0]))))
        .map(|(name, words)| format!("        *:flow-command-{name}:*) compadd -- {words} ;;\n"))
        .collect();
    let function = format!(
        r"
# The last word of a filter, or a file that only needs its option.
_flow_filter() {{
    compset -P '*[ (!{{,]'
    case $curcontext in
{cases}        *) compadd -- {} ;;
    esac
    [[ -n $IPREFIX ]] || _files
}}
",
        words("filter")
    );
    let script = lines.join("\n") + "\n";
    match script.find("\n_flow() {") {
        Some(place) => {
            let (head, rest) = script.split_at(place);
            format!("{head}\n{function}{rest}")
        }
        None => script,
    }
}

fn fish(program: &Command, script: &str) -> String {
    let mut script = format!(
        r#"{script}
# The last word of a filter, in quotes or not: the words that may stand there follow.
function __fish_flow_filter
    set -l token (string trim --left --chars "'\"" -- (commandline -ct))
    set -l before (string replace -r '[^ (!{{,]*$' '' -- $token)
    for word in $argv
        echo $before$word
    end
end

"#
    );
    let mut offer = |names: &[&str], place: &str| {
        script += &format!(
            "complete -c flow -n \"__fish_flow_using_subcommand {}{place}\" -a \"(__fish_flow_filter {})\"\n",
            names.join(" "),
            words(names[0])
        );
    };
    for (names, _) in commands(program) {
        offer(&names, "");
    }
    // The filter stands behind what is to be done with it.
    if let Some(filter) = program.find_subcommand("filter") {
        let tasks = filter.get_subcommands().filter(|task| takes_filter(task)).map(Command::get_name);
        let behind = format!("; and __fish_seen_subcommand_from {}", tasks.collect::<Vec<_>>().join(" "));
        offer(&["filter"], &behind);
    }
    script
}
