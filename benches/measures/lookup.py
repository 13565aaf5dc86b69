"""One feature's dashboard by key: the feature and its activations, two statements as a web server would send them.

Both sides take turns, key by key, so that a busy machine slows both. `first` is the first time a feature is asked for
since the server started: Postgres has its pages in its buffers then, because it was loaded and analysed just before;
LatentDB has nothing. All others are warm: every feature was asked for before. `libpq` is the time until the binary result
has arrived; `binary` and `text` add what psycopg needs to turn it into Python objects.
"""

from __future__ import annotations

import http.client
import random

import psycopg
from psycopg import pq

from report import Row
from setting import Setting
from synthetic import MODEL, SOURCE
from timing import Timings, load

ROUNDS = 300
WARM_UP = 20

OURS = (
    "SELECT * FROM features WHERE model_id = {} AND source_id = {} AND index = {}",
    "SELECT * FROM activation_records WHERE model_id = {} AND source_id = {} AND index = {} ORDER BY rank",
)
POSTGRES = (
    'SELECT * FROM "Neuron" WHERE "modelId" = {} AND layer = {} AND "index" = {}',
    'SELECT * FROM "Activation" WHERE "modelId" = {} AND layer = {} AND "index" = {} ORDER BY "maxValue" DESC',
)


def measure(setting: Setting) -> list[Row]:
    chance = random.Random(7)
    indices = [chance.randrange(setting.data.features) for _ in range(WARM_UP + ROUNDS)]
    rows = []
    with setting.server() as server, server.connect() as ours, setting.postgres.connect() as theirs:
        readers = ("first, libpq", Libpq()), ("libpq", Libpq()), ("binary", Objects(True)), ("text", Objects(False))
        for label, reader in readers:
            before = load()
            read_ours, read_theirs = reader.prepare(ours, OURS, int), reader.prepare(theirs, POSTGRES, str)
            our_times, their_times = Timings(), Timings()
            for index in indices:
                counts = our_times.time(lambda: read_ours(index)), their_times.time(lambda: read_theirs(index))
                if counts[0] != counts[1]:
                    raise AssertionError(f"feature {index}: {counts[0]} rows here, {counts[1]} in Postgres")
            rows += _percentiles(label, our_times, their_times, {"load": [before, load()], "lookups": ROUNDS})
        rows += _page(server.http, indices)
    return rows


def _percentiles(label: str, ours: Timings, theirs: Timings | None, notes: dict) -> list[Row]:
    for times in filter(None, (ours, theirs)):
        del times.seconds[:WARM_UP]
    p50 = Row("lookup", f"{label}, p50", "ms", ours.p50 * 1e3, theirs and theirs.p50 * 1e3, notes=notes)
    p99 = Row("lookup", f"{label}, p99", "ms", ours.p99 * 1e3, theirs and theirs.p99 * 1e3)
    return [p50, p99]


class Objects:
    """Rows as Python objects, through statements prepared in the server."""

    def __init__(self, binary: bool):
        self.binary = binary

    def prepare(self, connection: psycopg.Connection, statements: tuple[str, ...], key: type):
        cursor = connection.cursor(binary=self.binary)
        texts = [statement.format("%s", "%s", "%s") for statement in statements]

        def read(index: int) -> list[int]:
            return [
                len(cursor.execute(text, (MODEL, SOURCE, key(index)), prepare=True).fetchall()) for text in texts
            ]

        return read


class Libpq:
    """The binary result as libpq holds it, without turning it into Python objects."""

    def prepare(self, connection: psycopg.Connection, statements: tuple[str, ...], key: type):
        for number, statement in enumerate(statements):
            connection.pgconn.close_prepared(f"bench{number}".encode())
            answer = connection.pgconn.prepare(f"bench{number}".encode(), statement.format("$1", "$2", "$3").encode())
            _check(answer, pq.ExecStatus.COMMAND_OK)

        def read(index: int) -> list[int]:
            counts = []
            for number in range(len(statements)):
                values = [MODEL.encode(), SOURCE.encode(), str(index).encode()]
                answer = connection.pgconn.exec_prepared(f"bench{number}".encode(), values, result_format=1)
                counts.append(_check(answer, pq.ExecStatus.TUPLES_OK).ntuples)
            return counts

        return read


def _check(answer: pq.abc.PGresult, expected: pq.ExecStatus) -> pq.abc.PGresult:
    if answer.status != expected:
        raise RuntimeError(answer.error_message.decode())
    return answer


def _page(address: str, indices: list[int]) -> list[Row]:
    try:
        return _percentiles("GET /api/feature", _http(address, indices), None, {"lookups": ROUNDS})
    except RuntimeError as error:  # a finding, not a reason to lose the figures above
        return [Row("lookup", "GET /api/feature (failed)", "ms", None, None, notes={"error": str(error)})]


def _http(address: str, indices: list[int]) -> Timings:
    times = Timings()
    connection = http.client.HTTPConnection(address)
    for index in indices:
        times.time(lambda: _get(connection, f"/api/feature/{MODEL}/{SOURCE}/{index}"))
    connection.close()
    return times


def _get(connection: http.client.HTTPConnection, path: str) -> bytes:
    connection.request("GET", path)
    response = connection.getresponse()
    body = response.read()
    if response.status != 200:
        raise RuntimeError(f"{path}: {response.status} {body[:200]!r}")
    return body
