"""Search through real clients: psql, psycopg with vectors as parameters, and Neuronpedia's endpoints over HTTP."""

from __future__ import annotations

import json
import os
import subprocess
import urllib.error
import urllib.request
from pathlib import Path

import psycopg
import pytest

from harness import Database, Server


@pytest.fixture
def sample(tmp_path: Path) -> Database:
    database = Database(tmp_path / "db")
    database.import_sample()
    return database


def post(server: Server, path: str, body: dict) -> tuple[int, dict]:
    request = urllib.request.Request(
        f"{server.http}{path}", json.dumps(body).encode(), {"content-type": "application/json"}
    )
    try:
        with urllib.request.urlopen(request) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


def test_words_are_found_with_an_index_and_without(sample: Database):
    query = "SELECT explanation_id FROM explanations WHERE description @@ %s ORDER BY bm25(description) DESC, 1 LIMIT 5"
    with sample.serve() as server, psycopg.connect(server.dsn, autocommit=True) as connection:
        [[words]] = connection.execute("SELECT description FROM explanations WHERE length(description) > 8 LIMIT 1").fetchall()
        word = max(words.split(), key=len).strip(".,\"'()")
        found = connection.execute(query, (word,)).fetchall()
        assert found
        heard: list[str] = []
        connection.add_notice_handler(lambda notice: heard.append(notice.message_primary or ""))
        connection.execute("CREATE INDEX words ON explanations USING text (description)")
        assert connection.execute(query, (word,)).fetchall() == found
        with pytest.raises(psycopg.errors.InvalidParameterValue):
            connection.execute(query, ('"unbalanced',))
        with pytest.raises(psycopg.errors.FeatureNotSupported):
            connection.execute("SELECT bm25(description) FROM explanations")
    shown = sample.run("sql", r"SELECT pg_get_indexdef(indexrelid) FROM pg_index WHERE NOT indisprimary").stdout
    assert "CREATE INDEX words ON public.explanations USING text (description)" in shown


def test_vectors_are_parameters_in_either_form(sample: Database):
    with sample.serve() as server, psycopg.connect(server.dsn, autocommit=True) as connection:
        connection.execute("CREATE TABLE points (id int PRIMARY KEY, place vector(2))")
        rows = [(1, [1.0, 0.0]), (2, [0.0, 2.0]), (3, [3.0, 3.0])]
        for row in rows:
            connection.execute("INSERT INTO points VALUES (%s, %s)", row)
        connection.execute("CREATE INDEX ON points USING hnsw (place vector_l2_ops)")
        nearest = "SELECT id FROM points ORDER BY place <-> %s LIMIT 1"
        assert connection.execute(nearest, ([0.2, 1.5],)).fetchone() == (2,)
        # As pgvector's own adapters write it.
        assert connection.execute(nearest, ("[2.5,2.5]",)).fetchone() == (3,)
        with pytest.raises(psycopg.errors.InvalidParameterValue):
            connection.execute(nearest, ([1.0, 2.0, 3.0],))
        distance = connection.execute("SELECT place <=> '[1,1]' FROM points WHERE id = 3").fetchone()
        assert distance[0] == pytest.approx(0, abs=1e-6)


def test_psql_lists_indexes(sample: Database):
    sample.run("sql", "CREATE INDEX words ON explanations USING text (description)")
    with sample.serve() as server:
        command = ["psql", "--no-psqlrc", server.dsn, "--command", r"\d explanations"]
        described = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert '"words"' in described and "text (description)" in described, described


def test_explanations_are_searched_by_words_over_http(sample: Database):
    with sample.serve() as server:
        with psycopg.connect(server.dsn, autocommit=True) as connection:
            [[model, source, words]] = connection.execute(
                "SELECT model_id, source_id, description FROM explanations WHERE length(description) > 8 LIMIT 1"
            ).fetchall()
        word = max(words.split(), key=len).strip(".,\"'()")
        status, everywhere = post(server, "/api/explanation/search-all", {"query": word, "mode": "words"})
        assert status == 200 and everywhere["resultsCount"] >= 1
        result = everywhere["results"][0]
        assert {"modelId", "layer", "index", "description", "explanationModelName", "typeName", "neuron"} <= set(result)
        assert word.lower() in result["description"].lower()
        body = {"modelId": model, "layers": [source], "query": word, "mode": "words"}
        status, here = post(server, "/api/explanation/search", body)
        assert status == 200 and all(one["layer"] == source for one in here["results"])
        status, _ = post(server, "/api/explanation/search-model", {"modelId": model, "query": word, "mode": "words"})
        assert status == 200
        with psycopg.connect(server.dsn, autocommit=True) as connection:
            connection.execute("UPDATE source_sets SET release_id = 'mine' WHERE model_id = %s AND set_id = "
                               "(SELECT set_id FROM sources WHERE model_id = %s AND source_id = %s)", [model, model, source])  # fmt: skip
        body = {"releaseName": "mine", "query": word, "mode": "words"}
        status, released = post(server, "/api/explanation/search-release", body)
        assert status == 200 and released["results"], released
        assert {one["layer"] for one in released["results"]} == {source}
        status, answer = post(server, "/api/explanation/search-release", body | {"releaseName": "nobody's"})
        assert status == 404 and "nobody's" in answer["message"]
        for path, body in [
            ("/api/explanation/search-release", {"query": word}),
            ("/api/explanation/search-all", {"query": "ab"}),
            ("/api/explanation/search", {"query": word, "modelId": model}),
            ("/api/explanation/search-model", {"query": word}),
            ("/api/explanation/search-all", {"query": '"unbalanced', "mode": "words"}),
        ]:
            status, answer = post(server, path, body)
            assert status == 400 and answer["message"], (path, body)


