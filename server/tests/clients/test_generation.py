"""Generated texts through real clients: SQL, the official OpenAI client, and Neuronpedia's steering endpoints."""

from __future__ import annotations

import json
import shutil
import time
from pathlib import Path

import openai
import psycopg
import pytest
import requests

from harness import REPOSITORY, Database, Server

DEMO = REPOSITORY / "datasets" / "demo"
PROMPT = "The iterator returns"
FEATURE = {"source": "3-res", "index": 5, "strength": 40}
TEMPLATE = "{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}{% if add_generation_prompt %}assistant: {% endif %}"
THINKING = TEMPLATE + "{% if enable_thinking %}<think>\n{% else %}<think>\n\n</think>\n\n{% endif %}"


@pytest.fixture(scope="module")
def server(tmp_path_factory) -> Server:
    folder = tmp_path_factory.mktemp("generation")
    database = Database(folder / "db")
    database.add_demo_model()
    chatty = folder / "chatty"
    shutil.copytree(DEMO / "model", chatty)
    (chatty / "chat_template.jinja").write_text(TEMPLATE)
    database.run("model", "add", "chatty", str(chatty))
    database.run("source", "add", "chatty/3-res", str(DEMO / "sources" / "3-res"))
    thinker = folder / "thinker"
    shutil.copytree(DEMO / "model", thinker)
    (thinker / "chat_template.jinja").write_text(THINKING)
    database.run("model", "add", "thinker", str(thinker))
    database.environment["KEY"] = database.run("key", "add").stdout.strip()
    with database.serve() as running:
        yield running


@pytest.fixture
def client(server: Server) -> openai.OpenAI:
    return openai.OpenAI(base_url=f"{server.http}/v1", api_key="any", max_retries=0)


def generated(server: Server, arguments: str, *values) -> tuple:
    with psycopg.connect(server.dsn, autocommit=True) as connection:
        return connection.execute(f"SELECT * FROM generate('docs-3m', {arguments})", values).fetchone()


def steering(**options) -> dict:
    feature = {"modelId": "docs-3m", "layer": "3-res", "index": 5, "strength": 40}
    common = {"modelId": "docs-3m", "features": [feature], "temperature": 0, "n_tokens": 12, "seed": 16, "strength_multiplier": 1}
    return common | options


def post(server: Server, path: str, body: dict) -> requests.Response:
    return requests.post(f"{server.http}{path}", json=body, timeout=60)


def test_models_and_completions_of_the_openai_client(server: Server, client: openai.OpenAI):
    assert [model.id for model in client.models.list()] == ["chatty", "docs-3m", "thinker"]
    (text, tokens, _, logprobs, reason) = generated(server, "%s, max_tokens => 12", PROMPT)
    answer = client.completions.create(model="docs-3m", prompt=PROMPT, max_tokens=12, temperature=0, logprobs=3)
    choice = answer.choices[0]
    assert (choice.text, choice.finish_reason) == (text, reason)
    assert choice.logprobs.tokens == tokens
    assert choice.logprobs.token_logprobs == pytest.approx(logprobs, abs=1e-4)
    assert all(len(top) == 3 for top in choice.logprobs.top_logprobs)
    assert answer.usage.completion_tokens == len(tokens)
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + len(tokens)

    pieces = list(client.completions.create(model="docs-3m", prompt=PROMPT, max_tokens=12, temperature=0, stream=True))
    assert "".join(piece.choices[0].text for piece in pieces) == text
    assert pieces[-1].choices[0].finish_reason == reason

    several = client.completions.create(model="docs-3m", prompt=[PROMPT, "A"], n=2, max_tokens=4, seed=3)
    assert [choice.index for choice in several.choices] == [0, 1, 2, 3]
    again = client.completions.create(model="docs-3m", prompt=[PROMPT, "A"], n=2, max_tokens=4, seed=3)
    assert [choice.text for choice in several.choices] == [choice.text for choice in again.choices]
    stop = tokens[5].strip() or tokens[5]
    ended = client.completions.create(model="docs-3m", prompt=PROMPT, max_tokens=12, temperature=0, stop=stop, echo=True)
    assert ended.choices[0].text.startswith(PROMPT) and ended.choices[0].finish_reason == "stop"
    assert stop not in ended.choices[0].text.removeprefix(PROMPT)


def test_the_table_of_models_tells_which_have_a_chat_template(server: Server):
    with psycopg.connect(server.dsn, autocommit=True) as connection:
        told = dict(connection.execute("SELECT model_id, instruct FROM models").fetchall())
    assert told == {"docs-3m": False, "chatty": True, "thinker": True}


