#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::path::Path;
use std::sync::Arc;

use arrow::util::display::{ArrayFormatter, FormatOptions};
use datafusion::error::{DataFusionError, Result};
use datafusion::prelude::{SessionConfig, SessionContext};

use super::{Community, StoredView};
use crate::{Error, ErrorKind};

async fn session(path: &Path) -> (Arc<Community>, SessionContext) {
    let community = Community::open(path).await.unwrap();
    (Arc::clone(&community), context(&community))
}

fn context(community: &Arc<Community>) -> SessionContext {
    let mut config = SessionConfig::new();
    config.options_mut().sql_parser.map_string_types_to_utf8view = false;
    let context = SessionContext::new_with_config(config);
    for name in community.table_names() {
        context.register_table(name.as_str(), community.table(&name).unwrap()).unwrap();
    }
    context
}

async fn run(context: &SessionContext, sql: &str) -> Result<Vec<String>> {
    let batches = context.sql(sql).await?.collect().await?;
    let options = FormatOptions::default().with_null("null");
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

async fn rows(context: &SessionContext, sql: &str) -> Vec<String> {
    run(context, sql).await.unwrap_or_else(|error| panic!("{sql}: {error}"))
}

fn kind(error: &DataFusionError) -> ErrorKind {
    match error.find_root() {
        DataFusionError::External(inner) => inner.downcast_ref::<Error>().expect("our error").kind(),
        other => panic!("not our error: {other}"),
    }
}

const VOTES: &str = "INSERT INTO votes (user_id, explanation_id, points, created_at) VALUES \
     ('ana', 'e1', 1, '2026-01-02T03:04:05Z'), ('bob', 'e1', -1, NULL), ('ana', 'e2', 1, '2026-05-01T00:00:00Z')";

#[tokio::test]
async fn rows_survive_reopening() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("community.db");
    {
        let (_community, context) = session(&path).await;
        assert_eq!(rows(&context, VOTES).await, ["3"]);
    }
    let (community, context) = session(&path).await;
    let all = rows(&context, "SELECT user_id, explanation_id, points, created_at FROM votes ORDER BY 1, 2").await;
    assert_eq!(all, ["ana|e1|1|2026-01-02T03:04:05Z", "ana|e2|1|2026-05-01T00:00:00Z", "bob|e1|-1|null"]);
    let facts = community.facts();
    let votes = facts.iter().find(|facts| facts.name == "votes").unwrap();
    assert_eq!(votes.rows, 3);
    assert!(votes.bytes > 0);
}

#[tokio::test]
async fn conditions_limits_and_counts_agree_with_the_rows() {
    let folder = tempfile::tempdir().unwrap();
    let (_community, context) = session(&folder.path().join("c.db")).await;
    rows(&context, VOTES).await;
    for (condition, expected) in [
        ("user_id = 'ana'", "2"),
        ("points < 0 OR explanation_id IN ('e2')", "2"),
        ("NOT (user_id = 'ana')", "1"),
        ("created_at IS NULL", "1"),
        ("created_at > '2026-02-01T00:00:00Z'", "1"),
        ("lower(user_id) = 'ana' AND points = 1", "2"),
        ("user_id LIKE 'b%'", "1"),
    ] {
        let counted = rows(&context, &format!("SELECT count(*) FROM votes WHERE {condition}")).await;
        assert_eq!(counted, [expected], "{condition}");
    }
    assert_eq!(rows(&context, "SELECT user_id FROM votes LIMIT 2").await.len(), 2);
}

#[tokio::test]
async fn update_and_delete_touch_what_matches() {
    let folder = tempfile::tempdir().unwrap();
    let (_community, context) = session(&folder.path().join("c.db")).await;
    rows(&context, VOTES).await;
    let updated = rows(&context, "UPDATE votes SET points = points * 2, reason = 'twice' WHERE points > 0").await;
    assert_eq!(updated, ["2"]);
    assert_eq!(rows(&context, "DELETE FROM votes WHERE user_id = 'bob'").await, ["1"]);
    assert_eq!(rows(&context, "SELECT DISTINCT points, reason FROM votes").await, ["2|twice"]);
    assert_eq!(rows(&context, "DELETE FROM votes").await, ["2"]);
}

#[tokio::test]
async fn a_violated_constraint_leaves_nothing_behind() {
    let folder = tempfile::tempdir().unwrap();
    let (_community, context) = session(&folder.path().join("c.db")).await;
    rows(&context, VOTES).await;
    let twice = "INSERT INTO votes (user_id, explanation_id, points) VALUES ('new', 'e9', 1), ('ana', 'e1', 1)";
    let error = run(&context, twice).await.unwrap_err();
    assert_eq!(kind(&error), ErrorKind::Constraint, "{error}");
    assert_eq!(rows(&context, "SELECT count(*) FROM votes").await, ["3"]);
}

#[tokio::test]
async fn merge_updates_what_is_there_and_inserts_what_is_not() {
    let folder = tempfile::tempdir().unwrap();
    let (_community, context) = session(&folder.path().join("c.db")).await;
    rows(&context, VOTES).await;
    let merge = "MERGE INTO votes t USING (VALUES ('ana', 'e1', -1), ('cyd', 'e1', 1)) AS s(u, e, p) \
         ON t.user_id = s.u AND t.explanation_id = s.e \
         WHEN MATCHED THEN UPDATE SET points = s.p \
         WHEN NOT MATCHED THEN INSERT (user_id, explanation_id, points) VALUES (s.u, s.e, s.p)";
    assert_eq!(rows(&context, merge).await, ["2"]);
    let after = rows(&context, "SELECT user_id, points FROM votes WHERE explanation_id = 'e1' ORDER BY 1").await;
    assert_eq!(after, ["ana|-1", "bob|-1", "cyd|1"]);
    let delete = "MERGE INTO votes t USING (VALUES (-1)) AS s(p) ON t.points <= s.p WHEN MATCHED THEN DELETE";
    assert_eq!(rows(&context, delete).await, ["2"]);
}

#[tokio::test]
async fn read_only_refuses_writes_and_sees_those_of_others() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("c.db");
    let (_community, writer) = session(&path).await;
    let reader = context(&Community::open_read_only(&path).await.unwrap());
    rows(&writer, VOTES).await;
    assert_eq!(rows(&reader, "SELECT count(*) FROM votes").await, ["3"]);
    let error = run(&reader, "DELETE FROM votes").await.unwrap_err();
    assert_eq!(kind(&error), ErrorKind::ReadOnly);
}

#[tokio::test]
async fn roles_and_views_are_remembered() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("c.db");
    let (community, _) = session(&path).await;
    community.set_password("ana", Some("SCRAM-SHA-256$4096:x$y:z".to_owned())).await.unwrap();
    community.set_password("bob", None).await.unwrap();
    let view = StoredView { name: "dense".to_owned(), sql: "SELECT 1".to_owned(), comment: None };
    community.put_view(view.clone(), false).await.unwrap();
    let again = community.put_view(view.clone(), false).await.unwrap_err();
    assert_eq!(again.kind(), ErrorKind::Duplicate);
    drop(community);
    let (community, _) = session(&path).await;
    assert_eq!(community.password_verifier("ana").await.unwrap().as_deref(), Some("SCRAM-SHA-256$4096:x$y:z"));
    assert_eq!(community.password_verifier("bob").await.unwrap(), None);
    assert_eq!(community.roles().unwrap(), ["ana", "bob"]);
    assert_eq!(community.views().unwrap(), [view]);
    assert!(community.drop_view("dense").await.unwrap());
    assert!(!community.drop_view("dense").await.unwrap());
}