def test_explanations_are_filtered_by_density_and_score_before_a_page_is_cut(sample: Database):
    here = "'tiny-stdlib', '1-res-tiny'"
    with sample.serve() as server, psycopg.connect(server.dsn, autocommit=True) as connection:
        features = dict(connection.execute("SELECT index, density FROM features WHERE model_id = 'tiny-stdlib' AND source_id = '1-res-tiny'").fetchall())
        # Three pages of explanations that fit the query, of features dense and sparse; every third is scored.
        indexes = [list(features)[number % len(features)] for number in range(60)]
        rows = [f"('marmot-{number}', {here}, {index}, 'a marmot, number {number}')" for number, index in enumerate(indexes)]
        connection.execute("INSERT INTO explanations (explanation_id, model_id, source_id, index, description) VALUES " + ", ".join(rows))
        scores = [f"('s-{number}-{half}', 'marmot-{number}', 'eleuther_fuzz', {number / 100 + half / 10})" for number in range(0, 60, 3) for half in (0, 1)]
        connection.execute("INSERT INTO explanation_scores (score_id, explanation_id, method, value) VALUES " + ", ".join(scores))
        bound = sorted(value for value in features.values() if value is not None)[len(features) // 2]

        def found(**filters) -> list[str]:
            ids, offset = [], 0
            while offset is not None:
                body = {"query": "marmot", "mode": "words", "offset": offset, **filters}
                status, page = post(server, "/api/explanation/search-all", body)
                assert status == 200, page
                assert len(page["results"]) == 20 or not page["hasMore"]
                ids += [result["id"] for result in page["results"]]
                offset = page.get("nextOffset")
            return ids

        def named(fits) -> set[str]:
            return {f"marmot-{number}" for number in range(60) if fits(number)}

        density = lambda number: features[indexes[number]]
        sparse = named(lambda number: density(number) is not None and density(number) <= bound)
        dense = named(lambda number: density(number) is not None and density(number) >= bound)
        scored = named(lambda number: number % 3 == 0 and number / 100 + 0.05 >= 0.3)
        assert 0 < len(sparse) < 60 and 0 < len(scored) < 20
        for filters, expected in [({}, named(lambda _: True)), ({"maxDensity": bound}, sparse), ({"minDensity": bound}, dense),
                                  ({"minScore": 0.3}, scored), ({"maxDensity": bound, "minScore": 0.3}, sparse & scored)]:  # fmt: skip
            ids = found(**filters)
            assert len(ids) == len(set(ids)) and set(ids) == expected, filters
        for filters in [{"maxDensity": 1.5}, {"minDensity": -0.1}, {"minScore": "high"}]:
            status, answer = post(server, "/api/explanation/search-all", {"query": "marmot", "mode": "words", **filters})
            assert status in (400, 422) and answer["message"], filters


@pytest.mark.skipif("LATENTDB_MINILM" not in os.environ, reason="make test fetches the embedding model and names it")
def test_explanations_are_searched_by_meaning(tmp_path: Path):
    database = Database(tmp_path / "db", {"LATENTDB_EMBEDDING_MODEL": os.environ["LATENTDB_MINILM"]})
    database.import_sample()
    texts = {"1": "small furry pets", "2": "error handling and exceptions", "3": "numbers written as words"}
    rows = ", ".join(f"('mine-{key}', 'tiny-stdlib', '1-res-tiny', {key}, '{text}')" for key, text in texts.items())
    insert = f"INSERT INTO explanations (explanation_id, model_id, source_id, index, description) VALUES {rows}"
    nearest = "SELECT explanation_id FROM explanations WHERE embedding_model = embedding_model() ORDER BY embedding <=> embed(%s) LIMIT 1"
    with database.serve() as server, psycopg.connect(server.dsn, autocommit=True) as connection:
        connection.execute(insert)
        connection.execute("CALL embed_explanations()")
        left = connection.execute("SELECT count(*) FROM explanations WHERE embedding IS NULL").fetchone()
        assert left == (0,)
        for question, expected in [("cats and hamsters", "mine-1"), ("try, except, raise", "mine-2")]:
            assert connection.execute(nearest, (question,)).fetchone() == (expected,)
        connection.execute("CREATE INDEX meaning ON explanations USING vector (embedding)")
        assert connection.execute(nearest, ("cats and hamsters",)).fetchone() == ("mine-1",)
        for mode in ["meaning", "both"]:
            status, answer = post(server, "/api/explanation/search-all", {"query": "cats and hamsters", "mode": mode})
            assert status == 200, answer
            assert answer["results"][0]["id"] == "mine-1", answer["results"][:2]
            assert 0 < answer["results"][0]["cosine_similarity"] <= 1
            status, filtered = post(server, "/api/explanation/search-all", {"query": "cats and hamsters", "mode": mode, "maxDensity": 1})
            assert status == 200, filtered
            assert [one["id"] for one in filtered["results"][:1]] == ["mine-1"]
            status, filtered = post(server, "/api/explanation/search-all", {"query": "cats and hamsters", "mode": mode, "minScore": 1e9})
            assert status == 200 and filtered["results"] == [], filtered
        body = {"modelId": "tiny-stdlib", "layers": ["1-res-tiny"], "query": "counting"}
        status, answer = post(server, "/api/explanation/search", body)
        assert status == 200 and all(one["layer"] == "1-res-tiny" for one in answer["results"])
