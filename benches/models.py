"""Measures `activate` beside interp-engine with SAELens, on a made-up model of GPT-2 small's shape. See README.md.

    python models.py --latentdb ~/.cache/latentdb/target/release/latentdb --out results/NAME.json
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path

from latentdb import LatentDB, Server
from made_up_model import FEATURES, LAYERS, make
from report import Row, print_table, write_json
from timing import Timings, load

ACTIVATE = """
SELECT p.number, a.source_id, a.index, a.max_value, a.acts
FROM unnest(%s::text[]) WITH ORDINALITY AS p(text, number), activate('gpt2-shape', 'res', p.text, top_k => %s) a
"""
FORWARD = "SELECT p.number, l.token FROM unnest(%s::text[]) WITH ORDINALITY AS p(text, number), logits('gpt2-shape', p.text, top_k => 1) l"


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--latentdb", type=Path, required=True, help="the binary")
    parser.add_argument("--prompts", type=int, default=32)
    parser.add_argument("--tokens", type=int, default=128, help="of each prompt, BOS included")
    parser.add_argument("--top-k", type=int, default=25)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--out", type=Path, help="JSON file for the figures")
    parser.add_argument("--work", type=Path, default=Path(tempfile.gettempdir()) / "latentdb-bench")
    return parser.parse_args()


def main() -> int:
    asked = arguments()
    folder = asked.work / f"gpt2-shape-{asked.prompts}x{asked.tokens}"
    print(f"data in {folder}", flush=True)
    make(folder, asked.prompts, asked.tokens)
    texts = json.loads((folder / "prompts.json").read_text())
    print(f"measuring the peer (load average {load()})", flush=True)
    peer = run_peer(folder, asked)
    print(f"measuring LatentDB (load average {load()})", flush=True)
    ours = run_latentdb(folder, asked, texts)
    tokens = asked.prompts * asked.tokens
    rows = [
        Row("activate", f"{LAYERS} SAEs of {FEATURES} features, {asked.prompts} prompts of {asked.tokens} tokens", "s",
            ours["activate_seconds"], peer["activate_seconds"], notes=agreement(ours["found"], peer["found"])),
        Row("activate", "tokens a second", "tokens/s", tokens / ours["activate_seconds"], tokens / peer["activate_seconds"],
            more_is_better=True),
        Row("forward", "the same prompts; logits of the last position here, of all positions there", "s",
            ours["forward_seconds"], peer["forward_seconds"]),
        Row("memory", "peak of the process", "MiB", ours["peak_mib"], peer["peak_mib"]),
    ]  # fmt: skip
    print_table(rows)
    if asked.out:
        facts = {
            "taken": datetime.now(UTC).isoformat(timespec="seconds"),
            "versions": {"latentdb": f"{ours['version']} ({asked.latentdb.resolve().parent.name} build)", **peer["versions"]},
            "machine": {"cores": os.cpu_count(), "load_at_end": load()},
        }
        write_json(asked.out, facts, rows)
    return 0


def run_peer(folder: Path, asked: argparse.Namespace) -> dict:
    script = Path(__file__).parent / "peers/eager.py"
    command = [sys.executable, script, folder, "--repeats", str(asked.repeats), "--top-k", str(asked.top_k)]
    return json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout.splitlines()[-1])


def run_latentdb(folder: Path, asked: argparse.Namespace, texts: list[str]) -> dict:
    database = LatentDB(asked.latentdb.resolve(), folder / "latentdb")
    add = [database.binary, "--data", database.folder]
    subprocess.run([*add, "model", "add", "gpt2-shape", folder / "model"], check=True, stdout=subprocess.DEVNULL)
    for layer in range(LAYERS):
        place = folder / f"sources/{layer}-res"
        subprocess.run([*add, "source", "add", f"gpt2-shape/{layer}-res", place], check=True, stdout=subprocess.DEVNULL)
    with database.serve() as server, server.connect() as connection:
        activate, forward = Timings(), Timings()
        for repeat in range(asked.repeats + 1):
            warm = repeat > 0  # the first one reads the weights
            timings = activate if warm else Timings()
            found = timings.time(lambda: connection.execute(ACTIVATE, [texts, asked.top_k], binary=True).fetchall())
        for repeat in range(asked.repeats + 1):
            timings = forward if repeat > 0 else Timings()
            timings.time(lambda: connection.execute(FORWARD, [texts]).fetchall())
        return {
            "activate_seconds": activate.best,
            "forward_seconds": forward.best,
            "peak_mib": peak_mib(server),
            "version": database.version(),
            "found": by_prompt(found, len(texts)),
        }


def peak_mib(server: Server) -> float:
    status = Path(f"/proc/{server.process.pid}/status").read_text()
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM")) / 1024


def by_prompt(rows: list[tuple], prompts: int) -> list[list[tuple[int, int, float]]]:
    found = [[] for _ in range(prompts)]
    for number, source, index, value, _ in rows:
        found[number - 1].append((int(source.split("-")[0]), index, value))
    return found


def agreement(ours: list, theirs: list) -> dict:
    """How many of the features of all prompts both sides give, and how far their values are apart."""
    same, total, apart = 0, 0, 0.0
    for one, other in zip(ours, theirs, strict=True):
        values = {(source, index): value for source, index, value in other}
        total += len(values)
        for source, index, value in one:
            if (source, index) in values:
                same += 1
                apart = max(apart, abs(value - values[source, index]) / values[source, index])
    return {"features_in_common": f"{same} of {total}", "largest_relative_difference": apart}


if __name__ == "__main__":
    sys.exit(main())
