"""Postgres 15 with Neuronpedia's tables and indexes, in a cluster of its own that ends with the benchmark."""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psycopg

from synthetic import TABLES, Synthetic
from timing import Used, cpu_seconds

BIN = Path("/usr/lib/postgresql/15/bin")

SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "shared_buffers": "2GB",
    "work_mem": "256MB",
    "maintenance_work_mem": "512MB",
    "effective_cache_size": "8GB",
    "max_wal_size": "8GB",
    "checkpoint_timeout": "30min",
    "wal_compression": "off",
    "synchronous_commit": "on",
    "fsync": "on",
    "random_page_cost": "1.1",
    "max_parallel_workers_per_gather": "2",
    "jit": "on",
    "autovacuum": "off",  # nothing is to run beside the measurements; VACUUM ANALYZE is called after the load
}

# Names, types and indexes of Neuronpedia's tables. Foreign keys are left out: they would only slow Postgres down.
SCHEMA = """
CREATE TABLE "Neuron" (
  "modelId" text NOT NULL, layer text NOT NULL, "index" text NOT NULL, "sourceSetName" text, "creatorId" text,
  "createdAt" timestamp(3) NOT NULL DEFAULT now(), "maxActApprox" float8 DEFAULT 0, "hasVector" boolean NOT NULL DEFAULT false,
  vector float8[], "vectorLabel" text, "vectorDefaultSteerStrength" float8 DEFAULT 10, "hookName" text,
  "topkCosSimIndices" int[], "topkCosSimValues" float8[], neuron_alignment_indices int[], neuron_alignment_values float8[],
  neuron_alignment_l1 float8[], correlated_neurons_indices int[], correlated_neurons_pearson float8[],
  correlated_neurons_l1 float8[], correlated_features_indices int[], correlated_features_pearson float8[],
  correlated_features_l1 float8[], neg_str text[], neg_values float8[], pos_str text[], pos_values float8[],
  frac_nonzero float8 NOT NULL DEFAULT 0, freq_hist_data_bar_heights float8[], freq_hist_data_bar_values float8[],
  logits_hist_data_bar_heights float8[], logits_hist_data_bar_values float8[], decoder_weights_dist float8[],
  umap_cluster int, umap_log_feature_sparsity float8, umap_x float8, umap_y float8,
  PRIMARY KEY ("modelId", layer, "index"));
CREATE INDEX ON "Neuron" ("modelId");
CREATE INDEX ON "Neuron" ("modelId", layer);
CREATE INDEX ON "Neuron" ("maxActApprox");
CREATE INDEX ON "Neuron" ("creatorId");
CREATE INDEX ON "Neuron" ("creatorId", "hasVector");
CREATE INDEX ON "Neuron" ("modelId", "creatorId", "hasVector");
CREATE INDEX ON "Neuron" ("hasVector");
CREATE INDEX ON "Neuron" ("modelId", "hasVector");
CREATE TABLE "Activation" (
  id text PRIMARY KEY, tokens text[], "dataIndex" text, "index" text NOT NULL, layer text NOT NULL, "modelId" text NOT NULL,
  "dataSource" text, "maxValue" float8 NOT NULL, "maxValueTokenIndex" int NOT NULL, "minValue" float8 NOT NULL, "values" float8[],
  "dfaValues" float8[] DEFAULT '{}', "dfaTargetIndex" int, "dfaMaxValue" float8, "zQIndices" int[] DEFAULT '{}',
  "zKIndices" int[] DEFAULT '{}', "zValues" float8[] DEFAULT '{}', "creatorId" text NOT NULL,
  "createdAt" timestamp(3) NOT NULL DEFAULT now(), "lossValues" float8[] DEFAULT '{}', "logitContributions" text,
  "binMin" float8, "binMax" float8, "binContains" float8, "qualifyingTokenIndex" int);
CREATE INDEX ON "Activation" ("modelId", layer, "index");
CREATE TABLE "Explanation" (
  id text PRIMARY KEY, "modelId" text NOT NULL, layer text NOT NULL, "index" text NOT NULL, description text NOT NULL,
  "authorId" text NOT NULL, "triggeredByUserId" text, notes text, "scoreV1" float8 NOT NULL DEFAULT 0, "scoreV2" float8,
  umap_x float8 DEFAULT 0, umap_y float8 DEFAULT 0, umap_cluster int DEFAULT 0, umap_log_feature_sparsity float8 DEFAULT 0,
  "typeName" text, "explanationModelName" text, "createdAt" timestamp(3) NOT NULL DEFAULT now(), "updatedAt" timestamp(3) NOT NULL);
CREATE INDEX ON "Explanation" ("modelId", layer, "index");
CREATE INDEX ON "Explanation" ("modelId", layer);
CREATE INDEX ON "Explanation" ("modelId");
CREATE INDEX ON "Explanation" ("authorId");
CREATE INDEX ON "Explanation" ("triggeredByUserId");
CREATE INDEX ON "Explanation" ("typeName");
CREATE INDEX ON "Explanation" ("createdAt");
CREATE INDEX ON "Explanation" ("explanationModelName");
CREATE INDEX ON "Explanation" ("typeName", "explanationModelName");
"""


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Postgres:
    """A cluster in `folder`. Use as a context manager: it stops at the end whatever happens."""

    def __init__(self, folder: Path, programs: Path = BIN, **settings: str):
        self.folder = folder
        self.settings = SETTINGS | settings
        self.programs = programs
        self.port = _free_port()
        self.process: subprocess.Popen | None = None

    # Postgres refuses to run as root.
    def _user(self) -> dict[str, str]:
        return {"user": "postgres", "group": "postgres", "extra_groups": []} if os.geteuid() == 0 else {}

    def __enter__(self) -> Postgres:
        data = self.folder / "data"
        if not (data / "PG_VERSION").exists():
            self.folder.mkdir(parents=True, exist_ok=True)
            if os.geteuid() == 0:
                shutil.chown(self.folder, "postgres", pwd.getpwnam("postgres").pw_gid)
            subprocess.run(
                [self.programs / "initdb", "-D", data, "-U", "bench", "--auth=trust", "--encoding=UTF8", "--locale=C"],
                check=True, stdout=subprocess.DEVNULL, cwd="/", **self._user(),
            )  # fmt: skip
        options = [argument for item in self.settings.items() for argument in ("-c", "=".join(item))]
        options += ["-c", f"port={self.port}", "-c", f"unix_socket_directories={self.folder}"]
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                [self.programs / "postgres", "-D", data, *options], stdout=log, stderr=log, cwd="/", **self._user()
            )
        for _ in range(300):
            try:
                psycopg.connect(self.dsn).close()
                return self
            except psycopg.OperationalError:
                if self.process.poll() is not None:
                    break
                time.sleep(0.1)
        self.__exit__()
        raise RuntimeError(f"Postgres did not start; see {self.folder / 'log'}")

    def __exit__(self, *_) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(2)  # SIGINT: fast shutdown
            try:
                self.process.wait(60)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()

    @property
    def dsn(self) -> str:
        return f"postgresql://bench@127.0.0.1:{self.port}/postgres"

    def connect(self) -> psycopg.Connection:
        return psycopg.connect(self.dsn, autocommit=True)

    @property
    def loaded(self) -> bool:
        return (self.folder.parent / "postgres.loaded").exists()

    def load(self, data: Synthetic, streams: int) -> Used:
        """Creates the tables anew and copies the rows in, over as many connections as told; gives what COPY took."""
        marker = self.folder.parent / "postgres.loaded"
        marker.unlink(missing_ok=True)
        with self.connect() as connection:
            connection.execute("".join(f'DROP TABLE IF EXISTS "{table}";' for table in TABLES))
            connection.execute(SCHEMA)
        start, cpu = time.perf_counter(), cpu_seconds(self.process.pid)
        with ThreadPoolExecutor(streams) as pool:
            jobs = [(table, file) for table in TABLES for file in data.copy_files(table)]
            list(pool.map(lambda job: self._copy(*job), jobs))
        used = Used(time.perf_counter() - start, cpu_seconds(self.process.pid) - cpu)
        marker.touch()
        return used

    def _copy(self, table: str, file: Path) -> None:
        columns = ", ".join(f'"{column}"' for column in TABLES[table][1])
        with self.connect() as connection:
            connection.execute(f"""COPY "{table}" ({columns}) FROM '{file}'""")

    def settle(self) -> None:
        """What autovacuum would have done by the time that someone asks questions."""
        with self.connect() as connection:
            connection.execute("VACUUM ANALYZE")
            connection.execute("CHECKPOINT")

    def count(self) -> int:
        with self.connect() as connection:
            return sum(connection.execute(f'SELECT count(*) FROM "{table}"').fetchone()[0] for table in TABLES)

    def bytes(self) -> dict[str, int]:
        """Size of each table with its TOAST and indexes; the write-ahead log does not count."""
        query = "SELECT pg_total_relation_size(%s::regclass)"
        with self.connect() as connection:
            return {table: connection.execute(query, [f'"{table}"']).fetchone()[0] for table in TABLES}

    def version(self) -> str:
        with self.connect() as connection:
            return connection.execute("SHOW server_version").fetchone()[0]
