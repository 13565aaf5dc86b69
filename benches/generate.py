"""Measures text generation beside Hugging Face and interp-engine, on a made-up model of GPT-2 small's shape. See README.md.

    cargo build --release -p latentdb-runtime --example generate
    python generate.py --example ../target/release/examples/generate --out results/NAME.json
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

from made_up_model import make
from report import Row, print_table, write_json
from timing import load

PEERS = {"hugging_face": "Hugging Face generate", "interp_engine": "interp-engine eager", "interp_engine_steered": "interp-engine eager"}


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--example", type=Path, required=True, help="the runtime's example `generate`")
    parser.add_argument("--tokens", type=int, default=100, help="to generate")
    parser.add_argument("--prompt", type=int, default=16, help="tokens of a prompt")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--out", type=Path, help="JSON file for the figures")
    parser.add_argument("--work", type=Path, default=Path(tempfile.gettempdir()) / "latentdb-bench")
    return parser.parse_args()


def main() -> int:
    asked = arguments()
    folder = asked.work / "gpt2-shape-32x128"  # models.py uses the same one
    make(folder, 32, 128)
    bounds = ["--tokens", str(asked.tokens), "--prompt", str(asked.prompt), "--repeats", str(asked.repeats)]
    print(f"measuring the peers (load average {load()})", flush=True)
    peers = run([sys.executable, Path(__file__).parent / "peers/generating.py", folder / "model", *bounds])[-1]
    rows = []
    # {label: arguments}; `exact` first, whose texts the others are compared with.
    modes = {"f32": [], "near f32 (16 bits a weight)": ["--weights", "near"], "8 bits a weight": ["--weights", "int8"]}
    for label, arguments_of_mode in modes.items():
        print(f"measuring LatentDB, {label} (load average {load()})", flush=True)
        plain = {line["streams"]: line for line in run([asked.example, folder / "model", *bounds, *arguments_of_mode])}
        steered = run([asked.example, folder / "model", *bounds, *arguments_of_mode, "--streams", "1", "--steer"])[0]
        for key, peer in peers["found"].items():
            way, streams = key.split()
            ours = steered if way.endswith("steered") else plain[int(streams)]
            what = f"{label}, {streams} stream{'s' if streams != '1' else ''}{', steered' if way.endswith('steered') else ''}, beside {PEERS[way]}"
            rows.append(Row("generate", what, "tokens/s", ours["tokens_per_second"], peer["tokens_per_second"], more_is_better=True,
                            notes={"same_tokens_from_the_start": common(ours["first"], peer["first"]), "of": asked.tokens}))  # fmt: skip
    print_table(rows)
    if asked.out:
        facts = {
            "taken": datetime.now(UTC).isoformat(timespec="seconds"),
            "versions": peers["versions"],
            "machine": {"cores": os.cpu_count(), "load_at_end": load()},
        }
        write_json(asked.out, facts, rows)
    return 0


def run(command: list) -> list[dict]:
    answer = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    return [json.loads(line) for line in answer.splitlines() if line.startswith("{")]


def common(one: list[int], other: list[int]) -> int:
    """How many tokens are the same before the first that is not."""
    return next((number for number, pair in enumerate(zip(one, other, strict=False)) if pair[0] != pair[1]), min(len(one), len(other)))


if __name__ == "__main__":
    sys.exit(main())
