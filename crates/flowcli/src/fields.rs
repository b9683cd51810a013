//! Choosing and ordering columns of any kind of record.

use std::cmp::Ordering;

use flowcore::report::{Column, Meaning, Quality, Unit, Value};
use flowcore::{Error, ErrorKind, Result};

use crate::args::SortKey;

/// How to get one cell of a record.
pub type CellOf<R> = fn(&R) -> Value;

/// One column of a kind of record, and how to get at it.
pub struct Field<R: 'static> {
    /// Name, title, unit, meaning.
    pub column: Column,
    /// The cell of one record.
    pub value: CellOf<R>,
    /// Shown unless the user chooses.
    pub default: bool,
    /// Costs to find out: there only if it is asked for by name, or by `all`.
    pub costly: bool,
    /// Columns of the greatest rank go first when a terminal is too narrow; 0 always stays.
    pub rank: u8,
}

/// What can be printed of a kind of record.
pub struct Subject<R: 'static> {
    /// The table's name, as in `conns`.
    pub table: &'static str,
    /// Every column there is.
    pub fields: Vec<Field<R>>,
    /// How far a record's counts can be trusted.
    pub quality: fn(&R) -> Quality,
    /// What makes a record large, for `--top` without `--sort`.
    pub weight: fn(&R) -> u64,
    /// The column that orders tables, upwards, unless the user says otherwise.
    pub order: &'static str,
}

impl<R> Subject<R> {
    /// The column called `name`.
    ///
    /// # Errors
    /// If there is none; the message names the nearest one.
    pub fn field(&self, name: &str) -> Result<&Field<R>> {
        if let Some(field) = self.fields.iter().find(|field| field.column.name == name) {
            return Ok(field);
        }
        let names = self.fields.iter().map(|field| &*field.column.name);
        let nearest = names.map(|known| (distance(name, known), known)).min().filter(|&(edits, _)| edits <= 3);
        let hint = match nearest {
            Some((_, known)) => format!("did you mean `{known}`?"),
            None => "--list-columns shows all".to_owned(),
        };
        Err(Error::new(ErrorKind::Usage, format!("no column `{name}`; {hint}")))
    }

