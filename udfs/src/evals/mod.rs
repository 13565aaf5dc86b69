//! `eval_source`: how well sources describe their points, into the table `evals`.

mod procedure;
mod rows;

use std::sync::Arc;

use latentdb_engine::{Engine, Error, ErrorKind, Result};
use latentdb_runtime::eval::{EvalSettings, Evaluate, Report, Sums};
use serde_json::json;

pub(crate) use self::procedure::EvalSource;
use crate::corpus::{Corpus, CorpusOptions, Cut, special_tokens};
use crate::failure::from_runtime;
use crate::library::{Models, Reading};
use crate::progress::{Stage, Stages};

/// Tokens that go to the model's worker at once. Losses take the model's whole vocabulary for each.
const TOKENS_AT_ONCE: usize = 2048;

/// What to evaluate, and on what.
#[derive(Debug, Clone)]
pub struct EvalOptions {
    /// Model id.
    pub model: String,
    /// Source ids and source sets, separated by commas.
    pub sources: String,
    /// What the model is run on.
    pub corpus: CorpusOptions,
    /// Whether BOS and EOS tokens are left out.
    pub mask_special: bool,
    /// Whether the model is also run with the reconstruction, and with nothing, in the place of what was there.
    pub losses: bool,
}

impl EvalOptions {
    /// The defaults.
    pub fn new(model: &str, sources: &str, corpus: Corpus) -> Self {
        Self {
            model: model.to_owned(),
            sources: sources.to_owned(),
            corpus: CorpusOptions::new(corpus, 256),
            mask_special: true,
            losses: true,
        }
    }
}

/// What was found of one source.
#[derive(Debug, Clone, PartialEq)]
pub struct Evaluated {
    /// Source id.
    pub source: String,
    /// Tokens that it was measured on.
    pub tokens: u64,
    /// Metrics by SAEBench's names; those that are not defined on the corpus are left out.
    pub metrics: Vec<(&'static str, f64)>,
}

impl Models {
    /// Evaluates sources on a corpus, and puts the metrics into `evals` in the place of those that are there. Dropping the
    /// future stops the run.
    ///
    /// # Errors
    /// If there is no such model or source, the corpus cannot be read, or a source cannot take the place of what it
    /// describes; the table is as before then.
    pub async fn eval_sources(
        &self,
        engine: &Engine,
        options: EvalOptions,
        progress: Arc<dyn Stages>,
    ) -> Result<Vec<Evaluated>> {
        if engine.is_read_only() {
            return Err(Error::new(ErrorKind::ReadOnly, "cannot keep evals: the database is open read-only here"));
        }
        let worker = self.worker(&options.model).await?;
        let model = worker.model();
        let sources =
            self.sources(&worker, &options.model, &options.sources, Reading { fold_decoder_norm: false }).await?;
        let cut = options.corpus.cut(model, &sources)?;
        let prompts = options.corpus.read(engine, model, cut, progress.as_ref()).await?;
        let settings = EvalSettings {
            ignored: if options.mask_special { special_tokens(model) } else { Default::default() },
            measures_loss: options.losses,
            ..EvalSettings::default()
        };
        let mut sums: Vec<Sums> = sources.iter().map(|source| Sums::new(source.source.config())).collect();
        let at_once = (TOKENS_AT_ONCE / cut.context_length).max(1);
        progress.begin(Stage::Activations, 0, prompts.len() as u64);
        for first in (0..prompts.len()).step_by(at_once) {
            let some = prompts.some(first, at_once);
            let count = some.len() as u64;
            let own = sources.iter().map(|source| Arc::clone(&source.source)).collect();
            let pass = Evaluate::new(model, own, settings.clone()).map_err(from_runtime)?;
            let found = worker.run(some, pass).await.map_err(from_runtime)?;
            for (all, some) in sums.iter_mut().zip(&found) {
                all.add(some).map_err(from_runtime)?;
            }
            progress.advance(count);
        }
        progress.begin(Stage::Committing, 0, 0);
        let reports: Vec<(String, Report)> =
            sources.into_iter().zip(&sums).map(|(source, sums)| (source.id, sums.report())).collect();
        rows::replace(engine, &options.model, &reports, &settings_of(&options, cut)).await?;
        Ok(reports
            .into_iter()
            .map(|(source, report)| Evaluated { source, tokens: report.tokens(), metrics: rows::defined(&report) })
            .collect())
    }
}

/// What `evals.details` keeps of the run.
fn settings_of(options: &EvalOptions, cut: Cut) -> serde_json::Value {
    json!({
        "corpus": options.corpus.corpus.to_string(),
        "n_prompts": cut.n_prompts,
        "context_length": cut.context_length,
        "packing": cut.packing.to_string(),
        "prepend_bos": cut.prepend_bos,
        "mask_special": options.mask_special,
    })
}
