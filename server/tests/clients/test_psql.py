"""psql: its backslash commands and its COPY."""

from __future__ import annotations

import subprocess

import pytest

from harness import Server


@pytest.fixture
def psql(server: Server):
    def run(*commands: str, stdin: str | None = None, check: bool = True) -> str:
        arguments = ["psql", "--no-psqlrc", "--set", "ON_ERROR_STOP=1", server.dsn]
        for command in commands:
            arguments += ["--command", command]
        done = subprocess.run(arguments, input=stdin, capture_output=True, text=True, timeout=60)
        if check:
            assert done.returncode == 0, done.stderr
            assert "ERROR" not in done.stderr, done.stderr
            return done.stdout
        return done.stdout + done.stderr

    return run


def rows(output: str) -> list[list[str]]:
    """Cells of psql's aligned output, without borders and headings."""
    return [[cell.strip() for cell in line.split("|")] for line in output.splitlines() if "|" in line]


def test_backslash_d_lists_tables_and_views(psql):
    listed = {row[1]: row[2] for row in rows(psql(r"\d"))}
    for table in ("models", "sources", "features", "contexts", "activations", "explanations", "users", "votes"):
        assert listed.get(table) == "table", listed
    assert listed.get("activation_records") == "view"


def test_backslash_dt_lists_tables_and_no_views(psql):
    listed = [row[1] for row in rows(psql(r"\dt"))]
    assert "features" in listed
    assert "activation_records" not in listed


def test_backslash_dt_plus_shows_sizes_and_comments(psql):
    (features,) = [row for row in rows(psql(r"\dt+")) if row[1] == "features"]
    assert any("Features (latents)" in cell for cell in features), features
    assert any(cell.endswith(("kB", "MB", "bytes")) for cell in features), features


def test_backslash_dv_lists_views(psql):
    assert "activation_records" in [row[1] for row in rows(psql(r"\dv"))]


def test_backslash_d_table_shows_types_nullability_and_key(psql):
    output = psql(r"\d features")
    columns = {row[0]: row for row in rows(output)}
    assert columns["model_id"][1] == "text"
    assert columns["index"][1] == "integer"
    assert columns["density"][1] == "double precision"
    assert columns["max_activation"][1] == "real"
    assert columns["top_logit_tokens"][1] == "text[]"
    assert columns["top_logits"][1] == "real[]"
    assert columns["created_at"][1] == "timestamp with time zone"
    assert "not null" in columns["model_id"] and "not null" not in columns["density"]
    assert "PRIMARY KEY" in output and "(model_id, source_id, index)" in output.replace('"', "")


def test_backslash_d_plus_features_shows_comments(psql):
    columns = {row[0]: row for row in rows(psql(r"\d+ features"))}
    assert "Fraction of tokens on which the feature is active, 0 to 1" in columns["density"]


def test_backslash_d_plus_view_shows_its_query(psql):
    output = psql(r"\d+ activation_records")
    assert "View definition" in output and "densify" in output


def test_backslash_l_lists_the_database(psql):
    assert "latentdb" in [row[0] for row in rows(psql(r"\l"))]


def test_backslash_df_lists_our_functions(psql):
    names = [row[1] for row in rows(psql(r"\df"))]
    assert "densify" in names and "feature_address" in names


def test_backslash_dn_du_conninfo_succeed(psql):
    assert "public" in psql(r"\dn")
    psql(r"\du")
    assert "latentdb" in psql(r"\conninfo")


def test_tab_completion_query_succeeds(psql):
    """What psql sends for `SELECT * FROM fea<TAB>`."""
    output = psql(
        "SELECT c.relname FROM pg_catalog.pg_class c WHERE c.relkind IN ('r', 'S', 'v', 'm', 'f', 'p') "
        "AND (c.relname) LIKE 'fea%' AND pg_catalog.pg_table_is_visible(c.oid) "
        "AND c.relnamespace <> (SELECT oid FROM pg_catalog.pg_namespace WHERE nspname = 'pg_catalog')"
    )
    assert "features" in output


def test_gdesc_describes_a_query_without_running_it(psql):
    described = {row[0]: row[1] for row in rows(psql(stdin="SELECT index, density, top_logits FROM features \\gdesc\n"))}
    assert described["index"] == "integer"
    assert described["density"] == "double precision"
    assert described["top_logits"] == "real[]"


def test_copy_in_and_out_round_trip_text_and_csv(psql):
    script = "\n".join(
        [
            "CREATE TABLE psql_copy (id int, note text, marks real[]);",
            r"COPY psql_copy FROM STDIN;",
            "1\ttab\\there\t{1.5,2}",
            "2\t\\N\t\\N",
            "3\tback\\\\slash\t{}",
            r"\.",
            "COPY psql_copy FROM STDIN WITH (FORMAT csv, HEADER);",
            "id,note,marks",
            '4,"quoted, with ""quotes""\nand a line break","{3}"',
            "5,,",
            r"\.",
            "COPY (SELECT * FROM psql_copy ORDER BY id) TO STDOUT;",
            "COPY (SELECT * FROM psql_copy ORDER BY id) TO STDOUT WITH (FORMAT csv, HEADER);",
            "DROP TABLE psql_copy;",
        ]
    )
    output = psql(stdin=script + "\n")
    assert "COPY 3\nCOPY 2\n" in output
    text, csv = output.split("id,note,marks\n")
    assert "1\ttab\\there\t{1.5,2}\n2\t\\N\t\\N\n3\tback\\\\slash\t{}\n" in text
    assert '4,"quoted, with ""quotes""\nand a line break",{3}\n5,,\n' in csv


def test_errors_show_sqlstate_position_and_hint(psql):
    output = psql(r"\set VERBOSITY verbose", "SELECT densty FROM features", check=False)
    assert "42703" in output
    assert "LINE 1: SELECT densty FROM features" in output
    assert "density" in output.partition("HINT")[2], "the hint names the column that was meant"


def test_several_statements_in_one_simple_query(psql):
    output = psql("SELECT 1 AS one; SELECT 2 AS two")
    assert "one" in output and "two" in output


def test_transactions_are_shown_by_their_tags(psql):
    output = psql(stdin="BEGIN;\nSELECT 1;\nROLLBACK;\n")
    assert output.startswith("BEGIN\n") and output.endswith("ROLLBACK\n")


def test_reading_an_older_version(psql):
    output = psql(
        stdin="CREATE TABLE psql_versions (a int);\nINSERT INTO psql_versions VALUES (1);\n"
        "INSERT INTO psql_versions VALUES (2);\n"
        "SELECT count(*) AS then FROM psql_versions VERSION AS OF 1;\n"
        "SELECT count(*) AS now FROM psql_versions;\nDROP TABLE psql_versions;\n"
    )
    counts = [line.strip() for line in output.splitlines() if line.strip().isdigit()]
    assert counts == ["1", "2"]


def test_optimize_and_vacuum_run(psql):
    psql("OPTIMIZE features", "VACUUM features")
