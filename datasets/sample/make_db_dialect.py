#!/usr/bin/env python3
"""Make `export-db/`: a small export in Neuronpedia's database dialect.

Derived from `export/` (run make_sample.py first); standard library only,
seeded, byte for byte reproducible. The numbers and the text are the first
export's; the layout follows what Neuronpedia's `export-data.py` writes from its
Postgres tables, with the awkward parts on purpose:

- `index` is a string. Feature and explanation batches are in the order of that
  TEXT column ("0", "1", "10", "100", ...), activation batches cover numeric
  ranges (0-31, 32-63, ...): batch N of one is not batch N of the other.
- Activation rows are in no particular order within their batch.
- Rows come from `json.dumps`: ASCII escapes, ", " and ": ", floats as `231.0`
  where the other dialect has the integer `231`.
- Columns that export-data.py does not select are absent (`createdAt`,
  `correlated_features_*`, `qualifyingTokenIndex`, ...); the last feature batch
  lacks the steering-vector columns too, as if an earlier version had written it.
- `zIndices` ([key positions, query positions]) and `zValues` are on some
  activation rows and absent, not null, on others. `export-data.py` itself does
  not select them; converters for attention features add them.
- DFA values on some rows; null bins on some rows.
- No release.jsonl (though sourceset.jsonl names a release), empty
  inference_hosts*.jsonl, only two of the five config files.
- Dead features have no activation rows at all.
- Contexts differ in length; tokens contain NUL (`\\u0000`), characters outside
  ASCII and outside the basic plane, and byte-level leftovers (`Ã©`).
- Explanations: 0, 1 or 2 a feature; `embedding` is a JSON list, or text
  "[0.1,...]" (what a pgvector column becomes), or null.
"""

import gzip
import hashlib
import json
import math
import random
import re
import shutil
from collections import Counter, defaultdict
from pathlib import Path

SEED = 20261124
BATCH = 32  # 1024 in the original
MODEL_ID = "tiny-stdlib"
FROM_SOURCE = "1-res-tiny"
SOURCE_SET = "res-tiny-db"
SOURCE_ID = "1-res-tiny-db"
CREATOR = "clkht01d40000jv08hvalcvly"  # DEFAULT_CREATOR_ID
CREATED = "2025-03-04T05:06:07.123000"
TOP, OTHER = 3, 2  # activations kept per feature: top group, intervals
D_MODEL = 64

HERE = Path(__file__).resolve().parent
FROM = HERE / "export" / "v1" / MODEL_ID / FROM_SOURCE
ROOT = HERE / "export-db" / "v1"
TO = ROOT / MODEL_ID / SOURCE_ID

rng = random.Random(SEED)


def read(kind: str) -> list[dict]:
    rows = []
    for path in sorted((FROM / kind).glob("batch-*.jsonl.gz"), key=lambda p: int(re.sub(r"\D", "", p.name))):
        with gzip.open(path, "rt", encoding="utf-8") as lines:
            rows += [json.loads(line) for line in lines]
    return rows


def jsonl(rows: list[dict]) -> bytes:
    return "".join(json.dumps(row) + "\n" for row in rows).encode("ascii")


def write_batch(kind: str, number: int, rows: list[dict]) -> None:
    (TO / kind).mkdir(parents=True, exist_ok=True)
    data = gzip.compress(jsonl(rows), compresslevel=5, mtime=0)
    (TO / kind / f"batch-{number}.jsonl.gz").write_bytes(data)


def floats(values) -> list[float]:
    return [float(v) for v in values]


def stable(*parts) -> int:
    return int.from_bytes(hashlib.sha256("\x1f".join(map(str, parts)).encode()).digest()[:6], "big")


def cuid() -> str:
    return "c" + "".join(rng.choice("0123456789abcdefghijklmnopqrstuvwxyz") for _ in range(24))


