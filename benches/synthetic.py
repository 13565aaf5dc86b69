"""The data: a made-up Neuronpedia export, and the same rows as text files for Postgres' COPY."""

from __future__ import annotations

import gzip
import shutil
import subprocess
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import orjson

MODEL, SOURCE = "synthetic-small", "6-res-syn"

# Columns of Neuronpedia's tables, in the order of their fields in the export.
NEURON_COLUMNS = [
    "modelId", "layer", "index", "sourceSetName", "creatorId", "createdAt", "maxActApprox", "hasVector", "vector",
    "vectorLabel", "vectorDefaultSteerStrength", "hookName", "topkCosSimIndices", "topkCosSimValues",
    "neuron_alignment_indices", "neuron_alignment_values", "neuron_alignment_l1", "correlated_neurons_indices",
    "correlated_neurons_pearson", "correlated_neurons_l1", "correlated_features_indices",
    "correlated_features_pearson", "correlated_features_l1", "neg_str", "neg_values", "pos_str", "pos_values",
    "frac_nonzero", "freq_hist_data_bar_heights", "freq_hist_data_bar_values", "logits_hist_data_bar_heights",
    "logits_hist_data_bar_values", "decoder_weights_dist",
]  # fmt: skip
ACTIVATION_COLUMNS = [
    "id", "tokens", "dataIndex", "index", "layer", "modelId", "dataSource", "maxValue", "maxValueTokenIndex",
    "minValue", "values", "dfaValues", "dfaTargetIndex", "dfaMaxValue", "creatorId", "createdAt", "lossValues",
    "logitContributions", "binMin", "binMax", "binContains", "qualifyingTokenIndex",
]  # fmt: skip
EXPLANATION_COLUMNS = [
    "id", "modelId", "layer", "index", "description", "authorId", "umap_x", "umap_y", "umap_cluster",
    "umap_log_feature_sparsity", "typeName", "explanationModelName", "createdAt", "updatedAt",
]  # fmt: skip
TABLES = {
    "Neuron": ("features", NEURON_COLUMNS),
    "Activation": ("activations", ACTIVATION_COLUMNS),
    "Explanation": ("explanations", EXPLANATION_COLUMNS),
}

# Columns that the tables require and the export leaves to their defaults.
DEFAULTS = {"createdAt": "2026-01-01 00:00:00", "updatedAt": "2026-01-01 00:00:00", "creatorId": "synthetic"}
EMPTY_LISTS = {"correlated_features_indices", "correlated_features_pearson", "correlated_features_l1", "lossValues"}


@dataclass(frozen=True)
class Synthetic:
    """An export of a given size below `folder`; it is made once and kept."""

    folder: Path
    features: int
    activations: int
    tokens: int

    @property
    def export(self) -> Path:
        return self.folder / "export"

    @property
    def copy(self) -> Path:
        return self.folder / "copy"

    def make(self, generator: Path) -> None:
        if not (self.folder / "export.made").exists():
            shutil.rmtree(self.export, ignore_errors=True)
            self.folder.mkdir(parents=True, exist_ok=True)
            size = ["--features", self.features, "--activations", self.activations, "--tokens", self.tokens]
            size += ["--prompts", self.features, "--model", MODEL, "--source", SOURCE, "--out", self.export]
            subprocess.run([generator, *map(str, size)], check=True)
            (self.folder / "export.made").touch()
        if not (self.folder / "copy.made").exists():
            shutil.rmtree(self.copy, ignore_errors=True)
            self._write_copy_files()
            (self.folder / "copy.made").touch()

    def _write_copy_files(self) -> None:
        jobs = []
        for table, (kind, _) in TABLES.items():
            (self.copy / table).mkdir(parents=True)
            for batch in sorted(self.export.glob(f"v1/*/*/{kind}/*.jsonl.gz")):
                jobs.append((table, batch, self.copy / table / batch.name.replace(".jsonl.gz", ".copy")))
        with ProcessPoolExecutor() as pool:
            list(pool.map(_write_copy_file, *zip(*jobs, strict=True)))

    def copy_files(self, table: str) -> list[Path]:
        return sorted((self.copy / table).glob("*.copy"))

    def bytes(self, folder: Path) -> int:
        return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())


def _write_copy_file(table: str, batch: Path, out: Path) -> None:
    columns = TABLES[table][1]
    with gzip.open(batch) as lines, out.open("w", encoding="utf-8", newline="") as file:
        for line in lines:
            record = orjson.loads(line)
            file.write("\t".join(_field(column, record.get(column)) for column in columns) + "\n")


def _field(column: str, value: object) -> str:
    if value is None:
        if column in EMPTY_LISTS:
            return "{}"
        return DEFAULTS.get(column, "\\N")
    if isinstance(value, bool):
        return "t" if value else "f"
    if isinstance(value, list):
        if value and isinstance(value[0], str):
            return _text_array(tuple(value))
        return "{" + orjson.dumps(value)[1:-1].decode() + "}"
    return _escape(str(value))


@lru_cache(maxsize=100_000)
def _text_array(items: tuple[str, ...]) -> str:
    quoted = ('"' + item.replace("\\", "\\\\").replace('"', '\\"') + '"' for item in items)
    return _escape("{" + ",".join(quoted) + "}")


def _escape(text: str) -> str:
    # Postgres cannot store U+0000.
    text = text.replace("\0", "").replace("\\", "\\\\")
    return text.replace("\t", "\\t").replace("\n", "\\n").replace("\r", "\\r")
