//! The functions, one file each: what it is called with, what runs, and how its rows are put into columns.

mod activate;
mod activate_by_token;
mod activate_feature;
mod attention;
mod detokenize;
mod embed;
mod generation;
mod hidden_states;
mod intervene;
mod logit_lens;
mod logits;
mod prompts;
mod similar_features;
mod tokenize;
mod vectors;

use arrow::array::ArrayRef;
use async_trait::async_trait;
use latentdb_engine::{Error, ErrorKind, FunctionParameter, ModelFunction, ModelRequest, Result};

use crate::arguments::Arguments;
use crate::library::Models;

/// A model function.
#[async_trait]
trait Operation: Send + Sync {
    /// Name, parameters, result.
    fn declaration(&self) -> ModelFunction;

    /// One result for each row of arguments.
    async fn answer(&self, models: &Models, arguments: &Arguments) -> Result<ArrayRef>;
}

const OPERATIONS: &[&dyn Operation] = &[
    &tokenize::Tokenize,
    &detokenize::Detokenize,
    &activate::Activate,
    &activate_by_token::ActivateByToken,
    &activate_feature::ActivateFeature,
    &logits::Logits,
    &logit_lens::LogitLens,
    &attention::Attention,
    &hidden_states::HiddenStates,
    &similar_features::SimilarFeatures,
    &generation::Generate,
    &generation::Chat,
    &generation::Steer,
    &intervene::Intervene,
    &embed::Embed,
    &embed::EmbeddingModel,
    &vectors::FeatureVector::DECODER,
    &vectors::FeatureVector::ENCODER,
];

/// Every function there is.
pub(crate) fn declarations() -> Vec<ModelFunction> {
    OPERATIONS.iter().map(|operation| operation.declaration()).collect()
}

/// Answers a request.
pub(crate) async fn answer(models: &Models, request: ModelRequest) -> Result<ArrayRef> {
    for operation in OPERATIONS {
        let declaration = operation.declaration();
        if declaration.name == &*request.function {
            let names = declaration.parameters.iter().map(|parameter| parameter.name).collect();
            let arguments = Arguments::new(declaration.name, names, request.arguments);
            return operation.answer(models, &arguments).await;
        }
    }
    Err(Error::new(ErrorKind::UndefinedFunction, format!("there is no model function {}", request.function)))
}

/// Parameters that several functions share.
fn model() -> FunctionParameter {
    FunctionParameter::required("model", "text", "Model id, as in the table models")
}

fn text() -> FunctionParameter {
    FunctionParameter::required("text", "text", "The prompt")
}

fn prepend_bos() -> FunctionParameter {
    FunctionParameter::optional(
        "prepend_bos",
        "boolean",
        "true",
        "Put the model's BOS token in front, unless the text starts with it",
    )
}

fn ignore_bos() -> FunctionParameter {
    FunctionParameter::optional("ignore_bos", "boolean", "true", "Leave out what the BOS token makes fire")
}

fn fold_decoder_norm() -> FunctionParameter {
    FunctionParameter::optional(
        "fold_decoder_norm",
        "boolean",
        "true",
        "Scale activations by the norm of the feature's decoder vector, as Neuronpedia does; false gives SAELens' values",
    )
}