def feature_row(f: dict, top_cos: list[tuple[int, float]]) -> dict:
    index = f["index"]
    with_vector = index % 29 == 3
    vector = [round(rng.gauss(0, 0.125), 6) for _ in range(D_MODEL)] if with_vector else []
    return {
        "modelId": MODEL_ID,
        "layer": SOURCE_ID,
        "index": str(index),
        "maxActApprox": None if index == 77 else float(f["maxActApprox"]),
        "creatorId": CREATOR,
        "frac_nonzero": float(f["frac_nonzero"]),
        "freq_hist_data_bar_heights": floats(f["freq_hist_data_bar_heights"]),
        "freq_hist_data_bar_values": floats(f["freq_hist_data_bar_values"]),
        "logits_hist_data_bar_heights": floats(f["logits_hist_data_bar_heights"]),
        "logits_hist_data_bar_values": floats(f["logits_hist_data_bar_values"]),
        "neuron_alignment_indices": f["neuron_alignment_indices"],
        "neuron_alignment_l1": floats(f["neuron_alignment_l1"]),
        "neuron_alignment_values": floats(f["neuron_alignment_values"]),
        "correlated_neurons_indices": f["correlated_neurons_indices"],
        "correlated_neurons_l1": floats(f["correlated_neurons_l1"]),
        "correlated_neurons_pearson": floats(f["correlated_neurons_pearson"]),
        "decoder_weights_dist": [0.4, 0.3, 0.2, 0.1] if index % 16 == 7 else [],
        "neg_str": f["neg_str"],
        "neg_values": floats(f["neg_values"]),
        "pos_str": f["pos_str"],
        "pos_values": floats(f["pos_values"]),
        "sourceSetName": SOURCE_SET,
        "topkCosSimIndices": [i for i, _ in top_cos],
        "topkCosSimValues": [v for _, v in top_cos],
        "vector": vector,
        "vectorLabel": f"direction {index}" if with_vector else None,
        "hookName": f["hookName"] if with_vector else None,
        "vectorDefaultSteerStrength": float(f["maxActApprox"]) if with_vector else 10.0,
        "hasVector": with_vector,
    }


VECTOR_COLUMNS = ("vector", "vectorLabel", "hookName", "vectorDefaultSteerStrength", "hasVector")
ODD_TOKENS = ("\u0000", "a\u0000b", "é", " — ", "🙂", "Ã©", "日本", "\u0000", '"\\', "</s>")


def pick_activations(rows: list[dict]) -> list[dict]:
    """The first TOP of the top group and OTHER of the intervals; a dead
    feature's all-zero rows are left out."""
    if not any(any(row["values"]) for row in rows):
        return []
    top = [row for row in rows if row["binMin"] == -1][:TOP]
    rest = [row for row in rows if row["binMin"] != -1]
    return top + rest[:1] + rest[-(OTHER - 1):]


