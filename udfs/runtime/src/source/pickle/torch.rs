//! PyTorch's container: a zip archive with one pickle and one entry for each storage.

use std::path::Path;

use candle_core::{DType, Device, Tensor};

use super::super::archive::Archive;
use super::super::tensors::map_file;
use super::instructions::damaged;
use super::machine::{Elements, Heap, Id, Layout, Value, run};
use crate::{Error, ErrorKind, Result};

/// A file that `torch.save` wrote.
#[derive(Debug)]
pub struct TorchFile {
    archive: Archive,
    /// Folder in the archive that everything lies in, with its slash.
    folder: String,
    heap: Heap,
}

/// A value in a [`TorchFile`].
#[derive(Debug, Clone, Copy)]
pub struct Item<'a> {
    file: &'a TorchFile,
    id: Id,
}

impl TorchFile {
    /// Opens a file of PyTorch 1.6 or later.
    ///
    /// # Errors
    /// `NotFound` or `Io` if it cannot be read; `BadFile` if it is damaged; `Unsupported` if its pickle uses anything
    /// but tensors, numbers, texts and plain containers, or if it has the format of older versions.
    pub fn open(path: &Path) -> Result<Self> {
        Self::open_unnamed(path).map_err(|error| error.within(path.display()))
    }

    /// As [`Self::open`], with errors that do not name the file.
    pub(super) fn open_unnamed(path: &Path) -> Result<Self> {
        let map = map_file(path)?;
        if map.first() == Some(&0x80) {
            return Err(Error::new(ErrorKind::Unsupported, "a file of PyTorch before 1.6, which is not read")
                .with_hint("load it in Python and save it again, or as safetensors"));
        }
        let archive = Archive::new(map)?;
        let pickle = archive.names().find(|name| *name == "data.pkl" || name.ends_with("/data.pkl"));
        let pickle = pickle.ok_or_else(|| damaged("an archive without data.pkl, which torch.save writes"))?.to_string();
        let order = pickle.strip_suffix("data.pkl").map(|folder| format!("{folder}byteorder")).unwrap_or_default();
        if archive.names().any(|name| name == order) && archive.read(&order)? != b"little" {
            return Err(Error::new(ErrorKind::Unsupported, "written on a machine whose bytes run the other way"));
        }
        let heap = run(&archive.read(&pickle)?)?;
        let folder = pickle.strip_suffix("data.pkl").unwrap_or_default().to_string();
        Ok(Self { archive, folder, heap })
    }

    /// What was saved.
    pub fn root(&self) -> Item<'_> {
        Item { file: self, id: self.heap.root }
    }

    /// Bytes of everything in it.
    pub(super) fn size(&self) -> usize {
        self.archive.size()
    }

    fn tensor(&self, layout: &Layout) -> Result<Tensor> {
        let Layout { storage, offset, shape, strides } = layout;
        let (dtype, width) = dtype(storage.elements);
        let count = shape.iter().try_fold(1usize, |product, dim| product.checked_mul(*dim));
        let count = count.ok_or_else(|| damaged("a tensor is larger than any memory"))?;
        // A stride of 0 could make a small file stand for any amount of memory.
        if count > storage.count {
            return Err(damaged(format!("a tensor of shape {shape:?} in a storage of {} elements", storage.count)));
        }
        let bytes = self.archive.read(&format!("{}data/{}", self.folder, storage.key))?;
        if Some(bytes.len()) != storage.count.checked_mul(width) {
            let message =
                format!("the storage {} has {} bytes for {} elements", storage.key, bytes.len(), storage.count);
            return Err(damaged(message));
        }
        let packed = pack(&bytes, width, count, layout).ok_or_else(|| {
            damaged(format!("a tensor of shape {shape:?} and strides {strides:?} at {offset} leaves its storage"))
        })?;
        if storage.elements == Elements::I8 {
            let values = packed.iter().map(|byte| i64::from(*byte as i8)).collect::<Vec<_>>();
            return Ok(Tensor::from_vec(values, shape.as_slice(), &Device::Cpu)?);
        }
        Ok(Tensor::from_raw_buffer(&packed, dtype, shape, &Device::Cpu)?)
    }
}

