"""One server over the imported sample for all tests that only need a database to talk to."""

from __future__ import annotations

import itertools
from pathlib import Path

import psycopg
import pytest

from harness import Database, Server
from sample import Sample, read_sample

_numbers = itertools.count(1)


@pytest.fixture(scope="session")
def sample() -> Sample:
    return read_sample()


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory):
    """A server over a database that holds the sample exports."""
    database = Database(tmp_path_factory.mktemp("shared") / "db")
    database.import_sample()
    with database.serve() as running:
        yield running


@pytest.fixture
def database(tmp_path: Path) -> Database:
    """A database of the test's own; nothing is in it yet."""
    return Database(tmp_path / "db")


@pytest.fixture
def connection(server: Server):
    with psycopg.connect(server.dsn, autocommit=True) as open_connection:
        yield open_connection


@pytest.fixture
def scratch(connection: psycopg.Connection):
    """Name of an empty table (id bigint, name text, score double precision, tags text[]) of the test's own."""
    table = f"scratch_{next(_numbers)}"
    connection.execute(
        f"CREATE TABLE {table} (id bigint PRIMARY KEY, name text, score double precision, tags text[])"
    )
    yield table
    connection.execute(f"DROP TABLE {table}")
