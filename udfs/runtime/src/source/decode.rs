//! From features back to activations.
//!
//! Few features are active at a position, so on the processor the decoder's rows of those few are added up, instead
//! of multiplying by the whole matrix.

use candle_core::{CpuStorage, Device, Storage, Tensor};
use rayon::prelude::*;

use crate::Result;

/// A row counts as sparse if at most one feature in this many is active: a dense product runs about that much
/// faster for each value it touches.
const SPARSE: usize = 16;

/// `features @ decoder` `[N, d_out]`, for `features` `[N, F]` and `decoder` `[F, d_out]`.
pub(super) fn multiply(features: &Tensor, decoder: &Tensor) -> Result<Tensor> {
    if !features.device().is_cpu() || features.elem_count() == 0 {
        return Ok(features.matmul(decoder)?);
    }
    let features = features.contiguous()?;
    match multiply_sparse(&features, decoder)? {
        Some(product) => Ok(product),
        None => Ok(features.matmul(decoder)?),
    }
}

/// The product, if few features are active and both matrices lie row after row.
fn multiply_sparse(features: &Tensor, decoder: &Tensor) -> Result<Option<Tensor>> {
    let ((rows, count), width) = (features.dims2()?, decoder.dim(1)?);
    let (feature_storage, feature_layout) = features.storage_and_layout();
    let (decoder_storage, decoder_layout) = decoder.storage_and_layout();
    let values = contiguous(&feature_storage, feature_layout.contiguous_offsets());
    let weights = contiguous(&decoder_storage, decoder_layout.contiguous_offsets());
    let (Some(values), Some(weights)) = (values, weights) else { return Ok(None) };
    let active = values.par_iter().filter(|value| **value != 0.0).count();
    if width == 0 || active * SPARSE > values.len() {
        return Ok(None);
    }
    let mut product = vec![0f32; rows * width];
    product.par_chunks_mut(width).zip(values.par_chunks(count)).for_each(|(sum, features)| {
        for (direction, feature) in weights.chunks(width).zip(features).filter(|(_, feature)| **feature != 0.0) {
            sum.iter_mut().zip(direction).for_each(|(sum, weight)| *sum += feature * weight);
        }
    });
    Ok(Some(Tensor::from_vec(product, (rows, width), &Device::Cpu)?))
}

fn contiguous(storage: &Storage, offsets: Option<(usize, usize)>) -> Option<&[f32]> {
    match (storage, offsets) {
        (Storage::Cpu(CpuStorage::F32(values)), Some((start, end))) => values.get(start..end),
        _ => None,
    }
}
