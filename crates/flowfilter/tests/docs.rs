//! `docs/filter.md` is true: what looks like a filter is one, tables say what the code does.
//! `FLOW_DOCS_WRITE=1` writes the table of fields anew.
#![allow(clippy::unwrap_used, reason = "a test")]

use std::fmt::Write;
use std::fs;
use std::path::PathBuf;

use flowcore::{FlowEvent, FlowRecord};
use flowfilter::field::{FIELDS, Kind};
use flowfilter::sql::{Dialect, Schema};
use flowfilter::{Compat, Field, Filter, Flow, MAX_DEPTH, MAX_TEXT, Options, Record, Socket};

fn path() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../docs/filter.md")
}

fn page() -> String {
    fs::read_to_string(path()).unwrap()
}

/// The cells of the table under a heading, without its first two lines.
fn table(page: &str, heading: &str) -> Vec<Vec<String>> {
    let section = page.split_once(&format!("\n## {heading}\n")).unwrap().1;
    let section = section.split("\n## ").next().unwrap();
    let rows = section.lines().filter(|line| line.starts_with('|')).skip(2);
    rows.map(|line| {
        line.trim_matches('|')
            .replace("\\|", "\u{1}")
            .split('|')
            .map(|cell| cell.trim().replace('\u{1}', "|"))
            .collect()
    })
    .collect()
}

/// What stands between backticks.
fn code(cell: &str) -> Vec<&str> {
    cell.split('`').skip(1).step_by(2).collect()
}

#[test]
fn every_example_is_read() {
    let page = page();
    let mut tried = 0;
    for block in page.split("```filter\n").skip(1) {
        for line in block.split("```").next().unwrap().lines() {
            Filter::parse(line).unwrap_or_else(|error| panic!("{}", error.render(false)));
            tried += 1;
        }
    }
    for row in table(&page, "What a test means of a packet") {
        for text in code(&row[1]).into_iter().chain(code(&row[2])) {
            Filter::parse(text).unwrap_or_else(|error| panic!("{}", error.render(false)));
            tried += 1;
        }
    }
    for row in table(&page, "Coming from another tool") {
        for text in code(&row[1]) {
            if !text.contains("and` and `or") && text != "and" && text != "or" {
                Filter::parse(text).unwrap_or_else(|error| panic!("{}", error.render(false)));
                tried += 1;
            }
        }
    }
    assert!(tried > 40, "{tried}");
}

#[test]
fn the_table_of_readings_is_right() {
    let rows = table(&page(), "What binds how");
    assert_eq!(rows.len(), 5);
    for row in rows {
        let text = code(&row[0])[0];
        assert_eq!(Filter::parse(text).unwrap().to_string(), code(&row[1])[0]);
        for compat in [Compat::Como, Compat::Libpcap] {
            let options = Options { compat, ..Options::default() };
            assert_eq!(Filter::parse_with(text, &options).unwrap().to_string(), code(&row[2])[0]);
        }
        let differ = row[1] != row[2];
        let warned = Filter::parse(text).unwrap().warnings().iter().any(|warning| warning.code() == "mixed-operators");
        assert_eq!(warned, differ, "{text}");
    }
}

#[test]
fn the_limits_are_those_of_the_code() {
    assert!(page().contains("at most 65,536 bytes") && MAX_TEXT == 65_536);
    assert!(page().contains("at most 100 levels") && MAX_DEPTH == 100);
}

/// The table of fields as the code has it.
fn fields() -> String {
    let known = [
        ("packets", FlowEvent::fields()),
        ("connections", Flow::fields()),
        ("live flows", FlowRecord::fields()),
        ("sockets", Socket::fields()),
    ];
    let mut text = "| field | values | what it is | of |\n| --- | --- | --- | --- |\n".to_owned();
    for def in FIELDS {
        let values = match def.kind {
            Kind::Flag => "none".to_owned(),
            Kind::Number { max: u64::MAX } => "number".to_owned(),
            Kind::Number { max } => format!("0 to {max}"),
            Kind::Bytes => "bytes".to_owned(),
            Kind::Span => "span of time".to_owned(),
            Kind::Time => "point in time".to_owned(),
            Kind::Addr => "address, prefix, range".to_owned(),
            Kind::Mac => "link address".to_owned(),
            Kind::Proto => "name, 0 to 255".to_owned(),
            Kind::TcpFlags => "letters FSRPAUEW".to_owned(),
            Kind::Word(words) => words.join(" "),
            Kind::Text => "text".to_owned(),
        };
        let of: Vec<&str> =
            known.iter().filter(|(_, fields)| fields.contains(def.field)).map(|(name, _)| *name).collect();
        let of = match (of.is_empty(), def.field) {
            (true, _) => "none yet".to_owned(),
            // No capture tells; a program that binds a filter may have a resolver that does.
            (_, Field::Process | Field::Pid) => {
                "sockets; where a resolver knows processes packets, connections, live flows".to_owned()
            }
            (false, _) => of.join(", "),
        };
        writeln!(
            text,
            "| `{}` | {values} | {}{} | {of} |",
            def.name,
            def.about,
            if def.several { "; any of them" } else { "" }
        )
        .unwrap();
    }
    text
}

#[test]
fn the_table_of_fields_is_the_codes() {
    let page = page();
    let (before, rest) = page.split_once("<!-- fields -->\n").unwrap();
    let (_, after) = rest.split_once("<!-- end -->").unwrap();
    let expected = format!("{before}<!-- fields -->\n{}<!-- end -->{after}", fields());
    if std::env::var_os("FLOW_DOCS_WRITE").is_some() {
        fs::write(path(), &expected).unwrap();
        return;
    }
    assert!(page == expected, "the table of fields has changed: write it anew with FLOW_DOCS_WRITE=1");
}

#[test]
fn the_table_of_columns_is_the_codes() {
    let page = page();
    let (before, _) = page.split_once("| field | column | as stored |\n| --- | --- | --- |\n").unwrap();
    let mut expected = format!("{before}| field | column | as stored |\n| --- | --- | --- |\n");
    for (field, column) in Schema::flows(Dialect::DuckDb).columns() {
        let stored = match field.kind() {
            Kind::Flag => "truth value",
            Kind::Addr => "16 bytes, IPv4 mapped into IPv6",
            Kind::Mac => "6 bytes",
            Kind::Span => "integer, nanoseconds",
            Kind::Time => "integer, nanoseconds since 1970",
            Kind::Word(_) | Kind::Text => "text",
            _ => "integer",
        };
        let is_array =
            field.def().several && !matches!(field, Field::SrcAsn | Field::DstAsn | Field::Process | Field::Pid);
        let array = if is_array { "array of " } else { "" };
        writeln!(expected, "| `{}` | `{column}` | {array}{stored} |", field.name()).unwrap();
    }
    if std::env::var_os("FLOW_DOCS_WRITE").is_some() {
        fs::write(path(), &expected).unwrap();
        return;
    }
    assert!(page == expected, "the table of columns has changed: write it anew with FLOW_DOCS_WRITE=1");
}

#[test]
fn the_condition_shown_is_the_codes() {
    let page = page();
    let (_, shown) = page.split_once("    $ flow filter sql '").unwrap();
    let (text, shown) = shown.split_once("'\n    ").unwrap();
    let made = Filter::parse(text).unwrap().to_sql(&Schema::flows(Dialect::DuckDb)).unwrap();
    assert_eq!(shown.lines().next(), Some(&*made));
}
