//! The arguments of a command that runs a model over a corpus.

use std::path::PathBuf;

use clap::Args;
use latentdb_udfs::{Corpus, CorpusOptions, Packing};

/// A corpus, and how it becomes prompts.
#[derive(Debug, Args)]
pub(super) struct CorpusArgs {
    /// A file (.parquet or .jsonl with texts under `text`, or text with empty lines between documents), or a SELECT
    #[arg(value_name = "FILE|SELECT")]
    corpus: String,
    /// Tokens of a prompt at most [default: 128, or the model's context if that is shorter]
    #[arg(long, value_name = "N")]
    context_length: Option<usize>,
    /// How documents become prompts: document (its start), full (only those that fill the context), packed
    #[arg(long, default_value_t = Packing::Document, value_name = "HOW")]
    packing: Packing,
    /// Whether prompts start with a BOS token [default: as the sources were trained]
    #[arg(long, value_name = "true|false")]
    prepend_bos: Option<bool>,
}

impl CorpusArgs {
    pub(super) fn options(self, n_prompts: usize) -> CorpusOptions {
        let path = PathBuf::from(&self.corpus);
        let corpus = if path.is_file() { Corpus::File(path) } else { Corpus::Statement(self.corpus) };
        let mut options = CorpusOptions::new(corpus, n_prompts);
        options.context_length = self.context_length;
        options.packing = self.packing;
        options.prepend_bos = self.prepend_bos;
        options
    }
}
