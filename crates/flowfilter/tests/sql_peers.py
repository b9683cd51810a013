"""Runs conditions over rows in DuckDB and ClickHouse; standard input: columns, rows, then [duckdb, clickhouse, expected]."""

import json
import sys

import duckdb
from chdb import session

TYPES = {
    "addr": ("BLOB", "Nullable(FixedString(16))"),
    "mac": ("BLOB", "Nullable(FixedString(6))"),
    "words": ("VARCHAR[]", "Array(String)"),
    "numbers": ("UBIGINT[]", "Array(UInt64)"),
    "flag": ("BOOLEAN", "Nullable(Bool)"),
    "time": ("BIGINT", "Nullable(Int64)"),
    "number": ("UBIGINT", "Nullable(UInt64)"),
}


def literal(kind, value, clickhouse):
    if value is None:
        return "[]" if clickhouse and kind in ("words", "numbers") else "NULL"
    if kind in ("addr", "mac"):
        return f"unhex('{value}')"
    if kind == "flag":
        return "true" if value else "false"
    return json.dumps(value).replace('"', "'") if isinstance(value, list) else str(value)


lines = [json.loads(line) for line in sys.stdin]
columns, rows, cases = lines[0], lines[1], lines[2:]
duck, click = duckdb.connect(), session.Session()
for clickhouse in (False, True):
    quote = "`" if clickhouse else '"'
    made = ", ".join(f"{quote}{name}{quote} {TYPES[kind][clickhouse]}" for name, kind in columns)
    values = ", ".join(
        "(" + ", ".join([str(place)] + [literal(kind, cell, clickhouse) for (_, kind), cell in zip(columns, row)]) + ")"
        for place, row in enumerate(rows)
    )
    if clickhouse:
        click.query(f"CREATE TABLE packets (place UInt64, {made}) ENGINE = Memory")
        click.query(f"INSERT INTO packets VALUES {values}")
    else:
        duck.execute(f"CREATE TABLE packets (place UBIGINT, {made})")
        duck.execute(f"INSERT INTO packets VALUES {values}")
for duck_text, click_text, expected in cases:
    wanted = [place for place, passes in enumerate(expected) if passes]
    query = "SELECT place FROM packets WHERE {} ORDER BY place"
    found = [place for (place,) in duck.execute(query.format(duck_text)).fetchall()]
    assert found == wanted, f"DuckDB: {duck_text}"
    found = [int(place) for place in str(click.query(query.format(click_text), "TSV")).split()]
    assert found == wanted, f"ClickHouse: {click_text}"
print(f"{len(cases)} filters over {len(rows)} rows", file=sys.stderr)
