//! A corpus as prompts: texts or token ids from a statement or a file, cut to the length that a model is run on.

mod cut;
mod file;
mod prompts;

use std::collections::HashSet;
use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;
use std::time::UNIX_EPOCH;

use latentdb_engine::{Engine, Error, ErrorKind, Result};
use latentdb_runtime::model::Model;

pub(crate) use self::cut::Cut;
pub(crate) use self::prompts::{Prompt, Prompts};
use crate::library::NamedSource;
use crate::progress::{Stage, Stages};

/// Tokens of a prompt at most, if nothing is said and the model's context is no shorter.
const DEFAULT_LENGTH: usize = 128;

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
    pub(crate) fn identity(&self) -> String {
        let facts = match self {
            Self::Statement(_) => None,
            Self::File(path) => path.metadata().ok(),
        };
        let changed = facts.as_ref().and_then(|facts| facts.modified().ok()?.duration_since(UNIX_EPOCH).ok());
        format!("{self} {:?} {changed:?}", facts.map(|facts| facts.len()))
    }
}

/// A corpus, and how it becomes prompts.
#[derive(Debug, Clone)]
pub struct CorpusOptions {
    /// Where texts come from.
    pub corpus: Corpus,
    /// Prompts at most.
    pub n_prompts: usize,
    /// Tokens of a prompt at most, BOS included; none for 128, or the model's whole context if that is shorter.
    pub context_length: Option<usize>,
    /// How documents become prompts.
    pub packing: Packing,
    /// Whether prompts start with a BOS token; none for what the sources were trained with.
    pub prepend_bos: Option<bool>,
}

impl CorpusOptions {
    /// `n_prompts` prompts of `corpus`, and the defaults.
    pub fn new(corpus: Corpus, n_prompts: usize) -> Self {
        Self { corpus, n_prompts, context_length: None, packing: Packing::default(), prepend_bos: None }
    }

    /// What they come to for a model and some sources.
    pub(crate) fn cut(&self, model: &Model, sources: &[NamedSource]) -> Result<Cut> {
        if self.n_prompts == 0 || u32::try_from(self.n_prompts).is_err() {
            return Err(Error::new(ErrorKind::InvalidValue, format!("n_prompts cannot be {}", self.n_prompts))
                .with_hint("it is a number of prompts, as in n_prompts => 24576"));
        }
        let longest = model.config().n_ctx;
        let context_length = self.context_length.unwrap_or(DEFAULT_LENGTH.min(longest));
        if context_length < 2 || context_length > longest {
            return Err(Error::new(
                ErrorKind::InvalidValue,
                format!("context_length is {context_length}, and the model's context holds 2 to {longest} tokens"),
            ));
        }
        Ok(Cut {
            n_prompts: self.n_prompts,
            context_length,
            packing: self.packing,
            prepend_bos: prepend_bos(sources, self.prepend_bos)?,
        })
    }

    /// The first prompts of the corpus.
    pub(crate) async fn read(
        &self,
        engine: &Engine,
        model: &Arc<Model>,
        cut: Cut,
        heard: &dyn Stages,
    ) -> Result<Prompts> {
        heard.begin(Stage::Corpus, 0, cut.n_prompts as u64);
        match &self.corpus {
            Corpus::Statement(query) => cut::read(engine, query, model, cut, heard).await,
            Corpus::File(path) => file::read(path.clone(), Arc::clone(model), cut).await,
        }
    }
}

/// BOS and EOS.
pub(crate) fn special_tokens(model: &Model) -> HashSet<u32> {
    model.tokenizer().bos().into_iter().chain(model.tokenizer().eos()).collect()
}

/// Whether prompts start with a BOS token: as asked, or as the sources were trained.
fn prepend_bos(sources: &[NamedSource], asked: Option<bool>) -> Result<bool> {
    let own = || sources.iter().filter_map(|source| source.source.config().prepend_bos);
    match (asked, own().min(), own().max()) {
        (Some(asked), ..) => Ok(asked),
        (None, Some(least), Some(most)) if least != most => Err(Error::new(
            ErrorKind::InvalidValue,
            "some of the sources were trained with a BOS token in front, and some without",
        )
        .with_hint("say prepend_bos => true or false, or call for them apart")),
        (None, own, _) => Ok(own.unwrap_or(true)),
    }
}
