"""Makes real sentence embeddings for vectors.py and search_vectors.py: of what Python's own documentation says. See README.md.

    python sentences.py --latentdb ../target/release/latentdb --model FOLDER
    python search_vectors.py --latentdb ../target/release/latentdb --data sentences --count 20000

The sentences are the first of every docstring in this Python's library and installed packages: short, and about code, as
explanations of features are. FOLDER is what udfs/runtime/tests/golden/embed/fetch-minilm prints.
"""

from __future__ import annotations

import argparse
import ast
import os
import random
import sys
import sysconfig
import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from latentdb import LatentDB
from vectors import named

QUERIES = 200


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--latentdb", type=Path, required=True, help="the binary")
    parser.add_argument("--model", type=Path, required=True, help="folder of the embedding model's files")
    parser.add_argument("--count", type=int, default=20_000)
    parser.add_argument("--queries", type=int, default=QUERIES)
    parser.add_argument("--work", type=Path, default=Path(tempfile.gettempdir()) / "latentdb-bench")
    return parser.parse_args()


def main() -> int:
    asked = arguments()
    wanted = asked.count + asked.queries
    found = sorted(set(sentences()))
    random.Random(1).shuffle(found)
    if len(found) < wanted:
        print(f"this Python's documentation has {len(found):,} sentences: ask for fewer than {wanted:,}", file=sys.stderr)
        return 1
    vectors = embed(asked, found[:wanted])
    data, queries = named(asked.work, "sentences", asked.count, vectors.shape[1], asked.queries)
    np.save(data, vectors[: asked.count])
    np.save(queries, vectors[asked.count :])
    print(f"{data}: {asked.count:,} vectors of {vectors.shape[1]}; {queries}: {asked.queries:,}")
    return 0


def sentences() -> Iterator[str]:
    for file in sorted(Path(sysconfig.get_paths()["stdlib"]).rglob("*.py")):
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                tree = ast.parse(file.read_bytes())
        except (SyntaxError, ValueError):
            continue
        for node in ast.walk(tree):
            if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)):
                first = (ast.get_docstring(node) or "").split("\n\n")[0].split(". ")[0]
                if 3 <= len(first.split()) <= 30:
                    yield " ".join(first.split())


def embed(asked: argparse.Namespace, texts: list[str]) -> np.ndarray:
    os.environ["LATENTDB_EMBEDDING_MODEL"] = str(asked.model)
    with tempfile.TemporaryDirectory() as folder:
        ours = LatentDB(asked.latentdb.resolve(), Path(folder) / "db")
        with ours.serve() as server, server.connect() as connection:
            connection.execute("CREATE TABLE texts (id bigint PRIMARY KEY, text text)")
            with connection.cursor().copy("COPY texts FROM STDIN") as copy:
                for row in enumerate(texts):
                    copy.write_row(row)
            rows = connection.execute("SELECT embed(text) FROM texts ORDER BY id", binary=True).fetchall()
    return np.array([row[0] for row in rows], dtype=np.float32)


if __name__ == "__main__":
    sys.exit(main())