def test_conversations_of_the_openai_client_steered_too(client: openai.OpenAI):
    asked = {"model": "chatty", "messages": [{"role": "user", "content": "What is a vector?"}], "max_tokens": 10, "temperature": 0}
    plain = client.chat.completions.create(**asked, logprobs=True, top_logprobs=2)
    text = plain.choices[0].message.content
    assert plain.choices[0].message.role == "assistant" and text
    assert len(plain.choices[0].logprobs.content) == plain.usage.completion_tokens
    assert len(plain.choices[0].logprobs.content[0].top_logprobs) == 2
    stream = client.chat.completions.create(**asked, stream=True, stream_options={"include_usage": True})
    pieces = list(stream)
    assert "".join(piece.choices[0].delta.content or "" for piece in pieces if piece.choices) == text
    assert pieces[-1].usage.completion_tokens == plain.usage.completion_tokens
    none = client.chat.completions.create(**asked, extra_body={"steering": [FEATURE | {"strength": 0}]})
    assert none.choices[0].message.content == text
    steered = client.chat.completions.create(**asked, extra_body={"steering": [FEATURE]})
    assert steered.choices[0].message.content != text


def test_what_is_thought_is_told_from_the_answer(server: Server, client: openai.OpenAI):
    messages = [{"role": "user", "content": "What is a vector?"}]
    asked = {"model": "thinker", "messages": messages, "max_tokens": 10, "temperature": 0}
    plain = client.chat.completions.create(**asked).choices[0].message
    assert plain.content and plain.reasoning_content is None
    # This model never ends its thoughts.
    for extra in ({"enable_thinking": True}, {"chat_template_kwargs": {"enable_thinking": True}}):
        thought = client.chat.completions.create(**asked, extra_body=extra).choices[0].message
        assert thought.content == "" and thought.reasoning_content
    deltas = [piece.choices[0].delta for piece in client.chat.completions.create(**asked, stream=True, extra_body=extra)]
    assert "".join(getattr(delta, "reasoning_content", None) or "" for delta in deltas) == thought.reasoning_content
    assert not any(delta.content for delta in deltas)

    body = steering(modelId="thinker", features=[], defaultChatMessages=messages, steeredChatMessages=messages,
                    steer_special_tokens=True, n_tokens=10, enable_thinking=True)  # fmt: skip
    answer = post(server, "/api/steer-chat", body).json()["DEFAULT"]
    turn = answer["chatTemplate"][-1]
    assert (turn["content"], turn["reasoning_content"]) == ("", thought.reasoning_content)
    assert answer["raw"].startswith("user: What is a vector?\nassistant: <think>\n")
    with psycopg.connect(server.dsn, autocommit=True) as connection:
        sql = "SELECT text, thinking FROM chat('thinker', %s, max_tokens => 10, enable_thinking => %s)"
        assert connection.execute(sql, [json.dumps(messages), True]).fetchone() == ("", thought.reasoning_content)
        assert connection.execute(sql, [json.dumps(messages), False]).fetchone() == (plain.content, None)


def test_what_openai_clients_may_not_ask(client: openai.OpenAI):
    with pytest.raises(openai.NotFoundError, match="no model nothing"):
        client.completions.create(model="nothing", prompt="x")
    with pytest.raises(openai.BadRequestError, match="1000000"):
        client.completions.create(model="docs-3m", prompt="x", max_tokens=1_000_000)
    with pytest.raises(openai.BadRequestError, match="steering"):
        client.completions.create(model="docs-3m", prompt="x", extra_body={"steering": [{"strength": 1}]})
    with pytest.raises(openai.NotFoundError, match="99999"):
        client.completions.create(model="docs-3m", prompt="x", extra_body={"steering": [FEATURE | {"index": 99_999}]})
    with pytest.raises(openai.APIStatusError, match="chat template"):
        client.chat.completions.create(model="docs-3m", messages=[{"role": "user", "content": "hi"}])


def test_steering_as_neuronpedia_answers_it(server: Server):
    (text, *_) = generated(server, "%s, max_tokens => 12", PROMPT)
    (steered, *_) = generated(server, "%s, max_tokens => 12, steering => %s", PROMPT, json.dumps([FEATURE]))
    answer = post(server, "/api/steer", steering(prompt=PROMPT)).json()
    assert (answer["DEFAULT"], answer["STEERED"]) == (text, steered)
    assert steered != text
    assert "".join(token["token"] for token in answer["defaultLogProbs"]) == text
    assert all(len(token["topLogprobs"]) == 5 and token["logprob"] <= 0 for token in answer["steeredLogProbs"])

    streamed = post(server, "/api/steer", steering(prompt=PROMPT, stream=True))
    assert streamed.headers["content-type"].startswith("text/event-stream")
    frames = [json.loads(line.removeprefix("data: ")) for line in streamed.text.splitlines() if line.startswith("data: ")]
    for name in ("DEFAULT", "STEERED"):
        texts = [frame[name] for frame in frames]
        assert all(later.startswith(earlier) for earlier, later in zip(texts, texts[1:], strict=False))
    last = frames[-1]
    assert (last["DEFAULT"], last["STEERED"]) == (text, steered) and last["id"]

    loaded = post(server, "/api/steer-load", {"steerOutputId": last["id"]}).json()
    assert (loaded["DEFAULT"], loaded["STEERED"], loaded["inputText"]) == (text, steered, PROMPT)
    assert loaded["features"][0]["index"] == 5 and loaded["shareUrl"].endswith(f"/steer/{last['id']}")
    assert post(server, "/api/steer-load", {"steerOutputId": "none"}).status_code == 404
    for body, status in [
        (steering(prompt=PROMPT, features=[]), 400),
        (steering(prompt=PROMPT, features=[{"layer": "3-res", "index": 99_999, "strength": 1}]), 404),
        (steering(prompt=PROMPT, features=[{"layer": "3-res", "index": 5, "strength": 1e30}]), 400),
        (steering(prompt=PROMPT, steer_method="SIDEWAYS"), 400),
        (steering(), 400),
        (steering(prompt=PROMPT, n_tokens=10_000_000), 400),
    ]:
        refused = post(server, "/api/steer", body)
        assert refused.status_code == status and refused.json()["message"], (body, refused.text)


