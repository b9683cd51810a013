//! Choosing and ordering columns of any kind of record.

use std::cmp::Ordering;

use flowcore::report::{Bound, Column, Meaning, Quality, Unit, Value};
use flowcore::{Error, ErrorKind, Result, Verdict};
use flowstats::columns::Def;
use flowstats::conns::{COLUMNS, COURSE_COLUMNS};
use flowstats::hosts::{self, Levels};

use crate::args::{Format, SortKey};
use crate::edge::{Edge, Need};

/// How to get one cell of a record.
pub enum CellOf<R: 'static> {
    /// It is in the record.
    Own(fn(&R) -> Value),
    /// The edge is asked for it.
    Edge(fn(&R, &Edge) -> Value),
}

impl<R> Clone for CellOf<R> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<R> Copy for CellOf<R> {}

impl<R> CellOf<R> {
    /// The cell of `record`.
    #[inline]
    pub fn get(self, record: &R, edge: &Edge) -> Value {
        match self {
            Self::Own(value) => value(record),
            Self::Edge(value) => value(record, edge),
        }
    }
}

/// One column of a kind of record, and how to get at it.
pub struct Field<R: 'static> {
    /// Name, title, unit, meaning.
    pub column: Column,
    /// The cell of one record.
    pub value: CellOf<R>,
    /// What people see instead, if the edge has something: the name of a port's service.
    pub shown: Option<fn(&R, &Edge) -> Value>,
    /// What must be asked for before there is such a column.
    pub needs: Option<Need>,
    /// Shown unless the user chooses.
    pub default: bool,
    /// Costs to find out: there only if it is asked for by name, or by `all`.
    pub costly: bool,
    /// Columns of the greatest rank go first when a terminal is too narrow; 0 always stays.
    pub rank: u8,
    /// What the number of one record is to the truth for reasons of its own, whatever the record's quality.
    pub bound: fn(&R) -> Bound,
}

impl<R> Field<R> {
    /// A column whose cells are in the record.
    pub fn own(column: Column, value: fn(&R) -> Value) -> Self {
        Self {
            column,
            value: CellOf::Own(value),
            shown: None,
            needs: None,
            default: false,
            costly: false,
            rank: 9,
            bound: |_| Bound::Exact,
        }
    }

    /// A column of an analyzer's.
    pub fn of(def: &Def<R>) -> Self {
        Self { default: def.default, rank: def.priority, bound: def.bound, ..Self::own(def.column.clone(), def.value) }
    }

    /// A column that comes with an option, and whose cells the edge knows.
    pub fn at_the_edge(words: [&'static str; 3], needs: Need, value: fn(&R, &Edge) -> Value) -> Self {
        Self {
            column: Column::new(words, Unit::None, Meaning::Gauge),
            value: CellOf::Edge(value),
            shown: None,
            needs: Some(needs),
            default: false,
            costly: false,
            rank: 1,
            bound: |_| Bound::Exact,
        }
    }
}

/// Which of the two tables of connections has a column of exactly this name.
fn elsewhere(name: &str) -> Option<&'static str> {
    let of_conns = || COLUMNS.iter().chain(&COURSE_COLUMNS).any(|def| def.column.name == name);
    let of_hosts = || hosts::columns(&Levels::default()).iter().any(|def| def.column.name == name);
    if of_conns() { Some("conns") } else { of_hosts().then_some("hosts") }
}

/// The column that formats for programs have behind all others.
const QUALITY: &str = "quality";

/// What can be printed of a kind of record.
pub struct Subject<R: 'static> {
    /// The table's name, as in `conns`.
    pub table: &'static str,
    /// Other percentiles can be had, with `--percentiles`.
    pub has_levels: bool,
    /// Every column there is.
    pub fields: Vec<Field<R>>,
    /// How far a record's counts can be trusted.
    pub quality: fn(&R) -> Quality,
    /// What makes a record large, for `--top` without `--sort`.
    pub weight: fn(&R) -> u64,
    /// When a record began, as a number that no other has: decides where everything else is equal.
    pub serial: fn(&R) -> u64,
    /// The column that orders tables, upwards, unless the user says otherwise.
    pub order: &'static str,
    /// Asks the edge for all that a record's cells need; whether the answers are there.
    pub ask: fn(&R, &Edge) -> bool,
    /// What the whitelist says of a record, if it says anything.
    pub verdict: fn(&R, &Edge) -> Option<Verdict>,
}

