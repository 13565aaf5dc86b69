"""Import: the whole export into LatentDB, and its rows by COPY into Postgres; seconds and bytes on disk.

LatentDB starts from the compressed JSON of the export. Postgres starts from text files that already have its own
format: decompressing and parsing JSON is no part of its time.
"""

from __future__ import annotations

from report import Row
from setting import Setting
from timing import Used, load


def measure(setting: Setting) -> list[Row]:
    before = load()
    ours = setting.latentdb.load(setting.data.export)
    between = load()
    theirs = setting.postgres.load(setting.data, setting.streams)
    after = load()
    rows = setting.postgres.count()
    setting.postgres.settle()
    our_bytes, their_bytes = setting.latentdb.bytes(), setting.postgres.bytes()
    notes = {"rows": rows, "load": [before, between, after], "streams": setting.streams}
    sizes = {"latentdb": our_bytes, "postgres": their_bytes, "export": setting.data.bytes(setting.data.export)}
    return [
        Row("import", "wall clock", "rows/s", rows / ours.wall, rows / theirs.wall, more_is_better=True, notes=notes),
        _per_cpu(ours, theirs, rows),
        Row("import", "on disk", "bytes/row", sum(our_bytes.values()) / rows, sum(their_bytes.values()) / rows,
            notes=sizes),
    ]  # fmt: skip


def _per_cpu(ours: Used, theirs: Used, rows: int) -> Row:
    return Row("import", "processor time", "rows/CPU s", rows / ours.cpu, rows / theirs.cpu, more_is_better=True)
