"""Neuronpedia's own Python client, unchanged, reads features from LatentDB and asks it what texts make fire."""

from __future__ import annotations

import json
import os

import pytest
import requests

from harness import GOLDEN, SAMPLE_DB, Database, neuronpedia_address
from sample import read_sample


@pytest.fixture(scope="module")
def client(tmp_path_factory):
    """The client beside a server on the one port it knows, 3000; another only if that one is taken."""
    os.environ.update(USE_LOCALHOST="true", NEURONPEDIA_API_KEY="any")
    import neuronpedia.np_feature
    from neuronpedia.requests.base_request import NPRequest

    database = Database(tmp_path_factory.mktemp("neuronpedia") / "db")
    database.import_sample()
    database.add_golden_model()
    with database.serve(http=neuronpedia_address()) as server:
        assert NPRequest.BASE_URL == "http://localhost:3000/api"
        NPRequest.BASE_URL = f"{server.http.replace('127.0.0.1', 'localhost')}/api"
        yield neuronpedia.np_feature.Feature


def test_feature_get_gives_the_imported_feature(client, sample):
    for record in sample.features[:5]:
        index = int(record["index"])
        feature = client.get(sample.model, sample.source, index)
        assert (feature.modelId, feature.source, int(feature.index)) == (sample.model, sample.source, index)
        assert feature.density == pytest.approx(record["frac_nonzero"])
        expected = sorted(sample.activations_of(index), key=lambda activation: -activation["maxValue"])
        assert [max(activation.values) for activation in feature.activations] == pytest.approx(
            [activation["maxValue"] for activation in expected]
        )
        assert sorted(activation.tokens for activation in feature.activations) == sorted(
            activation["tokens"] for activation in expected
        )


def test_explanations_arrive(client):
    dump = read_sample(SAMPLE_DB)
    index = int(dump.explanations[0]["index"])
    expected = {record["description"] for record in dump.explanations if int(record["index"]) == index}
    feature = client.get(dump.model, dump.source, index)
    assert {explanation.text for explanation in feature.explanations} == expected


def test_feature_json_has_the_imported_fields(server, sample):
    record = sample.features[0]
    answer = requests.get(f"{server.http}/api/feature/{sample.model}/{sample.source}/{record['index']}", timeout=30).json()
    assert answer["index"] == str(record["index"]), "an index is a string there"
    assert answer["layer"] == sample.source
    for key in ("pos_str", "neg_str", "vectorLabel", "hookName"):
        assert answer[key] == record[key], key
    for key in ("maxActApprox", "pos_values", "neg_values", "freq_hist_data_bar_heights", "freq_hist_data_bar_values"):
        assert answer[key] == pytest.approx(record[key]), key
    assert answer["createdAt"].endswith("Z")


def test_an_absent_feature_is_404_with_json(server, sample):
    answer = requests.get(f"{server.http}/api/feature/{sample.model}/{sample.source}/999999999", timeout=30)
    assert answer.status_code == 404
    assert {"error", "message"} <= set(answer.json())


EXPECTED = json.loads((GOLDEN / "expected.json").read_text())


def strongest(row, source: str) -> list[tuple[str, float]]:
    """Features by their largest activation, position 0 left out, as interp-engine and SAELens give them."""
    columns = list(zip(*row["sources"][source]["acts"][1:]))
    most = [(str(index), max(column)) for index, column in enumerate(columns) if max(column) > 0]
    return sorted(most, key=lambda feature: (-feature[1], int(feature[0])))


def test_top_features_of_a_text_are_the_oracles(client):
    from neuronpedia.requests.source_activation_request import SourceActivationRequest

    ask = SourceActivationRequest()
    for row in EXPECTED:
        found = ask.compute_top_features_for_text("tiny", "2-res", row["text"], num_results=8)
        assert [feature.index for feature in found] == [index for index, _ in strongest(row, "2-res")[:8]]
        assert [max(feature.values) for feature in found] == pytest.approx(
            [most for _, most in strongest(row, "2-res")[:8]], rel=1e-4
        )
        assert found[0].tokens == row["tokens"]
    batch = ask.compute_top_features_for_texts("tiny", "2-res", [row["text"] for row in EXPECTED], num_results=8)
    assert [[feature.index for feature in features] for features in batch] == [
        [index for index, _ in strongest(row, "2-res")[:8]] for row in EXPECTED
    ]


