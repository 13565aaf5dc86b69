"""`/api/steer-logits` and `/api/steer/presets`: what a page of steering asks for."""

from __future__ import annotations

import json

import psycopg
import pytest
import requests

from harness import REPOSITORY, Database, Server

PROMPT = "The iterator returns"


@pytest.fixture(scope="module")
def server(tmp_path_factory) -> Server:
    database = Database(tmp_path_factory.mktemp("steer-logits") / "db")
    database.add_demo_model()
    database.run("source", "add", "docs-3m/3-tc", str(REPOSITORY / "datasets" / "demo" / "sources" / "3-tc"))
    database.environment["KEY"] = database.run("key", "add").stdout.strip()
    with database.serve() as running:
        yield running


def post(server: Server, body: dict) -> requests.Response:
    common = {"modelId": "docs-3m", "prompt": PROMPT, "nTokens": 4, "topK": 3, "temperature": 0}
    return requests.post(f"{server.http}/api/steer-logits", json=common | body, timeout=60)


def strongest(server: Server) -> tuple[int, int, float]:
    """A feature of the transcoder that fires on the prompt, where, and how much."""
    sql = f"SELECT index, max_position, max_value FROM activate('docs-3m', '3-tc', '{PROMPT}', top_k => 1, fold_decoder_norm => false)"
    with psycopg.connect(server.dsn, autocommit=True) as connection:
        return connection.execute(sql).fetchone()


def test_features_are_shifted_where_asked_and_logits_told(server: Server):
    index, position, value = strongest(server)
    feature = {"layer": 3, "index": index, "token_active_position": position, "steer_position": position}
    answer = post(server, {"features": [feature | {"ablate": True}]}).json()
    default, steered = answer["DEFAULT_LOGITS_BY_TOKEN"], answer["STEERED_LOGITS_BY_TOKEN"]
    with psycopg.connect(server.dsn, autocommit=True) as connection:
        tokens = [row[0] for row in connection.execute(f"SELECT token FROM tokenize('docs-3m', '{PROMPT}')").fetchall()]
        expected = connection.execute(f"SELECT token, probability FROM logits('docs-3m', '{PROMPT}', top_k => 3)").fetchall()
        steering = json.dumps([{"source": "3-tc", "index": index, "method": "ablate", "positions": [position]}])
        changed = connection.execute(
            f"SELECT next_token, steered_probability FROM intervene('docs-3m', '{PROMPT}', %s, top_k => 3, freeze_attention => true) "
            "ORDER BY steered_probability DESC LIMIT 3", [steering]).fetchall()  # fmt: skip
    last = len(tokens) - 1
    assert [token["token"] for token in default[: last + 1]] == tokens
    assert all(not token["top_logits"] for token in default[:last]) and len(default) == len(tokens) + 4
    for found, truth in ((default, expected), (steered, changed)):
        for top, (token, probability) in zip(found[last]["top_logits"], truth, strict=True):
            assert top["token"] == token and top["prob"] == pytest.approx(probability, abs=1e-3)
    assert answer["DEFAULT_GENERATION"] == "".join(token["token"] for token in default)
    assert default[last]["top_logits"] != steered[last]["top_logits"]
    assert default[last + 1]["token"] == default[last]["top_logits"][0]["token"]

    # To shift a feature by what it is, the other way, is to take it out.
    shifted = post(server, {"features": [feature | {"delta": -value}]}).json()
    for one, other in zip(shifted["STEERED_LOGITS_BY_TOKEN"][last]["top_logits"], steered[last]["top_logits"], strict=True):
        assert one["token"] == other["token"] and one["prob"] == pytest.approx(other["prob"], abs=1e-3)
    none = post(server, {"features": [feature | {"delta": 0}]}).json()
    assert none["STEERED_GENERATION"] == none["DEFAULT_GENERATION"]
    later = {"layer": 3, "index": index, "token_active_position": position, "steer_generated_tokens": True, "delta": 50}
    later = post(server, {"features": [later], "freezeAttention": False}).json()
    assert later["STEERED_LOGITS_BY_TOKEN"][last] == later["DEFAULT_LOGITS_BY_TOKEN"][last]
    assert later["STEERED_LOGITS_BY_TOKEN"][last + 1]["top_logits"] != later["DEFAULT_LOGITS_BY_TOKEN"][last + 1]["top_logits"]


