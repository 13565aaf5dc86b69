"""The corpus as token ids, and batches of it."""

from __future__ import annotations

import json
import random
from pathlib import Path

import numpy
import torch
from tokenizers import Tokenizer

CONTEXT = 256
"""Tokens of a sequence, the first of which is `<|endoftext|>`."""
HELD_OUT = 40
"""One document in so many is for measuring only."""


class Text:
    """Documents in a shuffled row, cut into sequences."""

    def __init__(self, corpus: Path, tokenizer: Path):
        bpe = Tokenizer.from_file(str(tokenizer))
        self.end = bpe.token_to_id("<|endoftext|>")
        with corpus.open(encoding="utf-8") as lines:
            documents = [json.loads(line)["text"] for line in lines]
        random.Random(0).shuffle(documents)
        encoded = [encoding.ids for encoding in bpe.encode_batch(documents)]
        self.held_out = self._row(encoded[::HELD_OUT])
        self.training = self._row([ids for place, ids in enumerate(encoded) if place % HELD_OUT])

    def _row(self, documents: list[list[int]]) -> torch.Tensor:
        row = [token for ids in documents for token in (*ids, self.end)]
        return torch.from_numpy(numpy.array(row, dtype=numpy.int64))

    def batch(self, size: int, random: torch.Generator, row: torch.Tensor | None = None) -> torch.Tensor:
        """`size` sequences from random places, `[size, CONTEXT]`."""
        row = self.training if row is None else row
        starts = torch.randint(0, len(row) - CONTEXT, (size,), generator=random)
        body = torch.stack([row[start : start + CONTEXT - 1] for start in starts])
        return torch.cat([torch.full((size, 1), self.end), body], dim=1)
