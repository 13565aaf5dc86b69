//! `decoder_vector(feature)` and `encoder_vector(feature)`: where a feature writes, and what it reads.

use std::sync::Arc;

use arrow::array::{ArrayRef, Float32Builder, ListBuilder};
use arrow::datatypes::DataType;
use async_trait::async_trait;
use latentdb_engine::{FunctionParameter, ModelFunction, Result, Volatility};
use latentdb_runtime::source::Source;

use super::{Operation, fold_decoder_norm};
use crate::address::FeatureAddress;
use crate::arguments::Arguments;
use crate::failure::from_runtime;
use crate::library::{Models, Reading};
use crate::rows::list_of;

/// One of the two.
#[derive(Debug)]
pub(super) struct FeatureVector {
    name: &'static str,
    summary: &'static str,
    read: fn(&Source, usize) -> latentdb_runtime::Result<Vec<f32>>,
}

impl FeatureVector {
    pub(super) const DECODER: Self = Self {
        name: "decoder_vector",
        summary: "The direction that a feature adds to the model's activations",
        read: Source::decoder_vector,
    };
    pub(super) const ENCODER: Self = Self {
        name: "encoder_vector",
        summary: "The direction that a feature reads from the model's activations",
        read: Source::encoder_vector,
    };
}

#[async_trait]
impl Operation for FeatureVector {
    fn declaration(&self) -> ModelFunction {
        ModelFunction {
            name: self.name,
            summary: self.summary,
            parameters: vec![
                FunctionParameter::required("feature", "text", "Address: model/source/index"),
                fold_decoder_norm(),
            ],
            result: list_of(DataType::Float32),
            gives_rows: false,
            volatility: Volatility::Stable,
        }
    }

    async fn answer(&self, models: &Models, arguments: &Arguments) -> Result<ArrayRef> {
        let mut vectors = ListBuilder::new(Float32Builder::new());
        for row in 0..arguments.rows() {
            let address = FeatureAddress::parse(arguments.text("feature", row)?)?;
            let reading = Reading { fold_decoder_norm: arguments.flag("fold_decoder_norm", row)? };
            let worker = models.worker(&address.model).await?;
            let source = models.source(&worker, &address.model, &address.source, reading).await?;
            vectors.values().append_slice(&(self.read)(&source.source, address.index).map_err(from_runtime)?);
            vectors.append(true);
        }
        Ok(Arc::new(vectors.finish()))
    }
}
