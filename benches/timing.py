"""Repeated timings, and what they came to."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median, quantiles


@dataclass
class Timings:
    """Seconds of each repetition of one thing."""

    seconds: list[float] = field(default_factory=list)

    def time(self, work: Callable[[], object]):
        start = time.perf_counter()
        answer = work()
        self.seconds.append(time.perf_counter() - start)
        return answer

    @property
    def best(self) -> float:
        return min(self.seconds)

    @property
    def p50(self) -> float:
        return median(self.seconds)

    @property
    def p99(self) -> float:
        return quantiles(self.seconds, n=100, method="inclusive")[98]


@dataclass(frozen=True)
class Used:
    """Wall-clock and processor seconds of one piece of work. The latter suffer less from a busy machine."""

    wall: float
    cpu: float


def cpu_seconds(root: int) -> float:
    """Processor time that a process and its children, ended ones included, have used so far."""
    total = 0.0
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            fields = (entry / "stat").read_text().rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            continue
        own = int(entry.name) == root
        if own or int(fields[1]) == root:
            total += int(fields[11]) + int(fields[12])
        if own:
            total += int(fields[13]) + int(fields[14])
    return total / os.sysconf("SC_CLK_TCK")


def load() -> float:
    """Load average of the last minute: how busy others kept the machine."""
    return round(os.getloadavg()[0], 2)
