"""Trains the demo's sources: an SAE on every residual stream and a transcoder on every MLP, in SAELens' format.

    python train_sources.py corpus.jsonl model/ sources/ --steps 1500

All are trained at once, on the activations of one pass of the model, and are JumpReLU dictionaries with one threshold,
which is moved as training goes on so that a token has K active latents on average (BatchTopK in the limit of a large
batch). Latents that have not fired for a while are trained on what the others leave over (AuxK). Position 0, the
`<|endoftext|>`, is left out.

Goes on from `sources/training.pt` if that is there.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import save_file
from text import CONTEXT, Text
from transformers import GPT2LMHeadModel

MODEL = "docs-3m"
LATENTS = 1024
ACTIVE = {"res": 24, "tc": 20}
BATCH = 16
PEAK_RATE = 1e-3
DEAD_AFTER = 150
"""Steps without firing after which a latent counts as dead."""
AUX_ACTIVE = 64
AUX_TOKENS = 768
AUX_WEIGHT = 1 / 32
SAVE_EVERY = 100


@dataclass(frozen=True)
class Site:
    """What a source reads and what it is to give back."""

    source: str
    layer: int
    read: str
    write: str

    @property
    def kind(self) -> str:
        return self.source.split("-")[1]


def sites(layers: int) -> list[Site]:
    found = []
    for layer in range(layers):
        stream = f"blocks.{layer}.hook_resid_pre"
        found.append(Site(f"{layer}-res", layer, stream, stream))
    last = f"blocks.{layers - 1}.hook_resid_post"
    found.append(Site(f"{layers}-res", layers - 1, last, last))
    for layer in range(layers):
        found.append(Site(f"{layer}-tc", layer, f"blocks.{layer}.mlp.hook_in", f"blocks.{layer}.hook_mlp_out"))
    return found


class Activations:
    """The model's activations by TransformerLens' hook names."""

    def __init__(self, model: GPT2LMHeadModel):
        self.model = model
        self.found: dict[str, torch.Tensor] = {}
        for layer, block in enumerate(model.transformer.h):
            block.register_forward_pre_hook(self._keep_input(f"blocks.{layer}.hook_resid_pre"))
            block.mlp.register_forward_pre_hook(self._keep_input(f"blocks.{layer}.mlp.hook_in"))
            block.mlp.register_forward_hook(self._keep_output(f"blocks.{layer}.hook_mlp_out"))
        block.register_forward_hook(self._keep_output(f"blocks.{layer}.hook_resid_post"))

    def _keep_input(self, name: str):
        def keep(module, arguments):
            self.found[name] = arguments[0]

        return keep

    def _keep_output(self, name: str):
        def keep(module, arguments, output):
            self.found[name] = output[0] if isinstance(output, tuple) else output

        return keep

    @torch.no_grad()
    def of(self, ids: torch.Tensor) -> dict[str, torch.Tensor]:
        """Each `[tokens, d_model]`, without position 0."""
        self.model.transformer(ids)
        return {name: found[:, 1:].reshape(-1, found.shape[-1]).float() for name, found in self.found.items()}


class Dictionary(torch.nn.Module):
    """f = relu(p)·[p > θ] with p = (s·x − b_in) W_enc + b_enc; output f W_dec + b_dec, in units of the scaled target."""

    def __init__(self, site: Site, x: torch.Tensor, y: torch.Tensor):
        super().__init__()
        self.site = site
        width_in, width_out = x.shape[1], y.shape[1]
        self.register_buffer("scale_in", math.sqrt(width_in) / x.norm(dim=1).mean())
        self.register_buffer("scale_out", math.sqrt(width_out) / y.norm(dim=1).mean())
        decoder = torch.nn.functional.normalize(torch.randn(LATENTS, width_out), dim=1)
        encoder = decoder if site.kind == "res" else torch.nn.functional.normalize(torch.randn(LATENTS, width_in), dim=1)
        self.W_dec = torch.nn.Parameter(decoder.clone())
        self.W_enc = torch.nn.Parameter(encoder.T.clone())
        self.b_enc = torch.nn.Parameter(torch.zeros(LATENTS))
        self.b_dec = torch.nn.Parameter((y * self.scale_out).mean(dim=0))
        self.register_buffer("threshold", torch.tensor(0.3))
        self.register_buffer("idle", torch.zeros(LATENTS, dtype=torch.int64))

    def pre_activations(self, x: torch.Tensor) -> torch.Tensor:
        x = x * self.scale_in
        if self.site.kind == "res":
            x = x - self.b_dec
        return x @ self.W_enc + self.b_enc

    def loss(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        target = y * self.scale_out
        pre = self.pre_activations(x)
        active = pre > self.threshold
        acts = torch.relu(pre) * active
        error = target - (acts @ self.W_dec + self.b_dec)
        loss = error.square().sum(dim=1).mean()
        with torch.no_grad():
            excess = active.sum().item() / len(x) / ACTIVE[self.site.kind]
            self.threshold.mul_(1 + 0.02 * math.tanh(excess - 1)).clamp_(min=1e-3)
            self.idle += 1
            self.idle[active.any(dim=0)] = 0
        dead = self.idle > DEAD_AFTER
        if dead.sum() >= 8:
            spare = pre[:AUX_TOKENS, dead]
            best = spare.topk(min(AUX_ACTIVE, spare.shape[1]), dim=1)
            revived = torch.zeros_like(spare).scatter(1, best.indices, torch.relu(best.values)) @ self.W_dec[dead]
            loss = loss + AUX_WEIGHT * (error[:AUX_TOKENS].detach() - revived).square().sum(dim=1).mean()
        return loss

    @torch.no_grad()
    def keep_decoder_unit(self) -> None:
        self.W_dec.div_(self.W_dec.norm(dim=1, keepdim=True).clamp(min=1e-6))

    @torch.no_grad()
    def weights(self) -> dict[str, torch.Tensor]:
        """In SAELens' terms, with the scales folded in."""
        scale_in, scale_out = self.scale_in, self.scale_out
        return {
            "W_enc": self.W_enc * scale_in,
            "b_enc": self.b_enc.clone(),
            "W_dec": self.W_dec / scale_out,
            "b_dec": self.b_dec / scale_out,
            "threshold": torch.full((LATENTS,), self.threshold.item()),
        }

    def config(self, width: int) -> dict:
        transcoder = self.site.kind == "tc"
        metadata = {"model_name": MODEL, "hook_name": self.site.read, "prepend_bos": True, "context_size": CONTEXT,
                    "neuronpedia_id": f"{MODEL}/{self.site.source}"}  # fmt: skip
        config = {"architecture": "jumprelu_transcoder" if transcoder else "jumprelu", "d_in": width, "d_sae": LATENTS,
                  "dtype": "float32", "device": "cpu", "apply_b_dec_to_input": not transcoder,
                  "normalize_activations": "none", "reshape_activations": "none"}  # fmt: skip
        if transcoder:
            config["d_out"] = width
            metadata["hook_name_out"] = self.site.write
        return {**config, "metadata": metadata}


