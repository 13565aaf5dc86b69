"""Measures vector search beside hnswlib and usearch, on made-up vectors. See README.md.

    cargo build --release -p latentdb-vectors --example measure_vectors
    python vectors.py --driver ../target/release/examples/measure_vectors --data clustered --out results/NAME.json

Everyone builds with 16 links and an effort of 200 on all cores, and searches for the ten nearest on one thread. Figures are
compared at the first width of the walk that finds 95 %; all widths are in the JSON file.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import numpy as np
from report import Row, print_table, write_json
from timing import load

K = 10
LINKS, EFFORT = 16, 200
WIDTHS = (10, 20, 40, 80, 160, 320, 640, 1280, 2560, 5120)
ROUNDS = 3


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--driver", type=Path, required=True, help="the example `bench` of latentdb-vectors")
    parser.add_argument("--data", choices=["clustered", "random", "sentences"], default="clustered",
                        help="unit vectors about as many centres, like embeddings of texts; in any direction, "
                        "like decoders of SAEs; or what sentences.py made")  # fmt: skip
    parser.add_argument("--count", type=int, default=100_000)
    parser.add_argument("--dim", type=int, default=384)
    parser.add_argument("--clusters", type=int, default=300)
    parser.add_argument("--queries", type=int, default=1000)
    parser.add_argument("--recall", type=float, default=0.95, help="at which sides are compared")
    parser.add_argument("--peer", choices=["hnswlib", "usearch"], action="append", help="only this one; may be given again")
    parser.add_argument("--out", type=Path, help="JSON file for the figures")
    parser.add_argument("--work", type=Path, default=Path(tempfile.gettempdir()) / "latentdb-bench")
    return parser.parse_args()


def main() -> int:
    asked = arguments()
    data, queries = files(asked)
    print(f"data in {data} (load average {load()})", flush=True)
    ours = run_driver(asked, data, queries)
    vectors, asking = np.load(data), np.load(queries)
    truth = nearest(vectors, asking)
    rows: list[Row] = []
    for name in asked.peer or ["hnswlib", "usearch"]:
        print(f"measuring {name} (load average {load()})", flush=True)
        theirs = PEERS[name](vectors, asking, truth)
        rows += compare(name, asked.recall, ours, theirs)
    print_table(rows)
    if asked.out:
        facts = {
            "taken": datetime.now(UTC).isoformat(timespec="seconds"),
            "data": {name: getattr(asked, name) for name in ("data", "count", "dim", "clusters", "queries")},
            "versions": {name: version(name) for name in ("hnswlib", "usearch", "numpy")},
            "machine": {"cores": os.cpu_count(), "load_at_end": load()},
            "latentdb": ours,
        }
        write_json(asked.out, facts, rows)
    return 0


def files(asked: argparse.Namespace) -> tuple[Path, Path]:
    """The vectors and the queries, which come from the same distribution; made if they are not there."""
    kind = f"{asked.data}-{asked.clusters}" if asked.data == "clustered" else asked.data
    data, queries = named(asked.work, kind, asked.count, asked.dim, asked.queries)
    if not queries.exists() and asked.data == "sentences":
        sys.exit(f"{queries} is not there: sentences.py makes it")
    if not queries.exists():
        random = np.random.default_rng(1)
        vectors = random.standard_normal((asked.count + asked.queries, asked.dim), dtype=np.float32)
        if asked.data == "clustered":
            centres = unit(random.standard_normal((asked.clusters, asked.dim), dtype=np.float32))
            vectors *= 0.8 / np.sqrt(asked.dim, dtype=np.float32)
            vectors += centres[random.integers(0, asked.clusters, len(vectors))]
        vectors = unit(vectors)
        np.save(data, vectors[: asked.count])
        np.save(queries, vectors[asked.count :])
    return data, queries


def named(folder: Path, kind: str, count: int, dim: int, queries: int) -> tuple[Path, Path]:
    """The files of vectors and of queries."""
    folder.mkdir(parents=True, exist_ok=True)
    name = f"vectors-{kind}-{count}x{dim}-{queries}"
    return folder / f"{name}.npy", folder / f"{name}-queries.npy"


def unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def nearest(vectors: np.ndarray, queries: np.ndarray) -> np.ndarray:
    """The nearest rows of each query; all vectors have length 1, so the largest inner products are the least distances."""
    parts = [np.argpartition(-(some @ vectors.T), K, axis=1)[:, :K] for some in np.array_split(queries, 20)]
    return np.concatenate(parts)


def run_driver(asked: argparse.Namespace, data: Path, queries: Path) -> dict:
    """Builds and searches LatentDB's segment; what it prints, put together."""
    command = [asked.driver.resolve(), data, queries, "l2", str(LINKS), str(EFFORT)]
    lines = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout.splitlines()
    facts, searches = {}, []
    for line in map(json.loads, lines):
        if "queries_per_second" in line:
            searches.append(line)
        else:
            facts |= line
    return facts | {"searches": searches}


