//! Random filters over random packets: the bound masks, a naive walk over the tree, the normal form, the printed text
//! and the SQL text give the same answer; a widened filter never loses a packet.
#![allow(clippy::unwrap_used, reason = "a test")]

#[allow(dead_code, reason = "each test takes its part")]
mod random;

use std::io::Write;
use std::process::{Command, Stdio};
use std::sync::Arc;

use flowcore::resolve::Numeric;
use flowcore::wire::Layers;
use flowcore::{FlowEvent, Frames, Resolver};
use flowfilter::ast::{Condition, Expr, Item, Subject, Test};
use flowfilter::field::{FIELDS, Kind};
use flowfilter::sql::{Dialect, Schema};
use flowfilter::{Field, FieldSet, Filter, Predicate};
use random::{Random, Values, asked, event, expr, holds, values};
use rusqlite::types::Value;
use rusqlite::{Connection, params_from_iter};

const FILTERS: usize = 4_000;
const PACKETS: usize = 256;

/// The same packets as rows, run by SQLite.
struct Rows {
    connection: Connection,
    schema: Schema,
    insert: String,
    fields: Vec<Field>,
}

impl Rows {
    fn new() -> Self {
        let connection = Connection::open_in_memory().unwrap();
        let name = |field: Field| format!("the \"{}\"", field.name());
        let fields = asked();
        let columns: Vec<String> = fields.iter().map(|&field| name(field).replace('"', "\"\"")).collect();
        connection.execute_batch(&format!("CREATE TABLE packets (\"{}\")", columns.join("\", \""))).unwrap();
        let insert = format!(
            "INSERT INTO packets (rowid, \"{}\") VALUES (?{})",
            columns.join("\", \""),
            ", ?".repeat(columns.len())
        );
        let schema = fields.iter().fold(Schema::new(Dialect::Sqlite), |all, &field| all.with(field, name(field)));
        Self { connection, schema, insert, fields }
    }

    fn fill(&self, events: &[FlowEvent], frames: &Frames<'_>) {
        self.connection.execute_batch("DELETE FROM packets; BEGIN").unwrap();
        let mut insert = self.connection.prepare_cached(&self.insert).unwrap();
        for (place, event) in events.iter().enumerate() {
            let cells = self.fields.iter().map(|&field| cell(field, event, frames.layers(event)));
            let row = std::iter::once(Value::Integer(place as i64)).chain(cells);
            insert.execute(params_from_iter(row)).unwrap();
        }
        self.connection.execute_batch("COMMIT").unwrap();
    }

    /// Whether each row passes.
    fn select(&self, filter: &Filter) -> Vec<bool> {
        let condition = filter.to_sql(&self.schema).unwrap();
        let text = format!("SELECT {condition} FROM packets ORDER BY rowid");
        let mut select = self.connection.prepare(&text).unwrap_or_else(|error| panic!("{error}\n{filter}\n{text}"));
        let rows = select.query_map([], |row| row.get::<_, Option<bool>>(0)).unwrap();
        rows.map(|row| row.unwrap().unwrap_or_else(|| panic!("unknown is no answer: {text}"))).collect()
    }
}

/// A field as it is stored; some absent lists as empty ones.
fn cell(field: Field, event: &FlowEvent, side: Option<&Layers>) -> Value {
    let def = field.def();
    match (values(field, event, side), def.kind) {
        (Values::Addr(addr), _) => addr.map_or(Value::Null, |addr| Value::Blob(addr.octets().to_vec())),
        (Values::Numbers(numbers), kind) if def.several => {
            let shown = |number: &u64| match kind {
                Kind::Word(words) => format!("\"{}\"", words[*number as usize]),
                _ => number.to_string(),
            };
            let listed: Vec<String> = numbers.iter().map(shown).collect();
            let absent = numbers.is_empty() && event.bytes > 1000;
            if absent { Value::Null } else { Value::Text(format!("[{}]", listed.join(","))) }
        }
        (Values::Numbers(numbers), kind) => match (numbers.first(), kind) {
            (None, Kind::Flag) if event.bytes > 1000 => Value::Integer(0),
            (None, _) => Value::Null,
            (Some(number), Kind::Mac) => Value::Blob(number.to_be_bytes()[2..].to_vec()),
            (Some(number), Kind::Time) => Value::Integer((i128::from(*number) + i128::from(i64::MIN)) as i64),
            (Some(number), _) => Value::Integer(i64::try_from(*number).unwrap()),
        },
    }
}

