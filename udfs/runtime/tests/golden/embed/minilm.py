"""Writes what sentence-transformers computes with all-MiniLM-L6-v2, into minilm.json beside itself.

    python minilm.py FOLDER   # of the model's files, which ./fetch-minilm brings

Needs torch, transformers 5 and sentence-transformers 6. Tests read the file and never run this.
"""

import base64
import json
import sys
from pathlib import Path

from sentence_transformers import SentenceTransformer

TEXTS = [
    "",
    "references to dates and years",
    "Python code that defines functions",
    "the word \"the\" before proper nouns",
    "phrases about the weather in northern Europe, especially rain",
    "Café naïve façade — Zürich, 日本語 and emoji 🙂",
    "mentions of legal proceedings: court, judge, ruling, appeal (and related terms)",
    "numbers such as 3.14159, 1,000,000 and 0x1F",
    "word " * 300,
    " ".join(f"the {number}th token of a very long explanation" for number in range(60)),
]

if __name__ == "__main__":
    model = SentenceTransformer(sys.argv[1], device="cpu")
    vectors = model.encode(TEXTS, convert_to_numpy=True)
    expected = {
        "max_tokens": model.max_seq_length,
        "texts": TEXTS,
        "vectors": [base64.b64encode(vector.astype("<f4").tobytes()).decode() for vector in vectors],
    }
    Path(__file__).with_name("minilm.json").write_text(json.dumps(expected, indent=1, ensure_ascii=False) + "\n")
