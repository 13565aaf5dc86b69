//! `similar_features`: the features whose decoder directions are nearest to one.
//!
//! As Neuronpedia's `sae-topk-by-decoder-cossim`: `cos = (W_dec[i] · q) / max(‖W_dec[i]‖ · ‖q‖, 1e-8)`, norms in f32,
//! and a row that is not a number is the least like anything.

use rayon::prelude::*;

use super::matrix::with_values;
use super::ranking::top_k;
use crate::source::Source;
use crate::{Error, ErrorKind, Result};

/// Least product of norms that is divided by.
const LEAST_NORM: f32 = 1e-8;

/// The `k` features of `source` whose decoder directions are most like `direction`, with their cosines, nearest first.
///
/// # Errors
/// `InvalidInput` if the direction is not as wide as the decoder.
pub fn nearest_directions(source: &Source, direction: &[f32], k: usize) -> Result<Vec<(u32, f32)>> {
    let decoder = source.decoder()?;
    let (_, width) = decoder.dims2()?;
    if width != direction.len() {
        return Err(Error::new(
            ErrorKind::InvalidInput,
            format!("the direction has {} components, and the source writes {width}", direction.len()),
        )
        .with_hint("only sources that write to activations of one width can be compared"));
    }
    let norm = length(direction);
    let cosine = |row: &[f32]| {
        let product: f32 = row.iter().zip(direction).map(|(one, other)| one * other).sum();
        product / (length(row) * norm).max(LEAST_NORM)
    };
    let cosines: Vec<f32> =
        with_values(&decoder, |values, width| values.par_chunks_exact(width.max(1)).map(cosine).collect())?;
    Ok(top_k(&cosines, k, |_, _| true))
}

fn length(vector: &[f32]) -> f32 {
    vector.iter().map(|value| value * value).sum::<f32>().sqrt()
}
