"""Gathers the demo model's text from what a Rust and a Python toolchain bring along.

    python corpus.py corpus.jsonl

Rust: the books, the reference and the documentation of `std`, `core` and `alloc`, from the HTML that `rustup component
add rust-docs` installs (MIT or Apache-2.0). Python: docstrings of the standard library and the language reference of
`pydoc` (PSF-2.0). One document a line: `{"source": …, "text": …}`. Paragraphs that occurred before are dropped, because
`std` repeats `core` and `alloc`.
"""

from __future__ import annotations

import ast
import hashlib
import json
import re
import subprocess
import sys
import sysconfig
import warnings
from collections.abc import Iterator
from pathlib import Path

from selectolax.lexbor import LexborHTMLParser, LexborNode

BOOKS = ["book", "reference", "rust-by-example", "nomicon", "cargo", "rustc", "rustdoc", "edition-guide", "embedded-book",
         "style-guide", "unstable-book", "error_codes", "clippy"]  # fmt: skip
CRATES = ["std", "core", "alloc", "proc_macro", "test"]
SKIPPED_PAGES = {"print.html", "toc.html", "404.html", "all.html", "sidebar-items.js"}
BLOCKS = {"p", "h1", "h2", "h3", "h4", "li", "pre", "blockquote", "td", "dd", "dt"}
SHORTEST = 200
"""Characters of the shortest document that is kept."""


def rust_documents() -> Iterator[tuple[str, str]]:
    root = Path(subprocess.check_output(["rustc", "--print", "sysroot"], text=True).strip()) / "share/doc/rust/html"
    if not root.is_dir():
        raise SystemExit(f"{root} is not there: rustup component add rust-docs")
    for book in BOOKS:
        for page in pages(root / book):
            yield f"rust/{book}", blocks(LexborHTMLParser(page.read_bytes()).css_first("main"))
    for crate in CRATES:
        for page in pages(root / crate):
            documentation = LexborHTMLParser(page.read_bytes()).css(".docblock")
            yield f"rust/{crate}", "\n\n".join(blocks(block) for block in documentation)


def pages(folder: Path) -> Iterator[Path]:
    """Pages in a fixed order, without redirects and pages that repeat others."""
    for page in sorted(folder.rglob("*.html")):
        if page.name not in SKIPPED_PAGES and page.stat().st_size > 1000:
            yield page


def blocks(root: LexborNode | None) -> str:
    """The text of a part of a page: paragraphs apart, code as it stands."""
    if root is None:
        return ""
    for noise in root.css("nav, script, style, button, .tooltip, .hidden, .rightside, .boring, .src-line-numbers"):
        noise.decompose()
    found = []
    for node in root.traverse(include_text=False):
        if node.tag not in BLOCKS or any(child.tag in BLOCKS for child in node.traverse() if child.mem_id != node.mem_id):
            continue
        text = node.text()
        text = text.strip("\n") if node.tag == "pre" else " ".join(text.split())
        if text:
            found.append(text)
    return "\n\n".join(found)


def python_documents() -> Iterator[tuple[str, str]]:
    library = Path(sysconfig.get_path("stdlib"))
    for file in sorted(library.rglob("*.py")):
        if {"site-packages", "test", "tests", "idlelib", "lib2to3", "pydoc_data"} & set(file.parts):
            continue
        try:
            with warnings.catch_warnings(action="ignore"):
                tree = ast.parse(file.read_text(encoding="utf-8"))
        except (SyntaxError, UnicodeDecodeError):
            continue
        yield "python/docstrings", "\n\n".join(docstrings(tree))
    from pydoc_data.topics import topics

    for name in sorted(topics):
        yield "python/reference", topics[name]


def docstrings(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            text = ast.get_docstring(node)
            if text and len(text) > 40:
                yield text


def main(target: Path) -> None:
    seen: set[bytes] = set()
    counts: dict[str, int] = {}
    with target.open("w", encoding="utf-8") as out:
        for source, text in [*rust_documents(), *python_documents()]:
            kept = []
            for paragraph in re.split(r"\n{2,}", text.replace("\r", "")):
                digest = hashlib.blake2b(paragraph.strip().encode(), digest_size=12).digest()
                if digest not in seen:
                    seen.add(digest)
                    kept.append(paragraph.rstrip())
            document = "\n\n".join(kept).strip()
            # A few pages are translations; the model is to read English.
            foreign = sum(ord(letter) > 0x24F for letter in document)
            if len(document) >= SHORTEST and foreign < len(document) / 50:
                counts[source] = counts.get(source, 0) + len(document)
                out.write(json.dumps({"source": source, "text": document}, ensure_ascii=False) + "\n")
    for source, characters in sorted(counts.items()):
        print(f"{source:24} {characters:>12,} characters")
    print(f"{'all':24} {sum(counts.values()):>12,} characters")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
