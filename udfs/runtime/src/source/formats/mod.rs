//! The published formats: which one a path holds, and one file for the reading of each.

mod pre6;
mod saelens;

use std::path::Path;

use serde_json::Value;

use super::config::Hints;
use super::tensors::io_error;
use super::weights::Draft;
use crate::{Error, ErrorKind, Result};

/// How a source's files are laid out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Format {
    /// SAELens' own: `cfg.json`, `sae_weights.safetensors`.
    SaeLens,
}

pub(super) fn read(path: &Path, hints: &Hints) -> Result<Draft> {
    saelens::read(path, hints)
}

fn read_json(path: &Path) -> Result<Value> {
    let text = read_text(path)?;
    serde_json::from_str(&text)
        .map_err(|error| Error::new(ErrorKind::BadFile, format!("{}: not JSON: {error}", path.display())))
}

fn read_text(path: &Path) -> Result<String> {
    std::fs::read_to_string(path).map_err(|error| io_error(&error).within(path.display()))
}

impl std::str::FromStr for Format {
    type Err = Error;

    fn from_str(_: &str) -> Result<Self> {
        Ok(Self::SaeLens)
    }
}