@torch.no_grad()
def measure(dictionaries: list[Dictionary], activations: Activations, text: Text) -> dict[str, dict[str, float]]:
    """L0, explained variance and dead latents of what will be saved, on held-out documents."""
    random = torch.Generator().manual_seed(1)
    batches = [text.batch(BATCH, random, text.held_out) for _ in range(40)]
    sums = {d.site.source: {"l0": 0.0, "error": 0.0, "variance": 0.0, "tokens": 0, "fired": torch.zeros(LATENTS)} for d in dictionaries}
    for ids in batches:
        found = activations.of(ids)
        for dictionary in dictionaries:
            x, y = found[dictionary.site.read], found[dictionary.site.write]
            pre = dictionary.pre_activations(x)
            acts = torch.relu(pre) * (pre > dictionary.threshold)
            error = y - (acts @ dictionary.W_dec + dictionary.b_dec) / dictionary.scale_out
            row = sums[dictionary.site.source]
            row["l0"] += (acts > 0).sum().item()
            row["error"] += error.square().sum().item()
            row["variance"] += (y - y.mean(dim=0)).square().sum().item()
            row["tokens"] += len(x)
            row["fired"] += (acts > 0).sum(dim=0)
    return {
        source: {
            "l0": round(row["l0"] / row["tokens"], 2),
            "explained_variance": round(1 - row["error"] / row["variance"], 4),
            "dead_fraction": round((row["fired"] == 0).float().mean().item(), 4),
        }
        for source, row in sums.items()
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("corpus", type=Path)
    parser.add_argument("model", type=Path)
    parser.add_argument("sources", type=Path)
    parser.add_argument("--steps", type=int, default=1500)
    asked = parser.parse_args()
    device = "cuda" if torch.cuda.is_available() else "cpu"
    torch.manual_seed(0)
    text = Text(asked.corpus, asked.model / "tokenizer.json")
    model = GPT2LMHeadModel.from_pretrained(asked.model, dtype=torch.float32).to(device).eval()
    activations = Activations(model)
    first = activations.of(text.batch(BATCH, torch.Generator().manual_seed(999)).to(device))
    dictionaries = [Dictionary(site, first[site.read], first[site.write]).to(device) for site in sites(model.config.n_layer)]
    optimizer = torch.optim.Adam([p for d in dictionaries for p in d.parameters()], lr=PEAK_RATE, betas=(0.9, 0.99))
    asked.sources.mkdir(parents=True, exist_ok=True)
    checkpoint = asked.sources / "training.pt"
    step = 0
    if checkpoint.is_file():
        saved = torch.load(checkpoint, weights_only=True)
        for dictionary, state in zip(dictionaries, saved["dictionaries"], strict=True):
            dictionary.load_state_dict(state)
        optimizer.load_state_dict(saved["optimizer"])
        step = saved["step"]
    started, begun = time.monotonic(), step
    while step < asked.steps:
        left = (asked.steps - step) / asked.steps
        for group in optimizer.param_groups:
            group["lr"] = PEAK_RATE * min(1.0, (step + 1) / 50, left / 0.25)
        found = activations.of(text.batch(BATCH, torch.Generator().manual_seed(5000 + step)).to(device))
        optimizer.zero_grad(set_to_none=True)
        losses = []
        for dictionary in dictionaries:
            loss = dictionary.loss(found[dictionary.site.read], found[dictionary.site.write])
            loss.backward()
            losses.append(loss.item())
        optimizer.step()
        for dictionary in dictionaries:
            dictionary.keep_decoder_unit()
        step += 1
        if step % SAVE_EVERY == 0 or step == asked.steps:
            speed = (step - begun) * BATCH * CONTEXT / (time.monotonic() - started)
            print(f"step {step}: mean loss {sum(losses) / len(losses):.2f}, {speed:,.0f} tokens/s", flush=True)
            for source, row in measure(dictionaries, activations, text).items():
                print(f"    {source:6} {row}", flush=True)
            state = {"dictionaries": [d.state_dict() for d in dictionaries], "optimizer": optimizer.state_dict(), "step": step}
            torch.save(state, checkpoint.with_suffix(".partial"))
            checkpoint.with_suffix(".partial").replace(checkpoint)
    for dictionary in dictionaries:
        folder = asked.sources / dictionary.site.source
        folder.mkdir(exist_ok=True)
        weights = {name: tensor.to("cpu", torch.float16).contiguous() for name, tensor in dictionary.weights().items()}
        save_file(weights, folder / "sae_weights.safetensors")
        (folder / "cfg.json").write_text(json.dumps(dictionary.config(model.config.n_embd), indent=2) + "\n")
    facts = {"steps": step, "tokens": step * BATCH * (CONTEXT - 1), "sources": measure(dictionaries, activations, text)}
    (asked.sources / "training.json").write_text(json.dumps(facts, indent=2) + "\n")
    checkpoint.unlink()


if __name__ == "__main__":
    main()
