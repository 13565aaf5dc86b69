#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema};
use arrow::util::display::{ArrayFormatter, FormatOptions};
use datafusion::catalog::{CatalogProvider, MemoryCatalogProvider, MemorySchemaProvider, SchemaProvider};
use datafusion::datasource::MemTable;
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::SessionStateBuilder;
use datafusion::prelude::{SessionConfig, SessionContext};
use datafusion::sql::parser::Statement;
use datafusion_pg_catalog::pg_catalog::oid_type_planner::PgOidTypePlanner;
use datafusion_pg_catalog::sql::PostgresCompatibilityParser;

use super::relations::relation_oid;
use super::{Activity, CatalogFacts, Relation, Setting, functions, schema, table_functions};
use crate::sql::lateral::{FunctionDefinition, Functions, flatten, planner, rewrite_statement};

#[derive(Debug)]
struct Facts {
    functions: Arc<Functions>,
}

fn features() -> Relation {
    let commented = |name: &str, data_type, nullable, comment: &str| {
        Field::new(name, data_type, nullable).with_metadata([("comment".to_owned(), comment.to_owned())].into())
    };
    let list = DataType::List(Arc::new(Field::new("element", DataType::Float32, true)));
    let fields = vec![
        commented("model_id", DataType::Utf8, false, "Model"),
        commented("source_id", DataType::Utf8, false, "Source"),
        commented("index", DataType::Int32, false, "Feature"),
        commented("density", DataType::Float32, true, "Share of tokens it fires on"),
        commented("top_logits", list, true, "Logit weights"),
    ];
    Relation {
        name: "features".to_owned(),
        id: "6f1c".to_owned(),
        schema: Arc::new(Schema::new(fields)),
        comment: Some("Features of sources".to_owned()),
        primary_key: ["model_id", "source_id", "index"].map(str::to_owned).to_vec(),
        rows: Some(24576),
        bytes: 3_000_000,
        definition: None,
        indexes: Vec::new(),
    }
}

fn records() -> Relation {
    Relation {
        name: "activation_records".to_owned(),
        id: "view/activation_records".to_owned(),
        schema: features().schema,
        comment: Some("Activations with their tokens".to_owned()),
        primary_key: Vec::new(),
        rows: None,
        bytes: 0,
        definition: Some("SELECT * FROM features".to_owned()),
        indexes: Vec::new(),
    }
}

impl CatalogFacts for Facts {
    fn database(&self) -> String {
        "latentdb".to_owned()
    }
    fn user(&self) -> String {
        "ana".to_owned()
    }
    fn process_id(&self) -> i32 {
        42
    }
    fn relations(&self) -> Vec<Relation> {
        vec![features(), records()]
    }
    fn roles(&self) -> Vec<String> {
        vec!["bob".to_owned()]
    }
    fn settings(&self) -> Vec<Setting> {
        let setting = |name: &str, value: &str| Setting {
            name: name.to_owned(),
            value: value.to_owned(),
            description: String::new(),
        };
        vec![setting("search_path", "\"$user\", public"), setting("TimeZone", "UTC")]
    }
    fn setting(&self, name: &str) -> Option<String> {
        self.settings().into_iter().find(|setting| setting.name == name).map(|setting| setting.value)
    }
    fn set(&self, _name: &str, _value: &str) -> crate::Result<()> {
        Ok(())
    }
    fn activity(&self) -> Vec<Activity> {
        vec![Activity {
            process_id: 42,
            user: self.user(),
            application_name: "psql".to_owned(),
            state: "active",
            query: "SELECT 1".to_owned(),
        }]
    }
    fn cancel(&self, _: i32) -> crate::Result<bool> {
        Ok(false)
    }
    fn terminate(&self, _: i32) -> crate::Result<bool> {
        Ok(false)
    }
    fn functions(&self) -> Vec<Arc<FunctionDefinition>> {
        self.functions.all()
    }
}

