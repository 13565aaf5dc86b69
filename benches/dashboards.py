"""Measures `latentdb generate` beside SAEDashboard, on a made-up model of GPT-2 small's shape. See README.md.

    python dashboards.py --latentdb ~/.cache/latentdb/target/release/latentdb --out results/NAME.json

SAEDashboard takes so long that it makes only the first --peer-features dashboards; what it would take for all of them is
extrapolated from its batches, and said to be so.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import shutil
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from statistics import median

from report import Row, print_table, write_json
from timing import load

HERE = Path(__file__).parent
FOUND = "SELECT index, density, max_activation FROM features WHERE index < {} ORDER BY index"
SPARSITY = "SELECT sum(density) AS active, count(*) FILTER (WHERE density > 0) AS alive FROM features"


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--latentdb", type=Path, required=True, help="the binary")
    parser.add_argument("--prompts", type=int, default=256)
    parser.add_argument("--tokens", type=int, default=128, help="of each prompt, BOS included")
    parser.add_argument("--features", type=int, default=24_576, help="of the SAE")
    parser.add_argument("--peer-features", type=int, default=256, help="that SAEDashboard makes")
    parser.add_argument("--layers", type=int, default=12, help="of the model; the SAE reads the one in the middle")
    parser.add_argument("--repeats", type=int, default=2, help="of which the best counts")
    parser.add_argument("--peer-python", default=sys.executable, help="what runs requirements-dashboards.txt")
    parser.add_argument("--out", type=Path, help="JSON file for the figures")
    parser.add_argument("--work", type=Path, default=Path(tempfile.gettempdir()) / "latentdb-bench")
    return parser.parse_args()


def main() -> int:
    asked = arguments()
    asked.peer_features = min(asked.peer_features, asked.features)
    folder = asked.work / f"dashboards-{asked.layers}-{asked.features}-{asked.prompts}x{asked.tokens}"
    print(f"data in {folder}", flush=True)
    sizes = [f"--{name}={getattr(asked, name)}" for name in ("layers", "features", "prompts", "tokens")]
    subprocess.run([asked.peer_python, HERE / "made_up_corpus.py", folder, *sizes], check=True)
    peers, ours = [], []
    for repeat in range(asked.repeats):  # they take turns, so that a busy machine slows both
        print(f"run {repeat + 1} of {asked.repeats} (load average {load()})", flush=True)
        peers.append(run_peer(folder, asked))
        ours.append(run_latentdb(folder, asked))
    # Load cannot make anything faster: the best of each batch, not the batches of the best run.
    batches = [min(times) for times in zip(*(peer["seconds"] for peer in peers), strict=True)]
    peer, best = peers[-1], min(ours, key=lambda one: one["seconds"])
    further = median(batches[1:])
    total = batches[0] + (math.ceil(asked.features / peer["batch"]) - 1) * further
    corpus = f"{asked.prompts} prompts of {asked.tokens} tokens"
    agreed = agreement(best["found"], peer["found"])
    facts = {
        "first_batch_with_forward_seconds": batches[0],
        "further_batch_seconds": further,
        "features_in_batch": peer["batch"],
        "of_these_json_seconds": median(peer["json_seconds"]),
        "load_seconds_not_counted": peer["load_seconds"],
        "corpus": corpus,
    }
    rows = [
        Row("generate", f"{asked.features} features here, {asked.peer_features} there", "features/s",
            asked.features / best["seconds"], asked.peer_features / sum(batches), more_is_better=True,
            notes={"peer": facts, "latentdb": best["said"], "features_with_equal_density_and_maximum": agreed}),
        Row("generate", f"{asked.features} features; there extrapolated", "features/s", asked.features / best["seconds"],
            asked.features / total, more_is_better=True, notes={"peer_is_extrapolated": True}),
        Row("generate", f"{asked.features} features; there extrapolated", "s", best["seconds"], total,
            notes={"peer_is_extrapolated": True, "cpu_seconds": best["cpu_seconds"]}),
        Row("memory", "peak of the process", "MiB", max(one["peak_mib"] for one in ours),
            max(one["peak_mib"] for one in peers), notes={"peer_after_loading": peer["peak_at_load_mib"]}),
    ]  # fmt: skip
    print_table(rows)
    print(f"\n{corpus}; {best['sparsity']['active']:.1f} features active on a token, {best['sparsity']['alive']} ever active")
    print(f"LatentDB: {best['said']}")
    print(f"peer: {batches[0]:.2f} s for the forward pass and {peer['batch']} features, {further:.2f} s for each further "
          f"{peer['batch']}; {peer['load_seconds']:.1f} s of loading not counted")  # fmt: skip
    print(f"features whose density and largest activation are equal: {agreed}")
    if asked.out:
        setting = {
            "taken": datetime.now(UTC).isoformat(timespec="seconds"),
            "data": {name: getattr(asked, name) for name in ("layers", "features", "peer_features", "prompts", "tokens")}
            | {"repeats": asked.repeats, **best["sparsity"]},
            "versions": {"latentdb": f"{best['version']} ({asked.latentdb.resolve().parent.name} build)", **peer["versions"]},
            "machine": {"cores": os.cpu_count(), "load_at_end": load()},
        }
        write_json(asked.out, setting, rows)
    return 0


def run_peer(folder: Path, asked: argparse.Namespace) -> dict:
    command = [asked.peer_python, "-W", "ignore", HERE / "peers/dashboards.py", folder, "--features", str(asked.peer_features)]
    return json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout.splitlines()[-1])


def run_latentdb(folder: Path, asked: argparse.Namespace) -> dict:
    """Generates into a new database; what counts is the command from its start to its end, loading included."""
    database = folder / "latentdb"
    shutil.rmtree(database, ignore_errors=True)
    latentdb = [asked.latentdb.resolve(), "--data", database]
    source = f"{asked.layers // 2}-res"
    subprocess.run([*latentdb, "model", "add", "gpt2-shape", folder / "model"], check=True, stdout=subprocess.DEVNULL)
    add = [*latentdb, "source", "add", f"gpt2-shape/{source}", folder / f"sources/{source}"]
    subprocess.run(add, check=True, stdout=subprocess.DEVNULL)
    command = [*latentdb, "generate", "gpt2-shape", source, folder / "corpus.jsonl", "--n-prompts", str(asked.prompts),
               "--context-length", str(asked.tokens), "--packing", "full", "--prepend-bos", "true"]  # fmt: skip
    start = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    said = process.stdout.read().strip()
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - start
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        raise RuntimeError(f"latentdb generate ended with {process.returncode}")

    def ask(query: str) -> list[dict]:
        asking = [*latentdb, "sql", "--format", "json", query]
        return json.loads(subprocess.run(asking, check=True, stdout=subprocess.PIPE).stdout)

    found = ask(FOUND.format(asked.peer_features))
    return {
        "seconds": seconds,
        "cpu_seconds": usage.ru_utime + usage.ru_stime,
        "peak_mib": usage.ru_maxrss / 1024,
        "said": said,
        "sparsity": ask(SPARSITY)[0],
        "found": {row["index"]: (row["density"] or 0, row["max_activation"] or 0) for row in found},
        "version": subprocess.run([latentdb[0], "--version"], check=True, capture_output=True, text=True).stdout.strip(),
    }


def agreement(ours: dict, theirs: dict) -> str:
    """How many features both sides have seen the same of; the peer rounds densities to 1e-5 and values to 1e-3."""
    same = 0
    for index, (density, value) in ((int(index), found) for index, found in theirs.items()):
        same += abs(ours[index][0] - density) < 6e-6 and abs(ours[index][1] - value) < 6e-4
    return f"{same} of {len(theirs)}"


if __name__ == "__main__":
    sys.exit(main())
