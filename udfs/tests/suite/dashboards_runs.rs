//! Runs of `generate_dashboards`: how they are cut makes no difference, and one that was stopped is taken up again.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use arrow::array::ArrayRef;
use arrow::util::display::array_value_to_string;
use latentdb_udfs::{Corpus, GenerateOptions, Generated, Logged, Pace, Packing, Stage, Stages};
use tokio::sync::Notify;

use crate::golden::{EXPECTED, Tiny, assert_close, numbers, reals, texts};

/// A corpus of some texts, over and over with a number in front.
fn corpus(folder: &tempfile::TempDir) -> PathBuf {
    let path = folder.path().join("corpus.jsonl");
    let line = |number: usize| {
        let text = &EXPECTED[number % EXPECTED.len()].text;
        serde_json::json!({ "text": format!("{number} {text}") }).to_string()
    };
    std::fs::write(&path, (0..60).map(|number| line(number) + "\n").collect::<String>()).unwrap();
    path
}

fn options(corpus: PathBuf) -> GenerateOptions {
    let mut options = GenerateOptions::new("tiny", "1-res,2-topk", Corpus::File(corpus));
    options.corpus.context_length = Some(12);
    options.corpus.packing = Packing::Packed;
    options
}

/// Everything that was made, each row as text.
async fn everything(tiny: &Tiny) -> Vec<String> {
    let features = "SELECT source_id, index, density, max_activation, act_hist_counts, top_logits, nearest_indices \
                    FROM features ORDER BY source_id, index";
    let activations = "SELECT source_id, index, rank, context_id, positions, acts, bin_min, bin_max, bin_fraction \
                       FROM activations ORDER BY source_id, index, rank";
    let contexts = "SELECT context_id, token_ids, document FROM contexts ORDER BY context_id";
    let mut all = Vec::new();
    for sql in [features, activations, contexts] {
        let rows = tiny.rows(sql).await;
        let cell = |row: usize| move |column: &ArrayRef| array_value_to_string(column, row).unwrap();
        all.extend((0..rows.num_rows()).map(|row| rows.columns().iter().map(cell(row)).collect::<Vec<_>>().join(" ")));
    }
    all
}

#[track_caller]
fn assert_same(found: &[String], expected: &[String]) {
    assert_eq!(found.len(), expected.len());
    if let Some((found, expected)) = found.iter().zip(expected).find(|(found, expected)| found != expected) {
        panic!("{found}\nexpected {expected}");
    }
}

/// Stops a run when the model has been run on so many prompts.
struct Stops {
    after: u64,
    seen: AtomicU64,
    in_model: AtomicU64,
    now: Notify,
}

impl Stages for Stops {
    fn begin(&self, stage: Stage, _done: u64, _total: u64) {
        self.in_model.store(u64::from(stage == Stage::Activations), Ordering::SeqCst);
    }

    fn advance(&self, done: u64) {
        if self.in_model.load(Ordering::SeqCst) == 1 && self.seen.fetch_add(done, Ordering::SeqCst) + done >= self.after
        {
            self.now.notify_one();
        }
    }
}

async fn stopped(tiny: &Tiny, options: GenerateOptions, after: u64) {
    let stops = Arc::new(Stops { after, seen: AtomicU64::new(0), in_model: AtomicU64::new(0), now: Notify::new() });
    let progress: Arc<dyn Stages> = Arc::clone(&stops) as Arc<dyn Stages>;
    tokio::select! {
        biased;
        () = stops.now.notified() => {}
        made = tiny.models.generate_dashboards(&tiny.engine, options, progress) => panic!("not stopped: {made:?}"),
    }
}

async fn generate(tiny: &Tiny, options: GenerateOptions) -> Vec<Generated> {
    tiny.models.generate_dashboards(&tiny.engine, options, Arc::new(Logged)).await.unwrap()
}

