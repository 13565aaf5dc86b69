"""A database in an object store, against a real S3 protocol server."""

from __future__ import annotations

import boto3
import botocore.exceptions
import deltalake
import psycopg
import pytest
from moto.server import ThreadedMotoServer

from harness import SAMPLE, Database

BUCKET = "latentdb-test"


@pytest.fixture(scope="module")
def store() -> dict[str, str]:
    """Environment that leads to an S3 server with an empty bucket."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    environment = {
        "AWS_ENDPOINT_URL": f"http://{host}:{port}",
        "AWS_ALLOW_HTTP": "true",
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_REGION": "us-east-1",
    }
    client(environment).create_bucket(Bucket=BUCKET)
    yield environment
    server.stop()


def client(environment: dict[str, str]):
    return boto3.client(
        "s3",
        endpoint_url=environment["AWS_ENDPOINT_URL"],
        aws_access_key_id=environment["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=environment["AWS_SECRET_ACCESS_KEY"],
        region_name=environment["AWS_REGION"],
    )


@pytest.fixture
def remote(store, tmp_path, request) -> Database:
    return Database(f"s3://{BUCKET}/{request.node.name}", {**store, "XDG_STATE_HOME": str(tmp_path)})


def test_conditional_puts_are_enforced(store):
    """What atomic commits stand on; if the test's own store lacks it, the other tests prove nothing."""
    s3 = client(store)
    s3.put_object(Bucket=BUCKET, Key="probe", Body=b"first", IfNoneMatch="*")
    with pytest.raises(botocore.exceptions.ClientError, match="PreconditionFailed"):
        s3.put_object(Bucket=BUCKET, Key="probe", Body=b"second", IfNoneMatch="*")


def test_import_write_and_reopen(remote, sample, store):
    remote.import_sample(SAMPLE)
    with remote.serve() as server, psycopg.connect(server.dsn, autocommit=True) as connection:
        assert connection.execute("SELECT count(*) FROM features").fetchone() == (len(sample.features),)
        connection.execute("CREATE TABLE notes (id bigint, body text)")
        for number in range(5):
            connection.execute("INSERT INTO notes VALUES (%s, 'note')", (number,))
        connection.execute("UPDATE notes SET body = 'changed' WHERE id = 3")
        connection.execute("DELETE FROM notes WHERE id = 4")
        connection.execute("OPTIMIZE notes")
    with remote.serve() as server, psycopg.connect(server.dsn, autocommit=True) as connection:
        found = connection.execute("SELECT id, body FROM notes ORDER BY id").fetchall()
        assert found == [(0, "note"), (1, "note"), (2, "note"), (3, "changed")]
        records = connection.execute("SELECT count(*) FROM activation_records").fetchone()
        assert records == (len(sample.activations),)
    assert remote.run("check").returncode == 0


def test_deltalake_reads_it_in_place(remote, sample, store):
    remote.import_sample(SAMPLE)
    pages = client(store).get_paginator("list_objects_v2").paginate(Bucket=BUCKET, Prefix=remote.location.rpartition("/")[2])
    keys = [entry["Key"] for page in pages for entry in page.get("Contents", [])]
    (root,) = {key.partition("/_delta_log/")[0] for key in keys if "/features/_delta_log/" in key}
    table = deltalake.DeltaTable(f"s3://{BUCKET}/{root}", storage_options=store)
    assert table.to_pyarrow_table().num_rows == len(sample.features)


def test_a_second_writer_is_refused_and_takes_over_from_a_dead_one(remote):
    with remote.serve() as server:
        refused = remote.run("serve", "--pg", "127.0.0.1:0", "--http", "off", check=False)
        assert refused.returncode == 1 and "open for writing by process" in refused.stderr
        assert "\n1\n" in remote.run("sql", "SELECT 1 AS one", "--format", "csv").stdout
        assert remote.run("sql", "CREATE TABLE t (a int)", check=False).returncode == 1
        server.kill()
    with remote.serve() as server, psycopg.connect(server.dsn, autocommit=True) as connection:
        connection.execute("CREATE TABLE t (a int)")


def test_a_bucket_that_is_not_there_is_named(store, tmp_path):
    absent = Database("s3://no-such-bucket/db", store)
    failed = absent.run("sql", "SELECT 1", check=False)
    assert failed.returncode == 1 and "no-such-bucket" in failed.stderr
