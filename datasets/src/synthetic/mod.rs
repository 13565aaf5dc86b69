//! Made-up Neuronpedia exports of any size, for tests and benchmarks.
//!
//! The layout, the dialect (that of an export from Neuronpedia's database: indices as text, features in the order
//! of that text) and the proportions are real; the content is drawn from a seed. The same options give the same
//! files, whatever the number of threads.

mod records;
mod vocabulary;

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use flate2::Compression;
use flate2::write::GzEncoder;
use latentdb_engine::{Error, ErrorKind, Result};
use rand::SeedableRng;
use rand::rngs::StdRng;
use serde_json::{Value, json};

use self::records::{Corpus, Feature};
use self::vocabulary::Vocabulary;

const FEATURES_PER_BATCH: u32 = 1024;
const VOCABULARY: usize = 50_257;

/// What to make.
#[derive(Debug, Clone)]
pub struct SyntheticOptions {
    /// Model id.
    pub model_id: String,
    /// Source id: `{layer}-{set}`.
    pub source_id: String,
    /// Features.
    pub features: u32,
    /// Activations of each feature that is not dead.
    pub activations: u32,
    /// Tokens of each prompt.
    pub tokens: u32,
    /// Prompts that activations are on.
    pub prompts: u32,
    /// Where all chance comes from.
    pub seed: u64,
}

impl Default for SyntheticOptions {
    fn default() -> Self {
        Self {
            model_id: "synthetic-small".to_owned(),
            source_id: "6-res-syn".to_owned(),
            features: 24_576,
            activations: 45,
            tokens: 128,
            prompts: 24_576,
            seed: 1,
        }
    }
}

impl SyntheticOptions {
    fn set_id(&self) -> &str {
        self.source_id.split_once('-').map_or("neurons", |(_, set)| set)
    }

    fn hook_point(&self) -> String {
        let layer = self.source_id.split('-').next().unwrap_or_default();
        format!("blocks.{layer}.hook_resid_pre")
    }
}

/// What was made.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SyntheticReport {
    /// Feature rows.
    pub features: u64,
    /// Activation rows.
    pub activations: u64,
    /// Explanation rows.
    pub explanations: u64,
    /// Bytes written, compressed.
    pub bytes: u64,
}

/// Writes an export to `directory`, as `v1/{model}/{source}` below it. Blocks, on all cores.
pub fn generate(options: &SyntheticOptions, directory: &Path) -> Result<SyntheticReport> {
    if options.features == 0 || options.tokens == 0 || options.prompts == 0 {
        return Err(Error::new(ErrorKind::InvalidValue, "features, tokens and prompts must be at least 1"));
    }
    let folder = directory.join("v1").join(&options.model_id).join(&options.source_id);
    write_all(options, &folder)
        .map_err(|error| Error::new(ErrorKind::Io, format!("cannot write {}: {error}", folder.display())))
}

fn write_all(options: &SyntheticOptions, folder: &Path) -> io::Result<SyntheticReport> {
    for kind in ["features", "activations", "explanations"] {
        fs::create_dir_all(folder.join(kind))?;
    }
    for (name, row) in registry(options) {
        fs::write(folder.join(name), format!("{row}\n"))?;
    }
    let corpus = corpus(options);
    let batches = options.features.div_ceil(FEATURES_PER_BATCH);
    // Features and explanations come in the order of their index as text.
    let mut by_text: Vec<u32> = (0..options.features).collect();
    by_text.sort_by_cached_key(u32::to_string);
    let jobs: Vec<Job<'_>> = (0..batches)
        .flat_map(|batch| {
            let range = batch * FEATURES_PER_BATCH..((batch + 1) * FEATURES_PER_BATCH).min(options.features);
            let texts = by_text.get(range.start as usize..range.end as usize).unwrap_or_default();
            [Job::Activations(batch, range), Job::Features(batch, texts), Job::Explanations(batch, texts)]
        })
        .collect();
    let totals = Totals::default();
    let next = AtomicUsize::new(0);
    let threads = std::thread::available_parallelism().map_or(2, usize::from);
    std::thread::scope(|scope| {
        let work = || -> io::Result<()> {
            while let Some(job) = jobs.get(next.fetch_add(1, Ordering::Relaxed)) {
                job.write(&corpus, folder, &totals)?;
            }
            Ok(())
        };
        let running: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        running.into_iter().try_for_each(|thread| {
            thread.join().unwrap_or_else(|_| Err(io::Error::other("a writing thread ended early")))
        })
    })?;
    Ok(SyntheticReport {
        features: u64::from(options.features),
        activations: totals.activations.into_inner(),
        explanations: totals.explanations.into_inner(),
        bytes: totals.bytes.into_inner(),
    })
}

