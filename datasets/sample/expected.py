#!/usr/bin/env python3
"""Count what is in the two exports and write expected.json.

Reads only the files, with the standard library, and shares no code with the
scripts that made them or with the importer. Sums use math.fsum: the correctly
rounded sum of the 64-bit numbers in the files.
"""

import gzip
import json
from math import fsum
from pathlib import Path

HERE = Path(__file__).resolve().parent


def rows(source: Path, kind: str):
    for path in sorted((source / kind).glob("batch-*.jsonl.gz")):
        with gzip.open(path, "rt", encoding="utf-8", newline="\n") as lines:
            for line in lines:
                yield json.loads(line)


def spread(counts) -> dict:
    counts = list(counts)
    return {"min": min(counts, default=0), "max": max(counts, default=0)}


def count(export: str, source: Path) -> dict:
    features = list(rows(source, "features"))
    activations = list(rows(source, "activations"))
    explanations = list(rows(source, "explanations"))
    indices = [int(f["index"]) for f in features]
    with_activations = {int(a["index"]) for a in activations}
    with_explanations = {int(e["index"]) for e in explanations}
    values = [v for a in activations for v in a["values"]]
    contexts = {json.dumps(a["tokens"]) for a in activations}
    vectors = [json.loads(e["embedding"]) if isinstance(e["embedding"], str) else e["embedding"]
               for e in explanations if e["embedding"] is not None]
    return {
        "export": export,
        "model": source.parent.name,
        "source": source.name,
        "features": len(features),
        "distinct_feature_indices": len(set(indices)),
        "max_feature_index": max(indices),
        "activations": len(activations),
        "explanations": len(explanations),
        "contexts": len(contexts),
        "context_tokens": sum(len(json.loads(c)) for c in contexts),
        "context_length": spread(len(json.loads(c)) for c in contexts),
        "distinct_token_strings": len({t for a in activations for t in a["tokens"]}),
        "tokens": sum(len(a["tokens"]) for a in activations),
        "values": len(values),
        "values_sum": fsum(values),
        "values_nonzero": sum(v != 0 for v in values),
        "max_value_sum": fsum(a["maxValue"] for a in activations),
        "max_value_max": max(a["maxValue"] for a in activations),
        "frac_nonzero_sum": fsum(f["frac_nonzero"] for f in features),
        "max_act_approx_sum": fsum(f["maxActApprox"] for f in features if f["maxActApprox"] is not None),
        "max_act_approx_null": sum(f["maxActApprox"] is None for f in features),
        "pos_values_sum": fsum(v for f in features for v in f["pos_values"]),
        "freq_hist_heights_sum": fsum(v for f in features for v in f["freq_hist_data_bar_heights"]),
        "features_with_vector": sum(bool(f.get("vector")) for f in features),
        "features_never_active": sum(f["frac_nonzero"] == 0 for f in features),
        "features_without_activations": len(set(indices) - with_activations),
        "features_without_explanations": len(set(indices) - with_explanations),
        "activations_per_feature": spread(
            sum(int(a["index"]) == i for a in activations) for i in sorted(set(indices))),
        "activations_all_zero": sum(not any(a["values"]) for a in activations),
        "activations_with_dfa": sum(bool(a["dfaValues"]) for a in activations),
        "dfa_values_sum": fsum(v for a in activations for v in a["dfaValues"]),
        "activations_with_z": sum(bool(a.get("zValues")) for a in activations),
        "z_values": sum(len(a.get("zValues") or []) for a in activations),
        "z_values_sum": fsum(v for a in activations for v in a.get("zValues") or []),
        "activations_without_bins": sum(a["binMin"] is None for a in activations),
        "activations_with_nul_token": sum(any("\0" in t for t in a["tokens"]) for a in activations),
        "contexts_with_nul_token": sum(any("\0" in t for t in json.loads(c)) for c in contexts),
        "explanations_with_embedding": len(vectors),
        "embedding_dimensions": sorted({len(v) for v in vectors}),
        "embedding_sum": fsum(x for v in vectors for x in v),
        "explanations_without_type": sum(e["typeName"] is None for e in explanations),
    }


def main() -> None:
    out = [count(export, source)
           for export in ("export", "export-db")
           for source in sorted((HERE / export / "v1").glob("*/*")) if (source / "features").is_dir()]
    (HERE / "expected.json").write_text(json.dumps({"sources": out}, indent=2) + "\n")


if __name__ == "__main__":
    main()
