"""Runs the real `latentdb` binary the way a user does: by its command line, on ports of its choosing."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import threading
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path

import psycopg

REPOSITORY = Path(__file__).resolve().parents[3]
SAMPLE = REPOSITORY / "datasets" / "sample" / "export"  # written by SAEDashboard
GOLDEN = REPOSITORY / "udfs" / "tests" / "golden"
SAMPLE_DB = REPOSITORY / "datasets" / "sample" / "export-db"  # in the dialect of Neuronpedia's database dump
READY = re.compile(r"listening pg=(\S+):(\d+) http=(\S+)")


def binary() -> Path:
    """The binary under test: `LATENTDB_BIN`, or the debug build."""
    target = os.environ.get("CARGO_TARGET_DIR", Path.home() / ".cache" / "latentdb" / "target")
    path = Path(os.environ.get("LATENTDB_BIN", Path(target) / "debug" / "latentdb"))
    if not path.is_file():
        raise RuntimeError(f"{path} is not there; build it with `cargo build --bin latentdb`")
    return path


def neuronpedia_address() -> str:
    """Where Neuronpedia's client looks for a local server, port 3000; any other port if that one is taken."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", 3000))
        except OSError:
            return "127.0.0.1:0"
    return "127.0.0.1:3000"


class Database:
    """A database by its location, and the command line over it."""

    def __init__(self, location: str | Path, environment: dict[str, str] | None = None):
        self.location = str(location)
        self.environment = {**os.environ, **(environment or {})}

    def command(self, *arguments: str) -> list[str]:
        return [str(binary()), "--data", self.location, *arguments]

    def run(self, *arguments: str, check: bool = True, timeout: float = 120) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            self.command(*arguments), env=self.environment, capture_output=True, text=True, timeout=timeout
        )
        if check and done.returncode != 0:
            raise AssertionError(f"{' '.join(arguments)} ended with {done.returncode}:\n{done.stdout}{done.stderr}")
        return done

    def import_sample(self, *exports: Path) -> None:
        for export in exports or (SAMPLE, SAMPLE_DB):
            self.run("import", "neuronpedia", str(export))

    def add_golden_model(self) -> None:
        """The tiny model whose activations interp-engine and SAELens computed."""
        self.run("model", "add", "tiny", str(GOLDEN / "model"))
        for source in ("1-res", "2-res", "1-att"):
            self.run("source", "add", f"tiny/{source}", str(GOLDEN / "sources" / source))

    def add_demo_model(self) -> None:
        """The demo's model, its lens, and two of its sources."""
        demo = REPOSITORY / "datasets" / "demo"
        self.run("model", "add", "docs-3m", str(demo / "model"))
        self.run("model", "lens", "docs-3m", str(demo / "lens.safetensors"))
        for source in ("3-res", "4-res"):
            self.run("source", "add", f"docs-3m/{source}", str(demo / "sources" / source))

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """Starts a command and does not wait for it."""
        return subprocess.Popen(
            self.command(*arguments), env=self.environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )

    def serve(self, *arguments: str, http: str = "127.0.0.1:0") -> Server:
        return Server(self, "--http", http, *arguments)


class Server:
    """A running `latentdb serve`. Use as a context manager, or end it with `stop` or `kill`."""

    def __init__(self, database: Database, *arguments: str):
        self.database = database
        self.process = database.start("serve", "--pg", "127.0.0.1:0", *arguments)
        self.log: deque[str] = deque(maxlen=200)
        self._ready = threading.Event()
        self._address: re.Match[str] | None = None
        threading.Thread(target=self._read_output, daemon=True).start()
        if not self._ready.wait(60) or self._address is None:
            self.kill()
            raise AssertionError("the server did not say that it listens:\n" + "".join(self.log))
        self.host, self.port = self._address[1], int(self._address[2])
        self.http = f"http://{self._address[3]}"

    def _read_output(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.log.append(line)
            if self._address is None and (found := READY.search(line)):
                self._address = found
                self._ready.set()
        self._ready.set()

    @property
    def dsn(self) -> str:
        return f"postgresql://latentdb@{self.host}:{self.port}/latentdb"

    def resident_bytes(self) -> int:
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.search(r"VmRSS:\s+(\d+) kB", status)[1]) * 1024

    def cpu_seconds(self) -> float:
        """Processor time that the server has used so far, on all threads."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def stop(self) -> int:
        """Asks the server to end, as a service manager does, and gives its exit status."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(20)

    def kill(self) -> None:
        """Ends the server as a power cut would."""
        self.process.kill()
        self.process.wait(20)

    def __enter__(self) -> Server:
        return self

    def __exit__(self, *_) -> None:
        if self.process.poll() is None:
            try:
                self.stop()
            except subprocess.TimeoutExpired:
                self.kill()
                raise AssertionError("the server did not end within 20 s of SIGTERM")


def wait_until(condition, seconds: float, what: str) -> float:
    """Waits for `condition()` to hold and gives the seconds it took."""
    start = time.monotonic()
    while not condition():
        if time.monotonic() - start > seconds:
            raise AssertionError(f"{what}: not within {seconds} s")
        time.sleep(0.01)
    return time.monotonic() - start


def until_gone(server: Server, job: Callable[[psycopg.Connection], None], unexpected: list[Exception]) -> None:
    """Does a job over and over until the server is gone; what fails before that is noted."""
    try:
        with psycopg.connect(server.dsn, autocommit=True) as connection:
            while True:
                job(connection)
    except psycopg.OperationalError as error:
        if error.sqlstate is not None:
            unexpected.append(error)
    except Exception as error:
        unexpected.append(error)
