"""The Postgres JDBC driver, as DBeaver, Metabase and Tableau use it. The promises are methods of jdbc/Promises.java."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

SOURCE = Path(__file__).parent / "jdbc" / "Promises.java"
DRIVER = "/usr/share/java/postgresql.jar"
PROMISES = re.findall(r'promises\.put\("(\w+)"', SOURCE.read_text())


@pytest.fixture(scope="module")
def outcomes(server) -> dict[str, str]:
    """Outcome of each promise: `ok`, or why it failed."""
    url = f"jdbc:postgresql://{server.host}:{server.port}/latentdb"
    done = subprocess.run(
        ["java", "-XX:TieredStopAtLevel=1", "--class-path", DRIVER, str(SOURCE), url],
        capture_output=True, text=True, timeout=240,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    found = {}
    for line in done.stdout.splitlines():
        state, _, rest = line.partition(" ")
        name, _, reason = rest.partition(": ")
        found[name] = "ok" if state == "ok" else reason
    return found


@pytest.mark.parametrize("promise", PROMISES)
def test_jdbc(outcomes, promise):
    assert outcomes.get(promise) == "ok"