def rewrite_contexts(kept: list[dict]) -> None:
    """Shorten some contexts and put odd tokens in some, the same way in every
    row that shares the context, so that shared contexts stay shared."""
    shared = defaultdict(list)
    for row in kept:
        shared[tuple(row["tokens"])].append(row)
    for tokens, rows in shared.items():
        new = list(tokens)
        draw = stable("context", *tokens)
        if draw % 5 == 0:
            needed = max(row["maxValueTokenIndex"] for row in rows) + 1
            new = new[: max(needed, 12 + draw % 7)]
        if draw % 9 == 1:
            new[draw // 9 % len(new)] = ODD_TOKENS[draw // 97 % len(ODD_TOKENS)]
        for row in rows:
            row["tokens"], row["values"] = new, row["values"][: len(new)]


def activation_row(a: dict, n: int) -> dict:
    index, length = a["index"], len(a["tokens"])
    row = {
        "id": cuid(),
        "modelId": MODEL_ID,
        "layer": SOURCE_ID,
        "index": str(index),
        "creatorId": CREATOR,
        "dataSource": "tiny-stdlib-docstrings" if index % 3 else None,
        "tokens": a["tokens"],
        "maxValue": float(a["maxValue"]),
        "minValue": float(min(a["values"])),
        "values": floats(a["values"]),
        "maxValueTokenIndex": a["maxValueTokenIndex"],
        "dfaValues": [],
        "dfaMaxValue": None,
        "dfaTargetIndex": None,
        "binContains": float(a["binContains"]),
        "binMin": float(a["binMin"]),
        "binMax": float(a["binMax"]),
    }
    if index % 12 == 5:
        row["dfaValues"] = [round(rng.gauss(0, 0.3), 3) for _ in range(length)]
        row["dfaMaxValue"] = max(row["dfaValues"])
        row["dfaTargetIndex"] = a["maxValueTokenIndex"]
    if index % 10 == 4:
        row["binContains"] = row["binMin"] = row["binMax"] = None
    if index % 16 == 7 and n % 2 == 0:
        pairs = sorted({(k, q) for q in rng.sample(range(length), 4) for k in rng.sample(range(q + 1), min(2, q + 1))})
        row["zIndices"] = [[k for k, _ in pairs], [q for _, q in pairs]]
        row["zValues"] = [round(rng.uniform(0.01, 1.5), 4) for _ in pairs]
    return row


def embed(text: str) -> list[float]:
    """256 numbers of length 1; texts that share words are close."""
    total = [0.0] * 256
    for word in re.findall(r"\w+|[^\w\s]", text.lower()):
        direction = random.Random(stable("word", word))
        for i in range(256):
            total[i] += direction.gauss(0, 1)
    norm = math.sqrt(sum(v * v for v in total)) or 1.0
    return [round(v / norm, 4) for v in total]


def explanation_rows(f: dict, rows: list[dict]) -> list[dict]:
    index = f["index"]
    draw = stable("explain", index)
    if not rows or draw % 4 == 0:
        return []
    peaks = Counter(row["tokens"][row["maxValueTokenIndex"]].strip() or "line break" for row in rows)
    word = peaks.most_common(1)[0][0].replace("\u0000", "?")
    texts = [(f'the token "{word}" in library documentation', "oai_token-act-pair", "gpt-4o-mini")]
    if draw % 6 == 1:
        before = Counter(
            row["tokens"][row["maxValueTokenIndex"] - 1].strip() or "a space"
            for row in rows if row["maxValueTokenIndex"])
        near = before.most_common(1)[0][0].replace("\u0000", "?") if before else word
        texts.append((f'words after "{near}", promoting "{f["pos_str"][0].strip()}"', "np_max-act-logits", "gemini-2.0-flash"))
    if draw % 10 == 3:
        texts = [(texts[0][0] + " — noted by hand", None, None)]
    out = []
    for text, type_name, explainer in texts:
        vector = embed(text)
        form = stable("embedding", text) % 8
        as_text = "[" + ",".join(map(repr, vector)) + "]"
        out.append({
            "id": cuid(),
            "modelId": MODEL_ID,
            "layer": SOURCE_ID,
            "index": str(index),
            "authorId": CREATOR,
            "description": text,
            "embedding": None if form == 0 else as_text if form < 5 else vector,
            "typeName": type_name,
            "explanationModelName": explainer,
            "umap_x": round(vector[0] * 10, 4),
            "umap_y": round(vector[1] * 10, 4),
            "umap_cluster": None if draw % 13 == 0 else draw % 7,
            "umap_log_feature_sparsity": round(math.log10(f["frac_nonzero"]), 4) if f["frac_nonzero"] else None,
        })
    return out


def cards() -> dict[str, list[dict]]:
    return {
        "model.jsonl": [{
            "id": MODEL_ID, "displayNameShort": "Tiny", "displayName": "Tiny-stdlib", "creatorId": CREATOR,
            "tlensId": None, "openRouterId": None, "dimension": D_MODEL, "thinking": False, "visibility": "PUBLIC",
            "defaultSourceSetName": SOURCE_SET, "defaultSourceId": SOURCE_ID, "defaultGraphSourceSetName": None,
            "inferenceEnabled": True, "instruct": False, "layers": 3, "neuronsPerLayer": 256, "createdAt": CREATED,
            "owner": "LatentDB sample", "updatedAt": CREATED, "website": None}],
        "sourceset.jsonl": [{
            "modelId": MODEL_ID, "name": SOURCE_SET, "hasDashboards": True, "allowInferenceSearch": True,
            "visibility": "PUBLIC", "description": "Residual stream, from the database", "type": "SAE",
            "creatorName": "LatentDB sample", "urls": ["https://docs.python.org/3.11/license.html"],
            "creatorEmail": None, "creatorId": CREATOR, "releaseName": "tiny-stdlib-saes", "hasGraphs": False,
            "graphEnabled": False, "similarityMatrixEnabled": False, "defaultOfModelId": MODEL_ID,
            "defaultGraphModelId": None, "defaultRange": 2, "defaultShowBreaks": False, "showDfa": True,
            "showCorrelated": True, "showHeadAttribution": False, "showUmap": True, "createdAt": CREATED}],
        "source.jsonl": [{
            "id": SOURCE_ID, "modelId": MODEL_ID, "hasDashboards": True, "inferenceEnabled": True,
            "saelensConfig": {"architecture": "standard", "d_in": D_MODEL, "d_sae": 144,
                              "hook_name": "blocks.1.hook_resid_post", "hook_layer": 1, "prepend_bos": True,
                              "context_size": 32, "activation_fn_str": "relu"},
            "saelensRelease": "tiny-stdlib-saes", "saelensSaeId": "blocks.1.hook_resid_post",
            "hfRepoId": "example/tiny-stdlib-saes", "hfFolderId": "res-tiny/layer_1", "visibility": "PUBLIC",
            "defaultOfModelId": MODEL_ID, "setName": SOURCE_SET, "creatorId": CREATOR, "hasUmap": True,
            "hasUmapLogSparsity": False, "hasUmapClusters": False, "num_prompts": 640, "num_tokens_in_prompt": 32,
            "dataset": "tiny-stdlib-docstrings", "notes": "first line\nsecond line", "cosSimMatchModelId": MODEL_ID,
            "cosSimMatchSourceId": FROM_SOURCE, "createdAt": CREATED}],
        "inference_hosts.jsonl": [],
        "inference_hosts_on_source.jsonl": [],
    }


def config() -> dict[str, list[dict]]:
    return {
        "explanation_type.jsonl": [{
            "name": name, "displayName": name, "description": text, "featured": True, "isAttention": False,
            "explainerModelSettingsId": None, "settings": None, "url": None, "creatorName": "LatentDB sample",
            "creatorId": CREATOR, "createdAt": CREATED, "updatedAt": CREATED,
        } for name, text in (("oai_token-act-pair", "Tokens with their activations"),
                             ("np_max-act-logits", "Top activations and logits"))],
        "explanation_model_type.jsonl": [{
            "name": name, "displayName": name, "description": "", "featured": True, "openRouterModelId": None,
            "url": None, "creatorName": maker, "createdAt": CREATED, "updatedAt": CREATED,
        } for name, maker in (("gpt-4o-mini", "OpenAI"), ("gemini-2.0-flash", "Google"))],
    }


def main() -> None:
    features, by_feature = read("features"), defaultdict(list)
    for row in read("activations"):
        by_feature[row["index"]].append(row)
    kept = {f["index"]: pick_activations(by_feature[f["index"]]) for f in features}
    rewrite_contexts([row for rows in kept.values() for row in rows])

    shutil.rmtree(ROOT, ignore_errors=True)
    TO.mkdir(parents=True)
    (ROOT / "config").mkdir()
    for name, rows in cards().items():
        (TO / name).write_bytes(jsonl(rows))
    for name, rows in config().items():
        (ROOT / "config" / name).write_bytes(jsonl(rows))

    in_text_order = sorted(features, key=lambda f: str(f["index"]))
    last = (len(features) - 1) // BATCH
    explanations = []
    for number in range(last + 1):
        batch = []
        for f in in_text_order[number * BATCH : (number + 1) * BATCH]:
            # Latents of the first export most alike this one: stand-in values.
            near = sorted(rng.sample(range(len(features)), 5)) if f["index"] % 2 else []
            row = feature_row(f, [(i, round(0.9 - 0.05 * k, 4)) for k, i in enumerate(near)])
            if number == last:
                row = {k: v for k, v in row.items() if k not in VECTOR_COLUMNS}
            batch.append(row)
            explanations += explanation_rows(f, kept[f["index"]])
        write_batch("features", number, batch)

        low = number * BATCH
        rows = [activation_row(a, n) for i in range(low, min(low + BATCH, len(features)))
                for n, a in enumerate(kept[i])]
        rng.shuffle(rows)
        write_batch("activations", number, rows)
    for number in range((len(explanations) + BATCH - 1) // BATCH):
        write_batch("explanations", number, explanations[number * BATCH : (number + 1) * BATCH])


if __name__ == "__main__":
    main()
