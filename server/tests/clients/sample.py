"""What the sample exports say, read from their files without LatentDB: the oracle of the client tests."""

from __future__ import annotations

import gzip
import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from harness import SAMPLE


@dataclass(frozen=True)
class Sample:
    model: str
    source: str
    features: list[dict]
    activations: list[dict]
    explanations: list[dict]

    @property
    def filter(self) -> str:
        """Condition that picks the source's rows in any table."""
        return f"model_id = '{self.model}' AND source_id = '{self.source}'"

    def activations_of(self, index: int) -> list[dict]:
        return [record for record in self.activations if int(record["index"]) == index]


@cache
def read_sample(export: Path = SAMPLE) -> Sample:
    (directory,) = (path.parent for path in (export / "v1").glob("*/*/source.jsonl"))
    return Sample(
        model=directory.parent.name,
        source=directory.name,
        features=read_records(directory / "features"),
        activations=read_records(directory / "activations"),
        explanations=read_records(directory / "explanations"),
    )


def read_records(directory: Path) -> list[dict]:
    """All lines of a folder's batch files."""
    records: list[dict] = []
    for path in sorted(directory.glob("batch-*.jsonl*")):
        opener = gzip.open if path.suffix == ".gz" else open
        with opener(path, "rt") as lines:
            records.extend(json.loads(line) for line in lines if line.strip())
    return records
