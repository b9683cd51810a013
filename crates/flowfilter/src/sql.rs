//! Filters as conditions in SQL, for stored flows.
//!
//! The text is one condition, to stand behind `WHERE` or anywhere else a truth value may: it is true or false of every
//! row, never unknown. A column that is NULL is a field that the flow lacks, which fails its tests and passes their
//! `not`; SQL's third truth value would lose the latter. Identifiers are quoted; texts that hold more than letters,
//! digits and plain signs are written as their bytes, so no value can end a literal, whatever the settings of the
//! database.
//!
//! | fields | as stored |
//! | --- | --- |
//! | numbers, ports, protocols, bytes, spans of time (nanoseconds) | integer |
//! | points in time (nanoseconds since 1970) | signed integer |
//! | addresses | 16 bytes, IPv4 mapped into IPv6: they compare as numbers do |
//! | link addresses | 6 bytes |
//! | words and texts (`state`, `process`) | text |
//! | tags, labels, tunnels and their numbers | array (SQLite: JSON text) |
//! | flags without a value (`fragment`) | truth value |

use std::borrow::Cow;
use std::fmt::Write;

use crate::ast::{Condition, Expr, Subject, Test, texts, time_of};
use crate::error::FilterError;
use crate::field::{Field, FieldSet, Kind};
use crate::filter::Filter;
use crate::normal::top;
use crate::plan::passing;
use crate::set::Ranges;

/// Whose SQL.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Dialect {
    /// DuckDB 1.3 or later (lambdas as `lambda x: …`).
    DuckDb,
    /// Spark 3 or later.
    Spark,
    /// ClickHouse.
    ClickHouse,
    /// SQLite 3.38 or later (JSON functions).
    Sqlite,
}

/// Where the fields of stored flows are: their columns, and whose SQL is spoken.
#[derive(Clone, Debug)]
pub struct Schema {
    dialect: Dialect,
    columns: Vec<(Field, Cow<'static, str>)>,
}

/// The columns of [`Schema::flows`]: where `flow conns` prints the same value its column has the same name.
const FLOWS: &[(Field, &str)] = &[
    (Field::Version, "ip_version"),
    (Field::Proto, "ip_proto"),
    (Field::SrcAddr, "src_ip"),
    (Field::DstAddr, "dst_ip"),
    (Field::SrcPort, "src_port"),
    (Field::DstPort, "dst_port"),
    (Field::SrcAsn, "src_asn"),
    (Field::DstAsn, "dst_asn"),
    (Field::Vlan, "vlan"),
    (Field::Mpls, "mpls"),
    (Field::Pppoe, "pppoe"),
    (Field::Tunnel, "tunnel"),
    (Field::TunnelId, "tunnel_id"),
    (Field::Input, "input_if"),
    (Field::Output, "output_if"),
    (Field::Exporter, "exporter_ip"),
    (Field::State, "state"),
    (Field::Start, "start_ns"),
    (Field::End, "end_ns"),
    (Field::Duration, "duration_ns"),
    (Field::Bytes, "wire_bytes"),
    (Field::Packets, "packets"),
    (Field::Rtt, "rtt_ns"),
    (Field::Handshake, "handshake_ns"),
    (Field::Retrans, "retrans"),
    (Field::Process, "process"),
    (Field::Pid, "pid"),
    (Field::Uid, "uid"),
    (Field::Cgroup, "cgroup"),
];

impl Schema {
    /// A table without a column that filters can ask; [`with`](Self::with) adds them.
    pub fn new(dialect: Dialect) -> Self {
        Self { dialect, columns: Vec::new() }
    }

    /// Stored flows: one row for each, both directions together.
    pub fn flows(dialect: Dialect) -> Self {
        Self { dialect, columns: FLOWS.iter().map(|&(field, name)| (field, name.into())).collect() }
    }

    /// The same with `field` in the column of that name.
    #[must_use]
    pub fn with(mut self, field: Field, column: impl Into<Cow<'static, str>>) -> Self {
        self.columns.retain(|(known, _)| *known != field);
        self.columns.push((field, column.into()));
        self
    }

    /// The same without columns for these fields, which the store does not keep.
    #[must_use]
    pub fn without(mut self, fields: FieldSet) -> Self {
        self.columns.retain(|(known, _)| !fields.contains(*known));
        self
    }

    /// The fields that have a column, and its name.
    pub fn columns(&self) -> impl Iterator<Item = (Field, &str)> {
        self.columns.iter().map(|(field, name)| (*field, &**name))
    }

