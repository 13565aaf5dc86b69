"""Statements stop when they should: cancelled, timed out, or left by their client."""

from __future__ import annotations

import statistics
import subprocess
import threading
import time

import psycopg
import pytest
import requests

from harness import Database, wait_until
from wire import Wire

# Each runs for well over ten seconds if nothing stops it.
LONG = {
    "sleep": "SELECT pg_sleep(10)",
    "count": "SELECT count(*) FROM generate_series(1, 1000000) a CROSS JOIN generate_series(1, 1000000) b",
    "aggregate": "SELECT a % 7, count(*), sum(a * b) FROM generate_series(1, 1000000) x(a) "
    "CROSS JOIN generate_series(1, 1000000) y(b) GROUP BY 1",
    "sort": "SELECT a FROM generate_series(1, 100000) x(a) CROSS JOIN generate_series(1, 100000) y(b) ORDER BY a + b DESC",
    "rows": "SELECT a, b FROM generate_series(1, 100000) x(a) CROSS JOIN generate_series(1, 100000) y(b)",
}

pytestmark = pytest.mark.timeout(60)


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """A server of this module's own: a query that does not stop must not slow other tests."""
    with Database(tmp_path_factory.mktemp("stopping") / "db").serve() as running:
        yield running


def seconds_to_stop(server, statement: str) -> float:
    """Runs `statement`, cancels it half a second in, and gives the time from cancel to its end."""
    with psycopg.connect(server.dsn, autocommit=True) as connection:
        cancelled_at: list[float] = []

        def cancel() -> None:
            cancelled_at.append(time.monotonic())
            connection.cancel_safe()

        timer = threading.Timer(0.5, cancel)
        timer.start()
        with pytest.raises(psycopg.errors.QueryCanceled):
            for _ in connection.cursor().stream(statement, size=1000):
                pass
        ended_at = time.monotonic()
        timer.join()
        assert connection.execute("SELECT 1").fetchone() == (1,), "the connection lives on"
        return ended_at - cancelled_at[0]


@pytest.mark.parametrize("kind", LONG)
def test_a_ten_second_query_stops_within_200_ms_of_cancel(server, kind):
    taken = [seconds_to_stop(server, LONG[kind]) for _ in range(3)]
    assert statistics.median(taken) < 0.2, taken


@pytest.mark.parametrize("kind", ["sleep", "count", "rows"])
def test_statement_timeout_stops_execution(server, kind):
    with psycopg.connect(server.dsn, autocommit=True) as connection:
        connection.execute("SET statement_timeout = '500ms'")
        start = time.monotonic()
        with pytest.raises(psycopg.errors.QueryCanceled, match="statement timeout"):
            for _ in connection.cursor().stream(LONG[kind], size=1000):
                pass
        assert time.monotonic() - start < 0.5 + 0.5
        connection.execute("RESET statement_timeout")
        assert connection.execute("SELECT 1").fetchone() == (1,)


def test_ctrl_c_in_psql_stops_the_query(server):
    process = subprocess.Popen(
        ["psql", "--no-psqlrc", server.dsn, "--command", LONG["count"]],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    time.sleep(1)
    process.send_signal(subprocess.signal.SIGINT)
    output, _ = process.communicate(timeout=5)
    assert "canceling statement due to user request" in output


@pytest.mark.parametrize("kind", ["sleep", "count", "rows"])
@pytest.mark.parametrize("protocol", ["simple", "extended"])
def test_a_vanished_client_stops_its_query(server, connection, kind, protocol):
    name = f"vanishing {kind} {protocol}"

    def running() -> bool:
        found = connection.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE application_name = %s AND state = 'active'", (name,)
        )
        return found.fetchone()[0] > 0

    wire = Wire(server, application_name=name)
    (wire.query if protocol == "simple" else wire.query_extended)(LONG[kind])
    wait_until(running, 5, "the query shows in pg_stat_activity")
    wire.close()
    wait_until(lambda: not running(), 2, "the query of the vanished client ends")
    _assert_idle(server)


def test_a_vanished_http_client_stops_its_query(server):
    with pytest.raises(requests.Timeout):
        requests.post(f"{server.http}/v1/sql", json={"sql": LONG["aggregate"]}, timeout=0.5)
    time.sleep(1)
    _assert_idle(server)


def _assert_idle(server) -> None:
    """The server uses no processor any more: what it ran is stopped, not only forgotten."""
    def idle() -> bool:
        before = server.cpu_seconds()
        time.sleep(0.5)
        return server.cpu_seconds() - before < 0.2

    wait_until(idle, 15, "the server stops computing")


@pytest.mark.parametrize("function", ["pg_cancel_backend", "pg_terminate_backend"])
def test_another_session_stops_a_statement_by_its_number(server, function):
    with psycopg.connect(server.dsn, autocommit=True) as watcher:
        connection = psycopg.connect(server.dsn, autocommit=True)
        number = connection.info.backend_pid
        timer = threading.Timer(0.3, lambda: watcher.execute(f"SELECT {function}(%s)", (number,)))
        timer.start()
        start = time.monotonic()
        with pytest.raises(psycopg.Error) as caught:
            connection.execute(LONG["sleep"])
        assert time.monotonic() - start < 2
        timer.join()
        if function == "pg_cancel_backend":
            assert caught.value.sqlstate == "57014"
            assert connection.execute("SELECT 1").fetchone() == (1,), "the connection lives on"
        else:
            wait_until(lambda: connection.closed or _is_gone(connection), 2, "the connection ends")
        assert watcher.execute(f"SELECT {function}(2147483647)").fetchone() == (False,)


def _is_gone(connection: psycopg.Connection) -> bool:
    try:
        connection.execute("SELECT 1")
    except psycopg.OperationalError:
        return True
    return False
