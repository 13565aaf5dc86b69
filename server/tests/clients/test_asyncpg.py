"""asyncpg: binary results, type introspection, prepared statements, cursors, COPY."""

from __future__ import annotations

import asyncio
import datetime
import io

import asyncpg
import pytest


def with_connection(server, work):
    async def run():
        connection = await asyncpg.connect(server.dsn, timeout=30)
        try:
            return await work(connection)
        finally:
            await connection.close()

    return asyncio.run(run())


def test_values_arrive(server):
    async def work(connection):
        return await connection.fetchrow(
            "SELECT $1::int AS i, $2::text AS t, $3::float8 AS f, $4::timestamptz AS ts, $5::int[] AS a, $6::text[] AS b",
            7, "☃", 0.5, datetime.datetime(2026, 11, 23, tzinfo=datetime.UTC), [1, None, 3], ["x", 'y"'],
        )  # fmt: skip

    row = with_connection(server, work)
    assert tuple(row) == (7, "☃", 0.5, datetime.datetime(2026, 11, 23, tzinfo=datetime.UTC), [1, None, 3], ["x", 'y"'])


def test_array_columns_arrive(server, sample):
    async def work(connection):
        return await connection.fetch(
            "SELECT index, top_logit_tokens, top_logits FROM features WHERE model_id = $1 AND source_id = $2 ORDER BY index",
            sample.model,
            sample.source,
        )

    found = with_connection(server, work)
    expected = sorted(sample.features, key=lambda feature: int(feature["index"]))
    assert [list(row["top_logit_tokens"]) for row in found] == [feature["pos_str"] for feature in expected]


def test_unknown_types_are_introspected(server):
    """asyncpg asks pg_type for types it has no codec for; the query must be answered."""

    async def work(connection):
        await connection.reload_schema_state()
        return await connection.fetchval("SELECT oid::regclass::text FROM pg_class WHERE relname = 'features'")

    assert with_connection(server, work) == "features"


def test_prepared_statement_and_its_attributes(server):
    async def work(connection):
        statement = await connection.prepare("SELECT index, description FROM explanations WHERE index > $1")
        names = [(attribute.name, attribute.type.name) for attribute in statement.get_attributes()]
        parameters = [parameter.name for parameter in statement.get_parameters()]
        await statement.fetch(3)
        return names, parameters

    assert with_connection(server, work) == ([("index", "int4"), ("description", "text")], ["int4"])


def test_cursor_reads_in_batches(server):
    async def work(connection):
        async with connection.transaction():
            cursor = connection.cursor("SELECT i FROM generate_series(1, 3000) AS s(i) ORDER BY i", prefetch=100)
            return [row[0] async for row in cursor]

    assert with_connection(server, work) == list(range(1, 3001))


def test_executemany_and_transactions(server, scratch):
    async def work(connection):
        async with connection.transaction():
            await connection.executemany(
                f"INSERT INTO {scratch} (id, name, tags) VALUES ($1, $2, $3)", [(n, f"n{n}", [str(n)]) for n in range(20)]
            )
        with pytest.raises(ZeroDivisionError):
            async with connection.transaction():
                await connection.execute(f"DELETE FROM {scratch}")
                raise ZeroDivisionError
        return await connection.fetchval(f"SELECT count(*) FROM {scratch}")

    assert with_connection(server, work) == 20


def test_copy_csv_in_and_out(server, scratch):
    async def work(connection):
        status = await connection.copy_to_table(
            scratch, source=io.BytesIO(b"1,one\n2,two\n"), columns=["id", "name"], format="csv"
        )
        out = io.BytesIO()
        await connection.copy_from_query(f"SELECT id, name FROM {scratch} ORDER BY id", output=out, format="csv")
        return status, out.getvalue()

    assert with_connection(server, work) == ("COPY 2", b"1,one\n2,two\n")


def test_binary_copy_in_works_or_names_the_remedy(server, scratch):
    async def work(connection):
        try:
            await connection.copy_records_to_table(scratch, records=[(1, "one"), (2, "two")], columns=["id", "name"])
        except asyncpg.FeatureNotSupportedError as error:
            assert "csv" in f"{error} {error.hint}", "the refusal names a format that works"
            assert await connection.fetchval("SELECT 1") == 1
            return None
        return await connection.fetchval(f"SELECT count(*) FROM {scratch}")

    assert with_connection(server, work) in (None, 2)


def test_errors_have_their_class(server):
    async def work(connection):
        with pytest.raises(asyncpg.UndefinedTableError):
            await connection.fetch("SELECT * FROM no_such_table")
        with pytest.raises(asyncpg.PostgresSyntaxError):
            await connection.fetch("SELEC 1")
        return await connection.fetchval("SELECT 1")

    assert with_connection(server, work) == 1


def test_timeout_cancels_the_statement(server):
    async def work(connection):
        with pytest.raises(asyncio.TimeoutError):
            await connection.fetch("SELECT pg_sleep(10)", timeout=0.3)
        return await connection.fetchval("SELECT 1")

    assert with_connection(server, work) == 1


def test_pool_resets_connections(server):
    """A pool sends RESET ALL, CLOSE ALL and UNLISTEN * before it lends a connection again."""

    async def run():
        async with asyncpg.create_pool(server.dsn, min_size=1, max_size=3) as pool:
            for _ in range(3):
                async with pool.acquire() as connection:
                    await connection.execute("SET application_name = 'borrowed'")
            return await asyncio.gather(*(pool.fetchval("SELECT $1::int", number) for number in range(10)))

    assert asyncio.run(run()) == list(range(10))
