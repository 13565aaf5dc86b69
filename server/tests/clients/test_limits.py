"""Limits of requests: settable, and told when they are met."""

from __future__ import annotations

from pathlib import Path

import openai
import psycopg
import pytest
import requests

from harness import Database, Server

STEERING = {"modelId": "docs-3m", "prompt": "The iterator", "temperature": 0, "n_tokens": 4, "seed": 1, "strength_multiplier": 1,
            "features": [{"modelId": "docs-3m", "layer": "3-res", "index": 5, "strength": 10}]}  # fmt: skip


@pytest.fixture
def limited(tmp_path: Path) -> Server:
    database = Database(tmp_path / "db")
    database.add_demo_model()
    settings = tmp_path / "latentdb.toml"
    settings.write_text("[limits]\ntokens = 8\nprompts = 5\nstreams = 2\nrun_days = 30\n")
    database.environment["LATENTDB_MAX_STRENGTH"] = "50"
    with database.serve("--config", str(settings), "--max-prompts", "3") as running:
        yield running


def test_flags_environment_and_file_bound_what_is_asked(limited: Server):
    client = openai.OpenAI(base_url=f"{limited.http}/v1", api_key="any", max_retries=0)
    asked = {"model": "docs-3m", "prompt": "The iterator", "temperature": 0}
    with pytest.raises(openai.BadRequestError, match="8 that may be asked for"):
        client.completions.create(**asked, max_tokens=9)
    with pytest.raises(openai.BadRequestError, match="1 to 3 texts"):
        client.completions.create(**asked, n=4, max_tokens=8)
    # More than the two that are written at a time: the third waits, and comes.
    assert len(client.completions.create(**asked, n=3, max_tokens=8).choices) == 3
    tokens = {"modelId": "docs-3m", "source": "3-res", "text": ["a"] * 4}
    refused = requests.post(f"{limited.http}/api/search-topk-by-token", json=tokens, timeout=60)
    assert refused.status_code == 400 and "limits.prompts" in refused.json()["hint"]
    strong = STEERING | {"features": [STEERING["features"][0] | {"strength": 51}]}
    refused = requests.post(f"{limited.http}/api/steer", json=strong, timeout=60)
    assert refused.status_code == 400 and "strength" in refused.json()["message"]
    with psycopg.connect(limited.dsn, autocommit=True) as connection, pytest.raises(psycopg.Error, match="8 that may be asked for"):
        connection.execute("SELECT generate('docs-3m', 'x', max_tokens => 9)")


def test_a_limit_that_makes_no_sense_stops_the_server(tmp_path: Path):
    refused = Database(tmp_path / "db").run("serve", "--max-tokens", "0", check=False)
    assert refused.returncode == 1 and "max-tokens is 0" in refused.stderr


def test_old_runs_are_swept_and_others_kept(tmp_path: Path):
    database = Database(tmp_path / "db")
    database.add_demo_model()
    with database.serve() as server:
        kept = requests.post(f"{server.http}/api/steer", json=STEERING, timeout=60).json()["id"]
        with psycopg.connect(server.dsn, autocommit=True) as connection:
            connection.execute(
                "INSERT INTO saved_runs (run_id, kind, model_id, request, response, created_at) "
                + "VALUES "
                + ", ".join(
                    f"('{kind}{days}', '{kind}', 'docs-3m', '{{}}', '{{}}', now() - INTERVAL '{days} days')"
                    for kind in ("steer", "search")
                    for days in (20, 40)
                )
            )
    runs = "SELECT run_id FROM saved_runs ORDER BY run_id"
    with database.serve("--keep-runs", "0") as server, psycopg.connect(server.dsn, autocommit=True) as connection:
        assert len(connection.execute(runs).fetchall()) == 5
    with database.serve("--keep-runs", "30") as server, psycopg.connect(server.dsn, autocommit=True) as connection:
        connection.execute("SELECT pg_sleep(1)")
        found = {run for (run,) in connection.execute(runs).fetchall()}
        # What is kept otherwise is none of its business.
        assert found == {"steer20", "search20", "search40", kept}
        assert requests.post(f"{server.http}/api/steer-load", json={"steerOutputId": kept}, timeout=60).status_code == 200


def test_weights_in_fewer_bits_write_nearly_the_same(tmp_path: Path):
    database = Database(tmp_path / "db")
    database.add_demo_model()
    sql = "SELECT logprobs[2] FROM generate('docs-3m', 'The iterator returns', max_tokens => 2)"
    found = {}
    for kind in ("f32", "near", "int8"):
        answer = database.run("sql", "--format", "csv", "--step-weights", kind, sql)
        found[kind] = float(answer.stdout.split()[-1])
    assert found["near"] == pytest.approx(found["f32"], abs=1e-3)
    assert found["int8"] == pytest.approx(found["f32"], abs=0.2) and found["int8"] != found["f32"]
    refused = database.run("sql", "--step-weights", "int3", "SELECT 1", check=False)
    assert refused.returncode == 2 and "int3" in refused.stderr
