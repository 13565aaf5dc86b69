"""Hugging Face's `generate` and interp-engine's eager path: the peers of text generation.

    python generating.py MODEL --tokens 100 --prompt 16      # prints one JSON object

MODEL is a directory. Prompts are those of the runtime's example `generate`.
"""

from __future__ import annotations

import argparse
import json
import time
from importlib.metadata import version
from pathlib import Path

import torch
from interp_engine import EagerModel
from interp_engine.steer import SteerSpec, generate_stream, steer
from transformers import AutoTokenizer, GPT2LMHeadModel

STREAMS = (1, 8)


def prompts(streams: int, tokens: int, vocabulary: int) -> torch.Tensor:
    return torch.tensor([[(1 + stream * 7919 + place * 104_729) % vocabulary for place in range(tokens)] for stream in range(streams)])


def best_of(repeats: int, work) -> tuple[float, list[int]]:
    seconds = []
    for _ in range(repeats + 1):  # the first one warms up
        start = time.perf_counter()
        first = work()
        seconds.append(time.perf_counter() - start)
    return min(seconds[1:]), first


@torch.no_grad()
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("--tokens", type=int, default=100)
    parser.add_argument("--prompt", type=int, default=16)
    parser.add_argument("--repeats", type=int, default=3)
    asked = parser.parse_args()
    tokenizer = AutoTokenizer.from_pretrained(asked.model)
    net = GPT2LMHeadModel.from_pretrained(asked.model, dtype=torch.float32).eval()
    eager = GPT2LMHeadModel.from_pretrained(asked.model, dtype=torch.float32, attn_implementation="eager").eval()
    engine = EagerModel("gpt2-shape", hf_model=eager, tokenizer=tokenizer, device=None, dtype="float32")
    width, layers = net.config.n_embd, net.config.n_layer
    direction = torch.sin((torch.arange(width) ** 2).float())

    def hugging_face(ids):
        out = net.generate(
            ids, attention_mask=torch.ones_like(ids), max_new_tokens=asked.tokens, min_new_tokens=asked.tokens, do_sample=False,
            eos_token_id=None, pad_token_id=0,
        )  # fmt: skip
        return out[0, asked.prompt :].tolist()

    def interp_engine(ids, steers: bool):
        texts = []
        for one in ids.tolist():
            if steers:
                with steer(engine, [SteerSpec(direction, layers // 2, coeff=1.0)]):
                    texts.append([step.token_id for step in generate_stream(engine, one, max_tokens=asked.tokens, temperature=0.0, stop_at_eos=False)])
            else:
                texts.append([step.token_id for step in generate_stream(engine, one, max_tokens=asked.tokens, temperature=0.0, stop_at_eos=False)])
        return texts[0]

    found = {}
    for streams in STREAMS:
        ids = prompts(streams, asked.prompt, net.config.vocab_size)
        ways = {"hugging_face": lambda ids=ids: hugging_face(ids), "interp_engine": lambda ids=ids: interp_engine(ids, False)}
        if streams == 1:
            ways["interp_engine_steered"] = lambda ids=ids: interp_engine(ids, True)
        for way, work in ways.items():
            seconds, first = best_of(asked.repeats, work)
            found[f"{way} {streams}"] = {"tokens_per_second": streams * asked.tokens / seconds, "first": first}
    print(json.dumps({"found": found, "versions": {name: version(name) for name in ("torch", "transformers", "interp-engine")}}))


if __name__ == "__main__":
    main()
