//! The vectors that a map is of.

use std::fmt;
use std::str::FromStr;

use arrow::array::{Array, AsArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Float32Type, UInt32Type};
use arrow::record_batch::RecordBatch;
use latentdb_engine::{Error, ErrorKind, Result};
use latentdb_runtime::Tensor;

use super::{LayoutOptions, keys};
use crate::arguments::internal;
use crate::failure::from_runtime;
use crate::library::{Models, Reading};

/// Whose vectors are laid out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Vectors {
    /// Decoder directions of features.
    #[default]
    Decoder,
    /// Embeddings of explanations.
    Explanations,
}

impl Vectors {
    /// The table that gets the places.
    pub(super) fn table(self) -> &'static str {
        match self {
            Self::Decoder => "features",
            Self::Explanations => "explanations",
        }
    }

    /// What tells a source's rows of it apart.
    pub(super) fn key(self) -> &'static str {
        match self {
            Self::Decoder => "index",
            Self::Explanations => "explanation_id",
        }
    }
}

impl fmt::Display for Vectors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Decoder => "decoder",
            Self::Explanations => "explanations",
        })
    }
}

impl FromStr for Vectors {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let found = [Self::Decoder, Self::Explanations].into_iter().find(|of| of.to_string() == text);
        found.ok_or_else(|| {
            Error::new(ErrorKind::InvalidValue, format!("{text:?} cannot be laid out"))
                .with_hint("there are decoder and explanations")
        })
    }
}

/// Vectors with the keys of their rows.
pub(super) struct Found {
    pub(super) keys: Vec<String>,
    /// `[n, d]`
    pub(super) matrix: Tensor,
}

impl Models {
    /// The vectors of the rows; of those that have one.
    pub(super) async fn vectors(&self, options: &LayoutOptions, rows: &RecordBatch) -> Result<Found> {
        match options.of {
            Vectors::Decoder => self.directions(options, rows).await,
            Vectors::Explanations => embeddings(options, rows),
        }
    }

    async fn directions(&self, options: &LayoutOptions, rows: &RecordBatch) -> Result<Found> {
        let worker = self.worker(&options.model).await?;
        let reading = Reading { fold_decoder_norm: true };
        let found = self.sources(&worker, &options.model, &options.source, reading).await?;
        let [source] = found.as_slice() else {
            return Err(Error::new(ErrorKind::InvalidValue, format!("{} is not one source", options.source))
                .with_hint("each source has a map of its own: call for one after the other"));
        };
        let decoder = source.source.decoder().map_err(from_runtime)?;
        let indices = rows.column_by_name("index").ok_or_else(|| internal("no index"))?;
        let indices = cast(indices, &DataType::UInt32).map_err(internal)?;
        let indices = indices.as_primitive::<UInt32Type>().values();
        let width = source.source.config().d_sae;
        if let Some(beyond) = indices.iter().find(|index| **index as usize >= width) {
            return Err(Error::new(
                ErrorKind::InvalidValue,
                format!("the table has feature {beyond} of {}, and the source has {width}", source.id),
            ));
        }
        let chosen = Tensor::new(&indices[..], decoder.device()).map_err(internal)?;
        Ok(Found { keys: keys(options.of, rows)?, matrix: decoder.index_select(&chosen, 0).map_err(internal)? })
    }
}

fn embeddings(options: &LayoutOptions, rows: &RecordBatch) -> Result<Found> {
    let column = rows.column_by_name("embedding").ok_or_else(|| internal("no embedding"))?;
    let column = cast(column, &DataType::new_list(DataType::Float32, true)).map_err(internal)?;
    let (mut own, mut values, mut width) = (Vec::new(), Vec::new(), None);
    for (key, embedding) in keys(options.of, rows)?.into_iter().zip(column.as_list::<i32>().iter()) {
        let Some(embedding) = embedding.filter(|embedding| !embedding.is_empty()) else { continue };
        if *width.get_or_insert(embedding.len()) != embedding.len() {
            return Err(Error::new(
                ErrorKind::InvalidValue,
                format!("the embedding of explanation {key} is of another width than those before it"),
            ));
        }
        values.extend_from_slice(embedding.as_primitive::<Float32Type>().values());
        own.push(key);
    }
    let width = width.ok_or_else(|| {
        let place = format!("{}/{}", options.model, options.source);
        Error::new(ErrorKind::UndefinedObject, format!("no explanation of {place} has an embedding"))
    })?;
    let matrix = latentdb_runtime::layout::vectors(values, width).map_err(from_runtime)?;
    Ok(Found { keys: own, matrix })
}