impl<'a> Item<'a> {
    fn value(self) -> &'a Value {
        self.file.heap.get(self.id)
    }

    fn at(self, id: Id) -> Self {
        Self { id, ..self }
    }

    /// Whether it is a mapping.
    pub fn is_mapping(self) -> bool {
        matches!(self.value(), Value::Dict(_))
    }

    /// The entries of a mapping, in their order; none of anything else.
    pub fn entries(self) -> impl Iterator<Item = (Self, Self)> {
        let entries = match self.value() {
            Value::Dict(entries) => entries.as_slice(),
            _ => &[],
        };
        entries.iter().map(move |(key, value)| (self.at(*key), self.at(*value)))
    }

    /// The value under the text `key` of a mapping.
    pub fn get(self, key: &str) -> Option<Self> {
        self.entries().find(|(name, _)| name.as_str() == Some(key)).map(|(_, value)| value)
    }

    /// The items of a list, tuple or set; none of anything else.
    pub fn items(self) -> impl Iterator<Item = Self> {
        let items = match self.value() {
            Value::List(items) | Value::Tuple(items) => items.as_slice(),
            _ => &[],
        };
        items.iter().map(move |id| self.at(*id))
    }

    /// The text, if it is one.
    pub fn as_str(self) -> Option<&'a str> {
        match self.value() {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The integer, if it is one.
    pub fn as_i64(self) -> Option<i64> {
        match self.value() {
            Value::Int(value) => Some(*value),
            Value::Bool(value) => Some(i64::from(*value)),
            _ => None,
        }
    }

    /// The number, if it is one.
    pub fn as_f64(self) -> Option<f64> {
        match self.value() {
            Value::Float(value) => Some(*value),
            _ => self.as_i64().map(|value| value as f64),
        }
    }

    /// The bytes, if it is some.
    pub fn as_bytes(self) -> Option<&'a [u8]> {
        match self.value() {
            Value::Bytes(bytes) => Some(bytes),
            _ => None,
        }
    }

    /// The tensor on the processor, packed row after row; a number becomes a tensor without dimensions. `None` if it
    /// is neither.
    ///
    /// # Errors
    /// `BadFile` if the tensor's storage is missing, damaged or too small.
    pub fn to_tensor(self) -> Result<Option<Tensor>> {
        match self.value() {
            Value::Tensor(layout) => self.file.tensor(layout).map(Some),
            Value::Int(_) | Value::Float(_) => {
                Ok(self.as_f64().map(|value| Tensor::new(value, &Device::Cpu)).transpose()?)
            }
            _ => Ok(None),
        }
    }
}

/// The bytes of a tensor row after row; `None` if a place lies outside the storage.
fn pack(bytes: &[u8], width: usize, count: usize, layout: &Layout) -> Option<Vec<u8>> {
    if is_packed(layout) {
        let start = layout.offset.checked_mul(width)?;
        return bytes.get(start..start.checked_add(count.checked_mul(width)?)?).map(<[u8]>::to_vec);
    }
    let mut packed = Vec::with_capacity(count.checked_mul(width)?);
    let mut index = vec![0usize; layout.shape.len()];
    for _ in 0..count {
        let mut steps = index.iter().zip(&layout.strides);
        let place = steps.try_fold(layout.offset, |sum, (i, stride)| sum.checked_add(i.checked_mul(*stride)?))?;
        let start = place.checked_mul(width)?;
        packed.extend_from_slice(bytes.get(start..start.checked_add(width)?)?);
        advance(&mut index, &layout.shape);
    }
    Some(packed)
}

/// The next index in the order of rows.
fn advance(index: &mut [usize], shape: &[usize]) {
    for (i, dim) in index.iter_mut().zip(shape).rev() {
        *i += 1;
        if *i < *dim {
            return;
        }
        *i = 0;
    }
}

fn is_packed(layout: &Layout) -> bool {
    let mut expected = 1usize;
    layout.shape.iter().zip(&layout.strides).rev().all(|(dim, stride)| {
        let fits = *dim == 1 || *stride == expected;
        expected = expected.saturating_mul(*dim);
        fits
    })
}

/// How elements are read, and their width in bytes.
fn dtype(elements: Elements) -> (DType, usize) {
    let dtype = match elements {
        Elements::F64 => DType::F64,
        Elements::F32 => DType::F32,
        Elements::F16 => DType::F16,
        Elements::Bf16 => DType::BF16,
        Elements::I64 => DType::I64,
        Elements::I32 => DType::I32,
        Elements::I16 => DType::I16,
        Elements::I8 | Elements::U8 | Elements::Bool => DType::U8,
    };
    (dtype, dtype.size_in_bytes())
}