def test_what_cannot_be_shifted_is_refused(server: Server):
    feature = {"layer": 3, "index": 5, "token_active_position": 1, "steer_position": 1, "delta": 1}
    for body, status, word in [
        ({"features": [feature | {"ablate": True}]}, 400, "not both"),
        ({"features": [feature | {"delta": None}]}, 400, "no delta"),
        ({"features": [feature | {"steer_generated_tokens": True}]}, 400, "twice"),
        ({"features": [feature | {"steer_position": None}]}, 400, "steer_position"),
        ({"features": [feature | {"steer_position": 99}]}, 400, "99"),
        ({"features": [feature | {"token_active_position": 99}]}, 400, "99"),
        ({"features": [feature | {"index": 99_999}]}, 404, "99999"),
        ({"features": [feature | {"layer": 9}]}, 404, "9-tc"),
        ({"features": [feature], "sourceSetName": "none"}, 404, "3-none"),
        ({"features": [feature], "topK": 1000}, 400, "topK"),
        ({"features": [feature], "modelId": "nothing"}, 400, "nothing"),
    ]:
        refused = post(server, body)
        assert refused.status_code == status and word in refused.json()["message"], (body, refused.text)


def test_presets_are_the_best_explained_features_and_the_callers_vectors(server: Server):
    def presets(model: str = "docs-3m") -> requests.Response:
        headers = {"x-api-key": server.database.environment["KEY"]}
        return requests.post(f"{server.http}/api/steer/presets", json={"modelId": model}, headers=headers, timeout=60)

    assert presets().json()["featurePresets"] == []
    with psycopg.connect(server.dsn, autocommit=True) as connection:
        connection.execute(
            "INSERT INTO features (model_id, source_id, index, max_activation) VALUES "
            "('docs-3m', '3-res', 5, 8), ('docs-3m', '3-res', 6, 4), ('docs-3m', '3-res', 7, NULL)"
        )
        connection.execute(
            "INSERT INTO explanations (explanation_id, model_id, source_id, index, description) VALUES "
            "('a', 'docs-3m', '3-res', 5, 'poor'), ('b', 'docs-3m', '3-res', 6, 'good'), ('c', 'docs-3m', '3-res', 7, 'silent')"
        )
        connection.execute(
            "INSERT INTO explanation_scores (score_id, explanation_id, method, value) VALUES ('1', 'a', 'detection', 0.5), "
            "('2', 'b', 'detection', 0.9)"
        )
        [[width]] = connection.execute("SELECT d_model FROM models WHERE model_id = 'docs-3m'").fetchall()
    new = {"modelId": "docs-3m", "layerNumber": 3, "hookType": "hook_resid_post", "vector": [1.0] * width,
           "vectorDefaultSteerStrength": 4, "vectorLabel": "mine"}  # fmt: skip
    headers = {"x-api-key": server.database.environment["KEY"]}
    assert requests.post(f"{server.http}/api/vector/new", json=new, headers=headers, timeout=60).status_code == 200
    answer = presets().json()
    assert [preset["description"] for preset in answer["featurePresets"]] == ["mine", "good", "poor"]
    assert [preset["isUserVector"] for preset in answer["featurePresets"]] == [True, False, False]
    good = answer["featurePresets"][1]["features"][0]
    assert (good["layer"], good["index"], good["strength"]) == ("3-res", 6, 6.0)
    assert answer["model"]["id"] == "docs-3m" and answer["defaultPrompt"]
    # What is selected can be steered by as it is.
    steer = {"modelId": "docs-3m", "prompt": answer["defaultPrompt"], "features": answer["defaultSelectedFeatures"],
             "temperature": 0, "n_tokens": 4, "seed": 1, "strength_multiplier": 1}  # fmt: skip
    steered = requests.post(f"{server.http}/api/steer", json=steer, timeout=60)
    assert steered.status_code == 200 and steered.json()["STEERED"] is not None, steered.text
    assert presets("nothing").status_code == 404