#[derive(Debug, Default)]
struct Totals {
    activations: AtomicU64,
    explanations: AtomicU64,
    bytes: AtomicU64,
}

/// One file to write.
#[derive(Debug)]
enum Job<'a> {
    Features(u32, &'a [u32]),
    Activations(u32, std::ops::Range<u32>),
    Explanations(u32, &'a [u32]),
}

impl Job<'_> {
    fn write(&self, corpus: &Corpus<'_>, folder: &Path, totals: &Totals) -> io::Result<()> {
        let seed = corpus.options.seed;
        // A feature's own numbers come from its index alone, so that its three kinds of record agree.
        let feature = |index: u32| Feature::draw(index, &mut stream(seed, 0, index));
        let (kind, batch) = match self {
            Job::Features(batch, _) => ("features", batch),
            Job::Activations(batch, _) => ("activations", batch),
            Job::Explanations(batch, _) => ("explanations", batch),
        };
        let mut file = Batch::create(folder.join(kind).join(format!("batch-{batch}.jsonl.gz")))?;
        match self {
            Job::Features(_, indices) => {
                for index in *indices {
                    corpus.write_feature(feature(*index), &mut stream(seed, 1, *index), &mut file.lines);
                    file.flush_if_full()?;
                }
            }
            Job::Activations(_, indices) => {
                for index in indices.clone() {
                    let rows = corpus.write_activations(feature(index), &mut stream(seed, 2, index), &mut file.lines);
                    totals.activations.fetch_add(rows, Ordering::Relaxed);
                    file.flush_if_full()?;
                }
            }
            Job::Explanations(_, indices) => {
                for feature in indices.iter().map(|index| feature(*index)).filter(Feature::is_alive) {
                    corpus.write_explanation(feature, &mut stream(seed, 3, feature.index()), &mut file.lines);
                    totals.explanations.fetch_add(1, Ordering::Relaxed);
                    file.flush_if_full()?;
                }
            }
        }
        totals.bytes.fetch_add(file.finish()?, Ordering::Relaxed);
        Ok(())
    }
}

/// A compressed file and the lines that go into it next.
struct Batch {
    lines: Vec<u8>,
    encoder: GzEncoder<File>,
    path: PathBuf,
}

impl Batch {
    fn create(path: PathBuf) -> io::Result<Self> {
        // Level 5 is what Neuronpedia's own export uses.
        Ok(Self { lines: Vec::new(), encoder: GzEncoder::new(File::create(&path)?, Compression::new(5)), path })
    }

    fn flush_if_full(&mut self) -> io::Result<()> {
        if self.lines.len() > 1 << 20 {
            self.encoder.write_all(&self.lines)?;
            self.lines.clear();
        }
        Ok(())
    }

    fn finish(mut self) -> io::Result<u64> {
        self.encoder.write_all(&self.lines)?;
        self.encoder.finish()?;
        Ok(fs::metadata(&self.path)?.len())
    }
}

/// A source of chance for one feature and one purpose.
fn stream(seed: u64, purpose: u64, index: u32) -> StdRng {
    StdRng::seed_from_u64(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ (purpose << 32) ^ u64::from(index))
}