def test_one_feature_on_texts_is_the_oracles(client):
    from neuronpedia.requests.activation_request import ActivationRequest

    ask = ActivationRequest()
    for row in EXPECTED:
        index = strongest(row, "1-res")[0][0]
        values = [acts[int(index)] for acts in row["sources"]["1-res"]["acts"][1:]]
        found = ask.compute_activation_for_text("tiny", "1-res", index, row["text"])
        assert found.values == pytest.approx(values, rel=1e-4, abs=1e-5)
        assert found.tokens == row["tokens"][1:], "the BOS token is left out"
    texts = [row["text"] for row in EXPECTED]
    assert [found.tokens for found in ask.compute_activation_for_texts("tiny", "1-res", "3", texts)] == [
        row["tokens"][1:] for row in EXPECTED
    ]


def test_features_of_attention_say_which_tokens_gave_to_them(client):
    from neuronpedia.requests.base_request import NPRequest

    row = EXPECTED[0]
    body = {"modelId": "tiny", "sourceSet": "att", "text": row["text"], "selectedLayers": [], "sortIndexes": [],
            "ignoreBos": True, "numResults": 96}  # fmt: skip
    found = requests.post(f"{NPRequest.BASE_URL}/search-all", json=body, timeout=30).json()["result"]
    (hit,) = [hit for hit in found if hit["index"] == str(row["dfa"]["index"])]
    assert hit["dfaTargetIndex"] == row["dfa"]["target"]
    assert hit["dfaValues"] == pytest.approx([0.0, *row["dfa"]["values"][1:]], rel=1e-3, abs=1e-4)
    assert hit["dfaMaxValue"] == max(hit["dfaValues"])
    body["sourceSet"] = "res"
    others = requests.post(f"{NPRequest.BASE_URL}/search-all", json=body, timeout=30).json()["result"]
    assert others and all("dfaValues" not in hit for hit in others)


def test_every_feature_of_a_source_is_the_oracles(client):
    from neuronpedia.requests.activation_request import ActivationRequest

    row = EXPECTED[0]
    (found,) = ActivationRequest().compute_all_source_activations_for_text("tiny", "1-res", row["text"])
    assert found["tokens"] == row["tokens"]
    acts = row["sources"]["1-res"]["acts"]
    fired = {
        str(index): [[position, value] for position, value in enumerate(column) if value and position]
        for index, column in enumerate(zip(*acts))
    }
    expected = {index: places for index, places in fired.items() if places}
    assert found["activeFeatures"].keys() == expected.keys()
    for index, places in expected.items():
        assert [place for place, _ in found["activeFeatures"][index]] == [place for place, _ in places]
        assert [value for _, value in found["activeFeatures"][index]] == pytest.approx(
            [value for _, value in places], abs=6e-4
        )


def test_top_features_of_each_token_are_the_oracles(client):
    from neuronpedia.requests.topk_by_token_request import TopKByTokenRequest

    ask = TopKByTokenRequest()
    row = EXPECTED[1]
    found = ask.compute_top_features_by_token_for_text("tiny", "2-res", row["text"], num_results=3)
    assert [at.position for at in found] == list(range(1, len(row["ids"]))), "special tokens are left out"
    for at in found:
        acts = row["sources"]["2-res"]["acts"][at.position]
        best = sorted(range(len(acts)), key=lambda index: -acts[index])[:3]
        assert [int(top.feature.index) for top in at.topFeatures] == best
        assert [top.activationValue for top in at.topFeatures] == pytest.approx([acts[i] for i in best], rel=1e-4)
    batch = ask.compute_top_features_by_token_for_texts("tiny", "2-res", [r["text"] for r in EXPECTED[:2]], num_results=3)
    assert len(batch) == 2 and batch[1][1].token == row["tokens"][1]


def test_what_cannot_be_answered_is_json_with_a_status(client):
    from neuronpedia.requests.base_request import NPRequest

    def ask(path: str, body: dict) -> requests.Response:
        return requests.post(f"{NPRequest.BASE_URL}/{path}", json=body, timeout=30)

    feature = {"modelId": "tiny", "layer": "1-res", "index": "3"}
    for path, body, status in [
        ("activation/new", {"feature": feature | {"modelId": "none"}, "customText": "x"}, 404),
        ("activation/new", {"feature": feature | {"index": "9999"}, "customText": "x"}, 404),
        ("activation/new", {"feature": feature}, 400),
        ("activation/source", {"modelId": "tiny", "source": "1-res", "customText": ["x"] * 5}, 400),
        ("search-all", {"modelId": "tiny", "sourceSet": "res", "text": "x", "numResults": 1000}, 400),
        ("search-topk-by-token", {"modelId": "tiny", "source": "7-none", "text": "x"}, 404),
        ("tokenize", {"prompt": "x"}, 400),
    ]:
        answer = ask(path, body)
        assert answer.status_code == status, f"{path}: {answer.text}"
        assert answer.json()["message"]
