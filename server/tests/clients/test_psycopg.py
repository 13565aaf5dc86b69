"""psycopg 3: text and binary results, parameters, cursors, pipeline, COPY, transactions."""

from __future__ import annotations

import datetime
import math
from decimal import Decimal

import psycopg
import pytest
from psycopg import sql
from psycopg.rows import dict_row

VALUES = """SELECT true AS b, 7::int2 AS i2, 41 AS i4, 5000000000 AS i8, 1.5::real AS f4, 0.1::double precision AS f8,
    1.25::numeric(10, 2) AS n, 'naïve ☃' AS t, DATE '2026-11-23' AS d,
    TIMESTAMP '2026-11-23 01:02:03.456789' AS ts, TIMESTAMPTZ '2026-11-23 01:02:03.5+00' AS tz,
    ARRAY[1, 2, NULL] AS ints, ARRAY['a', 'b,"c"', NULL] AS texts, ARRAY[1.5, 2.5]::real[] AS reals,
    NULL::text AS nothing"""


@pytest.mark.parametrize("binary", [False, True], ids=["text", "binary"])
def test_values_of_every_type_arrive(connection, binary):
    row = connection.cursor(row_factory=dict_row, binary=binary).execute(VALUES).fetchone()
    assert row == {
        "b": True,
        "i2": 7,
        "i4": 41,
        "i8": 5_000_000_000,
        "f4": 1.5,
        "f8": 0.1,
        "n": Decimal("1.25"),
        "t": "naïve ☃",
        "d": datetime.date(2026, 11, 23),
        "ts": datetime.datetime(2026, 11, 23, 1, 2, 3, 456789),
        "tz": datetime.datetime(2026, 11, 23, 1, 2, 3, 500000, datetime.UTC),
        "ints": [1, 2, None],
        "texts": ["a", 'b,"c"', None],
        "reals": [1.5, 2.5],
        "nothing": None,
    }


@pytest.mark.parametrize("binary", [False, True], ids=["text", "binary"])
def test_special_floats_arrive(connection, binary):
    row = connection.cursor(binary=binary).execute("SELECT 'NaN'::float8, 'Infinity'::float8, '-Infinity'::real").fetchone()
    assert math.isnan(row[0]) and row[1:] == (math.inf, -math.inf)


@pytest.mark.parametrize("format", ["%s", "%t", "%b"])
def test_parameters_in_every_format(connection, scratch, format):
    values = (1, "O'Brien ☃", 0.1, ["x", None, "y,z"])
    connection.execute(f"INSERT INTO {scratch} VALUES ({', '.join([format] * 4)})", values)
    assert connection.execute(f"SELECT * FROM {scratch} WHERE id = {format}", (1,)).fetchone() == values


def test_array_parameters_filter(connection, sample):
    wanted = [0, 3, 5]
    found = connection.execute(
        f"SELECT index FROM features WHERE {sample.filter} AND index = ANY(%s) ORDER BY index", (wanted,)
    ).fetchall()
    assert [index for (index,) in found] == wanted


def test_null_parameter(connection):
    assert connection.execute("SELECT %s::int IS NULL", (None,)).fetchone() == (True,)


def test_features_equal_the_imported_files(connection, sample):
    found = connection.execute(
        "SELECT index, density, max_activation, top_logit_tokens, top_logits FROM features "
        "WHERE model_id = %s AND source_id = %s",
        (sample.model, sample.source),
    ).fetchall()
    by_index = {row[0]: row for row in found}
    assert len(found) == len(by_index) == len(sample.features)
    for feature in sample.features:
        _, density, maximum, tokens, logits = by_index[int(feature["index"])]
        assert density == pytest.approx(feature["frac_nonzero"])
        assert maximum == pytest.approx(feature["maxActApprox"])
        assert tokens == feature["pos_str"]
        assert logits == pytest.approx(feature["pos_values"])


def test_activation_records_equal_the_imported_files(connection, sample):
    index = int(sample.features[0]["index"])
    expected = sorted((record["tokens"], record["values"]) for record in sample.activations_of(index))
    found = connection.execute(
        "SELECT tokens, acts FROM activation_records WHERE model_id = %s AND source_id = %s AND index = %s",
        (sample.model, sample.source, index),
    ).fetchall()
    assert len(found) == len(expected)
    for (tokens, acts), (expected_tokens, expected_acts) in zip(sorted(found), expected):
        assert tokens == expected_tokens
        assert acts == pytest.approx(expected_acts)