#[test]
fn a_million_pairs_agree_however_they_are_evaluated() {
    let mut random = Random(20_261_121);
    let names: Arc<dyn Resolver> = Arc::new(Numeric);
    let rows = Rows::new();
    let (mut selected, mut pairs, mut longest) = (0_u64, 0_u64, 0);
    for round in 0..FILTERS {
        let mut layers = Vec::new();
        let events: Vec<FlowEvent> = (0..PACKETS).map(|_| event(&mut random, &mut layers)).collect();
        let frames = Frames::new(&[], &layers);
        let filter = Filter::from_expr(expr(&mut random, 4));
        let text = filter.to_string();
        longest = longest.max(text.len());
        let again = Filter::parse(&text).unwrap_or_else(|error| panic!("{round}: {}", error.render(false)));
        assert_eq!(again, filter, "{round}: print and parse give another tree");
        let normal = filter.normal();
        // Conjunctive forms can be longer than what may be written.
        let normal_again = match normal.to_string() {
            long if long.len() > flowfilter::MAX_TEXT => normal.clone(),
            text => Filter::parse(&text).unwrap_or_else(|error| panic!("{round}: {}", error.render(false))),
        };
        let known = FieldSet::of(FIELDS.iter().map(|def| def.field).filter(|_| random.chance(2)));
        let wider = filter.widen(known);
        assert!(wider.fields().without(known).is_empty(), "{wider} of {filter}");
        let [exact, as_normal, as_wider]: [Predicate<FlowEvent>; 3] =
            [&filter, &normal_again, &wider].map(|filter| filter.bind(&names).unwrap());
        rows.fill(&events, &frames);
        let mut by_sql = rows.select(&filter).into_iter();
        for chunk in events.chunks(64) {
            let mask = exact.mask(chunk, &frames);
            assert_eq!(mask, as_normal.mask(chunk, &frames), "{filter}\nnormal: {normal}");
            assert_eq!(mask & !as_wider.mask(chunk, &frames), 0, "{filter}\nwider: {wider}");
            for (place, event) in chunk.iter().enumerate() {
                let naive = holds(filter.expr(), event, frames.layers(event));
                assert_eq!(mask >> place & 1 == 1, naive, "{filter}\n{event:?}\n{:?}", frames.layers(event));
                assert_eq!(exact.matches(event, &frames), naive);
                assert_eq!(by_sql.next(), Some(naive), "{filter}\n{}\n{event:?}", filter.to_sql(&rows.schema).unwrap());
                selected += u64::from(naive);
                pairs += 1;
            }
        }
    }
    assert!(pairs >= 1_000_000 && selected > pairs / 5 && selected < pairs * 4 / 5, "{selected} of {pairs}");
    assert!(longest > 500, "{longest}");
}

/// Algebra that normal forms must see through.
#[test]
fn equal_filters_keep_equal_normal_forms() {
    let mut random = Random(7);
    let normal = |expr: Expr| Filter::from_expr(expr).normal().to_string();
    for _ in 0..2_000 {
        let [a, b, c] = [0, 1, 1].map(|depth| expr(&mut random, depth));
        let both = |left: &Expr, right: &Expr| Expr::and([left.clone(), right.clone()]);
        let either = |left: &Expr, right: &Expr| Expr::or([left.clone(), right.clone()]);
        let not = |inner: &Expr| Expr::not(inner.clone());
        assert_eq!(normal(both(&a, &b)), normal(both(&b, &a)));
        assert_eq!(normal(either(&a, &b)), normal(either(&b, &a)));
        assert_eq!(normal(not(&both(&a, &b))), normal(either(&not(&a), &not(&b))));
        assert_eq!(normal(not(&not(&a))), normal(a.clone()));
        assert_eq!(normal(both(&a, &a)), normal(a.clone()));
        assert_eq!(normal(both(&a, &either(&a, &b))), normal(a.clone()), "absorption of {a} / {b}");
        assert_eq!(normal(both(&a, &not(&a))), "none");
        assert_eq!(normal(either(&a, &not(&a))), "all");
        assert_eq!(normal(both(&a, &both(&b, &c))), normal(both(&both(&a, &b), &c)));
    }
}