fn session() -> (SessionContext, Arc<Functions>) {
    let known = Arc::new(Functions::default());
    crate::sql::functions::register(&known);
    let facts: Arc<dyn CatalogFacts> = Arc::new(Facts { functions: Arc::clone(&known) });
    let mut config = SessionConfig::new()
        .with_information_schema(true)
        .with_create_default_catalog_and_schema(false)
        .with_default_catalog_and_schema("latentdb", "public");
    config.options_mut().sql_parser.dialect = datafusion::config::Dialect::PostgreSQL;
    config.options_mut().sql_parser.map_string_types_to_utf8view = false;
    let state = SessionStateBuilder::new()
        .with_config(config)
        .with_default_features()
        .with_type_planner(Arc::new(PgOidTypePlanner))
        .with_relation_planners(vec![planner(Arc::clone(&known))])
        .build();
    let context = SessionContext::new_with_state(state);
    let public = MemorySchemaProvider::new();
    let table = MemTable::try_new(features().schema, vec![vec![]]).unwrap();
    public.register_table("features".to_owned(), Arc::new(table)).unwrap();
    let catalog = MemoryCatalogProvider::new();
    catalog.register_schema("public", Arc::new(public)).unwrap();
    catalog.register_schema("pg_catalog", schema(Arc::clone(&facts)).unwrap()).unwrap();
    context.register_catalog("latentdb", Arc::new(catalog));
    for function in crate::sql::functions::plain() {
        context.register_udf(function.as_ref().clone());
    }
    for function in known.all() {
        context.register_udf(function.scalar.as_ref().clone());
    }
    for function in functions(&facts) {
        context.register_udf(function);
    }
    for (name, function) in table_functions().unwrap() {
        context.register_udtf(name, function);
    }
    (context, known)
}

async fn answer(context: &SessionContext, known: &Functions, sql: &str) -> Result<Vec<String>> {
    let mut statement = PostgresCompatibilityParser::new()
        .parse(sql)
        .map_err(|error| DataFusionError::Plan(error.to_string()))?
        .pop()
        .expect("a statement");
    super::rewrite(&mut statement);
    rewrite_statement(&mut statement, known)?;
    let plan = context.state().statement_to_plan(Statement::Statement(Box::new(statement))).await?;
    let batches = context.execute_logical_plan(flatten(plan)?).await?.collect().await?;
    let options = FormatOptions::default().with_null("");
    let mut lines = Vec::new();
    for batch in batches {
        let columns: Vec<_> =
            batch.columns().iter().map(|column| ArrayFormatter::try_new(column, &options).unwrap()).collect();
        for row in 0..batch.num_rows() {
            lines.push(columns.iter().map(|column| column.value(row).to_string()).collect::<Vec<_>>().join("|"));
        }
    }
    Ok(lines)
}

async fn rows(sql: &str) -> Vec<String> {
    let (context, known) = session();
    answer(&context, &known, sql).await.unwrap_or_else(|error| panic!("{sql}: {error}"))
}

