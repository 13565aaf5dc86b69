"""Measures text search in SQL beside Postgres (tsvector, GIN, ts_rank) and DuckDB (fts), on made-up explanations. See README.md.

    python search_texts.py --latentdb ../target/release/latentdb --out results/NAME.json

The best ten of each query, one connection, one query at a time; nobody stems or drops words.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import duckdb
import duckdb_extension_fts
import made_up_texts
from latentdb import LatentDB
from peers.postgres import SETTINGS, Postgres
from report import Row, print_table, write_json
from timing import Timings, load

K = 10
# Words of a query, and whether all have to be there.
KINDS = [(1, True), (2, True), (2, False), (3, True), (3, False)]

Search = Callable[[list[str], bool], list[int]]


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--latentdb", type=Path, required=True, help="the binary")
    parser.add_argument("--texts", type=int, default=1_000_000)
    parser.add_argument("--queries", type=int, default=50, help="of each kind")
    parser.add_argument("--out", type=Path, help="JSON file for the figures")
    parser.add_argument("--work", type=Path, default=Path(tempfile.gettempdir()) / "latentdb-bench",
                        help="where the texts are kept, and the databases while it runs; user postgres must reach it")  # fmt: skip
    return parser.parse_args()


def main() -> int:
    asked = arguments()
    file = made_up_texts.write(asked.work / f"texts-{asked.texts}.csv", asked.texts)
    folder = asked.work / "search-texts"
    shutil.rmtree(folder, ignore_errors=True)
    ours = LatentDB(asked.latentdb.resolve(), folder / "latentdb")
    rows: list[Row] = []
    with ours.serve() as server, server.connect() as connection, Postgres(folder / "postgres") as postgres:
        built = {
            "LatentDB": load_latentdb(connection, file),
            "Postgres": load_postgres(postgres, file),
            "DuckDB": load_duckdb(duck := duckdb.connect(str(folder / "duckdb")), file),
        }
        searches = {"LatentDB": latentdb(connection), "Postgres": postgresql(postgres), "DuckDB": duckdb_fts(duck)}
        facts = {
            "taken": datetime.now(UTC).isoformat(timespec="seconds"),
            "data": {"texts": asked.texts, "vocabulary": made_up_texts.VOCABULARY, "words": made_up_texts.WORDS},
            "versions": {"latentdb": f"{ours.version()} ({asked.latentdb.resolve().parent.name} build)",
                         "postgres": postgres.version(), "duckdb": version("duckdb")},
            "postgres_settings": SETTINGS,
            "machine": {"cores": os.cpu_count(), "load_at_start": load()},
        }  # fmt: skip
        for peer in ("Postgres", "DuckDB"):
            for what in ("rows", "index"):
                rows.append(Row(peer, f"{what} [{asked.texts:,} texts]", "s", built["LatentDB"][what], built[peer][what]))
        for words, all_of_them in KINDS:
            rows += compare(searches, words, all_of_them, asked.queries)
    print_table(rows)
    if asked.out:
        write_json(asked.out, facts, rows)
    shutil.rmtree(folder)
    return 0


def compare(searches: dict[str, Search], words: int, all_of_them: bool, count: int) -> list[Row]:
    """Asks all sides the same queries in turn; each query once without the clock."""
    timings = {name: Timings() for name in searches}
    found = dict.fromkeys(searches, 0)
    for query in made_up_texts.queries(words, count):
        for name, search in searches.items():
            search(query, all_of_them)
            found[name] += len(timings[name].time(lambda search=search: search(query, all_of_them)))
    kind = f"{words} word{'s' * (words > 1)}{('', ', AND' if all_of_them else ', OR')[words > 1]}"
    ours = timings.pop("LatentDB")
    return [
        Row(peer, f"{kind}, {name}", "ms", getattr(ours, name) * 1000, getattr(theirs, name) * 1000, notes={"found": found})
        for peer, theirs in timings.items()
        for name in ("p50", "p99")
    ]


def timed(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def copy_in(connection, file: Path) -> None:
    statement = "COPY texts (id, description) FROM STDIN (FORMAT csv)"
    with connection.cursor().copy(statement) as copy, file.open("rb") as lines:
        while part := lines.read(1 << 20):
            copy.write(part)


def load_latentdb(connection, file: Path) -> dict[str, float]:
    connection.execute("CREATE TABLE texts (id bigint PRIMARY KEY, description text NOT NULL)")
    return {
        "rows": timed(lambda: copy_in(connection, file)),
        "index": timed(lambda: connection.execute("CREATE INDEX texts_words ON texts USING text (description)")),
    }


def load_postgres(postgres: Postgres, file: Path) -> dict[str, float]:
    with postgres.connect() as connection:
        connection.execute("""CREATE TABLE texts (id bigint PRIMARY KEY, description text NOT NULL,
            words tsvector GENERATED ALWAYS AS (to_tsvector('simple', description)) STORED)""")
        rows = timed(lambda: copy_in(connection, file))
        index = timed(lambda: connection.execute("CREATE INDEX texts_words ON texts USING gin (words)"))
    postgres.settle()
    return {"rows": rows, "index": index}


def load_duckdb(connection: duckdb.DuckDBPyConnection, file: Path) -> dict[str, float]:
    extension = next(Path(duckdb_extension_fts.__file__).parent.rglob("fts.duckdb_extension"))
    connection.execute(f"LOAD '{extension}'")
    connection.execute("CREATE TABLE texts (id bigint, description text)")
    index = "PRAGMA create_fts_index('texts', 'id', 'description', stemmer = 'none', stopwords = 'none')"
    return {
        "rows": timed(lambda: connection.execute(f"COPY texts FROM '{file}' (FORMAT csv)")),
        "index": timed(lambda: connection.execute(index)),
    }


def latentdb(connection) -> Search:
    def search(words: list[str], all_of_them: bool) -> list[int]:
        query = (" " if all_of_them else " OR ").join(words)
        return connection.execute("SELECT id FROM text_search('texts', 'description', %s, 10)", [query]).fetchall()

    return search


def postgresql(postgres: Postgres) -> Search:
    connection = postgres.connect()
    statement = """SELECT id FROM texts, to_tsquery('simple', %s) AS query WHERE words @@ query
        ORDER BY ts_rank(words, query) DESC LIMIT 10"""

    def search(words: list[str], all_of_them: bool) -> list[int]:
        query = (" & " if all_of_them else " | ").join(words)
        return connection.execute(statement, [query]).fetchall()

    return search


def duckdb_fts(connection: duckdb.DuckDBPyConnection) -> Search:
    def search(words: list[str], all_of_them: bool) -> list[int]:
        statement = f"""SELECT id FROM
            (SELECT id, fts_main_texts.match_bm25(id, ?, conjunctive := {int(all_of_them)}) AS score FROM texts)
            WHERE score IS NOT NULL ORDER BY score DESC LIMIT 10"""
        return connection.execute(statement, [" ".join(words)]).fetchall()

    return search


if __name__ == "__main__":
    sys.exit(main())
