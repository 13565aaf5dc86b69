//! A linear layer: `x · W + b`.

use candle_core::Tensor;

use crate::Result;

/// Weight `[in, out]`, which may be a transposed view of what the file has, and bias `[out]`.
#[derive(Debug, Clone)]
pub(crate) struct Linear {
    weight: Tensor,
    bias: Option<Tensor>,
}

impl Linear {
    /// From a weight `[out, in]`, as PyTorch's `Linear` keeps it.
    pub(crate) fn from_rows(weight: &Tensor, bias: Option<Tensor>) -> Result<Self> {
        Ok(Self { weight: weight.t()?, bias })
    }

    /// From a weight `[in, out]`, as GPT-2's `Conv1D` keeps it.
    pub(super) fn from_columns(weight: Tensor, bias: Option<Tensor>) -> Self {
        Self { weight, bias }
    }

    /// `[N, in]` to `[N, out]`.
    pub(crate) fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let y = x.matmul(&self.weight)?;
        Ok(match &self.bias {
            Some(bias) => super::activation::add_bias(y, bias)?,
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
        bytes(&self.weight) + self.bias.as_ref().map_or(0, bytes)
    }
}

/// Bytes of a tensor's values.
pub(crate) fn bytes(tensor: &Tensor) -> usize {
    tensor.elem_count() * tensor.dtype().size_in_bytes()
}
