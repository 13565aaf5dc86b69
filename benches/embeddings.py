"""Measures sentence embeddings beside sentence-transformers, on made-up explanations. See README.md.

    cargo build --release --locked -p latentdb-runtime --example embed
    python embeddings.py --example ~/.cache/latentdb/target/release/examples/embed --model FOLDER --out results/NAME.json

FOLDER is what udfs/runtime/tests/golden/embed/fetch-minilm prints. Both sides run on as many cores as --cores says. On a
busy machine, believe the processor seconds on one core: the peer's threads spin while they wait for each other.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import resource
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import numpy as np

from report import Row, print_table, write_json
from timing import load

WORDS = """references mentions phrases words tokens names dates numbers code functions variables legal medical political
historical scientific geographic weather sports music food family relationships emotions negation questions quotations
punctuation brackets the a of in and related to describing about before after following specific common rare technical
programming syntax academic citations proper nouns verbs adjectives beginning end sentence contexts involving discussions
expressing certainty comparison causation time location quantity European American ancient modern""".split()


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--example", type=Path, required=True, help="the built example `embed`")
    parser.add_argument("--model", type=Path, required=True, help="folder of the model's files")
    parser.add_argument("--texts", type=int, default=2000)
    parser.add_argument("--words", type=int, default=12, help="of a text, on average")
    parser.add_argument("--cores", type=int, default=os.cpu_count())
    parser.add_argument("--repeats", type=int, default=3, help="turns of both sides, of which the best counts")
    parser.add_argument("--out", type=Path, help="JSON file for the figures")
    return parser.parse_args()


def explanations(count: int, words: int) -> list[str]:
    drawn = random.Random(0)
    return [" ".join(drawn.choices(WORDS, k=drawn.randint(words // 2, words + words // 2))) for _ in range(count)]


def children_cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def main() -> int:
    asked = arguments()
    # Before torch is imported, which looks at them once.
    os.environ |= {"OMP_NUM_THREADS": str(asked.cores), "RAYON_NUM_THREADS": str(asked.cores)}
    import torch
    from sentence_transformers import SentenceTransformer

    torch.set_num_threads(asked.cores)
    texts = explanations(asked.texts, asked.words)
    peer = SentenceTransformer(str(asked.model), device="cpu")
    peer.encode(texts[:64])
    ours, theirs, cpu = [], {}, {}
    with tempfile.TemporaryDirectory() as folder:
        lines, found = Path(folder) / "texts", Path(folder) / "vectors"
        lines.write_text("\n".join(texts) + "\n")
        for _ in range(asked.repeats):  # they take turns, so that a busy machine slows both
            command = [asked.example, asked.model, lines, "1", found]
            before = children_cpu()
            ours.append(json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout))
            cpu.setdefault("ours", []).append(children_cpu() - before)
            for batch in (32, 128):
                start, before = time.perf_counter(), time.process_time()
                vectors = peer.encode(texts, batch_size=batch)
                theirs.setdefault(batch, []).append(time.perf_counter() - start)
                cpu.setdefault(batch, []).append(time.process_time() - before)
        furthest = float(np.abs(np.fromfile(found, "<f4").reshape(vectors.shape) - vectors).max())
    best, count = min(one["seconds"] for one in ours), len(texts)
    what = f"{count} texts of about {asked.words} words"
    rows = [
        Row("embed", f"{what}; peer's batches of {batch}", "texts/s", count / best, count / min(seconds), more_is_better=True)
        for batch, seconds in theirs.items()
    ]
    rows += [
        Row("embed", f"{what}; peer's batches of {batch}", "processor s", min(cpu["ours"]), min(cpu[batch]),
            notes={"latentdb_with_loading": True})
        for batch in theirs
    ]  # fmt: skip
    print_table(rows)
    print(f"\nlargest difference between vectors of length 1: {furthest:.1e}")
    if asked.out:
        setting = {
            "taken": datetime.now(UTC).isoformat(timespec="seconds"),
            "model": ours[0]["identity"],
            "largest_difference": furthest,
            "versions": {name: version(name) for name in ("sentence-transformers", "torch", "transformers")},
            "machine": {"cores": asked.cores, "load_at_end": load()},
        }
        write_json(asked.out, setting, rows)
    return 0


if __name__ == "__main__":
    sys.exit(main())