impl<R> Subject<R> {
    /// The column called `name`.
    ///
    /// # Errors
    /// If there is none; the message names the nearest one.
    pub fn field(&self, name: &str) -> Result<&Field<R>> {
        let spelt = || self.fields.iter().find(|field| field.column.name == name);
        let meant = || self.fields.iter().find(|field| is_same(&field.column.name, name));
        if let Some(field) = spelt().or_else(meant) {
            return Ok(field);
        }
        match self.headed(name).as_slice() {
            [] => {}
            [field] => return Ok(field),
            several => {
                let names: Vec<String> = several.iter().map(|field| format!("`{}`", field.column.name)).collect();
                let message = format!("`{name}` may be {}: name one of them", names.join(" or "));
                return Err(Error::new(ErrorKind::Usage, message));
            }
        }
        if name.eq_ignore_ascii_case(QUALITY) {
            let message = "`quality` cannot be chosen: in formats for programs every row has it, as its last column; \
                           tables mark the numbers instead";
            return Err(Error::new(ErrorKind::Usage, message));
        }
        let nearest = self.nearest(name);
        let in_family = |known: &Field<R>| is_percentile(&known.column.name, name);
        if let Some(percent) = percentile(name).filter(|_| self.has_levels && self.fields.iter().any(in_family))
            && nearest.is_none_or(|known| percentile(known).as_ref() != Some(&percent))
        {
            let message = format!("no column `{name}`; it comes with --percentiles {percent}");
            return Err(Error::new(ErrorKind::Usage, message));
        }
        let hint = match (nearest, elsewhere(name)) {
            (_, Some(command)) => format!("`flow {command}` has it"),
            (Some(known), None) => format!("did you mean `{known}`?"),
            (None, None) => "--list-columns shows all".to_owned(),
        };
        Err(Error::new(ErrorKind::Usage, format!("no column `{name}`; {hint}")))
    }

    /// The columns that tables may head so, in any case: with or without a unit, and if there is none, `PKTS>` and
    /// `PKTS<` as `PKTS`.
    fn headed(&self, name: &str) -> Vec<&Field<R>> {
        let (title, unit) = match name.strip_suffix(']').and_then(|name| name.split_once('[')) {
            Some((title, unit)) => (title, Some(unit)),
            None => (name, None),
        };
        let is_of = |field: &&Field<R>| unit.is_none_or(|unit| unit.eq_ignore_ascii_case(field.column.unit.sign()));
        let is_called = |field: &&Field<R>| field.column.title.eq_ignore_ascii_case(title);
        let is_half = |field: &&Field<R>| {
            field.column.title.strip_suffix(['<', '>']).is_some_and(|half| half.eq_ignore_ascii_case(title))
        };
        let mut headed: Vec<&Field<R>> = self.fields.iter().filter(is_called).filter(is_of).collect();
        // `EST` stands beside `EST[%]`.
        if headed.len() > 1 && headed.iter().filter(|field| field.column.unit.sign().is_empty()).count() == 1 {
            headed.retain(|field| field.column.unit.sign().is_empty());
        }
        if headed.is_empty() { self.fields.iter().filter(is_half).filter(is_of).collect() } else { headed }
    }

