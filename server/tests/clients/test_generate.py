"""`latentdb generate`, `eval` and `layout`: from a model's weights and a corpus to what clients see."""

from __future__ import annotations

import json
import urllib.request
from pathlib import Path

import psycopg
import pytest

from harness import GOLDEN, Database

ACTIVATIONS = (
    "SELECT count(*), count(DISTINCT context_id), sum(hash) FROM (SELECT context_id, index * 31 + rank + "
    "max_position * 7 AS hash FROM activations)"
)


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    texts = [prompt["text"] for prompt in json.loads((GOLDEN / "expected.json").read_text())]
    lines = [json.dumps({"text": f"{number} {texts[number % len(texts)]}"}) for number in range(240)]
    path = tmp_path / "corpus.jsonl"
    path.write_text("\n".join(lines))
    return path


@pytest.fixture
def tiny(tmp_path: Path) -> Database:
    database = Database(tmp_path / "tiny")
    database.add_golden_model()
    return database


def ask(database: Database, sql: str) -> str:
    return database.run("sql", "--format", "csv", sql).stdout


def test_dashboards_reach_neuronpedias_clients_and_another_database(tiny: Database, corpus: Path, tmp_path: Path):
    made = tiny.run("generate", "tiny", "1-res,2-res", str(corpus), "--context-length", "16", "--dataset", "numbered")
    assert "1-res: 96 features" in made.stdout and "from 240 prompts" in made.stdout, made.stdout
    assert "placed in" in tiny.run("layout", "tiny", "1-res").stdout
    evals = tiny.run("eval", "tiny", "1-res", str(corpus), "--n-prompts", "16", "--context-length", "16").stdout
    assert "explained_variance" in evals and "ce_loss_score" in evals

    with tiny.serve() as server:
        with urllib.request.urlopen(f"{server.http}/api/feature/tiny/1-res/1") as answer:
            feature = json.load(answer)
    assert feature["frac_nonzero"] > 0 and len(feature["pos_str"]) == 10 and len(feature["freq_hist_data_bar_heights"]) == 50
    strongest = feature["activations"][0]
    assert strongest["maxValue"] == pytest.approx(feature["maxActApprox"], abs=1e-3)
    assert strongest["values"][strongest["maxValueTokenIndex"]] == strongest["maxValue"]
    assert len(strongest["tokens"]) <= 16

    folder = tmp_path / "exported"
    tiny.run("export", "neuronpedia", "tiny/1-res", str(folder))
    other = Database(tmp_path / "other")
    other.import_sample(folder)
    features = "SELECT count(*), sum(density) FROM features WHERE source_id = '1-res'"
    assert ask(other, features) == ask(tiny, features)
    activations = "SELECT count(*), sum(max_position) FROM activations WHERE source_id = '1-res'"
    assert ask(other, activations) == ask(tiny, activations)


def test_a_killed_run_can_be_made_again(tiny: Database, corpus: Path, tmp_path: Path):
    command = ("generate", "tiny", "1-res", str(corpus), "--context-length", "16")
    running = tiny.start(*command)
    assert running.stdout is not None
    for line in running.stdout:
        if "running the model" in line:
            break
    running.kill()
    running.wait(20)
    assert ask(tiny, "SELECT count(*) AS n FROM features").split() == ["n", "0"]
    tiny.run(*command)
    tiny.run("check")
    unbroken = Database(tmp_path / "unbroken")
    unbroken.add_golden_model()
    unbroken.run(*command)
    assert ask(tiny, ACTIVATIONS) == ask(unbroken, ACTIVATIONS)
    assert not list(Path(tiny.location).glob("_staging/generate-*")), "a finished run leaves nothing behind"


def test_what_cannot_be_generated_is_said(tiny: Database, corpus: Path):
    for arguments, words in [
        (("tiny", "9-res", str(corpus)), "9-res"),
        (("nobody", "1-res", str(corpus)), "nobody"),
        (("tiny", "1-res", "no-such-file.jsonl"), "corpus"),
        (("tiny", "1-res", str(corpus), "--context-length", "4096"), "context_length"),
    ]:
        failed = tiny.run("generate", *arguments, check=False)
        assert failed.returncode == 1 and words in failed.stderr, (arguments, failed.stderr)
        assert "panicked" not in failed.stderr


def test_a_call_says_how_far_it_is_unless_nobody_wants_to_know(tiny: Database):
    call = "CALL generate_dashboards('tiny', '1-res', $$SELECT 'The cat sat on the mat.'$$, context_length => 8)"
    with tiny.serve() as server, psycopg.connect(server.dsn, autocommit=True) as connection:
        heard: list[str] = []
        connection.add_notice_handler(lambda notice: heard.append(f"{notice.severity}: {notice.message_primary}"))
        assert connection.execute(call).fetchone()[0] == "1-res"
        assert "NOTICE: running the model: 1" in heard, heard
        heard.clear()
        connection.execute("SET client_min_messages = warning")
        connection.execute(call)
        assert not heard
