"""A model of GPT-2 small's shape with random weights, an SAE on each of its residual streams, and prompts for it.

    python made_up_model.py FOLDER            # writes model/, sources/{layer}-res/ and prompts.json

Words of the vocabulary are tokens, so that a prompt has the length that is wanted. Needs what requirements-models.txt names.
"""

from __future__ import annotations

import argparse
import json
import random
from pathlib import Path

import torch
from sae_lens import StandardSAE, StandardSAEConfig
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import GPT2Config, GPT2LMHeadModel, PreTrainedTokenizerFast

LAYERS, WIDTH, FEATURES, VOCABULARY = 12, 768, 24_576, 50_257
BOS = "<|endoftext|>"
ACTIVE = 64
"""Features that are to be active on a token."""


def make(folder: Path, prompts: int, tokens: int) -> None:
    """Writes what is not there yet."""
    if (folder / "prompts.json").exists():
        return
    torch.manual_seed(0)
    words = [BOS] + [f"w{number}" for number in range(1, VOCABULARY)]
    tokenizer(words).save_pretrained(folder / "model")
    net = GPT2LMHeadModel(GPT2Config(bos_token_id=0, eos_token_id=0)).float().eval()
    net.save_pretrained(folder / "model", safe_serialization=True)
    choice = random.Random(0)
    texts = [" ".join(choice.choices(words[1:], k=tokens - 1)) for _ in range(prompts)]
    streams = residual_streams(net, texts[:2], words)
    for layer in range(LAYERS):
        source(folder / f"sources/{layer}-res", layer, streams[layer])
    (folder / "prompts.json").write_text(json.dumps(texts))


def tokenizer(words: list[str]) -> PreTrainedTokenizerFast:
    tok = Tokenizer(models.WordLevel({word: number for number, word in enumerate(words)}, unk_token=BOS))
    tok.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tok.decoder = decoders.WordPiece()
    return PreTrainedTokenizerFast(tokenizer_object=tok, bos_token=BOS, eos_token=BOS, unk_token=BOS)


@torch.no_grad()
def residual_streams(net: GPT2LMHeadModel, texts: list[str], words: list[str]) -> list[torch.Tensor]:
    numbers = {word: number for number, word in enumerate(words)}
    ids = torch.tensor([[0] + [numbers[word] for word in text.split()] for text in texts])
    return [stream.reshape(-1, WIDTH) for stream in net(ids, output_hidden_states=True).hidden_states]


@torch.no_grad()
def source(path: Path, layer: int, stream: torch.Tensor, features: int = FEATURES, spread: float = 0.0) -> None:
    """An SAE whose decoder is random and whose encoder is its transpose, with as many active features as a trained one. Their
    thresholds lie `spread` apart, in standard deviations of what is compared with them."""
    sae = StandardSAE(StandardSAEConfig(d_in=WIDTH, d_sae=features, dtype="float32", device="cpu"))
    sae.W_dec.normal_()
    sae.W_dec /= sae.W_dec.norm(dim=1, keepdim=True)
    sae.W_enc.copy_(sae.W_dec.T)
    sae.b_dec.copy_(stream.mean(dim=0))
    pre = (stream - sae.b_dec) @ sae.W_enc
    shifts = torch.randn(features) * spread * pre.std()
    pre += shifts
    sae.b_enc.copy_(shifts - pre.flatten().sort().values[-ACTIVE * len(stream)])
    sae.cfg.metadata.hook_name = f"blocks.{layer}.hook_resid_pre"
    sae.cfg.metadata.model_name = "gpt2-shape"
    sae.save_model(path)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--prompts", type=int, default=32)
    parser.add_argument("--tokens", type=int, default=128)
    asked = parser.parse_args()
    make(asked.folder, asked.prompts, asked.tokens)