    /// The column that is probably meant: one whose name begins so, or is nearly the same.
    fn nearest(&self, name: &str) -> Option<&str> {
        let plain = name.to_lowercase().replace(['.', '-'], "_");
        let known = || self.fields.iter().map(|field| &field.column);
        let begun = || {
            known().find(|column| {
                column.name.strip_prefix(&*plain).is_some_and(|rest| rest.is_empty() || rest.starts_with('_'))
            })
        };
        let similar = || {
            // Whoever mistypes a time leaves out its unit as well.
            let whole = |column: &Column| column.name.strip_suffix("_ns").map(|short| distance(&plain, short));
            let edits = |column: &Column| distance(&plain, &column.name).min(whole(column).unwrap_or(usize::MAX));
            let all = known().map(|column| (edits(column), column));
            all.min_by_key(|&(edits, _)| edits).filter(|&(edits, _)| edits <= 3 && edits * 2 <= plain.len())
        };
        let column = begun().or_else(|| similar().map(|(_, column)| column));
        column.map(|column| &*column.name)
    }

    /// The same, if it is there without an option that was not given.
    ///
    /// # Errors
    /// If it is not.
    fn offered(&self, name: &str, edge: &Edge) -> Result<&Field<R>> {
        let field = self.field(name)?;
        match field.needs.filter(|&need| !edge.offers(need)) {
            None => Ok(field),
            Some(need) => {
                let option = need.option();
                Err(Error::new(ErrorKind::Usage, format!("column `{name}` comes with {option}, which was not given")))
            }
        }
    }

    /// The columns that the user chose: `a,b` exactly these, `+a,b,-c` relative to the default (or to all that cost
    /// nothing); a sign holds until the next one.
    ///
    /// # Errors
    /// If a name is unknown, or both ways are mixed.
    pub fn choose(&self, chosen: Option<&str>, format: Format, edge: &Edge) -> Result<Vec<&Field<R>>> {
        let from_all = format != Format::Table;
        let offered = |field: &&Field<R>| field.needs.is_none_or(|need| edge.offers(need));
        let asked = move |field: &&Field<R>| field.default || (from_all && !field.costly);
        let default = || self.fields.iter().filter(asked).filter(offered);
        let Some(chosen) = chosen else { return Ok(default().collect()) };
        let usage = |message: &str| Error::new(ErrorKind::Usage, format!("--columns {chosen}: {message}"));
        let relative = is_relative(chosen);
        if !relative && names(chosen).any(|name| name.starts_with(SIGNS)) {
            let remedy = format!("`+` or `-` stands before the first name, or before none: as in `+{chosen}`");
            return Err(usage(&remedy));
        }
        let mut fields: Vec<&Field<R>> = if relative { default().collect() } else { Vec::new() };
        for (taken_away, name) in signed(chosen) {
            // Whoever names the columns of a file's header names this one too.
            if name == QUALITY && !taken_away && !format.is_text() {
                continue;
            }
            let meant: Vec<&Field<R>> = if name == "all" {
                self.fields.iter().filter(offered).collect()
            } else {
                vec![self.offered(name, edge)?]
            };
            for field in meant {
                let same = |other: &&Field<R>| std::ptr::eq(*other, field);
                match (taken_away, fields.iter().position(same)) {
                    (true, Some(place)) => drop(fields.remove(place)),
                    (false, None) => fields.push(field),
                    (true, None) | (false, Some(_)) => {}
                }
            }
        }
        if fields.is_empty() { Err(usage("no column is left")) } else { Ok(fields) }
    }

    /// The rank of `field` where the user named columns: of those that may go, the last are what was added by name and what
    /// rows are sorted by.
    pub fn rank(&self, field: &Field<R>, chosen: Option<&str>, sort: &[SortKey]) -> u8 {
        let is_meant = |name: &str| self.field(name).is_ok_and(|meant| std::ptr::eq(meant, field));
        // Of columns that were all chosen none is above the others.
        let mut added = chosen.into_iter().filter(|chosen| is_relative(chosen)).flat_map(signed);
        let is_added = added.any(|(taken_away, name)| !taken_away && is_meant(name));
        match field.rank {
            0 => 0,
            _ if is_added || sort.iter().any(|key| is_meant(&key.column)) => 1,
            rank => rank.saturating_add(1),
        }
    }

