"""`/api/lens/prompt`, `logit_lens` and Jacobian lenses, as users ask for them."""

from __future__ import annotations

import json
import shutil
import struct
from pathlib import Path

import psycopg
import pytest
import requests

from harness import REPOSITORY, Database, Server

DEMO = REPOSITORY / "datasets" / "demo"
PROMPT = "The iterator returns"
TEMPLATE = (
    "{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}"
    "{% if add_generation_prompt %}assistant: {% if enable_thinking %}<think>{% endif %}{% endif %}"
)
WIDTH, LAYERS = 192, 6


def write_lens(path: Path, factor: float, layers: int = LAYERS - 1) -> Path:
    """A lens whose Jacobians are the identity, times a factor, as safetensors."""
    size = WIDTH * WIDTH * 4
    header = {
        f"J.{layer}": {"dtype": "F32", "shape": [WIDTH, WIDTH], "data_offsets": [layer * size, (layer + 1) * size]}
        for layer in range(layers)
    }
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    row = [[factor if one == other else 0.0 for other in range(WIDTH)] for one in range(WIDTH)]
    matrix = b"".join(struct.pack(f"<{WIDTH}f", *values) for values in row)
    path.write_bytes(struct.pack("<Q", len(text)) + text + matrix * layers)
    return path


@pytest.fixture(scope="module")
def server(tmp_path_factory) -> Server:
    folder = tmp_path_factory.mktemp("lens")
    database = Database(folder / "db")
    database.add_demo_model()
    lens = write_lens(folder / "docs-3m_jacobian_lens.safetensors", 1.0)
    assert "5 layers" in database.run("model", "lens", "docs-3m", str(lens)).stdout
    chatty = folder / "chatty"
    shutil.copytree(DEMO / "model", chatty)
    (chatty / "chat_template.jinja").write_text(TEMPLATE)
    database.run("model", "add", "chatty", str(chatty))
    with database.serve() as running:
        yield running


def post(server: Server, body: dict) -> requests.Response:
    return requests.post(f"{server.http}/api/lens/prompt", json={"modelId": "docs-3m"} | body, timeout=60)


def frames(server: Server, body: dict) -> list[dict]:
    answer = post(server, body)
    assert answer.status_code == 200 and answer.headers["content-type"] == "application/x-ndjson", answer.text
    return [json.loads(line) for line in answer.text.splitlines()]


def rows(server: Server, sql: str) -> list[tuple]:
    with psycopg.connect(server.dsn, autocommit=True) as connection:
        return connection.execute(sql).fetchall()


def test_every_position_of_a_prompt_and_of_what_follows_it_is_read(server: Server):
    body = {"prompt": PROMPT, "topN": 3, "numCompletionTokens": 5, "filterNonWordTokens": False}
    meta, prompt, *tokens, done = frames(server, body)
    assert meta["kind"] == "meta" and meta["types"] == ["LOGIT_LENS", "JACOBIAN_LENS"]
    assert meta["layers_by_type"] == {"LOGIT_LENS": list(range(LAYERS)), "JACOBIAN_LENS": list(range(LAYERS))}
    assert (meta["top_n"], meta["num_completion_tokens"], meta["reuse_len"], meta["prepend_bos"]) == (3, 5, 0, True)
    assert [token["id"] for token in prompt["tokens"]] == [token["id"] for token in tokens[: meta["prompt_len"]]]
    assert [token["position"] for token in tokens] == list(range(meta["prompt_len"] + 5))
    assert [token["is_generated"] for token in tokens] == [False] * meta["prompt_len"] + [True] * 5
    assert done["seq_len"] == len(tokens) and done["completion"] == "".join(token["token"] for token in tokens[-5:])
    # What SQL says of the same.
    found = rows(server, f"SELECT position, layer, rank, next_token, probability FROM logit_lens('docs-3m', '{PROMPT}', top_k => 3)")
    for position, layer, rank, text, probability in found:
        logit, jacobian = tokens[position]["results"]
        assert (logit["type"], jacobian["type"]) == ("LOGIT_LENS", "JACOBIAN_LENS")
        assert logit["top_tokens"][layer][rank - 1] == text
        assert logit["top_probs"][layer][rank - 1] == pytest.approx(probability, abs=2e-4)
        # The lens that was added has the identity for all Jacobians.
        assert jacobian["top_tokens"][layer][rank - 1] == text
    # The model's own answer is what comes next.
    for token, following in zip(tokens[meta["prompt_len"] - 1 :], tokens[meta["prompt_len"] :], strict=False):
        assert token["results"][0]["top_tokens"][-1][0] == following["token"]
    whole = post(server, body | {"stream": False}).json()
    assert (whole["meta"], whole["tokens"], whole["done"]) == (meta, tokens, done)