@pytest.mark.parametrize("binary", [False, True], ids=["text", "binary"])
def test_server_side_cursor_reads_in_batches(server, binary):
    with psycopg.connect(server.dsn) as connection:
        with connection.cursor(name="many rows", binary=binary) as cursor:
            cursor.itersize = 1000
            cursor.execute("SELECT i, 'row ' || i FROM generate_series(1, %s) AS s(i) ORDER BY i", (10_500,))
            assert cursor.fetchone() == (1, "row 1")
            assert cursor.fetchmany(2) == [(2, "row 2"), (3, "row 3")]
            assert [row[0] for row in cursor] == list(range(4, 10_501))


def test_pipeline_keeps_statements_apart(connection, scratch):
    with connection.pipeline():
        for number in range(50):
            connection.execute(f"INSERT INTO {scratch} (id) VALUES (%s)", (number,))
        counted = connection.execute(f"SELECT count(*), sum(id) FROM {scratch}")
    assert counted.fetchone() == (50, sum(range(50)))


def test_pipeline_error_spares_the_connection(connection):
    with pytest.raises(psycopg.errors.UndefinedTable):
        with connection.pipeline():
            connection.execute("SELECT 1")
            connection.execute("SELECT * FROM no_such_table")
            connection.execute("SELECT 2")
    assert connection.execute("SELECT 3").fetchone() == (3,)


def test_prepared_statement_sees_later_rows(connection, scratch):
    query = f"SELECT count(*) FROM {scratch} WHERE id >= %s"
    for number in range(10):
        assert connection.execute(query, (0,), prepare=True).fetchone() == (number,)
        connection.execute(f"INSERT INTO {scratch} (id) VALUES (%s)", (number,), prepare=True)


def test_executemany_inserts_all(connection, scratch):
    rows = [(number, f"name {number}", number / 2, [str(number)]) for number in range(100)]
    with connection.cursor() as cursor:
        cursor.executemany(f"INSERT INTO {scratch} VALUES (%s, %s, %s, %s)", rows)
        assert cursor.rowcount == len(rows)
    assert connection.execute(f"SELECT * FROM {scratch} ORDER BY id").fetchall() == rows


def test_rowcount_and_command_tags(connection, scratch):
    def run(statement: str) -> tuple[int, str]:
        cursor = connection.execute(statement)
        return cursor.rowcount, cursor.statusmessage

    assert run(f"INSERT INTO {scratch} (id, score) VALUES (1, 1), (2, 2), (3, 3)") == (3, "INSERT 0 3")
    assert run(f"UPDATE {scratch} SET score = score * 10 WHERE id >= 2") == (2, "UPDATE 2")
    assert run(f"DELETE FROM {scratch} WHERE id = 1") == (1, "DELETE 1")
    assert run(f"SELECT * FROM {scratch}") == (2, "SELECT 2")
    assert connection.execute(f"SELECT sum(score) FROM {scratch}").fetchone() == (50,)


def test_on_conflict_updates_or_keeps(connection, scratch):
    connection.execute(f"INSERT INTO {scratch} (id, name) VALUES (1, 'old'), (2, 'old')")
    connection.execute(
        f"INSERT INTO {scratch} (id, name) VALUES (2, 'new'), (3, 'new') "
        "ON CONFLICT (id) DO UPDATE SET name = EXCLUDED.name"
    )
    connection.execute(f"INSERT INTO {scratch} (id, name) VALUES (1, 'newer') ON CONFLICT (id) DO NOTHING")
    found = connection.execute(f"SELECT id, name FROM {scratch} ORDER BY id").fetchall()
    assert found == [(1, "old"), (2, "new"), (3, "new")]


def test_copy_from_and_to_a_client(connection, scratch):
    rows = [(1, "tab\tnewline\nbackslash\\", 0.5, ["a", "b"]), (2, None, None, None), (3, "", 1e300, [])]
    with connection.cursor() as cursor:
        with cursor.copy(f"COPY {scratch} FROM STDIN") as copy:
            for row in rows:
                copy.write_row(row)
        assert cursor.rowcount == 3
        with cursor.copy(f"COPY (SELECT * FROM {scratch} ORDER BY id) TO STDOUT") as copy:
            copy.set_types(["int8", "text", "float8", "text[]"])
            assert list(copy.rows()) == rows


def test_binary_copy_out(connection):
    with connection.cursor() as cursor:
        with cursor.copy(
            "COPY (SELECT i::bigint AS n, 'row ' || i AS t FROM generate_series(1, 3) AS s(i)) TO STDOUT (FORMAT binary)"
        ) as copy:
            copy.set_types(["int8", "text"])
            assert list(copy.rows()) == [(1, "row 1"), (2, "row 2"), (3, "row 3")]


