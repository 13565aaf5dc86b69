"""Trains the demo model: a GPT-2 of 6 layers × 192, in Hugging Face's format.

    python train_model.py corpus.jsonl model/ --steps 8000

Goes on from `model/training.pt` if that is there.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from pathlib import Path

import torch
from text import CONTEXT, Text
from transformers import GPT2Config, GPT2LMHeadModel

BATCH = 24
PEAK_RATE = 2e-3
WARM_UP = 200
WEIGHT_DECAY = 0.05
SAVE_EVERY = 250


def rate(step: int, steps: int) -> float:
    """Learning rate: linear up, cosine down to a twentieth."""
    if step < WARM_UP:
        return PEAK_RATE * (step + 1) / WARM_UP
    done = (step - WARM_UP) / max(1, steps - WARM_UP)
    return PEAK_RATE * (0.05 + 0.95 * 0.5 * (1 + math.cos(math.pi * done)))


def new_model() -> GPT2LMHeadModel:
    torch.manual_seed(0)
    return GPT2LMHeadModel(
        GPT2Config(
            vocab_size=4096, n_positions=CONTEXT, n_embd=192, n_layer=6, n_head=6, bos_token_id=0, eos_token_id=0,
            resid_pdrop=0.0, embd_pdrop=0.0, attn_pdrop=0.0,
        )
    )  # fmt: skip


@torch.no_grad()
def held_out_loss(model: GPT2LMHeadModel, text: Text) -> float:
    """Mean cross-entropy in nats over fixed sequences of documents that were not trained on."""
    random = torch.Generator().manual_seed(1)
    losses = [model(ids, labels=ids).loss.item() for ids in (text.batch(16, random, text.held_out) for _ in range(16))]
    return sum(losses) / len(losses)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("corpus", type=Path)
    parser.add_argument("model", type=Path)
    parser.add_argument("--steps", type=int, default=8000)
    asked = parser.parse_args()
    device = "cuda" if torch.cuda.is_available() else "cpu"
    text = Text(asked.corpus, asked.model / "tokenizer.json")
    print(f"{len(text.training):,} tokens to train on, {len(text.held_out):,} held out", flush=True)
    model = new_model().to(device)
    decayed = [parameter for parameter in model.parameters() if parameter.ndim >= 2]
    others = [parameter for parameter in model.parameters() if parameter.ndim < 2]
    groups = [{"params": decayed, "weight_decay": WEIGHT_DECAY}, {"params": others, "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, lr=PEAK_RATE, betas=(0.9, 0.98))
    checkpoint = asked.model / "training.pt"
    step = 0
    if checkpoint.is_file():
        saved = torch.load(checkpoint, weights_only=True)
        model.load_state_dict(saved["model"])
        optimizer.load_state_dict(saved["optimizer"])
        step = saved["step"]
    started, first = time.monotonic(), step
    while step < asked.steps:
        for group in optimizer.param_groups:
            group["lr"] = rate(step, asked.steps)
        # The step seeds its batch, so that a run that was cut off goes on as it would have.
        ids = text.batch(BATCH, torch.Generator().manual_seed(1000 + step)).to(device)
        loss = model(ids, labels=ids).loss
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        step += 1
        if step % SAVE_EVERY == 0 or step == asked.steps:
            speed = (step - first) * BATCH * CONTEXT / (time.monotonic() - started)
            held_out = held_out_loss(model, text)
            print(f"step {step}: loss {loss.item():.3f}, held out {held_out:.3f}, {speed:,.0f} tokens/s", flush=True)
            state = {"model": model.state_dict(), "optimizer": optimizer.state_dict(), "step": step}
            torch.save(state, checkpoint.with_suffix(".partial"))
            checkpoint.with_suffix(".partial").replace(checkpoint)
    model.to("cpu", torch.float16).save_pretrained(asked.model)
    facts = {"steps": step, "tokens": step * BATCH * CONTEXT, "held_out_loss": round(held_out_loss(model.float(), text), 4)}
    (asked.model / "training.json").write_text(json.dumps(facts, indent=2) + "\n")
    checkpoint.unlink()


if __name__ == "__main__":
    main()