/// One prompt at a time, each written at once, and a handful of features at a time.
fn in_small_steps() -> Pace {
    Pace {
        tokens_at_once: 12,
        firings_in_memory: 1,
        longest_unwritten: Duration::ZERO,
        firings_at_once: 50,
        features_at_once: 7,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn how_a_run_is_cut_makes_no_difference() {
    let folder = tempfile::tempdir().unwrap();
    let (one, other) = (Tiny::open().await, Tiny::open().await);
    let whole = options(corpus(&folder));
    generate(&one, whole.clone()).await;
    generate(&other, GenerateOptions { pace: in_small_steps(), ..whole }).await;
    let sql = "SELECT density, max_activation FROM features ORDER BY source_id, index";
    let (expected, found) = (one.rows(sql).await, other.rows(sql).await);
    // Products of matrices of other sizes are rounded otherwise.
    assert_close(&reals(&found, "max_activation"), &reals(&expected, "max_activation"), 1e-5, "max_activation");
    assert_close(&reals(&found, "density"), &reals(&expected, "density"), 1e-3, "density");
    let sql = "SELECT source_id || ' ' || index::text || ' ' || context_id::text AS place FROM activations";
    let places = async |tiny: &Tiny| texts(&tiny.rows(sql).await, "place").into_iter().collect::<BTreeSet<_>>();
    let (expected, found) = (places(&one).await, places(&other).await);
    let differ = expected.symmetric_difference(&found).count();
    assert!(expected.len() > 1000 && differ <= expected.len() / 100, "{differ} of {} differ", expected.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_was_stopped_is_taken_up_again_and_makes_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let (unbroken, tiny) = (Tiny::open().await, Tiny::open().await);
    let path = corpus(&folder);
    let steps = || GenerateOptions { pace: in_small_steps(), ..options(path.clone()) };
    generate(&unbroken, steps()).await;
    stopped(&tiny, steps(), 5).await;
    stopped(&tiny, steps(), 10).await;
    let nothing = tiny.rows("SELECT count(*) AS n FROM features").await;
    assert_eq!(numbers(&nothing, "n"), [0], "nothing of a stopped run is visible");
    let made = generate(&tiny, steps()).await;
    assert!(made[0].resumed_prompts >= 15, "{made:?}");
    assert_same(&everything(&tiny).await, &everything(&unbroken).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn readers_see_the_old_dashboards_until_the_new_are_whole() {
    let folder = tempfile::tempdir().unwrap();
    let tiny = Tiny::open().await;
    let path = corpus(&folder);
    let mut few = options(path.clone());
    few.corpus.n_prompts = 8;
    generate(&tiny, few).await;
    let old = everything(&tiny).await;
    let steps = GenerateOptions { pace: in_small_steps(), ..options(path) };
    stopped(&tiny, steps.clone(), 20).await;
    assert_same(&everything(&tiny).await, &old);
    generate(&tiny, steps).await;
    assert!(everything(&tiny).await != old);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_corpus_in_a_file_is_read_by_its_ending() {
    use arrow::array::StringArray;
    let folder = tempfile::tempdir().unwrap();
    let documents: Vec<&str> = EXPECTED.iter().map(|expected| expected.text.as_str()).collect();
    let text = folder.path().join("corpus.txt");
    std::fs::write(&text, documents.join("\n\n")).unwrap();
    let parquet = folder.path().join("corpus.parquet");
    let column: ArrayRef = Arc::new(StringArray::from(documents));
    let batch = arrow::record_batch::RecordBatch::try_from_iter([("text", column)]).unwrap();
    let file = std::fs::File::create(&parquet).unwrap();
    let mut writer = parquet::arrow::ArrowWriter::try_new(file, batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
    let (one, other) = (Tiny::open().await, Tiny::open().await);
    let with = |path: PathBuf| {
        let mut options = options(path);
        options.corpus.packing = Packing::Document;
        options
    };
    generate(&one, with(text)).await;
    generate(&other, with(parquet)).await;
    assert_same(&everything(&one).await, &everything(&other).await);
    let missing = options(folder.path().join("none.jsonl"));
    let error = one.models.generate_dashboards(&one.engine, missing, Arc::new(Logged)).await.unwrap_err();
    assert!(error.message().contains("none.jsonl"), "{error}");
}
