"""`kill -9` at random moments: what was acknowledged is there, nothing else is visible, `check` is clean."""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

import psycopg
import pytest

from harness import SAMPLE, Database, Server, until_gone
from sample import read_records

ROUNDS = int(os.environ.get("LATENTDB_CRASH_ROUNDS", "50"))
SEED = int(os.environ.get("LATENTDB_CRASH_SEED", random.randrange(2**32)))
BATCH_ROWS = 5


@dataclass
class Ledger:
    """What the clients were told, and what they had asked for when the server died."""

    acknowledged: set[tuple[int, int]] = field(default_factory=set)
    pending: set[tuple[int, int]] = field(default_factory=set)
    counter: int = 0
    pending_counter: int | None = None
    next_batch: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def begin_batch(self, writer: int) -> tuple[int, int]:
        with self.lock:
            self.next_batch += 1
            self.pending.add((writer, self.next_batch))
            return writer, self.next_batch

    def acknowledge(self, batch: tuple[int, int]) -> None:
        with self.lock:
            self.pending.discard(batch)
            self.acknowledged.add(batch)

    def verify(self, connection: psycopg.Connection) -> None:
        """Compares with the reopened database; what was pending is settled by what is found."""
        found = connection.execute("SELECT writer, batch, count(*) FROM ledger GROUP BY writer, batch").fetchall()
        batches = {(writer, batch) for writer, batch, _ in found}
        assert not self.acknowledged - batches, "acknowledged inserts are lost"
        assert not batches - self.acknowledged - self.pending, "rows that nobody wrote"
        assert all(count == BATCH_ROWS for _, _, count in found), "a statement or transaction is there in part"
        self.acknowledged, self.pending = batches, set()

        values = {value for (value,) in connection.execute("SELECT DISTINCT value FROM counters").fetchall()}
        assert len(values) == 1, f"an update is there in part: {values}"
        (value,) = values
        assert value in (self.counter, self.pending_counter), f"counter {value}, acknowledged {self.counter}"
        assert connection.execute("SELECT count(*) FROM counters").fetchone() == (10,)
        self.counter, self.pending_counter = value, None


class Workload:
    """Clients that insert, update and optimize until their server is gone."""

    def __init__(self, server: Server, ledger: Ledger):
        self.server, self.ledger = server, ledger
        self.unexpected: list[Exception] = []
        jobs = [lambda c: self.insert(c, 1), lambda c: self.insert_in_transaction(c, 2), self.update, self.optimize]
        self.threads = [threading.Thread(target=self._run, args=(job,)) for job in jobs]
        for thread in self.threads:
            thread.start()

    def _run(self, job) -> None:
        until_gone(self.server, job, self.unexpected)

    def insert(self, connection: psycopg.Connection, writer: int) -> None:
        batch = self.ledger.begin_batch(writer)
        connection.execute("INSERT INTO ledger SELECT %s, %s, i FROM generate_series(1, %s) AS s(i)", (*batch, BATCH_ROWS))
        self.ledger.acknowledge(batch)

    def insert_in_transaction(self, connection: psycopg.Connection, writer: int) -> None:
        batch = self.ledger.begin_batch(writer)
        with connection.transaction():
            connection.execute("INSERT INTO ledger VALUES (%s, %s, 1), (%s, %s, 2)", batch * 2)
            connection.execute("INSERT INTO ledger SELECT %s, %s, i FROM generate_series(3, %s) AS s(i)", (*batch, BATCH_ROWS))
        self.ledger.acknowledge(batch)

    def update(self, connection: psycopg.Connection) -> None:
        self.ledger.pending_counter = self.ledger.counter + 1
        connection.execute("UPDATE counters SET value = %s", (self.ledger.pending_counter,))
        self.ledger.counter, self.ledger.pending_counter = self.ledger.pending_counter, None

    def optimize(self, connection: psycopg.Connection) -> None:
        connection.execute("OPTIMIZE ledger")
        time.sleep(0.05)

    def join(self) -> None:
        for thread in self.threads:
            thread.join(20)
        assert not self.unexpected, self.unexpected


