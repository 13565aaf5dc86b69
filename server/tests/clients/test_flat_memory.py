"""A large result never gathers in the server, however slowly the client reads."""

from __future__ import annotations

import threading
import time
from contextlib import contextmanager

import pyarrow
import pyarrow.parquet
import pytest
import requests

from harness import Server
from wire import Wire

MIB = 1 << 20
ROWS, ROW_BYTES = 1 << 20, 1 << 10
ONE_GIB = f"SELECT repeat('x', {ROW_BYTES}) AS filler, i FROM generate_series(1, {ROWS}) AS s(i)"
# The buffers of a query and what the allocator keeps of them; what is sent does not count towards it.
WARM_ROWS = 1 << 16
ALLOWED = 192 * MIB


class Memory:
    """The server's memory over what it held after a first, smaller result."""

    def __init__(self, server: Server):
        self.server = server
        self.before = server.resident_bytes()
        self.most = 0

    def sample(self) -> None:
        self.most = max(self.most, self.server.resident_bytes() - self.before)

    def stall(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self.sample()
            time.sleep(0.02)

    @contextmanager
    def watched(self):
        """Samples in the background."""
        done = threading.Event()

        def watch() -> None:
            while not done.wait(0.05):
                self.sample()

        watcher = threading.Thread(target=watch)
        watcher.start()
        try:
            yield
        finally:
            done.set()
            watcher.join()


@pytest.fixture
def own_server(database):
    with database.serve() as running:
        with Wire(running) as wire:
            wire.query(f"SELECT repeat('x', {ROW_BYTES}) AS filler FROM generate_series(1, {WARM_ROWS})")
            wire.drain()
        yield running


@pytest.mark.parametrize("protocol", ["simple", "extended"])
def test_one_gib_to_a_stalled_client_holds_memory_flat(own_server, protocol):
    memory = Memory(own_server)
    with Wire(own_server, receive_buffer=65_536) as wire:
        (wire.query if protocol == "simple" else wire.query_extended)(ONE_GIB)
        wire.read_until(b"D")
        memory.stall(3)
        with memory.watched():
            rows, tag = wire.drain()
    assert tag == f"SELECT {ROWS}"
    assert rows > (ROWS - 1) * ROW_BYTES
    assert memory.most < ALLOWED, f"the server grew by {memory.most / MIB:.0f} MiB"


STREAMED = ["application/x-ndjson", "application/json", "application/vnd.apache.arrow.stream"]


@pytest.mark.parametrize("accept", STREAMED)
def test_one_gib_over_http_to_a_stalled_client_holds_memory_flat(own_server, accept):
    memory = Memory(own_server)
    with requests.post(
        f"{own_server.http}/v1/sql", json={"sql": ONE_GIB}, headers={"Accept": accept}, stream=True, timeout=120
    ) as response:
        assert response.status_code == 200
        next(response.iter_content(65_536))
        memory.stall(3)
    assert memory.most < ALLOWED, f"the server grew by {memory.most / MIB:.0f} MiB"


def test_a_large_parquet_file_over_http_is_made_in_flat_memory(own_server, tmp_path):
    memory, file = Memory(own_server), tmp_path / "noise.parquet"
    # Noise does not compress, so that row groups fill up and are sent.
    sql = "SELECT n::bigint AS n, random() AS a, random() AS b, random() AS c, random() AS d FROM generate_series(1, 3000000) t(n)"
    headers = {"Accept": "application/vnd.apache.parquet"}
    with requests.post(f"{own_server.http}/v1/sql", json={"sql": sql}, headers=headers, stream=True, timeout=300) as response:
        assert response.status_code == 200
        with memory.watched(), file.open("wb") as out:
            for chunk in response.iter_content(1 << 20):
                out.write(chunk)
    made = pyarrow.parquet.ParquetFile(file)
    assert made.metadata.num_rows == 3_000_000 and made.metadata.num_row_groups > 4
    assert made.schema_arrow.field("n").type == pyarrow.int64()
    assert file.stat().st_size > 90 * MIB
    assert memory.most < ALLOWED, f"the server grew by {memory.most / MIB:.0f} MiB"
