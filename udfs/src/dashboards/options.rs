//! What to generate, and how.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::{Duration, UNIX_EPOCH};

use latentdb_engine::{Error, ErrorKind, Result};
use latentdb_runtime::dashboard::{ActivitySettings, LogitSettings};
use serde_json::{Value, json};

/// How documents become prompts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Packing {
    /// The start of each document is a prompt; short documents make short ones.
    #[default]
    Document,
    /// The start of each document that fills the context; shorter ones are left out, as SAEDashboard does.
    Full,
    /// Documents one after the other, cut into prompts that fill the context.
    Packed,
}

impl fmt::Display for Packing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Document => "document",
            Self::Full => "full",
            Self::Packed => "packed",
        })
    }
}

impl FromStr for Packing {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        [Self::Document, Self::Full, Self::Packed].into_iter().find(|packing| packing.to_string() == text).ok_or_else(
            || {
                Error::new(ErrorKind::InvalidValue, format!("{text:?} is no way to pack documents"))
                    .with_hint("there are document, full and packed")
            },
        )
    }
}

/// Where texts come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Corpus {
    /// A statement whose first column has texts, or lists of token ids.
    Statement(String),
    /// A file of this machine: text with empty lines between documents, JSON lines, or Parquet.
    File(PathBuf),
}

impl fmt::Display for Corpus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Statement(statement) => f.write_str(statement),
            Self::File(path) => path.display().fmt(f),
        }
    }
}

impl Corpus {
    /// Words that change when the corpus does, as far as can be told without reading it.
    pub(super) fn identity(&self) -> String {
        let facts = match self {
            Self::Statement(_) => None,
            Self::File(path) => path.metadata().ok(),
        };
        let changed = facts.as_ref().and_then(|facts| facts.modified().ok()?.duration_since(UNIX_EPOCH).ok());
        format!("{self} {:?} {changed:?}", facts.map(|facts| facts.len()))
    }
}

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

/// Tokens of a prompt at most, if nothing is said and the model's context is no shorter.
pub(super) const DEFAULT_LENGTH: usize = 128;

/// What to generate. The defaults are SAEDashboard's, but for `packing`.
#[derive(Debug, Clone)]
pub struct GenerateOptions {
    /// Model id.
    pub model: String,
    /// Source ids and source sets, separated by commas.
    pub sources: String,
    /// Where texts come from.
    pub corpus: Corpus,
    /// Name of the corpus, for the table `sources`; the statement or the file's path if there is none.
    pub dataset: Option<String>,
    /// Prompts at most.
    pub n_prompts: usize,
    /// Tokens of a prompt at most, BOS included; none for 128, or the model's whole context if that is shorter.
    pub context_length: Option<usize>,
    /// How documents become prompts.
    pub packing: Packing,
    /// Whether prompts start with a BOS token; none for what the sources were trained with.
    pub prepend_bos: Option<bool>,
    /// Whether BOS and EOS tokens count as silent.
    pub mask_special: bool,
    /// Nearest features that are kept of each.
    pub nearest: usize,
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
            corpus,
            dataset: None,
            n_prompts: 24_576,
            context_length: None,
            packing: Packing::default(),
            prepend_bos: None,
            mask_special: true,
            nearest: 10,
            activity: ActivitySettings::default(),
            logits: LogitSettings::default(),
            pace: Pace::default(),
        }
    }

    pub(super) fn check(&self) -> Result<()> {
        if self.n_prompts == 0 || u32::try_from(self.n_prompts).is_err() {
            return Err(Error::new(ErrorKind::InvalidValue, format!("n_prompts cannot be {}", self.n_prompts))
                .with_hint("it is a number of prompts, as in n_prompts => 24576"));
        }
        Ok(())
    }

    pub(super) fn dataset(&self) -> String {
        self.dataset.clone().unwrap_or_else(|| self.corpus.to_string())
    }

    /// What `sources.settings` keeps of the run.
    pub(super) fn to_json(&self, context_length: usize, prepend_bos: bool) -> Value {
        json!({
            "corpus": self.corpus.to_string(),
            "n_prompts": self.n_prompts,
            "context_length": context_length,
            "packing": self.packing.to_string(),
            "prepend_bos": prepend_bos,
            "mask_special": self.mask_special,
            "top": self.activity.top,
            "intervals": self.activity.intervals,
            "per_interval": self.activity.per_interval,
            "nearest": self.nearest,
            "seed": self.activity.seed,
        })
    }
}
