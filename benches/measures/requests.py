"""Requests per second of `/api/feature/…`, of features by chance, at 1, 16 and 64 connections, with the memory that serving takes.

`wrk` asks (Debian's package), from one thread of the same machine. The peer is the least that a server of Neuronpedia's kind has to do:
Node's own HTTP server (`peers/feature_server.mjs`), which reads the same rows from Postgres through a pool of connections and writes
them as the same JSON. Memory is what processes hold at the end that no other shares (the sum of their PSS): our server's; Node's and
Postgres' together, and Node's alone.
"""

from __future__ import annotations

import json
import subprocess
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from report import Row
from setting import Setting
from synthetic import MODEL, SOURCE

CONNECTIONS = (1, 16, 64)
SECONDS = 10
NODE_PEER = Path(__file__).parents[1] / "peers/feature_server.mjs"
PG_PACKAGE = "pg@8.16.3"

# wrk calls `request` for each request, and `done` at the end.
SCRIPT = """
math.randomseed(7)
request = function() return wrk.format("GET", "/api/feature/%s/%s/" .. math.random(0, %d)) end
done = function(summary, latency)
  local errors = summary.errors
  io.stdout:write(string.format('{"seconds": %%f, "requests": %%d, "bytes": %%d, "failed": %%d, "p50": %%f, "p99": %%f}\\n',
    summary.duration / 1e6, summary.requests, summary.bytes, errors.connect + errors.read + errors.write + errors.status + errors.timeout,
    latency:percentile(50) / 1e3, latency:percentile(99) / 1e3))
end
"""


def measure(setting: Setting) -> list[Row]:
    script = setting.data.folder / "requests.lua"
    script.write_text(SCRIPT % (MODEL, SOURCE, setting.data.features - 1))
    rows = []
    with setting.server() as server, node(setting) as (peer, its_process):
        same_page(f"http://{server.http}", peer)
        for connections in CONNECTIONS:
            ours, theirs = ask(f"http://{server.http}", script, connections), ask(peer, script, connections)
            rows += compare(connections, ours, theirs)
        alone, postgres = held_mib([its_process]), held_mib(family(setting.postgres.process.pid))
        memory = held_mib([server.process.pid])
        rows.append(Row("requests", "memory, beside Node and Postgres", "MiB", memory, alone + postgres))
        rows.append(Row("requests", "memory, beside Node alone", "MiB", memory, alone))
    return rows


def compare(connections: int, ours: dict, theirs: dict) -> list[Row]:
    label = f"{connections} connection{'s' if connections > 1 else ''}"
    notes = {"latentdb": ours, "peer": theirs}
    rates = [side["requests"] / side["seconds"] for side in (ours, theirs)]
    return [
        Row("requests", label, "requests/s", *rates, more_is_better=True, notes=notes),
        Row("requests", f"{label}, p50", "ms", ours["p50"], theirs["p50"]),
        Row("requests", f"{label}, p99", "ms", ours["p99"], theirs["p99"]),
    ]


def ask(address: str, script: Path, connections: int) -> dict:
    """What `wrk` says, after a round that warms both sides' caches."""
    found = {}
    for seconds in (SECONDS // 3, SECONDS):
        command = ["wrk", "-t", "1", "-c", str(connections), "-d", f"{seconds}s", "--timeout", "10s", "-s", script, address]
        lines = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout.splitlines()
        found = json.loads(next(line for line in lines if line.startswith("{")))
    if found["failed"]:
        raise RuntimeError(f"{address}: {found['failed']} of {found['requests']} requests failed")
    return found


def same_page(ours: str, theirs: str) -> None:
    """Both sides must answer with the same feature and the same activations."""
    pages = []
    for address in (ours, theirs):
        with urllib.request.urlopen(f"{address}/api/feature/{MODEL}/{SOURCE}/1") as answer:
            pages.append(json.load(answer))
    shown = [sorted((round(act["maxValue"], 4), plain(act["tokens"])) for act in page["activations"]) for page in pages]
    if shown[0] != shown[1] or plain(pages[0]["pos_str"]) != plain(pages[1]["pos_str"]):
        raise AssertionError("the two servers do not answer the same")


def plain(tokens: list[str]) -> list[str]:
    """Tokens as Postgres has them, which cannot store U+0000."""
    return [token.replace("\0", "") for token in tokens]


@contextmanager
def node(setting: Setting) -> Iterator[tuple[str, int]]:
    """The peer's address and process."""
    folder = setting.data.folder / "node"
    folder.mkdir(exist_ok=True)
    if not (folder / "node_modules/pg").is_dir():
        subprocess.run(["npm", "install", "--no-audit", "--no-fund", "--prefix", folder, PG_PACKAGE], check=True)
    (folder / NODE_PEER.name).write_bytes(NODE_PEER.read_bytes())  # it finds its packages from where it lies
    process = subprocess.Popen(["node", folder / NODE_PEER.name, setting.postgres.dsn], stdout=subprocess.PIPE, text=True)
    try:
        yield process.stdout.readline().strip(), process.pid
    finally:
        process.terminate()
        process.wait(10)


def family(root: int) -> list[int]:
    """A process and its children."""
    children = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int((entry / "stat").read_text().rpartition(")")[2].split()[1]) == root:
            children.append(int(entry.name))
    return [root, *children]


def held_mib(processes: list[int]) -> float:
    """Memory of processes, what they share counted once."""
    kib = 0
    for process in processes:
        lines = Path(f"/proc/{process}/smaps_rollup").read_text().splitlines()
        kib += sum(int(line.split()[1]) for line in lines if line.startswith("Pss:"))
    return kib / 1024
