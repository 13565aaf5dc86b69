//! NumPy's archives of arrays (`numpy.savez`), which Gemma Scope is published in.

use std::collections::BTreeMap;
use std::path::Path;

use candle_core::{DType, Device, Tensor};

use super::archive::Archive;
use super::tensors::map_file;
use crate::{Error, ErrorKind, Result};

const MAGIC: &[u8] = b"\x93NUMPY";

/// All arrays of an archive by name.
pub(super) fn read(path: &Path) -> Result<BTreeMap<String, Tensor>> {
    let archive = Archive::new(map_file(path)?)?;
    let mut arrays = BTreeMap::new();
    for name in archive.names() {
        let array = array(&archive.read(name)?).map_err(|error| error.within(name))?;
        arrays.insert(name.strip_suffix(".npy").unwrap_or(name).to_string(), array);
    }
    Ok(arrays)
}

/// What an array's header says.
struct Header {
    dtype: DType,
    is_fortran: bool,
    shape: Vec<usize>,
}

/// An array in NumPy's format, versions 1 to 3.
fn array(bytes: &[u8]) -> Result<Tensor> {
    let (header, data) = split(bytes).ok_or_else(|| damaged("not a whole NumPy array"))?;
    let header = std::str::from_utf8(header).map_err(|_| damaged("the array's header is not text"))?;
    let Header { dtype, is_fortran, shape } = parse(header)?;
    let count = shape.iter().try_fold(1usize, |product, dim| product.checked_mul(*dim));
    let size = count.and_then(|count| count.checked_mul(dtype.size_in_bytes()));
    if size != Some(data.len()) {
        let message = format!("shape {shape:?} of {dtype:?} does not fit the {} bytes that follow", data.len());
        return Err(damaged(message));
    }
    if !is_fortran {
        return Ok(Tensor::from_raw_buffer(data, dtype, &shape, &Device::Cpu)?);
    }
    // Columns first: the reverse shape row after row, with the axes turned round.
    let reversed: Vec<usize> = shape.iter().rev().copied().collect();
    let axes: Vec<usize> = (0..shape.len()).rev().collect();
    Ok(Tensor::from_raw_buffer(data, dtype, &reversed, &Device::Cpu)?.permute(axes)?.contiguous()?)
}

/// The header and the data of an array.
fn split(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let rest = bytes.strip_prefix(MAGIC)?;
    let (version, rest) = rest.split_at_checked(2)?;
    let digits = if version.first() == Some(&1) { 2 } else { 4 };
    let (length, rest) = rest.split_at_checked(digits)?;
    let length = length.iter().rev().fold(0usize, |value, digit| value << 8 | usize::from(*digit));
    rest.split_at_checked(length)
}

/// Reads `{'descr': '<f4', 'fortran_order': False, 'shape': (16, 48), }`.
fn parse(header: &str) -> Result<Header> {
    let value = |key: &str| {
        let quoted = format!("'{key}':");
        let rest = header.split_once(quoted.as_str()).map(|(_, rest)| rest.trim_start());
        rest.ok_or_else(|| damaged(format!("the array's header lacks {key}: {header:?}")))
    };
    let descr = value("descr")?.trim_start_matches('\'').split('\'').next().unwrap_or_default();
    let dtype = match descr {
        "<f2" => DType::F16,
        "<f4" => DType::F32,
        "<f8" => DType::F64,
        "|u1" => DType::U8,
        "<u4" => DType::U32,
        "<i4" => DType::I32,
        "<i8" => DType::I64,
        other => {
            return Err(Error::new(ErrorKind::Unsupported, format!("arrays of the type {other:?} are not read"))
                .with_hint("convert them to <f4"));
        }
    };
    let dims = value("shape")?.strip_prefix('(').and_then(|rest| rest.split_once(')')).map(|(dims, _)| dims);
    let dims = dims.ok_or_else(|| damaged(format!("the array's shape cannot be read: {header:?}")))?;
    let shape = dims
        .split(',')
        .map(str::trim)
        .filter(|dim| !dim.is_empty())
        .map(|dim| dim.parse().map_err(|_| damaged(format!("the array's shape cannot be read: {header:?}"))))
        .collect::<Result<_>>()?;
    Ok(Header { dtype, is_fortran: value("fortran_order")?.starts_with("True"), shape })
}

fn damaged(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::BadFile, message)
}
