"""The OpenAPI document is valid, names every route, and says the truth about real answers."""

from __future__ import annotations

import re

import pytest
import requests
from jsonschema import Draft202012Validator
from openapi_spec_validator import validate
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT202012

from harness import REPOSITORY, SAMPLE_DB, Database, Server
from sample import read_sample

TEXT = "The iterator returns None"
STEERED = {"modelId": "docs-3m", "layer": "3-res", "index": 5, "strength": 40}
STEER = {"modelId": "docs-3m", "features": [STEERED], "prompt": TEXT, "temperature": 0, "n_tokens": 4, "seed": 16,
         "strength_multiplier": 1}  # fmt: skip
VECTOR = {"modelId": "docs-3m", "layerNumber": 3, "hookType": "hook_resid_pre", "vectorDefaultSteerStrength": 8}

# What is asked of each route. A list: one after the other. `$NAME` stands for something that an earlier answer said.
ASKED: dict[str, list[dict | str | None]] = {
    "post /v1/sql": [
        {"sql": "SELECT index, density, top_logits FROM features LIMIT 3"},
        {"sql": "CREATE TABLE described (id int)"},
        {"sql": "INSERT INTO described VALUES (1)"},
    ],
    "post /api/tokenize": [{"modelId": "docs-3m", "prompt": TEXT}],
    "post /api/activation/new": [
        {"feature": {"modelId": "docs-3m", "source": "3-res", "index": "17"}, "customText": text} for text in (TEXT, [TEXT, "x"])
    ],
    "post /api/activation/source": [{"modelId": "docs-3m", "source": "3-res", "customText": TEXT}],
    "post /api/search-all": [
        {"modelId": "docs-3m", "sourceSet": "res", "selectedLayers": ["3-res"], "text": text, "sortIndexes": sort}
        for text, sort in ((TEXT, []), ([TEXT, "x"], [1]))
    ],
    "post /api/search-topk-by-token": [{"modelId": "docs-3m", "source": "3-res", "text": text} for text in (TEXT, [TEXT])],
    "post /api/explanation/search-all": [{"query": "$word", "mode": "words"}],
    "post /api/explanation/search-model": [{"modelId": "$model", "query": "$word", "mode": "words"}],
    "post /api/explanation/search": [{"modelId": "$model", "layers": ["$source"], "query": "$word", "mode": "words"}],
    "post /api/steer": [STEER],
    "post /api/steer-load": [{"steerOutputId": "$steer"}],
    "post /api/steer/presets": [{"modelId": "docs-3m"}],
    "post /api/steer-logits": [{"modelId": "docs-3m", "prompt": TEXT, "features": [], "nTokens": 2, "topK": 2, "temperature": 0}],
    "post /api/lens/prompt": [{"modelId": "docs-3m", "prompt": TEXT, "topN": 2, "numCompletionTokens": 1, "stream": False}],
    "post /api/lens/share": [{"modelId": "docs-3m", "prompt": TEXT, "topN": 2, "numCompletionTokens": 1}],
    "get /api/lens/share/{id}": [None],
    "post /api/vector/new": [VECTOR | {"vector": [0.5] * 192}],
    "post /api/vector/get": [
        {"modelId": "docs-3m", "source": "vectors", "index": "$vector"},
        {"modelId": "docs-3m", "source": "3-res", "index": "3"},
    ],
    "post /api/vector/list-owned": [None],
    "post /api/vector/delete": [{"modelId": "docs-3m", "source": "vectors", "index": "$vector"}],
    "post /v1/completions": [
        {"model": "docs-3m", "prompt": TEXT, "max_tokens": 3, "logprobs": 2, "steering": [{"source": "3-res", "index": 5, "strength": 9}]}
    ],
    "get /v1/models": [None],
    "post /v1/jobs": [{"kind": "import", "from": "/no/such/place"}],
    "get /v1/jobs": [None],
    "get /v1/jobs/{id}": [None],
    "delete /v1/jobs/{id}": [None],
    "post /v1/jobs/{id}/resume": [None],
    "get /healthz": [None],
    "get /openapi.json": [None],
    "get /api/feature/{model}/{source}/{index}": [None],
}
STARTED = {"post /v1/jobs", "post /v1/jobs/{id}/resume"}  # with 202
# Answered here by errors alone, or elsewhere: there is no release, no chat template, and no text to be parsed as JSON.
ELSEWHERE = {"post /api/explanation/search-release", "post /api/steer-chat", "post /v1/chat/completions", "get /metrics"}


