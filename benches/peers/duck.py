"""DuckDB over LatentDB's own Parquet files, in place."""

from __future__ import annotations

from pathlib import Path

import duckdb
from deltalake import DeltaTable

TABLES = ["features", "contexts", "activations", "explanations"]


def connect(tables: Path) -> duckdb.DuckDBPyConnection:
    """A connection with a view of each table's live files. Reading the Delta log is not part of any timing."""
    connection = duckdb.connect()
    for table in TABLES:
        files = ", ".join(f"'{uri}'" for uri in DeltaTable(str(tables / table)).file_uris())
        connection.execute(f"CREATE VIEW {table} AS SELECT * FROM read_parquet([{files}])")
    return connection


def version() -> str:
    return duckdb.__version__
