"""Ten analytic questions: LatentDB over its wire, DuckDB on LatentDB's Parquet files, Postgres on its own tables.

The three answers must agree. The best of several runs counts; the sides take turns.
"""

from __future__ import annotations

from decimal import Decimal

from peers import duck
from questions import QUESTIONS, Question
from report import Row
from setting import Setting
from timing import Timings, load

RUNS = 5
# A question that took this long, on any side, is not asked so often.
PATIENCE_SECONDS = 20


def measure(setting: Setting) -> list[Row]:
    rows = []
    with setting.server() as server, server.connect() as ours, setting.postgres.connect() as postgres:
        duckdb = duck.connect(setting.latentdb.tables())
        words = {"token": _common_token(postgres)}
        for question in QUESTIONS:
            rows += _ask(question, words, {"latentdb": ours, "duckdb": duckdb, "postgres": postgres})
    return rows


def _ask(question: Question, words: dict[str, str], sides: dict) -> list[Row]:
    times = {side: Timings() for side in sides}
    answers, errors = {}, {}
    before = load()
    for _ in range(RUNS):
        for side, connection in sides.items():
            text = question.text(side).format(**words)
            if side in errors or sum(times[side].seconds) > PATIENCE_SECONDS:
                continue
            try:
                answers[side] = times[side].time(lambda: connection.execute(text).fetchall())
            except Exception as error:  # one question's failure is a finding, not the end of the run
                errors[side] = str(error).splitlines()[0]
    plain = {side: [_plain(row) for row in answer] for side, answer in answers.items()}
    agree = all(answer == plain.get("latentdb") for answer in plain.values()) and not errors
    notes = {"agree": agree, "rows": len(plain.get("latentdb", [])), "load": [before, load()]}
    notes |= {"errors": errors} if errors else {}
    notes["ms"] = {side: [round(second * 1e3, 2) for second in timings.seconds] for side, timings in times.items()}
    if not agree and not errors:
        notes["answers"] = {side: repr(answer[:5]) for side, answer in plain.items()}
    best = {side: times[side].best * 1e3 if side in answers else None for side in sides}
    label = question.name if agree else f"{question.name} (no agreement)"
    return [
        Row("questions", f"{label}, beside {peer}", "ms", best["latentdb"], best[peer], notes=notes)
        for peer in ("duckdb", "postgres")
    ]


def _plain(row: tuple) -> tuple:
    return tuple(_value(value) for value in row)


def _value(value: object) -> object:
    """What compares equal across the sides, where they cannot store the same."""
    if isinstance(value, float | Decimal):  # 32-bit floats here and in DuckDB, 64-bit floats in Postgres
        return float(f"{value:.5g}")
    if isinstance(value, str):  # Postgres cannot store U+0000
        return value.replace("\0", "")
    return value


def _common_token(postgres) -> str:
    """The token that most features promote most, among those that need no quoting."""
    query = """SELECT pos_str[1] FROM "Neuron" WHERE pos_str[1] ~ '^ ?[a-z]+$' GROUP BY 1 ORDER BY count(*) DESC, 1 LIMIT 1"""
    return postgres.execute(query).fetchone()[0]
