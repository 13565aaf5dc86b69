//! A linear layer: `x · W + b`.

use std::sync::Arc;

use candle_core::Tensor;

use super::activation::{add_bias, is_plain};
use super::compact::{Compact, StepWeights};
use super::stream;
use crate::Result;
use crate::ops::with_values;

/// How products are made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Products {
    /// As the library makes them of many rows.
    #[default]
    Many,
    /// As few rows are best made, each as if it were alone.
    Few,
}

/// Weight `[out, in]`, contiguous, and bias `[out]`.
#[derive(Debug, Clone)]
pub(crate) struct Linear {
    /// `[in, out]`: a view of the weight.
    weight: Tensor,
    bias: Option<Tensor>,
    /// The weight in fewer bits, for products of few rows.
    compact: Option<Arc<Compact>>,
}

impl Linear {
    /// From a weight `[out, in]`, as PyTorch's `Linear` keeps it.
    pub(crate) fn from_rows(weight: &Tensor, bias: Option<Tensor>) -> Result<Self> {
        Ok(Self { weight: weight.contiguous()?.t()?, bias, compact: None })
    }

    /// From a weight `[in, out]`, as GPT-2's `Conv1D` keeps it.
    pub(super) fn from_columns(weight: &Tensor, bias: Option<Tensor>) -> Result<Self> {
        Self::from_rows(&weight.t()?, bias)
    }

    /// With the weight also in fewer bits, on the processor.
    pub(super) fn compacted(self, kind: StepWeights) -> Result<Self> {
        let rows = self.weight.t()?;
        if kind == StepWeights::F32 || !is_plain(&rows) {
            return Ok(self);
        }
        let compact = with_values(&rows, |values, inputs| Compact::new(values, inputs, kind))?;
        Ok(Self { compact: compact.map(Arc::new), ..self })
    }

    /// `[N, in]` to `[N, out]`.
    pub(crate) fn forward(&self, x: &Tensor) -> Result<Tensor> {
        self.forward_by(x, Products::Many)
    }

    /// The same, with products made in a chosen way.
    pub(super) fn forward_by(&self, x: &Tensor, products: Products) -> Result<Tensor> {
        let rows = self.weight.t()?;
        let y = match (products, &self.compact) {
            (Products::Few, Some(compact)) => stream::multiply_compact(x, compact)?,
            (Products::Few, None) if is_plain(&rows) => stream::multiply(x, &rows)?,
            _ => x.matmul(&self.weight)?,
        };
        Ok(match &self.bias {
            Some(bias) => add_bias(y, bias)?,
            None => y,
        })
    }

    /// `[in, out]`.
    pub(super) fn weight(&self) -> &Tensor {
        &self.weight
    }

    /// The weights of one output: `[in, 1]`.
    pub(super) fn column(&self, output: usize) -> Result<Tensor> {
        Ok(self.weight.narrow(1, output, 1)?)
    }

    pub(crate) fn size_in_bytes(&self) -> usize {
        bytes(&self.weight) + self.bias.as_ref().map_or(0, bytes) + self.compact_bytes()
    }

    /// Bytes of the weight in fewer bits.
    pub(super) fn compact_bytes(&self) -> usize {
        self.compact.as_ref().map_or(0, |compact| compact.size_in_bytes())
    }
}

/// Bytes of a tensor's values.
pub(crate) fn bytes(tensor: &Tensor) -> usize {
    tensor.elem_count() * tensor.dtype().size_in_bytes()
}
