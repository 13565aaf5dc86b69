"""The documentation is true: its shell, SQL and Python blocks run, and its transcripts show what really comes out.

Blocks are told apart by the word after their fence:

- `sql`: the statements run in order, on one connection per file, each to its end;
- `python`: run as one script per block;
- `sh`: run by bash, with `latentdb` on the PATH and `LATENTDB_DATA` naming a database that holds the sample;
- `console`: a transcript; each `$ command` (continued by `>`) must print the lines below it, where a line `…`
  stands for any lines.

The documented ports 5433 and 3000 are replaced by those of the test's server. `<!-- not run: reason -->` before a
block exempts it.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest

from harness import REPOSITORY, Database, Server, binary, neuronpedia_address

FILES = [REPOSITORY / "README.md", *sorted((REPOSITORY / "docs").glob("*.md"))]
FENCE = re.compile(
    r"(?P<exempt><!-- not run: .+? -->\n+)?^```(?P<language>\w+)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL
)


@dataclass(frozen=True)
class Block:
    file: Path
    line: int
    language: str
    text: str

    def __str__(self) -> str:
        return f"{self.file.name}:{self.line}"


def blocks(*languages: str) -> list[Block]:
    found = []
    for file in FILES:
        text = file.read_text()
        for match in FENCE.finditer(text):
            if match["language"] in languages and not match["exempt"]:
                line = text.count("\n", 0, match.start("text")) + 1
                found.append(Block(file, line, match["language"], match["text"]))
    return found


@pytest.fixture(scope="module")
def served(tmp_path_factory) -> Server:
    """A server of this module's own: the documentation's statements change things."""
    database = Database(tmp_path_factory.mktemp("documentation") / "db")
    database.import_sample()
    database.add_demo_model()
    with database.serve(http=neuronpedia_address()) as server:
        yield server


@pytest.fixture(scope="module")
def shell(served, tmp_path_factory):
    """Runs a script where the documentation's reader would stand, and gives what it printed."""
    place = tmp_path_factory.mktemp("reader")
    commands = place / "bin"
    commands.mkdir()
    (commands / "latentdb").symlink_to(binary())
    (commands / "python").write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
    (commands / "python").chmod(0o755)
    (place / "datasets").symlink_to(REPOSITORY / "datasets")
    embedded = Database(tmp_path_factory.mktemp("embedded") / "db")
    embedded.import_sample()
    embedded.add_demo_model()
    environment = {
        **os.environ,
        "PATH": f"{commands}:{Path(sys.executable).parent}:{os.environ['PATH']}",
        "LATENTDB_DATA": embedded.location,
        "PAGER": "cat",
        "COLUMNS": "120",
    }

    def run(command: list[str], script: str) -> str:
        done = subprocess.run(
            [*command, _with_ports(script, served)],
            cwd=place, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=120,
        )  # fmt: skip
        assert done.returncode == 0, f"{script}\nended with {done.returncode}:\n{done.stdout}"
        return done.stdout

    return run


def _with_ports(text: str, server: Server) -> str:
    http_port = server.http.rpartition(":")[2]
    return re.sub(r"\b5433\b", str(server.port), re.sub(r"\b3000\b", http_port, text))


@pytest.mark.parametrize("file", sorted({block.file for block in blocks("sql")}), ids=lambda file: file.name)
def test_sql_runs(served, file, tmp_path, monkeypatch):
    failures = []
    with psycopg.connect(served.dsn, autocommit=True) as connection:
        for block in (block for block in blocks("sql") if block.file == file):
            for statement in statements(block.text):
                try:
                    cursor = connection.execute(statement.replace("/tmp/out", str(tmp_path)))
                    if cursor.description:
                        cursor.fetchall()
                except psycopg.Error as error:
                    failures.append(f"{block}: {statement}\n    {error}")
    assert not failures, "\n".join(failures)


def statements(text: str) -> list[str]:
    """Splits at semicolons that end a line; comments stay with their statement."""
    parts = re.split(r";[ \t]*(?:--[^\n]*)?$", text, flags=re.MULTILINE)
    return [part.strip() for part in parts if re.sub(r"--[^\n]*", "", part).strip()]


@pytest.mark.parametrize("block", blocks("python"), ids=str)
def test_python_runs(served, shell, block):
    if "neuronpedia" in block.text and not served.http.endswith(":3000"):
        pytest.skip("port 3000 is taken, and Neuronpedia's client knows no other")
    shell(["python", "-c"], block.text)


@pytest.mark.parametrize("block", blocks("sh"), ids=str)
def test_shell_runs(shell, block):
    shell(["bash", "-euo", "pipefail", "-c"], block.text)


@pytest.mark.parametrize("block", blocks("console"), ids=str)
def test_transcript_is_what_comes_out(shell, block):
    steps = re.split(r"^\$ ", block.text, flags=re.MULTILINE)[1:]
    assert steps, "a transcript has at least one line that begins with `$ `"
    for step in steps:
        command, _, expected = step.partition("\n")
        while expected.startswith("> "):
            more, _, expected = expected.partition("\n")
            command += more.removeprefix(">")
        found = shell(["bash", "-euo", "pipefail", "-c"], command)
        assert matches(expected.rstrip(), found.rstrip()), f"$ {command}\nprints:\n{found}"


def matches(expected: str, found: str) -> bool:
    """Whether `found` has the lines of `expected`; a line `…` stands for any lines, trailing blanks do not count."""
    pattern = "".join(
        r"(?:.*\n)*?" if line.strip() == "…" else re.escape(line.rstrip()) + r"[ \t]*\n" for line in expected.splitlines()
    )
    return re.fullmatch(pattern, f"{found}\n") is not None
