"""`kill -9` while indexes are built and merged: the next start answers right, with and without them."""

from __future__ import annotations

import os
import random
import threading
import time
from pathlib import Path

import psycopg
import pytest

from harness import Database, Server, until_gone

ROUNDS = int(os.environ.get("LATENTDB_INDEX_CRASH_ROUNDS", "8"))
SEED = int(os.environ.get("LATENTDB_CRASH_SEED", random.randrange(2**32)))
WORDS = ["cat", "dog", "mat", "list", "loop", "error", "string", "trait", "macro", "vector"]
INDEXES = {
    "notes_words": "USING text (body)",
    "notes_near": "USING vector (place) WITH (metric = 'l2', m = 4, ef_construction = 20)",
}


class Writers:
    """Clients that add rows, rewrite them, and make indexes anew, until their server is gone."""

    def __init__(self, server: Server, chance: random.Random, first: int):
        self.server, self.chance, self.next = server, chance, first
        self.acknowledged = 0
        self.unexpected: list[Exception] = []
        self.threads = [threading.Thread(target=self._run, args=(job,)) for job in (self._insert, self._index)]
        for thread in self.threads:
            thread.start()

    def _run(self, job) -> None:
        until_gone(self.server, job, self.unexpected)

    def _insert(self, connection: psycopg.Connection) -> None:
        rows = []
        for _ in range(200):
            self.next += 1
            body = " ".join(self.chance.choices(WORDS, k=6))
            rows.append(f"({self.next}, '{body}', '[{self.chance.random()}, {self.chance.random()}]'::vector)")
        connection.execute(f"INSERT INTO notes VALUES {', '.join(rows)}")
        self.acknowledged += len(rows)

    def _index(self, connection: psycopg.Connection) -> None:
        name = self.chance.choice(list(INDEXES))
        connection.execute(f"DROP INDEX IF EXISTS {name}")
        connection.execute(f"CREATE INDEX {name} ON notes {INDEXES[name]}")
        time.sleep(self.chance.uniform(0, 0.5))

    def join(self) -> None:
        for thread in self.threads:
            thread.join(20)
        assert not self.unexpected, self.unexpected


def _answers(connection: psycopg.Connection) -> list:
    connection.execute("SET latentdb.vector_ef = 1000")  # as wide as makes a graph of so few vectors exact
    queries = [
        "SELECT count(*) FROM notes WHERE body @@ 'cat -dog'",
        "SELECT id, bm25(body) FROM notes WHERE body @@ 'trait OR macro' ORDER BY bm25(body) DESC, id LIMIT 20",
        "SELECT id FROM notes ORDER BY place <-> '[0.4, 0.6]', id LIMIT 10",
    ]
    return [connection.execute(query).fetchall() for query in queries]


@pytest.mark.timeout(600)
def test_kill_9_during_a_build_or_merge_leaves_right_answers(tmp_path: Path):
    chance = random.Random(SEED)
    print(f"LATENTDB_CRASH_SEED={SEED}")
    database = Database(tmp_path / "db")
    database.run("sql", "CREATE TABLE notes (id bigint PRIMARY KEY, body text, place vector(2))")
    rows = 0
    for number in range(ROUNDS):
        server = database.serve()
        writers = Writers(server, chance, first=1_000_000 * (number + 1))
        time.sleep(chance.uniform(0.3, 3.5))
        server.kill()
        writers.join()
        with database.serve() as server, psycopg.connect(server.dsn, autocommit=True) as connection:
            (found,) = connection.execute("SELECT count(*) FROM notes").fetchone()
            assert rows + writers.acknowledged <= found <= rows + writers.acknowledged + 200, f"round {number}"
            rows = found
            with_indexes = _answers(connection)
            connection.execute("SET latentdb.use_indexes = off")
            assert with_indexes == _answers(connection), f"round {number}"
    assert rows > 200 * ROUNDS, "the rounds wrote something"
    with database.serve() as server, psycopg.connect(server.dsn, autocommit=True) as connection:
        for name, definition in INDEXES.items():
            connection.execute(f"DROP INDEX IF EXISTS {name}")
            connection.execute(f"CREATE INDEX {name} ON notes {definition}")
        with_indexes = _answers(connection)
        connection.execute("SET latentdb.use_indexes = off")
        assert with_indexes == _answers(connection)
    left = [path.name for path in Path(database.location).rglob("*.draft")]
    assert not left, f"what a killed builder left was not swept: {left}"