    /// The column of a field, quoted.
    fn quoted(&self, field: Field) -> Option<String> {
        let (_, name) = self.columns.iter().find(|(known, _)| *known == field)?;
        Some(match self.dialect {
            Dialect::DuckDb | Dialect::Sqlite => format!("\"{}\"", name.replace('"', "\"\"")),
            Dialect::Spark => format!("`{}`", name.replace('`', "``")),
            Dialect::ClickHouse => format!("`{}`", name.replace('\\', "\\\\").replace('`', "\\`")),
        })
    }
}

impl Filter {
    /// The filter as a condition over stored flows; see [`sql`](crate::sql).
    ///
    /// # Errors
    /// If it asks for a field that the store has no column for; names it, at its place in the text.
    pub fn to_sql(&self, schema: &Schema) -> Result<String, FilterError> {
        let missing = self.fields().without(FieldSet::of(schema.columns().map(|(field, _)| field)));
        match missing.iter().next() {
            Some(field) => Err(self.no_field(field, "stored flows", instead(field).map(str::to_owned))),
            None => Ok(expr(self.expr(), schema)),
        }
    }
}

fn instead(field: Field) -> Option<&'static str> {
    match field {
        Field::Length => Some("`bytes` are a flow's"),
        Field::Time => Some("`start` and `end` are a flow's"),
        Field::TcpFlags => Some("`state` says what became of a connection: `state S0` is a SYN without a reply"),
        Field::SocketState => Some(crate::record::STATES_OF_SOCKETS),
        _ => None,
    }
}

/// Operands side by side at most: databases limit how deep a condition may nest, and read a chain as nested.
const WIDEST: usize = 64;

/// A chain of conditions in parentheses, as flat as it may be.
fn joined(all: Vec<String>, word: &str) -> String {
    match all.as_slice() {
        [one] => one.clone(),
        few if few.len() <= WIDEST => format!("({})", few.join(word)),
        many => {
            let groups = many.chunks(many.len().div_ceil(WIDEST));
            joined(groups.map(|group| joined(group.to_vec(), word)).collect(), word)
        }
    }
}

fn expr(tree: &Expr, schema: &Schema) -> String {
    let each = |all: &[Expr]| all.iter().map(|one| expr(one, schema)).collect();
    match tree {
        Expr::All => "TRUE".to_owned(),
        Expr::None => "FALSE".to_owned(),
        Expr::Not(inner) => format!("NOT {}", expr(inner, schema)),
        Expr::And(all) => joined(each(all), " AND "),
        Expr::Or(all) => joined(each(all), " OR "),
        Expr::Test(Test { subject: Subject::One(field), condition }) => test(*field, condition, schema),
        Expr::Test(Test { subject: Subject::Either(pair), condition }) => {
            let both = pair.fields().map(|field| test(field, condition, schema)).to_vec();
            joined(both, if matches!(condition, Condition::NotIn(_)) { " AND " } else { " OR " })
        }
    }
}

/// A test that is never unknown: nothing is asked of a NULL.
fn test(field: Field, condition: &Condition, schema: &Schema) -> String {
    let Some(column) = schema.quoted(field) else { return "FALSE".to_owned() };
    let dialect = schema.dialect;
    let passes = match (field.kind(), condition) {
        (Kind::Flag, _) => column.clone(),
        (Kind::TcpFlags, Condition::Flags { set, of }) if dialect == Dialect::ClickHouse => {
            format!("bitAnd({column}, {of}) = {set}")
        }
        (Kind::TcpFlags, Condition::Flags { set, of }) => format!("({column} & {of}) = {set}"),
        (Kind::TcpFlags, _) => return format!("({column} IS NOT NULL)"),
        (Kind::Text, _) => words(&column, condition, dialect),
        _ if is_array(field) => several(&column, field, condition, dialect),
        (Kind::Word(names), _) => places(&column, names, &passing(field, condition), dialect),
        _ => numbers(&column, field, &passing(field, condition), dialect),
    };
    match passes.as_str() {
        "TRUE" => format!("({column} IS NOT NULL)"),
        "FALSE" => passes,
        _ => format!("({column} IS NOT NULL AND {passes})"),
    }
}

/// Whether a column holds many values. Of a prefix's origins and of a socket's holders stores have the first, as columns
/// show it.
fn is_array(field: Field) -> bool {
    field.def().several && !matches!(field, Field::SrcAsn | Field::DstAsn | Field::Process | Field::Pid)
}

