//! Tensors of a file by name, whatever the container: safetensors, npz or PyTorch's pickled zip.
//!
//! A tensor keeps where it came from until its shape has been checked, so that errors name the file, the tensor and
//! the shape as they stand in the file.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use candle_core::{DType, Device, Tensor};
use memmap2::Mmap;
use safetensors::SafeTensors;

use super::{npz, pickle};
use crate::{Error, ErrorKind, Result};

/// A file of named tensors.
#[derive(Debug)]
pub(crate) struct TensorFile {
    path: Arc<PathBuf>,
    content: Content,
}

#[derive(Debug)]
enum Content {
    Safetensors(Mmap),
    Loaded(BTreeMap<String, Tensor>),
}

/// A tensor and where it came from.
#[derive(Debug, Clone)]
pub(crate) struct Named {
    tensor: Tensor,
    path: Arc<PathBuf>,
    name: String,
    /// Whether `tensor` is the transpose of what the file holds.
    is_transposed: bool,
}

impl TensorFile {
    /// Opens `path` by its extension: `.safetensors`, `.npz`, and `.pt`, `.pth` or `.bin`.
    pub(crate) fn open(path: &Path) -> Result<Self> {
        let extension = path.extension().and_then(|e| e.to_str()).unwrap_or_default();
        let content = match extension {
            "safetensors" => open_safetensors(path),
            "npz" => npz::read(path).map(Content::Loaded),
            "pt" | "pth" | "bin" => pickle::state_dict(path).map(Content::Loaded),
            _ => Err(Error::new(ErrorKind::Unsupported, "not a file of tensors that is known here")
                .with_hint("known are .safetensors, .npz, .pt and .pth")),
        };
        let content = content.map_err(|error| error.within(path.display()))?;
        Ok(Self { path: Arc::new(path.to_path_buf()), content })
    }

    /// Names of all tensors, in alphabetical order.
    pub(crate) fn names(&self) -> Vec<String> {
        let mut names = match &self.content {
            Content::Safetensors(map) => SafeTensors::deserialize(map)
                .map(|file| file.names().into_iter().map(String::from).collect())
                .unwrap_or_default(),
            Content::Loaded(tensors) => tensors.keys().cloned().collect::<Vec<_>>(),
        };
        names.sort();
        names
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        self.names().iter().any(|known| known == name)
    }

    /// The tensor `name` in single precision, on the processor.
    pub(crate) fn get(&self, name: &str) -> Result<Named> {
        let tensor = match &self.content {
            Content::Safetensors(map) => self.view(map, name)?,
            Content::Loaded(tensors) => tensors.get(name).cloned().ok_or_else(|| self.missing(name))?,
        };
        let tensor = tensor.to_dtype(DType::F32)?;
        Ok(Named { tensor, path: Arc::clone(&self.path), name: name.to_string(), is_transposed: false })
    }

    /// The first of `names` that the file has.
    pub(crate) fn get_any(&self, names: &[&str]) -> Result<Named> {
        match names.iter().find(|name| self.has(name)) {
            Some(name) => self.get(name),
            None => Err(self.missing(&names.join(" or "))),
        }
    }

    /// The tensor `name`, if the file has it.
    pub(super) fn find(&self, name: &str) -> Result<Option<Named>> {
        self.has(name).then(|| self.get(name)).transpose()
    }

    fn view(&self, map: &Mmap, name: &str) -> Result<Tensor> {
        let file = SafeTensors::deserialize(map).map_err(|error| self.bad(format!("{error}")))?;
        let view = file.tensor(name).map_err(|_| self.missing(name))?;
        let dtype = DType::try_from(view.dtype())
            .map_err(|_| self.bad(format!("tensor {name} has the unknown type {:?}", view.dtype())))?;
        Ok(Tensor::from_raw_buffer(view.data(), dtype, view.shape(), &Device::Cpu)?)
    }

