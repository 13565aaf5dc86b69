"""SAEDashboard, as Neuronpedia's pipeline runs it: the peer of `latentdb generate`.

    python dashboards.py FOLDER --features 256      # prints one JSON object

Runs in a process of its own, so that its memory is its own. FOLDER is made by made_up_corpus.py. Its NeuronpediaRunner is
not used: it takes models by name and streams a data set. What that does for each batch of features is done here.
"""

from __future__ import annotations

import argparse
import gc
import json
import resource
import shutil
import time
from importlib.metadata import version
from pathlib import Path

import torch
from sae_dashboard.components_config import (
    ActsHistogramConfig,
    Column,
    FeatureTablesConfig,
    LogitsHistogramConfig,
    LogitsTableConfig,
    SequencesConfig,
)
from sae_dashboard.layout import SaeVisLayoutConfig
from sae_dashboard.neuronpedia.neuronpedia_converter import NeuronpediaConverter
from sae_dashboard.neuronpedia.neuronpedia_runner_config import NeuronpediaRunnerConfig
from sae_dashboard.sae_vis_data import SaeVisConfig
from sae_dashboard.sae_vis_runner import SaeVisRunner
from sae_lens import SAE, HookedSAETransformer
from transformer_lens import HookedTransformerConfig
from transformer_lens.pretrained.weight_conversions import convert_gpt2_weights
from transformers import AutoTokenizer, GPT2LMHeadModel

BATCH = 128
"""Features at a time, and `PROMPTS` in a forward pass: the defaults of NeuronpediaRunner."""
PROMPTS = 32


class Peer:
    def __init__(self, folder: Path):
        self.net = model(folder / "model")
        place = next((folder / "sources").iterdir())
        self.sae = SAE.load_from_disk(place, device="cpu")
        self.sae.fold_W_dec_norm()
        lines = (folder / "corpus.jsonl").read_text().splitlines()
        self.tokens = torch.tensor([json.loads(line)["tokens"] for line in lines])
        self.words = {number: word for word, number in self.net.tokenizer.vocab.items()}
        self.out = folder / "sae-dashboard"
        shutil.rmtree(self.out, ignore_errors=True)
        self.out.mkdir()
        self.settings = NeuronpediaRunnerConfig(
            sae_set="res", sae_path="", outputs_dir="", huggingface_dataset_path="made-up", model_id="gpt2-shape",
            layer=int(place.name.split("-")[0]), n_prompts_total=len(self.tokens), n_tokens_in_prompt=self.tokens.shape[1],
        )  # fmt: skip

    def dashboards(self, features: list[int]) -> tuple[dict, float, float]:
        """(what it is compared by, seconds, seconds of these for the JSON) of one batch."""
        start = time.perf_counter()
        data = SaeVisRunner(self.config(features)).run(encoder=self.sae, model=self.net, tokens=self.tokens)
        made = time.perf_counter()
        text = NeuronpediaConverter.convert_to_np_json(self.net, data, self.settings, self.words)
        (self.out / f"batch-{features[0]}.json").write_text(text)
        del data
        gc.collect()
        end = time.perf_counter()
        found = {f["feature_index"]: (f["frac_nonzero"], strongest(f)) for f in json.loads(text)["features"]}
        return found, end - start, end - made

    def config(self, features: list[int]) -> SaeVisConfig:
        parts = Column(
            SequencesConfig(
                stack_mode="stack-all", buffer=None, compute_buffer=True, n_quantiles=5, top_acts_group_size=20,
                quantile_group_size=5,
            ),
            ActsHistogramConfig(), LogitsHistogramConfig(), LogitsTableConfig(), FeatureTablesConfig(n_rows=3),
        )  # fmt: skip
        return SaeVisConfig(
            hook_point=self.sae.cfg.metadata.hook_name, features=features, minibatch_size_features=BATCH,
            minibatch_size_tokens=PROMPTS, quantile_feature_batch_size=64, device="cpu", dtype="float32",
            feature_centric_layout=SaeVisLayoutConfig(columns=[parts]), cache_dir=self.out / "cache",
            ignore_tokens={self.net.tokenizer.bos_token_id},
        )  # fmt: skip


def model(path: Path) -> HookedSAETransformer:
    hf = GPT2LMHeadModel.from_pretrained(path, dtype=torch.float32, attn_implementation="eager").eval()
    c = hf.config
    cfg = HookedTransformerConfig(
        n_layers=c.n_layer, d_model=c.n_embd, n_ctx=c.n_positions, d_head=c.n_embd // c.n_head, n_heads=c.n_head,
        d_mlp=4 * c.n_embd, d_vocab=c.vocab_size, act_fn="gelu_new", normalization_type="LN", device="cpu",
        eps=c.layer_norm_epsilon, model_name="gpt2-shape", init_weights=False,
    )  # fmt: skip
    net = HookedSAETransformer(cfg)
    net.load_state_dict(convert_gpt2_weights(hf, cfg), strict=False)
    net.tokenizer = AutoTokenizer.from_pretrained(path)
    return net.eval()


def strongest(feature: dict) -> float:
    return max((max(activation["values"]) for activation in feature["activations"]), default=0.0)


def peak_mib() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--features", type=int, default=256)
    asked = parser.parse_args()
    start = time.perf_counter()
    peer = Peer(asked.folder)
    load, peak_at_load = time.perf_counter() - start, peak_mib()
    size = min(BATCH, asked.features // 2)  # at least two batches: the first one runs the model
    found, seconds, json_seconds = {}, [], []
    for features in torch.arange(asked.features).split(size):
        made, whole, writing = peer.dashboards(features.tolist())
        found |= made
        seconds.append(whole)
        json_seconds.append(writing)
    shutil.rmtree(peer.out)
    print(json.dumps({
        "load_seconds": load,
        "batch": size,
        "seconds": seconds,
        "json_seconds": json_seconds,
        "peak_mib": peak_mib(),
        "peak_at_load_mib": peak_at_load,
        "versions": {name: version(name) for name in ("sae-dashboard", "sae-lens", "transformer-lens", "torch")},
        "found": found,
    }))  # fmt: skip


if __name__ == "__main__":
    main()
