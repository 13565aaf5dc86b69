"""A result of a million rows: to psycopg as text and as binary, and as Arrow."""

from __future__ import annotations

import json
import urllib.request

import adbc_driver_postgresql.dbapi
import pyarrow.ipc

from report import Row
from setting import Setting
from timing import Timings, load

ROWS = 1_000_000
RUNS = 3

# Exports smaller than the result are gone through several times.
OURS = (
    "SELECT model_id, source_id, max_value, max_position, bin_min, bin_max "
    "FROM activations CROSS JOIN generate_series(1, {times}) LIMIT {rows}"
)
POSTGRES = (
    'SELECT "modelId", layer, "maxValue", "maxValueTokenIndex", "binMin", "binMax" '
    'FROM "Activation" CROSS JOIN generate_series(1, {times}) LIMIT {rows}'
)


def measure(setting: Setting) -> list[Row]:
    with setting.postgres.connect() as connection:
        stored = connection.execute('SELECT count(*) FROM "Activation"').fetchone()[0]
    times = -(-ROWS // stored)
    ours, theirs = _statement(OURS, times), _statement(POSTGRES, times)
    with setting.server() as server:
        sides = {
            "text": (lambda: _psycopg(server, ours, False), lambda: _psycopg(setting.postgres, theirs, False)),
            "binary": (lambda: _psycopg(server, ours, True), lambda: _psycopg(setting.postgres, theirs, True)),
            "Arrow (HTTP; Postgres: ADBC)": (lambda: _http(server.http, ours), lambda: _adbc(setting.postgres.dsn, theirs)),
        }  # fmt: skip
        return [_compare(label, *readers) for label, readers in sides.items()]


def _statement(text: str, times: int) -> str:
    if times == 1:
        text = text.replace(" CROSS JOIN generate_series(1, {times})", "")
    return text.format(times=times, rows=ROWS)


def _compare(label: str, ours, theirs) -> Row:
    before, our_times, their_times = load(), Timings(), Timings()
    for _ in range(RUNS):
        for times, read in ((our_times, ours), (their_times, theirs)):
            if (count := times.time(read)) != ROWS:
                raise AssertionError(f"{label}: {count} rows instead of {ROWS}")
    notes = {"load": [before, load()], "seconds": {"latentdb": our_times.seconds, "postgres": their_times.seconds}}
    return Row("rows", f"10^6 rows, {label}", "s", our_times.best, their_times.best, notes=notes)


def _psycopg(database, statement: str, binary: bool) -> int:
    with database.connect() as connection, connection.cursor(binary=binary) as cursor:
        return len(cursor.execute(statement).fetchall())


def _http(address: str, statement: str) -> int:
    request = urllib.request.Request(
        f"http://{address}/v1/sql",
        data=json.dumps({"sql": statement}).encode(),
        headers={"Content-Type": "application/json", "Accept": "application/vnd.apache.arrow.stream"},
    )
    with urllib.request.urlopen(request) as response:
        return pyarrow.ipc.open_stream(response).read_all().num_rows


def _adbc(dsn: str, statement: str) -> int:
    with adbc_driver_postgresql.dbapi.connect(dsn) as connection, connection.cursor() as cursor:
        cursor.execute(statement)
        return cursor.fetch_arrow_table().num_rows
