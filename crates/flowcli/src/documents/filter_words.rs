//! Completion of the words of filters, which the generated scripts know nothing of.
//!
//! A filter is usually one argument in quotes: what is completed is the last word in it.

use std::collections::BTreeSet;

use clap::Command;
use clap_complete::Shell;

/// Words that begin a test, or join two; those that are written as two words are not completed.
fn words() -> String {
    let words: BTreeSet<&str> = flowfilter::vocabulary().filter(|word| !word.contains(' ')).collect();
    words.into_iter().collect::<Vec<_>>().join(" ")
}

/// Whether a command takes a filter.
fn takes_filter(command: &Command) -> bool {
    command.get_positionals().any(|argument| argument.get_id() == "words")
}

/// Commands with a filter: their names, and their options behind which a value follows that is none.
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
        Shell::Zsh => zsh(script),
        Shell::Fish => fish(program, script),
        _ => script.to_owned(),
    }
}

fn bash(program: &Command, script: &str) -> String {
    let mut cases = String::new();
    for (names, valued) in commands(program) {
        cases += &format!("        {})\n            valued=\" {valued} \"\n            ;;\n", names.join("|"));
    }
    let words = words();
    let wrapper = format!(
        r#"
# The words of a filter, beside what the options have.
_flow_with_filters() {{
    _flow "$@"
    local cur="$2" prev="$3" valued="" before last word
    case "${{COMP_WORDS[1]}}" in
{cases}        filter)
            [[ ${{COMP_CWORD}} -gt 2 ]] || return 0
            valued=" -F --filter-file --filter-compat --dialect "
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
    for word in $(compgen -W "{words}" -- "${{last}}"); do
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

fn zsh(script: &str) -> String {
    let lines: Vec<String> = script
        .lines()
        .map(|line| {
            let is_filter = line.starts_with("'*::words -- ") || line.contains("[The same as one text]:TEXT:");
            if is_filter { line.replace(":_default'", ":_flow_filter'") } else { line.to_owned() }
        })
        .collect();
    let function = format!(
        r"
# The last word of a filter, or a file that only needs its option.
_flow_filter() {{
    compset -P '*[ (!{{,]'
    compadd -- {}
    [[ -n $IPREFIX ]] || _files
}}
",
        words()
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
    let names: Vec<&str> = commands(program).into_iter().flat_map(|(names, _)| names).collect();
    format!(
        r#"{script}
# The last word of a filter, in quotes or not.
function __fish_flow_filter
    set -l token (string trim --left --chars "'\"" -- (commandline -ct))
    set -l before (string replace -r '[^ (!{{,]*$' '' -- $token)
    for word in {words}
        echo $before$word
    end
end

complete -c flow -n "__fish_flow_using_subcommand {names} filter" -a "(__fish_flow_filter)"
"#,
        words = words(),
        names = names.join(" ")
    )
}