def test_aborted_copy_leaves_nothing(connection, scratch):
    class Aborted(Exception):
        pass

    with pytest.raises(Aborted):
        with connection.cursor().copy(f"COPY {scratch} FROM STDIN") as copy:
            for number in range(10_000):
                copy.write_row((number, "x", 0.0, []))
            raise Aborted
    assert connection.execute(f"SELECT count(*) FROM {scratch}").fetchone() == (0,)


def test_malformed_copy_names_the_line_and_leaves_nothing(connection, scratch):
    with pytest.raises(psycopg.Error) as caught:
        with connection.cursor().copy(f"COPY {scratch} (id, name) FROM STDIN") as copy:
            copy.write(b"1\tgood\n2\tgood\nthree\tbad\n")
    assert caught.value.sqlstate in ("22P02", "22P04", "22023")
    assert "3" in str(caught.value), "the message names line 3"
    assert connection.execute(f"SELECT count(*) FROM {scratch}").fetchone() == (0,)


def test_transaction_commits_and_rolls_back(server, connection, scratch):
    def count() -> int:
        return connection.execute(f"SELECT count(*) FROM {scratch}").fetchone()[0]

    with psycopg.connect(server.dsn) as other:
        other.execute(f"INSERT INTO {scratch} (id) VALUES (1)")
        assert other.execute(f"SELECT count(*) FROM {scratch}").fetchone() == (1,), "a transaction sees its own rows"
        assert count() == 0, "others do not see them before the commit"
        other.rollback()
        assert count() == 0
        other.execute(f"INSERT INTO {scratch} (id) VALUES (2)")
        other.execute(f"INSERT INTO {scratch} (id) VALUES (3)")
        other.commit()
        assert count() == 2


def test_failed_transaction_refuses_work_until_rollback(server, scratch):
    with psycopg.connect(server.dsn) as connection:
        connection.execute(f"INSERT INTO {scratch} (id) VALUES (1)")
        with pytest.raises(psycopg.errors.UndefinedTable):
            connection.execute("SELECT * FROM no_such_table")
        assert connection.info.transaction_status == psycopg.pq.TransactionStatus.INERROR
        with pytest.raises(psycopg.errors.InFailedSqlTransaction):
            connection.execute("SELECT 1")
        connection.rollback()
        assert connection.execute(f"SELECT count(*) FROM {scratch}").fetchone() == (0,)


def test_a_transaction_reads_one_snapshot(server, connection, scratch):
    with psycopg.connect(server.dsn) as reader:
        assert reader.execute(f"SELECT count(*) FROM {scratch}").fetchone() == (0,)
        connection.execute(f"INSERT INTO {scratch} (id) VALUES (1)")
        assert reader.execute(f"SELECT count(*) FROM {scratch}").fetchone() == (0,)
        reader.commit()
        assert reader.execute(f"SELECT count(*) FROM {scratch}").fetchone() == (1,)


@pytest.mark.parametrize(
    ("statement", "error"),
    [
        ("SELEC 1", psycopg.errors.SyntaxError),
        ("SELECT * FROM no_such_table", psycopg.errors.UndefinedTable),
        ("SELECT no_such_column FROM features", psycopg.errors.UndefinedColumn),
        ("SELECT no_such_function(1)", psycopg.errors.UndefinedFunction),
        ("SET no_such_setting = 1", psycopg.errors.UndefinedObject),
        ("CREATE TABLE features (a int)", psycopg.errors.DuplicateTable),
    ],
)
def test_errors_have_their_sqlstate(connection, statement, error):
    with pytest.raises(error):
        connection.execute(statement)
    assert connection.execute("SELECT 1").fetchone() == (1,)


def test_settings_and_identity(server):
    with psycopg.connect(server.dsn, application_name="notebook", autocommit=True) as connection:
        assert connection.execute("SHOW application_name").fetchone() == ("notebook",)
        assert connection.execute("SELECT current_user, current_database(), current_schema()").fetchone() == (
            "latentdb",
            "latentdb",
            "public",
        )
        assert connection.info.encoding == "utf-8"
        assert connection.info.server_version >= 140000
        assert "LatentDB" in connection.execute("SELECT version()").fetchone()[0]
        connection.execute("SET TIME ZONE 'Europe/Paris'")
        assert connection.info.parameter_status("TimeZone") == "Europe/Paris"


def test_identifiers_are_quoted(connection):
    name = sql.Identifier('odd "name"')
    connection.execute(sql.SQL("CREATE TABLE {} ({} int)").format(name, sql.Identifier("Select")))
    connection.execute(sql.SQL("INSERT INTO {} VALUES (1)").format(name))
    assert connection.execute(sql.SQL('SELECT "Select" FROM {}').format(name)).fetchone() == (1,)
    connection.execute(sql.SQL("DROP TABLE {}").format(name))
