"""pandas: read_sql through SQLAlchemy and through ADBC."""

from __future__ import annotations

import adbc_driver_postgresql.dbapi
import pandas
import pytest
import sqlalchemy


@pytest.fixture(params=["sqlalchemy", "adbc"])
def source(request, server):
    if request.param == "sqlalchemy":
        engine = sqlalchemy.create_engine(server.dsn.replace("postgresql://", "postgresql+psycopg://"))
        with engine.connect() as connection:
            yield connection
        engine.dispose()
    else:
        with adbc_driver_postgresql.dbapi.connect(server.dsn) as connection:
            yield connection


def test_read_sql_gives_typed_columns(source, sample):
    frame = pandas.read_sql(
        f"SELECT index, density, max_activation, created_at FROM features WHERE {sample.filter} ORDER BY index", source
    )
    assert list(frame.columns) == ["index", "density", "max_activation", "created_at"]
    assert len(frame) == len(sample.features)
    assert frame["density"].sum() == pytest.approx(sum(feature["frac_nonzero"] for feature in sample.features))
    assert str(frame["created_at"].dt.tz) == "UTC"