    /// The order that the user asked for.
    ///
    /// # Errors
    /// If a column is unknown.
    pub fn order(&self, keys: &[SortKey], edge: &Edge) -> Result<Order<R>> {
        let keys: Result<Vec<(CellOf<R>, bool)>> = keys
            .iter()
            .map(|key| {
                let field = self.offered(&key.column, edge)?;
                Ok((field.value, key.descending.unwrap_or_else(|| largest_first(&field.column))))
            })
            .collect();
        Ok(Order { keys: keys?, weight: None, serial: self.serial })
    }

    /// The order by weight, heaviest first.
    pub fn by_weight(&self) -> Order<R> {
        Order { keys: Vec::new(), weight: Some(self.weight), serial: self.serial }
    }

    /// Names, units and meanings of all columns, for people.
    pub fn describe(&self) -> String {
        let width = self.fields.iter().map(|field| field.column.name.len()).max().unwrap_or(0);
        let mut text = String::new();
        for Field { column, default, costly, needs, .. } in &self.fields {
            let mark = match (default, costly) {
                (true, _) => '*',
                (false, true) => '+',
                (false, false) => ' ',
            };
            let unit = match column.unit {
                Unit::EpochNanos => " (ns since 1970)",
                Unit::Nanos => " (ns)",
                Unit::Bytes => " (bytes)",
                Unit::Packets => " (packets)",
                Unit::PerSecond => " (per second)",
                Unit::Percent => " (%)",
                _ => "",
            };
            let with = needs.map_or(String::new(), |need| format!(" (with {})", need.option()));
            let about = column.about.trim_end_matches('.');
            text.push_str(&format!("{mark} {:width$}  {about}{unit}{with}\n", column.name));
        }
        text.push_str("* in tables unless --columns says otherwise; wide and all machine formats have every column\n");
        if self.fields.iter().any(|field| field.costly) {
            text.push_str("+ takes longer to find out: only if --columns or --sort names it, or --columns +all\n");
        }
        text
    }
}

/// Quantities are asked for because of the large ones; times and names are read upwards.
pub fn largest_first(column: &Column) -> bool {
    match column.meaning {
        Meaning::Key => false,
        Meaning::Counter => true,
        _ => !matches!(column.unit, Unit::None | Unit::EpochNanos),
    }
}

/// How to compare two records.
pub struct Order<R: 'static> {
    /// Cell and whether the largest comes first; earlier ones decide.
    keys: Vec<(CellOf<R>, bool)>,
    weight: Option<fn(&R) -> u64>,
    serial: fn(&R) -> u64,
}

impl<R> Order<R> {
    /// Whether the edge is asked for what decides.
    pub fn asks(&self) -> bool {
        self.keys.iter().any(|(value, _)| matches!(value, CellOf::Edge(_)))
    }

    /// Which of two records comes first. No two are equal, so an answer does not depend on the order in which records
    /// came, which may change with the idle times.
    pub fn compare(&self, a: &R, b: &R, edge: &Edge) -> Ordering {
        let asked = match self.weight {
            Some(weight) => weight(b).cmp(&weight(a)),
            None => {
                let mut orderings = self
                    .keys
                    .iter()
                    .map(|&(value, descending)| compare(&value.get(a, edge), &value.get(b, edge), descending));
                orderings.find(|ordering| ordering.is_ne()).unwrap_or(Ordering::Equal)
            }
        };
        asked.then_with(|| (self.serial)(a).cmp(&(self.serial)(b)))
    }
}

/// Cells of different kinds in one column stand in this order: names before the addresses of those without, last what
/// is missing.
fn kind(value: &Value) -> u8 {
    match value {
        Value::U64(_) => 0,
        Value::I64(_) => 1,
        Value::F64(_) => 2,
        Value::Bool(_) => 3,
        Value::Time(_) => 4,
        Value::Span(_) => 5,
        Value::Word(_) | Value::Text(_) => 6,
        Value::Addr(_) => 7,
        Value::List(_) => 8,
        _ => 9,
    }
}

