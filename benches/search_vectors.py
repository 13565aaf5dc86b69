"""Measures vector search in SQL beside pgvector and DuckDB vss, on made-up vectors. See README.md.

    python search_vectors.py --latentdb ../target/release/latentdb --out results/NAME.json

Everyone builds an index of cosine distances with 16 links and an effort of 200, and is asked for the ten nearest of one query at a
time, on one connection. pgvector runs in the Postgres that the package pgserver brings. Figures are compared at the first width of
the walk that finds 95 %; all widths are in the JSON file.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import duckdb
import duckdb_extension_vss
import numpy as np
import pgserver
import pyarrow as pa
from latentdb import LatentDB
from peers.postgres import SETTINGS, Postgres
from report import Row, print_table, write_json
from timing import load
from vectors import EFFORT, K, LINKS, ROUNDS, WIDTHS, fastest, files, nearest

# For a million vectors: the index is in memory while it is built, and afterwards.
MEMORY = {"maintenance_work_mem": "4GB", "shared_buffers": "4GB"}
DISTANCE = "ORDER BY embedding <=> %s::vector LIMIT 10"


@dataclass
class Side:
    """A database with the vectors in it."""

    # Seconds that the rows took, and the index.
    rows: float
    index: float
    # Sets the width of walks; searches for what `parameter` makes of a query, which is the client's work and not timed.
    widen: Callable[[int], object]
    search: Callable[[object], list[int]]
    parameter: Callable[[np.ndarray], object]


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--latentdb", type=Path, required=True, help="the binary")
    parser.add_argument("--data", choices=["clustered", "random", "sentences"], default="clustered", help="as in vectors.py")
    parser.add_argument("--count", type=int, default=100_000)
    parser.add_argument("--dim", type=int, default=384)
    parser.add_argument("--clusters", type=int, default=300)
    parser.add_argument("--queries", type=int, default=200)
    parser.add_argument("--recall", type=float, default=0.95, help="at which sides are compared")
    parser.add_argument("--peer", choices=["pgvector", "DuckDB"], action="append", help="only this one; may be given again")
    parser.add_argument("--out", type=Path, help="JSON file for the figures")
    parser.add_argument("--work", type=Path, default=Path(tempfile.gettempdir()) / "latentdb-bench",
                        help="where the vectors are kept, and the databases while it runs; user postgres must reach it")  # fmt: skip
    return parser.parse_args()


def main() -> int:
    asked = arguments()
    data, queries = (np.load(path) for path in files(asked))
    truth = nearest(data, queries)
    folder = asked.work / "search-vectors"
    shutil.rmtree(folder, ignore_errors=True)
    ours = LatentDB(asked.latentdb.resolve(), folder / "latentdb")
    facts = {
        "taken": datetime.now(UTC).isoformat(timespec="seconds"),
        "data": {name: getattr(asked, name) for name in ("data", "count", "dim", "clusters", "queries")},
        "versions": {"latentdb": f"{ours.version()} ({asked.latentdb.resolve().parent.name} build)",
                     "duckdb": version("duckdb"), "pgserver": version("pgserver")},
        "postgres_settings": SETTINGS | MEMORY,
        "machine": {"cores": os.cpu_count(), "load_at_start": load()},
    }  # fmt: skip
    with latentdb(ours, data) as side:
        own = measure("LatentDB", side, queries, truth)
    rows: list[Row] = []
    for name in asked.peer or PEERS:
        with PEERS[name](folder, data) as side:
            rows += compare(name, asked.recall, own, measure(name, side, queries, truth))
    print_table(rows)
    if asked.out:
        write_json(asked.out, facts | {"latentdb": own}, rows)
    shutil.rmtree(folder)
    return 0


def measure(name: str, side: Side, queries: np.ndarray, truth: np.ndarray) -> dict:
    """The curve of one side: what walks of each width find, and how many queries a second they answer."""
    print(f"measuring {name} (load average {load()})", flush=True)
    asked = [side.parameter(query) for query in queries]
    searches = []
    for ef in WIDTHS:
        side.widen(ef)
        best, found = float("inf"), truth
        for _ in range(ROUNDS):
            start = time.perf_counter()
            found = [side.search(query) for query in asked]
            best = min(best, time.perf_counter() - start)
        recall = float(np.mean([len(set(a) & set(b)) / K for a, b in zip(found, truth, strict=True)]))
        searches.append({"ef": ef, "recall": recall, "queries_per_second": len(queries) / best})
        print(f"  width {ef:5}: recall {recall:.3f}, {len(queries) / best:,.0f} queries/s", flush=True)
        if recall > 0.999 or ef >= 1000:  # pgvector walks no wider than 1,000
            break
    return {"rows_seconds": side.rows, "build_seconds": side.index, "searches": searches}


def compare(name: str, recall: float, ours: dict, theirs: dict) -> list[Row]:
    best, peer = (fastest(side["searches"], recall) for side in (ours, theirs))
    speed = [best and best["queries_per_second"], peer and peer["queries_per_second"]]
    return [
        Row(name, f"searches that find {recall:.0%}", "queries/s", *speed, more_is_better=True, notes=theirs),
        Row(name, "index", "s", ours["build_seconds"], theirs["build_seconds"]),
        Row(name, "rows", "s", ours["rows_seconds"], theirs["rows_seconds"]),
    ]


def timed(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def text(vector: np.ndarray) -> str:
    return "[" + ",".join(f"{value:.7g}" for value in vector) + "]"


def copy_in(connection, lines: list[str]) -> None:
    with connection.cursor().copy("COPY items (id, embedding) FROM STDIN") as copy:
        for line in lines:
            copy.write(line)


def asking(connection) -> Callable[[object], list[int]]:
    statement = f"SELECT id FROM items {DISTANCE}"
    return lambda query: [row[0] for row in connection.execute(statement, [query], prepare=True)]


@contextmanager
def latentdb(ours: LatentDB, data: np.ndarray) -> Iterator[Side]:
    lines = [f"{number}\t{{{text(vector)[1:-1]}}}\n" for number, vector in enumerate(data)]
    index = f"""CREATE INDEX items_near ON items USING vector (embedding)
        WITH (metric = 'cosine', m = {LINKS}, ef_construction = {EFFORT})"""
    with ours.serve() as server, server.connect() as connection:
        connection.execute(f"CREATE TABLE items (id bigint PRIMARY KEY, embedding vector({data.shape[1]}))")
        rows = timed(lambda: copy_in(connection, lines))
        lines.clear()  # gigabytes, of a million vectors
        built = timed(lambda: connection.execute(index))
        widen = lambda ef: connection.execute(f"SET latentdb.vector_ef = {ef}")
        yield Side(rows, built, widen, asking(connection), text)


@contextmanager
def pgvector(folder: Path, data: np.ndarray) -> Iterator[Side]:
    # The user that Postgres runs as may not be able to reach the package's own folder.
    package, programs = Path(pgserver.__file__).parent, folder / "programs" / "pgserver" / "pginstall"
    shutil.copytree(package / "pginstall", programs)
    shutil.copytree(package.with_name("pgserver.libs"), folder / "programs" / "pgserver.libs")
    lines = [f"{number}\t{text(vector)}\n" for number, vector in enumerate(data)]
    index = f"""CREATE INDEX ON items USING hnsw (embedding vector_cosine_ops)
        WITH (m = {LINKS}, ef_construction = {EFFORT})"""
    with Postgres(folder / "postgres", programs / "bin", **MEMORY) as postgres, postgres.connect() as connection:
        connection.execute("CREATE EXTENSION vector")
        connection.execute(f"CREATE TABLE items (id bigint PRIMARY KEY, embedding vector({data.shape[1]}))")
        rows = timed(lambda: copy_in(connection, lines))
        lines.clear()  # gigabytes, of a million vectors
        built = timed(lambda: connection.execute(index))
        postgres.settle()
        widen = lambda ef: connection.execute(f"SET hnsw.ef_search = {min(ef, 1000)}")
        yield Side(rows, built, widen, asking(connection), text)


@contextmanager
def duckdb_vss(folder: Path, data: np.ndarray) -> Iterator[Side]:
    connection = duckdb.connect()
    extension = next(Path(duckdb_extension_vss.__file__).parent.rglob("vss.duckdb_extension"))
    connection.execute(f"LOAD '{extension}'")
    kind = f"FLOAT[{data.shape[1]}]"
    connection.execute(f"CREATE TABLE items (id bigint, embedding {kind})")
    embeddings = pa.FixedSizeListArray.from_arrays(pa.array(data.ravel()), data.shape[1])
    connection.register("frame", pa.table({"id": np.arange(len(data)), "embedding": embeddings}))
    rows = timed(lambda: connection.execute("INSERT INTO items SELECT * FROM frame"))
    index = f"""CREATE INDEX items_near ON items USING HNSW (embedding)
        WITH (metric = 'cosine', M = {LINKS}, ef_construction = {EFFORT})"""
    built = timed(lambda: connection.execute(index))
    statement = f"SELECT id FROM items ORDER BY array_cosine_distance(embedding, ?::{kind}) LIMIT {K}"
    widen = lambda ef: connection.execute(f"SET hnsw_ef_search = {ef}")
    search = lambda query: [row[0] for row in connection.execute(statement, [query]).fetchall()]
    yield Side(rows, built, widen, search, lambda query: query)


PEERS = {"pgvector": pgvector, "DuckDB": duckdb_vss}

if __name__ == "__main__":
    sys.exit(main())
