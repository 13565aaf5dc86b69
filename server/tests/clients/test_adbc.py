"""ADBC's Postgres driver: Arrow in and out (it reads by binary COPY)."""

from __future__ import annotations

import adbc_driver_manager
import adbc_driver_postgresql.dbapi as adbc
import pyarrow
import pytest


@pytest.fixture
def cursor(server):
    with adbc.connect(server.dsn, autocommit=True) as connection, connection.cursor() as open_cursor:
        yield open_cursor


def test_results_arrive_as_arrow(cursor, sample):
    columns = "index, density, top_logit_tokens, top_logits, created_at"
    cursor.execute(f"SELECT {columns} FROM features WHERE {sample.filter} ORDER BY index")
    table = cursor.fetch_arrow_table()
    assert table.schema.types[:2] == [pyarrow.int32(), pyarrow.float64()]
    assert table.num_rows == len(sample.features)
    expected = sorted(sample.features, key=lambda feature: int(feature["index"]))
    assert table["top_logit_tokens"].to_pylist() == [feature["pos_str"] for feature in expected]


def test_parameters_bind(cursor):
    cursor.execute("SELECT $1::bigint + 1 AS n", (41,))
    assert cursor.fetchone() == (42,)


def test_objects_are_listed(server):
    with adbc.connect(server.dsn) as connection:
        catalogs = connection.adbc_get_objects(depth="columns", catalog_filter="latentdb").read_all().to_pylist()
        tables = {
            table["table_name"]: [column["column_name"] for column in table["table_columns"]]
            for catalog in catalogs
            for schema in catalog["catalog_db_schemas"]
            if schema["db_schema_name"] == "public"
            for table in schema["db_schema_tables"]
        }
    assert "features" in tables and "density" in tables["features"]


def test_table_schema_is_told(server):
    with adbc.connect(server.dsn) as connection:
        schema = connection.adbc_get_table_schema("features")
    assert schema.field("index").type == pyarrow.int32()
    assert schema.field("top_logits").type.value_type == pyarrow.float32()


def test_transactions_roll_back(server, scratch):
    with adbc.connect(server.dsn) as connection, connection.cursor() as cursor:
        cursor.execute(f"INSERT INTO {scratch} (id) VALUES (1)")
        connection.rollback()
        cursor.execute(f"SELECT count(*) FROM {scratch}")
        assert cursor.fetchone() == (0,)


def test_errors_have_their_sqlstate(cursor):
    with pytest.raises(adbc_driver_manager.Error) as caught:
        cursor.execute("SELECT * FROM no_such_table")
    assert caught.value.sqlstate == "42P01"