def resident_mib() -> float:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20


def measured(build: Callable[[], object], search: Callable[[object, np.ndarray, int], np.ndarray], queries: np.ndarray,
             truth: np.ndarray) -> dict:  # fmt: skip
    """Builds a peer's index and searches it; queries come one at a time, as they do in a database."""
    before, start = resident_mib(), time.perf_counter()
    index = build()
    facts = {"build_seconds": time.perf_counter() - start, "memory_mib": resident_mib() - before}
    searches = []
    for ef in WIDTHS:
        best, found = float("inf"), truth
        for _ in range(ROUNDS):
            start = time.perf_counter()
            found = search(index, queries, ef)
            best = min(best, time.perf_counter() - start)
        recall = np.mean([len(set(a) & set(b)) / K for a, b in zip(found, truth, strict=True)])
        searches.append({"ef": ef, "recall": float(recall), "queries_per_second": len(queries) / best})
        if recall > 0.999:
            break
    return facts | {"searches": searches}


def hnswlib(vectors: np.ndarray, queries: np.ndarray, truth: np.ndarray) -> dict:
    import hnswlib

    def build() -> hnswlib.Index:
        index = hnswlib.Index("l2", vectors.shape[1])
        index.init_index(len(vectors), ef_construction=EFFORT, M=LINKS)
        index.add_items(vectors, num_threads=os.cpu_count())
        return index

    def search(index: hnswlib.Index, queries: np.ndarray, ef: int) -> np.ndarray:
        index.set_ef(ef)
        return index.knn_query(queries, K, num_threads=1)[0]

    return measured(build, search, queries, truth)


def usearch(vectors: np.ndarray, queries: np.ndarray, truth: np.ndarray) -> dict:
    from usearch.index import Index

    def build() -> Index:
        index = Index(ndim=vectors.shape[1], metric="l2sq", connectivity=LINKS, expansion_add=EFFORT)
        index.add(np.arange(len(vectors)), vectors, threads=os.cpu_count())
        return index

    def search(index: Index, queries: np.ndarray, ef: int) -> np.ndarray:
        index.expansion_search = ef
        return index.search(queries, K, threads=1).keys

    return measured(build, search, queries, truth)


PEERS = {"hnswlib": hnswlib, "usearch": usearch}


def compare(name: str, recall: float, ours: dict, theirs: dict) -> list[Row]:
    plain = [search for search in ours["searches"] if search["percent"] == 100]
    best, peer = (fastest(searches, recall) for searches in (plain, theirs["searches"]))
    default = next(search for search in plain if search["ef"] == "default")
    notes = {"latentdb": best, "peer": peer, "peer_searches": theirs["searches"], "latentdb_by_default": default}
    return [
        Row(name, f"searches that find {recall:.0%}", "queries/s", best and best["queries_per_second"],
            peer and peer["queries_per_second"], more_is_better=True, notes=notes),
        Row(name, "build", "s", ours["build_seconds"], theirs["build_seconds"]),
        Row(name, "memory that walks touch; there all", "MiB", ours["walked_mib"], theirs["memory_mib"]),
        Row(name, "size of the file; there memory", "MiB", ours["file_mib"], theirs["memory_mib"]),
    ]  # fmt: skip


def fastest(searches: list[dict], recall: float) -> dict | None:
    """The fastest search that finds enough."""
    enough = [search for search in searches if search["recall"] >= recall]
    return max(enough, key=lambda search: search["queries_per_second"], default=None)


if __name__ == "__main__":
    sys.exit(main())