    /// The columns that the user chose: `a,b` exactly these, `+a,-b` relative to the default (or to all that cost nothing).
    ///
    /// # Errors
    /// If a name is unknown, or both ways are mixed.
    pub fn choose(&self, chosen: Option<&str>, from_all: bool) -> Result<Vec<&Field<R>>> {
        let default = || self.fields.iter().filter(move |field| field.default || (from_all && !field.costly));
        let Some(chosen) = chosen else { return Ok(default().collect()) };
        let names: Vec<&str> = chosen.split(',').map(str::trim).filter(|name| !name.is_empty()).collect();
        let usage = |message: &str| Error::new(ErrorKind::Usage, format!("--columns {chosen}: {message}"));
        let relative = names.iter().filter(|name| name.starts_with(['+', '-'])).count();
        if relative != 0 && relative != names.len() {
            return Err(usage("either every name has `+` or `-` in front, or none has"));
        }
        let mut fields: Vec<&Field<R>> = if relative > 0 { default().collect() } else { Vec::new() };
        for name in names {
            let (taken_away, name) = match (name.strip_prefix('-'), name.strip_prefix('+')) {
                (Some(name), _) => (true, name),
                (None, Some(name)) => (false, name),
                (None, None) => (false, name),
            };
            let meant: Vec<&Field<R>> =
                if name == "all" { self.fields.iter().collect() } else { vec![self.field(name)?] };
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

    /// The order that the user asked for.
    ///
    /// # Errors
    /// If a column is unknown.
    pub fn order(&self, keys: &[SortKey]) -> Result<Order<R>> {
        let keys: Result<Vec<(CellOf<R>, bool)>> = keys
            .iter()
            .map(|key| {
                let field = self.field(&key.column)?;
                Ok((field.value, key.descending.unwrap_or_else(|| largest_first(&field.column))))
            })
            .collect();
        Ok(Order { keys: keys?, weight: None })
    }

    /// The order by weight, heaviest first.
    pub fn by_weight(&self) -> Order<R> {
        Order { keys: Vec::new(), weight: Some(self.weight) }
    }

    /// Names, units and meanings of all columns, for people.
    pub fn describe(&self) -> String {
        let width = self.fields.iter().map(|field| field.column.name.len()).max().unwrap_or(0);
        let mut text = String::new();
        for Field { column, default, costly, .. } in &self.fields {
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
            text.push_str(&format!("{mark} {:width$}  {}{unit}\n", column.name, column.about.trim_end_matches('.')));
        }
        text.push_str("* in tables unless --columns says otherwise; wide and all machine formats have every column\n");
        if self.fields.iter().any(|field| field.costly) {
            text.push_str("+ takes longer to find out: only if --columns or --sort names it, or --columns +all\n");
        }
        text
    }
}

/// Quantities are asked for because of the large ones; times and names are read upwards.
fn largest_first(column: &Column) -> bool {
    column.meaning != Meaning::Key && !matches!(column.unit, Unit::None | Unit::EpochNanos)
}

/// How to compare two records.
pub struct Order<R: 'static> {
    /// Cell and whether the largest comes first; earlier ones decide.
    keys: Vec<(CellOf<R>, bool)>,
    weight: Option<fn(&R) -> u64>,
}

impl<R> Order<R> {
    /// Which of two records comes first.
    pub fn compare(&self, a: &R, b: &R) -> Ordering {
        if let Some(weight) = self.weight {
            return weight(b).cmp(&weight(a));
        }
        let mut orderings = self.keys.iter().map(|&(value, descending)| compare(&value(a), &value(b), descending));
        orderings.find(|ordering| ordering.is_ne()).unwrap_or(Ordering::Equal)
    }
}

/// Orders cells; a missing one comes last in either direction.
fn compare(a: &Value, b: &Value, descending: bool) -> Ordering {
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
        // A column holds one kind of cell.
        _ => Ordering::Equal,
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

#[cfg(test)]
mod tests {
    use super::*;

    type Pair = (u64, &'static str);

    fn subject() -> Subject<Pair> {
        let field = |name: &'static str, unit, meaning, value, default| Field {
            column: Column { name: name.into(), title: name.into(), unit, meaning, about: "".into(), bounded: false },
            value,
            default,
            costly: false,
            rank: 1,
        };
        Subject {
            table: "pairs",
            fields: vec![
                field("bytes", Unit::Bytes, Meaning::Counter, |pair: &Pair| Value::U64(pair.0), true),
                field("name", Unit::None, Meaning::Key, |pair| Value::Word(pair.1), true),
                field("note", Unit::None, Meaning::Gauge, |_| Value::Missing, false),
            ],
            quality: |_| Quality::default(),
            weight: |pair| pair.0,
            order: "name",
        }
    }

    fn names(chosen: Option<&str>) -> Vec<String> {
        let subject = subject();
        let fields = subject.choose(chosen, false).unwrap();
        fields.iter().map(|field| field.column.name.to_string()).collect()
    }

    #[test]
    fn columns_are_chosen_exactly_or_relative_to_the_default() {
        assert_eq!(names(None), ["bytes", "name"]);
        assert_eq!(names(Some("note,bytes")), ["note", "bytes"]);
        assert_eq!(names(Some("+note,-bytes")), ["name", "note"]);
        assert_eq!(names(Some("all")), ["bytes", "name", "note"]);
        assert_eq!(names(Some("+all,-bytes")), ["name", "note"]);
    }

    #[test]
    fn a_wrong_column_is_answered_with_the_nearest() {
        let subject = subject();
        let message = |chosen| subject.choose(Some(chosen), false).err().unwrap().to_string();
        assert_eq!(message("byte"), "no column `byte`; did you mean `bytes`?");
        assert_eq!(message("zzzzzzzzzz"), "no column `zzzzzzzzzz`; --list-columns shows all");
        assert!(message("bytes,-name").contains("either every name"));
        assert!(message("-bytes,-name").contains("no column is left"));
    }

    #[test]
    fn quantities_are_ordered_downwards_and_names_upwards() {
        let subject = subject();
        let first = |keys: &[&str]| {
            let keys: Vec<SortKey> = keys.iter().map(|key| key.parse().unwrap()).collect();
            let order = subject.order(&keys).unwrap();
            let mut pairs = [(1, "b"), (3, "a"), (3, "c")];
            pairs.sort_by(|a, b| order.compare(a, b));
            pairs[0]
        };
        assert_eq!(first(&["bytes"]), (3, "a"));
        assert_eq!(first(&["bytes:asc"]), (1, "b"));
        assert_eq!(first(&["name"]), (3, "a"));
        assert_eq!(first(&["bytes", "-name"]), (3, "c"));
    }

    #[test]
    fn a_missing_cell_comes_last_in_either_direction() {
        assert_eq!(compare(&Value::Missing, &Value::U64(1), false), Ordering::Greater);
        assert_eq!(compare(&Value::Missing, &Value::U64(1), true), Ordering::Greater);
    }
}
