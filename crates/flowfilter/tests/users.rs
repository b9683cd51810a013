//! What people are used to write, twenty expressions each: `tests/users.md` says what becomes of it, and that is true. An
//! answer to what is not read here must itself show a filter that is, or say that there is none.
#![allow(clippy::unwrap_used, reason = "a test")]

use flowfilter::Filter;

#[test]
fn usual_expressions_work_or_are_answered() {
    let page = include_str!("users.md");
    let mut wrong = Vec::new();
    for section in page.split("\n## ").skip(1) {
        let (user, table) = section.split_once('\n').unwrap();
        let rows: Vec<Vec<String>> = table
            .lines()
            .filter(|line| line.starts_with("| `"))
            .map(|line| {
                let cells = line.replace("\\|", "\u{1}");
                cells.trim_matches('|').split(" | ").map(|cell| cell.trim().replace('\u{1}', "|")).collect()
            })
            .collect();
        assert!(rows.len() >= 20, "{user}: {}", rows.len());
        for row in rows {
            let text = row[0].trim_matches('`');
            let said = match Filter::parse(text) {
                Ok(filter) => format!("reads `{filter}`"),
                Err(error) => {
                    let shown = error.render(false);
                    let help: Vec<&str> =
                        shown.lines().filter_map(|line| line.trim().strip_prefix("= help: ")).collect();
                    // What is shown in its place is a filter.
                    for help in
                        help.iter().filter(|help| ["write `", "as in `"].iter().any(|way| help.starts_with(way)))
                    {
                        let ours = help.split('`').nth(1).unwrap();
                        Filter::parse(ours).unwrap_or_else(|error| panic!("{text}: {}", error.render(false)));
                    }
                    help.first().map_or_else(|| "no answer".to_owned(), |help| (*help).to_owned())
                }
            };
            if said != row[1] {
                wrong.push(format!("| `{}` | {} |", text.replace('|', "\\|"), said.replace('|', "\\|")));
            }
        }
    }
    assert!(wrong.is_empty(), "these rows are\n{}", wrong.join("\n"));
}
