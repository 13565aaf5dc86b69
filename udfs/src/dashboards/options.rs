//! What to generate, and how.

use std::time::Duration;

use latentdb_runtime::dashboard::{ActivitySettings, LogitSettings};
use serde_json::{Value, json};

use crate::corpus::{Corpus, CorpusOptions, Cut};

/// How the work is cut. What comes out does not depend on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pace {
    /// Tokens that go to the model's worker at once.
    pub tokens_at_once: usize,
    /// Firings that are held in memory before they are written.
    pub firings_in_memory: usize,
    /// Time after which firings are written, so that no more than that is lost when a run is killed.
    pub longest_unwritten: Duration,
    /// Firings of the features whose dashboards are made at once.
    pub firings_at_once: u64,
    /// Features whose dashboards are made at once, at most.
    pub features_at_once: usize,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            tokens_at_once: 8192,
            firings_in_memory: 4 << 20,
            longest_unwritten: Duration::from_secs(30),
            firings_at_once: 4 << 20,
            features_at_once: 4096,
        }
    }
}

/// What to generate. The defaults are SAEDashboard's, but for `packing`.
#[derive(Debug, Clone)]
pub struct GenerateOptions {
    /// Model id.
    pub model: String,
    /// Source ids and source sets, separated by commas.
    pub sources: String,
    /// What the model is run on.
    pub corpus: CorpusOptions,
    /// Name of the corpus, for the table `sources`; the statement or the file's path if there is none.
    pub dataset: Option<String>,
    /// Whether BOS and EOS tokens count as silent.
    pub mask_special: bool,
    /// Nearest features that are kept of each.
    pub nearest: usize,
    /// Another source of the model whose nearest features are kept as well.
    pub nearest_source: Option<String>,
    /// Features, and components of what a source reads, that are kept of those that correlate most with each; 0 for none,
    /// which saves the sums that they take.
    pub correlated: usize,
    /// What is kept of the activations.
    pub activity: ActivitySettings,
    /// What is kept of the logit weights.
    pub logits: LogitSettings,
    /// How the work is cut.
    pub pace: Pace,
}

impl GenerateOptions {
    /// The defaults.
    pub fn new(model: &str, sources: &str, corpus: Corpus) -> Self {
        Self {
            model: model.to_owned(),
            sources: sources.to_owned(),
            corpus: CorpusOptions::new(corpus, 24_576),
            dataset: None,
            mask_special: true,
            nearest: 10,
            nearest_source: None,
            correlated: 0,
            activity: ActivitySettings::default(),
            logits: LogitSettings::default(),
            pace: Pace::default(),
        }
    }

    pub(super) fn dataset(&self) -> String {
        self.dataset.clone().unwrap_or_else(|| self.corpus.corpus.to_string())
    }

    /// What `sources.settings` keeps of the run.
    pub(super) fn to_json(&self, cut: Cut) -> Value {
        json!({
            "corpus": self.corpus.corpus.to_string(),
            "n_prompts": cut.n_prompts,
            "context_length": cut.context_length,
            "packing": cut.packing.to_string(),
            "prepend_bos": cut.prepend_bos,
            "mask_special": self.mask_special,
            "top": self.activity.top,
            "intervals": self.activity.intervals,
            "per_interval": self.activity.per_interval,
            "nearest": self.nearest,
            "nearest_source": self.nearest_source,
            "correlated": self.correlated,
            "seed": self.activity.seed,
        })
    }
}
