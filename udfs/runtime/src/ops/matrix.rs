//! A tensor's values as rows in memory.

use candle_core::{DType, Device, Storage, Tensor};

use crate::{Error, ErrorKind, Result};

/// Lets `read` see a matrix `[rows, width]` as one slice of f32, row after row; without a copy where it lies so already.
pub(crate) fn with_values<T>(matrix: &Tensor, read: impl FnOnce(&[f32], usize) -> T) -> Result<T> {
    let (_, width) = matrix.dims2()?;
    let matrix = matrix.to_device(&Device::Cpu)?.to_dtype(DType::F32)?.contiguous()?;
    let (storage, layout) = matrix.storage_and_layout();
    let Storage::Cpu(storage) = &*storage else {
        return Err(Error::new(ErrorKind::Internal, "a tensor on the processor has no values there"));
    };
    let values: &[f32] = storage.as_slice()?;
    let values = layout
        .contiguous_offsets()
        .and_then(|(start, end)| values.get(start..end))
        .ok_or_else(|| Error::new(ErrorKind::Internal, "a contiguous tensor has gaps"))?;
    Ok(read(values, width))
}

/// The values of a matrix, row after row.
pub(super) fn values(matrix: &Tensor) -> Result<Vec<f32>> {
    with_values(matrix, |values, _| values.to_vec())
}
