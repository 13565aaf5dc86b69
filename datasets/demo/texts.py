"""Chooses the texts that the demo's dashboards are made from.

    python texts.py corpus.jsonl texts.parquet

Of the documents that `corpus.py` gathered, pieces of whole paragraphs, long enough to fill a prompt of 128 tokens; of
these, as many as the demo can run in a short time, spread evenly. Columns: `source`, `text`.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator

import pyarrow as pa
import pyarrow.parquet as pq

TEXTS = 768
SHORTEST, LONGEST = 400, 560
"""Characters of a piece. A token of the demo's vocabulary has about four."""


def pieces(text: str) -> Iterator[str]:
    piece = ""
    for paragraph in text.split("\n\n"):
        piece = f"{piece}\n\n{paragraph}" if piece else paragraph
        if len(piece) >= SHORTEST:
            yield piece[:LONGEST]
            piece = ""


def main(corpus: str, out: str) -> None:
    with open(corpus, encoding="utf-8") as lines:
        documents = [json.loads(line) for line in lines]
    found = [(document["source"], piece) for document in documents for piece in pieces(document["text"])]
    chosen = [found[number * len(found) // TEXTS] for number in range(TEXTS)]
    table = pa.table({"source": [source for source, _ in chosen], "text": [text for _, text in chosen]})
    pq.write_table(table, out, compression="zstd", compression_level=19)


if __name__ == "__main__":
    main(*sys.argv[1:3])
