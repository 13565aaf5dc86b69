//! What an import puts into the tables.

use std::io::Write;
use std::path::Path;

use flate2::Compression;
use flate2::write::GzEncoder;
use latentdb_datasets::neuronpedia::ImportOptions;
use latentdb_engine::ErrorKind;
use serde_json::{Value, json};

use crate::support::{Database, sample, synthetic};

#[tokio::test(flavor = "multi_thread")]
async fn the_samples_arrive_with_the_counts_and_sums_that_were_written() {
    let text = std::fs::read_to_string(sample("expected.json")).unwrap();
    let expected: Value = serde_json::from_str(&text).unwrap();
    let database = Database::new().await;
    for source in expected["sources"].as_array().unwrap() {
        let report = database.import(&sample(source["export"].as_str().unwrap())).await.unwrap();
        let report = &report.sources[0];
        assert_eq!(report.address.source_id, source["source"]);
        let source_id = source["source"].as_str().unwrap();
        for table in ["features", "activations", "explanations"] {
            let count = database.value(&format!("SELECT count(*) FROM {table} WHERE source_id = '{source_id}'")).await;
            assert_eq!(count, source[table].to_string(), "{table}");
            assert_eq!(report.rows.get(table).copied().unwrap_or(0), source[table].as_u64().unwrap(), "{table}");
        }
        let sum: f64 = database
            .value(&format!("SELECT sum(cast(max_value AS double)) FROM activations WHERE source_id = '{source_id}'"))
            .await
            .parse()
            .unwrap();
        assert!((sum - source["max_value_sum"].as_f64().unwrap()).abs() < 0.01, "{sum}");
    }
    assert_eq!(database.count("models").await, 1);
    assert_eq!(database.count("sources").await, 2);
    let orphans = "SELECT count(*) FROM activations a LEFT JOIN contexts c ON a.context_id = c.context_id WHERE c.context_id IS NULL";
    assert_eq!(database.value(orphans).await, "0");
    let ids = database.value("SELECT count(DISTINCT context_id) FROM contexts").await;
    assert_eq!(ids, database.count("contexts").await.to_string(), "contexts are stored once");
}

#[tokio::test(flavor = "multi_thread")]
async fn ranks_count_from_zero_without_gaps_by_falling_maximum() {
    let database = Database::new().await;
    database.import(&sample("export-db")).await.unwrap();
    let wrong = "SELECT count(*) FROM (SELECT \"rank\", row_number() OVER (PARTITION BY \"index\" ORDER BY \"rank\") - 1 AS place, \
                 max_value, lag(max_value) OVER (PARTITION BY \"index\" ORDER BY \"rank\") AS before FROM activations) t \
                 WHERE \"rank\" <> place OR max_value > before";
    assert_eq!(database.value(wrong).await, "0");
}

#[tokio::test(flavor = "multi_thread")]
async fn sources_of_one_model_share_their_contexts() {
    let database = Database::new().await;
    let folder = tempfile::tempdir().unwrap();
    let first = synthetic(folder.path(), 3);
    database.import(&first).await.unwrap();
    let contexts = database.count("contexts").await;
    // The same data under another source's name.
    let second = folder.path().join("v1/synthetic-small/4-res-syn");
    rename_source(&first, &second, "3-res-syn", "4-res-syn");
    let report = database.import(&second).await.unwrap();
    assert_eq!(report.sources[0].rows.get("contexts"), None);
    assert_eq!(database.count("contexts").await, contexts);
    assert_eq!(database.count("sources").await, 2);
    assert_eq!(
        database.value("SELECT count(*) FROM activation_records WHERE source_id = '4-res-syn'").await,
        database.value("SELECT count(*) FROM activations WHERE source_id = '3-res-syn'").await
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_source_that_is_there_is_refused_unless_it_is_replaced() {
    let database = Database::new().await;
    let export = sample("export-db");
    database.import(&export).await.unwrap();
    let before = database.everything().await;
    let error = database.import(&export).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Duplicate);
    assert!(error.hint().unwrap().contains("replace"));
    let replace = ImportOptions { replace: true, ..ImportOptions::default() };
    database.import_with(&export, replace).await.unwrap();
    assert_eq!(before, database.everything().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_whole_tree_is_imported_source_by_source() {
    let database = Database::new().await;
    let folder = tempfile::tempdir().unwrap();
    synthetic(folder.path(), 5);
    synthetic(folder.path(), 6);
    std::fs::create_dir_all(folder.path().join("v1/config")).unwrap();
    let report = database.import(folder.path()).await.unwrap();
    let sources: Vec<_> = report.sources.iter().map(|source| source.address.to_string()).collect();
    assert_eq!(sources, ["synthetic-small/5-res-syn", "synthetic-small/6-res-syn"]);
    assert_eq!(database.count("features").await, 3000);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_feature_spread_over_several_batches_is_ranked_as_one() {
    let database = Database::new().await;
    let folder = tempfile::tempdir().unwrap();
    let source = folder.path().join("v1/m/0-s");
    write_lines(&source.join("source.jsonl"), &[json!({"id": "0-s", "modelId": "m", "setName": "s"})]);
    write_lines(&source.join("features/batch-0.jsonl.gz"), &[json!({"index": 1}), json!({"index": 2})]);
    let row = |index: i32, max: f64| json!({"index": index, "tokens": ["a", max.to_string()], "values": [0, max]});
    write_lines(&source.join("activations/batch-0.jsonl.gz"), &[row(1, 5.0), row(1, 1.0), row(2, 9.0)]);
    write_lines(&source.join("activations/batch-1.jsonl.gz"), &[row(1, 3.0), row(1, 5.0)]);
    write_lines(&source.join("activations/batch-2.jsonl.gz"), &[row(2, 1.0), row(7, 4.0), row(1, 8.0)]);
    let report = database.import(&source).await.unwrap();
    let ranked =
        database.rows("SELECT \"index\", \"rank\", max_value FROM activations ORDER BY \"index\", \"rank\"").await;
    let expected = [
        ["1", "0", "8.0"],
        ["1", "1", "5.0"],
        ["1", "2", "5.0"],
        ["1", "3", "3.0"],
        ["1", "4", "1.0"],
        ["2", "0", "9.0"],
        ["2", "1", "1.0"],
        ["7", "0", "4.0"],
    ];
    assert_eq!(ranked, expected);
    assert!(
        report.sources[0].warnings.iter().any(|warning| warning.contains("1 features that are not there: 7")),
        "{report:?}"
    );
}

/// Writes rows as JSON lines, compressed if the name says so.
fn write_lines(path: &Path, rows: &[Value]) {
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    let text: String = rows.iter().map(|row| format!("{row}\n")).collect();
    if path.extension().is_some_and(|extension| extension == "gz") {
        let mut encoder = GzEncoder::new(std::fs::File::create(path).unwrap(), Compression::new(5));
        encoder.write_all(text.as_bytes()).unwrap();
        encoder.finish().unwrap();
    } else {
        std::fs::write(path, text).unwrap();
    }
}

/// Copies a source under another id.
fn rename_source(from: &Path, to: &Path, old: &str, new: &str) {
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            rename_source(&entry.path(), &target, old, new);
            continue;
        }
        let file = std::fs::File::open(entry.path()).unwrap();
        let text = match entry.path().extension().is_some_and(|extension| extension == "gz") {
            true => std::io::read_to_string(flate2::read::MultiGzDecoder::new(file)).unwrap(),
            false => std::io::read_to_string(file).unwrap(),
        };
        let rows: Vec<Value> = text.replace(old, new).lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        write_lines(&target, &rows);
    }
}
