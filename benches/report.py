"""Figures of both sides beside each other, on the terminal and as JSON."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path


@dataclass
class Row:
    """One figure of LatentDB and the peer's."""

    measure: str
    what: str
    unit: str
    latentdb: float | None
    peer: float | None
    more_is_better: bool = False
    notes: dict = field(default_factory=dict)

    @property
    def ratio(self) -> float | None:
        """How many times better LatentDB is; below 1 it loses."""
        if not self.latentdb or not self.peer:
            return None
        return self.latentdb / self.peer if self.more_is_better else self.peer / self.latentdb


def print_table(rows: list[Row]) -> None:
    print(f"\n{'':66} {'LatentDB':>12} {'peer':>12} {'ratio':>9}")
    for row in rows:
        name = f"{row.measure}: {row.what} [{row.unit}]"
        print(f"{name:66} {_number(row.latentdb):>12} {_number(row.peer):>12} {_ratio(row.ratio):>9}")


def write_json(path: Path, facts: dict, rows: list[Row]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    figures = [asdict(row) | {"ratio": row.ratio} for row in rows]
    path.write_text(json.dumps(facts | {"figures": figures}, indent=1, ensure_ascii=False) + "\n")


def _number(value: float | None) -> str:
    if value is None:
        return "–"
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def _ratio(value: float | None) -> str:
    return "–" if value is None else f"{value:.2f}×"