/// Names of processes are anybody's: what looks like SQL is a name, and selects the row that has it.
#[test]
fn texts_of_any_kind_select_their_own_row() {
    let odd = [
        "nginx",
        "' OR 1=1 --",
        "it's",
        "\"",
        "a\\",
        "\\'; DROP TABLE flows; --",
        "é\u{200b}",
        "",
        " ",
        "x\ny",
        "\u{1}",
        "NULL",
        "%",
        "`",
    ];
    let connection = Connection::open_in_memory().unwrap();
    connection.execute_batch("CREATE TABLE flows (process TEXT)").unwrap();
    for name in odd {
        connection.execute("INSERT INTO flows VALUES (?1)", [name]).unwrap();
    }
    connection.execute_batch("INSERT INTO flows VALUES (NULL)").unwrap();
    let schema = Schema::flows(Dialect::Sqlite);
    let selected = |condition: Condition| -> Vec<String> {
        let test = Test { subject: Subject::One(Field::Process), condition };
        let condition = Filter::from_expr(test.into()).to_sql(&schema).unwrap();
        let mut select = connection.prepare(&format!("SELECT process FROM flows WHERE {condition}")).unwrap();
        select.query_map([], |row| row.get(0)).unwrap().map(|row| row.unwrap()).collect()
    };
    for name in odd {
        assert_eq!(selected(Condition::In(vec![Item::Text(name.into())])), [name]);
        assert_eq!(selected(Condition::NotIn(vec![Item::Text(name.into())])).len(), odd.len() - 1, "{name:?}");
    }
}

/// The other dialects by the databases themselves: `FLOW_SQL_PYTHON` names a Python that has `duckdb` and `chdb`.
#[test]
fn duckdb_and_clickhouse_select_the_same_rows() {
    let Some(python) = std::env::var_os("FLOW_SQL_PYTHON") else {
        let words = "no DuckDB or ClickHouse is asked: FLOW_SQL_PYTHON names no Python that has them\n";
        let _ = std::io::stderr().write_all(words.as_bytes());
        return;
    };
    let mut random = Random(26);
    let mut layers = Vec::new();
    let events: Vec<FlowEvent> = (0..PACKETS).map(|_| event(&mut random, &mut layers)).collect();
    let frames = Frames::new(&[], &layers);
    let fields = asked();
    let schema = |dialect| {
        let start = Schema::new(dialect).with(Field::Process, "process");
        fields.iter().fold(start, |all, &field| all.with(field, field.name()))
    };
    let kind = |field: &Field| match (field.kind(), field.def().several) {
        (Kind::Addr, _) => "addr",
        (Kind::Mac, _) => "mac",
        (Kind::Word(_), true) => "words",
        (_, true) => "numbers",
        (Kind::Flag, _) => "flag",
        (Kind::Time, _) => "time",
        _ => "number",
    };
    let quoted = |text: &str| format!("{text:?}");
    let mut lines = Vec::new();
    let columns = fields.iter().map(|field| format!("[{:?}, {:?}]", field.name(), kind(field)));
    lines.push(format!("[{}]", columns.collect::<Vec<_>>().join(",")));
    let rows = events.iter().map(|event| {
        let cells = fields.iter().map(|&field| match cell(field, event, frames.layers(event)) {
            Value::Integer(number) => number.to_string(),
            Value::Text(list) => list,
            Value::Blob(bytes) => quoted(&bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>()),
            _ => "null".to_owned(),
        });
        format!("[{}]", cells.collect::<Vec<_>>().join(","))
    });
    lines.push(format!("[{}]", rows.collect::<Vec<_>>().join(",")));
    for _ in 0..300 {
        let filter = Filter::from_expr(expr(&mut random, 3));
        let texts = [Dialect::DuckDb, Dialect::ClickHouse].map(|of| filter.to_sql(&schema(of)).unwrap());
        let expected = events.iter().map(|event| holds(filter.expr(), event, frames.layers(event)).to_string());
        lines.push(format!(
            "[{}, {}, [{}]]",
            quoted(&texts[0]),
            quoted(&texts[1]),
            expected.collect::<Vec<_>>().join(",")
        ));
    }
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/sql_peers.py");
    let mut child = Command::new(python).arg(script).stdin(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(lines.join("\n").as_bytes()).unwrap();
    assert!(child.wait().unwrap().success());
}