/// Statements of a recorded client, with the object ids that it would have been told.
fn recorded(file: &str) -> Vec<String> {
    let path = format!("{}/tests/clients/{file}.sql", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(&path).unwrap();
    let text = text
        .replace("{features}", &relation_oid(&features()).to_string())
        .replace("{activation_records}", &relation_oid(&records()).to_string());
    text.split("\n;\n").map(|statement| statement.trim().to_owned()).filter(|text| has_words(text)).collect()
}

fn has_words(statement: &str) -> bool {
    statement.lines().any(|line| !line.trim().is_empty() && !line.trim_start().starts_with("--"))
}

/// What the session itself answers, without a plan.
fn is_setting(statement: &str) -> bool {
    let text = statement.lines().find(|line| !line.starts_with("--") && !line.is_empty()).unwrap_or("").to_uppercase();
    ["SET ", "SHOW ", "BEGIN", "COMMIT", "ROLLBACK", "SAVEPOINT", "RELEASE"].iter().any(|word| text.starts_with(word))
}

const CLIENTS: [&str; 12] = [
    "adbc",
    "asyncpg",
    "dbeaver",
    "grafana",
    "jdbc",
    "metabase",
    "pgadbc",
    "pgadmin",
    "pgcli",
    "psql",
    "psql15",
    "sqlalchemy",
];

#[tokio::test]
async fn every_recorded_catalogue_query_is_answered() {
    let mut failures = Vec::new();
    let (context, known) = session();
    for client in CLIENTS {
        for statement in recorded(client) {
            if is_setting(&statement) {
                continue;
            }
            if let Err(error) = answer(&context, &known, &statement).await {
                failures.push(format!("{client}: {}\n{statement}\n", error.strip_backtrace()));
            }
        }
    }
    assert!(failures.is_empty(), "{} failed\n{}", failures.len(), failures.join("\n"));
}

#[tokio::test]
async fn object_ids_do_not_change_and_are_distinct() {
    assert_eq!(relation_oid(&features()), relation_oid(&features()));
    let distinct = rows("SELECT count(*) = count(DISTINCT oid) AND min(oid) > 0 FROM pg_class").await;
    assert_eq!(distinct, ["true"]);
}

#[tokio::test]
async fn tables_have_rows_sizes_and_comments() {
    let facts = rows(
        "SELECT c.relkind, c.reltuples, pg_size_pretty(pg_table_size(c.oid)), obj_description(c.oid, 'pg_class') \
         FROM pg_class c WHERE relname = 'features'",
    )
    .await;
    assert_eq!(facts, ["r|24576.0|2930 kB|Features of sources"]);
    let columns = rows(
        "SELECT attname, format_type(atttypid, atttypmod), attnotnull, col_description(attrelid, attnum) \
         FROM pg_attribute WHERE attrelid = 'features'::regclass ORDER BY attnum",
    )
    .await;
    assert_eq!(columns[0], "model_id|text|true|Model");
    assert_eq!(columns[2], "index|integer|true|Feature");
    assert_eq!(columns[4], "top_logits|real[]|false|Logit weights");
}

#[tokio::test]
async fn a_type_is_known_to_be_an_array() {
    let arrays =
        rows("SELECT typname FROM pg_type WHERE typinput = 'pg_catalog.array_in'::regproc AND oid IN (25, 1009)").await;
    assert_eq!(arrays, ["_text"]);
}

#[tokio::test]
async fn a_subquery_gives_an_array() {
    let names = rows("SELECT ARRAY(SELECT rolname FROM pg_roles ORDER BY rolname DESC)").await;
    assert_eq!(names, ["[latentdb, bob, ana]"]);
    let none = rows("SELECT cardinality(ARRAY(SELECT rolname FROM pg_roles WHERE rolname = 'nobody'))").await;
    assert_eq!(none, ["0"]);
}

#[tokio::test]
async fn psql_prints_the_columns_of_a_table_with_their_comments() {
    let (context, known) = session();
    let statements = recorded("psql15");
    let columns =
        statements.iter().find(|text| text.starts_with("-- \\d+ features") && text.contains("col_description"));
    let lines = answer(&context, &known, columns.unwrap()).await.unwrap();
    assert_eq!(lines.len(), 5, "{lines:?}");
    assert!(lines[0].starts_with("model_id|text|") && lines[0].contains("Model"), "{lines:?}");
    let listed = statements.iter().find(|text| text.starts_with("-- \\dt+")).unwrap();
    let lines = answer(&context, &known, listed).await.unwrap();
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert!(lines[0].contains("2930 kB") && lines[0].ends_with("Features of sources"), "{lines:?}");
}

#[tokio::test]
async fn primary_keys_are_reflected() {
    let key = rows(
        "SELECT a.attname FROM (SELECT unnest(conkey) AS number, conrelid FROM pg_constraint WHERE contype = 'p') k \
         JOIN pg_attribute a ON a.attrelid = k.conrelid AND a.attnum = k.number ORDER BY a.attnum",
    )
    .await;
    assert_eq!(key, ["model_id", "source_id", "index"]);
    let definitions = rows("SELECT conname, pg_get_constraintdef(oid) FROM pg_constraint").await;
    assert_eq!(definitions, ["features_pkey|PRIMARY KEY (model_id, source_id, index)"]);
}

#[tokio::test]
async fn comments_on_tables_are_found_by_catalogue_name() {
    let found = rows(
        "SELECT d.description FROM pg_class c JOIN pg_description d ON d.objoid = c.oid AND d.objsubid = 0 \
         AND d.classoid = 'pg_class'::regclass WHERE c.relname = 'features'",
    )
    .await;
    assert_eq!(found, ["Features of sources"]);
}

#[tokio::test]
async fn the_session_is_whoever_asks() {
    let who = rows("SELECT current_user, current_database(), current_schema(), pg_backend_pid()").await;
    assert_eq!(who, ["ana|latentdb|public|42"]);
    assert_eq!(rows("SELECT session_user").await, ["ana"]);
    assert_eq!(rows("SELECT rolname FROM pg_roles ORDER BY 1").await, ["ana", "bob", "latentdb"]);
    assert_eq!(rows("SELECT current_setting('TimeZone'), current_setting('no.such', true)").await, ["UTC|"]);
    assert_eq!(rows("SELECT setting FROM pg_settings WHERE name = 'search_path'").await, ["\"$user\", public"]);
    assert_eq!(rows("SELECT pid, state FROM pg_stat_activity").await, ["42|active"]);
}

#[tokio::test]
async fn own_functions_are_listed_with_their_arguments() {
    let listed = rows(
        "SELECT proname, pg_get_function_arguments(oid), pg_get_function_result(oid) FROM pg_proc \
         WHERE proname = 'top_logits'",
    )
    .await;
    let expected =
        "top_logits|tokens text[], logits real[], k integer DEFAULT 10|TABLE(rank integer, token text, logit real)";
    assert_eq!(listed, [expected]);
}

#[tokio::test]
async fn drivers_read_the_key_columns_of_an_index() {
    let keys = rows(
        "SELECT a.attname, (information_schema._pg_expandarray(i.indkey)).n, pg_get_indexdef(i.indexrelid, 2, true) \
         FROM pg_index i JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = 1",
    )
    .await;
    assert_eq!(keys, ["model_id|1|source_id", "model_id|2|source_id", "model_id|3|source_id"]);
    assert_eq!(rows("SELECT to_regtype('hstore') IS NULL, to_regtype('text')").await, ["true|25"]);
}

#[tokio::test]
async fn jdbc_is_told_the_primary_key_in_order() {
    let (context, known) = session();
    let statements = recorded("jdbc");
    let keys = statements.iter().find(|text| text.contains("result.KEY_SEQ")).unwrap();
    let lines = answer(&context, &known, keys).await.unwrap();
    assert_eq!(lines.len(), 3, "{lines:?}");
    assert!(lines.iter().any(|line| line.contains("|source_id|2|features_pkey")), "{lines:?}");
}

#[tokio::test]
async fn sqlalchemy_sees_schemas_columns_and_the_key() {
    let (context, known) = session();
    let statements = recorded("sqlalchemy");
    let schemas = statements.iter().find(|text| text.contains("ESCAPE '/'")).unwrap();
    assert_eq!(answer(&context, &known, schemas).await.unwrap(), ["information_schema", "public"]);
    let key = statements.iter().find(|text| text.contains("contype = 'p'")).unwrap();
    let lines = answer(&context, &known, key).await.unwrap();
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert!(lines[0].contains("[model_id, source_id, index]|features_pkey"), "{lines:?}");
}
