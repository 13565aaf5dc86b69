"""A model of GPT-2 small's shape with random weights, one SAE in its middle, and a corpus of token ids for both.

    python made_up_corpus.py FOLDER            # writes model/, sources/{layer}-res/ and corpus.jsonl

The SAE fires as a trained one does: about 64 features on a token, some features a hundred times as often as others. Needs
what requirements-dashboards.txt names.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import torch
from transformers import GPT2Config, GPT2LMHeadModel

from made_up_model import BOS, VOCABULARY, WIDTH, source, tokenizer

SPREAD = 0.5
"""How far apart the thresholds of the features lie, in standard deviations of what is compared with them."""
CALIBRATED = 8
"""Prompts that the thresholds are set on."""


def make(folder: Path, layers: int, features: int, prompts: int, tokens: int) -> None:
    """Writes what is not there yet."""
    corpus = folder / "corpus.jsonl"
    if corpus.exists():
        return
    torch.manual_seed(0)
    tokenizer([f"w{number}" for number in range(VOCABULARY - 1)] + [BOS]).save_pretrained(folder / "model")
    net = GPT2LMHeadModel(GPT2Config(n_layer=layers)).float().eval()
    net.save_pretrained(folder / "model", safe_serialization=True)
    ids = token_ids(prompts, tokens)
    with torch.no_grad():
        streams = net.transformer(ids[:CALIBRATED], output_hidden_states=True).hidden_states
    layer = layers // 2
    source(folder / f"sources/{layer}-res", layer, streams[layer][:, 1:].reshape(-1, WIDTH), features, SPREAD)
    corpus.write_text("".join(json.dumps({"tokens": row}) + "\n" for row in ids.tolist()))


def token_ids(prompts: int, tokens: int) -> torch.Tensor:
    """[prompts, tokens]: BOS, then words, a few of which make up most of the text, as in languages."""
    frequency = 1 / torch.arange(3, VOCABULARY + 2, dtype=torch.float32)
    words = torch.multinomial(frequency, prompts * (tokens - 1), replacement=True).view(prompts, -1)
    return torch.cat([torch.full((prompts, 1), VOCABULARY - 1), words], dim=1)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--layers", type=int, default=12)
    parser.add_argument("--features", type=int, default=24_576)
    parser.add_argument("--prompts", type=int, default=256)
    parser.add_argument("--tokens", type=int, default=128)
    make(**vars(parser.parse_args()))
