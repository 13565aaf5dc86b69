"""LatentDB itself, by its command line, its wire and its HTTP."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import time
from pathlib import Path

import psycopg

from timing import Used

READY = re.compile(r"listening pg=(\S+) http=(\S+)")


class LatentDB:
    """A database directory and the binary that serves it."""

    def __init__(self, binary: Path, folder: Path):
        self.binary = binary
        self.folder = folder

    @property
    def loaded(self) -> bool:
        return (self.folder.parent / "latentdb.loaded").exists()

    def load(self, export: Path) -> Used:
        """Imports an export into a new database; gives what the command took, from its start to its end."""
        marker = self.folder.parent / "latentdb.loaded"
        marker.unlink(missing_ok=True)
        shutil.rmtree(self.folder, ignore_errors=True)
        start = time.perf_counter()
        process = subprocess.Popen([self.binary, "--data", self.folder, "import", "neuronpedia", export])
        _, status, usage = os.wait4(process.pid, 0)
        wall = time.perf_counter() - start
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode != 0:
            raise RuntimeError(f"the import ended with {process.returncode}")
        marker.touch()
        return Used(wall, usage.ru_utime + usage.ru_stime)

    def tables(self) -> Path:
        """The folder that the Delta tables lie in."""
        log = next(self.folder.glob("**/activations/_delta_log"))
        return log.parent.parent

    def bytes(self) -> dict[str, int]:
        """Size of everything in the directory, by table; what belongs to no table is under `other`."""
        tables = self.tables()
        sizes: dict[str, int] = {}
        for file in self.folder.rglob("*"):
            if file.is_file():
                inside = file.is_relative_to(tables) and len(file.relative_to(tables).parts) > 1
                name = file.relative_to(tables).parts[0] if inside else "other"
                sizes[name] = sizes.get(name, 0) + file.stat().st_size
        return sizes

    def version(self) -> str:
        return subprocess.run([self.binary, "--version"], check=True, capture_output=True, text=True).stdout.strip()

    def serve(self) -> Server:
        return Server([self.binary, "--data", self.folder, "serve", "--pg", "127.0.0.1:0", "--http", "127.0.0.1:0"])


class Server:
    """A running server. Use as a context manager: it stops at the end whatever happens."""

    def __init__(self, command: list):
        environment = {**os.environ, "RUST_LOG": "warn"}
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
        for line in self.process.stdout:
            if found := READY.search(line):
                self.pg, self.http = found[1], found[2]
                return
        raise RuntimeError(f"the server did not start: it ended with {self.process.wait()}")

    @property
    def dsn(self) -> str:
        return f"postgresql://latentdb@{self.pg}/latentdb"

    def connect(self) -> psycopg.Connection:
        return psycopg.connect(self.dsn, autocommit=True)

    def __enter__(self) -> Server:
        return self

    def __exit__(self, *_) -> None:
        self.process.terminate()
        try:
            self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process.stdout.close()
