"""SQLAlchemy 2: reflection as Superset and notebooks use it, and its core on top."""

from __future__ import annotations

import pytest
import sqlalchemy as sa


@pytest.fixture(scope="module")
def engine(server):
    made = sa.create_engine(server.dsn.replace("postgresql://", "postgresql+psycopg://"))
    yield made
    made.dispose()


def test_inspector_lists_schemas_tables_and_views(engine):
    inspector = sa.inspect(engine)
    assert inspector.default_schema_name == "public"
    assert "public" in inspector.get_schema_names()
    assert {"models", "sources", "features", "activations", "explanations"} <= set(inspector.get_table_names())
    assert "activation_records" in inspector.get_view_names()
    assert inspector.has_table("features") and not inspector.has_table("no_such_table")


def test_columns_have_types_nullability_and_comments(engine):
    columns = {column["name"]: column for column in sa.inspect(engine).get_columns("features")}
    assert isinstance(columns["model_id"]["type"], sa.Text | sa.String)
    assert isinstance(columns["index"]["type"], sa.Integer)
    assert isinstance(columns["density"]["type"], sa.Double | sa.Float)
    assert isinstance(columns["top_logits"]["type"], sa.ARRAY)
    assert isinstance(columns["created_at"]["type"], sa.DateTime) and columns["created_at"]["type"].timezone
    assert not columns["model_id"]["nullable"] and columns["density"]["nullable"]
    assert columns["density"]["comment"] == "Fraction of tokens on which the feature is active, 0 to 1"


def test_keys_comments_and_absent_things_are_reflected(engine):
    inspector = sa.inspect(engine)
    assert inspector.get_pk_constraint("features")["constrained_columns"] == ["model_id", "source_id", "index"]
    assert inspector.get_table_comment("features")["text"].startswith("Features (latents)")
    assert inspector.get_foreign_keys("features") == []
    assert inspector.get_check_constraints("features") == []
    inspector.get_indexes("features")
    inspector.get_unique_constraints("features")


def test_view_definition_is_reflected(engine):
    assert "densify" in sa.inspect(engine).get_view_definition("activation_records")


def test_tables_autoload(engine, sample):
    metadata = sa.MetaData()
    features = sa.Table("features", metadata, autoload_with=engine)
    query = (
        sa.select(features.c.index, features.c.density)
        .where(features.c.source_id == sample.source, features.c.density > 0)
        .order_by(features.c.density.desc())
        .limit(3)
    )
    with engine.connect() as connection:
        found = connection.execute(query).all()
    expected = sorted((feature["frac_nonzero"] for feature in sample.features), reverse=True)[:3]
    assert [row.density for row in found] == pytest.approx(expected)


def test_whole_schema_reflects(engine):
    metadata = sa.MetaData()
    metadata.reflect(engine, views=True)
    assert {"features", "activations", "activation_records"} <= set(metadata.tables)


def test_create_insert_and_rollback(engine):
    metadata = sa.MetaData()
    notes = sa.Table(
        "alchemy_notes",
        metadata,
        sa.Column("id", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("body", sa.Text),
    )
    metadata.create_all(engine)
    try:
        with engine.begin() as connection:
            connection.execute(notes.insert(), [{"id": 1, "body": "one"}, {"id": 2, "body": None}])
        with engine.connect() as connection:
            connection.execute(notes.insert(), {"id": 3, "body": "three"})
            connection.rollback()
            assert connection.execute(sa.select(sa.func.count()).select_from(notes)).scalar() == 2
        metadata.create_all(engine)
    finally:
        metadata.drop_all(engine)
    assert not sa.inspect(engine).has_table("alchemy_notes")
