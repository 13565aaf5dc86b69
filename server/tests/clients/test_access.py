"""Who gets in: passwords, TLS and API keys, with the clients' own implementations of them."""

from __future__ import annotations

import asyncio
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import asyncpg
import psycopg
import pytest
import requests

from harness import Database


@pytest.fixture(scope="module")
def guarded(tmp_path_factory) -> Database:
    """A database with two users and nothing in it."""
    location = tmp_path_factory.mktemp("guarded") / "db"
    for name, password in (("ana", "correct horse"), ("bo", "bätterie ☃")):
        Database(location, {"LATENTDB_PASSWORD": password}).run("user", "add", name)
    return Database(location)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory) -> tuple[Path, Path]:
    directory = tmp_path_factory.mktemp("tls")
    chain, secret = directory / "cert.pem", directory / "key.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
         "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1", "-keyout", secret, "-out", chain],
        check=True, capture_output=True,
    )  # fmt: skip
    return chain, secret


@pytest.fixture(scope="module")
def server(guarded, certificate):
    with guarded.serve("--require-password", "--tls-cert", str(certificate[0]), "--tls-key", str(certificate[1])) as running:
        yield running


def connect(server, **options) -> psycopg.Connection:
    return psycopg.connect(host=server.host, port=server.port, dbname="latentdb", **options)


@pytest.mark.parametrize(("user", "password"), [("ana", "correct horse"), ("bo", "bätterie ☃")])
def test_a_password_lets_in(server, user, password):
    with connect(server, user=user, password=password) as connection:
        assert connection.execute("SELECT current_user").fetchone() == (user,)


@pytest.mark.parametrize(("user", "password"), [("ana", "wrong"), ("nobody", "correct horse"), ("ana", "bätterie ☃")])
def test_wrong_password_and_unknown_user_fail_alike(server, user, password):
    with pytest.raises(psycopg.OperationalError, match=f'password authentication failed for user "{user}"'):
        connect(server, user=user, password=password)


def test_asyncpg_logs_in_too(server):
    async def work(password):
        connection = await asyncpg.connect(
            host=server.host, port=server.port, user="ana", password=password, database="latentdb", ssl=False
        )
        try:
            return await connection.fetchval("SELECT current_user")
        finally:
            await connection.close()

    assert asyncio.run(work("correct horse")) == "ana"
    with pytest.raises(asyncpg.InvalidPasswordError):
        asyncio.run(work("wrong"))


def test_concurrent_logins_do_not_mix(server):
    def attempt(number: int) -> bool:
        user, password = [("ana", "correct horse"), ("bo", "bätterie ☃"), ("ana", "wrong"), ("bo", "correct horse")][number % 4]
        try:
            with connect(server, user=user, password=password) as connection:
                return connection.execute("SELECT current_user").fetchone() == (user,) and number % 4 < 2
        except psycopg.OperationalError:
            return number % 4 >= 2

    with ThreadPoolExecutor(16) as pool:
        assert all(pool.map(attempt, range(64)))


def test_tls_is_verified_in_full(server, certificate):
    with connect(
        server, user="ana", password="correct horse", sslmode="verify-full", sslrootcert=str(certificate[0])
    ) as connection:
        assert connection.pgconn.ssl_in_use
        assert connection.execute("SELECT 1").fetchone() == (1,)


def test_plaintext_is_refused_where_tls_is_required(database, certificate):
    with database.serve(
        "--require-tls", "--tls-cert", str(certificate[0]), "--tls-key", str(certificate[1])
    ) as server:
        with pytest.raises(psycopg.OperationalError):
            connect(server, user="ana", sslmode="disable")
        with connect(server, user="ana", sslmode="require") as connection:
            assert connection.pgconn.ssl_in_use


def test_a_bad_tls_key_refuses_to_start(guarded, certificate, tmp_path):
    damaged = tmp_path / "key.pem"
    damaged.write_text("-----BEGIN PRIVATE KEY-----\nbm90IGEga2V5\n-----END PRIVATE KEY-----\n")
    refused = guarded.run(
        "serve", "--pg", "127.0.0.1:0", "--http", "127.0.0.1:0", "--tls-cert", str(certificate[0]), "--tls-key", str(damaged),
        check=False, timeout=30,
    )  # fmt: skip
    assert refused.returncode != 0 and str(damaged) in refused.stderr


def test_https_answers(server, certificate):
    url = server.http.replace("http://", "https://").replace("127.0.0.1", "localhost")
    assert requests.get(f"{url}/healthz", verify=str(certificate[0]), timeout=30).status_code == 200


def test_writing_over_http_needs_a_key(database):
    key = database.run("key", "add", "--label", "test").stdout.split()[-1]

    def post(server, sql: str, **headers: str) -> requests.Response:
        headers["Content-Type"] = "text/plain"
        return requests.post(f"{server.http}/v1/sql", data=sql, headers=headers, timeout=30)

    with database.serve() as server:
        assert post(server, "SELECT 1").status_code == 200, "reading is open on loopback"
        for sql in ("CREATE TABLE keyed (a int)", "COPY (SELECT 1) TO '/tmp/latentdb-must-not-be.csv'"):
            refused = post(server, sql)
            assert refused.status_code == 403, refused.text
            assert {"error", "message", "sqlstate", "hint"} <= set(refused.json())
        assert post(server, "CREATE TABLE keyed (a int)", **{"x-api-key": "ldb_wrong"}).status_code == 403
        assert post(server, "CREATE TABLE keyed (a int)", **{"x-api-key": key}).status_code == 200
    assert not Path("/tmp/latentdb-must-not-be.csv").exists()
