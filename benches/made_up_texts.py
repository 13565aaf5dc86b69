"""Made-up explanations: short texts of words that are as unequal in their frequencies as those of a language."""

from __future__ import annotations

from itertools import product
from pathlib import Path

import numpy as np

VOCABULARY = 50_000
WORDS = 12
SYLLABLES = [a + b for a, b in product("bdfgklmnprstvz", ["a", "e", "i", "o", "u", "an", "er", "is"])]


def vocabulary() -> list[str]:
    """Different words, short ones first, as frequent words are short."""
    words = (("".join(parts)) for length in (1, 2, 3) for parts in product(SYLLABLES, repeat=length))
    return [word for word, _ in zip(dict.fromkeys(words), range(VOCABULARY), strict=False)]


def frequencies() -> np.ndarray:
    """Of each word, most frequent first: the law of Zipf and Mandelbrot."""
    weights = 1 / (np.arange(VOCABULARY) + 2.7) ** 1.05
    return weights / weights.sum()


def write(path: Path, count: int) -> Path:
    """`count` lines `id,text`; the same ones each time."""
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        random, words = np.random.default_rng(2), np.array(vocabulary(), dtype=object)
        unfinished = path.with_suffix(".part")
        with unfinished.open("w") as file:
            for first in range(0, count, 100_000):
                lengths = random.poisson(WORDS - 3, min(100_000, count - first)) + 3
                drawn = words[random.choice(VOCABULARY, lengths.sum(), p=frequencies())]
                parts = np.split(drawn, np.cumsum(lengths)[:-1])
                file.writelines(f"{first + number},{' '.join(part)}\n" for number, part in enumerate(parts))
        unfinished.rename(path)
    return path


def queries(words: int, count: int) -> list[list[str]]:
    """What people look for: frequent words and rare ones, from the 10th to the 10,000th, even on a logarithmic scale."""
    random, known = np.random.default_rng(words), vocabulary()
    ranks = np.geomspace(10, 10_000, 200).astype(int)
    return [[known[rank] for rank in random.choice(ranks, words, replace=False)] for _ in range(count)]