def test_what_is_known_is_not_read_again_and_tokens_may_be_given(server: Server):
    meta, prompt, *tokens, done = frames(server, {"prompt": PROMPT, "numCompletionTokens": 3, "type": ["LOGIT_LENS"]})
    ids = [token["id"] for token in tokens]
    meta_again, _, *again, done_again = frames(server, {"inputTokenIds": ids, "numCompletionTokens": 3, "type": ["LOGIT_LENS"]})
    assert meta_again["num_completion_tokens"] == 0 and done_again["seq_len"] == len(ids)
    assert [token["results"][0]["top_tokens"] for token in again] == [token["results"][0]["top_tokens"] for token in tokens]
    known = {"prompt": PROMPT + " a new", "numCompletionTokens": 0, "cachedTokenIds": ids[: len(prompt["tokens"])]}
    meta, _, *rest, _ = frames(server, known)
    assert meta["reuse_len"] == len(prompt["tokens"]) and rest[0]["position"] == meta["reuse_len"]


def test_layers_and_words_are_chosen(server: Server):
    meta, _, *tokens, _ = frames(server, {"prompt": PROMPT, "layers": [1], "numCompletionTokens": 0, "topN": 5, "prependBos": False})
    assert meta["layers_by_type"]["LOGIT_LENS"] == [1, LAYERS - 1]
    for token in tokens:
        first, last = token["results"][0]["top_tokens"]
        assert all(text.strip().replace("-", "").replace("'", "").isalnum() for text in first + last[1:]), (first, last)


def test_conversations_go_through_the_template(server: Server):
    asked = [{"role": "user", "content": "What is a vector?"}]
    body = {"modelId": "chatty", "chat": asked, "numCompletionTokens": 2}
    text = lambda body: "".join(token["token"] for token in frames(server, body)[1]["tokens"])  # noqa: E731
    assert text(body) == "user: What is a vector?\nassistant: "
    assert text(body | {"enableThinking": True}) == "user: What is a vector?\nassistant: <think>"
    begun = asked + [{"role": "assistant", "content": "A vector is"}]
    assert text(body | {"chat": begun}) == "user: What is a vector?\nassistant: A vector is"
    # Only the logit lens, where no other was added.
    assert frames(server, body)[0]["types"] == ["LOGIT_LENS"]


def test_a_prompt_is_steered_by_the_tokens_that_a_lens_shows(server: Server):
    body = {"prompt": PROMPT, "numCompletionTokens": 4, "topN": 1, "filterNonWordTokens": False}
    _, _, *plain, _ = frames(server, body)
    shown = plain[3]["results"][1]["top_tokens"][3][0]
    steer = {"steerTokens": [{"token": shown, "type": "JACOBIAN_LENS"}], "steerLayers": [3]}
    _, _, *none, _ = frames(server, body | steer | {"steerStrength": 0})
    assert none == plain
    for change in ({"steerStrength": 5}, {"steerAblate": True}, {"swapToken": {"token": " the", "type": "LOGIT_LENS"}}):
        _, _, *steered, _ = frames(server, body | steer | change | {"steerGeneratedTokens": True})
        assert steered[0]["results"] == plain[0]["results"], "BOS is left as it is"
        assert steered[3]["results"] != plain[3]["results"], change
    _, _, *added, _ = frames(server, body | steer | {"steerStrength": 5})
    assert added[3]["results"][1]["top_tokens"][3][0] == shown


