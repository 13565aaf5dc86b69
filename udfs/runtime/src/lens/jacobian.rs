//! Jacobian lenses in their published form: a file with one matrix for each layer.
//!
//! PyTorch's files hold `{"J": {layer: [d, d]}}` and some facts beside it; safetensors files hold one tensor a layer, whose name
//! ends with the layer's number (`J.5`). A lens that was opened has square, finite matrices of one width.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use candle_core::{DType, Device, Tensor};

use crate::model::{Config, bytes};
use crate::source::TensorFile;
use crate::source::pickle::{Item, TorchFile};
use crate::{Error, ErrorKind, Result};

/// Average Jacobians of a model's last residual stream by those after earlier blocks.
#[derive(Debug, Clone)]
pub struct JacobianLens {
    /// `J_l` `[d, d]`: row `i` is the gradient of the last stream's component `i`.
    jacobians: BTreeMap<usize, Tensor>,
    width: usize,
    n_prompts: Option<usize>,
}

/// Names that a file of a lens may end with.
const ENDINGS: &[&str] = &["pt", "pth", "safetensors"];

impl JacobianLens {
    /// Opens the file at `path`, or the only one in the folder there. Matrices are kept in single precision on `device`.
    ///
    /// # Errors
    /// `NotFound` if there is none, `BadFile` if it is damaged or no lens.
    pub fn open(path: &Path, device: &Device) -> Result<Self> {
        let file = file_at(path)?;
        let is_safetensors = file.extension().is_some_and(|extension| extension == "safetensors");
        let opened = if is_safetensors { open_safetensors(&file) } else { open_torch(&file) };
        let (found, n_prompts) = opened.map_err(|error| named(error, &file))?;
        Self::new(found, n_prompts, device).map_err(|error| named(error, &file))
    }

    fn new(found: BTreeMap<usize, Tensor>, n_prompts: Option<usize>, device: &Device) -> Result<Self> {
        let Some(first) = found.values().next() else { return Err(no_lens("no matrix of any layer is in it")) };
        let width = first.dims().first().copied().unwrap_or_default();
        let mut jacobians = BTreeMap::new();
        for (layer, matrix) in found {
            if matrix.dims() != [width, width] {
                return Err(no_lens(format!("J of layer {layer} has shape {:?}", matrix.dims())));
            }
            let matrix = matrix.to_dtype(DType::F32)?;
            if !matrix.abs()?.sum_all()?.to_scalar::<f32>()?.is_finite() {
                return Err(no_lens(format!("J of layer {layer} has a value that is not a finite number")));
            }
            jacobians.insert(layer, matrix.to_device(device)?);
        }
        Ok(Self { jacobians, width, n_prompts })
    }

    /// Layers that have a matrix, in order.
    pub fn layers(&self) -> impl Iterator<Item = usize> {
        self.jacobians.keys().copied()
    }

    /// Width of the streams that it is for.
    pub fn width(&self) -> usize {
        self.width
    }

    /// Prompts that it is an average over, if the file says it.
    pub fn n_prompts(&self) -> Option<usize> {
        self.n_prompts
    }

    /// Whether it can be a lens of a model.
    ///
    /// # Errors
    /// `InvalidInput` if it is for another width, or for layers that the model does not have.
    pub fn check(&self, config: &Config) -> Result<()> {
        let last = self.layers().last().unwrap_or_default();
        if self.width == config.d_model && last < config.n_layers {
            return Ok(());
        }
        let message = format!(
            "the Jacobian lens is for width {} and layers up to {last}, and the model has width {} and {} layers",
            self.width, config.d_model, config.n_layers
        );
        Err(Error::new(ErrorKind::InvalidInput, message).with_hint("it was made for another model"))
    }

    /// `J_l h` of streams `[N, d]` after block `layer`; the streams themselves where there is no `J_l`.
    pub(crate) fn transport(&self, layer: usize, streams: &Tensor) -> Result<Tensor> {
        match self.jacobians.get(&layer) {
            Some(matrix) => Ok(streams.to_dtype(DType::F32)?.matmul(&matrix.t()?)?),
            None => Ok(streams.clone()),
        }
    }