/// Orders cells, all of them; a missing one comes last in either direction.
pub fn compare(a: &Value, b: &Value, descending: bool) -> Ordering {
    match (a, b) {
        (Value::Missing, Value::Missing) => return Ordering::Equal,
        (Value::Missing, _) => return Ordering::Greater,
        (_, Value::Missing) => return Ordering::Less,
        _ => {}
    }
    let ordering = match (a, b) {
        (Value::U64(a), Value::U64(b)) => a.cmp(b),
        (Value::I64(a), Value::I64(b)) => a.cmp(b),
        (Value::F64(a), Value::F64(b)) => a.total_cmp(b),
        (Value::Bool(a), Value::Bool(b)) => a.cmp(b),
        (Value::Time(a), Value::Time(b)) => a.cmp(b),
        (Value::Span(a), Value::Span(b)) => a.cmp(b),
        (Value::Addr(a), Value::Addr(b)) => a.cmp(b),
        (Value::Word(a), Value::Word(b)) => a.cmp(b),
        (Value::Text(a), Value::Text(b)) => a.cmp(b),
        (Value::List(a), Value::List(b)) => a.cmp(b),
        (Value::Word(a), Value::Text(b)) => (*a).cmp(b),
        (Value::Text(a), Value::Word(b)) => (**a).cmp(b),
        _ => kind(a).cmp(&kind(b)),
    };
    if descending { ordering.reverse() } else { ordering }
}