/// A condition on any element of an array that is not NULL.
fn several(column: &str, field: Field, condition: &Condition, dialect: Dialect) -> String {
    let exists = |condition: &Condition| {
        let name = if dialect == Dialect::Sqlite { "value" } else { "x" };
        let wanted = passing(field, condition);
        let passes = match field.kind() {
            Kind::Word(names) => places(name, names, &wanted, dialect),
            _ => numbers(name, field, &wanted, dialect),
        };
        match (passes.as_str(), dialect) {
            ("TRUE", _) => filled(column, dialect),
            ("FALSE", _) => passes,
            (_, Dialect::DuckDb) => format!("len(list_filter({column}, lambda x: {passes})) > 0"),
            (_, Dialect::Spark) => format!("exists({column}, x -> {passes})"),
            (_, Dialect::ClickHouse) => format!("arrayExists(x -> {passes}, {column})"),
            (_, Dialect::Sqlite) => format!("EXISTS (SELECT 1 FROM json_each({column}) WHERE {passes})"),
        }
    };
    match condition {
        Condition::NotIn(items) => {
            format!("{} AND NOT {}", filled(column, dialect), exists(&Condition::In(items.clone())))
        }
        Condition::Present => filled(column, dialect),
        _ => exists(condition),
    }
}

/// Whether an array has an element.
fn filled(column: &str, dialect: Dialect) -> String {
    match dialect {
        Dialect::DuckDb => format!("len({column}) > 0"),
        Dialect::Spark => format!("size({column}) > 0"),
        Dialect::ClickHouse => format!("length({column}) > 0"),
        Dialect::Sqlite => format!("json_array_length({column}) > 0"),
    }
}

/// Numbers, addresses and link addresses: points and ranges, or what is left out if that is shorter.
fn numbers(column: &str, field: Field, wanted: &Ranges, dialect: Dialect) -> String {
    // A signed 64-bit column holds no more, and has no literal for more. Points in time are signed themselves.
    let signed = matches!(dialect, Dialect::Spark | Dialect::Sqlite);
    let most = if signed && !matches!(field.kind(), Kind::Addr | Kind::Time) {
        top(field).min(i64::MAX as u128)
    } else {
        top(field)
    };
    let wanted = wanted.intersection(&Ranges::new([(0, most)]));
    let rest = wanted.complement(most);
    if rest.is_empty() {
        return "TRUE".to_owned();
    }
    if wanted.is_empty() {
        return "FALSE".to_owned();
    }
    let (negated, pieces) =
        if rest.as_slice().len() < wanted.as_slice().len() { (true, &rest) } else { (false, &wanted) };
    let value = |number: u128| match field.kind() {
        Kind::Addr => bytes(&number.to_be_bytes(), dialect),
        Kind::Mac => bytes(&crate::ast::mac_of(number), dialect),
        // What is asked ends at the top.
        Kind::Time => time_of(number as u64).as_nanos().to_string(),
        _ => number.to_string(),
    };
    let (points, ranges): (Vec<_>, Vec<_>) = pieces.as_slice().iter().partition(|(low, high)| low == high);
    let mut all = Vec::new();
    match points.as_slice() {
        [] => {}
        [(point, _)] => all.push(format!("{column} = {}", value(*point))),
        _ => {
            let listed: Vec<String> = points.iter().map(|&(point, _)| value(point)).collect();
            all.push(format!("{column} IN ({})", listed.join(", ")));
        }
    }
    all.extend(ranges.into_iter().map(|(low, high)| match (low, high) {
        (0, high) => format!("{column} <= {}", value(high)),
        (low, high) if high == most => format!("{column} >= {}", value(low)),
        (low, high) => format!("{column} BETWEEN {} AND {}", value(low), value(high)),
    }));
    let any = joined(all, " OR ");
    if negated { format!("NOT ({any})") } else { any }
}

/// Words by their places in the list of all.
fn places(column: &str, names: &[&str], wanted: &Ranges, dialect: Dialect) -> String {
    let passing: Vec<String> = names
        .iter()
        .enumerate()
        .filter(|(place, _)| wanted.contains(*place as u128))
        .map(|(_, name)| text(name, dialect))
        .collect();
    match passing.as_slice() {
        [] => "FALSE".to_owned(),
        all if all.len() == names.len() => "TRUE".to_owned(),
        all => format!("{column} IN ({})", all.join(", ")),
    }
}

fn words(column: &str, condition: &Condition, dialect: Dialect) -> String {
    let listed = |items| texts(items).iter().map(|one| text(one, dialect)).collect::<Vec<_>>().join(", ");
    match condition {
        Condition::In(items) => format!("{column} IN ({})", listed(items)),
        Condition::NotIn(items) => format!("{column} NOT IN ({})", listed(items)),
        _ => "TRUE".to_owned(),
    }
}

/// A string literal; by its bytes if any character could mean something to a reader of literals.
fn text(text: &str, dialect: Dialect) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || " -_.,:;/+=@()[]<>#*!&|~^".contains(c);
    if text.chars().all(is_plain) {
        return format!("'{text}'");
    }
    let hex = hex(text.as_bytes());
    match dialect {
        Dialect::DuckDb => format!("decode(unhex('{hex}'))"),
        Dialect::Spark => format!("decode(unhex('{hex}'), 'UTF-8')"),
        Dialect::ClickHouse => format!("unhex('{hex}')"),
        Dialect::Sqlite => format!("CAST(x'{hex}' AS TEXT)"),
    }
}

