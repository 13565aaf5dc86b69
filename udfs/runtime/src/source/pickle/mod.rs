//! PyTorch's files, read without Python and without running anything.
//!
//! A pickle is a program that can call any function. `machine` knows only the instructions that build values, and
//! only the few names that PyTorch's own tensors need; any other name is refused before it is used. What it builds
//! is a heap of plain values, where the same object may be reached on many ways: it is never copied out as a tree,
//! so that nested references cannot grow. `torch` turns storages into tensors.

mod instructions;
mod machine;
mod torch;

use std::collections::BTreeMap;
use std::path::Path;

use candle_core::Tensor;

pub use self::torch::{Item, TorchFile};
use crate::{Error, ErrorKind, Result};

/// The tensors of a file may together be this many times as large as the file: shared storages count for each
/// tensor, and a hostile file could share one without end.
const MOST_SHARED: usize = 4;

/// All tensors of a file by name. Tensors may lie in the file's mapping itself, or one level below it
/// (`{"state_dict": {…}}`); numbers count as tensors of one element, and everything else is left out.
pub(super) fn state_dict(path: &Path) -> Result<BTreeMap<String, Tensor>> {
    let file = TorchFile::open_unnamed(path)?;
    let mut found = Found { tensors: BTreeMap::new(), room: file.size().saturating_mul(MOST_SHARED) };
    for (name, item) in file.root().entries() {
        match item.is_mapping() {
            true => item.entries().try_for_each(|(name, item)| found.add(name, item))?,
            false => found.add(name, item)?,
        }
    }
    Ok(found.tensors)
}

struct Found {
    tensors: BTreeMap<String, Tensor>,
    /// Bytes that more tensors may take.
    room: usize,
}

impl Found {
    fn add(&mut self, name: Item<'_>, item: Item<'_>) -> Result<()> {
        let (Some(name), Some(tensor)) = (name.as_str(), item.to_tensor()?) else { return Ok(()) };
        let size = tensor.elem_count() * tensor.dtype().size_in_bytes();
        self.room = self.room.checked_sub(size).ok_or_else(|| {
            Error::new(ErrorKind::BadFile, "refused: the tensors are many times as large as the file")
        })?;
        self.tensors.insert(name.to_string(), tensor);
        Ok(())
    }
}
