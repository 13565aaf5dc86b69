//! Golden sources: where they lie, how they are opened, and what they must give.

#![allow(clippy::unwrap_used)]

use std::ops::Range;
use std::path::{Path, PathBuf};

use candle_core::{Device, Tensor};
use latentdb_runtime::source::{Hints, OpenOptions, Source};
use serde_json::Value;

/// A folder that `golden/sources/make.py` wrote.
pub(crate) struct Case {
    folder: PathBuf,
    settings: Value,
    expected: std::collections::HashMap<String, Tensor>,
}

impl Case {
    pub(crate) fn load(name: &str) -> Self {
        let folder = golden(name);
        let text = std::fs::read_to_string(folder.join("case.json")).unwrap();
        let expected = candle_core::safetensors::load(folder.join("expected.safetensors"), &Device::Cpu).unwrap();
        Self { folder, settings: serde_json::from_str(&text).unwrap(), expected }
    }

    /// What `open` takes.
    pub(crate) fn path(&self) -> PathBuf {
        self.folder.join(self.settings["open"].as_str().unwrap())
    }

    pub(crate) fn options(&self, fold_decoder_norm: bool) -> OpenOptions {
        let hints = &self.settings["hints"];
        let text = |key: &str| hints[key].as_str().map(String::from);
        let hints = Hints {
            format: text("format").map(|name| name.parse().unwrap()),
            norm_scaling_factor: hints["norm_scaling_factor"].as_f64(),
            hook_name: text("hook_name"),
            k: hints["k"].as_u64().map(|k| k as usize),
            layer: hints["layer"].as_u64().map(|layer| layer as usize),
            ..Hints::default()
        };
        OpenOptions { fold_decoder_norm, hints, ..OpenOptions::default() }
    }

    pub(crate) fn open(&self, fold_decoder_norm: bool) -> Source {
        Source::open(&self.path(), &self.options(fold_decoder_norm)).unwrap()
    }

    pub(crate) fn sequences(&self) -> Vec<Range<usize>> {
        let ranges = self.settings["hints"]["sequences"].as_array().cloned().unwrap_or_default();
        ranges.iter().map(|range| range[0].as_u64().unwrap() as usize..range[1].as_u64().unwrap() as usize).collect()
    }

    pub(crate) fn input(&self) -> Tensor {
        self.expected["x"].clone()
    }

    pub(crate) fn find(&self, name: &str) -> Option<&Tensor> {
        self.expected.get(name)
    }

    pub(crate) fn expected(&self, name: &str) -> &Tensor {
        &self.expected[name]
    }
}

pub(crate) fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/sources").join(name)
}

/// Asserts that `found` is `expected` to within 1e-5 of the largest value of each row, and that it is 0 where
/// `expected` is 0 and `exact_zeros` says so: a feature is active or it is not.
pub(crate) fn assert_close(found: &Tensor, expected: &Tensor, exact_zeros: bool, what: &str) {
    assert_eq!(found.dims(), expected.dims(), "{what}: shape");
    let (found, expected) = (found.to_vec2::<f32>().unwrap(), expected.to_vec2::<f32>().unwrap());
    for (row, (found, expected)) in found.iter().zip(&expected).enumerate() {
        let scale = expected.iter().fold(1e-3f32, |max, value| max.max(value.abs()));
        for (column, (found, expected)) in found.iter().zip(expected).enumerate() {
            let place = format!("{what} [{row}, {column}]: found {found}, expected {expected}");
            assert!((found - expected).abs() <= 1e-5 * scale, "{place}");
            assert!(!exact_zeros || (*found == 0.0) == (*expected == 0.0), "{place}");
        }
    }
}