    /// `J_lᵀ w`: the direction after block `layer` that is seen as `w`; `w` itself where there is no `J_l`.
    pub fn direction(&self, layer: usize, seen: &[f32]) -> Result<Vec<f32>> {
        match self.jacobians.get(&layer) {
            Some(matrix) => {
                let row = Tensor::from_slice(seen, (1, seen.len()), matrix.device())?;
                Ok(row.matmul(matrix)?.flatten_all()?.to_vec1()?)
            }
            None => Ok(seen.to_vec()),
        }
    }

    /// Bytes that it takes.
    pub fn size_in_bytes(&self) -> usize {
        self.jacobians.values().map(bytes).sum()
    }
}

/// The file at `path`: itself, or the only one in the folder that can be a lens.
fn file_at(path: &Path) -> Result<PathBuf> {
    if !path.is_dir() {
        return Ok(path.to_owned());
    }
    let entries =
        std::fs::read_dir(path).map_err(|error| Error::new(ErrorKind::Io, format!("{}: {error}", path.display())))?;
    let can_be = |file: &PathBuf| file.extension().is_some_and(|end| ENDINGS.iter().any(|known| end == *known));
    let mut found: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).filter(can_be).collect();
    found.sort();
    match (found.pop(), found.is_empty()) {
        (Some(only), true) => Ok(only),
        (None, _) => Err(Error::new(ErrorKind::NotFound, format!("{}: there is no file of a lens", path.display()))
            .with_hint("a lens is one .pt or .safetensors file")),
        (Some(_), false) => {
            Err(Error::new(ErrorKind::InvalidInput, format!("{}: there are several files", path.display()))
                .with_hint("name the file of the lens"))
        }
    }
}

/// The matrices of a PyTorch file, and the prompts that it names.
fn open_torch(path: &Path) -> Result<(BTreeMap<usize, Tensor>, Option<usize>)> {
    let file = TorchFile::open(path)?;
    let matrices = file.root().get("J").filter(|item| item.is_mapping());
    let matrices = matrices.ok_or_else(|| no_lens("it has no mapping J of layers to matrices"))?;
    let mut found = BTreeMap::new();
    for (key, value) in matrices.entries() {
        let layer = key.as_i64().and_then(|layer| usize::try_from(layer).ok());
        let layer = layer.ok_or_else(|| no_lens("a key of J is no layer's number"))?;
        let matrix = value.to_tensor()?.ok_or_else(|| no_lens(format!("J of layer {layer} is no matrix")))?;
        found.insert(layer, matrix);
    }
    let n_prompts = file.root().get("n_prompts").and_then(Item::as_i64);
    Ok((found, n_prompts.and_then(|count| usize::try_from(count).ok())))
}

/// The matrices of a safetensors file.
fn open_safetensors(path: &Path) -> Result<(BTreeMap<usize, Tensor>, Option<usize>)> {
    let file = TensorFile::open(path)?;
    let mut found = BTreeMap::new();
    for name in file.names() {
        let number = name.rsplit(['.', '_', '/']).next().and_then(|end| end.parse().ok());
        let layer: usize =
            number.ok_or_else(|| no_lens(format!("the name of tensor {name} does not end with a layer")))?;
        found.insert(layer, file.get(&name)?.tensor().clone());
    }
    Ok((found, None))
}

fn no_lens(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::BadFile, message).with_hint(
        "a Jacobian lens is {\"J\": {layer: matrix}} in a .pt file, or tensors J.0, J.1, … in a .safetensors file",
    )
}

/// The error with the file's name, which those of the file's own reader have already.
fn named(error: Error, file: &Path) -> Error {
    let path = file.display().to_string();
    if error.message().starts_with(&path) { error } else { error.within(path) }
}
