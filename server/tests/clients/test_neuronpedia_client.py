"""Neuronpedia's own Python client, unchanged, reads features from LatentDB."""

from __future__ import annotations

import os

import pytest
import requests

from harness import SAMPLE_DB, Database, neuronpedia_address
from sample import read_sample


@pytest.fixture(scope="module")
def client(tmp_path_factory):
    """The client beside a server on the one port it knows, 3000; another only if that one is taken."""
    os.environ.update(USE_LOCALHOST="true", NEURONPEDIA_API_KEY="any")
    import neuronpedia.np_feature
    from neuronpedia.requests.base_request import NPRequest

    database = Database(tmp_path_factory.mktemp("neuronpedia") / "db")
    database.import_sample()
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