    fn missing(&self, name: &str) -> Error {
        let mut names = self.names();
        let rest = names.len().saturating_sub(12);
        names.truncate(12);
        let more = if rest > 0 { format!(" and {rest} more") } else { String::new() };
        self.bad(format!("tensor {name} is missing; the file has {}{more}", names.join(", ")))
            .with_hint("the file may be of another format than was assumed, or only partly downloaded")
    }

    fn bad(&self, message: impl std::fmt::Display) -> Error {
        Error::new(ErrorKind::BadFile, format!("{}: {message}", self.path.display()))
    }
}

impl Named {
    /// A tensor that was computed from others of a file.
    pub(super) fn derived(&self, tensor: Tensor) -> Self {
        Self { tensor, ..self.clone() }
    }

    pub(crate) fn tensor(&self) -> &Tensor {
        &self.tensor
    }

    /// The transpose of a matrix; no data are moved.
    pub(super) fn t(&self) -> Result<Self> {
        if self.tensor.rank() != 2 {
            return Err(self.bad(format!("expected a matrix, found shape {:?}", self.tensor.dims())));
        }
        Ok(Self { tensor: self.tensor.t()?, is_transposed: !self.is_transposed, ..self.clone() })
    }

    /// The dimensions of a matrix.
    pub(super) fn dims2(&self) -> Result<(usize, usize)> {
        self.tensor.dims2().map_err(|_| self.bad(format!("expected a matrix, found shape {:?}", self.tensor.dims())))
    }

    /// The only element of a tensor of any rank.
    pub(super) fn scalar(&self) -> Result<f64> {
        match self.tensor.flatten_all()?.to_vec1::<f32>()?.as_slice() {
            [value] => Ok(f64::from(*value)),
            _ => Err(self.bad(format!("expected one number, found shape {:?}", self.tensor.dims()))),
        }
    }

    /// The tensor on `device`, once its shape is `expected`.
    pub(crate) fn checked(&self, expected: &[usize], device: &Device) -> Result<Tensor> {
        if self.tensor.dims() == expected {
            return Ok(self.tensor.to_device(device)?);
        }
        let in_file = |dims: &[usize]| match self.is_transposed {
            true => dims.iter().rev().copied().collect::<Vec<_>>(),
            false => dims.to_vec(),
        };
        let (expected, found) = (in_file(expected), in_file(self.tensor.dims()));
        Err(self
            .bad(format!("expected shape {expected:?}, found {found:?}"))
            .with_hint("the weights and the configuration belong to different sources, or the format is another one"))
    }

    /// Name of the file.
    pub(super) fn file(&self) -> std::path::Display<'_> {
        self.path.display()
    }

    fn bad(&self, message: impl std::fmt::Display) -> Error {
        Error::new(ErrorKind::BadFile, format!("{}: tensor {}: {message}", self.path.display(), self.name))
    }
}

fn open_safetensors(path: &Path) -> Result<Content> {
    let map = map_file(path)?;
    SafeTensors::deserialize(&map).map_err(|error| {
        Error::new(ErrorKind::BadFile, format!("not a whole safetensors file: {error}"))
            .with_hint("download it again; an interrupted download leaves such a file")
    })?;
    Ok(Content::Safetensors(map))
}

/// Maps a file into memory.
pub(super) fn map_file(path: &Path) -> Result<Mmap> {
    let file = std::fs::File::open(path).map_err(|error| io_error(&error))?;
    // SAFETY: files of weights are written once and then only read; one that is changed under us gives wrong
    // numbers, as it would if it were read in pieces. One that is truncated while mapped ends the process, which is
    // the price every reader of mapped weights pays.
    #[allow(unsafe_code)]
    let map = unsafe { Mmap::map(&file) };
    map.map_err(|error| io_error(&error))
}

/// An error of reading a file, without its name.
pub(super) fn io_error(error: &std::io::Error) -> Error {
    match error.kind() {
        std::io::ErrorKind::NotFound => Error::new(ErrorKind::NotFound, "no such file"),
        _ => Error::new(ErrorKind::Io, error.to_string()),
    }
}
