"""Two processes and one database: one writes, the other reads or is refused clearly."""

from __future__ import annotations

import psycopg
import pytest

from harness import SAMPLE


@pytest.fixture
def served(database):
    with database.serve() as running:
        with psycopg.connect(running.dsn, autocommit=True) as connection:
            connection.execute("CREATE TABLE shared (a int)")
            connection.execute("INSERT INTO shared VALUES (1)")
        yield running


def test_a_second_server_is_refused(database, served):
    refused = database.run("serve", "--pg", "127.0.0.1:0", "--http", "127.0.0.1:0", check=False, timeout=30)
    assert refused.returncode == 1
    assert database.location in refused.stderr, "the message names the database"
    assert str(served.process.pid) in refused.stderr, "and the process that holds it"


def test_a_second_writer_is_refused_and_changes_nothing(database, served):
    refused = database.run("sql", "INSERT INTO shared VALUES (2)", check=False)
    assert refused.returncode == 1
    assert "read-only" in refused.stderr
    with psycopg.connect(served.dsn) as connection:
        assert connection.execute("SELECT count(*) FROM shared").fetchone() == (1,)


def test_a_second_process_reads_what_the_first_wrote(database, served):
    read = database.run("sql", "SELECT count(*) AS n FROM shared", "--format", "csv")
    assert read.stdout.split() == ["n", "1"]


def test_an_import_beside_a_server_is_refused(database, served):
    refused = database.run("import", "neuronpedia", str(SAMPLE), check=False)
    assert refused.returncode == 1 and database.location in refused.stderr


def test_the_lock_goes_with_its_process(database):
    with database.serve() as first:
        first.kill()
    with database.serve() as second:
        with psycopg.connect(second.dsn, autocommit=True) as connection:
            connection.execute("CREATE TABLE after_the_crash (a int)")
