"""Measures LatentDB beside Postgres and DuckDB on a made-up export. See README.md.

    python run.py --latentdb ~/.cache/latentdb/target/release/latentdb --features 4096 --out results/NAME.json
"""

from __future__ import annotations

import argparse
import os
import platform
import shutil
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path

from latentdb import LatentDB
from measures import imports, lookup, questions, requests, rows
from peers import duck
from peers.postgres import SETTINGS, Postgres
from report import Row, print_table, write_json
from setting import Setting
from synthetic import Synthetic
from timing import load

MEASURES = {"import": imports, "lookup": lookup, "questions": questions, "requests": requests, "rows": rows}


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", choices=MEASURES, action="append", help="measure only this; may be given again")
    parser.add_argument("--features", type=int, default=24_576)
    parser.add_argument("--activations", type=int, default=45, help="of each feature")
    parser.add_argument("--tokens", type=int, default=128, help="of each activation")
    parser.add_argument("--latentdb", type=Path, required=True, help="the binary; latentdb-synth lies beside it")
    parser.add_argument("--streams", type=int, default=os.cpu_count(), help="connections that COPY into Postgres")
    parser.add_argument("--out", type=Path, help="JSON file for the figures")
    parser.add_argument("--work", type=Path, default=Path(tempfile.gettempdir()) / "latentdb-bench",
                        help="where the data and the databases are kept from run to run; user postgres must reach it")  # fmt: skip
    parser.add_argument("--clean", action="store_true", help="remove the data and the databases at the end")
    return parser.parse_args()


def main() -> int:
    asked = arguments()
    folder = asked.work / f"{asked.features}x{asked.activations}x{asked.tokens}"
    data = Synthetic(folder, asked.features, asked.activations, asked.tokens)
    print(f"data in {folder}", flush=True)
    data.make(asked.latentdb.with_name("latentdb-synth"))
    ours = LatentDB(asked.latentdb.resolve(), folder / "latentdb")
    figures: list[Row] = []
    with Postgres(folder / "postgres") as postgres:
        setting = Setting(data, ours, postgres, asked.streams)
        facts = describe(asked, setting)
        for name in asked.only or MEASURES:
            print(f"measuring {name} (load average {load()})", flush=True)
            if name != "import":
                setting.load_what_is_missing()
            figures += MEASURES[name].measure(setting)
            if asked.out:
                write_json(asked.out, facts, figures)
    print_table(figures)
    if asked.clean:
        shutil.rmtree(folder)
    return 0


def describe(asked: argparse.Namespace, setting: Setting) -> dict:
    """What the figures were taken from and on."""
    return {
        "taken": datetime.now(UTC).isoformat(timespec="seconds"),
        "data": {"features": asked.features, "activations": asked.activations, "tokens": asked.tokens},
        "versions": {
            "latentdb": f"{setting.latentdb.version()} ({asked.latentdb.resolve().parent.name} build)",
            "postgres": setting.postgres.version(),
            "duckdb": duck.version(),
            "python": platform.python_version(),
        },
        "postgres_settings": SETTINGS,
        "machine": {"cpu": _cpu(), "cores": os.cpu_count(), "memory_gib": _memory_gib(), "load_at_start": load()},
    }


def _cpu() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.machine())


def _memory_gib() -> float:
    return round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1)


if __name__ == "__main__":
    sys.exit(main())