/// A literal of bytes.
fn bytes(bytes: &[u8], dialect: Dialect) -> String {
    let hex = hex(bytes);
    match dialect {
        Dialect::DuckDb | Dialect::ClickHouse => format!("unhex('{hex}')"),
        Dialect::Spark => format!("X'{hex}'"),
        Dialect::Sqlite => format!("x'{hex}'"),
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sql(text: &str, dialect: Dialect) -> String {
        Filter::parse(text).unwrap().to_sql(&Schema::flows(dialect)).unwrap()
    }

    #[test]
    fn a_filter_is_one_condition_that_is_never_unknown() {
        assert_eq!(
            sql("tcp and not dport {80, 443, 8000:8100}", Dialect::DuckDb),
            r#"(("ip_proto" IS NOT NULL AND "ip_proto" = 6) AND NOT ("dst_port" IS NOT NULL AND ("dst_port" IN (80, 443) OR "dst_port" BETWEEN 8000 AND 8100)))"#
        );
        assert_eq!(
            sql("state {S0, REJ} or duration > 5s", Dialect::Spark),
            "((`state` IS NOT NULL AND `state` IN ('S0', 'REJ')) OR (`duration_ns` IS NOT NULL AND `duration_ns` >= 5000000001))"
        );
        assert_eq!(
            sql("src 10.0.0.0/8", Dialect::ClickHouse),
            "(`src_ip` IS NOT NULL AND `src_ip` BETWEEN unhex('00000000000000000000ffff0a000000') AND unhex('00000000000000000000ffff0affffff'))"
        );
        assert_eq!(
            sql("vlan 5", Dialect::Sqlite),
            r#"("vlan" IS NOT NULL AND EXISTS (SELECT 1 FROM json_each("vlan") WHERE value = 5))"#
        );
        for dialect in [Dialect::DuckDb, Dialect::Sqlite] {
            assert_eq!(
                sql("start 2026-11-20T10:03 and end < 1970-01-01", dialect),
                r#"(("start_ns" IS NOT NULL AND "start_ns" BETWEEN 1795168980000000000 AND 1795169039999999999) AND ("end_ns" IS NOT NULL AND "end_ns" <= -1))"#
            );
        }
        assert_eq!(sql("all", Dialect::Spark), "TRUE");
        assert_eq!(sql("sport 0:65535", Dialect::Sqlite), r#"("src_port" IS NOT NULL)"#);
        assert_eq!(sql("bytes > 18446744073709551614", Dialect::Sqlite), "FALSE");
    }

    #[test]
    fn no_value_ends_a_literal_and_no_name_an_identifier() {
        for dialect in [Dialect::DuckDb, Dialect::Spark, Dialect::ClickHouse, Dialect::Sqlite] {
            let text = sql(r#"process {"' OR 1=1 --", "a\\b", "é\"", "nginx: worker"}"#, dialect);
            assert_eq!(text.matches("OR").count(), 0, "{text}");
            assert!(text.contains("'nginx: worker'") && text.is_ascii() && !text.contains('\\'), "{text}");
        }
        let odd = |dialect| {
            let schema = Schema::new(dialect).with(Field::Pid, "a\"`\\b");
            Filter::parse("pid 1").unwrap().to_sql(&schema).unwrap()
        };
        assert!(odd(Dialect::DuckDb).starts_with(r#"("a""`\b" IS"#));
        assert!(odd(Dialect::Spark).starts_with(r#"(`a"``\b` IS"#));
        assert!(odd(Dialect::ClickHouse).starts_with(r#"(`a"\`\\b` IS"#));
    }

    #[test]
    fn a_field_that_stored_flows_lack_is_an_error_at_its_place() {
        let error = Filter::parse("tcp and syn").unwrap().to_sql(&Schema::flows(Dialect::DuckDb)).unwrap_err();
        assert_eq!(
            error.to_string(),
            "filter:1:9: stored flows have no `flags`; `state` says what became of a connection: `state S0` is a SYN without a reply"
        );
    }

    #[test]
    fn long_chains_stay_shallow() {
        let filter = format!("pid 1{}", " or rtt > 1ms".repeat(4_000));
        let text = sql(&filter, Dialect::Sqlite);
        let deepest = text.chars().scan(0_usize, |depth, c| {
            *depth = match c {
                '(' => *depth + 1,
                ')' => *depth - 1,
                _ => *depth,
            };
            Some(*depth)
        });
        assert!(deepest.max() <= Some(4));
    }
}
