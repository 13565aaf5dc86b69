"""DuckDB, Polars and deltalake read the tables where they lie and agree with LatentDB."""

from __future__ import annotations

from pathlib import Path

import deltalake
import duckdb
import polars
import psycopg
import pyarrow.compute as pc
import pytest
from duckdb_extensions import import_extension

from harness import Database

# Per table: what is counted and summed, as SQL that all of them understand.
SUMS = {
    "features": ['"index"', "density", "max_activation"],
    "activations": ['"index"', "rank", "max_value"],
    "contexts": [],
    "explanations": ['"index"'],
    "models": [],
    "sources": ["n_prompts"],
    "written": ["a", "b"],
}


@pytest.fixture(scope="module")
def closed(tmp_path_factory) -> Database:
    """A database with the sample, and a table that saw inserts, an update, a delete and an optimize."""
    database = Database(tmp_path_factory.mktemp("in-place") / "db")
    database.import_sample()
    with database.serve() as server, psycopg.connect(server.dsn, autocommit=True) as connection:
        connection.execute("CREATE TABLE written (a bigint, b double precision, c text)")
        for start in range(0, 500, 100):
            connection.execute(
                "INSERT INTO written SELECT i, i * 0.5, 'row ' || i FROM generate_series(%s::bigint, %s::bigint) AS s(i)",
                (start, start + 99),
            )
        connection.execute("UPDATE written SET b = b + 1000 WHERE a % 10 = 3")
        connection.execute("DELETE FROM written WHERE a < 50")
        connection.execute("OPTIMIZE written")
        connection.execute("INSERT INTO written VALUES (1000, 1, 'last')")
    return database


@pytest.fixture(scope="module")
def expected(closed) -> dict[str, tuple]:
    with closed.serve() as server, psycopg.connect(server.dsn, autocommit=True) as connection:
        return {table: connection.execute(_query(table, table)).fetchone() for table in SUMS}


@pytest.fixture(scope="module")
def duck():
    import_extension("delta")
    connection = duckdb.connect()
    connection.load_extension("delta")
    return connection


def _query(table: str, source: str) -> str:
    return "SELECT " + ", ".join(["count(*)", *(f"sum({column})" for column in SUMS[table])]) + f" FROM {source}"


def _path(database: Database, table: str) -> Path:
    """Where a table lies, found by its transaction log."""
    (found,) = [log.parent for log in Path(database.location).rglob("_delta_log") if log.parent.name == table]
    return found


@pytest.mark.parametrize("table", SUMS)
def test_duckdb_agrees(closed, expected, duck, table):
    found = duck.sql(_query(table, f"delta_scan('{_path(closed, table)}')")).fetchone()
    assert found == pytest.approx(expected[table])


@pytest.mark.parametrize("table", SUMS)
def test_polars_agrees(closed, expected, table):
    frame = polars.read_delta(str(_path(closed, table)))
    found = (len(frame), *(frame[column.strip('"')].cast(polars.Float64).sum() for column in SUMS[table]))
    assert found == pytest.approx(expected[table])


@pytest.mark.parametrize("table", SUMS)
def test_deltalake_agrees(closed, expected, table):
    data = deltalake.DeltaTable(_path(closed, table)).to_pyarrow_table()
    found = (data.num_rows, *(pc.sum(data[column.strip('"')].cast("float64")).as_py() for column in SUMS[table]))
    assert found == pytest.approx(expected[table])


def test_lists_and_comments_arrive(closed, sample):
    table = deltalake.DeltaTable(_path(closed, "features"))
    comments = {field.name: field.metadata.get("comment") for field in table.schema().fields}
    assert comments["density"] == "Fraction of tokens on which the feature is active, 0 to 1"
    rows = table.to_pyarrow_table().to_pylist()
    logits = {row["index"]: row["top_logit_tokens"] for row in rows if row["source_id"] == sample.source}
    assert logits == {int(feature["index"]): feature["pos_str"] for feature in sample.features}


def test_older_versions_are_read_by_others_too(closed):
    path = _path(closed, "written")
    history = deltalake.DeltaTable(path).history()
    assert len(history) >= 8, "every write is a version"
    earlier = deltalake.DeltaTable(path, version=deltalake.DeltaTable(path).version() - 1)
    assert deltalake.DeltaTable(path).to_pyarrow_table().num_rows == earlier.to_pyarrow_table().num_rows + 1