@pytest.fixture
def exports(tmp_path: Path, sample) -> dict[tuple[int, int], Path]:
    """Two versions of one source, by their counts of features and activations."""
    smaller = tmp_path / "smaller"
    shutil.copytree(SAMPLE, smaller)
    for batch in smaller.rglob("batch-*"):
        if not batch.name.startswith("batch-0."):
            batch.unlink()
    (batch,) = smaller.rglob("features/batch-0.jsonl.gz")
    kept = {int(feature["index"]) for feature in read_records(batch.parent)}
    assert 0 < len(kept) < len(sample.features)
    activations = [record for record in sample.activations if int(record["index"]) in kept]
    return {
        (len(sample.features), len(sample.activations)): SAMPLE,
        (len(kept), len(activations)): smaller,
    }


def _imported(connection: psycopg.Connection) -> tuple[int, int]:
    return connection.execute(
        "SELECT (SELECT count(*) FROM features), (SELECT count(*) FROM activation_records)"
    ).fetchone()


@pytest.mark.timeout(900)
def test_kill_9_loses_nothing_acknowledged_and_shows_nothing_else(database: Database, exports):
    chance = random.Random(SEED)
    print(f"LATENTDB_CRASH_SEED={SEED}")
    ledger = Ledger()
    sizes = list(exports)

    started = time.monotonic()
    database.run("import", "neuronpedia", str(exports[sizes[0]]))
    import_seconds = time.monotonic() - started
    allowed = {sizes[0]}
    with database.serve() as server, psycopg.connect(server.dsn, autocommit=True) as connection:
        connection.execute("CREATE TABLE ledger (writer int, batch bigint, item bigint)")
        connection.execute("CREATE TABLE counters (id bigint, value bigint)")
        connection.execute("INSERT INTO counters SELECT i, 0 FROM generate_series(1, 10) AS s(i)")

    kills_during = {"import": 0, "statements": 0}
    for number in range(ROUNDS):
        if number % 3 == 2:
            (before,) = allowed
            after = sizes[1 - sizes.index(before)]
            allowed = {before, after}
            importing = database.start("import", "neuronpedia", str(exports[after]), "--replace")
            try:
                importing.communicate(timeout=chance.uniform(0, import_seconds))
            except subprocess.TimeoutExpired:
                importing.kill()
                importing.communicate()
            kills_during["import"] += importing.returncode == -9
        else:
            server = database.serve()
            workload = Workload(server, ledger)
            time.sleep(chance.uniform(0.05, 0.8))
            server.kill()
            workload.join()
            kills_during["statements"] += 1

        checked = database.run("check", check=False)
        assert checked.returncode == 0, f"round {number}: {checked.stdout}{checked.stderr}"
        with database.serve() as server, psycopg.connect(server.dsn, autocommit=True) as connection:
            ledger.verify(connection)
            found = _imported(connection)
            assert found in allowed, f"round {number}: {found} is neither before nor after the import {allowed}"
            allowed = {found}

    assert len(ledger.acknowledged) > ROUNDS, "the rounds wrote something"
    assert ledger.counter > 0
    assert kills_during["statements"] > 0 and (kills_during["import"] > 0 or ROUNDS < 20), kills_during


def test_a_killed_import_can_be_run_again(database: Database, sample):
    started = time.monotonic()
    database.import_sample(SAMPLE)
    seconds = time.monotonic() - started

    again = Database(Path(database.location).with_name("again"))
    importing = again.start("import", "neuronpedia", str(SAMPLE))
    time.sleep(seconds * 0.6)
    importing.kill()
    importing.communicate()
    again.run("import", "neuronpedia", str(SAMPLE), "--replace")
    with again.serve() as server, psycopg.connect(server.dsn) as connection:
        assert _imported(connection) == (len(sample.features), len(sample.activations))
