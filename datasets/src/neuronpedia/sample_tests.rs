//! The sample exports, read without a database: their counts and sums as the script beside them computed them.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use std::collections::HashSet;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use arrow::datatypes::{Float32Type, Int64Type};
use serde_json::Value;
use tokio::runtime::Handle;

use super::contexts::Contexts;
use super::find::{self, SourceFiles};
use super::layout::SourceAddress;
use super::location::Location;
use super::unit::{Summary, Unit};
use crate::Quiet;

/// Rows of a table.
type Chunk = (&'static str, RecordBatch);

/// Reads every unit of a sample export; answers the chunks and the summaries.
async fn read_sample(export: &str) -> (SourceAddress, Vec<Chunk>, Vec<Summary>) {
    let folder = format!("{}/sample/{export}", env!("CARGO_MANIFEST_DIR"));
    let location = Location::open(&folder).await.unwrap();
    let found = find::sources(&location).await.unwrap();
    assert_eq!(found.len(), 1);
    let files = SourceFiles::list(&location, &found[0], false).await.unwrap();
    let address = files.registry(&location).await.unwrap().address;
    let contexts = Arc::new(Contexts::empty());
    let (mut chunks, mut summaries) = (Vec::new(), Vec::new());
    for (kind, files) in files.batches {
        let unit = Unit {
            kind,
            files: (0..).zip(files).collect(),
            location: location.clone(),
            address: address.clone(),
            contexts: Arc::clone(&contexts),
            progress: Arc::new(Quiet),
            stop: Arc::default(),
            ranks: None,
        };
        let runtime = Handle::current();
        let reading = tokio::task::spawn_blocking(move || {
            let mut chunks = Vec::new();
            let summary = unit.read(&runtime, &mut |table, rows| {
                chunks.push((table, rows));
                Ok(())
            });
            (chunks, summary.unwrap())
        });
        let (read, summary) = reading.await.unwrap();
        chunks.extend(read);
        summaries.push(summary);
    }
    (address, chunks, summaries)
}

fn rows<'a>(chunks: &'a [Chunk], table: &str) -> Vec<&'a RecordBatch> {
    chunks.iter().filter(|(name, _)| *name == table).map(|(_, rows)| rows).collect()
}

fn lists(batches: &[&RecordBatch], name: &str) -> Vec<ArrayRef> {
    batches.iter().flat_map(|batch| batch[name].as_list::<i32>().iter().flatten().collect::<Vec<_>>()).collect()
}

fn sum_lists(batches: &[&RecordBatch], name: &str) -> f64 {
    let lists = lists(batches, name);
    lists.iter().flat_map(|list| list.as_primitive::<Float32Type>().iter().flatten()).map(f64::from).sum()
}

fn sum(batches: &[&RecordBatch], name: &str) -> f64 {
    let values = batches.iter().flat_map(|batch| batch[name].as_primitive::<Float32Type>().iter().flatten());
    values.map(f64::from).sum()
}

fn ids(batches: &[&RecordBatch]) -> Vec<i64> {
    batches.iter().flat_map(|batch| batch["context_id"].as_primitive::<Int64Type>().values().to_vec()).collect()
}

fn present(batches: &[&RecordBatch], name: &str) -> u64 {
    batches.iter().map(|batch| (batch.num_rows() - batch[name].null_count()) as u64).sum()
}

#[tokio::test]
async fn both_dialects_give_the_counts_and_sums_that_were_written() {
    let text = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/sample/expected.json")).unwrap();
    let expected: Value = serde_json::from_str(&text).unwrap();
    for source in expected["sources"].as_array().unwrap() {
        let (address, chunks, summaries) = read_sample(source["export"].as_str().unwrap()).await;
        assert_eq!(address.model_id, source["model"]);
        assert_eq!(address.source_id, source["source"]);
        let count = |name: &str| source[name].as_u64().unwrap();
        let near = |name: &str, value: f64| {
            let expected = source[name].as_f64().unwrap();
            assert!(
                (value - expected).abs() < 1e-5 * expected.abs().max(100.0),
                "{address} {name}: {value}, not {expected}"
            );
        };
        for table in ["features", "activations", "explanations", "contexts"] {
            let read: u64 = rows(&chunks, table).iter().map(|batch| batch.num_rows() as u64).sum();
            assert_eq!(read, count(table), "{address} {table}");
        }

        let features = rows(&chunks, "features");
        near("max_act_approx_sum", sum(&features, "max_activation"));
        near("pos_values_sum", sum_lists(&features, "top_logits"));
        near("freq_hist_heights_sum", sum_lists(&features, "act_hist_counts"));
        assert_eq!(present(&features, "vector"), count("features_with_vector"));
        assert_eq!(count("features") - present(&features, "max_activation"), count("max_act_approx_null"));

        let activations = rows(&chunks, "activations");
        near("values_sum", sum_lists(&activations, "acts"));
        near("max_value_sum", sum(&activations, "max_value"));
        near("dfa_values_sum", sum_lists(&activations, "dfa_values"));
        near("z_values_sum", sum_lists(&activations, "z_values"));
        assert_eq!(present(&activations, "dfa_values"), count("activations_with_dfa"));
        assert_eq!(present(&activations, "zq_indices"), count("activations_with_z"));
        assert_eq!(present(&activations, "zk_indices"), count("activations_with_z"));
        assert_eq!(count("activations") - present(&activations, "bin_min"), count("activations_without_bins"));
        let nonzero: usize = lists(&activations, "acts").iter().map(|list| list.len()).sum();
        assert_eq!(nonzero as u64, count("values_nonzero"));

        let contexts = rows(&chunks, "contexts");
        let tokens = lists(&contexts, "tokens");
        assert_eq!(tokens.iter().map(|list| list.len() as u64).sum::<u64>(), count("context_tokens"));
        let with_nul = |list: &&ArrayRef| list.as_string::<i32>().iter().flatten().any(|token| token.contains('\0'));
        assert_eq!(tokens.iter().filter(with_nul).count() as u64, count("contexts_with_nul_token"));
        let known: HashSet<i64> = ids(&contexts).into_iter().collect();
        assert_eq!(known.len() as u64, count("contexts"));
        assert!(ids(&activations).iter().all(|id| known.contains(id)));

        let explanations = rows(&chunks, "explanations");
        assert_eq!(present(&explanations, "embedding"), count("explanations_with_embedding"));
        near("embedding_sum", sum_lists(&explanations, "embedding"));
        for summary in &summaries {
            assert!(summary.unknown_keys.is_empty(), "{:?}", summary.unknown_keys);
            assert!(summary.split.is_empty());
        }
    }
}
