"""Writes `public.json.gz`, the public sources and models that LatentDB knows by name, from SAELens' list.

    python make.py

Needs `sae-lens` and `transformer-lens` (the versions that it ran with are written into the file), and no network: the
list is part of the package. What SAELens derives from a repository's name in code rather than in the list (hook points
of Gemma Scope and others, the k of Qwen Scope) is asked of that code here, and kept with each source.

    {"made_from": "sae-lens 6.54.12",
     "models": {"gpt2-small": "openai-community/gpt2", ...},
     "releases": {"gpt2-small-res-jb": {"repo": ..., "model": ..., "format": ..., "overrides": {...}, "sources":
        [[id, path or null if it is the id, neuronpedia or null, norm_scaling_factor or null, l0 or null, hook_name or null, k or null], ...]}}}
"""

from __future__ import annotations

import gzip
import json
from importlib.metadata import version
from importlib.resources import files
from pathlib import Path

import yaml
from sae_lens.loading import pretrained_sae_loaders as loaders
from transformer_lens.loading_from_pretrained import get_official_model_name
from transformer_lens.supported_models import MODEL_ALIASES

DERIVED = {
    "gemma_2": loaders.get_gemma_2_config_from_hf,
    "gemma_2_transcoder": loaders.get_gemma_2_transcoder_config_from_hf,
    "goodfire": loaders.get_goodfire_config_from_hf,
    "deepseek_r1": loaders.get_deepseek_r1_config_from_hf,
    "qwen_scope": loaders.get_qwen_scope_config_from_hf,
}
"""Formats whose configuration SAELens makes of the names alone."""

FORMATS = {None: "sae_lens"}
"""The list's names of formats that are not ours."""

HUGGING_FACE = {
    "llama3.1-8b": "meta-llama/Llama-3.1-8B",
    "llama3.1-8b-it": "meta-llama/Llama-3.1-8B-Instruct",
    "llama3.3-70b-it": "meta-llama/Llama-3.3-70B-Instruct",
    "deepseek-r1-distill-llama-8b": "deepseek-ai/DeepSeek-R1-Distill-Llama-8B",
    "llama3-8b-it": "meta-llama/Meta-Llama-3-8B-Instruct",
    "gemma-2b-it": "google/gemma-2b-it",
    "gemma-3-1b": "google/gemma-3-1b-pt",
    "gemma-3-4b": "google/gemma-3-4b-pt",
    "gemma-3-12b": "google/gemma-3-12b-pt",
    "gemma-3-27b": "google/gemma-3-27b-pt",
    "qwen2.5-7b-it": "Qwen/Qwen2.5-7B-Instruct",
}
"""Neuronpedia's model ids that TransformerLens does not know, or that it has for another model."""

FAMILIES = ("gpt2", "distilgpt2", "EleutherAI/pythia", "meta-llama/", "mistralai/Mistral", "google/gemma", "Qwen/Qwen1.5", "Qwen/Qwen2", "Qwen/Qwen3")
"""How the repositories start of which every model that TransformerLens has a short name for is taken in."""

OVERRIDES_LEFT_OUT = {"dataset_path", "model_name"}
"""Say nothing about how a source is read."""


def path_of(kind: str | None, path: str | int) -> str:
    """Where the files are in the repository: a folder, or a file."""
    if kind == "mntss_clt_layer_transcoder":
        return f"W_enc_{path}.safetensors"
    if kind == "gemma_3" and "clt" in str(path):
        return f"{path}.safetensors"
    return str(path)


def derived(kind: str | None, repo: str, path: str) -> tuple[str | None, int | None]:
    """Hook point and k, where SAELens' code knows them from the names."""
    if kind not in DERIVED:
        return None, None
    config = DERIVED[kind](repo, path, "cpu")
    return config["hook_name"], config.get("k") or config.get("activation_fn_kwargs", {}).get("k")


def source(release: dict, entry: dict) -> list:
    kind = release.get("conversion_func")
    path = path_of(kind, entry["path"])
    hook, k = derived(kind, release["repo_id"], path)
    return [
        entry["id"],
        None if path == entry["id"] else path,
        entry.get("neuronpedia"),
        entry.get("norm_scaling_factor"),
        entry.get("l0"),
        hook,
        k,
    ]


def compact(release: dict) -> dict:
    kind = release.get("conversion_func")
    overrides = {key: value for key, value in (release.get("config_overrides") or {}).items() if key not in OVERRIDES_LEFT_OUT}
    found = {
        "repo": release["repo_id"],
        "model": release["model"],
        "format": FORMATS.get(kind, kind),
        "sources": [source(release, entry) for entry in release["saes"]],
    }
    return {**found, "overrides": overrides} if overrides else found


def model_repositories(releases: dict) -> dict[str, str]:
    """The Hugging Face repository of every model, by Neuronpedia's id and by the list's name."""
    names = {release["model"] for release in releases.values()}
    for release in releases.values():
        names |= {entry["neuronpedia"].split("/")[0] for entry in release["saes"] if entry.get("neuronpedia")}
    known = {official: [*aliases, official] for official, aliases in MODEL_ALIASES.items() if official.startswith(FAMILIES)}
    found = {alias.lower(): official for official, aliases in known.items() for alias in aliases}
    found = {name: official for name, official in found.items() if "/" not in name}
    for name in sorted(names):
        if name in HUGGING_FACE:
            found[name] = HUGGING_FACE[name]
        elif "/" not in name:
            try:
                found[name] = get_official_model_name(name)
            except ValueError:
                print(f"no repository is known for the model {name}")
    # GPT-2's repositories have moved to an organisation since.
    return {name: f"openai-community/{to}" if to.startswith("gpt2") else to for name, to in found.items()}


def main() -> None:
    text = files("sae_lens").joinpath("pretrained_saes.yaml").read_text()
    releases = yaml.load(text, Loader=yaml.CSafeLoader)
    registry = {
        "made_from": f"sae-lens {version('sae-lens')}, transformer-lens {version('transformer-lens')}",
        "models": model_repositories(releases),
        "releases": {name: compact(release) for name, release in sorted(releases.items())},
    }
    packed = gzip.compress(json.dumps(registry, separators=(",", ":"), sort_keys=True).encode(), 9, mtime=0)
    Path(__file__).with_name("public.json.gz").write_bytes(packed)
    count = sum(len(release["sources"]) for release in registry["releases"].values())
    print(f"{len(registry['releases'])} releases, {count} sources, {len(registry['models'])} models, {len(packed)} bytes")


if __name__ == "__main__":
    main()