fn corpus(options: &SyntheticOptions) -> Corpus<'_> {
    let mut rng = StdRng::seed_from_u64(options.seed);
    let vocabulary = Vocabulary::new(VOCABULARY, &mut rng);
    let prompts = (0..options.prompts).map(|_| {
        let tokens: Vec<&str> = (0..options.tokens).map(|_| vocabulary.token(vocabulary.draw(&mut rng))).collect();
        Value::from(tokens).to_string()
    });
    let prompts = prompts.collect();
    Corpus { options, vocabulary, prompts }
}

fn registry(options: &SyntheticOptions) -> [(&'static str, Value); 4] {
    let created = "2026-01-01T00:00:00.000Z";
    [
        (
            "model.jsonl",
            json!({"id": options.model_id, "displayName": "Synthetic", "displayNameShort": "Synthetic", "layers": 12, "neuronsPerLayer": 3072,
                "dimension": 768, "instruct": false, "owner": "LatentDB", "visibility": "PUBLIC", "website": null, "createdAt": created}),
        ),
        (
            "release.jsonl",
            json!({"name": "synthetic", "description": "Made up from a seed", "creatorName": "LatentDB", "urls": [], "visibility": "PUBLIC",
                "defaultUmapSourceIds": [], "createdAt": created}),
        ),
        (
            "sourceset.jsonl",
            json!({"modelId": options.model_id, "name": options.set_id(), "description": "Made up from a seed", "type": "Residual stream",
                "creatorName": "LatentDB", "urls": [], "releaseName": "synthetic", "defaultRange": 1, "createdAt": created}),
        ),
        (
            "source.jsonl",
            json!({"id": options.source_id, "modelId": options.model_id, "setName": options.set_id(), "inferenceHosts": [],
                "saelensConfig": {"architecture": "standard", "d_sae": options.features, "hook_name": options.hook_point()},
                "dataset": "synthetic", "num_prompts": options.prompts, "num_tokens_in_prompt": options.tokens, "visibility": "PUBLIC",
                "createdAt": created}),
        ),
    ]
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::io::Read;

    use flate2::read::GzDecoder;

    use super::*;

    fn read(folder: &Path, file: &str) -> String {
        let mut text = String::new();
        let path = folder.join("v1/synthetic-small/6-res-syn").join(file);
        GzDecoder::new(File::open(path).unwrap()).read_to_string(&mut text).unwrap();
        text
    }

    #[test]
    fn a_seed_decides_everything_and_another_seed_differs() {
        let options =
            SyntheticOptions { features: 1100, activations: 3, tokens: 16, prompts: 20, ..SyntheticOptions::default() };
        let other = SyntheticOptions { seed: 2, ..options.clone() };
        let folders: Vec<_> = (0..3).map(|_| tempfile::tempdir().unwrap()).collect();
        let reports: Vec<_> = folders
            .iter()
            .zip([&options, &options, &other])
            .map(|(folder, options)| generate(options, folder.path()).unwrap())
            .collect();
        assert_eq!(reports[0], reports[1]);
        assert_eq!(reports[0].features, 1100);
        for file in ["features/batch-1.jsonl.gz", "activations/batch-0.jsonl.gz", "explanations/batch-0.jsonl.gz"] {
            let texts: Vec<_> = folders.iter().map(|folder| read(folder.path(), file)).collect();
            assert_eq!(texts[0], texts[1]);
            assert_ne!(texts[0], texts[2]);
        }
        // The trap of the real layout: batches of different kinds cover different features.
        let first: Value =
            serde_json::from_str(read(folders[0].path(), "features/batch-1.jsonl.gz").lines().next().unwrap()).unwrap();
        assert_ne!(first["index"], "1024");
        let rows = read(folders[0].path(), "activations/batch-0.jsonl.gz").lines().count();
        assert!(rows as u64 <= reports[0].activations && rows > 2500);
    }
}
