"""Fits the demo model's Jacobian lens: how its last stream moves with the stream after each block, on average.

    python fit_lens.py model/ texts.parquet lens.safetensors

Each text gives one Jacobian a block, at a random position: of the stream that goes into the final norm there, by the stream after
the block there. The file has their averages, `J.0`, `J.1`, …, in f16; the last block needs none.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import pyarrow.parquet as pq
import torch
from safetensors.torch import save_file
from transformers import AutoTokenizer, GPT2LMHeadModel

LENGTH = 96
"""Tokens of a text that are read; shorter texts are left out."""
FIRST = 8
"""Positions before this one know too little of their text to speak for it."""
TOGETHER = 64
"""Texts that are read in one pass."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("texts", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--n-prompts", type=int, default=64)
    asked = parser.parse_args()
    net = GPT2LMHeadModel.from_pretrained(asked.model, dtype=torch.float32).eval().requires_grad_(False)
    tokenizer = AutoTokenizer.from_pretrained(asked.model)
    ids = [tokenizer(text)["input_ids"][:LENGTH] for text in pq.read_table(asked.texts)["text"].to_pylist()]
    prompts = torch.tensor([row for row in ids if len(row) == LENGTH][: asked.n_prompts])
    chance = torch.Generator().manual_seed(1)
    sums = [torch.zeros(net.config.n_embd, net.config.n_embd) for _ in range(net.config.n_layer - 1)]
    for some in prompts.split(TOGETHER):
        at = torch.randint(FIRST, LENGTH, (len(some),), generator=chance)
        for total, jacobian in zip(sums, jacobians(net, some, at), strict=True):
            total += jacobian
        print(f"{len(some)} texts read", flush=True)
    save_file({f"J.{block}": (total / len(prompts)).half() for block, total in enumerate(sums)}, asked.out)
    print(f"{asked.out}: the average over {len(prompts)} texts")


def jacobians(net: GPT2LMHeadModel, prompts: torch.Tensor, at: torch.Tensor) -> list[torch.Tensor]:
    """For each block but the last, the sum over prompts of d last[at] / d stream[at], `[d, d]`."""
    rows = torch.arange(len(prompts))
    embedded = net.transformer.wte(prompts).requires_grad_(True)
    # The last of hidden_states is behind the final norm, so what goes into it is caught on its way.
    caught: list[torch.Tensor] = []
    hook = net.transformer.ln_f.register_forward_pre_hook(lambda _module, args: caught.append(args[0]))
    try:
        streams = net.transformer(inputs_embeds=embedded, output_hidden_states=True).hidden_states[1:-1]
    finally:
        hook.remove()
    last = caught[0][rows, at]
    found = [torch.empty(last.shape[1], last.shape[1]) for _ in streams]
    for output in range(last.shape[1]):
        slopes = torch.autograd.grad(last[:, output].sum(), streams, retain_graph=True)
        for jacobian, slope in zip(found, slopes, strict=True):
            jacobian[output] = slope[rows, at].sum(0)
    return found


if __name__ == "__main__":
    main()
