"""interp-engine with SAELens, as Neuronpedia's inference server puts them together: the peer of `activate`.

    python eager.py FOLDER --repeats 3      # prints one JSON object

Runs in a process of its own, so that its memory is its own. FOLDER is made by made_up_model.py.
"""

from __future__ import annotations

import argparse
import json
import resource
import time
from importlib.metadata import version
from pathlib import Path

import torch
from interp_engine import EagerModel, run_with_cache
from sae_lens import SAE
from transformers import AutoTokenizer, GPT2LMHeadModel


class Peer:
    def __init__(self, folder: Path):
        self.tokenizer = AutoTokenizer.from_pretrained(folder / "model")
        self.net = GPT2LMHeadModel.from_pretrained(folder / "model", dtype=torch.float32, attn_implementation="eager").eval()
        self.engine = EagerModel("gpt2-shape", hf_model=self.net, tokenizer=self.tokenizer, device=None, dtype="float32")
        paths = sorted((folder / "sources").iterdir(), key=lambda path: int(path.name.split("-")[0]))
        self.saes = [SAE.load_from_disk(path, device="cpu") for path in paths]
        for sae in self.saes:
            sae.fold_W_dec_norm()
        texts = json.loads((folder / "prompts.json").read_text())
        bos = self.tokenizer.bos_token
        self.ids = torch.tensor([self.tokenizer(f"{bos} {text}", add_special_tokens=False)["input_ids"] for text in texts])

    @torch.no_grad()
    def activate(self, k: int) -> list[list[tuple[int, int, float]]]:
        """For each prompt (source, index, largest activation) of the k strongest features, with their values at every token."""
        points = [("resid_pre", layer) for layer in range(len(self.saes))]
        cache = run_with_cache(self.engine, self.ids, points)
        best, places, values = [], [], []
        for number, (sae, point) in enumerate(zip(self.saes, points, strict=True)):
            streams = cache.get(*point).float().reshape(*self.ids.shape, -1)
            for row, stream in enumerate(streams):
                acts = sae.encode(stream)
                acts[0] = 0
                strongest = acts.max(dim=0).values.topk(k)
                if number == 0:
                    best.append([]), places.append([]), values.append([])
                best[row].append(strongest.values)
                places[row].append(strongest.indices)
                values[row].append(acts[:, strongest.indices])
        return [self._strongest(*one, k) for one in zip(best, places, values, strict=True)]

    @staticmethod
    def _strongest(best, places, values, k: int) -> list[tuple[int, int, float]]:
        most = torch.cat(best).topk(k)
        torch.cat(values, dim=1)[:, most.indices].tolist()
        return [(int(place) // k, int(torch.cat(places)[place]), value) for value, place in zip(most.values.tolist(), most.indices, strict=True)]

    @torch.no_grad()
    def forward(self) -> None:
        self.net(self.ids, use_cache=False)


def best_of(repeats: int, work) -> tuple[float, object]:
    seconds = []
    for _ in range(repeats + 1):  # the first one warms up
        start = time.perf_counter()
        answer = work()
        seconds.append(time.perf_counter() - start)
    return min(seconds[1:]), answer


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--top-k", type=int, default=25)
    asked = parser.parse_args()
    peer = Peer(asked.folder)
    seconds, found = best_of(asked.repeats, lambda: peer.activate(asked.top_k))
    forward, _ = best_of(asked.repeats, peer.forward)
    print(json.dumps({
        "activate_seconds": seconds,
        "forward_seconds": forward,
        "peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        "versions": {name: version(name) for name in ("torch", "transformers", "sae-lens", "interp-engine")},
        "found": found,
    }))  # fmt: skip


if __name__ == "__main__":
    main()