@pytest.fixture(scope="module")
def described(tmp_path_factory) -> tuple[Server, dict, dict[str, str]]:
    """A server over the sample and the demo's model, its document, and what `$NAME` stands for."""
    database = Database(tmp_path_factory.mktemp("openapi") / "db")
    database.import_sample()
    database.add_demo_model()
    database.run("source", "add", "docs-3m/3-tc", str(REPOSITORY / "datasets" / "demo" / "sources" / "3-tc"))
    key = database.run("key", "add").stdout.strip()
    dump = read_sample(SAMPLE_DB)
    explained = dump.explanations[0]
    word = max(re.findall(r"[A-Za-z]+", explained["description"]), key=len)
    known = {"key": key, "word": word, "model": dump.model, "source": dump.source, "index": str(explained["index"])}
    with database.serve() as server:
        yield server, requests.get(f"{server.http}/openapi.json", timeout=30).json(), known


def filled(value, known: dict[str, str]):
    """A request with what `$NAME` stands for put in."""
    if isinstance(value, dict):
        return {name: filled(member, known) for name, member in value.items()}
    if isinstance(value, list):
        return [filled(member, known) for member in value]
    return known[value[1:]] if isinstance(value, str) and value.startswith("$") else value


def validator(document: dict, operation: str, status: int) -> Draft202012Validator:
    method, path = operation.split(" ", 1)
    responses = document["paths"][path][method]["responses"]
    found = str(status) if str(status) in responses else "default"
    pointer = "/".join(part.replace("~", "~0").replace("/", "~1") for part in
                       ("paths", path, method, "responses", found, "content", "application/json", "schema"))  # fmt: skip
    resource = Resource.from_contents(document, default_specification=DRAFT202012)
    registry = Registry().with_resource("urn:latentdb", resource)
    return Draft202012Validator({"$ref": f"urn:latentdb#/{pointer}"}, registry=registry)


def ask(server: Server, operation: str, body, key: str) -> requests.Response:
    method, path = operation.split(" ", 1)
    return requests.request(method, f"{server.http}{path}", json=body, headers={"x-api-key": key}, timeout=60)


def test_the_document_is_valid(described):
    validate(described[1])


def test_every_operation_is_told_apart_and_described(described):
    operations = [operation for item in described[1]["paths"].values() for operation in item.values()]
    assert len({operation["operationId"] for operation in operations}) == len(operations)
    for operation in operations:
        assert operation["summary"] and operation["tags"], operation
        assert {"default"} <= set(operation["responses"]), operation


def test_real_answers_are_what_the_document_says(described):
    server, document, known = described
    for operation, bodies in ASKED.items():
        path = filled([f"${name}" for name in re.findall(r"{(\w+)}", operation)], known)
        address = re.sub(r"{\w+}", lambda _: path.pop(0), operation)
        for body in bodies:
            answer = ask(server, address, filled(body, known), known["key"])
            status = 202 if operation in STARTED else 200
            assert answer.status_code == status, f"{operation}: {answer.text}"
            said = answer.json()
            errors = list(validator(document, operation, status).iter_errors(said))
            assert not errors, f"{operation} {body}: {errors[0].json_path}: {errors[0].message}"
            if operation == "post /api/steer":
                known["steer"] = said["id"]
            if operation in ("post /v1/jobs", "post /api/lens/share"):
                known["id"] = said["id"]
            if operation == "post /api/vector/new":
                known["vector"] = said["vector"]["index"]


def test_nothing_is_asked_of_fewer_routes_than_there_are(described):
    operations = {f"{method} {path}" for path, item in described[1]["paths"].items() for method in item}
    assert operations == set(ASKED) | ELSEWHERE


def test_a_feature_is_described_member_by_member(described):
    """The schema is not so wide that anything fits."""
    server, document, known = described
    operation = "get /api/feature/{model}/{source}/{index}"
    address = f"get /api/feature/{known['model']}/{known['source']}/{known['index']}"
    feature = ask(server, address, None, known["key"]).json()
    assert feature["activations"] and feature["explanations"]
    check = validator(document, operation, 200)
    for spoil in (
        lambda said: said.pop("pos_str"),
        lambda said: said.update(index=3),
        lambda said: said["activations"][0].update(tokens=None),
        lambda said: said["explanations"][0].update(description=5),
        lambda said: said.update(model="x"),
    ):
        spoiled = ask(server, address, None, known["key"]).json()
        spoil(spoiled)
        assert not check.is_valid(spoiled)


@pytest.mark.parametrize(
    ("operation", "address", "body"),
    [
        ("post /v1/sql", "post /v1/sql", {"sql": "SELEC 1"}),
        ("get /api/feature/{model}/{source}/{index}", "get /api/feature/none/none/1", None),
        ("post /api/explanation/search-release", "post /api/explanation/search-release", {"query": "word", "releaseName": "none"}),
        ("post /v1/chat/completions", "post /v1/chat/completions", {"model": "docs-3m", "messages": []}),
        ("post /api/steer-chat", "post /api/steer-chat", {}),
    ],
)
def test_failures_are_what_the_document_says(described, operation: str, address: str, body):
    server, document, known = described
    answer = ask(server, address, body, known["key"])
    assert answer.status_code >= 400
    validator(document, operation, answer.status_code).validate(answer.json())