def test_what_cannot_be_read_is_refused_with_a_remedy(server: Server):
    for body, status, word in [
        ({}, 400, "exactly one"),
        ({"prompt": PROMPT, "chat": []}, 400, "exactly one"),
        ({"prompt": PROMPT, "topN": 0}, 400, "topN"),
        ({"prompt": PROMPT, "type": ["MAGIC"]}, 400, "MAGIC"),
        ({"prompt": PROMPT, "layers": [99]}, 400, "99"),
        ({"prompt": PROMPT, "numCompletionTokens": 10_000_000}, 400, "10000000"),
        ({"prompt": PROMPT, "modelId": "nothing"}, 404, "no model nothing"),
        ({"prompt": PROMPT, "modelId": "chatty", "type": ["JACOBIAN_LENS"]}, 404, "latentdb model lens"),
        ({"inputTokenIds": [4_000_000]}, 400, "4000000"),
        ({"prompt": "a vector of " * 300}, 400, "context"),
        ({"prompt": PROMPT, "steerTokens": [{"token": "no such token", "type": "LOGIT_LENS"}], "steerLayers": [1],
          "steerStrength": 1}, 404, "no such token"),
    ]:  # fmt: skip
        refused = post(server, body)
        answer = refused.json()
        assert refused.status_code == status and word in f"{answer['message']} {answer['hint']}", (body, refused.text)


def test_a_lens_that_does_not_fit_is_refused_and_another_takes_its_place(tmp_path: Path):
    database = Database(tmp_path / "db")
    database.add_demo_model()
    wrong = write_lens(tmp_path / "wrong.safetensors", 1.0, layers=LAYERS + 1)
    refused = database.run("model", "lens", "docs-3m", str(wrong), check=False)
    assert refused.returncode == 1 and "no lens of docs-3m" in refused.stderr
    refused = database.run("model", "lens", "docs-3m", str(tmp_path / "none.pt"), check=False)
    assert refused.returncode == 1 and "none.pt" in refused.stderr
    for factor in (1.0, 0.0):
        database.run("model", "lens", "docs-3m", str(write_lens(tmp_path / f"{factor}.safetensors", factor)))
    lens = "SELECT count(DISTINCT next_token_id) FROM logit_lens('docs-3m', 'The iterator returns None', lens => 'jacobian') WHERE layer < 5"
    # Where all Jacobians are zero, every position and layer says the same.
    assert database.run("sql", "--format", "csv", lens).stdout.split()[-1] == "1"


def test_a_reading_is_shared_and_read_again_by_its_link(server: Server):
    body = {"modelId": "docs-3m", "prompt": PROMPT, "topN": 2, "numCompletionTokens": 3, "filterNonWordTokens": False}
    share = lambda extra: requests.post(f"{server.http}/api/lens/share", json=body | extra, timeout=60)
    shared = share({"description": "what returns", "uiState": {"layer": 3}, "tokens": "forged"})
    assert shared.status_code == 200, shared.text
    told = shared.json()
    assert told["path"] == f"/lens/{told['id']}" and told["url"].endswith(told["path"])
    record = requests.get(f"{server.http}/api/lens/share/{told['id']}", timeout=60).json()
    whole = post(server, body | {"stream": False}).json()
    assert (record["meta"], record["tokens"], record["done"]) == (whole["meta"], whole["tokens"], whole["done"])
    assert (record["version"], record["kind"], record["modelId"], record["prompt"]) == (1, "completion", "docs-3m", PROMPT)
    assert (record["description"], record["uiState"]) == ("what returns", {"layer": 3})
    assert rows(server, f"SELECT kind, model_id FROM saved_runs WHERE run_id = '{told['id']}'") == [("lens", "docs-3m")]
    missing = requests.get(f"{server.http}/api/lens/share/{'0' * 32}", timeout=60)
    assert missing.status_code == 404 and missing.json()["message"]
    # A steering run is loaded by its own door only, and the other way round.
    wrong_door = requests.post(f"{server.http}/api/steer-load", json={"steerOutputId": told["id"]}, timeout=60)
    assert wrong_door.status_code == 404
    for wrong in [{"description": "x" * 600}, {"topN": 0}, {"uiState": {"x": "y" * 70_000}}, {"modelId": "nobody"}, {"prompt": None}]:
        answer = share(wrong)
        assert answer.status_code in (400, 404) and answer.json()["message"], wrong