/// How many insertions, removals and replacements of characters lead from `a` to `b` (Levenshtein).
fn distance(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.chars().count()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.chars().enumerate() {
            let replaced = diagonal + usize::from(x != y);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row.last().copied().unwrap_or(0)
}

/// Whether a column is meant by another spelling of its name: times with or without the unit at the end, what the capture
/// does not have missed or missing, and bytes for those on the wire as in filters. Not all names have been given by one
/// rule, and they do not change.
fn is_same(column: &str, name: &str) -> bool {
    let plain = |name: &str| name.strip_suffix("_ns").unwrap_or(name).replace("missed_", "missing_");
    plain(column) == plain(name) || (column, name) == ("wire_bytes", "bytes")
}

/// The percentile that a column's name speaks of: 99.9 of `rtt_p99_9_ns`.
fn percentile(name: &str) -> Option<String> {
    let (_, level) = name.strip_suffix("_ns").unwrap_or(name).rsplit_once("_p")?;
    let percent = level.replace('_', ".");
    percent.parse::<f64>().is_ok_and(|percent| (0.0..=100.0).contains(&percent)).then_some(percent)
}

/// Whether both are of one family of percentiles.
fn is_percentile(known: &str, name: &str) -> bool {
    let family = |name: &str| name.rsplit_once("_p").map(|(family, _)| family.to_owned());
    percentile(known).is_some() && family(known) == family(name)
}

const SIGNS: [char; 2] = ['+', '-'];

/// The names in a list of columns, with their signs.
fn names(chosen: &str) -> impl Iterator<Item = &str> {
    chosen.split(',').map(str::trim).filter(|name| !name.is_empty())
}

/// Whether a list of columns adds to the default ones, or takes away from them.
pub fn is_relative(chosen: &str) -> bool {
    names(chosen).next().is_some_and(|name| name.starts_with(SIGNS))
}

/// The names in a list of columns, and whether each is taken away: a sign holds until the next one, `+a,b,-c` adds a and b.
fn signed(chosen: &str) -> impl Iterator<Item = (bool, &str)> {
    names(chosen).scan(false, |taken_away, name| {
        *taken_away = if name.starts_with(SIGNS) { name.starts_with('-') } else { *taken_away };
        Some((*taken_away, name.strip_prefix(SIGNS).unwrap_or(name)))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    type Pair = (u64, &'static str);

    fn subject() -> Subject<Pair> {
        let field = |name: &'static str, unit, meaning, value: fn(&Pair) -> Value, default| Field {
            column: Column::new([name, name, ""], unit, meaning),
            value: CellOf::Own(value),
            shown: None,
            needs: None,
            default,
            costly: false,
            rank: 1,
            bound: |_| Bound::Exact,
        };
        let name_from_edge = ["nick", "NICK", "From the edge."];
        Subject {
            table: "pairs",
            has_levels: false,
            fields: vec![
                field("bytes", Unit::Bytes, Meaning::Counter, |pair: &Pair| Value::U64(pair.0), true),
                field("name", Unit::None, Meaning::Key, |pair| Value::Word(pair.1), true),
                field("note", Unit::None, Meaning::Gauge, |_| Value::Missing, false),
                Field::at_the_edge(name_from_edge, Need::Names, |_, _| Value::Missing),
            ],
            quality: |_| Quality::default(),
            weight: |pair| pair.0,
            serial: |pair| u64::from(pair.1.as_bytes()[0]),
            order: "name",
            ask: |_, _| true,
            verdict: |_, _| None,
        }
    }

    fn names(chosen: Option<&str>) -> Vec<String> {
        let subject = subject();
        let fields = subject.choose(chosen, Format::Table, &Edge::default()).unwrap();
        fields.iter().map(|field| field.column.name.to_string()).collect()
    }

    #[test]
    fn cells_of_any_kinds_have_one_order() {
        let addr = |text: &str| Value::Addr(text.parse().unwrap());
        let ordered = [
            Value::U64(1),
            Value::U64(2),
            Value::I64(-1),
            Value::F64(0.5),
            Value::Bool(true),
            Value::Word("alpha"),
            Value::Text("beta".into()),
            Value::Word("gamma"),
            addr("10.0.0.9"),
            addr("192.0.2.1"),
            Value::Missing,
        ];
        for (i, a) in ordered.iter().enumerate() {
            for (j, b) in ordered.iter().enumerate() {
                assert_eq!(compare(a, b, false), i.cmp(&j), "{a:?} {b:?}");
                let is_last = matches!(a, Value::Missing) || matches!(b, Value::Missing);
                assert_eq!(compare(a, b, true), if is_last { i.cmp(&j) } else { j.cmp(&i) }, "{a:?} {b:?}");
            }
        }
    }

    #[test]
    fn columns_are_chosen_exactly_or_relative_to_the_default() {
        assert_eq!(names(None), ["bytes", "name"]);
        assert_eq!(names(Some("note,bytes")), ["note", "bytes"]);
        assert_eq!(names(Some("+note,-bytes")), ["name", "note"]);
        // A sign holds until the next one.
        assert_eq!(names(Some("-name,bytes,+note")), ["note"]);
        assert_eq!(names(Some("all")), ["bytes", "name", "note"]);
        assert_eq!(names(Some("+all,-bytes")), ["name", "note"]);
    }

    #[test]
    fn the_column_that_comes_in_any_case_may_be_named() {
        let subject = subject();
        let chosen = |chosen, format| {
            let fields = subject.choose(Some(chosen), format, &Edge::default()).ok()?;
            Some(fields.iter().map(|field| field.column.name.to_string()).collect::<Vec<_>>())
        };
        let name = Some(vec!["name".to_owned()]);
        for format in [Format::Csv, Format::Tsv, Format::Jsonl, Format::Json, Format::Zeek] {
            assert_eq!(chosen("name,quality", format), name);
            assert_eq!(chosen("-bytes,note,+quality", format), name);
            assert_eq!(chosen("-quality", format), None, "it cannot be taken away");
        }
        assert_eq!(chosen("name,quality", Format::Table), None);
    }

    #[test]
    fn a_wrong_column_is_answered_with_the_nearest() {
        let subject = subject();
        let message = |chosen| subject.choose(Some(chosen), Format::Table, &Edge::default()).err().unwrap().to_string();
        assert_eq!(message("byte"), "no column `byte`; did you mean `bytes`?");
        assert_eq!(message("zzzzzzzzzz"), "no column `zzzzzzzzzz`; --list-columns shows all");
        assert_eq!(message("handshake_ns"), "no column `handshake_ns`; `flow conns` has it");
        assert_eq!(message("retrans_by_remote"), "no column `retrans_by_remote`; `flow hosts` has it");
        assert_eq!(message("nick"), "column `nick` comes with --resolve dns or hosts, which was not given");
        assert!(message("bytes,-name").contains("before the first name"));
        assert!(message("-bytes,-name").contains("no column is left"));
    }

    #[test]
    fn a_time_is_understood_with_and_without_its_unit() {
        for (column, name) in [
            ("rtt_p95_ns", "rtt_p95"),
            ("rtt_p95", "rtt_p95_ns"),
            ("missing_bytes", "missed_bytes"),
            ("wire_bytes", "bytes"),
        ] {
            assert!(is_same(column, name), "{name}");
        }
        assert!(!is_same("rtt_p95_ns", "rtt_p99_ns") && !is_same("fwd_missing_bytes", "missing_bytes"));
    }

    #[test]
    fn quantities_are_ordered_downwards_and_names_upwards() {
        let subject = subject();
        let first = |keys: &[&str]| {
            let keys: Vec<SortKey> = keys.iter().map(|key| key.parse().unwrap()).collect();
            let order = subject.order(&keys, &Edge::default()).unwrap();
            let mut pairs = [(1, "b"), (3, "a"), (3, "c")];
            pairs.sort_by(|a, b| order.compare(a, b, &Edge::default()));
            pairs[0]
        };
        assert_eq!(first(&["bytes"]), (3, "a"));
        assert_eq!(first(&["bytes:asc"]), (1, "b"));
        assert_eq!(first(&["name"]), (3, "a"));
        assert_eq!(first(&["bytes", "-name"]), (3, "c"));
    }

    #[test]
    fn how_many_is_a_quantity_and_what_a_number_stands_for_is_not() {
        use flowstats::conns::column;
        let downwards = |name: &str| largest_first(&column(name).expect(name).column);
        let quantities = ["unanswered", "requests", "retrans", "fwd_wire_bytes", "duration_ns", "zero_window_time"];
        assert_eq!(quantities.map(downwards), [true; 6]);
        let others = ["src_port", "ip_version", "tcp_flags_fwd", "in_if", "start_ns", "state"];
        assert_eq!(others.map(downwards), [false; 6]);
        let of_hosts = hosts::columns(&Levels::default());
        let qos = of_hosts.iter().find(|def| def.column.name == "qos_p95").unwrap();
        assert!(largest_first(&qos.column));
    }

    #[test]
    fn what_is_equal_keeps_the_order_of_its_beginnings() {
        let subject = subject();
        for order in [subject.by_weight(), subject.order(&["bytes".parse().unwrap()], &Edge::default()).unwrap()] {
            let mut pairs = [(3, "c"), (3, "a"), (3, "b"), (4, "z")];
            pairs.sort_unstable_by(|a, b| order.compare(a, b, &Edge::default()));
            assert_eq!(pairs.map(|pair| pair.1), ["z", "a", "b", "c"]);
        }
    }

    #[test]
    fn a_missing_cell_comes_last_in_either_direction() {
        assert_eq!(compare(&Value::Missing, &Value::U64(1), false), Ordering::Greater);
        assert_eq!(compare(&Value::Missing, &Value::U64(1), true), Ordering::Greater);
    }

    #[test]
    fn what_was_added_or_sorted_by_goes_last() {
        let subject = subject();
        let ranks = |chosen: Option<&str>, sort: &[SortKey]| {
            subject.fields.iter().map(|field| subject.rank(field, chosen, sort)).collect::<Vec<_>>()
        };
        assert_eq!(ranks(None, &[]), [2; 4]);
        assert_eq!(ranks(Some("+note,bytes,-name"), &[]), [1, 2, 1, 2]);
        assert_eq!(ranks(Some("-note,+nick"), &[]), [2, 2, 2, 1]);
        assert_eq!(ranks(Some("note,bytes"), &[]), [2; 4], "none above the others");
        assert_eq!(ranks(None, &[SortKey { column: "bytes".to_owned(), descending: None }]), [1, 2, 2, 2]);
    }
}