def test_steered_conversations_as_neuronpedia_answers_them(server: Server):
    messages = [{"role": "user", "content": "What is a vector?"}]
    body = steering(modelId="chatty", defaultChatMessages=messages, steeredChatMessages=messages, steer_special_tokens=False)
    body["features"] = [{"modelId": "chatty", "layer": "3-res", "index": 5, "strength": 40}]
    answer = post(server, "/api/steer-chat", body).json()
    for name in ("DEFAULT", "STEERED"):
        turns = answer[name]["chatTemplate"]
        assert turns[0] == messages[0] and turns[1]["role"] == "assistant"
        assert answer[name]["raw"] == f"user: What is a vector?\nassistant: {turns[1]['content']}"
    assert answer["DEFAULT"]["raw"] != answer["STEERED"]["raw"]
    assert answer["settings"]["steer_special_tokens"] is False
    alone = post(server, "/api/steer-chat", body | {"features": []}).json()
    assert alone["STEERED"] is None and alone["DEFAULT"] == answer["DEFAULT"]


def test_vectors_are_added_steered_by_and_deleted(server: Server):
    def ask(path: str, body: dict, key: str | None = server.database.environment["KEY"]) -> requests.Response:
        return requests.post(f"{server.http}/api/vector/{path}", json=body, headers={"x-api-key": key} if key else {}, timeout=60)

    with psycopg.connect(server.dsn, autocommit=True) as connection:
        [[direction]] = connection.execute("SELECT decoder_vector('docs-3m/3-res/5')").fetchall()
        [[width, point]] = connection.execute(
            "SELECT d_model, hook_point FROM models m JOIN sources s ON m.model_id = s.model_id WHERE m.model_id = 'docs-3m' AND source_id = '3-res'"
        ).fetchall()
    _, layer, hook = point.split(".")
    new = {"modelId": "docs-3m", "layerNumber": int(layer), "hookType": hook, "vector": direction,
           "vectorDefaultSteerStrength": 4, "vectorLabel": "mine"}  # fmt: skip
    assert ask("new", new, key=None).status_code == 403
    assert ask("new", new | {"vector": [1.0]}).status_code == 400
    assert ask("new", new | {"layerNumber": 99}).status_code == 400
    added = ask("new", new).json()
    vector = added["vector"]
    assert added["message"] == "Success" and vector["hookName"] == point and len(vector["values"]) == width
    address = {"modelId": "docs-3m", "source": vector["source"], "index": vector["index"]}
    assert ask("get", address).json()["vector"]["vectorLabel"] == "mine"
    assert [one["index"] for one in ask("list-owned", {}).json()["vectors"]] == [vector["index"]]

    by_vector = post(server, "/api/steer", steering(prompt=PROMPT, features=[
        {"modelId": "docs-3m", "layer": vector["source"], "index": vector["index"], "strength": 40}])).json()  # fmt: skip
    by_feature = post(server, "/api/steer", steering(prompt=PROMPT)).json()
    assert by_vector["STEERED"] == by_feature["STEERED"]
    assert ask("delete", address).json() == {"message": "Success"}
    assert ask("delete", address).status_code == 404 and ask("get", address).status_code == 404
    live = ask("get", {"modelId": "docs-3m", "source": "3-res", "index": "5"}).json()["vector"]
    assert len(live["vector"]) == width and live["hookName"] == point


def test_a_client_that_goes_away_ends_its_texts(server: Server):
    body = {"model": "docs-3m", "prompt": PROMPT, "max_tokens": 90, "temperature": 1, "n": 64, "stream": True, "ignore": 1}
    with requests.post(f"{server.http}/v1/completions", json=body, stream=True, timeout=60) as answer:
        next(answer.iter_content(64))
    time.sleep(1)
    before = server.cpu_seconds()
    time.sleep(1)
    assert server.cpu_seconds() - before < 0.5, "the texts go on without a reader"
    started = time.monotonic()
    generated(server, "%s, max_tokens => 2", PROMPT)
    assert time.monotonic() - started < 10
